//! The verifier on real proofs in which a datanet's index has a part: of shares, of an index, of rows. As `golden.rs`;
//! `prover/tests/golden_index.rs` writes the files.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/hooked.rs"]
mod hooked;

use std::collections::BTreeSet;

use golden::{Watched, edited, file, outcome_words, resealed, text};
use hooked::Hooked;
use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine, PrimeCurveAffine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::Shape;
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Taped};
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError, Native};
use lorica_verifier::protocol::field::{FieldError, Messages, Outcome, field_part, proof_transcript};
use lorica_verifier::protocol::group::{GroupError, VerifierKey};
use lorica_verifier::protocol::index::{
    IndexInputs, IndexProof, index_field_part, index_inputs, index_transcript, verify_index,
};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, KeyError, index_shape};
use lorica_verifier::protocol::mercury::MercuryOutcome;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::rows::{
    RowInputs, RowOutcome, RowProof, row_field_part, row_inputs, row_transcript, verify_rows,
};
use lorica_verifier::protocol::statement::{Inputs, StatementError};
use lorica_verifier::protocol::verify::{Keys, VerifyError, inputs, verify};

const SUM: &str = "lookup: the sum of fractions is zero";
const LAYER: &str = "lookup: a layer's sumcheck";
const RELATIONS: &str = "relations: the sumcheck's end";
const REDUCTION: &str = "reduction: the weights' value at the point";

/// What whoever checks proofs has.
struct Own {
    srs: VerifierKey,
    base: BaseCommitments,
    adapters: Vec<AdapterCommitments>,
    index: IndexCommitments,
}

impl Own {
    fn load() -> Self {
        let (base, adapters, index) = golden::keys("indexed", |rest| IndexCommitments::read(rest).unwrap());
        Self { srs: VerifierKey::new(G2Affine::generator(), base.tau_g2), base, adapters, index }
    }

    fn shares(&self, proof: &InferenceProof) -> Result<Outcome<Fr>, VerifyError> {
        self.shares_by(&self.adapters, std::slice::from_ref(&self.index), proof)
    }

    fn shares_by(
        &self,
        adapters: &[AdapterCommitments],
        indexes: &[IndexCommitments],
        proof: &InferenceProof,
    ) -> Result<Outcome<Fr>, VerifyError> {
        verify(&self.srs, &self.base, Keys { adapters, indexes }, &Fr::ZERO, proof)
    }

    fn shares_layout(&self, proof: &InferenceProof) -> Layout {
        self.base.architecture.layout(&proof.statement.shape).unwrap()
    }

    fn shares_inputs(&self, proof: &InferenceProof) -> Inputs<Fr> {
        let witness = digest_points(&proof.witness);
        inputs(&self.shares_layout(proof), &self.base, &proof.statement, witness, proof.prover_salt).unwrap()
    }

    fn index(&self, proof: &IndexProof) -> Result<Vec<Fr>, VerifyError> {
        let opened = verify_index(&self.srs, &self.base, &self.adapters[0], &self.index, &Fr::ZERO, proof)?;
        Ok(program_words(&opened.rho_high, &opened.mercury))
    }

    fn index_layout(&self) -> Layout {
        self.base.architecture.index_layout(&index_shape(self.base.log_tile, self.index.records)).unwrap()
    }

    fn index_inputs(&self, proof: &IndexProof) -> IndexInputs<Fr> {
        let witness = digest_points(&proof.witness);
        index_inputs(&self.base.architecture, &proof.statement, witness, proof.prover_salt)
    }

    fn rows(&self, proof: &RowProof) -> Result<RowOutcome<Fr>, VerifyError> {
        verify_rows(&self.srs, &self.base, &self.adapters[0], &self.index, &Fr::ZERO, proof)
    }

    fn rows_layout(&self, proof: &RowProof) -> Layout {
        self.base.architecture.row_layout(&proof.statement.shape).unwrap()
    }

    fn rows_inputs(&self, proof: &RowProof) -> RowInputs<Fr> {
        let witness = digest_points(&proof.witness);
        row_inputs(&self.rows_layout(proof), &self.base, &proof.statement, witness, proof.prover_salt).unwrap()
    }
}

fn shares_proof(name: &str) -> InferenceProof {
    InferenceProof::decode(&file(&format!("{name}.proof"))).unwrap()
}

fn index_proof() -> IndexProof {
    IndexProof::decode(&file("index.proof")).unwrap()
}

fn rows_proof() -> RowProof {
    RowProof::decode(&file("rows_three.proof")).unwrap()
}

