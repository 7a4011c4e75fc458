//! Real settlements from `verifier-contracts/test/vectors`, on a chain in memory.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod published;

use alloy_primitives::{Address, B256, Bytes, U256};
use lorica_chain::abi;
use lorica_chain::abi::bindings::{CommitmentRegistry, VerifierRouter};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::registry::DatanetRecord;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, Refusal};
use lorica_chain::revert::Revert;
use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_circuits::families::encoder::Scales;
use lorica_settlement::binding::{Binding, BoundRequest};
use lorica_settlement::settlement::{Answer, Settlement};
use lorica_verifier::files::codec::{Reader, Writer};
use lorica_verifier::protocol::keccak::{decode_point, decode_scalar};
use lorica_verifier::protocol::key::{BaseCommitments, IndexCommitments, read_architecture};
use lorica_verifier::protocol::mercury::MercuryOutcome;
use lorica_verifier::protocol::statement::RequestWords;
use serde_json::Value;

pub const CLASSIFY_1: &str = "classify-1";
pub const CLASSIFY_3: &str = "classify-3";
pub const EMBED_2: &str = "embed-2";
pub const ALL: [&str; 3] = [CLASSIFY_1, CLASSIFY_3, EMBED_2];

pub const OWNER: Address = Address::repeat_byte(0x0e);
pub const GUARDIAN: Address = Address::repeat_byte(0x6d);

/// Gas of a check that fails before any curve arithmetic, beyond that of its calldata.
pub const CHEAP: u64 = 60_000;

pub struct Vector(pub Value);

impl Vector {
    pub fn read(name: &str) -> Self {
        let path = format!("{}/../verifier-contracts/test/vectors/settlement-{name}.json", env!("CARGO_MANIFEST_DIR"));
        Self(serde_json::from_str(&std::fs::read_to_string(path).expect("a vector")).expect("JSON"))
    }

    fn text(value: &Value) -> &str {
        value.as_str().expect("a string")
    }

    fn all(value: &Value) -> Vec<U256> {
        value.as_array().expect("an array").iter().map(|word| Self::text(word).parse().expect("a word")).collect()
    }

    pub fn bytes(&self, name: &str) -> Bytes {
        Self::text(&self.0[name]).parse().expect("bytes")
    }

    pub fn word(&self, name: &str) -> U256 {
        Self::text(&self.0[name]).parse().expect("a word")
    }

    pub fn words(&self, name: &str) -> Vec<U256> {
        Self::all(&self.0[name])
    }

    pub fn circuit(&self) -> B256 {
        self.word("circuit").into()
    }

    pub fn consumer(&self) -> Address {
        Address::from_word(self.word("consumer").into())
    }

    pub fn chain_id(&self) -> u64 {
        self.word("chainId").to()
    }

    /// A base of the vector's architecture and tiles, with other scales: the vector has their digest only.
    pub fn base(&self) -> BaseCommitments {
        let mut encoding = Writer::new(b"LORICAxx", 1);
        encoding.bytes(&self.bytes("encoding"));
        let encoding = encoding.finish();
        let mut reader = Reader::new(&encoding, "encoding", b"LORICAxx", 1).expect("an encoding");
        let mut tau = Writer::new(b"LORICAxx", 1);
        self.words("tauG2").iter().for_each(|word| tau.bytes(&word.to_be_bytes::<32>()));
        let tau = tau.finish();
        let mut tau = Reader::new(&tau, "tau", b"LORICAxx", 1).expect("a point");
        BaseCommitments {
            architecture: read_architecture(&mut reader).expect("an architecture"),
            scales: Scales { norms: Vec::new(), scores: Vec::new() },
            log_tile: self.word("logTile").to(),
            srs: scalar(&self.word("srs")),
            tau_g2: tau.point_g2("tau").expect("a point"),
            tables: points(&self.words("tables")),
            tiles: points(&self.words("tiles")),
        }
    }

    /// Id and tiles of each adapter.
    pub fn adapters(&self) -> Vec<(U256, Vec<U256>)> {
        let adapters = self.0["adapters"].as_array().expect("an array");
        adapters
            .iter()
            .map(|adapter| (Self::text(&adapter["id"]).parse().expect("a word"), Self::all(&adapter["tiles"])))
            .collect()
    }

    /// The datanet version that an adapter names, or zero.
    pub fn version(&self, adapter: usize) -> U256 {
        self.0["adapters"][adapter]["version"].as_str().map_or(U256::ZERO, |word| word.parse().expect("a word"))
    }

