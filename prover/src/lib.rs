//! The prover.

pub mod commit;
pub mod mercury;
pub mod msm;
pub mod srs;
pub mod cells;
pub mod lookup;
pub mod operand;
pub mod prove;
pub mod reduction;
pub mod relation;
pub mod wide;
