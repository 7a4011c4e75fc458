//! The `lorica` command.
fn main() {}
