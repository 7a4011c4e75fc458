//! Row proofs in the settlement's circuit. There is no key and no file of such settlements yet: what is tested is that the field
//! part means the same in the circuit as natively, so that nothing of a row is bound by native code alone.

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::layout::Layout;
use lorica_quant::index::IndexCells;
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::rows::Rows;
use lorica_settlement::trace::{Scalar, Tracer};
use lorica_verifier::protocol::arithmetic::{Arithmetic, Native};
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::rows::{
    ROW_SHAPE_WORDS, Row, RowInputs, RowOutcome, RowProof, RowTextInputs, RowWords, row_field_part, row_inputs,
    row_shape_words, row_transcript,
};
use support::World;
use support::inference::attribution::random_index;
use support::inference::rows::{RowRun, index_of, layout, prove, prove_by, run, verify};
use support::inference::without::REDUCTION;
use support::inference::without::Rule::Relation;
use support::inference::without::without;

type Proof = (RowInputs<Fr>, Messages<Fr>);

const COUNT: usize = 900;
/// Mercury's scalars are the last: five digests and six evaluations.
const MERCURY: usize = 11;

fn world(texts: &[(usize, Vec<u32>)]) -> World {
    let plain = || World::new(SMALL, 5, 1);
    plain().with_index(index_of(&plain(), random_index(SMALL.hidden, COUNT, 50), texts, 0))
}

fn texts(rows: [usize; 2], lengths: [usize; 2]) -> Vec<(usize, Vec<u32>)> {
    let own = World::new(SMALL, 5, 1).synthetic;
    rows.into_iter().zip(lengths).enumerate().map(|(i, (row, length))| (row, own.ids(i as u64, length))).collect()
}

/// The field part with the constants of a shape, all else through `input`.
fn field_part<A: Arithmetic>(
    a: &mut A,
    layout: &Layout,
    (inputs, messages): &Proof,
    mut input: impl FnMut(&mut A, Fr) -> A::Scalar,
) -> Option<(RowInputs<A::Scalar>, RowOutcome<A::Scalar>)> {
    let mut own = inputs.clone().map(|value| input(a, value));
    own.architecture = a.constant(inputs.architecture);
    own.shape = row_shape_words(&layout.shape).map(|word| a.constant(word)).into();
    own.srs = a.constant(inputs.srs);
    let messages = messages.clone().map(|value| input(a, value));
    let mut transcript = row_transcript(a);
    let outcome = row_field_part(a, &mut transcript, layout, &own, &messages).ok()?;
    Some((own, outcome))
}

/// The words that a contract would be shown.
fn words<S: Clone>(inputs: &RowInputs<S>, outcome: &RowOutcome<S>) -> Vec<S> {
    let RowInputs { context, base, adapter, index, records, count, witness, .. } = inputs;
    let mut words = vec![context, base, &outcome.scales_word, adapter, index, records, count, witness];
    let own = &outcome.mercury;
    words.extend([&own.alpha, &own.zeta, &own.beta, &own.z, &own.constant]);
    words.extend(&outcome.rho_high);
    words.extend(outcome.words.iter().flat_map(|RowWords { record_digest, word }| [record_digest, word]));
    words.into_iter().cloned().collect()
}

fn circuit(layout: &Layout, proof: &Proof) -> SettlementCircuit {
    let mut tracer = Tracer::default();
    let (inputs, outcome) = field_part(&mut tracer, layout, proof, Tracer::input).expect("a tracer never fails");
    let words: Vec<Scalar> = words(&inputs, &outcome);
    SettlementCircuit::new(Rows::compile(&tracer, &words))
}

