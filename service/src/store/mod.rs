//! Where jobs are: the one truth about what was asked, where it stands, and what came out.
//!
//! * [`Store`]: what every store does, the same for one machine and for many; [`suite`] and [`market_suite`] are its contract as tests
//! * [`market`]: requests that an escrow pays, and the transactions about them
//! * [`overview`]: what an operator sees
//! * [`sql`]: the store over a database; [`sqlite`]: that of one machine; [`postgres`]: that of several
//! * [`place`]: which of them it is; [`blobs`]: contents by their SHA-256
//! * [`thread`]: a store behind a channel, for asynchronous callers
//!
//! ```text
//!   QUEUED ──lease──► PROVING ──complete──► PROVEN
//!     ▲                 │ fail, lease over ──► QUEUED again, or FAILED after too many attempts
//!     └─────────────────┘
//!   QUEUED, PROVING ──cancel──► CANCELLED        QUEUED, PROVING ──deadline──► EXPIRED
//! ```
//! A transition names the state that it leaves, and a lease the epoch that it was given: what comes late changes nothing.
//! Each transition writes one event in the same transaction.
//!
//! A call whose connection was lost may have happened or not. Whoever repeats it gets what he would have got: `submit` and `admit` the
//! first one's id, `complete` a duplicate, `cancel` the job as it is; `fail`, `advance`, `intend`, `finish` and `remove_key` say that it is
//! done already; `extend`, `expire`, `recover`, `wipe`, `take_back` and `set_breaker` find it as they leave it. `sign`, `advance_all` and
//! `add_key` are refused: who reads again sees why. A `lease` that nobody heard of ends by its time, and an epoch of `take_over` by the next.

pub mod blobs;
pub mod market;
#[cfg(test)]
mod market_suite;
pub mod overview;
#[cfg(test)]
mod overview_suite;
pub mod place;
pub mod postgres;
pub mod sql;
pub mod sqlite;
#[cfg(test)]
pub mod suite;
#[cfg(test)]
mod tests;
pub mod thread;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lorica::input::Salt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Milliseconds since 1970.
pub type Millis = i64;
/// An id of a base or adapter, a context, a digest.
pub type Word = [u8; 32];

/// Most jobs of a batch.
pub const MAX_BATCH: u32 = 16;
/// Failures of the work itself before a job fails.
pub const MAX_ATTEMPTS: u32 = 3;
/// Losses of whoever did the work before a job fails.
pub const MAX_INFRA_ATTEMPTS: u32 = 10;

/// Owners of leases whose name begins so are on other machines: they outlive this program.
pub const REMOTE: &str = "remote:";
/// Milliseconds that owners on other machines have to come back when this program starts.
pub const RETURN: Millis = 60_000;

/// The time now.
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// It is in a batch that is leased.
    Proving,
    /// Its proof is there.
    Proven,
    /// There will be no proof.
    Failed,
    /// Its tenant gave it up.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Proving, Self::Proven, Self::Failed, Self::Cancelled, Self::Expired];

    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Proving => "PROVING",
            Self::Proven => "PROVEN",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether it stays as it is.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Proving)
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A request that has been executed and is to be proven. Its debug form hides the input.
#[derive(Clone)]
pub struct NewJob {
    pub id: Uuid,
    pub tenant: String,
    pub request_id: Uuid,
    /// Digest of the request's content: what a repetition must equal.
    pub body: Word,
    pub base: Word,
    pub adapter: Option<Word>,
    /// The index by which the answer is attributed.
    pub datanet: Option<Word>,
    /// Number of the output kind.
    pub kind: u8,
    pub context: Word,
    pub deadline: Option<Millis>,
    pub token_ids: Vec<u32>,
    pub salt: Salt,
    /// The answer, encoded.
    pub answer: Vec<u8>,
    /// What proof and settlement are bound to, as JSON, if the job is to be settled.
    pub binding: Option<Vec<u8>>,
    /// With which others it is bound, if it is to be settled.
    pub group: Option<Group>,
}

/// Jobs that are bound together: a batch has all of them and no other, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: Uuid,
    /// How many there are.
    pub jobs: u32,
}

impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewJob").field("id", &self.id).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl NewJob {
    /// Tokens of the shape that the job needs.
    pub fn token_class(&self) -> usize {
        token_class(self.token_ids.len())
    }

    /// Jobs of one key may be proven together: they have one tenant, base, kind, context and length class, and one datanet or none.
    pub fn batch_key(&self) -> Word {
        let mut hash = Sha256::new();
        hash.update(b"lorica batch 1");
        hash.update((self.tenant.len() as u64).to_be_bytes());
        hash.update(self.tenant.as_bytes());
        hash.update(self.base);
        hash.update([self.kind]);
        hash.update(self.context);
        match &self.group {
            // Texts of all lengths: the circuit's shape counts.
            Some(group) => hash.update(group.id.as_bytes()),
            None => hash.update((self.token_class() as u64).to_be_bytes()),
        }
        // Behind what all jobs have, so that jobs without one have the key that they had before there were datanets.
        if let Some(datanet) = self.datanet {
            hash.update(datanet);
        }
        hash.finalize().into()
    }
}

/// Padded length of a text.
pub fn token_class(tokens: usize) -> usize {
    tokens.next_power_of_two().max(lorica::circuits::shape::MIN_TOKENS)
}

/// The shape of a batch that was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenShape {
    pub requests: u32,
    pub tokens: u32,
    pub log_tile: u32,
}

/// A job as its tenant sees it.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: Uuid,
    pub state: State,
    pub base: Word,
    pub adapter: Option<Word>,
    pub datanet: Option<Word>,
    pub kind: u8,
    pub deadline: Option<Millis>,
    pub attempts: u32,
    pub failure: Option<String>,
    /// Place in its batch.
    pub place: Option<u32>,
    pub shape: Option<ProvenShape>,
    pub proof: Option<Word>,
    pub answer: Vec<u8>,
    /// Absent once it was wiped.
    pub salt: Option<Salt>,
    /// What proof and settlement are bound to, if it is to be settled.
    pub binding: Option<Vec<u8>>,
    pub sequence: u64,
    pub created: Millis,
    pub updated: Millis,
}

/// A transition of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub sequence: u64,
    pub from: Option<State>,
    pub to: State,
    pub at: Millis,
    pub cause: String,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is new.
    Created,
    /// The same request was here before, under this id.
    Repeated(Uuid),
}

/// A job of a leased batch. Its debug form hides the input.
#[derive(Clone)]
pub struct Member {
    pub id: Uuid,
    pub adapter: Option<Word>,
    pub token_ids: Vec<u32>,
    pub salt: Salt,
    pub answer: Vec<u8>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A batch that was handed out.
#[derive(Clone, Debug)]
pub struct Lease {
    pub batch: Uuid,
    pub epoch: i64,
    pub tenant: String,
    pub base: Word,
    /// The index by which all answers are attributed.
    pub datanet: Option<Word>,
    pub kind: u8,
    pub context: Word,
    /// What the proof's settlement is bound to, as JSON, if it is to be settled.
    pub binding: Option<Vec<u8>>,
    /// In the order of the proof's statement.
    pub members: Vec<Member>,
}

/// What a batch is to who says that it was handed to him.
#[derive(Clone, Debug)]
pub enum Claim {
    /// He holds it. What is left of its inputs.
    Held(Lease),
    /// His result was taken: its digest.
    Done(Word),
    /// It is another's, ended without a result, or never was.
    Lost,
}

/// Whether a lease is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Go on.
    Yes,
    /// Nobody waits for it any more, or it was lost.
    No,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It was taken.
    Done,
    /// The same result was taken before.
    Duplicate,
    /// The lease was lost or cancelled meanwhile: nothing changed.
    Stale,
}

/// Why a batch has no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchFailure {
    /// The work failed, and may do better: another attempt, with fewer companions.
    Work(String),
    /// The work fails always: alone at once, a batch after it was cut. Jobs that are bound together cannot be cut, and fail at once.
    Always(String),
    /// Whoever did it is gone.
    Lost(&'static str),
    /// It is handed back unbegun, or given up on the way out; not counted.
    HandedBack,
}

/// How long what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Token ids and salts, after the job has ended.
    pub inputs: Duration,
    /// The job with its answer and proof, after it has ended.
    pub proofs: Duration,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: [u8; 8],
    pub tenant: String,
    pub secret_sha256: Word,
    /// Bits.
    pub scopes: u32,
    pub created: Millis,
    pub expires: Option<Millis>,
}

