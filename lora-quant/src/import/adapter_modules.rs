//! Which modules the names, regular expressions and layer numbers of an `adapter_config.json` mean: what PEFT 0.21.2
//! does in `check_target_module_exists` and `get_pattern_key`.

use fancy_regex::Regex;
use serde_json::Value;

use super::config::is_empty;
use super::error::ImportError;
use super::json_file::JsonObject;

/// The modules that have a LoRA pair.
#[derive(Debug)]
pub(super) struct Selection {
    targets: Modules,
    excluded: Option<Modules>,
    layers: Option<Layers>,
}

impl Selection {
    /// Reads `target_modules`, `exclude_modules`, `layers_to_transform` and `layers_pattern`.
    pub(super) fn read(json: &JsonObject) -> Result<Self, ImportError> {
        let targets = match json.get("target_modules") {
            None => return Err(ImportError::missing_key(&json.file, "target_modules")),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Modules::AllLinear,
            Some(value) => Modules::read(json, "target_modules", value)?,
        };
        let excluded = json.get("exclude_modules").filter(|value| !is_empty(value));
        let excluded = excluded.map(|value| Modules::read(json, "exclude_modules", value)).transpose()?;
        let layers = Layers::read(json)?;
        if layers.is_some() && !matches!(targets, Modules::Names(_)) {
            return Err(json.unsupported("layers_to_transform", "PEFT has it only where target_modules is a list"));
        }
        Ok(Self { targets, excluded, layers })
    }

    /// Whether PEFT puts a pair on this module; `None` when only the tensors tell.
    pub(super) fn contains(&self, module: &str) -> Option<bool> {
        let excluded = self.excluded.as_ref().map_or(Some(false), |excluded| excluded.contain(module));
        match (excluded, self.is_target(module)) {
            (Some(true), _) | (_, Some(false)) => Some(false),
            (Some(false), Some(true)) => Some(true),
            (None, _) | (_, None) => None,
        }
    }

    fn is_target(&self, module: &str) -> Option<bool> {
        let found = self.targets.contain(module)?;
        match (&self.layers, &self.targets) {
            // A target that is the module's whole name holds in every layer.
            (Some(layers), Modules::Names(names)) if found && !names.iter().any(|name| name == module) => {
                layers.contain(module)
            }
            _ => Some(found),
        }
    }
}

/// The value of `target_modules` or `exclude_modules`.
#[derive(Debug)]
enum Modules {
    /// Names that a module equals or ends with after a dot.
    Names(Vec<String>),
    /// A regular expression for the whole module name.
    Pattern(Box<Regex>),
    /// A regular expression that only Python understands.
    Unreadable,
    /// `all-linear`: the encoder's linear layers and the pooler. The classifier of a SEQ_CLS model is excepted.
    AllLinear,
}

impl Modules {
    fn read(json: &JsonObject, key: &str, value: &Value) -> Result<Self, ImportError> {
        let names = match value {
            Value::String(text) => {
                let regex = Regex::new(&format!(r"\A(?:{text})\z"));
                return Ok(regex.map_or(Self::Unreadable, |regex| Self::Pattern(Box::new(regex))));
            }
            Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        names
            .map(Self::Names)
            .ok_or_else(|| json.unsupported(key, "a list of module names or a regular expression is expected"))
    }

    fn contain(&self, module: &str) -> Option<bool> {
        match self {
            Self::Names(names) => Some(names.iter().any(|name| {
                module.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })),
            Self::Pattern(regex) => regex.is_match(module).ok(),
            Self::Unreadable => None,
            Self::AllLinear => Some(!module.contains("embeddings.")),
        }
    }
}

/// `layers_to_transform` with `layers_pattern`.
#[derive(Debug)]
struct Layers {
    indexes: Vec<i64>,
    /// The first that matches a module has the layer's number in its group `idx`.
    patterns: Vec<Regex>,
}

impl Layers {
    fn read(json: &JsonObject) -> Result<Option<Self>, ImportError> {
        let pattern = json.get("layers_pattern").filter(|value| !is_empty(value));
        let Some(value) = json.get("layers_to_transform") else {
            return match pattern {
                None => Ok(None),
                Some(_) => Err(json.unsupported("layers_pattern", "PEFT has it only with layers_to_transform")),
            };
        };
        if is_empty(value) {
            return Ok(None);
        }
        let indexes = match value {
            Value::Array(list) => list.iter().map(Value::as_i64).collect(),
            one => one.as_i64().map(|index| vec![index]),
        };
        let indexes = indexes
            .ok_or_else(|| json.unsupported("layers_to_transform", "a layer number or a list of them is expected"))?;
        let patterns = match pattern {
            None => vec![r"[^.]*".to_owned()],
            Some(value) => strings(value).ok_or_else(|| {
                json.unsupported("layers_pattern", "a regular expression or a list of them is expected")
            })?,
        };
        // Without a pattern PEFT wants something before the name that precedes the number.
        let start = if pattern.is_none() { r".*?\." } else { r"(?:^|.*?\.)" };
        let regexes = patterns.iter().map(|pattern| {
            // No group around the pattern, as in PEFT: an alternative in it reaches to the ends.
            Regex::new(&format!(r"\A(?:{start}{pattern}\.(?P<idx>\d+)\.)"))
                .map_err(|_| json.unsupported("layers_pattern", format!("`{pattern}` is not a regular expression")))
        });
        Ok(Some(Self { indexes, patterns: regexes.collect::<Result<_, _>>()? }))
    }

    fn contain(&self, module: &str) -> Option<bool> {
        for pattern in &self.patterns {
            if let Some(groups) = pattern.captures(module).ok()? {
                let index = groups.name("idx").and_then(|digits| digits.as_str().parse().ok());
                return Some(index.is_some_and(|index| self.indexes.contains(&index)));
            }
        }
        Some(false)
    }
}

/// A string alone, or a list of them.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// `rank_pattern` or `alpha_pattern`: values for some modules, in the order of the file.
#[derive(Debug)]
pub(super) struct Overrides<T> {
    key: &'static str,
    entries: Vec<(Regex, T)>,
}

impl<T: Copy> Overrides<T> {
    /// Reads an object from regular expressions to values.
    pub(super) fn read(
        json: &JsonObject,
        key: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Self, ImportError> {
        let object = match json.get(key) {
            None => return Ok(Self { key, entries: Vec::new() }),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(json.unsupported(key, "an object from module names to values is expected")),
        };
        let entries = object.iter().map(|(name, value)| {
            // The groups are PEFT's, because the key may refer to them.
            let regex = Regex::new(&format!(r"\A(.*\.)?({name})\z"))
                .map_err(|_| json.unsupported(key, format!("`{name}` cannot be read as a regular expression")))?;
            let value =
                read(value).ok_or_else(|| json.unsupported(key, format!("{expected} is expected for `{name}`")))?;
            Ok((regex, value))
        });
        Ok(Self { key, entries: entries.collect::<Result<_, _>>()? })
    }

    /// The value of the first key that matches the module.
    pub(super) fn get(&self, json: &JsonObject, module: &str) -> Result<Option<T>, ImportError> {
        for (regex, value) in &self.entries {
            let matches = regex.is_match(module).map_err(|_| {
                json.unsupported(self.key, format!("`{}` is too complex an expression", regex.as_str()))
            })?;
            if matches {
                return Ok(Some(*value));
            }
        }
        Ok(None)
    }
}
