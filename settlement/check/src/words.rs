//! The public words of a settlement proof, of an inference or of an index, in the order of the instance column.

use lorica_verifier::protocol::field::{Opened, Outcome};
use lorica_verifier::protocol::index::IndexInputs;
use lorica_verifier::protocol::mercury::MercuryMessages;
use lorica_verifier::protocol::statement::{Inputs, RequestWords};

/// Words of the circuit, of which the contract recomputes what it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<S> {
    /// Kind of output, M, T and τ: a constant of the circuit ([`crate::header`]).
    pub shape: S,
    /// Digest of architecture and layout: a constant too.
    pub layout: S,
    /// Binds the proof to its use.
    pub context: S,
    /// Base id.
    pub base: S,
    /// Poseidon word of the base's scales.
    pub scales: S,
    /// Keccak word of the adapter ids in request order.
    pub adapters: S,
    /// In a circuit that attributes, the index' id and the word of the requests that attribute.
    pub attribution: Option<[S; 2]>,
    /// Requests that are meant; the others repeat the first.
    pub count: S,
    /// Input digest, label, output digest, and words of shares if the circuit attributes, of each request of the shape.
    pub requests: Vec<RequestWords<S>>,
    /// Digests of the witness and mask tiles, of h, (q, g), (s, d), quot and W.
    pub digests: [S; 6],
    /// Tile coordinates of the opening's point, lowest bit first.
    pub rho_high: Vec<S>,
    /// Mercury's challenge α, drawn after h.
    pub alpha: S,
    /// Mercury's challenge ζ, drawn after s and d.
    pub zeta: S,
    /// Mercury's challenge β, drawn after quot.
    pub beta: S,
    /// Mercury's challenge z, drawn after W.
    pub z: S,
    /// Coefficient of the generator in the group claim.
    pub constant: S,
}

impl<S: Clone> Words<S> {
    /// Words before those of the requests, in a circuit that does not attribute.
    pub const HEAD: usize = 7;

    /// From the circuit's constants, what the field part was given and what it computed.
    pub fn new(
        [shape, layout]: [S; 2],
        inputs: &Inputs<S>,
        mercury: &lorica_verifier::protocol::mercury::MercuryMessages<S>,
        outcome: &Outcome<S>,
    ) -> Self {
        let opening = &outcome.mercury;
        Self {
            shape,
            layout,
            context: inputs.context.clone(),
            base: inputs.base.clone(),
            scales: outcome.scales_word.clone(),
            adapters: inputs.adapters.clone(),
            attribution: match (inputs.regions.as_slice(), &inputs.attributing) {
                ([index], Some(attributing)) => Some([index.clone(), attributing.clone()]),
                _ => None,
            },
            count: inputs.count.clone(),
            requests: outcome.requests.clone(),
            digests: [
                inputs.witness.clone(),
                mercury.d_h.clone(),
                mercury.d_qg.clone(),
                mercury.d_sd.clone(),
                mercury.d_quot.clone(),
                mercury.d_w.clone(),
            ],
            rho_high: outcome.rho_high.clone(),
            alpha: opening.alpha.clone(),
            zeta: opening.zeta.clone(),
            beta: opening.beta.clone(),
            z: opening.z.clone(),
            constant: opening.constant.clone(),
        }
    }

    /// In order.
    pub fn to_vec(&self) -> Vec<S> {
        let Self {
            shape,
            layout,
            context,
            base,
            scales,
            adapters,
            attribution,
            count,
            requests,
            digests,
            rho_high,
            alpha,
            zeta,
            beta,
            z,
            constant,
        } = self;
        let mut words: Vec<S> = [shape, layout, context, base, scales, adapters].map(S::clone).into();
        words.extend(attribution.iter().flatten().cloned());
        words.push(count.clone());
        for RequestWords { input_digest, label, output_digest, shares } in requests {
            words.extend([input_digest, label, output_digest].map(S::clone));
            words.extend(shares.iter().cloned());
        }
        words.extend(digests.iter().cloned());
        words.extend(rho_high.iter().cloned());
        words.extend([alpha, zeta, beta, z, constant].map(S::clone));
        words
    }
}

/// Public words of a circuit of index proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexWords<S> {
    /// Index proof, records and τ: a constant of the circuit ([`crate::header`]).
    pub shape: S,
    /// Digest of architecture and layout: a constant too.
    pub layout: S,
    /// Binds the proof to its use; contracts take zero, since a range is true for everybody.
    pub context: S,
    /// Id of the index.
    pub index: S,
    /// Its records.
    pub count: S,
    /// Digests of the witness and mask tiles, of h, (q, g), (s, d), quot and W.
    pub digests: [S; 6],
    /// Tile coordinates of the opening's point, lowest bit first.
    pub rho_high: Vec<S>,
    /// α, ζ, β, z and the constant of the opening.
    pub opening: [S; 5],
}

impl<S: Clone> IndexWords<S> {
    /// Words before those of the opening.
    pub const HEAD: usize = 5;

    /// From the circuit's constants, what the field part was given and what it computed.
    pub fn new(
        [shape, layout]: [S; 2],
        inputs: &IndexInputs<S>,
        mercury: &MercuryMessages<S>,
        opened: &Opened<S>,
    ) -> Self {
        let own = &opened.mercury;
        Self {
            shape,
            layout,
            context: inputs.context.clone(),
            index: inputs.index.clone(),
            count: inputs.count.clone(),
            digests: [&inputs.witness, &mercury.d_h, &mercury.d_qg, &mercury.d_sd, &mercury.d_quot, &mercury.d_w]
                .map(S::clone),
            rho_high: opened.rho_high.clone(),
            opening: [&own.alpha, &own.zeta, &own.beta, &own.z, &own.constant].map(S::clone),
        }
    }

    /// In order.
    pub fn to_vec(&self) -> Vec<S> {
        let Self { shape, layout, context, index, count, digests, rho_high, opening } = self;
        let mut words: Vec<S> = [shape, layout, context, index, count].map(S::clone).into();
        words.extend(digests.iter().chain(rho_high).chain(opening).cloned());
        words
    }
}
