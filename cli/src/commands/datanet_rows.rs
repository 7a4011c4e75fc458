//! `lorica datanet prove-rows` and `verify-rows`: that rows of a datanet's index are the features of its records' texts.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use lorica::answer::printable;
use lorica::check::{AcceptedRows, CheckError, check_rows, expect_records};
use lorica::datanet::Version;
use lorica::datanet::quality::contributor_name;
use lorica::files::{
    AdapterFile, AdapterKey, BaseFile, BaseKey, DATANET_MAGIC, DatanetFile, FileError, IndexKey, MAX_PROOF_BYTES,
    read_index_key, store,
};
use lorica::input::{Context, context_word, parse_context};
use lorica::prover::{Prover, ProverError};
use lorica::row_proof::{MAX_ROWS, Row, row_of};
use lorica::srs::{INSECURE, SrsPolicy};
use lorica_circuits::bn254::Fr;
use serde_json::json;

use super::datanet_proof::{KeyArgs, facts, index_line, phase_lines, reject};
use super::{short, word};
use crate::error::Error;
use crate::output::{Output, joined, milliseconds, peak_memory, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// The ending of a proof's name.
const ENDING: &str = "rows";

/// Arguments of `datanet prove-rows`.
#[derive(Args, Debug)]
pub struct ProveRowsArgs {
    /// The datanet (.lorica)
    pub file: PathBuf,
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// The adapter (.lorica) that names the datanet's version
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
    /// Rows to prove, as 0-31 or 5,9,100-120. If absent: all
    #[arg(long, value_name = "ROWS", value_parser = parse_rows)]
    pub rows: Option<Rows>,
    /// Rows in one proof, 1 to 16: fewer need less memory
    #[arg(long, value_name = "NUMBER", default_value_t = MAX_ROWS, value_parser = parse_batch)]
    pub batch: usize,
    /// Up to 32 bytes that bind the proofs to their use. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
    /// Folder to write the proofs to, each under the numbers of its first and last row
    #[arg(short, value_name = "FOLDER")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `datanet verify-rows`.
#[derive(Args, Debug)]
pub struct VerifyRowsArgs {
    /// Proofs of rows, and folders of them
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    /// Keys.
    pub keys: KeyArgs,
    /// Key of the datanet's index (.vk). A .lorica file will do, and then the rows are compared with the version's records
    #[arg(long, value_name = "FILE")]
    pub datanet: PathBuf,
    /// Reject proofs that were made with another --context. If absent: zero
    #[arg(long, value_name = "HEX", value_parser = parse_context)]
    pub context: Option<Context>,
}

/// Rows that were chosen, as ranges.
pub type Rows = Vec<RangeInclusive<usize>>;

fn parse_rows(text: &str) -> Result<Rows, String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().map(usize::from)
    };
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(first..=last)
    };
    let refused = || "rows are expected as 0-31 or 5,9,100-120".to_owned();
    text.split(',').map(|part| range(part).ok_or_else(refused)).collect()
}

fn parse_batch(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_ROWS).contains(number));
    number.ok_or_else(|| format!("1 to {MAX_ROWS} is expected"))
}

/// The batches of the chosen rows: each of neighbours, in ascending order.
fn batches(chosen: Option<&Rows>, records: usize, most: usize) -> Result<Vec<Vec<usize>>, Error> {
    let all = vec![0..=records.saturating_sub(1)];
    let ranges = chosen.unwrap_or(&all);
    if let Some(row) = ranges.iter().map(|range| *range.end()).find(|row| *row >= records) {
        return Err(ProverError::NoSuchRow { row, records }.into());
    }
    let rows: BTreeSet<usize> = ranges.iter().cloned().flatten().collect();
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        match batches.last_mut() {
            Some(own) if own.len() < most && own.last().is_some_and(|last| last + 1 == row) => own.push(row),
            _ => batches.push(vec![row]),
        }
    }
    Ok(batches)
}

/// Where the proof of some neighbouring rows goes.
fn proof_path(folder: &Path, rows: &[usize]) -> PathBuf {
    let (first, last) = (rows.first().unwrap_or(&0), rows.last().unwrap_or(&0));
    folder.join(format!("{first:05}-{last:05}.{ENDING}"))
}

/// Whether a proof of exactly these rows is there.
///
/// # Errors
/// If something else is: it is not overwritten.
fn is_there(
    path: &Path,
    (base, adapter, index): (&BaseKey, &AdapterKey, &IndexKey),
    context: Fr,
    rows: &[Row],
) -> Result<bool, Error> {
    if !path.exists() {
        return Ok(false);
    }
    let bytes = store::read(path, MAX_PROOF_BYTES)?;
    let same = |own: &AcceptedRows| own.proof.statement.rows.iter().map(|own| &own.row).eq(rows);
    match check_rows(base, adapter, index, context, &bytes, SrsPolicy::DevelopmentForTests) {
        Ok(own) if same(&own) => Ok(true),
        _ => {
            Err(Error::refused(path, "a proof is to be written there, and it is no proof of these rows; move it away"))
        }
    }
}

