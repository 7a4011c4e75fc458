//! What a contract says when it refuses, as a sentence.
//!
//! The sentences of the contracts that check are in `checking`, those of the contracts that pay in `paying`. A further
//! contract is a line in `contracts!` and a function of sentences; one that is forgotten fails a test.

mod checking;
mod paying;

use std::fmt;

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{Panic, Revert as RevertString, SolError, SolInterface};

use crate::abi::bindings::AttributionPot::AttributionPotErrors as Pot;
use crate::abi::bindings::CommitmentRegistry::CommitmentRegistryErrors as Registry;
use crate::abi::bindings::Halo2Verifier::Halo2VerifierErrors as Halo2;
use crate::abi::bindings::InferenceEscrow::InferenceEscrowErrors as Escrow;
use crate::abi::bindings::LabelConsumer::LabelConsumerErrors as Consumer;
use crate::abi::bindings::LineSale::LineSaleErrors as Sale;
use crate::abi::bindings::LoricaVerifier::LoricaVerifierErrors as Verifier;
use crate::abi::bindings::ModelRegistry::ModelRegistryErrors as Models;
use crate::abi::bindings::OpenToken::OpenTokenErrors as Token;
use crate::abi::bindings::PrepaidEscrow::PrepaidEscrowErrors as Prepaid;
use crate::abi::bindings::ProverStakes::ProverStakesErrors as Stakes;
use crate::abi::bindings::VerifierRouter::VerifierRouterErrors as Router;

/// A variant per contract, by its errors and their sentences. An error that two contracts declare alike is that of the one
/// that is named first; their sentences must fit both.
macro_rules! contracts {
    ($($(#[doc = $doc:literal])* $name:ident($sentence:path)),* $(,)?) => {
        /// Data of a revert. Its display is a sentence.
        #[derive(Clone, Debug)]
        pub enum Revert {
            $($(#[doc = $doc])* $name($name),)*
            /// A message of Solidity's `require`.
            Message(String),
            /// Solidity's panic code.
            Panic(U256),
            /// No data: calldata that does not decode, or a call that ran out of gas.
            Empty,
            /// Not an error of these contracts.
            Unknown(Bytes),
        }

        impl Revert {
            /// The error of a contract.
            fn of_contract(data: &[u8]) -> Option<Self> {
                $(if let Ok(error) = $name::abi_decode_validate(data) {
                    return Some(Self::$name(error));
                })*
                None
            }
        }

        impl fmt::Display for Revert {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(error) => $sentence(f, error),)*
                    Self::Message(message) => f.write_str(message),
                    Self::Panic(code) => write!(f, "the contract panicked with code {code:#x}"),
                    Self::Empty => f.write_str("no reason given: malformed calldata, or out of gas"),
                    Self::Unknown(data) => write!(f, "not an error of these contracts: {data}"),
                }
            }
        }
    };
}

contracts! {
    /// By the router.
    Router(checking::router),
    /// By the verifier.
    Verifier(checking::verifier),
    /// By the halo2 verifier.
    Halo2(checking::halo2),
    /// By the registry.
    Registry(checking::registry),
    /// By the escrow.
    Escrow(paying::escrow),
    /// By the escrow of prepaid requests.
    Prepaid(paying::prepaid),
    /// By the stakes of provers.
    Stakes(paying::stakes),
    /// By the pot of contributors.
    Pot(paying::pot),
    /// By the registry of models.
    Models(paying::models),
    /// By the sale of lines.
    Sale(paying::sale),
    /// By the token, or by OPEN's wrapper: what the wrapper has besides is the escrow's too.
    Token(paying::token),
    /// By the example of a consumer.
    Consumer(paying::consumer),
}

/// An index, a count or an id: ids are digests and shown in hexadecimal.
struct Number(U256);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bit_len() <= 64 { write!(f, "{}", self.0) } else { write!(f, "{:#066x}", self.0) }
    }
}

impl Revert {
    /// Decodes the data of a revert.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::Empty;
        }
        let message = || RevertString::abi_decode(data).ok().map(|error| Self::Message(error.reason));
        let panic = || Panic::abi_decode(data).ok().map(|panic| Self::Panic(panic.code));
        let unknown = || Self::Unknown(Bytes::copy_from_slice(data));
        Self::of_contract(data).or_else(message).or_else(panic).unwrap_or_else(unknown)
    }

    /// Whether the proof itself is what does not hold, rather than something that the settlement refers to.
    #[must_use]
    pub fn is_false_proof(&self) -> bool {
        matches!(self, Self::Verifier(Verifier::ProofInvalid(_)))
    }
}
