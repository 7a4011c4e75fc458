//! A family that is no transformer: ten columns, one relation, a registered region of its own, layers in the low bits. The
//! engine takes it as it takes an encoder.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use lorica_cells::Columns;
use lorica_cells::watch::Unwatched;
use lorica_circuits::axis::{Axis, AxisSpec};
use lorica_circuits::blocks::equal;
use lorica_circuits::bn254::{Field, Fr, G1Affine};
use lorica_circuits::column::{Column, ColumnSpec, Lookup, Table, TableSpec};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::LowWeight;
use lorica_circuits::layout::Layout;
use lorica_circuits::program::{OutputSpec, Program, TextSpec};
use lorica_circuits::read::{Columns as Read, ROUND, UNIT, form};
use lorica_circuits::region::{Region, RegionSpec};
use lorica_circuits::relation::{Product, PublicFactor, Relation};
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Cells, Placed};
use lorica_prover::operand::Text;
use lorica_prover::prove::{Phases, ProgramProof, commit_region, prove_program};
use lorica_prover::srs::Srs;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{FieldError, field_part, proof_transcript};
use lorica_verifier::protocol::group::{GroupClaim, GroupError};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::statement::{Inputs, RequestInputs};
use lorica_verifier::protocol::verify::{VerifyError, combined_terms};

const LOG_TILE: u32 = 14;
static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(LOG_TILE).expect("a small development SRS"));

/// A registered region that no encoder has: offsets, committed apart from the weights.
const OFFSETS: Region = Region::new(16, "offsets");
/// Stages, five: four of them lie together in the low bits of an address, the fifth alone.
const STAGE: Axis = Axis::new(256, "stage");
const OUT: Axis = Axis::new(257, "out");
const IN: Axis = Axis::new(258, "in");

const WEIGHT: Column = Column::new(1000, "weight");
const OFFSET: Column = Column::new(1001, "offset");
const INPUT: Column = Column::new(1002, "input");
const SUM: Column = Column::new(1003, "sum");
const REMAINDER: Column = Column::new(1004, "remainder");
const COUNTS: Column = Column::new(1005, "counts");

const STAGES: usize = 5;
const CHANNELS: usize = 32;
const TOKENS: usize = 16;

/// `Σ_in weight·input + offset + 2^15 = sum·2^16 + remainder`, of every stage, request and token.
fn program(shape: &Shape) -> Result<Program, CircuitError> {
    let axes = vec![
        AxisSpec::bits(Axis::REQUEST, shape.request_bits()),
        AxisSpec::bits(Axis::TOKEN, shape.token_bits()),
        AxisSpec::bits(Axis::ENTRY, 16),
        AxisSpec::counted(STAGE, STAGES),
        AxisSpec::counted(OUT, CHANNELS),
        AxisSpec::counted(IN, CHANNELS),
    ];
    let (request, token) = ((Axis::REQUEST, shape.request_bits()), (Axis::TOKEN, shape.token_bits()));
    let (stage, out, own_in) = (vec![(STAGE, STAGES)], (OUT, 5), (IN, 5));
    let column = |name, region, lows: &[(Axis, u32)]| {
        let digits = if name == COUNTS { vec![] } else { stage.clone() };
        ColumnSpec::new(name, region, &[STAGE], digits, lows.to_vec())
    };
    let columns = vec![
        column(WEIGHT, Region::BASE, &[out, own_in]),
        column(OFFSET, OFFSETS, &[out]),
        column(INPUT, Region::WITNESS, &[request, token, own_in]).looked_up(Lookup::S16),
        column(SUM, Region::WITNESS, &[request, token, out]).looked_up(Lookup::S16),
        column(REMAINDER, Region::WITNESS, &[request, token, out]).looked_up(Lookup::U16),
        column(COUNTS, Region::WITNESS, &[(Axis::ENTRY, 16)]),
    ];
    let read = Read::new(&axes, &columns);
    let relation = Relation {
        name: "stage",
        products: vec![Product {
            coefficient: 1,
            variables: vec![STAGE, IN],
            public: equal(&[STAGE]),
            left: form([read.read(INPUT)?]),
            right: Some(form([read.read(WEIGHT)?])),
        }],
        form: form([read.read(SUM)?.times(UNIT), read.read(REMAINDER)?, read.read(OFFSET)?.times(-1)]),
        constants: vec![read.scaled(-ROUND, &[STAGE, OUT])?],
        public: None,
    };
    Ok(Program {
        axes,
        outer: vec![STAGE, Axis::REQUEST, Axis::TOKEN, OUT],
        regions: vec![RegionSpec::once(Region::BASE), RegionSpec::once(OFFSETS), RegionSpec::once(Region::WITNESS)],
        columns,
        tables: vec![TableSpec { table: Table::RANGE16, values: None, multiplicities: COUNTS }],
        scales: 0,
        text: Some(TextSpec { vocabulary: 2, limit: 128 }),
        counted: None,
        output: OutputSpec { scalars: 0, labelled: false, shares: 0, row_bits: 0 },
        relations: vec![relation],
    })
}

