//! The weight polynomial of a claim at the point of the reduction.
//!
//! A claim is a linear functional on the address space (`docs/protocol/README.md`). Its weights are a sum over blocks of
//! `coefficient ⊗ (a product of short vectors over the low axes)`; their multilinear extension at ρ is evaluated here
//! from the same [`Form`]s that the prover reads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lorica_circuits::axis::Axis;
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Coefficient, ConstantTerm, DigitWeight, Factor, Form, FormTerm, LowWeight};
use lorica_circuits::layout::Layout;

use crate::protocol::arithmetic::Arithmetic;
use crate::protocol::multilinear::{
    AddressPoint, dot, eq, eq_table, integer, packed, power_of_two, prefix_eq, prefix_indicator,
};

/// The points at which a form is read: bound axes first, outer ones behind them.
#[derive(Clone, Debug)]
pub struct Points<'l, S> {
    layout: &'l Layout,
    axes: Vec<(Axis, Vec<S>)>,
    /// `eq` tables of axes that were asked for: claims read the same axes over and over.
    tables: RefCell<BTreeMap<Axis, Rc<Vec<S>>>>,
}

impl<'l, S: Clone> Points<'l, S> {
    /// Points of the outer axes.
    #[must_use]
    pub fn new(layout: &'l Layout, axes: Vec<(Axis, Vec<S>)>) -> Self {
        Self { layout, axes, tables: RefCell::default() }
    }
    /// The same points with some axes bound to the coordinates of a sumcheck, most significant first.
    #[must_use]
    pub fn bind(&self, variables: &[Axis], challenges: &[S]) -> Self {
        let mut rest = challenges;
        let mut axes = Vec::new();
        for &axis in variables {
            let bits = usize::try_from(self.layout.axis_bits(axis)).unwrap_or(usize::MAX);
            let (own, others) = rest.split_at_checked(bits).unwrap_or((rest, &[]));
            axes.push((axis, own.to_vec()));
            rest = others;
        }
        axes.extend(self.axes.iter().cloned());
        let mut tables = self.tables.borrow().clone();
        // A table of an axis that is bound, or whose parts are, is another one now.
        let bound =
            |axis: &Axis| variables.contains(axis) || self.layout.parts(*axis).iter().any(|p| variables.contains(p));
        tables.retain(|axis, _| !bound(axis));
        Self { layout: self.layout, axes, tables: RefCell::new(tables) }
    }
    /// `eq` of an axis' point with every index.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn table<A: Arithmetic<Scalar = S>>(&self, a: &mut A, axis: Axis) -> Result<Rc<Vec<S>>, CircuitError> {
        if let Some(known) = self.tables.borrow().get(&axis) {
            return Ok(known.clone());
        }
        let table = Rc::new(eq_table(a, &self.get(axis)?));
        self.tables.borrow_mut().insert(axis, table.clone());
        Ok(table)
    }
    /// The point of a logical axis, most significant coordinate first. An axis of parts that is not bound itself has the
    /// parts' points side by side.
    ///
    /// # Errors
    /// If the axis has no point.
    pub fn get(&self, axis: Axis) -> Result<Vec<S>, CircuitError> {
        if let Some((_, point)) = self.axes.iter().find(|(a, _)| *a == axis) {
            return Ok(point.clone());
        }
        let parts = self.layout.parts(axis);
        if parts.is_empty() {
            return Err(CircuitError::Compile { what: format!("axis {axis:?} has no point") });
        }
        let mut point = Vec::new();
        for part in parts {
            point.extend(self.get(*part)?);
        }
        Ok(point)
    }
}

/// What a batch's requests contribute to weights: lengths, ids and labels, in bits.
#[derive(Clone, Debug)]
pub struct RequestBits<S> {
    /// Bits of `length - 1`, most significant first, as many as the token axis has.
    pub last: Vec<S>,
    /// Bits of each token's word id, most significant first; padding tokens repeat token 0.
    pub ids: Vec<Vec<S>>,
    /// Bits of the label, most significant first.
    pub label: Vec<S>,
    /// Whether the request attributes, 0 or 1; zero in a batch that does not.
    pub attributes: S,
    /// Bits of the row of the index that the request names, most significant first; none in a program that reads none.
    pub row: Vec<S>,
}

