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
    /// A relation or claim that does not fit the layout.
    #[error("compile: {what}")]
    Compile {
        /// What does not fit.
        what: String,
    },
}
