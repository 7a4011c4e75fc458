//! The tests of this crate as one program: each file of its own would have the provers built once more.
//! `attacks.rs`, `forgeries.rs` and `forgers.rs` are run by the settlement (`settlement/tests/again.rs`), whose circuit judges each forgery too.

mod agreement;
mod attribution;
mod attribution_attacks;
mod cells_seen;
mod commit_msm;
mod commit_srs;
mod complete;
mod golden;
mod golden_index;
mod index_attacks;
mod minilm;
mod row_attacks;
mod second_family;
mod srs_import;
mod support;
mod tamper;
mod transcript;
