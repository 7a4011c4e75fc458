//! The six linear layers of an encoder layer, which are the places where an adapter may attach.

use std::fmt;

use super::config::EncoderConfig;

/// A linear layer inside an encoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// `attention.self.query`
    Query,
    /// `attention.self.key`
    Key,
    /// `attention.self.value`
    Value,
    /// `attention.output.dense`
    AttentionOutput,
    /// `intermediate.dense`
    Intermediate,
    /// `output.dense`
    Output,
}

impl Site {
    /// All sites in the order of the computation.
    pub const ALL: [Site; 6] =
        [Site::Query, Site::Key, Site::Value, Site::AttentionOutput, Site::Intermediate, Site::Output];

    /// The module's name inside `encoder.layer.N`.
    pub const fn module(self) -> &'static str {
        match self {
            Site::Query => "attention.self.query",
            Site::Key => "attention.self.key",
            Site::Value => "attention.self.value",
            Site::AttentionOutput => "attention.output.dense",
            Site::Intermediate => "intermediate.dense",
            Site::Output => "output.dense",
        }
    }

    /// `(out_features, in_features)` of the layer.
    pub fn shape(self, config: &EncoderConfig) -> (usize, usize) {
        match self {
            Site::Query | Site::Key | Site::Value | Site::AttentionOutput => (config.hidden, config.hidden),
            Site::Intermediate => (config.intermediate, config.hidden),
            Site::Output => (config.hidden, config.intermediate),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.module())
    }
}
