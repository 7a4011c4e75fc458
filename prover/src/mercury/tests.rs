//! Complete for honest provers, and closed to dishonest ones.

use std::sync::LazyLock;

use lorica_circuits::bn254::{Curve, G1Affine, PrimeCurveAffine};
use lorica_verifier::protocol::arithmetic::ArithmeticError;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Taped};
use lorica_verifier::protocol::group::{GroupClaim, GroupError, VerifierKey};
use lorica_verifier::protocol::mercury::{MercuryMessages, mercury_field_part};
use lorica_verifier::protocol::transcript::Event;

use super::*;

static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(10).unwrap());
static KEY: LazyLock<VerifierKey> = LazyLock::new(|| SRS.verifier_key());

/// A fixed sequence of field elements.
fn scalars(seed: u64, count: usize) -> Vec<Fr> {
    let mut state = Fr::from(seed) + Fr::from(3).pow_vartime([200]);
    (0..count)
        .map(|index| {
            state = state.square() + Fr::from(index as u64 + 1);
            state
        })
        .collect()
}

/// A statement: f, its commitment, a point, the value.
struct Statement {
    coefficients: Vec<Fr>,
    commitment: G1Affine,
    point: Vec<Fr>,
    value: Fr,
}

impl Statement {
    fn new(variables: usize, cells: usize, blinding: usize) -> Self {
        let mut coefficients = scalars(1, cells);
        let point = scalars(2, variables);
        let value = evaluate_multilinear(&coefficients, &point);
        if blinding > 0 {
            coefficients.resize(1 << variables, Fr::ZERO);
            coefficients.extend(scalars(3, blinding));
        }
        let commitment = crate::commit::commit(&SRS, &coefficients).unwrap();
        Self { coefficients, commitment, point, value }
    }

    fn transcript(&self) -> Transcript<Native> {
        let mut transcript = Transcript::new(&mut Native, Fr::from(99));
        transcript.absorb(&mut Native, "commitment", &digest_points(&[self.commitment]));
        transcript.absorb_all(&mut Native, "point", &self.point);
        transcript
    }

    fn open(&self) -> MercuryProof {
        open(&SRS, &self.coefficients, &self.point, &self.value, &mut self.transcript()).unwrap()
    }

    fn open_with(&self, value: Fr, mut deviation: impl Deviation) -> MercuryProof {
        open_with(&SRS, &self.coefficients, &self.point, &value, &mut self.transcript(), &mut deviation).unwrap()
    }

    fn claim(&self, value: &Fr, proof: &MercuryProof) -> Result<GroupClaim, ArithmeticError> {
        let messages = proof.messages();
        let outcome = mercury_field_part(&mut Native, &mut self.transcript(), &self.point, value, &messages)?;
        Ok(GroupClaim { variables: self.point.len(), outcome, messages, terms: vec![(Fr::ONE, self.commitment)] })
    }

    fn verify(&self, value: &Fr, proof: &MercuryProof) -> Result<(), GroupError> {
        self.claim(value, proof).unwrap().check(&KEY, proof)
    }
}

#[test]
fn the_value_is_the_sum_over_the_hypercube() {
    let point = scalars(5, 5);
    let values = scalars(6, 27);
    let direct: Fr = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let eq: Fr =
                point.iter().enumerate().map(|(bit, u)| if index >> bit & 1 == 1 { *u } else { Fr::ONE - u }).product();
            eq * value
        })
        .sum();
    assert_eq!(evaluate_multilinear(&values, &point), direct);
    // Lowest bit first: f = (1 − u₀) a + u₀ b at the corner (1, 0).
    assert_eq!(evaluate_multilinear(&values[..4], &[Fr::ONE, Fr::ZERO]), values[1]);
}

#[test]
fn honest_openings_are_accepted() {
    for variables in 0..=10 {
        let cells = 1 << variables;
        for (cells, blinding) in
            [(cells, 0), (cells, 1), (cells, 8), (cells, 63), (cells, 64), (1, 0), (cells / 2 + 1, 3)]
        {
            let statement = Statement::new(variables, cells, blinding);
            let proof = statement.open();
            assert_eq!(statement.verify(&statement.value, &proof), Ok(()), "{variables} {cells} {blinding}");
        }
    }
}

