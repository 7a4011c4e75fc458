//! Requests that an escrow pays: taken, shown, followed.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lorica::chain::contracts::market::Market as Contracts;
use lorica::circuits::shape::OutputKind;
use lorica::signed_request::SignedRequest;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::inference::changed;
use super::message::timestamp;
use super::{Shared, call_deadline, deadline as call};
use crate::broker::admission::{Desk, word};
use crate::broker::quotes::Wanted;
use crate::error::{Reason, Refusal};
use crate::keys::Scope;
use crate::models::{Asked, id_of, name};
use crate::proto;
use crate::proto::market_service_server::MarketService;
use crate::store::market::{MarketRequest, MarketState, NewRequest};
use crate::store::{Submitted, Word, now};
use crate::{quote, terms};

/// How often whoever waits looks for itself, whatever it was told.
const LOOK: Duration = Duration::from_secs(5);
/// How often a stream's key is looked at again.
const KEY_CHECK: Duration = Duration::from_secs(30);

/// The service.
pub struct Market {
    pub shared: Arc<Shared>,
    /// None without a broker.
    pub desk: Option<Arc<Desk>>,
}

type Answered<T> = Result<Response<T>, Status>;

fn unknown() -> Refusal {
    Refusal::new(Reason::RequestUnknown, "you have no request of this name")
}

/// `requests/{chain}/{id}`.
fn request_name(chain: u64, digest: &Word) -> String {
    format!("requests/{chain}/{}", hex::encode(digest))
}

/// Chain and id in a name.
fn digest_of(name: &str) -> Result<Word, Refusal> {
    let malformed = || Refusal::field("name", "`requests/`, a chain's id, `/` and 64 hexadecimal digits are expected");
    let (chain, digits) = name.strip_prefix("requests/").and_then(|rest| rest.split_once('/')).ok_or_else(malformed)?;
    let _: u64 = chain.parse().map_err(|_| malformed())?;
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).map_err(|_| malformed())?;
    Ok(digest)
}

fn state(state: MarketState) -> proto::MarketState {
    match state {
        MarketState::Waiting => proto::MarketState::Waiting,
        MarketState::Declined => proto::MarketState::Declined,
        MarketState::Accepting => proto::MarketState::Accepting,
        MarketState::Accepted => proto::MarketState::Accepted,
        MarketState::Proving => proto::MarketState::Proving,
        MarketState::Settling => proto::MarketState::Settling,
        MarketState::Paid => proto::MarketState::Paid,
        MarketState::Lost => proto::MarketState::Lost,
        MarketState::Refusing => proto::MarketState::Refusing,
        MarketState::Refused => proto::MarketState::Refused,
        MarketState::Cancelled => proto::MarketState::Cancelled,
        MarketState::Expired => proto::MarketState::Expired,
    }
}

fn message(own: &MarketRequest) -> Result<proto::MarketRequest, Refusal> {
    let answer = proto::Answer::decode(own.answer.as_slice())
        .map_err(|_| Refusal::new(Reason::Internal, "the stored answer cannot be read"))?;
    let hash = |tx: &Option<Word>| tx.map(Vec::from).unwrap_or_default();
    Ok(proto::MarketRequest {
        name: request_name(own.chain, &own.digest),
        state: state(own.state).into(),
        reason: own.reason.clone(),
        answer: Some(answer),
        decision: own.decision.clone().unwrap_or_default(),
        accept_transaction: hash(&own.accept_tx),
        settle_transaction: hash(&own.settle_tx),
        deadline: own.deadline,
        create_time: Some(timestamp(own.created)),
        update_time: Some(timestamp(own.updated)),
        sequence: own.sequence,
    })
}

impl Market {
    fn desk(&self) -> Result<&Arc<Desk>, Refusal> {
        self.desk.as_ref().ok_or_else(|| Refusal::new(Reason::MarketAbsent, "this service has no broker"))
    }

    async fn read(&self, tenant: &str, digest: Word) -> Result<MarketRequest, Refusal> {
        read(&self.shared, tenant, digest).await
    }

