//! Sources of datanets, in both formats: whatever is in them, each row is read, refused by name, or ends the reading with an error.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica::datanet::scrub::scrub;
use lorica::datanet::source::{Expected, read};
use lorica_fuzz::{Folder, seed};
use lorica_quant::import::Tokenizer;

static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);
static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::from_bytes(&seed("tokenizer", "wordpiece"), 40, 128).expect("a tokenizer"));

fuzz_target!(|data: &[u8]| {
    let labels = ["a".to_owned(), "b".to_owned()];
    for name in ["r.jsonl", "r.csv"] {
        let path = FOLDER.write(name, data);
        for contributors in [false, true] {
            if let Ok(rows) = read(&path, Expected { labels: &labels, contributors }) {
                let _ = scrub(rows, &TOKENIZER);
            }
        }
    }
});
