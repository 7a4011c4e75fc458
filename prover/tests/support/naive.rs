//! A second prover that shares no algorithm with the first: dense vectors of field elements over the whole address
//! space, every functional written out cell by cell. Slow, but it can commit to cells that are no small integers and
//! depart from the protocol wherever a forger would.

#![allow(dead_code, reason = "each test file uses its own part")]

use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::{Column, GroupLeaf, Lookup, Table, TableSpec};
use lorica_circuits::form::{Coefficient, Form, LowWeight};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::relation::{Product, PublicFactor};
use lorica_prover::cells::Placed;
use lorica_prover::commit::{Tile, commit_tiles};
use lorica_prover::mercury::{evaluate_multilinear, open};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{
    Messages, has_form_value, message_shape, outer_points, powers, proof_transcript, public_value, variables,
};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::lookup::{LayerMessages, LeafChallenges, LookupMessages, leaf_challenges, leaf_terms};
use lorica_verifier::protocol::mercury::MercuryProof;
use lorica_verifier::protocol::multilinear::{eq, eq_table, integer};
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::{Spoken, absorb};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::verify::{Keys, VerifyError, inputs, verify_with};
use lorica_verifier::protocol::weight::{Points, RequestBits, Weights};

use super::hooked::{Hook, Hooked};
use super::{Run, SRS, World};

/// Where a forger departs from the protocol; what comes later follows from the edited messages.
pub trait Forger {
    /// Scales, in the order in which they are hashed: those of a base whose owner computes with others than a file can say.
    fn scales(&mut self, _scales: &mut [Fr]) {}
    /// Leaves of the fraction tree: numerators and denominators.
    fn leaves(&mut self, _leaf: &LeafChallenges<Fr>, _p: &mut [Fr], _q: &mut [Fr]) {}
    /// Values of the relations' forms.
    fn forms(&mut self, _forms: &mut [Fr]) {}
    /// The power of 1/2 of a product that skips some rounds of the relation sumcheck.
    fn skipped(&mut self, skipped: usize) -> usize {
        skipped
    }
    /// A round of the relation sumcheck, before it is absorbed: the round, and the sum that is claimed for it.
    fn relation_round(&mut self, _round: usize, _claim: Fr, _message: &mut [Fr; 3]) {}
    /// Values of the products' operands.
    fn operands(&mut self, _operands: &mut [Fr]) {}
    /// The functional of a claim: addresses and weights.
    fn functional(&mut self, _claim: usize, _weights: &mut Vec<(usize, Fr)>) {}
}

/// Nothing is forged.
pub struct Faithful;
impl Forger for Faithful {}

/// `eq(point, ·)` of a point whose first coordinate is the lowest bit.
fn eq_low_first(point: &[Fr]) -> Vec<Fr> {
    let point: Vec<Fr> = point.iter().rev().copied().collect();
    eq_table(&mut Native, &point)
}

fn nonzero(values: impl IntoIterator<Item = (usize, Fr)>) -> Vec<(usize, Fr)> {
    values.into_iter().filter(|(_, v)| !bool::from(v.is_zero())).collect()
}

struct Functionals<'l> {
    layout: &'l Layout,
    scales: Vec<Fr>,
    /// Ids, padded, length, and label if it attributes, or row if it names one, of each request of the shape.
    texts: Vec<(Vec<usize>, usize, Option<usize>)>,
    /// What the statement counts.
    count: usize,
}