#[test]
fn points_on_the_hypercube_and_zero_polynomials_are_accepted() {
    let mut statement = Statement::new(6, 64, 8);
    for corner in [0usize, 1, 37, 63] {
        statement.point = (0..6).map(|bit| Fr::from((corner >> bit & 1) as u64)).collect();
        statement.value = statement.coefficients[corner];
        assert_eq!(statement.verify(&statement.value, &statement.open()), Ok(()));
    }
    let mut zero = Statement::new(6, 64, 0);
    zero.coefficients = vec![Fr::ZERO; 64];
    (zero.commitment, zero.value) = (G1Affine::identity(), Fr::ZERO);
    assert_eq!(zero.verify(&Fr::ZERO, &zero.open()), Ok(()));
    assert_eq!(zero.verify(&Fr::ONE, &zero.open()), Err(GroupError::Pairing));
}

#[test]
fn blinding_changes_the_proof_and_not_the_value() {
    let plain = Statement::new(8, 256, 0);
    let blinded = Statement::new(8, 256, 9);
    assert_eq!(plain.value, blinded.value);
    let (plain, blinded) = (plain.open(), blinded.open());
    assert_ne!(plain.h, blinded.h);
    assert_ne!(plain.q, blinded.q);
    for (plain, blinded) in plain.evaluations.as_array().iter().zip(blinded.evaluations.as_array()) {
        assert_ne!(*plain, blinded);
    }
}

#[test]
fn a_combination_of_commitments_is_opened() {
    let (first, second) = (Statement::new(6, 64, 8), Statement::new(6, 40, 2));
    let factor = Fr::from(77);
    let mut combined = Statement::new(6, 64, 8);
    combined.coefficients = first.coefficients.clone();
    add_scaled(&mut combined.coefficients, &second.coefficients, &factor);
    combined.value = first.value + factor * second.value;
    let proof = combined.open();
    let mut claim = combined.claim(&combined.value, &proof).unwrap();
    claim.terms = vec![(Fr::ONE, first.commitment), (factor, second.commitment)];
    assert_eq!(claim.check(&KEY, &proof), Ok(()));
    claim.terms[1].0 += Fr::ONE;
    assert_eq!(claim.check(&KEY, &proof), Err(GroupError::Pairing));
    claim.terms.pop();
    assert_eq!(claim.check(&KEY, &proof), Err(GroupError::Pairing));
}

#[test]
fn callers_mistakes_are_refused() {
    let statement = Statement::new(6, 64, 0);
    let attempt = |coefficients: &[Fr], point: &[Fr], value: &Fr| {
        open(&SRS, coefficients, point, value, &mut statement.transcript()).unwrap_err()
    };
    let wrong = statement.value + Fr::ONE;
    assert!(matches!(attempt(&statement.coefficients, &statement.point, &wrong), MercuryError::WrongValue));
    let long = scalars(1, 129);
    let error = attempt(&long, &statement.point, &Fr::ZERO);
    assert!(matches!(error, MercuryError::TooManyCoefficients { found: 129, most: 128, variables: 6 }));
    let error = attempt(&scalars(1, 2000), &scalars(2, 11), &Fr::ZERO);
    assert!(matches!(error, MercuryError::Srs(SrsError::TooSmall { needed: 2000, available: 1088 })));
}

