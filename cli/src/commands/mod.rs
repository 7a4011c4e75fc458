//! The commands: each file has its arguments, and a `run` that speaks through [`Output`](crate::output::Output).

pub mod adapter;
#[cfg(feature = "serve")]
pub mod api_key;
pub mod attribute;
pub mod chain;
pub mod contributors;
pub mod datanet;
pub mod datanet_proof;
pub mod datanet_rows;
pub mod demo;
pub mod demo_chain;
pub mod demo_datanet;
mod demo_page;
pub mod govern;
pub mod infer;
pub mod inspect;
pub mod line;
pub mod model;
pub mod money;
pub mod prepaid;
pub mod prove;
#[cfg(feature = "serve")]
pub mod remote;
pub mod request;
pub mod routes;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settle;
pub mod settlement_key;
mod shares;
pub mod srs;
pub mod stake;
pub mod verify;
mod verify_args;
pub mod verify_settlement;
#[cfg(feature = "serve")]
pub mod worker;

use lorica_circuits::bn254::Fr;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::shape::Shape;
use lorica_verifier::protocol::keccak::encode_scalar;
use serde_json::{Value, json};

/// A word as `0x` and 64 hexadecimal digits, big-endian.
pub(crate) fn word(scalar: &Fr) -> String {
    format!("0x{}", hex::encode(encode_scalar(scalar)))
}

/// The beginning of a word, for people.
pub(crate) fn short(scalar: &Fr) -> String {
    let word = word(scalar);
    word.get(..18).unwrap_or(&word).to_owned()
}

pub(crate) fn shape_json(shape: &Shape) -> Value {
    json!({
        "requests": shape.requests, "tokens": shape.tokens, "tau": shape.log_tile, "output": shape.output.name(),
        "records": shape.records,
    })
}

pub(crate) fn shape_text(shape: &Shape) -> String {
    let Shape { requests, tokens, log_tile, output, records } = shape;
    let attributed = if *records == 0 { String::new() } else { format!(", attributed to {records} records") };
    format!("{requests} x {tokens} tokens, tau {log_tile}, {}{attributed}", output.name())
}

pub(crate) fn architecture_json(a: &Architecture) -> Value {
    json!({
        "hidden": a.hidden, "layers": a.layers, "heads": a.heads, "intermediate": a.intermediate, "vocab": a.vocab,
        "activation": format!("{:?}", a.activation).to_lowercase(), "r_max": a.r_max, "block": a.block,
        "max_tokens": a.max_tokens,
    })
}

pub(crate) fn architecture_text(a: &Architecture) -> String {
    format!(
        "{} layers, hidden {}, {} heads, feed-forward {}, vocabulary {}, r_max {}, blocks of {}, texts of up to {} tokens",
        a.layers, a.hidden, a.heads, a.intermediate, a.vocab, a.r_max, a.block, a.max_tokens
    )
}
