//! Malicious provers that depart from the protocol itself: cells that are no integers, fraction trees, sumchecks and
//! functionals of their own. Each is followed through consistently, and the check that catches it is named; where the
//! check is an equation, a verifier that overlooks it shows that nothing else would have.

use super::support;

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::{Lookup, Table};
use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::OutputKind::{Classify, Embed};
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::proof_transcript;
use lorica_verifier::protocol::lookup::{LeafChallenges, verify_tree};
use lorica_verifier::protocol::multilinear::integer;
use lorica_verifier::protocol::proof::InferenceProof;
use support::hooked::Hooked;
use support::naive::{Faithful, Forger, Lenient, prove, prove_tree, verify_without};
use support::{Run, World};

const SUM: &str = "lookup: the sum of fractions is zero";
const DENOMINATOR: &str = "lookup: the common denominator is not zero";
const RELATIONS: &str = "relations: the sumcheck's end";
const REDUCTION: &str = "reduction: the weights' value at the point";

#[track_caller]
fn caught(world: &World, proof: &InferenceProof, overlooked: &'static [&'static str], by: &str) {
    let error = verify_without(world, proof, overlooked).expect_err("accepted").to_string();
    assert!(error.contains(by), "{error} instead of {by}");
    super::circuit::judge(&world.key, proof);
}

/// One look-up fewer (or more) of an integer key.
fn count(run: &mut Run, table: Table, key: i64, by: i64) {
    run.columns.get_mut(&support::counts_of(table)).expect("a column")[key as usize] += by;
}

#[test]
fn an_independent_prover_is_accepted() {
    let world = World::new(SMALL, 61, 2);
    for (kind, requests) in [(Embed, vec![(7, None)]), (Classify, vec![(5, Some(1)), (16, Some(0))])] {
        let proof = prove(&world, &world.run(kind, &requests), &[], &mut Faithful);
        world.verify(&proof).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    }
}

/// `y + c/2^16` and a remainder less by c: the relation holds in the field, and the remainder is in its range. Only the
/// range of y notices, and it has no multiplicity to offer.
#[test]
fn fractions_are_in_no_range() {
    let world = World::new(SMALL, 62, 1);
    let honest = world.run(Classify, &[(9, Some(0))]);
    for (value, remainder) in [
        (columns::QKV, columns::QKV_REMAINDER),
        (columns::CONTEXT, columns::CONTEXT_REMAINDER),
        (columns::MAX, columns::SCORE_REMAINDER),
        (columns::INTERMEDIATE, columns::INTERMEDIATE_REMAINDER),
        (columns::OUTPUT_LOW, columns::OUTPUT_REMAINDER),
        (columns::LORA_HIDDEN, columns::LORA_HIDDEN_REMAINDER),
        (columns::POOLER_KEY, columns::POOLER_REMAINDER),
    ] {
        let mut run = honest.clone();
        let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
        let Lookup::Key { table, .. } = layout.placement(value).expect("a placement").spec.lookup else { panic!() };
        let offset = layout.placement(value).expect("a placement").spec.lookup.offset();
        let old = run.columns[&remainder][0];
        let new = (old + 1) % 65536;
        run.columns.get_mut(&remainder).expect("a column")[0] = new;
        count(&mut run, Table::RANGE16, old, -1);
        count(&mut run, Table::RANGE16, new, 1);
        let fraction = integer(old - new) * Fr::TWO_INV.pow([16]);
        // The key that y had is looked up no more, or still: neither helps.
        for by in [0, -1] {
            let mut run = run.clone();
            let key = run.columns[&value][0] + offset;
            count(&mut run, table, key, by);
            let proof = prove(&world, &run, &[(value, 0, fraction)], &mut Faithful);
            caught(&world, &proof, &[], SUM);
        }
    }
    // The other way round: half a unit in the remainder, none in y; and a remainder that is x/2^j of an integer.
    for fraction in [Fr::TWO_INV, integer(3) * Fr::TWO_INV.pow([7])] {
        let proof = prove(&world, &honest, &[(columns::QKV_REMAINDER, 5, fraction)], &mut Faithful);
        caught(&world, &proof, &[], SUM);
    }
}

/// A limb one unit beyond its range, the next limb one less: every relation still holds. Index of the limb, and what it
/// was.
fn beyond(world: &World, run: &mut Run) -> (usize, i64) {
    let cells = run.columns.get_mut(&columns::PROB_REMAINDER).expect("a column");
    let half = cells.len() / 2;
    let at = (0..half).find(|i| cells[half + i] > 0).expect("a limb");
    let (old, high) = (cells[at], cells[half + at]);
    cells[at] += 65536;
    cells[half + at] -= 1;
    count(run, Table::RANGE16, high, -1);
    count(run, Table::RANGE16, high - 1, 1);
    assert_eq!(world.broken(run), Vec::<&str>::new());
    (at, old)
}

/// A cell beyond its table, and a tree whose leaf says otherwise: numerator 0, or the key of an entry that was counted.
struct OtherLeaf {
    leaf: usize,
    numerator: Fr,
    key: Option<(u64, u64)>,
}

