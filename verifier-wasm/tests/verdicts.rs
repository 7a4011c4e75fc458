//! What the page says of honest and forged files. The browser's test compares its module's words with these.

#[path = "support/cases.rs"]
mod cases;

use cases::{Verdict, cases, input};
use lorica_circuits::bn254::G2Affine;
use lorica_verifier::protocol::group::INSECURE;
use lorica_verifier::{AdapterKey, BaseKey, InferenceProof, verify};
use lorica_verifier_wasm::check::run;
use lorica_verifier_wasm::report::proof_report;
use serde_json::{Value, json};

fn answer(name: &str) -> Value {
    let all = cases();
    let case = all.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
    serde_json::from_str(&run(&input(case))).unwrap()
}

#[test]
fn every_case_meets_its_verdict() {
    let all = cases();
    for case in &all {
        let answer: Value = serde_json::from_str(&run(&input(case))).unwrap();
        let expected = match case.verdict {
            Verdict::Accepted => (json!(true), Value::Null, Value::Null),
            Verdict::Rejected => (Value::Null, json!("rejected"), json!(1)),
            Verdict::Usage => (Value::Null, json!("usage"), json!(2)),
            Verdict::Input => (Value::Null, json!("input"), json!(3)),
        };
        let got = (answer["accepted"].clone(), answer["kind"].clone(), answer["exit_code"].clone());
        assert_eq!(got, expected, "{}: {}", case.name, answer["message"]);
        assert_eq!(answer["files"].as_array().unwrap().len(), case.files.len(), "{}", case.name);
    }
    let accepted = all.iter().filter(|case| case.verdict == Verdict::Accepted).count();
    let rejected = all.iter().filter(|case| case.verdict == Verdict::Rejected).count();
    assert!(accepted >= 9 && rejected >= 60, "{accepted} and {rejected}");
}

#[test]
fn a_proof_is_reported_with_what_stays_open() {
    let report = answer("a proof");
    assert_eq!(report["schema"], "lorica.verify/1");
    assert_eq!(report["files"], json!(["proof", "base key", "adapter key"]));
    assert_eq!(report["not_checked"], json!(["text", "base", "adapters", "labels"]));
    assert_eq!((&report["insecure_srs"], &report["warnings"]), (&json!(true), &json!([INSECURE])));
    for name in report["not_checked"].as_array().unwrap() {
        assert!(report["not_checked_why"][name.as_str().unwrap()].as_str().unwrap().len() > 20, "{name}");
    }
    let request = &report["requests"][0];
    assert_eq!((&request["tokens"], &request["logit_exponent"]), (&json!(12), &json!(30)));
    let logits = request["logits"].as_array().unwrap();
    let index = request["label"]["index"].as_u64().unwrap() as usize;
    let best = logits.iter().map(|logit| logit["integer"].as_i64().unwrap()).max().unwrap();
    assert_eq!(logits[index]["integer"].as_i64().unwrap(), best);
    assert_eq!((logits.len(), &request["label"]["name"]), (4, &logits[index]["name"]));
    // What was compared is not owed any more.
    assert_eq!(answer("the base that was meant")["not_checked"], json!(["text", "adapters", "labels"]));
}

/// Every other SRS than the development one is for the reader to know.
#[test]
fn the_origin_of_an_srs_is_not_checked() {
    let all = cases();
    let files = &all.iter().find(|case| case.name == "a proof").unwrap().files;
    let mut base = BaseKey::decode(&files[1].1).unwrap();
    let adapters = [AdapterKey::decode(&files[2].1).unwrap()];
    let proof = InferenceProof::decode(&files[0].1).unwrap();
    let words = verify(&base, &adapters, &proof.statement.context, &proof).unwrap();
    base.commitments.tau_g2 = G2Affine::generator();
    let report = proof_report(&base, &adapters, &proof, &words, true, 7);
    assert_eq!((&report["insecure_srs"], &report["warnings"]), (&json!(false), &json!([])));
    assert_eq!(report["not_checked"], json!(["text", "adapters", "labels", "srs"]));
}

#[test]
fn a_settlement_is_reported_with_its_binding() {
    let report = answer("classify: a settlement");
    assert_eq!(report["schema"], "lorica.verify-settlement/1");
    assert_eq!(report["not_checked"], json!(["binding", "circuit", "text", "base", "adapters", "labels"]));
    assert_eq!(report["binding"]["chain_id"], 31337);
    assert_eq!(report["binding"]["payee"], format!("0x{}", "be".repeat(20)));
    assert_eq!(report["binding"]["requests"].as_array().unwrap().len(), 2);
    assert_eq!(answer("classify: its circuit")["not_checked"][1], "text");
    let request = &report["requests"][0];
    assert!(request["label"].as_u64().unwrap() < 16 && request["label_name"].is_string(), "{request}");
    // An embedding's settlement has no label to name.
    assert_eq!(answer("embed: a settlement")["requests"][0].get("label_name"), None);
}

#[test]
fn input_that_is_not_made_of_parts_is_refused() {
    for input in
        [&b""[..], b"\x01", b"\x05\0\0\0{}", b"\x02\0\0\0{}\xff\xff\xff\xff", b"\x02\0\0\0[}", b"\x04\0\0\0null"]
    {
        let answer: Value = serde_json::from_str(&run(input)).unwrap();
        assert_eq!(answer["kind"], "usage", "{input:?}");
    }
    let unknown = br#"{"text":"a"}"#;
    let input = [&u32::try_from(unknown.len()).unwrap().to_le_bytes()[..], unknown].concat();
    let answer: Value = serde_json::from_str(&run(&input)).unwrap();
    assert_eq!(answer["message"], "the input is not made of parts");
}
