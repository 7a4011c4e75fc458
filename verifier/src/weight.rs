//! The weight polynomial of a claim at the point of the reduction.
//!
//! A claim is a linear functional on the address space (protocol section 1). Its weights are a sum over blocks of
//! `coefficient ⊗ (a product of short vectors over the low axes)`; their multilinear extension at ρ is evaluated here
//! from the same [`Form`]s that the prover reads.

use std::collections::BTreeMap;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::{Axis, Column, Region};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Coefficient, ConstantTerm, Factor, Form, FormTerm, LowWeight, ScaleRef};
use lorica_circuits::layout::Layout;

use crate::arithmetic::Arithmetic;
use crate::multilinear::{AddressPoint, dot, eq, eq_table, integer, prefix_eq, prefix_indicator};

/// The points at which a form is read: bound axes first, outer ones behind them.
#[derive(Clone, Debug, Default)]
pub struct Points<S> {
    axes: Vec<(Axis, Vec<S>)>,
}

impl<S: Clone> Points<S> {
    /// Points of the outer axes.
    #[must_use]
    pub fn new(axes: Vec<(Axis, Vec<S>)>) -> Self {
        Self { axes }
    }
    /// The same points with some axes bound to the coordinates of a sumcheck, most significant first.
    #[must_use]
    pub fn bind(&self, layout: &Layout, variables: &[Axis], challenges: &[S]) -> Self {
        let mut rest = challenges;
        let mut axes = Vec::new();
        for &axis in variables {
            let bits = usize::try_from(layout.axis_bits(axis)).unwrap_or(usize::MAX);
            let (own, others) = rest.split_at_checked(bits).unwrap_or((rest, &[]));
            axes.push((axis, own.to_vec()));
            rest = others;
        }
        axes.extend(self.axes.iter().cloned());
        Self { axes }
    }
    /// The point of a logical axis, most significant coordinate first. A channel that is not bound itself is its head
    /// and depth.
    ///
    /// # Errors
    /// If the axis has no point.
    pub fn get(&self, axis: Axis) -> Result<Vec<S>, CircuitError> {
        if let Some((_, point)) = self.axes.iter().find(|(a, _)| *a == axis) {
            return Ok(point.clone());
        }
        if axis == Axis::Channel {
            let mut point = self.get(Axis::Head)?;
            point.extend(self.get(Axis::Depth)?);
            return Ok(point);
        }
        Err(CircuitError::Compile { what: format!("axis {axis:?} has no point") })
    }
}

/// What a batch's texts contribute to weights: lengths and ids, in bits.
#[derive(Clone, Debug)]
pub struct RequestBits<S> {
    /// Bits of `length - 1`, most significant first, as many as the token axis has.
    pub last: Vec<S>,
    /// Bits of each token's word id, most significant first; padding tokens repeat token 0.
    pub ids: Vec<Vec<S>>,
}

/// Everything public that weights depend on.
#[derive(Debug)]
pub struct Weights<'l, S> {
    /// The address space.
    pub layout: &'l Layout,
    /// The base model's scales.
    pub scales: BTreeMap<ScaleRef, S>,
    /// One entry per request of the shape.
    pub requests: Vec<RequestBits<S>>,
}

