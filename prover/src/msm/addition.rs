//! Many independent additions of affine points, eight at once where the processor can.

use super::point::Point;
use super::portable::{self, Slopes};

pub(super) use super::portable::Pair;

/// Memory reused between calls.
#[derive(Default)]
pub(super) struct Scratch {
    slopes: Slopes,
    #[cfg(target_arch = "x86_64")]
    lanes: super::ifma::Lanes,
}

/// Below this many pairs eight lanes do not pay.
#[cfg(target_arch = "x86_64")]
const FEW_FOR_LANES: usize = 64;

/// Adds all pairs. Targets may not be sources: they are other slices.
pub(super) fn add_pairs(source: &[Point], target: &mut [Point], pairs: &[Pair], scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    if pairs.len() >= FEW_FOR_LANES && has_ifma() {
        super::ifma::add_pairs(source, target, pairs, &mut scratch.lanes);
        return;
    }
    portable::add_pairs(source, target, pairs, &mut scratch.slopes);
}

/// Adds two points, with an inversion of its own.
pub(super) fn add_one(left: &Point, right: &Point) -> Point {
    let mut sum = [Point::IDENTITY];
    portable::add_pairs(&[*left, *right], &mut sum, &[Pair { left: 0, right: 1, into: 0 }], &mut Slopes::default());
    sum[0]
}

/// Whether eight additions run at once.
#[cfg(target_arch = "x86_64")]
pub(super) fn has_ifma() -> bool {
    super::ifma::is_available()
}

/// Whether eight additions run at once.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn has_ifma() -> bool {
    false
}
