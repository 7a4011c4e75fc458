//! The protocol's parts, for who proves, settles or audits; the crate's root is for who checks.
//!
//! * [`arithmetic`]: what the field part computes with; [`transcript`]: where its challenges come from
//! * [`statement`], [`lookup`], [`multilinear`], [`weight`], [`mercury`]: the field part's steps, joined in [`field`]
//! * [`determined`]: what fixes each private scalar before a challenge is drawn
//! * [`index`]: proofs about a datanet's index, which have no texts; [`rows`]: proofs that its rows are those of texts
//! * [`group`]: the multi-scalar multiplication and the pairing equation that remain
//! * [`proof`], [`key`], [`record`], [`keccak`]: proofs, commitments, ids and digests as bytes
//! * [`mod@verify`]: all of it on native scalars

pub mod arithmetic;
pub mod determined;
pub mod field;
pub mod group;
pub mod index;
pub mod key;
pub mod lookup;
pub mod mercury;
pub mod multilinear;
pub mod proof;
pub mod record;
pub mod rows;
pub mod statement;
pub mod transcript;
pub mod verify;
pub mod weight;

pub use crate::keccak;
