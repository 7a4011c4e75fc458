//! The SRS and its file; commitments to tiles.

use std::fs;
use std::path::Path;

use lorica_cells::Slice;
use lorica_circuits::bn254::{Bn256, Curve, Field, Fr, G1Affine, G2Affine, Group, MillerLoopResult, MultiMillerLoop};
use lorica_prover::commit::{Tile, commit, commit_tiles};
use lorica_prover::srs::{Srs, SrsError};
use lorica_verifier::protocol::group::{VerifierKey, development_trapdoor};

#[test]
fn powers_are_powers() {
    for log_size in [0, 1, 5, 10, 13] {
        let srs = Srs::dev(log_size).unwrap();
        assert_eq!(srs.g1().len(), (1 << log_size) + 64);
        assert!(srs.is_insecure());
        assert_eq!(srs.g1()[0], G1Affine::generator());
        let tau = development_trapdoor();
        for index in [1, 2, 63, srs.g1().len() - 1] {
            let power = tau.pow([index as u64]);
            assert_eq!(srs.g1()[index], (G1Affine::generator() * power).to_affine(), "{log_size} {index}");
        }
        // e([τ^(i+1)], [1]) = e([τ^i], [τ]) for a random combination of all i.
        let mut factor = Fr::ONE;
        let weights: Vec<Fr> = srs
            .g1()
            .iter()
            .skip(1)
            .map(|_| {
                factor *= Fr::from(1_234_567);
                factor
            })
            .collect();
        let low = lorica_prover::msm::msm(&weights, srs.g1()).to_affine();
        let high = (-lorica_prover::msm::msm(&weights, &srs.g1()[1..])).to_affine();
        let product = Bn256::multi_miller_loop(&[(&low, &(*srs.tau_g2()).into()), (&high, &(*srs.g2()).into())]);
        assert!(bool::from(product.final_exponentiation().is_identity()));
    }
    assert!(matches!(Srs::dev(27), Err(SrsError::TooLarge { log_size: 27 })));
}

#[test]
fn a_longer_development_srs_continues_a_shorter_one() {
    let (short, long) = (Srs::dev(4).unwrap(), Srs::dev(9).unwrap());
    assert_eq!(short.g1(), &long.g1()[..short.g1().len()]);
    assert_eq!(short.tau_g2(), long.tau_g2());
    assert_ne!(short.digest(), long.digest());
}

#[test]
fn the_digest_is_pinned() {
    let digest: String = Srs::dev(4).unwrap().digest().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "2fc6bb5763ee8e7df01e7dd532cbc8f23bc60524500d2d4b72ad7fe4cd315bdb");
}

#[test]
fn only_the_development_key_is_insecure() {
    let srs = Srs::dev(2).unwrap();
    assert!(srs.verifier_key().is_insecure());
    let other = (G2Affine::generator() * Fr::from(5)).to_affine();
    assert!(!VerifierKey::new(*srs.g2(), other).is_insecure());
}

/// A file written, changed by `edit`, and read again.
fn read_edited(folder: &Path, edit: impl FnOnce(&mut Vec<u8>)) -> Result<Srs, SrsError> {
    let path = folder.join("edited.srs");
    Srs::dev(5).unwrap().write(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, bytes).unwrap();
    Srs::read(&path)
}

fn what(result: Result<Srs, SrsError>) -> &'static str {
    match result {
        Err(SrsError::Malformed { what, .. }) => what,
        other => panic!("expected a malformed file, got {other:?}"),
    }
}

