//! What a transaction of an escrow moved, log by log, as books have it; and the calldata of an escrow's calls, for those who plan,
//! sign and broadcast by themselves ([`sending`](crate::rpc::sending)).

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent;

use super::escrow::Escrow;
use super::request::{Payment, Settled};
use crate::abi;
use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::chain::{Blocks, Chain, Receipt};
use crate::error::{ChainError, PolicyError};

/// Money that a transaction moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Movement {
    /// A request was paid.
    Paid(Payment),
    /// An account took what it was owed.
    Withdrawn {
        /// Whose it was.
        account: Address,
        /// The token; zero is the chain's gas token.
        token: Address,
        /// Who has it now.
        to: Address,
        /// In the token's smallest unit.
        amount: U256,
    },
}

/// A movement with the place of its log among the transaction's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place among the transaction's logs: with the transaction it names the movement for good.
    pub log: u64,
    /// What was moved.
    pub movement: Movement,
}

/// The movements of an escrow in a transaction, in the order of their logs.
#[must_use]
pub fn movements(receipt: &Receipt, escrow: Escrow) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (place, log) in (0..).zip(&receipt.logs) {
        // Other contracts may emit events of the same form.
        if log.address != escrow.address() {
            continue;
        }
        let one = Receipt { logs: vec![log.clone()], ..receipt.clone() };
        if let Some(payment) = Settled::read(one, escrow.address()).payments.into_iter().next() {
            entries.push(Entry { log: place, movement: Movement::Paid(payment) });
        } else if let Ok(event) = InferenceEscrow::Withdrawn::decode_log(log) {
            let (account, token, to, amount) = (event.account, event.token, event.to, event.amount);
            entries.push(Entry { log: place, movement: Movement::Withdrawn { account, token, to, amount } });
        }
    }
    entries
}

impl Escrow {
    /// Calldata that accepts a request.
    ///
    /// # Errors
    /// [`PolicyError::OutputKind`] for a request of a withdrawn kind of output.
    pub fn accept_data(self, request: &InferenceRequest) -> Result<Bytes, PolicyError> {
        self.expect_offered(request)?;
        Ok(abi::encode(&InferenceEscrow::acceptCall { request: request.clone() }))
    }

    /// Calldata by which the prover itself refuses a request, with a reason to publish.
    #[must_use]
    pub fn refuse_data(self, request: &InferenceRequest, reason: u8) -> Bytes {
        let request = request.clone();
        abi::encode(&InferenceEscrow::refuseCall { request, reason, expires: 0, signature: Bytes::new() })
    }

    /// Calldata that pays out what the sending account is owed.
    #[must_use]
    pub fn withdraw_data(self, token: Address, to: Address) -> Bytes {
        abi::encode(&InferenceEscrow::withdrawCall { token, to })
    }

    /// The transaction that paid a request, if one did in a block from `from` on.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn payment_of(self, chain: &mut impl Chain, request: B256, from: u64) -> Result<Option<B256>, ChainError> {
        let topics = [Some(InferenceEscrow::RequestSettled::SIGNATURE_HASH), Some(request)];
        let logs = chain.logs(Blocks::From(from), self.address(), &topics)?;
        Ok(logs.into_iter().find_map(|log| log.transaction))
    }
}
