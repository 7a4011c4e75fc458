//! Settlement keys from the cache, made on first use.

use std::fs;

use lorica_circuits::bn254::Fr;
use lorica_prover::srs::Srs;
use lorica_settlement::key::{Powers, ProvingKey};
use lorica_settlement::statement::CircuitShape;
use lorica_verifier::protocol::keccak::encode_scalar;

use crate::commands::kind_name;
use crate::error::Error;
use crate::files::store;
use crate::model_fetch::cache_dir;
use crate::output::Output;

/// Largest proving key: 2^22 points.
const MAX_BYTES: u64 = 300 << 20;

fn name(of: &CircuitShape) -> String {
    let shape = &of.shape;
    let word = |scalar: &Fr| hex::encode(&encode_scalar(scalar)[..8]);
    format!(
        "{}-{}-{}x{}-{}-{}.key",
        word(&of.architecture_digest),
        word(&of.srs),
        shape.requests,
        shape.tokens,
        shape.log_tile,
        kind_name(shape.output)
    )
}

/// The settlement key of an architecture and shape.
///
/// # Errors
/// [`Error::SettlementKey`], or if the cache cannot be used.
pub fn cached(of: &CircuitShape, srs: &Srs, out: &Output) -> Result<ProvingKey, Error> {
    let powers = Powers { g1: srs.g1(), tau_g2: *srs.tau_g2(), digest: srs.digest_word() };
    let folder = cache_dir()?.join("settlement");
    let path = folder.join(name(of));
    if path.exists() {
        let bytes = store::read(&path, MAX_BYTES)?;
        match out.step("load settlement key", || ProvingKey::decode(&bytes, of, &powers)) {
            Ok(key) => return Ok(key),
            Err(error) => tracing::warn!(%error, "the cached settlement key is unusable and is made again"),
        }
    }
    let key = out.step("make settlement key", || ProvingKey::generate(of, &powers))?;
    fs::create_dir_all(&folder).map_err(Error::writing(&folder))?;
    store::write(&path, &key.encode())?;
    Ok(key)
}
