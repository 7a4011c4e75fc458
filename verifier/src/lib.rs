//! The verifier.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used))]

pub mod arithmetic;
pub mod group;
pub mod keccak;
pub mod mercury;
pub mod multilinear;
pub mod weight;
pub mod field;
pub mod lookup;
pub mod statement;
pub mod codec;
pub mod key;
pub mod proof;
pub mod verify;
pub mod transcript;
