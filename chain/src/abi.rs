//! The contracts' ABI, read from the compiled artifacts, and Lorica's values in it.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, SolValue};
use lorica_circuits::bn254::{Fr, G1Affine, G2Affine};
use lorica_settlement::settlement::{IndexSettlement, Settlement};
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::keccak::{encode_point, encode_scalar, keccak};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, write_architecture};

use crate::datanet_record::DatanetRecord;

/// Most bytes of a data contract's content: EIP-170 less the leading STOP.
pub const MAX_DATA_BYTES: usize = 24_575;

/// Types of each contract.
#[allow(missing_docs, clippy::all, reason = "generated from the artifacts")]
pub mod bindings {
    use alloy_sol_types::sol;

    sol!(
        #[sol(extra_derives(Debug))]
        Halo2Verifier,
        "../verifier-contracts/artifacts/Halo2Verifier.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        LoricaVerifier,
        "../verifier-contracts/artifacts/LoricaVerifier.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        CommitmentRegistry,
        "../verifier-contracts/artifacts/CommitmentRegistry.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        VerifierRouter,
        "../verifier-contracts/artifacts/VerifierRouter.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        OpenToken,
        "../verifier-contracts/artifacts/OpenToken.json"
    );
    pub use wrapped::WrappedOpen;

    /// Apart, since a library's type in its ABI has the name of one in the token's.
    mod wrapped {
        alloy_sol_types::sol!(
            #[sol(extra_derives(Debug))]
            WrappedOpen,
            "../verifier-contracts/artifacts/WrappedOpen.json"
        );
    }
    sol!(
        #[sol(extra_derives(Debug))]
        ModelRegistry,
        "../verifier-contracts/artifacts/ModelRegistry.json"
    );
    sol!(
        #[sol(extra_derives(Debug, PartialEq, Eq))]
        InferenceEscrow,
        "../verifier-contracts/artifacts/InferenceEscrow.json"
    );
    sol!(
        #[sol(extra_derives(Debug, PartialEq, Eq))]
        PrepaidEscrow,
        "../verifier-contracts/artifacts/PrepaidEscrow.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        AttributionPot,
        "../verifier-contracts/artifacts/AttributionPot.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        IndexRanges,
        "../verifier-contracts/artifacts/IndexRanges.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        ProverStakes,
        "../verifier-contracts/artifacts/ProverStakes.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        LineSale,
        "../verifier-contracts/artifacts/LineSale.json"
    );
    sol!(
        #[sol(extra_derives(Debug))]
        LabelConsumer,
        "../verifier-contracts/artifacts/LabelConsumer.json"
    );
}

use bindings::{CommitmentRegistry, Halo2Verifier, IndexRanges, LoricaVerifier, VerifierRouter};

/// A value that the ABI cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// Each request has one answer.
    #[error("the settlement has {answers} answers for {requests} requests")]
    Answers {
        /// Answers.
        answers: usize,
        /// Requests of the binding.
        requests: usize,
    },
    /// More than a contract's code may be.
    #[error("a data contract holds {MAX_DATA_BYTES} bytes at most, got {got}")]
    DataLength {
        /// Bytes of content.
        got: usize,
    },
}

/// A scalar as a word.
#[must_use]
pub fn word(scalar: &Fr) -> U256 {
    U256::from_be_bytes(encode_scalar(scalar))
}

fn coordinates(point: &G1Affine) -> (U256, U256) {
    let bytes = encode_point(point);
    let (x, y) = bytes.split_at(32);
    (U256::from_be_slice(x), U256::from_be_slice(y))
}

fn router_point(point: &G1Affine) -> VerifierRouter::Point {
    let (x, y) = coordinates(point);
    VerifierRouter::Point { x, y }
}

fn ranges_point(point: &G1Affine) -> IndexRanges::Point {
    let (x, y) = coordinates(point);
    IndexRanges::Point { x, y }
}

fn registry_points(points: &[G1Affine]) -> Vec<CommitmentRegistry::Point> {
    points.iter().map(coordinates).map(|(x, y)| CommitmentRegistry::Point { x, y }).collect()
}

