//! The worker of one machine: it takes a batch whenever it is free, has it proven by a process of its own, and hands back
//! what that process made only if it is a proof of exactly this batch.
//!
//! The process can be killed: when it is silent for too long, when nobody waits for its batch any more, or when the service
//! ends. It never touches the store.

pub mod child;
pub mod frames;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{ChildStdin, Command};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::models::Models;
use crate::store::thread::StoreThread;
use crate::store::{BatchFailure, Completed, Held, Lease, ProvenShape, millis, now};
use frames::{Item, Order, Prove, Report, SetUp, Settled, Stop, order, read_async, report, write_async};

/// How long a batch is handed out at once.
const LEASE: Duration = Duration::from_secs(60);
/// How often a lease is prolonged.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time that a process has to load its models.
const LOADING: Duration = Duration::from_secs(900);
/// Time that a process has to stop by itself.
const STOPPING: Duration = Duration::from_secs(5);

/// The program that becomes the proving process: it calls [`child::run`].
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why there is no proving process.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started, or died.
    #[error("the proving process {path}: {source}", path = .path.display())]
    Process {
        /// The executable.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refuses its models.
    #[error("{0}")]
    Models(String),
}

/// The worker.
pub struct Worker {
    pub store: StoreThread,
    /// Who it is to the store.
    pub owner: String,
    pub models: Arc<Models>,
    pub program: ChildProgram,
    pub set_up: SetUp,
    pub hang: Duration,
    pub drain: Duration,
    /// There may be work.
    pub wake: Arc<Notify>,
    /// The service ends.
    pub ending: watch::Receiver<bool>,
}

/// The proving process, killed when this is dropped.
pub struct Process {
    child: tokio::process::Child,
    orders: ChildStdin,
    reports: mpsc::Receiver<Report>,
}

/// What became of a batch.
enum Outcome {
    Proof(Vec<u8>),
    Settled(Settled),
    Failed(BatchFailure),
    /// Nobody waits for it.
    GivenUp,
}

