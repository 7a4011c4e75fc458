//! `lorica balance`, `lorica withdraw`, `lorica transfer`, `lorica wrap` and `lorica unwrap`: what an account has and is owed.

use std::path::PathBuf;

use clap::Args;
use lorica::amount::{self, Amount};
use lorica_chain::alloy_primitives::Address;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::amounts::{Amounts, LineAmounts};
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::error::ChainError;
use serde_json::json;

use super::line::line_of;
use crate::error::Error;
use crate::node::{self, AccountArgs, MarketArgs, SenderArgs, Token, parse_account, parse_token, token_name};
use crate::output::Output;

/// Arguments of `balance`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct BalanceArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that is asked about if --of is absent.
    pub account: AccountArgs,
    /// Account to ask about. If absent: the account of --key-file or LORICA_PRIVATE_KEY
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub of: Option<Address>,
    /// Keys of bases or adapters (.vk; .lorica files will do): also print what their lines' owners and contributors are owed
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub model: Vec<PathBuf>,
    /// Ask what the escrow of prepaid requests owes, instead of the escrow of locked requests
    #[arg(long)]
    pub prepaid: bool,
    /// The one token to ask about: open, native (the gas token), or a token's address. If absent: OPEN and the gas token
    #[arg(long, value_parser = parse_token)]
    pub token: Option<Token>,
}

/// Arguments of `withdraw`.
#[derive(Args, Debug)]
pub struct WithdrawArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that is owed, and sends the transaction.
    pub account: AccountArgs,
    /// Token to withdraw: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
    /// Account that receives it. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
    /// Key of a base or adapter (.vk; a .lorica file will do): withdraw the share of its line's owner instead
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Withdraw what the escrow of prepaid requests owes, instead of the escrow of locked requests
    #[arg(long)]
    pub prepaid: bool,
    /// Withdraw the contributors' share of the line of --model instead of the owner's; only the contributors' pot may
    #[arg(long, requires = "model")]
    pub pot: bool,
}

/// Arguments of `transfer`.
#[derive(Args, Debug)]
pub struct TransferArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that pays.
    pub account: AccountArgs,
    /// Account that receives the tokens
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Address,
    /// How much: whole tokens such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
    /// Token to send: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `wrap` and `unwrap`.
#[derive(Args, Debug)]
pub struct WrapArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account whose OPEN it is.
    pub by: SenderArgs,
    /// How much: whole OPEN such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub amount: Amount,
}

/// Runs `balance`.
///
/// # Errors
/// [`Error`].
pub fn balance(args: &BalanceArgs, out: &Output) -> Result<(), Error> {
    let key = args.account.find()?;
    let of = args.of.or(key.as_ref().map(|key| key.account()));
    if of.is_none() && args.model.is_empty() {
        return Err(Error::Usage("say whose balance: --of ADDRESS, --key-file FILE, or --model FILE".into()));
    }
    let (market, mut chain) = args.market.connect(None)?;
    let escrow = if args.prepaid { market.prepaid().0 } else { market.escrow() };
    let tokens = args.token.map_or_else(|| vec![market.open, NATIVE], |token| vec![token.address(&market)]);
    let (mut accounts, mut models) = (Vec::new(), Vec::new());
    for token in tokens {
        let name = token_name(token, &market);
        if let Some(of) = of {
            let amounts = Amounts::of(&mut chain, escrow, market.token(token), of)?;
            out.line(format!(
                "{of}: {} {name}, and {} to be withdrawn",
                amount::show(amounts.wallet),
                amount::show(amounts.owed)
            ));
            accounts.push(json!({
                "account": of.to_string(), "token": token.to_string(), "wallet": amounts.wallet.to_string(),
                "owed": amounts.owed.to_string(),
            }));
        }
        for path in &args.model {
            let line = line_of(&market, &mut chain, path)?;
            let owed = LineAmounts::of(&mut chain, market.models(), escrow, line, token)?;
            let (own, pot) = (amount::show(owed.owed_to_owner), amount::show(owed.owed_to_contributors));
            out.line(format!(
                "{} (line {line}): {own} {name} for its owner {}, {pot} for the contributors' pot {}",
                path.display(),
                owed.owner,
                owed.pot
            ));
            models.push(json!({
                "file": path, "line": line, "token": token.to_string(), "owner": owed.owner.to_string(),
                "pot": owed.pot.to_string(), "owed_to_owner": owed.owed_to_owner.to_string(),
                "owed_to_contributors": owed.owed_to_contributors.to_string(),
            }));
        }
    }
    out.finish("lorica.balance/1", json!({ "accounts": accounts, "models": models }));
    Ok(())
}

