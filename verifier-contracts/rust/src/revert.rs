//! What a contract says when it refuses, as a sentence.

use std::fmt;

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{Panic, Revert as RevertString, SolError, SolInterface};

use crate::abi::bindings::CommitmentRegistry::CommitmentRegistryErrors as Registry;
use crate::abi::bindings::Halo2Verifier::Halo2VerifierErrors as Halo2;
use crate::abi::bindings::LoricaVerifier::LoricaVerifierErrors as Verifier;
use crate::abi::bindings::VerifierRouter::VerifierRouterErrors as Router;

/// Data of a revert. Its display is a sentence.
#[derive(Clone, Debug)]
pub enum Revert {
    /// By the router.
    Router(Router),
    /// By the verifier.
    Verifier(Verifier),
    /// By the halo2 verifier.
    Halo2(Halo2),
    /// By the registry.
    Registry(Registry),
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
    /// Decodes the data of a revert. An error that two contracts declare alike is the first one's in the order of
    /// router, verifier, halo2 verifier, registry.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::Empty;
        }
        let message = || RevertString::abi_decode(data).ok().map(|error| Self::Message(error.reason));
        let panic = || Panic::abi_decode(data).ok().map(|panic| Self::Panic(panic.code));
        let router = Router::abi_decode_validate(data).map(Self::Router);
        router
            .or_else(|_| Verifier::abi_decode_validate(data).map(Self::Verifier))
            .or_else(|_| Halo2::abi_decode_validate(data).map(Self::Halo2))
            .or_else(|_| Registry::abi_decode_validate(data).map(Self::Registry))
            .ok()
            .or_else(message)
            .or_else(panic)
            .unwrap_or_else(|| Self::Unknown(Bytes::copy_from_slice(data)))
    }

    /// Whether the proof itself is what does not hold, rather than something that the settlement refers to.
    #[must_use]
    pub fn is_false_proof(&self) -> bool {
        matches!(self, Self::Verifier(Verifier::ProofInvalid(_)))
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(error) => router(f, error),
            Self::Verifier(error) => verifier(f, error),
            Self::Halo2(error) => halo2(f, error),
            Self::Registry(error) => registry(f, error),
            Self::Message(message) => f.write_str(message),
            Self::Panic(code) => write!(f, "the contract panicked with code {code:#x}"),
            Self::Empty => f.write_str("no reason given: malformed calldata, or out of gas"),
            Self::Unknown(data) => write!(f, "not an error of these contracts: {data}"),
        }
    }
}

fn router(f: &mut fmt::Formatter<'_>, error: &Router) -> fmt::Result {
    match error {
        Router::RouteExists(e) => write!(f, "circuit {} has a route already, and routes never change", e.circuit),
        Router::UnknownCircuit(e) => write!(f, "no route for circuit {}", e.circuit),
        Router::Frozen(e) => write!(f, "circuit {} is frozen", e.circuit),
        Router::NotContract(e) => write!(f, "the verifier {} has no code", e.verifier),
        Router::GasCap(e) => write!(f, "a gas cap of {} is not allowed", e.gasCap),
        Router::KeyDigest(e) => write!(f, "the code at {} is not the key of circuit {}", e.key, e.circuit),
        Router::NotGuardian(e) => write!(f, "{} is neither guardian nor owner", e.caller),
        Router::NoContradiction(_) => f.write_str("the two settlements do not contradict each other"),
        Router::OwnableInvalidOwner(e) => write!(f, "{} cannot be the owner", e.owner),
        Router::OwnableUnauthorizedAccount(e) => write!(f, "{} is not the owner", e.account),
    }
}

fn verifier(f: &mut fmt::Formatter<'_>, error: &Verifier) -> fmt::Result {
    match error {
        Verifier::KeyFormat(_) => f.write_str("the settlement key is not of this format"),
        Verifier::RequestCount(e) => write!(f, "the circuit takes 1 to {} requests, got {}", e.most, e.got),
        Verifier::RequestOrder(e) => write!(f, "request {}: its id is not above the one before", e.request),
        Verifier::AdapterMissing(e) => write!(f, "request {} classifies without an adapter", e.request),
        Verifier::WitnessCount(e) => write!(f, "expected {} witness commitments, got {}", e.expected, e.got),
        Verifier::RhoLength(e) => write!(f, "expected {} tile coordinates, got {}", e.expected, e.got),
        Verifier::PointInvalid(_) => f.write_str("a point is not canonical, not on the curve, or infinity"),
        Verifier::UnknownArchitecture(e) => write!(f, "architecture {:#x} is not registered", e.id),
        Verifier::UnknownBase(e) => write!(f, "base {:#x} is not registered", e.id),
        Verifier::UnknownAdapter(e) => write!(f, "adapter {:#x} is not registered", e.id),
        Verifier::Foreign(e) => write!(f, "record {:#x} belongs to another architecture or base", e.id),
        Verifier::RecordCorrupt(e) => write!(f, "the code of record {:#x} is not what was registered", e.id),
        Verifier::TileCount(e) => {
            write!(f, "record {:#x}: expected {} commitments, got {}", e.id, e.expected, e.got)
        }
        Verifier::PrecompileFailed(_) => f.write_str("a precompile refused its input"),
        Verifier::ProofInvalid(_) => f.write_str("the proof does not hold for this statement"),
    }
}

fn halo2(f: &mut fmt::Formatter<'_>, error: &Halo2) -> fmt::Result {
    match error {
        Halo2::KeyDigest(_) => f.write_str("the code at the key's address is not the circuit's key"),
        Halo2::KeyFormat(_) => f.write_str("the settlement key is not of this format"),
        Halo2::InstanceCount(e) => write!(f, "expected {} public words, got {}", e.expected, e.got),
        Halo2::ProofLength(e) => write!(f, "expected a proof of {} bytes, got {}", e.expected, e.got),
        Halo2::InstanceNotCanonical(_) => f.write_str("a public word is not below r"),
        Halo2::ScalarNotCanonical(_) => f.write_str("a scalar of the proof is not below r"),
        Halo2::PointInvalid(_) => f.write_str("a point of the proof is not canonical, not on the curve, or infinity"),
        Halo2::Degenerate(_) => f.write_str("a challenge of the proof lies in the domain"),
        Halo2::PrecompileFailed(_) => f.write_str("a precompile refused its input"),
    }
}

fn registry(f: &mut fmt::Formatter<'_>, error: &Registry) -> fmt::Result {
    match error {
        Registry::EncodingLength(e) => write!(f, "an architecture has {} bytes, got {}", e.expected, e.got),
        Registry::TileSize(e) => write!(f, "tau must be even, 14 to 22, got {}", e.logTile),
        Registry::NotCanonical(_) => f.write_str("a word is not below r"),
        Registry::TauInvalid(_) => f.write_str("[tau]_2 is infinity or not in the group"),
        Registry::PointCount(e) => write!(f, "a record cannot hold {} points", e.got),
        Registry::PointInvalid(_) => f.write_str("a commitment is not canonical, not on the curve, or infinity"),
        Registry::AlreadyRegistered(e) => write!(f, "{:#x} is registered already", e.id),
        Registry::UnknownArchitecture(e) => write!(f, "architecture {:#x} is not registered", e.id),
        Registry::UnknownBase(e) => write!(f, "base {:#x} is not registered", e.id),
        Registry::ContentTooLong(e) => write!(f, "a record cannot hold {} bytes", e.length),
        Registry::NotStored(_) => f.write_str("the data contract could not be created"),
    }
}
