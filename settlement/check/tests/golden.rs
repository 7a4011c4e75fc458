//! The check on real settlements, without a prover: golden settlements are accepted, and no byte of them, of their keys, or
//! of a key whose parts still fit each other may change. `settlement/tests/golden.rs` writes the files;
//! `chain/tests/snark_verifier.rs` compares the check of halo2's proof with three other ones.

use std::fs;
use std::path::PathBuf;
use std::thread;

use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine, PrimeCurveAffine};
use lorica_circuits::shape::Shape;
use lorica_settlement_check::binding::{Binding, BindingError, BoundRequest};
use lorica_settlement_check::halo2::{HaloProof, PROOF_BYTES};
use lorica_settlement_check::key::{CircuitKey, MAX_LOG_ROWS};
use lorica_settlement_check::{Answer, CheckError, CircuitShape, KeyError, Settlement, SettlementError, VerifyingKey};
use lorica_verifier::protocol::group::GroupError;
use lorica_verifier::protocol::keccak::{decode_point, encode_point, encode_scalar, keccak};
use lorica_verifier::protocol::key::AdapterCommitments;
use lorica_verifier::{AdapterKey, BaseKey};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Golden {
    base: BaseKey,
    adapters: Vec<AdapterCommitments>,
    key: VerifyingKey,
    settlement: Settlement,
}

impl Golden {
    fn read(kind: &str) -> Self {
        let adapters = ["a.vk", "b.vk"].map(|name| AdapterKey::decode(&file(name)).unwrap().commitments);
        Self {
            base: BaseKey::decode(&file("base.vk")).unwrap(),
            adapters: adapters.into(),
            key: VerifyingKey::decode(&file(&format!("{kind}.vk"))).unwrap(),
            settlement: Settlement::decode(&file(&format!("{kind}.settlement"))).unwrap(),
        }
    }

    fn check(&self, settlement: &Settlement) -> Result<(), SettlementError> {
        settlement.check(&self.key, &self.base.commitments, &self.adapters)
    }

    /// The settlement under another key, whose circuit it names.
    fn under(&self, key: &VerifyingKey) -> Result<(), SettlementError> {
        let settlement = Settlement { circuit: key.circuit_id(), ..self.settlement.clone() };
        settlement.check(key, &self.base.commitments, &self.adapters)
    }

    fn with_circuit(&self, circuit: CircuitKey) -> VerifyingKey {
        VerifyingKey::new(self.key.circuit_shape().clone(), *self.key.tau_g2(), circuit).unwrap()
    }
}

/// A true digest at the end.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 32;
    let digest = keccak(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    bytes
}

/// Runs a test on each index, on two threads.
fn each(count: usize, test: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for first in 0..2 {
            let test = &test;
            scope.spawn(move || (first..count).step_by(2).for_each(test));
        }
    });
}

const KINDS: [&str; 2] = ["classify", "embed"];

#[test]
fn golden_settlements_are_accepted() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        golden.check(&golden.settlement).unwrap();
        assert_eq!(golden.settlement.encode(), file(&format!("{kind}.settlement")));
        assert_eq!(golden.key.encode(), file(&format!("{kind}.vk")));
        assert_eq!(golden.settlement.proof.len(), PROOF_BYTES);
    }
}

#[test]
fn no_byte_of_a_settlement_may_change() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        let bytes = file(&format!("{kind}.settlement"));
        each(bytes.len() - 32, |index| {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << (index % 8);
            assert!(Settlement::decode(&changed).is_err(), "{kind}: byte {index} without a digest");
            if let Ok(forged) = Settlement::decode(&resealed(changed)) {
                assert!(golden.check(&forged).is_err(), "{kind}: byte {index}");
            }
        });
        for cut in (0..bytes.len()).step_by(61) {
            assert!(Settlement::decode(&bytes[..cut]).is_err(), "{kind}: cut to {cut}");
        }
        assert!(Settlement::decode(&resealed([&bytes[..], &[0; 40]].concat())).is_err());
    }
}

