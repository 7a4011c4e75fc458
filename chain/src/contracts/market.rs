//! A market: the token OPEN, the registry of models, the escrow and the sale of lines, beside the contracts that check. Their addresses, and
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
use super::sale::Sale;
use super::terms::Bounds;
use super::token::{OPEN, Token};
use super::{Step, create};
use crate::abi;
use crate::abi::bindings::{InferenceEscrow, LineSale, ModelRegistry, OpenToken, PrepaidEscrow, WrappedOpen};
use crate::chain::Chain;
use crate::error::{ChainError, PolicyError, StateError};

/// Addresses of everything, on one chain. A contract's functions are those of its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// The contracts that check.
    pub contracts: CheckContracts,
    /// `OpenToken`, or `WrappedOpen` where OPEN is the gas token.
    pub open: Address,
    /// `ModelRegistry`.
    pub models: Address,
    /// `InferenceEscrow`, the consumer that settlements of locked requests are bound to.
    pub escrow: Address,
    /// `PrepaidEscrow`, the consumer that settlements of prepaid requests are bound to.
    pub prepaid: Address,
    /// `LineSale`; none if the contracts were deployed without it.
    pub line_sale: Option<Address>,
}

/// Which token OPEN is on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// A token of its own (`OpenToken`), whose whole supply this account has.
    Token {
        /// The account.
        holder: Address,
    },
    /// The chain's gas token, wrapped one to one (`WrappedOpen`).
    Native,
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
    /// What OPEN is, and who has it.
    pub open: OpenKind,
}

impl Roles {
    /// That each part is its own account's: who steals one key has one power, and no account can stop what it added itself.
    ///
    /// # Errors
    /// [`PolicyError::SharedRole`].
    pub fn expect_distinct(&self) -> Result<(), PolicyError> {
        let mut parts = vec![("owner", self.owner), ("guardian", self.guardian), ("treasury", self.treasury)];
        if let OpenKind::Token { holder } = self.open {
            parts.push(("holder", holder));
        }
        while let Some((name, account)) = parts.pop() {
            if let Some((other, _)) = parts.iter().find(|(_, of)| *of == account) {
                return Err(PolicyError::SharedRole { account, parts: [other, name] });
            }
        }
        Ok(())
    }
}

/// Prices and bounds at deployment; the owner may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Seconds between reserving and publishing: longer than anybody can keep a transaction from the chain.
    pub reservation_seconds: u64,
    /// Bounds on the shares of new versions.
    pub bounds: Bounds,
    /// For publishing an architecture, a base, an adapter, in OPEN's smallest unit.
    pub fees: [U256; 3],
}

impl Default for Policy {
    fn default() -> Self {
        let open = |n: u64| U256::from(n) * U256::from(OPEN);
        let bounds = Bounds { min_prover: 3_000, min_base_owner: 200, max_contributors: 5_000 };
        Self { reservation_seconds: 1, bounds, fees: [open(100), open(100), open(10)] }
    }
}

impl Market {
    /// Deploys everything. The smallest unit of OPEN goes to the escrow for good, so that the escrow is never empty, if the
    /// account has the supply, or any gas token where that is OPEN. Who has which part is not looked at:
    /// [`Roles::expect_distinct`] is the caller's to ask.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy(chain: &mut impl Chain, roles: Roles, policy: Policy) -> Result<(Self, Vec<Step>), ChainError> {
        let mut steps = Vec::new();
        let open = match roles.open {
            OpenKind::Token { holder } => {
                let code = abi::init_code(&OpenToken::BYTECODE, &OpenToken::constructorCall { holder });
                create(chain, &mut steps, "OpenToken", code)?
            }
            OpenKind::Native => create(chain, &mut steps, "WrappedOpen", WrappedOpen::BYTECODE.clone())?,
        };
        let Roles { owner, guardian, treasury, .. } = roles;
        let (contracts, checking) = CheckContracts::deploy_for(chain, owner, guardian, open)?;
        steps.extend(checking);
        let arguments = ModelRegistry::constructorCall {
            owner_: owner,
            commitments_: contracts.registry,
            open_: open,
            // No contract here proves that an index is in range, so none is pinned, and no adapter that names a datanet is
            // published.
            indexRanges_: Address::ZERO,
            treasury_: treasury,
            reservationSeconds_: policy.reservation_seconds,
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
        let code = abi::init_code(&LineSale::BYTECODE, &LineSale::constructorCall { models_: models });
        let line_sale = Some(create(chain, &mut steps, "LineSale", code)?);
        let market = Self { contracts, open, models, escrow, prepaid, line_sale };
        // It stays: to lock into an empty balance costs 17,100 gas more.
        let first = match roles.open {
            OpenKind::Token { holder } if holder == chain.account() => {
                Some(market.open_token().transfer(chain, escrow, U256::ONE)?)
            }
            OpenKind::Token { .. } => None,
            OpenKind::Native if chain.balance(chain.account())?.is_zero() => None,
            OpenKind::Native => {
                let call = WrappedOpen::depositForCall { account: escrow };
                Some(chain.send_value(Some(open), abi::encode(&call), U256::ONE)?)
            }
        };
        if first.is_some() {
            steps.push(Step { what: "first unit of OPEN in the escrow", id: U256::ZERO, receipt: first });
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
        for (name, at) in own.into_iter().chain(self.line_sale.map(|at| ("LineSale", at))) {
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

    /// The sale of lines.
    ///
    /// # Errors
    /// [`StateError::NoLineSale`] if the contracts were deployed without it.
    pub fn line_sale(&self) -> Result<Sale, StateError> {
        let contract = self.contracts.contract(self.line_sale.ok_or(StateError::NoLineSale)?);
        Ok(Sale { contract, models: self.models() })
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
            let own = own.into_iter().chain(self.line_sale.map(|at| ("line_sale", at)));
            object.extend(own.map(|(name, address)| (name.to_owned(), json!(address.to_string()))));
        }
        value
    }

    /// Reads what [`to_json`](Self::to_json) wrote; other fields are not looked at.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
        // Files of earlier deployments have none.
        let line_sale = match value.get("line_sale") {
            None => None,
            Some(_) => Some(address("line_sale")?),
        };
        Some(Self {
            contracts: CheckContracts::from_json(value)?,
            open: address("open_token")?,
            models: address("model_registry")?,
            escrow: address("escrow")?,
            prepaid: address("prepaid_escrow")?,
            line_sale,
        })
    }
}
