//! `lorica chain`: the contracts on a chain behind JSON-RPC.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica::amount::{self, Amount};
use lorica::binding;
use lorica::check::CheckError;
use lorica::files::{
    AdapterKey, BaseKey, MAX_SETTLEMENT_BYTES, read_adapter_key, read_base_key, read_index_key, store,
};
use lorica::registration::expect_tables;
use lorica::settle::Settler;
use lorica::srs::INSECURE;
use lorica_chain::abi;
use lorica_chain::alloy_primitives::{Address, B256};
use lorica_chain::chain::{Chain, DEVELOPMENT_CHAINS};
use lorica_chain::contracts::Step;
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::publish::{Progress, Publication, reservation_salt};
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::embedded::serve::DevelopmentNode;
use lorica_chain::error::ChainError;
use lorica_circuits::bn254::Fr;
use lorica_settlement::settlement::Settlement;
use lorica_settlement::statement::Subject;
use lorica_verifier::protocol::key::BaseCommitments;
use serde_json::{Value, json};

use super::routes;
use super::settlement_key::settler;
use super::verify_settlement::{answers, index_json, read_key};
use crate::error::Error;
use crate::node::{self, AccountArgs, MarketArgs, NodeArgs, parse_account, parse_id};
use crate::output::Output;
use crate::srs_args::SrsArgs;
use crate::srs_args::policy;

/// Seconds between the two steps of a publication on a real chain: a day, as forced inclusion takes up to that.
const RESERVATION_SECONDS: u64 = 86_400;

/// What to do with the contracts.
#[derive(Debug, Subcommand)]
pub enum ChainCommand {
    /// Run a chain in memory behind JSON-RPC, for trials: nothing is kept when it ends
    ///
    /// It stands in for a development node such as anvil. Gas has no price there, so every account can send. Runs until it is
    /// stopped.
    Serve(ServeArgs),
    /// Deploy the contracts and write their addresses into a file
    ///
    /// On a real chain you name four accounts, and no two of them may be the same: the owner of router, registry of models and
    /// escrow (governance), the guardian, the treasury and the holder of OPEN. On a development chain (31337, 1337, or any chain
    /// with --development) the deploying account has each part that you do not name. Every other command reads the file by
    /// --contracts or LORICA_CONTRACTS. docs/runbook.md says who should hold which key.
    Deploy(DeployArgs),
    /// Register a base, adapters and settlement keys on a chain, without an owner or a fee
    ///
    /// Adds a route for the circuit of each settlement key to the router, which only the router's owner may do, and enables it at
    /// both escrows. The file of addresses then pins the route: requests that are signed with this file name it. A route counts
    /// 7 days after it was added; in the router's first hour it counts at once. Registers commitments only: a model that requests
    /// are to be paid for needs `lorica chain publish`. What is registered already is left as it is.
    Register(RegisterArgs),
    /// Publish a base or adapters, so that requests can name them and their owner is paid
    ///
    /// The account becomes the owner and pays the publishing fee in OPEN for each model. Without --adapter it publishes the base
    /// with its architecture; with --adapter it publishes the adapters only. Each publication takes two steps: the command reserves
    /// the id and then publishes it, but not before the reservation is old enough, 24 hours unless the contracts were deployed
    /// otherwise. If that is more than two minutes ahead, the command ends and says when: run it again then, with the same account.
    /// An adapter gives the base's owner at least the share that the base asks for. What is published already is left as it is.
    Publish(PublishArgs),
    /// Print the routes of the escrow: which circuits they check by which verifiers, and which of them the file pins
    Routes(routes::RoutesArgs),
    /// Trust a further route: the file of addresses pins it, and requests that are signed from now on name it
    ///
    /// Look at the route's verifier first (`lorica chain routes`): a false verifier accepts false answers, and its prover is paid.
    Pin(routes::PinArgs),
    /// Stop routes for a while: no settlement is accepted by them meanwhile
    ///
    /// Only the guardian may do so, for 7 days at most, and for each route once in 30 days.
    Pause(routes::PauseArgs),
    /// End the pause of a route early
    ///
    /// Only the guardian or the owner of the router may do so.
    Resume(routes::ResumeArgs),
    /// Stop a route for good: no settlement is accepted by it any more
    ///
    /// Only the owner of the router may do so; anybody who shows the contract two settlements of the route that contradict each other
    /// stops it too (docs/contracts.md, no command does it). The circuit can go on by another route with another verifier. A request that names
    /// no other route can be cancelled by its requester (`lorica request cancel`), even if a prover has accepted it.
    Freeze(routes::FreezeArgs),
    /// Have the contract check a settlement, without paying anything
    ///
    /// With an account it sends a transaction; the account must be the consumer that the settlement is bound to. Without an
    /// account it only calls the contract, which costs nothing and changes nothing.
    Check(CheckArgs),
}

