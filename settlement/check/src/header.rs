//! What a settlement key says of its circuit's shape and layout. The circuit has two words of it as constants among its
//! public words, and the contract computes both from the key, so that a key which says something else has no proofs.
//!
//! ```text
//! shape word  = attribution · 2^128 + kind · 2^96 + M · 2^64 + T · 2^32 + τ
//! layout word = Keccak-256(architecture id ‖ M ‖ T ‖ kind ‖ attribution ‖ τ ‖ tile index bits ‖ regions ‖ occupied tiles) mod r
//! ```
//! Attribution is log2 of the records of the index, zero for a circuit that does not attribute. Regions are base, tables,
//! adapters, the index if the circuit attributes, witness. A circuit of index proofs has kind 3, no requests and no tokens, and the
//! regions none, none, none, index, witness: as many as a circuit that attributes.
//!
//! # Soundness
//! Kind, M, T and τ are below 2^32, which the contract checks of its key, so the shape word is injective. Two headers with one
//! layout word are a collision of Keccak-256 modulo r. The words bind a key's header to the circuit whose commitments stand
//! beside it; that these commitments are of the honest circuit only making the key again shows.

use lorica_circuits::bn254::{Fr, PrimeField};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::Shape;
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::keccak::keccak_bytes;
use lorica_verifier::protocol::multilinear::power_of_two;

use crate::shape::{CircuitShape, Subject};

/// log2 of the records of a circuit's index; zero says that a circuit tells nothing of whose records an answer rests on.
#[must_use]
pub fn attribution(shape: &Shape) -> u8 {
    shape.record_bits().and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0)
}

/// The two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Attribution, kind of output, M, T and τ.
    pub shape: Fr,
    /// Digest of architecture, shape and layout.
    pub layout: Fr,
}

pub(crate) fn word(n: usize) -> Fr {
    Fr::from(u64::try_from(n).unwrap_or(u64::MAX))
}

impl Header {
    /// Of a shape and its layout.
    #[must_use]
    pub fn of(of: &CircuitShape, layout: &Layout) -> Self {
        let [requests, tokens] = of.texts();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let fields = [u32::from(of.kind()), number(requests), number(tokens), of.shape.log_tile];
        let shape = fields.iter().fold(0u128, |word, field| (word << 32) | u128::from(*field));
        let mut content = Writer::default();
        write_layout(&mut content, of, layout);
        write_occupied(&mut content, layout);
        let attribution = Fr::from(u64::from(attribution(&of.shape))) * power_of_two(128);
        Self { shape: Fr::from_u128(shape) + attribution, layout: keccak_bytes(content.content()) }
    }
}

/// Words of a key from the architecture's id to the regions.
pub(crate) fn write_layout(w: &mut Writer, of: &CircuitShape, layout: &Layout) {
    let shape = &of.shape;
    w.scalar(&of.architecture_digest);
    of.texts().iter().for_each(|count| w.scalar(&word(*count)));
    w.scalar(&Fr::from(u64::from(of.kind())));
    w.scalar(&Fr::from(u64::from(attribution(shape))));
    w.scalar(&Fr::from(u64::from(shape.log_tile)));
    w.scalar(&Fr::from(u64::from(layout.tile_index_bits())));
    if of.subject == Subject::Index {
        // No base, no tables and no adapters.
        [0; 6].iter().for_each(|none| w.scalar(&word(*none)));
    }
    for &(region, _, _) in layout.regions() {
        let tiles = layout.tiles(region, 0);
        w.scalar(&word(tiles.first));
        w.scalar(&word(tiles.count));
    }
}

/// Maps of the occupied tiles, with which a key ends.
pub(crate) fn write_occupied(w: &mut Writer, layout: &Layout) {
    for region in [Region::BASE, Region::TABLE] {
        for tiles in layout.occupied(region).chunks(256) {
            // The first tile is the lowest bit of the last byte.
            let byte = |eight: &[bool]| eight.iter().rev().fold(0u8, |byte, tile| (byte << 1) | u8::from(*tile));
            let mut bytes: Vec<u8> = tiles.chunks(8).map(byte).collect();
            bytes.resize(32, 0);
            bytes.reverse();
            w.bytes(&bytes);
        }
    }
}
