//! What governance may set: fees for publishing, bounds of shares, the treasury, tokens, and who governs.

use alloy_primitives::{Address, U256};

use super::market::Market;
use super::terms::{Bounds, Kind};
use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::VerifierRouter;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError};

/// A contract of a market that has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// `VerifierRouter`: its owner adds routes and freezes them.
    Router,
    /// `ModelRegistry`: its owner sets fees, bounds and the treasury.
    Models,
    /// `InferenceEscrow`: its owner allows tokens.
    Escrow,
    /// `PrepaidEscrow`: its owner allows tokens.
    Prepaid,
}

impl Owned {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Router, Self::Models, Self::Escrow, Self::Prepaid];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Models => "models",
            Self::Escrow => "escrow",
            Self::Prepaid => "prepaid",
        }
    }

    /// The contract's functions for its owner.
    #[must_use]
    pub fn of(self, market: &Market) -> Ownable {
        Ownable(match self {
            Self::Router => market.router().0,
            Self::Models => market.models().0,
            Self::Escrow => market.escrow().contract,
            Self::Prepaid => market.prepaid().0.contract,
        })
    }
}

/// Who owns a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The owner.
    pub owner: Address,
    /// Who may become the owner.
    pub offered_to: Option<Address>,
}

/// What governance has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governance {
    /// For publishing an architecture, a base, an adapter, in OPEN's smallest unit.
    pub fees: [U256; 3],
    /// Of the shares of new versions.
    pub bounds: Bounds,
    /// Who has the fees for publishing.
    pub treasury: Address,
    /// What of them it has not withdrawn, in OPEN's smallest unit.
    pub accrued_fees: U256,
    /// Owners, in the order of [`Owned::ALL`].
    pub ownerships: [Ownership; 4],
    /// May pause routes.
    pub guardian: Address,
    /// Routes that requests to the escrow may name.
    pub routes: usize,
}

/// What router, registry of models and escrow have in common: an owner, who hands the contract on in two steps
/// (`Ownable2Step`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownable(pub Contract);

impl Ownable {
    /// Who owns it.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn ownership(self, chain: &mut impl Chain) -> Result<Ownership, ChainError> {
        // The router's functions for this are those of the others too.
        let owner = self.0.view(chain, "an owner", &VerifierRouter::ownerCall {})?;
        let pending = self.0.view(chain, "an offer", &VerifierRouter::pendingOwnerCall {})?;
        Ok(Ownership { owner, offered_to: (!pending.is_zero()).then_some(pending) })
    }

    /// Offers it to who may then accept it, or withdraws the offer. The account must be the owner. None if it is offered so
    /// already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn offer(self, chain: &mut impl Chain, to: Option<Address>) -> Result<Option<Receipt>, ChainError> {
        if self.ownership(chain)?.offered_to == to {
            return Ok(None);
        }
        self.0.send(chain, &Self::offer_call(to)).map(Some)
    }

    /// Takes it over, if it is offered to the account.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn accept(self, chain: &mut impl Chain) -> Result<Receipt, ChainError> {
        self.0.send(chain, &VerifierRouter::acceptOwnershipCall {})
    }

    fn offer_call(to: Option<Address>) -> VerifierRouter::transferOwnershipCall {
        VerifierRouter::transferOwnershipCall { newOwner: to.unwrap_or_default() }
    }
}

impl Governance {
    /// Reads what governance has set.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn read(chain: &mut impl Chain, market: &Market) -> Result<Self, ChainError> {
        let models = market.models();
        let mut fees = [U256::ZERO; 3];
        for (fee, kind) in fees.iter_mut().zip(Kind::ALL) {
            *fee = models.publishing_fee(chain, kind)?;
        }
        let [router, registry, escrow, prepaid] = Owned::ALL.map(|of| of.of(market));
        Ok(Self {
            fees,
            bounds: models.bounds(chain)?,
            treasury: models.treasury(chain)?,
            accrued_fees: models.accrued_fees(chain)?,
            ownerships: [
                router.ownership(chain)?,
                registry.ownership(chain)?,
                escrow.ownership(chain)?,
                prepaid.ownership(chain)?,
            ],
            guardian: market.router().guardian(chain)?,
            routes: market.escrow().route_ids(chain)?.len(),
        })
    }
}

/// Offers contracts to who may then accept them, or withdraws the offers. The account must own each of them: otherwise
/// nothing is sent. What is offered so already is left as it is.
///
/// # Errors
/// [`ChainError`].
pub fn offer_ownership(
    chain: &mut impl Chain,
    market: &Market,
    contracts: &[Owned],
    to: Option<Address>,
) -> Result<Vec<Step>, ChainError> {
    market.contracts.expect_chain(chain)?;
    for of in contracts {
        chain.call(of.of(market).0.address, abi::encode(&Ownable::offer_call(to)))?;
    }
    let mut steps = Vec::new();
    for &of in contracts {
        let receipt = of.of(market).offer(chain, to)?;
        steps.push(Step { what: of.name(), id: U256::ZERO, receipt });
    }
    Ok(steps)
}

/// Takes over contracts that are offered to the account: unless each of them is, or is its own already, nothing is sent.
///
/// # Errors
/// [`PolicyError::NotOffered`], and others.
pub fn accept_ownership(chain: &mut impl Chain, market: &Market, contracts: &[Owned]) -> Result<Vec<Step>, ChainError> {
    let account = chain.account();
    let mut offered = Vec::new();
    for &of in contracts {
        let Ownership { owner, offered_to } = of.of(market).ownership(chain)?;
        let is_offered = offered_to == Some(account);
        if !is_offered && owner != account {
            return Err(PolicyError::NotOffered { name: of.name(), account }.into());
        }
        offered.push((of, is_offered));
    }
    let mut steps = Vec::new();
    for (of, is_offered) in offered {
        let receipt = if is_offered { Some(of.of(market).accept(chain)?) } else { None };
        steps.push(Step { what: of.name(), id: U256::ZERO, receipt });
    }
    Ok(steps)
}
