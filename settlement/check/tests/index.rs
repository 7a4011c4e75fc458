//! The check of index proofs' settlements, without a prover: the golden one is accepted, and no byte of it may change.
//! `settlement/tests/index.rs` writes the files.

use std::fs;
use std::path::PathBuf;

use lorica_circuits::bn254::{Field, Fr};
use lorica_settlement_check::{IndexSettlement, Settlement, SettlementError, Subject, VerifyingKey};
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::{AdapterKey, BaseKey, IndexKey, IndexProof, InferenceProof, verify_index};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Golden {
    base: BaseKey,
    adapter: AdapterKey,
    index: IndexKey,
    key: VerifyingKey,
}

impl Golden {
    fn read() -> Self {
        Self {
            base: BaseKey::decode(&file("index.base.vk")).unwrap(),
            adapter: AdapterKey::decode(&file("index.adapter.vk")).unwrap(),
            index: IndexKey::decode(&file("index.vk")).unwrap(),
            key: VerifyingKey::decode(&file("index-settlement.vk")).unwrap(),
        }
    }

    fn check(&self, settlement: &IndexSettlement) -> Result<(), SettlementError> {
        let (adapter, index) = (&self.adapter.commitments, &self.index.commitments);
        settlement.check(&self.key, &self.base.commitments, adapter, index)
    }
}

/// A true digest at the end.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 32;
    let digest = keccak(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    bytes
}

#[test]
fn the_golden_settlement_of_an_index_is_accepted() {
    let golden = Golden::read();
    let bytes = file("index.settlement");
    let settlement = IndexSettlement::decode(&bytes).unwrap();
    golden.check(&settlement).unwrap();
    assert_eq!(settlement.encode(), bytes);
    assert_eq!(golden.key.encode(), file("index-settlement.vk"));
    assert_eq!(golden.key.circuit_shape().subject, Subject::Index);
    let proof = IndexProof::decode(&file("index.proof")).unwrap();
    verify_index(&golden.base, &golden.adapter, &golden.index, &Fr::ZERO, &proof).unwrap();
    assert_eq!(proof.encode(), file("index.proof"));
}

#[test]
fn no_byte_of_a_settlement_of_an_index_may_change() {
    let golden = Golden::read();
    let bytes = file("index.settlement");
    for index in 0..bytes.len() - 32 {
        let mut changed = bytes.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(IndexSettlement::decode(&changed).is_err(), "byte {index} without a digest");
        if let Ok(forged) = IndexSettlement::decode(&resealed(changed)) {
            assert!(golden.check(&forged).is_err(), "byte {index}");
        }
    }
    for cut in (0..bytes.len()).step_by(61) {
        assert!(IndexSettlement::decode(&bytes[..cut]).is_err(), "cut to {cut}");
    }
    assert!(IndexSettlement::decode(&resealed([&bytes[..], &[0; 40]].concat())).is_err());
}

/// Files of one kind are none of the other.
#[test]
fn files_of_indexes_and_inferences_are_kept_apart() {
    let magic = |error: CodecError| assert!(matches!(error, CodecError::Magic { .. }), "{error}");
    magic(Settlement::decode(&file("index.settlement")).unwrap_err());
    magic(IndexSettlement::decode(&file("classify.settlement")).unwrap_err());
    magic(InferenceProof::decode(&file("index.proof")).unwrap_err());
    magic(IndexProof::decode(&file("classify.proof")).unwrap_err());
    // An inference's settlement under the index' key.
    let golden = Golden::read();
    let inference = Settlement::decode(&file("classify.settlement")).unwrap();
    let claimed = Settlement { circuit: golden.key.circuit_id(), ..inference };
    let verdict =
        claimed.check(&golden.key, &golden.base.commitments, std::slice::from_ref(&golden.adapter.commitments));
    assert!(matches!(verdict, Err(SettlementError::ForeignBase)));
}