#[test]
fn a_file_gives_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev.srs");
    let srs = Srs::dev(7).unwrap();
    srs.write(&path).unwrap();
    let read = Srs::read(&path).unwrap();
    assert_eq!((read.g1(), read.g2(), read.tau_g2()), (srs.g1(), srs.g2(), srs.tau_g2()));
    assert_eq!((read.log_size(), read.digest(), read.digest_word()), (7, srs.digest(), srs.digest_word()));
    assert!(read.is_insecure());
    // Overwriting is atomic, and nothing else is left in the folder.
    Srs::dev(6).unwrap().write(&path).unwrap();
    assert_eq!(Srs::read(&path).unwrap().log_size(), 6);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(Srs::read(&folder.path().join("missing.srs")), Err(SrsError::Io { .. })));
    assert!(matches!(srs.write(&folder.path().join("no/such/folder.srs")), Err(SrsError::Io { .. })));
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(what(read_edited(folder, |bytes| bytes[0] ^= 1)), "not an SRS file");
    assert_eq!(what(read_edited(folder, |bytes| bytes[8] ^= 2)), "unknown version of the SRS format");
    assert_eq!(what(read_edited(folder, |bytes| bytes[12] |= 2)), "unknown flags");
    assert_eq!(what(read_edited(folder, |bytes| bytes[20] = 1)), "unknown flags");
    assert_eq!(what(read_edited(folder, |bytes| bytes[16] = 255)), "more powers than any SRS has");
    let length = "the length is not that of the stated number of powers";
    assert_eq!(what(read_edited(folder, |bytes| bytes[16] = 26)), length);
    assert_eq!(what(read_edited(folder, |bytes| bytes.push(0))), length);
    assert_eq!(what(read_edited(folder, |bytes| bytes.truncate(bytes.len() - 1))), length);
    assert_eq!(what(read_edited(folder, Vec::clear)), "too short for an SRS file");
    assert_eq!(what(read_edited(folder, |bytes| bytes.truncate(100))), "too short for an SRS file");
    assert_eq!(what(read_edited(folder, |bytes| bytes[30] ^= 1)), "a point of G2 is not one");
    assert_eq!(what(read_edited(folder, |bytes| bytes[24..152].fill(0))), "a point of G2 is not one");
    assert_eq!(what(read_edited(folder, |bytes| bytes[400] ^= 1)), "a power is not a point of the curve");
    assert_eq!(what(read_edited(folder, |bytes| bytes[400..432].fill(255))), "a power is not a point of the curve");
    assert_eq!(
        what(read_edited(folder, |bytes| bytes[280 + 64..280 + 128].fill(0))),
        "a power is not a point of the curve"
    );
    let digest = "the digest at the end is not that of the content";
    assert_eq!(what(read_edited(folder, |bytes| *bytes.last_mut().unwrap() ^= 1)), digest);
    // A flag taken away, without and with a matching digest.
    assert_eq!(what(read_edited(folder, |bytes| bytes[12] = 0)), digest);
    // Two powers exchanged.
    let swap = |bytes: &mut Vec<u8>| {
        let (left, right) = bytes.split_at_mut(280 + 64);
        left[280..].swap_with_slice(&mut right[..64]);
    };
    assert_eq!(what(read_edited(folder, swap)), digest);
}

#[test]
fn an_unmarked_development_srs_is_recognised() {
    use sha2::Digest;
    let folder = tempfile::tempdir().unwrap();
    let srs = read_edited(folder.path(), |bytes| {
        bytes[12] = 0;
        let content = bytes.len() - 32;
        let digest = sha2::Sha256::digest(&bytes[..content]);
        bytes[content..].copy_from_slice(&digest);
    });
    assert!(srs.unwrap().is_insecure());
}

#[test]
fn tiles_are_cells_plus_field_coefficients() {
    let srs = Srs::dev(6).unwrap();
    let cells: Vec<i32> = (0..64).map(|index| index * index * 977 - 30_000).collect();
    let blinding: Vec<(usize, Fr)> = (0..64).map(|index| (64 + index, Fr::from(index as u64 + 9).square())).collect();
    let mask: Vec<(usize, Fr)> = (0..8).map(|index| (9 * index, Fr::from(3).pow([index as u64 + 100]))).collect();
    let part = |start: usize, range: std::ops::Range<usize>| (start, Slice::from(&cells[range]));
    let tiles = [
        Tile::new(&cells, &[]),
        Tile::new(&cells[..7], &blinding),
        Tile::new::<i32>(&[], &mask),
        Tile::new(&cells, &mask),
        Tile { parts: Vec::new(), field_coefficients: &[] },
        // Parts of other widths, with gaps.
        Tile { parts: vec![part(3, 0..9), (17, Slice::I8(&[-128, 127])), part(20, 5..49)], field_coefficients: &mask },
        Tile { parts: vec![(0, Slice::U16(&[65535, 0])), (63, Slice::I64(&[1 << 40]))], field_coefficients: &[] },
    ];
    let commitments = commit_tiles(&srs, &tiles).unwrap();
    for (tile, commitment) in tiles.iter().zip(commitments) {
        let mut coefficients = vec![Fr::ZERO; 128];
        for (start, cells) in &tile.parts {
            for (index, cell) in cells.to_vec().into_iter().enumerate() {
                let magnitude = Fr::from(cell.unsigned_abs());
                coefficients[start + index] = if cell < 0 { -magnitude } else { magnitude };
            }
        }
        for (index, value) in tile.field_coefficients {
            coefficients[*index] += value;
        }
        assert_eq!(commit(&srs, &coefficients).unwrap(), commitment);
        // By the trapdoor.
        let value = coefficients.iter().rev().fold(Fr::ZERO, |value, c| value * development_trapdoor() + c);
        assert_eq!((G1Affine::generator() * value).to_affine(), commitment);
    }
    let beyond = Tile::new::<i32>(&[], &[(128, Fr::ONE)]);
    assert!(matches!(commit_tiles(&srs, &[beyond]), Err(SrsError::TooSmall { needed: 129, available: 128 })));
}
