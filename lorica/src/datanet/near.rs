//! Near-duplicates among sets, exactly: which earlier leader has a Jaccard similarity of at least 0.7.
//!
//! No sketch: a sketch misses pairs near the threshold, and whoever knows its seed, which is public here, can write texts that it
//! misses. Instead, sets are compared exactly, but only with those that can be similar (Chaudhuri, Ganti, Kaushik, "A primitive operator for
//! similarity joins", 2006; Bayardo, Ma, Srikant, "Scaling up all pairs similarity search", 2007). Let `x` and `y` have a similarity of
//! at least t. Then `|x ∩ y| >= t·|x|`, so with elements in any common order the first `|x| − ⌈t·|x|⌉ + 1` of `x` and those of `y` share
//! one. Rare elements come first, so lists of who has which are short. A map of bits discards most of the rest: as many bits as
//! differ, as many elements do at least.

use std::collections::{BTreeSet, HashMap};

use crate::datanet_version::TENTHS;

/// Bits of the map of a set.
const BITS: usize = 256;

type Map = [u64; BITS / 64];

/// Leaders so far, by their rare words.
pub(super) struct Leaders {
    /// Each set as numbers, rare ones first.
    sets: Vec<Vec<u32>>,
    maps: Vec<Map>,
    /// For each number the leaders that have it among their first.
    lists: Vec<Vec<u32>>,
    /// Leader that was looked at last, by row, so that none is compared twice.
    seen: Vec<u32>,
}

impl Leaders {
    pub fn new(sets: &[BTreeSet<String>]) -> Self {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for word in sets.iter().flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut order: Vec<(u32, &str)> = counts.into_iter().map(|(word, count)| (count, word)).collect();
        order.sort_unstable();
        let numbers: HashMap<&str, u32> = (0..).zip(&order).map(|(number, &(_, word))| (word, number)).collect();
        let sets: Vec<Vec<u32>> = sets
            .iter()
            .map(|set| {
                let mut set: Vec<u32> = set.iter().filter_map(|word| numbers.get(word.as_str()).copied()).collect();
                set.sort_unstable();
                set
            })
            .collect();
        let maps = sets.iter().map(|set| map(set)).collect();
        let (lists, seen) = (vec![Vec::new(); numbers.len()], vec![u32::MAX; sets.len()]);
        Self { sets, maps, lists, seen }
    }

    /// The first leader that this row is near to, or the row itself, which then leads. Rows come in ascending order.
    pub fn join(&mut self, row: usize) -> usize {
        let own = &self.sets[row];
        let first = &own[..own.len() - (own.len() * TENTHS).div_ceil(10) + usize::from(!own.is_empty())];
        let mark = u32::try_from(row).unwrap_or(u32::MAX);
        let mut found = row;
        for &number in first {
            for &leader in &self.lists[number as usize] {
                let leader = leader as usize;
                // Lists ascend: behind the best so far there is no earlier one.
                if leader >= found {
                    break;
                }
                if std::mem::replace(&mut self.seen[leader], mark) == mark {
                    continue;
                }
                if near(own, &self.maps[row], &self.sets[leader], &self.maps[leader]) {
                    found = leader;
                }
            }
        }
        if found == row {
            for &number in first {
                self.lists[number as usize].push(mark);
            }
        }
        found
    }
}

/// A bit for each element, at a place that its number gives.
fn map(set: &[u32]) -> Map {
    let mut map = Map::default();
    for &number in set {
        let bit = (number.wrapping_mul(0x9e37_79b1) >> 24) as usize % BITS;
        map[bit / 64] |= 1 << (bit % 64);
    }
    map
}

/// `10·|x ∩ y| >= 7·|x ∪ y|`.
fn near(x: &[u32], x_map: &Map, y: &[u32], y_map: &Map) -> bool {
    let (short, long) = (x.len().min(y.len()), x.len().max(y.len()));
    if 10 * short < TENTHS * long {
        return false;
    }
    // |x ∪ y| − |x ∩ y| is at least the number of bits that differ, and |x ∪ y| + |x ∩ y| = |x| + |y|. Similar means
    // 10·∩ >= 7·∪, that is 17·∩ >= 7·(|x| + |y|), with ∩ <= (|x| + |y| − differing)/2.
    let sum = x.len() + y.len();
    let differing: usize = x_map.iter().zip(y_map).map(|(a, b)| (a ^ b).count_ones() as usize).sum();
    if 17 * sum.saturating_sub(differing) < 2 * TENTHS * sum {
        return false;
    }
    17 * common(x, y) >= TENTHS * sum
}

/// `|x ∩ y|` of ascending lists.
fn common(x: &[u32], y: &[u32]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while i < x.len() && j < y.len() {
        match x[i].cmp(&y[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, count) = (i + 1, j + 1, count + 1),
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(sets: &[BTreeSet<String>]) -> Vec<usize> {
        let mut leaders: Vec<usize> = Vec::new();
        (0..sets.len())
            .map(|row| {
                let near = |&&leader: &&usize| {
                    let both = sets[row].intersection(&sets[leader]).count();
                    let either = sets[row].union(&sets[leader]).count();
                    10 * both >= 7 * either
                };
                let found = leaders.iter().find(near).copied().unwrap_or(row);
                if found == row {
                    leaders.push(row);
                }
                found
            })
            .collect()
    }

    /// Against the definition, on sets of few words so that many pairs lie at the threshold.
    #[test]
    fn leaders_are_those_of_the_definition() {
        let mut state = 1u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for (words, most) in [(6, 5), (12, 9), (40, 20), (14, 14)] {
            let sets: Vec<BTreeSet<String>> = (0..400)
                .map(|_| {
                    let size = 1 + below(most);
                    (0..size).map(|_| below(words).to_string()).collect()
                })
                .collect();
            let mut leaders = Leaders::new(&sets);
            let got: Vec<usize> = (0..sets.len()).map(|row| leaders.join(row)).collect();
            assert_eq!(got, by_definition(&sets));
            assert!(got.iter().enumerate().any(|(row, &leader)| row != leader));
        }
    }

    #[test]
    fn seven_tenths_is_near_and_less_is_not() {
        let set = |words: &str| words.chars().map(|c| c.to_string()).collect::<BTreeSet<_>>();
        let joined = |one: &str, other: &str| Leaders::new(&[set(one), set(other)]).pair();
        assert!(joined("abcdefg", "abcdefghij"));
        assert!(!joined("abcdefg", "abcdefghijk"));
        assert!(joined("abcdefghijklmnopq", "abcdefghijklmn"));
        assert!(!joined("abc", "abd"));
        assert!(joined("abc", "abc"));
        assert!(!joined("", "abc"));
    }

    impl Leaders {
        fn pair(mut self) -> bool {
            assert_eq!(self.join(0), 0);
            self.join(1) == 0
        }
    }
}
