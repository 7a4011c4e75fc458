//! The JSON face: the same calls for `curl` and programs without gRPC, probes, numbers for Prometheus, and the operator's page.
//!
//! It listens to this machine only; whoever wants it elsewhere puts a server with TLS in front. Each call is handed to the
//! gRPC handler, so that keys, limits and refusals are the same. Calls under another host name are refused: a page in a
//! browser that had its name pointed here would send them.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request as Incoming, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Reason, Refusal};
use crate::face::{Answered, Face, Refused, call, json_response, ok};
use crate::overview;
use crate::proto;
use crate::proto::inference_service_server::InferenceService;
use crate::proto::model_service_server::ModelService;

/// Largest body: as gRPC's largest message.
const MAX_BODY: usize = 1 << 20;

/// A body of JSON. It must say that it is JSON: a form in a browser cannot.
fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refused> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Refusal::field("content-type", "application/json is expected").into());
    }
    // serde names the place and the field, and may quote a value: it goes to whoever sent it.
    serde_json::from_slice(bytes).map_err(|error| Refusal::field("body", error).into())
}

fn bytes_of(field: &'static str, digits: &str) -> Result<Vec<u8>, Refused> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    hex::decode(digits).map_err(|_| Refusal::field(field, "hexadecimal digits are expected").into())
}

/// What is asked of a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    base: String,
    #[serde(default)]
    adapter: String,
    #[serde(default)]
    datanet: String,
    text: Option<String>,
    token_ids: Option<Vec<u32>>,
    #[serde(default)]
    salt: String,
    #[serde(default)]
    kind: String,
    /// Of proofs only.
    request_id: Option<String>,
    #[serde(default)]
    context: String,
    /// Seconds since 1970.
    deadline: Option<i64>,
    #[serde(default)]
    wait_seconds: u32,
}

impl Asked {
    fn input(&mut self) -> Result<Option<proto::Input>, Refused> {
        use proto::input::Input;
        let input = match (self.text.take(), self.token_ids.take()) {
            (Some(_), Some(_)) => {
                return Err(Refusal::field("input", "either `text` or `token_ids` is expected").into());
            }
            (Some(text), None) => Some(Input::Text(text)),
            (None, Some(ids)) => Some(Input::TokenIds(proto::TokenIds { ids })),
            (None, None) => None,
        };
        Ok(Some(proto::Input { input, salt: bytes_of("salt", &self.salt)? }))
    }

    fn kind(&self) -> Result<i32, Refused> {
        match self.kind.as_str() {
            "" => Ok(proto::OutputKind::Unspecified.into()),
            "embed" => Ok(proto::OutputKind::Embed.into()),
            "classify" => Ok(proto::OutputKind::Classify.into()),
            _ => Err(Refusal::field("kind", "`embed` or `classify` is expected").into()),
        }
    }
}

fn wait(seconds: u32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: seconds.into(), nanos: 0 })
}

async fn infer(State(face): State<Face>, headers: HeaderMap, bytes: Bytes) -> Answered {
    let mut asked: Asked = body(&headers, &bytes)?;
    let (input, kind) = (asked.input()?, asked.kind()?);
    let request = proto::InferRequest { base: asked.base, adapter: asked.adapter, datanet: asked.datanet, input, kind };
    let answered = face.inference.infer(call(&headers, request)).await?.into_inner();
    ok(&json!({ "answer": answer(answered.answer.as_ref()) }))
}

