//! The prover of a batch of inferences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lorica_cells::Columns;
use lorica_cells::watch::{Unwatched, Watch};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{message_shape, outer_points, proof_transcript};
use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::lookup::{leaf_challenges, leaf_claims};
use lorica_verifier::protocol::multilinear::{AddressPoint, integer};
pub use lorica_verifier::protocol::proof::ProgramProof;
use lorica_verifier::protocol::proof::{InferenceProof, Statement};
use lorica_verifier::protocol::statement::{Inputs, Spoken, absorb};
use lorica_verifier::protocol::verify::inputs;
use lorica_verifier::protocol::weight::{RequestBits, Weights};

pub use crate::blinding::{Blinded, commit_blinded, random_scalar};
use crate::cells::{Cells, Placed};
pub use crate::commit::commit_region;
pub use crate::engine::Phases;
use crate::engine::{Stated, prove_stated, publics};
pub use crate::error::ProveError;
use crate::lookup::prove_tree;
use crate::operand::{Reader, Text};
use crate::reduction::{OpenClaim, inspect_claim};
use crate::relation::{Tables, prove_relations};
use crate::srs::Srs;

/// Everything that a batch proves about, besides its statement.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The base region.
    pub base: Arc<Placed>,
    /// The table region.
    pub tables: Arc<Placed>,
    /// Each stated request's adapter; `None` is the null adapter.
    pub adapters: Vec<Option<Arc<Placed>>>,
    /// The index of a batch that attributes.
    pub index: Option<Arc<Blinded>>,
    /// Witness columns.
    pub columns: Columns,
}

/// Proves a batch.
///
/// # Errors
/// [`ProveError`]; a witness that breaks a relation is not noticed here: its proof is rejected.
pub fn prove(
    srs: &Srs,
    base: &BaseCommitments,
    batch: &Batch,
    statement: &Statement,
) -> Result<(InferenceProof, Phases), ProveError> {
    prove_watched(srs, base, batch, statement, &Unwatched)
}

/// [`prove`], which names each stage when it begins, and can be stopped within the stages.
///
/// # Errors
/// As [`prove`], or [`ProveError::Cancelled`].
pub fn prove_watched(
    srs: &Srs,
    base: &BaseCommitments,
    batch: &Batch,
    statement: &Statement,
    watch: &dyn Watch,
) -> Result<(InferenceProof, Phases), ProveError> {
    let mut phases = Phases::new();
    let layout = &base.architecture.layout(&statement.shape)?;
    watch.step("witness");
    let started = Instant::now();
    let cells = cells(layout, batch)?;
    phases.push(("witness", started.elapsed()));
    let texts = texts(layout, statement);
    let inputs = |witness, salt| Ok(inputs(layout, base, statement, witness, salt)?);
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_program(srs, layout, &cells, texts, inputs, &mut phases, watch)?;
    Ok((InferenceProof { statement: statement.clone(), prover_salt, witness, messages, opening }, phases))
}

/// Proves a program of texts. `inputs` makes the statement's scalars from the digest of the witness' commitments and the prover's
/// salt; `texts` are those of all requests of the shape; the time of each stage is added to `phases`.
///
/// # Errors
/// As [`prove`].
pub fn prove_program(
    srs: &Srs,
    layout: &Layout,
    cells: &Cells,
    texts: Vec<Text>,
    inputs: impl FnOnce(Fr, Fr) -> Result<Inputs<Fr>, ProveError>,
    phases: &mut Phases,
    watch: &dyn Watch,
) -> Result<ProgramProof, ProveError> {
    let start = |witness, prover_salt| {
        let a = &mut Native;
        let inputs = inputs(witness, prover_salt)?;
        let mut transcript = proof_transcript(a);
        let bound = absorb(a, &mut transcript, layout, &inputs)?;
        let published = inputs.requests.iter().map(Spoken::of_request).collect();
        let scales = inputs.scales;
        Ok(Stated { transcript, scales, requests: bound.bits, last: vec![], published, texts, count: 0 })
    };
    prove_stated(srs, layout, cells, start, phases, watch)
}

/// All cells of a batch; requests beyond the stated ones repeat the first.
///
/// # Errors
/// If the batch does not fit the layout.
pub fn cells(layout: &Layout, batch: &Batch) -> Result<Cells, CircuitError> {
    let mut adapters = batch.adapters.clone();
    let first = adapters.first().cloned().flatten();
    adapters.resize(layout.shape.requests, first);
    let witness = Placed::new(layout, Region::WITNESS, &batch.columns)?;
    let once = |placed: &Arc<Placed>| vec![Some(placed.clone())];
    let mut registered = BTreeMap::from([
        (Region::BASE, once(&batch.base)),
        (Region::TABLE, once(&batch.tables)),
        (Region::ADAPTER, adapters),
    ]);
    let mut blinding = BTreeMap::new();
    if let Some(index) = &batch.index {
        registered.insert(Region::INDEX, once(&index.cells));
        blinding.insert(Region::INDEX, index.blinding.clone());
    }
    Ok(Cells { registered, witness, blinding })
}

