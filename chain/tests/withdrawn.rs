//! Embeddings of kind 0, whose settlements could be forged: the client refuses their circuits and requests before a contract
//! is asked, because contracts of an earlier version take them; the contracts refuse them too.

use super::support;

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lorica_chain::abi;
use lorica_chain::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use lorica_chain::abi::bindings::VerifierRouter;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::lock::{Locking, lock, lock_with_permit};
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError};
use lorica_chain::keys::PrivateKey;
use lorica_circuits::error::CircuitError;
use lorica_settlement::settlement::Settlement;
use support::published::{deploy, refused};
use support::{CLASSIFY_1, OWNER, Vector, register};

/// Place of the kind of output in a key's content.
const KIND: usize = 0x1df;

/// That the client refuses it for its kind.
fn withdrawn<T: std::fmt::Debug>(result: Result<T, ChainError>, what: &str) {
    let error = result.unwrap_err();
    let typed =
        matches!(error, ChainError::Policy(PolicyError::OutputKind { source: CircuitError::WithdrawnEmbedding, .. }));
    assert!(typed && error.to_string().contains("withdrawn"), "{what}: {error}");
}

/// A circuit of kind 0 with a route, as a router of an earlier version has it, and a settlement by it.
struct World {
    chain: EmbeddedChain,
    market: Market,
    content: Vec<u8>,
    circuit: B256,
    route: B256,
    settlement: Settlement,
}

impl World {
    fn new() -> Self {
        let (mut chain, market) = deploy();
        let vector = Vector::read(CLASSIFY_1);
        register(&mut chain, &market.contracts, &vector);
        let mut content = vector.bytes("key").to_vec();
        content[KIND] = 0;
        let circuit = abi::circuit_id(&content);
        let key = chain.send(None, abi::data_contract(&content).unwrap()).unwrap().created.unwrap();
        let CheckContracts { router, verifier, .. } = market.contracts;
        let add = VerifierRouter::addCall { circuit, verifier, key, gasCap: CHECK_GAS };
        chain.send(Some(router), abi::encode(&add)).unwrap();
        let route = abi::route_id(circuit, verifier, &chain.code(verifier).unwrap(), CHECK_GAS);
        let settlement = Settlement { circuit: circuit.0, ..vector.settlement() };
        Self { chain, market, content, circuit, route, settlement }
    }

    /// A call past the client.
    fn send(&mut self, at: Address, call: &impl SolCall) -> Result<(), ChainError> {
        self.chain.send(Some(at), abi::encode(call)).map(|_| ())
    }
}

#[test]
fn circuits_are_neither_added_nor_enabled_nor_found() {
    let mut world = World::new();
    let World { market, circuit, route, content, .. } = &world;
    let (market, circuit, route, content, chain) = (*market, *circuit, *route, content.clone(), &mut world.chain);
    withdrawn(market.contracts.add_key(chain, &content, CHECK_GAS), "add");
    withdrawn(CheckContracts::find(chain, market.contracts.router, circuit), "find");
    withdrawn(market.escrow().enable_route(chain, route), "enable");
    withdrawn(market.prepaid().0.enable_route(chain, route), "enable");
    assert!(market.escrow().route_ids(chain).unwrap().is_empty());
    for escrow in [market.escrow, market.prepaid] {
        refused(world.send(escrow, &InferenceEscrow::enableRouteCall { route }), "are withdrawn");
    }
    // Of a route that there is not the contract speaks.
    refused(market.escrow().enable_route(&mut world.chain, B256::ZERO), "no route");
}

#[test]
fn settlements_are_neither_looked_at_nor_sent() {
    let mut world = World::new();
    let consumer = Address::from(world.settlement.binding.consumer);
    world.chain.set_account(consumer);
    let (market, settlement, chain) = (world.market, world.settlement.clone(), &mut world.chain);
    withdrawn(market.contracts.router().check(chain, &settlement), "check");
    withdrawn(market.contracts.router().simulate_check(chain, &settlement), "look");
    refused(world.send(market.contracts.router, &abi::check(world.route, &settlement).unwrap()), "not offered");

    let mut for_escrow = settlement;
    for_escrow.binding.consumer = market.escrow.into_array();
    withdrawn(market.escrow().settle(&mut world.chain, &for_escrow, &[], 1), "settle");
}

#[test]
fn requests_are_neither_locked_nor_accepted() {
    let (mut chain, market) = deploy();
    let key = PrivateKey::parse(&"ab".repeat(32)).unwrap();
    let request = InferenceRequest {
        requester: OWNER,
        base: U256::from(1),
        adapter: U256::ZERO,
        inputDigest: U256::from(2),
        kind: 0,
        routes: U256::ONE,
        maxFee: U256::from(3),
        minFee: U256::from(3),
        rampStart: 0,
        rampTime: 0,
        token: NATIVE,
        deadline: chain.timestamp().unwrap() + 1_000,
        prover: Address::ZERO,
        acceptTime: 0,
        stake: U96::ZERO,
        consumer: Address::ZERO,
        consumerGas: 0,
        salt: U256::ZERO,
    };
    let locking = Locking { request: &request, fee: request.maxFee, refund_to: None, signature: &[] };
    withdrawn(lock(&mut chain, market.escrow(), locking), "lock");
    withdrawn(lock_with_permit(&mut chain, market.escrow(), locking, &key), "lock with a permit");
    withdrawn(market.escrow().accept(&mut chain, &request), "accept");
    // What an escrow of an earlier version has locked can be taken back.
    refused(market.escrow().cancel(&mut chain, &request), "was never locked");
    refused(market.escrow().refund(&mut chain, &request), "was never locked");
    for (kind, words) in [(0, "are withdrawn"), (3, "1 classify, 2 embed, got 3")] {
        let request = InferenceRequest { kind, ..request.clone() };
        let fee = request.maxFee.to();
        let lock = InferenceEscrow::lockCall { request, fee, refundTo: Address::ZERO, signature: Bytes::new() };
        refused(chain.send(Some(market.escrow), abi::encode(&lock)), words);
    }
}
