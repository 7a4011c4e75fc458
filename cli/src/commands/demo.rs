//! `lorica demo`: the whole way once, on a real model, from import to a contract's verdict, and forgeries that are rejected.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use lorica::answer::Answer;
use lorica::check::{Accepted, CheckError, check_inference};
use lorica::files::{AdapterFile, AdapterKey, BaseKey, FileError, store};
use lorica::import::{ImportSizes, Imported, calibration_texts, import_base, load_adapter};
use lorica::input::{encode, input_word, random_salt, tokenizer};
use lorica::prover::{Job, MinimumShape, Prover};
use lorica::registration::register_adapter;
use lorica::srs::{AcceptedSrs, INSECURE, SrsPolicy};
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::integer::BaseModel;
use lorica_settlement::statement::CircuitShape;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::proof::{InferenceProof, Output as Published};
use serde_json::{Value, json};

use super::demo_chain::Stage;
use super::demo_datanet::{Datanet, Shaping};
use super::demo_page::{Facts, chain_digests, page};
use super::model::{parse_tau, quality_json};
use super::settlement_key::settler;
use super::{shape_json, shape_text, short, word};
use crate::error::Error;
use crate::model_fetch::{cache_dir, fetch_minilm};
use crate::output::{Output, milliseconds, peak_memory, phases_json, size, time};
use crate::srs_args::development;

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Size of a tile: 2^TAU cells, TAU being 18, 20 or 22. Smaller tiles prove faster, and cost more gas to settle
    #[arg(long, default_value_t = 20, value_parser = parse_tau)]
    pub tau: u32,
    /// Text to classify; its tokens decide the shape of the proof
    #[arg(long, allow_hyphen_values = true, default_value = TEXT)]
    pub text: String,
    /// Rows of the datanet on which the answer is said to rest: descriptions of Debian packages, at most 1,977. More take longer, about
    /// 40 ms of one core each
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(20..=1977))]
    pub rows: u16,
    /// The project's fixtures folder, to take the adapters and rows from. If absent, built-in copies serve
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
    /// HTML page to write about the run
    #[arg(long, value_name = "FILE", default_value = "lorica-demo.html")]
    pub report: PathBuf,
    /// Folder to leave base, adapters and proof in. If absent, they are not kept
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// 32 tokens with the special ones: the description of a package that is in no fixture.
const TEXT: &str = "Python module for parsing and writing spreadsheet files with formulas, charts and styles, \
                    without an office suite; works with large tables and streams rows";

/// The files of one fixture adapter: config, weights, labels.
struct Embedded {
    name: &'static str,
    files: [(&'static str, &'static [u8]); 3],
}

macro_rules! embedded {
    ($name:literal) => {
        Embedded {
            name: $name,
            files: [
                (
                    "adapter_config.json",
                    include_bytes!(concat!("../../../fixtures/adapters/", $name, "/adapter_config.json")),
                ),
                (
                    "adapter_model.safetensors",
                    include_bytes!(concat!("../../../fixtures/adapters/", $name, "/adapter_model.safetensors")),
                ),
                ("labels.json", include_bytes!(concat!("../../../fixtures/adapters/", $name, "/labels.json"))),
            ],
        }
    };
}

/// The adapter that answers, and one that a forger claims instead.
const ADAPTERS: [Embedded; 2] = [embedded!("debian-qv-r8"), embedded!("debian-attn-r4")];

/// A forgery and why it was rejected.
struct Forgery {
    name: &'static str,
    /// `None` if it was accepted, which must never happen.
    verdict: Option<String>,
}