/// Arguments of `chain serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free port, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8545")]
    pub listen: String,
    /// Id of the chain
    #[arg(long, default_value_t = 31337)]
    pub chain_id: u64,
}

/// Arguments of `chain deploy`.
#[derive(Args, Debug)]
pub struct DeployArgs {
    #[command(flatten)]
    /// How the node is reached.
    pub node: NodeArgs,
    #[command(flatten)]
    /// The account that deploys.
    pub account: AccountArgs,
    /// Account that owns router, registry of models and escrow: a timelock or a Safe, in the end
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub owner: Option<Address>,
    /// Account that may pause routes for a while besides the owner
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub guardian: Option<Address>,
    /// Account that may withdraw the fees for publishing
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub treasury: Option<Address>,
    /// Least number of seconds between the two steps of a publication. Somebody who can keep a publication from the chain for so
    /// long can steal it, so the chain's forced inclusion must be shorter (about 24 hours on Arbitrum, up to 12 on the OP stack).
    /// If absent: 86400 (24 hours), and 1 on a development chain
    #[arg(long, value_name = "SECONDS")]
    pub reservation_seconds: Option<u64>,
    /// OPEN is the chain's gas token: deploy WrappedOpen, which wraps it one to one, instead of a token of its own
    #[arg(long, conflicts_with = "holder")]
    pub native_open: bool,
    /// Treat the chain as a development chain: parts may be left out, and one account may have several
    #[arg(long)]
    pub development: bool,
    /// Refuse to deploy if the node's chain has another id than this. If absent: any chain
    #[arg(long, value_name = "ID")]
    pub chain_id: Option<u64>,
    /// Account that receives the whole supply of OPEN
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub holder: Option<Address>,
    /// File to write the contracts' addresses to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `chain register`.
#[derive(Args, Debug)]
pub struct RegisterArgs {
    #[command(flatten)]
    /// How the node is reached.
    pub node: NodeArgs,
    #[command(flatten)]
    /// The account that sends the transactions.
    pub account: AccountArgs,
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of adapters of that base (.vk; .lorica files will do)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Keys of datanets under those adapters (.vk; .lorica files will do): their versions and indexes are registered
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub datanet: Vec<PathBuf>,
    /// Settlement keys whose circuits are to be added, of inferences or of index proofs; only the owner of router and IndexRanges
    /// may add them. Each key is made again with the SRS and compared, unless --circuit names its circuit
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub settlement_key: Vec<PathBuf>,
    /// Circuit ids that you have from a source that you trust. The keys are then compared with these, and not made again
    #[arg(long, value_name = "ID", num_args = 1.., requires = "settlement_key", value_parser = parse_id)]
    pub circuit: Vec<B256>,
    #[command(flatten)]
    /// The SRS with which settlement keys are made again.
    pub srs: SrsArgs,
}

/// Arguments of `chain publish`.
#[derive(Args, Debug)]
pub struct PublishArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that pays the fee and owns what is published.
    pub account: AccountArgs,
    /// Key of the base (.vk; a .lorica file will do). The base is published, with its architecture, if no adapter is named
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of adapters to publish (.vk; .lorica files will do); their base must be published already
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Keys of the datanets that these adapters name (.vk; .lorica files will do): each adapter's contributors are paid by its index
    /// for good. The index must be registered and proven to be in range (`lorica datanet submit`)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub datanet: Vec<PathBuf>,
    /// Account that may withdraw the contributors' share, the contributors' pot. If absent: the pot of the line, and for a new line
    /// the publishing account
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub pot: Option<Address>,
    /// How a request's fee is divided, in percent: prover, adapter owner, base owner, contributors. It never changes for this
    /// version
    #[arg(long, value_name = "P/A/B/C", default_value = "50/20/10/20", value_parser = parse_shares)]
    pub shares: Shares,
    /// Number of the line that gets this version; 0 begins a new line
    #[arg(long, default_value_t = 0)]
    pub line: u32,
    /// The most OPEN to pay as the fee of one publication
    #[arg(long, value_name = "AMOUNT", default_value = "1000", value_parser = amount::parse)]
    pub max_publishing_fee: Amount,
    /// URI of the model's metadata, kept with the version
    #[arg(long, default_value = "")]
    pub uri: String,
    /// Licence of the model as an SPDX expression, kept with the version
    #[arg(long, default_value = "")]
    pub licence: String,
    /// Allow models that were imported with the development SRS, with which anyone can forge proofs: for tests only
    #[arg(long)]
    pub insecure_dev_srs: bool,
}

