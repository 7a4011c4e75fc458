//! `cargo xtask bench`: real proofs of all-MiniLM-L6-v2 with LoRA adapters, growth over tokens and batch.
//!
//! `--enforce` fails beyond the limits; `--quick` runs only the shapes that have one. Times are the best of a few runs.

mod setup;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorica::Fr;
use lorica::check::check_inference;
use lorica::files::AdapterKey;
use lorica::prover::{Job, LoadedAdapter, MinimumShape, Prover};
use lorica::srs::SrsPolicy;
use lorica::watch::Unwatched;
use lorica_cli::error::Error;
use lorica_cli::output::{Output, peak_memory, size, time};
use lorica_cli::srs_args::development;

/// Limits of one shape: seconds per request, bytes of memory.
struct Limit {
    tau: u32,
    requests: usize,
    seconds: f64,
    memory: u64,
}

const LIMITS: [Limit; 3] = [
    Limit { tau: 18, requests: 1, seconds: 6.0, memory: 1_500_000_000 },
    Limit { tau: 20, requests: 1, seconds: 9.0, memory: 1_500_000_000 },
    Limit { tau: 20, requests: 16, seconds: 2.5, memory: 4_000_000_000 },
];
const LIMIT_TOKENS: usize = 32;
const LIMIT_CHECK: Duration = Duration::from_millis(50);
const LIMIT_PROOF: usize = 40_000;

struct Measured {
    phases: Vec<(String, Duration)>,
    prove: Duration,
    check: Duration,
    bytes: usize,
    memory: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    match bench(has("--enforce"), has("--quick")) {
        Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
        Ok(broken) => {
            broken.iter().for_each(|line| println!("LIMIT: {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn bench(enforce: bool, quick: bool) -> Result<Vec<String>, Error> {
    let out = Output::new(false);
    let model = setup::Model::load()?;
    let mut broken = Vec::new();
    for tau in [18, 20] {
        let srs = Arc::new(development(tau, &out)?);
        let start = Instant::now();
        let file = model.register(&srs, tau)?;
        println!("tau {tau}: base registered in {}", time(start.elapsed()));
        let mut adapters = Vec::new();
        for name in ["debian-qv-r8", "debian-attn-r4", "debian-ffn-r16"] {
            let start = Instant::now();
            adapters.push(setup::adapter(name, &srs, &file)?);
            println!("tau {tau}: {name} registered in {}", time(start.elapsed()));
        }
        let keys: Vec<AdapterKey> = adapters.iter().map(|adapter| adapter.key.clone()).collect();
        let prover = Prover::new(srs.clone(), file)?;
        let adapters = adapters.into_iter().map(|file| prover.load_adapter(file)).collect::<Result<Vec<_>, _>>()?;
        println!("requests tokens      prove  per request   check      proof     memory");
        let mut shapes = vec![(1, LIMIT_TOKENS), (16, LIMIT_TOKENS)];
        if !quick {
            shapes = vec![(1, 16), (1, 32), (1, 64), (1, 128), (2, 32), (4, 32), (8, 32), (16, 32)];
        }
        for (requests, tokens) in shapes {
            let runs = if requests == 1 { 3 } else { 1 };
            let measured = (0..runs)
                .map(|_| measure(&prover, &adapters, &keys, &model.text(tokens), requests))
                .collect::<Result<Vec<_>, _>>()?;
            let Some(best) = measured.into_iter().min_by_key(|measured| measured.prove) else { continue };
            println!(
                "{requests:>8} {tokens:>6} {:>10} {:>12} {:>7} {:>10} {:>10}",
                time(best.prove),
                time(best.prove / u32::try_from(requests).unwrap_or(1)),
                time(best.check),
                size(best.bytes as u64),
                size(best.memory)
            );
            if tokens == LIMIT_TOKENS && (requests == 1 || requests == 16) {
                for (name, spent) in &best.phases {
                    println!("         {name:<20} {}", time(*spent));
                }
            }
            broken.extend(beyond(tau, requests, tokens, &best));
        }
    }
    if !enforce {
        broken.iter().for_each(|line| println!("beyond a limit: {line}"));
        broken.clear();
    }
    Ok(broken)
}

/// What is beyond the limits.
fn beyond(tau: u32, requests: usize, tokens: usize, measured: &Measured) -> Vec<String> {
    let mut broken = Vec::new();
    let Some(limit) = LIMITS.iter().find(|l| l.tau == tau && l.requests == requests && tokens == LIMIT_TOKENS) else {
        return broken;
    };
    let name = format!("tau {tau}, {requests} x {tokens}");
    #[expect(clippy::cast_precision_loss, reason = "at most 16")]
    let seconds = measured.prove.as_secs_f64() / requests as f64;
    if seconds > limit.seconds {
        broken.push(format!("{name}: {seconds:.2} s per request, limit {}", limit.seconds));
    }
    if measured.memory > limit.memory {
        broken.push(format!("{name}: {}, limit {}", size(measured.memory), size(limit.memory)));
    }
    if requests == 1 && measured.check > LIMIT_CHECK {
        broken.push(format!("{name}: check in {}, limit {}", time(measured.check), time(LIMIT_CHECK)));
    }
    if requests == 1 && measured.bytes > LIMIT_PROOF {
        broken.push(format!("{name}: proof of {} bytes, limit {LIMIT_PROOF}", measured.bytes));
    }
    broken
}

fn measure(
    prover: &Prover,
    adapters: &[LoadedAdapter],
    keys: &[AdapterKey],
    ids: &[u32],
    requests: usize,
) -> Result<Measured, Error> {
    // Forgets the peak of what came before, where the system can (Linux).
    let _ = fs::write("/proc/self/clear_refs", "5");
    let jobs: Vec<Job<'_>> = (0..requests)
        .map(|i| Job { ids: ids.to_vec(), adapter: adapters.get(i % adapters.len()), salt: [i as u8; 31] })
        .collect();
    let start = Instant::now();
    let proven = prover.prove(&jobs, MinimumShape::default(), Fr::zero(), &Unwatched)?;
    let prove = start.elapsed();
    let memory = peak_memory().unwrap_or(0);
    let bytes = proven.proof.encode();
    let start = Instant::now();
    check_inference(prover.key(), keys, &[], Fr::zero(), &bytes, SrsPolicy::DevelopmentForTests)?;
    Ok(Measured { phases: proven.phases, prove, check: start.elapsed(), bytes: bytes.len(), memory })
}
