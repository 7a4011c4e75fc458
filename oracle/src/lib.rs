//! Mercury of [nova-snark](nova_snark::provider::mercury), as an oracle for Lorica's.
//!
//! nova's prover and verifier are generic over the transcript. [`Scripted`] gives them one that draws the challenges it
//! is told and writes down what it absorbs: every message of the protocol, although the fields of nova's proof are
//! private. So both provers can be compared message by message under equal challenges, whatever their own transcripts
//! are. Nothing but tests uses this crate.
//!
//! Conventions that differ: nova's points come highest coordinate first, Lorica's lowest first; nova pads an odd number
//! of variables with a zero above the highest, which leaves the same matrix of 2^⌈τ/2⌉ columns; the batched opening
//! is weighted differently ([`batching`]).

pub mod batching;
mod convert;
mod nova;

pub use nova::{Challenges, Messages, Nova, Scripted, ScriptedTranscript};
