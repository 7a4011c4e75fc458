//! The verifier for browsers: files in, JSON out.
//!
//! [`check`] takes a proof or a settlement and keys, each recognised by its magic word, and says what was proven and what
//! was not checked. [`boundary`] is what JavaScript calls; `page/` is the page that does, which `cargo xtask verifier-page` makes one
//! file of.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

pub mod boundary;
pub mod check;
pub mod report;
