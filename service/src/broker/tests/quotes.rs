//! Quotes: what a node says it would take it takes, and what it would refuse it does not quote.

use lorica::chain::contracts::quote::Quote;

use super::*;
use crate::broker::quotes::Wanted;
use crate::error::Reason;

fn wanted(party: &Party) -> Wanted {
    let terms = party.terms([5; 31]);
    Wanted {
        base: terms.base.to_be_bytes(),
        adapter: terms.adapter.to_be_bytes(),
        kind: terms.kind,
        tokens: 16,
        token: terms.token,
        consumer_gas: 0,
    }
}

fn quote(party: &Party, wanted: &Wanted, accepted: u64) -> Result<(Quote, Vec<u8>), Refusal> {
    party.desk().quote(&WORLD.models, wanted, accepted)
}

/// Two nodes compete: each signs its own price, and the one that is named takes the request for it.
#[test]
fn a_requester_names_the_cheaper_node() {
    let dear = Party::with(|settings| settings.tokens[0].least_fee = open(7));
    let cheap = Party::with(|settings| settings.tokens[0].least_fee = open(3));
    let escrow = dear.stage.market.escrow();
    let mut quotes = [&dear, &cheap].map(|party| {
        let (own, signature) = quote(party, &wanted(party), 2).expect("a quote");
        assert!(own.is_signed(escrow, &signature));
        assert_eq!(own.prover, party.prover.account());
        // Two requests are owed before it.
        assert_eq!(own.needed, 3 * 60 + 60);
        assert!(own.expires > clock());
        own
    });
    quotes.sort_by_key(|own| own.fee);
    let [best, other] = quotes;
    assert_eq!((best.fee, other.fee), (open(3), open(7)));
    assert_eq!(best.prover, cheap.prover.account());
    // One node's signature is not the other's.
    let (own, signature) = quote(&dear, &wanted(&dear), 2).expect("a quote");
    assert!(!Quote { prover: best.prover, ..own }.is_signed(escrow, &signature));

    let salt = [5; 31];
    let terms = |fee: U256, left: u64| InferenceRequest {
        prover: best.prover,
        maxFee: fee,
        minFee: fee,
        routes: best.routes,
        deadline: clock() + left,
        ..cheap.terms(salt)
    };
    let look = |terms| cheap.desk().look(&WORLD.models, &cheap.sign(terms, salt), 2).map(drop);
    // A minute more than is needed, for the clock goes on.
    assert!(look(terms(best.fee, best.needed + 60)).is_ok());
    assert_eq!(look(terms(best.fee - U256::ONE, best.needed + 60)).expect_err("too little").reason, Reason::FeeTooLow);
    let late = look(terms(best.fee, best.needed - 1)).expect_err("too late");
    assert_eq!(late.reason, Reason::DeadlineInfeasible);
}

#[test]
fn what_would_be_refused_is_not_quoted() {
    let party = Party::with(|settings| settings.max_consumer_gas = 1_000);
    let refused = |change: &dyn Fn(&mut Wanted)| {
        let mut own = wanted(&party);
        change(&mut own);
        quote(&party, &own, 0).expect_err("a quote").reason
    };
    assert!(quote(&party, &wanted(&party), 0).is_ok());
    assert_eq!(refused(&|own| own.base = [7; 32]), Reason::BaseUnknown);
    assert_eq!(refused(&|own| own.adapter = [7; 32]), Reason::AdapterUnknown);
    assert_eq!(refused(&|own| own.adapter = [0; 32]), Reason::OutputKindUnsupported);
    assert_eq!(refused(&|own| own.tokens = 1), Reason::FieldInvalid);
    assert_eq!(refused(&|own| own.tokens = 10_000), Reason::FieldInvalid);
    // There is the key of a circuit for sixteen tokens.
    assert_eq!(refused(&|own| own.tokens = 17), Reason::CircuitUnknown);
    assert_eq!(refused(&|own| own.kind = OutputKind::Embed.number()), Reason::CircuitUnknown);
    assert_eq!(refused(&|own| own.token = Address::repeat_byte(9)), Reason::TokenNotTaken);
    assert_eq!(refused(&|own| own.consumer_gas = 1_001), Reason::TermsUnsupported);
    let stopped = Party::with(|settings| settings.pins.clear());
    assert_eq!(quote(&stopped, &wanted(&stopped), 0).expect_err("no route").reason, Reason::RouteUntrusted);
}