fn program_words(rho_high: &[Fr], m: &MercuryOutcome<Fr>) -> Vec<Fr> {
    [rho_high, &[m.alpha, m.zeta, m.beta, m.z, m.constant]].concat()
}

fn unequal(what: &'static str) -> VerifyError {
    FieldError::Check(ArithmeticError::NotEqual { what }).into()
}

fn foreign(what: &'static str) -> VerifyError {
    VerifyError::Foreign { what }
}

#[test]
fn golden_proofs_are_accepted_with_their_words() {
    let own = Own::load();
    for name in ["attribute_one", "attribute_three"] {
        let proof = shares_proof(name);
        let outcome = own.shares(&proof).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(outcome_words(&outcome), file(&format!("{name}.words")), "{name}");
        assert_eq!(proof.encode(), file(&format!("{name}.proof")), "{name}");
    }
    let proof = index_proof();
    assert_eq!(text(&own.index(&proof).unwrap()), file("index.words"));
    assert_eq!(proof.encode(), file("index.proof"));
    let proof = rows_proof();
    let outcome = own.rows(&proof).unwrap();
    let mut words = program_words(&outcome.rho_high, &outcome.mercury);
    words.push(outcome.scales_word);
    // One for each stated row, none for the fourth place.
    assert_eq!(outcome.words.len(), 3);
    words.extend(outcome.words.iter().flat_map(|own| [own.record_digest, own.word]));
    assert_eq!(text(&words), file("rows_three.words"));
    assert_eq!(proof.encode(), file("rows_three.proof"));
}

/// A field part asks the same operations of every witness of a shape; its tape is the recorder's.
#[test]
fn the_tapes_are_the_recorders() {
    let own = Own::load();
    fn run<A: Arithmetic, T>(
        a: &mut A,
        own: &Own,
        mut input: impl FnMut(&mut A, Fr) -> A::Scalar,
        check: impl FnOnce(&mut A, &mut dyn FnMut(&mut A, Fr) -> A::Scalar, &Own) -> T,
    ) -> T {
        check(a, &mut input, own)
    }
    fn shares<A: Arithmetic>(a: &mut A, input: &mut dyn FnMut(&mut A, Fr) -> A::Scalar, own: &Own) {
        let proof = shares_proof("attribute_three");
        let inputs = own.shares_inputs(&proof).map(|s| input(a, s));
        let messages = proof.messages.clone().map(|s| input(a, s));
        let mut transcript = proof_transcript(a);
        field_part(a, &mut transcript, &own.shares_layout(&proof), &inputs, &messages).unwrap();
    }
    fn index<A: Arithmetic>(a: &mut A, input: &mut dyn FnMut(&mut A, Fr) -> A::Scalar, own: &Own) {
        let proof = index_proof();
        let inputs = own.index_inputs(&proof).map(|s| input(a, s));
        let messages = proof.messages.clone().map(|s| input(a, s));
        let mut transcript = index_transcript(a);
        index_field_part(a, &mut transcript, &own.index_layout(), &inputs, &messages).unwrap();
    }
    fn rows<A: Arithmetic>(a: &mut A, input: &mut dyn FnMut(&mut A, Fr) -> A::Scalar, own: &Own) {
        let proof = rows_proof();
        let inputs = own.rows_inputs(&proof).map(|s| input(a, s));
        let messages = proof.messages.clone().map(|s| input(a, s));
        let mut transcript = row_transcript(a);
        row_field_part(a, &mut transcript, &own.rows_layout(&proof), &inputs, &messages).unwrap();
    }
    macro_rules! same {
        ($part:ident) => {
            let (mut native, mut symbolic) = (Taped::new(Native), Recorder::default());
            run(&mut native, &own, |a, s| a.input(s), $part);
            run(&mut symbolic, &own, |a, _| a.input(()), $part);
            assert_eq!((native.tape(), native.cost()), (symbolic.tape(), symbolic.cost()), stringify!($part));
        };
    }
    same!(shares);
    same!(index);
    same!(rows);
}

