//! Fiat–Shamir: what the challenges depend on, and that the verifier depends on them.

use super::support;

use std::collections::BTreeMap;

use lorica_circuits::bn254::Fr;
use lorica_circuits::layout::{Layout, MAX_ADDRESS_BITS, MAX_LEAF_BITS};
use lorica_circuits::relation::{MAX_CLAIMS, MAX_OUTER_BITS, MAX_RELATION_ROUNDS, MAX_RELATIONS};
use lorica_circuits::shape::OutputKind::{Classify, Embed};
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Symbolic, Taped};
use lorica_verifier::protocol::arithmetic::{Arithmetic, Native};
use lorica_verifier::protocol::field::{Messages, field_part, proof_transcript};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::lookup::leaf_challenges;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::rows::{RowInputs, row_field_part, row_inputs, row_transcript};
use lorica_verifier::protocol::statement::{Inputs, absorb};
use lorica_verifier::protocol::transcript::{Event, Transcript};
use lorica_verifier::protocol::verify::{inputs, verify_with};
use support::attribution::{attributed, random_index};
use support::hooked::{Hook, Hooked};
use support::rows::{index_of, layout as row_layout, prove as prove_rows, run};
use support::{SRS, World};

fn inputs_of(world: &World, layout: &Layout, proof: &InferenceProof) -> Inputs<Fr> {
    inputs(layout, &world.key, &proof.statement, digest_points(&proof.witness), proof.prover_salt).expect("inputs")
}

fn first_challenge(layout: &Layout, inputs: &Inputs<Fr>) -> Fr {
    let a = &mut Native;
    let mut transcript = proof_transcript(a);
    absorb(a, &mut transcript, layout, inputs).expect("a statement");
    leaf_challenges(a, &mut transcript).x
}

#[test]
fn every_public_field_changes_the_first_challenge() {
    let world = World::new(SMALL, 41, 1);
    let proof = world.prove(&world.run(Embed, &[(9, Some(0)), (4, None)])).expect("a proof");
    let layout = world.key.architecture.layout(&proof.statement.shape).expect("a layout");
    let honest = inputs_of(&world, &layout, &proof);
    let x = first_challenge(&layout, &honest);
    let one = Fr::one();
    let mut edits: Vec<(String, Box<dyn Fn(&mut Inputs<Fr>)>)> = vec![
        ("architecture".into(), Box::new(move |i| i.architecture += one)),
        ("srs".into(), Box::new(move |i| i.srs += one)),
        ("base".into(), Box::new(move |i| i.base += one)),
        ("adapters".into(), Box::new(move |i| i.adapters += one)),
        ("count".into(), Box::new(move |i| i.count -= one)),
        ("context".into(), Box::new(move |i| i.context += one)),
        ("witness".into(), Box::new(move |i| i.witness += one)),
        ("prover salt".into(), Box::new(move |i| i.prover_salt += one)),
    ];
    for n in 0..4 {
        edits.push((format!("shape {n}"), Box::new(move |i| i.shape[n] += one)));
    }
    for n in 0..honest.scales.len() {
        edits.push((format!("scale {n}"), Box::new(move |i| i.scales[n] += one)));
    }
    for m in 0..2 {
        edits.push((
            format!("request {m}: id"),
            Box::new(move |i| i.requests[m].ids[1] = Fr::from(39) - i.requests[m].ids[1]),
        ));
        edits.push((format!("request {m}: salt"), Box::new(move |i| i.requests[m].salt += one)));
        edits.push((
            format!("request {m}: length"),
            Box::new(move |i| {
                i.requests[m].length += one;
            }),
        ));
        for j in [0, 7, honest.requests[m].outputs.len() - 1] {
            edits.push((format!("request {m}: output {j}"), Box::new(move |i| i.requests[m].outputs[j] += one)));
        }
    }
    for (name, edit) in edits {
        let mut other = honest.clone();
        edit(&mut other);
        assert_ne!(first_challenge(&layout, &other), x, "{name} is not absorbed");
    }
}

