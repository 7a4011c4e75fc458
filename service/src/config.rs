//! The configuration: a TOML file, all of it with defaults.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lorica::files::store;
use serde::Deserialize;

use crate::store::place::Place;
use crate::store::postgres::Address;

/// Largest configuration file.
const MAX_BYTES: u64 = 1 << 20;
/// Folder of the database where nothing else is said.
const FOLDER: &str = "lorica-service";
/// Holds the password of the database's user, if no file does.
const PASSWORD_VARIABLE: &str = "LORICA_STORE_PASSWORD";

/// How a service runs. Paths are relative to the folder of the configuration file, or to the current one without a file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where jobs and proofs are kept.
    pub store: StoreConfig,
    /// Where calls are taken.
    pub listen: ListenConfig,
    /// Certificate and key; without them only this machine is listened to.
    pub tls: Option<TlsConfig>,
    /// What is served.
    pub models: ModelsConfig,
    /// Who proves.
    pub worker: WorkerConfig,
    /// What tenants may.
    pub limits: LimitsConfig,
    /// Who serves requests that an escrow pays; nobody if it is absent.
    pub broker: Option<BrokerConfig>,
}

/// Where jobs and proofs are kept: in a folder, or in a database that several services share.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Folder of the database. If absent, and `postgres` too: `lorica-service`.
    pub folder: Option<PathBuf>,
    /// Address of a Postgres database, `postgres://user@host:port/database`, in place of a folder.
    pub postgres: Option<String>,
    /// The password of the database's user. If absent, the variable LORICA_STORE_PASSWORD; without either there is none.
    pub password_file: Option<PathBuf>,
    /// The service's name among those that share the database. If absent: `service`.
    pub name: Option<String>,
    /// Seconds that token ids and salts are kept after a proof is done.
    pub keep_inputs_seconds: u64,
    /// Seconds that a proof is kept after it is done. It shows token ids and salt.
    pub keep_proofs_seconds: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let (keep_inputs_seconds, keep_proofs_seconds) = (3_600, 7 * 86_400);
        let (folder, postgres, password_file, name) = (None, None, None, None);
        Self { folder, postgres, password_file, name, keep_inputs_seconds, keep_proofs_seconds }
    }
}

impl StoreConfig {
    /// The folder, if it is not the database of several services.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| FOLDER.into())
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("service")
    }

    /// The database's address, without its password; none for a folder.
    fn address(&self) -> Result<Option<Address>, ConfigError> {
        let refused = |field, reason: &str| Err(ConfigError::Store { field, reason: reason.into() });
        let Some(url) = &self.postgres else {
            return match (&self.password_file, &self.name) {
                (Some(_), _) => refused("password_file", "a folder has no password: it is that of store.postgres"),
                (_, Some(_)) => refused("name", "it tells services apart that share a database (store.postgres)"),
                _ => Ok(None),
            };
        };
        if self.folder.is_some() {
            return refused("folder", "with store.postgres everything is in the database: one of both is expected");
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name().is_empty() || self.name().len() > 63 || !self.name().chars().all(is_plain) {
            return refused("name", "1 to 63 small letters, digits and hyphens are expected");
        }
        Address::parse(url).map(Some).or_else(|error| refused("postgres", &error.to_string()))
    }

    /// Where the store is, with the password that opens it.
    pub(crate) fn place(&self) -> Result<Place, ConfigError> {
        let Some(mut address) = self.address()? else { return Ok(Place::Folder(self.folder())) };
        if let Some(path) = &self.password_file {
            let text = store::read(path, MAX_BYTES)?;
            address = address.with_password(text.trim_ascii_end());
        } else if let Some(text) = std::env::var_os(PASSWORD_VARIABLE).filter(|text| !text.is_empty()) {
            address = address.with_password(text.as_encoded_bytes());
        }
        Ok(Place::Postgres { address: Box::new(address), name: self.name().into() })
    }
}

