//! The inference proof and its file format.

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_circuits::layout::MAX_WITNESS_TILES;
use lorica_circuits::shape::{
    LABELS, LOGIT_EXPONENT, MAX_REQUESTS, MAX_TOKENS, OutputKind, PLACES, SHARE_ENTRY_BITS, SHARE_SLOT_BITS,
    SHARES_PER_WORD, Shape,
};

use crate::codec::{CodecError, Reader, Writer};
use crate::keccak::encode_scalar;
use crate::magic::PROOF_MAGIC;
use crate::protocol::field::Messages;
use crate::protocol::lookup::{LayerMessages, LookupMessages};
use crate::protocol::mercury::{Evaluations, MercuryProof};
use crate::protocol::multilinear::power_of_two;

const VERSION: u16 = 2;
/// Version of the file of a batch that attributes.
const ATTRIBUTING_VERSION: u16 = 3;

/// What one request published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Integer sums per channel over the real tokens.
    Embed {
        /// `hidden` sums.
        sums: Vec<i64>,
    },
    /// Integer logits and the lowest index of the largest.
    Classify {
        /// Sixteen logits.
        logits: Vec<i64>,
        /// The label.
        label: u8,
    },
}

/// A logit as a float, as people are shown it.
#[must_use]
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "logits are below 2^47")]
pub fn score(logit: i64) -> f64 {
    logit as f64 / f64::from(LOGIT_EXPONENT).exp2()
}

/// An embedding at L2 norm 1, as people are shown it: its scale does not matter.
#[must_use]
pub fn normalised(sums: &[i64]) -> Vec<f64> {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "sums are below 2^23")]
    let values: Vec<f64> = sums.iter().map(|&sum| sum as f64).collect();
    let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    values.into_iter().map(|x| x / norm).collect()
}

impl Output {
    /// The integers.
    #[must_use]
    pub fn values(&self) -> &[i64] {
        match self {
            Self::Embed { sums } => sums,
            Self::Classify { logits, .. } => logits,
        }
    }
    /// The label; zero for embeddings.
    #[must_use]
    pub fn label(&self) -> u8 {
        match self {
            Self::Embed { .. } => 0,
            Self::Classify { label, .. } => *label,
        }
    }
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> OutputKind {
        match self {
            Self::Embed { .. } => OutputKind::Embed,
            Self::Classify { .. } => OutputKind::Classify,
        }
    }
}

/// A contributor's share of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The contributor, by slot of the datanet version.
    pub slot: u16,
    /// `⌊2^16·S/(T + 1)⌋` of its sum S and the sum T of all: parts of 65,535 that the shares of an honest index do not exceed together.
    pub share: u16,
}

/// Words of a list of shares: `word[w] = Σ_k 2^(28·k)·(slot + 2^12·share)` of the places `8·w + k`.
#[must_use]
pub fn share_words(shares: &[Share]) -> Vec<Fr> {
    let entry =
        |own: &Share| Fr::from(u64::from(own.slot)) + Fr::from(u64::from(own.share)) * power_of_two(SHARE_SLOT_BITS);
    let step = power_of_two(SHARE_ENTRY_BITS);
    shares
        .chunks(SHARES_PER_WORD)
        .map(|own| own.iter().rev().fold(Fr::zero(), |word, own| word * step + entry(own)))
        .collect()
}

/// The list of shares of words: what [`share_words`] makes words of. `None` if a word has more than eight entries.
#[must_use]
pub fn shares_of(words: &[Fr]) -> Option<Vec<Share>> {
    let (entry, slot) = (usize::try_from(SHARE_ENTRY_BITS).ok()?, usize::try_from(SHARE_SLOT_BITS).ok()?);
    let mut shares = Vec::with_capacity(words.len().saturating_mul(SHARES_PER_WORD));
    for word in words {
        let bytes = encode_scalar(word);
        // Least significant bit first.
        let bits: Vec<bool> = bytes.iter().rev().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1)).collect();
        let (entries, rest) = bits.split_at_checked(SHARES_PER_WORD.saturating_mul(entry))?;
        if rest.contains(&true) {
            return None;
        }
        let number = |bits: &[bool]| bits.iter().rev().fold(0u16, |sum, bit| sum << 1 | u16::from(*bit));
        for own in entries.chunks(entry) {
            let (low, high) = own.split_at_checked(slot)?;
            shares.push(Share { slot: number(low), share: number(high) });
        }
    }
    Some(shares)
}

/// By which index a batch attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// Id of the index.
    pub index: Fr,
    /// Id of the adapter that the index is of: requests with it attribute.
    pub adapter: Fr,
}

