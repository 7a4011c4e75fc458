//! Materialising a form over the variables of a product: the prover's side of [`lorica_circuits::form`].

use rayon::prelude::*;

use lorica_cells::{Cell, typed};
use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::ColumnSpec;
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Coefficient, Form, FormTerm, LowWeight};
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::Shape;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::multilinear::{eq_table, integer, packed_table, power_of_two};
use lorica_verifier::protocol::weight::Points;

use crate::cells::Cells;
use crate::row_sums::multiples;
use crate::wide::{Limbs, Wide};

/// Ids and lengths of a batch as plain numbers, one entry per request of the shape.
#[derive(Clone, Debug)]
pub struct Text {
    /// Real tokens.
    pub length: usize,
    /// T ids; padding repeats the first.
    pub ids: Vec<u32>,
    /// The label, of a request that attributes.
    pub attributed: Option<usize>,
    /// The row of the index that the request names, in a program that reads rows.
    pub row: Option<usize>,
}

impl Text {
    /// The position of row t.
    #[must_use]
    pub fn position(&self, t: usize) -> usize {
        if t < self.length { t } else { 0 }
    }
}

/// Whether a low axis is one of rows that are gathered.
pub(crate) fn is_gather(low: &LowWeight) -> bool {
    matches!(low, LowWeight::WordOf | LowWeight::PositionOf | LowWeight::LabelOf | LowWeight::RowOf)
}

/// How a term gathers rows, if it does.
pub(crate) fn gathers(term: &FormTerm) -> Option<LowWeight> {
    term.lows.iter().find(|low| is_gather(low)).copied()
}

/// What forms are read from.
#[derive(Debug)]
pub struct Reader<'r> {
    /// Address space.
    pub layout: &'r Layout,
    /// Committed integers.
    pub cells: &'r Cells,
    /// Base scales.
    pub scales: Vec<Fr>,
    /// Texts.
    pub texts: Vec<Text>,
    /// Real indices of the axis that the statement counts; zero if it counts none.
    pub count: usize,
}

/// Index bits of a product's variables.
struct Variables {
    shifts: Vec<(Axis, usize, usize)>,
    total: usize,
}

impl Variables {
    fn new(layout: &Layout, axes: &[Axis]) -> Self {
        let total: usize = axes.iter().map(|&a| layout.axis_bits(a) as usize).sum();
        let mut rest = total;
        let shifts = axes
            .iter()
            .map(|&axis| {
                let bits = layout.axis_bits(axis) as usize;
                rest -= bits;
                (axis, rest, bits)
            })
            .collect();
        Self { shifts, total }
    }
    fn shift(&self, axis: Axis) -> Option<usize> {
        self.shifts.iter().find(|(a, _, _)| *a == axis).map(|&(_, shift, _)| shift)
    }
    fn mask(&self, axis: Axis) -> usize {
        self.shifts.iter().find(|(a, _, _)| *a == axis).map_or(0, |&(_, shift, bits)| ((1 << bits) - 1) << shift)
    }
}

/// One option of a digit axis: digit, contribution to the output index, weight.
type Choice = (usize, usize, Fr);

/// A group of low bits: either free in the output or weighted.
enum Piece {
    Bound { shift: usize, bits: usize },
    Weighted(Vec<Fr>),
}

impl Piece {
    fn bits(&self) -> usize {
        match self {
            Self::Bound { bits, .. } => *bits,
            Self::Weighted(weights) => weights.len().trailing_zeros() as usize,
        }
    }
}

