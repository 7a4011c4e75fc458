//! The service as a whole: from a configuration to an address that answers, and to an orderly end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lorica::chain::keys::PrivateKey;
use lorica::chain::rpc::RpcChain;
use lorica::chain::rpc::nonces::AccountLock;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::api::deadline::Deadlines;
use crate::api::inference::Inference;
use crate::api::market::Market;
use crate::api::model::Model;
use crate::api::sessions::Sessions;
use crate::api::worker::{WorkerCalls, Workers};
use crate::api::{LOCAL, Shared};
use crate::broker::Broker;
use crate::broker::admission::Desk;
use crate::broker::run::Running;
use crate::broker::settings::{Settings, SettingsError, Signer};
use crate::config::{BrokerConfig, Config, ConfigError};
use crate::face::Face;
use crate::http;
use crate::keys::{Scope, Secret};
use crate::models::{Models, ModelsError};
use crate::proto::DESCRIPTORS;
use crate::proto::inference_service_server::InferenceServiceServer;
use crate::proto::market_service_server::MarketServiceServer;
use crate::proto::model_service_server::ModelServiceServer;
use crate::proto::worker_service_server::WorkerServiceServer;
use crate::signal;
use crate::store::market::MARKET;
use crate::store::thread::StoreThread;
use crate::store::{ApiKey, Millis, Retention, StoreError, millis, now};
use crate::worker::frames::SetUp;
use crate::worker::local::Local;
use crate::worker::{ChildProgram, Worker, WorkerError};

/// The tenant of workers' keys, who asks for nothing.
pub const WORKERS: &str = "workers";
/// Largest message that is taken: a proof to be checked, with room.
const MAX_MESSAGE: usize = 1 << 20;
/// Calls at once on one connection.
const STREAMS: u32 = 100;
/// Time that clients have to go, once the worker has ended.
const GOING: Duration = Duration::from_secs(5);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The models.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// The proving process.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] SettingsError),
    /// The store.
    #[error("the store: {0}")]
    Store(String),
    /// Files of TLS.
    #[error(transparent)]
    File(#[from] lorica::files::FileError),
    /// The address cannot be listened to.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system refuses threads, signals or randomness.
    #[error("the operating system: {0}")]
    System(String),
    /// gRPC.
    #[error("gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// A name or scope of a key.
    #[error("{0}")]
    Key(String),
}

impl ServeError {
    /// Whether whoever gave the configuration has to act, and not whoever runs the machine.
    #[must_use]
    pub fn is_input(&self) -> bool {
        match self {
            Self::Config(_) | Self::Models(_) | Self::Key(_) => true,
            Self::Worker(error) => matches!(error, WorkerError::Models(_)),
            Self::File(error) => error.kind() == lorica::error::Kind::Input,
            Self::Broker(SettingsError::Field { .. }) => true,
            Self::Broker(SettingsError::File(error)) => error.kind() == lorica::error::Kind::Input,
            Self::Broker(SettingsError::Chain(error)) => {
                lorica::error::Kind::of_chain(error) != lorica::error::Kind::Environment
            }
            Self::Broker(SettingsError::Account { .. }) => false,
            Self::Store(_) | Self::Listen { .. } | Self::System(_) | Self::Transport(_) => false,
        }
    }
}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Absent(_) => Self::Key(error.to_string()),
            other => Self::Store(other.to_string()),
        }
    }
}

/// What a service says about itself when it is ready.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the JSON face listens.
    pub http: Option<SocketAddr>,
    /// Batches that a service before it had begun; they are proven again.
    pub recovered: usize,
    /// The models were made with the development SRS.
    pub insecure: bool,
    /// The account that requests have to name, if there is a broker.
    pub prover: Option<String>,
    /// Nobody can call it: there is no key that opens something, and calls without one are not taken.
    pub locked: bool,
}

