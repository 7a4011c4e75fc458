//! Four checks of the same settlement proofs and keys: our own, the contract's, halo2-axiom's, snark-verifier's. They accept
//! the same proofs; and on false ones, all but halo2-axiom still arrive at the same two points.

use super::oracle;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lorica_chain::abi;
use lorica_chain::abi::bindings::Halo2Verifier::accumulateCall;
use lorica_chain::chain::Chain;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, Refusal};
use lorica_circuits::bn254::{
    Bn256, Curve, CurveAffine, Field, Fq, Fq2, Fr, G1Affine, G2Affine, PrimeCurveAffine, PrimeField,
};
use lorica_settlement::circuit::{RESERVED, SettlementCircuit};
use lorica_settlement::gates::FIXED;
use lorica_settlement::transcript::{Challenge, KeccakTranscript};
use lorica_settlement_check::halo2;
use lorica_settlement_check::key::CircuitKey;
use lorica_verifier::protocol::group::{VerifierKey, development_trapdoor};
use lorica_verifier::protocol::keccak::{decode_point, decode_scalar, encode_point, encode_scalar};
use oracle::{Oracle, parameters};
use serde_json::Value;
use snark_verifier::halo2_base::halo2_proofs::SerdeFormat;
use snark_verifier::halo2_base::halo2_proofs::halo2curves::serde::SerdeObject;
use snark_verifier::halo2_base::halo2_proofs::plonk::{VerifyingKey, verify_proof};
use snark_verifier::halo2_base::halo2_proofs::poly::kzg::commitment::KZGCommitmentScheme;
use snark_verifier::halo2_base::halo2_proofs::poly::kzg::multiopen::VerifierSHPLONK;
use snark_verifier::halo2_base::halo2_proofs::poly::kzg::strategy::SingleStrategy;

/// One that uses each gate once, and real settlements of one, three and two requests.
const VECTORS: [&str; 4] = ["halo2-toy", "settlement-classify-1", "settlement-classify-3", "settlement-embed-2"];

/// Settlements of a batch that attributes and of an index: more public words, and fewer. The gates are the same, so that what is
/// changed in proofs and keys is changed in the ones above.
const OTHER_WORDS: [&str; 2] = ["settlement-attributing-3", "index-ranges"];

const WORD: usize = 32;
const POINT: usize = 64;
/// Places of a key's words and commitments: `verifier-contracts/README.md`.
const KEY_TRANSCRIPT: usize = 6;
const KEY_TAU_G2: usize = 7;
const KEY_FIXED: usize = 26;
/// Records of the index by which a circuit attributes, or whose cells it ranges; then two words of its region stand before the commitments.
const KEY_ATTRIBUTION: usize = 15;
/// Fixed columns, and the permutation of five advice columns.
const COMMITMENTS: usize = FIXED + 5;
/// Words of a proof: 13 points, 25 scalars, two points.
const SCALARS: std::ops::Range<usize> = 26..51;
const PROOF_WORDS: usize = 55;

/// A content of a data contract, in words.
#[derive(Clone)]
struct Key(Vec<u8>);

impl Key {
    fn bytes<const N: usize>(&self, word: usize) -> [u8; N] {
        self.0[word * WORD..word * WORD + N].try_into().unwrap()
    }

    fn scalar(&self, word: usize) -> Fr {
        decode_scalar(&self.bytes(word)).unwrap()
    }

    fn set(&mut self, word: usize, bytes: &[u8]) {
        self.0[word * WORD..word * WORD + bytes.len()].copy_from_slice(bytes);
    }

    /// Where the commitments begin.
    fn fixed(&self) -> usize {
        if self.bytes(KEY_ATTRIBUTION) == [0; WORD] { KEY_FIXED } else { KEY_FIXED + 2 }
    }

    fn commitment(&self, index: usize) -> G1Affine {
        decode_point(&self.bytes(self.fixed() + 2 * index)).unwrap()
    }

    fn log_rows(&self) -> u32 {
        u32::from_be_bytes(self.0[2 * WORD - 4..2 * WORD].try_into().unwrap())
    }

    fn tau_g2(&self) -> G2Affine {
        let coordinate = |word| {
            let mut bytes: [u8; WORD] = self.bytes(KEY_TAU_G2 + word);
            bytes.reverse();
            Fq::from_repr(bytes).unwrap()
        };
        let [x1, x0, y1, y0] = [0, 1, 2, 3].map(coordinate);
        G2Affine::from_xy(Fq2 { c0: x0, c1: x1 }, Fq2 { c0: y0, c1: y1 }).unwrap()
    }

