//! What becomes of each request: decided, accepted, bound, proven, settled; or why not. The escrow says where it stands; the
//! chain's clock says how late it is.

use lorica::chain::alloy_primitives::{B256, Bytes, U256};
use lorica::chain::chain::Chain;
use lorica::chain::contracts::escrow::callback_gas;
use lorica::chain::contracts::request::{RequestState, Status};
use lorica::chain::error::ChainError;
use lorica::chain::rpc::sending::{depth, receipt, usual_fees};
use lorica::offer::circuits::pinned_routes;
use lorica::offer::decide::decide;
use lorica::offer::{OfferError, Policy, bind};
use lorica::settlement::settlement::Settlement;
use lorica::signed_request::SignedRequest;
use lorica::verifier::protocol::keccak::encode_scalar;
use prost::Message;
use uuid::Uuid;

use super::admission::{circuit_of, reason};
use super::{Broker, BrokerError, Did};
use crate::proto;
use crate::store::market::{
    Advance, Breaker, Effects, Intent, IntentKind, IntentState, MARKET, MarketRequest, MarketState,
};
use crate::store::{Job, Millis, NewJob, State, Word, millis, now};
use crate::terms;
use crate::worker::target::Target;

/// Transactions of one kind for one request before it is given up.
const MOST_TRIES: usize = 3;
/// What a refusal publishes: no capacity.
const NO_CAPACITY: u8 = 3;

/// A request with what the chain says of it.
struct Seen<'r> {
    row: &'r MarketRequest,
    signed: SignedRequest,
    state: RequestState,
    /// The chain's time.
    now: u64,
}

impl Seen<'_> {
    fn is_late(&self) -> bool {
        self.now > self.row.deadline
    }
}

impl Broker {
    /// Looks at a request.
    pub(super) fn serve(&mut self, row: &MarketRequest) -> Result<Option<Did>, BrokerError> {
        let signed = self.signed(row)?;
        let state = self.settings.market.escrow().request_state(&mut self.chain, &signed.terms)?;
        let seen = Seen { row, signed, state, now: self.chain.timestamp()? };
        match row.state {
            MarketState::Waiting => self.waiting(&seen),
            MarketState::Accepting => self.accepting(&seen),
            MarketState::Accepted => self.accepted(&seen),
            MarketState::Proving => self.proving(&seen),
            MarketState::Settling => self.settling(&seen),
            MarketState::Refusing => self.refusing(&seen),
            MarketState::Declined
            | MarketState::Paid
            | MarketState::Lost
            | MarketState::Refused
            | MarketState::Cancelled
            | MarketState::Expired => Ok(None),
        }
    }

    /// The request of a row, without its text, which is not kept.
    fn signed(&self, row: &MarketRequest) -> Result<SignedRequest, BrokerError> {
        let failed = |what: String| BrokerError::Row { request: row.digest, what };
        let message = proto::Terms::decode(row.terms.as_slice()).map_err(|error| failed(error.to_string()))?;
        let signed = terms::request(&message, &[], (String::new(), [0; 31]), &self.settings.market)
            .map_err(|error| failed(error.to_string()))?;
        if signed.id.0 == row.digest { Ok(signed) } else { Err(failed("its terms are another's".into())) }
    }

    fn step_to(
        &mut self,
        row: &MarketRequest,
        to: MarketState,
        reason: impl Into<String>,
        effects: Effects,
    ) -> Result<Option<Did>, BrokerError> {
        let reason = reason.into();
        tracing::info!(
            request = %B256::from(row.digest), from = row.state.name(), to = to.name(), reason,
            decision = effects.decision, "a request"
        );
        let advance = Advance { request: row.id, from: row.state, to, reason, effects };
        let epoch = self.epoch;
        let moved = self.ask(move |store| store.advance(now(), epoch, &advance))?;
        Ok(moved.then_some(Did::Moved(to)))
    }

    /// Whether a transaction about a request is on its way, and those of the kind that have ended.
    fn intents(&self, row: &MarketRequest, kind: IntentKind) -> Result<(bool, Vec<Intent>), BrokerError> {
        let id = row.id;
        let all = self.ask(move |store| store.intents_of(id))?;
        let in_flight = |intent: &&Intent| matches!(intent.state, IntentState::Open | IntentState::Sent);
        let own: Vec<Intent> = all.iter().filter(|intent| intent.what.kind == kind).cloned().collect();
        Ok((all.iter().any(|intent| in_flight(&intent)), own))
    }

    /// Requests that work is owed for.
    fn owed(&self) -> Result<u64, BrokerError> {
        let open = self.ask(|store| store.open_requests())?;
        Ok(open.iter().filter(|request| request.state.is_owed()).count() as u64)
    }

