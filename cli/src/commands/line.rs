//! `lorica line`: the lines of published models, for their owners and pots.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica::amount::{self, Amount};
use lorica::answer::printable;
use lorica::files::FileError;
use lorica::files::{ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, AdapterKey, BaseKey, MAX_BASE_BYTES, store};
use lorica_chain::abi;
use lorica_chain::alloy_primitives::{Address, U256};
use lorica_chain::chain::{Chain, Receipt};
use lorica_chain::contracts::amounts::LineAmounts;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::models::{Line, Version};
use lorica_chain::contracts::sale::{ForSale, Purchase};
use lorica_chain::contracts::terms::Shares;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::error::{ChainError, StateError};
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use crate::error::Error;
use crate::node::{self, MarketArgs, SenderArgs, Token, parse_account, parse_token, token_name, units};
use crate::output::{Output, joined};

/// What to do with a line.
#[derive(Debug, Subcommand)]
pub enum LineCommand {
    /// Print who owns a line, its nonce, what it is owed, what it is sold for, and the terms of a version
    ///
    /// The nonce rises with each act of the owner and with each change of owner. Who accepts or buys a line names the nonce that
    /// this command prints, and so gets the line that it shows.
    Show(ShowArgs),
    /// Retire a version for good: no further request is locked for it; only the line's owner may
    ///
    /// An adapter is retired at once. A base is retired 30 days after this command, and its adapters with it; until then requests
    /// are locked and adapters are published as before. The command prints when the retirement counts. Nobody can take a
    /// retirement back that was announced. Requests that are locked by then are settled as before.
    Retire(RetireArgs),
    /// Offer a line to another account; only its owner may
    ///
    /// The line passes when that account runs `lorica line accept`. What the line has earned and its owner has not withdrawn by
    /// then passes with it: withdraw first.
    Offer(OfferArgs),
    /// Accept a line that was offered to the account
    ///
    /// The registry refuses if the owner has changed the line since its nonce was read: name the nonce that you have looked at.
    /// The nonce does not show what the owner withdraws. Buy with `lorica line buy` to get what the line has earned, too.
    Accept(AcceptArgs),
    /// Put a line up for sale at a price; only its owner may
    ///
    /// The contract LineSale owns the line until it is sold or taken back. In that time nobody can retire or continue the line or
    /// withdraw what it earns. What it has earned and you have not withdrawn goes to the buyer: withdraw first. After the sale
    /// `lorica line proceeds` pays the price out.
    Sell(SellArgs),
    /// Buy a line that is for sale
    ///
    /// The command pays the price and accepts the line. It pays nothing if the line has another nonce or costs more than you
    /// name: the seller cannot change the line in front of you.
    Buy(BuyArgs),
    /// Take back a line that is for sale and not sold yet; only its seller may
    Unsell(UnsellArgs),
    /// Withdraw the price of lines that the account has sold
    Proceeds(ProceedsArgs),
    /// Name another account as a line's contributors' pot; only the present pot may
    ///
    /// The contributors' pot is the account that withdraws the contributors' share. What it has not withdrawn passes to the new
    /// one.
    Pot(PotArgs),
}

/// A line.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct LineArgs {
    /// Key of a base or adapter (.vk; a .lorica file will do): the line that it is published in
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The line's number, instead of --model
    #[arg(long, value_name = "NUMBER")]
    pub line: Option<u32>,
}

impl LineArgs {
    /// The line's number, and the version's id if a key was named.
    fn find(&self, market: &Market, chain: &mut impl Chain) -> Result<(u32, Option<U256>), Error> {
        match (&self.model, self.line) {
            (Some(path), _) => published(market, chain, path).map(|(line, id)| (line, Some(id))),
            (None, Some(line)) => Ok((line, None)),
            (None, None) => Err(Error::Usage("which line: --model FILE or --line NUMBER".into())),
        }
    }
}

/// Arguments of `line show`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct ShowArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
}

