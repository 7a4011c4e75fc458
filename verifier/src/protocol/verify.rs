//! The native verifier: field part and group claim of an inference proof.

use lorica_circuits::bn254::{Field, Fr, FromUniformBytes, G1Affine, G2Affine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::{Copies, Region};
use lorica_circuits::shape::{CONTRIBUTORS, OutputKind, PLACES, Shape};

use crate::keccak::{digest_points, encode_scalar, keccak_words};
use crate::protocol::arithmetic::{Arithmetic, Native};
use crate::protocol::field::{FieldError, Outcome, field_part, proof_transcript};
use crate::protocol::group::{GroupClaim, GroupError, VerifierKey};
use crate::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, KeyError};
use crate::protocol::multilinear::{eq_table, integer};
use crate::protocol::proof::{Attribution, InferenceProof, Output, Statement, share_words};
use crate::protocol::statement::{Inputs, RequestInputs, packed_words, shape_words};
use crate::protocol::transcript::Transcript;

/// Why a proof is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The proof is about another base, architecture or SRS.
    #[error("the proof is for another {what}")]
    Foreign {
        /// What differs.
        what: &'static str,
    },
    /// No key for an adapter.
    #[error("request {request}: no key for its adapter")]
    UnknownAdapter {
        /// Index in the batch.
        request: usize,
    },
    /// No key for the index.
    #[error("no key for the index by which the batch attributes")]
    UnknownIndex,
    /// The statement is not well-formed.
    #[error("request {request}: {what}")]
    Request {
        /// Index in the batch.
        request: usize,
        /// The rule that it breaks.
        what: &'static str,
    },
    /// Another context than the caller's.
    #[error("the proof is bound to another context")]
    Context,
    /// A vector of another length.
    #[error("proof shape: {what}: expected {expected}, got {got}")]
    Shape {
        /// Which vector.
        what: &'static str,
        /// By the layout.
        expected: usize,
        /// In the proof.
        got: usize,
    },
    /// The base's key is not well-formed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The shape is not offered.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The field part.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The group claim.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// 31 bytes as a scalar, big-endian.
#[must_use]
pub fn salt_scalar(salt: &[u8; 31]) -> Fr {
    let mut wide = [0u8; 64];
    for (target, source) in wide.iter_mut().zip(salt.iter().rev()) {
        *target = *source;
    }
    Fr::from_uniform_bytes(&wide)
}

/// Keccak word of the adapter ids in request order.
#[must_use]
pub fn adapters_word(statement: &Statement) -> Fr {
    let ids: Vec<[u8; 32]> = statement.requests.iter().map(|r| encode_scalar(&r.adapter)).collect();
    keccak_words(&ids)
}

/// A number whose bit m says that request m has the index' adapter; requests beyond the stated ones are as the first.
#[must_use]
pub fn attributing_word(shape: &Shape, attribution: &Attribution, adapters: &[Fr]) -> Fr {
    let first = adapters.first();
    let of = |m: usize| adapters.get(m).or(first).is_some_and(|adapter| *adapter == attribution.adapter);
    let word = (0..shape.requests).rev().fold(0u64, |word, m| (word << 1) | u64::from(of(m)));
    Fr::from(word)
}

