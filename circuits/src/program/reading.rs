//! What a relation may read, so that it proves what it says.
//!
//! # Soundness
//! A relation holds at every index if both of its sides are multilinear in the outer axes (soundness.md, relations). A product
//! is, if no outer axis is in both of its operands, and if a variable that its form reads too is tied to the outer point by
//! the public factor. The verifier compares points coordinate by coordinate, so two axes that meet must have equal bits:
//! `eq` of a longer and a shorter point would be an equality of their common part alone.

use std::collections::BTreeSet;

use super::Program;
use crate::axis::Axis;
use crate::column::ColumnSpec;
use crate::error::CircuitError;
use crate::form::{Form, FormTerm, LowWeight, PACKED_BITS};
use crate::region::Copies;
use crate::relation::{Product, PublicFactor, Relation};
use crate::shape::LABEL_BITS;

impl Program {
    /// Checks every relation.
    pub(crate) fn expect_readable(&self) -> Result<(), CircuitError> {
        for relation in &self.relations {
            for term in relation.forms().flat_map(|form| &form.terms) {
                self.expect_term(relation.name, term)?;
            }
            for product in &relation.products {
                for axis in &product.variables {
                    self.axis(*axis)?;
                }
                for factor in &product.public {
                    if let PublicFactor::Length(axis) = factor {
                        self.expect_bits(relation.name, *axis, self.axis(Axis::TOKEN)?.bits)?;
                    }
                }
                if let Some(fault) = self.faults(relation, product)?.first() {
                    return Err(CircuitError::Compile { what: fault.clone() });
                }
            }
            for axis in relation.public.iter().flat_map(|public| &public.axes) {
                self.axis(*axis)?;
            }
        }
        Ok(())
    }

    fn expect_bits(&self, relation: &str, axis: Axis, bits: u32) -> Result<(), CircuitError> {
        let got = self.axis(axis)?.bits;
        let what = || format!("{relation}: axis {axis:?} of {got} bits is read with {bits}");
        if got == bits { Ok(()) } else { Err(CircuitError::Compile { what: what() }) }
    }

    /// Checks that a term has a weight for each axis of its column, with as many bits.
    fn expect_term(&self, relation: &str, term: &FormTerm) -> Result<(), CircuitError> {
        let spec = self.column(term.column)?;
        let fail = |what: &str| Err(CircuitError::Compile { what: format!("{relation}: {:?} {what}", term.column) });
        if (term.digits.len(), term.lows.len()) != (spec.digits.len(), spec.lows.len()) {
            return fail("has another number of axes than its term");
        }
        for weight in &term.digits {
            if let Some(axis) = weight.axis {
                self.axis(axis)?;
            }
        }
        for factor in &term.factors {
            self.axis(factor.axis)?;
        }
        // None in a program without texts.
        let tokens = self.axis(Axis::TOKEN).ok().map(|axis| axis.bits);
        let mut masked = false;
        for (weight, &(_, bits)) in term.lows.iter().zip(&spec.lows) {
            match weight {
                LowWeight::Axis(axis) => self.expect_bits(relation, *axis, bits)?,
                LowWeight::Packed(axis) => {
                    self.expect_bits(relation, *axis, bits)?;
                    if bits < PACKED_BITS {
                        return fail("packs an axis of fewer sums than a word");
                    }
                }
                LowWeight::Masked | LowWeight::Unmasked(_) => {
                    masked = true;
                    if Some(bits) != tokens {
                        return fail("masks an axis that does not count tokens");
                    }
                    if let LowWeight::Unmasked(axis) = weight {
                        self.expect_bits(relation, *axis, bits)?;
                    }
                }
                LowWeight::WordOf if Some(bits) != self.text.map(|text| text.id_bits()) => {
                    return fail("gathers from another vocabulary");
                }
                LowWeight::PositionOf if tokens.is_none_or(|tokens| bits < tokens) => {
                    return fail("gathers from fewer positions than tokens");
                }
                LowWeight::Beyond(axis) => {
                    self.expect_bits(relation, *axis, bits)?;
                    if self.counted != Some(*axis) {
                        return fail("reads beyond a count of another axis");
                    }
                }
                LowWeight::LabelOf if !self.output.labelled || self.output.shares == 0 || bits != LABEL_BITS => {
                    return fail("gathers labels that no request attributes by");
                }
                LowWeight::RowOf if bits == 0 || bits != self.output.row_bits => {
                    return fail("gathers rows that no request names");
                }
                LowWeight::WordOf
                | LowWeight::PositionOf
                | LowWeight::LabelOf
                | LowWeight::RowOf
                | LowWeight::Ones
                | LowWeight::First => {}
            }
        }
        let requests = LowWeight::Axis(Axis::REQUEST);
        let by_request =
            term.lows.iter().zip(&spec.lows).any(|(low, &(axis, _))| axis == Axis::REQUEST && *low == requests);
        if masked && !by_request { fail("has a mask and no requests") } else { Ok(()) }
    }

