//! Forged attributions in the settlement's circuit. The prover's tests (`prover/tests/attribution_attacks.rs`) show natively that
//! each rule is needed; here one lie for each relation, each range and each kind of leaf is followed through once more, and judged
//! by the circuit: the check that the native field part stops at is the **only** one whose rows fail, so that a circuit
//! without it would have a witness. By the program without the rule the same witness satisfies the whole circuit, which
//! takes a proof more and is not run by default:
//!
//! ```text
//! cargo test --release -p lorica-settlement --test all attribution_forgeries -- --ignored
//! ```

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::{Column, Lookup};
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::shape::{CONTRIBUTORS, PLACES, Shape};
use lorica_quant::index::IndexCells;
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::lookup::LeafChallenges;
use lorica_verifier::protocol::multilinear::integer;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::Inputs;
use support::inference::attribution::{Own, RECORDS, attributed, flat_index, random_index};
use support::inference::naive::{Faithful, Forger, prove};
use support::inference::without::Rule::{Range, Relation};
use support::inference::without::{REDUCTION, RELATIONS, Rule, SUM, prove_by, without};
use support::inference::{at, recount, recount_on};
use support::{Run, World, scalars};

/// The k-th contributor of [`FLAT`].
fn slot(k: usize) -> usize {
    3 * k + 5
}

fn random() -> IndexCells {
    random_index(SMALL.hidden, 1500, 60)
}

/// Forty contributors, of whom the last twenty have equal sums: 20 to 31 are listed, 32 to 39 are not.
fn flat() -> IndexCells {
    let records: Vec<(u16, u8)> = (0..40).map(|k| (slot(k) as u16, if k < 20 { 200 - k as u8 } else { 7 })).collect();
    flat_index(SMALL.hidden, &records)
}

static RANDOM: LazyLock<World> = LazyLock::new(|| World::new(SMALL, 3, 2).with_index(random()));
static FLAT: LazyLock<World> = LazyLock::new(|| World::new(SMALL, 3, 2).with_index(flat()));

/// Whose index a lie is about, and how many ask.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// Two requests on [`RANDOM`], which both attribute.
    Two,
    /// One request on [`FLAT`].
    One,
}

static TWO: LazyLock<Run> = LazyLock::new(|| attributed(&RANDOM, &[(9, Some(0)), (12, Some(0))]));
static ONE: LazyLock<Run> = LazyLock::new(|| attributed(&FLAT, &[(9, Some(0))]));

impl Of {
    fn world(self) -> &'static World {
        match self {
            Self::Two => &RANDOM,
            Self::One => &FLAT,
        }
    }
    fn honest(self) -> Run {
        match self {
            Self::Two => TWO.clone(),
            Self::One => ONE.clone(),
        }
    }
}

/// What stands in a lie's way.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// Rules of the program, and nothing else.
    Rules(&'static [Rule]),
    /// Leaves of sums or choices, which have no rule of their own: they do not cancel.
    Leaves,
}

/// A lie, with all that follows from it.
struct Lie {
    what: &'static str,
    of: Of,
    stop: Stop,
    tell: fn(&mut Run),
}

const fn lie(what: &'static str, of: Of, stop: Stop, tell: fn(&mut Run)) -> Lie {
    Lie { what, of, stop, tell }
}

fn own(run: &mut Run, request: usize) -> Own<'_> {
    Own { run, request }
}

fn label(run: &Run) -> usize {
    run.statement.requests[0].output.label().into()
}

fn index() -> &'static IndexCells {
    &RANDOM.index.as_ref().expect("an index").cells
}

/// A record of request 0 with an influence above or below zero that counts.
fn counted(run: &mut Run, positive: bool) -> usize {
    let label = label(run);
    let influences = own(run, 0).row(c::INFLUENCE, RECORDS);
    let counts = |i: &usize| index().classes[*i][label] > 0 && influences[*i] != 0 && (influences[*i] > 0) == positive;
    (3..1500).find(counts).expect("a record")
}

