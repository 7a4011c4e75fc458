//! The transcript against its description, with vectors.

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::poseidon::permute_reference;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Taped};
use lorica_verifier::protocol::arithmetic::{Arithmetic, Native};
use lorica_verifier::protocol::transcript::{Event, Transcript};

/// What a run does: absorbs so many scalars, or draws so many challenges.
#[derive(Clone, Copy, Debug)]
enum Step {
    Absorb(usize),
    Draw(usize),
}
use Step::{Absorb, Draw};

fn run<A: Arithmetic>(a: &mut A, steps: &[Step], mut input: impl FnMut(&mut A, u64) -> A::Scalar) -> Vec<A::Scalar> {
    let mut transcript = Transcript::new(a, Fr::from(42));
    let mut next = 0;
    let mut drawn = Vec::new();
    for step in steps {
        match *step {
            Absorb(count) => {
                for _ in 0..count {
                    next += 1;
                    let scalar = input(a, next);
                    transcript.absorb(a, "scalar", &scalar);
                }
            }
            Draw(count) => drawn.extend(transcript.challenges(a, "challenge", count)),
        }
    }
    drawn
}

fn native(steps: &[Step]) -> Vec<Fr> {
    run(&mut Native, steps, |_, number| Fr::from(number))
}

/// The module's description, word by word, with the plain permutation.
fn described(steps: &[Step]) -> Vec<Fr> {
    let mut state = [Fr::from(4 * 42), Fr::ZERO, Fr::ZERO];
    let mut next = 0u64;
    let mut drawn = Vec::new();
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let mut blocks = Vec::new();
        let mut count = 0;
        match *step {
            Absorb(first) => {
                count += first;
                while let Some(Absorb(more)) = steps.peek() {
                    count += more;
                    steps.next();
                }
                let scalars: Vec<Fr> = (0..count as u64).map(|offset| Fr::from(next + offset + 1)).collect();
                next += count as u64;
                blocks.extend(scalars.chunks(2).map(<[Fr]>::to_vec));
            }
            Draw(_) => unreachable!("draws follow an absorption here"),
        }
        let Some(Draw(draws)) = steps.next() else { break };
        let last = blocks.len() - 1;
        for (index, block) in blocks.iter().enumerate() {
            state[0] += Fr::from(if index < last { 3 } else { block.len() as u64 });
            state[1] += block[0];
            state[2] += block.get(1).copied().unwrap_or(Fr::ZERO);
            state = permute_reference(state);
        }
        for draw in 0..*draws {
            if draw > 0 && draw % 2 == 0 {
                state = permute_reference(state);
            }
            drawn.push(state[1 + draw % 2]);
        }
    }
    drawn
}

#[test]
fn runs_follow_the_description() {
    for steps in [
        vec![Absorb(1), Draw(1)],
        vec![Absorb(2), Draw(1)],
        vec![Absorb(3), Draw(1)],
        vec![Absorb(4), Draw(2), Absorb(1), Draw(1)],
        vec![Absorb(5), Draw(7)],
        vec![Absorb(1), Absorb(1), Draw(3), Absorb(2), Draw(2), Absorb(9), Draw(1)],
        vec![Absorb(2), Draw(1), Absorb(2), Draw(1), Absorb(2), Draw(1)],
    ] {
        assert_eq!(native(&steps), described(&steps), "{steps:?}");
    }
}

#[test]
fn vectors() {
    // Domain 42; scalars are 1, 2, 3, …; the last challenge of each run.
    for (steps, expected) in [
        (vec![Absorb(1), Draw(1)], "0x0116be38ca91fb45cf235aae7465fa788b84b951361037215aa161ff0e9fa00f"),
        (vec![Absorb(2), Draw(1)], "0x22795d57fbca1777041061db8bec93b77d1c216fa767b7765d0d1ed4b32147c2"),
        (vec![Absorb(2), Draw(2)], "0x1d68a8f46ecce9b99ceba3db97d465104573d4f0d3f6f22f0064920e98651fa7"),
        (vec![Absorb(3), Draw(1)], "0x1a0afdcf8fd72c904dde918444bc724898f94530aa4c66de58f595defbb29627"),
        (vec![Absorb(7), Draw(3)], "0x2ea5f25ebf4e8203a3d4aac107af57b7f6d8a70ffedcfc60c85256865c35aaad"),
        (
            vec![Absorb(2), Draw(1), Absorb(1), Draw(1)],
            "0x280e8634e28b1e920937045782bb722fe604d946b3ec13255873cbd404f8ac3a",
        ),
        (vec![Draw(1)], "0x064a97c1f558dd55f8c372c198efc4c7f5edc5ffd0bccef40c276f6665248d74"),
    ] {
        let drawn = native(&steps);
        let last = format!("{:?}", drawn.last().unwrap());
        assert_eq!(last, expected, "{steps:?}");
    }
}

