//! Text to token ids.

use std::time::{Duration, Instant};

use lorica_quant::import::{EncodeError, Tokenizer, TokenizerError};
use serde_json::{Value, json};

use crate::folders::Model;

fn tokenizer() -> Tokenizer {
    let bytes = changed(|json| json["truncation"] = json!(null));
    Tokenizer::from_bytes(&bytes, 40, 128).expect("a valid tokenizer")
}

fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(&Model::small().tokenizer).expect("JSON");
    change(&mut json);
    serde_json::to_vec(&json).expect("JSON")
}

#[test]
fn the_files_padding_is_off_and_its_truncation_is_the_limit() {
    let own = Tokenizer::from_bytes(&Model::small().tokenizer, 40, 128).expect("a valid tokenizer");
    assert_eq!(own.encode("hello world"), Ok(vec![2, 4, 5, 3]));
    assert_eq!(own.encode(&"hello ".repeat(6)).map(|ids| ids.len()), Ok(8));
    assert_eq!(own.encode(&"hello ".repeat(7)), Err(EncodeError::TooLong { tokens: 9, max: 8 }));
    let long = tokenizer().encode(&"hello ".repeat(126)).expect("128 tokens fit");
    assert_eq!(long.len(), 128);
}

/// The model's limit in integers, the file's, and what the largest import would take.
#[test]
fn the_smaller_of_both_limits_counts() {
    for (truncated, limit, max, importable) in
        [(None, 128, 128, 256), (None, 256, 256, 256), (Some(200), 128, 128, 200), (Some(200), 256, 200, 200)]
    {
        let bytes = changed(|json| {
            json["truncation"] = truncated.map_or(json!(null), |length: usize| {
                json!({ "max_length": length, "strategy": "LongestFirst", "stride": 0, "direction": "Right" })
            });
        });
        let tokenizer = Tokenizer::from_bytes(&bytes, 40, limit).expect("a valid tokenizer");
        assert_eq!(tokenizer.importable(), importable);
        assert_eq!(tokenizer.encode(&"a ".repeat(max - 2)).map(|ids| ids.len()), Ok(max));
        let error = tokenizer.encode(&"a ".repeat(max - 1));
        assert_eq!(error, Err(EncodeError::TooLong { tokens: max + 1, max }));
    }
}

#[test]
fn empty_text_is_the_special_tokens() {
    assert_eq!(tokenizer().encode(""), Ok(vec![2, 3]));
}

#[test]
fn literal_padding_stays_a_token() {
    assert_eq!(tokenizer().encode("hello [PAD] world [PAD]"), Ok(vec![2, 4, 0, 5, 0, 3]));
}

#[test]
fn too_long_a_text_says_how_long() {
    assert_eq!(tokenizer().encode(&"hello ".repeat(127)), Err(EncodeError::TooLong { tokens: 129, max: 128 }));
}

#[test]
fn a_megabyte_is_refused_in_reasonable_time() {
    for text in ["ab".repeat(1 << 19), "a ".repeat(1 << 19), "é".repeat(1 << 19), ".".repeat(1 << 20)] {
        let start = Instant::now();
        let result = tokenizer().encode(&text);
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        // One endless word is one unknown token.
        assert!(matches!(result, Ok(ref ids) if ids.len() == 3) || matches!(result, Err(EncodeError::TooLong { .. })));
    }
}

#[test]
fn ids_beyond_the_vocabulary_are_refused_at_load() {
    let error = Tokenizer::from_bytes(&Model::small().tokenizer, 9, 128).expect_err("token 9 has no row");
    assert!(matches!(&error, TokenizerError::VocabularyTooLarge { id: 9, vocab: 9, .. }), "{error}");
}

#[test]
fn random_and_malformed_tokenizers_are_refused() {
    let random = changed(|json| json["model"] = json!({"type": "BPE", "dropout": 0.1, "vocab": {}, "merges": []}));
    assert!(matches!(Tokenizer::from_bytes(&random, 40, 128), Err(TokenizerError::Random(_))));
    for bytes in [&b""[..], b"{}", b"null", b"\xff\xfe", br#"{"model": {"type": "Unheard"}}"#] {
        assert!(matches!(Tokenizer::from_bytes(bytes, 40, 128), Err(TokenizerError::Malformed(_))));
    }
}

#[test]
fn without_special_tokens_an_empty_text_is_refused() {
    let bare = changed(|json| json["post_processor"] = json!(null));
    let bare = Tokenizer::from_bytes(&bare, 40, 128).expect("valid");
    assert_eq!(bare.encode(""), Err(EncodeError::NoTokens));
    assert_eq!(bare.encode("hello"), Ok(vec![4]));
}

/// Any change of the file gives an error or a tokenizer, never a panic.
#[test]
fn changed_bytes_never_panic() {
    let good = Model::small().tokenizer;
    for step in 0..3000 {
        let mut bytes = good.clone();
        bytes[step * 7919 % good.len()] = b"0123456789\"{}[]:,-tfn "[step % 22];
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes, 40, 128) {
            let _ = tokenizer.encode("hello [PAD] ab zzz \u{e9}");
        }
    }
}
