// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AttributionPot} from "../../src/AttributionPot.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {World} from "./World.sol";

/// A published adapter whose contributors are those of `datanet.json`: accounts but for slot 10, a name, and 13, a digest.
abstract contract AttributionWorld is World {
    /// Of FEE.
    uint256 internal constant PART = FEE / 10;
    uint256 internal constant CONTRIBUTORS = 160;

    AttributionPot internal pot;
    uint256 internal attributed;
    uint256 internal index;
    uint24 internal attributedLine;
    bytes32 internal contributors;
    bytes32 internal root;
    /// Of the contributor that is a digest.
    bytes32 internal salt;
    /// From the leaves of slots that the tests use to the root.
    mapping(uint256 slot => bytes32[]) internal paths;
    /// Entries of each index, in order, and the head before each.
    mapping(uint256 index => AttributionPot.Entry[]) internal chain;
    mapping(uint256 index => bytes32[]) internal heads;

    function _attributionWorld() internal {
        _world();
        pot = escrow.attributionPot();
        // The file is long: what is read of it is read here, and costs nothing.
        vm.pauseGasMetering();
        string memory datanet = _read("datanet");
        contributors = vm.parseJsonBytes32(datanet, ".contributorsDigest");
        root = vm.parseJsonBytes32(datanet, ".contributorsRoot");
        salt = bytes32(vm.parseJsonUintArray(datanet, ".opening")[1]);
        uint256[6] memory slots = [uint256(7), 8, 9, 10, 13, 159];
        for (uint256 i = 0; i < slots.length; ++i) {
            string memory key = string.concat(".paths[", vm.toString(slots[i]), "]");
            uint256[] memory words = vm.parseJsonUintArray(datanet, key);
            for (uint256 k = 0; k < words.length; ++k) {
                paths[slots[i]].push(bytes32(words[k]));
            }
        }
        (attributed, index) = _publishAttributed(2, _split(6_000, 2_000, 1_000, 1_000));
        attributedLine = models.lineOf(attributed);
        vm.resumeGasMetering();
    }

    function _ask(uint256 salt_) internal view returns (InferenceRequest memory request) {
        request = _request(salt_);
        request.adapter = attributed;
    }

    /// Shares of ascending slots; the list is filled with slots that follow the last one.
    function _list(uint256[] memory slots, uint256[] memory shares) internal pure returns (uint256[4] memory words) {
        uint256 next;
        for (uint256 i = 0; i < 32; ++i) {
            uint256 slot = i < slots.length ? slots[i] : next;
            uint256 share = i < slots.length ? shares[i] : 0;
            words[i / 8] |= (slot | share << 12) << (28 * (i % 8));
            next = slot + 1;
        }
    }

    function _pair(uint256 a, uint256 shareA, uint256 b, uint256 shareB) internal pure returns (uint256[4] memory) {
        uint256[] memory slots = new uint256[](2);
        uint256[] memory shares = new uint256[](2);
        (slots[0], slots[1], shares[0], shares[1]) = (a, b, shareA, shareB);
        return _list(slots, shares);
    }

    function _copy(uint256[4] memory from, uint256[] memory to, uint256 request) internal pure {
        for (uint256 k = 0; k < 4; ++k) {
            to[4 * request + k] = from[k];
        }
    }

    /// Locks and settles one request with these shares.
    function _pay(InferenceRequest memory request, uint256[4] memory words) internal {
        uint256 id = _lock(request);
        InferenceRequest[] memory requests = _one(request);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.index = models.indexOf(request.adapter);
        settlement.shares = new uint256[](4);
        _copy(words, settlement.shares, 0);
        _proven(classify, settlement);
        uint256 amount = settlement.requests[0].fee / 10;
        escrow.settle(classify, settlement, _terms(requests), 1);
        if (amount != 0) _note(settlement.index, AttributionPot.Entry(id, request.token, amount, words));
    }

    /// What the escrow's chain must have.
    function _note(uint256 index_, AttributionPot.Entry memory entry) internal {
        bytes32[] storage own = heads[index_];
        if (own.length == 0) own.push(0);
        bytes32 head = own[own.length - 1];
        chain[index_].push(entry);
        own.push(
            keccak256(
                abi.encode(
                    head,
                    entry.requestId,
                    entry.token,
                    entry.amount,
                    entry.shares[0],
                    entry.shares[1],
                    entry.shares[2],
                    entry.shares[3]
                )
            )
        );
    }

    function _entries(uint256 index_, uint256 from, uint256 to)
        internal
        view
        returns (AttributionPot.Entry[] memory entries)
    {
        entries = new AttributionPot.Entry[](to - from);
        for (uint256 i = from; i < to; ++i) {
            entries[i - from] = chain[index_][i];
        }
    }

    function _distribute(uint256 index_, uint256 from, uint256 to) internal {
        AttributionPot.Entry[] memory entries = _entries(index_, from, to);
        vm.prank(STRANGER);
        pot.distribute(index_, heads[index_][from], entries);
    }

    function _account(uint256 slot) internal pure returns (address) {
        return address(uint160(bytes20(bytes.concat(bytes16(0xacacacacacacacacacacacacacacacac), bytes4(uint32(slot))))));
    }

    function _claim(uint256 slot, address token) internal returns (uint256) {
        bytes32[] memory path = paths[slot];
        vm.prank(_account(slot));
        return pot.claim(uint32(CONTRIBUTORS), root, slot, path, token, _account(slot));
    }

    function _owed(uint256 slot, address token) internal view returns (uint256) {
        return pot.owed(contributors, slot, token);
    }

    /// What all slots are owed.
    function _allOwed(address token) internal view returns (uint256 sum) {
        for (uint256 slot = 0; slot < CONTRIBUTORS; ++slot) {
            sum += _owed(slot, token);
        }
    }

    /// What the pot has, here and in the escrow.
    function _potHas(address token) internal view returns (uint256) {
        uint256 own = token == address(0) ? address(pot).balance : _balanceOf(token, address(pot));
        return own + escrow.balances(token, address(pot));
    }
}