    /// Where a request goes that the escrow holds no money for any more; none if it does.
    fn ended(&mut self, seen: &Seen<'_>) -> Result<Option<Option<Did>>, BrokerError> {
        let row = seen.row;
        let (to, reason) = match seen.state.status {
            Status::Locked | Status::Accepted => return Ok(None),
            Status::Settled if seen.state.prover == self.key.account() => return self.paid(seen).map(Some),
            Status::Settled => (MarketState::Lost, "SETTLED_BY_OTHER"),
            Status::Refunded => (MarketState::Expired, "REFUNDED"),
            Status::Cancelled => (MarketState::Cancelled, "CANCELLED_ON_CHAIN"),
            Status::Refused => (MarketState::Refused, "REFUSED_ON_CHAIN"),
            // Its lock's block is no longer the chain's.
            Status::None if row.state == MarketState::Waiting => return Ok(None),
            Status::None => (MarketState::Waiting, "ORPHANED"),
        };
        self.cancel_job(row)?;
        self.step_to(row, to, reason, Effects::default()).map(Some)
    }

    /// A settlement for this account that is in a block, by whomever it was sent.
    fn paid(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (row, escrow) = (seen.row, self.settings.market.escrow());
        let from = row.from_block.unwrap_or(0);
        let Some(tx) = escrow.payment_of(&mut self.chain, row.digest.into(), from)? else { return Ok(None) };
        let Some((receipt, _)) = receipt(self.chain.node(), tx)? else { return Ok(None) };
        if depth(self.chain.node(), &receipt)? < self.settings.confirmations {
            return Ok(None);
        }
        let entries = self.entries(&receipt, tx.0);
        self.cancel_job(row)?;
        let effects = Effects { settle_tx: Some(tx.0), entries, breaker: Some(Breaker::Closed), ..Effects::default() };
        self.step_to(row, MarketState::Paid, "PAID", effects)
    }

    fn cancel_job(&self, row: &MarketRequest) -> Result<(), BrokerError> {
        if let Some(job) = row.job {
            self.ask(move |store| store.cancel(now(), MARKET, job))?;
        }
        Ok(())
    }

    /// The text is here. Is it locked, and worth it?
    fn waiting(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        let (row, terms) = (seen.row, &seen.signed.terms);
        let load = self.settings.load_of(self.owed()?);
        if seen.state.status == Status::None {
            let never = seen.now.saturating_add(self.settings.load_of(0).needed()) > row.deadline;
            let reason = "NOT_LOCKED_IN_TIME";
            return if never { self.step_to(row, MarketState::Expired, reason, Effects::default()) } else { Ok(None) };
        }
        let circuit = match self.circuit(row, &seen.signed)? {
            Ok(circuit) => circuit,
            Err(reason) => return self.step_to(row, MarketState::Declined, reason, Effects::default()),
        };
        let escrow = self.settings.market.escrow();
        let routes = pinned_routes(&mut self.chain, escrow, &self.settings.pins, circuit.0)?;
        let price = usual_fees(self.chain.node())?.max_per_gas;
        let policy = self.settings.policy(routes);
        let gas = self.settings.gas(terms.token, price);
        let decision = decide(&policy, terms, Some(&seen.state), seen.now, load, gas);
        let numbers = Some(decision.json().to_string());
        let effects = Effects { decision: numbers, from_block: Some(self.chain.block_number()?), ..Effects::default() };
        if let Some(against) = &decision.refused {
            return self.step_to(row, MarketState::Declined, reason(against).name(), effects);
        }
        if seen.state.status == Status::Accepted {
            return self.step_to(row, MarketState::Accepted, "ACCEPTED_BEFORE", effects);
        }
        // After a failure nothing is accepted for a while, and then one request on trial.
        if let Some((_, since)) = self.ask(|store| store.breaker())? {
            let over = now().saturating_sub(since) >= millis(self.settings.breaker);
            if !over || load.accepted > 0 {
                return Ok(None);
            }
        }
        let data = escrow.accept_data(terms).map_err(ChainError::from)?;
        let intent = self.intent(IntentKind::Accept, row.digest, Some(row.id), data, 0);
        self.step_to(row, MarketState::Accepting, "DECIDED", Effects { intent: Some(intent), ..effects })
    }