impl Functionals<'_> {
    fn coefficient(&self, c: Coefficient) -> Fr {
        match c {
            Coefficient::Integer(value) => integer(value),
            Coefficient::Power(bits) => Fr::from(2).pow([bits.into()]),
            Coefficient::Scale(scale) => self.scales[scale.0],
        }
    }

    /// All addresses with their weights, one form at one point.
    fn weights(&self, form: &Form, points: &Points<'_, Fr>) -> Vec<(usize, Fr)> {
        let table = |axis| eq_table(&mut Native, &points.get(axis).expect("a point"));
        let mut all = Vec::new();
        for term in &form.terms {
            let spec = &self.layout.placement(term.column).expect("a placement").spec;
            let mut scalar = self.coefficient(term.coefficient);
            for factor in &term.factors {
                let own = table(factor.axis);
                scalar *= factor.entries.iter().map(|(i, c)| own[*i] * self.coefficient(*c)).sum::<Fr>();
            }
            if bool::from(scalar.is_zero()) {
                continue;
            }
            let mut axes: Vec<(usize, Vec<(usize, Fr)>)> = Vec::new();
            for (weight, &(_, count)) in term.digits.iter().zip(&spec.digits) {
                let own = weight.axis.map(table);
                let entries = weight.entries.iter().map(|e| {
                    (e.digit, self.coefficient(e.coefficient) * own.as_ref().map_or(Fr::ONE, |own| own[e.point]))
                });
                axes.push((count, nonzero(entries)));
            }
            let digits = axes.len();
            let by_text = term.lows.iter().any(|l| {
                matches!(
                    l,
                    LowWeight::Masked
                        | LowWeight::Unmasked(_)
                        | LowWeight::WordOf
                        | LowWeight::PositionOf
                        | LowWeight::LabelOf
                        | LowWeight::RowOf
                )
            });
            let adapter = self.layout.copies(spec.region) > 1;
            let requests = if by_text || adapter { table(Axis::REQUEST) } else { vec![Fr::ONE] };
            for (m, share) in requests.iter().enumerate().filter(|(_, s)| !bool::from(s.is_zero())) {
                axes.truncate(digits);
                let mut scalar = scalar * share;
                for (weight, &(axis, bits)) in term.lows.iter().zip(&spec.lows) {
                    let none = (vec![], 0, None);
                    let (ids, length, label) = self.texts.get(m).unwrap_or(&none);
                    let own = match weight {
                        LowWeight::Axis(Axis::REQUEST) if by_text => vec![(m, Fr::ONE)],
                        LowWeight::Axis(other) => nonzero(table(*other).into_iter().enumerate()),
                        LowWeight::Packed(other) => {
                            // eq of the upper bits: a sum over the lower ones of the whole point's table.
                            let whole = table(*other);
                            let words: Vec<Fr> = whole.chunks(8).map(|word| word.iter().sum()).collect();
                            let weight = |i: usize| words[i / 8] * Fr::from(2).pow([24 * (i as u64 % 8)]);
                            nonzero((0..1 << bits).map(|i| (i, weight(i))))
                        }
                        LowWeight::Ones => (0..1 << bits).map(|i| (i, Fr::ONE)).collect(),
                        LowWeight::First => vec![(0, Fr::ONE)],
                        LowWeight::Masked => (0..*length).map(|i| (i, Fr::ONE)).collect(),
                        LowWeight::Unmasked(other) => nonzero(table(*other).into_iter().enumerate().skip(*length)),
                        LowWeight::Beyond(other) => nonzero(table(*other).into_iter().enumerate().skip(self.count)),
                        LowWeight::LabelOf | LowWeight::RowOf => label.iter().map(|label| (*label, Fr::ONE)).collect(),
                        LowWeight::WordOf => {
                            nonzero(table(Axis::TOKEN).into_iter().enumerate().map(|(t, w)| (ids[t], w)))
                        }
                        LowWeight::PositionOf => nonzero(
                            table(Axis::TOKEN)
                                .into_iter()
                                .enumerate()
                                .map(|(t, w)| (if t < *length { t } else { 0 }, w)),
                        ),
                    };
                    assert!(axis != Axis::REQUEST || !adapter);
                    axes.push((1 << bits, own));
                }
                if axes.iter().any(|(_, own)| own.is_empty()) {
                    scalar = Fr::ZERO;
                }
                let copy = if adapter { m } else { 0 };
                let address = |cell| self.layout.address(term.column, copy, cell).expect("an address") as usize;
                let mut product = vec![(0usize, scalar)];
                for (count, own) in &axes {
                    product = product
                        .iter()
                        .flat_map(|(at, w)| own.iter().map(move |(i, v)| (at * count + i, *w * v)))
                        .collect();
                }
                all.extend(product.into_iter().map(|(at, w)| (address(at), w)));
            }
        }
        all
    }

    fn value(&self, form: &Form, points: &Points<'_, Fr>, cells: &[Fr]) -> Fr {
        self.weights(form, points).iter().map(|(at, w)| cells[*at] * w).sum()
    }
}

