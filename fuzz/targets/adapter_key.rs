//! An adapter key that decodes survives its own encoding, and is held against a valid base.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::{seed, with_keccak};
use lorica_verifier::{AdapterKey, BaseKey};

static BASE: LazyLock<BaseKey> = LazyLock::new(|| BaseKey::decode(&seed("base_key", "base")).expect("a valid seed"));

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(key) = AdapterKey::decode(bytes) {
            assert_eq!(AdapterKey::decode(&key.encode()).as_ref(), Ok(&key));
            if key.commitments.validate(&BASE.commitments).is_ok() {
                let _ = key.commitments.id();
            }
        }
    });
});
