// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Request, Settlement} from "../../src/Settlement.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {LabelConsumer} from "../../src/examples/LabelConsumer.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "./Cheats.sol";
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
        bytes32 circuit = _circuit(requests);
        vm.expectRevert(reason);
        escrow.settle(circuit, settlement, _terms(requests));
        mock.setGullible(false);
    }

    function test_settle() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        cheats.recordLogs();
        vm.prank(STRANGER);
        escrow.settle(classify, settlement, _terms(_one(request)));
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == InferenceEscrow.RequestSettled.selector, "event");
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
        assertTrue(logs[1].topics[0] == InferenceEscrow.BatchSettled.selector, "batch event");
        assertEq(logs.length, 2, "events");
        (Status status, uint256 label, uint256 outputDigest) = escrow.resultOf(id);
        assertEq(uint256(status), uint256(Status.Settled), "status");
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
        escrow.settle(classify, settlement, _terms(_one(request)));
        settlement.payee = prover;
        settlement.requests[0].label += 1;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)));
        settlement.requests[0].label -= 1;
        settlement.requests[0].outputDigest += 1;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)));
        settlement.requests[0].outputDigest -= 1;
        // Proven, but for another consumer than the escrow.
        Settlement memory foreign = _settlement(_one(request), STRANGER);
        mock.prove(classify, address(0x1234), foreign);
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, foreign, _terms(_one(request)));
        escrow.settle(classify, settlement, _terms(_one(request)));
    }

    function _otherId(uint256 id, InferenceRequest memory other) private view returns (bytes memory) {
        return abi.encodeWithSelector(InferenceEscrow.RequestIdMismatch.selector, 0, id, escrow.requestId(other));
    }

    /// Every term that the settler gives, changed.
    function test_everyTermCounts() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        for (uint256 i = 0; i < 8; ++i) {
            InferenceRequest memory other = _request(1);
            if (i == 0) other.requester = STRANGER;
            if (i == 1) other.maxFee += 1;
            if (i == 2) other.token = address(0);
            if (i == 3) other.deadline += 1;
            if (i == 4) other.prover = prover;
            if (i == 5) other.consumer = STRANGER;
            if (i == 6) other.consumerGas += 1;
            if (i == 7) other.salt += 1;
            vm.expectRevert(_otherId(id, other));
            escrow.settle(classify, settlement, _terms(_one(other)));
        }
        escrow.settle(classify, settlement, _terms(_one(request)));
    }

    function test_mismatches() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        InferenceRequest[] memory requests = _one(request);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.requests[0].id += 1;
        _refused(
            requests, settlement, abi.encodeWithSelector(InferenceEscrow.RequestIdMismatch.selector, 0, id + 1, id)
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
        settlement.requests[0].label = 1 << 88;
        _refused(requests, settlement, abi.encodeWithSelector(InferenceEscrow.LabelTooLarge.selector, id, 1 << 88));
        settlement.requests[0].label = (1 << 88) - 1;
        mock.setGullible(true);
        other.kind = OUTPUT_EMBED;
        vm.expectRevert(_otherId(id, other));
        escrow.settle(embed, settlement, _terms(requests));
        escrow.settle(classify, settlement, _terms(requests));
        (, uint256 label,) = escrow.resultOf(id);
        assertEq(label, (1 << 88) - 1, "label");
    }

    function test_counts() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (request, _request(2));
        Settlement memory settlement = _settlement(_one(request), prover);
        _refused(requests, settlement, abi.encodeWithSelector(InferenceEscrow.RequestCountMismatch.selector, 1, 2));
    }

    function test_payee() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _settlement(_one(request), address(0));
        _refused(_one(request), settlement, abi.encodeWithSelector(InferenceEscrow.PayeeInvalid.selector, address(0)));
        settlement.payee = address(escrow);
        _refused(
            _one(request), settlement, abi.encodeWithSelector(InferenceEscrow.PayeeInvalid.selector, address(escrow))
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
            abi.encodeWithSelector(InferenceEscrow.NotNamedProver.selector, id, prover, STRANGER)
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

    // Circuits

    function test_circuits() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        bytes32 later = _addCircuit(OUTPUT_CLASSIFY, 2);
        mock.setGullible(true);
        Settlement memory settlement = _settlement(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.CircuitNotEnabled.selector, later));
        escrow.settle(later, settlement, _terms(_one(request)));
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.UnknownCircuit.selector, bytes32("none")));
        escrow.enableCircuit("none");
        vm.prank(STRANGER);
        escrow.enableCircuit(later);
        assertEq(escrow.circuits(later), 3, "ordinal");
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.CircuitAlreadyEnabled.selector, later));
        escrow.enableCircuit(later);
        // The request was locked before: its money does not depend on what was added since.
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NothingPayable.selector));
        escrow.settle(later, settlement, _terms(_one(request)));
        request.salt = 2;
        _lock(request);
        settlement = _settlement(_one(request), prover);
        escrow.settle(later, settlement, _terms(_one(request)));
    }

    /// Anyone may enable a circuit, but none whose kind is withdrawn or none: nobody could make its proofs count.
    function test_kindOfACircuit() public {
        uint256[3] memory refused = [uint256(0), 3, 256 + OUTPUT_EMBED];
        for (uint256 i = 0; i < refused.length; ++i) {
            bytes32 circuit = _addCircuit(refused[i], 2);
            vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.CircuitKindInvalid.selector, circuit, refused[i]));
            escrow.enableCircuit(circuit);
            assertEq(escrow.circuits(circuit), 0, "ordinal");
        }
        assertEq(escrow.circuitCount(), CIRCUITS, "count");
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
        escrow.settle(classify, settlement, _terms(_one(request)));
        // The withdrawn kind, even if its circuit were enabled.
        bytes32 withdrawn = _addCircuit(0, 2);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.CircuitNotEnabled.selector, withdrawn));
        escrow.settle(withdrawn, settlement, _terms(_one(request)));
        cheats.store(address(escrow), keccak256(abi.encode(withdrawn, uint256(7))), bytes32(uint256(1)));
        assertEq(escrow.circuits(withdrawn), 1, "slot");
        other.kind = 0;
        vm.expectRevert(_otherId(id, other));
        escrow.settle(withdrawn, settlement, _terms(_one(request)));
        escrow.settle(embed, settlement, _terms(_one(request)));
        _assertStatus(id, Status.Settled, "by its own kind");
    }

    function test_frozenCircuit() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        vm.prank(GOVERNANCE);
        router.freeze(classify);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, classify));
        escrow.settle(classify, settlement, _terms(_one(request)));
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
        InferenceEscrow.Skip reason,
        string memory what
    ) private {
        cheats.recordLogs();
        escrow.settle(classify, settlement, _terms(requests));
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[1].topics[0] == InferenceEscrow.RequestSkipped.selector, what);
        assertEq(uint256(logs[1].topics[1]), settlement.requests[1].id, what);
        assertEq(abi.decode(logs[1].data, (uint256)), uint256(reason), what);
        _assertStatus(settlement.requests[0].id, Status.Settled, what);
        _assertStatus(settlement.requests[2].id, Status.Settled, what);
        assertEq(escrow.balances(address(open), prover), 12 ether, what);
    }

    function test_skipWhatIsNotLocked() public {
        InferenceRequest[] memory requests = _three();
        Settlement memory settlement = _prove(requests, prover);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.NotLocked, "never locked");
    }

    function test_skipCancelled() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        vm.prank(requester);
        escrow.cancel(requests[1]);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.NotLocked, "cancelled");
    }

    function test_skipRefunded() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _advance(11);
        escrow.refund(requests[1]);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.NotLocked, "refunded");
    }

    function test_skipSettled() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _settle(requests[1], STRANGER);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.NotLocked, "settled");
    }

    function test_skipExpired() public {
        InferenceRequest[] memory requests = _three();
        _lock(requests[1]);
        Settlement memory settlement = _prove(requests, prover);
        _advance(11);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.Expired, "expired");
    }

    function test_skipOtherFee() public {
        InferenceRequest[] memory requests = _three();
        Settlement memory settlement = _prove(requests, prover);
        _lock(requests[1], FEE - 1);
        _assertSkips(requests, settlement, InferenceEscrow.Skip.OtherFee, "locked with another fee");
    }

    function test_nothingPayable() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        escrow.settle(classify, settlement, _terms(_one(request)));
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NothingPayable.selector));
        escrow.settle(classify, settlement, _terms(_one(request)));
        InferenceRequest[] memory none = new InferenceRequest[](0);
        settlement = _prove(_one(request), prover);
        settlement.requests = _none();
        mock.setGullible(true);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NothingPayable.selector));
        escrow.settle(classify, settlement, _terms(none));
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
        (,, uint256 outputDigest) = escrow.resultOf(escrow.requestId(request));
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
                    ? abi.encodeCall(InferenceEscrow.settle, (classify, settlement, _terms(_one(request))))
                    : abi.encodeCall(InferenceEscrow.refund, (request))
            );
            uint256 owed = escrow.balances(address(open), prover);
            uint256 before = gasleft();
            escrow.settle(classify, settlement, _terms(_one(request)));
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
            abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request))))
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
            abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request))))
        );
        assertTrue(!ok && bytes4(reason) == InferenceEscrow.CallbackGas.selector, "refused");
    }

    /// The least gas with which a settlement succeeds still gives the consumer all of its own.
    function test_leastGasOfASettlement() public {
        Puppet consumer = new Puppet();
        InferenceRequest memory request = _consumed(consumer, 500_000);
        Settlement memory settlement = _prove(_one(request), prover);
        bytes memory data = abi.encodeCall(escrow.settle, (classify, settlement, _terms(_one(request))));
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

    function test_exampleConsumer() public {
        vm.prank(requester);
        LabelConsumer consumer = new LabelConsumer(escrow);
        cheats.deal(requester, 100 ether);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LabelConsumer.NotOwner.selector, STRANGER));
        consumer.ask{value: FEE}(base, adapters[0], 77, CIRCUITS, uint64(clock + 100), 1);
        vm.prank(requester);
        uint256 id = consumer.ask{value: FEE}(base, adapters[0], 77, CIRCUITS, uint64(clock + 100), 1);
        InferenceRequest memory request = InferenceRequest({
            requester: address(consumer),
            base: base,
            adapter: adapters[0],
            inputDigest: 77,
            kind: OUTPUT_CLASSIFY,
            maxFee: FEE,
            token: address(0),
            deadline: uint64(clock + 100),
            prover: address(0),
            consumer: address(consumer),
            consumerGas: consumer.CONSUMER_GAS(),
            salt: 1
        });
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
        vm.prank(requester);
        consumer.ask{value: FEE}(base, adapters[0], 78, CIRCUITS, uint64(clock + 100), 2);
        (request.inputDigest, request.salt) = (78, 2);
        _advance(101);
        escrow.refund(request);
        uint256 before = requester.balance;
        vm.prank(requester);
        consumer.withdraw();
        assertEq(requester.balance - before, FEE, "refund");
    }
}
