//! The tamper manifest: every field of a proof is changed, and every change is rejected. The destructurings below name
//! all fields: a new one does not compile until it has a case here.

use super::support;

use lorica_circuits::bn254::{Fr, G1Affine, PrimeCurveAffine};
use lorica_circuits::shape::OutputKind::{Classify, Embed};
use lorica_circuits::shape::PLACES;
use lorica_quant::integer::synthetic::{Random, SMALL};
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::lookup::{LayerMessages, LookupMessages};
use lorica_verifier::protocol::mercury::{Evaluations, MercuryProof};
use lorica_verifier::protocol::proof::{Attribution, InferenceProof, Output, RequestStatement, Share, Statement};
use sha3::{Digest, Keccak256};
use support::World;
use support::attribution::{attributed, random_index};

type Edit = Box<dyn Fn(&mut InferenceProof)>;

fn edit(f: impl Fn(&mut InferenceProof) + 'static) -> Edit {
    Box::new(f)
}

/// All tampers, by name.
#[expect(clippy::too_many_lines, reason = "one list")]
fn manifest(proof: &InferenceProof) -> Vec<(String, Edit)> {
    let InferenceProof { statement, prover_salt: _, witness, messages, opening } = proof;
    let Statement { shape: _, architecture: _, srs: _, base: _, context: _, attribution, requests } = statement;
    let Messages { lookup, forms, rounds, operands, reduction, value: _, mercury: _ } = messages;
    let LookupMessages { root: _, layers } = lookup;
    let MercuryProof { h: _, q: _, g: _, s: _, d: _, quot: _, w: _, w_prime: _, evaluations } = opening;
    let Evaluations { g: _, g_inverse: _, h: _, h_inverse: _, s: _, s_inverse: _ } = evaluations;
    let one = Fr::one();
    let mut all: Vec<(String, Edit)> = vec![
        ("shape.requests".into(), edit(|p| p.statement.shape.requests *= 2)),
        ("shape.tokens".into(), edit(|p| p.statement.shape.tokens *= 2)),
        ("shape.log_tile".into(), edit(|p| p.statement.shape.log_tile += 2)),
        (
            "shape.output".into(),
            edit(|p| {
                let kind = &mut p.statement.shape.output;
                *kind = if *kind == Embed { Classify } else { Embed };
            }),
        ),
        ("architecture".into(), edit(move |p| p.statement.architecture += one)),
        ("srs".into(), edit(move |p| p.statement.srs += one)),
        ("base".into(), edit(move |p| p.statement.base += one)),
        ("context".into(), edit(move |p| p.statement.context += one)),
        ("requests: none".into(), edit(|p| p.statement.requests.clear())),
        (
            "requests: one more".into(),
            edit(|p| {
                let first = p.statement.requests[0].clone();
                p.statement.requests.push(first);
            }),
        ),
        (
            "requests: one fewer".into(),
            edit(|p| {
                p.statement.requests.pop();
            }),
        ),
        ("requests: reordered".into(), edit(|p| p.statement.requests.reverse())),
        ("prover salt".into(), edit(move |p| p.prover_salt += one)),
        ("witness: reordered".into(), edit(|p| p.witness.reverse())),
        (
            "witness: truncated".into(),
            edit(|p| {
                p.witness.pop();
            }),
        ),
        ("witness: extended".into(), edit(|p| p.witness.push(G1Affine::generator()))),
        ("value".into(), edit(move |p| p.messages.value += one)),
        ("layers: truncated".into(), edit(|p| drop(p.messages.lookup.layers.pop()))),
        ("layers: reordered".into(), edit(|p| p.messages.lookup.layers.swap(2, 3))),
        (
            "layers: extended".into(),
            edit(|p| {
                let last = p.messages.lookup.layers[0].clone();
                p.messages.lookup.layers.push(last);
            }),
        ),
        ("forms: truncated".into(), edit(|p| p.messages.forms.truncate(p.messages.forms.len() - 1))),
        ("forms: extended".into(), edit(|p| p.messages.forms.push(Fr::zero()))),
        ("forms: reordered".into(), edit(|p| p.messages.forms.reverse())),
        ("rounds: truncated".into(), edit(|p| p.messages.rounds.truncate(p.messages.rounds.len() - 1))),
        ("rounds: extended".into(), edit(|p| p.messages.rounds.push([Fr::zero(); 3]))),
        ("operands: truncated".into(), edit(|p| p.messages.operands.truncate(p.messages.operands.len() - 1))),
        ("operands: extended".into(), edit(|p| p.messages.operands.push(Fr::zero()))),
        ("operands: reordered".into(), edit(|p| p.messages.operands.reverse())),
        ("reduction: truncated".into(), edit(|p| p.messages.reduction.truncate(p.messages.reduction.len() - 1))),
        ("reduction: extended".into(), edit(|p| p.messages.reduction.push([Fr::zero(); 2]))),
        (
            "g(ζ) and g(1/ζ) exchanged".into(),
            edit(|p| {
                let e = &mut p.opening.evaluations;
                core::mem::swap(&mut e.g, &mut e.g_inverse);
                p.messages.mercury = p.opening.messages();
            }),
        ),
    ];
    if let Some(Attribution { index: _, adapter: _ }) = attribution {
        let own = |p: &mut InferenceProof, edit: &dyn Fn(&mut Attribution)| {
            p.statement.attribution.iter_mut().for_each(edit);
        };
        all.push(("index".into(), edit(move |p| own(p, &|a| a.index += one))));
        all.push(("the index' adapter".into(), edit(move |p| own(p, &|a| a.adapter += one))));
    }
    all.extend([
        (
            "attribution".into(),
            edit(move |p| {
                let own = &mut p.statement.attribution;
                *own = if own.is_none() { Some(Attribution { index: one, adapter: one }) } else { None };
            }),
        ),
        (
            "shape.records".into(),
            edit(|p| {
                let own = &mut p.statement.shape.records;
                *own = if *own == 0 { 1 << 11 } else { 0 };
            }),
        ),
    ]);
    for (i, request) in requests.iter().enumerate() {
        let RequestStatement { adapter: _, salt: _, ids, output, shares } = request;
        all.push((format!("request {i}: adapter"), edit(move |p| p.statement.requests[i].adapter += one)));
        all.push((
            format!("request {i}: no adapter"),
            edit(move |p| {
                // A request that had none gets one's digest instead.
                let own = &mut p.statement.requests[i].adapter;
                *own = if *own == Fr::zero() { one } else { Fr::zero() };
            }),
        ));
        all.push((format!("request {i}: salt"), edit(move |p| p.statement.requests[i].salt[30] ^= 1)));
        for t in 0..ids.len() {
            all.push((format!("request {i}: id {t}"), edit(move |p| p.statement.requests[i].ids[t] ^= 1)));
        }
        all.push((
            format!("request {i}: id beyond the vocabulary"),
            edit(move |p| p.statement.requests[i].ids[0] = 40),
        ));
        all.push((format!("request {i}: ids truncated"), edit(move |p| p.statement.requests[i].ids.truncate(1))));
        all.push((format!("request {i}: ids extended"), edit(move |p| p.statement.requests[i].ids.push(1))));
        for j in 0..output.values().len() {
            all.push((
                format!("request {i}: output {j}"),
                edit(move |p| match &mut p.statement.requests[i].output {
                    Output::Embed { sums } => sums[j] += 1,
                    Output::Classify { logits, label: _ } => logits[j] += 1,
                }),
            ));
        }
        for j in 0..shares.len() {
            all.push((format!("request {i}: slot {j}"), edit(move |p| p.statement.requests[i].shares[j].slot ^= 1)));
            all.push((format!("request {i}: share {j}"), edit(move |p| p.statement.requests[i].shares[j].share ^= 1)));
        }
        all.push((
            format!("request {i}: a share more"),
            edit(move |p| p.statement.requests[i].shares.push(Share { slot: 0, share: 0 })),
        ));
        if !shares.is_empty() {
            all.push((
                format!("request {i}: a share fewer"),
                edit(move |p| p.statement.requests[i].shares.truncate(PLACES - 1)),
            ));
        }
        all.push((
            format!("request {i}: outputs truncated"),
            edit(move |p| match &mut p.statement.requests[i].output {
                Output::Embed { sums } => drop(sums.pop()),
                Output::Classify { logits, label } => {
                    logits.pop();
                    *label ^= 0;
                }
            }),
        ));
        if let Output::Classify { .. } = output {
            all.push((
                format!("request {i}: label"),
                edit(move |p| {
                    if let Output::Classify { label, .. } = &mut p.statement.requests[i].output {
                        *label ^= 1;
                    }
                }),
            ));
        }
    }
    for i in 0..witness.len() {
        all.push((format!("witness {i}"), edit(move |p| p.witness[i] = (p.witness[i] + G1Affine::generator()).into())));
        all.push((format!("witness {i}: identity"), edit(move |p| p.witness[i] = G1Affine::identity())));
    }
    for i in 0..4 {
        all.push((format!("root {i}"), edit(move |p| p.messages.lookup.root[i] += one)));
    }
    all.push(("root: q = 0".into(), edit(|p| p.messages.lookup.root = [Fr::zero(); 4])));
    for (d, layer) in layers.iter().enumerate() {
        let LayerMessages { rounds, children: _ } = layer;
        for i in 0..4 {
            all.push((format!("layer {d}: child {i}"), edit(move |p| p.messages.lookup.layers[d].children[i] += one)));
        }
        for r in 0..rounds.len() {
            for i in 0..2 {
                let name = format!("layer {d}: round {r}.{i}");
                all.push((name, edit(move |p| p.messages.lookup.layers[d].rounds[r][i] += one)));
            }
        }
        all.push((format!("layer {d}: a round fewer"), edit(move |p| p.messages.lookup.layers[d].rounds.truncate(d))));
    }
    for i in 0..forms.len() {
        all.push((format!("form {i}"), edit(move |p| p.messages.forms[i] += one)));
    }
    for i in 0..operands.len() {
        all.push((format!("operand {i}"), edit(move |p| p.messages.operands[i] += one)));
    }
    for r in 0..rounds.len() {
        for i in 0..3 {
            all.push((format!("round {r}.{i}"), edit(move |p| p.messages.rounds[r][i] += one)));
        }
    }
    for r in 0..reduction.len() {
        for i in 0..2 {
            all.push((format!("reduction {r}.{i}"), edit(move |p| p.messages.reduction[r][i] += one)));
        }
    }
    let points: [(&str, fn(&mut MercuryProof) -> &mut G1Affine); 8] = [
        ("h", |o| &mut o.h),
        ("q", |o| &mut o.q),
        ("g", |o| &mut o.g),
        ("s", |o| &mut o.s),
        ("d", |o| &mut o.d),
        ("quot", |o| &mut o.quot),
        ("w", |o| &mut o.w),
        ("w_prime", |o| &mut o.w_prime),
    ];
    for (name, get) in points {
        // With the digests recomputed, and with the old ones.
        for fresh in [true, false] {
            for identity in [true, false] {
                all.push((
                    format!("opening {name}, fresh digests {fresh}, identity {identity}"),
                    edit(move |p| {
                        let point = get(&mut p.opening);
                        *point = if identity { G1Affine::identity() } else { (*point + G1Affine::generator()).into() };
                        if fresh {
                            p.messages.mercury = p.opening.messages();
                        }
                    }),
                ));
            }
        }
    }
    let evaluations: [(&str, fn(&mut Evaluations<Fr>) -> &mut Fr); 6] = [
        ("g", |e| &mut e.g),
        ("g_inverse", |e| &mut e.g_inverse),
        ("h", |e| &mut e.h),
        ("h_inverse", |e| &mut e.h_inverse),
        ("s", |e| &mut e.s),
        ("s_inverse", |e| &mut e.s_inverse),
    ];
    for (name, get) in evaluations {
        all.push((
            format!("evaluation {name}"),
            edit(move |p| {
                *get(&mut p.opening.evaluations) += one;
                p.messages.mercury = p.opening.messages();
            }),
        ));
    }
    all
}

