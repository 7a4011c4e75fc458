//! One transaction from its signature to its confirmation, in one call that blocks: for programs that do one thing.
//!
//! A transaction is done when its block has the wanted number of confirmations and is still the chain's. Until then, as
//! the node's answers have it:
//! * in no block and unknown to the node (dropped, or its block was reorganised away): the same signed bytes are sent
//!   again;
//! * in no block for a while: a version with the same nonce and at least twice the fees is sent beside it. Either may be
//!   mined, so all of them are awaited;
//! * its nonce is used, as deep as confirmations reach, and by none of the versions: another transaction took its place,
//!   [`TransactionError::Replaced`].

use std::time::{Duration, Instant};

use alloy_primitives::B256;

use super::node::Node;
use super::nonces::{Nonces, Reservation};
use super::plan::{Call, Limits, Plan, Version};
use super::sending::{Outcome, Reception, broadcast, explain, knows, look, pending_nonce, usual_fees};
use super::settings::Settings;
use crate::chain::Receipt;
use crate::error::{ChainError, NodeError, TransactionError};
use crate::keys::PrivateKey;

/// Longest pause between two looks.
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// How long a nonce must have been another's: nodes behind one address may differ by a block.
const REPLACED_TIME: Duration = Duration::from_secs(3);

/// An account that sends by a node.
pub(super) struct Sender<'a> {
    pub node: &'a Node,
    pub key: &'a PrivateKey,
    pub nonces: &'a Nonces,
    pub settings: &'a Settings,
    pub confirmations: u64,
}

/// A transaction on its way.
struct InFlight {
    /// Oldest first, never empty.
    versions: Vec<Version>,
    _reservation: Reservation,
}

impl InFlight {
    fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// The version that a caller is told.
    fn hash(&self) -> B256 {
        self.newest().map_or(B256::ZERO, Version::hash)
    }
}

fn not_taken(reason: String) -> ChainError {
    TransactionError::NotTaken { reason }.into()
}

