//! Sentences of the contracts that pay.

use std::fmt;

use lorica_circuits::shape::OutputKind;

use alloy_sol_types::SolInterface;

use super::{Consumer, Escrow, Models, Number, Pot, Prepaid, Sale, Stakes, Token};

/// A request's id.
fn request(id: alloy_primitives::U256) -> String {
    format!("request {}", Number(id))
}

/// State of a request.
fn status(status: u8) -> &'static str {
    match status {
        0 => "was never locked",
        1 => "is locked",
        2 => "has been accepted by a prover",
        3 => "is paid",
        4 => "is refunded",
        5 => "is cancelled",
        6 => "was refused by its prover",
        _ => "is in an unknown state",
    }
}

/// What is published.
fn kind(kind: u8) -> &'static str {
    match kind {
        1 => "an architecture",
        2 => "a base",
        3 => "an adapter",
        _ => "no kind of model",
    }
}

pub(super) fn escrow(f: &mut fmt::Formatter<'_>, error: &Escrow) -> fmt::Result {
    match error {
        Escrow::RouteNotEnabled(e) => write!(f, "the route {} is not enabled at the escrow", e.route),
        Escrow::OtherIndex(e) if e.got.is_zero() => write!(
            f,
            "{}: its contributors are paid by index {}, and the settlement attributes nothing",
            request(e.requestId),
            Number(e.pinned)
        ),
        Escrow::OtherIndex(e) => write!(
            f,
            "{}: its contributors are paid by index {}, and the settlement attributes by {}",
            request(e.requestId),
            Number(e.pinned),
            Number(e.got)
        ),
        Escrow::RouteAlreadyEnabled(e) => write!(f, "the route {} is enabled already", e.route),
        Escrow::RouteNotFrozen(e) => write!(f, "the route {} is not frozen", e.route),
        Escrow::TooManyRoutes(e) => write!(f, "the escrow has all {} routes that it can have", e.most),
        Escrow::RouteNotNamed(e) => write!(
            f,
            "{} does not name the route number {}: its requester does not trust this route",
            request(e.requestId),
            e.ordinal
        ),
        Escrow::RoutesInvalid(e) if e.enabled.is_zero() => {
            f.write_str("no route is enabled at the escrow yet: nothing can be settled")
        }
        Escrow::RoutesInvalid(e) if e.routes.is_zero() => f.write_str("the request names no route"),
        Escrow::RoutesInvalid(e) => write!(f, "the request names a route beyond the {} that are enabled", e.enabled),
        Escrow::NoLiveRoute(_) => f.write_str("all routes that the request names are frozen, or of another kind of output"),
        Escrow::NoRenouncing(_) => f.write_str("ownership is handed on, never given up"),
        Escrow::TokenNotAllowed(e) => write!(f, "the escrow does not take the token {}", e.token),
        Escrow::TokenFixed(e) => write!(f, "the token {} is allowed for good", e.token),
        Escrow::TokenNotContract(e) => write!(f, "the token {} has no code", e.token),
        Escrow::RouteKindInvalid(e) => match u8::try_from(e.kind).map(OutputKind::from_number) {
            Ok(Err(error)) => write!(f, "route {}: {error}", e.route),
            _ => write!(f, "route {} is for no kind of output that the escrow knows, but {}", e.route, e.kind),
        },
        Escrow::KindInvalid(e) => match OutputKind::from_number(e.kind) {
            Err(error) => write!(f, "{error}"),
            // What is a kind, an escrow refuses only if it was deployed before there was that kind.
            Ok(_) => write!(f, "this escrow is older than requests of kind {}: deploy the contracts again", e.kind),
        },
        Escrow::AdapterMissing(e) => write!(f, "{} classifies without an adapter", request(e.requestId)),
        Escrow::FeeZero(_) => f.write_str("a fee must be above zero"),
        Escrow::FeeAboveMaximum(e) => write!(f, "the fee {} is above the signed maximum of {}", e.fee, e.maxFee),
        Escrow::FeeBelowSigned(e) => {
            write!(f, "the fee {} is below the signed {}, which only the requester may lower", e.fee, e.maxFee)
        }
        Escrow::DeadlinePassed(e) => {
            write!(f, "{}: its deadline {} (Unix time) has passed", request(e.requestId), e.deadline)
        }
        Escrow::DeadlineTooFar(e) => {
            write!(f, "the deadline {} is too far away: {} (Unix time) is the latest", e.deadline, e.latest)
        }
        Escrow::ConsumerGasTooHigh(e) => {
            write!(f, "a consumer's call may use {} gas at most, {} was asked for", e.most, e.got)
        }
        Escrow::OtherChain(e) => {
            write!(f, "the chain's id was {} when the escrow was deployed and is {}: it only gives back", e.expected, e.got)
        }
        Escrow::AlreadyLocked(e) => write!(f, "{} is locked already, or was", request(e.requestId)),
        Escrow::SignatureInvalid(e) => write!(f, "the signature is not {}'s", e.signer),
        Escrow::NotLocked(e) => write!(f, "{} {}", request(e.requestId), status(e.status)),
        Escrow::AlreadyAccepted(e) => write!(
            f,
            "{} is accepted by {}, whose acceptance holds until {} (Unix time); with a stake nobody can accept or cancel it \
             afterwards either",
            request(e.requestId),
            e.prover,
            e.until
        ),
        Escrow::AcceptanceEnded(e) => {
            write!(f, "the acceptance of {} ended at {} (Unix time): there is nothing to refuse", request(e.requestId), e.until)
        }
        Escrow::RefusalExpired(e) => {
            write!(f, "the refusal of {} was good until {} (Unix time)", request(e.requestId), e.expires)
        }
        Escrow::StakeWithoutTime(e) => {
            write!(f, "{} demands a stake, but does not say for how long an acceptance holds", request(e.requestId))
        }
        Escrow::NotAttributed(e) => write!(
            f,
            "{} is an embedding by an adapter whose contributors are paid by shares, which embeddings do not have",
            request(e.requestId)
        ),
        Escrow::StoppedLately(e) => write!(
            f,
            "a route was paused or frozen before {} was accepted, but so lately that it would excuse its prover: accept, or \
             refuse, later",
            request(e.requestId)
        ),
        Escrow::RampOpen(e) => write!(
            f,
            "{} has a rising price, but neither a stake nor a named prover: a stranger could fix the lowest price",
            request(e.requestId)
        ),
        Escrow::RampInvalid(e) => write!(f, "the price begins at {}, above the {} where it ends", e.minFee, e.maxFee),
        Escrow::ConsumerInvalid(e) => write!(f, "{} cannot be the consumer: a token or the escrow", e.consumer),
        Escrow::NotNamedProver(e) => {
            write!(f, "{} is for the prover {}, not for {}", request(e.requestId), e.prover, e.caller)
        }
        Escrow::NotRequester(e) => write!(f, "{} is not the requester of {}", e.caller, request(e.requestId)),
        Escrow::DeadlineNotPassed(e) => {
            write!(f, "{}: its deadline {} (Unix time) has not passed", request(e.requestId), e.deadline)
        }
        Escrow::NoProver(e) => write!(f, "{} names no prover, and none has accepted it", request(e.requestId)),
        Escrow::RequestCountMismatch(e) => {
            write!(f, "the proof is for {} requests, the terms of {} were given", e.expected, e.got)
        }
        Escrow::PayeeInvalid(e) => write!(f, "{} cannot be paid: the zero address or the escrow", e.payee),
        Escrow::RequestIdMismatch(e) => write!(
            f,
            "request {} of the batch: the proof is for {}, but these terms with the base, adapter, input and output that are \
             proven are {}",
            e.index,
            request(e.proven),
            request(e.got)
        ),
        Escrow::LabelTooLarge(e) => write!(f, "{}: the label {} has no place", request(e.requestId), Number(e.label)),
        Escrow::TooFewPayable(e) if e.paid.is_zero() => f.write_str(
            "no request of the batch can be paid: each is not locked, expired, of another fee, or for another prover to serve",
        ),
        Escrow::TooFewPayable(e) => {
            write!(f, "only {} requests of the batch can be paid, {} at least were asked for", e.paid, e.least)
        }
        Escrow::CallbackGas(e) => write!(
            f,
            "the transaction has too little gas for the consumer of {}, which needs {}",
            request(e.requestId),
            e.needed
        ),
        Escrow::NothingToWithdraw(e) => write!(f, "nothing to withdraw of the token {}", e.token),
        Escrow::NotLineOwner(e) => write!(f, "{} does not own line {}", e.caller, e.line),
        Escrow::NotPot(e) => write!(f, "{} is not the contributors' pot of line {}", e.caller, e.line),
        Escrow::RecipientInvalid(e) => write!(f, "{} cannot receive: it is the zero address or the contract that pays", e.to),
        Escrow::ValueMismatch(e) => write!(f, "{} wei must be sent with this, got {}", e.expected, e.got),
        Escrow::DepositMismatch(e) => write!(
            f,
            "the escrow did not receive exactly {} of the token {}: tokens that take a fee or change balances are refused",
            e.fee, e.token
        ),
        Escrow::TransferFailed(e) => write!(f, "{} does not accept {} wei", e.to, e.amount),
        Escrow::OwnableInvalidOwner(e) => write!(f, "{} cannot be the owner", e.owner),
        Escrow::OwnableUnauthorizedAccount(e) => write!(f, "{} is not the owner", e.account),
        Escrow::ReentrancyGuardReentrantCall(_) => f.write_str("the contract was called again from within a call"),
        Escrow::SafeERC20FailedOperation(e) => write!(f, "a transfer of the token {} failed", e.token),
        Escrow::InvalidShortString(_) => f.write_str("a stored short string is malformed"),
        Escrow::StringTooLong(e) => write!(f, "the string {:?} is too long", e.str),
    }
}

