//! Proves, settles and checks an inference: `cargo run --release -p lorica --example embed -- base.lorica adapter.lorica`.
//!
//! The files come from `lorica model import` and `lorica adapter import`. With a third argument, the file of an SRS, the
//! development SRS is refused; without one it is made, and its proofs are worth nothing.

use std::path::PathBuf;
use std::sync::Arc;

use lorica::answer::Answer;
use lorica::check::{check_inference, check_settlement};
use lorica::files::{AdapterFile, BaseFile};
use lorica::input::{encode, input_word, random_salt, tokenizer};
use lorica::prover::{Job, MinimumShape, Prover};
use lorica::settle::Settler;
use lorica::settlement::binding::{Binding, BoundRequest};
use lorica::srs::{AcceptedSrs, SrsPolicy};
use lorica::watch::Watch;

/// Prints the steps. A service would also say here when nobody waits for the result any more.
struct Steps;

impl Watch for Steps {
    fn step(&self, name: &'static str) {
        eprintln!("{name}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (base, adapter) = arguments.next().zip(arguments.next()).ok_or("usage: embed BASE ADAPTER [SRS]")?;
    let base = BaseFile::load(&base)?;
    let adapter = AdapterFile::load(&adapter, &base.key)?;
    let log_tile = base.key.commitments.log_tile;
    let (srs, policy) = match arguments.next() {
        Some(path) => (AcceptedSrs::load(&path, log_tile, SrsPolicy::Ceremony)?, SrsPolicy::Ceremony),
        None => (AcceptedSrs::insecure_for_tests(&std::env::temp_dir(), log_tile)?, SrsPolicy::DevelopmentForTests),
    };
    let (srs, key, labels) = (Arc::new(srs), base.key.clone(), vec![adapter.key.clone()]);

    // Text to proof. The proof is bound to what it will be settled for: here to nobody's request.
    let ids = encode(&tokenizer(&key)?, 0, "a library for spreadsheets in Python")?;
    let (salt, requests) = (random_salt()?, vec![BoundRequest { id: [1; 32], fee: [0; 32] }]);
    let binding = Binding { chain_id: 31337, consumer: [2; 20], payee: [3; 20], requests };
    let prover = Prover::new(srs.clone(), base)?;
    let adapter = prover.load_adapter(adapter)?;
    let job = Job { ids: ids.clone(), adapter: Some(&adapter), salt };
    let proof = prover.prove(&[job], MinimumShape::default(), binding.context(), &Steps)?.proof;
    let accepted = check_inference(&key, &labels, &[], binding.context(), &proof.encode(), policy)?;
    let output = &accepted.proof.statement.requests[0].output;
    println!("{}", Answer::new(output, &labels[0].labels, ids.len(), key.output_exponent).text());

    // Proof to settlement, which hides the text, and its check, as the contract makes it.
    let settled = Settler::new(srs).settle(&key, &[labels[0].commitments.clone()], &binding, &proof, &Steps)?;
    let (circuit, bytes) = (settled.key.verifying().circuit_id(), settled.settlement.encode());
    let checked = check_settlement(&key, &labels, &[], settled.key.verifying(), Some(circuit), &bytes, policy)?;
    assert_eq!(checked.answers[0].words.input_digest, input_word(&salt, &ids, key.commitments.architecture.max_tokens));
    println!("settled: label {}, {} bytes", checked.answers[0].label(), bytes.len());
    Ok(())
}
