//! A false inference proof gives a circuit that nothing satisfies: every scalar that a prover sends, and every check.

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::statement::Inputs;
use support::{World, binding, bound, scalars, world};

/// Mercury's scalars are the last: five digests and six evaluations.
const MERCURY: usize = 11;

type Proof = (Inputs<Fr>, Messages<Fr>);

fn proof(world: &World, kind: OutputKind, requests: &[(usize, Option<usize>)]) -> (Compiled, Proof) {
    let proof = bound(world, kind, requests, &binding(requests.len()));
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    (compiled, (scalars(world, &proof), proof.messages))
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

#[test]
fn every_check_of_the_field_part_can_fail() {
    let world = world();
    let requests = [(9, Some(0)), (5, Some(1))];
    let (compiled, honest) = proof(&world, OutputKind::Classify, &requests);
    let (embedding, embedded) = proof(&world, OutputKind::Embed, &requests);
    let names = |compiled: &Compiled, proof: &Proof| -> BTreeSet<&'static str> {
        circuit(compiled, proof).rows().checks.iter().map(|(what, _)| *what).collect()
    };
    let mut open: BTreeSet<&'static str> = names(&compiled, &honest);
    open.extend(names(&embedding, &embedded));
    let all = open.clone();

    type Edit = fn(&mut Inputs<Fr>, &mut Messages<Fr>);
    let edits: [(&str, Edit); 19] = [
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
    for (what, edit) in edits {
        for (compiled, honest) in [(&compiled, &honest), (&embedding, &embedded)] {
            let (mut inputs, mut messages) = honest.clone();
            edit(&mut inputs, &mut messages);
            let broken = broken(&circuit(compiled, &(inputs, messages)));
            println!("{what}: {broken:?}");
            assert!(!broken.contains("no check"), "{what}: {broken:?}");
            open = &open - &broken;
        }
    }
    // Inverses of sums of challenges: a zero has probability 2^-253 and no prover can bring it about.
    let impossible: BTreeSet<&'static str> = all.iter().copied().filter(|what| what.starts_with("mercury:")).collect();
    assert_eq!(open, impossible, "checks never seen failing");
}
