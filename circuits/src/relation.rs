//! The relations of an encoder, all of the one form
//!
//! ```text
//! Σ_products coefficient·Σ_x P(x)·A(x)·B(x)  =  form + constants + public
//! ```
//! at a random point of the relation's outer axes: `P` is a public product of `eq` factors (possibly times the attention
//! mask), `A` and `B` are [`Form`]s of committed columns. A relation without products is a linear claim. The integer
//! equations are those of `docs/protocol/integers.md`; each stands beside the relation that proves it.

use crate::column::{Axis, Column, ColumnSpec};
use crate::error::CircuitError;
use crate::form::{Coefficient, ConstantTerm, DigitEntry, DigitWeight, Factor, Form, FormTerm, LowWeight, ScaleRef};
use crate::layout::Layout;

/// A sum over a hypercube of a product of a public polynomial and two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Integer factor.
    pub coefficient: i64,
    /// Axes that are summed over, most significant first.
    pub variables: Vec<Axis>,
    /// Axes among `variables` (or composed of them) whose `eq` with the outer point is a factor of `P`.
    pub equal: Vec<Axis>,
    /// Whether `P` also holds the attention mask over ([`Axis::Request`], [`Axis::Key`]).
    pub masked: bool,
    /// First operand.
    pub left: Form,
    /// Second operand; `None` if it is the first again (a square, one claim).
    pub right: Option<Form>,
}

/// Published integers that a relation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    /// Logits over ([`Axis::Request`], [`Axis::Label`]).
    Logits,
    /// Sums over ([`Axis::Request`], [`Axis::HiddenBlock`], [`Axis::Channel`]).
    Sums,
}

/// One relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Name in errors and cost tables.
    pub name: &'static str,
    /// Products; none for a linear claim.
    pub products: Vec<Product>,
    /// Linear side over committed columns; without terms its value is zero and no claim is made.
    pub form: Form,
    /// Public side.
    pub constants: Vec<ConstantTerm>,
    /// Published values that are added to the public side.
    pub public: Option<Public>,
}

/// Outer axes: the transcript draws one point for each, shared by all relations.
pub const OUTER: [Axis; 12] = [
    Axis::Layer,
    Axis::Kind,
    Axis::HiddenBlock,
    Axis::FfnBlock,
    Axis::Norm,
    Axis::Request,
    Axis::Token,
    Axis::Key,
    Axis::Head,
    Axis::Depth,
    Axis::Rank,
    Axis::Label,
];

/// A term under construction.
struct Read {
    spec: ColumnSpec,
    term: FormTerm,
}

impl Read {
    fn digit_position(&self, axis: Axis) -> Result<usize, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no digit {axis:?}", self.spec.column) };
        self.spec.digits.iter().position(|&(a, _)| a == axis).ok_or_else(missing)
    }
    fn low(mut self, axis: Axis, weight: LowWeight) -> Result<Self, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no axis {axis:?}", self.spec.column) };
        let at = self.spec.lows.iter().position(|&(a, _)| a == axis).ok_or_else(missing)?;
        self.term.lows[at] = weight;
        Ok(self)
    }
    /// Digit axis `from` follows the logical axis `to`.
    fn digit(mut self, from: Axis, to: Axis) -> Result<Self, CircuitError> {
        let at = self.digit_position(from)?;
        self.term.digits[at].axis = Some(to);
        Ok(self)
    }
    /// Replaces the matrix of a digit axis.
    fn entries(
        mut self,
        axis: Axis,
        to: Option<Axis>,
        entries: impl IntoIterator<Item = (usize, usize, Coefficient)>,
    ) -> Result<Self, CircuitError> {
        let at = self.digit_position(axis)?;
        let entries =
            entries.into_iter().map(|(point, digit, coefficient)| DigitEntry { point, digit, coefficient }).collect();
        self.term.digits[at] = DigitWeight { axis: to, entries };
        Ok(self)
    }
    /// Only one digit.
    fn at(self, axis: Axis, digit: usize) -> Result<Self, CircuitError> {
        self.entries(axis, None, [(0, digit, Coefficient::Integer(1))])
    }
    /// Sum over a digit axis.
    fn sum(self, axis: Axis) -> Result<Self, CircuitError> {
        let count = self.spec.digits[self.digit_position(axis)?].1;
        self.entries(axis, None, (0..count).map(|d| (0, d, Coefficient::Integer(1))))
    }
    /// `Σ_i 2^(16·i)·limb first + i` for `count` limbs.
    fn limbs(self, first: usize, count: usize) -> Result<Self, CircuitError> {
        let powers = (0..count).map(|i| if i < 3 { Ok(1i64 << (16 * i)) } else { Err(i) });
        let mut entries = Vec::new();
        for (i, power) in powers.enumerate() {
            let coefficient = match power {
                Ok(p) => Coefficient::Integer(p),
                Err(_) => return Err(CircuitError::Compile { what: format!("limb {i} has no integer weight") }),
            };
            entries.push((0, first + i, coefficient));
        }
        self.entries(Axis::Limb, None, entries)
    }
    fn times(mut self, coefficient: i64) -> Self {
        self.term.coefficient = Coefficient::Integer(coefficient);
        self
    }
    fn factor(mut self, axis: Axis, entries: impl IntoIterator<Item = (usize, Coefficient)>) -> Self {
        self.term.factors.push(Factor { axis, entries: entries.into_iter().collect() });
        self
    }
}

