//! Which requests a prover works for.
//!
//! A prover spends seconds of machine time on a request, and is paid only if the escrow settles it. [`assess`] says, from
//! the terms, the lock and the clock of the chain, whether a [`Policy`] takes it, and if not, why. [`decide`](decide::decide)
//! adds what a prover counts that works unattended: its own load, and the gas.

pub mod circuits;
pub mod decide;

use std::collections::{BTreeMap, BTreeSet};

use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::{Address, B256, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::escrow::{Escrow, Funding, callback_gas};
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::pins;
use lorica_chain::contracts::prepaid::{Deposit, DepositPlace};
use lorica_chain::contracts::request::{RequestState, Status, price};
use lorica_chain::error::ChainError;
use lorica_settlement::binding::{Binding, BindingError, BoundRequest};

use crate::kind::Kind;
use crate::signed_request::SignedRequest;

/// What a prover demands of a request before it works for it. The default demands only that it can be paid at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Who is to be paid.
    pub payee: Address,
    /// The payee must have accepted it, and the acceptance must hold: whoever has not can lose the work to a cancellation.
    pub accepted: bool,
    /// Routes by one of which it will be settled, as bits of their ordinals at the escrow: the request must name one.
    pub routes: U256,
    /// Seconds that must be left until the deadline, and of the acceptance, when the work begins.
    pub margin: u64,
    /// Tokens that are taken, each with the least fee in its smallest unit; `None` takes all.
    pub fees: Option<BTreeMap<Address, U256>>,
    /// Most gas that the consumer's call may have, which the payee pays for; `None` takes all.
    pub max_consumer_gas: Option<u32>,
    /// What a unit of gas costs, in the smallest unit of the request's token: the fee must pay at least for the consumer's
    /// call. `None` does not look.
    pub gas_price: Option<U256>,
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
    /// The payee's acceptance ends before the work would be done.
    #[error("is accepted by the payee until {until}, which is less than {margin} seconds from {now}")]
    AcceptanceEnds {
        /// Last second of the acceptance, in seconds of the Unix epoch.
        until: u64,
        /// Seconds that the policy demands.
        margin: u64,
        /// The chain's clock.
        now: u64,
    },
    /// Another prover has accepted it with a stake.
    #[error("is accepted by {by}, with a stake, until {until}")]
    Taken {
        /// The other prover.
        by: Address,
        /// Last second of the acceptance, in seconds of the Unix epoch.
        until: u64,
    },
    /// It does not name the route that will settle it.
    #[error("names the routes {named:#x}, none of {accepted:#x}, which would settle it")]
    Routes {
        /// Bits of the routes that the request names.
        named: U256,
        /// Bits of the routes that the policy demands.
        accepted: U256,
    },
    /// A prepaid request that was paid already, or will be by another of its salt in the batch.
    #[error("is paid already, or another of its salt is")]
    Paid,
    /// A prepaid request whose deposit does not pay for it and those before it in the batch.
    #[error("costs {fee}wei, of the deposit {left}wei is left")]
    Deposit {
        /// Its price, in the token's smallest unit.
        fee: U256,
        /// What the deposit has for it.
        left: U256,
    },
    /// A prepaid request whose requester takes the deposit back soon.
    #[error("is paid from a deposit that its requester can take back from {from}")]
    Leaving {
        /// In seconds of the Unix epoch.
        from: u64,
    },
    /// A prepaid request that demands what only locked ones can have.
    #[error("demands a stake or an acceptance, which are not for prepaid requests")]
    NotPrepaid,
    /// The consumer's call costs more than the request pays.
    #[error("pays {fee}wei, less than the {cost}wei that its consumer's call costs")]
    CallbackCost {
        /// What the request pays, in the token's smallest unit.
        fee: U256,
        /// What the call costs at the policy's price of gas.
        cost: U256,
    },
    /// An acceptance of it would end before the work is done.
    #[error("lets an acceptance hold for {seconds} seconds, fewer than {margin}")]
    AcceptTime {
        /// Seconds that an acceptance holds.
        seconds: u64,
        /// Seconds that the work is counted to take.
        margin: u64,
    },
    /// It pays less than its gas costs.
    #[error("pays {fee}wei, its gas costs {cost}wei")]
    Costs {
        /// What it pays, in the token's smallest unit.
        fee: U256,
        /// What its transactions cost, in the same unit, with the profit that is demanded.
        cost: U256,
    },
    /// It demands a stake.
    #[error("demands a stake of {stake}wei, none is put up")]
    Stake {
        /// In the smallest unit of OPEN.
        stake: U256,
    },
    /// It pays in a token that the policy does not take.
    #[error("pays in the token {token}, which is not taken")]
    Token {
        /// The token; zero is the chain's gas token.
        token: Address,
    },
    /// It pays too little.
    #[error("pays {fee}wei, the least is {least}wei")]
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
    /// It is for another escrow than the first: a settlement is bound to one.
    #[error("the request {id} is paid by another escrow than the first")]
    OtherEscrow {
        /// The request.
        id: B256,
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
            Self::Refused { .. } | Self::OtherEscrow { .. } | Self::Batch(_) => Kind::Input,
        }
    }
}

