//! A safetensors file as finite `f32` tensors of expected shapes.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::error::ImportError;
use super::json_file::read_file;

/// The largest supported encoder (16 layers, vocabulary 2^20) in f32 stays below this.
pub(super) const MAX_BYTES: u64 = 16 << 30;

/// The bytes of a safetensors file.
pub(super) struct TensorBytes {
    file: PathBuf,
    bytes: Vec<u8>,
}

impl TensorBytes {
    /// Reads the file.
    pub(super) fn read(file: PathBuf) -> Result<Self, ImportError> {
        Self::read_within(file, MAX_BYTES)
    }

    /// Reads the file if it has at most `max` bytes.
    pub(super) fn read_within(file: PathBuf, max: u64) -> Result<Self, ImportError> {
        let bytes = read_file(&file, max)?;
        Ok(Self { file, bytes })
    }

    /// Size of the file.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Parses the header; the format's own checks cover offsets, overlaps and length.
    pub(super) fn parse(&self) -> Result<TensorFile<'_>, ImportError> {
        let tensors = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| ImportError::Safetensors { file: self.file.clone(), reason: error.to_string() })?;
        Ok(TensorFile { file: &self.file, tensors })
    }
}

/// A parsed safetensors file.
pub(super) struct TensorFile<'a> {
    pub(super) file: &'a Path,
    tensors: SafeTensors<'a>,
}

impl TensorFile<'_> {
    /// All tensor names, sorted, so that the first complaint does not depend on hash order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors.names().into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// Whether the tensor is present.
    pub(super) fn contains(&self, tensor: &str) -> bool {
        self.tensors.tensor(tensor).is_ok()
    }

    /// The shape of a tensor.
    pub(super) fn shape(&self, tensor: &str) -> Result<Vec<usize>, ImportError> {
        Ok(self.view(tensor)?.shape().to_vec())
    }

    /// The tensor's values, after checking shape, element type and that all are finite.
    pub(super) fn read(&self, tensor: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
        let view = self.view(tensor)?;
        if view.shape() != shape {
            return Err(ImportError::Shape {
                file: self.file.into(),
                tensor: tensor.into(),
                expected: shape.into(),
                got: view.shape().into(),
            });
        }
        let values = self.convert(tensor, &view)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(ImportError::NotFinite {
                file: self.file.into(),
                tensor: tensor.into(),
                index,
                value: values[index],
            }),
        }
    }

    /// The refusal of a tensor.
    pub(super) fn refuse(&self, tensor: &str, reason: impl Into<String>) -> ImportError {
        ImportError::UnsupportedTensor { file: self.file.into(), tensor: tensor.into(), reason: reason.into() }
    }

    fn view(&self, tensor: &str) -> Result<TensorView<'_>, ImportError> {
        self.tensors
            .tensor(tensor)
            .map_err(|_| ImportError::MissingTensor { file: self.file.into(), tensor: tensor.into() })
    }

    fn convert(&self, tensor: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ImportError> {
        let (four, _) = view.data().as_chunks::<4>();
        let (two, _) = view.data().as_chunks::<2>();
        match view.dtype() {
            Dtype::F32 => Ok(four.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
            Dtype::F16 => Ok(two.iter().map(|bytes| f32_from_f16(u16::from_le_bytes(*bytes))).collect()),
            // bfloat16 is the upper half of an f32.
            Dtype::BF16 => {
                Ok(two.iter().map(|bytes| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16)).collect())
            }
            other => Err(ImportError::ElementType {
                file: self.file.into(),
                tensor: tensor.into(),
                got: format!("{other:?}"),
            }),
        }
    }
}

/// IEEE 754 binary16 to binary32, exactly.
fn f32_from_f16(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0f32 } else { -1.0 };
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half) & 0x3ff;
    match exponent {
        // Subnormal: fraction · 2^-24.
        0 => sign * fraction as f32 * f32::from_bits((127 - 24) << 23),
        0x1f if fraction == 0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        _ => sign * f32::from_bits(((exponent + 127 - 15) << 23) | (fraction << 13)),
    }
}

#[cfg(test)]
mod tests {
    use super::f32_from_f16;

    #[test]
    fn half_precision_values_are_exact() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x3555, 0.333_251_95),
        ];
        for (bits, value) in known {
            assert_eq!(f32_from_f16(bits), value, "{bits:#06x}");
        }
        assert!(f32_from_f16(0x7c00).is_infinite());
        assert!(f32_from_f16(0x7e00).is_nan());
    }
}
