//! `lorica govern`: what governance may set, and who governs.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use lorica::amount::{self, Amount};
use lorica_chain::alloy_primitives::Address;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::govern::{Governance, Owned, accept_ownership, offer_ownership};
use lorica_chain::contracts::terms::Bounds;
use lorica_chain::contracts::terms::Kind;
use serde_json::{Map, Value, json};

use super::chain::{step_json, step_lines};
use super::line::{done, done_json};
use crate::error::Error;
use crate::node::{self, MarketArgs, SenderArgs, Token, parse_account, parse_token, token_name, units};
use crate::output::Output;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum GovernCommand {
    /// Print all settings and who may change them
    Show(ShowArgs),
    /// Set what publishing a model costs; only the owner of the registry of models may
    Fee(FeeArgs),
    /// Set how far publishers may divide fees; only the owner of the registry of models may
    ///
    /// The bounds hold for versions that are published from now on. Published versions keep their shares. A bound that is not
    /// named stays as it is.
    Bounds(BoundsArgs),
    /// Name another treasury; only the owner of the registry of models may
    ///
    /// The treasury is the account that withdraws the fees for publishing. The new one also gets the fees that the old one has
    /// not withdrawn.
    Treasury(TreasuryArgs),
    /// Allow or disallow a token for new requests; only the owner of the escrow may
    ///
    /// OPEN and the chain's gas token are always allowed. Never allow a token whose balances change by themselves. What is
    /// locked or owed already is not touched.
    Token(TokenArgs),
    /// Withdraw the fees for publishing; only the treasury may
    WithdrawFees(WithdrawFeesArgs),
    /// Offer the ownership of contracts to another account; only their owner may
    ///
    /// The ownership passes when that account runs `lorica govern accept`. Until then the offer can be withdrawn.
    Offer(OfferArgs),
    /// Accept the ownership of contracts that was offered to the account
    Accept(AcceptArgs),
}

/// Arguments of `govern show`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct ShowArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// Also say whether new requests may pay in these tokens: open, native (the gas token), or a token's address
    #[arg(long, num_args = 1.., value_parser = parse_token)]
    pub token: Vec<Token>,
}

/// A kind of model that can be published, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindName {
    /// An architecture
    Architecture,
    /// A base
    Base,
    /// An adapter
    Adapter,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Architecture => Self::Architecture,
            KindName::Base => Self::Base,
            KindName::Adapter => Self::Adapter,
        }
    }
}

/// Arguments of `govern fee`.
#[derive(Args, Debug)]
pub struct FeeArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the registry's owner.
    pub by: SenderArgs,
    /// What the fee is for
    #[arg(long)]
    pub kind: KindName,
    /// The fee in OPEN, 100,000 at most
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
}

/// Arguments of `govern bounds`.
#[derive(Args, Debug)]
pub struct BoundsArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the registry's owner.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The bounds to set.
    pub bounds: NewBounds,
}

/// New bounds. What is absent stays as it is.
#[derive(Args, Clone, Copy, Debug)]
#[group(required = true, multiple = true)]
pub struct NewBounds {
    /// The least percent of a fee that goes to the prover, 10 to 80
    #[arg(long, value_name = "PERCENT", value_parser = amount::parse_percent)]
    pub min_prover: Option<u16>,
    /// The least percent of a fee that goes to the base's owner, 0 to 10
    #[arg(long, value_name = "PERCENT", value_parser = amount::parse_percent)]
    pub min_base_owner: Option<u16>,
    /// The most percent of a fee that may go to contributors, 10 to 100
    #[arg(long, value_name = "PERCENT", value_parser = amount::parse_percent)]
    pub max_contributors: Option<u16>,
}

/// Arguments of `govern treasury`.
#[derive(Args, Debug)]
pub struct TreasuryArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the registry's owner.
    pub by: SenderArgs,
    /// Account that becomes the treasury
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Address,
}

/// Arguments of `govern token`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["allow", "disallow"]))]
pub struct TokenArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the escrow's owner.
    pub by: SenderArgs,
    /// Address of the token's contract
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub token: Address,
    /// Allow new requests to pay in it
    #[arg(long)]
    pub allow: bool,
    /// Refuse new requests that pay in it
    #[arg(long)]
    pub disallow: bool,
}

/// Arguments of `govern withdraw-fees`.
#[derive(Args, Debug)]
pub struct WithdrawFeesArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the treasury.
    pub by: SenderArgs,
    /// Account that receives the OPEN. If absent: the treasury itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
}

