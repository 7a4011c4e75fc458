//! A request for an inference on chain: its terms, signed by the requester, and the text for the prover.
//!
//! ```json
//! { "schema": "lorica.request/1", "chain_id": 31337, "escrow": "0x…", "id": "0x…", "signature": "0x…",
//!   "terms": { "requester": "0x…", "base": "0x…", "adapter": "0x…", "input_digest": "0x…", "kind": "classify",
//!              "max_fee": "…", "token": "0x…", "deadline": 1790000000, "prover": "0x…", "consumer": "0x…",
//!              "consumer_gas": 0, "salt": "0x…" },
//!   "input": { "text": "…", "salt": "31 bytes" } }
//! ```
//! Only the terms go on chain; whoever has the file knows the text. Amounts are in the token's smallest unit.

use std::path::Path;

use lorica_chain::abi;
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::{Address, B256, Bytes, Signature, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::market::Market;
use lorica_circuits::shape::OutputKind;
use lorica_quant::import::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{BaseKey, store};
use crate::requests::{Salt, encode, input_word, parse_salt};

/// What embeddings were before their kind was withdrawn.
const WITHDRAWN_EMBEDDING: u8 = 0;

/// Largest request file.
const MAX_BYTES: u64 = 1 << 20;
const SCHEMA: &str = "lorica.request/1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    chain_id: u64,
    escrow: Address,
    id: B256,
    signature: Bytes,
    terms: Terms,
    input: Input,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    requester: Address,
    base: B256,
    adapter: B256,
    input_digest: B256,
    kind: Kind,
    /// Decimal.
    max_fee: String,
    token: Address,
    deadline: u64,
    prover: Address,
    consumer: Address,
    consumer_gas: u32,
    salt: B256,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Embed,
    Classify,
}

impl From<Kind> for OutputKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Embed => Self::Embed,
            Kind::Classify => Self::Classify,
        }
    }
}

impl From<OutputKind> for Kind {
    fn from(kind: OutputKind) -> Self {
        match kind {
            OutputKind::Embed => Self::Embed,
            OutputKind::Classify => Self::Classify,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    text: String,
    salt: String,
}

/// A request with its signature and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// What is signed.
    pub terms: InferenceRequest,
    /// The id on chain.
    pub id: B256,
    /// By the requester.
    pub signature: Bytes,
    /// For the prover.
    pub text: String,
    /// Of the input digest.
    pub salt: Salt,
}

impl SignedRequest {
    /// Reads a file and checks that the id is the terms' under this escrow, and that the requester signed it. What a
    /// contract wallet says of its signature is left to the escrow.
    ///
    /// # Errors
    /// [`Error::Refused`] says what is wrong.
    pub fn read(path: &Path, market: &Market, chain: &mut impl Chain) -> Result<Self, Error> {
        let request = Self::read_even_withdrawn(path, market, chain)?;
        match OutputKind::from_number(request.terms.kind) {
            Ok(_) => Ok(request),
            Err(error) => Err(Error::Refused { path: path.into(), reason: format!("{error}; sign the request again") }),
        }
    }

