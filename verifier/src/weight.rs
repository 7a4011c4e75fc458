//! The weight polynomial of a claim at the point of the reduction.
//!
//! A claim is a linear functional on the address space (protocol section 1). Its weights are a sum over blocks of
//! `coefficient ⊗ (a product of short vectors over the low axes)`; their multilinear extension at ρ is evaluated here
//! from the same [`Form`]s that the prover reads.

use std::collections::BTreeMap;

use lorica_circuits::architecture::{Architecture, NormScale, Scales};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::{Axis, Column, Region};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Coefficient, ConstantTerm, Factor, Form, FormTerm, LowWeight, ScaleRef};
use lorica_circuits::layout::Layout;

use crate::arithmetic::Arithmetic;
use crate::multilinear::{AddressPoint, dot, eq, eq_table, integer, packed, prefix_eq, prefix_indicator};

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
                LowWeight::Axis(axis) | LowWeight::Packed(axis) => {
                    let point = points.get(*axis)?;
                    if point.len() != own.len() {
                        return Err(CircuitError::Compile {
                            what: format!("{:?}: {axis:?} has another length than its weight", term.column),
                        });
                    }
                    match weight {
                        LowWeight::Packed(_) => packed(a, &point, &own),
                        _ => eq(a, &point, &own),
                    }
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
            .len()
            .checked_sub(token.len())
            .and_then(|bits| own.split_at_checked(bits))
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

/// Names of the scales that an architecture has, in the order in which they are hashed.
#[must_use]
pub fn scale_names(architecture: &Architecture) -> Vec<ScaleRef> {
    let norm = NormScale { stream: 0, branch: 0, root: 0, shift: 17, epsilon: 1 };
    let any = Scales { norms: vec![norm; architecture.norms()], scores: vec![0; architecture.layers] };
    scale_values(&any).into_iter().map(|(name, _)| name).collect()
}

/// Scales as field elements, in the order in which they are hashed.
#[must_use]
pub fn scale_values(scales: &Scales) -> Vec<(ScaleRef, Fr)> {
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

#[cfg(test)]
mod tests {
    use lorica_circuits::architecture::{Activation, OutputKind, Shape};

    use super::*;
    use crate::arithmetic::Native;

    fn scalars(seed: u64, count: u64) -> Vec<Fr> {
        (0..count).map(|i| Fr::from(seed + 1_000_003 * i).square() + Fr::from(seed)).collect()
    }

    fn layout() -> Layout {
        let architecture = Architecture {
            hidden: 256,
            layers: 2,
            heads: 4,
            intermediate: 384,
            vocab: 50,
            activation: Activation::Relu,
            r_max: 4,
            score_bits: 8,
            activation_bits: 8,
            tanh_bits: 8,
        };
        let shape = Shape { requests: 2, tokens: 16, log_tile: 14, output: OutputKind::Embed };
        Layout::new(&architecture, &shape).unwrap()
    }

    #[test]
    fn scales_are_powers_in_their_order() {
        let norm = |n: u32| NormScale { stream: n, branch: n + 1, root: 70 + n, shift: 20 + n, epsilon: 1000 };
        let scales = Scales { norms: vec![norm(0), norm(3)], scores: vec![16, 5] };
        let two = |bits: u64| Fr::from(2).pow([bits]);
        let expected = [
            (ScaleRef::Stream(0), Fr::ONE),
            (ScaleRef::Branch(0), two(1)),
            (ScaleRef::NormStep(0), two(12)),
            (ScaleRef::Root(0), two(70)),
            (ScaleRef::Epsilon(0), Fr::from(1000)),
            (ScaleRef::Stream(1), two(3)),
            (ScaleRef::Branch(1), two(4)),
            (ScaleRef::NormStep(1), two(9)),
            (ScaleRef::Root(1), two(73)),
            (ScaleRef::Epsilon(1), Fr::from(1000)),
            (ScaleRef::ScoreStep(0), Fr::ONE),
            (ScaleRef::ScoreStep(1), two(11)),
        ];
        assert_eq!(scale_values(&scales), expected);
    }

    /// Blocks are counted row-major: the last digit moves fastest.
    #[test]
    fn blocks_are_row_major() {
        let point = scalars(3, 8);
        let (first, bits) = (5u64, 2usize);
        let mut rho = AddressPoint::new(point.clone());
        let counts = [2usize, 3, 4];
        let axes: Vec<Vec<(usize, Fr)>> = counts
            .iter()
            .map(|&n| scalars(n as u64, n as u64).into_iter().enumerate().filter(|(i, _)| *i != 1).collect())
            .collect();
        let mut expected = Fr::ZERO;
        for (i, u) in &axes[0] {
            for (j, v) in &axes[1] {
                for (k, w) in &axes[2] {
                    let index = first + ((i * 3 + j) * 4 + k) as u64;
                    expected += *u * v * w * rho.eq_high(&mut Native, bits, index);
                }
            }
        }
        assert_eq!(block_sum(&mut Native, &axes, &counts, first, bits, &mut rho), expected);
    }

    #[test]
    fn bound_axes_come_before_outer_ones() {
        let layout = layout();
        let (token, head, depth) = (scalars(1, 4), scalars(2, 1), scalars(3, 6));
        let outer =
            Points::new(vec![(Axis::Token, token.clone()), (Axis::Head, head.clone()), (Axis::Depth, depth.clone())]);
        assert_eq!(outer.get(Axis::Token), Ok(token.clone()));
        // A channel is a head and a depth, unless it is bound itself.
        assert_eq!(outer.get(Axis::Channel), Ok([head, depth.clone()].concat()));
        assert!(outer.get(Axis::Key).is_err() && outer.get(Axis::ChannelIn).is_err());
        let challenges = scalars(4, 4 + 7 + 6);
        let bound = outer.bind(&layout, &[Axis::Token, Axis::Channel, Axis::Depth], &challenges);
        assert_eq!(bound.get(Axis::Token), Ok(challenges[..4].to_vec()));
        assert_eq!(bound.get(Axis::Channel), Ok(challenges[4..11].to_vec()));
        assert_eq!(bound.get(Axis::Depth), Ok(challenges[11..].to_vec()));
        assert_eq!(outer.get(Axis::Depth), Ok(depth));
    }

    fn corner(index: u64, bits: u32) -> Vec<Fr> {
        (0..bits).rev().map(|i| Fr::from((index >> i) & 1)).collect()
    }

    /// Two texts over the layout's sixteen tokens: word ids, padded by the first, and lengths.
    const TEXTS: [(u64, u64); 2] = [(5, 3), (16, 11)];

    fn id_of(m: usize, t: u64) -> u64 {
        let (length, step) = TEXTS[m];
        if t < length { (t * step + 7) % 50 } else { 7 }
    }

    fn weights(layout: &Layout) -> Weights<'_, Fr> {
        let requests = (0..2usize)
            .map(|m| RequestBits {
                last: corner(TEXTS[m].0 - 1, 4),
                ids: (0..16).map(|t| corner(id_of(m, t), 6)).collect(),
            })
            .collect();
        Weights { layout, scales: BTreeMap::new(), requests }
    }

    /// On corners the gathers are what their names say: word of a token, position of a token, mask of a key.
    #[test]
    fn gathers_are_indicators_on_corners() {
        let layout = layout();
        let weights = weights(&layout);
        let a = &mut Native;
        let flag = |b: bool| Fr::from(u64::from(b));
        for m in 0..2u64 {
            let (length, _) = TEXTS[m as usize];
            for t in 0..16u64 {
                let points = Points::new(vec![(Axis::Request, corner(m, 1)), (Axis::Token, corner(t, 4))]);
                for id in 0..64 {
                    let expected = flag(id == id_of(m as usize, t));
                    assert_eq!(weights.words(a, &points, &corner(id, 6)), Ok(expected), "{m} {t} {id}");
                }
                for position in 0..128 {
                    let expected = flag(position == if t < length { t } else { 0 });
                    assert_eq!(weights.positions(a, &points, &corner(position, 7)), Ok(expected), "{m} {t} {position}");
                }
                for other in 0..2 {
                    let mask = weights.mask(a, &corner(m, 1), &corner(other, 1), &corner(t, 4));
                    assert_eq!(mask, flag(m == other && t < length));
                }
            }
        }
    }

    /// The weights of a form at a corner of the address space are those of the cell that lies there.
    #[test]
    fn forms_read_the_cell_at_an_address() {
        let layout = layout();
        let weights = weights(&layout);
        let a = &mut Native;
        let spec = &layout.placement(Column::Residual).unwrap().spec;
        let form = Form { terms: vec![FormTerm::read(spec)] };
        let start = layout.address(Column::Residual, 0).unwrap();
        let bits = layout.address_bits();
        let at = |address: u64| AddressPoint::new(corner(address, bits).into_iter().rev().collect());
        // Slot, block, request, token, channel.
        for (slot, block, m, t, c) in [(0u64, 0u64, 0u64, 0u64, 0u64), (1, 1, 0, 3, 100), (2, 0, 1, 15, 127)] {
            let points = Points::new(vec![
                (Axis::Slot, corner(slot, 2)),
                (Axis::HiddenBlock, corner(block, 1)),
                (Axis::Request, corner(m, 1)),
                (Axis::Token, corner(t, 4)),
                (Axis::Channel, corner(c, 7)),
            ]);
            let own = start + ((((slot * 2 + block) * 2 + m) * 16 + t) * 128) + c;
            for (address, expected) in
                [(own, Fr::ONE), (own + 1, Fr::ZERO), (own ^ 128, Fr::ZERO), (own ^ 4096, Fr::ZERO), (0, Fr::ZERO)]
            {
                assert_eq!(weights.form(a, &form, &points, &mut at(address)), Ok(expected), "{address}");
            }
        }
    }

    /// A form that would weigh what its column does not own is refused.
    #[test]
    fn forms_that_do_not_fit_are_refused() {
        let layout = layout();
        let weights = weights(&layout);
        let spec = &layout.placement(Column::Residual).unwrap().spec;
        let points = Points::new(vec![
            (Axis::Slot, scalars(1, 2)),
            (Axis::HiddenBlock, scalars(2, 1)),
            (Axis::Request, scalars(3, 1)),
            (Axis::Token, scalars(4, 4)),
            (Axis::Channel, scalars(5, 7)),
            (Axis::Rank, scalars(6, 2)),
        ]);
        let mut rho = AddressPoint::new(scalars(7, u64::from(layout.address_bits())));
        let honest = FormTerm::read(spec);
        let mut verdict = |edit: &dyn Fn(&mut FormTerm)| {
            let mut term = honest.clone();
            edit(&mut term);
            weights.form(&mut Native, &Form { terms: vec![term] }, &points, &mut rho)
        };
        let plain = verdict(&|_| {}).unwrap();
        assert_ne!(plain, Fr::ZERO);
        // Digits are 0 to 2, points of the axis 0 to 3.
        assert!(verdict(&|t| t.digits[0].entries[0].digit = 2).is_ok());
        assert!(verdict(&|t| t.digits[0].entries[0].digit = 3).is_err());
        assert!(verdict(&|t| t.digits[0].entries[0].point = 3).is_ok());
        assert!(verdict(&|t| t.digits[0].entries[0].point = 4).is_err());
        // An axis of another length, without a point, a mask without requests, a scale that no one has.
        assert!(verdict(&|t| t.lows[2] = LowWeight::Axis(Axis::Rank)).is_err());
        assert!(verdict(&|t| t.lows[2] = LowWeight::Axis(Axis::ChannelIn)).is_err());
        assert!(verdict(&|t| t.lows[1] = LowWeight::Masked).is_ok());
        assert!(verdict(&|t| (t.lows[0], t.lows[1]) = (LowWeight::Ones, LowWeight::Masked)).is_err());
        assert!(verdict(&|t| t.coefficient = Coefficient::Scale(ScaleRef::Root(0))).is_err());
        // Coefficients and factors multiply.
        assert_eq!(verdict(&|t| t.coefficient = Coefficient::Integer(-3)), Ok(-Fr::from(3) * plain));
        let factor =
            Factor { axis: Axis::Rank, entries: vec![(0, Coefficient::Integer(1)), (3, Coefficient::Integer(5))] };
        let rank = eq_table(&mut Native, &scalars(6, 2));
        let expected = plain * (rank[0] + Fr::from(5) * rank[3]);
        assert_eq!(verdict(&|t| t.factors = vec![factor.clone()]), Ok(expected));
        let beyond = Factor { axis: Axis::Rank, entries: vec![(4, Coefficient::Integer(1))] };
        assert!(verdict(&|t| t.factors = vec![beyond.clone()]).is_err());
    }
}
