//! The same numbers as values of both libraries: through canonical little-endian bytes and affine coordinates.

use lorica_circuits::bn254::{CurveAffine, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use nova_snark::provider::bn256_grumpkin::bn256::{Affine, Base, Point, Scalar};
use nova_snark::provider::traits::DlogGroup;

/// A field element of one library as one of the other, by its canonical bytes.
fn same_element<From: PrimeField, To: PrimeField>(element: &From) -> To {
    read_element(element.to_repr().as_ref())
}

/// # Panics
/// If these are not canonical bytes.
pub fn read_element<To: PrimeField>(bytes: &[u8]) -> To {
    let mut repr = To::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    Option::from(To::from_repr(repr)).expect("canonical bytes of an element of the same field")
}

pub fn scalar_to_nova(scalar: &Fr) -> Scalar {
    same_element(scalar)
}

pub fn scalar_from_nova(scalar: &Scalar) -> Fr {
    same_element(scalar)
}

pub fn point_to_nova(point: &G1Affine) -> Affine {
    if bool::from(point.is_identity()) {
        return Point::zero().affine();
    }
    Affine { x: same_element::<_, Base>(&point.x), y: same_element::<_, Base>(&point.y) }
}

/// A point as nova's transcript writes it: x, y, and whether it is the identity.
///
/// # Panics
/// If it is not on the curve.
pub fn point_from_transcript(bytes: &[u8]) -> G1Affine {
    let (coordinates, infinity) = bytes.split_at(64);
    if infinity == [1] {
        return G1Affine::identity();
    }
    assert_eq!(infinity, [0], "a flag of one byte");
    let (x, y) = coordinates.split_at(32);
    Option::from(G1Affine::from_xy(read_element(x), read_element(y))).expect("a point of the curve")
}
