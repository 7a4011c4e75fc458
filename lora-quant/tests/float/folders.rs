//! Small synthetic model and adapter folders, written into temporary folders.
//!
//! The weights follow the formula of `fixtures/make_reference.py`, so that `transformers` outputs for the same models
//! can be committed without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A tensor as it goes into a file.
#[derive(Clone)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Stored {
    pub fn f32(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: shape.into(), bytes }
    }

    /// Pseudo-random values in [-0.1, 0.1) by the tensor's name, 1 more for factors of layer normalisations.
    pub fn synthetic(name: &str, shape: &[usize]) -> Self {
        let seed = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let offset = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let values: Vec<f32> = (0..shape.iter().product::<usize>() as u32)
            .map(|i| {
                let mut x = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9));
                x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
                x ^= x >> 13;
                ((f64::from(x >> 8) / f64::from(1 << 24) - 0.5) * 0.2 + offset) as f32
            })
            .collect();
        Self::f32(shape, &values)
    }

    pub fn values(&self) -> Vec<f32> {
        self.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// The upper half of each value.
    pub fn to_bf16(&self) -> Self {
        let bytes = self.bytes.as_chunks::<4>().0.iter().flat_map(|bytes| [bytes[2], bytes[3]]).collect();
        Self { dtype: Dtype::BF16, shape: self.shape.clone(), bytes }
    }
}

pub type Tensors = BTreeMap<String, Stored>;

/// Configuration and tensors of a folder, to be changed before writing.
#[derive(Clone)]
pub struct Model {
    pub config: Value,
    pub tokenizer: Vec<u8>,
    pub tensors: Tensors,
}

impl Model {
    /// Two layers of width 128.
    pub fn small() -> Self {
        Self::new(json!({
            "model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 256, "hidden_act": "gelu", "vocab_size": 40, "max_position_embeddings": 128,
            "type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
        }))
    }

    pub fn new(config: Value) -> Self {
        let size = |key: &str| config[key].as_u64().expect("a size") as usize;
        let (hidden, middle) = (size("hidden_size"), size("intermediate_size"));
        let mut shapes = vec![
            ("embeddings.word_embeddings.weight".to_owned(), vec![size("vocab_size"), hidden]),
            ("embeddings.position_embeddings.weight".to_owned(), vec![size("max_position_embeddings"), hidden]),
            ("embeddings.token_type_embeddings.weight".to_owned(), vec![size("type_vocab_size"), hidden]),
        ];
        let mut norms = vec!["embeddings.LayerNorm".to_owned()];
        let mut linears = vec![("pooler.dense".to_owned(), hidden, hidden)];
        for layer in 0..size("num_hidden_layers") {
            let base = format!("encoder.layer.{layer}");
            for (name, out, inner) in SITES {
                let width = |kind| if kind == Width::Hidden { hidden } else { middle };
                linears.push((format!("{base}.{name}"), width(out), width(inner)));
            }
            norms.push(format!("{base}.attention.output.LayerNorm"));
            norms.push(format!("{base}.output.LayerNorm"));
        }
        for (name, out, inner) in linears {
            shapes.push((format!("{name}.weight"), vec![out, inner]));
            shapes.push((format!("{name}.bias"), vec![out]));
        }
        for name in norms {
            shapes.push((format!("{name}.weight"), vec![hidden]));
            shapes.push((format!("{name}.bias"), vec![hidden]));
        }
        let tensors =
            shapes.into_iter().map(|(name, shape)| (name.clone(), Stored::synthetic(&name, &shape))).collect();
        Self { config, tokenizer: tokenizer_json(), tensors }
    }

