//! The verifier.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

pub mod arithmetic;
pub mod codec;
pub mod field;
pub mod group;
pub mod keccak;
pub mod key;
pub mod lookup;
pub mod mercury;
pub mod multilinear;
pub mod proof;
pub mod statement;
pub mod transcript;
pub mod verify;
pub mod weight;
