use std::fs;

use super::*;

fn labels() -> Vec<String> {
    vec!["no".into(), "yes".into()]
}

fn read_as(name: &str, content: impl AsRef<[u8]>) -> Result<Rows, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let shown = folder.path().to_str().unwrap();
    let labels = labels();
    read(&path, Expected { labels: &labels, contributors: true })
        .map_err(|error| error.to_string().replace(&format!("{shown}/"), ""))
}

fn jsonl(content: impl AsRef<[u8]>) -> Result<Rows, String> {
    read_as("r.jsonl", content)
}

fn csv(content: impl AsRef<[u8]>) -> Result<Rows, String> {
    read_as("r.csv", content)
}

fn contributors(rows: &Rows) -> Vec<Contributor> {
    rows.rows.iter().filter_map(|row| row.contributor.clone()).collect()
}

#[test]
fn both_formats_say_the_same() {
    let json = "{\"text\":\"a b\",\"label\":\"yes\",\"contributor\":\"Ada\",\"licence\":\"MIT\",\"x\":[{}]}\n\n\
                {\"license\":\"\",\"contributor\":\" Bo \",\"label\":\"no\",\"text\":\"c, \\\"d\\\"\"}\r\n";
    let table = "\u{feff}label,text,contributor,licence,x\r\nyes,a b,Ada,MIT,\r\nno,\"c, \"\"d\"\"\", Bo ,,1\r\n";
    let (json, table) = (jsonl(json).unwrap(), csv(table).unwrap());
    let plain = |rows: &Rows| {
        rows.rows
            .iter()
            .map(|r| (r.text.clone(), r.label, r.contributor.clone(), r.licence.clone()))
            .collect::<Vec<_>>()
    };
    let name = |name: &str| Some(Contributor::Name(name.into()));
    let expected =
        [("a b".to_owned(), 1, name("Ada"), "MIT".to_owned()), ("c, \"d\"".into(), 0, name("Bo"), String::new())];
    assert_eq!(plain(&json), expected);
    assert_eq!(plain(&table), expected);
    let lines = |rows: &Rows| rows.rows.iter().map(|row| row.place.line).collect::<Vec<_>>();
    assert_eq!((lines(&json), lines(&table)), (vec![1, 3], vec![2, 3]));
    assert!(json.rejections.is_empty() && table.rejections.is_empty());
}

#[test]
fn what_makes_a_file_unusable_is_named_with_its_line() {
    let good = "{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"A\"}\n";
    let refused = |row: &str, expected: &str| {
        let error = jsonl(format!("{good}{row}")).unwrap_err();
        assert_eq!(error, format!("r.jsonl, line 2: {expected}"), "{row}");
    };
    refused("{\"label\":\"yes\",\"contributor\":\"A\"}", "the field `text` is missing");
    refused("{\"text\":null,\"label\":\"yes\",\"contributor\":\"A\"}", "the field `text` is missing");
    refused("{\"text\":\"a\",\"contributor\":\"A\"}", "the field `label` is missing");
    refused("{\"text\":\"a\",\"label\":\"yes\"}", "the field `contributor` is missing");
    refused("{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"  \"}", "the field `contributor` is missing");
    let unknown = "no label of the adapter is called \"maybe\"; it has no, yes";
    refused("{\"text\":\"a\",\"label\":\"maybe\",\"contributor\":\"A\"}", unknown);
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(64_000));
    refused(&long, "the row is longer than 64000 bytes");
    let address = "the contributor begins with 0x and is neither an address of 40 digits nor a digest of 64";
    refused("{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"0x12\"}", address);

    let table = |content: &str| csv(content).unwrap_err();
    assert_eq!(
        table("text,contributor\na,b"),
        "r.csv, line 1: the first row must name the columns: `label` is missing"
    );
    assert!(table("text,label,text\n").contains("`text` is there twice"));
    assert_eq!(table("text,label\na,yes"), "r.csv, line 2: the field `contributor` is missing");
    let quoting = "r.csv, line 3: the quoting is broken: the file ends within quotes";
    assert_eq!(table("text,label,contributor\na,yes,A\n\"b,yes,B\n"), quoting);
    assert!(read_as("r.txt", good).unwrap_err().contains("must end in .jsonl or .csv"));
}

