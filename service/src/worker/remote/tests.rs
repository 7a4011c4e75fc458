//! A worker and its gateway, which goes, comes back, hangs, and refuses. Its proving process is a script that has the proof
//! already.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::gate::{Gate, proof};
use crate::keys::Scope;
use crate::store::{State, now};
use crate::worker::frames::{self, Report, report};

const TEXT: &str = "hello world";
const READY: &str = r"printf '\000\000\000\002\012\000'; head -c 8 > /dev/null;";

struct Bench {
    folder: tempfile::TempDir,
    key: String,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A gateway on the bench's store, where it was before if it was.
    async fn gate(&self, address: Option<std::net::SocketAddr>) -> Gate {
        let address = address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        Gate::start_at(&self.path("store"), address, |_| {}).await
    }

    async fn new() -> (Self, Gate) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bench = Self { folder, key: String::new() };
        let gate = bench.gate(None).await;
        bench.key = gate.key(&[Scope::Work]).await;
        // What the script says: the proof of the job with the salt 1.
        let mut frame = fs::File::create(bench.path("frame")).expect("writable");
        let own = Report { what: Some(report::What::Proof(proof(TEXT, 1))) };
        frames::write(&mut frame, &own).expect("writable");
        (bench, gate)
    }

    fn config(&self, gateway: String) -> RemoteConfig {
        RemoteConfig {
            gateway,
            key: self.key.clone(),
            ca: None,
            name: "one".into(),
            folder: self.path("worker"),
            srs: None,
            insecure_dev_srs: true,
            cache: self.path("cache"),
            hang: Duration::from_secs(60),
            drain: Duration::from_secs(1),
        }
    }

    /// Says that it is ready, and its proof when there is a file `go`.
    fn prover(&self) -> String {
        let (go, frame) = (self.path("go"), self.path("frame"));
        let (go, frame) = (go.display(), frame.display());
        format!("{READY} while [ ! -e {go} ]; do sleep 0.05; done; cat {frame}; cat > /dev/null")
    }

    fn go(&self) {
        fs::write(self.path("go"), b"").expect("writable");
    }

    fn results(&self) -> usize {
        fs::read_dir(self.path("worker/results")).map_or(0, |entries| entries.count())
    }
}

struct Running {
    end: watch::Sender<bool>,
    heard: mpsc::UnboundedReceiver<Notice>,
    working: JoinHandle<Result<(), RemoteError>>,
}

impl Running {
    fn start(config: RemoteConfig, script: &str) -> Self {
        let program = ChildProgram { path: "sh".into(), arguments: vec!["-c".into(), script.into()] };
        let (end, ending) = watch::channel(false);
        let (told, heard) = mpsc::unbounded_channel();
        Self { end, heard, working: tokio::spawn(prove(config, program, told, ending)) }
    }

    /// Tells it to end. What it said, and how long it took.
    async fn end(mut self) -> (Vec<Notice>, Duration) {
        let since = Instant::now();
        self.end.send_replace(true);
        let ended = timeout(Duration::from_secs(30), self.working).await.expect("it ends");
        ended.expect("no panic").expect("no error");
        (notices(&mut self.heard), since.elapsed())
    }

    async fn error(self) -> RemoteError {
        let ended = timeout(Duration::from_secs(60), self.working).await.expect("it ends");
        ended.expect("no panic").expect_err("an error")
    }
}