/// Request 0 computes with cells of request 1.
fn borrowed(run: &mut Run, columns: [Column; 3], width: usize) {
    for column in columns {
        let other = own(run, 1).row(column, width);
        own(run, 0).set_row(column, 0, &other);
    }
    let label = label(run);
    own(run, 0).follow_query(index(), Some(label));
}

/// One more of a quotient, 2^16 less of its remainder.
fn next_quotient(run: &mut Run, quotient: Column, remainder: Column, width: usize) {
    let label = label(run);
    let mut own = own(run, 0);
    let quotients = own.row(quotient, width);
    let cell = (0..width).find(|&i| (1..65_535).contains(&quotients[i])).expect("a channel");
    let rest = own.cell(remainder, width, cell);
    own.set(quotient, width, 0, cell, quotients[cell] + 1);
    own.set(remainder, width, 0, cell, rest - 65_536);
    own.follow_query(index(), Some(label));
}

/// The same y, its lower half beyond its range.
fn other_halves(run: &mut Run, low: Column, high: Column, width: usize) {
    let mut own = own(run, 0);
    let (l, h) = (own.cell(low, width, 0), own.cell(high, width, 0));
    own.set(low, width, 0, 0, l + 65_536);
    own.set(high, width, 0, 0, h - 1);
}

/// A sum of request 0 and one of another request, exchanged in part.
fn sums(run: &mut Run, edits: &[(usize, usize, i64)]) {
    for &(request, slot, by) in edits {
        let mut own = own(run, request);
        let sum = own.cell(c::SUM, CONTRIBUTORS, slot);
        own.set(c::SUM, CONTRIBUTORS, 0, slot, sum + by);
        own.follow_sums();
    }
}

/// The record of request 0 with the largest score: its slot, its score.
fn largest(run: &mut Run) -> (usize, i64) {
    let scores = own(run, 0).row(c::SCORE, RECORDS);
    let record = (0..1500).max_by_key(|&i| scores[i]).expect("a record");
    (index().slots[record].into(), scores[record])
}

/// Slot `by` listed in the place of slot `out`.
fn replaced(run: &mut Run, out: usize, by: usize) {
    let mut listed = own(run, 0).listed();
    let at = listed.iter().position(|own| *own == slot(out)).expect("listed");
    listed[at] = slot(by);
    listed.sort_unstable();
    own(run, 0).follow_list(&listed, slot(by));
}

/// Slacks below zero that are said to be zero.
fn no_slack(run: &mut Run) {
    let mut own = own(run, 0);
    let below: Vec<usize> = (0..CONTRIBUTORS).filter(|&slot| own.slack(slot) < 0).collect();
    below.into_iter().for_each(|slot| own.set_slack(slot, 0));
}

/// The list with two places exchanged.
fn out_of_order(run: &mut Run) {
    let mut listed: Vec<usize> = (0..PLACES).map(slot).collect();
    listed.swap(3, 4);
    own(run, 0).follow_list(&listed, slot(31));
}

/// Another share in a place, with the remainders that follow.
fn another_share(run: &mut Run, place: usize, by: i64) {
    let mut own = own(run, 0);
    let (share, total) = (own.place(c::SHARE, place), own.total());
    own.set_share(place, share + by, total);
    own.state();
}

const Y: [Column; 3] = [c::QUERY_LOW, c::QUERY_HIGH, c::QUERY_REMAINDER];
const CONSTANT: [Column; 3] = [c::QUERY_BIAS_LOW, c::QUERY_BIAS_HIGH, c::QUERY_BIAS_REMAINDER];

