//! `lorica datanet prove`, `verify`, `settle` and `submit`: that every cell of a datanet's index is in its range.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use lorica::check::{CheckError, check_index, check_index_settlement};
use lorica::files::{
    AdapterKey, BaseKey, DatanetFile, INDEX_PROOF_MAGIC, INDEX_SETTLEMENT_MAGIC, IndexKey, MAX_PROOF_BYTES,
    MAX_SETTLEMENT_BYTES, SETTLEMENT_KEY_MAGIC, read_adapter_key, read_base_key, read_index_key, store,
};
use lorica::index_proof::{IndexProof, prove_index};
use lorica::input::{Context, context_word, parse_context};
use lorica::srs::{INSECURE, SrsPolicy};
use lorica_chain::alloy_primitives::B256;
use lorica_circuits::bn254::Fr;
use lorica_settlement::settlement::IndexSettlement;
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use super::settlement_key::settler;
use super::verify_settlement::read_key;
use super::{short, word};
use crate::error::{Error, Kind};
use crate::node::{SenderArgs, parse_id};
use crate::output::{Output, joined, milliseconds, peak_memory, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// Keys of the base and of the adapter that an index is of.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Key of the adapter that names the datanet's version (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
}

impl KeyArgs {
    pub(super) fn read(&self) -> Result<(BaseKey, AdapterKey), Error> {
        let base = read_base_key(&self.base)?;
        let adapter = read_adapter_key(&self.adapter, &base)?;
        Ok((base, adapter))
    }
}

/// Arguments of `datanet prove`.
#[derive(Args, Debug)]
pub struct ProveArgs {
    /// The datanet (.lorica)
    pub file: PathBuf,
    #[command(flatten)]
    /// Keys.
    pub keys: KeyArgs,
    /// Up to 32 bytes that bind the proof to its use. If absent: zero, as contracts take it
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
    /// File to write the proof to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `datanet verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The index proof; with --key, a settlement of one
    pub file: PathBuf,
    #[command(flatten)]
    /// Keys.
    pub keys: KeyArgs,
    /// Key of the datanet's index (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub datanet: PathBuf,
    /// Reject the proof if it was made with another --context. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
    /// Settlement key (.vk), to check a settlement as the contract would
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub key: Option<PathBuf>,
    /// Circuit id that the settlement must have, from a source that you trust or from `lorica settlement-key`. Without it a false
    /// key file can make any settlement pass
    #[arg(long, value_name = "ID", requires = "key", value_parser = parse_id)]
    pub circuit: Option<B256>,
}

/// Arguments of `datanet settle`.
#[derive(Args, Debug)]
pub struct SettleArgs {
    /// The index proof, made without --context
    pub file: PathBuf,
    #[command(flatten)]
    /// Keys.
    pub keys: KeyArgs,
    /// Key of the datanet's index (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub datanet: PathBuf,
    /// File to write the settlement to; its settlement key is written beside it, with .vk behind the whole name
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `datanet submit`.
#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// The settlement, as `lorica datanet settle` writes it
    pub file: PathBuf,
    #[command(flatten)]
    /// The account that sends the transaction.
    pub by: SenderArgs,
}

/// What names an index.
pub(super) fn facts(index: &IndexKey) -> Value {
    let own = &index.commitments;
    json!({
        "index": word(&own.id()), "adapter": word(&own.adapter), "version": word(&own.version), "records": own.count,
        "room": own.records, "tiles": own.tiles.len(),
    })
}

pub(super) fn index_line(index: &IndexKey) -> String {
    let own = &index.commitments;
    format!("  index {}, {} records of {}", short(&own.id()), own.count, own.records)
}

pub(super) fn phase_lines(phases: &[(String, Duration)], out: &Output) {
    for (name, spent) in phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    let total: Duration = phases.iter().map(|(_, spent)| *spent).sum();
    out.line(format!("  {:<28} {}", "total", time(total)));
    if let Some(memory) = peak_memory() {
        out.line(format!("  {:<28} {}", "peak memory", size(memory)));
    }
}

/// Runs `datanet prove`.
///
/// # Errors
/// [`Error`]; a cell that is out of range is named.
pub fn prove(args: &ProveArgs, out: &Output) -> Result<(), Error> {
    store::expect_writable(&args.out, INDEX_PROOF_MAGIC)?;
    let (base, adapter) = args.keys.read()?;
    let datanet = out.step("load datanet", || DatanetFile::load(&args.file))?;
    let srs = args.srs.load(base.commitments.log_tile, out)?;
    let proven = prove_index(&srs, &base, &adapter, &datanet, context_word(args.context), &out.steps())?;
    out.add_phases(proven.phases);
    let bytes = proven.proof.encode();
    out.step("write", || store::write(&args.out, &bytes))?;
    let (phases, index) = (out.take_phases(), datanet.index_key());
    out.line(format!("{}: {}", args.out.display(), size(bytes.len() as u64)));
    out.line(index_line(&index));
    phase_lines(&phases, out);
    let content = json!({
        "proof": { "file": args.out, "bytes": bytes.len() }, "base": word(&base.id()),
        "context": word(&proven.proof.statement.context), "insecure_srs": base.verifier_key().is_insecure(),
        "phases": phases_json(&phases), "peak_memory_bytes": peak_memory(),
    });
    out.finish("lorica.datanet.prove/1", joined(facts(&index), content));
    Ok(())
}