/// Where calls are taken.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// Address of the gRPC interface; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Address of the JSON face, on a loopback address; port 0 takes a free one. None if absent.
    pub http: Option<SocketAddr>,
    /// Takes calls without a key, as the tenant `local` with all scopes. On a loopback address only.
    pub keyless_loopback: bool,
    /// Answers what the interface looks like (gRPC reflection). If absent: on a loopback address only.
    pub reflection: Option<bool>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        let grpc = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);
        Self { grpc, http: None, keyless_loopback: false, reflection: None }
    }
}

impl ListenConfig {
    /// Whether reflection is on.
    #[must_use]
    pub fn reflects(&self) -> bool {
        self.reflection.unwrap_or(self.grpc.ip().is_loopback())
    }
}

/// Certificate and key, as PEM files.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is served.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// Imported bases (.lorica).
    pub bases: Vec<PathBuf>,
    /// Imported adapters (.lorica) of these bases. Every tenant may use them.
    pub adapters: Vec<PathBuf>,
    /// Datanets (.lorica) of these adapters: tenants may have contributors' shares proven with an answer. Their texts are told to nobody.
    pub datanets: Vec<PathBuf>,
    /// The SRS that the bases were imported with.
    pub srs: Option<PathBuf>,
    /// Allows the development SRS, with which anyone can forge proofs.
    pub insecure_dev_srs: bool,
}

/// Who proves.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Whether the service proves itself. If not, all is proven by workers on other machines (`lorica worker`).
    pub in_process: bool,
    /// Seconds without a sign of life after which the proving process is killed.
    pub hang_seconds: u64,
    /// Seconds that a batch in progress has when the service ends; then it is handed back.
    pub drain_seconds: u64,
    /// Seconds that one batch may take on another machine; then it is handed to somebody else.
    pub longest_seconds: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { in_process: true, hang_seconds: 120, drain_seconds: 30, longest_seconds: 3_600 }
    }
}

/// What tenants may.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Proofs of a tenant that are not done.
    pub open_proofs: u32,
    /// Executions at once; more wait, up to sixteen times as many.
    pub executions: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { open_proofs: 1_000, executions: (cores / 2).max(1) }
    }
}

/// Who serves requests that an escrow pays, unattended.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// JSON-RPC address of a node of the chain.
    pub rpc: String,
    /// File with the contracts' addresses and the routes that are trusted, as `lorica chain deploy` and `pin` write it.
    pub contracts: PathBuf,
    /// Settlement keys (.vk) of the circuits that settle.
    pub settlement_keys: Vec<PathBuf>,
    /// The prover's private key, a file of hexadecimal digits or a keystore. If absent, the variable LORICA_PRIVATE_KEY.
    pub key_file: Option<PathBuf>,
    /// The keystore's password. If absent, the variables LORICA_KEY_PASSWORD and LORICA_KEY_PASSWORD_FILE.
    pub password_file: Option<PathBuf>,
    /// Tokens that are taken.
    pub tokens: Vec<TokenConfig>,
    /// Account that withdrawn money goes to. If absent: the prover's.
    pub withdraw_to: Option<String>,
    /// Most that the gas of one transaction may cost, in the chain's gas token.
    #[serde(default = "max_gas_cost")]
    pub max_gas_cost: String,
    /// Most gas of a consumer's call, which the prover pays for.
    #[serde(default)]
    pub max_consumer_gas: u32,
    /// Percent of a request's gas that must be left as profit, where gas is compared with fees.
    #[serde(default)]
    pub profit_percent: u64,
    /// Seconds that proof and settlement of one request take.
    #[serde(default = "a_minute")]
    pub prove_seconds: u64,
    /// Seconds that must be left until the deadline when the settlement is made.
    #[serde(default = "a_minute")]
    pub margin_seconds: u64,
    /// Blocks from its own to the latest before a lock, a payment or an end counts. If absent: 3, and 1 on development chains.
    pub confirmations: Option<u64>,
    /// Seconds in no block after which a transaction is sent with higher fees.
    #[serde(default = "a_minute")]
    pub bump_seconds: u64,
    /// Seconds after a failure in which nothing is accepted; then one request is, on trial.
    #[serde(default = "ten_minutes")]
    pub breaker_seconds: u64,
    /// Milliseconds between two looks at the chain.
    #[serde(default = "a_second")]
    pub poll_milliseconds: u64,
    /// Most requests that one settlement pays, if there is a key of a circuit for so many.
    #[serde(default = "sixteen")]
    pub batch_requests: usize,
    /// Seconds that an accepted request waits for others while the prover is free, where gas has a price.
    #[serde(default)]
    pub batch_seconds: u64,
}