async fn create(State(face): State<Face>, headers: HeaderMap, bytes: Bytes) -> Answered {
    let mut asked: Asked = body(&headers, &bytes)?;
    let (input, kind) = (asked.input()?, asked.kind()?);
    let request = proto::CreateProofRequest {
        request_id: asked.request_id.unwrap_or_default(),
        base: asked.base,
        adapter: asked.adapter,
        datanet: asked.datanet,
        input,
        kind,
        context: bytes_of("context", &asked.context)?,
        deadline: asked.deadline.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
        wait: wait(asked.wait_seconds),
        ..proto::CreateProofRequest::default()
    };
    let created = face.inference.create_proof(call(&headers, request)).await?.into_inner();
    ok(&proof(&created.proof.unwrap_or_default()))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Getting {
    wait_seconds: u32,
}

async fn read(face: &Face, headers: &HeaderMap, id: &str, own: &Getting) -> Result<proto::Proof, Refused> {
    let view = proto::ProofView::Full.into();
    let request = proto::GetProofRequest { name: format!("proofs/{id}"), view, wait: wait(own.wait_seconds) };
    Ok(face.inference.get_proof(call(headers, request)).await?.into_inner().proof.unwrap_or_default())
}

async fn get_proof(
    State(face): State<Face>,
    Path(id): Path<String>,
    Query(own): Query<Getting>,
    headers: HeaderMap,
) -> Answered {
    ok(&proof(&read(&face, &headers, &id, &own).await?))
}

/// The proof's bytes, once it is made.
async fn get_bytes(
    State(face): State<Face>,
    Path(id): Path<String>,
    Query(own): Query<Getting>,
    headers: HeaderMap,
) -> Answered {
    let proof = read(&face, &headers, &id, &own).await?;
    if proof.state() != proto::ProofState::Proven {
        return Ok(json_response(StatusCode::CONFLICT, &json!({ "reason": null, "message": state(&proof) })));
    }
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], proof.inference_proof).into_response())
}

async fn list(State(face): State<Face>, headers: HeaderMap) -> Answered {
    let listed = face.inference.list_proofs(call(&headers, proto::ListProofsRequest::default())).await?.into_inner();
    let proofs: Vec<Value> = listed.proofs.iter().map(proof).collect();
    ok(&json!({ "proofs": proofs }))
}

async fn cancel(State(face): State<Face>, Path(id): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answered {
    let _: serde_json::Map<String, Value> = body(&headers, &bytes)?;
    let request = proto::CancelProofRequest { name: format!("proofs/{id}") };
    let cancelled = face.inference.cancel_proof(call(&headers, request)).await?.into_inner();
    ok(&proof(&cancelled.proof.unwrap_or_default()))
}

async fn models(State(face): State<Face>, headers: HeaderMap) -> Answered {
    let bases = face.model.list_bases(call(&headers, proto::ListBasesRequest {})).await?.into_inner().bases;
    let adapters = proto::ListAdaptersRequest::default();
    let adapters = face.model.list_adapters(call(&headers, adapters)).await?.into_inner().adapters;
    let base = |own: &proto::Base| {
        json!({ "name": own.name, "layers": own.layers, "hidden": own.hidden, "max_tokens": own.max_tokens,
            "insecure_srs": own.insecure_srs })
    };
    let adapter = |own: &proto::Adapter| json!({ "name": own.name, "base": own.base, "labels": own.labels, "classifies": own.classifies });
    let datanets = proto::ListDatanetsRequest::default();
    let datanets = face.model.list_datanets(call(&headers, datanets)).await?.into_inner().datanets;
    let datanet = |own: &proto::Datanet| {
        json!({ "name": own.name, "base": own.base, "adapter": own.adapter, "version": hex::encode(&own.version),
            "records": own.records, "contributors": own.contributors })
    };
    let (bases, adapters): (Vec<_>, Vec<_>) =
        (bases.iter().map(base).collect(), adapters.iter().map(adapter).collect());
    let datanets: Vec<_> = datanets.iter().map(datanet).collect();
    ok(&json!({ "bases": bases, "adapters": adapters, "datanets": datanets }))
}

fn answer(own: Option<&proto::Answer>) -> Value {
    use proto::answer::Output;
    let Some(own) = own else { return Value::Null };
    let share = |own: &proto::Share| json!({ "slot": own.slot, "parts": own.parts });
    let shares: Vec<Value> = own.shares.iter().map(share).collect();
    match &own.output {
        Some(Output::Embedding(output)) => {
            json!({ "tokens": own.tokens, "embedding": { "sums": output.sums, "exponent": output.exponent } })
        }
        Some(Output::Classification(output)) => json!({
            "tokens": own.tokens,
            "classification": { "label": output.label, "name": output.name, "logits": output.logits },
            "shares": shares,
        }),
        None => Value::Null,
    }
}

fn state(own: &proto::Proof) -> &'static str {
    own.state().as_str_name().trim_start_matches("PROOF_STATE_")
}

