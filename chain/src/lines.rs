//! Lines of published models: what is known of them, and what their owners and pots may do (`ModelRegistry`).

use alloy_primitives::{Address, U256};

use crate::abi::bindings::ModelRegistry;
use crate::chain::{Chain, ChainError, Receipt};
use crate::contracts::ask;
use crate::market::Market;
use crate::terms::{Kind, Shares, line_number};

/// A line of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who may publish further versions, retire and hand on, and withdraw the owner's share.
    pub owner: Address,
    /// What its versions are.
    pub kind: Kind,
    /// Who may become the owner.
    pub offered_to: Option<Address>,
    /// Who may withdraw the contributors' share.
    pub pot: Address,
}

/// A version of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its line.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
    /// Whether no request is locked for it any more.
    pub retired: bool,
    /// How its fees are divided; all zero for an architecture.
    pub shares: Shares,
    /// Where its metadata is: its publisher's words.
    pub uri: String,
    /// SPDX expression, or where the licence's text is: its publisher's words.
    pub licence: String,
}

impl Market {
    /// A line by its number.
    ///
    /// # Errors
    /// [`ChainError::NoLine`] if there is none.
    pub fn line(&self, chain: &mut impl Chain, line: u32) -> Result<Line, ChainError> {
        let what = "a line of models";
        let found = ask(chain, self.models, what, &ModelRegistry::modelsCall { model: line_number(line)? })?;
        if found.owner.is_zero() {
            return Err(ChainError::NoLine { line });
        }
        Ok(Line {
            owner: found.owner,
            kind: Kind::from_number(found.kind).ok_or(ChainError::Unexpected { what })?,
            offered_to: (!found.offeredTo.is_zero()).then_some(found.offeredTo),
            pot: found.pot,
        })
    }

    /// A version by its id.
    ///
    /// # Errors
    /// [`ChainError::NotPublished`] if there is none.
    pub fn version(&self, chain: &mut impl Chain, id: U256) -> Result<Version, ChainError> {
        let what = "a version";
        let found = ask(chain, self.models, what, &ModelRegistry::versionsCall { id })?;
        if found.serial == 0 {
            return Err(ChainError::NotPublished { id });
        }
        let said = ask(chain, self.models, what, &ModelRegistry::metadataCall { id })?;
        Ok(Version {
            line: found.model.to::<u32>(),
            kind: Kind::from_number(found.kind).ok_or(ChainError::Unexpected { what })?,
            retired: found.retired,
            shares: Shares {
                prover: found.prover,
                adapter_owner: found.adapterOwner,
                base_owner: found.baseOwner,
                contributors: found.contributors,
            },
            uri: said.uri,
            licence: said.licence,
        })
    }

    /// Retires a version for good: no further request is locked for it, and locked ones are settled as ever. The account must
    /// own the line. None if it is retired already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn retire(&self, chain: &mut impl Chain, id: U256) -> Result<Option<Receipt>, ChainError> {
        if self.version(chain, id)?.retired {
            return Ok(None);
        }
        self.send_to(chain, self.models, &ModelRegistry::retireCall { id }).map(Some)
    }

    /// Offers a line to who may then accept it, or withdraws the offer. What its owner is owed goes with it. The account must
    /// own the line. None if it is offered so already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn offer_line(
        &self,
        chain: &mut impl Chain,
        line: u32,
        to: Option<Address>,
    ) -> Result<Option<Receipt>, ChainError> {
        if self.line(chain, line)?.offered_to == to {
            return Ok(None);
        }
        let call = ModelRegistry::offerModelCall { model: line_number(line)?, to: to.unwrap_or_default() };
        self.send_to(chain, self.models, &call).map(Some)
    }

    /// Takes over a line that is offered to the account.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn accept_line(&self, chain: &mut impl Chain, line: u32) -> Result<Receipt, ChainError> {
        self.line(chain, line)?;
        self.send_to(chain, self.models, &ModelRegistry::acceptModelCall { model: line_number(line)? })
    }

    /// Names another contributors' pot of a line, at once. The account must be the present pot. None if it is the pot
    /// already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_pot(&self, chain: &mut impl Chain, line: u32, pot: Address) -> Result<Option<Receipt>, ChainError> {
        if self.line(chain, line)?.pot == pot {
            return Ok(None);
        }
        self.send_to(chain, self.models, &ModelRegistry::setPotCall { model: line_number(line)?, pot }).map(Some)
    }
}
