//! The broker against the contracts on a chain in memory, with true proofs: ended after each of its steps, interfered with by
//! others, and asked by hostile tenants. What is counted is money.

mod batches;
mod crashes;
mod hostile;
mod interference;
mod nodes;
mod quotes;
mod reorganisations;
mod shares;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, mpsc};

use lorica::chain::abi;
use lorica::chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica::chain::alloy_primitives::aliases::U96;
use lorica::chain::alloy_primitives::{Bytes, U256};
use lorica::chain::contracts::lock::{Locking, lock};
use lorica::chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica::chain::contracts::pins::{self, Pin};
use lorica::chain::contracts::publish::Publication;
use lorica::chain::contracts::router::CHECK_GAS;
use lorica::chain::contracts::terms::Shares;
use lorica::chain::contracts::token::OPEN;
use lorica::chain::embedded::serve::DevelopmentNode;
use lorica::chain::rpc::plan::Limits;
use lorica::chain::rpc::settings::Settings as Patience;
use lorica::circuits::shape::OutputKind;
use lorica::input::{encode, input_word, random_word, tokenizer};
use lorica::offer::circuits::Circuits;
use lorica::prover::{Job, MinimumShape};
use lorica::settle::Settler;
use lorica::settlement::key::ProvingKey;
use lorica::settlement::statement::CircuitShape;
use lorica::signed_request::SignedRequest;
use lorica::verifier::protocol::keccak::encode_scalar;
use lorica::verifier::protocol::key::{AdapterCommitments, IndexCommitments};
use lorica::verifier::protocol::verify::Keys;
use lorica::watch::Unwatched;
use prost::Message;

use super::admission::Desk;
use super::settings::TakenToken;
use super::*;
use crate::error::Refusal;
use crate::models::{Executed, Made};
use crate::proto;
use crate::store::market::{Entry, EntryKind, NewRequest};
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{BatchFailure, Completed, Lease, Member};
use crate::target::Target;
use crate::terms;
use crate::world::WORLD;

const CHAIN_ID: u64 = 31337;
const FEE: u64 = 10;
const TEXT: &str = "hello world a b";

/// A chain with the models published and circuits for so many requests.
struct Stage {
    url: String,
    market: Market,
    pins: Vec<Pin>,
    circuits: &'static [usize],
    /// All of them attribute: requests are for the third adapter, which is published with its index.
    shares: bool,
    governance: PrivateKey,
    locks: tempfile::TempDir,
}

fn open(amount: u64) -> U256 {
    U256::from(amount) * U256::from(OPEN)
}

fn key(byte: u8) -> PrivateKey {
    PrivateKey::parse(&hex::encode([byte; 32])).expect("a key")
}

fn connect_to(url: &str, key: &PrivateKey, locks: &Path) -> RpcChain {
    let patience = Patience { locks: Some(locks.into()), ..Patience::default() };
    RpcChain::connect_with(url, Some(key.clone()), Some(CHAIN_ID), patience).expect("a chain")
}

/// The chain that tests share which do not reorganise it.
static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::new(&[1]));
/// A settler keeps one key: each has its circuit.
static SETTLERS: LazyLock<[Settler; 4]> = LazyLock::new(|| [(); 4].map(|()| Settler::new(WORLD.prover.srs().clone())));

fn settler(requests: usize, shares: bool) -> &'static Settler {
    &SETTLERS[usize::from(requests > 1) + 2 * usize::from(shares)]
}

/// The circuit that settles so many requests.
fn circuit(requests: usize, shares: bool) -> CircuitShape {
    let base = &WORLD.prover.key().commitments;
    let shape = base.architecture.shape(requests, 16, base.log_tile, OutputKind::Classify).expect("a shape");
    let shape = if shares { shape.attributing(WORLD.datanet.key.records).expect("a shape") } else { shape };
    CircuitShape::of(base, shape)
}

/// The key of that circuit.
fn settlement_key(requests: usize, shares: bool) -> Arc<ProvingKey> {
    settler(requests, shares).key(&circuit(requests, shares), &Unwatched).expect("a key")
}

