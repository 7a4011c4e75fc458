//! A client that blocks: for commands, and for programs that are not asynchronous.

use std::time::Duration;

use lorica::answer::Answer;
use tokio::runtime::{Builder, Runtime};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::proto;
use crate::proto::inference_service_client::InferenceServiceClient;
use crate::proto::market_service_client::MarketServiceClient;
use crate::proto::model_service_client::ModelServiceClient;
use crate::proto::worker_service_client::WorkerServiceClient;

/// Largest message that is taken: a base's key with its tokenizer, or a proof.
const MAX_MESSAGE: usize = 64 << 20;

/// How long a call waits for a proof.
pub use prost_types::Duration as WaitTime;

/// A point in time.
pub use prost_types::Timestamp;

/// A point in time, by seconds since 1970.
#[must_use]
pub fn timestamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address, certificate or key is not one.
    #[error("{0}")]
    Input(String),
    /// The service cannot be reached.
    #[error("{address}: {reason}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        reason: String,
    },
    /// The service refused.
    #[error("the service refuses ({reason}): {message}")]
    Refused {
        /// The reason of its closed list, or the status code's name.
        reason: String,
        /// For people.
        message: String,
        /// The status code.
        code: Code,
    },
    /// The service says that a proof does not hold.
    #[error("the service does not accept the proof: {0}")]
    Rejected(String),
}

/// A service that is reached.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    inference: InferenceServiceClient<Channel>,
    models: ModelServiceClient<Channel>,
    market: MarketServiceClient<Channel>,
    workers: WorkerServiceClient<Channel>,
    bearer: Option<MetadataValue<Ascii>>,
    address: String,
}

impl Client {
    /// Connects to `http://host:port` or `https://host:port`; `ca` is a certificate authority as PEM, in place of those
    /// that browsers trust. `key` is an API key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(address: &str, key: Option<&str>, ca: Option<Vec<u8>>) -> Result<Self, ClientError> {
        let input = |error: &dyn std::fmt::Display| ClientError::Input(error.to_string());
        let endpoint = endpoint(address, key.is_some(), ca)?;
        let bearer = key.map(bearer).transpose()?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| input(&error))?;
        let unreachable = |error: tonic::transport::Error| {
            let mut reason = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                reason = cause.to_string();
                source = cause.source();
            }
            ClientError::Unreachable { address: address.into(), reason }
        };
        let channel = runtime.block_on(endpoint.connect()).map_err(unreachable)?;
        let inference = InferenceServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let models = ModelServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let market = MarketServiceClient::new(channel.clone());
        let workers = WorkerServiceClient::new(channel);
        Ok(Self { runtime, inference, models, market, workers, bearer, address: address.into() })
    }

    fn request<T>(&self, message: T, timeout: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(timeout);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    fn refused(&self, status: &Status) -> ClientError {
        refused(&self.address, status)
    }
}

/// A service's address, to be connected to. A key is sent over TLS only, or to this machine.
pub(crate) fn endpoint(address: &str, has_key: bool, ca: Option<Vec<u8>>) -> Result<Endpoint, ClientError> {
    let input = |error: &dyn std::fmt::Display| ClientError::Input(format!("{address}: {error}"));
    let mut endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| input(&error))?;
    endpoint = endpoint.connect_timeout(Duration::from_secs(10));
    let is_secure = address.starts_with("https://");
    if has_key && !is_secure && !is_loopback(&endpoint) {
        return Err(ClientError::Input(format!("{address}: a key is sent over https:// only, or to this machine")));
    }
    if is_secure {
        let tls = match ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|error| input(&error))?;
    }
    Ok(endpoint)
}

