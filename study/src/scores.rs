//! The scores that are compared: of every record for every question, never negative.

use lorica_circuits::shape::LABELS;
use lorica_quant::index::IndexCells;
use lorica_quant::index::inverse::{Cholesky, Inverse, invert};
use rayon::prelude::*;

use crate::data::Fixture;
use crate::dedup::{Pool, WHOLE_WEIGHT};
use crate::error::StudyError;
use crate::head::{CLASSES, Design, softmax};
use crate::lds::Table;

/// Ridge of the index, in thousandths of the mean eigenvalue: the default of `lorica datanet build`.
pub const RIDGE: u32 = 1_000;

/// A score and its values.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Its key in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// `[questions][records]`.
    pub values: Table,
}

/// What scores are made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Features of the records.
    pub records: &'a Design,
    /// Their labels.
    pub labels: &'a [usize],
    /// The adapter's logits for them.
    pub logits: &'a [[f64; CLASSES]],
    /// Features of the questions.
    pub questions: &'a Design,
    /// The adapter's logits for them.
    pub question_logits: &'a [[f64; CLASSES]],
    /// The adapter's answers to them.
    pub answers: &'a [usize],
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Parts<'_> {
    fn table(&self, score: impl Fn(usize, usize) -> f64 + Sync) -> Table {
        let row = |q: usize| (0..self.labels.len()).map(|i| score(q, i).max(0.0)).collect();
        (0..self.answers.len()).into_par_iter().map(row).collect()
    }

    fn same(&self, question: usize, record: usize) -> bool {
        self.answers[question] == self.labels[record]
    }

    /// `[y_i = ŷ]·relu(⟨h_i, M·h⟩)` with `M = (Σ_j h_j·h_jᵀ + λ·I)⁻¹`, `λ` being `ridge` times the mean eigenvalue.
    pub fn white(&self, ridge: f64) -> Result<Table, StudyError> {
        let size = self.records.size;
        let mut matrix = self.records.covariance(|_| 1.0);
        let trace: f64 = (0..size).map(|j| matrix[j * size + j]).sum();
        for j in 0..size {
            matrix[j * size + j] += ridge * trace / size as f64;
        }
        let factor = Cholesky::new(matrix, size).ok_or(StudyError::Singular)?;
        let row = |q: usize| {
            let mut y = self.questions.row(q).to_vec();
            factor.solve(&mut y);
            let score = |i: usize| if self.same(q, i) { dot(self.records.row(i), &y).max(0.0) } else { 0.0 };
            (0..self.labels.len()).map(score).collect()
        };
        Ok((0..self.answers.len()).into_par_iter().map(row).collect())
    }

    /// The same with `M = I`.
    pub fn plain(&self) -> Table {
        self.table(|q, i| if self.same(q, i) { dot(self.questions.row(q), self.records.row(i)) } else { 0.0 })
    }

    /// `[y_i = ŷ]`.
    pub fn label(&self) -> Table {
        self.table(|q, i| f64::from(u8::from(self.same(q, i))))
    }

    /// `[y_i = ŷ]·relu(cos(h_i, h))`, without the constant.
    pub fn cosine(&self) -> Table {
        let pooled = self.records.size - 1;
        let norm = |row: &[f64]| dot(&row[..pooled], &row[..pooled]).sqrt().max(1e-12);
        let norms: Vec<f64> = (0..self.labels.len()).map(|i| norm(self.records.row(i))).collect();
        self.table(|q, i| {
            let question = &self.questions.row(q)[..pooled];
            let own = norm(self.questions.row(q));
            if self.same(q, i) { dot(question, &self.records.row(i)[..pooled]) / (own * norms[i]) } else { 0.0 }
        })
    }

    /// TracIn of the last layer with one checkpoint (Pruthi et al., 2020): `relu(−⟨δ_i, m⟩·⟨h_i, h⟩)`, where `δ_i` is the
    /// record's softmax less its label and `m` the answer less the softmax of all other labels.
    pub fn tracin(&self) -> Table {
        let pooled = self.records.size - 1;
        let residuals: Vec<[f64; CLASSES]> = self
            .logits
            .iter()
            .zip(self.labels)
            .map(|(logits, &label)| {
                let mut p = softmax(logits).0;
                p[label] -= 1.0;
                p
            })
            .collect();
        let directions: Vec<[f64; CLASSES]> = self
            .question_logits
            .iter()
            .zip(self.answers)
            .map(|(logits, &answer)| {
                let mut others = *logits;
                others[answer] = f64::NEG_INFINITY;
                let mut direction = softmax(&others).0.map(|p| -p);
                direction[answer] = 1.0;
                direction
            })
            .collect();
        self.table(|q, i| {
            let kernel = dot(&self.questions.row(q)[..pooled], &self.records.row(i)[..pooled]);
            -dot(&residuals[i], &directions[q]) * kernel
        })
    }
}

