//! A LoRA adapter in PEFT's own format: `adapter_config.json`, `adapter_model.safetensors`, optional `labels.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::adapter_config::LoraSettings;
use super::config::EncoderConfig;
use super::error::ImportError;
use super::json_file::read_json;
use super::site::Site;
use super::tensor_file::{TensorBytes, TensorFile};

/// The two factors of one LoRA update `W + scaling · B A`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// `lora_A`, row-major `[rank][in_features]`.
    pub a: Vec<f32>,
    /// `lora_B`, row-major `[out_features][rank]`.
    pub b: Vec<f32>,
}

/// The classifier of `BertForSequenceClassification`: logits = W tanh(pooler(first token)) + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Row-major `[labels.len()][hidden]`.
    pub weight: Vec<f32>,
    /// `[labels.len()]`.
    pub bias: Vec<f32>,
    /// Names, 1 to 16 of them, all different.
    pub labels: Vec<String>,
}

/// An adapter for an encoder of known sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatAdapter {
    /// Rank `r` of every pair.
    pub rank: usize,
    /// `lora_alpha / r`, or `lora_alpha / sqrt(r)` with `use_rslora`.
    pub scaling: f32,
    /// The updates by (layer, site); an absent key is no update.
    pub sites: BTreeMap<(usize, Site), LoraPair>,
    /// The classification head, if the adapter brings one.
    pub head: Option<Head>,
}

/// Labels that a classifier may have.
pub const MAX_LABELS: usize = 16;

/// PEFT's prefix of every tensor name.
const PREFIX: &str = "base_model.model.";

impl FloatAdapter {
    /// Loads a PEFT folder for an encoder of the given sizes; ranks above `r_max` are refused.
    pub fn load(dir: &Path, config: &EncoderConfig, r_max: usize) -> Result<Self, ImportError> {
        let settings = LoraSettings::load(dir.join("adapter_config.json"), r_max)?;
        let bytes = TensorBytes::read(dir.join("adapter_model.safetensors"))?;
        let file = bytes.parse()?;
        let names: BTreeSet<String> = file.names().into_iter().collect();
        // Trained on `BertForSequenceClassification` the encoder's name starts with `bert.`, on `BertModel` not.
        let bert = if names.iter().any(|name| name.starts_with("base_model.model.bert.")) { "bert." } else { "" };
        let mut expected = BTreeSet::new();
        let sites = read_pairs(&file, &settings, config, bert, &mut expected)?;
        let head = read_head(&file, &settings, config, dir.join("labels.json"), &mut expected)?;
        if let Some(name) = names.iter().find(|name| !expected.contains(*name)) {
            return Err(file.refuse(name, reason_for_refusal(name, &settings)));
        }
        refuse_pooler_target(&settings, bert)?;
        if sites.is_empty() && head.is_none() {
            return Err(ImportError::inconsistent(file.file, "the adapter has neither a LoRA pair nor a classifier"));
        }
        Ok(Self { rank: settings.rank, scaling: settings.scaling, sites, head })
    }
}

/// Reads the pair of every module that has one, and holds the tensors against `target_modules`.
fn read_pairs(
    file: &TensorFile<'_>,
    settings: &LoraSettings,
    config: &EncoderConfig,
    bert: &str,
    expected: &mut BTreeSet<String>,
) -> Result<BTreeMap<(usize, Site), LoraPair>, ImportError> {
    let mut sites = BTreeMap::new();
    for layer in 0..config.layers {
        for site in Site::ALL {
            let module = format!("{bert}encoder.layer.{layer}.{}", site.module());
            let (a, b) = (format!("{PREFIX}{module}.lora_A.weight"), format!("{PREFIX}{module}.lora_B.weight"));
            let present = file.contains(&a) || file.contains(&b);
            match settings.targets.matches(&module) {
                Some(true) | None => {}
                Some(false) if !present => {}
                Some(false) => {
                    return Err(file.refuse(&a, "target_modules of adapter_config.json does not cover this module"));
                }
            }
            if present || settings.targets.matches(&module) == Some(true) {
                let (out_features, in_features) = site.shape(config);
                let pair = LoraPair {
                    a: file.read(&a, &[settings.rank, in_features])?,
                    b: file.read(&b, &[out_features, settings.rank])?,
                };
                sites.insert((layer, site), pair);
                expected.extend([a, b]);
            }
        }
    }
    Ok(sites)
}

