//! The verifier on real proofs, without a prover: golden proofs are accepted with the words that were recorded, each
//! forgery is rejected by the check that is there for it. `prover/tests/golden.rs` writes the files.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/hooked.rs"]
mod hooked;

use std::collections::BTreeSet;

use golden::{Watched, edited, file, outcome_words, resealed};
use hooked::Hooked;
use lorica_circuits::bn254::{Curve, Field, Fr, G1Affine, G2Affine, PrimeCurveAffine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Taped};
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError, Native};
use lorica_verifier::protocol::field::{FieldError, Outcome, field_part, proof_transcript};
use lorica_verifier::protocol::group::{GroupClaim, GroupError, VerifierKey};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, KeyError};
use lorica_verifier::protocol::mercury::MercuryMessages;
use lorica_verifier::protocol::multilinear::integer;
use lorica_verifier::protocol::proof::{InferenceProof, Output};
use lorica_verifier::protocol::statement::{Inputs, StatementError, packed_words};
use lorica_verifier::protocol::verify::{VerifyError, inputs, verify, verify_with};
use sha3::{Digest, Keccak256};

const PROOFS: [(&str, &str); 5] = [
    ("embed_one", "small"),
    ("classify_one", "small"),
    ("classify_three", "small"),
    ("embed_two", "wide"),
    ("classify_two", "wide"),
];

/// What whoever checks proofs has.
struct Keys {
    srs: VerifierKey,
    base: BaseCommitments,
    adapters: Vec<AdapterCommitments>,
}

impl Keys {
    fn of(model: &str) -> Self {
        let (base, adapters, ()) = golden::keys(model, |_| ());
        Self { srs: VerifierKey::new(G2Affine::generator(), base.tau_g2), base, adapters }
    }

    fn verify(&self, proof: &InferenceProof) -> Result<Outcome<Fr>, VerifyError> {
        verify(&self.srs, &self.base, &self.adapters, &Fr::ZERO, proof)
    }

    fn error(&self, proof: &InferenceProof) -> VerifyError {
        self.verify(proof).expect_err("accepted")
    }

    /// The field part alone, on inputs that an edit may have changed.
    fn field<A: Arithmetic<Scalar = Fr>>(
        &self,
        a: &mut A,
        proof: &InferenceProof,
        edit: impl FnOnce(&mut Inputs<Fr>),
    ) -> Result<Outcome<Fr>, FieldError> {
        let layout = self.base.architecture.layout(&proof.statement.shape).unwrap();
        let mut inputs = self.inputs(&layout, proof);
        edit(&mut inputs);
        let mut transcript = proof_transcript(a);
        field_part(a, &mut transcript, &layout, &inputs, &proof.messages)
    }

    fn inputs(&self, layout: &Layout, proof: &InferenceProof) -> Inputs<Fr> {
        let witness = digest_points(&proof.witness);
        inputs(layout, &self.base, &proof.statement, witness, proof.prover_salt).unwrap()
    }
}

fn proof(name: &str) -> InferenceProof {
    InferenceProof::decode(&file(&format!("{name}.proof"))).unwrap()
}

/// Keys and proof.
fn load(name: &str) -> (Keys, InferenceProof) {
    let (_, model) = PROOFS.iter().find(|(own, _)| *own == name).unwrap();
    (Keys::of(model), proof(name))
}

fn unequal(what: &'static str) -> VerifyError {
    FieldError::Check(ArithmeticError::NotEqual { what }).into()
}

const SUM: &str = "lookup: the sum of fractions is zero";
const DENOMINATOR: &str = "lookup: the common denominator is not zero";
const LAYER: &str = "lookup: a layer's sumcheck";
const RELATIONS: &str = "relations: the sumcheck's end";
const REDUCTION: &str = "reduction: the weights' value at the point";