    /// [`read`](Self::read), also of an embedding that was signed before its kind was withdrawn: its fee may be locked, and
    /// can be taken back.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_even_withdrawn(path: &Path, market: &Market, chain: &mut impl Chain) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Refused { path: path.into(), reason };
        let bytes = store::read(path, MAX_BYTES)?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| refuse(format!("not a request: {error}")))?;
        let File { schema, chain_id, escrow, id, signature, terms, input } = file;
        if schema != SCHEMA {
            return Err(refuse(format!("its schema is {schema:?}, not {SCHEMA:?}")));
        }
        if chain_id != market.contracts.chain_id || escrow != market.escrow {
            let own = (market.escrow, market.contracts.chain_id);
            return Err(refuse(format!(
                "for the escrow {escrow} on chain {chain_id}, not {} on chain {}",
                own.0, own.1
            )));
        }
        let max_fee = U256::from_str_radix(&terms.max_fee, 10).map_err(|_| refuse("max_fee is no number".into()))?;
        let mut terms = InferenceRequest {
            requester: terms.requester,
            base: terms.base.into(),
            adapter: terms.adapter.into(),
            inputDigest: terms.input_digest.into(),
            kind: OutputKind::from(terms.kind).number(),
            maxFee: max_fee,
            token: terms.token,
            deadline: terms.deadline,
            prover: terms.prover,
            consumer: terms.consumer,
            consumerGas: terms.consumer_gas,
            salt: terms.salt.into(),
        };
        let expected = market.escrow().request_id(&terms);
        if expected != id {
            // Both are "embed" in a file: which one it is, its id says.
            let withdrawn = InferenceRequest { kind: WITHDRAWN_EMBEDDING, ..terms.clone() };
            if terms.kind != OutputKind::Embed.number() || market.escrow().request_id(&withdrawn) != id {
                return Err(refuse(format!("the id is {id}, that of its terms is {expected}")));
            }
            terms = withdrawn;
        }
        let requester = terms.requester;
        let signer = Signature::try_from(signature.as_ref()).and_then(|known| known.recover_address_from_prehash(&id));
        if signer.as_ref().ok() != Some(&requester) && chain.code(requester)?.is_empty() {
            return Err(refuse(match signer {
                Ok(signer) => format!("signed by {signer}, the requester is {requester}"),
                Err(error) => format!("its signature, {} bytes long, is none: {error}", signature.len()),
            }));
        }
        let salt = parse_salt(&input.salt).map_err(|reason| refuse(format!("salt: {reason}")))?;
        Ok(Self { terms, id, signature, text: input.text, salt })
    }

    /// Reads several files, in the order of their ids, as a batch needs them.
    ///
    /// # Errors
    /// [`Error::Refused`], also for one request twice.
    pub fn read_all(paths: &[impl AsRef<Path>], market: &Market, chain: &mut impl Chain) -> Result<Vec<Self>, Error> {
        let mut all: Vec<Self> =
            paths.iter().map(|path| Self::read(path.as_ref(), market, chain)).collect::<Result<_, _>>()?;
        all.sort_by_key(|request| request.id);
        if let Some([_, twice]) = all.array_windows().find(|[a, b]| a.id == b.id) {
            return Err(Error::Batch(format!("the request {} is there twice", twice.id)));
        }
        Ok(all)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`Error`] names the file.
    pub fn write(&self, path: &Path, market: &Market) -> Result<(), Error> {
        let terms = &self.terms;
        let file = File {
            schema: SCHEMA.into(),
            chain_id: market.contracts.chain_id,
            escrow: market.escrow,
            id: self.id,
            signature: self.signature.clone(),
            terms: Terms {
                requester: terms.requester,
                base: terms.base.into(),
                adapter: terms.adapter.into(),
                input_digest: terms.inputDigest.into(),
                kind: OutputKind::from_number(terms.kind)?.into(),
                max_fee: terms.maxFee.to_string(),
                token: terms.token,
                deadline: terms.deadline,
                prover: terms.prover,
                consumer: terms.consumer,
                consumer_gas: terms.consumerGas,
                salt: terms.salt.into(),
            },
            input: Input { text: self.text.clone(), salt: hex::encode(self.salt) },
        };
        let refuse = |error: serde_json::Error| Error::Refused { path: path.into(), reason: error.to_string() };
        let content = serde_json::to_string_pretty(&file).map_err(refuse)?;
        store::write(path, format!("{content}\n").as_bytes())
    }

    /// That the request is for this base, and its digest the text's under the base's tokenizer.
    ///
    /// # Errors
    /// [`Error::Batch`] names the request.
    pub fn check_input(&self, base: &BaseKey, tokenizer: &Tokenizer) -> Result<(), Error> {
        if self.terms.base != abi::word(&base.commitments.id()) {
            return Err(Error::Batch(format!("the request {} is for another base", self.id)));
        }
        let ids = encode(tokenizer, 0, &self.text)?;
        if abi::word(&input_word(&self.salt, &ids, base.commitments.architecture.max_tokens)) != self.terms.inputDigest
        {
            return Err(Error::Batch(format!("the text of the request {} is not what its digest says", self.id)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lorica_chain::contracts::check::CheckContracts;
    use lorica_chain::embedded::EmbeddedChain;
    use lorica_chain::keys::PrivateKey;
    use serde_json::{Value, json};

    use super::*;

    fn market() -> Market {
        let at = Address::repeat_byte;
        let contracts =
            CheckContracts { chain_id: 31337, halo2_verifier: at(1), registry: at(2), verifier: at(3), router: at(4) };
        Market { contracts, open: at(5), models: at(6), escrow: at(7) }
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
            maxFee: U256::from(14),
            token: market.open,
            deadline: 15,
            prover: Address::ZERO,
            consumer: Address::repeat_byte(9),
            consumerGas: 16,
            salt: U256::from(17),
        };
        let id = market.escrow().request_id(&terms);
        let signature = Bytes::from(key.sign_digest(id).expect("a signature").as_bytes());
        SignedRequest { terms, id, signature, text: "hello".into(), salt: [3; 31] }
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
            ("max_fee", json!("15")),
            ("token", address.clone()),
            ("deadline", json!(16)),
            ("prover", address.clone()),
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
            ("schema", json!("lorica.request/2"), "schema"),
            ("chain_id", json!(1), "on chain 1"),
            ("escrow", address, "for the escrow"),
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
}
