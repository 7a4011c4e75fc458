//! A datanet that decodes is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica::files::DatanetFile;
use lorica_fuzz::with_keccak;

fuzz_target!(|data: &[u8]| {
    with_keccak(data, |bytes| {
        if let Ok(datanet) = DatanetFile::decode(bytes) {
            assert_eq!(datanet.encode(), bytes);
        }
    });
});
