//! `cargo xtask bench --ezkl`: EZKL on one LoRA projection, then Lorica's own benchmark, in one run.
//!
//! EZKL is run as a program of its own, in a Python environment in the user's cache; nothing links it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{root, run};

/// The folder's name changes with the pinned version.
const ENVIRONMENT: &str = "ezkl-23.0.5";

/// Makes the environment if it is missing, and runs the benchmark; `arguments` go to it.
pub fn bench(arguments: &[&str]) -> bool {
    let Some(cache) = cache() else {
        eprintln!("xtask: LORICA_CACHE, XDG_CACHE_HOME or HOME must say where the cache is");
        return false;
    };
    let folder = cache.join(ENVIRONMENT);
    let python = folder.join("bin/python");
    let benchmark = root().join("benches/ezkl");
    // Written last: an interrupted installation starts again.
    let complete = folder.join("complete");
    if !complete.exists() {
        let requirements = benchmark.join("requirements.txt");
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        let made = run("python3", &["-m", "venv", "--clear", text(&folder)])
            && run(text(&python), &[&install[..], &[text(&requirements)]].concat())
            && fs::write(&complete, "").is_ok();
        if !made {
            return false;
        }
    }
    let script = benchmark.join("run.py");
    run(text(&python), &[&[text(&script), "--lorica"][..], arguments].concat())
}

/// Lorica's cache folder, as the `lorica` command finds it.
fn cache() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("LORICA_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME").filter(|folder| folder.is_absolute())?.join("lorica")))
        .or_else(|| Some(folder("HOME")?.join(".cache/lorica")))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_else(|| panic!("{} is not UTF-8", path.display()))
}
