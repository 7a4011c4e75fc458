//! The deployed contracts, on any [`Chain`]: a handle for each, and what is done with several of them.
//!
//! A handle is the address of one contract with its chain's id, and has the functions of that contract alone:
//! [`Router`](router::Router), [`Registry`](registry::Registry), [`Models`](models::Models), [`Escrow`](escrow::Escrow),
//! [`Token`](token::Token), [`Sale`](sale::Sale). [`CheckContracts`](check::CheckContracts) and [`Market`](market::Market) are records of
//! addresses that give handles. What several contracts have a part in stands beside them: [`lock`], [`publish`],
//! [`govern`], [`amounts`].

pub mod amounts;
pub mod attribution;
pub mod check;
pub mod escrow;
pub mod govern;
pub mod lock;
pub mod market;
pub mod models;
pub mod movements;
pub mod pins;
pub mod prepaid;
pub mod publish;
pub mod quote;
pub mod ranges;
pub mod registry;
pub mod request;
pub mod router;
pub mod sale;
pub mod stakes;
pub mod terms;
pub mod token;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;

use crate::abi;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// The place of a contract: an address on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Id of the chain that the address is of.
    pub chain_id: u64,
    /// The contract's address there.
    pub address: Address,
}

impl Contract {
    /// Calls a view function; `what` names the answer if it does not decode.
    pub(crate) fn view<C: SolCall>(
        self,
        chain: &mut impl Chain,
        what: &'static str,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let output = chain.call(self.address, abi::encode(call))?;
        C::abi_decode_returns(&output).map_err(|_| StateError::Unexpected { what }.into())
    }

    /// Sends a call, if this is the contract's chain.
    pub(crate) fn send(self, chain: &mut impl Chain, call: &impl SolCall) -> Result<Receipt, ChainError> {
        self.expect_chain(chain)?;
        chain.send(Some(self.address), abi::encode(call))
    }

    /// That this is the contract's chain.
    pub(crate) fn expect_chain(self, chain: &impl Chain) -> Result<(), PolicyError> {
        let (expected, got) = (self.chain_id, chain.id());
        if got == expected { Ok(()) } else { Err(PolicyError::ForeignChain { expected, got }) }
    }

    /// That there is code at the address.
    pub(crate) fn expect_code(self, chain: &mut impl Chain, name: &'static str) -> Result<(), ChainError> {
        let at = self.address;
        if chain.code(at)?.is_empty() { Err(StateError::NoContract { name, at }.into()) } else { Ok(()) }
    }
}

/// One transaction of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it did, in a few words for people.
    pub what: &'static str,
    /// Id of a record, circuit or request; zero for a contract.
    pub id: U256,
    /// The chain's receipt; none if nothing was sent, because it had been done before.
    pub receipt: Option<Receipt>,
}

impl Step {
    /// Gas, zero if nothing was sent.
    #[must_use]
    pub fn gas(&self) -> u64 {
        self.receipt.as_ref().map_or(0, |receipt| receipt.gas)
    }
}

/// Deploys a contract.
fn create(
    chain: &mut impl Chain,
    steps: &mut Vec<Step>,
    what: &'static str,
    code: Bytes,
) -> Result<Address, ChainError> {
    let receipt = chain.send(None, code)?;
    let address = receipt.created.ok_or(StateError::Unexpected { what })?;
    steps.push(Step { what, id: U256::ZERO, receipt: Some(receipt) });
    Ok(address)
}