const ONE: Coefficient = Coefficient::Integer(1);
const ROUND: i64 = 1 << 15;
const UNIT: i64 = 1 << 16;

fn form(terms: impl IntoIterator<Item = Read>) -> Form {
    Form { terms: terms.into_iter().map(|r| r.term).collect() }
}

struct Compiler<'a> {
    layout: &'a Layout,
}

impl Compiler<'_> {
    fn read(&self, column: Column) -> Result<Read, CircuitError> {
        let spec = self.layout.placement(column)?.spec.clone();
        Ok(Read { term: FormTerm::read(&spec), spec })
    }
    fn scaled(&self, coefficient: i64, axes: &[Axis]) -> ConstantTerm {
        let factors = axes.iter().map(|&axis| Factor { axis, entries: self.real(axis) }).collect();
        ConstantTerm { coefficient: Coefficient::Integer(coefficient), factors }
    }
    fn per_norm(&self, coefficient: i64, scale: impl Fn(usize) -> ScaleRef) -> ConstantTerm {
        let entries = (0..self.layout.architecture.norms()).map(|j| (j, Coefficient::Scale(scale(j)))).collect();
        ConstantTerm {
            coefficient: Coefficient::Integer(coefficient),
            factors: vec![Factor { axis: Axis::Norm, entries }],
        }
    }
    fn real(&self, axis: Axis) -> Vec<(usize, Coefficient)> {
        (0..self.layout.axis_count(axis)).map(|d| (d, ONE)).collect()
    }

    /// Input of layer l: residual slot l.
    fn layer_input(&self, block: Axis, channel: Axis) -> Result<Read, CircuitError> {
        let layers = self.layout.architecture.layers;
        self.read(Column::Residual)?
            .entries(Axis::Slot, Some(Axis::Layer), (0..layers).map(|l| (l, l, ONE)))?
            .digit(Axis::HiddenBlock, block)?
            .low(Axis::Channel, LowWeight::Axis(channel))
    }
    fn input(&self, column: Column, from: Axis, block: Axis) -> Result<Read, CircuitError> {
        self.read(column)?.digit(from, block)?.low(Axis::Channel, LowWeight::Axis(Axis::ChannelIn))
    }

    /// `y·2^16 + rem - bias` of a linear layer.
    fn rounded(&self, y: Column, remainder: Column, bias: Option<Column>) -> Result<Vec<Read>, CircuitError> {
        let mut terms = vec![self.read(y)?.times(UNIT), self.read(remainder)?];
        if let Some(bias) = bias {
            terms.push(self.read(bias)?.times(-1));
        }
        Ok(terms)
    }

    /// `acc + 2^15 = y·2^16 + rem` with `acc = x·W + b + h·B`.
    fn linear(&self, layer: &LinearLayer) -> Result<Relation, CircuitError> {
        let base = Product {
            coefficient: 1,
            variables: vec![Axis::Layer, layer.block_in, Axis::ChannelIn],
            equal: vec![Axis::Layer],
            masked: false,
            left: form([(layer.input)(self)?]),
            right: Some(form([self.read(layer.weight)?])),
        };
        let kinds = layer.sites.len() > 1;
        let sites = |axis: Axis, read: Read, digits: &[usize]| {
            if kinds {
                read.entries(axis, Some(Axis::Kind), digits.iter().enumerate().map(|(k, &d)| (k, d, ONE)))
            } else {
                read.at(axis, digits[0])
            }
        };
        let hidden = sites(Axis::Site, self.read(Column::LoraHidden)?, layer.sites)?;
        let mut b = self.read(layer.lora_b)?;
        if let Some(digits) = layer.lora_b_digits {
            b = sites(Axis::Site, b, digits)?;
        }
        let mut shared = vec![Axis::Request, Axis::Layer];
        if kinds {
            shared.push(Axis::Kind);
        }
        let mut variables = shared.clone();
        variables.push(Axis::Rank);
        let lora = Product {
            coefficient: 1,
            variables,
            equal: shared,
            masked: false,
            left: form([hidden]),
            right: Some(form([b])),
        };
        let mut side = self.rounded(layer.output, layer.remainder, Some(layer.bias))?;
        if layer.output == Column::OutputLow {
            side.push(self.read(Column::OutputHigh)?.times(UNIT * UNIT));
        }
        let mut real = vec![Axis::Layer, layer.block];
        if kinds {
            real.push(Axis::Kind);
        }
        Ok(Relation {
            name: layer.name,
            products: vec![base, lora],
            form: form(side),
            constants: vec![self.scaled(-ROUND, &real)],
            public: None,
        })
    }

    /// `x·A + 2^15 = h·2^16 + rem` for the sites that share one input.
    fn lora_hidden(&self, layer: &LinearLayer) -> Result<Relation, CircuitError> {
        let kinds = layer.sites.len() > 1;
        let sites = |read: Read| {
            if kinds {
                read.entries(Axis::Site, Some(Axis::Kind), layer.sites.iter().enumerate().map(|(k, &d)| (k, d, ONE)))
            } else {
                read.at(Axis::Site, layer.sites[0])
            }
        };
        let mut a = self.read(layer.lora_a)?;
        if layer.lora_a == Column::LoraA {
            a = sites(a)?;
        }
        let mut real = vec![Axis::Layer];
        if kinds {
            real.push(Axis::Kind);
        }
        Ok(Relation {
            name: layer.lora_name,
            products: vec![Product {
                coefficient: 1,
                variables: vec![Axis::Request, Axis::Layer, layer.block_in, Axis::ChannelIn],
                equal: vec![Axis::Request, Axis::Layer],
                masked: false,
                left: form([(layer.input)(self)?]),
                right: Some(form([a])),
            }],
            form: form([
                sites(self.read(Column::LoraHidden)?)?.times(UNIT),
                sites(self.read(Column::LoraHiddenRemainder)?)?,
            ]),
            constants: vec![self.scaled(-ROUND, &real)],
            public: None,
        })
    }

    fn attention(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        let layers = self.layout.architecture.layers;
        let all = [A::Layer, A::HiddenBlock];
        let rows = vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Token];
        let steps = (0..layers).map(|l| (l, l, Coefficient::Scale(ScaleRef::ScoreStep(l))));
        let qkv = |kind| self.read(Column::Qkv)?.at(A::Kind, kind);
        let mut cells = rows.clone();
        cells.push(A::Key);
        let reciprocal = || self.read(Column::Reciprocal)?.limbs(0, 2);
        let denominator = || self.read(Column::Exp)?.low(A::Key, LowWeight::Masked);
        Ok(vec![
            // q·k·2^(16-σ) + 2^15 = (m - gap)·2^16 + rem
            Relation {
                name: "scores",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Depth],
                    equal: vec![A::Layer, A::HiddenBlock, A::Request, A::Head],
                    masked: false,
                    left: form([qkv(0)?.entries(A::Layer, Some(A::Layer), steps)?]),
                    right: Some(form([qkv(1)?.low(A::Token, LowWeight::Axis(A::Key))?])),
                }],
                form: form([
                    self.read(Column::Max)?.times(UNIT),
                    self.read(Column::Gap)?.times(-UNIT),
                    self.read(Column::ScoreRemainder)?,
                ]),
                constants: vec![self.scaled(-ROUND, &all)],
                public: None,
            },
            // attain·gap = 0
            Relation {
                name: "attained gap",
                products: vec![Product {
                    coefficient: 1,
                    variables: cells.clone(),
                    equal: cells,
                    masked: false,
                    left: form([self.read(Column::Attain)?]),
                    right: Some(form([self.read(Column::Gap)?])),
                }],
                form: Form::default(),
                constants: vec![],
                public: None,
            },
            // Σ_k attain = 1
            Relation {
                name: "attained once",
                products: vec![],
                form: form([self.read(Column::Attain)?.low(A::Key, LowWeight::Ones)?]),
                constants: vec![self.scaled(-1, &all)],
                public: None,
            },
            // attain·(1 - mask) = 0
            Relation {
                name: "attained by a real token",
                products: vec![],
                form: form([self.read(Column::Attain)?.low(A::Key, LowWeight::Unmasked(A::Key))?]),
                constants: vec![],
                public: None,
            },
            // R·D = 2^38 - u
            Relation {
                name: "softmax reciprocal",
                products: vec![Product {
                    coefficient: 1,
                    variables: rows.clone(),
                    equal: rows.clone(),
                    masked: false,
                    left: form([reciprocal()?]),
                    right: Some(form([denominator()?])),
                }],
                form: form([self.read(Column::ReciprocalRemainder)?.limbs(0, 2)?.times(-1)]),
                constants: vec![self.scaled(1 << 38, &all)],
                public: None,
            },
            // D - u - slack = 1
            Relation {
                name: "softmax remainder below divisor",
                products: vec![],
                form: form([
                    denominator()?,
                    self.read(Column::ReciprocalRemainder)?.limbs(0, 2)?.times(-1),
                    self.read(Column::ReciprocalSlack)?.limbs(0, 2)?.times(-1),
                ]),
                constants: vec![self.scaled(-1, &all)],
                public: None,
            },
            // e·R·2^9 + 2^31 = p·2^32 + rem
            Relation {
                name: "softmax probabilities",
                products: vec![Product {
                    coefficient: 1 << 9,
                    variables: rows.clone(),
                    equal: rows,
                    masked: false,
                    left: form([self.read(Column::Exp)?]),
                    right: Some(form([reciprocal()?])),
                }],
                form: form([
                    self.read(Column::Prob)?.times(UNIT * UNIT),
                    self.read(Column::ProbRemainder)?.limbs(0, 2)?,
                ]),
                constants: vec![self.scaled(-(1 << 31), &all)],
                public: None,
            },
            // 2·Σ_{k < n} p·v + 2^15 = context·2^16 + rem
            Relation {
                name: "context",
                products: vec![Product {
                    coefficient: 2,
                    variables: vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Key],
                    equal: vec![A::Layer, A::HiddenBlock, A::Head],
                    masked: true,
                    left: form([self.read(Column::Prob)?]),
                    right: Some(form([qkv(2)?.low(A::Token, LowWeight::Axis(A::Key))?])),
                }],
                form: form(self.rounded(Column::Context, Column::ContextRemainder, None)?),
                constants: vec![self.scaled(-ROUND, &all)],
                public: None,
            },
        ])
    }

    /// The vector that norm j normalises, as a form with axes Norm, HiddenBlock, Request, Token, Channel; `adjust` edits
    /// every term's channel weights.
    fn residual(
        &self,
        coefficient: i64,
        adjust: impl Fn(Read) -> Result<Read, CircuitError>,
    ) -> Result<Vec<Read>, CircuitError> {
        let layers = self.layout.architecture.layers;
        let mut terms = Vec::new();
        // Norm 0: word + position + token type.
        for (column, axis, weight) in [
            (Column::Word, Some(Axis::WordId), LowWeight::WordOf),
            (Column::Position, Some(Axis::PositionId), LowWeight::PositionOf),
            (Column::TokenType, None, LowWeight::Ones),
        ] {
            let mut read = self.read(column)?.times(coefficient).factor(Axis::Norm, [(0, ONE)]);
            if let Some(axis) = axis {
                read = read.low(axis, weight)?;
            }
            terms.push(adjust(read)?);
        }
        // Norm j = l + 1: 2^stream·mid[l] + 2^branch·out[l]; norm layers + 1 + l: 2^stream·slot[l] + 2^branch·attention[l].
        let after = move |l: usize| l + 1;
        let middle = move |l: usize| layers + 1 + l;
        let scaled = |column, axis, norm: &dyn Fn(usize) -> usize, stream: bool| {
            let entries: Vec<_> = (0..layers)
                .map(|l| {
                    let j = norm(l);
                    (j, l, Coefficient::Scale(if stream { ScaleRef::Stream(j) } else { ScaleRef::Branch(j) }))
                })
                .collect();
            self.read(column)?.entries(axis, Some(Axis::Norm), entries)
        };
        terms.push(adjust(scaled(Column::Mid, Axis::Layer, &after, true)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::OutputLow, Axis::Layer, &after, false)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::OutputHigh, Axis::Layer, &after, false)?.times(coefficient * UNIT))?);
        terms.push(adjust(scaled(Column::Residual, Axis::Slot, &middle, true)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::Attention, Axis::Layer, &middle, false)?.times(coefficient))?);
        Ok(terms)
    }

    fn norms(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        let a = &self.layout.architecture;
        let (layers, norms) = (a.layers, a.norms());
        let n = a.hidden as i64;
        let sum = |coefficient| self.residual(coefficient, |r| r.sum(A::HiddenBlock)?.low(A::Channel, LowWeight::Ones));
        let rows = vec![A::Norm, A::Request, A::Token];
        let slack = |first: usize, coefficient: i64| -> Result<Vec<Read>, CircuitError> {
            // Five limbs weigh up to 2^64: the upper two are a term of their own with the power in its coefficient.
            let low = self.read(Column::NormSlack)?.limbs(first, 3)?.times(coefficient);
            let high = self.read(Column::NormSlack)?.limbs(first + 3, 2)?.times(coefficient * (1 << 48));
            Ok(vec![low, high])
        };
        // n·r - S, at the outer block and channel.
        let mut centred = self.residual(n, Ok)?;
        for term in sum(-1)? {
            centred.push(term.factor(A::HiddenBlock, self.real(A::HiddenBlock)));
        }
        let step = (0..norms).map(|j| (j, j, Coefficient::Scale(ScaleRef::NormStep(j))));
        let mut twice_u = slack(0, 1)?;
        twice_u.extend(slack(5, 1)?);
        twice_u.push(self.read(Column::NormVariance)?.times(-1));
        let same = |left: Vec<Read>, right: Option<Vec<Read>>, variables: Vec<Axis>, equal: Vec<Axis>| Product {
            coefficient: 1,
            variables,
            equal,
            masked: false,
            left: form(left),
            right: right.map(form),
        };
        let root = || self.read(Column::NormRoot);
        let value = || self.read(Column::NormValue);
        let mut variance_root =
            same(vec![root()?], Some(vec![self.read(Column::NormVariance)?]), rows.clone(), rows.clone());
        variance_root.coefficient = 2;
        Ok(vec![
            // Q = Σ_c r²
            Relation {
                name: "norm squares",
                products: vec![same(
                    self.residual(1, Ok)?,
                    None,
                    vec![A::Norm, A::HiddenBlock, A::Request, A::Token, A::Channel],
                    rows.clone(),
                )],
                form: form([self.read(Column::NormSquares)?]),
                constants: vec![],
                public: None,
            },
            // S² = n·Q - V + ε
            Relation {
                name: "norm variance",
                products: vec![same(sum(1)?, None, rows.clone(), rows.clone())],
                form: form([self.read(Column::NormSquares)?.times(n), self.read(Column::NormVariance)?.times(-1)]),
                constants: vec![self.per_norm(1, ScaleRef::Epsilon)],
                public: None,
            },
            // 2·ρ·V = s1 + s2 - V + 1
            Relation {
                name: "norm root, upper",
                products: vec![variance_root],
                form: form(
                    slack(0, 1)?.into_iter().chain(slack(5, 1)?).chain([self.read(Column::NormVariance)?.times(-1)]),
                ),
                constants: vec![self.scaled(1, &[A::Norm])],
                public: None,
            },
            // ρ·(s1 + s2 - V) = 2·C - 2·s1 - ρ, since s1 + s2 - V + 1 = 2·ρ·V
            Relation {
                name: "norm root, lower",
                products: vec![same(vec![root()?], Some(twice_u), rows.clone(), rows.clone())],
                form: form(slack(0, -2)?.into_iter().chain([root()?.times(-1)])),
                constants: vec![self.per_norm(2, ScaleRef::Root)],
                public: None,
            },
            // (n·r - S)·ρ·2^(32-shift) + 2^31 = z·2^32 + rem
            Relation {
                name: "norm value",
                products: vec![same(
                    centred,
                    Some(vec![root()?.entries(A::Norm, Some(A::Norm), step)?]),
                    rows.clone(),
                    rows,
                )],
                form: form([value()?.times(UNIT * UNIT), self.read(Column::NormValueRemainder)?.limbs(0, 2)?]),
                constants: vec![self.scaled(-(1 << 31), &[A::Norm, A::HiddenBlock])],
                public: None,
            },
            // z·γ + β + 2^15 = y·2^16 + rem
            Relation {
                name: "norm output",
                products: vec![same(
                    vec![value()?],
                    Some(vec![self.read(Column::Gamma)?]),
                    vec![A::Norm, A::HiddenBlock, A::Channel],
                    vec![A::Norm, A::HiddenBlock, A::Channel],
                )],
                form: form([
                    self.read(Column::Residual)?
                        .entries(A::Slot, Some(A::Norm), (0..=layers).map(|j| (j, j, ONE)))?
                        .times(UNIT),
                    self.read(Column::Mid)?
                        .entries(A::Layer, Some(A::Norm), (0..layers).map(|l| (layers + 1 + l, l, ONE)))?
                        .times(UNIT),
                    self.read(Column::NormRemainder)?,
                    self.read(Column::Beta)?.times(-1),
                ]),
                constants: vec![self.scaled(-ROUND, &[A::Norm, A::HiddenBlock])],
                public: None,
            },
        ])
    }

    fn last_slot(&self) -> Result<Read, CircuitError> {
        self.read(Column::Residual)?.at(Axis::Slot, self.layout.architecture.layers)
    }

    fn outputs(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        if self.layout.is_embedding() {
            // Σ_{t < n} last slot = published sums
            return Ok(vec![Relation {
                name: "mean pooling",
                products: vec![],
                form: form([self.last_slot()?.low(A::Token, LowWeight::Masked)?.times(-1)]),
                constants: vec![],
                public: Some(Public::Sums),
            }]);
        }
        let pooled = self
            .read(Column::Pooled)?
            .digit(A::HiddenBlock, A::HiddenBlockIn)?
            .low(A::Channel, LowWeight::Axis(A::ChannelIn))?;
        let first_token = self
            .last_slot()?
            .digit(A::HiddenBlock, A::HiddenBlockIn)?
            .low(A::Token, LowWeight::First)?
            .low(A::Channel, LowWeight::Axis(A::ChannelIn))?;
        Ok(vec![
            // W·x + b + 2^15 = y·2^16 + rem
            Relation {
                name: "pooler",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::HiddenBlockIn, A::ChannelIn],
                    equal: vec![],
                    masked: false,
                    left: form([first_token]),
                    right: Some(form([self.read(Column::WeightPooler)?])),
                }],
                form: form(self.rounded(Column::PoolerKey, Column::PoolerRemainder, Some(Column::BiasPooler))?),
                constants: vec![self.scaled(-ROUND, &[A::HiddenBlock])],
                public: None,
            },
            // Σ_i W[j,i]·pooled[i] = logit[j] - b[j]
            Relation {
                name: "classifier",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::Request, A::HiddenBlockIn, A::ChannelIn],
                    equal: vec![A::Request],
                    masked: false,
                    left: form([pooled]),
                    right: Some(form([self.read(Column::Classifier)?])),
                }],
                form: form([self.read(Column::ClassifierBias)?.times(-1)]),
                constants: vec![],
                public: Some(Public::Logits),
            },
        ])
    }
}

