//! `lorica prove`: execute a batch and prove the execution.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use lorica::answer::Answer;
use lorica::datanet::source::Contributor;
use lorica::files::{AdapterFile, BaseFile, DatanetFile, PROOF_MAGIC, store};
use lorica::input::{
    Context, Request, Salt, WordError, context_word, encode, parse_context, parse_salt, random_salt, read_requests,
    tokenizer,
};
use lorica::prover::{Job, LoadedAdapter, MinimumShape, Prover};
use lorica::srs::INSECURE;
use lorica_circuits::bn254::Fr;
use lorica_verifier::protocol::proof::InferenceProof;
use serde_json::json;

use super::shares::{Listed, index_json, with_shares};
use super::{shape_json, shape_text, short, word};
use crate::error::Error;
use crate::output::{Output, joined, peak_memory, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// Arguments of `prove`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("input").required(true).args(["text", "requests"]))]
pub struct ProveArgs {
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// An imported adapter (.lorica) of that base, for --text; without one the answer is the base's embedding
    #[arg(long, value_name = "FILE", conflicts_with = "requests")]
    pub adapter: Option<PathBuf>,
    /// The one text to prove an answer for
    #[arg(long, allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Batch of requests, one JSON object per line: `text`, and if wanted `adapter` (a .lorica file) and `salt` (31 bytes in
    /// hexadecimal)
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// Salt of the text's digest, 31 bytes. If absent: random
    #[arg(long, value_name = "HEX", conflicts_with = "requests", value_parser = parse_hex_salt)]
    pub salt: Option<SaltArg>,
    /// Up to 32 bytes that bind the proof to its use: `verify` accepts it with the same ones only. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
    /// Binding file, as `lorica request bind` writes it: the chain, contract, payee, request ids and fees that the proof is for
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub binding: Option<PathBuf>,
    /// Least number of requests in the shape of the proof; raise it to the shape of an enabled circuit
    #[arg(long, value_name = "REQUESTS", default_value_t = 1)]
    pub slots: usize,
    /// Least number of tokens of a text in the shape of the proof; raise it to the shape of an enabled circuit (`lorica
    /// settlement-key` makes one of 32 tokens if nothing else is said)
    #[arg(long, default_value_t = 16)]
    pub tokens: usize,
    /// Prove embeddings, even if the adapters can classify
    #[arg(long, conflicts_with = "datanet")]
    pub embed: bool,
    /// Datanet (.lorica) whose records the adapter was trained on: also prove whose records shaped each answer of the adapter
    /// that names it, and by how much
    #[arg(long, value_name = "FILE")]
    pub datanet: Option<PathBuf>,
    /// File to write the proof to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// A salt on the command line; its debug form hides it.
#[derive(Clone)]
pub struct SaltArg(Salt);

impl std::fmt::Debug for SaltArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltArg(..)")
    }
}