/// Every field of the proof has a case: the pattern without `..` makes a new field fail to compile here.
fn tampered(proof: &MercuryProof) -> Vec<(String, MercuryProof)> {
    let MercuryProof { h, q, g, s, d, quot, w, w_prime, evaluations: _ } = proof;
    let points: [(&str, &G1Affine, fn(&mut MercuryProof) -> &mut G1Affine); 8] = [
        ("h", h, |proof| &mut proof.h),
        ("q", q, |proof| &mut proof.q),
        ("g", g, |proof| &mut proof.g),
        ("s", s, |proof| &mut proof.s),
        ("d", d, |proof| &mut proof.d),
        ("quot", quot, |proof| &mut proof.quot),
        ("w", w, |proof| &mut proof.w),
        ("w_prime", w_prime, |proof| &mut proof.w_prime),
    ];
    let mut cases = Vec::new();
    for (name, point, field) in &points {
        let replacements = [
            ("another point", (**point + G1Affine::generator()).to_affine()),
            ("the opposite", -**point),
            ("the identity", G1Affine::identity()),
        ];
        for (how, replacement) in replacements {
            let mut proof = proof.clone();
            *field(&mut proof) = replacement;
            cases.push((format!("{name}: {how}"), proof));
        }
        for (other, value, _) in &points {
            if other != name {
                let mut proof = proof.clone();
                *field(&mut proof) = **value;
                cases.push((format!("{name}: {other}"), proof));
            }
        }
    }
    for changed in 0..6 {
        let mut place = 0;
        let mut proof = proof.clone();
        proof.evaluations = proof.evaluations.map(|value| {
            place += 1;
            if place == changed + 1 { value + Fr::ONE } else { value }
        });
        cases.push((format!("evaluation {changed}"), proof));
    }
    let mut swap = |name: &str, edit: fn(&mut Evaluations<Fr>)| {
        let mut proof = proof.clone();
        edit(&mut proof.evaluations);
        cases.push((format!("swapped {name}"), proof));
    };
    swap("g", |e| std::mem::swap(&mut e.g, &mut e.g_inverse));
    swap("h", |e| std::mem::swap(&mut e.h, &mut e.h_inverse));
    swap("s", |e| std::mem::swap(&mut e.s, &mut e.s_inverse));
    swap("g and h", |e| std::mem::swap(&mut e.g, &mut e.h));
    cases
}

#[test]
fn tampered_proofs_are_rejected() {
    let statement = Statement::new(8, 256, 8);
    let proof = statement.open();
    let cases = tampered(&proof);
    assert_eq!(cases.len(), 8 * 10 + 10);
    for (name, tampered) in cases {
        // With a transcript of its own, and with the honest one's field part.
        assert_eq!(statement.verify(&statement.value, &tampered), Err(GroupError::Pairing), "{name}");
        let claim = statement.claim(&statement.value, &proof).unwrap();
        let replayed = claim.check(&KEY, &tampered);
        if tampered.w_prime != proof.w_prime {
            assert_eq!(replayed, Err(GroupError::Pairing), "{name}");
        } else {
            assert!(matches!(replayed, Err(GroupError::Digest { .. })), "{name}");
        }
    }
}

#[test]
fn wrong_statements_are_rejected() {
    let statement = Statement::new(7, 128, 8);
    let proof = statement.open();
    assert_eq!(statement.verify(&(statement.value + Fr::ONE), &proof), Err(GroupError::Pairing));
    for coordinate in 0..7 {
        let mut other = Statement::new(7, 128, 8);
        other.point[coordinate] += Fr::ONE;
        assert_eq!(other.verify(&statement.value, &proof), Err(GroupError::Pairing));
    }
    let mut other = Statement::new(7, 128, 8);
    other.commitment = (other.commitment + G1Affine::generator()).to_affine();
    assert_eq!(other.verify(&statement.value, &proof), Err(GroupError::Pairing));
    // Other shapes, same coordinates.
    for variables in [6, 8] {
        let mut other = Statement::new(7, 128, 8);
        other.point.resize(variables, Fr::ZERO);
        assert_eq!(other.verify(&statement.value, &proof), Err(GroupError::Pairing));
        let mut claim = statement.claim(&statement.value, &proof).unwrap();
        claim.variables = variables;
        // 7 and 8 variables have the same number of columns.
        let expected = if variables == 8 { Ok(()) } else { Err(GroupError::Pairing) };
        assert_eq!(claim.check(&KEY, &proof), expected);
    }
    let foreign = VerifierKey::new(*SRS.g2(), (*SRS.tau_g2() + *SRS.g2()).to_affine());
    let claim = statement.claim(&statement.value, &proof).unwrap();
    assert_eq!(claim.check(&foreign, &proof), Err(GroupError::Pairing));
}

