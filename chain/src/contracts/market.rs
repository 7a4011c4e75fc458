//! A market: the token OPEN, the registry of models and the escrow, beside the contracts that check. Their addresses, and
//! their deployment.

use alloy_primitives::{Address, U256};
use serde_json::{Value, json};

use super::check::CheckContracts;
use super::escrow::{Escrow, Funding};
use super::models::Models;
use super::prepaid::Prepaid;
use super::publish::Publisher;
use super::registry::Registry;
use super::router::Router;
use super::terms::Bounds;
use super::token::{OPEN, Token};
use super::{Step, create};
use crate::abi;
use crate::abi::bindings::{InferenceEscrow, ModelRegistry, OpenToken, PrepaidEscrow};
use crate::chain::Chain;
use crate::error::ChainError;

/// Addresses of everything, on one chain. A contract's functions are those of its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// The contracts that check.
    pub contracts: CheckContracts,
    /// `OpenToken`.
    pub open: Address,
    /// `ModelRegistry`.
    pub models: Address,
    /// `InferenceEscrow`, the consumer that settlements of locked requests are bound to.
    pub escrow: Address,
    /// `PrepaidEscrow`, the consumer that settlements of prepaid requests are bound to.
    pub prepaid: Address,
}

/// Who has which part at deployment. All can be handed on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Owns router, registry of models and escrows: adds routes and tokens, freezes routes, sets fees and bounds.
    pub owner: Address,
    /// May pause routes.
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
        let Roles { owner, guardian, treasury, holder } = roles;
        let mut steps = Vec::new();
        let code = abi::init_code(&OpenToken::BYTECODE, &OpenToken::constructorCall { holder });
        let open = create(chain, &mut steps, "OpenToken", code)?;
        let (contracts, checking) = CheckContracts::deploy_for(chain, owner, guardian, open)?;
        steps.extend(checking);
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
        let arguments = PrepaidEscrow::constructorCall { owner_: owner, router_: contracts.router, models_: models };
        let code = abi::init_code(&PrepaidEscrow::BYTECODE, &arguments);
        let prepaid = create(chain, &mut steps, "PrepaidEscrow", code)?;
        let market = Self { contracts, open, models, escrow, prepaid };
        if holder == chain.account() {
            // It stays: to lock into an empty balance costs 17,100 gas more.
            let receipt = Some(market.open_token().transfer(chain, escrow, U256::ONE)?);
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
        let own = [
            ("OpenToken", self.open),
            ("ModelRegistry", self.models),
            ("InferenceEscrow", self.escrow),
            ("PrepaidEscrow", self.prepaid),
        ];
        for (name, at) in own {
            self.contracts.contract(at).expect_code(chain, name)?;
        }
        Ok(())
    }

    /// The registry of commitments.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.contracts.registry()
    }

    /// The router, which checks settlements.
    #[must_use]
    pub fn router(&self) -> Router {
        self.contracts.router()
    }

    /// The registry of models.
    #[must_use]
    pub fn models(&self) -> Models {
        Models(self.contracts.contract(self.models))
    }

    /// The escrow.
    #[must_use]
    pub fn escrow(&self) -> Escrow {
        Escrow { contract: self.contracts.contract(self.escrow), router: self.router(), funding: Funding::Locked }
    }

    /// The escrow of prepaid requests.
    #[must_use]
    pub fn prepaid(&self) -> Prepaid {
        let contract = self.contracts.contract(self.prepaid);
        Prepaid(Escrow { contract, router: self.router(), funding: Funding::Prepaid })
    }

    /// OPEN.
    #[must_use]
    pub fn open_token(&self) -> Token {
        self.token(self.open)
    }

    /// A token of the chain by its address; [`NATIVE`](super::token::NATIVE) is the gas token.
    #[must_use]
    pub fn token(&self, address: Address) -> Token {
        Token(self.contracts.contract(address))
    }

    /// What publishes models: the registry of models, and OPEN for its fees.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher { models: self.models(), open: self.open_token() }
    }

    /// The addresses as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = self.contracts.to_json();
        if let Some(object) = value.as_object_mut() {
            let own = [
                ("open_token", self.open),
                ("model_registry", self.models),
                ("escrow", self.escrow),
                ("prepaid_escrow", self.prepaid),
            ];
            object.extend(own.map(|(name, address)| (name.to_owned(), json!(address.to_string()))));
        }
        value
    }

    /// Reads what [`to_json`](Self::to_json) wrote; other fields are not looked at.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
        Some(Self {
            contracts: CheckContracts::from_json(value)?,
            open: address("open_token")?,
            models: address("model_registry")?,
            escrow: address("escrow")?,
            prepaid: address("prepaid_escrow")?,
        })
    }
}
