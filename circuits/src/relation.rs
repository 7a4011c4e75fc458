//! Relations, all of the one form
//!
//! ```text
//! Σ_products coefficient·Σ_x P(x)·A(x)·B(x)  =  form + constants + public
//! ```
//! at a random point of the program's outer axes: `P` is a public product of [`PublicFactor`]s, `A` and `B` are [`Form`]s of
//! committed columns. A relation without products is a linear claim. The integer equations are those of
//! `docs/protocol/integers.md`; each stands beside the relation that proves it.

use crate::axis::Axis;
use crate::form::{ConstantTerm, Form};

/// A factor of the public polynomial of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicFactor {
    /// `eq` of an axis among the variables (or composed of them) with its outer point.
    Equal(Axis),
    /// The requests' lengths: `Σ_m eq(outer request, m)·[request = m]·[index of the axis < length of m]`. Takes the place
    /// of `Equal(Axis::REQUEST)`.
    Length(Axis),
}

/// A sum over a hypercube of a product of a public polynomial and two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Integer factor.
    pub coefficient: i64,
    /// Axes that are summed over, most significant first.
    pub variables: Vec<Axis>,
    /// Factors of `P`.
    pub public: Vec<PublicFactor>,
    /// First operand.
    pub left: Form,
    /// Second operand; `None` if it is the first again (a square, one claim).
    pub right: Option<Form>,
}

/// Published scalars that a relation speaks of: each request's, in the order of the indices of some axes side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// The axes, most significant first.
    pub axes: Vec<Axis>,
    /// Which scalars.
    pub values: Published,
}

/// The scalars of a request that a relation may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Outputs, one to an index.
    Outputs,
    /// Outputs, each a packed word of [`crate::form::PACKED_SUMS`] sums: the last axis stands without its lower
    /// [`crate::form::PACKED_BITS`] bits, and the offsets of the sums are taken off the words.
    PackedOutputs,
    /// Words of shares.
    Shares,
    /// Of the row that the request names, the weight at its label and zeros at the others.
    Classes,
    /// Of the row that the request names, the slot.
    Slot,
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

impl Relation {
    /// Every form: operands of the products, then the linear side.
    pub fn forms(&self) -> impl Iterator<Item = &Form> {
        let operands = self.products.iter().flat_map(|product| [Some(&product.left), product.right.as_ref()]);
        operands.flatten().chain([&self.form])
    }
}

/// Most relations.
pub const MAX_RELATIONS: usize = 64;
/// Most claims that the reduction combines: forms and operands of the relations, and two on leaves.
pub const MAX_CLAIMS: usize = 192;
/// Most rounds of the relation sumcheck: bits of a product's variables.
pub const MAX_RELATION_ROUNDS: u32 = 28;
/// Most coordinates of the outer points.
pub const MAX_OUTER_BITS: u32 = 96;
