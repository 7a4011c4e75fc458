//! Forgeries that are whole traces: another mask, length, position, scale, slot, architecture or table, with everything
//! that follows from it computed honestly. And what must be accepted although it looks odd.

use super::support;

use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::Lookup;
use lorica_circuits::families::encoder::{columns, registered_columns};
use lorica_circuits::region::Region;
use lorica_circuits::shape::OutputKind::{Classify, Embed};
use lorica_circuits::shape::Shape;
use lorica_quant::integer::synthetic::{SMALL, Sizes, Synthetic};
use lorica_verifier::protocol::key::AdapterCommitments;
use lorica_verifier::protocol::verify::{VerifyError, verify};
use support::naive::verify_without;
use support::{LOG_TILE, Run, SRS, World};
use support::{counts_of, recount, witness_columns};

const SUM: &str = "lookup: the sum of fractions is zero";

#[track_caller]
fn rejected(world: &World, run: &Run, what: &str) {
    let proof = world.prove(run).expect("the prover does not look");
    assert!(world.verify(&proof).is_err(), "accepted: {what}");
    super::circuit::judge(&world.key, &proof);
}

/// Rejected, and these relations are why.
#[track_caller]
fn broken(world: &World, run: &Run, relations: &[&str]) {
    assert_eq!(world.broken(run), relations);
    rejected(world, run, &format!("{relations:?}"));
}

/// A run's columns under another statement.
fn under(columns: &Run, statement: &Run) -> Run {
    Run { columns: columns.columns.clone(), ..statement.clone() }
}

/// A key that another table has, counted there: identifiers of tables are no offsets of keys.
#[test]
fn tables_cannot_be_crossed() {
    let world = World::new(SMALL, 71, 1);
    let honest = world.run(Classify, &[(9, Some(0))]);
    let layout = world.layout(&honest);
    let columns =
        [columns::QKV_REMAINDER, columns::OUTPUT_HIGH, columns::GAP, columns::INTERMEDIATE, columns::POOLER_KEY];
    for column in columns {
        let Lookup::Key { table, .. } = layout.placement(column).expect("a placement").spec.lookup else { panic!() };
        let offset = layout.placement(column).expect("a placement").spec.lookup.offset();
        let size = 1i64 << table.bits();
        for other in columns::tables(Classify).into_iter().map(|t| t.table).filter(|t| *t != table) {
            // Just outside the own table, by the size of either, and by the distance of the identifiers.
            for key in [size + 1, 65536 + 1, 1 - (1 << other.bits()), size + (other.id() as i64 - table.id() as i64)] {
                let mut run = honest.clone();
                let old = run.columns[&column][0] + offset;
                run.columns.get_mut(&column).expect("a column")[0] = key - offset;
                run.columns.get_mut(&counts_of(table)).expect("a column")[old as usize] -= 1;
                let entry = key.rem_euclid(1 << other.bits()) as usize;
                run.columns.get_mut(&counts_of(other)).expect("a column")[entry] += 1;
                let proof = world.prove(&run).expect("the prover does not look");
                let error = verify_without(&world, &proof, &[]).expect_err("accepted").to_string();
                super::circuit::judge(&world.key, &proof);
                assert!(error.contains(SUM), "{column:?} in {other:?}: {error}");
            }
        }
    }
    // A pair (key, value) of the exp table with another value, its key counted as a range instead.
    let mut run = honest.clone();
    let gap = run.columns[&columns::GAP][0] as usize;
    run.columns.get_mut(&columns::EXP).expect("a column")[0] -= 1;
    run.columns.get_mut(&columns::MULT_EXP).expect("a column")[gap] -= 1;
    run.columns.get_mut(&columns::MULT_RANGE16).expect("a column")[gap] += 1;
    let proof = world.prove(&run).expect("the prover does not look");
    let error = verify_without(&world, &proof, &[]).expect_err("accepted").to_string();
    super::circuit::judge(&world.key, &proof);
    assert!(error.contains(SUM), "{error}");
}

