//! Which requests a prover works for.
//!
//! A prover spends seconds of machine time on a request, and is paid only if the escrow settles it. [`assess`] says, from
//! the terms, the lock and the clock of the chain, whether a [`Policy`] takes it, and if not, why.

use std::collections::BTreeMap;

use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::{Address, B256, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::request::{RequestState, Status};
use lorica_chain::error::ChainError;
use lorica_settlement::binding::{Binding, BindingError, BoundRequest};

use crate::error::Kind;
use crate::signed_request::SignedRequest;

/// What a prover demands of a request before it works for it. The default demands only that it can be paid at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Who is to be paid.
    pub payee: Address,
    /// The payee must have accepted it: whoever has not can lose the work to a cancellation.
    pub accepted: bool,
    /// The lock must trust the escrow's circuits up to this ordinal, with one of which it will be settled.
    pub last_circuit: u16,
    /// Seconds that must be left until the deadline when the work begins.
    pub margin: u64,
    /// Tokens that are taken, each with the least fee in its smallest unit; `None` takes all.
    pub fees: Option<BTreeMap<Address, U256>>,
    /// Most gas that the consumer's call may have, which the payee pays for; `None` takes all.
    pub max_consumer_gas: Option<u32>,
}

/// Why a policy does not take a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The escrow does not hold its fee.
    #[error("is {}, not locked", .status.name())]
    NotOpen {
        /// Where it stands.
        status: Status,
    },
    /// It is too late.
    #[error("had to be settled by {deadline}, it is {now}")]
    Late {
        /// The last second, in seconds of the Unix epoch.
        deadline: u64,
        /// The chain's clock.
        now: u64,
    },
    /// It will probably be too late.
    #[error("has {left} seconds left until its deadline, fewer than {margin}")]
    Margin {
        /// Seconds until the deadline.
        left: u64,
        /// Seconds that the policy demands.
        margin: u64,
    },
    /// Only somebody else is paid for it.
    #[error("names the prover {named}, not {payee}")]
    OtherProver {
        /// Who is named.
        named: Address,
        /// The policy's payee.
        payee: Address,
    },
    /// The payee has not accepted it.
    #[error("is one that the payee has not accepted")]
    Unaccepted,
    /// Its lock does not trust the circuit that will settle it.
    #[error("trusts the escrow's first {trusted} circuits, not number {needed}")]
    Circuits {
        /// Ordinal of the last circuit that the lock trusts.
        trusted: u16,
        /// Ordinal that the policy demands.
        needed: u16,
    },
    /// It pays in a token that the policy does not take.
    #[error("pays in the token {token}, which is not taken")]
    Token {
        /// The token; zero is the chain's gas token.
        token: Address,
    },
    /// It pays too little.
    #[error("pays {fee} of the smallest unit, the least is {least}")]
    Fee {
        /// What is locked.
        fee: U256,
        /// What the policy demands.
        least: U256,
    },
    /// Calling its consumer costs too much.
    #[error("gives its consumer {gas} gas, the most is {most}")]
    ConsumerGas {
        /// What the request says.
        gas: u32,
        /// What the policy takes.
        most: u32,
    },
}

/// Why there is no binding for a batch.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The policy does not take a request.
    #[error("the request {id} {reason}")]
    Refused {
        /// The request.
        id: B256,
        /// Why.
        reason: Reason,
    },
    /// The requests are no batch.
    #[error(transparent)]
    Batch(#[from] BindingError),
    /// The chain does not say.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl OfferError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Chain(error) => Kind::of_chain(error),
            Self::Refused { .. } | Self::Batch(_) => Kind::Input,
        }
    }
}

/// Whether a policy takes a request, whose lock the escrow describes as `state`, at the chain's time `now`.
///
/// # Errors
/// The first [`Reason`] against it.
pub fn assess(policy: &Policy, terms: &InferenceRequest, state: &RequestState, now: u64) -> Result<(), Reason> {
    let Policy { payee, accepted, last_circuit, margin, fees, max_consumer_gas } = policy;
    if !state.status.is_open() {
        return Err(Reason::NotOpen { status: state.status });
    }
    let deadline = terms.deadline;
    let left = deadline.checked_sub(now).ok_or(Reason::Late { deadline, now })?;
    if left < *margin {
        return Err(Reason::Margin { left, margin: *margin });
    }
    let named = terms.prover;
    if !named.is_zero() && named != *payee {
        return Err(Reason::OtherProver { named, payee: *payee });
    }
    if *accepted && (state.status != Status::Accepted || state.prover != *payee) {
        return Err(Reason::Unaccepted);
    }
    if state.circuits < *last_circuit {
        return Err(Reason::Circuits { trusted: state.circuits, needed: *last_circuit });
    }
    if let Some(fees) = fees {
        let least = *fees.get(&terms.token).ok_or(Reason::Token { token: terms.token })?;
        if state.fee < least {
            return Err(Reason::Fee { fee: state.fee, least });
        }
    }
    match max_consumer_gas {
        Some(most) if terms.consumerGas > *most => Err(Reason::ConsumerGas { gas: terms.consumerGas, most: *most }),
        _ => Ok(()),
    }
}

