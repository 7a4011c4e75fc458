//! A proof, of an inference or of an index, that decodes is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_verifier::{IndexProof, InferenceProof};

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(proof) = InferenceProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
        if let Ok(proof) = IndexProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
    });
});