/// One for each relation, each range that integers can break, and each kind of leaf.
static LIES: [Lie; 23] = {
    use Of::{One, Two};
    use Stop::{Leaves, Rules};
    [
        lie("the y of another request", Two, Rules(&[Relation("attribution query")]), |run| {
            borrowed(run, Y, SMALL.hidden);
        }),
        lie("the constant of another request", Two, Rules(&[Relation("attribution query of the constant")]), |run| {
            borrowed(run, CONSTANT, 1);
        }),
        lie("an influence of the other sign", Two, Rules(&[Relation("influence")]), |run| {
            let (label, record) = (label(run), counted(run, false));
            let mut own = own(run, 0);
            let a = own.cell(c::INFLUENCE, RECORDS, record);
            own.set(c::INFLUENCE, RECORDS, 0, record, -a);
            own.follow_influences(index(), Some(label));
        }),
        lie("another size", Two, Rules(&[Relation("size of influence")]), |run| {
            let (label, record) = (label(run), counted(run, true));
            let mut own = own(run, 0);
            let low = own.cell(c::INFLUENCE_SIZE, RECORDS, record);
            own.set(c::INFLUENCE_SIZE, RECORDS, 0, record, low ^ 512);
            own.follow_sizes(index(), Some(label));
        }),
        lie("negative influence paid", Two, Rules(&[Relation("score")]), |run| {
            let (label, record) = (label(run), counted(run, false));
            let mut own = own(run, 0);
            let paid = -own.cell(c::INFLUENCE, RECORDS, record) * i64::from(index().classes[record][label]);
            own.set(c::SCORE, RECORDS, 0, record, paid);
            own.follow_scores(index());
        }),
        lie("the shares of another request", Two, Rules(&[Relation("published shares")]), |run| {
            let other = run.statement.requests[1].shares.clone();
            run.statement.requests[0].shares = other;
        }),
        lie("y in other halves", Two, Rules(&[Range(c::QUERY_LOW)]), |run| {
            other_halves(run, c::QUERY_LOW, c::QUERY_HIGH, SMALL.hidden);
        }),
        lie("y more by one", Two, Rules(&[Range(c::QUERY_REMAINDER)]), |run| {
            next_quotient(run, c::QUERY_LOW, c::QUERY_REMAINDER, SMALL.hidden);
        }),
        lie("the constant in other halves", Two, Rules(&[Range(c::QUERY_BIAS_LOW)]), |run| {
            other_halves(run, c::QUERY_BIAS_LOW, c::QUERY_BIAS_HIGH, 1);
        }),
        lie("the constant more by one", Two, Rules(&[Range(c::QUERY_BIAS_REMAINDER)]), |run| {
            next_quotient(run, c::QUERY_BIAS_LOW, c::QUERY_BIAS_REMAINDER, 1);
        }),
        lie("an influence more by one", Two, Rules(&[Range(c::INFLUENCE_REMAINDER)]), |run| {
            let (label, record) = (label(run), counted(run, true));
            let mut own = own(run, 0);
            let a = own.cell(c::INFLUENCE, RECORDS, record);
            let remainder = own.cell(c::INFLUENCE_REMAINDER, RECORDS, record);
            own.set(c::INFLUENCE, RECORDS, 0, record, a + 1);
            own.set(c::INFLUENCE_REMAINDER, RECORDS, 0, record, remainder - 65_536);
            own.follow_influences(index(), Some(label));
        }),
        lie("a size below zero", Two, Rules(&[Range(c::INFLUENCE_SIZE)]), |run| {
            let (label, record) = (label(run), counted(run, false));
            let mut own = own(run, 0);
            let a = own.cell(c::INFLUENCE, RECORDS, record);
            own.set(c::INFLUENCE_SIZE, RECORDS, 0, record, a);
            own.set(c::INFLUENCE_SIZE, RECORDS, 1, record, 0);
            own.follow_sizes(index(), Some(label));
        }),
        lie("a part of a sum moved to another request", Two, Leaves, |run| {
            let (slot, score) = largest(run);
            sums(run, &[(0, slot, -score), (1, slot, score)]);
        }),
        lie("numbers of two contributors exchanged", One, Rules(&[Relation("contributor numbers")]), |run| {
            run.columns.get_mut(&c::CONTRIBUTOR_NUMBER).expect("a column").swap(slot(31), slot(32));
            own(run, 0).follow_sums();
        }),
        lie("the 33rd instead of the 20th, a slack that is none", One, Rules(&[Relation("largest shares")]), |run| {
            replaced(run, 19, 32);
            no_slack(run);
        }),
        lie("the 33rd instead of the 20th", One, Rules(&[Range(c::CHOSEN_SLACK)]), |run| replaced(run, 19, 32)),
        lie("a list out of order, a gap that is none", One, Rules(&[Relation("order of places")]), |run| {
            out_of_order(run);
            own(run, 0).set_place(c::PLACE_GAP, 3, 0);
        }),
        lie("a list out of order", One, Rules(&[Range(c::PLACE_GAP)]), out_of_order),
        lie("another sum beside a slot", One, Leaves, |run| {
            let mut own = own(run, 0);
            let (sum, total) = (own.place(c::PLACE_SUM, 30), own.total());
            own.set_place(c::PLACE_SUM, 30, sum + 1);
            own.follow_places(total);
        }),
        lie("a share more by one", One, Rules(&[Range(c::SHARE_REMAINDER)]), |run| another_share(run, 0, 1)),
        lie("a share more by one, with the honest remainder", One, Rules(&[Relation("share")]), |run| {
            let (remainder, total) = (own(run, 0).remainder(0), own(run, 0).total());
            another_share(run, 0, 1);
            own(run, 0).set_remainder(0, remainder);
            own(run, 0).set_room(0, total - remainder);
        }),
        lie("a share less by one", One, Rules(&[Range(c::SHARE_SLACK)]), |run| another_share(run, 31, -1)),
        lie("a share less by one, with no room", One, Rules(&[Relation("remainder of a share")]), |run| {
            another_share(run, 31, -1);
            own(run, 0).set_room(31, 0);
        }),
    ]
};

