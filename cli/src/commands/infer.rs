//! `lorica infer`: what the integer model answers, without a proof.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use lorica::answer::{Answer, kind_of};
use lorica::files::{AdapterFile, BaseFile};
use lorica::input::{encode, tokenizer};
use lorica::prover::published;
use lorica_quant::integer::Executor;
use serde_json::json;

use super::word;
use crate::error::Error;
use crate::output::{Output, joined, phases_json};

/// Arguments of `infer`.
#[derive(Args, Debug)]
pub struct InferArgs {
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// An imported adapter (.lorica) of that base; without one the answer is the base's embedding
    #[arg(long, value_name = "FILE")]
    pub adapter: Option<PathBuf>,
    /// The text to run the model on
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &InferArgs, out: &Output) -> Result<(), Error> {
    let BaseFile { key, model, .. } = out.step("load base", || BaseFile::load(&args.base))?;
    let adapter = args.adapter.as_deref().map(|path| AdapterFile::load(path, &key)).transpose()?;
    let ids = encode(&tokenizer(&key)?, 0, &args.text)?;
    let executor = out.step("validate", || Executor::new(Arc::new(model)))?;
    let kind = kind_of(adapter.as_ref().is_some_and(|adapter| adapter.key.has_head));
    let output = out.step("execute", || executor.infer(&ids, adapter.as_ref().map(|a| &a.model), kind))?;
    let published = published(&output);
    let labels = adapter.as_ref().map_or(&[][..], |adapter| &adapter.key.labels);
    let answer = Answer::new(&published, labels, ids.len(), key.output_exponent);
    out.line(format!("{} tokens; {}", ids.len(), answer.text()));
    let content = joined(
        json!({
            "base": word(&key.commitments.id()),
            "adapter": adapter.as_ref().map(|adapter| word(&adapter.key.commitments.id())),
            "output": kind.name(), "tokens": ids.len(), "proven": false,
            "phases": phases_json(&out.take_phases()),
        }),
        answer.json(),
    );
    out.finish("lorica.infer/1", content);
    Ok(())
}