#[test]
fn golden_proofs_are_accepted_with_their_words() {
    for (name, _) in PROOFS {
        let (keys, proof) = load(name);
        let outcome = keys.verify(&proof).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(outcome_words(&outcome), file(&format!("{name}.words")), "{name}");
        assert_eq!(outcome.requests.len(), proof.statement.requests.len());
        for (words, request) in outcome.requests.iter().zip(&proof.statement.requests) {
            assert_eq!(words.label, Fr::from(u64::from(request.output.label())));
        }
        assert_eq!(outcome.scales_word, keys.base.scales_word());
        assert_eq!(proof.encode(), file(&format!("{name}.proof")), "{name}");
    }
}

/// The field part asks the same operations of every witness of a shape; its tape is the recorder's.
#[test]
fn the_tape_is_the_recorders() {
    for name in ["embed_two", "classify_three"] {
        let (keys, proof) = load(name);
        let layout = keys.base.architecture.layout(&proof.statement.shape).unwrap();
        let inputs = keys.inputs(&layout, &proof);
        let mut native = Taped::new(Native);
        let own = inputs.clone().map(|s| native.input(s));
        let messages = proof.messages.clone().map(|s| native.input(s));
        let mut transcript = proof_transcript(&mut native);
        let outcome = field_part(&mut native, &mut transcript, &layout, &own, &messages).unwrap();
        let mercury = outcome.mercury.map(|node| node.value);
        assert_eq!(mercury, keys.verify(&proof).unwrap().mercury, "{name}");
        let mut symbolic = Recorder::default();
        let own = inputs.map(|_| symbolic.input(()));
        let messages = proof.messages.map(|_| symbolic.input(()));
        let mut transcript = proof_transcript(&mut symbolic);
        field_part(&mut symbolic, &mut transcript, &layout, &own, &messages).unwrap();
        assert_eq!((native.tape(), native.cost()), (symbolic.tape(), symbolic.cost()), "{name}");
    }
}

/// Forgeries that a prover followed through: the check that each meets, and whether a verifier that overlooks this one
/// accepts, so that nothing else stood in the way.
#[test]
fn forged_proofs_are_rejected() {
    let keys = Keys::of("small");
    let verdict = |name: &str, overlooked| {
        let a = &mut Hooked(Watched { overlooked, ..Watched::default() });
        let mut transcript = proof_transcript(a);
        let proof = proof(&format!("forged/{name}"));
        verify_with(a, &mut transcript, &keys.srs, &keys.base, &keys.adapters, &Fr::ZERO, &proof)
    };
    for (name, check, alone) in [
        ("fraction", SUM, false),
        ("leaf", REDUCTION, true),
        ("late", REDUCTION, true),
        ("factor", RELATIONS, true),
        ("relation", RELATIONS, true),
        ("operands", REDUCTION, true),
        ("left_out", REDUCTION, false),
    ] {
        assert_eq!(keys.error(&proof(&format!("forged/{name}"))), unequal(check), "{name}");
        if alone {
            let overlooked: &'static [&'static str] = if check == REDUCTION { &[REDUCTION] } else { &[RELATIONS] };
            verdict(name, overlooked).unwrap_or_else(|e| panic!("{name}, without its check: {e}"));
        }
    }
    let zero = FieldError::Check(ArithmeticError::ZeroInverse { what: DENOMINATOR });
    assert_eq!(keys.error(&proof("forged/poles")), zero.into());
    for name in ["adapter", "weight"] {
        assert_eq!(keys.error(&proof(&format!("forged/{name}"))), GroupError::Pairing.into(), "{name}");
    }
}

