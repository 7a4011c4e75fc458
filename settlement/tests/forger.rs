//! A generic forger of settlements. It fixes a public word to a false value, freezes the challenges that the transcript
//! gives then, and solves for private inputs, statement and messages alike, by linear algebra over the directions in which
//! they can move without a change of what is absorbed. The circuit must stay unsatisfiable for every word of every kind of
//! output. In the circuit as it is, only ids can move, within their elements of the input digest, and their ranges stop
//! that: the forger has next to nothing to solve for, which is the point. Against a circuit with the fault of the withdrawn
//! embeddings it succeeds, and against one whose transcript leaves out the words of shares, as the last tests show.

use super::circuit as judge;
use super::forms;
use super::support;

use std::collections::BTreeSet;

use forms::{Fault, Faulty, Form, Forms, Packing, Place, Scalar, Unknown};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind;
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::rows::Rows;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_settlement::trace::Tracer;
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError, Native};
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::proof::Output;
use lorica_verifier::protocol::statement::{DOMAIN_EMBEDDING, Inputs, RequestInputs, shape_words};
use support::inference::attribution::{attributed, random_index};
use support::{Run, World, binding, scalars};

/// [`Native`] that fails at no check but keeps what each is off by; the permutation's outputs are recorded, then replayed.
#[derive(Default)]
struct Replay {
    outputs: Vec<[Fr; 3]>,
    /// The next output to replay; `None` while recording.
    next: Option<usize>,
    residuals: Vec<Fr>,
}

impl Arithmetic for Replay {
    type Scalar = Fr;

    fn constant(&mut self, value: Fr) -> Fr {
        value
    }

    fn add(&mut self, left: &Fr, right: &Fr) -> Fr {
        left + right
    }

    fn sub(&mut self, left: &Fr, right: &Fr) -> Fr {
        left - right
    }

    fn mul(&mut self, left: &Fr, right: &Fr) -> Fr {
        left * right
    }

    fn assert_equal(&mut self, left: &Fr, right: &Fr, _: &'static str) -> Result<(), ArithmeticError> {
        self.residuals.push(left - right);
        Ok(())
    }

    fn inverse(&mut self, value: &Fr, _: &'static str) -> Result<Fr, ArithmeticError> {
        let inverse = value.invert().into_option();
        self.residuals.push(if inverse.is_some() { Fr::ZERO } else { Fr::ONE });
        Ok(inverse.unwrap_or(Fr::ZERO))
    }

    fn bits(&mut self, value: &Fr, count: usize, what: &'static str) -> Result<Vec<Fr>, ArithmeticError> {
        // Not linear: a range that is missed counts as one that no combination mends.
        let bits = Native.bits(value, count, what);
        self.residuals.push(if bits.is_ok() { Fr::ZERO } else { Fr::ONE });
        Ok(bits.unwrap_or_else(|_| vec![Fr::ZERO; count]))
    }

    fn select(&mut self, bit: &Fr, if_one: &Fr, if_zero: &Fr) -> Fr {
        Native.select(bit, if_one, if_zero)
    }

    fn permute(&mut self, state: [Fr; 3]) -> [Fr; 3] {
        if let Some(next) = &mut self.next {
            *next += 1;
            return self.outputs[*next - 1];
        }
        let output = Native.permute(state);
        self.outputs.push(output);
        output
    }
}

/// Row-reduces a matrix of so many columns, in place; the pivots' columns.
fn reduce(rows: &mut Vec<Vec<Fr>>, columns: usize) -> Vec<usize> {
    let mut pivots = Vec::new();
    for column in 0..columns {
        let done = pivots.len();
        let Some(pivot) = (done..rows.len()).find(|&row| rows[row][column] != Fr::ZERO) else { continue };
        rows.swap(done, pivot);
        let inverse = rows[done][column].invert().unwrap();
        rows[done].iter_mut().for_each(|entry| *entry *= inverse);
        let own = rows[done].clone();
        for (row, other) in rows.iter_mut().enumerate() {
            let factor = other[column];
            if row != done && factor != Fr::ZERO {
                other.iter_mut().zip(&own).for_each(|(entry, own)| *entry -= factor * own);
            }
        }
        pivots.push(column);
    }
    rows.truncate(pivots.len());
    pivots
}

