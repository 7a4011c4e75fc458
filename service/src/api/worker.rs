//! Batches for workers on other machines, and their results. A worker is not believed: what it returns is checked here as what
//! the own proving process returns is, outside the store, and a false result ends its session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Shared;
use super::catalog::Catalog;
use super::message::{timestamp, wait};
use super::sessions::{Caller, SESSION, Work, banned};
use crate::error::{Reason, Refusal};
use crate::models::{Made, name};
use crate::proto;
use crate::proto::worker_service_server::WorkerService;
use crate::store::blobs::digest;
use crate::store::{BatchFailure, Claim, Completed, Held, Lease, Word, millis, now};
use crate::worker::remote::{PROTOCOL, VERSION, batch_id, batch_name};
use crate::worker::{HEARTBEAT, LEASE};

/// How often a poll looks for itself, whatever it was told.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a worker's name.
const NAME: usize = 63;

/// The service.
pub struct Workers {
    pub shared: Arc<Shared>,
    /// Made when the first worker comes.
    pub catalog: OnceCell<Catalog>,
    /// Checks that run.
    pub checks: Arc<Semaphore>,
    /// Longest time that one batch may take.
    pub longest: Duration,
    /// How often a poll looks for itself.
    pub look: Duration,
}

type Answered<T> = Result<Response<T>, Status>;

fn lost() -> Refusal {
    Refusal::new(Reason::LeaseLost, "the lease has ended, or is another session's")
}

/// A batch and its epoch as messages name them.
fn lease_of(name: &str, epoch: u64) -> Result<(Uuid, i64), Refusal> {
    let batch = batch_id(name).ok_or_else(|| Refusal::field("lease", "`batches/` and a UUID are expected"))?;
    let epoch = i64::try_from(epoch).map_err(|_| Refusal::field("epoch", "it is out of range"))?;
    Ok((batch, epoch))
}

fn word(field: &'static str, bytes: &[u8]) -> Result<Word, Refusal> {
    bytes.try_into().map_err(|_| Refusal::field(field, format!("32 bytes are expected, got {}", bytes.len())))
}

impl Workers {
    pub fn new(shared: Arc<Shared>, longest: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { shared, catalog: OnceCell::new(), checks: Arc::new(Semaphore::new(cores)), longest, look: LOOK }
    }

    async fn admit(&self, metadata: &MetadataMap, session: &[u8]) -> Result<Caller, Refusal> {
        let key = self.shared.worker_key(metadata).await?;
        self.shared.workers.admit(&key, session)
    }

    async fn catalog(&self) -> Result<&Catalog, Refusal> {
        let make = || async {
            let models = self.shared.models.clone();
            let made = tokio::task::spawn_blocking(move || Catalog::new(&models)).await;
            let made = made.map_err(|_| Refusal::new(Reason::Internal, "the files could not be looked at"))?;
            made.map_err(|(path, error)| {
                tracing::error!(path = %path.display(), %error, "a served file cannot be read");
                Refusal::new(Reason::Internal, "a served file cannot be read")
            })
        };
        self.catalog.get_or_try_init(make).await
    }

    /// A batch that a session holds, from memory or from before the service's last start.
    async fn held(&self, caller: &Caller, batch: Uuid, epoch: i64) -> Result<Work, Refusal> {
        if let Some(work) = self.shared.workers.work(caller, batch, epoch) {
            return Ok(work);
        }
        match self.claim(caller, batch, epoch).await? {
            Claim::Held(_) => {
                let work = Work::new(batch, epoch, None);
                self.shared.workers.take_up(caller, work.clone());
                Ok(work)
            }
            Claim::Done(_) | Claim::Lost => Err(lost()),
        }
    }

    async fn claim(&self, caller: &Caller, batch: Uuid, epoch: i64) -> Result<Claim, Refusal> {
        let owner = caller.owner.clone();
        Ok(self.shared.store.call(move |store| store.claim(batch, epoch, &owner)).await?)
    }

    async fn fail(&self, batch: Uuid, epoch: i64, failure: BatchFailure) -> Result<bool, Refusal> {
        let failed = self.shared.change(move |store| store.fail(now(), batch, epoch, &failure)).await?;
        self.shared.wake.notify_one();
        Ok(failed)
    }

