//! The registry of commitments (`CommitmentRegistry`): architectures, bases, adapters, versions of datanets and indexes under
//! their ids.

use alloy_primitives::{Address, Bytes, U256};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments};
use lorica_verifier::protocol::record::MAX_RECORD_POINTS;

use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::CommitmentRegistry;
use crate::chain::Chain;
pub use crate::datanet_record::{DatanetRecord, contributors_digest};
use crate::error::{ChainError, PolicyError, StateError};

/// The registry of commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registry(pub Contract);

/// That a base and its tables are not too long for the chain: said before anything is sent.
pub(super) fn expect_base_fits(base: &BaseCommitments) -> Result<(), PolicyError> {
    expect_fits("architecture", base.tables.len())?;
    expect_fits("base", base.tiles.len())
}

/// That an adapter is not too long for the chain.
pub(super) fn expect_adapter_fits(adapter: &AdapterCommitments) -> Result<(), PolicyError> {
    expect_fits("adapter", adapter.tiles.len())
}

fn expect_fits(what: &'static str, got: usize) -> Result<(), PolicyError> {
    let limit = MAX_RECORD_POINTS;
    if got > limit { Err(PolicyError::RecordTooLong { what, limit, got }) } else { Ok(()) }
}

impl Registry {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// Registers a base with its architecture, each unless it is registered.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn register_base(self, chain: &mut impl Chain, base: &BaseCommitments) -> Result<[Step; 2], ChainError> {
        self.0.expect_chain(chain)?;
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
    pub fn register_adapter(self, chain: &mut impl Chain, adapter: &AdapterCommitments) -> Result<Step, ChainError> {
        self.0.expect_chain(chain)?;
        expect_adapter_fits(adapter)?;
        let id = abi::word(&adapter.id());
        self.register(
            chain,
            ("adapter", id),
            abi::encode(&CommitmentRegistry::adaptersCall { id }),
            abi::encode(&abi::register_adapter(adapter)),
        )
    }

    /// Registers a version of a datanet, unless it is registered.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn register_datanet(self, chain: &mut impl Chain, datanet: &DatanetRecord) -> Result<Step, ChainError> {
        self.0.expect_chain(chain)?;
        let id = abi::word(&datanet.id());
        self.register(
            chain,
            ("datanet", id),
            abi::encode(&CommitmentRegistry::datanetsCall { id }),
            abi::encode(&abi::register_datanet(datanet)),
        )
    }

    /// Registers an index of a registered adapter, whose datanet version is registered, unless it is registered.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn register_index(self, chain: &mut impl Chain, index: &IndexCommitments) -> Result<Step, ChainError> {
        self.0.expect_chain(chain)?;
        expect_fits("index", index.tiles.len())?;
        let id = abi::word(&index.id());
        self.register(
            chain,
            ("index", id),
            abi::encode(&CommitmentRegistry::indexesCall { id }),
            abi::encode(&abi::register_index(index)),
        )
    }

    /// Sends a registration if the getter of its kind knows no record, and sees that it does then.
    fn register(
        self,
        chain: &mut impl Chain,
        (what, id): (&'static str, U256),
        getter: Bytes,
        registration: Bytes,
    ) -> Result<Step, ChainError> {
        let registered = |chain: &mut _| -> Result<bool, ChainError> {
            let output = Chain::call(chain, self.address(), getter.clone())?;
            // The record's address is the first word.
            Ok(output.get(..32).is_some_and(|record| record.iter().any(|byte| *byte != 0)))
        };
        if registered(chain)? {
            return Ok(Step { what, id, receipt: None });
        }
        let receipt = chain.send(Some(self.address()), registration)?;
        if !registered(chain)? {
            return Err(StateError::Unexpected { what: "the registered id" }.into());
        }
        Ok(Step { what, id, receipt: Some(receipt) })
    }
}
