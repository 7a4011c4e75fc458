//! The integer model: both executors against each other, invariances, refusals, quality.

mod agreement;
mod invariance;
mod minilm;
mod pooled;
mod refusals;
