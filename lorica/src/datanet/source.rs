//! Rows as people have them: a `.jsonl` or `.csv` file, or a folder of such files.
//!
//! Each row has `text`, `label`, and a `contributor` or `contributor_hash`; it may have a `licence`. Other fields are not looked
//! at. A row that cannot be read is a rejection of its own; what says that the whole file is not what it should be (a missing
//! field, an unknown label, a row without end, broken quotes) is an error with file and line. No more than a row is ever held
//! beside what was read, and nothing of a file is trusted: not its length, not its encoding, not its nesting.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use lorica_chain::alloy_primitives::Address;
use serde::Deserialize;

use super::csv::{CsvFault, CsvReader, CsvRow};
use super::error::{DatanetError, Place, Reason, Rejection, RowError};
use crate::address::has_right_checksum;
pub use crate::datanet_version::{Contributor, MAX_ROW_BYTES};
use crate::files::FileError;

/// Bytes that all files of a datanet may have together.
pub const MAX_SOURCE_BYTES: u64 = 512 << 20;
/// Rows that are read at most: rejected ones take memory too.
pub const MAX_ROWS: usize = 1 << 20;
/// Files that a folder may hold.
const MAX_FILES: usize = 4_096;

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// The text.
    pub text: String,
    /// Index of the label among the names.
    pub label: usize,
    /// Who brought it; `None` only where that may be absent.
    pub contributor: Option<Contributor>,
    /// The licence of this row, empty if it names none.
    pub licence: String,
}

/// What a source holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows that can be read, in the order of the files and lines.
    pub rows: Vec<Row>,
    /// The others.
    pub rejections: Vec<Rejection>,
}

/// What is expected of rows.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The adapter's labels.
    pub labels: &'a [String],
    /// Whether each row says who brought it: rows to learn from do, rows to be measured on need not.
    pub contributors: bool,
}

/// Reads a file, or the files of a folder in the order of their names.
///
/// # Errors
/// [`DatanetError`] names file and line.
pub fn read(path: &Path, expected: Expected<'_>) -> Result<Rows, DatanetError> {
    let mut reader = Reader { expected, rows: Rows::default(), left: MAX_SOURCE_BYTES, source: path };
    let metadata = fs::metadata(path).map_err(FileError::reading(path))?;
    if metadata.is_dir() {
        for file in files(path)? {
            reader.file(&file)?;
        }
    } else {
        reader.file(path)?;
    }
    Ok(reader.rows)
}

/// The kinds of files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    Csv,
}

fn format(path: &Path) -> Option<Format> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "jsonl" => Some(Format::JsonLines),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

/// The files of a folder whose names end as they should; other plain files are not looked at.
fn files(folder: &Path) -> Result<Vec<PathBuf>, DatanetError> {
    let refuse = |path: &Path, reason| DatanetError::Folder { path: path.into(), reason };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::reading(folder))? {
        let path = entry.map_err(FileError::reading(folder))?.path();
        // Follows links; one that leads in a circle or nowhere is the system's error.
        let metadata = fs::metadata(&path).map_err(FileError::reading(&path))?;
        if metadata.is_dir() {
            return Err(refuse(&path, "folders inside of a datanet's folder are not read"));
        }
        if format(&path).is_none() {
            continue;
        }
        if !metadata.is_file() {
            return Err(refuse(&path, "it is no plain file"));
        }
        files.push(path);
        if files.len() > MAX_FILES {
            return Err(refuse(folder, "there are more than 4,096 files"));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(refuse(folder, "there is no .jsonl or .csv file"));
    }
    Ok(files)
}

/// The fields that are looked at.
#[derive(Deserialize)]
#[serde(rename = "object")]
struct Fields {
    text: Option<String>,
    label: Option<String>,
    contributor: Option<String>,
    contributor_hash: Option<String>,
    #[serde(alias = "license")]
    licence: Option<String>,
}