/// A key as calls carry it; it is in no log.
pub(crate) fn bearer(key: &str) -> Result<MetadataValue<Ascii>, ClientError> {
    let bearer = format!("Bearer {key}").parse::<MetadataValue<Ascii>>();
    let mut bearer = bearer.map_err(|_| ClientError::Input("the key has characters that no key has".into()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// A status as an error.
pub(crate) fn refused(address: &str, status: &Status) -> ClientError {
    let info = status.get_details_error_info();
    if info.is_none() && status.code() == Code::Unavailable {
        return ClientError::Unreachable { address: address.into(), reason: status.message().into() };
    }
    let reason = info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason);
    ClientError::Refused { reason, message: status.message().into(), code: status.code() }
}

/// A fresh request id.
///
/// # Errors
/// [`ClientError::Input`] if the system gives no randomness.
pub fn random_request_id() -> Result<String, ClientError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ClientError::Input(error.to_string()))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// An answer as the library shows it. Only the label that won has its name.
#[must_use]
pub fn answer(message: &proto::Answer) -> Option<Answer> {
    match message.output.as_ref()? {
        proto::answer::Output::Embedding(own) => Some(Answer::Embed {
            sums: own.sums.clone(),
            length: usize::try_from(message.tokens).ok()?,
            exponent: own.exponent,
        }),
        proto::answer::Output::Classification(own) => {
            let label = usize::try_from(own.label).ok()?;
            let name = (!own.name.is_empty()).then(|| own.name.clone());
            let named = |index| if index == label { name.clone() } else { None };
            let logits = own.logits.iter().enumerate().map(|(index, &logit)| (named(index), logit)).collect();
            Some(Answer::Classify { label, name: name.clone(), logits })
        }
    }
}

/// Whether the endpoint is this machine.
fn is_loopback(endpoint: &Endpoint) -> bool {
    let host = endpoint.uri().host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

macro_rules! calls {
    ($($(#[$doc:meta])* $service:ident.$call:ident($request:ident) -> $response:ident;)+) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ClientError`].
                pub fn $call(
                    &mut self,
                    message: proto::$request,
                    timeout: Duration,
                ) -> Result<proto::$response, ClientError> {
                    let request = self.request(message, timeout);
                    let answered = self.runtime.block_on(self.$service.$call(request));
                    answered.map(tonic::Response::into_inner).map_err(|status| self.refused(&status))
                }
            )+
        }
    };
}

calls! {
    /// The answer without a proof.
    inference.infer(InferRequest) -> InferResponse;
    /// Asks for a proof.
    inference.create_proof(CreateProofRequest) -> CreateProofResponse;
    /// A proof, when it is done or the time is over.
    inference.get_proof(GetProofRequest) -> GetProofResponse;
    /// The caller's proofs.
    inference.list_proofs(ListProofsRequest) -> ListProofsResponse;
    /// Gives a proof up.
    inference.cancel_proof(CancelProofRequest) -> CancelProofResponse;
    /// Checks a proof.
    inference.verify_proof(VerifyProofRequest) -> VerifyProofResponse;
    /// Bases that are served.
    models.list_bases(ListBasesRequest) -> ListBasesResponse;
    /// Adapters that are served.
    models.list_adapters(ListAdaptersRequest) -> ListAdaptersResponse;
    /// Datanets that are served.
    models.list_datanets(ListDatanetsRequest) -> ListDatanetsResponse;
    /// A verifying key.
    models.get_key(GetKeyRequest) -> GetKeyResponse;
    /// Hands in a signed request with its text.
    market.submit_request(SubmitRequestRequest) -> SubmitRequestResponse;
    /// A request that was handed in.
    market.get_request(GetRequestRequest) -> GetRequestResponse;
    /// Whom a request has to name, and what it has to pay.
    market.get_node(GetNodeRequest) -> GetNodeResponse;
    /// What a request would have to pay, signed by whom it would have to name.
    market.get_quote(GetQuoteRequest) -> GetQuoteResponse;
    /// Makes a worker known.
    workers.register(RegisterRequest) -> RegisterResponse;
    /// A batch to prove, or none after a while.
    workers.lease(LeaseRequest) -> LeaseResponse;
    /// Prolongs a lease.
    workers.heartbeat(HeartbeatRequest) -> HeartbeatResponse;
    /// Hands in what was made of a batch.
    workers.complete(CompleteRequest) -> CompleteResponse;
    /// Says that nothing is made of a batch.
    workers.fail(FailRequest) -> FailResponse;
    /// Says that a worker ends.
    workers.leave(LeaveRequest) -> LeaveResponse;
    /// A piece of a served file.
    workers.get_blob(GetBlobRequest) -> GetBlobResponse;
    /// Who proves.
    workers.list_workers(ListWorkersRequest) -> ListWorkersResponse;
}

impl Client {
    /// Follows a proof after a sequence number, and hands each change to `told`, until it is done or the time is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch_proof(
        &mut self,
        message: proto::WatchProofRequest,
        timeout: Duration,
        mut told: impl FnMut(proto::Proof),
    ) -> Result<(), ClientError> {
        let request = self.request(message, timeout);
        let watched: Result<(), Status> = self.runtime.block_on(async {
            let mut stream = self.inference.watch_proof(request).await?.into_inner();
            while let Some(change) = stream.message().await? {
                if let Some(proof) = change.proof {
                    told(proof);
                }
            }
            Ok(())
        });
        watched.map_err(|status| self.refused(&status))
    }

    /// Follows a request after a sequence number, and hands each change to `told`, until it has ended or the time is over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch_request(
        &mut self,
        message: proto::WatchRequestRequest,
        timeout: Duration,
        mut told: impl FnMut(proto::MarketRequest),
    ) -> Result<(), ClientError> {
        let request = self.request(message, timeout);
        let watched: Result<(), Status> = self.runtime.block_on(async {
            let mut stream = self.market.watch_request(request).await?.into_inner();
            while let Some(change) = stream.message().await? {
                if let Some(own) = change.request {
                    told(own);
                }
            }
            Ok(())
        });
        watched.map_err(|status| self.refused(&status))
    }
}
