//! A transaction before it is sent: planned, signed, and planned again with higher fees. Nothing here asks a node.
//!
//! A [`Plan`] is a transaction with its nonce and fees; signing it gives a [`Version`]. Versions of one transaction differ
//! in their fees alone, and a block takes one of them at most. Whoever sends keeps the versions: each is restored from its
//! bytes, with the plan that it was signed for and its sender, so that a program that starts again goes on with them.
//!
//! ```
//! use lorica_chain::alloy_primitives::{Address, Bytes, U256};
//! use lorica_chain::keys::PrivateKey;
//! use lorica_chain::rpc::plan::{Call, Fees, Limits, Plan, Version};
//!
//! let call = Call { chain_id: 1, to: Some(Address::ZERO), data: Bytes::new(), value: U256::from(7), gas_limit: 21_000 };
//! let (fees, limits) = (Fees { max_per_gas: 15, max_tip: 1 }, Limits { max_gas_cost: 1_000_000 });
//! let plan = Plan::new(call, fees, 5, limits)?;
//! let version = plan.sign(&PrivateKey::parse(&"ab".repeat(32))?)?;
//! // To a database before anything is sent, and back:
//! let stored: String = serde_json::to_string(&version)?;
//! let restored: Version = serde_json::from_str(&stored)?;
//! assert_eq!((restored.plan(), restored.hash()), (&plan, version.hash()));
//! // For the same nonce, at twice the fees or what is usual by now:
//! let dearer = restored.plan().bump(Fees { max_per_gas: 20, max_tip: 3 }, limits)?;
//! assert_eq!((dearer.nonce(), dearer.fees()), (5, Fees { max_per_gas: 30, max_tip: 3 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde::{Deserialize, Serialize};

use crate::chain::TRANSACTION_GAS;
use crate::error::PolicyError;
use crate::keys::{KeyError, PrivateKey};

/// What a transaction does, and with how much gas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The chain's id.
    pub chain_id: u64,
    /// A contract or account; none creates a contract.
    pub to: Option<Address>,
    /// Calldata or init code.
    pub data: Bytes,
    /// Wei that are sent along.
    pub value: U256,
    /// Most gas.
    pub gas_limit: u64,
}

/// What a transaction offers for gas (EIP-1559), in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// Most for a unit of gas, the tip included.
    #[serde(with = "quantity")]
    pub max_per_gas: u128,
    /// Most for who makes the block, of each unit.
    #[serde(with = "quantity")]
    pub max_tip: u128,
}

/// What the account's owner allows, whatever a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most that a transaction's gas may cost, in wei.
    pub max_gas_cost: u128,
}

/// A transaction with its nonce and fees, to be signed. Made within the limits; what is read from storage is taken to be
/// what was written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    call: Call,
    fees: Fees,
    nonce: u64,
}

impl Plan {
    /// Plans a call with a nonce of the account that will sign.
    ///
    /// # Errors
    /// [`PolicyError::GasLimit`] if no chain takes so much gas, [`PolicyError::GasCost`] if it could cost more than is
    /// allowed.
    pub fn new(call: Call, fees: Fees, nonce: u64, limits: Limits) -> Result<Self, PolicyError> {
        let (gas, limit) = (call.gas_limit, TRANSACTION_GAS);
        if gas > limit {
            return Err(PolicyError::GasLimit { gas, limit });
        }
        let (cost, max_cost) = (fees.max_per_gas.saturating_mul(gas.into()), limits.max_gas_cost);
        if cost > max_cost { Err(PolicyError::GasCost { cost, max_cost }) } else { Ok(Self { call, fees, nonce }) }
    }

    /// The same with twice the fees, or with those that are usual now if they are more: nodes take a version beside another
    /// one only if it pays clearly more.
    ///
    /// # Errors
    /// [`PolicyError::GasCost`] if that could cost more than is allowed. The versions so far may still be mined.
    pub fn bump(&self, usual: Fees, limits: Limits) -> Result<Self, PolicyError> {
        let fees = Fees {
            max_per_gas: self.fees.max_per_gas.saturating_mul(2).max(usual.max_per_gas),
            max_tip: self.fees.max_tip.saturating_mul(2).max(usual.max_tip),
        };
        Self::new(self.call.clone(), fees, self.nonce, limits)
    }

