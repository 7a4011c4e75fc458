//! Which requests are proven and settled together, and when.
//!
//! One settlement of n requests costs about the gas of one and a thirtieth more for each further one, so whatever is accepted when the
//! prover is free goes together: requests of one base, kind and index, for which there is a circuit large enough and a route that all of them name.
//! They may be of different tenants: the inference proof, which shows texts, never leaves the proving process, and a settlement
//! shows of a request what the chain has anyway.
//!
//! Nobody's deadline pays for company: what must begin now begins, and what fails in company is tried alone.

use std::collections::BTreeMap;

use lorica::chain::alloy_primitives::{B256, Bytes, U256};
use lorica::chain::contracts::escrow::callback_gas;
use lorica::chain::contracts::request::Status;
use lorica::chain::error::ChainError;
use lorica::chain::rpc::sending::usual_fees;
use lorica::input::Salt;
use lorica::offer::circuits::{Circuit, pinned_routes};
use lorica::offer::{OfferError, Policy, bind};
use lorica::settlement::settlement::Settlement;
use lorica::signed_request::SignedRequest;
use lorica::verifier::protocol::keccak::encode_scalar;
use prost::Message;
use uuid::Uuid;

use super::admission::{Like, circuit_of, reason};
use super::requests::Seen;
use super::{BATCH_FAILED, Broker, BrokerError, Did};
use crate::proto;
use crate::store::market::{Advance, Effects, IntentKind, MARKET, MarketRequest, MarketState};
use crate::store::{Group, Millis, NewJob, Word, millis, now};
use crate::target::Target;
use crate::terms;

/// A request that is bound with others.
struct Member {
    row: MarketRequest,
    signed: SignedRequest,
    input: (Vec<u32>, Salt),
}

/// Requests that one settlement can pay.
struct Company {
    members: Vec<Member>,
    circuit: Circuit,
    /// Routes that are trusted for the circuit.
    routes: U256,
    /// Whether a further one would fit.
    has_room: bool,
}