/// Public factor, left and right operand over a product's hypercube, first variable most significant.
struct Tables([Vec<Fr>; 3]);

impl Tables {
    fn new(
        functionals: &Functionals<'_>,
        weights: &Weights<'_, Fr>,
        product: &Product,
        outer: &Points<'_, Fr>,
        cells: &[Fr],
    ) -> Self {
        let a = &mut Native;
        let bits = variables(functionals.layout, product);
        let mut tables = [vec![], vec![], vec![]];
        for x in 0..1usize << bits {
            let corner: Vec<Fr> = (0..bits).rev().map(|i| Fr::from((x >> i) as u64 & 1)).collect();
            let bound = outer.bind(&product.variables, &corner);
            let mut public = Fr::ONE;
            let get = |points: &Points<'_, Fr>, axis| points.get(axis).expect("a point");
            for factor in &product.public {
                public *= match *factor {
                    PublicFactor::Equal(axis) => eq(a, &get(outer, axis), &get(&bound, axis)),
                    PublicFactor::Length(axis) => {
                        weights.mask(a, &get(outer, Axis::REQUEST), &get(&bound, Axis::REQUEST), &get(&bound, axis))
                    }
                };
            }
            let left = functionals.value(&product.left, &bound, cells);
            tables[0].push(public);
            tables[1].push(left);
            tables[2].push(match &product.right {
                Some(form) => functionals.value(form, &bound, cells),
                None => left,
            });
        }
        Self(tables)
    }

    fn sum(&self) -> Fr {
        let [p, l, r] = &self.0;
        p.iter().zip(l).zip(r).map(|((p, l), r)| *p * l * r).sum()
    }

    /// Coefficients of 1, X², X³.
    fn round(&self) -> [Fr; 3] {
        let half = self.0[0].len() / 2;
        let mut sums = [Fr::ZERO; 3];
        for i in 0..half {
            let [(p, dp), (l, dl), (r, dr)] = [0, 1, 2].map(|n| (self.0[n][i], self.0[n][i + half] - self.0[n][i]));
            sums[0] += p * l * r;
            sums[1] += p * dl * dr + dp * l * dr + dp * dl * r;
            sums[2] += dp * dl * dr;
        }
        sums
    }

    fn fold(&mut self, challenge: &Fr) {
        for table in &mut self.0 {
            let half = table.len() / 2;
            for i in 0..half {
                let rise = (table[i + half] - table[i]) * challenge;
                table[i] += rise;
            }
            table.truncate(half);
        }
    }
}

fn fold_low(values: &mut Vec<Fr>, challenge: &Fr) {
    for i in 0..values.len() / 2 {
        values[i] = values[2 * i] + (values[2 * i + 1] - values[2 * i]) * challenge;
    }
    values.truncate(values.len() / 2);
}

