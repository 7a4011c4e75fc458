//! Names of the intermediate values that the float forward shows to an observer.
//!
//! Shapes are row-major, with `n` the number of tokens.

use crate::import::Site;

/// An intermediate value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tap {
    /// Word + position + token type embedding, `[n][hidden]`.
    EmbeddingSum,
    /// Layer normalisation of the embedding sum.
    EmbeddingNorm(NormPart),
    /// A value inside an encoder layer.
    Layer(usize, LayerTap),
    /// `A x` of an adapter before `B` and scaling, `[n][rank]`; of the pooler `[rank]`.
    LoraHidden(Site),
    /// `scaling B A x` of an adapter, `[n][out_features]`, of the pooler `[hidden]`; it is part of the site's own value.
    LoraUpdate(Site),
    /// Pooler on the first token before tanh, `[hidden]`.
    PoolerPreactivation,
    /// Pooler on the first token after tanh, `[hidden]`.
    PoolerOutput,
    /// Logits, `[labels]`.
    Logits,
}

/// A value inside an encoder layer, in the order of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerTap {
    /// Queries divided by `sqrt(head_dim)`, `[n][hidden]`, heads side by side.
    Query,
    /// Keys, `[n][hidden]`.
    Key,
    /// Values, `[n][hidden]`.
    Value,
    /// Scaled scores before softmax, `[heads][n][n]`: query position, then key position.
    Scores,
    /// Softmax of the scores, `[heads][n][n]`.
    Probabilities,
    /// Probabilities times values, `[n][hidden]`, heads side by side.
    Context,
    /// `attention.output.dense` of the context, `[n][hidden]`.
    AttentionOutput,
    /// Attention output + layer input, `[n][hidden]`.
    AttentionResidual,
    /// Layer normalisation of the attention residual.
    AttentionNorm(NormPart),
    /// `intermediate.dense`, `[n][intermediate]`.
    Intermediate,
    /// Activation function of the intermediate, `[n][intermediate]`.
    Activation,
    /// `output.dense`, `[n][hidden]`.
    Output,
    /// Output + normalised attention residual, `[n][hidden]`.
    OutputResidual,
    /// Layer normalisation of the output residual; its [`NormPart::Output`] is the layer's output.
    OutputNorm(NormPart),
}

/// A value inside a layer normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NormPart {
    /// Mean over the row, `[n]`.
    Mean,
    /// Variance over the row, without eps, `[n]`.
    Variance,
    /// `(x - mean) / sqrt(variance + eps)`, `[n][hidden]`.
    Normalised,
    /// `gamma normalised + beta`, `[n][hidden]`.
    Output,
}
