//! The tests of this crate as one program: each file of its own would have the provers built once more.

use support as settled;

mod again;
mod attribution;
mod attribution_forgeries;
mod blinding;
#[path = "support/circuit.rs"]
mod circuit;
mod complete;
mod damaged;
#[path = "support/embedding.rs"]
mod embedding;
mod embeddings;
mod forger;
#[path = "../../verifier/tests/support/forms.rs"]
mod forms;
mod golden;
mod header;
#[path = "support/hostile.rs"]
mod hostile;
mod hostile_keys;
mod index;
mod rows;
mod rows_assigned_once;
mod scales;
mod support;
mod tile_size;
mod unsatisfiable;
#[path = "support/vector.rs"]
mod vector;
mod vectors;
