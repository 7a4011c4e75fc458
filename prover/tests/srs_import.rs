//! Strings of other ceremonies, and damaged ones.

use std::io::Write;
use std::path::{Path, PathBuf};

use lorica_circuits::bn254::{G2Affine, PrimeField};
use lorica_prover::srs::{Srs, SrsError};

/// Made by snarkjs 0.7.5 (`fixtures/README.md`): power 7, one contribution.
const PTAU: &[u8] = include_bytes!("../../fixtures/srs/ceremony-7.ptau");

fn import(bytes: &[u8]) -> Result<Srs, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Srs::import(file.path()).map_err(|error| match error {
        SrsError::Malformed { what, .. } => what.to_owned(),
        other => panic!("{other}"),
    })
}

/// Start of a section's content.
fn section(kind: u32) -> usize {
    let mut at = 12;
    loop {
        let word = |at: usize| u32::from_le_bytes(PTAU[at..at + 4].try_into().unwrap());
        if word(at) == kind {
            return at + 12;
        }
        at += 12 + word(at + 4) as usize;
    }
}

fn edited(edit: impl FnOnce(&mut Vec<u8>)) -> Result<Srs, String> {
    let mut bytes = PTAU.to_vec();
    edit(&mut bytes);
    import(&bytes)
}

#[test]
fn a_ceremony_of_snarkjs_is_imported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/srs/ceremony-7.ptau");
    let srs = Srs::import(&path).unwrap();
    assert_eq!((srs.log_size(), srs.g1().len()), (7, 128 + 64));
    assert!(!srs.is_insecure());
    assert_eq!(*srs.g2(), G2Affine::generator());
    // It is written and read like any other.
    let folder = tempfile::tempdir().unwrap();
    let copy: PathBuf = folder.path().join("s.srs");
    srs.write(&copy).unwrap();
    let read = Srs::read(&copy).unwrap();
    assert_eq!((read.digest(), read.g1(), read.tau_g2()), (srs.digest(), srs.g1(), srs.tau_g2()));
}

#[test]
fn what_is_no_string_of_powers_is_refused() {
    let powers = section(2);
    let (g1, g2) = (64, 128);
    let not_powers = Err("the points of G1 are not the powers of the point of G2".to_owned());
    let swapped = edited(|b| {
        let (left, right) = b.split_at_mut(powers + 6 * g1);
        left[powers + 5 * g1..].swap_with_slice(&mut right[..g1]);
    });
    assert_eq!(swapped.map(|_| ()), not_powers);
    let repeated = edited(|b| b.copy_within(powers + 190 * g1..powers + 191 * g1, powers + 191 * g1));
    assert_eq!(repeated.map(|_| ()), not_powers, "the last power that is used");
    let shifted = edited(|b| {
        let start = section(3);
        b.copy_within(start + 2 * g2..start + 3 * g2, start + g2);
    });
    assert_eq!(shifted.map(|_| ()), not_powers, "[τ²]₂ as [τ]₂");
    for (what, at) in [("a power", powers + 3 * g1), ("[τ]₂", section(3) + g2)] {
        let refused = edited(|b| b[at] ^= 1).unwrap_err();
        assert!(refused.contains("is not"), "{what}: {refused}");
    }
    assert!(edited(|b| b[powers..powers + g1].fill(0)).is_err(), "infinity");
    assert!(edited(|b| b.copy_within(powers + g1..powers + 2 * g1, powers)).unwrap_err().contains("generator"));
    assert!(edited(|b| b[section(1) + 5] ^= 1).unwrap_err().contains("another curve"));
    assert!(edited(|b| b[section(1) + 36] = 8).unwrap_err().contains("not as long"));
    assert!(edited(|b| b[section(1) + 36] = 200).unwrap_err().contains("more powers"));
    assert!(edited(|b| b[4] = 2).unwrap_err().contains("version"));
    assert!(edited(|b| b[8] = 255).unwrap_err().contains("more sections"));
    for length in [0, 3, 11, 30, 5000, PTAU.len() - 1] {
        let mut bytes = PTAU.to_vec();
        bytes.truncate(length);
        assert!(import(&bytes).is_err(), "{length} bytes");
    }
}

#[test]
fn raw_halo2_parameters_are_imported() {
    // 2^8 powers of the development string, in halo2's raw form: Montgomery form, then a basis that is not read.
    let dev = Srs::dev(8).unwrap();
    let coordinate = |bytes: &mut Vec<u8>, value: lorica_circuits::bn254::Fq| {
        use lorica_circuits::bn254::Field;
        bytes.extend(((value) * lorica_circuits::bn254::Fq::from(2).pow([256])).to_repr());
    };
    let mut bytes = 8u32.to_le_bytes().to_vec();
    for _ in 0..2 {
        for point in &dev.g1()[..256] {
            coordinate(&mut bytes, point.x);
            coordinate(&mut bytes, point.y);
        }
    }
    for point in [dev.g2(), dev.tau_g2()] {
        [point.x.c0, point.x.c1, point.y.c0, point.y.c1].into_iter().for_each(|c| coordinate(&mut bytes, c));
    }
    let srs = import(&bytes).unwrap();
    assert_eq!((srs.log_size(), srs.g1()), (7, &dev.g1()[..192]));
    assert!(srs.is_insecure(), "known by its [τ]₂");
    bytes.pop();
    assert!(import(&bytes).unwrap_err().contains("neither"));
}
