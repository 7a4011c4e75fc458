//! `lorica chain routes`, `pin`, `pause`, `resume` and `freeze`: by which verifiers circuits are checked.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use lorica_chain::alloy_primitives::B256;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::escrow::NamedRoute;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::pins::Pin;
use lorica_chain::contracts::router::Route;
use lorica_chain::error::{ChainError, StateError};
use lorica_chain::rpc::RpcChain;
use serde_json::{Value, json};

use crate::error::Error;
use crate::node::{self, AccountArgs, MarketArgs, NodeArgs, parse_id};
use crate::output::Output;

/// Arguments of `chain routes`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct RoutesArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
}

/// Arguments of `chain pin`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct PinArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// Id of the route, as `lorica chain routes` prints it
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub route: B256,
}

/// The router on a chain, and an account that sends to it. The other contracts may be absent.
#[derive(Args, Debug)]
pub struct RouterArgs {
    #[command(flatten)]
    /// How the node is reached.
    pub node: NodeArgs,
    #[command(flatten)]
    /// The account.
    pub account: AccountArgs,
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
}

impl RouterArgs {
    fn connect(&self) -> Result<(CheckContracts, RpcChain), Error> {
        let contracts = node::contracts(&self.contracts)?;
        let mut chain = self.node.connect(Some(self.account.key()?), Some(contracts.chain_id))?;
        contracts.expect_deployed(&mut chain)?;
        Ok((contracts, chain))
    }
}

/// Arguments of `chain pause`.
#[derive(Args, Debug)]
pub struct PauseArgs {
    #[command(flatten)]
    /// The guardian's account.
    pub by: RouterArgs,
    /// Ids of the routes, as `lorica chain routes` prints them
    #[arg(long, value_name = "ID", num_args = 1.., required = true, value_parser = parse_id)]
    pub route: Vec<B256>,
    /// For how many seconds; 604,800 (7 days) at most
    #[arg(long, value_name = "SECONDS")]
    pub seconds: u64,
}

/// Arguments of `chain resume`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    #[command(flatten)]
    /// The account of the guardian or of the router's owner.
    pub by: RouterArgs,
    /// Id of the route, as `lorica chain routes` prints it
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub route: B256,
}

/// Arguments of `chain freeze`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct FreezeArgs {
    #[command(flatten)]
    /// The account of the router's owner.
    pub by: RouterArgs,
    /// Id of the route, as `lorica chain routes` prints it
    #[arg(long, value_name = "ID", group = "which", value_parser = parse_id)]
    pub route: Option<B256>,
    /// Id of a circuit, as `lorica settlement-key` and `lorica inspect` print it: all its routes are frozen
    #[arg(long, value_name = "ID", group = "which", value_parser = parse_id)]
    pub circuit: Option<B256>,
    /// Confirm that you mean it: a frozen route stays frozen, and requests that name no other route end unserved
    #[arg(long, required = true)]
    pub for_good: bool,
}

/// Enables a route at both escrows.
pub(super) fn enable(market: &Market, chain: &mut impl Chain, route: B256) -> Result<Vec<Step>, ChainError> {
    Ok(vec![market.escrow().enable_route(chain, route)?, market.prepaid().0.enable_route(chain, route)?])
}

/// What pins a route that both escrows have enabled.
pub(super) fn pin_of(market: &Market, chain: &mut impl Chain, route: B256) -> Result<Pin, ChainError> {
    let missing = || ChainError::from(StateError::RouteUnknown { route });
    let known = market.router().route(chain, route)?.ok_or_else(missing)?;
    let ordinal = market.escrow().ordinal(chain, route)?.ok_or_else(missing)?;
    let prepaid_ordinal = market.prepaid().0.ordinal(chain, route)?.ok_or_else(missing)?;
    Ok(Pin { route, circuit: known.circuit, ordinal, prepaid_ordinal })
}

/// What a route does now, in a word.
pub(super) fn state(route: &Route, now: u64) -> &'static str {
    match route {
        route if route.frozen => "frozen",
        route if now < route.active_from => "not yet active",
        route if now < route.paused_until => "paused",
        _ => "live",
    }
}

