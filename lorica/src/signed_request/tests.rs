//! Nothing in a request file may change, be missing, or be said twice.

use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::keys::PrivateKey;
use serde_json::{Value, json};

use lorica_chain::alloy_primitives::aliases::U96;

use super::*;

fn market() -> Market {
    let at = Address::repeat_byte;
    let contracts =
        CheckContracts { chain_id: 31337, halo2_verifier: at(1), registry: at(2), verifier: at(3), router: at(4) };
    Market {
        contracts,
        open: at(5),
        index_ranges: at(9),
        models: at(6),
        escrow: at(7),
        prepaid: at(8),
        line_sale: None,
    }
}

fn signed(market: &Market, key: &PrivateKey) -> SignedRequest {
    signed_for(market, key, OutputKind::Classify.number())
}

fn signed_for(market: &Market, key: &PrivateKey, kind: u8) -> SignedRequest {
    let terms = InferenceRequest {
        requester: key.account(),
        base: U256::from(11),
        adapter: U256::from(12),
        inputDigest: U256::from(13),
        kind,
        routes: U256::from(18),
        maxFee: U256::from(14),
        minFee: U256::from(10),
        rampStart: 19,
        rampTime: 20,
        token: market.open,
        deadline: 15,
        prover: Address::ZERO,
        acceptTime: 21,
        stake: U96::from(22),
        consumer: Address::repeat_byte(9),
        consumerGas: 16,
        salt: U256::from(17),
    };
    let id = market.escrow().request_id(&terms);
    let signature = Bytes::from(key.sign_digest(id).expect("a signature").as_bytes());
    SignedRequest { terms, funding: Funding::Locked, id, signature, text: "hello".into(), salt: [3; 31] }
}

#[test]
fn no_term_may_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("request.json");
    let (market, key) = (market(), PrivateKey::parse(&"ab".repeat(32)).expect("a key"));
    let request = signed(&market, &key);
    let mut chain = EmbeddedChain::new(31337, key.account());
    request.write(&path, &market).expect("written");
    assert_eq!(SignedRequest::read(&path, &market, &mut chain).expect("the same"), request);

    let file: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    let mut refused = |file: &Value| {
        std::fs::write(&path, file.to_string()).expect("written");
        SignedRequest::read(&path, &market, &mut chain).expect_err("refused").to_string()
    };
    let word = json!(B256::repeat_byte(8));
    let address = json!(Address::repeat_byte(8));
    let terms = [
        ("requester", address.clone()),
        ("base", word.clone()),
        ("adapter", word.clone()),
        ("input_digest", word.clone()),
        ("kind", json!("embed")),
        ("routes", word.clone()),
        ("max_fee", json!("15")),
        ("min_fee", json!("11")),
        ("ramp_start", json!(20)),
        ("ramp_time", json!(21)),
        ("token", address.clone()),
        ("deadline", json!(16)),
        ("prover", address.clone()),
        ("accept_time", json!(22)),
        ("stake", json!("23")),
        ("consumer", address.clone()),
        ("consumer_gas", json!(17)),
        ("salt", word.clone()),
    ];
    assert_eq!(terms.len(), file["terms"].as_object().expect("terms").len(), "a term without a case");
    for (name, other) in terms {
        let mut edited = file.clone();
        edited["terms"][name] = other;
        assert!(refused(&edited).contains("that of its terms is"), "{name}");
    }
    let stranger = PrivateKey::parse(&"cd".repeat(32)).expect("a key").sign_digest(request.id);
    for (name, other, why) in [
        ("schema", json!("lorica.request/1"), "sign the request again"),
        ("chain_id", json!(1), "on chain 1"),
        ("escrow", json!(Address::repeat_byte(9)), "for the escrow"),
        // That of prepaid requests has a domain of its own.
        ("escrow", json!(market.prepaid), "that of its terms is"),
        ("id", word, "that of its terms is"),
        ("signature", json!(Bytes::from(stranger.expect("a signature").as_bytes())), "signed by"),
        ("signature", json!("0x1234"), "2 bytes"),
        ("more", json!(1), "unknown field"),
    ] {
        let mut edited = file.clone();
        edited[name] = other;
        let error = refused(&edited);
        assert!(error.contains(why), "{name}: {error}");
    }
    for name in ["max_fee", "min_fee", "stake"] {
        let mut edited = file.clone();
        edited["terms"][name] = json!("-1");
        assert!(refused(&edited).contains(&format!("{name} is no number")), "{name}");
    }
    let mut edited = file.clone();
    edited["terms"]["stake"] = json!((U256::ONE << 96usize).to_string());
    assert!(refused(&edited).contains("stake is no number that a request has a place for"));
    let mut edited = file.clone();
    edited["input"]["salt"] = json!("00");
    assert!(refused(&edited).contains("31 bytes"));
}

