//! Index proofs: that every cell of a datanet's index is in its range (docs/protocol/index-proof.md).
//!
//! An index proof is no inference: it has no texts and no base but the architecture, and its transcript begins under a
//! capacity of its own, so that no transcript of one kind is one of the other.
//!
//! Order of the statement: (0) architecture, shape, SRS, index, count of records, context; (1) digest of the witness tiles; (2) prover
//! salt. All of it precedes the first draw, and each of it is an element of the transcript by itself.

use lorica_circuits::bn254::{Fr, G2Affine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{CONTRIBUTORS, LABELS, RECORDS};

use crate::codec::{CodecError, Reader, Writer};
use crate::keccak::digest_points;
use crate::magic::INDEX_PROOF_MAGIC;
use crate::protocol::arithmetic::{Arithmetic, Native};
use crate::protocol::field::{FieldError, Messages, Opened, check_shape, message_shape, open_claims};
use crate::protocol::group::{GroupClaim, VerifierKey};
use crate::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, KeyError, index_shape};
use crate::protocol::mercury::MercuryProof;
use crate::protocol::proof::{ProgramProof, read_messages, write_messages};
use crate::protocol::statement::StatementError;
use crate::protocol::transcript::Transcript;
use crate::protocol::verify::{VerifyError, combined_terms};
use crate::protocol::weight::Weights;

/// Capacity of the transcript: "lorica index proof 1".
pub const DOMAIN_INDEX: u64 = 0x6c6f_7269_6361_0006;
/// Words of a statement's shape.
pub const INDEX_SHAPE_WORDS: usize = 6;

const VERSION: u16 = 1;

/// What an index proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatement {
    /// Digest of architecture, τ, SRS and tables.
    pub architecture: Fr,
    /// Digest of the SRS.
    pub srs: Fr,
    /// τ.
    pub log_tile: u32,
    /// Id of the index.
    pub index: Fr,
    /// Records that the index has room for.
    pub records: usize,
    /// Records that it has: rows from there on count for nothing.
    pub count: usize,
    /// Binds the proof to its use; zero if absent. Whether an index is in range is true for everybody.
    pub context: Fr,
}

/// A proof that the cells of an index are in their ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexProof {
    /// What it says.
    pub statement: IndexStatement,
    /// Fresh private salt.
    pub prover_salt: Fr,
    /// Commitments to the witness tiles and the mask tile.
    pub witness: Vec<lorica_circuits::bn254::G1Affine>,
    /// Messages of the field part.
    pub messages: Messages<Fr>,
    /// The opening.
    pub opening: MercuryProof,
}

/// All scalars of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInputs<S> {
    /// Digest of architecture, τ, SRS and tables.
    pub architecture: S,
    /// [`index_shape_words`].
    pub shape: Vec<S>,
    /// Digest of the SRS.
    pub srs: S,
    /// Id of the index.
    pub index: S,
    /// Its records.
    pub count: S,
    /// Binds the proof to its use.
    pub context: S,
    /// Keccak digest of witness and mask tiles.
    pub witness: S,
    /// Fresh private salt.
    pub prover_salt: S,
}

impl<S> IndexInputs<S> {
    /// Each scalar put through `f`, in the order of the fields.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> IndexInputs<T> {
        let Self { architecture, shape, srs, index, count, context, witness, prover_salt } = self;
        IndexInputs {
            architecture: f(architecture),
            shape: shape.into_iter().map(&mut f).collect(),
            srs: f(srs),
            index: f(index),
            count: f(count),
            context: f(context),
            witness: f(witness),
            prover_salt: f(prover_salt),
        }
    }
}

/// The scalars of a shape: cells of a block, channels, τ, records, contributors, labels.
#[must_use]
pub fn index_shape_words(architecture: &Architecture, log_tile: u32, records: usize) -> [Fr; INDEX_SHAPE_WORDS] {
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(u64::MAX));
    let log_tile = Fr::from(u64::from(log_tile));
    let [block, hidden, records, contributors, labels] =
        [architecture.block, architecture.hidden, records, CONTRIBUTORS, LABELS].map(number);
    [block, hidden, log_tile, records, contributors, labels]
}

/// The scalars of a statement.
#[must_use]
pub fn index_inputs(
    architecture: &Architecture,
    statement: &IndexStatement,
    witness: Fr,
    prover_salt: Fr,
) -> IndexInputs<Fr> {
    IndexInputs {
        architecture: statement.architecture,
        shape: index_shape_words(architecture, statement.log_tile, statement.records).into(),
        srs: statement.srs,
        index: statement.index,
        count: Fr::from(u64::try_from(statement.count).unwrap_or(u64::MAX)),
        context: statement.context,
        witness,
        prover_salt,
    }
}

/// The transcript of an index proof, before anything is absorbed.
pub fn index_transcript<A: Arithmetic>(a: &mut A) -> Transcript<A> {
    Transcript::new(a, Fr::from(DOMAIN_INDEX))
}

