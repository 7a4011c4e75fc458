//! The inference proof and its file format.

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_circuits::layout::MAX_WITNESS_TILES;
use lorica_circuits::shape::{LABELS, LOGIT_EXPONENT, MAX_REQUESTS, MAX_TOKENS, OutputKind, Shape};

use crate::files::codec::{CodecError, Reader, Writer};
use crate::files::magic::PROOF_MAGIC;
use crate::protocol::field::Messages;
use crate::protocol::lookup::{LayerMessages, LookupMessages};
use crate::protocol::mercury::{Evaluations, MercuryProof};

const VERSION: u16 = 2;

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

impl InferenceProof {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { statement, prover_salt, witness, messages, opening } = self;
        let Statement { shape, architecture, srs, base, context, requests } = statement;
        let mut w = Writer::new(PROOF_MAGIC, VERSION);
        for value in [shape.requests, shape.tokens] {
            w.count(value);
        }
        w.u32(shape.log_tile);
        w.u8(shape.output.number());
        for scalar in [architecture, srs, base, context] {
            w.scalar(scalar);
        }
        w.count(requests.len());
        for RequestStatement { adapter, salt, ids, output } in requests {
            w.scalar(adapter);
            w.bytes(salt);
            w.count(ids.len());
            ids.iter().for_each(|&id| w.u32(id));
            w.u8(output.label());
            w.count(output.values().len());
            output.values().iter().for_each(|&v| w.i64(v));
        }
        w.scalar(prover_salt);
        w.points(witness);
        // Mercury's digests and evaluations are those of the opening.
        let Messages { lookup, forms, rounds, operands, reduction, value, mercury: _ } = messages;
        lookup.root.iter().for_each(|s| w.scalar(s));
        w.count(lookup.layers.len());
        for LayerMessages { rounds, children } in &lookup.layers {
            pairs(&mut w, rounds);
            children.iter().for_each(|s| w.scalar(s));
        }
        w.scalars(forms.iter());
        pairs(&mut w, rounds);
        w.scalars(operands.iter());
        pairs(&mut w, reduction);
        w.scalar(value);
        let MercuryProof { h, q, g, s, d, quot, w: batch, w_prime, evaluations } = opening;
        for point in [h, q, g, s, d, quot, batch, w_prime] {
            w.point(point);
        }
        evaluations.as_array().into_iter().for_each(|e| w.scalar(e));
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError`] names the field.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes, "proof", PROOF_MAGIC, VERSION)?;
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let (requests, tokens) = (number(r.u32("requests")?), number(r.u32("tokens")?));
        let log_tile = r.u32("tau")?;
        let output = r.output_kind()?;
        let shape = Shape { requests, tokens, log_tile, output };
        let [architecture, srs, base, context] = r.scalar_array("statement word")?;
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
            list.push(RequestStatement { adapter, salt, ids, output });
        }
        let prover_salt = r.scalar("prover salt")?;
        let witness = r.points("witness commitments", MAX_WITNESS_TILES)?;
        let root = r.scalar_array("lookup root")?;
        let mut layers = Vec::new();
        for _ in 0..r.count("lookup layers", 64, 4)? {
            let rounds = read_pairs(&mut r, "lookup rounds")?;
            layers.push(LayerMessages { rounds, children: r.scalar_array("lookup children")? });
        }
        let forms = r.scalars("form values", 256)?;
        let rounds = read_pairs(&mut r, "relation rounds")?;
        let operands = r.scalars("operand values", 256)?;
        let reduction = read_pairs(&mut r, "reduction rounds")?;
        let value = r.scalar("tile value")?;
        let mut point = || r.point("opening");
        let (h, q, g, s, d) = (point()?, point()?, point()?, point()?, point()?);
        let (quot, batch, w_prime) = (point()?, point()?, point()?);
        let [g_at, g_inverse, h_at, h_inverse, s_at, s_inverse] = r.scalar_array("opening evaluation")?;
        let evaluations = Evaluations { g: g_at, g_inverse, h: h_at, h_inverse, s: s_at, s_inverse };
        r.finish()?;
        let opening = MercuryProof { h, q, g, s, d, quot, w: batch, w_prime, evaluations };
        let mercury = opening.messages();
        let lookup = LookupMessages { root, layers };
        Ok(Self {
            statement: Statement { shape, architecture, srs, base, context, requests: list },
            prover_salt,
            witness,
            messages: Messages { lookup, forms, rounds, operands, reduction, value, mercury },
            opening,
        })
    }
}
