//! Models as exact integers.

pub mod float;
pub mod import;
pub mod index;
pub mod integer;
