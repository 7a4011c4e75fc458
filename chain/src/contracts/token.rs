//! Tokens: OPEN (`OpenToken`), other contracts of ERC-20, and the chain's gas token.

use std::borrow::Cow;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};

use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::{OpenToken, WrappedOpen};
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError};

/// The chain's gas token, where the escrow expects the address of a token.
pub const NATIVE: Address = Address::ZERO;

/// One OPEN in its smallest unit.
pub const OPEN: u64 = 1_000_000_000_000_000_000;

alloy_sol_types::sol! {
    /// An approval of ERC-2612, as it is signed.
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}

/// A token. At the address [`NATIVE`] it is the chain's gas token, which is no contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub Contract);

impl Token {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// Whether it is the chain's gas token.
    #[must_use]
    pub fn is_native(self) -> bool {
        self.address() == NATIVE
    }

    /// What an account has, in the token's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn balance(self, chain: &mut impl Chain, account: Address) -> Result<U256, ChainError> {
        if self.is_native() {
            return chain.balance(account);
        }
        self.0.view(chain, "a balance", &OpenToken::balanceOfCall { account })
    }

    /// Moves the account's own tokens, so many of the smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn transfer(self, chain: &mut impl Chain, to: Address, amount: U256) -> Result<Receipt, ChainError> {
        if self.is_native() {
            self.0.expect_chain(chain)?;
            return chain.send_value(Some(to), Bytes::new(), amount);
        }
        self.0.send(chain, &OpenToken::transferCall { to, value: amount })
    }

    /// Deposits the account's gas token and has as many of this token, which must be `WrappedOpen`.
    ///
    /// # Errors
    /// [`PolicyError::NotWrapped`] if it is not, and others.
    pub fn wrap(self, chain: &mut impl Chain, amount: U256) -> Result<Receipt, ChainError> {
        self.0.expect_chain(chain)?;
        self.expect_wrapped(chain)?;
        chain.send_value(Some(self.address()), abi::encode(&WrappedOpen::depositCall {}), amount)
    }

    /// Gives so many of this token back, which must be `WrappedOpen`, and has as much gas token.
    ///
    /// # Errors
    /// [`PolicyError::NotWrapped`] if it is not, and others.
    pub fn unwrap(self, chain: &mut impl Chain, amount: U256) -> Result<Receipt, ChainError> {
        self.expect_wrapped(chain)?;
        self.0.send(chain, &WrappedOpen::withdrawCall { amount })
    }

    /// That it is the gas token as a token, by its own word: another contract may take a deposit and give nothing for it.
    fn expect_wrapped(self, chain: &mut impl Chain) -> Result<(), ChainError> {
        match self.0.view(chain, "the token's backing", &WrappedOpen::outOfUseCall {}) {
            Ok(_) => Ok(()),
            Err(error) if error.is_refusal() => Err(PolicyError::NotWrapped { token: self.address() }.into()),
            Err(error) => Err(error),
        }
    }

    /// What `spender` may take from the account, in the token's smallest unit. Not for the gas token.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn allowance(self, chain: &mut impl Chain, spender: Address) -> Result<U256, ChainError> {
        let owner = chain.account();
        self.0.view(chain, "an allowance", &OpenToken::allowanceCall { owner, spender })
    }

    /// Lets `spender` take so many of the smallest unit from the account, unless it may already. Not for the gas token.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn approve(self, chain: &mut impl Chain, spender: Address, amount: U256) -> Result<Option<Step>, ChainError> {
        let allowed = self.allowance(chain, spender)?;
        if allowed >= amount {
            return Ok(None);
        }
        // Some tokens change no allowance that is not zero.
        if !allowed.is_zero() && self.approve_call(chain, spender, amount).is_err() {
            self.0.send(chain, &OpenToken::approveCall { spender, value: U256::ZERO })?;
        }
        let receipt = self.0.send(chain, &OpenToken::approveCall { spender, value: amount })?;
        Ok(Some(Step { what: "approval", id: U256::ZERO, receipt: Some(receipt) }))
    }

    /// Tries an approval without a transaction. Its answer may be nothing: some tokens say none.
    fn approve_call(self, chain: &mut impl Chain, spender: Address, value: U256) -> Result<(), ChainError> {
        self.0.expect_chain(chain)?;
        chain.call(self.address(), abi::encode(&OpenToken::approveCall { spender, value })).map(drop)
    }

    /// What the account signs (ERC-2612) for `spender` to take `value` until `deadline`, in Unix seconds. The node says the
    /// token's name and version, but not which token and chain the permit is for.
    ///
    /// # Errors
    /// [`ChainError`]; also for tokens without permits.
    pub fn permit_digest(
        self,
        chain: &mut impl Chain,
        spender: Address,
        value: U256,
        deadline: U256,
    ) -> Result<B256, ChainError> {
        let owner = chain.account();
        let said = self.0.view(chain, "the token's domain for permits", &OpenToken::eip712DomainCall {})?;
        let nonce = self.0.view(chain, "a nonce for permits", &OpenToken::noncesCall { account: owner })?;
        let (name, version) = (Cow::Owned(said.name), Cow::Owned(said.version));
        let chain_id = U256::from(self.0.chain_id);
        let domain = Eip712Domain::new(Some(name), Some(version), Some(chain_id), Some(self.address()), None);
        Ok(Permit { owner, spender, value, nonce, deadline }.eip712_signing_hash(&domain))
    }
}
