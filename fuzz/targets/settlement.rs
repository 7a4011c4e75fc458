//! A settlement, of an inference or of an index proof, that decodes is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::with_keccak;
use lorica_settlement::settlement::{IndexSettlement, Settlement};

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(settlement) = Settlement::decode(bytes) {
            assert_eq!(settlement.encode(), bytes);
        }
        if let Ok(settlement) = IndexSettlement::decode(bytes) {
            assert_eq!(settlement.encode(), bytes);
        }
    });
});
