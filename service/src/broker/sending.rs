//! What becomes of each transaction: estimated, signed, committed, broadcast, found in a block, booked.
//!
//! ```text
//!   OPEN ──estimate, sign, commit──► SENT ──broadcast, look──► DONE (booked), FAILED
//!     └── refused by the estimate ──► DEAD ◄── its nonce is another's, or a transaction of nothing took its place
//! ```
//! A version that is committed may be mined for ever after, so its nonce is never given to anything else. What lost its purpose
//! while no node had it is replaced by a transfer of nothing to oneself, of the same nonce.

use std::time::{Duration, Instant};

use lorica::chain::alloy_primitives::{Address, B256, Bytes, U256};
use lorica::chain::chain::{Chain, Receipt, TRANSACTION_GAS};
use lorica::chain::contracts::movements::{Movement, movements};
use lorica::chain::error::{ChainError, PolicyError};
use lorica::chain::rpc::plan::{Call, Fees, Plan, Version};
use lorica::chain::rpc::sending::{
    Outcome, Reception, broadcast, explain, look, mined_nonce, pending_nonce, usual_fees,
};
use uuid::Uuid;

use super::{AGAIN, Broker, BrokerError, Did};
use crate::store::market::{
    Account, Advance, Breaker, Effects, Entry, EntryKind, Intent, IntentEnd, IntentKind, IntentState, MarketRequest,
    MarketState, NewIntent,
};
use crate::store::{Word, now};

/// Gas of a transfer.
const TRANSFER_GAS: u64 = 21_000;
/// How long a nonce must have been another's: nodes behind one address may differ by a block.
const REPLACED_TIME: Duration = Duration::from_secs(3);

/// Why an intent that had ended is on its way again.
const REORGANISED: &str = "REORGANISED";

pub(super) fn dead(reason: impl Into<String>) -> IntentEnd {
    IntentEnd { state: IntentState::Dead, reason: reason.into(), mined: None, seen: None, entries: Vec::new() }
}

/// Whether a version is the transfer of nothing that replaces another one.
fn is_nothing(version: &Version) -> bool {
    let call = version.plan().call();
    call.to == Some(version.sender()) && call.data.is_empty()
}

impl Broker {
    /// Looks at a transaction.
    pub(super) fn send(&mut self, intent: &Intent) -> Result<Option<Did>, BrokerError> {
        match intent.state {
            IntentState::Open => self.sign(intent),
            IntentState::Sent => self.follow(intent),
            IntentState::Done | IntentState::Failed | IntentState::Dead => Ok(None),
        }
    }

