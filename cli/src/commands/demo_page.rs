//! The demo's run as one HTML file that needs nothing else: who paid whom, why, and with which digests.

use std::fmt::Write;

use lorica::amount;
use lorica_chain::alloy_primitives::{B256, U256};

use super::demo_chain::{Balance, OnChain, percent};
use super::demo_datanet::Shaping;
use crate::output::{size, time};

/// What the page says of the proof.
pub(crate) struct Facts<'f> {
    /// The text.
    pub(crate) text: &'f str,
    /// Its answer.
    pub(crate) answer: String,
    /// Tokens.
    pub(crate) tokens: usize,
    /// Digests and sizes: name, value, what it is.
    pub(crate) digests: Vec<(&'static str, String, &'static str)>,
    /// Bytes of the inference proof.
    pub(crate) proof_bytes: u64,
    /// Seconds of proving and checking, as text.
    pub(crate) proving: String,
    /// Of checking.
    pub(crate) checking: String,
    /// The records that shaped the answer most.
    pub(crate) shaping: Vec<Shaping>,
    /// Records of the datanet.
    pub(crate) records: usize,
}

/// Text in HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters have no place in HTML.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// 1234567 as 1 234 567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

const COLOURS: [&str; 4] = ["#2f6fde", "#8a4fd3", "#0f9d76", "#d9822b"];

/// The fee's way from the requester through the escrow, each share as wide as it is large.
fn flow(on_chain: &OnChain) -> String {
    const HEIGHT: f64 = 300.0;
    let fee = on_chain.terms.maxFee;
    // Exact enough for a picture.
    let part = |share: U256| {
        let thousandths = share.saturating_mul(U256::from(1000)).checked_div(fee).unwrap_or_default();
        f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0
    };
    let mut svg =
        String::from("<svg viewBox=\"0 0 860 340\" role=\"img\" aria-label=\"The fee's way\"><g font-size=\"14\">");
    let (band, top) = (180.0, 80.0);
    let _ = write!(
        svg,
        "<rect x=\"20\" y=\"{top}\" width=\"14\" height=\"{band}\" rx=\"3\" class=\"bar\"/>\
         <text x=\"20\" y=\"{}\" class=\"strong\">requester</text><text x=\"20\" y=\"{}\" class=\"dim\">&#8722;{} OPEN</text>\
         <path d=\"M34 {top} H360 V{} H34 Z\" class=\"band\"/>\
         <rect x=\"360\" y=\"{top}\" width=\"14\" height=\"{band}\" rx=\"3\" class=\"bar\"/>\
         <text x=\"367\" y=\"{}\" text-anchor=\"middle\" class=\"strong\">escrow</text>\
         <text x=\"197\" y=\"{}\" text-anchor=\"middle\" class=\"dim\">locked until a proof checks</text>",
        top - 28.0,
        top - 10.0,
        amount::show(fee),
        top + band,
        top - 10.0,
        top + band / 2.0 + 5.0,
    );
    let (mut from, mut to) = (top, 20.0);
    let gap = (HEIGHT - band) / 3.0;
    for ((party, share), colour) in on_chain.shares().iter().zip(COLOURS) {
        let width = band * part(*share);
        let _ = write!(
            svg,
            "<path d=\"M374 {from} C500 {from} 500 {to} 620 {to} V{} C500 {} 500 {} 374 {} Z\" fill=\"{colour}\" opacity=\".35\"/>\
             <rect x=\"620\" y=\"{to}\" width=\"14\" height=\"{width}\" rx=\"3\" fill=\"{colour}\"/>\
             <text x=\"646\" y=\"{}\" class=\"strong\">{}</text><text x=\"646\" y=\"{}\" class=\"dim\">+{} OPEN</text>",
            to + width,
            to + width,
            from + width,
            from + width,
            to + width / 2.0 - 3.0,
            escape(party.name),
            to + width / 2.0 + 15.0,
            amount::show(*share),
        );
        from += width;
        to += width + gap;
    }
    svg.push_str("</g></svg>");
    svg
}

fn balances(on_chain: &OnChain) -> String {
    let mut rows = String::new();
    for Balance { party, before, after } in &on_chain.balances {
        let (sign, change) = if after >= before { ("+", after - before) } else { ("&#8722;", before - after) };
        let class = if after > before {
            "plus"
        } else if after < before {
            "minus"
        } else {
            "dim"
        };
        let _ = write!(
            rows,
            "<tr><td>{}<div class=\"mono dim\">{}</div></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n {class}\">{sign}{}</td></tr>",
            escape(party.name),
            party.account,
            amount::show(*before),
            amount::show(*after),
            amount::show(change),
        );
    }
    rows
}

