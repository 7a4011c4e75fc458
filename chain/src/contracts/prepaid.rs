//! The escrow of prepaid requests (`PrepaidEscrow`): a requester deposits once, and provers settle batches of its signed
//! requests without locking them.

use alloy_primitives::aliases::U96;
use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolValue;
use lorica_settlement::settlement::Settlement;

use super::Step;
use super::escrow::{Escrow, terms};
use super::request::Settled;
use super::token::Token;
use crate::abi;
use crate::abi::bindings::InferenceEscrow::InferenceRequest;
use crate::abi::bindings::PrepaidEscrow;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// Where a deposit belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepositPlace {
    /// Whose requests it pays.
    pub requester: Address,
    /// The prover that these requests name; zero for those that name none.
    pub prover: Address,
    /// The token; zero for the gas token.
    pub token: Address,
}

impl DepositPlace {
    /// The deposit that a request is paid from.
    #[must_use]
    pub fn of(request: &InferenceRequest) -> Self {
        Self { requester: request.requester, prover: request.prover, token: request.token }
    }
}

/// What is in a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// In the token's smallest unit.
    pub amount: U256,
    /// From when the requester can take it back, Unix time; none if it has not said that it will.
    pub leaving_at: Option<u64>,
}

/// The escrow of prepaid requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepaid(pub Escrow);

impl Prepaid {
    /// What is in a deposit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deposit_of(self, chain: &mut impl Chain, place: DepositPlace) -> Result<Deposit, ChainError> {
        let DepositPlace { requester, prover, token } = place;
        let call = PrepaidEscrow::depositsCall { requester, prover, token };
        let found = self.0.contract.view(chain, "a deposit", &call)?;
        let leaving_at = (found.leavingAt != 0).then_some(found.leavingAt);
        Ok(Deposit { amount: U256::from(found.amount), leaving_at })
    }

    /// Whether a request of this requester for this prover (or none) with this salt was paid.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn is_paid(self, chain: &mut impl Chain, request: &InferenceRequest) -> Result<bool, ChainError> {
        let call =
            PrepaidEscrow::isPaidCall { requester: request.requester, prover: request.prover, salt: request.salt };
        self.0.contract.view(chain, "whether a request is paid", &call)
    }

    /// Puts the account's money into a deposit, with an approval if the token needs one.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn deposit(
        self,
        chain: &mut impl Chain,
        token: Token,
        place: DepositPlace,
        amount: U256,
    ) -> Result<Vec<Step>, ChainError> {
        self.0.contract.expect_chain(chain)?;
        let units = U96::uint_try_from(amount).map_err(|_| PolicyError::FeeTooLarge { fee: amount })?;
        let mut steps = Vec::new();
        if !token.is_native() {
            if !self.0.token_allowed(chain, token.address())? {
                return Err(PolicyError::TokenNotAllowed { token: token.address() }.into());
            }
            steps.extend(token.approve(chain, self.0.address(), amount)?);
        }
        let DepositPlace { requester, prover, .. } = place;
        let call = PrepaidEscrow::depositCall { requester, prover, token: token.address(), amount: units };
        let value = if token.is_native() { amount } else { U256::ZERO };
        let receipt = chain.send_value(Some(self.0.address()), abi::encode(&call), value)?;
        steps.push(Step { what: "deposit", id: U256::ZERO, receipt: Some(receipt) });
        Ok(steps)
    }

    /// Says that the account will take its deposit back, a day later.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn leave(self, chain: &mut impl Chain, prover: Address, token: Address) -> Result<Receipt, ChainError> {
        self.0.contract.send(chain, &PrepaidEscrow::leaveCall { prover, token })
    }

    /// Says that the account stays after all.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn stay(self, chain: &mut impl Chain, prover: Address, token: Address) -> Result<Receipt, ChainError> {
        self.0.contract.send(chain, &PrepaidEscrow::stayCall { prover, token })
    }

    /// Takes back what is left of the account's deposit.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn take(
        self,
        chain: &mut impl Chain,
        prover: Address,
        token: Address,
        to: Address,
    ) -> Result<Receipt, ChainError> {
        self.0.contract.send(chain, &PrepaidEscrow::takeCall { prover, token, to })
    }

    /// Calldata of a batch's settlement by a route; the transaction fails if fewer than `least` requests are paid.
    ///
    /// # Errors
    /// [`PolicyError::Abi`].
    pub fn settle_data(
        self,
        route: B256,
        settlement: &Settlement,
        requests: &[(InferenceRequest, Bytes)],
        least: usize,
    ) -> Result<Bytes, ChainError> {
        let own = abi::settlement(settlement)?.abi_encode();
        let settlement = PrepaidEscrow::Settlement::abi_decode(&own)
            .map_err(|_| StateError::Unexpected { what: "a settlement's encoding" })?;
        // The same struct in the other escrow's ABI.
        let terms =
            requests.iter().map(|(request, _)| PrepaidEscrow::RequestTerms::abi_decode(&terms(request).abi_encode()));
        let requests_ = terms.collect::<Result<_, _>>();
        let requests_ = requests_.map_err(|_| StateError::Unexpected { what: "the encoding of a request's terms" })?;
        let signatures = requests.iter().map(|(_, signature)| signature.clone()).collect();
        let call =
            PrepaidEscrow::settleCall { route, settlement, requests: requests_, signatures, least: U256::from(least) };
        Ok(abi::encode(&call))
    }

    /// Has a batch of signed requests checked and paid out of their requesters' deposits, as [`Escrow::settle`].
    ///
    /// # Errors
    /// As there.
    pub fn settle(
        self,
        chain: &mut impl Chain,
        settlement: &Settlement,
        requests: &[(InferenceRequest, Bytes)],
        least: usize,
    ) -> Result<Settled, ChainError> {
        let terms: Vec<InferenceRequest> = requests.iter().map(|(request, _)| request.clone()).collect();
        let route = self.0.route_for(chain, settlement, &terms)?;
        let data = self.settle_data(route, settlement, requests, least)?;
        self.0.send_settlement(chain, data, &terms)
    }
}
