// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, RequestHash} from "../../src/InferenceRequest.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {MockVerifier, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Anyone may make it call anything, as Multicall3.aggregate3Value or a public forwarder.
contract PublicForwarder {
    receive() external payable {}

    function forward(address to, uint256 value, bytes calldata data) external payable returns (bytes memory) {
        (bool ok, bytes memory out) = to.call{value: value}(data);
        require(ok, "failed");
        return out;
    }
}

/// Attacks of a review, numbered as there: each worked once, and must not any more.
contract EscrowAttackCuresTest is World {
    function setUp() public {
        _world();
    }

    function _keyOf(bytes32 route) private view returns (address key) {
        (,,,, key,,,,,) = router.routes(route);
    }

    function _repaired(bytes32 route, uint32 gasCap) private returns (bytes32) {
        mock = new MockVerifier();
        return _addRoute(circuitOf[route], _keyOf(route), gasCap);
    }

    function _refusal(uint256 id, uint8 reason, uint64 expires) private view returns (bytes memory) {
        (, string memory name, string memory version, uint256 chain, address at,,) = escrow.eip712Domain();
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256(bytes(version)),
                chain,
                at
            )
        );
        bytes32 hash = RequestHash.hashRefusal(id, prover, reason, expires);
        return _sign(PROVER_KEY, uint256(keccak256(abi.encodePacked(hex"1901", domain, hash))));
    }

    /// H1: a circuit whose route is frozen, or was mistyped, goes on by another route.
    function test_H1_frozenOrMistypedRouteIsReplaced() public {
        _freeze(classify);
        bytes32 repaired = _repaired(classify, 5_000_000);
        assertTrue(repaired != classify && router.isFrozen(classify), "a tombstone and its successor");
        escrow.enableRoute(repaired);
        InferenceRequest memory request = _request(1);
        request.routes = 4;
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        escrow.settle(repaired, settlement, _terms(_one(request)), 0);
        _assertStatus(id, Status.Settled, "by the repaired verifier");
        // A typo: one gas.
        (bytes32 circuit, address key) = _key(OUTPUT_CLASSIFY, 77);
        bytes32 mistyped = _addRoute(circuit, key, 1);
        bytes32 corrected = _addRoute(circuit, key, 5_000_000);
        mock.prove(circuit, address(escrow), settlement);
        vm.expectRevert();
        router.checkFor(mistyped, address(escrow), settlement);
        router.checkFor(corrected, address(escrow), settlement);
    }

    /// H2: a stolen owner key adds a route that proves everything. It does not count for seven days, and then for none of the
    /// requests that were signed before, relayed or not; a relayer is not made to name it.
    function test_H2_newRouteTakesNothing() public {
        _advance(2 hours);
        InferenceRequest memory request = _request(1);
        request.deadline = uint64(clock + 30 days);
        bytes memory signature = _signed(request);
        InferenceRequest memory locked = _request(2);
        locked.deadline = uint64(clock + 30 days);
        _lock(locked);
        mock = new MockVerifier();
        mock.setGullible(true);
        bytes32 evil = _addRoute(circuitOf[classify], _keyOf(classify), 5_000_000);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotActive.selector, evil, clock + 7 days));
        escrow.enableRoute(evil);
        Settlement memory theft = _settlement(_one(locked), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotEnabled.selector, evil));
        escrow.settle(evil, theft, _terms(_one(locked)), 0);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotActive.selector, evil, clock + 7 days));
        router.checkFor(evil, address(escrow), theft);
        _advance(7 days);
        escrow.enableRoute(evil);
        vm.prank(RELAYER);
        uint256 id = escrow.lock(request, FEE, address(0), signature);
        theft = _settlement(_one(request), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(evil, theft, _terms(_one(request)), 0);
        theft = _settlement(_one(locked), GOVERNANCE);
        vm.expectRevert(
            abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, theft.requests[0].id, ROUTES, 2)
        );
        escrow.settle(evil, theft, _terms(_one(locked)), 0);
        // A false answer for a named prover is brought to no consumer either.
        Puppet consumer = new Puppet();
        InferenceRequest memory named = _request(3);
        (named.prover, named.consumer, named.consumerGas) = (prover, address(consumer), 100_000);
        id = _lock(named);
        theft = _settlement(_one(named), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(evil, theft, _terms(_one(named)), 0);
        assertEq(consumer.calls(), 0, "not told");
    }

    /// H3: locked through a public forwarder, the money goes back to whom the lock names.
    function test_H3_refundOfAPublicForwarder() public {
        PublicForwarder forwarder = new PublicForwarder();
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        bytes memory signature = _signed(request);
        vm.prank(requester);
        forwarder.forward{value: FEE}(
            address(escrow), FEE, abi.encodeCall(InferenceEscrow.lock, (request, FEE, requester, signature))
        );
        vm.prank(requester);
        escrow.cancel(request);
        vm.prank(STRANGER);
        vm.expectRevert(bytes("failed"));
        forwarder.forward(address(escrow), 0, abi.encodeCall(escrow.withdraw, (address(0), STRANGER)));
        uint256 before = requester.balance;
        vm.prank(requester);
        escrow.withdraw(address(0), requester);
        assertEq(requester.balance - before, FEE, "the requester's");
    }

    /// H4: a refusal that was given away on the first day does not end what the prover accepts on the second.
    function test_H4_staleRefusal() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        request.deadline = uint64(clock + 3 days);
        uint256 id = _lock(request);
        uint64 expires = uint64(clock + 1 hours);
        bytes memory refusal = _refusal(id, 3, expires);
        _advance(1 days);
        _accept(request, prover);
        Settlement memory settlement = _prove(_one(request), prover);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RefusalExpired.selector, id, expires));
        escrow.refuse(request, 3, expires, refusal);
        // Nor with a later expiry than was signed.
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, prover));
        escrow.refuse(request, 3, uint64(clock + 1), refusal);
        escrow.settle(classify, settlement, _terms(_one(request)), 1);
        assertEq(escrow.balances(address(open), prover), 6 ether, "paid");
    }

    /// H4: to its last second a refusal counts; one that names another prover, as one key's several wallets, does not.
    function test_H4_refusalOfOneProver() public {
        Puppet wallet = new Puppet();
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        uint256 id = _lock(request);
        uint64 expires = uint64(clock + 1 hours);
        bytes memory refusal = _refusal(id, 3, expires);
        assertTrue(
            RequestHash.hashRefusal(id, prover, 3, expires)
                != RequestHash.hashRefusal(id, address(wallet), 3, expires),
            "the prover is in it"
        );
        _advance(1 hours);
        escrow.refuse(request, 3, expires, refusal);
        _assertStatus(id, Status.Refused, "in time");
    }

    /// H7: all routes that could settle it are frozen: the requester takes back even what is accepted.
    function test_H7_frozenAndAccepted() public {
        InferenceRequest memory request = _request(1);
        request.deadline = uint64(clock + 30 days);
        _lock(request);
        _accept(request, STRANGER);
        _freeze(classify);
        vm.prank(requester);
        escrow.dropRoute(classify);
        vm.prank(requester);
        escrow.cancel(request);
        vm.prank(requester);
        assertEq(escrow.withdraw(address(open), requester), FEE, "back at once");
    }

    /// H8: fifteen of sixteen are taken away from a batch: its sender has said that it does not want to pay for the rest.
    function test_H8_overlap() public {
        InferenceRequest[] memory requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _request(i);
            _lock(requests[i]);
        }
        Settlement memory settlement = _prove(requests, prover);
        InferenceRequest[] memory taken = new InferenceRequest[](15);
        for (uint256 i = 0; i < 15; ++i) {
            taken[i] = requests[i];
        }
        _settle(taken, STRANGER);
        bytes memory data = abi.encodeCall(InferenceEscrow.settle, (classify, settlement, _terms(requests), 16));
        uint256 before = gasleft();
        (bool ok, bytes memory reason) = address(escrow).call(data);
        assertTrue(before - gasleft() < 400_000, "without the check");
        assertTrue(!ok, "refused");
        assertTrue(
            keccak256(reason)
                == keccak256(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 1, 16)),
            "why"
        );
        _assertStatus(settlement.requests[15].id, Status.Locked, "the last one waits for another batch");
    }

    /// H9: of a fee of a few units the prover has all. Tokens of so few decimals are not to be listed.
    function test_H9_dust() public {
        uint96[3] memory fees = [uint96(3), 4, 10];
        for (uint256 i = 0; i < 3; ++i) {
            InferenceRequest memory request = _request(i);
            _lock(request, fees[i]);
            _settle(request, prover);
        }
        // 0, 0 and 2 units to the adapter's owner; 1 of ten each to its contributors and the base's owner.
        assertEq(escrow.balances(address(open), prover), 3 + 4 + 6, "prover");
        (uint256 owner, uint256 contributors) = _lineOwed(address(open), adapterLines[0]);
        assertTrue(owner == 2 && contributors == 1, "adapter");
        (owner,) = _lineOwed(address(open), baseLine);
        assertEq(owner, 1, "base");
    }

    /// H12: nobody can renounce by mistake.
    function test_H12_renounced() public {
        cheats.startPrank(GOVERNANCE);
        vm.expectRevert(VerifierRouter.NoRenouncing.selector);
        router.renounceOwnership();
        vm.expectRevert(SettlementPayments.NoRenouncing.selector);
        escrow.renounceOwnership();
        cheats.stopPrank();
        _addRoute(OUTPUT_CLASSIFY, 99);
    }

    /// H13: who accepts and does nothing holds the money for the time that the requester allowed, no longer.
    function test_H13_acceptHoldsAsLongAsAllowed() public {
        InferenceRequest memory request = _request(1);
        (request.deadline, request.acceptTime) = (uint64(clock + 30 days), 10 minutes);
        uint256 id = _lock(request);
        _accept(request, STRANGER);
        _advance(10 minutes);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, STRANGER, clock));
        escrow.cancel(request);
        _advance(1);
        vm.prank(requester);
        escrow.cancel(request);
        vm.prank(requester);
        assertEq(escrow.withdraw(address(open), requester), FEE, "back");
    }

    /// H13: with a stake it costs the idler, and the requester's own prover as anybody.
    function test_H13_acceptCostsAStake() public {
        InferenceRequest memory request = _request(1);
        (request.stake, request.acceptTime) = (1 ether, 10 minutes);
        _lock(request);
        vm.prank(STRANGER);
        vm.expectRevert();
        escrow.accept(request);
        _stake(STRANGER, 1 ether);
        _accept(request, STRANGER);
        _advance(10 minutes + 1);
        _settle(request, prover);
        assertEq(stakes.free(STRANGER), 0, "lost");
        assertEq(stakes.free(prover), 0.5 ether, "for the one who served");
    }

    /// H14: a stolen guardian key stops for seven days in thirty, and nothing for good.
    function test_H14_guardianStopsForAWhile() public {
        vm.prank(GUARDIAN);
        vm.expectRevert(
            abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", GUARDIAN)
        );
        router.freeze(classify);
        InferenceRequest memory request = _request(1);
        request.deadline = uint64(clock + 20 days);
        _lock(request);
        _accept(request, prover);
        Settlement memory settlement = _prove(_one(request), prover);
        _pause(classify, 7 days);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Paused.selector, classify, clock + 7 days));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        // The owner sees to it at once, or it ends by itself and cannot be begun anew.
        uint256 state = cheats.snapshotState();
        vm.prank(GOVERNANCE);
        router.resume(classify);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        cheats.revertToState(state);
        _advance(7 days);
        bytes32[] memory again = new bytes32[](1);
        again[0] = classify;
        vm.prank(GUARDIAN);
        vm.expectRevert(
            abi.encodeWithSelector(VerifierRouter.PausedLately.selector, classify, clock + 23 days)
        );
        router.pause(again, 7 days);
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
    }

    /// H16: nothing is locked that no route can settle, once the freeze is noticed.
    function test_H16_locksOnFrozenRoutes() public {
        _freeze(classify);
        _freeze(embed);
        escrow.dropRoute(classify);
        escrow.dropRoute(embed);
        InferenceRequest memory request = _request(1);
        for (uint256 i = 0; i < 2; ++i) {
            if (i == 1) request.kind = OUTPUT_EMBED;
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoLiveRoute.selector, ROUTES));
            escrow.lock(request, FEE, address(0), "");
        }
    }

    /// HKey: the same circuit under another id (a key with a word that no contract reads) is no way round a freeze for whoever
    /// signed before: it is a route of its own, later by seven days, that no earlier request names.
    function test_HKey_frozenCircuitUnderAnotherId() public {
        _advance(2 hours);
        InferenceRequest memory request = _request(1);
        request.deadline = uint64(clock + 20 days);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        _freeze(classify);
        bytes32 twin = _addRoute(OUTPUT_CLASSIFY, 2);
        mock.prove(circuitOf[twin], address(escrow), settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotActive.selector, twin, clock + 7 days));
        escrow.enableRoute(twin);
        _advance(7 days);
        escrow.enableRoute(twin);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(twin, settlement, _terms(_one(request)), 0);
    }

    /// Finding 5: who accepts and refuses in front of a settlement spoils nothing.
    function test_5_acceptAndRefuse() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        _accept(request, STRANGER);
        vm.prank(STRANGER);
        escrow.refuse(request, 0, 0, "");
        escrow.settle(classify, settlement, _terms(_one(request)), 1);
        _assertStatus(id, Status.Settled, "settled all the same");
    }

    /// Finding 11: a stake is not lost, and money not held, for a route that was frozen.
    function test_11_frozenRouteAndStake() public {
        InferenceRequest memory request = _request(1);
        (request.stake, request.acceptTime) = (1 ether, 1 hours);
        _lock(request);
        _stake(prover, 1 ether);
        _accept(request, prover);
        _advance(30 minutes);
        _freeze(classify);
        // The payer would have half of the stake: it waits for the deadline, and tells the escrow nothing of the freeze.
        _advance(1 days);
        vm.prank(requester);
        escrow.refund(request);
        assertEq(stakes.free(prover), 1 ether, "the prover's");
        assertEq(stakes.free(requester), 0, "not the payer's");
    }

    /// Finding 17: who pays for callbacks can refuse a batch in which fewer are paid; one consumer's gas is bounded.
    function test_17_callbackGas() public {
        InferenceRequest memory request = _request(1);
        request.consumer = STRANGER;
        uint32 most = escrow.MAX_CONSUMER_GAS();
        request.consumerGas = most + 1;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.ConsumerGasTooHigh.selector, most, most + 1));
        escrow.lock(request, FEE, address(0), "");
    }

    /// Finding 19: which route an answer rests on is kept, and whether it was frozen since is to be seen.
    function test_19_routeOfAnAnswer() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        (, bytes32 route,,) = escrow.resultOf(id);
        assertTrue(route == 0, "none yet");
        _settle(request, prover);
        (, route,,) = escrow.resultOf(id);
        assertTrue(route == classify && !router.isFrozen(route), "sound as far as known");
        _freeze(classify);
        escrow.dropRoute(classify);
        (, route,,) = escrow.resultOf(id);
        assertTrue(route == classify && router.isFrozen(route), "to be doubted");
    }

    /// Finding 23: a request names any set of routes, not a prefix.
    function test_23_anySetOfRoutes() public {
        bytes32[3] memory more;
        for (uint32 i = 0; i < 3; ++i) {
            more[i] = _addRoute(circuitOf[classify], _keyOf(classify), 4_000_000 + i);
            escrow.enableRoute(more[i]);
        }
        InferenceRequest memory request = _request(1);
        request.routes = 1 << 2 | 1 << 4;
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, 20, 1));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, 20, 3));
        escrow.settle(more[1], settlement, _terms(_one(request)), 0);
        escrow.settle(more[2], settlement, _terms(_one(request)), 0);
    }

    /// Finding 25: who likes no answer cannot keep it back for nothing, and that it was kept back is to be seen.
    function test_25_answerKeptBack() public {
        InferenceRequest memory request = _request(1);
        (request.prover, request.stake, request.acceptTime) = (prover, 1 ether, 1 hours);
        uint256 id = _lock(request);
        _stake(prover, 1 ether);
        _accept(request, prover);
        _advance(1 days + 1);
        escrow.refund(request);
        Lock memory locked = escrow.lockOf(id);
        assertTrue(locked.status == Status.Refunded && locked.wasAccepted && locked.prover == prover, "to be seen");
        assertEq(stakes.free(prover), 0, "it cost the stake");
        assertEq(stakes.free(requester), 0.5 ether, "half of it is the payer's");
        assertEq(stakes.burnable(), 0.5 ether, "half is nobody's");
    }
}