struct Reader<'a> {
    expected: Expected<'a>,
    rows: Rows,
    left: u64,
    source: &'a Path,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> Result<(), DatanetError> {
        let Some(format) = format(path) else {
            return Err(FileError::content(path, "the name must end in .jsonl or .csv, or be a folder's").into());
        };
        let file = File::open(path).map_err(FileError::reading(path))?;
        // One byte beyond what is left: a pipe or a growing file has no reliable length.
        let mut input = BufReader::with_capacity(1 << 16, file.take(self.left.saturating_add(1)));
        // A byte order mark may lead a file of UTF-8; that of UTF-16 makes every row malformed.
        if input.fill_buf().map_err(FileError::reading(path))?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        match format {
            Format::JsonLines => self.json_lines(path, &mut input)?,
            Format::Csv => self.csv(path, &mut input)?,
        }
        let read = self.left.saturating_add(1).saturating_sub(input.get_ref().limit());
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Err(FileError::TooLarge { path: self.source.into(), max: MAX_SOURCE_BYTES }.into()),
        }
        Ok(())
    }

    fn json_lines(&mut self, path: &Path, input: &mut impl BufRead) -> Result<(), DatanetError> {
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let limit = MAX_ROW_BYTES as u64 + 2;
            let read =
                Read::take(&mut *input, limit).read_until(b'\n', &mut bytes).map_err(FileError::reading(path))?;
            if read == 0 {
                break;
            }
            while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                bytes.pop();
            }
            if bytes.len() > MAX_ROW_BYTES {
                return Err(DatanetError::row(path, line)(RowError::TooLong { most: MAX_ROW_BYTES }));
            }
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // Serde would take a list for an object, its entries being the fields in their order.
            if bytes.trim_ascii_start().first() != Some(&b'{') {
                self.malformed(path, line, "not a JSON object".into())?;
                continue;
            }
            match serde_json::from_slice::<Fields>(&bytes) {
                Ok(fields) => self.row(path, line, fields)?,
                Err(error) => self.malformed(path, line, describe(&error))?,
            }
        }
        Ok(())
    }

    fn csv(&mut self, path: &Path, input: &mut impl BufRead) -> Result<(), DatanetError> {
        let mut reader = CsvReader::new(input, MAX_ROW_BYTES);
        let fault = |fault| match fault {
            CsvFault::Row { line, error } => DatanetError::row(path, line)(error),
            CsvFault::Io(error) => FileError::reading(path)(error).into(),
        };
        let Some(header) = reader.next().map_err(fault)? else { return Ok(()) };
        let columns = Columns::new(&header).map_err(DatanetError::row(path, header.line))?;
        while let Some(row) = reader.next().map_err(fault)? {
            let (line, count) = (row.line, row.fields.len());
            if count != columns.count {
                self.malformed(path, line, format!("{count} fields, the first row names {}", columns.count))?;
                continue;
            }
            match columns.fields(row) {
                Ok(fields) => self.row(path, line, fields)?,
                Err(what) => self.malformed(path, line, what.into())?,
            }
        }
        Ok(())
    }

    fn count(&self) -> Result<(), DatanetError> {
        if self.rows.rows.len() + self.rows.rejections.len() >= MAX_ROWS {
            return Err(DatanetError::Rows { path: self.source.into(), most: MAX_ROWS });
        }
        Ok(())
    }

    fn malformed(&mut self, path: &Path, line: usize, what: String) -> Result<(), DatanetError> {
        self.count()?;
        let place = Place { file: path.into(), line };
        self.rows.rejections.push(Rejection { place, reason: Reason::Malformed { what } });
        Ok(())
    }

    fn row(&mut self, path: &Path, line: usize, fields: Fields) -> Result<(), DatanetError> {
        self.count()?;
        let refuse = |error| DatanetError::row(path, line)(error);
        let Fields { text, label, contributor, contributor_hash, licence } = fields;
        let text = text.ok_or_else(|| refuse(RowError::Missing("text")))?;
        let name = label.ok_or_else(|| refuse(RowError::Missing("label")))?;
        let Some(label) = self.expected.labels.iter().position(|known| *known == name) else {
            return Err(refuse(unknown_label(&name, self.expected.labels)));
        };
        let given = |field: Option<String>| field.filter(|field| !field.trim().is_empty());
        let contributor = match (given(contributor), given(contributor_hash)) {
            (Some(contributor), _) => Some(parse_contributor(contributor.trim()).map_err(refuse)?),
            (None, Some(hash)) => Some(Contributor::Hash(parse_hash(hash.trim()).map_err(refuse)?)),
            (None, None) if self.expected.contributors => return Err(refuse(RowError::Missing("contributor"))),
            (None, None) => None,
        };
        let place = Place { file: path.into(), line };
        self.rows.rows.push(Row { place, text, label, contributor, licence: licence.unwrap_or_default() });
        Ok(())
    }
}

