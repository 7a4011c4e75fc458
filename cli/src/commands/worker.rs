//! `lorica worker`: proves for a service on another machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lorica::files::store;
use lorica::srs::INSECURE;
use lorica_service::ChildProgram;
use lorica_service::remote::{Notice, RemoteConfig, work};
use serde_json::json;

use super::remote::find_key;
use super::serve::PROVING_PROCESS;
use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::node::parse_url;
use crate::output::{Output, size};
use crate::srs_args::SrsArgs;

/// Arguments of `worker`.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Address of the service: https://, or http:// on this machine
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub gateway: String,
    /// File with an API key of the scope `work`. Without it: the variable LORICA_API_KEY
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Certificate authority of the service (PEM), in place of those that browsers trust
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// What the service calls this worker: letters, digits, hyphens, dots and underscores. If absent: this machine's name
    #[arg(long)]
    pub name: Option<String>,
    /// Folder of fetched models and of results that are not handed in yet, which show texts; one worker's only
    #[arg(long, value_name = "FOLDER", default_value = "lorica-worker")]
    pub folder: PathBuf,
    #[command(flatten)]
    /// The SRS that the served bases were imported with.
    pub srs: SrsArgs,
    /// Seconds of silence after which the proving process is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub hang_seconds: u64,
    /// Seconds that the batch in progress has at the end; then it is handed back
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub drain_seconds: u64,
}

/// This machine's name, as far as it can be one of a worker.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(63).collect();
    if name.is_empty() { "worker".into() } else { name }
}

/// Works until it is told to end.
///
/// # Errors
/// [`Error`].
pub fn run(args: &WorkerArgs, out: &Output) -> Result<(), Error> {
    let key = find_key(args.key_file.as_deref())?;
    let key =
        key.ok_or_else(|| Error::Usage("a key is needed: --key-file FILE, or the variable LORICA_API_KEY".into()))?;
    if !args.srs.is_given() {
        let reason = "an SRS is needed: --srs FILE or LORICA_SRS, or for tests --insecure-dev-srs";
        return Err(Error::Usage(reason.into()));
    }
    let srs = args.srs.srs.clone().filter(|path| !path.as_os_str().is_empty());
    // Named before anything is fetched.
    if let Some(absent) = srs.as_ref().filter(|path| !path.is_file()) {
        return Err(Error::refused(absent, "there is no file of this name"));
    }
    let ca = args.ca.as_deref().map(|path| store::read(path, 1 << 20)).transpose()?;
    let path = std::env::current_exe().map_err(lorica_service::remote::RemoteError::System)?;
    let program = ChildProgram { path, arguments: vec![PROVING_PROCESS.into()] };
    let name = args.name.clone().unwrap_or_else(host_name);
    if args.srs.insecure_dev_srs {
        out.warn(INSECURE);
    }
    let config = RemoteConfig {
        gateway: args.gateway.clone(),
        key: key.trim().to_owned(),
        ca,
        name: name.clone(),
        folder: args.folder.clone(),
        srs,
        insecure_dev_srs: args.srs.insecure_dev_srs,
        cache: cache_dir()?,
        hang: Duration::from_secs(args.hang_seconds),
        drain: Duration::from_secs(args.drain_seconds),
    };
    work(config, program, |notice| match notice {
        Notice::Fetching(file, bytes) => out.line(format!("fetching {file}: {}", size(*bytes))),
        Notice::Ready => out.line(format!("{name} proves for {}", args.gateway)),
        Notice::Waiting(reason) => out.line(format!("waiting for the gateway: {reason}")),
        Notice::Back => out.line("the gateway is back"),
        Notice::Delivered(lease) => out.line(format!("{lease}: a result of an earlier run was taken")),
        Notice::Discarded(lease) => out.line(format!("{lease}: a result of an earlier run came too late")),
    })?;
    out.finish("lorica.worker/1", json!({ "ended": true }));
    Ok(())
}
