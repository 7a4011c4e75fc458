//! The verifier.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

pub mod arithmetic;
pub mod codec;
pub mod determined;
pub mod field;
pub mod group;
pub mod keccak;
pub mod key;
pub mod lookup;
pub mod mercury;
pub mod multilinear;
pub mod proof;
pub mod record;
pub mod statement;
pub mod transcript;
pub mod verify;
pub mod weight;

// The tests' arithmetic is shared with other crates' tests and names this one from outside.
#[cfg(test)]
extern crate self as lorica_verifier;
#[cfg(test)]
#[path = "../tests/support/hooked.rs"]
mod hooked;
