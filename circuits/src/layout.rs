//! The one address space: every committed cell of a statement has an address.
//!
//! ```text
//! [ region | region | … | region of request 0 | … of request M-1 | … | witness tiles | mask tile ]
//! ```
//! Regions follow each other in the program's order. Tiles hold 2^τ cells; between regions a few tile indices may stay
//! unused, for alignment. Within a region the groups of columns are placed by falling size of their blocks, so that every
//! block is aligned to its size and nothing is padded. A registered region's tiles depend on architecture and τ only,
//! whatever the batch. Addresses that no column owns are never given weight by a claim.
//!
//! The witness region starts with the columns that are looked up (and the multiplicities). Unless a program looks up
//! registered columns too, their address relative to the region's start *is* their leaf index in the lookup argument; else the
//! leaves of both are ordered by falling size of their blocks (`docs/protocol/soundness.md`).

use std::collections::BTreeMap;

use crate::axis::Axis;
use crate::column::{CHOICE_ID, Column, ColumnSpec, GroupLeaf, Lookup, SUM_ID};
use crate::error::CircuitError;
use crate::number::{narrow, wide};
use crate::program::Program;
use crate::region::{Copies, Region};
use crate::relation::{MAX_CLAIMS, MAX_OUTER_BITS, MAX_RELATION_ROUNDS, MAX_RELATIONS, Relation};
use crate::shape::Shape;

/// log2 of the most leaves that a lookup argument may have.
pub const MAX_LEAF_BITS: u32 = 30;
/// log2 of the most cells that an address space may have: rounds of the reduction.
pub const MAX_ADDRESS_BITS: u32 = 34;
/// Most witness tiles, with the mask's, and most tiles of a registered region: files with more cannot be read.
pub const MAX_WITNESS_TILES: usize = 4096;
/// See [`MAX_WITNESS_TILES`].
pub const MAX_REGISTERED_TILES: usize = 1 << 14;

/// Blocks of a column that lie together: indices `first..first + 2^bits` of the stacked digit, which are the most
/// significant bits of an address within the group's blocks. A column without stacked digit is one group of bits 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// First index of the stacked digit.
    pub first: usize,
    /// log2 of the indices.
    pub bits: u32,
    /// Address of the first cell relative to the region. The group's blocks follow each other in the order of the other
    /// digits.
    pub offset: u64,
}

/// Where a column lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Axes and range.
    pub spec: ColumnSpec,
    /// Its groups, by falling size.
    pub groups: Vec<Group>,
    /// The same groups among the leaves of the lookup argument, if the column's cells are leaves: offsets are leaves.
    pub leaves: Vec<Group>,
}

impl Placement {
    fn new(spec: &ColumnSpec) -> Self {
        Self { spec: spec.clone(), groups: Vec::new(), leaves: Vec::new() }
    }
    /// Cells of one group.
    #[must_use]
    pub fn group_len(&self, group: &Group) -> u64 {
        wide(self.others()) << (self.spec.block_bits() + group.bits)
    }
    /// Blocks of a group: the product of the digits that are not stacked.
    #[must_use]
    pub fn others(&self) -> usize {
        let stacked = self.spec.stacked.and_then(|at| self.spec.digits.get(at)).map_or(1, |&(_, count)| count);
        self.spec.blocks() / stacked
    }
    /// Cells that follow each other both row-major and by address: first cell row-major, address relative to the region,
    /// number. In row-major order.
    #[must_use]
    pub fn runs(&self) -> Vec<(usize, u64, usize)> {
        self.runs_by(|index| self.start(index))
    }
    /// [`Self::runs`] by leaf in place of address.
    #[must_use]
    pub fn leaf_runs(&self) -> Vec<(usize, u64, usize)> {
        self.runs_by(|index| self.leaf_start(index))
    }
    fn runs_by(&self, start: impl Fn(usize) -> u64) -> Vec<(usize, u64, usize)> {
        let cells = 1usize << self.spec.block_bits();
        let mut runs: Vec<(usize, u64, usize)> = Vec::new();
        for index in 0..self.spec.blocks() {
            let start = start(index);
            match runs.last_mut() {
                Some((_, first, length)) if *first + wide(*length) == start => *length += cells,
                _ => runs.push((index * cells, start, cells)),
            }
        }
        runs
    }
    /// Address of a block's first cell relative to the region; `index` is row-major over all digits.
    #[must_use]
    pub fn start(&self, index: usize) -> u64 {
        self.start_in(&self.groups, index)
    }
    /// The leaf of a block's first cell, of a column whose cells are leaves.
    #[must_use]
    pub fn leaf_start(&self, index: usize) -> u64 {
        self.start_in(&self.leaves, index)
    }
    fn start_in(&self, groups: &[Group], index: usize) -> u64 {
        let (stacked, rest) = self.spec.split(index);
        let at = groups.iter().rposition(|group| group.first <= stacked).unwrap_or(0);
        let Some(group) = groups.get(at) else { return 0 };
        let within = (wide(rest) << group.bits) + wide(stacked - group.first);
        group.offset + (within << self.spec.block_bits())
    }
}

