//! Row proofs: that rows of a datanet's index are the features of these texts under the index' adapter, with these labels,
//! weights and slots (docs/protocol/row-proof.md).
//!
//! A row proof is no inference: it has one adapter, the index' own, and publishes no answer. Its transcript begins under a
//! capacity of its own, so that no transcript of one kind is one of another.
//!
//! Order of the statement: (0) architecture, shape, SRS, base, scales word, adapter, index, records of the index, number of
//! rows, context; (1) digest of the witness tiles; (2) prover salt, and per row the input digest of its text and its word. All
//! of it precedes the first draw.

use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{CONTRIBUTORS, LABELS, MAX_REQUESTS, MAX_TOKENS, OutputKind, RECORDS, Shape};

use crate::codec::{CodecError, Reader, Writer};
use crate::keccak::digest_points;
use crate::magic::ROW_PROOF_MAGIC;
use crate::protocol::arithmetic::{Arithmetic, Native};
use crate::protocol::field::{FieldError, Messages, Opened, check_shape, message_shape, open_claims};
use crate::protocol::group::{GroupClaim, VerifierKey};
use crate::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, KeyError};
use crate::protocol::mercury::{MercuryOutcome, MercuryProof};
use crate::protocol::multilinear::{eq_table, power_of_two};
use crate::protocol::proof::{ProgramProof, read_messages, write_messages};
use crate::protocol::statement::{DOMAIN_SCALES, Spoken, StatementError, TextBits, bind_text, hash, input_digest};
use crate::protocol::transcript::Transcript;
use crate::protocol::verify::{VerifyError, combined_terms, registered, salt_scalar};
use crate::protocol::weight::{RequestBits, Weights};

/// Capacity of the transcript: "lorica row proof 1".
pub const DOMAIN_ROWS: u64 = 0x6c6f_7269_6361_0007;
/// Words of a statement's shape.
pub const ROW_SHAPE_WORDS: usize = 7;
/// The kind of what a row proof publishes, beside those of [`OutputKind`] and the 3 of index proofs.
pub const ROW_KIND: u64 = 4;

/// Bits of a row in its word.
pub const ROW_BITS: usize = 16;
/// Where the label begins in a row's word. Between its four bits and the weight are zeros.
pub const ROW_LABEL_AT: usize = 16;
/// Bits of a label.
const LABEL_BITS: usize = 4;
/// Where the weight begins.
pub const ROW_WEIGHT_AT: usize = 24;
/// Bits of a weight.
const WEIGHT_BITS: usize = 8;
/// Where the slot begins.
pub const ROW_SLOT_AT: usize = 32;
/// Bits of a slot.
const SLOT_BITS: usize = 10;
/// Bits of a row's word.
pub const ROW_WORD_BITS: usize = ROW_SLOT_AT + SLOT_BITS;

const _: () = {
    let [.., room] = RECORDS;
    assert!(LABELS == 1 << LABEL_BITS && CONTRIBUTORS == 1 << SLOT_BITS && room == 1 << ROW_BITS);
};

const VERSION: u16 = 1;

/// A row of an index, as a row proof publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number: that of the record.
    pub row: u16,
    /// The only label at which it has a weight.
    pub label: u8,
    /// That weight, not zero.
    pub weight: u8,
    /// Its contributor's slot.
    pub slot: u16,
}

impl Row {
    /// `row + 2^16·label + 2^24·weight + 2^32·slot`.
    #[must_use]
    pub fn word(&self) -> Fr {
        let Self { row, label, weight, slot } = *self;
        let number = u64::from(row)
            | u64::from(label) << ROW_LABEL_AT
            | u64::from(weight) << ROW_WEIGHT_AT
            | u64::from(slot) << ROW_SLOT_AT;
        Fr::from(number)
    }
}

