//! Key files, and the face: golden proofs against the keys that a verifier has on disk.

use std::fs;
use std::path::PathBuf;

use lorica_verifier::files::codec::{Reader, Writer};
use lorica_verifier::files::magic::{ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, BASE_KEY_MAGIC, BASE_MAGIC};
use lorica_verifier::files::vk::{MAX_LABEL_BYTES, MAX_TOKENIZER_BYTES, VERSION};
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::{AdapterKey, BaseKey, CodecError, Fr, InferenceProof, Output, VerifyError, verify};
use sha3::{Digest, Keccak256};

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Keys of the golden models, as import would write them.
fn keys() -> (BaseKey, Vec<AdapterKey>) {
    let bytes = file("small.key");
    let mut reader = Reader::new(&bytes, "golden key", b"LORICAgk", 1).unwrap();
    let commitments = BaseCommitments::read(&mut reader).unwrap();
    let count = reader.count("adapters", 2, 64).unwrap();
    let labels = ["joy", "anger <b>", "Überraschung"].map(str::to_owned).to_vec();
    let adapters = (0..count)
        .map(|_| AdapterKey {
            commitments: AdapterCommitments::read(&mut reader).unwrap(),
            has_head: true,
            labels: labels.clone(),
        })
        .collect();
    let tokenizer_json = br#"{"model":{"vocab":{"[PAD]":0}}}"#.repeat(40);
    (BaseKey { commitments, has_pooler: true, output_exponent: -7, tokenizer_json }, adapters)
}

/// The same with a true digest.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 32;
    let digest = Keccak256::digest(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    bytes
}

#[test]
fn key_files_are_read_as_they_were_written() {
    let (base, adapters) = keys();
    let bytes = base.encode();
    assert!(bytes.starts_with(BASE_KEY_MAGIC) && bytes[8..10] == VERSION.to_be_bytes());
    assert_eq!(BaseKey::decode(&bytes).as_ref(), Ok(&base));
    assert!(bytes.len() < base.tokenizer_json.len() + base.commitments.tiles.len() * 64 + 4_000);
    for adapter in &adapters {
        let bytes = adapter.encode();
        assert!(bytes.starts_with(ADAPTER_KEY_MAGIC));
        assert_eq!(AdapterKey::decode(&bytes).as_ref(), Ok(adapter));
    }
    // A model file begins with its key.
    let model = |magic, write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(magic, VERSION);
        write(&mut writer);
        writer.bytes(b"integers");
        writer.finish()
    };
    assert_eq!(BaseKey::decode(&model(BASE_MAGIC, &|w| base.write_body(w))), Ok(base.clone()));
    assert_eq!(AdapterKey::decode(&model(ADAPTER_MAGIC, &|w| adapters[0].write_body(w))), Ok(adapters[0].clone()));
    // A key file ends with it.
    let trailing = Err(CodecError::Trailing { count: 8 });
    assert_eq!(BaseKey::decode(&model(BASE_KEY_MAGIC, &|w| base.write_body(w))), trailing);
    let trailing = Err(CodecError::Trailing { count: 8 });
    assert_eq!(AdapterKey::decode(&model(ADAPTER_KEY_MAGIC, &|w| adapters[0].write_body(w))), trailing);
}

/// A byte that is changed is found by the digest, and with a new digest it is another key or none.
#[test]
fn every_byte_of_a_key_file_counts() {
    let (base, adapters) = keys();
    let mut base = base;
    base.tokenizer_json.truncate(64);
    let check = |bytes: &[u8], differs: &dyn Fn(&[u8]) -> bool| {
        for index in 0..bytes.len() - 32 {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1;
            assert!(differs(&changed), "byte {index} without a digest");
            assert!(differs(&resealed(changed)), "byte {index}");
        }
        for cut in [0, 1, 9, 41, bytes.len() / 2, bytes.len() - 1] {
            assert!(differs(&bytes[..cut]), "cut to {cut}");
        }
    };
    let bytes = adapters[0].encode();
    check(&bytes, &|changed| AdapterKey::decode(changed).as_ref() != Ok(&adapters[0]));
    let bytes = base.encode();
    // Commitments have their own tests; the last bytes are pooler, exponent and tokenizer.
    let first = bytes.len() - 32 - 140;
    check(&bytes, &|changed| {
        changed.len() == bytes.len() && changed[..first] != bytes[..first]
            || BaseKey::decode(changed).as_ref() != Ok(&base)
    });
}

