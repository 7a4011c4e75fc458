//! A settlement key is read or refused, halo2's own key inside of it too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_settlement::key::VerifyingKey;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(key) = VerifyingKey::decode(bytes) {
            let _ = key.content();
        }
    });
});
