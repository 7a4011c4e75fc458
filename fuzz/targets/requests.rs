//! Files of requests and of labelled texts; a salt and a context from the command line.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica::input::{parse_context, parse_salt, read_labelled, read_requests};
use lorica_fuzz::Folder;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.write("r.jsonl", data);
    if let Ok(requests) = read_requests(&path) {
        assert!((1..=16).contains(&requests.len()));
    }
    let _ = read_labelled(&path);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (parse_salt(text), parse_context(text));
    }
});
