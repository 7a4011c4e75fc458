//! A base that decodes survives its own encoding; its key and its integers are validated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica::files::BaseFile;
use lorica_fuzz::with_keccak;
use lorica_verifier::BaseKey;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(file) = BaseFile::decode(bytes) {
            let encoded = file.encode();
            let again = BaseFile::decode(&encoded).expect("its own encoding");
            assert_eq!(again.model.columns, file.model.columns);
            assert_eq!(BaseKey::decode(bytes).as_ref(), Ok(&file.key));
            if file.key.commitments.validate().is_ok() {
                let _ = file.model.validate();
            }
        }
    });
});
