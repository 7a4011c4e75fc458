//! `lorica remote quote`: what several nodes would take for a request, the cheapest first.

use std::path::{Path, PathBuf};

use clap::Args;
use lorica::amount;
use lorica::circuits::shape::OutputKind;
use lorica::files::store;
use lorica_chain::alloy_primitives::U256;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::pins;
use lorica_chain::contracts::quote::Quote;
use lorica_service::client::{Client, ClientError};
use lorica_service::{proto, quote};
use serde_json::{Value, json};

use super::{CALL, only_base, read_key};
use crate::error::Error;
use crate::node::{Token, market, parse_token, pins as pinned, token_name};
use crate::output::Output;

/// Largest list of nodes.
const MAX_BYTES: u64 = 1 << 16;

/// Arguments of `remote quote`.
#[derive(Args, Debug)]
pub struct QuoteArgs {
    /// File with the nodes to ask, one a line: an address, and perhaps the file of the API key for it. If absent: the one of
    /// --server
    #[arg(long, value_name = "FILE", env = "LORICA_NODES")]
    pub nodes: Option<PathBuf>,
    /// File with the contracts' addresses, as `lorica chain deploy` writes it: quotes are signed for its escrow
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// Name of the base, `bases/...`; it may be left out if a node serves one only
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,
    /// Name of the adapter, `adapters/...`; without one the answer is the base's embedding
    #[arg(long, value_name = "NAME", default_value = "")]
    pub adapter: String,
    /// Ask for the embedding, even if there is an adapter
    #[arg(long)]
    pub embed: bool,
    /// Tokens of the text, its beginning and end included
    #[arg(long, default_value_t = 32)]
    pub tokens: u32,
    /// Token to pay in: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
    /// Gas of a consumer's call
    #[arg(long, value_name = "GAS", default_value_t = 0)]
    pub consumer_gas: u32,
}

/// Reaches a node by its address, with an API key.
type Connect<'c> = &'c dyn Fn(&str, Option<&str>) -> Result<Client, ClientError>;

/// The nodes of a list.
fn nodes(path: &Path) -> Result<Vec<(String, Option<String>)>, Error> {
    let text = String::from_utf8(store::read(path, MAX_BYTES)?).map_err(|_| Error::refused(path, "not a text file"))?;
    let mut nodes = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let mut words = text.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(address) = words.next() else { continue };
        let beside = path.parent().unwrap_or(Path::new("."));
        let key = words.next().map(|file| read_key(&beside.join(file))).transpose()?;
        if words.next().is_some() {
            let expected = format!("line {}: an address, and perhaps the file of a key, is expected", line + 1);
            return Err(Error::refused(path, expected));
        }
        nodes.push((address.into(), key));
    }
    if nodes.is_empty() {
        return Err(Error::refused(path, "it lists no node"));
    }
    Ok(nodes)
}

/// What a node would take: signed by whom it says, for this escrow, of what was asked, by a route that is trusted here.
fn ask(client: &mut Client, args: &QuoteArgs, market: &Market, routes: U256) -> Result<Quote, Error> {
    let base = args.base.clone().map_or_else(|| only_base(client), Ok)?;
    let kind = if args.embed || args.adapter.is_empty() { OutputKind::Embed } else { OutputKind::Classify };
    let message = match kind {
        OutputKind::Embed => proto::OutputKind::Embed,
        OutputKind::Classify => proto::OutputKind::Classify,
    };
    let token = args.token.address(market);
    let request = proto::GetQuoteRequest {
        base: base.clone(),
        adapter: args.adapter.clone(),
        kind: message.into(),
        tokens: args.tokens,
        token: token.to_vec(),
        consumer_gas: args.consumer_gas,
    };
    let told = client.get_quote(request, CALL)?;
    let own = quote::quote(&told.quote.unwrap_or_default());
    let own = own.map_err(|error| Error::NotProven(format!("the quote cannot be read: {error}")))?;
    let rejected = |what: &str| Err(Error::NotProven(format!("the quote {what}")));
    if (told.chain_id, told.escrow.as_slice()) != (market.contracts.chain_id, market.escrow.as_slice()) {
        return rejected("is for another escrow than the file of addresses has");
    }
    if !own.is_signed(market.escrow(), &told.signature) {
        return rejected("is not signed by the prover that it names");
    }
    let id = |name: &str| name.rsplit_once('/').map_or("", |(_, digits)| digits).to_owned();
    let word = |word: U256| format!("{word:064x}");
    let adapter = if args.adapter.is_empty() { word(U256::ZERO) } else { id(&args.adapter) };
    let asked = (id(&base), adapter, kind.number(), args.tokens, token, args.consumer_gas);
    if (word(own.base), word(own.adapter), own.kind, own.tokens, own.token, own.consumerGas) != asked {
        return rejected("is of another request than was asked for");
    }
    if (own.routes & routes).is_zero() {
        return rejected("names no route that the file of addresses pins");
    }
    Ok(own)
}

/// Runs it.
pub(super) fn run(
    (server, key): (&str, Option<&str>),
    connect: Connect<'_>,
    args: &QuoteArgs,
    out: &Output,
) -> Result<(), Error> {
    let market = market(&args.contracts)?;
    let routes = pins::mask(pinned(&args.contracts)?.iter().map(|pin| pin.ordinal));
    let only = || Ok(vec![(server.to_owned(), key.map(str::to_owned))]);
    let nodes = args.nodes.as_deref().map_or_else(only, nodes)?;
    let (mut quotes, mut refusals) = (Vec::new(), Vec::new());
    for (address, key) in nodes {
        let client = connect(&address, key.as_deref()).map_err(Error::from);
        match client.and_then(|mut client| ask(&mut client, args, &market, routes)) {
            Ok(own) => quotes.push((address, own)),
            Err(error) => refusals.push((address, error)),
        }
    }
    quotes.sort_by_key(|(_, own)| (own.fee, own.needed));
    let token = token_name(args.token.address(&market), &market);
    for (address, own) in &quotes {
        let (fee, needed) = (amount::show(own.fee), own.needed);
        out.line(format!("{fee} {token}, {needed} seconds: prover {} at {address}", own.prover));
    }
    if quotes.is_empty()
        && let Some((_, error)) = refusals.pop()
    {
        return Err(error);
    }
    for (address, error) in &refusals {
        out.warn(format!("{address}: {error}"));
    }
    let quotes: Vec<Value> = quotes
        .iter()
        .map(|(address, own)| {
            json!({ "node": address, "prover": own.prover, "fee": own.fee.to_string(), "needed_seconds": own.needed,
                "expires": own.expires, "routes": format!("{:#x}", own.routes) })
        })
        .collect();
    let refused: Vec<Value> =
        refusals.iter().map(|(address, error)| json!({ "node": address, "error": error.to_string() })).collect();
    out.finish("lorica.remote.quote/1", json!({ "token": token, "quotes": quotes, "refused": refused }));
    Ok(())
}
