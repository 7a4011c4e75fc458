//! Postgres servers of the tests' own: in a temporary folder, on a free port, gone with the process.
//!
//! Where there is no `initdb` the tests say that they were skipped; with `LORICA_TEST_POSTGRES=required` they fail. The server refuses to
//! run as root: root runs it as the user `postgres`.

use std::env;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::store::postgres::{Address, Opener, PostgresStore};

/// A user whose password is asked for where the server listens to TCP.
pub const ASKED: &str = "asked";
/// Its password.
pub const PASSWORD: &str = "hush-hush";

/// A server with as many databases as are wanted.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    /// Root runs it as another user.
    as_postgres: bool,
    port: u16,
    server: Mutex<Option<Child>>,
    databases: AtomicU32,
    /// While this is open the tests live. Whoever reads its other end ends the server and removes the folder.
    alive: Option<ChildStdin>,
    undertaker: Child,
}

static SHARED: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);

/// The server of all tests of this process, unless there is no Postgres here.
pub fn shared() -> Option<&'static Cluster> {
    SHARED.as_ref()
}

/// The folder of `initdb`: of the search path, or where Debian has it.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = (13..20).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    env::split_paths(&path).chain(versions).find(|folder| folder.join("initdb").is_file())
}

fn number(of: &str) -> u32 {
    let output = Command::new("id").args([of, "postgres"]).output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("there is a user `postgres`")
}

/// Whether this runs as root, who owns what it has just made then.
fn is_root(fresh: &Path) -> bool {
    fs::metadata(fresh).is_ok_and(|own| own.uid() == 0)
}

impl Cluster {
    /// A server of a test's own, if there can be one.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(env::var_os("LORICA_TEST_POSTGRES").is_none_or(|own| own != "required"), "there is no initdb");
            eprintln!("skipped: there is no Postgres here (initdb)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder").keep();
        let as_postgres = is_root(&folder);
        if as_postgres {
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("writable");
            chown(&folder, Some(number("-u")), Some(number("-g"))).expect("it is root's");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let script = "trap '' INT TERM; cat > /dev/null; kill -QUIT $(head -n 1 data/postmaster.pid) 2> /dev/null
            for _ in $(seq 50); do rm -rf \"$PWD\" 2> /dev/null && exit; sleep 0.1; done";
        let mut undertaker = Command::new("sh")
            .args(["-c", script])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let alive = undertaker.stdin.take();
        let (server, databases) = (Mutex::new(None), AtomicU32::new(0));
        let own = Self { programs, folder, as_postgres, port, server, databases, alive, undertaker };
        let made = own
            .command("initdb")
            .args(["-D", "data", "-U", "lorica", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"])
            .stdout(Stdio::null())
            .status()
            .expect("initdb");
        assert!(made.success(), "initdb");
        let access = format!(
            "local all all trust\nhost all {ASKED} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        );
        fs::write(own.folder.join("data/pg_hba.conf"), access).expect("writable");
        own.run();
        let mut admin = own.client("postgres");
        admin.batch_execute(&format!("CREATE ROLE {ASKED} LOGIN PASSWORD '{PASSWORD}'")).expect("a role");
        Some(own)
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if !self.as_postgres {
            Command::new(program)
        } else {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]).arg(program);
            command
        };
        command.current_dir(&self.folder);
        command
    }

    /// Starts the server, and waits until it answers. After a kill its other processes may take a moment to be gone.
    pub fn run(&self) {
        let start = Instant::now();
        loop {
            let mut server = self
                .command("postgres")
                .args(["-D", "data", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
                .arg(&self.folder)
                .stdout(Stdio::null())
                .stderr(fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log"))
                .spawn()
                .expect("postgres");
            loop {
                if Client::connect(&self.url("postgres"), NoTls).is_ok() {
                    *self.server.lock().expect("no panic") = Some(server);
                    return;
                }
                let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                assert!(start.elapsed() < Duration::from_secs(60), "{}", log());
                if server.try_wait().expect("a process").is_some() {
                    break;
                }
                sleep(Duration::from_millis(20));
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Kills the server's main process, with nothing put in order.
    pub fn kill(&self) {
        let mut server = self.server.lock().expect("no panic").take().expect("it runs");
        server.kill().expect("it runs");
        server.wait().expect("a process");
    }

    /// A new database's name.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.client("postgres").batch_execute(&format!("CREATE DATABASE {name}")).expect("a database");
        name
    }

    /// The address of a database, by the Unix socket.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://lorica@{folder}:{}/{database}", self.port)
    }

    /// The same by TCP, for a user.
    pub fn tcp(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn address(&self, database: &str) -> Address {
        Address::parse(&self.url(database)).expect("an address")
    }

    /// A connection beside the stores.
    pub fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database), NoTls).expect("it runs")
    }

    /// A service's store.
    pub fn store(&self, database: &str, name: &str) -> PostgresStore {
        PostgresStore::open(&self.address(database), Opener::Service(name)).expect("a store")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(mut server) = self.server.lock().ok().and_then(|mut own| own.take()) {
            let _ = server.wait();
        }
        let _ = self.undertaker.wait();
    }
}