#[test]
fn every_field_matters() {
    let world = World::new(SMALL, 31, 2).with_index(random_index(SMALL.hidden, 300, 40));
    for run in [
        world.run(Classify, &[(5, Some(0)), (12, Some(1))]),
        world.run(Embed, &[(7, None), (3, Some(1))]),
        attributed(&world, &[(5, Some(0)), (12, Some(1))]),
    ] {
        let proof = world.prove(&run).expect("a proof");
        world.verify(&proof).expect("the honest proof");
        for (name, edit) in manifest(&proof) {
            let mut forged = proof.clone();
            edit(&mut forged);
            assert_ne!(forged, proof, "{name} changes nothing");
            assert!(world.verify(&forged).is_err(), "accepted: {name}");
        }
    }
}

/// Recomputes the digest at the end, so that the change meets the verifier and not the checksum.
fn reseal(bytes: &mut [u8]) {
    let end = bytes.len() - 32;
    let digest = Keccak256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&digest);
}

#[test]
fn two_thousand_flipped_bits_are_rejected() {
    let world = World::new(SMALL, 32, 1);
    let proof = world.prove(&world.run(Classify, &[(9, Some(0))])).expect("a proof");
    let bytes = proof.encode();
    assert_eq!(InferenceProof::decode(&bytes).as_ref(), Ok(&proof));
    let mut random = Random::new(5);
    for _ in 0..2000 {
        let mut forged = bytes.clone();
        let at = random.below(forged.len() - 32);
        forged[at] ^= 1 << random.below(8);
        assert!(InferenceProof::decode(&forged).is_err(), "the digest covers byte {at}");
        reseal(&mut forged);
        if let Ok(decoded) = InferenceProof::decode(&forged) {
            assert!(world.verify(&decoded).is_err(), "accepted: byte {at}");
        }
    }
}

