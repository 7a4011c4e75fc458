//! Answers, proofs, checks.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::message::{body, deadline, proof, proof_at, proof_id, stored_state, unknown_proof, wait, word};
use super::{Shared, call_deadline, deadline as call};
use crate::error::{Reason, Refusal};
use crate::keys::Scope;
use crate::models::{Asked, Verdict, Verified, name};
use crate::proto;
use crate::proto::inference_service_server::InferenceService;
use crate::store::{Job, NewJob, Submitted, now};

/// Proofs of a page, unless fewer are asked for.
const PAGE: u32 = 100;
/// How often whoever waits looks for itself, whatever it was told.
const LOOK: Duration = Duration::from_secs(5);
/// How often a stream's key is looked at again.
const KEY_CHECK: Duration = Duration::from_secs(30);

/// The service.
pub struct Inference {
    pub shared: Arc<Shared>,
}

type Answered<T> = Result<Response<T>, Status>;

impl Inference {
    async fn read(&self, tenant: &str, id: Uuid) -> Result<Job, Refusal> {
        read(&self.shared, tenant, id).await
    }

    /// The message of a job, with proof and salt if all of it is asked for.
    async fn message(&self, job: Job, view: i32) -> Result<proto::Proof, Refusal> {
        message(&self.shared, job, view).await
    }

    /// A job when it is done, or as it is when the time is over or the service ends.
    async fn wait(&self, tenant: &str, id: Uuid, wait: Duration) -> Result<Job, Refusal> {
        let end = Instant::now() + wait;
        let mut ended = self.shared.ended.clone();
        // Listened to before the job is read: what changes after that is not missed.
        let mut changes = self.shared.store.changes();
        loop {
            let job = self.read(tenant, id).await?;
            if job.state.is_terminal() || Instant::now() >= end || *ended.borrow() {
                return Ok(job);
            }
            let again = (Instant::now() + LOOK).min(end);
            tokio::select! {
                () = changed(&mut changes, id) => {}
                () = sleep_until(again) => {}
                _ = ended.changed() => {}
            }
        }
    }

    async fn create(&self, tenant: &str, request: &proto::CreateProofRequest) -> Result<Uuid, Refusal> {
        let request_id = Uuid::try_parse(&request.request_id)
            .map_err(|_| Refusal::field("request_id", "a UUID that you draw is expected"))?;
        let content = body(request);
        let own = tenant.to_owned();
        if let Some((id, known)) = self.shared.store.call(move |store| store.requested(&own, request_id)).await? {
            let reused = || Refusal::from(crate::store::StoreError::RequestIdReused);
            return if known == content { Ok(id) } else { Err(reused()) };
        }
        self.shared.expect_open()?;
        match proto::ProofLevel::try_from(request.level) {
            Ok(proto::ProofLevel::Unspecified | proto::ProofLevel::Inference) => {}
            Ok(proto::ProofLevel::None) => {
                return Err(Refusal::of(Reason::LevelUnsupported, "level", "answers without a proof are Infer's"));
            }
            Ok(proto::ProofLevel::Settlement) => {
                return Err(Refusal::of(
                    Reason::LevelUnsupported,
                    "level",
                    "settlements of requests are MarketService's",
                ));
            }
            Err(_) => return Err(Refusal::field("level", "no such level")),
        }
        if request.target.is_some() {
            return Err(Refusal::of(Reason::LevelUnsupported, "target", "settlements of requests are MarketService's"));
        }
        proto::ServiceClass::try_from(request.service_class)
            .map_err(|_| Refusal::field("service_class", "no such class"))?;
        let (context, _) = word("context", &request.context)?;
        let deadline = deadline(request.deadline.as_ref(), now())?;
        let executed = self
            .shared
            .execute(asked(&request.base, &request.adapter, &request.datanet, &request.input, request.kind))
            .await?;
        let job = NewJob {
            id: Uuid::now_v7(),
            tenant: tenant.to_owned(),
            request_id,
            body: content,
            base: executed.base,
            adapter: executed.adapter,
            datanet: executed.datanet,
            kind: executed.kind.number(),
            context,
            deadline,
            token_ids: executed.ids,
            salt: executed.salt,
            answer: prost::Message::encode_to_vec(&executed.answer),
            binding: None,
            group: None,
        };
        let (id, limit) = (job.id, self.shared.open_proofs);
        let submitted = self.shared.change(move |store| store.submit(now(), &job, limit)).await?;
        self.shared.wake.notify_one();
        Ok(match submitted {
            Submitted::Created => id,
            Submitted::Repeated(known) => known,
        })
    }
}

