//! Lorica's contracts from Rust: their ABI and bytecode, an EVM in memory, and chains behind JSON-RPC.
//!
//! * [`abi`]: calldata and init code; the types come from `verifier-contracts/artifacts`.
//! * [`chain`]: what is asked of a [`Chain`](chain::Chain); [`error`]: how that can fail.
//! * [`contracts`]: a handle for each contract, their deployment, and what is done with several of them.
//! * [`embedded`]: an EVM of one's own, with Osaka rules and real prices, and a development node around it.
//! * [`rpc`]: a node. Blocking; keys stay here. Transactions in one call, or step by step.
//! * [`keys`]: private keys and keystores.
//! * [`revert`]: what a contract says when it refuses.
//!
//! Nothing is read from the environment, and nothing is written but the files of locks: keys, passwords and folders are
//! values that the program passes in.
//!
//! The owner of a circuit's router deploys and registers; a consumer checks:
//!
//! ```
//! use lorica_chain::chain::Chain;
//! use lorica_chain::contracts::check::CheckContracts;
//! use lorica_chain::contracts::router::CHECK_GAS;
//! use lorica_chain::error::ChainError;
//! use lorica_settlement::key::VerifyingKey;
//! use lorica_settlement::settlement::Settlement;
//! use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
//!
//! fn set_up(
//!     chain: &mut impl Chain,
//!     key: &VerifyingKey,
//!     base: &BaseCommitments,
//!     adapter: &AdapterCommitments,
//! ) -> Result<CheckContracts, ChainError> {
//!     let guardian = chain.account();
//!     let (contracts, steps) = CheckContracts::deploy(chain, guardian)?;
//!     for step in steps {
//!         println!("{}: {} gas", step.what, step.gas());
//!     }
//!     contracts.registry().register_base(chain, base)?;
//!     contracts.registry().register_adapter(chain, adapter)?;
//!     contracts.add_circuit(chain, key, CHECK_GAS)?;
//!     Ok(contracts)
//! }
//!
//! // The account of the chain must be the consumer that the settlement is bound to.
//! fn act(chain: &mut impl Chain, contracts: &CheckContracts, settlement: &Settlement) -> Result<u64, ChainError> {
//!     Ok(contracts.router().check(chain, settlement)?.gas)
//! }
//!
//! // In memory:
//! use lorica_chain::alloy_primitives::Address;
//! use lorica_chain::embedded::EmbeddedChain;
//! let mut chain = EmbeddedChain::new(31337, Address::repeat_byte(0x0e));
//! let (contracts, _) = CheckContracts::deploy(&mut chain, Address::repeat_byte(0x6d))?;
//! contracts.expect_deployed(&mut chain)?;
//!
//! // Behind a node; what was deployed is found again by its addresses:
//! use lorica_chain::keys::{Password, PrivateKey};
//! use std::path::{Path, PathBuf};
//! use lorica_chain::error::StateError;
//! use lorica_chain::rpc::RpcChain;
//! use lorica_chain::rpc::settings::Settings;
//! fn connect(
//!     url: &str,
//!     key_file: &Path,
//!     password: Password,
//!     locks: PathBuf,
//!     deployed: &serde_json::Value,
//! ) -> Result<RpcChain, ChainError> {
//!     let contracts = CheckContracts::from_json(deployed).ok_or(StateError::Unexpected { what: "the file of addresses" })?;
//!     let key = PrivateKey::read(key_file, &password)?;
//!     // All programs that send from the account must name the same folder.
//!     let settings = Settings { locks: Some(locks), ..Settings::default() };
//!     let mut chain = RpcChain::connect_with(url, Some(key), Some(contracts.chain_id), settings)?;
//!     contracts.expect_deployed(&mut chain)?;
//!     Ok(chain)
//! }
//! # Ok::<(), ChainError>(())
//! ```

#![forbid(unsafe_code)]

pub mod abi;
pub mod chain;
pub mod contracts;
mod datanet_record;
pub mod embedded;
pub mod error;
pub mod keys;
pub mod revert;
pub mod rpc;

pub use alloy_primitives;
