//! `lorica datanet` on a small random model.

use super::support;

use std::fs;
use std::sync::LazyLock;

use lorica::check::{Mismatch, check_rows, expect_records};
use lorica::datanet::Version;
use lorica::datanet::check::{DatanetCheckError, check};
use lorica::files::{AdapterFile, BaseFile, DatanetFile, read_adapter_key, read_base_key, read_index_key};
use lorica::srs::{AcceptedSrs, SrsPolicy};
use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::Fr;
use serde_json::Value;
use support::Lorica;

static WORLD: LazyLock<Lorica> = LazyLock::new(Lorica::small_world);

/// Two labels of the small adapter, from its key.
fn labels() -> Vec<String> {
    let inspected = WORLD.line("inspect a.vk --json").expect(0).json();
    let names = inspected["labels"].as_array().expect("labels");
    names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// Texts of the small tokenizer's words, all with different words, by four contributors.
fn rows() -> Vec<String> {
    let labels = labels();
    let texts =
        ["hello", "world", "a b", "ab ba", "aa bb", "hello a", "world b", "ba", "hello bb", "ab", "bb", "b aa world"];
    texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let contributor = ["Ada", "Bo", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "Ada"][i % 4];
            serde_json::json!({ "text": text, "label": labels[i % 2], "contributor": contributor }).to_string()
        })
        .collect()
}

const BUILD: &str = "datanet build rows.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
const SALT: &str = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

/// A refusal of a build from a file with this content.
fn refusal(name: &str, content: &str) -> Value {
    WORLD.write(name, content);
    let line = format!(
        "datanet build {name} --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs -o refused.lorica --json"
    );
    let error = WORLD.line(&line).expect(3).json();
    assert!(!WORLD.path("refused.lorica").exists());
    error
}

