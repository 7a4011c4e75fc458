//! `base.lorica`: a base's key, what importing adapters needs, and its integers.

use std::path::Path;

use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::region::Region;
use lorica_quant::integer::model::INPUTS;
use lorica_quant::integer::{BaseMeta, BaseModel, Exponents};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::vk::read_exponent;

use super::columns::{read_columns, write_columns};
use super::{BASE_MAGIC, BaseKey, FileError, MAX_BASE_BYTES, VERSION, store};

/// A registered base model.
#[derive(Clone, Debug)]
pub struct BaseFile {
    /// The content of `base.vk`.
    pub key: BaseKey,
    /// SHA-256 of the `model.safetensors` that it was made from.
    pub source: [u8; 32],
    /// The integers.
    pub model: BaseModel,
}

impl BaseFile {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(BASE_MAGIC, VERSION);
        self.key.write_body(&mut writer);
        writer.bytes(&self.source);
        let BaseMeta { has_pooler: _, exponents, input_peaks } = &self.model.meta;
        let Exponents { embedding, residual, mid, query, key, value, attention, output } = exponents;
        writer.i64((*embedding).into());
        for list in [residual, mid, query, key, value, attention, output] {
            writer.count(list.len());
            list.iter().for_each(|&exponent| writer.i64(exponent.into()));
        }
        writer.count(input_peaks.len());
        for peaks in input_peaks {
            writer.count(peaks.len());
            peaks.iter().for_each(|&peak| writer.u32(peak));
        }
        write_columns(&mut writer, Region::BASE, &self.model.columns);
        writer.finish()
    }

    /// Reads the file; the integer model still has to be validated (`Executor::new` does).
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes, "base", BASE_MAGIC, VERSION)?;
        let key = BaseKey::read_body(&mut reader)?;
        let source = reader.array("source digest")?;
        let embedding = read_exponent(&mut reader)?;
        let mut list = || {
            let count = reader.count("scale exponents", 64, 8)?;
            (0..count).map(|_| read_exponent(&mut reader)).collect::<Result<Vec<i32>, CodecError>>()
        };
        let exponents = Exponents {
            embedding,
            residual: list()?,
            mid: list()?,
            query: list()?,
            key: list()?,
            value: list()?,
            attention: list()?,
            output: list()?,
        };
        let mut input_peaks = Vec::new();
        for _ in 0..reader.count("input peaks", INPUTS * Architecture::MAX_LAYERS + 1, 4)? {
            let count = reader.count("input peaks", Architecture::MAX_INTERMEDIATE, 4)?;
            input_peaks.push((0..count).map(|_| reader.u32("input peak")).collect::<Result<_, _>>()?);
        }
        let columns = read_columns(&mut reader, Region::BASE)?;
        reader.finish()?;
        let meta = BaseMeta { has_pooler: key.has_pooler, exponents, input_peaks };
        let model = BaseModel {
            architecture: key.commitments.architecture.clone(),
            scales: key.commitments.scales.clone(),
            columns,
            tokenizer_json: key.tokenizer_json.clone(),
            meta,
        };
        Ok(Self { key, source, model })
    }

    /// Loads a base and validates its key.
    ///
    /// # Errors
    /// [`FileError`] names the file.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let file = Self::decode(&store::read(path, MAX_BASE_BYTES)?).map_err(FileError::malformed(path))?;
        file.key.commitments.validate().map_err(|source| FileError::Key { path: path.into(), source })?;
        Ok(file)
    }

    /// Writes `base.lorica` and `base.vk` beside it. Returns their sizes.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn store(&self, path: &Path) -> Result<(u64, u64), FileError> {
        let (model, key) = (self.encode(), self.key.encode());
        store::write(path, &model)?;
        store::write(&store::key_path(path), &key)?;
        Ok((model.len() as u64, key.len() as u64))
    }
}