/// Runs a service until it is told to end (SIGTERM, or an interrupt), and then until it has ended in order. `program` becomes
/// the proving process; `cache` is where the development SRS and settlement keys lie. A configuration with a broker needs a
/// signer.
///
/// # Errors
/// [`ServeError`].
pub fn serve(
    config: &Config,
    program: ChildProgram,
    cache: PathBuf,
    signer: Option<&Signer>,
    started: impl FnOnce(&Started),
) -> Result<(), ServeError> {
    config.check()?;
    if config.models.bases.is_empty() {
        return Err(ConfigError::NoBase.into());
    }
    let models = Models::load(&config.models)?;
    let money = match (&config.broker, signer) {
        (None, _) => None,
        (Some(broker), Some(signer)) => Some(Money::open(broker, signer)?),
        (Some(_), None) => {
            let reason = "a key is needed: broker.key_file, or the variable LORICA_PRIVATE_KEY".into();
            return Err(SettingsError::Field { field: "key_file", reason }.into());
        }
    };
    let opened = Opened::open(config)?;
    let runtime = runtime()?;
    let result = runtime.block_on(run(config, models, program, cache, opened, money, started));
    // Whoever still holds a connection does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// The store, as the service begins with it. It is opened outside of the asynchronous runtime: it blocks.
struct Opened {
    store: StoreThread,
    owner: String,
    recovered: usize,
    locked: bool,
}

impl Opened {
    fn open(config: &Config) -> Result<Self, ServeError> {
        let place = config.store.place()?;
        let (mut store, owner) = (place.open()?, place.owner());
        let recovered = store.recover(now(), &owner)?;
        store.expire(now())?;
        store.wipe(now(), config.retention())?;
        let opens = |key: &ApiKey| key.scopes != Scope::Work.bit() && key.expires.is_none_or(|end| end > now());
        let locked = !config.listen.keyless_loopback && !store.keys()?.iter().any(opens);
        Ok(Self { store: StoreThread::start(store), owner, recovered, locked })
    }
}

/// All that a broker needs, before anything is served.
struct Money {
    settings: Arc<Settings>,
    sending: RpcChain,
    looking: RpcChain,
    key: PrivateKey,
    lock: AccountLock,
}

impl Money {
    fn open(config: &BrokerConfig, signer: &Signer) -> Result<Self, SettingsError> {
        let (settings, sending, looking) = Settings::load(config, signer)?;
        let lock = settings.lock_account(signer)?;
        Ok(Self { settings: Arc::new(settings), sending, looking, key: signer.key.clone(), lock })
    }
}

fn runtime() -> Result<Runtime, ServeError> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| ServeError::System(error.to_string()))
}