/// x.c0, x.c1, y.c0, y.c1.
fn words_of_g2(point: &G2Affine) -> [U256; 4] {
    let mut writer = Writer::default();
    writer.point_g2(point);
    let mut words = [U256::ZERO; 4];
    for (word, bytes) in words.iter_mut().zip(writer.content().chunks(32)) {
        *word = U256::from_be_slice(bytes);
    }
    words
}

/// The struct that a router is shown.
///
/// # Errors
/// [`AbiError::Answers`].
pub fn settlement(s: &Settlement) -> Result<VerifierRouter::Settlement, AbiError> {
    let (answers, requests) = (s.answers.len(), s.binding.requests.len());
    if answers != requests {
        return Err(AbiError::Answers { answers, requests });
    }
    let requests = s.binding.requests.iter().zip(&s.answers).map(|(bound, answer)| VerifierRouter::Request {
        id: U256::from_be_bytes(bound.id),
        fee: U256::from_be_bytes(bound.fee),
        adapter: word(&answer.adapter),
        inputDigest: word(&answer.words.input_digest),
        label: word(&answer.words.label),
        outputDigest: word(&answer.words.output_digest),
    });
    let [h, q, g, s_, d, quot, w, w_prime] = s.opening.each_ref().map(router_point);
    Ok(VerifierRouter::Settlement {
        payee: Address::from(s.binding.payee),
        base: word(&s.base),
        index: word(&s.index),
        requests: requests.collect(),
        shares: s.shares.iter().map(word).collect(),
        witness: s.witness.iter().map(router_point).collect(),
        opening: VerifierRouter::Opening { h, q, g, s: s_, d, quot, w, wPrime: w_prime },
        rhoHigh: s.rho_high.iter().map(word).collect(),
        alpha: word(&s.outcome.alpha),
        zeta: word(&s.outcome.zeta),
        beta: word(&s.outcome.beta),
        z: word(&s.outcome.z),
        constantTerm: word(&s.outcome.constant),
        proof: Bytes::copy_from_slice(&s.proof),
    })
}

/// `VerifierRouter.check` by a route of the settlement's circuit: the sender is the consumer.
///
/// # Errors
/// [`AbiError::Answers`].
pub fn check(route: B256, s: &Settlement) -> Result<VerifierRouter::checkCall, AbiError> {
    Ok(VerifierRouter::checkCall { route, settlement: settlement(s)? })
}

/// `VerifierRouter.checkFor` the consumer of the binding, whoever calls.
///
/// # Errors
/// [`AbiError::Answers`].
pub fn check_for(route: B256, s: &Settlement) -> Result<VerifierRouter::checkForCall, AbiError> {
    let consumer = Address::from(s.binding.consumer);
    Ok(VerifierRouter::checkForCall { route, consumer, settlement: settlement(s)? })
}

/// `IndexRanges.prove` by the settlement's circuit.
#[must_use]
pub fn prove_index(s: &IndexSettlement) -> IndexRanges::proveCall {
    let [h, q, g, s_, d, quot, w, w_prime] = s.opening.each_ref().map(ranges_point);
    IndexRanges::proveCall {
        circuit: B256::from(s.circuit),
        index: word(&s.index),
        settlement: IndexRanges::IndexSettlement {
            witness: s.witness.iter().map(ranges_point).collect(),
            opening: IndexRanges::Opening { h, q, g, s: s_, d, quot, w, wPrime: w_prime },
            rhoHigh: s.rho_high.iter().map(word).collect(),
            alpha: word(&s.outcome.alpha),
            zeta: word(&s.outcome.zeta),
            beta: word(&s.outcome.beta),
            z: word(&s.outcome.z),
            constantTerm: word(&s.outcome.constant),
            proof: Bytes::copy_from_slice(&s.proof),
        },
    }
}

/// Id of a route: it says circuit, verifier, the verifier's code and the most gas of a check.
#[must_use]
pub fn route_id(circuit: B256, verifier: Address, code: &[u8], gas_cap: u32) -> B256 {
    let words = (circuit, verifier, keccak256(code), U256::from(gas_cap));
    keccak256(words.abi_encode())
}

