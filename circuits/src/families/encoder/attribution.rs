//! Attribution: whose records shaped an answer, and by how much (docs/protocol/attribution.md).
//!
//! ```text
//! y = G·h_q, a_i = <h_i, y>, s_i = c_i[label]·relu(a_i), S_c = Σ_{slot_i = c} s_i, share_c = floor(2^16·S_c / (Σ S + 1))
//! ```
//! of a request's pooled features `h_q` and the records `i` of an index; the features have the constant 1 appended, whose
//! row and column of G are columns of their own. Everything that is published is determined for any field elements in the
//! index. Its ranges matter to who can be answered, and to whoever pays: with negative classes the shares of one answer add up to
//! more than the whole, so that an index is ranged before anybody pays by it, and the sum is checked.

use super::columns as c;
use crate::axis::Axis;
use crate::blocks::equal;
use crate::blocks::linear::rounded;
use crate::column::Column;
use crate::error::CircuitError;
use crate::form::{Coefficient, LowWeight};
use crate::read::{Columns, ONE, ROUND, Read, UNIT, form};
use crate::relation::{Product, Public, Published, Relation};
use crate::shape::{CONTRIBUTORS, PLACES, SHARE_ENTRY_BITS, SHARE_SLOT_BITS, SHARE_WORDS, SHARES_PER_WORD};
use crate::table::TANH_VALUE_BITS;

/// The constant 1 beside the features.
const CONSTANT: i64 = 1 << TANH_VALUE_BITS;
/// Contributors as a factor of a sum: the key of a contributor is `1024·sum - slot`, so that of equal sums the lower slot
/// is the larger.
const KEY: i64 = 1 << CONTRIBUTORS.trailing_zeros();

/// A column by channels of an input.
fn input<'p>(columns: &Columns<'p>, column: Column) -> Result<Read<'p>, CircuitError> {
    columns
        .read(column)?
        .digit(Axis::HIDDEN_BLOCK, Axis::HIDDEN_BLOCK_IN)?
        .low(Axis::CHANNEL, LowWeight::Axis(Axis::CHANNEL_IN))
}

/// `Σ_i 2^bits(i)·limb i`.
fn limbs<'p>(
    columns: &Columns<'p>,
    column: Column,
    count: usize,
    bits: impl Fn(usize) -> u32,
) -> Result<Read<'p>, CircuitError> {
    columns.read(column)?.entries(Axis::LIMB, None, (0..count).map(|i| (0, i, Coefficient::Power(bits(i)))))
}

fn even(limb: usize) -> u32 {
    [0, 16, 32, 48].get(limb).copied().unwrap_or(0)
}

pub(super) fn attribution(columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
    let mut all = Vec::from(query(columns)?);
    all.extend(scores(columns)?);
    all.extend(largest(columns)?);
    all.extend(shares(columns)?);
    Ok(all)
}

/// `y = G·h` with the constant's row and column. `|Σ| <= (hidden + 1)·2^29`, so that no input is out of range.
fn query(columns: &Columns<'_>) -> Result<[Relation; 2], CircuitError> {
    use Axis as A;
    let product = |left| -> Result<Vec<Product>, CircuitError> {
        Ok(vec![Product {
            coefficient: 1,
            variables: vec![A::HIDDEN_BLOCK_IN, A::CHANNEL_IN],
            public: vec![],
            left: form([left]),
            right: Some(form([input(columns, c::POOLED)?])),
        }])
    };
    // Σ_k G[j,k]·h[k] + 2^14·bias[j] + 2^15 = (low + 2^16·high)[j]·2^16 + rem
    let mut own = rounded(columns, c::QUERY_LOW, c::QUERY_REMAINDER, None)?;
    own.push(columns.read(c::QUERY_HIGH)?.times(UNIT * UNIT));
    own.push(columns.read(c::INDEX_BIAS)?.times(-CONSTANT));
    // Σ_k bias[k]·h[k] + 2^14·corner + 2^15 = (low + 2^16·high)·2^16 + rem
    let mut constant = rounded(columns, c::QUERY_BIAS_LOW, c::QUERY_BIAS_REMAINDER, None)?;
    constant.push(columns.read(c::QUERY_BIAS_HIGH)?.times(UNIT * UNIT));
    constant.push(columns.read(c::INDEX_CORNER)?.times(-CONSTANT));
    Ok([
        Relation {
            name: "attribution query",
            products: product(columns.read(c::INDEX_WHITENING)?)?,
            form: form(own),
            constants: vec![columns.scaled(-ROUND, &[A::HIDDEN_BLOCK])?],
            public: None,
        },
        Relation {
            name: "attribution query of the constant",
            products: product(input(columns, c::INDEX_BIAS)?)?,
            form: form(constant),
            constants: vec![columns.scaled(-ROUND, &[])?],
            public: None,
        },
    ])
}

