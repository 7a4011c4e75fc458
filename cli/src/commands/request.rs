//! `lorica request`: requests for inferences on chain, from the signature to the payment.

use std::path::PathBuf;
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
use lorica_chain::alloy_primitives::{Address, B256, Bytes, U256};
use lorica_chain::chain::{Chain, Receipt};
use lorica_chain::contracts::escrow::Escrow;
use lorica_chain::contracts::lock::{self, Locking};
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::request::{RequestState, Settled, Status};
use lorica_chain::rpc::RpcChain;
use lorica_circuits::shape::OutputKind;
use lorica_settlement::settlement::Settlement;
use serde_json::{Value, json};

use super::chain::{step_json, step_lines};
use super::verify_settlement::read_key;
use crate::error::{Error, amount_usage};
use crate::node::{self, AccountArgs, MarketArgs, Token, parse_token, token_name};
use crate::output::{Output, joined};

/// What to do with requests.
#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Write and sign a request for an answer to a text; needs no node
    ///
    /// Writes a file with the signed terms, the text and a fresh salt. The terms hold a digest of the text only. Give the file to
    /// the prover; nothing is locked until `lorica request lock`.
    Sign(SignArgs),
    /// Lock a request's fee in the escrow, so that a prover can earn it
    ///
    /// The requester may lock any fee up to the signed maximum. Another account can pay for the request too; it locks the signed
    /// maximum. If nobody settles the request by its deadline, the payer can have the fee back.
    Lock(LockArgs),
    /// Print the state of a request: locked, accepted, settled or ended, its fee, and the time that is left
    Status(OneArgs),
    /// Accept a locked request as its prover: its requester can no longer cancel it
    ///
    /// Accepting costs only gas. It does not keep other provers away unless the request names this prover.
    Accept(SendArgs),
    /// Prepare a batch of locked requests for `lorica prove`: write its binding file and its requests file
    ///
    /// Looks at each request on the chain first. Refuses the batch if a request is not locked, is late, names another prover, is
    /// not accepted by the payee, or was locked before the circuit was enabled that is to settle it.
    Bind(BindArgs),
    /// Hand a settlement to the escrow, which checks it and pays
    ///
    /// The escrow divides each fee between prover, adapter owner, base owner and contributors; they withdraw their shares with
    /// `lorica withdraw`. Any account may send it: the settlement names the payee. Requests that ended meanwhile are skipped.
    Settle(SettleArgs),
    /// End a request as the prover that accepted it or is named in it: the payer is owed the fee again
    Refuse(RefuseArgs),
    /// End a request as its requester, as long as no prover has accepted it: the payer is owed the fee again
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
    #[arg(long, value_name = "ADDRESS")]
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
    /// Token to pay in: open, native (the gas token), or a token's address
    #[arg(long, default_value = "open", value_parser = parse_token)]
    pub token: Token,
    /// Deadline: seconds from now in which the request can be settled. The escrow locks no request for more
    /// than 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub within: u64,
    /// The only prover that may accept, refuse and be paid. If absent: any prover, and anyone can accept and then end the request
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO, hide_default_value = true)]
    pub prover: Address,
    /// Contract that the escrow calls with the label and the output's digest. If absent: none
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO, hide_default_value = true)]
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
    /// How many of the escrow's circuits may settle the request: the first COUNT in the order in which they were enabled. If
    /// absent: all that are enabled now. A circuit that is enabled later can never settle it
    #[arg(long, value_name = "COUNT")]
    pub circuits: Option<u16>,
    /// Sign a permit (ERC-2612) instead of sending an approval, which saves a transaction; the token must know permits
    #[arg(long)]
    pub permit: bool,
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
pub struct BindArgs {
    #[command(flatten)]
    /// The node and the contracts on its chain.
    pub market: MarketArgs,
    /// Account that is to be paid as the prover
    #[arg(long, value_name = "ADDRESS")]
    pub payee: Address,
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Take requests too that the payee has not accepted. The work can be lost: the requester can cancel such a request, and
    /// another prover that has accepted it can refuse it
    #[arg(long)]
    pub unaccepted: bool,
    /// Settlement key (.vk) of the circuit that is to settle the batch: each lock must trust this circuit. If absent: each lock must
    /// trust all enabled circuits
    #[arg(long, value_name = "FILE")]
    pub settlement_key: Option<PathBuf>,
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
        RequestCommand::Accept(args) => send(args, "accept", Escrow::accept, out),
        RequestCommand::Bind(args) => bind(args, out),
        RequestCommand::Settle(args) => settle(args, out),
        RequestCommand::Refuse(args) => {
            let refuse = |escrow: Escrow, chain: &mut RpcChain, request: &InferenceRequest| {
                escrow.refuse(chain, request, args.reason, &[])
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
    let terms = InferenceRequest {
        requester: args.wallet.unwrap_or(key.account()),
        base: abi::word(&base.commitments.id()),
        adapter: adapter.as_ref().map_or(U256::ZERO, |adapter| abi::word(&adapter.commitments.id())),
        inputDigest: abi::word(&input_word(&salt, &ids, base.commitments.architecture.max_tokens)),
        kind: kind.number(),
        maxFee: node::units(args.max_fee, args.token)?,
        token: args.token.address(&market),
        deadline: now.saturating_add(args.within),
        prover: args.prover,
        consumer: args.consumer,
        consumerGas: if called { args.consumer_gas } else { 0 },
        salt: random_word()?.into(),
    };
    let id = market.escrow().request_id(&terms);
    let signature = Bytes::from(key.sign_digest(id)?.as_bytes());
    let request = SignedRequest { terms, id, signature, text: args.text.clone(), salt };
    request.write(&args.out, &market)?;
    out.line(format!("{}: request {id}", args.out.display()));
    terms_lines(&request.terms, &market, out);
    out.finish("lorica.request-sign/1", json!({ "file": args.out, "id": id.to_string(), "tokens": ids.len() }));
    Ok(())
}

fn terms_lines(terms: &InferenceRequest, market: &Market, out: &Output) {
    let kind = OutputKind::from_number(terms.kind).map_or("withdrawn embedding", OutputKind::name);
    let short = |word: U256| B256::from(word).to_string().chars().take(18).collect::<String>();
    out.line(format!("  {kind} by base {}, adapter {}", short(terms.base), short(terms.adapter)));
    let (fee, token) = (amount::show(terms.maxFee), token_name(terms.token, market));
    out.line(format!("  at most {fee} {token}, until {}, by {}", terms.deadline, terms.requester));
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
    let known = request.terms.token == market.open || request.terms.token.is_zero();
    let fee = match args.fee {
        Some(fee) => fee.of(known).map_err(amount_usage)?,
        None if request.terms.requester == chain.account() => request.terms.maxFee,
        // The file says what its author wishes.
        None => return Err(Error::Usage("--fee is needed to pay for a request of somebody else".into())),
    };
    terms_lines(&request.terms, &market, out);
    let circuits = args.circuits.map_or_else(|| market.escrow().circuit_count(&mut chain), Ok)?;
    let locking = Locking { request: &request.terms, fee, circuits, signature: &request.signature };
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
    out.line(format!("  the escrow's circuits that can settle it: the first {circuits}"));
    step_lines(&steps, out);
    let steps: Vec<Value> = steps.iter().map(step_json).collect();
    let content = json!({ "id": request.id.to_string(), "fee": fee.to_string(), "circuits": circuits, "steps": steps });
    out.finish("lorica.request-lock/1", content);
    Ok(())
}

fn state_json(state: &RequestState) -> Value {
    json!({
        "status": state.status.name(), "payer": state.payer.to_string(), "fee": state.fee.to_string(),
        "prover": state.prover.to_string(), "circuits": state.circuits, "label": state.label.to_string(),
        "output_digest": B256::from(state.output_digest).to_string(),
    })
}

fn status(args: &OneArgs, out: &Output) -> Result<(), Error> {
    let (market, mut chain) = args.market.connect(None)?;
    let request = SignedRequest::read_even_withdrawn(&args.request, &market, &mut chain)?;
    let state = market.escrow().request_state(&mut chain, request.id)?;
    let now = chain.timestamp()?;
    let late = now > request.terms.deadline;
    out.line(format!("request {}: {}", request.id, state.status.name().to_uppercase()));
    terms_lines(&request.terms, &market, out);
    if state.status.is_open() {
        let (fee, token) = (amount::show(state.fee), token_name(request.terms.token, &market));
        out.line(format!("  {fee} {token} of {} are locked", state.payer));
        out.line(format!("  the escrow's circuits that can settle it: the first {}", state.circuits));
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
    }
    let content = joined(
        json!({
            "id": request.id.to_string(), "deadline": request.terms.deadline, "late": late, "now": now,
        }),
        state_json(&state),
    );
    out.finish("lorica.request-status/1", content);
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
    let receipt = out.step(what, || act(market.escrow(), &mut chain, &request.terms))?;
    let state = market.escrow().request_state(&mut chain, request.id)?;
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
    let last_circuit = match &args.settlement_key {
        Some(path) => {
            let circuit = B256::from(read_key(path)?.circuit_id());
            let ordinal = market.escrow().circuit_ordinal(&mut chain, circuit)?;
            if ordinal == 0 {
                return Err(Error::Batch(format!("the circuit {circuit} is not enabled at the escrow")));
            }
            ordinal
        }
        None => market.escrow().circuit_count(&mut chain)?,
    };
    let policy = Policy { payee: args.payee, accepted: !args.unaccepted, last_circuit, ..Policy::default() };
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
    let terms: Vec<InferenceRequest> = requests.into_iter().map(|request| request.terms).collect();
    let Settled { receipt, payments, skipped } =
        out.step("settle", || market.escrow().settle(&mut chain, &settled, &terms)).inspect_err(|error| {
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
