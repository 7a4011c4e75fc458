//! The escrow (`InferenceEscrow`): requests are locked, accepted, settled and given back, and what is owed is paid out.
//!
//! The escrow of prepaid requests (`PrepaidEscrow`) has the functions for routes, tokens and what is owed in common with it, and
//! signs under a domain of its own; what only it has is in [`prepaid`](super::prepaid).

use std::borrow::Cow;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolEvent, SolStruct, SolValue};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::settlement::Settlement;

use super::pins;
use super::request::{RequestState, Settled, Status};
use super::router::{Route, Router};
use super::terms::line_number;
use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// Which of the two escrows a handle is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// `InferenceEscrow`: a fee is locked per request.
    Locked,
    /// `PrepaidEscrow`: fees are taken from deposits.
    Prepaid,
}

impl Funding {
    /// The escrow's name and version in its EIP-712 domain.
    fn domain(self) -> (&'static str, &'static str) {
        match self {
            Self::Locked => ("Lorica InferenceEscrow", "2"),
            Self::Prepaid => ("Lorica PrepaidEscrow", "1"),
        }
    }
}

/// What a consumer's call costs beside the gas that it has.
const CONSUMER_OVERHEAD: u64 = 12_000;

/// The escrow, the consumer that settlements are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escrow {
    /// Where it is.
    pub contract: Contract,
    /// The router that it was deployed with, by which it has settlements checked.
    pub router: Router,
    /// Which of the two it is.
    pub funding: Funding,
}

/// A route that requests can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRoute {
    /// Its bit in a request's `routes`.
    pub ordinal: u8,
    /// The router's route.
    pub route: Route,
}

impl NamedRoute {
    /// The bit in a request's `routes`.
    #[must_use]
    pub fn mask(self) -> U256 {
        pins::mask([self.ordinal])
    }
}

