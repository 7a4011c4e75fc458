//! Shape and layout are constants of the circuit among its public words: a key that says something else of its circuit has no
//! proofs, and no proof has other words.

use super::support;

use std::collections::BTreeSet;

use halo2_base::halo2_proofs::dev::{FailureLocation, MockProver, VerifyFailure};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::header::Header;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::prove::CheckError;
use lorica_settlement::settlement::{Settlement, SettlementError};
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::files::codec::{CodecError, Writer};
use support::{binding, bound, key, scalars, settle, world};

/// Every shape that could be taken for this one.
fn others(shape: Shape) -> [Shape; 6] {
    let output = if shape.output == OutputKind::Embed { OutputKind::Classify } else { OutputKind::Embed };
    [
        Shape { output, ..shape },
        Shape { requests: 2 * shape.requests, ..shape },
        Shape { tokens: 2 * shape.tokens, ..shape },
        Shape { log_tile: shape.log_tile + 2, ..shape },
        Shape { requests: 2 * shape.requests, tokens: 2 * shape.tokens, ..shape },
        Shape { output, tokens: 2 * shape.tokens, ..shape },
    ]
}

#[test]
fn words_of_shape_and_layout_are_the_shapes_own() {
    let world = world();
    let shape =
        Shape { requests: 4, tokens: 16, log_tile: support::LOG_TILE, output: OutputKind::Classify, records: 0 };
    let header = |shape: Shape| {
        let of = CircuitShape::of(&world.key, shape);
        Header::of(&of, &Compiled::new(&of).unwrap().layout)
    };
    let packed = (1u128 << 96) | (4 << 64) | (16 << 32) | u128::from(support::LOG_TILE);
    let limbs = Fr::from(u64::try_from(packed >> 64).unwrap()) * Fr::from(2).pow([64]);
    assert_eq!(header(shape).shape, limbs + Fr::from(packed as u64));
    let mut seen = vec![header(shape)];
    for other in others(shape) {
        let own = header(other);
        assert!(seen.iter().all(|seen| seen.shape != own.shape && seen.layout != own.layout), "{other:?}");
        seen.push(own);
    }
    // Another architecture of the same layout.
    let mut base = world.key.clone();
    base.srs += Fr::ONE;
    let of = CircuitShape::of(&base, shape);
    let own = Header::of(&of, &Compiled::new(&of).unwrap().layout);
    assert_eq!(own.shape, seen[0].shape);
    assert_ne!(own.layout, seen[0].layout);
}

/// The circuit with its honest values, and another word of shape or layout outside: the row of that word fails, nothing else.
#[test]
fn no_other_word_satisfies_the_circuit() {
    let world = world();
    let proof = bound(&world, OutputKind::Embed, &[(9, None)], &binding(1));
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    let circuit = compiled.circuit(&scalars(&world, &proof), &proof.messages).unwrap();
    let own = Header::of(&compiled.of, &compiled.layout);
    assert_eq!(circuit.instance()[..2], [own.shape, own.layout]);
    // Whatever is proven, these words are the circuit's: they do not come from its inputs.
    let empty = compiled.empty_circuit().unwrap();
    assert_eq!(empty.instance()[..2], [own.shape, own.layout]);
    let run = |instance: Vec<Fr>| MockProver::run(circuit.log_rows(), &circuit, vec![instance]).unwrap().verify_par();
    assert_eq!(run(circuit.instance()), Ok(()));
    for index in 0..2 {
        for other in others(proof.statement.shape) {
            let of = CircuitShape::of(&world.key, other);
            let forged = Header::of(&of, &Compiled::new(&of).unwrap().layout);
            let mut instance = circuit.instance();
            instance[index] = [forged.shape, forged.layout][index];
            let failures = run(instance).unwrap_err();
            // Word i enters in row i.
            let own = |failure: &VerifyFailure| {
                matches!(failure, VerifyFailure::ConstraintNotSatisfied {
                    location: FailureLocation::InRegion { offset: row, .. } | FailureLocation::OutsideRegion { row },
                    ..
                } if *row == index)
            };
            assert!(failures.iter().all(own), "{failures:?}");
        }
    }
}

/// halo2's key of one circuit beside the shape of another, under the id that both have together.
#[test]
fn honest_proofs_do_not_settle_under_a_relabelled_key() {
    let world = world();
    let binding = binding(1);
    for kind in [OutputKind::Embed, OutputKind::Classify] {
        let proof = bound(&world, kind, &[(9, Some(0))], &binding);
        let honest = key(&world, proof.statement.shape);
        let settled = settle(&world, &honest, &binding, &proof).unwrap();
        let relabel = |shape: Shape| {
            let of = CircuitShape::of(&world.key, shape);
            VerifyingKey::new(of, *honest.verifying().tau_g2(), honest.verifying().circuit().clone()).unwrap()
        };
        let same = relabel(proof.statement.shape);
        settled.check(&same, &world.key, &world.keys()).expect("the honest label");
        let mut ids = BTreeSet::from([same.circuit_id()]);
        for shape in others(proof.statement.shape) {
            let forged = relabel(shape);
            assert!(ids.insert(forged.circuit_id()), "{shape:?}");
            let settled = Settlement { circuit: forged.circuit_id(), ..settled.clone() };
            let refused = settled.check(&forged, &world.key, &world.keys()).unwrap_err();
            let by_words = matches!(refused, SettlementError::Check(CheckError::Rejected | CheckError::Words { .. }));
            let by_base = shape.log_tile != proof.statement.shape.log_tile;
            assert!(by_words || by_base && matches!(refused, SettlementError::ForeignBase), "{shape:?}: {refused}");
            // The words that the forged key asks for, and no other reason to reject.
            if forged.words() == honest.verifying().words() {
                assert!(matches!(refused, SettlementError::Check(CheckError::Rejected)) || by_base, "{shape:?}");
            }
        }
    }
}

/// Files of earlier versions say what to do.
#[test]
fn files_of_earlier_versions_are_refused() {
    let world = world();
    let shape = Shape { requests: 1, tokens: 16, log_tile: support::LOG_TILE, output: OutputKind::Embed, records: 0 };
    let of = CircuitShape::of(&world.key, shape);
    for got in [1, 2] {
        let old = |magic: &[u8; 8]| Writer::new(magic, got).finish();
        let version = |kind, remedy| CodecError::Version { kind, expected: 3, got, remedy };
        let key_again = "make the key again, with `lorica settlement-key`";
        let refused = VerifyingKey::decode(&old(b"LORICAsk")).unwrap_err().to_string();
        assert_eq!(refused, version("settlement key", key_again).to_string());
        let settle_again = "settle again, with a key that is made again";
        assert_eq!(Settlement::decode(&old(b"LORICAst")), Err(version("settlement", settle_again)));
        let proving = lorica_settlement::key::ProvingKey::decode(&old(b"LORICAsp"), &of, &support::powers());
        assert_eq!(proving.unwrap_err().to_string(), version("settlement proving key", key_again).to_string());
    }
}
