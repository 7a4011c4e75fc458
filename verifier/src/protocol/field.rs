//! The field part: everything of the verifier that is scalar arithmetic and Poseidon, written once over [`Arithmetic`].
//!
//! ```text
//! statement, D_w ─> X, b, outer points ─> fraction tree ─> relation sumcheck ─> reduction to ρ ─> Mercury ─> words
//! ```
//! It ends in the words from which the group part forms its claim: ρ's tile bits and Mercury's outcome.

use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::Form;
use lorica_circuits::layout::Layout;
use lorica_circuits::relation::{Product, Public, PublicFactor, Published, Relation};

use crate::protocol::arithmetic::{Arithmetic, ArithmeticError};
use crate::protocol::lookup::{LayerMessages, LookupMessages, leaf_challenges, leaf_claims, verify_tree};
use crate::protocol::mercury::{MercuryMessages, MercuryOutcome, mercury_field_part};
use crate::protocol::multilinear::{AddressPoint, dot, eq, eq_table, integer, split_packed};
use crate::protocol::statement::{DOMAIN_PROOF, Inputs, RequestWords, Spoken, StatementError, absorb, packed_offset};
use crate::protocol::transcript::Transcript;
use crate::protocol::weight::{LeafTerm, Points, Weights};

/// Prover messages of the field part, after the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages<S> {
    /// Fraction tree.
    pub lookup: LookupMessages<S>,
    /// Values of the relations' forms, for relations that have products and a form.
    pub forms: Vec<S>,
    /// Rounds of the relation sumcheck: coefficients of 1, X², X³.
    pub rounds: Vec<[S; 3]>,
    /// Values of the products' operands.
    pub operands: Vec<S>,
    /// Rounds of the reduction: value at 0 and leading coefficient.
    pub reduction: Vec<[S; 2]>,
    /// The combined tile's value.
    pub value: S,
    /// Mercury's digests and evaluations.
    pub mercury: MercuryMessages<S>,
}

impl<S> Messages<S> {
    /// Each scalar put through `f`, in the order of the transcript.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> Messages<T> {
        let Self { lookup, forms, rounds, operands, reduction, value, mercury } = self;
        let lookup = LookupMessages {
            root: lookup.root.map(&mut f),
            layers: lookup
                .layers
                .into_iter()
                .map(|LayerMessages { rounds, children }| LayerMessages {
                    rounds: rounds.into_iter().map(|r| r.map(&mut f)).collect(),
                    children: children.map(&mut f),
                })
                .collect(),
        };
        Messages {
            lookup,
            forms: forms.into_iter().map(&mut f).collect(),
            rounds: rounds.into_iter().map(|r| r.map(&mut f)).collect(),
            operands: operands.into_iter().map(&mut f).collect(),
            reduction: reduction.into_iter().map(|r| r.map(&mut f)).collect(),
            value: f(value),
            mercury: mercury.map(&mut f),
        }
    }
}

/// Lengths of the messages' vectors, from the layout alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageShape {
    /// Layers of the tree below the root's children.
    pub layers: usize,
    /// Values of forms.
    pub forms: usize,
    /// Rounds of the relation sumcheck.
    pub rounds: usize,
    /// Values of operands.
    pub operands: usize,
    /// Rounds of the reduction.
    pub reduction: usize,
}

/// A claim: a functional, and the points at which it is read.
#[derive(Debug)]
pub enum Claim<'r, S> {
    /// A form of a relation.
    Form(&'r Form, Points<'r, S>),
    /// Columns at the leaf point.
    Leaves(Vec<LeafTerm<S>>),
}

/// What the field part leaves for the group part, and the public words that it computed.
#[derive(Clone, Debug)]
pub struct Outcome<S> {
    /// Tile coordinates of ρ, lowest bit first.
    pub rho_high: Vec<S>,
    /// Mercury's words.
    pub mercury: MercuryOutcome<S>,
    /// Poseidon word of the scales.
    pub scales_word: S,
    /// Words per request.
    pub requests: Vec<RequestWords<S>>,
}

/// Why the field part rejects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The statement is impossible.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A check does not hold.
    #[error(transparent)]
    Check(#[from] ArithmeticError),
    /// The relations do not fit the layout.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// A vector of messages has another length than the shape says.
    #[error("proof shape: {what}: expected {expected}, got {got}")]
    Shape {
        /// Which vector.
        what: &'static str,
        /// Its length by the layout.
        expected: usize,
        /// Its length in the proof.
        got: usize,
    },
}

fn count(bits: u32) -> usize {
    usize::try_from(bits).unwrap_or(usize::MAX)
}

/// Bits of a product's variables.
#[must_use]
pub fn variables(layout: &Layout, product: &Product) -> usize {
    product.variables.iter().map(|&axis| count(layout.axis_bits(axis))).sum()
}

