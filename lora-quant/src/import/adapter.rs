//! A LoRA adapter in PEFT's own format: `adapter_config.json`, `adapter_model.safetensors`, optional `labels.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lorica_circuits::shape::LABELS;
use serde_json::Value;

use super::adapter_config::LoraSettings;
use super::config::EncoderConfig;
use super::error::ImportError;
use super::json_file::{is_present, read_json};
use super::site::Site;
use super::tensor_file::{TensorBytes, TensorFile};

/// One LoRA update `W + scaling · B A`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// Rank `r`, 1 to the base's `r_max`.
    pub rank: usize,
    /// `alpha / r`, or `alpha / sqrt(r)` with `use_rslora`.
    pub scaling: f32,
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
    /// Names, 2 to 16 of them, all different.
    pub labels: Vec<String>,
}

/// An adapter for an encoder of known sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatAdapter {
    /// The updates by site; an absent key is no update.
    pub sites: BTreeMap<Site, LoraPair>,
    /// The classification head, if the adapter brings one.
    pub head: Option<Head>,
}

/// PEFT's prefix of every tensor name.
const PREFIX: &str = "base_model.model.";

const CONVERT_PICKLE: &str = "convert it, in its folder and with torch and safetensors installed, by python -c '\
    import torch, safetensors.torch as s; \
    t = torch.load(\"adapter_model.bin\", map_location=\"cpu\", weights_only=True); \
    s.save_file({k: v.contiguous() for k, v in t.items()}, \"adapter_model.safetensors\")'";

/// What a target may mean beside the linear layers of the encoder.
const OTHER_TARGETS: [&str; 3] =
    ["embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings"];

impl FloatAdapter {
    /// Loads a PEFT folder for an encoder of the given sizes; ranks above `r_max` are refused.
    pub fn load(dir: &Path, config: &EncoderConfig, r_max: usize) -> Result<Self, ImportError> {
        let settings = LoraSettings::load(dir.join("adapter_config.json"), r_max)?;
        let bytes = TensorBytes::read(tensor_path(dir)?)?;
        let file = bytes.parse()?;
        let names: BTreeSet<String> = file.names().into_iter().collect();
        // Trained on `BertForSequenceClassification` the encoder's name starts with `bert.`, on `BertModel` not.
        let bert = if names.iter().any(|name| name.starts_with("base_model.model.bert.")) { "bert." } else { "" };
        let mut expected = BTreeSet::new();
        refuse_targets_without_tensors(&names, &settings, bert)?;
        let sites = read_sites(&file, &settings, config, bert, &mut expected)?;
        let head = read_head(&file, &settings, config, dir.join("labels.json"), &mut expected)?;
        if let Some(name) = names.iter().find(|name| !expected.contains(*name)) {
            return Err(file.refuse(name, reason_for_refusal(name, &settings)));
        }
        if sites.is_empty() {
            let reason = "target_modules, exclude_modules and layers_to_transform leave no linear layer of the base";
            return Err(settings.inconsistent(reason));
        }
        Ok(Self { sites, head })
    }
}

/// The file of tensors; old versions of PEFT pickled them.
fn tensor_path(dir: &Path) -> Result<PathBuf, ImportError> {
    let (path, pickled) = (dir.join("adapter_model.safetensors"), dir.join("adapter_model.bin"));
    if !is_present(&path)? && is_present(&pickled)? {
        return Err(ImportError::OtherFormat { file: pickled, remedy: CONVERT_PICKLE });
    }
    Ok(path)
}

/// Reads the pair of every linear layer that has one.
fn read_sites(
    file: &TensorFile<'_>,
    settings: &LoraSettings,
    config: &EncoderConfig,
    bert: &str,
    expected: &mut BTreeSet<String>,
) -> Result<BTreeMap<Site, LoraPair>, ImportError> {
    let mut sites = BTreeMap::new();
    for site in Site::all(config.layers) {
        if let Some(pair) = read_pair(file, settings, &format!("{bert}{site}"), site.shape(config), expected)? {
            sites.insert(site, pair);
        }
    }
    Ok(sites)
}

/// Reads the pair of a module, if it has one: the file must hold what the configuration selects, and nothing else.
fn read_pair(
    file: &TensorFile<'_>,
    settings: &LoraSettings,
    module: &str,
    (out_features, in_features): (usize, usize),
    expected: &mut BTreeSet<String>,
) -> Result<Option<LoraPair>, ImportError> {
    let [a, b] = ["A", "B"].map(|part| format!("{PREFIX}{module}.lora_{part}.weight"));
    let present = [&a, &b].into_iter().find(|name| file.contains(name));
    match (settings.selection.contains(module), present) {
        (Some(false), Some(name)) => {
            return Err(file.refuse(name, "adapter_config.json selects other modules than this one"));
        }
        (Some(false) | None, None) => return Ok(None),
        (Some(true), _) | (None, Some(_)) => {}
    }
    let (rank, scaling) = settings.rank_and_scaling(module)?;
    let pair =
        LoraPair { rank, scaling, a: file.read(&a, &[rank, in_features])?, b: file.read(&b, &[out_features, rank])? };
    expected.extend([a, b]);
    Ok(Some(pair))
}

/// Refuses the selection of a module that may not be adapted, and of a pooler that the trained model did not have, where
/// the file has no tensor to refuse.
fn refuse_targets_without_tensors(
    names: &BTreeSet<String>,
    settings: &LoraSettings,
    bert: &str,
) -> Result<(), ImportError> {
    let others = OTHER_TARGETS.map(|module| (format!("{bert}{module}"), "which may not be adapted"));
    let pooler = (format!("{bert}{}", Site::Pooler), "of which the adapter has no tensor");
    for (module, reason) in others.into_iter().chain([pooler]) {
        let prefix = format!("{PREFIX}{module}.lora_");
        let present = names.iter().any(|name| name.starts_with(&prefix));
        if !present && settings.selection.contains(&module) == Some(true) {
            return Err(settings.inconsistent(format!(
                "target_modules covers `{module}`, {reason}; if the adapter was trained on a model without it, name it \
                 in exclude_modules"
            )));
        }
    }
    Ok(())
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
    if count == 1 {
        return Err(file.refuse(&weight, "a classifier of one label gives a score, and only classes are proven"));
    }
    if !(2..=LABELS).contains(&count) {
        return Err(file.refuse(&weight, format!("it has {count} labels, 2 to {LABELS} are supported")));
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
        "the pooler is part of the base: LoRA may adapt it, but nothing may replace it"
    } else if name.contains(".classifier.") && !settings.classifies {
        "a classifier needs `task_type` SEQ_CLS in adapter_config.json"
    } else {
        "it is not a LoRA pair of a supported linear layer, nor the classifier"
    }
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