/// Each check of what is stated is one that refuses something.
#[test]
fn every_check_of_the_statements_refuses_something() {
    let own = Own::load();
    let statement = |error: FieldError| match error {
        FieldError::Statement(StatementError::Arithmetic(
            ArithmeticError::NotEqual { what } | ArithmeticError::OutOfRange { what, .. },
        )) => what,
        other => panic!("{other:?}"),
    };
    let mut watched = Hooked(Watched::default());
    let mut refusing: BTreeSet<&'static str> = BTreeSet::new();

    let proof = shares_proof("attribute_three");
    let layout = own.shares_layout(&proof);
    let inputs = own.shares_inputs(&proof);
    let transcript = &mut proof_transcript(&mut watched);
    field_part(&mut watched, transcript, &layout, &inputs, &proof.messages).unwrap();
    let mut more = inputs;
    more.attributing = Some(Fr::from(16));
    let error = field_part(&mut Native, &mut proof_transcript(&mut Native), &layout, &more, &proof.messages);
    let what = statement(error.unwrap_err());
    assert_eq!(what, "statement: a bit for each request that attributes");
    refusing.insert(what);

    let proof = index_proof();
    let layout = own.index_layout();
    let transcript = &mut index_transcript(&mut watched);
    index_field_part(&mut watched, transcript, &layout, &own.index_inputs(&proof), &proof.messages).unwrap();
    for count in [Fr::ZERO, Fr::from(2049)] {
        let mut inputs = own.index_inputs(&proof);
        inputs.count = count;
        let transcript = &mut index_transcript(&mut Native);
        let error = index_field_part(&mut Native, transcript, &layout, &inputs, &proof.messages).unwrap_err();
        let what = statement(error);
        assert_eq!(what, "statement: between one record and those of the shape");
        refusing.insert(what);
    }

    let proof = rows_proof();
    let layout = own.rows_layout(&proof);
    let transcript = &mut row_transcript(&mut watched);
    row_field_part(&mut watched, transcript, &layout, &own.rows_inputs(&proof), &proof.messages).unwrap();
    type Edit = fn(&mut RowInputs<Fr>);
    let power = |n: u64| Fr::from(2).pow([n]);
    let bits: Vec<Fr> = [11, 12, 13, 14, 15, 20, 21, 22, 23].map(power).into();
    let edits: [(&str, Edit); 19] = [
        ("statement: between one record and those of the shape", |i| i.records = Fr::ZERO),
        ("statement: between one record and those of the shape", |i| i.records = Fr::from(2049)),
        ("statement: between one row and those of the shape", |i| i.count = Fr::ZERO),
        ("statement: between one row and those of the shape", |i| i.count = Fr::from(5)),
        ("statement: a row's word is below 2^42", |i| i.rows[0].word += Fr::from(1 << 42)),
        ("statement: a row's word is below 2^42", |i| i.rows[3].word = -Fr::ONE),
        ("statement: a row is one of the index' records", |i| i.records = Fr::from(2)),
        ("statement: a row is one of the index' records", |i| i.records = Fr::from(1499)),
        ("statement: a row is one of the index' records", |i| i.rows[2].word += Fr::ONE),
        ("statement: a row has a weight", |i| i.rows[1].word = Fr::from(1023)),
        ("statement: a row has a weight", |i| i.rows[1].word = Fr::from(1023 | 3 << 16 | 5 << 32)),
        ("statement: length is at least 2", |i| i.rows[1].length = Fr::ONE),
        ("statement: length is at most T", |i| i.rows[1].length = Fr::from(17)),
        ("statement: id fits its bits", |i| i.rows[0].ids[0] = -Fr::ONE),
        ("statement: id is below the vocabulary", |i| i.rows[0].ids[1] = Fr::from(1 << 19)),
        ("statement: ids beyond the length are zero", |i| i.rows[2].ids[2] = Fr::ONE),
        ("statement: ids beyond the length are zero", |i| i.rows[0].ids[15] = Fr::ONE),
        ("statement: ids beyond T are zero", |i| i.rows[0].ids[16] = Fr::ONE),
        ("statement: ids beyond T are zero", |i| i.rows[3].ids[127] = Fr::ONE),
    ];
    let refuse = |edit: &dyn Fn(&mut RowInputs<Fr>)| {
        let mut inputs = own.rows_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut row_transcript(&mut Native);
        statement(row_field_part(&mut Native, transcript, &layout, &inputs, &proof.messages).unwrap_err())
    };
    for (what, edit) in edits {
        let got = refuse(&edit);
        // An id beyond its bits may be beyond the vocabulary first.
        assert!(got == what || (what.contains(" id ") && got.contains(" id ")), "{got} instead of {what}");
        refusing.insert(what);
    }
    for bit in bits {
        let what = "statement: a row's word has no bits beside row, label, weight and slot";
        assert_eq!(refuse(&|i| i.rows[1].word += bit), what);
        refusing.insert(what);
    }
    let stated: BTreeSet<_> = watched.0.asked.into_iter().filter(|what| what.starts_with("statement:")).collect();
    // Those of a batch's texts and labels: `golden.rs`.
    let elsewhere = [
        "statement: between one request and those of the shape",
        "statement: label is below 16",
        "statement: label is the lowest index of the largest logit",
        "statement: the label is one that the adapter has",
    ];
    assert_eq!(stated, refusing.union(&elsewhere.into()).copied().collect());
}

