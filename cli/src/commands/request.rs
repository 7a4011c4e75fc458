//! `lorica request`: requests for inferences on chain, from the signature to the payment.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use lorica::amount::{self, Amount};
use lorica::answer::kind_of;
use lorica::binding;
use lorica::check::CheckError;
use lorica::files::{AdapterKey, MAX_SETTLEMENT_BYTES, read_adapter_key, read_base_key, store};
use lorica::input::{encode, input_word, random_salt, random_word, tokenizer};
use lorica::offer::{self, Policy};
use lorica::signed_request::SignedRequest;
use lorica_chain::abi;
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::aliases::U96;
use lorica_chain::alloy_primitives::ruint::UintTryFrom;
use lorica_chain::alloy_primitives::{Address, B256, Bytes, U256};
use lorica_chain::chain::{Chain, Receipt};
use lorica_chain::contracts::escrow::{Escrow, Funding};
use lorica_chain::contracts::lock::{self, Locking};
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::pins;
use lorica_chain::contracts::prepaid::DepositPlace;
use lorica_chain::contracts::request::{RequestState, Settled, Status, price};
use lorica_chain::rpc::RpcChain;
use lorica_circuits::shape::OutputKind;
use lorica_settlement::settlement::Settlement;
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use super::routes::state;
use super::verify_settlement::read_key;
use crate::error::{Error, amount_usage};
use crate::node::{
    self, AccountArgs, MarketArgs, SenderArgs, Token, parse_account, parse_address, parse_id, parse_token, token_name,
};
use crate::output::{Output, joined};

/// Seconds in which a request can be settled at the most: what the escrow locks it for.
const MAX_WITHIN: u64 = 30 * 86_400;

/// What to do with requests.
#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Write and sign a request for an answer to a text; needs no node
    ///
    /// Writes a file with the signed terms, the text and a fresh salt. The terms hold a digest of the text only. Give the file to
    /// the prover; nothing is locked until `lorica request lock`. The request names the routes that may settle it: those that the
    /// file of addresses pins, or some of them. A route that is added later can never settle it.
    Sign(SignArgs),
    /// Lock a request's fee in the escrow, so that a prover can earn it
    ///
    /// The requester may lock any fee up to the signed maximum. Another account can pay for the request too; it locks the signed
    /// maximum. If nobody settles the request by its deadline, the payer can have the fee back.
    Lock(LockArgs),
    /// Print the state of a request: locked, accepted, settled or ended, its fee, and the time that is left
    Status(OneArgs),
    /// Accept locked requests as their prover: their requesters cannot cancel them while the acceptance holds
    ///
    /// Accepting fixes the price of a request whose price rises. It keeps other provers away if the request demands a stake, which is
    /// then taken from what the account has deposited (`lorica stake deposit`), or if the request names this prover. Several
    /// requests are accepted in one transaction; those that are not acceptable any more are skipped.
    Accept(AcceptArgs),
    /// Prepare a batch of locked requests for `lorica prove`: write its binding file and its requests file
    ///
    /// Looks at each request on the chain first. Refuses the batch if a request is neither locked nor prepaid, is late, names another
    /// prover, is not accepted by the payee, or names no route that is live now and can settle the batch.
    Bind(BindArgs),
    /// Hand a settlement to the escrow, which checks it and pays
    ///
    /// The escrow divides each fee between prover, adapter owner, base owner and contributors; they withdraw their shares with
    /// `lorica withdraw`. Any account may send it: the settlement names the payee. Requests that ended meanwhile are skipped.
    Settle(SettleArgs),
    /// Refuse a request as its prover. If the request names the prover it ends, and the payer is owed the fee again; otherwise it is
    /// open to other provers again
    Refuse(RefuseArgs),
    /// End a request as its requester, unless a prover's acceptance holds: the payer is owed the fee again
    ///
    /// If all routes that the request names are frozen, it can be cancelled in any case.
    Cancel(SendArgs),
    /// End a request after its deadline: the payer is owed the fee again; any account may do so
    Refund(SendArgs),
}

