//! Sales of lines (`LineSale`): the contract owns a line while it is for sale, and gives it to who pays its price.

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolEvent;

use super::models::Models;
use super::terms::line_number;
use super::token::Token;
use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::LineSale;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// A line that is for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForSale {
    /// Who sells it, and may take it back until it is sold.
    pub seller: Address,
    /// In which the price is; zero for the gas token.
    pub token: Address,
    /// In the token's smallest unit.
    pub price: U256,
}

/// What a buyer agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The line's number.
    pub line: u32,
    /// The line's nonce when the buyer looked at it.
    pub nonce: u64,
    /// In which he pays.
    pub token: Token,
    /// The most that he pays, in the token's smallest unit.
    pub most: U256,
}

/// The contract that sells lines, with the registry of models that they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sale {
    /// `LineSale`.
    pub contract: Contract,
    /// The registry of models.
    pub models: Models,
}

impl Sale {
    /// What a line is sold for, if it is for sale.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn of(self, chain: &mut impl Chain, line: u32) -> Result<Option<ForSale>, ChainError> {
        let found = self.contract.view(chain, "a sale", &LineSale::salesCall { line: line_number(line)? })?;
        let sale = ForSale { seller: found.seller, token: found.token, price: found.price };
        Ok((!sale.seller.is_zero()).then_some(sale))
    }

    /// Offers a line to the contract, unless it is, and puts it up for sale. The account must own the line. The second is
    /// the line's nonce, which a buyer names.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn sell(
        self,
        chain: &mut impl Chain,
        line: u32,
        token: Token,
        price: U256,
    ) -> Result<(Vec<Step>, u64), ChainError> {
        let step = |what, receipt| Step { what, id: U256::ZERO, receipt };
        let offered = self.models.offer(chain, line, Some(self.contract.address))?;
        let mut steps = vec![step("offer", offered)];
        let nonce = self.models.line(chain, line)?.nonce;
        let call = LineSale::sellCall { line: line_number(line)?, nonce, token: token.address(), price };
        steps.push(step("sale", Some(self.contract.send(chain, &call)?)));
        Ok((steps, self.models.line(chain, line)?.nonce))
    }

    /// Takes an unsold line back, and accepts it. The account must be its seller.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn unsell(self, chain: &mut impl Chain, line: u32) -> Result<Vec<Step>, ChainError> {
        let receipt = self.contract.send(chain, &LineSale::unsellCall { line: line_number(line)? })?;
        let taken = Step { what: "sale ended", id: U256::ZERO, receipt: Some(receipt) };
        Ok(vec![taken, self.accept(chain, line)?])
    }

    /// Pays for a line and accepts it: approves the price if it is one of a token, buys, accepts.
    ///
    /// # Errors
    /// [`StateError::NotForSale`], [`PolicyError::LineChanged`] and [`PolicyError::SaleTerms`] before anything is sent, and
    /// others.
    pub fn buy(self, chain: &mut impl Chain, purchase: Purchase) -> Result<(ForSale, Vec<Step>), ChainError> {
        self.contract.expect_chain(chain)?;
        let Purchase { line, nonce, token, most } = purchase;
        let sale = self.of(chain, line)?.ok_or(StateError::NotForSale { line })?;
        self.models.expect_nonce(chain, line, nonce)?;
        if sale.token != token.address() || sale.price > most {
            return Err(PolicyError::SaleTerms { line, token: sale.token, price: sale.price }.into());
        }
        let mut steps = Vec::new();
        let mut value = sale.price;
        if !token.is_native() {
            steps.extend(token.approve(chain, self.contract.address, sale.price)?);
            value = U256::ZERO;
        }
        let call = LineSale::buyCall { line: line_number(line)?, nonce, token: sale.token, most };
        let receipt = chain.send_value(Some(self.contract.address), abi::encode(&call), value)?;
        steps.push(Step { what: "purchase", id: U256::ZERO, receipt: Some(receipt) });
        steps.push(self.accept(chain, line)?);
        Ok((sale, steps))
    }

    /// Accepts a line that was bought or taken back: it is on offer to the account for good, and nothing about it changes
    /// until then.
    fn accept(self, chain: &mut impl Chain, line: u32) -> Result<Step, ChainError> {
        let nonce = self.models.line(chain, line)?.nonce;
        let receipt = self.models.accept(chain, line, nonce)?;
        Ok(Step { what: "acceptance", id: U256::ZERO, receipt: Some(receipt) })
    }

    /// What an account is owed for lines that were sold, in the token's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn proceeds(self, chain: &mut impl Chain, seller: Address, token: Address) -> Result<U256, ChainError> {
        self.contract.view(chain, "the proceeds", &LineSale::proceedsCall { token, seller })
    }

    /// Pays out what the account is owed. None if that is nothing.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw(
        self,
        chain: &mut impl Chain,
        token: Address,
        to: Address,
    ) -> Result<Option<(U256, Receipt)>, ChainError> {
        if self.proceeds(chain, chain.account(), token)?.is_zero() {
            return Ok(None);
        }
        let receipt = self.contract.send(chain, &LineSale::withdrawCall { token, to })?;
        // More may have been paid since.
        let logs = receipt.logs.iter().filter(|log| log.address == self.contract.address);
        let mut events = logs.filter_map(|log| LineSale::ProceedsWithdrawn::decode_log(log).ok());
        let amount = events.next().ok_or(StateError::Unexpected { what: "the withdrawal of proceeds" })?.amount;
        Ok(Some((amount, receipt)))
    }
}
