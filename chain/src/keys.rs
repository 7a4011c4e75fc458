//! Private keys: what they sign, and the files that they are read from.

mod key;
pub mod keystore;

pub use key::{KEY_VARIABLE, KeyError, PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, Password, PrivateKey};
