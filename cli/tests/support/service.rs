//! A service on the small world, and its callers.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lorica_service::client::{Client, random_request_id};
use lorica_service::proto;

use crate::support::{Lorica, SRS};

/// Time for a call.
pub const CALL: Duration = Duration::from_secs(60);
/// Time for anything that waits for a proof.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A running service; killed when it is dropped.
pub struct Service {
    pub process: Child,
    pub address: String,
    /// Of the JSON face, if it was asked for.
    pub http: Option<String>,
    pub store: PathBuf,
    pub log: PathBuf,
}

impl Service {
    /// Starts one with its own store.
    pub fn start(world: &Lorica, name: &str, arguments: &[&str]) -> Self {
        let store = world.path(&format!("{name}.store"));
        let log = world.path(&format!("{name}.log"));
        Self::start_on(world, &store, &log, arguments)
    }

    /// Starts one on a store that may be there already.
    pub fn start_on(world: &Lorica, store: &Path, log: &Path, arguments: &[&str]) -> Self {
        let models =
            ["--base", "base.lorica", "--adapter", "a.lorica", "--adapter", "b.lorica", "--grpc", "127.0.0.1:0"];
        let log_file = File::options().create(true).append(true).open(log).expect("a log");
        let mut process = Command::new(env!("CARGO_BIN_EXE_lorica"))
            .args(["serve", "--store"])
            .arg(store)
            .args(models)
            .args(SRS)
            .args(arguments)
            .current_dir(world.folder.path())
            .env("LORICA_CACHE", &world.cache)
            .env_remove("LORICA_SRS")
            .env_remove("LORICA_CONFIG")
            // Everything that anybody logs: nothing of a text may be in it.
            .env("LORICA_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .expect("the service starts");
        let out = BufReader::new(process.stdout.take().expect("its output"));
        let mut http = None;
        let line = out.lines().map_while(Result::ok).find(|line| {
            http = http.take().or_else(|| line.strip_prefix("JSON at http://").map(str::to_owned));
            line.starts_with("gRPC at ")
        });
        let line = line.unwrap_or_else(|| panic!("no address: {}", fs::read_to_string(log).unwrap_or_default()));
        let address = format!("http://{}", line.trim_start_matches("gRPC at "));
        Self { process, address, http, store: store.into(), log: log.into() }
    }

    pub fn client(&self, key: Option<&str>) -> Client {
        Client::connect(&self.address, key, None).expect("it answers")
    }

    /// Makes a key beside the running service.
    pub fn key(&self, world: &Lorica, tenant: &str, scopes: &str) -> String {
        let store = self.store.to_str().expect("a plain name");
        // A worker's key has no tenant.
        let tenant = if scopes == "work" { vec![] } else { vec!["--tenant", tenant] };
        let add = ["api-key", "add", "--scopes", scopes, "--store", store, "--json"];
        let json = world.run(add.iter().chain(&tenant)).expect(0).json();
        json["key"].as_str().expect("a key").to_owned()
    }

    /// As a crash: nothing is told to it.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Tells it to end, and waits for it. Its exit code.
    pub fn end(&mut self) -> i32 {
        let killed = Command::new("kill").arg(self.process.id().to_string()).status().expect("kill runs");
        assert!(killed.success());
        self.wait(Duration::from_secs(60))
    }

    pub fn wait(&mut self, time: Duration) -> i32 {
        let start = Instant::now();
        while start.elapsed() < time {
            if let Some(status) = self.process.try_wait().expect("it is ours") {
                return status.code().unwrap_or(-1);
            }
            sleep(Duration::from_millis(20));
        }
        panic!("the service did not end in {time:?}");
    }

    /// Its proving process.
    pub fn child(&self) -> Option<u32> {
        child_of(self.process.id())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// All bytes of the store's files.
    pub fn stored(&self) -> Vec<u8> {
        fn collect(folder: &Path, found: &mut Vec<u8>) {
            for entry in fs::read_dir(folder).expect("readable").filter_map(Result::ok) {
                match entry.path() {
                    path if path.is_dir() => collect(&path, found),
                    // A file may go while it is looked at.
                    path => found.extend(fs::read(path).unwrap_or_default()),
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.store, &mut found);
        found
    }
}

/// A process that another one started.
pub fn child_of(process: u32) -> Option<u32> {
    let own = process.to_string();
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|id: &u32| {
        // `id (name) state parent ..`
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1);
        parent == Some(own.as_str())
    })
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The names of the base and of the adapters `a` and `b`, as the service calls them.
pub fn names(world: &Lorica) -> (String, [String; 2]) {
    let id = |file: &str| {
        let json = world.line(&format!("inspect {file} --json")).expect(0).json();
        let id = json["id"].as_str().unwrap_or_else(|| panic!("{json}"));
        id.trim_start_matches("0x").to_owned()
    };
    let adapter = |file| format!("adapters/{}", id(file));
    (format!("bases/{}", id("base.vk")), [adapter("a.vk"), adapter("b.vk")])
}

pub fn text(text: &str) -> Option<proto::Input> {
    Some(proto::Input { input: Some(proto::input::Input::Text(text.into())), salt: Vec::new() })
}

/// A request under adapter `a`.
pub fn request(names: &(String, [String; 2]), words: &str) -> proto::CreateProofRequest {
    proto::CreateProofRequest {
        request_id: random_request_id().expect("randomness"),
        base: names.0.clone(),
        adapter: names.1[0].clone(),
        input: text(words),
        ..Default::default()
    }
}

/// A proof with all of it, once it is done.
pub fn done(client: &mut Client, name: &str) -> proto::Proof {
    let start = Instant::now();
    loop {
        let wait = Some(lorica_service::client::WaitTime { seconds: 5, nanos: 0 });
        let request = proto::GetProofRequest { name: name.into(), view: proto::ProofView::Full.into(), wait };
        let proof = client.get_proof(request, CALL).expect("a proof").proof.expect("a proof");
        if !matches!(proof.state(), proto::ProofState::Queued | proto::ProofState::Proving) {
            return proof;
        }
        assert!(start.elapsed() < PATIENCE, "{name} is not done");
    }
}

/// One call of the JSON face, written by hand: status and body.
pub fn http(address: &str, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it answers");
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|header| header.starts_with("host:")) {
        head.push_str(&format!("host: {address}\r\n"));
    }
    headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("writable");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("readable");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
