//! Models as exact integers: the normative semantics of `docs/protocol/integers.md`.
//!
//! The way of a model: [`calibrate`] turns a float encoder into a [`BaseModel`],
//! [`quantise_adapter`] a LoRA adapter into an [`AdapterModel`], and the [`Executor`] runs
//! batches of token ids to a [`Trace`] of witness columns. A second executor, [`naive`], is written straight from the
//! document and shares no kernel with the first.
//!
//! * [`model`]: the integer models, their bounds
//! * [`quantise`]: calibration (`calibration`), scales (`scales`), base weights; [`adapter`]: adapters
//! * [`batch`]: what goes in and what comes out
//! * [`executor`]: the executor; [`naive`]: the reference executor
//! * [`quality`]: how far integers are from floats
//! * [`synthetic`]: random integer models for the tests of every crate
//! * [`error`]: refusals of models, inputs and values

pub mod adapter;
pub mod batch;
mod calibration;
pub mod error;
pub mod executor;
pub mod model;
pub mod naive;
pub mod quality;
pub mod quantise;
mod scales;
pub mod synthetic;

pub use adapter::quantise_adapter;
pub use batch::{BatchInput, Pooled, RequestInput, RequestOutput, Trace};
pub use error::{ExecuteError, ModelError, QuantiseError, RangeError};
pub use executor::Executor;
pub use model::{AdapterModel, BaseMeta, BaseModel, Exponents};
pub use quality::{Quality, compare};
pub use quantise::calibrate;
