//! The contributors' part of attributed answers (`AttributionPot`): an escrow's chains of entries, replaying them, and what
//! contributors are owed.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolEvent, SolValue};

use super::Contract;
use super::escrow::Escrow;
use crate::abi::bindings::{AttributionPot, InferenceEscrow};
use crate::chain::{Blocks, Chain, Receipt};
use crate::error::{ChainError, StateError};

/// The contract that holds what contributors are owed; the escrow deployed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pot {
    /// The contract.
    pub contract: Contract,
    /// The escrow, which has the ends of the chains.
    pub escrow: Contract,
}

/// One paid request in an index' chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The chain's head before it.
    pub before: B256,
    /// The request.
    pub request: U256,
    /// What it was paid in; zero for the gas token.
    pub token: Address,
    /// The contributors' part, in the token's smallest unit.
    pub amount: U256,
    /// The proven words.
    pub shares: [U256; 4],
}

impl Entry {
    /// The chain's head after it.
    #[must_use]
    pub fn head(&self) -> B256 {
        keccak256((self.before, self.request, self.token, self.amount, self.shares).abi_encode())
    }
}

/// How far an index' chain is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Everything up to here is.
    pub done: B256,
    /// The end of what is to be distributed next: entries are given from any place up to here.
    pub end: B256,
}

impl Walk {
    /// All is distributed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.done == self.end
    }
}

/// Who claims a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the datanet's contributors.
    pub count: u32,
    /// Root of their tree.
    pub root: B256,
    /// The slot.
    pub slot: U256,
    /// From its leaf to the root.
    pub path: Vec<B256>,
    /// Of the contributor's digest, if that is how the slot is named.
    pub salt: Option<B256>,
}

impl Pot {
    /// The pot of an escrow.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn of(chain: &mut impl Chain, escrow: Escrow) -> Result<Self, ChainError> {
        let what = "the pot of contributors";
        let address = escrow.contract.view(chain, what, &InferenceEscrow::attributionPotCall {})?;
        Ok(Self { contract: Contract { address, ..escrow.contract }, escrow: escrow.contract })
    }

    /// How far an index' chain is distributed.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn walk(self, chain: &mut impl Chain, index: U256) -> Result<Walk, ChainError> {
        let found = self.contract.view(chain, "a chain of entries", &AttributionPot::chainsCall { index })?;
        let end = if found.target.is_zero() {
            self.escrow.view(chain, "the end of a chain", &InferenceEscrow::attributionHeadsCall { index })?
        } else {
            found.cursor
        };
        Ok(Walk { done: found.done, end })
    }

    /// Entries of an index that were written in these blocks, oldest first.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn entries(self, chain: &mut impl Chain, index: U256, blocks: Blocks) -> Result<Vec<Entry>, ChainError> {
        let topics = [Some(InferenceEscrow::Attributed::SIGNATURE_HASH), Some(B256::from(index))];
        let logs = chain.logs(blocks, self.escrow.address, &topics)?;
        logs.iter()
            .map(|located| {
                let event = InferenceEscrow::Attributed::decode_log(&located.log)
                    .map_err(|_| StateError::Unexpected { what: "an entry of contributors" })?;
                let InferenceEscrow::Attributed { index: _, before, requestId, token, amount, shares } = event.data;
                Ok(Entry { before, request: requestId, token, amount, shares })
            })
            .collect()
    }

    /// Credits contributors by entries that end where the walk does. Anyone may.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn distribute(self, chain: &mut impl Chain, index: U256, entries: &[Entry]) -> Result<Receipt, ChainError> {
        let before = entries.first().map(|first| first.before).unwrap_or_default();
        let entries = entries
            .iter()
            .map(|entry| AttributionPot::Entry {
                requestId: entry.request,
                token: entry.token,
                amount: entry.amount,
                shares: entry.shares,
            })
            .collect();
        self.contract.send(chain, &AttributionPot::distributeCall { index, before, entries })
    }

    /// What a slot of these contributors is owed in a token.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn owed(
        self,
        chain: &mut impl Chain,
        contributors: B256,
        slot: U256,
        token: Address,
    ) -> Result<U256, ChainError> {
        self.contract.view(chain, "a contributor's part", &AttributionPot::owedCall { contributors, slot, token })
    }

    /// Pays out what the account's slot is owed.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn claim(
        self,
        chain: &mut impl Chain,
        slot: &Slot,
        token: Address,
        to: Address,
    ) -> Result<Receipt, ChainError> {
        let Slot { count, root, slot, path, salt } = slot.clone();
        match salt {
            None => self.contract.send(chain, &AttributionPot::claimCall { count, root, slot, path, token, to }),
            Some(salt) => {
                self.contract.send(chain, &AttributionPot::claimByHashCall { count, root, slot, path, salt, token, to })
            }
        }
    }

    /// What nobody has a share of, and is not burnt yet.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn burnable(self, chain: &mut impl Chain, token: Address) -> Result<U256, ChainError> {
        self.contract.view(chain, "what is unattributed", &AttributionPot::burnableCall { token })
    }

    /// Burns it. Anyone may.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn burn(self, chain: &mut impl Chain, token: Address) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &AttributionPot::burnCall { token })
    }
}