/// A basis of the vectors that every row maps to zero.
fn kernel(mut rows: Vec<Vec<Fr>>, columns: usize) -> Vec<Vec<Fr>> {
    let pivots = reduce(&mut rows, columns);
    let free = (0..columns).filter(|column| !pivots.contains(column));
    free.map(|column| {
        let mut vector = vec![Fr::ZERO; columns];
        vector[column] = Fr::ONE;
        for (row, &pivot) in rows.iter().zip(&pivots) {
            vector[pivot] = -row[column];
        }
        vector
    })
    .collect()
}

/// `t` with `base + Σ t_k·columns[k] = 0`, if there is one.
fn solve(base: &[Fr], columns: &[Vec<Fr>]) -> Option<Vec<Fr>> {
    let entry = |row: usize| columns.iter().map(|column| column[row]).chain([-base[row]]).collect();
    let mut rows: Vec<Vec<Fr>> = (0..base.len()).map(entry).collect();
    let pivots = reduce(&mut rows, columns.len() + 1);
    if pivots.contains(&columns.len()) {
        return None;
    }
    let mut solution = vec![Fr::ZERO; columns.len()];
    for (row, pivot) in rows.iter().zip(pivots) {
        solution[pivot] = row[columns.len()];
    }
    Some(solution)
}

/// A fault of a circuit.
enum Mutant {
    /// Output digests pack two elements into one: the right ones of the statement under attack.
    Packs(Vec<Fr>),
    /// The transcript takes constants in, in the place of some words.
    LeavesOut(Vec<(Place, Fault)>),
}

/// The circuit under attack, as it is or with a fault.
struct Target<'c> {
    compiled: &'c Compiled,
    mutant: Option<Mutant>,
    /// Public words that the forger may choose.
    loose: BTreeSet<usize>,
}

impl<'c> Target<'c> {
    /// As it is.
    fn honest(compiled: &'c Compiled) -> Self {
        Self { compiled, mutant: None, loose: BTreeSet::new() }
    }

    fn run<A: Arithmetic>(
        &self,
        a: A,
        Proof { inputs, messages }: &Proof,
        mut input: impl FnMut(&mut A, Fr) -> A::Scalar,
    ) -> (A, Vec<A::Scalar>) {
        let done = "only lengths stop a run";
        match &self.mutant {
            None => {
                let mut a = a;
                let words = self.compiled.run(&mut a, inputs, messages, input).expect(done).to_vec();
                (a, words)
            }
            Some(Mutant::LeavesOut(faults)) => {
                let mut a = Faulty::new(a, faults.clone());
                let run = self.compiled.run(&mut a, inputs, messages, |a, value| input(&mut a.inner, value));
                (a.inner, run.expect(done).to_vec())
            }
            Some(Mutant::Packs(constants)) => {
                let elements = 2 + self.compiled.layout.program.output.scalars;
                let mut a = Packing::new(a, DOMAIN_EMBEDDING, elements, constants.clone());
                let run = self.compiled.run(&mut a, inputs, messages, |a, value| input(&mut a.inner, value));
                (a.inner, run.expect(done).to_vec())
            }
        }
    }

    /// Residuals of all checks, and of the public words against `wanted`, under frozen challenges.
    fn residuals(&self, outputs: &[[Fr; 3]], proof: &Proof, wanted: &[Fr]) -> Vec<Fr> {
        let frozen = Replay { outputs: outputs.to_vec(), next: Some(0), residuals: Vec::new() };
        let (replay, words) = self.run(frozen, proof, |_, value| value);
        let mut residuals = replay.residuals;
        let words = words.iter().zip(wanted).enumerate().filter(|(index, _)| !self.loose.contains(index));
        residuals.extend(words.map(|(_, (word, wanted))| word - wanted));
        residuals
    }

    /// Architecture, shape and SRS are constants of the circuit: what inputs say of them is not read.
    fn constants(&self) -> usize {
        2 + shape_words(&self.compiled.layout.shape).len()
    }

