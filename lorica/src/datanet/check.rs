//! Whether a datanet is what its build would have made: everything that a member can recompute, from the texts to the points.
//!
//! What ids already bind is checked when the file is read: records, contributors and rules are of the version, and the version is the
//! index'. Here the rest: that records are what the texts are, that weights are what near-duplicates leave, that features are the
//! model's, that the matrix is the inverse, and that the points are commitments to these cells.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::bn254::G1Affine;
use lorica_prover::prove::commit_blinded;
use lorica_quant::import::Tokenizer;
use lorica_quant::index::inverse::{self, Exactness, InverseError};
use lorica_quant::integer::Executor;
use rayon::prelude::*;

use super::blinded;
use super::error::DatanetError;
use super::index::{Model, joined};
use super::partial::Feature;
use super::scrub::{normalised, weigh_texts};
use crate::datanet_version::{Record, Rules, Version};
use crate::files::{AdapterFile, BaseFile, DatanetFile};
use crate::input::{Salt, input_word, tokenizer};
use crate::kind::Kind;
use crate::srs::AcceptedSrs;
use crate::steps::Steps;

/// What was found right.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Records whose features were computed again; none if that was left out.
    pub features: usize,
    /// How exactly the matrix inverts.
    pub exactness: Exactness,
    /// Points that were computed again.
    pub points: usize,
    /// The steps in their order, with their times.
    pub phases: Vec<(String, Duration)>,
}

/// What is wrong with a datanet, or why it could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum DatanetCheckError {
    /// The base is another.
    #[error("the datanet is of another base")]
    Base,
    /// The adapter is another than the index'.
    #[error("the datanet's index is of another adapter")]
    Adapter,
    /// The adapter names another version, or none.
    #[error("the adapter does not name this version of the datanet")]
    Version,
    /// The adapter names its labels in another way than the version's rules.
    #[error("label {index} is {datanet:?} in the datanet and {adapter:?} in the adapter")]
    Label {
        /// The label's number.
        index: usize,
        /// Its name in the version's rules, empty if it is none.
        datanet: String,
        /// Its name in the adapter's key, empty if it is none.
        adapter: String,
    },
    /// The token limit of the version's rules is not the base's.
    #[error("texts have up to {datanet} tokens by the datanet's rules, and up to {base} by the base")]
    TokenLimit {
        /// By the rules.
        datanet: usize,
        /// By the base.
        base: usize,
    },
    /// Texts were normalised by other tables than this program has.
    #[error("the texts are in the form of Unicode {}, and this program has Unicode {}: it cannot check them",
        dotted(.datanet), dotted(.program))]
    Unicode {
        /// Version of the rules.
        datanet: [u8; 3],
        /// Version of this program.
        program: [u8; 3],
    },
    /// A record's text is not in the form that a build gives it.
    #[error("record {record}: its text is not in the one form of texts")]
    Form {
        /// The record.
        record: usize,
    },
    /// A record's token ids are not its text's.
    #[error("record {record}: its token ids are not those of its text")]
    Tokens {
        /// The record.
        record: usize,
    },
    /// Two records say the same to the model.
    #[error("record {record}: the same text as record {of}")]
    Duplicate {
        /// The later record.
        record: usize,
        /// The earlier one.
        of: usize,
    },
    /// A record's digest is not of its token ids under the datanet's salt.
    #[error("record {record}: its digest is not that of its text under the datanet's salt")]
    Digest {
        /// The record.
        record: usize,
    },
    /// A record weighs more or less than its near-duplicates leave.
    #[error("record {record} weighs {stated}, and its near-duplicates leave it {found}")]
    Weight {
        /// The record.
        record: usize,
        /// In the version.
        stated: u8,
        /// By the rules; zero if its cluster is full without it.
        found: u8,
    },
    /// A record's features are not the model's.
    #[error("record {record}: its features are not those of its text under the adapter")]
    Features {
        /// The record.
        record: usize,
    },
    /// The matrix is not the inverse.
    #[error(transparent)]
    Inverse(InverseError),
    /// A point is not the commitment to its tile.
    #[error("tile {tile} of the index: its point is not the commitment to the datanet's cells")]
    Point {
        /// The tile.
        tile: usize,
    },
    /// It could not be checked.
    #[error(transparent)]
    Datanet(#[from] DatanetError),
}

impl From<Cancelled> for DatanetCheckError {
    fn from(cancelled: Cancelled) -> Self {
        DatanetError::from(cancelled).into()
    }
}

fn dotted(version: &[u8; 3]) -> String {
    version.map(|part| part.to_string()).join(".")
}

impl DatanetCheckError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Base | Self::Adapter | Self::Version | Self::Unicode { .. } => Kind::Input,
            Self::Datanet(error) => error.kind(),
            Self::Label { .. }
            | Self::TokenLimit { .. }
            | Self::Form { .. }
            | Self::Tokens { .. }
            | Self::Duplicate { .. }
            | Self::Digest { .. }
            | Self::Weight { .. }
            | Self::Features { .. }
            | Self::Inverse(_)
            | Self::Point { .. } => Kind::Rejected,
        }
    }
}

