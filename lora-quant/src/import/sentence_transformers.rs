//! What the sentence-transformers library keeps beside a model, as far as it changes the embedding of a text.
//!
//! Lorica's embedding is the mean over all tokens of the text as given. Every setting is applied, or refused by name, or
//! one that changes nothing. A file is read when it is there, even without `modules.json`.
//!
//! * `modules.json`: Transformer, Pooling and perhaps Normalize, in this order, of the library itself. The Transformer's
//!   `path` is the model's folder or an entry of it, which is then read instead. `idx`, `name` and `kwargs` (which options
//!   a caller may pass on) change nothing. Without the file: the model's folder, and `1_Pooling` if it is there.
//! * Pooling, `config.json`: mean pooling only, in both spellings (`pooling_mode`, `pooling_mode_*`); `include_prompt`
//!   false is refused when there is a prompt; the two names of the width change nothing.
//! * Normalize, `config.json`: the two `module_*_name` must be those of the embedding.
//! * `sentence_bert_config.json` (or another of its names, as the library looks for them): `max_seq_length` is the limit
//!   of a text, above which the library truncates and Lorica refuses; `do_lower_case` is applied; `transformer_task`,
//!   `modality_config` and `module_output_name` must say token embeddings of texts; `unpad_inputs` changes nothing;
//!   anything else must be empty.
//! * `config_sentence_transformers.json`: a `default_prompt_name` with a prompt, which changes every text, is refused; so
//!   are `truncate_dim` and another `model_type`. `prompts` that only a caller can ask for, `similarity_fn_name` and
//!   `__version__` change nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::config::is_empty;
use super::error::ImportError;
use super::json_file::{JsonObject, is_plain_name, is_present, read_json};

/// Names of the Transformer's settings; the first that is there counts.
const TRANSFORMER_SETTINGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// No model takes longer texts.
const MAX_SEQ_LENGTH: usize = 1 << 30;

/// A model folder, and what is to be done with texts.
#[derive(Debug)]
pub(super) struct SentenceTransformer {
    /// The folder of `config.json`, weights and tokenizer.
    pub(super) transformer: PathBuf,
    /// Texts are lower-cased before they are tokenised.
    pub(super) lower_case: bool,
    /// Tokens that a text may have, if that is said.
    pub(super) limit: Option<TextLimit>,
}

/// Above so many tokens the library truncates a text.
#[derive(Debug)]
pub(super) struct TextLimit {
    pub(super) tokens: usize,
    /// Where that is said.
    pub(super) file: PathBuf,
    pub(super) key: &'static str,
}

impl TextLimit {
    /// The value of a key with a number of tokens.
    pub(super) fn read(json: &JsonObject, key: &'static str) -> Result<Self, ImportError> {
        Ok(Self { tokens: json.size(key, 1, MAX_SEQ_LENGTH)?, file: json.file.clone(), key })
    }
}

impl SentenceTransformer {
    /// Reads what is there and refuses what would give another embedding.
    pub(super) fn load(dir: &Path) -> Result<Self, ImportError> {
        let modules = Modules::read(dir)?;
        let has_prompt = match JsonObject::read_if_present(dir.join("config_sentence_transformers.json"))? {
            Some(json) => check_prompts(&json)?,
            None => false,
        };
        if let Some(pooling) = modules.pooling {
            check_pooling(&JsonObject::read(pooling)?, has_prompt)?;
        }
        if let Some(json) = modules.normalize.map(JsonObject::read_if_present).transpose()?.flatten() {
            check_normalize(&json)?;
        }
        let mut folder = Self { transformer: modules.transformer, lower_case: false, limit: None };
        for name in TRANSFORMER_SETTINGS {
            if let Some(json) = JsonObject::read_if_present(folder.transformer.join(name))? {
                folder.read_settings(&json)?;
                break;
            }
        }
        Ok(folder)
    }

    fn read_settings(&mut self, json: &JsonObject) -> Result<(), ImportError> {
        for (key, value) in &json.keys {
            let supported = match key.as_str() {
                "max_seq_length" => {
                    self.limit = json.get(key).map(|_| TextLimit::read(json, "max_seq_length")).transpose()?;
                    true
                }
                "do_lower_case" => {
                    self.lower_case = json.flag(key)?;
                    true
                }
                "unpad_inputs" => true,
                "transformer_task" => value == "feature-extraction",
                "module_output_name" => value == "token_embeddings",
                "modality_config" => {
                    *value == json!({ "text": { "method": "forward", "method_output_name": "last_hidden_state" } })
                }
                _ => is_empty(value),
            };
            if !supported && !value.is_null() {
                return Err(json.unsupported(key, "token embeddings of plain texts are, with default options"));
            }
        }
        Ok(())
    }
}