fn notices(heard: &mut mpsc::UnboundedReceiver<Notice>) -> Vec<Notice> {
    std::iter::from_fn(|| heard.try_recv().ok()).collect()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn is_fetching(notice: &Notice) -> bool {
    matches!(notice, Notice::Fetching(..))
}

#[tokio::test]
async fn a_worker_fetches_what_it_lacks_and_proves() {
    let (bench, gate) = Bench::new().await;
    bench.go();
    let id = gate.submit(TEXT, 1).await;
    let running = Running::start(bench.config(gate.url()), &bench.prover());
    until("it is proven", async || gate.job(id).await.state == State::Proven).await;
    let (said, took) = running.end().await;
    assert_eq!(said.iter().filter(|own| is_fetching(own)).count(), 5, "{said:?}");
    assert!(said.contains(&Notice::Ready) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(bench.results(), 0, "what was answered is not kept");

    // A file that was damaged meanwhile is fetched again, the others are not.
    let file = fs::read_dir(bench.path("worker/models")).expect("readable").next().expect("a file").expect("a file");
    let mut bytes = fs::read(file.path()).expect("readable");
    bytes[100] ^= 1;
    fs::write(file.path(), bytes).expect("writable");
    let mut running = Running::start(bench.config(gate.url()), &bench.prover());
    let mut said = Vec::new();
    until("it is ready", async || {
        said.extend(notices(&mut running.heard));
        said.contains(&Notice::Ready)
    })
    .await;
    assert_eq!(said.iter().filter(|own| is_fetching(own)).count(), 1, "{said:?}");
    running.end().await;
}

#[tokio::test]
async fn a_fetch_goes_on_where_it_stopped_and_what_is_wrong_is_begun_anew() {
    let (bench, gate) = Bench::new().await;
    let running = Running::start(bench.config(gate.url()), &bench.prover());
    until("it has all", async || {
        gate.shared.workers.any() && gate.shared.workers.list()[0].completed == 0 && {
            fs::read_dir(bench.path("worker/models")).map_or(0, |own| {
                own.filter(|own| own.as_ref().is_ok_and(|own| own.path().extension().is_none())).count()
            }) == 5
        }
    })
    .await;
    running.end().await;
    let files: Vec<PathBuf> =
        fs::read_dir(bench.path("worker/models")).expect("readable").map(|own| own.expect("readable").path()).collect();
    let cut = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).expect("readable");
        bytes.truncate(bytes.len() / 2);
        change(&mut bytes);
        fs::remove_file(path).expect("removable");
        fs::write(path.with_extension("part"), bytes).expect("writable");
    };
    let ready = async || {
        let mut running = Running::start(bench.config(gate.url()), &bench.prover());
        let mut said = Vec::new();
        loop {
            said.extend(notices(&mut running.heard));
            if said.contains(&Notice::Ready) {
                running.end().await;
                return Ok(());
            }
            if running.working.is_finished() {
                return Err(running.error().await.to_string());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    cut(&files[0], &|_| {});
    ready().await.expect("the rest is fetched");
    assert!(files[0].exists() && !files[0].with_extension("part").exists());
    // Its beginning is another file's.
    cut(&files[1], &|bytes| bytes[0] ^= 1);
    assert!(ready().await.expect_err("not its digest").contains("does not have its digest"));
    assert!(!files[1].exists() && !files[1].with_extension("part").exists());
    ready().await.expect("begun anew");
    // Longer than it can be.
    cut(&files[2], &|bytes| bytes.resize(bytes.len() * 3, 0));
    ready().await.expect("begun anew");
}

#[tokio::test]
async fn a_result_waits_for_a_gateway_that_is_away() {
    let (bench, gate) = Bench::new().await;
    let id = gate.submit(TEXT, 1).await;
    let running = Running::start(bench.config(gate.url()), &bench.prover());
    until("it is handed out", async || gate.job(id).await.state == State::Proving).await;
    let address = gate.address;
    gate.kill();
    bench.go();
    until("it is kept", async || bench.results() == 1).await;
    // Long enough for more than one try.
    sleep(Duration::from_secs(2)).await;
    let gate = bench.gate(Some(address)).await;
    until("it is proven", async || gate.job(id).await.state == State::Proven).await;
    until("it is answered", async || bench.results() == 0).await;
    assert_eq!(gate.causes(id).await.iter().filter(|cause| *cause == "LEASED").count(), 1, "proven once");
    let (said, _) = running.end().await;
    assert_eq!(said.iter().filter(|own| matches!(own, Notice::Waiting(_))).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|own| **own == Notice::Back).count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_result_of_an_earlier_run_is_handed_in_first_or_discarded_if_it_is_late() {
    for late in [false, true] {
        let (bench, gate) = Bench::new().await;
        let id = gate.submit(TEXT, 1).await;
        let running = Running::start(bench.config(gate.url()), &bench.prover());
        until("it is handed out", async || gate.job(id).await.state == State::Proving).await;
        let address = gate.address;
        gate.kill();
        bench.go();
        until("it is kept", async || bench.results() == 1).await;
        running.end().await;
        assert_eq!(bench.results(), 1, "it waits for the next start");

        let gate = bench.gate(Some(address)).await;
        if late {
            gate.shared.store.call(move |store| store.cancel(now(), "a", id)).await.expect("writable");
        }
        let mut running = Running::start(bench.config(gate.url()), &bench.prover());
        let mut said = Vec::new();
        until("it is ready", async || {
            said.extend(notices(&mut running.heard));
            said.contains(&Notice::Ready)
        })
        .await;
        assert_eq!(bench.results(), 0);
        let delivered = said.iter().any(|own| matches!(own, Notice::Delivered(_)));
        let discarded = said.iter().any(|own| matches!(own, Notice::Discarded(_)));
        assert_eq!((delivered, discarded), (!late, late), "{said:?}");
        let expected = if late { State::Cancelled } else { State::Proven };
        assert_eq!(gate.job(id).await.state, expected);
        assert_eq!(gate.causes(id).await.iter().filter(|cause| *cause == "LEASED").count(), 1, "proven once");
        running.end().await;
    }
}

#[tokio::test]
async fn a_gateway_that_hangs_does_not_hold_up_the_end() {
    let (bench, gate) = Bench::new().await;
    let id = gate.submit(TEXT, 1).await;
    let running = Running::start(bench.config(gate.url()), &bench.prover());
    until("it is handed out", async || gate.job(id).await.state == State::Proving).await;
    let address = gate.address;
    gate.kill();
    // Takes connections, and says nothing.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            // The gateway is on its way out.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    let silent = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            all.push(stream);
        }
    });
    bench.go();
    until("it is kept", async || bench.results() == 1).await;
    let (_, took) = running.end().await;
    assert!(took < LAST_CALLS + GOING + Duration::from_secs(1), "{took:?}");
    assert_eq!(bench.results(), 1, "it is not lost");
    // And at the start.
    let running = Running::start(bench.config(format!("http://{address}")), &bench.prover());
    sleep(Duration::from_millis(200)).await;
    let (_, took) = running.end().await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    silent.abort();
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_hands_its_batch_back() {
    let (bench, gate) = Bench::new().await;
    let id = gate.submit(TEXT, 1).await;
    let running = Running::start(bench.config(gate.url()), &bench.prover());
    until("it is handed out", async || gate.job(id).await.state == State::Proving).await;
    let (_, took) = running.end().await;
    assert!(took < Duration::from_secs(6), "{took:?}");
    let job = gate.job(id).await;
    assert_eq!((job.state, job.attempts), (State::Queued, 0));
    assert_eq!(gate.causes(id).await.last().map(String::as_str), Some("HANDED_BACK"));
    assert_eq!(gate.shared.workers.list()[0].state(), proto::WorkerState::Ending, "and it has said so");
}

#[tokio::test]
async fn a_proving_process_that_lies_ends_its_worker() {
    let (bench, gate) = Bench::new().await;
    let id = gate.submit(TEXT, 1).await;
    let script = format!(r"{READY} printf '\000\000\000\003\032\001x'; cat > /dev/null");
    let error = Running::start(bench.config(gate.url()), &script).error().await;
    assert!(matches!(error, RemoteError::Banned(_)), "{error}");
    assert!(gate.job(id).await.proof.is_none());
    assert_eq!(bench.results(), 0, "it is not handed in again");
    let error = Running::start(bench.config(gate.url()), &script).error().await;
    assert!(matches!(error, RemoteError::Banned(_)), "{error}");
}

#[tokio::test]
async fn what_cannot_work_is_said_at_the_start() {
    let (bench, gate) = Bench::new().await;
    let start = |config: RemoteConfig| Running::start(config, &bench.prover()).error();
    let config = |gateway: &str| bench.config(gateway.into());
    let url = gate.url();

    let error = start(config("http://127.0.0.1:1")).await;
    assert!(matches!(&error, RemoteError::Client(ClientError::Unreachable { .. })), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let error = start(config("http://192.0.2.1:1")).await;
    assert!(error.to_string().contains("192.0.2.1") && error.to_string().contains("https"), "{error}");
    let error = start(config("http://bad host")).await;
    assert!(matches!(&error, RemoteError::Client(ClientError::Input(_))), "{error}");

    let refused = |error: &RemoteError, expected: &str| match error {
        RemoteError::Client(ClientError::Refused { reason, .. }) => assert_eq!(reason, expected),
        other => panic!("{other}"),
    };
    let unknown = crate::keys::Secret { id: [1; 8], secret: [2; 32] }.text();
    refused(&start(RemoteConfig { key: unknown, ..config(&url) }).await, "KEY_INVALID");
    let tenant = gate.key(&[Scope::Prove, Scope::Read]).await;
    refused(&start(RemoteConfig { key: tenant, ..config(&url) }).await, "SCOPE_MISSING");
    refused(&start(RemoteConfig { name: "no name".into(), ..config(&url) }).await, "FIELD_INVALID");

    // A folder of another worker, and one that cannot be.
    let running = Running::start(config(&url), &bench.prover());
    until("it is there", async || gate.shared.workers.any()).await;
    let error = start(config(&url)).await;
    assert!(matches!(error, RemoteError::InUse(_)), "{error}");
    running.end().await;
    let file = bench.path("file");
    fs::write(&file, b"").expect("writable");
    let error = start(RemoteConfig { folder: file.join("worker"), ..config(&url) }).await;
    assert!(matches!(error, RemoteError::File(_)) && error.to_string().contains("file"), "{error}");

    // A proving process that refuses its models: the SRS is another one.
    let said = "another SRS";
    let length = said.len();
    let script = format!(
        r"head -c 8 > /dev/null; printf '\000\000\000\{:03o}\042\{:03o}\012\{length:03o}{said}'; cat > /dev/null",
        length + 4,
        length + 2
    );
    let error = Running::start(config(&url), &script).error().await;
    assert!(matches!(&error, RemoteError::Worker(WorkerError::Models(own)) if own == said), "{error}");
}
