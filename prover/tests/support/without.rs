//! Programs with a rule taken out: the prover proves by them, the verifier checks by them. What they accept, and the true
//! program does not, was stopped by that rule and by nothing else.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::{Fr, PrimeField};
use lorica_circuits::column::{CHOICE_ID, Column, GroupLeaf, Lookup, SUM_ID};
use lorica_circuits::layout::Layout;
use lorica_prover::prove::{Phases, ProgramProof, ProveError, cells, prove_program, texts};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{field_part, proof_transcript};
use lorica_verifier::protocol::group::GroupClaim;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::Inputs;
use lorica_verifier::protocol::verify::{
    Keys, VerifyError, adapter_tiles, combined_terms, index_tiles, inputs, registered,
};

use super::naive::verify_without;
use super::{Run, SRS, World, at, recount_on, registered as registered_layout};

pub const SUM: &str = "lookup: the sum of fractions is zero";
pub const RELATIONS: &str = "relations: the sumcheck's end";
pub const REDUCTION: &str = "reduction: the weights' value at the point";

/// A rule of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A relation.
    Relation(&'static str),
    /// The lookup of a column.
    Range(Column),
}

/// The program without some of its rules.
pub fn without(layout: &Layout, rules: &[Rule]) -> Layout {
    let mut program = layout.program.clone();
    for rule in rules {
        match rule {
            Rule::Relation(name) => {
                let before = program.relations.len();
                program.relations.retain(|relation| relation.name != *name);
                assert_eq!(program.relations.len() + 1, before, "{name}");
            }
            Rule::Range(column) => {
                let spec = program.columns.iter_mut().find(|spec| spec.column == *column).expect("a column");
                assert!(matches!(spec.lookup, Lookup::Key { value: None, .. }), "{column:?}");
                spec.lookup = Lookup::None;
            }
        }
    }
    Layout::of(program, &layout.shape).expect("a layout")
}

/// Proves a run by another program than its shape's, and with other scalars than its statement's.
pub fn prove_by(world: &World, layout: &Layout, run: &Run, edit: &dyn Fn(&mut Inputs<Fr>)) -> InferenceProof {
    let cells = cells(layout, &world.batch(run)).expect("cells");
    let mut texts = texts(layout, &run.statement);
    let scalars = |witness, salt| -> Result<Inputs<Fr>, ProveError> {
        let mut own = inputs(layout, &world.key, &run.statement, witness, salt)?;
        edit(&mut own);
        Ok(own)
    };
    // Which requests attribute is in the scalars.
    let stated = scalars(Fr::zero(), Fr::zero()).expect("inputs");
    if let Some(word) = stated.attributing {
        for (m, text) in texts.iter_mut().enumerate() {
            let label = run.statement.requests.get(m).unwrap_or(&run.statement.requests[0]).output.label();
            text.attributed = (word.to_repr()[m / 8] >> (m % 8) & 1 == 1).then_some(label.into());
        }
    }
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_program(&SRS, layout, &cells, texts, scalars, &mut Phases::new(), &Unwatched).expect("a proof");
    InferenceProof { statement: run.statement.clone(), prover_salt, witness, messages, opening }
}

/// Verifies by another program than the shape's, and with other scalars than the statement's.
pub fn verify_by(
    world: &World,
    layout: &Layout,
    proof: &InferenceProof,
    edit: &dyn Fn(&mut Inputs<Fr>),
) -> Result<(), VerifyError> {
    let statement = &proof.statement;
    let mut scalars = inputs(layout, &world.key, statement, digest_points(&proof.witness), proof.prover_salt)?;
    edit(&mut scalars);
    let (adapters, indexes) = (world.keys(), world.indexes());
    let keys = Keys { adapters: &adapters, indexes: &indexes };
    let ids: Vec<Fr> = statement.requests.iter().map(|request| request.adapter).collect();
    let own = adapter_tiles(layout, &world.key.id(), &ids, &adapters)?;
    let index = index_tiles(layout, &world.key, statement.attribution.as_ref(), &keys)?;
    let outcome = field_part(&mut Native, &mut proof_transcript(&mut Native), layout, &scalars, &proof.messages)?;
    let regions = registered(&world.key, own, index);
    let terms = combined_terms(layout, ids.len(), &regions, &proof.witness, &outcome.rho_high)?;
    let claim = GroupClaim {
        variables: layout.shape.log_tile as usize,
        outcome: outcome.mercury,
        messages: proof.messages.mercury.clone(),
        terms,
    };
    Ok(claim.check(&SRS.verifier_key(), &proof.opening)?)
}

