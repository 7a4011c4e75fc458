//! Which modules an adapter changes, at which rank and by which factor: each setting against `W + scaling B A` computed
//! here, on exactly the modules that PEFT 0.21.2 selects.

use lorica_quant::float::{FloatOutput, forward};
use lorica_quant::import::{FloatEncoder, Site};
use serde_json::{Value, json};

use crate::adapter_import::{IDS, base, load, refusal};
use crate::folders::{Adapter, Model, SITES, Stored, Width};

/// A module, the rank of its pair, and the factor of `B A`.
type Pair<'a> = (&'a str, usize, f32);

const Q0: &str = "encoder.layer.0.attention.self.query";
const Q1: &str = "encoder.layer.1.attention.self.query";
const K0: &str = "encoder.layer.0.attention.self.key";
const K1: &str = "encoder.layer.1.attention.self.key";
const POOLER: &str = "pooler.dense";

/// An adapter of a bare `BertModel` with these settings (`r` 4 and `lora_alpha` 8 by default) and these pairs.
fn adapter<'a>(settings: &Value, modules: impl IntoIterator<Item = (&'a str, usize)>) -> Adapter {
    let mut adapter = Adapter::headless();
    adapter.tensors.clear();
    for (key, value) in settings.as_object().expect("settings") {
        adapter.config[key] = value.clone();
    }
    for (module, rank) in modules {
        let shape = SITES.iter().find(|(name, ..)| module.ends_with(&format!(".{name}")) && module != POOLER);
        let width = |kind| if kind == Width::Hidden { 128 } else { 256 };
        // `output.dense` is also the end of `attention.output.dense`.
        let (out, inner) = match shape {
            Some(_) if module.ends_with("attention.output.dense") => (128, 128),
            Some((_, out, inner)) => (width(*out), width(*inner)),
            None => (128, 128),
        };
        adapter.add_pair(module, out, inner, rank);
    }
    adapter
}

