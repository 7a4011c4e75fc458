//! Money: the token, the registry of models and the escrow, beside the contracts that check.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use lorica_verifier::key::{AdapterCommitments, BaseCommitments};
use serde_json::{Value, json};

use crate::abi;
use crate::abi::bindings::{InferenceEscrow, ModelRegistry, OpenToken};
use crate::chain::{Chain, ChainError, Receipt};
use crate::contracts::{Contracts, Step, ask, create};
use crate::escrow::line;
use crate::governance::Bounds;
use crate::lines::Kind;

/// One OPEN in its smallest unit.
pub const OPEN: u64 = 1_000_000_000_000_000_000;
/// How long a reservation's age is awaited, in looks.
const RESERVATION_LOOKS: u32 = 240;
/// Between two looks.
const POLL: std::time::Duration = std::time::Duration::from_millis(500);

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

/// Shares of a fee in basis points; they add up to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// To who proves.
    pub prover: u16,
    /// To the owner of the adapter's line.
    pub adapter_owner: u16,
    /// To the owner of the base's line.
    pub base_owner: u16,
    /// To the contributors' pot.
    pub contributors: u16,
}

impl Shares {
    /// Of a fee; rounding leaves the rest to the prover.
    pub const DEFAULT: Self = Self { prover: 5_000, adapter_owner: 2_000, base_owner: 1_000, contributors: 2_000 };
}

/// What is said of a version when it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The line that it continues; zero for a new one.
    pub line: u32,
    /// Who may withdraw the contributors' share.
    pub pot: Address,
    /// How its fees are divided; not looked at for an architecture.
    pub shares: Shares,
    /// Where its metadata is.
    pub uri: String,
    /// SPDX expression.
    pub licence: String,
    /// Hides the id in the reservation: random.
    pub salt: B256,
    /// Most for publishing, in OPEN's smallest unit.
    pub most: U256,
}

/// Prices and bounds at deployment; the owner may change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Blocks between reserving and publishing.
    pub reservation_blocks: u64,
    /// Of the shares of what is published.
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
    /// [`ChainError`].
    pub fn enable_circuit(&self, chain: &mut impl Chain, circuit: B256) -> Result<Step, ChainError> {
        self.contracts.expect_chain(chain)?;
        let ordinal = ask(chain, self.escrow, "a circuit", &InferenceEscrow::circuitsCall { circuit })?;
        let receipt = if ordinal == 0 {
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

    /// Publishes a base with its architecture, each unless it is published: reserves, approves the fee, publishes. The
    /// account owns the new versions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn publish_base(
        &self,
        chain: &mut impl Chain,
        base: &BaseCommitments,
        terms: &Publication,
    ) -> Result<Vec<Step>, ChainError> {
        let register = abi::register_architecture(base);
        let architecture = abi::word(&base.architecture_digest());
        let own = Publication { line: 0, ..terms.clone() };
        let mut steps = self.publish(chain, Kind::Architecture, architecture, &own, |terms, permit| {
            abi::encode(&ModelRegistry::publishArchitectureCall {
                encoding: register.encoding,
                logTile: register.logTile,
                srs: register.srs,
                tauG2: register.tauG2,
                tables: points(register.tables),
                terms: ModelRegistry::Terms {
                    split: ModelRegistry::Split { prover: 0, adapterOwner: 0, baseOwner: 0, contributors: 0 },
                    ..terms
                },
                permit,
            })
        })?;
        let register = abi::register_base(base);
        steps.extend(self.publish(chain, Kind::Base, abi::word(&base.id()), terms, |terms, permit| {
            abi::encode(&ModelRegistry::publishBaseCall {
                architecture,
                tiles: points(register.tiles),
                scalesWord: register.scalesWord,
                terms,
                permit,
            })
        })?);
        Ok(steps)
    }

    /// Publishes an adapter of a published base, unless it is published.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn publish_adapter(
        &self,
        chain: &mut impl Chain,
        adapter: &AdapterCommitments,
        terms: &Publication,
    ) -> Result<Vec<Step>, ChainError> {
        let register = abi::register_adapter(adapter);
        self.publish(chain, Kind::Adapter, abi::word(&adapter.id()), terms, |terms, permit| {
            abi::encode(&ModelRegistry::publishAdapterCall {
                base: register.base,
                tiles: points(register.tiles),
                terms,
                permit,
            })
        })
    }

    fn publish(
        &self,
        chain: &mut impl Chain,
        kind: Kind,
        id: U256,
        publication: &Publication,
        call: impl FnOnce(ModelRegistry::Terms, ModelRegistry::Permit) -> Bytes,
    ) -> Result<Vec<Step>, ChainError> {
        self.contracts.expect_chain(chain)?;
        let what = kind.name();
        if self.line_of(chain, id)?.is_some() {
            return Ok(vec![Step { what, id, receipt: None }]);
        }
        let mut steps = Vec::new();
        let commitment = keccak256((id, chain.account(), publication.salt).abi_encode());
        let reserve = abi::encode(&ModelRegistry::reserveCall { commitment });
        let receipt = chain.send(Some(self.models), reserve)?;
        let reserved = receipt.block;
        steps.push(Step { what: "reservation", id, receipt: Some(receipt) });
        let fee = self.publishing_fee(chain, kind)?;
        if fee > publication.most {
            return Err(ChainError::Unexpected { what: "the fee for publishing, which is above the allowed one," });
        }
        steps.extend(self.approve(chain, self.open, self.models, fee)?);
        let age = ask(chain, self.models, "the age of reservations", &ModelRegistry::reservationBlocksCall {})?;
        await_block(chain, reserved.saturating_add(age))?;
        let Shares { prover, adapter_owner, base_owner, contributors } = publication.shares;
        let terms = ModelRegistry::Terms {
            model: line(publication.line)?,
            pot: publication.pot,
            split: ModelRegistry::Split { prover, adapterOwner: adapter_owner, baseOwner: base_owner, contributors },
            uri: publication.uri.clone(),
            licence: publication.licence.clone(),
            salt: publication.salt,
        };
        let permit = ModelRegistry::Permit { deadline: U256::ZERO, v: 0, r: B256::ZERO, s: B256::ZERO };
        let receipt = chain.send(Some(self.models), call(terms, permit))?;
        if self.line_of(chain, id)?.is_none() {
            return Err(ChainError::Unexpected { what: "the published id" });
        }
        steps.push(Step { what, id, receipt: Some(receipt) });
        Ok(steps)
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

fn points(points: Vec<crate::abi::bindings::CommitmentRegistry::Point>) -> Vec<ModelRegistry::Point> {
    points.into_iter().map(|point| ModelRegistry::Point { x: point.x, y: point.y }).collect()
}

/// Waits until the next block is this one or a later one.
fn await_block(chain: &mut impl Chain, earliest: u64) -> Result<(), ChainError> {
    for _ in 0..RESERVATION_LOOKS {
        if chain.block_number()?.saturating_add(1) >= earliest {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(ChainError::Unexpected { what: "the pace of the chain's blocks" })
}