impl<S: Clone + core::fmt::Debug> Weights<'_, S> {
    fn coefficient<A: Arithmetic<Scalar = S>>(&self, a: &mut A, c: Coefficient) -> Result<S, CircuitError> {
        match c {
            Coefficient::Integer(value) => Ok(a.constant(integer(value))),
            Coefficient::Scale(scale) => self
                .scales
                .get(&scale)
                .cloned()
                .ok_or_else(|| CircuitError::Compile { what: format!("no scale {scale:?}") }),
        }
    }

    fn scaled<A: Arithmetic<Scalar = S>>(&self, a: &mut A, value: S, c: Coefficient) -> Result<S, CircuitError> {
        if c == Coefficient::Integer(1) {
            return Ok(value);
        }
        let coefficient = self.coefficient(a, c)?;
        Ok(a.mul(&value, &coefficient))
    }

    fn factor<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        factor: &Factor,
        points: &Points<S>,
    ) -> Result<S, CircuitError> {
        let table = eq_table(a, &points.get(factor.axis)?);
        let mut sum = a.zero();
        for (index, coefficient) in &factor.entries {
            let entry = table
                .get(*index)
                .cloned()
                .ok_or_else(|| CircuitError::Compile { what: format!("{:?} has no index {index}", factor.axis) })?;
            let term = self.scaled(a, entry, *coefficient)?;
            sum = a.add(&sum, &term);
        }
        Ok(sum)
    }

    /// The value of a relation's public constants.
    ///
    /// # Errors
    /// If a constant does not fit the layout.
    pub fn constants<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        constants: &[ConstantTerm],
        points: &Points<S>,
    ) -> Result<S, CircuitError> {
        let mut sum = a.zero();
        for constant in constants {
            let mut value = self.coefficient(a, constant.coefficient)?;
            for factor in &constant.factors {
                let f = self.factor(a, factor, points)?;
                value = a.mul(&value, &f);
            }
            sum = a.add(&sum, &value);
        }
        Ok(sum)
    }

    /// The weights of the request axis folded with each request's mask: `Σ_m eq(point, m)·eq(other, m)·mask_m`.
    fn over_requests<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        point: &[S],
        other: &[S],
        mut mask: impl FnMut(&mut A, &RequestBits<S>) -> S,
    ) -> S {
        let left = eq_table(a, point);
        let right = eq_table(a, other);
        let mut sum = a.zero();
        for ((l, r), request) in left.iter().zip(&right).zip(&self.requests) {
            let both = a.mul(l, r);
            let m = mask(a, request);
            let term = a.mul(&both, &m);
            sum = a.add(&sum, &term);
        }
        sum
    }

    /// `Σ_m eq(outer, m)·eq(bound, m)·[key < length_m]^` at the bound key point: the public factor of masked products.
    pub fn mask<A: Arithmetic<Scalar = S>>(&self, a: &mut A, outer: &[S], bound: &[S], key: &[S]) -> S {
        self.over_requests(a, outer, bound, |a, request| prefix_indicator(a, &request.last, key))
    }

    /// The weight of the column's blocks at ρ: digits, the adapter's request, and `eq` of the block's address.
    fn blocks<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        term: &FormTerm,
        points: &Points<S>,
        rho: &mut AddressPoint<S>,
    ) -> Result<S, CircuitError> {
        let placement = self.layout.placement(term.column)?;
        let bits = usize::try_from(placement.spec.block_bits()).unwrap_or(usize::MAX);
        let mut axes: Vec<Vec<(usize, S)>> = Vec::new();
        for (weight, &(_, count)) in term.digits.iter().zip(&placement.spec.digits) {
            let table = match weight.axis {
                Some(axis) => Some(eq_table(a, &points.get(axis)?)),
                None => None,
            };
            let mut vector = Vec::new();
            for entry in &weight.entries {
                if entry.digit >= count {
                    return Err(CircuitError::Compile {
                        what: format!("{:?} has no digit {}", term.column, entry.digit),
                    });
                }
                let value = match &table {
                    Some(table) => table.get(entry.point).cloned().ok_or_else(|| CircuitError::Compile {
                        what: format!("{:?} is read at index {}", term.column, entry.point),
                    })?,
                    None => a.one(),
                };
                vector.push((entry.digit, self.scaled(a, value, entry.coefficient)?));
            }
            axes.push(vector);
        }
        let counts: Vec<usize> = placement.spec.digits.iter().map(|&(_, n)| n).collect();
        if placement.spec.region == Region::Adapter {
            let requests = eq_table(a, &points.get(Axis::Request)?);
            let mut sum = a.zero();
            for (m, weight) in requests.iter().enumerate() {
                let first = self.layout.address(term.column, m)? >> bits;
                let blocks = block_sum(a, &axes, &counts, first, bits, rho);
                let term = a.mul(weight, &blocks);
                sum = a.add(&sum, &term);
            }
            return Ok(sum);
        }
        let first = self.layout.address(term.column, 0)? >> bits;
        Ok(block_sum(a, &axes, &counts, first, bits, rho))
    }

    /// The weight of the column's low axes at ρ.
    fn lows<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        term: &FormTerm,
        points: &Points<S>,
        rho: &AddressPoint<S>,
    ) -> Result<S, CircuitError> {
        let spec = &self.layout.placement(term.column)?.spec;
        let masked = term.lows.iter().any(|l| matches!(l, LowWeight::Masked | LowWeight::Unmasked(_)));
        let mut product = a.one();
        let mut at = 0usize;
        let mut request: Option<Vec<S>> = None;
        let mut mask: Option<(LowWeight, Vec<S>)> = None;
        for (weight, &(axis, bits)) in term.lows.iter().zip(&spec.lows).rev() {
            let bits = usize::try_from(bits).unwrap_or(usize::MAX);
            let own = rho.segment(at, bits);
            at = at.saturating_add(bits);
            let factor = match weight {
                LowWeight::Axis(Axis::Request) if masked && axis == Axis::Request => {
                    request = Some(own);
                    continue;
                }
                LowWeight::Masked | LowWeight::Unmasked(_) => {
                    mask = Some((*weight, own));
                    continue;
                }
                LowWeight::Axis(axis) => {
                    let point = points.get(*axis)?;
                    if point.len() != own.len() {
                        return Err(CircuitError::Compile {
                            what: format!("{:?}: {axis:?} has another length than its weight", term.column),
                        });
                    }
                    eq(a, &point, &own)
                }
                LowWeight::Ones => a.one(),
                LowWeight::First => {
                    let zeros = vec![a.zero(); own.len()];
                    eq(a, &own, &zeros)
                }
                LowWeight::WordOf => self.words(a, points, &own)?,
                LowWeight::PositionOf => self.positions(a, points, &own)?,
            };
            product = a.mul(&product, &factor);
        }
        if let Some((weight, own)) = mask {
            let missing =
                || CircuitError::Compile { what: format!("{:?}: a mask needs the request axis", term.column) };
            let request = request.ok_or_else(missing)?;
            let point = points.get(Axis::Request)?;
            let factor = match weight {
                LowWeight::Unmasked(axis) => {
                    let other = points.get(axis)?;
                    let all = eq(a, &other, &own);
                    self.over_requests(a, &point, &request, |a, bits| {
                        let real = prefix_eq(a, &bits.last, &other, &own);
                        a.sub(&all, &real)
                    })
                }
                _ => self.over_requests(a, &point, &request, |a, bits| prefix_indicator(a, &bits.last, &own)),
            };
            product = a.mul(&product, &factor);
        }
        Ok(product)
    }

    /// `Σ_{m,t} eq(request, m)·eq(token, t)·eq(own, id_{m,t})`.
    fn words<A: Arithmetic<Scalar = S>>(&self, a: &mut A, points: &Points<S>, own: &[S]) -> Result<S, CircuitError> {
        let requests = eq_table(a, &points.get(Axis::Request)?);
        let tokens = eq_table(a, &points.get(Axis::Token)?);
        let mut sum = a.zero();
        for (r, request) in requests.iter().zip(&self.requests) {
            let rows: Vec<S> = request.ids.iter().map(|id| eq(a, id, own)).collect();
            let inner = dot(a, &tokens, &rows);
            let term = a.mul(r, &inner);
            sum = a.add(&sum, &term);
        }
        Ok(sum)
    }

    /// `Σ_{m,t} eq(request, m)·eq(token, t)·eq(own, t or 0 for padding)`.
    fn positions<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        points: &Points<S>,
        own: &[S],
    ) -> Result<S, CircuitError> {
        let token = points.get(Axis::Token)?;
        let (high, low) = own
            .split_at_checked(own.len().saturating_sub(token.len()))
            .ok_or_else(|| CircuitError::Compile { what: "position axis is shorter than the token axis".into() })?;
        let zeros = vec![a.zero(); own.len()];
        let (zeros_high, zeros_low) = zeros.split_at_checked(high.len()).unwrap_or((&zeros, &[]));
        let high = eq(a, high, zeros_high);
        let first = eq(a, low, zeros_low);
        let requests = eq_table(a, &points.get(Axis::Request)?);
        let one = a.one();
        let mut sum = a.zero();
        for (r, request) in requests.iter().zip(&self.requests) {
            let real = prefix_eq(a, &request.last, &token, low);
            let share = prefix_indicator(a, &request.last, &token);
            let padding = a.sub(&one, &share);
            let padding = a.mul(&padding, &first);
            let both = a.add(&real, &padding);
            let term = a.mul(r, &both);
            sum = a.add(&sum, &term);
        }
        Ok(a.mul(&sum, &high))
    }

    /// The weight polynomial of a form at ρ.
    ///
    /// # Errors
    /// If the form does not fit the layout: it would give weight to an address that its column does not own.
    pub fn form<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        form: &Form,
        points: &Points<S>,
        rho: &mut AddressPoint<S>,
    ) -> Result<S, CircuitError> {
        let mut sum = a.zero();
        for term in &form.terms {
            let blocks = self.blocks(a, term, points, rho)?;
            let lows = self.lows(a, term, points, rho)?;
            let mut value = a.mul(&blocks, &lows);
            for factor in &term.factors {
                let f = self.factor(a, factor, points)?;
                value = a.mul(&value, &f);
            }
            let value = self.scaled(a, value, term.coefficient)?;
            sum = a.add(&sum, &value);
        }
        Ok(sum)
    }

    /// The weight polynomial of a claim on leaves at ρ: `Σ_terms coefficient·Σ_cells eq(z, leaf)·eq(ρ, address)`.
    ///
    /// # Errors
    /// If a column is not part of the layout.
    pub fn leaves<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        terms: &[LeafTerm<S>],
        z: &mut AddressPoint<S>,
        rho: &mut AddressPoint<S>,
    ) -> Result<S, CircuitError> {
        let mut sum = a.zero();
        for term in terms {
            let spec = &self.layout.placement(term.column)?.spec;
            let bits = usize::try_from(spec.block_bits()).unwrap_or(usize::MAX);
            let address = self.layout.address(term.column, 0)? >> bits;
            let leaf = term.leaf >> bits;
            let low = {
                let (own, other) = (z.segment(0, bits), rho.segment(0, bits));
                eq(a, &own, &other)
            };
            let mut blocks = a.zero();
            for (leaf, address) in (leaf..).zip(address..).take(spec.blocks()) {
                let left = z.eq_high(a, bits, leaf);
                let right = rho.eq_high(a, bits, address);
                let both = a.mul(&left, &right);
                blocks = a.add(&blocks, &both);
            }
            let value = a.mul(&blocks, &low);
            let value = a.mul(&value, &term.coefficient);
            sum = a.add(&sum, &value);
        }
        Ok(sum)
    }
}

