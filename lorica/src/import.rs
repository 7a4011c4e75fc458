//! From the folders that people have to registered models: a Hugging Face encoder, a PEFT LoRA adapter.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::families::encoder::Architecture;
use lorica_quant::float::FloatError;
use lorica_quant::import::{EncoderConfig, FloatAdapter, FloatEncoder, ImportError};
use lorica_quant::integer::quality::QualityError;
use lorica_quant::integer::{
    AdapterModel, BaseModel, ExecuteError, Executor, ModelError, Quality, QuantiseError, calibrate, compare,
    quantise_adapter,
};
use lorica_verifier::files::vk::MAX_LABEL_BYTES;
use sha2::{Digest, Sha256};

use crate::files::{BaseFile, FileError};
use crate::input::{InputError, encode, lines};
use crate::kind::Kind;
use crate::registration::{RegistrationError, register_base};
use crate::srs::AcceptedSrs;
use crate::steps::Steps;

/// Calibration texts that are used unless others are given.
pub const CALIBRATION: &str = include_str!("../../fixtures/calibration.txt");

/// Why a folder is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ModelImportError {
    /// The folder.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The float model.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// Quantisation.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The integers.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Execution of the integers.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Comparison with the float model.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// A calibration text.
    #[error(transparent)]
    Text(#[from] InputError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A label's name is too long.
    #[error("{path}: a label's name has {bytes} bytes, more than {MAX_LABEL_BYTES}", path = .path.display())]
    LabelName {
        /// The file of labels.
        path: PathBuf,
        /// Bytes of the name.
        bytes: usize,
    },
    /// A text is labelled with a name that is none of the adapter's.
    #[error("text {text}: no label of the adapter is called {label:?}")]
    UnknownLabel {
        /// Counted from 1.
        text: usize,
        /// The name.
        label: String,
    },
    /// Commitments.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The import was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ModelImportError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Import(ImportError::Read { source, .. }) => Kind::of_io(source),
            Self::Text(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Registration(error) => error.kind(),
            Self::Cancelled(_) => Kind::Cancelled,
            Self::Import(_)
            | Self::Float(_)
            | Self::Quantise(_)
            | Self::Model(_)
            | Self::Execute(_)
            | Self::Quality(_)
            | Self::LabelName { .. }
            | Self::UnknownLabel { .. } => Kind::Input,
        }
    }
}

/// What an import chooses beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportSizes {
    /// Largest LoRA rank.
    pub r_max: usize,
    /// Tokens that a text may have.
    pub max_tokens: usize,
    /// log2 of the cells in a tile.
    pub tau: u32,
}

impl Default for ImportSizes {
    fn default() -> Self {
        let [max_tokens, ..] = Architecture::TOKEN_LIMITS;
        Self { r_max: 16, max_tokens, tau: 20 }
    }
}

/// A base before it is written.
#[derive(Debug)]
pub struct Imported {
    /// The float model.
    pub encoder: FloatEncoder,
    /// The registered base.
    pub file: BaseFile,
    /// Integers against floats on the calibration texts.
    pub quality: Quality,
    /// The steps in their order, with their times.
    pub phases: Vec<(String, std::time::Duration)>,
}

/// The texts of a file, one per line, or the built-in ones.
///
/// # Errors
/// [`FileError`] if the file cannot be read or has no text.
pub fn calibration_texts(path: Option<&Path>) -> Result<Vec<String>, FileError> {
    let Some(path) = path else { return Ok(CALIBRATION.lines().map(str::to_owned).collect()) };
    let texts: Vec<String> = lines(path)?.into_iter().map(|(_, text)| text).collect();
    if texts.is_empty() {
        return Err(FileError::content(path, "there is no text to calibrate on"));
    }
    Ok(texts)
}

/// Loads, quantises, compares and registers a model. The watch can stop it between these steps.
///
/// # Errors
/// [`ModelImportError`] names file, key, tensor or text.
pub fn import_base(
    dir: &Path,
    texts: &[String],
    sizes: ImportSizes,
    srs: &AcceptedSrs,
    watch: &dyn Watch,
) -> Result<Imported, ModelImportError> {
    let mut steps = Steps::new(watch);
    let load = || Ok::<_, ModelImportError>((FloatEncoder::load_for(dir, sizes.max_tokens)?, weights_digest(dir)?));
    let (encoder, source) = steps.run("load model", load)?;
    let tokenizer = encoder.tokenizer().map_err(InputError::Tokenizer)?;
    let ids = texts.iter().enumerate().map(|(index, text)| encode(&tokenizer, index, text));
    let ids: Vec<Vec<u32>> = ids.collect::<Result<_, _>>()?;
    let quantise = || Ok::<_, ModelImportError>(calibrate(&encoder, &ids, sizes.r_max)?);
    let model = steps.run("calibrate and quantise", quantise)?;
    let (model, quality) = steps.run("compare with float", || {
        let executor = Executor::new(Arc::new(model))?;
        let quality = compare(&executor, &encoder, None, &ids)?;
        let model = executor.base().clone();
        drop(executor);
        Ok::<_, ModelImportError>((Arc::unwrap_or_clone(model), quality))
    })?;
    let commit = || Ok::<_, ModelImportError>(register_base(srs, model, sizes.tau, source)?);
    let file = steps.run("commit", commit)?;
    Ok(Imported { encoder, file, quality, phases: steps.phases })
}

/// SHA-256 of `model.safetensors`, or of its shards in the order of their names, which tells adapters' comparisons that
/// they use the right float model.
///
/// # Errors
/// [`ImportError`] if a file cannot be read.
pub fn weights_digest(dir: &Path) -> Result<[u8; 32], ImportError> {
    let mut hasher = Sha256::new();
    for path in FloatEncoder::weight_files(dir)? {
        let copied = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut hasher));
        copied.map_err(|source| ImportError::Read { file: path, source })?;
    }
    Ok(hasher.finalize().into())
}

/// Reads and quantises a PEFT folder for a base.
///
/// # Errors
/// [`ModelImportError`] names file, key or tensor.
pub fn load_adapter(dir: &Path, base: &BaseModel) -> Result<(FloatAdapter, AdapterModel), ModelImportError> {
    let config = sizes_of(base);
    let float = FloatAdapter::load(dir, &config, base.architecture.r_max)?;
    let labels = float.head.iter().flat_map(|head| &head.labels);
    if let Some(label) = labels.into_iter().find(|label| label.len() > MAX_LABEL_BYTES) {
        return Err(ModelImportError::LabelName { path: dir.join("labels.json"), bytes: label.len() });
    }
    let model = quantise_adapter(base, &float)?;
    Ok((float, model))
}

/// The sizes that an adapter's tensors must have; what they do not depend on has any value.
fn sizes_of(base: &BaseModel) -> EncoderConfig {
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
