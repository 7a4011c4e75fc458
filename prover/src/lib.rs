//! The prover.

pub mod cells;
pub mod commit;
pub mod index;
mod lanes;
pub mod lookup;
pub mod mercury;
pub mod msm;
pub mod operand;
pub mod prove;
pub mod reduction;
pub mod relation;
pub mod rows;
pub mod srs;
pub mod wide;
