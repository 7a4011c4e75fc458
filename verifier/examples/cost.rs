//! What the field part costs for MiniLM, by shape, from the symbolic recorder: the size of the settlement circuit, and the
//! number of group terms.
//!
//! `cargo run --release -p lorica-verifier --example cost`

use lorica_circuits::architecture::{Activation, Architecture, NormScale, OutputKind, Scales, Shape};
use lorica_circuits::column::Region;
use lorica_circuits::layout::Layout;
use lorica_circuits::relation::relations;
use lorica_verifier::arithmetic::recorder::{Recorder, Symbolic};
use lorica_verifier::field::{Messages, field_part, message_shape, proof_transcript};
use lorica_verifier::lookup::{LayerMessages, LookupMessages};
use lorica_verifier::mercury::{Evaluations, MercuryMessages};
use lorica_verifier::statement::{Inputs, RequestInputs};
use lorica_verifier::transcript::Event;
use lorica_verifier::weight::scale_values;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let architecture = Architecture {
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
    let norm = NormScale { stream: 0, branch: 0, root: 70, shift: 24, epsilon: 1 };
    let scales = Scales { norms: vec![norm; architecture.norms()], scores: vec![8; architecture.layers] };
    println!(
        "| requests x tokens, τ | leaves | witness cells | rounds | scalars sent | permutations | multiplications | bits | group terms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (requests, tokens, log_tile) in [(1, 32, 18), (1, 32, 20), (1, 128, 20), (16, 32, 20), (16, 32, 22)] {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify };
        let layout = Layout::new(&architecture, &shape)?;
        let relations = relations(&layout)?;
        let own = message_shape(&layout, &relations);
        let messages = Messages {
            lookup: LookupMessages {
                root: [(); 4],
                layers: (1..=own.layers)
                    .map(|d| LayerMessages { rounds: vec![[(); 2]; d], children: [(); 4] })
                    .collect(),
            },
            forms: vec![(); own.forms],
            rounds: vec![[(); 3]; own.rounds],
            operands: vec![(); own.operands],
            reduction: vec![[(); 2]; own.reduction],
            value: (),
            mercury: MercuryMessages {
                d_h: (),
                d_qg: (),
                d_sd: (),
                evaluations: Evaluations { g: (), g_inverse: (), h: (), h_inverse: (), s: (), s_inverse: () },
                d_quot: (),
                d_w: (),
            },
        };
        let request = RequestInputs { ids: vec![(); 128], length: (), salt: (), outputs: vec![(); 16], label: () };
        let names: Vec<_> = scale_values(&scales).into_iter().map(|(name, _)| name).collect();
        let inputs = Inputs {
            architecture: (),
            shape: [(); 4],
            srs: (),
            base: (),
            adapters: (),
            count: (),
            context: (),
            witness: (),
            prover_salt: (),
            scales: vec![(); names.len()],
            requests: vec![request; requests],
        };
        let mut a = Recorder::new(Symbolic);
        let inputs = inputs.map(|()| a.input(()));
        let mut sent = 0;
        let messages = messages.map(|()| {
            sent += 1;
            a.input(())
        });
        let mut transcript = proof_transcript(&mut a);
        field_part(&mut a, &mut transcript, &layout, &relations, &names, &inputs, &messages)?;
        let rounds = transcript
            .events()
            .iter()
            .filter(|e| matches!(e, Event::Challenge("lookup round" | "relation round" | "reduction round")))
            .count();
        let cost = a.cost();
        let count = |region| layout.occupied(region).iter().filter(|&&o| o).count();
        let terms = count(Region::Base)
            + count(Region::Table)
            + requests * layout.tiles(Region::Adapter, 0).count
            + layout.tiles(Region::Witness, 0).count
            + 1;
        let cells: usize = layout.placements().filter(|p| p.spec.region == Region::Witness).map(|p| p.spec.len()).sum();
        println!(
            "| {requests} x {tokens}, {log_tile} | {} | {cells} | {rounds} | {sent} | {} | {} | {} | {terms} |",
            layout.leaves(),
            cost.permutations,
            cost.multiplications,
            cost.bits,
        );
    }
    Ok(())
}
