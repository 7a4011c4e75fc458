//! The verifier's weights against their definition: every form of every relation, and both claims on leaves, at random points,
//! as sums over all cells of the address space. Groups of a stacked digit, gathers, masks, copies of a region and the `eq`
//! tables that are kept are in no test of corners alone.

use std::collections::BTreeMap;

use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::form::{Coefficient, Form, FormTerm, LowWeight};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::key::index_shape;
use lorica_verifier::protocol::lookup::leaf_terms;
use lorica_verifier::protocol::multilinear::{AddressPoint, integer};
use lorica_verifier::protocol::rows::row_shape;
use lorica_verifier::protocol::weight::{Points, RequestBits, Weights};

/// Xorshift: any scalars will do.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn scalars(&mut self, count: usize) -> Vec<Fr> {
        let mut scalar = || Fr::from(self.bits()) * Fr::from(self.bits()) + Fr::from(self.bits());
        (0..count).map(|_| scalar()).collect()
    }
}

/// `eq` of a point, most significant coordinate first, with every index.
fn table(point: &[Fr]) -> Vec<Fr> {
    point.iter().fold(vec![Fr::ONE], |all, c| all.iter().flat_map(|e| [*e - *e * c, *e * c]).collect())
}

fn bits(value: usize, count: u32) -> Vec<Fr> {
    (0..count).rev().map(|i| Fr::from((value as u64 >> i) & 1)).collect()
}

/// What the weights depend on, as plain numbers.
struct Dense<'l> {
    layout: &'l Layout,
    scales: Vec<Fr>,
    lengths: Vec<usize>,
    ids: Vec<Vec<usize>>,
    /// The label of each request that attributes.
    labels: Vec<Option<usize>>,
    /// The row that each request names.
    rows: Vec<usize>,
    /// What the statement of a program without texts counts.
    count: usize,
    /// `eq` of ρ with every address.
    address: Vec<Fr>,
}

type Point = BTreeMap<Axis, Vec<Fr>>;