/// The class vectors of rows.
pub fn classes(labels: &[usize], weights: &[u8]) -> Vec<[u8; LABELS]> {
    let class = |(&label, &weight): (&usize, &u8)| {
        let mut class = [0; LABELS];
        class[label] = weight;
        class
    };
    labels.iter().zip(weights).map(class).collect()
}

/// The cells of an index, with `G` as `lorica datanet build` makes it.
pub fn index(
    features: Vec<i16>,
    hidden: usize,
    labels: &[usize],
    weights: &[u8],
    slots: Vec<u16>,
) -> Result<IndexCells, StudyError> {
    let classes = classes(labels, weights);
    let (inverse, _) = invert(&features, hidden, &classes, RIDGE)?;
    index_with(&inverse, features, hidden, classes, slots)
}

/// The cells of an index, with a `G` that belongs to these rows.
pub fn index_with(
    inverse: &Inverse,
    features: Vec<i16>,
    hidden: usize,
    classes: Vec<[u8; LABELS]>,
    slots: Vec<u16>,
) -> Result<IndexCells, StudyError> {
    let rows: Vec<&[i16]> = inverse.cells.chunks_exact(hidden + 1).collect();
    let cells = IndexCells {
        hidden_size: hidden,
        count: classes.len(),
        features,
        classes,
        slots,
        inverse: rows[..hidden].iter().flat_map(|row| &row[..hidden]).copied().collect(),
        bias: rows[hidden][..hidden].to_vec(),
        corner: rows[hidden][hidden],
    };
    cells.validate().map_err(|error| StudyError::Arguments(error.to_string()))?;
    Ok(cells)
}

/// The proven integers for every question, as floats that hold them exactly.
pub fn proven(cells: &IndexCells, questions: &[&[i16]], answers: &[usize]) -> Table {
    let row = |(pooled, &answer): (&&[i16], &usize)| {
        // Below 2^38.2.
        cells.scores(pooled, answer).into_iter().map(|score| score as f64).collect()
    };
    questions.par_iter().zip(answers).map(row).collect()
}

/// All scores: the proven integers first, their float second; `more` are ridges that are of interest besides.
pub fn all(fixture: &Fixture, more: &[(&'static str, &'static str, f64)]) -> Result<Vec<Scored>, StudyError> {
    let Fixture { model, records, questions, .. } = fixture;
    let (hidden, pooled, answers) = (model.hidden(), questions.pooled(), questions.answers());
    let contributors = records.contributors();
    let slot = |&c: &usize| u16::try_from(c).unwrap_or(u16::MAX);
    let integers = |kept: &[usize], weights: &[u8]| {
        let features = kept.iter().flat_map(|&i| &records.features[i].values).copied().collect();
        let labels: Vec<usize> = kept.iter().map(|&i| records.labels[i]).collect();
        let slots = kept.iter().map(|&i| slot(&contributors[i])).collect();
        Ok::<_, StudyError>(proven(&index(features, hidden, &labels, weights, slots)?, &pooled, &answers))
    };
    let rows: Vec<usize> = (0..records.rows.len()).collect();
    let equal = integers(&rows, &vec![WHOLE_WEIGHT; rows.len()])?;

    let mut pool = Pool::default();
    records.rows.iter().for_each(|row| pool.add(&row.text));
    let ids: Vec<&[u32]> = records.features.iter().map(|feature| feature.ids.as_slice()).collect();
    let weights = pool.weigh(&rows, &ids);
    let kept: Vec<usize> = rows.iter().copied().filter(|&i| weights[i].is_some()).collect();
    eprintln!("           {} of {} rows are no duplicates", kept.len(), rows.len());
    let weights: Vec<u8> = weights.into_iter().flatten().collect();
    let built: Table = integers(&kept, &weights)?
        .into_iter()
        .map(|scores| {
            let mut row = vec![0.0; rows.len()];
            kept.iter().zip(scores).for_each(|(&i, score)| row[i] = score);
            row
        })
        .collect();

    let parts = Parts {
        records: &records.design,
        labels: &records.labels,
        logits: &records.logits,
        questions: &questions.design,
        question_logits: &questions.logits,
        answers: &answers,
    };
    let scored = |key, name, values| Scored { key, name, values };
    let mut scores = vec![
        scored("proven", "proven integers, equal weights", equal),
        scored("match_white_1", "match × white, r = 1, float", parts.white(1.0)?),
        scored("proven_built", "proven integers, as `datanet build` weighs", built),
        scored("match_white_0.3", "match × white, r = 0.3, float", parts.white(0.3)?),
        scored("match_white_3", "match × white, r = 3, float", parts.white(3.0)?),
    ];
    for &(key, name, ridge) in more {
        scores.push(scored(key, name, parts.white(ridge)?));
    }
    scores.extend([
        scored("match_identity", "match × dot product (G = I)", parts.plain()),
        scored("match_cosine", "same label × cosine", parts.cosine()),
        scored("match", "same label", parts.label()),
        scored("tracin", "last-layer TracIn, relu", parts.tracin()),
    ]);
    Ok(scores)
}