async fn run(
    config: &Config,
    models: Models,
    program: ChildProgram,
    cache: PathBuf,
    Opened { store, owner, recovered, locked }: Opened,
    money: Option<Money>,
    started: impl FnOnce(&Started),
) -> Result<(), ServeError> {
    let (models, wake) = (Arc::new(models), Arc::new(Notify::new()));
    let (end, ending) = watch::channel(false);
    let (has_ended, ended) = watch::channel(false);
    let path = |path: &PathBuf| path.display().to_string();
    let worker = Worker {
        source: Local {
            store: store.clone(),
            owner,
            models: models.clone(),
            set_up: SetUp {
                bases: models.bases.values().map(|base| path(&base.path)).collect(),
                base_ids: models.bases.keys().map(|id| id.to_vec()).collect(),
                srs: config.models.srs.as_ref().map(path).unwrap_or_default(),
                insecure_dev_srs: config.models.insecure_dev_srs,
                cache: path(&cache),
                settlement_keys: path(&cache.join("settlement")),
            },
            wake: wake.clone(),
            ending: ending.clone(),
        },
        program,
        hang: Duration::from_secs(config.worker.hang_seconds),
        drain: Duration::from_secs(config.worker.drain_seconds),
        ending: ending.clone(),
    };
    // Before anybody is listened to: a service that cannot prove says so, and takes nothing.
    let process = if config.worker.in_process { Some(worker.start().await?) } else { None };

    let (running, admitted) = Shared::executions(config.limits.executions);
    let insecure = models.is_insecure();
    let (mut desk, mut broker, mut prover) = (None, None, None);
    if let Some(Money { settings, sending, looking, key, lock }) = money {
        prover = Some(settings.payee.to_string());
        desk = Some(Arc::new(Desk::new(settings.clone(), looking, key.clone())));
        let (store, models) = (store.clone(), models.clone());
        let make = move || Broker::new(settings, sending, key, store, models);
        let own = tokio::task::spawn_blocking(make).await.map_err(|error| ServeError::System(error.to_string()))??;
        broker = Some((own, lock));
    }
    let shared = Arc::new(Shared {
        store: store.clone(),
        models,
        keyless: config.listen.keyless_loopback,
        open_proofs: config.limits.open_proofs,
        running,
        admitted,
        wake,
        workers: Sessions::default(),
        in_process: config.worker.in_process,
        ending,
        ended: ended.clone(),
    });
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<InferenceServiceServer<Inference>>().await;
    health.set_serving::<ModelServiceServer<Model>>().await;
    health.set_serving::<WorkerServiceServer<WorkerCalls>>().await;
    if desk.is_some() {
        health.set_serving::<MarketServiceServer<Market>>().await;
    }
    let (mut reflection, mut older_reflection) = (None, None);
    if config.listen.reflects() {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let failed = |error: tonic_reflection::server::Error| ServeError::System(error.to_string());
        reflection = Some(builder().build_v1().map_err(failed)?);
        // Of which older grpcurls know.
        older_reflection = Some(builder().build_v1alpha().map_err(failed)?);
    }
    let listen = |source| ServeError::Listen { address: config.listen.grpc, source };
    let listener = TcpListener::bind(config.listen.grpc).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder();
    if let Some(tls) = &config.tls {
        let read = |path| lorica::files::store::read(path, 1 << 20);
        let identity = Identity::from_pem(read(&tls.cert)?, read(&tls.key)?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let inference = Arc::new(Inference { shared: shared.clone() });
    let market = Market { shared: shared.clone(), desk: desk.clone() };
    let workers = Workers::new(shared.clone(), Duration::from_secs(config.worker.longest_seconds));
    let model = Arc::new(Model { shared });
    let face = http::router(Face { inference: inference.clone(), model: model.clone(), desk });
    let (http, mut json) = match config.listen.http {
        Some(address) => {
            let listen = |source| ServeError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            let own = listener.local_addr().map_err(listen)?;
            let mut stop = ended.clone();
            let serving = axum::serve(listener, face).with_graceful_shutdown(async move {
                let _ = stop.wait_for(|ended| *ended).await;
            });
            (Some(own), tokio::spawn(async move { serving.await }))
        }
        None => (None, tokio::spawn(std::future::pending())),
    };
    let router = server
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_concurrent_streams(STREAMS)
        .layer(Deadlines)
        .add_service(InferenceServiceServer::from_arc(inference).max_decoding_message_size(MAX_MESSAGE))
        .add_service(MarketServiceServer::new(market).max_decoding_message_size(MAX_MESSAGE))
        .add_service(ModelServiceServer::from_arc(model).max_decoding_message_size(MAX_MESSAGE))
        .add_service(WorkerServiceServer::new(WorkerCalls(Arc::new(workers))).max_decoding_message_size(MAX_MESSAGE))
        .add_service(health_service)
        .add_optional_service(reflection)
        .add_optional_service(older_reflection);
    let mut stop = ended.clone();
    let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async move {
        // An error means that whoever tells is gone, which is the same.
        let _ = stop.wait_for(|ended| *ended).await;
    }));
    let working = process.map(|process| tokio::spawn(worker.run(process)));
    let upkeep = tokio::spawn(upkeep(store, config.retention()));
    let broker = broker.map(|(broker, lock)| Running::start(broker, lock));
    started(&Started { address, http, recovered, insecure, prover, locked });

    tokio::select! {
        told = signal::wait() => told.map_err(|error| ServeError::System(error.to_string()))?,
        served = &mut serving => return served.map_err(|error| ServeError::System(error.to_string()))?.map_err(Into::into),
        served = &mut json => {
            let source = served.map_err(|error| ServeError::System(error.to_string()))?;
            return source.map_err(|source| ServeError::System(source.to_string()));
        }
    }
    // Nothing new is taken; the batch in progress is finished, or handed back; then whoever waits is answered.
    tracing::info!("the service ends");
    end.send_replace(true);
    if let Some(broker) = &broker {
        broker.stop();
    }
    health.set_not_serving::<MarketServiceServer<Market>>().await;
    health.set_not_serving::<WorkerServiceServer<WorkerCalls>>().await;
    health.set_not_serving::<InferenceServiceServer<Inference>>().await;
    health.set_not_serving::<ModelServiceServer<Model>>().await;
    let drain = Duration::from_secs(config.worker.drain_seconds) + GOING;
    if let Some(working) = working
        && timeout(drain, working).await.is_err()
    {
        tracing::warn!("the worker did not end in time");
    }
    has_ended.send_replace(true);
    upkeep.abort();
    // A step ends by itself; what it has not committed, the next start does again.
    let since = tokio::time::Instant::now();
    while broker.as_ref().is_some_and(|broker| !broker.is_finished()) && since.elapsed() < GOING {
        sleep(Duration::from_millis(50)).await;
    }
    // An idle client keeps its connection open for as long as it likes.
    let _ = timeout(GOING, serving).await;
    json.abort();
    Ok(())
}

