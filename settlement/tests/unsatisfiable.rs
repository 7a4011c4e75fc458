//! A false inference proof gives a circuit that nothing satisfies: every scalar that a prover sends, and every check.

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind;
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::index::{IndexInputs, index_inputs};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::statement::{Inputs, shape_words};
use support::inference::attribution::{attributed, random_index};
use support::inference::index::{index, prove};
use support::{World, binding, bound, scalars, world};

/// Mercury's scalars are the last: five digests and six evaluations.
const MERCURY: usize = 11;

type Proof = (Inputs<Fr>, Messages<Fr>);

fn proof(world: &World, kind: OutputKind, requests: &[(usize, Option<usize>)]) -> (Compiled, Proof) {
    let proof = bound(world, kind, requests, &binding(requests.len()));
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    (compiled, (scalars(world, &proof), proof.messages))
}

/// Of a batch that attributes, by an index of its first adapter.
fn attributing(requests: &[(usize, Option<usize>)]) -> (Compiled, Proof) {
    let world = world().with_index(random_index(SMALL.hidden, 900, 50));
    let proof = world.prove(&attributed(&world, requests)).unwrap();
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    (compiled, (scalars(&world, &proof), proof.messages))
}

fn circuit(compiled: &Compiled, (inputs, messages): &Proof) -> SettlementCircuit {
    compiled.circuit(inputs, messages).unwrap()
}

/// The proof with its `index`-th scalar changed; `None` beyond the last.
fn edited((inputs, messages): &Proof, index: usize) -> Option<Proof> {
    let mut at = 0;
    let mut edit = |value: Fr| {
        at += 1;
        if at == index + 1 { value + Fr::ONE } else { value }
    };
    let edited = (inputs.clone().map(&mut edit), messages.clone().map(&mut edit));
    (at > index).then_some(edited)
}

#[test]
fn no_scalar_of_a_proof_may_change() {
    let world = world();
    for kind in [OutputKind::Classify, OutputKind::Embed] {
        let (compiled, honest) = proof(&world, kind, &[(12, Some(0))]);
        assert_eq!(broken(&circuit(&compiled, &honest)), BTreeSet::new());
        let count = (0..).find(|&index| edited(&honest, index).is_none()).unwrap();
        assert!(count > 600, "{count} scalars");
        // The first six are constants of the circuit: what the inputs say of them is not read.
        let constants = [0, 1, 2, 3, 4, 5];
        let honest_rows = circuit(&compiled, &honest);
        for index in constants {
            let same = circuit(&compiled, &edited(&honest, index).unwrap());
            assert_eq!(same.instance(), honest_rows.instance());
        }
        // Every scalar of the statement and of the ends of the proof, and a sample of the rounds between.
        let statement = 6..160;
        let rest = (160..count - 40).step_by(23).chain(count - 40..count);
        for index in statement.step_by(7).chain(rest) {
            let circuit = circuit(&compiled, &edited(&honest, index).unwrap());
            let broken = broken(&circuit);
            // Mercury's digests and evaluations are checked by the group claim: they change the words that it is made of.
            if index >= count - MERCURY {
                assert_ne!(circuit.instance(), honest_rows.instance(), "{kind:?}, scalar {index} of {count}");
                continue;
            }
            assert!(!broken.is_empty(), "{kind:?}, scalar {index} of {count}");
            assert!(!broken.contains("no check"), "{kind:?}, scalar {index}: {broken:?}");
        }
    }
}

/// The words of an attribution, and a sample of what a batch that attributes has of all else.
#[test]
fn no_scalar_of_an_attribution_may_change() {
    let (compiled, honest) = attributing(&[(12, Some(0))]);
    let honest_rows = circuit(&compiled, &honest);
    assert_eq!(broken(&honest_rows), BTreeSet::new());
    let count = (0..).find(|&index| edited(&honest, index).is_none()).unwrap();
    // Architecture, seven words of the shape, SRS; base and adapters; index and the word of the requests that attribute.
    let shape = shape_words(&compiled.layout.shape).len();
    let index = 2 + shape + 2;
    assert_eq!(edited(&honest, index).unwrap().0.regions[0], honest.0.regions[0] + Fr::ONE);
    // The request's scalars end with its four words.
    let mut statement = 0;
    honest.0.clone().map(|_| statement += 1);
    let words = [index, index + 1].into_iter().chain(statement - 4..statement);
    for index in words.chain((statement..count - MERCURY).step_by(61)) {
        let broken = broken(&circuit(&compiled, &edited(&honest, index).unwrap()));
        assert!(!broken.is_empty() && !broken.contains("no check"), "scalar {index} of {count}: {broken:?}");
    }
    for constant in [0, 2, shape, shape + 1] {
        let same = circuit(&compiled, &edited(&honest, constant).unwrap());
        assert_eq!(same.instance(), honest_rows.instance(), "{constant}");
    }
}

type Edit = fn(&mut Inputs<Fr>, &mut Messages<Fr>);

