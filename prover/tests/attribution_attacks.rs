//! Forged attributions. Each lie is followed through: all that comes after it is computed from it, and the lookups are
//! counted again, so that one rule alone stands in its way; and the same witness is accepted where that rule is taken out
//! (support/without.rs).

use super::support;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::{Column, Lookup};
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::shape::{CONTRIBUTORS, OutputKind, PLACES, Shape};
use lorica_quant::index::IndexCells;
use lorica_quant::integer::synthetic::{Random, SMALL};
use lorica_verifier::protocol::key::{IndexCommitments, KeyError};
use lorica_verifier::protocol::lookup::LeafChallenges;
use lorica_verifier::protocol::multilinear::integer;
use lorica_verifier::protocol::proof::{Attribution, InferenceProof, Share, share_words};
use lorica_verifier::protocol::statement::Inputs;
use lorica_verifier::protocol::verify::{Keys, VerifyError, inputs, verify};
use support::attribution::{Own, RECORDS, attributed, flat_index, random_index};
use support::naive::{Faithful, Forger, prove, verify_without};
use support::without::Rule::{Range, Relation};
use support::without::{REDUCTION, SUM, prove_by, stopped_by, stopped_by_leaves, unbalanced, verify_by};
use support::{Run, SRS, World, recount, recount_on, witness_columns};

fn world(index: IndexCells) -> World {
    World::new(SMALL, 3, 2).with_index(index)
}

fn random() -> IndexCells {
    random_index(SMALL.hidden, 1500, 60)
}

/// The k-th contributor of [`FLAT`].
fn slot(k: usize) -> usize {
    3 * k + 5
}

/// Forty contributors, of whom the last twenty have equal sums: 20 to 31 are listed, 32 to 39 are not.
fn flat() -> IndexCells {
    let records: Vec<(u16, u8)> = (0..40).map(|k| (slot(k) as u16, if k < 20 { 200 - k as u8 } else { 7 })).collect();
    flat_index(SMALL.hidden, &records)
}

static RANDOM: LazyLock<World> = LazyLock::new(|| world(random()));
static FLAT: LazyLock<World> = LazyLock::new(|| world(flat()));

fn index(world: &World) -> &IndexCells {
    &world.index.as_ref().expect("an index").cells
}

fn label(run: &Run, request: usize) -> usize {
    run.statement.requests[request].output.label().into()
}

fn of(run: &mut Run, request: usize) -> Own<'_> {
    Own { run, request }
}

/// One request on the index of [`FLAT`].
fn one() -> Run {
    attributed(&FLAT, &[(9, Some(0))])
}

/// Two requests on the index of [`RANDOM`], which both attribute.
fn two() -> Run {
    attributed(&RANDOM, &[(9, Some(0)), (12, Some(0))])
}

/// A record of request 0 with an influence above or below zero that counts.
fn counted(run: &mut Run, positive: bool) -> usize {
    let label = label(run, 0);
    let influences = of(run, 0).row(c::INFLUENCE, RECORDS);
    let classes = &index(&RANDOM).classes;
    (3..1500)
        .find(|&i| classes[i][label] > 0 && influences[i] != 0 && (influences[i] > 0) == positive)
        .expect("a record")
}

/// Every relation and every range of an attribution has a forgery here that nothing else stops.
#[test]
fn every_rule_of_an_attribution_is_attacked() {
    let layout = RANDOM.layout(&two());
    let plain = RANDOM.key.architecture.layout(&Shape { records: 0, ..layout.shape }).expect("a layout");
    let source = include_str!("attribution_attacks.rs");
    for relation in layout.relations().iter().filter(|own| plain.relations().iter().all(|p| p.name != own.name)) {
        assert!(source.contains(&format!("Relation(\"{}\")", relation.name)), "{}", relation.name);
    }
    let known = [
        // By integers.
        c::QUERY_LOW,
        c::QUERY_REMAINDER,
        c::QUERY_BIAS_LOW,
        c::QUERY_BIAS_REMAINDER,
        c::INFLUENCE_REMAINDER,
        c::INFLUENCE_SIZE,
        c::CHOSEN_SLACK,
        c::PLACE_GAP,
        c::SHARE_REMAINDER,
        c::SHARE_SLACK,
        // By fractions.
        c::QUERY_HIGH,
        c::QUERY_BIAS_HIGH,
        c::SHARE,
    ];
    for placement in layout.placements() {
        let column = placement.spec.column;
        if plain.placement(column).is_err() && matches!(placement.spec.lookup, Lookup::Key { .. }) {
            assert!(known.contains(&column), "{column:?}");
        }
    }
}

/// No cell of an attribution is dead: any of its columns, one more and one less somewhere.
#[test]
fn every_class_of_cell_matters_in_attributions() {
    let honest = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    let layout = RANDOM.layout(&honest);
    let plain = RANDOM.key.architecture.layout(&Shape { records: 0, ..layout.shape }).expect("a layout");
    let mut random = Random::new(3);
    let own = witness_columns(&layout).into_iter().filter(|column| plain.placement(*column).is_err());
    for (column, by) in own.flat_map(|column| [(column, 1), (column, -1)]) {
        let mut run = honest.clone();
        let cells = run.columns.get_mut(&column).expect("a column");
        let at = random.below(cells.len());
        cells[at] += by;
        recount(&RANDOM, &mut run);
        let proof = RANDOM.prove(&run).expect("the prover does not look");
        assert!(RANDOM.verify(&proof).is_err(), "accepted: {column:?}[{at}] += {by}");
    }
}

/// What the forgers below compute is what an honest prover does.
#[test]
fn an_honest_attribution_followed_through_is_the_same() {
    for (world, honest) in [(&*RANDOM, two()), (&*FLAT, one())] {
        for request in 0..honest.statement.requests.len() {
            let mut run = honest.clone();
            let label = label(&run, request);
            of(&mut run, request).follow_query(index(world), Some(label));
            recount(world, &mut run);
            assert!(run.columns == honest.columns && run.statement == honest.statement);
            assert_eq!(unbalanced(world, &run), BTreeSet::new());
        }
    }
}

#[test]
fn an_independent_prover_is_accepted() {
    let run = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    RANDOM.verify(&prove(&RANDOM, &run, &[], &mut Faithful)).expect("accepted");
}

#[test]
fn the_query_is_the_requests_own() {
    let (y, constant) = (
        [c::QUERY_LOW, c::QUERY_HIGH, c::QUERY_REMAINDER],
        [c::QUERY_BIAS_LOW, c::QUERY_BIAS_HIGH, c::QUERY_BIAS_REMAINDER],
    );
    for (columns, width, rule) in
        [(y, SMALL.hidden, Relation("attribution query")), (constant, 1, Relation("attribution query of the constant"))]
    {
        let mut run = two();
        for column in columns {
            let other = of(&mut run, 1).row(column, width);
            of(&mut run, 0).set_row(column, 0, &other);
        }
        let label = label(&run, 0);
        of(&mut run, 0).follow_query(index(&RANDOM), Some(label));
        assert_ne!(run.statement, two().statement);
        stopped_by(&RANDOM, &run, &[rule]);
    }
}

