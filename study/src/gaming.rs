//! What contributors gain by cheating: their pay after an attack over their pay before it. The adapter stays, the index is built
//! again, scores are the proven integers.

use std::path::Path;

use lorica_quant::index::IndexCells;
use lorica_quant::index::inverse::{Inverse, invert};
use rayon::prelude::*;

use crate::data::{Feature, Fixture, Row};
use crate::dedup::{Pool, WHOLE_WEIGHT};
use crate::error::StudyError;
use crate::head::CLASSES;
use crate::random::Random;
use crate::scores::{RIDGE, classes, index_with};

/// Contributors that attack.
pub const ATTACKERS: usize = 12;
/// The twelve of the earlier study, as places among the contributors with [`ROWS`] rows in the order of their names. What junk gains depends
/// on how many rows an attacker has, so medians are comparable only for the same attackers.
const EARLIER: [usize; ATTACKERS] = [1, 2, 4, 5, 10, 14, 16, 17, 21, 24, 25, 29];
/// Rows that an attacker has.
pub const ROWS: std::ops::RangeInclusive<usize> = 5..=40;
/// Rows that an attacker adds.
pub const ADDED: usize = 20;
/// Seed of the choice of attackers and of what they do.
pub const SEED: u64 = 30_000;
/// Between the seeds of two draws.
const DRAW_STEP: u64 = 1_000_000;

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Its rows under ten names.
    Split,
    /// Another label on each row.
    FlipAll,
    /// Another label on half of the rows.
    FlipHalf,
    /// Twenty rows of others with the label that the model finds second best, or best if that one is wrong.
    SecondLabel,
    /// Twenty texts that are one word, repeated, with the label that the model gives them.
    Junk,
    /// Twenty texts of random words of the datanet, with the label that the model gives them.
    Salad,
    /// Each row ten times.
    Duplicates,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Split, Self::FlipAll, Self::FlipHalf, Self::SecondLabel, Self::Junk, Self::Salad, Self::Duplicates];

    /// Those of drawn attackers: what has a limit, and random words.
    pub const DRAWN: [Self; 4] = [Self::Split, Self::FlipAll, Self::Junk, Self::Salad];

    /// Its key in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Split => "split_10",
            Self::FlipAll => "flip_all",
            Self::FlipHalf => "flip_half",
            Self::SecondLabel => "copy_20_second_label",
            Self::Junk => "junk_20_model_label",
            Self::Salad => "word_salad_20_model_label",
            Self::Duplicates => "duplicates_10",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split into 10 sybils",
            Self::FlipAll => "flip all own labels",
            Self::FlipHalf => "flip half of the own labels",
            Self::SecondLabel => "add 20 copies of others' rows with the model's second label",
            Self::Junk => "add 20 junk texts (one word, repeated) with the model's label",
            Self::Salad => "add 20 texts of random words with the model's label",
            Self::Duplicates => "each own row 10 times",
        }
    }

    /// Median gain in the earlier study for match × white, where it had this attack.
    pub fn earlier(self) -> Option<f64> {
        match self {
            Self::Split => Some(1.0),
            Self::FlipAll => Some(0.16),
            Self::FlipHalf => Some(0.61),
            Self::SecondLabel => Some(1.57),
            Self::Junk => Some(2.1),
            Self::Duplicates => Some(7.9),
            Self::Salad => None,
        }
    }

    /// Whether a limit of 1.1 times the earlier median is set.
    pub fn limited(self) -> bool {
        matches!(self, Self::Split | Self::FlipAll | Self::Junk)
    }
}

/// Gains of one attack, one per attacker.
#[derive(Clone, Debug)]
pub struct Gains {
    /// What was done.
    pub attack: Attack,
    /// If each row has the same weight.
    pub plain: Vec<f64>,
    /// If the index is built as `lorica datanet build` does: equal texts once, near-duplicates share one weight.
    pub built: Vec<f64>,
}

/// Texts that attackers add.
#[derive(Clone, Debug)]
pub struct Additions {
    /// One word, repeated.
    pub junk: Vec<String>,
    /// Random words.
    pub salad: Vec<String>,
}

impl Additions {
    /// Texts for a fixture.
    pub fn new(rows: &[Row]) -> Self {
        const WORDS: [&str; 12] =
            ["a", "the", "!", "library", "perl", "zzqx", "0", "Haskell", "rust", "documentation", "[MASK]", "vim"];
        let repeated = |word: &str, count: usize| vec![word; count].join(" ");
        let junk = WORDS.iter().flat_map(|word| [1, 3, 8, 24].map(|count| repeated(word, count))).collect();
        let mut words: Vec<&str> = rows.iter().flat_map(|row| row.text.split_whitespace()).collect();
        words.sort_unstable();
        words.dedup();
        let mut random = Random::new(SEED + 1);
        let salad = (0..ATTACKERS * ADDED)
            .map(|_| {
                let count = 4 + random.below(7);
                (0..count).map(|_| words[random.below(words.len())]).collect::<Vec<_>>().join(" ")
            })
            .collect();
        Self { junk, salad }
    }
}