fn asked(base: &str, adapter: &str, datanet: &str, input: &Option<proto::Input>, kind: i32) -> Asked {
    Asked { base: base.into(), adapter: adapter.into(), datanet: datanet.into(), input: input.clone(), kind }
}

async fn read(shared: &Shared, tenant: &str, id: Uuid) -> Result<Job, Refusal> {
    let tenant = tenant.to_owned();
    shared.store.call(move |store| store.job(&tenant, id)).await?.ok_or_else(unknown_proof)
}

async fn message(shared: &Shared, job: Job, view: i32) -> Result<proto::Proof, Refusal> {
    let own = proof(&job)?;
    match proto::ProofView::try_from(view) {
        Ok(proto::ProofView::Full) => {}
        Ok(_) => return Ok(own),
        Err(_) => return Err(Refusal::field("view", "no such view")),
    }
    let inference_proof = match job.proof {
        Some(sha256) => shared.store.call(move |store| store.blob(&sha256)).await?,
        None => Vec::new(),
    };
    Ok(proto::Proof { inference_proof, salt: job.salt.map(Vec::from).unwrap_or_default(), ..own })
}

/// Returns when the job has changed, or may have.
pub async fn changed(changes: &mut broadcast::Receiver<Uuid>, id: Uuid) {
    loop {
        match changes.recv().await {
            Ok(other) if other != id => {}
            // Too slow to hear of each change: look.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => sleep(LOOK).await,
        }
    }
}

/// What a watch has still to tell.
struct Watch {
    shared: Arc<Shared>,
    metadata: MetadataMap,
    tenant: String,
    id: Uuid,
    after: u64,
    view: i32,
    end: Option<Instant>,
    told: mpsc::Sender<Result<proto::WatchProofResponse, Status>>,
}

impl Watch {
    async fn run(mut self) {
        let end = self.end;
        let told = self.told.clone();
        let result = match end {
            Some(end) => timeout_at(end, self.tell()).await.unwrap_or_else(|_| Err(call::passed())),
            None => self.tell().await,
        };
        if let Err(refusal) = result {
            // Whoever listened may be gone.
            let _ = told.send(Err(refusal.into())).await;
        }
    }

    async fn tell(&mut self) -> Result<(), Refusal> {
        let mut ended = self.shared.ended.clone();
        let mut changes = self.shared.store.changes();
        let mut key_checked = Instant::now();
        loop {
            let job = read(&self.shared, &self.tenant, self.id).await?;
            let (tenant, id, after) = (self.tenant.clone(), self.id, self.after);
            let events = self.shared.store.call(move |store| store.events(&tenant, id, after)).await?;
            for event in &events {
                // The last one is told with all that the job has by now; one that came after the job was read, the next time.
                let own = match event.sequence.cmp(&job.sequence) {
                    std::cmp::Ordering::Less => proof_at(&job, event)?,
                    std::cmp::Ordering::Equal => message(&self.shared, job.clone(), self.view).await?,
                    std::cmp::Ordering::Greater => break,
                };
                self.after = event.sequence;
                if self.told.send(Ok(proto::WatchProofResponse { proof: Some(own) })).await.is_err() {
                    return Ok(());
                }
            }
            if job.state.is_terminal() {
                return Ok(());
            }
            if *ended.borrow() {
                return Err(Refusal::new(Reason::Draining, "the service is ending"));
            }
            if key_checked.elapsed() > KEY_CHECK {
                let tenant = self.shared.tenant(&self.metadata, Scope::Read).await?;
                if tenant != self.tenant {
                    return Err(unknown_proof());
                }
                key_checked = Instant::now();
            }
            tokio::select! {
                () = changed(&mut changes, self.id) => {}
                () = sleep(LOOK) => {}
                _ = ended.changed() => {}
                () = self.told.closed() => return Ok(()),
            }
        }
    }
}

#[tonic::async_trait]
impl InferenceService for Inference {
    async fn infer(&self, request: Request<proto::InferRequest>) -> Answered<proto::InferResponse> {
        self.shared.tenant(request.metadata(), Scope::Infer).await?;
        self.shared.expect_open()?;
        let request = request.into_inner();
        let executed = self
            .shared
            .execute(asked(&request.base, &request.adapter, &request.datanet, &request.input, request.kind))
            .await?;
        Ok(Response::new(proto::InferResponse { answer: Some(executed.answer) }))
    }

