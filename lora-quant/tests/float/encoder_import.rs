//! Loading an encoder folder: accepted variants, and one refusal for each thing that can be wrong with it.

use std::fs;

use lorica_quant::float::forward;
use lorica_quant::import::{Activation, FloatEncoder, ImportError};
use safetensors::Dtype;
use serde_json::json;

use crate::folders::{Model, Stored, serialise};

const IDS: [u32; 4] = [2, 4, 5, 3];

fn load(model: &Model) -> Result<FloatEncoder, ImportError> {
    FloatEncoder::load(model.write().path())
}

fn embedding(model: &Model) -> Vec<f32> {
    let encoder = load(model).expect("a valid folder");
    forward(&encoder, None, &IDS).expect("valid ids").embedding
}

fn refusal(model: &Model) -> String {
    load(model).map(|_| ()).expect_err("a folder that must be refused").to_string()
}

#[test]
fn a_valid_folder_loads() {
    let encoder = load(&Model::small()).expect("a valid folder");
    assert_eq!(encoder.config.head_dim(), 32);
    assert_eq!(encoder.config.activation, Activation::Gelu);
    assert_eq!(encoder.layers.len(), 2);
    assert_eq!(encoder.layers[1].intermediate.weight.len(), 256 * 128);
    assert_eq!((encoder.layers[0].output.out_features, encoder.layers[0].output.in_features), (128, 256));
    assert!(encoder.pooler.is_some());
}

#[test]
fn names_with_and_without_prefix_mean_the_same() {
    let plain = Model::small();
    let mut prefixed = plain.clone();
    prefixed.tensors = plain.tensors.iter().map(|(name, t)| (format!("bert.{name}"), t.clone())).collect();
    prefixed.tensors.insert("cls.predictions.bias".into(), Stored::f32(&[1], &[0.0]));
    prefixed.tensors.insert("classifier.weight".into(), Stored::f32(&[1], &[0.0]));
    assert_eq!(embedding(&plain), embedding(&prefixed));
}

#[test]
fn old_names_of_normalisations_are_read() {
    let plain = Model::small();
    let mut old = plain.clone();
    old.tensors = plain
        .tensors
        .iter()
        .map(|(name, t)| {
            (name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), t.clone())
        })
        .collect();
    let ids: Vec<u8> = (0..128i64).flat_map(i64::to_le_bytes).collect();
    old.tensors.insert("embeddings.position_ids".into(), Stored { dtype: Dtype::I64, shape: vec![1, 128], bytes: ids });
    assert_eq!(embedding(&plain), embedding(&old));
}

#[test]
fn half_precision_weights_are_converted() {
    let plain = Model::small();
    let mut half = plain.clone();
    half.tensors.values_mut().for_each(|stored| *stored = stored.to_bf16());
    let cosine: f32 = embedding(&plain).iter().zip(embedding(&half)).map(|(a, b)| a * b).sum();
    assert!((0.999..0.999_999_9).contains(&cosine), "{cosine}");
}

#[test]
fn the_pooler_may_be_absent_as_a_whole() {
    let mut model = Model::small();
    model.tensors.remove("pooler.dense.weight");
    assert!(refusal(&model).contains("pooler.dense.weight"));
    model.tensors.remove("pooler.dense.bias");
    let encoder = load(&model).expect("the pooler is optional");
    assert!(matches!(encoder.require_pooler(), Err(ImportError::NoPooler)));
}

#[test]
fn unsupported_settings_are_named() {
    let cases = [
        ("model_type", json!("roberta")),
        ("hidden_size", json!(96)),
        ("hidden_size", json!(4160)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(-128)),
        ("hidden_size", json!("128")),
        ("hidden_size", json!(u64::MAX)),
        ("intermediate_size", json!(100)),
        ("intermediate_size", json!(16448)),
        ("num_attention_heads", json!(3)),
        ("num_attention_heads", json!(16)),
        ("num_attention_heads", json!(0)),
        ("num_hidden_layers", json!(33)),
        ("num_hidden_layers", json!(1.5)),
        ("vocab_size", json!((1 << 20) + 1)),
        ("vocab_size", json!(1)),
        ("max_position_embeddings", json!(64)),
        ("hidden_act", json!("silu")),
        ("hidden_act", json!({"name": "gelu"})),
        ("position_embedding_type", json!("relative_key")),
        ("layer_norm_eps", json!(0)),
        ("layer_norm_eps", json!("small")),
        ("is_decoder", json!(true)),
        ("add_cross_attention", json!(true)),
        ("pruned_heads", json!({"0": [1]})),
        ("quantization_config", json!({"bits": 4})),
    ];
    for (key, value) in cases {
        let mut model = Model::small();
        model.config[key] = value.clone();
        let message = refusal(&model);
        assert!(message.contains("config.json") && message.contains(&format!("`{key}`")), "{key}: {message}");
        assert!(message.contains(&value.to_string()), "{value}: {message}");
    }
    for key in ["model_type", "hidden_size", "num_attention_heads", "vocab_size"] {
        let mut model = Model::small();
        model.config.as_object_mut().expect("an object").remove(key);
        assert!(refusal(&model).contains(&format!("`{key}` is missing")));
    }
}

