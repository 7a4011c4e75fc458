//! Publishing models: what is said of a version, and the steps that the registry of models demands. The registry and OPEN
//! have a part in it.

use std::time::Duration;

use alloy_primitives::utils::format_ether;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};

use super::Step;
use super::models::Models;
use super::registry::{expect_adapter_fits, expect_base_fits};
use super::terms::{Kind, Shares, line_number};
use super::token::Token;
use crate::abi;
use crate::abi::bindings::{CommitmentRegistry, ModelRegistry};
use crate::chain::Chain;
use crate::error::{ChainError, PolicyError, StateError};

/// How often the latest block is read while a reservation's age is awaited.
const RESERVATION_POLLS: u32 = 240;
/// Between two readings.
const POLL: Duration = Duration::from_millis(500);

/// The terms that a version is published with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The line that it continues; zero for a new one.
    pub line: u32,
    /// Who may withdraw the contributors' share; the line's pot, or the account for a new one, if none.
    pub pot: Option<Address>,
    /// How its fees are divided; not looked at for an architecture.
    pub shares: Shares,
    /// Where its metadata is.
    pub uri: String,
    /// SPDX expression.
    pub licence: String,
    /// Hides the id in the reservation: random.
    pub salt: B256,
    /// The largest publishing fee to pay, in OPEN's smallest unit.
    pub max_fee: U256,
}

/// What publishes models: the account reserves, approves the fee and publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The registry of models.
    pub models: Models,
    /// OPEN, in which publishing is paid for.
    pub open: Token,
}