/// The circuit id at the end of a key binds all before it but the words of the architecture and the SRS.
#[test]
fn no_byte_of_a_key_may_change() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        let bytes = file(&format!("{kind}.vk"));
        each(bytes.len() - 32, |index| {
            let mut changed = bytes.clone();
            changed[index] ^= 1 << (index % 8);
            assert!(VerifyingKey::decode(&changed).is_err(), "{kind}: byte {index} without a digest");
            // What the circuit id does not hold is compared with the base.
            if let Ok(forged) = VerifyingKey::decode(&resealed(changed)) {
                let refused = golden.settlement.check(&forged, &golden.base.commitments, &golden.adapters);
                assert!(matches!(refused, Err(SettlementError::ForeignBase)), "{kind}: byte {index}");
            }
        });
        for cut in (0..bytes.len()).step_by(61) {
            assert!(VerifyingKey::decode(&bytes[..cut]).is_err(), "{kind}: cut to {cut}");
        }
    }
}

/// Keys whose parts fit each other, so that only the proof can tell.
#[test]
fn no_part_of_a_key_may_change() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        let own = golden.key.circuit();
        let (k, fixed, permutation) = (own.log_rows(), *own.fixed(), *own.permutation());
        golden.under(&golden.with_circuit(CircuitKey::new(k, fixed, permutation).unwrap())).unwrap();
        let rejected = |circuit: CircuitKey, what: &str| {
            let refused = golden.under(&golden.with_circuit(circuit));
            assert!(matches!(refused, Err(SettlementError::Check(CheckError::Rejected))), "{kind}: {what}");
        };
        for k in (1..=MAX_LOG_ROWS).filter(|other| *other != k) {
            rejected(CircuitKey::new(k, fixed, permutation).unwrap(), &format!("{k} bits of rows"));
        }
        let others = |point: G1Affine| [-point, (point + G1Affine::generator()).into(), G1Affine::identity()];
        for index in 0..fixed.len() {
            for other in others(fixed[index]).into_iter().filter(|other| *other != fixed[index]) {
                let mut changed = fixed;
                changed[index] = other;
                rejected(CircuitKey::new(k, changed, permutation).unwrap(), &format!("fixed column {index}"));
            }
        }
        for index in 0..permutation.len() {
            for other in others(permutation[index]) {
                let mut changed = permutation;
                changed[index] = other;
                rejected(CircuitKey::new(k, fixed, changed).unwrap(), &format!("permutation of column {index}"));
            }
        }
        // Another [τ]₂ is another base's, and another shape has other words.
        let of = golden.key.circuit_shape().clone();
        let other = VerifyingKey::new(of.clone(), G2Affine::generator(), own.clone()).unwrap();
        assert!(matches!(golden.under(&other), Err(SettlementError::ForeignBase)));
        let proof = HaloProof {
            words: golden.settlement.words(&golden.key, golden.base.commitments.scales_word(), None).to_vec(),
            bytes: golden.settlement.proof.clone(),
        };
        golden.key.check(&proof).unwrap();
        assert_eq!(other.check(&proof), Err(CheckError::Rejected));
        let Shape { requests, tokens, log_tile, output, records } = of.shape;
        for shape in [
            Shape { requests: requests + 1, tokens, log_tile, output, records },
            Shape { requests, tokens: 2 * tokens, log_tile, output, records },
        ] {
            if let Ok(other) =
                VerifyingKey::new(CircuitShape { shape, ..of.clone() }, *golden.key.tau_g2(), own.clone())
            {
                assert!(golden.under(&other).is_err(), "{kind}: {shape:?}");
            }
        }
    }
}