/// Lengths of all vectors of messages.
#[must_use]
pub fn message_shape(layout: &Layout) -> MessageShape {
    let relations = layout.relations();
    let products = || relations.iter().flat_map(|r| &r.products);
    MessageShape {
        layers: count(layout.leaf_bits()).saturating_sub(1),
        forms: relations.iter().filter(|r| has_form_value(r)).count(),
        rounds: products().map(|p| variables(layout, p)).max().unwrap_or(0),
        operands: products().map(|p| if p.right.is_some() { 2 } else { 1 }).sum(),
        reduction: count(layout.address_bits()),
    }
}

/// Whether the prover sends the value of the relation's form.
#[must_use]
pub fn has_form_value(relation: &Relation) -> bool {
    !relation.products.is_empty() && !relation.form.terms.is_empty()
}

pub(crate) fn check_shape<S>(expected: &MessageShape, messages: &Messages<S>) -> Result<(), FieldError> {
    let check = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(FieldError::Shape { what, expected, got }) }
    };
    check("lookup layers", expected.layers, messages.lookup.layers.len())?;
    for (depth, layer) in (1usize..).zip(&messages.lookup.layers) {
        check("rounds of a lookup layer", depth, layer.rounds.len())?;
    }
    check("form values", expected.forms, messages.forms.len())?;
    check("relation rounds", expected.rounds, messages.rounds.len())?;
    check("operand values", expected.operands, messages.operands.len())?;
    check("reduction rounds", expected.reduction, messages.reduction.len())
}

/// Draws the outer points, after the witness commitment.
pub fn outer_points<'l, A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &'l Layout,
) -> Points<'l, A::Scalar> {
    // Each relation as a multilinear identity in its outer axes: at most MAX_OUTER_BITS variables, so that over r for each.
    let axes = layout
        .program
        .outer
        .iter()
        .map(|&axis| (axis, transcript.challenges(a, "outer point", count(layout.axis_bits(axis)))))
        .collect();
    Points::new(layout, axes)
}

/// The value of published integers at the outer points.
///
/// # Errors
/// If an axis has no point.
pub fn public_value<A: Arithmetic>(
    a: &mut A,
    public: &Public,
    published: &[Spoken<A::Scalar>],
    points: &Points<'_, A::Scalar>,
) -> Result<A::Scalar, CircuitError> {
    let requests = eq_table(a, &points.get(Axis::REQUEST)?);
    let mut point = Vec::new();
    for &axis in &public.axes {
        point.extend(points.get(axis)?);
    }
    let packed = public.values == Published::PackedOutputs;
    let inner = eq_table(a, if packed { split_packed(&point).0 } else { &point });
    let mut sum = a.zero();
    for (weight, request) in requests.iter().zip(published) {
        let own = match public.values {
            Published::Outputs | Published::PackedOutputs => &request.outputs,
            Published::Shares => &request.shares,
            Published::Classes => &request.classes,
            Published::Slot => &request.slot,
        };
        let value = dot(a, &inner, own);
        let term = a.mul(weight, &value);
        sum = a.add(&sum, &term);
    }
    if packed {
        // Every word of every request has the same offset, and eq over all requests adds up to 1.
        let mut real = a.zero();
        let words = published.first().map_or(0, |request| request.outputs.len());
        for share in inner.iter().take(words) {
            real = a.add(&real, share);
        }
        let offset = a.constant(packed_offset());
        let offsets = a.mul(&real, &offset);
        sum = a.sub(&sum, &offsets);
    }
    Ok(sum)
}

/// Powers of a challenge: 1, c, c², …
pub fn powers<A: Arithmetic>(a: &mut A, challenge: &A::Scalar, length: usize) -> Vec<A::Scalar> {
    let mut power = a.one();
    let mut all = Vec::new();
    for _ in 0..length {
        all.push(power.clone());
        power = a.mul(&power, challenge);
    }
    all
}

/// The public factor P of a product at the sumcheck's point.
fn public_factor<A: Arithmetic>(
    a: &mut A,
    weights: &Weights<'_, A::Scalar>,
    product: &Product,
    outer: &Points<'_, A::Scalar>,
    bound: &Points<'_, A::Scalar>,
) -> Result<A::Scalar, CircuitError> {
    let mut value = a.one();
    for factor in &product.public {
        let factor = match *factor {
            PublicFactor::Equal(axis) => {
                let (left, right) = (outer.get(axis)?, bound.get(axis)?);
                eq(a, &left, &right)
            }
            PublicFactor::Length(axis) => {
                let (left, right) = (outer.get(Axis::REQUEST)?, bound.get(Axis::REQUEST)?);
                weights.mask(a, &left, &right, &bound.get(axis)?)
            }
        };
        value = a.mul(&value, &factor);
    }
    Ok(value)
}