/// From `y` to each record's score.
fn scores(columns: &Columns<'_>) -> Result<[Relation; 3], CircuitError> {
    use Axis as A;
    const ROWS: [Axis; 2] = [Axis::REQUEST, Axis::RECORD];
    let size = || limbs(columns, c::INFLUENCE_SIZE, c::SIZE_LIMBS, even);
    let rows = |left: Vec<Read<'_>>, right: Option<Vec<Read<'_>>>, coefficient| Product {
        coefficient,
        variables: ROWS.to_vec(),
        public: equal(&ROWS),
        left: form(left),
        right: right.map(form),
    };
    Ok([
        // 2·(Σ_k h_i[k]·y[k] + 2^14·y_constant) = a_i·2^16 + rem
        Relation {
            name: "influence",
            products: vec![Product {
                coefficient: 2,
                variables: vec![A::HIDDEN_BLOCK_IN, A::CHANNEL_IN],
                public: vec![],
                left: form([input(columns, c::INDEX_FEATURE)?]),
                right: Some(form([input(columns, c::QUERY_LOW)?, input(columns, c::QUERY_HIGH)?.times(UNIT)])),
            }],
            form: form([
                columns.read(c::INFLUENCE)?.times(UNIT),
                columns.read(c::INFLUENCE_REMAINDER)?,
                columns.read(c::QUERY_BIAS_LOW)?.times(-2 * CONSTANT),
                columns.read(c::QUERY_BIAS_HIGH)?.times(-2 * CONSTANT * UNIT),
            ]),
            constants: vec![],
            public: None,
        },
        // m^2 = a^2 with 0 <= m < 2^32: m is |a|, and a lies within ±2^32.
        Relation {
            name: "size of influence",
            products: vec![rows(vec![size()?], None, 1), rows(vec![columns.read(c::INFLUENCE)?], None, -1)],
            form: form([]),
            constants: vec![],
            public: None,
        },
        // c_i[label]·(a_i + |a_i|) = 2·s_i, nothing for a request that does not attribute.
        Relation {
            name: "score",
            products: vec![rows(
                vec![columns.read(c::INDEX_CLASS)?.low(A::LABEL, LowWeight::LabelOf)?],
                Some(vec![columns.read(c::INFLUENCE)?, size()?]),
                1,
            )],
            form: form([columns.read(c::SCORE)?.times(2)]),
            constants: vec![],
            public: None,
        },
    ])
}

