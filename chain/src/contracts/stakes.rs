//! Stakes of provers (`ProverStakes`): OPEN that a prover has put up, of which a request that demands a stake takes a part while
//! the prover has accepted it.

use alloy_primitives::{Address, U256};

use super::escrow::Escrow;
use super::token::Token;
use super::{Contract, Step};
use crate::abi::bindings::{InferenceEscrow, ProverStakes};
use crate::chain::{Chain, Receipt};
use crate::error::ChainError;

/// The contract that holds provers' stakes; the escrow deployed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stakes(pub Contract);

impl Stakes {
    /// The stakes of an escrow.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn of(chain: &mut impl Chain, escrow: Escrow) -> Result<Self, ChainError> {
        let address = escrow.contract.view(chain, "the stakes", &InferenceEscrow::stakesCall {})?;
        Ok(Self(Contract { address, ..escrow.contract }))
    }

    /// What a prover can withdraw or put up, in OPEN's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn free(self, chain: &mut impl Chain, prover: Address) -> Result<U256, ChainError> {
        self.0.view(chain, "a stake", &ProverStakes::freeCall { prover })
    }

    /// Lost stakes that nobody has burnt yet, in OPEN's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn burnable(self, chain: &mut impl Chain) -> Result<U256, ChainError> {
        self.0.view(chain, "lost stakes", &ProverStakes::burnableCall {})
    }

    /// Takes OPEN from the account for a prover, with an approval if it needs one.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deposit(
        self,
        chain: &mut impl Chain,
        open: Token,
        prover: Address,
        amount: U256,
    ) -> Result<Vec<Step>, ChainError> {
        let mut steps: Vec<Step> = open.approve(chain, self.0.address, amount)?.into_iter().collect();
        let receipt = self.0.send(chain, &ProverStakes::depositCall { prover, amount })?;
        steps.push(Step { what: "stake", id: U256::ZERO, receipt: Some(receipt) });
        Ok(steps)
    }

    /// Gives the account back what it has put up and no request holds.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw(self, chain: &mut impl Chain, to: Address, amount: U256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &ProverStakes::withdrawCall { to, amount })
    }

    /// Burns lost stakes.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn burn(self, chain: &mut impl Chain) -> Result<Receipt, ChainError> {
        self.0.send(chain, &ProverStakes::burnCall {})
    }
}
