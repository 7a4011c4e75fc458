//! Datanets: collections of labelled texts by many contributors, as immutable versions with an index under one adapter.
//!
//! The way of a row: [`source`] reads it, [`scrub`] brings it into one form and finds duplicates, [`version`] makes a record of it,
//! [`index`] computes its features and the matrix `G`, [`quality`] measures what the whole is worth. [`build`] goes all of it.
//! [`DatanetFile`](crate::files::DatanetFile) keeps the outcome. The index is committed to under the
//! adapter that names the version.
//!
//! * [`check`](mod@check): whether a datanet is what its build would have made
//! * [`merkle`]: the tree of records that a contract checks
//! * [`error`]: refusals of files, rejections of rows

pub mod check;
mod csv;
pub mod error;
pub mod explain;
mod head;
pub mod index;
mod near;
mod partial;
pub mod quality;
pub mod scrub;
pub mod source;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lorica_cells::watch::Watch;
use lorica_circuits::bn254::Fr;
use lorica_circuits::region::Region;
use lorica_circuits::shape::RECORDS;
use lorica_prover::cells::Placed;
use lorica_prover::prove::{Blinded, ProveError, commit_blinded};
use lorica_quant::index::{IndexCells, MAX_RECORDS, SLOTS, region};
use lorica_quant::integer::Executor;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, index_shape};
use rayon::prelude::*;

pub use crate::datanet_version as version;
pub use crate::datanet_version::merkle;
pub use crate::datanet_version::{Record, Rules, Version};
pub use error::{DatanetError, Place, Reason, Rejection};
pub use quality::Report;

use crate::datanet_version::{MAX_RIDGE, MAX_TERMS_BYTES};
use crate::files::{AdapterFile, AdapterKey, BaseFile, DatanetFile};
use crate::input::{Salt, input_word, random_salt, tokenizer};
use crate::srs::AcceptedSrs;
use crate::steps::Steps;
use index::{Model, index};
use lorica_quant::index::inverse::RIDGE_UNIT;
use partial::{Feature, Partial};
use quality::{Counted, MatrixReport, Question, report};
use scrub::{Candidate, crowded, scrub, weigh};
use source::{Contributor, Expected, Rows};

/// What a build chooses beside the rows.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    /// Rows to measure on; a fifth of the records if there are none.
    pub held_out: Option<&'a Path>,
    /// The salt of the records' digests: that of the earlier version of the same datanet, or a random one.
    pub salt: Option<Salt>,
    /// Ridge of the index, in thousandths of the mean eigenvalue.
    pub ridge: u32,
    /// The licence of records that name none.
    pub licence: String,
    /// What a record should be, for people.
    pub standard: String,
    /// Where features are kept until the datanet is written, so that an interrupted build can go on.
    pub partial: Option<&'a Path>,
}

impl Default for Choices<'_> {
    fn default() -> Self {
        Self {
            held_out: None,
            salt: None,
            ridge: RIDGE_UNIT,
            licence: String::new(),
            standard: String::new(),
            partial: None,
        }
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The datanet, not yet written.
    pub file: DatanetFile,
    /// The adapter under the id that names the version, unless it had that id before.
    pub adapter: Option<AdapterFile>,
    /// Every row that was left out.
    pub rejections: Vec<Rejection>,
    /// The steps in their order, with their times.
    pub phases: Vec<(String, Duration)>,
}

/// A candidate with what the model makes of it.
type Kept = (Candidate, Vec<i16>, usize);

