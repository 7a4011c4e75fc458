//! `config.json` of a Hugging Face BERT encoder: what is read, what is accepted, what is refused by name.

use std::path::Path;

use lorica_circuits::families::encoder::{Activation, Architecture};
use serde_json::Value;

use super::error::ImportError;
use super::json_file::JsonObject;

/// Sizes and options of an encoder, checked to be supported.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// Width of a token's vector: a multiple of the block.
    pub hidden: usize,
    /// Number of encoder layers.
    pub layers: usize,
    /// Attention heads; `hidden / heads` is a power of two from 16 to the block.
    pub heads: usize,
    /// Width of the feed-forward block: a multiple of the block.
    pub intermediate: usize,
    /// Rows of the word embedding.
    pub vocab: usize,
    /// Rows of the position embedding, at least `max_tokens`.
    pub max_positions: usize,
    /// Tokens that a text may have, one of [`Architecture::TOKEN_LIMITS`].
    pub max_tokens: usize,
    /// Rows of the token type embedding, at least 1.
    pub type_vocab: usize,
    /// Activation of the feed-forward block.
    pub activation: Activation,
    /// Added to the variance inside every layer normalisation.
    pub layer_norm_eps: f64,
}

const MAX_POSITIONS: usize = 1 << 20;
const MAX_TOKEN_TYPES: usize = 1 << 10;

impl EncoderConfig {
    /// Width of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Channels of a block of the architecture: the widest of [`Architecture::BLOCKS`] that divides both widths.
    pub fn block(&self) -> usize {
        block(self.hidden, self.intermediate)
    }

    /// Reads and checks `config.json` of a folder, for texts of up to so many tokens.
    pub fn load(dir: &Path, max_tokens: usize) -> Result<Self, ImportError> {
        Self::from_object(&JsonObject::read(dir.join("config.json"))?, max_tokens)
    }

    fn from_object(json: &JsonObject, max_tokens: usize) -> Result<Self, ImportError> {
        match json.get("model_type") {
            None => return Err(ImportError::missing_key(&json.file, "model_type")),
            Some(Value::String(kind)) if kind == "bert" => {}
            Some(_) => return Err(json.unsupported("model_type", "only \"bert\" is")),
        }
        refuse_other_graphs(json)?;
        let width = |key, most| {
            let [step, ..] = Architecture::BLOCKS;
            let size = json.size(key, step, most)?;
            if size.is_multiple_of(step) {
                Ok(size)
            } else {
                Err(json.unsupported(key, format!("a multiple of {step} is expected")))
            }
        };
        let hidden = width("hidden_size", Architecture::MAX_HIDDEN)?;
        let intermediate = width("intermediate_size", Architecture::MAX_INTERMEDIATE)?;
        let heads = json.size("num_attention_heads", 1, hidden)?;
        let (head_dim, block) = (hidden / heads, block(hidden, intermediate));
        if hidden % heads != 0
            || !head_dim.is_power_of_two()
            || !(Architecture::MIN_HEAD_DIM..=block).contains(&head_dim)
        {
            let least = Architecture::MIN_HEAD_DIM;
            let supported = format!(
                "hidden_size / heads must be a power of two from {least} to {block}, and hidden_size is {hidden}"
            );
            return Err(json.unsupported("num_attention_heads", supported));
        }
        Ok(Self {
            hidden,
            layers: json.size("num_hidden_layers", 1, Architecture::MAX_LAYERS)?,
            heads,
            intermediate,
            vocab: json.size("vocab_size", Architecture::MIN_VOCAB, Architecture::MAX_VOCAB)?,
            max_positions: json.size("max_position_embeddings", max_tokens, MAX_POSITIONS)?,
            max_tokens,
            type_vocab: json.size_or("type_vocab_size", 2, 1, MAX_TOKEN_TYPES)?,
            activation: activation(json)?,
            layer_norm_eps: layer_norm_eps(json)?,
        })
    }
}

fn block(hidden: usize, intermediate: usize) -> usize {
    let [small, large] = Architecture::BLOCKS;
    if [hidden, intermediate].iter().all(|width| width.is_multiple_of(large)) { large } else { small }
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
