//! A registered synthetic model, batches on it, and their proofs.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod attribution;
#[path = "../../../verifier/tests/support/hooked.rs"]
pub mod hooked;
pub mod index;
pub mod naive;
pub mod rows;
pub mod without;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use lorica_cells::watch::Unwatched;
use lorica_cells::{Cells, Columns};
use lorica_circuits::bn254::{Field, Fr, G1Affine};
use lorica_circuits::column::{Column, Lookup, Table};
use lorica_circuits::families::encoder::{Architecture, columns};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::{
    Batch, Blinded, ProveError, broken_claims, broken_relations, commit_blinded, commit_region, prove,
};
use lorica_prover::srs::Srs;
use lorica_quant::index::{IndexCells, attribute, region};
use lorica_quant::integer::synthetic::{Sizes, Synthetic};
use lorica_quant::integer::{AdapterModel, BatchInput, Executor, RequestInput, RequestOutput};
use lorica_verifier::protocol::field::Outcome;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, index_shape};
use lorica_verifier::protocol::proof::{Attribution, InferenceProof, Output, RequestStatement, Share, Statement};
use lorica_verifier::protocol::verify::{Keys, VerifyError, verify};

/// τ of the tests.
pub const LOG_TILE: u32 = 14;

pub static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(LOG_TILE).expect("a small development SRS"));

/// An adapter with its commitments.
#[derive(Clone)]
pub struct Adapter {
    pub model: Arc<AdapterModel>,
    pub cells: Vec<i64>,
    pub key: AdapterCommitments,
}

/// A registered base model.
pub struct World {
    pub synthetic: Synthetic,
    pub key: BaseCommitments,
    pub base: Vec<i64>,
    pub tables: Vec<i64>,
    pub adapters: Vec<Adapter>,
    /// An index of the first adapter.
    pub index: Option<Index>,
}

/// A datanet's index.
pub struct Index {
    pub cells: IndexCells,
    pub blinded: Arc<Blinded>,
    pub key: IndexCommitments,
}

/// A batch that was executed.
#[derive(Clone)]
pub struct Run {
    pub columns: BTreeMap<Column, Vec<i64>>,
    pub statement: Statement,
    /// Index of each request's adapter.
    pub adapters: Vec<Option<usize>>,
}

/// The layout of what is registered.
pub fn registered(architecture: &Architecture) -> Layout {
    let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
    architecture.layout(&shape).expect("a layout")
}

/// Address of a column's cell, relative to its region.
pub fn at(layout: &Layout, column: Column, cell: usize) -> usize {
    let region = layout.placement(column).expect("a placement").spec.region;
    (layout.address(column, 0, cell).expect("an address") - layout.region_start(region, 0)) as usize
}

/// The multiplicities of a table.
pub fn counts_of(table: Table) -> Column {
    let tables = columns::tables(OutputKind::Classify);
    tables.iter().find(|own| own.table == table).expect("a table").multiplicities
}

/// Recounts how often each entry is looked up; keys outside their table are left out.
pub fn recount(world: &World, run: &mut Run) {
    recount_on(&world.layout(run), run);
}

/// [`recount`] for columns that are looked up in another program.
pub fn recount_on(layout: &Layout, run: &mut Run) {
    recount_columns(layout, &mut run.columns);
}

/// [`recount`] for the columns of any program.
pub fn recount_columns(layout: &Layout, columns: &mut BTreeMap<Column, Vec<i64>>) {
    let mut counts: BTreeMap<Column, Vec<i64>> =
        layout.program.tables.iter().map(|t| (t.multiplicities, vec![0; 1 << t.table.bits()])).collect();
    for placement in layout.placements() {
        if let Lookup::Key { table, .. } = placement.spec.lookup {
            let counts = counts.get_mut(&counts_of(table)).expect("a used table");
            for cell in &columns[&placement.spec.column] {
                let key = usize::try_from(cell + placement.spec.lookup.offset()).ok();
                if let Some(count) = key.and_then(|key| counts.get_mut(key)) {
                    *count += 1;
                }
            }
        }
    }
    columns.extend(counts);
}

/// Witness columns of a batch of this kind.
pub fn witness_columns(layout: &Layout) -> Vec<Column> {
    layout.placements().filter(|p| p.spec.region == Region::WITNESS).map(|p| p.spec.column).collect()
}

/// The cells of a region by address, which tests change one by one.
pub fn place(layout: &Layout, region: Region, columns: &Columns) -> Vec<i64> {
    Placed::new(layout, region, columns).expect("its columns").to_vec()
}