#[test]
fn a_datanet_is_built_shown_and_the_same_again() {
    let rows = rows();
    let mut content = rows.join("\n");
    content.push_str("\n{\"text\":\n");
    content.push_str(&format!("{}\n", rows[0].replace("hello", " HELLO ")));
    WORLD.write("rows.jsonl", content);
    let build = format!("{BUILD} --salt {SALT} --licence CC0-1.0 --json");
    let built = WORLD.line(&format!("{build} --report report.json -o d.lorica")).expect(0).json();
    assert_eq!(built["schema"], "lorica.datanet.build/1");
    let report = &built["report"];
    assert_eq!(report["rows"], 14);
    assert_eq!(report["records"], 12);
    assert_eq!(report["rejected"]["malformed"], 1);
    assert_eq!(report["rejected"]["duplicate"], 1);
    assert_eq!(report["contributors"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["contributors"][0]["records"], 6);
    let shares: f64 =
        report["contributors"].as_array().expect("a list").iter().filter_map(|c| c["mean_share"].as_f64()).sum();
    let tail = report["held_out"]["mean_tail"].as_f64().expect("a part");
    assert!((shares + tail - 1.0).abs() < 1e-4, "{shares} {tail}");
    assert_eq!(built["rejections"][1]["line"], 14);
    assert_eq!(built["rejections"][1]["of"]["line"], 1);
    let written: Value = serde_json::from_slice(&WORLD.read("report.json")).expect("JSON");
    assert_eq!(written["rejections"], built["rejections"]);
    assert_eq!(written["version"], built["version"]);
    // What the build kept for itself is gone.
    assert!(!WORLD.path("d.lorica.partial").exists());

    // The file is whole, and its matrix the inverse of its features.
    let file = DatanetFile::load(&WORLD.path("d.lorica")).expect("a datanet");
    let cells = &file.cells;
    let matrix = lorica::datanet::index::joined(cells);
    lorica_quant::index::inverse::check(
        &cells.features,
        cells.hidden_size,
        &cells.classes,
        1_000,
        file.exponent,
        &matrix,
    )
    .expect("the inverse");
    assert_eq!(cells.slots.iter().max(), Some(&2));

    let shown = WORLD.line("datanet show d.lorica --json").expect(0).json();
    assert_eq!((&shown["version"], &shown["report"]), (&built["version"], &built["report"]));
    let text = WORLD.line("datanet show d.lorica").expect(0).stdout;
    assert!(text.contains("12 records") && text.contains("1 malformed") && text.contains("Ada"), "{text}");
    assert_eq!(WORLD.line("inspect d.lorica --json").expect(0).json()["records"], 12);

    // Equal rows, equal salt: the same version and cells, and commitments that do not show it. Another salt, licence or ridge:
    // another version.
    let again = WORLD.line(&format!("{build} -o again.lorica")).expect(0).json();
    assert_eq!((&again["version"], &again["adapter"]), (&built["version"], &built["adapter"]));
    let again = DatanetFile::load(&WORLD.path("again.lorica")).expect("a datanet");
    assert_eq!((&again.cells, &again.version), (&file.cells, &file.version));
    assert!(again.key.tiles.iter().zip(&file.key.tiles).all(|(own, other)| own != other));
    for other in [
        format!("{BUILD} --licence CC0-1.0"),
        format!("{BUILD} --salt {SALT} --licence MIT"),
        format!("{BUILD} --salt {SALT} --licence CC0-1.0 --ridge 2.5"),
    ] {
        let other = WORLD.line(&format!("{other} -o other.lorica --json")).expect(0).json();
        assert_ne!(other["version"], built["version"]);
    }
}

/// The adapter's answers, by the other command.
#[test]
fn answers_are_the_models() {
    let rows = rows();
    WORLD.write("few.jsonl", rows[..4].join("\n"));
    WORLD.write("others.jsonl", rows[4..].join("\n"));
    let line = "datanet build few.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs --held-out others.jsonl -o few.lorica --json";
    let built = WORLD.line(line).expect(0).json();
    let right = rows[4..]
        .iter()
        .filter(|row| {
            let row: Value = serde_json::from_str(row).expect("JSON");
            let text = row["text"].as_str().expect("a text");
            let infer = ["infer", "--base", "base.lorica", "--adapter", "a.lorica", "--text", text, "--json"];
            let answer = WORLD.run(infer).expect(0).json();
            answer["label"]["name"] == row["label"]
        })
        .count();
    let accuracy = built["report"]["held_out"]["adapter_accuracy"].as_f64().expect("a part");
    assert!(right > 0 && right < 8, "{right}");
    assert!((accuracy - right as f64 / 8.0).abs() < 1e-6, "{accuracy} {right}");
}

#[test]
fn held_out_rows_of_their_own_are_measured() {
    let rows = rows();
    WORLD.write("train.jsonl", rows[..10].join("\n"));
    // One of the rows is a record, one is broken.
    WORLD.write("held.jsonl", [&rows[0], &rows[10], &rows[11], "{}x"].map(|row| row.to_owned()).join("\n"));
    let line = "datanet build train.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs --held-out held.jsonl -o h.lorica --json";
    let built = WORLD.line(line).expect(0).json();
    let held_out = &built["report"]["held_out"];
    assert_eq!(held_out["split"], false);
    assert_eq!((&held_out["rows"], &held_out["left_out"]), (&2.into(), &2.into()));
}

#[test]
fn what_cannot_be_built_is_refused_with_file_and_line() {
    let message = |error: Value| error["message"].as_str().expect("a sentence").to_owned();
    let rows = rows();
    let row = r#"{"text": "hello", "label": "zz", "contributor": "Ada"}"#;
    let unknown = message(refusal("unknown.jsonl", &format!("{}\n{row}", rows[0])));
    assert!(unknown.starts_with("unknown.jsonl, line 2: no label of the adapter is called \"zz\""), "{unknown}");
    let long = message(refusal("long.jsonl", &"x".repeat(70_000)));
    assert_eq!(long, "long.jsonl, line 1: the row is longer than 64000 bytes");
    let empty = message(refusal("empty.jsonl", ""));
    assert!(empty.starts_with("empty.jsonl: no row is left: 0 rows were rejected"), "{empty}");
    let none = message(refusal("none.jsonl", &format!("{{\n{}", rows[0].replace("hello", " "))));
    assert!(none.contains("2 rows were rejected, the first: none.jsonl, line 1: malformed"), "{none}");
    let table = message(refusal("t.csv", "text,label,contributor\n\"a,b,c"));
    assert!(table.starts_with("t.csv, line 2: the quoting is broken"), "{table}");

    WORLD.write("rows2.jsonl", rows.join("\n"));
    let headless = "datanet build rows2.jsonl --base base.lorica --adapter headless.lorica --srs dev.srs --insecure-dev-srs -o x.lorica --json";
    assert!(message(WORLD.line(headless).expect(3).json()).contains("classification head"));
    let ridge = "datanet build rows2.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs --ridge 0 -o x.lorica --json";
    assert!(message(WORLD.line(ridge).expect(3).json()).contains("from 0.001 to 1000"));
    WORLD
        .line(
            "datanet build rows2.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs -o x.vk",
        )
        .expect(2);
    WORLD.line("datanet build rows2.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs --salt 00 -o x.lorica").expect(2);
    WORLD.line("datanet show a.lorica").expect(3);
    WORLD.line("datanet build absent.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs -o x.lorica").expect(3);
}

/// A folder is read as its files in order, and a file beside is not.
#[test]
fn folders_are_read() {
    let rows = rows();
    let folder = WORLD.path("folder");
    fs::create_dir(&folder).expect("a new folder");
    fs::write(folder.join("2.jsonl"), rows[..3].join("\n")).expect("writable");
    let labels = labels();
    fs::write(folder.join("1.csv"), format!("text,label,contributor\nworld hello,{},Cy\n", labels[0]))
        .expect("writable");
    fs::write(folder.join("notes.txt"), "no rows").expect("writable");
    let line = "datanet build folder --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs -o f.lorica --json";
    let built = WORLD.line(line).expect(0).json();
    assert_eq!(built["report"]["records"], 4);
    assert_eq!(built["report"]["contributors"][0]["contributor"], "Cy");
}

/// From rows to proven shares, and what does not pass.
#[test]
fn shares_are_proven_and_checked() {
    WORLD.write("proven.jsonl", rows().join("\n"));
    let build = "datanet build proven.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
    let built = WORLD.line(&format!("{build} -o p.lorica --json")).expect(0).json();
    assert_eq!(built["adapter_file"], "p.adapter.lorica");
    // The adapter that names the version has another id, and names no other version.
    let plain = WORLD.line("inspect a.vk --json").expect(0).json();
    assert_ne!(plain["id"], built["adapter"]);
    let named = "datanet build proven.jsonl --base base.lorica --adapter p.adapter.lorica --srs dev.srs";
    let error = WORLD.line(&format!("{named} --insecure-dev-srs -o q.lorica --json")).expect(3).json();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("names datanet version")), "{error}");

    let prove =
        |rest: &str| WORLD.line(&format!("prove --base base.lorica --srs dev.srs --insecure-dev-srs {rest} --json"));
    let proven = prove("--adapter p.adapter.lorica --datanet p.lorica --text world -o p.proof").expect(0).json();
    assert_eq!(proven["index"]["id"], built["index"]);
    assert_eq!(proven["index"]["records"], 2048);
    let sum = |request: &Value| -> u64 {
        request["shares"].as_array().expect("shares").iter().filter_map(|own| own["share"].as_u64()).sum()
    };
    let request = &proven["requests"][0];
    assert!(sum(request) > 60_000, "{request}");
    assert_eq!(sum(request) + request["tail"].as_u64().expect("a tail"), 65_535);

    let verify =
        |rest: &str| WORLD.line(&format!("verify --base base.vk --adapter p.adapter.vk --proof p.proof {rest} --json"));
    let verified = verify("--datanet p.vk --text world").expect(0).json();
    assert_eq!(verified["requests"][0]["shares"], request["shares"]);
    let names: Vec<&str> =
        request["shares"].as_array().expect("shares").iter().filter_map(|own| own["contributor"].as_str()).collect();
    assert!(names.iter().all(|name| ["Ada", "Bo"].contains(name) || name.starts_with("0x")), "{names:?}");
    let kind = |rest: &str| verify(rest).expect(1).json()["kind"].clone();
    assert_eq!(kind("--text world"), "rejected", "no key of the index");
    // An index of the same records that was committed to again is another.
    WORLD.line(&format!("{build} -o r.lorica")).expect(0);
    assert_eq!(kind("--datanet r.vk --text world"), "rejected");

    // The explanation has the shares that are proven.
    let explain = "attribute --base base.lorica --adapter p.adapter.lorica --datanet p.lorica --text world";
    let explained = WORLD.line(&format!("{explain} --json")).expect(0).json();
    assert_eq!((&explained["shares"], &explained["tail"]), (&request["shares"], &request["tail"]));
    assert_eq!(explained["records"][0]["label"], explained["label"]["name"]);
    let text = WORLD.line(explain).expect(0).stdout;
    assert!(text.contains("###") && text.contains("not proven"), "{text}");
    WORLD.line(&explain.replace("p.adapter.lorica", "a.lorica")).expect(3);

    // Another adapter, an embedding, and no request of the adapter: nothing is attributed.
    prove("--adapter a.lorica --datanet p.lorica --text world -o no.proof").expect(3);
    prove("--datanet p.lorica --text world -o no.proof").expect(3);
    // Without the datanet the same adapter proves a plain answer, of which no shares are known.
    prove("--adapter p.adapter.lorica --text world -o plain.proof").expect(0);
    let plain = "verify --base base.vk --adapter p.adapter.vk --proof plain.proof --json";
    assert!(WORLD.line(plain).expect(0).json()["requests"][0].get("shares").is_none());
    assert_eq!(WORLD.line(&format!("{plain} --datanet p.vk")).expect(1).json()["kind"], "rejected");

    let inspected = WORLD.line("inspect p.vk --json").expect(0).json();
    assert_eq!((&inspected["id"], &inspected["records"]), (&built["index"], &12.into()));
}