/// Where the modules are.
struct Modules {
    transformer: PathBuf,
    pooling: Option<PathBuf>,
    normalize: Option<PathBuf>,
}

impl Modules {
    fn read(dir: &Path) -> Result<Self, ImportError> {
        let file = dir.join("modules.json");
        if !is_present(&file)? {
            let pooling = dir.join("1_Pooling").join("config.json");
            let pooling = is_present(&pooling)?.then_some(pooling);
            return Ok(Self { transformer: dir.into(), pooling, normalize: None });
        }
        let json = read_json(&file)?;
        let refuse = |key: &str, value: &Value, supported: &str| ImportError::unsupported(&file, key, value, supported);
        let list = json.as_array().ok_or_else(|| refuse("(whole file)", &json, "a list of modules is expected"))?;
        let mut modules = Vec::new();
        for module in list {
            let kind = &module["type"];
            let name = kind.as_str().filter(|name| name.starts_with("sentence_transformers."));
            let name = match name.and_then(|name| name.rsplit('.').next()) {
                Some(name @ ("Transformer" | "Pooling" | "Normalize")) => name,
                _ => return Err(refuse("type", kind, "Transformer, Pooling and Normalize of the library are")),
            };
            let path = match module["path"].as_str() {
                Some("") if name == "Transformer" => dir.to_owned(),
                Some(entry) if is_plain_name(entry) => dir.join(entry),
                _ => {
                    return Err(refuse(
                        "path",
                        &module["path"],
                        "the name of a folder beside modules.json is expected",
                    ));
                }
            };
            modules.push((name, path));
        }
        match modules.as_slice() {
            [("Transformer", transformer), ("Pooling", pooling), rest @ ..]
                if matches!(rest, [] | [("Normalize", _)]) =>
            {
                Ok(Self {
                    transformer: transformer.clone(),
                    pooling: Some(pooling.join("config.json")),
                    normalize: rest.first().map(|(_, path)| path.join("config.json")),
                })
            }
            _ => {
                let names: Value = modules.iter().map(|(name, _)| *name).collect();
                Err(refuse("type", &names, "Transformer, Pooling and perhaps Normalize are, in this order"))
            }
        }
    }
}

/// Refuses a prompt that every text would get; says whether there is any prompt.
fn check_prompts(json: &JsonObject) -> Result<bool, ImportError> {
    if json.get("model_type").is_some_and(|kind| kind != "SentenceTransformer") {
        return Err(json.unsupported("model_type", "only \"SentenceTransformer\" is"));
    }
    if json.get("truncate_dim").is_some() {
        return Err(json.unsupported("truncate_dim", "the embedding has all dimensions"));
    }
    let says = |prompt: &Value| !prompt.is_null() && !is_empty(prompt);
    let prompts = match json.get("prompts") {
        None => None,
        Some(Value::Object(prompts)) => Some(prompts),
        Some(_) => return Err(json.unsupported("prompts", "a map from names to prompts is expected")),
    };
    if let Some(name) = json.get("default_prompt_name").filter(|name| !is_empty(name)) {
        let prompt = name.as_str().and_then(|name| prompts?.get(name));
        if prompt.is_none_or(says) {
            return Err(json.unsupported("default_prompt_name", "a text is taken as it is given, without a prompt"));
        }
    }
    Ok(prompts.is_some_and(|prompts| prompts.values().any(says)))
}

/// Refuses every pooling but the mean over all tokens.
fn check_pooling(json: &JsonObject, has_prompt: bool) -> Result<(), ImportError> {
    for (key, value) in &json.keys {
        let supported = match key.as_str() {
            "word_embedding_dimension" | "embedding_dimension" => true,
            "include_prompt" => json.optional_flag(key)? != Some(false) || !has_prompt,
            "pooling_mode" => value.is_null() || value == "mean" || *value == json!(["mean"]),
            "pooling_mode_mean_tokens" => *value == Value::Bool(true),
            key if key.starts_with("pooling_mode_") => *value == Value::Bool(false),
            _ => false,
        };
        if !supported {
            return Err(json.unsupported(key, "the embedding is the mean over all tokens"));
        }
    }
    Ok(())
}

fn check_normalize(json: &JsonObject) -> Result<(), ImportError> {
    for key in ["module_input_name", "module_output_name"] {
        if json.get(key).is_some_and(|name| name != "sentence_embedding") {
            return Err(json.unsupported(key, "only \"sentence_embedding\" is"));
        }
    }
    Ok(())
}
