//! A worker's calls to its service: each ends by its deadline, and a service that is away is waited for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::client::{ClientError, bearer, endpoint, refused};
use crate::error::Reason;
use crate::proto;
use crate::proto::worker_service_client::WorkerServiceClient;

/// Number of the protocol: programs with another one do not work together.
pub const PROTOCOL: u32 = 1;
/// The program's version: a worker proves for a service of its own version only.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Time for a call that does not wait for work.
const CALL: Duration = Duration::from_secs(10);
/// How long the service keeps a worker waiting for work.
const WAIT: Duration = Duration::from_secs(20);
/// The first pause before a call is repeated, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(15)];
/// Largest answer that is taken: a piece of a file, or a list of all files.
const MAX_ANSWER: usize = 16 << 20;

/// What a worker tells people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A file is fetched: its name and size.
    Fetching(String, u64),
    /// The worker can prove.
    Ready,
    /// The service is away, and is waited for. Said once.
    Waiting(String),
    /// The service answers again.
    Back,
    /// A result of an earlier run was taken.
    Delivered(String),
    /// A result of an earlier run came too late.
    Discarded(String),
}

/// Where notices go.
pub type Told = mpsc::UnboundedSender<Notice>;

/// Why a call brought nothing.
#[derive(Debug)]
pub enum Failure {
    /// The service is away, or cannot answer now.
    Away(ClientError),
    /// It does not know the session any more.
    SessionUnknown,
    /// The lease ended, or is another's.
    LeaseLost,
    /// What the worker made was false.
    Banned(String),
    /// It refuses.
    Refused(ClientError),
}

/// A service, and who this worker is to it.
pub struct Link {
    client: WorkerServiceClient<Channel>,
    bearer: MetadataValue<Ascii>,
    address: String,
    worker: String,
    session: Mutex<Vec<u8>>,
    /// The service forgot the session meanwhile: what is served may be something else.
    pub registered_anew: AtomicBool,
    is_away: AtomicBool,
    told: Told,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

macro_rules! calls {
    ($($call:ident($request:ident) -> $response:ident;)+) => {
        $(
            pub async fn $call(&self, message: proto::$request, time: Duration) -> Result<proto::$response, Failure> {
                let (request, mut client) = (self.request(message, time), self.client.clone());
                self.answered(client.$call(request).await)
            }
        )+
    };
}

impl Link {
    /// Looks at address, key and certificate. Nothing is sent.
    pub fn new(
        address: &str,
        key: &str,
        ca: Option<Vec<u8>>,
        worker: &str,
        session: Vec<u8>,
        told: Told,
    ) -> Result<Self, ClientError> {
        let endpoint = endpoint(address, true, ca)?
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        let client = WorkerServiceClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER);
        Ok(Self {
            client,
            bearer: bearer(key)?,
            address: address.into(),
            worker: worker.into(),
            session: Mutex::new(session),
            registered_anew: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            told,
        })
    }

    /// Tells people something.
    pub fn tell(&self, notice: Notice) {
        // Nobody listens: fine.
        let _ = self.told.send(notice);
    }