/// A contract with an owner, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContractName {
    /// The router: its owner adds and freezes routes of circuits
    Router,
    /// The registry of models: its owner sets publishing fees, bounds of shares and the treasury
    Models,
    /// The escrow of locked requests: its owner allows tokens
    Escrow,
    /// The escrow of prepaid requests: its owner allows tokens
    Prepaid,
}

impl From<ContractName> for Owned {
    fn from(name: ContractName) -> Self {
        match name {
            ContractName::Router => Self::Router,
            ContractName::Models => Self::Models,
            ContractName::Escrow => Self::Escrow,
            ContractName::Prepaid => Self::Prepaid,
        }
    }
}

/// The contracts that are named, or all four.
fn owned(names: &[ContractName]) -> Vec<Owned> {
    let named = |of: &Owned| names.is_empty() || names.iter().any(|&name| Owned::from(name) == *of);
    Owned::ALL.into_iter().filter(named).collect()
}

/// Arguments of `govern offer`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["to", "withdraw_offer"]))]
pub struct OfferArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the contracts' owner.
    pub by: SenderArgs,
    /// Account that may accept the ownership
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
    /// Withdraw an offer instead of making one
    #[arg(long)]
    pub withdraw_offer: bool,
    /// The contracts to offer. If absent: all four
    #[arg(long, num_args = 1..)]
    pub contract: Vec<ContractName>,
}

/// Arguments of `govern accept`.
#[derive(Args, Debug)]
pub struct AcceptArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the one that they are offered to.
    pub by: SenderArgs,
    /// The contracts to accept. If absent: all four
    #[arg(long, num_args = 1..)]
    pub contract: Vec<ContractName>,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if a contract refuses.
pub fn run(command: &GovernCommand, out: &Output) -> Result<(), Error> {
    match command {
        GovernCommand::Show(args) => show(args, out),
        GovernCommand::Fee(args) => fee(args, out),
        GovernCommand::Bounds(args) => bounds(args, out),
        GovernCommand::Treasury(args) => treasury(args, out),
        GovernCommand::Token(args) => token(args, out),
        GovernCommand::WithdrawFees(args) => withdraw_fees(args, out),
        GovernCommand::Offer(args) => offer(args, out),
        GovernCommand::Accept(args) => accept(args, out),
    }
}

fn bounds_text(bounds: Bounds) -> String {
    let Bounds { min_prover, min_base_owner, max_contributors } = bounds;
    let [prover, base_owner, contributors] = [min_prover, min_base_owner, max_contributors].map(amount::show_percent);
    format!("prover at least {prover} %, base's owner at least {base_owner} %, contributors at most {contributors} %")
}

fn bounds_json(bounds: Bounds) -> Value {
    let Bounds { min_prover, min_base_owner, max_contributors } = bounds;
    json!({ "min_prover": min_prover, "min_base_owner": min_base_owner, "max_contributors": max_contributors })
}

fn show(args: &ShowArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let set = Governance::read(&mut chain, &market)?;
    let mut tokens = Vec::new();
    for token in &args.token {
        let token = token.address(&market);
        tokens.push((token, market.escrow().token_allowed(&mut chain, token)?));
    }
    governance_lines(&set, out);
    for (token, allowed) in &tokens {
        let verb = if *allowed { "is allowed" } else { "is not allowed" };
        out.line(format!("token {} {verb}", token_name(*token, &market)));
    }
    let ownerships = Owned::ALL.iter().zip(set.ownerships).map(|(of, ownership)| {
        let offered_to = ownership.offered_to.map(|to| to.to_string());
        (of.name().to_owned(), json!({ "owner": ownership.owner.to_string(), "offered_to": offered_to }))
    });
    let fees = Kind::ALL.iter().zip(set.fees).map(|(kind, fee)| (kind.name().to_owned(), fee.to_string().into()));
    let tokens: Vec<Value> =
        tokens.into_iter().map(|(token, allowed)| json!({ "token": token.to_string(), "allowed": allowed })).collect();
    out.finish(
        "lorica.govern-show/1",
        json!({
            "publishing_fees": fees.collect::<Map<_, _>>(), "basis_points": bounds_json(set.bounds),
            "treasury": set.treasury.to_string(), "accrued_fees": set.accrued_fees.to_string(),
            "contracts": ownerships.collect::<Map<_, _>>(), "guardian": set.guardian.to_string(),
            "routes": set.routes, "tokens": tokens,
        }),
    );
    Ok(())
}