    /// Directions in which scalars may move without a change of what any sponge takes in; those that move ranged scalars,
    /// which is not linear, are the last.
    fn free(&self, proof: &Proof) -> (Vec<Vec<Fr>>, usize) {
        let (forms, _) = self.run(Forms::default(), proof, |a, _| a.input());
        let alone = |scalar: &Scalar| match scalar.as_ref().and_then(Form::alone) {
            Some(Unknown::Input(index)) => Some(index),
            _ => None,
        };
        let absorbed = || forms.sponges.iter().flat_map(|sponge| &sponge.absorbed);
        let zero = forms.zero.iter().map(|(form, _)| form);
        let fixed: BTreeSet<usize> = (0..self.constants()).chain(absorbed().chain(zero).filter_map(alone)).collect();
        let count = proof.flat().len();
        let open: Vec<usize> = (0..count).filter(|index| !fixed.contains(index)).collect();
        let row = |scalar: &Scalar| {
            let own = scalar.as_ref().map(Form::inputs).unwrap_or_default();
            let of = |index: &usize| own.iter().find(|(other, _)| other == index).map_or(Fr::ZERO, |(_, c)| *c);
            open.iter().map(of).collect()
        };
        let ranged: BTreeSet<usize> = forms.ranged.iter().filter_map(|(form, ..)| alone(form)).collect();
        let mut directions: Vec<Vec<Fr>> = kernel(absorbed().map(row).collect(), open.len())
            .into_iter()
            .map(|direction| {
                let mut whole = vec![Fr::ZERO; count];
                open.iter().zip(direction).for_each(|(index, c)| whole[*index] = c);
                whole
            })
            .collect();
        let moves_ranged = |direction: &Vec<Fr>| ranged.iter().any(|index| direction[*index] != Fr::ZERO);
        directions.sort_by_key(moves_ranged);
        let linear = directions.iter().filter(|direction| !moves_ranged(direction)).count();
        (directions, linear)
    }

    /// A proof that the circuit accepts with the wanted public words, if linear algebra finds it. `movable` are the scalars
    /// that the forger allows itself to change.
    fn forge(&self, proof: &Proof, wanted: &[Fr], movable: impl Fn(usize) -> bool) -> Option<Proof> {
        let (recorded, _) = self.run(Replay::default(), proof, |_, value| value);
        let base = self.residuals(&recorded.outputs, proof, wanted);
        let (mut directions, _) = self.free(proof);
        directions.retain(|direction| (0..direction.len()).all(|i| direction[i] == Fr::ZERO || movable(i)));
        let columns: Vec<Vec<Fr>> = directions
            .iter()
            .map(|direction| {
                let moved = self.residuals(&recorded.outputs, &proof.step(direction, Fr::ONE), wanted);
                moved.iter().zip(&base).map(|(moved, base)| moved - base).collect()
            })
            .collect();
        let solution = solve(&base, &columns)?;
        let moved = directions.iter().zip(solution);
        let forged = moved.fold(proof.clone(), |forged, (direction, t)| forged.step(direction, t));
        (self.broken(&forged, wanted).is_empty()).then_some(forged)
    }

    /// Checks that fail in the circuit, and the public words that are not the wanted ones.
    fn broken(&self, proof: &Proof, wanted: &[Fr]) -> BTreeSet<&'static str> {
        let (tracer, words) = self.run(Tracer::default(), proof, Tracer::input);
        let circuit = SettlementCircuit::new(Rows::compile(&tracer, &words));
        let mut broken = judge::broken(&circuit);
        let words = circuit.instance().into_iter().zip(wanted).enumerate();
        if words.into_iter().any(|(index, (word, wanted))| word != *wanted && !self.loose.contains(&index)) {
            broken.insert("public words");
        }
        broken
    }

    /// The public words of a proof, true or false.
    fn words(&self, proof: &Proof) -> Vec<Fr> {
        self.run(Replay::default(), proof, |_, value| value).1
    }
}

/// All that enters the circuit from outside.
#[derive(Clone)]
struct Proof {
    inputs: Inputs<Fr>,
    messages: Messages<Fr>,
}

impl Proof {
    fn of(world: &World, run: &Run) -> Self {
        let proof = world.prove(run).expect("a prover does not look");
        Self { inputs: scalars(world, &proof), messages: proof.messages }
    }

    /// Each scalar by its number.
    fn map(&self, mut f: impl FnMut(usize, Fr) -> Fr) -> Self {
        let mut number = 0;
        let mut next = |value: Fr| {
            number += 1;
            f(number - 1, value)
        };
        let Self { inputs, messages } = self.clone();
        let inputs = inputs.map(&mut next);
        Self { inputs, messages: messages.map(next) }
    }