/// Nothing bounds the scales that a contract stores: C and ε, hence V, are any field elements. The two equations of the root,
/// with both slacks below 2^80, still have one solution (soundness.md, LayerNorm).
#[test]
fn roots_are_unique_under_hostile_scales() {
    let small = |value: &Fr| value.to_repr()[10..].iter().all(|byte| *byte == 0);
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 16
    };
    for case in 0..40 {
        let root = [0, 1, 2, 255, 65_534, 65_535].get(case).copied().unwrap_or_else(|| random() % 65_536);
        let mut slack = || Fr::from(random()) * Fr::from(1 << 32) + Fr::from(random() % (1 << 32));
        // The ends of the range, where the two quotients meet, among them.
        let (s1, s2) = match case % 4 {
            0 => (slack(), slack()),
            1 => (Fr::ZERO, Fr::ZERO),
            2 => (Fr::ZERO, Fr::from(2).pow([80]) - Fr::ONE),
            _ => (Fr::from(2).pow([80]) - Fr::ONE, slack()),
        };
        let factor = Fr::from(2 * root + 1);
        let v = (s1 + s2 + Fr::ONE) * factor.invert().unwrap();
        let c = s1 + Fr::from(root).square() * v;
        let accepted: Vec<u64> = (0..65_536)
            .filter(|&other| {
                let (below, above) = (Fr::from(other).square(), Fr::from(other + 1).square());
                small(&(c - below * v)) && small(&(above * v - Fr::ONE - c))
            })
            .collect();
        assert_eq!(accepted, [root], "{s1:?}, {s2:?}");
    }
}

/// Rows with the least and the greatest variance, the reciprocal root off by one both ways, the negative slack borrowed
/// from each limb in turn.
#[test]
fn roots_of_extreme_variances_are_exact() {
    let world = World::new(SMALL, 72, 0);
    let honest = world.run(Embed, &[(11, None)]);
    let rows = honest.columns[&columns::NORM_ROOT].len();
    let per_norm = rows / world.key.scales.norms.len();
    let variance = &honest.columns[&columns::NORM_VARIANCE];
    let least = (0..rows).min_by_key(|&i| variance[i]).expect("a row");
    let greatest = (0..rows).max_by_key(|&i| variance[i]).expect("a row");
    let root = &honest.columns[&columns::NORM_ROOT];
    let steepest = (0..rows).min_by_key(|&i| root[i]).expect("a row");
    for row in [least, greatest, steepest] {
        for (by, borrow) in [(1i64, 4usize), (-1, 4), (1, 3), (-1, 2), (1, 0), (-1, 0)] {
            let mut run = honest.clone();
            run.columns.get_mut(&columns::NORM_ROOT).expect("a column")[row] += by;
            let root = i128::from(run.columns[&columns::NORM_ROOT][row]);
            let v = i128::from(variance[row]);
            let c = 1i128 << world.key.scales.norms[row / per_norm].root;
            let slacks = [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c];
            assert!(slacks.iter().any(|s| *s < 0));
            let limbs = run.columns.get_mut(&columns::NORM_SLACK).expect("a column");
            let mut told = true;
            for (first, slack) in [0usize, 5].into_iter().zip(slacks) {
                for limb in 0..5 {
                    let own = slack >> (16 * limb);
                    let value = if limb < borrow {
                        own & 0xffff
                    } else if limb == borrow {
                        own
                    } else {
                        0
                    };
                    told &= i64::try_from(value).is_ok();
                    limbs[(first + limb) * rows + row] = value as i64;
                }
            }
            recount(&world, &mut run);
            if told && borrow == 4 {
                assert_eq!(
                    world.broken(&run).iter().filter(|name| name.starts_with("norm root")).count(),
                    0,
                    "only the range of the limb notices"
                );
            }
            rejected(&world, &run, "reciprocal root");
        }
    }
}

