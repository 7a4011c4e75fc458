//! Task runner: `cargo xtask <task>`. Its tasks are the README's and those of continuous integration.

#![forbid(unsafe_code)]

mod circles;
mod ezkl;
mod fuzz;
mod page;
mod quickstart;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const HELP: &str = "\
cargo xtask <task>

  quick   formatting, lints, unit tests in the development profile
  test    all tests in the release profile; fetches the model that they need
  lint    formatting and lints, that no modules use each other in a circle, and proto where buf is installed
  circles the modules by themselves: a second
  proto   lints the service's protocol, and compares it with the frozen one (needs buf, PyPI's buf-bin)
  deny    licences, sources and bans of dependencies (needs cargo-deny)
  contracts
          Solidity tests, that the committed artifacts are reproducible, and Rust against anvil (needs npm)
  quickstart
          [--native] [--built]: the commands of docs/quickstart.md, against anvil (needs npm); with --native of
          docs/quickstart-native.md, where OPEN is the chain's gas token; with --built by the program that the tests have built
  bench   times and sizes of real proofs; with --enforce fails beyond the limits; with --attribute what the proof of shares
          adds to them; with --ezkl compares with EZKL, which pip installs into the cache
  attribution-study
          how well proven attribution predicts retraining, and what cheating gains, on the fixture (some minutes; --help)
  oracle  the opening against nova-snark's: a build of its own, some minutes
  verifier-page
          the verifier as one HTML file: target/verifier-page/index.html
  wasm    [file ..]: that page in a headless Chromium, with honest and forged files, or with these (needs node and
          Chromium, which apt installs where it can)
  fuzz    <target> [seconds]: fuzzes a decoder (needs cargo-fuzz and a C++ compiler)
";

/// One command line, run in the workspace's root.
type Step<'s> = (&'s str, Vec<&'s str>);

