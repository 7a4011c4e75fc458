//! `lorica api-key`: keys of the service's tenants.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lorica_service::keys::Scope;
use lorica_service::server::{KeyEntry, ServeError, WORKERS, add_key, list_keys, remove_key};
use serde_json::{Value, json};

use super::serve::ConfigArgs;
use crate::error::Error;
use crate::output::{Output, joined};

/// Commands on keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Make a key for a tenant and print it. It is stored nowhere: whoever loses it needs another one
    Add(AddArgs),
    /// List the keys, without their secrets
    List(ConfigArgs),
    /// Remove a key. It opens nothing from then on
    Remove(RemoveArgs),
}

/// Arguments of `api-key add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Whose key it is: small letters, digits and hyphens. Tenants do not see each other's texts and proofs. A worker's key has none
    #[arg(long, required_unless_present = "scopes")]
    pub tenant: Option<String>,
    /// What it is for, separated by commas; `work` stands alone. If absent: infer,prove,read
    #[arg(long, value_delimiter = ',', hide_default_value = true,
        default_values_t = [ScopeArg::Infer, ScopeArg::Prove, ScopeArg::Read])]
    pub scopes: Vec<ScopeArg>,
    /// Days after which it ends. If absent: it does not end
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
    #[command(flatten)]
    /// The service's configuration.
    pub config: ConfigArgs,
}

/// A scope on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeArg {
    /// Answers without a proof
    Infer,
    /// Asking for proofs
    Prove,
    /// Reading own proofs and requests, checking proofs, listing models
    Read,
    /// Handing in requests that an escrow pays
    Settle,
    /// Seeing what the service does for all tenants, without their texts
    Operate,
    /// Proving for the service (`lorica worker`): whoever has the key sees texts of all tenants
    Work,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Infer => Self::Infer,
            ScopeArg::Prove => Self::Prove,
            ScopeArg::Read => Self::Read,
            ScopeArg::Settle => Self::Settle,
            ScopeArg::Operate => Self::Operate,
            ScopeArg::Work => Self::Work,
        }
    }
}

impl std::fmt::Display for ScopeArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Scope::from(*self).name())
    }
}

/// Arguments of `api-key remove`.
#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// The key's id: its 16 digits between the underscores
    pub id: String,
    #[command(flatten)]
    /// The service's configuration.
    pub config: ConfigArgs,
}

fn json_of(key: &KeyEntry) -> Value {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    json!({ "id": key.id, "tenant": key.tenant, "scopes": scopes, "expires_ms": key.expires })
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &ApiKeyCommand, out: &Output) -> Result<(), Error> {
    match command {
        ApiKeyCommand::Add(args) => {
            let scopes: Vec<Scope> = args.scopes.iter().map(|scope| Scope::from(*scope)).collect();
            let lifetime = args.days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
            let tenant = match &args.tenant {
                Some(tenant) => tenant,
                None if scopes.contains(&Scope::Work) => WORKERS,
                None => {
                    return Err(Error::Usage("--tenant is needed: only a key with the scope `work` has none".into()));
                }
            };
            let (secret, entry) = add_key(&args.config.load()?, tenant, &scopes, lifetime)?;
            out.line(&secret);
            out.finish("lorica.api-key.add/1", joined(json!({ "key": secret }), json_of(&entry)));
        }
        ApiKeyCommand::List(config) => {
            let keys = list_keys(&config.load()?)?;
            if keys.is_empty() {
                out.line("no keys");
            }
            for key in &keys {
                let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
                out.line(format!("{} {} {}", key.id, key.tenant, scopes.join(",")));
            }
            let keys: Vec<Value> = keys.iter().map(json_of).collect();
            out.finish("lorica.api-key.list/1", json!({ "keys": keys }));
        }
        ApiKeyCommand::Remove(args) => {
            if !remove_key(&args.config.load()?, &args.id)? {
                return Err(ServeError::Key(format!("there is no key {}", args.id)).into());
            }
            out.line(format!("{} is removed", args.id));
            out.finish("lorica.api-key.remove/1", json!({ "id": args.id }));
        }
    }
    Ok(())
}
