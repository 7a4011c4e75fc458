//! Many multiples of the generator, by a table and batched affine additions.

use lorica_circuits::bn254::{Fr, G1, G1Affine, Group, PrimeField};
use rayon::prelude::*;

use super::addition::{Pair, Scratch, add_pairs};
use super::normalise;
use super::point::Point;

/// Multiples that share their inversions.
const CHUNK: usize = 1 << 12;

/// `scalars_i · G` for the generator G, for `count` scalars given by index.
pub(crate) fn generator_multiples(count: usize, scalar: impl Fn(usize) -> Fr + Sync) -> Vec<G1Affine> {
    // A table has 2^width points in each of 254/width windows.
    let width = (count.max(1).ilog2() as usize).clamp(8, 18) - 5;
    let tables = tables(width);
    let mut multiples = vec![G1Affine::from(Point::IDENTITY); count];
    multiples.par_chunks_mut(CHUNK).enumerate().for_each_init(Scratch::default, |scratch, (index, chunk)| {
        let digits: Vec<[u8; 40]> = (0..chunk.len())
            .map(|offset| {
                let mut bytes = [0u8; 40];
                bytes[..32].copy_from_slice(&scalar(index * CHUNK + offset).to_repr());
                bytes
            })
            .collect();
        let count = chunk.len();
        let pairs: Vec<Pair> =
            (0..count as u32).map(|into| Pair { left: into, right: into + count as u32, into }).collect();
        let mut sums = vec![Point::IDENTITY; count];
        let mut terms = vec![Point::IDENTITY; 2 * count];
        for (window, table) in tables.iter().enumerate() {
            let (byte, shift) = (window * width / 8, window * width % 8);
            terms[..count].copy_from_slice(&sums);
            for (term, digits) in terms[count..].iter_mut().zip(&digits) {
                let bits = u32::from_le_bytes([digits[byte], digits[byte + 1], digits[byte + 2], digits[byte + 3]]);
                *term = table[(bits >> shift) as usize & ((1 << width) - 1)];
            }
            add_pairs(&terms, &mut sums, &pairs, scratch);
        }
        for (multiple, sum) in chunk.iter_mut().zip(sums) {
            *multiple = sum.into();
        }
    });
    multiples
}

/// `tables[window][digit] = digit · 2^(window·width) · G`.
fn tables(width: usize) -> Vec<Vec<Point>> {
    let windows = (Fr::NUM_BITS as usize).div_ceil(width);
    let bases: Vec<G1> =
        std::iter::successors(Some(G1::generator()), |base| Some((0..width).fold(*base, |base, _| base.double())))
            .take(windows)
            .collect();
    bases
        .par_iter()
        .map(|base| {
            let multiples: Vec<G1> =
                std::iter::successors(Some(G1::identity()), |sum| Some(sum + base)).take(1 << width).collect();
            normalise(&multiples).into_iter().map(Point::from).collect()
        })
        .collect()
}