impl Forger for OtherLeaf {
    fn leaves(&mut self, leaf: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]) {
        p[self.leaf] = self.numerator;
        if let Some((key, id)) = self.key {
            q[self.leaf] = leaf.x - Fr::from(key) - leaf.b.square() * Fr::from(id);
        }
    }
}

#[test]
fn leaves_are_tied_to_their_cells() {
    let world = World::new(SMALL, 63, 0);
    let mut run = world.run(Embed, &[(9, None)]);
    let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
    let (at, old) = beyond(&world, &mut run);
    let leaf = support::at(&layout, columns::PROB_REMAINDER, at);
    caught(&world, &prove(&world, &run, &[], &mut Faithful), &[], SUM);
    // The old key in the tree instead of the cell's.
    let mut forger = OtherLeaf { leaf, numerator: Fr::ONE, key: Some((old as u64, 1)) };
    let proof = prove(&world, &run, &[], &mut forger);
    caught(&world, &proof, &[], REDUCTION);
    verify_without(&world, &proof, &[REDUCTION]).expect("nothing else notices");
    // No lookup at all.
    count(&mut run, Table::RANGE16, old, -1);
    let mut forger = OtherLeaf { leaf, numerator: Fr::ZERO, key: None };
    let proof = prove(&world, &run, &[], &mut forger);
    caught(&world, &proof, &[], REDUCTION);
    verify_without(&world, &proof, &[REDUCTION]).expect("nothing else notices");
}

/// Multiplicities that are chosen when X is known make the sum vanish; they are not the committed ones.
struct LateMultiplicity {
    leaf: usize,
}

impl Forger for LateMultiplicity {
    fn leaves(&mut self, _leaf: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]) {
        let rest: Fr = p
            .iter()
            .zip(&*q)
            .enumerate()
            .filter(|(i, (p, _))| *i != self.leaf && !bool::from(p.is_zero()))
            .map(|(_, (p, q))| *p * q.invert().unwrap())
            .sum();
        p[self.leaf] = -rest * q[self.leaf];
    }
}

#[test]
fn multiplicities_come_before_the_challenge() {
    let world = World::new(SMALL, 64, 0);
    let mut run = world.run(Embed, &[(9, None)]);
    beyond(&world, &mut run);
    let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
    let leaf = support::at(&layout, columns::MULT_RANGE16, 0);
    let proof = prove(&world, &run, &[], &mut LateMultiplicity { leaf });
    caught(&world, &proof, &[], REDUCTION);
    verify_without(&world, &proof, &[REDUCTION]).expect("nothing else notices");
}

/// 1/0 twice: numerator and denominator of the root are both zero, whatever the other leaves are.
struct TwoPoles([usize; 2]);

impl Forger for TwoPoles {
    fn leaves(&mut self, _leaf: &LeafChallenges<Fr>, _p: &mut [Fr], q: &mut [Fr]) {
        for leaf in self.0 {
            q[leaf] = Fr::ZERO;
        }
    }
}

#[test]
fn a_root_of_nothing_over_nothing_is_rejected() {
    // The tree alone: nothing but the denominator's inverse notices.
    for (poles, size) in [([0usize, 1], 8usize), ([3, 12], 16), ([40, 41], 64)] {
        let p = (0..size as u64).map(|i| Fr::from(i + 1)).collect::<Vec<_>>();
        let mut q = (0..size as u64).map(|i| Fr::from(7 * i + 3)).collect::<Vec<_>>();
        poles.iter().for_each(|&i| q[i] = Fr::ZERO);
        let (messages, point) = prove_tree(&mut proof_transcript(&mut Native), (p.clone(), q.clone()));
        let [p0, p1, q0, q1] = messages.root;
        assert_eq!((p0 * q1 + p1 * q0, q0 * q1), (Fr::ZERO, Fr::ZERO));
        let error = verify_tree(&mut Native, &mut proof_transcript(&mut Native), &messages).expect_err("accepted");
        assert!(error.to_string().contains(DENOMINATOR), "{error}");
        let a = &mut Hooked(Lenient(&[DENOMINATOR]));
        let transcript = &mut proof_transcript(a);
        let claim = verify_tree(a, transcript, &messages).expect("nothing else notices");
        assert_eq!(claim.point, point);
        // One zero denominator: the numerator is not zero.
        q[poles[1]] = Fr::ONE;
        let (messages, _) = prove_tree(&mut proof_transcript(&mut Native), (p, q));
        let error = verify_tree(&mut Native, &mut proof_transcript(&mut Native), &messages).expect_err("accepted");
        assert!(error.to_string().contains(SUM), "{error}");
    }
    // In a whole proof, around a lookup that is not in its table; the leaves' claims stand behind the inverse.
    let world = World::new(SMALL, 65, 0);
    let mut run = world.run(Embed, &[(9, None)]);
    beyond(&world, &mut run);
    for poles in [[0, 1], [17, 300]] {
        let proof = prove(&world, &run, &[], &mut TwoPoles(poles));
        caught(&world, &proof, &[], DENOMINATOR);
        caught(&world, &proof, &[DENOMINATOR], REDUCTION);
    }
}