/// Each point and each scalar of halo2's proof by others that can be read too.
#[test]
fn no_part_of_a_proof_may_change() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        let rejected = |proof: Vec<u8>, what: String| {
            let refused = golden.check(&Settlement { proof, ..golden.settlement.clone() });
            assert!(matches!(refused, Err(SettlementError::Check(CheckError::Rejected))), "{kind}: {what}");
        };
        let honest = &golden.settlement.proof;
        let points = (0..13 * 64).step_by(64).chain([PROOF_BYTES - 128, PROOF_BYTES - 64]);
        for at in points {
            let point = decode_point(honest[at..at + 64].try_into().unwrap()).unwrap();
            for other in [-point, (point + G1Affine::generator()).into(), G1Affine::identity()] {
                let mut proof = honest.clone();
                proof[at..at + 64].copy_from_slice(&encode_point(&other));
                rejected(proof, format!("point at {at}"));
            }
        }
        for at in (13 * 64..PROOF_BYTES - 128).step_by(32) {
            for other in [Fr::ZERO, Fr::ONE, Fr::from(77)] {
                let mut proof = honest.clone();
                proof[at..at + 32].copy_from_slice(&encode_scalar(&other));
                if proof != *honest {
                    rejected(proof, format!("scalar at {at}"));
                }
            }
        }
        for got in [0, 1, PROOF_BYTES - 1, PROOF_BYTES + 1] {
            let mut proof = honest.clone();
            proof.resize(got, 0);
            let refused = golden.check(&Settlement { proof, ..golden.settlement.clone() });
            assert!(matches!(refused, Err(SettlementError::Check(CheckError::Length { .. }))), "{kind}: {got} bytes");
        }
    }
}

/// What stands beside halo2's proof, each edit with the check that must meet it.
#[test]
fn no_field_of_a_settlement_may_change() {
    let golden = Golden::read("classify");
    let error = |edit: &dyn Fn(&mut Settlement)| {
        let mut forged = golden.settlement.clone();
        edit(&mut forged);
        assert_ne!(forged, golden.settlement);
        golden.check(&forged).unwrap_err()
    };
    let by_proof = |edit: &dyn Fn(&mut Settlement)| {
        let refused = error(edit);
        assert!(matches!(refused, SettlementError::Check(CheckError::Rejected)), "{refused}");
    };
    assert!(matches!(error(&|s| s.circuit[31] ^= 1), SettlementError::ForeignKey));
    assert!(matches!(error(&|s| s.base += Fr::ONE), SettlementError::ForeignBase));
    assert!(matches!(error(&|s| s.binding.requests.swap(0, 1)), SettlementError::Binding(_)));
    assert!(matches!(error(&|s| s.binding.requests.clear()), SettlementError::Binding(_)));
    let fewer = |s: &mut Settlement| s.answers.truncate(1);
    assert!(matches!(error(&fewer), SettlementError::Requests { answers: 1, requests: 2 }));
    assert!(matches!(error(&|s| s.answers[1].adapter = Fr::ZERO), SettlementError::NoAdapter { request: 1 }));
    // A plain circuit has no word for what it does not compute.
    let attributing: [&dyn Fn(&mut Settlement); 4] =
        [&|s| s.index = Fr::ONE, &|s| s.shares = vec![Fr::ZERO], &|s| s.shares = vec![Fr::ZERO; 8], &|s| {
            (s.index, s.shares) = (Fr::from(7), vec![Fr::ONE; 8])
        }];
    for edit in attributing {
        assert!(matches!(error(edit), SettlementError::NotAttributing));
    }
    by_proof(&|s| s.binding.chain_id += 1);
    by_proof(&|s| s.binding.consumer[0] ^= 1);
    by_proof(&|s| s.binding.payee[0] ^= 1);
    by_proof(&|s| s.binding.requests[1].id[31] ^= 1);
    by_proof(&|s| s.binding.requests[0].fee[31] ^= 1);
    by_proof(&|s| s.answers[0].adapter += Fr::ONE);
    by_proof(&|s| s.answers.swap(0, 1));
    type Word = fn(&mut Answer) -> &mut Fr;
    let words: [Word; 3] = [|a| &mut a.words.input_digest, |a| &mut a.words.label, |a| &mut a.words.output_digest];
    for word in words {
        by_proof(&|s| *word(&mut s.answers[0]) += Fr::ONE);
        by_proof(&|s| *word(&mut s.answers[1]) += Fr::ONE);
    }
    for index in 0..golden.settlement.witness.len() {
        by_proof(&|s| s.witness[index] = -s.witness[index]);
    }
    for index in 0..7 {
        by_proof(&|s| s.opening[index] = -s.opening[index]);
    }
    // W' is no word of the circuit: the group claim's equation is there for it.
    let w_prime = error(&|s| s.opening[7] = -s.opening[7]);
    assert!(matches!(w_prime, SettlementError::Group(GroupError::Pairing)), "{w_prime}");
    for index in 0..golden.settlement.rho_high.len() {
        by_proof(&|s| s.rho_high[index] += Fr::ONE);
    }
    by_proof(&|s| s.outcome.alpha += Fr::ONE);
    by_proof(&|s| s.outcome.zeta += Fr::ONE);
    by_proof(&|s| s.outcome.beta += Fr::ONE);
    by_proof(&|s| s.outcome.z += Fr::ONE);
    by_proof(&|s| s.outcome.constant += Fr::ONE);
    // Honest settlements against other keys of base and adapters.
    let missing = golden.settlement.check(&golden.key, &golden.base.commitments, &golden.adapters[..1]);
    assert!(matches!(missing, Err(SettlementError::Terms(_))));
    let mut other = golden.base.commitments.clone();
    other.tiles.swap(0, 1);
    assert!(matches!(
        golden.settlement.check(&golden.key, &other, &golden.adapters),
        Err(SettlementError::ForeignBase)
    ));
    other.tiles.pop();
    assert!(matches!(golden.settlement.check(&golden.key, &other, &golden.adapters), Err(SettlementError::Base(_))));
}

