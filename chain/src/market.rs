//! Money: the token, the registry of models and the escrow, beside the contracts that check.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use serde_json::{Value, json};

use crate::abi;
use crate::abi::bindings::{InferenceEscrow, ModelRegistry, OpenToken};
use crate::chain::{Chain, ChainError, Receipt};
use crate::contracts::{Contracts, Step, ask, create};
use crate::terms::Bounds;

/// One OPEN in its smallest unit.
pub const OPEN: u64 = 1_000_000_000_000_000_000;

/// Addresses of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// What checks.
    pub contracts: Contracts,
    /// `OpenToken`.
    pub open: Address,
    /// `ModelRegistry`.
    pub models: Address,
    /// `InferenceEscrow`, the consumer that settlements are bound to.
    pub escrow: Address,
}

/// Who has which part at deployment. All can be handed on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Owns router, registry of models and escrow: adds circuits and tokens, sets fees and bounds.
    pub owner: Address,
    /// May stop circuits.
    pub guardian: Address,
    /// Has the fees for publishing.
    pub treasury: Address,
    /// Has the whole supply of OPEN.
    pub holder: Address,
}

/// Prices and bounds at deployment; the owner may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Blocks between reserving and publishing.
    pub reservation_blocks: u64,
    /// Bounds on the shares of new versions.
    pub bounds: Bounds,
    /// For publishing an architecture, a base, an adapter, in OPEN's smallest unit.
    pub fees: [U256; 3],
}

impl Default for Policy {
    fn default() -> Self {
        let open = |n: u64| U256::from(n) * U256::from(OPEN);
        let bounds = Bounds { min_prover: 3_000, min_base_owner: 200, max_contributors: 5_000 };
        Self { reservation_blocks: 1, bounds, fees: [open(100), open(100), open(10)] }
    }
}

impl Market {
    /// Deploys everything. If the account has the supply, the smallest unit of it goes to the escrow for good, so that the
    /// escrow is never empty.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy(chain: &mut impl Chain, roles: Roles, policy: Policy) -> Result<(Self, Vec<Step>), ChainError> {
        let (contracts, mut steps) = Contracts::deploy_for(chain, roles.owner, roles.guardian)?;
        let Roles { owner, treasury, holder, .. } = roles;
        let code = abi::init_code(&OpenToken::BYTECODE, &OpenToken::constructorCall { holder });
        let open = create(chain, &mut steps, "OpenToken", code)?;
        let arguments = ModelRegistry::constructorCall {
            owner_: owner,
            commitments_: contracts.registry,
            open_: open,
            treasury_: treasury,
            reservationBlocks_: policy.reservation_blocks,
            bounds_: policy.bounds.into(),
            fees: policy.fees,
        };
        let models = create(chain, &mut steps, "ModelRegistry", abi::init_code(&ModelRegistry::BYTECODE, &arguments))?;
        let arguments = InferenceEscrow::constructorCall { owner_: owner, router_: contracts.router, models_: models };
        let code = abi::init_code(&InferenceEscrow::BYTECODE, &arguments);
        let escrow = create(chain, &mut steps, "InferenceEscrow", code)?;
        let market = Self { contracts, open, models, escrow };
        if holder == chain.account() {
            // It stays: to lock into an empty balance costs 17,100 gas more.
            let receipt = Some(market.transfer(chain, open, escrow, U256::ONE)?);
            steps.push(Step { what: "first unit of OPEN in the escrow", id: U256::ZERO, receipt });
        }
        Ok((market, steps))
    }

    /// That this is the chain, and that it has code at each address.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn expect_deployed(&self, chain: &mut impl Chain) -> Result<(), ChainError> {
        self.contracts.expect_deployed(chain)?;
        let own = [("OpenToken", self.open), ("ModelRegistry", self.models), ("InferenceEscrow", self.escrow)];
        for (name, at) in own {
            if chain.code(at)?.is_empty() {
                return Err(ChainError::NoContract { name, at });
            }
        }
        Ok(())
    }

    /// Sends a call to a contract of this chain.
    pub(crate) fn send_to(
        &self,
        chain: &mut impl Chain,
        at: Address,
        call: &impl SolCall,
    ) -> Result<Receipt, ChainError> {
        self.contracts.expect_chain(chain)?;
        chain.send(Some(at), abi::encode(call))
    }

    /// Lets a routed circuit settle requests that are locked from now on, unless it may already.
    ///
    /// # Errors
    /// [`ChainError`], [`ChainError::Kind`] for a circuit of a withdrawn kind of output.
    pub fn enable_circuit(&self, chain: &mut impl Chain, circuit: B256) -> Result<Step, ChainError> {
        self.contracts.expect_chain(chain)?;
        self.contracts.expect_circuit_offered(chain, circuit)?;
        let receipt = if self.circuit_ordinal(chain, circuit)? == 0 {
            Some(self.send_to(chain, self.escrow, &InferenceEscrow::enableCircuitCall { circuit })?)
        } else {
            None
        };
        Ok(Step { what: "circuit enabled", id: circuit.into(), receipt })
    }

    /// Whether an id is published, and in which line.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn line_of(&self, chain: &mut impl Chain, id: U256) -> Result<Option<u32>, ChainError> {
        let line = ask(chain, self.models, "a version", &ModelRegistry::modelOfCall { id })?;
        Ok((!line.is_zero()).then(|| line.to::<u32>()))
    }

    /// The addresses as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = self.contracts.to_json();
        if let Some(object) = value.as_object_mut() {
            let own = [("open_token", self.open), ("model_registry", self.models), ("escrow", self.escrow)];
            object.extend(own.map(|(name, address)| (name.to_owned(), json!(address.to_string()))));
        }
        value
    }

    /// Reads what [`to_json`](Self::to_json) wrote; other fields are not looked at.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
        Some(Self {
            contracts: Contracts::from_json(value)?,
            open: address("open_token")?,
            models: address("model_registry")?,
            escrow: address("escrow")?,
        })
    }
}
