//! What `lorica verify` takes, for a proof or a settlement.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use lorica::input::{Context, parse_context};
use lorica_chain::alloy_primitives::B256;

use crate::node::parse_id;

/// Arguments of `verify`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["proof", "settlement"]))]
pub struct VerifyArgs {
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of the adapters that the proof may use (.vk; .lorica files will do); it must use one of them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Keys of the datanets by whose records the proof may attribute its answers (.vk; .lorica files will do); it must use one
    /// of them. A settlement that attributes needs the key of its datanet
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub datanet: Vec<PathBuf>,
    /// The inference proof to check
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Instead of --proof: a settlement to check, as the contract would; needs --key
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["text", "requests", "context"])]
    pub settlement: Option<PathBuf>,
    /// Settlement key (.vk) of the settlement
    #[arg(long, value_name = "FILE", requires = "settlement")]
    pub key: Option<PathBuf>,
    /// Circuit id that the settlement must have, from a source that you trust or from `lorica settlement-key`. Without it a false
    /// key file can make any settlement pass
    #[arg(long, value_name = "ID", requires = "settlement", value_parser = parse_id)]
    pub circuit: Option<B256>,
    /// Reject the proof if it is not about this text
    #[arg(long, allow_hyphen_values = true, conflicts_with = "requests")]
    pub text: Option<String>,
    /// Reject the proof if it is not about these requests: JSON lines as for `lorica prove`, with .lorica or .vk adapters
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// Reject the proof if it was made with another --context. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
}
