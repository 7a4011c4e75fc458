//! What is settled: the scalars of an inference proof or of an index proof, run through the field part on a [`Tracer`].

#![deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)]

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_verifier::protocol::arithmetic::Arithmetic;
use lorica_verifier::protocol::determined::{Determined, determined, index_determined};
use lorica_verifier::protocol::field::{FieldError, Messages, field_part, proof_transcript};
use lorica_verifier::protocol::index::{IndexInputs, index_field_part, index_shape_words, index_transcript};
use lorica_verifier::protocol::statement::{Inputs, shape_words};

use lorica_settlement_check::header::Header;
use lorica_settlement_check::words::{IndexWords, Words};
pub use lorica_settlement_check::{CircuitShape, Subject};

use crate::circuit::SettlementCircuit;
use crate::rows::Rows;
use crate::trace::Tracer;

/// A compiled [`CircuitShape`].
#[derive(Debug)]
pub struct Compiled {
    /// What it was compiled from.
    pub of: CircuitShape,
    /// The address space.
    pub layout: Layout,
}

impl Compiled {
    /// Lays out the address space and the relations.
    ///
    /// # Errors
    /// If the shape is not offered.
    pub fn new(of: &CircuitShape) -> Result<Self, CircuitError> {
        Ok(Self { of: of.clone(), layout: of.layout()? })
    }

    /// Every scalar of statement and proof of an inference, with what determines it.
    #[must_use]
    pub fn determined(&self) -> (Inputs<Determined>, Messages<Determined>) {
        determined(&self.layout)
    }

    /// Every scalar of statement and proof of an index proof, with what determines it.
    #[must_use]
    pub fn index_determined(&self) -> (IndexInputs<Determined>, Messages<Determined>) {
        index_determined(&self.layout)
    }

    /// # Errors
    /// If the circuit is about something else.
    fn expect(&self, subject: Subject) -> Result<(), FieldError> {
        if self.of.subject == subject {
            return Ok(());
        }
        Err(CircuitError::Compile { what: "the circuit is about something else than the proof".into() }.into())
    }

    /// Runs the field part of an inference on any arithmetic. Architecture, shape and SRS are constants, all else comes through `input`.
    ///
    /// # Errors
    /// [`FieldError`]; on a [`Tracer`] only for lengths that do not fit the shape.
    pub fn run<A: Arithmetic>(
        &self,
        a: &mut A,
        inputs: &Inputs<Fr>,
        messages: &Messages<Fr>,
        mut input: impl FnMut(&mut A, Fr) -> A::Scalar,
    ) -> Result<Words<A::Scalar>, FieldError> {
        self.expect(Subject::Inference)?;
        let mut own = inputs.clone().map(|value| input(a, value));
        own.architecture = a.constant(self.of.architecture_digest);
        // The scalars of the shape are constants of the circuit, whatever an [`Inputs`] says.
        own.shape = shape_words(&self.of.shape).into_iter().map(|word| a.constant(word)).collect();
        own.srs = a.constant(self.of.srs);
        let messages = messages.clone().map(|value| input(a, value));
        let mut transcript = proof_transcript(a);
        let outcome = field_part(a, &mut transcript, &self.layout, &own, &messages)?;
        let Header { shape, layout } = Header::of(&self.of, &self.layout);
        Ok(Words::new([shape, layout].map(|word| a.constant(word)), &own, &messages.mercury, &outcome))
    }

    /// [`Self::run`] of an index proof.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_index<A: Arithmetic>(
        &self,
        a: &mut A,
        inputs: &IndexInputs<Fr>,
        messages: &Messages<Fr>,
        mut input: impl FnMut(&mut A, Fr) -> A::Scalar,
    ) -> Result<IndexWords<A::Scalar>, FieldError> {
        self.expect(Subject::Index)?;
        let mut own = inputs.clone().map(|value| input(a, value));
        let CircuitShape { architecture, shape, architecture_digest, srs, .. } = &self.of;
        own.architecture = a.constant(*architecture_digest);
        let shape = index_shape_words(architecture, shape.log_tile, shape.records);
        own.shape = shape.into_iter().map(|word| a.constant(word)).collect();
        own.srs = a.constant(*srs);
        let messages = messages.clone().map(|value| input(a, value));
        let mut transcript = index_transcript(a);
        let opened = index_field_part(a, &mut transcript, &self.layout, &own, &messages)?;
        let Header { shape, layout } = Header::of(&self.of, &self.layout);
        Ok(IndexWords::new([shape, layout].map(|word| a.constant(word)), &own, &messages.mercury, &opened))
    }

    /// The circuit with the values of an index proof.
    ///
    /// # Errors
    /// As [`Self::circuit`].
    pub fn index_circuit(
        &self,
        inputs: &IndexInputs<Fr>,
        messages: &Messages<Fr>,
    ) -> Result<SettlementCircuit, FieldError> {
        let mut tracer = Tracer::default();
        let words = self.run_index(&mut tracer, inputs, messages, Tracer::input)?;
        Ok(SettlementCircuit::new(Rows::compile(&tracer, &words.to_vec())))
    }

    /// The circuit with the values of a proof.
    ///
    /// # Errors
    /// [`FieldError`] for vectors whose lengths do not fit the shape. A false proof gives an unsatisfiable circuit.
    pub fn circuit(&self, inputs: &Inputs<Fr>, messages: &Messages<Fr>) -> Result<SettlementCircuit, FieldError> {
        let mut tracer = Tracer::default();
        let words = self.run(&mut tracer, inputs, messages, Tracer::input)?;
        Ok(SettlementCircuit::new(Rows::compile(&tracer, &words.to_vec())))
    }

    /// The circuit without a proof, for its key.
    ///
    /// # Errors
    /// [`FieldError`] if the relations do not fit the layout.
    pub fn empty_circuit(&self) -> Result<SettlementCircuit, FieldError> {
        if self.of.subject == Subject::Index {
            let (inputs, messages) = self.index_determined();
            return self.index_circuit(&inputs.map(|_| Fr::ZERO), &messages.map(|_| Fr::ZERO));
        }
        let (inputs, messages) = self.determined();
        self.circuit(&inputs.map(|_| Fr::ZERO), &messages.map(|_| Fr::ZERO))
    }
}