    /// Hands a batch out to a poll, if there is one.
    async fn hand_out(&self, caller: &Caller, poll: u64) -> Result<Option<Arc<Lease>>, Refusal> {
        let (shared, caller) = (self.shared.clone(), caller.clone());
        let (answer, answered) = oneshot::channel();
        // Whoever asked may go at any time: what was leased for nobody is given back at once, and not when its lease ends.
        tokio::spawn(async move {
            let taken = take(&shared, &caller, poll).await;
            let leased = taken.as_ref().ok().and_then(Option::as_ref).map(|lease| (lease.batch, lease.epoch));
            if answer.send(taken).is_err()
                && let Some((batch, epoch)) = leased
            {
                shared.workers.ended(&caller, batch, epoch);
                give_back(&shared, batch, epoch).await;
            }
        });
        answered.await.map_err(|_| Refusal::new(Reason::Internal, "the lease did not come to its end"))?
    }

    /// Checks a result and writes it. Runs to its end, whether or not the worker waits for the answer.
    async fn judge(self: &Arc<Self>, caller: &Caller, work: Work, made: Made) -> Result<bool, Refusal> {
        if !self.shared.workers.begin_check(caller) {
            return Err(Refusal::new(Reason::Overloaded, "a result of this worker is being checked"));
        }
        let (own, caller) = (self.clone(), caller.clone());
        let judged = tokio::spawn(async move {
            let judged = own.take_result(&caller, work, made).await;
            own.shared.workers.end_check(&caller);
            judged
        });
        judged.await.map_err(|_| Refusal::new(Reason::Internal, "the check did not come to its end"))?
    }

    async fn take_result(&self, caller: &Caller, work: Work, made: Made) -> Result<bool, Refusal> {
        let (batch, epoch) = (work.batch, work.epoch);
        let remembered = work.content.is_some();
        let lease = match work.content {
            Some(lease) => lease,
            None => match self.claim(caller, batch, epoch).await? {
                Claim::Held(lease) => Arc::new(lease),
                Claim::Done(_) | Claim::Lost => return Err(lost()),
            },
        };
        if !self.shared.models.serves(&lease) {
            self.shared.workers.ended(caller, batch, epoch);
            self.fail(batch, epoch, BatchFailure::HandedBack).await?;
            return Err(lost());
        }
        let models = self.shared.models.clone();
        let closed = |_| Refusal::new(Reason::Draining, "the service is ending");
        let permit = self.checks.clone().acquire_owned().await.map_err(closed)?;
        let check = move || {
            let checked = models.expect_made_of(&lease, &made);
            drop(permit);
            (checked, made)
        };
        let fault = |_| Refusal::new(Reason::Internal, "the check did not come to its end");
        let (checked, made) = tokio::task::spawn_blocking(check).await.map_err(fault)?;
        let shape = match checked {
            Ok(shape) => shape,
            Err(reason) => {
                tracing::error!(worker = caller.name, %batch, reason, "what a worker made is refused");
                // Through no attempt of the job's own: another worker proves it.
                let failure = BatchFailure::Lost(Reason::ProofRejected.name());
                if remembered {
                    self.shared.workers.ban(caller);
                    self.fail(batch, epoch, failure).await?;
                    return Err(banned());
                }
                // Of a batch that was handed out before the last start some inputs may be wiped: that is no proof of malice.
                self.shared.workers.failed(caller, batch, epoch);
                self.fail(batch, epoch, failure).await?;
                return Err(lost());
            }
        };
        let (Made::Proof(bytes) | Made::Settlement { bytes, .. }) = made;
        let written = self.shared.change(move |store| store.complete(now(), batch, epoch, &bytes, shape)).await?;
        match written {
            Completed::Stale => {
                self.shared.workers.ended(caller, batch, epoch);
                Err(lost())
            }
            written => {
                self.shared.workers.completed(caller, batch, epoch);
                Ok(written == Completed::Duplicate)
            }
        }
    }
}