/// What is stated is bound before anything is drawn: another number, and the first sumcheck does not hold.
#[test]
fn every_stated_word_is_bound() {
    let own = Own::load();
    let proof = shares_proof("attribute_three");
    let check = |edit: &dyn Fn(&mut Inputs<Fr>)| {
        let mut inputs = own.shares_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut proof_transcript(&mut Native);
        let error = field_part(&mut Native, transcript, &own.shares_layout(&proof), &inputs, &proof.messages);
        assert_eq!(VerifyError::from(error.unwrap_err()), unequal(LAYER));
    };
    check(&|i| i.regions[0] += Fr::ONE);
    check(&|i| i.attributing = Some(Fr::from(15)));
    (0..7).for_each(|word| check(&|i| i.shape[word] += Fr::ONE));
    for (request, word) in [(0, 0), (0, 3), (1, 0), (2, 1), (3, 2)] {
        check(&|i| i.requests[request].shares[word] += Fr::ONE);
    }

    let proof = index_proof();
    let edits: [fn(&mut IndexInputs<Fr>); 7] = [
        |i| i.architecture += Fr::ONE,
        |i| i.srs += Fr::ONE,
        |i| i.index += Fr::ONE,
        |i| i.count += Fr::ONE,
        |i| i.context += Fr::ONE,
        |i| i.witness += Fr::ONE,
        |i| i.prover_salt += Fr::ONE,
    ];
    let check = |edit: &dyn Fn(&mut IndexInputs<Fr>)| {
        let mut inputs = own.index_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut index_transcript(&mut Native);
        let error = index_field_part(&mut Native, transcript, &own.index_layout(), &inputs, &proof.messages);
        assert_eq!(VerifyError::from(error.unwrap_err()), unequal(LAYER));
    };
    edits.iter().for_each(|edit| check(edit));
    (0..6).for_each(|word| check(&|i| i.shape[word] += Fr::ONE));

    let proof = rows_proof();
    let edits: [fn(&mut RowInputs<Fr>); 13] = [
        |i| i.architecture += Fr::ONE,
        |i| i.srs += Fr::ONE,
        |i| i.base += Fr::ONE,
        |i| i.scales[0] += Fr::ONE,
        |i| i.adapter += Fr::ONE,
        |i| i.index += Fr::ONE,
        |i| i.records += Fr::ONE,
        |i| i.count += Fr::ONE,
        |i| i.context += Fr::ONE,
        |i| i.witness += Fr::ONE,
        |i| i.prover_salt += Fr::ONE,
        |i| i.rows[2].salt += Fr::ONE,
        |i| i.rows[3].word += Fr::ONE,
    ];
    let check = |edit: &dyn Fn(&mut RowInputs<Fr>)| {
        let mut inputs = own.rows_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut row_transcript(&mut Native);
        let error = row_field_part(&mut Native, transcript, &own.rows_layout(&proof), &inputs, &proof.messages);
        assert_eq!(VerifyError::from(error.unwrap_err()), unequal(LAYER));
    };
    edits.iter().for_each(|edit| check(edit));
    (0..7).for_each(|word| check(&|i| i.shape[word] += Fr::ONE));
}

#[test]
fn every_message_is_checked() {
    let own = Own::load();
    type Tamper = fn(&mut Messages<Fr>);
    let messages: [(&str, Tamper); 6] = [
        (SUM, |m| m.lookup.root[0] += Fr::ONE),
        (LAYER, |m| m.lookup.layers[3].rounds[2][1] += Fr::ONE),
        (RELATIONS, |m| m.forms[0] += Fr::ONE),
        (RELATIONS, |m| m.operands[0] += Fr::ONE),
        (REDUCTION, |m| m.reduction[0][0] += Fr::ONE),
        (REDUCTION, |m| m.value += Fr::ONE),
    ];
    for (what, tamper) in messages {
        let proof = edited(&shares_proof("attribute_one"), |p| tamper(&mut p.messages));
        assert_eq!(own.shares(&proof).unwrap_err(), unequal(what));
        let proof = edited(&rows_proof(), |p| tamper(&mut p.messages));
        assert_eq!(own.rows(&proof).unwrap_err(), unequal(what));
    }
    // An index has no products: what is said of it is linear, and a claim of the reduction.
    let proof = index_proof();
    assert!(proof.messages.forms.is_empty() && proof.messages.operands.is_empty());
    for (what, tamper) in messages.into_iter().filter(|(what, _)| *what != RELATIONS) {
        let proof = edited(&index_proof(), |p| tamper(&mut p.messages));
        assert_eq!(own.index(&proof).unwrap_err(), unequal(what));
    }
}

