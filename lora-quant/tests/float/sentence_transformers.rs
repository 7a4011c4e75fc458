//! The files that sentence-transformers and `transformers` read beside the model.

use std::fs;
use std::path::Path;

use lorica_quant::import::{EncodeError, FloatEncoder, ImportError, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::folders::{Model, write_json};

const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
const NORMALIZE: &str = "2_Normalize/config.json";
const TRANSFORMER: &str = "sentence_bert_config.json";
const LIBRARY: &str = "config_sentence_transformers.json";
const TOKENIZER: &str = "tokenizer_config.json";

/// The small model as the library saves it, with other or further files.
fn folder(files: &[(&str, Value)]) -> TempDir {
    let dir = Model::small().write();
    let usual = [
        (MODULES, modules(&["", "1_Pooling", "2_Normalize"])),
        (POOLING, json!({ "word_embedding_dimension": 128, "pooling_mode_mean_tokens": true })),
    ];
    for (name, value) in usual.iter().chain(files) {
        put(dir.path(), name, value);
    }
    dir
}

fn put(dir: &Path, name: &str, value: &Value) {
    fs::create_dir_all(dir.join(name).parent().expect("a folder")).expect("writable");
    write_json(dir, name, value);
}

/// Modules of the usual kinds with these paths.
fn modules(paths: &[&str]) -> Value {
    let kinds = ["Transformer", "Pooling", "Normalize"];
    let module = |(place, path): (usize, &&str)| {
        let kind = format!("sentence_transformers.models.{}", kinds[place]);
        json!({ "idx": place, "name": place.to_string(), "path": path, "type": kind })
    };
    paths.iter().enumerate().map(module).collect()
}

fn tokenizer(files: &[(&str, Value)]) -> Tokenizer {
    let encoder = FloatEncoder::load(folder(files).path()).expect("a supported folder");
    encoder.tokenizer().expect("checked at load")
}

/// Loading must fail with the name of the file and of its key.
fn assert_refused(name: &str, value: &Value, key: &str, others: &[(&str, Value)]) {
    let files = [others, &[(name, value.clone())]].concat();
    let error = FloatEncoder::load(folder(&files).path()).map(|_| ()).expect_err(key);
    assert!(matches!(error, ImportError::Unsupported { .. }), "{value}: {error}");
    let message = error.to_string();
    assert!(message.contains(name) && message.contains(&format!("`{key}`")), "{value}: {message}");
}

fn assert_accepted(name: &str, value: Value) {
    let loaded = FloatEncoder::load(folder(&[(name, value.clone())]).path()).map(|_| ());
    assert!(loaded.is_ok(), "{value}: {loaded:?}");
}

#[test]
fn modules_are_transformer_pooling_and_perhaps_normalize() {
    assert_accepted(MODULES, modules(&["", "1_Pooling"]));
    let mut renamed = modules(&["", "1_Pooling", "2_Normalize"]);
    renamed[0]["type"] = json!("sentence_transformers.base.modules.transformer.Transformer");
    renamed[0]["kwargs"] = json!(["task"]);
    assert_accepted(MODULES, renamed);

    let usual = modules(&["", "1_Pooling", "2_Normalize"]);
    let with = |place: usize, key: &str, value: Value| {
        let mut modules = usual.clone();
        modules[place][key] = value;
        modules
    };
    let of = |places: &[usize]| -> Value { places.iter().map(|place| usual[*place].clone()).collect() };
    for (value, key) in [
        (with(2, "type", json!("sentence_transformers.models.Dense")), "type"),
        (with(0, "type", json!("custom_st.Transformer")), "type"),
        (with(0, "type", json!(null)), "type"),
        (of(&[]), "type"),
        (of(&[0]), "type"),
        (of(&[1, 0]), "type"),
        (of(&[0, 2, 1]), "type"),
        (of(&[0, 1, 2, 2]), "type"),
        (json!([1]), "type"),
        (json!({}), "(whole file)"),
        (with(1, "path", json!("")), "path"),
        (with(1, "path", json!("../1_Pooling")), "path"),
        (with(0, "path", json!("..")), "path"),
        (with(0, "path", json!("a/b")), "path"),
        (with(0, "path", json!("/")), "path"),
        (with(0, "path", json!(null)), "path"),
    ] {
        assert_refused(MODULES, &value, key, &[]);
    }
    let dir = folder(&[(MODULES, modules(&["", "pooling"]))]);
    let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("no such pooling");
    assert!(matches!(&error, ImportError::Read { file, .. } if file.ends_with("pooling/config.json")), "{error}");
}

/// The folder that `modules.json` names is read, and nothing of the model beside it.
#[test]
fn a_transformer_in_a_folder_of_its_own_is_read_there() {
    let inner = Model::small().write();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let own = dir.path().join("0_Transformer");
    fs::create_dir(&own).expect("writable");
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(inner.path().join(name), own.join(name)).expect("writable");
    }
    put(dir.path(), MODULES, &modules(&["0_Transformer", "1_Pooling"]));
    put(dir.path(), POOLING, &json!({ "pooling_mode": "mean" }));
    put(dir.path(), "0_Transformer/sentence_bert_config.json", &json!({ "max_seq_length": 16 }));
    put(dir.path(), "config.json", &json!({ "model_type": "roberta" }));
    put(dir.path(), TRANSFORMER, &json!({ "max_seq_length": 32 }));
    let encoder = FloatEncoder::load(dir.path()).expect("a supported folder");
    let tokenizer = encoder.tokenizer().expect("checked at load");
    assert_eq!(tokenizer.encode(&"a ".repeat(15)), Err(EncodeError::TooLong { tokens: 17, max: 16 }));
    assert_eq!(FloatEncoder::weight_files(dir.path()).expect("there"), [own.join("model.safetensors")]);
}

