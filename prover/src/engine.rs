//! Proves a program whose statement a transcript has absorbed: the stages of every proof, in the order of the transcript.

use std::time::{Duration, Instant};

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{Messages, message_shape, outer_points, powers, public_value};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::lookup::{leaf_challenges, leaf_terms};
pub(crate) use lorica_verifier::protocol::proof::ProgramProof;
use lorica_verifier::protocol::statement::Spoken;
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::weight::{Points, RequestBits, Weights};

use crate::blinding::{random_mask, random_scalar};
use crate::cells::Cells;
use crate::commit::{Tile, commit_watched};
use crate::error::ProveError;
use crate::lookup::prove_tree;
use crate::mercury::{evaluate_multilinear, open_watched};
use crate::multilinear::eq_low_first;
use crate::operand::{Reader, Text};
use crate::reduction::{OpenClaim, combine_tiles, reduce};
use crate::relation::prove_relations;
use crate::srs::Srs;

/// Time of each stage.
pub type Phases = Vec<(&'static str, Duration)>;

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
        blinded.map(|(index, blinding)| Tile::of(&cells.witness, index, size, blinding)).collect();
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
    let eq = eq_low_first(high);
    let value = evaluate_multilinear(&combined, low);
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

/// The public side of each relation at the outer points.
pub(crate) fn publics(
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
