//! Comma-separated values, read strictly (RFC 4180): a fault in the quoting is an error and never guessed at, because behind it
//! nobody knows where rows begin.

use std::io::{BufRead, ErrorKind};

use super::error::RowError;

/// A row: the line that it begins at, and its fields as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CsvRow {
    pub line: usize,
    pub fields: Vec<Vec<u8>>,
}

/// Where the reader is within a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At its beginning.
    Start,
    /// In one without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that ends the field or begins a pair.
    Quote,
}

/// Reads rows of at most `most` bytes.
pub(super) struct CsvReader<R> {
    input: R,
    line: usize,
    most: usize,
}

/// Why there is no next row: a fault at a line, or the system's.
#[derive(Debug)]
pub(super) enum CsvFault {
    Row { line: usize, error: RowError },
    Io(std::io::Error),
}

impl<R: BufRead> CsvReader<R> {
    pub fn new(input: R, most: usize) -> Self {
        Self { input, line: 1, most }
    }

    /// The next row that is not an empty line.
    pub fn next(&mut self) -> Result<Option<CsvRow>, CsvFault> {
        loop {
            match self.row()? {
                Some(row) if row.fields.len() == 1 && row.fields[0].is_empty() => {}
                row => return Ok(row),
            }
        }
    }

    fn row(&mut self) -> Result<Option<CsvRow>, CsvFault> {
        let line = self.line;
        let fault = |error| CsvFault::Row { line, error };
        let (mut fields, mut field) = (Vec::new(), Vec::new());
        let (mut state, mut bytes) = (State::Start, 0);
        loop {
            let Some(byte) = self.byte()? else {
                if state == State::Quoted {
                    return Err(fault(RowError::Quoting("the file ends within quotes")));
                }
                if bytes == 0 {
                    return Ok(None);
                }
                break;
            };
            bytes += 1;
            if bytes > self.most {
                return Err(fault(RowError::TooLong { most: self.most }));
            }
            self.line += usize::from(byte == b'\n');
            state = match (state, byte) {
                (State::Quoted, b'"') => State::Quote,
                (State::Quoted, byte) => {
                    field.push(byte);
                    State::Quoted
                }
                (_, b',') => {
                    fields.push(std::mem::take(&mut field));
                    State::Start
                }
                (_, b'\n') => break,
                (_, b'\r') => {
                    if self.byte()? != Some(b'\n') {
                        return Err(fault(RowError::Quoting("a carriage return outside of quotes ends no line")));
                    }
                    self.line += 1;
                    break;
                }
                (State::Start, b'"') => State::Quoted,
                (State::Quote, b'"') => {
                    field.push(b'"');
                    State::Quoted
                }
                (State::Quote, _) => return Err(fault(RowError::Quoting("text follows a closing quote"))),
                (State::Plain, b'"') => {
                    return Err(fault(RowError::Quoting("a quote stands inside a field that is not quoted")));
                }
                (State::Start | State::Plain, byte) => {
                    field.push(byte);
                    State::Plain
                }
            };
        }
        fields.push(field);
        Ok(Some(CsvRow { line, fields }))
    }

    fn byte(&mut self) -> Result<Option<u8>, CsvFault> {
        loop {
            return match self.input.fill_buf() {
                Ok(buffer) => {
                    let byte = buffer.first().copied();
                    self.input.consume(usize::from(byte.is_some()));
                    Ok(byte)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(CsvFault::Io(error)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
        let mut reader = CsvReader::new(text.as_bytes(), 40);
        let mut rows = Vec::new();
        loop {
            match reader.next() {
                Ok(None) => return Ok(rows),
                Ok(Some(row)) => {
                    let text = |field: Vec<u8>| String::from_utf8(field).unwrap();
                    rows.push((row.line, row.fields.into_iter().map(text).collect()));
                }
                Err(CsvFault::Row { line, error }) => return Err(format!("{line}: {error}")),
                Err(CsvFault::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn rows_quotes_and_lines() {
        let row = |line, fields: &[&str]| (line, fields.iter().map(|&f| f.to_owned()).collect::<Vec<_>>());
        assert_eq!(rows(""), Ok(vec![]));
        assert_eq!(
            rows("a,b\n\n\r\nc,\"d\n\"\"e\"\"\"\r\n,\nlast"),
            Ok(vec![row(1, &["a", "b"]), row(4, &["c", "d\n\"e\""]), row(6, &["", ""]), row(7, &["last"]),])
        );
        assert_eq!(rows("\"\",x"), Ok(vec![row(1, &["", "x"])]));
    }

    #[test]
    fn faults_name_their_line() {
        let refused = |text: &str, line: &str, part: &str| {
            let error = rows(text).unwrap_err();
            assert!(error.starts_with(line) && error.contains(part), "{error}");
        };
        refused("a\n\"b", "2:", "ends within quotes");
        refused("a\nb\"c", "2:", "inside a field");
        refused("\"a\"b", "1:", "follows a closing quote");
        refused("a\rb", "1:", "carriage return");
        refused(&format!("a\n{}", "x".repeat(41)), "2:", "40 bytes");
        refused(&format!("a\n\"{}", "x\n".repeat(41)), "2:", "40 bytes");
    }
}
