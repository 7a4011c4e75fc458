//! Private keys: where they come from, and what they sign. None is ever shown.
//!
//! A key file holds 64 hexadecimal digits, or is a [keystore](super::keystore), known by its content. The password of a
//! keystore is given as a text, or as a file that has it.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature};
use k256::ecdsa::SigningKey;
use serde_json::Value;
use zeroize::Zeroizing;

use super::keystore::{self, KeystoreError};

/// Largest file of a key or a password.
const MAX_FILE_BYTES: u64 = 1 << 16;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a key.
    #[error("a private key has 64 hexadecimal digits and is below the curve's order")]
    Digits,
    /// Not a keystore, or not its password.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A keystore for one account that has another's key.
    #[error("the keystore is for the account {named} but has the key of {got}")]
    Account {
        /// In the file.
        named: Address,
        /// Of the key.
        got: Address,
    },
    /// A keystore, and no password was given.
    #[error("a keystore needs its password")]
    NoPassword,
    /// No text, or too long.
    #[error("not a text file of at most {MAX_FILE_BYTES} bytes")]
    NotText,
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// In this file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KeyError>,
    },
}

impl KeyError {
    fn of(path: &Path) -> impl FnOnce(Self) -> Self {
        move |source| match source {
            // It is about another file.
            Self::File { .. } => source,
            source => Self::File { path: path.to_owned(), source: Box::new(source) },
        }
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::File { source, .. } => source.root(),
            other => other,
        }
    }
}

/// The password of a keystore. A file is only read if the password is needed.
#[derive(Clone, Default)]
pub enum Password {
    /// There is none: keystores cannot be opened.
    #[default]
    None,
    /// The password itself, wiped from memory when it is dropped.
    Text(Zeroizing<String>),
    /// A file that has it, less one line end.
    File(PathBuf),
}

impl fmt::Debug for Password {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self::Text(Zeroizing::new(text))
    }
}

impl Password {
    fn read(&self) -> Result<Zeroizing<String>, KeyError> {
        let path = match self {
            Self::None => return Err(KeyError::NoPassword),
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let text = read_text(path).map_err(KeyError::of(path))?;
        let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        Ok(Zeroizing::new(line.to_owned()))
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => KeyError::NotText,
        _ => KeyError::Read(error),
    })?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        Ok(text)
    } else {
        Err(KeyError::NotText)
    }
}

/// A secp256k1 key; never shown, and wiped from memory when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// The key of a file of 64 hexadecimal digits, or of a keystore.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn read(file: &Path, password: &Password) -> Result<Self, KeyError> {
        let text = read_text(file).map_err(KeyError::of(file))?;
        if text.trim_start().starts_with('{') {
            let password = password.read().map_err(KeyError::of(file))?;
            Self::from_keystore(&text, &password).map_err(KeyError::of(file))
        } else {
            Self::parse(&text).map_err(KeyError::of(file))
        }
    }

    /// Reads 64 hexadecimal digits, with or without `0x`, between white space.
    ///
    /// # Errors
    /// [`KeyError::Digits`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), bytes.as_mut()).map_err(|_| KeyError::Digits)?;
        Self::from_bytes(&bytes)
    }

    /// Decrypts a [keystore](super::keystore). If it names its account, the key must be that account's.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_keystore(text: &str, password: &str) -> Result<Self, KeyError> {
        let keystore: Value =
            serde_json::from_str(text).map_err(|_| KeystoreError::Malformed { field: "it is not JSON" })?;
        let key = Self::from_bytes(&*keystore::decrypt(&keystore, password.as_bytes())?)?;
        if let Some(named) = keystore.get("address").and_then(Value::as_str) {
            let named: Address = named.parse().map_err(|_| KeystoreError::Malformed { field: "address" })?;
            let got = key.account();
            if named != got {
                return Err(KeyError::Account { named, got });
            }
        }
        Ok(key)
    }

    fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::Digits)
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> Address {
        Address::from_private_key(&self.0)
    }

    /// Signs a digest, such as that of EIP-712's typed data.
    ///
    /// # Errors
    /// [`KeyError::Digits`], which no key and digest are known to give.
    pub fn sign_digest(&self, digest: B256) -> Result<Signature, KeyError> {
        let signature = self.0.sign_prehash_recoverable(digest.as_slice()).map_err(|_| KeyError::Digits)?;
        Ok(Signature::from(signature))
    }

    /// Hash and bytes of the signed transaction.
    pub(crate) fn sign(&self, transaction: TxEip1559) -> Result<(B256, Bytes), KeyError> {
        let signature = self.sign_digest(transaction.signature_hash())?;
        let signed = transaction.into_signed(signature);
        Ok((*signed.hash(), signed.encoded_2718().into()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {}", self.account())
    }
}