#[test]
fn changed_words_are_rejected() {
    let statement = Statement::new(6, 64, 8);
    let proof = statement.open();
    let claim = statement.claim(&statement.value, &proof).unwrap();
    for changed in 0..5 {
        let mut place = 0;
        let mut claim = claim.clone();
        claim.outcome = claim.outcome.map(|word| {
            place += 1;
            if place == changed + 1 { word + Fr::ONE } else { word }
        });
        assert_eq!(claim.check(&KEY, &proof), Err(GroupError::Pairing), "word {changed}");
    }
}

/// A prover that departs in one closure.
#[derive(Default)]
struct Forger<'a> {
    rows: Option<Box<dyn FnOnce(&mut Vec<Fr>) + 'a>>,
    #[expect(clippy::type_complexity, reason = "each closure takes what its step makes")]
    divided: Option<Box<dyn FnOnce(Fr, &mut Vec<Fr>, &mut Vec<Fr>) + 'a>>,
    #[expect(clippy::type_complexity, reason = "each closure takes what its step makes")]
    inner_products: Option<Box<dyn FnOnce(Fr, &mut Vec<Fr>, &mut Vec<Fr>) + 'a>>,
    #[expect(clippy::type_complexity, reason = "each closure takes what its step makes")]
    evaluated: Option<Box<dyn FnOnce(Fr, &mut Evaluations<Fr>) + 'a>>,
}

impl Deviation for Forger<'_> {
    fn rows(&mut self, h: &mut Vec<Fr>) {
        if let Some(edit) = self.rows.take() {
            edit(h);
        }
    }

    fn divided(&mut self, alpha: Fr, q: &mut Vec<Fr>, g: &mut Vec<Fr>) {
        if let Some(edit) = self.divided.take() {
            edit(alpha, q, g);
        }
    }

    fn inner_products(&mut self, gamma: Fr, s: &mut Vec<Fr>, d: &mut Vec<Fr>) {
        if let Some(edit) = self.inner_products.take() {
            edit(gamma, s, d);
        }
    }

    fn evaluated(&mut self, zeta: Fr, evaluations: &mut Evaluations<Fr>) {
        if let Some(edit) = self.evaluated.take() {
            edit(zeta, evaluations);
        }
    }
}

#[test]
fn a_forger_who_does_nothing_is_honest() {
    let statement = Statement::new(6, 64, 8);
    let proof = statement.open_with(statement.value, Forger::default());
    assert_eq!(proof, statement.open());
}

#[test]
fn a_wrong_value_carried_through_honestly_is_rejected() {
    let statement = Statement::new(6, 64, 8);
    let wrong = statement.value + Fr::ONE;
    let proof = statement.open_with(wrong, Forger::default());
    assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing));
}

#[test]
fn rows_of_another_polynomial_are_rejected() {
    // ⟨h, eq(u_hi)⟩ is the wrong value; only h(α) = ⟨g, eq(u_lo)⟩ is against it.
    let statement = Statement::new(6, 64, 8);
    let eq_high = eq_low_first(&statement.point[3..]);
    let wrong = statement.value + eq_high[5];
    let rows = Box::new(|h: &mut Vec<Fr>| h[5] += Fr::ONE);
    let proof = statement.open_with(wrong, Forger { rows: Some(rows), ..Forger::default() });
    assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing));
}

