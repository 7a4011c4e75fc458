//! The one address space: every committed cell of a statement has an address.
//!
//! ```text
//! [ base tiles | table tile(s) | adapter tiles of request 0 | … of request M-1 | witness tiles | mask tile ]
//! ```
//! Tiles hold 2^τ cells; between regions a few tile indices may stay unused, for alignment. Within a region columns are placed by falling block size, so that every block is aligned to its
//! size and nothing is padded. A base's tiles depend on architecture and τ only, an adapter's likewise, whatever the
//! batch. Addresses that no column owns are never given weight by a claim.
//!
//! The witness region starts with the columns that are looked up (and the multiplicities): their address relative to
//! the region's start *is* their leaf index in the lookup argument (protocol section 3).

use std::collections::BTreeMap;

use crate::architecture::{Architecture, BLOCK_BITS, OutputKind, Shape};
use crate::column::{Column, ColumnSpec, Lookup, Region, Table};
use crate::error::CircuitError;

/// log2 of the most leaves that a lookup argument may have.
pub const MAX_LEAF_BITS: u32 = 30;
/// log2 of the most cells that an address space may have: rounds of the reduction.
pub const MAX_ADDRESS_BITS: u32 = 34;
/// Most witness tiles, with the mask's, and most tiles of a registered region: files with more cannot be read.
pub const MAX_WITNESS_TILES: usize = 4096;
/// See [`MAX_WITNESS_TILES`].
pub const MAX_REGISTERED_TILES: usize = 1 << 14;

/// Where a column lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Axes and range.
    pub spec: ColumnSpec,
    /// Address of the first cell relative to its region; blocks follow each other in digit order.
    pub offset: u64,
}

/// Tiles of one region: `first..first + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Index of the first tile.
    pub first: usize,
    /// Number of tiles.
    pub count: usize,
}

/// A contiguous run of leaves of the lookup argument with one table and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRun {
    /// First leaf.
    pub start: u64,
    /// One past the last leaf.
    pub end: u64,
    /// The table.
    pub table: Table,
    /// Added to the cell to make the key; unused for entries.
    pub offset: i64,
    /// Whether the leaves are the table's own entries rather than lookups.
    pub entries: bool,
}

/// The address space of one architecture and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The architecture.
    pub architecture: Architecture,
    /// The batch shape.
    pub shape: Shape,
    columns: BTreeMap<Column, Placement>,
    base: Tiles,
    tables: Tiles,
    adapter: Tiles,
    witness: Tiles,
    leaf_runs: Vec<LeafRun>,
    leaves: u64,
}

/// One region's placements and its length in cells.
fn place(specs: Vec<ColumnSpec>, placements: &mut BTreeMap<Column, Placement>, from: u64) -> u64 {
    let mut specs = specs;
    specs.sort_by_key(|s| core::cmp::Reverse(s.block_bits()));
    let mut at = from;
    for spec in specs {
        at = at.next_multiple_of(1 << spec.block_bits());
        let length = spec.len() as u64;
        placements.insert(spec.column, Placement { spec, offset: at });
        at += length;
    }
    at
}

/// # Errors
/// [`CircuitError::Bound`] if there are more than `most`.
pub(crate) fn within(what: &'static str, most: u64, got: u64) -> Result<(), CircuitError> {
    if got > most { Err(CircuitError::Bound { what, most, got }) } else { Ok(()) }
}

