//! `lorica datanet`: from rows of many contributors to a version with its index, and proofs of it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lorica::answer::printable;
use lorica::datanet::check::check;
use lorica::datanet::{Choices, Rejection, Report, build, forget_partial};
use lorica::files::{
    ADAPTER_MAGIC, AdapterFile, BaseFile, DATANET_MAGIC, DatanetFile, FileError, INDEX_KEY_MAGIC, store,
};
use lorica::input::parse_salt;
use lorica_quant::index::inverse::RIDGE_UNIT;
use serde_json::{Value, json};

use super::{datanet_proof, datanet_rows, word};
use crate::error::Error;
use crate::output::{Output, joined, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// Rejections and contributors that are shown to people; the report has all.
const SHOWN: usize = 10;

/// What to do with a datanet.
#[derive(Debug, Subcommand)]
pub enum DatanetCommand {
    /// Build a datanet: read rows, drop what is broken or double, compute the index under an adapter, measure it
    ///
    /// FILE is a .jsonl or .csv file, or a folder of such files, whose rows have `text`, `label` and `contributor`, and perhaps
    /// `licence`. A contributor is an address (0x and 40 hexadecimal digits) or a digest of one (0x and 64 digits, or the field
    /// `contributor_hash` in its place); everything else is a name, and names cannot be paid. Labels are the adapter's. A missing
    /// field, an unknown label or a row over 64,000 bytes stops the build with file and line. Rows that are malformed,
    /// empty, too long, or the same as an earlier one are left out, and near-duplicates share one weight; --report lists each row
    /// that is left out with its reason.
    ///
    /// An adapter is trained on a version, and names it: if the given one names none, the same weights are written as an adapter
    /// that names this version, beside the datanet with the ending .adapter.lorica. Its id is another, and the index is of it.
    ///
    /// The file that is written holds the texts and a salt: it is for the datanet's members. Until it is written, features are kept
    /// beside it in a file with the ending .partial, and a build that was interrupted goes on from there.
    Build(Box<BuildArgs>),
    /// Check a datanet against its base and adapter: compute again what its build computed
    ///
    /// Whoever holds the file can do it. Checked are the texts and their tokens, digests and weights; that the matrix is the inverse, within
    /// the bound of its rounding; that the points commit to these cells; and the features of every record, unless
    /// --without-features leaves that out, which is by far the longest step. That a record is true, well labelled or its contributor's own
    /// is nothing that a computation can tell.
    Check(Box<CheckArgs>),
    /// Print what a datanet is and what its build measured
    Show(ShowArgs),
    /// Prove that every cell of a datanet's index is in its range, and that no record weighs more than one
    ///
    /// An index that is out of range publishes shares that add up to more than the whole, and can make answers unprovable: nobody
    /// pays by an index without this proof. It is made once per index.
    Prove(Box<datanet_proof::ProveArgs>),
    /// Check a proof that a datanet's index is in range, or a settlement of one
    Verify(Box<datanet_proof::VerifyArgs>),
    /// Prove that rows of the index are the features of their records' texts, with the records' labels, weights and slots
    ///
    /// The proofs, each of up to 16 rows, are written into a folder. A run that was interrupted goes on where it stopped: proofs that are
    /// there are checked and kept. The files hold the records' token ids and the datanet's salt: they are for members.
    ProveRows(Box<datanet_rows::ProveRowsArgs>),
    /// Check proofs of rows, and say what is proven of each row and what is not
    VerifyRows(Box<datanet_rows::VerifyRowsArgs>),
    /// Make a zero-knowledge settlement of an index proof, for a contract. Anybody may bring it there
    Settle(Box<datanet_proof::SettleArgs>),
    /// Hand the settlement of an index proof to the contract, which notes for good that the index is in range
    ///
    /// Base, adapter and datanet must be registered (`lorica chain register`), and the circuit added there. Any account may bring it. After
    /// that the adapter can be published with the index (`lorica chain publish`).
    Submit(Box<datanet_proof::SubmitArgs>),
}

/// Arguments of `datanet build`.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// The rows: a .jsonl or .csv file, or a folder of them
    pub file: PathBuf,
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// The imported adapter (.lorica) whose index is computed; it must have a classification head
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
    /// File to write the datanet to
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    /// Rows to measure on, with `text` and `label`. If absent, a fifth of the records is held out while measuring
    #[arg(long, value_name = "FILE")]
    pub held_out: Option<PathBuf>,
    /// File to write the whole report to, as JSON: all measurements, and every row that was left out
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Salt of the records' digests, 31 bytes in hexadecimal: the one of an earlier version of the same datanet. Random if absent
    #[arg(long, value_name = "HEX")]
    pub salt: Option<String>,
    /// How much the index is smoothed: the ridge as a multiple of the mean eigenvalue, with up to three decimals
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = parse_ridge)]
    pub ridge: u32,
    /// Licence of all records that name none
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub licence: String,
    /// Text file that says what a record should be; its digest is part of the version's id
    #[arg(long, value_name = "FILE")]
    pub standard: Option<PathBuf>,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `datanet check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The datanet
    pub file: PathBuf,
    /// The imported base (.lorica)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// The adapter (.lorica) that names the datanet's version
    #[arg(long, value_name = "FILE")]
    pub adapter: PathBuf,
    /// Do not compute the records' features again
    #[arg(long)]
    pub without_features: bool,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// Arguments of `datanet show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The datanet
    pub file: PathBuf,
}