/// A settlement of an answer that attributes: made and checked with the datanet's key, refused without it or with another one.
#[test]
fn shares_are_settled() {
    WORLD.write("settled.jsonl", rows().join("\n"));
    let build = "datanet build settled.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{build} -o s.lorica")).expect(0);
    WORLD.line(&format!("{build} -o t.lorica")).expect(0);
    let binding = r#"{ "chain_id": 31337, "consumer": "0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0",
        "payee": "0xbebebebebebebebebebebebebebebebebebebebe", "requests": [{ "id": 7, "fee": "1000" }] }"#;
    WORLD.write("s.json", binding);
    let srs = "--srs dev.srs --insecure-dev-srs";
    let prove = format!("prove --base base.lorica --adapter s.adapter.lorica --datanet s.lorica --text world {srs}");
    let proven = WORLD.line(&format!("{prove} --binding s.json -o s.proof --json")).expect(0).json();
    let settle = format!("settle --base base.vk --adapter s.adapter.vk --proof s.proof --binding s.json {srs}");
    assert_eq!(WORLD.line(&format!("{settle} -o u.settlement --json")).expect(1).json()["kind"], "rejected");
    let settled = WORLD.line(&format!("{settle} --datanet s.vk -o u.settlement --json")).expect(0).json();
    let check = "verify --base base.vk --adapter s.adapter.vk --settlement u.settlement --key u.vk --json";
    let checked = WORLD.line(&format!("{check} --datanet s.vk")).expect(0).json();
    assert_eq!((&settled["index"], &checked["index"]), (&proven["index"]["id"], &proven["index"]["id"]));
    assert_eq!(settled["requests"], checked["requests"]);
    assert_eq!(checked["requests"][0]["shares"], proven["requests"][0]["shares"]);
    // Of the same records, but committed to again.
    for other in ["", " --datanet t.vk"] {
        assert_eq!(WORLD.line(&format!("{check}{other}")).expect(1).json()["kind"], "rejected");
    }
    // Without the key nobody knows who has which slot.
    let inspected = WORLD.line("inspect u.settlement --json").expect(0).json();
    assert_eq!(inspected["requests"][0]["shares"][0]["contributor"], Value::Null);

    // The key is that of the shape, whoever makes it.
    let key = format!("settlement-key --base base.vk --tokens 16 {srs} -o k.vk --json");
    let made = WORLD.line(&format!("{key} --records 2048")).expect(0).json();
    assert_eq!((&made["circuit"], &made["shape"]["records"]), (&settled["circuit"], &2048.into()));
    WORLD.line(&format!("{key} --records 4096")).expect(2);
    WORLD.line(&format!("{key} --records 2048 --embed")).expect(2);
}

