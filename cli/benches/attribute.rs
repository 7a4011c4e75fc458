//! `cargo xtask bench --attribute`: what the proof of shares adds to an inference proof of all-MiniLM-L6-v2.
//!
//! Each pair is the same batch without and with an index, one after the other, and the ratio is the median of the pairs: of
//! the time, and of the processor's time, which other programs disturb less. The cells of the index are drawn: as many bits as
//! honest ones, no datanet's. `--enforce` fails beyond the limits.

mod setup;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorica::Fr;
use lorica::datanet::{Report, Rules, Version};
use lorica::files::{AdapterFile, AdapterKey, BaseFile, DatanetFile};
use lorica::prover::{Job, LoadedAdapter, LoadedIndex, MinimumShape, Prover, ProverError};
use lorica::srs::AcceptedSrs;
use lorica::watch::Unwatched;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{LABELS, RECORDS};
use lorica_cli::error::Error;
use lorica_cli::output::{Output, peak_memory, size, time};
use lorica_cli::srs_args::development;
use lorica_prover::cells::Placed;
use lorica_prover::prove::{Blinded, commit_blinded};
use lorica_quant::index::{IndexCells, SLOTS, region};
use lorica_verifier::protocol::key::{AdapterCommitments, IndexCommitments, index_shape};

const TAU: u32 = 20;
const TOKENS: usize = 32;
/// Requests of a batch, and how many pairs are measured.
const BATCHES: [(usize, usize); 2] = [(1, 7), (16, 3)];
/// Records, requests, and the limit of the ratio.
const LIMITS: [(usize, usize, f64); 4] =
    [(1 << 11, 1, 1.06), (1 << 11, 16, 1.06), (1 << 16, 1, 1.4), (1 << 16, 16, 1.2)];
/// The contributors' weight of a row that is alone.
const WEIGHT: u8 = 240;

