//! The verifier's dependency tree is field, curve, hash, errors, and the inflation of a key's tokenizer, and stays so:
//! whoever audits a proof audits this list.

use std::process::Command;

/// Crates that the verifier may link. Field and curve (`halo2curves-axiom` and below), hashes, error derivation,
/// `libm`, DEFLATE (`flate2` and below).
const ALLOWED: &[&str] = &[
    "adler2",
    "arrayvec",
    "bitvec",
    "blake2b_simd",
    "block-buffer",
    "cfg-if",
    "constant_time_eq",
    "cpufeatures",
    "crc32fast",
    "crossbeam-deque",
    "crossbeam-epoch",
    "crossbeam-utils",
    "crypto-common",
    "digest",
    "either",
    "ff",
    "flate2",
    "funty",
    "generic-array",
    "getrandom",
    "group",
    "halo2curves-axiom",
    "keccak",
    "lazy_static",
    "libc",
    "libm",
    "lorica-circuits",
    "lorica-verifier",
    "miniz_oxide",
    "num-bigint",
    "num-integer",
    "num-traits",
    "pairing",
    "pasta_curves",
    "paste",
    "ppv-lite86",
    "proc-macro2",
    "quote",
    "radium",
    "rand",
    "rand_chacha",
    "rand_core",
    "rayon",
    "rayon-core",
    "sha2",
    "sha3",
    "simd-adler32",
    "spin",
    "static_assertions",
    "subtle",
    "syn",
    "tap",
    "thiserror",
    "thiserror-impl",
    "typenum",
    "unicode-ident",
    "unroll",
    "wyz",
    "zerocopy",
    "zerocopy-derive",
];

#[test]
fn the_dependency_tree_is_field_curve_hash_deflate_and_errors() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "lorica-verifier",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"halo2curves-axiom"), "{text}");
    for name in names {
        assert!(ALLOWED.contains(&name), "the verifier has come to depend on {name}");
    }
}
