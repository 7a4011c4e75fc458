//! `lorica contributors`: what paid answers owe to the contributors of a datanet, by proven shares.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lorica::amount;
use lorica::answer::printable;
use lorica::datanet::quality::contributor_name;
use lorica::files::{Description, IndexKey, read_index_key};
use lorica_chain::abi;
use lorica_chain::alloy_primitives::{Address, B256, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::attribution::Pot;
use lorica_chain::contracts::market::Market;
use lorica_chain::rpc::RpcChain;
use serde_json::{Value, json};

use super::word;
use crate::error::Error;
use crate::node::{self, MarketArgs, SenderArgs, Token, parse_account, parse_id, parse_token, token_name};
use crate::output::Output;

/// Entries of one transaction: about 4 million gas.
const PIECE: usize = 250;

/// What to do with what contributors are owed.
#[derive(Debug, Subcommand)]
pub enum ContributorsCommand {
    /// Credit contributors for the answers that were paid since the last time; any account may
    ///
    /// Each paid answer whose adapter has an index adds an entry to the index' chain, with the contributors' part of its fee and the
    /// proven shares. This command finds the entries in the chain's logs and hands them to the contract, 250 to a transaction, the latest
    /// first. What nobody has a share of is not divided among the others: `lorica contributors burn` burns it.
    Distribute(DistributeArgs),
    /// Print what the contributors of a datanet are owed
    Owed(OwedArgs),
    /// Withdraw what a contributor is owed
    ///
    /// The account must be the contributor's address, or open the contributor's digest by its salt. Contributors that are names cannot be
    /// paid: nobody can show to a contract that a name is his.
    Claim(ClaimArgs),
    /// Burn what paid answers left to nobody; any account may
    Burn(BurnArgs),
}

/// A datanet, and which escrow paid.
#[derive(Args, Debug)]
pub struct DatanetArgs {
    /// Key of the datanet's index (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub datanet: PathBuf,
    /// Take what the escrow of prepaid requests paid, instead of the escrow of locked requests
    #[arg(long)]
    pub prepaid: bool,
}

impl DatanetArgs {
    fn read(&self) -> Result<(IndexKey, Description), Error> {
        Ok(read_index_key(&self.datanet)?)
    }
}

/// Arguments of `contributors distribute`.
#[derive(Args, Debug)]
pub struct DistributeArgs {
    #[command(flatten)]
    /// The account that sends the transactions.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The datanet.
    pub of: DatanetArgs,
    /// Block from which on the chain's logs are searched: one before the first answer that is not distributed
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,
}

/// Arguments of `contributors owed`.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct OwedArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The datanet.
    pub of: DatanetArgs,
    /// Token to ask about: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `contributors claim`.
#[derive(Args, Debug)]
pub struct ClaimArgs {
    #[command(flatten)]
    /// The contributor's account.
    pub by: SenderArgs,
    #[command(flatten)]
    /// The datanet.
    pub of: DatanetArgs,
    /// Number of the contributor's slot. If absent: the slot of the account's address
    #[arg(long, value_name = "SLOT")]
    pub slot: Option<u16>,
    /// Salt of a contributor that is a digest: keccak256(abi.encode(account, salt)) is the digest
    #[arg(long, value_name = "HEX", requires = "slot", value_parser = parse_id)]
    pub salt: Option<B256>,
    /// Account that receives it. If absent: the account itself
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub to: Option<Address>,
    /// Token to withdraw: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Arguments of `contributors burn`.
#[derive(Args, Debug)]
pub struct BurnArgs {
    #[command(flatten)]
    /// The account that sends the transaction.
    pub by: SenderArgs,
    /// Burn what the escrow of prepaid requests left, instead of the escrow of locked requests
    #[arg(long)]
    pub prepaid: bool,
    /// Token to burn: open, native (the gas token), or a token's address. What cannot be burnt is sent to an address that nobody has
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the contract refuses.
pub fn run(command: &ContributorsCommand, out: &Output) -> Result<(), Error> {
    match command {
        ContributorsCommand::Distribute(args) => distribute(args, out),
        ContributorsCommand::Owed(args) => owed(args, out),
        ContributorsCommand::Claim(args) => claim(args, out),
        ContributorsCommand::Burn(args) => burn(args, out),
    }
}

fn pot(market: &Market, chain: &mut RpcChain, prepaid: bool) -> Result<Pot, Error> {
    let escrow = if prepaid { market.prepaid().0 } else { market.escrow() };
    Ok(Pot::of(chain, escrow)?)
}

fn distribute(args: &DistributeArgs, out: &Output) -> Result<(), Error> {
    let (key, _) = args.of.read()?;
    let (market, mut chain) = args.by.connect()?;
    let pot = pot(&market, &mut chain, args.of.prepaid)?;
    let index = abi::word(&key.id());
    let entries = out.step("find entries", || pot.undistributed(&mut chain, index, args.from_block))?;
    let mut gas = 0u64;
    let mut transactions = Vec::new();
    // A chain is walked from its end.
    for piece in entries.rchunks(PIECE) {
        let receipt = out.step("distribute", || pot.distribute(&mut chain, index, piece))?;
        gas += receipt.gas;
        transactions.push(receipt.hash);
    }
    out.line(format!("{} paid answers of index {} are distributed, for {gas} gas", entries.len(), word(&key.id())));
    out.finish(
        "lorica.contributors-distribute/1",
        json!({
            "index": word(&key.id()), "entries": entries.len(), "gas": gas, "transactions": transactions,
            "pot": pot.contract.address.to_string(),
        }),
    );
    Ok(())
}

fn owed(args: &OwedArgs, out: &Output) -> Result<(), Error> {
    let (key, description) = args.of.read()?;
    let (market, mut chain) = args.market.connect(None)?;
    let pot = pot(&market, &mut chain, args.of.prepaid)?;
    let (token, digest) = (args.token.address(&market), description.on_chain().contributors_digest());
    let name = token_name(token, &market);
    let mut owed = Vec::new();
    for (slot, contributor) in description.contributors.iter().enumerate() {
        let amount = pot.owed(&mut chain, digest, U256::from(slot), token)?;
        if !amount.is_zero() {
            owed.push((slot, contributor_name(contributor), amount));
        }
    }
    owed.sort_by_key(|(slot, _, amount)| (std::cmp::Reverse(*amount), *slot));
    for (slot, contributor, amount) in &owed {
        out.line(format!("{} {name}  slot {slot}, {}", amount::show(*amount), printable(contributor)));
    }
    let walk = pot.walk(&mut chain, abi::word(&key.id()))?;
    let (open, burnable) = (!walk.is_over(), pot.burnable(&mut chain, token)?);
    if open {
        out.line("more was paid and is not distributed yet (`lorica contributors distribute`)");
    }
    out.line(format!("{} {name} belong to nobody (`lorica contributors burn`)", amount::show(burnable)));
    let list: Vec<Value> = owed
        .iter()
        .map(|(slot, contributor, amount)| json!({ "slot": slot, "contributor": contributor, "owed": amount.to_string() }))
        .collect();
    out.finish(
        "lorica.contributors-owed/1",
        json!({
            "index": word(&key.id()), "token": token.to_string(), "owed": list, "undistributed": open,
            "burnable": burnable.to_string(),
        }),
    );
    Ok(())
}

fn claim(args: &ClaimArgs, out: &Output) -> Result<(), Error> {
    let (_, description) = args.of.read()?;
    let (market, mut chain) = args.by.connect()?;
    let (account, path) = (chain.account(), &args.of.datanet);
    let slot = args.slot.or_else(|| description.slot_of(account));
    let slot = slot.ok_or_else(|| Error::refused(path, format!("{account} is none of its contributors")))?;
    let own = description.slot(slot, args.salt);
    let own = own.ok_or_else(|| {
        Error::refused(path, format!("it has {} contributors, no slot {slot}", description.contributors.len()))
    })?;
    let pot = pot(&market, &mut chain, args.of.prepaid)?;
    let (token, to) = (args.token.address(&market), args.to.unwrap_or(account));
    let digest = description.on_chain().contributors_digest();
    let amount = pot.owed(&mut chain, digest, U256::from(slot), token)?;
    let receipt = out.step("claim", || pot.claim(&mut chain, &own, token, to))?;
    let name = token_name(token, &market);
    out.line(format!("{} {name} of slot {slot} to {to} for {} gas", amount::show(amount), receipt.gas));
    out.finish(
        "lorica.contributors-claim/1",
        json!({
            "slot": slot, "to": to.to_string(), "token": token.to_string(), "amount": amount.to_string(),
            "gas": receipt.gas, "transaction": receipt.hash,
        }),
    );
    Ok(())
}

fn burn(args: &BurnArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.by.connect()?;
    let pot = pot(&market, &mut chain, args.prepaid)?;
    let token = args.token.address(&market);
    let amount = pot.burnable(&mut chain, token)?;
    let receipt = out.step("burn", || pot.burn(&mut chain, token))?;
    let name = token_name(token, &market);
    out.line(format!("{} {name} are burnt, for {} gas", amount::show(amount), receipt.gas));
    out.finish(
        "lorica.contributors-burn/1",
        json!({
            "token": token.to_string(), "burnt": amount.to_string(), "gas": receipt.gas, "transaction": receipt.hash,
        }),
    );
    Ok(())
}
