//! Requests that an escrow pays, the transactions about them, and the money that they moved.
//!
//! ```text
//!   WAITING ──► ACCEPTING ──► ACCEPTED ──► PROVING ──► SETTLING ──► PAID
//!      ▲  │         │             └────────────┴───┬───────┘
//!      │  └► DECLINED, CANCELLED,      LOST, EXPIRED, REFUSING ──► REFUSED
//!      │     EXPIRED, LOST  │
//!      └────────────────────┘ the acceptance was not made
//! ```
//! An intent is what is to be sent: it is written before it is signed, and its signed versions before they are broadcast, so
//! that whoever starts again sends the same bytes. A nonce is one intent's for good. What a transaction moved is booked once
//! by (chain, transaction, log). Every write names the epoch of whoever does the market's work; a later one fences it off.
//!
//! Ends of intents and requests, and lines of the ledger, name the block by which they are believed. A block that is not the chain's any
//! more is taken back with all of them: intents are on their way again, with the bytes that they have, and requests wait.

use std::fmt;

use lorica::input::Salt;
use uuid::Uuid;

use super::{Millis, NewJob, State, StoreError, Submitted, Word};

/// Bytes of an account.
pub type Account = [u8; 20];

/// The tenant of jobs that are settled: no key has it.
pub const MARKET: &str = "market";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$each])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the database.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// By its word.
            pub fn of(name: &str) -> Result<Self, StoreError> {
                let known = Self::ALL.iter().copied().find(|own| own.name() == name);
                known.ok_or(StoreError::Content("a word that this program does not know"))
            }
        }
    };
}

words! {
    /// Where a request stands.
    MarketState {
        /// Its lock is not on the chain, or not decided on.
        Waiting = "WAITING",
        /// It is not worth it, or cannot be done.
        Declined = "DECLINED",
        /// Its acceptance is being sent.
        Accepting = "ACCEPTING",
        /// It cannot be cancelled any more.
        Accepted = "ACCEPTED",
        /// Its job is in the queue.
        Proving = "PROVING",
        /// Its settlement is being sent.
        Settling = "SETTLING",
        /// Its payment is booked.
        Paid = "PAID",
        /// It ended on the chain by others.
        Lost = "LOST",
        /// Its refusal is being sent.
        Refusing = "REFUSING",
        /// It was given back.
        Refused = "REFUSED",
        /// Its requester took it back.
        Cancelled = "CANCELLED",
        /// Its deadline passed.
        Expired = "EXPIRED",
    }
}

impl MarketState {
    /// Whether it stays as it is.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Declined | Self::Paid | Self::Lost | Self::Refused | Self::Cancelled | Self::Expired)
    }

    /// Whether work is owed for it: it was accepted, and is not settled.
    pub fn is_owed(self) -> bool {
        matches!(self, Self::Accepting | Self::Accepted | Self::Proving | Self::Settling)
    }
}

words! {
    /// What a transaction is for.
    IntentKind {
        /// A request is accepted.
        Accept = "ACCEPT",
        /// A settlement is handed in.
        Settle = "SETTLE",
        /// A request is given back.
        Refuse = "REFUSE",
        /// What is owed is taken.
        Withdraw = "WITHDRAW",
    }
}

words! {
    /// Where an intent stands.
    IntentState {
        /// Nothing is signed.
        Open = "OPEN",
        /// It is signed, and perhaps broadcast.
        Sent = "SENT",
        /// It is in a block and did what it was for.
        Done = "DONE",
        /// It is in a block, and a contract refused.
        Failed = "FAILED",
        /// It was given up: nothing of it will be in a block.
        Dead = "DEAD",
    }
}

words! {
    /// What was moved.
    EntryKind {
        /// To what the escrow owes the account.
        Earned = "EARNED",
        /// From it.
        Withdrawn = "WITHDRAWN",
    }
}

