//! What becomes of rows before they are records: one form of Unicode, no row twice, near-duplicates share one weight.
//!
//! 1. A text becomes NFC, each run of white space one space, none at its ends. Empty texts are rejected, and texts with characters
//!    that are not seen: control characters, marks of direction, zero-width spaces, tags, unassigned order marks.
//! 2. It is encoded by the base's tokenizer; longer texts than the base takes are rejected, nothing is cut.
//! 3. A row with the text or the token ids of an earlier one is rejected: the model would read the same twice. The first row in
//!    the order of files and lines is kept, whoever brought it and whatever its label is.
//! 4. Of the remaining rows each joins the *cluster* of the first earlier leader of a cluster whose set of words has a Jaccard
//!    similarity of at least 0.7 with its own, or leads one itself. Each row of a cluster of `k` weighs `⌊240/k⌋`: a text that
//!    is sent in many versions is paid once. Rows beyond the 240th of a cluster are rejected.
//!
//! All of it is a function of the rows and the tokenizer, without randomness, so anybody with the rows can repeat it.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use lorica_quant::import::{EncodeError, Tokenizer};
use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::error::{Place, Reason, Rejection};
use super::near::Leaders;
use super::source::{Contributor, Row, Rows};
pub use crate::datanet_version::{MAX_NAME_BYTES, WHOLE_WEIGHT};

/// A row that may become a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it stands.
    pub place: Place,
    /// The text in its one form.
    pub text: String,
    /// Its token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Index of the label.
    pub label: usize,
    /// Who brought it.
    pub contributor: Option<Contributor>,
    /// The licence of this row, empty if it names none.
    pub licence: String,
}

/// Rows that are left, and why the others are not.
#[derive(Clone, Debug, Default)]
pub struct Scrubbed {
    /// In the order of files and lines.
    pub candidates: Vec<Candidate>,
    /// In the order in which they were found.
    pub rejections: Vec<Rejection>,
}

/// Steps 1 to 3.
#[must_use]
pub fn scrub(rows: Rows, tokenizer: &Tokenizer) -> Scrubbed {
    let Rows { rows, mut rejections } = rows;
    let read: Vec<Result<Candidate, Rejection>> = rows.into_par_iter().map(|row| candidate(row, tokenizer)).collect();
    let mut candidates: Vec<Candidate> = Vec::with_capacity(read.len());
    let mut texts: HashMap<String, usize> = HashMap::new();
    let mut tokens: HashMap<Vec<u32>, usize> = HashMap::new();
    for read in read {
        let candidate = match read {
            Ok(candidate) => candidate,
            Err(rejection) => {
                rejections.push(rejection);
                continue;
            }
        };
        let earlier = texts.get(&candidate.text).or_else(|| tokens.get(&candidate.ids));
        if let Some(earlier) = earlier.map(|&index| &candidates[index]) {
            let reason = Reason::Duplicate { of: earlier.place.clone(), other_label: earlier.label != candidate.label };
            rejections.push(Rejection { place: candidate.place, reason });
            continue;
        }
        texts.insert(candidate.text.clone(), candidates.len());
        tokens.insert(candidate.ids.clone(), candidates.len());
        candidates.push(candidate);
    }
    Scrubbed { candidates, rejections }
}

fn candidate(row: Row, tokenizer: &Tokenizer) -> Result<Candidate, Rejection> {
    let Row { place, text, label, contributor, licence } = row;
    let parts = || {
        let text = normalised(&text, "text")?;
        if text.is_empty() {
            return Err(Reason::Empty);
        }
        let contributor = match &contributor {
            Some(Contributor::Name(name)) => Some(Contributor::Name(short(name, "contributor")?)),
            other => other.clone(),
        };
        let licence = short(&licence, "licence")?;
        let ids = tokenizer.encode(&text).map_err(|error| match error {
            EncodeError::TooLong { max, .. } => Reason::TooManyTokens { most: max },
            other => Reason::Tokens { what: other.to_string() },
        })?;
        if ids.len() < 2 {
            return Err(Reason::Tokens { what: "the base takes texts of at least two tokens".into() });
        }
        Ok((text, ids, contributor, licence))
    };
    match parts() {
        Ok((text, ids, contributor, licence)) => Ok(Candidate { place, text, ids, label, contributor, licence }),
        Err(reason) => Err(Rejection { place, reason }),
    }
}