/// Which contributors are listed: those with the largest keys `1024·S_c - c`, in the order of their slots. That the list is of
/// contributors with their sums, and each counted as often as it is listed, is in the leaves.
fn largest(columns: &Columns<'_>) -> Result<[Relation; 3], CircuitError> {
    use Axis as A;
    const ROWS: [Axis; 2] = [Axis::REQUEST, Axis::CONTRIBUTOR];
    let number = || columns.read(c::CONTRIBUTOR_NUMBER);
    // 2·e·(key - threshold) = slack - threshold + 1 + key - e: the slack is key - threshold of those that are listed, and
    // threshold - 1 - key of the others. It is not negative.
    let above = form([
        columns.read(c::SUM)?.times(KEY),
        number()?.times(-1),
        columns.read(c::THRESHOLD_SUM)?.times(-KEY),
        columns.read(c::THRESHOLD_SLOT)?,
    ]);
    let mut side = above.clone();
    let slack = limbs(columns, c::CHOSEN_SLACK, c::CHOSEN_LIMBS, c::chosen_limb_bits)?;
    side.terms.extend(form([slack, columns.read(c::CHOSEN)?.times(-1)]).terms);
    let shifted = (0..PLACES - 1).map(|j| (j, j + 1, ONE));
    let own = || (0..PLACES - 1).map(|j| (j, j, ONE));
    let before = (0..PLACES - 1).map(|j| (j, ONE)).collect();
    Ok([
        Relation {
            name: "contributor numbers",
            products: vec![],
            form: form([number()?]),
            constants: vec![Columns::ramp(-1, A::CONTRIBUTOR)],
            public: None,
        },
        Relation {
            name: "largest shares",
            products: vec![Product {
                coefficient: 2,
                variables: ROWS.to_vec(),
                public: equal(&ROWS),
                left: form([columns.read(c::CHOSEN)?]),
                right: Some(above),
            }],
            form: side,
            constants: vec![columns.scaled(1, &[])?],
            public: None,
        },
        // u_{j+1} - u_j - 1 = gap_j of all places but the last, whose gap is zero.
        Relation {
            name: "order of places",
            products: vec![],
            form: form([
                columns.read(c::PLACE_GAP)?,
                columns.read(c::PLACE_SLOT)?.entries(A::PLACE, Some(A::PLACE), shifted)?.times(-1),
                columns.read(c::PLACE_SLOT)?.entries(A::PLACE, Some(A::PLACE), own())?,
            ]),
            constants: vec![Columns::on(1, A::PLACE, before)],
            public: None,
        },
    ])
}

/// `2^16·V_j = share_j·(T + 1) + rem_j` with `0 <= rem_j <= T`, and the words of slots and shares.
fn shares(columns: &Columns<'_>) -> Result<[Relation; 3], CircuitError> {
    use Axis as A;
    let total = || columns.read(c::SUM)?.low(A::CONTRIBUTOR, LowWeight::Ones);
    let remainder = || limbs(columns, c::SHARE_REMAINDER, c::SHARE_LIMBS, even);
    // word[w] = Σ_k 2^(28·k)·(slot + 2^12·share) of the places 8·w + k.
    let packed = |column, shift: u32| -> Result<Read<'_>, CircuitError> {
        let entries = (0..SHARE_WORDS).flat_map(|word| {
            (0..SHARES_PER_WORD).zip(0u32..).map(move |(k, entry)| {
                (word, word * SHARES_PER_WORD + k, Coefficient::Power(shift + SHARE_ENTRY_BITS * entry))
            })
        });
        Ok(columns.read(column)?.entries(A::PLACE, Some(A::SHARE_WORD), entries)?.times(-1))
    };
    Ok([
        Relation {
            name: "share",
            products: vec![Product {
                coefficient: 1,
                variables: vec![A::REQUEST],
                public: equal(&[A::REQUEST]),
                left: form([columns.read(c::SHARE)?]),
                right: Some(form([total()?])),
            }],
            form: form([
                columns.read(c::PLACE_SUM)?.times(UNIT),
                columns.read(c::SHARE)?.times(-1),
                remainder()?.times(-1),
            ]),
            constants: vec![],
            public: None,
        },
        Relation {
            name: "remainder of a share",
            products: vec![],
            form: form([
                total()?,
                remainder()?.times(-1),
                limbs(columns, c::SHARE_SLACK, c::SHARE_LIMBS, even)?.times(-1),
            ]),
            constants: vec![],
            public: None,
        },
        Relation {
            name: "published shares",
            products: vec![],
            form: form([packed(c::PLACE_SLOT, 0)?, packed(c::SHARE, SHARE_SLOT_BITS)?]),
            constants: vec![],
            public: Some(Public { axes: vec![A::SHARE_WORD], values: Published::Shares }),
        },
    ])
}
