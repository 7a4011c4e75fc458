//! What the field part costs by shape: rounds, scalars, Poseidon permutations, multiplications, bits.

use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Symbolic};
use lorica_verifier::protocol::determined::determined;
use lorica_verifier::protocol::field::{field_part, proof_transcript};
use lorica_verifier::protocol::transcript::Event;

fn minilm() -> Architecture {
    Architecture {
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
    }
}

/// Thirty layers of 576 channels, the size of a small decoder.
fn thirty_layers() -> Architecture {
    let minilm = minilm();
    Architecture { block: 64, max_tokens: 256, hidden: 576, layers: 30, heads: 9, vocab: 49_152, ..minilm }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| model | requests x tokens, τ | leaves | witness cells | rounds | scalars sent | permutations | multiplications | bits | group terms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let shapes = [(1, 32, 18), (1, 32, 20), (1, 128, 20), (16, 32, 20), (16, 32, 22)];
    for (requests, tokens, log_tile) in shapes {
        cost("MiniLM", &minilm(), requests, tokens, log_tile)?;
    }
    for (requests, tokens, log_tile) in [(1, 64, 22), (1, 128, 22), (1, 256, 22), (4, 64, 22)] {
        cost("30 layers", &thirty_layers(), requests, tokens, log_tile)?;
    }
    Ok(())
}

fn cost(
    name: &str,
    architecture: &Architecture,
    requests: usize,
    tokens: usize,
    log_tile: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify, records: 0 };
    let layout = architecture.layout(&shape)?;
    let (inputs, messages) = determined(&layout);
    let mut a = Recorder::new(Symbolic);
    let inputs = inputs.map(|_| a.input(()));
    let mut sent = 0;
    let messages = messages.map(|_| {
        sent += 1;
        a.input(())
    });
    let mut transcript = proof_transcript(&mut a);
    field_part(&mut a, &mut transcript, &layout, &inputs, &messages)?;
    let rounds = transcript
        .events()
        .iter()
        .filter(|e| matches!(e, Event::Challenge("lookup round" | "relation round" | "reduction round")))
        .count();
    let cost = a.cost();
    let count = |region| layout.occupied(region).iter().filter(|&&o| o).count();
    let terms = count(Region::BASE)
        + count(Region::TABLE)
        + requests * layout.tiles(Region::ADAPTER, 0).count
        + layout.tiles(Region::WITNESS, 0).count
        + 1;
    let witness = layout.placements().filter(|p| p.spec.region == Region::WITNESS);
    let cells: usize = witness.map(|p| p.spec.len()).sum();
    println!(
        "| {name} | {requests} x {tokens}, {log_tile} | {} | {cells} | {rounds} | {sent} | {} | {} | {} | {terms} |",
        layout.leaves(),
        cost.permutations,
        cost.multiplications,
        cost.bits,
    );
    Ok(())
}