#[test]
fn every_length_is_checked() {
    let own = Own::load();
    let stated = |what, got| FieldError::Statement(CircuitError::Statement { what, got }.into());
    let proof = shares_proof("attribute_one");
    let error = |edit: fn(&mut Inputs<Fr>)| {
        let mut inputs = own.shares_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut proof_transcript(&mut Native);
        field_part(&mut Native, transcript, &own.shares_layout(&proof), &inputs, &proof.messages).unwrap_err()
    };
    assert_eq!(error(|i| i.regions.clear()), stated("words of further regions", 0));
    assert_eq!(error(|i| i.regions.push(Fr::ONE)), stated("words of further regions", 2));
    assert_eq!(error(|i| i.attributing = None), stated("words of requests that attribute", 0));
    assert_eq!(error(|i| i.shape.truncate(4)), stated("words of the shape", 4));
    assert_eq!(error(|i| i.requests[0].shares.truncate(3)), stated("words of shares per request", 3));
    assert_eq!(error(|i| i.requests[0].shares.push(Fr::ZERO)), stated("words of shares per request", 5));

    let proof = index_proof();
    let error = |edit: fn(&mut IndexInputs<Fr>)| {
        let mut inputs = own.index_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut index_transcript(&mut Native);
        index_field_part(&mut Native, transcript, &own.index_layout(), &inputs, &proof.messages).unwrap_err()
    };
    assert_eq!(error(|i| i.shape.truncate(5)), stated("words of the shape", 5));
    assert_eq!(error(|i| i.shape.push(Fr::ONE)), stated("words of the shape", 7));

    let proof = rows_proof();
    let error = |layout: &Layout, edit: fn(&mut RowInputs<Fr>)| {
        let mut inputs = own.rows_inputs(&proof);
        edit(&mut inputs);
        let transcript = &mut row_transcript(&mut Native);
        row_field_part(&mut Native, transcript, layout, &inputs, &proof.messages).unwrap_err()
    };
    let layout = own.rows_layout(&proof);
    assert_eq!(error(&layout, |i| i.shape.truncate(6)), stated("words of the shape", 6));
    assert_eq!(error(&layout, |i| i.rows.truncate(3)), stated("rows of the shape", 3));
    let scales = own.rows_inputs(&proof).scales.len();
    assert_eq!(error(&layout, |i| i.scales.truncate(1)), stated("scales", 1));
    assert_ne!(scales, 1);
    let limit = "as many ids per request as the limit";
    assert_eq!(error(&layout, |i| i.rows[0].ids.truncate(127)), stated(limit, 127));
    for bits in [0, 17] {
        let mut other = own.rows_layout(&proof);
        other.program.output.row_bits = bits;
        assert_eq!(error(&other, |_| {}), stated("bits of a row", bits as usize));
    }

    let witness = |expected: usize, got| VerifyError::Shape { what: "witness commitments", expected, got };
    let proof = index_proof();
    let n = proof.witness.len();
    let fewer = edited(&proof, |p| p.witness.truncate(n - 1));
    assert_eq!(own.index(&fewer).unwrap_err(), witness(n, n - 1));
    let more = edited(&proof, |p| p.witness.push(G1Affine::generator()));
    assert_eq!(own.index(&more).unwrap_err(), witness(n, n + 1));
    let proof = rows_proof();
    let n = proof.witness.len();
    let fewer = edited(&proof, |p| p.witness.truncate(n - 1));
    assert_eq!(own.rows(&fewer).unwrap_err(), witness(n, n - 1));
    let more = edited(&proof, |p| p.witness.push(G1Affine::generator()));
    assert_eq!(own.rows(&more).unwrap_err(), witness(n, n + 1));
}