/// Arguments of `request sign`.
#[derive(Args, Debug)]
pub struct SignArgs {
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    #[command(flatten)]
    /// The account that signs; the requester, unless --wallet names one.
    pub account: AccountArgs,
    /// Contract wallet (ERC-1271) that is the requester and takes the account's signature for its own. If absent: the account is
    /// the requester
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub wallet: Option<Address>,
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Key of the adapter (.vk; a .lorica file will do); without one the answer is the base's embedding
    #[arg(long, value_name = "FILE")]
    pub adapter: Option<PathBuf>,
    /// The text to get an answer for
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
    /// Ask for an embedding, even if the adapter can classify
    #[arg(long)]
    pub embed: bool,
    /// The most to pay: whole tokens such as 1.5, or smallest units such as 1500wei
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub max_fee: Amount,
    /// Begin with this price, which rises to --max-fee during --ramp: accepting the request fixes the price. It needs --ramp, and
    /// one of --stake, --prover and --prepaid
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse, requires = "ramp")]
    pub min_fee: Option<Amount>,
    /// Seconds from now in which the price rises from --min-fee to --max-fee
    #[arg(long, value_name = "SECONDS", requires = "min_fee")]
    pub ramp: Option<u32>,
    /// Routes that may settle the request, by their ids. If absent: all that the file of addresses pins
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = parse_id)]
    pub route: Vec<B256>,
    /// Token to pay in: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
    /// Deadline: seconds from now in which the request can be settled. The escrow locks no request for more
    /// than 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=MAX_WITHIN))]
    pub within: u64,
    /// Seconds for which an acceptance holds: afterwards the requester can cancel, or, with --stake, any prover can serve the
    /// request. 0: until the deadline
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub accept_time: u32,
    /// OPEN that a prover must have put up to accept, and loses if it is late. While it is not, no other prover is paid. If absent: none
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub stake: Option<Amount>,
    /// Pay from a deposit (`lorica prepaid deposit`) when the request is settled: nothing is locked, nobody accepts
    #[arg(long, conflicts_with = "stake")]
    pub prepaid: bool,
    /// The only prover that may accept, refuse and be paid. If absent: any prover
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO, hide_default_value = true, value_parser = parse_address)]
    pub prover: Address,
    /// Contract that the escrow calls with the label and the output's digest. If absent: none
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO, hide_default_value = true, value_parser = parse_address)]
    pub consumer: Address,
    /// Gas for the call of --consumer, 500,000 at most
    #[arg(long, value_name = "GAS", default_value_t = 100_000, requires = "consumer")]
    pub consumer_gas: u32,
    /// File to write the request to. It holds the text in the clear
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// A request to look at.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct OneArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// File of the request, as `lorica request sign` writes it
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
}

/// A request, and the account that sends a transaction about it.
#[derive(Args, Debug)]
pub struct SendArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that sends the transaction.
    pub account: AccountArgs,
    /// File of the request, as `lorica request sign` writes it
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
}

/// Arguments of `request lock`.
#[derive(Args, Debug)]
pub struct LockArgs {
    #[command(flatten)]
    /// The request, and the account that pays.
    pub send: SendArgs,
    /// Fee to lock. If absent: the signed maximum. To pay for somebody else's request, name its signed maximum here
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub fee: Option<Amount>,
    /// Account that has the fee back if nobody serves the request. If absent: the account that locks it
    #[arg(long, value_name = "ADDRESS", value_parser = node::parse_account)]
    pub refund_to: Option<Address>,
    /// Sign a permit (ERC-2612) instead of sending an approval, which saves a transaction; the token must know permits
    #[arg(long)]
    pub permit: bool,
}

/// Arguments of `request accept`.
#[derive(Args, Debug)]
pub struct AcceptArgs {
    #[command(flatten)]
    /// The prover's account.
    pub sender: SenderArgs,
    /// Files of the requests, as `lorica request sign` writes them
    #[arg(value_name = "REQUEST", required = true)]
    pub requests: Vec<PathBuf>,
}

