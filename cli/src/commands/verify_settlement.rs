//! `lorica verify --settlement`: the contract's check, off chain.

use std::path::Path;
use std::time::Instant;

use lorica::answer::printable;
use lorica::binding;
use lorica::check::check_settlement;
use lorica::files::{BaseKey, MAX_KEY_BYTES, MAX_SETTLEMENT_BYTES, read_adapter_key, store};
use lorica::srs::SrsPolicy;
use lorica_chain::alloy_primitives::B256;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;
use serde_json::{Value, json};

use super::{shape_json, shape_text, short, word};
use crate::error::{Error, Kind};
use crate::output::{Output, milliseconds, time};

/// Reads a settlement key.
///
/// # Errors
/// [`Error`] if it is none.
pub(crate) fn read_key(path: &Path) -> Result<VerifyingKey, Error> {
    let bytes = store::read(path, MAX_KEY_BYTES)?;
    VerifyingKey::decode(&bytes).map_err(|error| Error::refused(path, error))
}

/// What a settlement says of its requests, as JSON.
pub(crate) fn answers_json(settlement: &Settlement) -> Vec<Value> {
    let answer = |answer: &lorica_settlement::settlement::Answer| {
        json!({
            "adapter": word(&answer.adapter), "label": answer.label(),
            "input_digest": word(&answer.words.input_digest), "output_digest": word(&answer.words.output_digest),
        })
    };
    settlement.answers.iter().map(answer).collect()
}

/// What a settlement says of its requests, for people.
pub(crate) fn answer_lines(settlement: &Settlement, out: &Output) {
    for (index, answer) in settlement.answers.iter().enumerate() {
        let (words, label) = (&answer.words, answer.label());
        let (adapter, input, output) =
            (short(&answer.adapter), short(&words.input_digest), short(&words.output_digest));
        out.line(format!("  request {index}: adapter {adapter}, label {label}, input {input}, output {output}"));
    }
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the settlement does not hold.
pub(crate) fn run(
    settlement: &Path,
    key: &Path,
    circuit: Option<B256>,
    base: &BaseKey,
    adapters: &[std::path::PathBuf],
    out: &Output,
) -> Result<(), Error> {
    let key = read_key(key)?;
    let mut keys = Vec::new();
    for path in adapters {
        keys.push(read_adapter_key(path, base)?);
    }
    let bytes = store::read(settlement, MAX_SETTLEMENT_BYTES)?;
    let start = Instant::now();
    // The command has warned of the development SRS.
    let policy = SrsPolicy::DevelopmentForTests;
    let settled = check_settlement(base, &keys, &key, circuit.map(|circuit| circuit.0), &bytes, policy)
        .map_err(Error::from)
        .inspect_err(|error| {
            if error.kind() == Kind::Rejected {
                out.line(format!("REJECTED {}", printable(&settlement.display().to_string())));
            }
        })?;
    let spent = start.elapsed();
    let of = key.circuit_shape();
    let named = circuit.is_some();
    let circuit = B256::from(settled.circuit).to_string();
    let mut not_checked =
        vec![("binding", "chain id, consumer, payee, requests and fees: compare them with those meant")];
    if !named {
        not_checked
            .push(("circuit", "the circuit: pass --circuit with the id of `lorica settlement-key`, a key can lie"));
    }
    out.line(format!("ACCEPTED {} ({} bytes) in {}", settlement.display(), bytes.len(), time(spent)));
    out.line(format!("  circuit  {circuit}"));
    out.line(format!("  base     {}", word(&settled.base)));
    out.line(format!("  context  {}", word(&settled.binding.context())));
    out.line(format!("  shape    {}", shape_text(&of.shape)));
    answer_lines(&settled, out);
    not_checked.iter().for_each(|(_, what)| out.line(format!("  not checked: {what}")));
    let not_checked: Vec<&str> = not_checked.iter().map(|(name, _)| *name).collect();
    out.finish(
        "lorica.verify-settlement/1",
        json!({
            "accepted": true, "circuit": circuit, "base": word(&settled.base), "shape": shape_json(&of.shape),
            "architecture": word(&of.architecture_digest), "srs": word(&of.srs),
            "insecure_srs": base.verifier_key().is_insecure(), "binding": binding::to_json(&settled.binding),
            "context": word(&settled.binding.context()), "requests": answers_json(&settled),
            "not_checked": not_checked, "bytes": bytes.len(), "check_ms": milliseconds(spent),
        }),
    );
    Ok(())
}
