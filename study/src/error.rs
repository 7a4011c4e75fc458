//! Why the study cannot run.

use std::io;
use std::path::PathBuf;

use lorica_quant::import::ImportError;
use lorica_quant::index::inverse::InverseError;
use lorica_quant::integer::{ExecuteError, ModelError, QuantiseError};

/// A refusal, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The command line.
    #[error("{0}")]
    Arguments(String),
    /// No place to look for the model.
    #[error("no cache folder: set LORICA_CACHE, XDG_CACHE_HOME or HOME, or name the model's folder by --model")]
    NoCacheFolder,
    /// The base is missing.
    #[error("no model in {0}: run `lorica model fetch minilm` first, or name its folder by --model")]
    NoModel(PathBuf),
    /// The adapter is missing.
    #[error("no adapter in {0}: name a PEFT folder by --adapter")]
    NoAdapter(PathBuf),
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A row of the data.
    #[error("{}, line {line}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Another number of labels than the study is written for.
    #[error("the adapter has {got} labels, the study is of {expected}")]
    Labels {
        /// Labels of the study.
        expected: usize,
        /// Labels of the adapter.
        got: usize,
    },
    /// An adapter that does not classify.
    #[error("the adapter has no classification head")]
    NoHead,
    /// Import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Quantisation.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The model's bounds.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A run of the model.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The matrix of an index.
    #[error(transparent)]
    Inverse(#[from] InverseError),
    /// A retraining that did not end.
    #[error("retraining {what} stopped at a gradient of {gradient:.1e}")]
    NotConverged {
        /// Which.
        what: String,
        /// Norm of its gradient.
        gradient: f64,
    },
    /// A file of models that were trained again, which is not of this fixture.
    #[error("{}: {what}", path.display())]
    Retrained {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A covariance without inverse.
    #[error("a matrix of the study is not positive definite")]
    Singular,
}