    fn flat(&self) -> Vec<Fr> {
        let mut all = Vec::new();
        self.map(|_, value| {
            all.push(value);
            value
        });
        all
    }

    fn step(&self, direction: &[Fr], t: Fr) -> Self {
        self.map(|number, value| value + t * direction[number])
    }

    /// Numbers of the scalars of one request of the shape.
    fn request(&self, index: usize) -> std::ops::Range<usize> {
        let count = |requests: &[RequestInputs<Fr>]| {
            let mut count = 0;
            Inputs { requests: requests.to_vec(), ..self.inputs.clone() }.map(|_| count += 1);
            count
        };
        let requests = &self.inputs.requests;
        count(&requests[..index])..count(&requests[..=index])
    }
}

const REQUESTS: [(usize, Option<usize>); 3] = [(9, Some(0)), (7, Some(1)), (5, Some(0))];
/// The request of the shape that is not stated.
const ABSENT: usize = 3;

/// What is settled: either kind of output, and answers that are attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain(OutputKind),
    Attributed,
}

const KINDS: [Kind; 3] = [Kind::Plain(OutputKind::Embed), Kind::Plain(OutputKind::Classify), Kind::Attributed];

fn world() -> World {
    let world = support::world();
    world.with_index(random_index(SMALL.hidden, 900, 50))
}

fn honest(world: &World, kind: Kind) -> Run {
    let mut run = match kind {
        Kind::Plain(output) => world.run(output, &REQUESTS),
        Kind::Attributed => attributed(world, &REQUESTS),
    };
    run.statement.context = binding(REQUESTS.len()).context();
    run
}

fn compiled(world: &World, run: &Run) -> Compiled {
    Compiled::new(&CircuitShape::of(&world.key, run.statement.shape)).unwrap()
}

type Edit = fn(&mut Run);

/// An edit, and labels that fit the logits then: a prover refuses others, as the circuit does by their bits.
fn edited(honest: &Run, edit: Edit) -> Run {
    let mut run = honest.clone();
    edit(&mut run);
    for request in &mut run.statement.requests {
        if let Output::Classify { logits, label } = &mut request.output {
            let largest = logits.iter().max().unwrap();
            *label = logits.iter().position(|logit| logit == largest).unwrap() as u8;
        }
    }
    run
}

fn values(output: &mut Output) -> &mut Vec<i64> {
    match output {
        Output::Embed { sums } => sums,
        Output::Classify { logits, .. } => logits,
    }
}

/// Statements that are false in what the circuit itself publishes; the prover makes its messages for them.
const FALSE_STATEMENTS: [(&str, Edit); 13] = [
    ("one output", |run| values(&mut run.statement.requests[0].output)[0] += 1),
    ("two outputs", |run| values(&mut run.statement.requests[0].output)[..2].iter_mut().for_each(|v| *v -= 9)),
    ("three outputs", |run| values(&mut run.statement.requests[1].output)[3..6].iter_mut().for_each(|v| *v += 77)),
    ("every output", |run| {
        for request in &mut run.statement.requests {
            values(&mut request.output).iter_mut().for_each(|v| *v -= 3 + *v % 5);
        }
    }),
    ("outputs of another request", |run| {
        let other = run.statement.requests[1].output.clone();
        run.statement.requests[2].output = other;
    }),
    ("another label", |run| {
        for request in &mut run.statement.requests {
            if let Output::Classify { logits, label } = &mut request.output {
                logits[(usize::from(*label) + 1) % 3] = logits.iter().max().unwrap() + 1;
            }
        }
    }),
    ("another text", |run| run.statement.requests[0].ids[1] ^= 1),
    ("another first token", |run| run.statement.requests[2].ids[0] ^= 1),
    ("a shorter text", |run| run.statement.requests[0].ids.truncate(8)),
    // Of batches that attribute; the others have no shares.
    ("a share more by one", |run| run.statement.requests[0].shares.iter_mut().take(1).for_each(|own| own.share += 1)),
    ("entries of two words exchanged", |run| {
        if let [first, .., last] = run.statement.requests[2].shares.as_mut_slice() {
            std::mem::swap(first, last);
        }
    }),
    ("the list of another request", |run| {
        let other = run.statement.requests[2].shares.clone();
        run.statement.requests[0].shares = other;
    }),
    ("shares of a request that has another adapter", |run| {
        let other = run.statement.requests[0].shares.clone();
        run.statement.requests[1].shares = other;
    }),
];

