//! What the escrow knows of a request, and what it pays for it.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent;

use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::chain::Receipt;

/// A request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The escrow has never seen it.
    None,
    /// The fee is there.
    Locked,
    /// A prover has accepted it: it cannot be cancelled while the acceptance holds.
    Accepted,
    /// Proven and paid.
    Settled,
    /// The payer has the money back, after the deadline.
    Refunded,
    /// The requester took it back.
    Cancelled,
    /// The named prover gave it back.
    Refused,
}

impl Status {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Locked, Self::Accepted, Self::Settled, Self::Refunded, Self::Cancelled, Self::Refused]
            .get(usize::from(number))
            .copied()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "unknown",
            Self::Locked => "locked",
            Self::Accepted => "accepted",
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }

    /// Whether it can still be settled, if its deadline has not passed.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Locked | Self::Accepted)
    }
}

/// What the escrow knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestState {
    /// Where it stands.
    pub status: Status,
    /// Who has the money back if it is not settled; zero unless it is open.
    pub payer: Address,
    /// What is locked, in the token's smallest unit; zero unless it is open.
    pub fee: U256,
    /// Who has accepted or is named, or was paid; zero if nobody.
    pub prover: Address,
    /// Last second in which the acceptance holds, Unix time; none unless it is accepted.
    pub until: Option<u64>,
    /// Of one that ended unserved: a prover had accepted it.
    pub was_accepted: bool,
    /// The router's route by which it was settled, once it is; zero before.
    pub route: B256,
    /// The answer, once settled.
    pub label: U256,
    /// Digest of the answer's integers, once settled.
    pub output_digest: U256,
}

/// One request's payment, from the escrow's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The request.
    pub request: U256,
    /// The prover that the proof names.
    pub prover: Address,
    /// The token.
    pub token: Address,
    /// To the prover.
    pub prover_share: U256,
    /// To the owner of the adapter's line.
    pub adapter_owner_share: U256,
    /// To the owner of the base's line.
    pub base_owner_share: U256,
    /// To the contributors' pot.
    pub contributors_share: U256,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The transaction.
    pub receipt: Receipt,
    /// Paid requests.
    pub payments: Vec<Payment>,
    /// Requests that were not payable any more, with the escrow's reason.
    pub skipped: Vec<(U256, &'static str)>,
}

impl Settled {
    /// What a settlement's transaction did, by the events of the escrow at that address.
    #[must_use]
    pub fn read(receipt: Receipt, escrow: Address) -> Self {
        let (mut payments, mut skipped) = (Vec::new(), Vec::new());
        // Other contracts may emit events of the same form.
        for log in receipt.logs.iter().filter(|log| log.address == escrow) {
            if let Ok(event) = InferenceEscrow::RequestSettled::decode_log(log) {
                payments.push(Payment {
                    request: event.requestId,
                    prover: event.prover,
                    token: event.token,
                    prover_share: event.proverShare,
                    adapter_owner_share: event.adapterOwnerShare,
                    base_owner_share: event.baseOwnerShare,
                    contributors_share: event.contributorsShare,
                });
            } else if let Ok(event) = InferenceEscrow::RequestSkipped::decode_log(log) {
                skipped.push((event.requestId, skip_reason(event.reason)));
            }
        }
        Self { receipt, payments, skipped }
    }
}

fn skip_reason(number: u8) -> &'static str {
    match number {
        0 => "not locked, or final already",
        1 => "its deadline has passed",
        2 => "another fee is owed than the proven one",
        3 => "it must be accepted first, and no prover has",
        4 => "another prover's acceptance holds",
        5 => "its base or adapter is not served any more",
        6 => "its requester has not signed it, or does not agree any more",
        7 => "the deposit is smaller than its fee",
        8 => "a route was paused or frozen so lately that it would excuse its prover",
        9 => "it gives its consumer more gas than any call has",
        _ => "unknown reason",
    }
}

/// The price of a request at a time, as the contracts compute it: what accepting it fixes, or the most that a prepaid one pays.
#[must_use]
pub fn price(request: &InferenceRequest, time: u64) -> U256 {
    let (most, least) = (request.maxFee, request.minFee);
    let (start, ramp) = (request.rampStart, u64::from(request.rampTime));
    if time >= start.saturating_add(ramp) {
        most
    } else if time <= start {
        least
    } else {
        // Not the last second of the ramp, so `ramp` is not zero.
        least + most.saturating_sub(least).saturating_mul(U256::from(time - start)) / U256::from(ramp)
    }
}