/// What clients rely on stays as it is: the frozen descriptor is written by `buf build service/proto -o`, when something is added.
const FROZEN: &str = "service/proto/frozen.binpb";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    // In the profile of the tests that come after it: procedural macros and build scripts are built once for both.
    let lint = |profile: &'static str| -> [Step<'_>; 2] {
        let clippy =
            ["clippy", "--workspace", "--all-targets", "--locked", "--profile", profile, "--", "-D", "warnings"];
        [("cargo", vec!["fmt", "--all", "--check"]), ("cargo", clippy.to_vec())]
    };
    let done = match task {
        "quick" => {
            run_all(&lint("dev")) && run_all(&[("cargo", vec!["test", "--workspace", "--locked", "--lib", "--bins"])])
        }
        "lint" => circles::check(&root()) && run_all(&lint("release")) && (!has_buf() || run_all(&proto())),
        "circles" => circles::check(&root()),
        "proto" => run_all(&proto()),
        // Not nextest: it starts a process per test, and each would calibrate the real model again.
        "test" => {
            let lorica = target_folder().join("release/lorica");
            run_all(&[
                // With the features of the whole workspace: alone, the command line would have its dependencies built once more.
                ("cargo", vec!["test", "--workspace", "--release", "--locked", "--no-run"]),
                (&lorica.to_string_lossy(), vec!["model", "fetch", "minilm"]),
                // All failures at once: a run takes long.
                ("cargo", vec!["test", "--workspace", "--release", "--locked", "--no-fail-fast"]),
            ])
        }
        "deny" => {
            // One list of licences for all: not each tree has all of them.
            const CHECK: [&str; 8] = [
                "check",
                "-A",
                "license-not-encountered",
                "-A",
                "license-exception-not-encountered",
                "bans",
                "licenses",
                "sources",
            ];
            let of = |manifest| {
                [&["deny", "--locked", "--config", "deny.toml", "--manifest-path", manifest][..], &CHECK].concat()
            };
            run_all(&["Cargo.toml", "oracle/Cargo.toml", "fuzz/Cargo.toml"].map(|manifest| ("cargo", of(manifest))))
        }
        "oracle" => {
            const MANIFEST: &str = "oracle/Cargo.toml";
            run_all(&[
                ("cargo", vec!["fmt", "--manifest-path", MANIFEST, "--check"]),
                ("cargo", vec!["test", "--manifest-path", MANIFEST, "--release", "--locked"]),
            ])
        }
        "contracts" => {
            const FOLDER: &str = "verifier-contracts";
            run_all(&[
                // Not `npm ci`: it insists on the optional packages of other platforms, which a registry may lack.
                ("npm", vec!["install", "--prefix", FOLDER, "--no-save", "--no-audit", "--no-fund"]),
                ("npm", vec!["run", "--prefix", FOLDER, "artifacts:check"]),
                ("npm", vec!["test", "--prefix", FOLDER]),
                // What needs anvil, which npm has just installed. Of the workspace, though only one package has it: with the features of
                // one package the dependencies would be built again.
                ("cargo", "test --workspace --release --locked --test anvil -- --ignored".split(' ').collect()),
            ])
        }
        "bench" if rest.iter().any(|argument| argument == "--ezkl") => {
            let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|argument| *argument != "--ezkl").collect();
            ezkl::bench(&rest)
        }
        "bench" => {
            let (own, rest): (Vec<&str>, Vec<&str>) =
                rest.iter().map(String::as_str).partition(|argument| *argument == "--attribute");
            let name = if own.is_empty() { "prove" } else { "attribute" };
            let mut arguments = vec!["bench", "--locked", "--package", "lorica-cli", "--bench", name, "--"];
            arguments.extend(rest);
            run_all(&[("cargo", arguments)])
        }
        "attribution-study" => {
            let mut arguments = vec!["run", "--release", "--locked", "--package", "lorica-study", "--"];
            arguments.extend(rest.iter().map(String::as_str));
            run_all(&[("cargo", arguments)])
        }
        "quickstart" => quickstart::run(&root(), rest),
        "verifier-page" => page::page().is_some(),
        "wasm" => page::test(rest),
        "fuzz" => fuzz::fuzz(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            true
        }
        other => {
            eprint!("no task is called `{other}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn proto() -> [Step<'static>; 2] {
    const FOLDER: &str = "service/proto";
    [("buf", vec!["lint", FOLDER]), ("buf", vec!["breaking", FOLDER, "--against", FROZEN])]
}

/// Whether the protocol can be looked at; says so if not.
fn has_buf() -> bool {
    let has = Command::new("buf").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("xtask: buf is not installed: the protocol is not checked (`cargo xtask proto`)");
    }
    has
}

/// Runs the steps until one fails.
fn run_all(steps: &[Step<'_>]) -> bool {
    steps.iter().all(|(program, arguments)| run(program, arguments))
}

fn run(program: &str, arguments: &[&str]) -> bool {
    run_with(program, arguments, &[])
}

/// Runs a program with more variables in its environment.
fn run_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> bool {
    let line = format!("{program} {}", arguments.join(" "));
    eprintln!("xtask: {line}");
    let start = Instant::now();
    let result = command(program).args(arguments).envs(variables.iter().copied()).current_dir(root()).status();
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(status) if status.success() => {
            eprintln!("xtask: done in {seconds:.1} s");
            true
        }
        Ok(status) => {
            eprintln!("xtask: `{line}` failed: {status}");
            false
        }
        Err(error) => {
            eprintln!("xtask: `{line}` could not be started: {error}");
            false
        }
    }
}

/// A program without what cargo says of this package: build scripts that look at it (ring's does) would run again, and all that is built
/// upon them be built again, each time that cargo is called by hand and from here by turns.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let own =
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo builds.
fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn root() -> PathBuf {
    // As cargo says it now: a target folder that several checkouts share may hold another one's program.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().map_or_else(|| ".".into(), Path::to_path_buf)
}