/// Absorbs the statement and the witness commitment, and takes one less than the count into bits, most significant first;
/// nothing has been drawn before.
///
/// # Errors
/// If the count is zero or beyond the index' room.
pub fn absorb_index<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &IndexInputs<A::Scalar>,
) -> Result<Vec<A::Scalar>, StatementError> {
    let IndexInputs { architecture, shape, srs, index, count, context, witness, prover_salt } = inputs;
    if shape.len() != INDEX_SHAPE_WORDS {
        return Err(CircuitError::Statement { what: "words of the shape", got: shape.len() }.into());
    }
    let missing = || CircuitError::Compile { what: "the program counts no axis".into() };
    let axis = layout.program.counted.ok_or_else(missing)?;
    let one = a.one();
    let last = a.sub(count, &one);
    let bits = usize::try_from(layout.axis_bits(axis)).unwrap_or(usize::MAX);
    let mut last = a.bits(&last, bits, "statement: between one record and those of the shape")?;
    last.reverse();

    transcript.absorb(a, "architecture", architecture);
    transcript.absorb_all(a, "shape", shape);
    transcript.absorb(a, "srs", srs);
    transcript.absorb(a, "index", index);
    transcript.absorb(a, "count", count);
    transcript.absorb(a, "context", context);
    transcript.absorb(a, "witness", witness);
    transcript.absorb(a, "prover salt", prover_salt);
    Ok(last)
}

/// Verifies everything but curve arithmetic.
///
/// # Soundness
/// The caller owes: the index' id is that of the points that the group claim uses, the other digests among the inputs are
/// those of the registered or received points; the group claim holds. The draws are those of the field part of an
/// inference, with the same errors (`docs/protocol/soundness.md`).
///
/// # Errors
/// [`FieldError`] names the check.
pub fn index_field_part<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &IndexInputs<A::Scalar>,
    messages: &Messages<A::Scalar>,
) -> Result<Opened<A::Scalar>, FieldError> {
    check_shape(&message_shape(layout), messages)?;
    let last = absorb_index(a, transcript, layout, inputs)?;
    let weights = Weights { layout, scales: vec![], requests: vec![], last };
    open_claims(a, transcript, &weights, &[], messages)
}

/// Checks that the cells of an index are in their ranges. Gives what the group claim was made of.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones, and that nobody knows the trapdoor of the base's SRS. Nothing is
/// said of whether the cells are those of the version's records.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify_index(
    srs: &VerifierKey,
    base: &BaseCommitments,
    adapter: &AdapterCommitments,
    index: &IndexCommitments,
    context: &Fr,
    proof: &IndexProof,
) -> Result<Opened<Fr>, VerifyError> {
    verify_index_with(&mut Native, &mut index_transcript(&mut Native), srs, (base, adapter, index), context, proof)
}

/// [`verify_index`] on a given arithmetic over scalars and transcript, for tests that watch them.
///
/// # Errors
/// As [`verify_index`].
pub fn verify_index_with<A: Arithmetic<Scalar = Fr>>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    srs: &VerifierKey,
    keys: (&BaseCommitments, &AdapterCommitments, &IndexCommitments),
    context: &Fr,
    proof: &IndexProof,
) -> Result<Opened<Fr>, VerifyError> {
    let (base, adapter, index) = keys;
    base.validate()?;
    let statement = &proof.statement;
    let same = [
        ("generator of G2", *srs.g2() == G2Affine::generator()),
        ("SRS secret", *srs.tau_g2() == base.tau_g2),
        ("architecture", statement.architecture == base.architecture_digest()),
        ("SRS", statement.srs == base.srs),
        ("tile size", statement.log_tile == base.log_tile),
        ("index", statement.index == index.id()),
        ("size of an index", (statement.records, statement.count) == (index.records, index.count)),
    ];
    if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
        return Err(VerifyError::Foreign { what });
    }
    if adapter.base != base.id() {
        return Err(KeyError::IndexOf.into());
    }
    index.validate(base, adapter)?;
    if statement.context != *context {
        return Err(VerifyError::Context);
    }
    let layout = &base.architecture.index_layout(&index_shape(base.log_tile, index.records))?;
    let expected = layout.tiles(Region::WITNESS, 0).count.saturating_add(1);
    if proof.witness.len() != expected {
        return Err(VerifyError::Shape { what: "witness commitments", expected, got: proof.witness.len() });
    }
    let inputs = index_inputs(&base.architecture, statement, digest_points(&proof.witness), proof.prover_salt);
    let opened = index_field_part(a, transcript, layout, &inputs, &proof.messages)?;
    let registered = [(Region::INDEX, vec![index.tiles.as_slice()])];
    let claim = GroupClaim {
        variables: usize::try_from(layout.shape.log_tile).unwrap_or(0),
        outcome: opened.mercury,
        messages: proof.messages.mercury.clone(),
        terms: combined_terms(layout, 1, &registered, &proof.witness, &opened.rho_high)?,
    };
    claim.check(srs, &proof.opening)?;
    Ok(opened)
}

impl IndexProof {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { statement, prover_salt, witness, messages, opening } = self;
        let IndexStatement { architecture, srs, log_tile, index, records, count, context } = statement;
        let mut w = Writer::new(INDEX_PROOF_MAGIC, VERSION);
        [architecture, srs, index, context].into_iter().for_each(|scalar| w.scalar(scalar));
        w.u32(*log_tile);
        w.count(*records);
        w.count(*count);
        write_messages(&mut w, prover_salt, witness, messages, opening);
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes, "index proof", INDEX_PROOF_MAGIC, VERSION)?;
        let [architecture, srs, index, context] = r.scalar_array("statement word")?;
        let log_tile = r.u32("tau")?;
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let (records, count) = (number(r.u32("records")?), number(r.u32("count of records")?));
        if !RECORDS.contains(&records) {
            return Err(CodecError::Value { what: "records", got: u64::try_from(records).unwrap_or(u64::MAX) });
        }
        let ProgramProof { prover_salt, witness, messages, opening } = read_messages(&mut r)?;
        r.finish()?;
        let statement = IndexStatement { architecture, srs, log_tile, index, records, count, context };
        Ok(Self { statement, prover_salt, witness, messages, opening })
    }
}
