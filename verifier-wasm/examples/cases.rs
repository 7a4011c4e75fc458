//! Writes the cases of the browser's test, or one case of given files, as JSON with the answer and the time of the native
//! check: `cargo run --release -p lorica-verifier-wasm --example cases -- OUTPUT [FILE ..]`.

#[path = "../tests/support/cases.rs"]
mod cases;

use std::path::Path;
use std::time::Instant;

use cases::{Case, Verdict, input};
use lorica_verifier_wasm::check::{Expected, run};
use serde_json::{Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (output, files) = arguments.split_first().expect("an output is needed");
    let cases = if files.is_empty() {
        cases::cases()
    } else {
        let name = |path: &String| Path::new(path).file_name().expect("a name").to_string_lossy().into_owned();
        let read = |path: &String| (name(path), std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}")));
        let files: Vec<_> = files.iter().map(read).collect();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        vec![Case { name: names.join(", "), expected: Expected::default(), files, verdict: Verdict::Accepted }]
    };
    let case = |case: &Case| {
        let input = input(case);
        let mut best = f64::INFINITY;
        let mut answer = String::new();
        for _ in 0..if case.verdict == Verdict::Accepted { 5 } else { 1 } {
            let start = Instant::now();
            answer = run(&input);
            best = best.min(start.elapsed().as_secs_f64() * 1000.0);
        }
        let Expected { base, context, circuit } = &case.expected;
        let files: Vec<Value> =
            case.files.iter().map(|(name, bytes)| json!({ "name": name, "hex": hex::encode(bytes) })).collect();
        // The answer stays text: what it becomes is JavaScript's reading of it, as in the page.
        json!({
            "name": case.name, "expected": { "base": base, "context": context, "circuit": circuit }, "files": files,
            "verdict": format!("{:?}", case.verdict).to_lowercase(), "answer": answer, "native_ms": best,
        })
    };
    let cases: Vec<Value> = cases.iter().map(case).collect();
    std::fs::write(output, Value::Array(cases).to_string()).unwrap_or_else(|error| panic!("{output}: {error}"));
}
