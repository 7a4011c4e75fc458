//! Rows of the settlement circuit for MiniLM, by shape and part.
//!
//! `cargo run --release -p lorica-settlement --example cells`

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::gates::ADVICE;
use lorica_settlement::statement::{CircuitShape, Compiled, Subject};
use lorica_verifier::protocol::key::index_shape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let architecture = Architecture {
        block: 128,
        max_tokens: 128,
        hidden: 384,
        layers: 6,
        heads: 12,
        intermediate: 1536,
        vocab: 30_522,
        activation: Activation::Gelu,
        r_max: 16,
        score_bits: 7,
        activation_bits: 9,
        tanh_bits: 12,
    };
    println!("| requests x tokens, τ, records | permutations | bits | arithmetic | rows | log2 | cells |");
    println!("|---|---|---|---|---|---|---|");
    for (requests, tokens, log_tile, records) in [
        (1, 32, 18, 0),
        (1, 32, 20, 0),
        (1, 32, 20, 1 << 11),
        (1, 32, 20, 1 << 16),
        (1, 128, 20, 0),
        (1, 128, 20, 1 << 11),
        (16, 32, 20, 0),
        (16, 32, 22, 0),
        (16, 32, 22, 1 << 11),
        (16, 32, 22, 1 << 16),
    ] {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify, records };
        print(&architecture, shape, Subject::Inference, &format!("{requests} x {tokens}, {log_tile}, {records}"))?;
    }
    for (log_tile, records) in [(18, 1 << 11), (20, 1 << 11), (20, 1 << 14), (20, 1 << 16), (22, 1 << 16)] {
        print(&architecture, index_shape(log_tile, records), Subject::Index, &format!("index, {log_tile}, {records}"))?;
    }
    Ok(())
}

fn print(
    architecture: &Architecture,
    shape: Shape,
    subject: Subject,
    name: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let architecture = architecture.clone();
    let of = CircuitShape { architecture, shape, architecture_digest: Fr::ZERO, srs: Fr::ZERO, subject };
    let circuit = Compiled::new(&of)?.empty_circuit()?;
    let parts = circuit.rows().parts;
    let rows = circuit.rows().rows.len();
    println!(
        "| {name} | {} | {} | {} | {rows} | {} | {} |",
        parts.poseidon,
        parts.bits,
        parts.arithmetic,
        circuit.log_rows(),
        rows * ADVICE,
    );
    Ok(())
}
