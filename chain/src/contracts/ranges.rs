//! Which indexes are proven to be in range (`IndexRanges`): adapters are published with no others.

use alloy_primitives::{Address, B256, U256};
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::IndexSettlement;

use super::{Contract, Step, create};
use crate::abi;
use crate::abi::bindings::IndexRanges;
use crate::chain::{Chain, Receipt};
use crate::error::ChainError;

/// The contract that checks index proofs and keeps what they prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges(pub Contract);

/// A circuit that proves indexes to be in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexCircuit {
    /// First second (Unix) in which it proves anything.
    pub active_from: u64,
    /// It proves nothing any more.
    pub frozen: bool,
}

impl Ranges {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// A circuit; none if it was never added.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn circuit(self, chain: &mut impl Chain, circuit: B256) -> Result<Option<IndexCircuit>, ChainError> {
        let found = self.0.view(chain, "a circuit of index proofs", &IndexRanges::circuitsCall { circuit })?;
        let own = IndexCircuit { active_from: found.activeFrom.to(), frozen: found.frozen };
        Ok((!found.key.is_zero()).then_some(own))
    }

    /// Adds a circuit with its key, unless it is there. The account must own the contract.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_circuit(self, chain: &mut impl Chain, key: &VerifyingKey) -> Result<Vec<Step>, ChainError> {
        self.0.expect_chain(chain)?;
        let circuit = B256::from(key.circuit_id());
        let mut steps = Vec::new();
        let mut receipt = None;
        if self.circuit(chain, circuit)?.is_none() {
            let key = create(chain, &mut steps, "settlement key", abi::data_contract(&key.content())?)?;
            receipt = Some(self.0.send(chain, &IndexRanges::addCircuitCall { circuit, key })?);
        }
        steps.push(Step { what: "circuit of index proofs", id: circuit.into(), receipt });
        Ok(steps)
    }

    /// Ends a circuit for good. The account must own the contract.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn freeze(self, chain: &mut impl Chain, circuit: B256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &IndexRanges::freezeCircuitCall { circuit })
    }

    /// Whether an index is proven to be in range.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn is_ranged(self, chain: &mut impl Chain, index: U256) -> Result<bool, ChainError> {
        self.0.view(chain, "whether an index is in range", &IndexRanges::rangedCall { index })
    }

    /// Brings the proof that an index is in range, unless it is known. Any account may.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn prove(self, chain: &mut impl Chain, settlement: &IndexSettlement) -> Result<Step, ChainError> {
        let call = abi::prove_index(settlement);
        let mut receipt = None;
        if !self.is_ranged(chain, call.index)? {
            receipt = Some(self.0.send(chain, &call)?);
        }
        Ok(Step { what: "index in range", id: call.index, receipt })
    }
}