    /// Its acceptance is being sent; it was not taken if nothing is on its way any more.
    fn accepting(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (in_flight, tries) = self.intents(seen.row, IntentKind::Accept)?;
        if in_flight {
            return Ok(None);
        }
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        if seen.state.status == Status::Accepted && seen.state.prover == self.key.account() {
            return self.step_to(seen.row, MarketState::Accepted, "ACCEPTED_BEFORE", Effects::default());
        }
        if tries.len() >= MOST_TRIES {
            let breaker = Some(Breaker::Open("ACCEPT_FAILED".into()));
            let effects = Effects { breaker, ..Effects::default() };
            return self.step_to(seen.row, MarketState::Declined, "ACCEPT_FAILED", effects);
        }
        self.step_to(seen.row, MarketState::Waiting, "NOT_ACCEPTED", Effects::default())
    }

    /// The circuit that settles it, by what its stored input is; or why there is none.
    fn circuit(
        &self,
        row: &MarketRequest,
        signed: &SignedRequest,
    ) -> Result<Result<(B256, usize, usize), &'static str>, BrokerError> {
        let id = row.id;
        let Some((token_ids, _)) = self.ask(move |store| store.request_input(id))? else {
            return Ok(Err("INPUT_GONE"));
        };
        let circuit = circuit_of(&self.settings, &self.models, signed, token_ids.len());
        Ok(circuit.map(|own| (own.id, own.requests, own.tokens)).map_err(|refusal| refusal.reason.name()))
    }

    /// Binds it as it is accepted now, and queues its job.
    fn accepted(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        let row = seen.row;
        let (circuit, requests, tokens) = match self.circuit(row, &seen.signed)? {
            Ok(circuit) => circuit,
            Err(reason) => return self.refuse(seen, reason),
        };
        let escrow = self.settings.market.escrow();
        let routes = pinned_routes(&mut self.chain, escrow, &self.settings.pins, circuit)?;
        // What it pays was decided on; here it counts only whether it can still be done.
        let margin = self.settings.margin_seconds;
        let policy = Policy { payee: self.key.account(), accepted: true, routes, margin, ..Policy::default() };
        let signed = std::slice::from_ref(&seen.signed);
        let binding = match bind(&policy, &self.settings.market, &mut self.chain, signed) {
            Ok(binding) => binding,
            Err(OfferError::Refused { reason: against, .. }) => return self.refuse(seen, reason(&against).name()),
            Err(error) => return Err(error.into()),
        };
        let id = row.id;
        let Some((token_ids, salt)) = self.ask(move |store| store.request_input(id))? else {
            return self.refuse(seen, "INPUT_GONE");
        };
        let target = Target { binding, circuit: circuit.0, requests, tokens };
        let left = row.deadline.saturating_sub(seen.now).saturating_sub(margin);
        let deadline = now().saturating_add(Millis::try_from(left).unwrap_or(Millis::MAX).saturating_mul(1_000));
        let job = NewJob {
            id: Uuid::now_v7(),
            tenant: MARKET.into(),
            // Each binding is another job: its own name.
            request_id: Uuid::now_v7(),
            body: row.digest,
            base: row.base,
            adapter: row.adapter,
            datanet: None,
            kind: row.kind,
            context: encode_scalar(&target.binding.context()),
            deadline: Some(deadline),
            token_ids,
            salt,
            answer: row.answer.clone(),
            binding: Some(target.encode()),
        };
        self.step_to(row, MarketState::Proving, "BOUND", Effects { job: Some(job), ..Effects::default() })
    }

    fn job(&self, row: &MarketRequest) -> Result<Option<Job>, BrokerError> {
        match row.job {
            Some(job) => Ok(self.ask(move |store| store.job(MARKET, job))?),
            None => Ok(None),
        }
    }

    /// Its job is in the queue, being worked on, or done.
    fn proving(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        let Some(job) = self.job(seen.row)? else { return self.refuse(seen, "JOB_GONE") };
        match (job.state, job.proof) {
            (State::Proven, Some(sha256)) => {
                if seen.is_late() {
                    return self.expire(seen);
                }
                let Some(data) = self.settlement_data(seen, sha256)? else {
                    return self.refuse(seen, "SETTLEMENT_UNUSABLE");
                };
                self.settle(seen, data, MarketState::Settling)
            }
            (State::Queued | State::Proving, _) => Ok(None),
            (State::Failed, _) => {
                let reason = job.failure.unwrap_or_else(|| "PROVING_FAILED".into());
                self.refuse(seen, &reason)
            }
            (State::Expired, _) => self.refuse(seen, "DEADLINE_INFEASIBLE"),
            (State::Cancelled | State::Proven, _) => self.refuse(seen, "JOB_GONE"),
        }
    }

    /// Calldata that hands a settlement in; none if no route takes it.
    fn settlement_data(&mut self, seen: &Seen<'_>, sha256: Word) -> Result<Option<Bytes>, BrokerError> {
        let bytes = self.ask(move |store| store.blob(&sha256))?;
        let Ok(settlement) = Settlement::decode(&bytes) else { return Ok(None) };
        let (escrow, requests) = (self.settings.market.escrow(), std::slice::from_ref(&seen.signed.terms));
        let route = match escrow.route_for(&mut self.chain, &settlement, requests) {
            Ok(route) => route,
            Err(ChainError::Policy(error)) => {
                tracing::error!(%error, request = %seen.signed.id, "a settlement cannot be handed in");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(escrow.settle_data(route, &settlement, requests, 1)?))
    }

    fn settle(&mut self, seen: &Seen<'_>, data: Bytes, to: MarketState) -> Result<Option<Did>, BrokerError> {
        let (row, more_gas) = (seen.row, callback_gas(&seen.signed.terms));
        let intent = self.intent(IntentKind::Settle, row.digest, Some(row.id), data, more_gas);
        if row.state == to {
            let epoch = self.epoch;
            let intended = self.ask(move |store| store.intend(now(), epoch, &intent))?;
            return Ok(intended.then_some(Did::Intended(IntentKind::Settle)));
        }
        self.step_to(row, to, "PROVEN", Effects { intent: Some(intent), ..Effects::default() })
    }

    /// Its settlement is being sent.
    fn settling(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (in_flight, tries) = self.intents(seen.row, IntentKind::Settle)?;
        if in_flight {
            // What is not signed when the deadline has passed will not be.
            let open = tries.iter().find(|intent| intent.state == IntentState::Open);
            return match open {
                Some(open) if seen.is_late() => {
                    let end = crate::store::market::IntentEnd {
                        state: IntentState::Dead,
                        reason: "DEADLINE_PASSED".into(),
                        mined: None,
                        entries: Vec::new(),
                    };
                    self.end(&open.clone(), end, None)
                }
                _ => Ok(None),
            };
        }
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        if seen.is_late() {
            return self.expire(seen);
        }
        if tries.len() >= MOST_TRIES {
            return self.refuse(seen, "SETTLE_FAILED");
        }
        // The same settlement, by a route that is live now.
        let fresh = match self.job(seen.row)?.and_then(|job| job.proof) {
            Some(sha256) => self.settlement_data(seen, sha256)?,
            None => None,
        };
        match fresh.or_else(|| tries.last().map(|last| Bytes::copy_from_slice(&last.what.data))) {
            Some(data) => self.settle(seen, data, MarketState::Settling),
            None => self.refuse(seen, "SETTLEMENT_UNUSABLE"),
        }
    }

    fn expire(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        self.cancel_job(seen.row)?;
        let breaker = Some(Breaker::Open("DEADLINE_MISSED".into()));
        self.step_to(seen.row, MarketState::Expired, "DEADLINE_PASSED", Effects { breaker, ..Effects::default() })
    }

    /// Gives back what was accepted and cannot be delivered, so that its payer is not held to the deadline; and stops accepting.
    fn refuse(&mut self, seen: &Seen<'_>, why: &str) -> Result<Option<Did>, BrokerError> {
        if seen.is_late() {
            return self.expire(seen);
        }
        self.cancel_job(seen.row)?;
        let data = self.settings.market.escrow().refuse_data(&seen.signed.terms, NO_CAPACITY);
        let intent = self.intent(IntentKind::Refuse, seen.row.digest, Some(seen.row.id), data, 0);
        let breaker = Some(Breaker::Open(why.to_owned()));
        let effects = Effects { intent: Some(intent), breaker, ..Effects::default() };
        self.step_to(seen.row, MarketState::Refusing, why, effects)
    }

    /// Its refusal is being sent.
    fn refusing(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (in_flight, tries) = self.intents(seen.row, IntentKind::Refuse)?;
        if in_flight {
            return Ok(None);
        }
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        if seen.is_late() || tries.len() >= MOST_TRIES {
            return if seen.is_late() { self.expire(seen) } else { Ok(None) };
        }
        let data = self.settings.market.escrow().refuse_data(&seen.signed.terms, NO_CAPACITY);
        let intent = self.intent(IntentKind::Refuse, seen.row.digest, Some(seen.row.id), data, 0);
        let epoch = self.epoch;
        let intended = self.ask(move |store| store.intend(now(), epoch, &intent))?;
        Ok(intended.then_some(Did::Intended(IntentKind::Refuse)))
    }
}

/// Amounts of what was earned and withdrawn in a token.
#[must_use]
pub(super) fn sum(
    entries: &[crate::store::market::Entry],
    kind: crate::store::market::EntryKind,
    token: [u8; 20],
) -> U256 {
    let own = entries.iter().filter(|entry| entry.kind == kind && entry.token == token);
    own.fold(U256::ZERO, |sum, entry| sum.saturating_add(U256::from_be_bytes(entry.amount)))
}
