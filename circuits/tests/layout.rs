//! The address space: disjoint, aligned, independent of the batch where it must be.

use lorica_circuits::axis::Axis;
use lorica_circuits::column::{Column, Lookup};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::families::encoder::{columns, registered_columns};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};

fn architecture(hidden: usize, layers: usize, heads: usize, intermediate: usize, vocab: usize) -> Architecture {
    Architecture {
        block: 128,
        max_tokens: 128,
        hidden,
        layers,
        heads,
        intermediate,
        vocab,
        activation: Activation::Gelu,
        r_max: 16,
        score_bits: 11,
        activation_bits: 11,
        tanh_bits: 12,
    }
}

fn minilm() -> Architecture {
    architecture(384, 6, 12, 1536, 30_522)
}

fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    for requests in [1, 2, 16] {
        for tokens in [16, 128] {
            for log_tile in [14, 18, 20, 22] {
                for output in [OutputKind::Embed, OutputKind::Classify] {
                    all.push(Shape { requests, tokens, log_tile, output, records: 0 });
                }
            }
        }
    }
    all
}

fn layouts() -> Vec<Layout> {
    let architectures = [minilm(), architecture(128, 1, 8, 128, 2), architecture(640, 5, 5, 384, 1000)];
    // Tiles of the tests are too small for the largest batches.
    let offered = |layout: Result<Layout, CircuitError>| match layout {
        Err(CircuitError::Bound { what: "tiles of a witness and its mask", .. }) => None,
        layout => Some(layout.expect("a layout")),
    };
    let all = architectures.iter().flat_map(|a| shapes().into_iter().map(|s| a.layout(&s)));
    let layouts: Vec<Layout> = all.filter_map(offered).collect();
    assert!(layouts.iter().filter(|layout| layout.shape.log_tile > 14).count() == 3 * 36);
    layouts
}

/// Every column's cells as (start, end, block bits) addresses.
fn extents(layout: &Layout) -> Vec<(u64, u64, u32)> {
    let mut extents = Vec::new();
    for placement in layout.placements() {
        let requests = if placement.spec.region == Region::ADAPTER { layout.shape.requests } else { 1 };
        for m in 0..requests {
            for group in &placement.groups {
                let start = layout.region_start(placement.spec.region, m) + group.offset;
                extents.push((start, start + placement.group_len(group), placement.spec.block_bits() + group.bits));
            }
        }
    }
    extents.sort_unstable();
    extents
}

#[test]
fn columns_are_aligned_and_do_not_overlap() {
    for layout in layouts() {
        let extents = extents(&layout);
        for pair in extents.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{:?}: {pair:?}", layout.shape);
        }
        for (start, _, bits) in &extents {
            assert_eq!(start % (1 << bits), 0, "{:?}", layout.shape);
        }
        let mask = (layout.mask_tile() as u64) << layout.shape.log_tile;
        assert!(extents.iter().all(|(_, end, _)| *end <= mask), "the mask tile is nobody's");
        assert!(layout.mask_tile() < 1 << layout.tile_index_bits());
    }
}

#[test]
fn leaves_are_the_witness_addresses_of_what_is_looked_up() {
    for layout in layouts() {
        let mut at = 0;
        for run in layout.leaf_runs() {
            assert_eq!(run.start, at);
            assert!(run.end > run.start);
            at = run.end;
        }
        assert_eq!(at, layout.leaves());
        let looked_up: usize = layout
            .placements()
            .filter(|p| p.spec.lookup != Lookup::None || p.spec.column >= columns::MULT_RANGE16)
            .map(|p| p.spec.len())
            .sum();
        assert_eq!(looked_up as u64, layout.leaves());
    }
}

#[test]
fn registered_regions_do_not_depend_on_the_batch() {
    let reference = minilm().layout(&shapes()[4]).expect("a layout");
    for shape in shapes().into_iter().filter(|s| s.log_tile == reference.shape.log_tile) {
        let layout = minilm().layout(&shape).expect("a layout");
        for region in [Region::BASE, Region::TABLE, Region::ADAPTER] {
            assert_eq!(layout.occupied(region), reference.occupied(region));
            for column in registered_columns(&minilm(), region).into_iter().map(|spec| spec.column) {
                assert_eq!(
                    layout.placement(column).expect("a placement"),
                    reference.placement(column).expect("a placement")
                );
            }
        }
    }
}

/// MiniLM's base occupies 23 tiles at τ = 20: as many points stand in its registered record.
#[test]
fn minilm_has_as_many_tiles_as_the_registry_stores() {
    let shape = Shape { requests: 1, tokens: 32, log_tile: 20, output: OutputKind::Classify, records: 0 };
    let layout = minilm().layout(&shape).expect("a layout");
    assert_eq!(layout.occupied(Region::BASE).iter().filter(|&&o| o).count(), 23);
    assert_eq!(layout.tiles(Region::ADAPTER, 0).count, 1);
    assert_eq!(layout.leaf_bits(), 22);
}