/// The words of an attribution: the index, the requests that attribute, the sizes, each word of shares. All of them are
/// absorbed before anything is drawn.
#[test]
fn every_word_of_an_attribution_changes_the_first_challenge() {
    let world = World::new(SMALL, 41, 2).with_index(random_index(SMALL.hidden, 300, 40));
    let proof = world.prove(&attributed(&world, &[(9, Some(0)), (4, Some(1))])).expect("a proof");
    let layout = world.layout(&attributed(&world, &[(9, Some(0)), (4, Some(1))]));
    let honest = inputs_of(&world, &layout, &proof);
    assert_eq!((honest.shape.len(), honest.regions.len(), honest.attributing), (7, 1, Some(Fr::one())));
    let x = first_challenge(&layout, &honest);
    let check = |name: String, edit: &dyn Fn(&mut Inputs<Fr>)| {
        let mut other = honest.clone();
        edit(&mut other);
        assert_ne!(first_challenge(&layout, &other), x, "{name} is not absorbed");
    };
    for n in 0..7 {
        check(format!("shape {n}"), &|own| own.shape[n] += Fr::one());
    }
    check("index".into(), &|own| own.regions[0] += Fr::one());
    check("attributing".into(), &|own| own.attributing = Some(Fr::from(3)));
    for m in 0..2 {
        for word in 0..4 {
            check(format!("request {m}: word {word}"), &|own| own.requests[m].shares[word] += Fr::one());
        }
    }
    // Nothing of them is left out.
    let refused = |edit: &dyn Fn(&mut Inputs<Fr>)| {
        let mut other = honest.clone();
        edit(&mut other);
        absorb(&mut Native, &mut proof_transcript(&mut Native), &layout, &other).is_err()
    };
    assert!(refused(&|own| own.attributing = None));
    assert!(refused(&|own| own.attributing = Some(Fr::from(4))));
    assert!(refused(&|own| own.regions.clear()));
    assert!(refused(&|own| own.shape.truncate(6)));
    assert!(refused(&|own| own.requests[1].shares.truncate(3)));
    assert!(refused(&|own| own.requests[0].shares.push(Fr::zero())));
}

/// A permutation that answers from a recording: a verifier with frozen challenges.
struct Frozen {
    recorded: Vec<[Fr; 3]>,
    at: usize,
    replay: bool,
}

impl Hook for Frozen {
    fn permute(&mut self, state: [Fr; 3]) -> [Fr; 3] {
        if self.replay {
            self.at += 1;
            return self.recorded[self.at - 1];
        }
        let out = Native.permute(state);
        self.recorded.push(out);
        out
    }
}

/// With the challenges frozen, fields that only the transcript binds can be changed at will; the live verifier notices.
#[test]
fn replayed_challenges_are_what_the_verifier_rejects() {
    let world = World::new(SMALL, 42, 1);
    let proof = world.prove(&world.run(Classify, &[(9, Some(0))])).expect("a proof");
    let keys = world.keys();
    let key = SRS.verifier_key();
    let mut a = Hooked(Frozen { recorded: vec![], at: 0, replay: false });
    let mut transcript = proof_transcript(&mut a);
    verify_with(&mut a, &mut transcript, &key, &world.key, &keys, &Fr::zero(), &proof).expect("the honest proof");
    a.0.replay = true;
    let edits: [(&str, fn(&mut InferenceProof)); 3] = [
        ("prover salt", |p| p.prover_salt += Fr::one()),
        ("context", |p| p.statement.context += Fr::one()),
        ("input salt", |p| p.statement.requests[0].salt[7] ^= 1),
    ];
    for (name, edit) in edits {
        let mut forged = proof.clone();
        edit(&mut forged);
        a.0.at = 0;
        let context = forged.statement.context;
        let mut transcript = proof_transcript(&mut a);
        verify_with(&mut a, &mut transcript, &key, &world.key, &keys, &context, &forged)
            .unwrap_or_else(|e| panic!("frozen verifier, {name}: {e}"));
        let live = lorica_verifier::protocol::verify::verify(&key, &world.key, &keys, &context, &forged);
        assert!(live.is_err(), "accepted: {name}");
    }
}

