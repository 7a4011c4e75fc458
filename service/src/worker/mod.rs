//! A worker: it takes a batch whenever it is free, has it proven by a process of its own, and hands in what that process made.
//!
//! * [`source`]: where batches come from and results go; [`local`]: the store of this process; [`remote`]: a service elsewhere
//! * [`process`]: the proving process as its worker holds it; [`child`]: the process itself; [`frames`]: what they say to each other
//! * [`cache`]: served files on a worker's disk; [`spool`]: its results that are not handed in yet; [`link`]: its calls
//!
//! The process can be killed: when it is silent for too long, when nobody waits for its batch any more, or when the worker
//! ends. It never touches the store.

mod cache;
pub mod child;
pub mod frames;
mod link;
pub mod local;
mod process;
pub mod remote;
mod source;
mod spool;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Reason;
use crate::store::BatchFailure;
use frames::{Prove, Stop, order, report};
pub use process::{ChildProgram, Process, WorkerError};
use source::{Outcome, Source, Taken};

/// How long a batch is handed out at once.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often a lease is prolonged.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time that a process has to stop by itself.
const STOPPING: Duration = Duration::from_secs(5);

/// The worker.
pub struct Worker<S> {
    pub source: S,
    pub program: ChildProgram,
    /// Silence after which the process is killed.
    pub hang: Duration,
    /// Time for the batch in progress at the end.
    pub drain: Duration,
    /// The end.
    pub ending: watch::Receiver<bool>,
}

impl<S: Source> Worker<S> {
    /// Starts a process and waits until it has loaded its models.
    pub async fn start(&self) -> Result<Process, WorkerError> {
        Process::start(&self.program, self.source.set_up()).await
    }

    /// Proves what waits, until the end. What is left of the source then.
    pub async fn run(mut self, first: Process) -> S {
        let mut process = Some(first);
        while !*self.ending.borrow() {
            let (mut lease, batch) = match self.source.lease().await {
                Taken::Batch(lease, batch) => (lease, batch),
                Taken::Nothing => continue,
                Taken::Over => break,
            };
            // What is served may be something else since the process was started.
            let own = match process.take().filter(|own| own.has_loaded(&self.source.set_up())) {
                Some(own) => Ok(own),
                None => self.start().await,
            };
            let outcome = match own {
                Ok(mut own) => {
                    let outcome = self.prove(&mut own, &mut lease, batch).await;
                    // A process that was killed has lost its pipe; the next batch gets a new one.
                    process = own.lives().then_some(own);
                    outcome
                }
                Err(error) => {
                    tracing::error!(%error, "no proving process");
                    Outcome::Failed(BatchFailure::Lost("CHILD_DIED"))
                }
            };
            if self.source.deliver(lease, outcome).await {
                process = None;
            }
        }
        self.source
    }

    async fn prove(&mut self, process: &mut Process, lease: &mut S::Lease, order: Prove) -> Outcome {
        let batch = S::name(lease);
        if process.order(order::What::Prove(order)).await.is_err() {
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
                report = process.report() => match report {
                    Some(report::What::Step(_) | report::What::Ready(_)) => sign = Instant::now(),
                    Some(report::What::Proof(proof)) => return Outcome::Proof(proof),
                    Some(report::What::Settled(settled)) => return Outcome::Settled(settled),
                    Some(report::What::Failed(failed)) if failed.stopped => return Outcome::GivenUp,
                    Some(report::What::Failed(failed)) => {
                        tracing::warn!(batch, reason = failed.message, "a batch failed");
                        let reason = Reason::ProvingFailed.name().to_owned();
                        return Outcome::Failed(match failed.always {
                            true => BatchFailure::Always(reason),
                            false => BatchFailure::Work(reason),
                        });
                    }
                    None => {
                        tracing::warn!(batch, "the proving process died");
                        process.kill().await;
                        return match stopping {
                            Some(_) => Outcome::GivenUp,
                            None => Outcome::Failed(BatchFailure::Lost("CHILD_DIED")),
                        };
                    }
                },
                () = self.source.news(lease), if stopping.is_none() => look = true,
                _ = ticks.tick() => look = beat.elapsed() >= HEARTBEAT,
            }
            if look && stopping.is_none() {
                beat = Instant::now();
                if !self.source.holds(lease).await {
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
                tracing::warn!(batch, "the proving process is silent and is killed");
                process.kill().await;
                return Outcome::Failed(BatchFailure::Lost("WORKER_HANG"));
            }
            if *self.ending.borrow() && ending.get_or_insert_with(Instant::now).elapsed() > self.drain {
                process.kill().await;
                return Outcome::Failed(BatchFailure::HandedBack);
            }
        }
    }
}