/// Arguments of `line retire`.
#[derive(Args, Debug)]
pub struct RetireArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the line's owner.
    pub by: SenderArgs,
    /// Key of the base or adapter (.vk; a .lorica file will do) that is retired
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Confirm that you mean it: nobody can take it back, and a retired version stays retired
    #[arg(long, required = true)]
    pub for_good: bool,
}

/// Arguments of `line offer`.
#[derive(Args, Debug)]
pub struct OfferArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the line's owner.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
    /// Account that may accept the line
    #[arg(long, value_name = "ADDRESS", required_unless_present = "withdraw_offer", value_parser = parse_account)]
    pub to: Option<Address>,
    /// Withdraw an offer instead of making one
    #[arg(long, conflicts_with = "to")]
    pub withdraw_offer: bool,
}

/// Arguments of `line accept`.
#[derive(Args, Debug)]
pub struct AcceptArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the one that the line is offered to.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
    /// The line's nonce, as `lorica line show` printed it when you looked at the line. If absent: the nonce that it has now
    #[arg(long, value_name = "NUMBER")]
    pub nonce: Option<u64>,
}

/// Arguments of `line sell`.
#[derive(Args, Debug)]
pub struct SellArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the line's owner.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
    /// The price: whole tokens such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub price: Amount,
    /// Token of the price: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `line buy`.
#[derive(Args, Debug)]
pub struct BuyArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the buyer.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
    /// The line's nonce, as `lorica line show` printed it when you looked at the line
    #[arg(long, value_name = "NUMBER")]
    pub nonce: u64,
    /// The most to pay: whole tokens such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub most: Amount,
    /// Token to pay with: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `line unsell`.
#[derive(Args, Debug)]
pub struct UnsellArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the seller.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
}

/// Arguments of `line proceeds`.
#[derive(Args, Debug)]
pub struct ProceedsArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the seller.
    pub by: SenderArgs,
    /// Token to withdraw: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
    /// Account that receives it. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
}

/// Arguments of `line pot`.
#[derive(Args, Debug)]
pub struct PotArgs {
    #[command(flatten)]
    /// The node, the contracts, and the account of the present pot.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The line.
    pub line: LineArgs,
    /// Account that becomes the contributors' pot
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Address,
    /// Confirm that you mean it: it holds at once, and only the new pot can change it again
    #[arg(long, required = true)]
    pub for_good: bool,
}

/// The id of a base or adapter, by its key.
fn model_id(path: &Path) -> Result<U256, Error> {
    let bytes = store::read(path, MAX_BASE_BYTES)?;
    let id = if [ADAPTER_MAGIC, ADAPTER_KEY_MAGIC].iter().any(|magic| bytes.starts_with(*magic)) {
        AdapterKey::decode(&bytes).map(|key| key.commitments.id())
    } else {
        BaseKey::decode(&bytes).map(|key| key.commitments.id())
    };
    Ok(abi::word(&id.map_err(FileError::malformed(path))?))
}

/// Line and id of a base or adapter, by its key.
fn published(market: &Market, chain: &mut impl Chain, path: &Path) -> Result<(u32, U256), Error> {
    let id = model_id(path)?;
    let line =
        market.models().line_of(chain, id)?.ok_or_else(|| Error::refused(path, "it is not published on this chain"))?;
    Ok((line, id))
}