/// The softmax reciprocal off by one in the rows with the least remainder and the least slack (u = 0 and u = D - 1 are
/// the ends), the negative number borrowed from either limb.
#[test]
fn reciprocals_at_the_ends_of_their_remainder_are_exact() {
    let world = World::new(SMALL, 73, 0);
    let honest = world.run(Embed, &[(2, None)]);
    let half = honest.columns[&columns::RECIPROCAL].len() / 2;
    let value = |run: &Run, column, row: usize| run.columns[&column][row] + (run.columns[&column][half + row] << 16);
    let of = |column| (0..half).min_by_key(|&row| value(&honest, column, row)).expect("a row");
    for row in [of(columns::RECIPROCAL_REMAINDER), of(columns::RECIPROCAL_SLACK)] {
        for by in [1i64, -1] {
            for high_borrows in [true, false] {
                let mut run = honest.clone();
                let u = value(&run, columns::RECIPROCAL_REMAINDER, row);
                let d = u + value(&run, columns::RECIPROCAL_SLACK, row) + 1;
                let (r, u) = (value(&run, columns::RECIPROCAL, row) + by, u - by * d);
                assert!(u < 0 || d - 1 - u < 0);
                for (column, value) in [
                    (columns::RECIPROCAL, r),
                    (columns::RECIPROCAL_REMAINDER, u),
                    (columns::RECIPROCAL_SLACK, d - 1 - u),
                ] {
                    let cells = run.columns.get_mut(&column).expect("a column");
                    let low = if high_borrows || value >= 0 { value & 0xffff } else { value };
                    (cells[row], cells[half + row]) = (low, (value - low) >> 16);
                }
                recount(&world, &mut run);
                let names = world.broken(&run);
                assert!(!names.contains(&"softmax reciprocal") && !names.contains(&"softmax remainder below divisor"));
                rejected(&world, &run, "softmax reciprocal");
            }
        }
    }
}

/// A real token hidden from one row's attention by the greatest gap, and all that follows in the row computed from it.
#[test]
fn no_real_token_can_be_hidden() {
    let world = World::new(SMALL, 74, 0);
    let honest = world.run(Embed, &[(6, None)]);
    let tokens = honest.statement.shape.tokens;
    let half = honest.columns[&columns::RECIPROCAL].len() / 2;
    let cells = honest.columns[&columns::EXP].len();
    let mut run = honest.clone();
    // Row 0, some key that does not attain the maximum.
    let key = (0..6).find(|&k| run.columns[&columns::GAP][k] > 0).expect("a key");
    run.columns.get_mut(&columns::GAP).expect("a column")[key] = 65535;
    run.columns.get_mut(&columns::EXP).expect("a column")[key] = 0;
    let d: i64 = run.columns[&columns::EXP][..6].iter().sum();
    let (r, u) = ((1i64 << 38) / d, (1i64 << 38) % d);
    for (column, value) in
        [(columns::RECIPROCAL, r), (columns::RECIPROCAL_REMAINDER, u), (columns::RECIPROCAL_SLACK, d - 1 - u)]
    {
        let cells = run.columns.get_mut(&column).expect("a column");
        (cells[0], cells[half]) = (value & 0xffff, value >> 16);
    }
    for k in 0..tokens {
        let acc = run.columns[&columns::EXP][k] * r * (1 << 9) + (1 << 31);
        run.columns.get_mut(&columns::PROB).expect("a column")[k] = acc >> 32;
        let rest = run.columns.get_mut(&columns::PROB_REMAINDER).expect("a column");
        (rest[k], rest[cells + k]) = (acc & 0xffff, (acc >> 16) & 0xffff);
    }
    recount(&world, &mut run);
    broken(&world, &run, &["scores", "context"]);
}

/// Traces of another length under the stated one: a token dropped, or the padding attended.
#[test]
fn lengths_are_what_is_stated() {
    let world = World::new(SMALL, 75, 1);
    let ids = world.synthetic.ids(3, 9);
    let run = |kind, ids: Vec<u32>| world.run_ids(kind, &[(ids, Some(0))]);
    for kind in [Embed, Classify] {
        let stated = run(kind, ids.clone());
        let shorter = run(kind, ids[..8].to_vec());
        let mut longer = ids.clone();
        longer.push(ids[0]);
        for other in [&shorter, &run(kind, longer)] {
            rejected(&world, &under(other, &stated), "another length");
            // With the published output of the other length, too.
            let mut forged = under(other, &stated);
            forged.statement.requests[0].output = other.statement.requests[0].output.clone();
            rejected(&world, &forged, "another length and its output");
        }
    }
    // Lengths exchanged between the requests of a batch, each with the trace of the other's length.
    let texts = |a: usize, b: usize| {
        world.run_ids(Classify, &[(world.synthetic.ids(4, a), Some(0)), (world.synthetic.ids(5, b), Some(0))])
    };
    rejected(&world, &under(&texts(12, 7), &texts(7, 12)), "lengths of a batch exchanged");
}

