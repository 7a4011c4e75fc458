//! Forged index proofs. Each index breaks one rule, and its commitments, its id and its witness follow from it: the true
//! program rejects it, and the program without that rule accepts the same index.

use super::support;

use std::sync::{Arc, LazyLock};

use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::{Field, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use lorica_circuits::column::{Column, Lookup};
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{LABELS, RECORDS as CLASSES};
use lorica_prover::cells::Placed;
use lorica_prover::index::{IndexRangeError, index_witness, prove_index};
use lorica_prover::prove::{Blinded, ProveError, commit_blinded, commit_region};
use lorica_quant::index::region;
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{Messages, proof_transcript};
use lorica_verifier::protocol::group::GroupError;
use lorica_verifier::protocol::index::{
    IndexInputs, IndexProof, IndexStatement, absorb_index, index_inputs, index_transcript, verify_index,
    verify_index_with,
};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::{IndexCommitments, KeyError, index_shape};
use lorica_verifier::protocol::lookup::{LayerMessages, LookupMessages, leaf_challenges};
use lorica_verifier::protocol::mercury::{Evaluations, MercuryProof};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::verify::VerifyError;
use support::attribution::{RECORDS, random_index};
use support::index::{
    index, layout, prove, prove_by, prove_field, statement, verify, verify_by, verify_without, witness,
};
use support::naive::Faithful;
use support::without::Rule::{Range, Relation};
use support::without::{REDUCTION, Rule, SUM, without};
use support::{Index, LOG_TILE, SRS, World};

/// Records of the indexes.
const COUNT: usize = 1500;
const WEIGHT: &str = "weight of a record";
const BEYOND: &str = "no weight beyond the records";

fn world(edit: impl FnOnce(&mut dyn FnMut(Column, usize, i64))) -> World {
    World::new(SMALL, 3, 1).with_edited_index(random_index(SMALL.hidden, COUNT, 60), |columns| {
        edit(&mut |column, cell, value| columns.edit(column, |cells| cells[cell] = value));
    })
}

static HONEST: LazyLock<World> = LazyLock::new(|| world(|_| {}));
static PROOF: LazyLock<IndexProof> = LazyLock::new(|| prove(&HONEST));

/// A class of a row.
fn class(label: usize, row: usize) -> usize {
    label * RECORDS + row
}

/// Gives a row these classes.
fn classes(set: &mut dyn FnMut(Column, usize, i64), row: usize, own: &[i64]) {
    for label in 0..LABELS {
        set(c::INDEX_CLASS, class(label, row), own.get(label).copied().unwrap_or(0));
    }
}

/// The true program rejects the index by this check; the program without these rules accepts it, the one without any one of them
/// does not.
#[track_caller]
fn stopped_by(world: &World, rules: &[Rule], by: &str, weights: &dyn Fn(&mut [i64])) {
    let honest = layout(world);
    let tiles = &index(world).key.tiles;
    let proof = prove_by(world, &honest, &witness(world, &honest, weights), COUNT, &|_| {});
    let error = verify(world, &proof).expect_err("accepted").to_string();
    assert!(error.contains(by), "{error} instead of {by}");
    let doctored = without(&honest, rules);
    let proof = prove_by(world, &doctored, &witness(world, &doctored, weights), COUNT, &|_| {});
    verify_by(world, &doctored, tiles, &proof, &|_| {}).expect("nothing else stands in the way");
}

/// [`stopped_by`] a single rule, with the sums as weights.
#[track_caller]
fn alone(rule: Rule, edit: impl FnOnce(&mut dyn FnMut(Column, usize, i64))) {
    let by = if matches!(rule, Range(_)) { SUM } else { REDUCTION };
    stopped_by(&world(edit), &[rule], by, &|_| {});
}

#[test]
fn an_honest_index_is_in_range() {
    verify(&HONEST, &PROOF).expect("accepted");
    assert_eq!(IndexProof::decode(&PROOF.encode()).as_ref(), Ok(&*PROOF));
    // The second prover, which shares no algorithm with the first.
    let (tiles, proof) = prove_field(&HONEST, &[], &mut Faithful);
    assert_eq!(tiles, index(&HONEST).key.tiles);
    verify(&HONEST, &proof).expect("accepted");
}

/// Indexes of the two larger sizes, full but for one record.
#[test]
#[ignore = "takes a minute: 8.9 million cells"]
fn larger_indexes_are_in_range() {
    for records in [CLASSES[1], CLASSES[2]] {
        let mut world = World::new(SMALL, 3, 1).with_index(random_index(SMALL.hidden, 10, 5));
        let cells = random_index(SMALL.hidden, records - 1, 300);
        let batch = world.key.architecture.layout(&index_shape(LOG_TILE, records)).expect("a layout");
        let columns = region(&cells, &world.key.architecture, records).expect("columns");
        let placed = Placed::new(&batch, Region::INDEX, &columns).expect("its columns");
        let blinded = Blinded::new(&batch, Region::INDEX, Arc::new(placed)).expect("randomness");
        let own = world.index.as_mut().expect("an index");
        own.key.tiles = commit_blinded(&SRS, LOG_TILE, &blinded, &Unwatched).expect("commitments");
        (own.key.records, own.key.count) = (records, cells.count);
        (own.blinded, own.cells) = (Arc::new(blinded), cells);
        let (proof, phases) =
            prove_index(&SRS, &world.key, &index(&world).blinded, &statement(&world), &Unwatched).expect("a proof");
        println!("{records} records, {} tiles: {phases:?}", index(&world).key.tiles.len());
        verify(&world, &proof).expect("accepted");
        let mut forged = proof;
        forged.statement.count += 1;
        assert!(verify(&world, &forged).is_err());
    }
}

/// Both ends of every range are provable, in each column, and a whole weight in one class or in all.
#[test]
fn the_ends_of_all_ranges_are_in_range() {
    let world = world(|set| {
        for column in [c::INDEX_FEATURE, c::INDEX_WHITENING, c::INDEX_BIAS] {
            set(column, 0, -(1 << 15));
            set(column, 1, (1 << 15) - 1);
        }
        set(c::INDEX_CORNER, 0, -(1 << 15));
        set(c::INDEX_SLOT, 0, 1023);
        set(c::INDEX_SLOT, 1, 0);
        // Features and slots of rows beyond the records may be anything in range.
        set(c::INDEX_SLOT, COUNT, 1023);
        set(c::INDEX_FEATURE, COUNT * 128, 77);
        classes(set, 0, &[255]);
        classes(set, 1, &[15; 16]);
        classes(set, COUNT - 1, &[0, 255]);
    });
    verify(&world, &prove(&world)).expect("accepted");
}

#[test]
fn every_column_of_an_index_is_ranged() {
    let honest = layout(&HONEST);
    let mut columns: Vec<Column> = Vec::new();
    for placement in honest.placements().filter(|own| own.spec.region == Region::INDEX) {
        let (column, last) = (placement.spec.column, placement.spec.len() - 1);
        columns.push(column);
        // One beyond either end, in the first cell and in the last: features have sixteen tiles.
        let (least, most) = placement.spec.lookup.bounds().expect("a range");
        for (cell, value) in [(0, most + 1), (last, least - 1)] {
            if column == c::INDEX_CLASS {
                continue;
            }
            alone(Range(column), |set| set(column, cell, value));
        }
    }
    let all = [c::INDEX_FEATURE, c::INDEX_CLASS, c::INDEX_SLOT, c::INDEX_WHITENING, c::INDEX_BIAS, c::INDEX_CORNER];
    assert_eq!(columns, all);
    // Classes: with a sum that is a weight, so that only their own range is broken.
    alone(Range(c::INDEX_CLASS), |set| classes(set, 3, &[256, -1]));
    alone(Range(c::INDEX_CLASS), |set| classes(set, COUNT - 1, &[-1, 9]));
    // Rows beyond the records too: classes that cancel are not zero.
    alone(Range(c::INDEX_CLASS), |set| classes(set, COUNT, &[5, -5]));
}

/// A cell in the middle of the features, in a tile that neither the first nor the last cell is in.
#[test]
fn no_tile_is_left_out() {
    let size = 1usize << LOG_TILE;
    let tiles = layout(&HONEST).tiles(Region::INDEX, 0).count;
    assert!(tiles > 17, "{tiles}");
    alone(Range(c::INDEX_FEATURE), |set| set(c::INDEX_FEATURE, 7 * size + 5, 1 << 15));
}

#[test]
fn a_record_has_one_weight() {
    // 128 + 128 in two classes, one whole in each of all classes.
    alone(Range(c::RECORD_WEIGHT), |set| classes(set, 4, &[128, 128]));
    alone(Range(c::RECORD_WEIGHT), |set| classes(set, 4, &[255; 16]));
    // Or a weight that is not the sum.
    let world = world(|set| classes(set, 4, &[128, 128]));
    stopped_by(&world, &[Relation(WEIGHT)], REDUCTION, &|weights| weights[4] = 255);
}

#[test]
fn a_row_beyond_the_records_has_no_weight() {
    for row in [COUNT, RECORDS - 1] {
        alone(Relation(BEYOND), |set| classes(set, row, &[0, 7]));
    }
    let world = world(|set| classes(set, COUNT, &[0, 7]));
    stopped_by(&world, &[Relation(WEIGHT)], REDUCTION, &|weights| weights[COUNT] = 0);
}

/// Neither program without a rule accepts what another rule forbids.
#[test]
fn a_forgery_is_stopped_by_its_own_rule_alone() {
    let forged = world(|set| set(c::INDEX_SLOT, 9, 1024));
    let honest = layout(&forged);
    for rule in [Range(c::INDEX_CLASS), Range(c::RECORD_WEIGHT), Relation(WEIGHT), Relation(BEYOND)] {
        let doctored = without(&honest, &[rule]);
        let proof = prove_by(&forged, &doctored, &witness(&forged, &doctored, &|_| {}), COUNT, &|_| {});
        assert!(verify_by(&forged, &doctored, &index(&forged).key.tiles, &proof, &|_| {}).is_err(), "{rule:?}");
    }
}

/// The statement says one record more than the index: the row behind the records has a weight then. Accepted by whoever does not
/// compare the count with the index'.
#[test]
fn one_record_more_is_another_statement() {
    let forged = world(|set| classes(set, COUNT, &[0, 7]));
    let honest = layout(&forged);
    let columns = witness(&forged, &honest, &|_| {});
    let proof = prove_by(&forged, &honest, &columns, COUNT + 1, &|_| {});
    verify_by(&forged, &honest, &index(&forged).key.tiles, &proof, &|_| {}).expect("a true statement");
    assert_eq!(verify(&forged, &proof), Err(VerifyError::Foreign { what: "size of an index" }));
    let claimed = IndexProof { statement: statement(&forged), ..proof };
    assert!(matches!(verify(&forged, &claimed), Err(VerifyError::Field(_))));
    // The count is in the index' id: with another one it is another index.
    let mut more = index(&forged).key.clone();
    more.count += 1;
    assert_ne!(more.id(), index(&forged).key.id());
    // Counts that no index has.
    for count in [0, RECORDS + 1] {
        let stated = IndexStatement { count, ..statement(&HONEST) };
        let inputs = index_inputs(&HONEST.key.architecture, &stated, Fr::ONE, Fr::ONE);
        let absorbed = absorb_index(&mut Native, &mut index_transcript(&mut Native), &layout(&HONEST), &inputs);
        assert!(absorbed.is_err(), "{count}");
    }
    // All rows are records.
    let inputs = |count| {
        index_inputs(&HONEST.key.architecture, &IndexStatement { count, ..statement(&HONEST) }, Fr::ONE, Fr::ONE)
    };
    for count in [1, RECORDS] {
        assert!(
            absorb_index(&mut Native, &mut index_transcript(&mut Native), &layout(&HONEST), &inputs(count)).is_ok()
        );
    }
}

/// Cells that are no integers: halves that add up to a weight, a half feature, a slot between two. The second prover commits to
/// them and follows the protocol.
#[test]
fn cells_that_are_no_integers_are_out_of_range() {
    let half = Fr::TWO_INV;
    for field in [
        vec![(c::INDEX_CLASS, class(0, 3), half), (c::INDEX_CLASS, class(1, 3), -half)],
        vec![(c::INDEX_FEATURE, 40, half)],
        vec![(c::INDEX_SLOT, 5, half)],
        vec![(c::INDEX_WHITENING, 7, half)],
        vec![(c::INDEX_BIAS, 3, half)],
        vec![(c::INDEX_CORNER, 0, half)],
    ] {
        let (tiles, proof) = prove_field(&HONEST, &field, &mut Faithful);
        // The index of these commitments.
        let mut own = World::new(SMALL, 3, 1).with_index(index(&HONEST).cells.clone());
        own.index.as_mut().expect("an index").key.tiles = tiles;
        let error = verify(&own, &proof).expect_err("accepted").to_string();
        assert!(error.contains(SUM), "{error}");
        // Nothing else stands in the way: these numbers are in no relation but the sum of classes, which holds.
        verify_without(&own, &proof, &[SUM]).expect("nothing else stands in the way");
    }
}

/// Two commitments of one index have no tile in common, and none is that of the cells alone: whoever holds the cells, or guesses
/// them, does not see it.
#[test]
fn two_commitments_of_an_index_differ_in_every_tile() {
    let other = world(|_| {});
    let layout = layout(&HONEST);
    let [own, others] = [&*HONEST, &other].map(index);
    let bare = |own: &Index| commit_region(&SRS, &layout, Region::INDEX, &own.blinded.cells).expect("commitments");
    let tiles = &own.key.tiles;
    assert!(tiles.len() > 17);
    let alone = bare(own);
    assert_eq!(alone, bare(others), "the cells are the same");
    for tile in 0..tiles.len() {
        assert!(tiles[tile] != others.key.tiles[tile] && tiles[tile] != alone[tile], "{tile}");
    }
    // Nor do two tiles have a coefficient in common, by which the difference of their cells would show.
    let mut coefficients: Vec<Fr> = [own, others].iter().flat_map(|own| own.blinded.blinding.clone()).collect();
    let all = coefficients.len();
    assert_eq!(all, 2 * tiles.len());
    coefficients.sort_unstable();
    coefficients.dedup();
    assert_eq!(coefficients.len(), all);
}

/// A proof of an index says nothing of another, be it of the same cells.
#[test]
fn another_index_is_another_statement() {
    let (proof, other) = (&*PROOF, world(|_| {}));
    assert_ne!(index(&other).key.id(), index(&HONEST).key.id());
    assert_eq!(verify(&other, proof), Err(VerifyError::Foreign { what: "index" }));
    let claimed = IndexProof { statement: statement(&other), ..proof.clone() };
    assert!(matches!(verify(&other, &claimed), Err(VerifyError::Field(_))));
    // Its tiles under the first index' id.
    let honest = layout(&HONEST);
    let (own, others) = (&index(&HONEST).key.tiles, &index(&other).key.tiles);
    let pairing = Err(VerifyError::Group(GroupError::Pairing));
    verify_by(&HONEST, &honest, own, proof, &|_| {}).expect("accepted");
    assert_eq!(verify_by(&HONEST, &honest, others, proof, &|_| {}), pairing);
    // Tiles in another order, one twice, one missing, one more, the commitment of zero.
    let mut tiles = own.clone();
    tiles.swap(0, 1);
    assert_eq!(verify_by(&HONEST, &honest, &tiles, proof, &|_| {}), pairing);
    tiles[1] = tiles[0];
    assert_eq!(verify_by(&HONEST, &honest, &tiles, proof, &|_| {}), pairing);
    tiles[1] = G1Affine::identity();
    assert_eq!(verify_by(&HONEST, &honest, &tiles, proof, &|_| {}), pairing);
    tiles.pop();
    assert!(matches!(verify_by(&HONEST, &honest, &tiles, proof, &|_| {}), Err(VerifyError::Shape { .. })));
    // In the key they make another id.
    for edit in [
        (|key: &mut IndexCommitments| key.tiles.swap(0, 1)) as fn(&mut IndexCommitments),
        |key| key.version += Fr::ONE,
        |key| key.adapter += Fr::ONE,
        |key| key.records = CLASSES[1],
    ] {
        let mut key = index(&HONEST).key.clone();
        edit(&mut key);
        let adapter = &HONEST.adapters[0].key;
        let verdict = verify_index(&SRS.verifier_key(), &HONEST.key, adapter, &key, &Fr::ZERO, proof).map(drop);
        assert_eq!(verdict, Err(VerifyError::Foreign { what: "index" }));
        // And a statement that names that id is another statement, or one of another layout.
        let mut claimed = proof.clone();
        (claimed.statement.index, claimed.statement.records) = (key.id(), key.records);
        assert!(verify_index(&SRS.verifier_key(), &HONEST.key, adapter, &key, &Fr::ZERO, &claimed).is_err());
    }
    // An adapter that names another version, or is of another base.
    for edit in [(|own: &mut support::Adapter| own.key.version = None) as fn(&mut support::Adapter), |own| {
        own.key.base += Fr::ONE;
    }] {
        let mut adapter = HONEST.adapters[0].clone();
        edit(&mut adapter);
        let verdict =
            verify_index(&SRS.verifier_key(), &HONEST.key, &adapter.key, &index(&HONEST).key, &Fr::ZERO, proof)
                .map(drop);
        assert_eq!(verdict, Err(VerifyError::Key(KeyError::IndexOf)));
    }
}

/// The transcript of an index proof is none of an inference, whatever is absorbed.
#[test]
fn an_index_proof_is_no_inference() {
    let keys = (&HONEST.key, &HONEST.adapters[0].key, &index(&HONEST).key);
    let verdict = |transcript: &mut Transcript<Native>| {
        verify_index_with(&mut Native, transcript, &SRS.verifier_key(), keys, &Fr::ZERO, &PROOF)
    };
    verdict(&mut index_transcript(&mut Native)).expect("accepted");
    assert!(matches!(verdict(&mut proof_transcript(&mut Native)), Err(VerifyError::Field(_))));
    // Nor is the file.
    let decoded = lorica_verifier::InferenceProof::decode(&PROOF.encode());
    assert!(matches!(decoded, Err(CodecError::Magic { .. })));
}

fn first_challenge(inputs: &IndexInputs<Fr>) -> Fr {
    let mut transcript = index_transcript(&mut Native);
    absorb_index(&mut Native, &mut transcript, &layout(&HONEST), inputs).expect("a statement");
    leaf_challenges(&mut Native, &mut transcript).x
}

/// Every scalar of a statement is absorbed before anything is drawn.
#[test]
fn every_scalar_changes_the_first_challenge() {
    let stated = statement(&HONEST);
    let inputs = index_inputs(&HONEST.key.architecture, &stated, digest_points(&PROOF.witness), PROOF.prover_salt);
    let x = first_challenge(&inputs);
    let mut scalars = 0;
    inputs.clone().map(|_| scalars += 1);
    assert_eq!(scalars, 13);
    for index in 0..scalars {
        let mut at = 0;
        let edited = inputs.clone().map(|own| {
            at += 1;
            if at == index + 1 { own + Fr::ONE } else { own }
        });
        assert_ne!(first_challenge(&edited), x, "{index}");
    }
}

type Edit = Box<dyn Fn(&mut IndexProof)>;

/// Every field of a proof is changed. The destructurings name all of them: a new one does not compile until it has a case here.
fn manifest(proof: &IndexProof) -> Vec<(String, Edit)> {
    fn edit(name: impl Into<String>, f: impl Fn(&mut IndexProof) + 'static) -> (String, Edit) {
        (name.into(), Box::new(f))
    }
    let IndexProof { statement, prover_salt: _, witness, messages, opening } = proof;
    let IndexStatement { architecture: _, srs: _, log_tile: _, index: _, records: _, count: _, context: _ } = statement;
    let Messages { lookup, forms, rounds, operands, reduction, value: _, mercury: _ } = messages;
    let LookupMessages { root: _, layers } = lookup;
    let MercuryProof { h: _, q: _, g: _, s: _, d: _, quot: _, w: _, w_prime: _, evaluations } = opening;
    let Evaluations { g: _, g_inverse: _, h: _, h_inverse: _, s: _, s_inverse: _ } = evaluations;
    // No relation of an index proof has a product.
    assert_eq!((forms.len(), rounds.len(), operands.len()), (0, 0, 0));
    let one = Fr::ONE;
    let mut all = vec![
        edit("architecture", move |p| p.statement.architecture += one),
        edit("srs", move |p| p.statement.srs += one),
        edit("log_tile", |p| p.statement.log_tile += 2),
        edit("index", move |p| p.statement.index += one),
        edit("records", |p| p.statement.records = CLASSES[1]),
        edit("count", |p| p.statement.count -= 1),
        edit("context", move |p| p.statement.context += one),
        edit("prover salt", move |p| p.prover_salt += one),
        edit("witness: reordered", |p| p.witness.reverse()),
        edit("witness: truncated", |p| p.witness.truncate(p.witness.len() - 1)),
        edit("witness: extended", |p| p.witness.push(G1Affine::generator())),
        edit("layers: truncated", |p| drop(p.messages.lookup.layers.pop())),
        edit("layers: reordered", |p| p.messages.lookup.layers.swap(2, 3)),
        edit("layers: extended", |p| {
            let last = p.messages.lookup.layers[0].clone();
            p.messages.lookup.layers.push(last);
        }),
        edit("forms: extended", |p| p.messages.forms.push(Fr::ZERO)),
        edit("rounds: extended", |p| p.messages.rounds.push([Fr::ZERO; 3])),
        edit("operands: extended", |p| p.messages.operands.push(Fr::ZERO)),
        edit("reduction: truncated", |p| p.messages.reduction.truncate(p.messages.reduction.len() - 1)),
        edit("reduction: extended", |p| p.messages.reduction.push([Fr::ZERO; 2])),
        edit("value", move |p| p.messages.value += one),
    ];
    for i in 0..witness.len() {
        all.push(edit(format!("witness {i}"), move |p| p.witness[i] = G1Affine::generator()));
    }
    for i in 0..4 {
        all.push(edit(format!("root {i}"), move |p| p.messages.lookup.root[i] += one));
    }
    for (depth, LayerMessages { rounds, children: _ }) in layers.iter().enumerate() {
        let round = depth * 7 % rounds.len();
        for part in 0..2 {
            all.push(edit(format!("layer {depth}, round {round}, {part}"), move |p| {
                p.messages.lookup.layers[depth].rounds[round][part] += one;
            }));
        }
        for child in 0..4 {
            all.push(edit(format!("layer {depth}, child {child}"), move |p| {
                p.messages.lookup.layers[depth].children[child] += one;
            }));
        }
    }
    for round in 0..reduction.len() {
        for part in 0..2 {
            all.push(edit(format!("reduction {round}, {part}"), move |p| p.messages.reduction[round][part] += one));
        }
    }
    for i in 0..8 {
        all.push(edit(format!("opening: point {i}"), move |p| {
            let own = &mut p.opening;
            let points = [
                &mut own.h,
                &mut own.q,
                &mut own.g,
                &mut own.s,
                &mut own.d,
                &mut own.quot,
                &mut own.w,
                &mut own.w_prime,
            ];
            *points.into_iter().nth(i).expect("a point") = G1Affine::generator();
            p.messages.mercury = p.opening.messages();
        }));
    }
    for i in 0..6 {
        all.push(edit(format!("opening: evaluation {i}"), move |p| {
            let own = &mut p.opening.evaluations;
            let all = [&mut own.g, &mut own.g_inverse, &mut own.h, &mut own.h_inverse, &mut own.s, &mut own.s_inverse];
            *all.into_iter().nth(i).expect("an evaluation") += one;
            p.messages.mercury = p.opening.messages();
        }));
    }
    all
}

#[test]
fn no_field_of_a_proof_may_change() {
    for (name, edit) in manifest(&PROOF) {
        let mut forged = PROOF.clone();
        edit(&mut forged);
        assert_ne!(forged, *PROOF, "{name} changes nothing");
        assert!(verify(&HONEST, &forged).is_err(), "accepted: {name}");
    }
    let context = Fr::from(5);
    let (adapter, key) = (&HONEST.adapters[0].key, &index(&HONEST).key);
    let verdict = verify_index(&SRS.verifier_key(), &HONEST.key, adapter, key, &context, &PROOF).map(drop);
    assert_eq!(verdict, Err(VerifyError::Context));
}

/// The honest prover names what is out of range.
#[test]
fn what_is_out_of_range_is_named() {
    let error = |edit: &dyn Fn(&mut dyn FnMut(Column, usize, i64))| {
        let world = world(|set| edit(set));
        match prove_index(&SRS, &world.key, &index(&world).blinded, &statement(&world), &Unwatched) {
            Err(ProveError::IndexRange(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let cell = |column, cell, value, least, most| IndexRangeError::Cell { column, cell, value, least, most };
    let s16 = (-(1 << 15), (1 << 15) - 1);
    assert_eq!(error(&|set| set(c::INDEX_BIAS, 3, 1 << 15)), cell(c::INDEX_BIAS, 3, 1 << 15, s16.0, s16.1));
    assert_eq!(error(&|set| set(c::INDEX_SLOT, 9, 1024)), cell(c::INDEX_SLOT, 9, 1024, 0, 1023));
    assert_eq!(error(&|set| classes(set, 5, &[256, -1])), cell(c::INDEX_CLASS, 5, 256, 0, 255));
    let weight = |row, weight, most| IndexRangeError::Weight { row, weight, most };
    assert_eq!(error(&|set| classes(set, 5, &[200, 56])), weight(5, 256, 255));
    assert_eq!(error(&|set| classes(set, COUNT, &[1])), weight(COUNT, 1, 0));
    assert!(error(&|set| classes(set, COUNT, &[1])).to_string().contains("row 1500 has the weight 1, the most is 0"));
}

/// Counts of the witness are those of all cells, and the index' tiles are where a batch that attributes has them.
#[test]
fn the_witness_counts_every_cell() {
    let honest = layout(&HONEST);
    let own = index_witness(&honest, &index(&HONEST).blinded.cells, COUNT).expect("a witness");
    assert_eq!(own.to_vecs(), witness(&HONEST, &honest, &|_| {}));
    let counted: i64 = honest
        .program
        .tables
        .iter()
        .map(|t| own.get(t.multiplicities).expect("counts").to_vec().iter().sum::<i64>())
        .sum();
    let looked_up: usize = honest.placements().filter(|p| p.spec.lookup != Lookup::None).map(|p| p.spec.len()).sum();
    assert_eq!(counted, looked_up as i64);
    for records in CLASSES {
        let shape = index_shape(LOG_TILE, records);
        let own = HONEST.key.architecture.index_layout(&shape).expect("a layout");
        let batch = HONEST.key.architecture.layout(&shape).expect("a layout");
        assert_eq!(own.tiles(Region::INDEX, 0).count, batch.tiles(Region::INDEX, 0).count);
        assert_eq!(own.occupied(Region::INDEX), batch.occupied(Region::INDEX));
        for placement in own.placements().filter(|p| p.spec.region == Region::INDEX) {
            let other = batch.placement(placement.spec.column).expect("a placement");
            assert_eq!(other.groups, placement.groups);
            assert_eq!((&other.spec.digits, &other.spec.lows), (&placement.spec.digits, &placement.spec.lows));
        }
    }
}