/// A token that is taken.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// `open`, `native`, or a token's address.
    pub token: String,
    /// The least fee: whole tokens such as 1.5, or smallest units such as 1500wei.
    pub least_fee: String,
    /// Owed so much, it is withdrawn.
    pub withdraw_at: String,
    /// What a whole gas token is worth in it: fees are compared with gas by it. If absent: they are not.
    pub gas_token_worth: Option<String>,
}

fn sixteen() -> usize {
    16
}

fn max_gas_cost() -> String {
    "0.01".into()
}

fn a_minute() -> u64 {
    60
}

fn ten_minutes() -> u64 {
    600
}

fn a_second() -> u64 {
    1_000
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] lorica::files::FileError),
    /// The file is no configuration.
    #[error("{path}: {reason}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Calls without a key, or without TLS, from elsewhere.
    #[error("listen.grpc = {address}: {reason}")]
    Open {
        /// The address.
        address: SocketAddr,
        /// What would be open.
        reason: &'static str,
    },
    /// The JSON face elsewhere than on a loopback address.
    #[error("listen.http = {address}: {reason}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why not.
        reason: &'static str,
    },
    /// A number that cannot be.
    #[error("{field} = {got}: {expected}")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value.
        got: u64,
        /// What is expected.
        expected: &'static str,
    },
    /// Where the store is.
    #[error("store.{field}: {reason}")]
    Store {
        /// The field of `[store]`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A list that must not be empty.
    #[error("{field} is empty: {reason}")]
    Empty {
        /// The field.
        field: &'static str,
        /// What it is for.
        reason: &'static str,
    },
    /// Nothing to serve.
    #[error("models.bases is empty: there is nothing to serve")]
    NoBase,
}

