//! The prover's own test file of this name once more, each forgery through the settlement's circuit as well.

#[path = "support/circuit.rs"]
mod circuit;
#[path = "../../prover/tests/forgers.rs"]
mod forgers;
