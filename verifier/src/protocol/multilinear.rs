//! Multilinear extensions that the field part evaluates: `eq`, prefixes, and points of the address space.
//!
//! Points of axes are most significant coordinate first; points of the address space and of the lookup tree are lowest
//! bit first.

use std::collections::BTreeMap;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::form::{PACKED_BITS, PACKED_SUM_BITS};

use crate::protocol::arithmetic::Arithmetic;

/// A small integer as a field element.
#[must_use]
pub fn integer(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// `2^bits`.
#[must_use]
pub fn power_of_two(bits: u32) -> Fr {
    Fr::from(2).pow([u64::from(bits)])
}

/// `eq(left, right)` of two coordinates: `1 - l - r + 2·l·r`.
fn eq_one<A: Arithmetic>(a: &mut A, left: &A::Scalar, right: &A::Scalar) -> A::Scalar {
    let product = a.mul(left, right);
    let twice = a.add(&product, &product);
    let sum = a.add(left, right);
    let one = a.one();
    let rest = a.sub(&one, &sum);
    a.add(&rest, &twice)
}

/// `eq(left, right)` of two points of equal length.
pub fn eq<'s, A: Arithmetic>(
    a: &mut A,
    left: impl IntoIterator<Item = &'s A::Scalar>,
    right: impl IntoIterator<Item = &'s A::Scalar>,
) -> A::Scalar
where
    A::Scalar: 's,
{
    let mut product: Option<A::Scalar> = None;
    for (l, r) in left.into_iter().zip(right) {
        let factor = eq_one(a, l, r);
        product = Some(match product {
            None => factor,
            Some(p) => a.mul(&p, &factor),
        });
    }
    product.unwrap_or_else(|| a.one())
}

/// `eq(point, i)` for all i below 2^n; the point's first coordinate is the most significant bit.
pub fn eq_table<A: Arithmetic>(a: &mut A, point: &[A::Scalar]) -> Vec<A::Scalar> {
    let mut table = vec![a.one()];
    for coordinate in point {
        let mut next = Vec::new();
        for entry in &table {
            let high = a.mul(entry, coordinate);
            next.push(a.sub(entry, &high));
            next.push(high);
        }
        table = next;
    }
    table
}

/// `Σ_i left_i·right_i`.
pub fn dot<'s, A: Arithmetic>(
    a: &mut A,
    left: impl IntoIterator<Item = &'s A::Scalar>,
    right: impl IntoIterator<Item = &'s A::Scalar>,
) -> A::Scalar
where
    A::Scalar: 's,
{
    let mut sum = a.zero();
    for (l, r) in left.into_iter().zip(right) {
        let term = a.mul(l, r);
        sum = a.add(&sum, &term);
    }
    sum
}

/// Splits a point of an axis whose lower [`PACKED_BITS`] bits are packed: coordinates of the words, and of the sums in one.
#[must_use]
pub fn split_packed<S>(point: &[S]) -> (&[S], &[S]) {
    let low = usize::try_from(PACKED_BITS).unwrap_or(usize::MAX);
    point.split_at_checked(point.len().saturating_sub(low)).unwrap_or((&[], point))
}

/// Weights of the sums in a packed word: `2^(24·j)` for `j < 8`.
#[must_use]
pub fn packing_weights() -> Vec<Fr> {
    (0..1u64 << PACKED_BITS).map(|j| Fr::from(2).pow([u64::from(PACKED_SUM_BITS) * j])).collect()
}

/// The MLE in `own` of `eq(upper point, upper bits)·2^(24·lower bits)`: `eq` of the upper coordinates, times
/// `1 + x_k·(2^(24·2^k) - 1)` for bit k of the lower ones. Both most significant first.
pub fn packed<A: Arithmetic>(a: &mut A, point: &[A::Scalar], own: &[A::Scalar]) -> A::Scalar {
    let (words, _) = split_packed(point);
    let (upper, lower) = split_packed(own);
    let mut product = eq(a, words, upper);
    let one = a.one();
    for (k, coordinate) in (0u32..).zip(lower.iter().rev()) {
        let weight = Fr::from(2).pow([u64::from(PACKED_SUM_BITS) << k]) - Fr::ONE;
        let weight = a.constant(weight);
        let moved = a.mul(coordinate, &weight);
        let factor = a.add(&one, &moved);
        product = a.mul(&product, &factor);
    }
    product
}