/// Numbers of the scalars of index id, use word and words of shares, in the order of the public words that they are.
fn attribution(proof: &Proof) -> Vec<usize> {
    let own = &proof.inputs;
    let count = |inputs: Inputs<Fr>| {
        let mut count = 0;
        inputs.map(|_| count += 1);
        count
    };
    let head =
        Inputs { regions: vec![], attributing: None, count: Fr::ZERO, scales: vec![], requests: vec![], ..own.clone() };
    // Count, context, witness and salt stand behind them.
    let index = count(head) - 4;
    let shares = (0..own.requests.len()).flat_map(|m| {
        let end = proof.request(m).end;
        end - 4..end
    });
    [index, index + 1].into_iter().chain(shares).collect()
}

/// Words that are inputs are replaced in the statement or in the messages; the others are asked for as they are.
#[test]
fn no_public_word_can_be_another() {
    let world = world();
    for kind in KINDS {
        let run = honest(&world, kind);
        let compiled = compiled(&world, &run);
        let target = Target::honest(&compiled);
        let proof = Proof::of(&world, &run);
        let words = target.words(&proof);
        assert_eq!(target.broken(&proof, &words), BTreeSet::new());
        let (_, sources) = target.run(Forms::default(), &proof, |a, _| a.input());
        let source_of = |source: &Scalar| match source.as_ref().and_then(Form::alone) {
            Some(Unknown::Input(input)) => Some(input),
            _ => None,
        };
        // What a batch that attributes has beside the words of a plain one.
        let own = if kind == Kind::Attributed { attribution(&proof) } else { vec![] };
        let mut replaced = 0;
        for (index, source) in sources.iter().enumerate() {
            if kind == Kind::Attributed && !source_of(source).is_some_and(|input| own.contains(&input)) {
                continue;
            }
            let mut wanted = words.clone();
            wanted[index] += Fr::ONE;
            assert!(target.forge(&proof, &wanted, |_| true).is_none(), "{kind:?}, word {index}");
            let Some(input) = source_of(source) else { continue };
            replaced += 1;
            let other = proof.map(|number, value| if number == input { value + Fr::ONE } else { value });
            assert!(target.forge(&other, &wanted, |_| true).is_none(), "{kind:?}, word {index} as an input");
        }
        // Context, base, adapters, count, a label per request, six digests; index, use word, four words per request.
        let requests = run.statement.shape.requests;
        let expected = if kind == Kind::Attributed { 2 + 4 * requests } else { 4 + requests + 6 };
        assert_eq!(replaced, expected, "{kind:?}");
    }
}

#[test]
fn false_statements_stay_false() {
    let world = world();
    for kind in KINDS {
        let honest = honest(&world, kind);
        let compiled = compiled(&world, &honest);
        let target = Target::honest(&compiled);
        let (directions, linear) = target.free(&Proof::of(&world, &honest));
        assert_eq!(linear, 0, "{kind:?}: a scalar that neither an absorbed value nor a range determines");
        // Sixteen ids in two elements, the rest of them zero.
        assert_eq!(directions.len(), 14 * honest.statement.shape.requests, "{kind:?}");
        let mut tried = 0;
        for (what, edit) in FALSE_STATEMENTS {
            let run = edited(&honest, edit);
            let shares =
                |run: &Run| run.statement.requests.iter().flat_map(|own| own.shares.clone()).collect::<Vec<_>>();
            if run.statement == honest.statement || kind == Kind::Attributed && shares(&run) == shares(&honest) {
                continue;
            }
            tried += 1;
            let proof = Proof::of(&world, &run);
            let words = target.words(&proof);
            assert!(!target.broken(&proof, &words).is_empty(), "{kind:?}, {what}: accepted as it is");
            assert!(target.forge(&proof, &words, |_| true).is_none(), "{kind:?}, {what}");
        }
        assert!(tried >= if kind == Kind::Attributed { 4 } else { 8 }, "{kind:?}: {tried}");

        if kind == Kind::Attributed {
            // The bit of a request that has another adapter, and of one that has the index'.
            for word in [15, 12] {
                let mut other = Proof::of(&world, &honest);
                assert_eq!(other.inputs.attributing, Some(Fr::from(13)));
                other.inputs.attributing = Some(Fr::from(word));
                assert!(target.forge(&other, &target.words(&other), |_| true).is_none(), "use word {word}");
            }
            continue;
        }
        // Scales that are not the ones that the messages were made with.
        let proof = Proof::of(&world, &honest);
        for scale in 0..proof.inputs.scales.len() {
            let mut other = proof.clone();
            other.inputs.scales[scale] += Fr::ONE;
            assert!(target.forge(&other, &target.words(&other), |_| true).is_none(), "{kind:?}, scale {scale}");
        }
    }
}

