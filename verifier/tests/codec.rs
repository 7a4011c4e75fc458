//! Files: what is written is read again, and what was not written is refused by name.

use lorica_circuits::bn254::{Curve, CurveAffine, Field, Fq, Fq2, Fr, G1Affine, G2Affine, Group, PrimeCurveAffine};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::protocol::keccak::DecodeError;
use sha3::{Digest, Keccak256};

const MAGIC: &[u8; 8] = b"LORICAtt";

fn open(bytes: &[u8]) -> Result<Reader<'_>, CodecError> {
    Reader::new(bytes, "test", MAGIC, 7)
}

/// A file with this content.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &7u16.to_be_bytes(), content].concat();
    bytes.extend(Keccak256::digest(&bytes));
    bytes
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new(MAGIC, 7);
    write(&mut writer);
    let content = writer.content()[10..].to_vec();
    let bytes = writer.finish();
    assert_eq!(bytes, sealed(&content));
    content
}

fn points() -> Vec<G1Affine> {
    (0..4u64).map(|i| (G1Affine::generator() * Fr::from(i * i)).to_affine()).collect()
}

#[test]
fn everything_written_is_read_again() {
    let scalars: Vec<Fr> = (1..5u64).map(|i| -Fr::from(i * i)).collect();
    let g2 = (G2Affine::generator() * Fr::from(12_345)).to_affine();
    let bytes = sealed(&written(|w| {
        w.bytes(&[9, 8, 7]);
        w.u8(200);
        w.u32(0x0102_0304);
        w.u64(0x0102_0304_0506_0708);
        w.i64(-2);
        w.i64(i64::MAX);
        w.count(6);
        w.counted(b"words");
        w.scalar(&scalars[0]);
        w.scalars(scalars.iter());
        w.point(&points()[2]);
        w.point_g2(&g2);
        w.points(&points());
    }));
    let mut r = open(&bytes).unwrap();
    assert_eq!(r.bytes(2, "b"), Ok(&[9u8, 8][..]));
    assert_eq!(r.array("a"), Ok([7]));
    assert_eq!(r.u8("u8"), Ok(200));
    assert_eq!(r.u32("u32"), Ok(0x0102_0304));
    assert_eq!(r.u64("u64"), Ok(0x0102_0304_0506_0708));
    assert_eq!((r.i64("i64"), r.i64("i64")), (Ok(-2), Ok(i64::MAX)));
    assert_eq!(r.count("count", 6, 1), Ok(6));
    assert_eq!(r.counted("counted", 5), Ok(&b"words"[..]));
    assert_eq!(r.scalar("scalar"), Ok(scalars[0]));
    assert_eq!(r.scalars("scalars", 4), Ok(scalars));
    assert_eq!(r.point("point"), Ok(points()[2]));
    assert_eq!(r.point_g2("g2"), Ok(g2));
    assert_eq!(r.points("points", 4), Ok(points()));
    assert_eq!(r.finish(), Ok(()));
}

/// The bytes themselves: big-endian, counts of four bytes.
#[test]
fn bytes_are_big_endian() {
    assert_eq!(written(|w| w.u32(0x0102_0304)), [1, 2, 3, 4]);
    assert_eq!(written(|w| w.u64(0x0102_0304_0506_0708)), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(written(|w| w.i64(-2)), [255, 255, 255, 255, 255, 255, 255, 254]);
    assert_eq!(written(|w| w.count(258)), [0, 0, 1, 2]);
    assert_eq!(written(|w| w.counted(&[5, 6])), [0, 0, 0, 2, 5, 6]);
    assert_eq!(written(|w| w.u8(3)), [3]);
    let mut one = [0; 32];
    one[31] = 1;
    assert_eq!(written(|w| w.scalar(&Fr::ONE)), one);
    assert_eq!(written(|w| w.scalars([Fr::ONE].iter())), [&[0, 0, 0, 1][..], &one].concat());
    assert_eq!(written(|w| w.points(&[G1Affine::identity()])), [&[0, 0, 0, 1][..], &[0; 64]].concat());
}

#[test]
fn headers_and_digests_are_checked() {
    let bytes = sealed(&[1, 2, 3]);
    assert!(open(&bytes).is_ok());
    let mut other = bytes.clone();
    other[0] ^= 1;
    assert_eq!(open(&other).err(), Some(CodecError::Magic { expected: "test" }));
    assert_eq!(open(&bytes[..7]).err(), Some(CodecError::Magic { expected: "test" }));
    assert_eq!(open(&bytes[..8]).err(), Some(CodecError::Truncated { what: "digest" }));
    assert_eq!(open(&bytes[..39]).err(), Some(CodecError::Truncated { what: "magic" }));
    assert_eq!(open(&bytes[..41]).err(), Some(CodecError::Truncated { what: "version" }));
    let mut other = bytes.clone();
    other[9] = 8;
    assert_eq!(
        open(&other).err(),
        Some(CodecError::Version {
            kind: "test",
            expected: 7,
            got: 8,
            remedy: "a newer lorica made it, read it with that one"
        })
    );
    for at in 10..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 0x10;
        assert_eq!(open(&other).err(), Some(CodecError::Digest), "byte {at}");
    }
}

