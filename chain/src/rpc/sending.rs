//! One transaction from its signature to its confirmation.
//!
//! A transaction is done when its block has the wanted number of confirmations and is still the chain's. Until then, as
//! the node's answers have it:
//! * in no block and unknown to the node (dropped, or its block was reorganised away): the same signed bytes are sent
//!   again;
//! * in no block for a while: a version with the same nonce and at least twice the fees is sent beside it. Either may be
//!   mined, so all of them are awaited;
//! * its nonce is used, as deep as confirmations reach, and by none of the versions: another transaction took its place,
//!   [`ChainError::Replaced`].

use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes};
use serde_json::{Value, json};

use super::node::{NO_SUCH_METHOD, Node, NodeError, log, malformed, parse, quantity, small};
use super::nonces::{Nonces, Reservation};
use super::settings::Settings;
use crate::chain::{ChainError, Receipt};
use crate::keys::PrivateKey;

/// Tip if the node does not name one, in wei.
const DEFAULT_TIP: u128 = 1_000_000_000;
/// Longest pause between two looks.
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// How long a nonce must have been another's: nodes behind one address may differ by a block.
const REPLACED_TIME: Duration = Duration::from_secs(3);

/// A transaction with its result.
pub(crate) struct Mined {
    pub receipt: Receipt,
    pub succeeded: bool,
    /// Gas that it had.
    pub limit: u64,
}

/// Signed bytes.
struct Version {
    hash: B256,
    raw: Bytes,
}

/// What a node does with a transaction.
#[derive(Debug)]
enum Reception {
    /// It has it.
    Taken,
    /// Its nonce is in a block already.
    Used(String),
    /// Its nonce is another's that pays as much.
    Occupied(String),
    /// Neither this nor a repetition will be taken.
    Refused(String),
}

impl Reception {
    /// By the words of geth, reth, erigon, nethermind, besu and anvil.
    fn read(error: NodeError) -> Self {
        let words = error.message.to_ascii_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        if says(&["already known", "alreadyknown", "already imported", "known transaction", "already in mempool"]) {
            Self::Taken
        } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
            Self::Used(error.message)
        } else if says(&["replacement transaction underpriced", "replacementnotallowed", "could not replace"]) {
            Self::Occupied(error.message)
        } else {
            Self::Refused(error.message)
        }
    }
}

/// An account that sends by a node.
pub(crate) struct Sender<'a> {
    pub node: &'a Node,
    pub key: &'a PrivateKey,
    pub nonces: &'a Nonces,
    pub settings: &'a Settings,
    pub confirmations: u64,
}

/// A transaction on its way.
struct InFlight {
    transaction: TxEip1559,
    /// Oldest first.
    versions: Vec<Version>,
    _reservation: Reservation,
}

impl InFlight {
    /// The version that a caller is told.
    fn hash(&self) -> B256 {
        self.versions.last().map_or(B256::ZERO, |version| version.hash)
    }
}

/// Where a transaction stands.
enum Standing {
    Mined(Receipt, bool),
    /// In no block; whether its nonce is used by another, as deep as confirmations reach.
    Absent {
        replaced: bool,
    },
}

