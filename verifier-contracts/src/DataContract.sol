// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Constant bytes as the code of a contract: `0x00 ‖ content`. The leading STOP makes it do nothing when called.
///
/// What does not fit into one contract is a chain of them. Its head is full: the first bytes, the addresses of the parts that
/// go on, 20 bytes each in their order, and the number of these parts, one byte. So content that is shorter than
/// {MAX_BYTES} has one contract, and longer content has a full head.
library DataContract {
    /// Most bytes of content (EIP-170 less the STOP).
    uint256 internal constant MAX_BYTES = 24_575;
    uint256 private constant ADDRESS_BYTES = 20;
    /// Init code before the content: PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN, STOP.
    uint256 private constant PREFIX_BYTES = 11;
    uint256 private constant PREFIX = 0x61000080600a3d393df300;

    error ContentTooLong(uint256 length);
    error NotStored();

    /// Deploys the content in one contract.
    function store(bytes memory content) internal returns (address pointer) {
        uint256 start;
        assembly ("memory-safe") {
            start := add(content, 0x20)
        }
        return storeRange(start, content.length);
    }

    /// Deploys `length` bytes of memory in one contract. The 32 bytes before them must be allocated; they come out unchanged.
    function storeRange(uint256 start, uint256 length) internal returns (address pointer) {
        if (length > MAX_BYTES) revert ContentTooLong(length);
        assembly ("memory-safe") {
            // The init code stands before the content while it is deployed.
            let before := sub(start, 0x20)
            let saved := mload(before)
            mstore(before, or(PREFIX, shl(64, add(length, 1))))
            pointer := create(0, sub(start, PREFIX_BYTES), add(length, PREFIX_BYTES))
            mstore(before, saved)
        }
        if (pointer == address(0)) revert NotStored();
    }

    /// Deploys `length` bytes of memory in as many contracts as they need, and overwrites some of them if it is more than one.
    function storeLong(uint256 start, uint256 length) internal returns (address head) {
        if (length < MAX_BYTES) return storeRange(start, length);
        uint256 parts = (length - MAX_BYTES) / (MAX_BYTES - ADDRESS_BYTES) + 1;
        if (parts > type(uint8).max) revert ContentTooLong(length);
        uint256 own = MAX_BYTES - 1 - ADDRESS_BYTES * parts;
        uint256 end = start + length;
        uint256 from = start + own;
        address[] memory pointers = new address[](parts);
        for (uint256 i = 0; i < parts; ++i) {
            uint256 size = end - from < MAX_BYTES ? end - from : MAX_BYTES;
            pointers[i] = storeRange(from, size);
            from += size;
        }
        from = start + own;
        for (uint256 i = 0; i < parts; ++i) {
            address pointer = pointers[i];
            assembly ("memory-safe") {
                // The 20 bytes from here on: what stands before them stays.
                let word := sub(from, 12)
                mstore(word, or(shl(160, shr(160, mload(word))), shr(96, shl(96, pointer))))
            }
            from += ADDRESS_BYTES;
        }
        assembly ("memory-safe") {
            mstore8(from, parts)
        }
        return storeRange(start, MAX_BYTES);
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

    /// Copies all that {storeLong} stored to newly allocated memory.
    function readLong(address head) internal view returns (uint256 start, uint256 length) {
        length = size(head);
        assembly ("memory-safe") {
            start := mload(0x40)
            extcodecopy(head, start, 1, length)
            mstore(0x40, add(start, length))
        }
        if (length == MAX_BYTES) length = _readParts(start);
    }

    /// Puts the parts behind the head's own bytes.
    function _readParts(uint256 start) private view returns (uint256 length) {
        assembly ("memory-safe") {
            let parts := byte(0, mload(add(start, sub(MAX_BYTES, 1))))
            let own := sub(sub(MAX_BYTES, 1), mul(parts, ADDRESS_BYTES))
            // The addresses lie where the first part goes: they are moved behind the room of all parts.
            let addresses := add(start, add(own, mul(parts, MAX_BYTES)))
            mcopy(addresses, add(start, own), mul(parts, ADDRESS_BYTES))
            length := own
            for { let i := 0 } lt(i, parts) { i := add(i, 1) } {
                let pointer := shr(96, mload(add(addresses, mul(i, ADDRESS_BYTES))))
                let bytes_ := extcodesize(pointer)
                bytes_ := sub(bytes_, iszero(iszero(bytes_)))
                extcodecopy(pointer, add(start, length), 1, bytes_)
                length := add(length, bytes_)
            }
            mstore(0x40, add(start, length))
        }
    }
}
