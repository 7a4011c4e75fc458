//! Web3 Secret Storage, version 3: a private key in a JSON file under a password.
//!
//! The password is stretched (scrypt or PBKDF2-HMAC-SHA-256) to a key of 32 bytes; its first half decrypts (AES-128 in
//! counter mode), its second half authenticates: `mac = keccak256(second half ‖ ciphertext)`.

use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use lorica_verifier::protocol::keccak::keccak;
use serde_json::Value;
use zeroize::Zeroizing;

/// Most memory of scrypt, in bytes: twice what the usual parameters need. A file must not take the machine.
const MAX_SCRYPT_BYTES: u64 = 512 << 20;
/// Most work of scrypt, `n · r · p`: 16 times that of the usual parameters.
const MAX_SCRYPT_WORK: u64 = 1 << 25;
/// Most rounds of PBKDF2, 38 times the usual 2¹⁸.
const MAX_ROUNDS: u32 = 10_000_000;
/// Bytes of a private key.
const KEY_BYTES: usize = 32;

/// Why a keystore gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Not JSON, or a field is missing or of another type.
    #[error("the keystore is malformed: {field}")]
    Malformed {
        /// The field.
        field: &'static str,
    },
    /// Another version, cipher or key derivation than the standard's.
    #[error("the keystore's {field} is {got}, which is not supported")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
    },
    /// The key derivation would take too much of the machine, or has no meaning.
    #[error("the keystore's {kdf} parameters are out of bounds")]
    Bounds {
        /// The key derivation.
        kdf: &'static str,
    },
    /// The authentication code is another one.
    #[error("wrong password for the keystore")]
    Password,
}

/// The value of the first of the names that is there.
fn field<'a>(object: &'a Value, names: &[&str], field: &'static str) -> Result<&'a Value, KeystoreError> {
    names.iter().find_map(|name| object.get(name)).ok_or(KeystoreError::Malformed { field })
}

fn text<'a>(object: &'a Value, name: &'static str) -> Result<&'a str, KeystoreError> {
    field(object, &[name], name)?.as_str().ok_or(KeystoreError::Malformed { field: name })
}

fn bytes(object: &Value, name: &'static str) -> Result<Vec<u8>, KeystoreError> {
    let text = text(object, name)?;
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| KeystoreError::Malformed { field: name })
}

fn number(object: &Value, name: &'static str) -> Result<u32, KeystoreError> {
    let number = field(object, &[name], name)?.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or(KeystoreError::Malformed { field: name })
}

fn unsupported(field: &'static str, got: &Value) -> KeystoreError {
    KeystoreError::Unsupported { field, got: got.to_string() }
}

/// Both halves of the stretched password.
fn stretch(crypto: &Value, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let parameters = field(crypto, &["kdfparams"], "kdfparams")?;
    let length = number(parameters, "dklen")?;
    if length != 32 {
        return Err(KeystoreError::Unsupported { field: "dklen", got: length.to_string() });
    }
    let salt = bytes(parameters, "salt")?;
    let mut stretched = Zeroizing::new([0; 32]);
    match text(crypto, "kdf")? {
        "scrypt" => {
            let bounds = KeystoreError::Bounds { kdf: "scrypt" };
            let [n, r, p] = [number(parameters, "n")?, number(parameters, "r")?, number(parameters, "p")?];
            let block = u64::from(n).saturating_mul(r.into());
            let work = block.saturating_mul(p.into());
            // The blocks, and one per lane.
            let memory = block.saturating_add(u64::from(r).saturating_mul(p.into())).saturating_mul(128);
            if !n.is_power_of_two() || n < 2 || memory > MAX_SCRYPT_BYTES || work > MAX_SCRYPT_WORK {
                return Err(bounds);
            }
            let Ok(log_n) = u8::try_from(n.ilog2()) else { return Err(bounds) };
            let Ok(parameters) = scrypt::Params::new(log_n, r, p) else { return Err(bounds) };
            scrypt::scrypt(password, &salt, &parameters, stretched.as_mut()).map_err(|_| bounds)?;
        }
        "pbkdf2" => {
            let rounds = number(parameters, "c")?;
            if rounds == 0 || rounds > MAX_ROUNDS {
                return Err(KeystoreError::Bounds { kdf: "pbkdf2" });
            }
            match text(parameters, "prf")? {
                "hmac-sha256" => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, &salt, rounds, stretched.as_mut()),
                other => return Err(unsupported("prf", &other.into())),
            }
        }
        other => return Err(unsupported("kdf", &other.into())),
    }
    Ok(stretched)
}

