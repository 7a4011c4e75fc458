//! What is proven, as data: architecture, columns, relations, statements, digests, the field type.

/// The one field and curve type of the workspace: BN254 as halo2 uses it.
pub mod bn254 {
    pub use ff::{Field, PrimeField};
    pub use halo2curves_axiom::CurveAffine;
    pub use halo2curves_axiom::bn256::{Bn256, Fq, Fr, G1, G1Affine, G2, G2Affine, Gt, multi_miller_loop};
    pub use halo2curves_axiom::group::{Curve, Group, prime::PrimeCurveAffine};
    pub use halo2curves_axiom::pairing::{Engine, MillerLoopResult, MultiMillerLoop};
}
