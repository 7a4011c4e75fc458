//! A binding file: what a settlement is bound to on chain.
//!
//! ```json
//! { "chain_id": 31337, "consumer": "0x…20 bytes", "payee": "0x…20 bytes",
//!   "requests": [ { "id": "0x2a", "fee": "1000000" } ] }
//! ```
//! Ids and fees are words: numbers, decimal strings, or hexadecimal strings with `0x`.

use std::path::Path;

use lorica_settlement::binding::{Binding, BindingError, BoundRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::files::{FileError, store};

/// Largest binding file.
const MAX_BYTES: u64 = 1 << 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chain_id: u64,
    consumer: String,
    payee: String,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    id: Value,
    fee: Value,
}

/// Reads a binding file.
///
/// # Errors
/// [`FileError`] names file and field.
pub fn read(path: &Path) -> Result<Binding, FileError> {
    parse(&store::read(path, MAX_BYTES)?).map_err(|error| FileError::content(path, error))
}

/// Why a text is no binding.
#[derive(Debug, thiserror::Error)]
pub enum BindingTextError {
    /// It is no JSON of this form.
    #[error("not a binding: {0}")]
    Json(#[from] serde_json::Error),
    /// An address is none.
    #[error("{field}: 0x and 40 hexadecimal digits are needed")]
    Address {
        /// `consumer` or `payee`.
        field: &'static str,
    },
    /// A number is none.
    #[error("request {request}: {field} is not a number of at most 256 bits")]
    Number {
        /// Index in the batch.
        request: usize,
        /// `id` or `fee`.
        field: &'static str,
    },
    /// No contract accepts it.
    #[error(transparent)]
    Binding(#[from] BindingError),
}

/// Reads a binding.
///
/// # Errors
/// [`BindingTextError`] names the field.
pub fn parse(json: &[u8]) -> Result<Binding, BindingTextError> {
    let file: File = serde_json::from_slice(json)?;
    let address = |field, text: &str| parse_address(text).ok_or(BindingTextError::Address { field });
    let mut requests = Vec::new();
    for (request, own) in file.requests.iter().enumerate() {
        let number = |field, value| parse_word(value).ok_or(BindingTextError::Number { request, field });
        requests.push(BoundRequest { id: number("id", &own.id)?, fee: number("fee", &own.fee)? });
    }
    let binding = Binding {
        chain_id: file.chain_id,
        consumer: address("consumer", &file.consumer)?,
        payee: address("payee", &file.payee)?,
        requests,
    };
    binding.validate()?;
    Ok(binding)
}

/// As JSON, in the form that [`parse`] takes.
#[must_use]
pub fn to_json(binding: &Binding) -> Value {
    let hexadecimal = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let requests: Vec<Value> = binding
        .requests
        .iter()
        .map(|request| json!({ "id": hexadecimal(&request.id), "fee": hexadecimal(&request.fee) }))
        .collect();
    json!({
        "chain_id": binding.chain_id, "consumer": hexadecimal(&binding.consumer),
        "payee": hexadecimal(&binding.payee), "requests": requests,
    })
}

fn parse_address(text: &str) -> Option<[u8; 20]> {
    hex::decode(text.strip_prefix("0x")?).ok()?.try_into().ok()
}

/// A word from a JSON number or string.
fn parse_word(value: &Value) -> Option<[u8; 32]> {
    let text = match value {
        Value::Number(number) => number.as_u64()?.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let mut word = [0u8; 32];
    if let Some(digits) = text.strip_prefix("0x") {
        if digits.is_empty() || digits.len() > 64 {
            return None;
        }
        let bytes = hex::decode(format!("{digits:0>64}")).ok()?;
        word.copy_from_slice(&bytes);
        return Some(word);
    }
    if text.is_empty() {
        return None;
    }
    for digit in text.chars() {
        let mut carry = digit.to_digit(10)?;
        for byte in word.iter_mut().rev() {
            let value = u32::from(*byte) * 10 + carry;
            *byte = u8::try_from(value & 0xff).ok()?;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decimal_or_hexadecimal() {
        let low =
            |value: Value| parse_word(&value).map(|word| (word[..30].iter().all(|b| *b == 0), word[30], word[31]));
        assert_eq!(low(json!(258)), Some((true, 1, 2)));
        assert_eq!(low(json!("258")), Some((true, 1, 2)));
        assert_eq!(low(json!("0x102")), Some((true, 1, 2)));
        assert_eq!(low(json!("0")), Some((true, 0, 0)));
        for bad in [json!(""), json!("0x"), json!("-1"), json!(-1), json!(1.5), json!("1 "), json!(null), json!("0xg")]
        {
            assert_eq!(parse_word(&bad), None, "{bad}");
        }
        let top = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(parse_word(&json!(top)), Some([0xff; 32]));
        assert_eq!(parse_word(&json!(format!("{}6", &top[..top.len() - 1]))), None, "2^256");
        assert_eq!(parse_word(&json!(format!("0x1{}", "0".repeat(64)))), None, "2^256");
    }
}