/// One group of linear layers that share input and shape.
struct LinearLayer {
    name: &'static str,
    lora_name: &'static str,
    input: fn(&Compiler<'_>) -> Result<Read, CircuitError>,
    block_in: Axis,
    block: Axis,
    weight: Column,
    bias: Column,
    output: Column,
    remainder: Column,
    sites: &'static [usize],
    lora_a: Column,
    lora_b: Column,
    lora_b_digits: Option<&'static [usize]>,
}

const LINEAR: [LinearLayer; 4] = [
    LinearLayer {
        name: "query, key, value",
        lora_name: "adapter input of query, key, value",
        input: |c| c.layer_input(Axis::HiddenBlockIn, Axis::ChannelIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightQkv,
        bias: Column::BiasQkv,
        output: Column::Qkv,
        remainder: Column::QkvRemainder,
        sites: &[0, 1, 2],
        lora_a: Column::LoraA,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[0, 1, 2]),
    },
    LinearLayer {
        name: "attention output",
        lora_name: "adapter input of attention output",
        input: |c| c.input(Column::Context, Axis::HiddenBlock, Axis::HiddenBlockIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightAttention,
        bias: Column::BiasAttention,
        output: Column::Attention,
        remainder: Column::AttentionRemainder,
        sites: &[3],
        lora_a: Column::LoraA,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[3]),
    },
    LinearLayer {
        name: "intermediate",
        lora_name: "adapter input of intermediate",
        input: |c| c.input(Column::Mid, Axis::HiddenBlock, Axis::HiddenBlockIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::FfnBlock,
        weight: Column::WeightIntermediate,
        bias: Column::BiasIntermediate,
        output: Column::Intermediate,
        remainder: Column::IntermediateRemainder,
        sites: &[4],
        lora_a: Column::LoraA,
        lora_b: Column::LoraBIntermediate,
        lora_b_digits: None,
    },
    LinearLayer {
        name: "output",
        lora_name: "adapter input of output",
        input: |c| c.input(Column::Activated, Axis::FfnBlock, Axis::FfnBlockIn),
        block_in: Axis::FfnBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightOutput,
        bias: Column::BiasOutput,
        output: Column::OutputLow,
        remainder: Column::OutputRemainder,
        sites: &[5],
        lora_a: Column::LoraAOutput,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[4]),
    },
];

/// All relations of a layout, in the order in which the transcript meets them.
///
/// # Errors
/// [`CircuitError::Compile`] if a form names an axis that its column lacks.
pub fn relations(layout: &Layout) -> Result<Vec<Relation>, CircuitError> {
    let compiler = Compiler { layout };
    let mut all = Vec::new();
    for layer in &LINEAR {
        all.push(compiler.linear(layer)?);
        all.push(compiler.lora_hidden(layer)?);
    }
    all.extend(compiler.attention()?);
    all.extend(compiler.norms()?);
    all.extend(compiler.outputs()?);
    Ok(all)
}
