//! How often the shares of an answer tell which of some known texts was asked.
//!
//! Who holds the index computes the shares of every text that may have been asked, and compares. The guess is one of the texts with
//! the published shares; among `k` of them it is right once in `k` times. So over all texts the rate is the number of distinct lists over
//! the number of texts. The label is published anyway and is what the guesser knows before.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::Hash;

use lorica_quant::index::{IndexCells, SLOTS};
use rayon::prelude::*;
use serde_json::{Value, json};

/// Places of a coarse list.
const COARSE_PLACES: usize = 8;
/// Bits of a coarse share.
const COARSE_BITS: u32 = 8;

/// What one kind of list tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// Mean over the texts of the chance that a guess is right.
    pub rate: f64,
    /// Texts whose list no other text has, over all texts.
    pub unique: f64,
}

/// What each kind of list tells about one set of texts.
#[derive(Clone, Debug)]
pub struct Guesses {
    /// Which texts.
    pub texts: &'static str,
    /// How many.
    pub count: usize,
    /// By kind of list.
    pub told: Vec<(&'static str, Told)>,
}

/// Slots and shares, in the order of slots.
type List = Vec<(usize, u64)>;

/// The list of a contributor each for the `places` largest sums, ties to the lower slot, with shares of `bits` bits: as the proof's
/// list, whatever its size.
fn list(sums: &[u64], places: usize, bits: u32) -> List {
    let total: u128 = sums.iter().map(|&sum| u128::from(sum)).sum();
    let mut order: Vec<usize> = (0..sums.len()).collect();
    order.sort_by_key(|&slot| (std::cmp::Reverse(sums[slot]), slot));
    order.truncate(places);
    order.sort_unstable();
    let share = |slot: usize| u64::try_from((u128::from(sums[slot]) << bits) / (total + 1)).unwrap_or(u64::MAX);
    order.into_iter().map(|slot| (slot, share(slot))).collect()
}

fn told<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> Told {
    let mut counts: HashMap<K, usize> = HashMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    let all = counts.values().sum::<usize>().max(1) as f64;
    let unique = counts.values().filter(|&&count| count == 1).count();
    Told { rate: counts.len() as f64 / all, unique: unique as f64 / all }
}

/// What the lists of these texts tell, `pooled` and `answers` being the model's.
pub fn guesses(texts: &'static str, cells: &IndexCells, pooled: &[&[i16]], answers: &[usize]) -> Guesses {
    let lists: Vec<(List, List)> = pooled
        .par_iter()
        .zip(answers)
        .map(|(pooled, &answer)| {
            let mut sums = vec![0u64; SLOTS];
            cells.scores(pooled, answer).iter().zip(&cells.slots).for_each(|(s, &slot)| sums[usize::from(slot)] += s);
            (list(&sums, 32, 16), list(&sums, COARSE_PLACES, COARSE_BITS))
        })
        .collect();
    let slots = |list: &List| list.iter().map(|own| own.0).collect::<Vec<_>>();
    let told = vec![
        ("the label alone", told(answers.iter())),
        ("32 contributors, shares of 16 bits", told(lists.iter().map(|own| &own.0))),
        ("8 contributors, shares of 8 bits", told(lists.iter().map(|own| &own.1))),
        ("8 contributors without shares", told(lists.iter().map(|own| slots(&own.1)))),
    ];
    Guesses { texts, count: answers.len(), told }
}

/// A table for people.
pub fn markdown(all: &[Guesses]) -> String {
    let mut text = String::from(
        "| what is published | texts | right guesses | texts that only one list fits |\n|---|---|---|---|\n",
    );
    for Guesses { texts, count, told } in all {
        for (name, Told { rate, unique }) in told {
            let _ = writeln!(text, "| {name} | {count} {texts} | {:.1} % | {:.1} % |", 100.0 * rate, 100.0 * unique);
        }
    }
    text
}

/// The same for programs.
pub fn json(all: &[Guesses]) -> Value {
    let entries = all.iter().flat_map(|Guesses { texts, count, told }| {
        told.iter().map(move |(name, told)| {
            json!({ "published": name, "texts": texts, "count": count, "rate": told.rate, "unique": told.unique })
        })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list is the one that a proof publishes.
    #[test]
    fn lists_are_the_proofs() {
        let cells = IndexCells {
            hidden_size: 1,
            count: 4,
            features: vec![1; 4],
            classes: vec![[0; lorica_circuits::shape::LABELS]; 4],
            slots: vec![5, 9, 5, 1_000],
            inverse: vec![1],
            bias: vec![0],
            corner: 0,
        };
        let scores = [7u64 << 20, 123_456_789, 3, 0];
        let mut sums = vec![0u64; SLOTS];
        scores.iter().zip(&cells.slots).for_each(|(s, &slot)| sums[usize::from(slot)] += s);
        let own: List =
            cells.shares(&scores).entries.iter().map(|e| (usize::from(e.slot), u64::from(e.share))).collect();
        assert_eq!(list(&sums, 32, 16), own);
        assert_eq!(list(&[1, 5, 5, 2], 2, 8), [(1, 91), (2, 91)]);
    }

    #[test]
    fn equal_lists_divide_the_chance() {
        assert_eq!(told([1, 1, 2, 3].iter()), Told { rate: 0.75, unique: 0.5 });
    }
}
