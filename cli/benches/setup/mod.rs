//! What the benchmarks have in common: all-MiniLM-L6-v2 in integers, texts for it, and the fixture's adapters.

use std::path::Path;

use lorica::files::{AdapterFile, BaseFile};
use lorica::import::{ModelImportError, calibration_texts, load_adapter, weights_digest};
use lorica::input::{InputError, encode};
use lorica::registration::{register_adapter, register_base};
use lorica::srs::AcceptedSrs;
use lorica_cli::error::Error;
use lorica_cli::model_fetch::{cache_dir, fetch_minilm};
use lorica_quant::integer::{BaseModel, calibrate};

/// The model, calibrated as `model import` does it.
pub struct Model {
    base: BaseModel,
    source: [u8; 32],
    texts: Vec<Vec<u32>>,
}

impl Model {
    /// Fetches the model unless it was fetched before.
    pub fn load() -> Result<Self, Error> {
        let model = fetch_minilm(&cache_dir()?)?;
        let encoder = lorica_quant::import::FloatEncoder::load(&model)?;
        let tokenizer = encoder.tokenizer().map_err(InputError::Tokenizer)?;
        let encode = |text: &String| encode(&tokenizer, 0, text);
        let texts = calibration_texts(None)?.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let base = calibrate(&encoder, &texts, 16).map_err(ModelImportError::Quantise)?;
        Ok(Self { base, source: weights_digest(&model)?, texts })
    }

    /// A text of any length, from real ones.
    pub fn text(&self, tokens: usize) -> Vec<u32> {
        let ids = self.texts.iter().flat_map(|ids| &ids[1..ids.len() - 1]).copied();
        let (first, last) = (self.texts[0][0], self.texts[0][self.texts[0].len() - 1]);
        std::iter::once(first).chain(ids.take(tokens - 2)).chain([last]).collect()
    }

    /// The base, registered.
    pub fn register(&self, srs: &AcceptedSrs, tau: u32) -> Result<BaseFile, Error> {
        Ok(register_base(srs, self.base.clone(), tau, self.source)?)
    }
}

/// One of the fixture's adapters, registered.
pub fn adapter(name: &str, srs: &AcceptedSrs, base: &BaseFile) -> Result<AdapterFile, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/adapters");
    let (_, integer) = load_adapter(&folder.join(name), &base.model)?;
    Ok(register_adapter(srs, &base.key, integer)?)
}