/// A text and the row that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowText {
    /// The input salt: that of the datanet.
    pub salt: [u8; 31],
    /// Token ids.
    pub ids: Vec<u32>,
    /// The row.
    pub row: Row,
}

/// What a row proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowStatement {
    /// Shape of the batch: of the kind that attributes, with the index' room as its records.
    pub shape: Shape,
    /// Digest of architecture, τ, SRS and tables.
    pub architecture: Fr,
    /// Digest of the SRS.
    pub srs: Fr,
    /// Id of the base.
    pub base: Fr,
    /// Id of the adapter that the index is of.
    pub adapter: Fr,
    /// Id of the index.
    pub index: Fr,
    /// Records that the index has: rows are below it.
    pub records: usize,
    /// Binds the proof to its use; zero if absent.
    pub context: Fr,
    /// One to `shape.requests` texts with their rows.
    pub rows: Vec<RowText>,
}

/// A proof that rows of an index are the features of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProof {
    /// What it says.
    pub statement: RowStatement,
    /// Fresh private salt.
    pub prover_salt: Fr,
    /// Commitments to the witness tiles and the mask tile.
    pub witness: Vec<G1Affine>,
    /// Messages of the field part.
    pub messages: Messages<Fr>,
    /// The opening.
    pub opening: MercuryProof,
}

/// One row's private and public scalars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTextInputs<S> {
    /// As many ids as the model's token limit, zero beyond the length.
    pub ids: Vec<S>,
    /// Tokens.
    pub length: S,
    /// Input salt.
    pub salt: S,
    /// [`Row::word`].
    pub word: S,
}

/// All scalars of a statement. Rows beyond `count` repeat the first; the caller arranges that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowInputs<S> {
    /// Digest of architecture, τ, SRS and tables.
    pub architecture: S,
    /// [`row_shape_words`].
    pub shape: Vec<S>,
    /// Digest of the SRS.
    pub srs: S,
    /// Base id.
    pub base: S,
    /// Id of the one adapter.
    pub adapter: S,
    /// Id of the index.
    pub index: S,
    /// Records of the index.
    pub records: S,
    /// Rows that are really meant.
    pub count: S,
    /// Binds the proof to its use.
    pub context: S,
    /// Keccak digest of witness and mask tiles.
    pub witness: S,
    /// Fresh private salt.
    pub prover_salt: S,
    /// Scale values in their order.
    pub scales: Vec<S>,
    /// As many as the shape has requests.
    pub rows: Vec<RowTextInputs<S>>,
}

impl<S> RowInputs<S> {
    /// Each scalar put through `f`, in the order of the fields.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> RowInputs<T> {
        let Self {
            architecture,
            shape,
            srs,
            base,
            adapter,
            index,
            records,
            count,
            context,
            witness,
            prover_salt,
            scales,
            rows,
        } = self;
        RowInputs {
            architecture: f(architecture),
            shape: shape.into_iter().map(&mut f).collect(),
            srs: f(srs),
            base: f(base),
            adapter: f(adapter),
            index: f(index),
            records: f(records),
            count: f(count),
            context: f(context),
            witness: f(witness),
            prover_salt: f(prover_salt),
            scales: scales.into_iter().map(&mut f).collect(),
            rows: rows
                .into_iter()
                .map(|RowTextInputs { ids, length, salt, word }| RowTextInputs {
                    ids: ids.into_iter().map(&mut f).collect(),
                    length: f(length),
                    salt: f(salt),
                    word: f(word),
                })
                .collect(),
        }
    }
}

/// What is published of one row, computed by the field part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWords<S> {
    /// Poseidon digest of salt, length and ids: the record's digest.
    pub record_digest: S,
    /// [`Row::word`].
    pub word: S,
}

/// What the statement leaves for the relations.
#[derive(Debug)]
pub struct BoundRows<S> {
    /// Poseidon word of the scales.
    pub scales_word: S,
    /// Words per row.
    pub words: Vec<RowWords<S>>,
    /// Lengths, ids and rows in bits.
    pub bits: Vec<RequestBits<S>>,
    /// What relations say of the rows.
    pub spoken: Vec<Spoken<S>>,
}

