//! Requests whose contributors are paid by shares: the broker settles them by the index that the adapter was published with, or
//! declines them before anything is executed.

use lorica::Fr;
use lorica::chain::contracts::attribution::Pot;
use lorica::chain::rpc::sending::receipt;
use lorica::files::Description;
use lorica::index_proof::prove_index;
use lorica::offer::decide::SETTLE_SHARES_GAS;
use lorica::verifier::protocol::keccak::decode_scalar;
use lorica::verifier::protocol::proof::shares_of;

use super::*;
use crate::error::Reason;

static PAYING: LazyLock<Stage> = LazyLock::new(|| Stage::of(&[1], true));
static INDEXES: LazyLock<Settler> = LazyLock::new(|| Settler::new(WORLD.prover.srs().clone()));

/// Publishes the third adapter with its index, which is proven to be in range.
pub(super) fn publish(market: &Market, chain: &mut RpcChain, terms: &Publication) {
    let (base, adapter, datanet) = (WORLD.prover.key(), &WORLD.adapters[2].key, &WORLD.datanet);
    let registry = market.contracts.registry();
    registry.register_adapter(chain, &adapter.commitments).expect("registered");
    registry.register_datanet(chain, &Description::of(&datanet.version).on_chain()).expect("registered");
    registry.register_index(chain, &datanet.key).expect("registered");
    let proof = prove_index(WORLD.prover.srs(), base, adapter, datanet, Fr::zero(), &Unwatched).expect("a proof");
    let settled = INDEXES.settle_index(base, adapter, &datanet.index_key(), &proof.proof, &Unwatched).expect("settled");
    let ranges = market.index_ranges();
    ranges.add_circuit(chain, settled.key.verifying()).expect("added");
    ranges.prove(chain, &settled.settlement).expect("in range");
    let publisher = market.publisher();
    let published = publisher.attributed_adapter(chain, &adapter.commitments, &datanet.key, terms).expect("published");
    assert!(!published.steps.is_empty());
}

/// The answer that is shown has the shares, the settlement proves them, and the contributors' part lies where it is divided by
/// them.
#[test]
fn contributors_are_paid_by_shares() {
    let party = Party::on(&PAYING, |_| {});
    let store = party.store();
    let request = party.signed();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let answer = party.row(&store, &request).answer;
    let shares = proto::Answer::decode(answer.as_slice()).expect("an answer").shares;
    assert!(!shares.is_empty());
    let index = abi::word(&WORLD.datanet.key.id());
    let mut chain = party.chain(&party.prover);
    let pot = Pot::of(&mut chain, party.stage.market.escrow()).expect("a pot");
    assert!(pot.undistributed(&mut chain, index, 0).expect("readable").is_empty());
    run_out(&mut party.broker(&store), &store);
    party.expect_paid(&store, &request, 3);

    let entries = pot.undistributed(&mut chain, index, 0).expect("readable");
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.request, U256::from_be_bytes(request.id.0));
    let word = |word: &U256| decode_scalar(&word.to_be_bytes()).expect("a word");
    let paid = shares_of(&entry.shares.each_ref().map(word)).expect("shares");
    let paid: Vec<_> = paid.iter().map(|own| (u32::from(own.slot), u32::from(own.share))).collect();
    let shown: Vec<_> = shares.iter().map(|own| (own.slot, own.parts)).collect();
    assert_eq!(paid.into_iter().filter(|own| own.1 > 0).collect::<Vec<_>>(), shown);
    assert_eq!(entry.amount, open(FEE) * U256::from(Shares::DEFAULT.contributors) / U256::from(10_000));
    let mut anybody = party.chain(&party.requester);
    pot.distribute(&mut anybody, index, &entries).expect("distributed");
    assert!(pot.undistributed(&mut chain, index, 0).expect("readable").is_empty());
    // What a settlement costs is what was decided by.
    let settle_tx = party.row(&store, &request).settle_tx.expect("settled");
    let (receipt, _) = receipt(chain.node(), settle_tx.into()).expect("readable").expect("mined");
    assert!(receipt.gas < SETTLE_SHARES_GAS, "{}", receipt.gas);
}

/// What cannot be settled is declined, and nothing is executed for it.
#[test]
fn what_cannot_be_settled_with_shares_is_declined() {
    let party = Party::on(&PAYING, |_| {});
    let request = party.signed();
    // Without the key of a circuit that attributes.
    let plain = settlement_key(1, false);
    let poor = Party::on(&PAYING, |settings| settings.circuits = Circuits::of([plain.verifying()]));
    let own = poor.signed();
    let refused = poor.desk().look(&WORLD.models, &own, 0).expect_err("no circuit");
    assert_eq!(refused.reason, Reason::CircuitUnknown);
    assert!(refused.message.contains("with shares of 2048 records"), "{}", refused.message);
    // An embedding has no shares.
    let salt = [5; 31];
    let terms = InferenceRequest { kind: OutputKind::Embed.number(), ..party.terms(salt) };
    let refused = party.desk().look(&WORLD.models, &party.sign(terms, salt), 0).expect_err("no embedding");
    assert_eq!(refused.reason, Reason::OutputKindUnsupported);
    // A service that does not have the datanet.
    let refused = party.desk().look(&crate::world::without_datanet(), &request, 0).expect_err("no datanet");
    assert_eq!(refused.reason, Reason::DatanetUnknown);
    assert!(party.desk().look(&WORLD.models, &request, 0).is_ok());
    // On a chain where the adapter is published with no index there is none to pay by.
    let elsewhere = Party::new();
    let adapter = abi::word(&WORLD.adapters[2].key.commitments.id());
    let terms = InferenceRequest { adapter, ..elsewhere.terms(salt) };
    let looked = elsewhere.desk().look(&WORLD.models, &elsewhere.sign(terms, salt), 0);
    assert!(looked.is_ok_and(|datanet| datanet.is_none()));
}

/// A request that was handed in before its adapter was published with an index is not accepted as if it had none.
#[test]
fn an_index_that_came_later_is_noticed() {
    let party = Party::on(&PAYING, |_| {});
    let store = party.store();
    let request = party.signed();
    party.lock(&request);
    let executed = WORLD.models.execute(&crate::world::asked(TEXT, 2, 5)).expect("an answer");
    let new = party.admitted(&request, executed);
    assert!(new.datanet.is_none());
    store.ask(move |store| store.admit(now(), &new, 9)).expect("admitted");
    steps(&mut party.broker(&store), |_| false);
    let row = party.row(&store, &request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Declined, "DATANET_OTHER"));
    assert_eq!(party.sent(), 0);
}
