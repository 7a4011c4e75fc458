//! A proof that decodes is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_verifier::protocol::proof::InferenceProof;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(proof) = InferenceProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
    });
});
