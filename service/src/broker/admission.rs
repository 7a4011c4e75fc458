//! What a submitted request must be, before anything is queued or sent: what cannot be done, or is not worth it, is refused here,
//! with a reason of the closed list.

use std::sync::{Arc, Mutex, PoisonError};

use lorica::chain::alloy_primitives::U256;
use lorica::chain::chain::Chain;
use lorica::chain::contracts::escrow::Funding;
use lorica::chain::contracts::request::Status;
use lorica::chain::error::ChainError;
use lorica::chain::keys::PrivateKey;
use lorica::chain::rpc::RpcChain;
use lorica::chain::rpc::sending::usual_fees;
use lorica::circuits::shape::OutputKind;
use lorica::input::encode;
use lorica::offer::Reason as Against;
use lorica::offer::circuits::{Circuit, pinned_routes};
use lorica::offer::decide::decide;
use lorica::signed_request::{RequestError, SignedRequest};

use super::settings::Settings;
use crate::error::{Reason, Refusal};
use crate::models::Models;
use crate::store::Word;
use crate::terms::MessageError;

/// Where requests are looked at.
#[derive(Debug)]
pub struct Desk {
    /// What the broker goes by.
    pub settings: Arc<Settings>,
    pub(super) chain: Mutex<RpcChain>,
    /// Signs quotes.
    pub(super) key: PrivateKey,
}

impl Desk {
    /// A desk with a connection of its own.
    #[must_use]
    pub fn new(settings: Arc<Settings>, chain: RpcChain, key: PrivateKey) -> Self {
        Self { settings, chain: Mutex::new(chain), key }
    }

    /// The index by which an adapter's contributors are paid, if it was published with one. It must be served.
    pub(super) fn datanet(
        &self,
        models: &Models,
        chain: &mut RpcChain,
        adapter: &Word,
    ) -> Result<Option<Word>, Refusal> {
        match index_of(&self.settings, models, chain, adapter).map_err(chain_failed)? {
            Some(index) if !models.datanets.contains_key(&index) => Err(unserved()),
            index => Ok(index),
        }
    }

    /// Looks at a request, with the models and the chain: all that can be known before it is executed. `accepted` requests
    /// are owed before it. Gives the id of the index by which its contributors are paid.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn look(&self, models: &Models, request: &SignedRequest, accepted: u64) -> Result<Option<Word>, Refusal> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = &mut *chain;
        let terms = &request.terms;
        if request.funding != Funding::Locked {
            return Err(Refusal::of(Reason::TermsUnsupported, "terms", "prepaid requests are not served here yet"));
        }
        request.expect_signed(chain)?;
        let (base, adapter): (Word, Word) = (terms.base.to_be_bytes(), terms.adapter.to_be_bytes());
        let base = models
            .bases
            .get(&base)
            .ok_or_else(|| Refusal::of(Reason::BaseUnknown, "terms.base", "no such base is served"))?;
        if adapter != [0; 32] && !models.adapters.contains_key(&adapter) {
            return Err(Refusal::of(Reason::AdapterUnknown, "terms.adapter", "no such adapter is served"));
        }
        models.expect_request(request)?;
        let datanet = self.datanet(models, chain, &adapter)?;
        let tokens = encode(base.tokenizer(), 0, &request.text)?.len();
        let circuit = circuit_of(&self.settings, models, Like::of(request, datanet.as_ref()), 1, tokens)?;
        let price = usual_fees(chain.node()).map_err(chain_failed)?.max_per_gas;
        let escrow = self.settings.market.escrow();
        let state = escrow.request_state(chain, terms).map_err(chain_failed)?;
        let state = (state.status != Status::None).then_some(state);
        if let Some(ended) = state.filter(|state| !state.status.is_open()) {
            let message = format!("the request is {} already", ended.status.name());
            return Err(Refusal::new(Reason::RequestEnded, message));
        }
        let routes = pinned_routes(chain, escrow, &self.settings.pins, circuit.id).map_err(chain_failed)?;
        let now = chain.timestamp().map_err(chain_failed)?;
        let (policy, load) = (self.settings.policy(routes), self.settings.load_of(accepted));
        let gas = self.settings.gas(terms.token, price, datanet.is_some());
        let decision = decide(&policy, terms, state.as_ref(), now, load, gas);
        match &decision.refused {
            None => Ok(datanet),
            Some(against) => {
                tracing::info!(request = %request.id, numbers = %decision.json(), "a request is refused");
                Err(refusal(against))
            }
        }
    }
}

/// The id of the index that an adapter was published with.
pub fn index_of(
    settings: &Settings,
    models: &Models,
    chain: &mut RpcChain,
    adapter: &Word,
) -> Result<Option<Word>, ChainError> {
    // Only an adapter that names a datanet's version can have one.
    if models.adapters.get(adapter).is_none_or(|own| own.key.commitments.version.is_none()) {
        return Ok(None);
    }
    let index = settings.market.models().index_of(chain, U256::from_be_bytes(*adapter))?;
    Ok(index.map(|id| id.to_be_bytes()))
}