/// Gives a batch back that was leased for nobody. A store that cannot be asked: then the lease ends by itself.
async fn give_back(shared: &Shared, batch: Uuid, epoch: i64) {
    let given = shared.store.call(move |store| store.fail(now(), batch, epoch, &BatchFailure::HandedBack)).await;
    if let Err(error) = given {
        tracing::error!(%error, %batch, "a batch could not be given back");
    }
    shared.wake.notify_one();
}

/// Leases a batch for a poll. Batches of what is not served any more fail on the way.
async fn take(shared: &Shared, caller: &Caller, poll: u64) -> Result<Option<Arc<Lease>>, Refusal> {
    loop {
        if !shared.workers.may_have(caller, poll) {
            return Ok(None);
        }
        let (owner, until) = (caller.owner.clone(), now().saturating_add(millis(LEASE)));
        let leased = shared.store.call(move |store| store.lease(now(), &owner, until)).await?;
        let Some(lease) = leased.map(Arc::new) else { return Ok(None) };
        let (batch, epoch) = (lease.batch, lease.epoch);
        if !shared.models.serves(&lease) {
            let failure = BatchFailure::Always(Reason::ProvingFailed.name().into());
            shared.store.call(move |store| store.fail(now(), batch, epoch, &failure)).await?;
            continue;
        }
        if !shared.workers.hand_out(caller, poll, Work::new(batch, epoch, Some(lease.clone()))) {
            give_back(shared, batch, epoch).await;
            return Ok(None);
        }
        tracing::debug!(%batch, worker = caller.name, tenant = lease.tenant, jobs = lease.members.len(), "a batch is handed out");
        return Ok(Some(lease));
    }
}

/// A batch as its worker is told of it.
fn message(lease: &Lease) -> proto::Lease {
    let kind = match lease.kind == lorica::circuits::shape::OutputKind::Embed.number() {
        true => proto::OutputKind::Embed,
        false => proto::OutputKind::Classify,
    };
    let items = lease.members.iter().map(|member| proto::ProveItem {
        token_ids: member.token_ids.clone(),
        salt: member.salt.to_vec(),
        adapter: member.adapter.as_ref().map(|id| name("adapters", id)).unwrap_or_default(),
    });
    proto::Lease {
        name: batch_name(&lease.batch),
        epoch: lease.epoch.unsigned_abs(),
        expire_time: Some(timestamp(now().saturating_add(millis(LEASE)))),
        prove: Some(proto::ProveWork {
            base: name("bases", &lease.base),
            items: items.collect(),
            kind: kind.into(),
            context: lease.context.to_vec(),
            datanet: lease.datanet.as_ref().map(|id| name("datanets", id)).unwrap_or_default(),
            target: lease.binding.clone().unwrap_or_default(),
        }),
    }
}

fn duration(time: Duration) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: time.as_secs().cast_signed(), nanos: 0 })
}

/// The calls. Shared by its handlers and by checks that outlive a call.
pub struct WorkerCalls(pub Arc<Workers>);

