//! What becomes of each request: decided, accepted, bound, proven, settled; or why not. The escrow says where it stands; the
//! chain's clock says how late it is.

use lorica::chain::alloy_primitives::{B256, U256};
use lorica::chain::chain::Chain;
use lorica::chain::contracts::request::{RequestState, Status, price};
use lorica::chain::error::ChainError;
use lorica::chain::rpc::sending::{depth, receipt, usual_fees};
use lorica::offer::circuits::{Circuit, pinned_routes};
use lorica::offer::decide::decide;
use lorica::signed_request::SignedRequest;
use prost::Message;
use uuid::Uuid;

use super::admission::{Like, circuit_of, index_of, reason};
use super::sending::dead;
use super::{BATCH_FAILED, Broker, BrokerError, Did, WATCHED_BLOCKS};
use crate::proto;
use crate::store::market::{
    Advance, Breaker, Effects, Intent, IntentKind, IntentState, MARKET, MarketRequest, MarketState, NewIntent,
};
use crate::store::{Job, State, Word, millis, now};
use crate::target::Target;
use crate::terms;

/// Transactions of one kind for one request before it is given up.
const MOST_TRIES: usize = 3;
/// What a refusal publishes: no capacity.
const NO_CAPACITY: u8 = 3;

/// Transactions that came to nothing.
fn failed(tries: &[Intent]) -> usize {
    tries.iter().filter(|intent| intent.state != IntentState::Done).count()
}

/// A request with what the chain says of it.
pub(super) struct Seen<'r> {
    pub(super) row: &'r MarketRequest,
    pub(super) signed: SignedRequest,
    pub(super) state: RequestState,
    /// The chain's time.
    pub(super) now: u64,
}

impl Seen<'_> {
    pub(super) fn is_late(&self) -> bool {
        self.now > self.row.deadline
    }
}

