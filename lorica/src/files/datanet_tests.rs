use lorica_circuits::bn254::G1Affine;
use lorica_verifier::files::magic;

use super::*;
use crate::datanet_version::report::{ContributorReport, HeldOut, LabelReport, MatrixReport};

fn file() -> DatanetFile {
    let record = |text: &str, label, weight, slot, licence: &str| Record {
        text: text.into(),
        ids: vec![2, 7, 3],
        digest: Fr::from(u64::from(weight)),
        label,
        weight,
        slot,
        licence: licence.into(),
    };
    let contributors = vec![Contributor::Name("Zoë".into()), Contributor::Address([5; 20]), Contributor::Hash([6; 32])];
    let version = Version {
        records: vec![record("a", 1, 240, 0, ""), record("漢", 0, 120, 2, "MIT"), record("c", 1, 120, 1, "")],
        contributors,
        rules: Rules::new(vec!["no".into(), "yes".into()], 1_500, 128),
        licence: "CC0-1.0".into(),
        standard: "One sentence each.".into(),
        salt: [9; 31],
    };
    let cells = IndexCells {
        hidden_size: 2,
        count: 3,
        features: vec![1, -2, 3, -4, i16::MIN, i16::MAX],
        classes: version.classes(),
        slots: version.slots(),
        inverse: vec![7, 8, 8, 9],
        bias: vec![-1, -300],
        corner: 77,
    };
    let report = Report {
        rows: 5,
        records: 3,
        weight: 2.0,
        near_duplicates: 2,
        rejected: [("empty".to_owned(), 2)].into(),
        labels: vec![LabelReport { name: "no".into(), records: 1, weight: 0.5 }],
        contributors: vec![ContributorReport {
            contributor: "Zoë".into(),
            records: 1,
            weight: 1.0,
            mean_share: 0.333_333,
            accuracy_without: None,
        }],
        held_out: HeldOut {
            split: true,
            rows: 1,
            left_out: 0,
            accuracy: Some(0.25),
            adapter_accuracy: Some(1.0),
            questions: 1,
            mean_tail: 0.000_015,
        },
        matrix: MatrixReport { ridge: 1_500, exponent: 47, error: 1.23e-4, of_bound: 0.47 },
    };
    committed(DatanetFile {
        base: Fr::from(1),
        key: key(),
        blinding: vec![Fr::from(5)],
        version,
        cells,
        exponent: 47,
        report,
    })
}

fn key() -> IndexCommitments {
    let tiles = vec![G1Affine::generator()];
    IndexCommitments { adapter: Fr::from(2), version: Fr::from(3), records: 2048, count: 3, tiles }
}

/// The key of a file's version, as a build would have it.
fn committed(mut file: DatanetFile) -> DatanetFile {
    (file.key.version, file.key.count) = (file.version.id(), file.version.records.len());
    file
}

#[test]
fn a_datanet_returns_from_its_bytes() {
    let file = file();
    let bytes = file.encode();
    assert_eq!(DatanetFile::decode(&bytes), Ok(file));
    for length in 0..bytes.len() {
        assert!(DatanetFile::decode(&bytes[..length]).is_err(), "{length}");
    }
}

/// A version, a number of records or of blinding coefficients that is not the commitments'.
#[test]
fn another_index_is_refused() {
    let refused = |change: fn(&mut DatanetFile)| {
        let mut file = file();
        change(&mut file);
        DatanetFile::decode(&file.encode()).expect_err("a refusal").to_string()
    };
    for change in [
        (|f| f.key.version += Fr::from(1)) as fn(&mut DatanetFile),
        |f| f.key.count = 2,
        |f| f.version.records[0].digest += Fr::from(1),
        |f| f.version.contributors.swap(0, 1),
        |f| f.version.records[1].weight = 119,
    ] {
        let said = refused(change);
        assert!(said.starts_with("records that are not the index'"), "{said}");
    }
    assert!(refused(|f| f.blinding.clear()).starts_with("blinding of an index"));
    assert!(refused(|f| f.key.count = 2_049).contains("count of records"));
    assert!(refused(|f| f.key.records = 4_096).contains("records of an index"));
}

/// The contributors in a key are those of the version that its index names.
#[test]
fn a_key_names_its_contributors() {
    let own = file();
    let key = IndexKey::decode(&own.index_key().encode()).expect("a key");
    assert_eq!(Description::decode(&key).expect("a description").contributors, own.version.contributors);
    let mut other = Description::of(&own.version);
    other.contributors.swap(0, 1);
    assert!(Description::decode(&IndexKey { description: other.encode(), ..key.clone() }).is_err());
    let mut other = Description::of(&own.version);
    *other.record.last_mut().expect("bytes") ^= 1;
    assert!(Description::decode(&IndexKey { description: other.encode(), ..key.clone() }).is_err());
    for length in 0..key.description.len() {
        let description = key.description[..length].to_vec();
        assert!(Description::decode(&IndexKey { description, ..key.clone() }).is_err(), "{length}");
    }
}

/// Each change is one that a file with a right digest can have.
#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |change: fn(&mut DatanetFile)| {
        let mut file = file();
        change(&mut file);
        DatanetFile::decode(&committed(file).encode()).expect_err("a refusal").to_string()
    };
    for (change, part) in [
        ((|f| f.version.records[0].label = 2) as fn(&mut DatanetFile), "label of a record: 2"),
        (|f| f.version.records[0].slot = 3, "slot of a record: 3"),
        (|f| f.version.records[0].weight = 241, "weight of a record: 241"),
        (|f| f.version.records[0].ids = vec![1; 257], "token ids: 257"),
        (|f| f.version.records[0].ids = vec![1], "tokens of a record: 1"),
        (|f| f.version.records.clear(), "count of records: 0"),
        (|f| f.version.contributors.truncate(2), "slot of a record: 2"),
        (|f| f.version.rules.max_tokens = 300, "token limit: 300"),
        (|f| f.version.rules.ridge = 0, "ridge of a datanet: 0"),
        (|f| f.version.licence = "x".repeat(70_000), "licence: 70000"),
        (|f| f.cells.hidden_size = 5_000, "channels: 5000"),
        (|f| f.cells.hidden_size = 40, "ends within cells of the index"),
        (|f| f.cells.bias.push(1), "report"),
    ] {
        let said = refused(change);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_magic_word_is_no_other_files() {
    let others = [
        magic::BASE_MAGIC,
        magic::BASE_KEY_MAGIC,
        magic::ADAPTER_MAGIC,
        magic::ADAPTER_KEY_MAGIC,
        magic::PROOF_MAGIC,
        magic::SETTLEMENT_MAGIC,
        magic::SETTLEMENT_KEY_MAGIC,
        magic::SETTLEMENT_PROVING_KEY_MAGIC,
        magic::SRS_MAGIC,
    ];
    assert!(!others.contains(&DATANET_MAGIC));
    let error = DatanetFile::decode(&Writer::new(magic::ADAPTER_MAGIC, 1).finish()).unwrap_err();
    assert_eq!(error.to_string(), "datanet file expected, and it is another kind of file");
}
