//! Import of Hugging Face encoder folders and PEFT adapter folders.
//!
//! Input is refused by name rather than approximated: a setting, tensor or value outside of what the integer model can
//! express is an [`ImportError`] that says which file, which key or tensor, and what was found.
//!
//! * [`config`]: `config.json` to [`EncoderConfig`]
//! * [`encoder`]: a whole folder to [`FloatEncoder`]
//! * `weights`: `model.safetensors`, or `model.safetensors.index.json` and its shards
//! * `sentence_transformers`: `modules.json`, the modules' `config.json`, `sentence_bert_config.json`,
//!   `config_sentence_transformers.json`
//! * `tokenizer_file`: `tokenizer.json` and `tokenizer_config.json`
//! * [`adapter`]: a PEFT folder to [`FloatAdapter`]
//! * [`tokenizer`]: text to token ids
//!
//! The modules say which keys of a file are applied, refused, or of no effect. No other file of a folder is read.
//!
//! A model is imported for texts of up to so many tokens: one of [`Architecture::TOKEN_LIMITS`]. All other bounds on sizes are
//! [`Architecture`]'s too.
//!
//! Matrices are row-major `[out][in]` as Hugging Face stores them.
//!
//! [`Architecture`]: lorica_circuits::families::encoder::Architecture
//! [`Architecture::TOKEN_LIMITS`]: lorica_circuits::families::encoder::Architecture::TOKEN_LIMITS

pub mod adapter;
mod adapter_config;
mod adapter_modules;
pub mod config;
pub mod encoder;
pub mod error;
mod json_file;
mod sentence_transformers;
pub mod site;
mod tensor_file;
pub mod tokenizer;
mod tokenizer_file;
mod weights;

pub use adapter::{FloatAdapter, Head, LoraPair};
pub use config::EncoderConfig;
pub use encoder::{FloatEncoder, LayerWeights, LinearWeights, NormWeights};
pub use error::ImportError;
pub use lorica_circuits::families::encoder::Activation;
pub use site::{LayerSite, Site};
pub use tokenizer::{EncodeError, Tokenizer, TokenizerError};
