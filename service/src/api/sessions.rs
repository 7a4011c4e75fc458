//! Workers on other machines as the service knows them, in memory: who is there, what each of them proves, and who may not any
//! more. What must outlive the service stands in the store: a lease's owner is made of key and session, so that a worker finds
//! its lease again after a restart, and nobody else does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::message::timestamp;
use crate::error::{Reason, Refusal};
use crate::proto::{self, WorkerState};
use crate::store::{Lease, Millis, REMOTE, now};
use crate::worker::remote::batch_name;

/// Bytes of a session.
pub const SESSION: usize = 32;
/// Sessions of one key, and of all.
const MAX_SESSIONS: [usize; 2] = [256, 4_096];
/// Without a sign for so long, a worker is silent; and for so long, it is forgotten.
const SILENT: Duration = Duration::from_secs(40);
const FORGOTTEN: Duration = Duration::from_secs(600);
/// False results of one key after which the key, and not only the worker, is banned.
const FALSE_RESULTS: u32 = 3;
/// Longest time that a worker which fails again and again gets nothing.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// A batch in progress.
#[derive(Clone, Debug)]
pub struct Work {
    pub batch: Uuid,
    pub epoch: i64,
    pub since: Instant,
    since_time: Millis,
    /// As it was handed out; none if that was before the service's last start.
    pub content: Option<Arc<Lease>>,
}

impl Work {
    pub fn new(batch: Uuid, epoch: i64, content: Option<Arc<Lease>>) -> Self {
        Self { batch, epoch, since: Instant::now(), since_time: now(), content }
    }

    /// Whether it is this batch under this epoch.
    pub fn is(&self, batch: Uuid, epoch: i64) -> bool {
        self.batch == batch && self.epoch == epoch
    }
}

#[derive(Debug)]
struct Session {
    name: String,
    key: [u8; 8],
    registered: Millis,
    seen: Instant,
    seen_time: Millis,
    /// Counts polls: an older one than the last gets nothing.
    poll: u64,
    work: Option<Work>,
    /// A result of it is being checked.
    checking: bool,
    /// Until when it gets nothing.
    resting: Option<Instant>,
    /// Failures since its last result.
    failures: u32,
    completed: u64,
    failed: u64,
    ending: bool,
    banned: bool,
}

#[derive(Debug, Default)]
struct Inner {
    /// By owner.
    sessions: BTreeMap<String, Session>,
    /// By key and name: whoever starts again is the same worker.
    banned: BTreeSet<([u8; 8], String)>,
    false_results: BTreeMap<[u8; 8], u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Sessions {
    inner: Mutex<Inner>,
}

/// A session that may call: the owner of its leases, and its name for people.
#[derive(Clone, Debug)]
pub struct Caller {
    pub owner: String,
    pub name: String,
}

/// A refusal for whoever returned a false proof.
pub fn banned() -> Refusal {
    Refusal::new(
        Reason::WorkerBanned,
        "a result of this worker did not hold: look at its machine; it may come back when the service has started again",
    )
}

fn unknown() -> Refusal {
    Refusal::new(Reason::SessionUnknown, "the session is not known: register")
}

/// The owner of the leases of a session of a key.
fn owner(key: &[u8; 8], session: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"lorica session 1");
    hash.update(key);
    hash.update(session);
    format!("{REMOTE}{}", hex::encode(hash.finalize()))
}

