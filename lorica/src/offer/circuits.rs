//! By which circuits a prover settles: it holds their keys, and requests trust their routes.

use std::path::Path;

use lorica_chain::alloy_primitives::{B256, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::escrow::Escrow;
use lorica_chain::contracts::pins::{self, Pin};
use lorica_chain::error::ChainError;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::statement::CircuitShape;
use lorica_verifier::protocol::key::BaseCommitments;

use crate::files::{FileError, store};

/// Largest settlement key.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// A circuit that can settle a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Its id.
    pub id: B256,
    /// Requests of its shape, to which a batch is padded.
    pub requests: usize,
    /// Tokens of its shape, to which texts are padded.
    pub tokens: usize,
}

/// The circuits whose settlement keys (.vk) a prover has.
#[derive(Debug, Default)]
pub struct Circuits {
    known: Vec<(CircuitShape, Circuit)>,
}

impl Circuits {
    /// Reads settlement keys. A key can lie: it is trusted by its circuit's id, which a file of addresses pins.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self, FileError> {
        let mut known = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let bytes = store::read(path, MAX_KEY_BYTES)?;
            let key = VerifyingKey::decode(&bytes).map_err(|error| FileError::content(path, error))?;
            known.push(Self::entry(&key));
        }
        Ok(Self { known })
    }

    /// Of keys in memory.
    #[must_use]
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Self {
        Self { known: keys.into_iter().map(Self::entry).collect() }
    }

    fn entry(key: &VerifyingKey) -> (CircuitShape, Circuit) {
        let of = key.circuit_shape().clone();
        let Shape { requests, tokens, .. } = of.shape;
        (of, Circuit { id: key.circuit_id().into(), requests, tokens })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Circuit> + '_ {
        self.known.iter().map(|(_, circuit)| *circuit)
    }

    /// The cheapest one that settles so many requests of a base, of one kind, with up to so many tokens; attributed by an index
    /// with room for so many records, or by none (zero).
    #[must_use]
    pub fn settling(
        &self,
        base: &BaseCommitments,
        kind: OutputKind,
        requests: usize,
        tokens: usize,
        records: usize,
    ) -> Option<Circuit> {
        let settles = |(of, circuit): &&(CircuitShape, Circuit)| {
            let padded = base.architecture.shape(circuit.requests, circuit.tokens, base.log_tile, kind);
            let padded = padded.and_then(|shape| if records == 0 { Ok(shape) } else { shape.attributing(records) });
            let own = padded.is_ok_and(|shape| CircuitShape::of(base, shape) == *of);
            own && circuit.requests >= requests && circuit.tokens >= tokens
        };
        let cost = |circuit: &Circuit| circuit.requests.saturating_mul(circuit.tokens);
        self.known.iter().filter(settles).map(|(_, circuit)| *circuit).min_by_key(cost)
    }
}

/// Routes of a circuit that are pinned and check settlements now, as bits of their ordinals. A route counts as pinned with its id
/// at its ordinal: no node can put another one in its place.
///
/// # Errors
/// [`ChainError`].
pub fn pinned_routes(
    chain: &mut impl Chain,
    escrow: Escrow,
    pinned: &[Pin],
    circuit: B256,
) -> Result<U256, ChainError> {
    let now = chain.timestamp()?;
    let routes = escrow.routes(chain)?;
    let is_pinned = |ordinal: u8, route: B256| pinned.iter().any(|pin| pin.ordinal == ordinal && pin.route == route);
    let own = routes.iter().filter(|named| named.route.circuit == circuit && named.route.is_live(now));
    Ok(pins::mask(own.filter(|named| is_pinned(named.ordinal, named.route.id)).map(|named| named.ordinal)))
}