/// Everything public that weights depend on.
#[derive(Debug)]
pub struct Weights<'l, S> {
    /// The address space.
    pub layout: &'l Layout,
    /// The base model's scales, in the order in which they are hashed.
    pub scales: Vec<S>,
    /// One entry per request of the shape.
    pub requests: Vec<RequestBits<S>>,
    /// Bits of one less than the statement's count, most significant first, in a program that counts an axis; else none.
    pub last: Vec<S>,
}

impl<S: Clone + core::fmt::Debug> Weights<'_, S> {
    fn coefficient<A: Arithmetic<Scalar = S>>(&self, a: &mut A, c: Coefficient) -> Result<S, CircuitError> {
        match c {
            Coefficient::Integer(value) => Ok(a.constant(integer(value))),
            Coefficient::Power(bits) => Ok(a.constant(power_of_two(bits))),
            Coefficient::Scale(scale) => self
                .scales
                .get(scale.0)
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
        points: &Points<'_, S>,
    ) -> Result<S, CircuitError> {
        let table = points.table(a, factor.axis)?;
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
        points: &Points<'_, S>,
    ) -> Result<S, CircuitError> {
        let mut sum = a.zero();
        for constant in constants {
            let mut value = self.coefficient(a, constant.coefficient)?;
            for factor in &constant.factors {
                let f = self.factor(a, factor, points)?;
                value = a.mul(&value, &f);
            }
            if let Some(axis) = constant.ramp {
                // Index i has the extension Σ_k 2^k·z_k.
                let mut index = a.zero();
                for coordinate in points.get(axis)? {
                    let twice = a.add(&index, &index);
                    index = a.add(&twice, &coordinate);
                }
                value = a.mul(&value, &index);
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

    /// The weight of the column's blocks at ρ: digits, the request of a region that each request has, and `eq` of the
    /// block's address. The stacked digit is in the low bits of a group's blocks: a sum of its own for each group.
    fn blocks<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        term: &FormTerm,
        points: &Points<'_, S>,
        rho: &mut AddressPoint<S>,
    ) -> Result<S, CircuitError> {
        let placement = self.layout.placement(term.column)?;
        let spec = &placement.spec;
        let low = usize::try_from(spec.block_bits()).unwrap_or(usize::MAX);
        let (mut axes, mut counts, mut stack) = (Vec::new(), Vec::new(), None);
        for (at, (weight, &(_, count))) in term.digits.iter().zip(&spec.digits).enumerate() {
            let own = self.digit(a, term.column, weight, count, points)?;
            if spec.stacked == Some(at) {
                stack = Some(own);
            } else {
                axes.push(own);
                counts.push(count);
            }
        }
        let requests = match self.layout.copies(spec.region) {
            1 => vec![a.one()],
            _ => points.table(a, Axis::REQUEST)?.to_vec(),
        };
        let mut sum = a.zero();
        for group in &placement.groups {
            let own = usize::try_from(group.bits).unwrap_or(usize::MAX);
            let bits = low.saturating_add(own);
            let mut blocks = a.zero();
            for (m, weight) in requests.iter().enumerate() {
                let first = self.layout.region_start(spec.region, m).saturating_add(group.offset) >> bits;
                let inner = block_sum(a, &axes, &counts, first, bits, rho);
                let term = if requests.len() == 1 { inner } else { a.mul(weight, &inner) };
                blocks = a.add(&blocks, &term);
            }
            if let Some(weights) = &stack {
                let table = rho.table(a, low, own);
                let mut stacked = a.zero();
                for (digit, weight) in weights {
                    if let Some(entry) = digit.checked_sub(group.first).and_then(|index| table.get(index)) {
                        let term = a.mul(weight, entry);
                        stacked = a.add(&stacked, &term);
                    }
                }
                blocks = a.mul(&blocks, &stacked);
            }
            sum = a.add(&sum, &blocks);
        }
        Ok(sum)
    }

    /// The weights of a digit's indices.
    fn digit<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        column: Column,
        weight: &DigitWeight,
        count: usize,
        points: &Points<'_, S>,
    ) -> Result<Vec<(usize, S)>, CircuitError> {
        let table = match weight.axis {
            Some(axis) => Some(points.table(a, axis)?),
            None => None,
        };
        let mut vector = Vec::new();
        for entry in &weight.entries {
            if entry.digit >= count {
                return Err(CircuitError::Compile { what: format!("{column:?} has no digit {}", entry.digit) });
            }
            let value = match &table {
                Some(table) => table.get(entry.point).cloned().ok_or_else(|| CircuitError::Compile {
                    what: format!("{column:?} is read at index {}", entry.point),
                })?,
                None => a.one(),
            };
            vector.push((entry.digit, self.scaled(a, value, entry.coefficient)?));
        }
        Ok(vector)
    }

    /// The weight of the column's low axes at ρ.
    fn lows<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        term: &FormTerm,
        points: &Points<'_, S>,
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
                LowWeight::Axis(Axis::REQUEST) if masked && axis == Axis::REQUEST => {
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
                LowWeight::LabelOf => self.labels(a, points, &own)?,
                LowWeight::RowOf => self.rows(a, points, &own)?,
                LowWeight::Beyond(axis) => {
                    let point = points.get(*axis)?;
                    if self.last.len() != own.len() || point.len() != own.len() {
                        return Err(CircuitError::Compile {
                            what: format!("{:?}: {axis:?} is not what the statement counts", term.column),
                        });
                    }
                    // eq of all indices less that of those below the count.
                    let all = eq(a, &point, &own);
                    let counted = prefix_eq(a, &self.last, &point, &own);
                    a.sub(&all, &counted)
                }
            };
            product = a.mul(&product, &factor);
        }
        if let Some((weight, own)) = mask {
            let missing =
                || CircuitError::Compile { what: format!("{:?}: a mask needs the request axis", term.column) };
            let request = request.ok_or_else(missing)?;
            let point = points.get(Axis::REQUEST)?;
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
    fn words<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        points: &Points<'_, S>,
        own: &[S],
    ) -> Result<S, CircuitError> {
        let requests = points.table(a, Axis::REQUEST)?;
        let tokens = points.table(a, Axis::TOKEN)?;
        let mut sum = a.zero();
        for (r, request) in requests.iter().zip(&self.requests) {
            let rows: Vec<S> = request.ids.iter().map(|id| eq(a, id, own)).collect();
            let inner = dot(a, tokens.iter(), &rows);
            let term = a.mul(r, &inner);
            sum = a.add(&sum, &term);
        }
        Ok(sum)
    }

    /// `Σ_m eq(request, m)·attributes_m·eq(own, label_m)`.
    fn labels<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        points: &Points<'_, S>,
        own: &[S],
    ) -> Result<S, CircuitError> {
        let requests = points.table(a, Axis::REQUEST)?;
        let mut sum = a.zero();
        for (r, request) in requests.iter().zip(&self.requests) {
            let label = eq(a, &request.label, own);
            let used = a.mul(&label, &request.attributes);
            let term = a.mul(r, &used);
            sum = a.add(&sum, &term);
        }
        Ok(sum)
    }

    /// `Σ_m eq(request, m)·eq(own, row_m)`.
    fn rows<A: Arithmetic<Scalar = S>>(&self, a: &mut A, points: &Points<'_, S>, own: &[S]) -> Result<S, CircuitError> {
        let requests = points.table(a, Axis::REQUEST)?;
        let mut sum = a.zero();
        for (r, request) in requests.iter().zip(&self.requests) {
            // `eq` of a shorter point would be that of all rows that begin with it.
            if request.row.len() != own.len() {
                return Err(CircuitError::Compile { what: "a request names no row of this index".into() });
            }
            let row = eq(a, &request.row, own);
            let term = a.mul(r, &row);
            sum = a.add(&sum, &term);
        }
        Ok(sum)
    }

    /// `Σ_{m,t} eq(request, m)·eq(token, t)·eq(own, t or 0 for padding)`.
    fn positions<A: Arithmetic<Scalar = S>>(
        &self,
        a: &mut A,
        points: &Points<'_, S>,
        own: &[S],
    ) -> Result<S, CircuitError> {
        let token = points.get(Axis::TOKEN)?;
        let (high, low) = own
            .len()
            .checked_sub(token.len())
            .and_then(|bits| own.split_at_checked(bits))
            .ok_or_else(|| CircuitError::Compile { what: "position axis is shorter than the token axis".into() })?;
        let zeros = vec![a.zero(); own.len()];
        let (zeros_high, zeros_low) = zeros.split_at_checked(high.len()).unwrap_or((&zeros, &[]));
        let high = eq(a, high, zeros_high);
        let first = eq(a, low, zeros_low);
        let requests = points.table(a, Axis::REQUEST)?;
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
        points: &Points<'_, S>,
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
            let read = self.layout.placement(term.column)?;
            let keys = self.layout.placement(term.at)?;
            let start = self.layout.region_start(read.spec.region, 0);
            let part = u64::try_from(term.part).unwrap_or(u64::MAX);
            let mut blocks = a.zero();
            for (own, leaf) in read.groups.iter().zip(&keys.leaves) {
                let bits = usize::try_from(read.spec.block_bits().saturating_add(own.bits)).unwrap_or(usize::MAX);
                let first = leaf.offset.saturating_add(part.saturating_mul(read.group_len(own)));
                let low = {
                    let (own, other) = (z.segment(0, bits), rho.segment(0, bits));
                    eq(a, &own, &other)
                };
                let (leaf, address) = (first >> bits, start.saturating_add(own.offset) >> bits);
                let mut inner = a.zero();
                for (leaf, address) in (leaf..).zip(address..).take(read.others()) {
                    let left = z.eq_high(a, bits, leaf);
                    let right = rho.eq_high(a, bits, address);
                    let both = a.mul(&left, &right);
                    inner = a.add(&inner, &both);
                }
                let group = a.mul(&inner, &low);
                blocks = a.add(&blocks, &group);
            }
            let value = a.mul(&blocks, &term.coefficient);
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
    /// The column whose leaves its cells are: itself, or the keys beside its values.
    pub at: Column,
    /// Which part of that column, of as many cells as the column has: for groups, the request.
    pub part: usize,
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

#[cfg(test)]
mod tests {
    use lorica_circuits::bn254::{Field, Fr};
    use lorica_circuits::families::encoder::{Activation, Architecture, columns};
    use lorica_circuits::form::Scale;
    use lorica_circuits::shape::{OutputKind, Shape};

    use super::*;
    use crate::protocol::arithmetic::Native;

    fn scalars(seed: u64, count: u64) -> Vec<Fr> {
        (0..count).map(|i| Fr::from(seed + 1_000_003 * i).square() + Fr::from(seed)).collect()
    }

    fn layout() -> Layout {
        let architecture = Architecture {
            block: 128,
            max_tokens: 128,
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
        let shape = Shape { requests: 2, tokens: 16, log_tile: 14, output: OutputKind::Embed, records: 0 };
        architecture.layout(&shape).unwrap()
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
        let outer = Points::new(
            &layout,
            vec![(Axis::TOKEN, token.clone()), (Axis::HEAD, head.clone()), (Axis::DEPTH, depth.clone())],
        );
        assert_eq!(outer.get(Axis::TOKEN), Ok(token.clone()));
        // A channel is a head and a depth, unless it is bound itself.
        assert_eq!(outer.get(Axis::CHANNEL), Ok([head, depth.clone()].concat()));
        assert!(outer.get(Axis::KEY).is_err() && outer.get(Axis::CHANNEL_IN).is_err());
        let challenges = scalars(4, 4 + 7 + 6);
        let bound = outer.bind(&[Axis::TOKEN, Axis::CHANNEL, Axis::DEPTH], &challenges);
        assert_eq!(bound.get(Axis::TOKEN), Ok(challenges[..4].to_vec()));
        assert_eq!(bound.get(Axis::CHANNEL), Ok(challenges[4..11].to_vec()));
        assert_eq!(bound.get(Axis::DEPTH), Ok(challenges[11..].to_vec()));
        assert_eq!(outer.get(Axis::DEPTH), Ok(depth));
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
                label: vec![],
                attributes: Fr::ZERO,
                row: vec![],
            })
            .collect();
        Weights { layout, scales: Vec::new(), requests, last: vec![] }
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
                let points = Points::new(&layout, vec![(Axis::REQUEST, corner(m, 1)), (Axis::TOKEN, corner(t, 4))]);
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
        let spec = &layout.placement(columns::RESIDUAL).unwrap().spec;
        let form = Form { terms: vec![FormTerm::read(spec)] };
        let bits = layout.address_bits();
        let at = |address: u64| AddressPoint::new(corner(address, bits).into_iter().rev().collect());
        // Slot, block, request, token, channel.
        for (slot, block, m, t, c) in [(0u64, 0u64, 0u64, 0u64, 0u64), (1, 1, 0, 3, 100), (2, 0, 1, 15, 127)] {
            let points = Points::new(
                &layout,
                vec![
                    (Axis::SLOT, corner(slot, 2)),
                    (Axis::HIDDEN_BLOCK, corner(block, 1)),
                    (Axis::REQUEST, corner(m, 1)),
                    (Axis::TOKEN, corner(t, 4)),
                    (Axis::CHANNEL, corner(c, 7)),
                ],
            );
            let cell = ((((slot * 2 + block) * 2 + m) * 16 + t) * 128) + c;
            let own = layout.address(columns::RESIDUAL, 0, cell as usize).unwrap();
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
        let spec = &layout.placement(columns::RESIDUAL).unwrap().spec;
        let points = Points::new(
            &layout,
            vec![
                (Axis::SLOT, scalars(1, 2)),
                (Axis::HIDDEN_BLOCK, scalars(2, 1)),
                (Axis::REQUEST, scalars(3, 1)),
                (Axis::TOKEN, scalars(4, 4)),
                (Axis::CHANNEL, scalars(5, 7)),
                (Axis::RANK, scalars(6, 2)),
            ],
        );
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
        assert!(verdict(&|t| t.lows[2] = LowWeight::Axis(Axis::RANK)).is_err());
        assert!(verdict(&|t| t.lows[2] = LowWeight::Axis(Axis::CHANNEL_IN)).is_err());
        assert!(verdict(&|t| t.lows[1] = LowWeight::Masked).is_ok());
        assert!(verdict(&|t| (t.lows[0], t.lows[1]) = (LowWeight::Ones, LowWeight::Masked)).is_err());
        assert!(verdict(&|t| t.coefficient = Coefficient::Scale(Scale(3))).is_err());
        // Coefficients and factors multiply.
        assert_eq!(verdict(&|t| t.coefficient = Coefficient::Integer(-3)), Ok(-Fr::from(3) * plain));
        let factor =
            Factor { axis: Axis::RANK, entries: vec![(0, Coefficient::Integer(1)), (3, Coefficient::Integer(5))] };
        let rank = eq_table(&mut Native, &scalars(6, 2));
        let expected = plain * (rank[0] + Fr::from(5) * rank[3]);
        assert_eq!(verdict(&|t| t.factors = vec![factor.clone()]), Ok(expected));
        let beyond = Factor { axis: Axis::RANK, entries: vec![(4, Coefficient::Integer(1))] };
        assert!(verdict(&|t| t.factors = vec![beyond.clone()]).is_err());
    }
}
