//! Checks settlements: that a zero-knowledge proof shows what an accepted inference proof says, for a binding on a chain.
//!
//! ```no_run
//! use lorica_settlement_check::{Settlement, VerifyingKey};
//! use lorica_verifier::{AdapterKey, BaseKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let base = BaseKey::decode(&std::fs::read("base.vk")?)?;
//! let adapter = AdapterKey::decode(&std::fs::read("emotion.vk")?)?;
//! let key = VerifyingKey::decode(&std::fs::read("s.vk")?)?;
//! let settlement = Settlement::decode(&std::fs::read("s.settlement")?)?;
//! settlement.check(&key, &base.commitments, &[adapter.commitments])?;
//! println!("circuit {:02x?}", settlement.circuit);
//! # Ok(())
//! # }
//! ```
//!
//! A crate without a prover: it has the verifier's dependencies and BLAKE2b, and builds for `wasm32-unknown-unknown`.
//!
//! * [`settlement`]: what the contract is shown, and the whole check; [`binding`]: what it is bound to
//! * [`index`]: settlements of index proofs
//! * [`key`]: the key of a circuit; [`header`], [`words`]: what it and the circuit have in common
//! * [`halo2`]: the check of halo2's proof, with [`gates`], [`identity`] and [`transcript`]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

pub mod binding;
mod circuit_key;
pub mod gates;
pub mod halo2;
pub mod header;
pub mod identity;
pub mod index;
pub mod key;
pub mod settlement;
pub mod shape;
pub mod transcript;
pub mod words;

pub use binding::{Binding, BoundRequest};
pub use halo2::CheckError;
pub use index::IndexSettlement;
pub use key::{KeyError, VerifyingKey};
pub use settlement::{Answer, Settlement, SettlementError};
pub use shape::{CircuitShape, Subject};