struct Sumcheck<'r, S> {
    claims: Vec<(Claim<'r, S>, S)>,
}

/// The relations: values of forms, one sumcheck over all products, values of operands. Returns all claims.
fn verify_relations<'r, A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    weights: &Weights<'r, A::Scalar>,
    published: &[Spoken<A::Scalar>],
    outer: &Points<'r, A::Scalar>,
    messages: &Messages<A::Scalar>,
) -> Result<Sumcheck<'r, A::Scalar>, FieldError> {
    let layout = weights.layout;
    let relations = layout.relations();
    let mut claims = Vec::new();
    transcript.absorb_all(a, "form values", &messages.forms);
    // One combination of all relations by powers: relations/r.
    let lambda = transcript.challenge(a, "relation combine");
    let with_products = relations.iter().filter(|r| !r.products.is_empty()).count();
    let combine = powers(a, &lambda, with_products);
    let mut combine_next = combine.iter();
    let mut forms = messages.forms.iter();
    let mut claim = a.zero();
    let zero = a.zero();
    for relation in relations {
        let mut public = weights.constants(a, &relation.constants, outer)?;
        if let Some(own) = &relation.public {
            let value = public_value(a, own, published, outer)?;
            public = a.add(&public, &value);
        }
        if relation.products.is_empty() {
            // A linear claim: form = -public.
            let value = a.sub(&zero, &public);
            claims.push((Claim::Form(&relation.form, outer.clone()), value));
            continue;
        }
        let mut total = public;
        if has_form_value(relation) {
            let missing = || CircuitError::Compile { what: "a form without value".into() };
            let value = forms.next().cloned().ok_or_else(missing)?;
            total = a.add(&total, &value);
            claims.push((Claim::Form(&relation.form, outer.clone()), value));
        }
        let weight = combine_next.next().cloned().unwrap_or_else(|| zero.clone());
        let term = a.mul(&weight, &total);
        claim = a.add(&claim, &term);
    }

    let mut challenges = Vec::new();
    for [constant, square, cube] in &messages.rounds {
        transcript.absorb(a, "relation round", constant);
        transcript.absorb(a, "relation round", square);
        transcript.absorb(a, "relation round", cube);
        // Round polynomial of degree 3: 3/r.
        let x = transcript.challenge(a, "relation round");
        // g(0) + g(1) = claim gives the linear coefficient.
        let twice = a.add(constant, constant);
        let high = a.add(square, cube);
        let others = a.add(&twice, &high);
        let linear = a.sub(&claim, &others);
        let mut value = a.mul(cube, &x);
        value = a.add(&value, square);
        value = a.mul(&value, &x);
        value = a.add(&value, &linear);
        value = a.mul(&value, &x);
        claim = a.add(&value, constant);
        challenges.push(x);
    }

    let mut expected = a.zero();
    let mut operands = messages.operands.iter();
    let mut combine_next = combine.iter();
    for relation in relations.iter().filter(|r| !r.products.is_empty()) {
        let weight = combine_next.next().cloned().unwrap_or_else(|| zero.clone());
        let mut sum = a.zero();
        for product in &relation.products {
            let own = variables(layout, product);
            let skipped = challenges.len().saturating_sub(own);
            let point = challenges.get(skipped..).unwrap_or(&[]);
            let bound = outer.bind(&product.variables, point);
            let public = public_factor(a, weights, product, outer, &bound)?;
            // Constant in the first rounds: 2^-skipped of it in each of their 2^skipped points.
            let scale = integer(product.coefficient) * Fr::TWO_INV.pow([u64::try_from(skipped).unwrap_or(u64::MAX)]);
            let scale = a.constant(scale);
            let missing = || CircuitError::Compile { what: "an operand without value".into() };
            let left = operands.next().cloned().ok_or_else(missing)?;
            let right = match &product.right {
                Some(_) => operands.next().cloned().ok_or_else(missing)?,
                None => left.clone(),
            };
            let mut value = a.mul(&public, &scale);
            value = a.mul(&value, &left);
            value = a.mul(&value, &right);
            sum = a.add(&sum, &value);
            claims.push((Claim::Form(&product.left, bound.clone()), left));
            if let Some(form) = &product.right {
                claims.push((Claim::Form(form, bound), right));
            }
        }
        let term = a.mul(&weight, &sum);
        expected = a.add(&expected, &term);
    }
    a.assert_equal(&claim, &expected, "relations: the sumcheck's end")?;
    transcript.absorb_all(a, "operand values", &messages.operands);
    Ok(Sumcheck { claims })
}

