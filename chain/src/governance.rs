//! What governance may set: fees for publishing, bounds of shares, the treasury, tokens, and who governs.

use alloy_primitives::{Address, U256};

use crate::abi;
use crate::abi::bindings::{InferenceEscrow, ModelRegistry, VerifierRouter};
use crate::chain::{Chain, ChainError, Receipt};
use crate::contracts::{Step, ask};
use crate::market::Market;
use crate::terms::{Bounds, Kind};

/// A contract that has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// `VerifierRouter`: its owner adds circuits and freezes them.
    Router,
    /// `ModelRegistry`: its owner sets fees, bounds and the treasury.
    Models,
    /// `InferenceEscrow`: its owner allows tokens.
    Escrow,
}

impl Owned {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Router, Self::Models, Self::Escrow];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Models => "models",
            Self::Escrow => "escrow",
        }
    }

    fn address(self, market: &Market) -> Address {
        match self {
            Self::Router => market.contracts.router,
            Self::Models => market.models,
            Self::Escrow => market.escrow,
        }
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
    /// Bounds on the shares of new versions.
    pub bounds: Bounds,
    /// The account that may withdraw the fees for publishing.
    pub treasury: Address,
    /// What of them it has not withdrawn, in OPEN's smallest unit.
    pub accrued_fees: U256,
    /// Owners, in the order of [`Owned::ALL`].
    pub ownerships: [Ownership; 3],
    /// May freeze circuits besides the router's owner.
    pub guardian: Address,
    /// Circuits that may settle requests which are locked now.
    pub circuits: u16,
}