    async fn submit(&self, tenant: &str, request: proto::SubmitRequestRequest) -> Result<MarketRequest, Refusal> {
        let desk = self.desk()?;
        let signed = signed(&desk.settings.market, &request)?;
        let digest: Word = signed.id.0;
        // Sent again it is the same request, and its state is told without looking at the text again.
        match self.shared.store.call(move |store| store.owner(&digest)).await? {
            Some(owner) if owner == tenant => return self.read(tenant, digest).await,
            Some(_) => return Err(crate::store::StoreError::RequestForeign.into()),
            None => {}
        }
        self.shared.expect_open()?;
        let open = self.shared.store.call(|store| store.open_requests()).await?;
        let accepted = open.iter().filter(|own| own.state.is_owed()).count() as u64;
        let (own_desk, own) = (desk.clone(), signed.clone());
        let datanet = self.shared.compute(move |models| own_desk.look(models, &own, accepted)).await??;
        let executed = self.shared.execute(asked(&signed, datanet.as_ref(), request.input)).await?;
        let new = NewRequest {
            id: Uuid::now_v7(),
            digest,
            chain: desk.settings.market.contracts.chain_id,
            tenant: tenant.to_owned(),
            terms: terms::message(&signed, &desk.settings.market).encode_to_vec(),
            base: executed.base,
            adapter: executed.adapter,
            datanet: executed.datanet,
            kind: executed.kind.number(),
            deadline: signed.terms.deadline,
            token_ids: executed.ids,
            salt: executed.salt,
            answer: executed.answer.encode_to_vec(),
        };
        let limit = self.shared.open_proofs;
        match self.shared.change(move |store| store.admit(now(), &new, limit)).await? {
            Submitted::Created | Submitted::Repeated(_) => self.read(tenant, digest).await,
        }
    }
}

/// The request of a call. Its input is a text: token ids would be taken on trust.
fn signed(contracts: &Contracts, request: &proto::SubmitRequestRequest) -> Result<SignedRequest, Refusal> {
    let terms = request.terms.as_ref().ok_or_else(|| Refusal::field("terms", "they are missing"))?;
    let input = request.input.as_ref();
    let text = match input.and_then(|input| input.input.as_ref()) {
        Some(proto::input::Input::Text(text)) => text.clone(),
        _ => return Err(Refusal::field("input", "a text is expected")),
    };
    let salt = input.map(|input| input.salt.as_slice()).unwrap_or_default();
    let salt = salt.try_into().map_err(|_| {
        Refusal::field("input.salt", format!("the 31 bytes of the input digest are expected, got {}", salt.len()))
    })?;
    Ok(terms::request(terms, &request.signature, (text, salt), contracts)?)
}

/// What a quote is asked for.
fn wanted(request: &proto::GetQuoteRequest) -> Result<Wanted, Refusal> {
    let id = |field, collection, name: &str| {
        let malformed = || Refusal::field(field, format!("`{collection}/` and 64 hexadecimal digits are expected"));
        id_of(collection, name).ok_or_else(malformed)
    };
    let kind = match request.kind() {
        proto::OutputKind::Classify => OutputKind::Classify,
        proto::OutputKind::Embed => OutputKind::Embed,
        _ => return Err(Refusal::field("kind", "a classification or an embedding is expected")),
    };
    let token: [u8; 20] =
        request.token.as_slice().try_into().map_err(|_| Refusal::field("token", "20 bytes are expected"))?;
    Ok(Wanted {
        base: id("base", "bases", &request.base)?,
        adapter: if request.adapter.is_empty() { [0; 32] } else { id("adapter", "adapters", &request.adapter)? },
        kind: kind.number(),
        tokens: request.tokens,
        token: token.into(),
        consumer_gas: request.consumer_gas,
    })
}

fn asked(signed: &SignedRequest, datanet: Option<&Word>, input: Option<proto::Input>) -> Asked {
    let (base, adapter): (Word, Word) = (signed.terms.base.to_be_bytes(), signed.terms.adapter.to_be_bytes());
    let kind = match signed.terms.kind {
        1 => proto::OutputKind::Classify,
        _ => proto::OutputKind::Embed,
    };
    let adapter = if adapter == [0; 32] { String::new() } else { name("adapters", &adapter) };
    let datanet = datanet.map_or_else(String::new, |id| name("datanets", id));
    Asked { base: name("bases", &base), adapter, datanet, input, kind: kind.into() }
}

async fn read(shared: &Shared, tenant: &str, digest: Word) -> Result<MarketRequest, Refusal> {
    let tenant = tenant.to_owned();
    shared.store.call(move |store| store.request(&tenant, &digest)).await?.ok_or_else(unknown)
}

/// What a watch has still to tell.
struct Watch {
    shared: Arc<Shared>,
    metadata: MetadataMap,
    tenant: String,
    digest: Word,
    after: u64,
    end: Option<Instant>,
    told: mpsc::Sender<Result<proto::WatchRequestResponse, Status>>,
}

