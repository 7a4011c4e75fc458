//! An adapter that decodes survives its own encoding; its integers are held against a valid base.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica::files::AdapterFile;
use lorica_fuzz::{seed, with_keccak};
use lorica_verifier::BaseKey;

static BASE: LazyLock<BaseKey> = LazyLock::new(|| BaseKey::decode(&seed("base_key", "base")).expect("a valid seed"));

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(file) = AdapterFile::decode(bytes) {
            assert_eq!(AdapterFile::decode(&file.encode()).as_ref(), Ok(&file));
            let _ = file.key.commitments.validate(&BASE.commitments);
            let _ = file.model.validate(&BASE.commitments.architecture);
        }
    });
});