pub(super) fn prepaid(f: &mut fmt::Formatter<'_>, error: &Prepaid) -> fmt::Result {
    match error {
        Prepaid::DepositZero(_) => f.write_str("a deposit must be above zero"),
        Prepaid::NotLeaving(e) if e.leavingAt == 0 => {
            f.write_str("a deposit is taken back a day after its requester has said so, which has not happened")
        }
        Prepaid::NotLeaving(e) => write!(f, "the deposit can be taken back from {} (Unix time) on", e.leavingAt),
        Prepaid::TermsNotServed(e) => {
            write!(f, "{} demands a stake or an acceptance, which are not for prepaid requests", request(e.requestId))
        }
        // What both escrows declare alike.
        other => match Escrow::abi_decode(&other.abi_encode()) {
            Ok(shared) => escrow(f, &shared),
            Err(_) => write!(f, "{other:?}"),
        },
    }
}

pub(super) fn pot(f: &mut fmt::Formatter<'_>, error: &Pot) -> fmt::Result {
    match error {
        Pot::NothingToDistribute(e) => write!(f, "index {} has no entries that are not distributed", Number(e.index)),
        Pot::OtherEntries(e) => {
            write!(f, "the entries do not end where the chain stands, at {}, but at {}", e.expected, e.got)
        }
        Pot::AlreadyDistributed(e) => write!(f, "entry {} of those given is distributed already", Number(e.entry)),
        Pot::NotContributor(e) => write!(f, "{} is not the contributor of slot {}", e.account, Number(e.slot)),
        Pot::NothingToClaim(e) => write!(f, "slot {} is owed nothing in the token {}", Number(e.slot), e.token),
        Pot::NothingToBurn(e) => write!(f, "nothing in the token {} is unattributed", e.token),
        Pot::NotEscrow(e) => write!(f, "{} is not the escrow", e.caller),
        Pot::RecipientInvalid(e) => write!(f, "{} cannot receive it", e.to),
        Pot::TransferFailed(e) => write!(f, "{} did not take {} of the gas token", e.to, e.amount),
        Pot::AmountTooLarge(e) => write!(f, "an account cannot hold {}", e.amount),
        Pot::ReentrancyGuardReentrantCall(_) => f.write_str("the contract was called again from within a call"),
        Pot::SafeERC20FailedOperation(e) => write!(f, "the token {} did not do what was asked", e.token),
    }
}

