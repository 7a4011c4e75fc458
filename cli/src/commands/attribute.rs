//! `lorica attribute`: whose records shaped an answer, for a person who holds the datanet.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use lorica::answer::printable;
use lorica::datanet::explain::explain;
use lorica::datanet::quality::contributor_name;
use lorica::files::{AdapterFile, BaseFile, DatanetFile};
use lorica::input::{encode, tokenizer};
use lorica::prover::ProverError;
use lorica_quant::integer::Executor;
use serde_json::{Value, json};

use super::word;
use crate::error::Error;
use crate::output::{Output, phases_json};

/// Signs of the longest bar.
const BAR: usize = 30;

/// Arguments of `attribute`.
#[derive(Args, Debug)]
pub struct AttributeArgs {
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// The adapter (.lorica) that names the datanet's version
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
    /// The datanet (.lorica)
    #[arg(long, value_name = "FILE")]
    pub datanet: PathBuf,
    /// The text whose answer is explained
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
    /// How many records and contributors to show
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub top: usize,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &AttributeArgs, out: &Output) -> Result<(), Error> {
    let BaseFile { key, model, .. } = out.step("load base", || BaseFile::load(&args.base))?;
    let adapter = out.step("load adapter", || AdapterFile::load(&args.adapter, &key))?;
    let file = out.step("load datanet", || DatanetFile::load(&args.datanet))?;
    let ids = encode(&tokenizer(&key)?, 0, &args.text)?;
    let executor = out.step("validate", || Executor::new(Arc::new(model)))?;
    let explained = out.step("execute", || explain(&executor, &adapter, &file, &ids))?;
    let explained = explained.ok_or(ProverError::IndexOfNoRequest)?;

    let version = &file.version;
    let label = |index: usize| version.rules.labels.get(index).map_or("", String::as_str);
    let name = |slot: u16| version.contributors.get(usize::from(slot)).map_or_else(String::new, contributor_name);
    let total = explained.shares.total.max(1);
    let part = |score: u64| 100.0 * score as f64 / total as f64;
    out.line(format!("label {}", printable(label(explained.label))));
    out.line("contributors, with their shares");
    let mut shares: Vec<_> = explained.shares.entries.iter().filter(|own| own.share > 0).collect();
    shares.sort_by_key(|own| (std::cmp::Reverse(own.share), own.slot));
    let longest = shares.first().map_or(1, |own| usize::from(own.share));
    let percent = |share: u16| 100.0 * f64::from(share) / f64::from(u16::MAX);
    for own in shares.iter().take(args.top) {
        let bar = "#".repeat((usize::from(own.share) * BAR).div_ceil(longest));
        out.line(format!("  {:>5.1} %  {bar:<BAR$}  {}", percent(own.share), printable(&name(own.slot))));
    }
    if shares.len() > args.top {
        let others: f64 = shares.iter().skip(args.top).map(|own| percent(own.share)).sum();
        out.line(format!("  {others:>5.1} %  {} more contributors", shares.len() - args.top));
    }
    out.line(format!("  {:>5.1} %  nobody: smaller contributors and rounding", percent(explained.shares.tail)));
    out.line("records, with their parts of all scores");
    let mut records = Vec::new();
    for index in explained.records().into_iter().take(args.top) {
        let (record, score) = (&version.records[index], explained.scores[index]);
        out.line(format!("  {:>5.1} %  record {index}, {}", part(score), printable(&name(record.slot))));
        out.line(format!("           {}: {}", printable(label(record.label.into())), printable(&record.text)));
        records.push(json!({
            "record": index, "score": score, "contributor": name(record.slot), "slot": record.slot,
            "label": label(record.label.into()), "weight": record.weight, "text": record.text,
        }));
    }
    out.line("not proven: `lorica prove --datanet` proves the shares of the contributors");
    let shares: Vec<Value> = shares
        .iter()
        .map(|own| json!({ "slot": own.slot, "contributor": name(own.slot), "share": own.share }))
        .collect();
    out.finish(
        "lorica.attribute/1",
        json!({
            "index": word(&file.key.id()), "version": word(&version.id()), "adapter": word(&file.key.adapter),
            "label": { "index": explained.label, "name": label(explained.label) }, "proven": false,
            "total": explained.shares.total, "shares": shares, "tail": explained.shares.tail, "records": records,
            "phases": phases_json(&out.take_phases()),
        }),
    );
    Ok(())
}