/// Statements of other shapes are refused before they become scalars, exactly at their bounds.
#[test]
fn statements_have_bounds() {
    let own = Own::load();
    let proof = shares_proof("attribute_one");
    let error = |edit: fn(&mut InferenceProof)| own.shares(&edited(&proof, edit)).unwrap_err();
    let refused = |what| VerifyError::Request { request: 0, what };
    let shares = refused("has another number of shares than a batch of its kind");
    assert_eq!(error(|p| p.statement.requests[0].shares.truncate(31)), shares);
    let more: fn(&mut InferenceProof) = |p| {
        let share = p.statement.requests[0].shares[0];
        p.statement.requests[0].shares.push(share);
    };
    assert_eq!(error(more), shares);
    assert_eq!(error(|p| p.statement.requests[0].shares.clear()), shares);
    let slot = refused("has a share of a slot that no datanet has");
    assert_eq!(error(|p| p.statement.requests[0].shares[31].slot = 1024), slot);
    // 1,023 is a slot, and not the one of the last place.
    assert_eq!(error(|p| p.statement.requests[0].shares[31].slot = 1023), unequal(LAYER));
    let index = |expected, got| VerifyError::Shape { what: "index", expected, got };
    assert_eq!(error(|p| p.statement.attribution = None), index(1, 0));
    let plain = edited(&proof, |p| p.statement.shape = Shape { records: 0, ..p.statement.shape });
    let refused = inputs(&own.shares_layout(&plain), &own.base, &plain.statement, Fr::ONE, Fr::ONE);
    assert_eq!(refused.unwrap_err(), index(0, 1));

    let proof = rows_proof();
    let error = |edit: &dyn Fn(&mut RowProof)| own.rows(&edited(&proof, edit)).unwrap_err();
    let count = |got| VerifyError::Shape { what: "rows", expected: 4, got };
    assert_eq!(error(&|p| p.statement.rows.clear()), count(0));
    let row = proof.statement.rows[0].clone();
    assert_eq!(error(&|p| p.statement.rows.extend([row.clone(), row.clone()])), count(5));
    assert_eq!(error(&|p| p.statement.rows.push(row.clone())), unequal(LAYER));
    assert_eq!(error(&|p| drop(p.statement.rows.pop())), unequal(LAYER));
    let tokens = |request| VerifyError::Request { request, what: "has fewer than 2 tokens or more than the shape" };
    for (length, expected) in [(0, tokens(1)), (1, tokens(1)), (3, unequal(LAYER)), (17, tokens(1))] {
        assert_eq!(error(&|p| p.statement.rows[1].ids = vec![3; length]), expected, "{length} tokens");
    }
}

/// Every part of a key is compared with what is stated.
#[test]
fn foreign_statements_are_named() {
    let own = Own::load();
    let proof = index_proof();
    let error = |edit: fn(&mut IndexProof)| own.index(&edited(&proof, edit)).unwrap_err();
    assert_eq!(error(|p| p.statement.architecture += Fr::ONE), foreign("architecture"));
    assert_eq!(error(|p| p.statement.srs += Fr::ONE), foreign("SRS"));
    assert_eq!(error(|p| p.statement.log_tile += 1), foreign("tile size"));
    assert_eq!(error(|p| p.statement.index += Fr::ONE), foreign("index"));
    assert_eq!(error(|p| p.statement.records = 1 << 14), foreign("size of an index"));
    assert_eq!(error(|p| p.statement.count -= 1), foreign("size of an index"));
    assert_eq!(error(|p| p.statement.context += Fr::ONE), VerifyError::Context);

    let rows = rows_proof();
    let error = |edit: fn(&mut RowProof)| own.rows(&edited(&rows, edit)).unwrap_err();
    assert_eq!(error(|p| p.statement.architecture += Fr::ONE), foreign("architecture"));
    assert_eq!(error(|p| p.statement.srs += Fr::ONE), foreign("SRS"));
    assert_eq!(error(|p| p.statement.shape.log_tile += 1), foreign("tile size"));
    assert_eq!(error(|p| p.statement.base += Fr::ONE), foreign("base"));
    assert_eq!(error(|p| p.statement.adapter += Fr::ONE), foreign("adapter"));
    assert_eq!(error(|p| p.statement.index += Fr::ONE), foreign("index"));
    assert_eq!(error(|p| p.statement.shape.records = 1 << 14), foreign("size of an index"));
    assert_eq!(error(|p| p.statement.records -= 1), foreign("size of an index"));
    assert_eq!(error(|p| p.statement.context += Fr::ONE), VerifyError::Context);

    let times = |point: &G2Affine| (*point * Fr::from(7)).into();
    let strangers = [
        (VerifierKey::new(times(own.srs.g2()), times(own.srs.tau_g2())), "generator of G2"),
        (VerifierKey::new(*own.srs.g2(), times(own.srs.tau_g2())), "SRS secret"),
    ];
    let (base, adapter, index) = (&own.base, &own.adapters[0], &own.index);
    for (srs, what) in &strangers {
        let verdict = verify_index(srs, base, adapter, index, &Fr::ZERO, &proof).map(drop);
        assert_eq!(verdict, Err(foreign(what)));
        assert_eq!(verify_rows(srs, base, adapter, index, &Fr::ZERO, &rows).map(drop), Err(foreign(what)));
    }
    // A base without one of its commitments is no key, before anything else.
    let mut base = own.base.clone();
    base.tiles.pop();
    let got = base.tiles.len();
    let missing = VerifyError::Key(KeyError::Tiles { what: "base", expected: got + 1, got });
    let verdict = verify_index(&own.srs, &base, adapter, index, &Fr::ZERO, &proof).map(drop);
    assert_eq!(verdict, Err(missing.clone()));
    assert_eq!(verify_rows(&own.srs, &base, adapter, index, &Fr::ZERO, &rows).map(drop), Err(missing));
}