pub(super) fn stakes(f: &mut fmt::Formatter<'_>, error: &Stakes) -> fmt::Result {
    match error {
        Stakes::NotEscrow(e) => write!(f, "{} is not the escrow", e.caller),
        Stakes::StakeTooSmall(e) => {
            write!(f, "{} has put up {} of OPEN's smallest unit, {} are needed", e.prover, e.free, e.demanded)
        }
        Stakes::RecipientInvalid(e) => write!(f, "{} cannot receive: the zero address or the contract itself", e.to),
        Stakes::SafeERC20FailedOperation(e) => write!(f, "the token {} did not do what was asked", e.token),
    }
}

pub(super) fn models(f: &mut fmt::Formatter<'_>, error: &Models) -> fmt::Result {
    match error {
        Models::ReservationSecondsZero(_) => f.write_str("a reservation must last at least one second"),
        Models::NotReserved(e) => write!(f, "nothing is reserved under the commitment {}", e.commitment),
        Models::ReservationTooYoung(e) => {
            write!(f, "the reservation {} is too young: publish at {} (Unix time) or later", e.commitment, e.earliest)
        }
        Models::AlreadyPublished(e) => write!(f, "version {} is published already", Number(e.id)),
        Models::NotPublished(e) => write!(f, "{} with the id {} is not published", kind(e.kind), Number(e.id)),
        Models::Retired(e) => write!(f, "version {} is retired", Number(e.id)),
        Models::AlreadyRetired(e) => {
            write!(
                f,
                "that version {} is retired from {} (Unix time) on was announced before, for good",
                Number(e.id),
                e.from
            )
        }
        Models::ArchitectureStays(e) => {
            write!(f, "the architecture {} cannot be retired: bases of others stand on it", Number(e.id))
        }
        Models::AdapterOfOtherBase(e) => {
            write!(f, "adapter {} was not made for base {}", Number(e.adapter), Number(e.base))
        }
        Models::UnknownIndex(e) => write!(f, "index {} is not registered", Number(e.index)),
        Models::IndexNotRanged(e) => {
            write!(
                f,
                "nobody has proven that the cells of index {} are in range, so it cannot pay anybody",
                Number(e.index)
            )
        }
        Models::IndexOfOtherAdapter(e) => {
            write!(f, "index {} is not of adapter {}", Number(e.index), Number(e.adapter))
        }
        Models::IdMismatch(e) => {
            write!(f, "the registry of commitments computed the id {}, not {}", Number(e.got), Number(e.expected))
        }
        Models::NotLineOwner(e) => write!(f, "{} does not own line {}", e.caller, e.line),
        Models::NotOfferedTo(e) => write!(f, "line {} is not offered to {}", e.line, e.caller),
        Models::OtherNonce(e) => {
            write!(f, "line {} has changed since it was looked at: its nonce is {}, not {}", e.line, e.got, e.expected)
        }
        Models::OwnershipStays(_) => f.write_str("the ownership can be handed on, not given up"),
        Models::NotPot(e) => write!(f, "{} is not the contributors' pot of line {}", e.caller, e.line),
        Models::OtherKind(e) => write!(f, "a version of line {} is {}, not {}", e.line, kind(e.expected), kind(e.got)),
        Models::OtherPot(e) => write!(f, "the contributors' pot of line {} is {}, not {}", e.line, e.expected, e.got),
        Models::PotZero(_) => f.write_str("the contributors' pot cannot be the zero address"),
        Models::NotKind(e) => write!(f, "{} is no kind of model", e.kind),
        Models::DeploymentFeeAboveMaximum(e) => {
            write!(f, "publishing costs {} of OPEN's smallest unit, the publisher's maximum is {}", e.fee, e.most)
        }
        Models::DeploymentFeeTooHigh(e) => write!(f, "a deployment fee is {} at most, got {}", e.most, e.got),
        Models::TreasuryZero(_) => f.write_str("the treasury cannot be the zero address"),
        Models::RecipientInvalid(e) => write!(f, "{} cannot receive: it is the registry", e.to),
        Models::NotTreasury(e) => write!(f, "{} is not the treasury", e.caller),
        Models::SplitSum(e) => write!(f, "the shares must add up to 10000 basis points, got {}", e.got),
        Models::SplitProver(e) => write!(f, "the prover's share is {} basis points at least, got {}", e.least, e.got),
        Models::SplitBaseOwner(e) => {
            write!(f, "the base owner's share is {} basis points at least, got {}", e.least, e.got)
        }
        Models::SplitBelowBase(e) => {
            write!(f, "the base asks for a base owner's share of {} basis points at least, got {}", e.least, e.got)
        }
        Models::SplitContributors(e) => {
            write!(f, "the contributors' share is {} basis points at most, got {}", e.most, e.got)
        }
        Models::SplitOfArchitecture(_) => f.write_str("an architecture earns nothing: its shares must be zero"),
        Models::BoundsInvalid(e) => write!(
            f,
            "the bounds are outside their limits (a prover's least share 1000 to 8000 basis points, a base owner's 0 to 1000, \
             contributors' most 1000 to 10000): got {}, {} and {}",
            e.bounds.minProver, e.bounds.minBaseOwner, e.bounds.maxContributors
        ),
        Models::OwnableInvalidOwner(e) => write!(f, "{} cannot be the owner", e.owner),
        Models::OwnableUnauthorizedAccount(e) => write!(f, "{} is not the owner", e.account),
        Models::SafeERC20FailedOperation(e) => write!(f, "a transfer of the token {} failed", e.token),
    }
}

