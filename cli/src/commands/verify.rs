//! `lorica verify`: check a proof against registered keys, and say what it proves.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args};
use lorica_chain::alloy_primitives::B256;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::OutputKind;
use lorica_verifier::key::AdapterCommitments;
use lorica_verifier::proof::InferenceProof;
use lorica_verifier::statement::RequestWords;
use lorica_verifier::verify::verify;
use serde_json::json;

use super::{shape_json, shape_text, short, word};
use crate::answer::Answer;
use crate::error::{Error, Kind};
use crate::files::{AdapterKey, BaseKey, MAX_PROOF_BYTES, store};
use crate::output::{Output, joined, milliseconds, printable, time};
use crate::requests::{Context, Request, context_word, encode, parse_context, read_requests};
use crate::srs_source::INSECURE;

/// Arguments of `verify`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["proof", "settlement"]))]
pub struct VerifyArgs {
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of the adapters that the proof may use (.vk; .lorica files will do); it must use one of them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// The inference proof to check
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Instead of --proof: a settlement to check, as the contract would; needs --key
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["text", "requests", "context"])]
    pub settlement: Option<PathBuf>,
    /// Settlement key (.vk) of the settlement
    #[arg(long, value_name = "FILE", requires = "settlement")]
    pub key: Option<PathBuf>,
    /// Circuit id that the settlement must have, from a source that you trust or from `lorica settlement-key`. Without it a false
    /// key file can make any settlement pass
    #[arg(long, value_name = "ID", requires = "settlement")]
    pub circuit: Option<B256>,
    /// Reject the proof if it is not about this text
    #[arg(long, allow_hyphen_values = true, conflicts_with = "requests")]
    pub text: Option<String>,
    /// Reject the proof if it is not about these requests: JSON lines as for `lorica prove`, with .lorica or .vk adapters
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// Reject the proof if it was made with another --context. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the proof does not hold or is about something else.
pub fn run(args: &VerifyArgs, out: &Output) -> Result<(), Error> {
    let base = BaseKey::load(&args.base)?;
    if base.verifier_key().is_insecure() {
        out.warn(INSECURE);
    }
    let path = match (&args.proof, &args.settlement, &args.key) {
        (Some(path), _, _) => path,
        (None, Some(settlement), Some(key)) => {
            return super::verify_settlement::run(settlement, key, args.circuit, &base, &args.adapter, out);
        }
        _ => return Err(Error::Usage("either --proof, or --settlement with --key is needed".into())),
    };
    let mut expected = match (&args.text, &args.requests) {
        (Some(text), _) => Some(vec![Request { text: text.clone(), adapter: None, salt: None }]),
        (None, Some(path)) => Some(read_requests(path)?),
        (None, None) => None,
    };
    let mut keys = Vec::new();
    for path in &args.adapter {
        keys.push(AdapterKey::load_for(path, &base)?);
    }
    let given = keys.len();
    let mut expected_ids = Vec::new();
    for request in expected.iter_mut().flatten() {
        let id = match &request.adapter {
            Some(path) => {
                let key = AdapterKey::load_for(path, &base)?;
                let id = key.commitments.id();
                keys.push(key);
                Some(id)
            }
            // A requests file without --adapter says everything: no adapter is the null adapter.
            None if args.requests.is_some() && given == 0 => Some(Fr::zero()),
            None => None,
        };
        expected_ids.push(id);
    }
    let tokenizer = expected.as_ref().map(|_| base.tokenizer()).transpose()?;
    let mut texts = Vec::new();
    for (index, request) in expected.iter().flatten().enumerate() {
        if let Some(tokenizer) = &tokenizer {
            texts.push(encode(tokenizer, index, &request.text)?);
        }
    }
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let check = || {
        let start = Instant::now();
        let proof = InferenceProof::decode(&bytes).map_err(Error::MalformedProof)?;
        let words = check(&base, &keys, context_word(args.context), &proof)?;
        let spent = start.elapsed();
        check_heads(&proof, &base, &keys)?;
        if given > 0
            && !proof.statement.requests.iter().any(|r| keys[..given].iter().any(|k| k.commitments.id() == r.adapter))
        {
            return Err(Error::Mismatch("it uses none of the adapters given".into()));
        }
        if let Some(expected) = &expected {
            check_requests(&proof, expected, &texts, &expected_ids)?;
        }
        Ok((proof, words, spent))
    };
    match check() {
        Ok((proof, words, spent)) => {
            accept(path, &base, &keys, &proof, &words, (bytes.len() as u64, spent, expected.is_some()), out);
            Ok(())
        }
        Err(error) => {
            if error.kind() == Kind::Rejected {
                out.line(format!("REJECTED {}", printable(&path.display().to_string())));
            }
            Err(error)
        }
    }
}

