// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {DataContract} from "../../src/DataContract.sol";
import {Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Request, Settlement} from "../../src/Settlement.sol";
import {SettlementPayments, Skip} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {LabelConsumer} from "../../src/examples/LabelConsumer.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {MockVerifier, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Settlement: payment, mismatches, skips, callbacks.
contract EscrowSettleTest is World {
    function setUp() public {
        _world();
    }

    /// A false proof would not matter: the verifier accepts all, and the escrow itself must refuse.
    function _refused(InferenceRequest[] memory requests, Settlement memory settlement, bytes memory reason) private {
        mock.setGullible(true);
        bytes32 route = _route(requests);
        vm.expectRevert(reason);
        escrow.settle(route, settlement, _terms(requests), 0);
        mock.setGullible(false);
    }

    function test_settle() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        cheats.recordLogs();
        vm.prank(STRANGER);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == SettlementPayments.RequestSettled.selector, "event");
        assertEq(uint256(logs[0].topics[1]), id, "event's id");
        assertEq(uint256(logs[0].topics[2]), uint160(prover), "event's prover");
        assertTrue(
            keccak256(logs[0].data)
                == keccak256(
                    abi.encode(
                        3, settlement.requests[0].outputDigest, address(open), 6 ether, 2 ether, 1 ether, 1 ether
                    )
                ),
            "event's data"
        );
        assertTrue(logs[1].topics[0] == SettlementPayments.BatchSettled.selector, "batch event");
        assertEq(logs.length, 2, "events");
        (Status status, bytes32 route, uint256 label, uint256 outputDigest) = escrow.resultOf(id);
        assertEq(uint256(status), uint256(Status.Settled), "status");
        assertTrue(route == classify, "route");
        assertEq(label, 3, "label");
        assertEq(outputDigest, settlement.requests[0].outputDigest, "output digest");
        assertTrue(escrow.lockOf(id).prover == prover, "payee is kept");
        assertEq(escrow.balances(address(open), prover), 6 ether, "prover");
        (uint256 owner, uint256 contributors) = _lineOwed(address(open), adapterLines[0]);
        assertEq(owner, 2 ether, "adapter owner");
        assertEq(contributors, 1 ether, "contributors");
        (owner, contributors) = _lineOwed(address(open), baseLine);
        assertEq(owner, 1 ether, "base owner");
        assertEq(contributors, 0, "base's contributors");
    }

    function test_settleAlone() public {
        InferenceRequest memory request = _request(1);
        request.kind = OUTPUT_EMBED;
        request.adapter = 0;
        _lock(request);
        _settle(request, prover);
        assertEq(escrow.balances(address(open), prover), 7 ether, "prover");
        (uint256 owner, uint256 contributors) = _lineOwed(address(open), baseLine);
        assertEq(owner, 2.5 ether, "base owner has the adapter owner's share");
        assertEq(contributors, 0.5 ether, "base's contributors");
    }

    /// A batch of mixed tokens, adapters, payers and accepted requests.
    function test_batch() public {
        (uint256 other, uint24 otherModel) = _publishAdapter(STRANGER, RELAYER, 2, _split(5_000, 4_000, 500, 500), 0);
        InferenceRequest[] memory requests = new InferenceRequest[](5);
        for (uint256 i = 0; i < 5; ++i) {
            requests[i] = _request(i);
            if (i % 2 == 1) requests[i].token = address(0);
            if (i > 2) requests[i].adapter = other;
            _lock(requests[i]);
        }
        vm.prank(STRANGER);
        escrow.accept(requests[0]);
        _settle(requests, prover);
        assertEq(escrow.balances(address(open), prover), 6 ether + 6 ether + 5 ether, "OPEN");
        assertEq(escrow.balances(address(0), prover), 6 ether + 5 ether, "gas token");
        (uint256 owner, uint256 contributors) = _lineOwed(address(open), adapterLines[0]);
        assertEq(owner, 4 ether, "adapter owner, OPEN");
        assertEq(contributors, 2 ether, "contributors, OPEN");
        (owner, contributors) = _lineOwed(address(0), otherModel);
        assertEq(owner, 4 ether, "other adapter owner, gas token");
        assertEq(contributors, 0.5 ether, "other contributors, gas token");
        (owner,) = _lineOwed(address(open), baseLine);
        assertEq(owner, 2.5 ether, "base owner, OPEN");
        (owner,) = _lineOwed(address(0), baseLine);
        assertEq(owner, 1.5 ether, "base owner, gas token");
    }

    /// Shares add up to the fee; what rounding leaves is the prover's, less than four units.
    function testFuzz_rounding(uint96 fee, uint16 a, uint16 b, uint16 c) public {
        if (fee == 0) fee = 1;
        b = 500 + b % 1_000;
        c = c % 3_000;
        a = a % (5_000 - b - c + 1);
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 0);
        (uint256 adapter, uint24 line) = _publishAdapter(STRANGER, RELAYER, 2, _split(10_000 - a - b - c, a, b, c), 0);
        InferenceRequest memory request = _request(1);
        request.adapter = adapter;
        request.token = address(0);
        request.maxFee = fee;
        request.minFee = request.maxFee;
        cheats.deal(requester, fee);
        _lock(request);
        _settle(request, prover);
        uint256 toProver = escrow.balances(address(0), prover);
        (uint256 owner, uint256 contributors) = _lineOwed(address(0), line);
        (uint256 baseOwner,) = _lineOwed(address(0), baseLine);
        assertEq(toProver + owner + contributors + baseOwner, fee, "sum");
        assertEq(owner, uint256(fee) * a / 10_000, "adapter owner");
        assertEq(baseOwner, uint256(fee) * b / 10_000, "base owner");
        assertEq(contributors, uint256(fee) * c / 10_000, "contributors");
        uint256 exact = uint256(fee) * (10_000 - a - b - c) / 10_000;
        assertTrue(toProver >= exact && toProver <= exact + 3, "prover");
    }

    // What the caller's arguments say

    function test_falseProof() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        settlement.payee = STRANGER;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        settlement.payee = prover;
        settlement.requests[0].label += 1;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        settlement.requests[0].label -= 1;
        settlement.requests[0].outputDigest += 1;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        settlement.requests[0].outputDigest -= 1;
        // Proven, but for another consumer than the escrow.
        Settlement memory foreign = _settlement(_one(request), STRANGER);
        mock.prove(circuitOf[classify], address(0x1234), foreign);
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, foreign, _terms(_one(request)), 0);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    function _otherId(uint256 id, InferenceRequest memory other) private view returns (bytes memory) {
        return abi.encodeWithSelector(SettlementPayments.RequestIdMismatch.selector, 0, id, escrow.requestId(other));
    }

    /// Every term that the settler gives, changed.
    function test_everyTermCounts() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        for (uint256 i = 0; i < 14; ++i) {
            InferenceRequest memory other = _request(1);
            if (i == 0) other.requester = STRANGER;
            if (i == 1) other.maxFee += 1;
            if (i == 2) other.token = address(0);
            if (i == 3) other.deadline += 1;
            if (i == 4) other.prover = prover;
            if (i == 5) other.consumer = STRANGER;
            if (i == 6) other.consumerGas += 1;
            if (i == 7) other.salt += 1;
            if (i == 8) other.routes = 2;
            if (i == 9) other.minFee -= 1;
            if (i == 10) other.rampStart += 1;
            if (i == 11) other.rampTime += 1;
            if (i == 12) other.acceptTime += 1;
            if (i == 13) other.stake += 1;
            vm.expectRevert(_otherId(id, other));
            escrow.settle(classify, settlement, _terms(_one(other)), 0);
        }
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    function test_mismatches() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        InferenceRequest[] memory requests = _one(request);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.requests[0].id += 1;
        _refused(
            requests, settlement, abi.encodeWithSelector(SettlementPayments.RequestIdMismatch.selector, 0, id + 1, id)
        );
        settlement.requests[0].id -= 1;
        // Proven with another base, adapter or input: with the same terms that is another request.
        InferenceRequest memory other = _request(1);
        settlement.base += 1;
        other.base += 1;
        _refused(requests, settlement, _otherId(id, other));
        settlement.base -= 1;
        other.base -= 1;
        settlement.requests[0].adapter += 1;
        other.adapter += 1;
        _refused(requests, settlement, _otherId(id, other));
        settlement.requests[0].adapter -= 1;
        other.adapter -= 1;
        settlement.requests[0].inputDigest += 1;
        other.inputDigest += 1;
        _refused(requests, settlement, _otherId(id, other));
        settlement.requests[0].inputDigest -= 1;
        other.inputDigest -= 1;
        settlement.requests[0].label = 1 << 80;
        _refused(requests, settlement, abi.encodeWithSelector(SettlementPayments.LabelTooLarge.selector, id, 1 << 80));
        settlement.requests[0].label = (1 << 80) - 1;
        mock.setGullible(true);
        other.kind = OUTPUT_EMBED;
        vm.expectRevert(_otherId(id, other));
        escrow.settle(embed, settlement, _terms(requests), 0);
        escrow.settle(classify, settlement, _terms(requests), 0);
        (,, uint256 label,) = escrow.resultOf(id);
        assertEq(label, (1 << 80) - 1, "label");
    }

    function test_counts() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (request, _request(2));
        Settlement memory settlement = _settlement(_one(request), prover);
        _refused(requests, settlement, abi.encodeWithSelector(SettlementPayments.RequestCountMismatch.selector, 1, 2));
    }

    function test_payee() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _settlement(_one(request), address(0));
        _refused(_one(request), settlement, abi.encodeWithSelector(SettlementPayments.PayeeInvalid.selector, address(0)));
        settlement.payee = address(escrow);
        _refused(
            _one(request), settlement, abi.encodeWithSelector(SettlementPayments.PayeeInvalid.selector, address(escrow))
        );
    }

    function test_namedProver() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        uint256 id = _lock(request);
        Settlement memory settlement = _settlement(_one(request), STRANGER);
        _refused(
            _one(request),
            settlement,
            abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, prover, STRANGER)
        );
        _settle(request, prover);
    }

    /// Accepting costs nothing, so it does not shut others out.
    function test_acceptedByOneProvenByAnother() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(STRANGER);
        escrow.accept(request);
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "settled");
        assertEq(escrow.balances(address(open), prover), 6 ether, "paid");
    }

    // Routes

    function test_routes() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        bytes32 later = _addRoute(OUTPUT_CLASSIFY, 2);
        mock.setGullible(true);
        Settlement memory settlement = _settlement(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotEnabled.selector, later));
        escrow.settle(later, settlement, _terms(_one(request)), 0);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.UnknownRoute.selector, bytes32("none")));
        escrow.enableRoute("none");
        vm.prank(STRANGER);
        escrow.enableRoute(later);
        (uint8 ordinal, uint8 kind, bool known) = escrow.enabled(later);
        assertTrue(ordinal == 2 && kind == OUTPUT_CLASSIFY && known, "enabled");
        assertEq(escrow.liveRoutes(), 7, "live");
        assertTrue(escrow.routes().length == 3 && escrow.routes()[2] == later, "list");
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteAlreadyEnabled.selector, later));
        escrow.enableRoute(later);
        // The request was signed before: its money does not depend on what was added since.
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(later, settlement, _terms(_one(request)), 0);
        (request.salt, request.routes) = (2, 4);
        id = _lock(request);
        settlement = _settlement(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, 4, 1));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        escrow.settle(later, settlement, _terms(_one(request)), 0);
        (, bytes32 route,,) = escrow.resultOf(id);
        assertTrue(route == later, "the route is kept");
    }

    /// Anyone may enable a route, but none whose kind is withdrawn or none: nobody could make its proofs count.
    function test_kindOfARoute() public {
        uint256[3] memory refused = [uint256(0), 3, 256 + OUTPUT_EMBED];
        for (uint256 i = 0; i < refused.length; ++i) {
            bytes32 route = _addRoute(refused[i], 2);
            vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteKindInvalid.selector, route, refused[i]));
            escrow.enableRoute(route);
            (,, bool known) = escrow.enabled(route);
            assertTrue(!known, "not enabled");
        }
        assertEq(escrow.routes().length, 2, "count");
    }

    /// An embedding is paid for by proofs of its own kind only: the kind is in the request's id.
    function test_embeddingByAnotherKind() public {
        InferenceRequest memory request = _request(1);
        request.kind = OUTPUT_EMBED;
        uint256 id = _lock(request);
        Settlement memory settlement = _settlement(_one(request), prover);
        mock.setGullible(true);
        InferenceRequest memory other = _request(1);
        other.kind = OUTPUT_CLASSIFY;
        vm.expectRevert(_otherId(id, other));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        // The withdrawn kind, even if its route were enabled.
        bytes32 withdrawn = _addRoute(0, 2);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotEnabled.selector, withdrawn));
        escrow.settle(withdrawn, settlement, _terms(_one(request)), 0);
        // Enabled, of kind 0, with ordinal 1.
        cheats.store(address(escrow), keccak256(abi.encode(withdrawn, uint256(7))), bytes32(uint256(0x010001)));
        (uint8 ordinal, uint8 kind, bool known) = escrow.enabled(withdrawn);
        assertTrue(ordinal == 1 && kind == 0 && known, "slot");
        other.kind = 0;
        vm.expectRevert(_otherId(id, other));
        escrow.settle(withdrawn, settlement, _terms(_one(request)), 0);
        escrow.settle(embed, settlement, _terms(_one(request)), 0);
        _assertStatus(id, Status.Settled, "by its own kind");
    }

    function test_frozenRoute() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        _freeze(classify);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, classify));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        _advance(2 days);
        escrow.refund(request);
    }

    // Skips

    function _three() private returns (InferenceRequest[] memory requests) {
        requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            if (i == 1) requests[i].deadline = uint64(clock + 10);
        }
        _lock(requests[0]);
        _lock(requests[2]);
    }

    /// The middle request of three cannot be paid any more: the others are.
    function _assertSkips(
        InferenceRequest[] memory requests,
        Settlement memory settlement,
        Skip reason,
        string memory what
    ) private {
        cheats.recordLogs();
        escrow.settle(classify, settlement, _terms(requests), 0);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[1].topics[0] == SettlementPayments.RequestSkipped.selector, what);
        assertEq(uint256(logs[1].topics[1]), settlement.requests[1].id, what);
        assertEq(abi.decode(logs[1].data, (uint256)), uint256(reason), what);
        _assertStatus(settlement.requests[0].id, Status.Settled, what);
        _assertStatus(settlement.requests[2].id, Status.Settled, what);
        assertEq(escrow.balances(address(open), prover), 12 ether, what);
    }

    function test_skipWhatIsNotLocked() public {
        InferenceRequest[] memory requests = _three();
        Settlement memory settlement = _prove(requests, prover);
        _assertSkips(requests, settlement, Skip.NotLocked, "never locked");
    }

    function test_skipCancelled() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        vm.prank(requester);
        escrow.cancel(requests[1]);
        _assertSkips(requests, settlement, Skip.NotLocked, "cancelled");
    }

    function test_skipRefunded() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _advance(11);
        escrow.refund(requests[1]);
        _assertSkips(requests, settlement, Skip.NotLocked, "refunded");
    }

    function test_skipSettled() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _settle(requests[1], STRANGER);
        _assertSkips(requests, settlement, Skip.NotLocked, "settled");
    }

    function test_skipExpired() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _advance(11);
        _assertSkips(requests, settlement, Skip.Expired, "expired");
    }

    function test_skipOtherFee() public {
        InferenceRequest[] memory requests = _three();
        Settlement memory settlement = _prove(requests, prover);
        _lock(requests[1], FEE - 1);
        _assertSkips(requests, settlement, Skip.OtherFee, "locked with another fee");
    }

    function test_nothingPayable() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        InferenceRequest[] memory none = new InferenceRequest[](0);
        settlement = _prove(_one(request), prover);
        settlement.requests = _none();
        mock.setGullible(true);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(classify, settlement, _terms(none), 0);
    }

    function _none() private pure returns (Request[] memory) {
        return new Request[](0);
    }

    /// One request twice in a batch: the second one is skipped, whatever the verifier says of the order.
    function test_twiceInABatch() public {
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        requests[0] = requests[1] = _request(1);
        _lock(requests[0]);
        _settle(requests, prover);
        assertEq(escrow.balances(address(open), prover), 6 ether, "once");
    }

    // Callbacks

    function _consumed(Puppet consumer, uint32 gasLimit) private returns (InferenceRequest memory request) {
        request = _request(1);
        request.consumer = address(consumer);
        request.consumerGas = gasLimit;
        _lock(request);
    }

    function test_consumer() public {
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 200_000);
        _settle(request, prover);
        assertEq(consumer.calls(), 1, "called");
        assertEq(consumer.lastLabel(), 3, "label");
        (,,, uint256 outputDigest) = escrow.resultOf(escrow.requestId(request));
        assertEq(consumer.lastDigest(), outputDigest, "output digest");
        assertTrue(consumer.gasSeen() > 199_000 && consumer.gasSeen() <= 200_000, "gas");
    }

    function test_hostileConsumers() public {
        Puppet.Mode[5] memory modes =
            [Puppet.Mode.Revert, Puppet.Mode.Burn, Puppet.Mode.BombReturn, Puppet.Mode.BombRevert, Puppet.Mode.Reenter];
        for (uint256 i = 0; i < modes.length; ++i) {
            Puppet consumer = new Puppet();
            InferenceRequest memory request = _consumed(consumer, 100_000);
            uint256 id = escrow.requestId(request);
            Settlement memory settlement = _prove(_one(request), prover);
            consumer.set(
                modes[i],
                address(escrow),
                i % 2 == 0
                    ? abi.encodeCall(InferenceEscrow.settle, (classify, settlement, _terms(_one(request)), 0))
                    : abi.encodeCall(InferenceEscrow.refund, (request))
            );
            uint256 owed = escrow.balances(address(open), prover);
            uint256 before = gasleft();
            escrow.settle(classify, settlement, _terms(_one(request)), 0);
            assertTrue(before - gasleft() < 350_000, "gas");
            _assertStatus(id, Status.Settled, vm.toString(i));
            assertEq(escrow.balances(address(open), prover), owed + 6 ether, vm.toString(i));
            assertTrue(!consumer.reentered(), "reentered");
        }
    }

    /// During the call the result is there to read, and all accounts are settled.
    function test_consumerReads() public {
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 300_000);
        uint256 id = escrow.requestId(request);
        consumer.set(Puppet.Mode.Reenter, address(escrow), abi.encodeCall(escrow.resultOf, (id)));
        _settle(request, prover);
        assertTrue(consumer.reentered(), "read");
        assertEq(abi.decode(consumer.reason(), (uint256)), uint256(Status.Settled), "settled");
    }

    function test_consumerWithoutCode() public {
        InferenceRequest memory request = _request(1);
        request.consumer = address(0xc0de);
        request.consumerGas = 1_000;
        _lock(request);
        _settle(request, prover);
    }

    /// With any gas for the transaction the call has its gas or nothing happens.
    function testFuzz_settlerCannotStarveTheConsumer(uint256 supplied) public {
        // Around the least that suffices.
        supplied = 600_000 + supplied % 150_000;
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 500_000);
        Settlement memory settlement = _prove(_one(request), prover);
        (bool ok,) = address(escrow).call{gas: supplied}(
            abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request)), 0))
        );
        if (ok) {
            assertEq(consumer.calls(), 1, "called");
            assertTrue(consumer.gasSeen() > 499_000, "with its gas");
        } else {
            _assertStatus(escrow.requestId(request), Status.Locked, "nothing happened");
        }
    }

    function test_starving() public {
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 500_000);
        Settlement memory settlement = _prove(_one(request), prover);
        (bool ok, bytes memory reason) = address(escrow).call{gas: 600_000}(
            abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request)), 0))
        );
        assertTrue(!ok && bytes4(reason) == SettlementPayments.CallbackGas.selector, "refused");
    }

    /// The least gas with which a settlement succeeds still gives the consumer all of its own.
    function test_leastGasOfASettlement() public {
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 500_000);
        Settlement memory settlement = _prove(_one(request), prover);
        bytes memory data = abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request)), 0));
        uint256 fails = 500_000;
        uint256 succeeds = 1_100_000;
        while (succeeds - fails > 50) {
            uint256 middle = (fails + succeeds) / 2;
            uint256 state = cheats.snapshotState();
            (bool ok,) = address(escrow).call{gas: middle}(data);
            cheats.revertToState(state);
            if (ok) succeeds = middle;
            else fails = middle;
        }
        (bool settled,) = address(escrow).call{gas: succeeds}(data);
        assertTrue(settled, "settled");
        assertTrue(consumer.gasSeen() > 499_000, "the consumer's gas");
    }

    function _labelConsumer() private returns (LabelConsumer) {
        // `deployCode` takes no prank, and the owner is who deploys.
        bytes memory code = abi.encodePacked(cheats.getCode("LabelConsumer.sol:LabelConsumer"), abi.encode(escrow));
        address consumer;
        vm.prank(requester);
        assembly {
            consumer := create(0, add(code, 0x20), mload(code))
        }
        return LabelConsumer(consumer);
    }

    function test_exampleConsumer() public {
        LabelConsumer consumer = _labelConsumer();
        cheats.deal(requester, 100 ether);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LabelConsumer.NotOwner.selector, STRANGER));
        consumer.ask{value: FEE}(_request(1));
        InferenceRequest memory request = _request(1);
        (request.inputDigest, request.deadline) = (77, uint64(clock + 100));
        // What is the contract's is not asked for.
        (request.kind, request.token, request.consumer) = (OUTPUT_EMBED, address(open), STRANGER);
        vm.prank(requester);
        uint256 id = consumer.ask{value: FEE}(request);
        (request.requester, request.kind, request.token) = (address(consumer), OUTPUT_CLASSIFY, address(0));
        (request.consumer, request.consumerGas) = (address(consumer), consumer.CONSUMER_GAS());
        assertEq(escrow.requestId(request), id, "id");
        vm.expectRevert(abi.encodeWithSelector(LabelConsumer.NotEscrow.selector, address(this)));
        consumer.onInference(id, 1, 1);
        _settle(request, prover);
        (, bool known, uint256 label) = consumer.answers(id);
        assertTrue(known, "known");
        assertEq(label, 3, "label");
        // A stranger's request that names this consumer is not its own question.
        InferenceRequest memory foreign = _request(5);
        foreign.consumer = address(consumer);
        foreign.consumerGas = 100_000;
        uint256 other = _lock(foreign);
        _settle(foreign, prover);
        (, known,) = consumer.answers(other);
        assertTrue(!known, "not asked");
        // An unanswered question's money comes back.
        (request.inputDigest, request.salt) = (78, 2);
        vm.prank(requester);
        consumer.ask{value: FEE}(request);
        _advance(101);
        escrow.refund(request);
        uint256 before = requester.balance;
        vm.prank(requester);
        consumer.withdraw();
        assertEq(requester.balance - before, FEE, "refund");
    }

    /// The example takes questions back, and what a prover lost to it for not answering.
    function test_exampleConsumerTakesBack() public {
        LabelConsumer consumer = _labelConsumer();
        cheats.deal(requester, 100 ether);
        InferenceRequest memory request = _request(1);
        (request.acceptTime, request.stake, request.minFee) = (100, 3, 1);
        vm.prank(requester);
        consumer.ask{value: FEE}(request);
        (request.requester, request.token) = (address(consumer), address(0));
        (request.consumer, request.consumerGas) = (address(consumer), consumer.CONSUMER_GAS());
        cheats.startPrank(prover);
        open.approve(address(escrow.stakes()), 3);
        escrow.stakes().deposit(prover, 3);
        cheats.stopPrank();
        vm.prank(prover);
        escrow.accept(request);
        _advance(1 days + 1);
        escrow.refund(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LabelConsumer.NotOwner.selector, STRANGER));
        consumer.withdrawStakes();
        uint256 before = open.balanceOf(requester);
        vm.prank(requester);
        consumer.withdrawStakes();
        assertEq(open.balanceOf(requester) - before, 1, "half of the stake, rounded down");
        // The second question is taken back.
        request = _request(2);
        vm.prank(requester);
        consumer.ask{value: FEE}(request);
        (request.requester, request.token) = (address(consumer), address(0));
        (request.consumer, request.consumerGas) = (address(consumer), consumer.CONSUMER_GAS());
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LabelConsumer.NotOwner.selector, STRANGER));
        consumer.cancel(request);
        vm.prank(requester);
        consumer.cancel(request);
        before = requester.balance;
        vm.prank(requester);
        consumer.withdraw();
        assertEq(requester.balance - before, 2 * uint256(FEE), "both fees");
    }
}
