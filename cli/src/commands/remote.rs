//! `lorica remote`: a client of the service.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use lorica::files::{MAX_PROOF_BYTES, store};
use lorica::input::{Context, context_word, parse_context};
use lorica_service::client::{Client, ClientError, answer, random_request_id};
use lorica_service::proto;
use lorica_verifier::protocol::keccak::encode_scalar;
use serde_json::{Value, json};

mod market;
mod quote;
mod shares;

use crate::error::Error;
use crate::node::parse_url;
use crate::output::{Output, joined, size};

/// Time for a call that does not wait for a proof.
const CALL: Duration = Duration::from_secs(60);

/// Arguments of `remote`.
#[derive(Args, Debug)]
pub struct RemoteArgs {
    /// Address of the service
    #[arg(long, global = true, value_name = "URL", env = "LORICA_SERVER", value_parser = parse_url, default_value = "http://127.0.0.1:7443")]
    pub server: String,
    /// File with the API key, which begins with lrk_; no account's key. Without it: the variable LORICA_API_KEY, or no key
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Certificate authority of an https:// service (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The call
    #[command(subcommand)]
    pub call: Call,
}

/// The calls.
#[derive(Debug, Subcommand)]
pub enum Call {
    /// List the bases, adapters and datanets that are served
    Models,
    /// Fetch the verifying key of a base, adapter or datanet
    Key(KeyArgs),
    /// Ask for the answer to a text, without a proof
    Infer(AskArgs),
    /// Ask for the answer to a text, and its proof
    ///
    /// With -o the command waits until the proof is made. Without it the command prints the answer and the proof's name, and `remote get`
    /// fetches the proof later.
    Prove(ProveArgs),
    /// Fetch a proof by its name
    Get(GetArgs),
    /// List your newest proofs, 100 at most
    List,
    /// Print each change of a proof until it is done
    Watch(NameArgs),
    /// Cancel a proof that waits or is being made
    Cancel(NameArgs),
    /// Have a proof checked by the service, which knows the keys
    Verify(VerifyArgs),
    /// Print the prover that a request has to name, the tokens that it takes, and its least fees
    Node,
    /// Ask nodes what a request would have to pay and how long it would take, and print the cheapest first
    ///
    /// Sends no text. Each quote is signed by the account that the request has to name (`lorica request sign --prover`). A quote binds
    /// nobody: a node may decline later, when gas is dearer or it has more to do; the fee of a request that nobody serves comes back.
    Quote(quote::QuoteArgs),
    /// Hand in a signed request with its text: the service serves it once its fee is locked
    ///
    /// Sent again it is the same request. With --wait the command follows it until it is paid or ends otherwise.
    Submit(SubmitArgs),
    /// Print where a request stands that was handed in, by its name
    Request(RequestArgs),
    /// Print each change of a request until it is paid or ends otherwise
    Follow(RequestArgs),
    /// List the workers that prove for the service, with a key of the scope `work`
    Workers,
}

/// What is asked.
#[derive(Args, Debug)]
pub struct AskArgs {
    /// Name of the base, `bases/...`; it may be left out if one is served
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,
    /// Name of the adapter, `adapters/...`; without one the answer is the base's embedding
    #[arg(long, value_name = "NAME", default_value = "")]
    pub adapter: String,
    /// Name of a datanet of the adapter, `datanets/...`: the answer comes with the shares of the contributors whose records shaped
    /// it, and its proof proves them
    #[arg(long, value_name = "NAME", default_value = "", requires = "adapter")]
    pub datanet: String,
    /// The text
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
    /// Ask for the embedding, even if the adapter can classify
    #[arg(long)]
    pub embed: bool,
}