/// The cryptographic check.
///
/// # Errors
/// [`Error::Verify`].
pub fn check(
    base: &BaseKey,
    adapters: &[AdapterKey],
    context: Fr,
    proof: &InferenceProof,
) -> Result<Vec<RequestWords<Fr>>, Error> {
    let keys: Vec<AdapterCommitments> = adapters.iter().map(|key| key.commitments.clone()).collect();
    let outcome = verify(&base.verifier_key(), &base.commitments, &keys, &context, proof)?;
    Ok(outcome.requests)
}

/// No label without a head. The protocol refuses an absent label as the winner; this says it in words.
fn check_heads(proof: &InferenceProof, base: &BaseKey, keys: &[AdapterKey]) -> Result<(), Error> {
    if proof.statement.shape.output != OutputKind::Classify {
        return Ok(());
    }
    if !base.has_pooler {
        return Err(Error::Mismatch("it states labels, but the base cannot classify".into()));
    }
    for (index, request) in proof.statement.requests.iter().enumerate() {
        let headless = |key: &AdapterKey| key.commitments.id() == request.adapter && !key.has_head;
        if keys.iter().any(headless) {
            return Err(Error::Mismatch(format!("request {index} states a label, but its adapter has no head")));
        }
    }
    Ok(())
}

/// Whether the statement is about these requests.
fn check_requests(
    proof: &InferenceProof,
    expected: &[Request],
    texts: &[Vec<u32>],
    adapters: &[Option<Fr>],
) -> Result<(), Error> {
    let stated = &proof.statement.requests;
    if stated.len() != expected.len() {
        let (got, want) = (stated.len(), expected.len());
        return Err(Error::Mismatch(format!("it has {got} requests, {want} were expected")));
    }
    let all = stated.iter().zip(expected).zip(texts).zip(adapters).enumerate();
    for (index, (((stated, request), ids), adapter)) in all {
        let wrong = |what: &str| Err(Error::Mismatch(format!("request {index} has another {what}")));
        if stated.ids != *ids {
            return wrong("text");
        }
        if adapter.is_some_and(|id| id != stated.adapter) {
            return wrong("adapter");
        }
        if request.salt.is_some_and(|salt| salt != stated.salt) {
            return wrong("salt");
        }
    }
    Ok(())
}

fn accept(
    path: &Path,
    base: &BaseKey,
    keys: &[AdapterKey],
    proof: &InferenceProof,
    words: &[RequestWords<Fr>],
    (bytes, spent, text_checked): (u64, std::time::Duration, bool),
    out: &Output,
) {
    let statement = &proof.statement;
    out.line(format!("ACCEPTED {} ({bytes} bytes) in {}", path.display(), time(spent)));
    out.line(format!("  base     {}", word(&statement.base)));
    out.line(format!("  context  {}", word(&statement.context)));
    out.line(format!("  shape    {}", shape_text(&statement.shape)));
    let mut requests = Vec::new();
    for (index, (request, words)) in statement.requests.iter().zip(words).enumerate() {
        let key = keys.iter().find(|key| key.commitments.id() == request.adapter);
        let labels = key.map_or(&[][..], |key| &key.labels);
        let answer = Answer::new(&request.output, labels, request.ids.len(), base.output_exponent);
        let adapter = (request.adapter != Fr::zero()).then(|| word(&request.adapter));
        let name = if adapter.is_some() { short(&request.adapter) } else { "none".into() };
        out.line(format!("  request {index}: adapter {name}, {} tokens; {}", request.ids.len(), answer.text()));
        out.line(format!("    input {}  output {}", short(&words.input_digest), short(&words.output_digest)));
        let object = joined(
            json!({
                "adapter": adapter, "tokens": request.ids.len(), "input_digest": word(&words.input_digest),
                "output_digest": word(&words.output_digest),
            }),
            answer.json(),
        );
        requests.push(object);
    }
    if !text_checked {
        out.line("  not checked: the text (give --text or --requests)");
    }
    let not_checked: &[&str] = if text_checked { &[] } else { &["text"] };
    out.finish(
        "lorica.verify/1",
        json!({
            "accepted": true, "base": word(&statement.base), "architecture": word(&statement.architecture),
            "srs": word(&statement.srs), "insecure_srs": base.verifier_key().is_insecure(),
            "context": word(&statement.context), "shape": shape_json(&statement.shape), "requests": requests,
            "not_checked": not_checked, "bytes": bytes, "check_ms": milliseconds(spent),
        }),
    );
}