impl Config {
    /// Reads a file; its relative paths are made relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] names the line or field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = store::read(path, MAX_BYTES)?;
        let content = |reason: String| ConfigError::Content { path: path.into(), reason };
        let text = String::from_utf8(bytes).map_err(|_| content("the file is not UTF-8".into()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let at = before.map_or_else(String::new, |before| format!("line {}: ", before.matches('\n').count() + 1));
            content(format!("{at}{}", error.message().replace('\n', ", ")))
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let place = |path: &mut PathBuf| *path = folder.join(&path);
        if config.store.postgres.is_none() {
            config.store.folder.get_or_insert_with(|| FOLDER.into());
        }
        config.store.folder.iter_mut().for_each(place);
        config.store.password_file.iter_mut().for_each(place);
        config.models.bases.iter_mut().for_each(place);
        config.models.adapters.iter_mut().for_each(place);
        config.models.datanets.iter_mut().for_each(place);
        config.models.srs.iter_mut().for_each(place);
        if let Some(tls) = &mut config.tls {
            place(&mut tls.cert);
            place(&mut tls.key);
        }
        if let Some(broker) = &mut config.broker {
            place(&mut broker.contracts);
            broker.settlement_keys.iter_mut().for_each(place);
            broker.key_file.iter_mut().for_each(place);
            broker.password_file.iter_mut().for_each(place);
        }
        config.check()?;
        Ok(config)
    }

    /// What can be seen without opening a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let open = |reason| Err(ConfigError::Open { address: self.listen.grpc, reason });
        let loopback = self.listen.grpc.ip().is_loopback();
        if self.listen.keyless_loopback && !loopback {
            return open("calls without a key are taken on a loopback address only (listen.keyless_loopback)");
        }
        if self.tls.is_none() && !loopback {
            return open("without [tls] a loopback address is needed: texts and keys would cross the network readable");
        }
        if let Some(address) = self.listen.http.filter(|address| !address.ip().is_loopback()) {
            let reason = "the JSON face listens to this machine only: put a server with TLS in front of it";
            return Err(ConfigError::Http { address, reason });
        }
        self.store.address()?;
        let number = |field, got, most, expected| match (1..=most).contains(&got) {
            true => Ok(()),
            false => Err(ConfigError::Number { field, got, expected }),
        };
        let (day, year) = (86_400, 366 * 86_400);
        number("worker.hang_seconds", self.worker.hang_seconds, day, "1 to 86400 are expected")?;
        number("worker.drain_seconds", self.worker.drain_seconds, day, "1 to 86400 are expected")?;
        number("worker.longest_seconds", self.worker.longest_seconds, day, "1 to 86400 are expected")?;
        number("store.keep_proofs_seconds", self.store.keep_proofs_seconds, year, "1 second to a year is expected")?;
        if self.store.keep_inputs_seconds > self.store.keep_proofs_seconds {
            let (field, got) = ("store.keep_inputs_seconds", self.store.keep_inputs_seconds);
            return Err(ConfigError::Number { field, got, expected: "no more than store.keep_proofs_seconds" });
        }
        if let Some(broker) = &self.broker {
            let empty = |field, reason| Err(ConfigError::Empty { field, reason });
            if broker.tokens.is_empty() {
                return empty("broker.tokens", "no fee would be taken");
            }
            if broker.settlement_keys.is_empty() {
                return empty("broker.settlement_keys", "nothing could be settled");
            }
            number("broker.prove_seconds", broker.prove_seconds, day, "1 to 86400 are expected")?;
            number("broker.margin_seconds", broker.margin_seconds, day, "1 to 86400 are expected")?;
            number("broker.bump_seconds", broker.bump_seconds, day, "1 to 86400 are expected")?;
            number("broker.breaker_seconds", broker.breaker_seconds, day, "1 to 86400 are expected")?;
            number("broker.poll_milliseconds", broker.poll_milliseconds, 60_000, "1 to 60000 are expected")?;
            number("broker.confirmations", broker.confirmations.unwrap_or(1), 10_000, "1 to 10000 are expected")?;
            number("broker.batch_requests", broker.batch_requests as u64, 16, "1 to 16 are expected")?;
            if broker.batch_seconds > day {
                let (field, got) = ("broker.batch_seconds", broker.batch_seconds);
                return Err(ConfigError::Number { field, got, expected: "no more than 86400" });
            }
            if broker.profit_percent > 100_000 {
                let (field, got) = ("broker.profit_percent", broker.profit_percent);
                return Err(ConfigError::Number { field, got, expected: "no more than 100000" });
            }
        }
        number("limits.open_proofs", self.limits.open_proofs.into(), 1_000_000, "1 to 1000000 are expected")?;
        number("limits.executions", self.limits.executions as u64, 1_024, "1 to 1024 are expected")
    }

    pub(crate) fn retention(&self) -> crate::store::Retention {
        crate::store::Retention {
            inputs: Duration::from_secs(self.store.keep_inputs_seconds),
            proofs: Duration::from_secs(self.store.keep_proofs_seconds),
        }
    }