#[test]
fn other_lengths_of_the_file_are_refused() {
    let world = World::new(SMALL, 33, 0);
    let bytes = world.prove(&world.run(Embed, &[(4, None)])).expect("a proof").encode();
    for length in [0, 1, 8, 10, 41, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
        assert!(InferenceProof::decode(&bytes[..length]).is_err(), "{length} bytes");
        if length > 32 {
            let mut short = bytes[..length].to_vec();
            reseal(&mut short);
            assert!(InferenceProof::decode(&short).is_err(), "{length} bytes");
        }
    }
    let mut long = bytes.clone();
    long.extend([0; 7]);
    reseal(&mut long);
    assert!(matches!(InferenceProof::decode(&long), Err(CodecError::Trailing { count: 7 })));
}

/// Random bytes under a right header and digest: an error, never a panic or a large allocation.
#[test]
fn random_files_are_refused() {
    let world = World::new(SMALL, 34, 0);
    let bytes = world.prove(&world.run(Embed, &[(4, None)])).expect("a proof").encode();
    let mut random = Random::new(9);
    for _ in 0..3000 {
        let mut forged = bytes.clone();
        let from = 10 + random.below(forged.len() - 42);
        let count = 1 + random.below(40);
        for byte in forged.iter_mut().skip(from).take(count) {
            *byte = random.bits() as u8;
        }
        reseal(&mut forged);
        let _ = InferenceProof::decode(&forged).map(|p| world.verify(&p).is_err());
    }
}
