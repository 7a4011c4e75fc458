//! Chains behind JSON-RPC, as commands name them: a node, the file of addresses, an account.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, Args};
use lorica::address::has_right_checksum;
use lorica::amount::Amount;
use lorica::files::store;
use lorica_chain::alloy_primitives::{Address, B256, U256};
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::pins::{self, Pin};
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::keys::{KeyError, Password, PrivateKey, Zeroizing};
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::settings::Settings;
use serde_json::Value;

use crate::error::{Error, amount_usage};

/// Environment variable: a private key of 64 hexadecimal digits.
const KEY_VARIABLE: &str = "LORICA_PRIVATE_KEY";
/// Environment variable: the password of a keystore.
const PASSWORD_VARIABLE: &str = "LORICA_KEY_PASSWORD";
/// Environment variable: the file with the password of a keystore.
const PASSWORD_FILE_VARIABLE: &str = "LORICA_KEY_PASSWORD_FILE";

/// Largest file of addresses.
const MAX_TEXT_BYTES: u64 = 1 << 16;

/// A node.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// JSON-RPC address of a node of the chain
    #[arg(long, value_name = "URL", env = "LORICA_RPC", value_parser = parse_url)]
    pub rpc: String,
    /// How many blocks, its own included, a transaction must be deep before it counts as done. If absent: 3, and 1 on a
    /// development chain (31337, 1337)
    #[arg(long, value_name = "BLOCKS", env = "LORICA_CONFIRMATIONS")]
    pub confirmations: Option<u64>,
    /// The most that the gas of one transaction may cost, in the chain's gas token; a dearer one is not sent
    #[arg(long, value_name = "AMOUNT", default_value = "1", value_parser = lorica::amount::parse)]
    pub max_gas_cost: Amount,
}

impl NodeArgs {
    /// Connects, with a key if transactions are to be sent.
    ///
    /// # Errors
    /// [`Error`], also if another chain answers than the expected one.
    pub fn connect(&self, key: Option<PrivateKey>, expected: Option<u64>) -> Result<RpcChain, Error> {
        let max_gas_cost = u128::try_from(self.max_gas_cost.units).unwrap_or(u128::MAX);
        let locks = Some(own_lock_folder());
        let settings = Settings { confirmations: self.confirmations, max_gas_cost, locks, ..Settings::default() };
        Ok(RpcChain::connect_with(&self.rpc, key, expected, settings)?)
    }
}

