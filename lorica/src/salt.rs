//! The salt of an input's digest.

/// An input salt.
pub type Salt = [u8; 31];