/// Arguments of `request refuse`.
#[derive(Args, Debug)]
pub struct RefuseArgs {
    #[command(flatten)]
    /// The request, and the prover's account.
    pub send: SendArgs,
    /// Reason to publish: 0 none given, 1 a value of the text leaves its range, 2 text and digest differ, 3 no capacity
    #[arg(long, default_value_t = 0)]
    pub reason: u8,
}

/// Requests of a batch.
#[derive(Args, Debug)]
#[command(mut_args(node::only_reading))]
pub struct BindArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// Account that is to be paid as the prover
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub payee: Address,
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Take requests too that the payee has not accepted. The work can be lost: the requester can cancel such a request, and
    /// another prover that has accepted it can refuse it
    #[arg(long)]
    pub unaccepted: bool,
    /// Settlement key (.vk) of the circuit that is to settle the batch: each request must name a live route of this circuit. If
    /// absent: any live route will do
    #[arg(long, value_name = "FILE")]
    pub settlement_key: Option<PathBuf>,
    /// What a unit of gas costs, in the token that the requests pay in (such as 2000000000wei): a request whose fee does not pay
    /// for its consumer's call is refused. If absent: fees are not compared with calls
    #[arg(long, value_name = "AMOUNT", value_parser = amount::parse)]
    pub gas_price: Option<Amount>,
    /// Seconds that must be left for proving: until each deadline, and until each acceptance ends
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub margin: u64,
    /// The adapters (.lorica files, not keys) that the requests name
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Binding file to write; the requests file for `lorica prove` is written beside it, with the ending .jsonl
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    /// Files of the requests, as `lorica request sign` writes them
    #[arg(value_name = "REQUEST", required = true)]
    pub requests: Vec<PathBuf>,
}

/// Arguments of `request settle`.
#[derive(Args, Debug)]
pub struct SettleArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    #[command(flatten)]
    /// The account that sends the transaction; the proof names the payee.
    pub account: AccountArgs,
    /// The settlement, as `lorica settle` writes it
    #[arg(long, value_name = "FILE")]
    pub settlement: PathBuf,
    /// Send nothing, or fail early, if fewer requests than this can be paid. If absent: all of them
    #[arg(long, value_name = "COUNT")]
    pub least: Option<usize>,
    /// Files of the requests, as `lorica request sign` writes them
    #[arg(value_name = "REQUEST", required = true)]
    pub requests: Vec<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if a contract refuses.
pub fn run(command: &RequestCommand, out: &Output) -> Result<(), Error> {
    match command {
        RequestCommand::Sign(args) => sign(args, out),
        RequestCommand::Lock(args) => lock(args, out),
        RequestCommand::Status(args) => status(args, out),
        RequestCommand::Accept(args) => accept(args, out),
        RequestCommand::Bind(args) => bind(args, out),
        RequestCommand::Settle(args) => settle(args, out),
        RequestCommand::Refuse(args) => {
            let refuse = |escrow: Escrow, chain: &mut RpcChain, request: &InferenceRequest| {
                // The prover itself needs no signature, and so no time until which one is good.
                escrow.refuse(chain, request, args.reason, 0, &[])
            };
            send(&args.send, "refuse", refuse, out)
        }
        RequestCommand::Cancel(args) => send(args, "cancel", Escrow::cancel, out),
        RequestCommand::Refund(args) => send(args, "refund", Escrow::refund, out),
    }
}

