//! `lorica srs`: the development SRS as a file, or the string of a ceremony.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lorica::files::{FileError, SRS_MAGIC, store as files};
use lorica::srs::{INSECURE, store};
use lorica_prover::srs::{MAX_LOG_SIZE, Srs};
use serde_json::json;

use super::word;
use crate::error::Error;
use crate::output::{Output, phases_json, size};
use crate::srs_args::policy;

/// What to do with an SRS.
#[derive(Debug, Subcommand)]
pub enum SrsCommand {
    /// Make the development SRS, with which anyone can forge proofs: for tests only
    Dev(DevArgs),
    /// Import the SRS of a ceremony from a snarkjs .ptau file or raw halo2 parameters
    ///
    /// Checks that its points are powers of one secret. It cannot check that nobody knows the secret: take the file from a
    /// ceremony that you trust.
    Import(ImportArgs),
}

/// Arguments of `srs import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The .ptau file, or the file of raw halo2 parameters
    pub file: PathBuf,
    /// File to write the SRS to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    /// Allow the development SRS, with which anyone can forge proofs: for tests only
    #[arg(long)]
    pub insecure_dev_srs: bool,
}

/// Arguments of `srs dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// The SRS gets 2^N + 64 powers, enough for tiles of up to 2^N cells (--tau N); N is 1 to 26
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LOG_SIZE)))]
    pub log_size: u32,
    /// File to write the SRS to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &SrsCommand, out: &Output) -> Result<(), Error> {
    let (SrsCommand::Dev(DevArgs { out: path, .. }) | SrsCommand::Import(ImportArgs { out: path, .. })) = command;
    files::expect_writable(path, SRS_MAGIC)?;
    let srs = match command {
        SrsCommand::Dev(args) => out.step("make development SRS", || Srs::dev(args.log_size))?,
        SrsCommand::Import(args) => {
            let srs = out.step("read and check", || Srs::import(&args.file))?;
            policy(args.insecure_dev_srs).permit(srs.is_insecure(), || args.file.display().to_string())?;
            srs
        }
    };
    if srs.is_insecure() {
        out.warn(INSECURE);
    }
    out.step("write", || store(&srs, path))?;
    let bytes = std::fs::metadata(path).map_err(FileError::reading(path))?.len();
    out.line(format!(
        "{}: {} powers, tiles of up to 2^{} cells, {}",
        path.display(),
        srs.g1().len(),
        srs.log_size(),
        size(bytes)
    ));
    out.line(format!("digest {}", hex::encode(srs.digest())));
    out.finish(
        "lorica.srs/1",
        json!({
            "file": path, "bytes": bytes, "log_size": srs.log_size(), "powers": srs.g1().len(),
            "digest": hex::encode(srs.digest()), "word": word(&srs.digest_word()), "insecure_srs": srs.is_insecure(),
            "phases": phases_json(&out.take_phases()),
        }),
    );
    Ok(())
}