/// Four percentages, with up to two decimals, that add up to 100.
fn parse_shares(text: &str) -> Result<Shares, String> {
    let parsed: Result<Vec<u16>, _> = text.split('/').map(amount::parse_percent).collect();
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

/// Arguments of `chain check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    /// How the node is reached.
    pub node: NodeArgs,
    #[command(flatten)]
    /// The consumer's account; without one the check is a call and no transaction.
    pub account: AccountArgs,
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// The settlement to check, as `lorica settle` writes it
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
        ChainCommand::Routes(args) => routes::list(args, out),
        ChainCommand::Pin(args) => routes::pin(args, out),
        ChainCommand::Pause(args) => routes::pause(args, out),
        ChainCommand::Resume(args) => routes::resume(args, out),
        ChainCommand::Freeze(args) => routes::freeze(args, out),
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
    let ready = |address: String| {
        let address = format!("http://{address}");
        out.line(format!("chain {} at {address}", args.chain_id));
        out.finish("lorica.chain-serve/1", json!({ "chain": args.chain_id, "rpc": address }));
    };
    Ok(DevelopmentNode::new(args.chain_id).serve(&args.listen, ready)?)
}

/// Who has which part: the accounts that are named, and on a development chain the deploying account for the others.
fn roles(args: &DeployArgs, chain: u64, deployer: Option<Address>) -> Result<Roles, Error> {
    let mut missing = Vec::new();
    let mut part = |option: &'static str, named: Option<Address>| {
        named.or(deployer).unwrap_or_else(|| {
            missing.push(option);
            Address::ZERO
        })
    };
    let [owner, guardian, treasury] =
        [("--owner", args.owner), ("--guardian", args.guardian), ("--treasury", args.treasury)]
            .map(|(option, named)| part(option, named));
    let open =
        if args.native_open { OpenKind::Native } else { OpenKind::Token { holder: part("--holder", args.holder) } };
    if !missing.is_empty() {
        return Err(Error::Usage(format!(
            "chain {chain} is no development chain: name an account each for {} (or --development, for trials)",
            missing.join(", ")
        )));
    }
    Ok(Roles { owner, guardian, treasury, open })
}

fn deploy(args: &DeployArgs, out: &Output) -> Result<(), Error> {
    // The addresses of other contracts would be lost, and nothing has been sent yet.
    if args.out.exists() {
        return Err(Error::refused(&args.out, "it exists: name another file for the addresses, or remove it"));
    }
    store::expect_writable(&args.out, b"{")?;
    let mut chain = args.node.connect(Some(args.account.key()?), args.chain_id)?;
    let development = args.development || DEVELOPMENT_CHAINS.contains(&chain.id());
    let roles = roles(args, chain.id(), development.then(|| chain.account()))?;
    if !development {
        roles.expect_distinct().map_err(ChainError::from)?;
    }
    let reservation_seconds = args.reservation_seconds.unwrap_or(if development { 1 } else { RESERVATION_SECONDS });
    let policy = Policy { reservation_seconds, ..Policy::default() };
    let (market, steps) = out.step("deploy", || Market::deploy(&mut chain, roles, policy))?;
    let file = market.to_json();
    let content = format!("{file:#}\n");
    store::write(&args.out, content.as_bytes())?;
    out.line(format!("{}: contracts on chain {}", args.out.display(), market.contracts.chain_id));
    step_lines(&steps, out);
    if !development && roles.owner == chain.account() {
        out.warn(
            "the deploying account owns the contracts: offer them to a timelock or a Safe (`lorica govern offer`) as soon as \
             the circuits are enabled",
        );
    }
    let Roles { owner, guardian, treasury, open } = roles;
    let holder = match open {
        OpenKind::Token { holder } => Some(holder.to_string()),
        OpenKind::Native => None,
    };
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(
        "lorica.chain-deploy/1",
        json!({
            "file": args.out, "contracts": file, "owner": owner.to_string(), "guardian": guardian.to_string(),
            "treasury": treasury.to_string(), "holder": holder, "native_open": args.native_open,
            "reservation_seconds": reservation_seconds, "steps": steps,
        }),
    );
    Ok(())
}