fn sign(args: &SignArgs, out: &Output) -> Result<(), Error> {
    let market = node::market(&args.contracts)?;
    let key = args.account.key()?;
    let base = read_base_key(&args.base)?;
    let adapter = args.adapter.as_deref().map(|path| read_adapter_key(path, &base)).transpose()?;
    let ids = encode(&tokenizer(&base)?, 0, &args.text)?;
    let salt = random_salt()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let kind = kind_of(!args.embed && adapter.as_ref().is_some_and(|adapter| adapter.has_head));
    let called = !args.consumer.is_zero();
    let funding = if args.prepaid { Funding::Prepaid } else { Funding::Locked };
    let max_fee = node::units(args.max_fee, args.token)?;
    let min_fee = args.min_fee.map_or(Ok(max_fee), |fee| node::units(fee, args.token))?;
    if min_fee > max_fee {
        return Err(Error::Usage("--min-fee is above --max-fee".into()));
    }
    let stake = args.stake.map_or(Ok(U256::ZERO), |stake| stake.of(true).map_err(amount_usage))?;
    let stake = U96::uint_try_from(stake).map_err(|_| Error::Usage("--stake is too large".into()))?;
    if !stake.is_zero() && args.accept_time == 0 {
        return Err(Error::Usage("--stake needs an --accept-time: a stake is lost when the acceptance ends".into()));
    }
    if !stake.is_zero() && u64::from(args.accept_time) >= args.within {
        return Err(Error::Usage(
            "--accept-time must end before --within does, so that others can serve the request".into(),
        ));
    }
    if min_fee < max_fee && stake.is_zero() && args.prover.is_zero() && !args.prepaid {
        let reason =
            "--min-fee needs a --stake or a --prover: otherwise anyone could fix the lowest price by accepting";
        return Err(Error::Usage(reason.into()));
    }
    let terms = InferenceRequest {
        requester: args.wallet.unwrap_or(key.account()),
        base: abi::word(&base.commitments.id()),
        adapter: adapter.as_ref().map_or(U256::ZERO, |adapter| abi::word(&adapter.commitments.id())),
        inputDigest: abi::word(&input_word(&salt, &ids, base.commitments.architecture.max_tokens)),
        kind: kind.number(),
        routes: named_routes(&args.contracts, &args.route, funding)?,
        maxFee: max_fee,
        minFee: min_fee,
        rampStart: args.ramp.map_or(0, |_| now),
        rampTime: args.ramp.unwrap_or(0),
        token: args.token.address(&market),
        deadline: now.saturating_add(args.within),
        prover: args.prover,
        acceptTime: if args.prepaid { 0 } else { args.accept_time },
        stake,
        consumer: args.consumer,
        consumerGas: if called { args.consumer_gas } else { 0 },
        salt: random_word()?.into(),
    };
    let escrow = if args.prepaid { market.prepaid().0 } else { market.escrow() };
    let id = escrow.request_id(&terms);
    let signature = Bytes::from(key.sign_digest(id)?.as_bytes());
    let request = SignedRequest { terms, funding, id, signature, text: args.text.clone(), salt };
    request.write(&args.out, &market)?;
    out.line(format!("{}: request {id}", args.out.display()));
    terms_lines(&request.terms, &market, out);
    out.finish("lorica.request-sign/1", json!({ "file": args.out, "id": id.to_string(), "tokens": ids.len() }));
    Ok(())
}

/// The routes that a request is to name, out of those that the file of addresses pins.
fn named_routes(contracts: &Path, named: &[B256], funding: Funding) -> Result<U256, Error> {
    let pins = node::pins(contracts)?;
    let path = contracts.display();
    if pins.is_empty() {
        return Err(Error::Usage(format!(
            "{path} pins no route, so nothing could settle the request: `lorica chain routes` shows what there is, \
             `lorica chain pin` trusts a route"
        )));
    }
    if let Some(unknown) = named.iter().find(|&&route| pins.iter().all(|pin| pin.route != route)) {
        return Err(Error::Usage(format!("{path} does not pin the route {unknown}: `lorica chain pin` trusts it")));
    }
    let chosen = pins.iter().filter(|pin| named.is_empty() || named.contains(&pin.route));
    Ok(pins::mask(chosen.map(|pin| match funding {
        Funding::Locked => pin.ordinal,
        Funding::Prepaid => pin.prepaid_ordinal,
    })))
}

