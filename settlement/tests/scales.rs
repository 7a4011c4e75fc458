//! Scales that no honest base has. A contract stores any scales word, so C of a norm may be any field element: the circuit
//! still has one reciprocal root for each row (soundness.md, LayerNorm).

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;

use inference::naive::{Forger, prove};
use lorica_circuits::bn254::{Fr, PrimeField};
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::{Scales, columns};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::statement::{CircuitShape, Compiled};
use support::{Run, World, inference, scalars, world};

/// The norm whose scale is hostile.
const NORM: usize = 1;
const LIMBS: usize = 5;

/// A scale is larger by so much than the base's file says.
struct Hostile {
    scale: usize,
    more: Fr,
}

impl Forger for Hostile {
    fn scales(&mut self, scales: &mut [Fr]) {
        scales[self.scale] += self.more;
    }
}

/// Rows of the norm in the columns that have one cell for each.
fn rows(world: &World, run: &Run) -> std::ops::Range<usize> {
    let per_norm = run.columns[&columns::NORM_ROOT].len() / world.key.scales.norms.len();
    NORM * per_norm..(NORM + 1) * per_norm
}

/// Writes a slack of a row, lowest limb first, the highest with the sign; counts what is looked up.
fn write_slack(run: &mut Run, which: usize, row: usize, slack: i128) {
    let count = run.columns[&columns::NORM_ROOT].len();
    for limb in 0..LIMBS {
        let rest = slack >> (16 * limb);
        let value = if limb + 1 < LIMBS { rest & 0xffff } else { rest };
        let value = i64::try_from(value).unwrap();
        let cells = run.columns.get_mut(&columns::NORM_SLACK).unwrap();
        let old = std::mem::replace(&mut cells[(which * LIMBS + limb) * count + row], value);
        let counts = run.columns.get_mut(&columns::MULT_RANGE16).unwrap();
        counts[usize::try_from(old).unwrap()] -= 1;
        if let Some(count) = usize::try_from(value).ok().and_then(|key| counts.get_mut(key)) {
            *count += 1;
        }
    }
}

/// Both slacks of a row under C and a root.
fn slacks(run: &Run, row: usize, root: i64, c: i128) -> [i128; 2] {
    let (root, v) = (i128::from(root), i128::from(run.columns[&columns::NORM_VARIANCE][row]));
    [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c]
}

#[test]
fn a_hostile_root_scale_gives_one_root() {
    let world = world();
    let honest = world.run(OutputKind::Embed, &[(9, Some(0))]);
    let rows = rows(&world, &honest);
    let c = 1i128 << world.key.scales.norms[NORM].root;
    let root = |row: usize| honest.columns[&columns::NORM_ROOT][row];
    // A C that is no power of two, and that every row can have with its root.
    let room = rows.clone().map(|row| slacks(&honest, row, root(row), c)[1]).min().unwrap();
    let more = room / 2 + 1;
    assert!(more > 1 && !(c + more).unsigned_abs().is_power_of_two());
    let mut run = honest.clone();
    for row in rows.clone() {
        for (which, slack) in slacks(&honest, row, root(row), c + more).into_iter().enumerate() {
            write_slack(&mut run, which, row, slack);
        }
    }
    let scale = Scales::root(NORM).0;
    let compiled = Compiled::new(&CircuitShape::of(&world.key, honest.statement.shape)).unwrap();
    let broken = |run: &Run, field: &[(Column, usize, Fr)], more: Fr| -> BTreeSet<&'static str> {
        let proof = prove(&world, run, field, &mut Hostile { scale, more });
        let mut inputs = scalars(&world, &proof);
        inputs.scales[scale] += more;
        judge::broken(&compiled.circuit(&inputs, &proof.messages).unwrap())
    };
    let hostile = c + more;
    let more = Fr::from(u64::try_from(more).unwrap());
    assert_eq!(broken(&run, &[], more), BTreeSet::new(), "the hostile base's own model is proven");

    // The next root, either way, at one row: a slack is negative, and its highest limb is in no table.
    let sum = "lookup: the sum of fractions is zero";
    let row = rows.start + 2;
    for by in [-1, 1] {
        let mut run = run.clone();
        let column = run.columns.get_mut(&columns::NORM_ROOT).unwrap();
        let old = std::mem::replace(&mut column[row], root(row) + by);
        let counts = run.columns.get_mut(&columns::MULT_RANGE16).unwrap();
        counts[old as usize] -= 1;
        counts[(old + by) as usize] += 1;
        let own = slacks(&run, row, root(row) + by, hostile);
        assert!(own.iter().any(|slack| *slack < 0));
        for (which, slack) in own.into_iter().enumerate() {
            write_slack(&mut run, which, row, slack);
        }
        assert!(broken(&run, &[], more).contains(sum), "root off by {by}");
    }
    // A C of the size of the field, which the lowest limbs take up as field elements.
    let huge = Fr::TWO_INV + Fr::from(5);
    let count = run.columns[&columns::NORM_ROOT].len();
    let taken =
        |which: usize, by: Fr| rows.clone().map(move |row| (columns::NORM_SLACK, which * LIMBS * count + row, by));
    let field: Vec<(Column, usize, Fr)> = taken(0, huge).chain(taken(1, -huge)).collect();
    let names = broken(&honest, &field, huge);
    assert_eq!(names, BTreeSet::from([sum]), "the relations hold, the ranges do not");
}