/// A ridge in thousandths, from a number with up to three decimals.
fn parse_ridge(text: &str) -> Result<u32, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || part.len() > 3 || !digits(whole) || !digits(part) {
        return Err("a number with up to three decimals is expected".into());
    }
    let whole: u32 = whole.parse().unwrap_or(u32::MAX);
    let part: u32 = format!("{part:0<3}").parse().unwrap_or(0);
    Ok(whole.saturating_mul(RIDGE_UNIT).saturating_add(part))
}

/// Runs it.
///
/// # Errors
/// [`Error`].
pub fn run(command: &DatanetCommand, out: &Output) -> Result<(), Error> {
    match command {
        DatanetCommand::Build(args) => run_build(args, out),
        DatanetCommand::Check(args) => run_check(args, out),
        DatanetCommand::Show(args) => show(args, out),
        DatanetCommand::Prove(args) => datanet_proof::prove(args, out),
        DatanetCommand::Verify(args) => datanet_proof::verify(args, out),
        DatanetCommand::ProveRows(args) => datanet_rows::prove(args, out),
        DatanetCommand::VerifyRows(args) => datanet_rows::verify(args, out),
        DatanetCommand::Settle(args) => datanet_proof::settle(args, out),
        DatanetCommand::Submit(args) => datanet_proof::submit(args, out),
    }
}

fn run_build(args: &BuildArgs, out: &Output) -> Result<(), Error> {
    super::model::check_output(&args.out, DATANET_MAGIC, INDEX_KEY_MAGIC)?;
    store::expect_writable(&args.out.with_extension("adapter.lorica"), ADAPTER_MAGIC)?;
    if let Some(report) = &args.report {
        store::expect_writable(report, b"{")?;
    }
    let salt = args.salt.as_deref().map(parse_salt).transpose();
    let salt = salt.map_err(|error| Error::Usage(format!("--salt: {error}")))?;
    let standard = args.standard.as_deref().map(read_text).transpose()?.unwrap_or_default();
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let adapter = out.step("load adapter", || AdapterFile::load(&args.adapter, &base.key))?;
    let partial = partial_path(&args.out);
    let choices = Choices {
        held_out: args.held_out.as_deref(),
        salt,
        ridge: args.ridge,
        licence: args.licence.clone(),
        standard,
        partial: Some(&partial),
    };
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    let built = build(&args.file, &srs, base, &adapter, &choices, &out.progress())?;
    out.add_phases(built.phases);
    let (bytes, key_bytes) = out.step("write", || built.file.store(&args.out))?;
    let adapter_path = built.adapter.as_ref().map(|_| args.out.with_extension("adapter.lorica"));
    if let (Some(adapter), Some(path)) = (&built.adapter, &adapter_path) {
        adapter.store(path)?;
    }
    if let Some(path) = &args.report {
        let report = joined(facts(&built.file), json!({ "report": built.file.report, "rejections": built.rejections }));
        store::write(path, format!("{report:#}\n").as_bytes())?;
    }
    forget_partial(&partial);

    let phases = out.take_phases();
    print(&built.file, out);
    print_rejections(&built.rejections, args.report.as_deref(), out);
    out.line(format!("  {} {}, its key {}", args.out.display(), size(bytes), size(key_bytes)));
    if let Some(path) = &adapter_path {
        out.line(format!("  the adapter that names this version: {}", path.display()));
    }
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    let content = json!({
        "datanet": { "file": args.out, "bytes": bytes, "key_bytes": key_bytes }, "adapter_file": adapter_path,
        "report": built.file.report,
        "rejections": built.rejections, "phases": phases_json(&phases),
    });
    out.finish("lorica.datanet.build/1", joined(facts(&built.file), content));
    Ok(())
}

fn run_check(args: &CheckArgs, out: &Output) -> Result<(), Error> {
    let base = out.step("load base", || BaseFile::load(&args.base))?;
    let adapter = out.step("load adapter", || AdapterFile::load(&args.adapter, &base.key))?;
    let file = out.step("load datanet", || DatanetFile::load(&args.file))?;
    let srs = args.srs.load(base.key.commitments.log_tile, out)?;
    let checked = check(&file, &srs, base, &adapter, !args.without_features, &out.progress())?;
    out.add_phases(checked.phases);
    let phases = out.take_phases();
    let records = file.version.records.len();
    out.line(format!("datanet {} is what its build would have made", word(&file.version.id())));
    out.line(format!("  index {} of adapter {}", word(&file.key.id()), word(&file.key.adapter)));
    out.line(format!("  {records} records: texts, tokens, digests and weights are right"));
    match checked.features {
        0 => out.line("  features were not computed again"),
        features => out.line(format!("  {features} records: features are the model's")),
    }
    let (exponent, of_bound) = (file.exponent, checked.exactness.of_bound);
    out.line(format!("  matrix: 2^{exponent} times the inverse, off by {of_bound:.2} of its bound"));
    out.line(format!("  {} points commit to these cells", checked.points));
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    out.finish(
        "lorica.datanet.check/1",
        json!({
            "version": word(&file.version.id()), "index": word(&file.key.id()), "adapter": word(&file.key.adapter),
            "records": records, "features_checked": checked.features,
            "matrix": { "exponent": exponent, "error": checked.exactness.error, "of_bound": of_bound },
            "points": checked.points, "phases": phases_json(&phases),
        }),
    );
    Ok(())
}

