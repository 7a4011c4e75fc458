//! The native verifier is the only judge here; `settlement/tests/forgeries.rs` runs the same forgeries through the
//! settlement's circuit.

#![allow(dead_code, reason = "replaced where the forgeries are run again")]

use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::proof::InferenceProof;

pub fn judge(_base: &BaseCommitments, _proof: &InferenceProof) {}