struct World {
    layout: Layout,
    cells: Cells,
    commitments: Vec<(Region, Vec<G1Affine>)>,
    /// What the transcript knows of the region of its own.
    offsets: Fr,
}

fn placed(layout: &Layout, region: Region, columns: &BTreeMap<Column, Vec<i64>>) -> Placed {
    let columns: Columns = columns.iter().map(|(column, cells)| (*column, cells.clone())).collect();
    Placed::new(layout, region, &columns).expect("its columns")
}

impl World {
    /// Weights, offsets and a witness; `edit` changes columns after the witness is computed.
    fn new(requests: usize, edit: impl FnOnce(&mut BTreeMap<Column, Vec<i64>>)) -> Self {
        let shape = Shape { requests, tokens: TOKENS, log_tile: LOG_TILE, output: OutputKind::Embed, records: 0 };
        let layout = Layout::of(program(&shape).expect("a program"), &shape).expect("a layout");
        let mut seed = 11u64;
        let mut random = |bits: u32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> (64 - bits)) as i64 - (1 << (bits - 1))
        };
        let mut vector = |length: usize, bits| -> Vec<i64> { (0..length).map(|_| random(bits)).collect() };
        let rows = requests * TOKENS;
        let weight = vector(STAGES * CHANNELS * CHANNELS, 12);
        let offset = vector(STAGES * CHANNELS, 24);
        let input = vector(STAGES * rows * CHANNELS, 16);
        let (mut sum, mut remainder) = (Vec::new(), Vec::new());
        for stage in 0..STAGES {
            for row in 0..rows {
                let x = &input[(stage * rows + row) * CHANNELS..][..CHANNELS];
                for out in 0..CHANNELS {
                    let w = &weight[(stage * CHANNELS + out) * CHANNELS..][..CHANNELS];
                    let products: i64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                    let total = products + offset[stage * CHANNELS + out] + ROUND;
                    sum.push(total.div_euclid(UNIT));
                    remainder.push(total.rem_euclid(UNIT));
                }
            }
        }
        let mut counts = vec![0; 1 << 16];
        for (cells, by) in [(&input, 1 << 15), (&sum, 1 << 15), (&remainder, 0)] {
            cells.iter().for_each(|cell| counts[(cell + by) as usize] += 1);
        }
        let mut columns = BTreeMap::from([
            (WEIGHT, weight),
            (OFFSET, offset),
            (INPUT, input),
            (SUM, sum),
            (REMAINDER, remainder),
            (COUNTS, counts),
        ]);
        let commitments: Vec<(Region, Vec<G1Affine>)> = [Region::BASE, OFFSETS]
            .map(|region| {
                let own = placed(&layout, region, &columns);
                (region, commit_region(&SRS, &layout, region, &own).expect("commitments"))
            })
            .into();
        edit(&mut columns);
        let registered =
            [Region::BASE, OFFSETS].map(|region| (region, vec![Some(Arc::new(placed(&layout, region, &columns)))]));
        let witness = placed(&layout, Region::WITNESS, &columns);
        let cells = Cells { registered: registered.into(), witness, blinding: BTreeMap::new() };
        let offsets = digest_points(&commitments[1].1);
        Self { layout, cells, commitments, offsets }
    }

    fn inputs(&self, witness: Fr, prover_salt: Fr) -> Inputs<Fr> {
        let mut ids = vec![Fr::ZERO; 128];
        ids[1] = Fr::ONE;
        let request = RequestInputs {
            ids,
            length: Fr::from(2),
            salt: Fr::from(3),
            outputs: vec![],
            label: Fr::ZERO,
            shares: vec![],
        };
        Inputs {
            architecture: Fr::from(77),
            shape: [self.layout.shape.requests as u64, TOKENS as u64, LOG_TILE.into(), 2].map(Fr::from).into(),
            srs: SRS.digest_word(),
            base: Fr::from(78),
            adapters: Fr::ZERO,
            regions: vec![self.offsets],
            attributing: None,
            count: Fr::ONE,
            context: Fr::ZERO,
            witness,
            prover_salt,
            scales: vec![],
            requests: vec![request; self.layout.shape.requests],
        }
    }

    fn prove(&self) -> ProgramProof {
        let texts =
            vec![Text { length: 2, ids: vec![0; TOKENS], attributed: None, row: None }; self.layout.shape.requests];
        let inputs = |witness, salt| Ok(self.inputs(witness, salt));
        prove_program(&SRS, &self.layout, &self.cells, texts, inputs, &mut Phases::new(), &Unwatched).expect("a proof")
    }

    fn verify(&self, proof: &ProgramProof) -> Result<(), Box<dyn std::error::Error>> {
        let mut transcript = proof_transcript(&mut Native);
        let inputs = self.inputs(digest_points(&proof.witness), proof.prover_salt);
        let outcome = field_part(&mut Native, &mut transcript, &self.layout, &inputs, &proof.messages)?;
        let registered: Vec<_> =
            self.commitments.iter().map(|(region, points)| (*region, vec![points.as_slice()])).collect();
        let claim = GroupClaim {
            variables: LOG_TILE as usize,
            terms: combined_terms(&self.layout, 1, &registered, &proof.witness, &outcome.rho_high)?,
            outcome: outcome.mercury,
            messages: proof.messages.mercury.clone(),
        };
        Ok(claim.check(&SRS.verifier_key(), &proof.opening)?)
    }
}

