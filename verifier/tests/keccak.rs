//! Digests as the EVM computes them, and encodings that refuse what is not canonical.

use lorica_circuits::bn254::{Curve, Field, Fq, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use lorica_verifier::protocol::keccak::{
    DecodeError, decode_point, decode_scalar, digest_points, encode_point, encode_scalar, keccak_bytes, keccak_words,
    reduce,
};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
}

const BASE_MODULUS: &str = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";
const SCALAR_MODULUS: &str = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";

#[test]
fn digests_are_keccak_256() {
    let empty = bytes("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_eq!(keccak_bytes(b""), reduce(empty));
    assert_eq!(digest_points(&[]), reduce(empty));
    // keccak256(abi.encode(1, 2)), known to every Solidity developer as the slot of key 1 in the mapping at slot 2.
    let one_two = bytes("e90b7bceb6e7df5418fb78d8ee546e97c83a08bbccc01a0644d599ccd2a7c2e0");
    assert_eq!(digest_points(&[G1Affine::generator()]), reduce(one_two));
    let word = |low: u8| {
        let mut word = [0; 32];
        word[31] = low;
        word
    };
    assert_eq!(keccak_words(&[word(1), word(2)]), reduce(one_two));
    assert_eq!(digest_points(&[G1Affine::identity()]), keccak_bytes(&[0; 64]));
}

#[test]
fn digests_reduce_modulo_r() {
    assert_eq!(reduce([0; 32]), Fr::ZERO);
    assert_eq!(reduce(bytes(SCALAR_MODULUS)), Fr::ZERO);
    let all = reduce([255; 32]);
    assert_eq!(all, Fr::from(2).pow([256]) - Fr::ONE);
}

#[test]
fn order_and_number_of_points_matter() {
    let (g, h) = (G1Affine::generator(), (G1Affine::generator() * Fr::from(5)).to_affine());
    let digests = [
        digest_points(&[g, h]),
        digest_points(&[h, g]),
        digest_points(&[g]),
        digest_points(&[g, h, G1Affine::identity()]),
        digest_points(&[-g, h]),
    ];
    for (index, digest) in digests.iter().enumerate() {
        assert!(!digests[..index].contains(digest));
    }
}

#[test]
fn points_and_scalars_survive_encoding() {
    for factor in [0u64, 1, 2, 3, 12345, u64::MAX] {
        let scalar = Fr::from(factor).square();
        let point = (G1Affine::generator() * scalar).to_affine();
        assert_eq!(decode_point(&encode_point(&point)), Ok(point));
        assert_eq!(decode_scalar(&encode_scalar(&scalar)), Ok(scalar));
    }
    let mut generator = [0; 64];
    (generator[31], generator[63]) = (1, 2);
    assert_eq!(encode_point(&G1Affine::generator()), generator);
    assert_eq!(encode_point(&G1Affine::identity()), [0; 64]);
    assert_eq!(encode_scalar(&-Fr::ONE)[31], 0);
}

#[test]
fn what_is_not_canonical_is_refused() {
    let modulus: [u8; 32] = bytes(BASE_MODULUS);
    let with = |x: [u8; 32], y: [u8; 32]| {
        let mut point = [0; 64];
        point[..32].copy_from_slice(&x);
        point[32..].copy_from_slice(&y);
        decode_point(&point)
    };
    let coordinate = |coordinate| Err(DecodeError::NonCanonicalCoordinate { coordinate });
    let word = |low: u8| {
        let mut word = [0; 32];
        word[31] = low;
        word
    };
    // The generator (1, 2) with p added to either coordinate.
    let mut one_plus_p = modulus;
    one_plus_p[31] += 1;
    let mut two_plus_p = modulus;
    two_plus_p[31] += 2;
    assert_eq!(with(one_plus_p, word(2)), coordinate('x'));
    assert_eq!(with(word(1), two_plus_p), coordinate('y'));
    assert_eq!(with(modulus, modulus), coordinate('x'));
    assert_eq!(with([255; 32], word(2)), coordinate('x'));
    assert_eq!(with(word(1), word(3)), Err(DecodeError::NotOnCurve));
    assert_eq!(with(word(0), word(1)), Err(DecodeError::NotOnCurve));
    assert_eq!(with(word(1), word(0)), Err(DecodeError::NotOnCurve));
    assert_eq!(with(word(0), word(0)), Ok(G1Affine::identity()));
    // On y² = x³ + 3 with x = 0 there is no point with a rational y, or it is one of two.
    let root: Option<Fq> = Option::from(Fq::from(3).sqrt());
    if let Some(root) = root {
        let mut y = root.to_repr();
        y.reverse();
        assert!(with(word(0), y).is_ok());
    }
    assert_eq!(decode_scalar(&bytes(SCALAR_MODULUS)), Err(DecodeError::NonCanonicalScalar));
    assert_eq!(decode_scalar(&[255; 32]), Err(DecodeError::NonCanonicalScalar));
}
