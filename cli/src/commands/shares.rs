//! Shares of contributors as `prove` and `verify` show them.

use lorica::answer::printable;
use lorica::datanet::quality::contributor_name;
use lorica::datanet::source::Contributor;
use lorica_circuits::bn254::Fr;
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

/// The shares of one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    /// By this index.
    pub(super) index: Fr,
    /// The list.
    pub(super) shares: &'a [Share],
    /// Who has which slot; empty if that is not known.
    pub(super) contributors: &'a [Contributor],
}

impl<'a> Listed<'a> {
    /// Of a request of a proof, if it attributes.
    pub(super) fn of(
        statement: &Statement,
        request: &'a RequestStatement,
        contributors: &'a [Contributor],
    ) -> Option<Self> {
        let own = statement.attribution.filter(|own| own.adapter == request.adapter)?;
        Some(Self { index: own.index, shares: &request.shares, contributors })
    }
}

/// A request's object with its shares, if it attributes; prints the largest if there is where to.
pub(super) fn with_shares(object: Value, own: Option<Listed<'_>>, out: Option<&Output>) -> Value {
    let line = |text: String| out.map_or((), |out| out.line(text));
    let Some(Listed { index, shares, contributors }) = own else { return object };
    let name = |slot: u16| contributors.get(usize::from(slot)).map(contributor_name);
    let mut shares: Vec<Share> = shares.iter().copied().filter(|own| own.share > 0).collect();
    shares.sort_by_key(|own| (std::cmp::Reverse(own.share), own.slot));
    let sum: u32 = shares.iter().map(|own| u32::from(own.share)).sum();
    // Negative classes in an index make shares that add up to more than the whole.
    let tail = u32::from(u16::MAX).checked_sub(sum);
    let percent = |part: f64| 100.0 * part / WHOLE;
    line(format!("    shares by datanet index {}", super::short(&index)));
    for own in shares.iter().take(SHOWN) {
        let name = name(own.slot).map_or_else(|| format!("contributor {}", own.slot), |name| printable(&name));
        line(format!("      {:>5.1} %  {name}", percent(own.share.into())));
    }
    let listed: f64 = shares.iter().skip(SHOWN).map(|own| f64::from(own.share)).sum();
    let others = shares.len().saturating_sub(SHOWN);
    if others > 0 {
        line(format!("      {:>5.1} %  {others} more contributors", percent(listed)));
    }
    match tail {
        Some(tail) => {
            line(format!("      {:>5.1} %  nobody: smaller contributors and rounding", percent(tail.into())));
        }
        None => {
            let what = "the shares add up to more than the whole: the index has cells out of range, and is not honest";
            if let Some(out) = out {
                out.warn(what);
            }
        }
    }
    let entries: Vec<Value> = shares
        .iter()
        .map(|own| json!({ "slot": own.slot, "contributor": name(own.slot), "share": own.share }))
        .collect();
    joined(object, json!({ "shares": entries, "tail": tail, "whole": u16::MAX }))
}
