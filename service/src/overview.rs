//! What an operator sees: a page in the program and the JSON that it draws. Numbers of all tenants and the numbers of each decision,
//! and nothing of a text.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lorica::amount;
use lorica::chain::alloy_primitives::{Address, U256};
use lorica::chain::contracts::token::NATIVE;
use prost::Message;
use serde_json::{Value, json};

use crate::broker::settings::Settings;
use crate::error::{Reason, Refusal};
use crate::face::{Answered, Face, call, ok};
use crate::keys::Scope;
use crate::proto;
use crate::store::market::{Entry, EntryKind, MarketRequest};
use crate::store::overview::{IntentRow, Money, Overview};
use crate::store::{Millis, Word, now};

const PAGE: &str = include_str!("overview.html");
/// How far back lately goes.
const LATELY: Millis = 3_600_000;

/// The page. It asks for a key with the scope `operate` if the service wants one, and loads nothing from elsewhere.
pub async fn page() -> Response {
    let mut response = PAGE.into_response();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let own = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in own {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Queue, requests, workers, money, chain, tenants.
pub async fn overview(State(face): State<Face>, headers: HeaderMap) -> Answered {
    let shared = &face.inference.shared;
    shared.tenant(&metadata(&headers), Scope::Operate).await?;
    let settings = face.desk.as_ref().map(|desk| desk.settings.clone());
    let account = settings.as_ref().map(|own| (own.market.contracts.chain_id, own.payee.into_array()));
    let read = shared.store.call(move |store| {
        let overview = store.overview(now().saturating_sub(LATELY))?;
        let money = match &account {
            Some((chain, account)) => Some((store.money(*chain, account)?, store.ledger(*chain, account)?)),
            None => None,
        };
        Ok((overview, money, store.breaker()?))
    });
    let (overview, money, breaker) = read.await.map_err(Refusal::from)?;
    let mut all = queue(&overview, shared.running.available_permits(), *shared.ending.borrow());
    let requests: Vec<Value> =
        overview.requests.iter().map(|(tenant, own)| request(tenant, own, settings.as_deref())).collect();
    all["requests"] = json!(requests);
    all["breaker"] = json!(breaker.map(|(reason, since)| json!({ "reason": reason, "since": since })));
    if let (Some(settings), Some((money, ledger))) = (&settings, money) {
        all["market"] = market(settings, &overview, &money, &ledger);
    }
    ok(&all)
}

/// All that is known of a request.
pub async fn history(State(face): State<Face>, Path(digest): Path<String>, headers: HeaderMap) -> Answered {
    let shared = &face.inference.shared;
    shared.tenant(&metadata(&headers), Scope::Operate).await?;
    let mut id: Word = [0; 32];
    let digits = digest.strip_prefix("0x").unwrap_or(&digest);
    hex::decode_to_slice(digits, &mut id)
        .map_err(|_| Refusal::field("request", "64 hexadecimal digits, the request's id on the chain, are expected"))?;
    let known = shared.store.call(move |store| store.history(&id)).await.map_err(Refusal::from)?;
    let own = known.ok_or_else(|| Refusal::new(Reason::RequestUnknown, "there is no request of this id here"))?;
    let settings = face.desk.as_ref().map(|desk| desk.settings.as_ref());
    let mut all = request(&own.tenant, &own.request, settings);
    let events: Vec<Value> = own.events.iter().map(|event| {
        json!({ "at": event.at, "from": event.from.map(|state| state.name()), "to": event.to.name(), "reason": event.reason })
    }).collect();
    all["events"] = json!(events);
    all["transactions"] = json!(own.intents.iter().map(intent).collect::<Vec<_>>());
    ok(&all)
}

fn metadata(headers: &HeaderMap) -> tonic::metadata::MetadataMap {
    call(headers, ()).into_parts().0
}

/// One of a sorted list.
fn quantile(sorted: &[Millis], percent: usize) -> Option<Millis> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent).div_ceil(100)).copied()
}

fn queue(own: &Overview, free: usize, ending: bool) -> Value {
    let jobs: serde_json::Map<String, Value> =
        own.jobs.iter().map(|(state, count)| (state.name().into(), json!(count))).collect();
    let leases: Vec<Value> = own
        .leases
        .iter()
        .map(|lease| {
            json!({ "batch": lease.batch.to_string(), "owner": lease.owner, "tenant": lease.tenant, "jobs": lease.jobs,
            "since": lease.since, "until": lease.until })
        })
        .collect();
    let tenants: Vec<Value> = own
        .tenants
        .iter()
        .map(|tenant| {
            json!({ "id": tenant.id, "queued": tenant.queued, "proving": tenant.proving, "proven": tenant.proven,
            "failed": tenant.failed, "served": tenant.served })
        })
        .collect();
    let troubles: Vec<Value> = own.troubles.iter().map(|job| {
        json!({ "proof": format!("proofs/{}", job.id), "tenant": job.tenant, "state": job.state.name(), "cause": job.cause,
            "attempts": job.attempts, "created": job.created, "updated": job.updated })
    }).collect();
    json!({
        "now": now(), "lately_ms": LATELY, "ending": ending, "executions_free": free,
        "jobs": jobs, "oldest_queued": own.oldest_queued,
        "proven": { "count": own.proven.len(), "p50_ms": quantile(&own.proven, 50), "p95_ms": quantile(&own.proven, 95),
            "p99_ms": quantile(&own.proven, 99) },
        "batches": { "count": own.batches.count, "requests": own.batches.requests, "ms": own.batches.milliseconds },
        "leases": leases, "tenants": tenants, "troubles": troubles,
    })
}