/// Prints the routes.
///
/// # Errors
/// [`Error`].
pub fn list(args: &RoutesArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let pins = node::pins(&args.market.contracts)?;
    let now = chain.timestamp()?;
    let mut listed = Vec::new();
    for NamedRoute { ordinal, route } in market.escrow().routes(&mut chain)? {
        let prepaid_ordinal = market.prepaid().0.ordinal(&mut chain, route.id)?;
        let pinned = pins.iter().any(|pin| pin.route == route.id);
        out.line(format!("route {}: {}{}", route.id, state(&route, now), if pinned { ", pinned" } else { "" }));
        out.line(format!("  circuit  {}", route.circuit));
        out.line(format!("  verifier {}, code {}", route.verifier, route.code_hash));
        if now < route.active_from {
            out.line(format!("  counts from {}", route.active_from));
        }
        if now < route.paused_until {
            out.line(format!("  paused until {}", route.paused_until));
        }
        listed.push(json!({
            "route": route.id.to_string(), "circuit": route.circuit.to_string(), "state": state(&route, now),
            "pinned": pinned, "ordinal": ordinal, "prepaid_ordinal": prepaid_ordinal,
            "verifier": route.verifier.to_string(), "code_hash": route.code_hash.to_string(),
            "gas_cap": route.gas_cap, "active_from": route.active_from, "paused_until": route.paused_until,
        }));
    }
    if listed.is_empty() {
        out.line("the escrow has no route: `lorica chain register --settlement-key` adds one");
    }
    out.finish("lorica.chain-routes/1", json!({ "now": now, "routes": listed }));
    Ok(())
}

/// Pins a route.
///
/// # Errors
/// [`Error`].
pub fn pin(args: &PinArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let pin = pin_of(&market, &mut chain, args.route)?;
    node::add_pin(&args.market.contracts, pin)?;
    out.line(format!("{} pins the route {} of circuit {}", args.market.contracts.display(), pin.route, pin.circuit));
    let content = json!({ "route": pin.route.to_string(), "circuit": pin.circuit.to_string(), "ordinal": pin.ordinal });
    out.finish("lorica.chain-pin/1", content);
    Ok(())
}

/// Pauses routes.
///
/// # Errors
/// [`Error`].
pub fn pause(args: &PauseArgs, out: &Output) -> Result<(), Error> {
    let (contracts, mut chain) = args.by.connect()?;
    let receipt = out.step("pause", || contracts.router().pause(&mut chain, &args.route, args.seconds))?;
    out.line(format!("{} routes are paused for {} seconds; {} gas", args.route.len(), args.seconds, receipt.gas));
    let routes: Vec<String> = args.route.iter().map(B256::to_string).collect();
    let content = json!({ "routes": routes, "seconds": args.seconds, "gas": receipt.gas, "transaction": receipt.hash });
    out.finish("lorica.chain-pause/1", content);
    Ok(())
}

/// Resumes a route.
///
/// # Errors
/// [`Error`].
pub fn resume(args: &ResumeArgs, out: &Output) -> Result<(), Error> {
    let (contracts, mut chain) = args.by.connect()?;
    let receipt = out.step("resume", || contracts.router().resume(&mut chain, args.route))?;
    out.line(format!("the route {} is not paused any more; {} gas", args.route, receipt.gas));
    let content = json!({ "route": args.route.to_string(), "gas": receipt.gas, "transaction": receipt.hash });
    out.finish("lorica.chain-resume/1", content);
    Ok(())
}

/// Freezes a route, or all of a circuit, and has the escrows take notice.
///
/// # Errors
/// [`Error`].
pub fn freeze(args: &FreezeArgs, out: &Output) -> Result<(), Error> {
    let (contracts, mut chain) = args.by.connect()?;
    let routes: Vec<Route> = match (args.route, args.circuit) {
        (Some(id), _) => contracts.router().route(&mut chain, id)?.into_iter().collect(),
        (None, Some(circuit)) => contracts.router().routes_of(&mut chain, circuit)?,
        (None, None) => Vec::new(),
    };
    let open: Vec<&Route> = routes.iter().filter(|route| !route.frozen).collect();
    if open.is_empty() {
        let named = args.route.or(args.circuit).unwrap_or_default();
        return Err(Error::Usage(format!("the router has no route {named} that is not frozen already")));
    }
    let market = node::market(&args.by.contracts).ok();
    let (mut gas, mut frozen, mut transaction) = (0, Vec::new(), None);
    for route in open {
        let receipt = out.step("freeze", || contracts.router().freeze(&mut chain, route.id))?;
        (gas, transaction) = (gas + receipt.gas, receipt.hash);
        for escrow in market.iter().flat_map(|market| [market.escrow(), market.prepaid().0]) {
            if escrow.ordinal(&mut chain, route.id)?.is_some() {
                let receipt = out.step("take notice", || escrow.drop_route(&mut chain, route.id))?;
                gas += receipt.map_or(0, |receipt| receipt.gas);
            }
        }
        out.line(format!("the route {} of circuit {} is frozen for good", route.id, route.circuit));
        frozen.push(Value::from(route.id.to_string()));
    }
    out.line(format!("{gas} gas in all"));
    let circuit = routes.first().map_or_else(B256::default, |route| route.circuit);
    let content = json!({ "circuit": circuit.to_string(), "routes": frozen, "gas": gas, "transaction": transaction });
    out.finish("lorica.chain-freeze/1", content);
    Ok(())
}