#[test]
fn g_of_degree_b_is_rejected() {
    // f = (X^b − α)(q − t) + (g + (X^b − α) t) holds for any t, and g's coefficients change as the forger likes: with
    // this t, ⟨g, eq(u_lo)⟩ is what the wrong rows need. Only d, the reversal of g, is against it.
    let statement = Statement::new(6, 64, 8);
    let (eq_low, eq_high) = (eq_low_first(&statement.point[..3]), eq_low_first(&statement.point[3..]));
    let wrong = statement.value + eq_high[2];
    for reversed_beyond_b in [false, true] {
        let rows = Box::new(|h: &mut Vec<Fr>| h[2] += Fr::ONE);
        let divided = Box::new(|alpha: Fr, q: &mut Vec<Fr>, g: &mut Vec<Fr>| {
            let t = -alpha.square() * (alpha * eq_low[0]).invert().unwrap();
            q[0] -= t;
            g[0] -= alpha * t;
            g.push(t);
        });
        let inner_products = Box::new(move |_: Fr, _: &mut Vec<Fr>, d: &mut Vec<Fr>| {
            // `open_with` cut the top coefficient off; the other try is X^b g(1/X), which has degree b.
            if reversed_beyond_b {
                let constant = d[7];
                d.push(constant);
            }
        });
        let forger = Forger {
            rows: Some(rows),
            divided: Some(divided),
            inner_products: Some(inner_products),
            ..Forger::default()
        };
        let proof = statement.open_with(wrong, forger);
        assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing));
    }
}

#[test]
fn forged_inner_products_are_rejected() {
    let statement = Statement::new(6, 64, 8);
    let wrong = statement.value + Fr::ONE;
    for place in [0, 3, 20] {
        let inner_products = Box::new(move |gamma: Fr, s: &mut Vec<Fr>, _: &mut Vec<Fr>| {
            if s.len() <= place {
                s.resize(place + 1, Fr::ZERO);
            }
            s[place] += gamma;
        });
        let proof = statement.open_with(wrong, Forger { inner_products: Some(inner_products), ..Forger::default() });
        assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing));
    }
}

#[test]
fn forged_evaluations_are_rejected() {
    // The identity at ζ is made to hold for the wrong value by one evaluation; its opening is against it.
    let statement = Statement::new(6, 64, 8);
    let wrong = statement.value + Fr::ONE;
    for which in 0..6 {
        let gamma = std::cell::Cell::new(Fr::ZERO);
        let (low, high) = statement.point.split_at(3);
        let forger = Forger {
            inner_products: Some(Box::new(|drawn, _, _| gamma.set(drawn))),
            evaluated: Some(Box::new(|zeta, evaluations| {
                let inverse = zeta.invert().unwrap();
                let (low_0, low_1) = (evaluate(&eq_low_first(low), &zeta), evaluate(&eq_low_first(low), &inverse));
                let (high_0, high_1) = (evaluate(&eq_low_first(high), &zeta), evaluate(&eq_low_first(high), &inverse));
                let missing = gamma.get().double();
                let correction = |factor: Fr| missing * factor.invert().unwrap();
                match which {
                    0 => evaluations.g += correction(low_1),
                    1 => evaluations.g_inverse += correction(low_0),
                    2 => evaluations.h += correction(gamma.get() * high_1),
                    3 => evaluations.h_inverse += correction(gamma.get() * high_0),
                    4 => evaluations.s -= correction(zeta),
                    _ => evaluations.s_inverse -= correction(inverse),
                }
            })),
            ..Forger::default()
        };
        let proof = statement.open_with(wrong, forger);
        assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing), "evaluation {which}");
    }
}

#[test]
fn blinding_passed_off_as_cells_is_rejected() {
    // A value that counts the blinding row as if it were row 0.
    let statement = Statement::new(6, 64, 8);
    let (eq_low, eq_high) = (eq_low_first(&statement.point[..3]), eq_low_first(&statement.point[3..]));
    let wrong = statement.value + eq_high[0] * dot(&statement.coefficients[64..], &eq_low);
    for edit in [false, true] {
        let rows = Box::new(move |h: &mut Vec<Fr>| {
            if edit {
                let blinding = h.pop().unwrap();
                h[0] += blinding;
            }
        });
        let proof = statement.open_with(wrong, Forger { rows: Some(rows), ..Forger::default() });
        assert_eq!(statement.verify(&wrong, &proof), Err(GroupError::Pairing));
    }
}

