//! The `lorica` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    lorica_cli::cli::main(std::env::args_os())
}
