// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ISettlementVerifier, Request, Settlement} from "../src/Settlement.sol";
import {GroupClaim} from "../src/GroupClaim.sol";
import {OpenToken} from "../src/OpenToken.sol";
import {VerifierRouter} from "../src/VerifierRouter.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";
import {cheats} from "./Cheats.sol";

/// Accepts everything: stands for a broken circuit.
contract Gullible is ISettlementVerifier {
    function check(bytes32, address, address, Settlement calldata) external pure {}
}

/// Uses up all gas that it is given.
contract Burner is ISettlementVerifier {
    function check(bytes32, address, address, Settlement calldata) external pure {
        assembly {
            invalid()
        }
    }
}

contract VerifierRouterTest is Fixture {
    VerifierRouter private router;
    address private constant GUARDIAN = address(0x6a);
    uint32 private constant CAP = 2_000_000;
    uint256 private constant START = 1_800_000_000;
    OpenToken private open;
    /// The compiler takes the time for a constant of a transaction.
    uint256 private clock = START;

    function setUp() public {
        cheats.warp(START);
        _deploy();
        open = OpenToken(cheats.deployCode("OpenToken.sol:OpenToken", abi.encode(address(this))));
        router = VerifierRouter(
            cheats.deployCode("VerifierRouter.sol:VerifierRouter", abi.encode(address(this), GUARDIAN, open))
        );
    }

    /// Within the first hour, so that it counts at once.
    function _routed(address target) private returns (Case memory c, bytes32 route) {
        c = _load("settlement-embed-2");
        route = router.add(c.circuit, target, c.key, CAP);
    }

    function _advance(uint256 seconds_) private {
        clock += seconds_;
        cheats.warp(clock);
    }

    function _one(bytes32 route) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = route;
    }

    function _pause(bytes32 route, uint40 duration) private {
        vm.prank(GUARDIAN);
        router.pause(_one(route), duration);
    }

    function _other(Settlement memory settlement) private pure returns (Settlement memory other) {
        other = abi.decode(abi.encode(settlement), (Settlement));
    }

    function test_check() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        bytes memory data = abi.encodeCall(VerifierRouter.check, (route, c.settlement));
        vm.prank(c.consumer);
        (bool ok,, uint256 used) = Testing.measured(address(router), data);
        vm.snapshotValue("check", "settlement-embed-2 by the router", used);
        assertTrue(ok, "the consumer");
        router.checkFor(route, c.consumer, c.settlement);
        vm.expectRevert(GroupClaim.ProofInvalid.selector);
        router.check(route, c.settlement);
    }

    function test_unknown() public {
        Case memory c = _load("settlement-embed-2");
        bytes memory reason = abi.encodeWithSelector(VerifierRouter.UnknownRoute.selector, c.circuit);
        vm.expectRevert(reason);
        router.checkFor(c.circuit, c.consumer, c.settlement);
        vm.expectRevert(reason);
        router.freeze(c.circuit);
        vm.expectRevert(reason);
        router.resume(c.circuit);
        vm.expectRevert(reason);
        router.pausedTotal(c.circuit);
        vm.expectRevert(reason);
        router.servedKey(c.circuit);
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        router.pause(_one(c.circuit), 1);
        assertTrue(!router.isLive(c.circuit) && !router.isFrozen(c.circuit), "neither");
    }

    /// The same verifier, code and cap for a circuit once, frozen or not.
    function test_addOnly() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        assertTrue(route == router.routeId(c.circuit, address(verifier), address(verifier).codehash, CAP), "id");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.RouteExists.selector, route));
        router.add(c.circuit, address(verifier), c.key, CAP);
        router.freeze(route);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.RouteExists.selector, route));
        router.add(c.circuit, address(verifier), c.key, CAP);
    }

    /// A frozen route is a tombstone; the circuit goes on by another verifier, or by the same with another cap.
    function test_secondRouteAfterAFreeze() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        router.freeze(route);
        assertTrue(router.isFrozen(route) && !router.isLive(route), "frozen");
        bytes32 repaired = router.add(c.circuit, address(verifier), c.key, CAP);
        bytes32 dearer = router.add(c.circuit, address(verifier), c.key, CAP + 1);
        assertTrue(repaired != route && dearer != repaired, "ids");
        router.checkFor(repaired, c.consumer, c.settlement);
        router.checkFor(dearer, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.checkFor(route, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.servedKey(route);
        bytes32[] memory all = router.routesOf(c.circuit);
        assertTrue(all.length == 3 && all[0] == route && all[1] == repaired && all[2] == dearer, "list");
        assertTrue(!router.isFrozen(repaired) && router.isLive(repaired), "the others are not");
    }

    /// After the first hour a route counts seven days later, to the second.
    function test_delay() public {
        Case memory c = _load("settlement-embed-2");
        _advance(1 hours - 1);
        bytes32 early = router.add(c.circuit, address(verifier), c.key, CAP);
        router.checkFor(early, c.consumer, c.settlement);
        _advance(1);
        bytes32 late = router.add(c.circuit, address(verifier), c.key, CAP + 1);
        bytes memory reason =
            abi.encodeWithSelector(VerifierRouter.NotActive.selector, late, START + 1 hours + 7 days);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(reason);
            router.checkFor(late, c.consumer, c.settlement);
            vm.prank(c.consumer);
            vm.expectRevert(reason);
            router.check(late, c.settlement);
            vm.expectRevert(reason);
            router.servedKey(late);
            assertTrue(!router.isLive(late), "not live");
            if (i == 0) _advance(7 days - 1);
        }
        _advance(1);
        router.checkFor(late, c.consumer, c.settlement);
        (bytes32 circuit, address key) = router.servedKey(late);
        assertTrue(router.isLive(late) && circuit == c.circuit && key == c.key, "live");
    }

    function test_addChecks() public {
        Case memory c = _load("settlement-embed-2");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotContract.selector, address(1234)));
        router.add(c.circuit, address(1234), c.key, CAP);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.GasCap.selector, 0));
        router.add(c.circuit, address(verifier), c.key, 0);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.GasCap.selector, 16_777_217));
        router.add(c.circuit, address(verifier), c.key, 16_777_217);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.KeyDigest.selector, bytes32(uint256(1)), c.key));
        router.add(bytes32(uint256(1)), address(verifier), c.key, CAP);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.KeyDigest.selector, c.circuit, address(verifier)));
        router.add(c.circuit, address(verifier), address(verifier), CAP);
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(7)));
        router.add(c.circuit, address(verifier), c.key, CAP);
    }

    /// The owner freezes, for good; the guardian does not.
    function test_freeze() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        address[2] memory others = [address(7), GUARDIAN];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, others[i]));
            router.freeze(route);
        }
        assertEq(router.lastStop(), 0, "none yet");
        router.freeze(route);
        assertEq(router.lastStop(), clock, "noted");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.checkFor(route, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.freeze(route);
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.pause(_one(route), 1);
    }

    function test_guardian() public {
        (, bytes32 route) = _routed(address(verifier));
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(7)));
        router.setGuardian(address(7));
        router.setGuardian(address(7));
        // Former guardian, and the owner itself.
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotGuardian.selector, GUARDIAN));
        router.pause(_one(route), 1);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotGuardian.selector, address(this)));
        router.pause(_one(route), 1);
        vm.prank(address(7));
        router.pause(_one(route), 1);
    }

    /// A pause ends by itself, at the latest after seven days.
    function test_pause() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        uint40[3] memory never = [uint40(0), 7 days + 1, type(uint40).max];
        for (uint256 i = 0; i < never.length; ++i) {
            vm.prank(GUARDIAN);
            vm.expectRevert(abi.encodeWithSelector(VerifierRouter.PauseInvalid.selector, 7 days, never[i]));
            router.pause(_one(route), never[i]);
        }
        vm.prank(GUARDIAN);
        router.pause(new bytes32[](0), 7 days);
        assertEq(router.lastStop(), 0, "nothing was paused");
        _pause(route, 7 days);
        assertEq(router.lastStop(), clock, "noted");
        bytes memory reason = abi.encodeWithSelector(VerifierRouter.Paused.selector, route, clock + 7 days);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(reason);
            router.checkFor(route, c.consumer, c.settlement);
            assertTrue(!router.isLive(route) && !router.isFrozen(route), "paused, not frozen");
            if (i == 0) _advance(7 days - 1);
        }
        _advance(1);
        router.checkFor(route, c.consumer, c.settlement);
        assertTrue(router.isLive(route), "live");
    }

    /// Once per thirty days, counted from the beginning of the last one, however it ended. A route of its own each.
    function test_pauseOncePerThirtyDays() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        bytes32 second = router.add(c.circuit, address(verifier), c.key, CAP + 1);
        _pause(route, 1);
        bytes memory reason = abi.encodeWithSelector(VerifierRouter.PausedLately.selector, route, clock + 30 days);
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        router.pause(_one(route), 1);
        _advance(30 days - 1);
        vm.prank(GUARDIAN);
        vm.expectRevert(reason);
        router.pause(_one(route), 1);
        _pause(second, 1);
        _advance(1);
        // The same route twice in one call is refused too.
        bytes32[] memory twice = new bytes32[](2);
        twice[0] = twice[1] = route;
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.PausedLately.selector, route, clock + 30 days));
        router.pause(twice, 1);
        _pause(route, 1);
    }

    /// Guardian or owner end a pause early; it counts as one all the same.
    function test_resume() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotPaused.selector, route));
        router.resume(route);
        _pause(route, 100);
        _advance(40);
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotGuardian.selector, address(7)));
        router.resume(route);
        router.resume(route);
        router.checkFor(route, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotPaused.selector, route));
        router.resume(route);
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.PausedLately.selector, route, START + 30 days));
        router.pause(_one(route), 1);
        _advance(30 days);
        _pause(route, 100);
        vm.prank(GUARDIAN);
        router.resume(route);
        router.checkFor(route, c.consumer, c.settlement);
    }

    /// Seconds of all pauses: the present one as far as it has come, those that were ended early as far as they went.
    function test_pausedTotal() public {
        (, bytes32 route) = _routed(address(verifier));
        assertEq(router.pausedTotal(route), 0, "never");
        _pause(route, 100);
        assertEq(router.pausedTotal(route), 0, "just now");
        _advance(40);
        assertEq(router.pausedTotal(route), 40, "in the first");
        router.resume(route);
        _advance(60);
        assertEq(router.pausedTotal(route), 40, "after the first");
        _advance(30 days);
        _pause(route, 7 days);
        _advance(5);
        assertEq(router.pausedTotal(route), 45, "in the second");
        _advance(30 days);
        assertEq(router.pausedTotal(route), 40 + 7 days, "after the second");
        _pause(route, 3);
        _advance(2);
        assertEq(router.pausedTotal(route), 42 + 7 days, "in the third");
    }

    function test_noRenouncing() public {
        vm.expectRevert(VerifierRouter.NoRenouncing.selector);
        router.renounceOwnership();
        vm.prank(address(7));
        vm.expectRevert(VerifierRouter.NoRenouncing.selector);
        router.renounceOwnership();
        assertTrue(router.owner() == address(this), "owner");
    }

    function test_gasCap() public {
        (Case memory c, bytes32 route) = _routed(address(new Burner()));
        bytes memory data = abi.encodeCall(VerifierRouter.check, (route, c.settlement));
        uint256 before = gasleft();
        (bool ok,) = address(router).call(data);
        assertTrue(!ok, "burnt");
        assertTrue(before - gasleft() < CAP + 60_000, "cap");
    }

    /// A broken circuit is ended by whoever shows two answers to one question.
    function test_contradiction() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        Settlement memory other = _other(c.settlement);
        _noContradiction(route, c, other, "the same answer");
        other.requests[0].outputDigest += 1;
        other.requests[0].inputDigest += 1;
        _noContradiction(route, c, other, "another question");
        other.requests[0].inputDigest -= 1;
        other.base += 1;
        _noContradiction(route, c, other, "another base");
        other.base -= 1;
        other.requests[0].adapter += 1;
        _noContradiction(route, c, other, "another adapter");
        other.requests[0].adapter -= 1;
        vm.prank(address(7));
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.checkFor(route, c.consumer, c.settlement);
    }

    function test_contradictionInTheLabelAlone() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        Settlement memory other = _other(c.settlement);
        other.requests[0].label += 1;
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
    }

    function _noContradiction(bytes32 route, Case memory c, Settlement memory other, string memory what) private {
        (bool ok, bytes memory reason) = address(router)
            .call(
                abi.encodeCall(
                    VerifierRouter.freezeByContradiction, (route, address(1), c.settlement, 0, address(2), other, 0)
                )
            );
        assertTrue(!ok && bytes4(reason) == VerifierRouter.NoContradiction.selector, what);
    }

    /// With a sound verifier the second answer is not accepted, so nothing is frozen.
    function test_noContradictionWithoutProof() public {
        (Case memory c, bytes32 route) = _routed(address(verifier));
        Settlement memory other = _other(c.settlement);
        other.requests[0].outputDigest += 1;
        vm.expectRevert(GroupClaim.ProofInvalid.selector);
        router.freezeByContradiction(route, c.consumer, c.settlement, 0, c.consumer, other, 0);
        vm.expectRevert(GroupClaim.ProofInvalid.selector);
        router.freezeByContradiction(route, c.consumer, other, 0, c.consumer, c.settlement, 0);
        router.checkFor(route, c.consumer, c.settlement);
    }

    /// One batch of a broken circuit is evidence enough; one of a sound circuit is none, whatever two places are shown.
    function test_contradictionWithinOneBatch() public {
        Case memory c = _load("settlement-classify-3");
        bytes32 sound = router.add(c.circuit, address(verifier), c.key, CAP);
        _expectNoContradiction(sound, c, c);
        (Case memory broken, bytes32 route) = _routed(address(new Gullible()));
        _expectNoContradiction(route, broken, broken);
        Request[] memory requests = broken.settlement.requests;
        requests[1].adapter = requests[0].adapter;
        requests[1].inputDigest = requests[0].inputDigest;
        router.freezeByContradiction(route, address(1), broken.settlement, 0, address(1), broken.settlement, 1);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, route));
        router.checkFor(route, broken.consumer, broken.settlement);
    }

    /// Honest settlements of other requests end no circuit.
    function test_noContradictionOfTrueProofs() public {
        string[3] memory names = ["settlement-classify-1", "settlement-classify-3", "settlement-embed-2"];
        Case[3] memory cases;
        bytes32[3] memory routes;
        for (uint256 i = 0; i < 3; ++i) {
            cases[i] = _load(names[i]);
            routes[i] = router.add(cases[i].circuit, address(verifier), cases[i].key, CAP);
        }
        // One text under one adapter, labelled and embedded: the other circuit's settlement does not count.
        Request memory label = cases[1].settlement.requests[1];
        Request memory embedding = cases[2].settlement.requests[1];
        assertEq(label.inputDigest, embedding.inputDigest, "the same text");
        assertEq(label.adapter, embedding.adapter, "the same adapter");
        assertTrue(label.outputDigest != embedding.outputDigest, "another output");
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                _expectNoContradiction(routes[i], cases[i], cases[j]);
                _expectNoContradiction(routes[i], cases[j], cases[i]);
                vm.resetGasMetering();
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            router.checkFor(routes[i], cases[i].consumer, cases[i].settlement);
        }
    }

    /// No two requests of these settlements end the circuit.
    function _expectNoContradiction(bytes32 route, Case memory a, Case memory b) private {
        for (uint256 i = 0; i < a.settlement.requests.length; ++i) {
            for (uint256 j = 0; j < b.settlement.requests.length; ++j) {
                (bool ok,) = address(router)
                    .call(
                        abi.encodeCall(
                            VerifierRouter.freezeByContradiction,
                            (route, a.consumer, a.settlement, i, b.consumer, b.settlement, j)
                        )
                    );
                assertTrue(!ok, string.concat(vm.toString(i), ", ", vm.toString(j)));
            }
        }
    }

    function test_indexBeyondTheBatch() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        vm.expectRevert();
        router.freezeByContradiction(route, address(1), c.settlement, 2, address(2), c.settlement, 0);
    }

    /// Evidence counts also while the route is paused and before it is active.
    function test_contradictionWhilePausedAndBeforeActive() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        Settlement memory other = _other(c.settlement);
        other.requests[0].outputDigest += 1;
        _pause(route, 7 days);
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        assertTrue(router.isFrozen(route), "while paused");
        assertEq(router.lastStop(), clock, "noted");
        _advance(1 hours);
        bytes32 waiting = router.add(c.circuit, address(new Gullible()), c.key, CAP);
        router.freezeByContradiction(waiting, address(1), c.settlement, 0, address(2), other, 0);
        assertTrue(router.isFrozen(waiting), "before it is active");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, waiting));
        router.freezeByContradiction(waiting, address(1), c.settlement, 0, address(2), other, 0);
    }

    // Bounties

    function _funded(uint256 bounty, uint256 held) private {
        router.setBounty(bounty);
        open.transfer(address(router), held);
    }

    /// The first contradiction of a circuit earns the bounty for the maker of both proofs, whoever brings them.
    function test_bounty() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        bytes32 second = router.add(c.circuit, address(new Gullible()), c.key, CAP + 1);
        _funded(5 ether, 20 ether);
        Settlement memory other = _other(c.settlement);
        other.requests[0].label += 1;
        // A stranger has copied them.
        vm.prank(address(7));
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        assertEq(open.balanceOf(c.settlement.payee), 5 ether, "the maker");
        assertEq(open.balanceOf(address(7)), 0, "the stranger");
        assertTrue(router.bountyPaid(c.circuit), "paid");
        // Another route of the circuit: no second bounty, but the freeze.
        router.freezeByContradiction(second, address(1), c.settlement, 0, address(2), other, 0);
        assertEq(open.balanceOf(c.settlement.payee), 5 ether, "once per circuit");
        assertTrue(router.isFrozen(second), "frozen all the same");
    }

    /// Two makers: none has both proofs, so none is paid, and a later maker of both is.
    function test_bountyOfTwoMakers() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        bytes32 second = router.add(c.circuit, address(new Gullible()), c.key, CAP + 1);
        _funded(5 ether, 20 ether);
        Settlement memory other = _other(c.settlement);
        other.requests[0].label += 1;
        other.payee = address(7);
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        assertEq(open.balanceOf(address(router)), 20 ether, "nobody");
        assertTrue(router.isFrozen(route) && !router.bountyPaid(c.circuit), "frozen, not paid");
        Settlement memory third = _other(other);
        third.requests[0].label += 1;
        router.freezeByContradiction(second, address(1), third, 0, address(2), other, 0);
        assertEq(open.balanceOf(address(7)), 5 ether, "the maker of both");
    }

    /// Nobody has both proofs: the payee zero.
    function test_bountyOfNobody() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        _funded(5 ether, 20 ether);
        c.settlement.payee = address(0);
        Settlement memory other = _other(c.settlement);
        other.requests[0].label += 1;
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        assertTrue(router.isFrozen(route) && !router.bountyPaid(c.circuit), "frozen, not paid");
    }

    /// No more than is held; with nothing held, or no bounty, the circuit's bounty is still to be had.
    function test_bountyIsWhatIsHeld() public {
        (Case memory c, bytes32 route) = _routed(address(new Gullible()));
        bytes32 second = router.add(c.circuit, address(new Gullible()), c.key, CAP + 1);
        bytes32 third = router.add(c.circuit, address(new Gullible()), c.key, CAP + 2);
        Settlement memory other = _other(c.settlement);
        other.requests[0].label += 1;
        _funded(0, 3 ether);
        router.freezeByContradiction(route, address(1), c.settlement, 0, address(2), other, 0);
        assertTrue(!router.bountyPaid(c.circuit), "none was offered");
        router.setBounty(5 ether);
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(7)));
        router.withdrawBounty(address(7), 1);
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(7)));
        router.setBounty(1);
        router.withdrawBounty(address(8), 3 ether);
        router.freezeByContradiction(second, address(1), c.settlement, 0, address(2), other, 0);
        assertTrue(!router.bountyPaid(c.circuit), "none was held");
        open.transfer(address(router), 2 ether);
        router.freezeByContradiction(third, address(1), c.settlement, 0, address(2), other, 0);
        assertEq(open.balanceOf(c.settlement.payee), 2 ether, "all that is held");
        assertTrue(router.bountyPaid(c.circuit), "paid");
    }
}
