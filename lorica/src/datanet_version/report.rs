//! What a build measured of a version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The report of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Rows that were read, rejected ones among them.
    pub rows: usize,
    /// Records.
    pub records: usize,
    /// Their weight in whole rows.
    pub weight: f64,
    /// Records that share their weight with near-duplicates.
    pub near_duplicates: usize,
    /// Rejected rows by reason.
    pub rejected: BTreeMap<String, usize>,
    /// Per label.
    pub labels: Vec<LabelReport>,
    /// Per contributor, in the order of slots.
    pub contributors: Vec<ContributorReport>,
    /// How well the records teach.
    pub held_out: HeldOut,
    /// How exactly the matrix of the index inverts.
    pub matrix: MatrixReport,
}

/// A label in the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Its name.
    pub name: String,
    /// Records.
    pub records: usize,
    /// Their weight in whole rows.
    pub weight: f64,
}

/// A contributor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContributorReport {
    /// Name, or address or digest in hexadecimal.
    pub contributor: String,
    /// Records.
    pub records: usize,
    /// Their weight in whole rows.
    pub weight: f64,
    /// Part of the contributors' fee, 0 to 1, in the mean over the questions.
    pub mean_share: f64,
    /// Held-out accuracy of the head without this contributor's records; only for the ten of the largest weight.
    pub accuracy_without: Option<f64>,
}

/// The held-out rows and what was measured on them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Whether they are a fifth of the records, and not rows of their own.
    pub split: bool,
    /// Rows.
    pub rows: usize,
    /// Rows of the file that are left out: rejected, out of range, or records too.
    pub left_out: usize,
    /// Accuracy of the head that was fitted again; `None` if there is nothing to measure.
    pub accuracy: Option<f64>,
    /// Accuracy of the adapter itself.
    pub adapter_accuracy: Option<f64>,
    /// Rows that were questions to the index.
    pub questions: usize,
    /// What goes to no named contributor in the mean, 0 to 1.
    pub mean_tail: f64,
}

/// The matrix of the index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MatrixReport {
    /// Ridge, in thousandths.
    pub ridge: u32,
    /// log2 of its scale.
    pub exponent: i32,
    /// The largest cell by which matrix times covariance is off the identity.
    pub error: f64,
    /// The largest part of its bound that a cell of the remainder has, at most 1.
    pub of_bound: f64,
}
