//! The service as its clients, its operator and a crash meet it, on a small random model.

#![cfg(feature = "serve")]

use super::service;
use super::support;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lorica_service::client::{Client, ClientError};
use lorica_service::proto;
use lorica_verifier::protocol::proof::InferenceProof;
use serde_json::{Value, json};
use service::{CALL, Service, done, http, names, request, text};
use support::Lorica;

static WORLD: LazyLock<Lorica> = LazyLock::new(Lorica::small_world);
static NAMES: LazyLock<(String, [String; 2])> = LazyLock::new(|| names(&WORLD));

const KEYLESS: &[&str] = &["--keyless-loopback"];
const TEXT: &str = "hello world a b ab ba";

fn reason<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result.expect_err("a refusal") {
        ClientError::Refused { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

fn create(client: &mut Client, request: &proto::CreateProofRequest) -> proto::Proof {
    client.create_proof(request.clone(), CALL).expect("taken").proof.expect("a proof")
}

fn get(client: &mut Client, name: &str) -> Result<proto::GetProofResponse, ClientError> {
    client.get_proof(proto::GetProofRequest { name: name.into(), ..Default::default() }, CALL)
}

fn state_of(client: &mut Client, name: &str) -> proto::ProofState {
    get(client, name).expect("a proof").proof.expect("a proof").state()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < service::PATIENCE, "{what}");
        sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").arg(name).arg(process.to_string()).status().expect("kill runs").success());
}

/// Stops the proving process where it stands, so that what is handed to it stays in the middle.
fn freeze(service: &Service) -> u32 {
    let child = service.child().expect("a proving process");
    signal("-STOP", child);
    child
}

fn watched(client: &mut Client, name: &str, after_sequence: u64) -> Vec<proto::Proof> {
    let request = proto::WatchProofRequest { name: name.into(), after_sequence, view: 0 };
    let mut changes = Vec::new();
    client.watch_proof(request, service::PATIENCE, |proof| changes.push(proof)).expect("a watch");
    changes
}

fn states(changes: &[proto::Proof]) -> Vec<proto::ProofState> {
    changes.iter().map(proto::Proof::state).collect()
}

/// Shares come with the answer where a datanet is asked for, and the proof states the same.
#[test]
fn shares_come_with_the_answer_and_are_proven() {
    let labels = WORLD.line("inspect a.vk --json").expect(0).json()["labels"].clone();
    let texts = ["hello", "world", "a b", "ab ba", "aa bb", "hello a", "world b", "ba"];
    let row = |(at, text): (usize, &&str)| {
        let contributor = ["Ada", "Bo"][at % 2];
        json!({ "text": text, "label": labels[at % 2], "contributor": contributor }).to_string()
    };
    WORLD.write("shares.jsonl", texts.iter().enumerate().map(row).collect::<Vec<_>>().join("\n"));
    let build = "datanet build shares.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{build} -o shares.lorica")).expect(0);
    let arguments = [
        "--keyless-loopback",
        "--adapter",
        "shares.adapter.lorica",
        "--datanet",
        "shares.lorica",
        "--http",
        "127.0.0.1:0",
    ];
    let service = Service::start(&WORLD, "shares", &arguments);
    let mut client = service.client(None);
    let listed = client.list_datanets(proto::ListDatanetsRequest::default(), CALL).expect("a list").datanets;
    let [datanet] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((datanet.records, datanet.contributors, &datanet.base), (8, 2, &NAMES.0));
    let key = client.get_key(proto::GetKeyRequest { name: datanet.name.clone() }, CALL).expect("a key").key;
    assert_eq!(key, WORLD.read("shares.vk"));

    let plain = proto::CreateProofRequest { adapter: datanet.adapter.clone(), ..request(&NAMES, TEXT) };
    let asked = proto::CreateProofRequest { datanet: datanet.name.clone(), ..request(&NAMES, TEXT) };
    assert_eq!(reason(client.create_proof(asked.clone(), CALL)), "DATANET_OTHER", "another adapter's");
    let asked = proto::CreateProofRequest { adapter: datanet.adapter.clone(), ..asked };
    let (plain, attributed) = (create(&mut client, &plain), create(&mut client, &asked));
    assert!(plain.answer.expect("an answer").shares.is_empty());
    let answer = attributed.answer.expect("an answer");
    assert!(!answer.shares.is_empty());
    let proof = done(&mut client, &attributed.name);
    assert_eq!((proof.state(), &proof.datanet), (proto::ProofState::Proven, &datanet.name));
    assert_eq!(proof.answer.as_ref(), Some(&answer));
    assert_eq!(done(&mut client, &plain.name).state(), proto::ProofState::Proven);

    // What the service said is what the proof says, to somebody who does not ask it.
    WORLD.write("shares.proof", &proof.inference_proof);
    let line = "verify --base base.vk --adapter shares.adapter.vk --datanet shares.vk --proof shares.proof --json";
    let verified = WORLD.line(line).expect(0).json();
    let mut stated: Vec<(u64, u64)> = verified["requests"][0]["shares"]
        .as_array()
        .expect("shares")
        .iter()
        .map(|own| (own["slot"].as_u64().expect("a slot"), own["share"].as_u64().expect("a share")))
        .collect();
    stated.sort_unstable();
    let told: Vec<(u64, u64)> = answer.shares.iter().map(|own| (own.slot.into(), own.parts.into())).collect();
    assert_eq!(stated, told);
    let request = proto::VerifyProofRequest { inference_proof: proof.inference_proof, ..Default::default() };
    let verdict = client.verify_proof(request, CALL).expect("a verdict");
    assert!(verdict.accepted && verdict.datanet == datanet.name);

    // By the command line, with the contributors' names.
    let ask = format!("--adapter {} --datanet {} --text world", datanet.adapter, datanet.name);
    let shown = WORLD.line(&format!("remote infer --server {} {ask}", service.address)).expect(0).stdout;
    assert!(shown.contains("Ada") || shown.contains("Bo"), "{shown}");
}