/// An honest attribution by an index in which one list is another.
#[test]
fn cells_are_those_of_the_index() {
    let requests = [(9, Some(0)), (12, Some(0))];
    let honest = attributed(&RANDOM, &requests);
    let by = |edit: &dyn Fn(&mut IndexCells)| {
        let mut cells = random();
        edit(&mut cells);
        let mut run = attributed(&world(cells), &requests);
        run.statement.attribution = honest.statement.attribution;
        assert_ne!(run.statement, honest.statement);
        run
    };
    let (query, constant) = (Relation("attribution query"), Relation("attribution query of the constant"));
    stopped_by(&RANDOM, &by(&|index| index.inverse.reverse()), &[query]);
    stopped_by(&RANDOM, &by(&|index| index.corner = -index.corner), &[constant]);
    stopped_by(&RANDOM, &by(&|index| index.bias.reverse()), &[query, constant]);
    stopped_by(&RANDOM, &by(&|index| index.features.reverse()), &[Relation("influence")]);
    stopped_by(&RANDOM, &by(&|index| index.classes.rotate_left(1)), &[Relation("score")]);
    stopped_by_leaves(&RANDOM, &by(&|index| index.slots.rotate_left(1)), &[6]);
    // A record beyond the index' count.
    let more = by(&|index| {
        let row = index.row(0).to_vec();
        index.features.extend(row.iter().map(|h| -h));
        index.features.extend(row);
        index.classes.extend([[240; 16]; 2]);
        index.slots.extend([0; 2]);
        index.count += 2;
    });
    stopped_by(&RANDOM, &more, &[Relation("influence"), Relation("score")]);
}

#[test]
fn influences_have_their_sign_and_size() {
    for positive in [true, false] {
        let mut run = two();
        let (label, record) = (label(&run, 0), counted(&mut run, positive));
        let mut own = of(&mut run, 0);
        let a = own.cell(c::INFLUENCE, RECORDS, record);
        own.set(c::INFLUENCE, RECORDS, 0, record, -a);
        own.follow_influences(index(&RANDOM), Some(label));
        stopped_by(&RANDOM, &run, &[Relation("influence")]);
        // The size with the other sign: what helps is not paid, or what harms takes from what its contributor has.
        let mut run = two();
        let mut own = of(&mut run, 0);
        own.set(c::INFLUENCE_SIZE, RECORDS, 0, record, -a.abs());
        own.set(c::INFLUENCE_SIZE, RECORDS, 1, record, 0);
        own.follow_sizes(index(&RANDOM), Some(label));
        assert_ne!(run.statement, two().statement);
        stopped_by(&RANDOM, &run, &[Range(c::INFLUENCE_SIZE)]);
    }
    // Another size altogether.
    let mut run = two();
    let label = label(&run, 0);
    let classes = &index(&RANDOM).classes;
    let low = of(&mut run, 0).row(c::INFLUENCE_SIZE, RECORDS);
    let record = (0..1500).find(|&i| classes[i][label] > 0 && low[i] < 65_000).expect("a record");
    let mut own = of(&mut run, 0);
    own.set(c::INFLUENCE_SIZE, RECORDS, 0, record, low[record] + 500);
    own.follow_sizes(index(&RANDOM), Some(label));
    stopped_by(&RANDOM, &run, &[Relation("size of influence")]);
}

#[test]
fn negative_influence_is_not_paid() {
    let mut run = two();
    let (label, record) = (label(&run, 0), counted(&mut run, false));
    let mut own = of(&mut run, 0);
    let paid = -own.cell(c::INFLUENCE, RECORDS, record) * i64::from(index(&RANDOM).classes[record][label]);
    own.set(c::SCORE, RECORDS, 0, record, paid);
    own.follow_scores(index(&RANDOM));
    assert_ne!(run.statement, two().statement);
    stopped_by(&RANDOM, &run, &[Relation("score")]);
}

#[test]
fn remainders_of_influences_and_queries_are_ranged() {
    let honest = two();
    let label = label(&honest, 0);
    for by in [1, -1] {
        let mut run = honest.clone();
        let record = counted(&mut run, true);
        let mut own = of(&mut run, 0);
        let a = own.cell(c::INFLUENCE, RECORDS, record);
        let remainder = own.cell(c::INFLUENCE_REMAINDER, RECORDS, record);
        own.set(c::INFLUENCE, RECORDS, 0, record, a + by);
        own.set(c::INFLUENCE_REMAINDER, RECORDS, 0, record, remainder - by * 65_536);
        own.follow_influences(index(&RANDOM), Some(label));
        stopped_by(&RANDOM, &run, &[Range(c::INFLUENCE_REMAINDER)]);
        for (low, remainder, width) in
            [(c::QUERY_LOW, c::QUERY_REMAINDER, SMALL.hidden), (c::QUERY_BIAS_LOW, c::QUERY_BIAS_REMAINDER, 1)]
        {
            let mut run = honest.clone();
            let mut own = of(&mut run, 0);
            let lows = own.row(low, width);
            let at = (0..width).find(|&i| (1..65_535).contains(&lows[i])).expect("a channel");
            let old = own.cell(remainder, width, at);
            own.set(low, width, 0, at, lows[at] + by);
            own.set(remainder, width, 0, at, old - by * 65_536);
            own.follow_query(index(&RANDOM), Some(label));
            stopped_by(&RANDOM, &run, &[Range(remainder)]);
        }
    }
    // The lower half of y beyond its range, the upper one less by as much: y is the same.
    for (low, high, width) in [(c::QUERY_LOW, c::QUERY_HIGH, SMALL.hidden), (c::QUERY_BIAS_LOW, c::QUERY_BIAS_HIGH, 1)]
    {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        let (l, h) = (own.cell(low, width, 0), own.cell(high, width, 0));
        own.set(low, width, 0, 0, l + 65_536);
        own.set(high, width, 0, 0, h - 1);
        stopped_by(&RANDOM, &run, &[Range(low)]);
    }
}

/// Scores of a request whose adapter is another than the index', of another class than the answer, or none at all.
#[test]
fn scores_are_of_the_answers_class_where_the_request_attributes() {
    let honest = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    let (first, second) = (label(&honest, 0), label(&honest, 1));
    for (request, class) in [(1, Some(second)), (0, None), (0, Some((first + 1) % 16))] {
        let mut run = honest.clone();
        of(&mut run, request).follow_query(index(&RANDOM), class);
        assert_ne!(run.statement, honest.statement);
        stopped_by(&RANDOM, &run, &[Relation("score")]);
    }
}

