//! What determines each private input of the field part before the draw: the list of [`lorica_verifier::protocol::determined`]
//! against what is seen when every scalar is followed through the field part.

#[path = "support/forms.rs"]
mod forms;

use forms::{Fault, Faulty, Form, Forms, Packing, Scalar, Unknown};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_verifier::protocol::arithmetic::Arithmetic;
use lorica_verifier::protocol::determined::{Determined, determined, index_determined, row_determined};
use lorica_verifier::protocol::field::{field_part, proof_transcript};
use lorica_verifier::protocol::index::{index_field_part, index_transcript};
use lorica_verifier::protocol::key::index_shape;
use lorica_verifier::protocol::rows::{row_field_part, row_shape, row_transcript};
use lorica_verifier::protocol::statement::{DOMAIN_EMBEDDING, DOMAIN_OUTPUT};
use lorica_verifier::protocol::transcript::Event;

const SMALL: Architecture = Architecture {
    block: 128,
    max_tokens: 128,
    hidden: 256,
    layers: 2,
    heads: 4,
    intermediate: 384,
    vocab: 50,
    activation: Activation::Relu,
    r_max: 4,
    score_bits: 8,
    activation_bits: 8,
    tanh_bits: 8,
};
const MINILM: Architecture = Architecture {
    block: 128,
    max_tokens: 128,
    hidden: 384,
    layers: 6,
    heads: 12,
    intermediate: 1536,
    vocab: 30_522,
    activation: Activation::Gelu,
    r_max: 16,
    ..SMALL
};

/// A run of the field part on forms.
struct Seen {
    forms: Forms,
    /// Calls of the proof's transcript, each with what went in.
    events: Vec<(Event, Option<Scalar>)>,
    expected: Vec<Determined>,
}

/// `wrap` makes the arithmetic that the field part runs on, `unwrap` gives the forms back.
fn run<A: Arithmetic<Scalar = Scalar>>(layout: &Layout, mut a: A, unwrap: impl Fn(&mut A) -> &mut Forms) -> Seen {
    let (inputs, messages) = determined(layout);
    let mut expected = Vec::new();
    inputs.clone().map(|own| expected.push(own));
    messages.clone().map(|own| expected.push(own));
    let inputs = inputs.map(|_| unwrap(&mut a).input());
    let messages = messages.map(|_| unwrap(&mut a).input());
    let mut transcript = proof_transcript(&mut a);
    field_part(&mut a, &mut transcript, layout, &inputs, &messages).unwrap();
    let forms = std::mem::take(unwrap(&mut a));
    let events = transcript.events().to_vec();
    seen(forms, &events, expected)
}

/// The statement's elements and the draws of a transcript, with what went in: that of the sponge that was permuted last.
fn seen(forms: Forms, transcript_events: &[Event], expected: Vec<Determined>) -> Seen {
    assert_eq!(forms.inputs, expected.len());
    // The proof's transcript is the sponge that drew more than one challenge: it was permuted last.
    let last = forms.sponges.iter().max_by_key(|sponge| sponge.permutations.last()).unwrap();
    let mut absorbed = last.absorbed.iter();
    let events = transcript_events.iter().map(|event| match event {
        Event::Absorb(_) => (*event, absorbed.next().cloned()),
        Event::Challenge(_) => (*event, None),
    });
    let events = events.collect();
    assert_eq!(absorbed.next(), None, "a call for each element");
    Seen { forms, events, expected }
}

impl Seen {
    fn honest(layout: &Layout) -> Self {
        match (layout.program.text, layout.program.output.row_bits) {
            (None, _) => Self::index(layout),
            (Some(_), 0) => run(layout, Forms::default(), |a| a),
            (Some(_), _) => Self::rows(layout),
        }
    }