impl Sender<'_> {
    fn limits(&self) -> Limits {
        Limits { max_gas_cost: self.settings.max_gas_cost }
    }

    /// Sends a transaction and awaits its confirmation.
    ///
    /// # Errors
    /// [`ChainError`]. After [`TransactionError::Unanswered`] and [`TransactionError::Pending`] it may still be mined.
    pub(super) fn send(&self, call: Call) -> Result<Receipt, ChainError> {
        let mut flight = self.broadcast_first(call)?;
        let (receipt, succeeded) = self.confirm(&mut flight)?;
        let mined = flight.versions.iter().find(|version| Some(version.hash()) == receipt.hash);
        match mined {
            Some(version) if !succeeded => Err(explain(self.node, version, &receipt).into()),
            _ => Ok(receipt),
        }
    }

    fn broadcast(&self, version: &Version) -> Result<Reception, ChainError> {
        let unanswered = |source| TransactionError::Unanswered { hash: version.hash(), source: Box::new(source) };
        Ok(broadcast(self.node, version).map_err(unanswered)?)
    }

    /// Signs for the next nonce, once: a node that says no has the signed bytes nevertheless, and with a second signature for
    /// another nonce it could have both mined.
    fn broadcast_first(&self, call: Call) -> Result<InFlight, ChainError> {
        let fees = usual_fees(self.node)?;
        let lock = self.nonces.lock()?;
        let reservation = self.nonces.reserve(&lock, pending_nonce(self.node, self.key.account())?)?;
        // Nothing is signed that could cost more than the account's owner allows, whatever fees the node names.
        let version = Plan::new(call, fees, reservation.nonce, self.limits())?.sign(self.key)?;
        let hash = version.hash();
        match self.broadcast(&version)? {
            Reception::Taken => {}
            // A first attempt may have reached the node although its answer was lost.
            Reception::Used(_) if knows(self.node, hash)? => {}
            Reception::Used(reason) | Reception::Occupied(reason) => {
                return Err(not_taken(format!("{reason}; see whether {hash} is mined before you send it again")));
            }
            Reception::Refused(reason) => return Err(not_taken(reason)),
        }
        Ok(InFlight { versions: vec![version], _reservation: reservation })
    }

    /// Sends the newest version that the node takes.
    fn send_again(&self, flight: &InFlight) -> Result<(), ChainError> {
        for version in flight.versions.iter().rev() {
            match self.broadcast(version)? {
                // The newest may cost more than the account has.
                Reception::Refused(_) => {}
                Reception::Taken | Reception::Used(_) | Reception::Occupied(_) => break,
            }
        }
        Ok(())
    }

    /// Sends a version that pays twice as much, or what is usual now if that is more.
    fn replace(&self, flight: &mut InFlight) -> Result<(), ChainError> {
        let usual = usual_fees(self.node)?;
        let dearer = flight.newest().map(|version| version.plan().bump(usual, self.limits()));
        // Too dear: what is on its way is still awaited.
        let Some(Ok(plan)) = dearer else { return Ok(()) };
        let version = plan.sign(self.key)?;
        // Awaited from now on whatever is answered: an answer may be lost.
        let answer = self.broadcast(&version);
        flight.versions.push(version);
        answer.map(drop)
    }

    /// [`look`]; what the node has lost is sent once more.
    fn look(&self, flight: &InFlight) -> Result<Outcome, ChainError> {
        let outcome = look(self.node, &flight.versions, self.confirmations)?;
        if outcome == Outcome::Unknown {
            self.send_again(flight)?;
        }
        Ok(outcome)
    }

    fn confirm(&self, flight: &mut InFlight) -> Result<(Receipt, bool), ChainError> {
        let mut poll = self.settings.poll;
        // Since when nothing has come of it.
        let mut since = Instant::now();
        let mut reached = 0;
        let mut replacements = 0;
        let mut last_version = since;
        let mut replaced_since: Option<Instant> = None;
        loop {
            // A node that is out of reach for a while is no reason to give up a transaction that is on its way.
            let failure = match self.look(flight) {
                Ok(Outcome::Mined { receipt, succeeded, confirmations }) => {
                    replaced_since = None;
                    last_version = Instant::now();
                    if confirmations >= self.confirmations {
                        return Ok((receipt, succeeded));
                    }
                    if confirmations > reached {
                        (reached, since) = (confirmations, Instant::now());
                    }
                    None
                }
                Ok(Outcome::NonceUsed { confirmed: true }) => {
                    let first = *replaced_since.get_or_insert_with(Instant::now);
                    if first.elapsed() > REPLACED_TIME {
                        return Err(self.replaced(flight).into());
                    }
                    None
                }
                Ok(Outcome::Pending { .. } | Outcome::Unknown | Outcome::NonceUsed { confirmed: false }) => {
                    replaced_since = None;
                    let due = last_version.elapsed() > self.settings.replace_after;
                    if due && replacements < self.settings.replacements {
                        replacements += 1;
                        last_version = Instant::now();
                        self.replace(flight).err()
                    } else {
                        None
                    }
                }
                Err(error) => Some(error),
            };
            // What makes no sense will not make more of it later.
            let senseless = matches!(failure, Some(ChainError::Node(NodeError::Malformed { .. })));
            if senseless || since.elapsed() > self.settings.inclusion_time {
                return Err(self.given_up(flight.hash(), failure, reached));
            }
            std::thread::sleep(poll);
            poll = poll.saturating_mul(3) / 2;
            poll = poll.min(LONGEST_POLL);
        }
    }

    fn replaced(&self, flight: &InFlight) -> TransactionError {
        let nonce = flight.newest().map_or(0, |version| version.plan().nonce());
        TransactionError::Replaced { hash: flight.hash(), account: self.key.account(), nonce }
    }

    /// Why a transaction is not awaited any longer.
    fn given_up(&self, hash: B256, failure: Option<ChainError>, reached: u64) -> ChainError {
        match failure {
            Some(unanswered @ ChainError::Transaction(TransactionError::Unanswered { .. })) => unanswered,
            Some(error) => TransactionError::Unanswered { hash, source: Box::new(error) }.into(),
            None => TransactionError::Pending {
                hash,
                seconds: self.settings.inclusion_time.as_secs(),
                confirmations: reached,
                wanted: self.confirmations,
            }
            .into(),
        }
    }
}