fn unserved() -> Refusal {
    let message = "the adapter's contributors are paid by a datanet that is not served here";
    Refusal::of(Reason::DatanetUnknown, "terms.adapter", message)
}

/// What settles together.
#[derive(Clone, Copy, Debug)]
pub struct Like<'r> {
    /// The base's id.
    pub base: Word,
    /// Number of the kind of output.
    pub kind: u8,
    /// The id of the index by which it is attributed.
    pub datanet: Option<&'r Word>,
}

impl<'r> Like<'r> {
    /// A request, and the index by which it is attributed.
    #[must_use]
    pub fn of(request: &SignedRequest, datanet: Option<&'r Word>) -> Self {
        Self { base: request.terms.base.to_be_bytes(), kind: request.terms.kind, datanet }
    }
}

/// The circuit that settles so many requests like one.
pub fn circuit_of(
    settings: &Settings,
    models: &Models,
    like: Like<'_>,
    requests: usize,
    tokens: usize,
) -> Result<Circuit, Refusal> {
    let base =
        models.bases.get(&like.base).ok_or_else(|| Refusal::new(Reason::BaseUnknown, "no such base is served"))?;
    let records = match like.datanet {
        None => 0,
        Some(id) => models.datanets.get(id).ok_or_else(unserved)?.key.commitments.records,
    };
    let kind = OutputKind::from_number(like.kind);
    let kind = kind.map_err(|error| Refusal::of(Reason::OutputKindUnsupported, "terms.kind", error))?;
    if records != 0 && kind != OutputKind::Classify {
        let message = "the adapter's contributors are paid by shares, and an embedding has none";
        return Err(Refusal::of(Reason::OutputKindUnsupported, "terms.kind", message));
    }
    let known = settings.circuits.settling(&base.key.commitments, kind, requests, tokens, records);
    let none = || {
        let by = if records == 0 { String::new() } else { format!(" with shares of {records} records") };
        let message = format!("no settlement key here is for {} of {tokens} tokens{by} on this base", kind.name());
        Refusal::of(Reason::CircuitUnknown, "terms", message)
    };
    known.ok_or_else(none)
}

/// The reason of the closed list for what a policy says against a request.
#[must_use]
pub fn reason(against: &Against) -> Reason {
    match against {
        Against::Late { .. } | Against::Margin { .. } | Against::AcceptanceEnds { .. } | Against::AcceptTime { .. } => {
            Reason::DeadlineInfeasible
        }
        Against::OtherProver { .. } => Reason::ProverOther,
        Against::Taken { .. } | Against::Unaccepted | Against::NotOpen { .. } | Against::Paid => Reason::RequestEnded,
        Against::Routes { .. } => Reason::RouteUntrusted,
        Against::Token { .. } => Reason::TokenNotTaken,
        Against::Fee { .. } | Against::CallbackCost { .. } | Against::Costs { .. } => Reason::FeeTooLow,
        Against::ConsumerGas { .. }
        | Against::Stake { .. }
        | Against::Deposit { .. }
        | Against::Leaving { .. }
        | Against::NotPrepaid => Reason::TermsUnsupported,
    }
}

fn refusal(against: &Against) -> Refusal {
    Refusal::of(reason(against), "terms", format!("the request {against}"))
}

/// What the node says is the operator's business.
pub(super) fn chain_failed(error: ChainError) -> Refusal {
    tracing::error!(%error, "the chain could not be asked");
    Refusal::new(Reason::ChainUnavailable, "the chain cannot be asked now")
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Chain(error) => chain_failed(error),
            RequestError::Text(error) => error.into(),
            RequestError::Signer { .. } | RequestError::Signature { .. } => {
                Self::of(Reason::SignatureInvalid, "signature", error)
            }
            RequestError::OtherEscrow { .. } => Self::of(Reason::EscrowOther, "terms.escrow", error),
            RequestError::OtherText { .. } => Self::of(Reason::TextOther, "input", error),
            RequestError::OtherBase { .. } => Self::of(Reason::BaseUnknown, "terms.base", "no such base is served"),
            RequestError::Withdrawn(error) => Self::of(Reason::OutputKindUnsupported, "terms.kind", error),
            RequestError::File(_)
            | RequestError::In { .. }
            | RequestError::Json(_)
            | RequestError::Schema { .. }
            | RequestError::Amount { .. }
            | RequestError::Id { .. }
            | RequestError::Salt(_)
            | RequestError::Twice { .. } => Self::of(Reason::FieldInvalid, "terms", "they cannot be read"),
        }
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Terms(error) => Self::of(Reason::FieldInvalid, "terms", error),
            MessageError::Request(error) => error.into(),
        }
    }
}

/// An amount as bytes.
#[must_use]
pub fn word(amount: U256) -> Word {
    amount.to_be_bytes()
}