    /// Of an index proof.
    fn index(layout: &Layout) -> Self {
        let (inputs, messages) = index_determined(layout);
        let mut expected = Vec::new();
        inputs.clone().map(|own| expected.push(own));
        messages.clone().map(|own| expected.push(own));
        let mut a = Forms::default();
        let inputs = inputs.map(|_| a.input());
        let messages = messages.map(|_| a.input());
        let mut transcript = index_transcript(&mut a);
        index_field_part(&mut a, &mut transcript, layout, &inputs, &messages).unwrap();
        let events = transcript.events().to_vec();
        seen(std::mem::take(&mut a), &events, expected)
    }

    /// Of a row proof.
    fn rows(layout: &Layout) -> Self {
        let (inputs, messages) = row_determined(layout);
        let mut expected = Vec::new();
        inputs.clone().map(|own| expected.push(own));
        messages.clone().map(|own| expected.push(own));
        let mut a = Forms::default();
        let inputs = inputs.map(|_| a.input());
        let messages = messages.map(|_| a.input());
        let mut transcript = row_transcript(&mut a);
        row_field_part(&mut a, &mut transcript, layout, &inputs, &messages).unwrap();
        let events = transcript.events().to_vec();
        seen(std::mem::take(&mut a), &events, expected)
    }

    /// With a hash that packs the elements of output digests.
    fn packing(layout: &Layout) -> Self {
        let domain = if layout.shape.output == OutputKind::Embed { DOMAIN_EMBEDDING } else { DOMAIN_OUTPUT };
        run(layout, Packing::new(Forms::default(), domain, 2 + layout.program.output.scalars, Vec::new()), |a| {
            &mut a.inner
        })
    }

    /// With sponges that take in something else than these inputs.
    fn faulty(layout: &Layout, faults: &[(usize, Fault)]) -> Self {
        let honest = Self::honest(layout);
        let faults = faults.iter().map(|(input, fault)| (honest.forms.place(*input), *fault)).collect();
        run(layout, Faulty::new(Forms::default(), faults), |a| &mut a.inner)
    }

    /// Indices of the scalars that the list has so.
    fn listed(&self, by: Determined) -> Vec<usize> {
        (0..self.expected.len()).filter(|&index| self.expected[index] == by).collect()
    }

    /// What precedes the first draw in the proof's transcript, with labels.
    fn statement(&self) -> impl Iterator<Item = (&'static str, &Scalar)> {
        self.events.iter().map_while(|(event, scalar)| match event {
            Event::Absorb(label) => Some((*label, scalar.as_ref().expect("an element"))),
            Event::Challenge(_) => None,
        })
    }

    /// The preimages of a digest, one for each request.
    fn digests(&self, digest: &'static str) -> impl Iterator<Item = &[Scalar]> {
        let of_digest = self.statement().filter(move |(label, _)| *label == digest);
        of_digest.filter_map(|(_, scalar)| self.forms.preimage(scalar.as_ref()?.alone()?))
    }