fn read_head(
    file: &TensorFile<'_>,
    settings: &LoraSettings,
    config: &EncoderConfig,
    labels: PathBuf,
    expected: &mut BTreeSet<String>,
) -> Result<Option<Head>, ImportError> {
    if !settings.classifies {
        if labels.exists() {
            return Err(ImportError::inconsistent(&labels, "labels are given, but the adapter has no classifier"));
        }
        return Ok(None);
    }
    let [weight, bias] = ["weight", "bias"].map(|part| format!("{PREFIX}classifier.{part}"));
    let count = file.shape(&weight)?.first().copied().unwrap_or(0);
    if !(1..=MAX_LABELS).contains(&count) {
        return Err(file.refuse(&weight, format!("it has {count} labels, 1 to {MAX_LABELS} are supported")));
    }
    let head = Head {
        weight: file.read(&weight, &[count, config.hidden])?,
        bias: file.read(&bias, &[count])?,
        labels: read_labels(&labels, count)?,
    };
    expected.extend([weight, bias]);
    Ok(Some(head))
}

/// Why a tensor that nothing expects is refused.
fn reason_for_refusal(name: &str, settings: &LoraSettings) -> &'static str {
    if name.contains("pooler.") {
        "the pooler is part of the base and may be neither adapted nor replaced"
    } else if name.contains(".classifier.") && !settings.classifies {
        "a classifier needs `task_type` SEQ_CLS in adapter_config.json"
    } else {
        "it is not a LoRA pair of a supported linear layer, nor the classifier"
    }
}

/// `dense` alone, for example, also means the pooler.
fn refuse_pooler_target(settings: &LoraSettings, bert: &str) -> Result<(), ImportError> {
    let module = format!("{bert}pooler.dense");
    if settings.targets.matches(&module) == Some(true) {
        let reason = format!("target_modules covers `{module}`, which may not be adapted");
        return Err(ImportError::inconsistent(&settings.file, reason));
    }
    Ok(())
}

/// `labels.json`: a list of names, a map from index to name (`id2label`) or from name to index (`label2id`). Without
/// the file the names are those that `transformers` gives.
fn read_labels(path: &Path, count: usize) -> Result<Vec<String>, ImportError> {
    if !path.exists() {
        return Ok((0..count).map(|index| format!("LABEL_{index}")).collect());
    }
    let json = read_json(path)?;
    let entries: Option<Vec<(usize, &str)>> = match &json {
        Value::Array(names) => names.iter().enumerate().map(|(index, name)| Some((index, name.as_str()?))).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match value {
                Value::String(name) => Some((key.parse().ok()?, name.as_str())),
                index => Some((usize::try_from(index.as_u64()?).ok()?, key.as_str())),
            })
            .collect(),
        _ => None,
    };
    let Some(mut entries) = entries else {
        let supported = "a list of names, or a map from index to name or name to index is expected";
        return Err(ImportError::unsupported(path, "(whole file)", &json, supported));
    };
    entries.sort_unstable();
    if entries.len() != count || entries.iter().enumerate().any(|(place, (index, _))| place != *index) {
        let reason = format!("there are {} labels, but the classifier has {count}: 0 to {}", entries.len(), count - 1);
        return Err(ImportError::inconsistent(path, reason));
    }
    let distinct: BTreeSet<&str> = entries.iter().map(|(_, name)| *name).collect();
    if distinct.len() != count || distinct.contains("") {
        return Err(ImportError::inconsistent(path, "label names must be different and not empty"));
    }
    Ok(entries.into_iter().map(|(_, name)| name.to_owned()).collect())
}
