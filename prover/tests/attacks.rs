//! Malicious provers: the honest one with a single edit. The lookups' multiplicities follow the edit wherever the edited
//! cell is still in its table, so that it is the relation that has to notice.

use super::support;

use lorica_circuits::bn254::Fr;
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::{column_names, columns};
use lorica_circuits::region::Region;
use lorica_circuits::shape::OutputKind::{self, Classify, Embed};
use lorica_quant::integer::synthetic::{Random, SMALL};
use lorica_verifier::protocol::proof::{InferenceProof, Output};
use support::{Run, World, at, recount, witness_columns};

fn refused(world: &World, run: &Run, what: &str) -> InferenceProof {
    let proof = world.prove(run).expect("the prover does not look");
    assert!(world.verify(&proof).is_err(), "accepted: {what}");
    proof
}

fn rejected(world: &World, run: &Run, what: &str) {
    let proof = refused(world, run, what);
    super::circuit::judge(&world.key, &proof);
}

fn no_dead_cells(kind: OutputKind, requests: &[(usize, Option<usize>)], seed: u64) {
    let world = World::new(SMALL, seed, 2);
    let honest = world.run(kind, requests);
    let mut random = Random::new(seed);
    let layout = world.key.architecture.layout(&honest.statement.shape).expect("a layout");
    for (i, column) in witness_columns(&layout).into_iter().enumerate() {
        for by in [1, -1] {
            let mut run = honest.clone();
            let cells = run.columns.get_mut(&column).expect("a column");
            let at = random.below(cells.len());
            cells[at] += by;
            if !column_is_count(column) {
                recount(&world, &mut run);
            }
            let what = format!("{column:?}[{at}] += {by}");
            // A circuit takes seconds: it judges one of the two, up and down by turns.
            if (by == 1) == (i % 2 == 0) {
                rejected(&world, &run, &what);
            } else {
                refused(&world, &run, &what);
            }
        }
    }
}

fn column_is_count(column: Column) -> bool {
    column >= columns::MULT_RANGE16
}

#[test]
fn every_class_of_cell_matters_in_embeddings() {
    no_dead_cells(Embed, &[(10, Some(0))], 11);
}

#[test]
fn every_class_of_cell_matters_in_classifications() {
    no_dead_cells(Classify, &[(5, Some(0)), (16, Some(1))], 12);
}

/// A remainder beyond its range, with the rounded value moved so that the relation still holds: only the lookup of the
/// remainder (or of the value) can notice.
#[test]
fn remainders_and_quotients_are_ranged() {
    let world = World::new(SMALL, 13, 1);
    let honest = world.run(Classify, &[(9, Some(0))]);
    for (value, remainder, unit) in [
        (columns::QKV, columns::QKV_REMAINDER, 1 << 16),
        (columns::ATTENTION, columns::ATTENTION_REMAINDER, 1 << 16),
        (columns::INTERMEDIATE, columns::INTERMEDIATE_REMAINDER, 1 << 16),
        (columns::CONTEXT, columns::CONTEXT_REMAINDER, 1 << 16),
        (columns::LORA_HIDDEN, columns::LORA_HIDDEN_REMAINDER, 1 << 16),
        (columns::OUTPUT_LOW, columns::OUTPUT_REMAINDER, 1 << 16),
        (columns::POOLER_KEY, columns::POOLER_REMAINDER, 1 << 16),
        (columns::OUTPUT_HIGH, columns::OUTPUT_LOW, 1 << 16),
    ] {
        for by in [1, -1] {
            let mut run = honest.clone();
            run.columns.get_mut(&value).expect("a column")[0] += by;
            run.columns.get_mut(&remainder).expect("a column")[0] -= by * unit;
            recount(&world, &mut run);
            rejected(&world, &run, &format!("{value:?} {by}"));
        }
    }
}

