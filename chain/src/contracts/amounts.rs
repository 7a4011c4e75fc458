//! What accounts and lines of models have and are owed: by a token, the registry of models and the escrow together.

use alloy_primitives::{Address, U256};

use super::escrow::Escrow;
use super::models::Models;
use super::token::Token;
use crate::chain::Chain;
use crate::error::ChainError;

/// Amounts of one account in one token, in the token's smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// The account's own.
    pub wallet: U256,
    /// Owed by the escrow: to be withdrawn.
    pub owed: U256,
}

impl Amounts {
    /// What an account has of a token, and what the escrow owes it.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn of(chain: &mut impl Chain, escrow: Escrow, token: Token, account: Address) -> Result<Self, ChainError> {
        let wallet = token.balance(chain, account)?;
        Ok(Self { wallet, owed: escrow.owed(chain, account, token.address())? })
    }
}

/// Amounts owed to a line of models in one token, in the token's smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineAmounts {
    /// The line's owner.
    pub owner: Address,
    /// Who may withdraw the contributors' share.
    pub pot: Address,
    /// Owed to the owner.
    pub owed_to_owner: U256,
    /// Owed to the contributors.
    pub owed_to_contributors: U256,
}

impl LineAmounts {
    /// What a line is owed in a token, which is named by its address.
    ///
    /// # Errors
    /// [`ChainError`], [`StateError::NoLine`](crate::error::StateError::NoLine) if there is no such line.
    pub fn of(
        chain: &mut impl Chain,
        models: Models,
        escrow: Escrow,
        line: u32,
        token: Address,
    ) -> Result<Self, ChainError> {
        let of = models.line(chain, line)?;
        let [owed_to_owner, owed_to_contributors] = escrow.owed_to_line(chain, line, token)?;
        Ok(Self { owner: of.owner, pot: of.pot, owed_to_owner, owed_to_contributors })
    }
}