/// What a proof of these requests must be bound to, as they are locked now, if the policy takes them all.
///
/// # Errors
/// [`OfferError`] names a request that the policy refuses.
pub fn bind(
    policy: &Policy,
    market: &Market,
    chain: &mut impl Chain,
    requests: &[SignedRequest],
) -> Result<Binding, OfferError> {
    let now = chain.timestamp()?;
    let mut bound = Vec::new();
    for request in requests {
        let state = market.escrow().request_state(chain, request.id)?;
        assess(policy, &request.terms, &state, now).map_err(|reason| OfferError::Refused { id: request.id, reason })?;
        bound.push(BoundRequest { id: request.id.0, fee: state.fee.to_be_bytes() });
    }
    let binding = Binding {
        chain_id: market.contracts.chain_id,
        consumer: market.escrow.into_array(),
        payee: policy.payee.into_array(),
        requests: bound,
    };
    binding.validate()?;
    Ok(binding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> InferenceRequest {
        InferenceRequest {
            requester: Address::repeat_byte(1),
            base: U256::from(2),
            adapter: U256::from(3),
            inputDigest: U256::from(4),
            kind: 1,
            maxFee: U256::from(100),
            token: Address::repeat_byte(5),
            deadline: 1_000,
            prover: Address::ZERO,
            consumer: Address::repeat_byte(6),
            consumerGas: 70_000,
            salt: U256::from(8),
        }
    }

    fn accepted(by: Address) -> RequestState {
        RequestState {
            status: Status::Accepted,
            payer: Address::repeat_byte(1),
            fee: U256::from(90),
            prover: by,
            circuits: 2,
            label: U256::ZERO,
            output_digest: U256::ZERO,
        }
    }

    /// Each demand refuses alone what all others take, at its edge.
    #[test]
    fn each_demand_has_its_reason() {
        let payee = Address::repeat_byte(9);
        let policy = Policy {
            payee,
            accepted: true,
            last_circuit: 2,
            margin: 60,
            fees: Some(BTreeMap::from([(terms().token, U256::from(90))])),
            max_consumer_gas: Some(70_000),
        };
        let state = accepted(payee);
        let verdict = |policy: &Policy, state: &RequestState, now| assess(policy, &terms(), state, now);
        assert_eq!(verdict(&policy, &state, 940), Ok(()));
        assert_eq!(verdict(&policy, &state, 941), Err(Reason::Margin { left: 59, margin: 60 }));
        assert_eq!(verdict(&policy, &state, 1_001), Err(Reason::Late { deadline: 1_000, now: 1_001 }));
        for status in [Status::None, Status::Settled, Status::Refunded, Status::Cancelled, Status::Refused] {
            assert_eq!(verdict(&policy, &RequestState { status, ..state }, 0), Err(Reason::NotOpen { status }));
        }
        let locked = RequestState { status: Status::Locked, ..state };
        assert_eq!(verdict(&policy, &locked, 0), Err(Reason::Unaccepted));
        assert_eq!(verdict(&policy, &accepted(Address::repeat_byte(8)), 0), Err(Reason::Unaccepted));
        assert_eq!(verdict(&Policy { accepted: false, ..policy.clone() }, &locked, 0), Ok(()));
        let few = RequestState { circuits: 1, ..state };
        assert_eq!(verdict(&policy, &few, 0), Err(Reason::Circuits { trusted: 1, needed: 2 }));
        let cheap = RequestState { fee: U256::from(89), ..state };
        assert_eq!(verdict(&policy, &cheap, 0), Err(Reason::Fee { fee: U256::from(89), least: U256::from(90) }));
        let open_only = Policy { fees: Some(BTreeMap::from([(Address::ZERO, U256::ZERO)])), ..policy.clone() };
        assert_eq!(verdict(&open_only, &state, 0), Err(Reason::Token { token: terms().token }));
        let frugal = Policy { max_consumer_gas: Some(69_999), ..policy.clone() };
        assert_eq!(verdict(&frugal, &state, 0), Err(Reason::ConsumerGas { gas: 70_000, most: 69_999 }));
        let named = InferenceRequest { prover: Address::repeat_byte(7), ..terms() };
        let refused = assess(&policy, &named, &state, 0);
        assert_eq!(refused, Err(Reason::OtherProver { named: Address::repeat_byte(7), payee }));
        assert_eq!(assess(&policy, &InferenceRequest { prover: payee, ..terms() }, &state, 0), Ok(()));
        // Demanding nothing takes what can be settled at all.
        assert_eq!(verdict(&Policy { payee, ..Policy::default() }, &locked, 1_000), Ok(()));
    }
}