impl Stage {
    fn new(circuits: &'static [usize]) -> Self {
        Self::of(circuits, false)
    }

    fn of(circuits: &'static [usize], shares: bool) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let ready = move |address: String| sender.send(format!("http://{address}")).expect("a receiver");
            DevelopmentNode::new(CHAIN_ID).serve("127.0.0.1:0", ready)
        });
        let (url, locks) = (receiver.recv().expect("a node"), tempfile::tempdir().expect("a folder"));
        let governance = key(0x11);
        let mut chain = connect_to(&url, &governance, locks.path());
        let own = governance.account();
        let roles = Roles { owner: own, guardian: own, treasury: own, open: OpenKind::Token { holder: own } };
        let (market, _) = Market::deploy(&mut chain, roles, Policy::default()).expect("deployed");
        let publication = || Publication {
            line: 0,
            pot: None,
            shares: Shares::DEFAULT,
            uri: "test".into(),
            licence: "MIT".into(),
            salt: random_word().expect("randomness"),
            max_fee: open(1_000),
        };
        let base = &WORLD.prover.key().commitments;
        let published = market.publisher().base(&mut chain, base, &publication()).expect("published");
        assert!(!published.steps.is_empty());
        let adapter = &WORLD.adapters[0].key.commitments;
        let published = market.publisher().adapter(&mut chain, adapter, &publication()).expect("published");
        assert!(!published.steps.is_empty());
        if shares {
            shares::publish(&market, &mut chain, &publication());
        }
        let mut pin = |requests: &usize| {
            let settlement_key = settlement_key(*requests, shares);
            let added = market.contracts.add_circuit(&mut chain, settlement_key.verifying(), CHECK_GAS).expect("added");
            let route = added.last().expect("a route").id.into();
            market.escrow().enable_route(&mut chain, route).expect("enabled");
            let ordinal = market.escrow().ordinal(&mut chain, route).expect("known").expect("enabled");
            let id = settlement_key.verifying().circuit_id().into();
            Pin { route, circuit: id, ordinal, prepaid_ordinal: 0 }
        };
        let pins = circuits.iter().map(&mut pin).collect();
        Self { url, market, pins, circuits, shares, governance, locks }
    }
}

/// One test's prover, requester, and store.
struct Party {
    stage: &'static Stage,
    prover: PrivateKey,
    requester: PrivateKey,
    settings: Arc<Settings>,
    folder: tempfile::TempDir,
}

static NEXT: AtomicU8 = AtomicU8::new(0x20);