/// Tiles of one region: `first..first + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Index of the first tile.
    pub first: usize,
    /// Number of tiles.
    pub count: usize,
}

/// A contiguous run of leaves of the lookup argument whose denominators have one public part,
/// `offset + index + b·request + b²·(id + request)`; runs start at multiples of their index' and request's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRun {
    /// First leaf.
    pub start: u64,
    /// One past the last leaf.
    pub end: u64,
    /// What all leaves of the run have in common.
    pub leaf: Leaf,
}

/// The public part of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The numerator before a cell is added or taken off: 1 for lookups and choices, 0 for what they are compared with.
    pub numerator: u8,
    /// The identifier: a table's, [`SUM_ID`] or [`CHOICE_ID`].
    pub id: u64,
    /// Added to the cell to make the key.
    pub offset: i64,
    /// Lowest bits of the leaf's number that are its key; none if the key is a cell.
    pub index_bits: u32,
    /// The request's bits in the leaf's number, if it is part of the denominator.
    pub request: Option<LeafRequest>,
}

/// How the request enters a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// The lowest of its bits in the leaf's number.
    pub at: u32,
    /// Their number.
    pub bits: u32,
    /// The power of b that it is multiplied by: 1, or 2 beside the identifier.
    pub power: u8,
}

impl Leaf {
    /// The leaf of a column's cells, if they are leaves.
    fn of(program: &Program, spec: &ColumnSpec) -> Option<Self> {
        let plain = Self { numerator: 0, id: 0, offset: 0, index_bits: 0, request: None };
        let axis = |at: usize| spec.lows.get(at).map_or(0, |&(_, bits)| bits);
        let request = |at, power| Some(LeafRequest { at, bits: axis(0), power });
        match spec.lookup {
            Lookup::Key { table, .. } => {
                Some(Self { numerator: 1, id: table.id(), offset: spec.lookup.offset(), ..plain })
            }
            Lookup::Group(GroupLeaf::Summand { .. }) => {
                Some(Self { id: SUM_ID, request: request(spec.block_bits() - axis(0), 1), ..plain })
            }
            Lookup::Group(GroupLeaf::Sum) => {
                Some(Self { id: SUM_ID, index_bits: axis(1), request: request(axis(1), 1), ..plain })
            }
            Lookup::Group(GroupLeaf::Count { .. }) => {
                Some(Self { id: CHOICE_ID, index_bits: axis(1), request: request(axis(1), 2), ..plain })
            }
            Lookup::Group(GroupLeaf::Choice { .. }) => {
                Some(Self { numerator: 1, id: CHOICE_ID, request: request(0, 2), ..plain })
            }
            Lookup::None => {
                let table = program.tables.iter().find(|own| own.multiplicities == spec.column)?.table;
                Some(Self { id: table.id(), index_bits: table.bits(), ..plain })
            }
        }
    }

    /// Whether leaves of two columns of this kind may be one run: keys of one table and offset.
    fn joins(&self, other: &Self) -> bool {
        self == other && self.index_bits == 0 && self.request.is_none()
    }
}