/// Runs it.
///
/// # Errors
/// [`Error`]; in particular if an honest proof is rejected or a forgery accepted.
pub fn run(args: &DemoArgs, out: &Output) -> Result<(), Error> {
    let start = Instant::now();
    out.warn(INSECURE);
    let model = out.step("fetch model", || fetch_minilm(&cache_dir()?))?;
    let srs = Arc::new(development(args.tau, out)?);
    let sizes = ImportSizes { tau: args.tau, ..ImportSizes::default() };
    let Imported { file: base, quality, encoder, phases } =
        import_base(&model, &calibration_texts(None)?, sizes, &srs, &out.steps())?;
    out.add_phases(phases);
    drop(encoder);
    let [plain, other] = out.step("import two adapters", || {
        let [plain, other] =
            ADAPTERS.each_ref().map(|own| import_adapter(own, args.fixtures.as_deref(), &srs, &base.key, &base.model));
        Ok::<_, Error>([plain?, other?])
    })?;
    let base_bytes = base.encode().len();
    let key_bytes = base.key.encode().len();
    let adapter_key_bytes = plain.key.encode().len();
    if let Some(folder) = &args.keep {
        std::fs::create_dir_all(folder).map_err(FileError::writing(folder))?;
        base.store(&folder.join("base.lorica"))?;
        for (adapter, own) in [&plain, &other].into_iter().zip(&ADAPTERS) {
            adapter.store(&folder.join(own.name).with_extension("lorica"))?;
        }
    }
    let datanet = Datanet::build(&base, &plain, &srs, args.fixtures.as_deref(), args.rows.into(), out)?;
    if let Some(folder) = &args.keep {
        datanet.file.store(&folder.join("datanet.lorica"))?;
        datanet.adapter.store(&folder.join("datanet.adapter.lorica"))?;
    }
    let registration = out.take_phases();

    let ids = encode(&tokenizer(&base.key)?, 0, &args.text)?;
    let prover = out.step("lay out", || Prover::new(srs.clone(), base))?;
    // The adapter that answers is the one that names the datanet's version.
    let keys = [datanet.adapter.key.clone(), other.key];
    let shaping = datanet.shaping(prover.executor(), &datanet.adapter, &ids)?;
    let adapter = Some(prover.load_adapter(datanet.adapter.clone())?);
    let index = prover.load_index(datanet.file.clone())?;
    out.take_phases();
    let salt = random_salt()?;
    let architecture = &prover.key().commitments.architecture;
    let shape = architecture.shape(1, ids.len(), args.tau, OutputKind::Classify)?;
    let shape = Shape { records: datanet.key.commitments.records, ..shape };
    let input = input_word(&salt, &ids, architecture.max_tokens);
    let settler = settler(srs.clone())?;
    let ranged = datanet.ranged(prover.key(), &datanet.adapter.key, &srs, &settler, out)?;
    out.add_phases(ranged.phases.clone());
    let index_phases = out.take_phases();
    let key = settler.key(&CircuitShape::of(&prover.key().commitments, shape), &out.steps())?;
    let stage = out.step("publish and lock", || Stage::new(prover.key(), &keys, &datanet, &ranged, &input, key))?;
    let context = stage.binding().context();
    let on_chain_before = out.take_phases();
    let jobs = [Job { ids: ids.clone(), adapter: adapter.as_ref(), salt }];
    let proven = prover.prove_attributed(&jobs, Some(&index), MinimumShape::default(), context, &out.steps())?;
    out.add_phases(proven.phases);
    let proving = out.take_phases();
    let bytes = proven.proof.encode();
    if let Some(folder) = &args.keep {
        store::write(&folder.join("demo.proof"), &bytes)?;
    }

    let verification = Instant::now();
    let indexes = [datanet.key.clone()];
    // The demo has warned of the development SRS.
    let check =
        |bytes: &[u8]| check_inference(prover.key(), &keys, &indexes, context, bytes, SrsPolicy::DevelopmentForTests);
    let Accepted { proof, words } = check(&bytes)?;
    let verified = verification.elapsed();
    let verdict = |bytes: &[u8]| check(bytes).map(drop);
    let forgeries = out.step("forge", || forge(&bytes, &proof, &keys, verdict));
    out.take_phases();
    let mut on_chain = stage.settle(prover.key(), &keys, &datanet, &proof, out)?;
    on_chain.phases.splice(0..0, on_chain_before);

    let sizes = Sizes { base: base_bytes, base_key: key_bytes, adapter_key: adapter_key_bytes, proof: bytes.len() };
    let labels = keys.first().map_or(&[][..], |key| &key.labels);
    let output = proof.statement.requests.first().map(|request| &request.output);
    let answer = output.map(|output| Answer::new(output, labels, ids.len(), prover.key().output_exponent));
    let times = Times { registration, index: index_phases, proving, verified, total: start.elapsed() };
    table(args, &proof, answer.as_ref(), &quality, &times, &sizes, &forgeries, out);
    on_chain.print(out);
    shaping_lines(&shaping, out);
    let mut digests = chain_digests(&on_chain);
    digests.extend([
        ("base", word(&proof.statement.base), "the registered model: its commitments, scales and architecture"),
        (
            "adapter",
            word(&proof.statement.requests.first().map_or(Fr::zero(), |request| request.adapter)),
            "the registered LoRA adapter",
        ),
        (
            "output",
            words.first().map_or_else(String::new, |w| word(&w.output_digest)),
            "Poseidon digest of salt, length and logits",
        ),
        ("proof", format!("0x{}", hex::encode(keccak(&bytes))), "Keccak-256 of the inference proof"),
    ]);
    let facts = Facts {
        text: &args.text,
        answer: answer.as_ref().map_or_else(String::new, Answer::text),
        tokens: ids.len(),
        digests,
        proof_bytes: bytes.len() as u64,
        proving: time(times.proving_total()),
        checking: time(verified),
        shaping,
        records: datanet.file.version.records.len(),
    };
    store::write(&args.report, page(&facts, &on_chain).as_bytes())?;
    out.line("-".repeat(92));
    out.line(format!("report: {}", args.report.display()));
    let forgery_list: Vec<Value> = forgeries
        .iter()
        .map(|forgery| json!({ "forgery": forgery.name, "rejected": forgery.verdict.is_some(), "reason": forgery.verdict }))
        .collect();
    out.finish(
        "lorica.demo/1",
        json!({
            "accepted": true, "base": word(&proof.statement.base), "shape": shape_json(&proof.statement.shape),
            "tokens": ids.len(), "answer": answer.as_ref().map(Answer::json), "insecure_srs": true,
            "input_digest": words.first().map(|w| word(&w.input_digest)), "quality": quality_json(&quality),
            "registration": phases_json(&times.registration), "proving": phases_json(&times.proving),
            "prove_ms": milliseconds(times.proving_total()), "check_ms": milliseconds(verified),
            "total_ms": milliseconds(times.total), "peak_memory_bytes": peak_memory(),
            "bytes": { "base": sizes.base, "base_key": sizes.base_key, "adapter_key": sizes.adapter_key, "proof": sizes.proof },
            "forgeries": forgery_list, "settlement": on_chain.json(), "report": args.report,
        }),
    );
    let accepted = forgeries.iter().find(|forgery| forgery.verdict.is_none()).map(|forgery| forgery.name);
    match accepted.or(on_chain.accepted_forgery()) {
        None => Ok(()),
        Some(name) => Err(Error::Forgery(name)),
    }
}

