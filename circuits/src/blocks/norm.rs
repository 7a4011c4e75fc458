//! LayerNorm of a vector that a form reads: variance, integer reciprocal root, and two requantise steps.

use super::equal;
use crate::axis::Axis;
use crate::column::Column;
use crate::error::CircuitError;
use crate::form::{Coefficient, LowWeight, Scale};
use crate::read::{Columns, ROUND, Read, UNIT, form};
use crate::relation::{Product, Relation};

/// Limbs of [`NormColumns::slack`]: five for each of the two slacks of the reciprocal root.
pub const SLACK_LIMBS: usize = 10;

/// The columns of a norm.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is documented in docs/protocol/integers.md under its own name")]
pub struct NormColumns {
    pub squares: Column,
    pub variance: Column,
    pub root: Column,
    pub slack: Column,
    pub value: Column,
    pub value_remainder: Column,
    pub remainder: Column,
    pub gamma: Column,
    pub beta: Column,
}

/// The scales of norm `j`.
#[derive(Clone, Copy, Debug)]
pub struct NormScales {
    /// `2^(32 - shift)`.
    pub step: fn(usize) -> Scale,
    /// `C = 2^root`.
    pub root: fn(usize) -> Scale,
    /// `ε_int`.
    pub epsilon: fn(usize) -> Scale,
}

/// All norms of a model.
pub struct Norms<'a, 'p> {
    /// How many.
    pub count: usize,
    /// Channels of the vector.
    pub width: usize,
    /// The vector's terms with axes [`Axis::NORM`], [`Axis::HIDDEN_BLOCK`], request, token and [`Axis::CHANNEL`], times a
    /// coefficient.
    pub vector: &'a dyn Fn(i64) -> Result<Vec<Read<'p>>, CircuitError>,
    /// Terms that hold the output, by [`Axis::NORM`].
    pub output: Vec<Read<'p>>,
    /// The columns.
    pub columns: NormColumns,
    /// The scales.
    pub scales: NormScales,
}

impl Norms<'_, '_> {
    /// The sum over channels of the vector.
    fn sum(&self, coefficient: i64) -> Result<Vec<Read<'_>>, CircuitError> {
        (self.vector)(coefficient)?
            .into_iter()
            .map(|read| read.sum(Axis::HIDDEN_BLOCK)?.low(Axis::CHANNEL, LowWeight::Ones))
            .collect()
    }

    /// The relations.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if a column lacks an axis.
    pub fn relations(&self, columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        let own = &self.columns;
        let n = i64::try_from(self.width).unwrap_or(i64::MAX);
        let rows = [A::NORM, A::REQUEST, A::TOKEN];
        let channels = [A::NORM, A::HIDDEN_BLOCK, A::CHANNEL];
        let root = || columns.read(own.root);
        let value = || columns.read(own.value);
        let squares = || columns.read(own.squares);
        let less_variance = || Ok::<_, CircuitError>(columns.read(own.variance)?.times(-1));
        let slack = |first: usize, coefficient: i64| -> Result<Vec<Read<'_>>, CircuitError> {
            // Five limbs weigh up to 2^64: the upper two are a term of their own with the power in its coefficient.
            let low = columns.read(own.slack)?.limbs(first, 3)?.times(coefficient);
            let high = columns.read(own.slack)?.limbs(first + 3, 2)?.times(coefficient * (1 << 48));
            Ok(vec![low, high])
        };
        // s1 + s2 - V
        let twice_u = || -> Result<Vec<Read<'_>>, CircuitError> {
            Ok(slack(0, 1)?.into_iter().chain(slack(5, 1)?).chain([less_variance()?]).collect())
        };
        // n·r - S, at the outer block and channel.
        let mut centred = (self.vector)(n)?;
        for term in self.sum(-1)? {
            centred.push(term.factor(A::HIDDEN_BLOCK, columns.real(A::HIDDEN_BLOCK)?));
        }
        let step = (0..self.count).map(|j| (j, j, Coefficient::Scale((self.scales.step)(j))));
        let product = |coefficient, left, right: Option<Vec<Read<'_>>>, variables: &[A], public: &[A]| Product {
            coefficient,
            variables: variables.to_vec(),
            public: equal(public),
            left: form::<'_>(left),
            right: right.map(form),
        };
        let relation = |name, products, side: Vec<Read<'_>>, constants| Relation {
            name,
            products,
            form: form(side),
            constants,
            public: None,
        };
        Ok(vec![
            // Q = Σ_c r²
            relation(
                "norm squares",
                vec![product(
                    1,
                    (self.vector)(1)?,
                    None,
                    &[A::NORM, A::HIDDEN_BLOCK, A::REQUEST, A::TOKEN, A::CHANNEL],
                    &rows,
                )],
                vec![squares()?],
                vec![],
            ),
            // S² = n·Q - V + ε
            relation(
                "norm variance",
                vec![product(1, self.sum(1)?, None, &rows, &rows)],
                vec![squares()?.times(n), less_variance()?],
                vec![columns.per_index(1, A::NORM, self.scales.epsilon)?],
            ),
            // 2·ρ·V = s1 + s2 - V + 1
            relation(
                "norm root, upper",
                vec![product(2, vec![root()?], Some(vec![columns.read(own.variance)?]), &rows, &rows)],
                twice_u()?,
                vec![columns.scaled(1, &[A::NORM])?],
            ),
            // ρ·(s1 + s2 - V) = 2·C - 2·s1 - ρ, since s1 + s2 - V + 1 = 2·ρ·V
            relation(
                "norm root, lower",
                vec![product(1, vec![root()?], Some(twice_u()?), &rows, &rows)],
                slack(0, -2)?.into_iter().chain([root()?.times(-1)]).collect(),
                vec![columns.per_index(2, A::NORM, self.scales.root)?],
            ),
            // (n·r - S)·ρ·2^(32-shift) + 2^31 = z·2^32 + rem
            relation(
                "norm value",
                vec![product(1, centred, Some(vec![root()?.entries(A::NORM, Some(A::NORM), step)?]), &rows, &rows)],
                vec![value()?.times(UNIT * UNIT), columns.read(own.value_remainder)?.limbs(0, 2)?],
                vec![columns.scaled(-(1 << 31), &[A::NORM, A::HIDDEN_BLOCK])?],
            ),
            // z·γ + β + 2^15 = y·2^16 + rem
            relation(
                "norm output",
                vec![product(1, vec![value()?], Some(vec![columns.read(own.gamma)?]), &channels, &channels)],
                self.output
                    .iter()
                    .map(|read| read.clone().times(UNIT))
                    .chain([columns.read(own.remainder)?, columns.read(own.beta)?.times(-1)])
                    .collect(),
                vec![columns.scaled(-ROUND, &[A::NORM, A::HIDDEN_BLOCK])?],
            ),
        ])
    }
}