/// One request of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestStatement {
    /// Id of its adapter; zero for none.
    pub adapter: Fr,
    /// Input salt.
    pub salt: [u8; 31],
    /// Token ids.
    pub ids: Vec<u32>,
    /// What was computed.
    pub output: Output,
    /// In a batch that attributes, the contributors with the largest shares, by slot; else none. A request with another
    /// adapter than the index' has shares of zero.
    pub shares: Vec<Share>,
}

/// What a proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Shape of the batch.
    pub shape: Shape,
    /// Digest of architecture and tables.
    pub architecture: Fr,
    /// Digest of the SRS.
    pub srs: Fr,
    /// Id of the base.
    pub base: Fr,
    /// Binds the proof to its use; zero if absent.
    pub context: Fr,
    /// By which index, in a batch that attributes.
    pub attribution: Option<Attribution>,
    /// One to `shape.requests` requests.
    pub requests: Vec<RequestStatement>,
}

/// A proof of a batch of inferences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferenceProof {
    /// What it says.
    pub statement: Statement,
    /// Fresh private salt.
    pub prover_salt: Fr,
    /// Commitments to the witness tiles and the mask tile.
    pub witness: Vec<G1Affine>,
    /// Messages of the field part.
    pub messages: Messages<Fr>,
    /// The opening.
    pub opening: MercuryProof,
}

fn pairs<const N: usize>(writer: &mut Writer, rounds: &[[Fr; N]]) {
    writer.count(rounds.len());
    rounds.iter().flatten().for_each(|s| writer.scalar(s));
}

fn read_pairs<const N: usize>(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<[Fr; N]>, CodecError> {
    let count = reader.count(what, 64, N.saturating_mul(32))?;
    (0..count).map(|_| reader.scalar_array(what)).collect()
}

/// What the prover sends of any program, besides the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramProof {
    /// The private salt under which the challenges were drawn.
    pub prover_salt: Fr,
    /// Commitments to the witness tiles and the mask.
    pub witness: Vec<G1Affine>,
    /// Messages of the field part.
    pub messages: Messages<Fr>,
    /// The opening.
    pub opening: MercuryProof,
}

/// What the files of all proofs have behind their statements.
pub(crate) fn write_messages(
    w: &mut Writer,
    prover_salt: &Fr,
    witness: &[G1Affine],
    messages: &Messages<Fr>,
    opening: &MercuryProof,
) {
    w.scalar(prover_salt);
    w.points(witness);
    // Mercury's digests and evaluations are those of the opening.
    let Messages { lookup, forms, rounds, operands, reduction, value, mercury: _ } = messages;
    lookup.root.iter().for_each(|s| w.scalar(s));
    w.count(lookup.layers.len());
    for LayerMessages { rounds, children } in &lookup.layers {
        pairs(w, rounds);
        children.iter().for_each(|s| w.scalar(s));
    }
    w.scalars(forms.iter());
    pairs(w, rounds);
    w.scalars(operands.iter());
    pairs(w, reduction);
    w.scalar(value);
    let MercuryProof { h, q, g, s, d, quot, w: batch, w_prime, evaluations } = opening;
    for point in [h, q, g, s, d, quot, batch, w_prime] {
        w.point(point);
    }
    evaluations.as_array().into_iter().for_each(|e| w.scalar(e));
}

/// Reads what [`write_messages`] wrote.
pub(crate) fn read_messages(r: &mut Reader<'_>) -> Result<ProgramProof, CodecError> {
    let prover_salt = r.scalar("prover salt")?;
    let witness = r.points("witness commitments", MAX_WITNESS_TILES)?;
    let root = r.scalar_array("lookup root")?;
    let mut layers = Vec::new();
    for _ in 0..r.count("lookup layers", 64, 4)? {
        let rounds = read_pairs(r, "lookup rounds")?;
        layers.push(LayerMessages { rounds, children: r.scalar_array("lookup children")? });
    }
    let forms = r.scalars("form values", 256)?;
    let rounds = read_pairs(r, "relation rounds")?;
    let operands = r.scalars("operand values", 256)?;
    let reduction = read_pairs(r, "reduction rounds")?;
    let value = r.scalar("tile value")?;
    let mut point = || r.point("opening");
    let (h, q, g, s, d) = (point()?, point()?, point()?, point()?, point()?);
    let (quot, batch, w_prime) = (point()?, point()?, point()?);
    let [g_at, g_inverse, h_at, h_inverse, s_at, s_inverse] = r.scalar_array("opening evaluation")?;
    let evaluations = Evaluations { g: g_at, g_inverse, h: h_at, h_inverse, s: s_at, s_inverse };
    let opening = MercuryProof { h, q, g, s, d, quot, w: batch, w_prime, evaluations };
    let mercury = opening.messages();
    let lookup = LookupMessages { root, layers };
    let messages = Messages { lookup, forms, rounds, operands, reduction, value, mercury };
    Ok(ProgramProof { prover_salt, witness, messages, opening })
}

