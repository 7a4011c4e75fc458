//! Compiles the protocol without protoc, and keeps its descriptors for reflection.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// What the service speaks.
const FILES: [&str; 4] = [
    "lorica/v1/inference_service.proto",
    "lorica/v1/market_service.proto",
    "lorica/v1/model_service.proto",
    "lorica/v1/worker_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("lorica.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
