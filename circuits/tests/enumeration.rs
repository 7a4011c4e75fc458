//! What every family and every region must pass, on architectures of odd shapes: places, leaves, and that each relation
//! reads its columns as a multilinear identity may.

use std::collections::{BTreeMap, BTreeSet};

use lorica_circuits::axis::{Axis, AxisSpec};
use lorica_circuits::column::{Column, ColumnSpec, GroupLeaf, Lookup, TableSpec};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::{Activation, Architecture};
use lorica_circuits::form::{Coefficient, FormTerm, LowWeight};
use lorica_circuits::layout::{Layout, Leaf, Placement};
use lorica_circuits::program::TextSpec;
use lorica_circuits::region::{Region, RegionSpec};
use lorica_circuits::relation::{Product, Relation};
use lorica_circuits::shape::{OutputKind, Shape};

fn architecture(hidden: usize, layers: usize, heads: usize, ffn: usize, r_max: usize, vocab: usize) -> Architecture {
    Architecture {
        block: 128,
        max_tokens: 128,
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
    architecture(4096, 32, 256, 16_384, 64, 1 << 20)
}

fn architectures() -> [(&'static str, Architecture); 9] {
    let small_blocks = |of: Architecture| Architecture { block: 64, ..of };
    [
        ("30 layers of 9 small blocks", small_blocks(architecture(576, 30, 9, 1536, 16, 49_152))),
        ("one small block", Architecture { max_tokens: 256, ..small_blocks(architecture(64, 3, 4, 64, 2, 300)) }),
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
                for (log_tile, records) in [(14, 0), (18, 0), (20, 0), (14, 1 << 11), (20, 1 << 16)] {
                    let shape = Shape { requests, tokens, log_tile, output, records };
                    if records != 0 && output == OutputKind::Embed {
                        continue;
                    }
                    match architecture.layout(&shape) {
                        Ok(layout) => {
                            let relations = layout.relations().to_vec();
                            cases.push((format!("{name}, {shape:?}"), layout, relations));
                        }
                        Err(CircuitError::Bound { .. }) => {}
                        Err(other) => panic!("{name}, {shape:?}: {other}"),
                    }
                    if records == 0 {
                        continue;
                    }
                    match architecture.row_layout(&shape) {
                        Ok(layout) => {
                            let relations = layout.relations().to_vec();
                            cases.push((format!("{name}, rows, {shape:?}"), layout, relations));
                        }
                        Err(CircuitError::Bound { .. }) => {}
                        Err(other) => panic!("{name}, rows, {shape:?}: {other}"),
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
        let each = layout.program.output.row_bits == 0;
        let requests = |region| if region == Region::ADAPTER && each { layout.shape.requests } else { 1 };
        let mut spans = Vec::new();
        for placement in layout.placements() {
            let spec = &placement.spec;
            let real: usize = placement.groups.iter().map(|group| placement.group_len(group) as usize).sum();
            assert_eq!(real, spec.len(), "{name}: {:?}", spec.column);
            for (m, group) in
                (0..requests(spec.region)).flat_map(|m| placement.groups.iter().map(move |group| (m, group)))
            {
                let start = layout.region_start(spec.region, m) + group.offset;
                let end = start + placement.group_len(group);
                let bits = spec.block_bits() + group.bits;
                assert_eq!(start % (1 << bits), 0, "{name}: {:?} is not aligned", spec.column);
                let tiles = layout.tiles(spec.region, m);
                let inside =
                    (start >> tau) as usize >= tiles.first && (((end - 1) >> tau) as usize) < tiles.first + tiles.count;
                assert!(inside, "{name}: {:?} leaves its region", spec.column);
                spans.push((start, end));
            }
        }
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{name}: columns overlap");
        let regions = [Region::BASE, Region::TABLE, Region::ADAPTER, Region::INDEX, Region::WITNESS];
        let mut tiles: Vec<_> = regions
            .iter()
            .flat_map(|&r| (0..requests(r)).map(move |m| (r, m)))
            .map(|(r, m)| layout.tiles(r, m))
            .filter(|tiles| tiles.count > 0)
            .collect();
        tiles.sort_unstable_by_key(|tiles| tiles.first);
        assert!(tiles.windows(2).all(|pair| pair[0].first + pair[0].count <= pair[1].first), "{name}: regions overlap");
        assert!((layout.mask_tile() as u64 + 1) << tau <= 1 << layout.address_bits(), "{name}");
        for region in [Region::ADAPTER, Region::TABLE] {
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
        let used = &layout.program.tables;
        for placement in layout.placements() {
            let column = placement.spec.column;
            if let Lookup::Group(group) = placement.spec.lookup {
                every_group_has_a_leaf(&name, &layout, placement, group);
            }
            let Lookup::Key { table, value, .. } = placement.spec.lookup else { continue };
            assert_eq!(placement.spec.region, Region::WITNESS, "{name}: {column:?}: leaves are witness cells");
            for group in &placement.groups {
                let (start, end) = (group.offset, group.offset + placement.group_len(group));
                let run = runs.iter().find(|run| run.start <= start && end <= run.end).expect("a run");
                let offset = placement.spec.lookup.offset();
                let leaf = Leaf { numerator: 1, id: table.id(), offset, index_bits: 0, request: None };
                assert_eq!(run.leaf, leaf, "{name}: {column:?}");
            }
            let own = used.iter().find(|own| own.table == table);
            let own = own.unwrap_or_else(|| panic!("{name}: {column:?} is looked up in a table that is not used"));
            assert_eq!(value.is_some(), own.values.is_some(), "{name}: {column:?}");
            if let Some(value) = value {
                let value = layout.placement(value).expect("a placement");
                assert_eq!(
                    (&value.spec.digits, &value.spec.lows),
                    (&placement.spec.digits, &placement.spec.lows),
                    "{name}: {column:?}"
                );
                let shape = |of: &Placement| of.groups.iter().map(|g| (g.first, g.bits)).collect::<Vec<_>>();
                assert_eq!(shape(value), shape(placement), "{name}: {column:?}");
            }
        }
        for &TableSpec { table, multiplicities, .. } in used {
            let start = layout.placement(multiplicities).expect("a placement").start(0);
            let leaf = Leaf { numerator: 0, id: table.id(), offset: 0, index_bits: table.bits(), request: None };
            let run = runs.iter().find(|run| run.leaf == leaf).expect("a run");
            assert_eq!((run.start, run.end), (start, start + (1 << table.bits())), "{name}");
            assert_eq!(run.start % (1 << table.bits()), 0, "{name}: {table:?}");
        }
    }
}

/// Index proofs of every architecture and size: each cell that an index' columns own is one leaf, at one place, in the range that its
/// column has; together with the weights and the entries of the tables they are all leaves.
#[test]
fn every_cell_of_an_index_is_ranged_once() {
    let mut seen = 0;
    for (name, architecture) in architectures() {
        for (log_tile, records) in [(14, 1 << 11), (18, 1 << 14), (20, 1 << 16)] {
            let shape = Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Classify, records };
            let (Ok(layout), Ok(batch)) = (architecture.index_layout(&shape), architecture.layout(&shape)) else {
                continue;
            };
            seen += 1;
            let mut spans: Vec<(u64, u64)> = Vec::new();
            for placement in layout.placements() {
                let spec = &placement.spec;
                let leaves: u64 = placement.leaves.iter().map(|group| placement.group_len(group)).sum();
                assert_eq!(leaves as usize, spec.len(), "{name}: {:?}", spec.column);
                for (own, leaf) in placement.groups.iter().zip(&placement.leaves) {
                    assert_eq!((own.first, own.bits), (leaf.first, leaf.bits), "{name}");
                    let bits = spec.block_bits() + leaf.bits;
                    assert_eq!(leaf.offset % (1 << bits), 0, "{name}: leaves of {:?} are not aligned", spec.column);
                    spans.push((leaf.offset, leaf.offset + placement.group_len(leaf)));
                    let Lookup::Key { table, value: None, .. } = spec.lookup else { continue };
                    let run = layout.leaf_runs().iter().find(|run| run.start <= leaf.offset && leaf.offset < run.end);
                    let offset = spec.lookup.offset();
                    let expected = Leaf { numerator: 1, id: table.id(), offset, index_bits: 0, request: None };
                    assert_eq!(run.map(|run| run.leaf), Some(expected), "{name}: {:?}", spec.column);
                }
            }
            spans.sort_unstable();
            assert_eq!((spans[0].0, spans[spans.len() - 1].1), (0, layout.leaves()), "{name}");
            assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0), "{name}: leaves overlap or have gaps");
            // What a batch reads of an index is what an index proof ranges, where it ranges it.
            let of_index = |layout: &Layout| -> Vec<_> {
                let own = layout.placements().filter(|own| own.spec.region == Region::INDEX);
                own.map(|own| (own.spec.column, own.groups.clone(), own.spec.lows.clone(), own.spec.used)).collect()
            };
            assert_eq!(of_index(&layout), of_index(&batch), "{name}");
            assert_eq!(layout.occupied(Region::INDEX), batch.occupied(Region::INDEX), "{name}");
            // And what a row proof reads of it; base, tables and adapter are those of a batch too.
            let rows = architecture.row_layout(&shape).expect("a layout");
            assert_eq!(of_index(&rows), of_index(&batch), "{name}");
            for region in [Region::BASE, Region::TABLE, Region::ADAPTER, Region::INDEX] {
                assert_eq!(rows.tiles(region, 0).count, batch.tiles(region, 0).count, "{name}: {region:?}");
                assert_eq!(rows.occupied(region), batch.occupied(region), "{name}: {region:?}");
                for own in batch.placements().filter(|own| own.spec.region == region) {
                    assert_eq!(rows.placement(own.spec.column).expect("a placement").groups, own.groups, "{name}");
                }
            }
            let bounds = |column| layout.placement(column).expect("a placement").spec.lookup.bounds();
            for column in [columns::INDEX_FEATURE, columns::INDEX_WHITENING, columns::INDEX_BIAS, columns::INDEX_CORNER]
            {
                assert_eq!(bounds(column), Some((-(1 << 15), (1 << 15) - 1)));
            }
            assert_eq!(bounds(columns::INDEX_SLOT), Some((0, 1023)));
            assert_eq!(
                (bounds(columns::INDEX_CLASS), bounds(columns::RECORD_WEIGHT)),
                (Some((0, 255)), Some((0, 255)))
            );
        }
    }
    assert!(seen > 8, "{seen}");
}

/// A row proof needs an index of a size that is offered, a model whose answers are attributed, and texts that it takes; and what
/// the engine takes for granted of rows that are gathered.
#[test]
fn impossible_row_proofs_are_refused() {
    let minilm = &architectures()[2].1;
    let shape = |records| Shape { requests: 2, tokens: 16, log_tile: 18, output: OutputKind::Classify, records };
    let honest = minilm.row_program(&shape(1 << 11)).expect("a program");
    assert!(matches!(minilm.row_layout(&shape(0)), Err(CircuitError::Shape { got: 0, .. })));
    assert!(matches!(minilm.row_layout(&shape(1 << 12)), Err(CircuitError::Shape { .. })));
    let long = Shape { tokens: 256, ..shape(1 << 11) };
    assert!(matches!(minilm.row_layout(&long), Err(CircuitError::Tokens { most: 128, got: 256 })));
    let wide = architecture(1024, 16, 16, 4096, 16, 30_522);
    assert!(matches!(wide.row_layout(&shape(1 << 11)), Err(CircuitError::Bound { most: 723, got: 1024, .. })));
    let refused = |edit: &dyn Fn(&mut lorica_circuits::program::Program)| {
        let mut program = honest.clone();
        edit(&mut program);
        Layout::of(program, &shape(1 << 11)).expect_err("accepted").to_string()
    };
    let rule = "gathers rows that no request names";
    assert!(refused(&|p| p.output.row_bits = 0).contains(rule));
    // With fewer bits than the axis has, a row would be all rows that begin with it.
    assert!(refused(&|p| p.output.row_bits = 10).contains(rule));
    assert!(refused(&|p| p.output.row_bits = 12).contains(rule));
    // Rows of an axis that is none of records.
    let classes = honest.relations.iter().position(|own| own.name == "classes of a row").expect("a relation");
    assert!(refused(&|p| p.relations[classes].form.terms[0].lows[0] = LowWeight::RowOf).contains(rule));
}

/// An index proof needs an index of a size that is offered, and a model whose answers are attributed.
#[test]
fn impossible_index_proofs_are_refused() {
    let minilm = &architectures()[2].1;
    let shape = |records| Shape { requests: 1, tokens: 16, log_tile: 18, output: OutputKind::Classify, records };
    assert!(minilm.index_layout(&shape(1 << 11)).is_ok());
    assert!(matches!(minilm.index_layout(&shape(0)), Err(CircuitError::Shape { got: 0, .. })));
    assert!(matches!(minilm.index_layout(&shape(1 << 12)), Err(CircuitError::Shape { .. })));
    let wide = architecture(1024, 16, 16, 4096, 16, 30_522);
    assert!(matches!(wide.index_layout(&shape(1 << 11)), Err(CircuitError::Bound { most: 723, got: 1024, .. })));
    // What the engine takes for granted of a program without texts.
    let honest = minilm.index_program(&shape(1 << 11)).expect("a program");
    let refused = |edit: &dyn Fn(&mut lorica_circuits::program::Program)| {
        let mut program = honest.clone();
        edit(&mut program);
        Layout::of(program, &shape(1 << 11)).expect_err("accepted").to_string()
    };
    assert!(refused(&|p| p.output.scalars = 1).contains("requests, tokens or outputs"));
    assert!(refused(&|p| p.axes.push(AxisSpec::bits(Axis::REQUEST, 0))).contains("requests, tokens or outputs"));
    assert!(refused(&|p| p.axes.push(AxisSpec::bits(Axis::TOKEN, 4))).contains("requests, tokens or outputs"));
    assert!(
        refused(&|p| p.regions[0] = RegionSpec::per_request(Region::INDEX)).contains("requests, tokens or outputs")
    );
    assert!(refused(&|p| p.counted = None).contains("reads beyond a count of another axis"));
    assert!(refused(&|p| p.counted = Some(Axis::LABEL)).contains("reads beyond a count of another axis"));
    assert!(refused(&|p| p.counted = Some(Axis::TOKEN)).contains("no axis token"));
    let texts = TextSpec { vocabulary: 2, limit: 128 };
    assert!(refused(&|p| p.text = Some(texts)).contains("counts another axis"));
    // A looked-up column with values, or of a region that each request has.
    let plain = minilm.program(&shape(0)).expect("a program");
    let mut program = plain.clone();
    let spec = program.columns.iter_mut().find(|spec| spec.column == columns::LORA_A).expect("a column");
    spec.lookup = Lookup::S16;
    let error = Layout::of(program, &shape(0)).expect_err("accepted").to_string();
    assert!(error.contains("LoraA is looked up but not in the witness"), "{error}");
}

/// Key and request of a group's leaf are bits of its number: of each cell they are the group and request that it is of.
fn every_group_has_a_leaf(name: &str, layout: &Layout, placement: &Placement, group: GroupLeaf) {
    let (spec, requests) = (&placement.spec, layout.shape.requests);
    let start = placement.start(0);
    let runs: Vec<_> = layout.leaf_runs().iter().filter(|run| run.start <= start && start < run.end).collect();
    assert_eq!((runs[0].start, runs[0].end), (start, start + spec.len() as u64), "{name}: {:?}", spec.column);
    let leaf = runs[0].leaf;
    let power = if matches!(group, GroupLeaf::Summand { .. } | GroupLeaf::Sum) { 1 } else { 2 };
    let chooses = matches!(group, GroupLeaf::Choice { .. });
    assert_eq!((leaf.numerator, leaf.id), (u8::from(chooses), [6, 16][power - 1]), "{name}: {:?}", spec.column);
    let request = leaf.request.expect("a request");
    assert_eq!(usize::from(request.power), power);
    for cell in [0, 1, spec.len() / 2 - 1, spec.len() / 2, spec.len() - 1] {
        let number = (layout.address(spec.column, 0, cell).expect("an address")
            - layout.region_start(Region::WITNESS, 0)) as usize;
        let own = spec.len() / requests;
        let (of, index) = if chooses { (cell % requests, 0) } else { (cell / own, cell % own) };
        assert_eq!((number >> request.at) % (1 << request.bits), of, "{name}: {:?}", spec.column);
        if matches!(group, GroupLeaf::Sum | GroupLeaf::Count { .. }) {
            assert_eq!(number % (1 << leaf.index_bits), index, "{name}: {:?}", spec.column);
        } else {
            assert_eq!(leaf.index_bits, 0, "{name}: {:?}", spec.column);
        }
    }
}

/// A variable or a public factor less, another relation's operand: hardly one such relation is multilinear in its outer axes,
/// and a program with one that is not has no layout.
#[test]
fn relations_that_are_not_multilinear_are_refused() {
    let shape = Shape { requests: 2, tokens: 16, log_tile: 18, output: OutputKind::Classify, records: 1 << 11 };
    let honest = architecture(384, 6, 12, 1536, 16, 30_522).program(&shape).expect("a program");
    for (r, relation) in honest.relations.iter().enumerate() {
        for (p, product) in relation.products.iter().enumerate() {
            assert_eq!(honest.faults(relation, product), Ok(vec![]), "{}", relation.name);
            let refused = |edit: &dyn Fn(&mut Product)| {
                let mut program = honest.clone();
                edit(&mut program.relations[r].products[p]);
                Layout::of(program, &shape).is_err()
            };
            for at in 0..product.variables.len() {
                let edit = |own: &mut Product| {
                    own.variables.remove(at);
                };
                assert!(refused(&edit), "{}: without variable {:?}", relation.name, product.variables[at]);
            }
            for (at, factor) in product.public.iter().enumerate() {
                // A product with an empty form says that a sum is zero, tied to a point or not.
                let tied = !relation.form.terms.is_empty();
                let edit = |own: &mut Product| {
                    own.public.remove(at);
                };
                assert!(!tied || refused(&edit), "{}: without {factor:?}", relation.name);
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
            for term in relation.forms().flat_map(|form| &form.terms) {
                let spec = &layout.placement(term.column).expect("a placement").spec;
                read.entry(term.column).or_default().extend(blocks(&name, &layout, term, spec));
            }
        }
        for placement in layout.placements() {
            let column = placement.spec.column;
            let by_lookups = layout
                .program
                .tables
                .iter()
                .any(|table| table.multiplicities == column || table.values == Some(column))
                || (column == columns::INDEX_SLOT && layout.program.output.row_bits == 0);
            // Registered columns of the other kind of output, and of tables that it does not use.
            let other_kind = (layout.shape.output == OutputKind::Embed)
                && matches!(
                    column,
                    columns::WEIGHT_POOLER
                        | columns::BIAS_POOLER
                        | columns::LORA_A_POOLER
                        | columns::LORA_B_POOLER
                        | columns::CLASSIFIER
                        | columns::CLASSIFIER_BIAS
                        | columns::TABLE_TANH
                );
            // Rows have no answer, and are attributed to nobody.
            let no_answer = layout.program.output.row_bits > 0
                && matches!(
                    column,
                    columns::CLASSIFIER
                        | columns::CLASSIFIER_BIAS
                        | columns::INDEX_WHITENING
                        | columns::INDEX_BIAS
                        | columns::INDEX_CORNER
                );
            let blocks = read.get(&column).map_or(0, BTreeSet::len);
            if by_lookups || other_kind || no_answer {
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
    let refused = |of: Architecture, requests, tokens, log_tile| {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Embed, records: 0 };
        let error = of.layout(&shape).unwrap_err();
        match error {
            CircuitError::Bound { what, most, got } => {
                assert!(got > most, "{what}");
                what
            }
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(largest(), 16, 128, 20), "lookups of a batch");
    assert_eq!(refused(largest(), 1, 16, 14), "tiles of a registered region");
    assert_eq!(refused(architecture(1024, 16, 16, 4096, 16, 30_522), 4, 128, 14), "tiles of a witness and its mask");
    let offered = |architecture: &Architecture, requests, tokens, log_tile| {
        let shape = Shape { requests, tokens, log_tile, output: OutputKind::Classify, records: 0 };
        architecture.layout(&shape).map(drop)
    };
    assert_eq!(offered(&architectures()[2].1, 16, 128, 20), Ok(()));
    assert_eq!(offered(&largest(), 1, 16, 22), Ok(()));
}
