//! Files that the page is shown, honest and forged, with the verdict that each must meet. The native test and the browser's
//! have the same ones.

use std::fs;
use std::path::PathBuf;

use lorica_circuits::bn254::Fr;
use lorica_settlement_check::key::CircuitKey;
use lorica_settlement_check::{Settlement, VerifyingKey};
use lorica_verifier::files::codec::Reader;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::{AdapterKey, BaseKey, InferenceProof};
use lorica_verifier_wasm::check::Expected;

/// Some files, and what must be said of them.
pub struct Case {
    pub name: String,
    pub expected: Expected,
    /// Names and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    pub verdict: Verdict,
}

/// What must be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Rejected,
    Usage,
    Input,
}

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../settlement/check/tests/golden");
    fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A true digest at the end, which finds damage but no malice.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 32;
    let digest = keccak(&bytes[..content]);
    bytes[content..].copy_from_slice(&digest);
    bytes
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn word(scalar: &Fr) -> String {
    hexadecimal(&lorica_verifier::protocol::keccak::encode_scalar(scalar))
}

/// Keys of another model, from the verifier's own golden files.
fn other_model() -> (BaseKey, AdapterKey) {
    let bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier/tests/golden/small.key")).unwrap();
    let mut reader = Reader::new(&bytes, "golden key", b"LORICAgk", 1).unwrap();
    let commitments = BaseCommitments::read(&mut reader).unwrap();
    reader.count("adapters", 2, 64).unwrap();
    let adapter = AdapterCommitments::read(&mut reader).unwrap();
    let base = BaseKey { commitments, has_pooler: true, output_exponent: 0, tokenizer_json: b"{}".to_vec() };
    (base, AdapterKey { commitments: adapter, has_head: true, labels: vec!["other".into()] })
}