/// An index counts for its one adapter, of this base and of the version that it names, with the tiles of its size.
#[test]
fn indexes_are_of_their_adapter() {
    let own = Own::load();
    let first = &own.adapters[0];
    let of = |adapter: &AdapterCommitments| IndexCommitments { adapter: adapter.id(), ..own.index.clone() };
    let foreign = AdapterCommitments { base: first.base + Fr::ONE, ..first.clone() };
    let nameless = AdapterCommitments { version: None, ..first.clone() };
    let another = AdapterCommitments { version: first.version.map(|own| own + Fr::ONE), ..first.clone() };
    let newer = IndexCommitments { version: own.index.version + Fr::ONE, ..own.index.clone() };
    let mut longer = own.index.clone();
    longer.tiles.push(G1Affine::generator());
    let n = own.index.tiles.len();
    let tiles = KeyError::Tiles { what: "index", expected: n, got: n + 1 };
    for (adapter, index, expected) in [
        (&own.adapters[1], own.index.clone(), KeyError::IndexOf),
        (&own.adapters[1], of(&own.adapters[1]), KeyError::IndexOf),
        (&foreign, of(&foreign), KeyError::IndexOf),
        (&nameless, of(&nameless), KeyError::IndexOf),
        (&another, of(&another), KeyError::IndexOf),
        (first, newer, KeyError::IndexOf),
        (first, longer, tiles),
    ] {
        let expected = VerifyError::Key(expected);
        let mut proof = index_proof();
        proof.statement.index = index.id();
        let verdict = verify_index(&own.srs, &own.base, adapter, &index, &Fr::ZERO, &proof).map(drop);
        assert_eq!(verdict.unwrap_err(), expected);
        let mut proof = rows_proof();
        (proof.statement.index, proof.statement.adapter) = (index.id(), adapter.id());
        let verdict = verify_rows(&own.srs, &own.base, adapter, &index, &Fr::ZERO, &proof).map(drop);
        assert_eq!(verdict.unwrap_err(), expected);
        // In a batch its adapter must have a key too, and be one of this base.
        let mut proof = shares_proof("attribute_three");
        let attribution = proof.statement.attribution.as_mut().unwrap();
        (attribution.index, attribution.adapter) = (index.id(), adapter.id());
        let adapters = [&own.adapters[..], std::slice::from_ref(adapter)].concat();
        assert_eq!(own.shares_by(&adapters, std::slice::from_ref(&index), &proof).unwrap_err(), expected);
    }
    let proof = shares_proof("attribute_one");
    assert_eq!(own.shares_by(&own.adapters, &[], &proof).unwrap_err(), VerifyError::UnknownIndex);
    let larger = IndexCommitments { records: 1 << 14, ..own.index.clone() };
    let named = edited(&proof, |p| p.statement.attribution.as_mut().unwrap().index = larger.id());
    let verdict = own.shares_by(&own.adapters, std::slice::from_ref(&larger), &named);
    assert_eq!(verdict.unwrap_err(), VerifyError::UnknownIndex);
    // Among strangers, in any order.
    let stranger = of(&own.adapters[1]);
    assert!(own.shares_by(&own.adapters, &[stranger, own.index.clone()], &proof).is_ok());
}

/// The points of the index are those of the key.
#[test]
fn other_points_of_an_index_are_noticed() {
    let mut own = Own::load();
    // The id is not compared here: as if two lists of points had one.
    let last = own.index.tiles.len() - 1;
    own.index.tiles[last] = G1Affine::generator();
    let id = own.index.id();
    let mut index = index_proof();
    index.statement.index = id;
    // The transcript has the id, so the sumchecks fail before the pairing does.
    assert_eq!(own.index(&index).unwrap_err(), unequal(LAYER));
    let mut rows = rows_proof();
    rows.statement.index = id;
    assert_eq!(own.rows(&rows).unwrap_err(), unequal(LAYER));
    let own = Own::load();
    for point in [G1Affine::identity(), G1Affine::generator()] {
        let forged = edited(&index_proof(), |p| p.opening.w_prime = point);
        assert!(matches!(own.index(&forged), Err(VerifyError::Group(GroupError::Pairing))));
        let forged = edited(&rows_proof(), |p| p.opening.w_prime = point);
        assert!(matches!(own.rows(&forged), Err(VerifyError::Group(GroupError::Pairing))));
        let forged = edited(&shares_proof("attribute_one"), |p| p.opening.w_prime = point);
        assert!(matches!(own.shares(&forged), Err(VerifyError::Group(GroupError::Pairing))));
    }
}