pub(super) fn sale(f: &mut fmt::Formatter<'_>, error: &Sale) -> fmt::Result {
    match error {
        Sale::NotSeller(e) => write!(f, "{} neither owns line {} nor has it for sale", e.caller, e.line),
        Sale::PriceZero(_) => f.write_str("the price of a line must be above zero"),
        Sale::TokenNotContract(e) => write!(f, "the token {} has no code", e.token),
        Sale::NotForSale(e) => write!(f, "line {} is not for sale, or not any more", e.line),
        Sale::OtherNonce(e) => {
            write!(f, "line {} has changed since it was looked at: its nonce is {}, not {}", e.line, e.got, e.expected)
        }
        Sale::OtherToken(e) => write!(f, "line {} is sold for the token {}, not for {}", e.line, e.got, e.expected),
        Sale::PriceAboveMaximum(e) => write!(f, "the line costs {}, the buyer's maximum is {}", e.price, e.most),
        Sale::PaymentMismatch(e) => write!(f, "{} wei must be sent with this, got {}", e.expected, e.got),
        Sale::PaymentIncomplete(e) => write!(
            f,
            "the sale did not receive exactly {} of the token {}: tokens that take a fee or change balances are refused",
            e.price, e.token
        ),
        Sale::NothingToWithdraw(e) => write!(f, "nothing to withdraw of the token {}", e.token),
        Sale::RecipientInvalid(e) => {
            write!(f, "{} cannot receive: it is the zero address or the contract that pays", e.to)
        }
        Sale::TransferFailed(e) => write!(f, "{} does not accept {} wei", e.to, e.amount),
        Sale::ReentrancyGuardReentrantCall(_) => f.write_str("the contract was called again from within a call"),
        Sale::SafeERC20FailedOperation(e) => write!(f, "a transfer of the token {} failed", e.token),
    }
}