/// Widths that are no multiples of 128 have blocks of 64, and no head is wider than a block.
#[test]
fn widths_are_multiples_of_a_block() {
    let model = |hidden: usize, middle: usize, heads: usize| {
        let mut config = Model::small().config;
        config["hidden_size"] = json!(hidden);
        config["intermediate_size"] = json!(middle);
        config["num_attention_heads"] = json!(heads);
        Model::new(config)
    };
    for (hidden, middle, heads, block) in [(128, 256, 1, 128), (192, 128, 3, 64), (128, 192, 2, 64)] {
        let config = load(&model(hidden, middle, heads)).expect("a supported model").config;
        assert_eq!((config.hidden, config.intermediate, config.block()), (hidden, middle, block));
    }
    let message = refusal(&model(128, 192, 1));
    assert!(message.contains("`num_attention_heads` is 1") && message.contains("16 to 64"), "{message}");
}

/// A model of so many positions, and which imports it takes.
#[test]
fn the_positions_limit_the_texts() {
    for (positions, limit, fits) in [(128, 128, true), (128, 256, false), (255, 256, false), (256, 256, true)] {
        let mut config = Model::small().config;
        config["max_position_embeddings"] = json!(positions);
        match FloatEncoder::load_for(Model::new(config).write().path(), limit) {
            Ok(encoder) => assert_eq!((encoder.config.max_tokens, fits), (limit, true)),
            Err(error) => {
                let message = error.to_string();
                let both = format!(
                    "`max_position_embeddings` is {positions}, which is not supported: a whole number from {limit}"
                );
                assert!(!fits && message.contains(&both), "{message}");
            }
        }
    }
}

#[test]
fn every_tensor_is_required_with_its_shape_and_finite_values() {
    let model = Model::small();
    for name in model.tensors.keys() {
        let mut missing = model.clone();
        missing.tensors.remove(name);
        assert_names(&refusal(&missing), name);

        let mut reshaped = model.clone();
        let stored = &model.tensors[name];
        let shape = [&[1], stored.shape.as_slice()].concat();
        reshaped.tensors.insert(name.clone(), Stored { shape, ..stored.clone() });
        assert_names(&refusal(&reshaped), name);

        for value in [f32::NAN, f32::NEG_INFINITY] {
            let mut poisoned = model.clone();
            let mut values = stored.values();
            *values.last_mut().expect("no tensor is empty") = value;
            poisoned.tensors.insert(name.clone(), Stored::f32(&stored.shape, &values));
            let message = refusal(&poisoned);
            assert_names(&message, name);
            assert!(message.contains(&format!("{value} at index {}", values.len() - 1)), "{message}");
        }
    }
}

fn assert_names(message: &str, tensor: &str) {
    // A missing `gamma` is reported under the name that the file's other tensors suggest.
    assert!(message.contains("model.safetensors") && message.contains(&format!("`{tensor}`")), "{tensor}: {message}");
}

#[test]
fn integers_and_unknown_tensors_are_refused() {
    let mut model = Model::small();
    let stored = model.tensors["embeddings.LayerNorm.bias"].clone();
    model.tensors.insert("embeddings.LayerNorm.bias".into(), Stored { dtype: Dtype::I32, ..stored });
    assert!(refusal(&model).contains("element type I32"));
    for name in ["encoder.layer.2.output.dense.bias", "encoder.layer.0.crossattention.self.query.weight", "extra"] {
        let mut model = Model::small();
        model.tensors.insert(name.into(), Stored::f32(&[1], &[0.0]));
        assert_names(&refusal(&model), name);
    }
}

#[test]
fn broken_files_are_errors() {
    let model = Model::small();
    let dir = model.write();
    let path = dir.path().join("model.safetensors");
    let good = serialise(&model.tensors);
    let header = 8 + u64::from_le_bytes(good[..8].try_into().expect("eight bytes")) as usize;
    for length in [0, 7, 8, 100, header, header + 1, good.len() - 1] {
        fs::write(&path, &good[..length]).expect("writable");
        let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("a truncated file");
        assert!(matches!(error, ImportError::Safetensors { .. }), "{length}: {error}");
    }
    let mut longer = good.clone();
    longer.push(0);
    fs::write(&path, longer).expect("writable");
    assert!(matches!(FloatEncoder::load(dir.path()), Err(ImportError::Safetensors { .. })));
    // Any change of the header gives an error or a model, never a panic.
    for step in 0..500 {
        let mut changed = good.clone();
        changed[step * 7919 % header] ^= 1 << (step % 8);
        fs::write(&path, changed).expect("writable");
        let _ = FloatEncoder::load(dir.path());
    }
    fs::remove_file(&path).expect("present");
    let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("no weights");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

#[test]
fn broken_json_is_an_error() {
    for (file, content) in
        [("config.json", "{"), ("config.json", "[]"), ("tokenizer.json", "{}"), ("tokenizer.json", "")]
    {
        let dir = Model::small().write();
        fs::write(dir.path().join(file), content).expect("writable");
        let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("broken JSON");
        assert!(error.to_string().contains(file), "{error}");
    }
}