/// Every case.
pub fn cases() -> Vec<Case> {
    use Verdict::{Accepted, Input, Rejected, Usage};

    type File<'n> = (&'n str, Vec<u8>);
    let mut cases = Vec::new();
    let mut case = |name: &str, expected: Expected, files: &[File<'_>], verdict: Verdict| {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        cases.push(Case { name: name.to_owned(), expected, files, verdict });
    };
    let none = Expected::default;
    let file = |name| (name, golden(name));
    let [base, a, b] = ["base.vk", "a.vk", "b.vk"].map(file);
    let unbound = file("unbound.proof");

    // Inference proofs.
    let own = [unbound.clone(), base.clone(), a.clone()];
    case("a proof", none(), &own, Accepted);
    case(
        "in another order, with a key too many",
        none(),
        &[a.clone(), b.clone(), base.clone(), unbound.clone()],
        Accepted,
    );
    let key = BaseKey::decode(&base.1).unwrap();
    let named = |base: String| Expected { base, ..none() };
    case("the base that was meant", named(word(&key.id())), &own, Accepted);
    case("another base than meant", named(word(&(key.id() + Fr::one()))), &own, Rejected);
    case("no id", named("0x12".into()), &own, Usage);
    case("an id that is no scalar", named(hexadecimal(&[0xff; 32])), &own, Usage);
    for kind in ["classify", "embed"] {
        let proof = InferenceProof::decode(&golden(&format!("{kind}.proof"))).unwrap();
        let files = [("bound.proof", proof.encode()), base.clone(), a.clone(), b.clone()];
        let context = word(&proof.statement.context);
        case(&format!("{kind}: its context"), Expected { context, ..none() }, &files, Accepted);
        case(&format!("{kind}: no context"), none(), &files, Rejected);
        let context = word(&(proof.statement.context + Fr::one()));
        case(&format!("{kind}: another context"), Expected { context, ..none() }, &files, Rejected);
    }
    case("no adapter key", none(), &[unbound.clone(), base.clone()], Rejected);
    case("another adapter's key", none(), &[unbound.clone(), base.clone(), b.clone()], Rejected);
    let (other_base, other_adapter) = other_model();
    let other = ("other.vk", other_base.encode());
    case("another base's key", none(), &[unbound.clone(), other.clone()], Rejected);
    case(
        "an adapter of another base",
        none(),
        &[unbound.clone(), base.clone(), ("a.vk", other_adapter.encode())],
        Input,
    );
    let mut swapped = key.clone();
    swapped.commitments.tiles.swap(0, 1);
    case("a base with its tiles exchanged", none(), &[unbound.clone(), ("base.vk", swapped.encode())], Rejected);
    let mut fewer = key.clone();
    fewer.commitments.tiles.pop();
    case("a base with a tile too few", none(), &[unbound.clone(), ("base.vk", fewer.encode())], Input);
    let honest = InferenceProof::decode(&unbound.1).unwrap();
    type Edit = fn(&mut InferenceProof);
    let edits: [(&str, Edit); 6] = [
        ("another label", |p| {
            if let lorica_verifier::Output::Classify { label, .. } = &mut p.statement.requests[0].output {
                *label = (*label + 1) % 4;
            }
        }),
        ("another logit", |p| {
            if let lorica_verifier::Output::Classify { logits, .. } = &mut p.statement.requests[0].output {
                logits[9] += 1;
            }
        }),
        ("another token", |p| p.statement.requests[0].ids[2] ^= 1),
        ("another salt", |p| p.statement.requests[0].salt[0] ^= 1),
        ("another form", |p| p.messages.forms[0] += Fr::one()),
        ("another point of the opening", |p| p.opening.w_prime = p.opening.w),
    ];
    for (name, edit) in edits {
        let mut forged = honest.clone();
        edit(&mut forged);
        assert_ne!(forged, honest);
        case(name, none(), &[("forged.proof", forged.encode()), base.clone(), a.clone()], Rejected);
    }
    for index in (8..unbound.1.len() - 32).step_by(unbound.1.len() / 12) {
        let mut damaged = unbound.1.clone();
        damaged[index] ^= 0x10;
        let forged = resealed(damaged.clone());
        case(&format!("byte {index} damaged"), none(), &[("p.proof", damaged), base.clone(), a.clone()], Rejected);
        case(&format!("byte {index} forged"), none(), &[("p.proof", forged), base.clone(), a.clone()], Rejected);
    }
    for length in [8, 100, unbound.1.len() - 1] {
        let cut = ("p.proof", unbound.1[..length].to_vec());
        case(&format!("cut to {length} bytes"), none(), &[cut, base.clone(), a.clone()], Rejected);
    }

    // Settlements.
    for kind in ["classify", "embed"] {
        let (key, settlement) = (golden(&format!("{kind}.vk")), golden(&format!("{kind}.settlement")));
        let files = [("s.settlement", settlement.clone()), ("s.vk", key.clone()), base.clone(), a.clone(), b.clone()];
        case(&format!("{kind}: a settlement"), none(), &files, Accepted);
        let circuit = Settlement::decode(&settlement).unwrap().circuit;
        let named = |circuit: [u8; 32]| Expected { circuit: hexadecimal(&circuit), ..none() };
        case(&format!("{kind}: its circuit"), named(circuit), &files, Accepted);
        case(&format!("{kind}: another circuit"), named([7; 32]), &files, Rejected);
        for index in (8..settlement.len() - 32).step_by(settlement.len() / 12) {
            let mut forged = settlement.clone();
            forged[index] ^= 1;
            let forged = ("s.settlement", resealed(forged));
            let files = [forged, ("s.vk", key.clone()), base.clone(), a.clone(), b.clone()];
            case(&format!("{kind}: byte {index} of the settlement"), none(), &files, Rejected);
        }
        for index in (8..key.len() - 32).step_by(key.len() / 6) {
            let mut forged = key.clone();
            forged[index] ^= 1;
            let forged = ("s.vk", resealed(forged));
            let files = [("s.settlement", settlement.clone()), forged, base.clone(), a.clone(), b.clone()];
            case(&format!("{kind}: byte {index} of the key"), none(), &files, Input);
        }
    }
    let settlement = file("classify.settlement");
    let key = file("classify.vk");
    let with = |key: File<'static>| [settlement.clone(), key, base.clone(), a.clone(), b.clone()];
    case("another circuit's key", none(), &with(file("embed.vk")), Rejected);
    // A plain circuit attributes nothing.
    type Claim = fn(&mut Settlement);
    let claims: [(&str, Claim); 3] = [
        ("an index that no circuit reads", |s| s.index = Fr::one()),
        ("shares of nothing", |s| s.shares = vec![Fr::zero(); 8]),
        ("shares", |s| (s.index, s.shares) = (Fr::one(), vec![Fr::from(65_535); 8])),
    ];
    for (name, claim) in claims {
        let mut forged = Settlement::decode(&settlement.1).unwrap();
        claim(&mut forged);
        let files = [("s.settlement", forged.encode()), key.clone(), base.clone(), a.clone(), b.clone()];
        case(name, none(), &files, Rejected);
    }
    // A key whose parts fit each other, with another commitment; the settlement names its circuit.
    let honest = VerifyingKey::decode(&key.1).unwrap();
    let (mut fixed, permutation) = (*honest.circuit().fixed(), *honest.circuit().permutation());
    fixed.swap(6, 7);
    let circuit = CircuitKey::new(honest.log_rows(), fixed, permutation).unwrap();
    let forged = VerifyingKey::new(honest.circuit_shape().clone(), *honest.tau_g2(), circuit).unwrap();
    let mut renamed = Settlement::decode(&settlement.1).unwrap();
    renamed.circuit = forged.circuit_id();
    let files = [("s.settlement", renamed.encode()), ("s.vk", forged.encode()), base.clone(), a.clone(), b.clone()];
    case("a key with two columns exchanged", none(), &files, Rejected);
    // A key can lie: only the circuit's id tells.
    let lying = [file("gateless.settlement"), file("gateless.vk"), base.clone(), a.clone(), b.clone()];
    case("a key without a gate", none(), &lying, Accepted);
    let circuit = hexadecimal(&honest.circuit_id());
    case("a key without a gate, by its circuit", Expected { circuit, ..none() }, &lying, Rejected);
    case("a settlement without adapters' keys", none(), &[settlement.clone(), key.clone(), base.clone()], Rejected);
    case("a settlement with another base", none(), &[settlement.clone(), key.clone(), other.clone()], Rejected);

    // What is missing, and what is too much.
    case("no file", none(), &[], Usage);
    case("keys alone", none(), &[base.clone(), a.clone()], Usage);
    case("no base", none(), &[unbound.clone(), a.clone()], Usage);
    case("no settlement key", none(), &[settlement.clone(), base.clone(), a.clone()], Usage);
    case("two proofs", none(), &[unbound.clone(), unbound.clone(), base.clone()], Usage);
    case("a proof and a settlement", none(), &[unbound.clone(), settlement.clone(), base.clone(), key.clone()], Usage);
    case("a file of another program", none(), &[("photo.png", vec![0x89; 2_000]), base.clone()], Input);
    case("an empty file", none(), &[("empty", Vec::new()), unbound.clone(), base.clone()], Input);
    cases
}

/// The input of `run`: options and files, each with its length.
pub fn input(case: &Case) -> Vec<u8> {
    let Expected { base, context, circuit } = &case.expected;
    let options = serde_json::json!({ "base": base, "context": context, "circuit": circuit }).to_string();
    let files = case.files.iter().map(|(_, bytes)| bytes.as_slice());
    let mut input = Vec::new();
    for part in [options.as_bytes()].into_iter().chain(files) {
        input.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        input.extend(part);
    }
    input
}
