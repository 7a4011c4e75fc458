//! `tokenizer.json`, which travels in `base.vk`: read and used on texts, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lorica_quant::import::Tokenizer;

const VOCABULARY: usize = 40;
const LIMIT: usize = 128;

fuzz_target!(
    init: {
        // The library panics on files that contradict themselves, which is caught and made an error. What is not caught
        // reaches libFuzzer as a failed call.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |data: &[u8]| {
        let Ok(tokenizer) = Tokenizer::from_bytes(data, VOCABULARY, LIMIT) else { return };
        for text in ["", "hello world", "a b ab \u{0} \u{1f980} É ﬁ 世界", "[CLS] ##a [PAD]"] {
            if let Ok(ids) = tokenizer.encode(text) {
                assert!(ids.len() <= LIMIT && ids.iter().all(|id| (*id as usize) < VOCABULARY));
            }
        }
    }
);
