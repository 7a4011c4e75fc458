//! Shares of contributors as `prove` and `verify` show them.

use lorica::answer::printable;
use lorica::datanet::quality::contributor_name;
use lorica::datanet::source::Contributor;
use lorica_verifier::protocol::proof::{RequestStatement, Share, Statement};
use serde_json::{Value, json};

use super::word;
use crate::output::{Output, joined};

/// Contributors that people are shown; JSON has all.
const SHOWN: usize = 5;
/// What all shares and the tail add up to.
const WHOLE: f64 = 65_535.0;

/// The index by which a statement attributes, and its adapter.
pub(super) fn index_json(statement: &Statement) -> Value {
    statement.attribution.as_ref().map_or(
        Value::Null,
        |own| json!({ "id": word(&own.index), "adapter": word(&own.adapter), "records": statement.shape.records }),
    )
}

/// A request's object with its shares, if it attributes; prints the largest.
pub(super) fn with_shares(
    object: Value,
    statement: &Statement,
    request: &RequestStatement,
    contributors: &[Contributor],
    out: &Output,
) -> Value {
    let Some(own) = statement.attribution.as_ref().filter(|own| own.adapter == request.adapter) else { return object };
    let name = |slot: u16| contributors.get(usize::from(slot)).map(contributor_name);
    let mut shares: Vec<Share> = request.shares.iter().copied().filter(|own| own.share > 0).collect();
    shares.sort_by_key(|own| (std::cmp::Reverse(own.share), own.slot));
    let sum: u32 = shares.iter().map(|own| u32::from(own.share)).sum();
    // Negative classes in an index make shares that add up to more than the whole.
    let tail = u32::from(u16::MAX).checked_sub(sum);
    let percent = |part: f64| 100.0 * part / WHOLE;
    out.line(format!("    shares by datanet index {}", super::short(&own.index)));
    for own in shares.iter().take(SHOWN) {
        let name = name(own.slot).map_or_else(|| format!("contributor {}", own.slot), |name| printable(&name));
        out.line(format!("      {:>5.1} %  {name}", percent(own.share.into())));
    }
    let listed: f64 = shares.iter().skip(SHOWN).map(|own| f64::from(own.share)).sum();
    let others = shares.len().saturating_sub(SHOWN);
    if others > 0 {
        out.line(format!("      {:>5.1} %  {others} more contributors", percent(listed)));
    }
    match tail {
        Some(tail) => {
            out.line(format!("      {:>5.1} %  nobody: smaller contributors and rounding", percent(tail.into())));
        }
        None => {
            out.warn("the shares add up to more than the whole: the index has cells out of range, and is not honest")
        }
    }
    let entries: Vec<Value> = shares
        .iter()
        .map(|own| json!({ "slot": own.slot, "contributor": name(own.slot), "share": own.share }))
        .collect();
    joined(object, json!({ "shares": entries, "tail": tail, "whole": u16::MAX }))
}