impl Sessions {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, caller: &Caller, change: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.inner().sessions.get_mut(&caller.owner).map(change)
    }

    /// Makes a worker known, or known again.
    pub fn register(&self, key: [u8; 8], name: &str, session: &[u8]) -> Result<(), Refusal> {
        let mut inner = self.inner();
        inner.sessions.retain(|_, own| own.seen.elapsed() < FORGOTTEN);
        let false_results = inner.false_results.get(&key).copied().unwrap_or(0);
        if false_results >= FALSE_RESULTS || inner.banned.contains(&(key, name.to_owned())) {
            return Err(banned());
        }
        let owner = owner(&key, session);
        if let Some(known) = inner.sessions.get_mut(&owner) {
            if known.banned {
                return Err(banned());
            }
            known.name = name.to_owned();
            (known.seen, known.seen_time, known.ending) = (Instant::now(), now(), false);
            known.poll += 1;
            return Ok(());
        }
        let [of_key, of_all] = MAX_SESSIONS;
        let own = inner.sessions.values().filter(|known| known.key == key).count();
        if own >= of_key || inner.sessions.len() >= of_all {
            return Err(Refusal::new(Reason::Overloaded, "more workers are registered than the service takes"));
        }
        let session = Session {
            name: name.to_owned(),
            key,
            registered: now(),
            seen: Instant::now(),
            seen_time: now(),
            poll: 0,
            work: None,
            checking: false,
            resting: None,
            failures: 0,
            completed: 0,
            failed: 0,
            ending: false,
            banned: false,
        };
        inner.sessions.insert(owner, session);
        Ok(())
    }

    /// Whoever calls with a session of a key.
    pub fn admit(&self, key: &[u8; 8], session: &[u8]) -> Result<Caller, Refusal> {
        if session.len() != SESSION {
            let message = format!("{SESSION} bytes are expected, got {}", session.len());
            return Err(Refusal::field("session", message));
        }
        let owner = owner(key, session);
        let mut inner = self.inner();
        let known = inner.sessions.get_mut(&owner).ok_or_else(unknown)?;
        if known.banned {
            return Err(banned());
        }
        (known.seen, known.seen_time) = (Instant::now(), now());
        let name = known.name.clone();
        Ok(Caller { owner, name })
    }

    /// Begins a poll: the ones before get nothing any more. Its number, and the batch that the worker has given up by it.
    pub fn begin_poll(&self, caller: &Caller) -> Result<(u64, Option<Work>), Refusal> {
        let begun = self.with(caller, |own| {
            own.poll += 1;
            (own.poll, own.work.take())
        });
        begun.ok_or_else(unknown)
    }

    /// Until when a poll gets nothing; none if it may have a batch now.
    pub fn rest(&self, caller: &Caller) -> Option<Instant> {
        self.with(caller, |own| own.resting.filter(|end| *end > Instant::now())).flatten()
    }

    /// Whether a poll is the last one, of a worker that goes on.
    pub fn may_have(&self, caller: &Caller, poll: u64) -> bool {
        self.with(caller, |own| own.poll == poll && !own.banned && !own.ending).unwrap_or(false)
    }

    /// Notes a batch that was handed out to a poll. False if the poll is over.
    pub fn hand_out(&self, caller: &Caller, poll: u64, work: Work) -> bool {
        let handed = self.with(caller, |own| {
            let may = own.poll == poll && !own.banned && !own.ending;
            if may {
                own.work = Some(work);
            }
            may
        });
        handed.unwrap_or(false)
    }

    /// The batch in progress, if it is this one.
    pub fn work(&self, caller: &Caller, batch: Uuid, epoch: i64) -> Option<Work> {
        self.with(caller, |own| own.work.clone().filter(|work| work.is(batch, epoch))).flatten()
    }

    /// Takes up a batch that was handed out before the service's last start.
    pub fn take_up(&self, caller: &Caller, work: Work) {
        self.with(caller, |own| own.work = Some(work));
    }

    /// Begins the check of a result. False if one is being checked.
    pub fn begin_check(&self, caller: &Caller) -> bool {
        self.with(caller, |own| !std::mem::replace(&mut own.checking, true)).unwrap_or(false)
    }

    /// Ends the check of a result.
    pub fn end_check(&self, caller: &Caller) {
        self.with(caller, |own| own.checking = false);
    }

    /// A batch ended with a result.
    pub fn completed(&self, caller: &Caller, batch: Uuid, epoch: i64) {
        self.with(caller, |own| {
            own.end(batch, epoch);
            own.completed += 1;
            own.failures = 0;
        });
    }

    /// A batch ended without one, through no fault of the worker.
    pub fn ended(&self, caller: &Caller, batch: Uuid, epoch: i64) {
        self.with(caller, |own| own.end(batch, epoch));
    }

    /// A batch failed. The worker rests, longer each time: others try first.
    pub fn failed(&self, caller: &Caller, batch: Uuid, epoch: i64) {
        self.with(caller, |own| {
            own.end(batch, epoch);
            own.failed += 1;
            own.failures = own.failures.saturating_add(1);
            let rest = Duration::from_secs(1 << own.failures.min(6)).min(LONGEST_REST);
            own.resting = Some(Instant::now() + rest);
        });
    }

    /// The worker ends: its polls get nothing any more. The batch that it had, or that was on its way to it.
    pub fn leave(&self, caller: &Caller) -> Option<Work> {
        let left = self.with(caller, |own| {
            own.ending = true;
            own.poll += 1;
            own.work.take()
        });
        left.flatten()
    }

    /// Bans a worker that returned a false proof.
    pub fn ban(&self, caller: &Caller) {
        let mut inner = self.inner();
        let Some(own) = inner.sessions.get_mut(&caller.owner) else { return };
        own.banned = true;
        own.work = None;
        own.failed += 1;
        let (key, name) = (own.key, own.name.clone());
        inner.banned.insert((key, name));
        let count = inner.false_results.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        if *count >= FALSE_RESULTS {
            // Whoever has the key can call himself something else each time.
            inner.sessions.values_mut().filter(|other| other.key == key).for_each(|other| other.banned = true);
        }
    }

    /// All of them.
    pub fn list(&self) -> Vec<proto::Worker> {
        let inner = self.inner();
        let mut all: Vec<proto::Worker> = inner.sessions.values().map(Session::shown).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// How many are in each state.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for own in self.list() {
            *counts.entry(own.state().as_str_name()).or_insert(0) += 1;
        }
        counts
    }

    /// Whether anybody is there who can prove.
    pub fn any(&self) -> bool {
        use WorkerState::{Idle, Proving, Resting};
        self.list().iter().any(|own| matches!(own.state(), Idle | Proving | Resting))
    }
}

impl Session {
    fn end(&mut self, batch: Uuid, epoch: i64) {
        self.work.take_if(|work| work.is(batch, epoch));
    }

    fn state(&self) -> WorkerState {
        match self {
            Self { banned: true, .. } => WorkerState::Banned,
            Self { ending: true, .. } => WorkerState::Ending,
            own if own.seen.elapsed() > SILENT => WorkerState::Silent,
            Self { work: Some(_), .. } => WorkerState::Proving,
            own if own.resting.is_some_and(|end| end > Instant::now()) => WorkerState::Resting,
            _ => WorkerState::Idle,
        }
    }

    fn shown(&self) -> proto::Worker {
        proto::Worker {
            name: self.name.clone(),
            state: self.state().into(),
            key: hex::encode(self.key),
            register_time: Some(timestamp(self.registered)),
            seen_time: Some(timestamp(self.seen_time)),
            lease: self.work.as_ref().map(|work| batch_name(&work.batch)).unwrap_or_default(),
            lease_time: self.work.as_ref().map(|work| timestamp(work.since_time)),
            completed: self.completed,
            failed: self.failed,
        }
    }
}
