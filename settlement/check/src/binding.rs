//! What a settlement is bound to on chain: one statement word, which the contract recomputes.

use lorica_circuits::bn254::Fr;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::protocol::keccak::keccak_bytes;

/// Most requests of a batch.
const MAX_REQUESTS: usize = lorica_circuits::shape::MAX_REQUESTS;

/// One request as the chain knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundRequest {
    /// Its id, a big-endian word.
    pub id: [u8; 32],
    /// Its fee, a big-endian word.
    pub fee: [u8; 32],
}

/// Chain, contract that acts on the proof, payee, and the requests' ids and fees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Chain id.
    pub chain_id: u64,
    /// The contract that acts on the proof: `msg.sender` of the check.
    pub consumer: [u8; 20],
    /// Who is paid.
    pub payee: [u8; 20],
    /// In batch order, ids strictly ascending.
    pub requests: Vec<BoundRequest>,
}

/// A binding that no contract accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// No request, or more than a batch holds.
    #[error("a binding has 1 to {MAX_REQUESTS} requests, got {got}")]
    Count {
        /// Requests.
        got: usize,
    },
    /// Ids must ascend, so that none occurs twice.
    #[error("request {index}: its id is not above the one before")]
    Order {
        /// Index in the batch.
        index: usize,
    },
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

fn address_word(address: &[u8; 20]) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(address);
    word
}

impl Binding {
    /// Checks number and order of the requests.
    ///
    /// # Errors
    /// [`BindingError`].
    pub fn validate(&self) -> Result<(), BindingError> {
        let got = self.requests.len();
        if got == 0 || got > MAX_REQUESTS {
            return Err(BindingError::Count { got });
        }
        let next = self.requests.iter().skip(1);
        match self.requests.iter().zip(next).position(|(own, next)| own.id >= next.id) {
            Some(index) => Err(BindingError::Order { index: index + 1 }),
            None => Ok(()),
        }
    }

    /// `keccak256(abi.encode(chain id, consumer, payee, ids, fees)) mod r`: the context of the inference proof.
    #[must_use]
    pub fn context(&self) -> Fr {
        let count = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        let mut words = vec![
            word(self.chain_id),
            address_word(&self.consumer),
            address_word(&self.payee),
            word(5 * 32),
            word((6 + count) * 32),
            word(count),
        ];
        words.extend(self.requests.iter().map(|request| request.id));
        words.push(word(count));
        words.extend(self.requests.iter().map(|request| request.fee));
        keccak_bytes(words.as_flattened())
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.u64(self.chain_id);
        w.bytes(&self.consumer);
        w.bytes(&self.payee);
        w.count(self.requests.len());
        for request in &self.requests {
            w.bytes(&request.id);
            w.bytes(&request.fee);
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let chain_id = r.u64("chain id")?;
        let (consumer, payee) = (r.array("consumer")?, r.array("payee")?);
        let count = r.count("bound requests", MAX_REQUESTS, 64)?;
        let requests = (0..count)
            .map(|_| Ok(BoundRequest { id: r.array("request id")?, fee: r.array("fee")? }))
            .collect::<Result<_, CodecError>>()?;
        Ok(Self { chain_id, consumer, payee, requests })
    }
}