#[test]
fn fields_are_bounded() {
    let (base, adapters) = keys();
    let written = |edit: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new(BASE_KEY_MAGIC, VERSION);
        base.commitments.write(&mut writer);
        edit(&mut writer);
        BaseKey::decode(&writer.finish()).unwrap_err()
    };
    let value = |what, got| CodecError::Value { what, got };
    assert_eq!(written(&|w| w.u8(2)), value("has pooler", 2));
    let exponent = |exponent: i64| {
        written(&|w| {
            w.u8(1);
            w.i64(exponent);
        })
    };
    assert_eq!(exponent(65), value("scale exponent", 65));
    assert_eq!(exponent(-65), value("scale exponent", 65u64.wrapping_neg()));
    let tokenizer = |length: u32, deflated: &[u8]| {
        written(&|w| {
            w.u8(1);
            w.i64(0);
            w.u32(length);
            w.counted(deflated);
        })
    };
    let most = u32::try_from(MAX_TOKENIZER_BYTES).unwrap();
    let bound = CodecError::Bound { what: "tokenizer", bound: most.into(), got: u64::from(most) + 1 };
    assert_eq!(tokenizer(most + 1, &[]), bound);
    // A stored block of three bytes, of which two or four are declared; then no DEFLATE at all.
    let stored = [1, 3, 0, 0xfc, 0xff, b'a', b'b', b'c'];
    assert_eq!(tokenizer(2, &stored), value("compressed tokenizer", 3));
    assert_eq!(tokenizer(4, &stored), value("compressed tokenizer", 3));
    assert_eq!(tokenizer(3, &[7, 7, 7]), value("compressed tokenizer", 0));

    let head = |has_head: u8, labels: &[&[u8]]| {
        let mut writer = Writer::new(ADAPTER_KEY_MAGIC, VERSION);
        adapters[0].commitments.write(&mut writer);
        writer.u8(has_head);
        writer.count(labels.len());
        labels.iter().for_each(|label| writer.counted(label));
        AdapterKey::decode(&writer.finish())
    };
    assert!(head(1, &[b"a"]).is_ok() && head(0, &[]).is_ok());
    assert_eq!(head(2, &[]), Err(value("has head", 2)));
    assert_eq!(head(1, &[]), Err(value("labels of an adapter", 0)));
    assert_eq!(head(0, &[b"a"]), Err(value("labels of an adapter", 1)));
    assert_eq!(head(1, &[b"a", b"\xff"]), Err(value("label that is not UTF-8", 1)));
    assert!(matches!(head(1, &[&[b'a'; MAX_LABEL_BYTES + 1]]), Err(CodecError::Bound { .. })));
    assert!(matches!(head(1, &[&b"a"[..]; 17]), Err(CodecError::Bound { .. })));
}

/// What the crate's documentation shows, on real proofs.
#[test]
fn the_face_accepts_golden_proofs_and_refuses_headless_labels() {
    let (base, adapters) = keys();
    let context = Fr::zero();
    for name in ["embed_one", "classify_one", "classify_three"] {
        let proof = InferenceProof::decode(&file(&format!("{name}.proof"))).unwrap();
        let words = verify(&base, &adapters, &context, &proof).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(words.len(), proof.statement.requests.len());
        let recorded = String::from_utf8(file(&format!("{name}.words"))).unwrap();
        let hex: String = encode_scalar(&words[0].input_digest).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(recorded.contains(&hex), "{name}");
        assert_eq!(verify(&base, &adapters, &Fr::from(1), &proof).unwrap_err(), VerifyError::Context);

        let refused = |request, what| Err(VerifyError::Request { request, what });
        let headless: Vec<AdapterKey> =
            adapters.iter().map(|key| AdapterKey { has_head: false, labels: Vec::new(), ..key.clone() }).collect();
        let flat = BaseKey { has_pooler: false, ..base.clone() };
        if matches!(proof.statement.requests[0].output, Output::Classify { .. }) {
            let head = verify(&base, &headless, &context, &proof);
            assert_eq!(head, refused(0, "states a label, but its adapter has no head"));
            let pooler = verify(&flat, &adapters, &context, &proof);
            assert_eq!(pooler, refused(0, "states a label, but the base cannot classify"));
            assert!(matches!(verify(&base, &[], &context, &proof), Err(VerifyError::UnknownAdapter { request: 0 })));
        } else {
            assert!(verify(&flat, &headless, &context, &proof).is_ok());
        }
    }
}