/// An amount as people read it, and in smallest units.
fn money_of(units: U256, token: Address, settings: Option<&Settings>) -> Value {
    let open = settings.map(|own| own.market.open);
    let whole = (token == NATIVE || Some(token) == open).then(|| amount::show(units));
    json!({ "units": units.to_string(), "whole": whole })
}

fn token_name(token: Address, settings: Option<&Settings>) -> String {
    match settings.map(|own| own.market.open) {
        Some(open) if open == token => "OPEN".into(),
        _ if token == NATIVE => "gas token".into(),
        _ => token.to_string(),
    }
}

fn request(tenant: &str, own: &MarketRequest, settings: Option<&Settings>) -> Value {
    let terms = proto::Terms::decode(own.terms.as_slice()).unwrap_or_default();
    let token = <[u8; 20]>::try_from(terms.token.as_slice()).map_or(NATIVE, Address::from);
    let decision = own.decision.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let hash = |tx: &Option<Word>| tx.map(|tx| format!("0x{}", hex::encode(tx)));
    let fee = U256::try_from_be_slice(&terms.max_fee).unwrap_or_default();
    json!({
        "id": format!("0x{}", hex::encode(own.digest)), "chain": own.chain, "tenant": tenant, "state": own.state.name(),
        "reason": own.reason, "decision": decision, "token": token_name(token, settings),
        "max_fee": money_of(fee, token, settings), "deadline": own.deadline, "accept_transaction": hash(&own.accept_tx),
        "settle_transaction": hash(&own.settle_tx), "created": own.created, "updated": own.updated,
    })
}

fn intent(own: &IntentRow) -> Value {
    json!({ "kind": own.kind.name(), "state": own.state.name(), "nonce": own.nonce, "versions": own.versions,
        "reason": own.reason, "transaction": own.tx.map(|tx| format!("0x{}", hex::encode(tx))), "block": own.block,
        "gas": own.gas, "since": own.created })
}

fn market(settings: &Settings, overview: &Overview, money: &Money, ledger: &[Entry]) -> Value {
    let tokens: Vec<Value> = settings
        .tokens
        .iter()
        .map(|taken| {
            let sum = |kind| {
                let of = |entry: &&Entry| entry.kind == kind && Address::from(entry.token) == taken.token;
                let amounts = ledger.iter().filter(of).map(|entry| U256::from_be_bytes(entry.amount));
                amounts.fold(U256::ZERO, U256::saturating_add)
            };
            let (earned, withdrawn) = (sum(EntryKind::Earned), sum(EntryKind::Withdrawn));
            // What was accepted and is not paid: fees that the chain holds for this prover, unless a deadline passes.
            let accepted = overview.requests.iter().filter(|(_, own)| own.state.is_owed()).filter_map(|(_, own)| {
                let terms = proto::Terms::decode(own.terms.as_slice()).ok()?;
                (terms.token == taken.token.as_slice()).then(|| U256::try_from_be_slice(&terms.max_fee))?
            });
            let accepted = accepted.fold(U256::ZERO, U256::saturating_add);
            let show = |units| money_of(units, taken.token, Some(settings));
            json!({ "token": token_name(taken.token, Some(settings)), "least_fee": show(taken.least_fee),
            "withdraw_at": show(taken.withdraw_at), "earned": show(earned), "withdrawn": show(withdrawn),
            "owed": show(earned.saturating_sub(withdrawn)), "accepted": show(accepted) })
        })
        .collect();
    let mined: Vec<Value> = money.mined.iter().map(|(kind, state, count, gas)| {
        json!({ "kind": kind.name(), "state": state.name(), "count": count, "gas": gas })
    }).collect();
    json!({
        "chain": settings.market.contracts.chain_id, "prover": settings.payee, "withdraw_to": settings.withdraw_to,
        "confirmations": settings.confirmations, "tokens": tokens, "mined": mined,
        "in_flight": money.flight.iter().map(intent).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::{PAGE, quantile};

    #[test]
    fn quantiles_are_of_the_list() {
        assert_eq!(quantile(&[], 50), None);
        assert_eq!(quantile(&[7], 99), Some(7));
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(
            (quantile(&hundred, 50), quantile(&hundred, 95), quantile(&hundred, 99)),
            (Some(51), Some(96), Some(100))
        );
    }

    #[test]
    fn the_page_loads_nothing_and_writes_no_markup_of_others() {
        assert!(PAGE.len() < 60_000);
        for other in [
            "http://",
            "https://",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!PAGE.contains(other), "{other}");
        }
    }
}