impl Dense<'_> {
    fn coefficient(&self, coefficient: Coefficient) -> Fr {
        match coefficient {
            Coefficient::Integer(value) => integer(value),
            Coefficient::Power(bits) => Fr::from(2).pow([bits.into()]),
            Coefficient::Scale(scale) => self.scales[scale.0],
        }
    }

    fn table(&self, point: &Point, axis: Axis) -> Vec<Fr> {
        let own = |axis: &Axis| point[axis].clone();
        match point.get(&axis) {
            Some(own) => table(own),
            None => table(&self.layout.parts(axis).iter().flat_map(own).collect::<Vec<_>>()),
        }
    }

    /// Id or position of a row; padding repeats row 0.
    fn row(&self, weight: LowWeight, m: usize, t: usize) -> usize {
        let t = if t < self.lengths[m] { t } else { 0 };
        if weight == LowWeight::WordOf { self.ids[m][t] } else { t }
    }

    /// The weights of a low axis, but for a mask.
    fn low(&self, weight: LowWeight, point: &Point, size: usize) -> Vec<Fr> {
        match weight {
            LowWeight::Axis(axis) | LowWeight::Unmasked(axis) => self.table(point, axis),
            LowWeight::Ones | LowWeight::Masked => vec![Fr::ONE; size],
            LowWeight::First => (0..size).map(|i| Fr::from(u64::from(i == 0))).collect(),
            LowWeight::Packed(axis) => {
                // A word is the sum over its eight indices.
                let words: Vec<Fr> = self.table(point, axis).chunks(8).map(|word| word.iter().sum()).collect();
                (0..size).map(|i| words[i / 8] * Fr::from(2).pow([24 * (i as u64 % 8)])).collect()
            }
            LowWeight::Beyond(axis) => {
                let zeros = vec![Fr::ZERO; self.count];
                zeros.into_iter().chain(self.table(point, axis).into_iter().skip(self.count)).collect()
            }
            LowWeight::LabelOf => {
                let mut weights = vec![Fr::ZERO; size];
                for (label, request) in self.labels.iter().zip(self.table(point, Axis::REQUEST)) {
                    label.iter().for_each(|label| weights[*label] += request);
                }
                weights
            }
            LowWeight::RowOf => {
                let mut weights = vec![Fr::ZERO; size];
                for (row, request) in self.rows.iter().zip(self.table(point, Axis::REQUEST)) {
                    weights[*row] += request;
                }
                weights
            }
            LowWeight::WordOf | LowWeight::PositionOf => {
                let (requests, tokens) = (self.table(point, Axis::REQUEST), self.table(point, Axis::TOKEN));
                let mut weights = vec![Fr::ZERO; size];
                for (m, request) in requests.iter().enumerate() {
                    for (t, token) in tokens.iter().enumerate() {
                        weights[self.row(weight, m, t)] += *request * token;
                    }
                }
                weights
            }
        }
    }

    fn term(&self, term: &FormTerm, point: &Point) -> Fr {
        let spec = &self.layout.placement(term.column).unwrap().spec;
        let mut blocks = vec![Fr::ONE];
        for (weight, &(_, count)) in term.digits.iter().zip(&spec.digits) {
            let own = weight.axis.map(|axis| self.table(point, axis));
            let mut digit = vec![Fr::ZERO; count];
            for entry in &weight.entries {
                let eq = own.as_ref().map_or(Fr::ONE, |table| table[entry.point]);
                digit[entry.digit] += self.coefficient(entry.coefficient) * eq;
            }
            blocks = blocks.iter().flat_map(|b| digit.iter().map(move |d| *b * d)).collect();
        }
        let sizes: Vec<usize> = spec.lows.iter().map(|&(_, bits)| 1 << bits).collect();
        let lows: Vec<Vec<Fr>> = term.lows.iter().zip(&sizes).map(|(low, size)| self.low(*low, point, *size)).collect();
        let cells: usize = sizes.iter().product();
        let place = |axis: usize, cell: usize| cell / sizes[axis + 1..].iter().product::<usize>() % sizes[axis];
        let mask = term.lows.iter().position(|low| matches!(low, LowWeight::Masked | LowWeight::Unmasked(_)));
        let weight = |cell: usize| -> Fr {
            if let Some(index) = mask {
                let request = spec.lows.iter().position(|&(axis, _)| axis == Axis::REQUEST).unwrap();
                let real = place(index, cell) < self.lengths[place(request, cell)];
                if real != (term.lows[index] == LowWeight::Masked) {
                    return Fr::ZERO;
                }
            }
            lows.iter().enumerate().map(|(axis, low)| low[place(axis, cell)]).product()
        };
        let low: Vec<Fr> = (0..cells).map(weight).collect();
        let requests = match self.layout.copies(spec.region) {
            1 => vec![Fr::ONE],
            _ => self.table(point, Axis::REQUEST),
        };
        let mut total = Fr::ZERO;
        for (m, request) in requests.iter().enumerate() {
            for (block, weight) in blocks.iter().enumerate().filter(|(_, weight)| **weight != Fr::ZERO) {
                let start = self.layout.address(term.column, m, block * cells).unwrap() as usize;
                let own: Fr = low.iter().zip(&self.address[start..]).map(|(w, e)| *w * e).sum();
                total += *request * weight * own;
            }
        }
        for factor in &term.factors {
            let own = self.table(point, factor.axis);
            total *= factor.entries.iter().map(|(index, c)| own[*index] * self.coefficient(*c)).sum::<Fr>();
        }
        total * self.coefficient(term.coefficient)
    }

    fn form(&self, form: &Form, point: &Point) -> Fr {
        form.terms.iter().map(|term| self.term(term, point)).sum()
    }
}

fn layouts() -> Vec<Layout> {
    let mut layouts = Vec::new();
    for (block, hidden, heads, layers, intermediate, max_tokens, requests, tokens, r_max) in [
        (64, 64, 2, 3, 192, 128, 2, 16, 2),
        (128, 128, 4, 5, 128, 256, 2, 16, 1),
        (64, 192, 3, 2, 64, 256, 1, 32, 4),
        (64, 64, 1, 7, 64, 128, 4, 16, 2),
    ] {
        let architecture = Architecture {
            block,
            max_tokens,
            hidden,
            layers,
            heads,
            intermediate,
            vocab: 5,
            activation: Activation::Relu,
            r_max,
            score_bits: 8,
            activation_bits: 8,
            tanh_bits: 8,
        };
        for (output, records) in [(OutputKind::Embed, 0), (OutputKind::Classify, 0), (OutputKind::Classify, 1 << 11)] {
            layouts.push(architecture.layout(&Shape { requests, tokens, log_tile: 14, output, records }).unwrap());
        }
        layouts.push(architecture.index_layout(&index_shape(14, 1 << 11)).unwrap());
        layouts.push(architecture.row_layout(&row_shape(requests, tokens, 14, 1 << 11).unwrap()).unwrap());
    }
    layouts
}