/// The folder of locks that keep commands from taking one nonce: `nonces` in Lorica's cache, or in the folder for temporary
/// files if there is no cache.
fn lock_folder(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("LORICA_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("lorica")))
        .or_else(|| Some(folder("HOME")?.join(".cache/lorica")))
        .unwrap_or_else(|| std::env::temp_dir().join("lorica"))
        .join("nonces")
}

/// The folder of locks by this program's environment.
#[must_use]
pub fn own_lock_folder() -> PathBuf {
    lock_folder(|name| std::env::var_os(name))
}

/// Hides what only a sender of transactions needs from the help of a command that sends none. Such a command still takes it,
/// from scripts that give the same options to all commands.
#[must_use]
pub fn only_reading(arg: Arg) -> Arg {
    if matches!(arg.get_id().as_str(), "confirmations" | "max_gas_cost") { arg.hide(true) } else { arg }
}

/// A node and the contracts there.
#[derive(Args, Debug)]
pub struct MarketArgs {
    #[command(flatten)]
    /// How the node is reached.
    pub node: NodeArgs,
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
}

/// An account that sends transactions.
#[derive(Args, Clone, Debug, Default)]
pub struct AccountArgs {
    /// File with the account's private key: 64 hexadecimal digits, or a keystore. If absent, the variable LORICA_PRIVATE_KEY
    /// holds the key
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// File with the keystore's password. If absent, the variable LORICA_KEY_PASSWORD holds the password, or
    /// LORICA_KEY_PASSWORD_FILE names the file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl AccountArgs {
    /// The key, if there is one.
    ///
    /// # Errors
    /// [`Error::PrivateKey`], [`Error::Variable`] and [`Error::NoPassword`] name the file or the variable.
    pub fn find(&self) -> Result<Option<PrivateKey>, Error> {
        self.find_in(|name| std::env::var_os(name))
    }

    /// [`find`](Self::find) in an environment.
    fn find_in(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<PrivateKey>, Error> {
        match &self.key_file {
            Some(file) => self.read(file, variable).map(Some),
            None => variable(KEY_VARIABLE).map(of_variable).transpose(),
        }
    }

    /// The key of a file; the password is that of the password file, else of the environment.
    fn read(&self, file: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Result<PrivateKey, Error> {
        let said = variable(PASSWORD_VARIABLE);
        let not_text = said.as_ref().is_some_and(|said| said.to_str().is_none());
        let password = match (&self.password_file, said.map(OsString::into_string)) {
            (Some(path), _) => Password::File(path.clone()),
            (None, Some(Ok(text))) => Password::from(text),
            (None, Some(Err(_))) => Password::None,
            (None, None) => variable(PASSWORD_FILE_VARIABLE).map_or(Password::None, |path| Password::File(path.into())),
        };
        PrivateKey::read(file, &password).map_err(|error| match error.root() {
            KeyError::NoPassword if not_text => {
                Error::Variable { variable: PASSWORD_VARIABLE, source: KeyError::NotText }
            }
            KeyError::NoPassword => Error::NoPassword { path: file.into() },
            _ => error.into(),
        })
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

/// The key that [`KEY_VARIABLE`] has.
fn of_variable(said: OsString) -> Result<PrivateKey, Error> {
    let named = |source| Error::Variable { variable: KEY_VARIABLE, source };
    let text = said.into_string().map_err(|_| named(KeyError::NotText))?;
    PrivateKey::parse(&Zeroizing::new(text)).map_err(named)
}

/// The contracts on a node, and an account that sends to them.
#[derive(Args, Debug)]
pub struct SenderArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that signs and sends the transactions.
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
    String::from_utf8(bytes).map_err(|_| Error::refused(path, "not a text file"))
}

fn file<T>(path: &Path, what: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T, Error> {
    let refuse = |reason: String| Error::refused(path, reason);
    let not = format!("not a file of addresses{what}, as `chain deploy` writes it");
    let value: Value = serde_json::from_str(&text(path)?).map_err(|error| refuse(format!("{not}: {error}")))?;
    read(&value).ok_or_else(|| refuse(not))
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

/// Reads the routes that a file of addresses pins.
///
/// # Errors
/// [`Error::Refused`].
pub fn pins(path: &Path) -> Result<Vec<Pin>, Error> {
    file(path, " with well-formed routes", pins::from_json)
}

/// Adds a route to those that a file of addresses pins, unless it is there.
///
/// # Errors
/// [`Error`].
pub fn add_pin(path: &Path, pin: Pin) -> Result<(), Error> {
    let mut pins = pins(path)?;
    if pins.contains(&pin) {
        return Ok(());
    }
    pins.retain(|known| known.route != pin.route);
    pins.push(pin);
    let mut addresses = file(path, "", |value| Some(value.clone()))?;
    pins::set_json(&mut addresses, &pins);
    Ok(store::write(path, format!("{addresses:#}\n").as_bytes())?)
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

/// Reads an address. Letters of both cases are its checksum (EIP-55), which must hold.
///
/// # Errors
/// What is expected.
pub fn parse_address(text: &str) -> Result<Address, String> {
    let address: Address =
        text.parse().map_err(|_| "an address is expected: 0x and 40 hexadecimal digits".to_owned())?;
    if !has_right_checksum(address, text.trim_start_matches("0x")) {
        return Err("the address's checksum is wrong: one of its digits is mistyped".into());
    }
    Ok(address)
}

/// Reads an address that somebody has.
///
/// # Errors
/// What is expected.
pub fn parse_account(text: &str) -> Result<Address, String> {
    match parse_address(text)? {
        Address::ZERO => Err("nobody has the zero address".into()),
        address => Ok(address),
    }
}

/// Reads the address of a node or a service.
///
/// # Errors
/// What is expected.
pub fn parse_url(text: &str) -> Result<String, String> {
    let known = ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if known { Ok(text.into()) } else { Err("an address that begins with http:// or https:// is expected".into()) }
}

/// Reads an id: a word of 32 bytes.
///
/// # Errors
/// What is expected.
pub fn parse_id(text: &str) -> Result<B256, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let expected = || format!("0x and 64 hexadecimal digits are expected, got {} digits", digits.len());
    digits.parse().map_err(|_| expected())
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
        other if other.starts_with("0x") => parse_address(other).map(Token::At),
        _ => Err("open, native or an address is expected".into()),
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
    amount.of(matches!(token, Token::Open | Token::At(NATIVE))).map_err(amount_usage)
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::error::Kind;

    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    /// The specification's example of a keystore, with its account.
    const KEYSTORE: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{
        "c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
        "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
        "address":"008aeeda4d805471df9b2a5b0f38a0c3bcba786b","version":3}"#;
    const STORED: &str = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";
    const PASSWORD: &str = "testpassword";

    /// An environment of these variables.
    fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        move |name| variables.get(name).map(OsString::from)
    }

    #[test]
    fn the_environment_gives_keys_and_passwords() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (keystore, password) = (folder.path().join("keystore"), folder.path().join("password"));
        let empty = folder.path().join("empty");
        for (path, content) in [(&keystore, KEYSTORE), (&password, PASSWORD), (&empty, "")] {
            std::fs::write(path, content).expect("written");
        }
        let (file, password_path) = (keystore.to_str().expect("text"), password.to_str().expect("text"));
        let stored = |password_file: Option<&PathBuf>| AccountArgs {
            key_file: Some(keystore.clone()),
            password_file: password_file.cloned(),
        };
        let found = |args: &AccountArgs, variables: &[(&str, &str)]| match args.find_in(environment(variables)) {
            Ok(key) => key.map_or("none".into(), |key| key.account().to_string()),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Input);
                error.to_string()
            }
        };
        let none = AccountArgs::default();
        assert_eq!(found(&none, &[]), "none");
        assert_eq!(found(&none, &[(KEY_VARIABLE, KEY)]), ACCOUNT);
        let digits = "LORICA_PRIVATE_KEY: a private key has 64 hexadecimal digits and is below the curve's order";
        assert_eq!(found(&none, &[(KEY_VARIABLE, "0x12")]), digits);
        for (args, variables) in [
            (stored(None), vec![(KEY_VARIABLE, KEY), (PASSWORD_VARIABLE, PASSWORD)]),
            (stored(None), vec![(PASSWORD_FILE_VARIABLE, password_path)]),
            (stored(None), vec![(PASSWORD_VARIABLE, PASSWORD), (PASSWORD_FILE_VARIABLE, file)]),
            (stored(Some(&password)), vec![(PASSWORD_VARIABLE, "another"), (PASSWORD_FILE_VARIABLE, file)]),
        ] {
            assert_eq!(found(&args, &variables), STORED, "{variables:?}");
        }
        let wrong = format!("{file}: wrong password for the keystore");
        assert_eq!(found(&stored(None), &[(PASSWORD_VARIABLE, "")]), wrong);
        assert_eq!(found(&stored(Some(&empty)), &[(PASSWORD_VARIABLE, PASSWORD)]), wrong);
        let missing = found(&stored(None), &[]);
        assert!(missing.starts_with(&format!("{file}: a keystore needs its password: ")), "{missing}");
        for hint in ["--password-file", PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE] {
            assert!(missing.contains(hint), "{missing}");
        }
    }

    /// A password that is no text is an error where it is needed, and only there.
    #[cfg(unix)]
    #[test]
    fn a_password_that_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt;

        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("key");
        let args = AccountArgs { key_file: Some(path.clone()), password_file: None };
        let odd = |name: &str| (name == PASSWORD_VARIABLE).then(|| OsString::from_vec(vec![0xff]));
        std::fs::write(&path, KEY).expect("written");
        assert_eq!(args.find_in(odd).expect("digits need no password").expect("a key").account().to_string(), ACCOUNT);
        std::fs::write(&path, KEYSTORE).expect("written");
        let error = args.find_in(odd).expect_err("no text");
        assert!(matches!(error, Error::Variable { variable: PASSWORD_VARIABLE, .. }), "{error}");
    }

    #[test]
    fn locks_are_in_the_cache() {
        let found = |variables: &[(&str, &str)]| lock_folder(environment(variables));
        let all = [("LORICA_CACHE", "/l"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(found(&all), Path::new("/l/nonces"));
        assert_eq!(found(&all[1..]), Path::new("/x/lorica/nonces"));
        assert_eq!(found(&all[2..]), Path::new("/h/.cache/lorica/nonces"));
        // A relative folder would be another one for each program.
        assert_eq!(found(&[("LORICA_CACHE", "l"), ("HOME", "/h")]), Path::new("/h/.cache/lorica/nonces"));
        assert_eq!(found(&[]), std::env::temp_dir().join("lorica/nonces"));
    }
}

#[cfg(test)]
mod address_tests {
    use super::*;

    /// One mistyped digit of an address with letters of both cases is noticed, and money does not go there.
    #[test]
    fn the_checksum_of_an_address_must_hold() {
        let good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let plain = good.to_lowercase();
        assert_eq!(parse_address(good), parse_address(&plain));
        assert_eq!(parse_address(good), parse_address(&good.replace("0x", "")));
        for wrong in [good.replace("Aed", "Aee"), good.replace("5aA", "5aa"), plain.replace("aed", "aEd")] {
            assert!(parse_address(&wrong).unwrap_err().contains("checksum"), "{wrong}");
            assert!(parse_account(&wrong).is_err() && parse_token(&wrong).is_err());
        }
        assert!(parse_address("0x5aAe").unwrap_err().contains("40 hexadecimal digits"));
        assert_eq!(parse_address(&Address::ZERO.to_string()), Ok(Address::ZERO));
        assert!(parse_account(&Address::ZERO.to_string()).is_err());
    }
}
