//! The prover's own test files, each forgery judged by the native verifier and by the settlement's circuit.

use super::circuit;
use super::support::inference as support;

#[path = "../../prover/tests/attacks.rs"]
mod attacks;
#[path = "../../prover/tests/forgeries.rs"]
mod forgeries;
#[path = "../../prover/tests/forgers.rs"]
mod forgers;