/// Each check of the field part is the one that rejects something. Three are out of reach of a proof: they exclude
/// challenges that no one meets (`mercury.rs` tests them).
#[test]
fn every_check_of_the_field_part_rejects_something() {
    let mut watched = Hooked(Watched::default());
    let mut rejecting: BTreeSet<&'static str> = BTreeSet::new();
    type Edit = fn(&mut Inputs<Fr>);
    let any: [(&str, Edit); 9] = [
        ("statement: between one request and those of the shape", |i| i.count = Fr::ZERO),
        ("statement: between one request and those of the shape", |i| i.count = i.shape[0] + Fr::ONE),
        ("statement: length is at least 2", |i| i.requests[0].length = Fr::ONE),
        ("statement: length is at most T", |i| i.requests[0].length = i.shape[1] + Fr::ONE),
        ("statement: id fits its bits", |i| i.requests[0].ids[0] = -Fr::ONE),
        ("statement: ids beyond the length are zero", |i| i.requests[0].ids[30] = Fr::ONE),
        ("statement: ids beyond T are zero", |i| i.requests[0].ids[32] = Fr::ONE),
        ("statement: ids beyond T are zero", |i| i.requests[1].ids[127] = Fr::ONE),
        ("statement: id is below the vocabulary", |i| i.requests[0].ids[1] = Fr::from(300)),
    ];
    let embed: [(&str, Edit); 1] = [("statement: an embedding has no label", |i| i.requests[0].label = Fr::ONE)];
    let classify: [(&str, Edit); 4] = [
        ("statement: label is below 16", |i| i.requests[0].label = Fr::from(16)),
        ("statement: the label is one that the adapter has", |i| {
            i.requests[1].outputs = vec![integer(-(1 << 45)); 16];
        }),
        ("statement: label is the lowest index of the largest logit", |i| {
            let label = &mut i.requests[0].label;
            *label += if *label == Fr::ZERO { Fr::ONE } else { -Fr::ONE };
        }),
        ("statement: label is the lowest index of the largest logit", |i| {
            i.requests[1].outputs[15] = integer(1 << 44);
        }),
    ];
    let (keys, embedding) = load("embed_two");
    keys.field(&mut watched, &embedding, |_| {}).unwrap();
    let mut try_edit = |keys: &Keys, proof: &InferenceProof, what: &'static str, edit: Edit| {
        match keys.field(&mut Native, proof, edit) {
            Err(FieldError::Statement(StatementError::Arithmetic(
                ArithmeticError::NotEqual { what: got } | ArithmeticError::OutOfRange { what: got, .. },
            ))) => assert_eq!(got, what),
            other => panic!("{what}: {other:?}"),
        }
        rejecting.insert(what);
    };
    for (what, edit) in any.into_iter().chain(embed) {
        try_edit(&keys, &embedding, what, edit);
    }
    let (_, classification) = load("classify_two");
    keys.field(&mut watched, &classification, |_| {}).unwrap();
    for (what, edit) in classify {
        try_edit(&keys, &classification, what, edit);
    }

    type Tamper = fn(&mut InferenceProof);
    let messages: [(&str, Tamper); 11] = [
        (SUM, |p| p.messages.lookup.root[0] += Fr::ONE),
        (SUM, |p| p.messages.lookup.root[3] += Fr::ONE),
        (DENOMINATOR, |p| p.messages.lookup.root = [Fr::ZERO; 4]),
        (LAYER, |p| p.messages.lookup.layers[0].rounds[0][0] += Fr::ONE),
        (LAYER, |p| p.messages.lookup.layers[3].rounds[2][1] += Fr::ONE),
        (LAYER, |p| p.messages.lookup.layers[5].children[1] += Fr::ONE),
        (RELATIONS, |p| p.messages.forms[0] += Fr::ONE),
        (RELATIONS, |p| p.messages.rounds[1][2] += Fr::ONE),
        (RELATIONS, |p| p.messages.operands[0] += Fr::ONE),
        (REDUCTION, |p| p.messages.reduction[0][0] += Fr::ONE),
        (REDUCTION, |p| p.messages.value += Fr::ONE),
    ];
    for (what, tamper) in messages {
        for proof in [&embedding, &classification] {
            let error = keys.error(&edited(proof, tamper));
            let zero = FieldError::Check(ArithmeticError::ZeroInverse { what }).into();
            assert!(error == unequal(what) || error == zero, "{what}: {error}");
            rejecting.insert(what);
        }
    }
    let out_of_reach = [
        "mercury: zeta is invertible",
        "mercury: zeta differs from its inverse",
        "mercury: alpha differs from zeta and its inverse",
    ];
    rejecting.extend(out_of_reach);
    assert_eq!(watched.0.asked, rejecting);
}

