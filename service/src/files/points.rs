//! Points of G2: x.c0, x.c1, y.c0, y.c1, canonical, big-endian, 128 bytes.

use lorica_circuits::bn254::{CurveAffine, Field, Fq, Fq2, Fr, G2Affine, Group, PrimeCurveAffine, PrimeField};
use lorica_verifier::codec::{CodecError, Reader, Writer};
use lorica_verifier::keccak::DecodeError;

/// Writes a point.
pub fn write_g2(writer: &mut Writer, point: &G2Affine) {
    for coordinate in [point.x.c0, point.x.c1, point.y.c0, point.y.c1] {
        let mut bytes = coordinate.to_repr();
        bytes.reverse();
        writer.bytes(&bytes);
    }
}

/// Reads a point of the group of order r, not the identity.
///
/// # Errors
/// [`CodecError::Decode`].
pub fn read_g2(reader: &mut Reader<'_>, what: &'static str) -> Result<G2Affine, CodecError> {
    let mut coordinate = |name| {
        let mut bytes: [u8; 32] = reader.array(what)?;
        bytes.reverse();
        let error = DecodeError::NonCanonicalCoordinate { coordinate: name };
        Option::<Fq>::from(Fq::from_repr(bytes)).ok_or(CodecError::Decode { what, error })
    };
    let (x0, x1, y0, y1) = (coordinate('x')?, coordinate('x')?, coordinate('y')?, coordinate('y')?);
    let point: Option<G2Affine> = G2Affine::from_xy(Fq2 { c0: x0, c1: x1 }, Fq2 { c0: y0, c1: y1 }).into();
    // G2 has a cofactor: multiply by r, as (r - 1) + 1.
    point
        .filter(|point| bool::from((*point * -Fr::ONE + *point).is_identity()) && !bool::from(point.is_identity()))
        .ok_or(CodecError::Decode { what, error: DecodeError::NotOnCurve })
}