/// Requests of files that were written when embeddings were kind 0 lock and bind nothing, but can be taken back.
#[test]
fn withdrawn_embeddings_are_signed_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("request.json");
    let (market, key) = (market(), PrivateKey::parse(&"ab".repeat(32)).expect("a key"));
    let mut chain = EmbeddedChain::new(31337, key.account());
    let embed = signed_for(&market, &key, OutputKind::Embed.number());
    embed.write(&path, &market).expect("written");
    assert_eq!(SignedRequest::read(&path, &market, &mut chain).expect("the same"), embed);

    let old = signed_for(&market, &key, WITHDRAWN_EMBEDDING);
    assert!(old.write(&path, &market).is_err(), "none are written any more");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    (file["id"], file["signature"]) = (json!(old.id), json!(old.signature));
    std::fs::write(&path, file.to_string()).expect("written");
    let error = SignedRequest::read(&path, &market, &mut chain).expect_err("refused").to_string();
    assert!(error.contains("are withdrawn") && error.ends_with("sign the request again"), "{error}");
    assert!(SignedRequest::read_all(&[&path], &market, &mut chain).is_err());
    let read = SignedRequest::read_even_withdrawn(&path, &market, &mut chain);
    assert_eq!(read.expect("to be taken back"), old);
    // A label was never kind 0.
    file["terms"]["kind"] = json!("classify");
    std::fs::write(&path, file.to_string()).expect("written");
    let error = SignedRequest::read_even_withdrawn(&path, &market, &mut chain).expect_err("refused").to_string();
    assert!(error.contains("that of its terms is"), "{error}");
}

/// A prepaid request is signed under the domain of its own escrow.
#[test]
fn prepaid_requests_are_of_their_own_escrow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("request.json");
    let (market, key) = (market(), PrivateKey::parse(&"ab".repeat(32)).expect("a key"));
    let mut chain = EmbeddedChain::new(31337, key.account());
    let locked = signed(&market, &key);
    let id = market.prepaid().0.request_id(&locked.terms);
    let signature = Bytes::from(key.sign_digest(id).expect("a signature").as_bytes());
    let prepaid = SignedRequest { funding: Funding::Prepaid, id, signature, ..locked };
    prepaid.write(&path, &market).expect("written");
    assert_eq!(SignedRequest::read(&path, &market, &mut chain).expect("the same"), prepaid);
    assert_eq!(prepaid.escrow(&market), market.prepaid().0);
}

#[test]
fn batches_ascend_and_name_no_request_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (market, key) = (market(), PrivateKey::parse(&"ab".repeat(32)).expect("a key"));
    let mut paths = Vec::new();
    for salt in 0..5u64 {
        let mut request = signed(&market, &key);
        request.terms.salt = U256::from(salt);
        request.id = market.escrow().request_id(&request.terms);
        request.signature = Bytes::from(key.sign_digest(request.id).expect("a signature").as_bytes());
        let path = folder.path().join(format!("{salt}.json"));
        request.write(&path, &market).expect("written");
        paths.push(path);
    }
    let mut chain = EmbeddedChain::new(31337, key.account());
    let read = SignedRequest::read_all(&paths, &market, &mut chain).expect("five requests");
    assert!(read.is_sorted_by(|a, b| a.id < b.id) && read.len() == 5);
    paths.push(paths[2].clone());
    let twice = SignedRequest::read_all(&paths, &market, &mut chain).expect_err("refused");
    assert!(twice.to_string().contains("twice"));
}

/// The owner's key signs for a contract; whether the contract agrees is for the escrow to ask.
#[test]
fn wallets_are_asked_by_the_escrow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("request.json");
    let (market, key) = (market(), PrivateKey::parse(&"ab".repeat(32)).expect("a key"));
    let mut chain = EmbeddedChain::new(31337, key.account());
    // Creates a contract whose code is one zero byte.
    let code = Bytes::from_static(&[0x60, 1, 0x60, 0, 0xf3]);
    let wallet = chain.send(None, code).expect("a contract").created.expect("its address");
    let mut request = signed(&market, &key);
    for (requester, signature, read) in [
        (wallet, request.signature.clone(), true),
        (wallet, Bytes::from_static(b"any"), true),
        (wallet, Bytes::new(), true),
        (Address::repeat_byte(8), request.signature.clone(), false),
        (Address::repeat_byte(8), Bytes::from_static(b"any"), false),
        (Address::repeat_byte(8), Bytes::new(), false),
    ] {
        request.terms.requester = requester;
        request.id = market.escrow().request_id(&request.terms);
        request.signature = signature;
        request.write(&path, &market).expect("written");
        let result = SignedRequest::read(&path, &market, &mut chain);
        assert_eq!(result.is_ok(), read, "{result:?}");
    }
}
