//! Settlements of batches that attribute: the circuit computes what the native verifier does, and its public words are the
//! index, who attributes, and each request's shares.

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr};
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::settlement::{Settlement, SettlementError, make};
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::statement::Inputs;
use lorica_verifier::protocol::verify::{Keys, VerifyError};
use support::inference::attribution::{attributed, random_index};
use support::{SRS, World, binding, key, scalars};

fn world() -> World {
    let world = World::new(SMALL, 5, 2);
    let hidden = world.key.architecture.hidden;
    world.with_index(random_index(hidden, 900, 50))
}

/// The two words behind the adapters' word, and the four behind each request's digests.
const HEAD: usize = 6;

#[test]
fn words_of_an_attribution_are_public_and_bound() {
    let world = world();
    let requests = [(9, Some(0)), (5, Some(1))];
    let mut run = attributed(&world, &requests);
    run.statement.context = binding(requests.len()).context();
    let proof = world.prove(&run).expect("an inference proof");
    world
        .verify(&proof)
        .map(drop)
        .or_else(|error| match error {
            // The support's verifier expects no context.
            VerifyError::Context => Ok(()),
            other => Err(other),
        })
        .expect("accepted");
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).expect("a circuit");
    let honest = scalars(&world, &proof);
    let circuit = compiled.circuit(&honest, &proof.messages).expect("rows");
    assert_eq!(broken(&circuit), BTreeSet::new());
    let words = circuit.instance();
    let index = world.index.as_ref().expect("an index").key.id();
    // Request 0 has the index' adapter, request 1 has another.
    assert_eq!(words[HEAD..HEAD + 3], [index, Fr::from(1), Fr::from(2)]);
    for request in 0..2 {
        let at = HEAD + 3 + 7 * request + 3;
        assert_eq!(words[at..at + 4], honest.requests[request].shares[..]);
    }
    // Any of them changed, and the circuit has no witness.
    type Edit = fn(&mut Inputs<Fr>);
    let edits: [Edit; 7] = [
        |i| i.regions[0] += Fr::ONE,
        |i| i.attributing = Some(Fr::from(3)),
        |i| i.attributing = Some(Fr::ZERO),
        |i| i.attributing = Some(Fr::from(5)),
        |i| i.requests[0].shares[0] += Fr::ONE,
        |i| i.requests[0].shares.swap(1, 2),
        |i| i.requests[1].shares[3] += Fr::ONE,
    ];
    for edit in edits {
        let mut forged = honest.clone();
        edit(&mut forged);
        let circuit = compiled.circuit(&forged, &proof.messages).expect("rows");
        assert_ne!(circuit.instance(), words);
        assert_ne!(broken(&circuit), BTreeSet::new());
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "makes a settlement key: minutes without optimisation")]
fn a_settlement_of_an_attribution_is_checked_off_chain() {
    let world = world();
    let bound = binding(2);
    let mut run = attributed(&world, &[(9, Some(0)), (5, Some(1))]);
    run.statement.context = bound.context();
    let proof = world.prove(&run).expect("an inference proof");
    let key = key(&world, proof.statement.shape);
    let (adapters, indexes) = (world.keys(), world.indexes());
    let keys = || Keys { adapters: &adapters, indexes: &indexes };
    let settled = make(&key, &SRS.verifier_key(), &world.key, keys(), &bound, &proof).expect("a settlement");
    let settled = Settlement::decode(&settled.encode()).expect("a file");
    let check = |settled: &Settlement, keys: Keys<'_>| settled.check(key.verifying(), &world.key, keys);
    check(&settled, keys()).expect("accepted");
    assert_eq!((settled.shares.len(), settled.index), (8, indexes[0].id()));

    let error = |edit: &dyn Fn(&mut Settlement)| {
        let mut forged = settled.clone();
        edit(&mut forged);
        check(&forged, keys()).expect_err("accepted")
    };
    assert!(matches!(error(&|s| s.index += Fr::ONE), SettlementError::Terms(VerifyError::UnknownIndex)));
    assert!(matches!(error(&|s| s.shares.truncate(7)), SettlementError::Shares { got: 7, answers: 2 }));
    assert!(matches!(error(&|s| s.shares[0] += Fr::ONE), SettlementError::Check(_)));
    assert!(matches!(error(&|s| s.shares.rotate_left(4)), SettlementError::Check(_)));
    // Who attributes is computed from the adapters.
    assert!(matches!(error(&|s| s.answers[1].adapter = s.answers[0].adapter), SettlementError::Check(_)));
    let without = Keys { adapters: &adapters, indexes: &[] };
    assert!(matches!(check(&settled, without), Err(SettlementError::Terms(VerifyError::UnknownIndex))));
}
