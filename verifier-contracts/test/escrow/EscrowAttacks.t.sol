// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Bounds, Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {HostileToken, MockVerifier, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Sequences of several steps by hostile actors; docs/contracts.md lists all attacks with their tests.
contract EscrowAttacksTest is World {
    function setUp() public {
        _world();
    }

    function _nothingPayable(Settlement memory settlement, InferenceRequest memory request) private {
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    function test_replay() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        _lock(_request(2));
        Settlement memory settlement = _prove(_one(request), prover);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        _nothingPayable(settlement, request);
        // Another true proof of the same request, for another payee.
        _nothingPayable(_prove(_one(request), STRANGER), request);
        // After withdrawing too.
        vm.prank(prover);
        escrow.withdraw(address(open), prover);
        _nothingPayable(settlement, request);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, open));
        escrow.withdraw(address(open), prover);
        // Locking it again does not open it again.
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyLocked.selector, settlement.requests[0].id));
        escrow.lock(request, FEE, address(0), "");
    }

    /// A second escrow on the same chain, with everything else shared.
    function test_replayInAnotherEscrow() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        InferenceEscrow first = escrow;
        escrow = InferenceEscrow(
            cheats.deployCode("InferenceEscrow.sol:InferenceEscrow", abi.encode(GOVERNANCE, router, models))
        );
        escrow.enableRoute(embed);
        escrow.enableRoute(classify);
        vm.prank(requester);
        open.approve(address(escrow), type(uint256).max);
        bytes memory signature = _sign(REQUESTER_KEY, first.requestId(request));
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, requester));
        escrow.lock(request, FEE, address(0), signature);
        uint256 id = _lock(request);
        vm.expectRevert(
            abi.encodeWithSelector(SettlementPayments.RequestIdMismatch.selector, 0, settlement.requests[0].id, id)
        );
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        settlement.requests[0].id = id;
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    function test_replayOnAnotherChain() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        cheats.chainId(12_345);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.OtherChain.selector, 31_337, 12_345));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    /// Copied calldata pays the original prover; with the thief as payee the proof is false.
    function test_frontRunningTheSettlement() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        settlement.payee = STRANGER;
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(MockVerifier.NotProven.selector));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        settlement.payee = prover;
        vm.prank(STRANGER);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        assertEq(escrow.balances(address(open), prover), 6 ether, "prover");
        assertEq(escrow.balances(address(open), STRANGER), 0, "thief");
    }

    /// Who copies a lock from the mempool pays for it, and can neither take it back nor decide on it.
    function test_frontRunningTheLock() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        bytes memory signature = _signed(request);
        vm.prank(STRANGER);
        uint256 id = escrow.lock(request, FEE, address(0), signature);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NotRequester.selector, id, STRANGER));
        escrow.cancel(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, prover, STRANGER));
        escrow.accept(request);
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "served at the stranger's cost");
    }

    /// The requester sees the result in a pending settlement and wants his money back: not once the prover has accepted.
    function test_cancelAgainstAPendingSettlement() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(prover);
        escrow.accept(request);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, prover, request.deadline));
        escrow.cancel(request);
        // Nor by a prover of his own, who would refuse.
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, prover, request.deadline));
        escrow.accept(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, prover));
        escrow.refuse(request, 1, uint64(clock), "");
        _settle(request, prover);
    }

    function test_settleAfterEveryEnd() public {
        for (uint256 end = 0; end < 3; ++end) {
            InferenceRequest memory request = _request(end);
            // Only a named prover's refusal is an end.
            if (end == 1) request.prover = prover;
            _lock(request);
            Settlement memory settlement = _prove(_one(request), prover);
            if (end == 0) {
                vm.prank(requester);
                escrow.cancel(request);
            } else if (end == 1) {
                vm.prank(prover);
                escrow.accept(request);
                vm.prank(prover);
                escrow.refuse(request, 1, 0, "");
            } else {
                _advance(1 days + 1);
                escrow.refund(request);
                // Time running back does not help.
                cheats.warp(clock - 1 days);
            }
            _nothingPayable(settlement, request);
        }
        assertEq(escrow.balances(address(open), requester), 3 * uint256(FEE), "all back");
        assertEq(escrow.balances(address(open), prover), 0, "none paid");
    }

    function test_everyEndAfterSettlement() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(prover);
        escrow.accept(request);
        _settle(request, prover);
        bytes memory reason = abi.encodeWithSelector(InferenceEscrow.NotLocked.selector, id, Status.Settled);
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.cancel(request);
        vm.prank(prover);
        vm.expectRevert(reason);
        escrow.refuse(request, 1, 0, "");
        vm.prank(STRANGER);
        vm.expectRevert(reason);
        escrow.accept(request);
        _advance(2 days);
        vm.expectRevert(reason);
        escrow.refund(request);
        assertEq(escrow.balances(address(open), requester), 0, "nothing back");
    }

    function test_twoProversRacing() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Settlement memory first = _prove(_one(request), prover);
        Settlement memory second = _prove(_one(request), STRANGER);
        escrow.settle(classify, second, _terms(_one(request)), 0);
        _nothingPayable(first, request);
        assertEq(escrow.balances(address(open), STRANGER), 6 ether, "the first transaction");
        assertEq(escrow.balances(address(open), prover), 0, "the second one");
    }

    /// In the deadline's second the request can be settled and not refunded, a second later the reverse.
    function test_deadlineSecond() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        request.salt = 2;
        _lock(request);
        _advance(1 days);
        vm.expectRevert(
            abi.encodeWithSelector(
                InferenceEscrow.DeadlineNotPassed.selector, escrow.requestId(request), request.deadline
            )
        );
        escrow.refund(request);
        request.salt = 1;
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "in the last second");
        request.salt = 2;
        Settlement memory settlement = _prove(_one(request), prover);
        _advance(1);
        _nothingPayable(settlement, request);
        escrow.refund(request);
    }

    /// A version retired after the lock is served and paid as ever, to whoever owns the line.
    function test_retiredAfterTheLock() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(ADAPTER_OWNER);
        models.retire(adapters[0]);
        vm.prank(BASE_OWNER);
        models.retire(base);
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "settled");
    }

    /// Served with another version of the same line than the requested one.
    function test_otherVersion() public {
        (uint256 next,) =
            _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 2, _split(6_000, 2_000, 1_000, 1_000), adapterLines[0]);
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _settlement(_one(request), prover);
        settlement.requests[0].adapter = next;
        _proven(classify, settlement);
        request.adapter = next;
        uint256 other = escrow.requestId(request);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RequestIdMismatch.selector, 0, id, other));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    /// A request locked in one token is not paid in another.
    function test_otherToken() public {
        InferenceRequest memory request = _request(1);
        HostileToken worthless = new HostileToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(worthless), true);
        worthless.mint(requester, FEE);
        vm.prank(requester);
        worthless.approve(address(escrow), FEE);
        request.token = address(worthless);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        request.token = address(open);
        uint256 other = escrow.requestId(request);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RequestIdMismatch.selector, 0, id, other));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        _advance(2 days);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NotLocked.selector, other, Status.None));
        escrow.refund(request);
    }

    /// A token that was allowed and turns bad takes nothing from the others.
    function test_badTokenIsAlone() public {
        HostileToken token = new HostileToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            if (i == 1) requests[i].token = address(token);
            if (i == 2) requests[i].token = address(0);
            _lock(requests[i]);
        }
        // A rebase takes its holders' balances; every transfer fails from now on.
        token.burn(address(escrow), FEE);
        token.set(HostileToken.Mode.Reverts, address(0), "");
        _settle(requests, prover);
        vm.prank(prover);
        vm.expectRevert();
        escrow.withdraw(address(token), prover);
        vm.prank(prover);
        escrow.withdraw(address(open), prover);
        vm.prank(prover);
        escrow.withdraw(address(0), prover);
        assertEq(escrow.balances(address(token), prover), 6 ether, "still owed");
    }

    /// A token that calls back while it pays out.
    function test_tokenReentersWithdrawal() public {
        HostileToken token = new HostileToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest memory request = _request(1);
        request.token = address(token);
        _lock(request);
        _settle(request, address(token));
        request.salt = 2;
        _lock(request);
        _settle(request, prover);
        token.set(
            HostileToken.Mode.Reenters,
            address(escrow),
            abi.encodeCall(escrow.withdraw, (address(token), address(token)))
        );
        vm.prank(prover);
        escrow.withdraw(address(token), prover);
        assertTrue(!token.reentered(), "reentered");
        assertEq(token.balanceOf(prover), 6 ether, "paid");
    }

    /// A payee that cannot be paid blocks nobody.
    function test_hostilePayee() public {
        Puppet payee = new Puppet();
        payee.set(Puppet.Mode.Burn, address(0), "");
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        _lock(request);
        _settle(request, address(payee));
        vm.prank(ADAPTER_OWNER);
        escrow.withdrawLine(adapterLines[0], address(0), ADAPTER_OWNER);
        vm.prank(BASE_OWNER);
        escrow.withdrawLine(baseLine, address(0), BASE_OWNER);
    }

    /// A payer that cannot be paid does not keep its request from ending.
    function test_hostilePayer() public {
        Puppet payer = new Puppet();
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        request.requester = address(payer);
        vm.prank(STRANGER);
        payer.act{value: FEE}(address(escrow), FEE, abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), "")));
        payer.set(Puppet.Mode.Refuse, address(0), "");
        _advance(2 days);
        escrow.refund(request);
        assertEq(escrow.balances(address(0), address(payer)), FEE, "owed");
    }

    /// Governance uses all its powers between lock and settlement; every amount is what it was.
    function test_ownerAbuse() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        InferenceRequest memory second = _request(2);
        uint256 id = _lock(second);
        Lock memory before = escrow.lockOf(id);
        _settle(request, prover);
        cheats.startPrank(GOVERNANCE);
        models.setBounds(Bounds(8_000, 1_000, 1_000));
        models.setDeploymentFee(Kind.Adapter, 100_000e18);
        models.setTreasury(GOVERNANCE);
        uint256 fees = models.accruedFees();
        models.withdrawFees(GOVERNANCE);
        router.setGuardian(GOVERNANCE);
        // The worst: a route that proves everything, even for the honest circuit.
        MockVerifier gullible = new MockVerifier();
        gullible.setGullible(true);
        cheats.stopPrank();
        mock = gullible;
        (,,,, address key,,,,,) = router.routes(classify);
        bytes32 evil = _addRoute(circuitOf[classify], key, 5_000_000);
        cheats.startPrank(GOVERNANCE);
        escrow.enableRoute(evil);
        Settlement memory theft = _settlement(_one(second), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(evil, theft, _terms(_one(second)), 0);
        // Nor can it have what is locked meanwhile, by a relayer or the requester, of somebody who did not know of it.
        cheats.stopPrank();
        InferenceRequest memory third = _request(3);
        bytes memory signature = _signed(third);
        vm.prank(RELAYER);
        uint256 thirdId = escrow.lock(third, FEE, address(0), signature);
        cheats.startPrank(GOVERNANCE);
        theft = _settlement(_one(third), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, thirdId, ROUTES, 2));
        escrow.settle(evil, theft, _terms(_one(third)), 0);
        // It cannot end, take or redirect anything either.
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NotRequester.selector, id, GOVERNANCE));
        escrow.cancel(second);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.DeadlineNotPassed.selector, id, second.deadline));
        escrow.refund(second);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, open));
        escrow.withdraw(address(open), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotLineOwner.selector, adapterLines[0], GOVERNANCE));
        escrow.withdrawLine(adapterLines[0], address(open), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotPot.selector, adapterLines[0], GOVERNANCE));
        escrow.withdrawPot(adapterLines[0], address(open), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NoRenouncing.selector));
        escrow.renounceOwnership();
        cheats.stopPrank();
        assertEq(fees, 6 ether, "fees of publications only");
        assertTrue(keccak256(abi.encode(escrow.lockOf(id))) == keccak256(abi.encode(before)), "the lock is untouched");
        assertEq(open.balanceOf(address(escrow)), 3 * uint256(FEE), "the money too");
        // The old route settles as before, at the old split.
        mock = MockVerifier(_verifierOf(classify));
        _settle(second, prover);
        assertEq(escrow.balances(address(open), prover), 12 ether, "paid");
    }

    function _verifierOf(bytes32 route) private view returns (address verifier_) {
        (verifier_,,,,,,,,,) = router.routes(route);
    }

    /// Freezing all routes keeps requests from being served; then every payer has the money back.
    function test_ownerFreezesEverything() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        vm.prank(GOVERNANCE);
        router.freeze(classify);
        _advance(1 days + 1);
        escrow.refund(request);
        vm.prank(requester);
        assertEq(escrow.withdraw(address(open), requester), FEE, "back");
    }

    /// An event of another contract says nothing; the escrow's carries terms whose digest is the id.
    function test_forgedEvents() public {
        InferenceRequest memory request = _request(1);
        cheats.recordLogs();
        uint256 id = _lock(request);
        emit InferenceEscrow.RequestLocked(id, STRANGER, STRANGER, 1, request);
        emit SettlementPayments.RequestSettled(id, STRANGER, 9, 9, address(open), 1, 1, 1, 1);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        uint256 own;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(escrow)) continue;
            ++own;
            (, InferenceRequest memory seen) = abi.decode(logs[i].data, (uint96, InferenceRequest));
            assertEq(escrow.requestId(seen), id, "terms");
        }
        assertEq(own, 1, "one event is the escrow's");
        _assertStatus(id, Status.Locked, "the state decides");
    }

    /// A hook that re-enters every function from a withdrawal's payment.
    function test_reentrancyEverywhere() public {
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        Puppet payee = new Puppet();
        _lock(request);
        Settlement memory pending = _prove(_one(_request(3)), prover);
        bytes[9] memory calls = [
            abi.encodeCall(InferenceEscrow.lock, (_request(3), FEE, address(0), "")),
            abi.encodeCall(InferenceEscrow.lockWithPermit, (_request(3), FEE, address(0), "", 0, 0, 0, 0)),
            abi.encodeCall(InferenceEscrow.accept, (_request(3))),
            abi.encodeCall(InferenceEscrow.cancel, (_request(3))),
            abi.encodeCall(InferenceEscrow.refund, (_request(3))),
            abi.encodeCall(InferenceEscrow.refuse, (_request(3), 1, 0, "")),
            abi.encodeCall(InferenceEscrow.settle, (classify, pending, _terms(_one(_request(3))), 0)),
            abi.encodeCall(escrow.withdrawLine, (baseLine, address(0), address(payee))),
            abi.encodeCall(escrow.withdrawPot, (baseLine, address(0), address(payee)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            InferenceRequest memory paying = _request(10 + i);
            paying.token = address(0);
            _lock(paying);
            _settle(paying, address(payee));
            payee.set(Puppet.Mode.Reenter, address(escrow), calls[i]);
            payee.act(address(escrow), 0, abi.encodeCall(escrow.withdraw, (address(0), address(payee))));
            assertTrue(!payee.reentered(), vm.toString(i));
            assertTrue(bytes4(payee.reason()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")), vm.toString(i));
        }
    }
}