    /// The configuration for people: every setting, and what is open to whom.
    #[must_use]
    pub fn explain(&self) -> String {
        let Self { store, listen, tls, models, worker, limits, broker } = self;
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display, meaning: &str| {
            let _ = writeln!(text, "{name:<28} {value:<24} {meaning}");
        };
        match store.address() {
            Ok(None) => line("store.folder", &store.folder().display(), "database, proofs; readable by its owner only"),
            Ok(Some(address)) => {
                line("store.postgres", &address, "jobs, texts, proofs; readable by whoever may read the database");
                let file = store.password_file.as_ref().map(|path| path.display().to_string());
                line("store.password_file", &file.as_deref().unwrap_or(PASSWORD_VARIABLE), "opens the database");
                line("store.name", &store.name(), "no other service of the database has it");
            }
            Err(error) => line("store.postgres", &"?", &error.to_string()),
        }
        line("store.keep_inputs_seconds", &store.keep_inputs_seconds, "token ids and salts, after a proof is done");
        line("store.keep_proofs_seconds", &store.keep_proofs_seconds, "answers and proofs, which show token ids");
        line(
            "listen.grpc",
            &listen.grpc,
            if listen.grpc.ip().is_loopback() { "this machine only" } else { "everybody" },
        );
        let http = listen.http.map_or("none".into(), |address| address.to_string());
        line("listen.http", &http, "JSON, probes, numbers for Prometheus; this machine only");
        let keys = if listen.keyless_loopback { "calls without a key are taken" } else { "every call needs a key" };
        line("listen.keyless_loopback", &listen.keyless_loopback, keys);
        line("listen.reflection", &listen.reflects(), "whether the interface describes itself");
        line("tls", &if tls.is_some() { "on" } else { "off" }, "");
        for base in &models.bases {
            line("models.bases", &base.display(), "");
        }
        if models.bases.is_empty() {
            line("models.bases", &"none", "nothing to serve: the service does not start");
        }
        for adapter in &models.adapters {
            line("models.adapters", &adapter.display(), "open to every tenant");
        }
        for datanet in &models.datanets {
            line("models.datanets", &datanet.display(), "shares by its records, for every tenant");
        }
        let srs = models.srs.as_ref().map_or("none".into(), |path| path.display().to_string());
        line("models.srs", &srs, "");
        let insecure =
            if models.insecure_dev_srs { "ANYONE CAN FORGE PROOFS" } else { "the development SRS is refused" };
        line("models.insecure_dev_srs", &models.insecure_dev_srs, insecure);
        let here = match worker.in_process {
            true => "this machine proves; workers with a key of the scope `work` may help",
            false => "NOTHING IS PROVEN HERE: proofs wait for `lorica worker` on other machines",
        };
        line("worker.in_process", &worker.in_process, here);
        line("worker.longest_seconds", &worker.longest_seconds, "for one batch on another machine");
        line("worker.hang_seconds", &worker.hang_seconds, "silence after which the proving process is killed");
        line("worker.drain_seconds", &worker.drain_seconds, "for the batch in progress when the service ends");
        line("limits.open_proofs", &limits.open_proofs, "of a tenant");
        line("limits.executions", &limits.executions, "at once");
        let Some(broker) = broker else {
            line("[broker]", &"none", "requests that an escrow pays are not served");
            return text;
        };
        line("broker.rpc", &public_part(&broker.rpc), "believed about the chain, never given the key");
        line("broker.contracts", &broker.contracts.display(), "contracts and trusted routes");
        for key in &broker.settlement_keys {
            line("broker.settlement_keys", &key.display(), "a circuit that settles");
        }
        let key = broker.key_file.as_ref().map_or("LORICA_PRIVATE_KEY".into(), |path| path.display().to_string());
        line("broker.key_file", &key, "SENDS TRANSACTIONS WITHOUT ASKING; whoever has it has what is not withdrawn");
        for token in &broker.tokens {
            line(
                "broker.tokens",
                &token.token,
                &format!("least fee {}, withdrawn at {}", token.least_fee, token.withdraw_at),
            );
            let worth = token.gas_token_worth.as_deref().unwrap_or("none");
            line("  gas_token_worth", &worth, "without it fees are not compared with gas");
        }
        let to = broker.withdraw_to.as_deref().unwrap_or("the prover's own account");
        line("broker.withdraw_to", &to, "where withdrawn money goes");
        line("broker.max_gas_cost", &broker.max_gas_cost, "of one transaction; a dearer one waits");
        line("broker.max_consumer_gas", &broker.max_consumer_gas, "of a consumer's call");
        line("broker.profit_percent", &broker.profit_percent, "of the gas");
        line("broker.prove_seconds", &broker.prove_seconds, "that one request takes");
        line("broker.margin_seconds", &broker.margin_seconds, "left until the deadline when it is proven");
        let confirmations = broker.confirmations.map_or("3, or 1".into(), |blocks| blocks.to_string());
        line("broker.confirmations", &confirmations, "blocks before a lock, payment or end counts");
        line("broker.bump_seconds", &broker.bump_seconds, "in no block before higher fees");
        line("broker.breaker_seconds", &broker.breaker_seconds, "after a failure in which nothing is accepted");
        line("broker.poll_milliseconds", &broker.poll_milliseconds, "between two looks");
        line("broker.batch_requests", &broker.batch_requests, "that one settlement pays, of all tenants");
        line("broker.batch_seconds", &broker.batch_seconds, "that a free prover waits for more, where gas has a price");
        text
    }
}

