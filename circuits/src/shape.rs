//! Shapes of batches, and the limits of what is offered.

use crate::error::CircuitError;
use crate::number::narrow;

/// The least padded length of a text.
pub const MIN_TOKENS: usize = 16;
/// Longest text in tokens that any architecture offers, `[CLS]` and `[SEP]` included.
pub const MAX_TOKENS: usize = 256;
/// Labels of a classification head; those that an adapter lacks never win.
pub const LABELS: usize = 16;
/// Bits of a label.
pub const LABEL_BITS: u32 = LABELS.trailing_zeros();
/// Classes of a datanet's index: the records that it has room for.
pub const RECORDS: [usize; 3] = [1 << 11, 1 << 14, 1 << 16];
/// Contributors of a datanet.
pub const CONTRIBUTORS: usize = 1 << 10;
/// Contributors whose share of an answer is published: those with the largest.
pub const PLACES: usize = 32;
/// Words of an answer's published shares.
pub const SHARE_WORDS: usize = 4;
/// Entries of contributor and share in one word.
pub const SHARES_PER_WORD: usize = PLACES / SHARE_WORDS;
/// Bits of an entry: 12 for the contributor, below, and 16 for the share.
pub const SHARE_ENTRY_BITS: u32 = 28;
/// Bits of a contributor in an entry.
pub const SHARE_SLOT_BITS: u32 = 12;
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
    /// Records of the datanet's index by which answers are attributed, one of [`RECORDS`]; zero for a batch that does not
    /// attribute.
    pub records: usize,
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
            records: 0,
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
        if self.records != 0 && !RECORDS.contains(&self.records) {
            return Err(CircuitError::Shape { what: "records must be 2048, 16384 or 65536", got: self.records });
        }
        if self.records != 0 && self.output != OutputKind::Classify {
            return Err(CircuitError::Shape {
                what: "only classifications are attributed, not by records",
                got: self.records,
            });
        }
        Ok(())
    }
    /// The shape whose answers are attributed by an index of `records`.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn attributing(self, records: usize) -> Result<Self, CircuitError> {
        let shape = Self { records, ..self };
        shape.validate()?;
        Ok(shape)
    }
    /// log2 of the records of the index, if the batch attributes.
    #[must_use]
    pub fn record_bits(&self) -> Option<u32> {
        (self.records != 0).then(|| self.records.trailing_zeros())
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
