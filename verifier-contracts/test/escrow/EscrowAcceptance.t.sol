// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {ProverStakes} from "../../src/ProverStakes.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments, Skip} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {World} from "./World.sol";

/// Acceptances that end, stakes, prices that rise, refusals that reopen, who has the money back.
contract EscrowAcceptanceTest is World {
    uint96 private constant STAKE = 7;

    function setUp() public {
        _world();
        _stake(prover, 100);
        _stake(STRANGER, 100);
    }

    function _staked(uint256 salt) private view returns (InferenceRequest memory request) {
        request = _request(salt);
        (request.acceptTime, request.stake) = (1 hours, STAKE);
    }

    function _taken(InferenceRequest memory request, address by, uint256 until) private view returns (bytes memory) {
        return
            abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, escrow.requestId(request), by, until);
    }

    function _cancelRefused(InferenceRequest memory request, bytes memory reason) private {
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.cancel(request);
    }

    /// The one event of a skip, and nothing paid.
    function _skips(InferenceRequest memory request, address payee, Skip reason) private {
        InferenceRequest memory other = _request(uint256(keccak256(abi.encode(request.salt, payee, reason, clock))));
        _lock(other);
        InferenceRequest[] memory both = new InferenceRequest[](2);
        (both[0], both[1]) = (request, other);
        Settlement memory settlement = _prove(both, payee);
        uint256 state = cheats.snapshotState();
        cheats.recordLogs();
        escrow.settle(classify, settlement, _terms(both), 1);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == SettlementPayments.RequestSkipped.selector, "skipped");
        assertEq(uint256(logs[0].topics[1]), settlement.requests[0].id, "which");
        assertEq(abi.decode(logs[0].data, (uint256)), uint256(reason), "why");
        cheats.revertToState(state);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 1, 2));
        escrow.settle(classify, settlement, _terms(both), 2);
    }

    // Acceptances that end

    function test_acceptanceEnds() public {
        InferenceRequest memory request = _request(1);
        request.acceptTime = 1 hours;
        uint256 id = _lock(request);
        uint256 until = clock + 1 hours;
        cheats.recordLogs();
        _accept(request, prover);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == InferenceEscrow.RequestAccepted.selector, "event");
        (uint96 fee, uint64 said) = abi.decode(logs[0].data, (uint96, uint64));
        assertTrue(fee == FEE && said == until, "event's data");
        assertEq(escrow.lockOf(id).early, request.deadline - until, "early");
        for (uint256 i = 0; i < 2; ++i) {
            _cancelRefused(request, _taken(request, prover, until));
            vm.prank(STRANGER);
            vm.expectRevert(_taken(request, prover, until));
            escrow.accept(request);
            if (i == 0) _advance(1 hours);
        }
        _advance(1);
        // The prover is late: another may accept, which holds as the first did.
        uint256 state = cheats.snapshotState();
        _accept(request, STRANGER);
        _cancelRefused(request, _taken(request, STRANGER, clock + 1 hours));
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "whoever proves first");
        cheats.revertToState(state);
        vm.prank(requester);
        escrow.cancel(request);
        assertEq(escrow.balances(address(open), requester), FEE, "back");
        assertTrue(escrow.lockOf(id).wasAccepted && escrow.lockOf(id).prover == prover, "who was late is kept");
    }

    /// A window that reaches beyond the deadline ends with it.
    function test_acceptanceEndsByTheDeadline() public {
        InferenceRequest memory request = _request(1);
        request.acceptTime = 1 hours;
        uint256 id = _lock(request);
        _advance(1 days - 10);
        _accept(request, prover);
        assertEq(escrow.lockOf(id).early, 0, "early");
        _advance(10);
        _cancelRefused(request, _taken(request, prover, request.deadline));
        _settle(request, prover);
    }

    function test_wasAcceptedOfAllEnds() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(requester);
        escrow.cancel(request);
        assertTrue(!escrow.lockOf(id).wasAccepted, "cancelled, nobody had accepted");
        request.salt = 2;
        id = _lock(request);
        _accept(request, prover);
        _advance(1 days + 1);
        escrow.refund(request);
        assertTrue(escrow.lockOf(id).wasAccepted && escrow.lockOf(id).prover == prover, "refunded");
        // A settled one has an ordinal there.
        request = _request(3);
        request.deadline = uint64(clock + 1);
        id = _lock(request);
        _settle(request, prover);
        assertTrue(!escrow.lockOf(id).wasAccepted, "settled");
    }

    // Who has the money back

    function test_refundTo() public {
        InferenceRequest memory request = _request(1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RecipientInvalid.selector, escrow));
        escrow.lock(request, FEE, address(escrow), "");
        bytes memory signature = _signed(request);
        vm.prank(RELAYER);
        uint256 id = escrow.lock(request, FEE, STRANGER, signature);
        assertTrue(escrow.lockOf(id).payer == STRANGER, "payer");
        vm.prank(requester);
        escrow.cancel(request);
        assertEq(escrow.balances(address(open), STRANGER), FEE, "theirs");
        assertEq(escrow.balances(address(open), RELAYER), 0, "not the sender's");
    }

    // Stakes

    function test_stakeTerms() public {
        InferenceRequest memory request = _staked(1);
        uint32[3] memory never = [uint32(0), 1 days + 1, type(uint32).max];
        for (uint256 i = 0; i < 3; ++i) {
            request.acceptTime = never[i];
            vm.prank(requester);
            vm.expectRevert(
                abi.encodeWithSelector(InferenceEscrow.StakeWithoutTime.selector, escrow.requestId(request))
            );
            escrow.lock(request, FEE, address(0), "");
        }
        request.acceptTime = 1 days;
        _lock(request);
        // Without a stake any time may be said.
        request.stake = 0;
        request.acceptTime = type(uint32).max;
        _lock(request);
        _accept(request, prover);
    }

    function test_stakeIsHeldAndReleased() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        // Nobody has put it up yet: no settlement.
        _skips(request, prover, Skip.NotAccepted);
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.StakeTooSmall.selector, RELAYER, 0, STAKE));
        escrow.accept(request);
        _accept(request, prover);
        assertEq(stakes.free(prover), 93, "put up");
        assertEq(stakes.held(), STAKE, "held");
        // It shuts out all others, to the last second.
        _advance(1 hours);
        _skips(request, STRANGER, Skip.Taken);
        vm.prank(STRANGER);
        vm.expectRevert(_taken(request, prover, clock));
        escrow.accept(request);
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "settled");
        assertEq(stakes.free(prover), 100, "released");
        assertEq(stakes.held() + stakes.burnable(), 0, "nothing else");
    }

    /// Late: whoever serves it has the fee and half of the stake; the rest is burnt.
    function test_rescue() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        _accept(request, prover);
        _advance(1 hours + 1);
        // Nobody takes it over, and the requester cannot cancel: somebody may be at work.
        vm.prank(STRANGER);
        vm.expectRevert(_taken(request, prover, clock - 1));
        escrow.accept(request);
        _cancelRefused(request, _taken(request, prover, clock - 1));
        _settle(request, STRANGER);
        _assertStatus(id, Status.Settled, "rescued");
        assertEq(escrow.balances(address(open), STRANGER), 6 ether, "the whole share");
        assertEq(stakes.free(STRANGER), 103, "half, rounded down");
        assertEq(stakes.free(prover), 93, "lost");
        assertEq(stakes.burnable(), 4, "half, rounded up");
        assertEq(stakes.held(), 0, "none held");
        uint256 supply = open.totalSupply();
        vm.prank(RELAYER);
        assertEq(stakes.burn(), 4, "burnt");
        assertEq(open.totalSupply(), supply - 4, "supply");
        assertEq(stakes.burn(), 0, "once");
        assertEq(open.balanceOf(address(stakes)), 196, "the rest is there");
    }

    /// Who is late itself loses half: it cannot wait for free.
    function test_lateAcceptorServes() public {
        InferenceRequest memory request = _staked(1);
        _lock(request);
        _accept(request, prover);
        _advance(1 hours + 1);
        _settle(request, prover);
        assertEq(stakes.free(prover), 96, "half is lost");
        assertEq(stakes.burnable(), 4, "burnt");
    }

    /// Nobody serves it: half to the payer.
    function test_unservedStake() public {
        InferenceRequest memory request = _staked(1);
        bytes memory signature = _signed(request);
        vm.prank(RELAYER);
        escrow.lock(request, FEE, GOVERNANCE, signature);
        _accept(request, prover);
        _advance(1 days + 1);
        vm.prank(prover);
        escrow.refund(request);
        assertEq(escrow.balances(address(open), GOVERNANCE), FEE, "the fee");
        assertEq(stakes.free(GOVERNANCE), 3, "half of the stake");
        assertEq(stakes.burnable(), 4, "burnt");
        assertEq(stakes.held(), 0, "none held");
        vm.prank(GOVERNANCE);
        stakes.withdraw(GOVERNANCE, 3);
        assertEq(stakes.free(GOVERNANCE), 0, "withdrawn");
    }

    /// A staked prover that refuses opens the request at once, to everybody, and its stake stays for the rescuer.
    function test_stakedRefusal() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        _accept(request, prover);
        _skips(request, STRANGER, Skip.Taken);
        vm.prank(prover);
        escrow.refuse(request, 3, 0, "");
        Lock memory locked = escrow.lockOf(id);
        assertTrue(locked.status == Status.Accepted && locked.prover == prover && locked.fee == FEE, "the stake is held");
        assertEq(locked.early, request.deadline - clock + 1, "since a second ago");
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AcceptanceEnded.selector, id, clock - 1));
        escrow.refuse(request, 3, 0, "");
        _cancelRefused(request, _taken(request, prover, clock - 1));
        _settle(request, STRANGER);
        assertEq(stakes.free(STRANGER), 103, "the rescuer's half");
        assertEq(stakes.free(prover), 93, "lost");
    }

    function test_refuseAfterTheAcceptance() public {
        InferenceRequest memory request = _staked(1);
        uint256 id = _lock(request);
        _accept(request, prover);
        _advance(1 hours + 1);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AcceptanceEnded.selector, id, clock - 1));
        escrow.refuse(request, 3, 0, "");
        // Without a stake the same.
        request = _request(2);
        request.acceptTime = 10;
        id = _lock(request);
        _accept(request, prover);
        _advance(11);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AcceptanceEnded.selector, id, clock - 1));
        escrow.refuse(request, 3, 0, "");
    }

    /// A named prover with a stake: nobody else, neither while it holds nor after; late or refusing it loses the stake.
    function test_namedProverWithAStake() public {
        InferenceRequest memory request = _staked(1);
        request.prover = prover;
        uint256 id = _lock(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, prover, STRANGER));
        escrow.accept(request);
        _accept(request, prover);
        uint256 state = cheats.snapshotState();
        _settle(request, prover);
        assertEq(stakes.free(prover), 100, "in time");
        cheats.revertToState(state);
        state = cheats.snapshotState();
        vm.prank(prover);
        escrow.refuse(request, 1, 0, "");
        _assertStatus(id, Status.Refused, "the end");
        assertEq(escrow.balances(address(open), requester), FEE, "the fee");
        assertEq(stakes.free(requester), 3, "half of the stake");
        assertEq(stakes.free(prover), 93, "lost");
        cheats.revertToState(state);
        _advance(1 hours + 1);
        Settlement memory settlement = _prove(_one(request), STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, prover, STRANGER));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        _settle(request, prover);
        assertEq(stakes.free(prover), 96, "late");
    }

    /// It refuses before it has accepted: there is no stake yet.
    function test_namedProverRefusesBeforeAccepting() public {
        InferenceRequest memory request = _staked(1);
        request.prover = prover;
        _lock(request);
        vm.prank(prover);
        escrow.refuse(request, 1, 0, "");
        assertEq(stakes.free(prover), 100, "untouched");
        assertEq(escrow.balances(address(open), requester), FEE, "the fee");
    }

    // Stops

    /// A pause since the acceptance: the prover may have been kept from settling.
    function test_pauseWithinTheAcceptance() public {
        for (uint256 i = 0; i < 3; ++i) {
            uint256 state = cheats.snapshotState();
            uint256 time = clock;
            InferenceRequest memory request = _staked(1);
            _lock(request);
            _accept(request, prover);
            // In its first second, and in its last.
            if (i != 0) _advance(1 hours);
            _pause(classify, 10);
            _advance(1 hours + 11);
            if (i == 2) {
                _advance(1 days);
                escrow.refund(request);
                assertEq(stakes.free(requester), 0, "nothing to the payer");
            } else {
                _settle(request, STRANGER);
                assertEq(stakes.free(STRANGER), 100, "nothing to the rescuer");
                assertEq(escrow.balances(address(open), STRANGER), 6 ether, "but the fee");
            }
            assertEq(stakes.free(prover), 100, "released");
            cheats.revertToState(state);
            clock = time;
            cheats.warp(clock);
        }
    }

    /// A pause that began before the acceptance is no excuse, however long it was announced for: else every stake would be a
    /// free option for that long.
    function test_pauseBeforeTheAcceptance() public {
        InferenceRequest memory request = _staked(1);
        _lock(request);
        _pause(embed, 7 days);
        _advance(1);
        _accept(request, prover);
        _advance(1 hours + 1);
        _settle(request, STRANGER);
        assertEq(stakes.free(prover), 93, "lost");
        assertEq(stakes.free(STRANGER), 103, "rescuer");
    }

    /// The same for one that ends by the deadline: what stopped before the lock excuses nobody.
    function test_pauseBeforeTheLock() public {
        _pause(embed, 7 days);
        _advance(1);
        InferenceRequest memory request = _staked(1);
        request.acceptTime = uint32(request.deadline - clock);
        _lock(request);
        _advance(1 hours);
        _accept(request, prover);
        _advance(1 days);
        escrow.refund(request);
        assertEq(stakes.free(prover), 93, "lost");
        assertEq(stakes.free(requester), 3, "payer");
    }

    /// A route frozen since the acceptance, although another lives: the prover's proof was for the frozen one.
    function test_freezeWithinTheAcceptance() public {
        (,,,, address key,,,,,) = router.routes(classify);
        escrow.enableRoute(_addRoute(circuitOf[classify], key, 4_000_000));
        InferenceRequest memory request = _staked(1);
        request.routes = 6;
        _lock(request);
        _accept(request, prover);
        _advance(10);
        _freeze(classify);
        _advance(1 days);
        // Nobody has called dropRoute.
        escrow.refund(request);
        assertEq(stakes.free(prover), 100, "released");
    }

    /// The only route was frozen before the acceptance, and dropped: nobody could have served it.
    function test_noRouteLeft() public {
        InferenceRequest memory request = _staked(1);
        _lock(request);
        _freeze(classify);
        _advance(2 hours);
        _accept(request, prover);
        escrow.dropRoute(classify);
        _advance(1 days);
        escrow.refund(request);
        assertEq(stakes.free(prover), 100, "released");
    }

    // The stakes' own functions

    function test_stakesOfOthers() public {
        address[2] memory others = [STRANGER, GOVERNANCE];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory reason = abi.encodeWithSelector(ProverStakes.NotEscrow.selector, others[i]);
            cheats.startPrank(others[i]);
            vm.expectRevert(reason);
            stakes.hold(prover, 1);
            vm.expectRevert(reason);
            stakes.release(others[i], 0);
            vm.expectRevert(reason);
            stakes.forfeit(others[i], 0);
            cheats.stopPrank();
        }
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.StakeTooSmall.selector, RELAYER, 0, 1));
        stakes.withdraw(RELAYER, 1);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.RecipientInvalid.selector, address(0)));
        stakes.withdraw(address(0), 1);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.RecipientInvalid.selector, stakes));
        stakes.withdraw(address(stakes), 1);
        // What is held cannot be withdrawn.
        InferenceRequest memory request = _staked(1);
        _lock(request);
        _accept(request, prover);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.StakeTooSmall.selector, prover, 93, 94));
        stakes.withdraw(prover, 94);
        vm.prank(prover);
        stakes.withdraw(prover, 93);
        // Anyone may put up for another.
        vm.prank(RELAYER);
        stakes.deposit(prover, 5);
        assertEq(stakes.free(prover), 5, "for another");
    }

    // Prices that rise

    function _ramp(uint256 salt, uint256 minFee) private view returns (InferenceRequest memory request) {
        request = _request(salt);
        request.prover = prover;
        (request.minFee, request.rampStart, request.rampTime) = (minFee, uint64(clock + 100), 1_000);
    }

    function test_rampTerms() public {
        InferenceRequest memory request = _ramp(1, FEE + 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RampInvalid.selector, FEE + 1, FEE));
        escrow.lock(request, FEE, address(0), "");
        // Open to everybody: a stranger would fix the price at its lowest.
        request = _ramp(1, FEE - 1);
        request.prover = address(0);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RampOpen.selector, escrow.requestId(request)));
        escrow.lock(request, FEE, address(0), "");
        (request.stake, request.acceptTime) = (1, 1);
        _lock(request);
        // More than a fee can be would overflow in the middle of others' batches.
        request = _ramp(2, 0);
        request.maxFee = uint256(type(uint96).max) + 1;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RampInvalid.selector, 0, request.maxFee));
        escrow.lock(request, 1, address(0), "");
    }

    /// Before the ramp, within it, at its end, after it.
    function test_ramp() public {
        uint256[6] memory times = [uint256(0), 100, 350, 1_099, 1_100, 5_000];
        uint256[6] memory prices = [uint256(2 ether), 2 ether, 4 ether, 9.992 ether, 10 ether, 10 ether];
        for (uint256 i = 0; i < 6; ++i) {
            uint256 start = clock;
            InferenceRequest memory request = _ramp(i, 2 ether);
            uint256 id = _lock(request);
            _skips(request, prover, Skip.NotAccepted);
            uint256 owed = escrow.balances(address(open), requester);
            _advance(times[i]);
            _accept(request, prover);
            assertEq(escrow.lockOf(id).fee, prices[i], "price");
            assertEq(escrow.balances(address(open), requester), owed + FEE - prices[i], "the difference is back");
            uint256 paid = escrow.balances(address(open), prover);
            _settle(request, prover);
            assertEq(escrow.balances(address(open), prover), paid + prices[i] * 6 / 10, "share of the price");
            clock = start;
            cheats.warp(clock);
        }
    }

    /// A price of nothing is one unit: a fee of zero would be no request.
    function test_rampFromZero() public {
        InferenceRequest memory request = _ramp(1, 0);
        uint256 id = _lock(request);
        _accept(request, prover);
        assertEq(escrow.lockOf(id).fee, 1, "one");
        assertEq(escrow.balances(address(open), requester), FEE - 1, "the difference");
        _settle(request, prover);
        assertEq(escrow.balances(address(open), prover), 1, "paid");
    }

    /// The requester has locked less than maxFee: that is the most.
    function test_rampAboveTheLock() public {
        InferenceRequest memory request = _ramp(1, 2 ether);
        uint256 id = _lock(request, 3 ether);
        _advance(100 + 500);
        _accept(request, prover);
        assertEq(escrow.lockOf(id).fee, 3 ether, "what is locked");
        assertEq(escrow.balances(address(open), requester), 0, "no difference");
    }

    /// A step: the price is one or the other.
    function test_rampWithoutTime() public {
        InferenceRequest memory request = _ramp(1, 2 ether);
        request.rampTime = 0;
        uint256 id = _lock(request);
        _advance(99);
        uint256 state = cheats.snapshotState();
        _accept(request, prover);
        assertEq(escrow.lockOf(id).fee, 2 ether, "before");
        cheats.revertToState(state);
        _advance(1);
        _accept(request, prover);
        assertEq(escrow.lockOf(id).fee, FEE, "after");
    }

    /// The price is fixed once: a second acceptance changes nothing, and the difference is credited once.
    function test_rampIsFixedOnce() public {
        InferenceRequest memory request = _ramp(1, 2 ether);
        request.acceptTime = 50;
        uint256 id = _lock(request);
        _accept(request, prover);
        _advance(2_000);
        _accept(request, prover);
        assertEq(escrow.lockOf(id).fee, 2 ether, "fixed");
        assertEq(escrow.balances(address(open), requester), FEE - 2 ether, "once");
        _settle(request, prover);
        assertEq(
            escrow.balances(address(open), prover) + FEE - 2 ether + 0.8 ether, FEE, "all of the fee is accounted for"
        );
    }

    /// With a stake the price stays after a refusal too.
    function test_rampAfterAStakedRefusal() public {
        InferenceRequest memory request = _staked(1);
        (request.minFee, request.rampStart, request.rampTime) = (2 ether, uint64(clock), 1_000);
        uint256 id = _lock(request);
        _accept(request, STRANGER);
        vm.prank(STRANGER);
        escrow.refuse(request, 3, 0, "");
        _advance(2_000);
        assertEq(escrow.lockOf(id).fee, 2 ether, "fixed");
        _settle(request, prover);
        assertEq(stakes.free(prover), 103, "and half of the stake");
    }

    // Refusals

    /// The prover that had accepted an open request gives up: it is as it was, and may be accepted anew.
    function test_reopened() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Lock memory before = escrow.lockOf(id);
        _accept(request, prover);
        vm.prank(prover);
        escrow.refuse(request, 2, 0, "");
        assertTrue(keccak256(abi.encode(escrow.lockOf(id))) == keccak256(abi.encode(before)), "as it was");
        _accept(request, STRANGER);
        // The former prover has no say any more.
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RefusalExpired.selector, id, 0));
        escrow.refuse(request, 2, 0, "");
        vm.prank(STRANGER);
        escrow.refuse(request, 2, 0, "");
        vm.prank(requester);
        escrow.cancel(request);
    }

    // Many

    function test_acceptMany() public {
        InferenceRequest[] memory requests = new InferenceRequest[](7);
        for (uint256 i = 0; i < 7; ++i) {
            requests[i] = i == 6 ? _staked(6) : _request(i);
            if (i == 2) requests[i].deadline = uint64(clock + 5);
            if (i == 5) requests[i].prover = prover;
            if (i != 0) _lock(requests[i]);
        }
        vm.prank(requester);
        escrow.cancel(requests[1]);
        _accept(requests[3], STRANGER);
        _advance(6);
        uint256[4] memory skipped = [uint256(0), 1, 2, 3];
        Skip[4] memory reasons = [Skip.NotLocked, Skip.NotLocked, Skip.Expired, Skip.Taken];
        cheats.recordLogs();
        vm.prank(prover);
        assertEq(escrow.acceptMany(requests), 3, "accepted");
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        for (uint256 i = 0; i < 4; ++i) {
            assertTrue(logs[i].topics[0] == SettlementPayments.RequestSkipped.selector, "skipped");
            assertEq(uint256(logs[i].topics[1]), escrow.requestId(requests[skipped[i]]), "which");
            assertEq(abi.decode(logs[i].data, (uint256)), uint256(reasons[i]), "why");
        }
        for (uint256 i = 4; i < 7; ++i) {
            Lock memory locked = escrow.lockOf(escrow.requestId(requests[i]));
            assertTrue(locked.status == Status.Accepted && locked.prover == prover, "accepted");
        }
        assertTrue(escrow.lockOf(escrow.requestId(requests[3])).prover == STRANGER, "the other's");
        assertEq(stakes.free(prover), 93, "one stake");
        vm.prank(prover);
        assertEq(escrow.acceptMany(requests), 0, "none twice");
        assertEq(stakes.free(prover), 93, "one stake");
    }

    /// What the caller itself says is wrong: all of it is refused.
    function test_acceptManyRefused() public {
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (_request(1), _request(2));
        requests[1].prover = STRANGER;
        _lock(requests[0]);
        uint256 id = _lock(requests[1]);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, STRANGER, prover));
        escrow.acceptMany(requests);
        (requests[0], requests[1]) = (_staked(3), _staked(4));
        requests[0].stake = 60;
        requests[1].stake = 41;
        _lock(requests[0]);
        _lock(requests[1]);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(ProverStakes.StakeTooSmall.selector, prover, 40, 41));
        escrow.acceptMany(requests);
        assertEq(stakes.free(prover), 100, "nothing was held");
    }

    /// The same twice in a list is one acceptance and one stake.
    function test_acceptManyTwice() public {
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        requests[0] = requests[1] = _staked(1);
        _lock(requests[0]);
        vm.prank(prover);
        assertEq(escrow.acceptMany(requests), 1, "once");
        assertEq(stakes.held(), STAKE, "one stake");
    }

    // Least

    function test_least() public {
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            _lock(requests[i]);
        }
        Settlement memory settlement = _prove(requests, prover);
        vm.prank(requester);
        escrow.cancel(requests[1]);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 2, 3));
        escrow.settle(classify, settlement, _terms(requests), 3);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 2, type(uint256).max));
        escrow.settle(classify, settlement, _terms(requests), type(uint256).max);
        escrow.settle(classify, settlement, _terms(requests), 2);
        assertEq(escrow.balances(address(open), prover), 12 ether, "two");
    }

    function test_consumerIsNoToken() public {
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        address[2] memory never = [address(open), address(escrow)];
        for (uint256 i = 0; i < 2; ++i) {
            request.consumer = never[i];
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.ConsumerInvalid.selector, never[i]));
            escrow.lock{value: FEE}(request, FEE, address(0), "");
        }
        vm.prank(GOVERNANCE);
        escrow.setToken(address(mock), true);
        (request.token, request.consumer) = (address(mock), address(mock));
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.ConsumerInvalid.selector, mock));
        escrow.lock(request, FEE, address(0), "");
    }
}
