//! The proving process: it reads orders from its standard input and reports on its standard output. It dies with the
//! service: when its input ends, it ends.

use std::collections::BTreeMap;
use std::io::{self, Stdin, Stdout};
use std::path::Path;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lorica::files::{AdapterFile, BaseFile, DatanetFile};
use lorica::prover::{Job, LoadedAdapter, LoadedIndex, MinimumShape, Prover, ProverError};
use lorica::settle::{Settler, SettlerError};
use lorica::srs::{AcceptedSrs, SrsPolicy};
use lorica::verifier::protocol::keccak::{decode_scalar, encode_scalar};
use lorica::verifier::protocol::key::{AdapterCommitments, IndexCommitments};
use lorica::verifier::protocol::verify::Keys;
use lorica::watch::Watch;

use super::frames::{Failed, Order, Prove, Ready, Report, SetUp, Settled, order, read, report, write};
use crate::store::Word;
use crate::target::Target;

/// Least time between two signs of life within a step.
const PULSE: Duration = Duration::from_secs(1);

struct Voice {
    out: Mutex<Stdout>,
    stop: AtomicBool,
    last: Mutex<Instant>,
}

impl Voice {
    fn say(&self, what: report::What) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a listener there is nothing to work for.
        if write(&mut *out, &Report { what: Some(what) }).is_err() {
            exit(0);
        }
    }
}

impl Watch for Voice {
    fn step(&self, name: &'static str) {
        self.say(report::What::Step(name.into()));
    }

    fn is_cancelled(&self) -> bool {
        // Asked many times a second, by threads that work: a sign of life.
        if let Ok(mut last) = self.last.try_lock()
            && last.elapsed() >= PULSE
        {
            *last = Instant::now();
            drop(last);
            self.say(report::What::Step(String::new()));
        }
        self.stop.load(Ordering::Relaxed)
    }
}

struct Loaded {
    provers: BTreeMap<Word, (Prover, Settler)>,
    /// By file.
    adapters: BTreeMap<String, LoadedAdapter>,
    /// The datanet that was used last, with its file: the largest has a hundred megabytes.
    datanet: Option<(String, LoadedIndex)>,
}

/// Runs the process until its input ends.
#[must_use]
pub fn run() -> ExitCode {
    let voice = Arc::new(Voice {
        out: Mutex::new(io::stdout()),
        stop: AtomicBool::new(false),
        last: Mutex::new(Instant::now()),
    });
    let orders = listen(io::stdin(), voice.clone());
    let Ok(order::What::SetUp(set_up)) = orders.recv() else { return ExitCode::SUCCESS };
    let mut loaded = match load(&set_up) {
        Ok(loaded) => loaded,
        Err(message) => {
            voice.say(report::What::Failed(Failed { message, always: true, stopped: false }));
            return ExitCode::from(3);
        }
    };
    voice.say(report::What::Ready(Ready {}));
    while let Ok(order) = orders.recv() {
        let order::What::Prove(batch) = order else { continue };
        voice.say(loaded.prove(&batch, voice.as_ref()).unwrap_or_else(report::What::Failed));
    }
    ExitCode::SUCCESS
}

/// Reads orders on a thread of its own, so that a stop is heard in the middle of a proof.
fn listen(mut input: Stdin, voice: Arc<Voice>) -> Receiver<order::What> {
    let (orders, receiver) = channel();
    thread::spawn(move || {
        loop {
            match read::<Order>(&mut input).map(|order| order.what) {
                Ok(Some(order::What::Stop(_))) => voice.stop.store(true, Ordering::Relaxed),
                Ok(Some(order)) => {
                    // A stop that comes after this one is for this batch.
                    voice.stop.store(false, Ordering::Relaxed);
                    if orders.send(order).is_err() {
                        return;
                    }
                }
                // The service is gone: whatever is being proven, nobody will take it.
                _ => exit(0),
            }
        }
    });
    receiver
}

fn load(set_up: &SetUp) -> Result<Loaded, String> {
    let policy = if set_up.insecure_dev_srs { SrsPolicy::DevelopmentForTests } else { SrsPolicy::Ceremony };
    let mut srs: BTreeMap<u32, Arc<AcceptedSrs>> = BTreeMap::new();
    let mut provers = BTreeMap::new();
    for (place, path) in set_up.bases.iter().enumerate() {
        let base = BaseFile::load(Path::new(path)).map_err(|error| error.to_string())?;
        let log_tile = base.key.commitments.log_tile;
        let accepted = match srs.get(&log_tile) {
            Some(accepted) => accepted.clone(),
            None => {
                let accepted = match set_up.srs.as_str() {
                    "" if set_up.insecure_dev_srs => {
                        AcceptedSrs::insecure_for_tests(Path::new(&set_up.cache), log_tile)
                    }
                    "" => return Err("an SRS is needed: models.srs".into()),
                    path => AcceptedSrs::load(Path::new(path), log_tile, policy),
                };
                let accepted = Arc::new(accepted.map_err(|error| error.to_string())?);
                srs.insert(log_tile, accepted.clone());
                accepted
            }
        };
        let settler = Settler::new(accepted.clone()).with_cache(&set_up.settlement_keys);
        let prover = Prover::new(accepted, base).map_err(|error| format!("{path}: {error}"))?;
        let id = encode_scalar(&prover.id());
        if !set_up.base_ids.is_empty() {
            expect_id(path, &id, set_up.base_ids.get(place).map_or(&[], Vec::as_slice))?;
        }
        provers.insert(id, (prover, settler));
    }
    Ok(Loaded { provers, adapters: BTreeMap::new(), datanet: None })
}

