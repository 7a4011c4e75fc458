//! What a long computation tells while it works, and how it is stopped: for executor and prover.
//!
//! ```
//! use lorica_cells::watch::{Cancelled, Watch};
//!
//! /// Prints each step, and stops the computation at the third.
//! struct Impatient;
//!
//! impl Watch for Impatient {
//!     fn step(&self, name: &'static str) {
//!         println!("{name}");
//!     }
//!     fn is_cancelled(&self) -> bool {
//!         true
//!     }
//! }
//!
//! assert_eq!(Impatient.check(), Err(Cancelled));
//! ```

/// Who watches a computation.
pub trait Watch: Sync {
    /// A step begins.
    fn step(&self, _name: &'static str) {}

    /// How far the step has come that began last, for steps that know: `done` of `total` equal parts.
    fn progress(&self, _done: usize, _total: usize) {}

    /// Whether the computation is to stop. It is asked from many threads, many times a second.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Goes on only if nobody wants it to stop.
    ///
    /// # Errors
    /// [`Cancelled`].
    fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// Nobody watches: the computation runs to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// A computation was stopped on demand; it leaves nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;
