//! What a call is refused with: a gRPC status with a reason of a closed list, as `google.rpc` details.

use std::collections::HashMap;
use std::time::Duration;

use lorica::input::InputError;
use lorica::quant::integer::ExecuteError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::store::StoreError;

/// The domain of the reasons.
pub const DOMAIN: &str = "lorica";

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $code:ident),+ $(,)?) => {
        /// Why a call was refused, or why there is no proof. Names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant),+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in error details.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The status of a call that is refused for it.
            #[must_use]
            pub fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code),+ }
            }
        }
    };
}

reasons! {
    /// A field is malformed or missing.
    FieldInvalid = "FIELD_INVALID", InvalidArgument,
    /// The text has more tokens, or the message more bytes, than the model takes.
    TextTooLong = "TEXT_TOO_LONG", InvalidArgument,
    /// The token ids are too few, or none of the model's.
    TextInvalid = "TEXT_INVALID", InvalidArgument,
    /// The model cannot be computed on this text: a value would leave its range.
    ValueOutOfRange = "VALUE_OUT_OF_RANGE", FailedPrecondition,
    /// No such base is served.
    BaseUnknown = "BASE_UNKNOWN", NotFound,
    /// No such adapter is served.
    AdapterUnknown = "ADAPTER_UNKNOWN", NotFound,
    /// The adapter is another base's.
    AdapterOtherBase = "ADAPTER_OTHER_BASE", InvalidArgument,
    /// The model does not have this kind of output.
    OutputKindUnsupported = "OUTPUT_KIND_UNSUPPORTED", InvalidArgument,
    /// The service does not go this far.
    LevelUnsupported = "LEVEL_UNSUPPORTED", Unimplemented,
    /// No such datanet is served.
    DatanetUnknown = "DATANET_UNKNOWN", NotFound,
    /// The datanet is another adapter's.
    DatanetOther = "DATANET_OTHER", InvalidArgument,
    /// The request id belongs to another request.
    RequestIdReused = "REQUEST_ID_REUSED", AlreadyExists,
    /// The deadline has passed already.
    DeadlinePassed = "DEADLINE_PASSED", InvalidArgument,
    /// No proof of this tenant has that name.
    ProofUnknown = "PROOF_UNKNOWN", NotFound,
    /// The tenant has as many open proofs as it may have.
    QuotaOpen = "QUOTA_OPEN", ResourceExhausted,
    /// The service has more to do than it takes.
    Overloaded = "OVERLOADED", ResourceExhausted,
    /// The disk is full.
    StoreFull = "STORE_FULL", ResourceExhausted,
    /// The store cannot be used.
    StoreFailed = "STORE_FAILED", Unavailable,
    /// The service is ending.
    Draining = "DRAINING", Unavailable,
    /// No key, or one that does not hold.
    KeyInvalid = "KEY_INVALID", Unauthenticated,
    /// The key is not for this call.
    ScopeMissing = "SCOPE_MISSING", PermissionDenied,
    /// The call's own deadline passed.
    CallDeadline = "CALL_DEADLINE", DeadlineExceeded,
    /// The service has no broker.
    MarketAbsent = "MARKET_ABSENT", Unimplemented,
    /// The requester has not signed these terms.
    SignatureInvalid = "SIGNATURE_INVALID", InvalidArgument,
    /// The terms are for another chain or escrow.
    EscrowOther = "ESCROW_OTHER", InvalidArgument,
    /// The terms name another prover, or none.
    ProverOther = "PROVER_OTHER", FailedPrecondition,
    /// The text is not the one of which a digest was signed.
    TextOther = "TEXT_OTHER", InvalidArgument,
    /// The terms demand what is not offered: prepaid, a stake, much gas for a consumer, an adapter that names a datanet.
    TermsUnsupported = "TERMS_UNSUPPORTED", FailedPrecondition,
    /// No settlement key here is for such a request.
    CircuitUnknown = "CIRCUIT_UNKNOWN", FailedPrecondition,
    /// The terms name no live route of the circuit that is trusted here.
    RouteUntrusted = "ROUTE_UNTRUSTED", FailedPrecondition,
    /// The deadline, or the end of an acceptance, is too near.
    DeadlineInfeasible = "DEADLINE_INFEASIBLE", FailedPrecondition,
    /// The token is not taken.
    TokenNotTaken = "TOKEN_NOT_TAKEN", FailedPrecondition,
    /// The fee is below the least one, or below what the gas costs.
    FeeTooLow = "FEE_TOO_LOW", FailedPrecondition,
    /// The request has ended, or is another prover's.
    RequestEnded = "REQUEST_ENDED", FailedPrecondition,
    /// Another tenant gave the request.
    RequestForeign = "REQUEST_FOREIGN", AlreadyExists,
    /// No request of this tenant has that name.
    RequestUnknown = "REQUEST_UNKNOWN", NotFound,
    /// The chain cannot be asked.
    ChainUnavailable = "CHAIN_UNAVAILABLE", Unavailable,
    /// The worker's program or protocol has another version.
    VersionOther = "VERSION_OTHER", FailedPrecondition,
    /// The worker's session is not known, or not any more: it has to register.
    SessionUnknown = "SESSION_UNKNOWN", NotFound,
    /// The batch's lease has ended, or is another session's.
    LeaseLost = "LEASE_LOST", FailedPrecondition,
    /// The worker returned a false proof.
    WorkerBanned = "WORKER_BANNED", PermissionDenied,
    /// No served file has that digest.
    BlobUnknown = "BLOB_UNKNOWN", NotFound,
    /// The worker made no proof of what was executed here.
    ProvingFailed = "PROVING_FAILED", Internal,
    /// The worker's proof was not one of this batch.
    ProofRejected = "PROOF_REJECTED", Internal,
    /// The worker died again and again.
    WorkerLost = "WORKER_LOST", Internal,
    /// A fault of the service.
    Internal = "INTERNAL", Internal,
}