fn unknown_label(label: &str, labels: &[String]) -> RowError {
    // What is shown of it stays short, whatever the file says.
    RowError::UnknownLabel { label: label.chars().take(60).collect(), known: labels.join(", ") }
}

/// A name, or an address or digest if it begins with `0x`: a mistyped address must not become a name that nobody can be paid by.
fn parse_contributor(text: &str) -> Result<Contributor, RowError> {
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Ok(Contributor::Name(text.into()));
    };
    if digits.len() == 64 {
        return parse_hash(text).map(Contributor::Hash);
    }
    let not = RowError::Contributor("begins with 0x and is neither an address of 40 digits nor a digest of 64");
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| not)?;
    if !has_right_checksum(Address::from(bytes), digits) {
        return Err(RowError::Contributor("is an address whose checksum, the case of its digits, is wrong"));
    }
    Ok(Contributor::Address(bytes))
}

fn parse_hash(text: &str) -> Result<[u8; 32], RowError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| RowError::Contributor("hash must have 64 hexadecimal digits"))?;
    Ok(bytes)
}

/// serde's message without its place and without what the row says.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let quoted = text.split_once(": string ").map_or(text, |(before, _)| before);
    quoted.chars().take(120).collect()
}

/// Which column has what.
struct Columns {
    count: usize,
    text: Option<usize>,
    label: Option<usize>,
    contributor: Option<usize>,
    contributor_hash: Option<usize>,
    licence: Option<usize>,
}

impl Columns {
    fn new(header: &CsvRow) -> Result<Self, RowError> {
        let mut columns = Self {
            count: header.fields.len(),
            text: None,
            label: None,
            contributor: None,
            contributor_hash: None,
            licence: None,
        };
        for (index, name) in header.fields.iter().enumerate() {
            let place = match name.trim_ascii() {
                b"text" => &mut columns.text,
                b"label" => &mut columns.label,
                b"contributor" => &mut columns.contributor,
                b"contributor_hash" => &mut columns.contributor_hash,
                b"licence" | b"license" => &mut columns.licence,
                _ => continue,
            };
            if place.replace(index).is_some() {
                return Err(RowError::Header(format!("`{}` is there twice", String::from_utf8_lossy(name))));
            }
        }
        for (name, column) in [("text", columns.text), ("label", columns.label)] {
            if column.is_none() {
                return Err(RowError::Header(format!("`{name}` is missing")));
            }
        }
        Ok(columns)
    }

    fn fields(&self, row: CsvRow) -> Result<Fields, &'static str> {
        let mut fields: Vec<Option<String>> = Vec::with_capacity(row.fields.len());
        for field in row.fields {
            fields.push(Some(String::from_utf8(field).map_err(|_| "it is not UTF-8")?));
        }
        let mut take = |column: Option<usize>| column.and_then(|index| fields.get_mut(index)).and_then(Option::take);
        Ok(Fields {
            text: take(self.text),
            label: take(self.label),
            contributor: take(self.contributor),
            contributor_hash: take(self.contributor_hash),
            licence: take(self.licence),
        })
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