/// The two sides of the reciprocal root and of the softmax reciprocal, moved together with their slacks.
#[test]
fn quotients_off_by_one_are_rejected() {
    let world = World::new(SMALL, 14, 1);
    let honest = world.run(Embed, &[(6, None)]);
    let rows = honest.columns[&columns::NORM_ROOT].len();
    for by in [1i64, -1] {
        let mut run = honest.clone();
        run.columns.get_mut(&columns::NORM_ROOT).expect("a column")[0] += by;
        let root = run.columns[&columns::NORM_ROOT][0];
        let v = i128::from(run.columns[&columns::NORM_VARIANCE][0]);
        let c = 1i128 << world.key.scales.norms[0].root;
        let (root, v) = (i128::from(root), v);
        let slacks = [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c];
        // The negative slack cannot be written in ranged limbs: its top limb takes the sign.
        let limbs = run.columns.get_mut(&columns::NORM_SLACK).expect("a column");
        for (first, slack) in [0usize, 5].into_iter().zip(slacks) {
            for limb in 0..5 {
                let own = slack >> (16 * limb);
                limbs[(first + limb) * rows] = if limb == 4 { own as i64 } else { (own & 0xffff) as i64 };
            }
        }
        recount(&world, &mut run);
        rejected(&world, &run, "reciprocal root");
    }
    for by in [1i64, -1] {
        let mut run = honest.clone();
        let half = run.columns[&columns::RECIPROCAL].len() / 2;
        let value = |c: &Vec<i64>| c[0] + (c[half] << 16);
        let r = value(&run.columns[&columns::RECIPROCAL]);
        let u = value(&run.columns[&columns::RECIPROCAL_REMAINDER]);
        let slack = value(&run.columns[&columns::RECIPROCAL_SLACK]);
        let d = u + slack + 1;
        let (r, u) = (r + by, u - by * d);
        for (column, value) in
            [(columns::RECIPROCAL, r), (columns::RECIPROCAL_REMAINDER, u), (columns::RECIPROCAL_SLACK, d - 1 - u)]
        {
            let cells = run.columns.get_mut(&column).expect("a column");
            cells[0] = value & 0xffff;
            cells[half] = value >> 16;
        }
        recount(&world, &mut run);
        rejected(&world, &run, "softmax reciprocal");
    }
}

/// A maximum above every score: gaps and maximum move together, nothing attains it.
#[test]
fn a_maximum_that_no_token_attains_is_rejected() {
    let world = World::new(SMALL, 15, 1);
    let mut run = world.run(Embed, &[(7, None)]);
    let tokens = run.statement.shape.tokens;
    run.columns.get_mut(&columns::MAX).expect("a column")[0] += 3;
    for gap in &mut run.columns.get_mut(&columns::GAP).expect("a column")[..tokens] {
        *gap += 3;
    }
    recount(&world, &mut run);
    rejected(&world, &run, "maximum");
}

#[test]
fn other_weights_than_the_registered_ones_are_rejected() {
    let world = World::new(SMALL, 16, 2);
    let layout = |run: &Run| world.key.architecture.layout(&run.statement.shape).expect("a layout");
    let run = world.run(Classify, &[(9, Some(0))]);
    let ids: Vec<usize> = run.statement.requests[0].ids.iter().map(|&id| id as usize).collect();
    for column in column_names(Region::BASE) {
        let mut forged = World { base: world.base.clone(), ..World::new(SMALL, 16, 2) };
        // A word that occurs, the first cell otherwise.
        let at = at(&layout(&run), column, if column == columns::WORD { ids[0] * 128 } else { 0 });
        forged.base[at] += 1;
        let proof = forged.prove(&run).expect("a proof");
        assert!(world.verify(&proof).is_err(), "accepted: another {column:?}");
        super::circuit::judge(&world.key, &proof);
    }
    let mut forged = World::new(SMALL, 16, 2);
    for column in column_names(Region::ADAPTER) {
        let at = at(&layout(&run), column, 0);
        forged.adapters[0].cells[at] += 1;
        let proof = forged.prove(&run).expect("a proof");
        assert!(world.verify(&proof).is_err(), "accepted: another {column:?}");
        super::circuit::judge(&world.key, &proof);
        forged.adapters[0].cells[at] -= 1;
    }
}

