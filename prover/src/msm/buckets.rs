//! One window: points sorted by digit, added up per bucket, buckets summed.

use lorica_circuits::bn254::{Field, Fr, G1, G1Affine, Group};
use rayon::prelude::*;

use super::addition::{Pair, Scratch, add_one, add_pairs};
use super::point::Point;
use super::{few, prefetch};

/// Sorted entries that one task adds up: their points stay in the second-level cache.
const SEGMENT: usize = 1 << 14;

/// How many entries ahead a base is asked for: sorted by digit, bases lie all over the memory.
const AHEAD: usize = 16;

/// Empty buckets that are summed in the time of one multiplication of a point.
const BUCKETS_PER_TERM: usize = 1024;

/// Fewer buckets than this are summed one after the other.
const FEW_BUCKETS: usize = 64;

/// `Σ_index digits[index] · bases[index]`, digits within ±2^(width − 1).
pub(super) fn window_sum(bases: &[G1Affine], digits: Vec<i32>, width: usize) -> G1 {
    let sorted = Sorted::new(&digits, 1 << (width - 1));
    if sorted.entries.len() * BUCKETS_PER_TERM < sorted.starts.len() {
        return few(digits.into_iter().zip(bases).filter(|(digit, _)| *digit != 0).map(|(digit, base)| {
            let magnitude = Fr::from(u64::from(digit.unsigned_abs()));
            (if digit < 0 { -magnitude } else { magnitude }, *base)
        }));
    }
    drop(digits);
    let buckets = sorted.accumulate(bases);
    weighted_sum(&buckets)
}

/// Non-zero digits, sorted by magnitude.
struct Sorted {
    /// Index of the base, doubled, plus 1 if the digit is negative.
    entries: Vec<u32>,
    /// Where each bucket's entries start; bucket v − 1 holds the digits ±v. One more than there are buckets.
    starts: Vec<u32>,
}

/// Points of one bucket, at `start..start + length` of the buffer.
#[derive(Clone, Copy)]
struct Run {
    bucket: u32,
    start: u32,
    length: u32,
}

impl Sorted {
    /// A counting sort.
    fn new(digits: &[i32], buckets: usize) -> Self {
        assert!(digits.len() < 1 << 31, "{} terms are too many", digits.len());
        // Digit 0 is counted too: that takes no branch.
        let mut starts = vec![0u32; buckets + 1];
        for digit in digits {
            starts[digit.unsigned_abs() as usize] += 1;
        }
        let mut sum = 0;
        starts[0] = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut entries = vec![0u32; sum as usize];
        let mut next = starts.clone();
        for (index, digit) in (0u32..).zip(digits) {
            if *digit != 0 {
                let position = &mut next[digit.unsigned_abs() as usize - 1];
                entries[*position as usize] = index << 1 | u32::from(*digit < 0);
                *position += 1;
            }
        }
        Self { entries, starts }
    }

    /// The sum of each bucket's points.
    fn accumulate(&self, bases: &[G1Affine]) -> Vec<Point> {
        let partial: Vec<Vec<(u32, Point)>> = self
            .entries
            .par_chunks(SEGMENT)
            .enumerate()
            .map_init(Scratch::default, |scratch, (index, entries)| {
                self.segment(bases, index * SEGMENT, entries, scratch)
            })
            .collect();
        let mut buckets = vec![Point::IDENTITY; self.starts.len() - 1];
        for (bucket, sum) in partial.iter().flatten() {
            // Only a bucket on the border of two segments comes twice.
            let bucket = &mut buckets[*bucket as usize];
            *bucket = if bucket.is_identity() { *sum } else { add_one(bucket, sum) };
        }
        buckets
    }

