//! The tests of the commands as one program.

mod command_line;
mod datanet;
mod fuzz_seeds;
#[path = "../../settlement/tests/support/hostile.rs"]
mod hostile;
mod minilm;
mod serve;
mod support;