impl Broker {
    /// Binds it, with others that are accepted, as they are accepted now, and queues their jobs; or waits for more of them.
    pub(super) fn accepted(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        if let Some(did) = self.off(seen)? {
            return Ok(did);
        }
        if let Err(reason) = self.circuit(seen.row, &seen.signed)? {
            return self.refuse(seen, reason);
        }
        let open = self.ask(|store| store.open_requests())?;
        let Some(mut company) = self.company(seen, &open)? else { return Ok(None) };
        if !self.begins(seen, &company, &open)? {
            return Ok(None);
        }
        // A binding has its requests in the order of their ids.
        company.members.sort_by_key(|member| member.signed.id);
        let margin = self.settings.margin_seconds;
        // What it pays was decided on; here it counts only whether it can still be done.
        let policy =
            Policy { payee: self.key.account(), accepted: true, routes: company.routes, margin, ..Policy::default() };
        let signed: Vec<SignedRequest> = company.members.iter().map(|member| member.signed.clone()).collect();
        let binding = match bind(&policy, &self.settings.market, &mut self.chain, &signed) {
            Ok(binding) => binding,
            Err(OfferError::Refused { id, reason: against }) => {
                // Without it the others go on in the next round.
                let refused = company.members.iter().find(|member| member.signed.id == id).map(|member| &member.row);
                let other = self.see(refused.unwrap_or(seen.row))?;
                return match self.off(&other)? {
                    Some(did) => Ok(did),
                    None => self.refuse(&other, reason(&against).name()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        let Circuit { id: circuit, requests, tokens } = company.circuit;
        let terms = company.members.iter().map(|member| member.row.terms.clone()).collect();
        let target = Target { binding, circuit: circuit.0, requests, tokens, terms };
        let context = encode_scalar(&target.binding.context());
        let group = Group { id: Uuid::now_v7(), jobs: u32::try_from(company.members.len()).unwrap_or(u32::MAX) };
        // The queue has them in the order of their ids, the binding in this one.
        let mut ids: Vec<Uuid> = company.members.iter().map(|_| Uuid::now_v7()).collect();
        ids.sort_unstable();
        let advances = company.members.into_iter().zip(ids).map(|(Member { row, input, .. }, id)| {
            let left = row.deadline.saturating_sub(seen.now).saturating_sub(margin);
            let deadline = now().saturating_add(Millis::try_from(left).unwrap_or(Millis::MAX).saturating_mul(1_000));
            let job = NewJob {
                id,
                tenant: MARKET.into(),
                // Each binding is another job: its own name.
                request_id: Uuid::now_v7(),
                body: row.digest,
                base: row.base,
                adapter: row.adapter,
                datanet: row.datanet,
                kind: row.kind,
                context,
                deadline: Some(deadline),
                token_ids: input.0,
                salt: input.1,
                answer: row.answer,
                binding: Some(target.encode()),
                group: Some(group),
            };
            let effects = Effects { job: Some(job), ..Effects::default() };
            Advance { request: row.id, from: row.state, to: MarketState::Proving, reason: "BOUND".into(), effects }
        });
        let advances = advances.collect();
        self.step_all(advances)
    }

    /// Where an accepted request goes that is not accepted any more.
    fn off(&mut self, seen: &Seen<'_>) -> Result<Option<Option<Did>>, BrokerError> {
        if let Some(did) = self.ended(seen)? {
            return Ok(Some(did));
        }
        if seen.state.status == Status::Locked {
            return self.wait_again(seen.row, "NOT_ACCEPTED").map(Some);
        }
        Ok(None)
    }

    /// The requests that can be settled with one; none without its input.
    fn company(&mut self, seen: &Seen<'_>, open: &[MarketRequest]) -> Result<Option<Company>, BrokerError> {
        let row = seen.row;
        let like = Like::of(&seen.signed, row.datanet.as_ref());
        let joins = |other: &&MarketRequest| {
            let same = other.chain == row.chain
                && other.base == row.base
                && other.kind == row.kind
                && other.datanet == row.datanet;
            other.state == MarketState::Accepted && other.id != row.id && same && other.reason != BATCH_FAILED
        };
        let most = if row.reason == BATCH_FAILED { 1 } else { self.settings.batch_requests };
        let mut company: Option<Company> = None;
        let mut trusted: BTreeMap<B256, U256> = BTreeMap::new();
        for candidate in std::iter::once(row).chain(open.iter().filter(joins)) {
            let members = company.as_ref().map_or(0, |company| company.members.len());
            if members >= most {
                break;
            }
            let id = candidate.id;
            let Some(input) = self.ask(move |store| store.request_input(id))? else { continue };
            let before = company.as_ref().map_or(&[][..], |company| &company.members);
            let tokens = before.iter().map(|member| member.input.0.len()).max().unwrap_or(0).max(input.0.len());
            let Ok(circuit) = circuit_of(&self.settings, &self.models, like, members + 1, tokens) else {
                continue;
            };
            let routes = match trusted.get(&circuit.id) {
                Some(known) => *known,
                None => {
                    let escrow = self.settings.market.escrow();
                    pinned_routes(&mut self.chain, escrow, &self.settings.pins, circuit.id)?
                }
            };
            trusted.insert(circuit.id, routes);
            let signed = self.signed(candidate)?;
            let named = before.iter().fold(signed.terms.routes, |named, member| named & member.signed.terms.routes);
            if members > 0 && (routes & named).is_zero() {
                continue;
            }
            let mut members = company.take().map_or_else(Vec::new, |company| company.members);
            members.push(Member { row: candidate.clone(), signed, input });
            let further = circuit_of(&self.settings, &self.models, like, members.len() + 1, tokens);
            let has_room = members.len() < most && further.is_ok();
            company = Some(Company { members, circuit, routes, has_room });
        }
        Ok(company)
    }

    /// Whether nothing more is waited for: there is no room, no time, nothing to be gained, or the prover is free and enough time has
    /// passed.
    fn begins(&mut self, seen: &Seen<'_>, company: &Company, open: &[MarketRequest]) -> Result<bool, BrokerError> {
        if !company.has_room {
            return Ok(true);
        }
        let proving = open.iter().filter(|own| own.state == MarketState::Proving).count() as u64;
        let oldest = company.members.iter().map(|member| member.row.updated).min().unwrap_or_default();
        let patient = now().saturating_sub(oldest) < millis(self.settings.batch_wait);
        // Where gas has no price, company saves nothing.
        if proving == 0 && !(patient && usual_fees(self.chain.node())?.max_per_gas > 0) {
            return Ok(true);
        }
        let mut due = seen.row.deadline.min(seen.state.until.unwrap_or(u64::MAX));
        for member in company.members.iter().filter(|member| member.row.id != seen.row.id) {
            let until = self.see(&member.row)?.state.until.unwrap_or(u64::MAX);
            due = due.min(member.row.deadline).min(until);
        }
        // All of them and what is being proven, one after the other, and a look more: no deadline pays for company.
        let before = proving.saturating_add(company.members.len() as u64).saturating_sub(1);
        let needed = self.settings.load_of(before).needed().saturating_add(self.settings.poll.as_secs() + 1);
        Ok(due.saturating_sub(seen.now) <= needed)
    }

    /// Hands a settlement in, for all its requests that can be paid by it: a further state for each, and one transaction. One that
    /// cannot is skipped by the escrow, and has an end of its own.
    pub(super) fn hand_in(
        &mut self,
        seen: &Seen<'_>,
        target: &Target,
        sha256: Word,
    ) -> Result<Option<Did>, BrokerError> {
        let terms = self.terms_of(seen, target)?;
        let Some(data) = self.settlement_data(seen, &terms, sha256)? else {
            return self.refuse(seen, "SETTLEMENT_UNUSABLE");
        };
        let (row, open) = (seen.row, self.ask(|store| store.open_requests())?);
        let job = row.job.unwrap_or_default();
        let jobs: Vec<Uuid> = self.ask(move |store| store.companions(job))?.into_iter().map(|own| own.0).collect();
        let mut payable = vec![row.clone()];
        for other in open.into_iter().filter(|other| other.id != row.id && other.state == row.state) {
            if !other.job.is_some_and(|job| jobs.contains(&job)) {
                continue;
            }
            let found = self.see(&other)?;
            let bound = target.binding.requests.iter().find(|bound| bound.id == other.digest);
            let is_bound = bound.is_some_and(|bound| U256::from_be_bytes(bound.fee) == found.state.fee);
            if found.state.status.is_open() && is_bound && !found.is_late() {
                payable.push(other);
            }
        }
        let more_gas = terms.iter().map(|signed| callback_gas(&signed.terms)).sum();
        let subject = encode_scalar(&target.binding.context());
        let requests = payable.iter().map(|own| own.id).collect();
        let intent = self.intent(IntentKind::Settle, subject, requests, data, more_gas);
        if row.state == MarketState::Settling {
            let epoch = self.epoch;
            let intended = self.ask(move |store| store.intend(now(), epoch, &intent))?;
            return Ok(intended.then_some(Did::Intended(IntentKind::Settle)));
        }
        let mut intent = Some(intent);
        let advances = payable.into_iter().map(|own| Advance {
            request: own.id,
            from: own.state,
            to: MarketState::Settling,
            reason: "PROVEN".into(),
            effects: Effects { intent: intent.take(), ..Effects::default() },
        });
        let advances = advances.collect();
        self.step_all(advances)
    }

    /// The requests of a settlement, in its order.
    fn terms_of(&self, seen: &Seen<'_>, target: &Target) -> Result<Vec<SignedRequest>, BrokerError> {
        // One that was bound by an earlier version is alone.
        if target.terms.is_empty() {
            return Ok(vec![seen.signed.clone()]);
        }
        let failed = |what: String| BrokerError::Row { request: seen.row.digest, what };
        let read = |encoded: &Vec<u8>| {
            let message = proto::Terms::decode(encoded.as_slice()).map_err(|error| failed(error.to_string()))?;
            terms::request(&message, &[], (String::new(), [0; 31]), &self.settings.market)
                .map_err(|error| failed(error.to_string()))
        };
        target.terms.iter().map(read).collect()
    }

    /// Calldata that hands a settlement in; none if no route takes it.
    fn settlement_data(
        &mut self,
        seen: &Seen<'_>,
        signed: &[SignedRequest],
        sha256: Word,
    ) -> Result<Option<Bytes>, BrokerError> {
        let bytes = self.ask(move |store| store.blob(&sha256))?;
        let Ok(settlement) = Settlement::decode(&bytes) else { return Ok(None) };
        let escrow = self.settings.market.escrow();
        let requests: Vec<_> = signed.iter().map(|own| own.terms.clone()).collect();
        let route = match escrow.route_for(&mut self.chain, &settlement, &requests) {
            Ok(route) => route,
            Err(ChainError::Policy(error)) => {
                tracing::error!(%error, request = %seen.signed.id, "a settlement cannot be handed in");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        // What can be paid is paid, whatever became of the others.
        Ok(Some(escrow.settle_data(route, &settlement, &requests, 1)?))
    }
}