pub(super) fn token(f: &mut fmt::Formatter<'_>, error: &Token) -> fmt::Result {
    match error {
        Token::ERC20InsufficientBalance(e) => {
            write!(f, "{} has {} of the token, {} is needed", e.sender, e.balance, e.needed)
        }
        Token::ERC20InsufficientAllowance(e) => {
            write!(f, "{} may spend {} of the token, {} is needed", e.spender, e.allowance, e.needed)
        }
        Token::ERC20InvalidSender(e) => write!(f, "{} cannot send the token", e.sender),
        Token::ERC20InvalidReceiver(e) => write!(f, "{} cannot receive the token", e.receiver),
        Token::ERC20InvalidApprover(e) => write!(f, "{} cannot approve a spender", e.approver),
        Token::ERC20InvalidSpender(e) => write!(f, "{} cannot be approved as a spender", e.spender),
        Token::ERC20ExceededSafeSupply(e) => {
            write!(f, "a supply of {} is above the limit of {}", e.increasedSupply, e.cap)
        }
        Token::ERC2612ExpiredSignature(e) => write!(f, "the permit has expired at {} (Unix time)", e.deadline),
        Token::ERC2612InvalidSigner(e) => {
            write!(f, "the permit is signed by {}, not by the owner {}", e.signer, e.owner)
        }
        Token::InvalidAccountNonce(e) => {
            write!(f, "the signature's nonce is used or too early: the next one of {} is {}", e.account, e.currentNonce)
        }
        Token::VotesExpiredSignature(e) => write!(f, "the delegation has expired at {} (Unix time)", e.expiry),
        Token::ERC5805FutureLookup(e) => {
            write!(f, "votes at {} are not known yet: the clock is at {}", e.timepoint, e.clock)
        }
        Token::CheckpointUnorderedInsertion(_) => f.write_str("a checkpoint of votes is not in order"),
        Token::ECDSAInvalidSignature(_) => f.write_str("the signature is malformed"),
        Token::ECDSAInvalidSignatureLength(e) => write!(f, "a signature has 65 bytes, got {}", e.length),
        Token::ECDSAInvalidSignatureS(e) => write!(f, "the signature's s is in the upper half: {}", e.s),
        Token::SafeCastOverflowedUintDowncast(e) => write!(f, "{} does not fit in {} bits", e.value, e.bits),
        Token::InvalidShortString(_) => f.write_str("a stored short string is malformed"),
        Token::StringTooLong(e) => write!(f, "the string {:?} is too long", e.str),
    }
}

pub(super) fn consumer(f: &mut fmt::Formatter<'_>, error: &Consumer) -> fmt::Result {
    match error {
        Consumer::NotEscrow(e) => write!(f, "{} is not the escrow", e.caller),
        Consumer::NotAsked(e) => write!(f, "{} was not asked by this consumer", request(e.requestId)),
        Consumer::NotOwner(e) => write!(f, "{} does not own this consumer", e.caller),
    }
}