/// The embedding of the model whose weights are `W + scaling B A` on the given modules.
fn merged(adapter: &Adapter, pairs: &[Pair<'_>]) -> Vec<f32> {
    let mut model = Model::small();
    for (module, rank, scaling) in pairs {
        let part = |part| adapter.tensors[&format!("base_model.model.{module}.lora_{part}.weight")].values();
        let (a, b) = (part("A"), part("B"));
        let name = format!("{module}.weight");
        let stored = &model.tensors[&name];
        let (outer, inner) = (stored.shape[0], stored.shape[1]);
        let mut values = stored.values();
        for o in 0..outer {
            for i in 0..inner {
                let update: f32 = (0..*rank).map(|r| b[o * rank + r] * a[r * inner + i]).sum();
                values[o * inner + i] += scaling * update;
            }
        }
        model.tensors.insert(name, Stored::f32(&[outer, inner], &values));
    }
    let encoder = FloatEncoder::load(model.write().path()).expect("valid");
    forward(&encoder, None, &IDS).expect("runs").embedding
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The settings select these pairs and no others, with these ranks and factors, and that is what is computed.
fn assert_selects(settings: Value, pairs: &[Pair<'_>]) {
    let folder = adapter(&settings, pairs.iter().map(|(module, rank, _)| (*module, *rank)));
    let loaded = load(&folder).unwrap_or_else(|error| panic!("{settings}: {error}"));
    for (site, pair) in &loaded.sites {
        let module = site.to_string();
        let expected = pairs.iter().find(|(name, ..)| *name == module).map(|(_, rank, scaling)| (*rank, *scaling));
        assert_eq!(Some((pair.rank, pair.scaling)), expected, "{settings}: {module}");
    }
    assert_eq!(loaded.sites.len(), pairs.len(), "{settings}");
    let encoder = base();
    let adapted = forward(&encoder, Some(&loaded), &IDS).expect("runs").embedding;
    let plain = forward(&encoder, None, &IDS).expect("runs").embedding;
    assert!(distance(&adapted, &merged(&folder, pairs)) < 1e-5, "{settings}");
    assert!(distance(&adapted, &plain) > 1e-5, "{settings}: the adapter must have an effect");
    // One pair more than selected, and one less.
    for (module, ..) in pairs {
        let mut fewer = folder.clone();
        let name = format!("base_model.model.{module}.lora_B.weight");
        fewer.tensors.remove(&name);
        let message = refusal(&fewer);
        assert!(message.contains(&format!("`{name}` is missing")), "{settings}: {message}");
    }
    for layer in 0..2 {
        for (site, ..) in SITES {
            let module = format!("encoder.layer.{layer}.{site}");
            if pairs.iter().all(|(name, ..)| *name != module) {
                let mut more = folder.clone();
                more.add_pair(&module, 128, 128, 4);
                let message = refusal(&more);
                let name = format!("`base_model.model.{module}.lora_A.weight`");
                assert!(message.contains(&name) && message.contains("selects other modules"), "{settings}: {message}");
            }
        }
    }
}

/// The message for settings with pairs on both queries.
fn message(settings: Value) -> String {
    refusal(&adapter(&settings, [(Q0, 4), (Q1, 4)]))
}

#[test]
fn one_factor_for_all() {
    assert_selects(json!({"target_modules": ["query"]}), &[(Q0, 4, 2.0), (Q1, 4, 2.0)]);
    assert_selects(
        json!({"target_modules": ["query"], "lora_alpha": 3.5, "use_rslora": true}),
        &[(Q0, 4, 1.75), (Q1, 4, 1.75)],
    );
}

#[test]
fn layers_are_chosen_by_number() {
    let first: &[Pair<'_>] = &[(Q0, 4, 2.0)];
    let both: &[Pair<'_>] = &[(Q0, 4, 2.0), (Q1, 4, 2.0)];
    for (layers, pattern, pairs) in [
        (json!(0), json!(null), first),
        (json!([0]), json!(null), first),
        (json!([0, 7, -1]), json!(""), first),
        (json!([1, 0]), json!([]), both),
        // No restriction.
        (json!([]), json!("layer"), both),
        (json!(0), json!("layer"), first),
        (json!(0), json!(["block", "layer"]), first),
        (json!(0), json!("lay.r"), first),
        (json!(0), json!(["encoder.layer"]), first),
    ] {
        let settings = json!({"target_modules": ["query"], "layers_to_transform": layers, "layers_pattern": pattern});
        assert_selects(settings, pairs);
    }
}

#[test]
fn a_whole_name_holds_in_every_layer() {
    let settings = json!({"target_modules": [Q1, "key"], "layers_to_transform": [0]});
    assert_selects(settings, &[(K0, 4, 2.0), (Q1, 4, 2.0)]);
}

#[test]
fn modules_are_excluded_by_name_or_expression() {
    for excluded in [json!(["key", "pooler.dense"]), json!([K0, K1]), json!(r".*\.key"), json!(r"encoder\..*key|x")] {
        let settings = json!({"target_modules": ["query", "key"], "exclude_modules": excluded});
        assert_selects(settings, &[(Q0, 4, 2.0), (Q1, 4, 2.0)]);
    }
    let settings = json!({"target_modules": r".*(query|key)", "exclude_modules": ["layer.1.attention.self.key"]});
    assert_selects(settings, &[(Q0, 4, 2.0), (Q1, 4, 2.0), (K0, 4, 2.0)]);
    // Part of a name and part of a match are neither.
    let settings = json!({"target_modules": ["query"], "exclude_modules": ["uery", "attention"]});
    assert_selects(settings, &[(Q0, 4, 2.0), (Q1, 4, 2.0)]);
    let settings = json!({"target_modules": ["query"], "exclude_modules": "query"});
    assert_selects(settings, &[(Q0, 4, 2.0), (Q1, 4, 2.0)]);
}

#[test]
fn ranks_and_factors_have_patterns() {
    let target = json!(["query", "key"]);
    for ranks in [
        json!({"query": 2}),
        json!({"self.query": 2, "nothing": 99}),
        json!({"^encoder.*query": 2}),
        json!({r"layer\.[01]\.attention\.self\.query": 2}),
        json!({"query|value": 2}),
        json!({Q0: 2, Q1: 2}),
        json!({"uery": 16, "query": 2}),
    ] {
        let settings = json!({"target_modules": target, "rank_pattern": ranks});
        assert_selects(settings, &[(Q0, 2, 4.0), (Q1, 2, 4.0), (K0, 4, 2.0), (K1, 4, 2.0)]);
    }
    let settings = json!({"target_modules": target, "alpha_pattern": {"layer.0.*": 16, "key": 2.0}});
    assert_selects(settings, &[(Q0, 4, 4.0), (K0, 4, 4.0), (Q1, 4, 2.0), (K1, 4, 0.5)]);
    let settings = json!({"target_modules": target, "rank_pattern": {"query": 16, "layer.0.attention.self.key": 1},
                          "alpha_pattern": {"query": 6}, "use_rslora": true});
    assert_selects(settings, &[(Q0, 16, 1.5), (Q1, 16, 1.5), (K0, 1, 8.0), (K1, 4, 4.0)]);
}

/// PEFT takes the first key that matches, in the order of the file.
#[test]
fn the_first_matching_key_counts() {
    for (ranks, first) in [(r#"{"layer.0.*": 2, "query": 8}"#, 2), (r#"{"query": 8, "layer.0.*": 2}"#, 8)] {
        let ranks: Value = serde_json::from_str(ranks).expect("JSON");
        let settings = json!({"target_modules": ["query"], "rank_pattern": ranks});
        assert_selects(settings, &[(Q0, first, 8.0 / first as f32), (Q1, 8, 1.0)]);
    }
}

#[test]
fn all_linear_means_encoder_and_pooler() {
    let modules: Vec<String> =
        (0..2).flat_map(|layer| SITES.map(|(name, ..)| format!("encoder.layer.{layer}.{name}"))).collect();
    let pairs: Vec<Pair<'_>> = modules.iter().map(|module| (module.as_str(), 4, 2.0)).collect();
    let everything: Vec<Pair<'_>> = pairs.iter().copied().chain([(POOLER, 4, 2.0)]).collect();
    for target in ["all-linear", "ALL-LINEAR"] {
        assert_selects(json!({"target_modules": target, "exclude_modules": [POOLER]}), &pairs);
        assert_selects(json!({"target_modules": target}), &everything);
    }
    assert_selects(
        json!({"target_modules": ["query", POOLER], "layers_to_transform": [0]}),
        &[(Q0, 4, 2.0), (POOLER, 4, 2.0)],
    );
}

/// The logits are those of the model whose pooler is `W + scaling B A`, for every way to name it, its rank and its factor.
#[test]
fn the_pooler_is_adapted() {
    let encoder = base();
    let plain = load(&Adapter::small()).expect("valid");
    for (settings, rank, scaling) in [
        (json!({"target_modules": ["query", "value", POOLER]}), 4, 2.0),
        (json!({"target_modules": ["query", "value", "bert.pooler.dense"]}), 4, 2.0),
        (json!({"target_modules": r".*(query|value|pooler\.dense)"}), 4, 2.0),
        (json!({"target_modules": ["query", "value", POOLER], "rank_pattern": {POOLER: 16}}), 16, 0.5),
        (json!({"target_modules": ["query", "value", POOLER], "alpha_pattern": {"pooler.*": 3}}), 4, 0.75),
        (
            json!({"target_modules": ["query", "value", POOLER], "rank_pattern": {"pooler.dense": 1}, "use_rslora": true}),
            1,
            8.0,
        ),
    ] {
        let mut folder = Adapter::small();
        for (key, value) in settings.as_object().expect("settings") {
            folder.config[key] = value.clone();
        }
        folder.add_pair("bert.pooler.dense", 128, 128, rank);
        let loaded = load(&folder).unwrap_or_else(|error| panic!("{settings}: {error}"));
        let pair = &loaded.sites[&Site::Pooler];
        assert_eq!((pair.rank, pair.a.len(), pair.b.len()), (rank, rank * 128, rank * 128));
        let mut merged = encoder.clone();
        let pooler = merged.pooler.as_mut().expect("a pooler");
        for (o, row) in pooler.weight.chunks_exact_mut(128).enumerate() {
            for (i, weight) in row.iter_mut().enumerate() {
                *weight += scaling * (0..rank).map(|k| pair.b[o * rank + k] * pair.a[k * 128 + i]).sum::<f32>();
            }
        }
        let mut others = loaded.clone();
        others.sites.remove(&Site::Pooler);
        let run = |encoder, adapter| forward(encoder, Some(adapter), &IDS).expect("runs");
        let (adapted, expected) = (run(&encoder, &loaded), run(&merged, &others));
        let logits = |output: &FloatOutput| output.logits.clone().expect("a head");
        // `rslora` changes the other pairs' factors too.
        let without = logits(&run(&encoder, &others));
        assert!(distance(&logits(&adapted), &logits(&expected)) < 1e-5, "{settings}");
        assert!(distance(&logits(&adapted), &without) > 1e-4, "{settings}: the pair must have an effect");
        // The embedding does not know the pooler.
        assert_eq!(adapted.embedding, run(&encoder, &others).embedding);
    }
    assert!(!plain.sites.contains_key(&Site::Pooler));
}

#[test]
fn the_pooler_is_named() {
    let mut unselected = Adapter::small();
    unselected.add_pair("bert.pooler.dense", 128, 128, 4);
    assert!(refusal(&unselected).contains("bert.pooler.dense.lora_A.weight"));
    let mut replaced = Adapter::with_pooler();
    replaced.add("base_model.model.bert.pooler.dense.weight", &[128, 128]);
    assert!(refusal(&replaced).contains("bert.pooler.dense.weight` is not supported: the pooler is part of the base"));
    for (target, module) in [(POOLER, "bert.pooler.dense"), ("word_embeddings", "bert.embeddings.word_embeddings")] {
        let mut stripped = Adapter::small();
        stripped.config["target_modules"] = json!(["query", "value", target]);
        let message = refusal(&stripped);
        assert!(message.contains("adapter_config.json") && message.contains(&format!("`{module}`")), "{message}");
        assert!(message.contains("exclude_modules"), "{message}");
    }
    let mut beyond = Adapter::with_pooler();
    beyond.config["rank_pattern"] = json!({POOLER: 17});
    let message = refusal(&beyond);
    assert!(message.contains("`bert.pooler.dense` has rank 17") && message.contains("up to 16"), "{message}");
}

#[test]
fn ranks_above_the_base_are_refused_with_both_numbers() {
    for (settings, key) in [
        (json!({"target_modules": ["query"], "r": 17}), "`r`"),
        (json!({"target_modules": ["query"], "rank_pattern": {"layer.1.*": 17}}), "`rank_pattern`"),
        (json!({"target_modules": ["query"], "r": 17, "rank_pattern": {"layer.1.*": 4}}), "`r`"),
    ] {
        let message = message(settings);
        assert!(message.contains(key) && message.contains("17") && message.contains("up to 16"), "{message}");
        assert!(message.contains("attention.self.query"), "{message}");
    }
    // A rank that no module has does not matter.
    let settings = json!({"target_modules": ["query"], "r": 17, "rank_pattern": {"query": 4}, "lora_alpha": 8});
    assert_selects(settings, &[(Q0, 4, 2.0), (Q1, 4, 2.0)]);
}

#[test]
fn a_selection_of_nothing_is_refused() {
    for settings in [
        json!({"target_modules": ["queries"]}),
        json!({"target_modules": "query"}),
        json!({"target_modules": ["query"], "exclude_modules": ["query"]}),
        json!({"target_modules": ["query"], "layers_to_transform": [2]}),
        json!({"target_modules": ["query"], "layers_to_transform": 0, "layers_pattern": "block"}),
        // An alternative is not grouped: `layer` alone matches, without a number.
        json!({"target_modules": ["query"], "layers_to_transform": 0, "layers_pattern": "layer|block"}),
    ] {
        assert!(message(settings.clone()).contains(&format!("`base_model.model.{Q0}.lora_A.weight`")), "{settings}");
        let message = refusal(&adapter(&settings, []));
        assert!(message.contains("leave no linear layer"), "{settings}: {message}");
    }
}

#[test]
fn settings_that_peft_refuses_are_named() {
    for (settings, key) in [
        (json!({"target_modules": ".*query", "layers_to_transform": [0]}), "layers_to_transform"),
        (json!({"target_modules": "all-linear", "layers_to_transform": [0]}), "layers_to_transform"),
        (json!({"target_modules": ["query"], "layers_pattern": "layer"}), "layers_pattern"),
        (json!({"target_modules": ["query"], "layers_to_transform": 0, "layers_pattern": "(layer"}), "layers_pattern"),
        (json!({"target_modules": ["query"], "layers_to_transform": 0, "layers_pattern": 3}), "layers_pattern"),
        (json!({"target_modules": ["query"], "rank_pattern": {"(query": 4}}), "rank_pattern"),
        (json!({"target_modules": ["query"], "alpha_pattern": {"query": 1e40}}), "alpha_pattern"),
    ] {
        let message = message(settings);
        assert!(message.contains("adapter_config.json: `") && message.contains(&format!("`{key}` is")), "{message}");
    }
}

#[test]
fn initialisation_by_eva_leaves_the_base_alone() {
    let settings = json!({"target_modules": ["query"], "init_lora_weights": "eva", "rank_pattern": {Q0: 6, Q1: 2},
                          "eva_config": {"rho": 2.0, "tau": 0.99}});
    assert_selects(settings, &[(Q0, 6, 8.0 / 6.0), (Q1, 2, 4.0)]);
}
