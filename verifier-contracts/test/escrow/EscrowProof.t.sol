// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {CommitmentRegistry} from "../../src/CommitmentRegistry.sol";
import {GroupClaim} from "../../src/GroupClaim.sol";
import {Halo2Verifier} from "../../src/Halo2Verifier.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {LoricaVerifier} from "../../src/LoricaVerifier.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Bounds, Permit, Split, Terms} from "../../src/ModelTerms.sol";
import {FAMILY_ENCODER} from "../../src/Records.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Point, Request, Settlement} from "../../src/Settlement.sol";
import {KEY_OUTPUT_KIND} from "../../src/SettlementKey.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {Fixture} from "../Fixture.sol";
import {vm} from "../Vm.sol";
import {VectorEscrow} from "../whole/VectorEscrow.sol";
import {cheats} from "../Cheats.sol";
import {Testing} from "../Testing.sol";
import {TestRanges} from "./Mocks.sol";

/// True proofs, paid: the real verifier behind the escrow, at the address that the proofs are bound to.
contract EscrowProofTest is Fixture {
    InferenceEscrow private escrow;
    ModelRegistry private models;
    TestRanges private ranges;
    VerifierRouter private router;
    bytes32 private route;

    function _publish(Case memory c) private {
        Split memory split = Split(6_000, 2_000, 1_000, 1_000);
        uint256 architecture = vm.parseJsonUint(c.json, ".architecture");
        uint256[] memory ids = new uint256[](2);
        (ids[0], ids[1]) = (architecture, c.settlement.base);
        for (uint256 i = 0; i < ids.length; ++i) {
            models.reserve(keccak256(abi.encode(ids[i], address(this), bytes32(0))));
        }
        for (uint256 i = 0; vm.keyExistsJson(c.json, _adapter(i, "")); ++i) {
            uint256 id = vm.parseJsonUint(c.json, _adapter(i, ".id"));
            models.reserve(keccak256(abi.encode(id, address(this), bytes32(0))));
        }
        cheats.warp(1_000);
        Permit memory none;
        uint256[] memory tau = vm.parseJsonUintArray(c.json, ".tauG2");
        models.publishArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(c.json, ".encoding"),
            uint32(vm.parseJsonUint(c.json, ".logTile")),
            vm.parseJsonUint(c.json, ".srs"),
            [tau[0], tau[1], tau[2], tau[3]],
            _points(vm.parseJsonUintArray(c.json, ".tables")),
            Terms(0, address(2), Split(0, 0, 0, 0), 0, "", "", 0),
            none
        );
        Terms memory terms = Terms(0, address(2), split, 0, "", "", 0);
        models.publishBase(
            architecture,
            _points(vm.parseJsonUintArray(c.json, ".tiles")),
            vm.parseJsonUint(c.json, ".scalesWord"),
            terms,
            none
        );
        for (uint256 i = 0; vm.keyExistsJson(c.json, _adapter(i, "")); ++i) {
            Point[] memory tiles = _points(vm.parseJsonUintArray(c.json, _adapter(i, ".tiles")));
            models.publishAdapter(c.settlement.base, 0, tiles, terms, none);
        }
    }

    function _world(string memory name) private returns (Case memory c, InferenceRequest[] memory requests) {
        vm.pauseGasMetering();
        cheats.roll(100);
        registry = CommitmentRegistry(cheats.deployCode("CommitmentRegistry.sol:CommitmentRegistry"));
        halo2 = Halo2Verifier(cheats.deployCode("Halo2Verifier.sol:Halo2Verifier"));
        verifier = LoricaVerifier(cheats.deployCode("LoricaVerifier.sol:LoricaVerifier", abi.encode(registry, halo2)));
        address open = cheats.deployCode("OpenToken.sol:OpenToken", abi.encode(address(this)));
        router = VerifierRouter(
            cheats.deployCode("VerifierRouter.sol:VerifierRouter", abi.encode(address(this), address(0), open))
        );
        ranges = new TestRanges();
        models = ModelRegistry(
            cheats.deployCode(
                "ModelRegistry.sol:ModelRegistry",
                abi.encode(
                    address(this),
                    registry,
                    open,
                    ranges,
                    address(this),
                    uint64(1),
                    Bounds(5_000, 500, 3_000),
                    [uint256(0), 0, 0]
                )
            )
        );
        c = _load(name);
        address code = cheats.deployCode("VectorEscrow.sol:VectorEscrow", abi.encode(router, models));
        vm.etch(c.consumer, code.code);
        escrow = InferenceEscrow(c.consumer);
        _publish(c);
        route = router.add(c.circuit, address(verifier), c.key, 5_000_000);
        escrow.enableRoute(route);
        Settlement memory s = c.settlement;
        requests = new InferenceRequest[](s.requests.length);
        uint8 kind = uint8(vm.parseJsonBytes(c.json, ".key")[KEY_OUTPUT_KIND + 31]);
        for (uint256 i = 0; i < requests.length; ++i) {
            requests[i].requester = address(this);
            requests[i].base = s.base;
            requests[i].adapter = s.requests[i].adapter;
            requests[i].inputDigest = s.requests[i].inputDigest;
            requests[i].kind = kind;
            requests[i].maxFee = s.requests[i].fee;
            requests[i].routes = 1;
            requests[i].minFee = requests[i].maxFee;
            requests[i].deadline = uint64(block.timestamp + 1 days);
            requests[i].salt = s.requests[i].id;
            cheats.deal(address(this), s.requests[i].fee);
            escrow.lock{value: s.requests[i].fee}(requests[i], uint96(s.requests[i].fee), address(0), "");
        }
        vm.resumeGasMetering();
    }

    function _settles(string memory name) private {
        (Case memory c, InferenceRequest[] memory requests) = _world(name);
        bytes memory data = abi.encodeCall(InferenceEscrow.settle, (route, c.settlement, Testing.terms(requests), 0));
        (bool ok,, uint256 used) = Testing.measured(address(escrow), data);
        vm.snapshotValue("escrow", string.concat(name, ", execution"), used);
        assertTrue(ok, name);
        uint256 paid = escrow.balances(address(0), c.settlement.payee);
        uint256 fees;
        for (uint256 i = 0; i < requests.length; ++i) {
            (Status status,, uint256 label, uint256 outputDigest) = escrow.resultOf(c.settlement.requests[i].id);
            assertEq(uint256(status), uint256(Status.Settled), "status");
            assertEq(label, c.settlement.requests[i].label, "label");
            assertEq(outputDigest, c.settlement.requests[i].outputDigest, "output digest");
            fees += c.settlement.requests[i].fee;
        }
        assertTrue(paid >= fees * 6 / 10 && paid <= fees, "prover");
        assertEq(address(escrow).balance, fees, "held until withdrawn");
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(route, c.settlement, Testing.terms(requests), 0);
    }

    function test_classify() public {
        _settles("settlement-classify-3");
    }

    function test_one() public {
        _settles("settlement-classify-1");
    }

    /// A full batch of one adapter: what a request costs when sixteen share one proof.
    function test_sixteen() public {
        _settles("settlement-classify-16");
    }

    function test_embed() public {
        _settles("settlement-embed-2");
    }

    /// What the proof says cannot be changed on the way to the escrow.
    function test_changed() public {
        (Case memory c, InferenceRequest[] memory requests) = _world("settlement-classify-1");
        c.settlement.payee = address(0xbad);
        vm.expectRevert(abi.encodeWithSelector(GroupClaim.ProofInvalid.selector));
        escrow.settle(route, c.settlement, Testing.terms(requests), 0);
        c.settlement = _settlement(c.json);
        c.settlement.requests[0].label += 1;
        vm.expectRevert(abi.encodeWithSelector(GroupClaim.ProofInvalid.selector));
        escrow.settle(route, c.settlement, Testing.terms(requests), 0);
        c.settlement = _settlement(c.json);
        c.settlement.requests[0].outputDigest += 1;
        vm.expectRevert(abi.encodeWithSelector(GroupClaim.ProofInvalid.selector));
        escrow.settle(route, c.settlement, Testing.terms(requests), 0);
    }
}
