//! Loading a PEFT folder: accepted variants, what they compute, and one refusal for each thing that can be wrong.

use std::fs;

use lorica_quant::float::{FloatError, forward};
use lorica_quant::import::{FloatAdapter, FloatEncoder, ImportError, LayerSite, Site};
use serde_json::{Value, json};

use crate::folders::{Adapter, Model, SITES, Stored, Width};

pub const R_MAX: usize = 16;
pub const IDS: [u32; 5] = [2, 4, 5, 0, 3];

pub fn base() -> FloatEncoder {
    FloatEncoder::load(Model::small().write().path()).expect("a valid folder")
}

pub fn load(adapter: &Adapter) -> Result<FloatAdapter, ImportError> {
    FloatAdapter::load(adapter.write().path(), &base().config, R_MAX)
}

pub fn refusal(adapter: &Adapter) -> String {
    load(adapter).map(|_| ()).expect_err("an adapter that must be refused").to_string()
}

#[test]
fn a_valid_adapter_loads() {
    let adapter = load(&Adapter::small()).expect("a valid adapter");
    assert!(adapter.sites.values().all(|pair| (pair.rank, pair.scaling) == (4, 2.0)));
    let sites: Vec<_> = adapter.sites.keys().copied().collect();
    let of_layer = |layer| [LayerSite::Query, LayerSite::Value].map(|site| Site::Layer(layer, site));
    assert_eq!(sites, [of_layer(0), of_layer(1)].concat());
    assert_eq!(adapter.head.expect("a classifier").labels, ["a", "b", "c"]);
}

#[test]
fn an_adapter_without_head_loads() {
    let adapter = load(&Adapter::headless()).expect("a valid adapter");
    assert!(adapter.head.is_none());
    assert_eq!(adapter.sites.len(), 4);
    let mut unnamed = Adapter::headless();
    unnamed.config["task_type"] = json!(null);
    unnamed.config["auto_mapping"] = json!({"base_model_class": "BertModel", "parent_library": "transformers"});
    assert_eq!(load(&unnamed).expect("no task type").sites, adapter.sites);
}

#[test]
fn a_missing_task_type_is_read_from_the_model_class() {
    let mut adapter = Adapter::small();
    adapter.config["task_type"] = json!(null);
    assert!(refusal(&adapter).contains("modules_to_save"));
    adapter.config["auto_mapping"] = json!({"base_model_class": "BertForSequenceClassification"});
    assert!(load(&adapter).expect("a classifier").head.is_some());
}

#[test]
fn any_subset_of_modules_can_be_named() {
    let all: Vec<String> =
        (0..2).flat_map(|layer| SITES.map(|(name, ..)| format!("bert.encoder.layer.{layer}.{name}"))).collect();
    for mask in [0b1, 0b10_0000, 0b1000_0000_0000, 0b1010_1010_1010, 0b1111_1111_1111] {
        let chosen: Vec<&String> = all.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, m)| m).collect();
        let mut adapter = Adapter::small();
        adapter.tensors.retain(|name, _| name.contains("classifier"));
        for module in &chosen {
            let (_, out, inner) = SITES[all.iter().position(|name| name == *module).expect("one of all") % 6];
            let width = |kind| if kind == Width::Hidden { 128 } else { 256 };
            adapter.add_pair(module, width(out), width(inner), 4);
        }
        adapter.config["target_modules"] = json!(chosen);
        assert_eq!(load(&adapter).expect("a list of full names").sites.len(), chosen.len());
        let pattern: Vec<String> = chosen.iter().map(|name| name.replace('.', r"\.")).collect();
        adapter.config["target_modules"] = json!(pattern.join("|"));
        assert_eq!(load(&adapter).expect("a pattern").sites.len(), chosen.len());
    }
}

#[test]
fn tensors_decide_where_a_pattern_cannot_be_read() {
    let mut adapter = Adapter::small();
    adapter.config["target_modules"] = json!("(?<broken");
    assert_eq!(load(&adapter).expect("the tensors are consistent").sites.len(), 4);
    adapter.tensors.remove("base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight");
    assert!(refusal(&adapter).contains("layer.1.attention.self.query.lora_A.weight` is missing"));
}