    /// The sums of the buckets that have entries in `first..first + entries.len()`, as far as these go: points next to
    /// each other in a bucket are added, then these sums, and so on.
    fn segment(&self, bases: &[G1Affine], first: usize, entries: &[u32], scratch: &mut Scratch) -> Vec<(u32, Point)> {
        let mut current: Vec<Point> = entries
            .iter()
            .enumerate()
            .map(|(place, entry)| {
                if let Some(ahead) = entries.get(place + AHEAD) {
                    prefetch(&bases[(ahead >> 1) as usize]);
                }
                // Signs are random: a branch on them would be mispredicted every other time.
                let G1Affine { x, y } = bases[(entry >> 1) as usize];
                Point { x, y: select(&y, &-y, (entry & 1) as u8) }
            })
            .collect();
        let mut runs = self.runs(first, entries.len());
        let mut sums = Vec::with_capacity(runs.len());
        let mut next = vec![Point::IDENTITY; entries.len() / 2 + runs.len()];
        let mut next_runs = Vec::with_capacity(runs.len());
        let mut pairs = Vec::with_capacity(entries.len() / 2);
        while !runs.is_empty() {
            let mut used = 0;
            for Run { bucket, start, length } in runs.drain(..) {
                if length == 1 {
                    sums.push((bucket, current[start as usize]));
                    continue;
                }
                let half = length / 2;
                pairs.extend((0..half).map(|pair| {
                    let left = start + 2 * pair;
                    Pair { left, right: left + 1, into: used + pair }
                }));
                if length % 2 == 1 {
                    next[(used + half) as usize] = current[(start + length - 1) as usize];
                }
                let length = length.div_ceil(2);
                next_runs.push(Run { bucket, start: used, length });
                used += length;
            }
            add_pairs(&current, &mut next, &pairs, scratch);
            pairs.clear();
            std::mem::swap(&mut current, &mut next);
            std::mem::swap(&mut runs, &mut next_runs);
        }
        sums
    }

    fn runs(&self, first: usize, count: usize) -> Vec<Run> {
        let (first, last) = (first as u32, (first + count) as u32);
        let bucket = self.starts.partition_point(|start| *start <= first) - 1;
        let ends = self.starts.iter().skip(bucket + 1);
        let mut start = first;
        let mut runs = Vec::new();
        for (bucket, end) in (bucket as u32..).zip(ends) {
            let end = (*end).min(last);
            if end > start {
                runs.push(Run { bucket, start: start - first, length: end - start });
                start = end;
            }
            if start == last {
                break;
            }
        }
        runs
    }
}

/// `Σ_v (v + 1) · buckets[v]`, the number of buckets being a power of two. With v = C·row + column this is
/// `C · Σ_row row · R_row + Σ_column (column + 1) · S_column` for the sums R of rows and S of columns.
fn weighted_sum(buckets: &[Point]) -> G1 {
    if buckets.len() < FEW_BUCKETS {
        return running_sum(buckets, true);
    }
    let log_columns = buckets.len().ilog2().div_ceil(2);
    let columns = 1 << log_columns;
    let mut scratch = Scratch::default();
    let column_sums = halve(buckets, columns, &mut scratch, |half| (half, 1));
    let row_sums = halve(buckets, buckets.len() / columns, &mut scratch, |_| (1, 2));
    let rows = running_sum(&row_sums, false);
    let rows = (0..log_columns).fold(rows, |sum, _| sum.double());
    rows + running_sum(&column_sums, true)
}

/// Adds points in pairs until `length` are left. `places(half)` gives the distance between the two points of a pair, and
/// between the left points of neighbouring pairs.
fn halve(
    points: &[Point],
    length: usize,
    scratch: &mut Scratch,
    places: impl Fn(usize) -> (usize, usize),
) -> Vec<Point> {
    let mut current = points.to_vec();
    let mut next = vec![Point::IDENTITY; points.len() / 2];
    let mut pairs = Vec::with_capacity(points.len() / 2);
    while current.len() > length {
        let half = current.len() / 2;
        let (distance, step) = places(half);
        next.truncate(half);
        pairs.clear();
        for (into, sum) in next.iter_mut().enumerate() {
            let left = into * step;
            let right = left + distance;
            if current[left].is_identity() {
                *sum = current[right];
            } else if current[right].is_identity() {
                *sum = current[left];
            } else {
                pairs.push(Pair { left: left as u32, right: right as u32, into: into as u32 });
            }
        }
        add_pairs(&current, &mut next, &pairs, scratch);
        std::mem::swap(&mut current, &mut next);
    }
    current
}

/// `Σ_i i · points[i]`, or `Σ_i (i + 1) · points[i]`.
fn running_sum(points: &[Point], from_one: bool) -> G1 {
    let mut running = G1::identity();
    let mut total = G1::identity();
    for point in points.iter().skip(usize::from(!from_one)).rev() {
        running += G1Affine::from(*point);
        total += running;
    }
    total
}

/// `if_one` for bit 1, `if_zero` for bit 0, without a branch.
fn select<F: Field>(if_zero: &F, if_one: &F, bit: u8) -> F {
    F::conditional_select(if_zero, if_one, bit.into())
}
