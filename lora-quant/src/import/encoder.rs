//! The base encoder: its safetensors as plain `f32` tensors in the shapes of Hugging Face's `BertModel`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lorica_circuits::families::encoder::Architecture;

use super::config::EncoderConfig;
use super::error::ImportError;
use super::sentence_transformers::SentenceTransformer;
use super::site::{LayerSite, Site};
use super::tokenizer::Tokenizer;
use super::tokenizer_file::read_tokenizer;
use super::weights::{WeightFiles, Weights};

/// A linear layer `y = W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearWeights {
    /// Row-major `[out_features][in_features]`.
    pub weight: Vec<f32>,
    /// `[out_features]`.
    pub bias: Vec<f32>,
    /// Number of outputs.
    pub out_features: usize,
    /// Number of inputs.
    pub in_features: usize,
}

/// A layer normalisation `y = gamma (x - mean) / sqrt(variance + eps) + beta`.
#[derive(Debug, Clone, PartialEq)]
pub struct NormWeights {
    /// `[hidden]`.
    pub gamma: Vec<f32>,
    /// `[hidden]`.
    pub beta: Vec<f32>,
}

/// One encoder layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerWeights {
    /// `attention.self.query`, `[hidden][hidden]`.
    pub query: LinearWeights,
    /// `attention.self.key`, `[hidden][hidden]`.
    pub key: LinearWeights,
    /// `attention.self.value`, `[hidden][hidden]`.
    pub value: LinearWeights,
    /// `attention.output.dense`, `[hidden][hidden]`.
    pub attention_output: LinearWeights,
    /// `attention.output.LayerNorm`.
    pub attention_norm: NormWeights,
    /// `intermediate.dense`, `[intermediate][hidden]`.
    pub intermediate: LinearWeights,
    /// `output.dense`, `[hidden][intermediate]`.
    pub output: LinearWeights,
    /// `output.LayerNorm`.
    pub output_norm: NormWeights,
}

impl LayerWeights {
    /// The linear layer at a site.
    pub fn linear(&self, site: LayerSite) -> &LinearWeights {
        match site {
            LayerSite::Query => &self.query,
            LayerSite::Key => &self.key,
            LayerSite::Value => &self.value,
            LayerSite::AttentionOutput => &self.attention_output,
            LayerSite::Intermediate => &self.intermediate,
            LayerSite::Output => &self.output,
        }
    }
}

/// A BERT encoder as loaded from a Hugging Face folder. Every value is finite, every shape is that of `config`.
#[derive(Debug, Clone)]
pub struct FloatEncoder {
    /// Sizes and options.
    pub config: EncoderConfig,
    /// Word embeddings, `[vocab][hidden]`.
    pub word: Vec<f32>,
    /// Position embeddings, `[max_positions][hidden]`.
    pub position: Vec<f32>,
    /// Token type embeddings, `[type_vocab][hidden]`; only row 0 is ever used.
    pub token_type: Vec<f32>,
    /// Normalisation of the embedding sum.
    pub embedding_norm: NormWeights,
    /// The encoder layers in order.
    pub layers: Vec<LayerWeights>,
    /// `pooler.dense`, `[hidden][hidden]`; absent from some files, needed only for classification.
    pub pooler: Option<LinearWeights>,
    /// The bytes of `tokenizer.json`, checked to load, with what the folder's other files say about texts.
    pub tokenizer_json: Vec<u8>,
}

/// Heads of other tasks that a checkpoint may carry beside the encoder. The encoder does not use them.
const IGNORED_HEADS: [&str; 3] = ["cls.", "classifier.", "qa_outputs."];

impl FloatEncoder {
    /// Loads a folder for texts of the smallest of the limits, [`Architecture::TOKEN_LIMITS`].
    pub fn load(dir: &Path) -> Result<Self, ImportError> {
        let [least, ..] = Architecture::TOKEN_LIMITS;
        Self::load_for(dir, least)
    }

    /// Loads a Hugging Face or sentence-transformers folder for texts of up to `max_tokens` tokens, one of
    /// [`Architecture::TOKEN_LIMITS`]; [`import`](crate::import) says which files are read.
    pub fn load_for(dir: &Path, max_tokens: usize) -> Result<Self, ImportError> {
        let folder = SentenceTransformer::load(dir)?;
        let config = EncoderConfig::load(&folder.transformer, max_tokens)?;
        let tokenizer_json = read_tokenizer(&folder, &config)?;
        let files = WeightFiles::find(&folder.transformer)?;
        Self::from_tensors(config, tokenizer_json, &files.parse(&files.read()?)?)
    }

