// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Constant bytes as the code of a contract: `0x00 ‖ content`. The leading STOP makes it do nothing when called.
library DataContract {
    /// Most bytes of content (EIP-170 less the STOP).
    uint256 internal constant MAX_BYTES = 24_575;

    error ContentTooLong(uint256 length);
    error NotStored();

    /// Deploys the content.
    function store(bytes memory content) internal returns (address pointer) {
        uint256 length = content.length;
        if (length > MAX_BYTES) revert ContentTooLong(length);
        // PUSH2 length + 1, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN, and the STOP.
        bytes memory code = abi.encodePacked(hex"61", uint16(length + 1), hex"80600a3d393df300", content);
        assembly ("memory-safe") {
            pointer := create(0, add(code, 0x20), mload(code))
        }
        if (pointer == address(0)) revert NotStored();
    }

    /// Bytes of content; zero for what is not a data contract.
    function size(address pointer) internal view returns (uint256 length) {
        assembly ("memory-safe") {
            length := extcodesize(pointer)
            length := sub(length, iszero(iszero(length)))
        }
    }

    /// Copies `length` bytes of content to memory.
    function read(address pointer, uint256 target, uint256 length) internal view {
        assembly ("memory-safe") {
            extcodecopy(pointer, target, 1, length)
        }
    }
}
