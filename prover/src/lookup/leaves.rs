//! The leaves as small integers: they are never stored as field elements.

use lorica_cells::Slice;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::{CHOICE_ID, Column, GroupLeaf, Lookup, SUM_ID, Table, TableSpec};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_verifier::protocol::lookup::LeafChallenges;
use lorica_verifier::protocol::multilinear::integer;

use super::packed::Fraction;
use super::{CHUNK_LEAVES, SUBTREE};
use crate::cells::Cells;
use crate::lanes::{LANES, Lanes};

/// Leaves with fractions `(numerator - count) / (denominator - key - b·value)`, or with the count added.
#[derive(Clone, Copy, PartialEq)]
struct Class {
    numerator: Fr,
    denominator: Fr,
    has_values: bool,
    has_counts: bool,
    /// Whether counts are sums, which are added.
    adds: bool,
}

/// Keys of a run of leaves.
enum Keys<'c> {
    Cells(Slice<'c>),
    /// A table's entries.
    Index,
}

/// A run of leaves of one class.
struct Run<'c> {
    start: usize,
    class: u16,
    keys: Keys<'c>,
    values: Slice<'c>,
    counts: Slice<'c>,
    length: usize,
}

/// Where leaves come from.
pub(super) struct Leaves<'c> {
    classes: Vec<Class>,
    runs: Vec<Run<'c>>,
    b: Fr,
    length: usize,
}

/// The integers of one chunk of leaves.
struct Integers {
    classes: Vec<u16>,
    keys: Vec<i64>,
    values: Vec<i64>,
    counts: Vec<i64>,
}

/// Memory for one chunk.
pub(super) struct Scratch<V: Lanes> {
    integers: Integers,
    fractions: Vec<Fraction<V>>,
}

impl<V: Lanes> Scratch<V> {
    pub(super) fn new() -> Self {
        let column = || vec![0i64; CHUNK_LEAVES];
        let integers = Integers { classes: vec![0; CHUNK_LEAVES], keys: column(), values: column(), counts: column() };
        Self { integers, fractions: Vec::with_capacity(SUBTREE) }
    }
}

impl<'c> Leaves<'c> {
    /// Reads the layout.
    pub(super) fn new(
        layout: &Layout,
        cells: &'c Cells,
        challenges: &LeafChallenges<Fr>,
    ) -> Result<Self, CircuitError> {
        let unused =
            Class { numerator: Fr::ZERO, denominator: Fr::ONE, has_values: false, has_counts: false, adds: false };
        let mut leaves =
            Self { classes: vec![unused], runs: Vec::new(), b: challenges.b, length: layout.leaves() as usize };
        let constant = |table: Table| challenges.x - Fr::from(table.id()) * challenges.b.square();
        for placement in layout.placements() {
            let (table, value) = match placement.spec.lookup {
                Lookup::None => continue,
                Lookup::Group(leaf) => {
                    leaves.group(layout, cells, challenges, placement.spec.column, leaf)?;
                    continue;
                }
                Lookup::Key { table, value, .. } => (table, value),
            };
            let values = match value {
                Some(column) => cells.column(layout, column, 0)?,
                None => Slice::EMPTY,
            };
            let keys = cells.column(layout, placement.spec.column, 0)?;
            let class = leaves.class(Class {
                numerator: Fr::ONE,
                denominator: constant(table) - integer(placement.spec.lookup.offset()),
                has_values: !values.is_empty(),
                has_counts: false,
                adds: false,
            });
            for (first, start, length) in placement.leaf_runs() {
                let own = |column: Slice<'c>| column.get(first..first + length).unwrap_or(Slice::EMPTY);
                leaves.runs.push(Run {
                    start: start as usize,
                    class,
                    keys: Keys::Cells(own(keys)),
                    values: own(values),
                    counts: Slice::EMPTY,
                    length,
                });
            }
        }
        for TableSpec { table, values, multiplicities } in layout.program.tables.iter().copied() {
            let values = match values {
                Some(column) => cells.column(layout, column, 0)?,
                None => Slice::EMPTY,
            };
            let class = leaves.class(Class {
                numerator: Fr::ZERO,
                denominator: constant(table),
                has_values: !values.is_empty(),
                has_counts: true,
                adds: false,
            });
            leaves.runs.push(Run {
                start: layout.placement(multiplicities)?.leaf_start(0) as usize,
                class,
                keys: Keys::Index,
                values,
                counts: cells.column(layout, multiplicities, 0)?,
                length: 1 << table.bits(),
            });
        }
        leaves.runs.sort_by_key(|run| run.start);
        Ok(leaves)
    }

