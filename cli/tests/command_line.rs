//! Exit codes, JSON, and refusals, on a small random model.

use super::hostile;
use super::support;

use std::sync::{LazyLock, mpsc};

use hostile::Gateless;
use lorica::files::read_base_key;
use lorica::signed_request::SignedRequest;
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::{Bytes, keccak256};
use lorica_chain::contracts::market::Market;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::embedded::serve::DevelopmentNode;
use lorica_chain::keys::PrivateKey;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::srs::Srs;
use lorica_settlement::key::{Powers, VerifyingKey};
use lorica_settlement::settlement::Settlement;
use lorica_settlement::statement::CircuitShape;
use serde_json::{Value, json};
use support::{Lorica, SRS, folders, path};

/// Registered once; tests only add files of their own names.
static WORLD: LazyLock<Lorica> = LazyLock::new(|| {
    let world = Lorica::small_world();
    let prove =
        ["prove", "--base", "base.lorica", "--adapter", "a.lorica", "--text", "hello world", "--context", "0x2a"];
    world.run(prove.into_iter().chain(SRS).chain(["-o", "context.proof"])).expect(0);
    let prove = ["prove", "--base", "base.lorica", "--adapter", "a.lorica", "--text", "hello world"];
    world.run(prove.into_iter().chain(SRS).chain(["-o", "plain.proof"])).expect(0);
    world
});

const VERIFY: &str = "verify --base base.vk --adapter a.vk";

fn error(line: &str, code: i32) -> Value {
    let json = WORLD.line(&format!("{line} --json")).expect(code).json();
    assert_eq!(json["schema"], "lorica.error/1");
    assert_eq!(json["exit_code"], code);
    json
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["--help", "--version", "prove --help", "model import --help"] {
        assert!(!WORLD.line(line).expect(0).stdout.is_empty());
    }
}

#[test]
fn usage_errors_have_code_2_and_json() {
    for line in [
        "",
        "nonsense",
        "prove",
        "prove --base base.lorica -o x.proof",
        "prove --base base.lorica --text a --requests r.jsonl -o x.proof",
        "prove --base base.lorica --adapter a.lorica --requests r.jsonl -o x.proof",
        "prove --base base.lorica --salt 00 --requests r.jsonl -o x.proof",
        "prove --base base.lorica --text a --salt 00 -o x.proof",
        "prove --base base.lorica --text a --context 30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001 -o x",
        "prove --base base.lorica --text a -o x.proof",
        "model import . --tau 19 -o x.lorica",
        "model import . --r-max 3 -o x.lorica",
        "model import . --max-tokens 200 -o x.lorica",
        "model import . -o x.vk",
        "srs dev --log-size 40 -o x.srs",
    ] {
        let ran = WORLD.line(line).expect(2);
        assert!(!ran.stderr.is_empty(), "{line}");
        if !line.is_empty() {
            assert_eq!(error(line, 2)["kind"], "usage");
        }
    }
}

#[test]
fn missing_and_foreign_files_are_input_errors() {
    WORLD.write("noise", b"LORICAbmnoise");
    for line in [
        "inspect nowhere",
        "inspect noise",
        "verify --base nowhere.vk --proof plain.proof",
        "verify --base a.vk --proof plain.proof",
        "verify --base base.vk --adapter base.vk --proof plain.proof",
        "verify --base base.vk --proof nowhere.proof",
        "prove --base base.vk --text a --srs dev.srs --insecure-dev-srs -o x.proof",
        "prove --base base.lorica --adapter a.vk --text a --srs dev.srs --insecure-dev-srs -o x.proof",
        "prove --base base.lorica --text a --srs noise --insecure-dev-srs -o x.proof",
        "model import nowhere --tau 14 --srs dev.srs --insecure-dev-srs -o x.lorica",
        "adapter import nowhere --base base.lorica --srs dev.srs --insecure-dev-srs -o x.lorica",
    ] {
        assert_eq!(error(line, 3)["kind"], "input", "{line}");
    }
    assert!(!WORLD.path("x.proof").exists() && !WORLD.path("x.lorica").exists());
}

#[test]
fn an_output_folder_that_is_missing_is_an_environment_error() {
    assert_eq!(error("srs dev --log-size 1 -o nowhere/x.srs", 4)["kind"], "environment");
}