/// A column's part of a claim on leaves.
#[derive(Clone, Debug)]
pub struct LeafTerm<S> {
    /// The column.
    pub column: Column,
    /// Its coefficient.
    pub coefficient: S,
    /// Leaf of its first cell.
    pub leaf: u64,
}

/// `Σ_digits Π weights·eq(ρ high, first + row-major index)`.
fn block_sum<A: Arithmetic>(
    a: &mut A,
    axes: &[Vec<(usize, A::Scalar)>],
    counts: &[usize],
    first: u64,
    bits: usize,
    rho: &mut AddressPoint<A::Scalar>,
) -> A::Scalar {
    let Some((own, rest)) = axes.split_first() else {
        return rho.eq_high(a, bits, first);
    };
    let rest_counts = counts.get(1..).unwrap_or(&[]);
    let stride: u64 = rest_counts.iter().map(|&n| u64::try_from(n).unwrap_or(0)).product();
    let mut sum = a.zero();
    for (digit, weight) in own {
        let at = first.saturating_add(stride.saturating_mul(u64::try_from(*digit).unwrap_or(u64::MAX)));
        let inner = block_sum(a, rest, rest_counts, at, bits, rho);
        let term = a.mul(weight, &inner);
        sum = a.add(&sum, &term);
    }
    sum
}

/// Scales as field elements, in the order in which they are hashed.
#[must_use]
pub fn scale_values(scales: &lorica_circuits::architecture::Scales) -> Vec<(ScaleRef, Fr)> {
    let power = |bits: u32| Fr::from(2).pow([u64::from(bits)]);
    let mut values = Vec::new();
    for (j, norm) in scales.norms.iter().enumerate() {
        values.push((ScaleRef::Stream(j), power(norm.stream)));
        values.push((ScaleRef::Branch(j), power(norm.branch)));
        values.push((ScaleRef::NormStep(j), power(32u32.saturating_sub(norm.shift))));
        values.push((ScaleRef::Root(j), power(norm.root)));
        values.push((ScaleRef::Epsilon(j), Fr::from(norm.epsilon)));
    }
    for (l, &shift) in scales.scores.iter().enumerate() {
        values.push((ScaleRef::ScoreStep(l), power(16u32.saturating_sub(shift))));
    }
    values
}