#[test]
fn the_field_part_depends_on_the_shape_alone() {
    let tape = |statement: &Statement| {
        let proof = statement.open();
        let mut taped = Taped::new(Native);
        let mut transcript = Transcript::new(&mut taped, Fr::from(99));
        let point: Vec<_> = statement.point.iter().map(|scalar| taped.input(*scalar)).collect();
        let value = taped.input(statement.value);
        let messages = proof.messages().map(|scalar| taped.input(scalar));
        mercury_field_part(&mut taped, &mut transcript, &point, &value, &messages).unwrap();
        (taped.tape(), taped.cost())
    };
    let mut zero = Statement::new(6, 64, 0);
    zero.coefficients = vec![Fr::ZERO; 64];
    (zero.commitment, zero.value) = (G1Affine::identity(), Fr::ZERO);
    let expected = tape(&zero);
    assert_eq!(tape(&Statement::new(6, 64, 8)), expected);

    let mut recorder = Recorder::default();
    let mut transcript = Transcript::new(&mut recorder, Fr::from(99));
    let point: Vec<_> = (0..6).map(|_| recorder.input(())).collect();
    let value = recorder.input(());
    let evaluations = Evaluations { g: (), g_inverse: (), h: (), h_inverse: (), s: (), s_inverse: () };
    let messages = MercuryMessages { d_h: (), d_qg: (), d_sd: (), evaluations, d_quot: (), d_w: () };
    let messages = messages.map(|()| recorder.input(()));
    mercury_field_part(&mut recorder, &mut transcript, &point, &value, &messages).unwrap();
    assert_eq!((recorder.tape(), recorder.cost()), expected);
    assert_eq!(recorder.cost().permutations, 8);
    let draws: Vec<&str> = transcript
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Challenge(label) => Some(*label),
            Event::Absorb(_) => None,
        })
        .collect();
    assert_eq!(draws, ["mercury alpha", "mercury gamma", "mercury zeta", "mercury beta", "mercury z"]);
}

#[test]
fn prover_and_verifier_make_the_same_calls() {
    let statement = Statement::new(6, 64, 8);
    let mut prover = statement.transcript();
    let proof = open(&SRS, &statement.coefficients, &statement.point, &statement.value, &mut prover).unwrap();
    let mut verifier = statement.transcript();
    mercury_field_part(&mut Native, &mut verifier, &statement.point, &statement.value, &proof.messages()).unwrap();
    assert_eq!(prover.events(), verifier.events());
    assert_eq!(prover.challenge(&mut Native, "next"), verifier.challenge(&mut Native, "next"));
}

#[test]
fn every_message_changes_the_challenges_after_it() {
    let statement = Statement::new(6, 64, 8);
    let proof = statement.open();
    let run = |value: &Fr, messages: &MercuryMessages<Fr>| {
        let outcome =
            mercury_field_part(&mut Native, &mut statement.transcript(), &statement.point, value, messages).unwrap();
        [outcome.alpha, outcome.zeta, outcome.beta, outcome.z]
    };
    let honest = run(&statement.value, &proof.messages());
    // How many of the four challenges come before the message.
    let first_changed = [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3];
    for (place, unchanged) in first_changed.into_iter().enumerate() {
        let mut index = 0;
        let messages = proof.messages().map(|scalar| {
            index += 1;
            if index == place + 1 { scalar + Fr::ONE } else { scalar }
        });
        let changed = run(&statement.value, &messages);
        for (challenge, (new, old)) in changed.iter().zip(&honest).enumerate() {
            assert_eq!(new == old, challenge < unchanged, "message {place}, challenge {challenge}");
        }
    }
    assert!(run(&(statement.value + Fr::ONE), &proof.messages()).iter().zip(&honest).all(|(new, old)| new != old));
}

