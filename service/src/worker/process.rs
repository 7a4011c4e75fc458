//! The proving process as its worker holds it: started, spoken to, killed.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frames::{Order, Report, SetUp, order, read_async, report, write_async};

/// Time that a process has to load its models.
const LOADING: Duration = Duration::from_secs(900);

/// The program that becomes the proving process: it calls [`child::run`](super::child::run).
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why there is no proving process.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It could not be started, or died.
    #[error("the proving process {path}: {source}", path = .path.display())]
    Process {
        /// The executable.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refuses its models.
    #[error("{0}")]
    Models(String),
}

/// The proving process, killed when this is dropped.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    reports: mpsc::Receiver<Report>,
    /// What it has loaded.
    loaded: SetUp,
}

impl Process {
    /// Starts a process and waits until it has loaded its models.
    pub async fn start(program: &ChildProgram, set_up: SetUp) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Process { path: program.path.clone(), source };
        let mut child = Command::new(&program.path)
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, mut output) = pipes.ok_or_else(|| failed(io::Error::other("no pipes")))?;
        let (sender, reports) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(report) = read_async::<Report>(&mut output).await {
                if sender.send(report).await.is_err() {
                    return;
                }
            }
        });
        let mut process = Self { child, orders, reports, loaded: set_up.clone() };
        process.order(order::What::SetUp(set_up)).await.map_err(failed)?;
        match timeout(LOADING, process.report()).await.ok().flatten() {
            Some(report::What::Ready(_)) => Ok(process),
            Some(report::What::Failed(refused)) => Err(WorkerError::Models(refused.message)),
            _ => Err(failed(io::Error::other("it died before its models were loaded"))),
        }
    }

    /// Whether it has loaded exactly this.
    pub fn has_loaded(&self, set_up: &SetUp) -> bool {
        self.loaded == *set_up
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells it something.
    pub async fn order(&mut self, what: order::What) -> io::Result<()> {
        write_async(&mut self.orders, &Order { what: Some(what) }).await
    }

    /// What it says next; none if it is dead.
    pub async fn report(&mut self) -> Option<report::What> {
        self.reports.recv().await.and_then(|report| report.what)
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        // It may be dead already.
        let _ = self.child.kill().await;
    }
}
