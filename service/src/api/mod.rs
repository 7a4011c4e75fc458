//! The calls of clients.
//!
//! * [`inference`], [`market`], [`model`], [`worker`]: one file per gRPC service
//! * [`sessions`]: workers on other machines as the service knows them; [`catalog`]: the files that they fetch
//! * [`message`]: jobs as messages, fields of messages
//! * [`deadline`]: the layer that answers calls whose deadline passes
//!
//! A call that is given up by its client drops its handler wherever that waits. So whatever changes something is one command to
//! the store's thread, which is carried out once it was sent, and is sent from a task of its own.

mod catalog;
pub mod deadline;
pub mod inference;
pub mod market;
pub mod message;
pub mod model;
pub mod sessions;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tonic::{Request, metadata::MetadataMap};

use crate::error::{Reason, Refusal};
use crate::keys::{Scope, Secret};
use crate::models::{Asked, Executed, Models};
use crate::store::thread::StoreThread;
use crate::store::{ApiKey, Store, StoreError, now};
use deadline::CallDeadline;
use sessions::Sessions;

/// The tenant of calls without a key.
pub const LOCAL: &str = "local";
/// Executions that may wait for one that runs.
const WAITING: usize = 16;
/// Longest time that a call is kept waiting for a proof.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What all calls share.
pub struct Shared {
    pub store: StoreThread,
    pub models: Arc<Models>,
    pub keyless: bool,
    pub open_proofs: u32,
    /// Executions that run.
    pub running: Arc<Semaphore>,
    /// Executions that run or wait.
    pub admitted: Arc<Semaphore>,
    /// There is work.
    pub wake: Arc<Notify>,
    /// Workers on other machines.
    pub workers: Sessions,
    /// The service proves itself, too.
    pub in_process: bool,
    /// The service ends: nothing new is taken.
    pub ending: watch::Receiver<bool>,
    /// The worker has ended: nobody is kept waiting.
    pub ended: watch::Receiver<bool>,
}

impl Shared {
    /// The limits of executions: how many run, and how many run or wait.
    pub fn executions(running: usize) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let admitted = running.saturating_mul(WAITING + 1);
        (Arc::new(Semaphore::new(running)), Arc::new(Semaphore::new(admitted)))
    }

    /// The tenant of a call whose key has a scope. A worker's key is for nothing else, whatever else it is said to be for.
    pub async fn tenant(&self, metadata: &MetadataMap, scope: Scope) -> Result<String, Refusal> {
        if self.keyless && metadata.get("authorization").is_none() {
            return Ok(LOCAL.into());
        }
        let key = self.key(metadata).await?;
        if key.scopes & scope.bit() == 0 || key.scopes & Scope::Work.bit() != 0 {
            return Err(lacks(scope));
        }
        Ok(key.tenant)
    }

    /// The id of a worker's key. Nobody works without one, also where calls without a key are taken.
    pub async fn worker_key(&self, metadata: &MetadataMap) -> Result<[u8; 8], Refusal> {
        let key = self.key(metadata).await?;
        if key.scopes == Scope::Work.bit() { Ok(key.id) } else { Err(lacks(Scope::Work)) }
    }

    /// The key of a call, which holds.
    async fn key(&self, metadata: &MetadataMap) -> Result<ApiKey, Refusal> {
        let invalid =
            || Refusal::new(Reason::KeyInvalid, "`authorization: Bearer lrk_...` with a key that holds is needed");
        let header = metadata.get("authorization").ok_or_else(invalid)?;
        let text = header.to_str().map_err(|_| invalid())?;
        let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let secret = bearer.and_then(|(_, secret)| Secret::parse(secret)).ok_or_else(invalid)?;
        let id = secret.id;
        let known = self.store.call(move |store| store.key(&id)).await?;
        known.filter(|key| secret.opens(key, now())).ok_or_else(invalid)
    }

    /// Refuses what is new while the service ends.
    pub fn expect_open(&self) -> Result<(), Refusal> {
        if *self.ending.borrow() { Err(Refusal::new(Reason::Draining, "the service is ending")) } else { Ok(()) }
    }

    /// Executes a request on a thread for computations. Of those that wait, at most [`WAITING`] times as many as run.
    pub async fn execute(&self, asked: Asked) -> Result<Executed, Refusal> {
        self.compute(move |models| models.execute(&asked)).await?
    }

    /// Runs a computation that takes a processor for a while, within the limit of executions.
    pub async fn compute<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Models) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let overloaded = |_| Refusal::new(Reason::Overloaded, "more executions wait than the service takes");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(overloaded)?;
        let closed = |_| Refusal::new(Reason::Draining, "the service is ending");
        let running = self.running.clone().acquire_owned().await.map_err(closed)?;
        let models = self.models.clone();
        let run = move || {
            let result = run(&models);
            drop((running, admitted));
            result
        };
        let fault = |_| Refusal::new(Reason::Internal, "the computation did not come to its end");
        tokio::task::spawn_blocking(run).await.map_err(fault)
    }

    /// Changes the store, whether or not the caller is still there when it is done.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.store.clone();
        let task = tokio::spawn(async move { store.call(change).await });
        let fault = |_| Refusal::new(Reason::Internal, "the change did not come to its end");
        Ok(task.await.map_err(fault)??)
    }
}

fn lacks(scope: Scope) -> Refusal {
    Refusal::new(Reason::ScopeMissing, format!("the key lacks the scope `{}`", scope.name()))
}

/// When the client of a call stops waiting, if it said so.
pub fn call_deadline<T>(request: &Request<T>) -> Option<tokio::time::Instant> {
    request.extensions().get::<CallDeadline>().map(|deadline| deadline.0)
}
