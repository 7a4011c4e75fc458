// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {EscrowAccounts} from "./EscrowAccounts.sol";
import {RequestPrice, RequestTerms} from "./InferenceRequest.sol";
import {ModelRegistry} from "./ModelRegistry.sol";
import {Request, Settlement} from "./Settlement.sol";
import {SettlementPayments, Skip} from "./SettlementPayments.sol";
import {SignerCheck} from "./SignerCheck.sol";
import {VerifierRouter} from "./VerifierRouter.sol";

/// Pays signed requests out of deposits: no transaction locks them, one settles a whole batch.
///
/// A requester deposits for a prover, or for any prover, and signs requests under this contract's domain. The fee is what the
/// proof says, at most the request's price at the time of settlement. Nothing is stored of a request but that it was paid:
/// the answer is in the events and goes to the consumer. A request that demands a stake or an acceptance belongs into
/// {InferenceEscrow}.
///
/// The salt of a request is its number: of all requests of a requester that name one prover (or none) and have one salt, one
/// is paid. Consecutive salts share a slot of storage. Requests for another prover do not count: with one of them the requester
/// could revoke what it signed, when it sees the answer on its way.
contract PrepaidEscrow is SettlementPayments {
    struct Deposit {
        uint128 amount;
        /// From when the requester may take the deposit back; zero if it has not said that it will.
        uint64 leavingAt;
    }

    event Deposited(
        address indexed requester, address indexed prover, address indexed token, address by, uint256 amount
    );
    /// From `leavingAt` on the deposit can be taken back; zero: the requester stays.
    event Leaving(address indexed requester, address indexed prover, address indexed token, uint64 leavingAt);
    event DepositTaken(
        address indexed requester, address indexed prover, address indexed token, address to, uint256 amount
    );

    error DepositZero();
    /// A deposit is taken back {LEAVE_TIME} after the requester has said so.
    error NotLeaving(address prover, address token, uint64 leavingAt);
    /// Stakes and acceptances are {InferenceEscrow}'s.
    error TermsNotServed(uint256 requestId);

    /// Between saying so and taking a deposit back: a prover that looks at the deposit has so long to settle.
    uint64 public constant LEAVE_TIME = 1 days;

    /// By requester, by the prover that its requests name (zero for requests that name none), by token.
    mapping(address requester => mapping(address prover => mapping(address token => Deposit))) public deposits;
    /// By requester and the prover that the request names. Bit `salt % 256` of word `salt / 256`: the request was paid.
    mapping(address requester => mapping(address prover => mapping(uint256 word => uint256 bits))) private _paid;

    constructor(address owner_, VerifierRouter router_, ModelRegistry models_)
        EscrowAccounts(models_)
        EIP712("Lorica PrepaidEscrow", "1")
        SettlementPayments(router_)
        Ownable(owner_)
    {}

    // Deposits

    /// Takes the caller's money for a requester's requests that name `prover`, or, with zero, no prover. What is deposited
    /// for one prover no other can draw on.
    function deposit(address requester, address prover, address token, uint96 amount) external payable nonReentrant {
        if (amount == 0) revert DepositZero();
        if (!isTokenAllowed(token)) revert TokenNotAllowed(token);
        deposits[requester][prover][token].amount += amount;
        emit Deposited(requester, prover, token, msg.sender, amount);
        _collect(token, amount);
    }

    /// The caller will take its deposit back. Until it does, requests are paid out of it.
    function leave(address prover, address token) external nonReentrant {
        uint64 leavingAt = uint64(block.timestamp) + LEAVE_TIME;
        deposits[msg.sender][prover][token].leavingAt = leavingAt;
        emit Leaving(msg.sender, prover, token, leavingAt);
    }

    /// The caller stays after all.
    function stay(address prover, address token) external nonReentrant {
        deposits[msg.sender][prover][token].leavingAt = 0;
        emit Leaving(msg.sender, prover, token, 0);
    }

    /// Pays the caller what is left of its deposit.
    function take(address prover, address token, address to) external nonReentrant returns (uint256 amount) {
        Deposit memory taken = deposits[msg.sender][prover][token];
        if (taken.leavingAt == 0 || block.timestamp < taken.leavingAt) {
            revert NotLeaving(prover, token, taken.leavingAt);
        }
        amount = taken.amount;
        delete deposits[msg.sender][prover][token];
        emit DepositTaken(msg.sender, prover, token, to, amount);
        _pay(token, to, amount);
    }

    // Settlement

    /// Pays the requests of a proven batch, each once, out of their requesters' deposits, and tells their consumers.
    ///
    /// Reverts for what the caller's own arguments say, skips what time or others can bring about, as
    /// {InferenceEscrow-settle}.
    ///
    /// @param requests the signed terms that the settlement does not say, in the order of its requests.
    /// @param signatures of the requesters over the request ids.
    /// @param least reverts if fewer requests are paid.
    function settle(
        bytes32 route,
        Settlement calldata settlement,
        RequestTerms[] calldata requests,
        bytes[] calldata signatures,
        uint256 least
    ) external nonReentrant {
        if (signatures.length != requests.length) revert RequestCountMismatch(requests.length, signatures.length);
        Batch memory batch = _batch(route, settlement, requests.length);
        uint256[] memory callbacks = new uint256[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            RequestTerms calldata request = requests[i];
            Request calldata proven = settlement.requests[i];
            uint256 id = _match(batch, i, request, proven);
            if (request.stake != 0 || request.acceptTime != 0) revert TermsNotServed(id);
            if (_settleOne(batch, id, request, proven, signatures[i]) && request.consumer != address(0)) {
                callbacks[i] = id;
            }
        }
        _finish(batch, route, settlement, requests, callbacks, least);
    }

    function _settleOne(
        Batch memory batch,
        uint256 id,
        RequestTerms calldata request,
        Request calldata proven,
        bytes calldata signature
    ) private returns (bool) {
        if (block.timestamp > request.deadline) return _skip(id, Skip.Expired);
        if (isPaid(request.requester, request.prover, request.salt)) return _skip(id, Skip.NotLocked);
        if (request.consumerGas > MAX_CONSUMER_GAS) return _skip(id, Skip.ConsumerGas);
        uint256 fee = proven.fee;
        if (fee == 0 || fee > _price(request)) return _skip(id, Skip.OtherFee);
        Deposit storage from = deposits[request.requester][request.prover][request.token];
        uint256 available = from.amount;
        if (fee > available) return _skip(id, Skip.DepositTooSmall);
        (bool served, Division memory shares) = _shares(batch.base, proven.adapter);
        if (!served) return _skip(id, Skip.NotServed);
        if (!SignerCheck.hasSigned(request.requester, bytes32(id), signature)) return _skip(id, Skip.NotSigned);
        from.amount = uint128(available - fee);
        _paid[request.requester][request.prover][request.salt >> 8] |= 1 << (request.salt & 0xff);
        _divide(batch, id, request.token, fee, shares, proven);
        return true;
    }

    function _price(RequestTerms calldata request) private view returns (uint256) {
        // A ramp that falls has no price; one beyond any deposit none that could be paid.
        if (request.minFee > request.maxFee || request.maxFee >> 128 != 0) return 0;
        return RequestPrice.at(request.maxFee, request.minFee, request.rampStart, request.rampTime, block.timestamp);
    }

    /// The split of the version that is served now; it never changes.
    function _shares(uint256 base, uint256 adapter) private view returns (bool served, Division memory shares) {
        try models.servingTerms(base, adapter) returns (
            uint24 line, uint16 adapterOwner, uint16 baseOwner, uint16 contributors
        ) {
            return (
                true,
                Division({line: line, adapterOwner: adapterOwner, baseOwner: baseOwner, contributors: contributors})
            );
        } catch {}
    }

    // Views

    /// A request of this requester that names this prover (zero: none), with this salt, was paid.
    function isPaid(address requester, address prover, uint256 salt) public view returns (bool) {
        return _paid[requester][prover][salt >> 8] >> (salt & 0xff) & 1 == 1;
    }
}
