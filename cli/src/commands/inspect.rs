//! `lorica inspect`: what a file is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use lorica::answer::kind_of;
use lorica::answer::printable;
use lorica::datanet::quality::contributor_name;
use lorica::files::FileError;
use lorica::files::datanet::{DATANET_VERSION, MAX_DATANET_BYTES};
use lorica::files::{
    ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, AdapterFile, AdapterKey, BASE_KEY_MAGIC, BASE_MAGIC, BaseFile, BaseKey,
    DATANET_MAGIC, DatanetFile, INDEX_KEY_MAGIC, MAX_ADAPTER_BYTES, MAX_BASE_BYTES, MAX_KEY_BYTES, MAX_PROOF_BYTES,
    MAX_SETTLEMENT_BYTES, PROOF_MAGIC, SETTLEMENT_KEY_MAGIC, SETTLEMENT_MAGIC, SRS_MAGIC, read_index_key, store,
};
use lorica::srs::INSECURE;
use lorica_circuits::bn254::Fr;
use lorica_prover::srs::Srs;
use lorica_settlement::settlement::{IndexSettlement, Settlement};
use lorica_settlement::statement::Subject;
use lorica_verifier::files::magic::{INDEX_PROOF_MAGIC, INDEX_SETTLEMENT_MAGIC, ROW_PROOF_MAGIC};
use lorica_verifier::files::vk::INDEX_VERSION;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::{IndexProof, Row, RowProof};
use serde_json::{Map, Value, json};

use super::verify_settlement::{answers, index_json, read_key};
use super::{architecture_json, shape_json, word};
use crate::error::Error;
use crate::output::Output;

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The file: a base, an adapter, a key of either, a datanet, a proof of an inference, an index or rows of one, a settlement, a settlement key or an SRS
    pub file: PathBuf,
}

/// Runs it.
///
/// # Errors
/// [`Error::Refused`] if the file is none of Lorica's.
pub fn run(args: &InspectArgs, out: &Output) -> Result<(), Error> {
    let path = &args.file;
    let foreign = || Error::refused(path, "not one of Lorica's files");
    let file = File::open(path).map_err(FileError::reading(path))?;
    let metadata = file.metadata().map_err(FileError::reading(path))?;
    if metadata.is_dir() {
        return Err(Error::refused(path, "a folder, not a file"));
    }
    let mut read = Vec::new();
    file.take(8).read_to_end(&mut read).map_err(FileError::reading(path))?;
    if read.is_empty() {
        return Err(Error::refused(path, "the file is empty"));
    }
    let magic: [u8; 8] = read.try_into().map_err(|_| foreign())?;
    let mut content = match &magic {
        BASE_MAGIC => base(path)?,
        BASE_KEY_MAGIC => base_key(path, out)?,
        ADAPTER_MAGIC => adapter(path)?,
        ADAPTER_KEY_MAGIC => adapter_key(path)?,
        DATANET_MAGIC => datanet(path)?,
        INDEX_KEY_MAGIC => index_key(path)?,
        PROOF_MAGIC => proof(path)?,
        INDEX_PROOF_MAGIC => index_proof(path)?,
        ROW_PROOF_MAGIC => row_proof(path)?,
        INDEX_SETTLEMENT_MAGIC => index_settlement(path)?,
        SETTLEMENT_MAGIC => settlement(path)?,
        SETTLEMENT_KEY_MAGIC => settlement_key(path)?,
        SRS_MAGIC => srs(path)?,
        _ => return Err(foreign()),
    };
    let bytes = std::fs::metadata(path).map_err(FileError::reading(path))?.len();
    if let Value::Object(content) = &mut content {
        if content.get("insecure_srs") == Some(&Value::Bool(true)) {
            out.warn(INSECURE);
        }
        content.shift_insert(1, "file".into(), json!(path));
        content.shift_insert(2, "bytes".into(), json!(bytes));
        print(content, 0, out);
    }
    out.finish("lorica.inspect/1", content);
    Ok(())
}

