//! Runs the commands of `docs/quickstart.md`, or of `docs/quickstart-native.md`, as they stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = "docs/quickstart.md";
/// The same where OPEN is the chain's gas token.
const NATIVE: &str = "docs/quickstart-native.md";
/// Stops what the commands started, and with the first command that fails.
const PROLOGUE: &str = "set -eEuo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -x\n";

/// The shell blocks, one after the other.
fn script(document: &str) -> String {
    let mut script = String::from(PROLOGUE);
    let mut inside = false;
    for line in document.lines() {
        match line {
            "```bash" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

/// Whether all commands succeed. `--native` is for the document of chains whose gas token is OPEN.
pub fn run(root: &Path, arguments: &[String]) -> bool {
    let name = match arguments {
        [] => DOCUMENT,
        [native] if native == "--native" => NATIVE,
        _ => {
            eprintln!("xtask: quickstart takes --native or nothing");
            return false;
        }
    };
    let path = root.join(name);
    let document = match fs::read_to_string(&path) {
        Ok(document) => document,
        Err(error) => {
            eprintln!("xtask: {}: {error}", path.display());
            return false;
        }
    };
    let status = Command::new("bash").arg("-c").arg(script(&document)).current_dir(root).status();
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
        assert_eq!(script(document), format!("{PROLOGUE}one\ntwo\nthree\n"));
    }
}
