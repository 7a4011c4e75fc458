//! Routes that a requester trusts, pinned in the file of addresses.
//!
//! A request names routes by their ordinals at an escrow, and a node says which route an ordinal stands for. So that no node and
//! no governance can put another route in its place, the client keeps the ids of the routes that its user has looked at.

use alloy_primitives::{B256, U256};
use serde_json::{Value, json};

/// A route that the user trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The router's route: its id says circuit, verifier, the verifier's code and gas cap.
    pub route: B256,
    /// The circuit that it checks.
    pub circuit: B256,
    /// Its ordinal at the escrow.
    pub ordinal: u8,
    /// Its ordinal at the escrow of prepaid requests.
    pub prepaid_ordinal: u8,
}

/// The field of the file of addresses.
const FIELD: &str = "routes";

/// Reads the pins of a file of addresses; none if one of them is malformed.
#[must_use]
pub fn from_json(file: &Value) -> Option<Vec<Pin>> {
    let Some(pins) = file.get(FIELD) else { return Some(Vec::new()) };
    let pin = |pin: &Value| {
        let id = |name: &str| pin.get(name)?.as_str()?.parse().ok();
        let ordinal = |name: &str| u8::try_from(pin.get(name)?.as_u64()?).ok();
        Some(Pin {
            route: id("route")?,
            circuit: id("circuit")?,
            ordinal: ordinal("ordinal")?,
            prepaid_ordinal: ordinal("prepaid_ordinal")?,
        })
    };
    pins.as_array()?.iter().map(pin).collect()
}

/// Writes the pins into a file of addresses.
pub fn set_json(file: &mut Value, pins: &[Pin]) {
    let pins = pins.iter().map(|pin| {
        json!({
            "route": pin.route.to_string(), "circuit": pin.circuit.to_string(),
            "ordinal": pin.ordinal, "prepaid_ordinal": pin.prepaid_ordinal,
        })
    });
    if let Some(object) = file.as_object_mut() {
        object.insert(FIELD.into(), pins.collect());
    }
}

/// The word in which a request names these ordinals.
pub fn mask(ordinals: impl IntoIterator<Item = u8>) -> U256 {
    ordinals.into_iter().fold(U256::ZERO, |mask, ordinal| mask | (U256::ONE << usize::from(ordinal)))
}