/// Registration of a base's architecture.
#[must_use]
pub fn register_architecture(base: &BaseCommitments) -> CommitmentRegistry::registerArchitectureCall {
    let mut encoding = Writer::default();
    write_architecture(&mut encoding, &base.architecture);
    CommitmentRegistry::registerArchitectureCall {
        family: base.family().byte(),
        encoding: Bytes::copy_from_slice(encoding.content()),
        logTile: base.log_tile,
        srs: word(&base.srs),
        tauG2: words_of_g2(&base.tau_g2),
        tables: registry_points(&base.tables),
    }
}

/// Registration of a base.
#[must_use]
pub fn register_base(base: &BaseCommitments) -> CommitmentRegistry::registerBaseCall {
    CommitmentRegistry::registerBaseCall {
        architecture: word(&base.architecture_digest()),
        tiles: registry_points(&base.tiles),
        scalesWord: word(&base.scales_word()),
    }
}

/// Registration of an adapter.
#[must_use]
pub fn register_adapter(adapter: &AdapterCommitments) -> CommitmentRegistry::registerAdapterCall {
    CommitmentRegistry::registerAdapterCall {
        base: word(&adapter.base),
        version: word(&adapter.version_word()),
        tiles: registry_points(&adapter.tiles),
    }
}

/// Registration of a version of a datanet.
#[must_use]
pub fn register_datanet(datanet: &DatanetRecord) -> CommitmentRegistry::registerDatanetCall {
    let DatanetRecord { records, records_root, contributors, contributors_root, rules, licence, standard } = *datanet;
    CommitmentRegistry::registerDatanetCall {
        records_: records,
        recordsRoot: records_root,
        contributors,
        contributorsRoot: contributors_root,
        rules,
        licence,
        standard,
    }
}

/// Registration of an index.
#[must_use]
pub fn register_index(index: &IndexCommitments) -> CommitmentRegistry::registerIndexCall {
    CommitmentRegistry::registerIndexCall {
        adapter: word(&index.adapter),
        logRecords: index.records.trailing_zeros(),
        tiles: registry_points(&index.tiles),
    }
}

/// Init code of a data contract: its code is `0x00 ‖ content`, which does nothing when called.
///
/// # Errors
/// [`AbiError::DataLength`].
pub fn data_contract(content: &[u8]) -> Result<Bytes, AbiError> {
    let got = content.len();
    let Some(length) = u16::try_from(got + 1).ok().filter(|_| got <= MAX_DATA_BYTES) else {
        return Err(AbiError::DataLength { got });
    };
    // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN, and the STOP.
    let mut code = vec![0x61];
    code.extend(length.to_be_bytes());
    code.extend([0x80, 0x60, 0x0a, 0x3d, 0x39, 0x3d, 0xf3, 0x00]);
    code.extend(content);
    Ok(code.into())
}

/// Id of the circuit whose key has this content.
#[must_use]
pub fn circuit_id(content: &[u8]) -> B256 {
    B256::from(keccak(content))
}

/// Bytecode with its constructor's arguments.
pub(crate) fn init_code<C: SolConstructor>(bytecode: &Bytes, arguments: &C) -> Bytes {
    [bytecode.as_ref(), &arguments.abi_encode()].concat().into()
}

/// Init code of the halo2 verifier.
#[must_use]
pub fn deploy_halo2_verifier() -> Bytes {
    Halo2Verifier::BYTECODE.clone()
}

/// Init code of the registry.
#[must_use]
pub fn deploy_registry() -> Bytes {
    CommitmentRegistry::BYTECODE.clone()
}

/// Init code of the verifier.
#[must_use]
pub fn deploy_verifier(registry: Address, halo2_verifier: Address) -> Bytes {
    let arguments = LoricaVerifier::constructorCall { registry_: registry, halo2Verifier_: halo2_verifier };
    init_code(&LoricaVerifier::BYTECODE, &arguments)
}

/// Init code of the router. Bounties are paid in the token `open`; zero: there are none.
#[must_use]
pub fn deploy_router(owner: Address, guardian: Address, open: Address) -> Bytes {
    let arguments = VerifierRouter::constructorCall { owner_: owner, guardian_: guardian, open_: open };
    init_code(&VerifierRouter::BYTECODE, &arguments)
}

/// Calldata.
#[must_use]
pub fn encode(call: &impl SolCall) -> Bytes {
    call.abi_encode().into()
}