/// That the routes that a request names are those that the file of addresses pins, and that one of them is live.
fn expect_pinned(
    contracts: &Path,
    market: &Market,
    chain: &mut RpcChain,
    request: &InferenceRequest,
) -> Result<(), Error> {
    let pins = node::pins(contracts)?;
    let now = chain.timestamp()?;
    let routes = market.escrow().routes(chain)?;
    let named: Vec<_> = routes.iter().filter(|named| !(request.routes & named.mask()).is_zero()).collect();
    for known in &named {
        let (ordinal, route) = (known.ordinal, known.route.id);
        if !pins.iter().any(|pin| pin.ordinal == ordinal && pin.route == route) {
            return Err(Error::Usage(format!(
                "the request names the route {route}, number {ordinal} of the escrow, which {} does not pin: look at it with \
                 `lorica chain routes`, trust it with `lorica chain pin`",
                contracts.display()
            )));
        }
    }
    if !named.iter().any(|known| known.route.is_live(now)) {
        let states: Vec<String> =
            named.iter().map(|known| format!("{} is {}", known.route.id, state(&known.route, now))).collect();
        return Err(Error::Usage(format!("no route that the request names is live: {}", states.join(", "))));
    }
    Ok(())
}

fn terms_lines(terms: &InferenceRequest, market: &Market, out: &Output) {
    let kind = OutputKind::from_number(terms.kind).map_or("withdrawn embedding", OutputKind::name);
    let short = |word: U256| B256::from(word).to_string().chars().take(18).collect::<String>();
    out.line(format!("  {kind} by base {}, adapter {}", short(terms.base), short(terms.adapter)));
    let (fee, token) = (amount::show(terms.maxFee), token_name(terms.token, market));
    out.line(format!("  at most {fee} {token}, until {}, by {}", terms.deadline, terms.requester));
    if terms.minFee < terms.maxFee {
        let (least, start) = (amount::show(terms.minFee), terms.rampStart);
        out.line(format!("  at first {least} {token}; the price rises for {} seconds from {start} on", terms.rampTime));
    }
    if !terms.stake.is_zero() {
        let stake = amount::show(U256::from(terms.stake));
        out.line(format!("  a prover puts up {stake} OPEN and is late after {} seconds", terms.acceptTime));
    }
    if !terms.prover.is_zero() {
        out.line(format!("  only the prover {} is paid", terms.prover));
    }
    if !terms.consumer.is_zero() {
        out.line(format!("  then {} is called with {} gas", terms.consumer, terms.consumerGas));
    }
}

fn lock(args: &LockArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.send.market.connect_as(&args.send.account)?;
    let request = SignedRequest::read(&args.send.request, &market, &mut chain)?;
    expect_locked(&request)?;
    let known = request.terms.token == market.open || request.terms.token.is_zero();
    let fee = match args.fee {
        Some(fee) => fee.of(known).map_err(amount_usage)?,
        None if request.terms.requester == chain.account() => request.terms.maxFee,
        // The file says what its author wishes.
        None => return Err(Error::Usage("--fee is needed to pay for a request of somebody else".into())),
    };
    terms_lines(&request.terms, &market, out);
    expect_pinned(&args.send.market.contracts, &market, &mut chain, &request.terms)?;
    let locking = Locking { request: &request.terms, fee, refund_to: args.refund_to, signature: &request.signature };
    let steps = if args.permit {
        if request.terms.token.is_zero() {
            return Err(Error::Usage("--permit is for tokens: the gas token is sent along".into()));
        }
        let key = args.send.account.key()?;
        out.step("lock", || lock::lock_with_permit(&mut chain, market.escrow(), locking, &key))?
    } else {
        out.step("lock", || lock::lock(&mut chain, market.escrow(), locking))?
    };
    out.line(format!(
        "LOCKED {} {} for the request {}",
        amount::show(fee),
        token_name(request.terms.token, &market),
        request.id
    ));
    if let Some(refund_to) = args.refund_to {
        out.line(format!("  {refund_to} has the fee back if nobody serves the request"));
    }
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    let content = json!({ "id": request.id.to_string(), "fee": fee.to_string(), "routes": routes_json(&request.terms), "steps": steps });
    out.finish("lorica.request-lock/1", content);
    Ok(())
}

