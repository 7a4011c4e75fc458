//! `adapter_config.json` of PEFT: what LoRA settings mean, and the refusal of every other non-default setting.

use std::path::PathBuf;

use serde_json::Value;

use super::adapter_modules::{Overrides, Selection};
use super::config::is_empty;
use super::error::ImportError;
use super::json_file::JsonObject;

/// Keys that say nothing about what a trained adapter computes. `megatron_core` and `qalora_group_size` have defaults
/// that do not look empty and act only with `megatron_config` and `use_qalora`. `eva_config` is about initialisation.
const INFORMATIONAL: [&str; 9] = [
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
];

/// Keys that [`LoraSettings`] reads and checks.
const READ: [&str; 14] = [
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "task_type",
    "use_rslora",
];

/// The settings that matter for inference.
#[derive(Debug)]
pub(super) struct LoraSettings {
    /// Which modules were trained.
    pub(super) selection: Selection,
    /// The model is `BertForSequenceClassification`, whose classifier is saved with the adapter.
    pub(super) classifies: bool,
    json: JsonObject,
    r_max: usize,
    rank: usize,
    ranks: Overrides<usize>,
    alpha: f64,
    alphas: Overrides<f64>,
    /// Scaling is `alpha / sqrt(r)` instead of `alpha / r`.
    rslora: bool,
}

impl LoraSettings {
    /// Reads the file; ranks above `r_max` are refused where a module has one.
    pub(super) fn load(file: PathBuf, r_max: usize) -> Result<Self, ImportError> {
        let json = JsonObject::read(file)?;
        refuse_unless(&json, "peft_type", &["LORA"])?;
        refuse_other_settings(&json)?;
        if json.get("bias").is_some() {
            refuse_unless(&json, "bias", &["none"])?;
        }
        refuse_changed_base(&json)?;
        if json.get("task_type").is_some() {
            refuse_unless(&json, "task_type", &["SEQ_CLS", "FEATURE_EXTRACTION"])?;
        }
        // Without a task type PEFT records the class of the model instead.
        let class = json.get("auto_mapping").and_then(|map| map.get("base_model_class")).and_then(Value::as_str);
        let classifies = match json.get("task_type").and_then(Value::as_str) {
            Some(task) => task == "SEQ_CLS",
            None => class == Some("BertForSequenceClassification"),
        };
        refuse_replaced_modules(&json, classifies)?;
        let rank = |value: &Value| value.as_u64().and_then(|rank| usize::try_from(rank).ok()).filter(|rank| *rank > 0);
        Ok(Self {
            selection: Selection::read(&json)?,
            classifies,
            r_max,
            rank: json.size("r", 1, usize::MAX)?,
            ranks: Overrides::read(&json, "rank_pattern", "a rank of at least 1", rank)?,
            alpha: alpha(&json)?,
            alphas: Overrides::read(&json, "alpha_pattern", "a number", Value::as_f64)?,
            rslora: json.flag("use_rslora")?,
            json,
        })
    }

    /// Rank and factor of `B A` of a module's pair.
    pub(super) fn rank_and_scaling(&self, module: &str) -> Result<(usize, f32), ImportError> {
        let (rank, key) = match self.ranks.get(&self.json, module)? {
            Some(rank) => (rank, "rank_pattern"),
            None => (self.rank, "r"),
        };
        if rank > self.r_max {
            let limit = format!("`{module}` has rank {rank}, the base was imported for ranks up to {}", self.r_max);
            return Err(self.json.unsupported(key, limit));
        }
        let (alpha, key) = match self.alphas.get(&self.json, module)? {
            Some(alpha) => (alpha, "alpha_pattern"),
            None => (self.alpha, "lora_alpha"),
        };
        let divisor = if self.rslora { (rank as f64).sqrt() } else { rank as f64 };
        let scaling = (alpha / divisor) as f32;
        if !scaling.is_finite() {
            return Err(self.json.unsupported(key, format!("the factor of `{module}` must be finite")));
        }
        Ok((rank, scaling))
    }

    /// The refusal of settings that contradict something else.
    pub(super) fn inconsistent(&self, reason: impl Into<String>) -> ImportError {
        ImportError::inconsistent(&self.json.file, reason)
    }
}

fn refuse_unless(json: &JsonObject, key: &str, accepted: &[&str]) -> Result<(), ImportError> {
    let value = json.get(key).ok_or_else(|| ImportError::missing_key(&json.file, key))?;
    if accepted.iter().any(|name| value == name) {
        return Ok(());
    }
    Err(json.unsupported(key, format!("{} is accepted", accepted.join(" or "))))
}

/// Every key that is neither read nor informational must have a value that switches nothing on. This holds for keys
/// of future PEFT versions too.
fn refuse_other_settings(json: &JsonObject) -> Result<(), ImportError> {
    for (key, value) in &json.keys {
        let known = READ.contains(&key.as_str()) || INFORMATIONAL.contains(&key.as_str());
        let off = value.is_null() || value == &Value::Bool(false) || is_empty(value);
        if !known && !off {
            return Err(json.unsupported(key, "only the default is"));
        }
    }
    Ok(())
}

/// Some initialisations (PiSSA, OLoRA, LoftQ, CorDA, ...) subtract from the base weights, so that the adapter does not
/// belong to the original base.
fn refuse_changed_base(json: &JsonObject) -> Result<(), ImportError> {
    match json.get("init_lora_weights") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if ["gaussian", "eva", "orthogonal"].contains(&name.as_str()) => Ok(()),
        Some(_) => Err(json.unsupported(
            "init_lora_weights",
            "initialisations that leave the base unchanged are (true, false, gaussian, eva, orthogonal)",
        )),
    }
}

/// PEFT adds both `classifier` and `score` for SEQ_CLS; a BERT model has only the former.
fn refuse_replaced_modules(json: &JsonObject, classifies: bool) -> Result<(), ImportError> {
    let Some(value) = json.get("modules_to_save") else { return Ok(()) };
    let modules =
        value.as_array().ok_or_else(|| json.unsupported("modules_to_save", "a list of module names is expected"))?;
    for module in modules {
        if !classifies || !["classifier", "score"].iter().any(|name| module == name) {
            return Err(ImportError::unsupported(
                &json.file,
                "modules_to_save",
                module,
                "only `classifier` of a SEQ_CLS model may be replaced",
            ));
        }
    }
    Ok(())
}

fn alpha(json: &JsonObject) -> Result<f64, ImportError> {
    let value = json.get("lora_alpha").ok_or_else(|| ImportError::missing_key(&json.file, "lora_alpha"))?;
    value.as_f64().ok_or_else(|| json.unsupported("lora_alpha", "a number is expected"))
}