/// Whatever a row is, the rows around it are read.
#[test]
fn broken_rows_are_rejected_one_by_one() {
    let good: &[u8] = b"{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"A\"}\n";
    let nested = format!("{{\"text\":{}1{}}}\n", "[".repeat(20_000), "]".repeat(20_000));
    let hostile: [&[u8]; 9] = [
        b"nonsense\n",
        b"{\"text\":\"a\"\n",
        b"{\"text\":\"\xff\",\"label\":\"yes\",\"contributor\":\"A\"}\n",
        b"{\"text\":\"a\0b\",\"label\":\"yes\",\"contributor\":\"A\"}\n",
        b"{\"text\":\"a\",\"text\":\"b\",\"label\":\"yes\",\"contributor\":\"A\"}\n",
        b"{\"text\":7,\"label\":\"yes\",\"contributor\":\"A\"}\n",
        b"{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"A\"} trailing\n",
        // A list is no row, though it has as many entries as a row has fields.
        b"[\"a\",\"yes\",\"A\",null,null]\n",
        nested.as_bytes(),
    ];
    for row in hostile {
        let rows = jsonl([good, row, good].concat()).unwrap();
        assert_eq!((rows.rows.len(), rows.rejections.len()), (2, 1), "{}", row[..row.len().min(60)].escape_ascii());
        assert_eq!((rows.rejections[0].place.line, rows.rows[1].place.line), (2, 3));
        let Reason::Malformed { what } = &rows.rejections[0].reason else { panic!("{:?}", rows.rejections) };
        assert!(!what.is_empty() && what.len() < 200, "{what}");
    }
    // What is not looked at may be nested as it likes.
    let ignored = format!(",\"x\":{}1{}}}\n", "[".repeat(20_000), "]".repeat(20_000));
    let ignored = [&good[..good.len() - 2], ignored.as_bytes()].concat();
    assert_eq!(jsonl([&ignored, good].concat()).unwrap().rows.len(), 2);
    // A row of another width, or not UTF-8.
    let rows = csv(b"text,label,contributor\na,yes\nb,yes,B\n\xff,yes,C\n").unwrap();
    assert_eq!((rows.rows.len(), rows.rejections.len()), (1, 2));
    assert_eq!(rows.rejections[0].to_string().split(": ").last(), Some("2 fields, the first row names 3"));
    // UTF-16 is malformed, not misread.
    let utf16: Vec<u8> = "\u{feff}{\"text\":\"a\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows = jsonl(utf16).unwrap();
    assert!(rows.rows.is_empty() && !rows.rejections.is_empty());
}

/// A line without end is read as far as a row may go, and no further.
#[cfg(unix)]
#[test]
fn endless_lines_are_not_read_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let expected = Expected { labels: &labels, contributors: true };
    for name in ["zero.jsonl", "zero.csv"] {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        let error = read(&path, expected).unwrap_err().to_string();
        assert!(error.ends_with("line 1: the row is longer than 64000 bytes"), "{error}");
    }
    // In a folder it is no plain file.
    assert!(read(folder.path(), expected).unwrap_err().to_string().ends_with("it is no plain file"));
}

#[test]
fn contributors_are_names_addresses_or_digests() {
    let row = |field: &str, value: &str| format!("{{\"text\":\"a\",\"label\":\"yes\",\"{field}\":\"{value}\"}}\n");
    let checksummed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let digest = "ab".repeat(32);
    let rows = [
        row("contributor", checksummed),
        row("contributor", &checksummed.to_lowercase()),
        row("contributor_hash", &digest),
        row("contributor", &format!("0x{digest}")),
        row("contributor", &digest),
    ];
    let got = contributors(&jsonl(rows.concat()).unwrap());
    assert_eq!(got[0], got[1]);
    assert!(matches!(got[0], Contributor::Address(_)));
    assert_eq!(got[2..4], [Contributor::Hash([0xab; 32]), Contributor::Hash([0xab; 32])]);
    assert_eq!(got[4], Contributor::Name(digest));
    let wrong = checksummed.replace("5aA", "5AA");
    assert!(jsonl(row("contributor", &wrong)).unwrap_err().contains("checksum"));
    assert!(jsonl(row("contributor_hash", "12")).unwrap_err().contains("64 hexadecimal digits"));
    // The name wins over its digest.
    let both = "{\"text\":\"a\",\"label\":\"yes\",\"contributor\":\"Ada\",\"contributor_hash\":\"00\"}";
    assert_eq!(contributors(&jsonl(both).unwrap()), [Contributor::Name("Ada".into())]);
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let labels = labels();
    let expected = Expected { labels: &labels, contributors: true };
    let refusal = || read(folder.path(), expected).unwrap_err().to_string();
    assert!(refusal().ends_with("there is no .jsonl or .csv file"));
    fs::write(folder.path().join("b.csv"), "text,label,contributor\ntwo,yes,B\n").unwrap();
    fs::write(folder.path().join("a.jsonl"), "{\"text\":\"one\",\"label\":\"no\",\"contributor\":\"A\"}").unwrap();
    fs::write(folder.path().join("README"), "not a row").unwrap();
    let rows = read(folder.path(), expected).unwrap();
    assert_eq!(rows.rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(rows.rows[1].place.file.ends_with("b.csv"));
    #[cfg(unix)]
    {
        let link = folder.path().join("loop.csv");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(refusal().contains("loop.csv"), "{}", refusal());
        fs::remove_file(&link).unwrap();
        let around = folder.path().join("around");
        std::os::unix::fs::symlink(folder.path(), &around).unwrap();
        assert!(refusal().contains("folders inside"));
        fs::remove_file(around).unwrap();
    }
    fs::create_dir(folder.path().join("more")).unwrap();
    assert!(refusal().contains("folders inside"));
}

#[test]
fn rows_to_measure_on_need_no_contributor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.jsonl");
    fs::write(&path, "{\"text\":\"a\",\"label\":\"yes\"}").unwrap();
    let rows = read(&path, Expected { labels: &labels(), contributors: false }).unwrap();
    assert_eq!(rows.rows[0].contributor, None);
}
