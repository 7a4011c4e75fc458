//! `lorica serve`: the gRPC service.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use lorica::srs::INSECURE;
use lorica_service::config::Config;
use lorica_service::server::{ServeError, serve};
use lorica_service::{ChildProgram, Signer};
use serde_json::json;

use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::node::{AccountArgs, own_lock_folder};
use crate::output::Output;

/// Where the configuration is.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration (TOML); docs/serve.md lists its fields. Without it: the defaults
    #[arg(long, value_name = "FILE", env = "LORICA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the database, in place of store.folder (lorica-service if it is absent)
    #[arg(long, value_name = "FOLDER")]
    pub store: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration, with what the command line says otherwise.
    ///
    /// # Errors
    /// [`Error`] names the field.
    pub fn load(&self) -> Result<Config, Error> {
        let mut config = match self.config.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Config::load(path).map_err(ServeError::from)?,
            None => Config::default(),
        };
        if let Some(folder) = &self.store {
            config.store.folder = Some(folder.clone());
        }
        Ok(config)
    }
}

/// The argument that makes this program the proving process of a service, which speaks with it over a pipe.
pub const PROVING_PROCESS: &str = "proving-process";

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    /// The file.
    pub config: ConfigArgs,
    /// Explain the configuration and what is open to whom, and end
    #[arg(long)]
    pub check: bool,
    /// Address of the gRPC interface, in place of listen.grpc (127.0.0.1:7443 if it is absent); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub grpc: Option<SocketAddr>,
    /// Address of the HTTP interface with JSON, in place of listen.http; without either there is none
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// An imported base (.lorica), besides models.bases; may be given several times
    #[arg(long, value_name = "FILE")]
    pub base: Vec<PathBuf>,
    /// An imported adapter (.lorica), besides models.adapters; may be given several times
    #[arg(long, value_name = "FILE")]
    pub adapter: Vec<PathBuf>,
    /// A datanet (.lorica) of one of these adapters, besides models.datanets; may be given several times: answers come with proven shares where they are asked for
    #[arg(long, value_name = "FILE")]
    pub datanet: Vec<PathBuf>,
    /// The SRS that the bases were imported with, in place of models.srs
    #[arg(long, value_name = "FILE", env = "LORICA_SRS")]
    pub srs: Option<PathBuf>,
    /// Allow the development SRS, with which anyone can forge proofs: for tests only
    #[arg(long)]
    pub insecure_dev_srs: bool,
    /// Take calls without an API key, on a loopback address only
    #[arg(long)]
    pub keyless_loopback: bool,
    /// Prove nothing on this machine, as worker.in_process = false: all is proven by `lorica worker` on others
    #[arg(long)]
    pub no_prover: bool,
}

/// Runs it until it is told to end.
///
/// # Errors
/// [`Error`].
pub fn run(args: &ServeArgs, out: &Output) -> Result<(), Error> {
    let mut config = args.config.load()?;
    config.listen.grpc = args.grpc.unwrap_or(config.listen.grpc);
    config.listen.http = args.http.or(config.listen.http);
    config.listen.keyless_loopback |= args.keyless_loopback;
    config.worker.in_process &= !args.no_prover;
    config.models.bases.extend(args.base.iter().cloned());
    config.models.adapters.extend(args.adapter.iter().cloned());
    config.models.datanets.extend(args.datanet.iter().cloned());
    config.models.insecure_dev_srs |= args.insecure_dev_srs;
    if let Some(srs) = args.srs.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        config.models.srs = Some(srs.clone());
    }
    config.check().map_err(ServeError::from)?;
    if args.check {
        let models = &config.models;
        let files = models.bases.iter().chain(&models.adapters).chain(&models.datanets).chain(&models.srs);
        if let Some(absent) = files.into_iter().find(|path| !path.is_file()) {
            return Err(Error::refused(absent, "there is no file of this name"));
        }
        out.line(config.explain().trim_end());
        out.finish("lorica.serve.check/1", json!({ "explained": config.explain() }));
        return Ok(());
    }
    let path = std::env::current_exe()
        .map_err(|error| ServeError::System(format!("this program's own file is not known: {error}")))?;
    let program = ChildProgram { path, arguments: vec![PROVING_PROCESS.into()] };
    let signer = match &config.broker {
        None => None,
        Some(broker) => {
            let (key_file, password_file) = (broker.key_file.clone(), broker.password_file.clone());
            let key = AccountArgs { key_file, password_file }.find()?;
            key.map(|key| Signer { key, locks: own_lock_folder() })
        }
    };
    serve(&config, program, cache_dir()?, signer.as_ref(), |started| {
        if started.insecure {
            out.warn(INSECURE);
        }
        if started.locked {
            out.warn("there is no API key yet, so every call is refused: `lorica api-key add` makes one, also while this runs");
        }
        if started.recovered > 0 {
            out.line(format!("{} unfinished batches are proven again", started.recovered));
        }
        if !config.worker.in_process {
            out.line("nothing is proven on this machine: proofs wait for `lorica worker`");
        }
        if let Some(address) = started.http {
            out.line(format!("JSON at http://{address}"));
        }
        if let Some(prover) = &started.prover {
            out.line(format!("requests name the prover {prover}"));
        }
        out.line(format!("gRPC at {}", started.address));
        out.finish(
            "lorica.serve/1",
            json!({ "grpc": started.address.to_string(), "http": started.http.map(|own| own.to_string()), "recovered_batches": started.recovered, "prover": started.prover }),
        );
    })?;
    Ok(())
}
