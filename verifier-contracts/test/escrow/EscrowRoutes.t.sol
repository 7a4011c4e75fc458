// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {World} from "./World.sol";

/// Routes that an escrow knows, and requests that name them.
contract EscrowRoutesTest is World {
    function setUp() public {
        _world();
    }

    /// Another route of the classifying circuit.
    function _second(uint32 gasCap) private returns (bytes32) {
        (,,,, address key,,,,,) = router.routes(classify);
        return _addRoute(circuitOf[classify], key, gasCap);
    }

    function test_enableBeforeItCounts() public {
        _advance(1 hours);
        bytes32 route = _second(4_000_000);
        bytes memory reason = abi.encodeWithSelector(VerifierRouter.NotActive.selector, route, clock + 7 days);
        vm.expectRevert(reason);
        escrow.enableRoute(route);
        _advance(7 days - 1);
        vm.expectRevert(reason);
        escrow.enableRoute(route);
        _advance(1);
        escrow.enableRoute(route);
    }

    function test_enableFrozen() public {
        bytes32 route = _second(4_000_000);
        _freeze(route);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        escrow.enableRoute(route);
        // One that is paused only is known already.
        route = _second(4_000_001);
        _pause(route, 10);
        escrow.enableRoute(route);
    }

    /// Only a route that is frozen is dropped, by anybody, and only a known one.
    function test_drop() public {
        bytes32 route = _second(4_000_000);
        _freeze(route);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotEnabled.selector, route));
        escrow.dropRoute(route);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotFrozen.selector, classify));
        escrow.dropRoute(classify);
        _pause(classify, 7 days);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotFrozen.selector, classify));
        escrow.dropRoute(classify);
        _freeze(classify);
        assertEq(escrow.liveRoutes(), 3, "not noticed yet");
        vm.prank(STRANGER);
        escrow.dropRoute(classify);
        assertEq(escrow.liveRoutes(), 1, "dropped");
        escrow.dropRoute(classify);
        assertEq(escrow.liveRoutes(), 1, "dropped once more");
        (uint8 ordinal,, bool known) = escrow.enabled(classify);
        assertTrue(ordinal == 1 && known, "its ordinal is its own for ever");
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteAlreadyEnabled.selector, classify));
        escrow.enableRoute(classify);
        _freeze(embed);
        escrow.dropRoute(embed);
        assertEq(escrow.liveRoutes(), 0, "none");
    }

    /// 240 and no more; the last one settles as the first.
    function test_manyRoutes() public {
        vm.pauseGasMetering();
        bytes32 last;
        for (uint32 i = 2; i < 240; ++i) {
            last = _second(1_000_000 + i);
            escrow.enableRoute(last);
        }
        assertEq(escrow.routes().length, 240, "count");
        assertEq(escrow.liveRoutes(), type(uint240).max, "all");
        bytes32 beyond = _second(1);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooManyRoutes.selector, 240));
        escrow.enableRoute(beyond);
        InferenceRequest memory request = _request(1);
        request.routes = 1 << 240;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RoutesInvalid.selector, 240, 1 << 240));
        escrow.lock(request, FEE, address(0), "");
        request.routes = 1 << 239;
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, 1 << 239, 1));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        escrow.settle(last, settlement, _terms(_one(request)), 1);
        (, bytes32 route,,) = escrow.resultOf(id);
        assertTrue(route == last, "stored");
        _freeze(last);
        escrow.dropRoute(last);
        assertEq(escrow.liveRoutes(), type(uint240).max >> 1, "all but the last");
        vm.resumeGasMetering();
    }

    /// A route enabled later settles no request that was signed before, whoever locks it and whenever.
    function test_laterRouteNeverCounts() public {
        InferenceRequest memory request = _request(1);
        bytes memory signature = _signed(request);
        uint256 first = _lock(_request(2));
        bytes32 later = _second(4_000_000);
        escrow.enableRoute(later);
        vm.prank(RELAYER);
        uint256 id = escrow.lock(request, FEE, address(0), signature);
        Settlement memory settlement = _prove(_one(request), STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(later, settlement, _terms(_one(request)), 0);
        // With its bit set it is another request.
        InferenceRequest memory wider = _request(1);
        wider.routes = 7;
        vm.expectRevert(
            abi.encodeWithSelector(
                SettlementPayments.RequestIdMismatch.selector, 0, id, escrow.requestId(wider)
            )
        );
        escrow.settle(later, settlement, _terms(_one(wider)), 0);
        settlement = _prove(_one(_request(2)), STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, first, ROUTES, 2));
        escrow.settle(later, settlement, _terms(_one(_request(2))), 0);
    }

    /// Frozen and dropped: no new lock; what is locked can be cancelled, accepted or not, and the stake is the prover's again.
    function test_allNamedRoutesFrozen() public {
        InferenceRequest memory plain = _request(1);
        InferenceRequest memory staked = _request(2);
        (staked.stake, staked.acceptTime) = (10, 1 hours);
        _lock(plain);
        _lock(staked);
        _stake(prover, 10);
        _accept(plain, prover);
        _accept(staked, prover);
        assertEq(stakes.free(prover), 0, "held");
        _freeze(classify);
        bytes memory reason = abi.encodeWithSelector(
            InferenceEscrow.AlreadyAccepted.selector, escrow.requestId(plain), prover, plain.deadline
        );
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.cancel(plain);
        // The embedding route lives, but can settle none of them.
        escrow.dropRoute(classify);
        reason = abi.encodeWithSelector(InferenceEscrow.NotRequester.selector, escrow.requestId(plain), STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(reason);
        escrow.cancel(plain);
        vm.prank(requester);
        escrow.cancel(plain);
        vm.prank(requester);
        escrow.cancel(staked);
        assertEq(escrow.balances(address(open), requester), 2 * FEE, "all back");
        assertEq(stakes.free(prover), 10, "the stake too");
        InferenceRequest memory fresh = _request(3);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoLiveRoute.selector, ROUTES));
        escrow.lock(fresh, FEE, address(0), "");
        // Another verifier of the circuit: requests that name it are taken.
        bytes32 repaired = _second(4_000_000);
        escrow.enableRoute(repaired);
        fresh.routes = 2;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoLiveRoute.selector, 2));
        escrow.lock(fresh, FEE, address(0), "");
        fresh.routes = 6;
        uint256 id = _lock(fresh);
        Settlement memory settlement = _prove(_one(fresh), prover);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, classify));
        escrow.settle(classify, settlement, _terms(_one(fresh)), 0);
        escrow.settle(repaired, settlement, _terms(_one(fresh)), 0);
        _assertStatus(id, Status.Settled, "by the repaired verifier");
    }

    /// While one named route lives an acceptance holds.
    function test_oneNamedRouteLives() public {
        bytes32 second = _second(4_000_000);
        escrow.enableRoute(second);
        InferenceRequest memory request = _request(1);
        request.routes = 6;
        uint256 id = _lock(request);
        _accept(request, prover);
        _freeze(classify);
        escrow.dropRoute(classify);
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, prover, request.deadline)
        );
        escrow.cancel(request);
        Settlement memory settlement = _prove(_one(request), prover);
        escrow.settle(second, settlement, _terms(_one(request)), 0);
    }

    /// Embeddings by their own routes only, in the same way.
    function test_liveRoutesOfEmbeddings() public {
        InferenceRequest memory request = _request(1);
        request.kind = OUTPUT_EMBED;
        _lock(request);
        _accept(request, prover);
        _freeze(classify);
        escrow.dropRoute(classify);
        vm.prank(requester);
        vm.expectRevert();
        escrow.cancel(request);
        _freeze(embed);
        escrow.dropRoute(embed);
        vm.prank(requester);
        escrow.cancel(request);
        request.salt = 2;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoLiveRoute.selector, ROUTES));
        escrow.lock(request, FEE, address(0), "");
    }
}