impl Watch {
    async fn run(mut self) {
        let (end, told) = (self.end, self.told.clone());
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
            let own = read(&self.shared, &self.tenant, self.digest).await?;
            let (tenant, digest, after) = (self.tenant.clone(), self.digest, self.after);
            let events = self.shared.store.call(move |store| store.request_events(&tenant, &digest, after)).await?;
            for event in events.iter().filter(|event| event.sequence <= own.sequence) {
                // The last one is told with all that the request has by now.
                let is_last = event.sequence == own.sequence;
                let mut told = message(&own)?;
                if !is_last {
                    (told.state, told.reason) = (state(event.to).into(), event.reason.clone());
                    (told.sequence, told.update_time) = (event.sequence, Some(timestamp(event.at)));
                }
                self.after = event.sequence;
                if self.told.send(Ok(proto::WatchRequestResponse { request: Some(told) })).await.is_err() {
                    return Ok(());
                }
            }
            if own.state.is_terminal() {
                return Ok(());
            }
            if *ended.borrow() {
                return Err(Refusal::new(Reason::Draining, "the service is ending"));
            }
            if key_checked.elapsed() > KEY_CHECK {
                if self.shared.tenant(&self.metadata, Scope::Read).await? != self.tenant {
                    return Err(unknown());
                }
                key_checked = Instant::now();
            }
            tokio::select! {
                () = changed(&mut changes, own.id) => {}
                () = sleep(LOOK) => {}
                _ = ended.changed() => {}
                () = self.told.closed() => return Ok(()),
            }
        }
    }
}

#[tonic::async_trait]
impl MarketService for Market {
    async fn submit_request(
        &self,
        request: Request<proto::SubmitRequestRequest>,
    ) -> Answered<proto::SubmitRequestResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Settle).await?;
        let own = self.submit(&tenant, request.into_inner()).await?;
        Ok(Response::new(proto::SubmitRequestResponse { request: Some(message(&own)?) }))
    }

    async fn get_request(&self, request: Request<proto::GetRequestRequest>) -> Answered<proto::GetRequestResponse> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Read).await?;
        let own = self.read(&tenant, digest_of(&request.get_ref().name)?).await?;
        Ok(Response::new(proto::GetRequestResponse { request: Some(message(&own)?) }))
    }

    type WatchRequestStream = Pin<Box<dyn Stream<Item = Result<proto::WatchRequestResponse, Status>> + Send>>;

    async fn watch_request(&self, request: Request<proto::WatchRequestRequest>) -> Answered<Self::WatchRequestStream> {
        let tenant = self.shared.tenant(request.metadata(), Scope::Read).await?;
        let digest = digest_of(&request.get_ref().name)?;
        self.read(&tenant, digest).await?;
        let (told, stream) = mpsc::channel(16);
        let watch = Watch {
            shared: self.shared.clone(),
            metadata: request.metadata().clone(),
            tenant,
            digest,
            after: request.get_ref().after_sequence,
            end: call_deadline(&request),
            told,
        };
        tokio::spawn(watch.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_quote(&self, request: Request<proto::GetQuoteRequest>) -> Answered<proto::GetQuoteResponse> {
        self.shared.tenant(request.metadata(), Scope::Read).await?;
        let desk = self.desk()?.clone();
        self.shared.expect_open()?;
        let wanted = wanted(request.get_ref())?;
        let (open, breaker) = self
            .shared
            .store
            .call(|store| Ok((store.open_requests()?, store.breaker()?)))
            .await
            .map_err(Refusal::from)?;
        if let Some((reason, _)) = breaker {
            return Err(Refusal::new(Reason::Overloaded, format!("nothing is accepted at present: {reason}")).into());
        }
        let accepted = open.iter().filter(|own| own.state.is_owed()).count() as u64;
        let (own, market) = (desk.clone(), desk.settings.market);
        let (quote, signature) = self.shared.compute(move |models| own.quote(models, &wanted, accepted)).await??;
        Ok(Response::new(proto::GetQuoteResponse {
            quote: Some(quote::message(&quote)),
            signature,
            chain_id: market.contracts.chain_id,
            escrow: market.escrow.to_vec(),
        }))
    }

    async fn get_node(&self, request: Request<proto::GetNodeRequest>) -> Answered<proto::GetNodeResponse> {
        self.shared.tenant(request.metadata(), Scope::Read).await?;
        let settings = &self.desk()?.settings;
        let (open, breaker) = self
            .shared
            .store
            .call(|store| Ok((store.open_requests()?, store.breaker()?)))
            .await
            .map_err(Refusal::from)?;
        let accepted = open.iter().filter(|own| own.state.is_owed()).count() as u64;
        let tokens = settings
            .tokens
            .iter()
            .map(|own| proto::TakenToken { token: own.token.to_vec(), least_fee: word(own.least_fee).to_vec() });
        Ok(Response::new(proto::GetNodeResponse {
            account: settings.payee.to_vec(),
            chain_id: settings.market.contracts.chain_id,
            escrow: settings.market.escrow.to_vec(),
            tokens: tokens.collect(),
            least_seconds: settings.load_of(accepted).needed(),
            closed: breaker.map(|(reason, _)| reason).unwrap_or_default(),
        }))
    }
}
