//! What an operator sees of the store: numbers of all tenants, and of no text.

use uuid::Uuid;

use super::market::{Account, IntentKind, IntentState, MarketEvent, MarketRequest};
use super::{Millis, State, StoreError, Word};

/// Rows of a list at most.
pub const ROWS: u32 = 100;

/// The queue and who is served.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Jobs by state.
    pub jobs: Vec<(State, u64)>,
    /// When the oldest job that waits was made.
    pub oldest_queued: Option<Millis>,
    /// Milliseconds from making to proof, of jobs that were proven lately, the shortest first.
    pub proven: Vec<Millis>,
    /// Batches that were done lately.
    pub batches: Batches,
    /// Batches that are being proven.
    pub leases: Vec<LeaseRow>,
    /// Tenants, who was served least first.
    pub tenants: Vec<TenantRow>,
    /// Jobs that failed, expired or were tried again, the latest first.
    pub troubles: Vec<Trouble>,
    /// Requests that an escrow pays, with their tenants, the latest change first.
    pub requests: Vec<(String, MarketRequest)>,
}

/// Batches that were done lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batches {
    pub count: u64,
    pub requests: u64,
    /// From the lease to the proof, of all of them.
    pub milliseconds: u64,
}

/// A batch that is being proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    pub batch: Uuid,
    pub owner: String,
    pub tenant: String,
    pub jobs: u64,
    pub since: Millis,
    pub until: Millis,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    pub id: String,
    pub queued: u64,
    pub proving: u64,
    /// Proofs and failures that are kept.
    pub proven: u64,
    pub failed: u64,
    /// Work that was done for it, divided by its weight.
    pub served: i64,
}

/// A job that did not go smoothly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub id: Uuid,
    pub tenant: String,
    pub state: State,
    /// The latest cause that is no success.
    pub cause: String,
    pub attempts: u32,
    pub created: Millis,
    pub updated: Millis,
}

/// What an account of the market has in flight, spent and moved.
#[derive(Clone, Debug, Default)]
pub struct Money {
    /// Transactions that are not ended, by nonce.
    pub flight: Vec<IntentRow>,
    /// Transactions in blocks: kind and end, how many, gas.
    pub mined: Vec<(IntentKind, IntentState, u64, u64)>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    pub kind: IntentKind,
    pub state: IntentState,
    pub nonce: Option<u64>,
    /// How often it was signed.
    pub versions: u64,
    pub reason: Option<String>,
    pub tx: Option<Word>,
    pub block: Option<u64>,
    pub gas: Option<u64>,
    pub created: Millis,
}

/// All that is known of a request.
#[derive(Clone, Debug)]
pub struct History {
    pub tenant: String,
    pub request: MarketRequest,
    pub events: Vec<MarketEvent>,
    pub intents: Vec<IntentRow>,
}

/// What a store tells an operator.
pub trait OverviewStore {
    /// Queue, tenants, requests; `since` is where lately begins.
    fn overview(&mut self, since: Millis) -> Result<Overview, StoreError>;
    /// An account's transactions.
    fn money(&mut self, chain: u64, account: &Account) -> Result<Money, StoreError>;
    /// A request by its id on the chain, whoever's it is.
    fn history(&mut self, digest: &Word) -> Result<Option<History>, StoreError>;
}
