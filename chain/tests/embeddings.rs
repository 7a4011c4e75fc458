//! Embeddings on an EVM with the real contracts: a settled one is accepted, its digest is that of the embedding by an
//! independent program; the forgeries that earlier circuits accepted are rejected.

use super::embedding;
use super::settled;
use super::support;
use super::vector;

use std::io::Write;
use std::process::{Command, Stdio};

use embedding::{FORGERIES, REQUESTS, honest};
use lorica_circuits::bn254::Fr;
use lorica_settlement::key::ProvingKey;
use lorica_settlement::prove::prove;
use lorica_settlement::settlement::{Answer, Settlement};
use lorica_settlement::words::Words;
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::mercury::{MercuryOutcome, MercuryProof};
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::{Inputs, RequestWords};
use serde_json::json;
use settled::binding;
use support::Vector;
use vector::vector;

/// Words before those of the requests.
const HEAD: usize = Words::<Fr>::HEAD;

/// A settlement of whatever the scalars say: a halo2 proof for the words that the circuit computes from them.
fn settlement(key: &ProvingKey, proof: &InferenceProof, inputs: &Inputs<Fr>) -> Settlement {
    let halo2 = prove(key, inputs, &proof.messages).expect("halo2 does not look");
    let words = &halo2.words;
    let requests = key.verifying().circuit_shape().shape.requests;
    let answers = proof.statement.requests.iter().zip(words[HEAD..].chunks(3)).map(|(request, words)| Answer {
        adapter: request.adapter,
        words: RequestWords { input_digest: words[0], label: words[1], output_digest: words[2], shares: Vec::new() },
    });
    let (rho_high, end) = words[HEAD + 3 * requests + 6..].split_at(words.len() - HEAD - 11 - 3 * requests);
    let MercuryProof { h, q, g, s, d, quot, w, w_prime, .. } = proof.opening;
    Settlement {
        circuit: key.verifying().circuit_id(),
        binding: binding(proof.statement.requests.len()),
        base: proof.statement.base,
        answers: answers.collect(),
        index: Fr::zero(),
        shares: Vec::new(),
        witness: proof.witness.clone(),
        opening: [h, q, g, s, d, quot, w, w_prime],
        rho_high: rho_high.to_vec(),
        outcome: MercuryOutcome { alpha: end[0], zeta: end[1], beta: end[2], z: end[3], constant: end[4] },
        proof: halo2.bytes,
    }
}

/// The digest by `verifier-contracts/tools/embedding_digest.py`.
fn digest_by_python(salt: &[u8; 31], length: usize, sums: &[i64]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/tools/embedding_digest.py");
    let mut python = Command::new("python3")
        .args(["-B", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    let embedding = json!({ "salt": hex::encode(salt), "length": length, "sums": sums });
    python.stdin.take().unwrap().write_all(embedding.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn embeddings_are_checked_on_an_evm() {
    let world = settled::world();
    let run = honest(&world);
    let key = settled::key(&world, run.statement.shape);
    let proof = world.prove(&run).unwrap();
    let own = settled::scalars(&world, &proof);
    let true_settlement = settlement(&key, &proof, &own);
    true_settlement.check(key.verifying(), &world.key, &world.keys()).unwrap();

    let mut chain = support::World::of(Vector(vector(&world, key.verifying(), &true_settlement)), None);
    let calldata = chain.calldata(&chain.honest());
    chain.show(calldata).unwrap();
    for (answer, request) in true_settlement.answers.iter().zip(&run.statement.requests) {
        let digest = digest_by_python(&request.salt, request.ids.len(), request.output.values());
        assert_eq!(format!("0x{}", hex::encode(encode_scalar(&answer.words.output_digest))), digest);
        // One sum more or less is another digest.
        let mut other = request.output.values().to_vec();
        other[7] += 1;
        assert_ne!(digest_by_python(&request.salt, request.ids.len(), &other), digest);
    }

    for forgery in &FORGERIES {
        let (proof, bent) = forgery.make(&world, &run);
        let false_settlement = settlement(&key, &proof, &bent);
        assert_ne!(false_settlement.answers, true_settlement.answers, "{}", forgery.name);
        assert_eq!(false_settlement.answers.len(), REQUESTS.len());
        let vector = Vector(vector(&world, key.verifying(), &false_settlement));
        let shown = lorica_chain::abi::settlement(&vector.settlement()).unwrap();
        chain.reject_proof(&shown, forgery.name);
        assert!(false_settlement.check(key.verifying(), &world.key, &world.keys()).is_err(), "{}", forgery.name);
    }
    let calldata = chain.calldata(&chain.honest());
    chain.show(calldata).unwrap();
}
