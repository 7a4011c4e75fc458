//! `lorica chain`: the contracts on a chain behind JSON-RPC.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica_chain::alloy_primitives::{Address, B256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::market::{Market, Policy, Roles};
use lorica_chain::contracts::publish::Publication;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::embedded::serve::DevelopmentNode;
use lorica_chain::error::ChainError;
use lorica_prover::srs::Srs;
use lorica_settlement::settlement::Settlement;
use lorica_verifier::key::BaseCommitments;
use serde_json::{Value, json};

use super::verify_settlement::{answer_lines, answers_json, read_key};
use crate::amount::{self, Amount};
use crate::binding;
use crate::error::Error;
use crate::files::{AdapterKey, BaseKey, MAX_SETTLEMENT_BYTES, store};
use crate::node::{self, AccountArgs, MarketArgs, NodeArgs};
use crate::output::Output;
use crate::registration::expect_tables;
use crate::requests::random_word;
use crate::settlement_key::cached;
use crate::srs_source::{INSECURE, SrsArgs};

/// What to do with the contracts.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Run a chain in memory behind JSON-RPC, to try things on: nothing is kept
    Serve(ServeArgs),
    /// Deploy the contracts and write the file of their addresses
    Deploy(DeployArgs),
    /// Register a base, adapters and settlement keys, each unless it is registered
    Register(RegisterArgs),
    /// Publish a base and adapters as their owner, for OPEN, so that requests can name them; each unless it is published
    Publish(PublishArgs),
    /// Stop a circuit for good, as guardian or owner of the router
    Freeze(FreezeArgs),
    /// Check a settlement: a transaction of its consumer, or without a key file a call that costs nothing
    Check(CheckArgs),
}

/// Arguments of `chain serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8545")]
    pub listen: String,
    /// The chain's id
    #[arg(long, default_value_t = 31337)]
    pub chain_id: u64,
}

/// Arguments of `chain deploy`.
#[derive(Args, Debug)]
pub struct DeployArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    #[command(flatten)]
    /// Who owns the contracts
    pub account: AccountArgs,
    /// Who may stop circuits besides the owner; the account itself if absent
    #[arg(long, value_name = "ADDRESS")]
    pub guardian: Option<Address>,
    /// Who receives the fees for publishing; the account itself if absent
    #[arg(long, value_name = "ADDRESS")]
    pub treasury: Option<Address>,
    /// Blocks between reserving and publishing a model: who holds back a publication for so long can steal it. 50 if absent,
    /// 1 on a development node's chain
    #[arg(long, value_name = "BLOCKS")]
    pub reservation_blocks: Option<u64>,
    /// The chain that is meant; any if absent
    #[arg(long, value_name = "ID")]
    pub chain_id: Option<u64>,
    /// Who receives the supply of OPEN; the account itself if absent
    #[arg(long, value_name = "ADDRESS")]
    pub holder: Option<Address>,
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
    #[command(flatten)]
    /// Who registers
    pub account: AccountArgs,
    /// The file of addresses
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// The base's key
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of adapters
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Settlement keys, which only the router's owner may add. Each is made again with the SRS and compared, unless --circuit
    /// names its circuit
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub settlement_key: Vec<PathBuf>,
    /// Instead of making keys again: the circuit of each, an id that you have from whom you trust
    #[arg(long, value_name = "ID", num_args = 1.., requires = "settlement_key")]
    pub circuit: Vec<B256>,
    #[command(flatten)]
    /// The SRS
    pub srs: SrsArgs,
}

/// Arguments of `chain publish`.
#[derive(Args, Debug)]
pub struct PublishArgs {
    #[command(flatten)]
    /// Where
    pub market: MarketArgs,
    #[command(flatten)]
    /// Who will own what is published
    pub account: AccountArgs,
    /// The base's key: published with its architecture if no adapter is named
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of adapters, whose base is published
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Who may withdraw the contributors' share; the line's pot, or the account itself for a new line, if absent
    #[arg(long, value_name = "ADDRESS")]
    pub pot: Option<Address>,
    /// Percent of a fee for prover, adapter owner, base owner and contributors
    #[arg(long, value_name = "P/A/B/C", default_value = "50/20/10/20", value_parser = parse_shares)]
    pub shares: Shares,
    /// The line that this version continues; 0 begins a new one
    #[arg(long, default_value_t = 0)]
    pub line: u32,
    /// Most OPEN for each publication
    #[arg(long, value_name = "AMOUNT", default_value = "1000", value_parser = amount::parse)]
    pub max_publishing_fee: Amount,
    /// Where the metadata is
    #[arg(long, default_value = "")]
    pub uri: String,
    /// SPDX expression of the licence
    #[arg(long, default_value = "")]
    pub licence: String,
    /// Permit what was made with the development SRS, whose trapdoor is public
    #[arg(long)]
    pub insecure_dev_srs: bool,
}

