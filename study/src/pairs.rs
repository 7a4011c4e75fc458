//! Whether a rule on texts alone could tell rows of random words: how many rows have no two neighbouring words that stand so in a row of
//! another contributor, or none of the words that hold sentences together.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde_json::{Value, json};

use crate::data::Row;
use crate::gaming::Additions;

/// Words that hold short descriptions together.
const JOINING: [&str; 13] = ["a", "an", "and", "as", "by", "for", "from", "in", "of", "on", "the", "to", "with"];

/// Some rows and the parts of them that a rule would meet.
#[derive(Clone, Debug)]
pub struct Met {
    /// Which rows.
    pub rows: &'static str,
    /// Without a pair of neighbours that another contributor has.
    pub without_pair: f64,
    /// Without a joining word.
    pub without_joining: f64,
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn pairs(text: &str) -> HashSet<(String, String)> {
    let words = words(text);
    words.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// How much of honest rows, of those that are no records, and of what attackers add, each rule would meet.
pub fn met(records: &[Row], held_out: &[Row], additions: &Additions) -> Vec<Met> {
    let mut owners: HashMap<(String, String), HashSet<usize>> = HashMap::new();
    for row in records {
        for pair in pairs(&row.text) {
            owners.entry(pair).or_default().insert(row.contributor);
        }
    }
    let foreign = |pair: &(String, String), own: usize| {
        owners.get(pair).is_some_and(|owners| owners.iter().any(|&owner| owner != own))
    };
    let part = |rows, texts: Vec<(&str, usize)>| {
        let of = |count: usize| count as f64 / texts.len().max(1) as f64;
        let pairless = |&&(text, own): &&(&str, usize)| !pairs(text).iter().any(|pair| foreign(pair, own));
        let unjoined = |&&(text, _): &&(&str, usize)| !words(text).iter().any(|word| JOINING.contains(&word.as_str()));
        Met {
            rows,
            without_pair: of(texts.iter().filter(pairless).count()),
            without_joining: of(texts.iter().filter(unjoined).count()),
        }
    };
    vec![
        part("records", of_rows(records)),
        part("held-out rows", of_rows(held_out)),
        part("texts of random words", of_texts(&additions.salad)),
        part("one word, repeated", of_texts(&additions.junk)),
    ]
}

fn of_rows(rows: &[Row]) -> Vec<(&str, usize)> {
    rows.iter().map(|row| (row.text.as_str(), row.contributor)).collect()
}

/// Texts of somebody who has no rows.
fn of_texts(texts: &[String]) -> Vec<(&str, usize)> {
    texts.iter().map(|text| (text.as_str(), usize::MAX)).collect()
}

/// A table for people.
pub fn markdown(met: &[Met]) -> String {
    let mut text = String::from(
        "| rows | without two neighbouring words that another contributor has | without a joining word |\n|---|---|---|\n",
    );
    for Met { rows, without_pair, without_joining } in met {
        let _ = writeln!(text, "| {rows} | {:.1} % | {:.1} % |", 100.0 * without_pair, 100.0 * without_joining);
    }
    text
}

/// The same for programs.
pub fn json(met: &[Met]) -> Value {
    let own = |m: &Met| json!({ "rows": m.rows, "without_pair": m.without_pair, "without_joining": m.without_joining });
    met.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pairs_do_not_count() {
        let row = |text: &str, contributor| Row { text: text.into(), label: 0, contributor };
        let rows = [row("a red car", 0), row("Red car!", 0), row("the red car", 1), row("blue boat", 1)];
        let additions =
            Additions { junk: vec!["vim vim".into()], salad: vec!["boat the red".into(), "red boat".into()] };
        let met = met(&rows, &[], &additions);
        let parts: Vec<(f64, f64)> = met.iter().map(|met| (met.without_pair, met.without_joining)).collect();
        assert_eq!(parts, [(0.25, 0.5), (0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]);
    }
}
