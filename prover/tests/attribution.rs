//! Attribution: shares of an index's contributors, proven with the answer.

mod support;

use std::sync::LazyLock;

use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::index::IndexCells;
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::protocol::proof::InferenceProof;
use support::{LOG_TILE, Run, World};

const RECORDS: usize = 1 << 11;

/// A small deterministic generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn cell(&mut self, bits: u32) -> i16 {
        ((self.next() % (1 << bits)) as i64 - (1 << (bits - 1))) as i16
    }
}

/// An index of records that nobody wrote: every label, some contributors without records.
fn index(hidden: usize, count: usize, contributors: u64) -> IndexCells {
    let mut random = Random(5);
    let classes = (0..count).map(|_| {
        let mut class = [0; 16];
        class[random.next() as usize % 16] = (1 + random.next() % 240) as u8;
        class
    });
    let classes = classes.collect();
    IndexCells {
        hidden_size: hidden,
        count,
        features: (0..count * hidden).map(|_| random.cell(15)).collect(),
        classes,
        slots: (0..count).map(|_| (7 + 3 * (random.next() % contributors)) as u16).collect(),
        inverse: (0..hidden * hidden).map(|_| random.cell(16)).collect(),
        bias: (0..hidden).map(|_| random.cell(16)).collect(),
        corner: random.cell(16),
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = World::new(SMALL, 3, 2);
    let hidden = world.key.architecture.hidden;
    world.with_index(index(hidden, 1500, 60))
});

fn run(requests: &[(usize, Option<usize>)]) -> Run {
    let world = &*WORLD;
    let texts: Vec<(Vec<u32>, Option<usize>)> = requests
        .iter()
        .enumerate()
        .map(|(i, &(tokens, adapter))| (world.synthetic.ids(7 + i as u64, tokens), adapter))
        .collect();
    let shape = Shape::fitting(texts.len(), 16, LOG_TILE, OutputKind::Classify).and_then(|s| s.attributing(RECORDS));
    world.run_shape(shape.expect("a shape"), &texts)
}

#[test]
fn an_attribution_has_no_broken_relation_and_no_broken_claim() {
    for requests in [&[(9, Some(0))][..], &[(9, Some(0)), (12, Some(1)), (5, Some(0))]] {
        let run = run(requests);
        assert_eq!(WORLD.broken(&run), Vec::<&str>::new());
        assert_eq!(WORLD.broken_claims(&run), Vec::<String>::new());
    }
}

#[test]
fn shares_are_proven_with_the_answer() {
    let run = run(&[(9, Some(0)), (12, Some(1)), (5, Some(0))]);
    let proof = WORLD.prove(&run).expect("a proof");
    let proof = InferenceProof::decode(&proof.encode()).expect("a file");
    WORLD.verify(&proof).expect("accepted");
    let total = |m: usize| -> u32 { proof.statement.requests[m].shares.iter().map(|own| u32::from(own.share)).sum() };
    assert!(total(0) > 30_000 && total(2) > 30_000, "{} {}", total(0), total(2));
    assert_eq!(total(1), 0, "another adapter attributes to nobody");
}