#[test]
fn labels_come_as_list_or_map() {
    for labels in [json!(["x", "y", "z"]), json!({"0": "x", "2": "z", "1": "y"}), json!({"y": 1, "x": 0, "z": 2})] {
        let mut adapter = Adapter::small();
        adapter.labels = Some(labels);
        assert_eq!(load(&adapter).expect("valid").head.expect("a classifier").labels, ["x", "y", "z"]);
    }
    let mut adapter = Adapter::small();
    adapter.labels = None;
    assert_eq!(load(&adapter).expect("valid").head.expect("a classifier").labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    for labels in [
        json!(["x", "y"]),
        json!(["x", "y", "y"]),
        json!(["x", "y", ""]),
        json!(["x", "y", 3]),
        json!({"x": 0, "y": 1, "z": 3}),
        json!({"x": 0, "y": 1, "z": -1}),
        json!("x"),
    ] {
        let mut adapter = Adapter::small();
        adapter.labels = Some(labels);
        assert!(refusal(&adapter).contains("labels.json"));
    }
    let mut headless = Adapter::headless();
    headless.labels = Some(json!(["x"]));
    assert!(refusal(&headless).contains("labels.json"));
}

#[test]
fn non_default_settings_are_named() {
    let cases: [(&str, Value); 29] = [
        ("peft_type", json!("IA3")),
        ("task_type", json!("TOKEN_CLS")),
        ("bias", json!("all")),
        ("use_dora", json!(true)),
        ("rank_pattern", json!({"query": 0})),
        ("rank_pattern", json!(["query"])),
        ("alpha_pattern", json!({"query": "8"})),
        ("alpha_pattern", json!({"(query": 8})),
        ("fan_in_fan_out", json!(true)),
        ("layers_to_transform", json!([0.5])),
        ("layers_pattern", json!("layer")),
        ("lora_bias", json!(true)),
        ("layer_replication", json!([[0, 1]])),
        ("exclude_modules", json!([1])),
        ("trainable_token_indices", json!([1])),
        ("target_parameters", json!(["weight"])),
        ("megatron_config", json!({"x": 1})),
        ("loftq_config", json!({"bits": 4})),
        ("use_qalora", json!(true)),
        ("alora_invocation_tokens", json!([1, 2])),
        ("init_lora_weights", json!("pissa")),
        ("some_future_setting", json!(0.5)),
        ("r", json!(17)),
        ("r", json!(0)),
        ("lora_alpha", json!("8")),
        ("use_rslora", json!("yes")),
        ("target_modules", json!(3)),
        ("target_modules", json!(["query", 3])),
        ("modules_to_save", json!("classifier")),
    ];
    for (key, value) in cases {
        let mut adapter = Adapter::small();
        adapter.config[key] = value.clone();
        let message = refusal(&adapter);
        assert!(message.contains("adapter_config.json") && message.contains(&format!("`{key}`")), "{key}: {message}");
        assert!(message.contains(&value.to_string()), "{value}: {message}");
    }
    for module in ["bert.pooler", "pooler.dense", "word_embeddings"] {
        let mut adapter = Adapter::small();
        adapter.config["modules_to_save"] = json!(["classifier", module]);
        assert!(refusal(&adapter).contains(&format!("`modules_to_save` is \"{module}\"")));
    }
    for key in ["peft_type", "r", "lora_alpha", "target_modules"] {
        let mut adapter = Adapter::small();
        adapter.config.as_object_mut().expect("an object").remove(key);
        assert!(refusal(&adapter).contains(&format!("`{key}` is missing")));
    }
}

#[test]
fn future_settings_that_are_off_are_accepted() {
    let mut adapter = Adapter::small();
    for (key, value) in [("future_a", json!(null)), ("future_b", json!(false)), ("future_c", json!({}))] {
        adapter.config[key] = value;
    }
    adapter.config["init_lora_weights"] = json!("gaussian");
    load(&adapter).expect("nothing is switched on");
}

#[test]
fn tensors_and_targets_must_agree() {
    let mut fewer = Adapter::small();
    fewer.config["target_modules"] = json!(["query"]);
    assert!(refusal(&fewer).contains("attention.self.value.lora_A.weight"));
    let mut more = Adapter::small();
    more.config["target_modules"] = json!(["query", "value", "key"]);
    assert!(refusal(&more).contains("attention.self.key.lora_A.weight` is missing"));
    let mut none = Adapter::headless();
    none.config["target_modules"] = json!([]);
    none.tensors = [("x".to_owned(), Stored::f32(&[1], &[0.0]))].into();
    assert!(refusal(&none).contains("`x`"));
    none.tensors.clear();
    assert!(refusal(&none).contains("leave no linear layer"));
}

#[test]
fn every_tensor_is_required_with_its_shape_and_finite_values() {
    let adapter = Adapter::small();
    for (name, stored) in &adapter.tensors {
        let named = |changed: &Adapter| {
            let message = refusal(changed);
            assert!(
                message.contains("adapter_model.safetensors") && message.contains(&format!("`{name}`")),
                "{name}: {message}"
            );
        };
        let mut missing = adapter.clone();
        missing.tensors.remove(name);
        named(&missing);
        let mut reshaped = adapter.clone();
        let shape: Vec<usize> = stored.shape.iter().map(|size| size * 2).collect();
        reshaped.add(name, &shape);
        named(&reshaped);
        let mut poisoned = adapter.clone();
        let mut values = stored.values();
        values[1] = f32::NAN;
        poisoned.tensors.insert(name.clone(), Stored::f32(&stored.shape, &values));
        named(&poisoned);
    }
    for name in [
        "base_model.model.bert.embeddings.word_embeddings.lora_embedding_A",
        "base_model.model.bert.encoder.layer.0.attention.self.query.lora_magnitude_vector",
        "base_model.model.bert.encoder.layer.2.attention.self.query.lora_A.weight",
        "base_model.model.classifier.lora_A.weight",
    ] {
        let mut extra = adapter.clone();
        extra.add(name, &[4, 128]);
        assert!(refusal(&extra).contains(&format!("`{name}`")));
    }
}

#[test]
fn a_classifier_has_two_to_sixteen_labels() {
    for (count, problem) in [(1, Some("a score")), (2, None), (16, None), (17, Some("17 labels"))] {
        let mut adapter = Adapter::small();
        adapter.labels = None;
        adapter.add("base_model.model.classifier.weight", &[count, 128]);
        adapter.add("base_model.model.classifier.bias", &[count]);
        match problem {
            None => assert_eq!(load(&adapter).expect("valid").head.expect("a classifier").labels.len(), count),
            Some(problem) => {
                let message = refusal(&adapter);
                assert!(message.contains(problem) && message.contains("`base_model.model.classifier.weight`"));
            }
        }
    }
}

#[test]
fn a_truncated_adapter_is_an_error() {
    let dir = Adapter::small().write();
    let path = dir.path().join("adapter_model.safetensors");
    let bytes = fs::read(&path).expect("just written");
    fs::write(&path, &bytes[..bytes.len() - 5]).expect("writable");
    let error = FloatAdapter::load(dir.path(), &base().config, R_MAX).expect_err("truncated");
    assert!(matches!(error, ImportError::Safetensors { .. }), "{error}");
    fs::remove_file(&path).expect("present");
    let error = FloatAdapter::load(dir.path(), &base().config, R_MAX).expect_err("absent");
    assert!(error.to_string().contains("adapter_model.safetensors"), "{error}");
    fs::write(dir.path().join("adapter_model.bin"), b"pickle").expect("writable");
    let error = FloatAdapter::load(dir.path(), &base().config, R_MAX).expect_err("a pickle");
    assert!(matches!(error, ImportError::OtherFormat { .. }), "{error}");
    for part in ["adapter_model.bin: ", "torch.load(\"adapter_model.bin\"", "save_file"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_head_needs_a_pooler_and_an_adapter_its_own_sizes() {
    let adapter = load(&Adapter::small()).expect("valid");
    assert_eq!(forward(&base(), Some(&adapter), &IDS).expect("runs").logits.expect("a head").len(), 3);
    let mut model = Model::small();
    model.tensors.retain(|name, _| !name.starts_with("pooler"));
    let encoder = FloatEncoder::load(model.write().path()).expect("valid");
    assert!(matches!(forward(&encoder, Some(&adapter), &IDS), Err(FloatError::Import(ImportError::NoPooler))));
    let mut config = Model::small().config;
    config["num_hidden_layers"] = json!(1);
    let shallow = FloatEncoder::load(Model::new(config).write().path()).expect("valid");
    assert!(matches!(
        forward(&shallow, Some(&adapter), &IDS),
        Err(FloatError::ForeignAdapter { site: Site::Layer(1, _) })
    ));
}