/// Ends what is over, each second; deletes what was kept long enough.
async fn upkeep(store: StoreThread, retention: Retention) {
    let pause = retention.inputs.clamp(Duration::from_secs(1), Duration::from_secs(30));
    let mut wiped = tokio::time::Instant::now();
    loop {
        sleep(Duration::from_secs(1)).await;
        let wipe = wiped.elapsed() >= pause;
        if wipe {
            wiped = tokio::time::Instant::now();
        }
        let done = store.call(move |store| {
            store.expire(now())?;
            if wipe {
                store.wipe(now(), retention)?;
            }
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "upkeep");
        }
    }
}

/// A key without its secret.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// What names it: 16 hexadecimal digits.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// When it ends, in milliseconds since 1970.
    pub expires: Option<Millis>,
}

/// Makes a key for a tenant, who is made known by it. The key is returned, and nowhere else to be had.
///
/// # Errors
/// [`ServeError`].
pub fn add_key(
    config: &Config,
    tenant: &str,
    scopes: &[Scope],
    lifetime: Option<Duration>,
) -> Result<(String, KeyEntry), ServeError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if tenant.is_empty() || tenant.len() > 63 || !tenant.chars().all(is_plain) {
        return Err(ServeError::Key(format!(
            "{tenant:?}: a tenant's name has 1 to 63 small letters, digits and hyphens"
        )));
    }
    let works = scopes.contains(&Scope::Work);
    if works && scopes.len() > 1 {
        return Err(ServeError::Key("the scope `work` stands alone: a worker's key is for nothing else".into()));
    }
    if works != (tenant == WORKERS) {
        return Err(ServeError::Key(format!(
            "keys with the scope `work`, and no others, are the tenant `{WORKERS}`'s"
        )));
    }
    if tenant == MARKET {
        return Err(ServeError::Key(format!("`{MARKET}` is the tenant of what is settled")));
    }
    if tenant == LOCAL {
        return Err(ServeError::Key(format!("`{LOCAL}` is the tenant of calls without a key")));
    }
    let secret = Secret::random().map_err(|error| ServeError::System(error.to_string()))?;
    let created = now();
    let key = ApiKey {
        id: secret.id,
        tenant: tenant.into(),
        secret_sha256: secret.sha256(),
        scopes: scopes.iter().fold(0, |bits, scope| bits | scope.bit()),
        created,
        expires: lifetime.map(|lifetime| created.saturating_add(millis(lifetime))),
    };
    config.store.place()?.open_beside(true)?.add_key(&key)?;
    Ok((secret.text(), entry(&key)))
}

/// All keys.
///
/// # Errors
/// [`ServeError`].
pub fn list_keys(config: &Config) -> Result<Vec<KeyEntry>, ServeError> {
    Ok(config.store.place()?.open_beside(false)?.keys()?.iter().map(entry).collect())
}

/// Removes a key by its id. It opens nothing from then on. False if there is none.
///
/// # Errors
/// [`ServeError`].
pub fn remove_key(config: &Config, id: &str) -> Result<bool, ServeError> {
    let mut bytes = [0; 8];
    let expected = || ServeError::Key(format!("{id}: an id of 16 hexadecimal digits is expected"));
    hex::decode_to_slice(id, &mut bytes).map_err(|_| expected())?;
    Ok(config.store.place()?.open_beside(false)?.remove_key(&bytes)?)
}

fn entry(key: &ApiKey) -> KeyEntry {
    let scopes = Scope::ALL.into_iter().filter(|scope| key.scopes & scope.bit() != 0).collect();
    KeyEntry { id: hex::encode(key.id), tenant: key.tenant.clone(), scopes, expires: key.expires }
}