/// Runs `datanet prove-rows`.
///
/// # Errors
/// [`Error`]; a row whose features are not its text's is named.
pub fn prove(args: &ProveRowsArgs, out: &Output) -> Result<(), Error> {
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let adapter = out.step("load adapter", || AdapterFile::load(&args.adapter, &base.key))?;
    let datanet = out.step("load datanet", || DatanetFile::load(&args.file))?;
    let batches = batches(args.rows.as_ref(), datanet.version.records.len(), args.batch)?;
    fs::create_dir_all(&args.out).map_err(FileError::writing(&args.out))?;
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    let (base_key, adapter_key, index) = (base.key.clone(), adapter.key.clone(), datanet.index_key());
    let context = context_word(args.context);
    let insecure = base_key.verifier_key().is_insecure();
    let prover = Prover::new(srs, base)?;
    let adapter = prover.load_adapter(adapter)?;
    let datanet = out.step("lay out the index", || prover.load_datanet(datanet))?;

    let records = &datanet.version().records;
    let (mut proofs, mut proven) = (Vec::new(), 0);
    for rows in &batches {
        let path = proof_path(&args.out, rows);
        let own: Vec<Row> = rows.iter().map(|&row| row_of(row, &records[row])).collect::<Result<_, ProverError>>()?;
        let there = is_there(&path, (&base_key, &adapter_key, &index), context, &own)?;
        let started = Instant::now();
        if !there {
            let made = prover.prove_rows(&adapter, &datanet, rows, context, &out.steps())?;
            out.add_phases(made.phases);
            store::write(&path, &made.proof.encode())?;
        }
        proven += rows.len();
        let bytes = fs::metadata(&path).map_err(FileError::reading(&path))?.len();
        let how = if there { "was there".to_owned() } else { time(started.elapsed()) };
        out.line(format!("{}: rows {} to {}, {}, {how}", path.display(), rows[0], rows[rows.len() - 1], size(bytes)));
        proofs.push(json!({
            "file": path, "bytes": bytes, "first": rows[0], "last": rows[rows.len() - 1], "made": !there,
        }));
    }
    let phases = out.take_phases();
    out.line(index_line(&index));
    out.line(format!("  {proven} of {} rows are proven in {} proofs", records.len(), proofs.len()));
    phase_lines(&phases, out);
    let content = json!({
        "proofs": proofs, "rows": proven, "base": word(&base_key.id()), "context": word(&context),
        "insecure_srs": insecure, "phases": phases_json(&phases), "peak_memory_bytes": peak_memory(),
    });
    out.finish("lorica.datanet.prove-rows/1", joined(facts(&index), content));
    Ok(())
}

/// The proofs among files and folders, those of a folder in the order of their names.
fn proof_files(given: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut all = Vec::new();
    for path in given {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let reading = || FileError::reading(path);
        let mut own = Vec::new();
        for entry in fs::read_dir(path).map_err(reading())? {
            let file = entry.map_err(reading())?.path();
            if file.extension().is_some_and(|ending| ending == ENDING) {
                own.push(file);
            }
        }
        if own.is_empty() {
            return Err(Error::refused(path, "there is no proof of rows in this folder"));
        }
        own.sort();
        all.append(&mut own);
    }
    Ok(all)
}

/// What a row proof does not say, for people and programs.
fn not_proven(compared: bool) -> Vec<&'static str> {
    let mut all = vec![
        "any other row of the index",
        "that the index is in range, and its matrix the inverse (datanet verify, datanet check)",
        "that a label is right, or a text its contributor's own",
    ];
    if !compared {
        all.insert(
            0,
            "that the text is the record of that number in the version: compare digest, label, weight and slot \
                       with the record's leaf, or give the datanet's .lorica",
        );
    }
    all
}

