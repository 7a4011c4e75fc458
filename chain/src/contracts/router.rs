//! The router (`VerifierRouter`), which consumers call: a route from each circuit to its verifier and key.

use std::ops::Range;

use alloy_primitives::{Address, B256, U256};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;

use super::{Contract, Step, create};
use crate::abi;
use crate::abi::bindings::VerifierRouter;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// Most gas that a route gives to a check: the largest batch needs less than 2 million, the largest base 6.6 million more.
pub const CHECK_GAS: u64 = 12_000_000;

/// Place of the kind of output in a key's content (`SettlementKey.sol`).
const KEY_OUTPUT_KIND: Range<usize> = 0x1c0..0x1e0;
/// Place of the word that says whether the circuit attributes: reserved, and zero.
const KEY_ATTRIBUTION: Range<usize> = 0x1e0..0x200;

/// Where a circuit's settlements are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The verifier.
    pub verifier: Address,
    /// Data contract of the key.
    pub key: Address,
    /// Most gas of a check.
    pub gas_cap: u64,
    /// Whether it has ended: a frozen circuit settles nothing any more.
    pub frozen: bool,
}

/// The router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router(pub Contract);

/// That a circuit's key is for a kind of output that is offered.
fn expect_offered(circuit: B256, content: &[u8]) -> Result<(), ChainError> {
    let word = content.get(KEY_OUTPUT_KIND).map(U256::from_be_slice);
    let number = word.and_then(|word| u8::try_from(word).ok());
    let number = number.ok_or(StateError::Unexpected { what: "the kind of output of a settlement key" })?;
    if content.get(KEY_ATTRIBUTION).is_none_or(|word| word.iter().any(|byte| *byte != 0)) {
        return Err(StateError::Unexpected { what: "that a settlement key's circuit attributes" }.into());
    }
    match OutputKind::from_number(number) {
        Ok(_) => Ok(()),
        Err(source) => Err(PolicyError::OutputKind { what: "circuit", id: circuit, source }.into()),
    }
}

impl Router {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// The route of a circuit, none if there is none.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn route(self, chain: &mut impl Chain, circuit: B256) -> Result<Option<Route>, ChainError> {
        let found = self.0.view(chain, "a route", &VerifierRouter::routesCall { circuit })?;
        let VerifierRouter::routesReturn { verifier, gasCap: gas_cap, frozen, key, .. } = found;
        Ok((!verifier.is_zero()).then_some(Route { verifier, key, gas_cap, frozen }))
    }

    /// Who may freeze circuits besides the owner.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn guardian(self, chain: &mut impl Chain) -> Result<Address, ChainError> {
        self.0.view(chain, "the guardian", &VerifierRouter::guardianCall {})
    }

    /// That a circuit is for a kind of output that is offered: contracts of an earlier version take withdrawn ones. Of a
    /// circuit without a route there is nothing to see; the contracts refuse it.
    ///
    /// # Errors
    /// [`PolicyError::OutputKind`] says what is wrong with the circuit.
    pub fn expect_circuit_offered(self, chain: &mut impl Chain, circuit: B256) -> Result<(), ChainError> {
        let Some(route) = self.route(chain, circuit)? else { return Ok(()) };
        let code = chain.code(route.key)?;
        // The content follows the STOP.
        expect_offered(circuit, code.get(1..).unwrap_or_default())
    }

    /// Routes a circuit to a verifier: stores its key and adds the route, unless there is one. The account must own the
    /// router. A check has `gas_cap` gas at most, [`CHECK_GAS`] as a rule.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_circuit(
        self,
        chain: &mut impl Chain,
        verifier: Address,
        key: &VerifyingKey,
        gas_cap: u64,
    ) -> Result<Vec<Step>, ChainError> {
        self.add_key(chain, verifier, &key.content(), gas_cap)
    }

    /// [`add_circuit`](Self::add_circuit) by the content of its key.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_key(
        self,
        chain: &mut impl Chain,
        verifier: Address,
        content: &[u8],
        gas_cap: u64,
    ) -> Result<Vec<Step>, ChainError> {
        self.0.expect_chain(chain)?;
        let circuit = abi::circuit_id(content);
        expect_offered(circuit, content)?;
        let mut steps = Vec::new();
        if self.route(chain, circuit)?.is_some() {
            steps.push(Step { what: "route", id: circuit.into(), receipt: None });
            return Ok(steps);
        }
        let key = create(chain, &mut steps, "settlement key", abi::data_contract(content)?)?;
        let receipt = self.0.send(chain, &VerifierRouter::addCall { circuit, verifier, key, gasCap: gas_cap })?;
        steps.push(Step { what: "route", id: circuit.into(), receipt: Some(receipt) });
        Ok(steps)
    }

    /// Freezes a circuit for good. The account must be guardian or owner.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn freeze(self, chain: &mut impl Chain, circuit: B256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &VerifierRouter::freezeCall { circuit })
    }

    /// Checks a settlement in a transaction of its consumer, which must be the account.
    ///
    /// # Soundness
    /// That this succeeds says that the circuit of the settlement, on registered commitments, accepts. The caller vouches
    /// that circuit, base and adapters are those that it means.
    ///
    /// # Errors
    /// [`ChainError::Refused`] if the contracts refuse; what was made for another chain or consumer, or by a withdrawn
    /// circuit, is refused here.
    pub fn check(self, chain: &mut impl Chain, settlement: &Settlement) -> Result<Receipt, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        let (bound, got) = (Address::from(settlement.binding.consumer), chain.account());
        if bound != got {
            return Err(PolicyError::ForeignConsumer { bound, got }.into());
        }
        self.expect_circuit_offered(chain, settlement.circuit.into())?;
        self.0.send(chain, &abi::check(settlement)?)
    }

    /// Checks a settlement for its consumer without a transaction, whoever the account is; tells the gas that one would
    /// use.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for the consumer.
    pub fn simulate_check(self, chain: &mut impl Chain, settlement: &Settlement) -> Result<u64, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        self.expect_circuit_offered(chain, settlement.circuit.into())?;
        let data = abi::encode(&abi::check_for(settlement)?);
        chain.call(self.address(), data.clone())?;
        chain.estimate(self.address(), data)
    }

    fn expect_bound_here(self, chain: &impl Chain, settlement: &Settlement) -> Result<(), PolicyError> {
        self.0.expect_chain(chain)?;
        let (expected, got) = (settlement.binding.chain_id, self.0.chain_id);
        if expected == got { Ok(()) } else { Err(PolicyError::ForeignChain { expected, got }) }
    }
}