/// Them with what the model makes of them.
#[derive(Debug)]
pub struct Added {
    /// The texts.
    pub texts: Additions,
    junk: Vec<Feature>,
    salad: Vec<Feature>,
}

impl Added {
    /// Runs the model on them.
    pub fn new(fixture: &Fixture) -> Result<Self, StudyError> {
        let texts = Additions::new(&fixture.records.rows);
        let features = |texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            fixture.model.features(Path::new("additions"), &texts)
        };
        let (junk, salad) = (features(&texts.junk)?, features(&texts.salad)?);
        Ok(Self { texts, junk, salad })
    }
}

/// A row of an index: the number of its text, its label and its owner.
#[derive(Clone, Copy, Debug)]
struct Entry {
    text: usize,
    label: usize,
    slot: u16,
}

/// Everything the table is made of.
#[derive(Debug)]
pub struct Game<'a> {
    /// The records.
    pub rows: &'a [Row],
    /// Features of the records, then of junk, then of salad.
    pub features: Vec<&'a Feature>,
    /// Texts of the same.
    pub pool: Pool,
    /// Of junk.
    pub junk: usize,
    /// The adapter's logits for the records.
    pub logits: &'a [[f64; CLASSES]],
    /// Pooled values of the questions.
    pub questions: Vec<&'a [i16]>,
    /// Answers to them.
    pub answers: Vec<usize>,
    /// Channels.
    pub hidden: usize,
    /// Contributors.
    pub contributors: usize,
    /// Contributors in the order of their names.
    pub by_name: &'a [usize],
}

/// Who attacks.
#[derive(Clone, Debug)]
pub struct Attackers {
    /// Their numbers.
    pub contributors: Vec<usize>,
    /// Rows of each.
    pub rows: Vec<usize>,
    /// Seed of what they do.
    pub seed: u64,
}

/// The matrix of an index, and of which texts and weights it is.
#[derive(Debug)]
struct Known {
    rows: Vec<(usize, u8)>,
    inverse: Inverse,
}

impl<'a> Game<'a> {
    /// The fixture and what is added to it.
    pub fn new(fixture: &'a Fixture, added: &'a Added) -> Self {
        let records = &fixture.records;
        let mut pool = Pool::default();
        records.rows.iter().for_each(|row| pool.add(&row.text));
        added.texts.junk.iter().chain(&added.texts.salad).for_each(|text| pool.add(text));
        Self {
            rows: &records.rows,
            features: records.features.iter().chain(&added.junk).chain(&added.salad).collect(),
            pool,
            junk: added.junk.len(),
            logits: &records.logits,
            questions: fixture.questions.pooled(),
            answers: fixture.questions.answers(),
            hidden: fixture.model.hidden(),
            contributors: fixture.by_name.len(),
            by_name: &fixture.by_name,
        }
    }

    /// Rows that an index keeps, with their weights.
    fn kept(&self, entries: &[Entry], dedup: bool) -> Vec<(Entry, u8)> {
        let weights: Vec<Option<u8>> = if dedup {
            let texts: Vec<usize> = entries.iter().map(|entry| entry.text).collect();
            let ids: Vec<&[u32]> = texts.iter().map(|&text| self.features[text].ids.as_slice()).collect();
            self.pool.weigh(&texts, &ids)
        } else {
            vec![Some(WHOLE_WEIGHT); entries.len()]
        };
        entries.iter().zip(&weights).filter_map(|(&entry, weight)| Some((entry, (*weight)?))).collect()
    }

    /// An index of rows, with the `G` of `known` if that is of the same texts and weights: labels and slots do not change it.
    fn index(&self, entries: &[Entry], dedup: bool, known: Option<&Known>) -> Result<(Known, Vec<f64>), StudyError> {
        let kept = self.kept(entries, dedup);
        let features: Vec<i16> =
            kept.iter().flat_map(|(entry, _)| &self.features[entry.text].values).copied().collect();
        let labels: Vec<usize> = kept.iter().map(|(entry, _)| entry.label).collect();
        let weights: Vec<u8> = kept.iter().map(|&(_, weight)| weight).collect();
        let classes = classes(&labels, &weights);
        let rows: Vec<(usize, u8)> = kept.iter().map(|&(entry, weight)| (entry.text, weight)).collect();
        let inverse = match known.filter(|known| known.rows == rows) {
            Some(known) => known.inverse.clone(),
            None => invert(&features, self.hidden, &classes, RIDGE)?.0,
        };
        let slots = kept.iter().map(|(entry, _)| entry.slot).collect();
        let cells = index_with(&inverse, features, self.hidden, classes, slots)?;
        let count = entries.iter().map(|entry| usize::from(entry.slot) + 1).max().unwrap_or(0);
        Ok((Known { rows, inverse }, self.pay(&cells, count)))
    }

