//! Which rows `lorica datanet build` keeps, and what they weigh: equal texts once, near-duplicates share one weight.
//!
//! The rules are those of docs/datanets.md, steps 3 and 4, for texts of ASCII, as the fixture's are: there the forms of Unicode
//! make no difference. The search is exact and plain.

use std::collections::{BTreeSet, HashMap, HashSet};

/// Weight of a row without near-duplicates.
pub const WHOLE_WEIGHT: u8 = 240;

/// Texts by what they are compared by.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    numbers: HashMap<String, u32>,
    /// Of each text its words as ascending numbers.
    words: Vec<Vec<u32>>,
}

/// The set of a text's words; of a text of signs alone, its signs.
fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let words: BTreeSet<String> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if words.is_empty() { lower.chars().filter(|c| !c.is_whitespace()).map(String::from).collect() } else { words }
}

impl Pool {
    /// Adds a text. Its number is how many were there before.
    pub fn add(&mut self, text: &str) {
        let count = |numbers: &HashMap<String, u32>| u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let mut set: Vec<u32> = Vec::new();
        for word in words(text) {
            let next = count(&self.numbers);
            set.push(*self.numbers.entry(word).or_insert(next));
        }
        set.sort_unstable();
        self.words.push(set);
    }

    /// Whether the similarity of two texts is at least 0.7.
    fn near(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.words[a], &self.words[b]);
        let (small, large) = (a.len().min(b.len()), a.len().max(b.len()));
        if 10 * small < 7 * large {
            return false;
        }
        let (mut i, mut j, mut both) = (0, 0, 0);
        while i < a.len() && j < b.len() {
            match a[i].cmp(&b[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    both += 1;
                    i += 1;
                    j += 1;
                }
            }
        }
        10 * both >= 7 * (a.len() + b.len() - both)
    }

    /// The weight of each row, or `None` for a row whose token ids an earlier one has. Rows are numbers of texts.
    ///
    /// # Panics
    /// If a cluster has more than 240 rows, which the study's do not.
    pub fn weigh(&self, rows: &[usize], ids: &[&[u32]]) -> Vec<Option<u8>> {
        let mut seen: HashSet<&[u32]> = HashSet::new();
        let kept: Vec<bool> = ids.iter().map(|&ids| seen.insert(ids)).collect();
        let mut leaders: Vec<usize> = Vec::new();
        let mut sizes = vec![0u8; rows.len()];
        let cluster: Vec<Option<usize>> = (0..rows.len())
            .map(|row| {
                if !kept[row] {
                    return None;
                }
                let leader = leaders.iter().copied().find(|&leader| self.near(rows[leader], rows[row]));
                let leader = leader.unwrap_or_else(|| {
                    leaders.push(row);
                    row
                });
                sizes[leader] =
                    sizes[leader].checked_add(1).filter(|&size| size <= WHOLE_WEIGHT).expect("small clusters");
                Some(leader)
            })
            .collect();
        cluster.into_iter().map(|leader| leader.map(|leader| WHOLE_WEIGHT / sizes[leader])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_go_and_near_ones_share() {
        let texts = ["a b c d e f g", "A b, c d e f", "x y", "a b c d e f g", "??", "a b c d q r s"];
        let mut pool = Pool::default();
        texts.iter().for_each(|text| pool.add(text));
        let ids: Vec<Vec<u32>> = [1, 2, 3, 1, 4, 5].map(|id| vec![id]).to_vec();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let weights = pool.weigh(&[0, 1, 2, 3, 4, 5], &ids);
        assert_eq!(weights, [Some(120), Some(120), Some(240), None, Some(240), Some(240)]);
    }
}
