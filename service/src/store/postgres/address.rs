//! Where a database is, without its password.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Where a database is, and who asks it. What is shown of it never has the password.
#[derive(Clone)]
pub struct Address {
    config: Config,
    shown: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Why an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It does not begin as one.
    #[error("postgres://user@host:port/database is expected")]
    Form,
    /// A part of it cannot be read.
    #[error("{0}")]
    Part(String),
    /// Whoever reads the configuration would read it.
    #[error(
        "a password has no place in an address: name its file with store.password_file, or set LORICA_STORE_PASSWORD"
    )]
    Password,
    /// A part that has to be said.
    #[error("it names no {0}")]
    Lacks(&'static str),
    /// Texts would cross the network readable.
    #[error(
        "{0} is another machine, and this service speaks to databases without TLS: a loopback address or a Unix socket is needed, for example of a tunnel"
    )]
    Remote(String),
}

impl Address {
    /// Reads `postgres://user@host:port/database`; a host that begins with `/` (written `%2F`) is a folder of a Unix socket.
    ///
    /// # Errors
    /// [`AddressError`], in whose text there is nothing of a password.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        // What follows is read by the library, whose errors may show what they do not understand.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(AddressError::Form);
        }
        let config = url.parse::<Config>();
        if has_password(url) || config.as_ref().is_ok_and(|config| config.get_password().is_some()) {
            return Err(AddressError::Password);
        }
        let mut config = config.map_err(|error| AddressError::Part(super::text(&error)))?;
        let user = config.get_user().filter(|user| !user.is_empty()).ok_or(AddressError::Lacks("user"))?;
        let database = config.get_dbname().filter(|name| !name.is_empty()).ok_or(AddressError::Lacks("database"))?;
        if config.get_hosts().is_empty() {
            return Err(AddressError::Lacks("host"));
        }
        let mut hosts = Vec::new();
        for (place, host) in config.get_hosts().iter().enumerate() {
            let port = config.get_ports().get(place).or(config.get_ports().first()).copied().unwrap_or(5_432);
            let name = match host {
                Host::Tcp(name) if is_loopback(name) => name.clone(),
                Host::Tcp(name) => return Err(AddressError::Remote(name.clone())),
                #[cfg(unix)]
                Host::Unix(folder) => folder.display().to_string(),
            };
            hosts.push(format!("{name}:{port}"));
        }
        if let Some(other) = config.get_hostaddrs().iter().find(|address| !address.is_loopback()) {
            return Err(AddressError::Remote(other.to_string()));
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(AddressError::Part("sslmode=require: this service speaks to databases without TLS".into()));
        }
        let shown = format!("postgres://{user}@{}/{database}", hosts.join(","));
        config
            .ssl_mode(SslMode::Disable)
            .application_name("lorica")
            .connect_timeout(Duration::from_secs(5))
            // Whoever is gone without a word is noticed.
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(20))
            // Of several hosts the one that takes writes.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, shown })
    }

    /// The same with a password.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.config.password(password);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

/// Whether something stands where a password would, whatever else is wrong.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let credentials = rest.rsplit_once('@').map_or("", |(credentials, _)| credentials);
    credentials.contains(':') || url.contains("password=")
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets_and_refused_by_name() {
        let shown = |url| Address::parse(url).map(|address| format!("{address} {address:?}"));
        let own = "postgres://a@localhost:5432/b";
        assert_eq!(shown("postgres://a@localhost/b"), Ok(format!("{own} {own}")));
        assert!(Address::parse("postgres://a@127.0.0.1:7,[::1]:8/b").is_ok());
        assert!(Address::parse("postgres://a@%2Frun%2Fpostgresql/b").is_ok());
        let with = Address::parse(own).expect("an address").with_password(b"hush");
        assert!(!format!("{with} {with:?}").contains("hush"));
        for url in [
            "postgres://a:hush@localhost/b",
            "postgres://a:hu@sh@localhost/b",
            "postgres://a@localhost/b?password=hush",
            "postgres://a:hush@localhost:port/b",
            "postgres://a:hush@/",
        ] {
            assert_eq!(shown(url), Err(AddressError::Password), "{url}");
        }
        for (url, named) in [
            ("host=localhost password=hush", "postgres://user@host"),
            ("postgres:/a:hush@localhost/b?c", "postgres://user@host"),
            ("postgres://localhost/b", "user"),
            ("postgres://a@localhost", "database"),
            ("postgres://a@/b", "host"),
            ("postgres://a@db.example/b", "db.example"),
            ("postgres://a@localhost,10.0.0.1/b", "10.0.0.1"),
            ("postgres://a@localhost/b?hostaddr=10.0.0.1", "10.0.0.1"),
            ("postgres://a@localhost/b?sslmode=require", "sslmode"),
            ("postgres://a@localhost:port/b", "port"),
            ("postgres://a@localhost/b?c=d", "`c`"),
        ] {
            let error = Address::parse(url).expect_err(url).to_string();
            assert!(error.contains(named) && !error.contains("hush"), "{url}: {error}");
        }
    }
}