    pub fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_json(dir.path(), "config.json", &self.config);
        fs::write(dir.path().join("tokenizer.json"), &self.tokenizer).expect("writable");
        fs::write(dir.path().join("model.safetensors"), serialise(&self.tensors)).expect("writable");
        dir
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Width {
    Hidden,
    Middle,
}

/// The linear layers of an encoder layer: name, outputs, inputs.
pub const SITES: [(&str, Width, Width); 6] = [
    ("attention.self.query", Width::Hidden, Width::Hidden),
    ("attention.self.key", Width::Hidden, Width::Hidden),
    ("attention.self.value", Width::Hidden, Width::Hidden),
    ("attention.output.dense", Width::Hidden, Width::Hidden),
    ("intermediate.dense", Width::Middle, Width::Hidden),
    ("output.dense", Width::Hidden, Width::Middle),
];

/// An adapter for [`Model::small`].
#[derive(Clone)]
pub struct Adapter {
    pub config: Value,
    pub labels: Option<Value>,
    pub tensors: Tensors,
}

impl Adapter {
    /// Rank 4 on query and value of both layers, with a classifier of three labels, as PEFT 0.21 writes it.
    pub fn small() -> Self {
        let config = json!({
            "alora_invocation_tokens": null, "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null,
            "base_model_name_or_path": "some-base", "bias": "none", "corda_config": null, "ensure_weight_tying": false,
            "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true,
            "init_lora_weights": true, "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
            "loftq_config": {}, "lora_alpha": 8, "lora_bias": false, "lora_dropout": 0.05, "megatron_config": null,
            "megatron_core": "megatron.core", "modules_to_save": ["classifier", "score"], "peft_type": "LORA",
            "peft_version": "0.21.2", "qalora_group_size": 16, "r": 4, "rank_pattern": {}, "revision": null,
            "target_modules": ["value", "query"], "target_parameters": null, "task_type": "SEQ_CLS",
            "trainable_token_indices": null, "use_dora": false, "use_qalora": false, "use_rslora": false,
        });
        let mut adapter = Self { config, labels: Some(json!(["a", "b", "c"])), tensors: Tensors::new() };
        for layer in 0..2 {
            adapter.add_pair(&format!("bert.encoder.layer.{layer}.attention.self.query"), 128, 128, 4);
            adapter.add_pair(&format!("bert.encoder.layer.{layer}.attention.self.value"), 128, 128, 4);
        }
        adapter.add("base_model.model.classifier.weight", &[3, 128]);
        adapter.add("base_model.model.classifier.bias", &[3]);
        adapter
    }

    /// With a pair on the pooler too.
    pub fn with_pooler() -> Self {
        let mut adapter = Self::small();
        adapter.config["target_modules"] = json!(["value", "query", "pooler.dense"]);
        adapter.add_pair("bert.pooler.dense", 128, 128, 4);
        adapter
    }

    /// The same pairs on a bare `BertModel`, without a classifier.
    pub fn headless() -> Self {
        let mut adapter = Self::small();
        adapter.config["task_type"] = json!("FEATURE_EXTRACTION");
        adapter.config["modules_to_save"] = json!(null);
        adapter.labels = None;
        adapter.tensors.retain(|name, _| name.contains("lora"));
        adapter.tensors =
            adapter.tensors.into_iter().map(|(name, stored)| (name.replace("bert.", ""), stored)).collect();
        adapter
    }

    pub fn add(&mut self, name: &str, shape: &[usize]) {
        self.tensors.insert(name.into(), Stored::synthetic(name, shape));
    }

    pub fn add_pair(&mut self, module: &str, out: usize, inner: usize, rank: usize) {
        self.add(&format!("base_model.model.{module}.lora_A.weight"), &[rank, inner]);
        self.add(&format!("base_model.model.{module}.lora_B.weight"), &[out, rank]);
    }

    pub fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_json(dir.path(), "adapter_config.json", &self.config);
        if let Some(labels) = &self.labels {
            write_json(dir.path(), "labels.json", labels);
        }
        fs::write(dir.path().join("adapter_model.safetensors"), serialise(&self.tensors)).expect("writable");
        dir
    }
}

pub fn serialise(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, stored)| {
        (name, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).expect("a consistent tensor"))
    });
    safetensors::serialize(views, None).expect("consistent tensors")
}

pub fn write_json(dir: &Path, name: &str, value: &Value) {
    fs::write(dir.join(name), serde_json::to_vec(value).expect("a JSON value")).expect("writable");
}

/// A WordPiece tokenizer of ten tokens, with truncation and padding baked in as in MiniLM's file.
fn tokenizer_json() -> Vec<u8> {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "a", "b", "##a", "##b"];
    let vocab: BTreeMap<&str, usize> = words.iter().enumerate().map(|(id, word)| (*word, id)).collect();
    let special = |id: usize| {
        json!({"id": id, "content": words[id], "special": true, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false})
    };
    let token = |id: usize| json!({"id": words[id], "ids": [id], "tokens": [words[id]]});
    let value = json!({
        "version": "1.0",
        "truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0), special(1), special(2), special(3)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": token(2), "[SEP]": token(3)},
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    });
    serde_json::to_vec(&value).expect("a JSON value")
}
