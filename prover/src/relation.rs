//! The prover of the relations: one sumcheck over all products (see [`lorica_verifier::protocol::field`]).

mod product;

use rayon::prelude::*;

use lorica_cells::watch::Watch;
use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::Form;
use lorica_circuits::relation::{Product, PublicFactor};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{has_form_value, powers, variables};
use lorica_verifier::protocol::multilinear::{eq_table, integer};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::weight::Points;

use self::product::Sumcheck;
use crate::error::ProveError;
use crate::lanes::Lanes;
use crate::operand::Reader;

const CHUNK: usize = 1 << 11;

/// A product's three polynomials over its hypercube, first variable most significant.
pub(crate) struct Tables {
    public: Vec<Fr>,
    left: Vec<Fr>,
    right: Option<Vec<Fr>>,
}

/// Doubles a table along new least significant bits.
fn tensor(table: &[Fr], factor: &[Fr]) -> Vec<Fr> {
    table.par_iter().with_min_len(64).flat_map_iter(|t| factor.iter().map(move |f| *t * f)).collect()
}

impl Tables {
    pub(crate) fn new(reader: &Reader<'_>, product: &Product, outer: &Points<'_, Fr>) -> Result<Self, CircuitError> {
        let mut public = vec![Fr::ONE];
        let lengths = product.public.iter().find_map(|factor| match *factor {
            PublicFactor::Length(axis) => Some(axis),
            PublicFactor::Equal(_) => None,
        });
        for &axis in &product.variables {
            let bits = reader.layout.axis_bits(axis) as usize;
            let equal = product.public.contains(&PublicFactor::Equal(axis));
            let factor = if equal || (lengths.is_some() && axis == Axis::REQUEST) {
                eq_table(&mut Native, &outer.get(axis)?)
            } else {
                vec![Fr::ONE; 1 << bits]
            };
            public = tensor(&public, &factor);
        }
        if let Some(index) = lengths {
            let mut shift = public.len().trailing_zeros() as usize;
            let (mut request, mut key) = ((0, 0), (0, 0));
            for &axis in &product.variables {
                let bits = reader.layout.axis_bits(axis) as usize;
                shift -= bits;
                let place = (shift, (1usize << bits) - 1);
                if axis == Axis::REQUEST {
                    request = place;
                } else if axis == index {
                    key = place;
                }
            }
            for (i, value) in public.iter_mut().enumerate() {
                if (i >> key.0) & key.1 >= reader.texts[(i >> request.0) & request.1].length {
                    *value = Fr::ZERO;
                }
            }
        }
        let left = reader.materialise(&product.left, &product.variables, outer)?;
        let right = match &product.right {
            Some(form) => Some(reader.materialise(form, &product.variables, outer)?),
            None => None,
        };
        Ok(Self { public, left, right })
    }

    fn right(&self) -> &[Fr] {
        self.right.as_deref().unwrap_or(&self.left)
    }

    pub(crate) fn sum(&self) -> Fr {
        (&self.public, &self.left, self.right())
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|(p, l, r)| if bool::from(l.is_zero()) { Fr::ZERO } else { *p * l * r })
            .reduce(|| Fr::ZERO, |x, y| x + y)
    }
}

/// A claim with its value: form and points.
pub(crate) type FormClaim<'r> = (&'r Form, Points<'r, Fr>, Fr);

/// The messages of the relations.
pub(crate) struct RelationMessages<'r> {
    pub(crate) forms: Vec<Fr>,
    pub(crate) rounds: Vec<[Fr; 3]>,
    pub(crate) operands: Vec<Fr>,
    pub(crate) claims: Vec<FormClaim<'r>>,
}

