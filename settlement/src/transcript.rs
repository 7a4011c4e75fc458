//! The transcript of [`lorica_settlement_check::transcript`] as halo2 asks for it, over a stream of proof bytes.

use std::io::{self, Read, Write};

use halo2_base::halo2_proofs::transcript::{
    EncodedChallenge, Transcript, TranscriptRead, TranscriptReadBuffer, TranscriptWrite, TranscriptWriterBuffer,
};
use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_settlement_check::transcript::KeccakTranscript as Absorbed;
use lorica_verifier::protocol::keccak::{
    POINT_BYTES, WORD_BYTES, decode_point, decode_scalar, encode_point, encode_scalar,
};

/// A challenge as halo2 takes it.
#[derive(Clone, Copy, Debug)]
pub struct Challenge(Fr);

impl EncodedChallenge<G1Affine> for Challenge {
    type Input = Fr;

    fn new(challenge: &Fr) -> Self {
        Self(*challenge)
    }

    fn get_scalar(&self) -> Fr {
        self.0
    }
}

/// The transcript over a stream of proof bytes, read or written.
#[derive(Clone, Debug)]
pub struct KeccakTranscript<S> {
    absorbed: Absorbed,
    stream: S,
}

impl<S> KeccakTranscript<S> {
    /// An empty transcript.
    pub fn new(stream: S) -> Self {
        Self { absorbed: Absorbed::default(), stream }
    }
}

impl<S> Transcript<G1Affine, Challenge> for KeccakTranscript<S> {
    fn squeeze_challenge(&mut self) -> Challenge {
        Challenge::new(&self.absorbed.challenge())
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.absorbed.point(&point);
        Ok(())
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.absorbed.scalar(&scalar);
        Ok(())
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: Read> TranscriptRead<G1Affine, Challenge> for KeccakTranscript<R> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        let mut bytes = [0; POINT_BYTES];
        self.stream.read_exact(&mut bytes)?;
        let point = decode_point(&bytes).map_err(invalid)?;
        self.common_point(point)?;
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        let mut bytes = [0; WORD_BYTES];
        self.stream.read_exact(&mut bytes)?;
        let scalar = decode_scalar(&bytes).map_err(invalid)?;
        self.common_scalar(scalar)?;
        Ok(scalar)
    }
}

impl<R: Read> TranscriptReadBuffer<R, G1Affine, Challenge> for KeccakTranscript<R> {
    fn init(reader: R) -> Self {
        Self::new(reader)
    }
}

impl<W: Write> TranscriptWrite<G1Affine, Challenge> for KeccakTranscript<W> {
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.common_point(point)?;
        self.stream.write_all(&encode_point(&point))
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.common_scalar(scalar)?;
        self.stream.write_all(&encode_scalar(&scalar))
    }
}

impl<W: Write> TranscriptWriterBuffer<W, G1Affine, Challenge> for KeccakTranscript<W> {
    fn init(writer: W) -> Self {
        Self::new(writer)
    }

    fn finalize(self) -> W {
        self.stream
    }
}