/// Whether a policy takes a request, whose lock the escrow describes as `state`, at the chain's time `now`.
///
/// # Errors
/// The first [`Reason`] against it.
pub fn assess(policy: &Policy, terms: &InferenceRequest, state: &RequestState, now: u64) -> Result<(), Reason> {
    if !state.status.is_open() {
        return Err(Reason::NotOpen { status: state.status });
    }
    assess_terms(policy, terms, state.fee, now)?;
    let Policy { payee, accepted, margin, .. } = policy;
    let own = state.prover == *payee;
    match state.until {
        Some(until) if own && *accepted && until < now.saturating_add(*margin) => {
            Err(Reason::AcceptanceEnds { until, margin: *margin, now })
        }
        Some(until) if !own && !terms.stake.is_zero() && now <= until => Err(Reason::Taken { by: state.prover, until }),
        Some(_) if own || !*accepted => Ok(()),
        // A price that rises, or a stake, is fixed by accepting.
        None if !*accepted && terms.stake.is_zero() && terms.minFee >= terms.maxFee => Ok(()),
        _ => Err(Reason::Unaccepted),
    }
}

/// Whether a policy takes a prepaid request for its price `fee`, of which the deposit has `left`, at the chain's time `now`.
///
/// # Errors
/// The first [`Reason`] against it.
pub fn assess_prepaid(
    policy: &Policy,
    terms: &InferenceRequest,
    deposit: &Deposit,
    (fee, left): (U256, U256),
    now: u64,
) -> Result<(), Reason> {
    if !terms.stake.is_zero() || terms.acceptTime != 0 {
        return Err(Reason::NotPrepaid);
    }
    assess_terms(policy, terms, fee, now)?;
    if terms.consumerGas > MAX_CONSUMER_GAS {
        return Err(Reason::ConsumerGas { gas: terms.consumerGas, most: MAX_CONSUMER_GAS });
    }
    if left < fee || fee.is_zero() {
        return Err(Reason::Deposit { fee, left });
    }
    match deposit.leaving_at {
        Some(from) if from < now.saturating_add(policy.margin).max(terms.deadline.min(now.saturating_add(DAY))) => {
            Err(Reason::Leaving { from })
        }
        _ => Ok(()),
    }
}

/// Most gas that the escrows give a consumer's call: no request with more is locked, and a prepaid one is not paid.
pub const MAX_CONSUMER_GAS: u32 = 500_000;

/// Seconds of a day: a deposit is taken back no sooner than so long after its requester has said so.
const DAY: u64 = 86_400;

