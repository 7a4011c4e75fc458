//! Batches out of the store of this process, and results into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, watch};
use tokio::time::sleep;

use super::LEASE;
use super::frames::{Item, Prove, SetUp};
use super::source::{Outcome, Source, Taken};
use crate::error::Reason;
use crate::models::{Made, Models};
use crate::store::thread::StoreThread;
use crate::store::{BatchFailure, Completed, Held, Lease, ProvenShape, millis, now};

/// The owner of leases that this process proves itself.
const OWNER: &str = "in-process";

/// The store, and the models by which results are checked.
pub struct Local {
    pub store: StoreThread,
    pub models: Arc<Models>,
    pub set_up: SetUp,
    /// There may be work.
    pub wake: Arc<Notify>,
    /// The service ends.
    pub ending: watch::Receiver<bool>,
}

/// A batch, and what changes since it was taken.
pub struct OwnLease {
    lease: Lease,
    changes: broadcast::Receiver<uuid::Uuid>,
}

impl Local {
    /// Waits for work, a while, or the end.
    async fn idle(&mut self) {
        tokio::select! {
            () = self.wake.notified() => {}
            () = sleep(Duration::from_secs(1)) => {}
            _ = self.ending.changed() => {}
        }
    }

    fn order(&self, lease: &Lease) -> Prove {
        let path = |path: &PathBuf| path.display().to_string();
        let items = lease.members.iter().map(|member| Item {
            token_ids: member.token_ids.clone(),
            salt: member.salt.to_vec(),
            adapter: member
                .adapter
                .and_then(|id| self.models.adapters.get(&id))
                .map(|own| path(&own.path))
                .unwrap_or_default(),
            adapter_id: member.adapter.map(Vec::from).unwrap_or_default(),
        });
        let datanet = lease.datanet.and_then(|id| self.models.datanets.get(&id));
        Prove {
            base: lease.base.to_vec(),
            items: items.collect(),
            embed: lease.kind == lorica::circuits::shape::OutputKind::Embed.number(),
            context: lease.context.to_vec(),
            binding: lease.binding.clone().unwrap_or_default(),
            datanet: datanet.map(|own| path(&own.path)).unwrap_or_default(),
            datanet_id: lease.datanet.map(Vec::from).unwrap_or_default(),
        }
    }

    /// What a batch is worth: its result, checked on a thread for computations, or its failure. True beside it if what was made is false.
    async fn judge(&self, lease: &Lease, made: Made) -> (Result<(ProvenShape, Arc<[u8]>), BatchFailure>, bool) {
        let (models, own) = (self.models.clone(), lease.clone());
        let check = move || (models.expect_made_of(&own, &made), made);
        match tokio::task::spawn_blocking(check).await {
            Ok((Ok(shape), Made::Proof(bytes) | Made::Settlement { bytes, .. })) => (Ok((shape, bytes.into())), false),
            Ok((Err(reason), _)) => {
                tracing::error!(batch = %lease.batch, reason, "what the worker made is refused");
                (Err(BatchFailure::Work(Reason::ProofRejected.name().into())), true)
            }
            Err(_) => (Err(BatchFailure::Work(Reason::Internal.name().into())), true),
        }
    }
}

impl Source for Local {
    type Lease = OwnLease;

    fn set_up(&self) -> SetUp {
        self.set_up.clone()
    }

    async fn lease(&mut self) -> Taken<OwnLease> {
        let until = now().saturating_add(millis(LEASE));
        // Listened to before the lease: what changes after it is not missed.
        let changes = self.store.changes();
        match self.store.call(move |store| store.lease(now(), OWNER, until)).await {
            Ok(Some(lease)) => {
                let order = self.order(&lease);
                tracing::debug!(batch = %lease.batch, tenant = lease.tenant, jobs = lease.members.len(), "a batch is begun");
                Taken::Batch(OwnLease { lease, changes }, order)
            }
            Ok(None) => {
                self.idle().await;
                Taken::Nothing
            }
            Err(error) => {
                tracing::error!(%error, "no work could be taken");
                sleep(Duration::from_secs(1)).await;
                Taken::Nothing
            }
        }
    }

    async fn news(&mut self, own: &mut OwnLease) {
        loop {
            match own.changes.recv().await {
                Ok(id) if own.lease.members.iter().any(|member| member.id == id) => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The store is gone, and says so when it is asked.
                Err(broadcast::error::RecvError::Closed) => return sleep(Duration::from_secs(1)).await,
            }
        }
    }

    /// Prolongs the lease. A store that cannot be asked is no reason to stop: the lease ends by itself if it lasts.
    async fn holds(&mut self, own: &OwnLease) -> bool {
        let (batch, epoch, until) = (own.lease.batch, own.lease.epoch, now().saturating_add(millis(LEASE)));
        match self.store.call(move |store| store.extend(batch, epoch, until)).await {
            Ok(held) => held == Held::Yes,
            Err(error) => {
                tracing::error!(%error, "a lease could not be prolonged");
                true
            }
        }
    }

    async fn deliver(&mut self, own: OwnLease, outcome: Outcome) -> bool {
        let lease = own.lease;
        let (result, distrusted) = match outcome {
            Outcome::GivenUp => return false,
            Outcome::Failed(failure) => (Err(failure), false),
            Outcome::Proof(proof) => self.judge(&lease, Made::Proof(proof)).await,
            Outcome::Settled(own) => self.judge(&lease, Made::Settlement { bytes: own.settlement, key: own.key }).await,
        };
        let (batch, epoch) = (lease.batch, lease.epoch);
        // A result is not thrown away because the disk is full for a moment.
        for attempt in 0.. {
            let own = result.clone();
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

    fn name(own: &OwnLease) -> String {
        own.lease.batch.to_string()
    }
}
