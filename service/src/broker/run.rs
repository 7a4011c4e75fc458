//! The broker's thread: rounds, pauses between them, and an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lorica::chain::alloy_primitives::Address;
use lorica::chain::chain::Chain;
use lorica::chain::rpc::nonces::AccountLock;

use super::requests::sum;
use super::{Broker, BrokerError};
use crate::store::StoreError;
use crate::store::market::EntryKind;

/// Between two comparisons of the ledger with the escrow.
const RECONCILE: Duration = Duration::from_secs(3_600);
/// Longest pause after errors.
const LONGEST: Duration = Duration::from_secs(30);
/// A pause is looked up from so often, whether the service ends.
const NAP: Duration = Duration::from_millis(100);

/// A broker that runs.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts the thread. The account's lock is held as long as it runs.
    #[must_use]
    pub fn start(mut broker: Broker, lock: AccountLock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let own = stop.clone();
        let thread = thread::spawn(move || {
            broker.run(&own);
            drop(lock);
        });
        Self { stop, thread }
    }

    /// Tells it to end: after the step that it is in.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Broker {
    fn run(&mut self, stop: &AtomicBool) {
        let mut pause = self.settings.poll;
        let mut reconciled: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            if reconciled.is_none_or(|at| at.elapsed() > RECONCILE) {
                reconciled = Some(Instant::now());
                if let Err(error) = self.reconcile() {
                    tracing::error!(%error, "the ledger could not be compared with the escrow");
                }
            }
            match self.step() {
                Ok(Some(did)) => {
                    tracing::debug!(?did, "a step");
                    pause = self.settings.poll;
                    continue;
                }
                Ok(None) => pause = self.settings.poll,
                Err(BrokerError::Store(StoreError::Fenced { .. } | StoreError::Gone)) => {
                    tracing::error!("the market's work was taken over");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "a step of the broker");
                    pause = pause.saturating_mul(2).min(LONGEST);
                }
            }
            let until = Instant::now() + pause;
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                thread::sleep(NAP.min(pause));
            }
        }
    }

    /// Compares what is booked with what the escrow owes, per token: a difference is money that was earned or taken by other
    /// means than this service.
    fn reconcile(&mut self) -> Result<(), BrokerError> {
        let (chain, account) = (self.chain.id(), self.account());
        let entries = self.ask(move |store| store.ledger(chain, &account))?;
        let escrow = self.settings.market.escrow();
        for token in self.settings.tokens.clone() {
            let owed = escrow.owed(&mut self.chain, self.key.account(), token.token)?;
            let of = |kind| sum(&entries, kind, token.token.into_array());
            let (earned, withdrawn) = (of(EntryKind::Earned), of(EntryKind::Withdrawn));
            if owed.saturating_add(withdrawn) != earned {
                let token: Address = token.token;
                tracing::warn!(%token, %owed, %earned, %withdrawn, "the ledger and the escrow differ");
            }
        }
        Ok(())
    }
}