impl Sender<'_> {
    fn account(&self) -> Address {
        self.key.account()
    }

    /// Most per gas, and tip.
    fn fees(&self) -> Result<(u128, u128), ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.node.request(method, json!(["latest", false]))?;
        let base = quantity(block.get("baseFeePerGas")).ok_or_else(|| malformed(method, "no base fee"))?;
        let method = "eth_maxPriorityFeePerGas";
        let tip = match self.node.ask(method, &json!([]))? {
            Ok(tip) => quantity(Some(&tip)).ok_or_else(|| malformed(method, "not a number"))?,
            Err(error) if error.code == NO_SUCH_METHOD => DEFAULT_TIP,
            Err(error) => return Err(error.into_error(method)),
        };
        Ok((base.saturating_mul(2).saturating_add(tip), tip))
    }

    /// Sends a transaction, whose nonce and fees are set here, and awaits its confirmation.
    ///
    /// # Errors
    /// [`ChainError`]. After [`ChainError::Unanswered`] and [`ChainError::Pending`] it may still be mined.
    pub(crate) fn send(&self, mut transaction: TxEip1559) -> Result<Mined, ChainError> {
        (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas) = self.fees()?;
        let limit = transaction.gas_limit;
        let mut flight = self.broadcast_first(transaction)?;
        let (receipt, succeeded) = self.confirm(&mut flight)?;
        Ok(Mined { receipt, succeeded, limit })
    }

    /// Signs nothing that could cost more than the account's owner allows, whatever fees the node names.
    fn sign(&self, transaction: &TxEip1559) -> Result<Version, ChainError> {
        let cost = transaction.max_fee_per_gas.saturating_mul(transaction.gas_limit.into());
        let most = self.settings.max_gas_cost;
        if cost > most {
            let reason = format!("its gas could cost {cost} wei, more than the {most} that are allowed");
            return Err(ChainError::NotTaken { reason });
        }
        let (hash, raw) = self.key.sign(transaction.clone())?;
        Ok(Version { hash, raw })
    }

    fn broadcast(&self, version: &Version) -> Result<Reception, ChainError> {
        let answer = self.node.ask("eth_sendRawTransaction", &json!([version.raw.to_string()]));
        match answer {
            Ok(Ok(_)) => Ok(Reception::Taken),
            Ok(Err(error)) => Ok(Reception::read(error)),
            Err(source) => Err(ChainError::Unanswered { hash: version.hash, source: Box::new(source) }),
        }
    }

    /// Signs for the next nonce, once: a node that says no has the signed bytes nevertheless, and with a second signature for
    /// another nonce it could have both mined.
    fn broadcast_first(&self, mut transaction: TxEip1559) -> Result<InFlight, ChainError> {
        let lock = self.nonces.lock()?;
        let pending = self.node.number("eth_getTransactionCount", json!([self.account().to_string(), "pending"]))?;
        let reservation = self.nonces.reserve(&lock, pending)?;
        transaction.nonce = reservation.nonce;
        let version = self.sign(&transaction)?;
        let hash = version.hash;
        let taken = |version| InFlight { transaction, versions: vec![version], _reservation: reservation };
        match self.broadcast(&version)? {
            Reception::Taken => Ok(taken(version)),
            // A first attempt may have reached the node although its answer was lost.
            Reception::Used(_) if self.knows(hash)? => Ok(taken(version)),
            Reception::Used(reason) | Reception::Occupied(reason) => {
                let reason = format!("{reason}; see whether {hash} is mined before you send it again");
                Err(ChainError::NotTaken { reason })
            }
            Reception::Refused(reason) => Err(ChainError::NotTaken { reason }),
        }
    }

    fn knows(&self, hash: B256) -> Result<bool, ChainError> {
        Ok(!self.node.request("eth_getTransactionByHash", json!([hash.to_string()]))?.is_null())
    }

    fn receipt(&self, hash: B256) -> Result<Option<(Receipt, bool)>, ChainError> {
        let method = "eth_getTransactionReceipt";
        let receipt = self.node.request(method, json!([hash.to_string()]))?;
        if receipt.is_null() {
            return Ok(None);
        }
        let status = small(receipt.get("status")).ok_or_else(|| malformed(method, "no status"))?;
        let logs = receipt.get("logs").and_then(Value::as_array).ok_or_else(|| malformed(method, "no logs"))?;
        let read = Receipt {
            gas: small(receipt.get("gasUsed")).ok_or_else(|| malformed(method, "no gas"))?,
            created: parse(receipt.get("contractAddress")),
            hash: Some(hash),
            block: small(receipt.get("blockNumber")).ok_or_else(|| malformed(method, "no block"))?,
            block_hash: Some(parse(receipt.get("blockHash")).ok_or_else(|| malformed(method, "no hash of the block"))?),
            logs: logs.iter().map(|entry| log(method, entry)).collect::<Result<_, _>>()?,
        };
        Ok(Some((read, status == 1)))
    }

    fn head(&self) -> Result<u64, ChainError> {
        self.node.number("eth_blockNumber", json!([]))
    }

    /// Whether the chain's block of this number is the receipt's.
    fn is_canonical(&self, receipt: &Receipt) -> Result<bool, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.node.request(method, json!([format!("{:#x}", receipt.block), false]))?;
        Ok(parse::<B256>(block.get("hash")) == receipt.block_hash)
    }

    /// Looks for a version in a block, and sends what the node has lost once more.
    fn look(&self, flight: &InFlight) -> Result<Standing, ChainError> {
        for version in flight.versions.iter().rev() {
            if let Some((receipt, succeeded)) = self.receipt(version.hash)? {
                return Ok(Standing::Mined(receipt, succeeded));
            }
        }
        let count =
            |block: String| self.node.number("eth_getTransactionCount", json!([self.account().to_string(), block]));
        if count("latest".into())? <= flight.transaction.nonce {
            self.send_again(flight)?;
            return Ok(Standing::Absent { replaced: false });
        }
        let deep = self.head()?.saturating_sub(self.confirmations.saturating_sub(1));
        Ok(Standing::Absent { replaced: count(format!("{deep:#x}"))? > flight.transaction.nonce })
    }

    /// Sends the newest version that the node takes, if it has none.
    fn send_again(&self, flight: &InFlight) -> Result<(), ChainError> {
        for version in &flight.versions {
            if self.knows(version.hash)? {
                return Ok(());
            }
        }
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
        let (most, tip) = self.fees()?;
        let mut transaction = flight.transaction.clone();
        transaction.max_fee_per_gas = transaction.max_fee_per_gas.saturating_mul(2).max(most);
        transaction.max_priority_fee_per_gas = transaction.max_priority_fee_per_gas.saturating_mul(2).max(tip);
        // Too dear: what is on its way is still awaited.
        let Ok(version) = self.sign(&transaction) else { return Ok(()) };
        flight.transaction = transaction;
        // Awaited from now on whatever is answered: an answer may be lost.
        let answer = self.broadcast(&version);
        flight.versions.push(version);
        answer.map(drop)
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
                Ok(Standing::Mined(receipt, succeeded)) => {
                    replaced_since = None;
                    last_version = Instant::now();
                    match self.depth(&receipt) {
                        Ok(depth) if depth >= self.confirmations => return Ok((receipt, succeeded)),
                        Ok(depth) => {
                            if depth > reached {
                                (reached, since) = (depth, Instant::now());
                            }
                            None
                        }
                        Err(error) => Some(error),
                    }
                }
                Ok(Standing::Absent { replaced }) => {
                    replaced_since = replaced.then(|| replaced_since.unwrap_or_else(Instant::now));
                    if replaced_since.is_some_and(|since| since.elapsed() > REPLACED_TIME) {
                        let (hash, nonce) = (flight.hash(), flight.transaction.nonce);
                        return Err(ChainError::Replaced { hash, account: self.account(), nonce });
                    }
                    let due = last_version.elapsed() > self.settings.replace_after;
                    if due && replacements < self.settings.replacements && !replaced {
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
            let senseless = matches!(failure, Some(ChainError::Answer { .. }));
            if senseless || since.elapsed() > self.settings.inclusion_time {
                let hash = flight.hash();
                return Err(match failure {
                    Some(unanswered @ ChainError::Unanswered { .. }) => unanswered,
                    Some(error) => ChainError::Unanswered { hash, source: Box::new(error) },
                    None => ChainError::Pending {
                        hash,
                        seconds: self.settings.inclusion_time.as_secs(),
                        confirmations: reached,
                        wanted: self.confirmations,
                    },
                });
            }
            std::thread::sleep(poll);
            poll = poll.saturating_mul(3) / 2;
            poll = poll.min(LONGEST_POLL);
        }
    }

    /// Confirmations of a receipt: its block and those above it; none if its block is not the chain's.
    fn depth(&self, receipt: &Receipt) -> Result<u64, ChainError> {
        let head = self.head()?;
        if self.is_canonical(receipt)? { Ok(head.saturating_add(1).saturating_sub(receipt.block)) } else { Ok(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_words_are_understood() {
        let read = |message: &str| Reception::read(NodeError { code: -32_000, message: message.into(), data: None });
        for words in ["already known", "ALREADY_EXISTS: already known", "AlreadyKnown", "Known transaction"] {
            assert!(matches!(read(words), Reception::Taken), "{words}");
        }
        assert!(matches!(read("transaction already imported"), Reception::Taken));
        for words in ["nonce too low: next nonce 5, tx nonce 4", "Nonce too low", "OldNonce, Current nonce: 2"] {
            assert!(matches!(read(words), Reception::Used(_)), "{words}");
        }
        for words in ["replacement transaction underpriced", "ReplacementNotAllowed", "could not replace existing tx"] {
            assert!(matches!(read(words), Reception::Occupied(_)), "{words}");
        }
        for words in ["insufficient funds for gas * price + value", "transaction underpriced", "invalid chain id", ""] {
            assert!(matches!(read(words), Reception::Refused(_)), "{words}");
        }
    }
}
