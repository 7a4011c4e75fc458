//! What a circuit is for.

use lorica_circuits::bn254::Fr;
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::Shape;
use lorica_verifier::protocol::key::{BaseCommitments, index_shape};

/// What a circuit's proofs are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A batch of inferences.
    Inference,
    /// The ranges of a datanet's index; of the shape only τ and records count.
    Index,
}

/// The number of a circuit of index proofs where others have that of their kind of output.
pub const INDEX_KIND: u8 = 3;

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
    /// What its proofs are about.
    pub subject: Subject,
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
            subject: Subject::Inference,
        }
    }

    /// The shape of proofs about indexes with room for so many records, under adapters of a registered base.
    #[must_use]
    pub fn of_index(base: &BaseCommitments, records: usize) -> Self {
        Self { subject: Subject::Index, ..Self::of(base, index_shape(base.log_tile, records)) }
    }

    /// The address space.
    ///
    /// # Errors
    /// If the shape is not offered.
    pub fn layout(&self) -> Result<Layout, CircuitError> {
        match self.subject {
            Subject::Inference => self.architecture.layout(&self.shape),
            Subject::Index => self.architecture.index_layout(&self.shape),
        }
    }

    /// The number of the kind of output, or of index proofs.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self.subject {
            Subject::Inference => self.shape.output.number(),
            Subject::Index => INDEX_KIND,
        }
    }

    /// Requests and tokens, which an index proof has none of.
    #[must_use]
    pub fn texts(&self) -> [usize; 2] {
        match self.subject {
            Subject::Inference => [self.shape.requests, self.shape.tokens],
            Subject::Index => [0, 0],
        }
    }
}