    /// The session as calls carry it.
    pub fn session(&self) -> Vec<u8> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn request<T>(&self, message: T, time: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(time);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    fn answered<T>(&self, answered: Result<Response<T>, Status>) -> Result<T, Failure> {
        let result = match answered {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.failure(&status)),
        };
        match &result {
            Err(Failure::Away(error)) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "waiting for the gateway");
                    self.tell(Notice::Waiting(error.to_string()));
                }
            }
            _ => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the gateway is back");
                    self.tell(Notice::Back);
                }
            }
        }
        result
    }

    fn failure(&self, status: &Status) -> Failure {
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        let is = |known: Reason| reason == known.name();
        let error = refused(&self.address, status);
        match status.code() {
            _ if is(Reason::SessionUnknown) => Failure::SessionUnknown,
            _ if is(Reason::LeaseLost) => Failure::LeaseLost,
            _ if is(Reason::WorkerBanned) => Failure::Banned(status.message().into()),
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unknown => Failure::Away(error),
            _ => Failure::Refused(error),
        }
    }

    calls! {
        lease(LeaseRequest) -> LeaseResponse;
        heartbeat(HeartbeatRequest) -> HeartbeatResponse;
        complete(CompleteRequest) -> CompleteResponse;
        fail(FailRequest) -> FailResponse;
        leave(LeaveRequest) -> LeaveResponse;
        get_blob(GetBlobRequest) -> GetBlobResponse;
    }

    /// Makes the worker known under the session that it has, or takes a new one.
    pub async fn register(&self) -> Result<proto::RegisterResponse, Failure> {
        let message = proto::RegisterRequest {
            worker: self.worker.clone(),
            version: VERSION.into(),
            protocol: PROTOCOL,
            session: self.session(),
        };
        // All served files are hashed for the first worker: gigabytes may take a minute.
        let (request, mut client) = (self.request(message, 12 * CALL), self.client.clone());
        let answer = self.answered(client.register(request).await)?;
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.session);
        Ok(answer)
    }

    /// Asks for a batch.
    pub async fn ask(&self) -> Result<Option<proto::Lease>, Failure> {
        let wait = prost_types::Duration { seconds: WAIT.as_secs().cast_signed(), nanos: 0 };
        let message = proto::LeaseRequest { session: self.session(), wait: Some(wait) };
        Ok(self.lease(message, WAIT + CALL).await?.lease)
    }

    /// Prolongs a lease.
    pub async fn beat(&self, lease: &str, epoch: u64) -> Result<proto::HeartbeatResponse, Failure> {
        let message = proto::HeartbeatRequest { session: self.session(), lease: lease.into(), epoch };
        self.heartbeat(message, CALL).await
    }

    /// Hands a result in; one more registration if the session is forgotten.
    pub async fn hand_in(&self, message: proto::CompleteRequest) -> Result<proto::CompleteResponse, Failure> {
        let message = proto::CompleteRequest { session: self.session(), ..message };
        match self.complete(message.clone(), 3 * CALL).await {
            Err(Failure::SessionUnknown) => {
                self.register_again().await?;
                self.complete(proto::CompleteRequest { session: self.session(), ..message }, 3 * CALL).await
            }
            answered => answered,
        }
    }

    /// Reports a failure; one more registration if the session is forgotten.
    pub async fn report(&self, message: proto::FailRequest) -> Result<proto::FailResponse, Failure> {
        let message = proto::FailRequest { session: self.session(), ..message };
        match self.fail(message.clone(), CALL).await {
            Err(Failure::SessionUnknown) => {
                self.register_again().await?;
                self.fail(proto::FailRequest { session: self.session(), ..message }, CALL).await
            }
            answered => answered,
        }
    }

    /// Registers with a service that forgot the session. Whoever takes work next looks at what is served.
    pub async fn register_again(&self) -> Result<(), Failure> {
        self.register().await?;
        self.registered_anew.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Pauses between tries: longer each time, and not in step with other workers.
#[derive(Debug, Default)]
pub struct Pauses {
    tries: u32,
}

impl Pauses {
    /// The next one: up to a fifth shorter or longer than twice the one before.
    pub fn next(&mut self) -> Duration {
        let [first, longest] = PAUSES;
        let pause = first.saturating_mul(1 << self.tries.min(8)).min(longest);
        self.tries = self.tries.saturating_add(1);
        let mut byte = [128];
        // Without randomness the pause is as good, and in step.
        let _ = getrandom::fill(&mut byte);
        let [byte] = byte;
        pause.mul_f64(0.8 + f64::from(byte) / 255.0 * 0.4)
    }

    /// Waits for the next one. False if the worker ends meanwhile.
    pub async fn wait(&mut self, ending: &mut watch::Receiver<bool>) -> bool {
        let pause = self.next();
        tokio::select! {
            () = sleep(pause) => true,
            _ = ending.wait_for(|ending| *ending) => false,
        }
    }
}

/// When a worker that is told to end stops trying: so long after it was told.
#[derive(Debug)]
pub struct Patience {
    ending: watch::Receiver<bool>,
    drain: Duration,
    end: Option<Instant>,
}

impl Patience {
    pub fn new(ending: watch::Receiver<bool>, drain: Duration) -> Self {
        Self { ending, drain, end: None }
    }

    /// Runs something to its end, or until there is no patience left.
    pub async fn with<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            // Whoever tells is gone: that is the end, too.
            let _ = self.ending.wait_for(|ending| *ending).await;
            let end = *self.end.get_or_insert_with(|| Instant::now() + self.drain);
            tokio::time::sleep_until(end).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut pauses = Pauses::default();
        let all: Vec<Duration> = (0..40).map(|_| pauses.next()).collect();
        assert!(all[0] >= Duration::from_millis(400) && all[0] <= Duration::from_millis(600), "{:?}", all[0]);
        assert!(all[3] > 2 * all[0]);
        assert!(all.iter().all(|pause| *pause <= Duration::from_secs(18)));
        assert!(all[10..].windows(2).any(|pair| pair[0] != pair[1]), "in step");
    }

    #[tokio::test]
    async fn patience_ends_some_time_after_the_end_was_told() {
        let (end, ending) = watch::channel(false);
        let mut patience = Patience::new(ending, Duration::from_millis(300));
        let brief = || sleep(Duration::from_millis(100));
        assert_eq!(patience.with(brief()).await, Some(()), "nobody told it to end");
        end.send_replace(true);
        let start = Instant::now();
        assert_eq!(patience.with(brief()).await, Some(()), "there is time for this");
        assert_eq!(patience.with(sleep(Duration::from_secs(100))).await, None);
        assert_eq!(patience.with(sleep(Duration::from_secs(100))).await, None, "nor for anything later");
        assert!(start.elapsed() < Duration::from_secs(50), "from when it was told, not from each call");
    }
}
