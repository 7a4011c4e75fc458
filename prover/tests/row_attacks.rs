//! Forged row proofs. Each lie is followed through, so that one rule alone stands in its way: the true program rejects it, and
//! the program without that rule accepts the same cells.

use super::support;

use std::sync::LazyLock;

use lorica_circuits::bn254::{Field, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::{Region, RegionSpec};
use lorica_circuits::shape::{OutputKind, RECORDS as CLASSES, Shape};
use lorica_quant::index::IndexCells;
use lorica_quant::integer::synthetic::{Random, SMALL, Sizes};
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{FieldError, Messages, proof_transcript};
use lorica_verifier::protocol::group::GroupError;
use lorica_verifier::protocol::index::index_transcript;
use lorica_verifier::protocol::key::{IndexCommitments, KeyError};
use lorica_verifier::protocol::lookup::{LayerMessages, LookupMessages, leaf_challenges};
use lorica_verifier::protocol::mercury::{Evaluations, MercuryProof};
use lorica_verifier::protocol::rows::{
    Row, RowInputs, RowProof, RowStatement, RowText, absorb_rows, row_inputs, row_transcript, verify_rows,
    verify_rows_with,
};
use lorica_verifier::protocol::statement::input_digest;
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::verify::{VerifyError, salt_scalar};
use sha3::{Digest, Keccak256};
use support::attribution::{RECORDS, random_index};
use support::index::index;
use support::rows::{
    RowRun, SALT, index_of, layout, prove, prove_by, prove_lenient, row_of, run, run_by, verify, verify_by,
    verify_without,
};
use support::without::Rule::Relation;
use support::without::{REDUCTION, Rule, without};
use support::{SRS, World, recount_columns, witness_columns};

/// Records of the indexes.
const COUNT: usize = 1500;
const FEATURES: Rule = Relation("features of a row");
const CLASSES_OF: Rule = Relation("classes of a row");
const SLOT: Rule = Relation("slot of a row");
const BEYOND: &str = "statement: a row is one of the index' records";
const NO_WEIGHT: &str = "statement: a row has a weight";
const OTHER_BITS: &str = "statement: a row's word has no bits beside row, label, weight and slot";

/// A world of two adapters without an index, for the texts' features.
fn plain() -> World {
    World::new(SMALL, 3, 2)
}

/// Texts of records: first, last, and one that has all its bits below eleven set.
fn texts() -> Vec<(usize, Vec<u32>)> {
    let world = &plain().synthetic;
    [(0, 9), (COUNT - 1, 12), (1023, 5)]
        .into_iter()
        .enumerate()
        .map(|(i, (row, tokens))| (row, world.ids(7 + i as u64, tokens)))
        .collect()
}

fn cells() -> IndexCells {
    let mut cells = random_index(SMALL.hidden, COUNT, 60);
    cells.slots[1023] = 1023;
    index_of(&plain(), cells, &texts(), 0)
}

/// A world whose index has other cells than the honest one.
fn world(edit: impl FnOnce(&mut IndexCells)) -> World {
    let mut own = cells();
    edit(&mut own);
    plain().with_index(own)
}

/// [`world`], with cells that no list of an index can say.
fn world_of_cells(edit: impl FnOnce(&mut dyn FnMut(Column, usize, i64))) -> World {
    plain().with_edited_index(cells(), |columns| {
        edit(&mut |column, cell, value| columns.edit(column, |cells| cells[cell] = value));
    })
}

static HONEST: LazyLock<World> = LazyLock::new(|| world(|_| {}));
static RUN: LazyLock<RowRun> = LazyLock::new(|| run(&HONEST, &texts()));
static PROOF: LazyLock<RowProof> = LazyLock::new(|| prove(&HONEST, &RUN));

/// The true verifier rejects the run because of a claim, and the program without this rule accepts it; the program without any
/// one of the other rules of rows does not.
#[track_caller]
fn stopped_by(world: &World, run: &RowRun, rule: Rule) {
    let error = verify(world, &prove(world, run)).expect_err("accepted").to_string();
    assert!(error.contains(REDUCTION), "{error}");
    for own in [FEATURES, CLASSES_OF, SLOT] {
        let doctored = without(&layout(world, run), &[own]);
        let proof = prove_by(world, &doctored, run, &|_| {});
        let verdict = verify_by(world, &doctored, (0, &index(world).key.tiles), &proof, &|_| {});
        assert_eq!(verdict.is_ok(), own == rule, "without {own:?}: {verdict:?}");
    }
}

/// The honest run with one row said otherwise.
fn said(edit: impl FnOnce(&mut Row)) -> RowRun {
    let mut run = RUN.clone();
    edit(&mut run.statement.rows[1].row);
    assert_ne!(run.statement, RUN.statement);
    run
}

#[test]
fn honest_rows_are_accepted() {
    let words = verify(&HONEST, &PROOF).expect("accepted");
    assert_eq!(RowProof::decode(&PROOF.encode()).as_ref(), Ok(&*PROOF));
    // Of the four requests of the shape one is absent.
    assert_eq!((words.len(), RUN.statement.shape.requests), (3, 4));
    for (own, (row, ids)) in words.iter().zip(texts()) {
        let mut padded: Vec<Fr> = ids.iter().map(|&id| Fr::from(u64::from(id))).collect();
        padded.resize(SMALL_LIMIT, Fr::ZERO);
        let digest = input_digest(&mut Native, &salt_scalar(&SALT), &Fr::from(ids.len() as u64), &padded);
        assert_eq!(own.record_digest, digest);
        let Row { row: number, label, weight, slot } = row_of(&HONEST, row);
        assert_eq!(usize::from(number), row);
        let word = row as u64 + (u64::from(label) << 16) + (u64::from(weight) << 24) + (u64::from(slot) << 32);
        assert_eq!(own.word, Fr::from(word));
    }
    // One row alone, in a shape of its own.
    let alone = run(&HONEST, &texts()[2..]);
    assert_eq!(alone.statement.shape.requests, 1);
    verify(&HONEST, &prove(&HONEST, &alone)).expect("accepted");
}

/// Tokens that an input digest is of.
const SMALL_LIMIT: usize = 128;

/// The second prover, which shares no algorithm with the first.
#[test]
fn an_independent_prover_is_accepted() {
    let own = run(&HONEST, &texts()[..2]);
    verify(&HONEST, &prove_lenient(&HONEST, &own, &[], |row| row.row.into())).expect("accepted");
}

/// Every rule that a row proof has beside those of a classification is attacked here.
#[test]
fn every_rule_of_rows_is_attacked() {
    let own = layout(&HONEST, &RUN);
    let plain = Shape { records: 0, ..RUN.statement.shape };
    let plain = HONEST.key.architecture.layout(&plain).expect("a layout");
    let new: Vec<&str> = own
        .relations()
        .iter()
        .map(|r| r.name)
        .filter(|name| !plain.relations().iter().any(|p| p.name == *name))
        .collect();
    assert_eq!(new, ["features of a row", "classes of a row", "slot of a row"]);
    // What a classification has, and rows do not: the classifier alone. No column of the witness differs, nor its lookup.
    let gone: Vec<&str> = plain
        .relations()
        .iter()
        .map(|r| r.name)
        .filter(|name| !own.relations().iter().any(|o| o.name == *name))
        .collect();
    assert_eq!(gone, ["classifier"]);
    let columns = |layout: &Layout| -> Vec<_> {
        let own = layout.placements().filter(|p| p.spec.region == Region::WITNESS);
        own.map(|p| (p.spec.column, p.spec.lookup, p.spec.len())).collect()
    };
    assert_eq!(columns(&own), columns(&plain));
    // The adapter stands once: there is no other for any request.
    assert_eq!((own.copies(Region::ADAPTER), plain.copies(Region::ADAPTER)), (1, 4));
}

/// No cell of a witness is dead, that of the absent request included.
#[test]
fn every_class_of_cell_matters() {
    let honest = layout(&HONEST, &RUN);
    let mut random = Random::new(3);
    let counts = |column| honest.program.tables.iter().any(|own| own.multiplicities == column);
    for column in witness_columns(&honest) {
        let mut forged = RUN.clone();
        let cells = forged.columns.get_mut(&column).expect("a column");
        let at = random.below(cells.len());
        cells[at] += 1;
        if !counts(column) {
            recount_columns(&honest, &mut forged.columns);
        }
        assert!(verify(&HONEST, &prove(&HONEST, &forged)).is_err(), "accepted: {column:?}[{at}]");
    }
    // The absent request computes another text.
    let other = run_by(
        &HONEST,
        &[texts()[0].clone(), texts()[1].clone(), texts()[2].clone(), texts()[0].clone()]
            .map(|(row, ids)| (row_of(&HONEST, row), ids)),
        0,
    );
    let mut forged = RUN.clone();
    forged.columns = other.columns;
    verify(&HONEST, &prove(&HONEST, &forged)).expect("request 3 repeats request 0");
    let other = run_by(
        &HONEST,
        &[texts()[0].clone(), texts()[1].clone(), texts()[2].clone(), texts()[1].clone()]
            .map(|(row, ids)| (row_of(&HONEST, row), ids)),
        0,
    );
    forged.columns = other.columns;
    assert!(verify(&HONEST, &prove(&HONEST, &forged)).is_err(), "an absent request is one of the stated");
}

/// Channels lie in blocks: two of them, each held to its own.
#[test]
fn every_block_of_channels_is_compared() {
    let sizes = Sizes { hidden: 256, ..SMALL };
    let plain = || World::new(sizes, 3, 1);
    let texts = [(700, plain().synthetic.ids(8, 6))];
    let cells = index_of(&plain(), random_index(sizes.hidden, COUNT, 60), &texts, 0);
    let honest = plain().with_index(cells.clone());
    let own = run(&honest, &texts);
    assert_eq!(layout(&honest, &own).placement(c::INDEX_FEATURE).expect("a placement").spec.blocks(), 2);
    verify(&honest, &prove(&honest, &own)).expect("accepted");
    verify(&honest, &prove_lenient(&honest, &own, &[], |row| row.row.into())).expect("accepted");
    for channel in [127, 128, 255] {
        let mut cells = cells.clone();
        cells.features[700 * sizes.hidden + channel] -= 1;
        let forged = plain().with_index(cells);
        stopped_by(&forged, &run(&forged, &texts), FEATURES);
    }
}

/// An honest leaf over other features: one more in a single channel of a single row, the first and the last.
#[test]
fn features_are_those_of_the_text() {
    for channel in [0, SMALL.hidden - 1] {
        let forged = world(|index| index.features[(COUNT - 1) * SMALL.hidden + channel] += 1);
        stopped_by(&forged, &run(&forged, &texts()), FEATURES);
    }
    // Features of another text, and none.
    let forged = world(|index| {
        let own = index.row(0).to_vec();
        index.features[1023 * SMALL.hidden..][..SMALL.hidden].copy_from_slice(&own);
    });
    stopped_by(&forged, &run(&forged, &texts()), FEATURES);
    let forged = world(|index| index.features[1023 * SMALL.hidden..][..SMALL.hidden].fill(0));
    stopped_by(&forged, &run(&forged, &texts()), FEATURES);
}

/// The text of one record at the row of another, with what the index has there.
#[test]
fn a_text_is_at_its_own_row() {
    let mut swapped = texts();
    (swapped[0].0, swapped[1].0) = (swapped[1].0, swapped[0].0);
    stopped_by(&HONEST, &run(&HONEST, &swapped), FEATURES);
    // At a row that differs in one bit only, the lowest and the highest of eleven.
    for bit in [0, 10] {
        let mut moved = texts();
        moved[0].0 ^= 1 << bit;
        stopped_by(&HONEST, &run(&HONEST, &moved), FEATURES);
    }
    // The same features at another row are at another row all the same, and proven of each.
    let twice = world(|index| {
        let own = index.row(0).to_vec();
        index.features[5 * SMALL.hidden..][..SMALL.hidden].copy_from_slice(&own);
    });
    let both = run(&twice, &[texts()[0].clone(), (5, texts()[0].1.clone())]);
    verify(&twice, &prove(&twice, &both)).expect("accepted");
}

#[test]
fn a_label_is_the_only_one_with_a_weight() {
    stopped_by(&HONEST, &said(|row| row.label = (row.label + 1) % 16), CLASSES_OF);
    stopped_by(&HONEST, &said(|row| row.label ^= 8), CLASSES_OF);
    // A second class that counts: an honest leaf over other classes.
    for label in [0, 15] {
        let own = row_of(&HONEST, 1023);
        let forged = world_of_cells(|set| {
            let other = if label == usize::from(own.label) { 7 } else { label };
            set(c::INDEX_CLASS, other * RECORDS + 1023, 1);
        });
        let stated: Vec<_> = texts().into_iter().map(|(row, ids)| (row_of(&HONEST, row), ids)).collect();
        stopped_by(&forged, &run_by(&forged, &stated, 0), CLASSES_OF);
    }
}

#[test]
fn a_weight_is_the_index_own() {
    stopped_by(&HONEST, &said(|row| row.weight -= 1), CLASSES_OF);
    stopped_by(&HONEST, &said(|row| row.weight = if row.weight == 255 { 1 } else { 255 }), CLASSES_OF);
    let forged = world(|index| {
        let class = &mut index.classes[1023];
        class.iter_mut().filter(|weight| **weight > 0).for_each(|weight| *weight = if *weight == 9 { 8 } else { 9 });
    });
    let stated: Vec<_> = texts().into_iter().map(|(row, ids)| (row_of(&HONEST, row), ids)).collect();
    stopped_by(&forged, &run_by(&forged, &stated, 0), CLASSES_OF);
    // A class of an index that nobody has ranged: 256 more than the word can say.
    let own = row_of(&HONEST, 1023);
    let cell = usize::from(own.label) * RECORDS + 1023;
    let forged = world_of_cells(|set| set(c::INDEX_CLASS, cell, i64::from(own.weight) + 256));
    stopped_by(&forged, &run_by(&forged, &stated, 0), CLASSES_OF);
}

#[test]
fn a_slot_is_the_index_own() {
    stopped_by(&HONEST, &said(|row| row.slot ^= 1), SLOT);
    stopped_by(&HONEST, &said(|row| row.slot ^= 512), SLOT);
    let forged = world(|index| index.slots[1023] = 1022);
    let stated: Vec<_> = texts().into_iter().map(|(row, ids)| (row_of(&HONEST, row), ids)).collect();
    stopped_by(&forged, &run_by(&forged, &stated, 0), SLOT);
    // A slot that no word can say.
    let forged = world_of_cells(|set| set(c::INDEX_SLOT, 1023, 1023 + 1024));
    stopped_by(&forged, &run_by(&forged, &stated, 0), SLOT);
}

/// Every request is held to its own row: a lie in any of them is seen, the last one and the first, which the absent one repeats.
#[test]
fn every_request_is_held_to_its_row() {
    for request in 0..3 {
        let mut forged = RUN.clone();
        forged.statement.rows[request].row.slot ^= 2;
        stopped_by(&HONEST, &forged, SLOT);
        let mut forged = RUN.clone();
        forged.statement.rows[request].row.weight ^= 1;
        stopped_by(&HONEST, &forged, CLASSES_OF);
    }
    // What two rows say, exchanged.
    let mut forged = RUN.clone();
    let (first, second) = (forged.statement.rows[0].row, forged.statement.rows[1].row);
    (forged.statement.rows[0].row.slot, forged.statement.rows[1].row.slot) = (second.slot, first.slot);
    stopped_by(&HONEST, &forged, SLOT);
}

/// A row behind the records, whose cells are those of a text: a hostile index proves it to whoever does not compare.
#[test]
fn a_row_is_one_of_the_records() {
    let text = plain().synthetic.ids(31, 6);
    let features = index_of(&plain(), random_index(SMALL.hidden, RECORDS, 60), &[(COUNT, text.clone())], 0);
    assert_eq!(SMALL.hidden, 128);
    let forged = world_of_cells(|set| {
        for (channel, value) in features.row(COUNT).iter().enumerate() {
            set(c::INDEX_FEATURE, COUNT * 128 + channel, i64::from(*value));
        }
        set(c::INDEX_CLASS, 3 * RECORDS + COUNT, 77);
        set(c::INDEX_SLOT, COUNT, 4);
    });
    let row = Row { row: COUNT as u16, label: 3, weight: 77, slot: 4 };
    let run = run_by(&forged, &[(row, text)], 0);
    let proof = prove_lenient(&forged, &run, &[BEYOND], |row| row.row.into());
    let error = verify(&forged, &proof).expect_err("accepted").to_string();
    assert!(error.contains(BEYOND), "{error}");
    verify_without(&forged, &proof, &[BEYOND]).expect("nothing else stands in the way");
    // With one record more it is true, of another index: whoever compares sizes rejects it.
    let mut more = run;
    more.statement.records += 1;
    let proof = prove(&forged, &more);
    verify_by(&forged, &layout(&forged, &more), (0, &index(&forged).key.tiles), &proof, &|_| {})
        .expect("a true statement of another index");
    assert_eq!(verify(&forged, &proof), Err(VerifyError::Foreign { what: "size of an index" }));
    let mut key = index(&forged).key.clone();
    key.count += 1;
    assert_ne!(key.id(), index(&forged).key.id());
}

/// A row without a weight would be proven under every label.
#[test]
fn a_row_without_a_weight_has_no_label() {
    let forged = world(|index| index.classes[1023] = [0; 16]);
    for label in [2, 11] {
        let row = Row { row: 1023, label, weight: 0, slot: 1023 };
        let run = run_by(&forged, &[(row, texts()[2].1.clone())], 0);
        let proof = prove_lenient(&forged, &run, &[NO_WEIGHT], |row| row.row.into());
        let error = verify(&forged, &proof).expect_err("accepted").to_string();
        assert!(error.contains(NO_WEIGHT), "{error}");
        verify_without(&forged, &proof, &[NO_WEIGHT]).expect("nothing else stands in the way");
    }
}

/// A row has one word. Bits that name nothing are zero: those of rows beyond the index' room, and those between label and weight.
#[test]
fn a_row_has_one_word() {
    let honest = run(&HONEST, &texts()[..1]);
    let at_row = |bit: u32| {
        let mut forged = honest.clone();
        forged.statement.rows[0].row.row |= 1 << bit;
        forged
    };
    let at_label = |bit: u32| {
        let mut forged = honest.clone();
        forged.statement.rows[0].row.label |= 1 << bit;
        forged
    };
    for forged in [at_row(11), at_row(15), at_label(4), at_label(7)] {
        let proof = prove_lenient(&HONEST, &forged, &[OTHER_BITS], |row| usize::from(row.row) % RECORDS);
        let error = verify(&HONEST, &proof).expect_err("accepted").to_string();
        assert!(error.contains(OTHER_BITS), "{error}");
        verify_without(&HONEST, &proof, &[OTHER_BITS]).expect("nothing else stands in the way");
    }
    // A slot beyond ten bits has no word, nor has a word plus r, or a negative one.
    let inputs = |edit: &dyn Fn(&mut RowInputs<Fr>)| {
        let own = layout(&HONEST, &honest);
        let mut inputs = row_inputs(&own, &HONEST.key, &honest.statement, Fr::ONE, Fr::ONE).expect("inputs");
        edit(&mut inputs);
        absorb_rows(&mut Native, &mut row_transcript(&mut Native), &own, &inputs).map(drop)
    };
    inputs(&|_| {}).expect("a statement");
    for delta in [Fr::from(1 << 42), Fr::from(1 << 63), -Fr::from(1 << 43), Fr::TWO_INV] {
        let error = inputs(&|own| own.rows[0].word += delta).expect_err("accepted").to_string();
        assert!(error.contains("statement: a row's word is below 2^42"), "{error}");
    }
}

/// Features by another adapter: in the index that names the first one, the second's.
#[test]
fn rows_are_by_the_adapter_of_the_index() {
    let forged = plain().with_index(index_of(&plain(), random_index(SMALL.hidden, COUNT, 60), &texts(), 1));
    let stated: Vec<_> = texts().into_iter().map(|(row, ids)| (row_of(&forged, row), ids)).collect();
    // By its own adapter the texts have other features.
    stopped_by(&forged, &run_by(&forged, &stated, 0), FEATURES);
    // By the second one they are these, and the proof is of its tiles: whoever takes those accepts it.
    let by_other = run_by(&forged, &stated, 1);
    let proof = prove(&forged, &by_other);
    let (own, tiles) = (layout(&forged, &by_other), &index(&forged).key.tiles);
    verify_by(&forged, &own, (1, tiles), &proof, &|_| {}).expect("a true statement of the other adapter");
    let pairing = VerifyError::Group(GroupError::Pairing);
    assert_eq!(verify_by(&forged, &own, (0, tiles), &proof, &|_| {}), Err(pairing.clone()));
    assert_eq!(verify(&forged, &proof), Err(pairing));
    // Named, it is no adapter of this index.
    let mut named = by_other;
    named.statement.adapter = forged.adapters[1].key.id();
    let proof = prove(&forged, &named);
    assert_eq!(verify(&forged, &proof), Err(VerifyError::Foreign { what: "adapter" }));
    let verdict = |adapter: usize| {
        let keys = (&forged.adapters[adapter].key, &index(&forged).key);
        verify_rows(&SRS.verifier_key(), &forged.key, keys.0, keys.1, &Fr::ZERO, &proof).map(drop)
    };
    assert_eq!(verdict(1), Err(VerifyError::Key(KeyError::IndexOf)));
    // With an adapter for each request, as in a batch of answers, one of several could be another: there is no room for it here.
    let mut program = own.program.clone();
    program.regions[2] = RegionSpec::per_request(Region::ADAPTER);
    let several = Layout::of(program, &own.shape).expect("a layout");
    assert_eq!((several.copies(Region::ADAPTER), own.copies(Region::ADAPTER)), (4, 1));
}

/// A proof of rows of an index says nothing of another's, be its cells the same.
#[test]
fn another_index_is_another_statement() {
    let (proof, other) = (&*PROOF, world(|_| {}));
    assert_ne!(index(&other).key.id(), index(&HONEST).key.id());
    assert_eq!(verify(&other, proof), Err(VerifyError::Foreign { what: "index" }));
    let mut claimed = proof.clone();
    claimed.statement.index = index(&other).key.id();
    assert!(matches!(verify(&other, &claimed), Err(VerifyError::Field(_))));
    // Its tiles under the first index' id; tiles in another order, one twice, one missing, the commitment of zero.
    let (own, others) = (&index(&HONEST).key.tiles, &index(&other).key.tiles);
    let honest = layout(&HONEST, &RUN);
    let verdict = |tiles: &[G1Affine]| verify_by(&HONEST, &honest, (0, tiles), proof, &|_| {});
    let pairing = Err(VerifyError::Group(GroupError::Pairing));
    verdict(own).expect("accepted");
    assert_eq!(verdict(others), pairing);
    let mut tiles = own.clone();
    tiles.swap(0, 1);
    assert_eq!(verdict(&tiles), pairing);
    tiles[1] = tiles[0];
    assert_eq!(verdict(&tiles), pairing);
    tiles[1] = G1Affine::identity();
    assert_eq!(verdict(&tiles), pairing);
    tiles.pop();
    assert!(matches!(verdict(&tiles), Err(VerifyError::Shape { .. })));
    // Adapter, version and size are in the id.
    for edit in [
        (|key: &mut IndexCommitments| key.tiles.swap(0, 1)) as fn(&mut IndexCommitments),
        |key| key.version += Fr::ONE,
        |key| key.adapter += Fr::ONE,
        |key| key.records = CLASSES[1],
        |key| key.count -= 1,
    ] {
        let mut key = index(&HONEST).key.clone();
        edit(&mut key);
        let adapter = &HONEST.adapters[0].key;
        let verdict = |proof| verify_rows(&SRS.verifier_key(), &HONEST.key, adapter, &key, &Fr::ZERO, proof).map(drop);
        assert_eq!(verdict(proof), Err(VerifyError::Foreign { what: "index" }));
        let mut claimed = proof.clone();
        claimed.statement.index = key.id();
        (claimed.statement.shape.records, claimed.statement.records) = (key.records, key.count);
        assert!(verdict(&claimed).is_err());
    }
    // An adapter that names another version or none has another id; so has one of another base.
    for edit in [
        (|own: &mut support::Adapter| own.key.version = None) as fn(&mut support::Adapter),
        |own| own.key.version = Some(Fr::from(4712)),
        |own| own.key.base += Fr::ONE,
    ] {
        let mut adapter = HONEST.adapters[0].clone();
        edit(&mut adapter);
        let keys = (&adapter.key, &index(&HONEST).key);
        let verdict = |proof| verify_rows(&SRS.verifier_key(), &HONEST.key, keys.0, keys.1, &Fr::ZERO, proof).map(drop);
        assert_eq!(verdict(proof), Err(VerifyError::Foreign { what: "adapter" }));
        let mut claimed = proof.clone();
        claimed.statement.adapter = adapter.key.id();
        assert_eq!(verdict(&claimed), Err(VerifyError::Key(KeyError::IndexOf)));
    }
    // Another base.
    let other = World::new(SMALL, 4, 1);
    let keys = (&HONEST.adapters[0].key, &index(&HONEST).key);
    let verdict = verify_rows(&SRS.verifier_key(), &other.key, keys.0, keys.1, &Fr::ZERO, proof).map(drop);
    assert_eq!(verdict, Err(VerifyError::Foreign { what: "base" }));
}

/// Absent requests repeat the first: with scalars of their own the challenges are others, and a true statement of four rows is
/// no statement of three.
#[test]
fn absent_requests_repeat_the_first() {
    let honest = layout(&HONEST, &RUN);
    let tiles = &index(&HONEST).key.tiles;
    let edit = |own: &mut RowInputs<Fr>| own.rows[3] = own.rows[1].clone();
    // A fourth row that is the second again.
    let mut all = texts();
    all.push(texts()[1].clone());
    let all = run(&HONEST, &all);
    let four = prove(&HONEST, &all);
    verify(&HONEST, &four).expect("four rows");
    let mut claimed = four;
    claimed.statement.rows.pop();
    assert!(matches!(verify(&HONEST, &claimed), Err(VerifyError::Field(_))));
    // Proven in the absent place, under a count of three.
    let mut three = prove_by(&HONEST, &honest, &all, &|own| own.count = Fr::from(3));
    three.statement.rows.pop();
    verify_by(&HONEST, &honest, (0, tiles), &three, &edit).expect("accepted by whoever takes other absent rows");
    assert!(matches!(verify(&HONEST, &three), Err(VerifyError::Field(_))));
    // None, and more than the shape has.
    for rows in [vec![], vec![RUN.statement.rows[0].clone(); 5]] {
        let mut claimed = PROOF.clone();
        claimed.statement.rows = rows;
        assert!(matches!(verify(&HONEST, &claimed), Err(VerifyError::Shape { what: "rows", .. })));
    }
    for count in [0, 5] {
        let mut inputs = row_inputs(&honest, &HONEST.key, &RUN.statement, Fr::ONE, Fr::ONE).expect("inputs");
        inputs.count = Fr::from(count);
        assert!(absorb_rows(&mut Native, &mut row_transcript(&mut Native), &honest, &inputs).is_err(), "{count}");
    }
}

/// The transcript of a row proof is none of an inference or an index proof, and its file is none of theirs.
#[test]
fn a_row_proof_is_no_other_proof() {
    let keys = (&HONEST.key, &HONEST.adapters[0].key, &index(&HONEST).key);
    let verdict = |transcript: &mut Transcript<Native>| {
        verify_rows_with(&mut Native, transcript, &SRS.verifier_key(), keys, &Fr::ZERO, &PROOF)
    };
    verdict(&mut row_transcript(&mut Native)).expect("accepted");
    assert!(matches!(verdict(&mut proof_transcript(&mut Native)), Err(VerifyError::Field(_))));
    assert!(matches!(verdict(&mut index_transcript(&mut Native)), Err(VerifyError::Field(_))));
    let bytes = PROOF.encode();
    assert!(matches!(lorica_verifier::InferenceProof::decode(&bytes), Err(CodecError::Magic { .. })));
    assert!(matches!(lorica_verifier::IndexProof::decode(&bytes), Err(CodecError::Magic { .. })));
    // An answer of the same batch is no row proof: the layouts differ.
    let answers = HONEST.key.architecture.layout(&RUN.statement.shape).expect("a layout");
    let own = layout(&HONEST, &RUN);
    let error = verify_by(&HONEST, &answers, (0, &index(&HONEST).key.tiles), &PROOF, &|_| {}).expect_err("accepted");
    assert!(matches!(error, VerifyError::Field(FieldError::Shape { .. } | FieldError::Statement(_))), "{error}");
    assert_ne!(own.relations().len(), answers.relations().len());
    assert_eq!(RUN.statement.shape.output, OutputKind::Classify);
}

fn first_challenge(layout: &Layout, inputs: &RowInputs<Fr>) -> Option<Fr> {
    let mut transcript = row_transcript(&mut Native);
    absorb_rows(&mut Native, &mut transcript, layout, inputs).ok()?;
    Some(leaf_challenges(&mut Native, &mut transcript).x)
}

/// Every scalar of a statement is absorbed before anything is drawn, or refused. What a change makes impossible (an id beyond the
/// length, a count of five) is tried with another change.
#[test]
fn every_scalar_changes_the_first_challenge() {
    let own = layout(&HONEST, &RUN);
    let honest = row_inputs(&own, &HONEST.key, &RUN.statement, Fr::from(11), Fr::from(12)).expect("inputs");
    let x = first_challenge(&own, &honest).expect("a statement");
    let mut scalars = 0;
    honest.clone().map(|_| scalars += 1);
    let (mut changed, mut refused) = (0, 0);
    for index in 0..scalars {
        let edited = |delta: Fr| {
            let mut at = 0;
            honest.clone().map(|own| {
                at += 1;
                if at == index + 1 { own + delta } else { own }
            })
        };
        let challenges = [Fr::ONE, -Fr::ONE].map(|delta| first_challenge(&own, &edited(delta)));
        assert!(challenges.iter().flatten().all(|other| *other != x), "{index}");
        match challenges {
            [None, None] => refused += 1,
            _ => changed += 1,
        }
    }
    // Only ids beyond a text's length have to be zero.
    let beyond: usize = honest.rows.iter().map(|row| SMALL_LIMIT - real(row)).sum();
    assert_eq!((refused, changed), (beyond, scalars - beyond));
    // Each part of a word by itself.
    for at in [0, 16, 24, 32] {
        let mut other = honest.clone();
        let bit = Fr::from(1u64 << at);
        other.rows[2].word = match first_challenge(&own, &with_word(&other, 2, other.rows[2].word + bit)) {
            Some(_) => other.rows[2].word + bit,
            None => other.rows[2].word - bit,
        };
        assert_ne!(first_challenge(&own, &other).expect("a statement"), x, "{at}");
    }
}

fn with_word(inputs: &RowInputs<Fr>, row: usize, word: Fr) -> RowInputs<Fr> {
    let mut own = inputs.clone();
    own.rows[row].word = word;
    own
}

fn real(row: &lorica_verifier::protocol::rows::RowTextInputs<Fr>) -> usize {
    (0..=SMALL_LIMIT).find(|n| row.length == Fr::from(*n as u64)).expect("a length")
}

type Edit = Box<dyn Fn(&mut RowProof)>;

/// Every field of a proof is changed. The destructurings name all of them: a new one does not compile until it has a case here.
fn manifest(proof: &RowProof) -> Vec<(String, Edit)> {
    fn edit(name: impl Into<String>, f: impl Fn(&mut RowProof) + 'static) -> (String, Edit) {
        (name.into(), Box::new(f))
    }
    let RowProof { statement, prover_salt: _, witness, messages, opening } = proof;
    let RowStatement { shape, architecture: _, srs: _, base: _, adapter: _, index: _, records: _, context: _, rows } =
        statement;
    let Shape { requests: _, tokens: _, log_tile: _, output: _, records: _ } = shape;
    let Messages { lookup, forms, rounds, operands, reduction, value: _, mercury: _ } = messages;
    let LookupMessages { root: _, layers } = lookup;
    let MercuryProof { h: _, q: _, g: _, s: _, d: _, quot: _, w: _, w_prime: _, evaluations } = opening;
    let Evaluations { g: _, g_inverse: _, h: _, h_inverse: _, s: _, s_inverse: _ } = evaluations;
    let one = Fr::ONE;
    let mut all = vec![
        edit("requests", |p| p.statement.shape.requests = 8),
        edit("tokens", |p| p.statement.shape.tokens = 32),
        edit("log_tile", |p| p.statement.shape.log_tile += 2),
        edit("output", |p| p.statement.shape.output = OutputKind::Embed),
        edit("room", |p| p.statement.shape.records = CLASSES[1]),
        edit("architecture", move |p| p.statement.architecture += one),
        edit("srs", move |p| p.statement.srs += one),
        edit("base", move |p| p.statement.base += one),
        edit("adapter", move |p| p.statement.adapter += one),
        edit("index", move |p| p.statement.index += one),
        edit("records", |p| p.statement.records -= 1),
        edit("context", move |p| p.statement.context += one),
        edit("rows: truncated", |p| drop(p.statement.rows.pop())),
        edit("rows: extended", |p| p.statement.rows.push(p.statement.rows[0].clone())),
        edit("rows: reordered", |p| p.statement.rows.reverse()),
        edit("prover salt", move |p| p.prover_salt += one),
        edit("witness: reordered", |p| p.witness.reverse()),
        edit("witness: truncated", |p| p.witness.truncate(p.witness.len() - 1)),
        edit("witness: extended", |p| p.witness.push(G1Affine::generator())),
        edit("layers: truncated", |p| drop(p.messages.lookup.layers.pop())),
        edit("layers: reordered", |p| p.messages.lookup.layers.swap(2, 3)),
        edit("rounds: truncated", |p| p.messages.rounds.truncate(p.messages.rounds.len() - 1)),
        edit("forms: truncated", |p| p.messages.forms.truncate(p.messages.forms.len() - 1)),
        edit("operands: truncated", |p| p.messages.operands.truncate(p.messages.operands.len() - 1)),
        edit("reduction: truncated", |p| p.messages.reduction.truncate(p.messages.reduction.len() - 1)),
        edit("reduction: extended", |p| p.messages.reduction.push([Fr::ZERO; 2])),
        edit("value", move |p| p.messages.value += one),
    ];
    for (i, row) in rows.iter().enumerate() {
        let RowText { salt: _, ids, row: Row { row: _, label: _, weight: _, slot: _ } } = row;
        all.extend([
            edit(format!("row {i}: salt"), move |p| p.statement.rows[i].salt[30] ^= 1),
            edit(format!("row {i}: shorter"), move |p| {
                let ids = &mut p.statement.rows[i].ids;
                ids.truncate(ids.len() - 1)
            }),
            edit(format!("row {i}: longer"), move |p| p.statement.rows[i].ids.push(1)),
            edit(format!("row {i}: number"), move |p| p.statement.rows[i].row.row ^= 1),
            edit(format!("row {i}: label"), move |p| p.statement.rows[i].row.label ^= 1),
            edit(format!("row {i}: weight"), move |p| p.statement.rows[i].row.weight ^= 1),
            edit(format!("row {i}: slot"), move |p| p.statement.rows[i].row.slot ^= 1),
        ]);
        for t in 0..ids.len() {
            all.push(edit(format!("row {i}: id {t}"), move |p| p.statement.rows[i].ids[t] ^= 1));
        }
    }
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
    for i in 0..forms.len() {
        all.push(edit(format!("form {i}"), move |p| p.messages.forms[i] += one));
    }
    for i in 0..operands.len() {
        all.push(edit(format!("operand {i}"), move |p| p.messages.operands[i] += one));
    }
    for i in 0..rounds.len() {
        for part in 0..3 {
            all.push(edit(format!("round {i}, {part}"), move |p| p.messages.rounds[i][part] += one));
        }
    }
    for i in 0..reduction.len() {
        for part in 0..2 {
            all.push(edit(format!("reduction {i}, {part}"), move |p| p.messages.reduction[i][part] += one));
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
    let keys = (&HONEST.adapters[0].key, &index(&HONEST).key);
    let verdict = verify_rows(&SRS.verifier_key(), &HONEST.key, keys.0, keys.1, &context, &PROOF).map(drop);
    assert_eq!(verdict, Err(VerifyError::Context));
    // Each bit of the statement in a file with its digest made again.
    let bytes = PROOF.encode();
    let content = bytes.len() - 32;
    let statement =
        10 + 16 + 6 * 32 + 8 + PROOF.statement.rows.iter().map(|r| 31 + 4 + 4 * r.ids.len() + 6).sum::<usize>();
    for at in (10..statement).chain((statement..content).step_by(997)) {
        for bit in [0, 5, 7] {
            let mut forged = bytes.clone();
            forged[at] ^= 1 << bit;
            let digest: [u8; 32] = Keccak256::digest(&forged[..content]).into();
            forged[content..].copy_from_slice(&digest);
            if let Ok(decoded) = RowProof::decode(&forged) {
                assert_ne!(decoded, *PROOF);
                assert!(verify(&HONEST, &decoded).is_err(), "accepted: byte {at}, bit {bit}");
            }
        }
    }
}