/// Ranges that only cells which are no integers can break, and leaves that are not those of their cells: the proofs of the second
/// prover below.
const FRACTIONS: [Column; 3] = [c::QUERY_HIGH, c::QUERY_BIAS_HIGH, c::SHARE];

/// The check whose rows must fail, and no others.
fn check(world: &World, run: &Run, stop: Stop) -> &'static str {
    let Stop::Rules(rules) = stop else { return SUM };
    if rules.iter().any(|rule| matches!(rule, Range(_))) {
        return SUM;
    }
    // The prover computes a form's value as what its relation demands, so that it is the claim on it which fails.
    let layout = world.layout(run);
    let formless = |name: &str| {
        let mut own = layout.relations().iter().filter(|relation| relation.name == name);
        own.any(|relation| !relation.products.is_empty() && relation.form.terms.is_empty())
    };
    let all = rules.iter().all(|rule| matches!(rule, Relation(name) if formless(name)));
    if all { RELATIONS } else { REDUCTION }
}

fn compiled(world: &World, shape: Shape) -> Compiled {
    Compiled::new(&CircuitShape::of(&world.key, shape)).expect("a circuit")
}

/// The check that the native field part stops at is this one, and its rows are the only ones that fail.
#[track_caller]
fn judged(world: &World, proof: &InferenceProof, what: &str, by: &'static str) {
    let compiled = compiled(world, proof.statement.shape);
    let scalars = scalars(world, proof);
    let native = compiled.run(&mut Native, &scalars, &proof.messages, |_, value: Fr| value).map(drop);
    let error = native.expect_err("accepted").to_string();
    assert!(error.contains(by), "{what}: {error} instead of {by}");
    let circuit = compiled.circuit(&scalars, &proof.messages).expect("rows");
    assert_eq!(broken(&circuit), BTreeSet::from([by]), "{what}");
}

/// The honest run with a lie, counted for a program.
fn told(lie: &Lie) -> Run {
    let mut run = lie.of.honest();
    (lie.tell)(&mut run);
    assert!(run.columns != lie.of.honest().columns || run.statement != lie.of.honest().statement, "{}", lie.what);
    run
}