/// The weights of all indices of an axis whose lower bits are packed: what [`packed`] extends.
#[must_use]
pub fn packed_table(point: &[Fr]) -> Vec<Fr> {
    let weights = packing_weights();
    let words = eq_table(&mut crate::protocol::arithmetic::Native, split_packed(point).0);
    words.iter().flat_map(|word| weights.iter().map(move |weight| *word * weight)).collect()
}

/// `Σ_{i <= last} Π_j weight_j(i_j)` for a private `last` given in bits: bit j of i selects the pair's first (0) or second
/// (1) entry. Bits and weights are most significant first.
pub fn prefix_sum<A: Arithmetic>(a: &mut A, last: &[A::Scalar], weights: &[(A::Scalar, A::Scalar)]) -> A::Scalar {
    // From the least significant bit up: `all` is the sum over all suffixes, `below` over those not above `last`.
    let mut all = a.one();
    let mut below = a.one();
    for (bit, (zero, one)) in last.iter().zip(weights).rev() {
        // bit 1: everything below digit 0, and the rest at digit 1; bit 0: the rest at digit 0.
        let full_zero = a.mul(zero, &all);
        let rest_one = a.mul(one, &below);
        let if_one = a.add(&full_zero, &rest_one);
        let if_zero = a.mul(zero, &below);
        below = a.select(bit, &if_one, &if_zero);
        let both = a.add(zero, one);
        all = a.mul(&all, &both);
    }
    below
}

/// The MLE of `[i <= last]` at a point.
pub fn prefix_indicator<A: Arithmetic>(a: &mut A, last: &[A::Scalar], point: &[A::Scalar]) -> A::Scalar {
    let one = a.one();
    let weights: Vec<_> = point.iter().map(|c| (a.sub(&one, c), c.clone())).collect();
    prefix_sum(a, last, &weights)
}

/// `Σ_{i <= last} eq(left, i)·eq(right, i)`.
pub fn prefix_eq<A: Arithmetic>(a: &mut A, last: &[A::Scalar], left: &[A::Scalar], right: &[A::Scalar]) -> A::Scalar {
    let one = a.one();
    let weights: Vec<_> = left
        .iter()
        .zip(right)
        .map(|(l, r)| {
            let both = a.mul(l, r);
            let sum = a.add(l, r);
            let rest = a.sub(&one, &sum);
            (a.add(&rest, &both), both)
        })
        .collect();
    prefix_sum(a, last, &weights)
}

/// A point with lowest bit first, and the `eq` values of its parts that were asked for so far.
#[derive(Clone, Debug)]
pub struct AddressPoint<S> {
    coordinates: Vec<S>,
    memo: BTreeMap<(usize, u64), S>,
    tables: BTreeMap<(usize, usize), Vec<S>>,
}

