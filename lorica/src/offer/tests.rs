//! What a policy demands, each demand alone and at its edge.

use lorica_chain::alloy_primitives::aliases::U96;

use super::*;

fn terms() -> InferenceRequest {
    InferenceRequest {
        requester: Address::repeat_byte(1),
        base: U256::from(2),
        adapter: U256::from(3),
        inputDigest: U256::from(4),
        kind: 1,
        routes: U256::from(0b110),
        maxFee: U256::from(100),
        minFee: U256::from(100),
        rampStart: 0,
        rampTime: 0,
        token: Address::repeat_byte(5),
        deadline: 1_000,
        prover: Address::ZERO,
        acceptTime: 0,
        stake: U96::ZERO,
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
        until: Some(1_000),
        was_accepted: false,
        route: B256::ZERO,
        label: U256::ZERO,
        output_digest: U256::ZERO,
    }
}

const PAYEE: Address = Address::repeat_byte(9);
const OTHER: Address = Address::repeat_byte(8);

fn policy() -> Policy {
    Policy {
        payee: PAYEE,
        accepted: true,
        routes: U256::from(0b100),
        margin: 60,
        fees: Some(BTreeMap::from([(terms().token, U256::from(90))])),
        max_consumer_gas: Some(70_000),
        gas_price: None,
    }
}

#[test]
fn each_demand_has_its_reason() {
    let (policy, state) = (policy(), accepted(PAYEE));
    let verdict = |policy: &Policy, state: &RequestState, now| assess(policy, &terms(), state, now);
    assert_eq!(verdict(&policy, &state, 940), Ok(()));
    assert_eq!(verdict(&policy, &state, 941), Err(Reason::Margin { left: 59, margin: 60 }));
    assert_eq!(verdict(&policy, &state, 1_001), Err(Reason::Late { deadline: 1_000, now: 1_001 }));
    for status in [Status::None, Status::Settled, Status::Refunded, Status::Cancelled, Status::Refused] {
        assert_eq!(verdict(&policy, &RequestState { status, ..state }, 0), Err(Reason::NotOpen { status }));
    }
    let locked = RequestState { status: Status::Locked, until: None, ..state };
    assert_eq!(verdict(&policy, &locked, 0), Err(Reason::Unaccepted));
    assert_eq!(verdict(&policy, &accepted(OTHER), 0), Err(Reason::Unaccepted));
    assert_eq!(verdict(&Policy { accepted: false, ..policy.clone() }, &locked, 0), Ok(()));
    let ends = RequestState { until: Some(500), ..state };
    assert_eq!(verdict(&policy, &ends, 440), Ok(()));
    assert_eq!(verdict(&policy, &ends, 441), Err(Reason::AcceptanceEnds { until: 500, margin: 60, now: 441 }));
    let other = Policy { routes: U256::from(0b1001), ..policy.clone() };
    let routes = Reason::Routes { named: U256::from(0b110), accepted: U256::from(0b1001) };
    assert_eq!(verdict(&other, &state, 0), Err(routes));
    let cheap = RequestState { fee: U256::from(89), ..state };
    assert_eq!(verdict(&policy, &cheap, 0), Err(Reason::Fee { fee: U256::from(89), least: U256::from(90) }));
    let open_only = Policy { fees: Some(BTreeMap::from([(Address::ZERO, U256::ZERO)])), ..policy.clone() };
    assert_eq!(verdict(&open_only, &state, 0), Err(Reason::Token { token: terms().token }));
    let frugal = Policy { max_consumer_gas: Some(69_999), ..policy.clone() };
    assert_eq!(verdict(&frugal, &state, 0), Err(Reason::ConsumerGas { gas: 70_000, most: 69_999 }));
    let named = InferenceRequest { prover: OTHER, ..terms() };
    assert_eq!(assess(&policy, &named, &state, 0), Err(Reason::OtherProver { named: OTHER, payee: PAYEE }));
    assert_eq!(assess(&policy, &InferenceRequest { prover: PAYEE, ..terms() }, &state, 0), Ok(()));
    // Demanding nothing takes what can be settled at all.
    let nothing = Policy { payee: PAYEE, routes: U256::MAX, ..Policy::default() };
    assert_eq!(verdict(&nothing, &locked, 1_000), Ok(()));
}