#[test]
fn the_development_srs_needs_permission_and_warns() {
    let message = error("prove --base base.lorica --text a --srs dev.srs -o x.proof", 3)["message"].clone();
    assert!(message.as_str().is_some_and(|text| text.contains("--insecure-dev-srs")), "{message}");
    for line in [VERIFY.to_owned() + " --proof plain.proof", "inspect base.vk".into(), "inspect dev.srs".into()] {
        let ran = WORLD.line(&format!("{line} --json")).expect(0);
        assert!(ran.stderr.contains("insecure"), "{line}");
        let json = ran.json();
        assert_eq!(json["insecure_srs"], true);
        assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn another_srs_is_refused() {
    WORLD.line("srs dev --log-size 15 -o larger.srs").expect(0);
    WORLD.line("srs dev --log-size 13 -o smaller.srs").expect(0);
    let message = error("prove --base base.lorica --text a --srs larger.srs --insecure-dev-srs -o x", 3);
    assert!(message["message"].as_str().is_some_and(|text| text.contains("another SRS")), "{message}");
    let message = error("prove --base base.lorica --text a --srs smaller.srs --insecure-dev-srs -o x", 3);
    assert!(message["message"].as_str().is_some_and(|text| text.contains("powers are needed")), "{message}");
}

#[test]
fn verification_says_what_was_proven_and_what_was_not_checked() {
    let json = WORLD.line(&format!("{VERIFY} --proof plain.proof --json")).expect(0).json();
    assert_eq!(json["schema"], "lorica.verify/1");
    assert_eq!(json["accepted"], true);
    assert_eq!(json["not_checked"], json!(["text"]));
    assert_eq!(json["context"], format!("0x{:064}", 0));
    let request = &json["requests"][0];
    assert_eq!(request["logits"].as_array().map(Vec::len), Some(3));
    assert!(["a", "b", "c"].contains(&request["label"]["name"].as_str().unwrap_or("")), "{request}");
    let infer = ["infer", "--base", "base.lorica", "--adapter", "a.lorica", "--text", "hello world", "--json"];
    let inferred = WORLD.run(infer).expect(0).json();
    assert_eq!(inferred["logits"], request["logits"]);
    assert_eq!(inferred["label"], request["label"]);
}

#[test]
fn the_text_is_compared() {
    let verify = |text: &str| {
        let line = ["verify", "--base", "base.vk", "--adapter", "a.vk", "--proof", "plain.proof", "--json", "--text"];
        WORLD.run(line.into_iter().chain([text]))
    };
    assert_eq!(verify("hello world").expect(0).json()["not_checked"], json!([]));
    assert_eq!(verify("hello hello").expect(1).json()["kind"], "rejected");
    assert_eq!(verify("-").expect(1).json()["kind"], "rejected");
    assert_eq!(verify(&"a ".repeat(127)).expect(3).json()["kind"], "input");
}

#[test]
fn a_proof_is_accepted_with_its_context_only() {
    for context in
        ["--context 2a", "--context 0x2a", "--context 000000000000000000000000000000000000000000000000000000000000002a"]
    {
        WORLD.line(&format!("{VERIFY} --proof context.proof {context}")).expect(0);
    }
    for context in ["", "--context 2b"] {
        error(&format!("{VERIFY} --proof context.proof {context}"), 1);
    }
    error(&format!("{VERIFY} --proof plain.proof --context 2a"), 1);
}

#[test]
fn foreign_adapters_are_rejected() {
    error("verify --base base.vk --adapter b.vk --proof plain.proof", 1);
    error("verify --base base.vk --proof plain.proof", 1);
    // More keys than are used do no harm; model files serve as keys too.
    WORLD.line("verify --base base.vk --adapter b.vk a.vk --proof plain.proof").expect(0);
    WORLD.line("verify --base base.lorica --adapter a.lorica --proof plain.proof").expect(0);
    // A proof that does not use the adapter at all is not what was asked for.
    let prove = "prove --base base.lorica --text hello --srs dev.srs --insecure-dev-srs -o bare.proof";
    WORLD.line(prove).expect(0);
    WORLD.line("verify --base base.vk --proof bare.proof").expect(0);
    error(&format!("{VERIFY} --proof bare.proof"), 1);
}

#[test]
fn damaged_proofs_are_rejected_and_damaged_keys_refused() {
    let whole = WORLD.read("plain.proof");
    for (name, bytes) in [
        ("empty", vec![]),
        ("magic", whole[..8].to_vec()),
        ("short", whole[..whole.len() - 1].to_vec()),
        ("long", [&whole[..], &[0]].concat()),
        ("flipped", flip(&whole, whole.len() / 2)),
        ("version", flip(&whole, 9)),
    ] {
        WORLD.write(&format!("{name}.proof"), bytes);
        error(&format!("{VERIFY} --proof {name}.proof"), 1);
    }
    for file in ["base.vk", "a.vk", "base.lorica", "a.lorica"] {
        let whole = WORLD.read(file);
        for (index, bytes) in
            [flip(&whole, whole.len() / 2), flip(&whole, 9), whole[..whole.len() / 2].to_vec(), vec![]]
                .into_iter()
                .enumerate()
        {
            let damaged = format!("damaged-{index}-{file}");
            WORLD.write(&damaged, bytes);
            error(&format!("inspect {damaged}"), 3);
            let line = match file {
                "base.vk" => format!("verify --base {damaged} --adapter a.vk --proof plain.proof"),
                "a.vk" => format!("verify --base base.vk --adapter {damaged} --proof plain.proof"),
                "base.lorica" => format!("infer --base {damaged} --text a"),
                _ => format!("infer --base base.lorica --adapter {damaged} --text a"),
            };
            error(&line, 3);
        }
    }
}

fn flip(bytes: &[u8], index: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[index] ^= 1;
    bytes
}

#[test]
fn batches_carry_their_own_adapters_and_salts() {
    let salt = "0b".repeat(31);
    let lines = |ending: &str| {
        format!(
            "{{\"text\": \"hello\", \"adapter\": \"a.{ending}\"}}\n\
             {{\"text\": \"world a b\", \"adapter\": \"b.{ending}\", \"salt\": \"{salt}\"}}\n\
             {{\"text\": \"\\u0000[PAD]\", \"adapter\": \"a.{ending}\"}}\n"
        )
    };
    WORLD.write("batch.jsonl", lines("lorica"));
    WORLD.write("batch-keys.jsonl", lines("vk"));
    WORLD
        .line("prove --base base.lorica --requests batch.jsonl --srs dev.srs --insecure-dev-srs -o batch.proof")
        .expect(0);
    for requests in ["batch.jsonl", "batch-keys.jsonl"] {
        let verify = format!("verify --base base.vk --proof batch.proof --requests {requests} --json");
        let json = WORLD.line(&verify).expect(0).json();
        assert_eq!(json["requests"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["shape"]["requests"], 4);
    }
    for (name, changed) in [
        ("swapped", lines("vk").replacen("a.vk", "b.vk", 1)),
        ("salted", lines("vk").replace("0b0b", "0b0c")),
        ("reworded", lines("vk").replace("world a b", "world b a")),
        ("shortened", lines("vk").lines().take(2).collect::<Vec<_>>().join("\n")),
        ("bare", lines("vk").replacen(", \"adapter\": \"a.vk\"", "", 1)),
    ] {
        WORLD.write(&format!("{name}.jsonl"), changed);
        error(&format!("verify --base base.vk --proof batch.proof --requests {name}.jsonl"), 1);
    }
}

#[test]
fn mixtures_of_outputs_are_refused() {
    WORLD.write("mixed.jsonl", "{\"text\": \"a\", \"adapter\": \"a.lorica\"}\n{\"text\": \"b\"}\n");
    error("prove --base base.lorica --requests mixed.jsonl --srs dev.srs --insecure-dev-srs -o x", 3);
    // No adapter and an adapter without a head both embed.
    WORLD.write("embed.jsonl", "{\"text\": \"a\", \"adapter\": \"headless.lorica\"}\n{\"text\": \"b\"}\n");
    WORLD
        .line("prove --base base.lorica --requests embed.jsonl --srs dev.srs --insecure-dev-srs -o embed.proof")
        .expect(0);
    let json = WORLD.line("verify --base base.vk --proof embed.proof --requests embed.jsonl --json").expect(0).json();
    assert_eq!(json["shape"]["output"], "embed");
    assert_eq!(json["requests"][0]["embedding_sums"].as_array().map(Vec::len), Some(128));
    assert_eq!(json["requests"][1]["adapter"], Value::Null);
}

#[test]
fn lengths_at_the_limit() {
    let text = |words: usize| vec!["a"; words].join(" ");
    let infer = |words| {
        let line = ["infer", "--base", "base.lorica", "--json", "--text"].map(str::to_owned);
        WORLD.run(line.into_iter().chain([text(words)]))
    };
    assert_eq!(infer(126).expect(0).json()["length"], 128);
    let message = infer(127).expect(3).json()["message"].clone();
    assert!(message.as_str().is_some_and(|text| text.contains("129")), "{message}");
    assert_eq!(infer(0).expect(0).json()["length"], 2);
}

/// A model of 512 positions takes 256 tokens where it was imported for them, and says so where it was not.
#[test]
fn models_are_imported_for_longer_texts() {
    let lorica = Lorica::new();
    lorica.line("srs dev --log-size 14 -o dev.srs").expect(0);
    lorica.write("calibration.txt", "hello world\na b ab ba\n");
    let import = |model: &folders::Model, limit: &str, out: &str| {
        let folder = model.write();
        let arguments =
            ["model", "import", path(&folder), "--tau", "14", "--r-max", "4", "--max-tokens", limit, "--json"];
        lorica.run(arguments.into_iter().chain(SRS).chain(["--calibrate", "calibration.txt", "-o", out]))
    };
    let mut config = folders::Model::small().config;
    config["max_position_embeddings"] = json!(512);
    let model = folders::Model::new(config);
    let infer = |base: &str, tokens: usize| {
        let text = vec!["a"; tokens - 2].join(" ");
        lorica.run(["infer", "--base", base, "--json", "--text", &text])
    };
    for limit in [128u64, 256] {
        let base = format!("{limit}.lorica");
        let imported = import(&model, &limit.to_string(), &base).expect(0).json();
        let architecture = &imported["architecture"];
        assert_eq!((architecture["block"].as_u64(), architecture["max_tokens"].as_u64()), (Some(128), Some(limit)));
        let checked = ["model", "check", "--base", &base, "--json"].into_iter().chain(SRS);
        assert_eq!(lorica.run(checked).expect(0).json()["max_tokens"], limit);
        let inspected = lorica.run(["inspect", &base, "--json"]).expect(0).json();
        assert_eq!(inspected["architecture"]["max_tokens"], limit);
        let message = infer(&base, 300).expect(3).json()["message"].to_string();
        assert!(message.contains("300") && message.contains(&limit.to_string()), "{message}");
        assert!(!message.contains("--max-tokens"), "{message}");
    }
    assert_eq!(infer("256.lorica", 256).expect(0).json()["length"], 256);
    let message = infer("128.lorica", 200).expect(3).json()["message"].to_string();
    assert!(["200", "128", "--max-tokens 256"].iter().all(|part| message.contains(part)), "{message}");
    let key = "settlement-key --base 128.vk --tokens 200 --srs dev.srs --insecure-dev-srs -o x.vk --json";
    let message = lorica.line(key).expect(3).json()["message"].to_string();
    assert!(message.contains("200 tokens") && message.contains("128"), "{message}");
    let message = import(&folders::Model::small(), "256", "x.lorica").expect(3).json()["message"].to_string();
    assert!(message.contains("`max_position_embeddings` is 128") && message.contains("256"), "{message}");

    let texts = [vec!["a"; 198].join(" "), "hello".into()];
    let lines = texts.map(|text| format!("{}\n", json!({ "text": text })));
    lorica.write("two.jsonl", lines.concat());
    let prove = ["prove", "--base", "256.lorica", "--requests", "two.jsonl", "-o", "two.proof"];
    lorica.run(prove.into_iter().chain(SRS)).expect(0);
    let verify = "verify --base 256.vk --proof two.proof --requests two.jsonl --json";
    let json = lorica.line(verify).expect(0).json();
    assert_eq!((json["shape"]["tokens"].as_u64(), json["requests"][0]["tokens"].as_u64()), (Some(256), Some(200)));
    // Under the other limit the same text has another digest: the bases are others.
    lorica.line("verify --base 128.vk --proof two.proof").expect(1);
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let other = Lorica::new();
    other.line("srs dev --log-size 14 -o dev.srs").expect(0);
    let mut model = folders::Model::small();
    model.tensors.insert("pooler.dense.bias".into(), folders::Stored::synthetic("another", &[128]));
    let folder = model.write();
    other.write("calibration.txt", "hello world\na b\n");
    let import = ["model", "import", path(&folder), "--tau", "14", "--r-max", "4", "--calibrate", "calibration.txt"];
    other.run(import.into_iter().chain(SRS).chain(["-o", "base.lorica"])).expect(0);
    for name in ["a.lorica", "a.vk", "plain.proof"] {
        other.write(name, WORLD.read(name));
    }
    assert_eq!(
        other.line("infer --base base.lorica --adapter a.lorica --text a --json").expect(3).json()["kind"],
        "input"
    );
    other.line("verify --base base.vk --adapter a.vk --proof plain.proof").expect(3);
    assert_eq!(other.line("verify --base base.vk --proof plain.proof --json").expect(1).json()["kind"], "rejected");
}

#[test]
fn imports_measure_on_texts() {
    let folder = folders::Adapter::small().write();
    let model = folders::Model::small().write();
    WORLD.write(
        "heldout.jsonl",
        "{\"text\": \"hello\", \"label\": \"a\", \"other\": 1}\n{\"text\": \"world\", \"label\": \"b\"}\n",
    );
    let import = ["adapter", "import", path(&folder), "--base", "base.lorica", "--texts", "heldout.jsonl", "--json"];
    let all = import.into_iter().chain(["--model", path(&model), "-o", "measured.lorica"]).chain(SRS);
    let measured = WORLD.run(all).expect(0).json()["measured"].clone();
    assert_eq!((measured["texts"].clone(), measured["labelled"].clone()), (json!(2), json!(2)));
    assert!(measured["label_agreement"].is_f64() && measured["accuracy"].is_f64(), "{measured}");
    assert_eq!(WORLD.read("measured.vk"), WORLD.read("a.vk"));
    WORLD.write("wrong.jsonl", "{\"text\": \"hello\", \"label\": \"z\"}\n");
    let import =
        ["adapter", "import", path(&folder), "--base", "base.lorica", "--texts", "wrong.jsonl", "-o", "x.lorica"];
    WORLD.run(import.into_iter().chain(SRS)).expect(3);
}

/// Layers by number, a rank and a factor of its own: the integer model says what the float model says.
#[test]
fn adapters_with_ranks_of_their_own_are_imported() {
    let mut adapter = folders::Adapter::small();
    let query = "bert.encoder.layer.1.attention.self.query";
    adapter.tensors.retain(|name, _| name.contains("classifier"));
    adapter.add_pair(query, 128, 128, 2);
    for (key, value) in [
        ("target_modules", json!(["query", "value"])),
        ("exclude_modules", json!(["value"])),
        ("layers_to_transform", json!([1])),
        ("rank_pattern", json!({"layer.1.*": 2, "query": 3})),
        ("alpha_pattern", json!({ query: 5 })),
    ] {
        adapter.config[key] = value;
    }
    let (folder, model) = (adapter.write(), folders::Model::small().write());
    WORLD.write("ranks.jsonl", "{\"text\": \"hello\"}\n{\"text\": \"world a\"}\n");
    let import = ["adapter", "import", path(&folder), "--base", "base.lorica", "--texts", "ranks.jsonl", "--json"];
    let all = import.into_iter().chain(["--model", path(&model), "-o", "ranks.lorica"]).chain(SRS);
    let measured = WORLD.run(all).expect(0).json()["measured"].clone();
    assert_eq!((measured["label_agreement"].clone(), measured["range_errors"].clone()), (json!(1.0), json!(0)));

    let refuse = |folder: &str, parts: [&str; 2]| {
        let import = ["adapter", "import", folder, "--base", "base.lorica", "--json", "-o", "x.lorica"];
        let message = WORLD.run(import.into_iter().chain(SRS)).expect(3).json()["message"].clone();
        assert!(parts.iter().all(|part| message.as_str().is_some_and(|text| text.contains(part))), "{message}");
    };
    adapter.config["rank_pattern"] = json!({"query": 5});
    refuse(path(&adapter.write()), ["has rank 5", "up to 4"]);
    let tensors = folder.path().join("adapter_model.safetensors");
    std::fs::rename(&tensors, tensors.with_extension("bin")).unwrap();
    refuse(path(&folder), ["adapter_model.bin", "torch.load"]);
}

const BINDING: &str = r#"{ "chain_id": 31337, "consumer": "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
    "payee": "0xbebebebebebebebebebebebebebebebebebebebe", "requests": [{ "id": 7, "fee": "1000000000000000000" }] }"#;

#[test]
fn a_proof_is_bound_and_settles_for_its_binding_only() {
    WORLD.write("b.json", BINDING.as_bytes());
    WORLD.write("other.json", BINDING.replace("31337", "1").as_bytes());
    WORLD.write("two.json", BINDING.replace("}] }", "}, { \"id\": 8, \"fee\": 1 }] }").as_bytes());
    let prove = "prove --base base.lorica --adapter a.lorica --text hello --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{prove} --binding b.json -o bound.proof")).expect(0);
    error(&format!("{prove} --binding two.json -o x.proof"), 3);
    error(&format!("{prove} --binding b.json --context 0x1 -o x.proof"), 2);
    assert_eq!(error(&format!("{VERIFY} --proof bound.proof"), 1)["kind"], "rejected");

    let settle = "settle --base base.vk --adapter a.vk --srs dev.srs --insecure-dev-srs -o x.settlement";
    for (proof, binding) in [("bound", "other"), ("bound", "two"), ("plain", "b")] {
        let refused = error(&format!("{settle} --proof {proof}.proof --binding {binding}.json"), 1);
        assert_eq!(refused["kind"], "rejected", "{proof} for {binding}");
    }
    let no_srs = "settle --base base.vk --adapter a.vk --proof bound.proof --binding b.json -o x.settlement";
    assert_eq!(error(no_srs, 2)["kind"], "usage");
    assert!(!WORLD.path("x.settlement").exists() && !WORLD.path("x.proof").exists());

    let settled = WORLD.line(&format!("{settle} --proof bound.proof --binding b.json --json")).expect(0).json();
    assert_eq!((&settled["schema"], &settled["insecure_srs"]), (&json!("lorica.settle/1"), &json!(true)));
    let check = "verify --base base.vk --adapter a.vk --settlement x.settlement --key x.vk";
    let checked = WORLD.line(&format!("{check} --json")).expect(0).json();
    assert_eq!(checked["not_checked"], json!(["binding", "circuit"]));
    let circuit = checked["circuit"].as_str().unwrap();
    let named = WORLD.line(&format!("{check} --circuit {circuit} --json")).expect(0).json();
    assert_eq!(named["not_checked"], json!(["binding"]));
    let other = error(&format!("{check} --circuit 0x{}", "12".repeat(32)), 1);
    assert!(other["message"].as_str().unwrap().contains(circuit), "{other}");
    error(&format!("{VERIFY} --proof bound.proof --circuit {circuit}"), 2);
    for field in ["circuit", "base", "binding", "context", "requests", "shape"] {
        assert_eq!(checked[field], settled[field], "{field}");
    }
    assert_eq!(checked["binding"]["chain_id"], 31337);
    let kinds = ["x.settlement", "x.vk"]
        .map(|file| WORLD.line(&format!("inspect {file} --json")).expect(0).json()["kind"].clone());
    assert_eq!(kinds, ["settlement", "settlement key"]);
    // The adapter that it names is not among these.
    error("verify --base base.vk --adapter b.vk --settlement x.settlement --key x.vk", 1);
    let bytes = std::fs::read(WORLD.path("x.settlement")).unwrap();
    for index in [9, 60, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(WORLD.path("flipped.settlement"), flip(&bytes, index)).unwrap();
        error("verify --base base.vk --adapter a.vk --settlement flipped.settlement --key x.vk", 1);
    }
}