impl<S: Clone + core::fmt::Debug> AddressPoint<S> {
    /// A point, lowest bit first.
    #[must_use]
    pub fn new(coordinates: Vec<S>) -> Self {
        Self { coordinates, memo: BTreeMap::new(), tables: BTreeMap::new() }
    }
    /// The coordinates, lowest bit first.
    #[must_use]
    pub fn coordinates(&self) -> &[S] {
        &self.coordinates
    }
    /// The coordinates of bits `from..from + count`, most significant first.
    #[must_use]
    pub fn segment(&self, from: usize, count: usize) -> Vec<S> {
        self.coordinates.iter().skip(from).take(count).rev().cloned().collect()
    }
    /// `eq` of the bits `from..from + count` of the point with every index.
    pub fn table<A: Arithmetic<Scalar = S>>(&mut self, a: &mut A, from: usize, count: usize) -> Vec<S> {
        if let Some(known) = self.tables.get(&(from, count)) {
            return known.clone();
        }
        let table = eq_table(a, &self.segment(from, count));
        self.tables.insert((from, count), table.clone());
        table
    }
    /// `eq(bits from.. of the point, index)`.
    pub fn eq_high<A: Arithmetic<Scalar = S>>(&mut self, a: &mut A, from: usize, index: u64) -> S {
        let Some(coordinate) = self.coordinates.get(from).cloned() else { return a.one() };
        if let Some(known) = self.memo.get(&(from, index)) {
            return known.clone();
        }
        let parent = self.eq_high(a, from.saturating_add(1), index >> 1);
        let high = a.mul(&parent, &coordinate);
        let low = a.sub(&parent, &high);
        let (even, odd) = (index & !1, index | 1);
        self.memo.insert((from, even), low.clone());
        self.memo.insert((from, odd), high.clone());
        if index & 1 == 1 { high } else { low }
    }
    /// `Σ_{start <= i < end} eq(point, i)`.
    pub fn range<A: Arithmetic<Scalar = S>>(&mut self, a: &mut A, start: u64, end: u64) -> S {
        let mut sum = a.zero();
        let (mut at, bits) = (start, self.coordinates.len());
        while at < end {
            // The largest aligned block that starts here and ends in the range.
            let mut size = 0usize;
            while size < bits && at.trailing_zeros() > u32::try_from(size).unwrap_or(u32::MAX) {
                match at.checked_add(2u64 << size) {
                    Some(next) if next <= end => size = size.saturating_add(1),
                    _ => break,
                }
            }
            let block = self.eq_high(a, size, at >> size);
            sum = a.add(&sum, &block);
            at = at.saturating_add(1 << size);
        }
        sum
    }
}