/// From rows to proofs of each of them, in steps, and what does not pass.
#[test]
fn rows_are_proven_and_checked() {
    WORLD.write("rowed.jsonl", rows().join("\n"));
    let build = "datanet build rowed.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
    let built = WORLD.line(&format!("{build} -o w.lorica --json")).expect(0).json();
    WORLD.line(&format!("{build} -o v.lorica")).expect(0);
    let with = |file: &str, rest: &str| {
        format!(
            "datanet prove-rows {file}.lorica --base base.lorica --adapter {file}.adapter.lorica --srs dev.srs \
             --insecure-dev-srs {rest} --json"
        )
    };
    let prove = |rest: &str| WORLD.line(&with("w", rest));
    let made = |run: Value| -> Vec<(String, bool)> {
        let proofs = run["proofs"].as_array().expect("proofs").clone();
        let of = |own: &Value| (own["file"].as_str().expect("a name").to_owned(), own["made"] == true);
        proofs.iter().map(of).collect()
    };
    let names = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
        list.iter().map(|(name, made)| (format!("w/{name}.rows"), *made)).collect()
    };
    let first = prove("--rows 0-4 --batch 4 -o w").expect(0).json();
    assert_eq!((&first["schema"], &first["rows"]), (&"lorica.datanet.prove-rows/1".into(), &5.into()));
    assert_eq!(first["index"], built["index"]);
    assert_eq!(made(first), names(&[("00000-00003", true), ("00004-00004", true)]));
    // It goes on where it stopped: what is there is checked and stays.
    let kept = WORLD.read("w/00000-00003.rows");
    let on = prove("--batch 4 -o w").expect(0).json();
    assert_eq!(made(on), names(&[("00000-00003", false), ("00004-00007", true), ("00008-00011", true)]));
    assert_eq!(WORLD.read("w/00000-00003.rows"), kept);

    let verify =
        |rest: &str| WORLD.line(&format!("datanet verify-rows --base base.vk --adapter w.adapter.vk {rest} --json"));
    let checked = verify("--datanet w.vk w").expect(0).json();
    assert_eq!((&checked["proven"], &checked["records"], &checked["index"]), (&12.into(), &12.into(), &built["index"]));
    assert_eq!(checked["compared_with_records"], false);
    let file = DatanetFile::load(&WORLD.path("w.lorica")).expect("a datanet");
    let listed = checked["rows"].as_array().expect("rows");
    // Row 4 is proven twice.
    assert_eq!(listed.len(), 13);
    for own in listed {
        let record = &file.version.records[own["row"].as_u64().expect("a number") as usize];
        let digest = lorica_verifier::protocol::keccak::encode_scalar(&record.digest);
        assert_eq!(own["record_digest"], format!("0x{}", hex::encode(digest)));
        assert_eq!((&own["label"], &own["weight"]), (&record.label.into(), &record.weight.into()));
        assert_eq!(own["slot"], record.slot);
        assert!(own["contributor"].as_str().is_some());
    }
    // With the datanet itself rows are compared with its records; one file alone will do.
    let compared = verify("--datanet w.lorica w/00004-00004.rows").expect(0).json();
    assert_eq!((&compared["proven"], &compared["compared_with_records"]), (&1.into(), &true.into()));
    let unproven = |own: &Value| own["not_proven"].as_array().map(Vec::len);
    assert_eq!((unproven(&checked), unproven(&compared)), (Some(4), Some(3)));
    let text =
        WORLD.line("datanet verify-rows --base base.vk --adapter w.adapter.vk --datanet w.vk w").expect(0).stdout;
    assert!(text.contains("12 of 12 rows are proven") && text.contains("not proven:"), "{text}");
    assert!(text.contains("row 11: digest 0x"), "{text}");

    // An index of the same records that was committed to again is another; so is another context.
    let kind = |rest: &str| verify(rest).expect(1).json()["kind"].clone();
    assert_eq!(kind("--datanet v.vk w"), "rejected");
    assert_eq!(kind("--datanet w.vk w --context 01"), "rejected");
    let mut forged = kept.clone();
    let at = forged.len() / 2;
    forged[at] ^= 1;
    WORLD.write("forged.rows", &forged);
    assert_eq!(kind("--datanet w.vk forged.rows"), "rejected");
    // What is in the way of a proof is not overwritten: a damaged one, one of another context, one of another index.
    WORLD.write("w/00000-00003.rows", &forged);
    prove("--rows 0-3 -o w").expect(3);
    assert_eq!(WORLD.read("w/00000-00003.rows"), forged);
    WORLD.write("w/00000-00003.rows", &kept);
    prove("--rows 0-3 -o w --context 01").expect(3);
    WORLD.line(&with("v", "--rows 0-3 -o w")).expect(3);
    assert_eq!(WORLD.read("w/00000-00003.rows"), kept);

    // Rows that there are not, an adapter that names no version, a folder without proofs.
    let error = prove("--rows 11-12 -o x").expect(3).json();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("there is no row 12")), "{error}");
    for rest in ["--rows 3-2 -o x", "--rows a -o x", "--batch 17 -o x"] {
        prove(rest).expect(2);
    }
    WORLD.line(&with("w", "-o x").replace("w.adapter.lorica", "a.lorica")).expect(3);
    fs::create_dir(WORLD.path("empty-folder")).expect("a new folder");
    verify("--datanet w.vk empty-folder").expect(3);

    // A row whose features are another text's has no proof, and is named.
    let mut other = file;
    let hidden = other.cells.hidden_size;
    other.cells.features.copy_within(..hidden, 5 * hidden);
    WORLD.write("y.lorica", other.encode());
    let line = with("w", "--rows 4-6 -o y").replace("w.lorica", "y.lorica");
    let error = WORLD.line(&line).expect(3).json();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("row 5: its features are not")), "{error}");
    assert!(fs::read_dir(WORLD.path("y")).expect("a folder").next().is_none());

    let inspected = WORLD.line("inspect w/00008-00011.rows --json").expect(0).json();
    assert_eq!((&inspected["index"], &inspected["rows"][3]["row"]), (&built["index"], &11.into()));
    assert_eq!(inspected["checked"], false);
}

