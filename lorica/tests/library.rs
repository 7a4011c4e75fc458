//! The library as a program embeds it: a small random model, imported, proven, settled, checked, and stopped on the way.

#[path = "../../lora-quant/tests/float/folders.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod folders;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use lorica::check::{CheckError, check_inference, check_settlement};
use lorica::error::Kind;
use lorica::files::{AdapterFile, BaseFile};
use lorica::import::{ImportSizes, import_base, load_adapter};
use lorica::input::{encode, tokenizer};
use lorica::prover::{Job, LoadedAdapter, MinimumShape, Prover, ProverError, STEPS};
use lorica::registration::{RegistrationError, expect_tables, register_adapter, register_base};
use lorica::settle::{Settler, SettlerError};
use lorica::settlement::binding::{Binding, BoundRequest};
use lorica::srs::{AcceptedSrs, Srs, SrsPolicy, SrsPolicyError};
use lorica::watch::{Unwatched, Watch};
use lorica::{Error, Fr};

const TAU: u32 = 14;
const TEXT: &str = "hello world a b ab ba";

struct World {
    srs: Arc<AcceptedSrs>,
    base: BaseFile,
    adapter: AdapterFile,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let srs = development(TAU);
    let texts = ["hello world", "a b ab ba", "world a hello b aa bb"].map(str::to_owned);
    let sizes = ImportSizes { r_max: 4, tau: TAU, ..ImportSizes::default() };
    let folder = folders::Model::small().write();
    let base = import_base(folder.path(), &texts, sizes, &srs, &Unwatched).expect("an import").file;
    let folder = folders::Adapter::small().write();
    let (_, model) = load_adapter(folder.path(), &base.model).expect("an adapter");
    let adapter = register_adapter(&srs, &base.key, model).expect("a registration");
    World { srs: Arc::new(srs), base, adapter }
});

fn development(tau: u32) -> AcceptedSrs {
    let srs = Srs::dev(tau).expect("an SRS");
    AcceptedSrs::new(srs, "the SRS of the test", tau, SrsPolicy::DevelopmentForTests).expect("permitted")
}

fn prover() -> (Prover, LoadedAdapter) {
    let prover = Prover::new(WORLD.srs.clone(), WORLD.base.clone()).expect("a prover");
    let adapter = prover.load_adapter(WORLD.adapter.clone()).expect("an adapter");
    (prover, adapter)
}

fn job(adapter: &LoadedAdapter) -> Job<'_> {
    let ids = encode(&tokenizer(&WORLD.base.key).expect("a tokenizer"), 0, TEXT).expect("a text");
    Job { ids, adapter: Some(adapter), salt: [7; 31] }
}

fn binding() -> Binding {
    let requests = vec![BoundRequest { id: [1; 32], fee: [2; 32] }];
    Binding { chain_id: 31337, consumer: [3; 20], payee: [4; 20], requests }
}

/// Counts how often it is asked, and stops the computation at one of these times.
#[derive(Default)]
struct Stop {
    at: Option<usize>,
    asked: AtomicUsize,
    heard: Mutex<Vec<&'static str>>,
}

impl Stop {
    fn at(at: usize) -> Self {
        Self { at: Some(at), ..Self::default() }
    }

    fn heard(&self) -> Vec<&'static str> {
        self.heard.lock().expect("no panic").clone()
    }
}

impl Watch for Stop {
    fn step(&self, name: &'static str) {
        self.heard.lock().expect("no panic").push(name);
    }

    fn is_cancelled(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.at.is_some_and(|at| asked >= at)
    }
}

#[test]
fn steps_are_heard_and_a_proof_can_be_stopped_within_each() {
    let (prover, adapter) = prover();
    let jobs = [job(&adapter)];
    let prove = |watch: &Stop| prover.prove(&jobs, MinimumShape::default(), Fr::zero(), watch);
    let all = Stop::default();
    let proven = prove(&all).expect("a proof");
    assert_eq!(all.heard(), STEPS);
    assert_eq!(proven.phases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), STEPS);
    let asked = all.asked.load(Ordering::Relaxed);
    assert!(asked > 150, "sumcheck rounds are asked for too, not the steps alone: {asked}");

    let mut stopped_in: Vec<&str> = Vec::new();
    for at in (0..6).chain((6..asked).step_by(3)).chain([asked - 1]) {
        let stop = Stop::at(at);
        let error = prove(&stop).expect_err("stopped");
        assert!(matches!(error, ProverError::Cancelled(_)), "stopped at {at} of {asked}: {error}");
        assert_eq!(Error::from(error).kind(), Kind::Cancelled);
        stopped_in.extend(stop.heard().last());
    }
    stopped_in.dedup();
    let long = ["execute", "commit", "lookups", "relations", "reduction", "opening"];
    assert!(long.iter().all(|step| stopped_in.contains(step)), "{stopped_in:?}");
}

