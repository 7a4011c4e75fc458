//! The claim of mean pooling on integers: the form's weights, cell by cell, against the published words. Channels that are
//! no power of two of blocks among them, so that virtual blocks would count if they could.

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::determined::determined;
use lorica_verifier::protocol::field::public_value;
use lorica_verifier::protocol::multilinear::{AddressPoint, integer};
use lorica_verifier::protocol::statement::Spoken;
use lorica_verifier::protocol::statement::packed_words;
use lorica_verifier::protocol::weight::{Points, RequestBits, Weights};

const BLOCK: usize = 128;

fn bits(index: usize, count: u32) -> Vec<Fr> {
    (0..count).rev().map(|i| Fr::from((index as u64 >> i) & 1)).collect()
}

struct Case {
    layout: Layout,
    hidden: usize,
    lengths: Vec<usize>,
    /// Cells of the last residual slot, by request, token and channel.
    cells: Vec<Vec<Vec<i64>>>,
}

impl Case {
    fn new(hidden: usize, heads: usize, lengths: &[usize]) -> Self {
        let architecture = Architecture {
            block: 128,
            max_tokens: 128,
            hidden,
            layers: 1,
            heads,
            intermediate: 128,
            vocab: 50,
            activation: Activation::Relu,
            r_max: 4,
            score_bits: 8,
            activation_bits: 8,
            tanh_bits: 8,
        };
        let shape = Shape { requests: lengths.len(), tokens: 16, log_tile: 14, output: OutputKind::Embed, records: 0 };
        let layout = architecture.layout(&shape).unwrap();
        let mut seed = 9u64;
        let mut cell = |extreme: bool| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if extreme { -(1 << 15) } else { (seed >> 48) as i64 - (1 << 15) }
        };
        let row = |m: usize, cell: &mut dyn FnMut(bool) -> i64| (0..hidden).map(|c| cell(m == 0 && c < 9)).collect();
        let cells = (0..lengths.len()).map(|m| (0..16).map(|_| row(m, &mut cell)).collect()).collect();
        Self { layout, hidden, lengths: lengths.to_vec(), cells }
    }

    fn sums(&self, request: usize) -> Vec<i64> {
        let real = &self.cells[request][..self.lengths[request]];
        (0..self.hidden).map(|c| real.iter().map(|row| row[c]).sum()).collect()
    }

    /// The value of the form on the cells, plus that of the words: zero if the claim holds.
    fn defect(&self, words: &[Vec<Fr>], seed: u64) -> Fr {
        let layout = &self.layout;
        let pooling = layout.relations().iter().find(|relation| relation.name == "mean pooling").unwrap();
        let mut last = Fr::from(seed);
        let mut random = || {
            last = last.square() + Fr::from(7);
            last
        };
        let axes =
            layout.program.outer.iter().map(|&axis| (axis, (0..layout.axis_bits(axis)).map(|_| random()).collect()));
        let points = Points::new(layout, axes.collect());
        let requests = self.lengths.iter().map(|length| RequestBits {
            last: bits(length - 1, 4),
            ids: Vec::new(),
            label: Vec::new(),
            attributes: Fr::ZERO,
            row: Vec::new(),
        });
        let weights = Weights { layout, scales: Default::default(), requests: requests.collect(), last: vec![] };
        let a = &mut Native;
        let blocks = self.hidden / BLOCK;
        let mut value = Fr::ZERO;
        for block in 0..blocks {
            for (m, rows) in self.cells.iter().enumerate() {
                for (t, row) in rows.iter().enumerate() {
                    for (c, cell) in row[block * BLOCK..(block + 1) * BLOCK].iter().enumerate() {
                        // Slot (the last of two), block, request, token, channel.
                        let at = ((((blocks + block) * self.cells.len() + m) * 16 + t) * BLOCK) + c;
                        let at = layout.address(columns::RESIDUAL, 0, at).unwrap() as usize;
                        let address = bits(at, layout.address_bits()).into_iter().rev().collect();
                        let weight = weights.form(a, &pooling.form, &points, &mut AddressPoint::new(address)).unwrap();
                        value += weight * integer(*cell);
                    }
                }
            }
        }
        let (inputs, _) = determined(layout);
        let mut inputs = inputs.map(|_| Fr::ZERO);
        for (request, words) in inputs.requests.iter_mut().zip(words) {
            request.outputs.clone_from(words);
        }
        let spoken: Vec<_> = inputs.requests.iter().map(Spoken::of_request).collect();
        value + public_value(a, pooling.public.as_ref().unwrap(), &spoken, &points).unwrap()
    }
}

#[test]
fn words_are_those_of_the_cells() {
    for (hidden, heads, lengths) in [(128, 2, &[16, 5][..]), (384, 6, &[2]), (384, 12, &[9, 16])] {
        let case = Case::new(hidden, heads, lengths);
        let words: Vec<Vec<Fr>> = (0..lengths.len()).map(|m| packed_words(&case.sums(m)).unwrap()).collect();
        assert_eq!(case.defect(&words, 3), Fr::ZERO, "{hidden} channels");
        // Any two words exchanged, one changed, and two sums of a word exchanged.
        for (left, right) in [(0, 1), (0, hidden / 16), (hidden / 8 - 1, 0)] {
            let mut other = words.clone();
            other[0].swap(left, right);
            assert_ne!(case.defect(&other, 3), Fr::ZERO, "{hidden} channels, words {left} and {right}");
        }
        let mut other = words.clone();
        other[lengths.len() - 1][hidden / 8 - 1] += Fr::ONE;
        assert_ne!(case.defect(&other, 3), Fr::ZERO, "{hidden} channels");
        let mut sums = case.sums(0);
        let (low, high) = (hidden - 8, hidden - 1);
        assert_ne!(sums[low], sums[high]);
        sums.swap(low, high);
        let mut other = words;
        other[0] = packed_words(&sums).unwrap();
        assert_ne!(case.defect(&other, 3), Fr::ZERO, "{hidden} channels, sums {low} and {high}");
    }
}