impl Reader<'_> {
    pub(crate) fn coefficient(&self, c: Coefficient) -> Result<Fr, CircuitError> {
        match c {
            Coefficient::Integer(value) => Ok(integer(value)),
            Coefficient::Power(bits) => Ok(power_of_two(bits)),
            Coefficient::Scale(scale) => self
                .scales
                .get(scale.0)
                .copied()
                .ok_or_else(|| CircuitError::Compile { what: format!("no scale {scale:?}") }),
        }
    }

    /// The values of a form on the hypercube of `variables` (first axis most significant), other axes at the outer
    /// points.
    ///
    /// # Errors
    /// If the form does not fit the layout.
    pub fn materialise(
        &self,
        form: &Form,
        variables: &[Axis],
        outer: &Points<'_, Fr>,
    ) -> Result<Vec<Fr>, CircuitError> {
        let variables = Variables::new(self.layout, variables);
        let mut out = vec![Fr::ZERO; 1 << variables.total];
        for term in &form.terms {
            self.term(term, &variables, outer, &mut out)?;
        }
        Ok(out)
    }

    /// The value of a form at the outer points.
    ///
    /// # Errors
    /// As [`Self::materialise`].
    pub fn evaluate(&self, form: &Form, outer: &Points<'_, Fr>) -> Result<Fr, CircuitError> {
        Ok(self.materialise(form, &[], outer)?[0])
    }

    fn choices(
        &self,
        axis: Option<Axis>,
        entries: impl Iterator<Item = (usize, usize, Coefficient)>,
        variables: &Variables,
        outer: &Points<'_, Fr>,
    ) -> Result<Vec<Choice>, CircuitError> {
        let bound = axis.and_then(|a| variables.shift(a));
        let table = match (axis, bound) {
            (Some(axis), None) => Some(eq_table(&mut Native, &outer.get(axis)?)),
            _ => None,
        };
        entries
            .map(|(point, digit, coefficient)| {
                let mut weight = self.coefficient(coefficient)?;
                if let Some(table) = &table {
                    weight *= table[point];
                }
                Ok((digit, bound.map_or(0, |shift| point << shift), weight))
            })
            .collect()
    }

    fn term(
        &self,
        term: &FormTerm,
        variables: &Variables,
        outer: &Points<'_, Fr>,
        out: &mut [Fr],
    ) -> Result<(), CircuitError> {
        let placement = self.layout.placement(term.column)?;
        let spec = &placement.spec;
        let mut present = 0usize;
        // Digit axes, then factors, then an adapter's request.
        let mut digit_choices = Vec::new();
        for weight in &term.digits {
            let entries = weight.entries.iter().map(|e| (e.point, e.digit, e.coefficient));
            digit_choices.push(self.choices(weight.axis, entries, variables, outer)?);
            present |= weight.axis.map_or(0, |a| variables.mask(a));
        }
        let mut factor_choices = Vec::new();
        for factor in &term.factors {
            let entries = factor.entries.iter().map(|&(index, c)| (index, 0, c));
            factor_choices.push(self.choices(Some(factor.axis), entries, variables, outer)?);
            present |= variables.mask(factor.axis);
        }
        let copies = self.layout.copies(spec.region);
        let requests = if copies > 1 {
            present |= variables.mask(Axis::REQUEST);
            let entries = (0..copies).map(|m| (m, m, Coefficient::Integer(1)));
            self.choices(Some(Axis::REQUEST), entries, variables, outer)?
        } else {
            vec![(0, 0, Fr::ONE)]
        };

        // Low axes; a gathered table becomes rows of (request, token).
        let gather = gathers(term);
        let mut pieces = Vec::new();
        let mut request_at: Option<(usize, usize)> = None;
        let mut masked_at: Option<(usize, usize, bool)> = None;
        for (weight, &(axis, bits)) in term.lows.iter().zip(&spec.lows) {
            let own: Vec<Piece> = match weight {
                LowWeight::WordOf | LowWeight::PositionOf => {
                    present |= variables.mask(Axis::REQUEST) | variables.mask(Axis::TOKEN);
                    vec![self.piece(Axis::REQUEST, variables, outer)?, self.piece(Axis::TOKEN, variables, outer)?]
                }
                LowWeight::LabelOf | LowWeight::RowOf => {
                    present |= variables.mask(Axis::REQUEST);
                    vec![self.piece(Axis::REQUEST, variables, outer)?]
                }
                LowWeight::Axis(a) => {
                    present |= variables.mask(*a);
                    let parts = self.layout.parts(*a);
                    if variables.shift(*a).is_none() && parts.iter().any(|&part| variables.shift(part).is_some()) {
                        let mut all = Vec::new();
                        for &part in parts {
                            present |= variables.mask(part);
                            all.push(self.piece(part, variables, outer)?);
                        }
                        all
                    } else {
                        vec![self.piece(*a, variables, outer)?]
                    }
                }
                LowWeight::Packed(a) if variables.shift(*a).is_some() => {
                    return Err(CircuitError::Compile {
                        what: format!("{:?}: a packed axis is summed over", term.column),
                    });
                }
                LowWeight::Packed(a) => vec![Piece::Weighted(packed_table(&outer.get(*a)?))],
                LowWeight::Ones | LowWeight::Masked => vec![Piece::Weighted(vec![Fr::ONE; 1 << bits])],
                LowWeight::Unmasked(a) => vec![self.piece(*a, variables, outer)?],
                LowWeight::Beyond(a) if variables.shift(*a).is_some() => {
                    return Err(CircuitError::Compile {
                        what: format!("{:?}: an axis that is counted is summed over", term.column),
                    });
                }
                LowWeight::Beyond(a) => vec![Piece::Weighted(self.beyond(eq_table(&mut Native, &outer.get(*a)?)))],
                LowWeight::First => {
                    let mut one = vec![Fr::ZERO; 1 << bits];
                    one[0] = Fr::ONE;
                    vec![Piece::Weighted(one)]
                }
            };
            if axis == Axis::REQUEST {
                request_at = Some((pieces.len(), bits as usize));
            }
            match weight {
                LowWeight::Masked => masked_at = Some((pieces.len(), bits as usize, true)),
                LowWeight::Unmasked(_) => masked_at = Some((pieces.len(), bits as usize, false)),
                _ => {}
            }
            pieces.extend(own);
        }
        let low_bits: usize = pieces.iter().map(Piece::bits).sum();
        // Where each piece's bits start in the low index.
        let mut starts = vec![0usize; pieces.len()];
        let mut at = low_bits;
        for (start, piece) in starts.iter_mut().zip(&pieces) {
            at -= piece.bits();
            *start = at;
        }
        let mask = match (masked_at, request_at) {
            (Some((piece, bits, real)), Some((request, request_bits))) => {
                Some((starts[piece], bits, real, starts[request], request_bits))
            }
            (Some(_), None) => {
                return Err(CircuitError::Compile { what: format!("{:?}: a mask without requests", term.column) });
            }
            _ => None,
        };
        // Per low index: compact output index and weight. Compact indices are numbered in the order of the low index.
        let bound_bits: usize = pieces.iter().map(|p| if let Piece::Bound { bits, .. } = p { *bits } else { 0 }).sum();
        let size = 1usize << low_bits;
        let weighted = mask.is_some() || pieces.iter().any(|p| matches!(p, Piece::Weighted(w) if w.len() > 1));
        let single: Fr = pieces
            .iter()
            .map(|p| if let Piece::Weighted(w) = p { if w.len() == 1 { w[0] } else { Fr::ONE } } else { Fr::ONE })
            .product();
        let mut compact = vec![0u32; size];
        let mut weights = if weighted { vec![Limbs::default(); size] } else { Vec::new() };
        let mut global = vec![0usize; 1 << bound_bits];
        let weight_of = |low: usize| {
            let mut weight = single;
            for (piece, start) in pieces.iter().zip(&starts) {
                if let Piece::Weighted(w) = piece
                    && w.len() > 1
                {
                    weight *= w[(low >> start) & (w.len() - 1)];
                }
            }
            if let Some((start, bits, real, request_start, request_bits)) = mask {
                let index = (low >> start) & ((1 << bits) - 1);
                let request = (low >> request_start) & ((1 << request_bits) - 1);
                if (index < self.texts[request].length) != real {
                    weight = Fr::ZERO;
                }
            }
            weight
        };
        for (low, slot) in compact.iter_mut().enumerate() {
            let (mut own, mut target) = (0usize, 0usize);
            for (piece, start) in pieces.iter().zip(&starts) {
                if let Piece::Bound { shift, bits } = piece {
                    let index = (low >> start) & ((1 << bits) - 1);
                    own = (own << bits) | index;
                    target |= index << shift;
                }
            }
            *slot = own as u32;
            global[own] = target;
        }
        if weighted {
            weights.par_iter_mut().enumerate().for_each(|(low, slot)| *slot = Limbs::from(&weight_of(low)));
        }
        let scalar = if weighted { Fr::ONE } else { single };

        // All blocks with their coefficients.
        let coefficient = self.coefficient(term.coefficient)? * scalar;
        let mut blocks: Vec<(usize, usize, usize, Fr)> = Vec::new();
        for &(request, request_out, request_weight) in &requests {
            let mut partial = vec![(0usize, request_out, coefficient * request_weight)];
            for (choices, &(_, count)) in digit_choices.iter().zip(&spec.digits) {
                partial = partial
                    .iter()
                    .flat_map(|&(index, target, weight)| {
                        choices.iter().map(move |&(digit, o, w)| (index * count + digit, target | o, weight * w))
                    })
                    .collect();
            }
            for choices in &factor_choices {
                partial = partial
                    .iter()
                    .flat_map(|&(index, target, weight)| {
                        choices.iter().map(move |&(_, o, w)| (index, target | o, weight * w))
                    })
                    .collect();
            }
            blocks.extend(
                partial
                    .into_iter()
                    .filter(|(_, _, w)| !bool::from(w.is_zero()))
                    .map(|(index, target, weight)| (request, index, target, weight)),
            );
        }
        let gathered = match gather {
            Some(weight) => Some(self.gather(term, weight)?),
            None => None,
        };
        let results: Vec<(usize, Vec<Fr>)> = blocks
            .par_iter()
            .map(|&(request, index, target, coefficient)| {
                let column = match &gathered {
                    Some(rows) => rows.as_slice(),
                    None => self.cells.column(self.layout, term.column, request)?,
                };
                if column.is_empty() {
                    return Ok((target, Vec::new()));
                }
                let cells = column.range(index << low_bits..(index + 1) << low_bits);
                let values = if weighted {
                    let mut sums = vec![Wide::default(); 1 << bound_bits];
                    typed!(cells, |cells| add_weighted(&mut sums, cells, &weights, &compact));
                    sums.iter().map(|sum| sum.reduce() * coefficient).collect()
                } else {
                    // All low bits are free, and compact indices are numbered in their order.
                    multiples(cells, &coefficient)
                };
                Ok((target, values))
            })
            .collect::<Result<_, CircuitError>>()?;

        // Axes that the term lacks: the value is constant along them.
        let missing = (out.len() - 1) & !present;
        let mut buffer = Vec::new();
        let target: &mut [Fr] = if missing == 0 {
            out
        } else {
            buffer.resize(out.len(), Fr::ZERO);
            &mut buffer
        };
        for (offset, values) in &results {
            for (value, index) in values.iter().zip(&global) {
                target[offset | index] += value;
            }
        }
        if missing != 0 {
            for (index, value) in out.iter_mut().enumerate() {
                *value += buffer[index & present];
            }
        }
        Ok(())
    }

    fn piece(&self, axis: Axis, variables: &Variables, outer: &Points<'_, Fr>) -> Result<Piece, CircuitError> {
        match variables.shift(axis) {
            Some(shift) => Ok(Piece::Bound { shift, bits: self.layout.axis_bits(axis) as usize }),
            None => Ok(Piece::Weighted(eq_table(&mut Native, &outer.get(axis)?))),
        }
    }

    /// Weights of the indices from the count on.
    pub(crate) fn beyond(&self, mut table: Vec<Fr>) -> Vec<Fr> {
        table.iter_mut().take(self.count).for_each(|weight| *weight = Fr::ZERO);
        table
    }

    /// Row of a gathered column for (request, token), or request; none for a request that does not attribute.
    pub(crate) fn gathered_row(&self, weight: LowWeight, m: usize, t: usize) -> Option<usize> {
        match weight {
            LowWeight::WordOf => Some(self.texts[m].ids[t] as usize),
            LowWeight::LabelOf => self.texts[m].attributed,
            LowWeight::RowOf => self.texts[m].row,
            _ => Some(self.texts[m].position(t)),
        }
    }

    /// The rows of a term's column that the requests use, as a column in whose low axes (request, token), or the request alone,
    /// stand for the gathered axis.
    fn gather(&self, term: &FormTerm, weight: LowWeight) -> Result<lorica_cells::Cells, CircuitError> {
        let spec = &self.layout.placement(term.column)?.spec;
        let cells = self.cells.column(self.layout, term.column, 0)?;
        let shape = &self.layout.shape;
        // The rows' own cells are those of the axes behind the gathered one; those before it repeat.
        let (above, row_bits) = gathered_bits(term, spec);
        let (row, stride) = (1usize << row_bits, spec.block_bits() - above);
        let tokens = tokens_of(weight, shape);
        let mut starts = Vec::with_capacity((spec.blocks() << above) * shape.requests * tokens);
        for block in 0..spec.blocks() << above {
            let start = block << stride;
            for m in 0..shape.requests {
                for t in 0..tokens {
                    starts.push(self.gathered_row(weight, m, t).map(|at| start + at * row));
                }
            }
        }
        Ok(typed!(cells, |cells| Cell::cells(take_rows(cells, &starts, row))))
    }
}

