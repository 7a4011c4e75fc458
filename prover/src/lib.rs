//! The prover.

mod blinding;
pub mod cells;
pub mod commit;
mod engine;
pub mod error;
pub mod index;
mod lanes;
pub mod lookup;
pub mod mercury;
pub mod msm;
mod multilinear;
pub mod operand;
pub mod prove;
pub mod reduction;
pub mod relation;
mod row_sums;
pub mod rows;
pub mod srs;
pub mod wide;