/// Texts of other ids, and a batch in another order, under the stated one.
#[test]
fn traces_of_other_texts_are_rejected() {
    let world = World::new(SMALL, 76, 2);
    let (a, b) = (world.synthetic.ids(3, 9), world.synthetic.ids(4, 9));
    let run = |x: &[u32], y: &[u32]| world.run_ids(Classify, &[(x.to_vec(), Some(0)), (y.to_vec(), Some(1))]);
    let stated = run(&a, &b);
    world.verify(&world.prove(&stated).expect("a proof")).expect("the honest batch");
    let mut reversed = a.clone();
    reversed.reverse();
    for other in [run(&b, &a), run(&reversed, &b), run(&a, &a)] {
        rejected(&world, &under(&other, &stated), "another text");
        // The output of a request stated for another one of the batch.
        let mut forged = stated.clone();
        forged.statement.requests[1].output = other.statement.requests[0].output.clone();
        if forged.statement != stated.statement {
            rejected(&world, &forged, "another request's output");
        }
    }
}

/// A world like another but for its integer model.
fn edited(world: &World, edit: impl FnOnce(&mut lorica_quant::integer::model::BaseModel)) -> World {
    let mut synthetic = world.synthetic.clone();
    edit(&mut synthetic.base);
    World::of(synthetic, 1, 0)
}

/// The honest trace and proof of a slightly different model, under the registered one's ids.
fn other_model(world: &World, other: &World, ids: &[u32]) {
    assert_ne!(world.key.id(), other.key.id());
    let text = [(ids.to_vec(), None)];
    let (stated, run) = (world.run_ids(Embed, &text), other.run_ids(Embed, &text));
    assert_ne!(stated.columns, run.columns, "the models agree on this text");
    let own = other.prove(&run).expect("a proof");
    other.verify(&own).expect("the other model's proof");
    assert!(matches!(world.verify(&own), Err(VerifyError::Foreign { .. })));
    let mut renamed = own.clone();
    renamed.statement = run.statement.clone();
    renamed.statement.base = world.key.id();
    renamed.statement.architecture = world.key.architecture_digest();
    assert!(world.verify(&renamed).is_err());
    let mut forged = under(&run, &stated);
    rejected(world, &forged, "the trace of another model");
    forged.statement.requests[0].output = run.statement.requests[0].output.clone();
    rejected(world, &forged, "trace and output of another model");
    // Proven with the other model's cells under the registered name.
    let lying =
        World { base: other.base.clone(), tables: other.tables.clone(), ..World::of(world.synthetic.clone(), 1, 0) };
    let proof = lying.prove(&forged).expect("the prover does not look");
    assert!(world.verify(&proof).is_err());
    super::circuit::judge(&world.key, &proof);
}

#[test]
fn positions_are_those_of_the_tokens() {
    let world = World::new(SMALL, 77, 0);
    let other = edited(&world, |base| base.columns.edit(columns::POSITION, |cells| cells.rotate_left(128)));
    other_model(&world, &other, &world.synthetic.ids(1, 7));
}

#[test]
fn another_models_scales_are_rejected() {
    let world = World::new(SMALL, 78, 0);
    let ids = world.synthetic.ids(1, 7);
    other_model(&world, &edited(&world, |base| base.scales.norms[1].epsilon += 1), &ids);
    other_model(&world, &edited(&world, |base| base.scales.scores[0] += 1), &ids);
}

#[test]
fn another_architecture_is_rejected() {
    let world = World::new(SMALL, 79, 0);
    let ids = world.synthetic.ids(1, 7);
    other_model(&world, &edited(&world, |base| base.architecture.activation_bits -= 1), &ids);
    other_model(&world, &edited(&world, |base| base.architecture.score_bits += 1), &ids);
    // Statement and key of the registered base, but its table of the other architecture.
    let other = edited(&world, |base| base.architecture.activation_bits -= 1);
    let mut key = world.key.clone();
    key.tables.clone_from(&other.key.tables);
    assert_ne!(key.id(), world.key.id());
}

