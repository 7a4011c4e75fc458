//! Where a worker's batches come from and its results go: the store of this process, or a service on another machine. The
//! worker's loop knows this much of them.

use std::future::Future;

use super::frames::{Prove, SetUp, Settled};
use crate::store::BatchFailure;

/// What a worker is given.
pub enum Taken<L> {
    /// A batch under a lease.
    Batch(L, Prove),
    /// Nothing, after a while.
    Nothing,
    /// There will be nothing more.
    Over,
}

/// What became of a batch.
pub enum Outcome {
    /// Its proof.
    Proof(Vec<u8>),
    /// Its settlement.
    Settled(Settled),
    /// No result.
    Failed(BatchFailure),
    /// Nobody waits for it.
    GivenUp,
}

/// Where batches come from.
pub trait Source: Send + 'static {
    /// A batch that is held.
    type Lease: Send + Sync;

    /// What a proving process has to load now.
    fn set_up(&self) -> SetUp;

    /// The next batch, waited for a while or until the worker ends.
    fn lease(&mut self) -> impl Future<Output = Taken<Self::Lease>> + Send;

    /// Returns when it may be that nobody waits for the batch any more. May be dropped and called again.
    fn news(&mut self, lease: &mut Self::Lease) -> impl Future<Output = ()> + Send;

    /// Whether to go on. Asked at each heartbeat and after news; does not keep the caller waiting for long.
    fn holds(&mut self, lease: &Self::Lease) -> impl Future<Output = bool> + Send;

    /// Hands in what came out. True if the process is not to be trusted with another batch.
    fn deliver(&mut self, lease: Self::Lease, outcome: Outcome) -> impl Future<Output = bool> + Send;

    /// Names a lease in the log.
    fn name(lease: &Self::Lease) -> String;
}
