//! Shapes of batches, and the limits of what is offered.

use crate::error::CircuitError;
use crate::number::narrow;

/// The least padded length of a text.
pub const MIN_TOKENS: usize = 16;
/// Longest text in tokens that any architecture offers, `[CLS]` and `[SEP]` included.
pub const MAX_TOKENS: usize = 256;
/// Labels of a classification head; those that an adapter lacks never win.
pub const LABELS: usize = 16;
/// A logit is an integer times 2^-30.
pub const LOGIT_EXPONENT: i32 = 30;
/// Largest batch.
pub const MAX_REQUESTS: usize = 16;
/// Powers of the SRS beyond 2^τ: room for blinding.
pub const BLINDING: usize = 64;

/// What a batch publishes for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// `hidden` integer sums over the real tokens of the last layer, and the length. A settlement shows a digest of the
    /// sums, eight to a word.
    Embed,
    /// Sixteen integer logits; the label is the lowest index of the largest.
    Classify,
}

impl OutputKind {
    /// The kind's number in files, in statements and on chains: 1 classify, 2 embed. 0 was the embedding whose
    /// settlements could be forged (`docs/decisions/0031-embeddings-are-published-as-packed-words.md`).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Classify => 1,
            Self::Embed => 2,
        }
    }

    /// The kind's name in JSON, in files of text and for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Embed => "embed",
        }
    }

    /// The kind of a number.
    ///
    /// # Errors
    /// [`CircuitError::WithdrawnEmbedding`] for 0, [`CircuitError::OutputKind`] for a number that is no kind's.
    pub fn from_number(number: u8) -> Result<Self, CircuitError> {
        match number {
            0 => Err(CircuitError::WithdrawnEmbedding),
            1 => Ok(Self::Classify),
            2 => Ok(Self::Embed),
            got => Err(CircuitError::OutputKind { got }),
        }
    }
}

/// Shape of a batch: with the architecture it fixes layout, relations and settlement key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Padded number of requests: 1, 2, 4, 8 or 16.
    pub requests: usize,
    /// Padded tokens per request: 16, 32, 64, 128 or 256, and no more than the architecture's limit.
    pub tokens: usize,
    /// log2 of the cells in a tile (τ).
    pub log_tile: u32,
    /// What is published.
    pub output: OutputKind,
}

impl Shape {
    /// The smallest shape for this many requests whose longest has this many tokens.
    ///
    /// # Errors
    /// [`CircuitError::Shape`] if there is none.
    pub fn fitting(requests: usize, longest: usize, log_tile: u32, output: OutputKind) -> Result<Self, CircuitError> {
        if requests == 0 || requests > MAX_REQUESTS {
            return Err(CircuitError::Shape { what: "requests must be 1 to 16", got: requests });
        }
        if longest > MAX_TOKENS {
            return Err(CircuitError::Shape { what: "tokens must be at most 256", got: longest });
        }
        let shape = Self {
            requests: requests.next_power_of_two(),
            tokens: longest.next_power_of_two().max(MIN_TOKENS),
            log_tile,
            output,
        };
        shape.validate()?;
        Ok(shape)
    }
    /// Checks that the shape is one of those offered.
    ///
    /// # Errors
    /// [`CircuitError::Shape`] names the field.
    pub fn validate(&self) -> Result<(), CircuitError> {
        if !self.requests.is_power_of_two() || self.requests > MAX_REQUESTS {
            return Err(CircuitError::Shape { what: "requests must be 1, 2, 4, 8 or 16", got: self.requests });
        }
        if !self.tokens.is_power_of_two() || !(MIN_TOKENS..=MAX_TOKENS).contains(&self.tokens) {
            return Err(CircuitError::Shape { what: "tokens must be 16, 32, 64, 128 or 256", got: self.tokens });
        }
        // The command offers 18, 20 and 22; smaller tiles keep tests quick.
        if !self.log_tile.is_multiple_of(2) || !(14..=22).contains(&self.log_tile) {
            return Err(CircuitError::Shape { what: "tau must be even, 14 to 22", got: narrow(self.log_tile.into()) });
        }
        Ok(())
    }
    /// log2 of the padded requests.
    #[must_use]
    pub fn request_bits(&self) -> u32 {
        self.requests.trailing_zeros()
    }
    /// log2 of the padded tokens.
    #[must_use]
    pub fn token_bits(&self) -> u32 {
        self.tokens.trailing_zeros()
    }
}