#[test]
fn another_pooling_than_the_mean_is_refused() {
    for value in
        [json!({}), json!({ "pooling_mode": "mean" }), json!({ "pooling_mode": ["mean"], "include_prompt": true })]
    {
        assert_accepted(POOLING, value);
    }
    for key in ["cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken", "new"] {
        let key = format!("pooling_mode_{key}");
        assert_refused(POOLING, &json!({ "pooling_mode_mean_tokens": true, &key: true }), &key, &[]);
    }
    let mean = "pooling_mode_mean_tokens";
    assert_refused(POOLING, &json!({ "pooling_mode_cls_token": false, mean: false }), mean, &[]);
    assert_refused(POOLING, &json!({ "pooling_mode": "cls" }), "pooling_mode", &[]);
    assert_refused(POOLING, &json!({ "pooling_mode": ["mean", "max"] }), "pooling_mode", &[]);
    assert_refused(POOLING, &json!({ "window": 3 }), "window", &[]);
    assert_accepted(NORMALIZE, json!({ "module_input_name": "sentence_embedding" }));
    assert_refused(NORMALIZE, &json!({ "module_input_name": "token_embeddings" }), "module_input_name", &[]);

    // Without modules.json too.
    let dir = Model::small().write();
    put(dir.path(), POOLING, &json!({ "pooling_mode_cls_token": true }));
    let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("first token pooling");
    assert!(error.to_string().contains("pooling_mode_cls_token"), "{error}");
}

#[test]
fn prompts_that_change_texts_are_refused() {
    let prompts = json!({ "query": "query: ", "document": "" });
    for value in [
        json!({}),
        json!({ "__version__": { "pytorch": "2" }, "similarity_fn_name": "dot", "model_type": "SentenceTransformer" }),
        json!({ "prompts": {}, "default_prompt_name": null, "truncate_dim": null }),
        json!({ "prompts": prompts, "default_prompt_name": "" }),
        json!({ "prompts": prompts, "default_prompt_name": "document" }),
    ] {
        assert_accepted(LIBRARY, value);
    }
    for (value, key) in [
        (json!({ "prompts": prompts, "default_prompt_name": "query" }), "default_prompt_name"),
        (json!({ "prompts": prompts, "default_prompt_name": "other" }), "default_prompt_name"),
        (json!({ "default_prompt_name": "query" }), "default_prompt_name"),
        (json!({ "prompts": prompts, "default_prompt_name": 1 }), "default_prompt_name"),
        (json!({ "prompts": ["query: "] }), "prompts"),
        (json!({ "truncate_dim": 64 }), "truncate_dim"),
        (json!({ "model_type": "SparseEncoder" }), "model_type"),
    ] {
        assert_refused(LIBRARY, &value, key, &[]);
    }
    let excluded = json!({ "pooling_mode": "mean", "include_prompt": false });
    assert_accepted(POOLING, excluded.clone());
    assert_refused(POOLING, &excluded, "include_prompt", &[(LIBRARY, json!({ "prompts": prompts }))]);
}