/// The value of the multilinear extension of `values` at a point, most significant coordinate first.
#[must_use]
pub fn evaluate(values: &[Fr], point: &[Fr]) -> Fr {
    let mut native = crate::protocol::arithmetic::Native;
    let table = eq_table(&mut native, point);
    table.iter().zip(values).fold(Fr::ZERO, |sum, (weight, value)| sum + *weight * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::arithmetic::Native;
    use crate::protocol::arithmetic::recorder::Recorder;

    fn point(n: u64) -> Vec<Fr> {
        (0..n).map(|i| Fr::from(1_000_003 * (i + 1)).square()).collect()
    }

    fn bits(value: u64, count: u32) -> Vec<Fr> {
        (0..count).rev().map(|i| Fr::from((value >> i) & 1)).collect()
    }

    #[test]
    fn prefixes_equal_their_sums() {
        let (u, v) = (point(4), point(5)[1..].to_vec());
        let (eq_u, eq_v) = (eq_table(&mut Native, &u), eq_table(&mut Native, &v));
        for last in 0..16usize {
            let indicator: Fr = eq_u[..=last].iter().sum();
            assert_eq!(prefix_indicator(&mut Native, &bits(last as u64, 4), &u), indicator);
            let product: Fr = (0..=last).map(|i| eq_u[i] * eq_v[i]).sum();
            assert_eq!(prefix_eq(&mut Native, &bits(last as u64, 4), &u, &v), product);
        }
    }

    #[test]
    fn address_points_agree_with_the_table() {
        let u = point(6);
        let table = eq_table(&mut Native, &u);
        let mut address = AddressPoint::new(u.iter().rev().copied().collect());
        for (i, expected) in table.iter().enumerate() {
            assert_eq!(address.eq_high(&mut Native, 0, i as u64), *expected);
        }
        for (start, end) in [(0, 64), (0, 0), (3, 17), (8, 16), (63, 64), (5, 6)] {
            let sum: Fr = table[start as usize..end as usize].iter().sum();
            assert_eq!(address.range(&mut Native, start, end), sum, "{start}..{end}");
        }
        let high = eq_table(&mut Native, &u[..4]);
        assert_eq!(address.eq_high(&mut Native, 2, 9), high[9]);
    }

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(integer(0), Fr::ZERO);
        assert_eq!(integer(7), Fr::from(7));
        assert_eq!(integer(-7) + Fr::from(7), Fr::ZERO);
        assert_eq!(integer(i64::MIN) + integer(i64::MAX), -Fr::ONE);
    }

    /// On corners eq is equality; off them it is the table's entry.
    #[test]
    fn eq_is_equality_on_corners_and_multilinear_between() {
        let u = point(4);
        let table = eq_table(&mut Native, &u);
        assert_eq!(table.len(), 16);
        for i in 0..16u64 {
            assert_eq!(eq(&mut Native, &u, &bits(i, 4)), table[i as usize]);
            for j in 0..16u64 {
                assert_eq!(eq(&mut Native, &bits(i, 4), &bits(j, 4)), Fr::from(u64::from(i == j)));
            }
        }
        assert_eq!(eq_table(&mut Native, &[]), [Fr::ONE]);
        assert_eq!(eq(&mut Native, &[], &[]), Fr::ONE);
    }

    #[test]
    fn an_extension_takes_its_values_and_is_linear_in_each_coordinate() {
        let values = point(8);
        for i in 0..8u64 {
            assert_eq!(evaluate(&values, &bits(i, 3)), values[i as usize]);
        }
        let u = point(3);
        for k in 0..3 {
            let at = |c: Fr| {
                let mut v = u.clone();
                v[k] = c;
                evaluate(&values, &v)
            };
            assert_eq!(at(u[k]), at(Fr::ZERO) + u[k] * (at(Fr::ONE) - at(Fr::ZERO)));
        }
        assert_eq!(dot(&mut Native, &values[..3], &u), values[0] * u[0] + values[1] * u[1] + values[2] * u[2]);
    }

    /// What was asked for before changes no answer.
    #[test]
    fn answers_depend_on_no_order() {
        let u = point(5);
        let lowest_first: Vec<Fr> = u.iter().rev().copied().collect();
        let table = eq_table(&mut Native, &u);
        let orders: [fn(u64) -> u64; 4] = [|i| i, |i| 31 - i, |i| (i * 13 + 7) % 32, |i| i ^ 1];
        for order in orders {
            let mut address = AddressPoint::new(lowest_first.clone());
            for _ in 0..2 {
                for i in (0..32).map(order) {
                    assert_eq!(address.eq_high(&mut Native, 0, i), table[i as usize], "{i}");
                }
            }
            for from in 0..=5usize {
                let high = eq_table(&mut Native, &u[..5 - from]);
                for i in (0..32 >> from).rev() {
                    assert_eq!(address.eq_high(&mut Native, from, i), high[i as usize], "{from} {i}");
                }
            }
        }
    }

    #[test]
    fn every_range_is_its_sum() {
        let u = point(4);
        let table = eq_table(&mut Native, &u);
        let mut address = AddressPoint::new(u.iter().rev().copied().collect());
        for start in 0..=16u64 {
            for end in start..=16 {
                let sum: Fr = table[start as usize..end as usize].iter().sum();
                assert_eq!(address.range(&mut Native, start, end), sum, "{start}..{end}");
            }
        }
    }

    /// Each pair of siblings costs one multiplication, once, whichever of the two is asked for first.
    #[test]
    fn no_part_of_a_point_is_computed_twice() {
        let orders: [fn(u64) -> u64; 3] = [|i| i, |i| 63 - i, |i| (i * 37 + 5) % 64];
        for order in orders {
            let mut recorder = Recorder::default();
            let mut address = AddressPoint::new((0..6).map(|_| recorder.input(())).collect());
            for i in (0..64).chain(0..64).map(order) {
                address.eq_high(&mut recorder, 0, i);
            }
            assert_eq!(recorder.cost().multiplications, 63);
        }
    }

    /// A range of 2^n leaves is a sum of at most 2n blocks.
    #[test]
    fn ranges_are_sums_of_few_blocks() {
        for (start, end, blocks) in [(0, 4096, 1), (0, 4095, 12), (1, 4096, 12), (1, 4095, 22), (1024, 3072, 2)] {
            let mut recorder = Recorder::default();
            let mut address = AddressPoint::new((0..12).map(|_| recorder.input(())).collect());
            address.range(&mut recorder, start, end);
            // One addition per block, and one subtraction for each multiplication.
            let cost = recorder.cost();
            assert_eq!(cost.additions - cost.multiplications, blocks, "{start}..{end}");
        }
    }

    #[test]
    fn segments_are_most_significant_first() {
        let u = point(6);
        let address = AddressPoint::new(u.clone());
        assert_eq!(address.coordinates(), u);
        assert_eq!(address.segment(1, 3), [u[3], u[2], u[1]]);
        assert_eq!(address.segment(4, 0), []);
        assert_eq!(address.segment(4, 9), [u[5], u[4]]);
    }
}