/// Checks a datanet against its base and adapter; `features` says whether each record's features are computed again, by far the
/// longest step.
///
/// # Errors
/// [`DatanetCheckError`] names the first thing that is wrong.
pub fn check(
    file: &DatanetFile,
    srs: &AcceptedSrs,
    base: BaseFile,
    adapter: &AdapterFile,
    features: bool,
    watch: &dyn Watch,
) -> Result<Checked, DatanetCheckError> {
    srs.expect_of(&base.key.commitments).map_err(DatanetError::from)?;
    let (version, cells) = (&file.version, &file.cells);
    if base.key.commitments.id() != file.base {
        return Err(DatanetCheckError::Base);
    }
    if adapter.key.commitments.id() != file.key.adapter {
        return Err(DatanetCheckError::Adapter);
    }
    if adapter.key.commitments.version != Some(file.key.version) {
        return Err(DatanetCheckError::Version);
    }
    rules(&version.rules, &adapter.key.labels, base.model.architecture.max_tokens)?;
    let mut steps = Steps::new(watch);
    let tokenizer = tokenizer(&base.key).map_err(DatanetError::from)?;
    steps.run("records", || records(version, &tokenizer))?;
    let exactness = steps.run("matrix", || {
        let (hidden, ridge) = (cells.hidden_size, version.rules.ridge);
        inverse::check(&cells.features, hidden, &cells.classes, ridge, file.exponent, &joined(cells))
            .map_err(DatanetCheckError::Inverse)
    })?;
    let points = steps.run("commit", || points(&file.key.tiles, &commitments(file, srs, &base, watch)?))?;
    let checked = match features {
        false => 0,
        true => {
            let (base_id, adapter_id) = (file.base, file.key.adapter);
            let executor = Executor::new(Arc::new(base.model)).map_err(DatanetError::from)?;
            let model = Model { executor: &executor, adapter: &adapter.model, base_id, adapter_id };
            steps.run("features", || features_of(file, &model, watch))?
        }
    };
    Ok(Checked { features: checked, exactness, points, phases: steps.phases })
}

/// The rules against what this program, the adapter and the base have.
fn rules(rules: &Rules, labels: &[String], max_tokens: usize) -> Result<(), DatanetCheckError> {
    let own = Rules::new(labels.to_vec(), rules.ridge, max_tokens);
    if rules.unicode != own.unicode {
        return Err(DatanetCheckError::Unicode { datanet: rules.unicode, program: own.unicode });
    }
    let name = |names: &[String], index: usize| names.get(index).cloned().unwrap_or_default();
    let other = (0..rules.labels.len().max(labels.len())).find(|&i| rules.labels.get(i) != labels.get(i));
    if let Some(index) = other {
        return Err(DatanetCheckError::Label {
            index,
            datanet: name(&rules.labels, index),
            adapter: name(labels, index),
        });
    }
    if rules.max_tokens != max_tokens {
        return Err(DatanetCheckError::TokenLimit { datanet: rules.max_tokens, base: max_tokens });
    }
    Ok(())
}

/// Texts, token ids, digests and weights.
fn records(version: &Version, tokenizer: &Tokenizer) -> Result<(), DatanetCheckError> {
    let (records, salt, limit) = (&version.records, &version.salt, version.rules.max_tokens);
    let faults: Vec<Option<DatanetCheckError>> =
        records.par_iter().enumerate().map(|(i, record)| fault(i, record, tokenizer, salt, limit)).collect();
    if let Some(fault) = faults.into_iter().flatten().next() {
        return Err(fault);
    }
    let mut known: HashMap<&[u32], usize> = HashMap::new();
    for (record, own) in records.iter().enumerate() {
        if let Some(of) = known.insert(&own.ids, record) {
            return Err(DatanetCheckError::Duplicate { record, of });
        }
    }
    let texts: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
    let weights = weigh_texts(&texts).weights;
    for (record, (own, found)) in records.iter().zip(weights).enumerate() {
        let found = found.unwrap_or(0);
        if own.weight != found {
            return Err(DatanetCheckError::Weight { record, stated: own.weight, found });
        }
    }
    Ok(())
}

fn fault(record: usize, own: &Record, tokenizer: &Tokenizer, salt: &Salt, limit: usize) -> Option<DatanetCheckError> {
    if normalised(&own.text, "text").is_ok_and(|text| text == own.text) {
        let ids = tokenizer.encode(&own.text);
        if !ids.is_ok_and(|ids| ids == own.ids) {
            return Some(DatanetCheckError::Tokens { record });
        }
        let digest = input_word(salt, &own.ids, limit);
        return (digest != own.digest).then_some(DatanetCheckError::Digest { record });
    }
    Some(DatanetCheckError::Form { record })
}

/// Commitments to the cells of a datanet with its own blinding.
///
/// # Errors
/// [`DatanetError::Commit`] if the cells do not fit the base.
pub fn commitments(
    file: &DatanetFile,
    srs: &AcceptedSrs,
    base: &BaseFile,
    watch: &dyn Watch,
) -> Result<Vec<G1Affine>, DatanetError> {
    let commitments = &base.key.commitments;
    let region = blinded(commitments, file.key.records, &file.cells, Some(&file.blinding))?;
    Ok(commit_blinded(srs, commitments.log_tile, &region, watch)?)
}

/// The file's points against those of its cells. Returns their number.
fn points(stated: &[G1Affine], found: &[G1Affine]) -> Result<usize, DatanetCheckError> {
    let other = (0..stated.len().max(found.len())).find(|&tile| stated.get(tile) != found.get(tile));
    match other {
        Some(tile) => Err(DatanetCheckError::Point { tile }),
        None => Ok(found.len()),
    }
}

/// Computes the features of all records again. Returns their number.
fn features_of(file: &DatanetFile, model: &Model<'_>, watch: &dyn Watch) -> Result<usize, DatanetCheckError> {
    let texts: Vec<&[u32]> = file.version.records.iter().map(|record| record.ids.as_slice()).collect();
    let features = model.features(&texts, None, watch)?;
    let stated = file.cells.features.chunks_exact(file.cells.hidden_size);
    for (record, (found, stated)) in features.iter().zip(stated).enumerate() {
        if !matches!(found, Feature::Pooled { values, .. } if values == stated) {
            return Err(DatanetCheckError::Features { record });
        }
    }
    Ok(features.len())
}