/// The line of a base or adapter, by its key.
pub(crate) fn line_of(market: &Market, chain: &mut impl Chain, path: &Path) -> Result<u32, Error> {
    published(market, chain, path).map(|(line, _)| line)
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the contract refuses.
pub fn run(command: &LineCommand, out: &Output) -> Result<(), Error> {
    match command {
        LineCommand::Show(args) => show(args, out),
        LineCommand::Retire(args) => retire(args, out),
        LineCommand::Offer(args) => offer(args, out),
        LineCommand::Accept(args) => accept(args, out),
        LineCommand::Sell(args) => sell(args, out),
        LineCommand::Buy(args) => buy(args, out),
        LineCommand::Unsell(args) => unsell(args, out),
        LineCommand::Proceeds(args) => proceeds(args, out),
        LineCommand::Pot(args) => pot(args, out),
    }
}

/// Amounts of OPEN and of the gas token that a line has earned and nobody has withdrawn.
fn owed(market: &Market, chain: &mut impl Chain, line: u32) -> Result<[(Address, LineAmounts); 2], ChainError> {
    let mut of =
        |token| LineAmounts::of(chain, market.models(), market.escrow(), line, token).map(|amounts| (token, amounts));
    Ok([of(market.open)?, of(NATIVE)?])
}

/// The amounts that are not zero, as text; `None` if all are zero.
fn sums(market: &Market, amounts: impl IntoIterator<Item = (Address, U256)>) -> Option<String> {
    let amounts = amounts.into_iter().filter(|(_, amount)| !amount.is_zero());
    let said = amounts.map(|(token, units)| format!("{} {}", amount::show(units), token_name(token, market)));
    said.reduce(|all, next| format!("{all} and {next}"))
}

/// A transaction's gas as text, or that none was sent.
pub(crate) fn done(receipt: Option<&Receipt>) -> String {
    receipt.map_or_else(|| "it was so already, nothing is sent".into(), |receipt| format!("{} gas", receipt.gas))
}

/// Adds a transaction's gas and hash to a command's JSON, or that none was sent.
pub(crate) fn done_json(receipt: Option<&Receipt>, content: Value) -> Value {
    let gas = receipt.map_or(0, |receipt| receipt.gas);
    let transaction = receipt.and_then(|receipt| receipt.hash);
    joined(content, json!({ "done_before": receipt.is_none(), "gas": gas, "transaction": transaction }))
}

fn version_json(id: U256, version: &Version, now: u64) -> Value {
    let Shares { prover, adapter_owner, base_owner, contributors } = version.shares;
    json!({
        "id": format!("{id:#066x}"), "retired": version.is_retired(now), "retired_from": version.retired_from, "uri": version.uri, "licence": version.licence,
        "basis_points": {
            "prover": prover, "adapter_owner": adapter_owner, "base_owner": base_owner, "contributors": contributors,
        },
    })
}

fn version_lines(id: U256, version: &Version, now: u64, out: &Output) {
    let Shares { prover, adapter_owner, base_owner, contributors } = version.shares;
    let [prover, adapter_owner, base_owner, contributors] =
        [prover, adapter_owner, base_owner, contributors].map(amount::show_percent);
    let retired = match version.retired_from {
        Some(_) if version.is_retired(now) => ": RETIRED".to_owned(),
        Some(from) => format!(": WILL BE RETIRED at {from} (Unix time)"),
        None => String::new(),
    };
    out.line(format!("  version {id:#066x}{retired}"));
    out.line(format!(
        "    of a fee {prover} % to the prover, {adapter_owner} % to the adapter's owner, {base_owner} % to the base's owner, \
         {contributors} % to the contributors"
    ));
    for (what, said) in [("metadata", &version.uri), ("licence", &version.licence)] {
        out.line(format!("    {what} {}", if said.is_empty() { "none".into() } else { printable(said) }));
    }
}

/// What a line is sold for, if these contracts have one that sells lines.
fn sale_of(market: &Market, chain: &mut impl Chain, line: u32) -> Result<Option<ForSale>, ChainError> {
    match market.line_sale() {
        Ok(sale) => sale.of(chain, line),
        Err(StateError::NoLineSale) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An amount with its token: smallest units of a token whose decimals are not known.
fn price_text(market: &Market, token: Address, units: U256) -> String {
    let name = token_name(token, market);
    if token == market.open || token == NATIVE {
        format!("{} {name}", amount::show(units))
    } else {
        format!("{units} of the smallest unit of {name}")
    }
}

fn line_line(number: u32, line: &Line, out: &Output) {
    out.line(format!("line {number}: {}, owner {}, nonce {}", line.kind.name(), line.owner, line.nonce));
}

fn show(args: &ShowArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let (number, id) = args.line.find(&market, &mut chain)?;
    let line = market.models().line(&mut chain, number)?;
    let version = id.map(|id| market.models().version(&mut chain, id).map(|version| (id, version))).transpose()?;
    let owed = owed(&market, &mut chain, number)?;
    let sale = sale_of(&market, &mut chain, number)?;
    let now = chain.timestamp()?;
    out.line(format!("line {number}: {}, nonce {}", line.kind.name(), line.nonce));
    let nothing = || "nothing".to_owned();
    let to_owner = sums(&market, owed.map(|(token, of)| (token, of.owed_to_owner))).unwrap_or_else(nothing);
    let to_pot = sums(&market, owed.map(|(token, of)| (token, of.owed_to_contributors))).unwrap_or_else(nothing);
    out.line(format!("  owner {}: {to_owner} to be withdrawn", line.owner));
    if let Some(to) = line.offered_to {
        out.line(format!("  offered to {to}"));
    }
    if let Some(ForSale { seller, token, price }) = sale {
        out.line(format!("  for sale by {seller} at {}", price_text(&market, token, price)));
    }
    out.line(format!("  contributors' pot {}: {to_pot} to be withdrawn", line.pot));
    if let Some((id, version)) = &version {
        version_lines(*id, version, now, out);
    }
    let owed = owed.map(|(token, of)| {
        json!({
            "token": token.to_string(), "to_owner": of.owed_to_owner.to_string(),
            "to_contributors": of.owed_to_contributors.to_string(),
        })
    });
    out.finish(
        "lorica.line-show/1",
        json!({
            "line": number, "kind": line.kind.name(), "owner": line.owner.to_string(), "nonce": line.nonce,
            "for_sale": sale.map(|ForSale { seller, token, price }| json!({
                "seller": seller.to_string(), "token": token.to_string(), "price": price.to_string(),
            })),
            "offered_to": line.offered_to.map(|to| to.to_string()), "pot": line.pot.to_string(), "owed": owed,
            "version": version.map(|(id, version)| version_json(id, &version, now)),
        }),
    );
    Ok(())
}

fn retire(args: &RetireArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (line, id) = published(&market, &mut chain, &args.model)?;
    let (from, receipt) = out.step("retire", || market.models().retire(&mut chain, id))?;
    let path = args.model.display();
    let verb = if from <= chain.timestamp()? { "is" } else { "will be" };
    out.line(format!(
        "{path} (line {line}) {verb} retired for good from {from} (Unix time) on; {}",
        done(receipt.as_ref())
    ));
    let content = json!({ "file": args.model, "line": line, "id": format!("{id:#066x}"), "from": from });
    out.finish("lorica.line-retire/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn offer(args: &OfferArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let receipt = out.step("offer", || market.models().offer(&mut chain, line, args.to))?;
    let what = match args.to {
        Some(to) => format!("line {line} is offered to {to}"),
        None => format!("line {line} is not on offer"),
    };
    out.line(format!("{what}; {}", done(receipt.as_ref())));
    if args.to.is_some() {
        let owed = owed(&market, &mut chain, line)?.map(|(token, of)| (token, of.owed_to_owner));
        if let Some(owed) = sums(&market, owed) {
            out.warn(format!(
                "the owner is owed {owed}: this goes with the line unless it is withdrawn before the line is accepted"
            ));
        }
    }
    let content = json!({ "line": line, "to": args.to.map(|to| to.to_string()) });
    out.finish("lorica.line-offer/1", done_json(receipt.as_ref(), content));
    Ok(())
}

fn accept(args: &AcceptArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let found = market.models().line(&mut chain, line)?;
    line_line(line, &found, out);
    let nonce = args.nonce.unwrap_or(found.nonce);
    let receipt = out.step("accept", || market.models().accept(&mut chain, line, nonce))?;
    let owner = chain.account();
    out.line(format!("line {line} is {owner}'s; {} gas", receipt.gas));
    let content = json!({ "line": line, "nonce": nonce, "owner": owner.to_string() });
    out.finish("lorica.line-accept/1", done_json(Some(&receipt), content));
    Ok(())
}

fn sell(args: &SellArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let sale = market.line_sale().map_err(ChainError::from)?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let price = units(args.price, args.token)?;
    let token = args.token.address(&market);
    let owed = owed(&market, &mut chain, line)?.map(|(token, of)| (token, of.owed_to_owner));
    let sold = out.step("sell", || sale.sell(&mut chain, line, market.token(token), price));
    let (steps, nonce) = sold?;
    step_lines(&steps, out);
    out.line(format!("line {line} with the nonce {nonce} is for sale at {}", price_text(&market, token, price)));
    if let Some(owed) = sums(&market, owed) {
        out.warn(format!(
            "the owner was owed {owed}: the buyer has it; take the line back and withdraw if you did not mean that"
        ));
    }
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(
        "lorica.line-sell/1",
        json!({
            "line": line, "nonce": nonce, "token": token.to_string(), "price": price.to_string(), "steps": steps,
        }),
    );
    Ok(())
}

fn buy(args: &BuyArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let sale = market.line_sale().map_err(ChainError::from)?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let token = market.token(args.token.address(&market));
    let purchase = Purchase { line, nonce: args.nonce, token, most: units(args.most, args.token)? };
    let (sold, steps) = out.step("buy", || sale.buy(&mut chain, purchase))?;
    step_lines(&steps, out);
    let owner = chain.account();
    out.line(format!("line {line} is {owner}'s, for {}", price_text(&market, sold.token, sold.price)));
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish(
        "lorica.line-buy/1",
        json!({
            "line": line, "owner": owner.to_string(), "seller": sold.seller.to_string(),
            "token": sold.token.to_string(), "price": sold.price.to_string(), "steps": steps,
        }),
    );
    Ok(())
}

fn unsell(args: &UnsellArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let sale = market.line_sale().map_err(ChainError::from)?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let steps = out.step("unsell", || sale.unsell(&mut chain, line))?;
    step_lines(&steps, out);
    let owner = chain.account();
    out.line(format!("line {line} is {owner}'s again"));
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    out.finish("lorica.line-unsell/1", json!({ "line": line, "owner": owner.to_string(), "steps": steps }));
    Ok(())
}

fn proceeds(args: &ProceedsArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let sale = market.line_sale().map_err(ChainError::from)?;
    let token = args.token.address(&market);
    let to = args.to.unwrap_or_else(|| chain.account());
    let withdrawn = out.step("withdraw proceeds", || sale.withdraw(&mut chain, token, to))?;
    match &withdrawn {
        Some((amount, receipt)) => {
            out.line(format!("{} to {to}; {} gas", price_text(&market, token, *amount), receipt.gas));
        }
        None => out.line("nothing is owed for lines that were sold, nothing is sent"),
    }
    let amount = withdrawn.as_ref().map_or_else(|| "0".into(), |(amount, _)| amount.to_string());
    let content = json!({ "token": token.to_string(), "to": to.to_string(), "amount": amount });
    let receipt = withdrawn.as_ref().map(|(_, receipt)| receipt);
    out.finish("lorica.line-proceeds/1", done_json(receipt, content));
    Ok(())
}

fn pot(args: &PotArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let (line, _) = args.line.find(&market, &mut chain)?;
    let receipt = out.step("pot", || market.models().set_pot(&mut chain, line, args.to))?;
    out.line(format!("the contributors' pot of line {line} is {}; {}", args.to, done(receipt.as_ref())));
    let content = json!({ "line": line, "pot": args.to.to_string() });
    out.finish("lorica.line-pot/1", done_json(receipt.as_ref(), content));
    Ok(())
}