#[tonic::async_trait]
impl WorkerService for WorkerCalls {
    async fn register(&self, request: Request<proto::RegisterRequest>) -> Answered<proto::RegisterResponse> {
        let key = self.0.shared.worker_key(request.metadata()).await?;
        let asked = request.into_inner();
        if asked.protocol != PROTOCOL || asked.version != VERSION {
            let (protocol, version) = (asked.protocol, asked.version.chars().take(NAME).collect::<String>());
            let message = format!(
                "the worker is lorica {version} with protocol {protocol}, the service lorica {VERSION} with protocol {PROTOCOL}"
            );
            return Err(Refusal::of(Reason::VersionOther, "version", message).into());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if asked.worker.is_empty() || asked.worker.len() > NAME || !asked.worker.chars().all(is_plain) {
            let message = "1 to 63 letters, digits, hyphens, dots and underscores are expected";
            return Err(Refusal::field("worker", message).into());
        }
        self.0.shared.expect_open()?;
        let session = match asked.session.len() {
            0 => {
                let mut session = vec![0; SESSION];
                let none = |_| Refusal::new(Reason::Internal, "the system gives no randomness");
                getrandom::fill(&mut session).map_err(none)?;
                session
            }
            SESSION => asked.session,
            length => {
                let message = format!("{SESSION} bytes or none are expected, got {length}");
                return Err(Refusal::field("session", message).into());
            }
        };
        self.0.shared.workers.register(key, &asked.worker, &session)?;
        let files = self.0.catalog().await?.list.clone();
        tracing::info!(worker = asked.worker, key = hex::encode(key), "a worker is registered");
        Ok(Response::new(proto::RegisterResponse {
            session,
            heartbeat_interval: duration(HEARTBEAT),
            lease_time: duration(LEASE),
            files,
        }))
    }

    async fn lease(&self, request: Request<proto::LeaseRequest>) -> Answered<proto::LeaseResponse> {
        let caller = self.0.admit(request.metadata(), &request.get_ref().session).await?;
        let end = Instant::now() + wait(request.get_ref().wait.as_ref())?;
        let shared = &self.0.shared;
        let (poll, given_up) = shared.workers.begin_poll(&caller)?;
        if let Some(work) = given_up {
            // The worker died, or the answer was lost.
            tracing::warn!(worker = caller.name, batch = %work.batch, "a worker asks for another batch");
            self.0.fail(work.batch, work.epoch, BatchFailure::Lost("LEASE_DROPPED")).await?;
        }
        let mut ending = shared.ending.clone();
        loop {
            shared.expect_open()?;
            // Banned while it waited.
            self.0.admit(request.metadata(), &request.get_ref().session).await?;
            let rest = shared.workers.rest(&caller).map(Instant::from_std);
            if rest.is_none()
                && let Some(lease) = self.0.hand_out(&caller, poll).await?
            {
                return Ok(Response::new(proto::LeaseResponse { lease: Some(message(&lease)) }));
            }
            if Instant::now() >= end || !shared.workers.may_have(&caller, poll) {
                return Ok(Response::new(proto::LeaseResponse { lease: None }));
            }
            let again = rest.unwrap_or_else(|| Instant::now() + self.0.look).min(end);
            tokio::select! {
                () = shared.wake.notified(), if rest.is_none() => {}
                () = sleep_until(again) => {}
                _ = ending.changed() => {}
            }
        }
    }

    async fn heartbeat(&self, request: Request<proto::HeartbeatRequest>) -> Answered<proto::HeartbeatResponse> {
        let caller = self.0.admit(request.metadata(), &request.get_ref().session).await?;
        let (batch, epoch) = lease_of(&request.get_ref().lease, request.get_ref().epoch)?;
        let work = self.0.held(&caller, batch, epoch).await?;
        let shared = &self.0.shared;
        let drain = *shared.ending.borrow();
        let stopped = |stop| proto::HeartbeatResponse { stop, drain, expire_time: None };
        if work.since.elapsed() > self.0.longest {
            tracing::warn!(worker = caller.name, %batch, "a batch takes longer than any may, and is taken away");
            shared.workers.failed(&caller, batch, epoch);
            self.0.fail(batch, epoch, BatchFailure::Lost("WORKER_HANG")).await?;
            return Ok(Response::new(stopped(true)));
        }
        let until = now().saturating_add(millis(LEASE));
        let held = shared.change(move |store| store.extend(batch, epoch, until)).await?;
        if held == Held::No {
            shared.workers.ended(&caller, batch, epoch);
            return Ok(Response::new(stopped(true)));
        }
        let expire_time = Some(timestamp(until));
        Ok(Response::new(proto::HeartbeatResponse { expire_time, ..stopped(false) }))
    }

    async fn complete(&self, request: Request<proto::CompleteRequest>) -> Answered<proto::CompleteResponse> {
        let caller = self.0.admit(request.metadata(), &request.get_ref().session).await?;
        let asked = request.into_inner();
        let (batch, epoch) = lease_of(&asked.lease, asked.epoch)?;
        let sha256 = word("sha256", &asked.sha256)?;
        if digest(&asked.result) != sha256 {
            return Err(Refusal::field("result", "it does not have its digest: it was damaged on its way").into());
        }
        let work = match self.0.claim(&caller, batch, epoch).await? {
            Claim::Held(_) => self.0.held(&caller, batch, epoch).await?,
            Claim::Done(own) if own == sha256 => return Ok(Response::new(proto::CompleteResponse { duplicate: true })),
            Claim::Done(_) | Claim::Lost => {
                self.0.shared.workers.ended(&caller, batch, epoch);
                return Err(lost().into());
            }
        };
        let made = match asked.settlement_key.is_empty() {
            true => Made::Proof(asked.result),
            false => Made::Settlement { bytes: asked.result, key: asked.settlement_key },
        };
        let duplicate = self.0.judge(&caller, work, made).await?;
        Ok(Response::new(proto::CompleteResponse { duplicate }))
    }

    async fn fail(&self, request: Request<proto::FailRequest>) -> Answered<proto::FailResponse> {
        use proto::FailReason;
        let caller = self.0.admit(request.metadata(), &request.get_ref().session).await?;
        let asked = request.get_ref();
        let (batch, epoch) = lease_of(&asked.lease, asked.epoch)?;
        let unproven = || Reason::ProvingFailed.name().to_owned();
        let failure = match FailReason::try_from(asked.reason) {
            Ok(FailReason::Lost) => BatchFailure::Lost("CHILD_DIED"),
            Ok(FailReason::Hang) => BatchFailure::Lost("WORKER_HANG"),
            // What was executed here can be proven: one worker's word that it never can ends no job.
            Ok(FailReason::Work | FailReason::Always) => BatchFailure::Work(unproven()),
            Ok(FailReason::HandedBack) => BatchFailure::HandedBack,
            Ok(FailReason::Unspecified) | Err(_) => {
                return Err(Refusal::field("reason", "no such reason").into());
            }
        };
        self.0.held(&caller, batch, epoch).await?;
        tracing::warn!(worker = caller.name, %batch, ?failure, "a worker made nothing of a batch");
        let workers = &self.0.shared.workers;
        match failure {
            BatchFailure::HandedBack => drop(workers.leave(&caller)),
            _ => workers.failed(&caller, batch, epoch),
        }
        if !self.0.fail(batch, epoch, failure).await? {
            return Err(lost().into());
        }
        Ok(Response::new(proto::FailResponse {}))
    }

    async fn leave(&self, request: Request<proto::LeaveRequest>) -> Answered<proto::LeaveResponse> {
        let caller = self.0.admit(request.metadata(), &request.get_ref().session).await?;
        if let Some(work) = self.0.shared.workers.leave(&caller) {
            self.0.fail(work.batch, work.epoch, BatchFailure::HandedBack).await?;
        }
        tracing::info!(worker = caller.name, "a worker ends");
        Ok(Response::new(proto::LeaveResponse {}))
    }

    async fn get_blob(&self, request: Request<proto::GetBlobRequest>) -> Answered<proto::GetBlobResponse> {
        self.0.admit(request.metadata(), &request.get_ref().session).await?;
        let asked = request.into_inner();
        let sha256 = word("sha256", &asked.sha256)?;
        let size = self.0.catalog().await?.size(&sha256);
        let size = size.ok_or_else(|| Refusal::new(Reason::BlobUnknown, "no served file has this digest"))?;
        if asked.offset >= size {
            return Err(Refusal::field("offset", format!("the file has {size} bytes")).into());
        }
        let own = self.0.clone();
        let read = move || own.catalog.get().map(|catalog| catalog.piece(&sha256, asked.offset));
        match tokio::task::spawn_blocking(read).await {
            Ok(Some(Ok(chunk))) => Ok(Response::new(proto::GetBlobResponse { chunk })),
            Ok(Some(Err(error))) => {
                tracing::error!(%error, "a served file cannot be read");
                Err(Refusal::new(Reason::Internal, "a served file cannot be read").into())
            }
            Ok(None) | Err(_) => Err(Refusal::new(Reason::Internal, "the file could not be looked at").into()),
        }
    }

    async fn list_workers(&self, request: Request<proto::ListWorkersRequest>) -> Answered<proto::ListWorkersResponse> {
        self.0.shared.worker_key(request.metadata()).await?;
        let shared = &self.0.shared;
        Ok(Response::new(proto::ListWorkersResponse { workers: shared.workers.list(), in_process: shared.in_process }))
    }
}

#[cfg(test)]
mod tests;