/// Proves all relations. `publics` are the values of each relation's constants and published integers at the outer
/// points.
pub(crate) fn prove_relations<'r>(
    transcript: &mut Transcript<Native>,
    reader: &Reader<'r>,
    publics: &[Fr],
    outer: &Points<'r, Fr>,
    rounds: usize,
    watch: &dyn Watch,
) -> Result<RelationMessages<'r>, ProveError> {
    #[cfg(target_arch = "x86_64")]
    if crate::lanes::ifma::is_available() {
        return prove_with::<crate::lanes::ifma::Ifma>(transcript, reader, publics, outer, rounds, watch);
    }
    prove_with::<crate::lanes::portable::Portable>(transcript, reader, publics, outer, rounds, watch)
}

fn prove_with<'r, V: Lanes>(
    transcript: &mut Transcript<Native>,
    reader: &Reader<'r>,
    publics: &[Fr],
    outer: &Points<'r, Fr>,
    rounds: usize,
    watch: &dyn Watch,
) -> Result<RelationMessages<'r>, ProveError> {
    let a = &mut Native;
    let layout = reader.layout;
    let mut claims: Vec<FormClaim<'r>> = Vec::new();
    let mut forms = Vec::new();
    let mut tables = Vec::new();
    for (relation, public) in reader.layout.relations().iter().zip(publics) {
        if relation.products.is_empty() {
            claims.push((&relation.form, outer.clone(), -public));
            continue;
        }
        let mut total = Fr::ZERO;
        for product in &relation.products {
            watch.check()?;
            let own = Tables::new(reader, product, outer)?;
            let sum = own.sum();
            total += integer(product.coefficient) * sum;
            tables.push((Sumcheck::<V>::new(own), sum));
        }
        if has_form_value(relation) {
            let value = total - public;
            forms.push(value);
            claims.push((&relation.form, outer.clone(), value));
        }
    }
    transcript.absorb_all(a, "form values", &forms);
    let lambda = transcript.challenge(a, "relation combine");
    let with_products = || reader.layout.relations().iter().filter(|r| !r.products.is_empty());
    let combine = powers(a, &lambda, with_products().count());
    let weights: Vec<(Fr, usize)> = with_products()
        .zip(&combine)
        .flat_map(|(relation, weight)| {
            relation.products.iter().map(move |p| (*weight * integer(p.coefficient), rounds - variables(layout, p)))
        })
        .collect();

    let mut messages = Vec::with_capacity(rounds);
    let mut challenges = Vec::with_capacity(rounds);
    for round in 0..rounds {
        watch.check()?;
        let mut coefficients = [Fr::ZERO; 3];
        for ((own, sum), (weight, skipped)) in tables.iter().zip(&weights) {
            if round < *skipped {
                // Constant: half of what is left.
                coefficients[0] += *weight * sum * Fr::TWO_INV.pow([round as u64 + 1]);
                continue;
            }
            let scale = *weight * Fr::TWO_INV.pow([*skipped as u64]);
            for (total, own) in coefficients.iter_mut().zip(own.round()) {
                *total += scale * own;
            }
        }
        transcript.absorb_all(a, "relation round", &coefficients);
        let challenge = transcript.challenge(a, "relation round");
        messages.push(coefficients);
        challenges.push(challenge);
        for ((own, _), (_, skipped)) in tables.iter_mut().zip(&weights) {
            if round >= *skipped {
                own.fold(&challenge);
            }
        }
    }

    let mut operands = Vec::new();
    let mut finished = tables.iter();
    for relation in with_products() {
        for product in &relation.products {
            let skipped = rounds - variables(layout, product);
            let bound = outer.bind(&product.variables, &challenges[skipped..]);
            let Some((own, _)) = finished.next() else { continue };
            let (left, right) = own.operands();
            operands.push(left);
            claims.push((&product.left, bound.clone(), left));
            if let Some(form) = &product.right {
                operands.push(right);
                claims.push((form, bound, right));
            }
        }
    }
    transcript.absorb_all(a, "operand values", &operands);
    Ok(RelationMessages { forms, rounds: messages, operands, claims })
}
