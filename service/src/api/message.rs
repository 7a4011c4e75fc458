//! Jobs as messages, and fields of messages.

use std::time::Duration;

use lorica::Fr;
use lorica::verifier::protocol::keccak::decode_scalar;
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Reason, Refusal};
use crate::models::name;
use crate::proto;
use crate::store::{Event, Job, Millis, State, Word};

/// The state as it is said to clients.
pub fn state(state: State) -> proto::ProofState {
    match state {
        State::Queued => proto::ProofState::Queued,
        State::Proving => proto::ProofState::Proving,
        State::Proven => proto::ProofState::Proven,
        State::Failed => proto::ProofState::Failed,
        State::Cancelled => proto::ProofState::Cancelled,
        State::Expired => proto::ProofState::Expired,
    }
}

/// The state that a client names; none if it names none.
pub fn stored_state(number: i32) -> Result<Option<State>, Refusal> {
    let named = proto::ProofState::try_from(number).map_err(|_| Refusal::field("state", "no such state"))?;
    if named == proto::ProofState::Unspecified {
        return Ok(None);
    }
    let known = State::ALL.into_iter().find(|own| state(*own) == named);
    known.map(Some).ok_or_else(|| Refusal::field("state", "no proof is ever in this state here"))
}

/// A job without proof and salt.
pub fn proof(job: &Job) -> Result<proto::Proof, Refusal> {
    let answer = proto::Answer::decode(job.answer.as_slice())
        .map_err(|_| Refusal::new(Reason::Internal, "the stored answer cannot be read"))?;
    let kind = match job.kind {
        1 => proto::OutputKind::Classify,
        2 => proto::OutputKind::Embed,
        _ => proto::OutputKind::Unspecified,
    };
    let failure = job.failure.as_deref().map(|reason| failure(reason, job.attempts));
    let shape = job.shape.map(|shape| proto::Shape {
        requests: shape.requests,
        tokens: shape.tokens,
        log_tile: shape.log_tile,
    });
    Ok(proto::Proof {
        name: proof_name(job.id),
        state: state(job.state).into(),
        base: name("bases", &job.base),
        adapter: job.adapter.as_ref().map(|id| name("adapters", id)).unwrap_or_default(),
        kind: kind.into(),
        level: proto::ProofLevel::Inference.into(),
        answer: Some(answer),
        index: job.place.filter(|_| job.state == State::Proven).unwrap_or_default(),
        shape,
        create_time: Some(timestamp(job.created)),
        update_time: Some(timestamp(job.updated)),
        deadline: job.deadline.map(timestamp),
        failure,
        sequence: job.sequence,
        datanet: job.datanet.as_ref().map(|id| name("datanets", id)).unwrap_or_default(),
        ..proto::Proof::default()
    })
}

/// A job as it was after an event that is not its last.
pub fn proof_at(job: &Job, event: &Event) -> Result<proto::Proof, Refusal> {
    let update_time = Some(timestamp(event.at));
    let own = proof(&Job { state: event.to, failure: None, place: None, shape: None, ..job.clone() })?;
    Ok(proto::Proof { sequence: event.sequence, update_time, ..own })
}

fn failure(reason: &str, attempts: u32) -> proto::Failure {
    let known = Reason::ALL.iter().find(|known| known.name() == reason);
    // Whatever else ends a lease: the worker was lost.
    let known = known.copied().unwrap_or(Reason::WorkerLost);
    let message = match known {
        Reason::ProvingFailed => "the worker made no proof of what was executed at admission",
        Reason::ProofRejected => "the worker's proof was not accepted",
        Reason::WorkerLost => "the worker died again and again",
        _ => "a fault of the service",
    };
    proto::Failure { reason: known.name().into(), message: message.into(), retryable: true, attempts }
}

/// `proofs/{uuid}`.
pub fn proof_name(id: Uuid) -> String {
    format!("proofs/{id}")
}

/// The id in a proof's name.
pub fn proof_id(name: &str) -> Result<Uuid, Refusal> {
    let id = name.strip_prefix("proofs/").and_then(|id| Uuid::try_parse(id).ok());
    id.ok_or_else(|| Refusal::field("name", "`proofs/` and a UUID are expected"))
}

