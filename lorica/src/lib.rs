//! Proven inference of quantised LoRA models: what programs embed.
//!
//! | what for | module |
//! |---|---|
//! | from a model's or adapter's folder to a registered one | [`import`], [`quality`], [`registration`], [`files`] |
//! | from rows of many contributors to a datanet with its index, and a proof that it is in range | [`datanet`], [`datanet_version`], [`index_proof`] |
//! | from a datanet to proofs that its rows are the features of its records | [`row_proof`] |
//! | from a text to a proof | [`input`], [`prover`], [`answer`] |
//! | from a proof to a payment | [`signed_request`], [`offer`], [`binding`], [`settle`], [`amount`] |
//! | whether a proof or settlement holds | [`check`] |
//! | which structured reference string may be used at all | [`srs`] |
//!
//! Nothing here knows a command line, writes to a terminal, ends the process, reads the environment, or is asynchronous.
//! Long computations take a [`Watch`](watch::Watch), which hears of each step and can stop them. Each module has its error
//! with a [`Kind`](error::Kind) that says who has to act; [`Error`] is all of them.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use lorica::files::{AdapterFile, BaseFile};
//! use lorica::input::{encode, random_salt, tokenizer};
//! use lorica::prover::{Job, MinimumShape, Prover};
//! use lorica::srs::{AcceptedSrs, SrsPolicy};
//! use lorica::watch::Unwatched;
//! use lorica::{Error, Fr};
//!
//! # fn main() -> Result<(), Error> {
//! let base = BaseFile::load("base.lorica".as_ref())?;
//! let adapter = AdapterFile::load("adapter.lorica".as_ref(), &base.key)?;
//! let srs = AcceptedSrs::load("ceremony.srs".as_ref(), base.key.commitments.log_tile, SrsPolicy::Ceremony)?;
//! let ids = encode(&tokenizer(&base.key)?, 0, "Which package reads spreadsheets?")?;
//! let prover = Prover::new(Arc::new(srs), base)?;
//! let adapter = prover.load_adapter(adapter)?;
//! let job = Job { ids, adapter: Some(&adapter), salt: random_salt()? };
//! let proven = prover.prove(&[job], MinimumShape::default(), Fr::zero(), &Unwatched)?;
//! println!("{} bytes", proven.proof.encode().len());
//! # Ok(())
//! # }
//! ```
//!
//! The whole way, with a settlement and its check, is `examples/embed.rs`.

#![forbid(unsafe_code)]

pub mod address;
pub mod amount;
pub mod answer;
pub mod binding;
pub mod check;
pub mod datanet;
pub mod datanet_version;
pub mod error;
pub mod files;
pub mod import;
pub mod index_proof;
pub mod input;
mod kind;
pub mod offer;
pub mod prover;
pub mod quality;
pub mod registration;
pub mod row_proof;
mod salt;
pub mod settle;
pub mod signed_request;
pub mod srs;
mod steps;

pub use error::Error;
/// Progress and cancellation of long computations.
pub use lorica_cells::watch;
/// A scalar of BN254: ids, digests, contexts.
pub use lorica_circuits::bn254::Fr;
/// The crates below, whose types are part of this interface.
pub use {
    lorica_chain as chain, lorica_circuits as circuits, lorica_quant as quant, lorica_settlement as settlement,
    lorica_verifier as verifier,
};