/// A bit of every 97th byte, under a right digest.
#[test]
fn no_byte_can_be_changed() {
    let own = Own::load();
    let check = |bytes: &[u8], accepts: &dyn Fn(&[u8]) -> Option<bool>| {
        for at in (10..bytes.len() - 32).step_by(97) {
            let mut forged = bytes.to_vec();
            forged[at] ^= 1 << (at % 8);
            assert_eq!(accepts(&forged), None, "the digest covers byte {at}");
            assert_ne!(accepts(&resealed(&forged, |_| ())), Some(true), "byte {at}");
        }
        assert_eq!(accepts(bytes), Some(true));
    };
    check(&file("attribute_one.proof"), &|b| InferenceProof::decode(b).ok().map(|p| own.shares(&p).is_ok()));
    check(&file("index.proof"), &|b| IndexProof::decode(b).ok().map(|p| own.index(&p).is_ok()));
    check(&file("rows_three.proof"), &|b| RowProof::decode(b).ok().map(|p| own.rows(&p).is_ok()));
}

/// A file has one length and one meaning; sizes that no index has are refused.
#[test]
fn files_have_one_reading() {
    let of_length = |bytes: &[u8], length: usize| {
        let mut other = bytes[..bytes.len() - 32].to_vec();
        other.resize(length + 32, 0);
        resealed(&other, |_| ())
    };
    let (index, rows) = (file("index.proof"), file("rows_three.proof"));
    let more = Some(CodecError::Trailing { count: 1 });
    assert_eq!(IndexProof::decode(&of_length(&index, index.len() - 31)).err(), more);
    assert_eq!(RowProof::decode(&of_length(&rows, rows.len() - 31)).err(), more);
    for length in [10, 41, 150, index.len() - 33] {
        assert!(IndexProof::decode(&of_length(&index, length)).is_err(), "{length}");
        assert!(RowProof::decode(&of_length(&rows, length)).is_err(), "{length}");
    }
    // Header, four words, tau; then the size.
    let at = 10 + 4 * 32 + 4;
    let size = |records: u32| resealed(&index, |bytes| bytes[at..at + 4].copy_from_slice(&records.to_be_bytes()));
    for records in [0, 1, 1024, 2047, 4096, u32::MAX] {
        let error = IndexProof::decode(&size(records)).err();
        assert_eq!(error, Some(CodecError::Value { what: "records", got: records.into() }));
    }
    for records in [1 << 11, 1 << 14, 1 << 16] {
        assert_eq!(IndexProof::decode(&size(records)).map(|p| p.statement.records), Ok(records as usize));
    }
    // Header, requests, tokens, tau, records, six words, count of records; then the rows.
    let at = 10 + 4 * 4 + 6 * 32 + 4;
    let count = |rows_: u32| resealed(&rows, |bytes| bytes[at..at + 4].copy_from_slice(&rows_.to_be_bytes()));
    let bound = CodecError::Bound { what: "rows", bound: 16, got: 17 };
    assert_eq!(RowProof::decode(&count(17)).err(), Some(bound));
    assert!(RowProof::decode(&count(2)).is_err());
    // Salt, ids, row, label, weight, slot of the first row.
    let text = rows_proof().statement.rows[0].clone();
    let row = at + 4 + 31 + 4 + 4 * text.ids.len();
    for (byte, part) in [(row + 1, "row"), (row + 2, "label"), (row + 3, "weight"), (row + 5, "slot")] {
        let changed = RowProof::decode(&resealed(&rows, |bytes| bytes[byte] ^= 1)).unwrap().statement.rows[0].row;
        let own = text.row;
        let changes = [
            (changed.row ^ own.row == 1, "row"),
            (changed.label ^ own.label == 1, "label"),
            (changed.weight ^ own.weight == 1, "weight"),
            (changed.slot ^ own.slot == 1, "slot"),
        ];
        assert!(changes.iter().all(|&(is, name)| is == (name == part)), "{part}: {changed:?} of {own:?}");
    }
}