/// A bit of every 97th byte, under a right digest.
#[test]
fn no_byte_can_be_changed() {
    for (offset, name) in ["embed_one", "classify_three"].into_iter().enumerate() {
        let (keys, proof) = load(name);
        let bytes = proof.encode();
        let end = bytes.len() - 32;
        for at in (40 * offset..end).step_by(97) {
            let mut forged = bytes.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(InferenceProof::decode(&forged).is_err(), "{name}: the digest covers byte {at}");
            let forged = resealed(&forged, |_| ());
            if let Ok(decoded) = InferenceProof::decode(&forged) {
                assert!(keys.verify(&decoded).is_err(), "{name}: byte {at}");
            }
        }
    }
}

/// A byte of a file that is changed makes another file of another proof, or none: no byte is read by no one.
#[test]
fn a_proof_has_one_file() {
    for name in ["embed_one", "classify_one"] {
        let proof = proof(name);
        let bytes = proof.encode();
        let end = bytes.len() - 32;
        // Every byte of words, ids and logits, and some of what follows.
        for at in (10..600).chain((600..end).step_by(211)) {
            let forged = resealed(&bytes, |bytes| bytes[at] ^= 1);
            if let Ok(decoded) = InferenceProof::decode(&forged) {
                assert_ne!(decoded, proof, "{name}: byte {at}");
                assert_eq!(decoded.encode(), forged, "{name}: byte {at}");
            }
        }
    }
}

#[test]
fn values_of_a_file_without_a_meaning_are_refused() {
    let decode = |name: &str, at: usize, byte: u8| {
        let forged = resealed(&proof(name).encode(), |bytes| bytes[at] = byte);
        InferenceProof::decode(&forged).map(drop)
    };
    let value = |what, got| Err(CodecError::Value { what, got });
    // Header, requests, tokens and tau; then the kind.
    let kind = |error: CircuitError| Err(CodecError::Kind(error));
    assert_eq!(decode("embed_one", 22, 0), kind(CircuitError::WithdrawnEmbedding));
    assert_eq!(decode("embed_one", 22, 3), kind(CircuitError::OutputKind { got: 3 }));
    // Four words, a count, an adapter, a salt, a count and ten ids; then the label, which an embedding lacks.
    let label = 23 + 4 * 32 + 4 + 32 + 31 + 4 + 10 * 4;
    assert_eq!(decode("embed_one", label, 0), Ok(()));
    assert_eq!(decode("embed_one", label, 1), value("label", 1));
    let label = label + 6 * 4;
    assert_eq!(decode("classify_one", label, 9), Ok(()));
    // Sixteen logits and no more.
    let bound = CodecError::Bound { what: "outputs", bound: 16, got: 17 };
    assert_eq!(decode("classify_one", label + 4, 17), Err(bound));
}

/// A file ends where its proof ends.
#[test]
fn files_have_one_length() {
    let bytes = proof("embed_one").encode();
    let end = bytes.len() - 32;
    let of_length = |length: usize| {
        let mut other = bytes[..end].to_vec();
        other.resize(length + 32, 0);
        InferenceProof::decode(&resealed(&other, |_| ())).map(drop)
    };
    assert_eq!(of_length(end), Ok(()));
    assert_eq!(of_length(end + 1), Err(CodecError::Trailing { count: 1 }));
    assert_eq!(of_length(end + 64), Err(CodecError::Trailing { count: 64 }));
    for length in [10, 41, 1000, end - 32, end - 1] {
        assert!(of_length(length).is_err(), "{length}");
    }
}

