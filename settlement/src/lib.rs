//! The settlement proof: a zero-knowledge halo2 proof that the field part of the verifier accepts an inference proof.
//!
//! ```text
//! field part over Tracer ─> operations ─> rows of five cells ─> halo2 circuit ─> proof for the contract
//!       (trace)                              (rows)              (circuit)        (prove)
//! ```
//! The field part is the one of [`lorica_verifier`], run on a [`trace::Tracer`]; nothing of it is written twice. The
//! group claim is not part of the circuit: the contract evaluates it from the public [`words`]. What checks settlements is
//! a crate of its own, [`lorica_settlement_check`].

#![forbid(unsafe_code)]

pub use lorica_settlement_check::{binding, header, words};

pub mod circuit;
pub mod gates;
pub mod key;
pub mod lagrange;
pub mod prove;
pub mod rows;
pub mod settlement;
pub mod statement;
pub mod trace;
pub mod transcript;