#[test]
fn a_foreign_or_dropped_adapter_is_rejected() {
    let world = World::new(SMALL, 17, 2);
    let run = world.run(Classify, &[(9, Some(0)), (4, Some(1))]);
    let ids: Vec<Fr> = world.adapters.iter().map(|a| a.key.id()).collect();
    // The proof was made with adapter 0, the statement names adapter 1, and the other way round.
    let mut other = run.clone();
    other.statement.requests[0].adapter = ids[1];
    rejected(&world, &other, "foreign adapter");
    let mut swapped = run.clone();
    swapped.statement.requests.swap(0, 1);
    rejected(&world, &swapped, "swapped requests");
    let mut adapters = run.clone();
    adapters.adapters.swap(0, 1);
    rejected(&world, &adapters, "swapped adapter weights");
    // The LoRA term left out: the trace of the null adapter under the adapter's name.
    let null = world.run(Embed, &[(9, None)]);
    let mut dropped = null.clone();
    dropped.statement.requests[0].adapter = ids[0];
    dropped.adapters = vec![Some(0)];
    rejected(&world, &dropped, "dropped LoRA term");
    dropped.adapters = vec![None];
    rejected(&world, &dropped, "dropped LoRA weights");
    // An adapter that was registered for another base.
    let mut keys = world.keys();
    keys[0].base += Fr::one();
    let proof = world.prove(&run).expect("a proof");
    let key = support::SRS.verifier_key();
    assert!(lorica_verifier::protocol::verify::verify(&key, &world.key, &keys, &Fr::zero(), &proof).is_err());
    assert!(world.verify(&proof).is_ok());
}

#[test]
fn texts_and_outputs_are_bound() {
    let world = World::new(SMALL, 18, 1);
    let run = world.run(Classify, &[(9, Some(0)), (12, Some(0))]);
    let edit = |what: &str, f: &dyn Fn(&mut Run)| {
        let mut forged = run.clone();
        f(&mut forged);
        rejected(&world, &forged, what);
    };
    edit("another id", &|r| r.statement.requests[0].ids[3] ^= 1);
    edit("two ids exchanged", &|r| r.statement.requests[0].ids.swap(2, 5));
    edit("a token hidden", &|r| {
        r.statement.requests[0].ids.pop();
    });
    edit("a token more", &|r| r.statement.requests[0].ids.push(3));
    edit("a padding token that differs from row 0", &|r| {
        let last = r.columns.get_mut(&columns::RESIDUAL).expect("a column");
        last[15 * 128] += 1;
    });
    edit("lengths exchanged", &|r| {
        let (a, b) = (r.statement.requests[0].ids.clone(), r.statement.requests[1].ids.clone());
        r.statement.requests[0].ids = a.iter().chain(&b[a.len()..]).copied().collect();
        r.statement.requests[1].ids = b[..a.len()].to_vec();
    });
    edit("one request fewer", &|r| {
        r.statement.requests.pop();
        r.adapters.pop();
    });
    edit("another logit", &|r| {
        if let Output::Classify { logits, .. } = &mut r.statement.requests[0].output {
            logits[1] += 1;
        }
    });
    edit("outputs exchanged", &|r| {
        let first = r.statement.requests[0].output.clone();
        r.statement.requests[0].output = r.statement.requests[1].output.clone();
        r.statement.requests[1].output = first;
    });
    // Another label, and a tie decided for the higher index: refused before a proof can be made.
    let mut forged = run.clone();
    if let Output::Classify { label, .. } = &mut forged.statement.requests[0].output {
        *label = (*label + 1) % 16;
    }
    assert!(world.prove(&forged).is_err());
    let mut proof = world.prove(&run).expect("a proof");
    if let Output::Classify { label, .. } = &mut proof.statement.requests[0].output {
        *label = (*label + 1) % 16;
    }
    assert!(world.verify(&proof).is_err());
    super::circuit::judge(&world.key, &proof);
}

#[test]
fn sums_of_an_embedding_are_bound() {
    let world = World::new(SMALL, 19, 0);
    let mut run = world.run(Embed, &[(9, None)]);
    if let Output::Embed { sums } = &mut run.statement.requests[0].output {
        sums[77] += 1;
    }
    rejected(&world, &run, "another sum");
}

