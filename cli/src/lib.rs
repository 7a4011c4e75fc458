//! The `lorica` command: the command line of the library [`lorica`].
//!
//! * [`cli`]: the command line; [`commands`]: one file per command
//! * [`node`], [`srs_args`]: what many commands take
//! * [`model_fetch`]: the model that the demo uses, and the cache folder
//! * [`output`], [`error`]: lines, JSON, exit codes
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod error;
pub mod model_fetch;
pub mod node;
pub mod output;
pub mod srs_args;