/// The texts of a statement for the rows of its shape; requests beyond the stated ones repeat the first.
#[must_use]
pub fn texts(layout: &Layout, statement: &Statement) -> Vec<Text> {
    let tokens = layout.shape.tokens;
    let mut texts: Vec<Text> = statement
        .requests
        .iter()
        .map(|request| {
            let first = request.ids.first().copied().unwrap_or(0);
            let mut ids = request.ids.clone();
            ids.resize(tokens, first);
            let attributes = statement.attribution.as_ref().is_some_and(|own| own.adapter == request.adapter);
            let attributed = attributes.then_some(request.output.label().into());
            Text { length: request.ids.len(), ids, attributed, row: None }
        })
        .collect();
    if let Some(first) = texts.first().cloned() {
        texts.resize(layout.shape.requests, first);
    }
    texts
}

fn reader<'r>(layout: &'r Layout, cells: &'r Cells, base: &BaseCommitments, statement: &Statement) -> Reader<'r> {
    Reader { layout, cells, scales: base.scales.values(), texts: texts(layout, statement), count: 0 }
}

fn weights<'l>(layout: &'l Layout, base: &BaseCommitments, requests: Vec<RequestBits<Fr>>) -> Weights<'l, Fr> {
    Weights { layout, scales: base.scales.values(), requests, last: vec![] }
}

/// Runs the relations of a batch and names the claims whose value is not what their functional gives on the cells, or
/// whose weights the verifier evaluates otherwise: for tests of layout and claims. Not part of proving.
///
/// # Errors
/// If the batch does not fit its shape.
pub fn broken_claims(base: &BaseCommitments, batch: &Batch, statement: &Statement) -> Result<Vec<String>, ProveError> {
    let a = &mut Native;
    let layout = &base.architecture.layout(&statement.shape)?;
    let cells = cells(layout, batch)?;
    let mut transcript = proof_transcript(a);
    let inputs = inputs(layout, base, statement, random_scalar()?, random_scalar()?)?;
    let bound = absorb(a, &mut transcript, layout, &inputs)?;
    let leaf = leaf_challenges(a, &mut transcript);
    let outer = outer_points(a, &mut transcript, layout);
    let (_, tree) = prove_tree(&mut transcript, layout, &cells, &leaf, &Unwatched)?;
    let reader = reader(layout, &cells, base, statement);
    let weights = weights(layout, base, bound.bits);
    let spoken: Vec<_> = inputs.requests.iter().map(Spoken::of_request).collect();
    let publics = publics(&weights, &spoken, &outer)?;
    let rounds = message_shape(layout).rounds;
    let own = prove_relations(&mut transcript, &reader, &publics, &outer, rounds, &Unwatched)?;
    let leaves = leaf_claims(a, layout, &leaf, &tree)?;
    let rho = transcript.challenges(a, "test point", layout.address_bits() as usize);
    let mut address = AddressPoint::new(rho.clone());
    let mut leaf_point = AddressPoint::new(tree.point.clone());
    let mut broken = Vec::new();
    let mut check = |name: String, claimed: Fr, weight: Fr, claim: OpenClaim<'_>| -> Result<(), ProveError> {
        let (value, own) = inspect_claim(&reader, &claim, &tree.point, &rho)?;
        if value != claimed {
            broken.push(format!("{name}: value"));
        }
        if own != weight {
            broken.push(format!("{name}: weight"));
        }
        Ok(())
    };
    for (form, points, claimed) in &own.claims {
        let columns: Vec<Column> = form.terms.iter().map(|t| t.column).collect();
        let weight = weights.form(a, form, points, &mut address)?;
        check(format!("{columns:?}"), *claimed, weight, OpenClaim::Form(form, points.clone()))?;
    }
    for (name, (terms, claimed)) in [("multiplicities", leaves.multiplicities), ("leaves", leaves.values)] {
        let weight = weights.leaves(a, &terms, &mut leaf_point, &mut address)?;
        check(name.to_owned(), claimed, weight, OpenClaim::Leaves(terms))?;
    }
    Ok(broken)
}

/// Evaluates every relation of a batch at a random point and names those that the witness breaks: for tests of executor
/// and relations. Not part of proving.
///
/// # Errors
/// If the batch does not fit its shape.
pub fn broken_relations(
    base: &BaseCommitments,
    batch: &Batch,
    statement: &Statement,
) -> Result<Vec<&'static str>, ProveError> {
    let a = &mut Native;
    let layout = &base.architecture.layout(&statement.shape)?;
    let cells = cells(layout, batch)?;
    let mut transcript = proof_transcript(a);
    let inputs = inputs(layout, base, statement, random_scalar()?, random_scalar()?)?;
    let bound = absorb(a, &mut transcript, layout, &inputs)?;
    let outer = outer_points(a, &mut transcript, layout);
    let reader = reader(layout, &cells, base, statement);
    let weights = weights(layout, base, bound.bits);
    let mut broken = Vec::new();
    let spoken: Vec<_> = inputs.requests.iter().map(Spoken::of_request).collect();
    for (relation, public) in layout.relations().iter().zip(publics(&weights, &spoken, &outer)?) {
        let mut right = public;
        right += reader.evaluate(&relation.form, &outer)?;
        let mut left = Fr::ZERO;
        for product in &relation.products {
            left += integer(product.coefficient) * Tables::new(&reader, product, &outer)?.sum();
        }
        if left != right {
            broken.push(relation.name);
        }
    }
    Ok(broken)
}