    /// Our own key, which makes its digest anew too.
    fn own(&self) -> CircuitKey {
        let (fixed, permutation) = (|i| self.commitment(i), |i| self.commitment(FIXED + i));
        CircuitKey::new(self.log_rows(), std::array::from_fn(fixed), std::array::from_fn(permutation)).unwrap()
    }

    /// halo2's key, which takes columns and gates from the circuit and makes its digest anew.
    fn halo2(&self) -> VerifyingKey<G1Affine> {
        let mut bytes = vec![2];
        bytes.extend(self.log_rows().to_le_bytes());
        bytes.push(0);
        bytes.extend(u32::try_from(FIXED).unwrap().to_le_bytes());
        (0..COMMITMENTS).for_each(|index| bytes.extend(self.commitment(index).to_raw_bytes()));
        VerifyingKey::from_bytes::<SettlementCircuit>(&bytes, SerdeFormat::RawBytes, ()).unwrap()
    }
}

/// A proof, its public words, and the key that all checks have.
struct Subject {
    chain: EmbeddedChain,
    contract: Address,
    key: Key,
    data: Address,
    own: CircuitKey,
    halo2: VerifyingKey<G1Affine>,
    oracle: Oracle,
    words: Vec<Fr>,
    proof: Vec<u8>,
}