fn scalars(world: &World, layout: &Layout, proof: &RowProof) -> Proof {
    let digest = digest_points(&proof.witness);
    let inputs = row_inputs(layout, &world.key, &proof.statement, digest, proof.prover_salt).expect("inputs");
    (inputs, proof.messages.clone())
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
fn rows_mean_the_same_in_the_circuit() {
    let texts = texts([899, 512], [9, 4]);
    let world = world(&texts);
    let run = run(&world, &texts);
    let (layout, proof) = (layout(&world, &run), prove(&world, &run));
    verify(&world, &proof).expect("accepted");
    let honest = scalars(&world, &layout, &proof);
    let rows = circuit(&layout, &honest);
    println!("{} rows, 2^{}", rows.rows().rows.len(), rows.log_rows());
    assert_eq!(broken(&rows), BTreeSet::new());
    let native = field_part(&mut Native, &layout, &honest, |_, value| value).expect("accepted");
    assert_eq!(words(&native.0, &native.1), rows.instance());

    // Words of the statement behind the constants of the circuit, some scales and scalars of texts, and some messages.
    let count = (0..).find(|&index| edited(&honest, index).is_none()).expect("an end");
    let scales = honest.0.scales.len();
    // Architecture, shape and SRS; base to prover salt.
    let constants = 2 + ROW_SHAPE_WORDS;
    let words = constants + 8;
    let text = words + scales;
    let own = honest.0.rows[0].ids.len();
    let statement =
        (constants..words).chain([words, text - 1]).chain([0, 3, 20, own, own + 1, own + 2].map(|at| text + at));
    let rest = (text + 2 * (own + 3)..count - MERCURY).step_by(151);
    for index in statement.chain(rest) {
        let broken = broken(&circuit(&layout, &edited(&honest, index).expect("a scalar")));
        assert!(!broken.is_empty() && !broken.contains("no check"), "scalar {index} of {count}: {broken:?}");
    }
    // Mercury's are checked by the group claim: they change the words that it is made of.
    for index in [count - MERCURY, count - 1] {
        assert_ne!(circuit(&layout, &edited(&honest, index).expect("a scalar")).instance(), rows.instance(), "{index}");
    }
}

/// The circuit depends on the shape only.
#[test]
fn batches_of_one_shape_have_one_circuit() {
    let circuit_of = |rows: [usize; 2], lengths: [usize; 2]| {
        let texts = texts(rows, lengths);
        let world = world(&texts);
        let run = run(&world, &texts);
        let layout = layout(&world, &run);
        circuit(&layout, &scalars(&world, &layout, &prove(&world, &run)))
    };
    let own = circuit_of([3, 700], [9, 4]);
    assert!(own.rows().same_circuit(circuit_of([898, 0], [2, 16]).rows()));
}

/// What the field part says of a word, it says in the circuit.
#[test]
fn words_are_taken_apart_in_the_circuit() {
    let texts = texts([899, 512], [9, 4]);
    let world = world(&texts);
    let run = run(&world, &texts);
    let layout = layout(&world, &run);
    let honest = scalars(&world, &layout, &prove(&world, &run));
    let with = |delta: Fr| {
        let mut own = honest.clone();
        let RowTextInputs { word, .. } = &mut own.0.rows[1];
        *word += delta;
        broken(&circuit(&layout, &own))
    };
    let bit = |at: u64| Fr::from(2).pow([at]);
    let weight = Fr::from(u64::from(run.statement.rows[1].row.weight));
    for (delta, check) in [
        (bit(42), "statement: a row's word is below 2^42"),
        (-bit(43), "statement: a row's word is below 2^42"),
        (bit(11), "statement: a row's word has no bits beside row, label, weight and slot"),
        (bit(15), "statement: a row's word has no bits beside row, label, weight and slot"),
        (bit(20), "statement: a row's word has no bits beside row, label, weight and slot"),
        (bit(23), "statement: a row's word has no bits beside row, label, weight and slot"),
        // Row 900 of 900 records, and row 1,536.
        (Fr::from(388), "statement: a row is one of the index' records"),
        (bit(10), "statement: a row is one of the index' records"),
        (-weight * bit(24), "statement: a row has a weight"),
    ] {
        let broken = with(delta);
        assert!(broken.contains(check), "{check}: {broken:?}");
    }
}

/// What the relations of rows forbid: the reduction's last check fails, natively and in the circuit, and no other.
struct Lie {
    what: &'static str,
    relation: &'static str,
    /// An index of other cells.
    cells: fn(&mut IndexCells),
    /// What is said of the second row.
    row: fn(&mut Row),
}

const LIES: [Lie; 4] = [
    Lie {
        what: "features of another text",
        relation: "features of a row",
        cells: |index| index.features[512 * SMALL.hidden + 77] += 1,
        row: |_| {},
    },
    Lie { what: "another label", relation: "classes of a row", cells: |_| {}, row: |row| row.label ^= 8 },
    Lie { what: "another weight", relation: "classes of a row", cells: |_| {}, row: |row| row.weight ^= 1 },
    Lie { what: "another slot", relation: "slot of a row", cells: |_| {}, row: |row| row.slot ^= 1 },
];

/// A world of an index, a run on it, and a lie about one of them.
fn told(lie: &Lie) -> (World, RowRun) {
    let texts = texts([899, 512], [9, 4]);
    let plain = || World::new(SMALL, 5, 1);
    let mut cells = index_of(&plain(), random_index(SMALL.hidden, COUNT, 50), &texts, 0);
    (lie.cells)(&mut cells);
    let world = plain().with_index(cells);
    let mut run = run(&world, &texts);
    (lie.row)(&mut run.statement.rows[1].row);
    (world, run)
}

#[test]
fn no_lie_about_a_row_satisfies_the_circuit() {
    for lie in &LIES {
        let (world, run) = told(lie);
        let (layout, proof) = (layout(&world, &run), prove(&world, &run));
        let error = verify(&world, &proof).expect_err("accepted").to_string();
        assert!(error.contains(REDUCTION), "{}: {error}", lie.what);
        let broken = broken(&circuit(&layout, &scalars(&world, &layout, &proof)));
        assert_eq!(broken, BTreeSet::from([REDUCTION]), "{}", lie.what);
    }
}

/// The same cells and words satisfy the circuit of the program without the relation.
#[test]
#[ignore = "a second proof for each lie of the test above"]
fn without_its_relation_each_lie_about_a_row_satisfies_the_circuit() {
    for lie in &LIES {
        let (world, run) = told(lie);
        let layout = without(&layout(&world, &run), &[Relation(lie.relation)]);
        let proof = prove_by(&world, &layout, &run, &|_| {});
        let broken = broken(&circuit(&layout, &scalars(&world, &layout, &proof)));
        assert_eq!(broken, BTreeSet::new(), "{}", lie.what);
    }
}