/// An address without what may be secret in it.
fn public_part(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lorica.toml");
        std::fs::write(&path, content).expect("writable");
        Config::load(&path)
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = read("").expect("defaults");
        assert!(config.store.folder.as_ref().is_some_and(|folder| folder.ends_with("lorica-service")));
        let defaults = Config::default();
        assert_eq!(Config { store: StoreConfig { folder: None, ..config.store }, ..config }, defaults);
        assert_eq!(defaults.store.folder(), Path::new("lorica-service"));
        assert!(defaults.check().is_ok());
        assert!(defaults.explain().contains("every call needs a key"));
    }

    #[test]
    fn what_would_be_open_or_cannot_be_is_refused_by_name() {
        for (content, named) in [
            ("[listen]\ngrpc = '0.0.0.0:1'", "[tls]"),
            ("[listen]\ngrpc = '0.0.0.0:1'\nkeyless_loopback = true\n[tls]\ncert = 'a'\nkey = 'b'", "keyless_loopback"),
            ("[listen]\nport = 1", "line 2: unknown field `port`"),
            ("[listen]\nhttp = '0.0.0.0:1'", "listen.http"),
            ("[worker]\nhang_seconds = 0", "worker.hang_seconds = 0"),
            ("[store]\nkeep_inputs_seconds = 10\nkeep_proofs_seconds = 9", "keep_inputs_seconds"),
            ("[store]\npostgres = 'postgres://a@localhost/b'\nfolder = 'c'", "store.folder: with store.postgres"),
            ("[store]\npostgres = 'postgres://a:hush@localhost/b'", "store.password_file"),
            ("[store]\npostgres = 'postgres://a@db.example/b'", "db.example"),
            ("[store]\npostgres = 'postgres://a@localhost/b'\nname = 'A b'", "store.name"),
            ("[store]\nname = 'a'", "store.name"),
            ("[store]\npassword_file = 'a'", "store.password_file"),
            ("[limits]\nopen_proofs = 0", "limits.open_proofs"),
            ("store = 1", "invalid type"),
            ("[broker]\nrpc = 'http://a'", "missing field"),
            (
                "[broker]\nrpc = 'http://a'\ncontracts = 'c'\nsettlement_keys = ['k']\ntokens = []",
                "broker.tokens is empty",
            ),
            (
                "[broker]\nrpc = 'http://a'\ncontracts = 'c'\nsettlement_keys = ['k']\nprove_seconds = 0\n
                 [[broker.tokens]]\ntoken = 'open'\nleast_fee = '1'\nwithdraw_at = '1'",
                "broker.prove_seconds = 0",
            ),
            (
                "[broker]\nrpc = 'http://a'\ncontracts = 'c'\nsettlement_keys = []\n
                 [[broker.tokens]]\ntoken = 'open'\nleast_fee = '1'\nwithdraw_at = '1'",
                "broker.settlement_keys is empty",
            ),
            ("=", "lorica.toml"),
        ] {
            let error = read(content).expect_err(content).to_string();
            assert!(error.contains(named), "{content}: {error}");
            assert!(!error.contains('\n') && !error.contains("hush"), "{content}: {error}");
        }
        assert!(read("[listen]\ngrpc = '0.0.0.0:1'\n[tls]\ncert = 'a'\nkey = 'b'").is_ok());
    }
}
