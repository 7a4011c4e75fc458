//! A worker on a machine of its own: batches come from a service by calls, and results go back. It has neither the service's
//! store nor any key of a chain.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lorica::files::FileError;
use sha2::{Digest, Sha256};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::cache::{Cache, FetchError, Fetched};
use super::frames::{Item, Prove, SetUp};
use super::link::{Failure, Link, Patience, Pauses, Told};
pub use super::link::{Notice, PROTOCOL, VERSION};
use super::source::{Outcome, Source, Taken};
use super::spool::{FolderError, Spool, Spooled};
use super::{ChildProgram, HEARTBEAT, Worker, WorkerError};
use crate::client::ClientError;
use crate::models::id_of;
use crate::proto;
use crate::signal;
use crate::store::BatchFailure;

/// Time beyond that of the batch in progress in which a worker that is told to end does so.
const GOING: Duration = Duration::from_secs(5);
/// Time for a result or a failure to be handed in, once the worker is told to end.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// The service's address.
    pub gateway: String,
    /// A key with the scope `work`.
    pub key: String,
    /// Certificate authority as PEM, in place of those that browsers trust.
    pub ca: Option<Vec<u8>>,
    /// What people call the worker.
    pub name: String,
    /// Its folder: served files, results that are not handed in yet.
    pub folder: PathBuf,
    /// The SRS that the bases were imported with.
    pub srs: Option<PathBuf>,
    /// Allows the development SRS.
    pub insecure_dev_srs: bool,
    /// Where the development SRS and settlement keys are cached.
    pub cache: PathBuf,
    /// Silence after which the proving process is killed.
    pub hang: Duration,
    /// Time for the batch in progress at the end.
    pub drain: Duration,
}

/// Why a worker does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The service cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The service found that what this worker made does not hold.
    #[error("the gateway takes nothing more from this worker: {0}")]
    Banned(String),
    /// What the service serves cannot be used.
    #[error("{address}: {reason}")]
    Served {
        /// The service's address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The proving process.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A file of the worker's folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another worker has the folder.
    #[error("{path}: another worker uses it", path = .0.display())]
    InUse(PathBuf),
    /// The system refuses threads or signals.
    #[error("the operating system: {0}")]
    System(#[from] std::io::Error),
}

/// Proves for a service until it is told to end (SIGTERM, or an interrupt), or until the service refuses it. What it has to say to
/// people meanwhile goes to `told`.
///
/// # Errors
/// [`RemoteError`].
pub fn work(config: RemoteConfig, program: ChildProgram, mut told: impl FnMut(&Notice)) -> Result<(), RemoteError> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (end, ending) = watch::channel(false);
        let (notices, mut heard) = mpsc::unbounded_channel();
        let drain = config.drain;
        let mut working = tokio::spawn(prove(config, program, notices, ending));
        let signal = signal::wait();
        tokio::pin!(signal);
        loop {
            tokio::select! {
                biased;
                Some(notice) = heard.recv() => told(&notice),
                ended = &mut working => return flat(ended),
                signalled = &mut signal => break signalled?,
            }
        }
        tracing::info!("the worker ends");
        end.send_replace(true);
        match timeout(drain + LAST_CALLS + GOING, &mut working).await {
            Ok(ended) => flat(ended),
            Err(_) => {
                tracing::warn!("the worker did not end in time");
                Ok(())
            }
        }
    });
    // Whatever hangs does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

