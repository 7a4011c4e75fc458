//! The relations of an encoder, all of the one form
//!
//! ```text
//! Σ_products coefficient·Σ_x P(x)·A(x)·B(x)  =  form + constants + public
//! ```
//! at a random point of the relation's outer axes: `P` is a public product of `eq` factors (possibly times the attention
//! mask), `A` and `B` are [`Form`]s of committed columns. A relation without products is a linear claim. The integer
//! equations are those of `docs/protocol/integers.md`; each stands beside the relation that proves it.

mod attention;
mod linear;
mod norm;
mod output;
mod read;

use crate::column::{Axis, Column};
use crate::error::CircuitError;
use crate::form::{Coefficient, ConstantTerm, Factor, Form, FormTerm, LowWeight, ScaleRef};
use crate::layout::{Layout, within};
use linear::LINEAR;
use read::{ONE, Read};

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
    /// Words of eight sums over ([`Axis::Request`], [`Axis::HiddenBlock`], upper bits of [`Axis::Channel`]), less the
    /// sums' offsets on real blocks.
    PackedSums,
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
}

/// All relations of a layout, in the order in which the transcript meets them.
///
/// # Errors
/// [`CircuitError::Compile`] if a form names an axis that its column lacks, [`CircuitError::Bound`] for more of anything than
/// the errors of soundness.md are stated for.
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
    expect_bounds(layout, &all)?;
    Ok(all)
}

/// Most relations.
pub const MAX_RELATIONS: usize = 32;
/// Most claims that the reduction combines: forms and operands of the relations, and two on leaves.
pub const MAX_CLAIMS: usize = 128;
/// Most rounds of the relation sumcheck: bits of a product's variables.
pub const MAX_RELATION_ROUNDS: u32 = 28;
/// Most coordinates of the outer points.
pub const MAX_OUTER_BITS: u32 = 64;

/// The bounds by which soundness.md states the errors.
fn expect_bounds(layout: &Layout, relations: &[Relation]) -> Result<(), CircuitError> {
    let bits = |axes: &[Axis]| axes.iter().map(|&axis| layout.axis_bits(axis)).sum::<u32>();
    let products = || relations.iter().flat_map(|relation| &relation.products);
    let forms = relations.iter().filter(|relation| !relation.form.terms.is_empty()).count();
    let operands: usize = products().map(|product| 1 + usize::from(product.right.is_some())).sum();
    let rounds = products().map(|product| bits(&product.variables)).max().unwrap_or(0);
    within("relations", MAX_RELATIONS as u64, relations.len() as u64)?;
    within("claims", MAX_CLAIMS as u64, (forms + operands + 2) as u64)?;
    within("rounds of the relation sumcheck", u64::from(MAX_RELATION_ROUNDS), u64::from(rounds))?;
    within("coordinates of the outer points", u64::from(MAX_OUTER_BITS), u64::from(bits(&OUTER)))
}