#[test]
fn an_answer_at_once_and_its_proof_later() {
    use proto::ProofState::{Proven, Proving, Queued};
    let service = Service::start(&WORLD, "whole", KEYLESS);
    let mut client = service.client(None);
    let asked = request(&NAMES, TEXT);
    let infer = proto::InferRequest {
        base: asked.base.clone(),
        adapter: asked.adapter.clone(),
        input: asked.input.clone(),
        ..Default::default()
    };
    let answer = client.infer(infer, CALL).expect("an answer").answer.expect("an answer");
    let created = create(&mut client, &asked);
    assert_eq!(created.answer.as_ref(), Some(&answer), "the very answer");
    assert!(created.inference_proof.is_empty() && created.salt.is_empty());

    let proof = done(&mut client, &created.name);
    assert_eq!((proof.state(), proof.answer.as_ref()), (Proven, Some(&answer)));
    WORLD.write("whole.proof", &proof.inference_proof);
    let verified = WORLD.line("verify --base base.vk --adapter a.vk --proof whole.proof --json").expect(0).json();
    assert_eq!(verified["accepted"], true);
    let logits = verified["requests"][0]["logits"].as_array().expect("logits").len();
    assert_eq!(logits, 3);

    let verify = |client: &mut Client, bytes: &[u8], context: Vec<u8>| {
        let request = proto::VerifyProofRequest { inference_proof: bytes.to_vec(), context, ..Default::default() };
        client.verify_proof(request, CALL).expect("a verdict")
    };
    let own = verify(&mut client, &proof.inference_proof, Vec::new());
    assert!(own.accepted, "{}", own.reason);
    let stated = own.requests[0].answer.clone().expect("an answer");
    assert_eq!((stated.output, stated.output_digest.len()), (answer.output.clone(), 32));
    assert_eq!(own.requests[0].salt, proof.salt);
    assert!(!verify(&mut client, &proof.inference_proof, vec![1; 32]).accepted);
    let mut forged = proof.inference_proof.clone();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    assert!(!verify(&mut client, &forged, Vec::new()).accepted);

    let changes = watched(&mut client, &created.name, 0);
    assert_eq!(states(&changes), [Queued, Proving, Proven]);
    assert_eq!(changes.iter().map(|change| change.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(states(&watched(&mut client, &created.name, 2)), [Proven], "resumed");
    assert!(watched(&mut client, &created.name, 3).is_empty());

    // An embedding under an adapter that classifies, and one without an adapter, bound to a context.
    let embed = proto::CreateProofRequest { kind: proto::OutputKind::Embed.into(), ..request(&NAMES, TEXT) };
    let bare = proto::CreateProofRequest { adapter: String::new(), context: vec![3; 32], ..request(&NAMES, TEXT) };
    let (embed, bare) = (create(&mut client, &embed), create(&mut client, &bare));
    assert!(matches!(embed.answer.expect("an answer").output, Some(proto::answer::Output::Embedding(_))));
    assert_eq!(done(&mut client, &embed.name).state(), Proven);
    let bare = done(&mut client, &bare.name);
    assert!(verify(&mut client, &bare.inference_proof, vec![3; 32]).accepted);
    assert!(!verify(&mut client, &bare.inference_proof, Vec::new()).accepted);

    let listed = client.list_proofs(proto::ListProofsRequest { page_size: 2, ..Default::default() }, CALL);
    let page = listed.expect("a page");
    let names: Vec<&String> = page.proofs.iter().map(|proof| &proof.name).collect();
    assert_eq!(names, [&bare.name, &embed.name]);
    let next = proto::ListProofsRequest { page_token: page.next_page_token, ..Default::default() };
    assert_eq!(client.list_proofs(next, CALL).expect("a page").proofs.len(), 1);

    let key = client.get_key(proto::GetKeyRequest { name: NAMES.0.clone() }, CALL).expect("a key").key;
    assert_eq!(key, WORLD.read("base.vk"));
    let key = client.get_key(proto::GetKeyRequest { name: NAMES.1[1].clone() }, CALL).expect("a key").key;
    assert_eq!(key, WORLD.read("b.vk"));
}

#[test]
fn the_command_line_speaks_with_it() {
    let service = Service::start(&WORLD, "remote", KEYLESS);
    let remote = |arguments: &[&str]| {
        WORLD.run(["remote", "--server", &service.address, "--json"].iter().chain(arguments.iter()))
    };
    let models = remote(&["models"]).expect(0).json();
    assert_eq!(models["bases"][0]["name"], NAMES.0.as_str());
    assert_eq!(models["adapters"].as_array().map(Vec::len), Some(2));
    let adapter = NAMES.1[0].as_str();
    let inferred = remote(&["infer", "--adapter", adapter, "--text", TEXT]).expect(0).json();
    let local = ["infer", "--base", "base.lorica", "--adapter", "a.lorica", "--text", TEXT, "--json"];
    assert_eq!(inferred["label"], WORLD.run(local).expect(0).json()["label"]);
    let prove = ["prove", "--adapter", adapter, "--text", TEXT, "-o", "remote.proof"];
    let proven = remote(&prove).expect(0).json();
    assert_eq!(proven["label"], inferred["label"]);
    WORLD.line("verify --base base.vk --adapter a.vk --proof remote.proof").expect(0);
    remote(&["verify", "--proof", "remote.proof"]).expect(0);
    assert_eq!(remote(&["verify", "--proof", "remote.proof", "--context", "2a"]).expect(1).json()["kind"], "rejected");
    let name = proven["name"].as_str().expect("a name");
    assert_eq!(remote(&["get", name]).expect(0).json()["state"], "PROOF_STATE_PROVEN");
    assert_eq!(remote(&["list"]).expect(0).json()["proofs"].as_array().map(Vec::len), Some(1));
    assert_eq!(remote(&["watch", name]).expect(0).json()["changes"].as_array().map(Vec::len), Some(3));
    remote(&["cancel", name]).expect(0);
    remote(&["get", "proofs/x"]).expect(3);
    remote(&["infer", "--adapter", "adapters/00", "--text", "a"]).expect(3);
    let absent = ["remote", "--server", "http://127.0.0.1:9", "models", "--json"];
    assert_eq!(WORLD.run(absent).expect(4).json()["kind"], "environment");
    // A key does not cross a network in the clear.
    WORLD.write("key", "lrk_0_0");
    let open = ["remote", "--server", "http://192.0.2.1:7443", "--key-file", "key", "models", "--json"];
    assert_eq!(WORLD.run(open).expect(3).json()["kind"], "input");
}

#[test]
fn a_request_id_belongs_to_one_request() {
    let service = Service::start(&WORLD, "repeated", KEYLESS);
    let mut client = service.client(None);
    let asked = request(&NAMES, TEXT);
    let first = create(&mut client, &asked);
    let waiting = proto::CreateProofRequest {
        wait: Some(lorica_service::client::WaitTime { seconds: 60, nanos: 0 }),
        ..asked.clone()
    };
    let again = create(&mut client, &waiting);
    assert_eq!((&again.name, again.state()), (&first.name, proto::ProofState::Proven), "one proof");
    for other in [
        proto::CreateProofRequest { input: text("hello"), ..asked.clone() },
        proto::CreateProofRequest { adapter: NAMES.1[1].clone(), ..asked.clone() },
        proto::CreateProofRequest { context: vec![1; 32], ..asked.clone() },
        proto::CreateProofRequest { kind: proto::OutputKind::Embed.into(), ..asked.clone() },
    ] {
        assert_eq!(reason(client.create_proof(other, CALL)), "REQUEST_ID_REUSED");
    }
    assert_eq!(client.list_proofs(Default::default(), CALL).expect("a page").proofs.len(), 1);
}

#[test]
fn neighbours_see_nothing_of_each_other() {
    let service = Service::start(&WORLD, "tenants", &[]);
    let (alice, bob) =
        (service.key(&WORLD, "alice", "infer,prove,read"), service.key(&WORLD, "bob", "infer,prove,read"));
    let (mut alice, mut bob) = (service.client(Some(&alice)), service.client(Some(&bob)));
    // All of one kind, length and base, and all waiting while the process stands still: only the tenants differ.
    let child = freeze(&service);
    let mut asked = Vec::new();
    for turn in 0..6_u8 {
        let salt = [turn + 1; 31];
        let mut own = request(&NAMES, TEXT);
        own.input.as_mut().expect("an input").salt = salt.to_vec();
        let client = if turn % 2 == 0 { &mut alice } else { &mut bob };
        asked.push((create(client, &own).name, salt));
    }
    signal("-CONT", child);
    let mut sizes = BTreeSet::new();
    for (turn, (name, _)) in asked.iter().enumerate() {
        let (own, other) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let proof = done(own, name);
        let statement = InferenceProof::decode(&proof.inference_proof).expect("a proof").statement;
        let salts = asked.iter().skip(turn % 2).step_by(2).map(|(_, salt)| *salt).collect::<Vec<_>>();
        assert!(statement.requests.iter().all(|request| salts.contains(&request.salt)), "a neighbour's text");
        sizes.insert(statement.requests.len());
        // By every call, as if it were not there.
        assert_eq!(reason(get(other, name)), "PROOF_UNKNOWN");
        assert_eq!(reason(other.cancel_proof(proto::CancelProofRequest { name: name.clone() }, CALL)), "PROOF_UNKNOWN");
        let watch = proto::WatchProofRequest { name: name.clone(), ..Default::default() };
        assert_eq!(reason(other.watch_proof(watch, CALL, |_| panic!("a neighbour's proof"))), "PROOF_UNKNOWN");
        let unknown = "proofs/01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(reason(get(other, unknown)), "PROOF_UNKNOWN", "the same as for what nobody has");
    }
    assert!(sizes.iter().any(|&size| size > 1), "batches were formed, and each has one tenant: {sizes:?}");
    for client in [&mut alice, &mut bob] {
        let page = client.list_proofs(Default::default(), CALL).expect("a page");
        assert_eq!(page.proofs.len(), 3);
        // A page token of the neighbour's newest proof shows nothing but one's own.
        let token = asked[5].0.trim_start_matches("proofs/").to_owned();
        let page = client.list_proofs(proto::ListProofsRequest { page_token: token, ..Default::default() }, CALL);
        let own: BTreeSet<String> = page.expect("a page").proofs.into_iter().map(|proof| proof.name).collect();
        assert!(own.len() <= 3);
    }
    // The same request id is another request for another tenant.
    let same = request(&NAMES, "hello");
    let other = proto::CreateProofRequest { input: text("world"), ..same.clone() };
    assert_ne!(create(&mut alice, &same).name, create(&mut bob, &other).name);
}

#[test]
fn keys_open_what_they_are_for() {
    let service = Service::start(&WORLD, "keys", &[]);
    let models = |client: &mut Client| client.list_bases(proto::ListBasesRequest {}, CALL);
    assert_eq!(reason(models(&mut service.client(None))), "KEY_INVALID");
    let key = service.key(&WORLD, "carol", "read");
    let mut carol = service.client(Some(&key));
    assert!(models(&mut carol).is_ok());
    assert_eq!(reason(carol.create_proof(request(&NAMES, TEXT), CALL)), "SCOPE_MISSING");
    let infer = proto::InferRequest { base: NAMES.0.clone(), input: text(TEXT), ..Default::default() };
    assert_eq!(reason(carol.infer(infer, CALL)), "SCOPE_MISSING");
    let cancel = proto::CancelProofRequest { name: "proofs/x".into() };
    assert_eq!(reason(carol.cancel_proof(cancel, CALL)), "SCOPE_MISSING");
    let last = if key.ends_with('0') { '1' } else { '0' };
    for wrong in [format!("{}{last}", &key[..key.len() - 1]), key[..key.len() - 2].to_owned(), "lrk".into()] {
        assert_eq!(reason(models(&mut service.client(Some(&wrong)))), "KEY_INVALID");
    }
    let store = service.store.to_str().expect("a plain name");
    let id = &key[4..20];
    WORLD.run(["api-key", "remove", id, "--store", store]).expect(0);
    assert_eq!(reason(models(&mut carol)), "KEY_INVALID", "at once");
    assert_eq!(WORLD.run(["api-key", "remove", id, "--store", store, "--json"]).expect(3).json()["kind"], "input");
    for tenant in ["", "Carol", "local", "a b"] {
        WORLD.run(["api-key", "add", "--tenant", tenant, "--store", store]).expect(3);
    }
    assert!(!service.log().contains(&key[21..]), "a secret in the log");
    let stored = service.stored();
    assert!(!stored.windows(43).any(|window| window == &key.as_bytes()[21..64]), "a secret in the store");
}

#[test]
fn bad_input_is_refused_before_it_is_queued() {
    let service = Service::start(&WORLD, "refused", KEYLESS);
    let mut client = service.client(None);
    let good = || request(&NAMES, TEXT);
    let ids = |ids: Vec<u32>| {
        let input = Some(proto::input::Input::TokenIds(proto::TokenIds { ids }));
        Some(proto::Input { input, salt: Vec::new() })
    };
    let salt = |bytes| text(TEXT).map(|input| proto::Input { salt: vec![1; bytes], ..input });
    let unknown = format!("{}{}", &NAMES.0[..NAMES.0.len() - 2], if NAMES.0.ends_with("00") { "01" } else { "00" });
    let deadline = |seconds| Some(lorica_service::client::timestamp(seconds));
    let base = |name: &str| proto::CreateProofRequest { base: name.into(), ..good() };
    let adapter = |name: &str| proto::CreateProofRequest { adapter: name.into(), ..good() };
    let input = |input| proto::CreateProofRequest { input, ..good() };
    let kind = |kind: i32| proto::CreateProofRequest { kind, ..good() };
    let level = |level: i32| proto::CreateProofRequest { level, ..good() };
    for (what, request, expected) in [
        ("no uuid", proto::CreateProofRequest { request_id: "1".into(), ..good() }, "FIELD_INVALID"),
        ("no base", base(""), "FIELD_INVALID"),
        ("another form", base(&NAMES.0.to_uppercase()), "FIELD_INVALID"),
        ("unknown base", base(&unknown), "BASE_UNKNOWN"),
        ("adapter as base", base(&NAMES.1[0]), "FIELD_INVALID"),
        ("unknown adapter", adapter(&unknown.replace("bases", "adapters")), "ADAPTER_UNKNOWN"),
        ("base as adapter", adapter(&NAMES.0), "FIELD_INVALID"),
        ("no input", input(None), "FIELD_INVALID"),
        ("nothing in it", input(Some(proto::Input::default())), "FIELD_INVALID"),
        ("a long text", input(text(&"a ".repeat(4_000))), "TEXT_TOO_LONG"),
        ("no ids", input(ids(Vec::new())), "TEXT_INVALID"),
        ("many ids", input(ids(vec![1; 5_000])), "TEXT_TOO_LONG"),
        ("a foreign id", input(ids(vec![1, u32::MAX])), "TEXT_INVALID"),
        ("a short salt", input(salt(30)), "FIELD_INVALID"),
        ("a row", kind(proto::OutputKind::Row.into()), "OUTPUT_KIND_UNSUPPORTED"),
        ("a decoder", kind(proto::OutputKind::Generate.into()), "OUTPUT_KIND_UNSUPPORTED"),
        ("no kind", kind(77), "FIELD_INVALID"),
        ("a settlement", level(proto::ProofLevel::Settlement.into()), "LEVEL_UNSUPPORTED"),
        ("no proof", level(proto::ProofLevel::None.into()), "LEVEL_UNSUPPORTED"),
        ("no level", level(-1), "FIELD_INVALID"),
        ("context", proto::CreateProofRequest { context: vec![0xff; 32], ..good() }, "FIELD_INVALID"),
        ("deadline", proto::CreateProofRequest { deadline: deadline(1), ..good() }, "DEADLINE_PASSED"),
        ("deadline", proto::CreateProofRequest { deadline: deadline(i64::MAX), ..good() }, "FIELD_INVALID"),
    ] {
        assert_eq!(reason(client.create_proof(request, CALL)), expected, "{what}");
    }
    let no_head = proto::CreateProofRequest { adapter: String::new(), ..kind(proto::OutputKind::Classify.into()) };
    assert_eq!(reason(client.create_proof(no_head, CALL)), "OUTPUT_KIND_UNSUPPORTED");
    // Larger than any message: refused by its length.
    let huge = reason(client.create_proof(input(text(&"a".repeat(2 << 20))), CALL));
    assert_eq!(huge, "OutOfRange");
    let verify = |client: &mut Client, bytes: Vec<u8>| {
        let request = proto::VerifyProofRequest { inference_proof: bytes, ..Default::default() };
        client.verify_proof(request, CALL).map(|verdict| verdict.accepted)
    };
    assert!(!verify(&mut client, Vec::new()).expect("a verdict"));
    assert!(!verify(&mut client, vec![7; 100_000]).expect("a verdict"));
    assert!(client.list_proofs(Default::default(), CALL).expect("a page").proofs.is_empty(), "nothing was queued");
}

/// Jobs that wait, are being proven, and are proven, when the service is killed: none is lost, none is there twice.
#[test]
fn a_killed_service_loses_nothing() {
    use proto::ProofState::{Proven, Proving, Queued};
    let mut service = Service::start(&WORLD, "killed", KEYLESS);
    let mut client = service.client(None);
    let asked: Vec<proto::CreateProofRequest> = (0..3_u8)
        .map(|context| proto::CreateProofRequest { context: vec![context; 32], ..request(&NAMES, TEXT) })
        .collect();
    let proven = create(&mut client, &asked[0]).name;
    let before = done(&mut client, &proven);
    let child = freeze(&service);
    let proving = create(&mut client, &asked[1]).name;
    until("it is handed out", || state_of(&mut client, &proving) == Proving);
    let queued = create(&mut client, &asked[2]).name;
    assert_eq!(state_of(&mut client, &queued), Queued);
    service.kill();
    signal("-CONT", child);
    until("the proving process dies with the service", || !std::path::Path::new(&format!("/proc/{child}")).exists());

    let (store, log) = (service.store.clone(), service.log.clone());
    let service = Service::start_on(&WORLD, &store, &log, KEYLESS);
    let mut client = service.client(None);
    for (asked, name) in asked.iter().zip([&proven, &proving, &queued]) {
        assert_eq!(&create(&mut client, asked).name, name, "the same request is the same proof");
        assert_eq!(done(&mut client, name).state(), Proven);
    }
    assert_eq!(done(&mut client, &proven).inference_proof, before.inference_proof);
    assert_eq!(states(&watched(&mut client, &proving, 0)), [Queued, Proving, Queued, Proving, Proven]);
    assert_eq!(states(&watched(&mut client, &queued, 0)), [Queued, Proving, Proven]);
    assert_eq!(client.list_proofs(Default::default(), CALL).expect("a page").proofs.len(), 3);
    // While it runs, nobody else takes its store.
    let second = ["serve", "--store", store.to_str().expect("a name"), "--base", "base.lorica", "--json"];
    let refused = WORLD.run(second.iter().chain(support::SRS.iter())).expect(4).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("another service")), "{refused}");
}