/// Builds a datanet of a file or folder for an adapter of this base, and commits to its index. An adapter that names no
/// datanet version yet gets another id: the one of the same weights that names this version, under which it is to be
/// published ([`Built::adapter`]).
///
/// # Errors
/// [`DatanetError`] names file and line where they are the reason.
pub fn build(
    path: &Path,
    srs: &AcceptedSrs,
    base: BaseFile,
    adapter: &AdapterFile,
    choices: &Choices<'_>,
    watch: &dyn Watch,
) -> Result<Built, DatanetError> {
    srs.expect_of(&base.key.commitments)?;
    let commitments = base.key.commitments.clone();
    let labels = check_choices(&base, adapter, choices)?;
    let tokenizer = tokenizer(&base.key)?;
    let (base_id, adapter_id) = (base.key.commitments.id(), adapter.key.commitments.id());
    let (hidden, max_tokens) = (base.model.architecture.hidden, base.model.architecture.max_tokens);
    let executor = Executor::new(Arc::new(base.model))?;
    let model = Model { executor: &executor, adapter: &adapter.model, base_id, adapter_id };

    let mut steps = Steps::new(watch);
    let (rows, held_out) = steps.run("read", || {
        let expected = Expected { labels, contributors: true };
        let rows = source::read(path, expected)?;
        let expected = Expected { contributors: false, ..expected };
        let held_out = choices.held_out.map(|path| source::read(path, expected)).transpose()?;
        Ok::<_, DatanetError>((rows, held_out))
    })?;
    let read = count(&rows);
    let (candidates, mut rejections) = steps.run("scrub", || {
        let scrub::Scrubbed { candidates, mut rejections } = scrub(rows, &tokenizer);
        let (candidates, _) = thinned(candidates, |candidate| candidate, &mut rejections);
        check_counts(path, &candidates, &rejections)?;
        Ok::<_, DatanetError>((candidates, rejections))
    })?;

    let texts: Vec<&[u32]> = candidates.iter().map(|candidate| candidate.ids.as_slice()).collect();
    let features = steps.run("features", || model.features(&texts, choices.partial, watch))?;
    let mut kept: Vec<Kept> = Vec::with_capacity(candidates.len());
    for (candidate, feature) in candidates.into_iter().zip(features) {
        match feature {
            Feature::Pooled { values, label } => kept.push((candidate, values, usize::from(label))),
            Feature::Range => {
                let what = "a value is out of range".into();
                rejections.push(Rejection { place: candidate.place, reason: Reason::Range { what } });
            }
        }
    }
    let (kept, weights) = thinned(kept, |(candidate, ..)| candidate, &mut rejections);
    check_counts(path, kept.iter().map(|(candidate, ..)| candidate), &rejections)?;

    let salt = choices.salt.map_or_else(random_salt, Ok)?;
    let (version, features, answers) = steps.run("records", || {
        let rules = Rules::new(labels.to_vec(), choices.ridge, max_tokens);
        Ok::<_, DatanetError>(version_of(kept, &weights, rules, salt, choices))
    })?;
    let index = steps.run("matrix", || index(&version, features, hidden))?;
    let report = steps.run("quality", || {
        let held_out = held_out.map(|rows| questions(&model, rows, &tokenizer, &version, watch)).transpose()?;
        let matrix = MatrixReport {
            ridge: version.rules.ridge,
            exponent: index.exponent,
            error: significant(index.exactness.error),
            of_bound: significant(index.exactness.of_bound),
        };
        let counted = Counted { rows: read, rejections: &rejections, held_out, matrix, answers: &answers };
        Ok::<_, DatanetError>(report(&version, &index.cells, counted))
    })?;
    let named = named(&adapter.key.commitments, version.id())?;
    let (key, blinding) = steps.run("commit", || commit(srs, &commitments, &named, &index.cells, watch))?;
    let (cells, exponent) = (index.cells, index.exponent);
    let file = DatanetFile { base: base_id, key, blinding, version, cells, exponent, report };
    let renamed = adapter.key.commitments.version.is_none();
    let adapter = renamed.then(|| AdapterFile {
        key: AdapterKey { commitments: named, ..adapter.key.clone() },
        model: adapter.model.clone(),
    });
    Ok(Built { file, adapter, rejections, phases: steps.phases })
}

/// The adapter that names a version.
fn named(adapter: &AdapterCommitments, version: Fr) -> Result<AdapterCommitments, DatanetError> {
    match adapter.version {
        Some(own) if own != version => Err(DatanetError::OtherVersion { named: own, built: version }),
        _ => Ok(AdapterCommitments { version: Some(version), ..adapter.clone() }),
    }
}

/// The records that an index of `count` has room for.
fn room(count: usize) -> usize {
    RECORDS.into_iter().find(|room| count <= *room).unwrap_or(MAX_RECORDS)
}

