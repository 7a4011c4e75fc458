//! Features that were computed so far, beside the file that is being built: an interrupted build goes on where it stopped.
//!
//! ```text
//! magic "LORICAdp" ‖ key (32)                                 key = Keccak-256 of base id, adapter id, the list of texts
//! per chunk: u32 rows ‖ rows x (status, features) ‖ Keccak-256 of key, chunk index and all of that
//! ```
//!
//! The key is of what determines features, and of nothing else: a datanet with another licence or salt may use them. A chunk whose
//! digest is wrong ends what is used, and is written again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lorica_chain::alloy_primitives::{B256, Keccak256};
use lorica_circuits::bn254::Fr;
use lorica_verifier::protocol::keccak::encode_scalar;

use crate::files::FileError;

const MAGIC: &[u8; 8] = b"LORICAdp";
/// Bytes of magic and key.
const HEADER: usize = 40;

/// What the model makes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// Pooled values, and the answer.
    Pooled { values: Vec<i16>, label: u8 },
    /// A value is out of range: the model cannot run it.
    Range,
}

/// The key of a list of texts under an adapter.
pub(super) fn key<'t>(base: &Fr, adapter: &Fr, texts: impl Iterator<Item = &'t [u32]>) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(encode_scalar(base));
    hasher.update(encode_scalar(adapter));
    for ids in texts {
        hasher.update((ids.len() as u32).to_be_bytes());
        ids.iter().for_each(|id| hasher.update(id.to_be_bytes()));
    }
    hasher.finalize()
}

/// The file of features.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    key: B256,
    chunks: u64,
    hidden: usize,
}

