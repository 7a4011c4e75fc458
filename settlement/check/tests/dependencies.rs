//! Whoever audits a settlement audits the verifier's list of crates and this one: nothing of halo2's prover.

use std::collections::BTreeSet;
use std::process::Command;

fn closure(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_check_adds_no_crate_to_the_verifiers() {
    let verifier = closure("lorica-verifier");
    let check = closure("lorica-settlement-check");
    assert!(verifier.contains("halo2curves-axiom") && check.contains("blake2b_simd"));
    let added: Vec<&String> = check.difference(&verifier).collect();
    assert_eq!(added, ["lorica-settlement-check"]);
}
