//! `config.json` of a Hugging Face BERT encoder: what is read, what is accepted, what is refused by name.

use std::path::Path;

use serde_json::Value;

use super::error::ImportError;
use super::json_file::JsonObject;

/// The activation function of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x Φ(x)` with the exact normal distribution function (`gelu`).
    Gelu,
    /// The tanh approximation of GELU: `gelu_new`, `gelu_pytorch_tanh` and `gelu_fast`.
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

    /// Reads and checks `config.json` of a folder.
    pub fn load(dir: &Path) -> Result<Self, ImportError> {
        Self::from_object(&JsonObject::read(dir.join("config.json"))?)
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

/// `gelu_new` and `gelu_pytorch_tanh` have one formula, `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`. `gelu_fast` writes
/// `0.7978845608` for √(2/π): no entry of an activation table is another one for it (tests/float/activation.rs).
fn activation(json: &JsonObject) -> Result<Activation, ImportError> {
    match json.get("hidden_act").map(Value::as_str) {
        None | Some(Some("gelu")) => Ok(Activation::Gelu),
        Some(Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast")) => Ok(Activation::GeluNew),
        Some(Some("relu")) => Ok(Activation::Relu),
        Some(_) => Err(json.unsupported("hidden_act", "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast and relu are")),
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
