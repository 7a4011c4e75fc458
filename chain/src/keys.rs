//! Private keys: what they sign, and the files that they are read from.

mod key;
pub mod keystore;

pub use key::{KeyError, Password, PrivateKey};
/// Wipes a text or key from memory when it is dropped.
pub use zeroize::Zeroizing;
