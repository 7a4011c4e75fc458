//! A service for workers on other machines, on a store in a folder, for tests: the real calls behind a real address.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lorica::Fr;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::api::Shared;
use crate::api::inference::Inference;
use crate::api::model::Model;
use crate::api::sessions::Sessions;
use crate::api::worker::{WorkerCalls, Workers};
use crate::keys::{Scope, Secret};
use crate::proto;
use crate::proto::inference_service_server::InferenceServiceServer;
use crate::proto::model_service_server::ModelServiceServer;
use crate::proto::worker_service_client::WorkerServiceClient;
use crate::proto::worker_service_server::WorkerServiceServer;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::thread::StoreThread;
use crate::store::{ApiKey, Job, NewJob, Store, StoreError, now};
use crate::world::{WORLD, lease, prove};

pub struct Gate {
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Gate {
    pub async fn start(folder: &Path) -> Self {
        Self::start_at(folder, ([127, 0, 0, 1], 0).into(), |_| {}).await
    }

    pub async fn start_at(folder: &Path, address: SocketAddr, set: impl FnOnce(&mut Workers)) -> Self {
        let since = std::time::Instant::now();
        let mut store = loop {
            match SqliteStore::open(folder, Access::Service) {
                // The one before is on its way out.
                Err(StoreError::InUse(_)) if since.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => break opened.expect("a store"),
            }
        };
        store.recover(now(), "in-process").expect("writable");
        let (running, admitted) = Shared::executions(2);
        let shared = Arc::new(Shared {
            store: StoreThread::start(Box::new(store)),
            models: WORLD.models.clone(),
            keyless: true,
            open_proofs: 100,
            running,
            admitted,
            wake: Arc::new(Notify::new()),
            workers: Sessions::default(),
            in_process: false,
            ending: watch::channel(false).1,
            ended: watch::channel(false).1,
        });
        let listener = loop {
            match TcpListener::bind(address).await {
                Err(_) if since.elapsed() < Duration::from_secs(10) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                bound => break bound.expect("a free port"),
            }
        };
        let address = listener.local_addr().expect("an address");
        let mut workers = Workers::new(shared.clone(), Duration::from_secs(3_600));
        set(&mut workers);
        let router = Server::builder()
            .add_service(WorkerServiceServer::new(WorkerCalls(Arc::new(workers))).max_decoding_message_size(1 << 20))
            .add_service(InferenceServiceServer::new(Inference { shared: shared.clone() }))
            .add_service(ModelServiceServer::new(Model { shared: shared.clone() }));
        // All that it does ends with its runtime, also for those who are connected.
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let listener = listener.into_std().expect("a listener");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming(incoming).await.expect("served");
        });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Ends as a crash does: nobody is told, and the store is free for the next one.
    pub fn kill(self) {
        drop(self);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A key of these scopes.
    pub async fn key(&self, scopes: &[Scope]) -> String {
        let secret = Secret::random().expect("randomness");
        let key = ApiKey {
            id: secret.id,
            tenant: "t".into(),
            secret_sha256: secret.sha256(),
            scopes: scopes.iter().fold(0, |bits, scope| bits | scope.bit()),
            created: 1,
            expires: None,
        };
        self.shared.store.call(move |store| store.add_key(&key)).await.expect("writable");
        secret.text()
    }

    /// A worker that speaks with its own tongue.
    pub async fn worker(&self, key: &str, name: &str) -> Result<Tongue, Status> {
        let mut tongue = Tongue::new(self, key).await;
        let answer = tongue.register(name, Vec::new()).await?;
        tongue.session = answer.session;
        Ok(tongue)
    }

    /// Queues a job; its salt is of this byte, so its proof can be made beforehand.
    pub async fn submit(&self, text: &str, salt: u8) -> Uuid {
        let member = lease(&[(text, 0, salt)]).members.remove(0);
        let id = Uuid::now_v7();
        let job = NewJob {
            id,
            tenant: "a".into(),
            request_id: id,
            body: [1; 32],
            base: crate::world::base(),
            adapter: member.adapter,
            datanet: None,
            kind: 1,
            context: [0; 32],
            deadline: None,
            token_ids: member.token_ids,
            salt: member.salt,
            answer: member.answer,
            binding: None,
            group: None,
        };
        self.shared.store.call(move |store| store.submit(now(), &job, 99)).await.expect("writable");
        self.shared.wake.notify_one();
        id
    }

    pub async fn job(&self, id: Uuid) -> Job {
        self.shared.store.call(move |store| store.job("a", id)).await.expect("readable").expect("there")
    }

    /// Ends leases as if so much time had passed.
    pub async fn pass(&self, seconds: i64) {
        self.shared.store.call(move |store| store.expire(now() + 1_000 * seconds)).await.expect("writable");
    }

    /// Hands a batch to a worker as if that had been a minute ago.
    pub async fn leased_before(&self, worker: &Tongue) -> (String, u64) {
        let key = Secret::parse(&worker.key).expect("a key").id;
        let owner = self.shared.workers.admit(&key, &worker.session).expect("registered").owner;
        let then = now() - 61_000;
        let lease = self.shared.store.call(move |store| store.lease(now(), &owner, then + 60_000)).await;
        let lease = lease.expect("writable").expect("work");
        (format!("batches/{}", lease.batch), lease.epoch.unsigned_abs())
    }

    /// All causes of a job's events.
    pub async fn causes(&self, id: Uuid) -> Vec<String> {
        let events = self.shared.store.call(move |store| store.events("a", id, 0)).await.expect("readable");
        events.into_iter().map(|event| event.cause).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An honest proof of a job of [`Gate::submit`].
pub fn proof(text: &str, salt: u8) -> Vec<u8> {
    prove(&lease(&[(text, 0, salt)]), Fr::zero())
}

/// The reason of a refusal.
pub fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("a refusal");
    status.get_details_error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

/// Calls of a worker, honest or not.
#[derive(Clone)]
pub struct Tongue {
    pub client: WorkerServiceClient<tonic::transport::Channel>,
    pub key: String,
    pub session: Vec<u8>,
}

impl Tongue {
    pub async fn new(gate: &Gate, key: &str) -> Self {
        let client = WorkerServiceClient::connect(gate.url()).await.expect("it answers");
        Self { client, key: key.into(), session: Vec::new() }
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.key.is_empty() {
            let bearer = format!("Bearer {}", self.key).parse().expect("a header");
            request.metadata_mut().insert("authorization", bearer);
        }
        request.set_timeout(Duration::from_secs(30));
        request
    }

    pub async fn register(&mut self, name: &str, session: Vec<u8>) -> Result<proto::RegisterResponse, Status> {
        let message = proto::RegisterRequest {
            worker: name.into(),
            version: crate::worker::remote::VERSION.into(),
            protocol: crate::worker::remote::PROTOCOL,
            session,
        };
        let request = self.request(message);
        Ok(self.client.register(request).await?.into_inner())
    }

    pub async fn lease(&mut self, seconds: i64) -> Result<Option<proto::Lease>, Status> {
        let wait = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = self.request(proto::LeaseRequest { session: self.session.clone(), wait });
        Ok(self.client.lease(request).await?.into_inner().lease)
    }

    pub async fn heartbeat(&mut self, lease: &str, epoch: u64) -> Result<proto::HeartbeatResponse, Status> {
        let message = proto::HeartbeatRequest { session: self.session.clone(), lease: lease.into(), epoch };
        let request = self.request(message);
        Ok(self.client.heartbeat(request).await?.into_inner())
    }

    pub async fn complete(&mut self, lease: &str, epoch: u64, result: Vec<u8>) -> Result<bool, Status> {
        let message = proto::CompleteRequest {
            session: self.session.clone(),
            lease: lease.into(),
            epoch,
            sha256: crate::store::blobs::digest(&result).to_vec(),
            result,
            settlement_key: Vec::new(),
        };
        let request = self.request(message);
        Ok(self.client.complete(request).await?.into_inner().duplicate)
    }

    pub async fn fail(&mut self, lease: &str, epoch: u64, reason: i32) -> Result<(), Status> {
        let message = proto::FailRequest { session: self.session.clone(), lease: lease.into(), epoch, reason };
        let request = self.request(message);
        self.client.fail(request).await.map(|_| ())
    }

    pub async fn leave(&mut self) -> Result<(), Status> {
        let request = self.request(proto::LeaveRequest { session: self.session.clone() });
        self.client.leave(request).await.map(|_| ())
    }

    pub async fn blob(&mut self, sha256: &[u8], offset: u64) -> Result<Vec<u8>, Status> {
        let message = proto::GetBlobRequest { session: self.session.clone(), sha256: sha256.to_vec(), offset };
        let request = self.request(message);
        Ok(self.client.get_blob(request).await?.into_inner().chunk)
    }
}
