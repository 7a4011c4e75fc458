//! Import of Hugging Face encoder folders and PEFT adapter folders.
//!
//! Input is refused by name rather than approximated: a setting, tensor or value outside of what the integer model can
//! express is an [`ImportError`] that says which file, which key or tensor, and what was found.
//!
//! * [`config`]: `config.json` to [`EncoderConfig`]
//! * [`encoder`]: `model.safetensors` to [`FloatEncoder`]
//! * [`adapter`]: a PEFT folder to [`FloatAdapter`]
//! * [`tokenizer`]: text to token ids
//!
//! Matrices are row-major `[out][in]` as Hugging Face stores them.

pub mod adapter;
mod adapter_config;
pub mod config;
pub mod encoder;
pub mod error;
mod json_file;
pub mod site;
mod tensor_file;
pub mod tokenizer;

pub use adapter::{FloatAdapter, Head, LoraPair};
pub use config::{Activation, EncoderConfig};
pub use encoder::{FloatEncoder, LayerWeights, LinearWeights, NormWeights};
pub use error::ImportError;
pub use site::Site;
pub use tokenizer::{EncodeError, Tokenizer, TokenizerError};

/// Tokens that a request may have, special tokens included.
pub const MAX_TOKENS: usize = 128;
