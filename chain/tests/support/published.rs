//! Published models on a chain in memory.

use alloy_primitives::{Address, B256, U256};
use lorica_chain::abi;
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::publish::Publication;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::contracts::token::OPEN;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::ChainError;
use lorica_verifier::protocol::key::AdapterCommitments;

use super::{EMBED_2, GUARDIAN, OWNER, Vector, points};

pub const PUBLISHER: Address = Address::repeat_byte(0x9b);
pub const POT: Address = Address::repeat_byte(0x90);
pub const TREASURY: Address = Address::repeat_byte(0x7e);

pub fn deploy() -> (EmbeddedChain, Market) {
    let mut chain = EmbeddedChain::new(31337, OWNER);
    let open = OpenKind::Token { holder: PUBLISHER };
    let roles = Roles { owner: OWNER, guardian: GUARDIAN, treasury: TREASURY, open };
    let (market, _) = Market::deploy(&mut chain, roles, Policy::default()).unwrap();
    (chain, market)
}

pub fn adapter(vector: &Vector, index: usize) -> AdapterCommitments {
    AdapterCommitments { base: vector.base().id(), version: None, tiles: points(&vector.adapters()[index].1) }
}

pub fn terms(salt: u8, uri: &str) -> Publication {
    Publication {
        line: 0,
        pot: Some(POT),
        shares: Shares::DEFAULT,
        uri: uri.into(),
        licence: "MIT".into(),
        salt: B256::repeat_byte(salt),
        max_fee: U256::MAX,
    }
}

/// A published base and adapter: lines 1 (the architecture), 2 and 3.
pub struct Published {
    pub chain: EmbeddedChain,
    pub market: Market,
    pub vector: Vector,
    pub base: U256,
    pub adapter: U256,
}

impl Published {
    pub fn new() -> Self {
        let (mut chain, market) = deploy();
        let vector = Vector::read(EMBED_2);
        let (base, adapter) = (vector.base(), adapter(&vector, 0));
        chain.set_account(PUBLISHER);
        let progress = market.publisher().base(&mut chain, &base, &terms(1, "of the base")).unwrap();
        assert_eq!(progress.from, None);
        let progress = market.publisher().adapter(&mut chain, &adapter, &terms(2, "of the adapter")).unwrap();
        assert_eq!(progress.from, None);
        let (base, adapter) = (abi::word(&base.id()), abi::word(&adapter.id()));
        Self { chain, market, vector, base, adapter }
    }

    pub fn as_account(&mut self, account: Address) -> (&mut EmbeddedChain, &Market) {
        self.chain.set_account(account);
        (&mut self.chain, &self.market)
    }
}

pub fn open(amount: u64) -> U256 {
    U256::from(amount) * U256::from(OPEN)
}

/// That a contract refuses, in such words.
pub fn refused<T: std::fmt::Debug>(result: Result<T, ChainError>, words: &str) {
    let error = result.unwrap_err();
    assert!(error.is_refusal() && error.to_string().contains(words), "{error}");
}