impl Layout {
    /// Lays out every column of a batch.
    ///
    /// # Errors
    /// If architecture or shape is outside the supported family, or [`CircuitError::Bound`] for a batch that is too large.
    pub fn new(architecture: &Architecture, shape: &Shape) -> Result<Self, CircuitError> {
        architecture.validate()?;
        shape.validate()?;
        let specs = |region| -> Vec<ColumnSpec> {
            Column::all(region, shape.output).into_iter().map(|c| c.spec(architecture, shape)).collect()
        };
        let tile = 1u64 << shape.log_tile;
        let mut columns = BTreeMap::new();
        let tiles = |cells: u64| cells.div_ceil(tile) as usize;
        // A region starts at a multiple of its largest block, so that blocks are aligned in the address space too.
        let largest = |specs: &[ColumnSpec]| specs.iter().map(ColumnSpec::block_bits).max().unwrap_or(0);
        let aligned = |tile: usize, bits: u32| tile.next_multiple_of(1 << bits.saturating_sub(shape.log_tile));
        let base = Tiles { first: 0, count: tiles(place(specs(Region::Base), &mut columns, 0)) };
        let table_specs = specs(Region::Table);
        let tables = Tiles {
            first: aligned(base.count, largest(&table_specs)),
            count: tiles(place(table_specs, &mut columns, 0)),
        };
        let adapter_specs = specs(Region::Adapter);
        let adapter_bits = largest(&adapter_specs);
        let adapter = Tiles {
            first: aligned(tables.first + tables.count, adapter_bits),
            count: aligned(tiles(place(adapter_specs, &mut columns, 0)), adapter_bits),
        };
        let witness_bits = largest(&specs(Region::Witness));

        // Leaves first: keys of lookups and multiplicities, by falling block size, then by table.
        let used = Table::used(shape.output);
        let table_of_entries = |column: Column| used.iter().copied().find(|t| t.multiplicities() == column);
        let (mut leaf, rest): (Vec<_>, Vec<_>) = specs(Region::Witness)
            .into_iter()
            .partition(|s| s.lookup != Lookup::None || table_of_entries(s.column).is_some());
        let order = |s: &ColumnSpec| match s.lookup {
            Lookup::Key { table, signed, .. } => (false, table, signed),
            Lookup::None => (true, table_of_entries(s.column).unwrap_or(Table::Range16), false),
        };
        leaf.sort_by_key(|s| (core::cmp::Reverse(s.block_bits()), order(s), s.column));
        let mut leaf_runs: Vec<LeafRun> = Vec::new();
        let mut at = 0u64;
        for spec in leaf {
            let end = at + spec.len() as u64;
            let (entries, table, _) = order(&spec);
            let offset = spec.lookup.offset();
            match leaf_runs.last_mut() {
                Some(run) if !entries && !run.entries && run.table == table && run.offset == offset => run.end = end,
                _ => leaf_runs.push(LeafRun { start: at, end, table, offset, entries }),
            }
            columns.insert(spec.column, Placement { spec, offset: at });
            at = end;
        }
        let leaves = at;
        // The soundness error of the lookups grows with the leaves.
        within("lookups of a batch", 1 << MAX_LEAF_BITS, leaves)?;
        let length = place(rest, &mut columns, leaves);
        let witness = Tiles {
            first: aligned(adapter.first + adapter.count * shape.requests, witness_bits),
            count: tiles(length),
        };
        let layout = Self {
            architecture: architecture.clone(),
            shape: *shape,
            columns,
            base,
            tables,
            adapter,
            witness,
            leaf_runs,
            leaves,
        };
        // As soundness.md states the errors, and as files can be read again.
        within("bits of an address", u64::from(MAX_ADDRESS_BITS), u64::from(layout.address_bits()))?;
        within("tiles of a witness and its mask", MAX_WITNESS_TILES as u64, witness.count as u64 + 1)?;
        for (what, tiles) in [("tiles of a base", base), ("tiles of an adapter", adapter)] {
            within(what, MAX_REGISTERED_TILES as u64, tiles.count as u64)?;
        }
        Ok(layout)
    }