/// Every label of a challenge draw has a row in `docs/protocol/soundness.md`, and no row is without a draw.
#[test]
fn every_challenge_has_a_row_in_the_soundness_table() {
    let world = World::new(SMALL, 43, 1);
    let proof = world.prove(&world.run(Classify, &[(9, Some(0))])).expect("a proof");
    let mut transcript = proof_transcript(&mut Native);
    let key = SRS.verifier_key();
    verify_with(&mut Native, &mut transcript, &key, &world.key, &world.keys(), &Fr::zero(), &proof).expect("accepted");
    let mut drawn: Vec<&str> = transcript
        .events()
        .iter()
        .filter_map(|e| if let Event::Challenge(label) = e { Some(*label) } else { None })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    let document = include_str!("../../docs/protocol/soundness.md");
    let mut rows: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`').map(|(label, _)| label))
        .collect();
    rows.sort_unstable();
    assert_eq!(drawn, rows);
}

/// The bounds in the table's third column are those that layouts are held to, and the errors beside them follow from them.
#[test]
fn the_soundness_table_has_the_bounds_of_the_layouts() {
    let document = include_str!("../../docs/protocol/soundness.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeMap<&str, Vec<&str>> = rows
        .map(|row| {
            let columns: Vec<&str> = row.split(" | ").collect();
            (columns[0].trim_end_matches('`'), columns)
        })
        .collect();
    // Numbers that follow "at most", and the numerator of the error.
    let bounds = |label: &str| -> Vec<u64> {
        let parts = rows[label][2].split("at most ").skip(1);
        parts.map(|own| own.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()).collect()
    };
    let error = |label: &str| -> u64 { rows[label][3].split("/r").next().unwrap().parse().unwrap() };
    let (relations, claims) = (MAX_RELATIONS as u64, MAX_CLAIMS as u64);
    let (outer, rounds, layers) = (u64::from(MAX_OUTER_BITS), u64::from(MAX_RELATION_ROUNDS), u64::from(MAX_LEAF_BITS));
    // A layer has as many rounds as the layers above it.
    let tree = layers * (layers - 1) / 2;
    let address = u64::from(MAX_ADDRESS_BITS);
    for (label, expected, degree) in [
        ("outer point", vec![outer, relations], outer * relations),
        ("lookup fold", vec![layers], 2 * layers),
        ("lookup combine", vec![], layers),
        ("lookup round", vec![tree], 3 * tree),
        ("relation combine", vec![relations], relations),
        ("relation round", vec![rounds], 3 * rounds),
        ("reduction combine", vec![claims], claims),
        ("reduction round", vec![address], 2 * address),
    ] {
        assert_eq!((bounds(label), error(label)), (expected, degree), "{label}");
    }
    assert!(document.contains(&format!("N ≤ 2^{layers} leaves")));
    // 2N/r, r being about 2^253.6.
    assert_eq!(rows["lookup X"][3], format!("2N/r = 2^-{:.1}", 253.6 - (f64::from(MAX_LEAF_BITS) + 1.0)));
}

/// The same operations natively and symbolically: control flow depends on shapes only. Another witness of the same
/// shape, the same tape.
#[test]
fn the_tape_depends_on_the_shape_only() {
    let world = World::new(SMALL, 44, 2);
    let tape_of = |texts: &[(usize, Option<usize>)], symbolic: bool| {
        let proof = world.prove(&world.run(Classify, texts)).expect("a proof");
        let layout = world.key.architecture.layout(&proof.statement.shape).expect("a layout");
        let inputs = inputs_of(&world, &layout, &proof);
        if symbolic {
            let mut a = Recorder::new(Symbolic);
            let inputs = inputs.map(|_| a.input(()));
            let messages = proof.messages.clone().map(|_| a.input(()));
            let mut transcript: Transcript<Recorder> = proof_transcript(&mut a);
            field_part(&mut a, &mut transcript, &layout, &inputs, &messages).expect("a recorder never fails");
            (a.tape(), a.cost())
        } else {
            let mut a = Taped::new(Native);
            let inputs = inputs.map(|s| a.input(s));
            let messages = proof.messages.clone().map(|s| a.input(s));
            let mut transcript = proof_transcript(&mut a);
            field_part(&mut a, &mut transcript, &layout, &inputs, &messages).expect("the honest proof");
            (a.tape(), a.cost())
        }
    };
    let native = tape_of(&[(5, Some(0)), (12, Some(1))], false);
    let symbolic = tape_of(&[(5, Some(0)), (12, Some(1))], true);
    let other = tape_of(&[(2, Some(1)), (16, Some(1))], false);
    let fewer = tape_of(&[(16, Some(1)), (3, Some(0))], true);
    assert_eq!(native, symbolic);
    assert_eq!(native, other);
    assert_eq!(native, fewer);
    assert_ne!(native, tape_of(&[(5, Some(0))], true));
}

