//! The tests of the commands as one program.

mod command_line;
mod datanet;
mod fuzz_seeds;
#[path = "../../settlement/tests/support/hostile.rs"]
mod hostile;
mod market;
mod minilm;
mod serve;
#[path = "support/service.rs"]
mod service;
mod support;
mod worker;