impl InferenceProof {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { statement, prover_salt, witness, messages, opening } = self;
        let Statement { shape, architecture, srs, base, context, attribution, requests } = statement;
        let version = if attribution.is_some() { ATTRIBUTING_VERSION } else { VERSION };
        let mut w = Writer::new(PROOF_MAGIC, version);
        for value in [shape.requests, shape.tokens] {
            w.count(value);
        }
        w.u32(shape.log_tile);
        w.u8(shape.output.number());
        for scalar in [architecture, srs, base, context] {
            w.scalar(scalar);
        }
        if let Some(Attribution { index, adapter }) = attribution {
            w.count(shape.records);
            w.scalar(index);
            w.scalar(adapter);
        }
        w.count(requests.len());
        for RequestStatement { adapter, salt, ids, output, shares } in requests {
            w.scalar(adapter);
            w.bytes(salt);
            w.count(ids.len());
            ids.iter().for_each(|&id| w.u32(id));
            w.u8(output.label());
            w.count(output.values().len());
            output.values().iter().for_each(|&v| w.i64(v));
            if attribution.is_some() {
                w.count(shares.len());
                for Share { slot, share } in shares {
                    w.bytes(&slot.to_be_bytes());
                    w.bytes(&share.to_be_bytes());
                }
            }
        }
        write_messages(&mut w, prover_salt, witness, messages, opening);
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let attributes =
            bytes.get(PROOF_MAGIC.len()..).is_some_and(|rest| rest.starts_with(&ATTRIBUTING_VERSION.to_be_bytes()));
        let version = if attributes { ATTRIBUTING_VERSION } else { VERSION };
        let mut r = Reader::new(bytes, "proof", PROOF_MAGIC, version)?;
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let (requests, tokens) = (number(r.u32("requests")?), number(r.u32("tokens")?));
        let log_tile = r.u32("tau")?;
        let output = r.output_kind()?;
        let [architecture, srs, base, context] = r.scalar_array("statement word")?;
        let (records, attribution) = if attributes {
            let records = r.u32("records")?;
            if records == 0 {
                return Err(CodecError::Value { what: "records", got: 0 });
            }
            let [index, adapter] = r.scalar_array("index")?;
            (number(records), Some(Attribution { index, adapter }))
        } else {
            (0, None)
        };
        let shape = Shape { requests, tokens, log_tile, output, records };
        let mut list = Vec::new();
        for _ in 0..r.count("requests", MAX_REQUESTS, 32)? {
            let adapter = r.scalar("adapter")?;
            let salt = r.array("salt")?;
            let ids = (0..r.count("ids", MAX_TOKENS, 4)?).map(|_| r.u32("id")).collect::<Result<_, _>>()?;
            let label = r.u8("label")?;
            let bound = if output == OutputKind::Classify { LABELS } else { 4096 };
            let values: Vec<i64> =
                (0..r.count("outputs", bound, 8)?).map(|_| r.i64("output")).collect::<Result<_, _>>()?;
            let output = match output {
                OutputKind::Classify => Output::Classify { logits: values, label },
                OutputKind::Embed if label == 0 => Output::Embed { sums: values },
                OutputKind::Embed => return Err(CodecError::Value { what: "label", got: label.into() }),
            };
            let mut shares = Vec::new();
            if attributes {
                for _ in 0..r.count("shares", PLACES, 4)? {
                    let (slot, share) = (u16::from_be_bytes(r.array("slot")?), u16::from_be_bytes(r.array("share")?));
                    shares.push(Share { slot, share });
                }
            }
            list.push(RequestStatement { adapter, salt, ids, output, shares });
        }
        let ProgramProof { prover_salt, witness, messages, opening } = read_messages(&mut r)?;
        r.finish()?;
        let statement = Statement { shape, architecture, srs, base, context, attribution, requests: list };
        Ok(Self { statement, prover_salt, witness, messages, opening })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_lists_of_shares() {
        let own = |k: u16| Share { slot: 1_023 - k, share: u16::MAX - 3 * k };
        let shares: Vec<Share> = (0..32).map(own).collect();
        let words = share_words(&shares);
        assert_eq!((words.len(), shares_of(&words)), (4, Some(shares)));
        assert_eq!(shares_of(&[Fr::zero()]), Some(vec![Share { slot: 0, share: 0 }; 8]));
        assert_eq!(shares_of(&[power_of_two(224)]), None);
    }
}
