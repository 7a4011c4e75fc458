//! Every variable of the settlement's circuit has one source: it enters from outside, or exactly one gate writes it. A
//! second gate that would write it is a check, and every check has the name of one of the field part's.

use super::support;

use std::collections::{BTreeMap, BTreeSet};

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::rows::{Fixed, Rows, Var};
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::arithmetic::recorder::{Cost, Recorder, Symbolic};
use lorica_verifier::protocol::index::INDEX_SHAPE_WORDS;
use lorica_verifier::protocol::statement::shape_words;
use support::{LOG_TILE, world};

/// What the gates of a circuit say of its variables, read from the fixed columns alone.
#[derive(Default)]
struct Sources {
    /// Read by a gate before any gate wrote them: inputs and witnessed inverses.
    free: BTreeSet<Var>,
    /// Boolean by their gate.
    bits: BTreeSet<Var>,
    /// Written by a gate.
    written: BTreeSet<Var>,
    /// Rows whose gate writes a variable that has a source already: it asserts.
    asserting: Vec<usize>,
}

impl Sources {
    fn known(&self, var: Var) -> bool {
        self.free.contains(&var) || self.bits.contains(&var) || self.written.contains(&var)
    }

    fn read(&mut self, cell: Option<Var>, row: usize) {
        let var = cell.unwrap_or_else(|| panic!("row {row}: a gate reads a cell that no copy constrains"));
        if !self.known(var) {
            self.free.insert(var);
        }
    }

    fn write(&mut self, cell: Option<Var>, row: usize) {
        let var = cell.unwrap_or_else(|| panic!("row {row}: a gate writes a cell that is no variable"));
        if self.known(var) {
            self.asserting.push(row);
        } else {
            self.written.insert(var);
        }
    }

    fn of(rows: &Rows) -> Self {
        let mut sources = Self::default();
        let none = [None; 5];
        for (row, own) in rows.rows.iter().enumerate() {
            let next = rows.rows.get(row + 1).map_or(none, |next| next.cells);
            let fixed = |column: Fixed| own.fixed[column as usize];
            let on = |column: Fixed| fixed(column) != Fr::ZERO;
            if let Some(public) = rows.public.get(row) {
                // A public word, and nothing else: e' is its variable. What it is worth is decided elsewhere.
                let alone = own.fixed.iter().enumerate().all(|(i, factor)| i == 0 || *factor == Fr::ZERO);
                assert!(alone && fixed(Fixed::V) == Fr::ONE && own.cells[..4] == [None; 4], "row {row}: a public word");
                assert_eq!(next[4], Some(*public), "row {row}: its variable");
                continue;
            }
            assert!(!(on(Fixed::V) && on(Fixed::Rounds)), "row {row} has two gates");
            if on(Fixed::V) {
                let [arithmetic, boolean] = [1, 2].map(|kind| {
                    let kind = Fr::from(kind);
                    fixed(Fixed::V) == kind || fixed(Fixed::V) == -kind
                });
                let previous = [Fr::ONE, Fr::from(2)].contains(&-fixed(Fixed::V));
                let bits = boolean;
                assert!(bits || arithmetic, "row {row}: no kind of row");
                let (left, right) = (on(Fixed::Q1), on(Fixed::Q2));
                let used = [on(Fixed::A) || left, on(Fixed::B) || left, on(Fixed::C) || right, on(Fixed::D) || right];
                for (cell, used) in own.cells.into_iter().zip(used) {
                    match cell {
                        Some(var) if bits && !sources.known(var) => drop(sources.bits.insert(var)),
                        _ if used || bits => sources.read(cell, row),
                        _ => {}
                    }
                }
                if previous {
                    sources.read(own.cells[4], row);
                }
                sources.write(next[4], row);
            } else if on(Fixed::Rounds) {
                let partial = fixed(Fixed::Rounds) == Fr::from(2);
                assert!(partial || fixed(Fixed::Rounds) == Fr::ONE, "row {row}: no kind of round");
                own.cells[..3].iter().for_each(|cell| sources.read(*cell, row));
                if partial {
                    own.cells[3..].iter().for_each(|cell| sources.write(*cell, row));
                }
                next[..3].iter().for_each(|cell| sources.write(*cell, row));
            } else {
                // e holds what the row before computed.
                let loose = own.cells.into_iter().flatten().find(|var| !sources.known(*var));
                assert_eq!(loose, None, "row {row} has no gate, and no gate determines its cell");
            }
        }
        sources
    }
}

