//! What a proof says, as scalars: the words that enter the transcript before any challenge.
//!
//! Order (`docs/protocol/README.md`): (0) version, architecture, shape, SRS, base, scales word, adapters' word, number of
//! requests, context; (1) digest of the witness tiles; (2) prover salt, and per request input digest, label and output
//! digest, which are computed here from ids, length, salt and outputs. A batch that attributes has the index' id and the
//! word of the requests that attribute behind the adapters' word, and each request's words of shares behind its digests.

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{PACKED_SUM_BITS, PACKED_SUMS};
use lorica_circuits::layout::Layout;
use lorica_circuits::program::TextSpec;
use lorica_circuits::shape::{CONTRIBUTORS, LABEL_BITS, OutputKind, PLACES, Shape};

use crate::protocol::arithmetic::{Arithmetic, ArithmeticError};
use crate::protocol::multilinear::{eq_table, integer, packing_weights};
use crate::protocol::transcript::Transcript;
use crate::protocol::weight::RequestBits;

/// Capacity of the proof's transcript: "lorica inference 1".
pub const DOMAIN_PROOF: u64 = 0x6c6f_7269_6361_0001;
/// Capacity of the input digest.
pub const DOMAIN_INPUT: u64 = 0x6c6f_7269_6361_0002;
/// Capacity of the output digest of a classification, and of embeddings of the withdrawn kind 0.
pub const DOMAIN_OUTPUT: u64 = 0x6c6f_7269_6361_0003;
/// Capacity of the scales word.
pub const DOMAIN_SCALES: u64 = 0x6c6f_7269_6361_0004;
/// Capacity of the output digest of an embedding.
pub const DOMAIN_EMBEDDING: u64 = 0x6c6f_7269_6361_0005;
/// Ids of 20 bits in one element of the input digest.
pub const IDS_PER_ELEMENT: usize = 12;
/// What is added to a sum in its packed word: sums lie in `-2^23..2^23`.
pub const SUM_OFFSET: i64 = 1 << (PACKED_SUM_BITS - 1);
/// The label's logit exceeds every other by less than `2^48`. With [`REAL_LOGIT_BITS`] the only bound on logits.
pub const LOGIT_BITS: usize = 48;
/// The label's logit lies in `-2^44..2^44`, as those of real labels do at import; those of absent ones are -2^45.
pub const REAL_LOGIT_BITS: usize = 44;
/// Bits of an id.
pub const ID_BITS: usize = 20;

/// One request's private and public scalars.
#[derive(Clone, Debug)]
pub struct RequestInputs<S> {
    /// As many ids as the model's token limit, zero beyond the length.
    pub ids: Vec<S>,
    /// Tokens.
    pub length: S,
    /// Input salt, below 2^248.
    pub salt: S,
    /// Packed words of the sums per channel ([`packed_words`]), or logits.
    pub outputs: Vec<S>,
    /// Lowest index of the largest logit; zero for embeddings.
    pub label: S,
    /// Words of shares, as many as the program has.
    pub shares: Vec<S>,
}

/// The scalars of a request that relations speak of.
#[derive(Clone, Debug)]
pub struct Spoken<S> {
    /// Packed words of sums, or logits.
    pub outputs: Vec<S>,
    /// Words of shares.
    pub shares: Vec<S>,
    /// Of the row that it names, the weight at its label and zeros at the others; none in a program that reads no rows.
    pub classes: Vec<S>,
    /// Of the row that it names, the slot; likewise.
    pub slot: Vec<S>,
}

impl<S: Clone> Spoken<S> {
    /// Of a request for an answer.
    #[must_use]
    pub fn of_request(request: &RequestInputs<S>) -> Self {
        let (outputs, shares) = (request.outputs.clone(), request.shares.clone());
        Self { outputs, shares, classes: Vec::new(), slot: Vec::new() }
    }
}