/// What a request's own terms say for either way of payment.
fn assess_terms(policy: &Policy, terms: &InferenceRequest, fee: U256, now: u64) -> Result<(), Reason> {
    let Policy { payee, routes, margin, fees, max_consumer_gas, gas_price, accepted: _ } = policy;
    let deadline = terms.deadline;
    let left = deadline.checked_sub(now).ok_or(Reason::Late { deadline, now })?;
    if left < *margin {
        return Err(Reason::Margin { left, margin: *margin });
    }
    let named = terms.prover;
    if !named.is_zero() && named != *payee {
        return Err(Reason::OtherProver { named, payee: *payee });
    }
    if (terms.routes & *routes).is_zero() {
        return Err(Reason::Routes { named: terms.routes, accepted: *routes });
    }
    if let Some(fees) = fees {
        let least = *fees.get(&terms.token).ok_or(Reason::Token { token: terms.token })?;
        if fee < least {
            return Err(Reason::Fee { fee, least });
        }
    }
    if let Some(most) = *max_consumer_gas
        && terms.consumerGas > most
    {
        return Err(Reason::ConsumerGas { gas: terms.consumerGas, most });
    }
    if let Some(price) = gas_price {
        let cost = price.saturating_mul(U256::from(callback_gas(terms)));
        if fee < cost {
            return Err(Reason::CallbackCost { fee, cost });
        }
    }
    Ok(())
}

/// The routes of an escrow by which settlements are checked now, as bits of their ordinals: those of one circuit, or of all.
///
/// # Errors
/// [`ChainError`].
pub fn live_routes(chain: &mut impl Chain, escrow: Escrow, circuit: Option<B256>) -> Result<U256, ChainError> {
    let now = chain.timestamp()?;
    let routes = escrow.routes(chain)?;
    let serving = routes.iter().filter(|named| circuit.is_none_or(|circuit| named.route.circuit == circuit));
    Ok(pins::mask(serving.filter(|named| named.route.is_live(now)).map(|named| named.ordinal)))
}

/// What a proof of these requests must be bound to, as they are locked or prepaid now, if the policy takes them all. They are
/// all of one escrow, and one route can settle them all.
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
    let mut policy = policy.clone();
    let mut spent: Vec<(DepositPlace, U256)> = Vec::new();
    let mut numbers = BTreeSet::new();
    let mut bound = Vec::new();
    let funding = requests.first().map_or(Funding::Locked, |first| first.funding);
    for request in requests {
        if request.funding != funding {
            return Err(OfferError::OtherEscrow { id: request.id });
        }
        let refused = |reason| OfferError::Refused { id: request.id, reason };
        let fee = match funding {
            Funding::Locked => {
                let state = market.escrow().request_state(chain, &request.terms)?;
                assess(&policy, &request.terms, &state, now).map_err(refused)?;
                state.fee
            }
            Funding::Prepaid => {
                // Of one salt, one is paid.
                let number = (request.terms.requester, request.terms.prover, request.terms.salt);
                if !numbers.insert(number) || market.prepaid().is_paid(chain, &request.terms)? {
                    return Err(refused(Reason::Paid));
                }
                let place = DepositPlace::of(&request.terms);
                let deposit = market.prepaid().deposit_of(chain, place)?;
                let before: U256 = spent.iter().filter(|(of, _)| *of == place).map(|(_, fee)| *fee).sum();
                let fee = price(&request.terms, now);
                let left = deposit.amount.saturating_sub(before);
                assess_prepaid(&policy, &request.terms, &deposit, (fee, left), now).map_err(refused)?;
                spent.push((place, fee));
                fee
            }
        };
        // What the next ones must name too.
        policy.routes &= request.terms.routes;
        bound.push(BoundRequest { id: request.id.0, fee: fee.to_be_bytes() });
    }
    let consumer = match funding {
        Funding::Locked => market.escrow,
        Funding::Prepaid => market.prepaid,
    };
    let binding = Binding {
        chain_id: market.contracts.chain_id,
        consumer: consumer.into_array(),
        payee: policy.payee.into_array(),
        requests: bound,
    };
    binding.validate()?;
    Ok(binding)
}

#[cfg(test)]
mod tests;
