//! The contracts that check settlements: their addresses, deployment, and how they are found again.

use alloy_primitives::{Address, B256};
use lorica_settlement::key::VerifyingKey;
use serde_json::{Value, json};

use super::registry::Registry;
use super::router::Router;
use super::{Contract, Step, create};
use crate::abi;
use crate::abi::bindings::LoricaVerifier;
use crate::chain::Chain;
use crate::error::{ChainError, PolicyError};

/// Addresses of the contracts that check, on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckContracts {
    /// The chain's id.
    pub chain_id: u64,
    /// `Halo2Verifier`.
    pub halo2_verifier: Address,
    /// `CommitmentRegistry`.
    pub registry: Address,
    /// `LoricaVerifier`.
    pub verifier: Address,
    /// `VerifierRouter`, which consumers call.
    pub router: Address,
}

impl CheckContracts {
    /// Deploys all contracts, without OPEN and so without bounties. The account owns the router; the guardian may pause routes
    /// and nothing else.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy(chain: &mut impl Chain, guardian: Address) -> Result<(Self, Vec<Step>), ChainError> {
        let owner = chain.account();
        Self::deploy_for(chain, owner, guardian, Address::ZERO)
    }

    /// [`deploy`](Self::deploy) with another owner of the router, which pays bounties in the token `open`.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy_for(
        chain: &mut impl Chain,
        owner: Address,
        guardian: Address,
        open: Address,
    ) -> Result<(Self, Vec<Step>), ChainError> {
        let mut steps = Vec::new();
        let halo2_verifier = create(chain, &mut steps, "Halo2Verifier", abi::deploy_halo2_verifier())?;
        let registry = create(chain, &mut steps, "CommitmentRegistry", abi::deploy_registry())?;
        let code = abi::deploy_verifier(registry, halo2_verifier);
        let verifier = create(chain, &mut steps, "LoricaVerifier", code)?;
        let router = create(chain, &mut steps, "VerifierRouter", abi::deploy_router(owner, guardian, open))?;
        Ok((Self { chain_id: chain.id(), halo2_verifier, registry, verifier, router }, steps))
    }

    /// Finds the contracts from a router and a circuit that it routes.
    ///
    /// # Errors
    /// [`StateError::NoContract`](crate::error::StateError::NoContract) if nothing is there,
    /// [`StateError::NoRoute`](crate::error::StateError::NoRoute) if the router has no such route,
    /// [`PolicyError::OutputKind`] if the circuit's kind of output is withdrawn.
    pub fn find(chain: &mut impl Chain, router: Address, circuit: B256) -> Result<Self, ChainError> {
        let chain_id = chain.id();
        let at = |address| Contract { chain_id, address };
        at(router).expect_code(chain, "VerifierRouter")?;
        let route = Router(at(router)).serving_route(chain, circuit)?;
        let verifier = at(route.verifier);
        let registry = verifier.view(chain, "the verifier's registry", &LoricaVerifier::registryCall {})?;
        let halo2_verifier =
            verifier.view(chain, "the verifier's halo2 verifier", &LoricaVerifier::halo2VerifierCall {})?;
        let found = Self { chain_id, halo2_verifier, registry, verifier: route.verifier, router };
        found.expect_deployed(chain)?;
        found.router().expect_route_offered(chain, &route)?;
        Ok(found)
    }

    /// That this is the chain, and that it has code at each address.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn expect_deployed(&self, chain: &mut impl Chain) -> Result<(), ChainError> {
        self.expect_chain(chain)?;
        for (name, at) in [
            ("Halo2Verifier", self.halo2_verifier),
            ("CommitmentRegistry", self.registry),
            ("LoricaVerifier", self.verifier),
            ("VerifierRouter", self.router),
        ] {
            self.contract(at).expect_code(chain, name)?;
        }
        Ok(())
    }

    /// That this is the chain.
    pub(super) fn expect_chain(&self, chain: &impl Chain) -> Result<(), PolicyError> {
        self.router().0.expect_chain(chain)
    }

    /// A contract of the chain by its address.
    pub(super) fn contract(&self, address: Address) -> Contract {
        Contract { chain_id: self.chain_id, address }
    }

    /// The registry of commitments.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry(self.contract(self.registry))
    }

    /// The router.
    #[must_use]
    pub fn router(&self) -> Router {
        Router(self.contract(self.router))
    }

    /// Routes a circuit to the verifier, as [`Router::add_circuit`].
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_circuit(
        &self,
        chain: &mut impl Chain,
        key: &VerifyingKey,
        gas_cap: u32,
    ) -> Result<Vec<Step>, ChainError> {
        self.router().add_circuit(chain, self.verifier, key, gas_cap)
    }

    /// [`add_circuit`](Self::add_circuit) by the content of its key.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_key(&self, chain: &mut impl Chain, content: &[u8], gas_cap: u32) -> Result<Vec<Step>, ChainError> {
        self.router().add_key(chain, self.verifier, content, gas_cap)
    }

    /// The addresses as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self { chain_id, halo2_verifier, registry, verifier, router } = self;
        let text = Address::to_string;
        json!({
            "chain_id": chain_id,
            "halo2_verifier": text(halo2_verifier),
            "registry": text(registry),
            "verifier": text(verifier),
            "router": text(router),
        })
    }

    /// Reads what [`to_json`](Self::to_json) wrote; other fields are not looked at.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
        Some(Self {
            chain_id: value.get("chain_id")?.as_u64()?,
            halo2_verifier: address("halo2_verifier")?,
            registry: address("registry")?,
            verifier: address("verifier")?,
            router: address("router")?,
        })
    }
}