fn gas_rows(entries: &[(String, u64)]) -> String {
    let most = entries.iter().map(|(_, gas)| *gas).max().unwrap_or(1).max(1);
    let mut rows = String::new();
    for (what, gas) in entries {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"w\"><i style=\"width:{}%\"></i></td></tr>",
            escape(what),
            grouped(*gas),
            gas * 100 / most,
        );
    }
    rows
}

/// The contributors with their shares as bars and what they were paid.
fn contributors(on_chain: &OnChain) -> String {
    let largest = on_chain.contributed.first().map_or(1.0, |own| percent(own.share).max(0.1));
    let mut rows = String::new();
    for own in &on_chain.contributed {
        let part = percent(own.share);
        let _ = write!(
            rows,
            "<tr><td>{}<div class=\"mono dim\">{}</div></td><td class=\"n\">{part:.1} %</td><td class=\"w\"><i style=\"width:{:.0}%\"></i></td>\
             <td class=\"n plus\">+{}</td></tr>",
            escape(&own.name),
            own.account,
            100.0 * part / largest,
            amount::show(own.paid),
        );
    }
    let _ = write!(
        rows,
        "<tr><td>burnt: smaller contributors and rounding</td><td></td><td></td><td class=\"n dim\">{}</td></tr>",
        amount::show(on_chain.burnt)
    );
    rows
}

/// The records that shaped the answer, with their texts.
fn records(shaping: &[Shaping]) -> String {
    let mut rows = String::new();
    for own in shaping {
        let _ = write!(
            rows,
            "<tr><td>{}<div class=\"dim\">{}</div></td><td class=\"n\">{:.1} %</td></tr>",
            escape(&own.text),
            escape(&own.contributor),
            100.0 * own.part,
        );
    }
    rows
}

/// The page.
pub(crate) fn page(facts: &Facts<'_>, on_chain: &OnChain) -> String {
    let mut thefts = String::new();
    for theft in &on_chain.thefts {
        let (class, verdict) = match &theft.verdict {
            None => ("minus", "SUCCEEDED: THIS IS A BUG".to_owned()),
            Some((why, gas)) => {
                let cost = gas.map_or(String::new(), |gas| format!(" for {} gas", grouped(gas)));
                ("plus", format!("rejected{cost}: {}", escape(why)))
            }
        };
        let _ = write!(
            thefts,
            "<tr><td class=\"name\">{}</td><td class=\"{class}\">{verdict}</td></tr>",
            escape(theft.name)
        );
    }
    let mut digests = String::new();
    for (name, value, meaning) in &facts.digests {
        let _ = write!(
            digests,
            "<tr><td>{}<div class=\"dim\">{}</div></td><td class=\"mono\">{}</td></tr>",
            escape(name),
            escape(meaning),
            escape(value),
        );
    }
    for (name, address) in &on_chain.contracts {
        let _ = write!(
            digests,
            "<tr><td>{}<div class=\"dim\">contract</div></td><td class=\"mono\">{address}</td></tr>",
            escape(name)
        );
    }
    let phases: String = on_chain
        .phases
        .iter()
        .map(|(name, spent)| format!("<tr><td>{}</td><td class=\"n\">{}</td></tr>", escape(name), time(*spent)))
        .collect();
    let accepted = on_chain.accepted_forgery().is_none();
    let verdict = if accepted { "Paid, because the proof checks" } else { "A forgery was accepted: this is a bug" };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<title>Lorica: a proven and paid inference</title><style>{STYLE}</style>\
<header><p class=\"brand\">Lorica</p><h1>{verdict}</h1>\
<p class=\"lead\">{fee} OPEN for one classification. The contract saw no text and no weight: it saw a proof that the registered \
model with the registered adapter gives this answer, and divided the fee.</p></header><main>\
<section class=\"card\"><h2>Who paid whom</h2>{flow}</section>\
<section class=\"card\"><h2>The question and its answer</h2><blockquote>{text}</blockquote>\
<p class=\"answer\">{answer}</p><p class=\"dim\">{tokens} tokens; proven in {proving}, {bytes}, checked by anyone in {checking}.</p></section>\
<section class=\"card\"><h2>Whose records shaped it</h2><p class=\"dim\">The proof also states, of {records_count} records of Debian's maintainers, whose \
shaped this answer and by how much. Each has an account in this demo, and was paid by his share.</p>\
<div class=\"scroll\"><table><thead><tr><th>contributor</th><th class=\"n\">share</th><th></th><th class=\"n\">OPEN</th></tr></thead>{contributed}</table></div></section>\
<section class=\"card\"><h2>The records behind it</h2><p class=\"dim\">With their parts of all scores. These are for who holds the datanet: the proof \
shows contributors, not records.</p><div class=\"scroll\"><table>{records}</table></div></section>\
<section class=\"card\"><h2>Balances, in OPEN</h2><div class=\"scroll\"><table><thead><tr><th>party</th><th class=\"n\">before</th><th class=\"n\">after</th>\
<th class=\"n\">change</th></tr></thead>{balances}</table></div></section>\
<section class=\"card\"><h2>Attempts to steal it</h2><div class=\"scroll\"><table>{thefts}</table></div></section>\
<section class=\"card\"><h2>Why: what the proof binds</h2><div class=\"scroll\"><table>{digests}</table></div></section>\
<section class=\"card\"><h2>Transactions, by gas</h2><div class=\"scroll\"><table>{steps}</table></div></section>\
<section class=\"card\"><h2>The settlement's {gas} gas, by part</h2><div class=\"scroll\"><table>{parts}</table></div>\
<p class=\"dim\">{calldata} of calldata; a circuit of 2<sup>{rows}</sup> rows.</p></section>\
<section class=\"card\"><h2>Time on this machine</h2><div class=\"scroll\"><table>{phases}</table></div></section>\
</main><footer class=\"dim\">An EVM in memory under Osaka's rules, and the insecure development SRS: anyone could forge these proofs. \
Balances are OPEN of this chain only.</footer></html>\n",
        fee = amount::show(on_chain.terms.maxFee),
        flow = flow(on_chain),
        contributed = contributors(on_chain),
        records = records(&facts.shaping),
        records_count = facts.records,
        text = escape(facts.text),
        answer = escape(&facts.answer),
        tokens = facts.tokens,
        proving = escape(&facts.proving),
        checking = escape(&facts.checking),
        bytes = size(facts.proof_bytes),
        balances = balances(on_chain),
        steps = gas_rows(&on_chain.steps),
        gas = grouped(on_chain.gas),
        parts = gas_rows(&on_chain.parts),
        calldata = size(u64::try_from(on_chain.calldata).unwrap_or(u64::MAX)),
        rows = on_chain.log_rows,
    )
}