/// Multiplicities of two entries exchanged, and a key looked up in another table by a shift of the value.
#[test]
fn forged_multiplicities_are_rejected() {
    let world = World::new(SMALL, 20, 1);
    let honest = world.run(Embed, &[(9, Some(0))]);
    for table in columns::tables(Embed) {
        let mut run = honest.clone();
        let counts = run.columns.get_mut(&table.multiplicities).expect("a column");
        let used = counts.iter().position(|&c| c > 0).expect("a used entry");
        let other = (used + 1) % counts.len();
        counts[used] -= 1;
        counts[other] += 1;
        rejected(&world, &run, "multiplicities");
    }
    // A value of the exp table under a neighbouring key.
    let mut run = honest.clone();
    let gap = run.columns.get_mut(&columns::GAP).expect("a column");
    let at = gap.iter().position(|&g| g > 0).expect("a gap");
    gap[at] -= 1;
    recount(&world, &mut run);
    rejected(&world, &run, "key without its value");
}

/// Cells at addresses that no column owns are read by no claim: such a proof may pass, with the same outputs.
#[test]
fn unowned_addresses_change_nothing() {
    let mut world = World::new(SMALL, 21, 0);
    let run = world.run(Embed, &[(9, None)]);
    // Rows of the word table beyond the vocabulary belong to the column but to no text.
    let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
    let row = at(&layout, columns::WORD, (world.key.architecture.vocab + 1) * 128);
    world.base[row] += 5;
    world.key.tiles = support::commit(&layout, Region::BASE, &world.base);
    let mut run = run;
    run.statement.base = world.key.id();
    let proof = world.prove(&run).expect("a proof");
    world.verify(&proof).expect("the same outputs");
}

/// Under another `[τ]₂` the registered points commit to anything: it is part of the base id, and so is the SRS digest.
#[test]
fn another_srs_is_rejected() {
    use lorica_circuits::bn254::{Curve, G2Affine};
    use lorica_verifier::protocol::group::VerifierKey;
    let world = World::new(SMALL, 22, 0);
    let proof = world.prove(&world.run(Embed, &[(9, None)])).expect("a proof");
    let check = |key: &VerifierKey, base: &lorica_verifier::protocol::key::BaseCommitments| {
        lorica_verifier::protocol::verify::verify(key, base, &[], &Fr::zero(), &proof)
    };
    let honest = support::SRS.verifier_key();
    check(&honest, &world.key).expect("the honest keys");
    let tau = (G2Affine::generator() * Fr::from(12_345)).to_affine();
    let other = VerifierKey::new(G2Affine::generator(), tau);
    assert!(check(&other, &world.key).is_err());
    let mut base = world.key.clone();
    base.tau_g2 = tau;
    assert_ne!(base.id(), world.key.id());
    assert!(check(&honest, &base).is_err());
    assert!(check(&other, &base).is_err());
    // The same pairing equation with both points scaled.
    let scaled = [*honest.g2(), *honest.tau_g2()].map(|p| (p * Fr::from(7)).to_affine());
    assert!(check(&VerifierKey::new(scaled[0], scaled[1]), &world.key).is_err());
}

/// An adapter without a head in a batch that classifies: sixteen logits, none of a label that it has.
#[test]
fn a_headless_adapter_classifies_nothing() {
    let mut world = World::new(SMALL, 23, 1);
    let run = world.run(Classify, &[(9, Some(0))]);
    let absent = lorica_quant::integer::model::ABSENT_LABEL;
    let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
    // Columns without stacked digit lie together.
    let at = |c| {
        let start = at(&layout, c, 0);
        start..start + layout.placement(c).expect("a placement").spec.len()
    };
    world.adapters[0].cells[at(columns::CLASSIFIER)].fill(0);
    world.adapters[0].cells[at(columns::CLASSIFIER_BIAS)].fill(absent);
    let cells = &world.adapters[0].cells;
    world.adapters[0].key.tiles = support::commit(&layout, Region::ADAPTER, cells);
    let mut forged = run.clone();
    forged.statement.requests[0].adapter = world.adapters[0].key.id();
    forged.statement.requests[0].output = Output::Classify { logits: vec![absent; 16], label: 0 };
    let error = world.prove(&forged).expect_err("no statement").to_string();
    assert!(error.contains("the label is one that the adapter has"), "{error}");
    let mut proof = world.prove(&run).expect("a proof");
    proof.statement = forged.statement;
    assert!(world.verify(&proof).is_err());
    super::circuit::judge(&world.key, &proof);
}
