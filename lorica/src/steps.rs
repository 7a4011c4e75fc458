//! The steps of a long computation: timed, told to who watches, and not begun once it is to stop.

use std::time::{Duration, Instant};

use lorica_cells::watch::{Cancelled, Watch};

/// Steps that were run, with their times.
pub(crate) struct Steps<'w> {
    pub(crate) watch: &'w dyn Watch,
    pub(crate) phases: Vec<(String, Duration)>,
}

impl<'w> Steps<'w> {
    pub(crate) fn new(watch: &'w dyn Watch) -> Self {
        Self { watch, phases: Vec::new() }
    }

    /// Runs a step.
    pub(crate) fn run<T, E: From<Cancelled>>(
        &mut self,
        name: &'static str,
        run: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.watch.check()?;
        self.watch.step(name);
        let start = Instant::now();
        let result = run()?;
        self.phases.push((name.to_owned(), start.elapsed()));
        Ok(result)
    }
}