    /// Signs it. The same plan and key give the same bytes (RFC 6979).
    ///
    /// # Errors
    /// [`KeyError::Digits`], which no key and digest are known to give.
    pub fn sign(&self, key: &PrivateKey) -> Result<Version, KeyError> {
        let (hash, raw) = key.sign(self.transaction())?;
        Ok(Version { plan: self.clone(), sender: key.account(), hash, raw })
    }

    /// What it does.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What it offers for gas.
    #[must_use]
    pub fn fees(&self) -> Fees {
        self.fees
    }

    /// Its nonce.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    fn transaction(&self) -> TxEip1559 {
        let Self { call: Call { chain_id, to, data, value, gas_limit }, fees, nonce } = self;
        TxEip1559 {
            chain_id: *chain_id,
            nonce: *nonce,
            gas_limit: *gas_limit,
            max_fee_per_gas: fees.max_per_gas,
            max_priority_fee_per_gas: fees.max_tip,
            to: to.map_or(TxKind::Create, TxKind::Call),
            value: *value,
            access_list: AccessList::default(),
            input: data.clone(),
        }
    }
}

/// Bytes that are no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signed transaction of EIP-1559's type without an access list")]
pub struct VersionError;

/// A signed transaction: all that a node is given. Its storage form, in JSON too, is its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Version {
    plan: Plan,
    sender: Address,
    hash: B256,
    raw: Bytes,
}

impl Version {
    /// Restores a version from its bytes.
    ///
    /// # Errors
    /// [`VersionError`] if they are not what [`Plan::sign`] makes.
    pub fn from_raw(raw: Bytes) -> Result<Self, VersionError> {
        let rest = &mut raw.as_ref();
        let envelope = TxEnvelope::decode_2718(rest).map_err(|_| VersionError)?;
        let TxEnvelope::Eip1559(signed) = &envelope else { return Err(VersionError) };
        let (transaction, hash) = (signed.tx(), *signed.hash());
        if !rest.is_empty() || !transaction.access_list.is_empty() {
            return Err(VersionError);
        }
        let sender = envelope.recover_signer().map_err(|_| VersionError)?;
        let call = Call {
            chain_id: transaction.chain_id,
            to: transaction.to.to().copied(),
            data: transaction.input.clone(),
            value: transaction.value,
            gas_limit: transaction.gas_limit,
        };
        let fees = Fees { max_per_gas: transaction.max_fee_per_gas, max_tip: transaction.max_priority_fee_per_gas };
        Ok(Self { plan: Plan { call, fees, nonce: transaction.nonce }, sender, hash, raw })
    }

    /// The transaction's hash, by which blocks and nodes know it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The signed bytes (EIP-2718), to be broadcast and stored.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The account whose key signed it.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// What was signed.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether both have one chain, account and nonce, so that a block takes one of them at most.
    #[must_use]
    pub fn is_of_same_nonce(&self, other: &Self) -> bool {
        let place = |version: &Self| (version.plan.call.chain_id, version.sender, version.plan.nonce);
        place(self) == place(other)
    }
}

impl TryFrom<Bytes> for Version {
    type Error = VersionError;

    fn try_from(raw: Bytes) -> Result<Self, VersionError> {
        Self::from_raw(raw)
    }
}

impl From<Version> for Bytes {
    fn from(version: Version) -> Self {
        version.raw
    }
}

/// Wei as JSON-RPC writes them: a JSON number loses digits in some databases.
mod quantity {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(wei: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{wei:#x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = Value::deserialize(deserializer)?;
        crate::rpc::node::quantity(Some(&text)).ok_or_else(|| de::Error::custom("not a hexadecimal quantity"))
    }
}
