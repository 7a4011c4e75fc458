//! `config.json` of a Hugging Face BERT encoder: what is read, what is accepted, what is refused by name.

use std::path::Path;

use serde_json::Value;

use super::error::ImportError;
use super::json_file::{JsonObject, read_json};

/// The activation function of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x Φ(x)` with the exact normal distribution function (`gelu`).
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`).
    GeluNew,
    /// `max(x, 0)`.
    Relu,
}

/// Sizes and options of an encoder, checked to be supported.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// Width of a token's vector: a multiple of 128.
    pub hidden: usize,
    /// Number of encoder layers, at most 16.
    pub layers: usize,
    /// Attention heads; `hidden / heads` is a power of two from 16 to 128.
    pub heads: usize,
    /// Width of the feed-forward block: a multiple of 128.
    pub intermediate: usize,
    /// Rows of the word embedding, at most 2^20.
    pub vocab: usize,
    /// Rows of the position embedding, at least 128.
    pub max_positions: usize,
    /// Rows of the token type embedding, at least 1.
    pub type_vocab: usize,
    /// Activation of the feed-forward block.
    pub activation: Activation,
    /// Added to the variance inside every layer normalisation.
    pub layer_norm_eps: f64,
}

/// Widths are multiples of this.
const WIDTH_STEP: usize = 128;
const MAX_WIDTH: usize = 1 << 16;
const MAX_LAYERS: usize = 16;
const MAX_VOCAB: usize = 1 << 20;
const MAX_POSITIONS: usize = 1 << 20;
const MAX_TOKEN_TYPES: usize = 1 << 10;

impl EncoderConfig {
    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Reads and checks `config.json` of a model folder, and what sentence-transformers adds beside it.
    pub fn load(dir: &Path) -> Result<Self, ImportError> {
        let config = Self::from_object(&JsonObject::read(dir.join("config.json"))?)?;
        check_sentence_transformers(dir)?;
        Ok(config)
    }

    fn from_object(json: &JsonObject) -> Result<Self, ImportError> {
        match json.get("model_type") {
            None => return Err(ImportError::missing_key(&json.file, "model_type")),
            Some(Value::String(kind)) if kind == "bert" => {}
            Some(_) => return Err(json.unsupported("model_type", "only \"bert\" is")),
        }
        refuse_other_graphs(json)?;
        let width = |key| {
            let size = json.size(key, WIDTH_STEP, MAX_WIDTH)?;
            if size % WIDTH_STEP == 0 {
                Ok(size)
            } else {
                Err(json.unsupported(key, format!("a multiple of {WIDTH_STEP} is expected")))
            }
        };
        let hidden = width("hidden_size")?;
        let heads = json.size("num_attention_heads", 1, hidden)?;
        let head_dim = hidden / heads;
        if hidden % heads != 0 || !head_dim.is_power_of_two() || !(16..=128).contains(&head_dim) {
            return Err(json.unsupported(
                "num_attention_heads",
                format!("hidden_size / heads must be 16, 32, 64 or 128, and hidden_size is {hidden}"),
            ));
        }
        Ok(Self {
            hidden,
            layers: json.size("num_hidden_layers", 1, MAX_LAYERS)?,
            heads,
            intermediate: width("intermediate_size")?,
            vocab: json.size("vocab_size", 1, MAX_VOCAB)?,
            max_positions: json.size("max_position_embeddings", super::MAX_TOKENS, MAX_POSITIONS)?,
            type_vocab: json.size_or("type_vocab_size", 2, 1, MAX_TOKEN_TYPES)?,
            activation: activation(json)?,
            layer_norm_eps: layer_norm_eps(json)?,
        })
    }
}

/// Options of `BertConfig` that change what is computed.
fn refuse_other_graphs(json: &JsonObject) -> Result<(), ImportError> {
    if json.get("position_embedding_type").is_some_and(|kind| kind != "absolute") {
        return Err(json.unsupported("position_embedding_type", "only \"absolute\" is"));
    }
    for key in ["is_decoder", "add_cross_attention"] {
        if json.flag(key)? {
            return Err(json.unsupported(key, "only encoders are"));
        }
    }
    if json.get("quantization_config").is_some() {
        return Err(json.unsupported("quantization_config", "weights must be plain f32, f16 or bf16"));
    }
    if json.get("pruned_heads").is_some_and(|heads| !is_empty(heads)) {
        return Err(json.unsupported("pruned_heads", "all heads must be present"));
    }
    Ok(())
}

fn activation(json: &JsonObject) -> Result<Activation, ImportError> {
    match json.get("hidden_act").map(Value::as_str) {
        None | Some(Some("gelu")) => Ok(Activation::Gelu),
        Some(Some("gelu_new")) => Ok(Activation::GeluNew),
        Some(Some("relu")) => Ok(Activation::Relu),
        Some(_) => Err(json.unsupported("hidden_act", "\"gelu\", \"gelu_new\" and \"relu\" are")),
    }
}

fn layer_norm_eps(json: &JsonObject) -> Result<f64, ImportError> {
    let Some(value) = json.get("layer_norm_eps") else { return Ok(1e-12) };
    value
        .as_f64()
        .filter(|eps| *eps > 0.0 && *eps <= 1e-2)
        .ok_or_else(|| json.unsupported("layer_norm_eps", "a number above 0 and up to 0.01 is expected"))
}

/// True for `[]`, `{}` and `""`.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A sentence-transformers folder says how it pools. Lorica's embedding is the mean over tokens: another pooling, or a
/// further layer behind it, would silently give something else than the model's own embedding.
fn check_sentence_transformers(dir: &Path) -> Result<(), ImportError> {
    let pooling = dir.join("1_Pooling").join("config.json");
    if pooling.exists() {
        let json = JsonObject::read(pooling)?;
        for (key, value) in &json.keys {
            let is_mode = key.starts_with("pooling_mode_") && key != "pooling_mode_mean_tokens";
            if is_mode && value != &Value::Bool(false) {
                return Err(json.unsupported(key, "the embedding is the mean over tokens"));
            }
        }
        if json.get("pooling_mode").is_some_and(|mode| mode != "mean") {
            return Err(json.unsupported("pooling_mode", "the embedding is the mean over tokens"));
        }
    }
    let modules = dir.join("modules.json");
    if modules.exists() {
        let list = read_json(&modules)?;
        for module in list.as_array().into_iter().flatten() {
            let kind = module.get("type").unwrap_or(&Value::Null);
            let name = kind.as_str().and_then(|path| path.rsplit('.').next());
            if !matches!(name, Some("Transformer" | "Pooling" | "Normalize")) {
                return Err(ImportError::unsupported(&modules, "type", kind, "Transformer, Pooling, Normalize are"));
            }
        }
    }
    Ok(())
}