/// A true proof of rows that are not the version's records: digest, label, weight, slot or number of one of them differ.
#[test]
fn rows_are_compared_with_records() {
    WORLD.write("compared.jsonl", rows().join("\n"));
    let build = "datanet build compared.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{build} -o c.lorica")).expect(0);
    let prove =
        "datanet prove-rows c.lorica --base base.lorica --adapter c.adapter.lorica --srs dev.srs --insecure-dev-srs";
    WORLD.line(&format!("{prove} --rows 2-3 -o c")).expect(0);
    let base = read_base_key(&WORLD.path("base.vk")).expect("a key");
    let adapter = read_adapter_key(&WORLD.path("c.adapter.vk"), &base).expect("a key");
    let (index, _) = read_index_key(&WORLD.path("c.vk")).expect("a key");
    let bytes = WORLD.read("c/00002-00003.rows");
    let policy = SrsPolicy::DevelopmentForTests;
    let accepted = check_rows(&base, &adapter, &index, Fr::zero(), &bytes, policy).expect("accepted");
    let version = DatanetFile::load(&WORLD.path("c.lorica")).expect("a datanet").version;
    assert_eq!(expect_records(&accepted, &version), Ok(()));
    let differs = |row: usize, edit: &dyn Fn(&mut Version)| {
        let mut other = version.clone();
        edit(&mut other);
        match expect_records(&accepted, &other) {
            Err(Mismatch::Record { row: own, what }) if own == row => what,
            verdict => panic!("{verdict:?}"),
        }
    };
    assert_eq!(differs(2, &|own| own.records[2].digest += Fr::from(1)), "digest");
    assert_eq!(differs(3, &|own| own.records[3].label ^= 1), "label");
    assert_eq!(differs(3, &|own| own.records[3].weight -= 1), "weight");
    assert_eq!(differs(2, &|own| own.records[2].slot += 1), "slot");
    assert_eq!(differs(2, &|own| own.records.swap(2, 3)), "digest");
    assert_eq!(differs(3, &|own| own.records.truncate(3)), "number");
    // The same salt: another one makes other digests.
    assert_eq!(accepted.proof.statement.rows[0].salt, version.salt);
}

