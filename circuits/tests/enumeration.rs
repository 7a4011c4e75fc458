//! What every family and every region must pass, on architectures of odd shapes: places, leaves, and that each relation
//! reads its columns as a multilinear identity may.

use std::collections::{BTreeMap, BTreeSet};

use lorica_circuits::architecture::{Activation, Architecture, OutputKind, Shape};
use lorica_circuits::column::{Axis, Column, ColumnSpec, Lookup, Region, Table};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Coefficient, Form, FormTerm, LowWeight};
use lorica_circuits::layout::Layout;
use lorica_circuits::relation::{Product, Relation, relations};

fn architecture(hidden: usize, layers: usize, heads: usize, ffn: usize, r_max: usize, vocab: usize) -> Architecture {
    Architecture {
        hidden,
        layers,
        heads,
        intermediate: ffn,
        vocab,
        activation: Activation::Gelu,
        r_max,
        score_bits: 8,
        activation_bits: 8,
        tanh_bits: 8,
    }
}

/// Largest of all, and refused in most shapes.
fn largest() -> Architecture {
    architecture(4096, 16, 256, 16_384, 64, 1 << 20)
}

fn architectures() -> [(&'static str, Architecture); 7] {
    [
        ("MiniLM", architecture(384, 6, 12, 1536, 16, 30_522)),
        ("one of everything", architecture(128, 1, 1, 128, 1, 2)),
        ("17 blocks", architecture(2176, 1, 17, 640, 64, 1000)),
        ("feed-forward below hidden", architecture(640, 3, 40, 384, 8, 100)),
        ("16 layers", architecture(1024, 16, 16, 4096, 16, 30_522)),
        ("5 blocks", architecture(640, 5, 5, 1664, 2, 1 << 20)),
        ("largest", largest()),
    ]
}

/// Layouts and relations of all shapes that are offered.
fn cases() -> Vec<(String, Layout, Vec<Relation>)> {
    let mut cases = Vec::new();
    for (name, architecture) in architectures() {
        for output in [OutputKind::Embed, OutputKind::Classify] {
            for (requests, tokens) in [(1, 16), (2, 128), (16, 16)] {
                for log_tile in [14, 18, 20] {
                    let shape = Shape { requests, tokens, log_tile, output };
                    match Layout::new(&architecture, &shape) {
                        Ok(layout) => {
                            let relations = relations(&layout).expect("relations");
                            cases.push((format!("{name}, {shape:?}"), layout, relations));
                        }
                        Err(CircuitError::Bound { .. }) => {}
                        Err(other) => panic!("{name}, {shape:?}: {other}"),
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn every_cell_has_a_place_of_its_own() {
    for (name, layout, _) in cases() {
        let tau = layout.shape.log_tile;
        let requests = |region| if region == Region::Adapter { layout.shape.requests } else { 1 };
        let mut spans = Vec::new();
        for placement in layout.placements() {
            let spec = &placement.spec;
            for m in 0..requests(spec.region) {
                let start = layout.address(spec.column, m).expect("an address");
                let end = start + spec.len() as u64;
                assert_eq!(start % (1 << spec.block_bits()), 0, "{name}: {:?} is not aligned", spec.column);
                let tiles = layout.tiles(spec.region, m);
                let inside =
                    (start >> tau) as usize >= tiles.first && (((end - 1) >> tau) as usize) < tiles.first + tiles.count;
                assert!(inside, "{name}: {:?} leaves its region", spec.column);
                spans.push((start, end));
            }
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{name}: columns overlap");
        let regions = [Region::Base, Region::Table, Region::Adapter, Region::Witness];
        let mut tiles: Vec<_> = regions
            .iter()
            .flat_map(|&r| (0..requests(r)).map(move |m| (r, m)))
            .map(|(r, m)| layout.tiles(r, m))
            .collect();
        tiles.sort_unstable_by_key(|tiles| tiles.first);
        assert!(tiles.windows(2).all(|pair| pair[0].first + pair[0].count <= pair[1].first), "{name}: regions overlap");
        assert!((layout.mask_tile() as u64 + 1) << tau <= 1 << layout.address_bits(), "{name}");
        for region in [Region::Adapter, Region::Table] {
            assert!(layout.occupied(region).iter().all(|&occupied| occupied), "{name}: a tile of {region:?} is empty");
        }
    }
}

/// Leaf and address are one number: each looked-up cell lies in a run of its own table and offset, each table's
/// multiplicities in a run of its entries, values beside their keys.
#[test]
fn every_lookup_has_a_leaf() {
    for (name, layout, _) in cases() {
        let runs = layout.leaf_runs();
        assert_eq!(runs.first().map(|run| run.start), Some(0), "{name}");
        assert!(runs.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}");
        assert_eq!(runs.last().map(|run| run.end), Some(layout.leaves()), "{name}");
        let used = Table::used(layout.shape.output);
        for placement in layout.placements() {
            let Lookup::Key { table, value, .. } = placement.spec.lookup else { continue };
            let (start, end) = (placement.offset, placement.offset + placement.spec.len() as u64);
            let column = placement.spec.column;
            assert_eq!(placement.spec.region, Region::Witness, "{name}: {column:?}: leaves are witness cells");
            let run = runs.iter().find(|run| run.start <= start && end <= run.end).expect("a run");
            assert!(
                !run.entries && run.table == table && run.offset == placement.spec.lookup.offset(),
                "{name}: {column:?}"
            );
            assert!(used.contains(&table), "{name}: {column:?} is looked up in a table that is not used");
            assert_eq!(value.is_some(), table.values().is_some(), "{name}: {column:?}");
            if let Some(value) = value {
                let value = &layout.placement(value).expect("a placement").spec;
                assert_eq!(
                    (&value.digits, &value.lows),
                    (&placement.spec.digits, &placement.spec.lows),
                    "{name}: {column:?}"
                );
            }
        }
        for &table in used {
            let placement = layout.placement(table.multiplicities()).expect("a placement");
            let run = runs.iter().find(|run| run.entries && run.table == table).expect("a run");
            assert_eq!((run.start, run.end), (placement.offset, placement.offset + (1 << table.bits())), "{name}");
            assert_eq!(run.start % (1 << table.bits()), 0, "{name}: {table:?}");
        }
    }
}

/// Outer axes that a term reads; a channel is a head and a depth.
fn axes(layout: &Layout, form: &Form) -> BTreeSet<Axis> {
    let of_term = |term: &FormTerm| {
        let spec = &layout.placement(term.column).expect("a placement").spec;
        let mut axes: Vec<Axis> = term.digits.iter().filter_map(|digit| digit.axis).collect();
        for low in &term.lows {
            match low {
                LowWeight::Axis(axis) | LowWeight::Packed(axis) => axes.push(*axis),
                LowWeight::Unmasked(axis) => axes.extend([*axis, Axis::Request]),
                LowWeight::Masked => axes.push(Axis::Request),
                LowWeight::WordOf | LowWeight::PositionOf => axes.extend([Axis::Request, Axis::Token]),
                LowWeight::Ones | LowWeight::First => {}
            }
        }
        axes.extend(term.factors.iter().map(|factor| factor.axis));
        if spec.region == Region::Adapter {
            axes.push(Axis::Request);
        }
        axes
    };
    split(form.terms.iter().flat_map(of_term))
}

fn split(axes: impl IntoIterator<Item = Axis>) -> BTreeSet<Axis> {
    axes.into_iter()
        .flat_map(|axis| if axis == Axis::Channel { vec![Axis::Head, Axis::Depth] } else { vec![axis] })
        .collect()
}

/// What is wrong with how a product reads its axes, in words.
fn faults(layout: &Layout, relation: &Relation, product: &Product) -> Vec<String> {
    let left = axes(layout, &product.left);
    let right = product.right.as_ref().map_or_else(|| left.clone(), |right| axes(layout, right));
    let (bound, equal) = (split(product.variables.clone()), split(product.equal.clone()));
    let form = axes(layout, &relation.form);
    let mut faults = Vec::new();
    let mut fault = |axis: &Axis, what: &str| faults.push(format!("{}: {axis:?} {what}", relation.name));
    // An outer point in both operands would be a degree of two in it.
    left.intersection(&right)
        .filter(|axis| !bound.contains(axis))
        .for_each(|axis| fault(axis, "is outer in both operands"));
    for axis in &bound {
        let tied = equal.contains(axis) || (product.masked && *axis == Axis::Request);
        if form.contains(axis) && !tied {
            fault(axis, "is summed, and outer in the form");
        }
        if tied && !form.is_empty() && !form.contains(axis) && relation.public.is_none() {
            fault(axis, "is tied to the outer point, and not in the form");
        }
        // An operand that is constant along a variable is counted once for each of its values: right only if the other
        // operand is not.
        if !left.contains(axis) && !right.contains(axis) {
            fault(axis, "is a variable of neither operand");
        }
    }
    for axis in left.union(&right).filter(|axis| !bound.contains(axis)) {
        if !form.is_empty() && !form.contains(axis) && relation.public.is_none() {
            fault(axis, "is outer in an operand, and not in the form");
        }
    }
    faults
}

#[test]
fn relations_are_multilinear_in_their_outer_axes() {
    for (name, layout, relations) in cases() {
        for relation in &relations {
            for product in &relation.products {
                assert_eq!(faults(&layout, relation, product), Vec::<String>::new(), "{name}");
            }
        }
    }
}

/// Blocks of a column that a term reads; reading a virtual one, or one twice, fails.
fn blocks(name: &str, layout: &Layout, term: &FormTerm, spec: &ColumnSpec) -> Vec<usize> {
    assert_eq!((term.digits.len(), term.lows.len()), (spec.digits.len(), spec.lows.len()), "{name}");
    let mut blocks = vec![0];
    for (weight, &(_, count)) in term.digits.iter().zip(&spec.digits) {
        let mut pairs = BTreeSet::new();
        for entry in &weight.entries {
            let real = weight.axis.is_none_or(|axis| entry.point < layout.axis_count(axis));
            assert!(entry.digit < count && real, "{name}: {:?} is read at a virtual index", term.column);
            assert_ne!(entry.coefficient, Coefficient::Integer(0), "{name}: {:?}", term.column);
            let point = if weight.axis.is_some() { entry.point } else { 0 };
            assert!(pairs.insert((point, entry.digit)), "{name}: {:?} is read twice at one index", term.column);
        }
        let next = |block: &usize| weight.entries.iter().map(|entry| block * count + entry.digit).collect::<Vec<_>>();
        blocks = blocks.iter().flat_map(next).collect();
    }
    for (low, &(_, bits)) in term.lows.iter().zip(&spec.lows) {
        if let LowWeight::Axis(axis) = low {
            assert_eq!(layout.axis_bits(*axis), bits, "{name}: {:?}: {axis:?}", term.column);
        }
    }
    blocks
}

/// Every block of every column is read by a relation, but for what the lookup argument alone speaks of.
#[test]
fn every_block_is_read() {
    for (name, layout, relations) in cases() {
        let mut read: BTreeMap<Column, BTreeSet<usize>> = BTreeMap::new();
        for relation in &relations {
            let operands =
                relation.products.iter().flat_map(|p| [Some(&p.left), p.right.as_ref()].into_iter().flatten());
            for term in operands.chain([&relation.form]).flat_map(|form| &form.terms) {
                let spec = &layout.placement(term.column).expect("a placement").spec;
                read.entry(term.column).or_default().extend(blocks(&name, &layout, term, spec));
            }
        }
        for placement in layout.placements() {
            let column = placement.spec.column;
            let by_lookups = Table::used(layout.shape.output)
                .iter()
                .any(|table| table.multiplicities() == column || table.values() == Some(column));
            // Registered columns of the other kind of output, and of tables that it does not use.
            let other_kind = layout.is_embedding()
                && matches!(
                    column,
                    Column::WeightPooler
                        | Column::BiasPooler
                        | Column::Classifier
                        | Column::ClassifierBias
                        | Column::TableTanh
                );
            let blocks = read.get(&column).map_or(0, BTreeSet::len);
            if by_lookups || other_kind {
                assert_eq!(blocks, 0, "{name}: {column:?}");
            } else {
                assert_eq!(blocks, placement.spec.blocks(), "{name}: {column:?} has blocks that no relation reads");
            }
        }
    }
}

/// What is larger than the errors of soundness.md or a file allow has no layout, and the refusal has both numbers.
#[test]
fn layouts_have_bounds() {
    let refused = |requests, tokens, log_tile| {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Embed };
        let error = Layout::new(&largest(), &shape).and_then(|layout| relations(&layout).map(drop)).unwrap_err();
        match error {
            CircuitError::Bound { what, most, got } => {
                assert!(got > most, "{what}");
                what
            }
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(16, 128, 20), "lookups of a batch");
    assert_eq!(refused(1, 16, 14), "tiles of a base");
    assert_eq!(refused(1, 128, 14), "tiles of a witness and its mask");
    let offered = |architecture: &Architecture, requests, tokens, log_tile| {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify };
        Layout::new(architecture, &shape).and_then(|layout| relations(&layout).map(drop))
    };
    assert_eq!(offered(&architectures()[0].1, 16, 128, 20), Ok(()));
    assert_eq!(offered(&largest(), 1, 16, 22), Ok(()));
}