/// A request that was admitted. Its debug form hides the input.
#[derive(Clone)]
pub struct NewRequest {
    pub id: Uuid,
    /// The id on the chain.
    pub digest: Word,
    pub chain: u64,
    pub tenant: String,
    /// Encoded terms.
    pub terms: Vec<u8>,
    pub base: Word,
    pub adapter: Option<Word>,
    /// The id of the index that the adapter was published with: it is settled with shares by it.
    pub datanet: Option<Word>,
    pub kind: u8,
    /// Seconds.
    pub deadline: u64,
    pub token_ids: Vec<u32>,
    pub salt: Salt,
    /// The answer, encoded.
    pub answer: Vec<u8>,
}

impl fmt::Debug for NewRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRequest").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// A request without its input.
#[derive(Clone, Debug)]
pub struct MarketRequest {
    pub id: Uuid,
    pub digest: Word,
    pub chain: u64,
    pub state: MarketState,
    pub reason: String,
    pub terms: Vec<u8>,
    pub base: Word,
    pub adapter: Option<Word>,
    pub datanet: Option<Word>,
    pub kind: u8,
    pub deadline: u64,
    pub answer: Vec<u8>,
    pub decision: Option<String>,
    pub from_block: Option<u64>,
    pub job: Option<Uuid>,
    pub accept_tx: Option<Word>,
    pub settle_tx: Option<Word>,
    pub sequence: u64,
    pub created: Millis,
    pub updated: Millis,
}

/// A transition of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketEvent {
    pub sequence: u64,
    pub from: Option<MarketState>,
    pub to: MarketState,
    pub at: Millis,
    pub reason: String,
}

/// A transaction that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIntent {
    pub id: Uuid,
    pub chain: u64,
    pub account: Account,
    pub kind: IntentKind,
    /// The request's id on the chain, or the token.
    pub subject: Word,
    /// The requests that it is about: of a settlement all that it is to pay.
    pub requests: Vec<Uuid>,
    pub target: Account,
    pub data: Vec<u8>,
    /// Gas beyond the estimate.
    pub more_gas: u64,
}

/// An intent as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub what: NewIntent,
    pub state: IntentState,
    pub nonce: Option<u64>,
    pub reason: Option<String>,
    pub tx: Option<Word>,
    /// Signed, the oldest first.
    pub versions: Vec<Vec<u8>>,
    /// When the newest version was signed, or the intent was made.
    pub since: Millis,
}

/// A block: its number and its hash.
pub type Block = (u64, Word);

/// How an intent ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentEnd {
    pub state: IntentState,
    pub reason: String,
    /// Transaction, block, gas: of what is in a block.
    pub mined: Option<(Word, u64, u64)>,
    /// The block that ended it: without that block it has not ended.
    pub seen: Option<Block>,
    pub entries: Vec<Entry>,
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub chain: u64,
    pub tx: Word,
    pub log: u64,
    pub kind: EntryKind,
    pub request: Option<Word>,
    pub account: Account,
    pub token: Account,
    pub amount: Word,
}

/// What happens with the breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Nothing is accepted for a while.
    Open(String),
    /// Requests are accepted.
    Closed,
}

/// A transition of a request with all that is written with it.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    pub decision: Option<String>,
    pub from_block: Option<u64>,
    pub accept_tx: Option<Word>,
    pub settle_tx: Option<Word>,
    /// The block by which an end is believed: without that block the request has not ended.
    pub seen: Option<Block>,
    pub intent: Option<NewIntent>,
    pub job: Option<NewJob>,
    pub entries: Vec<Entry>,
    pub breaker: Option<Breaker>,
}

/// A transition of a request.
#[derive(Clone, Debug)]
pub struct Advance {
    pub request: Uuid,
    pub from: MarketState,
    pub to: MarketState,
    pub reason: String,
    pub effects: Effects,
}

