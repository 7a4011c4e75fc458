//! Whether a request is worth accepting, with every number that the answer depends on, so that it can be shown: what is asked
//! first is why a request was declined.
//!
//! ```text
//! needed = (accepted before + 1) * seconds of one + margin <= deadline - now        and the acceptance holds as long
//! fee >= least fee of the token        and the request names this prover and demands no stake
//! fee >= (gas of accepting + of settling + of the consumer's call) * price of gas * (100 + profit) / 100
//! ```

use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::U256;
use lorica_chain::contracts::escrow::callback_gas;
use lorica_chain::contracts::request::{RequestState, price};
use serde_json::{Value, json};

use super::{Policy, Reason, assess, assess_terms};

/// Gas of accepting a request, as it was measured.
pub const ACCEPT_GAS: u64 = 39_730;
/// Gas of settling a request alone, as it was measured, rounded up.
pub const SETTLE_GAS: u64 = 900_000;
/// Gas of settling a request alone with shares of contributors, the first one of an index, as it was measured, rounded up.
pub const SETTLE_SHARES_GAS: u64 = 1_400_000;
/// Units of the smallest unit in a whole token.
const WHOLE: u64 = 1_000_000_000_000_000_000;

/// What a prover has to do already, and how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests that were accepted and are not settled.
    pub accepted: u64,
    /// Seconds that one of them takes.
    pub seconds: u64,
    /// Seconds that must be left when all of them are done, for the chain to take the settlement.
    pub margin: u64,
}

impl Load {
    /// Seconds until one more request would be settled.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.accepted.saturating_add(1).saturating_mul(self.seconds).saturating_add(self.margin)
    }
}

/// What gas costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gas {
    /// Wei for a unit of gas.
    pub price: u128,
    /// What a whole gas token is worth, in the smallest unit of the request's token; `None` compares nothing.
    pub token_worth: Option<U256>,
    /// Percent of the gas that must be left as profit.
    pub profit: u64,
    /// Gas of settling the request: [`SETTLE_GAS`] or [`SETTLE_SHARES_GAS`].
    pub settling: u64,
}

impl Gas {
    /// Gas of a request's transactions, with so much for its consumer's call; and what it costs with the profit, in the token's
    /// smallest unit, if that is compared.
    #[must_use]
    pub fn cost(self, callback: u64) -> (u64, Option<U256>) {
        let gas = ACCEPT_GAS.saturating_add(self.settling).saturating_add(callback);
        let wei = U256::from(gas).saturating_mul(U256::from(self.price));
        let with_profit = wei.saturating_mul(U256::from(self.profit.saturating_add(100))) / U256::from(100_u64);
        (gas, self.token_worth.map(|worth| with_profit.saturating_mul(worth) / U256::from(WHOLE)))
    }
}

/// A decision with its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The chain's time.
    pub now: u64,
    /// Seconds until the deadline; zero if it has passed.
    pub left: u64,
    /// Seconds that are needed, with what was accepted before.
    pub needed: u64,
    /// What was accepted before.
    pub load: Load,
    /// What the request pays, in the token's smallest unit.
    pub fee: U256,
    /// The least fee of its token; none if the token is not taken, or all are.
    pub least: Option<U256>,
    /// Gas of its transactions.
    pub gas: u64,
    /// The price of gas.
    pub gas_price: Gas,
    /// What the gas costs with the profit, in the token's smallest unit; none if that is not compared.
    pub cost: Option<U256>,
    /// Why it is declined.
    pub refused: Option<Reason>,
}

/// Decides on a request: as the escrow describes it, or before it is locked (`state` is none), when it counts as locked with all
/// that it may pay.
#[must_use]
pub fn decide(
    policy: &Policy,
    terms: &InferenceRequest,
    state: Option<&RequestState>,
    now: u64,
    load: Load,
    gas_price: Gas,
) -> Decision {
    let left = terms.deadline.saturating_sub(now);
    let needed = load.needed();
    let policy = Policy { margin: needed, ..policy.clone() };
    // Accepting fixes the price; what was locked bounds it.
    let fee = match state {
        Some(state) if state.until.is_some() => state.fee,
        Some(state) => state.fee.min(price(terms, now)),
        None => price(terms, now),
    };
    let (gas, cost) = gas_price.cost(callback_gas(terms));
    let refused = || -> Result<(), Reason> {
        let named = terms.prover;
        if named != policy.payee {
            return Err(Reason::OtherProver { named, payee: policy.payee });
        }
        match state {
            Some(state) if state.until.is_some() => {
                assess(&Policy { accepted: true, ..policy.clone() }, terms, state, now)?
            }
            Some(state) if !state.status.is_open() => return Err(Reason::NotOpen { status: state.status }),
            _ => assess_terms(&policy, terms, fee, now)?,
        }
        let seconds = u64::from(terms.acceptTime);
        if state.is_none_or(|state| state.until.is_none()) && seconds != 0 && seconds < needed {
            return Err(Reason::AcceptTime { seconds, margin: needed });
        }
        if !terms.stake.is_zero() {
            return Err(Reason::Stake { stake: U256::from(terms.stake) });
        }
        match cost {
            Some(cost) if fee < cost => Err(Reason::Costs { fee, cost }),
            _ => Ok(()),
        }
    };
    let refused = refused().err();
    let least = policy.fees.as_ref().and_then(|fees| fees.get(&terms.token).copied());
    Decision { now, left, needed, load, fee, least, gas, gas_price, cost, refused }
}

impl Decision {
    /// All numbers, for people and programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { now, left, needed, load, fee, least, gas, gas_price, cost, refused } = self;
        json!({
            "taken": refused.is_none(), "refused": refused.as_ref().map(ToString::to_string), "now": now,
            "seconds_left": left, "seconds_needed": needed, "accepted_before": load.accepted,
            "seconds_of_one": load.seconds, "margin_seconds": load.margin, "fee": fee.to_string(),
            "least_fee": least.map(|least| least.to_string()), "gas": gas, "gas_price": gas_price.price.to_string(),
            "gas_token_worth": gas_price.token_worth.map(|worth| worth.to_string()), "profit_percent": gas_price.profit,
            "cost": cost.map(|cost| cost.to_string()),
        })
    }
}