/// The address space of one program and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The program.
    pub program: Program,
    /// The batch shape.
    pub shape: Shape,
    columns: BTreeMap<Column, Placement>,
    regions: Vec<(Region, Copies, Tiles)>,
    leaf_runs: Vec<LeafRun>,
    leaves: u64,
}

/// A column's groups before they have an address: first index and bits, by falling size.
fn groups(spec: &ColumnSpec) -> Vec<(usize, u32)> {
    let Some(&(_, count)) = spec.stacked.and_then(|at| spec.digits.get(at)) else { return vec![(0, 0)] };
    let mut first = 0;
    let mut all = Vec::new();
    for bits in (0..usize::BITS).rev().filter(|bits| (count >> bits) & 1 == 1) {
        all.push((first, bits));
        first += 1 << bits;
    }
    all
}

/// A group that waits for its address.
struct Piece<'s> {
    spec: &'s ColumnSpec,
    first: usize,
    bits: u32,
}

impl Piece<'_> {
    fn block_bits(&self) -> u32 {
        self.spec.block_bits() + self.bits
    }
}

fn pieces<'s>(specs: impl IntoIterator<Item = &'s ColumnSpec>) -> Vec<Piece<'s>> {
    specs
        .into_iter()
        .flat_map(|spec| groups(spec).into_iter().map(move |(first, bits)| Piece { spec, first, bits }))
        .collect()
}

/// Columns with the addresses that they have so far.
#[derive(Default)]
struct Placements(BTreeMap<Column, Placement>);

impl Placements {
    /// Gives a piece its address and returns the one behind it.
    fn put(&mut self, piece: &Piece<'_>, at: u64) -> u64 {
        let placement = self.0.entry(piece.spec.column).or_insert_with(|| Placement::new(piece.spec));
        let group = Group { first: piece.first, bits: piece.bits, offset: at };
        let end = at + placement.group_len(&group);
        placement.groups.push(group);
        placement.groups.sort_by_key(|group| group.first);
        end
    }
    /// Gives a piece its leaves and returns the one behind them.
    fn number(&mut self, piece: &Piece<'_>, at: u64) -> u64 {
        let placement = self.0.entry(piece.spec.column).or_insert_with(|| Placement::new(piece.spec));
        let group = Group { first: piece.first, bits: piece.bits, offset: at };
        placement.leaves.push(group);
        placement.leaves.sort_by_key(|group| group.first);
        at + placement.group_len(&group)
    }
    /// Places pieces by falling size of their blocks.
    fn put_all(&mut self, mut pieces: Vec<Piece<'_>>, from: u64) -> u64 {
        pieces.sort_by_key(|piece| core::cmp::Reverse(piece.block_bits()));
        pieces.iter().fold(from, |at, piece| self.put(piece, at.next_multiple_of(1 << piece.block_bits())))
    }
}

/// # Errors
/// [`CircuitError::Bound`] if there are more than `most`.
pub(crate) fn within(what: &'static str, most: u64, got: u64) -> Result<(), CircuitError> {
    if got > most { Err(CircuitError::Bound { what, most, got }) } else { Ok(()) }
}