/// Sums of scores over the records that each retrained model saw, `[questions][models]`.
pub fn predicted(scores: &Table, seen: &[Vec<bool>]) -> Table {
    let sum = |scores: &[f64], seen: &[bool]| -> f64 {
        scores.iter().zip(seen).map(|(&score, &seen)| if seen { score } else { 0.0 }).sum()
    };
    scores.par_iter().map(|scores| seen.iter().map(|seen| sum(scores, seen)).collect()).collect()
}

/// Sums of scores by contributor, `[questions][contributors]`.
pub fn by_contributor(scores: &Table, contributors: &[usize]) -> Table {
    let count = contributors.iter().max().map_or(0, |most| most + 1);
    let sums = |scores: &Vec<f64>| {
        let mut sums = vec![0.0; count];
        scores.iter().zip(contributors).for_each(|(score, &c)| sums[c] += score);
        sums
    };
    scores.iter().map(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::real;
    use crate::random::Random;

    /// The integers are those of the float score, up to rounding, whatever the rows are.
    #[test]
    fn the_integers_are_near_the_floats() {
        let (hidden, count) = (24, 150);
        let mut random = Random::new(2);
        let mut values =
            |n: usize| -> Vec<i16> { (0..n).map(|_| random.below(32_769) as i32 - 16_384).map(|v| v as i16).collect() };
        let (features, questions) = (values(hidden * count), values(hidden * 6));
        let labels: Vec<usize> = (0..count).map(|i| i % CLASSES).collect();
        let answers: Vec<usize> = (0..6).collect();
        let design = |values: &[i16]| Design {
            size: hidden + 1,
            values: values.chunks(hidden).flat_map(|row| row.iter().map(|&h| real(h)).chain([1.0])).collect(),
        };
        let (records, asked) = (design(&features), design(&questions));
        let parts = Parts {
            records: &records,
            labels: &labels,
            logits: &[],
            questions: &asked,
            question_logits: &[],
            answers: &answers,
        };
        let float = parts.white(1.0).unwrap();
        let cells = index(features, hidden, &labels, &[WHOLE_WEIGHT; 150], vec![0; count]).unwrap();
        let questions: Vec<&[i16]> = questions.chunks(hidden).collect();
        let integers = proven(&cells, &questions, &answers);
        let largest = float.iter().flatten().copied().fold(0.0, f64::max);
        let factor = integers.iter().flatten().copied().fold(0.0, f64::max) / largest;
        for (float, integer) in float.iter().flatten().zip(integers.iter().flatten()) {
            assert!((float * factor - integer).abs() < 2e-3 * largest * factor, "{float} {integer}");
        }
    }

    /// A record that is wrong has a larger residual than one that is learnt, and one of another label none that helps.
    #[test]
    fn tracin_pays_for_being_wrong() {
        let records = Design { size: 3, values: [1.0, 0.0, 1.0].repeat(3) };
        let logits = |label: usize, z: f64| std::array::from_fn(|c| if c == label { z } else { 0.0 });
        let parts = Parts {
            records: &records,
            labels: &[0, 0, 1],
            logits: &[logits(0, 6.0), logits(1, 6.0), logits(1, 6.0)],
            questions: &Design { size: 3, values: vec![1.0, 0.0, 1.0] },
            question_logits: &[logits(0, 2.0)],
            answers: &[0],
        };
        let scores = &parts.tracin()[0];
        // With equal other logits in the question: (1 − p_y)·10/9, by hand.
        let sum = 6f64.exp() + 9.0;
        let expected = [(9.0 / sum) * 10.0 / 9.0, (1.0 - 1.0 / sum) * 10.0 / 9.0, 0.0];
        assert!(scores.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12), "{scores:?}");
        assert_eq!(parts.label(), [vec![1.0, 1.0, 0.0]]);
        assert_eq!(parts.plain(), [vec![2.0, 2.0, 0.0]]);
        assert_eq!(parts.cosine(), [vec![1.0, 1.0, 0.0]]);
    }
}
