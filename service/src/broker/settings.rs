//! The broker's configuration with its files read: contracts, routes that are trusted, circuits, tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lorica::amount;
use lorica::chain::alloy_primitives::{Address, U256};
use lorica::chain::contracts::market::Market;
use lorica::chain::contracts::pins::{self, Pin};
use lorica::chain::contracts::token::NATIVE;
use lorica::chain::error::ChainError;
use lorica::chain::keys::PrivateKey;
use lorica::chain::rpc::RpcChain;
use lorica::chain::rpc::nonces::Nonces;
use lorica::chain::rpc::plan::Limits;
use lorica::chain::rpc::settings::Settings as Patience;
use lorica::files::{FileError, store};
use lorica::offer::Policy;
use lorica::offer::circuits::Circuits;
use lorica::offer::decide::{Gas, Load, SETTLE_GAS, SETTLE_SHARES_GAS};
use serde_json::Value;

use crate::config::BrokerConfig;

/// Largest file of addresses.
const MAX_BYTES: u64 = 1 << 16;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A field.
    #[error("broker.{field}: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Another program sends from the account.
    #[error(
        "the account {account} has transactions of another program in flight on this machine: the broker keeps its nonces alone"
    )]
    Account {
        /// The account.
        account: Address,
    },
}

/// A key that signs without anybody, and where programs of this machine keep each other from taking one nonce.
#[derive(Debug)]
pub struct Signer {
    /// The prover's key.
    pub key: PrivateKey,
    /// Folder of the locks.
    pub locks: PathBuf,
}

/// A token that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenToken {
    /// Its address; zero for the gas token.
    pub token: Address,
    /// Least fee.
    pub least_fee: U256,
    /// Owed so much, it is withdrawn.
    pub withdraw_at: U256,
    /// What a whole gas token is worth in it.
    pub gas_token_worth: Option<U256>,
}

/// What the broker goes by.
#[derive(Debug)]
pub struct Settings {
    /// The contracts.
    pub market: Market,
    /// Routes that are trusted.
    pub pins: Vec<Pin>,
    /// Circuits whose keys are here.
    pub circuits: Circuits,
    /// Tokens that are taken.
    pub tokens: Vec<TakenToken>,
    /// Who is paid; requests must name this account.
    pub payee: Address,
    /// Where withdrawn money goes.
    pub withdraw_to: Address,
    /// Most gas of a consumer's call.
    pub max_consumer_gas: u32,
    /// Percent of the gas that must be left as profit.
    pub profit: u64,
    /// Seconds that one request takes.
    pub prove_seconds: u64,
    /// Seconds that must be left for the chain.
    pub margin_seconds: u64,
    /// Most that a transaction may cost.
    pub limits: Limits,
    /// Blocks from its own to the latest before a lock, a payment or an end counts.
    pub confirmations: u64,
    /// How long a transaction is in no block before it is sent with higher fees, and how long what a reorganisation took back has
    /// to come again.
    pub bump_after: Duration,
    /// How long nothing is accepted after a failure.
    pub breaker: Duration,
    /// Between two rounds.
    pub poll: Duration,
    /// Most requests that one settlement pays.
    pub batch_requests: usize,
    /// How long an accepted request waits for others while the prover is free, where gas has a price.
    pub batch_wait: Duration,
}