/// Whoever guesses a text cannot confirm it from the public words (`docs/protocol/settlement.md`): two proofs of one
/// witness share no word that the prover makes, and another input salt changes both digests.
#[test]
fn two_proofs_of_one_text_share_no_prover_made_word() {
    let world = World::new(SMALL, 45, 1).with_index(random_index(SMALL.hidden, 300, 40));
    let words = |run: &support::Run| {
        let proof = world.prove(run).expect("a proof");
        let outcome = world.verify(&proof).expect("accepted");
        let m = &proof.messages.mercury;
        let mut words = vec![digest_points(&proof.witness), m.d_h, m.d_qg, m.d_sd, m.d_quot, m.d_w];
        words.extend(m.evaluations.as_array().into_iter().copied());
        let o = outcome.mercury;
        words.extend([o.alpha, o.zeta, o.beta, o.z, o.constant, proof.messages.value]);
        words.extend(outcome.rho_high);
        (words, proof.witness, outcome.requests)
    };
    for run in [world.run(Classify, &[(9, Some(0))]), attributed(&world, &[(9, Some(0))])] {
        let (first, tiles, of_first) = words(&run);
        let (second, others, of_second) = words(&run);
        // Shares are words of text and index, without any salt.
        assert_eq!(of_first, of_second);
        assert_eq!(of_first[0].shares.len(), if run.statement.attribution.is_some() { 4 } else { 0 });
        assert!(first.iter().zip(&second).all(|(a, b)| a != b));
        assert!(tiles.len() > 1 && tiles.iter().zip(&others).all(|(a, b)| a != b));
        let mut salted = run.clone();
        salted.statement.requests[0].salt[0] ^= 1;
        let (_, _, of_salted) = words(&salted);
        assert_ne!(of_salted[0].input_digest, of_first[0].input_digest);
        assert_ne!(of_salted[0].output_digest, of_first[0].output_digest);
        assert_eq!((of_salted[0].label, &of_salted[0].shares), (of_first[0].label, &of_first[0].shares));
    }
}

/// Row proofs draw what inferences draw, in the same order, and their tape depends on the shape only.
#[test]
fn row_proofs_draw_as_inferences_do() {
    let plain = || World::new(SMALL, 46, 1);
    let texts = |lengths: [usize; 2], rows: [usize; 2]| -> Vec<(usize, Vec<u32>)> {
        let own = plain().synthetic;
        rows.into_iter().zip(lengths).map(|(row, length)| (row, own.ids(row as u64, length))).collect()
    };
    let proven = |texts: &[(usize, Vec<u32>)]| {
        let world = plain().with_index(index_of(&plain(), random_index(SMALL.hidden, 300, 40), texts, 0));
        let own = run(&world, texts);
        let (layout, proof) = (row_layout(&world, &own), prove_rows(&world, &own));
        let digest = digest_points(&proof.witness);
        let inputs = row_inputs(&layout, &world.key, &proof.statement, digest, proof.prover_salt).expect("inputs");
        (layout, inputs, proof.messages)
    };
    let (layout, inputs, messages) = proven(&texts([9, 4], [0, 299]));
    let mut transcript = row_transcript(&mut Native);
    row_field_part(&mut Native, &mut transcript, &layout, &inputs, &messages).expect("the honest proof");
    let drawn = |events: &[Event]| -> Vec<&str> {
        let mut drawn: Vec<&str> =
            events.iter().filter_map(|e| if let Event::Challenge(label) = e { Some(*label) } else { None }).collect();
        drawn.dedup();
        drawn
    };
    let world = plain();
    let answer = world.prove(&world.run(Classify, &[(9, Some(0)), (4, Some(0))])).expect("a proof");
    let mut of_answer = proof_transcript(&mut Native);
    let key = SRS.verifier_key();
    verify_with(&mut Native, &mut of_answer, &key, &world.key, &world.keys(), &Fr::zero(), &answer).expect("accepted");
    assert_eq!(drawn(transcript.events()), drawn(of_answer.events()));

    let native = |(layout, inputs, messages): (Layout, RowInputs<Fr>, Messages<Fr>)| {
        let mut a = Taped::new(Native);
        let inputs = inputs.map(|s| a.input(s));
        let messages = messages.map(|s| a.input(s));
        let mut transcript = row_transcript(&mut a);
        row_field_part(&mut a, &mut transcript, &layout, &inputs, &messages).expect("the honest proof");
        (a.tape(), a.cost())
    };
    let mut a = Recorder::new(Symbolic);
    let symbolic = inputs.clone().map(|_| a.input(()));
    let recorded = messages.clone().map(|_| a.input(()));
    let mut transcript: Transcript<Recorder> = row_transcript(&mut a);
    row_field_part(&mut a, &mut transcript, &layout, &symbolic, &recorded).expect("a recorder never fails");
    let own = native((layout, inputs, messages));
    assert_eq!(own, (a.tape(), a.cost()));
    assert_eq!(own, native(proven(&texts([2, 16], [255, 4]))));
}