#[test]
fn every_length_is_checked() {
    let shape = |what, expected, got| VerifyError::Field(FieldError::Shape { what, expected, got });
    for name in ["embed_one", "classify_two"] {
        let (keys, proof) = load(name);
        let (m, one) = (&proof.messages, Fr::ONE);
        let n = m.lookup.layers.len();
        let error = |edit: &dyn Fn(&mut InferenceProof)| keys.error(&edited(&proof, edit));
        let fewer = error(&|p| p.messages.lookup.layers.truncate(n - 1));
        assert_eq!(fewer, shape("lookup layers", n, n - 1));
        let more = error(&|p| p.messages.lookup.layers.push(m.lookup.layers[0].clone()));
        assert_eq!(more, shape("lookup layers", n, n + 1));
        for d in [0, 1, n - 1] {
            let fewer = error(&|p| p.messages.lookup.layers[d].rounds.truncate(d));
            assert_eq!(fewer, shape("rounds of a lookup layer", d + 1, d));
            let more = error(&|p| p.messages.lookup.layers[d].rounds.push([one; 2]));
            assert_eq!(more, shape("rounds of a lookup layer", d + 1, d + 2));
        }
        let n = m.forms.len();
        assert_eq!(error(&|p| p.messages.forms.truncate(n - 1)), shape("form values", n, n - 1));
        assert_eq!(error(&|p| p.messages.forms.push(one)), shape("form values", n, n + 1));
        let n = m.rounds.len();
        assert_eq!(error(&|p| p.messages.rounds.truncate(n - 1)), shape("relation rounds", n, n - 1));
        assert_eq!(error(&|p| p.messages.rounds.push([one; 3])), shape("relation rounds", n, n + 1));
        let n = m.operands.len();
        assert_eq!(error(&|p| p.messages.operands.truncate(n - 1)), shape("operand values", n, n - 1));
        assert_eq!(error(&|p| p.messages.operands.push(one)), shape("operand values", n, n + 1));
        let n = m.reduction.len();
        assert_eq!(error(&|p| p.messages.reduction.truncate(n - 1)), shape("reduction rounds", n, n - 1));
        assert_eq!(error(&|p| p.messages.reduction.push([one; 2])), shape("reduction rounds", n, n + 1));
        let (n, what) = (proof.witness.len(), "witness commitments");
        let fewer = error(&|p| p.witness.truncate(n - 1));
        assert_eq!(fewer, VerifyError::Shape { what, expected: n, got: n - 1 });
        let more = error(&|p| p.witness.push(G1Affine::generator()));
        assert_eq!(more, VerifyError::Shape { what, expected: n, got: n + 1 });
    }
    let (keys, proof) = load("embed_one");
    let scales = keys.inputs(&keys.base.architecture.layout(&proof.statement.shape).unwrap(), &proof).scales.len();
    let error = keys.field(&mut Native, &proof, |i| i.scales.truncate(scales - 1)).unwrap_err();
    assert_eq!(error, FieldError::Shape { what: "scales", expected: scales, got: scales - 1 });
    // Vectors of the inputs: requests of the shape, as many ids as the limit, as many outputs as the kind has.
    let statement = |what, got| FieldError::Statement(CircuitError::Statement { what, got }.into());
    let error = |edit: fn(&mut Inputs<Fr>)| keys.field(&mut Native, &proof, edit).unwrap_err();
    assert_eq!(error(|i| i.requests.clear()), statement("requests of the shape", 0));
    assert_eq!(error(|i| i.requests[0].ids.truncate(127)), statement("as many ids per request as the limit", 127));
    assert_eq!(error(|i| i.requests[0].outputs.truncate(15)), statement("outputs per request", 15));
}

