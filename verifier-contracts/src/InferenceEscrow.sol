// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {EscrowAccounts} from "./EscrowAccounts.sol";
import {InferenceRequest, RequestHash, RequestPrice, RequestTerms} from "./InferenceRequest.sol";
import {ModelRegistry} from "./ModelRegistry.sol";
import {OUTPUT_CLASSIFY, isOutputKind} from "./OutputKind.sol";
import {ProverStakes} from "./ProverStakes.sol";
import {Lock, Record, RequestRecord, Status} from "./RequestRecord.sol";
import {Request, Settlement} from "./Settlement.sol";
import {SettlementPayments, Skip} from "./SettlementPayments.sol";
import {SignerCheck} from "./SignerCheck.sol";
import {VerifierRouter} from "./VerifierRouter.sol";

/// Locks a fee per request and pays it when a settlement proof checks, once.
///
/// A request's fate is in docs/contracts.md. What a payment depends on is fixed when the request is locked, or signed. The
/// owner (governance) chooses which tokens new requests may use, nothing else.
contract InferenceEscrow is SettlementPayments {
    using RequestRecord for Record;

    /// Every term of the request: it can be rebuilt from here. The payer is who has the money back if nobody serves it.
    event RequestLocked(
        uint256 indexed requestId,
        address indexed requester,
        address indexed payer,
        uint96 fee,
        InferenceRequest request
    );
    /// @param fee what settling pays; what the payer locked beyond it is the payer's again.
    /// @param until last second in which the acceptance holds.
    event RequestAccepted(uint256 indexed requestId, address indexed prover, uint96 fee, uint64 until);
    /// The prover that had accepted refuses. Anyone may serve the request.
    event RequestReopened(uint256 indexed requestId, address indexed prover, uint8 reason);
    event RequestRefunded(uint256 indexed requestId, address indexed payer, uint256 fee);
    event RequestCancelled(uint256 indexed requestId, address indexed payer, uint256 fee);
    event RequestRefused(
        uint256 indexed requestId, address indexed prover, address indexed payer, uint8 reason, uint256 fee
    );

    /// The kind of output that is asked for is withdrawn or none.
    error KindInvalid(uint8 kind);
    /// Classification needs an adapter.
    error AdapterMissing(uint256 requestId);
    error FeeZero();
    error FeeAboveMaximum(uint256 maxFee, uint256 fee);
    /// Who locks another's request locks the signed fee, no less: a stranger cannot spoil a request with one wei.
    error FeeBelowSigned(uint256 maxFee, uint256 fee);
    /// A stake is lost when the acceptance ends; so it must end, and by the deadline.
    error StakeWithoutTime(uint256 requestId);
    /// A rising price needs a stake or a named prover: else a stranger would fix it at its lowest by accepting, for nothing.
    error RampOpen(uint256 requestId);
    /// An embedding has no shares, by which the adapter's contributors would have to be paid: nothing can settle it.
    error NotAttributed(uint256 requestId);
    /// A route was paused or frozen before, but lately: it would count as since the acceptance, and excuse its prover.
    error StoppedLately(uint256 requestId);
    /// The price begins above where it ends, or rises to more than a fee can be.
    error RampInvalid(uint256 minFee, uint256 maxFee);
    error DeadlinePassed(uint256 requestId, uint64 deadline);
    error DeadlineTooFar(uint256 latest, uint64 deadline);
    error ConsumerGasTooHigh(uint32 most, uint32 got);
    /// A token, or the escrow: neither is to be called.
    error ConsumerInvalid(address consumer);
    error AlreadyLocked(uint256 requestId);
    /// The request names no route, or one that is not enabled yet.
    error RoutesInvalid(uint256 enabled, uint256 routes);
    /// All routes that the request names are frozen, or of another kind.
    error NoLiveRoute(uint256 routes);
    error NotLocked(uint256 requestId, Status status);
    /// The acceptance holds until `until`; that of a prover with a stake shuts others out until then and ends by the deadline.
    error AlreadyAccepted(uint256 requestId, address prover, uint256 until);
    error NotRequester(uint256 requestId, address caller);
    error DeadlineNotPassed(uint256 requestId, uint64 deadline);
    /// Nobody is named and nobody has accepted.
    error NoProver(uint256 requestId);
    error RefusalExpired(uint256 requestId, uint64 expires);
    /// The acceptance does not hold any more: there is nothing to refuse.
    error AcceptanceEnded(uint256 requestId, uint256 until);

    /// Longest time between locking and the deadline: nothing stays locked for longer.
    uint64 public constant MAX_LOCK_TIME = 30 days;

    /// Where provers put up OPEN for requests that demand a stake.
    ProverStakes public immutable stakes;

    mapping(uint256 requestId => Record) private _records;

    constructor(address owner_, VerifierRouter router_, ModelRegistry models_)
        EscrowAccounts(models_)
        EIP712("Lorica InferenceEscrow", "2")
        SettlementPayments(router_)
        Ownable(owner_)
    {
        stakes = new ProverStakes(IERC20(open));
    }

    // Locking

    /// Locks the caller's money for a request. The requester needs no signature; who locks for another locks its maxFee.
    /// @param fee in the token's smallest unit; the gas token is sent along.
    /// @param refundTo who has the money back if nobody serves the request; zero for the caller.
    /// @param signature of the requester over the request id.
    function lock(InferenceRequest calldata request, uint96 fee, address refundTo, bytes calldata signature)
        external
        payable
        nonReentrant
        returns (uint256 id)
    {
        return _lock(request, fee, refundTo, signature);
    }

    /// {lock} with an ERC-2612 approval of the fee by the caller. If somebody else has used the permit already, the
    /// allowance that it gave serves.
    function lockWithPermit(
        InferenceRequest calldata request,
        uint96 fee,
        address refundTo,
        bytes calldata signature,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint256 id) {
        if (request.token == NATIVE || !isTokenAllowed(request.token)) revert TokenNotAllowed(request.token);
        try IERC20Permit(request.token).permit(msg.sender, address(this), fee, permitDeadline, v, r, s) {} catch {}
        return _lock(request, fee, refundTo, signature);
    }

    function _lock(InferenceRequest calldata request, uint96 fee, address refundTo, bytes calldata signature)
        private
        returns (uint256 id)
    {
        _requireOwnChain();
        id = requestId(request);
        _checkTerms(id, request, fee);
        _checkRoutes(request.kind, request.routes);
        if (_records[id].status() != Status.None) revert AlreadyLocked(id);
        if (msg.sender != request.requester && !SignerCheck.hasSigned(request.requester, bytes32(id), signature)) {
            revert SignatureInvalid(request.requester);
        }
        if (refundTo == address(this)) revert RecipientInvalid(refundTo);
        Lock memory locked;
        locked.status = Status.Locked;
        locked.payer = refundTo == address(0) ? msg.sender : refundTo;
        locked.fee = fee;
        locked.prover = request.prover;
        (locked.line, locked.adapterOwner, locked.baseOwner, locked.contributors) =
            models.servingTerms(request.base, request.adapter);
        _records[id].store(locked);
        emit RequestLocked(id, request.requester, locked.payer, fee, request);
        _collect(request.token, fee);
    }

    function _checkTerms(uint256 id, InferenceRequest calldata request, uint96 fee) private view {
        if (!isOutputKind(request.kind)) revert KindInvalid(request.kind);
        if (request.kind == OUTPUT_CLASSIFY) {
            if (request.adapter == 0) revert AdapterMissing(id);
        } else if (models.indexOf(request.adapter) != 0) {
            revert NotAttributed(id);
        }
        if (fee == 0) revert FeeZero();
        if (fee > request.maxFee) revert FeeAboveMaximum(request.maxFee, fee);
        if (fee < request.maxFee && msg.sender != request.requester) revert FeeBelowSigned(request.maxFee, fee);
        if (request.minFee != request.maxFee) {
            if (request.minFee > request.maxFee || request.maxFee > type(uint96).max) {
                revert RampInvalid(request.minFee, request.maxFee);
            }
            if (request.prover == address(0) && request.stake == 0) revert RampOpen(id);
        }
        if (!isTokenAllowed(request.token)) revert TokenNotAllowed(request.token);
        if (block.timestamp > request.deadline) revert DeadlinePassed(id, request.deadline);
        uint256 latest = block.timestamp + MAX_LOCK_TIME;
        if (request.deadline > latest) revert DeadlineTooFar(latest, request.deadline);
        // A longer one would reach back before the lock: what stopped then is no excuse for being late.
        if (
            request.stake != 0
                && (request.acceptTime == 0 || block.timestamp + request.acceptTime > request.deadline)
        ) revert StakeWithoutTime(id);
        if (request.consumerGas > MAX_CONSUMER_GAS) revert ConsumerGasTooHigh(MAX_CONSUMER_GAS, request.consumerGas);
        address consumer = request.consumer;
        if (consumer != address(0) && (consumer == request.token || consumer == open || consumer == address(this))) {
            revert ConsumerInvalid(consumer);
        }
    }

    function _checkRoutes(uint256 kind, uint256 named) private view {
        uint256 count = _routeCount;
        if (named == 0 || named >> count != 0) revert RoutesInvalid(count, named);
        if (named & _liveOf(kind) == 0) revert NoLiveRoute(named);
    }

    // Before settlement

    /// The caller takes the request on: the requester cannot cancel while the acceptance holds, the price is what it is
    /// now, and the caller can refuse. Without a stake it does not shut others out, since it costs nothing: whoever proves
    /// first is paid, unless a prover is named. With one it does, until the acceptance ends; afterwards anyone may serve
    /// the request, and whoever does has half of the stake.
    function accept(InferenceRequest calldata request) external nonReentrant {
        (uint256 id, Lock memory locked) = _acceptable(request);
        if (!RequestRecord.isOpen(locked.status)) revert NotLocked(id, locked.status);
        if (block.timestamp > request.deadline) revert DeadlinePassed(id, request.deadline);
        if (_isTaken(request, locked)) {
            revert AlreadyAccepted(id, locked.prover, request.deadline - locked.early);
        }
        if (!_accept(id, request, locked)) revert StoppedLately(id);
    }

    /// {accept} for many: skips what others, or time, have spoiled.
    /// @return accepted how many.
    function acceptMany(InferenceRequest[] calldata requests) external nonReentrant returns (uint256 accepted) {
        for (uint256 i = 0; i < requests.length; ++i) {
            InferenceRequest calldata request = requests[i];
            (uint256 id, Lock memory locked) = _acceptable(request);
            if (!RequestRecord.isOpen(locked.status)) {
                _skip(id, Skip.NotLocked);
            } else if (block.timestamp > request.deadline) {
                _skip(id, Skip.Expired);
            } else if (_isTaken(request, locked)) {
                _skip(id, Skip.Taken);
            } else if (_accept(id, request, locked)) {
                ++accepted;
            } else {
                _skip(id, Skip.Stopped);
            }
        }
    }

    function _acceptable(InferenceRequest calldata request) private view returns (uint256 id, Lock memory locked) {
        id = requestId(request);
        if (request.prover != address(0) && request.prover != msg.sender) {
            revert NotNamedProver(id, request.prover, msg.sender);
        }
        locked = _records[id].load();
    }

    /// Somebody has accepted, and the acceptance holds or was made with a stake, which is lost or won by the deadline.
    function _isTaken(InferenceRequest calldata request, Lock memory locked) private view returns (bool) {
        return locked.status == Status.Accepted
            && (request.stake != 0 || block.timestamp <= request.deadline - locked.early);
    }

    /// False if the acceptance is with a stake that an earlier stop would excuse.
    function _accept(uint256 id, InferenceRequest calldata request, Lock memory locked) private returns (bool) {
        Record storage record = _records[id];
        uint256 until = request.deadline;
        if (request.acceptTime != 0 && block.timestamp + request.acceptTime < until) {
            until = block.timestamp + request.acceptTime;
        }
        uint256 early = request.deadline - until;
        if (request.stake != 0 && _wasStopped(request.deadline, early, request.acceptTime)) return false;
        record.accept(msg.sender, early);
        uint256 fee = locked.fee;
        // A price that has been fixed once stays.
        if (locked.status == Status.Locked) {
            uint256 price = RequestPrice.at(
                request.maxFee, request.minFee, request.rampStart, request.rampTime, block.timestamp
            );
            if (price == 0) price = 1;
            if (price < fee) {
                record.setFee(price);
                _credit(request.token, locked.payer, fee - price);
                fee = price;
            }
        }
        emit RequestAccepted(id, msg.sender, uint96(fee), uint64(until));
        if (request.stake != 0) stakes.hold(msg.sender, request.stake);
        return true;
    }

    /// The requester takes back what no prover has accepted, or what the prover that accepted it, without a stake, has not
    /// delivered in time, or what no route can settle any more; the payer has the money back.
    function cancel(InferenceRequest calldata request) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        Lock memory locked = _requireLocked(id, record);
        if (msg.sender != request.requester) revert NotRequester(id, msg.sender);
        if (_isTaken(request, locked) && request.routes & _liveOf(request.kind) != 0) {
            revert AlreadyAccepted(id, locked.prover, request.deadline - locked.early);
        }
        _endStake(request, locked);
        (address payer, uint96 fee) = _return(record, request.token, Status.Cancelled);
        emit RequestCancelled(id, payer, fee);
    }

    /// After the deadline anyone gives the payer the money back.
    function refund(InferenceRequest calldata request) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        Lock memory locked = _requireLocked(id, record);
        if (block.timestamp <= request.deadline) revert DeadlineNotPassed(id, request.deadline);
        _endStake(request, locked);
        (address payer, uint96 fee) = _return(record, request.token, Status.Refunded);
        emit RequestRefunded(id, payer, fee);
    }

    /// The prover that is named gives the payer the money back; one that has accepted a request that names nobody opens it
    /// again. By itself, or by a signed {Refusal} that anyone may bring until it expires.
    /// @param expires of the signature; the prover itself may say anything.
    function refuse(InferenceRequest calldata request, uint8 reason, uint64 expires, bytes calldata signature)
        external
        nonReentrant
    {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        Lock memory locked = _requireLocked(id, record);
        address prover = locked.prover;
        if (prover == address(0)) revert NoProver(id);
        if (msg.sender != prover) {
            if (block.timestamp > expires) revert RefusalExpired(id, expires);
            bytes32 digest = _typed(RequestHash.hashRefusal(id, prover, reason, expires));
            if (!SignerCheck.hasSigned(prover, digest, signature)) revert SignatureInvalid(prover);
        }
        if (request.prover == address(0)) return _reopen(id, request, locked, reason);
        _endStake(request, locked);
        (address payer, uint96 fee) = _return(record, request.token, Status.Refused);
        emit RequestRefused(id, prover, payer, reason, fee);
    }

    /// Only a prover whose acceptance holds has something to give up. A stake stays, for whoever serves the request.
    function _reopen(uint256 id, InferenceRequest calldata request, Lock memory locked, uint8 reason) private {
        uint256 until = request.deadline - locked.early;
        if (block.timestamp > until) revert AcceptanceEnded(id, until);
        if (request.stake == 0) {
            _records[id].reopen();
        } else {
            // One second ago: anyone may serve it at once. So the acceptance seems to have begun before it did.
            uint256 early = request.deadline - (block.timestamp - 1);
            if (
                _wasStopped(request.deadline, early, request.acceptTime)
                    && !_wasStopped(request.deadline, locked.early, request.acceptTime)
            ) revert StoppedLately(id);
            _records[id].accept(locked.prover, early);
        }
        emit RequestReopened(id, locked.prover, reason);
    }

    function _requireLocked(uint256 id, Record storage record) private view returns (Lock memory locked) {
        locked = record.load();
        if (!RequestRecord.isOpen(locked.status)) revert NotLocked(id, locked.status);
    }

    /// The request ends unserved: its stake is lost, half of it to the payer, unless nobody could have served it.
    function _endStake(InferenceRequest calldata request, Lock memory locked) private {
        if (request.stake == 0 || locked.status != Status.Accepted) return;
        if (
            request.routes & _liveOf(request.kind) == 0
                || _wasStopped(request.deadline, locked.early, request.acceptTime)
        ) {
            stakes.release(locked.prover, request.stake);
        } else {
            stakes.forfeit(locked.payer, request.stake);
        }
    }

    /// A route was paused or frozen since the acceptance, which began `acceptTime` before its end, or a little later: the
    /// prover may have been kept from settling.
    function _wasStopped(uint64 deadline, uint256 early, uint32 acceptTime) private view returns (bool) {
        return uint256(router.lastStop()) + acceptTime + early >= deadline;
    }

    function _return(Record storage record, address token, Status final_) private returns (address payer, uint96 fee) {
        (payer, fee) = record.close(final_);
        _credit(token, payer, fee);
    }

    // Settlement

    /// Pays the requests of a proven batch, each once, and tells their consumers. The proof names the payee: who sends the
    /// transaction does not matter.
    ///
    /// Reverts for what the caller's own arguments say (terms that are not the proven ones, a false proof); skips, with an
    /// event and without payment, what time or others can bring about, so that one request cannot spoil its companions.
    ///
    /// @param requests the signed terms that the settlement does not say, in the order of its requests.
    /// @param least reverts if fewer requests are paid: nobody pays for the check of a whole batch to earn one fee of it.
    function settle(
        bytes32 route,
        Settlement calldata settlement,
        RequestTerms[] calldata requests,
        uint256 least
    ) external nonReentrant {
        Batch memory batch = _batch(route, settlement, requests.length);
        uint256[] memory callbacks = new uint256[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            RequestTerms calldata request = requests[i];
            Request calldata proven = settlement.requests[i];
            uint256 id = _match(batch, i, request, proven);
            if (_settleOne(batch, id, request, proven) && request.consumer != address(0)) callbacks[i] = id;
        }
        _finish(batch, route, settlement, requests, callbacks, least);
    }

    function _settleOne(Batch memory batch, uint256 id, RequestTerms calldata request, Request calldata proven)
        private
        returns (bool)
    {
        Record storage record = _records[id];
        uint256 terms = record.terms;
        Status status = RequestRecord.statusOf(terms);
        if (!RequestRecord.isOpen(status)) return _skip(id, Skip.NotLocked);
        if (block.timestamp > request.deadline) return _skip(id, Skip.Expired);
        uint256 fee = RequestRecord.feeOf(record.deposit);
        if (fee != proven.fee) return _skip(id, Skip.OtherFee);
        if (status == Status.Locked) {
            if (request.minFee < request.maxFee || request.stake != 0) return _skip(id, Skip.NotAccepted);
        } else if (request.stake != 0 && !_settleStake(request, terms, batch.payee)) {
            return _skip(id, Skip.Taken);
        }
        record.settle(batch.payee, batch.ordinal, proven.label, proven.outputDigest);
        Division memory shares;
        shares.line = RequestRecord.lineOf(terms);
        (shares.adapterOwner, shares.baseOwner, shares.contributors) = RequestRecord.sharesOf(terms);
        _divide(batch, id, request.token, fee, shares, proven);
        return true;
    }

    /// The stake of a request that is served: back in time, or half of it to whoever serves it late. False if another
    /// prover's acceptance holds.
    function _settleStake(RequestTerms calldata request, uint256 terms, address payee) private returns (bool) {
        address prover = RequestRecord.proverOf(terms);
        uint256 early = RequestRecord.earlyOf(terms);
        if (block.timestamp <= request.deadline - early) {
            if (payee != prover) return false;
            stakes.release(prover, request.stake);
        } else if (_wasStopped(request.deadline, early, request.acceptTime)) {
            stakes.release(prover, request.stake);
        } else {
            stakes.forfeit(payee, request.stake);
        }
        return true;
    }

    // Views

    /// Route, label and output digest once the status is Settled, zeros before. The route says which circuit and verifier
    /// the answer rests on; {VerifierRouter-routes} says whether it was frozen since.
    function resultOf(uint256 id)
        external
        view
        returns (Status status, bytes32 route, uint256 label, uint256 outputDigest)
    {
        uint256 ordinal;
        (status, ordinal, label, outputDigest) = _records[id].result();
        if (status == Status.Settled) route = _routeOf(ordinal);
    }

    /// What is locked; of a final request the status, the prover, and of one that ended unserved whether it was accepted.
    function lockOf(uint256 id) external view returns (Lock memory) {
        return _records[id].load();
    }
}