/// Scalars that are equal to no other and to no constant.
fn different() -> impl FnMut() -> Fr {
    let mut last = Fr::from(12_345);
    move || {
        last = last.square() + Fr::from(7);
        last
    }
}

/// The circuit has one source for each variable; `constants` scalars are constants of it, and the checks that assert nothing are
/// the decompositions of scalars that nothing reads before: the gate of their bits writes them.
fn sourced(rows: &Rows, cost: &Cost, constants: usize, decomposed: &[&str], kind: &str) {
    let sources = Sources::of(rows);
    assert!(rows.public.iter().all(|var| sources.known(*var)), "{kind}: a public word that no gate knows");
    assert!(!sources.bits.is_empty() && sources.bits.len() <= cost.bits + 3 * rows.parts.bits, "{kind}");
    // Variables without a source would be none of these.
    let all: BTreeSet<Var> = rows.rows.iter().flat_map(|row| row.cells).flatten().collect();
    assert!(all.iter().all(|var| sources.known(*var)), "{kind}");

    // Each assertion lies in the rows of a check, and each check has one.
    let mut asserted: BTreeMap<usize, &str> = BTreeMap::new();
    for row in &sources.asserting {
        let (at, (what, _)) = rows
            .checks
            .iter()
            .enumerate()
            .find(|(_, (_, own))| own.contains(row))
            .unwrap_or_else(|| panic!("{kind}: row {row} asserts outside of every check"));
        asserted.insert(at, what);
    }
    let silent = rows.checks.iter().enumerate().filter(|(at, _)| !asserted.contains_key(at));
    let silent: Vec<&str> = silent.map(|(_, (what, _))| *what).collect();
    assert_eq!(silent, decomposed, "{kind}: checks without an assertion");
    assert_eq!(sources.free.len() + decomposed.len(), cost.inputs - constants + cost.inverses, "{kind}");
}

#[test]
fn every_variable_has_one_source() {
    let world = world();
    for (output, records) in [(OutputKind::Classify, 0), (OutputKind::Embed, 0), (OutputKind::Classify, 1 << 11)] {
        let shape = Shape { requests: 2, tokens: 16, log_tile: LOG_TILE, output, records };
        let compiled = Compiled::new(&CircuitShape::of(&world.key, shape)).unwrap();
        let mut random = different();
        let (inputs, messages) = compiled.determined();
        let (inputs, messages) = (inputs.map(|_| random()), messages.map(|_| random()));
        let circuit = compiled.circuit(&inputs, &messages).unwrap();
        let mut recorder = Recorder::new(Symbolic);
        compiled.run(&mut recorder, &inputs, &messages, |taped, _| taped.input(())).unwrap();
        let mut decomposed = Vec::new();
        if records != 0 {
            decomposed.push("statement: a bit for each request that attributes");
        }
        if output == OutputKind::Classify {
            decomposed.extend(["statement: label is below 16"; 2]);
        }
        // Architecture, shape and SRS are constants.
        let constants = 2 + shape_words(&shape).len();
        sourced(circuit.rows(), &recorder.cost(), constants, &decomposed, &format!("{output:?}, {records}"));
    }
}

#[test]
fn every_variable_of_an_index_circuit_has_one_source() {
    let compiled = Compiled::new(&CircuitShape::of_index(&world().key, 1 << 11)).unwrap();
    let mut random = different();
    let (inputs, messages) = compiled.index_determined();
    let (inputs, messages) = (inputs.map(|_| random()), messages.map(|_| random()));
    let circuit = compiled.index_circuit(&inputs, &messages).unwrap();
    let mut recorder = Recorder::new(Symbolic);
    compiled.run_index(&mut recorder, &inputs, &messages, |taped, _| taped.input(())).unwrap();
    sourced(circuit.rows(), &recorder.cost(), 2 + INDEX_SHAPE_WORDS, &[], "index");
}