/// The digit maps of the residual stream against dense matrices: layer l reads slot l, norm j writes slot j.
#[test]
fn slots_follow_layers_and_norms() {
    let shape = Shape { requests: 1, tokens: 16, log_tile: 18, output: OutputKind::Classify, records: 0 };
    let layout = minilm().layout(&shape).expect("a layout");
    let all = layout.relations().to_vec();
    let maps = |name: &str, column: Column, axis: Axis| -> Vec<Vec<(usize, usize)>> {
        let relation = all.iter().find(|r| r.name == name).expect("a relation");
        relation
            .forms()
            .flat_map(|f| &f.terms)
            .filter(|t| t.column == column)
            .map(|t| {
                let spec = &layout.placement(column).expect("a placement").spec;
                let at = spec.digits.iter().position(|&(a, _)| a == axis).expect("the axis");
                t.digits[at].entries.iter().map(|e| (e.point, e.digit)).collect()
            })
            .collect()
    };
    let same: Vec<(usize, usize)> = (0..6).map(|l| (l, l)).collect();
    assert_eq!(maps("query, key, value", columns::RESIDUAL, Axis::SLOT), vec![same]);
    let slots: Vec<(usize, usize)> = (0..7).map(|j| (j, j)).collect();
    assert_eq!(maps("norm output", columns::RESIDUAL, Axis::SLOT), vec![slots]);
    let mids: Vec<(usize, usize)> = (0..6).map(|l| (7 + l, l)).collect();
    assert_eq!(maps("norm output", columns::MID, Axis::LAYER), vec![mids.clone()]);
    let after: Vec<(usize, usize)> = (0..6).map(|l| (l + 1, l)).collect();
    assert_eq!(maps("norm squares", columns::MID, Axis::LAYER), vec![after]);
    assert_eq!(maps("norm squares", columns::RESIDUAL, Axis::SLOT), vec![mids]);
}

/// No form gives weight to a digit that its column lacks, in any relation of any layout.
#[test]
fn forms_stay_within_their_columns() {
    for layout in layouts() {
        for relation in layout.relations().to_vec() {
            for term in relation.forms().flat_map(|f| &f.terms) {
                let spec = &layout.placement(term.column).expect("a placement").spec;
                assert_eq!(term.digits.len(), spec.digits.len());
                assert_eq!(term.lows.len(), spec.lows.len());
                for (weight, &(_, count)) in term.digits.iter().zip(&spec.digits) {
                    for entry in &weight.entries {
                        assert!(entry.digit < count, "{}: {:?}", relation.name, term.column);
                        if let Some(axis) = weight.axis {
                            assert!(entry.point < layout.axis_count(axis), "{}: {:?}", relation.name, term.column);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn impossible_architectures_and_shapes_are_refused() {
    let ok = minilm();
    let refused: [(&str, fn(&mut Architecture)); 12] = [
        ("block", |a| a.block = 32),
        ("hidden / heads", |a| (a.block, a.heads) = (64, 3)),
        ("max_tokens", |a| a.max_tokens = 512),
        ("hidden", |a| a.hidden = 400),
        ("intermediate", |a| a.intermediate = 0),
        ("layers", |a| a.layers = 33),
        ("heads", |a| a.heads = 7),
        ("hidden / heads", |a| a.heads = 2),
        ("vocab", |a| a.vocab = (1 << 20) + 1),
        ("r_max", |a| a.r_max = 24),
        ("score_bits", |a| a.score_bits = 16),
        ("tanh_bits", |a| a.tanh_bits = 0),
    ];
    for (name, edit) in refused {
        let mut architecture = ok.clone();
        edit(&mut architecture);
        let error = architecture.validate().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    for (requests, tokens, log_tile) in
        [(3, 16, 18), (32, 16, 18), (1, 8, 18), (1, 512, 18), (1, 256, 18), (1, 16, 19), (1, 16, 24)]
    {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Embed, records: 0 };
        assert!(ok.layout(&shape).is_err(), "{shape:?}");
    }
    assert!(Shape::fitting(17, 16, 18, OutputKind::Embed).is_err());
    assert!(Shape::fitting(1, 257, 18, OutputKind::Embed).is_err());
    assert_eq!(Shape::fitting(3, 17, 18, OutputKind::Embed).map(|s| (s.requests, s.tokens)), Ok((4, 32)));
}

/// Blocks of a stacked digit lie together, each at the address that its group, the other digits and its own index say.
#[test]
fn stacked_blocks_lie_in_groups() {
    let shape = Shape { requests: 2, tokens: 16, log_tile: 18, output: OutputKind::Classify, records: 0 };
    let architecture = Architecture { layers: 11, ..minilm() };
    let layout = architecture.layout(&shape).expect("a layout");
    // 11 layers are 8 + 2 + 1.
    let placement = layout.placement(columns::PROB_REMAINDER).expect("a placement");
    let groups: Vec<_> = placement.groups.iter().map(|group| (group.first, group.bits)).collect();
    assert_eq!(groups, [(0, 3), (8, 1), (10, 0)]);
    for placement in layout.placements() {
        let spec = &placement.spec;
        let mut starts: Vec<u64> = (0..spec.blocks()).map(|index| placement.start(index)).collect();
        for (index, start) in starts.iter().enumerate() {
            assert_eq!(start % (1 << spec.block_bits()), 0);
            let (stacked, rest) = spec.split(index);
            let group = placement.groups.iter().find(|g| (g.first..g.first + (1 << g.bits)).contains(&stacked));
            let group = group.expect("a group");
            let within = (rest << group.bits) + stacked - group.first;
            assert_eq!(*start, group.offset + ((within as u64) << spec.block_bits()), "{:?} {index}", spec.column);
        }
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts.len(), spec.blocks(), "{:?}: two blocks in one place", spec.column);
    }
    let address = |cell| layout.address(columns::CONTEXT, 0, cell).expect("an address");
    // Layer 9, block 1, the last cell: the fourth block of the group of layers 8 and 9.
    let cells = 2 * 16 * 128;
    let group = layout.placement(columns::CONTEXT).expect("a placement").groups[1];
    let expected = layout.region_start(Region::WITNESS, 0) + group.offset + 3 * cells + cells - 1;
    assert_eq!(address((9 * 3 + 2) * cells as usize - 1), expected);
}