/// That a file is what it is said to be, and not only well made.
fn expect_id(path: &str, id: &Word, expected: &[u8]) -> Result<(), String> {
    if id.as_slice() == expected {
        return Ok(());
    }
    Err(format!("{path}: it has the id {}, and {} is expected", hex::encode(id), hex::encode(expected)))
}

impl Loaded {
    fn prove(&mut self, batch: &Prove, voice: &Voice) -> Result<report::What, Failed> {
        let always = |message: &str| Failed { message: message.into(), always: true, stopped: false };
        let base: Word = batch.base.as_slice().try_into().map_err(|_| always("no base"))?;
        let (prover, settler) = self.provers.get(&base).ok_or_else(|| always("a base that was not loaded"))?;
        let context: Word = batch.context.as_slice().try_into().map_err(|_| always("no context"))?;
        let context = decode_scalar(&context).map_err(|_| always("a context that is no word"))?;
        for (path, expected) in batch.items.iter().map(|item| (&item.adapter, &item.adapter_id)) {
            if path.is_empty() && !expected.is_empty() {
                return Err(always("an adapter without a file"));
            }
            if path.is_empty() {
                continue;
            }
            if !self.adapters.contains_key(path) {
                let file = AdapterFile::load(Path::new(path), prover.key()).map_err(|e| always(&e.to_string()))?;
                let adapter = prover.load_adapter(file).map_err(|error| always(&error.to_string()))?;
                self.adapters.insert(path.clone(), adapter);
            }
            let id = self.adapters.get(path).map_or([0; 32], |own| encode_scalar(&own.id()));
            expect_id(path, &id, expected).map_err(|error| always(&error))?;
        }
        let mut jobs = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let salt = item.salt.as_slice().try_into().map_err(|_| always("a salt of another length"))?;
            jobs.push(Job { ids: item.token_ids.clone(), adapter: self.adapters.get(&item.adapter), salt });
        }
        if !batch.datanet.is_empty() && self.datanet.as_ref().is_none_or(|(path, _)| *path != batch.datanet) {
            let file = DatanetFile::load(Path::new(&batch.datanet)).map_err(|error| always(&error.to_string()))?;
            let index = prover.load_index(file).map_err(|error| always(&error.to_string()))?;
            self.datanet = Some((batch.datanet.clone(), index));
        }
        let index = self.datanet.as_ref().map(|(_, index)| index).filter(|_| !batch.datanet.is_empty());
        let index_id = index.map(|own| encode_scalar(&own.key().id()).to_vec()).unwrap_or_default();
        if index_id != batch.datanet_id {
            return Err(always("a datanet of another id"));
        }
        let target = match batch.binding.as_slice() {
            [] => None,
            bytes => Some(Target::decode(bytes).map_err(|error| always(&error))?),
        };
        // Padded to the shape for which there is a circuit.
        let (requests, tokens) = target.as_ref().map_or((0, 0), |target| (target.requests, target.tokens));
        let least = MinimumShape { requests, tokens, embed: batch.embed };
        let proven = prover.prove_attributed(&jobs, index, least, context, voice).map_err(|error| Failed {
            stopped: matches!(error, ProverError::Cancelled(_)),
            always: error.kind() == lorica::error::Kind::Input,
            // Why a text cannot be executed tells something of the text, and this may be logged.
            message: match error {
                ProverError::Execute(_) => "it cannot be executed".into(),
                error => error.to_string(),
            },
        })?;
        let Some(target) = target else { return Ok(report::What::Proof(proven.proof.encode())) };
        let used = batch.items.iter().filter_map(|item| self.adapters.get(&item.adapter));
        let mut adapters: BTreeMap<Word, AdapterCommitments> = BTreeMap::new();
        adapters.extend(used.map(|own| (encode_scalar(&own.id()), own.key().commitments.clone())));
        let adapters: Vec<AdapterCommitments> = adapters.into_values().collect();
        let indexes: Vec<IndexCommitments> = index.iter().map(|index| index.key().clone()).collect();
        let keys = Keys { adapters: &adapters, indexes: &indexes };
        let settled =
            settler.settle(prover.key(), keys, &target.binding, &proven.proof, voice).map_err(|error| Failed {
                stopped: matches!(error, SettlerError::Cancelled(_)),
                always: error.kind() == lorica::error::Kind::Input,
                message: error.to_string(),
            })?;
        let (settlement, key) = (settled.settlement.encode(), settled.key.verifying().encode());
        Ok(report::What::Settled(Settled { settlement, key }))
    }
}