#[test]
fn a_proving_process_that_dies_or_is_told_to_stop_is_replaced() {
    use proto::ProofState::{Cancelled, Expired, Proven, Proving, Queued};
    WORLD.write("short.toml", "[worker]\ndrain_seconds = 1\n");
    let arguments = ["--keyless-loopback", "--config", "short.toml"];
    let mut service = Service::start(&WORLD, "child", &arguments);
    let mut client = service.client(None);
    let child = freeze(&service);
    let name = create(&mut client, &request(&NAMES, TEXT)).name;
    until("it is handed out", || state_of(&mut client, &name) == Proving);
    signal("-KILL", child);
    assert_eq!(done(&mut client, &name).state(), Proven);
    assert_eq!(states(&watched(&mut client, &name, 0)), [Queued, Proving, Queued, Proving, Proven]);

    // Given up in the middle: the process does not answer, and is killed.
    let child = freeze(&service);
    let name = create(&mut client, &request(&NAMES, TEXT)).name;
    until("it is handed out", || state_of(&mut client, &name) == Proving);
    // A deadline that passes while the one before is in the way.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let deadline = Some(lorica_service::client::timestamp(now + 2));
    let late = proto::CreateProofRequest { deadline, context: vec![1; 32], ..request(&NAMES, TEXT) };
    let late = create(&mut client, &late).name;
    until("its deadline passes", || state_of(&mut client, &late) == Expired);
    let cancel = proto::CancelProofRequest { name: name.clone() };
    let cancelled = client.cancel_proof(cancel.clone(), CALL).expect("given up").proof.expect("a proof");
    assert_eq!(cancelled.state(), Cancelled);
    let next = create(&mut client, &request(&NAMES, "hello")).name;
    assert_eq!(done(&mut client, &next).state(), Proven);
    assert!(!std::path::Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(states(&watched(&mut client, &name, 0)), [Queued, Proving, Cancelled]);
    // What is done stays done.
    let again = client.cancel_proof(proto::CancelProofRequest { name: next }, CALL).expect("no error");
    assert_eq!(again.proof.expect("a proof").state(), Proven);

    // Told to end while the process stands still: in order, and what was begun is not lost.
    freeze(&service);
    let name = create(&mut client, &request(&NAMES, TEXT)).name;
    until("it is handed out", || state_of(&mut client, &name) == Proving);
    drop(client);
    let (store, log) = (service.store.clone(), service.log.clone());
    assert_eq!(service.end(), 0);
    let mut service = Service::start_on(&WORLD, &store, &log, &arguments);
    let mut client = service.client(None);
    assert_eq!(done(&mut client, &name).state(), Proven);
    drop(client);
    assert_eq!(service.end(), 0);
}

#[test]
fn texts_are_wiped_and_never_logged() {
    let words = "hello world bb aa hello ab";
    WORLD.write("brief.toml", "[store]\nkeep_inputs_seconds = 1\nkeep_proofs_seconds = 4\n");
    let service = Service::start(&WORLD, "brief", &["--keyless-loopback", "--config", "brief.toml"]);
    let mut client = service.client(None);
    let salt: Vec<u8> = (0..31).map(|i| 0xa0 + i).collect();
    let mut asked = request(&NAMES, words);
    asked.input.as_mut().expect("an input").salt = salt.clone();
    let name = create(&mut client, &asked).name;
    let proof = done(&mut client, &name);
    assert_eq!(proof.salt, salt);
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(&service.stored(), &salt), "the test looks in the right place");
    // The salt goes first; the proof, which shows it too, later.
    until("the salt is wiped", || {
        let request = proto::GetProofRequest { name: name.clone(), view: proto::ProofView::Full.into(), wait: None };
        client.get_proof(request, CALL).is_ok_and(|got| got.proof.expect("a proof").salt.is_empty())
    });
    assert_eq!(reason(client.create_proof(asked, CALL)), "REQUEST_ID_REUSED", "no digest of the text is kept either");
    until("the proof is wiped", || get(&mut client, &name).is_err());
    until("nothing is left", || !holds(&service.stored(), &salt));
    let ids = InferenceProof::decode(&proof.inference_proof).expect("a proof").statement.requests[0].ids.clone();
    let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    assert!(!holds(&service.stored(), &ids));
    let log = service.log();
    assert!(!log.is_empty(), "the log was on");
    assert!(!log.contains(words) && !log.contains("hello"), "a text in the log");
    assert!(!log.contains(&hex::encode(&salt)) && !log.contains("160, 161, 162"), "a salt in the log");
}

