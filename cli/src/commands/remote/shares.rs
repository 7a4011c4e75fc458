//! Contributors' shares that the service states.

use lorica::datanet::source::Contributor;
use lorica::files::Description;
use lorica_service::client::Client;
use lorica_service::proto;
use lorica_verifier::IndexKey;
use lorica_verifier::protocol::keccak::decode_scalar;
use lorica_verifier::protocol::proof::Share;
use serde_json::Value;

use super::CALL;
use crate::commands::shares::{Listed, with_shares};
use crate::error::Error;
use crate::output::Output;

/// An object with an answer's shares, which are printed too; as it is if no datanet was asked for. The service says who the
/// contributors are: `lorica verify --datanet` takes them from a key that is trusted.
pub(super) fn shown(
    client: &mut Client,
    object: Value,
    datanet: &str,
    given: &proto::Answer,
    out: &Output,
) -> Result<Value, Error> {
    let id = datanet.strip_prefix("datanets/").and_then(|digits| {
        let mut id = [0; 32];
        hex::decode_to_slice(digits, &mut id).ok().and_then(|()| decode_scalar(&id).ok())
    });
    let Some(index) = id else { return Ok(object) };
    let key = client.get_key(proto::GetKeyRequest { name: datanet.into() }, CALL)?.key;
    // A key of another index names others.
    let key = IndexKey::decode(&key).ok().filter(|key| key.id() == index);
    let described = key.and_then(|key| Description::decode(&key).ok());
    let contributors: Vec<Contributor> = described.map(|own| own.contributors).unwrap_or_default();
    let number = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    let share = |own: &proto::Share| Share { slot: number(own.slot), share: number(own.parts) };
    let shares: Vec<Share> = given.shares.iter().map(share).collect();
    let listed = Listed { index, shares: &shares, contributors: &contributors };
    Ok(with_shares(object, Some(listed), Some(out)))
}
