//! What was proven and what was not checked, in the fields of `lorica verify --json`.

use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{LOGIT_EXPONENT, OutputKind, Shape};
use lorica_settlement_check::{Binding, Settlement, VerifyingKey};
use lorica_verifier::protocol::group::INSECURE;
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::proof::{normalised, score};
use lorica_verifier::protocol::statement::RequestWords;
use lorica_verifier::{AdapterKey, BaseKey, InferenceProof, Output};
use serde_json::{Map, Value, json};

/// A word as `0x` and 64 hexadecimal digits, big-endian.
#[must_use]
pub fn word(scalar: &Fr) -> String {
    format!("0x{}", hex::encode(encode_scalar(scalar)))
}

fn shape_json(shape: &Shape) -> Value {
    let Shape { requests, tokens, log_tile, output, records } = shape;
    json!({ "requests": requests, "tokens": tokens, "tau": log_tile, "output": output.name(), "records": records })
}

/// The output of a request: label and scores, or an embedding.
fn answer_json(output: &Output, labels: &[String], tokens: usize, exponent: i32) -> Map<String, Value> {
    let answer = match output {
        Output::Classify { logits, label } => {
            let count = if labels.is_empty() { logits.len() } else { labels.len() };
            let logit = |(index, logit): (usize, &i64)| json!({ "name": labels.get(index), "integer": logit, "score": score(*logit) });
            let logits: Vec<Value> = logits.iter().take(count).enumerate().map(logit).collect();
            let name = labels.get(usize::from(*label));
            json!({
                "label": { "index": label, "name": name }, "logit_exponent": LOGIT_EXPONENT, "logits": logits,
            })
        }
        Output::Embed { sums } => {
            json!({
                "length": tokens, "embedding_exponent": exponent, "embedding_sums": sums, "embedding": normalised(sums),
            })
        }
    };
    object(answer)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// What the reader still owes: a name, and a sentence.
type Owed = (&'static str, &'static str);

const BASE: Owed =
    ("base", "That the base is the one you mean: compare its id with where it is registered, or enter it.");
const ADAPTERS: Owed =
    ("adapters", "That the adapters are those you mean: compare their ids with where they are registered.");
const LABELS: Owed =
    ("labels", "What the labels are called: names travel in the adapter's key, and no id covers them.");
const SRS: Owed =
    ("srs", "That nobody knows the secret of the SRS: compare its digest with one whose origin you trust.");

fn with_owed(mut report: Map<String, Value>, insecure: bool, owed: &[Owed]) -> Value {
    let names: Vec<&str> = owed.iter().map(|(name, _)| *name).collect();
    let sentences: Map<String, Value> = owed.iter().map(|(name, why)| ((*name).to_owned(), json!(why))).collect();
    let warnings: &[&str] = if insecure { &[INSECURE] } else { &[] };
    report.insert("not_checked".into(), json!(names));
    report.insert("not_checked_why".into(), Value::Object(sentences));
    report.insert("warnings".into(), json!(warnings));
    Value::Object(report)
}

fn labels<'k>(adapters: &'k [AdapterKey], id: &Fr) -> &'k [String] {
    adapters.iter().find(|key| key.id() == *id).map_or(&[], |key| &key.labels)
}

fn adapter_json(id: &Fr) -> Option<String> {
    (*id != Fr::zero()).then(|| word(id))
}

