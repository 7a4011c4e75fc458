//! `lorica remote node`, `submit`, `request` and `follow`: requests that the service's broker serves.

use std::time::Duration;

use lorica::amount;
use lorica::files::store;
use lorica::signed_request::SignedRequest;
use lorica_chain::alloy_primitives::{Address, U256};
use lorica_service::client::Client;
use lorica_service::{proto, terms};
use serde_json::{Value, json};

use super::{CALL, RequestArgs, SubmitArgs, json_of, text_of};
use crate::error::Error;
use crate::node::market;
use crate::output::{Output, joined};

/// Largest request file.
const MAX_BYTES: u64 = 1 << 20;
/// How long a request is followed.
const FOLLOW: Duration = Duration::from_secs(86_400 * 31);

/// Runs `remote node`.
pub(super) fn node(client: &mut Client, out: &Output) -> Result<(), Error> {
    let own = client.get_node(proto::GetNodeRequest {}, CALL)?;
    let address = |bytes: &[u8]| Address::try_from(bytes).map_or_else(|_| "?".into(), |own| own.to_string());
    let account = address(&own.account);
    out.line(format!("prover {account}, escrow {} on chain {}", address(&own.escrow), own.chain_id));
    out.line(format!("a request needs {} seconds until its deadline", own.least_seconds));
    let mut tokens = Vec::new();
    for taken in &own.tokens {
        let least = U256::try_from_be_slice(&taken.least_fee).unwrap_or_default();
        let token = address(&taken.token);
        out.line(format!("token {token}: at least {}", amount::show(least)));
        tokens.push(json!({ "token": token, "least_fee": least.to_string() }));
    }
    if !own.closed.is_empty() {
        out.warn(format!("nothing is accepted at present: {}", own.closed));
    }
    out.finish(
        "lorica.remote.node/1",
        json!({ "account": account, "chain_id": own.chain_id, "escrow": address(&own.escrow), "tokens": tokens,
            "least_seconds": own.least_seconds, "closed": own.closed }),
    );
    Ok(())
}

/// Runs `remote submit`.
pub(super) fn submit(client: &mut Client, args: &SubmitArgs, out: &Output) -> Result<(), Error> {
    let contracts = market(&args.contracts)?;
    let bytes = store::read(&args.request, MAX_BYTES)?;
    let signed = SignedRequest::decode(&bytes, &contracts).map_err(|error| Error::refused(&args.request, error))?;
    let input =
        proto::Input { input: Some(proto::input::Input::Text(signed.text.clone())), salt: signed.salt.to_vec() };
    let message = proto::SubmitRequestRequest {
        terms: Some(terms::message(&signed, &contracts)),
        signature: signed.signature.to_vec(),
        input: Some(input),
    };
    let own = client.submit_request(message, CALL)?.request.unwrap_or_default();
    out.line(format!("{}: {}", own.name, text_of(&own.answer.clone().unwrap_or_default())));
    if args.wait {
        return follow(client, &own.name, "lorica.remote.submit/1", out);
    }
    out.line(state(&own));
    out.finish("lorica.remote.submit/1", request_json(&own));
    Ok(())
}

/// Runs `remote request`.
pub(super) fn show(client: &mut Client, args: &RequestArgs, out: &Output) -> Result<(), Error> {
    let message = proto::GetRequestRequest { name: args.name.clone() };
    let own = client.get_request(message, CALL)?.request.unwrap_or_default();
    out.line(format!("{} {}", own.name, state(&own)));
    if !own.decision.is_empty() {
        out.line(format!("decided by {}", own.decision));
    }
    out.finish("lorica.remote.request/1", request_json(&own));
    Ok(())
}

/// Tells each change of a request until it ends. One that is not paid is an error.
pub(super) fn follow(client: &mut Client, name: &str, schema: &str, out: &Output) -> Result<(), Error> {
    let message = proto::WatchRequestRequest { name: name.into(), after_sequence: 0 };
    let mut last = None;
    client.watch_request(message, FOLLOW, |own| {
        out.line(format!("{} {}", own.sequence, state(&own)));
        last = Some(own);
    })?;
    let last = last.unwrap_or_default();
    if last.state() != proto::MarketState::Paid {
        return Err(Error::NotProven(format!("the request {name} is {}", state(&last))));
    }
    out.finish(schema, request_json(&last));
    Ok(())
}

fn state(own: &proto::MarketRequest) -> String {
    format!("{} ({})", own.state().as_str_name().trim_start_matches("MARKET_STATE_"), own.reason)
}

fn request_json(own: &proto::MarketRequest) -> Value {
    let hash = |bytes: &[u8]| (!bytes.is_empty()).then(|| format!("0x{}", hex::encode(bytes)));
    let decision: Value = serde_json::from_str(&own.decision).unwrap_or_default();
    let json = json!({
        "name": own.name, "state": own.state().as_str_name(), "reason": own.reason, "sequence": own.sequence,
        "deadline": own.deadline, "decision": decision, "accept_transaction": hash(&own.accept_transaction),
        "settle_transaction": hash(&own.settle_transaction),
    });
    joined(json, json_of(&own.answer.clone().unwrap_or_default()))
}
