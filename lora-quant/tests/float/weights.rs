//! Shards and their index, and weights in other formats.

use std::fs;
use std::path::Path;

use lorica_quant::import::{FloatEncoder, ImportError};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::folders::{Model, Stored, Tensors, serialise, write_json};

const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// The small model in two shards, and its index.
fn sharded() -> (TempDir, [Tensors; 2], Value) {
    let model = Model::small();
    let dir = model.write();
    fs::remove_file(dir.path().join("model.safetensors")).expect("present");
    let mut shards = [Tensors::new(), Tensors::new()];
    let mut map = json!({});
    for (place, (name, stored)) in model.tensors.into_iter().enumerate() {
        map[&name] = json!(SHARDS[place % 2]);
        shards[place % 2].insert(name, stored);
    }
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    write(dir.path(), &shards, &index);
    (dir, shards, index)
}

fn write(dir: &Path, shards: &[Tensors; 2], index: &Value) {
    for (name, tensors) in SHARDS.iter().zip(shards) {
        fs::write(dir.join(name), serialise(tensors)).expect("writable");
    }
    write_json(dir, INDEX, index);
}

fn refusal(dir: &Path) -> ImportError {
    FloatEncoder::load(dir).map(|_| ()).expect_err("a folder that must be refused")
}

fn assert_names(error: &ImportError, parts: [&str; 2]) {
    let message = error.to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
}

#[test]
fn shards_are_the_single_file() {
    let (dir, ..) = sharded();
    let got = FloatEncoder::load(dir.path()).expect("two shards");
    let expected = FloatEncoder::load(Model::small().write().path()).expect("one file");
    assert_eq!((got.word, got.layers, got.pooler), (expected.word, expected.layers, expected.pooler));
    let files = FloatEncoder::weight_files(dir.path()).expect("two shards");
    assert_eq!(files, SHARDS.map(|name| dir.path().join(name)));
}

/// As `transformers` does.
#[test]
fn the_single_file_goes_before_an_index() {
    let (dir, ..) = sharded();
    let mut model = Model::small();
    model.tensors.insert("embeddings.word_embeddings.weight".into(), Stored::synthetic("other", &[40, 128]));
    fs::write(dir.path().join("model.safetensors"), serialise(&model.tensors)).expect("writable");
    let encoder = FloatEncoder::load(dir.path()).expect("a single file");
    assert_eq!(encoder.word, Stored::synthetic("other", &[40, 128]).values());
    assert_eq!(FloatEncoder::weight_files(dir.path()).expect("a single file"), [dir.path().join("model.safetensors")]);
}

#[test]
fn shards_that_are_missing_or_elsewhere_are_refused() {
    let (dir, ..) = sharded();
    fs::remove_file(dir.path().join(SHARDS[1])).expect("present");
    let error = refusal(dir.path());
    assert!(matches!(&error, ImportError::Read { file, .. } if file.ends_with(SHARDS[1])), "{error}");

    let (dir, shards, index) = sharded();
    for name in ["../other.safetensors", "/etc/passwd", "a/b", "a\\b", "c:x", "..", ".", "", "nul\0"] {
        let mut index = index.clone();
        index["weight_map"]["pooler.dense.bias"] = json!(name);
        write(dir.path(), &shards, &index);
        let error = refusal(dir.path());
        assert!(matches!(&error, ImportError::Unsupported { .. }), "{name}: {error}");
        assert_names(&error, [INDEX, "weight_map.pooler.dense.bias"]);
    }
    for (map, part) in [(json!(null), "missing"), (json!([]), "weight_map"), (json!({ "a": 1 }), "weight_map.a")] {
        write(dir.path(), &shards, &json!({ "weight_map": map }));
        assert_names(&refusal(dir.path()), [INDEX, part]);
    }
    write(dir.path(), &shards, &json!({ "weight_map": {} }));
    assert_names(&refusal(dir.path()), [INDEX, "embeddings.word_embeddings.weight"]);
}

#[test]
fn index_and_shards_must_agree() {
    const TENSOR: &str = "encoder.layer.1.output.dense.bias";
    let (dir, shards, index) = sharded();
    let place = shards.iter().position(|shard| shard.contains_key(TENSOR)).expect("in one shard");
    let refused = |shards: &[Tensors; 2], index: &Value| {
        write(dir.path(), shards, index);
        refusal(dir.path())
    };

    let mut lacking = shards.clone();
    lacking[place].remove(TENSOR);
    let error = refused(&lacking, &index);
    assert!(matches!(&error, ImportError::MissingTensor { .. }), "{error}");
    assert_names(&error, [TENSOR, SHARDS[place]]);

    let mut unlisted = index.clone();
    unlisted["weight_map"].as_object_mut().expect("a map").remove(TENSOR);
    let error = refused(&shards, &unlisted);
    assert!(matches!(&error, ImportError::UnsupportedTensor { .. }), "{error}");
    assert_names(&error, [TENSOR, SHARDS[place]]);

    let mut twice = shards.clone();
    let stored = twice[place][TENSOR].clone();
    twice[1 - place].insert(TENSOR.into(), stored);
    assert_names(&refused(&twice, &index), [TENSOR, SHARDS[1 - place]]);

    // Agreed on, but not of this model; and missing from both.
    let (mut extra, mut listing) = (shards.clone(), index.clone());
    extra[0].insert("extra".into(), Stored::f32(&[1], &[0.0]));
    listing["weight_map"]["extra"] = json!(SHARDS[0]);
    assert_names(&refused(&extra, &listing), ["`extra`", SHARDS[0]]);
    assert_names(&refused(&lacking, &unlisted), [TENSOR, INDEX]);
}

#[test]
fn other_formats_are_named_with_the_way_to_convert_them() {
    for (name, remedy) in [
        ("pytorch_model.bin", "from_pretrained(FOLDER)"),
        ("pytorch_model.bin.index.json", "from_pretrained(FOLDER)"),
        ("tf_model.h5", "from_tf=True"),
        ("flax_model.msgpack", "from_flax=True"),
        ("model.onnx", "exported from"),
        ("onnx/model.onnx", "exported from"),
    ] {
        let dir = Model::small().write();
        fs::remove_file(dir.path().join("model.safetensors")).expect("present");
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(&path, b"weights").expect("writable");
        let error = refusal(dir.path());
        assert!(matches!(&error, ImportError::OtherFormat { file, .. } if *file == path), "{error}");
        assert_names(&error, [remedy, "model.safetensors"]);
    }
}
