//! Writes the files that fuzzing starts from: `cargo xtask fuzz` runs this test by name.

use super::support;

use std::fs;
use std::path::{Path, PathBuf};

use lorica::files::{AdapterFile, BaseFile};
use lorica_cells::Columns;
use support::{Lorica, SRS, folders};

/// The 2^7 powers of a ceremony as raw halo2 parameters: both forms hold points alike. The Lagrange basis is not read.
fn raw_parameters(ceremony: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(ceremony[at..at + 4].try_into().expect("four bytes"));
    let section = |kind: u32| {
        let mut at = 12;
        while number(at) != kind {
            at += 12 + number(at + 4) as usize;
        }
        &ceremony[at + 12..]
    };
    let powers = &section(2)[..128 * 64];
    [&7u32.to_le_bytes(), powers, powers, &section(3)[..2 * 128]].concat()
}

/// Leaves four cells of each column.
fn truncate(columns: &mut Columns) {
    let names: Vec<_> = columns.names().collect();
    names.into_iter().for_each(|column| columns.edit(column, |cells| cells.truncate(4)));
}

#[test]
#[ignore = "writes fuzz/seeds for `cargo xtask fuzz`"]
fn write_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let _ = fs::remove_dir_all(&seeds);
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder: PathBuf = seeds.join(target);
        fs::create_dir_all(&folder).expect("a folder for seeds");
        fs::write(folder.join(name), bytes).expect("writable");
    };

    let world = Lorica::small_world();
    let requests: &[(&str, &str)] = &[
        ("one", "{\"text\": \"hello world\", \"adapter\": \"a.lorica\"}\n"),
        (
            "two",
            "{\"text\": \"a b\", \"adapter\": \"a.lorica\"}\r\n\n{\"text\": \"\\u0000ab\", \"adapter\": \"b.lorica\"}\n",
        ),
        ("null", "{\"text\": \"ab\", \"salt\": \"0x00000000000000000000000000000000000000000000000000000000000001\"}"),
    ];
    for (name, lines) in requests {
        world.write("r.jsonl", lines);
        let prove = ["prove", "--base", "base.lorica", "--requests", "r.jsonl", "-o", "p.proof"];
        world.run(prove.into_iter().chain(SRS)).expect(0);
        write("proof", name, &world.read("p.proof"));
        write("requests", name, lines.as_bytes());
    }
    write("requests", "labelled", b"{\"text\": \"hello\", \"label\": \"a\", \"package\": \"x\"}\n{\"text\": \"\"}\n");

    // Whole files, and files whose columns have few cells: they decode and are no valid models.
    write("base_key", "base", &world.read("base.vk"));
    let base = world.read("base.lorica");
    write("base_model", "whole", &base);
    let mut small = BaseFile::decode(&base).expect("written just now");
    truncate(&mut small.model.columns);
    small.model.meta.input_peaks.iter_mut().for_each(|peaks| peaks.truncate(4));
    write("base_model", "small", &small.encode());
    for name in ["a", "b", "headless"] {
        write("adapter_key", name, &world.read(&format!("{name}.vk")));
        let adapter = world.read(&format!("{name}.lorica"));
        write("adapter_model", name, &adapter);
        let mut small = AdapterFile::decode(&adapter).expect("written just now");
        truncate(&mut small.model.columns);
        write("adapter_model", &format!("{name}-small"), &small.encode());
    }
    write("tokenizer", "wordpiece", &small.key.tokenizer_json);

    // Labels of the fuzz target; the ones of the adapter are `c`, `a` and `b`.
    let rows = "{\"text\": \"hello\", \"label\": \"a\", \"contributor\": \"Ada\"}\n\
        {\"text\": \"a b\", \"label\": \"b\", \"contributor\": \"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\", \"licence\": \"CC0-1.0\"}\n\
        {\"text\": \"world\", \"label\": \"b\", \"contributor\": \"Bo\"}\n";
    let table =
        "text,label,contributor,licence\r\nhello,a,Ada,\r\n\"a, \"\"b\"\"\",b,Bo,CC0-1.0\n\"two\nlines\",a,Bo,\n";
    write("records", "lines", rows.as_bytes());
    write("records", "table", table.as_bytes());
    world.write("rows.jsonl", rows);
    let build = "datanet build rows.jsonl --base base.lorica --adapter a.lorica -o d.lorica";
    world.run(build.split(' ').chain(SRS)).expect(0);
    write("datanet", "three", &world.read("d.lorica"));
    write("index_key", "three", &world.read("d.vk"));

    let ceremony = include_bytes!("../../fixtures/srs/ceremony-7.ptau");
    write("srs_import", "ceremony", ceremony);
    write("srs_import", "raw", &raw_parameters(ceremony));
    for log_size in ["1", "2", "4"] {
        world.line(&format!("srs dev --log-size {log_size} -o small.srs")).expect(0);
        write("srs", log_size, &world.read("small.srs"));
    }

    // These take a proof in a circuit: they are made for their own targets only.
    if std::env::var("LORICA_FUZZ_TARGET").is_ok_and(|target| target.starts_with("settlement")) {
        let binding = r#"{ "chain_id": 31337, "consumer": "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
            "payee": "0xbebebebebebebebebebebebebebebebebebebebe", "requests": [{ "id": 7, "fee": 5 }] }"#;
        world.write("b.json", binding);
        let prove = "prove --base base.lorica --adapter a.lorica --text hello --binding b.json -o b.proof";
        world.run(prove.split(' ').chain(SRS)).expect(0);
        let settle = "settle --base base.vk --adapter a.vk --proof b.proof --binding b.json -o s.settlement";
        world.run(settle.split(' ').chain(SRS)).expect(0);
        write("settlement", "classified", &world.read("s.settlement"));
        write("settlement_key", "classified", &world.read("s.vk"));
    }

    // Both parts of an adapter folder; the labels stand behind a zero byte.
    let mut pattern = folders::Adapter::small();
    pattern.config["target_modules"] = serde_json::json!("bert\\.encoder\\..*\\.(query|value)");
    pattern.labels = Some(serde_json::json!({"c": 2, "a": 0, "b": 1}));
    let mut linear = folders::Adapter::headless();
    linear.config["target_modules"] = serde_json::json!("all-linear");
    let mut short = folders::Adapter::small();
    short.tensors.values_mut().for_each(|stored| *stored = stored.to_bf16());
    let adapters = [
        ("small", folders::Adapter::small()),
        ("headless", folders::Adapter::headless()),
        ("pattern", pattern),
        ("linear", linear),
        ("bf16", short),
    ];
    for (name, adapter) in adapters {
        let folder = adapter.write();
        let read = |file: &str| fs::read(folder.path().join(file)).unwrap_or_default();
        let labels = read("labels.json");
        let mut config = read("adapter_config.json");
        if !labels.is_empty() {
            config.push(0);
            config.extend(labels);
        }
        write("adapter_config", name, &config);
        write("adapter_weights", name, &read("adapter_model.safetensors"));
    }
}