    /// The index by which the vector attributes.
    pub fn index(&self) -> Option<IndexCommitments> {
        let index = self.0["indexes"].get(0)?;
        let word = |name: &str| scalar(&Self::text(&index[name]).parse().expect("a word"));
        let number = |name: &str| usize::try_from(index[name].as_u64().expect("a number")).expect("a number");
        Some(IndexCommitments {
            adapter: word("adapter"),
            version: word("version"),
            records: 1 << number("logRecords"),
            count: number("count"),
            tiles: points(&Self::all(&index["tiles"])),
        })
    }

    pub fn settlement(&self) -> Settlement {
        let address = |name| Address::from_word(self.word(name).into()).into_array();
        let scalars = |name| self.words(name).iter().map(scalar).collect::<Vec<Fr>>();
        let requests = self.words("requestIds").into_iter().zip(self.words("fees"));
        let binding = Binding {
            chain_id: self.chain_id(),
            consumer: address("consumer"),
            payee: address("payee"),
            requests: requests.map(|(id, fee)| BoundRequest { id: id.to_be_bytes(), fee: fee.to_be_bytes() }).collect(),
        };
        let (inputs, labels, outputs) = (scalars("inputDigests"), scalars("labels"), scalars("outputDigests"));
        let answers = scalars("requestAdapters").into_iter().enumerate().map(|(i, adapter)| Answer {
            adapter,
            words: RequestWords {
                input_digest: inputs[i],
                label: labels[i],
                output_digest: outputs[i],
                shares: Vec::new(),
            },
        });
        let one = |name| scalar(&self.word(name));
        Settlement {
            circuit: self.circuit().0,
            binding,
            base: one("base"),
            answers: answers.collect(),
            index: one("index"),
            shares: scalars("shares"),
            witness: points(&self.words("witness")),
            opening: points(&self.words("opening")).try_into().expect("eight points"),
            rho_high: scalars("rhoHigh"),
            outcome: MercuryOutcome {
                alpha: one("alpha"),
                zeta: one("zeta"),
                beta: one("beta"),
                z: one("z"),
                constant: one("constantTerm"),
            },
            proof: self.bytes("proof").to_vec(),
        }
    }
}

fn scalar(word: &U256) -> Fr {
    decode_scalar(&word.to_be_bytes()).expect("canonical")
}

pub fn points(words: &[U256]) -> Vec<G1Affine> {
    let point = |xy: &[U256]| {
        let bytes = [xy[0].to_be_bytes::<32>(), xy[1].to_be_bytes()].concat();
        decode_point(&bytes.try_into().expect("64 bytes")).expect("on the curve")
    };
    words.chunks(2).map(point).collect()
}

pub fn registry_points(words: &[U256]) -> Vec<CommitmentRegistry::Point> {
    words.chunks(2).map(|xy| CommitmentRegistry::Point { x: xy[0], y: xy[1] }).collect()
}

/// r as a word.
pub fn order() -> U256 {
    abi::word(&-Fr::from(1)) + U256::from(1)
}

/// Registers what a vector refers to, unless it is registered.
pub fn register(chain: &mut impl Chain, contracts: &CheckContracts, vector: &Vector) {
    let mut send = |getter: Bytes, call: Bytes| {
        let known = !U256::from_be_slice(&chain.call(contracts.registry, getter.clone()).expect("a getter")).is_zero();
        if !known {
            chain.send(Some(contracts.registry), call).expect("a registration");
            let record = U256::from_be_slice(&chain.call(contracts.registry, getter).expect("a getter"));
            assert!(!record.is_zero(), "registered under another id");
        }
    };
    let architecture = vector.word("architecture");
    send(
        abi::encode(&CommitmentRegistry::architecturesCall { id: architecture }),
        abi::encode(&CommitmentRegistry::registerArchitectureCall {
            family: 1,
            encoding: vector.bytes("encoding"),
            logTile: vector.word("logTile").to(),
            srs: vector.word("srs"),
            tauG2: vector.words("tauG2").try_into().expect("four words"),
            tables: registry_points(&vector.words("tables")),
        }),
    );
    let base = vector.word("base");
    send(
        abi::encode(&CommitmentRegistry::basesCall { id: base }),
        abi::encode(&CommitmentRegistry::registerBaseCall {
            architecture,
            tiles: registry_points(&vector.words("tiles")),
            scalesWord: vector.word("scalesWord"),
        }),
    );
    for (at, (id, tiles)) in vector.adapters().into_iter().enumerate() {
        send(
            abi::encode(&CommitmentRegistry::adaptersCall { id }),
            abi::encode(&CommitmentRegistry::registerAdapterCall {
                base,
                version: vector.version(at),
                tiles: registry_points(&tiles),
            }),
        );
    }
    if let Some(index) = vector.index() {
        let step = contracts.registry().register_datanet(chain, &datanet()).expect("a datanet");
        assert_eq!(step.id, abi::word(&index.version));
        let step = contracts.registry().register_index(chain, &index).expect("an index");
        assert_eq!(step.id, vector.word("index"));
    }
}

