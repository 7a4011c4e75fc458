//! What is settled: an inference proof's scalars, run through the field part on a [`Tracer`].

use lorica_circuits::architecture::{Architecture, Shape};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::ScaleRef;
use lorica_circuits::layout::Layout;
use lorica_circuits::relation::{Relation, relations};
use lorica_verifier::arithmetic::Arithmetic;
use lorica_verifier::determined::{Determined, determined};
use lorica_verifier::field::{FieldError, Messages, field_part, proof_transcript};
use lorica_verifier::statement::Inputs;
use lorica_verifier::weight::scale_names;

use crate::circuit::SettlementCircuit;
use crate::rows::Rows;
use crate::trace::Tracer;
use crate::words::Words;

/// What fixes a settlement key: architecture, shape, and the words that they are absorbed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitShape {
    /// The architecture.
    pub architecture: Architecture,
    /// Requests, tokens, τ and kind of output.
    pub shape: Shape,
    /// Digest of architecture, τ, SRS and tables.
    pub architecture_digest: Fr,
    /// Digest of the SRS.
    pub srs: Fr,
}

/// A compiled [`CircuitShape`].
#[derive(Debug)]
pub struct Compiled {
    /// What it was compiled from.
    pub of: CircuitShape,
    /// The address space.
    pub layout: Layout,
    relations: Vec<Relation>,
    scales: Vec<ScaleRef>,
}

impl Compiled {
    /// Lays out the address space and the relations.
    ///
    /// # Errors
    /// If the shape is not offered.
    pub fn new(of: &CircuitShape) -> Result<Self, CircuitError> {
        let layout = Layout::new(&of.architecture, &of.shape)?;
        let relations = relations(&layout)?;
        Ok(Self { of: of.clone(), layout, relations, scales: scale_names(&of.architecture) })
    }

    /// The scalars of the shape: constants of the circuit, whatever an [`Inputs`] says.
    fn shape_words(&self) -> [Fr; 4] {
        let number = |n: usize| Fr::from(n as u64);
        let Shape { requests, tokens, log_tile, output } = self.of.shape;
        let kind = Fr::from(u64::from(output.number()));
        [number(requests), number(tokens), Fr::from(u64::from(log_tile)), kind]
    }

    /// Every scalar of statement and proof, with what determines it.
    #[must_use]
    pub fn determined(&self) -> (Inputs<Determined>, Messages<Determined>) {
        determined(&self.layout, &self.relations)
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
        own.shape = self.shape_words().map(|word| a.constant(word));
        own.srs = a.constant(self.of.srs);
        let messages = messages.clone().map(|value| input(a, value));
        let mut transcript = proof_transcript(a);
        let outcome = field_part(a, &mut transcript, &self.layout, &self.relations, &self.scales, &own, &messages)?;
        Ok(Words::new(&own, &messages.mercury, &outcome))
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