#[test]
fn foreign_statements_are_named() {
    let (keys, proof) = load("embed_one");
    let foreign = |what| VerifyError::Foreign { what };
    let error = |edit: fn(&mut InferenceProof)| keys.error(&edited(&proof, edit));
    assert_eq!(error(|p| p.statement.architecture += Fr::ONE), foreign("architecture"));
    assert_eq!(error(|p| p.statement.srs += Fr::ONE), foreign("SRS"));
    assert_eq!(error(|p| p.statement.shape.log_tile = 16), foreign("tile size"));
    assert_eq!(error(|p| p.statement.base += Fr::ONE), foreign("base"));
    assert_eq!(error(|p| p.statement.context += Fr::ONE), VerifyError::Context);
    // Bound to a context, so rejected under it too.
    let other = edited(&proof, |p| p.statement.context += Fr::ONE);
    let verdict = verify(&keys.srs, &keys.base, &[], &Fr::ONE, &other);
    assert_eq!(verdict.unwrap_err(), unequal(LAYER));
    let times = |point: &G2Affine, factor: u64| (*point * Fr::from(factor)).to_affine();
    let (g2, tau) = (keys.srs.g2(), keys.srs.tau_g2());
    for (srs, what) in [
        (VerifierKey::new(times(g2, 7), times(tau, 7)), "generator of G2"),
        (VerifierKey::new(*g2, times(tau, 2)), "SRS secret"),
    ] {
        assert_eq!(verify(&srs, &keys.base, &[], &Fr::ZERO, &proof).unwrap_err(), foreign(what));
    }
    // A shape that is not offered.
    let verdict = error(|p| p.statement.shape.tokens = 8);
    let circuit = CircuitError::Shape { what: "tokens must be 16, 32, 64, 128 or 256", got: 8 };
    assert_eq!(verdict, VerifyError::Circuit(circuit));
    // A base without one of its commitments is no key, before anything else.
    let mut base = keys.base.clone();
    base.tiles.pop();
    let got = base.tiles.len();
    let missing = KeyError::Tiles { what: "base", expected: got + 1, got };
    assert_eq!(verify(&keys.srs, &base, &[], &Fr::ZERO, &proof).unwrap_err(), VerifyError::Key(missing));
}

/// A key serves for a request if its id is the stated one, its base is this base and it has the tiles that the layout
/// gives to an adapter: all three.
#[test]
fn adapters_are_found_by_id_base_and_tiles() {
    let (keys, proof) = load("classify_three");
    let verdict = |adapters: &[AdapterCommitments], proof: &InferenceProof| {
        verify(&keys.srs, &keys.base, adapters, &Fr::ZERO, proof).map(drop)
    };
    let [first, second] = [&keys.adapters[0], &keys.adapters[1]];
    // In any order, and among strangers.
    let stranger = AdapterCommitments { base: first.base + Fr::ONE, version: None, tiles: second.tiles.clone() };
    assert_eq!(verdict(&[second.clone(), stranger.clone(), first.clone()], &proof), Ok(()));
    assert_eq!(verdict(&[stranger.clone(), first.clone(), second.clone()], &proof), Ok(()));
    assert_eq!(verdict(&[], &proof), Err(VerifyError::UnknownAdapter { request: 0 }));
    // Request 0 has the second adapter, the others have the first.
    assert_eq!(verdict(std::slice::from_ref(first), &proof), Err(VerifyError::UnknownAdapter { request: 0 }));
    assert_eq!(verdict(&[second.clone(), stranger], &proof), Err(VerifyError::UnknownAdapter { request: 1 }));
    // An adapter of another base, one with a tile too many, and both, under the right id.
    let mut longer = first.clone();
    longer.tiles.push(G1Affine::generator());
    let foreign = AdapterCommitments { base: first.base + Fr::ONE, version: None, tiles: first.tiles.clone() };
    let both = AdapterCommitments { base: foreign.base, version: None, tiles: longer.tiles.clone() };
    for key in [longer, foreign, both] {
        let named = edited(&proof, |p| p.statement.requests.iter_mut().for_each(|r| r.adapter = key.id()));
        assert_eq!(verdict(&[key], &named), Err(VerifyError::UnknownAdapter { request: 0 }));
    }
    // A request without an adapter needs no key; naming one that it did not have is another statement.
    let (keys, proof) = load("embed_two");
    assert!(verify(&keys.srs, &keys.base, &keys.adapters[1..], &Fr::ZERO, &proof).is_ok());
    let named = edited(&proof, |p| p.statement.requests[1].adapter = keys.adapters[0].id());
    assert_eq!(keys.error(&named), unequal(LAYER));
    let unnamed = edited(&proof, |p| p.statement.requests[0].adapter = Fr::ZERO);
    assert_eq!(keys.error(&unnamed), unequal(LAYER));
}