/// Runs `datanet verify-rows`.
///
/// # Errors
/// [`Error`]; of kind [`Kind::Rejected`](crate::error::Kind::Rejected) if a proof does not hold, is another index', or a row is
/// not the version's record.
pub fn verify(args: &VerifyRowsArgs, out: &Output) -> Result<(), Error> {
    let (base, adapter) = args.keys.read()?;
    if base.verifier_key().is_insecure() {
        out.warn(INSECURE);
    }
    let (index, description) = read_index_key(&args.datanet)?;
    let version = version_of(&args.datanet)?;
    let name = |slot: u16| description.contributors.get(usize::from(slot)).map(contributor_name);
    let context = context_word(args.context);
    let start = Instant::now();
    let (mut listed, mut proven) = (Vec::new(), BTreeSet::new());
    for file in proof_files(&args.files)? {
        let bytes = store::read(&file, MAX_PROOF_BYTES)?;
        // The warning above is what the command says of the development SRS.
        let accepted = check_rows(&base, &adapter, &index, context, &bytes, SrsPolicy::DevelopmentForTests)
            .and_then(|own| match &version {
                Some(version) => expect_records(&own, version).map(|()| own).map_err(CheckError::from),
                None => Ok(own),
            })
            .map_err(|error| reject(&file, error, out))?;
        out.line(format!("{}: accepted", file.display()));
        for (stated, words) in accepted.proof.statement.rows.iter().zip(&accepted.words) {
            let Row { row, label, weight, slot } = stated.row;
            proven.insert(row);
            let contributor = name(slot);
            let shown = contributor.as_deref().map_or_else(String::new, |name| format!(" ({})", printable(name)));
            let digest = short(&words.record_digest);
            out.line(format!("  row {row}: digest {digest}, label {label}, weight {weight}, slot {slot}{shown}"));
            listed.push(json!({
                "row": row, "record_digest": word(&words.record_digest), "label": label, "weight": weight, "slot": slot,
                "contributor": contributor, "word": word(&words.word), "tokens": stated.ids.len(), "file": file,
            }));
        }
    }
    let spent = start.elapsed();
    let (own, compared) = (&index.commitments, version.is_some());
    let unproven = not_proven(compared);
    out.line(index_line(&index));
    out.line(format!("  {} of {} rows are proven, checked in {}", proven.len(), own.count, time(spent)));
    out.line(
        "proven of each: the text with this digest has under the adapter the features that the index has in this row,",
    );
    out.line("  and the index has there this label as the only one with a weight, this weight and this slot");
    if compared {
        out.line("  and it is the record of that number in the version");
    }
    out.line("not proven:");
    unproven.iter().for_each(|what| out.line(format!("  {what}")));
    let content = json!({
        "accepted": true, "base": word(&base.id()), "rows": listed, "proven": proven.len(),
        "compared_with_records": compared, "not_proven": unproven, "milliseconds": milliseconds(spent),
        "insecure_srs": base.verifier_key().is_insecure(),
    });
    out.finish("lorica.datanet.verify-rows/1", joined(facts(&index), content));
    Ok(())
}

/// The version in a datanet's file; none in the key of its index.
fn version_of(path: &Path) -> Result<Option<Version>, Error> {
    let bytes = store::read(path, lorica::files::datanet::MAX_DATANET_BYTES)?;
    if !bytes.starts_with(DATANET_MAGIC) {
        return Ok(None);
    }
    Ok(Some(DatanetFile::decode(&bytes).map_err(FileError::malformed(path))?.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_ranges() {
        assert_eq!(parse_rows("0-31"), Ok(vec![0..=31]));
        assert_eq!(parse_rows("5,9,100-120"), Ok(vec![5..=5, 9..=9, 100..=120]));
        assert_eq!(parse_rows("65535"), Ok(vec![65_535..=65_535]));
        for text in ["", ",", "3-", "-3", "5-4", "1,,2", "65536", "a", "1-2-3", "+1", " 1"] {
            assert!(parse_rows(text).is_err(), "{text}");
        }
        assert_eq!(["1", "16"].map(parse_batch), [Ok(1), Ok(16)]);
        assert!(["0", "17", "x"].map(parse_batch).iter().all(Result::is_err));
    }

    #[test]
    fn batches_are_of_neighbours() {
        let of =
            |text: &str, most| batches(Some(&parse_rows(text).expect("rows")), 40, most).map_err(|e| e.to_string());
        assert_eq!(of("0-3", 16), Ok(vec![vec![0, 1, 2, 3]]));
        assert_eq!(of("0-4", 2), Ok(vec![vec![0, 1], vec![2, 3], vec![4]]));
        // Twice is once, and in order.
        assert_eq!(of("7,3-4,4-5", 16), Ok(vec![vec![3, 4, 5], vec![7]]));
        let error = "there is no row 40: the datanet has 40 records, numbered from 0";
        assert_eq!(of("39-40", 16), Err(error.to_owned()));
        let all = batches(None, 20, 16).expect("batches");
        assert_eq!(all, vec![(0..16).collect::<Vec<_>>(), (16..20).collect()]);
    }

    #[test]
    fn proofs_are_named_by_their_rows() {
        assert_eq!(proof_path(Path::new("d"), &[3, 4, 5]), Path::new("d/00003-00005.rows"));
        assert_eq!(proof_path(Path::new("d"), &[65_535]), Path::new("d/65535-65535.rows"));
    }
}