/// Runs `withdraw`.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the contract refuses.
pub fn withdraw(args: &WithdrawArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    let token = args.token.address(&market);
    let to = args.to.unwrap_or_else(|| chain.account());
    let line = args.model.as_deref().map(|path| line_of(&market, &mut chain, path)).transpose()?;
    let escrow = if args.prepaid { market.prepaid().0 } else { market.escrow() };
    let before = Amounts::of(&mut chain, escrow, market.token(token), to)?.wallet;
    let receipt = out.step("withdraw", || -> Result<_, ChainError> {
        match line {
            None => escrow.withdraw(&mut chain, token, to),
            Some(line) if args.pot => escrow.withdraw_pot_share(&mut chain, line, token, to),
            Some(line) => escrow.withdraw_owner_share(&mut chain, line, token, to),
        }
    })?;
    let after = Amounts::of(&mut chain, escrow, market.token(token), to)?.wallet;
    let name = token_name(token, &market);
    out.line(format!("{to}: {} {name}, before {}; {} gas", amount::show(after), amount::show(before), receipt.gas));
    out.finish(
        "lorica.withdraw/1",
        json!({
            "to": to.to_string(), "token": token.to_string(), "before": before.to_string(), "after": after.to_string(),
            "gas": receipt.gas, "transaction": receipt.hash,
        }),
    );
    Ok(())
}

/// Runs `transfer`.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the token refuses.
pub fn transfer(args: &TransferArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    let token = args.token.address(&market);
    let units = node::units(args.amount, args.token)?;
    let receipt = out.step("transfer", || market.token(token).transfer(&mut chain, args.to, units))?;
    let (amount, name) = (amount::show(units), token_name(token, &market));
    out.line(format!("{amount} {name} to {} for {} gas", args.to, receipt.gas));
    out.finish(
        "lorica.transfer/1",
        json!({
            "to": args.to.to_string(), "token": token.to_string(), "amount": units.to_string(),
            "gas": receipt.gas, "transaction": receipt.hash,
        }),
    );
    Ok(())
}

/// Runs `wrap`.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the token refuses.
pub fn wrap(args: &WrapArgs, out: &Output) -> Result<(), Error> {
    exchange(args, "wrap", out)
}

/// Runs `unwrap`.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the token refuses.
pub fn unwrap(args: &WrapArgs, out: &Output) -> Result<(), Error> {
    exchange(args, "unwrap", out)
}

fn exchange(args: &WrapArgs, verb: &str, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (open, units) = (market.open_token(), node::units(args.amount, Token::Open)?);
    let receipt = out.step(verb, || match verb {
        "wrap" => open.wrap(&mut chain, units),
        _ => open.unwrap(&mut chain, units),
    })?;
    let account = chain.account();
    let wrapped = open.balance(&mut chain, account)?;
    out.line(format!(
        "{verb}ped {} OPEN for {} gas; the account has {} wrapped OPEN",
        amount::show(units),
        receipt.gas,
        amount::show(wrapped)
    ));
    out.finish(
        &format!("lorica.{verb}/1"),
        json!({
            "amount": units.to_string(), "wrapped": wrapped.to_string(), "gas": receipt.gas,
            "transaction": receipt.hash,
        }),
    );
    Ok(())
}