    /// Placement of a column.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if this kind of output does not have the column.
    pub fn placement(&self, column: Column) -> Result<&Placement, CircuitError> {
        self.columns.get(&column).ok_or_else(|| CircuitError::Compile { what: format!("no column {column:?}") })
    }
    /// All placements, in column order.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.columns.values()
    }
    /// Tiles of a region (of the given request's adapter).
    #[must_use]
    pub fn tiles(&self, region: Region, request: usize) -> Tiles {
        match region {
            Region::Base => self.base,
            Region::Table => self.tables,
            Region::Adapter => {
                Tiles { first: self.adapter.first + request * self.adapter.count, count: self.adapter.count }
            }
            Region::Witness => self.witness,
        }
    }
    /// Index of the opening mask's tile.
    #[must_use]
    pub fn mask_tile(&self) -> usize {
        self.witness.first + self.witness.count
    }
    /// log2 of the tiles of the address space (k).
    #[must_use]
    pub fn tile_index_bits(&self) -> u32 {
        (self.mask_tile() + 1).next_power_of_two().trailing_zeros()
    }
    /// log2 of the cells of the address space (τ + k).
    #[must_use]
    pub fn address_bits(&self) -> u32 {
        self.shape.log_tile + self.tile_index_bits()
    }
    /// Address of the first cell of a region.
    #[must_use]
    pub fn region_start(&self, region: Region, request: usize) -> u64 {
        (self.tiles(region, request).first as u64) << self.shape.log_tile
    }
    /// Address of the first cell of a column (of the given request's adapter).
    ///
    /// # Errors
    /// As [`Self::placement`].
    pub fn address(&self, column: Column, request: usize) -> Result<u64, CircuitError> {
        let placement = self.placement(column)?;
        Ok(self.region_start(placement.spec.region, request) + placement.offset)
    }
    /// Leaves of the lookup argument that are used; the rest up to 2^[`Self::leaf_bits`] are 0/1.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.leaves
    }
    /// log2 of the leaves of the lookup argument.
    #[must_use]
    pub fn leaf_bits(&self) -> u32 {
        self.leaves.next_power_of_two().trailing_zeros()
    }
    /// Runs of leaves, in order, without gaps.
    #[must_use]
    pub fn leaf_runs(&self) -> &[LeafRun] {
        &self.leaf_runs
    }
    /// For each tile of a region, whether any real cell can lie in it; a tile without one is zero for every model and
    /// has no commitment.
    #[must_use]
    pub fn occupied(&self, region: Region) -> Vec<bool> {
        let log_tile = self.shape.log_tile;
        let mut occupied = vec![false; self.tiles(region, 0).count];
        for placement in self.columns.values().filter(|p| p.spec.region == region) {
            let block = 1u64 << placement.spec.block_bits();
            let real = match placement.spec.column {
                Column::Word => (self.architecture.vocab as u64) << BLOCK_BITS,
                _ => block,
            };
            for index in 0..placement.spec.blocks() as u64 {
                let start = placement.offset + index * block;
                for tile in (start >> log_tile)..=((start + real - 1) >> log_tile) {
                    if let Some(cell) = occupied.get_mut(tile as usize) {
                        *cell = true;
                    }
                }
            }
        }
        occupied
    }
    /// Bits of a logical axis' index, digits padded to the next power of two.
    #[must_use]
    pub fn axis_bits(&self, axis: crate::column::Axis) -> u32 {
        use crate::column::Axis as A;
        let a = &self.architecture;
        let padded = |n: usize| n.next_power_of_two().trailing_zeros();
        match axis {
            A::Slot => padded(a.layers + 1),
            A::Layer => padded(a.layers),
            A::Kind => 2,
            A::Norm => padded(a.norms()),
            A::Site => 3,
            A::Limb => 4,
            A::HiddenBlock | A::HiddenBlockIn => padded(a.hidden_blocks()),
            A::FfnBlock | A::FfnBlockIn => padded(a.ffn_blocks()),
            A::Request => self.shape.request_bits(),
            A::Token | A::Key => self.shape.token_bits(),
            A::Head => padded(a.heads_per_block()),
            A::Depth => padded(a.head_dim()),
            A::Channel | A::ChannelIn | A::PositionId => BLOCK_BITS,
            A::Rank => padded(a.r_max),
            A::Label => 4,
            A::WordId => a.vocab_bits(),
            A::Entry => 16,
        }
    }
    /// Real indices of a logical digit axis.
    #[must_use]
    pub fn axis_count(&self, axis: crate::column::Axis) -> usize {
        use crate::column::Axis as A;
        let a = &self.architecture;
        match axis {
            A::Slot => a.layers + 1,
            A::Layer => a.layers,
            A::Kind => 3,
            A::Norm => a.norms(),
            A::HiddenBlock | A::HiddenBlockIn => a.hidden_blocks(),
            A::FfnBlock | A::FfnBlockIn => a.ffn_blocks(),
            _ => 1 << self.axis_bits(axis),
        }
    }
    /// Whether sums are published rather than logits.
    #[must_use]
    pub fn is_embedding(&self) -> bool {
        self.shape.output == OutputKind::Embed
    }
}