/// halo2 has an honest proof for everything under a key without a gate: nothing but the circuit's id is against it.
#[test]
fn a_key_can_lie() {
    let golden = Golden::read("classify");
    let gateless = VerifyingKey::decode(&file("gateless.vk")).unwrap();
    let forged = Settlement::decode(&file("gateless.settlement")).unwrap();
    forged.check(&gateless, &golden.base.commitments, &golden.adapters).unwrap();
    assert_ne!(forged.answers[0].words.label, golden.settlement.answers[0].words.label);
    assert!(matches!(golden.check(&forged), Err(SettlementError::ForeignKey)));
    let renamed = Settlement { circuit: golden.key.circuit_id(), ..forged };
    assert!(matches!(golden.check(&renamed), Err(SettlementError::Check(CheckError::Rejected))));
}

#[test]
fn halo2s_form_of_a_key_is_bounded() {
    let golden = Golden::read("classify");
    let bytes = golden.key.circuit().to_bytes();
    assert_eq!(CircuitKey::from_bytes(&bytes).as_ref(), Ok(golden.key.circuit()));
    let refused = |bytes: &[u8]| {
        let error = CircuitKey::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
    };
    let with = |at: usize, new: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + new.len()].copy_from_slice(new);
        changed
    };
    for version in [0, 1, 3, 255] {
        refused(&with(0, &[version]));
    }
    for rows in [0, MAX_LOG_ROWS + 1, 28, 29, 64, u32::MAX] {
        refused(&with(1, &rows.to_le_bytes()));
    }
    refused(&with(5, &[1]));
    for count in [0u32, 7, 9, 11, u32::MAX] {
        refused(&with(6, &count.to_le_bytes()));
    }
    // A coordinate beyond the modulus, a point that is not on the curve, bytes too few and too many.
    refused(&with(10, &[0xff; 32]));
    refused(&with(10, &[1]));
    refused(&bytes[..bytes.len() - 1]);
    refused(&[&bytes[..], &[0]].concat());
    // Infinity is a commitment to zeros.
    let infinity = CircuitKey::from_bytes(&with(10, &[0; 64])).unwrap();
    assert_eq!(infinity.fixed()[0], G1Affine::identity());
    assert_eq!(infinity.to_bytes(), with(10, &[0; 64]));
}

#[test]
fn a_binding_has_one_to_sixteen_requests_in_order() {
    let word = |last: u8| std::array::from_fn(|i| if i == 31 { last } else { 0 });
    let of = |ids: &[u8]| {
        let requests = ids.iter().map(|id| BoundRequest { id: word(*id), fee: word(9) }).collect();
        Binding { chain_id: 1, consumer: [2; 20], payee: [3; 20], requests }.validate()
    };
    let ids: Vec<u8> = (1..=17).collect();
    assert_eq!((of(&ids[..1]), of(&ids[..16])), (Ok(()), Ok(())));
    assert_eq!((of(&[]), of(&ids)), (Err(BindingError::Count { got: 0 }), Err(BindingError::Count { got: 17 })));
    assert_eq!(of(&[1, 2, 2]), Err(BindingError::Order { index: 2 }));
    assert_eq!(of(&[5, 4, 6]), Err(BindingError::Order { index: 1 }));
}