#[test]
fn a_configuration_is_explained_without_a_service() {
    let explained = WORLD.line("serve --check").expect(0).stdout;
    assert!(explained.contains("127.0.0.1:7443") && explained.contains("every call needs a key"), "{explained}");
    assert_eq!(WORLD.line("serve --json").expect(3).json()["kind"], "input", "nothing to serve");
    for (content, named) in [
        ("[listen]\ngrpc = '0.0.0.0:7443'\n", "[tls]"),
        ("[listen]\nkeyles_loopback = true\n", "keyles_loopback"),
        ("[models]\nbases = ['nowhere.lorica']\n", "nowhere.lorica"),
    ] {
        WORLD.write("wrong.toml", content);
        let refused = WORLD.line("serve --config wrong.toml --json").expect(3).json();
        assert!(refused["message"].as_str().is_some_and(|text| text.contains(named)), "{refused}");
    }
    // Without permission for the development SRS, and with an adapter of no base.
    let refused = WORLD.line("serve --base base.lorica --srs dev.srs --json").expect(3).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("development SRS")), "{refused}");
    assert!(!WORLD.path("lorica-service").exists(), "a service that does not start leaves nothing");
}

#[test]
fn the_json_face_has_the_same_calls_and_the_same_keys() {
    let service = Service::start(&WORLD, "json", &["--http", "127.0.0.1:0"]);
    let address = service.http.clone().expect("an address");
    let key = format!("authorization: Bearer {}", service.key(&WORLD, "erin", "infer,prove,read"));
    let other = format!("authorization: Bearer {}", service.key(&WORLD, "frank", "infer,prove,read"));
    let json = "content-type: application/json";
    let post = |path: &str, headers: &[&str], body: &Value| {
        let (status, answer) = http(&address, "POST", path, headers, &body.to_string());
        (status, serde_json::from_str::<Value>(&answer).unwrap_or_else(|_| panic!("{answer}")))
    };
    let get = |path: &str, headers: &[&str]| http(&address, "GET", path, headers, "");
    let asked = json!({ "base": NAMES.0, "adapter": NAMES.1[0], "text": TEXT });
    let (status, inferred) = post("/v1/infer", &[&key, json], &asked);
    assert_eq!(status, 200, "{inferred}");
    let mut proving = asked.clone();
    proving["request_id"] = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    proving["wait_seconds"] = json!(60);
    let (status, proven) = post("/v1/proofs", &[&key, json], &proving);
    assert_eq!((status, &proven["state"]), (200, &json!("PROVEN")), "{proven}");
    assert_eq!(proven["answer"], inferred["answer"]);
    let path = format!("/v1/{}", proven["name"].as_str().expect("a name"));
    assert_eq!(get(&path, &[&key]).0, 200);
    assert!(get(&format!("{path}/bytes"), &[&key]).1.len() > 10_000);
    assert_eq!(get("/v1/models", &[&key]).0, 200);
    assert_eq!(post(&format!("{path}/cancel"), &[&key, json], &json!({})).1["state"], "PROVEN");

    // A neighbour, nobody, a form of a browser, another name of this machine, what is no call.
    assert_eq!(get(&path, &[&other]).0, 404);
    assert_eq!(get(&format!("{path}/bytes"), &[&other]).0, 404);
    assert_eq!(get(&path, &[]).0, 401);
    assert_eq!(post("/v1/infer", &[json], &asked).0, 401);
    assert_eq!(post("/v1/infer", &[&key, "content-type: text/plain"], &asked).0, 400);
    assert_eq!(http(&address, "GET", "/livez", &["host: evil.example"], "").0, 400);
    assert_eq!(post("/v1/infer", &[&key, json], &json!({ "text": 1 })).0, 400);
    assert_eq!(http(&address, "POST", "/v1/infer", &[&key, json], &"a".repeat(2 << 20)).0, 413);
    let mut reused = proving.clone();
    reused["text"] = json!("hello");
    let (status, refused) = post("/v1/proofs", &[&key, json], &reused);
    assert_eq!((status, &refused["reason"]), (409, &json!("REQUEST_ID_REUSED")));

    assert_eq!(get("/livez", &[]), (200, "alive\n".into()));
    assert_eq!(get("/readyz", &[]).0, 200);
    assert!(get("/metrics", &[]).1.contains("lorica_proofs{state=\"PROVEN\"} 1\n"));

    // The operator's page needs no key and says nothing; what it draws wants a key of its own scope, and has no text, no salt and no answer.
    let (status, page) = get("/", &[]);
    assert_eq!((status, page.contains("<title>Lorica service</title>")), (200, true));
    let operator = format!("authorization: Bearer {}", service.key(&WORLD, "nora", "operate"));
    assert_eq!((get("/v1/overview", &[]).0, get("/v1/overview", &[&key]).0), (401, 403));
    let (status, text) = get("/v1/overview", &[&operator]);
    let seen: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, &seen["jobs"]["PROVEN"], &seen["proven"]["count"]), (200, &json!(1), &json!(1)), "{seen}");
    assert_eq!(
        (&seen["batches"]["requests"], &seen["market"], &seen["requests"]),
        (&json!(1), &Value::Null, &json!([]))
    );
    let tenants: Vec<_> =
        seen["tenants"].as_array().expect("a list").iter().map(|own| (&own["id"], &own["proven"])).collect();
    assert!(tenants.contains(&(&json!("erin"), &json!(1))), "{seen}");
    let full: Value = serde_json::from_str(&get(&path, &[&key]).1).expect("JSON");
    let salt = full["salt"].as_str().expect("a salt");
    assert!(!text.contains("hello") && !text.contains(salt) && !text.contains("logits"), "{text}");
    // Such a key reads and asks for nothing else.
    assert_eq!((get(&path, &[&operator]).0, post("/v1/infer", &[&operator, json], &asked).0), (403, 403));
    let unknown = format!("/v1/overview/requests/0x{}", "ab".repeat(32));
    assert_eq!((get(&unknown, &[&operator]).0, get(&unknown, &[&key]).0, get(&unknown, &[]).0), (404, 403, 401));
    assert_eq!(get("/v1/overview/requests/0xab", &[&operator]).0, 400);
}
