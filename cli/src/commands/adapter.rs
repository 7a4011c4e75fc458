//! `lorica adapter import`: from a PEFT folder to a registered adapter.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica_quant::import::{EncoderConfig, FloatAdapter, FloatEncoder, Tokenizer};
use lorica_quant::integer::{
    AdapterModel, BaseModel, ExecuteError, Executor, Quality, RequestOutput, compare, quantise_adapter,
};
use serde_json::{Value, json};

use super::model::{check_output, kind_of, quality_json, weights_digest};
use super::{kind_name, word};
use crate::error::Error;
use crate::files::vk::MAX_LABEL_BYTES;
use crate::files::{AdapterFile, BaseFile, store};
use crate::model_fetch::cache_dir;
use crate::output::{Output, phases_json, printable, size, time};
use crate::registration::register_adapter;
use crate::requests::{LabelledText, read_labelled};
use crate::srs_source::SrsArgs;

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
    check_output(&args.out)?;
    let texts = args.texts.as_deref().map(read_labelled).transpose()?;
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    if srs.digest_word() != base.key.commitments.srs {
        return Err(Error::OtherSrs { what: args.srs.name() });
    }
    let (float, model) = out.step("load and quantise", || load_adapter(&args.dir, &base.model))?;
    let BaseFile { key, source, model: base_model } = base;
    let file = out.step("commit", || register_adapter(&srs, &key, model))?;
    let measured = match &texts {
        None => None,
        Some(texts) => {
            let encoder = float_model(args.model.as_deref(), &source, out)?;
            let executor = Executor::new(base_model.into())?;
            let measure = || measure(&executor, encoder.as_ref(), &float, &file.model, texts, args.texts.as_deref());
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
    out.line(format!("  {}: {}", kind_name(kind_of(file.key.has_head)), labels.join(", ")));
    if let Some(measured) = measured {
        out.line(format!("  {}", measured.text()));
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
            "base": word(&commitments.base), "output": kind_name(kind_of(file.key.has_head)),
            "labels": file.key.labels, "commitments": commitments.tiles.len(), "insecure_srs": insecure,
            "measured": measured.map(Measured::json), "phases": phases_json(&phases),
        }),
    );
}

/// Reads and quantises a PEFT folder for a base.
///
/// # Errors
/// [`Error`] names file, key or tensor.
pub fn load_adapter(dir: &Path, base: &BaseModel) -> Result<(FloatAdapter, AdapterModel), Error> {
    let config = sizes(base);
    let float = FloatAdapter::load(dir, &config, base.architecture.r_max)?;
    let labels = float.head.iter().flat_map(|head| &head.labels);
    if let Some(label) = labels.into_iter().find(|label| label.len() > MAX_LABEL_BYTES) {
        let reason = format!("a label's name has {} bytes, more than {MAX_LABEL_BYTES}", label.len());
        return Err(Error::Refused { path: dir.join("labels.json"), reason });
    }
    let model = quantise_adapter(base, &float)?;
    Ok((float, model))
}

/// The sizes that an adapter's tensors must have; what they do not depend on has any value.
fn sizes(base: &BaseModel) -> EncoderConfig {
    let a = &base.architecture;
    EncoderConfig {
        hidden: a.hidden,
        layers: a.layers,
        heads: a.heads,
        intermediate: a.intermediate,
        vocab: a.vocab,
        max_positions: a.max_tokens,
        max_tokens: a.max_tokens,
        type_vocab: 1,
        activation: a.activation,
        layer_norm_eps: 1e-12,
    }
}

/// The float model that the base came from: the folder given, or the fetched one if it is that.
fn float_model(folder: Option<&Path>, source: &[u8; 32], out: &Output) -> Result<Option<FloatEncoder>, Error> {
    if let Some(folder) = folder {
        if weights_digest(folder)? != *source {
            let reason = "the base was imported from other weights".to_owned();
            return Err(Error::Refused { path: folder.join("model.safetensors"), reason });
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

/// What texts tell about an adapter.
#[derive(Debug)]
pub struct Measured {
    /// Against the float model, if it is there.
    pub quality: Option<Quality>,
    /// Texts that could be run.
    pub texts: usize,
    /// Texts with more tokens than the base takes, which are left out.
    pub too_long: usize,
    /// Texts with a value out of range, on the integer side.
    pub range_errors: usize,
    /// Texts that name a label.
    pub labelled: usize,
    /// Of these, the texts to which the integer model gives the named label.
    pub right: usize,
}

impl Measured {
    fn text(&self) -> String {
        let mut text = match &self.quality {
            Some(quality) => format!("against float: {quality}"),
            None => format!("{} texts, {} range errors (no float model given)", self.texts, self.range_errors),
        };
        if self.labelled > 0 {
            let percent = 100.0 * ratio(self.right, self.labelled);
            text.push_str(&format!("; {} of {} right ({percent:.1} %)", self.right, self.labelled));
        }
        if self.too_long > 0 {
            text.push_str(&format!("; {} texts too long", self.too_long));
        }
        text
    }

    fn json(&self) -> Value {
        let agreement = self.quality.as_ref().and_then(|q| q.labels_agree.map(|agree| ratio(agree, q.texts)));
        json!({
            "texts": self.texts, "too_long": self.too_long, "range_errors": self.range_errors,
            "label_agreement": agreement, "against_float": self.quality.as_ref().map(quality_json),
            "labelled": self.labelled, "right": self.right,
            "accuracy": (self.labelled > 0).then(|| ratio(self.right, self.labelled)),
        })
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of texts")]
    let (part, whole) = (part as f64, whole.max(1) as f64);
    part / whole
}

fn measure(
    executor: &Executor,
    encoder: Option<&FloatEncoder>,
    float: &FloatAdapter,
    adapter: &AdapterModel,
    texts: &[LabelledText],
    path: Option<&Path>,
) -> Result<Measured, Error> {
    let base = executor.base();
    let (vocab, max_tokens) = (base.architecture.vocab, base.architecture.max_tokens);
    let tokenizer = Tokenizer::from_bytes(&base.tokenizer_json, vocab, max_tokens)?;
    let mut measured = Measured { quality: None, texts: 0, too_long: 0, range_errors: 0, labelled: 0, right: 0 };
    let mut ids = Vec::new();
    for text in texts {
        let Ok(own) = tokenizer.encode(&text.text) else {
            measured.too_long += 1;
            continue;
        };
        let output = match executor.infer(&own, Some(adapter), kind_of(adapter.has_head)) {
            Ok(output) => Some(output),
            Err(ExecuteError::Range(_)) => None,
            Err(error) => return Err(error.into()),
        };
        measured.range_errors += usize::from(output.is_none());
        if let (Some(label), true) = (&text.label, adapter.has_head) {
            if !adapter.labels.contains(label) {
                let reason = format!("no label of the adapter is called {label:?}");
                return Err(Error::Refused { path: path.unwrap_or(Path::new("texts")).into(), reason });
            }
            measured.labelled += 1;
            let said = match output {
                Some(RequestOutput::Classify { label, .. }) => adapter.labels.get(label),
                _ => None,
            };
            measured.right += usize::from(said == Some(label));
        }
        ids.push(own);
    }
    measured.texts = ids.len();
    if let Some(encoder) = encoder {
        measured.quality = Some(compare(executor, encoder, Some((float, adapter)), &ids)?);
    }
    Ok(measured)
}
