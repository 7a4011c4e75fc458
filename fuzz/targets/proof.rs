//! A proof, of an inference, of an index or of its rows, that decodes is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_verifier::{IndexProof, InferenceProof, RowProof};

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(proof) = InferenceProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
        if let Ok(proof) = IndexProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
        if let Ok(proof) = RowProof::decode(bytes) {
            assert_eq!(proof.encode(), bytes);
        }
    });
});