/// All scalars of a statement. Requests beyond `count` repeat the first; the caller arranges that.
#[derive(Clone, Debug)]
pub struct Inputs<S> {
    /// Digest of architecture and table commitments.
    pub architecture: S,
    /// Requests, tokens, τ and kind of output of the shape, in this order; where the batch attributes, records,
    /// contributors and places too.
    pub shape: Vec<S>,
    /// Digest of the SRS.
    pub srs: S,
    /// Base id.
    pub base: S,
    /// Keccak word of the adapter ids in request order.
    pub adapters: S,
    /// A word for each of [`further_regions`](lorica_circuits::program::Program::further_regions), which determines its
    /// commitments; an encoder has none.
    pub regions: Vec<S>,
    /// A number whose bit m says that request m attributes, in a batch that does.
    pub attributing: Option<S>,
    /// Requests that are really meant.
    pub count: S,
    /// The 32-byte context that binds the proof to its use.
    pub context: S,
    /// Keccak digest of witness and mask tiles.
    pub witness: S,
    /// Fresh private salt.
    pub prover_salt: S,
    /// Scale values in their order.
    pub scales: Vec<S>,
    /// As many as the shape has.
    pub requests: Vec<RequestInputs<S>>,
}

impl<S> Inputs<S> {
    /// Each scalar put through `f`, in the order of the fields.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> Inputs<T> {
        let Self {
            architecture,
            shape,
            srs,
            base,
            adapters,
            regions,
            attributing,
            count,
            context,
            witness,
            prover_salt,
            scales,
            requests,
        } = self;
        Inputs {
            architecture: f(architecture),
            shape: shape.into_iter().map(&mut f).collect(),
            srs: f(srs),
            base: f(base),
            adapters: f(adapters),
            regions: regions.into_iter().map(&mut f).collect(),
            attributing: attributing.map(&mut f),
            count: f(count),
            context: f(context),
            witness: f(witness),
            prover_salt: f(prover_salt),
            scales: scales.into_iter().map(&mut f).collect(),
            requests: requests
                .into_iter()
                .map(|RequestInputs { ids, length, salt, outputs, label, shares }| RequestInputs {
                    ids: ids.into_iter().map(&mut f).collect(),
                    length: f(length),
                    salt: f(salt),
                    outputs: outputs.into_iter().map(&mut f).collect(),
                    label: f(label),
                    shares: shares.into_iter().map(&mut f).collect(),
                })
                .collect(),
        }
    }
}

/// The scalars of a shape: requests, tokens, τ and kind of output; where it attributes, records, contributors and places.
#[must_use]
pub fn shape_words(shape: &Shape) -> Vec<Fr> {
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(u64::MAX));
    let kind = Fr::from(u64::from(shape.output.number()));
    let mut words = vec![number(shape.requests), number(shape.tokens), Fr::from(u64::from(shape.log_tile)), kind];
    if shape.records != 0 {
        words.extend([shape.records, CONTRIBUTORS, PLACES].map(number));
    }
    words
}

/// Public words of one request, computed by the field part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestWords<S> {
    /// Poseidon digest of salt, length and ids.
    pub input_digest: S,
    /// The label.
    pub label: S,
    /// Poseidon digest of salt and outputs.
    pub output_digest: S,
    /// Words of shares.
    pub shares: Vec<S>,
}

/// What the statement leaves for the relations.
#[derive(Debug)]
pub struct Bound<S> {
    /// Poseidon word of the scales.
    pub scales_word: S,
    /// Words per request.
    pub words: Vec<RequestWords<S>>,
    /// Lengths and ids in bits.
    pub bits: Vec<RequestBits<S>>,
}

/// A Poseidon digest under a domain.
pub fn hash<A: Arithmetic>(a: &mut A, domain: u64, scalars: &[A::Scalar]) -> A::Scalar {
    let mut sponge = Transcript::new(a, Fr::from(domain));
    sponge.absorb_all(a, "hash", scalars);
    sponge.challenge(a, "hash")
}

/// Words of an embedding: `word[w] = Σ_{j < 8} 2^(24·j)·(sums[8·w + j] + 2^23)`. Sums within ±2^23 give words below
/// 2^192, and other sums other words.
///
/// # Errors
/// [`CircuitError::Statement`] for a sum that is not: others beside it would give the same words.
pub fn packed_words(sums: &[i64]) -> Result<Vec<Fr>, CircuitError> {
    if let Some(got) = sums.iter().position(|sum| !(-SUM_OFFSET..SUM_OFFSET).contains(sum)) {
        return Err(CircuitError::Statement { what: "sums lie within -2^23..2^23, but not the one at index", got });
    }
    let weights = packing_weights();
    let word = |chunk: &[i64]| {
        weights.iter().zip(chunk).map(|(weight, &sum)| *weight * (integer(sum) + integer(SUM_OFFSET))).sum()
    };
    Ok(sums.chunks(PACKED_SUMS).map(word).collect())
}

