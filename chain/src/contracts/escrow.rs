//! The escrow (`InferenceEscrow`): requests are locked, accepted, settled and given back, and what is owed is paid out.

use std::borrow::Cow;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, SolValue};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::settlement::Settlement;

use super::request::{RequestState, Settled, Status};
use super::router::Router;
use super::terms::line_number;
use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// The escrow's name and version in its EIP-712 domain.
const DOMAIN: (&str, &str) = ("Lorica InferenceEscrow", "1");

/// What a consumer's call costs beside the gas that it has.
const CONSUMER_OVERHEAD: u64 = 12_000;

/// The escrow, the consumer that settlements are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escrow {
    /// Where it is.
    pub contract: Contract,
    /// The router that it was deployed with, by which it has settlements checked.
    pub router: Router,
}

impl Escrow {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.contract.address
    }

    /// The domain that requests and refusals are signed under.
    fn domain(self) -> Eip712Domain {
        let (name, version) = DOMAIN;
        let chain = U256::from(self.contract.chain_id);
        Eip712Domain::new(
            Some(Cow::Borrowed(name)),
            Some(Cow::Borrowed(version)),
            Some(chain),
            Some(self.address()),
            None,
        )
    }

    /// The request's id: the EIP-712 digest that the requester signs.
    #[must_use]
    pub fn request_id(self, request: &InferenceRequest) -> B256 {
        request.eip712_signing_hash(&self.domain())
    }

    /// Digest of a refusal, which the prover signs.
    #[must_use]
    pub fn refusal_digest(self, request: &InferenceRequest, reason: u8) -> B256 {
        let request = U256::from_be_bytes(self.request_id(request).0);
        Refusal { requestId: request, reason }.eip712_signing_hash(&self.domain())
    }

    /// That a request is for a kind of output that is offered. A circuit can take no request of another kind than its own,
    /// so a withdrawn circuit takes nothing that passes here, whatever an escrow of an earlier version has enabled.
    ///
    /// # Errors
    /// [`PolicyError::OutputKind`] says what is wrong with the request.
    pub fn expect_offered(self, request: &InferenceRequest) -> Result<(), PolicyError> {
        match OutputKind::from_number(request.kind) {
            Ok(_) => Ok(()),
            Err(source) => Err(PolicyError::OutputKind { what: "request", id: self.request_id(request), source }),
        }
    }

    /// Takes a request on: it cannot be cancelled any more.
    ///
    /// # Errors
    /// [`ChainError`], [`PolicyError::OutputKind`] for a request of a withdrawn kind of output.
    pub fn accept(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<Receipt, ChainError> {
        self.expect_offered(request)?;
        self.contract.send(chain, &InferenceEscrow::acceptCall { request: request.clone() })
    }

    /// Takes back what no prover has accepted. The account must be the requester.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn cancel(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &InferenceEscrow::cancelCall { request: request.clone() })
    }

    /// Gives the payer the money back after the deadline.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn refund(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &InferenceEscrow::refundCall { request: request.clone() })
    }

    /// Gives the payer the money back, on the word of the prover that has accepted or is named: the account itself, or a
    /// signed refusal of its.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn refuse(
        self,
        chain: &mut impl Chain,
        request: &InferenceRequest,
        reason: u8,
        signature: &[u8],
    ) -> Result<Receipt, ChainError> {
        let signature = Bytes::copy_from_slice(signature);
        self.contract.send(chain, &InferenceEscrow::refuseCall { request: request.clone(), reason, signature })
    }

    /// Calldata of a batch's settlement.
    ///
    /// # Errors
    /// [`PolicyError::Abi`].
    pub fn settle_data(self, settlement: &Settlement, requests: &[InferenceRequest]) -> Result<Bytes, ChainError> {
        let own = abi::settlement(settlement)?.abi_encode();
        let settlement_ = InferenceEscrow::Settlement::abi_decode(&own)
            .map_err(|_| StateError::Unexpected { what: "a settlement's encoding" })?;
        let circuit = B256::from(settlement.circuit);
        // The rest of each request is in the settlement.
        let terms = requests.iter().map(|request| InferenceEscrow::RequestTerms {
            requester: request.requester,
            maxFee: request.maxFee,
            token: request.token,
            deadline: request.deadline,
            prover: request.prover,
            consumer: request.consumer,
            consumerGas: request.consumerGas,
            salt: request.salt,
        });
        let requests = terms.collect();
        Ok(abi::encode(&InferenceEscrow::settleCall { circuit, settlement: settlement_, requests }))
    }

    /// Has a batch checked and paid. Who sends does not matter: the proof names the payee.
    ///
    /// # Errors
    /// [`ChainError`]; what was bound to another chain or contract is refused here, since it costs gas there, and so is what
    /// a withdrawn circuit made.
    pub fn settle(
        self,
        chain: &mut impl Chain,
        settlement: &Settlement,
        requests: &[InferenceRequest],
    ) -> Result<Settled, ChainError> {
        self.contract.expect_chain(chain)?;
        let bound = Address::from(settlement.binding.consumer);
        if bound != self.address() {
            return Err(PolicyError::ForeignConsumer { bound, got: self.address() }.into());
        }
        let (expected, got) = (settlement.binding.chain_id, self.contract.chain_id);
        if expected != got {
            return Err(PolicyError::ForeignChain { expected, got }.into());
        }
        self.router.expect_circuit_offered(chain, settlement.circuit.into())?;
        // A consumer may use all that its requester signed although it used less when the node estimated.
        let consumers = requests.iter().filter(|request| !request.consumer.is_zero());
        let more: u64 = consumers.map(|request| u64::from(request.consumerGas) * 64 / 63 + CONSUMER_OVERHEAD).sum();
        let data = self.settle_data(settlement, requests)?;
        let receipt = chain.send_with_gas(Some(self.address()), data, U256::ZERO, more)?;
        Ok(Settled::read(receipt, self))
    }

    /// What the escrow knows of a request.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn request_state(self, chain: &mut impl Chain, id: B256) -> Result<RequestState, ChainError> {
        let what = "a request's state";
        let id = U256::from_be_bytes(id.0);
        let lock = self.contract.view(chain, what, &InferenceEscrow::lockOfCall { id })?;
        let result = self.contract.view(chain, what, &InferenceEscrow::resultOfCall { id })?;
        Ok(RequestState {
            status: Status::from_number(lock.status).ok_or(StateError::Unexpected { what })?,
            payer: lock.payer,
            fee: U256::from(lock.fee),
            prover: lock.prover,
            circuits: lock.circuits,
            label: result.label,
            output_digest: result.outputDigest,
        })
    }

    /// Lets a routed circuit settle requests that are locked from now on, unless it may already. The account must own the
    /// escrow.
    ///
    /// # Errors
    /// [`ChainError`], [`PolicyError::OutputKind`] for a circuit of a withdrawn kind of output.
    pub fn enable_circuit(self, chain: &mut impl Chain, circuit: B256) -> Result<Step, ChainError> {
        self.contract.expect_chain(chain)?;
        self.router.expect_circuit_offered(chain, circuit)?;
        let receipt = if self.circuit_ordinal(chain, circuit)? == 0 {
            Some(self.contract.send(chain, &InferenceEscrow::enableCircuitCall { circuit })?)
        } else {
            None
        };
        Ok(Step { what: "circuit enabled", id: circuit.into(), receipt })
    }

    /// Circuits that are enabled.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn circuit_count(self, chain: &mut impl Chain) -> Result<u16, ChainError> {
        self.contract.view(chain, "a count of circuits", &InferenceEscrow::circuitCountCall {})
    }

    /// Place of a circuit in the order of enabling, from one; zero if it is not enabled.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn circuit_ordinal(self, chain: &mut impl Chain, circuit: B256) -> Result<u16, ChainError> {
        self.contract.view(chain, "a circuit", &InferenceEscrow::circuitsCall { circuit })
    }

    /// Whether new requests may use a token.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn token_allowed(self, chain: &mut impl Chain, token: Address) -> Result<bool, ChainError> {
        self.contract.view(chain, "a token", &InferenceEscrow::isTokenAllowedCall { token })
    }

    /// Allows a token for new requests, or disallows it. The account must own the escrow. None if it is so already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn allow_token(
        self,
        chain: &mut impl Chain,
        token: Address,
        allowed: bool,
    ) -> Result<Option<Receipt>, ChainError> {
        if self.token_allowed(chain, token)? == allowed {
            return Ok(None);
        }
        self.contract.send(chain, &InferenceEscrow::setTokenCall { token, allowed }).map(Some)
    }

    /// What an account is owed in a token, in the token's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn owed(self, chain: &mut impl Chain, account: Address, token: Address) -> Result<U256, ChainError> {
        self.contract.view(chain, "a balance", &InferenceEscrow::balancesCall { token, account })
    }

    /// What a line's owner and its contributors are owed in a token, in the token's smallest unit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn owed_to_line(self, chain: &mut impl Chain, line: u32, token: Address) -> Result<[U256; 2], ChainError> {
        let call = InferenceEscrow::lineBalancesCall { token, line: line_number(line)? };
        let owed = self.contract.view(chain, "a balance", &call)?;
        Ok([owed.owner, owed.contributors].map(U256::from))
    }

    /// Pays out what the account is owed.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw(self, chain: &mut impl Chain, token: Address, to: Address) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &InferenceEscrow::withdrawCall { token, to })
    }

    /// Pays out what a line's owner is owed; the account must be the owner.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw_owner_share(
        self,
        chain: &mut impl Chain,
        line: u32,
        token: Address,
        to: Address,
    ) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &InferenceEscrow::withdrawLineCall { line: line_number(line)?, token, to })
    }

    /// Pays out what a line's contributors are owed; the account must be their pot.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn withdraw_pot_share(
        self,
        chain: &mut impl Chain,
        line: u32,
        token: Address,
        to: Address,
    ) -> Result<Receipt, ChainError> {
        self.contract.send(chain, &InferenceEscrow::withdrawPotCall { line: line_number(line)?, token, to })
    }
}

alloy_sol_types::sol! {
    /// A prover's refusal, as it is signed.
    struct Refusal {
        uint256 requestId;
        uint8 reason;
    }
}
