//! What is proven, as data: architecture, columns, relations, statements, digests, the field type.

#![forbid(unsafe_code)]

pub mod architecture;
pub mod column;
pub mod error;
pub mod form;
pub mod layout;
pub mod poseidon;
pub mod relation;
pub mod table;

/// The one field and curve type of the workspace: BN254 as halo2 uses it.
pub mod bn254 {
    pub use ff::{Field, FromUniformBytes, PrimeField};
    pub use halo2curves_axiom::CurveAffine;
    pub use halo2curves_axiom::bn256::{
        Bn256, Fq, Fq2, Fr, G1, G1Affine, G2, G2Affine, G2Prepared, Gt, multi_miller_loop,
    };
    pub use halo2curves_axiom::fft::best_fft;
    pub use halo2curves_axiom::group::{Curve, Group, prime::PrimeCurveAffine};
    pub use halo2curves_axiom::msm::msm_best;
    pub use halo2curves_axiom::pairing::{Engine, MillerLoopResult, MultiMillerLoop};
}
