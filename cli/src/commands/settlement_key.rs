//! `lorica settlement-key`: the key of an architecture and shape, made here rather than taken from someone.

use std::path::PathBuf;

use clap::Args;
use lorica::files::{SETTLEMENT_KEY_MAGIC, read_base_key, store};
use lorica::registration::expect_tables;
use lorica::settle::Settler;
use lorica::srs::AcceptedSrs;
use lorica_circuits::shape::{OutputKind, RECORDS, Shape};
use lorica_settlement::statement::CircuitShape;
use serde_json::json;

use super::shape_json;
use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::output::{Output, size};
use crate::srs_args::SrsArgs;
use std::sync::Arc;

/// Arguments of `settlement-key`.
#[derive(Args, Debug)]
pub struct SettlementKeyArgs {
    /// Key (.vk; a .lorica file will do) of any base of the architecture: the settlement key does not depend on the model
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// The most requests in a batch, 1 to 16; rounded up to a power of two
    #[arg(long, default_value_t = 1)]
    pub requests: usize,
    /// The most tokens in a text, from 2 to the base's limit; rounded up to 16, 32, 64, 128 or 256
    #[arg(long, default_value_t = 32)]
    pub tokens: usize,
    /// Make the key for embeddings instead of labels
    #[arg(long)]
    pub embed: bool,
    /// Make the key for answers that are attributed by datanets of up to so many records: 2048, 16384 or 65536. 0: for answers
    /// that are not attributed
    #[arg(long, value_name = "RECORDS", default_value_t = 0, value_parser = parse_records, conflicts_with = "embed")]
    pub records: usize,
    /// Make the key for proofs of indexes with room for so many records: 2048, 16384 or 65536
    #[arg(long, value_name = "RECORDS", conflicts_with_all = ["requests", "tokens", "embed", "records"])]
    pub index: Option<usize>,
    /// File to write the settlement key to (.vk)
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

fn parse_records(text: &str) -> Result<usize, String> {
    let known = |records: &usize| *records == 0 || RECORDS.contains(records);
    text.parse()
        .ok()
        .filter(known)
        .ok_or_else(|| format!("one of 0, {} is expected", RECORDS.map(|n| n.to_string()).join(", ")))
}

/// A settler that keeps its keys in the cache.
///
/// # Errors
/// [`Error::Fetch`] if there is no cache folder.
pub(crate) fn settler(srs: Arc<AcceptedSrs>) -> Result<Settler, Error> {
    Ok(Settler::new(srs).with_cache(cache_dir()?.join("settlement")))
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &SettlementKeyArgs, out: &Output) -> Result<(), Error> {
    store::expect_writable(&args.out, SETTLEMENT_KEY_MAGIC)?;
    let base = read_base_key(&args.base)?.commitments;
    let output = if args.embed { OutputKind::Embed } else { OutputKind::Classify };
    let of = match args.index {
        Some(records) => CircuitShape::of_index(&base, records),
        None => {
            let shape = base.architecture.shape(args.requests, args.tokens, base.log_tile, output)?;
            CircuitShape::of(&base, Shape { records: args.records, ..shape })
        }
    };
    of.layout()?;
    let srs = args.srs.load(base.log_tile, out)?;
    out.step("make tables again", || expect_tables(&srs, &base))?;
    let key = settler(srs)?.key(&of, &out.steps())?;
    let bytes = key.verifying().encode();
    store::write(&args.out, &bytes)?;
    let circuit = format!("0x{}", hex::encode(key.verifying().circuit_id()));
    out.line(format!("{}: {}", args.out.display(), size(bytes.len() as u64)));
    out.line(format!("  circuit {circuit}"));
    out.line(format!("  {}", lorica_settlement::key::describe(&of)));
    out.finish(
        "lorica.settlement-key/1",
        json!({
            "file": args.out, "circuit": circuit, "shape": shape_json(&of.shape), "index": args.index, "log_rows": key.verifying().log_rows(),
        }),
    );
    Ok(())
}