fn proof(own: &proto::Proof) -> Value {
    let failure = own.failure.as_ref().map(|own| json!({ "reason": own.reason, "message": own.message }));
    json!({
        "name": own.name, "state": state(own), "base": own.base, "adapter": own.adapter,
        "datanet": own.datanet, "sequence": own.sequence,
        "index": own.index, "salt": (!own.salt.is_empty()).then(|| hex::encode(&own.salt)), "failure": failure,
        "answer": answer(own.answer.as_ref()),
    })
}

async fn ready(State(face): State<Face>) -> Response {
    let shared = &face.inference.shared;
    let is_open = shared.expect_open().is_ok() && shared.store.call(|store| store.counts()).await.is_ok();
    match is_open {
        // It answers and takes requests; that nobody proves is for the operator to read.
        true if !shared.in_process && !shared.workers.any() => "ready, but no worker is here\n".into_response(),
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

/// Numbers of the service in the text form of Prometheus. None of them is a tenant's alone.
async fn metrics(State(face): State<Face>) -> Answered {
    let shared = &face.inference.shared;
    let counts = shared.store.call(|store| store.counts()).await.map_err(Refusal::from)?;
    let mut text = String::from("# TYPE lorica_proofs gauge\n");
    for state in crate::store::State::ALL {
        let count = counts.iter().find(|(own, _)| *own == state).map_or(0, |(_, count)| *count);
        let _ = writeln!(text, "lorica_proofs{{state=\"{}\"}} {count}", state.name());
    }
    let (requests, breaker) =
        shared.store.call(|store| Ok((store.request_counts()?, store.breaker()?))).await.map_err(Refusal::from)?;
    text.push_str("# TYPE lorica_requests gauge\n");
    for (state, count) in &requests {
        let _ = writeln!(text, "lorica_requests{{state=\"{}\"}} {count}", state.name());
    }
    let open = u8::from(breaker.is_some());
    let _ = writeln!(text, "# TYPE lorica_breaker_open gauge\nlorica_breaker_open {open}");
    text.push_str("# TYPE lorica_workers gauge\n");
    for (state, count) in shared.workers.counts() {
        let _ = writeln!(text, "lorica_workers{{state=\"{}\"}} {count}", state.trim_start_matches("WORKER_STATE_"));
    }
    let free = shared.running.available_permits();
    let _ = writeln!(text, "# TYPE lorica_executions_free gauge\nlorica_executions_free {free}");
    let _ = writeln!(text, "# TYPE lorica_ending gauge\nlorica_ending {}", u8::from(*shared.ending.borrow()));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Takes calls to this machine's names only.
async fn own_host(request: Incoming, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_own = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_own {
        next.run(request).await
    } else {
        Refused::from(Refusal::new(Reason::FieldInvalid, "this face answers to names of this machine only"))
            .into_response()
    }
}

/// The routes.
pub fn router(face: Face) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/infer", post(infer))
        .route("/v1/proofs", post(create).get(list))
        .route("/v1/proofs/{id}", get(get_proof))
        .route("/v1/proofs/{id}/bytes", get(get_bytes))
        .route("/v1/proofs/{id}/cancel", post(cancel))
        .route("/", get(overview::page))
        .route("/v1/overview", get(overview::overview))
        .route("/v1/overview/requests/{digest}", get(overview::history))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(own_host))
        .with_state(face)
}
