// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments, Skip} from "../../src/SettlementPayments.sol";
import {Status} from "../../src/RequestRecord.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {Puppet} from "./Mocks.sol";
import {PrepaidWorld} from "./PrepaidEscrow.t.sol";
import {World} from "./World.sol";

/// Sequences that a second reading found. Stakes: what stopped before an acceptance is no excuse for it.
contract HostileStakesTest is World {
    uint96 private constant STAKE = 8 ether;

    function setUp() public {
        _world();
        _stake(prover, 10 * uint256(STAKE));
    }

    function _staked(uint256 salt) private view returns (InferenceRequest memory request) {
        request = _request(salt);
        (request.stake, request.acceptTime) = (STAKE, 1 hours);
    }

    /// Refunds it after the deadline: the stake is lost.
    function _assertLost(InferenceRequest memory request) private {
        uint256 free = stakes.free(requester);
        cheats.warp(request.deadline + 1);
        escrow.refund(request);
        assertEq(stakes.free(requester) - free, STAKE / 2, "half is the payer's");
        assertEq(stakes.burnable(), STAKE / 2, "half is lost");
        cheats.warp(clock);
    }

    /// After a pause a prover accepts and refuses at once: the request could be neither accepted nor cancelled by anyone any
    /// more, until its deadline, and the stake came back, for nothing.
    function test_refusalAfterAnEarlierStop() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        _pause(embed, 1 minutes);
        _advance(10 minutes);
        _accept(request, prover);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.StoppedLately.selector, id));
        escrow.refuse(request, 3, 0, "");
        uint256 state = cheats.snapshotState();
        _assertLost(request);
        cheats.revertToState(state);
        // When the pause is longer ago than an acceptance takes, the refusal is as ever.
        cheats.warp(clock + 50 minutes);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.StoppedLately.selector, id));
        escrow.refuse(request, 3, 0, "");
        _advance(50 minutes + 2);
        vm.prank(prover);
        escrow.refuse(request, 3, 0, "");
        _assertLost(request);
    }

    /// Who was stopped since he accepted may refuse, and has the stake back.
    function test_refusalAfterALaterStop() public {
        InferenceRequest memory request = _staked(1);
        _lock(request);
        _accept(request, prover);
        _advance(1 minutes);
        _pause(classify, 1 minutes);
        vm.prank(prover);
        escrow.refuse(request, 3, 0, "");
        cheats.warp(request.deadline + 1);
        escrow.refund(request);
        assertEq(stakes.free(prover), 10 * uint256(STAKE), "excused");
    }

    /// The deadline cuts an acceptance short, which then seemed to have begun before it did.
    function test_acceptanceThatTheDeadlineCuts() public {
        InferenceRequest memory request = _staked(1);
        request.deadline = uint64(clock + 1 hours);
        uint256 id = _lock(request);
        _advance(10 minutes);
        _pause(embed, 1 minutes);
        _advance(10 minutes);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.StoppedLately.selector, id));
        escrow.accept(request);
        // Nobody holds it: the requester can have the money back.
        vm.prank(requester);
        escrow.cancel(request);
        _assertStatus(id, Status.Cancelled, "given back");
    }

    /// Many at once: the one that a stop would excuse is skipped, its companion is accepted.
    function test_manyAfterAnEarlierStop() public {
        InferenceRequest[] memory both = new InferenceRequest[](2);
        (both[0], both[1]) = (_staked(1), _staked(2));
        both[0].deadline = uint64(clock + 1 hours);
        uint256 id = _lock(both[0]);
        _lock(both[1]);
        _advance(10 minutes);
        _pause(embed, 1 minutes);
        _advance(1);
        cheats.recordLogs();
        vm.prank(prover);
        assertEq(escrow.acceptMany(both), 1, "one");
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == SettlementPayments.RequestSkipped.selector, "skipped");
        assertTrue(uint256(logs[0].topics[1]) == id, "which");
        assertEq(abi.decode(logs[0].data, (uint256)), uint256(Skip.Stopped), "why");
        assertEq(stakes.held(), STAKE, "one stake");
        _assertStatus(id, Status.Locked, "as it was");
        _assertLost(both[1]);
    }

    /// A stop and an acceptance in one second, in this order: who could see the stop is not excused by it.
    function test_acceptanceInTheSecondOfAStop() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        _pause(classify, 1 minutes);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.StoppedLately.selector, id));
        escrow.accept(request);
        _advance(1);
        _accept(request, prover);
        _assertLost(request);
    }
}