/// Four percentages, with up to two decimals, that add up to 100.
fn parse_shares(text: &str) -> Result<Shares, String> {
    let parsed: Result<Vec<u16>, String> = text.split('/').map(amount::parse_percent).collect();
    match parsed.as_deref() {
        Ok(&[prover, adapter_owner, base_owner, contributors])
            if [prover, adapter_owner, base_owner, contributors].iter().map(|&share| u32::from(share)).sum::<u32>()
                == 10_000 =>
        {
            Ok(Shares { prover, adapter_owner, base_owner, contributors })
        }
        _ => Err("four percentages that add up to 100 are expected, such as 50/20/10/20".into()),
    }
}

/// Arguments of `chain freeze`.
#[derive(Args, Debug)]
pub struct FreezeArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    #[command(flatten)]
    /// Guardian or owner
    pub account: AccountArgs,
    /// The file of addresses
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// The circuit's id
    #[arg(long, value_name = "ID")]
    pub circuit: B256,
    /// Confirm: it cannot be undone, and requests that only this circuit could settle end in refunds
    #[arg(long, required = true)]
    pub for_good: bool,
}

/// Arguments of `chain check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    /// The node
    pub node: NodeArgs,
    #[command(flatten)]
    /// The consumer; without a key the check is only called
    pub account: AccountArgs,
    /// The file of addresses
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
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
        ChainCommand::Serve(args) => serve(args, out),
        ChainCommand::Deploy(args) => deploy(args, out),
        ChainCommand::Register(args) => register(args, out),
        ChainCommand::Publish(args) => publish(args, out),
        ChainCommand::Freeze(args) => freeze(args, out),
        ChainCommand::Check(args) => check(args, out),
    }
}

