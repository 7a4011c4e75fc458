//! The deployed contracts and what is done with them, on any [`Chain`].

use std::ops::Range;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lorica_circuits::shape::OutputKind;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::protocol::record::MAX_RECORD_POINTS;
use serde_json::{Value, json};

use crate::abi;
use crate::abi::bindings::{CommitmentRegistry, LoricaVerifier, VerifierRouter};
use crate::chain::{Chain, ChainError, Receipt};

/// Most gas that a route gives to a check: the largest batch needs less than 2 million, the largest base 6.6 million more.
pub const CHECK_GAS: u64 = 12_000_000;

/// Place of the kind of output in a key's content (`SettlementKey.sol`).
const KEY_OUTPUT_KIND: Range<usize> = 0x1c0..0x1e0;

/// Addresses of the contracts on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contracts {
    /// The chain.
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

/// One transaction of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it did.
    pub what: &'static str,
    /// Id of a record or circuit; zero for a contract.
    pub id: U256,
    /// The chain's receipt; none if it was not needed, because it had been done before.
    pub receipt: Option<Receipt>,
}

impl Step {
    /// Gas, zero if nothing was sent.
    #[must_use]
    pub fn gas(&self) -> u64 {
        self.receipt.as_ref().map_or(0, |receipt| receipt.gas)
    }
}

/// A call of a view function.
pub(crate) fn ask<C: SolCall>(
    chain: &mut impl Chain,
    at: Address,
    what: &'static str,
    call: &C,
) -> Result<C::Return, ChainError> {
    let output = chain.call(at, abi::encode(call))?;
    C::abi_decode_returns(&output).map_err(|_| ChainError::Unexpected { what })
}

/// That a circuit's key is for a kind of output that is offered.
fn expect_offered(circuit: B256, content: &[u8]) -> Result<(), ChainError> {
    let word = content.get(KEY_OUTPUT_KIND).map(U256::from_be_slice);
    let number = word.and_then(|word| u8::try_from(word).ok());
    let number = number.ok_or(ChainError::Unexpected { what: "the kind of output of a settlement key" })?;
    match OutputKind::from_number(number) {
        Ok(_) => Ok(()),
        Err(source) => Err(ChainError::Kind { what: "circuit", id: circuit, source }),
    }
}

/// That a base and its tables are not too long for the chain: said before anything is sent.
pub(crate) fn expect_base_fits(base: &BaseCommitments) -> Result<(), ChainError> {
    expect_fits("architecture", base.tables.len())?;
    expect_fits("base", base.tiles.len())
}

/// That an adapter is not too long for the chain.
pub(crate) fn expect_adapter_fits(adapter: &AdapterCommitments) -> Result<(), ChainError> {
    expect_fits("adapter", adapter.tiles.len())
}

fn expect_fits(what: &'static str, got: usize) -> Result<(), ChainError> {
    let limit = MAX_RECORD_POINTS;
    if got > limit { Err(ChainError::RecordTooLong { what, limit, got }) } else { Ok(()) }
}

/// Deploys a contract.
pub(crate) fn create(
    chain: &mut impl Chain,
    steps: &mut Vec<Step>,
    what: &'static str,
    code: Bytes,
) -> Result<Address, ChainError> {
    let receipt = chain.send(None, code)?;
    let address = receipt.created.ok_or(ChainError::Unexpected { what })?;
    steps.push(Step { what, id: U256::ZERO, receipt: Some(receipt) });
    Ok(address)
}

