//! A settlement key that lies: honest digests and shape around halo2's key of a circuit without a gate.

use halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use halo2_base::halo2_proofs::plonk::{self, create_proof, keygen_pk, keygen_vk_custom};
use halo2_base::halo2_proofs::poly::kzg::commitment::{KZGCommitmentScheme, ParamsKZG};
use halo2_base::halo2_proofs::poly::kzg::multiopen::ProverSHPLONK;
use halo2_base::halo2_proofs::transcript::TranscriptWriterBuffer;
use lorica_circuits::bn254::{Fr, G1Affine, G2Affine};
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::key::{Powers, VerifyingKey, circuit_key};
use lorica_settlement::lagrange::lagrange_basis;
use lorica_settlement::rows::Rows;
use lorica_settlement::settlement::Settlement;
use lorica_settlement::statement::CircuitShape;
use lorica_settlement::trace::Tracer;
use lorica_settlement::transcript::{Challenge, KeccakTranscript};
use rand_core::OsRng;

/// Key and proofs of the circuit.
pub struct Gateless {
    pub key: VerifyingKey,
    circuit: fn(&[Fr]) -> SettlementCircuit,
    params: ParamsKZG<Bn256>,
    halo2: plonk::ProvingKey<G1Affine>,
}

/// The circuit whose public words are inputs, of which nothing is said.
fn circuit(words: &[Fr]) -> SettlementCircuit {
    let mut tracer = Tracer::default();
    let words: Vec<_> = words.iter().map(|word| tracer.input(*word)).collect();
    SettlementCircuit::new(Rows::compile(&tracer, &words))
}

impl Gateless {
    /// For the shape of an honest key with so many public words.
    pub fn new(of: &CircuitShape, words: usize, powers: &Powers<'_>) -> Self {
        Self::with(of, words, powers, circuit)
    }

    /// The same of any circuit of public words.
    pub fn with(of: &CircuitShape, words: usize, powers: &Powers<'_>, make: fn(&[Fr]) -> SettlementCircuit) -> Self {
        let circuit = make(&vec![Fr::zero(); words]);
        let k = circuit.log_rows();
        let own = powers.g1[..1 << k].to_vec();
        let lagrange = lagrange_basis(&own);
        // `from_parts` is a method: the smallest parameters serve to call it.
        let any = ParamsKZG::<Bn256>::setup(1, OsRng);
        let params = any.from_parts(k, own, Some(lagrange), G2Affine::generator(), powers.tau_g2);
        let halo2 = keygen_vk_custom(&params, &circuit, false).unwrap();
        let key = VerifyingKey::new(of.clone(), powers.tau_g2, circuit_key(&halo2).unwrap()).unwrap();
        let halo2 = keygen_pk(&params, halo2, &circuit).unwrap();
        Self { key, circuit: make, params, halo2 }
    }

    /// A proof of any public words.
    pub fn prove(&self, words: &[Fr]) -> Vec<u8> {
        let mut transcript = KeccakTranscript::new(Vec::new());
        create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, Challenge, _, _, _>(
            &self.params,
            &self.halo2,
            &[(self.circuit)(words)],
            &[&[words]],
            OsRng,
            &mut transcript,
        )
        .unwrap();
        transcript.finalize()
    }

    /// The settlement with other answers, by this key.
    pub fn settle(&self, honest: &Settlement, scales_word: Fr, edit: impl FnOnce(&mut Settlement)) -> Settlement {
        let mut forged = Settlement { circuit: self.key.circuit_id(), ..honest.clone() };
        edit(&mut forged);
        let words = forged.words(&self.key, scales_word, None).to_vec();
        forged.proof = self.prove(&words);
        forged
    }
}
