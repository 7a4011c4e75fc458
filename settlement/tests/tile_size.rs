//! Settlements against a key that names another tile size than the base's.

use super::support;

use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::settlement::SettlementError;
use support::{LOG_TILE, binding, bound, key, settle, world};

/// A key says the tile size beside the architecture's digest, which holds the base's: the two can differ.
#[test]
fn a_key_of_another_tile_size_is_foreign_to_the_base() {
    let world = world();
    let binding = binding(1);
    let proof = bound(&world, OutputKind::Classify, &[(9, Some(0))], &binding);
    let own = key(&world, proof.statement.shape);
    let mut settled = settle(&world, &own, &binding, &proof).unwrap();
    settled.check(own.verifying(), &world.key, &world.keys()).unwrap();

    let other = key(&world, Shape { log_tile: LOG_TILE + 2, ..proof.statement.shape });
    assert_eq!(other.verifying().circuit_shape().architecture_digest, world.key.architecture_digest());
    settled.circuit = other.verifying().circuit_id();
    let error = settled.check(other.verifying(), &world.key, &world.keys()).unwrap_err();
    assert!(matches!(error, SettlementError::ForeignBase), "{error}");
}