#[test]
fn bindings_that_no_contract_takes_are_refused() {
    for (what, from, to) in [
        ("an address of 19 bytes", "0xbebe", "0xbe"),
        ("an address without 0x", "0xbebe", "bebebe"),
        ("a negative fee", "\"1000000000000000000\"", "-1"),
        ("a fee of 257 bits", "1000000000000000000", &format!("0x1{}", "0".repeat(64))),
        ("a fraction", "\"1000000000000000000\"", "1.5"),
        ("an unknown key", "\"chain_id\"", "\"nonce\": 1, \"chain_id\""),
        ("no chain", "\"chain_id\": 31337,", ""),
        ("no request", "{ \"id\": 7, \"fee\": \"1000000000000000000\" }", ""),
        ("one id twice", "}] }", "}, { \"id\": \"0x7\", \"fee\": 1 }] }"),
        ("ids that fall", "}] }", "}, { \"id\": 6, \"fee\": 1 }] }"),
        ("no JSON", "{ \"chain_id\"", "\"chain_id\""),
    ] {
        let bad = BINDING.replacen(from, to, 1);
        assert_ne!(bad, BINDING, "{what}");
        WORLD.write("bad.json", bad.as_bytes());
        let line = "prove --base base.lorica --adapter a.lorica --text a --binding bad.json --srs dev.srs \
                    --insecure-dev-srs -o y.proof";
        let refused = error(line, 3);
        assert!(refused["message"].as_str().unwrap().contains("bad.json"), "{what}: {refused}");
    }
}

