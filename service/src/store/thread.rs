//! A store on a thread of its own. A call that was sent is carried out, whether or not its caller still waits: a deadline that
//! passes, or a client that goes, never leaves half a change.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use uuid::Uuid;

use super::{Store, StoreError};

/// Calls that may wait.
const WAITING: usize = 1024;
/// How often it is listened for what others changed, while nobody calls.
const LISTEN: Duration = Duration::from_millis(200);
/// Changes that a slow listener may be behind before it has to look for itself.
const CHANGES: usize = 4096;

type Call = Box<dyn FnOnce(&mut dyn Store) + Send>;

/// A store that many ask.
#[derive(Clone, Debug)]
pub struct StoreThread {
    calls: SyncSender<Call>,
    changes: broadcast::Sender<Uuid>,
}

impl StoreThread {
    /// Starts the thread; it ends when the last handle is dropped.
    pub fn start(mut store: Box<dyn Store>) -> Self {
        let (calls, incoming) = sync_channel::<Call>(WAITING);
        let (changes, _) = broadcast::channel(CHANGES);
        let told = changes.clone();
        thread::spawn(move || {
            loop {
                match incoming.recv_timeout(LISTEN) {
                    Ok(call) => call(store.as_mut()),
                    Err(RecvTimeoutError::Timeout) => store.listen(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                for id in store.take_changed() {
                    // Nobody listens: fine.
                    let _ = told.send(id);
                }
            }
        });
        Self { calls, changes }
    }

    /// Runs one call on the store.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |store| {
            let _ = answer.send(call(store));
        });
        self.calls.try_send(call).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Gone,
        })?;
        answered.await.map_err(|_| StoreError::Gone)?
    }

    /// Runs one call on the store, for threads that may wait.
    pub fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = sync_channel(1);
        let call: Call = Box::new(move |store| {
            let _ = answer.send(call(store));
        });
        self.calls.send(call).map_err(|_| StoreError::Gone)?;
        answered.recv().map_err(|_| StoreError::Gone)?
    }

    /// Ids of jobs that change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Uuid> {
        self.changes.subscribe()
    }
}