#[test]
fn a_second_family_proves() {
    for requests in [1, 2] {
        let world = World::new(requests, |_| {});
        let groups = &world.layout.placement(WEIGHT).expect("a placement").groups;
        assert_eq!(groups.iter().map(|group| (group.first, group.bits)).collect::<Vec<_>>(), [(0, 2), (4, 0)]);
        world.verify(&world.prove()).expect("an honest proof");
    }
}

/// A cell of each column is another than the relation, the table or the registration says.
#[test]
fn its_forgeries_are_rejected() {
    let error = |column: Column, cell: usize| {
        let world = World::new(2, |columns| columns.get_mut(&column).expect("a column")[cell] += 1);
        world.verify(&world.prove()).expect_err("accepted")
    };
    // In a group of four stages, and in the stage that lies alone.
    for stage in [1, 4] {
        for (column, cells) in [(WEIGHT, CHANNELS * CHANNELS), (OFFSET, CHANNELS)] {
            // The weights are no witness: a prover of other ones breaks the relation before the commitments tell.
            assert!(error(column, stage * cells + 7).is::<FieldError>(), "{column:?}");
        }
        for column in [INPUT, SUM, REMAINDER] {
            assert!(error(column, stage * 2 * TOKENS * CHANNELS + 5).is::<FieldError>(), "{column:?}");
        }
    }
    assert!(error(COUNTS, 9).is::<FieldError>());
}

/// A model whose relation holds, but which is not the registered one.
#[test]
fn other_registered_cells_are_rejected() {
    let mut world = World::new(1, |_| {});
    for at in 0..2 {
        let honest = std::mem::replace(&mut world.commitments[at].1[0], G1Affine::generator());
        let error = world.verify(&world.prove()).expect_err("accepted");
        assert_eq!(*error.downcast::<GroupError>().expect("the group claim"), GroupError::Pairing);
        world.commitments[at].1[0] = honest;
    }
    // A list less, one more for a region that stands once, another region's.
    let proof = world.prove();
    let shape =
        |world: &World| *world.verify(&proof).expect_err("accepted").downcast::<VerifyError>().expect("a shape");
    let own = world.commitments.pop().expect("offsets");
    assert_eq!(shape(&world), VerifyError::Shape { what: "registered regions", expected: 2, got: 1 });
    world.commitments.push((Region::ADAPTER, own.1.clone()));
    assert_eq!(shape(&world), VerifyError::Shape { what: "offsets", expected: 1, got: 0 });
    // Another word for the region is another transcript.
    world.commitments[1] = own;
    world.offsets += Fr::ONE;
    assert!(world.verify(&proof).expect_err("accepted").is::<FieldError>());
}