/// What the field part leaves for the group part, and the public words that it computed.
#[derive(Clone, Debug)]
pub struct RowOutcome<S> {
    /// Tile coordinates of ρ, lowest bit first.
    pub rho_high: Vec<S>,
    /// Mercury's words.
    pub mercury: MercuryOutcome<S>,
    /// Poseidon word of the scales.
    pub scales_word: S,
    /// Words per row.
    pub words: Vec<RowWords<S>>,
}

/// The smallest shape for this many rows of an index with room for `records`, whose longest text has this many tokens.
///
/// # Errors
/// [`CircuitError::Shape`] if there is none.
pub fn row_shape(rows: usize, longest: usize, log_tile: u32, records: usize) -> Result<Shape, CircuitError> {
    Shape::fitting(rows, longest, log_tile, OutputKind::Classify)?.attributing(records)
}

/// The scalars of a shape: requests, tokens, τ, the kind of row proofs, records, contributors, labels.
#[must_use]
pub fn row_shape_words(shape: &Shape) -> [Fr; ROW_SHAPE_WORDS] {
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(u64::MAX));
    let (log_tile, kind) = (Fr::from(u64::from(shape.log_tile)), Fr::from(ROW_KIND));
    let [requests, tokens, records, contributors, labels] =
        [shape.requests, shape.tokens, shape.records, CONTRIBUTORS, LABELS].map(number);
    [requests, tokens, log_tile, kind, records, contributors, labels]
}

/// Checks the statement's form and turns it into scalars; rows beyond the stated ones repeat the first.
///
/// # Errors
/// [`VerifyError`] names the row.
pub fn row_inputs(
    layout: &Layout,
    base: &BaseCommitments,
    statement: &RowStatement,
    witness: Fr,
    prover_salt: Fr,
) -> Result<RowInputs<Fr>, VerifyError> {
    let shape = &layout.shape;
    let count = statement.rows.len();
    if count == 0 || count > shape.requests {
        return Err(VerifyError::Shape { what: "rows", expected: shape.requests, got: count });
    }
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(u64::MAX));
    let mut rows = Vec::new();
    for (request, own) in statement.rows.iter().enumerate() {
        if own.ids.len() < 2 || own.ids.len() > shape.tokens {
            return Err(VerifyError::Request { request, what: "has fewer than 2 tokens or more than the shape" });
        }
        let mut ids: Vec<Fr> = own.ids.iter().map(|&id| Fr::from(u64::from(id))).collect();
        ids.resize(layout.program.text.map_or(0, |text| text.limit), Fr::ZERO);
        rows.push(RowTextInputs {
            ids,
            length: number(own.ids.len()),
            salt: salt_scalar(&own.salt),
            word: own.row.word(),
        });
    }
    if let Some(first) = rows.first().cloned() {
        rows.resize(shape.requests, first);
    }
    Ok(RowInputs {
        architecture: statement.architecture,
        shape: row_shape_words(shape).into(),
        srs: statement.srs,
        base: statement.base,
        adapter: statement.adapter,
        index: statement.index,
        records: number(statement.records),
        count: number(count),
        context: statement.context,
        witness,
        prover_salt,
        scales: base.scales.values(),
        rows,
    })
}

/// The transcript of a row proof, before anything is absorbed.
pub fn row_transcript<A: Arithmetic>(a: &mut A) -> Transcript<A> {
    Transcript::new(a, Fr::from(DOMAIN_ROWS))
}

/// `Σ_k 2^k·bit k`.
fn number<A: Arithmetic>(a: &mut A, bits: &[A::Scalar]) -> A::Scalar {
    let mut sum = a.zero();
    for (bit, power) in bits.iter().zip(0..) {
        let power = a.constant(power_of_two(power));
        let term = a.mul(bit, &power);
        sum = a.add(&sum, &term);
    }
    sum
}

