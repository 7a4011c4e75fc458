//! Single steps with a node for a transaction on its way. None of them waits or repeats: the caller keeps the versions,
//! decides when to look again, and may have many nonces in flight.
//!
//! The way of one transaction: [`usual_fees`] and a nonce, [`Plan::new`](super::plan::Plan::new),
//! [`Plan::sign`](super::plan::Plan::sign), store the version, [`broadcast`], then [`look`] until it is mined deep enough.
//! While it is [`Outcome::Unknown`] its versions are broadcast again; while it is [`Outcome::Pending`] for too long, a
//! version with higher fees ([`Plan::bump`](super::plan::Plan::bump)) is stored and broadcast beside it.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

use super::node::{Fault, NO_SUCH_METHOD, Node, call_object, log, malformed, parse, quantity, small};
use super::plan::{Call, Fees, Version};
use crate::chain::Receipt;
use crate::error::{ChainError, PolicyError, Refusal};

/// Tip if the node does not name one, in wei per gas.
const DEFAULT_TIP: u128 = 1_000_000_000;

/// What a node does with a transaction that it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It has it, now or since before.
    Taken,
    /// The nonce is in a block already, by this transaction or another one: [`look`] tells which. With the node's words.
    Used(String),
    /// Its nonce is another's that pays as much, in the node's pool. With the node's words.
    Occupied(String),
    /// Neither this nor a repetition will be taken. With the node's words.
    Refused(String),
}

impl Reception {
    /// By the words of geth, reth, erigon, nethermind, besu and anvil.
    fn read(fault: Fault) -> Self {
        let words = fault.message.to_ascii_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        if says(&["already known", "alreadyknown", "already imported", "known transaction", "already in mempool"]) {
            Self::Taken
        } else if says(&["nonce too low", "nonce is too low", "oldnonce"]) {
            Self::Used(fault.message)
        } else if says(&["replacement transaction underpriced", "replacementnotallowed", "could not replace"]) {
            Self::Occupied(fault.message)
        } else {
            Self::Refused(fault.message)
        }
    }
}

/// Where a transaction stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A version is in a block; [`Receipt::hash`] says which.
    Mined {
        /// Its receipt.
        receipt: Receipt,
        /// Whether the contract let it pass; [`explain`] asks why not.
        succeeded: bool,
        /// Its block and those above it; zero if its block is not the chain's any more.
        confirmations: u64,
    },
    /// In no block; the node has this version, the newest that it has.
    Pending {
        /// Its hash.
        hash: B256,
    },
    /// In no block, and the node has no version: it was never sent, dropped, or reorganised away. To be broadcast again.
    Unknown,
    /// The nonce is used by another transaction than the versions.
    NonceUsed {
        /// Whether as deep as confirmations reach. Until then a reorganisation may give the nonce back, or the node that
        /// answers may not know the receipt yet.
        confirmed: bool,
    },
}

/// Fees that are usual now: twice the latest block's base fee and the tip that the node names.
///
/// # Errors
/// [`ChainError::Node`].
pub fn usual_fees(node: &Node) -> Result<Fees, ChainError> {
    let method = "eth_getBlockByNumber";
    let block = node.request(method, json!(["latest", false]))?;
    let base = quantity(block.get("baseFeePerGas")).ok_or_else(|| malformed(method, "no base fee"))?;
    let method = "eth_maxPriorityFeePerGas";
    let max_tip = match node.exchange(method, &json!([]))? {
        Ok(tip) => quantity(Some(&tip)).ok_or_else(|| malformed(method, "not a number"))?,
        Err(fault) if fault.code == NO_SUCH_METHOD => DEFAULT_TIP,
        Err(fault) => return Err(fault.into_error(method)),
    };
    Ok(Fees { max_per_gas: base.saturating_mul(2).saturating_add(max_tip), max_tip })
}

/// The account's next nonce as the node counts it, its pool included.
///
/// # Errors
/// [`ChainError::Node`].
pub fn pending_nonce(node: &Node, account: Address) -> Result<u64, ChainError> {
    nonce_at(node, account, "pending")
}

fn nonce_at(node: &Node, account: Address, block: &str) -> Result<u64, ChainError> {
    node.number("eth_getTransactionCount", json!([account.to_string(), block]))
}

/// Gives a version to the node. It is the same one however often that is done. The version must be stored before: after an
/// error the node may have it or not.
///
/// # Errors
/// [`ChainError::Node`] if there is no answer.
pub fn broadcast(node: &Node, version: &Version) -> Result<Reception, ChainError> {
    let answer = node.exchange("eth_sendRawTransaction", &json!([version.raw().to_string()]))?;
    Ok(answer.map_or_else(Reception::read, |_| Reception::Taken))
}

