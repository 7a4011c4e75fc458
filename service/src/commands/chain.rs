//! `lorica chain`: the contracts on a chain behind JSON-RPC.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica_contracts::alloy_primitives::Address;
use lorica_contracts::chain::{Chain, ChainError};
use lorica_contracts::contracts::{CHECK_GAS, Contracts, Step};
use lorica_contracts::rpc::{PrivateKey, RpcChain};
use lorica_settlement::settlement::Settlement;
use serde_json::{Value, json};

use super::verify::load_adapter;
use super::verify_settlement::{answer_lines, answers_json, read_key};
use crate::binding;
use crate::error::Error;
use crate::files::{BaseKey, MAX_SETTLEMENT_BYTES, store};
use crate::output::Output;
use crate::srs_source::INSECURE;

/// Largest file of addresses or of a private key.
const MAX_TEXT_BYTES: u64 = 1 << 16;

/// What to do with the contracts.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Deploy the contracts and write the file of their addresses
    Deploy(DeployArgs),
    /// Register a base, adapters and settlement keys, each unless it is registered
    Register(RegisterArgs),
    /// Check a settlement: a transaction of its consumer, or without a key file a call that costs nothing
    Check(CheckArgs),
}

/// A node.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// The node
    #[arg(long, value_name = "URL", env = "LORICA_RPC")]
    pub rpc: String,
}

/// Arguments of `chain deploy`.
#[derive(Args, Debug)]
pub struct DeployArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    /// The account's private key: 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// Who may stop circuits besides the owner; the account itself if absent
    #[arg(long, value_name = "ADDRESS")]
    pub guardian: Option<Address>,
    /// The file of addresses to write
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `chain register`.
#[derive(Args, Debug)]
pub struct RegisterArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    /// The account's private key: 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    pub key_file: PathBuf,
    /// The file of addresses
    #[arg(long, value_name = "FILE")]
    pub contracts: PathBuf,
    /// The base's key
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of adapters
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Settlement keys, which only the router's owner may add
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub settlement_key: Vec<PathBuf>,
    /// Permit what was made with the development SRS, whose trapdoor is public
    #[arg(long)]
    pub insecure_dev_srs: bool,
}

/// Arguments of `chain check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    /// The consumer's private key; without it the check is only called
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The file of addresses
    #[arg(long, value_name = "FILE")]
    pub contracts: PathBuf,
    /// The settlement
    #[arg(long, value_name = "FILE")]
    pub settlement: PathBuf,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if a contract refuses.