/// What a store does for the market. As in [`Store`](super::Store) each method is one transaction. Those that take an epoch are
/// refused with [`StoreError::Fenced`] when another one has taken the work over.
pub trait MarketStore {
    /// Takes the work over: the new epoch.
    fn take_over(&mut self, now: Millis) -> Result<i64, StoreError>;
    /// Admits a request, once. Another tenant's is refused.
    fn admit(&mut self, now: Millis, request: &NewRequest, max_open: u32) -> Result<Submitted, StoreError>;
    /// A tenant's request by its id on the chain.
    fn request(&mut self, tenant: &str, digest: &Word) -> Result<Option<MarketRequest>, StoreError>;
    /// Whether a request is here, whoever's it is.
    fn owner(&mut self, digest: &Word) -> Result<Option<String>, StoreError>;
    /// Requests that have not ended, the earliest deadline first.
    fn open_requests(&mut self) -> Result<Vec<MarketRequest>, StoreError>;
    /// A request as it stands now, whoever's it is.
    fn request_now(&mut self, id: Uuid) -> Result<Option<MarketRequest>, StoreError>;
    /// Token ids and salt of a request; none if they were wiped.
    fn request_input(&mut self, id: Uuid) -> Result<Option<(Vec<u32>, Salt)>, StoreError>;
    /// A request's transitions after one.
    fn request_events(&mut self, tenant: &str, digest: &Word, after: u64) -> Result<Vec<MarketEvent>, StoreError>;
    /// Moves a request with all that goes with it. False, and nothing else, if it is not in the state to be left.
    fn advance(&mut self, now: Millis, epoch: i64, advance: &Advance) -> Result<bool, StoreError>;
    /// Moves several requests, each with all that goes with it: all of them or none. Refused if one is not in the state to be left.
    fn advance_all(&mut self, now: Millis, epoch: i64, advances: &[Advance]) -> Result<(), StoreError>;
    /// Jobs that are proven together with one, itself among them, in the order of their binding.
    fn companions(&mut self, job: Uuid) -> Result<Vec<(Uuid, State)>, StoreError>;
    /// Writes an intent. False if one of its kind and subject is in flight.
    fn intend(&mut self, now: Millis, epoch: i64, intent: &NewIntent) -> Result<bool, StoreError>;
    /// Intents of an account that are not ended: by nonce, then those that are not signed.
    fn intents_in_flight(&mut self, chain: u64, account: &Account) -> Result<Vec<Intent>, StoreError>;
    /// All intents about a request, the oldest first.
    fn intents_of(&mut self, request: Uuid) -> Result<Vec<Intent>, StoreError>;
    /// The nonce after the largest of an account's intents.
    fn next_nonce(&mut self, chain: u64, account: &Account) -> Result<Option<u64>, StoreError>;
    /// Writes a signed version of an intent that is open, or a further one of the same nonce. False if it is in neither state.
    fn sign(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        nonce: u64,
        version: (&Word, &[u8]),
    ) -> Result<bool, StoreError>;
    /// Ends an intent, books what it moved, and moves requests. False, and nothing else, if it was ended before.
    fn finish(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        end: &IntentEnd,
        advances: &[Advance],
    ) -> Result<bool, StoreError>;
    /// The blocks by which anything on a chain is believed, from a number on, the oldest first.
    fn blocks_seen(&mut self, chain: u64, from: u64) -> Result<Vec<Block>, StoreError>;
    /// Takes back what is believed by a block that is not the chain's any more: intents are sent again, lines of the ledger go, and
    /// requests that had ended are [`MarketState::Waiting`]. How many there were.
    fn take_back(&mut self, now: Millis, epoch: i64, chain: u64, block: &Block) -> Result<usize, StoreError>;
    /// All lines of an account's ledger.
    fn ledger(&mut self, chain: u64, account: &Account) -> Result<Vec<Entry>, StoreError>;
    /// Opens or closes the breaker.
    fn set_breaker(&mut self, now: Millis, epoch: i64, breaker: &Breaker) -> Result<(), StoreError>;
    /// Why nothing is accepted, and since when.
    fn breaker(&mut self) -> Result<Option<(String, Millis)>, StoreError>;
    /// Requests by state.
    fn request_counts(&mut self) -> Result<Vec<(MarketState, u64)>, StoreError>;
}
