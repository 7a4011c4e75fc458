//! What a command says: lines for people or one JSON object, warnings, progress, log.

use std::cell::RefCell;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lorica::answer::printable;
use lorica::watch::Watch;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// The voice of one command.
#[derive(Debug)]
pub struct Output {
    json: bool,
    terminal: bool,
    warnings: RefCell<Vec<String>>,
    phases: RefCell<Vec<(String, Duration)>>,
}

impl Output {
    /// Lines for people, or one JSON object at the end.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let terminal = stderr().is_terminal();
        Self { json, terminal, warnings: RefCell::default(), phases: RefCell::default() }
    }

    /// A line for people.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.clear();
            // A reader that has gone away is no error of the command.
            let _ = writeln!(stdout(), "{}", text.as_ref());
        }
    }

    /// A warning: on stderr, and in the JSON object.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if self.warnings.borrow().contains(&text) {
            return;
        }
        self.clear();
        let _ = writeln!(stderr(), "warning: {text}");
        self.warnings.borrow_mut().push(text);
    }

    /// Runs a step: shown on a terminal while it lasts, and timed.
    pub fn step<T>(&self, name: &str, run: impl FnOnce() -> T) -> T {
        self.steps().step(name);
        let start = Instant::now();
        let result = run();
        self.phases.borrow_mut().push((name.to_owned(), start.elapsed()));
        self.clear();
        result
    }

    /// Who shows the steps of a long computation on a terminal.
    #[must_use]
    pub fn steps(&self) -> Steps {
        Steps { terminal: self.terminal }
    }

    /// Who shows the steps of a long computation on a terminal, with a bar for those that tell how far they are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { steps: self.steps(), step: Mutex::new(("", None)) }
    }

    /// The steps of a computation that timed them itself.
    pub fn add_phases(&self, phases: impl IntoIterator<Item = (String, Duration)>) {
        self.clear();
        self.phases.borrow_mut().extend(phases);
    }

    /// The steps so far with their times; they are forgotten.
    pub fn take_phases(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.phases.borrow_mut())
    }

    /// The JSON object that ends the command's stdout.
    pub fn finish(&self, schema: &str, content: Value) {
        self.clear();
        if !self.json {
            return;
        }
        let content = joined(json!({ "schema": schema }), content);
        let object = joined(content, json!({ "warnings": *self.warnings.borrow() }));
        let _ = writeln!(stdout(), "{object}");
    }

    /// An error: on stderr for people, as JSON on stdout.
    pub fn error(&self, error: &Error) {
        let kind = error.kind();
        if self.json {
            self.finish(
                "lorica.error/1",
                json!({ "kind": kind.name(), "exit_code": kind.exit_code(), "message": error.to_string() }),
            );
        } else {
            self.clear();
            let word = if kind == crate::error::Kind::Rejected { "rejected" } else { "error" };
            let _ = writeln!(stderr(), "{word}: {}", printable(&error.to_string()));
        }
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}

/// Shows on a terminal which step of a computation runs.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    terminal: bool,
}

impl Steps {
    /// Shows a step in place of the one before.
    pub fn step(&self, name: &str) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[2K{name} ...");
            let _ = stderr().flush();
        }
    }
}

impl Watch for Steps {
    fn step(&self, name: &'static str) {
        Self::step(self, name);
    }
}

/// Shows steps as [`Steps`] does, and a bar with the time that is left.
#[derive(Debug)]
pub struct Progress {
    steps: Steps,
    /// The step's name, and when it was first heard of how far it is, and how far that was.
    step: Mutex<(&'static str, Option<(Instant, usize)>)>,
}

impl Watch for Progress {
    fn step(&self, name: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = (name, None);
        self.steps.step(name);
    }

    fn progress(&self, done: usize, total: usize) {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, first) = *step.1.get_or_insert_with(|| (Instant::now(), done));
        self.steps.step(&bar(step.0, done, total, start.elapsed(), done.saturating_sub(first)));
    }
}

/// A bar of a step: `done` of `total`, of which `since` took `time`.
fn bar(name: &str, done: usize, total: usize, time: Duration, since: usize) -> String {
    const CELLS: usize = 30;
    let filled = (CELLS * done).checked_div(total).unwrap_or(CELLS).min(CELLS);
    let mut text = format!("{name} [{}{}] {done} of {total}", "#".repeat(filled), ".".repeat(CELLS - filled));
    if since > 0 && done < total {
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let left = time.as_secs_f64() * (total - done) as f64 / since as f64;
        text.push_str(&format!(", {left:.0} s left"));
    }
    text
}

/// Logs on stderr: warnings, or what `LORICA_LOG` asks for. Texts and salts are never logged.
pub fn start_log() {
    let filter = EnvFilter::try_from_env("LORICA_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // Only fails if a log is there already, which is fine.
    let _ = log.try_init();
}

/// The fields of both objects in one.
#[must_use]
pub fn joined(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// Milliseconds with one decimal.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A time for people.
#[must_use]
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", milliseconds(time))
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

/// A size for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let bytes_float = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes_float / 1e3),
        _ => format!("{:.1} MB", bytes_float / 1e6),
    }
}

/// Phases as a JSON list, in order.
#[must_use]
pub fn phases_json(phases: &[(String, Duration)]) -> Value {
    phases.iter().map(|(name, time)| json!({ "phase": name, "ms": milliseconds(*time) })).collect()
}

/// The most memory that this process has held, in bytes, where the system tells (Linux).
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_and_tell_what_is_left() {
        let second = Duration::from_secs(1);
        assert_eq!(bar("work", 0, 4, second, 0), format!("work [{}] 0 of 4", ".".repeat(30)));
        let half = format!("work [{}{}] 2 of 4, 2 s left", "#".repeat(15), ".".repeat(15));
        assert_eq!(bar("work", 2, 4, second, 1), half);
        assert_eq!(bar("work", 4, 4, second, 4), format!("work [{}] 4 of 4", "#".repeat(30)));
        assert_eq!(bar("work", 0, 0, second, 0), format!("work [{}] 0 of 0", "#".repeat(30)));
    }
}