fn state_json(state: &RequestState) -> Value {
    json!({
        "status": state.status.name(), "payer": state.payer.to_string(), "fee": state.fee.to_string(),
        "prover": state.prover.to_string(), "accepted_until": state.until, "was_accepted": state.was_accepted,
        "route": state.route.to_string(), "label": state.label.to_string(),
        "output_digest": B256::from(state.output_digest).to_string(),
    })
}

/// Ordinals of the routes that a request names.
fn routes_json(terms: &InferenceRequest) -> Value {
    (0..256).filter(|&ordinal| terms.routes.bit(ordinal)).collect()
}

/// That a request is one for the escrow that locks.
fn expect_locked(request: &SignedRequest) -> Result<(), Error> {
    match request.funding {
        Funding::Locked => Ok(()),
        Funding::Prepaid => Err(Error::Usage(format!(
            "the request {} is prepaid: nothing is locked, accepted or ended for it; it is paid from a deposit (`lorica prepaid`)",
            request.id
        ))),
    }
}

fn status(args: &OneArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let request = SignedRequest::read_even_withdrawn(&args.request, &market, &mut chain)?;
    let now = chain.timestamp()?;
    let late = now > request.terms.deadline;
    if request.funding == Funding::Prepaid {
        return prepaid_status(&request, &market, &mut chain, now, out);
    }
    let state = market.escrow().request_state(&mut chain, &request.terms)?;
    out.line(format!("request {}: {}", request.id, state.status.name().to_uppercase()));
    terms_lines(&request.terms, &market, out);
    if state.status.is_open() {
        let (fee, token) = (amount::show(state.fee), token_name(request.terms.token, &market));
        out.line(format!("  {fee} {token} of {} are locked", state.payer));
        if let Some(until) = state.until {
            out.line(format!("  the acceptance holds until {until}, {} seconds from now", until.saturating_sub(now)));
        }
        match request.terms.deadline.checked_sub(now) {
            Some(left) => out.line(format!("  {left} seconds are left")),
            None => out.line("  the deadline has passed: it can be refunded"),
        }
    }
    if !state.prover.is_zero() {
        out.line(format!("  prover {}", state.prover));
    }
    if state.status == Status::Settled {
        out.line(format!("  label {}, output {}", state.label, B256::from(state.output_digest)));
        out.line(format!("  checked by the route {}", state.route));
    }
    let content = joined(
        json!({
            "id": request.id.to_string(), "deadline": request.terms.deadline, "late": late, "now": now,
            "routes": routes_json(&request.terms),
        }),
        state_json(&state),
    );
    out.finish("lorica.request-status/1", content);
    Ok(())
}

fn prepaid_status(
    request: &SignedRequest,
    market: &Market,
    chain: &mut RpcChain,
    now: u64,
    out: &Output,
) -> Result<(), Error> {
    let terms = &request.terms;
    let paid = market.prepaid().is_paid(chain, terms)?;
    let deposit = market.prepaid().deposit_of(chain, DepositPlace::of(terms))?;
    let (status, late) = (if paid { "settled" } else { "prepaid" }, now > terms.deadline);
    out.line(format!("request {}: {}", request.id, status.to_uppercase()));
    terms_lines(terms, market, out);
    let token = token_name(terms.token, market);
    out.line(format!(
        "  its price is {} {token}, its deposit holds {}",
        amount::show(price(terms, now)),
        amount::show(deposit.amount)
    ));
    match terms.deadline.checked_sub(now) {
        Some(left) => out.line(format!("  {left} seconds are left")),
        None => out.line("  the deadline has passed"),
    }
    let content = json!({
        "id": request.id.to_string(), "deadline": terms.deadline, "late": late, "now": now, "status": status,
        "routes": routes_json(terms), "price": price(terms, now).to_string(), "deposit": deposit.amount.to_string(),
    });
    out.finish("lorica.request-status/1", content);
    Ok(())
}