    /// The safetensors files that [`load`](Self::load) reads, shards in the order of their names.
    pub fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, ImportError> {
        Ok(WeightFiles::find(&SentenceTransformer::load(dir)?.transformer)?.paths())
    }

    fn from_tensors(
        config: EncoderConfig,
        tokenizer_json: Vec<u8>,
        weights: &Weights<'_>,
    ) -> Result<Self, ImportError> {
        let prefix = if weights.contains("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        let mut reader = Reader { weights, prefix, used: BTreeSet::new() };
        let hidden = config.hidden;
        let encoder = Self {
            word: reader.tensor("embeddings.word_embeddings.weight", &[config.vocab, hidden])?,
            position: reader.tensor("embeddings.position_embeddings.weight", &[config.max_positions, hidden])?,
            token_type: reader.tensor("embeddings.token_type_embeddings.weight", &[config.type_vocab, hidden])?,
            embedding_norm: reader.norm("embeddings.LayerNorm", hidden)?,
            layers: (0..config.layers).map(|layer| reader.layer(&config, layer)).collect::<Result<_, _>>()?,
            pooler: reader.pooler(hidden)?,
            tokenizer_json,
            config,
        };
        reader.refuse_the_rest()?;
        Ok(encoder)
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer, super::tokenizer::TokenizerError> {
        Tokenizer::from_bytes(&self.tokenizer_json, self.config.vocab, self.config.max_tokens)
    }

    /// The pooler, or the error for an adapter that needs one.
    pub fn require_pooler(&self) -> Result<&LinearWeights, ImportError> {
        self.pooler.as_ref().ok_or(ImportError::NoPooler)
    }
}

/// Reads the encoder's tensors and remembers which ones it has read.
struct Reader<'a> {
    weights: &'a Weights<'a>,
    prefix: &'static str,
    used: BTreeSet<String>,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let name = format!("{}{name}", self.prefix);
        let values = self.weights.read(&name, shape)?;
        self.used.insert(name);
        Ok(values)
    }

    fn linear(&mut self, name: &str, out_features: usize, in_features: usize) -> Result<LinearWeights, ImportError> {
        Ok(LinearWeights {
            weight: self.tensor(&format!("{name}.weight"), &[out_features, in_features])?,
            bias: self.tensor(&format!("{name}.bias"), &[out_features])?,
            out_features,
            in_features,
        })
    }

    /// Checkpoints converted from TensorFlow call the two tensors `gamma` and `beta`.
    fn norm(&mut self, name: &str, hidden: usize) -> Result<NormWeights, ImportError> {
        let old = self.weights.contains(&format!("{}{name}.gamma", self.prefix));
        let (gamma, beta) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        Ok(NormWeights {
            gamma: self.tensor(&format!("{name}.{gamma}"), &[hidden])?,
            beta: self.tensor(&format!("{name}.{beta}"), &[hidden])?,
        })
    }

    fn layer(&mut self, config: &EncoderConfig, layer: usize) -> Result<LayerWeights, ImportError> {
        let base = format!("encoder.layer.{layer}");
        let mut linear = |site| {
            let site = Site::Layer(layer, site);
            let (out_features, in_features) = site.shape(config);
            self.linear(&site.to_string(), out_features, in_features)
        };
        Ok(LayerWeights {
            query: linear(LayerSite::Query)?,
            key: linear(LayerSite::Key)?,
            value: linear(LayerSite::Value)?,
            attention_output: linear(LayerSite::AttentionOutput)?,
            intermediate: linear(LayerSite::Intermediate)?,
            output: linear(LayerSite::Output)?,
            attention_norm: self.norm(&format!("{base}.attention.output.LayerNorm"), config.hidden)?,
            output_norm: self.norm(&format!("{base}.output.LayerNorm"), config.hidden)?,
        })
    }

    fn pooler(&mut self, hidden: usize) -> Result<Option<LinearWeights>, ImportError> {
        let has = |part: &str| self.weights.contains(&format!("{}{}.{part}", self.prefix, Site::Pooler));
        let there = has("weight") || has("bias");
        there.then(|| self.linear(&Site::Pooler.to_string(), hidden, hidden)).transpose()
    }

    /// A tensor that was not read means that the checkpoint computes something else than this encoder.
    fn refuse_the_rest(&self) -> Result<(), ImportError> {
        // Old checkpoints store the constant vector 0, 1, 2, ...
        let position_ids = format!("{}embeddings.position_ids", self.prefix);
        self.weights.refuse_unless(|name| {
            let ignored = name == position_ids || IGNORED_HEADS.iter().any(|head| name.starts_with(head));
            if ignored || self.used.contains(name) {
                Ok(())
            } else {
                Err("it has no place in the encoder that config.json describes")
            }
        })
    }
}