/// Commits to an index under the adapter that names its version, each tile with fresh blinding.
fn commit(
    srs: &AcceptedSrs,
    base: &BaseCommitments,
    adapter: &AdapterCommitments,
    cells: &IndexCells,
    watch: &dyn Watch,
) -> Result<(IndexCommitments, Vec<Fr>), DatanetError> {
    let records = room(cells.count);
    let region = blinded(base, records, cells, None)?;
    let tiles = commit_blinded(srs, base.log_tile, &region, watch)?;
    let version = adapter.version_word();
    let key = IndexCommitments { adapter: adapter.id(), version, records, count: cells.count, tiles };
    Ok((key, region.blinding))
}

/// The index region of some cells, with the given coefficients or fresh ones.
pub(crate) fn blinded(
    base: &BaseCommitments,
    records: usize,
    cells: &IndexCells,
    blinding: Option<&[Fr]>,
) -> Result<Blinded, ProveError> {
    let layout = base.architecture.layout(&index_shape(base.log_tile, records))?;
    let columns = region(cells, &base.architecture, records)?;
    let placed = Arc::new(Placed::new(&layout, Region::INDEX, &columns)?);
    match blinding {
        Some(known) => Ok(Blinded { cells: placed, blinding: known.to_vec() }),
        None => Blinded::new(&layout, Region::INDEX, placed),
    }
}

/// Forgets the features of a build whose datanet is written.
pub fn forget_partial(path: &Path) {
    Partial::remove(path);
}

/// What can be refused before a row is read. Returns the adapter's labels.
fn check_choices<'a>(
    base: &BaseFile,
    adapter: &'a AdapterFile,
    choices: &Choices<'_>,
) -> Result<&'a [String], DatanetError> {
    if adapter.key.commitments.base != base.key.commitments.id() {
        return Err(DatanetError::OtherBase);
    }
    if !adapter.key.has_head {
        return Err(DatanetError::NoHead);
    }
    if !(1..=MAX_RIDGE).contains(&choices.ridge) {
        return Err(DatanetError::Ridge);
    }
    for (what, text) in [("licence", &choices.licence), ("standard", &choices.standard)] {
        if text.len() > MAX_TERMS_BYTES {
            return Err(DatanetError::Text { what, most: MAX_TERMS_BYTES, got: text.len() });
        }
    }
    Ok(&adapter.key.labels)
}

fn count(rows: &Rows) -> usize {
    rows.rows.len() + rows.rejections.len()
}

/// Three significant digits, which JSON gives back exactly.
fn significant(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Drops what is beyond the largest cluster, until nothing is, and gives the weights of the rest.
fn thinned<T>(
    mut items: Vec<T>,
    candidate: impl Fn(&T) -> &Candidate,
    rejections: &mut Vec<Rejection>,
) -> (Vec<T>, Vec<u8>) {
    loop {
        let candidates: Vec<&Candidate> = items.iter().map(&candidate).collect();
        let weighed = weigh(&candidates);
        let weights: Option<Vec<u8>> = weighed.weights.iter().copied().collect();
        if let Some(weights) = weights {
            return (items, weights);
        }
        for (index, weight) in weighed.weights.iter().enumerate() {
            if weight.is_none() {
                rejections.push(crowded(candidates[index], candidates[weighed.leaders[index]]));
            }
        }
        let mut weights = weighed.weights.iter();
        items.retain(|_| weights.next().is_some_and(Option::is_some));
    }
}

fn check_counts<'c>(
    path: &Path,
    candidates: impl IntoIterator<Item = &'c Candidate>,
    rejections: &[Rejection],
) -> Result<(), DatanetError> {
    let candidates: Vec<&Candidate> = candidates.into_iter().collect();
    if candidates.is_empty() {
        let first = rejections.first().cloned().map(Box::new);
        return Err(DatanetError::NoRow { path: path.into(), rejected: rejections.len(), first });
    }
    if candidates.len() > MAX_RECORDS {
        return Err(DatanetError::Records { path: path.into(), got: candidates.len() });
    }
    let contributors: std::collections::HashSet<_> =
        candidates.iter().map(|candidate| &candidate.contributor).collect();
    if contributors.len() > SLOTS {
        return Err(DatanetError::Contributors { path: path.into(), got: contributors.len() });
    }
    Ok(())
}