/// Every relation and every range that an attribution adds has a lie here.
#[test]
fn every_rule_is_lied_about() {
    let layout = RANDOM.layout(&TWO);
    let plain = RANDOM.key.architecture.layout(&Shape { records: 0, ..layout.shape }).expect("a layout");
    let rules = || LIES.iter().filter_map(|lie| if let Stop::Rules(rules) = lie.stop { Some(rules) } else { None });
    let relations: BTreeSet<&str> =
        rules().flatten().filter_map(|rule| if let Relation(name) = rule { Some(*name) } else { None }).collect();
    let new = layout.relations().iter().map(|own| own.name);
    let new: BTreeSet<&str> = new.filter(|name| plain.relations().iter().all(|own| own.name != *name)).collect();
    assert_eq!(relations, new);
    let ranges = rules().flatten().filter_map(|rule| if let Range(column) = rule { Some(*column) } else { None });
    let ranges: BTreeSet<Column> = ranges.chain(FRACTIONS).collect();
    let new = layout.placements().map(|placement| &placement.spec);
    let new = new.filter(|spec| plain.placement(spec.column).is_err() && matches!(spec.lookup, Lookup::Key { .. }));
    assert_eq!(ranges, new.map(|spec| spec.column).collect());
}

#[test]
fn honest_attributions_are_satisfied() {
    for of in [Of::One, Of::Two] {
        let (world, run) = (of.world(), of.honest());
        let proof = world.prove(&run).expect("a proof");
        let circuit = compiled(world, run.statement.shape).circuit(&scalars(world, &proof), &proof.messages);
        assert_eq!(broken(&circuit.expect("rows")), BTreeSet::new(), "{of:?}");
    }
}

#[test]
fn no_lie_about_an_attribution_is_a_settlement() {
    for lie in &LIES {
        let (world, mut run) = (lie.of.world(), told(lie));
        recount(world, &mut run);
        let proof = world.prove(&run).expect("the prover does not look");
        judged(world, &proof, lie.what, check(world, &run, lie.stop));
    }
}

/// The same witnesses satisfy the circuit of the program without the rule.
#[test]
#[ignore = "a second proof for each lie: a minute"]
fn without_its_rule_each_lie_is_a_settlement() {
    for lie in &LIES {
        let Stop::Rules(rules) = lie.stop else { continue };
        let (world, mut run) = (lie.of.world(), told(lie));
        let layout = without(&world.layout(&run), rules);
        recount_on(&layout, &mut run);
        let proof = prove_by(world, &layout, &run, &|_| {});
        let of = CircuitShape::of(&world.key, run.statement.shape);
        let circuit = Compiled { of, layout }.circuit(&scalars(world, &proof), &proof.messages).expect("rows");
        assert_eq!(broken(&circuit), BTreeSet::new(), "{}", lie.what);
    }
}

/// A tree whose leaves are not those of the cells.
struct OtherLeaves<F>(F);
impl<F: FnMut(&LeafChallenges<Fr>, &mut [Fr], &mut [Fr])> Forger for OtherLeaves<F> {
    fn leaves(&mut self, leaf: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]) {
        (self.0)(leaf, p, q);
    }
}

/// A numerator that is chosen when X is known: the leaf is not its cell's.
#[test]
fn leaves_of_sums_are_those_of_their_cells() {
    let mut run = Of::One.honest();
    sums(&mut run, &[(0, slot(0), -90), (0, slot(1), 90)]);
    recount(&FLAT, &mut run);
    let leaf = at(&FLAT.layout(&run), c::SUM, slot(1));
    let proof = prove(
        &FLAT,
        &run,
        &[],
        &mut OtherLeaves(|_: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]| {
            let others = p.iter().zip(&*q).enumerate().filter(|(i, (p, _))| *i != leaf && **p != Fr::ZERO);
            let rest: Fr = others.map(|(_, (p, q))| *p * q.invert().unwrap()).sum();
            p[leaf] = -rest * q[leaf];
        }),
    );
    judged(&FLAT, &proof, "a numerator chosen after X", REDUCTION);
}

