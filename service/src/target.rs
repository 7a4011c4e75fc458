//! What a job's settlement is for: the binding, and the circuit whose key is to check it. Stored and handed to the proving
//! process as JSON.

use lorica::binding;
use lorica::settlement::binding::Binding;
use serde_json::{Value, json};

use crate::store::Word;

/// A settlement that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is bound to.
    pub binding: Binding,
    /// The circuit's id.
    pub circuit: Word,
    /// Requests of the circuit's shape.
    pub requests: usize,
    /// Tokens of the circuit's shape.
    pub tokens: usize,
    /// Encoded terms of the requests, in the binding's order: whoever hands the settlement in needs those too that ended meanwhile.
    pub terms: Vec<Vec<u8>>,
}

impl Target {
    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { binding, circuit, requests, tokens, terms } = self;
        let terms: Vec<String> = terms.iter().map(hex::encode).collect();
        let own = json!({
            "binding": binding::to_json(binding), "circuit": hex::encode(circuit), "requests": requests, "tokens": tokens,
            "terms": terms,
        });
        own.to_string().into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// What is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let size = |name: &str| {
            let number = value.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| format!("{name} is no number"))
        };
        let binding = value.get("binding").map(ToString::to_string).unwrap_or_default();
        let binding = binding::parse(binding.as_bytes()).map_err(|error| error.to_string())?;
        let mut circuit = [0; 32];
        let digits = value.get("circuit").and_then(Value::as_str).unwrap_or_default();
        hex::decode_to_slice(digits, &mut circuit).map_err(|_| "circuit is no word".to_owned())?;
        // Those of earlier versions have none.
        let terms = value.get("terms").and_then(Value::as_array).into_iter().flatten().map(|terms| {
            let bytes = terms.as_str().and_then(|digits| hex::decode(digits).ok());
            bytes.ok_or_else(|| "terms are no bytes".to_owned())
        });
        let terms = terms.collect::<Result<_, _>>()?;
        Ok(Self { binding, circuit, requests: size("requests")?, tokens: size("tokens")?, terms })
    }
}

#[cfg(test)]
mod tests {
    use lorica::settlement::binding::BoundRequest;

    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written() {
        let request = BoundRequest { id: [7; 32], fee: [9; 32] };
        let binding = Binding { chain_id: 31337, consumer: [1; 20], payee: [2; 20], requests: vec![request] };
        let own = Target { binding, circuit: [3; 32], requests: 1, tokens: 32, terms: vec![vec![5; 3]] };
        assert_eq!(Target::decode(&own.encode()), Ok(own));
        for wrong in [&b"{}"[..], b"", b"[1]"] {
            assert!(Target::decode(wrong).is_err());
        }
    }
}
