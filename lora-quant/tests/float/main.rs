//! Import and the float reference: agreement with `transformers`, and refusal of everything else by name.

mod activation;
mod adapter_import;
mod adapter_modules;
mod encoder_import;
mod folders;
mod reference;
mod sentence_transformers;
mod tokenizer;
mod weights;