/// Checks the statement's form and turns it into scalars; requests beyond the stated ones repeat the first.
///
/// # Errors
/// [`VerifyError`] names the request.
pub fn inputs(
    layout: &Layout,
    base: &BaseCommitments,
    statement: &Statement,
    witness: Fr,
    prover_salt: Fr,
) -> Result<Inputs<Fr>, VerifyError> {
    let shape = &layout.shape;
    let count = statement.requests.len();
    if count == 0 || count > shape.requests {
        return Err(VerifyError::Shape { what: "requests", expected: shape.requests, got: count });
    }
    if statement.attribution.is_some() != (shape.records != 0) {
        let (expected, got) = (usize::from(shape.records != 0), usize::from(statement.attribution.is_some()));
        return Err(VerifyError::Shape { what: "index", expected, got });
    }
    let places = if shape.records == 0 { 0 } else { PLACES };
    let mut requests = Vec::new();
    for (index, request) in statement.requests.iter().enumerate() {
        let refuse = |what| Err(VerifyError::Request { request: index, what });
        if request.ids.len() < 2 || request.ids.len() > shape.tokens {
            return refuse("has fewer than 2 tokens or more than the shape");
        }
        if request.output.kind() != shape.output {
            return refuse("has another kind of output than the batch");
        }
        if shape.output == OutputKind::Classify && bool::from(request.adapter.is_zero()) {
            return refuse("classifies without an adapter");
        }
        if request.shares.len() != places {
            return refuse("has another number of shares than a batch of its kind");
        }
        if request.shares.iter().any(|own| usize::from(own.slot) >= CONTRIBUTORS) {
            return refuse("has a share of a slot that no datanet has");
        }
        let outputs = match &request.output {
            Output::Embed { sums } => {
                if sums.len() != base.architecture.hidden {
                    return refuse("has another number of sums than channels");
                }
                let Ok(words) = packed_words(sums) else { return refuse("publishes a sum out of range") };
                words
            }
            // Logits are bounded by the field part.
            Output::Classify { logits, .. } => logits.iter().map(|&logit| integer(logit)).collect(),
        };
        let mut ids: Vec<Fr> = request.ids.iter().map(|&id| Fr::from(u64::from(id))).collect();
        ids.resize(layout.program.text.map_or(0, |text| text.limit), Fr::ZERO);
        requests.push(RequestInputs {
            ids,
            length: Fr::from(u64::try_from(request.ids.len()).unwrap_or(0)),
            salt: salt_scalar(&request.salt),
            outputs,
            label: Fr::from(u64::from(request.output.label())),
            shares: share_words(&request.shares),
        });
    }
    if let Some(first) = requests.first().cloned() {
        requests.resize(shape.requests, first);
    }
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(0));
    let adapters: Vec<Fr> = statement.requests.iter().map(|request| request.adapter).collect();
    Ok(Inputs {
        architecture: statement.architecture,
        shape: shape_words(shape),
        srs: statement.srs,
        base: statement.base,
        adapters: adapters_word(statement),
        regions: statement.attribution.iter().map(|own| own.index).collect(),
        attributing: statement.attribution.as_ref().map(|own| attributing_word(shape, own, &adapters)),
        count: number(count),
        context: statement.context,
        witness,
        prover_salt,
        scales: base.scales.values(),
        requests,
    })
}

/// Checks a proof against registered keys.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones: that the base's id is the one meant (it holds the SRS and
/// the commitments to the lookup tables, which are not recomputed here). Texts are not checked: the statement speaks of
/// token ids.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify<'k>(
    srs: &VerifierKey,
    base: &BaseCommitments,
    keys: impl Into<Keys<'k>>,
    context: &Fr,
    proof: &InferenceProof,
) -> Result<Outcome<Fr>, VerifyError> {
    verify_with(&mut Native, &mut proof_transcript(&mut Native), srs, base, keys, context, proof)
}

/// Keys of adapters, and of datanet indexes, that a proof may use.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'k> {
    /// Adapters.
    pub adapters: &'k [AdapterCommitments],
    /// Indexes.
    pub indexes: &'k [IndexCommitments],
}

impl<'k> From<&'k [AdapterCommitments]> for Keys<'k> {
    fn from(adapters: &'k [AdapterCommitments]) -> Self {
        Self { adapters, indexes: &[] }
    }
}

impl<'k> From<&'k Vec<AdapterCommitments>> for Keys<'k> {
    fn from(adapters: &'k Vec<AdapterCommitments>) -> Self {
        adapters.as_slice().into()
    }
}

impl<'k, const N: usize> From<&'k [AdapterCommitments; N]> for Keys<'k> {
    fn from(adapters: &'k [AdapterCommitments; N]) -> Self {
        adapters.as_slice().into()
    }
}

