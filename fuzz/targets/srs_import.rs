//! A ceremony's file, `.ptau` or raw halo2 parameters, is imported or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica_fuzz::Folder;
use lorica_prover::srs::Srs;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

fuzz_target!(|data: &[u8]| {
    let _ = Srs::import(&FOLDER.write("fuzz.ptau", data));
});
