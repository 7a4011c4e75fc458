//! What a circuit is for.

use lorica_circuits::bn254::Fr;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::shape::Shape;
use lorica_verifier::protocol::key::BaseCommitments;

/// What fixes a settlement key: architecture, shape, and the words that they are absorbed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitShape {
    /// The architecture.
    pub architecture: Architecture,
    /// Requests, tokens, τ and kind of output.
    pub shape: Shape,
    /// Digest of architecture, τ, SRS and tables.
    pub architecture_digest: Fr,
    /// Digest of the SRS.
    pub srs: Fr,
}

impl CircuitShape {
    /// The shape of a batch on a registered base.
    #[must_use]
    pub fn of(base: &BaseCommitments, shape: Shape) -> Self {
        Self {
            architecture: base.architecture.clone(),
            shape,
            architecture_digest: base.architecture_digest(),
            srs: base.srs,
        }
    }
}
