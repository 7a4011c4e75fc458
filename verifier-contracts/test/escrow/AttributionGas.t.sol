// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AttributionPot} from "../../src/AttributionPot.sol";
import {Point} from "../../src/Bn254.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {AttributionWorld} from "./AttributionWorld.sol";
import {BusyVerifier} from "./EscrowGas.t.sol";
import {MockVerifier} from "./Mocks.sol";

/// Gas of whole transactions, refunds included: each call is one (forge's isolation).
/// forge-config: default.isolate = true
contract AttributionGasTest is AttributionWorld {
    uint256 private constant ENTRIES = 256;
    bytes32 private _busy;
    bytes private _distributions;
    bytes private _further;
    bytes32 private _head;

    function setUp() public {
        _attributionWorld();
        vm.pauseGasMetering();
        mock = MockVerifier(address(new BusyVerifier()));
        _busy = _addRoute(OUTPUT_CLASSIFY, 9);
        escrow.enableRoute(_busy);
        for (uint256 i = 0; i < 32; ++i) {
            _lock(_numbered(i));
        }
        for (uint256 i = 0; i < 2; ++i) {
            _write(i);
        }
        vm.resumeGasMetering();
    }

    function _numbered(uint256 i) private view returns (InferenceRequest memory request) {
        request = _ask(uint256(keccak256(abi.encode(i))));
        request.routes = 7;
    }

    /// Different lists of 32 slots, all over the contributors.
    function _words(uint256 seed) private pure returns (uint256[4] memory) {
        uint256[] memory slots = new uint256[](32);
        uint256[] memory shares = new uint256[](32);
        for (uint256 i = 0; i < 32; ++i) {
            slots[i] = 5 * i + uint256(keccak256(abi.encode(seed, i))) % 5;
            shares[i] = 1_000 + seed + i;
        }
        return _list(slots, shares);
    }

    /// A part of the index' chain.
    function _write(uint256 part) private {
        AttributionPot.Entry[] memory entries = new AttributionPot.Entry[](ENTRIES);
        bytes32 before = part == 0 ? bytes32(0) : _head;
        bytes32 head = before;
        for (uint256 i = 0; i < ENTRIES; ++i) {
            uint256 id = uint256(keccak256(abi.encode(part, i)));
            entries[i] = AttributionPot.Entry(id, address(open), PART, _words(ENTRIES * part + i));
            uint256[4] memory w = entries[i].shares;
            head = keccak256(abi.encode(head, id, address(open), PART, w[0], w[1], w[2], w[3]));
        }
        bytes memory data = abi.encodeCall(AttributionPot.distribute, (index, before, entries));
        if (part == 0) _distributions = data;
        else _further = data;
        _head = head;
    }

    function _transaction(address to, bytes memory data) private returns (uint256 used) {
        vm.prank(STRANGER);
        (bool ok,) = to.call(data);
        used = cheats.lastCallGas().gasTotalUsed;
        assertTrue(ok, "transaction");
    }

    function _settle16(uint256 from, string memory name) private returns (uint256 each) {
        InferenceRequest[] memory requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _numbered(from + i);
        }
        Settlement memory settlement = _settlement(requests, prover);
        settlement.witness = new Point[](9);
        settlement.rhoHigh = new uint256[](5);
        settlement.proof = new bytes(1_984);
        uint256 plain = _transaction(address(router), abi.encodeCall(router.check, (_busy, settlement)));
        settlement.index = index;
        settlement.shares = new uint256[](64);
        for (uint256 i = 0; i < 16; ++i) {
            _copy(_words(i), settlement.shares, i);
        }
        bytes memory data = abi.encodeCall(InferenceEscrow.settle, (_busy, settlement, _terms(requests), 16));
        // What paying and the words of shares add to a plain check.
        each = (_transaction(address(escrow), data) - plain) / 16;
        vm.snapshotValue("escrow", name, each);
    }

    function test_settle() public {
        _settle16(0, "settle 16 with one index, first payments, beside a plain check, per request");
        uint256 each = _settle16(16, "settle 16 with one index, further, beside a plain check, per request");
        // 63,300 for a check of 16 at tile size 2^22, and 125,000 for all of it.
        assertTrue(each + 63_300 <= 125_000, "limit");
    }

    /// Entries that the escrow is said to have: so many payments would take too long.
    function _isSaid(bytes32 head) private {
        cheats.mockCall(address(escrow), abi.encodeCall(escrow.attributionHeads, (index)), abi.encode(head));
    }

    function test_distributeFirst() public {
        _isSaid(_first());
        uint256 each = _transaction(address(pot), _distributions) / ENTRIES;
        vm.snapshotValue("escrow", "distribute 256 entries to 160 contributors, first, per entry", each);
    }

    function test_distributeFurther() public {
        _distributeFirst();
        _isSaid(_head);
        uint256 each = _transaction(address(pot), _further) / ENTRIES;
        vm.snapshotValue("escrow", "distribute 256 entries to 160 contributors, further, per entry", each);
        assertTrue(each <= 15_000, "limit");
    }

    function _distributeFirst() private {
        vm.pauseGasMetering();
        _isSaid(_first());
        _transaction(address(pot), _distributions);
        vm.resumeGasMetering();
    }

    /// The head that the second part goes on from: its second argument.
    function _first() private view returns (bytes32 head) {
        bytes memory further = _further;
        assembly {
            head := mload(add(further, 0x44))
        }
    }

    function test_claim() public {
        _distributeFirst();
        // The pot's money, which the chain has not brought.
        open.transfer(address(pot), 100 * PART);
        uint256 slot = _owed(7, address(open)) != 0 ? 7 : 8;
        bytes32[] memory path = paths[slot];
        bytes memory data = abi.encodeCall(
            AttributionPot.claim, (uint32(CONTRIBUTORS), root, slot, path, address(open), _account(slot))
        );
        vm.prank(_account(slot));
        (bool ok,) = address(pot).call(data);
        uint256 used = cheats.lastCallGas().gasTotalUsed;
        assertTrue(ok, "claim");
        vm.snapshotValue("escrow", "claim of a contributor", used);
    }
}
