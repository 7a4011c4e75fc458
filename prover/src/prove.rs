//! The prover of a batch of inferences: the stages in the order of the transcript.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorica_cells::Columns;
use lorica_cells::watch::{Cancelled, Unwatched, Watch};
use lorica_circuits::bn254::{Field, Fr, FromUniformBytes, G1Affine};
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{Messages, message_shape, outer_points, powers, proof_transcript, public_value};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::lookup::{leaf_challenges, leaf_claims, leaf_terms};
use lorica_verifier::protocol::multilinear::{AddressPoint, integer};
pub use lorica_verifier::protocol::proof::ProgramProof;
use lorica_verifier::protocol::proof::{InferenceProof, Statement};
use lorica_verifier::protocol::statement::{Inputs, Spoken, StatementError, absorb};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::verify::{VerifyError, inputs};
use lorica_verifier::protocol::weight::{Points, RequestBits, Weights};

use crate::cells::{Cells, Placed};
use crate::commit::{Tile, commit_tiles, commit_watched};
use crate::index::IndexRangeError;
use crate::lookup::prove_tree;
use crate::mercury::{MercuryError, open_watched};
use crate::operand::{Reader, Text};
use crate::reduction::{OpenClaim, combine_tiles, inspect_claim, reduce};
use crate::relation::{Tables, prove_relations};
use crate::srs::{Srs, SrsError};

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The columns do not fit the layout.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The statement is one that the verifier refuses.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The statement is one that the field part refuses.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// An index with cells that no index proof is made for.
    #[error(transparent)]
    IndexRange(#[from] IndexRangeError),
    /// The SRS is too small.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The opening.
    #[error(transparent)]
    Opening(MercuryError),
    /// No randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// It was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<MercuryError> for ProveError {
    fn from(error: MercuryError) -> Self {
        match error {
            MercuryError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Opening(error),
        }
    }
}