impl Party {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(&STAGE, change)
    }

    fn on(stage: &'static Stage, change: impl FnOnce(&mut Settings)) -> Self {
        let byte = NEXT.fetch_add(2, Ordering::Relaxed);
        let (prover, requester) = (key(byte), key(byte + 1));
        let mut governance = connect_to(&stage.url, &stage.governance, stage.locks.path());
        let token = stage.market.open_token();
        token.transfer(&mut governance, requester.account(), open(100)).expect("sent");
        let keys: Vec<_> = stage.circuits.iter().map(|requests| settlement_key(*requests, stage.shares)).collect();
        let mut settings = Settings {
            market: stage.market,
            pins: stage.pins.clone(),
            circuits: Circuits::of(keys.iter().map(|key| key.verifying())),
            tokens: vec![TakenToken {
                token: stage.market.open,
                least_fee: open(1),
                withdraw_at: open(1),
                gas_token_worth: None,
            }],
            payee: prover.account(),
            withdraw_to: prover.account(),
            max_consumer_gas: 0,
            profit: 0,
            prove_seconds: 60,
            margin_seconds: 60,
            limits: Limits { max_gas_cost: 1_000_000_000_000_000_000 },
            confirmations: 1,
            bump_after: Duration::from_secs(60),
            breaker: Duration::from_secs(600),
            poll: Duration::from_millis(10),
            batch_requests: 16,
            batch_wait: Duration::ZERO,
        };
        change(&mut settings);
        let folder = tempfile::tempdir().expect("a folder");
        Self { stage, prover, requester, settings: Arc::new(settings), folder }
    }

    fn chain(&self, key: &PrivateKey) -> RpcChain {
        connect_to(&self.stage.url, key, self.stage.locks.path())
    }

    /// The store, as it is opened after whoever had it is gone.
    fn store(&self) -> StoreThread {
        let start = Instant::now();
        loop {
            match SqliteStore::open(self.folder.path(), Access::Service) {
                Ok(store) => return StoreThread::start(Box::new(store)),
                Err(StoreError::InUse(_)) if start.elapsed() < Duration::from_secs(10) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn broker(&self, store: &StoreThread) -> Broker {
        let chain = self.chain(&self.prover);
        let models = WORLD.models.clone();
        Broker::new(self.settings.clone(), chain, self.prover.clone(), store.clone(), models).expect("a broker")
    }

    fn desk(&self) -> Desk {
        Desk::new(self.settings.clone(), self.chain(&self.prover), self.prover.clone())
    }

    /// The adapter that requests are for.
    fn adapter(&self) -> usize {
        if self.stage.shares { 2 } else { 0 }
    }

    /// Terms for a classification of [`TEXT`] by the adapter.
    fn terms(&self, salt: [u8; 31]) -> InferenceRequest {
        let base = WORLD.prover.key();
        let ids = encode(&tokenizer(base).expect("a tokenizer"), 0, TEXT).expect("ids");
        let digest = input_word(&salt, &ids, base.commitments.architecture.max_tokens);
        InferenceRequest {
            requester: self.requester.account(),
            base: abi::word(&base.commitments.id()),
            adapter: abi::word(&WORLD.adapters[self.adapter()].key.commitments.id()),
            inputDigest: abi::word(&digest),
            kind: OutputKind::Classify.number(),
            routes: pins::mask(self.stage.pins.iter().map(|pin| pin.ordinal)),
            maxFee: open(FEE),
            minFee: open(FEE),
            rampStart: 0,
            rampTime: 0,
            token: self.stage.market.open,
            deadline: clock() + 3_600,
            prover: self.prover.account(),
            acceptTime: 0,
            stake: U96::ZERO,
            consumer: Address::ZERO,
            consumerGas: 0,
            salt: random_word().expect("randomness").into(),
        }
    }

    fn sign(&self, terms: InferenceRequest, salt: [u8; 31]) -> SignedRequest {
        let id = self.stage.market.escrow().request_id(&terms);
        let signature = Bytes::from(self.requester.sign_digest(id).expect("a signature").as_bytes());
        let place = (CHAIN_ID, self.stage.market.escrow);
        SignedRequest::from_parts(&self.stage.market, place, terms, signature, TEXT.into(), salt).expect("a request")
    }

    fn signed(&self) -> SignedRequest {
        let salt = [5; 31];
        self.sign(self.terms(salt), salt)
    }

    fn lock(&self, request: &SignedRequest) {
        let mut chain = self.chain(&self.requester);
        let fee = request.terms.maxFee;
        let locking = Locking { request: &request.terms, fee, refund_to: None, signature: &request.signature };
        lock(&mut chain, self.stage.market.escrow(), locking).expect("locked");
    }

    /// Looks at a request and admits it, as the interface does.
    fn submit(&self, store: &StoreThread, request: &SignedRequest) -> Result<(), Refusal> {
        let datanet = self.desk().look(&WORLD.models, request, 0)?;
        let asked = crate::world::asked(TEXT, self.adapter(), 5);
        let asked = if datanet.is_some() { crate::world::attributed(asked) } else { asked };
        let executed = WORLD.models.execute(&asked).expect("an answer");
        assert_eq!(executed.datanet, datanet);
        let new = self.admitted(request, executed);
        store.ask(move |store| store.admit(now(), &new, 9)).map(drop).map_err(Refusal::from)
    }

    /// What is admitted of an executed request.
    fn admitted(&self, request: &SignedRequest, executed: Executed) -> NewRequest {
        NewRequest {
            id: Uuid::now_v7(),
            digest: request.id.0,
            chain: CHAIN_ID,
            tenant: "a".into(),
            terms: terms::message(request, &self.stage.market).encode_to_vec(),
            base: executed.base,
            adapter: executed.adapter,
            datanet: executed.datanet,
            kind: executed.kind.number(),
            deadline: request.terms.deadline,
            token_ids: executed.ids,
            salt: request.salt,
            answer: executed.answer.encode_to_vec(),
        }
    }

    fn row(&self, store: &StoreThread, request: &SignedRequest) -> MarketRequest {
        let digest = request.id.0;
        store.ask(move |store| store.request("a", &digest)).expect("readable").expect("there")
    }

    fn intents(&self, store: &StoreThread, request: &SignedRequest) -> Vec<Intent> {
        let id = self.row(store, request).id;
        store.ask(move |store| store.intents_of(id)).expect("readable")
    }

    fn ledger(&self, store: &StoreThread) -> Vec<Entry> {
        let account = self.prover.account().into_array();
        store.ask(move |store| store.ledger(CHAIN_ID, &account)).expect("readable")
    }

    /// Wallet, and what the escrow owes.
    fn money(&self, of: &PrivateKey) -> (U256, U256) {
        let mut chain = self.chain(of);
        let token = self.stage.market.open_token();
        let wallet = token.balance(&mut chain, of.account()).expect("known");
        (wallet, self.stage.market.escrow().owed(&mut chain, of.account(), self.stage.market.open).expect("known"))
    }

    /// Transactions that the prover's account has sent.
    fn sent(&self) -> u64 {
        let chain = self.chain(&self.prover);
        lorica::chain::rpc::sending::pending_nonce(chain.node(), self.prover.account()).expect("known")
    }

    /// That the request was paid once and the money withdrawn once, to the unit, by so many transactions.
    fn expect_paid(&self, store: &StoreThread, request: &SignedRequest, transactions: u64) {
        let row = self.row(store, request);
        assert_eq!((row.state, row.reason.as_str()), (MarketState::Paid, "PAID"));
        let share = open(FEE) * U256::from(Shares::DEFAULT.prover) / U256::from(10_000);
        assert_eq!(self.money(&self.prover), (share, U256::ZERO));
        assert_eq!(self.money(&self.requester), (open(100 - FEE), U256::ZERO));
        assert_eq!(self.sent(), transactions);
        let mut ledger = self.ledger(store);
        // A payment that a stranger's transaction made may be found after it was withdrawn.
        ledger.sort_by_key(|entry| entry.kind);
        let kinds: Vec<EntryKind> = ledger.iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [EntryKind::Earned, EntryKind::Withdrawn]);
        assert!(ledger.iter().all(|entry| entry.amount == share.to_be_bytes::<32>()), "{ledger:?}");
        assert_eq!(ledger[0].request, Some(request.id.0));
        let account = self.prover.account().into_array();
        let flying = store.ask(move |store| store.intents_in_flight(CHAIN_ID, &account)).expect("readable");
        assert!(flying.is_empty(), "{flying:?}");
    }
}

fn clock() -> u64 {
    u64::try_from(now() / 1_000).expect("after 1970")
}

/// What the proving process does, if there is something to do: the very settlement of the batch. True if there was.
fn prove(store: &StoreThread) -> bool {
    let lease = store.ask(|store| store.lease(now(), "test", now() + 60_000)).expect("writable");
    let Some(lease) = lease else { return false };
    let target = Target::decode(lease.binding.as_deref().expect("it is settled")).expect("a target");
    let shares = lease.datanet.is_some();
    let adapter = WORLD.prover.load_adapter(WORLD.adapters[if shares { 2 } else { 0 }].clone()).expect("an adapter");
    let index = shares.then(|| WORLD.prover.load_index(WORLD.datanet.clone()).expect("an index"));
    let job = |member: &Member| Job { ids: member.token_ids.clone(), adapter: Some(&adapter), salt: member.salt };
    let jobs: Vec<Job<'_>> = lease.members.iter().map(job).collect();
    let least = MinimumShape { requests: target.requests, tokens: target.tokens, embed: false };
    let context = target.binding.context();
    let proven = WORLD.prover.prove_attributed(&jobs, index.as_ref(), least, context, &Unwatched).expect("a proof");
    let adapters: Vec<AdapterCommitments> = vec![adapter.key().commitments.clone()];
    let indexes: Vec<IndexCommitments> = index.iter().map(|index| index.key().clone()).collect();
    let keys = Keys { adapters: &adapters, indexes: &indexes };
    let settled = settler(target.requests, shares)
        .settle(WORLD.prover.key(), keys, &target.binding, &proven.proof, &Unwatched)
        .expect("a settlement");
    let (bytes, key) = (settled.settlement.encode(), settled.key.verifying().encode());
    let shape = WORLD.models.expect_settlement_of(&lease, &bytes, &key).expect("it is of this batch");
    // The proof behind it shows texts of several tenants: it is never taken in its place.
    let unsettled = Made::Proof(proven.proof.encode());
    assert!(WORLD.models.expect_made_of(&lease, &unsettled).is_err(), "a proof where a settlement is wanted");
    let made = Made::Settlement { bytes: bytes.clone(), key: key.clone() };
    assert_eq!(WORLD.models.expect_made_of(&lease, &made), Ok(shape));
    // Of no other one.
    let mut other = lease.clone();
    other.members[0].salt = [6; 31];
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "another salt");
    let mut other = lease.clone();
    other.members[0].adapter = None;
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "another adapter");
    let mut stolen = target.clone();
    stolen.binding.payee = [0x66; 20];
    let other = Lease { binding: Some(stolen.encode()), ..lease.clone() };
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "another payee");
    let foreign = Target { circuit: [1; 32], ..target };
    let other = Lease { binding: Some(foreign.encode()), ..lease.clone() };
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "another circuit");
    let mut other = lease.clone();
    other.datanet = if shares { None } else { Some(encode_scalar(&WORLD.datanet.key.id())) };
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "with shares, or without");
    let mut other = lease.clone();
    let mut answer = proto::Answer::decode(other.members[0].answer.as_slice()).expect("an answer");
    match answer.shares.first_mut() {
        Some(share) => share.parts += 1,
        None => answer.shares.push(proto::Share { slot: 0, parts: 1 }),
    }
    other.members[0].answer = answer.encode_to_vec();
    assert!(WORLD.models.expect_settlement_of(&other, &bytes, &key).is_err(), "other shares");
    let mut forged = bytes.clone();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    assert!(WORLD.models.expect_settlement_of(&lease, &forged, &key).is_err(), "a flipped bit");
    let (batch, epoch) = (lease.batch, lease.epoch);
    let completed = store.ask(move |store| store.complete(now(), batch, epoch, &bytes, shape)).expect("writable");
    assert_eq!(completed, Completed::Done);
    true
}

/// Takes steps until there is nothing to do, or one of them is `last`. All of them.
fn steps(broker: &mut Broker, last: impl Fn(&Did) -> bool) -> Vec<Did> {
    let mut done = Vec::new();
    while let Some(did) = broker.step().expect("a step") {
        done.push(did.clone());
        assert!(done.len() < 200, "it never rests: {done:?}");
        if last(&did) {
            break;
        }
    }
    done
}

/// Steps until nothing is to be done, proving what is there to be proven, and waiting out pauses.
fn run_out(broker: &mut Broker, store: &StoreThread) -> Vec<Did> {
    let mut done = Vec::new();
    for _ in 0..2 {
        loop {
            let some = steps(broker, |_| false);
            let idle = some.is_empty();
            done.extend(some);
            if !prove(store) && idle {
                break;
            }
        }
        std::thread::sleep(AGAIN + Duration::from_millis(100));
    }
    done
}