/// [`verify`] on a given arithmetic over scalars and transcript, for tests that watch them.
///
/// # Errors
/// As [`verify`].
pub fn verify_with<'k, A: Arithmetic<Scalar = Fr>>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    srs: &VerifierKey,
    base: &BaseCommitments,
    keys: impl Into<Keys<'k>>,
    context: &Fr,
    proof: &InferenceProof,
) -> Result<Outcome<Fr>, VerifyError> {
    let keys = keys.into();
    base.validate()?;
    let statement = &proof.statement;
    let base_id = base.id();
    let same = [
        ("generator of G2", *srs.g2() == G2Affine::generator()),
        ("SRS secret", *srs.tau_g2() == base.tau_g2),
        ("architecture", statement.architecture == base.architecture_digest()),
        ("SRS", statement.srs == base.srs),
        ("tile size", statement.shape.log_tile == base.log_tile),
        ("base", statement.base == base_id),
    ];
    if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(VerifyError::Foreign { what });
    }
    if statement.context != *context {
        return Err(VerifyError::Context);
    }
    let layout = &base.architecture.layout(&statement.shape)?;
    let ids: Vec<Fr> = statement.requests.iter().map(|record| record.adapter).collect();
    let own = adapter_tiles(layout, &base_id, &ids, keys.adapters)?;
    let index = index_tiles(layout, base, statement.attribution.as_ref(), &keys)?;
    let expected = layout.tiles(Region::WITNESS, 0).count.saturating_add(1);
    if proof.witness.len() != expected {
        return Err(VerifyError::Shape { what: "witness commitments", expected, got: proof.witness.len() });
    }
    let inputs = inputs(layout, base, statement, digest_points(&proof.witness), proof.prover_salt)?;
    let outcome = field_part(a, transcript, layout, &inputs, &proof.messages)?;

    let count = statement.requests.len();
    let terms = combined_terms(layout, count, &registered(base, own, index), &proof.witness, &outcome.rho_high)?;
    let claim = GroupClaim {
        variables: usize::try_from(layout.shape.log_tile).unwrap_or(0),
        outcome: outcome.mercury,
        messages: proof.messages.mercury.clone(),
        terms,
    };
    claim.check(srs, &proof.opening)?;
    // Words of absent requests repeat the first's and say nothing of their own.
    let mut outcome = outcome;
    outcome.requests.truncate(statement.requests.len());
    Ok(outcome)
}

/// Commitments of the adapters with the given ids, in request order; none for the null adapter.
///
/// # Errors
/// [`VerifyError::UnknownAdapter`] if no key of this base has the id.
pub fn adapter_tiles<'k>(
    layout: &Layout,
    base_id: &Fr,
    ids: &[Fr],
    adapters: &'k [AdapterCommitments],
) -> Result<Vec<&'k [G1Affine]>, VerifyError> {
    let known: Vec<(Fr, &AdapterCommitments)> = adapters.iter().map(|key| (key.id(), key)).collect();
    let expected = layout.tiles(Region::ADAPTER, 0).count;
    let mut own: Vec<&[G1Affine]> = Vec::new();
    for (request, own_id) in ids.iter().enumerate() {
        if bool::from(own_id.is_zero()) {
            own.push(&[]);
            continue;
        }
        let (_, key) = known
            .iter()
            .find(|(id, key)| id == own_id && key.base == *base_id && key.tiles.len() == expected)
            .ok_or(VerifyError::UnknownAdapter { request })?;
        own.push(&key.tiles);
    }
    Ok(own)
}

/// The commitments of a registered region: one list for each copy, empty for a copy that is zero.
pub type RegionCommitments<'k> = (Region, Vec<&'k [G1Affine]>);

/// The registered regions of a base, the adapters of the stated requests, and the index of a batch that attributes.
#[must_use]
pub fn registered<'k>(
    base: &'k BaseCommitments,
    adapters: Vec<&'k [G1Affine]>,
    index: Option<&'k [G1Affine]>,
) -> Vec<RegionCommitments<'k>> {
    let mut all =
        vec![(Region::BASE, vec![&*base.tiles]), (Region::TABLE, vec![&*base.tables]), (Region::ADAPTER, adapters)];
    all.extend(index.map(|tiles| (Region::INDEX, vec![tiles])));
    all
}

