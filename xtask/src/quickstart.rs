//! Runs the commands of `docs/quickstart.md`, or of `docs/quickstart-native.md`, as they stand there.

use std::fs;
use std::path::Path;

use crate::command;

const DOCUMENT: &str = "docs/quickstart.md";
/// The same where OPEN is the chain's gas token.
const NATIVE: &str = "docs/quickstart-native.md";
/// Stops what the commands started, and with the first command that fails.
const PROLOGUE: &str = "set -eEuo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -x\n";

/// How the documents build the program.
const BUILD: &str = "cargo build --release --locked ";

/// How they run the example, and the one that is built.
const EXAMPLE: &str =
    "cargo run --release --locked --manifest-path \"$REPOSITORY/Cargo.toml\" --package lorica --example embed --";
const BUILT_EXAMPLE: &str = "\"$(dirname \"$(command -v lorica)\")/examples/embed\"";

/// The shell blocks, one after the other; without the building of program and example where those that are `built` are taken.
fn script(document: &str, built: bool) -> String {
    let mut script = String::from(PROLOGUE);
    let mut inside = false;
    for line in document.lines() {
        match line {
            "```bash" => inside = true,
            "```" => inside = false,
            line if built && line.starts_with(BUILD) => {}
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    if built { script.replace(EXAMPLE, BUILT_EXAMPLE) } else { script }
}

/// Whether all commands succeed. `--native` is for the document of chains whose gas token is OPEN; `--built` takes the program that the
/// tests have built: with the features of the command line alone, the dependencies would be built once more.
pub fn run(root: &Path, arguments: &[String]) -> bool {
    let (mut name, mut built) = (DOCUMENT, false);
    for argument in arguments {
        match argument.as_str() {
            "--native" => name = NATIVE,
            "--built" => built = true,
            other => {
                eprintln!("xtask: quickstart takes --native and --built, not `{other}`");
                return false;
            }
        }
    }
    let path = root.join(name);
    let document = match fs::read_to_string(&path) {
        Ok(document) => document,
        Err(error) => {
            eprintln!("xtask: {}: {error}", path.display());
            return false;
        }
    };
    let status = command("bash").arg("-c").arg(script(&document, built)).current_dir(root).status();
    match status {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!("xtask: {name} failed: {status}");
            false
        }
        Err(error) => {
            eprintln!("xtask: bash: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shell_blocks_run() {
        let document = "a\n```bash\none\ntwo\n```\nb\n```json\n{}\n```\n```bash\nthree\n```\n";
        assert_eq!(script(document, false), format!("{PROLOGUE}one\ntwo\nthree\n"));
    }

    #[test]
    fn what_is_built_is_not_built_again() {
        for name in [DOCUMENT, NATIVE] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
            let document = fs::read_to_string(path).expect("a document");
            let (whole, built) = (script(&document, false), script(&document, true));
            assert!(whole.contains(BUILD), "{name}");
            assert_eq!(whole.lines().count(), built.lines().count() + 1, "{name}");
            assert!(!built.contains("cargo "), "{name}");
        }
    }
}