    /// Whether the scalar is determined in the way that the list says.
    fn is_determined(&self, index: usize, by: Determined) -> bool {
        let input = Unknown::Input(index);
        let alone = |scalar: &Scalar| scalar.as_ref().and_then(Form::alone) == Some(input);
        match by {
            Determined::Absorbed(label) => self.statement().any(|(own, scalar)| own == label && alone(scalar)),
            Determined::Hashed { digest } => self.digests(digest).any(|preimage| preimage.iter().any(alone)),
            Determined::Zero { check } => self.forms.zero.iter().any(|(form, what)| *what == check && alone(form)),
            Determined::Ranged { digest, check, bits } => {
                let ranged = |index: usize| {
                    let own = |scalar: &Scalar| {
                        let form = scalar.as_ref().filter(|form| form.alone() == Some(Unknown::Input(index)));
                        form.is_some_and(|form| [Fr::ONE, -Fr::ONE].contains(form.terms.values().next().unwrap()))
                    };
                    self.forms.ranged.iter().any(|(form, count, what)| *what == check && *count == bits && own(form))
                };
                let zero = |index: usize| {
                    let own = |scalar: &Scalar| scalar.as_ref().and_then(Form::alone) == Some(Unknown::Input(index));
                    self.forms.zero.iter().any(|(form, _)| own(form))
                };
                // The others in the element have a range and a place of their own, or are zero.
                let injective = |scalar: &Scalar| {
                    let Some(form) = scalar else { return false };
                    let inputs = form.inputs();
                    let mut free: Vec<Fr> = inputs.iter().filter(|(i, _)| !zero(*i)).map(|(_, c)| *c).collect();
                    let places: Vec<Fr> = (0..253 / bits).map(|j| Fr::from(2).pow([(bits * j) as u64])).collect();
                    let distinct = free.len();
                    free.sort();
                    free.dedup();
                    inputs.len() == form.terms.len()
                        && inputs.iter().any(|(i, _)| *i == index)
                        && inputs.iter().all(|(i, _)| zero(*i) || ranged(*i))
                        && free.len() == distinct
                        && free.iter().all(|c| places.contains(c))
                };
                ranged(index) && self.digests(digest).any(|preimage| preimage.iter().any(injective))
            }
            Determined::Message { label, challenge } => {
                let own = |(event, scalar): &(Event, Option<Scalar>)| {
                    *event == Event::Absorb(label) && scalar.as_ref().is_some_and(alone)
                };
                let Some(at) = self.events.iter().position(own) else { return false };
                let next = self.events[at..].iter().find_map(|(event, _)| match event {
                    Event::Challenge(label) => Some(*label),
                    Event::Absorb(_) => None,
                });
                next == Some(challenge)
            }
        }
    }

    /// Indices of the scalars that are not.
    fn free(&self) -> Vec<usize> {
        let each = self.expected.iter().enumerate();
        each.filter(|(index, by)| !self.is_determined(*index, **by)).map(|(index, _)| index).collect()
    }
}

fn layouts() -> Vec<Layout> {
    let mut layouts = Vec::new();
    for (output, records) in [(OutputKind::Embed, 0), (OutputKind::Classify, 0), (OutputKind::Classify, 1 << 14)] {
        for (architecture, requests, tokens, log_tile) in
            [(&SMALL, 1, 16, 14), (&SMALL, 4, 32, 14), (&MINILM, 1, 128, 20), (&MINILM, 2, 16, 18)]
        {
            layouts.push(architecture.layout(&Shape { requests, tokens, log_tile, output, records }).unwrap());
        }
    }
    for (architecture, log_tile, records) in [(&SMALL, 14, 1 << 11), (&MINILM, 20, 1 << 16)] {
        layouts.push(architecture.index_layout(&index_shape(log_tile, records)).unwrap());
        for rows in [1, 3] {
            layouts.push(architecture.row_layout(&row_shape(rows, 16, log_tile, records).unwrap()).unwrap());
        }
    }
    layouts
}

#[test]
fn every_input_is_determined_as_the_list_says() {
    for layout in layouts() {
        let seen = Seen::honest(&layout);
        assert_eq!(seen.free(), Vec::<usize>::new(), "{:?}", layout.shape);
    }
}

/// Nothing enters a sponge that is a product: what a prover could move in one factor and undo in the other.
#[test]
fn what_is_absorbed_is_linear() {
    for layout in layouts() {
        let seen = Seen::honest(&layout);
        assert!(seen.forms.sponges.iter().all(|sponge| sponge.absorbed.iter().all(Option::is_some)));
    }
}

/// Prover messages are absorbed in the order of [`lorica_verifier::protocol::field::Messages`], each of them once.
#[test]
fn messages_are_absorbed_once_and_in_order() {
    for layout in layouts() {
        let seen = Seen::honest(&layout);
        let messages = seen.expected.iter().position(|by| matches!(by, Determined::Message { .. })).unwrap();
        let inputs: Vec<usize> = seen
            .events
            .iter()
            .filter_map(|(_, scalar)| scalar.as_ref()?.as_ref()?.alone())
            .filter_map(|unknown| if let Unknown::Input(index) = unknown { Some(index) } else { None })
            .filter(|index| *index >= messages)
            .collect();
        assert_eq!(inputs, (messages..seen.expected.len()).collect::<Vec<_>>());
    }
}

