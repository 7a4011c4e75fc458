//! The registry of models (`ModelRegistry`): lines of published versions, what their owners and pots may do, and what its
//! own owner and the treasury may.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent;

use super::Contract;
use super::terms::{Bounds, Kind, Shares, line_number};
use crate::abi::bindings::ModelRegistry;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// A line of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who may publish further versions, retire and hand on, and withdraw the owner's share.
    pub owner: Address,
    /// What its versions are.
    pub kind: Kind,
    /// Rises with each act of the owner: who accepts the line names it.
    pub nonce: u64,
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
    /// The second (Unix) from which no request is locked for it any more, if that was announced.
    pub retired_from: Option<u64>,
    /// How its fees are divided; all zero for an architecture.
    pub shares: Shares,
    /// Where its metadata is: its publisher's words.
    pub uri: String,
    /// SPDX expression, or where the licence's text is: its publisher's words.
    pub licence: String,
}

impl Version {
    /// Whether no request is locked for it any more, at this second (Unix).
    #[must_use]
    pub fn is_retired(&self, now: u64) -> bool {
        self.retired_from.is_some_and(|from| from <= now)
    }
}

/// The registry of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models(pub Contract);

impl Models {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// The line of a published version by the version's id, none if it is not published.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn line_of(self, chain: &mut impl Chain, id: U256) -> Result<Option<u32>, ChainError> {
        let line = self.0.view(chain, "a version", &ModelRegistry::lineOfCall { id })?;
        Ok((!line.is_zero()).then(|| line.to::<u32>()))
    }

    /// Id of the index that an adapter was published with: its contributors are paid by it for good. None if it has none.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn index_of(self, chain: &mut impl Chain, adapter: U256) -> Result<Option<U256>, ChainError> {
        let index = self.0.view(chain, "an adapter's index", &ModelRegistry::indexOfCall { adapter })?;
        Ok((!index.is_zero()).then_some(index))
    }

    /// A line by its number.
    ///
    /// # Errors
    /// [`StateError::NoLine`] if there is none.
    pub fn line(self, chain: &mut impl Chain, line: u32) -> Result<Line, ChainError> {
        let what = "a line of models";
        let found = self.0.view(chain, what, &ModelRegistry::linesCall { line: line_number(line)? })?;
        if found.owner.is_zero() {
            return Err(StateError::NoLine { line }.into());
        }
        Ok(Line {
            owner: found.owner,
            kind: Kind::from_number(found.kind).ok_or(StateError::Unexpected { what })?,
            nonce: found.nonce,
            offered_to: (!found.offeredTo.is_zero()).then_some(found.offeredTo),
            pot: found.pot,
        })
    }

    /// A version by its id.
    ///
    /// # Errors
    /// [`StateError::NotPublished`] if there is none.
    pub fn version(self, chain: &mut impl Chain, id: U256) -> Result<Version, ChainError> {
        let what = "a version";
        let found = self.0.view(chain, what, &ModelRegistry::versionsCall { id })?;
        if found.serial == 0 {
            return Err(StateError::NotPublished { id }.into());
        }
        let said = self.0.view(chain, what, &ModelRegistry::metadataCall { id })?;
        Ok(Version {
            line: found.line.to::<u32>(),
            kind: Kind::from_number(found.kind).ok_or(StateError::Unexpected { what })?,
            retired_from: Some(found.retiredFrom.to::<u64>()).filter(|from| *from != 0),
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

    /// Retires a version for good: from the second that is returned no further request is locked for it, and locked ones are
    /// settled as ever. An adapter is retired at once, a base after [`base_notice`](Self::base_notice). The account must own
    /// the line. No receipt if it was announced before.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn retire(self, chain: &mut impl Chain, id: U256) -> Result<(u64, Option<Receipt>), ChainError> {
        if let Some(from) = self.version(chain, id)?.retired_from {
            return Ok((from, None));
        }
        let receipt = self.0.send(chain, &ModelRegistry::retireCall { id })?;
        let from = self.version(chain, id)?.retired_from.ok_or(StateError::Unexpected { what: "a retired version" })?;
        Ok((from, Some(receipt)))
    }

    /// Seconds between the announcement that a base is retired and its effect.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn base_notice(self, chain: &mut impl Chain) -> Result<u64, ChainError> {
        self.0.view(chain, "the notice of bases", &ModelRegistry::BASE_NOTICECall {})
    }

    /// Offers a line to who may then accept it, or withdraws the offer. What its owner is owed goes with it. The account must
    /// own the line. None if it is offered so already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn offer(self, chain: &mut impl Chain, line: u32, to: Option<Address>) -> Result<Option<Receipt>, ChainError> {
        if self.line(chain, line)?.offered_to == to {
            return Ok(None);
        }
        let call = ModelRegistry::offerLineCall { line: line_number(line)?, to: to.unwrap_or_default() };
        self.0.send(chain, &call).map(Some)
    }

    /// Takes over a line that is offered to the account, if it is still the one with this nonce.
    ///
    /// # Errors
    /// [`PolicyError::LineChanged`] before anything is sent, and others.
    pub fn accept(self, chain: &mut impl Chain, line: u32, nonce: u64) -> Result<Receipt, ChainError> {
        self.expect_nonce(chain, line, nonce)?;
        self.0.send(chain, &ModelRegistry::acceptLineCall { line: line_number(line)?, nonce })
    }

    /// That the line has not changed since somebody saw this nonce.
    pub(super) fn expect_nonce(self, chain: &mut impl Chain, line: u32, expected: u64) -> Result<(), ChainError> {
        let got = self.line(chain, line)?.nonce;
        if got == expected { Ok(()) } else { Err(PolicyError::LineChanged { line, expected, got }.into()) }
    }

    /// Names another contributors' pot of a line, at once. The account must be the present pot. None if it is the pot
    /// already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_pot(self, chain: &mut impl Chain, line: u32, pot: Address) -> Result<Option<Receipt>, ChainError> {
        if self.line(chain, line)?.pot == pot {
            return Ok(None);
        }
        self.0.send(chain, &ModelRegistry::setPotCall { line: line_number(line)?, pot }).map(Some)
    }

    /// Seconds between a reservation and the publication of what it reserves.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn reservation_seconds(self, chain: &mut impl Chain) -> Result<u64, ChainError> {
        self.0.view(chain, "the age of reservations", &ModelRegistry::reservationSecondsCall {})
    }

    /// The second (Unix) in which a commitment was reserved, if it was.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn reserved_at(self, chain: &mut impl Chain, commitment: B256) -> Result<Option<u64>, ChainError> {
        let what = "a reservation";
        let second = self.0.view(chain, what, &ModelRegistry::reservationsCall { commitment })?;
        let second = u64::try_from(second).map_err(|_| StateError::Unexpected { what })?;
        Ok((second != 0).then_some(second))
    }

    /// Reserves a publication by its commitment, `keccak256(id, publisher, salt)`.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn reserve(self, chain: &mut impl Chain, commitment: B256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &ModelRegistry::reserveCall { commitment })
    }

    /// What publishing costs, in OPEN's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn publishing_fee(self, chain: &mut impl Chain, kind: Kind) -> Result<U256, ChainError> {
        self.0.view(chain, "a fee", &ModelRegistry::deploymentFeesCall { kind: kind.number() })
    }

    /// Sets what publishing costs. The account must own the registry of models. None if it costs that already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_publishing_fee(
        self,
        chain: &mut impl Chain,
        kind: Kind,
        fee: U256,
    ) -> Result<Option<Receipt>, ChainError> {
        if self.publishing_fee(chain, kind)? == fee {
            return Ok(None);
        }
        let call = ModelRegistry::setDeploymentFeeCall { kind: kind.number(), fee };
        self.0.send(chain, &call).map(Some)
    }

    /// What is demanded of the shares of new versions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn bounds(self, chain: &mut impl Chain) -> Result<Bounds, ChainError> {
        let found = self.0.view(chain, "the bounds", &ModelRegistry::boundsCall {})?;
        Ok(Bounds {
            min_prover: found.minProver,
            min_base_owner: found.minBaseOwner,
            max_contributors: found.maxContributors,
        })
    }

    /// Sets the bounds of what is published from now on. The account must own the registry of models. None if they hold
    /// already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_bounds(self, chain: &mut impl Chain, bounds: Bounds) -> Result<Option<Receipt>, ChainError> {
        if self.bounds(chain)? == bounds {
            return Ok(None);
        }
        let call = ModelRegistry::setBoundsCall { bounds_: bounds.into() };
        self.0.send(chain, &call).map(Some)
    }

    /// Who has the fees for publishing.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn treasury(self, chain: &mut impl Chain) -> Result<Address, ChainError> {
        self.0.view(chain, "the treasury", &ModelRegistry::treasuryCall {})
    }

    /// Fees for publishing that the treasury has not withdrawn, in OPEN's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn accrued_fees(self, chain: &mut impl Chain) -> Result<U256, ChainError> {
        self.0.view(chain, "the fees", &ModelRegistry::accruedFeesCall {})
    }

    /// Names another treasury, at once: it has the fees that are not withdrawn yet. The account must own the registry of
    /// models. None if it is the treasury already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_treasury(self, chain: &mut impl Chain, treasury: Address) -> Result<Option<Receipt>, ChainError> {
        if self.treasury(chain)? == treasury {
            return Ok(None);
        }
        self.0.send(chain, &ModelRegistry::setTreasuryCall { treasury_: treasury }).map(Some)
    }

    /// Pays the fees for publishing out. The account must be the treasury. None if there are none.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw_fees(self, chain: &mut impl Chain, to: Address) -> Result<Option<(U256, Receipt)>, ChainError> {
        if self.accrued_fees(chain)?.is_zero() {
            return Ok(None);
        }
        let receipt = self.0.send(chain, &ModelRegistry::withdrawFeesCall { to })?;
        // More may have accrued since.
        let logs = receipt.logs.iter().filter(|log| log.address == self.address());
        let mut events = logs.filter_map(|log| ModelRegistry::FeesWithdrawn::decode_log(log).ok());
        let amount = events.next().ok_or(StateError::Unexpected { what: "the withdrawal of fees" })?.amount;
        Ok(Some((amount, receipt)))
    }
}
