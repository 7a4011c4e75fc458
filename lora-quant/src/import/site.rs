//! The linear layers to which an adapter may attach: six in every encoder layer, and the pooler.

use std::fmt;

use super::config::EncoderConfig;

/// A linear layer inside an encoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerSite {
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

impl LayerSite {
    /// All sites of a layer in the order of the computation.
    pub const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::AttentionOutput, Self::Intermediate, Self::Output];

    /// The module's name inside `encoder.layer.N`.
    const fn module(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query",
            Self::Key => "attention.self.key",
            Self::Value => "attention.self.value",
            Self::AttentionOutput => "attention.output.dense",
            Self::Intermediate => "intermediate.dense",
            Self::Output => "output.dense",
        }
    }
}

/// A linear layer of the encoder. Its text form is the module's name inside of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// One of an encoder layer's, `encoder.layer.N.*`.
    Layer(usize, LayerSite),
    /// `pooler.dense`, after the last layer.
    Pooler,
}

impl Site {
    /// All sites of an encoder with this many layers, in the order of the computation.
    pub fn all(layers: usize) -> impl Iterator<Item = Self> {
        let of_layer = |layer| LayerSite::ALL.map(|site| Self::Layer(layer, site));
        (0..layers).flat_map(of_layer).chain([Self::Pooler])
    }

    /// `(out_features, in_features)` of the layer.
    pub fn shape(self, config: &EncoderConfig) -> (usize, usize) {
        match self {
            Self::Layer(_, LayerSite::Intermediate) => (config.intermediate, config.hidden),
            Self::Layer(_, LayerSite::Output) => (config.hidden, config.intermediate),
            Self::Layer(..) | Self::Pooler => (config.hidden, config.hidden),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(layer, site) => write!(f, "encoder.layer.{layer}.{}", site.module()),
            Self::Pooler => f.write_str("pooler.dense"),
        }
    }
}