    /// Axes without parts.
    fn split(&self, axes: impl IntoIterator<Item = Axis>) -> Result<BTreeSet<Axis>, CircuitError> {
        let mut all = BTreeSet::new();
        for axis in axes {
            let parts = &self.axis(axis)?.parts;
            if parts.is_empty() {
                all.insert(axis);
            }
            all.extend(parts);
        }
        Ok(all)
    }

    fn per_request(&self, spec: &ColumnSpec) -> bool {
        self.regions.iter().any(|own| own.region == spec.region && own.copies == Copies::PerRequest)
    }

    /// Axes whose points a form reads.
    fn axes_of(&self, form: &Form) -> Result<BTreeSet<Axis>, CircuitError> {
        let mut axes = Vec::new();
        for term in &form.terms {
            axes.extend(term.digits.iter().filter_map(|digit| digit.axis));
            for low in &term.lows {
                match low {
                    LowWeight::Axis(axis) | LowWeight::Packed(axis) | LowWeight::Beyond(axis) => axes.push(*axis),
                    LowWeight::Unmasked(axis) => axes.extend([*axis, Axis::REQUEST]),
                    LowWeight::Masked | LowWeight::LabelOf | LowWeight::RowOf => axes.push(Axis::REQUEST),
                    LowWeight::WordOf | LowWeight::PositionOf => axes.extend([Axis::REQUEST, Axis::TOKEN]),
                    LowWeight::Ones | LowWeight::First => {}
                }
            }
            axes.extend(term.factors.iter().map(|factor| factor.axis));
            if self.per_request(self.column(term.column)?) {
                axes.push(Axis::REQUEST);
            }
        }
        self.split(axes)
    }

    /// What is wrong with how a product reads its axes, in words.
    ///
    /// # Errors
    /// If an axis or column is missing.
    pub fn faults(&self, relation: &Relation, product: &Product) -> Result<Vec<String>, CircuitError> {
        let left = self.axes_of(&product.left)?;
        let right = match &product.right {
            Some(right) => self.axes_of(right)?,
            None => left.clone(),
        };
        let form = self.axes_of(&relation.form)?;
        let bound = self.split(product.variables.clone())?;
        let mut tied = Vec::new();
        for factor in &product.public {
            match *factor {
                PublicFactor::Equal(axis) => tied.push(axis),
                PublicFactor::Length(_) => tied.push(Axis::REQUEST),
            }
        }
        let tied = self.split(tied)?;
        let counts = !form.is_empty() && relation.public.is_none();
        let mut faults = Vec::new();
        let mut fault = |axis: &Axis, what: &str| faults.push(format!("{}: {axis:?} {what}", relation.name));
        // An outer point in both operands would be a degree of two in it.
        for axis in left.intersection(&right).filter(|axis| !bound.contains(axis)) {
            fault(axis, "is outer in both operands");
        }
        for axis in tied.difference(&bound) {
            fault(axis, "is tied to the outer point, and no variable");
        }
        for axis in &bound {
            let tied = tied.contains(axis);
            if form.contains(axis) && !tied {
                fault(axis, "is summed, and outer in the form");
            }
            if tied && counts && !form.contains(axis) {
                fault(axis, "is tied to the outer point, and not in the form");
            }
            // An operand that is constant along a variable is counted once for each of its values: right only if the other
            // operand is not.
            if !left.contains(axis) && !right.contains(axis) {
                fault(axis, "is a variable of neither operand");
            }
        }
        for axis in left.union(&right).filter(|axis| !bound.contains(axis)) {
            if counts && !form.contains(axis) {
                fault(axis, "is outer in an operand, and not in the form");
            }
        }
        Ok(faults)
    }
}
