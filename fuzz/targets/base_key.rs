//! A base key that decodes survives its own encoding; what validates has an id and a tokenizer that is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_verifier::BaseKey;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(key) = BaseKey::decode(bytes) {
            assert_eq!(BaseKey::decode(&key.encode()).as_ref(), Ok(&key));
            if key.commitments.validate().is_ok() {
                let _ = key.commitments.id();
            }
        }
    });
});
