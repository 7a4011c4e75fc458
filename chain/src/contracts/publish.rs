//! Publishing models: what is said of a version, and the steps that the registry of models demands. The registry and OPEN
//! have a part in it.

use alloy_primitives::utils::format_ether;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments};

use super::Step;
use super::models::Models;
use super::registry::{expect_adapter_fits, expect_base_fits};
use super::terms::{Kind, Shares, line_number};
use super::token::Token;
use crate::abi;
use crate::abi::bindings::{CommitmentRegistry, ModelRegistry};
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};
use crate::keys::{KeyError, PrivateKey};

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
    /// Hides the id in the reservation: nobody else can guess it. The same as before, if a publication is continued that was
    /// reserved earlier.
    pub salt: B256,
    /// The largest publishing fee to pay, in OPEN's smallest unit.
    pub max_fee: U256,
}

/// The salt of an account's reservation of an id: nobody else can guess it, and the account finds it again without a note,
/// since its signatures are deterministic (RFC 6979). The signature itself is shown to nobody.
///
/// # Errors
/// [`KeyError`].
pub fn reservation_salt(key: &PrivateKey, models: Models, id: U256) -> Result<B256, KeyError> {
    let of = (String::from("lorica reservation 1"), U256::from(models.0.chain_id), models.address(), id);
    Ok(keccak256(key.sign_digest(keccak256(of.abi_encode()))?.as_bytes()))
}

/// How far a publication has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// What was done, or had been done before.
    pub steps: Vec<Step>,
    /// The second (Unix) from which the rest can be published, by the same call with the same salt; none if nothing is left.
    pub from: Option<u64>,
}

