//! Fees are locked by approval or permit, on the terms that were meant.

mod support;

use alloy_primitives::{Address, U256};
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::lock::{Locking, lock, lock_with_permit};
use lorica_chain::contracts::request::Status;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::error::ChainError;
use lorica_chain::keys::PrivateKey;
use lorica_circuits::shape::OutputKind;
use support::OWNER;
use support::published::{PUBLISHER, Published, open, refused};

struct World {
    published: Published,
    key: PrivateKey,
    relayer: PrivateKey,
}

impl World {
    /// Requester and relayer have OPEN, and one circuit is enabled.
    fn new() -> Self {
        let mut published = Published::new();
        let key = PrivateKey::parse(&"ab".repeat(32)).unwrap();
        let relayer = PrivateKey::parse(&"cd".repeat(32)).unwrap();
        let (content, circuit) = (published.vector.bytes("key"), published.vector.circuit());
        let (chain, market) = published.as_account(OWNER);
        market.contracts.add_key(chain, &content, CHECK_GAS).unwrap();
        market.escrow().enable_circuit(chain, circuit).unwrap();
        let (chain, market) = published.as_account(PUBLISHER);
        for account in [key.account(), relayer.account()] {
            market.open_token().transfer(chain, account, open(100)).unwrap();
        }
        Self { published, key, relayer }
    }

    fn request(&mut self, salt: u64) -> InferenceRequest {
        InferenceRequest {
            requester: self.key.account(),
            base: self.published.base,
            adapter: U256::ZERO,
            inputDigest: U256::from(1),
            kind: OutputKind::Embed.number(),
            maxFee: open(2),
            token: self.published.market.open,
            deadline: self.published.chain.timestamp().unwrap() + 1_000,
            prover: Address::ZERO,
            consumer: Address::ZERO,
            consumerGas: 0,
            salt: U256::from(salt),
        }
    }

    fn signature(&self, request: &InferenceRequest) -> Vec<u8> {
        self.key.sign_digest(self.published.market.escrow().request_id(request)).unwrap().as_bytes().to_vec()
    }

    /// Locks by permit as one of both.
    fn permit(&mut self, by: &PrivateKey, locking: Locking) -> Result<Vec<Step>, ChainError> {
        let (chain, market) = self.published.as_account(by.account());
        lock_with_permit(chain, market.escrow(), locking, by)
    }
}

#[test]
fn a_permit_saves_the_approval() {
    let mut world = World::new();
    for (by, salt) in [(world.key.clone(), 1), (world.relayer.clone(), 2), (world.key.clone(), 3)] {
        let request = world.request(salt);
        let signature = world.signature(&request);
        let locking = Locking { request: &request, fee: open(2), circuits: 1, signature: &signature };
        let steps = world.permit(&by, locking).unwrap();
        assert_eq!(steps.iter().map(|step| step.what).collect::<Vec<_>>(), ["lock"]);
        let (chain, market) = world.published.as_account(by.account());
        let state = market.escrow().request_state(chain, market.escrow().request_id(&request)).unwrap();
        assert_eq!((state.status, state.payer, state.fee), (Status::Locked, by.account(), open(2)));
        assert_eq!(state.circuits, 1);
    }
    let (chain, market) = world.published.as_account(PUBLISHER);
    let wallet = |chain: &mut _, of| Amounts::of(chain, market.escrow(), market.open_token(), of).unwrap().wallet;
    assert_eq!(wallet(chain, market.escrow), open(6));
    assert_eq!(wallet(chain, world.relayer.account()), open(98));
}

#[test]
fn a_permit_of_another_key_gives_nothing() {
    let mut world = World::new();
    let request = world.request(1);
    let locking = Locking { request: &request, fee: open(2), circuits: 1, signature: &[] };
    // The requester's account with the relayer's key: the permit is not the account's.
    let key = world.relayer.clone();
    let (chain, market) = world.published.as_account(world.key.account());
    refused(lock_with_permit(chain, market.escrow(), locking, &key), "may spend 0 of the token");
    let native = InferenceRequest { token: NATIVE, ..request.clone() };
    let error = lock_with_permit(chain, market.escrow(), Locking { request: &native, ..locking }, &key).unwrap_err();
    assert!(error.to_string().contains("gas token"), "{error}");
    let foreign = InferenceRequest { token: market.models, ..request.clone() };
    let error = lock_with_permit(chain, market.escrow(), Locking { request: &foreign, ..locking }, &key).unwrap_err();
    assert!(error.to_string().contains("does not take"), "{error}");
    let steps = lock(chain, market.escrow(), locking).unwrap();
    assert_eq!(steps.iter().map(|step| step.what).collect::<Vec<_>>(), ["approval", "lock"]);
}

#[test]
fn a_lock_names_circuits_that_there_are() {
    let mut world = World::new();
    let request = world.request(1);
    let (chain, market) = world.published.as_account(world.key.account());
    assert_eq!(market.escrow().circuit_count(chain).unwrap(), 1);
    for circuits in [0, 2, u16::MAX] {
        let locking = Locking { request: &request, fee: open(2), circuits, signature: &[] };
        refused(lock(chain, market.escrow(), locking), &format!("{circuits} circuits are trusted and 1 are enabled"));
    }
    let most = U256::from(1) << 96;
    let error = lock(chain, market.escrow(), Locking { request: &request, fee: most, circuits: 1, signature: &[] })
        .unwrap_err();
    assert!(error.to_string().contains("2^96"), "{error}");
}
