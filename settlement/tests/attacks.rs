//! The prover's own test file of this name once more, each forgery through the settlement's circuit as well.

#[path = "../../prover/tests/attacks.rs"]
mod attacks;
#[path = "support/circuit.rs"]
mod circuit;
