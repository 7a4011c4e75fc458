//! Import and the float reference: agreement with `transformers`, and refusal of everything else by name.

mod adapter_import;
mod encoder_import;
mod folders;
mod reference;
mod tokenizer;
