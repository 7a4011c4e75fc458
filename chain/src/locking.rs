//! Locking a fee for a request: by approval, permit (ERC-2612) or in the chain's gas token.

use std::borrow::Cow;

use alloy_primitives::aliases::U96;
use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};

use crate::abi;
use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::abi::bindings::OpenToken;
use crate::chain::{Chain, ChainError};
use crate::contracts::{Step, ask};
use crate::escrow::NATIVE;
use crate::keys::PrivateKey;
use crate::market::Market;

alloy_sol_types::sol! {
    /// An approval of ERC-2612, as it is signed.
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}

/// What is locked for a request, and on which terms.
#[derive(Clone, Copy, Debug)]
pub struct Locking<'a> {
    /// The request that the account pays for.
    pub request: &'a InferenceRequest,
    /// In the token's smallest unit, below 2^96.
    pub fee: U256,
    /// So many circuits of the escrow may settle it, in the order of enabling. Who locks another's request names all.
    pub circuits: u16,
    /// The requester's; not looked at if the account is the requester.
    pub signature: &'a [u8],
}

impl Market {
    /// Circuits that the escrow knows.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn circuit_count(&self, chain: &mut impl Chain) -> Result<u16, ChainError> {
        ask(chain, self.escrow, "a count of circuits", &InferenceEscrow::circuitCountCall {})
    }

    /// Place of a circuit in the order of enabling, from one; zero if it is not enabled.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn circuit_ordinal(&self, chain: &mut impl Chain, circuit: B256) -> Result<u16, ChainError> {
        ask(chain, self.escrow, "a circuit", &InferenceEscrow::circuitsCall { circuit })
    }

    fn allowance(&self, chain: &mut impl Chain, token: Address, spender: Address) -> Result<U256, ChainError> {
        let owner = chain.account();
        ask(chain, token, "an allowance", &OpenToken::allowanceCall { owner, spender })
    }

    /// Lets `spender` take `amount` of a token from the account, unless it may already.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn approve(
        &self,
        chain: &mut impl Chain,
        token: Address,
        spender: Address,
        amount: U256,
    ) -> Result<Option<Step>, ChainError> {
        if self.allowance(chain, token, spender)? >= amount {
            return Ok(None);
        }
        let receipt = self.send_to(chain, token, &OpenToken::approveCall { spender, value: amount })?;
        Ok(Some(Step { what: "approval", id: U256::ZERO, receipt: Some(receipt) }))
    }

    /// Locks the account's money for a request, with an approval if the token needs one.
    ///
    /// # Errors
    /// [`ChainError`], [`ChainError::Kind`] for a request of a withdrawn kind of output.
    pub fn lock(&self, chain: &mut impl Chain, locking: Locking) -> Result<Vec<Step>, ChainError> {
        self.expect_request_offered(locking.request)?;
        let token = self.token_of(chain, &locking)?;
        let mut steps = Vec::new();
        if let Some(token) = token {
            steps.extend(self.approve(chain, token, self.escrow, locking.fee)?);
        }
        let call = InferenceEscrow::lockCall {
            request: locking.request.clone(),
            fee: fee(&locking)?,
            trusted: locking.circuits,
            signature: signature(chain, &locking),
        };
        let value = if token.is_none() { locking.fee } else { U256::ZERO };
        let receipt = chain.send_value(Some(self.escrow), abi::encode(&call), value)?;
        steps.push(self.locked(locking.request, receipt));
        Ok(steps)
    }

    /// [`lock`](Self::lock) in one transaction: the account signs a permit instead of sending an approval.
    ///
    /// # Errors
    /// As [`lock`](Self::lock); also for the gas token and for tokens without permits.
    pub fn lock_with_permit(
        &self,
        chain: &mut impl Chain,
        locking: Locking,
        key: &PrivateKey,
    ) -> Result<Vec<Step>, ChainError> {
        self.expect_request_offered(locking.request)?;
        let Some(token) = self.token_of(chain, &locking)? else {
            return Err(ChainError::Unexpected { what: "a permit for the gas token" });
        };
        let deadline = U256::from(locking.request.deadline);
        let digest = self.permit_digest(chain, token, locking.fee, deadline)?;
        let permit = key.sign_digest(digest)?;
        let call = InferenceEscrow::lockWithPermitCall {
            request: locking.request.clone(),
            fee: fee(&locking)?,
            trusted: locking.circuits,
            signature: signature(chain, &locking),
            permitDeadline: deadline,
            v: 27 + u8::from(permit.v()),
            r: permit.r().into(),
            s: permit.s().into(),
        };
        let receipt = self.send_to(chain, self.escrow, &call)?;
        Ok(vec![self.locked(locking.request, receipt)])
    }

    /// The request's token, none for the gas token; refused before a contract that somebody else chose is called.
    fn token_of(&self, chain: &mut impl Chain, locking: &Locking) -> Result<Option<Address>, ChainError> {
        self.contracts.expect_chain(chain)?;
        let token = locking.request.token;
        if token == NATIVE {
            return Ok(None);
        }
        if !self.token_allowed(chain, token)? {
            return Err(ChainError::Unexpected { what: "the token, which the escrow does not take," });
        }
        Ok(Some(token))
    }

    /// What the account signs for the escrow to take `value`. The node says the token's name and version, but not which
    /// token and chain the permit is for.
    fn permit_digest(
        &self,
        chain: &mut impl Chain,
        token: Address,
        value: U256,
        deadline: U256,
    ) -> Result<B256, ChainError> {
        let owner = chain.account();
        let said = ask(chain, token, "the token's domain for permits", &OpenToken::eip712DomainCall {})?;
        let nonce = ask(chain, token, "a nonce for permits", &OpenToken::noncesCall { account: owner })?;
        let (name, version) = (Cow::Owned(said.name), Cow::Owned(said.version));
        let chain_id = U256::from(self.contracts.chain_id);
        let domain = Eip712Domain::new(Some(name), Some(version), Some(chain_id), Some(token), None);
        Ok(Permit { owner, spender: self.escrow, value, nonce, deadline }.eip712_signing_hash(&domain))
    }

    fn locked(&self, request: &InferenceRequest, receipt: crate::chain::Receipt) -> Step {
        Step { what: "lock", id: U256::from_be_bytes(self.request_id(request).0), receipt: Some(receipt) }
    }
}

fn fee(locking: &Locking) -> Result<U96, ChainError> {
    U96::uint_try_from(locking.fee).map_err(|_| ChainError::Unexpected { what: "a fee of 2^96 or more" })
}

/// Who locks an own request shows nobody a signature by which it could be locked in another way first.
fn signature(chain: &impl Chain, locking: &Locking) -> Bytes {
    let own = locking.request.requester == chain.account();
    if own { Bytes::new() } else { Bytes::copy_from_slice(locking.signature) }
}
