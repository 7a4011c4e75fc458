//! What is proven, as data: programs of regions, columns, tables and relations; the families of models that write them; the
//! field type.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

pub mod axis;
pub mod blocks;
pub mod column;
pub mod error;
pub mod families;
pub mod form;
pub mod layout;
mod number;
pub mod poseidon;
pub mod program;
pub mod read;
pub mod region;
pub mod relation;
pub mod shape;
pub mod table;

pub use program::reading;

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