    /// The leaves of a column of summands, sums, choices or counts: those of each request have a class of their own.
    fn group(
        &mut self,
        layout: &Layout,
        cells: &'c Cells,
        challenges: &LeafChallenges<Fr>,
        column: Column,
        leaf: GroupLeaf,
    ) -> Result<(), CircuitError> {
        let own = cells.column(layout, column, 0)?;
        let placement = layout.placement(column)?;
        let requests = layout.shape.requests;
        let length = placement.spec.len() / requests;
        let b_squared = challenges.b.square();
        for request in 0..requests {
            let number = Fr::from(request as u64);
            let sums = challenges.x - b_squared * Fr::from(SUM_ID) - challenges.b * number;
            let choices = challenges.x - b_squared * (Fr::from(CHOICE_ID) + number);
            let part = |cells: Slice<'c>| cells.get(request * length..(request + 1) * length).unwrap_or(Slice::EMPTY);
            let class = |denominator, has_values, adds| Class {
                numerator: Fr::ZERO,
                denominator,
                has_values,
                has_counts: true,
                adds,
            };
            let start = placement.leaf_start(0) as usize + request * length;
            let run = |class, keys, values| Run { start, class, keys, values, counts: part(own), length };
            match leaf {
                GroupLeaf::Summand { group } => {
                    let class = self.class(class(sums, false, false));
                    self.runs.push(run(class, Keys::Cells(cells.column(layout, group, 0)?), Slice::EMPTY));
                }
                GroupLeaf::Sum => {
                    let class = self.class(class(sums, false, true));
                    self.runs.push(run(class, Keys::Index, Slice::EMPTY));
                }
                GroupLeaf::Count { sum } => {
                    let class = self.class(class(choices, true, false));
                    self.runs.push(run(class, Keys::Index, part(cells.column(layout, sum, 0)?)));
                }
                GroupLeaf::Choice { sum } => {
                    let class =
                        self.class(Class { numerator: Fr::ONE, has_counts: false, ..class(choices, true, false) });
                    let values = cells.column(layout, sum, 0)?;
                    // The requests lie within a choice.
                    for choice in 0..length {
                        let at = choice * requests + request;
                        let one = |cells: Slice<'c>| cells.get(at..at + 1).unwrap_or(Slice::EMPTY);
                        self.runs.push(Run {
                            start: placement.leaf_start(0) as usize + at,
                            class,
                            keys: Keys::Cells(one(own)),
                            values: one(values),
                            counts: Slice::EMPTY,
                            length: 1,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn class(&mut self, class: Class) -> u16 {
        let known = self.classes.iter().position(|known| *known == class);
        known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        }) as u16
    }

    /// Leaves up to the last used one.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn fill(&self, start: usize, integers: &mut Integers) {
        integers.classes.fill(0);
        integers.keys.fill(0);
        let end = start + CHUNK_LEAVES;
        let first = self.runs.partition_point(|run| run.start + run.length <= start);
        for run in self.runs[first..].iter().take_while(|run| run.start < end) {
            let from = run.start.max(start);
            let to = (run.start + run.length).min(end);
            let (own, target) = (from - run.start..to - run.start, from - start..to - start);
            integers.classes[target.clone()].fill(run.class);
            match run.keys {
                Keys::Cells(keys) => copy(&mut integers.keys[target.clone()], keys, own.start),
                Keys::Index => {
                    for (key, index) in integers.keys[target.clone()].iter_mut().zip(own.clone()) {
                        *key = index as i64;
                    }
                }
            }
            let class = &self.classes[usize::from(run.class)];
            if class.has_values {
                copy(&mut integers.values[target.clone()], run.values, own.start);
            }
            if class.has_counts {
                let counts = &mut integers.counts[target];
                copy(counts, run.counts, own.start);
                if class.adds {
                    counts.iter_mut().for_each(|count| *count = -*count);
                }
            }
        }
    }

    fn leaf(&self, integers: &Integers, at: usize) -> (Fr, Fr) {
        let class = &self.classes[usize::from(integers.classes[at])];
        let (mut p, mut q) = (class.numerator, class.denominator - integer(integers.keys[at]));
        if class.has_values {
            q -= self.b * integer(integers.values[at]);
        }
        if class.has_counts {
            p -= integer(integers.counts[at]);
        }
        (p, q)
    }

    /// The leaves of a chunk, lane j holding its j-th subtree.
    pub(super) fn chunk<'s, V: Lanes>(&self, chunk: usize, scratch: &'s mut Scratch<V>) -> &'s [Fraction<V>] {
        let Scratch { integers, fractions } = scratch;
        fractions.clear();
        V::run(
            #[inline(always)]
            || {
                self.fill(chunk * CHUNK_LEAVES, integers);
                self.pack::<V>(integers, fractions);
            },
        );
        fractions
    }

    #[inline(always)]
    fn pack<V: Lanes>(&self, integers: &Integers, fractions: &mut Vec<Fraction<V>>) {
        let (one, b) = (V::small(&Fr::ONE), V::small(&self.b));
        let bias = integer(V::BIAS);
        let mut current = [u16::MAX; LANES];
        let mut constants = None;
        let (mut any_values, mut any_counts) = (false, false);
        for group in (0..SUBTREE).step_by(LANES) {
            let place = |lane: usize| lane * SUBTREE + group;
            let mut uniform = true;
            let classes: [u16; LANES] = std::array::from_fn(|lane| {
                let own = row(&integers.classes, place(lane));
                uniform &= own.iter().all(|class| *class == own[0]);
                own[0]
            });
            if current != classes {
                current = classes;
                let known = classes.map(|class| self.classes[usize::from(class)]);
                any_values = known.iter().any(|class| class.has_values);
                any_counts = known.iter().any(|class| class.has_counts);
                let values_bias = if any_values { bias * self.b } else { Fr::ZERO };
                let counts_bias = if any_counts { bias } else { Fr::ZERO };
                constants = Some((
                    V::from_lanes(&known.map(|class| class.numerator + counts_bias)),
                    V::from_lanes(&known.map(|class| class.denominator + bias + values_bias)),
                    known.map(|class| class.has_values),
                    known.map(|class| class.has_counts),
                ));
            }
            let zeros = [0i64; LANES];
            let Some((numerator, denominator, with_values, with_counts)) = constants else { continue };
            let keys: [&[i64; LANES]; LANES] = std::array::from_fn(|lane| row(&integers.keys, place(lane)));
            let values: [&[i64; LANES]; LANES] =
                std::array::from_fn(|lane| if with_values[lane] { row(&integers.values, place(lane)) } else { &zeros });
            let counts: [&[i64; LANES]; LANES] =
                std::array::from_fn(|lane| if with_counts[lane] { row(&integers.counts, place(lane)) } else { &zeros });
            let small = |rows: &[&[i64; LANES]; LANES]| rows.iter().all(|row| all_small::<V>(row));
            if !uniform || !small(&keys) || (any_values && !small(&values)) || (any_counts && !small(&counts)) {
                for i in 0..LANES {
                    let lanes: [(Fr, Fr); LANES] = std::array::from_fn(|lane| self.leaf(integers, place(lane) + i));
                    fractions.push(Fraction {
                        p: V::from_lanes(&lanes.map(|(p, _)| p)).store(),
                        q: V::from_lanes(&lanes.map(|(_, q)| q)).store(),
                    });
                }
                continue;
            }
            let keys = V::integers(keys);
            let values = if any_values { Some(V::integers(values)) } else { None };
            let counts = if any_counts { Some(V::integers(counts)) } else { None };
            for i in 0..LANES {
                let mut q = denominator.minus_small(keys[i], &one);
                if let Some(values) = &values {
                    q = q.minus_small(values[i], &b);
                }
                let p = match &counts {
                    Some(counts) => numerator.minus_small(counts[i], &one),
                    None => numerator,
                };
                fractions.push(Fraction { p: p.store(), q: q.store() });
            }
        }
    }
}

#[inline(always)]
fn all_small<V: Lanes>(row: &[i64; LANES]) -> bool {
    row.iter().fold(true, |all, value| all & V::is_small(*value))
}

#[inline(always)]
fn row<T>(values: &[T], at: usize) -> &[T; LANES] {
    values[at..].first_chunk().expect("a chunk of leaves is a multiple of eight")
}

/// Copies from `source[start..]`; what it lacks is zero.
#[inline(always)]
fn copy(target: &mut [i64], source: Slice<'_>, start: usize) {
    let length = source.len().saturating_sub(start).min(target.len());
    let (own, missing) = target.split_at_mut(length);
    source.get(start..start + length).unwrap_or(Slice::EMPTY).copy_to(own);
    missing.fill(0);
}
