//! `adapter_config.json` of PEFT: what LoRA settings mean, and the refusal of every other non-default setting.

use std::path::PathBuf;

use fancy_regex::Regex;
use serde_json::Value;

use super::config::is_empty;
use super::error::ImportError;
use super::json_file::JsonObject;

/// Keys that say nothing about what a trained adapter computes. `megatron_core` and `qalora_group_size` have defaults
/// that do not look empty and act only with `megatron_config` and `use_qalora`.
const INFORMATIONAL: [&str; 8] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
];

/// Keys that [`LoraSettings`] reads and checks.
const READ: [&str; 9] = [
    "bias",
    "init_lora_weights",
    "lora_alpha",
    "modules_to_save",
    "peft_type",
    "r",
    "target_modules",
    "task_type",
    "use_rslora",
];

/// The settings that matter for inference.
#[derive(Debug)]
pub(super) struct LoraSettings {
    /// Where they come from.
    pub(super) file: PathBuf,
    /// Rank of every pair.
    pub(super) rank: usize,
    /// Factor of `B A`.
    pub(super) scaling: f32,
    /// Which modules were trained.
    pub(super) targets: Targets,
    /// The model is `BertForSequenceClassification`, whose classifier is saved with the adapter.
    pub(super) classifies: bool,
}

/// `target_modules`: which modules have a LoRA pair.
#[derive(Debug)]
pub(super) enum Targets {
    /// Names that a module equals or ends with after a dot.
    Names(Vec<String>),
    /// A regular expression for the whole module name.
    Pattern(Box<Regex>),
    /// A regular expression that only Python understands: the tensors alone decide.
    Unreadable,
    /// `all-linear`
    AllLinear,
}

impl Targets {
    /// Whether PEFT would put a pair on this module; `None` when that cannot be told.
    pub(super) fn matches(&self, module: &str) -> Option<bool> {
        match self {
            Self::Names(names) => Some(names.iter().any(|name| {
                module.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })),
            Self::Pattern(regex) => regex.is_match(module).ok(),
            Self::Unreadable => None,
            Self::AllLinear => Some(true),
        }
    }
}

impl LoraSettings {
    /// Reads the file; ranks above `r_max` are refused.
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
        let rank = rank(&json, r_max)?;
        Ok(Self { rank, scaling: scaling(&json, rank)?, targets: targets(&json)?, classifies, file: json.file })
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

fn rank(json: &JsonObject, r_max: usize) -> Result<usize, ImportError> {
    let rank = json.size("r", 1, usize::MAX)?;
    if rank > r_max {
        return Err(json.unsupported("r", format!("the base was imported for ranks up to {r_max}")));
    }
    Ok(rank)
}

fn scaling(json: &JsonObject, rank: usize) -> Result<f32, ImportError> {
    let value = json.get("lora_alpha").ok_or_else(|| ImportError::missing_key(&json.file, "lora_alpha"))?;
    let divisor = if json.flag("use_rslora")? { (rank as f64).sqrt() } else { rank as f64 };
    value
        .as_f64()
        .map(|alpha| (alpha / divisor) as f32)
        .filter(|scaling| scaling.is_finite())
        .ok_or_else(|| json.unsupported("lora_alpha", "a finite number is expected"))
}

fn targets(json: &JsonObject) -> Result<Targets, ImportError> {
    let refused = || json.unsupported("target_modules", "a list of module names or a regular expression is expected");
    match json.get("target_modules") {
        None => Err(ImportError::missing_key(&json.file, "target_modules")),
        Some(Value::String(text)) if text == "all-linear" => Ok(Targets::AllLinear),
        Some(Value::String(text)) => Ok(match Regex::new(&format!(r"\A(?:{text})\z")) {
            Ok(regex) => Targets::Pattern(Box::new(regex)),
            Err(_) => Targets::Unreadable,
        }),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(refused))
            .collect::<Result<_, _>>()
            .map(Targets::Names),
        Some(_) => Err(refused()),
    }
}