/// The fraction tree over any leaves, as many as a power of two.
pub fn prove_tree(transcript: &mut Transcript<Native>, leaves: (Vec<Fr>, Vec<Fr>)) -> (LookupMessages<Fr>, Vec<Fr>) {
    let a = &mut Native;
    let mut layers = vec![leaves];
    while layers[layers.len() - 1].0.len() > 2 {
        let (p, q) = &layers[layers.len() - 1];
        let parent = (0..p.len() / 2)
            .map(|i| (p[2 * i] * q[2 * i + 1] + p[2 * i + 1] * q[2 * i], q[2 * i] * q[2 * i + 1]))
            .unzip();
        layers.push(parent);
    }
    let (p, q) = layers.pop().expect("a layer");
    let root = [p[0], p[1], q[0], q[1]];
    transcript.absorb_all(a, "lookup root", &root);
    let mut point = vec![transcript.challenge(a, "lookup fold")];
    let mut messages = Vec::new();
    while let Some((p, q)) = layers.pop() {
        let lambda = transcript.challenge(a, "lookup combine");
        let half = |values: &[Fr], odd: usize| values.iter().skip(odd).step_by(2).copied().collect::<Vec<Fr>>();
        let mut children = [half(&p, 0), half(&p, 1), half(&q, 0), half(&q, 1)];
        let mut rounds = Vec::new();
        let mut challenges = Vec::new();
        for round in 0..point.len() {
            let rest = eq_low_first(&point[round + 1..]);
            let mut sums = [Fr::ZERO; 3];
            for (i, weight) in rest.iter().enumerate() {
                let [p0, p1, q0, q1] = [0, 1, 2, 3].map(|n: usize| children[n][2 * i]);
                let [p2, p3, q2, q3] = [0, 1, 2, 3].map(|n: usize| children[n][2 * i + 1]);
                let f = |p0: Fr, p1: Fr, q0: Fr, q1: Fr| p0 * q1 + p1 * q0 + lambda * q0 * q1;
                sums[0] += *weight * f(p0, p1, q0, q1);
                sums[1] += *weight * f(p2, p3, q2, q3);
                sums[2] += *weight * f(p2 - p0, p3 - p1, q2 - q0, q3 - q1);
            }
            let message = [sums[1] - sums[0], sums[2]];
            transcript.absorb_all(a, "lookup round", &message);
            let challenge = transcript.challenge(a, "lookup round");
            rounds.push(message);
            challenges.push(challenge);
            children.iter_mut().for_each(|c| fold_low(c, &challenge));
        }
        let children = children.map(|c| c[0]);
        transcript.absorb_all(a, "lookup children", &children);
        point = vec![transcript.challenge(a, "lookup fold")];
        point.extend(challenges);
        messages.push(LayerMessages { rounds, children });
    }
    (LookupMessages { root, layers: messages }, point)
}

/// Proves a run whose witness has `field` added to single cells, as a forger would.
pub fn prove(world: &World, run: &Run, field: &[(Column, usize, Fr)], forger: &mut impl Forger) -> InferenceProof {
    let a = &mut Native;
    let statement = &run.statement;
    let layout = &world.key.architecture.layout(&statement.shape).expect("a layout");
    let size = 1usize << layout.shape.log_tile;
    let batch = world.batch(run);

    // The whole address space.
    let mut cells = vec![Fr::ZERO; 1 << layout.address_bits()];
    let mut write = |region, request, placed: Option<&Placed>| {
        let start = layout.region_start(region, request) as usize;
        let values = placed.map(Placed::to_vec).unwrap_or_default();
        values.iter().enumerate().for_each(|(i, v)| cells[start + i] = integer(*v));
    };
    let witness = Placed::new(layout, Region::WITNESS, &batch.columns).expect("columns");
    write(Region::BASE, 0, Some(&batch.base));
    write(Region::TABLE, 0, Some(&batch.tables));
    for m in 0..layout.shape.requests {
        write(Region::ADAPTER, m, batch.adapters.get(m).unwrap_or(&batch.adapters[0]).as_deref());
    }
    write(Region::WITNESS, 0, Some(&witness));
    write(Region::INDEX, 0, batch.index.as_ref().map(|index| &*index.cells));
    let tiles = layout.tiles(Region::WITNESS, 0);
    let mut additions: Vec<Vec<(usize, Fr)>> = vec![vec![]; tiles.count + 1];
    for (column, index, delta) in field {
        let at = super::at(layout, *column, *index);
        cells[tiles.first * size + at] += delta;
        additions[at / size].push((at % size, *delta));
    }
    // One cell of the mask, so that its commitment is a point.
    cells[layout.mask_tile() * size + 777] = Fr::from(5);
    additions[tiles.count].push((777, Fr::from(5)));
    let own: Vec<Tile<'_>> = additions
        .iter()
        .enumerate()
        .map(|(i, field_coefficients)| Tile {
            parts: witness.parts_within(i * size..(i + 1) * size).collect(),
            field_coefficients,
        })
        .collect();
    let commitments = commit_tiles(&SRS, &own).expect("commitments");

    let prover_salt = Fr::from(4242);
    let mut inputs = inputs(layout, &world.key, statement, digest_points(&commitments), prover_salt).expect("inputs");
    forger.scales(&mut inputs.scales);
    let mut transcript = proof_transcript(a);
    let bound = absorb(a, &mut transcript, layout, &inputs).expect("a statement");
    let mut texts: Vec<(Vec<usize>, usize, Option<usize>)> = statement
        .requests
        .iter()
        .map(|request| {
            let mut ids: Vec<usize> = request.ids.iter().map(|&id| id as usize).collect();
            ids.resize(layout.shape.tokens, ids[0]);
            let attributes = statement.attribution.as_ref().is_some_and(|own| own.adapter == request.adapter);
            (ids, request.ids.len(), attributes.then_some(request.output.label().into()))
        })
        .collect();
    texts.resize(layout.shape.requests, texts[0].clone());
    let published = inputs.requests.iter().map(Spoken::of_request).collect();
    let scales = inputs.scales;
    let stated = Stated { transcript, scales, texts, requests: bound.bits, published, last: vec![], count: 0 };
    let blinding: Vec<_> = batch.index.iter().map(|index| (Region::INDEX, index.blinding.clone())).collect();
    let (messages, opening) = prove_dense(layout, cells, &blinding, stated, forger);
    InferenceProof { statement: statement.clone(), prover_salt, witness: commitments, messages, opening }
}

