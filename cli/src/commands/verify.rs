//! `lorica verify`: check a proof against registered keys, and say what it proves.

use std::path::Path;
use std::time::Instant;

use lorica::answer::Answer;
use lorica::answer::printable;
use lorica::check::{
    CheckError, ExpectedRequest, check_inference, expect_requests, expect_some_adapter, expect_some_index,
};
use lorica::datanet::source::Contributor;
use lorica::files::{AdapterKey, BaseKey, MAX_PROOF_BYTES, read_adapter_key, read_base_key, read_index_key, store};
use lorica::input::{Request, context_word, encode, read_requests, tokenizer};
use lorica::srs::{INSECURE, SrsPolicy};
use lorica_circuits::bn254::Fr;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::RequestWords;
use serde_json::json;

use super::shares::{Listed, index_json, with_shares};
pub use super::verify_args::VerifyArgs;
use super::{shape_json, shape_text, short, word};
use crate::error::{Error, Kind};
use crate::output::{Output, joined, milliseconds, time};

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`] if the proof does not hold or is about something else.
pub fn run(args: &VerifyArgs, out: &Output) -> Result<(), Error> {
    let base = read_base_key(&args.base)?;
    if base.verifier_key().is_insecure() {
        out.warn(INSECURE);
    }
    if args.settlement.is_none() && (args.key.is_some() || args.circuit.is_some()) {
        out.warn("--key and --circuit are for --settlement: they were not looked at");
    }
    let path = match (&args.proof, &args.settlement, &args.key) {
        (Some(path), _, _) => path,
        (None, Some(settlement), Some(key)) => {
            return super::verify_settlement::run(args, settlement, key, &base, out);
        }
        _ => return Err(Error::Usage("either --proof, or --settlement with --key is needed".into())),
    };
    let expected = match (&args.text, &args.requests) {
        (Some(text), _) => Some(vec![Request { text: text.clone(), adapter: None, salt: None }]),
        (None, Some(path)) => Some(read_requests(path)?),
        (None, None) => None,
    };
    let mut keys = Vec::new();
    for path in &args.adapter {
        keys.push(read_adapter_key(path, &base)?);
    }
    let given = keys.len();
    let mut expected_ids = Vec::new();
    for request in expected.iter().flatten() {
        let id = match &request.adapter {
            Some(path) => {
                let key = read_adapter_key(path, &base)?;
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
    let (mut indexes, mut descriptions) = (Vec::new(), Vec::new());
    for path in &args.datanet {
        let (key, description) = read_index_key(path)?;
        descriptions.push((key.id(), description));
        indexes.push(key);
    }
    let tokenizer = expected.as_ref().map(|_| tokenizer(&base)).transpose()?;
    let mut named = Vec::new();
    for (index, (request, adapter)) in expected.iter().flatten().zip(expected_ids).enumerate() {
        if let Some(tokenizer) = &tokenizer {
            let ids = encode(tokenizer, index, &request.text)?;
            named.push(ExpectedRequest { ids, adapter, salt: request.salt });
        }
    }
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let check = || -> Result<_, CheckError> {
        let start = Instant::now();
        // The warning above is what the command says of the development SRS.
        let policy = SrsPolicy::DevelopmentForTests;
        let accepted = check_inference(&base, &keys, &indexes, context_word(args.context), &bytes, policy)?;
        let spent = start.elapsed();
        expect_some_adapter(&accepted.proof, &keys[..given])?;
        expect_some_index(&accepted.proof, &indexes)?;
        if expected.is_some() {
            expect_requests(&accepted.proof, &named)?;
        }
        Ok((accepted.proof, accepted.words, spent))
    };
    match check() {
        Ok((proof, words, spent)) => {
            let of = |index: Fr| descriptions.iter().find(|(id, _)| *id == index);
            let own = proof.statement.attribution.and_then(|own| of(own.index));
            let contributors = own.map_or(&[][..], |(_, description)| &description.contributors);
            let seen = (bytes.len() as u64, spent, expected.is_some());
            accept(path, &base, &keys, contributors, &proof, &words, seen, out);
            Ok(())
        }
        Err(error) => {
            let error = Error::from(error);
            if error.kind() == Kind::Rejected {
                out.line(format!("REJECTED {}", printable(&path.display().to_string())));
            }
            Err(error)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "what one page says")]
fn accept(
    path: &Path,
    base: &BaseKey,
    keys: &[AdapterKey],
    contributors: &[Contributor],
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
        requests.push(with_shares(object, Listed::of(statement, request, contributors), Some(out)));
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
            "context": word(&statement.context), "shape": shape_json(&statement.shape), "index": index_json(statement), "requests": requests,
            "not_checked": not_checked, "bytes": bytes, "check_ms": milliseconds(spent),
        }),
    );
}