fn parse_hex_salt(text: &str) -> Result<SaltArg, WordError> {
    parse_salt(text).map(SaltArg)
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(args: &ProveArgs, out: &Output) -> Result<(), Error> {
    let requests = match (&args.text, &args.requests) {
        (Some(text), None) => vec![Request {
            text: text.clone(),
            adapter: args.adapter.clone(),
            salt: args.salt.as_ref().map(|salt| salt.0),
        }],
        (None, Some(path)) => read_requests(path)?,
        _ => return Err(Error::Usage("either --text or --requests is needed".into())),
    };
    let context = match &args.binding {
        Some(path) => bound_context(path, requests.len())?,
        None => context_word(args.context),
    };
    store::expect_writable(&args.out, PROOF_MAGIC)?;
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    srs.expect_of(&base.key.commitments)?;
    if base.key.verifier_key().is_insecure() {
        out.warn(INSECURE);
    }
    let tokenizer = tokenizer(&base.key)?;
    let ids = requests.iter().enumerate().map(|(index, request)| encode(&tokenizer, index, &request.text));
    let ids: Vec<Vec<u32>> = ids.collect::<Result<_, _>>()?;
    let prover = out.step("lay out", || Prover::new(srs, base))?;
    let adapters = out.step("load adapters", || load_adapters(&prover, &requests))?;
    let mut jobs = Vec::with_capacity(requests.len());
    for (request, ids) in requests.iter().zip(ids) {
        let adapter = request.adapter.as_deref().and_then(|path| adapters.get(path));
        let salt = request.salt.map_or_else(random_salt, Ok)?;
        jobs.push(Job { ids, adapter, salt });
    }
    let datanet =
        args.datanet.as_deref().map(|path| out.step("load datanet", || DatanetFile::load(path))).transpose()?;
    let contributors = datanet.as_ref().map(|file| file.version.contributors.clone()).unwrap_or_default();
    let index = datanet.map(|file| out.step("lay out the index", || prover.load_index(file))).transpose()?;
    let least = MinimumShape { requests: args.slots, tokens: args.tokens, embed: args.embed };
    let proven = prover.prove_attributed(&jobs, index.as_ref(), least, context, &out.steps())?;
    out.add_phases(proven.phases);
    let bytes = proven.proof.encode();
    out.step("write", || store::write(&args.out, &bytes))?;
    report(args, &prover, &jobs, &contributors, &proven.proof, bytes.len() as u64, out);
    Ok(())
}

/// The context of a binding for so many requests.
fn bound_context(path: &Path, requests: usize) -> Result<Fr, Error> {
    let binding = lorica::binding::read(path)?;
    if binding.requests.len() != requests {
        let reason = format!("binds {} requests, {requests} are to be proven", binding.requests.len());
        return Err(Error::refused(path, reason));
    }
    Ok(binding.context())
}

/// Each adapter file once.
fn load_adapters<'r>(prover: &Prover, requests: &'r [Request]) -> Result<BTreeMap<&'r Path, LoadedAdapter>, Error> {
    let mut adapters = BTreeMap::new();
    for path in requests.iter().filter_map(|request| request.adapter.as_deref()) {
        if !adapters.contains_key(path) {
            let file = AdapterFile::load(path, prover.key())?;
            adapters.insert(path, prover.load_adapter(file)?);
        }
    }
    Ok(adapters)
}

fn report(
    args: &ProveArgs,
    prover: &Prover,
    jobs: &[Job<'_>],
    contributors: &[Contributor],
    proof: &InferenceProof,
    bytes: u64,
    out: &Output,
) {
    let statement = &proof.statement;
    let phases = out.take_phases();
    out.line(format!("{}: {}", args.out.display(), size(bytes)));
    out.line(format!("  base {}, {}", short(&statement.base), shape_text(&statement.shape)));
    let mut requests = Vec::new();
    for (index, (request, job)) in statement.requests.iter().zip(jobs).enumerate() {
        let labels = job.adapter.map_or(&[][..], |adapter| &adapter.key().labels);
        let answer = Answer::new(&request.output, labels, request.ids.len(), prover.key().output_exponent);
        let adapter = (request.adapter != Fr::zero()).then(|| word(&request.adapter));
        let name = if adapter.is_some() { short(&request.adapter) } else { "none".into() };
        out.line(format!("  request {index}: adapter {name}, {} tokens; {}", request.ids.len(), answer.text()));
        let object = joined(json!({ "adapter": adapter, "tokens": request.ids.len() }), answer.json());
        requests.push(with_shares(object, Listed::of(statement, request, contributors), Some(out)));
    }
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    let total: std::time::Duration = phases.iter().map(|(_, spent)| *spent).sum();
    out.line(format!("  {:<28} {}", "total", time(total)));
    if let Some(memory) = peak_memory() {
        out.line(format!("  {:<28} {}", "peak memory", size(memory)));
    }
    out.finish(
        "lorica.prove/1",
        json!({
            "proof": { "file": args.out, "bytes": bytes }, "base": word(&statement.base),
            "context": word(&statement.context), "srs": word(&statement.srs),
            "insecure_srs": prover.key().verifier_key().is_insecure(),
            "shape": shape_json(&statement.shape), "index": index_json(statement), "requests": requests,
            "phases": phases_json(&phases),
            "total_ms": crate::output::milliseconds(total), "peak_memory_bytes": peak_memory(),
        }),
    );
}