/// A count is refused beyond its bound, and beyond what the file still holds: before anything is allocated by it.
#[test]
fn counts_are_bounded_by_their_bound_and_by_the_file() {
    let file = |count: u32, rest: usize| sealed(&[&count.to_be_bytes()[..], &vec![0; rest]].concat());
    for (count, rest, bound, size, expected) in [
        (3, 12, 3, 4, Ok(3)),
        (3, 13, 9, 4, Ok(3)),
        (3, 11, 3, 4, Err(CodecError::Truncated { what: "n" })),
        (4, 16, 3, 4, Err(CodecError::Bound { what: "n", bound: 3, got: 4 })),
        (u32::MAX, 16, 3, 4, Err(CodecError::Bound { what: "n", bound: 3, got: u32::MAX.into() })),
        (u32::MAX, 16, usize::MAX, 4, Err(CodecError::Truncated { what: "n" })),
        (2, 16, 2, usize::MAX, Err(CodecError::Truncated { what: "n" })),
        (0, 0, 0, 32, Ok(0)),
    ] {
        let bytes = file(count, rest);
        assert_eq!(open(&bytes).unwrap().count("n", bound, size), expected, "{count} x {size} in {rest}");
    }
    let bytes = file(5, 4);
    assert_eq!(open(&bytes).unwrap().counted("n", 9), Err(CodecError::Truncated { what: "n" }));
    assert_eq!(open(&bytes).unwrap().counted("n", 4), Err(CodecError::Bound { what: "n", bound: 4, got: 5 }));
}

#[test]
fn ends_are_checked() {
    let bytes = sealed(&[1, 2, 3]);
    let mut reader = open(&bytes).unwrap();
    assert_eq!(reader.bytes(4, "four"), Err(CodecError::Truncated { what: "four" }));
    assert_eq!(reader.u32("u32"), Err(CodecError::Truncated { what: "u32" }));
    assert_eq!(reader.u64("u64"), Err(CodecError::Truncated { what: "u64" }));
    assert_eq!(reader.scalar("scalar"), Err(CodecError::Truncated { what: "scalar" }));
    // What could not be read is still there.
    assert_eq!(reader.u8("u8"), Ok(1));
    assert_eq!(reader.finish(), Err(CodecError::Trailing { count: 2 }));
}

#[test]
fn scalars_and_points_are_canonical() {
    let decode = |error| CodecError::Decode { what: "x", error };
    let scalar = decode(DecodeError::NonCanonicalScalar);
    let bytes = sealed(&[255; 128]);
    assert_eq!(open(&bytes).unwrap().scalar("x"), Err(scalar.clone()));
    assert_eq!(open(&bytes).unwrap().scalar_array::<2>("x"), Err(scalar));
    let x = decode(DecodeError::NonCanonicalCoordinate { coordinate: 'x' });
    assert_eq!(open(&bytes).unwrap().point("x"), Err(x.clone()));
    assert_eq!(open(&bytes).unwrap().point_g2("x"), Err(x));
    let mut y = written(|w| w.point_g2(&G2Affine::generator()));
    y[64..96].fill(255);
    let error = decode(DecodeError::NonCanonicalCoordinate { coordinate: 'y' });
    assert_eq!(open(&sealed(&y)).unwrap().point_g2("x"), Err(error));
    let scalars = [Fr::from(3), Fr::from(4)];
    let bytes = sealed(&written(|w| scalars.iter().for_each(|s| w.scalar(s))));
    assert_eq!(open(&bytes).unwrap().scalar_array("x"), Ok(scalars));
}

/// G2 has a cofactor: a point of the curve need not be of order r.
#[test]
fn points_of_g2_are_of_order_r_and_not_the_identity() {
    let refused = Err(CodecError::Decode { what: "x", error: DecodeError::NotOnCurve });
    let read = |content: &[u8]| open(&sealed(content)).unwrap().point_g2("x");
    assert_eq!(read(&[0; 128]), refused);
    assert_eq!(read(&written(|w| w.point_g2(&G2Affine::identity()))), refused);
    let mut off = G2Affine::generator();
    off.y += Fq2::ONE;
    assert_eq!(read(&written(|w| w.point_g2(&off))), refused);
    // y² = x³ + b with the generator's b: almost no point of it is of order r.
    let generator = G2Affine::generator();
    let b = generator.y.square() - generator.x.square() * generator.x;
    let mut outside = 0;
    for i in 1..20u64 {
        let x = Fq2 { c0: Fq::from(i), c1: Fq::ZERO };
        let root: Option<Fq2> = (x.square() * x + b).sqrt().into();
        let Some(y) = root else { continue };
        let point: Option<G2Affine> = G2Affine::from_xy(x, y).into();
        let point = point.expect("a point of the curve");
        assert!(!bool::from((point * -Fr::ONE + point).is_identity()));
        assert_eq!(read(&written(|w| w.point_g2(&point))), refused, "{i}");
        outside += 1;
    }
    assert!(outside > 3);
}
