//! Chains behind JSON-RPC, as commands name them: a node, the file of addresses, an account.

use std::path::{Path, PathBuf};

use clap::Args;
use lorica_chain::alloy_primitives::{Address, U256};
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::keys::{Password, PrivateKey};
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::settings::Settings;
use serde_json::Value;

use crate::amount::Amount;
use crate::error::Error;
use crate::files::store;

/// Largest file of addresses.
const MAX_TEXT_BYTES: u64 = 1 << 16;

/// A node.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// The node
    #[arg(long, value_name = "URL", env = "LORICA_RPC")]
    pub rpc: String,
    /// Blocks from a transaction's own to the latest before it is done; 3 if absent, 1 on a development node's chain
    #[arg(long, value_name = "BLOCKS", env = "LORICA_CONFIRMATIONS")]
    pub confirmations: Option<u64>,
    /// Most that the gas of a transaction may cost, in the chain's gas token
    #[arg(long, value_name = "AMOUNT", default_value = "1", value_parser = crate::amount::parse)]
    pub max_gas_cost: Amount,
}

impl NodeArgs {
    /// Connects, with a key if transactions are to be sent.
    ///
    /// # Errors
    /// [`Error`], also if another chain answers than the expected one.
    pub fn connect(&self, key: Option<PrivateKey>, expected: Option<u64>) -> Result<RpcChain, Error> {
        let max_gas_cost = u128::try_from(self.max_gas_cost.units).unwrap_or(u128::MAX);
        let settings = Settings { confirmations: self.confirmations, max_gas_cost, ..Settings::default() };
        Ok(RpcChain::connect_with(&self.rpc, key, expected, settings)?)
    }
}

/// A node and the contracts there.
#[derive(Args, Debug)]
pub struct MarketArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    /// The file of addresses, as `chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
}

/// An account that sends transactions.
#[derive(Args, Clone, Debug, Default)]
pub struct AccountArgs {
    /// The account's private key: 64 hexadecimal digits or a keystore; from the environment (`LORICA_PRIVATE_KEY`) if absent
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Password of the keystore; from the environment (`LORICA_KEY_PASSWORD`, `LORICA_KEY_PASSWORD_FILE`) if absent
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl AccountArgs {
    /// The key, if there is one.
    ///
    /// # Errors
    /// [`Error::PrivateKey`].
    pub fn find(&self) -> Result<Option<PrivateKey>, Error> {
        let password = self.password_file.clone().map_or(Password::Environment, Password::File);
        Ok(PrivateKey::find(self.key_file.as_deref(), &password)?)
    }

    /// The key.
    ///
    /// # Errors
    /// [`Error`] if there is none.
    pub fn key(&self) -> Result<PrivateKey, Error> {
        let missing = "this needs an account: --key-file FILE, or the variable LORICA_PRIVATE_KEY";
        self.find()?.ok_or_else(|| Error::Usage(missing.into()))
    }
}

/// The contracts on a node, and an account that sends to them.
#[derive(Args, Debug)]
pub struct SenderArgs {
    #[command(flatten)]
    /// Where
    pub market: MarketArgs,
    #[command(flatten)]
    /// Who
    pub account: AccountArgs,
}

impl SenderArgs {
    /// Connects as the account.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect(&self) -> Result<(Market, RpcChain), Error> {
        self.market.connect_as(&self.account)
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let bytes = store::read(path, MAX_TEXT_BYTES)?;
    String::from_utf8(bytes).map_err(|_| Error::Refused { path: path.into(), reason: "not a text file".into() })
}

fn file<T>(path: &Path, what: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T, Error> {
    let refuse = |reason: String| Error::Refused { path: path.into(), reason };
    let value: Value = serde_json::from_str(&text(path)?).map_err(|error| refuse(error.to_string()))?;
    read(&value).ok_or_else(|| refuse(format!("not a file of addresses{what}, as `chain deploy` writes it")))
}

/// Reads the addresses of the contracts that check.
///
/// # Errors
/// [`Error::Refused`].
pub fn contracts(path: &Path) -> Result<CheckContracts, Error> {
    file(path, "", CheckContracts::from_json)
}

/// Reads the addresses of all contracts.
///
/// # Errors
/// [`Error::Refused`].
pub fn market(path: &Path) -> Result<Market, Error> {
    file(path, " with token, registry of models and escrow", Market::from_json)
}

impl MarketArgs {
    /// Connects, with a key if transactions are to be sent, and sees that everything is there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect(&self, key: Option<PrivateKey>) -> Result<(Market, RpcChain), Error> {
        let market = market(&self.contracts)?;
        let mut chain = self.node.connect(key, Some(market.contracts.chain_id))?;
        market.expect_deployed(&mut chain)?;
        Ok((market, chain))
    }

    /// [`connect`](Self::connect) with an account that there must be.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect_as(&self, account: &AccountArgs) -> Result<(Market, RpcChain), Error> {
        self.connect(Some(account.key()?))
    }
}

/// Reads an address that somebody has.
///
/// # Errors
/// What is expected.
pub fn parse_account(text: &str) -> Result<Address, String> {
    match text.parse() {
        Ok(Address::ZERO) => Err("nobody has the zero address".into()),
        Ok(address) => Ok(address),
        Err(_) => Err("an address is expected: 0x and 40 hexadecimal digits".into()),
    }
}

/// A token on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// OPEN.
    Open,
    /// The chain's gas token, or another one by its address.
    At(Address),
}

/// Reads `open`, `native` or an address.
///
/// # Errors
/// What is expected.
pub fn parse_token(text: &str) -> Result<Token, String> {
    match text {
        "open" => Ok(Token::Open),
        "native" => Ok(Token::At(NATIVE)),
        other => other.parse().map(Token::At).map_err(|_| "open, native or an address is expected".into()),
    }
}

impl Token {
    /// Its address; zero for the gas token.
    #[must_use]
    pub fn address(self, market: &Market) -> Address {
        match self {
            Self::Open => market.open,
            Self::At(address) => address,
        }
    }
}

/// An amount of a token in its smallest unit.
///
/// # Errors
/// [`Error::Usage`] for whole tokens of a kind whose decimals are not known.
pub fn units(amount: Amount, token: Token) -> Result<U256, Error> {
    amount.of(matches!(token, Token::Open | Token::At(NATIVE))).map_err(Error::Usage)
}

/// A token's name for people.
#[must_use]
pub fn token_name(token: Address, market: &Market) -> String {
    match token {
        NATIVE => "native".into(),
        token if token == market.open => "OPEN".into(),
        token => token.to_string(),
    }
}