/// Runs `datanet verify`.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the proof does not hold or is another index'.
pub fn verify(args: &VerifyArgs, out: &Output) -> Result<(), Error> {
    let (base, adapter) = args.keys.read()?;
    if base.verifier_key().is_insecure() {
        out.warn(INSECURE);
    }
    let (index, _) = read_index_key(&args.datanet)?;
    // The warning above is what the command says of the development SRS.
    let policy = SrsPolicy::DevelopmentForTests;
    let start = Instant::now();
    let verdict = match &args.key {
        None => {
            let bytes = store::read(&args.file, MAX_PROOF_BYTES)?;
            check_index(&base, &adapter, &index, context_word(args.context), &bytes, policy).map(|_| None)
        }
        Some(key) => {
            let (key, bytes) = (read_key(key)?, store::read(&args.file, MAX_SETTLEMENT_BYTES)?);
            let circuit = args.circuit.map(|id| id.0);
            if circuit.is_none() {
                out.warn("without --circuit nothing says that the settlement key is an honest circuit's");
            }
            check_index_settlement((&base, &adapter, &index), &key, circuit, &bytes, policy)
                .map(|settled| Some(format!("0x{}", hex::encode(settled.circuit))))
        }
    };
    let spent = start.elapsed();
    let circuit = match verdict {
        Ok(circuit) => circuit,
        Err(error) => return Err(reject(&args.file, error, out)),
    };
    out.line(format!("{}: accepted in {}", args.file.display(), time(spent)));
    out.line(index_line(&index));
    out.line("  every cell is in its range, and no record weighs more than one");
    let content = json!({
        "accepted": true, "base": word(&base.id()), "circuit": circuit, "milliseconds": milliseconds(spent),
        "insecure_srs": base.verifier_key().is_insecure(),
    });
    out.finish("lorica.datanet.verify/1", joined(facts(&index), content));
    Ok(())
}

/// A verdict is told before the command fails with it.
pub(super) fn reject(file: &Path, error: impl Into<Error>, out: &Output) -> Error {
    let error = error.into();
    if error.kind() == Kind::Rejected {
        out.line(format!("{}: rejected", file.display()));
    }
    error
}

/// Where a settlement's key goes: behind the whole name, since `d.vk` is the key of the index in `d.lorica`.
fn key_path(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".vk");
    name.into()
}

/// Runs `datanet settle`.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the index proof is not accepted.
pub fn settle(args: &SettleArgs, out: &Output) -> Result<(), Error> {
    store::expect_writable(&args.out, INDEX_SETTLEMENT_MAGIC)?;
    store::expect_writable(&key_path(&args.out), SETTLEMENT_KEY_MAGIC)?;
    let (base, adapter) = args.keys.read()?;
    let (index, _) = read_index_key(&args.datanet)?;
    let bytes = store::read(&args.file, MAX_PROOF_BYTES)?;
    let proof = IndexProof::decode(&bytes).map_err(CheckError::MalformedProof)?;
    // First: a key takes long to make, and a proof that will be refused should not wait for it.
    check_index(&base, &adapter, &index, Fr::zero(), &bytes, SrsPolicy::DevelopmentForTests)?;
    let srs = args.srs.load(base.commitments.log_tile, out)?;
    let settled = settler(srs)?.settle_index(&base, &adapter, &index, &proof, &out.steps())?;
    out.add_phases(settled.phases);
    let (made, key) = (settled.settlement, settled.key);
    let (encoded, key_file) = (made.encode(), key_path(&args.out));
    store::write(&args.out, &encoded)?;
    store::write(&key_file, &key.verifying().encode())?;
    let phases = out.take_phases();
    let circuit = format!("0x{}", hex::encode(made.circuit));
    out.line(format!("{}: {}, key {}", args.out.display(), size(encoded.len() as u64), key_file.display()));
    out.line(format!("  circuit {circuit}"));
    out.line(index_line(&index));
    phase_lines(&phases, out);
    let content = json!({
        "settlement": { "file": args.out, "bytes": encoded.len() }, "key": key_file, "circuit": circuit,
        "log_rows": key.verifying().log_rows(), "base": word(&base.id()),
        "insecure_srs": base.verifier_key().is_insecure(), "phases": phases_json(&phases),
        "peak_memory_bytes": peak_memory(),
    });
    out.finish("lorica.datanet.settle/1", joined(facts(&index), content));
    Ok(())
}

/// Runs `datanet submit`.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the contract refuses.
pub fn submit(args: &SubmitArgs, out: &Output) -> Result<(), Error> {
    let bytes = store::read(&args.file, MAX_SETTLEMENT_BYTES)?;
    let settlement = IndexSettlement::decode(&bytes).map_err(CheckError::MalformedSettlement)?;
    let (market, mut chain) = args.by.connect()?;
    let step = out.step("submit", || market.index_ranges().prove(&mut chain, &settlement))?;
    step_lines(std::slice::from_ref(&step), out);
    let circuit = format!("0x{}", hex::encode(settlement.circuit));
    out.line(format!("index {} is in range", word(&settlement.index)));
    let content = json!({ "index": word(&settlement.index), "circuit": circuit, "step": step_json(&step) });
    out.finish("lorica.datanet.submit/1", content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of an index is not overwritten by that of its settlement.
    #[test]
    fn keys_of_settlements_have_names_of_their_own() {
        assert_eq!(key_path(Path::new("folder/d.settlement")), Path::new("folder/d.settlement.vk"));
    }
}
