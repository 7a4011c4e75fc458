//! A datanet's index key that decodes is written back as the same bytes; its description is read, and written back too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica::files::Description;
use lorica_fuzz::with_keccak;
use lorica_verifier::IndexKey;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        let Ok(key) = IndexKey::decode(bytes) else { return };
        assert_eq!(key.encode(), bytes);
        if let Ok(description) = Description::decode(&key) {
            assert_eq!(description.encode(), key.description);
        }
    });
});