#[test]
fn weights_are_those_of_all_cells() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for layout in &layouts() {
        let texts = layout.program.text.is_some();
        let (requests, tokens) = if texts { (layout.shape.requests, layout.shape.tokens) } else { (0, 0) };
        let rho = random.scalars(layout.address_bits() as usize);
        let high_first = |point: &[Fr]| table(&point.iter().rev().copied().collect::<Vec<_>>());
        let dense = Dense {
            layout,
            scales: random.scalars(layout.program.scales),
            lengths: (0..requests).map(|i| 2 + (i * 7 + 3) % (tokens - 1)).collect(),
            ids: (0..requests).map(|_| (0..tokens).map(|_| (random.bits() % 5) as usize).collect()).collect(),
            labels: (0..requests).map(|i| (i != 1).then_some((5 * i + 11) % 16)).collect(),
            rows: (0..requests).map(|_| (random.bits() % (1 << 11)) as usize).collect(),
            count: 1 + (random.bits() % (1 << 11)) as usize,
            address: high_first(&rho),
        };
        let id_bits = layout.program.text.map_or(0, |text| text.id_bits());
        let of_request = |m: usize| RequestBits {
            last: bits(dense.lengths[m] - 1, layout.shape.token_bits()),
            ids: (0..tokens).map(|t| bits(dense.row(LowWeight::WordOf, m, t), id_bits)).collect(),
            label: bits(dense.labels[m].unwrap_or(3), 4),
            attributes: Fr::from(u64::from(dense.labels[m].is_some())),
            row: bits(dense.rows[m], layout.program.output.row_bits),
        };
        let last = layout.program.counted.map_or(vec![], |axis| bits(dense.count - 1, layout.axis_bits(axis)));
        let requests = (0..requests).map(of_request).collect();
        let weights = Weights { layout, scales: dense.scales.clone(), requests, last };
        let mut address = AddressPoint::new(rho);
        let axes: Vec<(Axis, Vec<Fr>)> =
            layout.program.outer.iter().map(|&axis| (axis, random.scalars(layout.axis_bits(axis) as usize))).collect();
        let point: Point = axes.iter().cloned().collect();
        let outer = Points::new(layout, axes);
        // Every table is kept before anything is bound.
        for spec in &layout.program.axes {
            let _ = outer.table(&mut Native, spec.axis);
        }
        for relation in layout.relations() {
            let mut check = |form: &Form, own: &Points<'_, Fr>, point: &Point| {
                let weight = weights.form(&mut Native, form, own, &mut address).unwrap();
                assert_eq!(weight, dense.form(form, point), "{}, {:?}", relation.name, layout.shape);
            };
            check(&relation.form, &outer, &point);
            for product in &relation.products {
                let mut bound = point.clone();
                let mut challenges = Vec::new();
                for &axis in &product.variables {
                    let own = random.scalars(layout.axis_bits(axis) as usize);
                    challenges.extend_from_slice(&own);
                    bound.insert(axis, own);
                }
                let own = outer.bind(&product.variables, &challenges);
                for form in [Some(&product.left), product.right.as_ref()].into_iter().flatten() {
                    check(form, &own, &bound);
                }
            }
        }
        // Values have their keys' leaves; those of a program of texts are addresses.
        let z = random.scalars(layout.leaf_bits() as usize);
        let leaves = high_first(&z);
        let mut z = AddressPoint::new(z);
        let start = layout.region_start(Region::WITNESS, 0);
        let leaf_of = |column, cell: usize| {
            let placement = layout.placement(column).unwrap();
            let bits = placement.spec.block_bits();
            let leaf = placement.leaf_start(cell >> bits) as usize + cell % (1 << bits);
            let address = layout.address(column, 0, cell).unwrap() as usize;
            assert!(!texts || leaf == address - start as usize);
            leaf
        };
        let (multiplicities, values) = leaf_terms(&mut Native, layout, &random.scalars(1)[0]);
        for terms in [multiplicities, values] {
            let mut expected = Fr::ZERO;
            for term in &terms {
                let length = layout.placement(term.column).unwrap().spec.len();
                for cell in 0..length {
                    let leaf = leaf_of(term.at, term.part * length + cell);
                    let own = layout.address(term.column, 0, cell).unwrap() as usize;
                    expected += term.coefficient * leaves[leaf] * dense.address[own];
                }
            }
            assert_eq!(weights.leaves(&mut Native, &terms, &mut z, &mut address), Ok(expected), "{:?}", layout.shape);
        }
    }
}