    /// Mean share of each slot over the questions.
    fn pay(&self, cells: &IndexCells, slots: usize) -> Vec<f64> {
        let shares = self.questions.par_iter().zip(&self.answers).map(|(pooled, &answer)| {
            let mut sums = vec![0.0; slots];
            let scores = cells.scores(pooled, answer);
            scores.iter().zip(&cells.slots).for_each(|(&score, &slot)| sums[usize::from(slot)] += score as f64);
            crate::truth::normalised(sums)
        });
        let shares: Vec<Vec<f64>> = shares.collect();
        (0..slots).map(|slot| shares.iter().map(|s| s[slot]).sum::<f64>() / shares.len() as f64).collect()
    }

    /// Rows of each contributor.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.contributors];
        self.rows.iter().for_each(|row| counts[row.contributor] += 1);
        counts
    }

    /// Contributors with 5 to 40 rows, in the order of their names.
    pub fn able(&self) -> Vec<usize> {
        let counts = self.counts();
        self.by_name.iter().copied().filter(|&c| ROWS.contains(&counts[c])).collect()
    }

    /// The attackers of the earlier study, or of the first draw where the rows are others.
    pub fn earlier(&self) -> Attackers {
        let able = self.able();
        if EARLIER.iter().any(|&place| place >= able.len()) {
            return self.drawn(0);
        }
        self.attackers(EARLIER.map(|place| able[place]).to_vec(), SEED)
    }

    /// Attackers of a draw.
    pub fn drawn(&self, draw: u64) -> Attackers {
        let (able, seed) = (self.able(), SEED + DRAW_STEP * draw);
        let chosen = Random::new(seed).choose(ATTACKERS, able.len());
        self.attackers(chosen.into_iter().map(|i| able[i]).collect(), seed)
    }

    fn attackers(&self, contributors: Vec<usize>, seed: u64) -> Attackers {
        let counts = self.counts();
        Attackers { rows: contributors.iter().map(|&c| counts[c]).collect(), contributors, seed }
    }

    /// The rows after an attack.
    fn attacked(&self, honest: &[Entry], attack: Attack, attacker: usize, order: usize, seed: u64) -> Vec<Entry> {
        let mut entries = honest.to_vec();
        let own: Vec<usize> = (0..honest.len()).filter(|&i| usize::from(honest[i].slot) == attacker).collect();
        let slot = honest[own[0]].slot;
        let mut random = Random::new(seed + 100 * (1 + order as u64) + attack as u64);
        let first = u16::try_from(self.contributors).unwrap_or(u16::MAX);
        match attack {
            Attack::Split => {
                for (k, &i) in own.iter().enumerate().filter(|(k, _)| k % 10 != 0) {
                    entries[i].slot = first + (k % 10 - 1) as u16;
                }
            }
            Attack::FlipAll | Attack::FlipHalf => {
                let count = if attack == Attack::FlipAll { own.len() } else { own.len() / 2 };
                for &i in &own[..count] {
                    entries[i].label = (entries[i].label + 1 + random.below(CLASSES - 1)) % CLASSES;
                }
            }
            Attack::SecondLabel => {
                let others: Vec<usize> = (0..honest.len()).filter(|i| !own.contains(i)).collect();
                for k in random.choose(ADDED, others.len()) {
                    let text = others[k];
                    let mut order: Vec<usize> = (0..CLASSES).collect();
                    order.sort_by(|&a, &b| self.logits[text][b].total_cmp(&self.logits[text][a]));
                    let label = if order[1] == honest[text].label { order[0] } else { order[1] };
                    entries.push(Entry { text, label, slot });
                }
            }
            Attack::Junk => {
                for k in random.choose(ADDED, self.junk) {
                    let text = honest.len() + k;
                    entries.push(Entry { text, label: self.features[text].answer, slot });
                }
            }
            Attack::Salad => {
                for k in 0..ADDED {
                    let text = honest.len() + self.junk + order * ADDED + k;
                    entries.push(Entry { text, label: self.features[text].answer, slot });
                }
            }
            Attack::Duplicates => {
                for _ in 1..10 {
                    entries.extend(own.iter().map(|&i| honest[i]));
                }
            }
        }
        entries
    }

    /// The rows as they are.
    fn honest(&self) -> Vec<Entry> {
        let entry = |(text, row): (usize, &Row)| Entry {
            text,
            label: row.label,
            slot: u16::try_from(row.contributor).unwrap_or(u16::MAX),
        };
        self.rows.iter().enumerate().map(entry).collect()
    }

    /// Gains of some attackers; `done` hears how many attacks have been run.
    pub fn play(
        &self,
        attacks: &[Attack],
        attackers: &Attackers,
        mut done: impl FnMut(usize, usize),
    ) -> Result<Vec<Gains>, StudyError> {
        let honest = self.honest();
        let before = [self.index(&honest, false, None)?, self.index(&honest, true, None)?];
        let count = attackers.contributors.len();
        let mut gains = Vec::with_capacity(attacks.len());
        for &attack in attacks {
            let mut both = [Vec::new(), Vec::new()];
            for (order, &attacker) in attackers.contributors.iter().enumerate() {
                done(gains.len() * count + order, attacks.len() * count);
                let entries = self.attacked(&honest, attack, attacker, order, attackers.seed);
                for (dedup, (gains, (known, before))) in both.iter_mut().zip(&before).enumerate() {
                    let (_, pay) = self.index(&entries, dedup == 1, Some(known))?;
                    let sybils: f64 = pay[self.contributors..].iter().sum();
                    gains.push((pay[attacker] + sybils) / before[attacker]);
                }
            }
            let [plain, built] = both;
            gains.push(Gains { attack, plain, built });
        }
        Ok(gains)
    }
}