/// What an opening shows of f besides one pairing equation: the logarithms, to a secret τ, of f, h, g, s, d, quot and W
/// (q and W' follow by the equations), and the constant of the group claim. For fixed challenges all are linear in f.
fn revealed(f: &[Fr], point: &[Fr], challenges: &[Fr; 6]) -> [Fr; 8] {
    let [alpha, gamma, zeta, beta, z, tau] = challenges;
    let zeta_inverse = zeta.invert().unwrap();
    let (low, high) = point.split_at(column_variables(point.len()));
    let (eq_low, eq_high) = (eq_low_first(low), eq_low_first(high));
    let h = row_sums(f, &eq_low);
    let (q, g) = divide_by_binomial(f, eq_low.len(), alpha);
    let s = inner_product_polynomial(&[(Fr::ONE, &g, &eq_low), (*gamma, &h, &eq_high)]);
    let mut d = g.clone();
    d.resize(eq_low.len(), Fr::ZERO);
    d.reverse();

    let at = |p: &[Fr], x: &Fr| evaluate(p, x);
    let pair = [*zeta, zeta_inverse];
    let line = |p: &[Fr]| interpolate_two(pair, pair.map(|x| at(p, &x))).unwrap();
    let (g_claim, s_claim, d_claim) = (line(&g), line(&s), vec![at(&d, zeta)]);
    let nodes = [*zeta, zeta_inverse, *alpha];
    let h_claim = interpolate_three(nodes, nodes.map(|x| at(&h, &x))).unwrap();
    let opened = [(&g, &g_claim), (&h, &h_claim), (&s, &s_claim), (&d, &d_claim)];
    let weights = |x: &Fr| OpeningWeights::new(&mut Native, alpha, zeta, beta, x);
    let each = |w: &OpeningWeights<Fr>| [w.g, w.h, w.s, w.d];

    let at_tau = weights(tau);
    let numerator: Fr =
        each(&at_tau).iter().zip(opened).map(|(w, (p, claim))| *w * (at(p, tau) - at(claim, tau))).sum();
    let w = -numerator * at_tau.w.invert().unwrap();
    let factor = zeta.pow_vartime([eq_low.len() as u64]) - alpha;
    let quot = (at(f, tau) - factor * at(&q, tau) - at(&g, zeta)) * (tau - zeta).invert().unwrap();
    let claimed: Fr = each(&weights(z)).iter().zip(opened).map(|(w, (_, claim))| *w * at(claim, z)).sum();
    [at(f, tau), at(&h, tau), at(&g, tau), at(&s, tau), at(&d, tau), quot, w, -(at(&g, zeta) + claimed)]
}

fn rank(mut rows: Vec<[Fr; 8]>) -> usize {
    let mut rank = 0;
    for column in 0..8 {
        let Some(pivot) = (rank..rows.len()).find(|&row| rows[row][column] != Fr::ZERO) else { continue };
        rows.swap(rank, pivot);
        let own = rows[rank];
        let inverse = own[column].invert().unwrap();
        for row in rows.iter_mut().skip(rank + 1) {
            let factor = row[column] * inverse;
            row.iter_mut().zip(own).for_each(|(entry, own)| *entry -= factor * own);
        }
        rank += 1;
    }
    rank
}

#[test]
fn the_mask_covers_all_that_an_opening_shows() {
    let variables = 10;
    let columns = 1 << column_variables(variables);
    let point = scalars(2, variables);
    let challenges: [Fr; 6] = scalars(77, 6).try_into().unwrap();
    let images = |cells: &mut dyn Iterator<Item = usize>| -> Vec<[Fr; 8]> {
        cells
            .map(|cell| {
                let mut f = vec![Fr::ZERO; 1 << variables];
                f[cell] = Fr::ONE;
                revealed(&f, &point, &challenges)
            })
            .collect()
    };
    let mask = crate::blinding::mask_cells(variables as u32);
    assert_eq!(mask.len(), 64);
    // Full rank: whatever the cells are, the mask makes the eight values uniform and independent of them.
    assert_eq!(rank(images(&mut mask.iter().copied())), 8);
    // Masks that would not do.
    assert!(rank(images(&mut (0..columns))) < 8, "row 0 never reaches the quotient");
    assert!(rank(images(&mut (1..columns).map(|row| row * columns).take(16))) < 8, "one column");

    // The functionals are those of a real opening: the constant is the one of the group claim.
    let statement = Statement::new(8, 256, 3);
    let proof = statement.open();
    let claim = statement.claim(&statement.value, &proof).unwrap();
    let o = claim.outcome;
    let tau = lorica_verifier::protocol::group::development_trapdoor();
    let gamma = gamma_of(&statement, &proof);
    let shown = revealed(&statement.coefficients, &statement.point, &[o.alpha, gamma, o.zeta, o.beta, o.z, tau]);
    assert_eq!(shown[7], o.constant);
    let generator = G1Affine::generator();
    let points = [statement.commitment, proof.h, proof.g, proof.s, proof.d, proof.quot, proof.w];
    for (value, point) in shown.iter().zip(points) {
        assert_eq!((generator * value).to_affine(), point);
    }
}