impl Broker {
    /// Looks at a request.
    pub(super) fn serve(&mut self, row: &MarketRequest) -> Result<Option<Did>, BrokerError> {
        // Since the round began it may have gone on, with its transaction or a companion.
        let id = row.id;
        if self.ask(move |store| store.request_now(id))?.is_none_or(|own| own.sequence != row.sequence) {
            return Ok(None);
        }
        let seen = self.see(row)?;
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

    /// A request with what the chain says of it.
    pub(super) fn see<'r>(&mut self, row: &'r MarketRequest) -> Result<Seen<'r>, BrokerError> {
        let signed = self.signed(row)?;
        let state = self.settings.market.escrow().request_state(&mut self.chain, &signed.terms)?;
        Ok(Seen { row, signed, state, now: self.chain.timestamp()? })
    }

    /// The request of a row, without its text, which is not kept.
    pub(super) fn signed(&self, row: &MarketRequest) -> Result<SignedRequest, BrokerError> {
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

    /// Moves several requests at once.
    pub(super) fn step_all(&mut self, advances: Vec<Advance>) -> Result<Option<Did>, BrokerError> {
        let Some(to) = advances.first().map(|own| own.to) else { return Ok(None) };
        tracing::info!(requests = advances.len(), to = to.name(), "requests go on together");
        let epoch = self.epoch;
        self.ask(move |store| store.advance_all(now(), epoch, &advances))?;
        Ok(Some(Did::Moved(to)))
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

    /// What the escrow knows of a request as deep as confirmations reach.
    fn deep_state(&mut self, seen: &Seen<'_>) -> Result<RequestState, BrokerError> {
        if self.settings.confirmations == 1 {
            return Ok(seen.state);
        }
        let (deep, escrow, terms) = (self.deep_block()?, self.settings.market.escrow(), &seen.signed.terms);
        Ok(self.chain.at_block(deep, |chain| escrow.request_state(chain, terms))?)
    }

    /// Back to the beginning, where the escrow says how it goes on: what it was bound to is not so any more.
    pub(super) fn wait_again(&mut self, row: &MarketRequest, reason: &str) -> Result<Option<Did>, BrokerError> {
        self.cancel_job(row)?;
        self.step_to(row, MarketState::Waiting, reason, Effects::default())
    }

    /// Where a request goes that the escrow holds no money for any more; none if it does.
    pub(super) fn ended(&mut self, seen: &Seen<'_>) -> Result<Option<Option<Did>>, BrokerError> {
        let row = seen.row;
        let waits = row.state == MarketState::Waiting;
        let own = seen.state.prover == self.key.account();
        let (to, reason) = match seen.state.status {
            Status::Locked | Status::Accepted => return Ok(None),
            // Its lock's block is no longer the chain's.
            Status::None if waits => return Ok(None),
            Status::None => return self.wait_again(row, "ORPHANED").map(Some),
            Status::Settled if own && (waits || row.state == MarketState::Settling) => {
                return self.paid(seen).map(Some);
            }
            Status::Settled if own => return self.wait_again(row, "UNCONFIRMED").map(Some),
            Status::Settled => (MarketState::Lost, "SETTLED_BY_OTHER"),
            Status::Refunded => (MarketState::Expired, "REFUNDED"),
            Status::Cancelled => (MarketState::Cancelled, "CANCELLED_ON_CHAIN"),
            Status::Refused => (MarketState::Refused, "REFUSED_ON_CHAIN"),
        };
        if !waits {
            // Nothing more is done for it. Whether it has ended, its depth tells.
            return self.wait_again(row, "UNCONFIRMED").map(Some);
        }
        if self.deep_state(seen)?.status != seen.state.status {
            return Ok(Some(None));
        }
        let effects = Effects { seen: self.deep_seen()?, ..Effects::default() };
        self.step_to(row, to, reason, effects).map(Some)
    }

    /// A settlement for this account that is in a block, by whomever it was sent.
    fn paid(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (row, escrow) = (seen.row, self.settings.market.escrow());
        // The chain on which it was decided may have been longer.
        let from = row.from_block.unwrap_or(0).saturating_sub(WATCHED_BLOCKS);
        let Some(tx) = escrow.payment_of(&mut self.chain, row.digest.into(), from)? else { return Ok(None) };
        let Some((receipt, _)) = receipt(self.chain.node(), tx)? else { return Ok(None) };
        if depth(self.chain.node(), &receipt)? < self.settings.confirmations {
            return Ok(None);
        }
        let (entries, block) = (self.entries(&receipt, tx.0), receipt.block_hash.map(|hash| (receipt.block, hash.0)));
        let breaker = Some(Breaker::Closed);
        let effects = Effects { settle_tx: Some(tx.0), entries, breaker, seen: block, ..Effects::default() };
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
        // What a reorganisation took back of it comes to an end first.
        if self.intents(seen.row, IntentKind::Accept)?.0 {
            return Ok(None);
        }
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
        if self.deep_state(seen)? != seen.state {
            return Ok(None);
        }
        // What this account has accepted is owed, whatever it is worth.
        if seen.state.status == Status::Accepted && seen.state.prover == self.key.account() {
            let effects = Effects { from_block: Some(self.chain.block_number()?), ..Effects::default() };
            return self.step_to(row, MarketState::Accepted, "ACCEPTED_BEFORE", effects);
        }
        // It may have been handed in before its adapter was published. What is locked is published, and how is for good.
        if self.pinned_index(row)? != row.datanet {
            return self.step_to(row, MarketState::Declined, "DATANET_OTHER", Effects::default());
        }
        let circuit = match self.circuit(row, &seen.signed)? {
            Ok(circuit) => circuit,
            Err(reason) => return self.step_to(row, MarketState::Declined, reason, Effects::default()),
        };
        let escrow = self.settings.market.escrow();
        let routes = pinned_routes(&mut self.chain, escrow, &self.settings.pins, circuit.id)?;
        let gas_price = usual_fees(self.chain.node())?.max_per_gas;
        let policy = self.settings.policy(routes);
        let gas = self.settings.gas(terms.token, gas_price, row.datanet.is_some());
        let decision = decide(&policy, terms, Some(&seen.state), seen.now, load, gas);
        let numbers = Some(decision.json().to_string());
        let effects = Effects { decision: numbers, from_block: Some(self.chain.block_number()?), ..Effects::default() };
        if let Some(against) = &decision.refused {
            return self.step_to(row, MarketState::Declined, reason(against).name(), effects);
        }
        // After a failure nothing is accepted for a while, and then one request on trial.
        if let Some((_, since)) = self.ask(|store| store.breaker())? {
            let over = now().saturating_sub(since) >= millis(self.settings.breaker);
            if !over || load.accepted > 0 {
                return Ok(None);
            }
        }
        let data = escrow.accept_data(terms).map_err(ChainError::from)?;
        let intent = self.intent(IntentKind::Accept, row.digest, vec![row.id], data, 0);
        self.step_to(row, MarketState::Accepting, "DECIDED", Effects { intent: Some(intent), ..effects })
    }

    /// The index that a request's adapter was published with.
    fn pinned_index(&mut self, row: &MarketRequest) -> Result<Option<Word>, BrokerError> {
        let Some(adapter) = row.adapter else { return Ok(None) };
        Ok(index_of(&self.settings, &self.models, &mut self.chain, &adapter)?)
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
        if failed(&tries) >= MOST_TRIES {
            let breaker = Some(Breaker::Open("ACCEPT_FAILED".into()));
            let effects = Effects { breaker, ..Effects::default() };
            return self.step_to(seen.row, MarketState::Declined, "ACCEPT_FAILED", effects);
        }
        self.step_to(seen.row, MarketState::Waiting, "NOT_ACCEPTED", Effects::default())
    }

    /// Whether less is locked for a request than its acceptance was decided on: after a reorganisation it may be locked anew.
    pub(super) fn pays_less(&mut self, intent: &Intent) -> Result<bool, BrokerError> {
        let open = self.ask(|store| store.open_requests())?;
        let Some(row) = open.iter().find(|row| intent.what.requests.contains(&row.id)) else { return Ok(false) };
        let decision = row.decision.as_deref().and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let decided = decision.and_then(|numbers| numbers.get("fee")?.as_str()?.parse::<U256>().ok());
        let terms = self.signed(row)?.terms;
        let state = self.settings.market.escrow().request_state(&mut self.chain, &terms)?;
        let fee = state.fee.min(price(&terms, self.chain.timestamp()?));
        Ok(state.status == Status::Locked && decided.is_some_and(|decided| fee < decided))
    }

    /// The circuit that settles it, by what its stored input is; or why there is none.
    pub(super) fn circuit(
        &self,
        row: &MarketRequest,
        signed: &SignedRequest,
    ) -> Result<Result<Circuit, &'static str>, BrokerError> {
        let id = row.id;
        let Some((token_ids, _)) = self.ask(move |store| store.request_input(id))? else {
            return Ok(Err("INPUT_GONE"));
        };
        let circuit =
            circuit_of(&self.settings, &self.models, Like::of(signed, row.datanet.as_ref()), 1, token_ids.len());
        Ok(circuit.map_err(|refusal| refusal.reason.name()))
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
        if let Some(did) = self.unbound(seen, &job)? {
            return Ok(did);
        }
        match (job.state, job.proof) {
            (State::Proven, Some(sha256)) => {
                if seen.is_late() {
                    return self.expire(seen);
                }
                let target = self.target(seen.row, &job)?;
                self.hand_in(seen, &target, sha256)
            }
            (State::Proving, _) => Ok(None),
            (State::Queued, _) => {
                // What is bound together is proven together: without one of them it is bound anew.
                let lost = |state| matches!(state, State::Cancelled | State::Expired | State::Failed);
                let companions = self.ask(move |store| store.companions(job.id))?;
                match companions.iter().any(|own| lost(own.1)) {
                    true => self.bind_again(seen.row, "COMPANION_GONE"),
                    false => Ok(None),
                }
            }
            (State::Failed, _) if self.target(seen.row, &job)?.binding.requests.len() > 1 => {
                self.bind_again(seen.row, BATCH_FAILED)
            }
            (State::Failed, _) => {
                let reason = job.failure.unwrap_or_else(|| "PROVING_FAILED".into());
                self.refuse(seen, &reason)
            }
            (State::Expired, _) => self.refuse(seen, "DEADLINE_INFEASIBLE"),
            (State::Cancelled, _) => self.bind_again(seen.row, "JOB_GONE"),
            (State::Proven, _) => self.refuse(seen, "JOB_GONE"),
        }
    }

    /// What a job's settlement is for.
    fn target(&self, row: &MarketRequest, job: &Job) -> Result<Target, BrokerError> {
        let malformed = |what: String| BrokerError::Row { request: row.digest, what };
        Target::decode(job.binding.as_deref().unwrap_or_default()).map_err(malformed)
    }

    /// Back to be bound: it is accepted as it was.
    fn bind_again(&mut self, row: &MarketRequest, reason: &str) -> Result<Option<Did>, BrokerError> {
        self.cancel_job(row)?;
        self.step_to(row, MarketState::Accepted, reason, Effects::default())
    }

    /// Where a request goes that is not locked, or accepted, as its proof was bound any more.
    fn unbound(&mut self, seen: &Seen<'_>, job: &Job) -> Result<Option<Option<Did>>, BrokerError> {
        let row = seen.row;
        let target = self.target(row, job)?;
        let bound = target.binding.requests.iter().find(|bound| bound.id == row.digest);
        if bound.is_none_or(|bound| U256::from_be_bytes(bound.fee) != seen.state.fee) {
            return self.wait_again(row, "FEE_CHANGED").map(Some);
        }
        let terms = &seen.signed.terms;
        let (is_accepted, any_price) = (seen.state.status == Status::Accepted, terms.minFee >= terms.maxFee);
        // Made already, it is worth more than the acceptance that a reorganisation took away.
        if is_accepted || (job.state == State::Proven && any_price) || self.intents(row, IntentKind::Accept)?.0 {
            return Ok(None);
        }
        self.wait_again(row, "NOT_ACCEPTED").map(Some)
    }

    /// Its settlement is being sent.
    fn settling(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        let (in_flight, tries) = self.intents(seen.row, IntentKind::Settle)?;
        if in_flight {
            // What is not signed when the deadline of all has passed will not be.
            let open = self.ask(|store| store.open_requests())?;
            let late = |intent: &&Intent| {
                let mut own = open.iter().filter(|row| intent.what.requests.contains(&row.id));
                intent.state == IntentState::Open && own.all(|row| seen.now > row.deadline)
            };
            return match tries.iter().find(late) {
                Some(open) => self.end(&open.clone(), dead("DEADLINE_PASSED"), Vec::new()),
                None => Ok(None),
            };
        }
        if let Some(did) = self.ended(seen)? {
            return Ok(did);
        }
        if seen.is_late() {
            return self.expire(seen);
        }
        if failed(&tries) >= MOST_TRIES {
            return self.refuse(seen, "SETTLE_FAILED");
        }
        let Some(job) = self.job(seen.row)? else {
            // It was kept long enough; the transaction says the same.
            let Some(last) = tries.last() else { return self.refuse(seen, "JOB_GONE") };
            let (epoch, intent) = (self.epoch, NewIntent { id: Uuid::now_v7(), ..last.what.clone() });
            let intended = self.ask(move |store| store.intend(now(), epoch, &intent))?;
            return Ok(intended.then_some(Did::Intended(IntentKind::Settle)));
        };
        if let Some(did) = self.unbound(seen, &job)? {
            return Ok(did);
        }
        // The same settlement, by a route that is live now.
        match job.proof {
            Some(sha256) => {
                let target = self.target(seen.row, &job)?;
                self.hand_in(seen, &target, sha256)
            }
            None => self.bind_again(seen.row, "JOB_GONE"),
        }
    }

    fn expire(&mut self, seen: &Seen<'_>) -> Result<Option<Did>, BrokerError> {
        self.cancel_job(seen.row)?;
        let breaker = Some(Breaker::Open("DEADLINE_MISSED".into()));
        self.step_to(seen.row, MarketState::Expired, "DEADLINE_PASSED", Effects { breaker, ..Effects::default() })
    }

    /// Gives back what was accepted and cannot be delivered, so that its payer is not held to the deadline; and stops accepting.
    pub(super) fn refuse(&mut self, seen: &Seen<'_>, why: &str) -> Result<Option<Did>, BrokerError> {
        if seen.is_late() {
            return self.expire(seen);
        }
        self.cancel_job(seen.row)?;
        let data = self.settings.market.escrow().refuse_data(&seen.signed.terms, NO_CAPACITY);
        let intent = self.intent(IntentKind::Refuse, seen.row.digest, vec![seen.row.id], data, 0);
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
        if seen.is_late() || failed(&tries) >= MOST_TRIES {
            return if seen.is_late() { self.expire(seen) } else { Ok(None) };
        }
        let data = self.settings.market.escrow().refuse_data(&seen.signed.terms, NO_CAPACITY);
        let intent = self.intent(IntentKind::Refuse, seen.row.digest, vec![seen.row.id], data, 0);
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