/// The part of a packed word that is not of its sums: `Σ_{j < 8} 2^(24·j)·2^23`.
#[must_use]
pub fn packed_offset() -> Fr {
    packing_weights().iter().map(|weight| *weight * integer(SUM_OFFSET)).sum()
}

/// Packs scalars of `bits` bits, `per` to an element, the first lowest.
fn pack<A: Arithmetic>(a: &mut A, scalars: &[A::Scalar], per: usize, bits: u64) -> Vec<A::Scalar> {
    let shift = Fr::from(2).pow([bits]);
    scalars
        .chunks(per)
        .map(|chunk| {
            let shift = a.constant(shift);
            let mut element = a.zero();
            for scalar in chunk.iter().rev() {
                let moved = a.mul(&element, &shift);
                element = a.add(&moved, scalar);
            }
            element
        })
        .collect()
}

/// Poseidon(domain, salt, length, ids of 20 bits packed 12 to an element, as many as the model's token limit).
pub fn input_digest<A: Arithmetic>(a: &mut A, salt: &A::Scalar, length: &A::Scalar, ids: &[A::Scalar]) -> A::Scalar {
    let mut scalars = vec![salt.clone(), length.clone()];
    scalars.extend(pack(a, ids, IDS_PER_ELEMENT, 20));
    hash(a, DOMAIN_INPUT, &scalars)
}

/// Poseidon(domain, salt, length, outputs): sixteen logits, or an embedding's packed words, one to an element. Nothing is
/// packed here: what is absorbed is what the relations speak of.
pub fn output_digest<A: Arithmetic>(
    a: &mut A,
    kind: OutputKind,
    salt: &A::Scalar,
    length: &A::Scalar,
    outputs: &[A::Scalar],
) -> A::Scalar {
    let domain = match kind {
        OutputKind::Classify => DOMAIN_OUTPUT,
        OutputKind::Embed => DOMAIN_EMBEDDING,
    };
    let mut scalars = vec![salt.clone(), length.clone()];
    scalars.extend_from_slice(outputs);
    hash(a, domain, &scalars)
}

/// What a program reads of a text.
///
/// # Errors
/// [`CircuitError::Statement`] for a program without texts: its statement is another.
fn texts(layout: &Layout) -> Result<TextSpec, CircuitError> {
    layout.program.text.ok_or(CircuitError::Statement { what: "texts of a program that has none", got: 0 })
}

/// A text's length and ids in the form that weights need.
#[derive(Debug)]
pub(crate) struct TextBits<S> {
    /// Bits of `length - 1`, most significant first.
    pub(crate) last: Vec<S>,
    /// Bits of each token's word id, most significant first; padding tokens repeat token 0.
    pub(crate) ids: Vec<Vec<S>>,
}

/// Checks a text's length and ids.
pub(crate) fn bind_text<A: Arithmetic>(
    a: &mut A,
    layout: &Layout,
    length: &A::Scalar,
    all_ids: &[A::Scalar],
) -> Result<TextBits<A::Scalar>, StatementError> {
    let token_bits = usize::try_from(layout.shape.token_bits()).unwrap_or(0);
    let text = texts(layout)?;
    let id_bits = usize::try_from(text.id_bits()).unwrap_or(0);
    if all_ids.len() != text.limit {
        return Err(CircuitError::Statement { what: "as many ids per request as the limit", got: all_ids.len() }.into());
    }
    let one = a.one();
    let two = a.constant(Fr::from(2));
    let zero = a.zero();

    // 2 <= length <= T
    let above = a.sub(length, &two);
    a.bits(&above, token_bits, "statement: length is at least 2")?;
    let last = a.sub(length, &one);
    let mut last = a.bits(&last, token_bits, "statement: length is at most T")?;
    last.reverse();
    // real[t] = [t < length] = 1 - Σ_{i < t} [length - 1 = i]
    let last_is = eq_table(a, &last);
    let mut real = one.clone();
    let first = all_ids.first().cloned().unwrap_or_else(|| zero.clone());
    let greatest = a.constant(Fr::from(u64::try_from(text.vocabulary.saturating_sub(1)).unwrap_or(0)));
    let mut ids = Vec::new();
    for (t, id) in all_ids.iter().enumerate() {
        match last_is.get(t) {
            Some(is_last) => {
                let room = a.sub(&greatest, id);
                a.bits(&room, ID_BITS, "statement: id is below the vocabulary")?;
                let used = a.select(&real, id, &first);
                let mut bits = a.bits(&used, id_bits, "statement: id fits its bits")?;
                bits.reverse();
                ids.push(bits);
                // Zero beyond the length, so that the digest is one of the text alone.
                let padding = a.sub(&one, &real);
                let junk = a.mul(&padding, id);
                a.assert_equal(&junk, &zero, "statement: ids beyond the length are zero")?;
                real = a.sub(&real, is_last);
            }
            None => a.assert_equal(id, &zero, "statement: ids beyond T are zero")?,
        }
    }
    Ok(TextBits { last, ids })
}