/// Bits of the low axes before the gathered one, and of those behind it.
pub(crate) fn gathered_bits(term: &FormTerm, spec: &ColumnSpec) -> (u32, u32) {
    let at = term.lows.iter().position(is_gather).unwrap_or(spec.lows.len());
    let bits = |lows: &[(Axis, u32)]| lows.iter().map(|&(_, bits)| bits).sum();
    (bits(&spec.lows[..at]), bits(spec.lows.get(at + 1..).unwrap_or(&[])))
}

/// Rows that a request gathers: one for each token, or a single one.
pub(crate) fn tokens_of(weight: LowWeight, shape: &Shape) -> usize {
    if matches!(weight, LowWeight::LabelOf | LowWeight::RowOf) { 1 } else { shape.tokens }
}

/// Adds each cell times its weight to its sum.
fn add_weighted<T: Cell>(sums: &mut [Wide], cells: &[T], weights: &[Limbs], own: &[u32]) {
    for ((cell, weight), own) in cells.iter().zip(weights).zip(own) {
        let cell: i64 = (*cell).into();
        if cell != 0 {
            sums[*own as usize].add_product(cell, weight);
        }
    }
}

/// Rows of cells, one after the other; zeros where there are none.
fn take_rows<T: Cell>(cells: &[T], starts: &[Option<usize>], length: usize) -> Vec<T> {
    let mut rows = Vec::with_capacity(starts.len() * length);
    for start in starts {
        match start.and_then(|start| cells.get(start..start + length)) {
            Some(own) => rows.extend_from_slice(own),
            None => rows.extend(std::iter::repeat_n(T::default(), length)),
        }
    }
    rows
}