/// Arguments of `remote prove`.
#[derive(Args, Debug)]
pub struct ProveArgs {
    #[command(flatten)]
    /// What is asked.
    pub ask: AskArgs,
    /// A UUID that names the request: sent again, it gives the same proof. If absent: random
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<String>,
    /// Up to 32 bytes that bind the proof to its use. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
    /// File to write the proof to; the command waits for it
    #[arg(short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `remote get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    /// Which one.
    pub proof: NameArgs,
    /// File to write the proof to; the command waits until it is made. If absent: print where it stands
    #[arg(short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// A proof's name.
#[derive(Args, Debug)]
pub struct NameArgs {
    /// Name of the proof, `proofs/...`
    pub name: String,
}

/// Arguments of `remote key`.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// Name of the base, adapter or datanet
    pub name: String,
    /// File to write the key to (.vk)
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `remote verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The proof
    #[arg(long, value_name = "FILE")]
    pub proof: PathBuf,
    /// What the proof is bound to. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
}

/// Arguments of `remote submit`.
#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// File with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: PathBuf,
    /// Follow the request until it is paid or ends otherwise
    #[arg(long)]
    pub wait: bool,
    /// File of the request, as `lorica request sign` writes it
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
}

/// A request's name.
#[derive(Args, Debug)]
pub struct RequestArgs {
    /// Name of the request, `requests/...`
    pub name: String,
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &RemoteArgs, out: &Output) -> Result<(), Error> {
    let key = find_key(args.key_file.as_deref())?;
    let ca = args.ca.as_deref().map(|path| store::read(path, 1 << 20)).transpose()?;
    let connect = |address: &str, key: Option<&str>| Client::connect(address, key.map(str::trim), ca.clone());
    if let Call::Quote(own) = &args.call {
        return quote::run((&args.server, key.as_deref()), &connect, own, out);
    }
    let mut client = connect(&args.server, key.as_deref())?;
    match &args.call {
        Call::Models => models(&mut client, out),
        Call::Key(args) => {
            let key = client.get_key(proto::GetKeyRequest { name: args.name.clone() }, CALL)?.key;
            store::write(&args.out, &key)?;
            out.line(format!("{}: {}", args.out.display(), size(key.len() as u64)));
            out.finish("lorica.remote.key/1", json!({ "file": args.out, "bytes": key.len() }));
            Ok(())
        }
        Call::Infer(ask) => {
            let (base, input, kind) = asked(&mut client, ask)?;
            let (adapter, datanet) = (ask.adapter.clone(), ask.datanet.clone());
            let request = proto::InferRequest { base, adapter, datanet, input, kind };
            let given = client.infer(request, CALL)?.answer.unwrap_or_default();
            out.line(text_of(&given));
            let object = joined(json!({ "proven": false }), json_of(&given));
            let object = shares::shown(&mut client, object, &ask.datanet, &given, out)?;
            out.finish("lorica.remote.infer/1", object);
            Ok(())
        }
        Call::Prove(args) => prove(&mut client, args, out),
        Call::Get(args) => {
            let request = proto::GetProofRequest { name: args.proof.name.clone(), ..Default::default() };
            let proof = client.get_proof(request, CALL)?.proof.unwrap_or_default();
            finish(&mut client, proof, args.out.as_ref(), "lorica.remote.get/1", out)
        }
        Call::List => {
            let proofs = client.list_proofs(proto::ListProofsRequest::default(), CALL)?.proofs;
            for proof in &proofs {
                out.line(format!("{} {}", proof.name, state(proof)));
            }
            let proofs: Vec<Value> = proofs.iter().map(proof_json).collect();
            out.finish("lorica.remote.list/1", json!({ "proofs": proofs }));
            Ok(())
        }
        Call::Watch(args) => {
            let request = proto::WatchProofRequest { name: args.name.clone(), ..Default::default() };
            let mut changes = Vec::new();
            client.watch_proof(request, Duration::from_secs(86_400), |proof| {
                out.line(format!("{} {}", proof.sequence, state(&proof)));
                changes.push(proof_json(&proof));
            })?;
            out.finish("lorica.remote.watch/1", json!({ "changes": changes }));
            Ok(())
        }
        Call::Cancel(args) => {
            let request = proto::CancelProofRequest { name: args.name.clone() };
            let proof = client.cancel_proof(request, CALL)?.proof.unwrap_or_default();
            out.line(format!("{} {}", proof.name, state(&proof)));
            out.finish("lorica.remote.cancel/1", proof_json(&proof));
            Ok(())
        }
        Call::Verify(args) => verify(&mut client, args, out),
        Call::Node => market::node(&mut client, out),
        // Handled above: it asks several nodes.
        Call::Quote(_) => Ok(()),
        Call::Submit(args) => market::submit(&mut client, args, out),
        Call::Request(args) => market::show(&mut client, args, out),
        Call::Workers => workers(&mut client, out),
        Call::Follow(args) => market::follow(&mut client, &args.name, "lorica.remote.follow/1", out),
    }
}

fn models(client: &mut Client, out: &Output) -> Result<(), Error> {
    let bases = client.list_bases(proto::ListBasesRequest {}, CALL)?.bases;
    let adapters = client.list_adapters(proto::ListAdaptersRequest::default(), CALL)?.adapters;
    let datanets = client.list_datanets(proto::ListDatanetsRequest::default(), CALL)?.datanets;
    for base in &bases {
        out.line(format!("{}: {} layers, up to {} tokens", base.name, base.layers, base.max_tokens));
        if base.insecure_srs {
            out.warn(lorica::srs::INSECURE);
        }
    }
    for adapter in &adapters {
        out.line(format!("{}: {}", adapter.name, adapter.labels.join(", ")));
    }
    for datanet in &datanets {
        let (name, adapter) = (&datanet.name, &datanet.adapter);
        out.line(format!("{name}: {} records by {} contributors, of {adapter}", datanet.records, datanet.contributors));
    }
    let bases: Vec<Value> = bases
        .iter()
        .map(|base| json!({ "name": base.name, "max_tokens": base.max_tokens, "insecure_srs": base.insecure_srs }))
        .collect();
    let adapters: Vec<Value> = adapters
        .iter()
        .map(|own| json!({ "name": own.name, "base": own.base, "labels": own.labels, "classifies": own.classifies }))
        .collect();
    let datanet = |own: &proto::Datanet| {
        json!({ "name": own.name, "adapter": own.adapter, "version": hex::encode(&own.version), "records": own.records,
            "contributors": own.contributors })
    };
    let datanets: Vec<Value> = datanets.iter().map(datanet).collect();
    out.finish("lorica.remote.models/1", json!({ "bases": bases, "adapters": adapters, "datanets": datanets }));
    Ok(())
}

fn workers(client: &mut Client, out: &Output) -> Result<(), Error> {
    let listed = client.list_workers(proto::ListWorkersRequest {}, CALL)?;
    let seconds = |time: &Option<lorica_service::client::Timestamp>| time.as_ref().map(|time| time.seconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed());
    let ago = |time: &Option<_>| {
        seconds(time).map_or_else(String::new, |at| format!("{} s ago", now.saturating_sub(at).max(0)))
    };
    let state = |own: &proto::Worker| own.state().as_str_name().trim_start_matches("WORKER_STATE_").to_owned();
    for own in &listed.workers {
        let work = match own.lease.as_str() {
            "" => String::new(),
            lease => format!(", {lease} since {}", ago(&own.lease_time).trim_end_matches(" ago")),
        };
        let (completed, failed, seen) = (own.completed, own.failed, ago(&own.seen_time));
        let name = &own.name;
        out.line(format!(
            "{name} {}{work}, seen {seen}, {completed} done, {failed} failed, key {}",
            state(own),
            own.key
        ));
    }
    out.line(if listed.in_process { "the service proves itself, too" } else { "the service does not prove itself" });
    let shown = |own: &proto::Worker| {
        json!({ "name": own.name, "state": state(own), "key": own.key, "lease": own.lease,
            "lease_time": seconds(&own.lease_time), "seen_time": seconds(&own.seen_time),
            "register_time": seconds(&own.register_time), "completed": own.completed, "failed": own.failed })
    };
    let workers: Vec<Value> = listed.workers.iter().map(shown).collect();
    out.finish("lorica.remote.workers/1", json!({ "workers": workers, "in_process": listed.in_process }));
    Ok(())
}

/// What API keys begin with.
const KEY_PREFIX: &str = "lrk_";

/// The API key of a file or of the variable LORICA_API_KEY, if there is one.
///
/// # Errors
/// [`Error`] names the file or the variable that holds something else.
pub(super) fn find_key(file: Option<&Path>) -> Result<Option<String>, Error> {
    let key = match file {
        Some(path) => Some(read_key(path)?),
        None => std::env::var("LORICA_API_KEY").ok().filter(|key| !key.is_empty()),
    };
    if file.is_none() && key.as_ref().is_some_and(|key| !key.trim().starts_with(KEY_PREFIX)) {
        let reason = format!("LORICA_API_KEY holds no API key, which begins with {KEY_PREFIX}; nothing was sent");
        return Err(Error::Usage(reason));
    }
    Ok(key)
}

/// The API key in a file. What is none is not sent: it may be an account's private key.
fn read_key(path: &Path) -> Result<String, Error> {
    let key = String::from_utf8(store::read(path, 4_096)?).unwrap_or_default();
    if !key.trim().starts_with(KEY_PREFIX) {
        let reason = format!(
            "not an API key, which begins with {KEY_PREFIX}, as `lorica api-key add` prints it; nothing was sent"
        );
        return Err(Error::refused(path, reason));
    }
    Ok(key)
}

/// The base, if there is one only.
fn only_base(client: &mut Client) -> Result<String, Error> {
    let served = client.list_bases(proto::ListBasesRequest {}, CALL)?.bases;
    match served.as_slice() {
        [only] => Ok(only.name.clone()),
        _ => Err(Error::Usage(format!("{} bases are served: --base is needed", served.len()))),
    }
}

fn asked(client: &mut Client, ask: &AskArgs) -> Result<(String, Option<proto::Input>, i32), Error> {
    let base = ask.base.clone().map_or_else(|| only_base(client), Ok)?;
    let input = proto::Input { input: Some(proto::input::Input::Text(ask.text.clone())), salt: Vec::new() };
    let kind = if ask.embed { proto::OutputKind::Embed } else { proto::OutputKind::Unspecified };
    Ok((base, Some(input), kind.into()))
}

fn prove(client: &mut Client, args: &ProveArgs, out: &Output) -> Result<(), Error> {
    let (base, input, kind) = asked(client, &args.ask)?;
    let request_id = args.request_id.clone().map_or_else(random_request_id, Ok)?;
    let context = args.context.map(|context| encode_scalar(&context.0).to_vec()).unwrap_or_default();
    let (adapter, datanet) = (args.ask.adapter.clone(), args.ask.datanet.clone());
    let request =
        proto::CreateProofRequest { request_id, base, adapter, datanet, input, kind, context, ..Default::default() };
    let proof = client.create_proof(request, CALL)?.proof.unwrap_or_default();
    finish(client, proof, args.out.as_ref(), "lorica.remote.prove/1", out)
}

/// Says what a proof is, and waits for it if a file is to be written.
fn finish(
    client: &mut Client,
    mut proof: proto::Proof,
    file: Option<&PathBuf>,
    schema: &str,
    out: &Output,
) -> Result<(), Error> {
    let answer = proof.answer.clone().unwrap_or_default();
    out.line(format!("{}: {}", proof.name, text_of(&answer)));
    let shares = shares::shown(client, json!({}), &proof.datanet, &answer, out)?;
    let Some(file) = file else {
        out.line(state(&proof));
        out.finish(schema, joined(proof_json(&proof), shares));
        return Ok(());
    };
    let start = Instant::now();
    loop {
        let wait = wait_time(20);
        let view = proto::ProofView::Full.into();
        let request = proto::GetProofRequest { name: proof.name.clone(), view, wait };
        proof = client.get_proof(request, CALL)?.proof.unwrap_or_default();
        match proof.state() {
            proto::ProofState::Queued | proto::ProofState::Proving => out.steps().step(&state(&proof)),
            proto::ProofState::Proven => break,
            _ => return Err(Error::NotProven(format!("{} is {}", proof.name, state(&proof)))),
        }
        if start.elapsed() > Duration::from_secs(86_400) {
            return Err(Error::NotProven(format!("{} is not done after a day", proof.name)));
        }
    }
    store::write(file, &proof.inference_proof)?;
    out.line(format!("{}: {}", file.display(), size(proof.inference_proof.len() as u64)));
    let written = json!({ "file": file, "bytes": proof.inference_proof.len() });
    out.finish(schema, joined(joined(proof_json(&proof), shares), json!({ "proof": written })));
    Ok(())
}

fn wait_time(seconds: i64) -> Option<lorica_service::client::WaitTime> {
    Some(lorica_service::client::WaitTime { seconds, nanos: 0 })
}

fn verify(client: &mut Client, args: &VerifyArgs, out: &Output) -> Result<(), Error> {
    let inference_proof = store::read(&args.proof, MAX_PROOF_BYTES)?;
    let context = encode_scalar(&context_word(args.context)).to_vec();
    let request = proto::VerifyProofRequest { inference_proof, context, ..Default::default() };
    let verdict = client.verify_proof(request, CALL)?;
    if !verdict.accepted {
        return Err(ClientError::Rejected(verdict.reason).into());
    }
    let mut requests = Vec::new();
    for request in &verdict.requests {
        let given = request.answer.clone().unwrap_or_default();
        out.line(format!("accepted by the service: {}", text_of(&given)));
        let object = joined(json!({ "adapter": request.adapter }), json_of(&given));
        // Only requests of the datanet's adapter have shares.
        let datanet = if given.shares.is_empty() { "" } else { &verdict.datanet };
        requests.push(shares::shown(client, object, datanet, &given, out)?);
    }
    let verdict = json!({ "accepted": true, "base": verdict.base, "datanet": verdict.datanet, "requests": requests });
    out.finish("lorica.remote.verify/1", verdict);
    Ok(())
}

fn state(proof: &proto::Proof) -> String {
    let name = proof.state().as_str_name().trim_start_matches("PROOF_STATE_").to_owned();
    match &proof.failure {
        Some(failure) => format!("{name} ({}: {})", failure.reason, failure.message),
        None => name,
    }
}

fn text_of(given: &proto::Answer) -> String {
    answer(given).map_or_else(|| "no answer".into(), |own| own.text())
}

fn json_of(given: &proto::Answer) -> Value {
    let own = answer(given).map_or(Value::Null, |own| own.json());
    joined(json!({ "tokens": given.tokens }), own)
}

fn proof_json(proof: &proto::Proof) -> Value {
    let own = json!({
        "name": proof.name, "state": proof.state().as_str_name(), "base": proof.base, "adapter": proof.adapter,
        "datanet": proof.datanet, "index": proof.index, "sequence": proof.sequence,
        "failure": proof.failure.as_ref().map(|failure| json!({ "reason": failure.reason, "message": failure.message })),
    });
    joined(own, json_of(&proof.answer.clone().unwrap_or_default()))
}