/// Checks a request's scalars and brings ids and length into the form that weights need.
fn bind_request<A: Arithmetic>(
    a: &mut A,
    layout: &Layout,
    request: &RequestInputs<A::Scalar>,
    attributes: A::Scalar,
) -> Result<(RequestWords<A::Scalar>, RequestBits<A::Scalar>), StatementError> {
    let shape = &layout.shape;
    if request.outputs.len() != layout.program.output.scalars {
        return Err(CircuitError::Statement { what: "outputs per request", got: request.outputs.len() }.into());
    }
    if request.shares.len() != layout.program.output.shares {
        return Err(CircuitError::Statement { what: "words of shares per request", got: request.shares.len() }.into());
    }
    let TextBits { last, ids } = bind_text(a, layout, &request.length, &request.ids)?;
    let label = if layout.program.output.labelled {
        label(a, &request.outputs, &request.label)?
    } else {
        let zero = a.zero();
        a.assert_equal(&request.label, &zero, "statement: an embedding has no label")?;
        Vec::new()
    };
    let input_digest = input_digest(a, &request.salt, &request.length, &request.ids);
    let output_digest = output_digest(a, shape.output, &request.salt, &request.length, &request.outputs);
    let shares = request.shares.clone();
    let words = RequestWords { input_digest, label: request.label.clone(), output_digest, shares };
    Ok((words, RequestBits { last, ids, label, attributes, row: Vec::new() }))
}

/// The label is the lowest index of the largest logit: `0 <= logit_y - logit_j - [j < y] < 2^48` for all j. Returns its bits,
/// most significant first.
fn label<A: Arithmetic>(a: &mut A, logits: &[A::Scalar], label: &A::Scalar) -> Result<Vec<A::Scalar>, StatementError> {
    let label_bits = usize::try_from(LABEL_BITS).unwrap_or(usize::MAX);
    let mut bits = a.bits(label, label_bits, "statement: label is below 16")?;
    bits.reverse();
    let is_label = eq_table(a, &bits);
    let best = crate::protocol::multilinear::dot(a, &is_label, logits);
    // The best logit is a real label's: an adapter without a head classifies nothing.
    let floor = a.constant(integer(1 << REAL_LOGIT_BITS));
    let above = a.add(&best, &floor);
    a.bits(&above, REAL_LOGIT_BITS.saturating_add(1), "statement: the label is one that the adapter has")?;
    // below[j] = [j < y] = 1 - Σ_{i <= j} [y = i]
    let mut below = a.one();
    for (logit, is) in logits.iter().zip(&is_label) {
        below = a.sub(&below, is);
        let lead = a.sub(&best, logit);
        let lead = a.sub(&lead, &below);
        a.bits(&lead, LOGIT_BITS, "statement: label is the lowest index of the largest logit")?;
    }
    Ok(bits)
}

/// Which requests attribute, 0 or 1 for each of the shape; none in a batch that does not.
fn attributing<A: Arithmetic>(
    a: &mut A,
    layout: &Layout,
    word: Option<&A::Scalar>,
) -> Result<Vec<A::Scalar>, StatementError> {
    match (word, layout.program.output.shares) {
        (None, 0) => Ok(vec![a.zero(); layout.shape.requests]),
        (Some(word), 1..) => {
            Ok(a.bits(word, layout.shape.requests, "statement: a bit for each request that attributes")?)
        }
        (word, _) => {
            let got = usize::from(word.is_some());
            Err(CircuitError::Statement { what: "words of requests that attribute", got }.into())
        }
    }
}