impl Subject {
    fn read(name: &str) -> Self {
        let path = format!("{}/../verifier-contracts/test/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let bytes = |value: &Value| -> Vec<u8> { value.as_str().unwrap().parse::<Bytes>().unwrap().to_vec() };
        let words = json["instances"].as_array().unwrap().iter();
        let words = words.map(|word| decode_scalar(&bytes(word).try_into().unwrap()).unwrap()).collect();
        Self::new(Key(bytes(&json["key"])), words, bytes(&json["proof"]))
    }

    fn new(key: Key, words: Vec<Fr>, proof: Vec<u8>) -> Self {
        let mut chain = EmbeddedChain::new(1, Address::repeat_byte(0x0e));
        let mut deploy = |code| chain.send(None, code).unwrap().created.unwrap();
        let contract = deploy(abi::deploy_halo2_verifier());
        let data = deploy(abi::data_contract(&key.0).unwrap());
        let (own, halo2) = (key.own(), key.halo2());
        let mut oracle = Oracle::new(&halo2, key.tau_g2(), words.len());
        // The contract takes the digest from the key; it need not be the commitments' in a forged one.
        oracle.protocol.transcript_initial_state = Some(key.scalar(KEY_TRANSCRIPT));
        Self { chain, contract, key, data, own, halo2, oracle, words, proof }
    }

    /// The contract's points; none if it reverts.
    fn contract(&mut self, words: &[Fr], proof: &[u8]) -> Option<[G1Affine; 2]> {
        let call = accumulateCall {
            circuit: abi::circuit_id(&self.key.0),
            key: self.data,
            instances: words.iter().map(abi::word).collect(),
            proof: Bytes::copy_from_slice(proof),
        };
        let output = match self.chain.call(self.contract, abi::encode(&call)) {
            Ok(output) => output,
            Err(error @ ChainError::Refused(Refusal::Reverted { .. })) => {
                assert!(!error.to_string().contains("out of gas"), "{error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let words: [U256; 5] = accumulateCall::abi_decode_returns(&output).unwrap();
        let point = |x: U256, y: U256| {
            let bytes: [u8; POINT] = [x.to_be_bytes::<WORD>(), y.to_be_bytes()].concat().try_into().unwrap();
            decode_point(&bytes).unwrap()
        };
        let [left_x, left_y, right_x, right_y, factor] = words;
        // The generator's multiple is the caller's to add.
        let factor = decode_scalar(&factor.to_be_bytes()).unwrap();
        let left = point(left_x, left_y) + G1Affine::generator() * factor;
        Some([left.to_affine(), point(right_x, right_y)])
    }

    /// Our points; none if the proof cannot be read. The number of words is the settlement key's to know.
    fn own(&self, words: &[Fr], proof: &[u8]) -> Option<[G1Affine; 2]> {
        if words.len() != self.words.len() {
            return None;
        }
        halo2::accumulate(&self.own, words, proof).ok().map(|points| points.map(|point| point.to_affine()))
    }

    /// As halo2-axiom checks.
    fn halo2_accepts(&self, words: &[Fr], proof: &[u8]) -> bool {
        let params = parameters(self.key.log_rows(), self.key.tau_g2());
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, Challenge, _, _>(
            &params,
            &self.halo2,
            SingleStrategy::new(&params),
            &[&[words]],
            &mut KeccakTranscript::new(proof),
        )
        .is_ok()
    }

    /// Whether the proof holds, if contract and snark-verifier agree about that and about the points that they pair.
    fn agreed(&mut self, words: &[Fr], proof: &[u8], what: &str) -> bool {
        let points = self.contract(words, proof);
        assert_eq!(self.oracle.accumulate(words, proof).ok(), points, "{what}: points");
        // The trapdoor of the development SRS is public: left = τ · right is what the pairing checks.
        let holds = points.is_some_and(|[left, right]| left.to_curve() == right * development_trapdoor());
        assert_eq!(self.oracle.check(words, proof).is_ok(), holds, "{what}: snark-verifier");
        holds
    }

    /// The same of all four checks.
    fn accepted(&mut self, words: &[Fr], proof: &[u8], what: &str) -> bool {
        let holds = self.agreed(words, proof, what);
        assert_eq!(self.halo2_accepts(words, proof), holds, "{what}: halo2-axiom");
        assert_eq!(self.own(words, proof), self.contract(words, proof), "{what}: our own points");
        let srs = VerifierKey::new(G2Affine::generator(), self.key.tau_g2());
        let own = words.len() == self.words.len() && halo2::check(&self.own, &srs, words, proof).is_ok();
        assert_eq!(own, holds, "{what}: our own check");
        holds
    }

    fn rejects_proof(&mut self, proof: &[u8], what: &str) {
        let words = self.words.clone();
        assert!(!self.accepted(&words, proof, what), "{what}");
    }

    fn rejects_words(&mut self, words: &[Fr], what: &str) {
        let proof = self.proof.clone();
        assert!(!self.accepted(words, &proof, what), "{what}");
    }
}

#[test]
fn true_proofs_are_accepted() {
    for name in VECTORS.into_iter().chain(OTHER_WORDS) {
        let mut subject = Subject::read(name);
        let (words, proof) = (subject.words.clone(), subject.proof.clone());
        assert_eq!(proof.len(), PROOF_WORDS * WORD);
        assert!(subject.accepted(&words, &proof, name));
        // The length of a proof is for us to check: the others stop reading, the contract does not take it.
        let longer = [&proof[..], &[0]].concat();
        assert!(subject.oracle.check(&words, &longer).is_ok() && subject.contract(&words, &longer).is_none());
        assert_eq!(subject.own(&words, &longer), None);
    }
}

#[test]
fn no_word_of_a_proof_may_change() {
    for name in VECTORS {
        let mut subject = Subject::read(name);
        let honest = subject.proof.clone();
        // Most words so changed are no coordinate of a point any more.
        for word in 0..PROOF_WORDS {
            for bit in [0, 255] {
                let mut proof = honest.clone();
                proof[WORD * (word + 1) - 1 - bit / 8] ^= 1 << (bit % 8);
                subject.rejects_proof(&proof, &format!("{name}: bit {bit} of word {word}"));
            }
        }
        // Points that remain points: the equations must reject them.
        for first in (0..SCALARS.start).chain(SCALARS.end..PROOF_WORDS).step_by(2) {
            let place = first * WORD..first * WORD + POINT;
            let point = decode_point(&honest[place.clone()].try_into().unwrap()).unwrap();
            let generator = G1Affine::generator();
            for (what, other) in [("negated", -point), ("plus [1]", (point + generator).into())] {
                let mut proof = honest.clone();
                proof[place.clone()].copy_from_slice(&encode_point(&other));
                subject.rejects_proof(&proof, &format!("{name}: point {first} {what}"));
            }
            // The identity is refused by the contract alone; the others reject what follows from it.
            let mut proof = honest.clone();
            proof[place].fill(0);
            let words = subject.words.clone();
            assert_eq!(subject.contract(&words, &proof), None, "{name}: point {first} at infinity");
            assert!(subject.oracle.accumulate(&words, &proof).is_ok() && subject.oracle.check(&words, &proof).is_err());
            assert!(!subject.halo2_accepts(&words, &proof), "{name}: point {first} at infinity");
            assert_eq!(subject.own(&words, &proof), subject.oracle.accumulate(&words, &proof).ok());
        }
        // Other scalars, and the same with another encoding.
        let order = abi::word(&-Fr::ONE) + U256::from(1);
        for word in SCALARS {
            let place = word * WORD..(word + 1) * WORD;
            let scalar = decode_scalar(&honest[place.clone()].try_into().unwrap()).unwrap();
            let beyond = (abi::word(&scalar) + order).to_be_bytes();
            for (what, other) in [("negated", encode_scalar(&-scalar)), ("beyond the order", beyond)] {
                let mut proof = honest.clone();
                proof[place.clone()].copy_from_slice(&other);
                subject.rejects_proof(&proof, &format!("{name}: scalar {word} {what}"));
            }
        }
        for length in [0, WORD - 1, honest.len() - POINT, honest.len() - 1] {
            subject.rejects_proof(&honest[..length], &format!("{name}: {length} bytes"));
        }
    }
}

#[test]
fn no_public_word_may_change() {
    for name in VECTORS.into_iter().chain(OTHER_WORDS) {
        let mut subject = Subject::read(name);
        let honest = subject.words.clone();
        for index in 0..honest.len() {
            for (what, other) in [("plus 1", honest[index] + Fr::ONE), ("negated", -honest[index]), ("7", Fr::from(7))]
            {
                let mut words = honest.clone();
                words[index] = other;
                if words != honest {
                    subject.rejects_words(&words, &format!("{name}: word {index} {what}"));
                }
            }
        }
        subject.rejects_words(&honest[1..], "one word fewer");
        subject.rejects_words(&[&honest[..], &[Fr::ZERO]].concat(), "one word more");
        subject.rejects_words(&[], "no words");
    }
}

/// What the contract is told of a key is what halo2 and snark-verifier compute.
#[test]
fn keys_are_the_same() {
    for name in VECTORS.into_iter().chain(OTHER_WORDS) {
        let Subject { key, own, halo2, oracle, words, .. } = Subject::read(name);
        assert_eq!(key.scalar(KEY_TRANSCRIPT), halo2.transcript_repr(), "{name}: digest");
        assert_eq!(key.scalar(KEY_TRANSCRIPT), *own.transcript_word(), "{name}: our own digest");
        assert_eq!(own.to_bytes(), halo2.to_bytes(SerdeFormat::RawBytes), "{name}: bytes");
        assert_eq!(CircuitKey::from_bytes(&own.to_bytes()).as_ref(), Ok(&own), "{name}: bytes");
        let domain = &oracle.protocol.domain;
        let last = domain.gen_inv.pow([RESERVED as u64]);
        let expected = [Fr::from(domain.k as u64), domain.n_inv, domain.r#gen, last, Fr::from(words.len() as u64)];
        for (word, expected) in expected.into_iter().enumerate() {
            assert_eq!(key.scalar(1 + word), expected, "{name}: word {}", 1 + word);
        }
        let commitments: Vec<G1Affine> = (0..COMMITMENTS).map(|index| key.commitment(index)).collect();
        assert_eq!(oracle.protocol.preprocessed, commitments, "{name}: commitments");
    }
}

#[test]
fn no_commitment_of_a_key_may_change() {
    for name in VECTORS {
        let honest = Subject::read(name);
        for index in 0..COMMITMENTS {
            let mut key = honest.key.clone();
            let other = (key.commitment(index) + G1Affine::generator()).into();
            key.set(key.fixed() + 2 * index, &encode_point(&other));
            // With the old digest, so that all challenges are those of the proof: halo2 has no such key.
            let mut forged = Subject::new(key.clone(), honest.words.clone(), honest.proof.clone());
            assert!(!forged.agreed(&honest.words, &honest.proof, &format!("{name}: commitment {index}")));
            key.set(KEY_TRANSCRIPT, &encode_scalar(&key.halo2().transcript_repr()));
            let mut forged = Subject::new(key, honest.words.clone(), honest.proof.clone());
            forged.rejects_proof(&honest.proof, &format!("{name}: commitment {index} and digest"));
        }
        let mut key = honest.key.clone();
        key.set(KEY_TRANSCRIPT, &B256::with_last_byte(1).0);
        let mut forged = Subject::new(key, honest.words.clone(), honest.proof.clone());
        assert!(!forged.agreed(&honest.words, &honest.proof, "digest"));
    }
}