/// The private key in a keystore.
///
/// # Errors
/// [`KeystoreError`].
pub fn decrypt(keystore: &Value, password: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeystoreError> {
    let version = field(keystore, &["version"], "version")?;
    if version.as_u64() != Some(3) && version.as_str() != Some("3") {
        return Err(unsupported("version", version));
    }
    // Old programs write it with a capital letter.
    let crypto = field(keystore, &["crypto", "Crypto"], "crypto")?;
    match text(crypto, "cipher")? {
        "aes-128-ctr" => {}
        other => return Err(unsupported("cipher", &other.into())),
    }
    let iv = bytes(field(crypto, &["cipherparams"], "cipherparams")?, "iv")?;
    let ciphertext = bytes(crypto, "ciphertext")?;
    // Old programs leave out leading zeros.
    let Some(zeros) = KEY_BYTES.checked_sub(ciphertext.len()) else {
        return Err(KeystoreError::Malformed { field: "ciphertext" });
    };
    let mac = bytes(crypto, "mac")?;
    let stretched = stretch(crypto, password)?;
    let (encryption, authentication) = stretched.split_at(16);
    if keccak(&[authentication, &ciphertext].concat()).as_slice() != mac {
        return Err(KeystoreError::Password);
    }
    let mut cipher =
        Ctr128BE::<Aes128>::new_from_slices(encryption, &iv).map_err(|_| KeystoreError::Malformed { field: "iv" })?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let (_, secret) = key.split_at_mut(zeros);
    secret.copy_from_slice(&ciphertext);
    cipher.apply_keystream(secret);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

    /// The specification's vectors.
    fn scrypt() -> Value {
        json!({
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
                "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
                "kdf": "scrypt",
                "kdfparams": {
                    "dklen": 32, "n": 262144, "p": 8, "r": 1,
                    "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
                },
                "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
            },
            "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
            "version": 3,
        })
    }

    fn pbkdf2() -> Value {
        json!({
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": { "iv": "6087dab2f9fdbbfaddc31a909735c1e6" },
                "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
                "kdf": "pbkdf2",
                "kdfparams": {
                    "c": 262144, "dklen": 32, "prf": "hmac-sha256",
                    "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
                },
                "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
            },
            "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
            "version": 3,
        })
    }

    #[test]
    fn the_specifications_vectors_are_decrypted() {
        for vector in [scrypt(), pbkdf2()] {
            assert_eq!(hex::encode(*decrypt(&vector, b"testpassword").unwrap()), KEY);
        }
        assert_eq!(decrypt(&pbkdf2(), b"testpassworD").unwrap_err(), KeystoreError::Password);
        let mut old = pbkdf2();
        let crypto = old.as_object_mut().unwrap().remove("crypto").unwrap();
        old["Crypto"] = crypto;
        assert_eq!(hex::encode(*decrypt(&old, b"testpassword").unwrap()), KEY);
        assert_eq!(decrypt(&old, b"").unwrap_err(), KeystoreError::Password);
    }

    fn refused(vector: &Value, pointer: &str, value: Value) -> KeystoreError {
        let mut vector = vector.clone();
        *vector.pointer_mut(pointer).unwrap() = value;
        decrypt(&vector, b"testpassword").unwrap_err()
    }

    #[test]
    fn other_files_are_refused_by_name() {
        let (scrypt, pbkdf2) = (scrypt(), pbkdf2());
        let malformed = |field| KeystoreError::Malformed { field };
        assert_eq!(decrypt(&json!([]), b"").unwrap_err(), malformed("version"));
        assert_eq!(decrypt(&json!({ "version": 3 }), b"").unwrap_err(), malformed("crypto"));
        let version = refused(&scrypt, "/version", json!(1));
        assert_eq!(version.to_string(), "the keystore's version is 1, which is not supported");
        let other = |pointer| matches!(refused(&pbkdf2, pointer, json!("x")), KeystoreError::Unsupported { .. });
        assert!(other("/crypto/cipher") && other("/crypto/kdf") && other("/crypto/kdfparams/prf"));
        assert_eq!(refused(&pbkdf2, "/crypto/cipherparams/iv", json!("00")), malformed("iv"));
        assert_eq!(refused(&pbkdf2, "/crypto/ciphertext", json!("00".repeat(33))), malformed("ciphertext"));
        assert_eq!(refused(&pbkdf2, "/crypto/mac", json!("0g")), malformed("mac"));
        assert_eq!(refused(&pbkdf2, "/crypto/mac", json!("00")), KeystoreError::Password);
        assert_eq!(refused(&pbkdf2, "/crypto/kdfparams/salt", json!(7)), malformed("salt"));
        assert_eq!(refused(&scrypt, "/crypto/kdfparams/p", json!(-1)), malformed("p"));
    }

    #[test]
    fn a_file_does_not_take_the_machine() {
        let (scrypt, pbkdf2) = (scrypt(), pbkdf2());
        let bounds = KeystoreError::Bounds { kdf: "scrypt" };
        for (name, values) in [("n", [0u32, 1, 3, 1 << 31]), ("r", [0, 1 << 12, 1 << 30, u32::MAX])] {
            for value in values {
                assert_eq!(
                    refused(&scrypt, &format!("/crypto/kdfparams/{name}"), json!(value)),
                    bounds,
                    "{name} {value}"
                );
            }
        }
        for value in [0, 129, u32::MAX] {
            assert_eq!(refused(&scrypt, "/crypto/kdfparams/p", json!(value)), bounds, "p {value}");
        }
        for value in [0, u32::MAX] {
            let refused = refused(&pbkdf2, "/crypto/kdfparams/c", json!(value));
            assert_eq!(refused, KeystoreError::Bounds { kdf: "pbkdf2" });
        }
        let long = refused(&scrypt, "/crypto/kdfparams/dklen", json!(1 << 20));
        assert!(matches!(long, KeystoreError::Unsupported { field: "dklen", .. }));
    }
}
