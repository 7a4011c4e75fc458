//! A chain of one's own: an EVM in memory, and the same behind JSON-RPC.

mod evm;
pub mod serve;

pub use evm::{EmbeddedChain, GENESIS_TIME, Message, Outcome, Part};