impl Market {
    /// What governance has set.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn governance(&self, chain: &mut impl Chain) -> Result<Governance, ChainError> {
        let mut fees = [U256::ZERO; 3];
        for (fee, kind) in fees.iter_mut().zip(Kind::ALL) {
            *fee = self.publishing_fee(chain, kind)?;
        }
        let [router, models, escrow] = Owned::ALL;
        Ok(Governance {
            fees,
            bounds: self.bounds(chain)?,
            treasury: ask(chain, self.models, "the treasury", &ModelRegistry::treasuryCall {})?,
            accrued_fees: ask(chain, self.models, "the fees", &ModelRegistry::accruedFeesCall {})?,
            ownerships: [
                self.ownership(chain, router)?,
                self.ownership(chain, models)?,
                self.ownership(chain, escrow)?,
            ],
            guardian: ask(chain, self.contracts.router, "the guardian", &VerifierRouter::guardianCall {})?,
            circuits: self.circuit_count(chain)?,
        })
    }

    /// What publishing costs, in OPEN's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn publishing_fee(&self, chain: &mut impl Chain, kind: Kind) -> Result<U256, ChainError> {
        ask(chain, self.models, "a fee", &ModelRegistry::deploymentFeesCall { kind: kind.number() })
    }

    /// Sets what publishing costs. The account must own the registry of models. None if it costs that already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_publishing_fee(
        &self,
        chain: &mut impl Chain,
        kind: Kind,
        fee: U256,
    ) -> Result<Option<Receipt>, ChainError> {
        if self.publishing_fee(chain, kind)? == fee {
            return Ok(None);
        }
        let call = ModelRegistry::setDeploymentFeeCall { kind: kind.number(), fee };
        self.send_to(chain, self.models, &call).map(Some)
    }

    /// What is demanded of the shares of new versions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn bounds(&self, chain: &mut impl Chain) -> Result<Bounds, ChainError> {
        let found = ask(chain, self.models, "the bounds", &ModelRegistry::boundsCall {})?;
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
    pub fn set_bounds(&self, chain: &mut impl Chain, bounds: Bounds) -> Result<Option<Receipt>, ChainError> {
        if self.bounds(chain)? == bounds {
            return Ok(None);
        }
        let call = ModelRegistry::setBoundsCall { bounds_: bounds.into() };
        self.send_to(chain, self.models, &call).map(Some)
    }

    /// Names another treasury, at once: it has the fees that are not withdrawn yet. The account must own the registry of
    /// models. None if it is the treasury already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_treasury(&self, chain: &mut impl Chain, treasury: Address) -> Result<Option<Receipt>, ChainError> {
        if ask(chain, self.models, "the treasury", &ModelRegistry::treasuryCall {})? == treasury {
            return Ok(None);
        }
        self.send_to(chain, self.models, &ModelRegistry::setTreasuryCall { treasury_: treasury }).map(Some)
    }

    /// Pays the fees for publishing out. The account must be the treasury. None if there are none.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw_fees(&self, chain: &mut impl Chain, to: Address) -> Result<Option<(U256, Receipt)>, ChainError> {
        let accrued = ask(chain, self.models, "the fees", &ModelRegistry::accruedFeesCall {})?;
        if accrued.is_zero() {
            return Ok(None);
        }
        let receipt = self.send_to(chain, self.models, &ModelRegistry::withdrawFeesCall { to })?;
        // More may have accrued since.
        let logs = receipt.logs.iter().filter(|log| log.address == self.models);
        let mut events =
            logs.filter_map(|log| <ModelRegistry::FeesWithdrawn as alloy_sol_types::SolEvent>::decode_log(log).ok());
        let amount = events.next().ok_or(ChainError::Unexpected { what: "the withdrawal of fees" })?.amount;
        Ok(Some((amount, receipt)))
    }

    /// Whether new requests may use a token.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn token_allowed(&self, chain: &mut impl Chain, token: Address) -> Result<bool, ChainError> {
        ask(chain, self.escrow, "a token", &InferenceEscrow::isTokenAllowedCall { token })
    }

    /// Allows a token for new requests, or disallows it. The account must own the escrow. None if it is so already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn allow_token(
        &self,
        chain: &mut impl Chain,
        token: Address,
        allowed: bool,
    ) -> Result<Option<Receipt>, ChainError> {
        if self.token_allowed(chain, token)? == allowed {
            return Ok(None);
        }
        self.send_to(chain, self.escrow, &InferenceEscrow::setTokenCall { token, allowed }).map(Some)
    }

    /// Who owns a contract.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn ownership(&self, chain: &mut impl Chain, of: Owned) -> Result<Ownership, ChainError> {
        // The three have the same functions for this.
        let at = of.address(self);
        let owner = ask(chain, at, "an owner", &VerifierRouter::ownerCall {})?;
        let pending = ask(chain, at, "an offer", &VerifierRouter::pendingOwnerCall {})?;
        Ok(Ownership { owner, offered_to: (!pending.is_zero()).then_some(pending) })
    }

    /// Offers contracts to who may then accept them, or withdraws the offers. The account must own each of them: otherwise
    /// nothing is sent. What is offered so already is left as it is.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn offer_ownership(
        &self,
        chain: &mut impl Chain,
        contracts: &[Owned],
        to: Option<Address>,
    ) -> Result<Vec<Step>, ChainError> {
        self.contracts.expect_chain(chain)?;
        let data = abi::encode(&VerifierRouter::transferOwnershipCall { newOwner: to.unwrap_or_default() });
        for of in contracts {
            chain.call(of.address(self), data.clone())?;
        }
        let mut steps = Vec::new();
        for &of in contracts {
            let done = self.ownership(chain, of)?.offered_to == to;
            let receipt = if done { None } else { Some(chain.send(Some(of.address(self)), data.clone())?) };
            steps.push(Step { what: of.name(), id: U256::ZERO, receipt });
        }
        Ok(steps)
    }

    /// Takes over contracts that are offered to the account: unless each of them is, or is its own already, nothing is sent.
    ///
    /// # Errors
    /// [`ChainError::NotOffered`], and others.
    pub fn accept_ownership(&self, chain: &mut impl Chain, contracts: &[Owned]) -> Result<Vec<Step>, ChainError> {
        let account = chain.account();
        let mut offered = Vec::new();
        for &of in contracts {
            let Ownership { owner, offered_to } = self.ownership(chain, of)?;
            let is_offered = offered_to == Some(account);
            if !is_offered && owner != account {
                return Err(ChainError::NotOffered { name: of.name(), account });
            }
            offered.push((of, is_offered));
        }
        let mut steps = Vec::new();
        for (of, is_offered) in offered {
            let receipt = if is_offered {
                Some(self.send_to(chain, of.address(self), &VerifierRouter::acceptOwnershipCall {})?)
            } else {
                None
            };
            steps.push(Step { what: of.name(), id: U256::ZERO, receipt });
        }
        Ok(steps)
    }
}