/// Cells that are no integers, which every relation holds for.
#[test]
fn no_fraction_in_an_attribution_is_a_settlement() {
    let judge = |world: &World, mut run: Run, column: Column, field: &[(Column, usize, Fr)]| {
        assert!(FRACTIONS.contains(&column));
        recount(world, &mut run);
        judged(world, &prove(world, &run, field, &mut Faithful), &format!("{column:?}"), SUM);
    };
    let half = |bits: u64| Fr::TWO_INV.pow([bits]);
    // y_k + 1/2^16 in its upper half, the remainder less by 1: all features are zero.
    let mut run = Of::One.honest();
    let mut own = self::own(&mut run, 0);
    let remainder = own.cell(c::QUERY_REMAINDER, SMALL.hidden, 17);
    own.set(c::QUERY_REMAINDER, SMALL.hidden, 0, 17, remainder - 1);
    judge(&FLAT, run, c::QUERY_HIGH, &[(c::QUERY_HIGH, 17, half(32))]);
    // y_b + 2/2^16: every influence's remainder is 1 more.
    let mut run = Of::One.honest();
    let mut own = self::own(&mut run, 0);
    let remainder = own.cell(c::QUERY_BIAS_REMAINDER, 1, 0);
    own.set_row(c::QUERY_BIAS_REMAINDER, 0, &[remainder - 2]);
    let remainders: Vec<i64> = own.row(c::INFLUENCE_REMAINDER, RECORDS).iter().map(|own| own + 1).collect();
    own.set_row(c::INFLUENCE_REMAINDER, 0, &remainders);
    judge(&FLAT, run, c::QUERY_BIAS_HIGH, &[(c::QUERY_BIAS_HIGH, 0, half(31))]);
    // Two shares that are fractions, whose word is one of integers: 2^28·q - d = T + 1, remainders less by q and more by d.
    let mut run = attributed(&RANDOM, &[(9, Some(0))]);
    let mut own = self::own(&mut run, 0);
    let divisor = own.total() + 1;
    let (first, second) = (own.remainder(0), own.remainder(1));
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
    let field = [(c::SHARE, 0, -number(d) * inverse), (c::SHARE, 1, number(q) * inverse)];
    judge(&RANDOM, run, c::SHARE, &field);
}

/// The bit of a request whose adapter is another one's: the circuit proves what the word says, and shows the word. It is the
/// verifier's, and the contract's, to compute it from the adapters.
#[test]
fn who_attributes_is_what_the_public_word_says() {
    let honest = attributed(&RANDOM, &[(9, Some(0)), (12, Some(1))]);
    let compiled = compiled(&RANDOM, honest.statement.shape);
    let mut run = honest.clone();
    let class = run.statement.requests[1].output.label().into();
    own(&mut run, 1).follow_query(index(), Some(class));
    recount(&RANDOM, &mut run);
    assert_ne!(run.statement.requests[1].shares, honest.statement.requests[1].shares);
    let edit = |own: &mut Inputs<Fr>| own.attributing = Some(Fr::from(3));
    let proof = prove_by(&RANDOM, &compiled.layout, &run, &edit);
    let mut inputs = scalars(&RANDOM, &proof);
    assert!(RANDOM.verify(&proof).is_err());
    assert_ne!(broken(&compiled.circuit(&inputs, &proof.messages).expect("rows")), BTreeSet::new());
    edit(&mut inputs);
    let circuit = compiled.circuit(&inputs, &proof.messages).expect("rows");
    assert_eq!(broken(&circuit), BTreeSet::new());
    // Shape, layout, context, base, scales, adapters, index.
    assert_eq!(circuit.instance()[7], Fr::from(3));
}