/// Requests that nothing could settle, with a stake: traps for provers.
contract HostileRequestsTest is World {
    function setUp() public {
        _world();
    }

    /// An embedding has no shares, so one by an adapter with an index is never settled: who had accepted it lost its stake.
    function test_embeddingByAnAdapterWithAnIndex() public {
        (uint256 adapter,) = _publishAttributed(2, _split(6_000, 2_000, 1_000, 1_000));
        InferenceRequest memory request = _request(1);
        (request.kind, request.adapter, request.stake, request.acceptTime) = (OUTPUT_EMBED, adapter, 1 ether, 1 hours);
        uint256 id = escrow.requestId(request);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NotAttributed.selector, id));
        escrow.lock(request, FEE, address(0), "");
        // A classification of the same adapter, and an embedding by another, are locked as ever.
        request.kind = OUTPUT_CLASSIFY;
        _lock(request);
        (request.kind, request.adapter) = (OUTPUT_EMBED, adapters[0]);
        _lock(request);
        request.adapter = 0;
        _lock(request);
    }
}

/// Prepaid requests: what a requester signed for one prover it cannot take back by what it signs for another.
contract HostilePrepaidTest is PrepaidWorld {
    /// The requester sees the answer in the prover's pending settlement and has another request of the same salt, which names
    /// somebody else or nobody, settled in front of it, for one unit. The prover went unpaid, though the deposit was its own.
    function test_revokedByAnotherOfTheSalt() public {
        _deposit(prover, address(open), FEE);
        _deposit(STRANGER, address(open), 1);
        _deposit(address(0), address(open), 1);
        InferenceRequest memory named = _request(7);
        named.prover = prover;
        Settlement memory pending = _provePrepaid(_one(named), prover);
        bytes[] memory signatures = _signatures(_one(named));
        address[2] memory others = [STRANGER, address(0)];
        for (uint256 i = 0; i < 2; ++i) {
            InferenceRequest memory other = _request(7);
            (other.prover, other.maxFee, other.minFee) = (others[i], 1, 1);
            other.inputDigest = 1;
            _draw(other, STRANGER);
            assertTrue(prepaid.isPaid(requester, others[i], 7), "the other is paid");
        }
        assertTrue(!prepaid.isPaid(requester, prover, 7), "the prover's is not");
        prepaid.settle(classify, pending, _terms(_one(named)), signatures, 1);
        assertEq(prepaid.balances(address(open), prover), 6 ether, "paid");
        assertTrue(prepaid.isPaid(requester, prover, 7), "once");
        _deposit(prover, address(open), FEE);
        _refused(named, prover);
        // Nor another of the salt that names this prover.
        named.inputDigest = 2;
        _refused(named, prover);
    }

    /// A request whose consumer would have more gas than a transaction: a batch with it could not be settled at all.
    function test_consumerOfAllGas() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        both[0].consumer = address(new Puppet());
        both[0].consumerGas = 500_001;
        Settlement memory settlement = _provePrepaid(both, prover);
        _skips(both, settlement, _signatures(both), Skip.ConsumerGas);
        assertEq(_left(address(0), address(open)), 9 * FEE, "one fee");
        InferenceRequest memory request = _request(3);
        (request.consumer, request.consumerGas) = (both[0].consumer, 500_000);
        _draw(request, prover);
    }
}