/// The columns among cells by address.
pub fn placed(layout: &Layout, region: Region, cells: &[i64]) -> Arc<Placed> {
    let own = layout.placements().filter(|p| p.spec.region == region).map(|p| {
        let mut column = vec![0; p.spec.len()];
        for (first, start, length) in p.runs() {
            column[first..first + length].copy_from_slice(&cells[start as usize..start as usize + length]);
        }
        (p.spec.column, Cells::narrowest(&column))
    });
    Arc::new(Placed::new(layout, region, &own.collect()).expect("its columns"))
}

/// Commitments to the cells of a region by address.
pub fn commit(layout: &Layout, region: Region, cells: &[i64]) -> Vec<G1Affine> {
    commit_region(&SRS, layout, region, &placed(layout, region, cells)).expect("commitments")
}

impl World {
    pub fn new(sizes: Sizes, seed: u64, adapters: usize) -> Self {
        Self::of(Synthetic::new(sizes, seed).expect("a synthetic model"), seed, adapters)
    }

    /// Registers a model that a test has edited.
    pub fn of(synthetic: Synthetic, seed: u64, adapters: usize) -> Self {
        let architecture = synthetic.base.architecture.clone();
        let layout = registered(&architecture);
        let base = place(&layout, Region::BASE, &synthetic.base.columns);
        let tables = tables(&layout, &architecture).expect("tables").to_vec();
        let key = BaseCommitments {
            architecture,
            scales: synthetic.base.scales.clone(),
            log_tile: LOG_TILE,
            srs: SRS.digest_word(),
            tau_g2: *SRS.tau_g2(),
            tables: commit(&layout, Region::TABLE, &tables),
            tiles: commit(&layout, Region::BASE, &base),
        };
        key.validate().expect("a valid key");
        let adapters = (0..adapters as u64)
            .map(|i| {
                let model = synthetic.adapter(seed + 100 + i, 3 + i as usize).expect("an adapter");
                let cells = place(&layout, Region::ADAPTER, &model.columns);
                let tiles = commit(&layout, Region::ADAPTER, &cells);
                let key = AdapterCommitments { base: key.id(), version: None, tiles };
                Adapter { model: Arc::new(model), cells, key }
            })
            .collect();
        Self { synthetic, key, base, tables, adapters, index: None }
    }

    /// Registers an index of 2,048 records' room under the first adapter, which names its version from now on.
    pub fn with_index(self, cells: IndexCells) -> Self {
        self.with_index_of(Fr::from(4711), cells)
    }

    /// [`Self::with_index`], of this datanet version.
    pub fn with_index_of(mut self, version: Fr, cells: IndexCells) -> Self {
        self.adapters[0].key.version = Some(version);
        self.with_edited_index(cells, |_| {})
    }

    /// [`Self::with_index`], with cells that no file of an index can say.
    pub fn with_edited_index(mut self, cells: IndexCells, edit: impl FnOnce(&mut Columns)) -> Self {
        let adapter = &mut self.adapters[0].key;
        let version = *adapter.version.get_or_insert(Fr::from(4711));
        let adapter = adapter.id();
        let records = 1 << 11;
        let layout = self.key.architecture.layout(&index_shape(LOG_TILE, records)).expect("a layout");
        let mut columns = region(&cells, &self.key.architecture, records).expect("columns");
        edit(&mut columns);
        let placed = Placed::new(&layout, Region::INDEX, &columns).expect("its columns");
        let blinded = Blinded::new(&layout, Region::INDEX, Arc::new(placed)).expect("randomness");
        let tiles = commit_blinded(&SRS, LOG_TILE, &blinded, &Unwatched).expect("commitments");
        let key = IndexCommitments { adapter, version, records, count: cells.count, tiles };
        key.validate(&self.key, &self.adapters[0].key).expect("a valid key");
        self.index = Some(Index { cells, blinded: Arc::new(blinded), key });
        self
    }

    /// The layout of a run.
    pub fn layout(&self, run: &Run) -> Layout {
        self.key.architecture.layout(&run.statement.shape).expect("a layout")
    }

    /// The key of the index, if there is one.
    pub fn indexes(&self) -> Vec<IndexCommitments> {
        self.index.iter().map(|own| own.key.clone()).collect()
    }

    pub fn keys(&self) -> Vec<AdapterCommitments> {
        self.adapters.iter().map(|a| a.key.clone()).collect()
    }