/// Digests that every page shows.
pub(crate) fn chain_digests(on_chain: &OnChain) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("request", on_chain.request.to_string(), "the EIP-712 digest that the requester signed"),
        ("circuit", B256::from(on_chain.circuit).to_string(), "Keccak-256 of the settlement key"),
        ("input", B256::from(on_chain.terms.inputDigest).to_string(), "Poseidon digest of salt, length and token ids"),
    ]
}

const STYLE: &str = "\
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--dim:#667085;--line:#e4e7ec;--plus:#0b7a55;--minus:#b42318;--bar:#98a2b3;--band:#98a2b333}\
@media(prefers-color-scheme:dark){:root{--bg:#0f1319;--card:#171d26;--ink:#e7ebf2;--dim:#93a0b4;--line:#2a3340;--plus:#46c795;--minus:#f97066;--bar:#667085;--band:#66708544}}\
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
header,main,footer{max-width:920px;margin:0 auto;padding:0 20px}header{padding-top:40px}\
.brand{margin:0;font-weight:700;letter-spacing:.08em;text-transform:uppercase;font-size:13px;color:var(--dim)}\
h1{font-size:34px;line-height:1.2;margin:6px 0 8px}h2{font-size:18px;margin:0 0 14px}.lead{font-size:18px;color:var(--dim);margin:0 0 24px;max-width:66ch}\
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px;margin:0 0 18px}\
svg{width:100%;height:auto;display:block}.strong{font-weight:600;fill:var(--ink)}svg .dim{fill:var(--dim)}.bar{fill:var(--bar)}.band{fill:var(--band)}\
table{border-collapse:collapse;width:100%}td,th{padding:7px 10px 7px 0;border-top:1px solid var(--line);text-align:left;vertical-align:top}\
th{color:var(--dim);font-weight:500;border-top:0}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.mono{font-family:ui-monospace,monospace;font-size:13px;overflow-wrap:anywhere}.dim{color:var(--dim);font-size:14px}\
.plus{color:var(--plus)}.minus{color:var(--minus)}.scroll{overflow-x:auto}\
.name{width:34%}.plus,.minus{overflow-wrap:anywhere}.w{width:34%;padding-left:12px}.w i{display:block;height:8px;margin-top:8px;border-radius:4px;background:#2f6fde;min-width:2px}\
blockquote{margin:0 0 10px;padding:10px 14px;border-left:3px solid var(--line);overflow-wrap:anywhere}.answer{font-size:20px;font-weight:600;margin:0}\
footer{padding-bottom:40px}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<b a='\"'>&\u{1b}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(12), "12");
        assert_eq!(grouped(123_456), "123\u{202f}456");
    }
}
