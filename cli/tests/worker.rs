//! Workers as processes of their own: a service that proves nothing itself, and those who prove for it.

#![cfg(feature = "serve")]

use super::service;
use super::support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lorica_service::client::Client;
use lorica_service::proto;
use serde_json::Value;
use service::{CALL, Service, child_of, done, names, request};
use support::{Lorica, SRS};

static WORLD: LazyLock<Lorica> = LazyLock::new(Lorica::small_world);
static NAMES: LazyLock<(String, [String; 2])> = LazyLock::new(|| names(&WORLD));

const TEXT: &str = "hello world a b ab ba";

/// A `lorica worker`; killed when it is dropped.
struct Worker {
    process: Child,
    log: PathBuf,
}

impl Worker {
    fn spawn(gateway: &str, key: &str, name: &str, arguments: &[&str]) -> Self {
        let log = WORLD.path(&format!("{name}.worker.log"));
        WORLD.write(&format!("{name}.key"), key);
        let process = Command::new(env!("CARGO_BIN_EXE_lorica"))
            .args(["worker", "--gateway", gateway, "--name", name])
            .args(["--key-file", &format!("{name}.key"), "--folder", &format!("{name}.worker")])
            .args(arguments)
            .current_dir(WORLD.folder.path())
            .env("LORICA_CACHE", &WORLD.cache)
            .env_remove("LORICA_SRS")
            .env_remove("LORICA_API_KEY")
            .env("LORICA_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).expect("a log"))
            .spawn()
            .expect("the worker starts");
        Self { process, log }
    }

    /// One that is ready.
    fn start(service: &Service, key: &str, name: &str) -> Self {
        let mut worker =
            Self::spawn(&service.address, key, name, &[SRS.as_slice(), &["--drain-seconds", "1"]].concat());
        let out = BufReader::new(worker.process.stdout.take().expect("its output"));
        let ready = out.lines().map_while(Result::ok).any(|line| line.contains(" proves for "));
        assert!(ready, "{}", worker.log());
        worker
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn child(&self) -> u32 {
        child_of(self.process.id()).expect("a proving process")
    }

    fn end(&mut self) -> i32 {
        signal("-TERM", self.process.id());
        self.wait()
    }

    fn wait(&mut self) -> i32 {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.process.try_wait().expect("it is ours") {
                return status.code().unwrap_or(-1);
            }
            sleep(Duration::from_millis(20));
        }
        panic!("the worker did not end: {}", self.log());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let child = child_of(self.process.id());
        let _ = self.process.kill();
        let _ = self.process.wait();
        // One that stands still does not see that its pipe is gone.
        if let Some(child) = child {
            let _ = Command::new("kill").args(["-KILL", &child.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").arg(name).arg(process.to_string()).status().expect("kill runs").success());
}

fn create(client: &mut Client, context: u8) -> String {
    let asked = proto::CreateProofRequest { context: vec![context; 32], ..request(&NAMES, TEXT) };
    client.create_proof(asked, CALL).expect("taken").proof.expect("a proof").name
}

fn state(client: &mut Client, name: &str) -> proto::ProofState {
    let request = proto::GetProofRequest { name: name.into(), ..Default::default() };
    client.get_proof(request, CALL).expect("a proof").proof.expect("a proof").state()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < service::PATIENCE, "{what}");
        sleep(Duration::from_millis(20));
    }
}

fn listed(service: &Service, key_file: &str) -> Value {
    WORLD.line(&format!("remote workers --server {} --key-file {key_file} --json", service.address)).expect(0).json()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it answers");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("writable");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("readable");
    answer
}

#[test]
fn two_workers_prove_for_a_service_without_a_prover() {
    let service = Service::start(&WORLD, "gateway", &["--no-prover", "--keyless-loopback", "--http", "127.0.0.1:0"]);
    assert!(service.child().is_none(), "no proving process");
    let http = service.http.clone().expect("an address");
    let nobody = get(&http, "/readyz");
    assert!(nobody.starts_with("HTTP/1.1 200") && nobody.ends_with("ready, but no worker is here\n"), "{nobody}");
    let mut client = service.client(None);
    let waiting = create(&mut client, 1);
    let key = service.key(&WORLD, "", "work");
    let (mut one, mut two) = (Worker::start(&service, &key, "one"), Worker::start(&service, &key, "two"));
    let mut all = vec![waiting];
    all.extend((2..6).map(|context| create(&mut client, context)));
    for (place, name) in all.iter().enumerate() {
        let proof = done(&mut client, name);
        assert_eq!(proof.state(), proto::ProofState::Proven);
        // By keys of one's own.
        WORLD.write("remote.proof", &proof.inference_proof);
        let context = hex::encode(vec![place as u8 + 1; 32]);
        let line = format!("verify --base base.vk --adapter a.vk --proof remote.proof --context {context} --json");
        assert_eq!(WORLD.line(&line).expect(0).json()["accepted"], true);
    }
    assert!(get(&http, "/readyz").ends_with("\r\nready\n"));
    assert!(get(&http, "/metrics").contains("lorica_workers{state="));
    let workers = listed(&service, "one.key");
    assert_eq!((&workers["in_process"], workers["workers"].as_array().map(Vec::len)), (&Value::Bool(false), Some(2)));
    let completed = |own: &Value| own["completed"].as_u64().expect("a number");
    let sum: u64 = workers["workers"].as_array().expect("a list").iter().map(completed).sum();
    assert_eq!(sum, 5, "each batch is one worker's: {workers}");

    // Texts, salts and keys are in nobody's log; results that were answered are on nobody's disk.
    for own in [&one, &two] {
        let log = own.log();
        assert!(!log.is_empty() && !log.contains("hello") && !log.contains(&key[20..]), "{}", log.len());
    }
    for name in ["one", "two"] {
        let results = WORLD.path(&format!("{name}.worker/results"));
        assert_eq!(fs::read_dir(results).expect("a folder").count(), 0);
    }
    assert_eq!((one.end(), two.end()), (0, 0));
}

#[test]
fn a_worker_that_is_killed_in_the_middle_is_replaced_by_another() {
    let service = Service::start(&WORLD, "killing", &["--no-prover", "--keyless-loopback"]);
    let mut client = service.client(None);
    let key = service.key(&WORLD, "", "work");
    let mut first = Worker::start(&service, &key, "first");
    let child = first.child();
    signal("-STOP", child);
    let name = create(&mut client, 1);
    until("it is handed out", || state(&mut client, &name) == proto::ProofState::Proving);
    first.process.kill().expect("it runs");
    first.process.wait().expect("it ends");
    signal("-CONT", child);
    until("its proving process dies with it", || !std::path::Path::new(&format!("/proc/{child}")).exists());
    let _second = Worker::start(&service, &key, "second");
    assert_eq!(done(&mut client, &name).state(), proto::ProofState::Proven);
    let workers = listed(&service, "first.key");
    let named = |name: &str| {
        let all = workers["workers"].as_array().expect("a list");
        all.iter().find(|own| own["name"] == name).unwrap_or_else(|| panic!("{workers}")).clone()
    };
    assert_eq!((&named("first")["completed"], &named("second")["completed"]), (&0.into(), &1.into()), "{workers}");
}

#[test]
fn a_workers_own_losses_are_made_good() {
    let service = Service::start(&WORLD, "losses", &["--no-prover", "--keyless-loopback"]);
    let mut client = service.client(None);
    let key = service.key(&WORLD, "", "work");
    let mut worker = Worker::start(&service, &key, "loser");
    // Its proving process dies: another one proves it.
    let child = worker.child();
    signal("-STOP", child);
    let name = create(&mut client, 1);
    until("it is handed out", || state(&mut client, &name) == proto::ProofState::Proving);
    signal("-KILL", child);
    assert_eq!(done(&mut client, &name).state(), proto::ProofState::Proven);

    // Told to end in the middle: the batch is handed back, and waits for nobody's lease to end.
    let child = worker.child();
    signal("-STOP", child);
    let name = create(&mut client, 2);
    until("it is handed out", || state(&mut client, &name) == proto::ProofState::Proving);
    let start = Instant::now();
    assert_eq!(worker.end(), 0);
    assert!(start.elapsed() < Duration::from_secs(15));
    until("it is handed back", || state(&mut client, &name) == proto::ProofState::Queued);
    assert!(start.elapsed() < Duration::from_secs(50), "not by the end of its lease's minute: {:?}", start.elapsed());

    // Killed in the middle and started again on its folder: it is known, and its batch is handed out again at once.
    let mut worker = Worker::start(&service, &key, "loser");
    assert_eq!(done(&mut client, &name).state(), proto::ProofState::Proven);
    let child = worker.child();
    signal("-STOP", child);
    let name = create(&mut client, 3);
    until("it is handed out", || state(&mut client, &name) == proto::ProofState::Proving);
    worker.process.kill().expect("it runs");
    worker.process.wait().expect("it ends");
    signal("-KILL", child);
    let start = Instant::now();
    let _again = Worker::start(&service, &key, "loser");
    assert_eq!(done(&mut client, &name).state(), proto::ProofState::Proven);
    assert!(start.elapsed() < Duration::from_secs(50), "not after the lease's minute: {:?}", start.elapsed());
}

#[test]
fn what_a_worker_cannot_do_is_said_with_a_code_of_its_own() {
    let service = Service::start(&WORLD, "refusing", &["--no-prover"]);
    let key = service.key(&WORLD, "", "work");
    let tenant = service.key(&WORLD, "acme", "infer,prove,read,settle");
    let run = |gateway: &str, key: &str, name: &str, arguments: &[&str]| {
        let mut worker = Worker::spawn(gateway, key, name, arguments);
        (worker.wait(), worker.log())
    };
    let expect = |(code, log): (i32, String), expected: i32, named: &str| {
        let said = log.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>().join("\n");
        assert!(code == expected && said.contains(named), "{code}, {expected} with {named:?}: {said}\n{log}");
    };
    let url = service.address.as_str();
    expect(run("ftp://example.org", &key, "r1", &SRS), 2, "http");
    expect(run("http://192.0.2.1:7443", &key, "r2", &SRS), 3, "192.0.2.1");
    expect(run("http://127.0.0.1:1", &key, "r3", &SRS), 4, "127.0.0.1:1");
    expect(run(url, "0x01", "r4", &SRS), 3, "r4.key");
    expect(run(url, &tenant, "r5", &SRS), 3, "SCOPE_MISSING");
    expect(run(url, &key.replace("lrk_", "lrk_0")[..key.len()], "r6", &SRS), 3, "KEY_INVALID");
    expect(run(url, &key, "r7", &[]), 2, "an SRS is needed");
    expect(run(url, &key, "r8", &["--srs", "nowhere.srs"]), 3, "nowhere.srs");
    expect(run(url, &key, "r9", &["--srs", "dev.srs"]), 3, "development SRS");
    WORLD.write("r10.worker", b"a file");
    expect(run(url, &key, "r10", &SRS), 4, "r10.worker");

    // Keys for workers are made alone, and have no tenant.
    let store = service.store.to_str().expect("a name");
    for (line, code) in [
        ("--tenant acme --scopes work,read", 3),
        ("--scopes work,read", 3),
        ("--tenant acme --scopes work", 3),
        ("--tenant workers --scopes read", 3),
        ("--scopes read", 2),
    ] {
        WORLD.line(&format!("api-key add {line} --store {store}")).expect(code);
    }
    let help = WORLD.line("worker --help").expect(0).stdout;
    for word in ["--gateway", "--srs", "--folder", "SIGTERM", "scope `work`"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let check = WORLD.line("serve --check --no-prover").expect(0).stdout;
    assert!(check.contains("worker.in_process") && check.contains("NOTHING IS PROVEN HERE"), "{check}");
}
