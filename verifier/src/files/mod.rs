//! Lorica's files (`docs/formats.md`) as bytes: a magic word, a version, bounded contents, a Keccak-256 digest at the end.
//!
//! * [`magic`]: the magic words of all files; [`codec`]: bounded reading and writing
//! * [`vk`]: keys of bases and adapters. The proof's format stands beside its type, in [`crate::protocol::proof`]
//!
//! Nothing here touches a file system.

pub mod vk;

pub use crate::{codec, magic};