/// Time of each stage.
pub type Phases = Vec<(&'static str, Duration)>;

/// A uniform scalar from the operating system.
///
/// # Errors
/// [`ProveError::Randomness`].
pub fn random_scalar() -> Result<Fr, ProveError> {
    let mut bytes = [0u8; 64];
    getrandom::fill(&mut bytes).map_err(ProveError::Randomness)?;
    Ok(Fr::from_uniform_bytes(&bytes))
}

/// Where the mask tile has its coefficients: an 8 x 8 grid of rows and columns of Mercury's matrix, none in row 0
/// (`docs/protocol/settlement.md`, Hiding).
pub(crate) fn mask_cells(log_tile: u32) -> Vec<usize> {
    let columns = 1usize << log_tile.div_ceil(2);
    (1..=8).flat_map(|row| (0..8).map(move |column| row * columns + column)).collect()
}

/// The mask tile's random coefficients.
fn random_mask(log_tile: u32) -> Result<Vec<(usize, Fr)>, ProveError> {
    mask_cells(log_tile).into_iter().map(|cell| Ok((cell, random_scalar()?))).collect()
}

/// One tile of a region.
fn tile<'c>(cells: &'c Placed, index: usize, size: usize, field_coefficients: &'c [(usize, Fr)]) -> Tile<'c> {
    Tile { parts: cells.parts_within(index * size..(index + 1) * size).collect(), field_coefficients }
}

/// Splits a region's cells into tiles and commits to the occupied ones.
///
/// # Errors
/// If the SRS is too small.
pub fn commit_region(srs: &Srs, layout: &Layout, region: Region, cells: &Placed) -> Result<Vec<G1Affine>, SrsError> {
    let size = 1usize << layout.shape.log_tile;
    let tiles: Vec<Tile<'_>> = layout
        .occupied(region)
        .into_iter()
        .enumerate()
        .filter(|(_, occupied)| *occupied)
        .map(|(index, _)| tile(cells, index, size, &[]))
        .collect();
    commit_tiles(srs, &tiles)
}

/// Commits to the tiles of a blinded region, each with a coefficient beyond its cells: who knows another
/// region learns nothing from the difference of two commitments.
///
/// # Errors
/// If the SRS is too small.
pub fn commit_blinded(
    srs: &Srs,
    log_tile: u32,
    region: &Blinded,
    watch: &dyn Watch,
) -> Result<Vec<G1Affine>, ProveError> {
    let size = 1usize << log_tile;
    let beyond: Vec<[(usize, Fr); 1]> = region.blinding.iter().map(|own| [(size, *own)]).collect();
    let tiles = beyond.iter().enumerate().map(|(index, own)| tile(&region.cells, index, size, own));
    Ok(commit_watched(srs, &tiles.collect::<Vec<_>>(), watch)?)
}

/// A region whose tiles are blinded: a datanet's index.
#[derive(Clone, Debug)]
pub struct Blinded {
    /// Its cells.
    pub cells: Arc<Placed>,
    /// A coefficient for each tile.
    pub blinding: Vec<Fr>,
}

impl Blinded {
    /// Fresh coefficients for the tiles of a region.
    ///
    /// # Errors
    /// [`ProveError::Randomness`].
    pub fn new(layout: &Layout, region: Region, cells: Arc<Placed>) -> Result<Self, ProveError> {
        let count = layout.tiles(region, 0).count;
        let blinding = (0..count).map(|_| random_scalar()).collect::<Result<_, _>>()?;
        Ok(Self { cells, blinding })
    }
}

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

/// The stages of a proof: each is timed, and who watches hears of it.
struct Stages<'s> {
    phases: &'s mut Phases,
    watch: &'s dyn Watch,
    now: Option<(&'static str, Instant)>,
}

impl Stages<'_> {
    /// Ends the stage before and begins the next, unless the proof is to stop.
    fn begin(&mut self, name: &'static str) -> Result<(), Cancelled> {
        self.end();
        self.watch.check()?;
        self.watch.step(name);
        self.now = Some((name, Instant::now()));
        Ok(())
    }

    fn end(&mut self) {
        if let Some((name, since)) = self.now.take() {
            self.phases.push((name, since.elapsed()));
        }
    }
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

/// A statement that a transcript has absorbed, before anything is drawn, with what prover and verifier read of it.
pub(crate) struct Stated {
    pub(crate) transcript: Transcript<Native>,
    pub(crate) scales: Vec<Fr>,
    pub(crate) requests: Vec<RequestBits<Fr>>,
    pub(crate) last: Vec<Fr>,
    pub(crate) published: Vec<Spoken<Fr>>,
    pub(crate) texts: Vec<Text>,
    pub(crate) count: usize,
}

/// Proves a program. `state` makes the statement of the digest of the witness' commitments and the prover's salt.
pub(crate) fn prove_stated(
    srs: &Srs,
    layout: &Layout,
    cells: &Cells,
    state: impl FnOnce(Fr, Fr) -> Result<Stated, ProveError>,
    phases: &mut Phases,
    watch: &dyn Watch,
) -> Result<ProgramProof, ProveError> {
    let mut stage = Stages { phases, watch, now: None };
    stage.begin("commit")?;
    let a = &mut Native;
    let log_tile = layout.shape.log_tile;

    // (1) Witness and mask tiles.
    let size = 1usize << log_tile;
    let mask = random_mask(log_tile)?;
    let mut blinding = Vec::new();
    for _ in 0..layout.tiles(Region::WITNESS, 0).count {
        blinding.push([(size, random_scalar()?)]);
    }
    let blinded = blinding.iter().enumerate();
    let mut tiles: Vec<Tile<'_>> =
        blinded.map(|(index, blinding)| tile(&cells.witness, index, size, blinding)).collect();
    tiles.push(Tile { parts: Vec::new(), field_coefficients: &mask });
    let commitments = commit_watched(srs, &tiles, watch)?;

    let prover_salt = random_scalar()?;
    let Stated { mut transcript, scales, requests, last, published, texts, count } =
        state(digest_points(&commitments), prover_salt)?;
    let leaf = leaf_challenges(a, &mut transcript);
    let outer = outer_points(a, &mut transcript, layout);
    stage.begin("lookups")?;

    // (3) Lookups, relations, reduction.
    let (lookup, tree) = prove_tree(&mut transcript, layout, cells, &leaf, watch)?;
    stage.begin("relations")?;
    let reader = Reader { layout, cells, scales: scales.clone(), texts, count };
    let weights = Weights { layout, scales, requests, last };
    let shape = message_shape(layout);
    let publics = publics(&weights, &published, &outer)?;
    let own = prove_relations(&mut transcript, &reader, &publics, &outer, shape.rounds, watch)?;
    stage.begin("reduction")?;
    let (multiplicities, values) = leaf_terms(a, layout, &leaf.b);
    let mut claims: Vec<OpenClaim<'_>> =
        own.claims.iter().map(|(form, points, _)| OpenClaim::Form(form, points.clone())).collect();
    claims.push(OpenClaim::Leaves(multiplicities));
    claims.push(OpenClaim::Leaves(values));
    let mu = transcript.challenge(a, "reduction combine");
    let combine = powers(a, &mu, claims.len());
    let reduced = reduce(&mut transcript, &reader, &claims, &combine, &tree.point, &mask, watch)?;
    stage.begin("combine tiles")?;

    // (4) to (9) The opening.
    let (low, high) = reduced.point.split_at(log_tile as usize);
    let mut combined = combine_tiles(&reader, high, &mask);
    let eq = crate::lookup::eq_low_first(high);
    let value = crate::mercury::evaluate_multilinear(&combined, low);
    let mut extra = Fr::ZERO;
    let mut blind = |region, blinding: &[Fr]| {
        let tiles = &eq[layout.tiles(region, 0).first..];
        extra += tiles.iter().zip(blinding).map(|(weight, own)| *weight * own).sum::<Fr>();
    };
    blind(Region::WITNESS, &blinding.iter().map(|own| own[0].1).collect::<Vec<_>>());
    for (region, blinding) in &cells.blinding {
        blind(*region, blinding);
    }
    combined.push(extra);
    stage.begin("opening")?;
    let opening = open_watched(srs, &combined, low, &value, &mut transcript, watch)?;
    stage.end();

    let messages = Messages {
        lookup,
        forms: own.forms,
        rounds: own.rounds,
        operands: own.operands,
        reduction: reduced.messages,
        value,
        mercury: opening.messages(),
    };
    Ok(ProgramProof { prover_salt, witness: commitments, messages, opening })
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

/// The public side of each relation at the outer points.
fn publics(
    weights: &Weights<'_, Fr>,
    published: &[Spoken<Fr>],
    outer: &Points<'_, Fr>,
) -> Result<Vec<Fr>, CircuitError> {
    let a = &mut Native;
    weights
        .layout
        .relations()
        .iter()
        .map(|relation| {
            let mut value = weights.constants(a, &relation.constants, outer)?;
            if let Some(public) = &relation.public {
                value += public_value(a, public, published, outer)?;
            }
            Ok(value)
        })
        .collect()
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