#[test]
fn sums_are_of_the_records_scores() {
    let honest = two();
    let slots = &index(&RANDOM).slots;
    let scores = of(&mut honest.clone(), 0).row(c::SCORE, RECORDS);
    let record = (0..1500).max_by_key(|&i| scores[i]).expect("a record");
    let (own, score) = (usize::from(slots[record]), scores[record]);
    let other = usize::from(*slots.iter().find(|slot| usize::from(**slot) != own).expect("a slot"));
    let second = (0..1500).filter(|&i| usize::from(slots[i]) != own).max_by_key(|&i| scores[i]).expect("a record");
    // Request, slot, by how much.
    let edits: [&[(usize, usize, i64)]; 6] = [
        // A record twice, and not at all.
        &[(0, own, score)],
        &[(0, own, -score)],
        // A share moved to another slot, to one without records, and to another request.
        &[(0, own, -score), (0, other, score)],
        &[(0, own, -score), (0, 1000, score)],
        &[(0, own, -score), (1, own, score)],
        // A sum for a slot without records.
        &[(0, 1023, score)],
    ];
    let slots_exchanged = [(0, own, scores[second] - score), (0, usize::from(slots[second]), score - scores[second])];
    for edits in edits.into_iter().chain([&slots_exchanged[..]]) {
        let mut run = honest.clone();
        for &(request, slot, by) in edits {
            let mut own = of(&mut run, request);
            let sum = own.cell(c::SUM, CONTRIBUTORS, slot);
            own.set(c::SUM, CONTRIBUTORS, 0, slot, sum + by);
            own.follow_sums();
        }
        assert_ne!(run.statement, honest.statement);
        stopped_by_leaves(&RANDOM, &run, &[6]);
    }
    // A record that is dropped before it is summed.
    let mut run = honest.clone();
    let mut own = of(&mut run, 0);
    own.set(c::SCORE, RECORDS, 0, record, 0);
    own.follow_scores(index(&RANDOM));
    stopped_by(&RANDOM, &run, &[Relation("score")]);
}

/// The list with one contributor in another's place.
fn replaced(run: &mut Run, out: usize, by: usize) -> Vec<usize> {
    let mut listed = of(run, 0).listed();
    let at = listed.iter().position(|own| *own == slot(out)).expect("listed");
    assert!(!listed.contains(&slot(by)));
    listed[at] = slot(by);
    listed.sort_unstable();
    listed
}

#[test]
fn the_listed_have_the_largest_sums() {
    let mut run = one();
    assert_eq!(of(&mut run, 0).listed(), (0..PLACES).map(slot).collect::<Vec<_>>());
    // Of equals the higher slot instead of the lower: neighbours of the border, and the ends. Then the 33rd and the 40th
    // instead of the 20th and the first. Last a slot without records.
    for (out, by) in [(31, 32), (20, 39), (19, 32), (0, 39), (31, 300)] {
        let mut run = one();
        let listed = replaced(&mut run, out, by);
        let mut own = of(&mut run, 0);
        own.follow_list(&listed, slot(by));
        assert!(own.slack(slot(out)) < 0);
        assert_ne!(own.run.statement, one().statement);
        stopped_by(&FLAT, &run, &[Range(c::CHOSEN_SLACK)]);
        // The key of who is left out as threshold: it is not above itself, and who is listed is below it.
        let mut run = one();
        let mut own = of(&mut run, 0);
        own.follow_list(&listed, slot(out));
        stopped_by(&FLAT, &run, &[Range(c::CHOSEN_SLACK)]);
        // A slack that is none.
        let mut run = one();
        let mut own = of(&mut run, 0);
        own.follow_list(&listed, slot(by));
        (0..CONTRIBUTORS)
            .filter(|&slot| own.slack(slot) < 0)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|slot| own.set_slack(slot, 0));
        stopped_by(&FLAT, &run, &[Relation("largest shares")]);
    }
}

/// What the columns leave free changes no word: the threshold within its gap, the pair that makes it, and how the last two
/// limbs of a slack, of equal weight, share what they hold.
#[test]
fn freedoms_of_the_list_change_no_word() {
    let honest = one();
    let accepted = |run: &Run| {
        let mut run = run.clone();
        recount(&FLAT, &mut run);
        assert_eq!(run.statement, honest.statement);
        FLAT.verify(&FLAT.prove(&run).expect("a proof")).expect("accepted");
    };
    // From the key of the 32nd down to that of the 33rd, which is 3 less: keys of slots between.
    for threshold in [slot(31) + 1, slot(32) - 1] {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        own.set_row(c::THRESHOLD_SLOT, 0, &[threshold as i64]);
        own.follow_threshold();
        accepted(&run);
    }
    // At the key of the 33rd, and above that of the 32nd.
    for threshold in [slot(32), slot(31) - 1] {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        own.set_row(c::THRESHOLD_SLOT, 0, &[threshold as i64]);
        own.follow_threshold();
        stopped_by(&FLAT, &run, &[Range(c::CHOSEN_SLACK)]);
    }
    let mut run = honest.clone();
    let mut own = of(&mut run, 0);
    let (sum, last) = (own.cell(c::THRESHOLD_SUM, 1, 0), own.cell(c::THRESHOLD_SLOT, 1, 0));
    own.set_row(c::THRESHOLD_SUM, 0, &[sum + 5]);
    own.set_row(c::THRESHOLD_SLOT, 0, &[last + 5 * 1024]);
    accepted(&run);
    // A slack above 2^48.
    let pooled = honest.columns[&c::POOLED].clone();
    let world = world(IndexCells { slots: vec![3; RECORDS], ..extreme_index(&pooled, true, true) });
    let honest = attributed(&world, &[(9, Some(0))]);
    let mut run = honest.clone();
    let mut own = of(&mut run, 0);
    let slack = own.slack(3);
    let limb = |run: &Run, limb: usize| run.columns[&c::CHOSEN_SLACK][limb * CONTRIBUTORS + 3];
    let (lower, upper) = (limb(own.run, 3), limb(own.run, 4));
    assert!(lower > 0);
    own.set(c::CHOSEN_SLACK, CONTRIBUTORS, 3, 3, lower - 1);
    own.set(c::CHOSEN_SLACK, CONTRIBUTORS, 4, 3, upper + 1);
    assert_eq!(own.slack(3), slack);
    recount(&world, &mut run);
    assert_eq!(run.statement, honest.statement);
    world.verify(&world.prove(&run).expect("a proof")).expect("accepted");
}

/// The keys' tie is broken by public numbers.
#[test]
fn contributors_have_their_own_numbers() {
    let mut run = one();
    run.columns.get_mut(&c::CONTRIBUTOR_NUMBER).expect("a column").swap(slot(31), slot(32));
    of(&mut run, 0).follow_sums();
    assert!(of(&mut run, 0).listed().contains(&slot(32)));
    stopped_by(&FLAT, &run, &[Relation("contributor numbers")]);
}

