//! Families of models: each turns an architecture and a shape into a program.

pub mod encoder;

/// A family's number in architecture digests, ids and files; 2 is kept for decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// BERT-like encoders.
    Encoder,
}

impl Family {
    /// The family's number.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Encoder => 1,
        }
    }
}
