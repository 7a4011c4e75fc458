// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "./Bn254.sol";

// A record is the preimage of an id: id = Keccak-256(record) mod r, as `verifier/src/protocol/record.rs` and `key.rs` write it.
//
//   architecture: tag ‖ family ‖ bytes of the encoding (4) ‖ encoding ‖ τ (4) ‖ SRS digest ‖ [τ]₂ (128) ‖ count (4) ‖ points
//   base:         tag ‖ family ‖ points (4) ‖ architecture id ‖ scales word ‖ points
//   adapter:      tag ‖ family ‖ points (4) ‖ base id ‖ datanet version id, or zero ‖ points
//   datanet:      tag ‖ records (4) ‖ records root ‖ contributors digest ‖ rules ‖ licence ‖ standard
//   index:        tag ‖ family ‖ points (4) ‖ adapter id ‖ datanet version id ‖ n (4) ‖ records (4) ‖ points
//
// A datanet's contributors digest is Keccak-256(tag ‖ contributors (4) ‖ contributors root), the root that of OpenZeppelin's
// `StandardMerkleTree` over (slot, contributor word).
//
// A tag has 32 bytes, ASCII, padded with zeros. No two kinds share one, so no record is of two kinds, whatever follows. Within a
// kind every length stands before what it counts, so one sequence of bytes is read in one way.
bytes32 constant TAG_ARCHITECTURE = "lorica architecture 2";
bytes32 constant TAG_BASE = "lorica base 2";
bytes32 constant TAG_ADAPTER = "lorica adapter 2";
bytes32 constant TAG_DATANET = "lorica datanet 1";
bytes32 constant TAG_INDEX = "lorica index 1";
bytes32 constant TAG_CONTRIBUTORS = "lorica contributors 2";
// Contributor words are digests of these and of what the contributor is.
bytes32 constant TAG_CONTRIBUTOR_ADDRESS = "lorica contributor address 1";
bytes32 constant TAG_CONTRIBUTOR_HASH = "lorica contributor hash 1";

// The family byte: 1 for encoders; 2 is reserved for decoders.
uint8 constant FAMILY_ENCODER = 1;

// Places in a record.
uint256 constant RECORD_FAMILY = 32;
// Of the encoding in an architecture, else the number of points.
uint256 constant RECORD_LENGTH = 33;
// An architecture's encoding, a base's architecture, an adapter's base, an index' adapter.
uint256 constant RECORD_PARENT = 37;
// A base's scales word, the datanet version of an adapter or an index.
uint256 constant RECORD_SECOND = 69;
// Of a base or an adapter.
uint256 constant RECORD_POINTS = 101;
// In an index: log2 of the records that it has room for, four bytes; its points.
uint256 constant INDEX_LOG_RECORDS = 101;
uint256 constant INDEX_POINTS = 109;
// In an architecture, from the end of its encoding on.
uint256 constant ARCHITECTURE_TAU_G2 = 36;
uint256 constant ARCHITECTURE_POINTS = 168;

/// The records' bytes.
library Records {
    function architecture(
        uint8 family_,
        bytes calldata encoding,
        uint32 logTile,
        uint256 srs,
        uint256[4] calldata tauG2,
        Point[] calldata tables
    ) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            TAG_ARCHITECTURE, family_, uint32(encoding.length), encoding, logTile, srs, tauG2, uint32(tables.length)
        );
        return _withPoints(head, tables);
    }

    function base(uint8 family_, uint256 architecture_, uint256 scalesWord, Point[] calldata tiles)
        internal
        pure
        returns (bytes memory)
    {
        return _withPoints(abi.encodePacked(TAG_BASE, family_, uint32(tiles.length), architecture_, scalesWord), tiles);
    }

    function adapter(uint8 family_, uint256 base_, uint256 version, Point[] calldata tiles)
        internal
        pure
        returns (bytes memory)
    {
        return _withPoints(abi.encodePacked(TAG_ADAPTER, family_, uint32(tiles.length), base_, version), tiles);
    }

    function datanet(
        uint32 records,
        bytes32 recordsRoot,
        bytes32 contributors,
        bytes32 rules,
        bytes32 licence,
        bytes32 standard
    ) internal pure returns (bytes memory) {
        return abi.encodePacked(TAG_DATANET, records, recordsRoot, contributors, rules, licence, standard);
    }

    /// Digest of a datanet's contributors.
    function contributorsDigest(uint32 count, bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(TAG_CONTRIBUTORS, count, root));
    }

    function index(
        uint8 family_,
        uint256 adapter_,
        uint256 version,
        uint32 logRecords,
        uint32 records,
        Point[] calldata tiles
    ) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            TAG_INDEX, family_, uint32(tiles.length), adapter_, version, logRecords, records
        );
        return _withPoints(head, tiles);
    }

    /// The two words that follow the number of points in a stored record: parent and second.
    function parents(address record) internal view returns (uint256 parent, uint256 second) {
        assembly ("memory-safe") {
            extcodecopy(record, 0, add(RECORD_PARENT, 1), 0x40)
            parent := mload(0)
            second := mload(0x20)
        }
    }

    /// The family byte of a stored record.
    function family(address record) internal view returns (uint8 family_) {
        assembly ("memory-safe") {
            mstore(0, 0)
            // After the STOP and the tag, into the lowest byte.
            extcodecopy(record, 31, add(RECORD_FAMILY, 1), 1)
            family_ := mload(0)
        }
    }

    function _withPoints(bytes memory head, Point[] calldata points) private pure returns (bytes memory content) {
        uint256 size = head.length;
        content = new bytes(size + points.length * 64);
        assembly ("memory-safe") {
            let start := add(content, 0x20)
            mcopy(start, add(head, 0x20), size)
            calldatacopy(add(start, size), points.offset, shl(6, points.length))
        }
    }
}