/// Loads a base and adapters of it, if their SRS is permitted.
fn load_models(base: &Path, adapters: &[PathBuf], insecure_dev_srs: bool, out: &Output) -> Result<Models, Error> {
    let path = base;
    let base = read_base_key(path)?;
    if base.verifier_key().is_insecure() {
        policy(insecure_dev_srs).permit(true, || path.display().to_string())?;
        out.warn(INSECURE);
    }
    let adapters = adapters.iter().map(|path| read_adapter_key(path, &base)).collect::<Result<_, _>>()?;
    Ok(Models { base, adapters })
}

struct Models {
    base: BaseKey,
    adapters: Vec<AdapterKey>,
}

fn publish(args: &PublishArgs, out: &Output) -> Result<(), Error> {
    let Models { base, adapters } = load_models(&args.base, &args.adapter, args.insecure_dev_srs, out)?;
    let mut indexes = Vec::new();
    for path in &args.datanet {
        let (index, _) = read_index_key(path)?;
        if !adapters.iter().any(|adapter| adapter.commitments.id() == index.commitments.adapter) {
            return Err(Error::refused(path, "its index is of none of the adapters"));
        }
        indexes.push(index.commitments);
    }
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    let key = args.account.key()?;
    let pot = market.publisher().pot_for(&mut chain, args.line, args.pot)?;
    let publication = |id: &Fr| -> Result<Publication, Error> {
        Ok(Publication {
            line: args.line,
            pot: args.pot,
            shares: args.shares,
            uri: args.uri.clone(),
            licence: args.licence.clone(),
            // Not random: the same command finds its reservation a day later.
            salt: reservation_salt(&key, market.models(), abi::word(id)).map_err(ChainError::from)?,
            max_fee: args.max_publishing_fee.units,
        })
    };
    let mut steps = Vec::new();
    let mut from: Option<u64> = None;
    let mut note = |progress: Progress| {
        steps.extend(progress.steps);
        from = from.max(progress.from);
    };
    if adapters.is_empty() {
        let terms = publication(&base.commitments.id())?;
        note(out.step("publish base", || market.publisher().base(&mut chain, &base.commitments, &terms))?);
    }
    for adapter in &adapters {
        let terms = publication(&adapter.commitments.id())?;
        let own = adapter.commitments.id();
        let index = indexes.iter().find(|index| index.adapter == own);
        note(out.step("publish adapter", || match index {
            Some(index) => market.publisher().attributed_adapter(&mut chain, &adapter.commitments, index, &terms),
            None => market.publisher().adapter(&mut chain, &adapter.commitments, &terms),
        })?);
    }
    step_lines(&steps, out);
    if let Some(from) = from {
        out.line(format!("reserved: run the same command again from {from} (Unix time) on, which then publishes"));
    }
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    let insecure = base.verifier_key().is_insecure();
    out.finish(
        "lorica.chain-publish/1",
        json!({ "insecure_srs": insecure, "pot": pot.to_string(), "publish_from": from, "steps": steps }),
    );
    Ok(())
}

