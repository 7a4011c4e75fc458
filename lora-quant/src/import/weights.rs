//! Where an encoder's tensors are: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
//!
//! Like `transformers`, a folder with both is read from the single file. Shards and their index must agree in both
//! directions. They may be links, as in Hugging Face's own cache, but the index can name no file outside of its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::json_file::{JsonObject, is_plain_name, is_present};
use super::tensor_file::{MAX_BYTES, TensorBytes, TensorFile};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

const PYTORCH: &str = "make model.safetensors of it with Python and transformers: \
    AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)";
const TENSORFLOW: &str = "make model.safetensors of it with Python, tensorflow and transformers 4: \
    AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(FOLDER)";
const FLAX: &str = "make model.safetensors of it with Python, flax and transformers 4: \
    AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(FOLDER)";
const ONNX: &str = "it is an export that does not turn back: take the folder that it was exported from, and if that has no \
    model.safetensors: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER) with Python and transformers";

/// Weights in other formats, and how to convert them.
const OTHER_FORMATS: [(&str, &str); 6] = [
    ("pytorch_model.bin", PYTORCH),
    ("pytorch_model.bin.index.json", PYTORCH),
    ("tf_model.h5", TENSORFLOW),
    ("flax_model.msgpack", FLAX),
    ("model.onnx", ONNX),
    ("onnx/model.onnx", ONNX),
];

/// The safetensors files of a folder.
pub(super) struct WeightFiles {
    /// What says which tensors there are: the single file, or the index.
    listing: PathBuf,
    /// The files in the order of their names, shards with the tensors that the index lists for them.
    files: Vec<(PathBuf, Option<BTreeSet<String>>)>,
}

impl WeightFiles {
    /// Finds them, and reads the index if there is one.
    pub(super) fn find(dir: &Path) -> Result<Self, ImportError> {
        let single = dir.join(SINGLE);
        if !is_present(&single)? {
            if let Some(index) = JsonObject::read_if_present(dir.join(INDEX))? {
                return Self::sharded(dir, index);
            }
            for (name, remedy) in OTHER_FORMATS {
                let file = dir.join(name);
                if is_present(&file)? {
                    return Err(ImportError::OtherFormat { file, remedy });
                }
            }
        }
        Ok(Self { listing: single.clone(), files: vec![(single, None)] })
    }

    fn sharded(dir: &Path, index: JsonObject) -> Result<Self, ImportError> {
        const KEY: &str = "weight_map";
        let map = index.get(KEY).ok_or_else(|| ImportError::missing_key(&index.file, KEY))?;
        let map = map.as_object().ok_or_else(|| index.unsupported(KEY, "a map from tensors to files is expected"))?;
        let mut shards: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (tensor, shard) in map {
            let name = shard.as_str().filter(|name| is_plain_name(name)).ok_or_else(|| {
                let key = format!("{KEY}.{tensor}");
                ImportError::unsupported(&index.file, &key, shard, "the name of a file in the same folder is expected")
            })?;
            shards.entry(name).or_default().insert(tensor.clone());
        }
        let files = shards.into_iter().map(|(name, tensors)| (dir.join(name), Some(tensors))).collect();
        Ok(Self { files, listing: index.file })
    }

    /// The files in the order of their names.
    pub(super) fn paths(self) -> Vec<PathBuf> {
        self.files.into_iter().map(|(path, _)| path).collect()
    }

    /// Reads all files; together they may be as large as a single one.
    pub(super) fn read(&self) -> Result<Vec<TensorBytes>, ImportError> {
        let mut left = MAX_BYTES;
        let read = |(path, _): &(PathBuf, _)| {
            let bytes = TensorBytes::read_within(path.clone(), left)?;
            left -= bytes.len();
            Ok(bytes)
        };
        self.files.iter().map(read).collect()
    }

    /// Parses what was read, and holds each shard against the index.
    pub(super) fn parse<'a>(&'a self, bytes: &'a [TensorBytes]) -> Result<Weights<'a>, ImportError> {
        let files = bytes.iter().map(TensorBytes::parse).collect::<Result<Vec<_>, _>>()?;
        for (file, (_, listed)) in files.iter().zip(&self.files) {
            let Some(listed) = listed else { continue };
            if let Some(tensor) = listed.iter().find(|tensor| !file.contains(tensor)) {
                return Err(ImportError::MissingTensor { file: file.file.into(), tensor: tensor.clone() });
            }
            if let Some(tensor) = file.names().iter().find(|tensor| !listed.contains(*tensor)) {
                return Err(file.refuse(tensor, format!("{INDEX} does not list it for this file")));
            }
        }
        Ok(Weights { listing: &self.listing, files })
    }
}

/// The tensors of all files.
pub(super) struct Weights<'a> {
    listing: &'a Path,
    files: Vec<TensorFile<'a>>,
}

impl Weights<'_> {
    /// Whether the tensor is present.
    pub(super) fn contains(&self, tensor: &str) -> bool {
        self.files.iter().any(|file| file.contains(tensor))
    }

    /// The tensor's values, checked as [`TensorFile::read`] does.
    pub(super) fn read(&self, tensor: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let file = self.files.iter().find(|file| file.contains(tensor));
        let missing = || ImportError::MissingTensor { file: self.listing.into(), tensor: tensor.into() };
        file.ok_or_else(missing)?.read(tensor, shape)
    }

    /// Refuses the first tensor for which there is a reason to.
    pub(super) fn refuse_unless(&self, check: impl Fn(&str) -> Result<(), &'static str>) -> Result<(), ImportError> {
        for file in &self.files {
            for name in file.names() {
                check(&name).map_err(|reason| file.refuse(&name, reason))?;
            }
        }
        Ok(())
    }
}