fn governance_lines(set: &Governance, out: &Output) {
    let [architecture, base, adapter] = set.fees.map(amount::show);
    out.line(format!("publishing: {architecture} OPEN an architecture, {base} a base, {adapter} an adapter"));
    out.line(format!("shares: {}", bounds_text(set.bounds)));
    out.line(format!("treasury {}: {} OPEN to be withdrawn", set.treasury, amount::show(set.accrued_fees)));
    for (of, ownership) in Owned::ALL.iter().zip(set.ownerships) {
        let offered = ownership.offered_to.map_or_else(String::new, |to| format!(", offered to {to}"));
        out.line(format!("{}: owner {}{offered}", of.name(), ownership.owner));
    }
    out.line(format!("guardian {}", set.guardian));
    out.line(format!("routes that requests can name: {}", set.routes));
}

fn fee(args: &FeeArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (kind, fee) = (Kind::from(args.kind), units(args.amount, Token::Open)?);
    let receipt = out.step("fee", || market.models().set_publishing_fee(&mut chain, kind, fee))?;
    let (name, said) = (kind.name(), amount::show(fee));
    out.line(format!("publishing of kind {name} costs {said} OPEN; {}", done(receipt.as_ref())));
    let content = json!({ "kind": name, "fee": fee.to_string() });
    out.finish("lorica.govern-fee/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn bounds(args: &BoundsArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let old = market.models().bounds(&mut chain)?;
    let bounds = Bounds {
        min_prover: args.bounds.min_prover.unwrap_or(old.min_prover),
        min_base_owner: args.bounds.min_base_owner.unwrap_or(old.min_base_owner),
        max_contributors: args.bounds.max_contributors.unwrap_or(old.max_contributors),
    };
    let receipt = out.step("bounds", || market.models().set_bounds(&mut chain, bounds))?;
    out.line(format!("shares: {}; {}", bounds_text(bounds), done(receipt.as_ref())));
    let content = json!({ "basis_points": bounds_json(bounds) });
    out.finish("lorica.govern-bounds/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn treasury(args: &TreasuryArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let receipt = out.step("treasury", || market.models().set_treasury(&mut chain, args.to))?;
    out.line(format!("the treasury is {}; {}", args.to, done(receipt.as_ref())));
    let content = json!({ "treasury": args.to.to_string() });
    out.finish("lorica.govern-treasury/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn token(args: &TokenArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let receipt = out.step("token", || market.escrow().allow_token(&mut chain, args.token, args.allow))?;
    // Deposits for prepaid requests are requests' money too.
    let prepaid =
        out.step("token of deposits", || market.prepaid().0.allow_token(&mut chain, args.token, args.allow))?;
    let receipt = receipt.or(prepaid);
    let verb = if args.allow { "may" } else { "may not" };
    let name = token_name(args.token, &market);
    out.line(format!("new requests {verb} use the token {name}; {}", done(receipt.as_ref())));
    if args.allow && receipt.is_some() {
        out.warn(
            "if this token's balances change by themselves, its holders share the loss or lose the gain: disallow it",
        );
    }
    let content = json!({ "token": args.token.to_string(), "allowed": args.allow });
    out.finish("lorica.govern-token/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn withdraw_fees(args: &WithdrawFeesArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let to = args.to.unwrap_or_else(|| chain.account());
    let withdrawn = out.step("withdraw fees", || market.models().withdraw_fees(&mut chain, to))?;
    match &withdrawn {
        Some((amount, receipt)) => out.line(format!("{} OPEN to {to}; {} gas", amount::show(*amount), receipt.gas)),
        None => out.line("no fees are to be withdrawn, nothing is sent"),
    }
    let amount = withdrawn.as_ref().map_or_else(|| "0".into(), |(amount, _)| amount.to_string());
    let content = json!({ "to": to.to_string(), "amount": amount });
    let receipt = withdrawn.as_ref().map(|(_, receipt)| receipt);
    out.finish("lorica.govern-withdraw-fees/1", done_json(receipt, content));
    Ok(())
}

fn finish_steps(schema: &str, account: Option<Address>, steps: &[Step], out: &Output) {
    step_lines(steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(schema, json!({ "to": account.map(|account| account.to_string()), "steps": steps }));
}

fn offer(args: &OfferArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let contracts = owned(&args.contract);
    let steps = out.step("offer", || offer_ownership(&mut chain, &market, &contracts, args.to))?;
    out.line(match args.to {
        Some(to) => format!("offered to {to}:"),
        None => "not on offer:".into(),
    });
    finish_steps("lorica.govern-offer/1", args.to, &steps, out);
    Ok(())
}

fn accept(args: &AcceptArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let contracts = owned(&args.contract);
    let steps = out.step("accept", || accept_ownership(&mut chain, &market, &contracts))?;
    let account = chain.account();
    out.line(format!("owned by {account}:"));
    finish_steps("lorica.govern-accept/1", Some(account), &steps, out);
    Ok(())
}
