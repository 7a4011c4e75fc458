//! Errors of circuit descriptions.

/// A description that no circuit exists for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CircuitError {
    /// An architecture outside the supported family.
    #[error("architecture: {what}, got {got}")]
    Architecture {
        /// The rule.
        what: &'static str,
        /// The value that breaks it.
        got: usize,
    },
    /// A batch shape that is not offered.
    #[error("shape: {what}, got {got}")]
    Shape {
        /// The rule.
        what: &'static str,
        /// The value that breaks it.
        got: usize,
    },
    /// A text or a padded length beyond what an architecture takes.
    #[error("{got} tokens are more than the {most} that this model takes")]
    Tokens {
        /// The architecture's limit.
        most: usize,
        /// Asked for.
        got: usize,
    },
    /// A number that is no kind of output.
    #[error("kind of output: 1 classify, 2 embed, got {got}")]
    OutputKind {
        /// The number.
        got: u8,
    },
    /// Kind of output 0: embeddings before their digest was a claim on ranged cells.
    #[error(
        "embeddings of kind 0 are withdrawn: their settlements prove nothing about the output (SECURITY.md); \
         prove again, with a key made again: embeddings are kind 2 now"
    )]
    WithdrawnEmbedding,
    /// Scales out of range.
    #[error("scales: {what}, got {got}")]
    Scales {
        /// The rule.
        what: &'static str,
        /// The value that breaks it.
        got: u64,
    },
    /// A statement that no batch of this shape makes.
    #[error("statement: {what}, got {got}")]
    Statement {
        /// The rule.
        what: &'static str,
        /// The value that breaks it.
        got: usize,
    },
    /// More than soundness or a file allows.
    #[error("{what}: {got} are more than {most}")]
    Bound {
        /// What is counted.
        what: &'static str,
        /// The most.
        most: u64,
        /// Found.
        got: u64,
    },
    /// A relation or claim that does not fit the layout.
    #[error("compile: {what}")]
    Compile {
        /// What does not fit.
        what: String,
    },
}