/// The same of a combination of several tiles, of which some are an index' and have a coefficient of their own beyond the cells: it
/// is one opening, and the mask's cells enter it with one factor.
#[test]
fn the_mask_covers_openings_of_blinded_index_tiles() {
    let variables = 8;
    let size = 1usize << variables;
    let point = scalars(2, variables);
    let generator = G1Affine::generator();
    for bits in [3, 4, 5] {
        let weights = eq_low_first(&scalars(50 + bits as u64, bits));
        // Half of the tiles are an index', the last is the mask.
        let (tiles, index) = (weights.len(), weights.len() / 2);
        let combined = |blinding: &[Fr], mask: &[(usize, Fr)]| {
            let mut f = vec![Fr::ZERO; size + 1];
            for (tile, weight) in weights.iter().enumerate().take(tiles - 1) {
                add_scaled(&mut f, &scalars(100 + tile as u64, size), weight);
            }
            f[size] = weights.iter().zip(blinding).map(|(weight, own)| *weight * own).sum();
            mask.iter().for_each(|(cell, own)| f[*cell] += weights[tiles - 1] * own);
            f
        };
        let blinding = scalars(60, index);
        let statement = {
            let coefficients = combined(&blinding, &[(5, Fr::from(77))]);
            let value = evaluate_multilinear(&coefficients[..size], &point);
            let commitment = crate::commit::commit(&SRS, &coefficients).unwrap();
            Statement { coefficients, commitment, point: point.clone(), value }
        };
        let proof = statement.open();
        assert_eq!(statement.verify(&statement.value, &proof), Ok(()));
        // At the challenges of that opening, whose points these are.
        let o = statement.claim(&statement.value, &proof).unwrap().outcome;
        let gamma = gamma_of(&statement, &proof);
        let tau = lorica_verifier::protocol::group::development_trapdoor();
        let challenges = [o.alpha, gamma, o.zeta, o.beta, o.z, tau];
        let shown = |f: &[Fr]| revealed(f, &point, &challenges);
        let honest = shown(&statement.coefficients);
        assert_eq!(honest[7], o.constant);
        let points = [statement.commitment, proof.h, proof.g, proof.s, proof.d, proof.quot, proof.w];
        for (value, point) in honest.iter().zip(points) {
            assert_eq!((generator * value).to_affine(), point);
        }
        // What one coefficient moves.
        let plain = shown(&combined(&blinding, &[]));
        let moved = |f: Vec<Fr>| -> [Fr; 8] {
            let own = shown(&f);
            std::array::from_fn(|i| own[i] - plain[i])
        };
        let mask = crate::blinding::mask_cells(variables as u32);
        let of_mask = mask.iter().map(|cell| moved(combined(&blinding, &[(*cell, Fr::ONE)])));
        assert_eq!(rank(of_mask.collect()), 8, "{bits} bits");
        // The index' own coefficients meet in one: they hide nothing of an opening.
        let of_index = (0..index).map(|tile| {
            let mut other = blinding.clone();
            other[tile] += Fr::ONE;
            moved(combined(&other, &[]))
        });
        assert_eq!(rank(of_index.collect()), 1, "{bits} bits");
    }
}

/// The challenge γ of an opening, which is no public word.
fn gamma_of(statement: &Statement, proof: &MercuryProof) -> Fr {
    let a = &mut Native;
    let messages = proof.messages();
    let mut transcript = statement.transcript();
    transcript.absorb(a, "mercury value", &statement.value);
    transcript.absorb(a, "mercury D(h)", &messages.d_h);
    transcript.challenge(a, "mercury alpha");
    transcript.absorb(a, "mercury D(q,g)", &messages.d_qg);
    transcript.challenge(a, "mercury gamma")
}
