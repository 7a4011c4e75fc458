//! snark-verifier's check of settlement proofs. It takes columns, gates and queries from halo2's key, whose digest it
//! absorbs first; the permutation argument, the quotient, SHPLONK and the Keccak transcript are its own.
//!
//! The conventions are the same: its `EvmTranscript` reads our proofs as they are, and it pairs the same points. What
//! differs: it stops reading where a proof ends, whose length is not its business; and it reads the identity as a point, as
//! [`lorica_settlement`] does and the contract does not.

use lorica_circuits::bn254::{Fr, G1Affine, G2Affine};
use rand_core::OsRng;
use snark_verifier::Error;
use snark_verifier::halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use snark_verifier::halo2_base::halo2_proofs::plonk;
use snark_verifier::halo2_base::halo2_proofs::poly::kzg::commitment::ParamsKZG;
use snark_verifier::loader::native::NativeLoader;
use snark_verifier::pcs::kzg::{Bdfg21, KzgAs, KzgDecidingKey};
use snark_verifier::system::halo2::transcript::evm::EvmTranscript;
use snark_verifier::system::halo2::{Config, compile};
use snark_verifier::verifier::SnarkVerifier;
use snark_verifier::verifier::plonk::{PlonkProtocol, PlonkSuccinctVerifier, PlonkVerifier};

/// SHPLONK.
type Opening = KzgAs<Bn256, Bdfg21>;

/// Parameters that only check.
pub fn parameters(log_rows: u32, tau_g2: G2Affine) -> ParamsKZG<Bn256> {
    // `from_parts` is a method: the smallest parameters serve to call it.
    let any = ParamsKZG::<Bn256>::setup(1, OsRng);
    let one = vec![G1Affine::generator()];
    any.from_parts(log_rows, one.clone(), Some(one), G2Affine::generator(), tau_g2)
}

/// A key as snark-verifier sees it.
pub struct Oracle {
    pub protocol: PlonkProtocol<G1Affine>,
    key: KzgDecidingKey<Bn256>,
}

impl Oracle {
    pub fn new(key: &plonk::VerifyingKey<G1Affine>, tau_g2: G2Affine, words: usize) -> Self {
        let params = parameters(key.get_domain().k(), tau_g2);
        Self {
            protocol: compile(&params, key, Config::kzg().with_num_instance(vec![words])),
            key: KzgDecidingKey::new(G1Affine::generator(), G2Affine::generator(), tau_g2),
        }
    }

    /// Its whole check.
    pub fn check(&self, words: &[Fr], proof: &[u8]) -> Result<(), Error> {
        let words = [words.to_vec()];
        let mut transcript = EvmTranscript::<G1Affine, NativeLoader, _, _>::new(proof);
        let read = PlonkVerifier::<Opening>::read_proof(&self.key, &self.protocol, &words, &mut transcript)?;
        PlonkVerifier::<Opening>::verify(&self.key, &self.protocol, &words, &read)
    }

    /// The points that it pairs: the proof holds if e(first, [1]₂) = e(second, [τ]₂).
    pub fn accumulate(&self, words: &[Fr], proof: &[u8]) -> Result<[G1Affine; 2], Error> {
        type Succinct = PlonkSuccinctVerifier<Opening>;
        let (key, words) = (self.key.svk(), [words.to_vec()]);
        let mut transcript = EvmTranscript::<G1Affine, NativeLoader, _, _>::new(proof);
        let read = Succinct::read_proof(&key, &self.protocol, &words, &mut transcript)?;
        let accumulators = Succinct::verify(&key, &self.protocol, &words, &read)?;
        let [accumulator] = accumulators.try_into().expect("one proof, and none inside of it");
        Ok([accumulator.lhs, accumulator.rhs])
    }
}
