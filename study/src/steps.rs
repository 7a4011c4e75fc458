//! Steps of a run.

use std::time::Instant;

use crate::error::StudyError;

/// Steps and their times, told on stderr.
#[derive(Debug)]
pub struct Steps {
    start: Instant,
    /// Seconds of each.
    pub seconds: Vec<(&'static str, f64)>,
}

impl Steps {
    /// None yet.
    pub fn new() -> Self {
        Self { start: Instant::now(), seconds: Vec::new() }
    }

    /// Runs one.
    pub fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T, StudyError>,
    ) -> Result<T, StudyError> {
        eprintln!("{:7.1} s  {name} ..", self.start.elapsed().as_secs_f64());
        let start = Instant::now();
        let result = step()?;
        self.seconds.push((name, start.elapsed().as_secs_f64()));
        Ok(result)
    }

    /// Seconds since the start.
    pub fn all(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
