//! The native verifier is the only judge here; `settlement/tests/forgeries.rs` runs the same forgeries through the
//! settlement's circuit.

#![allow(dead_code, reason = "replaced where the forgeries are run again")]

use lorica_verifier::key::BaseCommitments;
use lorica_verifier::proof::InferenceProof;

pub fn judge(_base: &BaseCommitments, _proof: &InferenceProof) {}