impl Publisher {
    /// Publishes a base with its architecture, each unless it is published: reserves, approves the fee, publishes. The
    /// account owns the new versions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn base(
        self,
        chain: &mut impl Chain,
        base: &BaseCommitments,
        terms: &Publication,
    ) -> Result<Vec<Step>, ChainError> {
        expect_base_fits(base)?;
        let register = abi::register_architecture(base);
        let architecture = abi::word(&base.architecture_digest());
        let own = Publication { line: 0, ..terms.clone() };
        let mut steps = self.publish(chain, (Kind::Architecture, architecture), None, &own, |terms, permit| {
            abi::encode(&ModelRegistry::publishArchitectureCall {
                family: register.family,
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
        steps.extend(self.publish(
            chain,
            (Kind::Base, abi::word(&base.id())),
            Some(architecture),
            terms,
            |terms, permit| {
                abi::encode(&ModelRegistry::publishBaseCall {
                    architecture,
                    tiles: points(register.tiles),
                    scalesWord: register.scalesWord,
                    terms,
                    permit,
                })
            },
        )?);
        Ok(steps)
    }

    /// Publishes an adapter of a published base, unless it is published.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn adapter(
        self,
        chain: &mut impl Chain,
        adapter: &AdapterCommitments,
        terms: &Publication,
    ) -> Result<Vec<Step>, ChainError> {
        expect_adapter_fits(adapter)?;
        let register = abi::register_adapter(adapter);
        self.publish(chain, (Kind::Adapter, abi::word(&adapter.id())), Some(register.base), terms, |terms, permit| {
            abi::encode(&ModelRegistry::publishAdapterCall {
                base: register.base,
                version: register.version,
                tiles: points(register.tiles),
                terms,
                permit,
            })
        })
    }

    fn publish(
        self,
        chain: &mut impl Chain,
        (kind, id): (Kind, U256),
        parent: Option<U256>,
        publication: &Publication,
        call: impl FnOnce(ModelRegistry::Terms, ModelRegistry::Permit) -> Bytes,
    ) -> Result<Vec<Step>, ChainError> {
        self.models.0.expect_chain(chain)?;
        let what = kind.name();
        if self.is_own(chain, kind, id)? {
            return Ok(vec![Step { what, id, receipt: None }]);
        }
        // A reservation and an approval are paid for before the registry says what is wrong.
        let fee = self.expect_publishable(chain, (kind, id), parent, publication)?;
        let pot = self.pot_for(chain, publication.line, publication.pot)?;
        let mut steps = Vec::new();
        let commitment = keccak256((id, chain.account(), publication.salt).abi_encode());
        let receipt = self.models.reserve(chain, commitment)?;
        let reserved = receipt.block;
        steps.push(Step { what: "reservation", id, receipt: Some(receipt) });
        steps.extend(self.open.approve(chain, self.models.address(), fee)?);
        let age = self.models.reservation_blocks(chain)?;
        await_block(chain, reserved.saturating_add(age))?;
        let Shares { prover, adapter_owner, base_owner, contributors } = publication.shares;
        let terms = ModelRegistry::Terms {
            line: line_number(publication.line)?,
            pot,
            split: ModelRegistry::Split { prover, adapterOwner: adapter_owner, baseOwner: base_owner, contributors },
            maxFee: publication.max_fee,
            uri: publication.uri.clone(),
            licence: publication.licence.clone(),
            salt: publication.salt,
        };
        let permit = ModelRegistry::Permit { deadline: U256::ZERO, v: 0, r: B256::ZERO, s: B256::ZERO };
        let receipt = chain.send(Some(self.models.address()), call(terms, permit))?;
        if self.models.line_of(chain, id)?.is_none() {
            return Err(StateError::Unexpected { what: "the published id" }.into());
        }
        steps.push(Step { what, id, receipt: Some(receipt) });
        Ok(steps)
    }

    /// Whether an id is published and serves the account: an architecture serves everybody, other versions who owns them.
    fn is_own(self, chain: &mut impl Chain, kind: Kind, id: U256) -> Result<bool, ChainError> {
        let version = match self.models.version(chain, id) {
            Err(ChainError::State(StateError::NotPublished { .. })) => return Ok(false),
            found => found?,
        };
        let number = version.line;
        let owner = self.models.line(chain, number)?.owner;
        if version.retired {
            return Err(cannot(id, format!("it is published in line {number} and retired")).into());
        }
        if kind != Kind::Architecture && owner != chain.account() {
            return Err(cannot(id, format!("it is published already, in line {number} of {owner}")).into());
        }
        Ok(true)
    }

    /// That the registry will take it, as far as it can be known before; what it costs.
    fn expect_publishable(
        self,
        chain: &mut impl Chain,
        (kind, id): (Kind, U256),
        parent: Option<U256>,
        publication: &Publication,
    ) -> Result<U256, ChainError> {
        if let Some(parent) = parent {
            let version = self.models.version(chain, parent)?;
            if version.retired {
                return Err(cannot(id, format!("its {} {parent:#066x} is retired", version.kind.name())).into());
            }
        }
        if publication.line != 0 {
            let (number, account) = (publication.line, chain.account());
            let line = self.models.line(chain, number)?;
            if line.owner != account {
                return Err(cannot(id, format!("line {number} is {}'s, not {account}'s", line.owner)).into());
            }
            if line.kind != kind {
                return Err(
                    cannot(id, format!("line {number} is of kind {}, not {}", line.kind.name(), kind.name())).into()
                );
            }
            if let Some(pot) = publication.pot.filter(|pot| *pot != line.pot) {
                return Err(cannot(id, format!("the pot of line {number} is {}, not {pot}", line.pot)).into());
            }
        }
        if kind != Kind::Architecture {
            let bounds = self.models.bounds(chain)?;
            publication.shares.check(bounds).map_err(|reason| cannot(id, reason))?;
        }
        let fee = self.models.publishing_fee(chain, kind)?;
        let has = self.open.balance(chain, chain.account())?;
        if fee > publication.max_fee {
            return Err(PolicyError::PublishingFee { fee, max_fee: publication.max_fee }.into());
        }
        if fee > has {
            let [fee, has] = [fee, has].map(format_ether);
            return Err(cannot(id, format!("it costs {fee} OPEN, and the account has {has}")).into());
        }
        Ok(fee)
    }

    /// The contributors' pot of what is published: a line's own, else the one named, else the account.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn pot_for(self, chain: &mut impl Chain, line: u32, named: Option<Address>) -> Result<Address, ChainError> {
        Ok(if line == 0 { named.unwrap_or(chain.account()) } else { self.models.line(chain, line)?.pot })
    }
}

fn cannot(id: U256, reason: String) -> PolicyError {
    PolicyError::CannotPublish { id, reason }
}

fn points(points: Vec<CommitmentRegistry::Point>) -> Vec<ModelRegistry::Point> {
    points.into_iter().map(|point| ModelRegistry::Point { x: point.x, y: point.y }).collect()
}

/// Waits until the next block is this one or a later one.
fn await_block(chain: &mut impl Chain, earliest: u64) -> Result<(), ChainError> {
    for _ in 0..RESERVATION_POLLS {
        if chain.block_number()?.saturating_add(1) >= earliest {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(StateError::SlowBlocks { block: earliest, seconds: (POLL * RESERVATION_POLLS).as_secs() }.into())
}