pub(crate) fn step_json(step: &Step) -> Value {
    json!({
        "what": step.what, "id": format!("{:#066x}", step.id), "gas": step.gas(),
        "done_before": step.receipt.is_none(),
        "transaction": step.receipt.as_ref().and_then(|receipt| receipt.hash),
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

fn serve(args: &ServeArgs, out: &Output) -> Result<(), Error> {
    let ready = |address: String| out.line(format!("chain {} at http://{address}", args.chain_id));
    Ok(DevelopmentNode::new(args.chain_id).serve(&args.listen, ready)?)
}

fn deploy(args: &DeployArgs, out: &Output) -> Result<(), Error> {
    let mut chain = args.node.connect(Some(args.account.key()?), args.chain_id)?;
    let owner = chain.account();
    let [guardian, treasury, holder] = [args.guardian, args.treasury, args.holder].map(|role| role.unwrap_or(owner));
    let roles = Roles { owner, guardian, treasury, holder };
    let quick = [31337, 1337].contains(&chain.id());
    let reservation_blocks = args.reservation_blocks.unwrap_or(if quick { 1 } else { 50 });
    let policy = Policy { reservation_blocks, ..Policy::default() };
    let (market, steps) = out.step("deploy", || Market::deploy(&mut chain, roles, policy))?;
    let file = market.to_json();
    let content = format!("{file:#}\n");
    store::write(&args.out, content.as_bytes())?;
    out.line(format!("{}: contracts on chain {}", args.out.display(), market.contracts.chain_id));
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(
        "lorica.chain-deploy/1",
        json!({
            "file": args.out, "contracts": file, "owner": owner.to_string(), "guardian": guardian.to_string(),
            "treasury": treasury.to_string(), "holder": holder.to_string(), "steps": steps,
        }),
    );
    Ok(())
}

/// Loads a base and adapters of it, if their SRS is permitted.
fn load_models(base: &Path, adapters: &[PathBuf], insecure_dev_srs: bool, out: &Output) -> Result<Models, Error> {
    let path = base;
    let base = BaseKey::load(path)?;
    if base.verifier_key().is_insecure() {
        if !insecure_dev_srs {
            return Err(Error::InsecureSrs { what: path.display().to_string() });
        }
        out.warn(INSECURE);
    }
    let adapters = adapters.iter().map(|path| AdapterKey::load_for(path, &base)).collect::<Result<_, _>>()?;
    Ok(Models { base, adapters })
}

struct Models {
    base: BaseKey,
    adapters: Vec<AdapterKey>,
}

fn publish(args: &PublishArgs, out: &Output) -> Result<(), Error> {
    let Models { base, adapters } = load_models(&args.base, &args.adapter, args.insecure_dev_srs, out)?;
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    let pot = market.publisher().pot_for(&mut chain, args.line, args.pot)?;
    let publication = || -> Result<Publication, Error> {
        Ok(Publication {
            line: args.line,
            pot: args.pot,
            shares: args.shares,
            uri: args.uri.clone(),
            licence: args.licence.clone(),
            salt: random_word()?,
            max_fee: args.max_publishing_fee.units,
        })
    };
    let mut steps = Vec::new();
    if adapters.is_empty() {
        let terms = publication()?;
        steps.extend(out.step("publish base", || market.publisher().base(&mut chain, &base.commitments, &terms))?);
    }
    for adapter in &adapters {
        let terms = publication()?;
        let publish = || market.publisher().adapter(&mut chain, &adapter.commitments, &terms);
        steps.extend(out.step("publish adapter", publish)?);
    }
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    let insecure = base.verifier_key().is_insecure();
    out.finish("lorica.chain-publish/1", json!({ "insecure_srs": insecure, "pot": pot.to_string(), "steps": steps }));
    Ok(())
}

fn register(args: &RegisterArgs, out: &Output) -> Result<(), Error> {
    let contracts = node::contracts(&args.contracts)?;
    let Models { base, adapters } = load_models(&args.base, &args.adapter, args.srs.insecure_dev_srs, out)?;
    let insecure = base.verifier_key().is_insecure();
    let commitments = &base.commitments;
    let mut keys = Vec::new();
    let srs = made_again(args, commitments, out)?;
    for path in &args.settlement_key {
        let key = read_key(path)?;
        let of = key.circuit_shape();
        if of.architecture_digest != commitments.architecture_digest() || *key.tau_g2() != commitments.tau_g2 {
            let reason = "the settlement key is for another architecture or SRS than the base's".to_owned();
            return Err(Error::Refused { path: path.clone(), reason });
        }
        let circuit = B256::from(key.circuit_id());
        let refused = |reason| Err(Error::Refused { path: path.clone(), reason });
        match &srs {
            Some(srs) => {
                let own = B256::from(cached(of, srs, out)?.verifying().circuit_id());
                if own != circuit {
                    return refused(format!(
                        "its circuit is {circuit}, but the key of this shape, made again, has {own}: whoever made the file \
                         can make it accept anything"
                    ));
                }
            }
            None if !args.circuit.contains(&circuit) => {
                return refused(format!("its circuit {circuit} is none that --circuit names"));
            }
            None => {}
        }
        keys.push(key);
    }
    let mut chain = args.node.connect(Some(args.account.key()?), Some(contracts.chain_id))?;
    contracts.expect_deployed(&mut chain)?;
    let mut steps =
        Vec::from(out.step("register base", || contracts.registry().register_base(&mut chain, commitments))?);
    for adapter in &adapters {
        steps.push(
            out.step("register adapter", || contracts.registry().register_adapter(&mut chain, &adapter.commitments))?,
        );
    }
    for key in &keys {
        steps.extend(out.step("add circuit", || contracts.add_circuit(&mut chain, key, CHECK_GAS))?);
        if let Ok(market) = node::market(&args.contracts) {
            let circuit = B256::from(key.circuit_id());
            steps.push(out.step("enable circuit", || market.escrow().enable_circuit(&mut chain, circuit))?);
        }
    }
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish("lorica.chain-register/1", json!({ "insecure_srs": insecure, "steps": steps }));
    Ok(())
}

/// The SRS with which settlement keys are made again, after the base's tables; none if no key is added, or if their circuits
/// are named.
fn made_again(args: &RegisterArgs, base: &BaseCommitments, out: &Output) -> Result<Option<Srs>, Error> {
    if args.settlement_key.is_empty() || !args.circuit.is_empty() {
        return Ok(None);
    }
    if !args.srs.is_given() {
        let reason = "a settlement key can lie about its circuit: --srs FILE or LORICA_SRS (or for tests \
                      --insecure-dev-srs) has it made again, or --circuit ID names the circuit that you trust";
        return Err(Error::Usage(reason.into()));
    }
    let srs = args.srs.load(base.log_tile, out)?;
    out.step("make tables again", || expect_tables(&srs, base, &args.srs.name()))?;
    Ok(Some(srs))
}

fn freeze(args: &FreezeArgs, out: &Output) -> Result<(), Error> {
    let contracts = node::contracts(&args.contracts)?;
    let mut chain = args.node.connect(Some(args.account.key()?), Some(contracts.chain_id))?;
    contracts.expect_deployed(&mut chain)?;
    let receipt = out.step("freeze", || contracts.router().freeze(&mut chain, args.circuit))?;
    out.line(format!("circuit {} is frozen for good; {} gas", args.circuit, receipt.gas));
    let content = json!({ "circuit": args.circuit.to_string(), "gas": receipt.gas, "transaction": receipt.hash });
    out.finish("lorica.chain-freeze/1", content);
    Ok(())
}

fn check(args: &CheckArgs, out: &Output) -> Result<(), Error> {
    let contracts = node::contracts(&args.contracts)?;
    let bytes = store::read(&args.settlement, MAX_SETTLEMENT_BYTES)?;
    let settled = Settlement::decode(&bytes).map_err(Error::MalformedSettlement)?;
    let key = args.account.find()?;
    let sends = key.is_some();
    let mut chain = args.node.connect(key, Some(contracts.chain_id))?;
    contracts.expect_deployed(&mut chain)?;
    let verdict: Result<_, ChainError> = out.step("check", || {
        if sends {
            contracts.router().check(&mut chain, &settled).map(|receipt| (receipt.gas, receipt.hash))
        } else {
            contracts.router().simulate_check(&mut chain, &settled).map(|gas| (gas, None))
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
            "accepted": true, "gas": gas, "transaction": hash, "circuit": circuit,
            "contracts": contracts.to_json(), "binding": binding::to_json(&settled.binding),
            "requests": answers_json(&settled),
        }),
    );
    Ok(())
}