#[test]
fn settlements_and_chains_refuse_by_kind() {
    error("verify --base base.vk --settlement nowhere.settlement", 2);
    error("verify --base base.vk --proof plain.proof --settlement plain.proof --key a.vk", 2);
    error("verify --base base.vk --settlement plain.proof --key a.vk", 3);
    WORLD.write("key.hex", "ab".repeat(32).as_bytes());
    WORLD.write("short.hex", b"abcd");
    let node = "--rpc http://127.0.0.1:9";
    error(&format!("chain deploy {node} --key-file short.hex -o c.json"), 3);
    assert_eq!(error(&format!("chain deploy {node} --key-file key.hex -o c.json"), 4)["kind"], "environment");
    error(&format!("chain check {node} --contracts b.json --settlement plain.proof"), 3);
    assert!(!WORLD.path("c.json").exists());
    error("srs import a.vk -o x.srs", 3);
}

#[test]
fn requests_are_signed_without_a_node() {
    let address = |byte: &str| format!("0x{}", byte.repeat(20));
    let mut contracts = json!({ "chain_id": 31337 });
    let names = ["halo2_verifier", "registry", "verifier", "router", "open_token", "model_registry"];
    for (name, byte) in names.iter().zip(["01", "02", "03", "04", "05", "06"]) {
        contracts[name] = json!(address(byte));
    }
    WORLD.write("checks-only.json", contracts.to_string().as_bytes());
    contracts["escrow"] = json!(address("07"));
    contracts["prepaid_escrow"] = json!(address("08"));
    contracts["index_ranges"] = json!(address("0a"));
    let (route, other) = (format!("0x{}", "0a".repeat(32)), format!("0x{}", "0b".repeat(32)));
    let pin = |route: &str, ordinal: u8| {
        let circuit = format!("0x{}", "0c".repeat(32));
        json!({ "route": route, "circuit": circuit, "ordinal": ordinal, "prepaid_ordinal": ordinal + 1 })
    };
    contracts["routes"] = json!([pin(&route, 0), pin(&other, 3)]);
    WORLD.write("market.json", contracts.to_string().as_bytes());
    WORLD.write("requester.key", "ab".repeat(32).as_bytes());
    let sign = "request sign --contracts market.json --key-file requester.key --base base.vk --text hello";
    let signed = WORLD.line(&format!("{sign} --adapter a.vk --max-fee 1.5 --json -o q.json")).expect(0).json();
    assert_eq!(signed["schema"], "lorica.request-sign/1");
    let file: Value = serde_json::from_slice(&WORLD.read("q.json")).unwrap();
    assert_eq!((&file["id"], &file["input"]["text"]), (&signed["id"], &json!("hello")));
    let terms = &file["terms"];
    assert_eq!((&terms["kind"], &terms["max_fee"]), (&json!("classify"), &json!("1500000000000000000")));
    assert_eq!(terms["token"], contracts["open_token"]);
    let mask = |bits: u8| json!(format!("0x{bits:064x}"));
    assert_eq!((&terms["routes"], &file["escrow"]), (&mask(0b1001), &contracts["escrow"]));
    WORLD.line(&format!("{sign} --prepaid --route {other} --max-fee 1 -o p.json")).expect(0);
    let prepaid: Value = serde_json::from_slice(&WORLD.read("p.json")).unwrap();
    assert_eq!((&prepaid["terms"]["routes"], &prepaid["terms"]["accept_time"]), (&mask(0b1_0000), &json!(0)));
    assert_eq!(prepaid["escrow"], contracts["prepaid_escrow"]);
    WORLD.line(&format!("{sign} --adapter a.vk --embed --max-fee 1wei --token native -o e.json")).expect(0);
    let file: Value = serde_json::from_slice(&WORLD.read("e.json")).unwrap();
    assert_eq!((&file["terms"]["kind"], &file["terms"]["token"]), (&json!("embed"), &json!(address("00"))));

    for (what, line, code) in [
        ("no account", "request sign --contracts market.json --base base.vk --text a --max-fee 1 -o x.json", 2),
        ("no amount", &format!("{sign} --max-fee 1,5 -o x.json"), 2),
        ("a route that is not pinned", &format!("{sign} --max-fee 1 --route 0x{} -o x.json", "0d".repeat(32)), 2),
        ("no token", &format!("{sign} --max-fee 1 --token gold -o x.json"), 2),
        ("gas for no consumer", &format!("{sign} --max-fee 1 --consumer-gas 5 -o x.json"), 2),
        ("an adapter of another base", &format!("{sign} --max-fee 1 --adapter base.vk -o x.json"), 3),
        ("no escrow", &sign.replace("market", "checks-only").replace("hello", "hello --max-fee 1 -o x.json"), 3),
        ("no node", "request status --rpc http://127.0.0.1:9 --contracts market.json q.json", 4),
        ("nobody", "balance --rpc http://127.0.0.1:9 --contracts market.json", 2),
        ("shares of 90", "chain publish --rpc http://127.0.0.1:9 --base base.vk --shares 50/20/10/10", 2),
        ("no node to bind on", "settle --base base.vk --proof plain.proof --requests q.json -o x.settlement", 2),
    ] {
        assert!(error(line, code)["message"].is_string(), "{what}");
    }
    assert!(!WORLD.path("x.json").exists());
}

