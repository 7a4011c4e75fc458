//! `lorica stake`: what a prover has put up for requests that demand a stake.

use clap::{Args, Subcommand};
use lorica::amount::{self, Amount};
use lorica_chain::alloy_primitives::Address;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::stakes::Stakes;
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use crate::error::{Error, amount_usage};
use crate::node::{self, MarketArgs, SenderArgs, parse_account};
use crate::output::Output;

/// What to do with a stake.
#[derive(Debug, Subcommand)]
pub enum StakeCommand {
    /// Print what a prover has put up and no request holds, and what waits to be burnt
    Show(ShowArgs),
    /// Put up OPEN for a prover
    ///
    /// A request can demand a stake of who accepts it. While the acceptance holds, nobody else can serve the request. A prover that
    /// is late loses the stake: half goes to who serves the request afterwards, or to its payer, and half is burnt.
    Deposit(DepositArgs),
    /// Take back OPEN that no request holds
    Withdraw(WithdrawArgs),
    /// Burn the halves of lost stakes that wait to be burnt; any account may do so
    Burn(SenderArgs),
}

/// Arguments of `stake show`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct ShowArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// The prover's account
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub prover: Address,
}

/// Arguments of `stake deposit`.
#[derive(Args, Debug)]
pub struct DepositArgs {
    #[command(flatten)]
    /// The account that pays.
    pub sender: SenderArgs,
    /// The prover. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub prover: Option<Address>,
    /// How much: whole OPEN such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
}

/// Arguments of `stake withdraw`.
#[derive(Args, Debug)]
pub struct WithdrawArgs {
    #[command(flatten)]
    /// The prover's account.
    pub sender: SenderArgs,
    /// Account that receives it. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
    /// How much: whole OPEN such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &StakeCommand, out: &Output) -> Result<(), Error> {
    match command {
        StakeCommand::Show(args) => show(args, out),
        StakeCommand::Deposit(args) => {
            let (market, mut chain) = args.sender.connect()?;
            let stakes = Stakes::of(&mut chain, market.escrow())?;
            let (prover, amount) =
                (args.prover.unwrap_or(chain.account()), args.amount.of(true).map_err(amount_usage)?);
            let steps = out.step("deposit", || stakes.deposit(&mut chain, market.open_token(), prover, amount))?;
            let free = stakes.free(&mut chain, prover)?;
            out.line(format!("{prover} has put up {} OPEN that no request holds", amount::show(free)));
            step_lines(&steps, out);
            let steps: Vec<Value> = steps.iter().map(step_json).collect();
            let content = json!({ "prover": prover.to_string(), "free": free.to_string(), "steps": steps });
            out.finish("lorica.stake-deposit/1", content);
            Ok(())
        }
        StakeCommand::Withdraw(args) => {
            let (market, mut chain) = args.sender.connect()?;
            let stakes = Stakes::of(&mut chain, market.escrow())?;
            let prover = chain.account();
            let (to, amount) = (args.to.unwrap_or(prover), args.amount.of(true).map_err(amount_usage)?);
            let receipt = out.step("withdraw", || stakes.withdraw(&mut chain, to, amount))?;
            let free = stakes.free(&mut chain, prover)?;
            out.line(format!(
                "{} OPEN to {to} for {} gas, {} left",
                amount::show(amount),
                receipt.gas,
                amount::show(free)
            ));
            let content = json!({
                "prover": prover.to_string(), "to": to.to_string(), "amount": amount.to_string(),
                "free": free.to_string(), "gas": receipt.gas, "transaction": receipt.hash,
            });
            out.finish("lorica.stake-withdraw/1", content);
            Ok(())
        }
        StakeCommand::Burn(args) => {
            let (market, mut chain) = args.connect()?;
            let stakes = Stakes::of(&mut chain, market.escrow())?;
            let burnt = stakes.burnable(&mut chain)?;
            let receipt = out.step("burn", || stakes.burn(&mut chain))?;
            out.line(format!("{} OPEN are burnt, for {} gas", amount::show(burnt), receipt.gas));
            let content = json!({ "burnt": burnt.to_string(), "gas": receipt.gas, "transaction": receipt.hash });
            out.finish("lorica.stake-burn/1", content);
            Ok(())
        }
    }
}

fn show(args: &ShowArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let stakes = Stakes::of(&mut chain, market.escrow())?;
    let (free, burnable) = (stakes.free(&mut chain, args.prover)?, stakes.burnable(&mut chain)?);
    out.line(format!("{} has put up {} OPEN that no request holds", args.prover, amount::show(free)));
    out.line(format!("{} OPEN of lost stakes wait to be burnt", amount::show(burnable)));
    let content =
        json!({ "prover": args.prover.to_string(), "free": free.to_string(), "burnable": burnable.to_string() });
    out.finish("lorica.stake-show/1", content);
    Ok(())
}