#[test]
fn the_smaller_limit_of_a_text_counts() {
    let limit = |files: &[(&str, Value)]| match tokenizer(files).encode(&"hello ".repeat(200)) {
        Err(EncodeError::TooLong { tokens: 202, max }) => max,
        other => panic!("{other:?}"),
    };
    let of = |tokens: u64| json!({ "max_seq_length": tokens });
    let model_max = |tokens: Value| (TOKENIZER, json!({ "model_max_length": tokens }));
    // What tokenizer.json would truncate to, 8, is set anew by the library.
    assert_eq!(limit(&[]), 128);
    assert_eq!(limit(&[(TRANSFORMER, of(64))]), 64);
    assert_eq!(limit(&[(TRANSFORMER, of(8))]), 8);
    assert_eq!(limit(&[(TRANSFORMER, of(256))]), 128);
    assert_eq!(limit(&[("sentence_roberta_config.json", of(32))]), 32);
    assert_eq!(limit(&[("sentence_roberta_config.json", of(32)), (TRANSFORMER, of(64))]), 64);
    assert_eq!(limit(&[model_max(json!(32))]), 32);
    assert_eq!(limit(&[model_max(json!(32)), (TRANSFORMER, of(64))]), 64);
    assert_eq!(limit(&[model_max(json!(32)), (TRANSFORMER, json!({ "max_seq_length": null }))]), 32);
    assert_eq!(limit(&[model_max(json!(512))]), 128);
    // What `transformers` writes where there is no limit.
    let none: Value = serde_json::from_str("1000000000000000019884624838656").expect("a number");
    assert_eq!(limit(&[model_max(none)]), 128);
    let tokenizer = tokenizer(&[(TRANSFORMER, of(16))]);
    assert_eq!(tokenizer.encode(&"a ".repeat(14)).map(|ids| ids.len()), Ok(16));
    let error = tokenizer.encode(&"a ".repeat(15)).expect_err("17 tokens").to_string();
    assert!(error.contains("17") && error.contains("16"), "{error}");

    for value in [json!(0), json!(-1), json!(1.5), json!("64")] {
        assert_refused(TRANSFORMER, &json!({ "max_seq_length": value }), "max_seq_length", &[]);
        assert_refused(TOKENIZER, &json!({ "model_max_length": value }), "model_max_length", &[]);
    }
}