/// Identifiers of the leaves whose fractions do not cancel, leaf by leaf from their definition.
pub fn unbalanced(world: &World, run: &Run) -> BTreeSet<u64> {
    let layout = world.layout(run);
    let requests = layout.shape.requests;
    let mut net: BTreeMap<(u64, i64, i64), i128> = BTreeMap::new();
    let mut add = |id: u64, key: i64, value: i64, by: i64| *net.entry((id, key, value)).or_default() += i128::from(by);
    for placement in layout.placements() {
        let column = placement.spec.column;
        let Some(own) = run.columns.get(&column) else { continue };
        let length = own.len() / requests;
        match placement.spec.lookup {
            Lookup::None => {}
            Lookup::Key { table, value, .. } => {
                for (i, cell) in own.iter().enumerate() {
                    let value = value.map_or(0, |value| run.columns[&value][i]);
                    add(table.id(), cell + placement.spec.lookup.offset(), value, 1);
                }
            }
            Lookup::Group(leaf) => {
                for (i, &cell) in own.iter().enumerate() {
                    let (m, group) = (i / length, (i % length) as i64);
                    match leaf {
                        GroupLeaf::Summand { .. } => {
                            let slots = &world.index.as_ref().expect("an index").cells.slots;
                            let slot = slots.get(i % length).copied().unwrap_or(0);
                            add(SUM_ID, slot.into(), m as i64, -cell);
                        }
                        GroupLeaf::Sum => add(SUM_ID, group, m as i64, cell),
                        GroupLeaf::Count { sum } => add(CHOICE_ID + m as u64, group, run.columns[&sum][i], -cell),
                        GroupLeaf::Choice { sum } => {
                            add(CHOICE_ID + (i % requests) as u64, cell, run.columns[&sum][i], 1);
                        }
                    }
                }
            }
        }
    }
    let registered = registered_layout(&world.key.architecture);
    for spec in &layout.program.tables {
        let values = spec.values.map(|column| at(&registered, column, 0));
        for (i, count) in run.columns[&spec.multiplicities].iter().enumerate() {
            let value = values.map_or(0, |first| world.tables[first + i]);
            add(spec.table.id(), i as i64, value, -count);
        }
    }
    net.into_iter().filter(|(_, net)| *net != 0).map(|((id, ..), _)| id).collect()
}

/// The true verifier rejects a witness, and these rules are why: the relations among them are the only ones that do not
/// hold, the lookups among them the only ones that fail, and by the program without them the same witness is accepted.
#[track_caller]
pub fn stopped_by(world: &World, run: &Run, rules: &[Rule]) {
    let layout = world.layout(run);
    let mut run = run.clone();
    recount_on(&layout, &mut run);
    let relations: Vec<&str> = layout
        .relations()
        .iter()
        .map(|relation| relation.name)
        .filter(|name| rules.iter().any(|rule| matches!(rule, Rule::Relation(own) if own == name)))
        .collect();
    assert_eq!(world.broken(&run), relations);
    let mut ids = BTreeSet::new();
    for rule in rules {
        if let Rule::Range(column) = rule {
            let Lookup::Key { table, .. } = layout.placement(*column).expect("a placement").spec.lookup else {
                panic!()
            };
            ids.insert(table.id());
        }
    }
    assert_eq!(unbalanced(world, &run), ids);
    // The prover computes a form's value as what its relation demands, so that it is the claim on it which fails.
    let formless = |name: &&str| {
        let mut own = layout.relations().iter().filter(|relation| relation.name == *name);
        own.any(|relation| !relation.products.is_empty() && relation.form.terms.is_empty())
    };
    let by = match (ids.is_empty(), relations.iter().all(formless)) {
        (false, _) => SUM,
        (true, true) => RELATIONS,
        (true, false) => REDUCTION,
    };
    let proof = world.prove(&run).expect("the prover does not look");
    let error = world.verify(&proof).expect_err("accepted").to_string();
    assert!(error.contains(by), "{error} instead of {by}");
    let doctored = without(&layout, rules);
    recount_on(&doctored, &mut run);
    let proof = prove_by(world, &doctored, &run, &|_| {});
    verify_by(world, &doctored, &proof, &|_| {}).expect("nothing else stands in the way");
}

/// The true verifier rejects a witness because leaves of these identifiers do not cancel, and of no others; every relation
/// holds, and a verifier that overlooks the sum of fractions accepts.
#[track_caller]
pub fn stopped_by_leaves(world: &World, run: &Run, ids: &[u64]) {
    let mut run = run.clone();
    recount_on(&world.layout(&run), &mut run);
    assert_eq!(world.broken(&run), Vec::<&str>::new());
    assert_eq!(unbalanced(world, &run), ids.iter().copied().collect());
    let proof = world.prove(&run).expect("the prover does not look");
    let error = world.verify(&proof).expect_err("accepted").to_string();
    assert!(error.contains(SUM), "{error}");
    verify_without(world, &proof, &[SUM]).expect("nothing else stands in the way");
}
