//! Key files with a true digest around a hostile key of halo2's.

use super::support;

use lorica_circuits::error::CircuitError;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::statement::CircuitShape;
use lorica_settlement_check::KeyError;
use lorica_verifier::files::codec::{CodecError, Writer};
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::key::write_architecture;
use support::{LOG_TILE, SRS, World, world};

/// A key file with this kind of output and this of attribution, and these bytes in the place of halo2's key.
fn file(world: &World, [kind, attribution]: [u8; 2], halo2: &[u8]) -> Vec<u8> {
    let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
    let CircuitShape { architecture, shape, architecture_digest, srs, subject: _ } =
        CircuitShape::of(&world.key, shape);
    let mut w = Writer::new(b"LORICAsk", 3);
    write_architecture(&mut w, &architecture);
    w.count(shape.requests);
    w.count(shape.tokens);
    w.u32(shape.log_tile);
    w.u8(kind);
    w.u8(attribution);
    w.scalar(&architecture_digest);
    w.scalar(&srs);
    w.point_g2(SRS.tau_g2());
    w.counted(halo2);
    w.bytes(&[0; 32]);
    w.finish()
}

#[test]
fn sizes_inside_of_halo2s_key_are_checked() {
    let world = world();
    let refused = |halo2: &[u8]| {
        let error = VerifyingKey::decode(&file(&world, [1, 0], halo2)).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
    };
    // Version 2, log2 of the rows, whether selectors follow, number of fixed commitments.
    for rows in [0u32, 23, 27, 28, 29, 31, 32, 63, 64, u32::MAX] {
        for selectors in [0u8, 1] {
            let head = [&[2][..], &rows.to_le_bytes(), &[selectors], &[0; 4], &[0; 64]].concat();
            refused(&head);
        }
    }
    // Selectors in the file, with a number of rows that would be allocated.
    refused(&[&[2][..], &22u32.to_le_bytes(), &[1], &[0; 4]].concat());
    // Fewer fixed commitments than the circuit has columns, and none at all.
    refused(&[&[2][..], &16u32.to_le_bytes(), &[0], &[0; 4], &[0; 64 * 32]].concat());
    refused(&[]);
    refused(&[2, 16, 0, 0, 0]);
}

/// A key of the embeddings whose settlements could be forged is refused before anything else of it is read.
#[test]
fn keys_of_withdrawn_embeddings_are_refused() {
    let world = world();
    let refused = |kind: u8| match VerifyingKey::decode(&file(&world, [kind, 0], &[])).unwrap_err() {
        KeyError::Codec(CodecError::Kind(error)) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused(0), CircuitError::WithdrawnEmbedding);
    assert_eq!(refused(4), CircuitError::OutputKind { got: 4 });
}

/// A key of index proofs is one of a class of records, and of nothing else that a shape says.
#[test]
fn keys_of_index_proofs_have_records_alone() {
    let world = world();
    let what = "an index proof has records, and no requests or tokens";
    let error = |attribution| VerifyingKey::decode(&file(&world, [3, attribution], &[])).unwrap_err();
    assert_eq!(error(0), KeyError::Malformed { what });
    // The rest of the file is what is wrong with the others.
    assert_eq!(error(11), KeyError::Malformed { what: "halo2's key is damaged" });
    let mut bytes = file(&world, [3, 11], &[]);
    // Behind magic, version and the architecture, requests and tokens are four bytes each.
    let at = 10 + 8 * 4 + 1 + 3 * 4;
    for place in [at + 3, at + 7] {
        let mut other = bytes.clone();
        other[place] *= 2;
        let content = other.len() - 32;
        let digest = keccak(&other[..content]);
        other[content..].copy_from_slice(&digest);
        assert_eq!(VerifyingKey::decode(&other).unwrap_err(), KeyError::Malformed { what });
    }
    bytes.truncate(at);
    assert!(VerifyingKey::decode(&bytes).is_err());
}

/// A circuit attributes to nothing, or to one of the classes of records.
#[test]
fn keys_of_other_classes_of_records_are_refused() {
    let world = world();
    let refused = |attribution: u8| VerifyingKey::decode(&file(&world, [1, attribution], &[])).unwrap_err();
    for got in [1, 2, 3, 10, 12, 15, 17, 255] {
        let value = CodecError::Value { what: "attribution", got: u64::from(got) };
        assert_eq!(refused(got), KeyError::Codec(value));
    }
}
