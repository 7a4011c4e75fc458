//! A settlement, its key and the records that it refers to, as the contracts' tests read them.

use std::fmt::Write;

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::keccak::{encode_point, encode_scalar};
use lorica_verifier::protocol::key::write_architecture;
use lorica_verifier::protocol::proof::Attribution;
use serde_json::{Value, json};

use super::settled::World;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn word(scalar: &Fr) -> String {
    hex(&encode_scalar(scalar))
}

fn points(points: &[G1Affine]) -> Vec<String> {
    points.iter().flat_map(|point| encode_point(point).chunks(32).map(hex).collect::<Vec<_>>()).collect()
}

/// The vector of a settlement on a registered world.
pub fn vector(world: &World, key: &VerifyingKey, s: &Settlement) -> Value {
    let binding = &s.binding;
    let base = &world.key;
    let mut encoding = Writer::default();
    write_architecture(&mut encoding, &base.architecture);
    let mut g2 = Writer::default();
    g2.point_g2(&base.tau_g2);
    let mut address = [0u8; 32];
    let mut account = |bytes: &[u8; 20]| {
        address[12..].copy_from_slice(bytes);
        hex(&address)
    };
    let indexes = world.indexes();
    let attribution = indexes
        .iter()
        .find(|index| index.id() == s.index)
        .map(|index| Attribution { index: s.index, adapter: index.adapter });
    let words = s.words(key, base.scales_word(), attribution.as_ref());
    let instances: Vec<String> = words.to_vec().iter().map(word).collect();
    let each = |f: &dyn Fn(usize) -> String| -> Vec<String> { (0..s.answers.len()).map(f).collect() };
    json!({
        "key": hex(&key.content()),
        "circuit": hex(&s.circuit),
        "encoding": hex(encoding.content()),
        "logTile": word(&Fr::from(u64::from(base.log_tile))),
        "srs": word(&base.srs),
        "tauG2": g2.content().chunks(32).map(hex).collect::<Vec<_>>(),
        "tables": points(&base.tables),
        "architecture": word(&base.architecture_digest()),
        "tiles": points(&base.tiles),
        "scalesWord": word(&base.scales_word()),
        "adapters": world.keys().iter()
            .map(|adapter| json!({
                "id": word(&adapter.id()),
                "version": word(&adapter.version.unwrap_or_default()),
                "tiles": points(&adapter.tiles),
            }))
            .collect::<Vec<_>>(),
        "indexes": indexes.iter()
            .map(|index| json!({
                "id": word(&index.id()),
                "adapter": word(&index.adapter),
                "version": word(&index.version),
                "logRecords": index.records.trailing_zeros(),
                "count": index.count,
                "tiles": points(&index.tiles),
            }))
            .collect::<Vec<_>>(),
        "chainId": word(&Fr::from(binding.chain_id)),
        "consumer": account(&binding.consumer),
        "payee": account(&binding.payee),
        "base": word(&s.base),
        "requestIds": each(&|i| hex(&binding.requests[i].id)),
        "fees": each(&|i| hex(&binding.requests[i].fee)),
        "requestAdapters": each(&|i| word(&s.answers[i].adapter)),
        "inputDigests": each(&|i| word(&s.answers[i].words.input_digest)),
        "labels": each(&|i| word(&s.answers[i].words.label)),
        "outputDigests": each(&|i| word(&s.answers[i].words.output_digest)),
        "index": word(&s.index),
        "shares": s.shares.iter().map(word).collect::<Vec<_>>(),
        "witness": points(&s.witness),
        "opening": points(&s.opening),
        "rhoHigh": s.rho_high.iter().map(word).collect::<Vec<_>>(),
        "alpha": word(&s.outcome.alpha),
        "zeta": word(&s.outcome.zeta),
        "beta": word(&s.outcome.beta),
        "z": word(&s.outcome.z),
        "constantTerm": word(&s.outcome.constant),
        "proof": hex(&s.proof),
        "instances": instances,
        "context": word(&binding.context()),
    })
}