/// The factor of relations with fewer variables left out.
struct WithoutFactor;
impl Forger for WithoutFactor {
    fn skipped(&mut self, _skipped: usize) -> usize {
        0
    }
}

/// A false relation, and rounds that add up by construction: the linear coefficient is what the verifier derives, so
/// every claimed sum "holds", and the lie moves to the end.
struct Degree {
    extra: Fr,
}
impl Forger for Degree {
    fn relation_round(&mut self, round: usize, _claim: Fr, message: &mut [Fr; 3]) {
        if round == 0 {
            message[2] += self.extra;
        }
    }
}

#[test]
fn forged_relation_sumchecks_are_rejected() {
    let world = World::new(SMALL, 66, 1);
    let run = world.run(Classify, &[(9, Some(0))]);
    let proof = prove(&world, &run, &[], &mut WithoutFactor);
    caught(&world, &proof, &[], RELATIONS);
    verify_without(&world, &proof, &[RELATIONS]).expect("nothing else notices");
    let proof = prove(&world, &run, &[], &mut Degree { extra: Fr::from(3) });
    caught(&world, &proof, &[], RELATIONS);
    // A relation that does not hold, proven as if it did.
    let mut broken = run.clone();
    broken.columns.get_mut(&columns::NORM_SQUARES).expect("a column")[0] += 1;
    let proof = prove(&world, &broken, &[], &mut Faithful);
    caught(&world, &proof, &[], RELATIONS);
    verify_without(&world, &proof, &[RELATIONS]).expect("nothing else notices");
}

/// Values of operands with the same product, values of forms with the same sum.
struct SameProduct;
impl Forger for SameProduct {
    fn operands(&mut self, operands: &mut [Fr]) {
        operands[0] = operands[0].double();
        operands[1] *= Fr::TWO_INV;
    }
}

/// Form values moved so that a broken relation seems to hold.
struct FormValue(usize, Fr);
impl Forger for FormValue {
    fn forms(&mut self, forms: &mut [Fr]) {
        forms[self.0] += self.1;
    }
}

/// A functional left out, or two of them exchanged, by who computes the reduction.
struct Functionals {
    zeroed: usize,
    instead: Option<usize>,
    kept: Vec<(usize, Fr)>,
}
impl Forger for Functionals {
    fn functional(&mut self, claim: usize, weights: &mut Vec<(usize, Fr)>) {
        if claim == self.zeroed {
            self.kept = std::mem::take(weights);
        } else if Some(claim) == self.instead {
            weights.append(&mut self.kept.clone());
        }
    }
}

#[test]
fn claims_are_tied_to_their_functionals() {
    let world = World::new(SMALL, 67, 1);
    let run = world.run(Classify, &[(9, Some(0))]);
    let proof = prove(&world, &run, &[], &mut SameProduct);
    caught(&world, &proof, &[], REDUCTION);
    verify_without(&world, &proof, &[REDUCTION]).expect("nothing else notices");
    // "query, key, value" is the first relation with a form.
    let mut broken = run.clone();
    broken.columns.get_mut(&columns::NORM_SQUARES).expect("a column")[3] += 1;
    let proof = prove(&world, &broken, &[], &mut FormValue(0, Fr::ONE));
    caught(&world, &proof, &[], RELATIONS);
    let honest = prove(&world, &run, &[], &mut Faithful);
    let last = honest.messages.operands.len() + honest.messages.forms.len() + 4;
    for zeroed in [0, 1, last / 2, last] {
        // Left out, and read by the claim after it instead.
        for instead in [None, Some(zeroed + 1)] {
            let mut forger = Functionals { zeroed, instead, kept: vec![] };
            let proof = prove(&world, &run, &[], &mut forger);
            assert!(!forger.kept.is_empty(), "claim {zeroed} reads nothing");
            caught(&world, &proof, &[], REDUCTION);
        }
    }
}

/// Both leaf claims zeroed at once with a lookup that fails: the reduction misses them both.
#[test]
fn leaf_claims_cannot_be_dropped() {
    struct Both(usize);
    impl Forger for Both {
        fn functional(&mut self, claim: usize, weights: &mut Vec<(usize, Fr)>) {
            if claim >= self.0 {
                weights.clear();
            }
        }
    }
    let world = World::new(SMALL, 68, 0);
    let run = world.run(Embed, &[(4, None)]);
    let honest = prove(&world, &run, &[], &mut Faithful);
    world.verify(&honest).expect("the honest proof");
    // "attained once", "attained by a real token", "softmax remainder" and "mean pooling" are claims without products.
    let leaves = honest.messages.operands.len() + honest.messages.forms.len() + 4;
    let proof = prove(&world, &run, &[], &mut Both(leaves));
    caught(&world, &proof, &[], REDUCTION);
}
