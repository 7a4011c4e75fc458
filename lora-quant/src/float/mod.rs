//! The encoder in `f32`, as `transformers` computes it: the reference that the integer model is calibrated on and
//! measured against.
//!
//! * [`forward`](mod@forward): one text through encoder, adapter and head
//! * [`tap`]: the intermediate values that an observer is shown
//! * `kernel`: matrix product, layer normalisation, softmax, activations
//!
//! One text at a time and no padding, so that there is no mask: attention runs over the tokens that exist.

pub mod forward;
mod kernel;
pub mod tap;

pub use forward::{FloatError, FloatOutput, forward, forward_observed};
pub use tap::{LayerTap, NormPart, Tap};