/// Layer 1 fed from slot 0, with everything after it computed from that.
#[test]
fn a_layer_reads_the_slot_before_it() {
    let sizes = Sizes { layers: 2, ..SMALL };
    let world = World::of(Synthetic::new(sizes, 80).expect("a model"), 80, 0);
    // The same model with its layers exchanged: its layer 0 is layer 1, fed with the embedding.
    let layers = 2usize;
    let swapped = edited(&world, |base| {
        for spec in registered_columns(&world.key.architecture, Region::BASE) {
            let column = spec.column;
            base.columns.edit(column, |cells| match spec.digits.first() {
                Some((Axis::LAYER, n)) => {
                    let size = cells.len() / n;
                    cells.rotate_left(size);
                }
                Some((Axis::NORM, n)) => {
                    let size = cells.len() / n;
                    // Norms 1, 2 are after the layers, 3, 4 in their middle.
                    cells[size..3 * size].rotate_left(size);
                    cells[3 * size..].rotate_left(size);
                }
                _ => {}
            });
        }
        base.scales.norms.swap(1, 2);
        base.scales.norms.swap(3, 4);
        base.scales.scores.swap(0, 1);
    });
    let text = [(world.synthetic.ids(2, 7), None)];
    let (honest, other) = (world.run_ids(Embed, &text), swapped.run_ids(Embed, &text));
    let mut run = honest.clone();
    let layout = world.layout(&honest);
    for column in witness_columns(&layout) {
        let spec = &layout.placement(column).expect("a placement").spec;
        let source = &other.columns[&column];
        let cells = run.columns.get_mut(&column).expect("a column");
        // Digits before the layer are limbs.
        let mut outer = 1;
        for &(axis, n) in &spec.digits {
            let size = cells.len() / outer / n;
            let mut copy = |from: usize, to: usize| {
                for o in 0..outer {
                    let base = o * size * n;
                    let block = source[base + from * size..base + (from + 1) * size].to_vec();
                    cells[base + to * size..base + (to + 1) * size].copy_from_slice(&block);
                }
            };
            match axis {
                Axis::LAYER => copy(0, 1),
                Axis::SLOT => copy(1, 2),
                Axis::NORM => {
                    copy(1, 2);
                    copy(layers + 1, layers + 2);
                }
                Axis::LIMB => {}
                _ => break,
            }
            outer *= n;
        }
    }
    run.statement.requests[0].output = other.statement.requests[0].output.clone();
    // The other model publishes its slot 2; layer 1 is the last one here.
    let last = &run.columns[&columns::RESIDUAL][2 * 16 * 128..];
    if let lorica_verifier::protocol::proof::Output::Embed { sums } = &mut run.statement.requests[0].output {
        for (c, sum) in sums.iter_mut().enumerate() {
            *sum = (0..7).map(|t| last[t * 128 + c]).sum();
        }
    }
    recount(&world, &mut run);
    let names = world.broken(&run);
    assert!(names.contains(&"query, key, value"), "{names:?}");
    assert!(
        !names.iter().any(|n| ["intermediate", "output", "context", "mean pooling", "norm output"].contains(n)),
        "{names:?}"
    );
    rejected(&world, &run, "layer 1 reads slot 0");
}