/// Each breaks some checks.
const EDITS: [(&str, Edit); 19] = [
    ("no request", |i, _| i.count = Fr::ZERO),
    ("more requests than the shape", |i, _| i.count = Fr::from(3)),
    ("a text of one token", |i, _| i.requests[0].length = Fr::ONE),
    ("a text longer than T", |i, _| i.requests[1].length = Fr::from(17)),
    ("an id beyond the vocabulary", |i, _| i.requests[0].ids[1] = Fr::from(1 << 20)),
    ("a negative id", |i, _| i.requests[0].ids[1] = -Fr::ONE),
    ("an id of the vocabulary's size", |i, _| i.requests[0].ids[2] = Fr::from(40)),
    ("an id beyond the length", |i, _| i.requests[1].ids[12] = Fr::ONE),
    ("an id beyond T", |i, _| i.requests[1].ids[100] = Fr::ONE),
    ("a label of a hundred", |i, _| i.requests[0].label = Fr::from(100)),
    ("another label", |i, _| i.requests[0].label = Fr::from(15)),
    ("a label that the adapter lacks", |i, _| {
        i.requests[0].outputs.fill(-Fr::from(1 << 45));
        i.requests[0].label = Fr::ZERO;
    }),
    ("roots that do not cancel", |_, m| m.lookup.root[0] += Fr::ONE),
    ("denominators of zero", |_, m| m.lookup.root[2] = Fr::ZERO),
    ("a layer of the tree", |_, m| m.lookup.layers[3].rounds[1][0] += Fr::ONE),
    ("a relation's round", |_, m| m.rounds[0][1] += Fr::ONE),
    ("a reduction's round", |_, m| m.reduction[2][0] += Fr::ONE),
    ("the value", |_, m| m.value += Fr::ONE),
    ("a name for an embedding", |i, _| i.requests[0].label = Fr::ONE),
];

/// Of a batch that attributes.
const BEYOND: (&str, Edit) = ("a bit beyond the requests", |i, _| i.attributing = Some(Fr::from(4)));

fn names(circuit: &SettlementCircuit) -> BTreeSet<&'static str> {
    circuit.rows().checks.iter().map(|(what, _)| *what).collect()
}

/// Inverses of sums of challenges: a zero has probability 2^-253 and no prover can bring it about.
fn impossible(checks: &BTreeSet<&'static str>) -> BTreeSet<&'static str> {
    checks.iter().copied().filter(|what| what.starts_with("mercury:")).collect()
}

/// Checks of the circuits that no edit breaks.
fn never_broken(circuits: &[(Compiled, Proof)]) -> BTreeSet<&'static str> {
    let mut open: BTreeSet<&'static str> =
        circuits.iter().flat_map(|(compiled, honest)| names(&circuit(compiled, honest))).collect();
    for (compiled, honest) in circuits {
        for (what, edit) in EDITS.into_iter().chain(honest.0.attributing.map(|_| BEYOND)) {
            let (mut inputs, mut messages) = honest.clone();
            edit(&mut inputs, &mut messages);
            let broken = broken(&circuit(compiled, &(inputs, messages)));
            println!("{what}: {broken:?}");
            assert!(!broken.contains("no check"), "{what}: {broken:?}");
            open = &open - &broken;
        }
    }
    open
}

#[test]
fn every_check_of_the_field_part_can_fail() {
    let world = world();
    let requests = [(9, Some(0)), (5, Some(1))];
    let circuits = [OutputKind::Classify, OutputKind::Embed].map(|kind| proof(&world, kind, &requests));
    let all = circuits.iter().flat_map(|(compiled, honest)| names(&circuit(compiled, honest))).collect();
    assert_eq!(never_broken(&circuits), impossible(&all), "checks never seen failing");
}

#[test]
fn every_check_of_a_batch_that_attributes_can_fail() {
    let own = attributing(&[(9, Some(0)), (5, Some(1))]);
    let all = names(&circuit(&own.0, &own.1));
    assert!(all.contains("statement: a bit for each request that attributes"));
    assert_eq!(never_broken(&[own]), impossible(&all), "checks never seen failing");
}

#[test]
fn every_check_of_an_index_proof_can_fail() {
    let world = world().with_index(random_index(SMALL.hidden, 900, 50));
    let proof = prove(&world);
    let compiled = Compiled::new(&CircuitShape::of_index(&world.key, index(&world).key.records)).unwrap();
    let digest = digest_points(&proof.witness);
    let honest = index_inputs(&world.key.architecture, &proof.statement, digest, proof.prover_salt);
    let circuit = |inputs: &IndexInputs<Fr>, messages: &Messages<Fr>| compiled.index_circuit(inputs, messages).unwrap();
    let all = names(&circuit(&honest, &proof.messages));
    let mut open = all.clone();
    type Edit = fn(&mut IndexInputs<Fr>, &mut Messages<Fr>);
    let edits: [(&str, Edit); 7] = [
        ("no record", |i, _| i.count = Fr::ZERO),
        ("more records than the shape", |i, _| i.count = Fr::from(2049)),
        ("roots that do not cancel", |_, m| m.lookup.root[0] += Fr::ONE),
        ("denominators of zero", |_, m| m.lookup.root[2] = Fr::ZERO),
        ("a layer of the tree", |_, m| m.lookup.layers[3].rounds[1][0] += Fr::ONE),
        ("a reduction's round", |_, m| m.reduction[2][0] += Fr::ONE),
        ("the value", |_, m| m.value += Fr::ONE),
    ];
    for (what, edit) in edits {
        let (mut inputs, mut messages) = (honest.clone(), proof.messages.clone());
        edit(&mut inputs, &mut messages);
        let broken = broken(&circuit(&inputs, &messages));
        assert!(!broken.is_empty() && !broken.contains("no check"), "{what}: {broken:?}");
        open = &open - &broken;
    }
    // Without a product there is no sumcheck of relations: its end compares zero with zero.
    assert!(compiled.layout.relations().iter().all(|relation| relation.products.is_empty()));
    let mut expected = impossible(&all);
    expected.insert("relations: the sumcheck's end");
    assert_eq!(open, expected, "checks never seen failing");
}