fn accept(args: &AcceptArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.sender.connect()?;
    let mut requests = Vec::new();
    for path in &args.requests {
        // The escrow's handle refuses to accept a withdrawn one.
        let request = SignedRequest::read_even_withdrawn(path, &market, &mut chain)?;
        expect_locked(&request)?;
        requests.push(request);
    }
    let terms: Vec<InferenceRequest> = requests.iter().map(|request| request.terms.clone()).collect();
    let receipt = out.step("accept", || match terms.as_slice() {
        [one] => market.escrow().accept(&mut chain, one),
        many => market.escrow().accept_many(&mut chain, many).map(|(receipt, _)| receipt),
    })?;
    let (mut states, mut accepted) = (Vec::new(), 0);
    for request in &requests {
        let state = market.escrow().request_state(&mut chain, &request.terms)?;
        let own = state.status == Status::Accepted && state.prover == chain.account();
        accepted += usize::from(own);
        out.line(format!("request {}: {}", request.id, state.status.name().to_uppercase()));
        states.push(joined(json!({ "id": request.id.to_string() }), state_json(&state)));
    }
    out.line(format!("{accepted} of {} are accepted by {}; {} gas", requests.len(), chain.account(), receipt.gas));
    let mut content = json!({ "accepted": accepted, "gas": receipt.gas, "transaction": receipt.hash });
    if let [one] = states.as_slice() {
        content = joined(content, one.clone());
    }
    content["requests"] = states.into();
    out.finish("lorica.request-accept/1", content);
    Ok(())
}

fn send(
    args: &SendArgs,
    what: &'static str,
    act: impl FnOnce(Escrow, &mut RpcChain, &InferenceRequest) -> Result<Receipt, lorica_chain::error::ChainError>,
    out: &Output,
) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    // What is locked for a withdrawn one can be given back; the escrow's handle refuses to accept it.
    let request = SignedRequest::read_even_withdrawn(&args.request, &market, &mut chain)?;
    expect_locked(&request)?;
    let receipt = out.step(what, || act(market.escrow(), &mut chain, &request.terms))?;
    let state = market.escrow().request_state(&mut chain, &request.terms)?;
    out.line(format!("request {}: {} for {} gas", request.id, state.status.name().to_uppercase(), receipt.gas));
    let content = joined(
        json!({ "id": request.id.to_string(), "gas": receipt.gas, "transaction": receipt.hash }),
        state_json(&state),
    );
    out.finish(&format!("lorica.request-{what}/1"), content);
    Ok(())
}

fn bind(args: &BindArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let requests = SignedRequest::read_all(&args.requests, &market, &mut chain)?;
    let base = read_base_key(&args.base)?;
    let mut adapters: Vec<(AdapterKey, &PathBuf)> = Vec::new();
    for path in &args.adapter {
        adapters.push((read_adapter_key(path, &base)?, path));
    }
    let mut lines = String::new();
    let tokenizer = tokenizer(&base)?;
    for request in &requests {
        request.check_input(&base, &tokenizer)?;
        let mut line = json!({ "text": request.text, "salt": hex::encode(request.salt) });
        if !request.terms.adapter.is_zero() {
            let own = adapters.iter().find(|(key, _)| abi::word(&key.commitments.id()) == request.terms.adapter);
            let Some((_, path)) = own else {
                return Err(Error::Batch(format!("the request {} needs an adapter that is not given", request.id)));
            };
            line["adapter"] = json!(path);
        }
        lines.push_str(&format!("{line}\n"));
    }
    let kind = requests.first().map(|request| request.terms.kind);
    if let Some(other) = requests.iter().find(|request| Some(request.terms.kind) != kind) {
        return Err(Error::Batch(format!("the request {} is for another kind of output than the first", other.id)));
    }
    let embed = kind == Some(OutputKind::Embed.number());
    let circuit = args.settlement_key.as_deref().map(read_key).transpose()?.map(|key| B256::from(key.circuit_id()));
    let escrow = requests.first().map_or(market.escrow(), |first| first.escrow(&market));
    let routes = offer::live_routes(&mut chain, escrow, circuit)?;
    if routes.is_zero() {
        let of = circuit.map_or_else(String::new, |circuit| format!(" of the circuit {circuit}"));
        return Err(Error::Batch(format!("the escrow has no live route{of}")));
    }
    let gas_price = args.gas_price.map(|price| price.units);
    let (payee, accepted, margin) = (args.payee, !args.unaccepted, args.margin);
    let policy = Policy { payee, accepted, routes, margin, gas_price, ..Policy::default() };
    let binding = offer::bind(&policy, &market, &mut chain, &requests)?;
    for request in &requests {
        out.line(format!("request {}", request.id));
        terms_lines(&request.terms, &market, out);
    }
    let beside = args.out.with_extension("jsonl");
    if beside == args.out {
        return Err(Error::Usage("-o must not end in .jsonl: the requests go there".into()));
    }
    store::write(&args.out, format!("{:#}\n", binding::to_json(&binding)).as_bytes())?;
    store::write(&beside, lines.as_bytes())?;
    out.line(format!("{}: {} requests, texts in {}", args.out.display(), requests.len(), beside.display()));
    if embed {
        out.line("  for embeddings: prove with --embed");
    }
    let ids: Vec<String> = requests.iter().map(|request| request.id.to_string()).collect();
    out.finish(
        "lorica.request-bind/1",
        json!({ "file": args.out, "requests": beside, "binding": binding::to_json(&binding), "ids": ids,
            "embed": embed,
        }),
    );
    Ok(())
}