/// Points that are not those whose digest was absorbed. A file cannot say this: the digests are made from its points.
#[test]
fn digests_and_evaluations_are_those_of_the_points() {
    let (keys, proof) = load("embed_one");
    type Edit = fn(&mut MercuryMessages<Fr>);
    let edits: [(&str, Edit); 6] = [
        ("h", |m| m.d_h += Fr::ONE),
        ("q and g", |m| m.d_qg += Fr::ONE),
        ("s and d", |m| m.d_sd += Fr::ONE),
        ("quot", |m| m.d_quot += Fr::ONE),
        ("W", |m| m.d_w += Fr::ONE),
        ("the evaluations", |m| m.evaluations.h += Fr::ONE),
    ];
    for (message, edit) in edits {
        let forged = edited(&proof, |p| edit(&mut p.messages.mercury));
        assert_eq!(keys.error(&forged), GroupError::Digest { message }.into());
        let claim = GroupClaim {
            variables: 14,
            outcome: keys.verify(&proof).unwrap().mercury,
            messages: forged.messages.mercury,
            terms: vec![],
        };
        assert_eq!(claim.accumulators(&proof.opening), Err(GroupError::Digest { message }));
    }
    // Points with their digests: only the pairing notices W' and, through the challenges, each of the others.
    type Point = fn(&mut InferenceProof) -> &mut G1Affine;
    let points: [Point; 8] = [
        |p| &mut p.opening.h,
        |p| &mut p.opening.q,
        |p| &mut p.opening.g,
        |p| &mut p.opening.s,
        |p| &mut p.opening.d,
        |p| &mut p.opening.quot,
        |p| &mut p.opening.w,
        |p| &mut p.opening.w_prime,
    ];
    for point in points {
        for other in [G1Affine::identity(), G1Affine::generator()] {
            let forged = edited(&proof, |p| {
                *point(p) = other;
                p.messages.mercury = p.opening.messages();
            });
            assert_eq!(keys.error(&forged), GroupError::Pairing.into());
        }
    }
}