/// A consumer's call of 70,000 gas costs at most 83,111 units of gas.
#[test]
fn a_fee_pays_for_the_consumers_call() {
    let priced = |price: u64| Policy { gas_price: Some(U256::from(price)), fees: None, ..policy() };
    let state = RequestState { fee: U256::from(166_222), ..accepted(PAYEE) };
    assert_eq!(assess(&priced(2), &terms(), &state, 0), Ok(()));
    let state = RequestState { fee: U256::from(166_221), ..state };
    let cost = Reason::CallbackCost { fee: state.fee, cost: U256::from(166_222) };
    assert_eq!(assess(&priced(2), &terms(), &state, 0), Err(cost));
    let silent = InferenceRequest { consumer: Address::ZERO, consumerGas: 0, ..terms() };
    assert_eq!(assess(&priced(u64::MAX), &silent, &RequestState { fee: U256::ONE, ..state }, 0), Ok(()));
}

/// With a stake another prover's acceptance shuts the payee out until it ends; what must be accepted first is not worked for.
#[test]
fn stakes_and_rising_prices_are_accepted_first() {
    let eager = Policy { accepted: false, ..policy() };
    let staked = InferenceRequest { stake: U96::from(7), acceptTime: 100, ..terms() };
    let taken = RequestState { until: Some(400), ..accepted(OTHER) };
    assert_eq!(assess(&eager, &staked, &taken, 400), Err(Reason::Taken { by: OTHER, until: 400 }));
    assert_eq!(assess(&eager, &staked, &taken, 401), Ok(()));
    assert_eq!(assess(&eager, &terms(), &taken, 400), Ok(()), "without a stake it shuts nobody out");
    let locked = RequestState { status: Status::Locked, until: None, prover: Address::ZERO, ..taken };
    assert_eq!(assess(&eager, &terms(), &locked, 0), Ok(()));
    assert_eq!(assess(&eager, &staked, &locked, 0), Err(Reason::Unaccepted));
    let rising = InferenceRequest { minFee: U256::from(99), ..terms() };
    assert_eq!(assess(&eager, &rising, &locked, 0), Err(Reason::Unaccepted));
}

#[test]
fn a_deposit_pays_for_a_prepaid_request() {
    let (fee, policy) = (U256::from(90), policy());
    let deposit = Deposit { amount: fee, leaving_at: None };
    let verdict = |terms: &InferenceRequest, deposit: &Deposit, left, now| {
        assess_prepaid(&policy, terms, deposit, (fee, left), now)
    };
    assert_eq!(verdict(&terms(), &deposit, fee, 0), Ok(()));
    let short = fee - U256::ONE;
    assert_eq!(verdict(&terms(), &deposit, short, 0), Err(Reason::Deposit { fee, left: short }));
    let leaving = |from| Deposit { leaving_at: Some(from), ..deposit };
    assert_eq!(verdict(&terms(), &leaving(1_000), fee, 0), Ok(()), "not before the deadline");
    assert_eq!(verdict(&terms(), &leaving(999), fee, 0), Err(Reason::Leaving { from: 999 }));
    for odd in [InferenceRequest { stake: U96::ONE, ..terms() }, InferenceRequest { acceptTime: 1, ..terms() }] {
        assert_eq!(verdict(&odd, &deposit, fee, 0), Err(Reason::NotPrepaid));
    }
    assert_eq!(verdict(&terms(), &deposit, fee, 1_001), Err(Reason::Late { deadline: 1_000, now: 1_001 }));
}