struct Sizes {
    base: usize,
    base_key: usize,
    adapter_key: usize,
    proof: usize,
}

struct Times {
    registration: Vec<(String, Duration)>,
    index: Vec<(String, Duration)>,
    proving: Vec<(String, Duration)>,
    verified: Duration,
    total: Duration,
}

impl Times {
    fn proving_total(&self) -> Duration {
        self.proving.iter().map(|(_, spent)| *spent).sum()
    }
}

fn import_adapter(
    own: &Embedded,
    fixtures: Option<&Path>,
    srs: &AcceptedSrs,
    key: &BaseKey,
    model: &BaseModel,
) -> Result<AdapterFile, Error> {
    let (_, integer) = match fixtures {
        Some(fixtures) => load_adapter(&fixtures.join("adapters").join(own.name), model)?,
        None => {
            let folder = tempfile::tempdir().map_err(FileError::writing(&std::env::temp_dir()))?;
            for (name, bytes) in own.files {
                store::write(&folder.path().join(name), bytes)?;
            }
            load_adapter(folder.path(), model)?
        }
    };
    Ok(register_adapter(srs, key, integer)?)
}

/// The records that shaped the answer, for people.
fn shaping_lines(shaping: &[Shaping], out: &Output) {
    out.line("records that shaped the answer most, with their parts of all scores");
    for own in shaping {
        out.line(format!("  {:>5.1} %  {}", 100.0 * own.part, lorica::answer::printable(&own.contributor)));
        out.line(format!("           {}", lorica::answer::printable(&own.text)));
    }
}