#[test]
fn the_list_is_in_order() {
    let listed: Vec<usize> = (0..PLACES).map(slot).collect();
    let mut swapped = listed.clone();
    swapped.swap(3, 4);
    // The first twice and the last not at all: it is counted twice, and its slack is 3·(key - threshold) + 1.
    let mut twice = listed.clone();
    twice.pop();
    twice.insert(0, slot(0));
    for (list, weakest, at) in [(swapped, slot(31), 3), (twice, slot(30), 0)] {
        let mut run = one();
        let mut own = of(&mut run, 0);
        own.follow_list(&list, weakest);
        assert!(own.place(c::PLACE_GAP, at) < 0);
        assert_ne!(own.run.statement, one().statement);
        stopped_by(&FLAT, &run, &[Range(c::PLACE_GAP)]);
        of(&mut run, 0).set_place(c::PLACE_GAP, at, 0);
        stopped_by(&FLAT, &run, &[Relation("order of places")]);
    }
    // The last place has no gap.
    let mut run = one();
    of(&mut run, 0).set_place(c::PLACE_GAP, PLACES - 1, 7);
    stopped_by(&FLAT, &run, &[Relation("order of places")]);
}

#[test]
fn places_name_contributors_with_their_sums_and_are_counted() {
    // Another sum than the slot's.
    let mut run = one();
    let mut own = of(&mut run, 0);
    let sum = own.place(c::PLACE_SUM, 30);
    own.set_place(c::PLACE_SUM, 30, sum + 1);
    let total = own.total();
    own.follow_places(total);
    assert_ne!(run.statement, one().statement);
    stopped_by_leaves(&FLAT, &run, &[16]);
    // Another slot with the same sum, which is not counted.
    let mut run = one();
    let mut own = of(&mut run, 0);
    own.set_place(c::PLACE_SLOT, 31, slot(32) as i64);
    let gap = own.place(c::PLACE_GAP, 30);
    own.set_place(c::PLACE_GAP, 30, gap + 3);
    own.state();
    assert_ne!(run.statement, one().statement);
    stopped_by_leaves(&FLAT, &run, &[16]);
    // A listed one that is not counted, below the threshold.
    let mut run = one();
    let mut own = of(&mut run, 0);
    own.set(c::CHOSEN, CONTRIBUTORS, 0, slot(31), 0);
    own.set_row(c::THRESHOLD_SLOT, 0, &[slot(30) as i64]);
    own.follow_threshold();
    stopped_by_leaves(&FLAT, &run, &[16]);
    // Counted twice.
    let mut run = one();
    let mut own = of(&mut run, 0);
    own.set(c::CHOSEN, CONTRIBUTORS, 0, slot(3), 2);
    own.follow_threshold();
    stopped_by_leaves(&FLAT, &run, &[16]);
    // The list of another request: its sums are other poles.
    let mut run = two();
    for column in [c::PLACE_SLOT, c::PLACE_SUM, c::PLACE_GAP] {
        for place in 0..PLACES {
            let other = of(&mut run, 1).place(column, place);
            of(&mut run, 0).set_place(column, place, other);
        }
    }
    let counts = of(&mut run, 1).row(c::CHOSEN, CONTRIBUTORS);
    let mut own = of(&mut run, 0);
    own.set_row(c::CHOSEN, 0, &counts);
    let total = own.total();
    own.follow_threshold();
    own.follow_places(total);
    let broken = unbalanced(&RANDOM, &run);
    assert!(broken.contains(&16) && !broken.contains(&17), "{broken:?}");
}

#[test]
fn shares_are_quotients() {
    let honest = one();
    let total = of(&mut honest.clone(), 0).total();
    let paid: i64 = honest.statement.requests[0].shares.iter().map(|own| i64::from(own.share)).sum();
    assert!(paid < 65_536);
    for place in [0, 31] {
        // One more, and as many more as make the sum 65,536: the remainder is negative.
        for by in [1, 65_536 - paid] {
            let mut run = honest.clone();
            let mut own = of(&mut run, 0);
            let share = own.place(c::SHARE, place);
            let (remainder, room) = (own.remainder(place), total - own.remainder(place));
            own.set_share(place, share + by, total);
            own.state();
            stopped_by(&FLAT, &run, &[Range(c::SHARE_REMAINDER)]);
            // With the honest remainder.
            let mut own = of(&mut run, 0);
            own.set_remainder(place, remainder);
            own.set_room(place, room);
            stopped_by(&FLAT, &run, &[Relation("share")]);
        }
        // One less: the remainder is greater than the total.
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        let share = own.place(c::SHARE, place);
        own.set_share(place, share - 1, total);
        own.state();
        stopped_by(&FLAT, &run, &[Range(c::SHARE_SLACK)]);
        of(&mut run, 0).set_room(place, 0);
        stopped_by(&FLAT, &run, &[Relation("remainder of a share")]);
    }
    // A total without one slot, the last of the list and one that is not listed: all shares are larger.
    for left_out in [slot(31), slot(32)] {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        let less = i128::from(own.cell(c::SUM, CONTRIBUTORS, left_out));
        own.follow_places(total - less);
        assert_ne!(own.run.statement, honest.statement);
        for place in 0..PLACES {
            let room = total - own.remainder(place);
            own.set_room(place, room);
        }
        stopped_by(&FLAT, &run, &[Relation("share")]);
    }
}

/// A total of 1: a share of 32,767 instead of 32,768 has the remainder 2, just above.
#[test]
fn a_remainder_is_not_the_divisor() {
    let world = world(flat_index(SMALL.hidden, &[(9, 1)]));
    let mut run = attributed(&world, &[(9, Some(0))]);
    let mut own = of(&mut run, 0);
    let place = own.listed().iter().position(|slot| *slot == 9).expect("listed");
    assert_eq!((own.total(), own.place(c::SHARE, place), own.remainder(place)), (1, 32_768, 0));
    own.set_share(place, 32_767, 1);
    own.state();
    assert_eq!(own.remainder(place), 2);
    stopped_by(&world, &run, &[Range(c::SHARE_SLACK)]);
}

#[test]
fn published_shares_are_those_of_the_columns() {
    let honest = two();
    let published = [Relation("published shares")];
    let mut run = honest.clone();
    let first = run.statement.requests[0].shares.clone();
    run.statement.requests[0].shares = std::mem::replace(&mut run.statement.requests[1].shares, first);
    assert_ne!(run.statement, honest.statement);
    stopped_by(&RANDOM, &run, &published);
    for place in [0, 7, 8, 31] {
        for edit in [|own: &mut Share| own.share ^= 1, |own: &mut Share| own.slot ^= 1] {
            let mut run = honest.clone();
            edit(&mut run.statement.requests[1].shares[place]);
            stopped_by(&RANDOM, &run, &published);
        }
    }
    // Two entries of one word, and two words, exchanged.
    for (i, j) in [(2, 3), (2, 10)] {
        let mut run = honest.clone();
        run.statement.requests[0].shares.swap(i, j);
        stopped_by(&RANDOM, &run, &published);
    }
    // A share of 65,536 and more carries into the slot above it: a word of in-range entries that pays somebody else.
    let mut run = one();
    let mut own = of(&mut run, 0);
    let (share, total) = (own.place(c::SHARE, 0), own.total());
    own.set_share(0, share + 65_536, total);
    own.state();
    run.statement.requests[0].shares[1].slot += 1;
    stopped_by(&FLAT, &run, &[Range(c::SHARE), Range(c::SHARE_REMAINDER)]);
}