impl Worker {
    /// Starts a process and waits until it has loaded its models.
    pub async fn start(&self) -> Result<Process, WorkerError> {
        let failed = |source| WorkerError::Process { path: self.program.path.clone(), source };
        let mut child = Command::new(&self.program.path)
            .args(&self.program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, mut output) = pipes.ok_or_else(|| failed(io::Error::other("no pipes")))?;
        let (sender, reports) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(report) = read_async::<Report>(&mut output).await {
                if sender.send(report).await.is_err() {
                    return;
                }
            }
        });
        let mut process = Process { child, orders, reports };
        process.order(order::What::SetUp(self.set_up.clone())).await.map_err(failed)?;
        match timeout(LOADING, process.reports.recv()).await.ok().flatten().and_then(|report| report.what) {
            Some(report::What::Ready(_)) => Ok(process),
            Some(report::What::Failed(refused)) => Err(WorkerError::Models(refused.message)),
            _ => Err(failed(io::Error::other("it died before its models were loaded"))),
        }
    }

    /// Proves what waits, until the service ends.
    pub async fn run(mut self, first: Process) {
        let mut process = Some(first);
        while !*self.ending.borrow() {
            let until = now().saturating_add(millis(LEASE));
            // Listened to before the lease: what changes after it is not missed.
            let changes = self.store.changes();
            let owner = self.owner.clone();
            let lease = match self.store.call(move |store| store.lease(now(), &owner, until)).await {
                Ok(Some(lease)) => lease,
                Ok(None) => {
                    self.idle().await;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "no work could be taken");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let own = match process.take() {
                Some(own) => Ok(own),
                None => self.start().await,
            };
            tracing::debug!(batch = %lease.batch, tenant = lease.tenant, jobs = lease.members.len(), "a batch is begun");
            let outcome = match own {
                Ok(mut own) => {
                    let outcome = self.prove(&mut own, &lease, changes).await;
                    // A process that was killed has lost its pipe; the next batch gets a new one.
                    process = matches!(own.child.try_wait(), Ok(None)).then_some(own);
                    outcome
                }
                Err(error) => {
                    tracing::error!(%error, "no proving process");
                    Outcome::Failed(BatchFailure::Lost("CHILD_DIED"))
                }
            };
            if self.settle(&lease, outcome).await {
                process = None;
            }
        }
    }

    /// Waits for work, a while, or the end.
    async fn idle(&mut self) {
        tokio::select! {
            () = self.wake.notified() => {}
            () = sleep(Duration::from_secs(1)) => {}
            _ = self.ending.changed() => {}
        }
    }

    async fn prove(
        &self,
        process: &mut Process,
        lease: &Lease,
        mut changes: broadcast::Receiver<uuid::Uuid>,
    ) -> Outcome {
        if process.order(order::What::Prove(self.batch(lease))).await.is_err() {
            process.kill().await;
            return Outcome::Failed(BatchFailure::Lost("CHILD_DIED"));
        }
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut sign, mut beat) = (Instant::now(), Instant::now());
        let (mut stopping, mut ending): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            let mut look = false;
            tokio::select! {
                report = process.reports.recv() => match report.and_then(|report| report.what) {
                    Some(report::What::Step(_) | report::What::Ready(_)) => sign = Instant::now(),
                    Some(report::What::Proof(proof)) => return Outcome::Proof(proof),
                    Some(report::What::Settled(settled)) => return Outcome::Settled(settled),
                    Some(report::What::Failed(failed)) if failed.stopped => return Outcome::GivenUp,
                    Some(report::What::Failed(failed)) => {
                        tracing::warn!(batch = %lease.batch, reason = failed.message, "a batch failed");
                        let reason = crate::error::Reason::ProvingFailed.name().to_owned();
                        return Outcome::Failed(match failed.always {
                            true => BatchFailure::Always(reason),
                            false => BatchFailure::Work(reason),
                        });
                    }
                    None => {
                        tracing::warn!(batch = %lease.batch, "the proving process died");
                        process.kill().await;
                        return match stopping {
                            Some(_) => Outcome::GivenUp,
                            None => Outcome::Failed(BatchFailure::Lost("CHILD_DIED")),
                        };
                    }
                },
                changed = changes.recv() => look = match changed {
                    Ok(id) => lease.members.iter().any(|member| member.id == id),
                    Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => return Outcome::GivenUp,
                },
                _ = ticks.tick() => look = beat.elapsed() >= HEARTBEAT,
            }
            if look && stopping.is_none() {
                beat = Instant::now();
                if !self.holds(lease).await {
                    stopping = Some(Instant::now());
                    // Whether the pipe still stands shows in the reports.
                    let _ = process.order(order::What::Stop(Stop {})).await;
                }
            }
            if stopping.is_some_and(|since| since.elapsed() > STOPPING) {
                process.kill().await;
                return Outcome::GivenUp;
            }
            if sign.elapsed() > self.hang {
                tracing::warn!(batch = %lease.batch, "the proving process is silent and is killed");
                process.kill().await;
                return Outcome::Failed(BatchFailure::Lost("WORKER_HANG"));
            }
            if *self.ending.borrow() && ending.get_or_insert_with(Instant::now).elapsed() > self.drain {
                process.kill().await;
                return Outcome::Failed(BatchFailure::HandedBack);
            }
        }
    }

    /// Prolongs the lease. A store that cannot be asked is no reason to stop: the lease ends by itself if it lasts.
    async fn holds(&self, lease: &Lease) -> bool {
        let (batch, epoch, until) = (lease.batch, lease.epoch, now().saturating_add(millis(LEASE)));
        match self.store.call(move |store| store.extend(batch, epoch, until)).await {
            Ok(held) => held == Held::Yes,
            Err(error) => {
                tracing::error!(%error, "a lease could not be prolonged");
                true
            }
        }
    }

    /// Hands in what came out. True if the process is not to be trusted with another batch.
    async fn settle(&self, lease: &Lease, outcome: Outcome) -> bool {
        let (models, own) = (self.models.clone(), lease.clone());
        let checked = match outcome {
            Outcome::GivenUp => return false,
            Outcome::Failed(failure) => Err((failure, false)),
            made => {
                let check = move || match made {
                    Outcome::Proof(proof) => (models.expect_proof_of(&own, &proof), proof),
                    Outcome::Settled(Settled { settlement, key }) => {
                        (models.expect_settlement_of(&own, &settlement, &key), settlement)
                    }
                    Outcome::Failed(_) | Outcome::GivenUp => (Err("nothing was made".into()), Vec::new()),
                };
                match tokio::task::spawn_blocking(check).await {
                    Ok((Ok(shape), made)) => Ok((shape, made)),
                    Ok((Err(reason), _)) => {
                        tracing::error!(batch = %lease.batch, reason, "what the worker made is refused");
                        let reason = crate::error::Reason::ProofRejected.name().to_owned();
                        Err((BatchFailure::Work(reason), true))
                    }
                    Err(_) => Err((BatchFailure::Work(crate::error::Reason::Internal.name().into()), true)),
                }
            }
        };
        let distrusted = matches!(checked, Err((_, true)));
        let checked: Result<(ProvenShape, Arc<[u8]>), BatchFailure> = match checked {
            Ok((shape, proof)) => Ok((shape, proof.into())),
            Err((failure, _)) => Err(failure),
        };
        let (batch, epoch) = (lease.batch, lease.epoch);
        // A result is not thrown away because the disk is full for a moment.
        for attempt in 0.. {
            let own = checked.clone();
            let written = self.store.call(move |store| match own {
                Ok((shape, proof)) => store.complete(now(), batch, epoch, &proof, shape),
                Err(failure) => store.fail(now(), batch, epoch, &failure).map(|_| Completed::Done),
            });
            match written.await {
                Ok(Completed::Stale) => tracing::warn!(%batch, "a result came too late"),
                Ok(_) => {}
                Err(error) if attempt < 60 && !*self.ending.borrow() => {
                    tracing::error!(%error, %batch, "a result could not be written");
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
                Err(error) => tracing::error!(%error, %batch, "a result is given up"),
            }
            break;
        }
        distrusted
    }

    fn batch(&self, lease: &Lease) -> Prove {
        let path = |id| self.models.adapters.get(id).map(|adapter| adapter.path.display().to_string());
        let items = lease.members.iter().map(|member| Item {
            token_ids: member.token_ids.clone(),
            salt: member.salt.to_vec(),
            adapter: member.adapter.as_ref().and_then(path).unwrap_or_default(),
        });
        Prove {
            base: lease.base.to_vec(),
            items: items.collect(),
            embed: lease.kind == lorica::circuits::shape::OutputKind::Embed.number(),
            context: lease.context.to_vec(),
            binding: lease.binding.clone().unwrap_or_default(),
            datanet: lease.datanet.as_ref().and_then(|id| self.models.datanet_path(id)).unwrap_or_default(),
        }
    }
}

impl Process {
    async fn order(&mut self, what: order::What) -> io::Result<()> {
        write_async(&mut self.orders, &Order { what: Some(what) }).await
    }

    async fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill().await;
    }
}