#[test]
fn tiles_cannot_be_permuted_or_borrowed() {
    let world = World::new(SMALL, 81, 2);
    let run = world.run(Classify, &[(9, Some(0))]);
    let proof = world.prove(&run).expect("a proof");
    let check = |base: &lorica_verifier::protocol::key::BaseCommitments, adapters: &[AdapterCommitments]| {
        verify(&SRS.verifier_key(), base, adapters, &Fr::ZERO, &proof)
    };
    check(&world.key, &world.keys()).expect("the honest keys");
    // Every rearrangement is another base, and the proof is not for it even under its own name.
    for (i, j) in [(0, 1), (1, 2)] {
        for duplicate in [false, true] {
            let mut base = world.key.clone();
            if duplicate {
                base.tiles[i] = base.tiles[j];
            } else {
                base.tiles.swap(i, j);
            }
            assert!(matches!(check(&base, &world.keys()), Err(VerifyError::Foreign { .. })));
            let mut adapters = world.keys();
            adapters.iter_mut().for_each(|key| key.base = base.id());
            let mut renamed = proof.clone();
            renamed.statement.base = base.id();
            renamed.statement.requests[0].adapter = adapters[0].id();
            assert!(verify(&SRS.verifier_key(), &base, &adapters, &Fr::ZERO, &renamed).is_err());
        }
    }
    // Tables exchanged.
    let mut base = world.key.clone();
    base.tables.swap(0, 4);
    assert!(matches!(check(&base, &world.keys()), Err(VerifyError::Foreign { .. })));
    // A base tile, or another adapter's, as adapter tile, under a registered name of its own.
    for tile in [world.key.tiles[0], world.keys()[1].tiles[0]] {
        let mut key = world.keys()[0].clone();
        key.tiles[0] = tile;
        assert_ne!(key.id(), world.keys()[0].id());
        let mut forged = run.clone();
        forged.statement.requests[0].adapter = key.id();
        let forged = world.prove(&forged).expect("a proof");
        let adapters = [key];
        assert!(verify(&SRS.verifier_key(), &world.key, &adapters, &Fr::ZERO, &forged).is_err());
    }
    // Too many or too few tiles are no key of this base.
    for more in [true, false] {
        let mut key = world.keys()[0].clone();
        let first = key.tiles[0];
        if more {
            key.tiles.push(first);
        } else {
            key.tiles.pop();
        }
        let mut renamed = proof.clone();
        renamed.statement.requests[0].adapter = key.id();
        let verdict = verify(&SRS.verifier_key(), &world.key, &[key], &Fr::ZERO, &renamed);
        assert!(matches!(verdict, Err(VerifyError::UnknownAdapter { .. })));
    }
    // Witness tiles permuted and duplicated.
    for (i, j) in [(0, 1), (2, 5)] {
        let mut forged = proof.clone();
        forged.witness.swap(i, j);
        assert!(world.verify(&forged).is_err());
        forged.witness[j] = forged.witness[i];
        assert!(world.verify(&forged).is_err());
    }
}

/// `[PAD]`, id 0, is a word like any other: the mask comes from the stated length.
#[test]
fn literal_padding_words_are_proven() {
    let world = World::new(SMALL, 82, 1);
    let mut answers = Vec::new();
    for ids in [vec![1, 5, 0, 7, 2], vec![1, 5, 7, 2, 0], vec![0, 0, 0, 0, 0], vec![1, 5, 7, 2]] {
        let run = world.run_ids(Classify, &[(ids, Some(0))]);
        world.verify(&world.prove(&run).expect("a proof")).expect("accepted");
        answers.push(run.statement.requests[0].output.clone());
    }
    assert_ne!(answers[1], answers[3], "a trailing [PAD] is read");
    // A proof for the text without the word is none for the text with it.
    let with = world.run_ids(Classify, &[(vec![1, 5, 7, 2, 0], Some(0))]);
    let without = world.run_ids(Classify, &[(vec![1, 5, 7, 2], Some(0))]);
    rejected(&world, &under(&without, &with), "a [PAD] that is not read");
}

/// The same request in every length class and batch: the same words of input, label and output in accepted proofs.
#[test]
fn answers_depend_on_neither_class_nor_batch() {
    let world = World::new(SMALL, 83, 2);
    let text = |seed, n| world.synthetic.ids(seed, n);
    for kind in [Embed, Classify] {
        let own = (text(1, 9), Some(0));
        let shape = |requests, tokens| Shape { requests, tokens, log_tile: LOG_TILE, output: kind, records: 0 };
        let batches = [
            (shape(1, 16), vec![own.clone()]),
            (shape(1, 32), vec![own.clone()]),
            (shape(2, 16), vec![own.clone()]),
            (shape(2, 32), vec![own.clone(), (text(2, 20), Some(1))]),
            (shape(4, 16), vec![own.clone(), (text(2, 2), Some(1)), (text(3, 16), Some(0))]),
        ];
        let mut words = Vec::new();
        for (shape, requests) in batches {
            let run = world.run_shape(shape, &requests);
            let proof = world.prove(&run).expect("a proof");
            let outcome = world.verify(&proof).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            assert_eq!(outcome.requests.len(), requests.len());
            words.push((outcome.requests[0].clone(), run.statement.requests[0].output.clone()));
        }
        assert!(words.iter().all(|w| *w == words[0]), "{kind:?}");
    }
}