impl Layout {
    /// Lays out every column of a program.
    ///
    /// # Errors
    /// If the program is not well-formed or the shape is not offered, or [`CircuitError::Bound`] for a batch that is too
    /// large.
    pub fn of(program: Program, shape: &Shape) -> Result<Self, CircuitError> {
        shape.validate()?;
        program.validate(shape)?;
        let tile = 1u64 << shape.log_tile;
        let tiles = |cells: u64| narrow(cells.div_ceil(tile));
        // A region starts at a multiple of its largest block, so that blocks are aligned in the address space too.
        let aligned = |tile: usize, bits: u32| tile.next_multiple_of(1 << bits.saturating_sub(shape.log_tile));
        let mut placements = Placements::default();
        let mut regions = Vec::new();
        let (mut leaf_runs, mut leaves) = (Vec::new(), 0);
        let mut next = 0;
        for spec in &program.regions {
            let own = pieces(program.columns.iter().filter(|column| column.region == spec.region));
            let largest = own.iter().map(Piece::block_bits).max().unwrap_or(0);
            let first = aligned(next, largest);
            let cells = if spec.region == Region::WITNESS {
                leaves = number_leaves(&program, &mut placements, &mut leaf_runs);
                let (keys, rest) = place_leaves(&program, own, &mut placements);
                // The soundness error of the lookups grows with the leaves.
                within("lookups of a batch", 1 << MAX_LEAF_BITS, leaves)?;
                placements.put_all(rest, keys)
            } else {
                placements.put_all(own, 0)
            };
            let (count, copies) = match spec.copies {
                Copies::Once => (tiles(cells), 1),
                Copies::PerRequest => (aligned(tiles(cells), largest), shape.requests),
            };
            regions.push((spec.region, spec.copies, Tiles { first, count }));
            next = first + count * copies;
        }
        let layout = Self { program, shape: *shape, columns: placements.0, regions, leaf_runs, leaves };
        // As soundness.md states the errors, and as files can be read again.
        within("bits of an address", u64::from(MAX_ADDRESS_BITS), u64::from(layout.address_bits()))?;
        for &(region, _, Tiles { count, .. }) in &layout.regions {
            if region == Region::WITNESS {
                within("tiles of a witness and its mask", wide(MAX_WITNESS_TILES), wide(count).saturating_add(1))?;
            } else {
                within("tiles of a registered region", wide(MAX_REGISTERED_TILES), wide(count))?;
            }
        }
        layout.expect_bounds()?;
        Ok(layout)
    }

    /// The bounds by which soundness.md states the errors.
    fn expect_bounds(&self) -> Result<(), CircuitError> {
        let relations = self.relations();
        let bits = |axes: &[Axis]| axes.iter().map(|&axis| self.axis_bits(axis)).sum::<u32>();
        let products = || relations.iter().flat_map(|relation| &relation.products);
        let forms = relations.iter().filter(|relation| !relation.form.terms.is_empty()).count();
        let operands: usize = products().map(|product| 1 + usize::from(product.right.is_some())).sum();
        let rounds = products().map(|product| bits(&product.variables)).max().unwrap_or(0);
        within("relations", wide(MAX_RELATIONS), wide(relations.len()))?;
        within("claims", wide(MAX_CLAIMS), wide(forms + operands + 2))?;
        within("rounds of the relation sumcheck", u64::from(MAX_RELATION_ROUNDS), u64::from(rounds))?;
        within("coordinates of the outer points", u64::from(MAX_OUTER_BITS), u64::from(bits(&self.program.outer)))
    }