impl Partial {
    /// Opens or begins the file, and reads up to `most` features that are there.
    pub fn open(path: &Path, key: B256, hidden: usize, most: usize) -> Result<(Self, Vec<Feature>), FileError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut partial =
            Self { path: path.into(), file: file.map_err(FileError::writing(path))?, key, chunks: 0, hidden };
        let mut features = Vec::new();
        let mut end = 0;
        let header = partial.header()?;
        if !header.starts_with(&MAGIC[..header.len().min(MAGIC.len())]) {
            // Somebody's own file: it is not overwritten.
            return Err(FileError::content(
                path,
                "features are to be kept there, and it is another file; move it away",
            ));
        }
        if header.ends_with(partial.key.as_slice()) && header.len() == HEADER {
            end = HEADER as u64;
            while features.len() < most {
                let Some((chunk, bytes)) = partial.chunk(most - features.len())? else { break };
                features.extend(chunk);
                partial.chunks += 1;
                end += bytes;
            }
        }
        let file = &mut partial.file;
        let cut = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        cut.map_err(FileError::writing(path))?;
        if end == 0 {
            let header = [MAGIC.as_slice(), partial.key.as_slice()].concat();
            file.write_all(&header).map_err(FileError::writing(path))?;
        }
        Ok((partial, features))
    }

    /// Up to so many bytes.
    fn up_to(&mut self, bytes: usize) -> Result<Vec<u8>, FileError> {
        let mut buffer = Vec::new();
        let read = Read::take(&mut self.file, bytes as u64).read_to_end(&mut buffer);
        read.map_err(FileError::reading(&self.path))?;
        Ok(buffer)
    }

    fn read(&mut self, bytes: usize) -> Result<Option<Vec<u8>>, FileError> {
        Ok(Some(self.up_to(bytes)?).filter(|buffer| buffer.len() == bytes))
    }

    /// Magic and key, or what there is of them.
    fn header(&mut self) -> Result<Vec<u8>, FileError> {
        self.up_to(HEADER)
    }

    /// Bytes of a row.
    fn width(&self) -> usize {
        1 + 2 * self.hidden
    }

    /// The next chunk and its bytes; `None` where no whole, right one of at most `most` rows follows.
    fn chunk(&mut self, most: usize) -> Result<Option<(Vec<Feature>, u64)>, FileError> {
        let Some(head) = self.read(4)? else { return Ok(None) };
        let rows = head.iter().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
        if rows == 0 || rows > most {
            return Ok(None);
        }
        let Some(body) = self.read(rows * self.width())? else { return Ok(None) };
        let Some(digest) = self.read(32)? else { return Ok(None) };
        if self.digest(&head, &body).as_slice() != digest {
            return Ok(None);
        }
        let bytes = (head.len() + body.len() + digest.len()) as u64;
        let feature = |row: &[u8]| match row[0] {
            u8::MAX => Feature::Range,
            label => {
                let values = row[1..].as_chunks().0.iter().map(|&value| i16::from_le_bytes(value)).collect();
                Feature::Pooled { values, label }
            }
        };
        Ok(Some((body.chunks_exact(self.width()).map(feature).collect(), bytes)))
    }

    fn digest(&self, head: &[u8], body: &[u8]) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.key);
        hasher.update(self.chunks.to_be_bytes());
        hasher.update(head);
        hasher.update(body);
        hasher.finalize()
    }

    /// Appends a chunk.
    pub fn append(&mut self, features: &[Feature]) -> Result<(), FileError> {
        let head = (features.len() as u32).to_be_bytes();
        let mut body = Vec::with_capacity(features.len() * self.width());
        for feature in features {
            match feature {
                Feature::Range => {
                    body.push(u8::MAX);
                    body.resize(body.len() + 2 * self.hidden, 0);
                }
                Feature::Pooled { values, label } => {
                    body.push(*label);
                    values.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
                }
            }
        }
        let digest = self.digest(&head, &body);
        let chunk = [&head, body.as_slice(), digest.as_slice()].concat();
        self.file.write_all(&chunk).map_err(FileError::writing(&self.path))?;
        self.chunks += 1;
        Ok(())
    }

    /// Removes the file: what it was for is written.
    pub fn remove(path: &Path) {
        // What is left over is overwritten by the next build and used by no other.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(from: i16, count: usize) -> Vec<Feature> {
        let mut features: Vec<Feature> =
            (0..count as i16).map(|i| Feature::Pooled { values: vec![from + i, -7], label: 3 }).collect();
        features[0] = Feature::Range;
        features
    }

    #[test]
    fn features_return_and_damage_costs_only_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.lorica.partial");
        let key = B256::repeat_byte(1);
        let (mut partial, got) = Partial::open(&path, key, 2, 100).unwrap();
        assert!(got.is_empty());
        let (first, second) = (features(1, 3), features(50, 2));
        partial.append(&first).unwrap();
        partial.append(&second).unwrap();
        let both = [first.clone(), second].concat();
        let open = |key, most| Partial::open(&path, key, 2, most).unwrap().1;
        assert_eq!(open(key, 100), both);
        let whole = std::fs::read(&path).unwrap();

        // A chunk that was not written to its end.
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (mut partial, got) = Partial::open(&path, key, 2, 100).unwrap();
        assert_eq!(got, first);
        partial.append(&features(50, 2)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);

        // A changed cell in the second, and in the first.
        for (at, left) in [(whole.len() - 40, first.as_slice()), (HEADER + 6, &[])] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(open(key, 100), left, "{at}");
        }
        // Chunks in another order.
        let size = 4 + 3 * 5 + 32;
        let swapped = [&whole[..HEADER], &whole[HEADER + size..], &whole[HEADER..HEADER + size]].concat();
        std::fs::write(&path, swapped).unwrap();
        assert!(open(key, 100).is_empty());
        // Another key, and more rows than there are texts.
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(open(key, 4), first);
        std::fs::write(&path, &whole).unwrap();
        assert!(open(B256::repeat_byte(2), 100).is_empty());
        assert_eq!(std::fs::read(&path).unwrap().len(), HEADER);
        // A beginning that was not written to its end is begun again; another file stays as it is.
        std::fs::write(&path, &whole[..HEADER - 3]).unwrap();
        assert!(open(key, 100).is_empty());
        assert_eq!(std::fs::read(&path).unwrap(), whole[..HEADER]);
        std::fs::write(&path, "a diary").unwrap();
        let error = Partial::open(&path, key, 2, 100).unwrap_err().to_string();
        assert!(error.ends_with("it is another file; move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"a diary");
    }

    #[test]
    fn the_key_is_of_base_adapter_and_texts() {
        let texts: [&[u32]; 2] = [&[1, 2], &[3]];
        let own = key(&Fr::from(1), &Fr::from(2), texts.into_iter());
        let others: [[&[u32]; 2]; 3] = [[&[1], &[2, 3]], [&[3], &[1, 2]], [&[1, 2], &[4]]];
        for other in others {
            assert_ne!(own, key(&Fr::from(1), &Fr::from(2), other.into_iter()));
        }
        assert_ne!(own, key(&Fr::from(1), &Fr::from(3), texts.into_iter()));
        assert_ne!(own, key(&Fr::from(2), &Fr::from(2), texts.into_iter()));
    }
}