impl Contracts {
    /// Deploys all contracts. The account owns the router; the guardian may freeze circuits and nothing else.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy(chain: &mut impl Chain, guardian: Address) -> Result<(Self, Vec<Step>), ChainError> {
        let owner = chain.account();
        Self::deploy_for(chain, owner, guardian)
    }

    /// [`deploy`](Self::deploy) with another owner of the router.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deploy_for(
        chain: &mut impl Chain,
        owner: Address,
        guardian: Address,
    ) -> Result<(Self, Vec<Step>), ChainError> {
        let mut steps = Vec::new();
        let halo2_verifier = create(chain, &mut steps, "Halo2Verifier", abi::deploy_halo2_verifier())?;
        let registry = create(chain, &mut steps, "CommitmentRegistry", abi::deploy_registry())?;
        let code = abi::deploy_verifier(registry, halo2_verifier);
        let verifier = create(chain, &mut steps, "LoricaVerifier", code)?;
        let router = create(chain, &mut steps, "VerifierRouter", abi::deploy_router(owner, guardian))?;
        Ok((Self { chain_id: chain.id(), halo2_verifier, registry, verifier, router }, steps))
    }

    /// Finds the contracts from a router and a circuit that it routes.
    ///
    /// # Errors
    /// [`ChainError::NoContract`] if nothing is there, [`ChainError::Unexpected`] if the router has no such route,
    /// [`ChainError::Kind`] if the circuit's kind of output is withdrawn.
    pub fn find(chain: &mut impl Chain, router: Address, circuit: B256) -> Result<Self, ChainError> {
        if chain.code(router)?.is_empty() {
            return Err(ChainError::NoContract { name: "VerifierRouter", at: router });
        }
        let verifier = ask(chain, router, "a route", &VerifierRouter::routesCall { circuit })?.verifier;
        if verifier.is_zero() {
            return Err(ChainError::Unexpected { what: "the circuit's route" });
        }
        let registry = ask(chain, verifier, "the verifier's registry", &LoricaVerifier::registryCall {})?;
        let halo2_verifier =
            ask(chain, verifier, "the verifier's halo2 verifier", &LoricaVerifier::halo2VerifierCall {})?;
        let found = Self { chain_id: chain.id(), halo2_verifier, registry, verifier, router };
        found.expect_deployed(chain)?;
        found.expect_circuit_offered(chain, circuit)?;
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
            if chain.code(at)?.is_empty() {
                return Err(ChainError::NoContract { name, at });
            }
        }
        Ok(())
    }

    /// That a circuit is for a kind of output that is offered: contracts of an earlier version take withdrawn ones. Of a
    /// circuit without a route there is nothing to see; the contracts refuse it.
    ///
    /// # Errors
    /// [`ChainError::Kind`] says what is wrong with the circuit.
    pub fn expect_circuit_offered(&self, chain: &mut impl Chain, circuit: B256) -> Result<(), ChainError> {
        let Some(route) = self.route(chain, circuit)? else { return Ok(()) };
        let code = chain.code(route.key)?;
        // The content follows the STOP.
        expect_offered(circuit, code.get(1..).unwrap_or_default())
    }

    pub(crate) fn expect_chain(&self, chain: &impl Chain) -> Result<(), ChainError> {
        if chain.id() == self.chain_id {
            Ok(())
        } else {
            Err(ChainError::ForeignChain { expected: self.chain_id, got: chain.id() })
        }
    }

    /// Registers a base with its architecture, each unless it is registered.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn register_base(&self, chain: &mut impl Chain, base: &BaseCommitments) -> Result<[Step; 2], ChainError> {
        self.expect_chain(chain)?;
        expect_base_fits(base)?;
        let architecture = abi::word(&base.architecture_digest());
        let id = abi::word(&base.id());
        Ok([
            self.register(
                chain,
                ("architecture", architecture),
                abi::encode(&CommitmentRegistry::architecturesCall { id: architecture }),
                abi::encode(&abi::register_architecture(base)),
            )?,
            self.register(
                chain,
                ("base", id),
                abi::encode(&CommitmentRegistry::basesCall { id }),
                abi::encode(&abi::register_base(base)),
            )?,
        ])
    }

    /// Registers an adapter of a registered base, unless it is registered.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn register_adapter(&self, chain: &mut impl Chain, adapter: &AdapterCommitments) -> Result<Step, ChainError> {
        self.expect_chain(chain)?;
        expect_adapter_fits(adapter)?;
        let id = abi::word(&adapter.id());
        self.register(
            chain,
            ("adapter", id),
            abi::encode(&CommitmentRegistry::adaptersCall { id }),
            abi::encode(&abi::register_adapter(adapter)),
        )
    }

    /// Sends a registration if the getter of its kind knows no record, and sees that it does then.
    fn register(
        &self,
        chain: &mut impl Chain,
        (what, id): (&'static str, U256),
        getter: Bytes,
        registration: Bytes,
    ) -> Result<Step, ChainError> {
        let registered = |chain: &mut _| -> Result<bool, ChainError> {
            let output = Chain::call(chain, self.registry, getter.clone())?;
            Ok(U256::try_from_be_slice(&output).is_some_and(|record| !record.is_zero()))
        };
        if registered(chain)? {
            return Ok(Step { what, id, receipt: None });
        }
        let receipt = chain.send(Some(self.registry), registration)?;
        if !registered(chain)? {
            return Err(ChainError::Unexpected { what: "the registered id" });
        }
        Ok(Step { what, id, receipt: Some(receipt) })
    }

    /// Routes a circuit to the verifier: stores its key and adds the route, unless there is one. The account must own the
    /// router.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_circuit(
        &self,
        chain: &mut impl Chain,
        key: &VerifyingKey,
        gas_cap: u64,
    ) -> Result<Vec<Step>, ChainError> {
        self.add_key(chain, &key.content(), gas_cap)
    }

    /// [`add_circuit`](Self::add_circuit) by the content of its key.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_key(&self, chain: &mut impl Chain, content: &[u8], gas_cap: u64) -> Result<Vec<Step>, ChainError> {
        self.expect_chain(chain)?;
        let circuit = abi::circuit_id(content);
        expect_offered(circuit, content)?;
        let mut steps = Vec::new();
        if self.route(chain, circuit)?.is_some() {
            steps.push(Step { what: "route", id: circuit.into(), receipt: None });
            return Ok(steps);
        }
        let key = create(chain, &mut steps, "settlement key", abi::data_contract(content)?)?;
        let add = VerifierRouter::addCall { circuit, verifier: self.verifier, key, gasCap: gas_cap };
        let receipt = chain.send(Some(self.router), abi::encode(&add))?;
        steps.push(Step { what: "route", id: circuit.into(), receipt: Some(receipt) });
        Ok(steps)
    }

    /// The route of a circuit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn route(&self, chain: &mut impl Chain, circuit: B256) -> Result<Option<Route>, ChainError> {
        let found = ask(chain, self.router, "a route", &VerifierRouter::routesCall { circuit })?;
        let VerifierRouter::routesReturn { verifier, gasCap: gas_cap, frozen, key, .. } = found;
        Ok((!verifier.is_zero()).then_some(Route { verifier, key, gas_cap, frozen }))
    }

    /// Freezes a circuit for good. The account must be guardian or owner.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn freeze(&self, chain: &mut impl Chain, circuit: B256) -> Result<Receipt, ChainError> {
        self.expect_chain(chain)?;
        chain.send(Some(self.router), abi::encode(&VerifierRouter::freezeCall { circuit }))
    }

    /// Checks a settlement in a transaction of its consumer, which must be the account.
    ///
    /// # Soundness
    /// That this succeeds says that the circuit of the settlement, on registered commitments, accepts. The caller vouches
    /// that circuit, base and adapters are those that it means.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] if the contracts refuse; what was made for another chain or consumer, or by a withdrawn
    /// circuit, is refused here.
    pub fn check(&self, chain: &mut impl Chain, settlement: &Settlement) -> Result<Receipt, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        let (bound, got) = (Address::from(settlement.binding.consumer), chain.account());
        if bound != got {
            return Err(ChainError::ForeignConsumer { bound, got });
        }
        self.expect_circuit_offered(chain, settlement.circuit.into())?;
        chain.send(Some(self.router), abi::encode(&abi::check(settlement)?))
    }

    /// Checks a settlement for its consumer without a transaction; tells the gas that one would use.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn look(&self, chain: &mut impl Chain, settlement: &Settlement) -> Result<u64, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        self.expect_circuit_offered(chain, settlement.circuit.into())?;
        let data = abi::encode(&abi::check_for(settlement)?);
        chain.call(self.router, data.clone())?;
        chain.estimate(self.router, data)
    }

    fn expect_bound_here(&self, chain: &impl Chain, settlement: &Settlement) -> Result<(), ChainError> {
        self.expect_chain(chain)?;
        let expected = settlement.binding.chain_id;
        if expected == self.chain_id { Ok(()) } else { Err(ChainError::ForeignChain { expected, got: self.chain_id }) }
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

/// Where a circuit's settlements are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The verifier.
    pub verifier: Address,
    /// Data contract of the key.
    pub key: Address,
    /// Most gas of a check.
    pub gas_cap: u64,
    /// Whether it has ended.
    pub frozen: bool,
}