/// A row's word in parts.
struct WordParts<S> {
    /// Bits of the row, most significant first, as many as the record axis has.
    row: Vec<S>,
    /// `weight·[l = label]` for every label l.
    classes: Vec<S>,
    slot: S,
}

/// Takes a row's word apart. There is no private copy of a part: each is made of bits of the word itself, which are unique
/// since it is below 2^42.
fn bind_word<A: Arithmetic>(
    a: &mut A,
    row_bits: usize,
    records: &A::Scalar,
    word: &A::Scalar,
) -> Result<WordParts<A::Scalar>, StatementError> {
    let bits = a.bits(word, ROW_WORD_BITS, "statement: a row's word is below 2^42")?;
    let part = |from: usize, count: usize| bits.iter().skip(from).take(count).cloned().collect::<Vec<_>>();
    // A sum of fewer than r bits is zero if all of them are.
    let mut other = part(row_bits, ROW_BITS.saturating_sub(row_bits));
    other.extend(part(ROW_LABEL_AT + LABEL_BITS, ROW_WEIGHT_AT - ROW_LABEL_AT - LABEL_BITS));
    let (zero, one) = (a.zero(), a.one());
    let mut sum = zero.clone();
    for bit in &other {
        sum = a.add(&sum, bit);
    }
    a.assert_equal(&sum, &zero, "statement: a row's word has no bits beside row, label, weight and slot")?;

    // 0 <= records - 1 - row: both are below 2^row_bits, so that a row beyond them makes it negative.
    let mut row = part(0, row_bits);
    let own = number(a, &row);
    let last = a.sub(records, &one);
    let room = a.sub(&last, &own);
    a.bits(&room, row_bits, "statement: a row is one of the index' records")?;
    row.reverse();
    // Without a weight every label would do.
    let weight = number(a, &part(ROW_WEIGHT_AT, WEIGHT_BITS));
    let above = a.sub(&weight, &one);
    a.bits(&above, WEIGHT_BITS, "statement: a row has a weight")?;
    let mut label = part(ROW_LABEL_AT, LABEL_BITS);
    label.reverse();
    let classes = eq_table(a, &label).iter().map(|is| a.mul(is, &weight)).collect();
    let slot = number(a, &part(ROW_SLOT_AT, SLOT_BITS));
    Ok(WordParts { row, classes, slot })
}