fn settle(args: &SettleArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect_as(&args.account)?;
    let requests = SignedRequest::read_all(&args.requests, &market, &mut chain)?;
    let bytes = store::read(&args.settlement, MAX_SETTLEMENT_BYTES)?;
    let settled = Settlement::decode(&bytes).map_err(CheckError::MalformedSettlement)?;
    let bound: Vec<[u8; 32]> = settled.binding.requests.iter().map(|request| request.id).collect();
    if bound != requests.iter().map(|request| request.id.0).collect::<Vec<_>>() {
        return Err(Error::Batch("the settlement is for other requests than the given ones".into()));
    }
    let least = args.least.unwrap_or(requests.len());
    let prepaid = requests.first().is_some_and(|first| first.funding == Funding::Prepaid);
    let signed: Vec<_> = requests.into_iter().map(|request| (request.terms, request.signature)).collect();
    let terms: Vec<InferenceRequest> = signed.iter().map(|(terms, _)| terms.clone()).collect();
    let Settled { receipt, payments, skipped } = out
        .step("settle", || {
            if prepaid {
                market.prepaid().settle(&mut chain, &settled, &signed, least)
            } else {
                market.escrow().settle(&mut chain, &settled, &terms, least)
            }
        })
        .inspect_err(|error| {
            if error.is_refusal() {
                out.line("REJECTED by the contract");
            }
        })?;
    out.line(format!("PAID {} of {} requests for {} gas", payments.len(), terms.len(), receipt.gas));
    let mut paid = Vec::new();
    for payment in &payments {
        let token = token_name(payment.token, &market);
        out.line(format!("  request {}", B256::from(payment.request)));
        let shares = [
            ("prover", payment.prover_share),
            ("adapter owner", payment.adapter_owner_share),
            ("base owner", payment.base_owner_share),
            ("contributors", payment.contributors_share),
        ];
        for (name, share) in shares {
            out.line(format!("    {name:<16} {:>24} {token}", amount::show(share)));
        }
        let shares: serde_json::Map<String, Value> =
            shares.into_iter().map(|(name, share)| (name.replace(' ', "_"), json!(share.to_string()))).collect();
        paid.push(json!({
            "id": B256::from(payment.request).to_string(), "token": payment.token.to_string(),
            "payee": payment.prover.to_string(), "shares": shares,
        }));
    }
    for (id, why) in &skipped {
        out.line(format!("  request {} was skipped: {why}", B256::from(*id)));
    }
    let skipped: Vec<Value> =
        skipped.iter().map(|(id, why)| json!({ "id": B256::from(*id).to_string(), "reason": why })).collect();
    out.finish(
        "lorica.request-settle/1",
        json!({
            "gas": receipt.gas, "transaction": receipt.hash, "paid": paid,
            "skipped": skipped,
        }),
    );
    Ok(())
}