/// Accounts, by the byte that their key repeats.
fn account(byte: &str) -> String {
    let key = PrivateKey::parse(&byte.repeat(32)).unwrap();
    WORLD.write(&format!("{byte}.key"), byte.repeat(32));
    key.account().to_string()
}

/// A chain in memory behind JSON-RPC, as commands name it.
fn start_node() -> String {
    start_node_of(31337)
}

fn start_node_of(chain_id: u64) -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let ready = move |address: String| sender.send(address).unwrap();
        DevelopmentNode::new(chain_id).serve("127.0.0.1:0", ready)
    });
    format!("--rpc http://{}", receiver.recv().unwrap())
}

/// A file can carry honest digests around halo2's key of a circuit that accepts anything, or an honest key under another
/// kind: it is added to no router, and its circuit is not the one that is named.
#[test]
fn settlement_keys_that_lie_are_not_registered() {
    let node = start_node();
    account("d1");
    WORLD.write("lie.json", BINDING.as_bytes());
    let prove = "prove --base base.lorica --adapter a.lorica --text hello --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{prove} --binding lie.json -o lie.proof")).expect(0);
    let settle = "settle --base base.vk --adapter a.vk --srs dev.srs --insecure-dev-srs -o true.settlement";
    let settled = WORLD.line(&format!("{settle} --proof lie.proof --binding lie.json --json")).expect(0).json();
    let honest = settled["circuit"].as_str().unwrap();

    // Another label, by a key without a gate.
    let key = VerifyingKey::decode(&WORLD.read("true.vk")).unwrap();
    let srs = Srs::read(&WORLD.path("dev.srs")).unwrap();
    let powers = Powers { g1: srs.g1(), tau_g2: *srs.tau_g2(), digest: srs.digest_word() };
    let gateless = Gateless::new(key.circuit_shape(), key.words(), &powers);
    let base = read_base_key(&WORLD.path("base.vk")).unwrap().commitments;
    let settled = Settlement::decode(&WORLD.read("true.settlement")).unwrap();
    let forged = gateless.settle(&settled, base.scales_word(), |s| s.answers[0].words.label += Fr::one());
    WORLD.write("gateless.vk", gateless.key.encode());
    WORLD.write("forged.settlement", forged.encode());
    let check = "verify --base base.vk --adapter a.vk --settlement forged.settlement --key gateless.vk";
    let checked = WORLD.line(&format!("{check} --json")).expect(0).json();
    assert_eq!(checked["not_checked"], json!(["binding", "circuit"]));
    error(&format!("{check} --circuit {honest}"), 1);

    // The classification's key as one of embeddings.
    let Shape { requests, tokens, log_tile, .. } = key.circuit_shape().shape;
    let shape = Shape { requests, tokens, log_tile, output: OutputKind::Embed, records: 0 };
    let of = CircuitShape { shape, ..key.circuit_shape().clone() };
    let relabelled = VerifyingKey::new(of, *key.tau_g2(), key.circuit().clone()).unwrap();
    WORLD.write("relabelled.vk", relabelled.encode());

    let at = format!("{node} --contracts lies.json --key-file d1.key --base base.vk");
    WORLD.line(&format!("chain deploy {node} --key-file d1.key -o lies.json")).expect(0);
    let srs = "--srs dev.srs --insecure-dev-srs";
    for file in ["gateless", "relabelled"] {
        let refused = error(&format!("chain register {at} --settlement-key {file}.vk {srs}"), 3);
        assert!(refused["message"].as_str().unwrap().contains("made again"), "{refused}");
        let named = format!("chain register {at} --settlement-key {file}.vk --insecure-dev-srs --circuit {honest}");
        assert!(error(&named, 3)["message"].as_str().unwrap().contains("--circuit"));
    }
    // The honest key is taken either way, and nothing is taken unseen.
    let honest_key = format!("chain register {at} --settlement-key true.vk");
    WORLD.line(&format!("{honest_key} {srs}")).expect(0);
    WORLD.line(&format!("{honest_key} --insecure-dev-srs --circuit {honest}")).expect(0);
    error(&format!("chain register {at} --circuit {honest} --insecure-dev-srs"), 2);
}

/// A base's lookup tables follow from formulas: whoever has the SRS makes their commitments again.
#[test]
fn bases_with_other_tables_are_refused() {
    let check = "model check --srs dev.srs --insecure-dev-srs --json --base";
    let checked = WORLD.line(&format!("{check} base.vk")).expect(0).json();
    assert_eq!((&checked["schema"], &checked["insecure_srs"]), (&json!("lorica.model.check/1"), &json!(true)));
    WORLD.line(&format!("{check} base.lorica")).expect(0);

    let mut base = read_base_key(&WORLD.path("base.vk")).unwrap();
    let last = base.commitments.tables.len() - 1;
    base.commitments.tables.swap(0, last);
    WORLD.write("tables.vk", base.encode());
    let key = "settlement-key --requests 1 --tokens 16 --srs dev.srs --insecure-dev-srs -o none.vk --base tables.vk";
    for line in [format!("{check} tables.vk"), format!("{key} --json")] {
        let refused = WORLD.line(&line).expect(3).json();
        assert!(refused["message"].as_str().unwrap().contains("tile 0 of its lookup tables"), "{refused}");
    }
    assert!(!WORLD.path("none.vk").exists());
}