/// The largest cells that there are: rows of G along the pooled values or against them, rows of H along `G·h` or against it.
fn extreme_index(pooled: &[i64], along: bool, same: bool) -> IndexCells {
    let least = |down: bool| if down { i16::MIN } else { i16::MAX };
    let row: Vec<i16> = pooled.iter().map(|h| least((*h < 0) == along)).collect();
    IndexCells {
        hidden_size: SMALL.hidden,
        count: RECORDS,
        features: vec![least(along != same); RECORDS * SMALL.hidden],
        classes: vec![[255; 16]; RECORDS],
        slots: (0..RECORDS).map(|i| (i % CONTRIBUTORS) as u16).collect(),
        inverse: row.repeat(SMALL.hidden),
        bias: row,
        corner: least(!along),
    }
}

/// Honest extremes are provable.
#[test]
fn extreme_indexes_are_provable() {
    let hidden = SMALL.hidden;
    let pooled = attributed(&FLAT, &[(9, Some(0))]).columns[&c::POOLED].clone();
    let flat = |records: &[(u16, u8)]| flat_index(hidden, records);
    let every: Vec<(u16, u8)> = (0..RECORDS).map(|i| ((i % CONTRIBUTORS) as u16, 255)).collect();
    let negative = IndexCells { corner: -8, ..flat(&every) };
    let one_slot = IndexCells { slots: vec![1023; RECORDS], ..extreme_index(&pooled, true, true) };
    for (name, cells) in [
        ("along, same", extreme_index(&pooled, true, true)),
        ("along, against", extreme_index(&pooled, true, false)),
        ("against, same", extreme_index(&pooled, false, true)),
        ("against, against", extreme_index(&pooled, false, false)),
        ("one slot", one_slot),
        ("negative", negative),
        ("equal", flat(&every)),
        ("one record", flat(&[(1023, 255)])),
        ("one", flat(&[(0, 1)])),
    ] {
        let world = world(cells);
        let run = attributed(&world, &[(9, Some(0))]);
        let shares = &run.statement.requests[0].shares;
        let paid: u32 = shares.iter().map(|own| u32::from(own.share)).sum();
        let slots: Vec<u16> = shares.iter().map(|own| own.slot).collect();
        let proof = world.prove(&run).unwrap_or_else(|error| panic!("{name}: {error}"));
        world.verify(&proof).unwrap_or_else(|error| panic!("{name}: {error}"));
        let largest = run.columns[&c::INFLUENCE].iter().map(|a| a.abs()).max().expect("records");
        match name {
            "negative" => assert!(paid == 0 && slots == (0..32).collect::<Vec<u16>>()),
            "equal" => assert!(shares.iter().all(|own| own.share == 63) && slots == (0..32).collect::<Vec<u16>>()),
            "one slot" => assert_eq!(shares[31], Share { slot: 1023, share: 65_535 }),
            "one record" => assert_eq!((shares[31].slot, paid), (1023, 65_280)),
            "one" => assert_eq!(shares[0], Share { slot: 0, share: 32_768 }),
            "along, same" => assert!(paid > 2_000 && largest > 1 << 24, "{largest}"),
            _ => assert!(paid <= 65_535 && largest > 1 << 24, "{name}: {largest}"),
        }
    }
}

/// Integer edits of a run, and parts of cells that are no integers.
#[track_caller]
fn no_integer(world: &World, run: &Run, field: &[(Column, usize, Fr)]) {
    let mut run = run.clone();
    recount(world, &mut run);
    let proof = prove(world, &run, field, &mut Faithful);
    let error = world.verify(&proof).expect_err("accepted").to_string();
    assert!(error.contains(SUM), "{error}");
    verify_without(world, &proof, &[SUM]).expect("nothing else notices");
}

#[test]
fn fractions_are_in_no_range() {
    let half = |bits: u64| Fr::TWO_INV.pow([bits]);
    // a - 5/2^16, its size alike, the remainder more by 5: a record beyond the index', whose score is zero whatever a is.
    let mut run = one();
    let mut own = of(&mut run, 0);
    assert_eq!((own.cell(c::INFLUENCE, RECORDS, 2000), own.cell(c::INFLUENCE_REMAINDER, RECORDS, 2000)), (1, 0));
    own.set(c::INFLUENCE_REMAINDER, RECORDS, 0, 2000, 5);
    let part = -Fr::from(5) * half(16);
    no_integer(&FLAT, &run, &[(c::INFLUENCE, 2000, part), (c::INFLUENCE_SIZE, 2000, part)]);
    // y_k + 1/2^16 in its upper half, the remainder less by 1: all features are zero.
    let mut run = one();
    let mut own = of(&mut run, 0);
    let remainder = own.cell(c::QUERY_REMAINDER, SMALL.hidden, 17);
    own.set(c::QUERY_REMAINDER, SMALL.hidden, 0, 17, remainder - 1);
    no_integer(&FLAT, &run, &[(c::QUERY_HIGH, 17, half(32))]);
    // y_b + 2/2^16: every influence's remainder is 1 more.
    let mut run = one();
    let mut own = of(&mut run, 0);
    let remainder = own.cell(c::QUERY_BIAS_REMAINDER, 1, 0);
    own.set_row(c::QUERY_BIAS_REMAINDER, 0, &[remainder - 2]);
    let remainders: Vec<i64> = own.row(c::INFLUENCE_REMAINDER, RECORDS).iter().map(|own| own + 1).collect();
    own.set_row(c::INFLUENCE_REMAINDER, 0, &remainders);
    no_integer(&FLAT, &run, &[(c::QUERY_BIAS_HIGH, 0, half(31))]);
}

/// Two shares that are fractions with remainders in their ranges, whose word is that of integers: one of them has one part
/// more than it should. The range of shares is all that stands in the way.
#[test]
fn fractions_of_shares_cannot_make_a_word() {
    let mut run = attributed(&RANDOM, &[(9, Some(0))]);
    let mut own = of(&mut run, 0);
    let divisor = own.total() + 1;
    let (first, second) = (own.remainder(0), own.remainder(1));
    // 2^28·q - d_0 = divisor, for remainders less by q and more by d_0.
    let q = divisor >> 28;
    let mut fits = (q..q + 2)
        .map(|q| (q, (q << 28) - divisor))
        .filter(|(q, d)| (0..divisor).contains(&(first + d)) && (0..divisor).contains(&(second - q)));
    let (q, d) = fits.next().expect("a total above 2^28");
    own.set_remainder(0, first + d);
    own.set_room(0, divisor - 1 - first - d);
    own.set_remainder(1, second - q);
    own.set_room(1, divisor - 1 - second + q);
    run.statement.requests[0].shares[0].share += 1;
    let number = |value: i128| integer(i64::try_from(value).expect("a number"));
    let inverse = number(divisor).invert().unwrap();
    no_integer(&RANDOM, &run, &[(c::SHARE, 0, -number(d) * inverse), (c::SHARE, 1, number(q) * inverse)]);
}