/// A proof that is not the tenant's: nobody learns whether it is somebody else's.
pub fn unknown_proof() -> Refusal {
    Refusal::new(Reason::ProofUnknown, "you have no proof of this name")
}

/// A word of the field, zero if it is absent.
pub fn word(field: &'static str, bytes: &[u8]) -> Result<(Word, Fr), Refusal> {
    if bytes.is_empty() {
        return Ok(([0; 32], Fr::zero()));
    }
    let word: Word =
        bytes.try_into().map_err(|_| Refusal::field(field, format!("32 bytes are expected, got {}", bytes.len())))?;
    let scalar =
        decode_scalar(&word).map_err(|_| Refusal::field(field, "it is not below the scalar field's modulus"))?;
    Ok((word, scalar))
}

/// A point in time.
pub fn timestamp(at: Millis) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: at.div_euclid(1_000), nanos }
}

/// A deadline in milliseconds.
pub fn deadline(given: Option<&prost_types::Timestamp>, now: Millis) -> Result<Option<Millis>, Refusal> {
    let Some(given) = given else { return Ok(None) };
    if !(0..1_000_000_000).contains(&given.nanos) {
        return Err(Refusal::field("deadline", "nanos must be 0 to 999999999"));
    }
    let at = given.seconds.checked_mul(1_000).and_then(|at| at.checked_add(i64::from(given.nanos / 1_000_000)));
    let at = at.ok_or_else(|| Refusal::field("deadline", "it is out of range"))?;
    if at <= now {
        return Err(Refusal::of(Reason::DeadlinePassed, "deadline", "the deadline has passed"));
    }
    Ok(Some(at))
}

/// How long to wait, no longer than the service keeps anybody waiting.
pub fn wait(given: Option<&prost_types::Duration>) -> Result<Duration, Refusal> {
    let Some(given) = given else { return Ok(Duration::ZERO) };
    let wait =
        Duration::try_from(*given).map_err(|_| Refusal::field("wait", "a duration of zero or more is expected"))?;
    Ok(wait.min(super::LONGEST_WAIT))
}

/// Digest of what a request asks for: all but its id and how long its caller waits.
pub fn body(request: &proto::CreateProofRequest) -> Word {
    let content = proto::CreateProofRequest { request_id: String::new(), wait: None, ..request.clone() };
    Sha256::digest(content.encode_to_vec()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        assert!(proof_id("proofs/01890a5d-ac96-774b-bcce-b302099a8057").is_ok());
        for wrong in [
            "",
            "proofs/",
            "proofs/1",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "jobs/01890a5d-ac96-774b-bcce-b302099a8057",
        ] {
            assert!(proof_id(wrong).is_err(), "{wrong}");
        }
        assert!(word("context", &[]).is_ok() && word("context", &[1; 32]).is_ok());
        assert!(word("context", &[1; 31]).is_err() && word("context", &[0xff; 32]).is_err());
        let at = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
        assert_eq!(deadline(Some(&at(5, 1_000_000)), 5_000).expect("a deadline"), Some(5_001));
        for wrong in [at(5, 0), at(6, -1), at(i64::MAX, 0), at(i64::MIN, 0)] {
            assert!(deadline(Some(&wrong), 5_000).is_err(), "{wrong:?}");
        }
        let wait = |seconds| super::wait(Some(&prost_types::Duration { seconds, nanos: 0 }));
        assert_eq!(wait(1_000_000).expect("a wait"), super::super::LONGEST_WAIT);
        assert!(wait(-1).is_err());
        assert_eq!(timestamp(-1), at(-1, 999_000_000));
    }

    #[test]
    fn the_body_is_all_but_the_id_and_the_wait() {
        let request = proto::CreateProofRequest { base: "a".into(), ..Default::default() };
        let same = proto::CreateProofRequest {
            request_id: "b".into(),
            wait: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..request.clone()
        };
        assert_eq!(body(&request), body(&same));
        assert_ne!(body(&request), body(&proto::CreateProofRequest { adapter: "a".into(), ..request.clone() }));
    }
}
