// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {vm} from "./Vm.sol";

/// More of forge's cheat codes.
interface Cheats {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address account);
    function warp(uint256 timestamp) external;
    function roll(uint256 blockNumber) external;
    function deal(address account, uint256 balance) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory logs);
    function store(address target, bytes32 slot, bytes32 value) external;
    function mockCall(address callee, bytes calldata data, bytes calldata returned) external;
    function getCode(string calldata artifact) external view returns (bytes memory code);
    function deployCode(string calldata artifact) external returns (address deployed);
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address deployed);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool success);
    function chainId(uint256 id) external;
    /// EIP-7702: the next transaction sets the account's code to a delegation.
    function signAndAttachDelegation(address implementation, uint256 key) external;
    function lastCallGas() external view returns (Gas memory gas_);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory value);
    function writeLine(string calldata path, string calldata line) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
}

Cheats constant cheats = Cheats(address(vm));

/// For long runs of invariants: a line of numbers, into the file that LORICA_COUNTERS names, in `cache`.
function writeCounters(string memory name, uint256[] memory counters) {
    string memory file = cheats.envOr("LORICA_COUNTERS", "");
    if (bytes(file).length == 0) return;
    string memory line = name;
    for (uint256 i = 0; i < counters.length; ++i) {
        line = string.concat(line, " ", vm.toString(counters[i]));
    }
    cheats.writeLine(string.concat("cache/", file), line);
}
