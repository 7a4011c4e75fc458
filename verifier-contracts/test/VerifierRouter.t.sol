// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ISettlementVerifier, Request, Settlement} from "../src/Settlement.sol";
import {LoricaVerifier} from "../src/LoricaVerifier.sol";
import {VerifierRouter} from "../src/VerifierRouter.sol";
import {Fixture} from "./Fixture.sol";
import {vm} from "./Vm.sol";

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
    uint64 private constant CAP = 2_000_000;

    function setUp() public {
        _deploy();
        router = new VerifierRouter(address(this), GUARDIAN);
    }

    function _routed(address target) private returns (Case memory c) {
        c = _load("settlement-embed-2");
        router.add(c.circuit, target, c.key, CAP);
    }

    function test_check() public {
        Case memory c = _routed(address(verifier));
        bytes memory data = abi.encodeCall(VerifierRouter.check, (c.circuit, c.settlement));
        vm.prank(c.consumer);
        uint256 before = gasleft();
        (bool ok,) = address(router).call(data);
        vm.snapshotValue("check", "settlement-embed-2 by the router", before - gasleft());
        assertTrue(ok, "the consumer");
        router.checkFor(c.circuit, c.consumer, c.settlement);
        vm.expectRevert(LoricaVerifier.ProofInvalid.selector);
        router.check(c.circuit, c.settlement);
    }

    function test_unknown() public {
        Case memory c = _load("settlement-embed-2");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.UnknownCircuit.selector, c.circuit));
        router.checkFor(c.circuit, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.UnknownCircuit.selector, c.circuit));
        router.freeze(c.circuit);
    }

    function test_addOnly() public {
        Case memory c = _routed(address(verifier));
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.RouteExists.selector, c.circuit));
        router.add(c.circuit, address(verifier), c.key, CAP);
        router.freeze(c.circuit);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.RouteExists.selector, c.circuit));
        router.add(c.circuit, address(verifier), c.key, CAP);
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

    function test_freeze() public {
        Case memory c = _routed(address(verifier));
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotGuardian.selector, address(7)));
        router.freeze(c.circuit);
        vm.prank(GUARDIAN);
        router.freeze(c.circuit);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, c.circuit));
        router.checkFor(c.circuit, c.consumer, c.settlement);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, c.circuit));
        router.freeze(c.circuit);
    }

    function test_guardian() public {
        Case memory c = _routed(address(verifier));
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(7)));
        router.setGuardian(address(7));
        router.setGuardian(address(7));
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.NotGuardian.selector, GUARDIAN));
        router.freeze(c.circuit);
        vm.prank(address(7));
        router.freeze(c.circuit);
    }

    function test_gasCap() public {
        Case memory c = _routed(address(new Burner()));
        bytes memory data = abi.encodeCall(VerifierRouter.check, (c.circuit, c.settlement));
        uint256 before = gasleft();
        (bool ok,) = address(router).call(data);
        assertTrue(!ok, "burnt");
        assertTrue(before - gasleft() < CAP + 60_000, "cap");
    }

    /// A broken circuit is ended by whoever shows two answers to one question.
    function test_contradiction() public {
        Case memory c = _routed(address(new Gullible()));
        Settlement memory other = abi.decode(abi.encode(c.settlement), (Settlement));
        _noContradiction(c, other, "the same answer");
        other.requests[0].outputDigest += 1;
        other.requests[0].inputDigest += 1;
        _noContradiction(c, other, "another question");
        other.requests[0].inputDigest -= 1;
        other.base += 1;
        _noContradiction(c, other, "another base");
        other.base -= 1;
        other.requests[0].adapter += 1;
        _noContradiction(c, other, "another adapter");
        other.requests[0].adapter -= 1;
        vm.prank(address(7));
        router.freezeByContradiction(c.circuit, address(1), c.settlement, 0, address(2), other, 0);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, c.circuit));
        router.checkFor(c.circuit, c.consumer, c.settlement);
    }

    function test_contradictionInTheLabelAlone() public {
        Case memory c = _routed(address(new Gullible()));
        Settlement memory other = abi.decode(abi.encode(c.settlement), (Settlement));
        other.requests[0].label += 1;
        router.freezeByContradiction(c.circuit, address(1), c.settlement, 0, address(2), other, 0);
    }

    function _noContradiction(Case memory c, Settlement memory other, string memory what) private {
        (bool ok, bytes memory reason) = address(router)
            .call(
                abi.encodeCall(
                    VerifierRouter.freezeByContradiction, (c.circuit, address(1), c.settlement, 0, address(2), other, 0)
                )
            );
        assertTrue(!ok && bytes4(reason) == VerifierRouter.NoContradiction.selector, what);
    }

    /// With a sound verifier the second answer is not accepted, so nothing is frozen.
    function test_noContradictionWithoutProof() public {
        Case memory c = _routed(address(verifier));
        Settlement memory other = abi.decode(abi.encode(c.settlement), (Settlement));
        other.requests[0].outputDigest += 1;
        vm.expectRevert(LoricaVerifier.ProofInvalid.selector);
        router.freezeByContradiction(c.circuit, c.consumer, c.settlement, 0, c.consumer, other, 0);
        vm.expectRevert(LoricaVerifier.ProofInvalid.selector);
        router.freezeByContradiction(c.circuit, c.consumer, other, 0, c.consumer, c.settlement, 0);
        router.checkFor(c.circuit, c.consumer, c.settlement);
    }

    /// One batch of a broken circuit is evidence enough; one of a sound circuit is none, whatever two places are shown.
    function test_contradictionWithinOneBatch() public {
        Case memory c = _load("settlement-classify-3");
        router.add(c.circuit, address(verifier), c.key, CAP);
        _expectNoContradiction(c.circuit, c, c);
        Case memory broken = _routed(address(new Gullible()));
        _expectNoContradiction(broken.circuit, broken, broken);
        Request[] memory requests = broken.settlement.requests;
        requests[1].adapter = requests[0].adapter;
        requests[1].inputDigest = requests[0].inputDigest;
        router.freezeByContradiction(broken.circuit, address(1), broken.settlement, 0, address(1), broken.settlement, 1);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, broken.circuit));
        router.checkFor(broken.circuit, broken.consumer, broken.settlement);
    }

    /// Honest settlements of other requests end no circuit.
    function test_noContradictionOfTrueProofs() public {
        string[3] memory names = ["settlement-classify-1", "settlement-classify-3", "settlement-embed-2"];
        Case[3] memory cases;
        for (uint256 i = 0; i < 3; ++i) {
            cases[i] = _load(names[i]);
            router.add(cases[i].circuit, address(verifier), cases[i].key, CAP);
        }
        // One text under one adapter, labelled and embedded: the other circuit's settlement does not count.
        Request memory label = cases[1].settlement.requests[1];
        Request memory embedding = cases[2].settlement.requests[1];
        assertEq(label.inputDigest, embedding.inputDigest, "the same text");
        assertEq(label.adapter, embedding.adapter, "the same adapter");
        assertTrue(label.outputDigest != embedding.outputDigest, "another output");
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                _expectNoContradiction(cases[i].circuit, cases[i], cases[j]);
                _expectNoContradiction(cases[i].circuit, cases[j], cases[i]);
                vm.resetGasMetering();
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            router.checkFor(cases[i].circuit, cases[i].consumer, cases[i].settlement);
        }
    }

    /// No two requests of these settlements end the circuit.
    function _expectNoContradiction(bytes32 circuit, Case memory a, Case memory b) private {
        for (uint256 i = 0; i < a.settlement.requests.length; ++i) {
            for (uint256 j = 0; j < b.settlement.requests.length; ++j) {
                (bool ok,) = address(router)
                    .call(
                        abi.encodeCall(
                            VerifierRouter.freezeByContradiction,
                            (circuit, a.consumer, a.settlement, i, b.consumer, b.settlement, j)
                        )
                    );
                assertTrue(!ok, string.concat(vm.toString(i), ", ", vm.toString(j)));
            }
        }
    }

    function test_indexBeyondTheBatch() public {
        Case memory c = _routed(address(new Gullible()));
        vm.expectRevert();
        router.freezeByContradiction(c.circuit, address(1), c.settlement, 2, address(2), c.settlement, 0);
    }
}