/// Absorbs the statement and the witness commitment; nothing has been drawn before.
///
/// # Errors
/// If a length, id or word is impossible.
pub fn absorb_rows<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &RowInputs<A::Scalar>,
) -> Result<BoundRows<A::Scalar>, StatementError> {
    let RowInputs {
        architecture,
        shape,
        srs,
        base,
        adapter,
        index,
        records,
        count,
        context,
        witness,
        prover_salt,
        scales,
        rows,
    } = inputs;
    let refuse = |what, got| Err(CircuitError::Statement { what, got }.into());
    if rows.len() != layout.shape.requests {
        return refuse("rows of the shape", rows.len());
    }
    if shape.len() != ROW_SHAPE_WORDS {
        return refuse("words of the shape", shape.len());
    }
    if scales.len() != layout.program.scales {
        return refuse("scales", scales.len());
    }
    let row_bits = usize::try_from(layout.program.output.row_bits).unwrap_or(usize::MAX);
    if row_bits == 0 || row_bits > ROW_BITS {
        return refuse("bits of a row", row_bits);
    }
    let scales_word = hash(a, DOMAIN_SCALES, scales);
    let one = a.one();
    let last = a.sub(records, &one);
    a.bits(&last, row_bits, "statement: between one record and those of the shape")?;
    let request_bits = usize::try_from(layout.shape.request_bits()).unwrap_or(0);
    let last = a.sub(count, &one);
    a.bits(&last, request_bits, "statement: between one row and those of the shape")?;

    transcript.absorb(a, "architecture", architecture);
    transcript.absorb_all(a, "shape", shape);
    transcript.absorb(a, "srs", srs);
    transcript.absorb(a, "base", base);
    transcript.absorb(a, "scales", &scales_word);
    transcript.absorb(a, "adapter", adapter);
    transcript.absorb(a, "index", index);
    transcript.absorb(a, "records", records);
    transcript.absorb(a, "count", count);
    transcript.absorb(a, "context", context);
    transcript.absorb(a, "witness", witness);
    transcript.absorb(a, "prover salt", prover_salt);
    let mut bound = BoundRows { scales_word, words: Vec::new(), bits: Vec::new(), spoken: Vec::new() };
    for RowTextInputs { ids, length, salt, word } in rows {
        let TextBits { last, ids: id_bits } = bind_text(a, layout, length, ids)?;
        let WordParts { row, classes, slot } = bind_word(a, row_bits, records, word)?;
        let record_digest = input_digest(a, salt, length, ids);
        transcript.absorb(a, "input digest", &record_digest);
        transcript.absorb(a, "row", word);
        bound.words.push(RowWords { record_digest, word: word.clone() });
        bound.bits.push(RequestBits { last, ids: id_bits, label: Vec::new(), attributes: a.zero(), row });
        bound.spoken.push(Spoken { outputs: Vec::new(), shares: Vec::new(), classes, slot: vec![slot] });
    }
    Ok(bound)
}

/// Verifies everything but curve arithmetic.
///
/// # Soundness
/// The caller owes: the ids are those of the points that the group claim uses, the index is the adapter's and has so many
/// records, rows beyond `count` repeat the first, the other digests among the inputs are those of the registered or received
/// points; the group claim holds. The draws are those of the field part of an inference, with the same errors
/// (`docs/protocol/soundness.md`).
///
/// # Errors
/// [`FieldError`] names the check.
pub fn row_field_part<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &RowInputs<A::Scalar>,
    messages: &Messages<A::Scalar>,
) -> Result<RowOutcome<A::Scalar>, FieldError> {
    check_shape(&message_shape(layout), messages)?;
    let BoundRows { scales_word, words, bits, spoken } = absorb_rows(a, transcript, layout, inputs)?;
    let weights = Weights { layout, scales: inputs.scales.clone(), requests: bits, last: vec![] };
    let Opened { rho_high, mercury } = open_claims(a, transcript, &weights, &spoken, messages)?;
    Ok(RowOutcome { rho_high, mercury, scales_word, words })
}

/// Checks that rows of an index are the features of texts. Gives the words of each stated row.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones, and that nobody knows the trapdoor of the base's SRS. Nothing is
/// said of whether a text with its label is the record of that number in the version: that is a path to the version's root.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify_rows(
    srs: &VerifierKey,
    base: &BaseCommitments,
    adapter: &AdapterCommitments,
    index: &IndexCommitments,
    context: &Fr,
    proof: &RowProof,
) -> Result<RowOutcome<Fr>, VerifyError> {
    verify_rows_with(&mut Native, &mut row_transcript(&mut Native), srs, (base, adapter, index), context, proof)
}