/// The datanet version of `datanet.json`, which the attributing vectors' index is of.
pub fn datanet() -> DatanetRecord {
    let path = format!("{}/../verifier-contracts/test/vectors/datanet.json", env!("CARGO_MANIFEST_DIR"));
    let value: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a vector")).expect("JSON");
    let word = |name: &str| value[name].as_str().expect("a string").parse().expect("a word");
    let count = |name: &str| u32::try_from(value[name].as_u64().expect("a number")).expect("a count");
    DatanetRecord {
        records: count("count"),
        records_root: word("recordsRoot"),
        contributors: count("contributors"),
        contributors_root: word("contributorsRoot"),
        rules: word("rules"),
        licence: word("licence"),
        standard: word("standard"),
    }
}

/// A chain on which a vector's settlement is accepted.
pub struct World {
    pub chain: EmbeddedChain,
    pub contracts: CheckContracts,
    pub vector: Vector,
    /// By which the vector's circuit is checked.
    pub route: B256,
}

impl World {
    pub fn new(name: &str) -> Self {
        Self::on_chain(name, None)
    }

    pub fn on_chain(name: &str, id: Option<u64>) -> Self {
        Self::of(Vector::read(name), id)
    }

    pub fn of(vector: Vector, id: Option<u64>) -> Self {
        let mut chain = EmbeddedChain::new(id.unwrap_or(vector.chain_id()), OWNER);
        let (contracts, _) = CheckContracts::deploy(&mut chain, GUARDIAN).expect("deployed");
        register(&mut chain, &contracts, &vector);
        let added = contracts.add_key(&mut chain, &vector.bytes("key"), CHECK_GAS).expect("a route");
        let route = added.last().expect("the route's step").id.into();
        chain.set_account(vector.consumer());
        Self { chain, contracts, vector, route }
    }

    /// The settlement in the ABI, to be forged.
    pub fn honest(&self) -> VerifierRouter::Settlement {
        abi::settlement(&self.vector.settlement()).expect("a settlement")
    }

    pub fn calldata(&self, settlement: &VerifierRouter::Settlement) -> Bytes {
        abi::encode(&VerifierRouter::checkCall { route: self.route, settlement: settlement.clone() })
    }

    /// Shows calldata to the router, as the consumer.
    pub fn show(&mut self, data: Bytes) -> Result<u64, ChainError> {
        self.chain.send(Some(self.contracts.router), data).map(|receipt| receipt.gas)
    }

    /// Shows a settlement that must be rejected: with a reason, for at most what a check may use.
    pub fn reject(&mut self, settlement: &VerifierRouter::Settlement, what: &str) -> Revert {
        let data = self.calldata(settlement);
        self.reject_data(data, u64::from(CHECK_GAS), what)
    }

    /// As [`Self::reject`], for at most so much gas beyond that of the calldata.
    pub fn reject_data(&mut self, data: Bytes, most: u64, what: &str) -> Revert {
        let bound = floor(&data).max(intrinsic(&data) + most);
        match self.show(data) {
            Err(ChainError::Refused(Refusal::Reverted { revert, gas: Some(gas) })) => {
                assert!(gas <= bound, "{what}: {gas} gas");
                *revert
            }
            other => panic!("{what}: {other:?}"),
        }
    }

    /// Rejected because the proof is for another statement.
    pub fn reject_proof(&mut self, settlement: &VerifierRouter::Settlement, what: &str) {
        let revert = self.reject(settlement, what);
        assert!(revert.is_false_proof(), "{what}: {revert}");
    }

    /// Rejected before any curve arithmetic.
    pub fn reject_cheaply(&mut self, settlement: &VerifierRouter::Settlement, what: &str) -> Revert {
        let data = self.calldata(settlement);
        let revert = self.reject_data(data, CHEAP, what);
        assert!(!revert.is_false_proof(), "{what}: {revert}");
        revert
    }
}

fn tokens(data: &[u8]) -> u64 {
    data.iter().map(|&byte| if byte == 0 { 1 } else { 4 }).sum()
}

/// Gas of a call that does nothing, but for the floor.
pub fn intrinsic(data: &[u8]) -> u64 {
    21_000 + 4 * tokens(data)
}

/// Least gas of a transaction with this calldata (EIP-7623).
pub fn floor(data: &[u8]) -> u64 {
    21_000 + 10 * tokens(data)
}
