//! The tests of this crate as one program, but for those that need anvil (`anvil.rs`).

use settled::oracle;

mod accepted;
mod attribution;
mod deploying;
mod embedded;
#[path = "../../settlement/tests/support/embedding.rs"]
mod embedding;
mod embeddings;
mod fake;
mod forgeries;
mod keys;
mod locking;
mod node;
mod owners;
mod publishing;
mod reverts;
mod selling;
mod sending;
mod serve;
#[path = "../../settlement/tests/support/mod.rs"]
mod settled;
mod snark_verifier;
mod support;
#[path = "../../settlement/tests/support/vector.rs"]
mod vector;
mod withdrawn;