/// A short text in its one form.
fn short(text: &str, field: &'static str) -> Result<String, Reason> {
    let text = normalised(text, field)?;
    if text.len() > MAX_NAME_BYTES {
        return Err(Reason::Malformed { what: format!("the {field} has more than {MAX_NAME_BYTES} bytes") });
    }
    Ok(text)
}

/// NFC with single spaces, or the first character that is not allowed.
pub(super) fn normalised(text: &str, field: &'static str) -> Result<String, Reason> {
    if let Some(character) = text.chars().find(|&c| is_hidden(c)) {
        return Err(Reason::Character { character: format!("U+{:04X}", u32::from(character)), field });
    }
    let composed: String = text.nfc().collect();
    let mut result = String::with_capacity(composed.len());
    for word in composed.split_whitespace() {
        if !result.is_empty() {
            result.push(' ');
        }
        result.push_str(word);
    }
    Ok(result)
}

/// Characters that nobody sees, and that change what others look like. The joiners U+200C and U+200D stay: scripts and emoji need
/// them. White space that is a control character counts as white space.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
        || (c.is_control() && !c.is_whitespace())
}

/// The set of a text's words: compatible forms are one, case and accents fall away, a word is a run of letters and digits, and
/// a character of scripts without spaces is a word. A text of signs alone has those as its words.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut signs = BTreeSet::new();
    let mut word = String::new();
    // Lower case first: some letters become several, with marks that then fall away.
    for c in text.nfkd().flat_map(char::to_lowercase).filter(|&c| !is_combining_mark(c)) {
        if stands_alone(c) {
            words.insert(c.to_string());
        } else if c.is_alphanumeric() {
            word.push(c);
            continue;
        } else if matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}') {
            // Not seen: the word goes on behind it.
            continue;
        } else if !c.is_whitespace() {
            signs.insert(c.to_string());
        }
        if !word.is_empty() {
            words.insert(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.insert(word);
    }
    if words.is_empty() { signs } else { words }
}

/// Ideographs, kana, and scripts of South East Asia, which are written without spaces.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{edf}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
        && c.is_alphanumeric()
}

/// Step 4: the weight of each candidate that stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weighed {
    /// Of each candidate its weight, or `None` if its cluster is full.
    pub weights: Vec<Option<u8>>,
    /// Of each candidate the leader of its cluster, which may be itself.
    pub leaders: Vec<usize>,
}

/// Finds the clusters of near-duplicates.
#[must_use]
pub fn weigh(candidates: &[&Candidate]) -> Weighed {
    let texts: Vec<&str> = candidates.iter().map(|candidate| candidate.text.as_str()).collect();
    weigh_texts(&texts)
}

/// The same for texts in their one form.
#[must_use]
pub(super) fn weigh_texts(texts: &[&str]) -> Weighed {
    let sets: Vec<BTreeSet<String>> = texts.par_iter().map(|text| words(text)).collect();
    let mut leaders = Leaders::new(&sets);
    let leaders: Vec<usize> = (0..texts.len()).map(|row| leaders.join(row)).collect();
    let mut sizes = vec![0; texts.len()];
    let places: Vec<usize> = leaders
        .iter()
        .map(|&leader| {
            sizes[leader] += 1;
            sizes[leader]
        })
        .collect();
    let weight = |(&leader, &place): (&usize, &usize)| {
        let size = sizes[leader].min(WHOLE_WEIGHT);
        (place <= WHOLE_WEIGHT).then(|| u8::try_from(WHOLE_WEIGHT / size).unwrap_or(1))
    };
    Weighed { weights: leaders.iter().zip(&places).map(weight).collect(), leaders }
}

/// The rejection of a candidate whose cluster is full.
#[must_use]
pub(super) fn crowded(candidate: &Candidate, leader: &Candidate) -> Rejection {
    Rejection { place: candidate.place.clone(), reason: Reason::Crowded { of: leader.place.clone() } }
}

/// A place for rows that a program makes.
#[must_use]
pub fn place(file: impl Into<PathBuf>, line: usize) -> Place {
    Place { file: file.into(), line }
}

#[cfg(test)]
#[path = "scrub_tests.rs"]
mod tests;
