//! Where private keys come from.

use std::path::Path;
use std::process::Command;

use alloy_primitives::{Address, address};
use lorica_chain::keys::keystore::KeystoreError;
use lorica_chain::keys::{KEY_VARIABLE, KeyError, PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, Password, PrivateKey};

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

/// Says what the environment gives. Without the test below it has nothing to say.
#[test]
fn in_an_environment() {
    let Some(wanted) = std::env::var_os("LORICA_TEST_KEYS") else { return };
    let file = std::env::var_os("LORICA_TEST_FILE");
    let found = PrivateKey::find(file.as_deref().map(Path::new), &Password::Environment);
    let found = match found {
        Ok(key) => key.map_or("none".into(), |key| key.account().to_string()),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, wanted.to_str().unwrap());
}

#[test]
fn the_environment_gives_keys_and_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let (keystore, password) = (folder.path().join("keystore"), folder.path().join("password"));
    std::fs::write(&keystore, KEYSTORE).unwrap();
    std::fs::write(&password, PASSWORD).unwrap();
    let (keystore, password) = (keystore.to_str().unwrap(), password.to_str().unwrap());
    let expect = |wanted: &str, variables: &[(&str, &str)]| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "in_an_environment"]).env("LORICA_TEST_KEYS", wanted);
        for name in [KEY_VARIABLE, PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE] {
            child.env_remove(name);
        }
        let output = child.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let file = ("LORICA_TEST_FILE", keystore);
    let (account, stored) = (ACCOUNT.to_string(), STORED.to_string());
    expect("none", &[]);
    expect(&account, &[(KEY_VARIABLE, KEY)]);
    expect(
        "LORICA_PRIVATE_KEY: a private key has 64 hexadecimal digits and is below the curve's order",
        &[(KEY_VARIABLE, "0x12")],
    );
    expect(&stored, &[file, (KEY_VARIABLE, KEY), (PASSWORD_VARIABLE, PASSWORD)]);
    expect(&stored, &[file, (PASSWORD_FILE_VARIABLE, password)]);
    expect(&stored, &[file, (PASSWORD_VARIABLE, PASSWORD), (PASSWORD_FILE_VARIABLE, keystore)]);
    expect(&format!("{keystore}: wrong password for the keystore"), &[file, (PASSWORD_VARIABLE, "")]);
    expect(&format!("{keystore}: {}", KeyError::NoPassword), &[file]);
}