impl Settings {
    /// Reads the files of a configuration, and connects: once to send, once to look.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn load(config: &BrokerConfig, signer: &Signer) -> Result<(Self, RpcChain, RpcChain), SettingsError> {
        let bytes = store::read(&config.contracts, MAX_BYTES)?;
        let refuse = |reason: &str| FileError::content(&config.contracts, reason);
        let file: Value = serde_json::from_slice(&bytes).map_err(|error| refuse(&error.to_string()))?;
        let market = Market::from_json(&file)
            .ok_or_else(|| refuse("not a file of addresses with token, registry of models and escrow"))?;
        let pins = pins::from_json(&file).ok_or_else(|| refuse("its routes are malformed"))?;
        if pins.is_empty() {
            return Err(refuse("it pins no route, so nothing could be settled").into());
        }
        let circuits = Circuits::read(&config.settlement_keys)?;
        if let Some(unpinned) = circuits.all().find(|own| pins.iter().all(|pin| pin.circuit != own.id)) {
            let reason = format!(
                "the circuit {} of a settlement key has no route that {} pins",
                unpinned.id,
                config.contracts.display()
            );
            return Err(SettingsError::Field { field: "settlement_keys", reason });
        }
        let mut tokens = Vec::new();
        for own in &config.tokens {
            let token = match own.token.as_str() {
                "open" => market.open,
                "native" => NATIVE,
                other => other.parse().map_err(|_| field("tokens.token", "open, native or an address is expected"))?,
            };
            let known = token == market.open || token == NATIVE;
            let units = |name, text: &str| {
                let amount = amount::parse(text).and_then(|amount| amount.of(known));
                amount.map_err(|error| field(name, error))
            };
            tokens.push(TakenToken {
                token,
                least_fee: units("tokens.least_fee", &own.least_fee)?,
                withdraw_at: units("tokens.withdraw_at", &own.withdraw_at)?.max(U256::ONE),
                gas_token_worth: own
                    .gas_token_worth
                    .as_deref()
                    .map(|text| units("tokens.gas_token_worth", text))
                    .transpose()?,
            });
        }
        let payee = signer.key.account();
        let withdraw_to = match config.withdraw_to.as_deref() {
            None => payee,
            Some(text) => match text.parse() {
                Ok(Address::ZERO) | Err(_) => return Err(field("withdraw_to", "an account's address is expected")),
                Ok(to) => to,
            },
        };
        let max_gas_cost = amount::parse(&config.max_gas_cost).map_err(|error| field("max_gas_cost", error))?.units;
        let max_gas_cost = u128::try_from(max_gas_cost).map_err(|_| field("max_gas_cost", "it is too large"))?;
        let patience = Patience { confirmations: config.confirmations, max_gas_cost, ..Patience::default() };
        let chain_id = Some(market.contracts.chain_id);
        let connect = || RpcChain::connect_with(&config.rpc, Some(signer.key.clone()), chain_id, patience.clone());
        let (mut sending, looking) = (connect()?, connect()?);
        market.expect_deployed(&mut sending)?;
        let settings = Self {
            market,
            pins,
            circuits,
            tokens,
            payee,
            withdraw_to,
            max_consumer_gas: config.max_consumer_gas,
            profit: config.profit_percent,
            prove_seconds: config.prove_seconds,
            margin_seconds: config.margin_seconds,
            limits: Limits { max_gas_cost },
            confirmations: sending.confirmations(),
            bump_after: Duration::from_secs(config.bump_seconds),
            breaker: Duration::from_secs(config.breaker_seconds),
            poll: Duration::from_millis(config.poll_milliseconds),
            batch_requests: config.batch_requests,
            batch_wait: Duration::from_secs(config.batch_seconds),
        };
        Ok((settings, sending, looking))
    }

    /// The account's locks on this machine: none may be in use, and the account's own is held by who keeps its nonces.
    ///
    /// # Errors
    /// [`SettingsError::Account`], [`SettingsError::Chain`].
    pub fn lock_account(&self, signer: &Signer) -> Result<lorica::chain::rpc::nonces::AccountLock, SettingsError> {
        let nonces = Nonces::new(&signer.locks, self.market.contracts.chain_id, self.payee);
        if nonces.in_use().map_err(ChainError::from)? {
            return Err(SettingsError::Account { account: self.payee });
        }
        Ok(nonces.lock().map_err(ChainError::from)?)
    }

    /// What a request must be, but for routes and time.
    #[must_use]
    pub fn policy(&self, routes: U256) -> Policy {
        let fees: BTreeMap<Address, U256> = self.tokens.iter().map(|own| (own.token, own.least_fee)).collect();
        Policy {
            payee: self.payee,
            accepted: true,
            routes,
            margin: self.margin_seconds,
            fees: Some(fees),
            max_consumer_gas: Some(self.max_consumer_gas),
            gas_price: None,
        }
    }

    /// The load with so many requests accepted before.
    #[must_use]
    pub fn load_of(&self, accepted: u64) -> Load {
        Load { accepted, seconds: self.prove_seconds, margin: self.margin_seconds }
    }

    /// What gas costs for a request in a token, which is settled with shares or without.
    #[must_use]
    pub fn gas(&self, token: Address, price: u128, shares: bool) -> Gas {
        let token_worth = self.tokens.iter().find(|own| own.token == token).and_then(|own| own.gas_token_worth);
        let settling = if shares { SETTLE_SHARES_GAS } else { SETTLE_GAS };
        Gas { price, token_worth, profit: self.profit, settling }
    }
}

fn field(field: &'static str, reason: impl ToString) -> SettingsError {
    SettingsError::Field { field, reason: reason.to_string() }
}
