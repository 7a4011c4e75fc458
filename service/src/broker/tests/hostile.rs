//! Tenants who ask for what cannot be paid, is somebody else's, or would cost the prover: each is refused by its reason, before
//! anything is executed or sent.

use super::*;
use crate::error::Reason;

#[test]
fn each_term_has_its_refusal() {
    let party = Party::with(|settings| settings.tokens[0].gas_token_worth = Some(open(1)));
    let desk = party.desk();
    let salt = [5; 31];
    let look =
        |request: &SignedRequest| desk.look(&WORLD.models, request, 0).map(drop).map_err(|refusal| refusal.reason);
    let of = |change: &dyn Fn(&mut InferenceRequest)| {
        let mut terms = party.terms(salt);
        change(&mut terms);
        look(&party.sign(terms, salt))
    };
    assert_eq!(of(&|_| {}), Ok(()), "an honest one");
    let stranger = Address::repeat_byte(0x77);
    type Change<'c> = &'c dyn Fn(&mut InferenceRequest);
    let cases: [(&str, Change<'_>, Reason); 15] = [
        ("another text's digest", &|terms| terms.inputDigest += U256::ONE, Reason::TextOther),
        ("another prover", &|terms| terms.prover = stranger, Reason::ProverOther),
        ("no prover", &|terms| terms.prover = Address::ZERO, Reason::ProverOther),
        ("a deadline too near", &|terms| terms.deadline = clock() + 100, Reason::DeadlineInfeasible),
        ("a deadline that passed", &|terms| terms.deadline = clock() - 1, Reason::DeadlineInfeasible),
        ("an acceptance that ends", &|terms| terms.acceptTime = 100, Reason::DeadlineInfeasible),
        ("an unknown adapter", &|terms| terms.adapter += U256::ONE, Reason::AdapterUnknown),
        ("an unknown base", &|terms| terms.base += U256::ONE, Reason::BaseUnknown),
        ("an unknown route", &|terms| terms.routes = U256::ONE << 200, Reason::RouteUntrusted),
        ("a kind without a circuit", &|terms| terms.kind = OutputKind::Embed.number(), Reason::CircuitUnknown),
        ("another token", &|terms| terms.token = stranger, Reason::TokenNotTaken),
        ("a fee too low", &|terms| (terms.maxFee, terms.minFee) = (U256::ONE, U256::ONE), Reason::FeeTooLow),
        (
            "a price that begins too low",
            &|terms| {
                (terms.minFee, terms.rampStart, terms.rampTime) = (U256::ONE, clock() + 50, 1_000);
            },
            Reason::FeeTooLow,
        ),
        ("a stake", &|terms| (terms.stake, terms.acceptTime) = (U96::ONE, 3_000), Reason::TermsUnsupported),
        ("gas for a consumer", &|terms| (terms.consumer, terms.consumerGas) = (stranger, 1), Reason::TermsUnsupported),
    ];
    for (what, change, expected) in cases {
        assert_eq!(of(change), Err(expected), "{what}");
    }

    let own = party.signed();
    let mut forged = own.clone();
    forged.signature = Bytes::from(party.prover.sign_digest(own.id).expect("a signature").as_bytes());
    assert_eq!(look(&forged), Err(Reason::SignatureInvalid), "signed by somebody else");
    assert_eq!(look(&SignedRequest { signature: Bytes::new(), ..own.clone() }), Err(Reason::SignatureInvalid));
    assert_eq!(look(&SignedRequest { text: "hello hello".into(), ..own.clone() }), Err(Reason::TextOther));
    assert_eq!(look(&SignedRequest { salt: [6; 31], ..own.clone() }), Err(Reason::TextOther));
    assert_eq!(look(&SignedRequest { text: "a ".repeat(4_000), ..own.clone() }), Err(Reason::TextTooLong));
    let place = (CHAIN_ID, STAGE.market.prepaid);
    let prepaid = SignedRequest::from_parts(&STAGE.market, place, own.terms.clone(), Bytes::new(), TEXT.into(), salt);
    assert_eq!(look(&prepaid.expect("a request")), Err(Reason::TermsUnsupported), "a prepaid one");
    for place in [(1, STAGE.market.escrow), (CHAIN_ID, stranger)] {
        let elsewhere =
            SignedRequest::from_parts(&STAGE.market, place, own.terms.clone(), Bytes::new(), TEXT.into(), salt);
        assert_eq!(Refusal::from(elsewhere.expect_err("elsewhere")).reason, Reason::EscrowOther);
    }
    // With so much to do before it, it would be late; with gas as dear as here, it would not pay.
    let crowded = desk.look(&WORLD.models, &own, 1_000).expect_err("too much").reason;
    assert_eq!(crowded, Reason::DeadlineInfeasible);
    assert_eq!(party.sent(), 0, "nothing was sent");
}

/// The same request again is the same request; another's is refused; one that has ended is not begun again.
#[test]
fn replays_change_nothing() {
    let party = Party::new();
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.submit(&store, &request).expect("the same");
    let digest = request.id.0;
    assert_eq!(store.ask(|store| store.open_requests()).expect("readable").len(), 1);
    assert!(store.ask(move |store| store.request("b", &digest)).expect("readable").is_none());
    party.lock(&request);
    let mut broker = party.broker(&store);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &request, 3);
    // Paid, and handed in again: by whoever, and to whoever has forgotten it.
    let again = party.submit(&store, &request).expect_err("it has ended");
    assert_eq!(again.reason, Reason::RequestEnded);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &request, 3);
}

/// What was fine when it was handed in, and is not when its fee is locked: declined with the numbers, and nothing is sent.
#[test]
fn a_lock_of_less_is_declined_with_its_numbers() {
    let party = Party::with(|settings| settings.tokens[0].least_fee = open(FEE));
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    let mut chain = party.chain(&party.requester);
    let locking = Locking { request: &request.terms, fee: open(1), refund_to: None, signature: &request.signature };
    lock(&mut chain, STAGE.market.escrow(), locking).expect("locked");
    assert_eq!(run_out(&mut party.broker(&store), &store), [Did::Moved(MarketState::Declined)]);
    let row = party.row(&store, &request);
    assert_eq!(row.reason, "FEE_TOO_LOW");
    let numbers: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&row.decision.expect("decided")).expect("JSON");
    assert_eq!(numbers["fee"], open(1).to_string());
    assert_eq!(numbers["least_fee"], open(FEE).to_string());
    assert_eq!(numbers["taken"], false);
    assert_eq!(party.sent(), 0);
}