/// With the fault of the withdrawn embeddings in the output digest, exactly the outputs are free.
#[test]
fn packed_outputs_would_be_noticed() {
    for layout in layouts().into_iter().filter(|own| own.program.output.scalars > 0) {
        let seen = Seen::packing(&layout);
        let outputs = seen.expected.iter().enumerate();
        let outputs = outputs.filter(|(_, by)| **by == Determined::Hashed { digest: "output digest" });
        assert_eq!(seen.free(), outputs.map(|(index, _)| index).collect::<Vec<_>>(), "{:?}", layout.shape);
    }
}

/// Words of an attribution that share an element of the transcript, or that stand in none: exactly they are free.
#[test]
fn joined_words_of_an_attribution_would_be_noticed() {
    let attributing: Vec<Layout> = layouts().into_iter().filter(|own| own.program.output.shares > 0).collect();
    assert_eq!(attributing.len(), 4);
    for layout in attributing {
        let honest = Seen::honest(&layout);
        let [index, attributing, shares] = ["region", "attributing", "shares"].map(|label| {
            let own = honest.listed(Determined::Absorbed(label));
            assert_eq!(own.len(), if label == "shares" { 4 * layout.shape.requests } else { 1 });
            own
        });
        let joined = |first: usize, second: usize| {
            let seen = Seen::faulty(&layout, &[(first, Fault::Kept(Fr::from(7))), (second, Fault::Joined)]);
            assert_eq!(seen.free(), [first, second], "{:?}", layout.shape);
        };
        joined(index[0], attributing[0]);
        // Two that follow each other, in one block of the sponge and in two, of one request and of two; the first and the last.
        shares.windows(2).take(5).for_each(|two| joined(two[0], two[1]));
        joined(shares[0], shares[shares.len() - 1]);
        joined(attributing[0], shares[0]);
        let constant = |own: &usize| (*own, Fault::Constant(Fr::from(7)));
        for left_out in [&index, &attributing, &shares] {
            let seen = Seen::faulty(&layout, &left_out.iter().map(constant).collect::<Vec<_>>());
            assert_eq!(seen.free(), *left_out, "{:?}", layout.shape);
        }
    }
}

/// An entry that says something else than what happens is noticed, whatever it says: of a plain batch, of one that attributes, of
/// an index and of rows.
#[test]
fn false_entries_are_noticed() {
    let small = |requests, output, records| Shape { requests, tokens: 16, log_tile: 14, output, records };
    let layouts = [
        SMALL.layout(&small(1, OutputKind::Embed, 0)),
        SMALL.layout(&small(2, OutputKind::Classify, 1 << 11)),
        SMALL.index_layout(&index_shape(14, 1 << 11)),
        SMALL.row_layout(&row_shape(2, 16, 14, 1 << 11).unwrap()),
    ];
    for layout in layouts {
        let layout = layout.unwrap();
        let seen = Seen::honest(&layout);
        let mut kinds = seen.expected.clone();
        kinds.sort_by_key(|by| format!("{by:?}"));
        kinds.dedup();
        // All that is not one of many: ids and messages are a sample.
        let each = seen.expected.iter().enumerate().filter(|(index, own)| {
            matches!(own, Determined::Absorbed(_) | Determined::Hashed { .. }) || index % 7 == 0
        });
        for (index, own) in each {
            for other in kinds.iter().filter(|other| *other != own) {
                // Salt and length are in the output digest too.
                let [input, output] = ["input digest", "output digest"].map(|digest| Determined::Hashed { digest });
                if (*own, *other) != (input, output) {
                    assert!(!seen.is_determined(index, *other), "{index}: {own:?} passes as {other:?}");
                }
            }
        }
    }
}