#[test]
fn one_permutation_per_short_message() {
    for (steps, permutations) in [
        (vec![Absorb(1), Draw(1)], 1),
        (vec![Absorb(2), Draw(2)], 1),
        (vec![Absorb(2), Draw(3)], 2),
        (vec![Absorb(3), Draw(1)], 2),
        (vec![Absorb(4), Draw(1)], 2),
        (vec![Absorb(7), Draw(1)], 4),
        (vec![Absorb(2), Draw(1), Absorb(2), Draw(1), Absorb(1), Draw(1)], 3),
        (vec![Absorb(2)], 0),
    ] {
        let mut recorder = Recorder::default();
        run(&mut recorder, &steps, |a, _| a.input(()));
        assert_eq!(recorder.cost().permutations, permutations, "{steps:?}");
        let mut taped = Taped::new(Native);
        run(&mut taped, &steps, |a, number| a.input(Fr::from(number)));
        assert_eq!(taped.tape(), recorder.tape());
    }
}

/// The last challenge after absorbing what `groups` lists, a draw after each group.
fn last_challenge(domain: u64, groups: &[&[u64]]) -> Fr {
    let a = &mut Native;
    let mut transcript = Transcript::new(a, Fr::from(domain));
    let mut last = Fr::ZERO;
    for group in groups {
        for scalar in *group {
            transcript.absorb(a, "scalar", &Fr::from(*scalar));
        }
        last = transcript.challenge(a, "challenge");
    }
    last
}

#[test]
fn different_histories_give_different_challenges() {
    let histories: [(u64, &[&[u64]]); 16] = [
        (0, &[&[]]),
        (1, &[&[]]),
        (0, &[&[0]]),
        (0, &[&[0, 0]]),
        (0, &[&[0, 0, 0]]),
        (0, &[&[0, 0, 0, 0]]),
        (0, &[&[0, 0], &[0, 0]]),
        (0, &[&[0], &[0]]),
        (0, &[&[0], &[0, 0]]),
        (0, &[&[0, 0], &[0]]),
        (0, &[&[1, 2]]),
        (0, &[&[2, 1]]),
        (0, &[&[1], &[2]]),
        (0, &[&[1, 2], &[3]]),
        (0, &[&[1, 2, 3]]),
        (1, &[&[1, 2, 3]]),
    ];
    let mut challenges: Vec<_> =
        histories.iter().map(|(domain, groups)| last_challenge(*domain, groups).to_repr()).collect();
    challenges.sort_unstable();
    challenges.dedup();
    assert_eq!(challenges.len(), histories.len());
}

#[test]
fn a_challenge_depends_on_everything_before_it() {
    let scalars: Vec<u64> = (1..=9).collect();
    let honest = last_challenge(5, &[&scalars]);
    for place in 0..scalars.len() {
        let mut changed = scalars.clone();
        changed[place] += 100;
        assert_ne!(last_challenge(5, &[&changed]), honest);
    }
}

#[test]
fn an_unused_challenge_is_dropped_by_the_next_absorption() {
    let a = &mut Native;
    let mut transcript = Transcript::new(a, Fr::ONE);
    transcript.absorb(a, "scalar", &Fr::ONE);
    let first = transcript.challenge(a, "first");
    transcript.absorb(a, "scalar", &Fr::ONE);
    let second = transcript.challenge(a, "second");
    let third = transcript.challenge(a, "third");
    assert!(first != second && second != third && first != third);
    let expected = ["first", "second", "third"];
    let draws: Vec<_> = transcript
        .events()
        .iter()
        .filter_map(|event| if let Event::Challenge(label) = event { Some(*label) } else { None })
        .collect();
    assert_eq!(draws, expected);
    assert_eq!(transcript.events().len(), 5);
}