/// Builds a datanet of the rows under this name, and checks what becomes of it under an edit. The edited file is of a version, an
/// adapter and an index that belong together, as a hostile curator's would be.
fn checked(name: &str, edit: impl FnOnce(&mut DatanetFile)) -> Result<usize, DatanetCheckError> {
    let rows_name = format!("{name}.jsonl");
    WORLD.write(&rows_name, rows().join("\n"));
    let build =
        format!("datanet build {rows_name} --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs");
    WORLD.line(&format!("{build} -o {name}.lorica")).expect(0);
    let base = BaseFile::load(&WORLD.path("base.lorica")).expect("a base");
    let mut adapter = AdapterFile::load(&WORLD.path(&format!("{name}.adapter.lorica")), &base.key).expect("an adapter");
    let mut file = DatanetFile::load(&WORLD.path(&format!("{name}.lorica"))).expect("a datanet");
    edit(&mut file);
    file.cells.classes = file.version.classes();
    file.cells.slots = file.version.slots();
    file.key.version = file.version.id();
    adapter.key.commitments.version = Some(file.key.version);
    file.key.adapter = adapter.key.commitments.id();
    let file = DatanetFile::decode(&file.encode()).expect("a file that is whole");
    let srs = AcceptedSrs::load(&WORLD.path("dev.srs"), 14, SrsPolicy::DevelopmentForTests).expect("an SRS");
    check(&file, &srs, base, &adapter, true, &Unwatched).map(|checked| checked.features)
}

