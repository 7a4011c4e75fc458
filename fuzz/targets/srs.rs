//! An SRS file is read or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::{Folder, with_sha256};
use lorica_prover::srs::Srs;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

fuzz_target!(|data: &[u8]| {
    with_sha256(data, |bytes| {
        if let Ok(srs) = Srs::read(&FOLDER.write("fuzz.srs", bytes)) {
            assert_eq!(srs.digest(), bytes[bytes.len() - 32..]);
        }
    });
});
