//! `lorica verify --settlement`: the contract's check, off chain.

use std::iter;
use std::path::Path;
use std::time::Instant;

use lorica::answer::printable;
use lorica::binding;
use lorica::check::check_settlement;
use lorica::datanet::source::Contributor;
use lorica::files::{BaseKey, MAX_KEY_BYTES, MAX_SETTLEMENT_BYTES, read_adapter_key, read_index_key, store};
use lorica::srs::SrsPolicy;
use lorica_chain::alloy_primitives::B256;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::SHARE_WORDS;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;
use lorica_verifier::IndexKey;
use lorica_verifier::protocol::proof::shares_of;
use serde_json::{Value, json};

use super::shares::{Listed, with_shares};
use super::verify_args::VerifyArgs;
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

/// The index by which a settlement attributes.
pub(crate) fn index_json(settlement: &Settlement) -> Value {
    (settlement.index != Fr::zero()).then(|| word(&settlement.index)).into()
}

/// What a settlement says of its requests: for people, and as JSON. Shares have names if their datanet is among these.
pub(crate) fn answers(
    settlement: &Settlement,
    datanets: &[(IndexKey, Vec<Contributor>)],
    out: Option<&Output>,
) -> Vec<Value> {
    let datanet = datanets.iter().find(|(key, _)| key.id() == settlement.index);
    let contributors = datanet.map_or(&[][..], |(_, contributors)| contributors);
    let words = settlement.shares.chunks(SHARE_WORDS).map(Some).chain(iter::repeat(None));
    let mut requests = Vec::new();
    for (index, (answer, words)) in settlement.answers.iter().zip(words).enumerate() {
        let (own, label) = (&answer.words, answer.label());
        let (adapter, input, output) = (short(&answer.adapter), short(&own.input_digest), short(&own.output_digest));
        let line = format!("  request {index}: adapter {adapter}, label {label}, input {input}, output {output}");
        if let Some(out) = out {
            out.line(line);
        }
        let object = json!({
            "adapter": word(&answer.adapter), "label": label,
            "input_digest": word(&own.input_digest), "output_digest": word(&own.output_digest),
        });
        // A request with another adapter than the index' has shares of zero.
        let shares = words.and_then(shares_of).filter(|list| list.iter().any(|own| own.share > 0));
        let listed = shares.as_deref().map(|shares| Listed { index: settlement.index, shares, contributors });
        requests.push(with_shares(object, listed, out));
    }
    requests
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the settlement does not hold.
pub(crate) fn run(args: &VerifyArgs, settlement: &Path, key: &Path, base: &BaseKey, out: &Output) -> Result<(), Error> {
    let (key, circuit) = (read_key(key)?, args.circuit);
    let mut keys = Vec::new();
    for path in &args.adapter {
        keys.push(read_adapter_key(path, base)?);
    }
    let mut datanets = Vec::new();
    for path in &args.datanet {
        let (key, description) = read_index_key(path)?;
        datanets.push((key, description.contributors));
    }
    let indexes: Vec<IndexKey> = datanets.iter().map(|(key, _)| key.clone()).collect();
    let bytes = store::read(settlement, MAX_SETTLEMENT_BYTES)?;
    let start = Instant::now();
    // The command has warned of the development SRS.
    let policy = SrsPolicy::DevelopmentForTests;
    let settled = check_settlement(base, &keys, &indexes, &key, circuit.map(|circuit| circuit.0), &bytes, policy)
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
    let requests = answers(&settled, &datanets, Some(out));
    not_checked.iter().for_each(|(_, what)| out.line(format!("  not checked: {what}")));
    let not_checked: Vec<&str> = not_checked.iter().map(|(name, _)| *name).collect();
    out.finish(
        "lorica.verify-settlement/1",
        json!({
            "accepted": true, "circuit": circuit, "base": word(&settled.base), "shape": shape_json(&of.shape),
            "architecture": word(&of.architecture_digest), "srs": word(&of.srs),
            "insecure_srs": base.verifier_key().is_insecure(), "binding": binding::to_json(&settled.binding),
            "context": word(&settled.binding.context()), "index": index_json(&settled), "requests": requests,
            "not_checked": not_checked, "bytes": bytes.len(), "check_ms": milliseconds(spent),
        }),
    );
    Ok(())
}