/// What the engine takes for granted of a program is checked.
#[test]
fn impossible_programs_are_refused() {
    let shape = Shape { requests: 1, tokens: TOKENS, log_tile: LOG_TILE, output: OutputKind::Embed, records: 0 };
    let refused = |edit: &dyn Fn(&mut Program)| {
        let mut program = program(&shape).expect("a program");
        edit(&mut program);
        Layout::of(program, &shape).expect_err("accepted").to_string()
    };
    assert!(refused(&|p| p.regions.swap(0, 2)).contains("the witness is not the last region"));
    assert!(refused(&|p| p.regions.retain(|own| own.region != OFFSETS)).contains("offset lies in no region"));
    assert!(refused(&|p| p.columns.push(p.columns[0].clone())).contains("two columns weight"));
    assert!(refused(&|p| p.axes.push(p.axes[0].clone())).contains("two axes request"));
    assert!(refused(&|p| p.tables.clear()).contains("a table that the program lacks"));
    assert!(refused(&|p| p.tables[0].multiplicities = WEIGHT).contains("weight has another length"));
    // A registered column may be a range's key; values beside it may not.
    let valued = Lookup::Key { table: Table::RANGE16, signed: true, value: Some(OFFSET) };
    assert!(refused(&|p| p.columns[0].lookup = valued).contains("looked up but not in the witness"));
    assert!(refused(&|p| p.columns[3].digits[0].1 = 6).contains("more digits than stage"));
    assert!(refused(&|p| p.outer.push(Axis::KEY)).contains("no axis key"));
    assert!(refused(&|p| p.regions[0].region = OFFSETS).contains("two regions offsets"));
    assert!(
        refused(&|p| p.text = Some(TextSpec { vocabulary: 2, limit: 8 })).contains("16 tokens are more than the 8")
    );
    assert!(refused(&|p| p.axes[1].bits = 3).contains("token has other bits than the shape"));
    // Axes of parts: one level, and bits that add up.
    let part = |axis, bits, parts: &[Axis]| AxisSpec { parts: parts.to_vec(), ..AxisSpec::bits(axis, bits) };
    assert!(
        refused(&|p| p.axes.push(part(Axis::CHANNEL, 4, &[OUT]))).contains("channel has other bits than its parts")
    );
    let nested =
        |p: &mut Program| p.axes.extend([part(Axis::CHANNEL, 5, &[OUT]), part(Axis::DEPTH, 5, &[Axis::CHANNEL])]);
    assert!(refused(&nested).contains("channel is a part and has parts"));
    // A relation that is no identity at every index.
    let product = |p: &mut Program, edit: &dyn Fn(&mut Product)| edit(&mut p.relations[0].products[0]);
    assert!(refused(&|p| product(p, &|own| own.public.clear())).contains("stage is summed, and outer in the form"));
    let both = |own: &mut Product| (own.variables, own.public) = (vec![IN], vec![]);
    assert!(refused(&|p| product(p, &both)).contains("stage is outer in both operands"));
    assert!(
        refused(&|p| product(p, &|own| own.public.push(PublicFactor::Equal(OUT)))).contains("out is tied to the outer")
    );
    assert!(
        refused(&|p| product(p, &|own| own.public.push(PublicFactor::Length(IN))))
            .contains("in of 5 bits is read with 4")
    );
    let other_bits = |own: &mut Product| own.left.terms[0].lows[2] = LowWeight::Axis(Axis::TOKEN);
    assert!(refused(&|p| product(p, &other_bits)).contains("token of 4 bits is read with 5"));
    let masked = |own: &mut Product| own.left.terms[0].lows[2] = LowWeight::Masked;
    assert!(refused(&|p| product(p, &masked)).contains("masks an axis that does not count tokens"));
    let gathered = |own: &mut Product| own.left.terms[0].lows[2] = LowWeight::WordOf;
    assert!(refused(&|p| product(p, &gathered)).contains("gathers from another vocabulary"));
}
