//! The numbers of an index: features of each record by the integer model, and `G` from the weighted records.
//!
//! Nothing here is a commitment. [`IndexCells`] are what a commitment is made to.

use std::path::Path;

use lorica_cells::watch::Watch;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{LABELS, MAX_REQUESTS};
use lorica_quant::index::IndexCells;
use lorica_quant::index::inverse::{Exactness, Inverse, invert};
use lorica_quant::integer::{AdapterModel, ExecuteError, Executor, Pooled};
use rayon::prelude::*;

use super::error::DatanetError;
use super::partial::{Feature, Partial, key};
use crate::datanet_version::Version;

/// Texts between two looks at the watch; each of its batches is one thread's.
const CHUNK: usize = 16 * MAX_REQUESTS;

/// Under which ids features are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    pub executor: &'a Executor,
    pub adapter: &'a AdapterModel,
    pub base_id: Fr,
    pub adapter_id: Fr,
}

impl Model<'_> {
    /// Features of texts, in their order. With a path, those that were computed before an interruption are read from there.
    pub fn features(
        &self,
        texts: &[&[u32]],
        partial: Option<&Path>,
        watch: &dyn Watch,
    ) -> Result<Vec<Feature>, DatanetError> {
        let hidden = self.executor.base().architecture.hidden;
        let (mut partial, mut features) = match partial {
            None => (None, Vec::with_capacity(texts.len())),
            Some(path) => {
                let key = key(&self.base_id, &self.adapter_id, texts.iter().copied());
                let (partial, features) = Partial::open(path, key, hidden, texts.len())?;
                (Some(partial), features)
            }
        };
        while features.len() < texts.len() {
            watch.check()?;
            watch.progress(features.len(), texts.len());
            let chunk = &texts[features.len()..texts.len().min(features.len() + CHUNK)];
            let batches: Vec<Vec<Feature>> =
                chunk.par_chunks(MAX_REQUESTS).map(|batch| self.batch(batch)).collect::<Result<_, _>>()?;
            let chunk = batches.concat();
            if let Some(partial) = &mut partial {
                partial.append(&chunk)?;
            }
            features.extend(chunk);
        }
        watch.progress(texts.len(), texts.len());
        Ok(features)
    }

    /// Features of one batch; if one text is out of range the others are computed without it.
    fn batch(&self, texts: &[&[u32]]) -> Result<Vec<Feature>, ExecuteError> {
        match self.executor.pooled(texts, self.adapter) {
            Ok(pooled) => Ok(pooled.into_iter().map(feature).collect()),
            Err(ExecuteError::Range(_)) if texts.len() > 1 => {
                let (one, other) = texts.split_at(texts.len() / 2);
                Ok([self.batch(one)?, self.batch(other)?].concat())
            }
            Err(ExecuteError::Range(_)) => Ok(vec![Feature::Range]),
            Err(error) => Err(error),
        }
    }
}

fn feature(pooled: Pooled) -> Feature {
    // There are 16 labels.
    Feature::Pooled { values: pooled.values, label: u8::try_from(pooled.label).unwrap_or(0) }
}

/// An index in numbers, with what its matrix tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// The cells.
    pub cells: IndexCells,
    /// log2 of the scale of the matrix.
    pub exponent: i32,
    /// How exactly the matrix inverts.
    pub exactness: Exactness,
}

/// The index of a version whose records have these features, `[count][hidden]`.
///
/// # Errors
/// [`DatanetError::Inverse`] if the features have no inverse.
pub fn index(version: &Version, features: Vec<i16>, hidden: usize) -> Result<Index, DatanetError> {
    let classes: Vec<[u8; LABELS]> = version.classes();
    let (inverse, exactness) = invert(&features, hidden, &classes, version.rules.ridge)?;
    let Inverse { exponent, ridge: _, cells } = inverse;
    let (matrix, bias, corner) = split(&cells, hidden);
    let cells = IndexCells {
        hidden_size: hidden,
        count: version.records.len(),
        features,
        classes,
        slots: version.slots(),
        inverse: matrix,
        bias,
        corner,
    };
    cells.validate()?;
    Ok(Index { cells, exponent, exactness })
}

/// `G` in its three parts.
fn split(cells: &[i16], hidden: usize) -> (Vec<i16>, Vec<i16>, i16) {
    let rows: Vec<&[i16]> = cells.chunks_exact(hidden + 1).collect();
    let (last, rows) = rows.split_last().map_or((&[][..], &[][..]), |(last, rows)| (*last, rows));
    let matrix = rows.iter().flat_map(|row| &row[..hidden]).copied().collect();
    (matrix, last[..hidden].to_vec(), last[hidden])
}

/// `G` of an index as one matrix, `[hidden + 1][hidden + 1]`: what [`check`](lorica_quant::index::inverse::check) takes.
#[must_use]
pub fn joined(cells: &IndexCells) -> Vec<i16> {
    let rows = cells.inverse.chunks_exact(cells.hidden_size).zip(&cells.bias);
    let rows = rows.flat_map(|(row, &bias)| row.iter().copied().chain([bias]));
    rows.chain(cells.bias.iter().copied()).chain([cells.corner]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use lorica_cells::watch::Unwatched;
    use lorica_quant::integer::synthetic::{SMALL, Synthetic};

    use super::*;

    #[test]
    fn the_matrix_is_split_and_joined() {
        let whole: Vec<i16> = vec![1, 2, 3, 2, 5, 6, 3, 6, 9];
        let (inverse, bias, corner) = split(&whole, 2);
        assert_eq!((inverse.as_slice(), bias.as_slice(), corner), (&[1, 2, 2, 5][..], &[3, 6][..], 9));
        let cells = IndexCells {
            hidden_size: 2,
            count: 0,
            features: vec![],
            classes: vec![],
            slots: vec![],
            inverse,
            bias,
            corner,
        };
        assert_eq!(joined(&cells), whole);
    }

    /// Stops after some chunks.
    struct Stops(AtomicUsize, usize);

    impl Watch for Stops {
        fn is_cancelled(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) >= self.1
        }
    }

    /// A build that was stopped goes on with what it has, and ends with the same features.
    #[test]
    fn features_continue_after_an_interruption() {
        let synthetic = Synthetic::new(SMALL, 3).unwrap();
        let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
        let adapter = synthetic.adapter(4, 3).unwrap();
        let model = Model { executor: &executor, adapter: &adapter, base_id: Fr::from(1), adapter_id: Fr::from(2) };
        let texts: Vec<Vec<u32>> = (0..600).map(|i| synthetic.ids(i, 2 + i as usize % 4)).collect();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let whole = model.features(&texts, None, &Unwatched).unwrap();
        assert_eq!(whole.len(), 600);
        let alone = executor.pooled(&texts[599..], &adapter).unwrap().remove(0);
        assert_eq!(whole[599], feature(alone));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.partial");
        let stopped = model.features(&texts, Some(&path), &Stops(AtomicUsize::new(0), 1));
        assert!(matches!(stopped, Err(DatanetError::Cancelled(_))));
        let left = std::fs::metadata(&path).unwrap().len();
        assert!(left > 256 * 128 * 2, "{left}");
        let executed = Stops(AtomicUsize::new(0), 2);
        // Two chunks are left of three, so two looks at the watch are enough.
        assert_eq!(model.features(&texts, Some(&path), &executed).unwrap(), whole);
    }
}