/// A statement that a transcript has absorbed, before anything is drawn.
pub struct Stated {
    pub transcript: Transcript<Native>,
    pub scales: Vec<Fr>,
    /// Ids, padded, length, and label if it attributes, or row if it names one, of each request of the shape.
    pub texts: Vec<(Vec<usize>, usize, Option<usize>)>,
    pub requests: Vec<RequestBits<Fr>>,
    pub published: Vec<Spoken<Fr>>,
    /// Bits of one less than the count, most significant first, and the count, of a program that counts.
    pub last: Vec<Fr>,
    pub count: usize,
}

/// Proves any program for the cells of the whole address space, whose tiles are committed; some regions with a coefficient
/// beyond each of their tiles.
#[expect(clippy::too_many_lines, reason = "one protocol, in its order")]
pub fn prove_dense(
    layout: &Layout,
    cells: Vec<Fr>,
    blinding: &[(Region, Vec<Fr>)],
    stated: Stated,
    forger: &mut impl Forger,
) -> (Messages<Fr>, MercuryProof) {
    let a = &mut Native;
    let size = 1usize << layout.shape.log_tile;
    let Stated { mut transcript, scales, texts, requests, published, last, count } = stated;
    let leaf = leaf_challenges(a, &mut transcript);
    let outer = outer_points(a, &mut transcript, layout);

    // Lookups.
    let leaves = 1usize << layout.leaf_bits();
    let (mut p, mut q) = (vec![Fr::ZERO; leaves], vec![Fr::ONE; leaves]);
    let denominator =
        |table: Table, key: Fr, value: Fr| leaf.x - key - leaf.b * value - leaf.b.square() * Fr::from(table.id());
    let address = |column, cell| layout.address(column, 0, cell).expect("an address") as usize;
    let leaf_of = |column, cell: usize| {
        let placement = layout.placement(column).expect("a placement");
        let bits = placement.spec.block_bits();
        placement.leaf_start(cell >> bits) as usize + (cell & ((1 << bits) - 1))
    };
    for placement in layout.placements() {
        if let Lookup::Group(group) = placement.spec.lookup {
            let column = placement.spec.column;
            let requests = layout.shape.requests;
            let own = placement.spec.len() / requests;
            for i in 0..placement.spec.len() {
                // Choices have the request last, the others have it first.
                let choice = matches!(group, GroupLeaf::Choice { .. });
                let (m, at) = if choice { (i % requests, 0) } else { (i / own, i % own) };
                let cell = |column| cells[address(column, i)];
                let m = Fr::from(m as u64);
                let (numerator, key, value, id) = match group {
                    GroupLeaf::Summand { group } => (-cell(column), cells[address(group, at)], m, Fr::from(6)),
                    GroupLeaf::Sum => (cell(column), Fr::from(at as u64), m, Fr::from(6)),
                    GroupLeaf::Choice { sum } => (Fr::ONE, cell(column), cell(sum), Fr::from(16) + m),
                    GroupLeaf::Count { sum } => (-cell(column), Fr::from(at as u64), cell(sum), Fr::from(16) + m),
                };
                p[leaf_of(column, i)] = numerator;
                q[leaf_of(column, i)] = leaf.x - key - leaf.b * value - leaf.b.square() * id;
            }
        }
        let Lookup::Key { table, value, .. } = placement.spec.lookup else { continue };
        for i in 0..placement.spec.len() {
            let column = placement.spec.column;
            let key = cells[address(column, i)] + integer(placement.spec.lookup.offset());
            let value = value.map_or(Fr::ZERO, |column| cells[address(column, i)]);
            p[leaf_of(column, i)] = Fr::ONE;
            q[leaf_of(column, i)] = denominator(table, key, value);
        }
    }
    for &TableSpec { table, values, multiplicities } in &layout.program.tables {
        let start = leaf_of(multiplicities, 0);
        for i in 0..1usize << table.bits() {
            let value = values.map_or(Fr::ZERO, |column| cells[address(column, i)]);
            p[start + i] = -cells[address(multiplicities, i)];
            q[start + i] = denominator(table, Fr::from(i as u64), value);
        }
    }
    forger.leaves(&leaf, &mut p, &mut q);
    let (lookup, leaf_point) = prove_tree(&mut transcript, (p, q));

    // Relations.
    let functionals = Functionals { layout, scales: scales.clone(), texts, count };
    let weights = Weights { layout, scales, requests, last };
    let mut claims: Vec<(&Form, Points<'_, Fr>)> = Vec::new();
    let (mut forms, mut tables) = (Vec::new(), Vec::new());
    for relation in layout.relations() {
        if relation.products.is_empty() {
            claims.push((&relation.form, outer.clone()));
            continue;
        }
        for product in &relation.products {
            tables.push(Tables::new(&functionals, &weights, product, &outer, &cells));
        }
        if has_form_value(relation) {
            forms.push(functionals.value(&relation.form, &outer, &cells));
            claims.push((&relation.form, outer.clone()));
        }
    }
    forger.forms(&mut forms);
    transcript.absorb_all(a, "form values", &forms);
    let lambda = transcript.challenge(a, "relation combine");
    let shape = message_shape(layout);
    let with_products = || layout.relations().iter().filter(|r| !r.products.is_empty());
    let combine = powers(a, &lambda, with_products().count());
    let products: Vec<(Fr, usize)> = with_products()
        .zip(&combine)
        .flat_map(|(relation, power)| {
            relation
                .products
                .iter()
                .map(move |p| (*power * integer(p.coefficient), shape.rounds - variables(layout, p)))
        })
        .collect();
    // What the verifier starts from.
    let mut claim = Fr::ZERO;
    let mut values = forms.iter();
    for (relation, power) in with_products().zip(&combine) {
        let mut total = weights.constants(a, &relation.constants, &outer).expect("constants");
        if let Some(public) = &relation.public {
            total += public_value(a, public, &published, &outer).expect("a public value");
        }
        if has_form_value(relation) {
            total += values.next().expect("a value");
        }
        claim += *power * total;
    }
    let sums: Vec<Fr> = tables.iter().map(Tables::sum).collect();
    let (mut rounds, mut challenges) = (Vec::new(), Vec::new());
    for round in 0..shape.rounds {
        let mut message = [Fr::ZERO; 3];
        for ((table, sum), (weight, skipped)) in tables.iter().zip(&sums).zip(&products) {
            if round < *skipped {
                message[0] += *weight * sum * Fr::TWO_INV.pow([forger.skipped(round + 1) as u64]);
                continue;
            }
            let scale = *weight * Fr::TWO_INV.pow([forger.skipped(*skipped) as u64]);
            message.iter_mut().zip(table.round()).for_each(|(m, own)| *m += scale * own);
        }
        forger.relation_round(round, claim, &mut message);
        transcript.absorb_all(a, "relation round", &message);
        let x = transcript.challenge(a, "relation round");
        let linear = claim - message[0].double() - message[1] - message[2];
        claim = message[0] + x * (linear + x * (message[1] + x * message[2]));
        rounds.push(message);
        challenges.push(x);
        for (table, (_, skipped)) in tables.iter_mut().zip(&products) {
            if round >= *skipped {
                table.fold(&x);
            }
        }
    }
    let mut operands = Vec::new();
    let mut finished = tables.iter();
    for product in with_products().flat_map(|r| &r.products) {
        let bound = outer.bind(&product.variables, &challenges[shape.rounds - variables(layout, product)..]);
        let table = finished.next().expect("a table");
        operands.push(table.0[1][0]);
        claims.push((&product.left, bound.clone()));
        if let Some(form) = &product.right {
            operands.push(table.0[2][0]);
            claims.push((form, bound));
        }
    }
    forger.operands(&mut operands);
    transcript.absorb_all(a, "operand values", &operands);

    // Reduction.
    let mut functional: Vec<Vec<(usize, Fr)>> =
        claims.iter().map(|(form, points)| functionals.weights(form, points)).collect();
    let (multiplicities, keys) = leaf_terms(a, layout, &leaf.b);
    let eq_leaf = eq_low_first(&leaf_point);
    for terms in [multiplicities, keys] {
        let mut own = Vec::new();
        for term in terms {
            let length = layout.placement(term.column).expect("a placement").spec.len();
            let weight = |i| term.coefficient * eq_leaf[leaf_of(term.at, term.part * length + i)];
            own.extend((0..length).map(|i| (address(term.column, i), weight(i))));
        }
        functional.push(own);
    }
    let mu = transcript.challenge(a, "reduction combine");
    let mut dense = vec![Fr::ZERO; cells.len()];
    for ((index, mut own), power) in functional.into_iter().enumerate().zip(powers(a, &mu, claims.len() + 2)) {
        forger.functional(index, &mut own);
        own.into_iter().for_each(|(at, w)| dense[at] += w * power);
    }
    let (mut t, mut reduction, mut rho) = (cells.clone(), Vec::new(), Vec::new());
    for _ in 0..layout.address_bits() {
        let mut message = [Fr::ZERO; 2];
        for (t, w) in t.chunks(2).zip(dense.chunks(2)) {
            message[0] += t[0] * w[0];
            message[1] += (t[1] - t[0]) * (w[1] - w[0]);
        }
        transcript.absorb_all(a, "reduction round", &message);
        let x = transcript.challenge(a, "reduction round");
        reduction.push(message);
        rho.push(x);
        fold_low(&mut t, &x);
        fold_low(&mut dense, &x);
    }

    // Opening.
    let (low, high) = rho.split_at(layout.shape.log_tile as usize);
    let mut combined = vec![Fr::ZERO; size];
    for (tile, weight) in cells.chunks(size).zip(eq_low_first(high)) {
        combined.iter_mut().zip(tile).for_each(|(c, t)| *c += weight * t);
    }
    let value = evaluate_multilinear(&combined, low);
    assert_eq!(value, t[0]);
    for (region, blinding) in blinding {
        let tiles = &eq_low_first(high)[layout.tiles(*region, 0).first..];
        combined.push(tiles.iter().zip(blinding).map(|(weight, own)| *weight * own).sum());
    }
    let opening = open(&SRS, &combined, low, &value, &mut transcript).expect("an opening");
    (Messages { lookup, forms, rounds, operands, reduction, value, mercury: opening.messages() }, opening)
}

/// A verifier that overlooks some checks, by name: what it accepts shows that nothing else stood in a forgery's way.
pub struct Lenient(pub &'static [&'static str]);

impl Hook for Lenient {
    fn overlooks(&mut self, what: &'static str) -> bool {
        self.0.contains(&what)
    }
}

/// The verdict of a verifier that overlooks these checks.
pub fn verify_without(
    world: &World,
    proof: &InferenceProof,
    overlooked: &'static [&'static str],
) -> Result<(), VerifyError> {
    let a = &mut Hooked(Lenient(overlooked));
    let mut transcript = proof_transcript(a);
    let key = SRS.verifier_key();
    let keys = Keys { adapters: &world.keys(), indexes: &world.indexes() };
    verify_with(a, &mut transcript, &key, &world.key, keys, &Fr::ZERO, proof).map(drop)
}