    async fn create_proof(&self, request: Request<proto::CreateProofRequest>) -> Answered<proto::CreateProofResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Prove).await?;
        let request = request.into_inner();
        let time = wait(request.wait.as_ref())?;
        let id = self.create(&tenant, &request).await?;
        let job = self.wait(&tenant, id, time).await?;
        let proof = Some(self.message(job, proto::ProofView::Basic.into()).await?);
        Ok(Response::new(proto::CreateProofResponse { proof }))
    }

    async fn get_proof(&self, request: Request<proto::GetProofRequest>) -> Answered<proto::GetProofResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Read).await?;
        let request = request.into_inner();
        let (id, time) = (proof_id(&request.name)?, wait(request.wait.as_ref())?);
        let job = self.wait(&tenant, id, time).await?;
        let proof = Some(self.message(job, request.view).await?);
        Ok(Response::new(proto::GetProofResponse { proof }))
    }

    async fn list_proofs(&self, request: Request<proto::ListProofsRequest>) -> Answered<proto::ListProofsResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Read).await?;
        let request = request.into_inner();
        let size = match u32::try_from(request.page_size) {
            Ok(0) => PAGE,
            Ok(size) => size.min(PAGE),
            Err(_) => return Err(Refusal::field("page_size", "zero or more is expected").into()),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(Uuid::try_parse(token).map_err(|_| Refusal::field("page_token", "it is none of ours"))?),
        };
        let state = stored_state(request.state)?;
        let jobs = self.shared.store.call(move |store| store.list(&tenant, state, before, size)).await;
        let jobs = jobs.map_err(Refusal::from)?;
        let is_full = u32::try_from(jobs.len()).is_ok_and(|length| length == size);
        let last = jobs.last().filter(|_| is_full).map(|job| job.id.to_string());
        let proofs = jobs.iter().map(proof).collect::<Result<_, _>>()?;
        Ok(Response::new(proto::ListProofsResponse { proofs, next_page_token: last.unwrap_or_default() }))
    }

    type WatchProofStream = Pin<Box<dyn Stream<Item = Result<proto::WatchProofResponse, Status>> + Send>>;

    async fn watch_proof(&self, request: Request<proto::WatchProofRequest>) -> Answered<Self::WatchProofStream> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Read).await?;
        let end = call_deadline(&request);
        let metadata = request.metadata().clone();
        let request = request.into_inner();
        let id = proof_id(&request.name)?;
        proto::ProofView::try_from(request.view).map_err(|_| Refusal::field("view", "no such view"))?;
        // Refused at once, and not in the stream.
        self.read(&tenant, id).await?;
        let (told, listener) = mpsc::channel(4);
        let (after, view) = (request.after_sequence, request.view);
        let watch = Watch { shared: self.shared.clone(), metadata, tenant, id, after, view, end, told };
        tokio::spawn(watch.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(listener))))
    }

    async fn cancel_proof(&self, request: Request<proto::CancelProofRequest>) -> Answered<proto::CancelProofResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Prove).await?;
        let id = proof_id(&request.into_inner().name)?;
        let job = self.shared.change(move |store| store.cancel(now(), &tenant, id)).await?;
        let proof = Some(proof(&job.ok_or_else(unknown_proof)?)?);
        Ok(Response::new(proto::CancelProofResponse { proof }))
    }

    async fn verify_proof(&self, request: Request<proto::VerifyProofRequest>) -> Answered<proto::VerifyProofResponse> {
        self.shared.tenant(request.metadata(), Scope::Read).await?;
        self.shared.expect_open()?;
        let request = request.into_inner();
        if !request.settlement.is_empty() {
            return Err(
                Refusal::of(Reason::LevelUnsupported, "settlement", "settlements are not checked here yet").into()
            );
        }
        let (_, context) = word("context", &request.context)?;
        let verdict = self.shared.compute(move |models| models.verify(&request.inference_proof, context)).await?;
        let response = match verdict {
            Ok(Verified { base, datanet, requests }) => proto::VerifyProofResponse {
                accepted: true,
                base: name("bases", &base),
                datanet: datanet.map(|id| name("datanets", &id)).unwrap_or_default(),
                requests,
                ..proto::VerifyProofResponse::default()
            },
            Err(Verdict::Rejected(reason)) => {
                proto::VerifyProofResponse { reason, ..proto::VerifyProofResponse::default() }
            }
            Err(Verdict::Refused(refusal)) => return Err(refusal.into()),
        };
        Ok(Response::new(response))
    }
}