/// With output digests that pack, the forger makes every false embedding a satisfied circuit; with the copy of an absent
/// request too.
#[test]
fn the_forger_breaks_digests_that_pack() {
    let world = world();
    let honest = honest(&world, Kind::Plain(OutputKind::Embed));
    let compiled = compiled(&world, &honest);
    for (what, edit) in &FALSE_STATEMENTS[..5] {
        let proof = Proof::of(&world, &edited(&honest, *edit));
        // The second of each two elements: the length, then every other word.
        let right = |request: &RequestInputs<Fr>| {
            let words = request.outputs.iter().skip(1).step_by(2);
            [request.length].into_iter().chain(words.copied()).collect::<Vec<_>>()
        };
        let packed = Mutant::Packs(proof.inputs.requests.iter().flat_map(right).collect());
        let target = Target { mutant: Some(packed), ..Target::honest(&compiled) };
        let words = target.words(&proof);
        assert!(!target.broken(&proof, &words).is_empty(), "{what}: accepted as it is");
        target.forge(&proof, &words, |_| true).expect(what);

        let absent = proof.request(ABSENT);
        let forged = target.forge(&proof, &words, |number| absent.contains(&number)).expect(what);
        let (before, after) = (proof.flat(), forged.flat());
        let moved: Vec<usize> = (0..before.len()).filter(|&number| before[number] != after[number]).collect();
        assert!(!moved.is_empty() && moved.iter().all(|number| absent.contains(number)), "{what}");
    }
}

/// With a transcript that leaves out the words of shares, the forger makes a false word a satisfied circuit by what it puts into
/// other words, be they another request's or those of the copy of an absent one; with the transcript as it is, nothing moves.
#[test]
fn the_forger_breaks_shares_that_are_not_absorbed() {
    let world = world();
    let honest = honest(&world, Kind::Attributed);
    let compiled = compiled(&world, &honest);
    let (what, edit) = FALSE_STATEMENTS[9];
    let proof = Proof::of(&world, &edited(&honest, edit));
    let own = attribution(&proof);
    let shares = &own[2..];
    let flat = proof.flat();
    let plain = Target::honest(&compiled);
    let (seen, sources) = plain.run(Forms::default(), &proof, |a, _| a.input());
    let place = |input: &usize| (seen.place(*input), Fault::Constant(flat[*input]));
    let faults: Vec<_> = shares.iter().map(place).collect();
    let word_of = |input: usize| {
        let own = |source: &Scalar| source.as_ref().and_then(Form::alone) == Some(Unknown::Input(input));
        sources.iter().position(own).expect("a public word")
    };
    for request in [2, ABSENT] {
        let own = &shares[4 * request..4 * (request + 1)];
        let target = |mutant| Target {
            mutant,
            loose: own.iter().map(|input| word_of(*input)).collect(),
            ..Target::honest(&compiled)
        };
        let (plain, mutant) = (target(None), target(Some(Mutant::LeavesOut(faults.clone()))));
        let words = plain.words(&proof);
        assert_eq!(mutant.words(&proof), words);
        assert!(!mutant.broken(&proof, &words).is_empty(), "{what}: accepted as it is");
        assert_eq!((plain.free(&proof).1, mutant.free(&proof).1), (0, shares.len()));
        assert!(plain.forge(&proof, &words, |_| true).is_none(), "{what}");
        let forged = mutant.forge(&proof, &words, |input| own.contains(&input)).expect(what);
        // The false word is public, and it is not the honest one.
        let (truth, forged) = (plain.words(&Proof::of(&world, &honest)), mutant.words(&forged));
        let first = word_of(shares[0]);
        assert!(forged[first] == words[first] && forged[first] != truth[first]);
    }
}