    /// Executes texts of random ids, each with its length and adapter.
    pub fn run(&self, kind: OutputKind, requests: &[(usize, Option<usize>)]) -> Run {
        let texts: Vec<(Vec<u32>, Option<usize>)> = requests
            .iter()
            .enumerate()
            .map(|(i, &(tokens, adapter))| (self.synthetic.ids(7 + i as u64, tokens), adapter))
            .collect();
        self.run_ids(kind, &texts)
    }

    pub fn run_ids(&self, kind: OutputKind, texts: &[(Vec<u32>, Option<usize>)]) -> Run {
        let longest = texts.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let shape = Shape::fitting(texts.len(), longest, LOG_TILE, kind).expect("a shape");
        self.run_shape(shape, texts)
    }

    pub fn run_shape(&self, shape: Shape, texts: &[(Vec<u32>, Option<usize>)]) -> Run {
        let kind = shape.output;
        let adapter = |index: &Option<usize>| index.map(|i| self.adapters[i].model.clone());
        let input = BatchInput {
            requests: texts
                .iter()
                .map(|(ids, index)| RequestInput { ids: ids.clone(), adapter: adapter(index) })
                .collect(),
            shape,
        };
        let executor = Executor::new(Arc::new(self.synthetic.base.clone())).expect("an executor");
        let mut trace = executor.execute(&input).expect("an execution");
        let index = self.index.as_ref().filter(|_| shape.records != 0);
        let shares = index.map(|index| {
            let attributed: Vec<Option<usize>> = texts
                .iter()
                .zip(&trace.outputs)
                .map(|((_, adapter), output)| match output {
                    RequestOutput::Classify { label, .. } if *adapter == Some(0) => Some(*label),
                    _ => None,
                })
                .collect();
            let architecture = &self.key.architecture;
            attribute(&index.cells, architecture, &shape, &attributed, &mut trace.columns).expect("an attribution")
        });
        let shares_of = |request: usize| -> Vec<Share> {
            let own = shares.iter().flat_map(|shares| &shares[request].entries);
            own.map(|own| Share { slot: own.slot, share: own.share }).collect()
        };
        let requests = texts
            .iter()
            .zip(&trace.outputs)
            .enumerate()
            .map(|(i, ((ids, index), output))| RequestStatement {
                adapter: index.map_or(Fr::ZERO, |i| self.adapters[i].key.id()),
                salt: [i as u8 + 1; 31],
                ids: ids.clone(),
                output: match output {
                    RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
                    RequestOutput::Classify { logits, label } => {
                        Output::Classify { logits: logits.to_vec(), label: *label as u8 }
                    }
                },
                shares: shares_of(i),
            })
            .collect();
        assert!(texts.iter().all(|(_, a)| kind == OutputKind::Embed || a.is_some()));
        let statement = Statement {
            shape,
            architecture: self.key.architecture_digest(),
            srs: self.key.srs,
            base: self.key.id(),
            context: Fr::ZERO,
            attribution: index.map(|own| Attribution { index: own.key.id(), adapter: own.key.adapter }),
            requests,
        };
        Run { columns: trace.columns.to_vecs(), statement, adapters: texts.iter().map(|(_, a)| *a).collect() }
    }

    pub fn batch(&self, run: &Run) -> Batch {
        let layout = registered(&self.key.architecture);
        let adapter = |i: usize| placed(&layout, Region::ADAPTER, &self.adapters[i].cells);
        Batch {
            base: placed(&layout, Region::BASE, &self.base),
            tables: placed(&layout, Region::TABLE, &self.tables),
            adapters: run.adapters.iter().map(|a| a.map(adapter)).collect(),
            index: self.index.as_ref().filter(|_| run.statement.attribution.is_some()).map(|own| own.blinded.clone()),
            columns: run.columns.clone().into_iter().collect(),
        }
    }

    pub fn broken(&self, run: &Run) -> Vec<&'static str> {
        broken_relations(&self.key, &self.batch(run), &run.statement).expect("relations")
    }

    pub fn broken_claims(&self, run: &Run) -> Vec<String> {
        broken_claims(&self.key, &self.batch(run), &run.statement).expect("claims")
    }

    pub fn prove(&self, run: &Run) -> Result<InferenceProof, ProveError> {
        prove(&SRS, &self.key, &self.batch(run), &run.statement).map(|(proof, _)| proof)
    }

    pub fn verify(&self, proof: &InferenceProof) -> Result<Outcome<Fr>, VerifyError> {
        let keys = Keys { adapters: &self.keys(), indexes: &self.indexes() };
        verify(&SRS.verifier_key(), &self.key, keys, &Fr::ZERO, proof)
    }
}