fn main() -> ExitCode {
    let enforce = std::env::args().any(|argument| argument == "--enforce");
    match bench() {
        Ok(broken) => {
            broken.iter().for_each(|line| println!("beyond a limit: {line}"));
            ExitCode::from(u8::from(enforce && !broken.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn bench() -> Result<Vec<String>, Error> {
    let model = setup::Model::load()?;
    let srs = Arc::new(development(TAU, &Output::new(false))?);
    let base = model.register(&srs, TAU)?;
    let AdapterFile { key, model: integer } = setup::adapter("debian-qv-r8", &srs, &base)?;
    // The adapter as it is once it names a datanet version.
    let commitments = AdapterCommitments { version: Some(Fr::from(7)), ..key.commitments.clone() };
    let adapter = AdapterFile { key: AdapterKey { commitments, ..key }, model: integer };
    let files: Vec<DatanetFile> =
        RECORDS.into_iter().map(|records| datanet(&srs, &base, &adapter, records)).collect::<Result<_, _>>()?;
    let prover = Prover::new(srs, base)?;
    let adapter = prover.load_adapter(adapter)?;
    let mut broken = Vec::new();
    println!("records requests    without       with   ratio   processor's   memory without     with");
    for file in files {
        let records = file.key.records;
        let index = prover.load_index(file)?;
        for (requests, pairs) in BATCHES {
            let measured = (0..pairs)
                .map(|_| {
                    let plain = prove(&prover, &adapter, None, &model.text(TOKENS), requests)?;
                    Ok((plain, prove(&prover, &adapter, Some(&index), &model.text(TOKENS), requests)?))
                })
                .collect::<Result<Vec<_>, Error>>()?;
            let ratio = |of: fn(&Measured) -> Duration| {
                median(measured.iter().map(|(plain, with)| of(with).as_secs_f64() / of(plain).as_secs_f64()))
            };
            let (wall, processor) = (ratio(|run| run.time), ratio(|run| run.processor));
            let Some((plain, with)) = measured.iter().min_by_key(|(_, with)| with.time) else { continue };
            println!(
                "{records:>7} {requests:>8} {:>10} {:>10} {wall:>7.3} {processor:>13.3} {:>16} {:>8}",
                time(plain.time),
                time(with.time),
                size(plain.memory),
                size(with.memory),
            );
            for (name, spent) in &with.phases {
                let own = plain.phases.iter().find(|(own, _)| own == name).map_or(Duration::ZERO, |(_, own)| *own);
                println!("        {name:<16} {:>10} {:>10}", time(own), time(*spent));
            }
            let limit = LIMITS.iter().find(|limit| (limit.0, limit.1) == (records, requests));
            if let Some((_, _, limit)) = limit.filter(|limit| wall > limit.2) {
                broken.push(format!("{records} records, {requests} requests: {wall:.3}, limit {limit}"));
            }
        }
    }
    Ok(broken)
}

/// A datanet file of as many records as the class has room for, with an index of drawn cells and nothing else.
fn datanet(srs: &AcceptedSrs, base: &BaseFile, adapter: &AdapterFile, records: usize) -> Result<DatanetFile, Error> {
    let commitments = &base.key.commitments;
    let (hidden, mut draw) = (commitments.architecture.hidden, Draw(records as u64));
    let cells = IndexCells {
        hidden_size: hidden,
        count: records,
        // Honest rows have a norm of about 2^14.
        features: (0..records * hidden).map(|_| draw.signed(13)).collect(),
        classes: (0..records).map(|_| draw.class()).collect(),
        slots: (0..records).map(|_| draw.below(SLOTS)).map(|slot| u16::try_from(slot).unwrap_or(0)).collect(),
        inverse: (0..hidden * hidden).map(|_| draw.signed(15)).collect(),
        bias: (0..hidden).map(|_| draw.signed(15)).collect(),
        corner: draw.signed(15),
    };
    let layout = commitments.architecture.layout(&index_shape(TAU, records))?;
    let placed = Placed::new(&layout, Region::INDEX, &region(&cells, &commitments.architecture, records)?)?;
    let region = Blinded::new(&layout, Region::INDEX, placed.into()).map_err(ProverError::Prove)?;
    let tiles = commit_blinded(srs, TAU, &region, &Unwatched).map_err(ProverError::Prove)?;
    let own = &adapter.key.commitments;
    let key = IndexCommitments { adapter: own.id(), version: own.version_word(), records, count: records, tiles };
    let version = Version {
        records: Vec::new(),
        contributors: Vec::new(),
        rules: Rules::new(adapter.key.labels.clone(), 1, TOKENS),
        licence: String::new(),
        standard: String::new(),
        salt: [0; 31],
    };
    let (base, blinding) = (commitments.id(), region.blinding);
    Ok(DatanetFile { base, key, blinding, version, cells, exponent: 0, report: Report::default() })
}

/// Numbers by splitmix64: the same in each run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    /// Of this many bits and a sign.
    fn signed(&mut self, bits: u32) -> i16 {
        let magnitude = i16::try_from(self.next() & ((1 << bits) - 1)).unwrap_or(i16::MAX);
        if self.next() & 1 == 0 { magnitude } else { -magnitude }
    }

    /// The weight at one of the labels.
    fn class(&mut self) -> [u8; LABELS] {
        let mut class = [0; LABELS];
        class[self.below(LABELS)] = WEIGHT;
        class
    }
}

struct Measured {
    phases: Vec<(String, Duration)>,
    time: Duration,
    processor: Duration,
    memory: u64,
}

fn prove(
    prover: &Prover,
    adapter: &LoadedAdapter,
    index: Option<&LoadedIndex>,
    ids: &[u32],
    requests: usize,
) -> Result<Measured, Error> {
    // Forgets the peak of what came before, where the system can (Linux).
    let _ = fs::write("/proc/self/clear_refs", "5");
    let jobs: Vec<Job<'_>> =
        (0..requests).map(|i| Job { ids: ids.to_vec(), adapter: Some(adapter), salt: [i as u8; 31] }).collect();
    let (start, processor) = (Instant::now(), processor_time());
    let proven = prover.prove_attributed(&jobs, index, MinimumShape::default(), Fr::zero(), &Unwatched)?;
    let (time, processor) = (start.elapsed(), processor_time().saturating_sub(processor));
    Ok(Measured { phases: proven.phases, time, processor, memory: peak_memory().unwrap_or(0) })
}

/// The processor's time of this process, where the system tells (Linux): user and system, in ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which is in brackets, utime and stime are the 12th and 13th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