/// A record that is to be published.
struct Item<'a> {
    kind: Kind,
    id: U256,
    parent: Option<U256>,
    publication: Publication,
    call: Box<dyn FnOnce(ModelRegistry::Terms, ModelRegistry::Permit) -> Bytes + 'a>,
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
    /// Publishes a base with its architecture, each unless it is published: reserves both, approves the fees, publishes. The
    /// account owns the new versions.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn base(
        self,
        chain: &mut impl Chain,
        base: &BaseCommitments,
        terms: &Publication,
    ) -> Result<Progress, ChainError> {
        expect_base_fits(base)?;
        let register = abi::register_architecture(base);
        let architecture = abi::word(&base.architecture_digest());
        let first = Item {
            kind: Kind::Architecture,
            id: architecture,
            parent: None,
            publication: Publication { line: 0, ..terms.clone() },
            call: Box::new(|terms, permit| {
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
            }),
        };
        let register = abi::register_base(base);
        let second = Item {
            kind: Kind::Base,
            id: abi::word(&base.id()),
            parent: Some(architecture),
            publication: terms.clone(),
            call: Box::new(move |terms, permit| {
                abi::encode(&ModelRegistry::publishBaseCall {
                    architecture,
                    tiles: points(register.tiles),
                    scalesWord: register.scalesWord,
                    terms,
                    permit,
                })
            }),
        };
        self.publish(chain, vec![first, second])
    }

    /// Publishes an adapter of a published base that names no datanet, unless it is published.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn adapter(
        self,
        chain: &mut impl Chain,
        adapter: &AdapterCommitments,
        terms: &Publication,
    ) -> Result<Progress, ChainError> {
        if adapter.version.is_some() {
            return Err(PolicyError::IndexNeeded { adapter: abi::word(&adapter.id()) }.into());
        }
        self.adapter_by(chain, adapter, U256::ZERO, terms)
    }

    /// Publishes an adapter that names a datanet version, with its index, by which its contributors are paid from then on;
    /// unless it is published. The index is registered, and proven to be in range.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn attributed_adapter(
        self,
        chain: &mut impl Chain,
        adapter: &AdapterCommitments,
        index: &IndexCommitments,
        terms: &Publication,
    ) -> Result<Progress, ChainError> {
        let (own, of) = (adapter.id(), index.adapter);
        if own != of || adapter.version != Some(index.version) {
            return Err(PolicyError::IndexOfOther { adapter: abi::word(&own), of: abi::word(&of) }.into());
        }
        self.adapter_by(chain, adapter, abi::word(&index.id()), terms)
    }

    /// The index is zero for an adapter without one.
    fn adapter_by(
        self,
        chain: &mut impl Chain,
        adapter: &AdapterCommitments,
        index: U256,
        terms: &Publication,
    ) -> Result<Progress, ChainError> {
        expect_adapter_fits(adapter)?;
        let register = abi::register_adapter(adapter);
        let item = Item {
            kind: Kind::Adapter,
            id: abi::word(&adapter.id()),
            parent: Some(register.base),
            publication: terms.clone(),
            call: Box::new(|terms, permit| {
                abi::encode(&ModelRegistry::publishAdapterCall {
                    base: register.base,
                    index,
                    tiles: points(register.tiles),
                    terms,
                    permit,
                })
            }),
        };
        self.publish(chain, vec![item])
    }

    /// Publishes what is not published yet, each after what it stands on. All is reserved before anything is awaited.
    fn publish(self, chain: &mut impl Chain, items: Vec<Item<'_>>) -> Result<Progress, ChainError> {
        self.models.0.expect_chain(chain)?;
        let mut steps = Vec::new();
        let mut due: Vec<(Item<'_>, U256)> = Vec::new();
        // A reservation and an approval are paid for before the registry says what is wrong.
        for item in items {
            if self.is_own(chain, &item)? {
                steps.push(Step { what: item.kind.name(), id: item.id, receipt: None });
                continue;
            }
            let parent = item.parent.filter(|parent| due.iter().all(|(before, _)| before.id != *parent));
            let fee = self.expect_publishable(chain, &item, parent)?;
            due.push((item, fee));
        }
        let Some((last, _)) = due.last() else { return Ok(Progress { steps, from: None }) };
        let cost = due.iter().fold(U256::ZERO, |sum, (_, fee)| sum.saturating_add(*fee));
        let has = self.open.balance(chain, chain.account())?;
        if cost > has {
            let [cost, has] = [cost, has].map(format_ether);
            return Err(cannot(last.id, format!("it costs {cost} OPEN, and the account has {has}")).into());
        }
        let age = self.models.reservation_seconds(chain)?;
        let mut from = 0;
        for (item, _) in &due {
            let (reserved, receipt) = self.reserve(chain, item)?;
            if receipt.is_some() {
                steps.push(Step { what: "reservation", id: item.id, receipt });
            }
            from = from.max(reserved.saturating_add(age));
        }
        if !chain.await_second(from)? {
            return Ok(Progress { steps, from: Some(from) });
        }
        for (item, fee) in due {
            steps.extend(self.open.approve(chain, self.models.address(), fee)?);
            steps.push(self.send(chain, item)?);
        }
        Ok(Progress { steps, from: None })
    }

    /// Reserves a record, unless the account has: the second in which it was.
    fn reserve(self, chain: &mut impl Chain, item: &Item<'_>) -> Result<(u64, Option<Receipt>), ChainError> {
        let commitment = keccak256((item.id, chain.account(), item.publication.salt).abi_encode());
        if let Some(second) = self.models.reserved_at(chain, commitment)? {
            return Ok((second, None));
        }
        let receipt = self.models.reserve(chain, commitment)?;
        let second = self.models.reserved_at(chain, commitment)?;
        Ok((second.ok_or(StateError::Unexpected { what: "the reservation" })?, Some(receipt)))
    }

    fn send(self, chain: &mut impl Chain, item: Item<'_>) -> Result<Step, ChainError> {
        let Item { kind, id, publication, call, .. } = item;
        let Shares { prover, adapter_owner, base_owner, contributors } = publication.shares;
        let terms = ModelRegistry::Terms {
            line: line_number(publication.line)?,
            pot: self.pot_for(chain, publication.line, publication.pot)?,
            split: ModelRegistry::Split { prover, adapterOwner: adapter_owner, baseOwner: base_owner, contributors },
            maxFee: publication.max_fee,
            uri: publication.uri,
            licence: publication.licence,
            salt: publication.salt,
        };
        let permit = ModelRegistry::Permit { deadline: U256::ZERO, v: 0, r: B256::ZERO, s: B256::ZERO };
        let receipt = chain.send(Some(self.models.address()), call(terms, permit))?;
        if self.models.line_of(chain, id)?.is_none() {
            return Err(StateError::Unexpected { what: "the published id" }.into());
        }
        Ok(Step { what: kind.name(), id, receipt: Some(receipt) })
    }

    /// Whether an id is published and serves the account: an architecture serves everybody, other versions who owns them.
    fn is_own(self, chain: &mut impl Chain, item: &Item<'_>) -> Result<bool, ChainError> {
        let id = item.id;
        let version = match self.models.version(chain, id) {
            Err(ChainError::State(StateError::NotPublished { .. })) => return Ok(false),
            found => found?,
        };
        let number = version.line;
        let owner = self.models.line(chain, number)?.owner;
        if version.is_retired(chain.timestamp()?) {
            return Err(cannot(id, format!("it is published in line {number} and retired")).into());
        }
        if item.kind != Kind::Architecture && owner != chain.account() {
            return Err(cannot(id, format!("it is published already, in line {number} of {owner}")).into());
        }
        Ok(true)
    }

    /// That the registry will take it, as far as it can be known before; what it costs.
    /// The parent is none if there is none, or if it is published in the same run.
    fn expect_publishable(
        self,
        chain: &mut impl Chain,
        item: &Item<'_>,
        parent: Option<U256>,
    ) -> Result<U256, ChainError> {
        let Item { kind, id, publication, .. } = item;
        let (kind, id) = (*kind, *id);
        let mut asked = None;
        if let Some(parent) = parent {
            let version = self.models.version(chain, parent)?;
            if version.is_retired(chain.timestamp()?) {
                return Err(cannot(id, format!("its {} {parent:#066x} is retired", version.kind.name())).into());
            }
            asked = (kind == Kind::Adapter).then_some(version.shares.base_owner);
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
            publication.shares.check(bounds, asked).map_err(|reason| cannot(id, reason))?;
        }
        let fee = self.models.publishing_fee(chain, kind)?;
        if fee > publication.max_fee {
            return Err(PolicyError::PublishingFee { fee, max_fee: publication.max_fee }.into());
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
