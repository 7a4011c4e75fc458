//! `tokenizer.json` of a folder, with what the files beside it say about texts.
//!
//! A registered base keeps `tokenizer.json` alone, so that the other files' settings go into it: lower-casing becomes its
//! first normaliser, the limit of a text its truncation. Both are left as they are where they say the same already.
//!
//! The limit is the model's own: `max_seq_length` of sentence-transformers, else `model_max_length` of
//! `tokenizer_config.json`, and not more than the positions; what `tokenizer.json` truncates to is not looked at, as both
//! libraries set it anew. That the model is imported for shorter texts changes nothing in the file. Of `tokenizer_config.json`,
//! `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` are read too: `transformers` would change the tokenizer
//! where they contradict it, here that is refused. No other key of it is read.

use std::path::Path;

use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::shape::MAX_TOKENS;
use serde_json::{Map, Value, json};

use super::config::EncoderConfig;
use super::error::ImportError;
use super::json_file::{JsonObject, MAX_JSON_BYTES, is_present, read_file};
use super::sentence_transformers::{SentenceTransformer, TextLimit};
use super::tokenizer::{Tokenizer, truncation};

/// The bytes of a `tokenizer.json` that does what the whole folder says, checked to load.
pub(super) fn read_tokenizer(folder: &SentenceTransformer, config: &EncoderConfig) -> Result<Vec<u8>, ImportError> {
    let file = folder.transformer.join("tokenizer.json");
    refuse_bare_vocabulary(&folder.transformer, &file)?;
    let mut bytes = read_file(&file, MAX_JSON_BYTES)?;
    let keys: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|source| ImportError::Json { file: file.clone(), source })?;
    let mut tokenizer = Value::Object(keys);
    let settings = JsonObject::read_if_present(folder.transformer.join("tokenizer_config.json"))?;
    if let Some(settings) = &settings {
        refuse_contradictions(settings, &tokenizer["normalizer"])?;
    }
    let said = settings.as_ref().map(model_max_length).transpose()?.flatten();
    let limit = own_limit(folder.limit.as_ref().or(said.as_ref()), config)?;
    let other_limit = truncation(&tokenizer).min(MAX_TOKENS) != limit;
    if other_limit {
        let truncation = json!({ "max_length": limit, "strategy": "LongestFirst", "stride": 0, "direction": "Right" });
        tokenizer["truncation"] = if limit < MAX_TOKENS { truncation } else { Value::Null };
    }
    let lower_case =
        folder.lower_case && !normalisers(&tokenizer["normalizer"]).iter().any(|n| n["type"] == "Lowercase");
    if lower_case {
        let lower = json!({ "type": "Lowercase" });
        let own = tokenizer["normalizer"].take();
        tokenizer["normalizer"] =
            if own.is_null() { lower } else { json!({ "type": "Sequence", "normalizers": [lower, own] }) };
    }
    if other_limit || lower_case {
        bytes = tokenizer.to_string().into_bytes();
    }
    Tokenizer::from_bytes(&bytes, config.vocab, config.max_tokens)
        .map_err(|source| ImportError::Tokenizer { file, source })?;
    Ok(bytes)
}

/// The model's own limit of a text, as far as any import can use it. A limit for which a smaller import would do is refused
/// with a larger one: every proof would cost more, and no text gain.
fn own_limit(said: Option<&TextLimit>, config: &EncoderConfig) -> Result<usize, ImportError> {
    let most = config.max_positions.min(MAX_TOKENS);
    let Some(said) = said else { return Ok(most) };
    let smaller =
        Architecture::TOKEN_LIMITS.into_iter().find(|limit| *limit < config.max_tokens && said.tokens <= *limit);
    if let Some(smaller) = smaller {
        let reason = format!(
            "texts of up to {} tokens are wanted; an import for {smaller} takes all that the model does",
            config.max_tokens
        );
        return Err(ImportError::unsupported(&said.file, said.key, &said.tokens.into(), reason));
    }
    Ok(said.tokens.min(most))
}

/// Old folders have the vocabulary only; which tokenizer it belongs to is said by no file.
fn refuse_bare_vocabulary(dir: &Path, tokenizer: &Path) -> Result<(), ImportError> {
    let vocabulary = dir.join("vocab.txt");
    if !is_present(tokenizer)? && is_present(&vocabulary)? {
        let remedy = "make tokenizer.json of it with Python and transformers: \
            AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";
        return Err(ImportError::OtherFormat { file: vocabulary, remedy });
    }
    Ok(())
}

/// `model_max_length`; without a limit the library writes a number like 10^30.
fn model_max_length(settings: &JsonObject) -> Result<Option<TextLimit>, ImportError> {
    const KEY: &str = "model_max_length";
    match settings.get(KEY) {
        None => Ok(None),
        Some(value) if value.as_f64().is_some_and(|length| length >= 1e9) => Ok(None),
        Some(_) => TextLimit::read(settings, KEY).map(Some),
    }
}

fn refuse_contradictions(settings: &JsonObject, normaliser: &Value) -> Result<(), ImportError> {
    let all = normalisers(normaliser);
    let bert = all.iter().find(|normaliser| normaliser["type"] == "BertNormalizer");
    let bert = |key: &str| bert.and_then(|normaliser| normaliser[key].as_bool());
    let lower_case = bert("lowercase") == Some(true) || all.iter().any(|normaliser| normaliser["type"] == "Lowercase");
    // BERT's normaliser strips accents when it lower-cases, unless it says something about them.
    let accents = bert("strip_accents").or(bert("lowercase"));
    for (key, found) in [
        ("do_lower_case", Some(lower_case)),
        ("strip_accents", accents),
        ("tokenize_chinese_chars", bert("handle_chinese_chars")),
    ] {
        let said = settings.optional_flag(key)?;
        if let (Some(said), Some(found)) = (said, found)
            && said != found
        {
            return Err(settings.unsupported(key, format!("the normaliser of tokenizer.json says {found}")));
        }
    }
    Ok(())
}

/// A normaliser and, of a sequence, its parts.
fn normalisers(normaliser: &Value) -> Vec<&Value> {
    match normaliser["normalizers"].as_array() {
        Some(parts) => parts.iter().flat_map(normalisers).collect(),
        None => vec![normaliser],
    }
}