fn flat(ended: Result<Result<(), RemoteError>, tokio::task::JoinError>) -> Result<(), RemoteError> {
    ended.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

/// The worker from its registration to its end.
pub(super) async fn prove(
    config: RemoteConfig,
    program: ChildProgram,
    told: Told,
    ending: watch::Receiver<bool>,
) -> Result<(), RemoteError> {
    let (hang, drain) = (config.hang, config.drain);
    let mut ended = ending.clone();
    let start = async {
        let source = Remote::start(config, told, ending.clone()).await?;
        let worker = Worker { source, program, hang, drain, ending: ending.clone() };
        let process = worker.start().await?;
        worker.source.link.tell(Notice::Ready);
        Ok::<_, RemoteError>((worker, process))
    };
    let started = tokio::select! {
        started = start => started,
        _ = ended.wait_for(|ending| *ending) => return Ok(()),
    };
    let (worker, process) = started?;
    let source = worker.run(process).await;
    source.leave().await;
    match source.over {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// A service as a source of batches.
pub struct Remote {
    link: Arc<Link>,
    config: RemoteConfig,
    cache: Cache,
    spool: Arc<Spool>,
    fetched: Fetched,
    pauses: Pauses,
    ending: watch::Receiver<bool>,
    /// A result waits for the next start, and with it its lease.
    kept: bool,
    /// Why there will be no more batches.
    over: Option<RemoteError>,
}

/// A batch that was handed out, prolonged for as long as this is held.
pub struct Leased {
    name: String,
    batch: Uuid,
    epoch: u64,
    settles: bool,
    held: watch::Receiver<bool>,
    beating: JoinHandle<()>,
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Prolongs a lease until it is lost.
async fn beat(link: Arc<Link>, lease: String, epoch: u64, held: watch::Sender<bool>) {
    let mut pause = HEARTBEAT;
    loop {
        sleep(pause).await;
        pause = HEARTBEAT;
        match link.beat(&lease, epoch).await {
            Ok(answer) if !answer.stop => {}
            Ok(_) | Err(Failure::LeaseLost) => {
                held.send_replace(false);
                return;
            }
            Err(Failure::SessionUnknown) => {
                // Whether the lease is held shows at the next heartbeat.
                let _ = link.register_again().await;
                pause = Duration::from_secs(1);
            }
            // Two more tries before the lease is over. What is refused, the delivery finds out.
            Err(Failure::Away(_)) => pause = HEARTBEAT / 2,
            Err(Failure::Banned(_) | Failure::Refused(_)) => {}
        }
    }
}

impl Remote {
    /// Registers, hands in what an earlier run left, and fetches what is served.
    async fn start(config: RemoteConfig, told: Told, ending: watch::Receiver<bool>) -> Result<Self, RemoteError> {
        let spool = Spool::open(&config.folder).map_err(|error| match error {
            FolderError::InUse => RemoteError::InUse(config.folder.clone()),
            FolderError::File(error) => error.into(),
        })?;
        let cache = Cache::open(config.folder.join("models"))?;
        let RemoteConfig { gateway, key, ca, name, .. } = &config;
        let link = Arc::new(Link::new(gateway, key, ca.clone(), name, spool.session(), told)?);
        let mut remote = Self {
            link,
            config,
            cache,
            spool: Arc::new(spool),
            fetched: Fetched::default(),
            pauses: Pauses::default(),
            ending,
            kept: false,
            over: None,
        };
        let answer = remote.link.register().await.map_err(|failure| remote.error(failure))?;
        remote.spool.keep_session(&answer.session)?;
        remote.empty_spool().await?;
        loop {
            match remote.cache.fetch(&remote.link, &answer.files).await {
                Ok(fetched) => {
                    remote.fetched = fetched;
                    return Ok(remote);
                }
                Err(FetchError::Call(Failure::Away(_))) => sleep(remote.pauses.next()).await,
                Err(error) => return Err(remote.fetch_error(error)),
            }
        }
    }

    fn error(&self, failure: Failure) -> RemoteError {
        let served = |reason: &str| RemoteError::Served { address: self.config.gateway.clone(), reason: reason.into() };
        match failure {
            Failure::Away(error) | Failure::Refused(error) => error.into(),
            Failure::Banned(reason) => RemoteError::Banned(reason),
            Failure::SessionUnknown => served("it does not know the session that it gave"),
            Failure::LeaseLost => served("it speaks of a lease where there is none"),
        }
    }

    fn fetch_error(&self, error: FetchError) -> RemoteError {
        match error {
            FetchError::Call(failure) => self.error(failure),
            FetchError::File(error) => error.into(),
            FetchError::Content(reason) => RemoteError::Served { address: self.config.gateway.clone(), reason },
        }
    }

    /// Registers anew, and fetches what is served now.
    async fn begin_anew(&self) -> Result<Fetched, FetchError> {
        // Whoever is told of a new session after this looks again.
        self.link.registered_anew.store(false, Ordering::Relaxed);
        let answer = self.link.register().await.map_err(FetchError::Call)?;
        self.spool.keep_session(&answer.session)?;
        self.cache.fetch(&self.link, &answer.files).await
    }

    /// Hands in what an earlier run left.
    async fn empty_spool(&mut self) -> Result<(), RemoteError> {
        for (path, batch, own) in self.spool.results()? {
            let name = batch_name(&batch);
            match self.hand_in(&name, own).await {
                Handed::Taken => self.link.tell(Notice::Delivered(name)),
                Handed::Late => self.link.tell(Notice::Discarded(name)),
                Handed::Kept => return Ok(()),
            }
            self.spool.remove(&path);
            if let Some(error) = self.over.take() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Hands a result in, however long the service is away; less long if the worker ends.
    async fn hand_in(&mut self, name: &str, own: Spooled) -> Handed {
        let message = proto::CompleteRequest {
            lease: name.into(),
            epoch: own.epoch,
            sha256: Sha256::digest(&own.result).to_vec(),
            result: own.result,
            settlement_key: own.settlement_key,
            ..proto::CompleteRequest::default()
        };
        let mut patience = Patience::new(self.ending.clone(), LAST_CALLS);
        let mut pauses = Pauses::default();
        loop {
            let answered = patience.with(self.link.hand_in(message.clone())).await;
            match answered {
                Some(Ok(_)) => return Handed::Taken,
                Some(Err(Failure::LeaseLost)) => {
                    tracing::warn!(lease = name, "a result came too late");
                    return Handed::Late;
                }
                // False: it is not to be handed in again.
                Some(Err(Failure::Banned(reason))) => {
                    self.over = Some(RemoteError::Banned(reason));
                    return Handed::Late;
                }
                Some(Err(Failure::Refused(error))) if is_of_the_message(&error) => {
                    tracing::error!(lease = name, %error, "a result that cannot be handed in");
                    return Handed::Late;
                }
                Some(Err(Failure::Refused(error))) => {
                    self.over = Some(error.into());
                    return Handed::Kept;
                }
                Some(Err(Failure::Away(_) | Failure::SessionUnknown)) => {
                    if patience.with(sleep(pauses.next())).await.is_none() {
                        return Handed::Kept;
                    }
                }
                None => return Handed::Kept,
            }
        }
    }

    /// Reports that there is no result. Unheard, the lease ends by itself.
    async fn report(&mut self, lease: &Leased, failure: &BatchFailure) {
        let reason = match failure {
            BatchFailure::Work(_) => proto::FailReason::Work,
            BatchFailure::Always(_) => proto::FailReason::Always,
            BatchFailure::Lost("WORKER_HANG") => proto::FailReason::Hang,
            BatchFailure::Lost(_) => proto::FailReason::Lost,
            BatchFailure::HandedBack => proto::FailReason::HandedBack,
        };
        let message = proto::FailRequest {
            lease: lease.name.clone(),
            epoch: lease.epoch,
            reason: reason.into(),
            ..proto::FailRequest::default()
        };
        let mut patience = Patience::new(self.ending.clone(), LAST_CALLS);
        let mut pauses = Pauses::default();
        // Beyond the length of a lease there is nothing to be told.
        for _ in 0..8 {
            match patience.with(self.link.report(message.clone())).await {
                Some(Err(Failure::Away(_) | Failure::SessionUnknown)) => {
                    if patience.with(sleep(pauses.next())).await.is_none() {
                        return;
                    }
                }
                Some(Err(Failure::Banned(reason))) => return self.over = Some(RemoteError::Banned(reason)),
                Some(Err(Failure::Refused(error))) => return self.over = Some(error.into()),
                Some(Ok(_) | Err(Failure::LeaseLost)) | None => return,
            }
        }
    }

    /// A batch as the proving process is told of it; none if it speaks of what is not here.
    fn order(&self, work: &proto::ProveWork) -> Option<Prove> {
        let path = |path: &PathBuf| path.display().to_string();
        let base = id_of("bases", &work.base).filter(|id| self.fetched.bases.contains_key(id))?;
        let item = |item: &proto::ProveItem| {
            let (adapter, adapter_id) = match item.adapter.as_str() {
                "" => (String::new(), Vec::new()),
                name => {
                    let id = id_of("adapters", name)?;
                    (path(self.fetched.adapters.get(&id)?), id.to_vec())
                }
            };
            Some(Item { token_ids: item.token_ids.clone(), salt: item.salt.clone(), adapter, adapter_id })
        };
        let (datanet, datanet_id) = match work.datanet.as_str() {
            "" => (String::new(), Vec::new()),
            name => {
                let id = id_of("datanets", name)?;
                (path(self.fetched.datanets.get(&id)?), id.to_vec())
            }
        };
        Some(Prove {
            base: base.to_vec(),
            items: work.items.iter().map(item).collect::<Option<_>>()?,
            embed: work.kind() == proto::OutputKind::Embed,
            context: work.context.clone(),
            binding: work.target.clone(),
            datanet,
            datanet_id,
        })
    }

    /// Says that the worker ends, so that nothing waits for its lease to end. Unheard, the lease ends by itself.
    async fn leave(&self) {
        if !self.kept && self.over.is_none() {
            let _ =
                timeout(LAST_CALLS, self.link.leave(proto::LeaveRequest { session: self.link.session() }, LAST_CALLS))
                    .await;
        }
    }

    /// Takes up a batch that was handed out.
    async fn take(&mut self, given: proto::Lease) -> Taken<Leased> {
        let Some((batch, work)) = batch_id(&given.name).zip(given.prove) else {
            tracing::error!(lease = given.name, "no batch of this protocol");
            sleep(self.pauses.next()).await;
            return Taken::Nothing;
        };
        let (sender, held) = watch::channel(true);
        let beating = tokio::spawn(beat(self.link.clone(), given.name.clone(), given.epoch, sender));
        let settles = !work.target.is_empty();
        let lease = Leased { name: given.name, batch, epoch: given.epoch, settles, held, beating };
        match self.order(&work) {
            Some(order) => {
                tracing::debug!(lease = lease.name, jobs = work.items.len(), "a batch is begun");
                Taken::Batch(lease, order)
            }
            None => {
                // It is served since this worker asked last what is.
                self.link.registered_anew.store(true, Ordering::Relaxed);
                self.report(&lease, &BatchFailure::Lost("CHILD_DIED")).await;
                Taken::Nothing
            }
        }
    }

    /// Asks for a batch, and looks first at what is served if the service was another one meanwhile.
    async fn ask(&mut self) -> Result<Option<proto::Lease>, FetchError> {
        if self.link.registered_anew.load(Ordering::Relaxed) {
            self.fetched = self.begin_anew().await?;
        }
        match self.link.ask().await {
            Err(Failure::SessionUnknown) => {
                self.link.registered_anew.store(true, Ordering::Relaxed);
                Err(FetchError::Call(Failure::SessionUnknown))
            }
            asked => asked.map_err(FetchError::Call),
        }
    }
}

impl Source for Remote {
    type Lease = Leased;

    fn set_up(&self) -> SetUp {
        let path = |path: &PathBuf| path.display().to_string();
        let config = &self.config;
        SetUp {
            bases: self.fetched.bases.values().map(path).collect(),
            base_ids: self.fetched.bases.keys().map(|id| id.to_vec()).collect(),
            srs: config.srs.as_ref().map(path).unwrap_or_default(),
            insecure_dev_srs: config.insecure_dev_srs,
            cache: path(&config.cache),
            settlement_keys: path(&config.cache.join("settlement")),
        }
    }

    async fn lease(&mut self) -> Taken<Leased> {
        if self.over.is_some() {
            return Taken::Over;
        }
        let mut ending = self.ending.clone();
        let asked = tokio::select! {
            asked = self.ask() => asked,
            // A batch that is on its way is handed out again when the worker leaves.
            _ = ending.wait_for(|ending| *ending) => return Taken::Nothing,
        };
        match asked {
            Ok(given) => {
                self.pauses = Pauses::default();
                match given {
                    Some(given) => self.take(given).await,
                    None => Taken::Nothing,
                }
            }
            Err(FetchError::Call(Failure::Away(_) | Failure::SessionUnknown)) => {
                let mut ending = self.ending.clone();
                self.pauses.wait(&mut ending).await;
                Taken::Nothing
            }
            Err(error) => {
                self.over = Some(self.fetch_error(error));
                Taken::Over
            }
        }
    }

    async fn news(&mut self, lease: &mut Leased) {
        if lease.held.wait_for(|held| !held).await.is_err() {
            // Whoever beats has ended, and said before whether the lease is held.
            std::future::pending::<()>().await;
        }
    }

    async fn holds(&mut self, lease: &Leased) -> bool {
        *lease.held.borrow()
    }

    async fn deliver(&mut self, lease: Leased, outcome: Outcome) -> bool {
        let (result, settlement_key) = match outcome {
            Outcome::GivenUp => return false,
            Outcome::Failed(failure) => {
                self.report(&lease, &failure).await;
                return false;
            }
            Outcome::Proof(proof) => (proof, Vec::new()),
            Outcome::Settled(settled) => (settled.settlement, settled.key),
        };
        if lease.settles == settlement_key.is_empty() {
            tracing::error!(lease = lease.name, "the proving process made something else than was wanted");
            self.report(&lease, &BatchFailure::Work(String::new())).await;
            return true;
        }
        let own = Spooled { batch: lease.batch.as_bytes().to_vec(), epoch: lease.epoch, result, settlement_key };
        let path = match self.spool.put(&lease.batch, &own) {
            Ok(path) => Some(path),
            Err(error) => {
                // It is handed in all the same, and lost if this worker ends before.
                tracing::error!(%error, "a result could not be kept");
                None
            }
        };
        let handed = self.hand_in(&lease.name, own).await;
        match (handed, path) {
            (Handed::Taken | Handed::Late, Some(path)) => self.spool.remove(&path),
            (Handed::Kept, Some(path)) => {
                self.kept = true;
                tracing::warn!(file = %path.display(), "a result is kept for the next start");
            }
            (_, None) => {}
        }
        false
    }

    fn name(lease: &Leased) -> String {
        lease.name.clone()
    }
}

/// What became of a result that was handed in.
enum Handed {
    /// It was taken, now or before.
    Taken,
    /// Nobody wants it.
    Late,
    /// It could not be handed in, and may be later.
    Kept,
}

/// Whether a refusal is of this one message, and another may fare better.
fn is_of_the_message(error: &ClientError) -> bool {
    use tonic::Code;
    matches!(error, ClientError::Refused { code: Code::InvalidArgument | Code::OutOfRange, .. })
}

/// `batches/{uuid}`.
pub fn batch_name(batch: &Uuid) -> String {
    format!("batches/{batch}")
}

/// The id in a batch's name.
pub fn batch_id(name: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(name.strip_prefix("batches/")?).ok()?;
    (batch_name(&id) == name).then_some(id)
}

#[cfg(test)]
mod tests;