/// Each thing that a curator may change while the file stays whole, and the check that sees it.
#[test]
fn a_datanet_that_no_build_makes_is_rejected() {
    use DatanetCheckError as E;
    assert_eq!(checked("honest", |_| ()).expect("an honest datanet"), 12);
    let form = checked("form", |file| file.version.records[3].text = "AB  BA".into());
    assert!(matches!(form, Err(E::Form { record: 3 })), "{form:?}");
    let tokens = checked("tokens", |file| file.version.records[3].text = "hello".into());
    assert!(matches!(tokens, Err(E::Tokens { record: 3 })), "{tokens:?}");
    let digest = checked("digest", |file| file.version.records[5].digest += Fr::from(1));
    assert!(matches!(digest, Err(E::Digest { record: 5 })), "{digest:?}");
    let salt = checked("salt", |file| file.version.salt[0] ^= 1);
    assert!(matches!(salt, Err(E::Digest { record: 0 })), "{salt:?}");
    let double = checked("double", |file| {
        let slot = file.version.records[7].slot;
        file.version.records[7] = lorica::datanet::Record { slot, ..file.version.records[2].clone() };
    });
    assert!(matches!(double, Err(E::Duplicate { record: 7, of: 2 })), "{double:?}");
    let weight = checked("weight", |file| file.version.records[0].weight -= 1);
    assert!(matches!(weight, Err(E::Weight { record: 0, .. })), "{weight:?}");
    let label = checked("label", |file| file.version.rules.labels.swap(0, 1));
    assert!(matches!(label, Err(E::Label { index: 0, .. })), "{label:?}");
    let limit = checked("limit", |file| file.version.rules.max_tokens -= 1);
    assert!(matches!(limit, Err(E::TokenLimit { .. })), "{limit:?}");
    let unicode = checked("unicode", |file| file.version.rules.unicode[0] -= 1);
    assert!(matches!(unicode, Err(E::Unicode { .. })), "{unicode:?}");
    let matrix = checked("matrix", |file| file.cells.inverse[1] += 9_000);
    assert!(matches!(matrix, Err(E::Inverse(_))), "{matrix:?}");
    // Records that change places keep the sums; if label or contributor are others the points tell it, if not the model does.
    let places = checked("places", |file| file.version.records.swap(0, 1));
    assert!(matches!(places, Err(E::Point { .. })), "{places:?}");
    let same = checked("same", |file| file.version.records.swap(0, 4));
    assert!(matches!(same, Err(E::Features { record: 0 })), "{same:?}");
    let blinding = checked("blinding", |file| file.blinding[0] += Fr::from(1));
    assert!(matches!(blinding, Err(E::Point { tile: 0 })), "{blinding:?}");
}

/// A feature that is not the model's, with a matrix and points that fit it: only the model tells.
#[test]
fn features_of_no_model_are_rejected() {
    use lorica_quant::index::inverse::invert;
    let base = BaseFile::load(&WORLD.path("base.lorica")).expect("a base");
    let srs = AcceptedSrs::load(&WORLD.path("dev.srs"), 14, SrsPolicy::DevelopmentForTests).expect("an SRS");
    let forged = checked("features", |file| {
        let cells = &mut file.cells;
        let hidden = cells.hidden_size;
        cells.features[2 * hidden + 1] += 1;
        let (inverse, _) = invert(&cells.features, hidden, &cells.classes, 1_000).expect("an inverse");
        file.exponent = inverse.exponent;
        for (j, row) in inverse.cells.chunks_exact(hidden + 1).enumerate() {
            match j == hidden {
                false => {
                    cells.inverse[j * hidden..(j + 1) * hidden].copy_from_slice(&row[..hidden]);
                    cells.bias[j] = row[hidden];
                }
                true => cells.corner = row[hidden],
            }
        }
        file.key.tiles = lorica::datanet::check::commitments(file, &srs, &base, &Unwatched).expect("points");
    });
    assert!(matches!(forged, Err(DatanetCheckError::Features { record: 2 })), "{forged:?}");
}