/// Keys and values for people.
fn print(object: &Map<String, Value>, depth: usize, out: &Output) {
    let indent = "  ".repeat(depth);
    for (key, value) in object {
        match value {
            Value::Object(inner) => {
                out.line(format!("{indent}{key}:"));
                print(inner, depth + 1, out);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (index, item) in items.iter().enumerate() {
                    out.line(format!("{indent}{key} {index}:"));
                    if let Value::Object(inner) = item {
                        print(inner, depth + 1, out);
                    }
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(plain).collect();
                out.line(format!("{indent}{key}: {}", items.join(", ")));
            }
            value => out.line(format!("{indent}{key}: {}", plain(value))),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// The digest at the end of a file.
fn digest(bytes: &[u8]) -> String {
    hex::encode(&bytes[bytes.len().saturating_sub(32)..])
}

fn base_fields(key: &BaseKey) -> Map<String, Value> {
    let c = &key.commitments;
    let fields = json!({
        "id": word(&c.id()), "architecture_digest": word(&c.architecture_digest()),
        "architecture": architecture_json(&c.architecture), "tau": c.log_tile,
        "commitments": { "tables": c.tables.len(), "base": c.tiles.len() },
        "srs": word(&c.srs), "insecure_srs": key.verifier_key().is_insecure(), "has_pooler": key.has_pooler,
        "embedding_exponent": key.output_exponent, "tokenizer_bytes": key.tokenizer_json.len(),
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn datanet(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_DATANET_BYTES)?;
    let file = DatanetFile::decode(&bytes).map_err(FileError::malformed(path))?;
    let version = &file.version;
    let fields = json!({
        "version": word(&version.id()), "base": word(&file.base), "adapter": word(&file.key.adapter),
        "index": word(&file.key.id()), "room": file.key.records, "records": version.records.len(), "contributors": version.contributors.len(), "labels": version.rules.labels,
        "channels": file.cells.hidden_size, "matrix_exponent": file.exponent,
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("datanet", DATANET_VERSION, &bytes, fields))
}

fn index_key(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_KEY_BYTES)?;
    let (key, description) = read_index_key(path)?;
    let c = &key.commitments;
    let contributors: Vec<String> = description.contributors.iter().map(contributor_name).collect();
    let fields = json!({
        "id": word(&c.id()), "adapter": word(&c.adapter), "datanet_version": word(&c.version), "records": c.count,
        "room": c.records, "commitments": c.tiles.len(), "contributors": contributors,
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("index key", INDEX_VERSION, &bytes, fields))
}

fn with(kind: &str, version: u16, bytes: &[u8], fields: Map<String, Value>) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), kind.into());
    object.insert("version".into(), version.into());
    object.insert("digest".into(), digest(bytes).into());
    object.extend(fields);
    Value::Object(object)
}

fn base(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_BASE_BYTES)?;
    let file = BaseFile::decode(&bytes).map_err(FileError::malformed(path))?;
    file.key.commitments.validate().map_err(|source| FileError::Key { path: path.into(), source })?;
    let mut fields = base_fields(&file.key);
    fields.insert("source_sha256".into(), hex::encode(file.source).into());
    fields.insert("cells".into(), file.model.columns.cells().into());
    Ok(with("base", lorica::files::VERSION, &bytes, fields))
}

fn base_key(path: &Path, _out: &Output) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_KEY_BYTES)?;
    let key = BaseKey::decode(&bytes).map_err(FileError::malformed(path))?;
    key.commitments.validate().map_err(|source| FileError::Key { path: path.into(), source })?;
    Ok(with("base key", lorica::files::VERSION, &bytes, base_fields(&key)))
}

fn adapter_fields(key: &AdapterKey) -> Map<String, Value> {
    let fields = json!({
        "id": word(&key.commitments.id()), "base": word(&key.commitments.base),
        "datanet": key.commitments.version.as_ref().map(word), "commitments": key.commitments.tiles.len(),
        "output": kind_of(key.has_head).name(), "labels": key.labels,
    });
    let Value::Object(fields) = fields else { return Map::new() };
    fields
}

fn adapter(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_ADAPTER_BYTES)?;
    let file = AdapterFile::decode(&bytes).map_err(FileError::malformed(path))?;
    let mut fields = adapter_fields(&file.key);
    fields.insert("cells".into(), file.model.columns.cells().into());
    Ok(with("adapter", lorica::files::VERSION, &bytes, fields))
}

fn adapter_key(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_KEY_BYTES)?;
    let key = AdapterKey::decode(&bytes).map_err(FileError::malformed(path))?;
    Ok(with("adapter key", lorica::files::VERSION, &bytes, adapter_fields(&key)))
}