impl Escrow {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.contract.address
    }

    /// The domain that requests, refusals and quotes are signed under.
    pub(super) fn domain(self) -> Eip712Domain {
        let (name, version) = self.funding.domain();
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

    /// Digest of a refusal, which the prover signs. It is good until `expires`, Unix time.
    #[must_use]
    pub fn refusal_digest(self, request: &InferenceRequest, prover: Address, reason: u8, expires: u64) -> B256 {
        let request = U256::from_be_bytes(self.request_id(request).0);
        Refusal { requestId: request, prover, reason, expires }.eip712_signing_hash(&self.domain())
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

    /// Takes a request on: it cannot be cancelled while the acceptance holds. What its stake demands must be deposited
    /// ([`Stakes`](super::stakes::Stakes)).
    ///
    /// # Errors
    /// [`ChainError`], [`PolicyError::OutputKind`] for a request of a withdrawn kind of output.
    pub fn accept(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<Receipt, ChainError> {
        self.expect_offered(request)?;
        self.contract.send(chain, &InferenceEscrow::acceptCall { request: request.clone() })
    }

    /// Takes many requests on, but for those that others, or time, have spoiled. Tells how many.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn accept_many(
        self,
        chain: &mut impl Chain,
        requests: &[InferenceRequest],
    ) -> Result<(Receipt, usize), ChainError> {
        requests.iter().try_for_each(|request| self.expect_offered(request))?;
        let receipt = self.contract.send(chain, &InferenceEscrow::acceptManyCall { requests: requests.to_vec() })?;
        let own = receipt.logs.iter().filter(|log| log.address == self.address());
        let accepted = own.filter(|log| InferenceEscrow::RequestAccepted::decode_log(log).is_ok()).count();
        Ok((receipt, accepted))
    }

    /// Takes back what no prover has accepted, or the one that did has not delivered in time, or nobody can settle any more.
    /// The account must be the requester.
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

    /// Gives the payer the money back, on the word of the named prover, or opens the request again, on that of another that
    /// has accepted it: the account itself, or a signed refusal that `expires`, Unix time.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn refuse(
        self,
        chain: &mut impl Chain,
        request: &InferenceRequest,
        reason: u8,
        expires: u64,
        signature: &[u8],
    ) -> Result<Receipt, ChainError> {
        let (request, signature) = (request.clone(), Bytes::copy_from_slice(signature));
        self.contract.send(chain, &InferenceEscrow::refuseCall { request, reason, expires, signature })
    }

    /// Calldata of a batch's settlement by a route; the transaction fails if fewer than `least` requests are paid.
    ///
    /// # Errors
    /// [`PolicyError::Abi`].
    pub fn settle_data(
        self,
        route: B256,
        settlement: &Settlement,
        requests: &[InferenceRequest],
        least: usize,
    ) -> Result<Bytes, ChainError> {
        let own = abi::settlement(settlement)?.abi_encode();
        let settlement = InferenceEscrow::Settlement::abi_decode(&own)
            .map_err(|_| StateError::Unexpected { what: "a settlement's encoding" })?;
        let requests = requests.iter().map(terms).collect();
        Ok(abi::encode(&InferenceEscrow::settleCall { route, settlement, requests, least: U256::from(least) }))
    }

    /// Has a batch checked and paid. Who sends does not matter: the proof names the payee. Fewer than `least` paid requests
    /// are a refusal.
    ///
    /// # Errors
    /// [`ChainError`]; what was bound to another chain or contract is refused here, since it costs gas there, and so is what
    /// a withdrawn circuit made.
    pub fn settle(
        self,
        chain: &mut impl Chain,
        settlement: &Settlement,
        requests: &[InferenceRequest],
        least: usize,
    ) -> Result<Settled, ChainError> {
        let route = self.route_for(chain, settlement, requests)?;
        let data = self.settle_data(route, settlement, requests, least)?;
        self.send_settlement(chain, data, requests)
    }

    /// The route by which a settlement of these requests is to be checked: the newest live one of its circuit that all of them
    /// name, else any of the circuit, so that the contract can say what is wrong.
    ///
    /// # Errors
    /// [`ChainError`]; what was bound to another chain or contract is refused, and what a withdrawn circuit made.
    pub fn route_for(
        self,
        chain: &mut impl Chain,
        settlement: &Settlement,
        requests: &[InferenceRequest],
    ) -> Result<B256, ChainError> {
        self.contract.expect_chain(chain)?;
        let bound = Address::from(settlement.binding.consumer);
        if bound != self.address() {
            return Err(PolicyError::ForeignConsumer { bound, got: self.address() }.into());
        }
        let (expected, got) = (settlement.binding.chain_id, self.contract.chain_id);
        if expected != got {
            return Err(PolicyError::ForeignChain { expected, got }.into());
        }
        let circuit = B256::from(settlement.circuit);
        let now = chain.timestamp()?;
        let of_circuit = |named: &&NamedRoute| named.route.circuit == circuit;
        let named_by_all =
            |named: &&NamedRoute| requests.iter().all(|request| request.routes & named.mask() != U256::ZERO);
        let routes = self.routes(chain)?;
        let known = routes.iter().rev().filter(of_circuit);
        let best = known.clone().filter(named_by_all).find(|named| named.route.is_live(now));
        let route = match best.or(known.clone().find(named_by_all)).or(known.clone().next()) {
            Some(named) => named.route,
            None => self.router.serving_route(chain, circuit)?,
        };
        self.router.expect_route_offered(chain, &route)?;
        Ok(route.id)
    }

    /// Sends a settlement with gas for the consumers.
    pub(super) fn send_settlement(
        self,
        chain: &mut impl Chain,
        data: Bytes,
        requests: &[InferenceRequest],
    ) -> Result<Settled, ChainError> {
        // A consumer may use all that its requester signed although it used less when the node estimated.
        let consumers = requests.iter().filter(|request| !request.consumer.is_zero());
        let more: u64 = consumers.map(callback_gas).sum();
        let receipt = chain.send_with_gas(Some(self.address()), data, U256::ZERO, more)?;
        Ok(Settled::read(receipt, self.address()))
    }

    /// What the escrow knows of a request.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn request_state(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<RequestState, ChainError> {
        let what = "a request's state";
        let id = U256::from_be_bytes(self.request_id(request).0);
        let lock = self.contract.view(chain, what, &InferenceEscrow::lockOfCall { id })?;
        let result = self.contract.view(chain, what, &InferenceEscrow::resultOfCall { id })?;
        let status = Status::from_number(lock.status).ok_or(StateError::Unexpected { what })?;
        let accepted = status == Status::Accepted;
        Ok(RequestState {
            status,
            payer: lock.payer,
            fee: U256::from(lock.fee),
            prover: lock.prover,
            until: accepted.then(|| request.deadline.saturating_sub(u64::from(lock.early.to::<u32>()))),
            was_accepted: lock.wasAccepted,
            route: result.route,
            label: result.label,
            output_digest: result.outputDigest,
        })
    }

    /// Lets requests name a route of the router from now on, unless they may already.
    ///
    /// # Errors
    /// [`ChainError`], [`PolicyError::OutputKind`] for a circuit of a withdrawn kind of output.
    pub fn enable_route(self, chain: &mut impl Chain, route: B256) -> Result<Step, ChainError> {
        self.contract.expect_chain(chain)?;
        if let Some(known) = self.router.route(chain, route)? {
            self.router.expect_route_offered(chain, &known)?;
        }
        let receipt = if self.ordinal(chain, route)?.is_some() {
            None
        } else {
            Some(self.contract.send(chain, &InferenceEscrow::enableRouteCall { route })?)
        };
        Ok(Step { what: "route enabled", id: route.into(), receipt })
    }

    /// Has the escrow take notice of a frozen route: what only it could settle can be cancelled. None if it has already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn drop_route(self, chain: &mut impl Chain, route: B256) -> Result<Option<Receipt>, ChainError> {
        let live = self.contract.view(chain, "the live routes", &InferenceEscrow::liveRoutesCall {})?;
        match self.ordinal(chain, route)? {
            Some(ordinal) if !live.bit(usize::from(ordinal)) => Ok(None),
            _ => self.contract.send(chain, &InferenceEscrow::dropRouteCall { route }).map(Some),
        }
    }

    /// Place of a route in the order of enabling, from zero; none if it is not enabled.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn ordinal(self, chain: &mut impl Chain, route: B256) -> Result<Option<u8>, ChainError> {
        let found = self.contract.view(chain, "a route", &InferenceEscrow::enabledCall { route })?;
        Ok(found.enabled.then_some(found.ordinal))
    }

    /// Ids of the routes that requests can name, by ordinal.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn route_ids(self, chain: &mut impl Chain) -> Result<Vec<B256>, ChainError> {
        self.contract.view(chain, "the routes", &InferenceEscrow::routesCall {})
    }

    /// Routes that requests can name, by ordinal.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn routes(self, chain: &mut impl Chain) -> Result<Vec<NamedRoute>, ChainError> {
        let mut routes = Vec::new();
        for (ordinal, id) in (0..=u8::MAX).zip(self.route_ids(chain)?) {
            if let Some(route) = self.router.route(chain, id)? {
                routes.push(NamedRoute { ordinal, route });
            }
        }
        Ok(routes)
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
        address prover;
        uint8 reason;
        uint64 expires;
    }
}

/// Gas that a consumer's call may cost whoever settles.
#[must_use]
pub fn callback_gas(request: &InferenceRequest) -> u64 {
    if request.consumer.is_zero() { 0 } else { call_gas(request.consumerGas) }
}

/// The same of a consumer that is given so much gas.
#[must_use]
pub fn call_gas(gas: u32) -> u64 {
    u64::from(gas) * 64 / 63 + CONSUMER_OVERHEAD
}

/// What of a request a settlement does not say.
pub(super) fn terms(request: &InferenceRequest) -> InferenceEscrow::RequestTerms {
    InferenceEscrow::RequestTerms {
        requester: request.requester,
        routes: request.routes,
        maxFee: request.maxFee,
        minFee: request.minFee,
        rampStart: request.rampStart,
        rampTime: request.rampTime,
        token: request.token,
        deadline: request.deadline,
        prover: request.prover,
        acceptTime: request.acceptTime,
        stake: request.stake,
        consumer: request.consumer,
        consumerGas: request.consumerGas,
        salt: request.salt,
    }
}