    /// Estimates and signs what is wanted. What a contract would refuse is not sent, and costs nothing.
    fn sign(&mut self, intent: &Intent) -> Result<Option<Did>, BrokerError> {
        let (to, data) = (Address::from(intent.what.target), Bytes::copy_from_slice(&intent.what.data));
        let estimate = match self.chain.estimate_value(to, data.clone(), U256::ZERO) {
            Ok(estimate) => estimate,
            Err(ChainError::Refused(refusal)) => return self.end(intent, dead(refusal.to_string()), Vec::new()),
            Err(ChainError::Policy(PolicyError::GasLimit { .. })) => {
                return self.end(intent, dead("it takes more gas than a transaction may"), Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        // The state may differ a little in the block.
        let gas_limit = TRANSACTION_GAS.min(estimate.saturating_add(estimate / 4).saturating_add(intent.what.more_gas));
        let (chain_id, account) = (self.chain.id(), self.account());
        let call = Call { chain_id, to: Some(to), data, value: U256::ZERO, gas_limit };
        let fees = usual_fees(self.chain.node())?;
        let known = self.ask(move |store| store.next_nonce(chain_id, &account))?.unwrap_or(0);
        let nonce = pending_nonce(self.chain.node(), self.key.account())?.max(known);
        let plan = match Plan::new(call, fees, nonce, self.settings.limits) {
            Ok(plan) => plan,
            // Gas may be cheaper later: it waits, and its request's deadline ends the waiting.
            Err(error) => {
                tracing::warn!(kind = intent.what.kind.name(), %error, "a transaction waits for cheaper gas");
                return Ok(None);
            }
        };
        self.commit(intent, &plan)
    }

    /// Signs a plan and commits the version. It is broadcast by the next look.
    fn commit(&mut self, intent: &Intent, plan: &Plan) -> Result<Option<Did>, BrokerError> {
        let version = plan.sign(&self.key)?;
        let (id, epoch, nonce) = (intent.what.id, self.epoch, plan.nonce());
        let (hash, raw) = (version.hash().0, version.raw().to_vec());
        let signed = self.ask(move |store| store.sign(now(), epoch, id, nonce, (&hash, &raw)))?;
        self.broadcast.remove(&id);
        Ok(signed.then_some(Did::Signed(intent.what.kind)))
    }

    /// Finds out where a signed transaction stands.
    fn follow(&mut self, intent: &Intent) -> Result<Option<Did>, BrokerError> {
        let versions: Vec<Version> = intent
            .versions
            .iter()
            .map(|raw| Version::from_raw(Bytes::copy_from_slice(raw)))
            .collect::<Result<_, _>>()
            .map_err(|error| BrokerError::Row { request: intent.what.subject, what: error.to_string() })?;
        let outcome = look(self.chain.node(), &versions, self.settings.confirmations)?;
        if !matches!(outcome, Outcome::NonceUsed { confirmed: true }) {
            self.replaced.remove(&intent.what.id);
        }
        match outcome {
            Outcome::Mined { confirmations, .. } if confirmations < self.settings.confirmations => Ok(None),
            Outcome::Mined { receipt, succeeded, .. } => self.mined(intent, &versions, &receipt, succeeded),
            Outcome::Pending { hash } => {
                let newest = versions.last().map(Version::hash);
                if newest != Some(hash) {
                    return self.give(intent, &versions);
                }
                let due = now().saturating_sub(intent.since) > crate::store::millis(self.settings.bump_after);
                if due { self.bump(intent, &versions) } else { Ok(None) }
            }
            Outcome::Unknown => self.unknown(intent, &versions),
            Outcome::NonceUsed { confirmed: false } => Ok(None),
            Outcome::NonceUsed { confirmed: true } => {
                let since = *self.replaced.entry(intent.what.id).or_insert_with(Instant::now);
                if since.elapsed() < REPLACED_TIME {
                    return Ok(None);
                }
                // Somebody else has the key: nothing is accepted until that is looked at, or the time is over.
                let (epoch, reason) = (self.epoch, "NONCE_TAKEN".to_owned());
                self.ask(move |store| store.set_breaker(now(), epoch, &Breaker::Open(reason)))?;
                tracing::error!(kind = intent.what.kind.name(), "the nonce was used by another program");
                let seen = self.deep_seen()?;
                self.end(intent, IntentEnd { seen, ..dead("NONCE_TAKEN") }, Vec::new())
            }
        }
    }

    /// No node has it: it is given to one, or replaced if it lost its purpose. What a reorganisation took back is judged in the state that it
    /// will meet, when all before it is in blocks again, and what it needs has some time to come back.
    fn unknown(&mut self, intent: &Intent, versions: &[Version]) -> Result<Option<Did>, BrokerError> {
        let reorganised = intent.reason.as_deref() == Some(REORGANISED);
        if reorganised && Some(mined_nonce(self.chain.node(), self.key.account())?) < intent.nonce {
            return Ok(None);
        }
        if versions.last().is_some_and(is_nothing) || !self.is_void(intent)? {
            return self.give(intent, versions);
        }
        let fresh = now().saturating_sub(intent.since) < crate::store::millis(self.settings.bump_after);
        if reorganised && fresh { Ok(None) } else { self.replace_by_nothing(intent, versions) }
    }

    /// Gives the newest version that the node takes to it.
    fn give(&mut self, intent: &Intent, versions: &[Version]) -> Result<Option<Did>, BrokerError> {
        let id = intent.what.id;
        if self.broadcast.get(&id).is_some_and(|last| last.elapsed() < AGAIN) {
            return Ok(None);
        }
        self.broadcast.insert(id, Instant::now());
        for version in versions.iter().rev() {
            match broadcast(self.chain.node(), version)? {
                // Whether it was used by a version of this one, the next look tells.
                Reception::Taken | Reception::Used(_) | Reception::Occupied(_) => break,
                // The newest may cost more than the account has.
                Reception::Refused(words) => {
                    tracing::warn!(kind = intent.what.kind.name(), words, "the node does not take a transaction");
                }
            }
        }
        Ok(Some(Did::Broadcast(intent.what.kind)))
    }

    /// Whether the contract would refuse it by now, or it would accept what is locked for less than it was decided on.
    fn is_void(&mut self, intent: &Intent) -> Result<bool, BrokerError> {
        if intent.what.kind == IntentKind::Accept && self.pays_less(intent)? {
            return Ok(true);
        }
        let (to, data) = (Address::from(intent.what.target), Bytes::copy_from_slice(&intent.what.data));
        match self.chain.estimate_value(to, data, U256::ZERO) {
            Ok(_) => Ok(false),
            Err(ChainError::Refused(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn bump(&mut self, intent: &Intent, versions: &[Version]) -> Result<Option<Did>, BrokerError> {
        let usual = usual_fees(self.chain.node())?;
        let Some(newest) = versions.last().map(Version::plan) else { return Ok(None) };
        match newest.bump(usual, self.settings.limits) {
            // Where gas has no price the same transaction would come out.
            Ok(plan) if plan.fees() != newest.fees() => self.commit(intent, &plan),
            // Too dear: what is on its way is still awaited.
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn replace_by_nothing(&mut self, intent: &Intent, versions: &[Version]) -> Result<Option<Did>, BrokerError> {
        let Some(newest) = versions.last().map(Version::plan) else { return Ok(None) };
        let (chain_id, usual) = (self.chain.id(), usual_fees(self.chain.node())?);
        let call = Call {
            chain_id,
            to: Some(self.key.account()),
            data: Bytes::new(),
            value: U256::ZERO,
            gas_limit: TRANSFER_GAS,
        };
        let fees = Fees {
            max_per_gas: newest.fees().max_per_gas.saturating_mul(2).max(usual.max_per_gas),
            max_tip: newest.fees().max_tip.saturating_mul(2).max(usual.max_tip),
        };
        let plan = Plan::new(call, fees, newest.nonce(), self.settings.limits).map_err(ChainError::from)?;
        tracing::warn!(kind = intent.what.kind.name(), "a transaction lost its purpose and is replaced by nothing");
        self.commit(intent, &plan)
    }

    /// Books what a mined transaction did.
    fn mined(
        &mut self,
        intent: &Intent,
        versions: &[Version],
        receipt: &Receipt,
        succeeded: bool,
    ) -> Result<Option<Did>, BrokerError> {
        let version = versions.iter().find(|version| Some(version.hash()) == receipt.hash);
        let hash = version.map(|version| version.hash().0).unwrap_or_default();
        let mined = Some((hash, receipt.block, receipt.gas));
        let seen = receipt.block_hash.map(|hash| (receipt.block, hash.0));
        if version.is_some_and(is_nothing) {
            return self.end(intent, IntentEnd { seen, ..dead("REPLACED_BY_NOTHING") }, Vec::new());
        }
        if !succeeded {
            let reason = version.map(|version| explain(self.chain.node(), version, receipt).to_string());
            let reason = reason.unwrap_or_else(|| "refused".into());
            return self.end(
                intent,
                IntentEnd { state: IntentState::Failed, reason, mined, seen, entries: Vec::new() },
                Vec::new(),
            );
        }
        let entries = self.entries(receipt, hash);
        // After a reorganisation it may stand elsewhere; then the escrow says where.
        let open = self.ask(|store| store.open_requests())?;
        let paid: Vec<Option<Word>> = entries.iter().map(|entry| entry.request).collect();
        let own = open.iter().filter(|request| intent.what.requests.contains(&request.id));
        let step = |from, to, reason: &str, effects: Effects| -> Vec<Advance> {
            let there = own.filter(|own| own.state == from);
            let move_on = |own: &MarketRequest| {
                let (request, reason, effects) = (own.id, reason.into(), effects.clone());
                Advance { request, from, to, reason, effects }
            };
            there.filter(|own| to != MarketState::Paid || paid.contains(&Some(own.digest))).map(move_on).collect()
        };
        let advances = match intent.what.kind {
            IntentKind::Accept => {
                let effects = Effects { accept_tx: Some(hash), ..Effects::default() };
                step(MarketState::Accepting, MarketState::Accepted, "ACCEPTED", effects)
            }
            IntentKind::Settle => {
                // What the escrow skipped, it says itself where it stands.
                let breaker = Some(Breaker::Closed);
                let effects = Effects { settle_tx: Some(hash), breaker, seen, ..Effects::default() };
                step(MarketState::Settling, MarketState::Paid, "PAID", effects)
            }
            IntentKind::Refuse => {
                let effects = Effects { seen, ..Effects::default() };
                step(MarketState::Refusing, MarketState::Refused, "REFUSED", effects)
            }
            IntentKind::Withdraw => Vec::new(),
        };
        let end = IntentEnd { state: IntentState::Done, reason: "MINED".into(), mined, seen, entries };
        self.end(intent, end, advances)
    }

    /// What a transaction moved for the account.
    pub(super) fn entries(&self, receipt: &Receipt, tx: Word) -> Vec<Entry> {
        let (chain, own) = (self.chain.id(), self.key.account());
        let entry = |log, kind, request, token: Address, amount: U256| Entry {
            chain,
            tx,
            log,
            kind,
            request,
            account: own.into_array(),
            token: token.into_array(),
            amount: amount.to_be_bytes(),
        };
        let moved = movements(receipt, self.settings.market.escrow()).into_iter();
        let own_entry = |moved: lorica::chain::contracts::movements::Entry| match moved.movement {
            Movement::Paid(payment) if payment.prover == own => {
                let request = Some(payment.request.to_be_bytes());
                Some(entry(moved.log, EntryKind::Earned, request, payment.token, payment.prover_share))
            }
            Movement::Withdrawn { account, token, amount, .. } if account == own => {
                Some(entry(moved.log, EntryKind::Withdrawn, None, token, amount))
            }
            Movement::Paid(_) | Movement::Withdrawn { .. } => None,
        };
        moved.filter_map(own_entry).collect()
    }

    /// Ends an intent, with its request's transition.
    pub(super) fn end(
        &mut self,
        intent: &Intent,
        end: IntentEnd,
        advances: Vec<Advance>,
    ) -> Result<Option<Did>, BrokerError> {
        let (id, epoch, kind, state) = (intent.what.id, self.epoch, intent.what.kind, end.state);
        tracing::info!(
            kind = kind.name(), state = state.name(), reason = end.reason, subject = %B256::from(intent.what.subject),
            "a transaction ends"
        );
        let ended = self.ask(move |store| store.finish(now(), epoch, id, &end, &advances))?;
        self.broadcast.remove(&id);
        self.replaced.remove(&id);
        Ok(ended.then_some(Did::Ended(kind, state)))
    }

    /// Takes what is owed, if it is enough.
    pub(super) fn withdraw(&mut self, token: Address) -> Result<Option<Did>, BrokerError> {
        let (escrow, own) = (self.settings.market.escrow(), self.key.account());
        let least = self.settings.tokens.iter().find(|taken| taken.token == token).map(|taken| taken.withdraw_at);
        let mut owed = escrow.owed(&mut self.chain, own, token)?;
        if self.settings.confirmations > 1 && least.is_some_and(|least| owed >= least) {
            // What is not confirmed may be taken back, and there would be nothing to take.
            let deep = self.deep_block()?;
            owed = owed.min(self.chain.at_block(deep, |chain| escrow.owed(chain, own, token))?);
        }
        if least.is_none_or(|least| owed < least) {
            return Ok(None);
        }
        let mut subject = [0; 32];
        subject[12..].copy_from_slice(token.as_slice());
        let data = escrow.withdraw_data(token, self.settings.withdraw_to);
        let intent = self.intent(IntentKind::Withdraw, subject, Vec::new(), data, 0);
        let epoch = self.epoch;
        let intended = self.ask(move |store| store.intend(now(), epoch, &intent))?;
        Ok(intended.then_some(Did::Intended(IntentKind::Withdraw)))
    }

    /// A transaction to the escrow that is wanted.
    pub(super) fn intent(
        &self,
        kind: IntentKind,
        subject: Word,
        requests: Vec<Uuid>,
        data: Bytes,
        more_gas: u64,
    ) -> NewIntent {
        let target: Account = self.settings.market.escrow.into_array();
        let (chain, account, id) = (self.chain.id(), self.account(), Uuid::now_v7());
        NewIntent { id, chain, account, kind, subject, requests, target, data: data.to_vec(), more_gas }
    }
}
