//! The gRPC service around the prover: an answer at once, its proof seconds later, and no job lost.
//!
//! * [`server`]: the service as a whole; [`config`]: its configuration; [`keys`]: what API keys are for
//! * `api`: the calls of clients; [`error`]: what they are refused with
//! * `http`: the same calls as JSON, probes, numbers; `overview`: the operator's page; `face`: what both share
//! * `models`: execution at admission, and the check of what a worker returns
//! * `store`: the one truth about jobs, in SQLite or Postgres; `batching`: how many a batch takes
//! * `broker`: requests that an escrow pays, from the text to the money; [`terms`]: what was signed, as a message
//! * [`worker`]: who proves, here or on another machine, by a process that can be killed
//! * [`client`]: a client that blocks; [`proto`]: the messages
//!
//! Alone in being asynchronous: nothing below this crate is.

#![forbid(unsafe_code)]

mod api;
mod batching;
mod broker;
pub mod client;
pub mod config;
mod digest;
pub mod error;
mod face;
#[cfg(test)]
mod gate;
mod http;
pub mod keys;
mod models;
mod overview;
pub mod quote;
pub mod server;
mod signal;
mod store;
mod target;
pub mod terms;
mod worker;
#[cfg(test)]
mod world;

pub use broker::settings::Signer;
/// For programs that look at statuses.
pub use tonic;
pub use worker::child::run as run_child;
pub use worker::remote;
pub use worker::{ChildProgram, WorkerError};

/// The messages of `lorica.v1`, and its services; generated from `service/proto`.
#[allow(missing_docs, clippy::all, reason = "generated")]
pub mod proto {
    tonic::include_proto!("lorica.v1");

    /// The descriptors of all files.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/lorica.v1.bin"));
}