/// A prover works for requests only that it has accepted, and that name a route of the circuit that will settle them.
#[test]
fn requests_that_would_not_be_paid_are_not_bound() {
    let node = start_node();
    let [_, requester, prover] = ["c1", "c2", "c3"].map(account);
    let at = format!("{node} --contracts deployed.json");
    let run = |line: &str, code: i32| WORLD.line(&format!("{line} --json")).expect(code).json();
    let refused = |line: &str, words: &str| {
        let message = run(line, 3)["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{line}: {message}");
    };
    run(&format!("chain deploy {node} --key-file c1.key -o deployed.json"), 0);
    run(&format!("transfer {at} --key-file c1.key --to {requester} --amount 10"), 0);
    run(&format!("chain publish {at} --key-file c1.key --base base.vk --insecure-dev-srs"), 0);
    for (kind, file) in [("--embed", "embed.vk"), ("", "classify.vk")] {
        let key = format!("settlement-key --base base.vk --requests 1 --tokens 16 {kind}");
        run(&format!("{key} --srs dev.srs --insecure-dev-srs -o {file}"), 0);
        run(
            &format!("chain register {at} --key-file c1.key --base base.vk --settlement-key {file} --insecure-dev-srs"),
            0,
        );
    }
    let sign = "request sign --contracts deployed.json --key-file c2.key --base base.vk --text hello --max-fee 1";
    let routes = run(&format!("chain routes {at}"), 0)["routes"].clone();
    let id = |at: usize| routes[at]["route"].as_str().unwrap().to_owned();
    assert!(routes.as_array().unwrap().iter().all(|route| route["pinned"] == true && route["state"] == "live"));
    run(&format!("{sign} --route {} -o few.json", id(0)), 0);
    run(&format!("request lock {at} --key-file c2.key few.json"), 0);
    run(&format!("{sign} -o all.json"), 0);
    let locked = run(&format!("request lock {at} --key-file c2.key --permit all.json"), 0);
    assert_eq!((&locked["routes"], &locked["steps"].as_array().map(Vec::len)), (&json!([0, 1]), &Some(1)));
    run(&format!("{sign} --route {} -o wrong.json", id(1)), 0);
    let lock = format!("request lock {at} --key-file c2.key wrong.json");
    let wrong = run(&lock, 1)["message"].clone();
    assert!(
        wrong.as_str().unwrap().contains("all routes that the request names are frozen, or of another kind of output")
    );

    let bind = format!("request bind {at} --payee {prover} --base base.vk -o bound.json");
    refused(&format!("{bind} all.json"), "has not accepted");
    let accepted = run(&format!("request accept {at} --key-file c3.key few.json all.json"), 0);
    assert_eq!((&accepted["accepted"], &accepted["requests"][1]["status"]), (&json!(2), &json!("accepted")));
    run(&format!("{bind} all.json"), 0);
    run(&format!("{bind} few.json all.json"), 0);
    refused(&format!("{bind} --settlement-key classify.vk few.json"), "names the routes 0x1, none of 0x2");
    refused(&format!("{bind} --margin 601 all.json"), "is accepted by the payee until");
    run(&format!("{bind} --settlement-key embed.vk all.json few.json"), 0);

    // As it was signed when embeddings were kind 0.
    let deployed: Value = serde_json::from_slice(&WORLD.read("deployed.json")).unwrap();
    let (market, key) = (Market::from_json(&deployed).unwrap(), PrivateKey::parse(&"c2".repeat(32)).unwrap());
    let mut elsewhere = EmbeddedChain::new(31337, key.account());
    let few = SignedRequest::read(&WORLD.path("few.json"), &market, &mut elsewhere).unwrap();
    let id = market.escrow().request_id(&InferenceRequest { kind: 0, ..few.terms });
    let mut old: Value = serde_json::from_slice(&WORLD.read("few.json")).unwrap();
    (old["id"], old["signature"]) = (json!(id), json!(Bytes::from(key.sign_digest(id).unwrap().as_bytes())));
    WORLD.write("old.json", old.to_string());
    refused(&format!("request lock {at} --key-file c2.key old.json"), "sign the request again");
    refused(&format!("{bind} --unaccepted old.json"), "sign the request again");
    refused(&format!("request accept {at} --key-file c3.key old.json"), "are withdrawn");
    // An escrow of that time may hold its fee.
    let cancelled = run(&format!("request cancel {at} --key-file c2.key old.json"), 1)["message"].clone();
    assert!(cancelled.as_str().is_some_and(|message| message.contains("was never locked")), "{cancelled}");

    // Keys of one shape differ first in their kind, and end in their digest.
    let (mut key, classify) = (WORLD.read("embed.vk"), WORLD.read("classify.vk"));
    let kind = key.iter().zip(&classify).position(|(a, b)| a != b).unwrap();
    key[kind] = 0;
    key.truncate(key.len() - 32);
    key.extend(keccak256(&key));
    WORLD.write("old.vk", key);
    refused(&format!("{bind} --settlement-key old.vk all.json"), "are withdrawn");
    let register = format!("chain register {at} --key-file c1.key --base base.vk --insecure-dev-srs");
    refused(&format!("{register} --settlement-key old.vk"), "are withdrawn");
}

/// A requester trusts the routes that its file of addresses pins, and no other.
#[test]
fn routes_are_pinned_paused_and_frozen() {
    let node = start_node();
    let [_, requester, guardian] = ["e1", "e2", "e3"].map(account);
    let at = format!("{node} --contracts pinned.json");
    let run = |line: &str, code: i32| WORLD.line(&format!("{line} --json")).expect(code).json();
    let refused = |line: &str, code: i32, words: &str| {
        let message = run(line, code)["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{line}: {message}");
    };
    run(&format!("chain deploy {node} --key-file e1.key --guardian {guardian} -o pinned.json"), 0);
    run(&format!("transfer {at} --key-file e1.key --to {requester} --amount 10"), 0);
    run(&format!("chain publish {at} --key-file e1.key --base base.vk --insecure-dev-srs"), 0);
    let sign = "request sign --contracts pinned.json --key-file e2.key --base base.vk --text hello --max-fee 1";
    refused(&format!("{sign} -o none.json"), 2, "pins no route");
    let key = "settlement-key --base base.vk --requests 1 --tokens 16 --embed --srs dev.srs --insecure-dev-srs";
    run(&format!("{key} -o pinned.vk"), 0);
    let register = format!("chain register {at} --key-file e1.key --base base.vk --insecure-dev-srs");
    run(&format!("{register} --settlement-key pinned.vk --srs dev.srs"), 0);
    let route = run(&format!("chain routes {at}"), 0)["routes"][0]["route"].as_str().unwrap().to_owned();
    run(&format!("{sign} -o own.json"), 0);
    refused(&format!("{sign} --route 0x{} -o other.json", "77".repeat(32)), 2, "does not pin the route 0x7777");

    // Somebody else's file pins nothing yet.
    let mut bare: Value = serde_json::from_slice(&WORLD.read("pinned.json")).unwrap();
    bare.as_object_mut().unwrap().remove("routes");
    WORLD.write("bare.json", bare.to_string());
    let other = format!("{node} --contracts bare.json");
    refused(&format!("request lock {other} --key-file e2.key own.json"), 2, "which bare.json does not pin");
    run(&format!("chain pin {other} --route {route}"), 0);
    run(&format!("chain pin {other} --route {route}"), 0);
    assert_eq!(run(&format!("chain routes {other}"), 0)["routes"][0]["pinned"], true);
    let back = account("e4");
    let locked = run(&format!("request lock {other} --key-file e2.key --refund-to {back} own.json"), 0);
    assert_eq!(locked["routes"], json!([0]));
    let status = run(&format!("request status {at} own.json"), 0);
    assert_eq!((&status["payer"], &status["accepted_until"]), (&json!(back), &Value::Null));

    refused(&format!("chain pause {at} --key-file e1.key --route {route} --seconds 60"), 1, "is not the guardian");
    refused(&format!("chain pause {at} --key-file e3.key --route {route} --seconds 604801"), 1, "1 to 604800 seconds");
    run(&format!("chain pause {at} --key-file e3.key --route {route} --seconds 600"), 0);
    assert_eq!(run(&format!("chain routes {at}"), 0)["routes"][0]["state"], "paused");
    run(&format!("{sign} -o later.json"), 0);
    refused(&format!("request lock {at} --key-file e2.key later.json"), 2, "is paused");
    run(&format!("chain resume {at} --key-file e3.key --route {route}"), 0);
    run(&format!("request lock {at} --key-file e2.key later.json"), 0);
    run(&format!("request accept {at} --key-file e3.key later.json"), 0);
    refused(&format!("request cancel {at} --key-file e2.key later.json"), 1, "whose acceptance holds until");
    refused(&format!("chain freeze {at} --key-file e3.key --route {route} --for-good"), 1, "is not the owner");
    run(&format!("chain freeze {at} --key-file e1.key --route {route} --for-good"), 0);
    assert_eq!(run(&format!("chain routes {at}"), 0)["routes"][0]["state"], "frozen");
    run(&format!("{sign} -o dead.json"), 0);
    refused(&format!("request lock {at} --key-file e2.key dead.json"), 2, "is frozen");
    // What nothing can settle any more is cancelled, though a prover has accepted it.
    assert_eq!(run(&format!("request cancel {at} --key-file e2.key later.json"), 0)["was_accepted"], true);
}

