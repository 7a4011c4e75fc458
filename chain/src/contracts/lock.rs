//! Locking a fee for a request: by approval, by permit (ERC-2612) or in the chain's gas token. The token and the escrow have
//! a part in it.

use alloy_primitives::aliases::U96;
use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, Bytes, U256};

use super::escrow::Escrow;
use super::token::{NATIVE, Token};
use super::{Contract, Step};
use crate::abi;
use crate::abi::bindings::InferenceEscrow::{self, InferenceRequest};
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError};
use crate::keys::PrivateKey;

/// What is locked for a request, and on which terms.
#[derive(Clone, Copy, Debug)]
pub struct Locking<'a> {
    /// For which the account pays.
    pub request: &'a InferenceRequest,
    /// In the token's smallest unit, below 2^96.
    pub fee: U256,
    /// Who has the money back if nobody serves the request; none for the account.
    pub refund_to: Option<Address>,
    /// The requester's; not looked at if the account is the requester.
    pub signature: &'a [u8],
}

/// Locks the account's money for a request, with an approval if the token needs one.
///
/// # Errors
/// [`ChainError`], [`PolicyError::OutputKind`] for a request of a withdrawn kind of output.
pub fn lock(chain: &mut impl Chain, escrow: Escrow, locking: Locking) -> Result<Vec<Step>, ChainError> {
    escrow.expect_offered(locking.request)?;
    let token = token_of(chain, escrow, &locking)?;
    let mut steps = Vec::new();
    if let Some(token) = token {
        steps.extend(token.approve(chain, escrow.address(), locking.fee)?);
    }
    let call = InferenceEscrow::lockCall {
        request: locking.request.clone(),
        fee: fee(&locking)?,
        refundTo: locking.refund_to.unwrap_or_default(),
        signature: signature(chain, &locking),
    };
    let value = if token.is_none() { locking.fee } else { U256::ZERO };
    let receipt = chain.send_value(Some(escrow.address()), abi::encode(&call), value)?;
    steps.push(locked(escrow, locking.request, receipt));
    Ok(steps)
}

/// [`lock`] in one transaction: the account, whose key this is, signs a permit instead of sending an approval.
///
/// # Errors
/// As [`lock`]; also for the gas token and for tokens without permits.
pub fn lock_with_permit(
    chain: &mut impl Chain,
    escrow: Escrow,
    locking: Locking,
    key: &PrivateKey,
) -> Result<Vec<Step>, ChainError> {
    escrow.expect_offered(locking.request)?;
    let Some(token) = token_of(chain, escrow, &locking)? else {
        return Err(PolicyError::NativePermit.into());
    };
    let deadline = U256::from(locking.request.deadline);
    let digest = token.permit_digest(chain, escrow.address(), locking.fee, deadline)?;
    let permit = key.sign_digest(digest)?;
    let call = InferenceEscrow::lockWithPermitCall {
        request: locking.request.clone(),
        fee: fee(&locking)?,
        refundTo: locking.refund_to.unwrap_or_default(),
        signature: signature(chain, &locking),
        permitDeadline: deadline,
        v: 27 + u8::from(permit.v()),
        r: permit.r().into(),
        s: permit.s().into(),
    };
    let receipt = escrow.contract.send(chain, &call)?;
    Ok(vec![locked(escrow, locking.request, receipt)])
}

/// The request's token, none for the gas token; refused before a contract that somebody else chose is called.
fn token_of(chain: &mut impl Chain, escrow: Escrow, locking: &Locking) -> Result<Option<Token>, ChainError> {
    escrow.contract.expect_chain(chain)?;
    let address = locking.request.token;
    if address == NATIVE {
        return Ok(None);
    }
    if !escrow.token_allowed(chain, address)? {
        return Err(PolicyError::TokenNotAllowed { token: address }.into());
    }
    Ok(Some(Token(Contract { address, ..escrow.contract })))
}

fn locked(escrow: Escrow, request: &InferenceRequest, receipt: Receipt) -> Step {
    Step { what: "lock", id: U256::from_be_bytes(escrow.request_id(request).0), receipt: Some(receipt) }
}

fn fee(locking: &Locking) -> Result<U96, PolicyError> {
    U96::uint_try_from(locking.fee).map_err(|_| PolicyError::FeeTooLarge { fee: locking.fee })
}

/// Who locks an own request shows nobody a signature by which it could be locked in another way first.
fn signature(chain: &impl Chain, locking: &Locking) -> Bytes {
    let own = locking.request.requester == chain.account();
    if own { Bytes::new() } else { Bytes::copy_from_slice(locking.signature) }
}
