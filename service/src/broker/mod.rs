//! The broker: from a locked request whose text is here to the money, with nobody at a keyboard.
//!
//! * [`settings`]: the configuration, resolved; [`admission`]: what a submitted request must be
//! * [`requests`]: what becomes of each request; [`batches`]: which are proven and settled together
//! * [`sending`]: what becomes of each transaction
//! * [`run`]: the thread
//!
//! [`Broker::step`] does one thing at most that outlives it: one commit to the store, or one broadcast. It keeps nothing that
//! it could not find again in the store and on the chain, so a process may end after any step, and the next one goes on:
//!
//! * an intent is committed before it is signed, and a signed version before it is broadcast: the same bytes are sent again;
//! * what became of a transaction is read from the chain only, never inferred from an error;
//! * a state of the escrow, not an event, says where a request stands, once it is as deep as confirmations reach;
//! * an end names the block by which it is believed, and is taken back when another block is in its place.
//!
//! It blocks, on a thread of its own, since the client of chains does.

pub mod admission;
mod batches;
pub mod quotes;
mod requests;
pub mod run;
mod sending;
pub mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorica::chain::alloy_primitives::{Address, B256};
use lorica::chain::chain::Chain;
use lorica::chain::error::ChainError;
use lorica::chain::keys::{KeyError, PrivateKey};
use lorica::chain::rpc::RpcChain;
use lorica::chain::rpc::sending::{block_hash, latest_block};
use lorica::offer::OfferError;
use uuid::Uuid;

use crate::models::Models;
use crate::store::market::{Account, Block, Intent, IntentKind, IntentState, MarketRequest, MarketState};
use crate::store::thread::StoreThread;
use crate::store::{Store, StoreError, now};
use settings::Settings;

/// Why a request is bound without company: its batch failed.
const BATCH_FAILED: &str = "BATCH_FAILED";
/// Least time between two broadcasts of one version.
const AGAIN: Duration = Duration::from_secs(2);
/// The latest blocks of which it is looked whether they are still the chain's: deeper reorganisations are noticed by the hourly
/// comparison of the books alone.
const WATCHED_BLOCKS: u64 = 128;

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// A request is in another state.
    Moved(MarketState),
    /// A transaction is wanted.
    Intended(IntentKind),
    /// A version was signed and committed.
    Signed(IntentKind),
    /// A version was given to the node.
    Broadcast(IntentKind),
    /// A transaction's outcome was committed.
    Ended(IntentKind, IntentState),
    /// What was believed by a block was taken back: the chain has another one of that number.
    TookBack(u64),
}

/// Why a step was not done. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// No signature.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A row that cannot be read.
    #[error("request {}: {what}", B256::from(*request))]
    Row {
        /// The request.
        request: [u8; 32],
        /// What is wrong with it.
        what: String,
    },
}

impl From<OfferError> for BrokerError {
    fn from(error: OfferError) -> Self {
        match error {
            OfferError::Chain(error) => Self::Chain(error),
            other => Self::Row { request: [0; 32], what: other.to_string() },
        }
    }
}

/// One thing to look at.
#[derive(Debug)]
enum Task {
    Intent(Box<Intent>),
    Request(Box<MarketRequest>),
    Withdraw(Address),
}

/// The broker of one account on one chain.
pub struct Broker {
    settings: Arc<Settings>,
    chain: RpcChain,
    key: PrivateKey,
    store: StoreThread,
    models: Arc<Models>,
    epoch: i64,
    /// What is left of this round; none between rounds.
    round: Option<VecDeque<Task>>,
    /// Whether this round did anything.
    busy: bool,
    /// The latest block of the chain of which all is that is believed.
    followed: Option<(u64, B256)>,
    /// When a version was broadcast last.
    broadcast: BTreeMap<Uuid, Instant>,
    /// Since when a nonce seems to be another's.
    replaced: BTreeMap<Uuid, Instant>,
}

impl Broker {
    /// Takes the work over from whoever did it before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn new(
        settings: Arc<Settings>,
        chain: RpcChain,
        key: PrivateKey,
        store: StoreThread,
        models: Arc<Models>,
    ) -> Result<Self, StoreError> {
        let epoch = store.ask(|store| store.take_over(now()))?;
        let (broadcast, replaced) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self {
            settings,
            chain,
            key,
            store,
            models,
            epoch,
            round: None,
            busy: false,
            followed: None,
            broadcast,
            replaced,
        })
    }

    /// Takes back what is believed by one of the latest blocks that is not the chain's any more.
    fn take_back(&mut self) -> Result<Option<Did>, BrokerError> {
        let latest = latest_block(self.chain.node())?;
        if self.followed == Some(latest) {
            return Ok(None);
        }
        let (chain, epoch, from) = (self.chain.id(), self.epoch, latest.0.saturating_sub(WATCHED_BLOCKS));
        for block in self.ask(move |store| store.blocks_seen(chain, from))? {
            if block_hash(self.chain.node(), block.0)? != Some(B256::from(block.1)) {
                let taken = self.ask(move |store| store.take_back(now(), epoch, chain, &block))?;
                tracing::warn!(block = block.0, hash = %B256::from(block.1), taken, "a block is not the chain's any more");
                return Ok(Some(Did::TookBack(block.0)));
            }
        }
        self.followed = Some(latest);
        Ok(None)
    }

    /// The latest block that is as deep as confirmations reach.
    fn deep_block(&mut self) -> Result<u64, ChainError> {
        Ok(self.chain.block_number()?.saturating_sub(self.settings.confirmations.saturating_sub(1)))
    }

    /// The same with its hash, by which what is true there is believed.
    fn deep_seen(&mut self) -> Result<Option<Block>, ChainError> {
        let deep = self.deep_block()?;
        Ok(block_hash(self.chain.node(), deep)?.map(|hash| (deep, hash.0)))
    }

    fn account(&self) -> Account {
        self.key.account().into_array()
    }

    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store.ask(ask)
    }

    /// Transactions in flight first, in the order of their nonces; then requests, the earliest deadline first; then money.
    fn tasks(&self) -> Result<VecDeque<Task>, StoreError> {
        let (chain, account) = (self.chain.id(), self.account());
        let (intents, requests) =
            self.ask(move |store| Ok((store.intents_in_flight(chain, &account)?, store.open_requests()?)))?;
        let intents = intents.into_iter().map(|intent| Task::Intent(Box::new(intent)));
        let own = requests.into_iter().filter(|request| request.chain == chain);
        let requests = own.map(|request| Task::Request(Box::new(request)));
        let tokens = self.settings.tokens.iter().map(|token| Task::Withdraw(token.token));
        Ok(intents.chain(requests).chain(tokens).collect())
    }

    /// Does the next thing; none if a whole round found nothing to do. An error concerns one task: the next step goes on with
    /// the others.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub fn step(&mut self) -> Result<Option<Did>, BrokerError> {
        loop {
            let Some(round) = &mut self.round else {
                if let Some(did) = self.take_back()? {
                    return Ok(Some(did));
                }
                self.round = Some(self.tasks()?);
                self.busy = false;
                continue;
            };
            let Some(task) = round.pop_front() else {
                self.round = None;
                if self.busy {
                    // What was written in this round may be by blocks that it did not look at.
                    self.followed = None;
                    continue;
                }
                return Ok(None);
            };
            let did = match task {
                Task::Intent(intent) => self.send(&intent)?,
                Task::Request(request) => self.serve(&request)?,
                Task::Withdraw(token) => self.withdraw(token)?,
            };
            if did.is_some() {
                self.busy = true;
                return Ok(did);
            }
        }
    }
}