/// Where features are until the datanet is written.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = store::read(path, lorica::datanet::version::MAX_TERMS_BYTES as u64)?;
    Ok(String::from_utf8(bytes).map_err(|_| FileError::content(path, "the file is not UTF-8"))?)
}

fn show(args: &ShowArgs, out: &Output) -> Result<(), Error> {
    let file = DatanetFile::load(&args.file)?;
    print(&file, out);
    out.finish("lorica.datanet.show/1", joined(facts(&file), json!({ "report": file.report })));
    Ok(())
}

/// What names a datanet.
fn facts(file: &DatanetFile) -> Value {
    json!({
        "version": word(&file.version.id()), "base": word(&file.base), "adapter": word(&file.key.adapter),
        "index": word(&file.key.id()), "room": file.key.records, "tiles": file.key.tiles.len(), "licence": file.version.licence, "standard": file.version.standard,
    })
}

/// The main lines of a datanet and its report.
fn print(file: &DatanetFile, out: &Output) {
    let Report { rows, records, weight, near_duplicates, rejected, labels, contributors, held_out, matrix } =
        &file.report;
    out.line(format!("datanet version {}", word(&file.version.id())));
    out.line(format!("  index {} under adapter {}", word(&file.key.id()), word(&file.key.adapter)));
    out.line(format!(
        "  {rows} rows, {records} records of weight {weight:.1}, {near_duplicates} of them near-duplicates, {} contributors",
        contributors.len()
    ));
    if !rejected.is_empty() {
        let reasons: Vec<String> =
            rejected.iter().map(|(reason, count)| format!("{count} {}", reason.replace('_', " "))).collect();
        out.line(format!("  left out: {}", reasons.join(", ")));
    }
    let labels: Vec<String> =
        labels.iter().map(|label| format!("{} {}", printable(&label.name), label.records)).collect();
    out.line(format!("  labels: {}", labels.join(", ")));
    let percent = |part: Option<f64>| part.map_or("-".into(), |part| format!("{:.1} %", 100.0 * part));
    let of = if held_out.split { "a fifth of the records" } else { "rows of their own" };
    out.line(format!(
        "  held out: {} ({of}); accuracy of a head fitted on the records {}, of the adapter {}",
        held_out.rows,
        percent(held_out.accuracy),
        percent(held_out.adapter_accuracy)
    ));
    out.line(format!(
        "  matrix: 2^{} times the inverse, off by {:.1e}, {:.2} of its bound",
        matrix.exponent, matrix.error, matrix.of_bound
    ));
    out.line("  the largest contributors: records, weight, mean share of a fee, accuracy without them");
    let mut largest: Vec<_> = contributors.iter().collect();
    largest.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    for contributor in largest.iter().take(SHOWN) {
        out.line(format!(
            "    {:<40} {:>6} {:>8.1} {:>7} {:>7}",
            printable(&contributor.contributor),
            contributor.records,
            contributor.weight,
            percent(Some(contributor.mean_share)),
            percent(contributor.accuracy_without)
        ));
    }
    out.line(format!(
        "    all others: {}",
        percent(Some(largest.iter().skip(SHOWN).map(|contributor| contributor.mean_share).sum::<f64>()))
    ));
    out.line(format!("    nobody (tail): {}", percent(Some(held_out.mean_tail))));
}

fn print_rejections(rejections: &[Rejection], report: Option<&Path>, out: &Output) {
    for rejection in rejections.iter().take(SHOWN) {
        out.line(format!("  left out: {}", printable(&rejection.to_string())));
    }
    let more = rejections.len().saturating_sub(SHOWN);
    if more > 0 {
        let where_all =
            report.map_or("with --report FILE they are all listed".into(), |path| format!("all in {}", path.display()));
        out.line(format!("  left out: {more} more rows ({where_all})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ridges_are_thousandths() {
        for (text, ridge) in [("1", 1_000), ("0.001", 1), ("2.5", 2_500), ("10.", 10_000), ("0", 0)] {
            assert_eq!(parse_ridge(text), Ok(ridge), "{text}");
        }
        for text in ["", ".5", "-1", "1e3", "0.0001", "1.x", "12345678"] {
            assert!(parse_ridge(text).is_err(), "{text}");
        }
    }
}