/// What is refused before it becomes scalars, exactly at its bounds.
#[test]
fn statements_have_bounds() {
    let (keys, proof) = load("embed_two");
    let layout = keys.base.architecture.layout(&proof.statement.shape).unwrap();
    let of = |keys: &Keys, layout: &Layout, proof: &InferenceProof| {
        inputs(layout, &keys.base, &proof.statement, Fr::from(5), Fr::from(6))
    };
    let refused = |request, what| VerifyError::Request { request, what };
    let check = |edit: &dyn Fn(&mut InferenceProof)| of(&keys, &layout, &edited(&proof, edit)).map(drop);
    let count = |got| Err(VerifyError::Shape { what: "requests", expected: 2, got });
    assert_eq!(check(&|p| p.statement.requests.clear()), count(0));
    assert_eq!(check(&|p| drop(p.statement.requests.pop())), Ok(()));
    let third = proof.statement.requests[0].clone();
    assert_eq!(check(&|p| p.statement.requests.push(third.clone())), count(3));
    let tokens = refused(1, "has fewer than 2 tokens or more than the shape");
    for (length, expected) in
        [(0, Err(tokens.clone())), (1, Err(tokens.clone())), (2, Ok(())), (32, Ok(())), (33, Err(tokens))]
    {
        assert_eq!(check(&|p| p.statement.requests[1].ids = vec![3; length]), expected, "{length} tokens");
    }
    let logits = Output::Classify { logits: vec![0; 16], label: 0 };
    let kind = refused(0, "has another kind of output than the batch");
    assert_eq!(check(&|p| p.statement.requests[0].output = logits.clone()), Err(kind));
    let range = refused(0, "publishes a sum out of range");
    for (value, fits) in
        [(-(1 << 23), true), ((1 << 23) - 1, true), (-(1 << 23) - 1, false), (1 << 23, false), (1 << 46, false)]
    {
        let verdict = check(&|p| {
            if let Output::Embed { sums } = &mut p.statement.requests[0].output {
                sums[255] = value;
            }
        });
        assert_eq!(verdict, if fits { Ok(()) } else { Err(range.clone()) }, "{value}");
    }

    let number = refused(0, "has another number of sums than channels");
    let pop = |output: &mut Output| {
        if let Output::Embed { sums } = output {
            sums.pop();
        }
    };
    assert_eq!(check(&|p| pop(&mut p.statement.requests[0].output)), Err(number));

    // The scalars: ids padded with zeros, absent requests repeat the first, numbers of the shape.
    let one = edited(&proof, |p| drop(p.statement.requests.pop()));
    let scalars = of(&keys, &layout, &one).unwrap();
    assert_eq!((scalars.count, scalars.witness, scalars.prover_salt), (Fr::ONE, Fr::from(5), Fr::from(6)));
    assert_eq!(scalars.shape, [2, 32, 14, 2].map(Fr::from));
    let request = &one.statement.requests[0];
    for own in &scalars.requests {
        let ids: Vec<Fr> = request.ids.iter().map(|&id| Fr::from(u64::from(id))).collect();
        assert_eq!(own.ids[..request.ids.len()], ids);
        assert!(own.ids.len() == 128 && own.ids[request.ids.len()..].iter().all(|id| *id == Fr::ZERO));
        assert_eq!(own.length, Fr::from(request.ids.len() as u64));
        assert_eq!(own.outputs, packed_words(request.output.values()).unwrap());
    }
    assert_eq!(scalars.requests.len(), 2);

    let (keys, proof) = load("classify_two");
    let layout = keys.base.architecture.layout(&proof.statement.shape).unwrap();
    assert_eq!(of(&keys, &layout, &proof).unwrap().shape, [2, 16, 14, 1].map(Fr::from));
    let check = |edit: &dyn Fn(&mut InferenceProof)| of(&keys, &layout, &edited(&proof, edit)).map(drop);
    let adapter = refused(1, "classifies without an adapter");
    assert_eq!(check(&|p| p.statement.requests[1].adapter = Fr::ZERO), Err(adapter));
    // Logits are scalars whatever they are: the field part has the one bound on them.
    for value in [-(1 << 47) - 1, 1 << 47, i64::MIN] {
        let edited = edited(&proof, |p| {
            if let Output::Classify { logits, .. } = &mut p.statement.requests[1].output {
                logits[15] = value;
            }
        });
        let scalars = of(&keys, &layout, &edited).unwrap();
        assert_eq!(scalars.requests[1].outputs[15], integer(value));
    }
}

/// An embedding of kind 0, proven before its digest was a claim on ranged cells, is refused with the reason.
#[test]
fn withdrawn_embeddings_are_refused() {
    let mut bytes = file("embed_withdrawn.proof");
    // It was made by the first version of the format, which is refused for itself.
    let remedy = "make the proof again";
    let old = CodecError::Version { kind: "proof", expected: 2, got: 1, remedy };
    assert_eq!(InferenceProof::decode(&bytes), Err(old.clone()));
    assert!(old.to_string().ends_with("expected 2: make the proof again"), "{old}");
    bytes[9] = 2;
    let end = bytes.len() - 32;
    let digest: [u8; 32] = Keccak256::digest(&bytes[..end]).into();
    bytes[end..].copy_from_slice(&digest);
    let error = InferenceProof::decode(&bytes).unwrap_err();
    assert_eq!(error, CodecError::Kind(CircuitError::WithdrawnEmbedding));
    assert!(error.to_string().contains("embeddings of kind 0 are withdrawn"), "{error}");
}

/// A kind of output is part of the shape: a proof of one is none of the other.
#[test]
fn another_shape_is_another_statement() {
    let (keys, proof) = load("classify_one");
    for shape in [
        Shape { requests: 2, ..proof.statement.shape },
        Shape { tokens: 32, ..proof.statement.shape },
        Shape { output: OutputKind::Embed, ..proof.statement.shape },
    ] {
        assert!(keys.verify(&edited(&proof, |p| p.statement.shape = shape)).is_err(), "{shape:?}");
    }
}