/// A tree whose leaves are not those of the cells.
struct OtherLeaves<F>(F);
impl<F: FnMut(&LeafChallenges<Fr>, &mut [Fr], &mut [Fr])> Forger for OtherLeaves<F> {
    fn leaves(&mut self, leaf: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]) {
        (self.0)(leaf, p, q);
    }
}

/// Numerators of sums that are chosen when X is known, and a second entry for a slot: both are false leaves of committed
/// cells.
#[test]
fn leaves_of_sums_are_tied_to_their_cells() {
    let layout = FLAT.layout(&one());
    let leaf = |slot| support::at(&layout, c::SUM, slot);
    let caught = |run: &Run, forger: &mut dyn FnMut(&LeafChallenges<Fr>, &mut [Fr], &mut [Fr])| {
        let proof = prove(&FLAT, run, &[], &mut OtherLeaves(forger));
        let error = FLAT.verify(&proof).expect_err("accepted").to_string();
        assert!(error.contains(REDUCTION), "{error}");
        verify_without(&FLAT, &proof, &[REDUCTION]).expect("nothing else notices");
    };
    let moved = |run: &mut Run, to: usize| {
        let mut own = of(run, 0);
        let (old, new) = (own.cell(c::SUM, CONTRIBUTORS, slot(0)), own.cell(c::SUM, CONTRIBUTORS, to));
        own.set(c::SUM, CONTRIBUTORS, 0, slot(0), old - 90);
        own.set(c::SUM, CONTRIBUTORS, 0, to, new + 90);
        own.follow_sums();
        assert_ne!(own.run.statement, one().statement);
        recount(&FLAT, run);
    };
    let mut run = one();
    moved(&mut run, slot(1));
    // One numerator that makes all fractions cancel.
    caught(&run, &mut |_, p, q| {
        let fractions = p.iter().zip(&*q).enumerate().filter(|(i, _)| *i != leaf(slot(1)));
        let rest: Fr =
            fractions.filter(|(_, (p, _))| **p != Fr::ZERO).map(|(_, (p, q))| *p * q.invert().unwrap()).sum();
        p[leaf(slot(1))] = -rest * q[leaf(slot(1))];
    });
    // A part of a contributor's sum under a slot without records, whose leaf names the contributor's.
    let mut run = one();
    moved(&mut run, 1000);
    caught(&run, &mut |_, _, q| q[leaf(1000)] = q[leaf(slot(0))]);
}

/// Leaves of records that are not those of their cells, for either request: a score that is left out, one that is chosen
/// when X is known, one that is paid to another slot, and one that is paid to the same slot of the other request.
#[test]
fn leaves_of_records_are_tied_to_their_cells() {
    let honest = two();
    let layout = RANDOM.layout(&honest);
    let slots = &index(&RANDOM).slots;
    for request in 0..2 {
        let scores = of(&mut honest.clone(), request).row(c::SCORE, RECORDS);
        let record = (0..1500).max_by_key(|&i| scores[i]).expect("a record");
        let (own, score) = (usize::from(slots[record]), scores[record]);
        let other = usize::from(*slots.iter().find(|slot| usize::from(**slot) != own).expect("a slot"));
        let leaf = support::at(&layout, c::SCORE, request * RECORDS + record);
        // By how much the sum of (request, slot) is another, and the leaf that hides it.
        let caught = |sums: &[(usize, usize, i64)],
                      forge: &mut dyn FnMut(&LeafChallenges<Fr>, &mut [Fr], &mut [Fr])| {
            let mut run = honest.clone();
            for &(m, slot, by) in sums {
                let mut own = of(&mut run, m);
                let sum = own.cell(c::SUM, CONTRIBUTORS, slot);
                own.set(c::SUM, CONTRIBUTORS, 0, slot, sum + by);
                own.follow_sums();
            }
            assert_ne!(run.statement, honest.statement);
            recount(&RANDOM, &mut run);
            let mut forger = OtherLeaves(|own: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]| {
                assert_eq!(p[leaf], -integer(score));
                forge(own, p, q);
            });
            let proof = prove(&RANDOM, &run, &[], &mut forger);
            let error = RANDOM.verify(&proof).expect_err("accepted").to_string();
            assert!(error.contains(REDUCTION), "{error}");
            verify_without(&RANDOM, &proof, &[REDUCTION]).expect("nothing else notices");
        };
        // Numerators of the second request are no other ones.
        if request == 0 {
            caught(&[(request, own, -score)], &mut |_, p, _| p[leaf] = Fr::ZERO);
            caught(&[(request, own, score / 2)], &mut |_, p, q| {
                let others = p.iter().zip(&*q).enumerate().filter(|(i, (p, _))| *i != leaf && **p != Fr::ZERO);
                let rest: Fr = others.map(|(_, (p, q))| *p * q.invert().unwrap()).sum();
                p[leaf] = -rest * q[leaf];
            });
        }
        caught(&[(request, own, -score), (request, other, score)], &mut |_, _, q| {
            q[leaf] += integer(own as i64) - integer(other as i64);
        });
        caught(&[(request, own, -score), (1 - request, own, score)], &mut |leaves, _, q| {
            q[leaf] += leaves.b * (Fr::from(request as u64) - Fr::from(1 - request as u64));
        });
    }
}

/// A total of zero: every share is the quotient by one, 65,536 times its sum. A share without a sum has a negative remainder, or
/// another one than its own.
#[test]
fn nobody_has_a_share_of_nothing() {
    let world = world(IndexCells { corner: -8, ..flat() });
    let honest = attributed(&world, &[(9, Some(0))]);
    for place in [0, 31] {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        assert_eq!((own.total(), own.place(c::SHARE, place), own.remainder(place)), (0, 0, 0));
        own.set_share(place, 5, 0);
        own.state();
        assert_ne!(own.run.statement, honest.statement);
        assert_eq!(own.remainder(place), -5);
        stopped_by(&world, &run, &[Range(c::SHARE_REMAINDER)]);
        let mut own = of(&mut run, 0);
        own.set_remainder(place, 0);
        own.set_room(place, 0);
        stopped_by(&world, &run, &[Relation("share")]);
    }
}

/// Slots that are none have no entry: a record of one is in nobody's way while it has no score, and nobody is paid when it
/// has one.
#[test]
fn a_slot_beyond_all_contributors_cannot_be_summed() {
    let hostile = |weight: u8| {
        let cells = flat_index(SMALL.hidden, &[(5, 100), (7, weight)]);
        World::new(SMALL, 3, 2).with_edited_index(cells, |columns| {
            columns.edit(c::INDEX_SLOT, |slots| slots[1] = 1024 + 7);
        })
    };
    let world = hostile(0);
    world.verify(&world.prove(&attributed(&world, &[(9, Some(0))])).expect("a proof")).expect("no score");
    let world = hostile(50);
    let honest = attributed(&world, &[(9, Some(0))]);
    for sum in [50, 0] {
        let mut run = honest.clone();
        let mut own = of(&mut run, 0);
        own.set(c::SUM, CONTRIBUTORS, 0, 7, sum);
        own.follow_sums();
        recount(&world, &mut run);
        let error = world.verify(&world.prove(&run).expect("a proof")).expect_err("accepted").to_string();
        assert!(error.contains(SUM), "{error}");
    }
}

