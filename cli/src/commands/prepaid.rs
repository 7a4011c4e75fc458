//! `lorica prepaid`: deposits that pay for signed requests.

use clap::{Args, Subcommand};
use lorica::amount::{self, Amount};
use lorica_chain::alloy_primitives::Address;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::prepaid::DepositPlace;
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use crate::error::Error;
use crate::node::{self, MarketArgs, SenderArgs, Token, parse_account, parse_address, parse_token, token_name};
use crate::output::Output;

/// What to do with deposits.
#[derive(Debug, Subcommand)]
pub enum PrepaidCommand {
    /// Print what is in a deposit, and whether its requester takes it back
    Show(ShowArgs),
    /// Put money into a deposit
    ///
    /// `lorica request sign --prepaid` then signs requests that are paid from it: nothing is locked, and whoever proves such a
    /// request is paid when it settles. Deposit for the prover that the requests name, and no other prover can draw on it.
    Deposit(DepositArgs),
    /// Say that you will take a deposit back: a day later you can
    ///
    /// Provers that look at the deposit take no request meanwhile that they could not settle in time.
    Leave(PlaceArgs),
    /// Take back `lorica prepaid leave`: the deposit stays
    Stay(PlaceArgs),
    /// Take back what is left of a deposit, a day after `lorica prepaid leave`
    Take(TakeArgs),
}

/// Arguments of `prepaid show`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct ShowArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// The requester
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub requester: Address,
    #[command(flatten)]
    /// Which of its deposits.
    pub which: WhichArgs,
}

/// Which deposit of a requester.
#[derive(Args, Debug)]
pub struct WhichArgs {
    /// The prover that the requests name. If absent: the deposit for requests that name none, on which any prover can draw
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO, hide_default_value = true, value_parser = parse_address)]
    pub prover: Address,
    /// The token: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `prepaid deposit`.
#[derive(Args, Debug)]
pub struct DepositArgs {
    #[command(flatten)]
    /// The account that pays.
    pub sender: SenderArgs,
    /// Whose requests it pays. If absent: the account's own
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub requester: Option<Address>,
    #[command(flatten)]
    /// Which of its deposits.
    pub which: WhichArgs,
    /// How much: whole tokens such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
}

/// A deposit of the account.
#[derive(Args, Debug)]
pub struct PlaceArgs {
    #[command(flatten)]
    /// The requester's account.
    pub sender: SenderArgs,
    #[command(flatten)]
    /// Which of its deposits.
    pub which: WhichArgs,
}

/// Arguments of `prepaid take`.
#[derive(Args, Debug)]
pub struct TakeArgs {
    #[command(flatten)]
    /// The deposit.
    pub place: PlaceArgs,
    /// Account that receives it. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &PrepaidCommand, out: &Output) -> Result<(), Error> {
    match command {
        PrepaidCommand::Show(args) => {
            let (market, mut chain) = args.market.connect(None)?;
            let place = place(&market, &args.which, args.requester);
            out.finish("lorica.prepaid-show/1", shown(&market, &mut chain, place, out)?);
            Ok(())
        }
        PrepaidCommand::Deposit(args) => {
            let (market, mut chain) = args.sender.connect()?;
            let place = place(&market, &args.which, args.requester.unwrap_or(chain.account()));
            let amount = node::units(args.amount, args.which.token)?;
            let token = market.token(place.token);
            let steps = out.step("deposit", || market.prepaid().deposit(&mut chain, token, place, amount))?;
            step_lines(&steps, out);
            let mut content = shown(&market, &mut chain, place, out)?;
            content["steps"] = steps.iter().map(step_json).collect();
            out.finish("lorica.prepaid-deposit/1", content);
            Ok(())
        }
        PrepaidCommand::Leave(args) => change(args, true, out),
        PrepaidCommand::Stay(args) => change(args, false, out),
        PrepaidCommand::Take(args) => {
            let (market, mut chain) = args.place.sender.connect()?;
            let place = place(&market, &args.place.which, chain.account());
            let to = args.to.unwrap_or(place.requester);
            let amount = market.prepaid().deposit_of(&mut chain, place)?.amount;
            let receipt = out.step("take", || market.prepaid().take(&mut chain, place.prover, place.token, to))?;
            let name = token_name(place.token, &market);
            out.line(format!("{} {name} to {to} for {} gas", amount::show(amount), receipt.gas));
            let content = json!({
                "token": place.token.to_string(), "to": to.to_string(), "amount": amount.to_string(),
                "gas": receipt.gas, "transaction": receipt.hash,
            });
            out.finish("lorica.prepaid-take/1", content);
            Ok(())
        }
    }
}

fn place(market: &Market, which: &WhichArgs, requester: Address) -> DepositPlace {
    DepositPlace { requester, prover: which.prover, token: which.token.address(market) }
}

fn change(args: &PlaceArgs, leaves: bool, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.sender.connect()?;
    let place = place(&market, &args.which, chain.account());
    let DepositPlace { prover, token, .. } = place;
    let what = if leaves { "leave" } else { "stay" };
    let receipt = out.step(what, || {
        if leaves {
            market.prepaid().leave(&mut chain, prover, token)
        } else {
            market.prepaid().stay(&mut chain, prover, token)
        }
    })?;
    let mut content = shown(&market, &mut chain, place, out)?;
    content["gas"] = json!(receipt.gas);
    content["transaction"] = json!(receipt.hash);
    out.finish(&format!("lorica.prepaid-{what}/1"), content);
    Ok(())
}

fn shown(market: &Market, chain: &mut impl Chain, place: DepositPlace, out: &Output) -> Result<Value, Error> {
    let deposit = market.prepaid().deposit_of(chain, place)?;
    let now = chain.timestamp()?;
    let name = token_name(place.token, market);
    out.line(format!("{} {name} of {} are deposited", amount::show(deposit.amount), place.requester));
    match place.prover {
        Address::ZERO => out.line("  for requests that name no prover: any prover can draw on it"),
        prover => out.line(format!("  for requests that name the prover {prover}")),
    }
    match deposit.leaving_at {
        Some(from) if from > now => out.line(format!("  the requester can take it back in {} seconds", from - now)),
        Some(_) => out.line("  the requester can take it back now"),
        None => {}
    }
    Ok(json!({
        "requester": place.requester.to_string(), "prover": place.prover.to_string(),
        "token": place.token.to_string(), "amount": deposit.amount.to_string(),
        "leaving_at": deposit.leaving_at, "now": now,
    }))
}