/// Stakes and deposits, and requests that use them.
#[test]
fn stakes_and_deposits_are_put_up_and_taken_back() {
    let node = start_node();
    let [_, requester, prover] = ["f1", "f2", "f3"].map(account);
    let at = format!("{node} --contracts money.json");
    let run = |line: &str, code: i32| WORLD.line(&format!("{line} --json")).expect(code).json();
    let refused = |line: &str, code: i32, words: &str| {
        let message = run(line, code)["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{line}: {message}");
    };
    run(&format!("chain deploy {node} --key-file f1.key -o money.json"), 0);
    for to in [&requester, &prover] {
        run(&format!("transfer {at} --key-file f1.key --to {to} --amount 10"), 0);
    }
    run(&format!("chain publish {at} --key-file f1.key --base base.vk --insecure-dev-srs"), 0);
    run(
        "settlement-key --base base.vk --requests 1 --tokens 16 --embed --srs dev.srs --insecure-dev-srs -o money.vk",
        0,
    );
    let register = format!("chain register {at} --key-file f1.key --base base.vk --insecure-dev-srs --srs dev.srs");
    run(&format!("{register} --settlement-key money.vk"), 0);
    let sign = "request sign --contracts money.json --key-file f2.key --base base.vk --text hello --max-fee 2";
    refused(&format!("{sign} --min-fee 1 --ramp 60 -o open.json"), 2, "anyone could fix the lowest price");
    refused(&format!("{sign} --min-fee 3 --ramp 60 --stake 1 -o open.json"), 2, "--min-fee is above --max-fee");
    refused(&format!("{sign} --stake 1 --accept-time 0 -o open.json"), 2, "needs an --accept-time");
    refused(&format!("{sign} --stake 1 --accept-time 3600 -o open.json"), 2, "must end before --within");
    run(&format!("{sign} --min-fee 1 --ramp 60 --stake 1 -o staked.json"), 0);
    run(&format!("request lock {at} --key-file f2.key staked.json"), 0);
    let accept = format!("request accept {at} --key-file f3.key staked.json");
    refused(&accept, 1, "has put up 0 of OPEN's smallest unit");
    let open = 1_000_000_000_000_000_000u64;
    let deposited = run(&format!("stake deposit {at} --key-file f3.key --amount 1.5"), 0);
    assert_eq!(deposited["free"], (open / 2 * 3).to_string());
    let accepted = run(&accept, 0);
    let fee: u64 = accepted["fee"].as_str().unwrap().parse().unwrap();
    assert!((open..2 * open).contains(&fee) && accepted["accepted_until"].is_u64(), "{accepted}");
    assert_eq!(run(&format!("stake show {at} --prover {prover}"), 0)["free"], (open / 2).to_string());
    refused(&format!("stake withdraw {at} --key-file f3.key --amount 1"), 1, "are needed");
    run(&format!("stake withdraw {at} --key-file f3.key --amount 0.5"), 0);

    let deposit = format!("prepaid deposit {at} --key-file f2.key --prover {prover} --amount 3");
    assert_eq!(run(&deposit, 0)["amount"], (3 * open).to_string());
    run(&format!("{sign} --prepaid --prover {prover} --min-fee 1 --ramp 60 -o prepaid.json"), 0);
    let status = run(&format!("request status {at} prepaid.json"), 0);
    assert_eq!((&status["status"], &status["deposit"]), (&json!("prepaid"), &json!((3 * open).to_string())));
    refused(&format!("request lock {at} --key-file f2.key prepaid.json"), 2, "is prepaid");
    refused(&format!("request cancel {at} --key-file f2.key prepaid.json"), 2, "is prepaid");
    let bind = format!("request bind {at} --payee {prover} --base base.vk -o prepaid.bound.json");
    let bound = run(&format!("{bind} prepaid.json"), 0)["binding"].clone();
    let addresses: Value = serde_json::from_slice(&WORLD.read("money.json")).unwrap();
    let consumer = bound["consumer"].as_str().unwrap().to_lowercase();
    assert_eq!(consumer, addresses["prepaid_escrow"].as_str().unwrap().to_lowercase());
    refused(&format!("{bind} prepaid.json staked.json"), 3, "by another escrow than the first");
    let leave = |what: &str| format!("prepaid {what} {at} --key-file f2.key --prover {prover}");
    run(&leave("leave"), 0);
    refused(&leave("take"), 1, "can be taken back from");
    run(&leave("stay"), 0);
    let shown = run(&format!("prepaid show {at} --requester {requester} --prover {prover}"), 0);
    assert_eq!((&shown["leaving_at"], &shown["amount"]), (&Value::Null, &json!((3 * open).to_string())));
}

#[test]
fn lines_and_governance_are_shown_changed_and_handed_on() {
    let node = start_node();
    let [owner, publisher, stranger] = ["a1", "a2", "a3"].map(account);
    WORLD.line(&format!("chain deploy {node} --key-file a1.key --holder {publisher} -o chain.json")).expect(0);
    let ask = |key: &str, line: &str, code: i32| {
        let key = if key.is_empty() { String::new() } else { format!("--key-file {key}.key") };
        WORLD.line(&format!("{line} {node} --contracts chain.json {key} --json")).expect(code).json()
    };
    let refused = |key: &str, line: &str, code: i32, words: &str| {
        let message = ask(key, line, code)["message"].clone();
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{line}: {message}");
    };
    let model = "--model base.vk";
    refused("", &format!("line show {model}"), 3, "not published");
    let publish = "chain publish --base base.vk --insecure-dev-srs --licence MIT --shares 62.5/20/10/7.5";
    ask("a2", publish, 0);

    let shown = ask("", &format!("line show {model}"), 0);
    assert_eq!(shown["schema"], "lorica.line-show/1");
    assert_eq!((&shown["line"], &shown["kind"]), (&json!(2), &json!("base")));
    assert_eq!((&shown["owner"], &shown["pot"]), (&json!(publisher), &json!(publisher)));
    let version = &shown["version"];
    assert_eq!((&version["retired"], &version["licence"]), (&json!(false), &json!("MIT")));
    assert_eq!(version["basis_points"]["contributors"], 750);
    assert_eq!(ask("", "line show --line 1", 0)["kind"], "architecture");
    refused("", "line show --line 9", 3, "there is no line 9");
    for line in
        ["line show", "line show --line 1 --model base.vk", "line offer --line 2", "line retire --model base.vk"]
    {
        ask(if line.contains("show") { "" } else { "a2" }, line, 2);
    }

    refused("a3", &format!("line offer {model} --to {stranger}"), 1, "does not own line 2");
    refused("a2", "line offer --line 2 --to 0x0000000000000000000000000000000000000000", 2, "zero address");
    assert_eq!(ask("a2", &format!("line offer {model} --to {stranger}"), 0)["to"], json!(stranger));
    assert_eq!(ask("a2", &format!("line offer --line 2 --to {stranger}"), 0)["done_before"], true);
    ask("a2", "line offer --line 2 --withdraw-offer", 0);
    refused("a3", "line accept --line 2", 1, "is not offered to");
    let seen = ask("", "line show --line 2", 0)["nonce"].clone();
    ask("a2", &format!("line offer {model} --to {stranger}"), 0);
    refused("a3", &format!("line accept --line 2 --nonce {seen}"), 3, "look at it again");
    let accepted = ask("a3", "line accept --line 2", 0);
    assert_eq!((&accepted["owner"], &accepted["nonce"]), (&json!(stranger), &json!(seen.as_u64().unwrap() + 1)));
    refused("a2", &format!("line retire {model} --for-good"), 1, "does not own line 2");
    let retired = ask("a3", &format!("line retire {model} --for-good"), 0);
    let again = ask("a3", &format!("line retire {model} --for-good"), 0);
    assert_eq!((&again["done_before"], &again["gas"], &again["transaction"]), (&json!(true), &json!(0), &Value::Null));
    refused("a3", &format!("line pot {model} --to {stranger} --for-good"), 1, "is not the contributors' pot");
    ask("a2", &format!("line pot {model} --to {stranger}"), 2);
    ask("a2", &format!("line pot {model} --to {stranger} --for-good"), 0);
    let shown = ask("", &format!("line show {model}"), 0);
    assert_eq!((&shown["owner"], &shown["pot"]), (&json!(stranger), &json!(stranger)));
    // In 30 days.
    assert_eq!((&shown["version"]["retired"], &shown["offered_to"]), (&json!(false), &Value::Null));
    assert!(retired["from"].is_u64() && shown["version"]["retired_from"] == retired["from"]);
    assert_eq!(again["from"], retired["from"]);

    // Sold: the price and the line change hands at once.
    refused("a3", "line buy --line 2 --nonce 1 --most 5", 3, "is not for sale");
    let sold = ask("a3", &format!("line sell {model} --price 5"), 0);
    let shown = ask("", "line show --line 2", 0);
    assert_eq!(shown["for_sale"]["price"], json!("5000000000000000000"));
    assert_eq!((&shown["nonce"], &shown["for_sale"]["seller"]), (&sold["nonce"], &json!(stranger)));
    let buy = |nonce: u64, most: &str| format!("line buy --line 2 --nonce {nonce} --most {most}");
    let nonce = sold["nonce"].as_u64().unwrap();
    refused("a2", &buy(nonce - 1, "5"), 3, "has changed");
    refused("a2", &buy(nonce, "4.9"), 3, "costs 5000000000000000000");
    ask("a2", "line buy --line 2 --most 5", 2);
    refused("a2", "line unsell --line 2", 1, "neither owns line 2");
    ask("a3", "line unsell --line 2", 0);
    let nonce = ask("a3", &format!("line sell {model} --price 5"), 0)["nonce"].as_u64().unwrap();
    let bought = ask("a2", &buy(nonce, "6"), 0);
    assert_eq!((&bought["owner"], &bought["price"]), (&json!(publisher), &json!("5000000000000000000")));
    assert_eq!(ask("a3", "line proceeds", 0)["amount"], json!("5000000000000000000"));
    assert_eq!(ask("a3", "line proceeds", 0)["done_before"], true);
    refused("a3", "wrap --amount 1", 3, "does not wrap the gas token");

    refused("a3", "govern fee --kind base --amount 5", 1, "is not the owner");
    ask("a1", "govern fee --kind base --amount 5.5", 0);
    assert_eq!(ask("a1", "govern fee --kind base --amount 5.5", 0)["done_before"], true);
    refused("a1", "govern fee --kind base --amount 100001", 1, "a deployment fee is");
    refused("a1", "govern bounds --min-prover 9", 1, "outside their limits");
    ask("a1", "govern bounds", 2);
    ask("a1", "govern bounds --min-prover 12.5", 0);
    refused("a1", &format!("govern token --token {stranger} --allow"), 1, "has no code");
    refused("a2", "govern withdraw-fees", 1, "is not the treasury");
    let two_hundred = "200000000000000000000";
    assert_eq!(ask("a1", &format!("govern withdraw-fees --to {stranger}"), 0)["amount"], two_hundred);
    assert_eq!(ask("a1", "govern withdraw-fees", 0)["done_before"], true);
    ask("a1", &format!("govern treasury --to {publisher}"), 0);
    ask("a1", &format!("govern offer --to {stranger} --contract router escrow"), 0);
    refused("a3", "govern accept", 1, "models");
    ask("a3", "govern accept --contract router", 0);
    let set = ask("", "govern show --token native", 0);
    assert_eq!(set["publishing_fees"]["base"], "5500000000000000000");
    let bounds = json!({ "min_prover": 1_250, "min_base_owner": 200, "max_contributors": 5_000 });
    assert_eq!((&set["basis_points"], &set["treasury"]), (&bounds, &json!(publisher)));
    assert_eq!((&set["accrued_fees"], &set["tokens"][0]["allowed"]), (&json!("0"), &json!(true)));
    let contracts = json!({
        "router": { "owner": stranger, "offered_to": null },
        "models": { "owner": owner, "offered_to": null },
        "escrow": { "owner": owner, "offered_to": stranger },
        "prepaid": { "owner": owner, "offered_to": null },
    });
    assert_eq!(set["contracts"], contracts);
}

