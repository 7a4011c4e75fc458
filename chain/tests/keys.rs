//! Where private keys come from.

use std::path::Path;

use alloy_primitives::{Address, address};
use lorica_chain::keys::keystore::KeystoreError;
use lorica_chain::keys::{KeyError, Password, PrivateKey};

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ACCOUNT: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// The specification's example, with its account.
const KEYSTORE: &str = r#" {"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{
    "c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "address":"008aeeda4d805471df9b2a5b0f38a0c3bcba786b","version":3}"#;
const STORED: Address = address!("0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b");
const PASSWORD: &str = "testpassword";

#[test]
fn keys_are_read_and_not_shown() {
    for text in [KEY.to_owned(), format!("{}\n", &KEY[2..])] {
        let key = PrivateKey::parse(&text).unwrap();
        assert_eq!(key.account(), ACCOUNT);
        assert_eq!(format!("{key:?}"), format!("PrivateKey of {ACCOUNT}"));
    }
    let long = format!("{KEY}00");
    for text in ["", "0x12", &"0".repeat(64), &"f".repeat(64), &"g".repeat(64), &long] {
        assert!(matches!(PrivateKey::parse(text), Err(KeyError::Digits)));
    }
}

#[test]
fn files_are_known_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let read = |path: &Path, password: &Path| PrivateKey::read(path, &Password::File(password.to_owned()));
    let nowhere = folder.path().join("nowhere");
    let (key, keystore) = (file("key", KEY.as_bytes()), file("keystore", KEYSTORE.as_bytes()));
    assert_eq!(read(&key, &nowhere).unwrap().account(), ACCOUNT, "no password is asked for");
    for password in [PASSWORD.to_owned(), format!("{PASSWORD}\n"), format!("{PASSWORD}\r\n")] {
        assert_eq!(read(&keystore, &file("password", password.as_bytes())).unwrap().account(), STORED);
    }
    let refused = read(&keystore, &file("other", b"testpassword\n\n")).unwrap_err();
    assert!(matches!(refused.root(), KeyError::Keystore(KeystoreError::Password)), "{refused}");
    assert_eq!(refused.to_string(), format!("{}: wrong password for the keystore", keystore.display()));
    let refused = read(&keystore, &nowhere).unwrap_err();
    assert!(
        matches!(&refused, KeyError::File { path, .. } if *path == nowhere),
        "the password's file is named: {refused}"
    );
    assert!(matches!(read(&nowhere, &nowhere).unwrap_err().root(), KeyError::Read(_)));

    let foreign = file("foreign", KEYSTORE.replace("008aee", "118aee").as_bytes());
    let password = file("password", PASSWORD.as_bytes());
    let refused = read(&foreign, &password).unwrap_err();
    assert!(matches!(refused.root(), KeyError::Account { got: STORED, .. }), "{refused}");
    for content in ["{", "{}", "{]"] {
        let refused = read(&file("odd", content.as_bytes()), &password).unwrap_err();
        assert!(matches!(refused.root(), KeyError::Keystore(KeystoreError::Malformed { .. })), "{refused}");
    }
    for content in [&[0xff; 64][..], &[b'a'; 1 << 17]] {
        assert!(matches!(read(&file("odd", content), &password).unwrap_err().root(), KeyError::NotText));
    }
}

/// A text is taken as it is; without a password there is no key, and no password is ever shown.
#[test]
fn passwords_are_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystore");
    std::fs::write(&path, KEYSTORE).unwrap();
    let text = Password::from(PASSWORD.to_owned());
    assert_eq!(format!("{text:?} {:?}", Password::default()), "Text(..) None");
    assert_eq!(PrivateKey::read(&path, &text).unwrap().account(), STORED);
    let refused = PrivateKey::read(&path, &Password::from(format!("{PASSWORD}\n"))).unwrap_err();
    assert!(matches!(refused.root(), KeyError::Keystore(KeystoreError::Password)), "{refused}");
    let refused = PrivateKey::read(&path, &Password::None).unwrap_err();
    assert_eq!(refused.to_string(), format!("{}: a keystore needs its password", path.display()));
    assert!(matches!(refused.root(), KeyError::NoPassword));
}
