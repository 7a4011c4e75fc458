//! `cargo xtask fuzz`: coverage-guided fuzzing of one decoder. Needs cargo-fuzz and a C++ compiler.

use std::fs;

use crate::{root, run_with};

/// Targets of `fuzz/targets`, with the largest input in bytes that the fuzzer makes.
const TARGETS: [(&str, u32); 16] = [
    ("proof", 1 << 16),
    ("base_key", 1 << 14),
    ("adapter_key", 1 << 14),
    ("base_model", 1 << 20),
    ("adapter_model", 1 << 18),
    ("srs", 1 << 13),
    ("adapter_weights", 1 << 16),
    ("adapter_config", 1 << 13),
    ("requests", 1 << 13),
    ("tokenizer", 1 << 13),
    ("srs_import", 1 << 16),
    ("settlement", 1 << 14),
    ("settlement_key", 1 << 13),
    ("index_key", 1 << 14),
    ("datanet", 1 << 16),
    ("records", 1 << 13),
];

/// `<target> [seconds]`: 180 seconds if nothing else is said.
pub fn fuzz(arguments: &[String]) -> bool {
    let known = arguments.first().and_then(|name| TARGETS.iter().find(|(target, _)| target == name));
    let Some((target, length)) = known else {
        let names: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
        eprintln!("cargo xtask fuzz <target> [seconds]\n\ntargets: {}", names.join(", "));
        return false;
    };
    let seconds = arguments.get(1).map_or("180", String::as_str);
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    if let Err(error) = fs::create_dir_all(root().join(&corpus)) {
        eprintln!("xtask: {corpus}: {error}");
        return false;
    }
    let write = [
        "test",
        "--release",
        "--locked",
        "--package",
        "lorica-cli",
        "--test",
        "all",
        "fuzz_seeds::",
        "--",
        "--ignored",
    ];
    let limits = [format!("-max_total_time={seconds}"), format!("-max_len={length}")];
    let mut start = vec!["fuzz", "run", target, &corpus, &seeds, "--"];
    start.extend(limits.iter().map(String::as_str));
    start.extend(["-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=20", "-print_final_stats=1"]);
    // The stable compiler has sanitizers too, behind this variable.
    run_with("cargo", &write, &[("LORICA_FUZZ_TARGET", target)])
        && run_with("cargo", &start, &[("RUSTC_BOOTSTRAP", "1")])
}