/// A refusal.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", .reason.name())]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// For people. Never a text or a salt.
    pub message: String,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// When it is worth another try.
    pub retry: Option<Duration>,
}

impl Refusal {
    /// A refusal without a field.
    pub fn new(reason: Reason, message: impl ToString) -> Self {
        let second = Duration::from_secs(1);
        let retry = match reason {
            Reason::QuotaOpen | Reason::Overloaded | Reason::StoreFailed | Reason::ChainUnavailable => Some(second),
            Reason::Draining | Reason::StoreFull => Some(10 * second),
            _ => None,
        };
        Self { reason, message: message.to_string(), field: None, retry }
    }

    /// A field that is malformed or missing.
    pub fn field(field: &'static str, message: impl ToString) -> Self {
        Self::of(Reason::FieldInvalid, field, message)
    }

    /// A field that is refused for a reason of its own.
    pub fn of(reason: Reason, field: &'static str, message: impl ToString) -> Self {
        Self { field: Some(field), ..Self::new(reason, message) }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, message, field, retry } = refusal;
        let mut details = ErrorDetails::with_error_info(reason.name(), DOMAIN, HashMap::new());
        if let Some(field) = field {
            details.add_bad_request_violation(field, &message);
        }
        if retry.is_some() {
            details.set_retry_info(retry);
        }
        if reason == Reason::QuotaOpen {
            details.add_quota_failure_violation("open proofs of the tenant", &message);
        }
        Self::with_error_details(reason.code(), message, details)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let reason = match &error {
            StoreError::RequestIdReused => Reason::RequestIdReused,
            StoreError::RequestForeign => Reason::RequestForeign,
            StoreError::Quota { .. } => Reason::QuotaOpen,
            StoreError::Full => Reason::StoreFull,
            StoreError::Busy => Reason::Overloaded,
            StoreError::Damaged(_) | StoreError::Missing(_) | StoreError::Content(_) => Reason::Internal,
            _ => Reason::StoreFailed,
        };
        match reason {
            // Paths and queries are the operator's business.
            Reason::StoreFailed => {
                tracing::error!(%error, "the store failed");
                Self::new(reason, "the store cannot be used now")
            }
            Reason::Internal => {
                tracing::error!(%error, "the store's content");
                Self::new(reason, "what was stored cannot be read")
            }
            _ => Self::new(reason, error),
        }
    }
}

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Self {
        use lorica::quant::import::EncodeError;
        let source = match error {
            InputError::Text { source, .. } | InputError::LongText { source, .. } => source,
            other => {
                tracing::error!(error = %other, "input");
                return Self::new(Reason::Internal, "the input could not be read");
            }
        };
        let reason = match source {
            EncodeError::TooLong { .. } => Reason::TextTooLong,
            _ => Reason::TextInvalid,
        };
        Self::of(reason, "input", source)
    }
}

impl From<ExecuteError> for Refusal {
    fn from(error: ExecuteError) -> Self {
        let reason = match &error {
            ExecuteError::Range(_) => Reason::ValueOutOfRange,
            ExecuteError::Length { got: 0 | 1, .. } => Reason::TextInvalid,
            ExecuteError::Length { .. } => Reason::TextTooLong,
            ExecuteError::Vocabulary { .. } => Reason::TextInvalid,
            ExecuteError::NoPooler => Reason::OutputKindUnsupported,
            _ => Reason::Internal,
        };
        Self::of(reason, "input", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients read the list in `docs/serve.md`.
    #[test]
    fn the_documentation_lists_every_reason() {
        let page = include_str!("../../docs/serve.md");
        let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `") && line.contains("`: ")).collect();
        assert_eq!(listed.len(), Reason::ALL.len());
        for (line, reason) in listed.iter().zip(Reason::ALL) {
            assert!(line.starts_with(&format!("| `{}`: ", reason.name())), "{line}");
            let code = format!("{:?}", reason.code());
            let status: String = line.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default().replace('_', "");
            assert_eq!(status, code.to_uppercase(), "{line}");
        }
    }

    #[test]
    fn refusals_carry_reason_field_and_time() {
        let status = Status::from(Refusal::field("context", "too long"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().map(|info| (info.reason.as_str(), info.domain.as_str())),
            Some(("FIELD_INVALID", DOMAIN))
        );
        assert_eq!(details.bad_request().map(|own| own.field_violations[0].field.as_str()), Some("context"));
        let status = Status::from(Refusal::from(StoreError::Quota { limit: 3 }));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(
            status.get_error_details().retry_info().is_some() && status.get_error_details().quota_failure().is_some()
        );
        // What only the operator may know is not told.
        let path = StoreError::InUse("/secret/place".into());
        assert!(!Status::from(Refusal::from(path)).message().contains("secret"));
    }
}
