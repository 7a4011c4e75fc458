//! Signed terms as messages: what the requester signed, word for word.

use lorica::chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica::chain::alloy_primitives::aliases::U96;
use lorica::chain::alloy_primitives::ruint::UintTryFrom;
use lorica::chain::alloy_primitives::{Address, Bytes, U256};
use lorica::chain::contracts::market::Market;
use lorica::circuits::shape::OutputKind;
use lorica::input::Salt;
use lorica::signed_request::{RequestError, SignedRequest};

use crate::proto;

/// A field of what is signed that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct TermsError {
    /// The field.
    pub field: &'static str,
    /// What is expected.
    pub expected: &'static str,
}

/// Why a message is no signed request.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// A field.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// All of it.
    #[error(transparent)]
    Request(#[from] RequestError),
}

pub(crate) fn word(field: &'static str, bytes: &[u8]) -> Result<U256, TermsError> {
    let word: [u8; 32] = bytes.try_into().map_err(|_| TermsError { field, expected: "32 bytes are expected" })?;
    Ok(U256::from_be_bytes(word))
}

pub(crate) fn address(field: &'static str, bytes: &[u8]) -> Result<Address, TermsError> {
    let address: [u8; 20] = bytes.try_into().map_err(|_| TermsError { field, expected: "20 bytes are expected" })?;
    Ok(address.into())
}

/// The message of a kind of output by its number.
pub(crate) fn kind_message(kind: u8) -> proto::OutputKind {
    match OutputKind::from_number(kind) {
        Ok(OutputKind::Classify) => proto::OutputKind::Classify,
        Ok(OutputKind::Embed) => proto::OutputKind::Embed,
        Err(_) => proto::OutputKind::Unspecified,
    }
}

/// The message of a request's terms.
#[must_use]
pub fn message(request: &SignedRequest, market: &Market) -> proto::Terms {
    let terms = &request.terms;
    let word = |word: U256| word.to_be_bytes::<32>().to_vec();
    proto::Terms {
        chain_id: market.contracts.chain_id,
        escrow: request.escrow(market).address().to_vec(),
        requester: terms.requester.to_vec(),
        base: word(terms.base),
        adapter: word(terms.adapter),
        input_digest: word(terms.inputDigest),
        kind: kind_message(terms.kind).into(),
        routes: word(terms.routes),
        max_fee: word(terms.maxFee),
        min_fee: word(terms.minFee),
        ramp_start: terms.rampStart,
        ramp_time: terms.rampTime,
        token: terms.token.to_vec(),
        deadline: terms.deadline,
        prover: terms.prover.to_vec(),
        accept_time: terms.acceptTime,
        stake: word(U256::from(terms.stake)),
        consumer: terms.consumer.to_vec(),
        consumer_gas: terms.consumerGas,
        salt: word(terms.salt),
    }
}

/// The request of a message, its text and its salt. Who signed it is not looked at.
///
/// # Errors
/// [`MessageError`] names the field.
pub fn request(
    terms: &proto::Terms,
    signature: &[u8],
    (text, salt): (String, Salt),
    market: &Market,
) -> Result<SignedRequest, MessageError> {
    let kind = match proto::OutputKind::try_from(terms.kind) {
        Ok(proto::OutputKind::Classify) => OutputKind::Classify,
        Ok(proto::OutputKind::Embed) => OutputKind::Embed,
        _ => return Err(TermsError { field: "kind", expected: "a classification or an embedding is expected" }.into()),
    };
    let stake = U96::uint_try_from(word("stake", &terms.stake)?)
        .map_err(|_| TermsError { field: "stake", expected: "a number below 2^96 is expected" })?;
    let own = InferenceRequest {
        requester: address("requester", &terms.requester)?,
        base: word("base", &terms.base)?,
        adapter: word("adapter", &terms.adapter)?,
        inputDigest: word("input_digest", &terms.input_digest)?,
        kind: kind.number(),
        routes: word("routes", &terms.routes)?,
        maxFee: word("max_fee", &terms.max_fee)?,
        minFee: word("min_fee", &terms.min_fee)?,
        rampStart: terms.ramp_start,
        rampTime: terms.ramp_time,
        token: address("token", &terms.token)?,
        deadline: terms.deadline,
        prover: address("prover", &terms.prover)?,
        acceptTime: terms.accept_time,
        stake,
        consumer: address("consumer", &terms.consumer)?,
        consumerGas: terms.consumer_gas,
        salt: word("salt", &terms.salt)?,
    };
    let place = (terms.chain_id, address("escrow", &terms.escrow)?);
    Ok(SignedRequest::from_parts(market, place, own, Bytes::copy_from_slice(signature), text, salt)?)
}