fn proof(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let proof = InferenceProof::decode(&bytes).map_err(FileError::malformed(path))?;
    let statement = &proof.statement;
    let requests: Vec<Value> = statement
        .requests
        .iter()
        .map(|request| {
            json!({
                "adapter": (request.adapter != Fr::zero()).then(|| word(&request.adapter)),
                "tokens": request.ids.len(), "outputs": request.output.values().len(),
                "label": (!request.output.values().is_empty() && request.output.kind().name() == "classify")
                    .then(|| request.output.label()),
            })
        })
        .collect();
    let fields = json!({
        "checked": false, "base": word(&statement.base), "architecture_digest": word(&statement.architecture),
        "srs": word(&statement.srs), "context": word(&statement.context), "shape": shape_json(&statement.shape),
        "witness_commitments": proof.witness.len(), "requests": requests,
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("proof", 1, &bytes, fields))
}

fn index_proof(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let proof = IndexProof::decode(&bytes).map_err(FileError::malformed(path))?;
    let statement = &proof.statement;
    let fields = json!({
        "checked": false, "index": word(&statement.index), "room": statement.records, "records": statement.count,
        "tau": statement.log_tile, "architecture_digest": word(&statement.architecture), "srs": word(&statement.srs),
        "context": word(&statement.context), "witness_commitments": proof.witness.len(),
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("index proof", 1, &bytes, fields))
}

fn row_proof(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let proof = RowProof::decode(&bytes).map_err(FileError::malformed(path))?;
    let statement = &proof.statement;
    let rows: Vec<Value> = statement
        .rows
        .iter()
        .map(|own| {
            let Row { row, label, weight, slot } = own.row;
            json!({ "row": row, "label": label, "weight": weight, "slot": slot, "tokens": own.ids.len() })
        })
        .collect();
    let shape = &statement.shape;
    let fields = json!({
        "checked": false, "index": word(&statement.index), "adapter": word(&statement.adapter),
        "base": word(&statement.base), "records": statement.records,
        "shape": { "requests": shape.requests, "tokens": shape.tokens, "tau": shape.log_tile, "room": shape.records },
        "architecture_digest": word(&statement.architecture), "srs": word(&statement.srs),
        "context": word(&statement.context), "witness_commitments": proof.witness.len(), "rows": rows,
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("row proof", 1, &bytes, fields))
}

fn index_settlement(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_SETTLEMENT_BYTES)?;
    let settled = IndexSettlement::decode(&bytes).map_err(FileError::malformed(path))?;
    let fields = json!({
        "checked": false, "circuit": format!("0x{}", hex::encode(settled.circuit)), "index": word(&settled.index),
        "witness_commitments": settled.witness.len(),
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("settlement of an index", 1, &bytes, fields))
}

fn settlement(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_SETTLEMENT_BYTES)?;
    let settled = Settlement::decode(&bytes).map_err(FileError::malformed(path))?;
    let fields = json!({
        "checked": false, "circuit": format!("0x{}", hex::encode(settled.circuit)), "base": word(&settled.base),
        "binding": lorica::binding::to_json(&settled.binding), "context": word(&settled.binding.context()),
        "index": index_json(&settled), "requests": answers(&settled, &[], None), "witness_commitments": settled.witness.len(),
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("settlement", 1, &bytes, fields))
}

fn settlement_key(path: &Path) -> Result<Value, Error> {
    let bytes = store::read(path, MAX_KEY_BYTES)?;
    let key = read_key(path)?;
    let of = key.circuit_shape();
    let fields = json!({
        "circuit": format!("0x{}", hex::encode(key.circuit_id())), "subject": subject(of.subject),
        "shape": shape_json(&of.shape),
        "architecture_digest": word(&of.architecture_digest), "architecture": architecture_json(&of.architecture),
        "srs": word(&of.srs), "log_rows": key.log_rows(), "words": key.words(),
    });
    let Value::Object(fields) = fields else { return Ok(Value::Null) };
    Ok(with("settlement key", 1, &bytes, fields))
}

fn subject(subject: Subject) -> &'static str {
    match subject {
        Subject::Inference => "inference",
        Subject::Index => "index",
    }
}

fn srs(path: &Path) -> Result<Value, Error> {
    let srs = Srs::read(path)?;
    Ok(json!({
        "kind": "srs", "version": 1, "digest": hex::encode(srs.digest()), "word": word(&srs.digest_word()),
        "log_size": srs.log_size(), "powers": srs.g1().len(), "insecure_srs": srs.is_insecure(),
    }))
}