/// Where a transaction stands, of which these are all signed versions, oldest first. A nonce counts as another's for good
/// when it is used in a block with so many `confirmations`, itself counted.
///
/// # Errors
/// [`PolicyError::Versions`] unless all have one chain, account and nonce, [`ChainError::Node`].
pub fn look(node: &Node, versions: &[Version], confirmations: u64) -> Result<Outcome, ChainError> {
    let Some(first) = versions.first().filter(|first| versions.iter().all(|other| first.is_of_same_nonce(other)))
    else {
        return Err(PolicyError::Versions.into());
    };
    for version in versions.iter().rev() {
        if let Some((receipt, succeeded)) = receipt(node, version.hash())? {
            let confirmations = depth(node, &receipt)?;
            return Ok(Outcome::Mined { receipt, succeeded, confirmations });
        }
    }
    let (account, nonce) = (first.sender(), first.plan().nonce());
    if nonce_at(node, account, "latest")? <= nonce {
        for version in versions.iter().rev() {
            if knows(node, version.hash())? {
                return Ok(Outcome::Pending { hash: version.hash() });
            }
        }
        return Ok(Outcome::Unknown);
    }
    let deep = head(node)?.saturating_sub(confirmations.saturating_sub(1));
    Ok(Outcome::NonceUsed { confirmed: nonce_at(node, account, &format!("{deep:#x}"))? > nonce })
}

/// Why a version that is in a block did not succeed. A receipt does not say; the same call on the block's state may.
#[must_use]
pub fn explain(node: &Node, version: &Version, receipt: &Receipt) -> Refusal {
    let Call { to, data, value, gas_limit, .. } = version.plan().call();
    let (gas, block) = (receipt.gas, format!("{:#x}", receipt.block));
    match node.request("eth_call", json!([call_object(version.sender(), *to, data, *value), block])) {
        Err(ChainError::Refused(Refusal::Reverted { revert, .. })) => Refusal::Reverted { revert, gas: Some(gas) },
        _ if gas >= *gas_limit => Refusal::Halted { reason: "out of gas".into(), gas },
        _ => Refusal::reverted(&[], Some(gas)),
    }
}

/// Whether the node has a transaction, in its pool or in a block.
pub(super) fn knows(node: &Node, hash: B256) -> Result<bool, ChainError> {
    Ok(!node.request("eth_getTransactionByHash", json!([hash.to_string()]))?.is_null())
}

/// The receipt of a transaction that is in a block, and whether it succeeded.
///
/// # Errors
/// [`ChainError::Node`].
pub fn receipt(node: &Node, hash: B256) -> Result<Option<(Receipt, bool)>, ChainError> {
    let method = "eth_getTransactionReceipt";
    let receipt = node.request(method, json!([hash.to_string()]))?;
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

fn head(node: &Node) -> Result<u64, ChainError> {
    node.number("eth_blockNumber", json!([]))
}

/// The account's next nonce after the latest block.
///
/// # Errors
/// [`ChainError::Node`].
pub fn mined_nonce(node: &Node, account: Address) -> Result<u64, ChainError> {
    nonce_at(node, account, "latest")
}

/// Number and hash of the latest block.
///
/// # Errors
/// [`ChainError::Node`].
pub fn latest_block(node: &Node) -> Result<(u64, B256), ChainError> {
    let method = "eth_getBlockByNumber";
    let block = node.request(method, json!(["latest", false]))?;
    let number = small(block.get("number")).ok_or_else(|| malformed(method, "no number"))?;
    Ok((number, parse(block.get("hash")).ok_or_else(|| malformed(method, "no hash"))?))
}

/// The hash of the chain's block with a number; none if the chain has no such block.
///
/// # Errors
/// [`ChainError::Node`].
pub fn block_hash(node: &Node, number: u64) -> Result<Option<B256>, ChainError> {
    let method = "eth_getBlockByNumber";
    let block = node.request(method, json!([format!("{number:#x}"), false]))?;
    if block.is_null() {
        return Ok(None);
    }
    parse(block.get("hash")).map(Some).ok_or_else(|| malformed(method, "no hash"))
}

/// Confirmations of a receipt: its block and those above it; none if its block is not the chain's.
///
/// # Errors
/// [`ChainError::Node`].
pub fn depth(node: &Node, receipt: &Receipt) -> Result<u64, ChainError> {
    let head = head(node)?;
    let hash = block_hash(node, receipt.block)?;
    let is_canonical = hash.is_some() && hash == receipt.block_hash;
    Ok(if is_canonical { head.saturating_add(1).saturating_sub(receipt.block) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_words_are_understood() {
        let read = |message: &str| Reception::read(Fault { code: -32_000, message: message.into(), data: None });
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
