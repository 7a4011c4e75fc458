//! The demo's datanet: descriptions of Debian packages, whose maintainers have accounts; its index, and the settlement that says that the
//! index is in range.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lorica::datanet::explain::explain;
use lorica::datanet::source::Contributor;
use lorica::datanet::{Choices, build};
use lorica::files::{AdapterFile, AdapterKey, BaseFile, BaseKey, DatanetFile, Description, FileError, IndexKey, store};
use lorica::index_proof::prove_index;
use lorica::settle::{SettledIndex, Settler};
use lorica::srs::AcceptedSrs;
use lorica_chain::alloy_primitives::{Address, keccak256};
use lorica_circuits::bn254::Fr;
use lorica_quant::integer::Executor;
use serde_json::{Value, json};

use crate::error::Error;
use crate::output::Output;

/// The rows, unless a folder of fixtures has them.
const ROWS: &str = include_str!("../../../fixtures/debian/train.jsonl");
/// Records that are shown.
const SHOWN: usize = 5;

/// A datanet under the adapter that answers.
pub(crate) struct Datanet {
    pub(crate) file: DatanetFile,
    pub(crate) key: IndexKey,
    pub(crate) description: Description,
    /// The adapter that names the version.
    pub(crate) adapter: AdapterFile,
    /// Who has which account.
    names: HashMap<Address, String>,
}

/// A record that shaped the answer.
#[derive(Clone, Debug)]
pub(crate) struct Shaping {
    /// Who brought it.
    pub(crate) contributor: String,
    /// Its text.
    pub(crate) text: String,
    /// Its part of all scores.
    pub(crate) part: f64,
}

/// The account of a contributor in this demo: nobody has its key, and the chain in memory asks for none.
fn account(name: &str) -> Address {
    Address::from_word(keccak256(name))
}

impl Datanet {
    /// Builds a datanet of the first rows, with an account for each contributor.
    pub(crate) fn build(
        base: &BaseFile,
        adapter: &AdapterFile,
        srs: &AcceptedSrs,
        fixtures: Option<&Path>,
        rows: usize,
        out: &Output,
    ) -> Result<Self, Error> {
        let given = fixtures.map(|folder| folder.join("debian/train.jsonl"));
        let text = match &given {
            None => ROWS.to_owned(),
            Some(path) => {
                let bytes = store::read(path, 64 << 20)?;
                String::from_utf8(bytes).map_err(|_| Error::refused(path, "not UTF-8"))?
            }
        };
        let at = given.as_deref().unwrap_or(Path::new("fixtures/debian/train.jsonl"));
        let mut names = HashMap::new();
        let mut lines = String::new();
        for line in text.lines().take(rows) {
            let row: Value = serde_json::from_str(line).map_err(|error| Error::refused(at, error))?;
            let name = row["contributor"].as_str().unwrap_or_default().to_owned();
            let own = account(&name);
            let row = json!({ "text": row["text"], "label": row["label"], "contributor": own.to_string() });
            lines.push_str(&format!("{row}\n"));
            names.insert(own, name);
        }
        let folder = tempfile::tempdir().map_err(FileError::writing(&std::env::temp_dir()))?;
        let path = folder.path().join("rows.jsonl");
        store::write(&path, lines.as_bytes())?;
        let built = build(&path, srs, base.clone(), adapter, &Choices::default(), &out.progress())?;
        out.add_phases(built.phases);
        let adapter = built.adapter.unwrap_or_else(|| adapter.clone());
        let description = Description::of(&built.file.version);
        Ok(Self { key: built.file.index_key(), file: built.file, description, adapter, names })
    }

    /// Proves that the index is in range, and settles that.
    pub(crate) fn ranged(
        &self,
        base: &BaseKey,
        adapter: &AdapterKey,
        srs: &Arc<AcceptedSrs>,
        settler: &Settler,
        out: &Output,
    ) -> Result<SettledIndex, Error> {
        let proven = prove_index(srs, base, adapter, &self.file, Fr::zero(), &out.steps())?;
        out.add_phases(proven.phases);
        Ok(settler.settle_index(base, adapter, &self.key, &proven.proof, &out.steps())?)
    }

    /// The name of an account, or the account.
    pub(crate) fn name(&self, account: Address) -> String {
        self.names.get(&account).cloned().unwrap_or_else(|| account.to_string())
    }

    /// The account and the name of a slot.
    pub(crate) fn contributor(&self, slot: u16) -> Option<(Address, String)> {
        match self.description.contributors.get(usize::from(slot))? {
            Contributor::Address(bytes) => Some((Address::from(bytes), self.name(Address::from(bytes)))),
            _ => None,
        }
    }

    /// The records that shaped the answer to a text most.
    pub(crate) fn shaping(
        &self,
        executor: &Executor,
        adapter: &AdapterFile,
        ids: &[u32],
    ) -> Result<Vec<Shaping>, Error> {
        let Some(explained) = explain(executor, adapter, &self.file, ids)? else { return Ok(Vec::new()) };
        let total = explained.shares.total.max(1) as f64;
        let records = explained.records();
        let shaping = records.into_iter().take(SHOWN).map(|index| {
            let record = &self.file.version.records[index];
            Shaping {
                contributor: self.contributor(record.slot).map_or_else(String::new, |(_, name)| name),
                text: record.text.clone(),
                part: explained.scores[index] as f64 / total,
            }
        });
        Ok(shaping.collect())
    }
}
