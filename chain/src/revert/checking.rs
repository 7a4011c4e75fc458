//! Sentences of the contracts that check.

use std::fmt;

use super::{Halo2, Number, Registry, Router, Verifier};

pub(super) fn router(f: &mut fmt::Formatter<'_>, error: &Router) -> fmt::Result {
    match error {
        Router::RouteExists(e) => write!(f, "the route {} is there already, and routes never change", e.route),
        Router::UnknownRoute(e) => write!(f, "the router has no route {}", e.route),
        Router::Frozen(e) => write!(f, "the route {} is frozen for good", e.route),
        Router::Paused(e) => write!(f, "the route {} is paused until {} (Unix time)", e.route, e.until),
        Router::NotActive(e) => write!(f, "the route {} counts from {} (Unix time) on", e.route, e.activeFrom),
        Router::NotPaused(e) => write!(f, "the route {} is not paused", e.route),
        Router::NotContract(e) => write!(f, "the verifier {} has no code", e.verifier),
        Router::VerifierChanged(e) => {
            write!(f, "the code of the verifier {} is not what it was when the route was added", e.verifier)
        }
        Router::GasCap(e) => write!(f, "a gas cap of {} is not allowed", e.gasCap),
        Router::KeyDigest(e) => write!(f, "the code at {} is not the key of circuit {}", e.key, e.circuit),
        Router::NotGuardian(e) => write!(f, "{} is not the guardian", e.caller),
        Router::PauseInvalid(e) => write!(f, "a pause takes 1 to {} seconds, not {}", e.most, e.got),
        Router::PausedLately(e) => write!(
            f,
            "the route {} was paused within the last 30 days: it can be paused again from {} (Unix time) on",
            e.route, e.earliest
        ),
        Router::NoContradiction(_) => f.write_str("the two settlements do not contradict each other"),
        Router::NoRenouncing(_) => f.write_str("ownership is handed on, never given up"),
        Router::SafeERC20FailedOperation(e) => write!(f, "the token {} did not do what was asked", e.token),
        Router::OwnableInvalidOwner(e) => write!(f, "{} cannot be the owner", e.owner),
        Router::OwnableUnauthorizedAccount(e) => write!(f, "{} is not the owner", e.account),
    }
}

pub(super) fn verifier(f: &mut fmt::Formatter<'_>, error: &Verifier) -> fmt::Result {
    match error {
        Verifier::KeyFormat(_) => {
            f.write_str("the settlement key is not of this format, or for a kind of output that is not offered")
        }
        Verifier::IndexMissing(_) => {
            f.write_str("the circuit attributes its answers, and the settlement names no index")
        }
        Verifier::UnknownIndex(e) => write!(f, "index {:#066x} is not registered", e.id),
        Verifier::ShareCount(e) => write!(f, "expected {} words of shares, got {}", e.expected, e.got),
        Verifier::NotAttributing(_) => {
            f.write_str("the settlement names an index or shares, and its circuit attributes nothing")
        }
        Verifier::RequestCount(e) => write!(f, "the circuit takes 1 to {} requests, got {}", e.most, e.got),
        Verifier::RequestOrder(e) => write!(f, "request {}: its id is not above the one before", e.request),
        Verifier::AdapterMissing(e) => write!(f, "request {} classifies without an adapter", Number(e.request)),
        Verifier::WitnessCount(e) => write!(f, "expected {} witness commitments, got {}", e.expected, e.got),
        Verifier::RhoLength(e) => write!(f, "expected {} tile coordinates, got {}", e.expected, e.got),
        Verifier::PointInvalid(_) => f.write_str("a point is not canonical, not on the curve, or infinity"),
        Verifier::UnknownArchitecture(e) => write!(f, "architecture {:#066x} is not registered", e.id),
        Verifier::UnknownBase(e) => write!(f, "base {:#066x} is not registered", e.id),
        Verifier::UnknownAdapter(e) => write!(f, "adapter {:#066x} is not registered", e.id),
        Verifier::Foreign(e) => write!(f, "record {:#066x} belongs to another architecture, base or circuit", e.id),
        Verifier::RecordCorrupt(e) => write!(f, "the code of record {:#066x} is not what was registered", e.id),
        Verifier::TileCount(e) => {
            write!(f, "record {:#066x}: expected {} commitments, got {}", e.id, e.expected, e.got)
        }
        Verifier::PrecompileFailed(_) => f.write_str("a precompile refused its input"),
        Verifier::ProofInvalid(_) => f.write_str("the proof does not hold for this statement"),
    }
}

pub(super) fn halo2(f: &mut fmt::Formatter<'_>, error: &Halo2) -> fmt::Result {
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

pub(super) fn registry(f: &mut fmt::Formatter<'_>, error: &Registry) -> fmt::Result {
    match error {
        Registry::EncodingLength(e) => {
            write!(f, "an architecture has 1 to {} bytes, got {}", e.limit, e.got)
        }
        Registry::UnknownFamily(e) => write!(f, "no circuits are of family {}", e.family),
        Registry::TileSize(e) => write!(f, "tau must be even, 14 to 22, got {}", e.logTile),
        Registry::NotCanonical(_) => f.write_str("a word is not below r"),
        Registry::TauInvalid(_) => f.write_str("[tau]_2 is infinity or not in the group"),
        Registry::PointCount(e) => write!(f, "a record has 1 to {} points, got {}", e.limit, e.got),
        Registry::PointInvalid(_) => f.write_str("a commitment is not canonical, not on the curve, or infinity"),
        Registry::AlreadyRegistered(e) => write!(f, "{:#066x} is registered already", e.id),
        Registry::UnknownArchitecture(e) => write!(f, "architecture {:#066x} is not registered", e.id),
        Registry::UnknownBase(e) => write!(f, "base {:#066x} is not registered", e.id),
        Registry::UnknownAdapter(e) => write!(f, "adapter {:#066x} is not registered", e.id),
        Registry::UnknownDatanet(e) => write!(f, "datanet version {:#066x} is not registered", e.id),
        Registry::DatanetCount(e) => {
            write!(f, "a datanet has 1 to 65536 records and 1 to 1024 contributors: at most {}, got {}", e.limit, e.got)
        }
        Registry::AdapterWithoutDatanet(e) => write!(f, "adapter {:#066x} names no datanet", e.id),
        Registry::IndexSize(e) => write!(
            f,
            "an index has room for 2^11, 2^14 or 2^16 records: 2^{} is none of these, or too small for {} records",
            e.logRecords, e.records
        ),
        Registry::ContentTooLong(e) => write!(f, "a record cannot hold {} bytes", e.length),
        Registry::NotStored(_) => f.write_str("the data contract could not be created"),
    }
}