/// [`verify_rows`] on a given arithmetic over scalars and transcript, for tests that watch them.
///
/// # Errors
/// As [`verify_rows`].
pub fn verify_rows_with<A: Arithmetic<Scalar = Fr>>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    srs: &VerifierKey,
    keys: (&BaseCommitments, &AdapterCommitments, &IndexCommitments),
    context: &Fr,
    proof: &RowProof,
) -> Result<RowOutcome<Fr>, VerifyError> {
    let (base, adapter, index) = keys;
    base.validate()?;
    let statement = &proof.statement;
    let same = [
        ("generator of G2", *srs.g2() == G2Affine::generator()),
        ("SRS secret", *srs.tau_g2() == base.tau_g2),
        ("architecture", statement.architecture == base.architecture_digest()),
        ("SRS", statement.srs == base.srs),
        ("tile size", statement.shape.log_tile == base.log_tile),
        ("base", statement.base == base.id()),
        ("adapter", statement.adapter == adapter.id()),
        ("index", statement.index == index.id()),
        ("size of an index", (statement.shape.records, statement.records) == (index.records, index.count)),
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
    let layout = &base.architecture.row_layout(&statement.shape)?;
    let expected = layout.tiles(Region::WITNESS, 0).count.saturating_add(1);
    if proof.witness.len() != expected {
        return Err(VerifyError::Shape { what: "witness commitments", expected, got: proof.witness.len() });
    }
    let inputs = row_inputs(layout, base, statement, digest_points(&proof.witness), proof.prover_salt)?;
    let mut outcome = row_field_part(a, transcript, layout, &inputs, &proof.messages)?;
    let regions = registered(base, vec![&adapter.tiles], Some(&index.tiles));
    let claim = GroupClaim {
        variables: usize::try_from(layout.shape.log_tile).unwrap_or(0),
        outcome: outcome.mercury,
        messages: proof.messages.mercury.clone(),
        terms: combined_terms(layout, 1, &regions, &proof.witness, &outcome.rho_high)?,
    };
    claim.check(srs, &proof.opening)?;
    // Words of absent rows repeat the first's and say nothing of their own.
    outcome.words.truncate(statement.rows.len());
    Ok(outcome)
}

impl RowProof {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { statement, prover_salt, witness, messages, opening } = self;
        let RowStatement { shape, architecture, srs, base, adapter, index, records, context, rows } = statement;
        let mut w = Writer::new(ROW_PROOF_MAGIC, VERSION);
        w.count(shape.requests);
        w.count(shape.tokens);
        w.u32(shape.log_tile);
        w.count(shape.records);
        [architecture, srs, base, adapter, index, context].into_iter().for_each(|scalar| w.scalar(scalar));
        w.count(*records);
        w.count(rows.len());
        for RowText { salt, ids, row: Row { row, label, weight, slot } } in rows {
            w.bytes(salt);
            w.count(ids.len());
            ids.iter().for_each(|&id| w.u32(id));
            w.bytes(&row.to_be_bytes());
            w.u8(*label);
            w.u8(*weight);
            w.bytes(&slot.to_be_bytes());
        }
        write_messages(&mut w, prover_salt, witness, messages, opening);
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes, "row proof", ROW_PROOF_MAGIC, VERSION)?;
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let (requests, tokens) = (number(r.u32("requests")?), number(r.u32("tokens")?));
        let (log_tile, room) = (r.u32("tau")?, number(r.u32("records")?));
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify, records: room };
        let [architecture, srs, base, adapter, index, context] = r.scalar_array("statement word")?;
        let records = number(r.u32("count of records")?);
        let mut rows = Vec::new();
        for _ in 0..r.count("rows", MAX_REQUESTS, 41)? {
            let salt = r.array("salt")?;
            let ids = (0..r.count("ids", MAX_TOKENS, 4)?).map(|_| r.u32("id")).collect::<Result<_, _>>()?;
            let row = Row {
                row: u16::from_be_bytes(r.array("row")?),
                label: r.u8("label")?,
                weight: r.u8("weight")?,
                slot: u16::from_be_bytes(r.array("slot")?),
            };
            rows.push(RowText { salt, ids, row });
        }
        let ProgramProof { prover_salt, witness, messages, opening } = read_messages(&mut r)?;
        r.finish()?;
        let statement = RowStatement { shape, architecture, srs, base, adapter, index, records, context, rows };
        Ok(Self { statement, prover_salt, witness, messages, opening })
    }
}