/// Commitments of the index by which a batch attributes, if it does: of a key whose adapter is the one that the statement
/// calls the index', is registered, and names the index' datanet version.
///
/// # Errors
/// [`VerifyError::UnknownIndex`] if there is no such key, [`VerifyError::Key`] if its adapter is another.
pub fn index_tiles<'k>(
    layout: &Layout,
    base: &BaseCommitments,
    attribution: Option<&Attribution>,
    keys: &Keys<'k>,
) -> Result<Option<&'k [G1Affine]>, VerifyError> {
    let Some(Attribution { index, adapter }) = attribution else { return Ok(None) };
    let records = layout.shape.records;
    let known = keys.indexes.iter().find(|key| key.id() == *index && key.records == records);
    let key = known.ok_or(VerifyError::UnknownIndex)?;
    let of = keys.adapters.iter().find(|key| key.id() == *adapter && key.base == base.id());
    let Some(of) = of else { return Err(KeyError::IndexOf.into()) };
    key.validate(base, of)?;
    Ok(Some(&key.tiles))
}

/// The combined tile as a combination of commitments: tile j with coefficient `eq(ρ_hi, j)`. A region that each request
/// has is given for each of the `count` stated requests; absent ones repeat the first.
///
/// # Soundness
/// The caller owes that the commitments were fixed before the proof: that the transcript holds a word which determines them.
///
/// # Errors
/// [`VerifyError::Shape`] for another number of commitments, lists or regions than the layout's.
pub fn combined_terms(
    layout: &Layout,
    count: usize,
    registered: &[RegionCommitments<'_>],
    witness: &[G1Affine],
    rho_high: &[Fr],
) -> Result<Vec<(Fr, G1Affine)>, VerifyError> {
    let bits = usize::try_from(layout.tile_index_bits()).unwrap_or(usize::MAX);
    if rho_high.len() != bits {
        return Err(VerifyError::Shape { what: "tile coordinates", expected: bits, got: rho_high.len() });
    }
    let point: Vec<Fr> = rho_high.iter().rev().copied().collect();
    let eq = eq_table(&mut Native, &point);
    let mut terms = Vec::new();
    let mut push = |first: usize, occupied: Vec<bool>, points: &[G1Affine], what| {
        let used = occupied.iter().filter(|&&o| o).count();
        if points.len() != used {
            return Err(VerifyError::Shape { what, expected: used, got: points.len() });
        }
        let tiles = eq.iter().skip(first).zip(occupied).filter(|(_, o)| *o);
        terms.extend(tiles.zip(points).map(|((weight, _), point)| (*weight, *point)));
        Ok(())
    };
    let expected = layout.regions().len().saturating_sub(1);
    if registered.len() != expected {
        return Err(VerifyError::Shape { what: "registered regions", expected, got: registered.len() });
    }
    for &(region, copies, tiles) in layout.regions() {
        if region == Region::WITNESS {
            let count = tiles.count.saturating_add(1);
            push(tiles.first, vec![true; count], witness, "witness commitments")?;
            continue;
        }
        let own = registered.iter().find(|(own, _)| *own == region).map_or(&[][..], |(_, lists)| lists.as_slice());
        let expected = if copies == Copies::Once { 1 } else { count };
        if own.len() != expected {
            return Err(VerifyError::Shape { what: region.name(), expected, got: own.len() });
        }
        match copies {
            Copies::Once => {
                let points = own.first().copied().unwrap_or(&[]);
                push(tiles.first, layout.occupied(region), points, region.name())?;
            }
            Copies::PerRequest => {
                let first = own.first().copied().unwrap_or(&[]);
                for m in 0..layout.copies(region) {
                    let points = own.get(m).copied().unwrap_or(first);
                    if !points.is_empty() {
                        let tiles = layout.tiles(region, m);
                        push(tiles.first, vec![true; tiles.count], points, region.name())?;
                    }
                }
            }
        }
    }
    Ok(terms)
}
