//! What a request's output means: label and scores, or an embedding.

use lorica_circuits::shape::{LOGIT_EXPONENT, OutputKind};
use lorica_verifier::protocol::proof::{Output, normalised, score};
use serde_json::{Value, json};

/// An output with the names and scales that its keys give it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A label.
    Classify {
        /// Index of the label.
        label: usize,
        /// Its name, if the adapter names it.
        name: Option<String>,
        /// Names and integer logits of the adapter's labels.
        logits: Vec<(Option<String>, i64)>,
    },
    /// A mean-pooled embedding.
    Embed {
        /// Integer sums over the tokens.
        sums: Vec<i64>,
        /// Tokens.
        length: usize,
        /// The mean embedding is `sums / (length·2^exponent)`.
        exponent: i32,
    },
}

impl Answer {
    /// Reads an output. `labels` are the adapter's; logits of labels beyond them are padding and left out.
    #[must_use]
    pub fn new(output: &Output, labels: &[String], tokens: usize, exponent: i32) -> Self {
        match output {
            Output::Embed { sums } => Self::Embed { sums: sums.clone(), length: tokens, exponent },
            Output::Classify { logits, label } => {
                let count = if labels.is_empty() { logits.len() } else { labels.len() };
                let named = logits.iter().take(count).enumerate();
                let logits = named.map(|(index, &logit)| (labels.get(index).cloned(), logit)).collect();
                let label = usize::from(*label);
                Self::Classify { label, name: labels.get(label).cloned(), logits }
            }
        }
    }

    /// As JSON keys.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Classify { label, name, logits } => json!({
                "label": { "index": label, "name": name },
                "logit_exponent": LOGIT_EXPONENT,
                "logits": logits.iter().map(|(name, logit)| json!({ "name": name, "integer": logit, "score": score(*logit) })).collect::<Vec<_>>(),
            }),
            Self::Embed { sums, length, exponent } => json!({
                "length": length,
                "embedding_exponent": exponent,
                "embedding_sums": sums,
                "embedding": normalised(sums),
            }),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Classify { label, name, logits } => {
                let mut order: Vec<usize> = (0..logits.len()).collect();
                order.sort_by_key(|&index| (std::cmp::Reverse(logits[index].1), index));
                let best = order.iter().take(3).map(|&index| {
                    format!("{} {:.3}", label_name(logits[index].0.as_deref(), index), score(logits[index].1))
                });
                let best: Vec<String> = best.collect();
                format!("label {} ({label}); scores {}", label_name(name.as_deref(), *label), best.join(", "))
            }
            Self::Embed { sums, length, .. } => {
                let first: Vec<String> = normalised(sums).iter().take(8).map(|x| format!("{x:.4}")).collect();
                format!("embedding of {length} tokens, {} numbers: {} ...", sums.len(), first.join(" "))
            }
        }
    }
}

/// The kind of output of an adapter with or without a classification head.
#[must_use]
pub fn kind_of(has_head: bool) -> OutputKind {
    if has_head { OutputKind::Classify } else { OutputKind::Embed }
}

/// Foreign words (label names, paths inside messages) without control characters that could steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn label_name(name: Option<&str>, index: usize) -> String {
    name.map_or_else(|| format!("#{index}"), printable)
}