/// Of an accepted proof.
#[must_use]
pub fn proof_report(
    base: &BaseKey,
    adapters: &[AdapterKey],
    proof: &InferenceProof,
    words: &[RequestWords<Fr>],
    base_compared: bool,
    bytes: usize,
) -> Value {
    let statement = &proof.statement;
    let request = |(request, words): (&lorica_verifier::protocol::proof::RequestStatement, &RequestWords<Fr>)| {
        let mut report = object(json!({
            "adapter": adapter_json(&request.adapter), "tokens": request.ids.len(),
            "input_digest": word(&words.input_digest), "output_digest": word(&words.output_digest),
        }));
        let labels = labels(adapters, &request.adapter);
        report.extend(answer_json(&request.output, labels, request.ids.len(), base.output_exponent));
        Value::Object(report)
    };
    let requests: Vec<Value> = statement.requests.iter().zip(words).map(request).collect();
    let insecure = base.verifier_key().is_insecure();
    let report = object(json!({
        "schema": "lorica.verify/1", "accepted": true, "base": word(&statement.base),
        "architecture": word(&statement.architecture), "srs": word(&statement.srs), "insecure_srs": insecure,
        "context": word(&statement.context), "shape": shape_json(&statement.shape), "requests": requests, "bytes": bytes,
    }));
    let text = "Which text has these token ids: that takes the base's tokenizer, which is not run here and which no id covers. \
                `lorica verify --text` compares.";
    let mut owed = vec![("text", text)];
    owed.extend((!base_compared).then_some(BASE));
    owed.extend(statement.requests.iter().any(|request| request.adapter != Fr::zero()).then_some(ADAPTERS));
    owed.extend((statement.shape.output == OutputKind::Classify).then_some(LABELS));
    owed.extend((!insecure).then_some(SRS));
    with_owed(report, insecure, &owed)
}

fn binding_json(binding: &Binding) -> Value {
    let hexadecimal = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let requests: Vec<Value> = binding
        .requests
        .iter()
        .map(|request| json!({ "id": hexadecimal(&request.id), "fee": hexadecimal(&request.fee) }))
        .collect();
    json!({
        "chain_id": binding.chain_id, "consumer": hexadecimal(&binding.consumer),
        "payee": hexadecimal(&binding.payee), "requests": requests,
    })
}

/// Of an accepted settlement.
#[must_use]
pub fn settlement_report(
    key: &VerifyingKey,
    base: &BaseKey,
    adapters: &[AdapterKey],
    settlement: &Settlement,
    (base_compared, circuit_compared): (bool, bool),
    bytes: usize,
) -> Value {
    let of = key.circuit_shape();
    let classifies = of.shape.output == OutputKind::Classify;
    let answer = |answer: &lorica_settlement_check::Answer| {
        let mut report = object(json!({
            "adapter": word(&answer.adapter), "label": answer.label(),
            "input_digest": word(&answer.words.input_digest), "output_digest": word(&answer.words.output_digest),
        }));
        if classifies {
            let name = labels(adapters, &answer.adapter).get(usize::from(answer.label()));
            report.insert("label_name".into(), json!(name));
        }
        Value::Object(report)
    };
    let requests: Vec<Value> = settlement.answers.iter().map(answer).collect();
    let insecure = base.verifier_key().is_insecure();
    let report = object(json!({
        "schema": "lorica.verify-settlement/1", "accepted": true,
        "circuit": format!("0x{}", hex::encode(settlement.circuit)), "base": word(&settlement.base),
        "shape": shape_json(&of.shape), "architecture": word(&of.architecture_digest), "srs": word(&of.srs),
        "insecure_srs": insecure, "binding": binding_json(&settlement.binding),
        "context": word(&settlement.binding.context()), "requests": requests, "bytes": bytes,
    }));
    let binding = "What it is bound to: compare chain id, consumer, payee, requests and fees with those you mean.";
    let circuit = "The circuit: a key file can carry honest digests around a circuit that accepts anything. Enter the circuit id \
                   that you have from whom you trust, or from `lorica settlement-key`.";
    let text = "Which text and which output stand behind the digests: a settlement shows neither.";
    let mut owed = vec![("binding", binding)];
    owed.extend((!circuit_compared).then_some(("circuit", circuit)));
    owed.push(("text", text));
    owed.extend((!base_compared).then_some(BASE));
    owed.extend(settlement.answers.iter().any(|answer| answer.adapter != Fr::zero()).then_some(ADAPTERS));
    owed.extend(classifies.then_some(LABELS));
    owed.extend((!insecure).then_some(SRS));
    with_owed(report, insecure, &owed)
}