/// What an import for 256 tokens makes of the model's own limit; `None`: it is refused.
#[test]
fn a_larger_import_needs_a_model_that_takes_longer_texts() {
    let long = |positions: usize, files: &[(&str, Value)], limit: usize| {
        let mut config = Model::small().config;
        config["max_position_embeddings"] = json!(positions);
        let dir = Model::new(config).write();
        for (name, value) in files {
            put(dir.path(), name, value);
        }
        FloatEncoder::load_for(dir.path(), limit)
    };
    let of = |tokens: u64| (TRANSFORMER, json!({ "max_seq_length": tokens }));
    for (positions, files, small, large) in [
        (512, vec![], (128, 256), Some(256)),
        (512, vec![of(512)], (128, 256), Some(256)),
        (512, vec![of(200)], (128, 200), Some(200)),
        (200, vec![], (128, 200), None),
        (512, vec![of(129)], (128, 129), Some(129)),
        (512, vec![of(128)], (128, 128), None),
        (512, vec![of(64)], (64, 64), None),
        (512, vec![(TOKENIZER, json!({ "model_max_length": 128 }))], (128, 128), None),
    ] {
        let limits = |encoder: FloatEncoder| {
            let tokenizer = encoder.tokenizer().expect("checked at load");
            match tokenizer.encode(&"hello ".repeat(300)) {
                Err(EncodeError::TooLong { tokens: 302, max }) => (max, tokenizer.importable()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(limits(long(positions, &files, 128).expect("every model takes 128")), small, "{files:?}");
        match (long(positions, &files, 256), large) {
            (Ok(encoder), Some(large)) => assert_eq!(limits(encoder), (large, large), "{files:?}"),
            (Err(error), None) => {
                let message = error.to_string();
                let own = if positions < 256 { positions } else { small.0 };
                assert!(message.contains(&format!("is {own},")) && message.contains("256"), "{message}");
            }
            (other, _) => panic!("{files:?}: {:?}", other.map(|_| ())),
        }
    }
}

/// The small tokenizer with another `lowercase`.
fn cased(dir: &Path, lowercase: bool) {
    let mut json: Value = serde_json::from_slice(&Model::small().tokenizer).expect("JSON");
    json["normalizer"]["lowercase"] = json!(lowercase);
    write_json(dir, "tokenizer.json", &json);
}

#[test]
fn lower_casing_is_applied() {
    for (said, ids) in [(false, vec![2, 1, 3]), (true, vec![2, 4, 3])] {
        let dir = folder(&[(TRANSFORMER, json!({ "do_lower_case": said }))]);
        cased(dir.path(), false);
        let encoder = FloatEncoder::load(dir.path()).expect("a supported folder");
        assert_eq!(encoder.tokenizer().expect("checked at load").encode("HELLO"), Ok(ids));
    }
    let dir = folder(&[(TRANSFORMER, json!({ "do_lower_case": true }))]);
    let mut json: Value = serde_json::from_slice(&Model::small().tokenizer).expect("JSON");
    json["normalizer"] = json!(null);
    write_json(dir.path(), "tokenizer.json", &json);
    let encoder = FloatEncoder::load(dir.path()).expect("a supported folder");
    assert_eq!(encoder.tokenizer().expect("checked at load").encode("HELLO"), Ok(vec![2, 4, 3]));
    assert_refused(TRANSFORMER, &json!({ "do_lower_case": "yes" }), "do_lower_case", &[]);
}

#[test]
fn other_settings_of_the_transformer_are_refused() {
    let text = json!({ "text": { "method": "forward", "method_output_name": "last_hidden_state" } });
    assert_accepted(
        TRANSFORMER,
        json!({ "transformer_task": "feature-extraction", "modality_config": text, "unpad_inputs": true,
                "module_output_name": "token_embeddings", "processing_kwargs": {}, "query_length": null }),
    );
    for (key, value) in [
        ("transformer_task", json!("fill-mask")),
        ("module_output_name", json!("scores")),
        ("modality_config", json!({ "text": { "method": "forward", "method_output_name": "logits" } })),
        ("processing_kwargs", json!({ "text": { "max_length": 4 } })),
        ("query_length", json!(32)),
        ("tokenizer_args", json!({ "do_lower_case": true })),
        ("new", json!(true)),
    ] {
        assert_refused(TRANSFORMER, &json!({ key: value }), key, &[]);
    }
}

#[test]
fn contradictions_about_the_tokenizer_are_refused() {
    let agreed = json!({ "do_lower_case": true, "strip_accents": true, "tokenize_chinese_chars": true,
                         "tokenizer_class": "BertTokenizer", "model_max_length": 512 });
    assert_accepted(TOKENIZER, agreed);
    assert_accepted(TOKENIZER, json!({ "do_lower_case": null, "strip_accents": null }));
    for key in ["do_lower_case", "strip_accents", "tokenize_chinese_chars"] {
        assert_refused(TOKENIZER, &json!({ key: false }), key, &[]);
    }
    let dir = folder(&[(TOKENIZER, json!({ "do_lower_case": true }))]);
    cased(dir.path(), false);
    let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("a cased tokenizer").to_string();
    assert!(error.contains(TOKENIZER) && error.contains("`do_lower_case` is true"), "{error}");
}

#[test]
fn a_bare_vocabulary_is_named_with_the_way_to_convert_it() {
    let dir = folder(&[]);
    fs::remove_file(dir.path().join("tokenizer.json")).expect("present");
    fs::write(dir.path().join("vocab.txt"), "[PAD]\n").expect("writable");
    let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err("no tokenizer.json");
    assert!(matches!(&error, ImportError::OtherFormat { file, .. } if file.ends_with("vocab.txt")), "{error}");
}

/// Nothing in these files makes the import panic.
#[test]
fn values_of_any_kind_are_errors_or_accepted() {
    for name in [MODULES, POOLING, NORMALIZE, TRANSFORMER, LIBRARY, TOKENIZER, "tokenizer.json"] {
        for value in [json!(null), json!(1), json!("text"), json!([]), json!([[]]), json!({}), json!({ "type": [] })] {
            let _ = FloatEncoder::load(folder(&[(TRANSFORMER, json!({ "max_seq_length": 9 })), (name, value)]).path());
        }
        let dir = folder(&[]);
        put(dir.path(), name, &json!(0));
        fs::write(dir.path().join(name), "{").expect("writable");
        let error = FloatEncoder::load(dir.path()).map(|_| ()).expect_err(name);
        assert!(matches!(&error, ImportError::Json { .. }), "{name}: {error}");
    }
}