/// The version of the rows that are left, their features in one list, and the adapter's answers.
fn version_of(
    kept: Vec<Kept>,
    weights: &[u8],
    rules: Rules,
    salt: Salt,
    choices: &Choices<'_>,
) -> (Version, Vec<i16>, Vec<usize>) {
    let limit = rules.max_tokens;
    let digests: Vec<Fr> = kept.par_iter().map(|(candidate, ..)| input_word(&salt, &candidate.ids, limit)).collect();
    let mut slots: HashMap<Contributor, u16> = HashMap::new();
    let (mut contributors, mut records) = (Vec::new(), Vec::with_capacity(kept.len()));
    let (mut features, mut answers) = (Vec::new(), Vec::with_capacity(kept.len()));
    for (((candidate, values, answer), &weight), digest) in kept.into_iter().zip(weights).zip(digests) {
        let Candidate { place: _, text, ids, label, contributor, licence } = candidate;
        // Every row of a datanet has one: the source refuses those without.
        let contributor = contributor.unwrap_or(Contributor::Name(String::new()));
        let slot = *slots.entry(contributor).or_insert_with_key(|contributor| {
            contributors.push(contributor.clone());
            u16::try_from(contributors.len() - 1).unwrap_or(u16::MAX)
        });
        let label = u8::try_from(label).unwrap_or(u8::MAX);
        records.push(Record { text, ids, digest, label, weight, slot, licence });
        features.extend(values);
        answers.push(answer);
    }
    let Choices { licence, standard, .. } = choices;
    let version = Version { records, contributors, rules, licence: licence.clone(), standard: standard.clone(), salt };
    (version, features, answers)
}

/// The held-out rows of a file as questions, and how many rows are left out: rejected ones, and those that are records.
fn questions(
    model: &Model<'_>,
    rows: Rows,
    tokenizer: &lorica_quant::import::Tokenizer,
    version: &Version,
    watch: &dyn Watch,
) -> Result<(Vec<Question>, usize), DatanetError> {
    let read = count(&rows);
    let known: std::collections::HashSet<&[u32]> = version.records.iter().map(|record| record.ids.as_slice()).collect();
    let mut candidates = scrub(rows, tokenizer).candidates;
    candidates.retain(|candidate| !known.contains(candidate.ids.as_slice()));
    let texts: Vec<&[u32]> = candidates.iter().map(|candidate| candidate.ids.as_slice()).collect();
    let features = model.features(&texts, None, watch)?;
    let questions: Vec<Question> = candidates
        .iter()
        .zip(&features)
        .filter_map(|(candidate, feature)| Question::new(feature, candidate.label))
        .collect();
    let left_out = read - questions.len();
    Ok((questions, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(count: usize, contributors: usize) -> Vec<Candidate> {
        let candidate = |i: usize| Candidate {
            place: scrub::place("r.jsonl", i + 1),
            text: format!("t{i}"),
            ids: vec![2, 3],
            label: 0,
            contributor: Some(Contributor::Name((i % contributors).to_string())),
            licence: String::new(),
        };
        (0..count).map(candidate).collect()
    }

    /// Both limits, at the last number that is allowed and one beyond, with both numbers in the sentence.
    #[test]
    fn too_many_records_or_contributors_are_refused() {
        let check = |count, contributors| check_counts("r".as_ref(), &candidates(count, contributors), &[]);
        assert!(check(65_536, 1_024).is_ok());
        let records = check(65_537, 5).unwrap_err().to_string();
        assert_eq!(records, "r: 65537 records, a datanet has up to 65536");
        let contributors = check(2_000, 1_025).unwrap_err().to_string();
        assert_eq!(contributors, "r: 1025 contributors, a datanet has up to 1024");
        assert_eq!(check(0, 1).unwrap_err().to_string(), "r: no row is left: 0 rows were rejected");
    }

    /// Rows beyond the 240th near-duplicate go, and a cluster that is small again after that weighs what it should.
    #[test]
    fn clusters_are_thinned_before_they_are_weighed() {
        let mut list = candidates(243, 3);
        list.iter_mut().skip(1).for_each(|candidate| candidate.text = "the same".into());
        let mut rejections = Vec::new();
        let (left, weights) = thinned(list, |candidate| candidate, &mut rejections);
        assert_eq!((left.len(), rejections.len()), (241, 2));
        assert_eq!((weights[0], weights[1], weights[240]), (240, 1, 1));
        assert_eq!(rejections[0].place.line, 242);
    }
}