/// Verifies everything but curve arithmetic.
///
/// # Soundness
/// The caller owes: the digests among the inputs are those of the registered or received points; requests beyond `count`
/// repeat the first; the group claim holds. Errors stand beside the draws and in `docs/protocol/soundness.md`.
///
/// # Errors
/// [`FieldError`] names the check.
pub fn field_part<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    layout: &Layout,
    inputs: &Inputs<A::Scalar>,
    messages: &Messages<A::Scalar>,
) -> Result<Outcome<A::Scalar>, FieldError> {
    check_shape(&message_shape(layout), messages)?;
    let scales = layout.program.scales;
    if scales != inputs.scales.len() {
        return Err(FieldError::Shape { what: "scales", expected: scales, got: inputs.scales.len() });
    }
    let bound = absorb(a, transcript, layout, inputs)?;
    let weights = Weights { layout, scales: inputs.scales.clone(), requests: bound.bits, last: vec![] };
    let published: Vec<_> = inputs.requests.iter().map(Spoken::of_request).collect();
    let Opened { rho_high, mercury } = open_claims(a, transcript, &weights, &published, messages)?;
    Ok(Outcome { rho_high, mercury, scales_word: bound.scales_word, requests: bound.words })
}

/// What any program leaves for the group part.
#[derive(Clone, Debug)]
pub struct Opened<S> {
    /// Tile coordinates of ρ, lowest bit first.
    pub rho_high: Vec<S>,
    /// Mercury's words.
    pub mercury: MercuryOutcome<S>,
}

/// The field part behind a statement: the transcript has absorbed it, and nothing has been drawn.
///
/// # Soundness
/// The caller owes that the statement determines the commitments, `published` and what the weights hold, and that the lengths of
/// the messages are checked.
///
/// # Errors
/// As [`field_part`].
pub(crate) fn open_claims<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    weights: &Weights<'_, A::Scalar>,
    published: &[Spoken<A::Scalar>],
    messages: &Messages<A::Scalar>,
) -> Result<Opened<A::Scalar>, FieldError> {
    let layout = weights.layout;
    let leaf = leaf_challenges(a, transcript);
    let outer = outer_points(a, transcript, layout);
    let tree = verify_tree(a, transcript, &messages.lookup)?;
    let leaves = leaf_claims(a, layout, &leaf, &tree)?;
    let mut claims = verify_relations(a, transcript, weights, published, &outer, messages)?.claims;
    let mut leaf_point = leaves.point;
    for (terms, value) in [leaves.multiplicities, leaves.values] {
        claims.push((Claim::Leaves(terms), value));
    }

    // All claims by powers: claims/r.
    let mu = transcript.challenge(a, "reduction combine");
    let combine = powers(a, &mu, claims.len());
    let values: Vec<A::Scalar> = claims.iter().map(|(_, value)| value.clone()).collect();
    let mut claim = dot(a, &combine, &values);
    let mut rho = Vec::new();
    for [at_zero, leading] in &messages.reduction {
        transcript.absorb(a, "reduction round", at_zero);
        transcript.absorb(a, "reduction round", leading);
        // Round polynomial of degree 2: 2/r.
        let x = transcript.challenge(a, "reduction round");
        // g(1) = claim - g(0), so the linear coefficient is claim - 2·g(0) - leading.
        let twice = a.add(at_zero, at_zero);
        let others = a.add(&twice, leading);
        let linear = a.sub(&claim, &others);
        let mut value = a.mul(leading, &x);
        value = a.add(&value, &linear);
        value = a.mul(&value, &x);
        claim = a.add(&value, at_zero);
        rho.push(x);
    }
    let mut address = AddressPoint::new(rho.clone());
    let mut weight = a.zero();
    for ((own, _), power) in claims.iter().zip(&combine) {
        let value = match own {
            Claim::Form(form, points) => weights.form(a, form, points, &mut address)?,
            Claim::Leaves(terms) => weights.leaves(a, terms, &mut leaf_point, &mut address)?,
        };
        let term = a.mul(&value, power);
        weight = a.add(&weight, &term);
    }
    let expected = a.mul(&weight, &messages.value);
    a.assert_equal(&claim, &expected, "reduction: the weights' value at the point")?;

    let log_tile = count(layout.shape.log_tile);
    let (low, high) = rho.split_at_checked(log_tile).unwrap_or((&rho, &[]));
    let mercury = mercury_field_part(a, transcript, low, &messages.value, &messages.mercury)?;
    Ok(Opened { rho_high: high.to_vec(), mercury })
}

/// The transcript of an inference proof, before anything is absorbed.
pub fn proof_transcript<A: Arithmetic>(a: &mut A) -> Transcript<A> {
    Transcript::new(a, Fr::from(DOMAIN_PROOF))
}
