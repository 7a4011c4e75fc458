//! The `lorica` command: joins import and integer model to prover and verifier.
//!
//! * [`cli`]: the command line; [`commands`]: one file per command
//! * [`files`]: keys and models on disk
//! * [`registration`]: commitments of bases and adapters; [`prover`]: batches against a loaded base
//! * [`requests`], [`answer`]: what goes in and what comes out
//! * [`binding`], [`settlement_key`]: what a settlement is bound to, and the key that it is made with
//! * [`node`], [`signed_request`], [`amount`]: chains, requests on them, and money
//! * [`srs_source`], [`model_fetch`]: the SRS and the model that the demo uses
//! * [`output`], [`error`]: lines, JSON, exit codes
#![forbid(unsafe_code)]

pub mod amount;
pub mod answer;
pub mod binding;
pub mod cli;
pub mod commands;
pub mod error;
pub mod files;
pub mod model_fetch;
pub mod node;
pub mod output;
pub mod prover;
pub mod registration;
mod report;
pub mod requests;
pub mod settlement_key;
pub mod signed_request;
pub mod srs_source;