pub fn run(command: &ChainCommand, out: &Output) -> Result<(), Error> {
    match command {
        ChainCommand::Deploy(args) => deploy(args, out),
        ChainCommand::Register(args) => register(args, out),
        ChainCommand::Check(args) => check(args, out),
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let bytes = store::read(path, MAX_TEXT_BYTES)?;
    String::from_utf8(bytes).map_err(|_| Error::Refused { path: path.into(), reason: "not a text file".into() })
}

fn private_key(path: &Path) -> Result<PrivateKey, Error> {
    PrivateKey::parse(&text(path)?).map_err(|error| Error::Refused { path: path.into(), reason: error.to_string() })
}

fn addresses(path: &Path) -> Result<Contracts, Error> {
    let refuse = |reason: String| Error::Refused { path: path.into(), reason };
    let value: Value = serde_json::from_str(&text(path)?).map_err(|error| refuse(error.to_string()))?;
    Contracts::from_json(&value).ok_or_else(|| refuse("not a file of addresses, as `chain deploy` writes it".into()))
}

fn step_json(step: &Step) -> Value {
    json!({
        "what": step.what, "id": format!("{:#066x}", step.id), "gas": step.gas(),
        "done_before": step.receipt.is_none(),
        "transaction": step.receipt.as_ref().and_then(|receipt| receipt.hash).map(|hash| hash.to_string()),
    })
}

/// Steps for people.
pub(crate) fn step_lines(steps: &[Step], out: &Output) {
    for step in steps {
        let gas = match &step.receipt {
            Some(receipt) => format!("{:>12} gas", receipt.gas),
            None => "  was there already".into(),
        };
        out.line(format!("  {:<28} {gas}", step.what));
    }
}

fn deploy(args: &DeployArgs, out: &Output) -> Result<(), Error> {
    let mut chain = RpcChain::connect(&args.node.rpc, Some(private_key(&args.key_file)?), None)?;
    let guardian = args.guardian.unwrap_or_else(|| chain.account());
    let (contracts, steps) = out.step("deploy", || Contracts::deploy(&mut chain, guardian))?;
    let file = contracts.to_json();
    let content = format!("{file:#}\n");
    store::write(&args.out, content.as_bytes())?;
    out.line(format!("{}: contracts on chain {}", args.out.display(), contracts.chain_id));
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(
        "lorica.chain-deploy/1",
        json!({
            "file": args.out, "contracts": file, "owner": chain.account().to_string(),
            "guardian": guardian.to_string(), "steps": steps,
        }),
    );
    Ok(())
}

fn register(args: &RegisterArgs, out: &Output) -> Result<(), Error> {
    let contracts = addresses(&args.contracts)?;
    let base = BaseKey::load(&args.base)?;
    let insecure = base.verifier_key().is_insecure();
    if insecure && !args.insecure_dev_srs {
        return Err(Error::InsecureSrs { what: args.base.display().to_string() });
    }
    if insecure {
        out.warn(INSECURE);
    }
    let commitments = &base.commitments;
    let mut adapters = Vec::new();
    for path in &args.adapter {
        adapters.push(load_adapter(path, &base)?);
    }
    let mut keys = Vec::new();
    for path in &args.settlement_key {
        let key = read_key(path)?;
        let of = key.circuit_shape();
        if of.architecture_digest != commitments.architecture_digest() || *key.tau_g2() != commitments.tau_g2 {
            let reason = "the settlement key is for another architecture or SRS than the base's".to_owned();
            return Err(Error::Refused { path: path.clone(), reason });
        }
        keys.push(key);
    }
    let mut chain = RpcChain::connect(&args.node.rpc, Some(private_key(&args.key_file)?), Some(contracts.chain_id))?;
    contracts.expect_deployed(&mut chain)?;
    let mut steps = Vec::from(out.step("register base", || contracts.register_base(&mut chain, commitments))?);
    for adapter in &adapters {
        steps.push(out.step("register adapter", || contracts.register_adapter(&mut chain, &adapter.commitments))?);
    }
    for key in &keys {
        steps.extend(out.step("add circuit", || contracts.add_circuit(&mut chain, key, CHECK_GAS))?);
    }
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish("lorica.chain-register/1", json!({ "insecure_srs": insecure, "steps": steps }));
    Ok(())
}

fn check(args: &CheckArgs, out: &Output) -> Result<(), Error> {
    let contracts = addresses(&args.contracts)?;
    let bytes = store::read(&args.settlement, MAX_SETTLEMENT_BYTES)?;
    let settled = Settlement::decode(&bytes).map_err(Error::MalformedSettlement)?;
    let key = args.key_file.as_deref().map(private_key).transpose()?;
    let sends = key.is_some();
    let mut chain = RpcChain::connect(&args.node.rpc, key, Some(contracts.chain_id))?;
    contracts.expect_deployed(&mut chain)?;
    let verdict: Result<_, ChainError> = out.step("check", || {
        if sends {
            contracts.check(&mut chain, &settled).map(|receipt| (receipt.gas, receipt.hash))
        } else {
            contracts.look(&mut chain, &settled).map(|gas| (gas, None))
        }
    });
    let (gas, hash) = verdict.inspect_err(|error| {
        if error.is_refusal() {
            out.line("REJECTED by the contract");
        }
    })?;
    let circuit = format!("0x{}", hex::encode(settled.circuit));
    out.line(format!("ACCEPTED by the contract: {gas} gas{}", if sends { "" } else { " (called, no transaction)" }));
    out.line(format!("  circuit  {circuit}"));
    answer_lines(&settled, out);
    out.finish(
        "lorica.chain-check/1",
        json!({
            "accepted": true, "gas": gas, "transaction": hash.map(|hash| hash.to_string()), "circuit": circuit,
            "contracts": contracts.to_json(), "binding": binding::to_json(&settled.binding),
            "requests": answers_json(&settled),
        }),
    );
    Ok(())
}