/// A statement that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// A check on scalars.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
    /// A shape.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
}

/// Absorbs the statement and the witness commitment; nothing has been drawn before.
///
/// # Errors
/// If a length, id, label or output is impossible.
pub fn absorb<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &Inputs<A::Scalar>,
) -> Result<Bound<A::Scalar>, StatementError> {
    texts(layout)?;
    if inputs.requests.len() != layout.shape.requests {
        return Err(CircuitError::Statement { what: "requests of the shape", got: inputs.requests.len() }.into());
    }
    let regions = layout.program.further_regions().count();
    if inputs.regions.len() != regions {
        return Err(CircuitError::Statement { what: "words of further regions", got: inputs.regions.len() }.into());
    }
    let shape_words = shape_words(&layout.shape).len();
    if inputs.shape.len() != shape_words {
        return Err(CircuitError::Statement { what: "words of the shape", got: inputs.shape.len() }.into());
    }
    let scales_word = hash(a, DOMAIN_SCALES, &inputs.scales);
    let attributing = attributing(a, layout, inputs.attributing.as_ref())?;
    let one = a.one();
    let request_bits = usize::try_from(layout.shape.request_bits()).unwrap_or(0);
    let last = a.sub(&inputs.count, &one);
    a.bits(&last, request_bits, "statement: between one request and those of the shape")?;

    transcript.absorb(a, "architecture", &inputs.architecture);
    transcript.absorb_all(a, "shape", &inputs.shape);
    transcript.absorb(a, "srs", &inputs.srs);
    transcript.absorb(a, "base", &inputs.base);
    transcript.absorb(a, "scales", &scales_word);
    transcript.absorb(a, "adapters", &inputs.adapters);
    transcript.absorb_all(a, "region", &inputs.regions);
    if let Some(word) = &inputs.attributing {
        transcript.absorb(a, "attributing", word);
    }
    transcript.absorb(a, "count", &inputs.count);
    transcript.absorb(a, "context", &inputs.context);
    transcript.absorb(a, "witness", &inputs.witness);
    transcript.absorb(a, "prover salt", &inputs.prover_salt);
    let mut words = Vec::new();
    let mut bits = Vec::new();
    for (request, attributes) in inputs.requests.iter().zip(attributing) {
        let (own, own_bits) = bind_request(a, layout, request, attributes)?;
        transcript.absorb(a, "input digest", &own.input_digest);
        transcript.absorb(a, "label", &own.label);
        transcript.absorb(a, "output digest", &own.output_digest);
        transcript.absorb_all(a, "shares", &own.shares);
        words.push(own);
        bits.push(own_bits);
    }
    Ok(Bound { scales_word, words, bits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::arithmetic::Native;
    use crate::protocol::transcript::Transcript;

    #[test]
    fn packing_is_positional() {
        let ids: Vec<u64> = (0..29).map(|i| (i * 40_503 + 17) % (1 << 20)).collect();
        let scalars: Vec<Fr> = ids.iter().map(|&id| Fr::from(id)).collect();
        let packed = pack(&mut Native, &scalars, 12, 20);
        assert_eq!(packed.len(), 3);
        for (element, ids) in packed.iter().zip(ids.chunks(12)) {
            let expected: Fr = ids.iter().zip(0u64..).map(|(&id, i)| Fr::from(id) * Fr::from(2).pow([20 * i])).sum();
            assert_eq!(*element, expected);
        }
    }

    /// Digests of a salt, a length and what they are of, each under its own domain.
    #[test]
    fn digests_are_sponges_over_packed_scalars() {
        let sponge = |domain: u64, scalars: &[Fr]| {
            let mut sponge = Transcript::new(&mut Native, Fr::from(domain));
            scalars.iter().for_each(|s| sponge.absorb(&mut Native, "s", s));
            sponge.challenge(&mut Native, "s")
        };
        let (salt, length) = (Fr::from(77), Fr::from(3));
        let ids: Vec<Fr> = (0..24u64).map(Fr::from).collect();
        let element = |range: core::ops::Range<usize>| {
            range.clone().map(|i| ids[i] * Fr::from(2).pow([20 * (i - range.start) as u64])).sum::<Fr>()
        };
        let expected = sponge(DOMAIN_INPUT, &[salt, length, element(0..12), element(12..24)]);
        assert_eq!(input_digest(&mut Native, &salt, &length, &ids), expected);
        // Outputs are absorbed as they are, under the domain of their kind.
        let outputs = [-5, 0, 7].map(integer);
        for (kind, domain) in [(OutputKind::Embed, DOMAIN_EMBEDDING), (OutputKind::Classify, DOMAIN_OUTPUT)] {
            let expected = sponge(domain, &[salt, length, outputs[0], outputs[1], outputs[2]]);
            assert_eq!(output_digest(&mut Native, kind, &salt, &length, &outputs), expected);
        }
    }

    /// Sums are offset by 2^23, so that none is negative, and stand eight to a word, the first lowest.
    #[test]
    fn packed_words_are_positional() {
        let sums = [-(1i64 << 23), -1, 0, 1, (1 << 23) - 1, 5, -7, 9, 11];
        let offset: [u64; 9] = [
            0,
            (1 << 23) - 1,
            1 << 23,
            (1 << 23) + 1,
            (1 << 24) - 1,
            (1 << 23) + 5,
            (1 << 23) - 7,
            (1 << 23) + 9,
            (1 << 23) + 11,
        ];
        let word: Fr = offset[..8].iter().zip(0u64..).map(|(&s, j)| Fr::from(s) * Fr::from(2).pow([24 * j])).sum();
        assert_eq!(packed_words(&sums), Ok(vec![word, Fr::from(offset[8])]));
        assert_eq!(packed_words(&[0; 8]), Ok(vec![packed_offset()]));
        for beyond in [-(1i64 << 23) - 1, 1 << 23, i64::MIN, i64::MAX] {
            let error = packed_words(&[0, 1, beyond]).unwrap_err();
            assert!(matches!(error, CircuitError::Statement { got: 2, .. }), "{error}");
        }
    }

    fn accepts(logits: &[i64; 16], index: u64) -> bool {
        let logits = logits.map(integer);
        label(&mut Native, &logits, &Fr::from(index)).is_ok()
    }

    /// Exactly one label is accepted: the lowest index of the largest logit.
    #[test]
    fn the_label_is_the_lowest_index_of_the_largest_logit() {
        let far = 1i64 << 44;
        let absent = -(1i64 << 45);
        let mut with_absent = [absent; 16];
        (with_absent[2], with_absent[5]) = (-9, -far);
        let mut lists = vec![[0; 16], [-5; 16], [far - 1; 16], [-far; 16], with_absent];
        lists.push(core::array::from_fn(|i| i as i64));
        lists.push(core::array::from_fn(|i| -(i as i64)));
        lists.push(core::array::from_fn(|i| (i as i64 * 7) % 5 - 8));
        lists.push(core::array::from_fn(|i| if i % 6 == 5 { far - 1 } else { -far }));
        for logits in lists {
            let largest = logits.iter().max().unwrap();
            let lowest = logits.iter().position(|l| l == largest).unwrap() as u64;
            for index in 0..18 {
                assert_eq!(accepts(&logits, index), index == lowest, "{logits:?} {index}");
            }
        }
    }

    /// The other logits lie within 2^48 below the label's: the only bound on them, here as in the native verifier.
    #[test]
    fn other_logits_have_one_bound() {
        let with = |j: usize, value: i64| {
            let mut logits = [0; 16];
            (logits[3], logits[j]) = (7, value);
            accepts(&logits, 3)
        };
        let least = 7 - (1i64 << LOGIT_BITS);
        // lead = 7 - logit - [j < 3] in 0..2^48
        assert!(with(9, least + 1) && !with(9, least) && !with(9, i64::MIN));
        assert!(with(0, least) && !with(0, least - 1));
        assert!(with(9, 7) && !with(0, 7) && !with(9, 8) && !with(9, i64::MAX));
    }

    /// At -2^44 a label is one that an adapter may have, below it is none.
    #[test]
    fn absent_labels_do_not_win() {
        let floor = -(1i64 << REAL_LOGIT_BITS);
        assert!(accepts(&[floor; 16], 0));
        assert!(!accepts(&[floor - 1; 16], 0));
        assert!(!accepts(&[-(1 << 45); 16], 0));
        // Nor is there a label above 2^44.
        assert!(accepts(&[(1 << REAL_LOGIT_BITS) - 1; 16], 0));
        assert!(!accepts(&[1 << REAL_LOGIT_BITS; 16], 0));
    }
}