#[test]
fn a_proof_is_settled_and_checked_with_its_own_circuit_and_policy_only() {
    let (prover, adapter) = prover();
    let (base, key) = (&WORLD.base.key, WORLD.adapter.key.clone());
    let (binding, policy) = (binding(), SrsPolicy::DevelopmentForTests);
    let proven =
        prover.prove(&[job(&adapter)], MinimumShape::default(), binding.context(), &Unwatched).expect("a proof");
    let bytes = proven.proof.encode();
    let keys = [key.clone()];
    assert!(check_inference(base, &keys, &[], binding.context(), &bytes, policy).is_ok());
    let strict =
        check_inference(base, &keys, &[], binding.context(), &bytes, SrsPolicy::default()).expect_err("refused");
    assert!(matches!(strict, CheckError::Srs(SrsPolicyError::Insecure { .. })), "{strict}");
    assert_eq!(strict.kind(), Kind::Input);
    let other = check_inference(base, &keys, &[], Fr::one(), &bytes, policy).expect_err("another context");
    assert_eq!(other.kind(), Kind::Rejected);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let settler = Settler::new(WORLD.srs.clone()).with_cache(folder.path().join("keys"));
    let commitments = [key.commitments.clone()];
    let settle = |settler: &Settler, binding: &Binding, watch: &Stop| {
        settler.settle(base, &commitments, binding, &proven.proof, watch)
    };
    let foreign = Binding { payee: [5; 20], ..binding.clone() };
    let watch = Stop::default();
    let refused = settle(&settler, &foreign, &watch).expect_err("bound to somebody else");
    assert_eq!(refused.kind(), Kind::Rejected);
    assert_eq!(watch.heard(), Vec::<&str>::new(), "no key is made for a proof that is refused");

    let watch = Stop::default();
    let settled = settle(&settler, &binding, &watch).expect("a settlement");
    assert_eq!(watch.heard(), ["make settlement key", "settle", "self-check"]);
    let (bytes, circuit) = (settled.settlement.encode(), settled.key.verifying().circuit_id());
    let check = |circuit, policy| check_settlement(base, &keys, &[], settled.key.verifying(), circuit, &bytes, policy);
    assert!(check(Some(circuit), policy).is_ok());
    assert!(
        matches!(check(Some([9; 32]), policy), Err(CheckError::OtherCircuit { own, meant: [9, ..] }) if own == circuit)
    );
    assert!(matches!(check(None, SrsPolicy::Ceremony), Err(CheckError::Srs(_))));

    // The key is at hand, in the folder for the next process, and made again if the file is damaged.
    let watch = Stop::default();
    settle(&settler, &binding, &watch).expect("a settlement");
    assert_eq!(watch.heard(), ["settle", "self-check"]);
    let again = || Settler::new(WORLD.srs.clone()).with_cache(folder.path().join("keys"));
    let watch = Stop::default();
    settle(&again(), &binding, &watch).expect("a settlement");
    assert_eq!(watch.heard(), ["load settlement key", "settle", "self-check"]);
    for at in 0..3 {
        let stopped = settle(&again(), &binding, &Stop::at(at)).expect_err("stopped");
        assert!(matches!(stopped, SettlerError::Cancelled(_)), "{stopped}");
    }
    let file = std::fs::read_dir(folder.path().join("keys")).expect("a folder").next().expect("a key").expect("a key");
    std::fs::write(file.path(), b"noise").expect("writable");
    let watch = Stop::default();
    settle(&again(), &binding, &watch).expect("a settlement");
    assert_eq!(watch.heard(), ["load settlement key", "make settlement key", "settle", "self-check"]);
}

/// What one model was registered with does not serve another.
#[test]
fn models_and_strings_of_others_are_refused() {
    let (prover, adapter) = prover();
    let larger = Arc::new(development(TAU + 1));
    let refused = Prover::new(larger.clone(), WORLD.base.clone()).expect_err("another SRS");
    assert!(matches!(refused, ProverError::Srs(SrsPolicyError::Other { .. })), "{refused}");
    let refused = register_adapter(&larger, &WORLD.base.key, WORLD.adapter.model.clone()).expect_err("another SRS");
    assert!(matches!(refused, RegistrationError::Srs(SrsPolicyError::Other { .. })), "{refused}");
    assert!(expect_tables(&WORLD.srs, &WORLD.base.key.commitments).is_ok());
    let mut forged = WORLD.base.key.commitments.clone();
    forged.tables.swap(0, 1);
    let refused = expect_tables(&WORLD.srs, &forged).expect_err("other tables");
    assert!(matches!(refused, RegistrationError::Tables { tile: 0, .. }), "{refused}");
    let settler = Settler::new(larger);
    let proof =
        prover.prove(&[job(&adapter)], MinimumShape::default(), binding().context(), &Unwatched).expect("a proof");
    let adapters = [WORLD.adapter.key.commitments.clone()];
    let refused =
        settler.settle(&WORLD.base.key, &adapters, &binding(), &proof.proof, &Unwatched).expect_err("refused");
    assert!(matches!(refused, SettlerError::Srs(SrsPolicyError::Other { .. })), "{refused}");

    // The same integers at another size of tiles are another base.
    let model = WORLD.base.model.clone();
    let other = register_base(&development(16), model, 16, WORLD.base.source).expect("a base");
    let other = Prover::new(Arc::new(development(16)), other).expect("a prover");
    let refused = other.prove(&[job(&adapter)], MinimumShape::default(), Fr::zero(), &Unwatched).expect_err("refused");
    assert!(matches!(refused, ProverError::OtherBase { request: 0 }), "{refused}");
    let mixed = [job(&adapter), Job { adapter: None, ..job(&adapter) }];
    let refused = prover.prove(&mixed, MinimumShape::default(), Fr::zero(), &Unwatched).expect_err("refused");
    assert!(matches!(refused, ProverError::Mixture { heads: 1, requests: 2 }), "{refused}");
}