    /// The relations, in the order in which the transcript meets them.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.program.relations
    }
    /// Placement of a column.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if the program does not have the column.
    pub fn placement(&self, column: Column) -> Result<&Placement, CircuitError> {
        self.columns.get(&column).ok_or_else(|| CircuitError::Compile { what: format!("no column {column:?}") })
    }
    /// All placements, in column order.
    pub fn placements(&self) -> impl Iterator<Item = &Placement> {
        self.columns.values()
    }
    /// All regions in the order of the address space, with the tiles of their first copy.
    #[must_use]
    pub fn regions(&self) -> &[(Region, Copies, Tiles)] {
        &self.regions
    }
    /// How often a region stands in the address space.
    #[must_use]
    pub fn copies(&self, region: Region) -> usize {
        match self.regions.iter().find(|(own, _, _)| *own == region) {
            Some((_, Copies::PerRequest, _)) => self.shape.requests,
            Some((_, Copies::Once, _)) => 1,
            None => 0,
        }
    }
    /// Tiles of a region (of the given request's copy, if each request has one); none if the program lacks it.
    #[must_use]
    pub fn tiles(&self, region: Region, request: usize) -> Tiles {
        match self.regions.iter().find(|(own, _, _)| *own == region) {
            Some((_, Copies::Once, tiles)) => *tiles,
            Some((_, Copies::PerRequest, tiles)) => {
                Tiles { first: tiles.first + request * tiles.count, count: tiles.count }
            }
            None => Tiles { first: 0, count: 0 },
        }
    }
    /// Index of the opening mask's tile.
    #[must_use]
    pub fn mask_tile(&self) -> usize {
        let witness = self.tiles(Region::WITNESS, 0);
        witness.first + witness.count
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
        wide(self.tiles(region, request).first) << self.shape.log_tile
    }
    /// Address of a column's cell (of the given request's copy); `cell` is row-major over digits and low axes.
    ///
    /// # Errors
    /// As [`Self::placement`].
    pub fn address(&self, column: Column, request: usize, cell: usize) -> Result<u64, CircuitError> {
        let placement = self.placement(column)?;
        let bits = placement.spec.block_bits();
        let within = wide(cell & ((1 << bits) - 1));
        Ok(self.region_start(placement.spec.region, request) + placement.start(cell >> bits) + within)
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
    /// For each tile of a region, whether any used cell can lie in it; a tile without one is zero for every model and
    /// has no commitment.
    #[must_use]
    pub fn occupied(&self, region: Region) -> Vec<bool> {
        let log_tile = self.shape.log_tile;
        let mut occupied = vec![false; self.tiles(region, 0).count];
        for placement in self.columns.values().filter(|p| p.spec.region == region) {
            for index in 0..placement.spec.blocks() {
                let start = placement.start(index);
                let last = start + placement.spec.used.max(1) - 1;
                for tile in (start >> log_tile)..=(last >> log_tile) {
                    if let Some(cell) = occupied.get_mut(narrow(tile)) {
                        *cell = true;
                    }
                }
            }
        }
        occupied
    }
    /// Bits of a logical axis' index, digits padded to the next power of two; none for an axis that the program lacks.
    #[must_use]
    pub fn axis_bits(&self, axis: Axis) -> u32 {
        self.program.axis(axis).map_or(0, |spec| spec.bits)
    }
    /// Real indices of a logical axis.
    #[must_use]
    pub fn axis_count(&self, axis: Axis) -> usize {
        self.program.axis(axis).map_or(0, |spec| spec.count)
    }
    /// The axes that are an axis' parts, most significant first.
    #[must_use]
    pub fn parts(&self, axis: Axis) -> &[Axis] {
        self.program.axis(axis).map_or(&[], |spec| spec.parts.as_slice())
    }
}

/// Pieces of columns whose cells are leaves, by falling size of their blocks, then by what their leaves have in common; and
/// the other pieces.
fn sorted_leaves<'s>(program: &Program, all: Vec<Piece<'s>>) -> (Vec<(Piece<'s>, Leaf)>, Vec<Piece<'s>>) {
    let mut leaves = Vec::new();
    let mut rest = Vec::new();
    for piece in all {
        match Leaf::of(program, piece.spec) {
            Some(leaf) => leaves.push((piece, leaf)),
            None => rest.push(piece),
        }
    }
    let order = |leaf: &Leaf| (1 - leaf.numerator, leaf.id, leaf.offset != 0);
    leaves.sort_by_key(|(p, leaf)| (core::cmp::Reverse(p.block_bits()), order(leaf), p.spec.column));
    (leaves, rest)
}

/// Numbers the leaves of all columns; returns how many there are.
fn number_leaves(program: &Program, placements: &mut Placements, leaf_runs: &mut Vec<LeafRun>) -> u64 {
    let mut at = 0u64;
    for (piece, leaf) in &sorted_leaves(program, pieces(&program.columns)).0 {
        let end = placements.number(piece, at);
        match leaf_runs.last_mut() {
            Some(run) if run.leaf.joins(leaf) => run.end = end,
            _ => leaf_runs.push(LeafRun { start: at, end, leaf: *leaf }),
        }
        at = end;
    }
    at
}

/// Places the witness' columns that are leaves, in the order of their leaves; returns the cells, and the pieces that are none.
fn place_leaves<'s>(program: &Program, own: Vec<Piece<'s>>, placements: &mut Placements) -> (u64, Vec<Piece<'s>>) {
    let (leaves, rest) = sorted_leaves(program, own);
    (leaves.iter().fold(0, |at, (piece, _)| placements.put(piece, at)), rest)
}