/// Median: the mean of both in the middle of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len(), sorted.get(middle)) {
        (_, None) => f64::NAN,
        (count, Some(&value)) if count % 2 == 1 => value,
        (_, Some(&value)) => (sorted[middle - 1] + value) / 2.0,
    }
}

/// The largest.
pub fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two contributors, two labels, and questions that are answered by the first.
    fn play(attack: Attack) -> (f64, f64) {
        let texts = ["red one", "red two", "blue one", "blue two", "red six", "blue six"];
        let rows: Vec<Row> = (0..6)
            .map(|i| Row { text: texts[i].into(), label: usize::from(!(i < 2 || i == 4)), contributor: i / 2 })
            .collect();
        let features: Vec<Feature> = (0..6 + 20 + ADDED)
            .map(|i| Feature {
                ids: vec![i as u32],
                values: if i < 2 || i == 4 { vec![12_000, 300 * i as i16] } else { vec![-12_000, 400] },
                answer: 0,
            })
            .collect();
        let mut pool = Pool::default();
        texts.iter().for_each(|text| pool.add(text));
        (0..20 + ADDED).for_each(|i| pool.add(&format!("{i}x {i}y {i}z")));
        let logits = [[9.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]; 6];
        let question = [12_000, 500];
        let game = Game {
            rows: &rows,
            features: features.iter().collect(),
            pool,
            junk: 20,
            logits: &logits,
            questions: vec![&question],
            answers: vec![0],
            hidden: 2,
            contributors: 3,
            by_name: &[0, 1, 2],
        };
        let honest = game.honest();
        let after = game.attacked(&honest, attack, 0, 0, SEED);
        let gain = |dedup| {
            let (known, before) = game.index(&honest, dedup, None).unwrap();
            let (_, again) = game.index(&after, dedup, None).unwrap();
            let (_, after) = game.index(&after, dedup, Some(&known)).unwrap();
            assert_eq!(after, again);
            (after[0] + after[3..].iter().sum::<f64>()) / before[0]
        };
        (gain(false), gain(true))
    }

    #[test]
    fn names_change_nothing_and_lies_cost() {
        let near = |(a, b): (f64, f64), c: f64| (a - c).abs() < 1e-3 && (b - c).abs() < 1e-3;
        assert!(near(play(Attack::Split), 1.0));
        assert!(near(play(Attack::FlipAll), 0.0));
        let (half, _) = play(Attack::FlipHalf);
        assert!(half > 0.2 && half < 0.9, "{half}");
    }

    #[test]
    fn duplicates_pay_unless_they_are_dropped() {
        let (plain, built) = play(Attack::Duplicates);
        assert!(plain > 1.2 && (built - 1.0).abs() < 1e-9, "{plain} {built}");
        let (_, built) = play(Attack::SecondLabel);
        assert!((built - 1.0).abs() < 1e-9, "{built}");
    }

    #[test]
    fn a_median_of_an_even_number_is_between() {
        assert_eq!((median(&[4.0, 1.0, 3.0, 2.0]), median(&[3.0, 1.0, 2.0]), worst(&[1.0, 5.0, 2.0])), (2.5, 2.0, 5.0));
    }
}