/// The command: its verdicts and exit codes.
#[test]
fn datanets_are_checked_by_a_command() {
    WORLD.write("c.jsonl", rows().join("\n"));
    let build =
        "datanet build c.jsonl --base base.lorica --adapter a.lorica --srs dev.srs --insecure-dev-srs -o c.lorica";
    WORLD.line(build).expect(0);
    let check = "datanet check c.lorica --base base.lorica --srs dev.srs --insecure-dev-srs --json";
    let right = WORLD.line(&format!("{check} --adapter c.adapter.lorica")).expect(0).json();
    assert_eq!((&right["schema"], &right["features_checked"]), (&"lorica.datanet.check/1".into(), &12.into()));
    let quick = WORLD.line(&format!("{check} --adapter c.adapter.lorica --without-features")).expect(0).json();
    assert_eq!(quick["features_checked"], 0);
    let other = WORLD.line(&format!("{check} --adapter a.lorica")).expect(3).json();
    assert_eq!(other["message"], "the datanet's index is of another adapter");
    let mut file = DatanetFile::load(&WORLD.path("c.lorica")).expect("a datanet");
    file.blinding[0] += Fr::from(1);
    WORLD.write("c.lorica", file.encode());
    let forged = WORLD.line(&format!("{check} --adapter c.adapter.lorica --without-features")).expect(1).json();
    assert!(forged["message"].as_str().expect("a sentence").contains("tile 0"), "{forged}");
}

/// An index is proven to be in range, and its proof says nothing of another.
#[test]
fn indexes_are_proven_to_be_in_range() {
    WORLD.write("ranged.jsonl", rows().join("\n"));
    let srs = "--srs dev.srs --insecure-dev-srs";
    let build = format!("datanet build ranged.jsonl --base base.lorica --adapter a.lorica {srs}");
    let built = WORLD.line(&format!("{build} -o i.lorica --json")).expect(0).json();
    WORLD.line(&format!("{build} -o j.lorica")).expect(0);
    let keys = "--base base.vk --adapter i.adapter.vk";
    let prove = |rest: &str| WORLD.line(&format!("datanet prove {rest} {srs} --json"));
    let proven = prove(&format!("i.lorica {keys} -o i.proof")).expect(0).json();
    assert_eq!((&proven["index"], &proven["records"], &proven["room"]), (&built["index"], &12.into(), &2048.into()));
    let steps: Vec<&str> =
        proven["phases"].as_array().expect("phases").iter().filter_map(|own| own["phase"].as_str()).collect();
    assert!(lorica::index_proof::STEPS.iter().all(|step| steps.contains(step)), "{steps:?}");
    let verify = |rest: &str| WORLD.line(&format!("datanet verify {rest} --json"));
    let verified = verify(&format!("i.proof {keys} --datanet i.vk")).expect(0).json();
    assert_eq!((&verified["accepted"], &verified["index"]), (&true.into(), &built["index"]));
    // The same records, committed to again: each has another version's salt, hence another adapter.
    let rejected = |rest: &str| assert_eq!(verify(rest).expect(1).json()["kind"], "rejected", "{rest}");
    rejected(&format!("i.proof {keys} --datanet j.vk"));
    rejected("i.proof --base base.vk --adapter j.adapter.vk --datanet j.vk");
    rejected("i.proof --base base.vk --adapter a.vk --datanet i.vk");
    rejected(&format!("i.proof {keys} --datanet i.vk --context 01"));
    prove("i.lorica --base base.vk --adapter a.vk -o no.proof").expect(3);
    prove("a.lorica --base base.vk --adapter i.adapter.vk -o no.proof").expect(3);
    // Neither kind of proof passes for the other.
    let prove_text = format!("prove --base base.lorica --adapter i.adapter.lorica --text world {srs} -o text.proof");
    WORLD.line(&prove_text).expect(0);
    rejected(&format!("text.proof {keys} --datanet i.vk"));
    assert_eq!(WORLD.line(&format!("verify {keys} --proof i.proof --json")).expect(1).json()["kind"], "rejected");
    let mut bytes = WORLD.read("i.proof");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    WORLD.write("damaged.proof", bytes);
    rejected(&format!("damaged.proof {keys} --datanet i.vk"));

    let inspected = WORLD.line("inspect i.proof --json").expect(0).json();
    assert_eq!((&inspected["kind"], &inspected["index"]), (&"index proof".into(), &built["index"]));
}