/// Why a store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the request id was used before with another content")]
    RequestIdReused,
    #[error("the request was given by somebody else before")]
    RequestForeign,
    #[error("the market's work was taken over: epoch {got} ended, it is {own}")]
    Fenced { own: i64, got: i64 },
    #[error("the tenant has {limit} proofs that are not done, as many as it may have")]
    Quota { limit: u32 },
    #[error("the stored content {} is damaged", hex::encode(.0))]
    Damaged(Word),
    #[error("the stored content {} is missing", hex::encode(.0))]
    Missing(Word),
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}: another service uses it")]
    InUse(String),
    #[error("{0}: there is no store of a service")]
    Absent(String),
    #[error("the database has version {got}, this program knows {known}")]
    Version { got: i64, known: i64 },
    #[error("the database: {0}")]
    Database(String),
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    #[error("others are in the way again and again")]
    Conflict,
    #[error("a number is too large for the database")]
    Number,
    #[error("the database holds {0}")]
    Content(&'static str),
    #[error("the disk is full")]
    Full,
    #[error("too many calls wait for the database")]
    Busy,
    #[error("the database's thread has ended")]
    Gone,
}

/// What every store does. Each method is one transaction: it happens wholly and is on disk when the method returns, or not at
/// all.
pub trait Store: market::MarketStore + overview::OverviewStore + Send {
    /// Queues a job, once per tenant and request id.
    fn submit(&mut self, now: Millis, job: &NewJob, max_open: u32) -> Result<Submitted, StoreError>;
    /// A tenant's job.
    fn job(&mut self, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError>;
    /// A tenant's job by what the tenant called it, with the digest of its content.
    fn requested(&mut self, tenant: &str, request_id: Uuid) -> Result<Option<(Uuid, Word)>, StoreError>;
    /// A tenant's jobs, the newest first, older than `before`.
    fn list(
        &mut self,
        tenant: &str,
        state: Option<State>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError>;
    /// A job's transitions after one.
    fn events(&mut self, tenant: &str, id: Uuid, after: u64) -> Result<Vec<Event>, StoreError>;
    /// Forms a batch of what waits, and hands it out until `until`.
    fn lease(&mut self, now: Millis, owner: &str, until: Millis) -> Result<Option<Lease>, StoreError>;
    /// Prolongs a lease that is still held.
    fn extend(&mut self, batch: Uuid, epoch: i64, until: Millis) -> Result<Held, StoreError>;
    /// What a batch under an epoch is to an owner.
    fn claim(&mut self, batch: Uuid, epoch: i64, owner: &str) -> Result<Claim, StoreError>;
    /// Takes a proof.
    fn complete(
        &mut self,
        now: Millis,
        batch: Uuid,
        epoch: i64,
        proof: &[u8],
        shape: ProvenShape,
    ) -> Result<Completed, StoreError>;
    /// Takes a failure. False if the lease was lost meanwhile.
    fn fail(&mut self, now: Millis, batch: Uuid, epoch: i64, failure: &BatchFailure) -> Result<bool, StoreError>;
    /// Gives a tenant's job up, if it is not done. What it is then.
    fn cancel(&mut self, now: Millis, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError>;
    /// Ends leases and jobs whose time is over.
    fn expire(&mut self, now: Millis) -> Result<(), StoreError>;
    /// Ends all leases of an owner: it died with the process before. How many there were. Owners on other machines ([`REMOTE`]) keep
    /// theirs, and have [`RETURN`] to say so.
    fn recover(&mut self, now: Millis, owner: &str) -> Result<usize, StoreError>;
    /// Deletes what was kept long enough. How many inputs and jobs.
    fn wipe(&mut self, now: Millis, retention: Retention) -> Result<(usize, usize), StoreError>;
    /// A content by its digest, which is checked.
    fn blob(&mut self, sha256: &Word) -> Result<Vec<u8>, StoreError>;
    /// Jobs by state.
    fn counts(&mut self) -> Result<Vec<(State, u64)>, StoreError>;
    /// Adds a key, and its tenant if it is new.
    fn add_key(&mut self, key: &ApiKey) -> Result<(), StoreError>;
    /// A key.
    fn key(&mut self, id: &[u8; 8]) -> Result<Option<ApiKey>, StoreError>;
    /// All keys.
    fn keys(&mut self) -> Result<Vec<ApiKey>, StoreError>;
    /// Removes a key. False if there is none.
    fn remove_key(&mut self, id: &[u8; 8]) -> Result<bool, StoreError>;
    /// Hears what others changed who write to the same database, if there can be any.
    fn listen(&mut self) {}
    /// Jobs and requests that changed since this was asked last.
    fn take_changed(&mut self) -> Vec<Uuid>;
}