/// **An index whose classes were never ranged can publish more than the whole.** A weight below zero lessens the total and no
/// listed sum: the shares are determined, and add up to 32 wholes. Whoever pays by them owes the bound.
#[test]
fn an_index_out_of_range_publishes_more_than_the_whole() {
    let mut records: Vec<(u16, u8)> = (0..32).map(|k| (k, 50)).collect();
    records.push((900, 0));
    let world = World::new(SMALL, 3, 2).with_edited_index(flat_index(SMALL.hidden, &records), |columns| {
        columns.edit(c::INDEX_CLASS, |classes| (0..16).for_each(|label| classes[label * RECORDS + 32] = -1549));
    });
    let mut run = attributed(&world, &[(9, Some(0))]);
    let mut own = of(&mut run, 0);
    own.set(c::SCORE, RECORDS, 0, 32, -1549);
    own.follow_scores(&flat_index(SMALL.hidden, &records));
    assert_eq!(own.total(), 51);
    recount(&world, &mut run);
    world.verify(&world.prove(&run).expect("a proof")).expect("nothing in a proof bounds the index");
    let paid: u32 = run.statement.requests[0].shares.iter().map(|own| u32::from(own.share)).sum();
    assert!(paid > 30 * 65_536, "{paid}");
}

/// Bits of the word of attributing requests that their adapters do not give.
#[test]
fn only_requests_of_the_indexs_adapter_attribute() {
    let honest = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    let layout = RANDOM.layout(&honest);
    for (word, request) in [(3u64, 1), (0, 0), (2, 0)] {
        let mut run = honest.clone();
        for m in 0..2 {
            let class = (word >> m & 1 == 1).then_some(label(&run, m));
            of(&mut run, m).follow_query(index(&RANDOM), class);
        }
        recount_on(&layout, &mut run);
        assert_ne!(run.statement.requests[request].shares, honest.statement.requests[request].shares);
        let edit = |own: &mut Inputs<Fr>| own.attributing = Some(Fr::from(word));
        let proof = prove_by(&RANDOM, &layout, &run, &edit);
        assert!(RANDOM.verify(&proof).is_err());
        verify_by(&RANDOM, &layout, &proof, &edit).expect("nothing else stands in the way");
    }
    // A word with bits beyond the shape's requests.
    let edit = |own: &mut Inputs<Fr>| own.attributing = Some(Fr::from(5));
    let proof = prove_by(&RANDOM, &layout, &honest, &|_| {});
    let error = verify_by(&RANDOM, &layout, &proof, &edit).expect_err("accepted").to_string();
    assert!(error.contains("a bit for each request that attributes"), "{error}");
}

/// Absent requests are the first once more, with its shares.
#[test]
fn absent_requests_repeat_the_first() {
    let honest = attributed(&FLAT, &[(9, Some(0)), (9, Some(0)), (9, Some(0))]);
    let layout = FLAT.layout(&honest);
    assert_eq!(layout.shape.requests, 4);
    let mut run = honest.clone();
    let mut own = of(&mut run, 3);
    own.follow_query(index(&FLAT), None);
    assert_eq!(own.total(), 0);
    stopped_by(&FLAT, &run, &[Relation("score"), Relation("published shares")]);
    // With words and a bit of its own, which no statement says.
    recount_on(&layout, &mut run);
    let mut shares = run.statement.requests[0].shares.clone();
    for (place, own) in shares.iter_mut().enumerate() {
        *own = Share { slot: place as u16, share: 0 };
    }
    let edit = |own: &mut Inputs<Fr>| {
        own.attributing = Some(Fr::from(7));
        own.requests[3].shares = share_words(&shares);
    };
    let proof = prove_by(&FLAT, &layout, &run, &edit);
    assert!(FLAT.verify(&proof).is_err());
    verify_by(&FLAT, &layout, &proof, &edit).expect("nothing else stands in the way");
}

#[test]
fn statements_have_all_shares_of_possible_slots() {
    let honest = one();
    let proof = FLAT.prove(&honest).expect("a proof");
    FLAT.verify(&proof).expect("the honest proof");
    let with = |edit: &dyn Fn(&mut Vec<Share>)| {
        let mut forged = proof.clone();
        edit(&mut forged.statement.requests[0].shares);
        FLAT.verify(&forged)
    };
    let refused = |verdict: Result<_, VerifyError>| matches!(verdict, Err(VerifyError::Request { request: 0, .. }));
    assert!(refused(with(&|shares| shares.truncate(31))));
    assert!(refused(with(&|shares| shares.push(Share { slot: 0, share: 0 }))));
    assert!(refused(with(&Vec::clear)));
    assert!(refused(with(&|shares| shares[31].slot = 1024)));
    // A slot of 13 bits is a share of one more: the words are those of the honest list, and so is the proof.
    let beyond = |shares: &mut Vec<Share>| {
        shares[4].slot += 4096;
        shares[4].share -= 1;
    };
    let mut other = honest.statement.requests[0].shares.clone();
    beyond(&mut other);
    assert_eq!(share_words(&other), share_words(&honest.statement.requests[0].shares));
    assert!(refused(with(&|shares| beyond(shares))));
}

#[test]
fn plain_proofs_and_attributions_are_not_each_other() {
    let honest = one();
    let shares = &honest.statement.requests[0].shares;
    let proof = FLAT.prove(&honest).expect("a proof");
    let plain = FLAT.run(OutputKind::Classify, &[(9, Some(0))]);
    let plain_proof = FLAT.prove(&plain).expect("a proof");
    FLAT.verify(&plain_proof).expect("a plain proof of an adapter that has an index");
    let relabelled = |proof: &InferenceProof, attribution, records, shares: &[Share]| {
        let mut forged = proof.clone();
        forged.statement.attribution = attribution;
        forged.statement.shape.records = records;
        forged.statement.requests[0].shares = shares.to_vec();
        let read = InferenceProof::decode(&forged.encode());
        assert!(records == 0 && attribution.is_some() || read.is_ok());
        FLAT.verify(&forged).expect_err("accepted").to_string()
    };
    for (attribution, records, shares) in [
        (honest.statement.attribution, RECORDS, &shares[..]),
        (honest.statement.attribution, 0, &shares[..0]),
        (honest.statement.attribution, 0, &shares[..]),
        (None, RECORDS, &shares[..]),
        (None, 0, &shares[..]),
    ] {
        relabelled(&plain_proof, attribution, records, shares);
        if (attribution, records) != (honest.statement.attribution, RECORDS) {
            relabelled(&proof, attribution, records, shares);
        }
    }
    relabelled(&proof, None, 0, &[]);
}

