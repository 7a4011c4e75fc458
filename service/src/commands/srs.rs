//! `lorica srs dev`: the development SRS as a file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lorica_prover::srs::{MAX_LOG_SIZE, Srs};
use serde_json::json;

use super::word;
use crate::error::Error;
use crate::output::{Output, phases_json, size};
use crate::srs_source::{INSECURE, store};

/// What to do with an SRS.
#[derive(Debug, Subcommand)]
pub enum SrsCommand {
    /// Make the insecure development SRS of 2^N + 64 powers
    Dev(DevArgs),
}

/// Arguments of `srs dev`.
#[derive(Args, Debug)]
pub struct DevArgs {
    /// N: tiles of up to 2^N cells can be committed to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LOG_SIZE)))]
    pub log_size: u32,
    /// The file to write
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &SrsCommand, out: &Output) -> Result<(), Error> {
    let SrsCommand::Dev(args) = command;
    let srs = out.step("make development SRS", || Srs::dev(args.log_size))?;
    out.warn(INSECURE);
    out.step("write", || store(&srs, &args.out))?;
    let bytes = std::fs::metadata(&args.out).map_err(Error::reading(&args.out))?.len();
    out.line(format!("{}: {} powers, {}", args.out.display(), srs.g1().len(), size(bytes)));
    out.line(format!("digest {}", hex::encode(srs.digest())));
    out.finish(
        "lorica.srs/1",
        json!({
            "file": args.out, "bytes": bytes, "log_size": srs.log_size(), "powers": srs.g1().len(),
            "digest": hex::encode(srs.digest()), "word": word(&srs.digest_word()), "insecure_srs": true,
            "phases": phases_json(&out.take_phases()),
        }),
    );
    Ok(())
}