/// On a real chain each part is a named account of its own; a day passes between the steps of a publication.
#[test]
fn deployments_on_a_real_chain_name_four_accounts() {
    let node = format!("{} --confirmations 1", start_node_of(77));
    let [deployer, owner, guardian, treasury, holder] = ["e1", "e2", "e3", "e4", "e5"].map(account);
    let deploy = |arguments: &str, code: i32| {
        WORLD
            .line(&format!("chain deploy {node} --key-file e1.key -o real.json --json {arguments}"))
            .expect(code)
            .json()
    };
    let message = |arguments: &str, code: i32| deploy(arguments, code)["message"].as_str().unwrap().to_owned();
    assert!(message("", 2).contains("--owner, --guardian, --treasury, --holder"));
    assert!(message(&format!("--owner {owner} --holder {holder}"), 2).contains("for --guardian, --treasury ("));
    let shared = format!("--owner {owner} --guardian {owner} --treasury {treasury} --holder {holder}");
    assert!(message(&shared, 3).contains("cannot be both owner and guardian"));
    let named = format!("--owner {owner} --guardian {guardian} --treasury {treasury}");
    assert!(message(&format!("{named} --holder {treasury}"), 3).contains("both treasury and holder"));
    deploy(&format!("{named} --holder {holder} --native-open"), 2);
    assert!(!WORLD.path("real.json").exists(), "nothing is deployed");
    let deployed = deploy(&format!("{named} --holder {holder}"), 0);
    assert_eq!((&deployed["owner"], &deployed["holder"]), (&json!(owner), &json!(holder)));
    assert_eq!((&deployed["reservation_seconds"], &deployed["native_open"]), (&json!(86_400), &json!(false)));
    assert!(deployed["contracts"]["line_sale"].is_string());
    let show = format!("govern show {node} --contracts real.json --json");
    let shown = WORLD.line(&show).expect(0).json();
    assert_eq!((&shown["guardian"], &shown["treasury"]), (&json!(guardian), &json!(treasury)));

    // Reserved today, published tomorrow.
    let at = format!("{node} --contracts real.json --json");
    WORLD.line(&format!("transfer {at} --key-file e5.key --to {deployer} --amount 500")).expect(0);
    let publish = format!("chain publish {at} --key-file e1.key --base base.vk --insecure-dev-srs");
    let first = WORLD.line(&publish).expect(0).json();
    assert_eq!(first["steps"].as_array().map(Vec::len), Some(2));
    let again = WORLD.line(&publish).expect(0).json();
    assert_eq!((again["steps"].as_array().map(Vec::len), &again["publish_from"]), (Some(0), &first["publish_from"]));
    assert!(first["publish_from"].is_u64());

    // Addresses of contracts are not forgotten for those of others.
    let written = WORLD.read("real.json");
    assert!(message("--development", 3).contains("real.json: it exists"));
    assert_eq!(WORLD.read("real.json"), written);
    std::fs::remove_file(WORLD.path("real.json")).unwrap();
    // With the development flag one account may have every part.
    let all = deploy("--development", 0);
    assert_eq!((&all["owner"], &all["treasury"]), (&json!(deployer), &json!(deployer)));
    assert_eq!(all["reservation_seconds"], json!(1));
}

/// Where OPEN is the gas token, publishing is paid in wrapped OPEN.
#[test]
fn open_can_be_the_gas_token() {
    let node = start_node_of(78);
    let [_, owner, guardian, treasury] = ["f1", "f2", "f3", "f4"].map(account);
    let named = format!("--owner {owner} --guardian {guardian} --treasury {treasury} --native-open");
    let node = format!("{node} --confirmations 1");
    let deploy = format!("chain deploy {node} --key-file f1.key -o native.json --json {named}");
    let deployed = WORLD.line(&deploy).expect(0).json();
    assert_eq!((&deployed["holder"], &deployed["native_open"]), (&Value::Null, &json!(true)));
    let at = format!("{node} --contracts native.json --key-file f1.key --json");
    let balance = WORLD.line(&format!("balance {at} --token open")).expect(0).json();
    assert_eq!((&balance["accounts"][0]["wallet"], &balance["accounts"][0]["owed"]), (&json!("0"), &json!("0")));
    // Nobody has gas token on the chain in memory.
    WORLD.line(&format!("wrap {at} --amount 1")).expect(4);
    let refused = WORLD.line(&format!("unwrap {at} --amount 1")).expect(1).json();
    assert!(refused["message"].as_str().unwrap().contains("has 0 of the token"), "{refused}");
}