/// Changes the honest proof in ways that a cheating server might try.
fn forge(
    bytes: &[u8],
    proof: &InferenceProof,
    keys: &[AdapterKey],
    verdict: impl Fn(&[u8]) -> Result<(), CheckError>,
) -> Vec<Forgery> {
    let edit = |name, edit: &dyn Fn(&mut InferenceProof)| {
        let mut forged = proof.clone();
        edit(&mut forged);
        Forgery { name, verdict: verdict(&forged.encode()).err().map(|error| error.to_string()) }
    };
    let mut flipped = bytes.to_vec();
    if let Some(byte) = flipped.get_mut(bytes.len() / 2) {
        *byte ^= 1;
    }
    let other = keys.last().map_or(Fr::zero(), |key| key.commitments.id());
    vec![
        edit("another label", &|forged| {
            if let Some(Published::Classify { label, .. }) =
                forged.statement.requests.first_mut().map(|r| &mut r.output)
            {
                *label = (*label + 1) % 10;
            }
        }),
        edit("another label with a forged logit", &|forged| {
            if let Some(Published::Classify { label, logits }) =
                forged.statement.requests.first_mut().map(|r| &mut r.output)
            {
                let winner = (usize::from(*label) + 1) % 10;
                logits[winner] = logits.iter().max().copied().unwrap_or(0) + 1;
                *label = u8::try_from(winner).unwrap_or(0);
            }
        }),
        edit("another adapter", &|forged| {
            if let Some(request) = forged.statement.requests.first_mut() {
                request.adapter = other;
            }
        }),
        edit("another word in the text", &|forged| {
            if let Some(id) = forged.statement.requests.first_mut().and_then(|request| request.ids.get_mut(1)) {
                *id += 1;
            }
        }),
        edit("a share more for one contributor", &|forged| {
            if let Some(own) =
                forged.statement.requests.first_mut().and_then(|r| r.shares.iter_mut().max_by_key(|s| s.share))
            {
                own.share += 1;
            }
        }),
        edit("shares for another contributor", &|forged| {
            if let Some(own) = forged.statement.requests.first_mut().and_then(|r| r.shares.last_mut()) {
                own.slot += 1;
            }
        }),
        edit("one scalar of the proof", &|forged| forged.messages.value += Fr::one()),
        Forgery { name: "one bit of the file", verdict: verdict(&flipped).err().map(|error| error.to_string()) },
    ]
}

#[expect(clippy::too_many_arguments, reason = "one table of everything that the demo measured")]
fn table(
    args: &DemoArgs,
    proof: &InferenceProof,
    answer: Option<&Answer>,
    quality: &lorica_quant::integer::Quality,
    times: &Times,
    sizes: &Sizes,
    forgeries: &[Forgery],
    out: &Output,
) {
    let rule = || out.line("-".repeat(92));
    let tokens = proof.statement.requests.first().map_or(0, |request| request.ids.len());
    out.line(format!("text      {} tokens: {}", tokens, lorica::answer::printable(&args.text)));
    out.line(format!("answer    {}", answer.map(Answer::text).unwrap_or_default()));
    out.line(format!("base      {} (all-MiniLM-L6-v2)", short(&proof.statement.base)));
    out.line(format!("shape     {}", shape_text(&proof.statement.shape)));
    out.line(format!("quality   against float: {quality}"));
    rule();
    out.line("registration, once per model");
    for (name, spent) in &times.registration {
        out.line(format!("  {name:<44} {:>12}", time(*spent)));
    }
    out.line("proof that the datanet's index is in range, once per index");
    for (name, spent) in &times.index {
        out.line(format!("  {name:<44} {:>12}", time(*spent)));
    }
    out.line("proof, once per batch");
    for (name, spent) in &times.proving {
        out.line(format!("  {name:<44} {:>12}", time(*spent)));
    }
    out.line(format!("  {:<44} {:>12}", "all phases", time(times.proving_total())));
    out.line("check, by anyone who has the keys");
    out.line(format!("  {:<44} {:>12}", "ACCEPTED", time(times.verified)));
    rule();
    let bytes = |n: usize| size(n as u64);
    out.line(format!(
        "sizes     proof {}, base.vk {}, adapter.vk {}, base.lorica {}",
        bytes(sizes.proof),
        bytes(sizes.base_key),
        bytes(sizes.adapter_key),
        bytes(sizes.base)
    ));
    let memory = peak_memory().map_or_else(|| "unknown".into(), size);
    out.line(format!("memory    {memory} at most; {} in all", time(times.total)));
    rule();
    out.line("forgeries");
    for forgery in forgeries {
        let verdict = forgery
            .verdict
            .as_deref()
            .map_or_else(|| "ACCEPTED: THIS IS A BUG".into(), |why| format!("REJECTED: {why}"));
        out.line(format!("  {:<36} {verdict}", forgery.name));
    }
}