/// The key by which an index is known: its tiles, its adapter, its version, its size.
#[test]
fn an_index_is_the_one_that_is_stated() {
    let honest = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    let key = &RANDOM.indexes()[0];
    assert!(key.tiles.len() > 4);
    let verdict = |proof: &InferenceProof, indexes: &[IndexCommitments]| {
        let keys = Keys { adapters: &RANDOM.keys(), indexes };
        verify(&SRS.verifier_key(), &RANDOM.key, keys, &Fr::ZERO, proof)
    };
    let proof = RANDOM.prove(&honest).expect("a proof");
    verdict(&proof, std::slice::from_ref(key)).expect("the honest key");
    assert!(matches!(verdict(&proof, &[]), Err(VerifyError::UnknownIndex)));
    let other_adapter = RANDOM.keys()[1].id();
    let edits: [(&str, &dyn Fn(&mut IndexCommitments)); 8] = [
        ("tiles permuted", &|key| key.tiles.swap(0, 1)),
        ("the last tiles permuted", &|key| {
            let last = key.tiles.len() - 1;
            key.tiles.swap(0, last);
        }),
        ("a tile twice", &|key| key.tiles[1] = key.tiles[0]),
        ("a tile of the base", &|key| key.tiles[0] = RANDOM.key.tiles[0]),
        ("a tile missing", &|key| key.tiles.truncate(key.tiles.len() - 1)),
        ("a tile more", &|key| key.tiles.push(key.tiles[0])),
        ("another version", &|key| key.version += Fr::ONE),
        ("another adapter", &|key| key.adapter = other_adapter),
    ];
    for (name, edit) in edits {
        let mut other = key.clone();
        edit(&mut other);
        // It is not the one that the proof is about, ...
        assert_ne!(other.id(), key.id(), "{name}");
        assert!(matches!(verdict(&proof, &[other.clone()]), Err(VerifyError::UnknownIndex)), "{name}");
        // ... nor is a proof about it accepted that was made with the true one's cells.
        let mut run = honest.clone();
        run.statement.attribution = Some(Attribution { index: other.id(), adapter: key.adapter });
        let proof = RANDOM.prove(&run).expect("a proof");
        let error = verdict(&proof, &[other.clone()]).expect_err("accepted");
        match name {
            "a tile missing" | "a tile more" => {
                assert!(matches!(error, VerifyError::Key(KeyError::Tiles { .. })), "{name}: {error}");
            }
            "another version" | "another adapter" => {
                assert_eq!(error, VerifyError::Key(KeyError::IndexOf), "{name}");
            }
            _ => assert!(matches!(error, VerifyError::Group(_)), "{name}: {error}"),
        }
        // With the true tiles it would be: the id alone is in the transcript.
        let scalars = |own: &mut Inputs<Fr>| own.regions = vec![other.id()];
        let mut renamed = proof;
        renamed.statement.attribution = honest.statement.attribution;
        verify_by(&RANDOM, &RANDOM.layout(&honest), &renamed, &scalars).expect("the tiles were all that differed");
    }
    // The other adapter's bit: the index is not its.
    let mut run = honest.clone();
    run.statement.attribution = Some(Attribution { index: key.id(), adapter: other_adapter });
    (0..2).for_each(|m| {
        let class = (m == 1).then_some(label(&run, m));
        of(&mut run, m).follow_query(index(&RANDOM), class);
    });
    recount(&RANDOM, &mut run);
    let proof = RANDOM.prove(&run).expect("a proof");
    assert_eq!(RANDOM.verify(&proof).err(), Some(VerifyError::Key(KeyError::IndexOf)));
    let bits = |own: &mut Inputs<Fr>| own.attributing = Some(Fr::from(2));
    let mut renamed = proof;
    renamed.statement.attribution = honest.statement.attribution;
    verify_by(&RANDOM, &RANDOM.layout(&honest), &renamed, &bits).expect("nothing else stands in the way");
    // An adapter that is not known, or of another base: one with the same tiles, under its own id or under the stated one.
    let mut forged = RANDOM.prove(&honest).expect("a proof");
    forged.statement.attribution = Some(Attribution { index: key.id(), adapter: Fr::from(99) });
    assert_eq!(RANDOM.verify(&forged).err(), Some(VerifyError::Key(KeyError::IndexOf)));
    let mut adapters = RANDOM.keys();
    adapters[0].base += Fr::ONE;
    let foreign = adapters[0].id();
    adapters.extend(RANDOM.keys());
    let own = IndexCommitments { adapter: foreign, ..key.clone() };
    for asked in [true, false] {
        let mut run = honest.clone();
        run.statement.attribution = Some(Attribution { index: own.id(), adapter: foreign });
        if asked {
            run.statement.requests[0].adapter = foreign;
        } else {
            // Nobody attributes then.
            of(&mut run, 0).follow_query(index(&RANDOM), None);
            recount(&RANDOM, &mut run);
        }
        let proof = RANDOM.prove(&run).expect("a proof");
        let keys = Keys { adapters: &adapters, indexes: std::slice::from_ref(&own) };
        let error = verify(&SRS.verifier_key(), &RANDOM.key, keys, &Fr::ZERO, &proof).expect_err("accepted");
        let expected =
            if asked { VerifyError::UnknownAdapter { request: 0 } } else { VerifyError::Key(KeyError::IndexOf) };
        assert_eq!(error, expected);
        // With the names in the transcript, and the true ones where keys are looked up, it is accepted.
        let stated = inputs(&RANDOM.layout(&run), &RANDOM.key, &run.statement, Fr::ZERO, Fr::ZERO).expect("inputs");
        let names = |own: &mut Inputs<Fr>| {
            own.adapters = stated.adapters;
            own.regions.clone_from(&stated.regions);
            own.attributing = stated.attributing;
        };
        let mut renamed = proof;
        renamed.statement.attribution = honest.statement.attribution;
        renamed.statement.requests[0].adapter = honest.statement.requests[0].adapter;
        verify_by(&RANDOM, &RANDOM.layout(&honest), &renamed, &names).expect("nothing else stands in the way");
    }
    // Another size of index.
    forged.statement = honest.statement.clone();
    forged.statement.shape.records = 1 << 14;
    assert!(matches!(RANDOM.verify(&forged), Err(VerifyError::UnknownIndex)));
    let mut larger = key.clone();
    larger.records = 1 << 14;
    forged.statement.attribution = Some(Attribution { index: larger.id(), adapter: key.adapter });
    assert!(matches!(verdict(&forged, &[larger]), Err(VerifyError::Key(KeyError::Tiles { .. }))));
    // The count is part of the id, and no more than that: rows beyond it are not proven to be zero here.
    let mut fewer = key.clone();
    fewer.count -= 1;
    assert_ne!(fewer.id(), key.id());
}