/// The contract's numbers (`RequestPrice`).
#[test]
fn a_price_rises_from_the_least_to_the_most() {
    let rising = InferenceRequest { minFee: U256::from(10), rampStart: 100, rampTime: 7, ..terms() };
    for (time, expected) in [(0, 10), (100, 10), (101, 22), (103, 48), (106, 87), (107, 100), (u64::MAX, 100)] {
        assert_eq!(price(&rising, time), U256::from(expected), "{time}");
    }
    assert_eq!(price(&terms(), 0), U256::from(100), "a constant one");
}

/// A decision has all its numbers, and each of them can turn it.
#[test]
fn decisions_count_load_and_gas() {
    use crate::offer::decide::{ACCEPT_GAS, Gas, Load, SETTLE_GAS, decide};
    use lorica_chain::contracts::escrow::callback_gas;

    let whole = U256::from(1_000_000_000_000_000_000_u64);
    let load = Load { accepted: 2, seconds: 50, margin: 30 };
    let gas = Gas { price: 3, token_worth: Some(whole), profit: 50, settling: SETTLE_GAS };
    let used = ACCEPT_GAS + SETTLE_GAS + callback_gas(&terms());
    let cost = U256::from(used) * U256::from(3) * U256::from(3) / U256::from(2);
    let dear = InferenceRequest { maxFee: cost, minFee: cost, prover: PAYEE, ..terms() };
    let locked =
        RequestState { status: Status::Locked, fee: cost, prover: PAYEE, until: None, ..accepted(Address::ZERO) };
    let of = |terms: &InferenceRequest, state: Option<&RequestState>, load, gas| {
        decide(&policy(), terms, state, 820, load, gas)
    };
    for state in [None, Some(&locked)] {
        let decision = of(&dear, state, load, gas);
        assert_eq!((decision.refused.clone(), decision.needed, decision.left), (None, 180, 180));
        assert_eq!((decision.fee, decision.cost, decision.gas), (cost, Some(cost), used));
        assert_eq!(decision.json()["taken"], true);
        // One second, one request, one percent, one unit.
        let late = of(&dear, state, Load { margin: 31, ..load }, gas).refused;
        assert_eq!(late, Some(Reason::Margin { left: 180, margin: 181 }));
        assert!(of(&dear, state, Load { accepted: 3, ..load }, gas).refused.is_some());
        let costs = of(&dear, state, load, Gas { profit: 51, ..gas }).refused;
        assert!(matches!(costs, Some(Reason::Costs { fee, .. }) if fee == cost), "{costs:?}");
        let poor = InferenceRequest { maxFee: cost - U256::ONE, minFee: U256::ONE, ..dear.clone() };
        let below = of(&poor, state, load, gas).refused;
        assert!(matches!(below, Some(Reason::Costs { .. })), "{below:?}");
        assert_eq!(of(&poor, state, load, Gas { token_worth: None, ..gas }).refused, None);
        let brief = InferenceRequest { acceptTime: 179, ..dear.clone() };
        assert_eq!(of(&brief, state, load, gas).refused, Some(Reason::AcceptTime { seconds: 179, margin: 180 }));
        let staked = InferenceRequest { stake: U96::ONE, ..dear.clone() };
        assert_eq!(of(&staked, state, load, gas).refused, Some(Reason::Stake { stake: U256::ONE }));
    }
    // A price that rises is counted as it is now, not as it may become.
    let rising = InferenceRequest { minFee: U256::ONE, rampStart: 820, rampTime: 100, ..dear.clone() };
    assert_eq!(of(&rising, Some(&locked), load, gas).fee, U256::ONE);
    // An acceptance of one's own has to hold as long.
    let own = RequestState { fee: cost, until: Some(999), ..accepted(PAYEE) };
    let ends = of(&dear, Some(&own), load, gas).refused;
    assert_eq!(ends, Some(Reason::AcceptanceEnds { until: 999, margin: 180, now: 820 }));
    assert_eq!(of(&dear, Some(&RequestState { until: Some(1_000), ..own }), load, gas).refused, None);
    let foreign = of(&dear, Some(&RequestState { status: Status::Settled, ..locked }), load, gas).refused;
    assert!(matches!(foreign, Some(Reason::NotOpen { .. })), "{foreign:?}");
}
