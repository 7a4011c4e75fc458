//! `lorica adapter import`: from a PEFT folder to a registered adapter.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica::answer::kind_of;
use lorica::answer::printable;
use lorica::files::{ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, AdapterFile, BaseFile, store};
use lorica::import::{load_adapter, weights_digest};
use lorica::input::read_labelled;
use lorica::quality::{Measured, measure};
use lorica::registration::register_adapter;
use lorica_quant::import::FloatEncoder;
use lorica_quant::integer::Executor;
use serde_json::{Value, json};

use super::model::{check_output, quality_json};
use super::word;
use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::output::{Output, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// What to do with an adapter.
#[derive(Debug, Subcommand)]
pub enum AdapterCommand {
    /// Import a PEFT LoRA folder: quantise it for a base, commit to its weights, write adapter and key
    ///
    /// Writes the adapter (FILE, with the weights, for proving) and its key (FILE with the ending .vk, for checking). With --texts
    /// it measures how often the integer model agrees with the float model and with the labels.
    Import(ImportArgs),
}

/// Arguments of `adapter import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Folder with adapter_config.json, adapter_model.safetensors and perhaps labels.json
    pub dir: PathBuf,
    /// The imported base (.lorica) that the adapter was trained on
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Texts to measure the quality on: JSON lines with `text`, and `label` if it is known
    #[arg(long, value_name = "FILE")]
    pub texts: Option<PathBuf>,
    /// Folder that the base was imported from, to compare with the float model. If absent, a fetched model is found in the cache
    #[arg(long, value_name = "DIR", requires = "texts")]
    pub model: Option<PathBuf>,
    /// File to write the adapter to; its key is written beside it, with the ending .vk
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that commits.
    pub srs: SrsArgs,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &AdapterCommand, out: &Output) -> Result<(), Error> {
    let AdapterCommand::Import(args) = command;
    check_output(&args.out, ADAPTER_MAGIC, ADAPTER_KEY_MAGIC)?;
    let texts = args.texts.as_deref().map(read_labelled).transpose()?;
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    srs.expect_of(&base.key.commitments)?;
    let (float, model) = out.step("load and quantise", || load_adapter(&args.dir, &base.model))?;
    let BaseFile { key, source, model: base_model } = base;
    let file = out.step("commit", || register_adapter(&srs, &key, model))?;
    let measured = match &texts {
        None => None,
        Some(texts) => {
            let encoder = float_model(args.model.as_deref(), &source, out)?;
            let executor = Executor::new(base_model.into())?;
            let measure = || measure(&executor, encoder.as_ref(), &float, &file.model, texts);
            Some(out.step("measure", measure)?)
        }
    };
    let (bytes, key_bytes) = out.step("write", || file.store(&args.out))?;
    report(args, &file, srs.is_insecure(), measured.as_ref(), (bytes, key_bytes), out);
    Ok(())
}

fn report(
    args: &ImportArgs,
    file: &AdapterFile,
    insecure: bool,
    measured: Option<&Measured>,
    (bytes, key_bytes): (u64, u64),
    out: &Output,
) {
    let key_path = store::key_path(&args.out);
    let phases = out.take_phases();
    let commitments = &file.key.commitments;
    out.line(format!("adapter {}", word(&commitments.id())));
    out.line(format!("  of base {}", word(&commitments.base)));
    let labels: Vec<String> = file.key.labels.iter().map(|label| printable(label)).collect();
    out.line(format!("  {}: {}", kind_of(file.key.has_head).name(), labels.join(", ")));
    if let Some(measured) = measured {
        out.line(format!("  {}", measured_text(measured)));
    }
    out.line(format!("  {} {}, {} {}", args.out.display(), size(bytes), key_path.display(), size(key_bytes)));
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    out.finish(
        "lorica.adapter.import/1",
        json!({
            "adapter": { "file": args.out, "bytes": bytes, "id": word(&commitments.id()) },
            "key": { "file": key_path, "bytes": key_bytes },
            "base": word(&commitments.base), "output": kind_of(file.key.has_head).name(),
            "labels": file.key.labels, "commitments": commitments.tiles.len(), "insecure_srs": insecure,
            "measured": measured.map(measured_json), "phases": phases_json(&phases),
        }),
    );
}

/// The float model that the base came from: the folder given, or the fetched one if it is that.
fn float_model(folder: Option<&Path>, source: &[u8; 32], out: &Output) -> Result<Option<FloatEncoder>, Error> {
    if let Some(folder) = folder {
        if weights_digest(folder)? != *source {
            return Err(Error::refused(&folder.join("model.safetensors"), "the base was imported from other weights"));
        }
        return Ok(Some(out.step("load float model", || FloatEncoder::load(folder))?));
    }
    let cached = cache_dir().map(|cache| cache.join("models").join("minilm"));
    match cached {
        Ok(folder) if weights_digest(&folder).is_ok_and(|digest| digest == *source) => {
            Ok(Some(out.step("load float model", || FloatEncoder::load(&folder))?))
        }
        _ => Ok(None),
    }
}

/// What texts told, for people.
fn measured_text(measured: &Measured) -> String {
    let mut text = match &measured.quality {
        Some(quality) => format!("against float: {quality}"),
        None => format!("{} texts, {} range errors (no float model given)", measured.texts, measured.range_errors),
    };
    if measured.labelled > 0 {
        let percent = 100.0 * ratio(measured.right, measured.labelled);
        text.push_str(&format!("; {} of {} right ({percent:.1} %)", measured.right, measured.labelled));
    }
    if measured.too_long > 0 {
        text.push_str(&format!("; {} texts too long", measured.too_long));
    }
    text
}

/// What texts told, as JSON.
fn measured_json(measured: &Measured) -> Value {
    let agreement = measured.quality.as_ref().and_then(|q| q.labels_agree.map(|agree| ratio(agree, q.texts)));
    json!({
        "texts": measured.texts, "too_long": measured.too_long, "range_errors": measured.range_errors,
        "label_agreement": agreement, "against_float": measured.quality.as_ref().map(quality_json),
        "labelled": measured.labelled, "right": measured.right,
        "accuracy": (measured.labelled > 0).then(|| ratio(measured.right, measured.labelled)),
    })
}

fn ratio(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of texts")]
    let (part, whole) = (part as f64, whole.max(1) as f64);
    part / whole
}