fn register(args: &RegisterArgs, out: &Output) -> Result<(), Error> {
    let contracts = node::contracts(&args.contracts)?;
    let Models { base, adapters } = load_models(&args.base, &args.adapter, args.srs.insecure_dev_srs, out)?;
    let insecure = base.verifier_key().is_insecure();
    let commitments = &base.commitments;
    let mut keys = Vec::new();
    let datanets = args.datanet.iter().map(|path| read_index_key(path)).collect::<Result<Vec<_>, _>>()?;
    let settler = made_again(args, commitments, out)?;
    for path in &args.settlement_key {
        let key = read_key(path)?;
        let of = key.circuit_shape();
        if of.architecture_digest != commitments.architecture_digest() || *key.tau_g2() != commitments.tau_g2 {
            let reason = "the settlement key is for another architecture or SRS than the base's";
            return Err(Error::refused(path, reason));
        }
        let circuit = B256::from(key.circuit_id());
        let refused = |reason: String| Err(Error::refused(path, reason));
        match &settler {
            Some(settler) => {
                let own = B256::from(settler.key(of, &out.steps())?.verifying().circuit_id());
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
    for (index, description) in &datanets {
        let (registry, record) = (contracts.registry(), description.on_chain());
        steps.push(out.step("register datanet", || registry.register_datanet(&mut chain, &record))?);
        steps.push(out.step("register index", || registry.register_index(&mut chain, &index.commitments))?);
    }
    for key in keys.iter().filter(|key| key.circuit_shape().subject == Subject::Index) {
        let ranges = node::market(&args.contracts)?.index_ranges();
        steps.extend(out.step("add circuit of index proofs", || ranges.add_circuit(&mut chain, key))?);
        let circuit = B256::from(key.circuit_id());
        let (known, now) = (ranges.circuit(&mut chain, circuit)?, chain.timestamp()?);
        if let Some(known) = known.filter(|known| known.active_from > now) {
            let (from, left) = (known.active_from, known.active_from - now);
            out.line(format!("the circuit {circuit} proves indexes from {from} on, in {left} seconds"));
        }
    }
    for key in keys.iter().filter(|key| key.circuit_shape().subject == Subject::Inference) {
        let added = out.step("add route", || contracts.add_circuit(&mut chain, key, CHECK_GAS))?;
        let route = added.last().map(|step| B256::from(step.id));
        steps.extend(added);
        let (Ok(market), Some(route)) = (node::market(&args.contracts), route) else { continue };
        let now = chain.timestamp()?;
        match contracts.router().route(&mut chain, route)? {
            Some(known) if known.active_from > now => {
                out.line(format!(
                    "the route {route} counts from {} on, in {} seconds: run this again then, so that requests \
                     can name it",
                    known.active_from,
                    known.active_from - now
                ));
            }
            _ => {
                steps.extend(out.step("enable route", || routes::enable(&market, &mut chain, route))?);
                node::add_pin(&args.contracts, routes::pin_of(&market, &mut chain, route)?)?;
            }
        }
    }
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish("lorica.chain-register/1", json!({ "insecure_srs": insecure, "steps": steps }));
    Ok(())
}

/// Loads the SRS, makes the base's tables again with it, and gives what makes settlement keys again. No SRS is loaded if no
/// settlement key is given, or if --circuit names the circuits.
fn made_again(args: &RegisterArgs, base: &BaseCommitments, out: &Output) -> Result<Option<Settler>, Error> {
    if args.settlement_key.is_empty() || !args.circuit.is_empty() {
        return Ok(None);
    }
    if !args.srs.is_given() {
        let reason = "a settlement key can lie about its circuit: --srs FILE or LORICA_SRS (or for tests \
                      --insecure-dev-srs) has it made again, or --circuit ID names the circuit that you trust";
        return Err(Error::Usage(reason.into()));
    }
    let srs = args.srs.load(base.log_tile, out)?;
    out.step("make tables again", || expect_tables(&srs, base))?;
    Ok(Some(settler(srs)?))
}

fn check(args: &CheckArgs, out: &Output) -> Result<(), Error> {
    let contracts = node::contracts(&args.contracts)?;
    let bytes = store::read(&args.settlement, MAX_SETTLEMENT_BYTES)?;
    let settled = Settlement::decode(&bytes).map_err(CheckError::MalformedSettlement)?;
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
    let requests = answers(&settled, &[], Some(out));
    out.finish(
        "lorica.chain-check/1",
        json!({
            "accepted": true, "gas": gas, "transaction": hash, "circuit": circuit,
            "contracts": contracts.to_json(), "binding": binding::to_json(&settled.binding),
            "index": index_json(&settled), "requests": requests,
        }),
    );
    Ok(())
}
