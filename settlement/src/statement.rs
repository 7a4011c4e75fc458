//! What is settled: an inference proof's scalars, run through the field part on a [`Tracer`].

#![deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)]

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_verifier::protocol::arithmetic::Arithmetic;
use lorica_verifier::protocol::determined::{Determined, determined};
use lorica_verifier::protocol::field::{FieldError, Messages, field_part, proof_transcript};
use lorica_verifier::protocol::statement::{Inputs, shape_words};

pub use lorica_settlement_check::CircuitShape;
use lorica_settlement_check::header::Header;
use lorica_settlement_check::words::Words;

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
        Ok(Self { of: of.clone(), layout: of.architecture.layout(&of.shape)? })
    }

    /// Every scalar of statement and proof, with what determines it.
    #[must_use]
    pub fn determined(&self) -> (Inputs<Determined>, Messages<Determined>) {
        determined(&self.layout)
    }

    /// Runs the field part on any arithmetic. Architecture, shape and SRS are constants, all else comes through `input`.
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
        let (inputs, messages) = self.determined();
        self.circuit(&inputs.map(|_| Fr::ZERO), &messages.map(|_| Fr::ZERO))
    }
}
