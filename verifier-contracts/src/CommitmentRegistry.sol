// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, GAS_PAIRING_1, Point, R} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";

/// Commitments to architectures' tables, base models and adapters.
///
/// A record is a data contract whose content is the preimage of the id: id = Keccak-256(content) mod r, as
/// `verifier/src/key.rs` computes it. The three kinds differ in length modulo 64, so no record is of two kinds.
///
///   architecture: "lorica architecture 1" ‖ encoding (37) ‖ τ (4) ‖ SRS digest (32) ‖ [τ]₂ (128) ‖ count (4) ‖ points
///   base:         architecture id (32) ‖ points ‖ scales word (32)
///   adapter:      base id (32) ‖ points
contract CommitmentRegistry {
    /// Bytes of an encoded architecture.
    uint256 public constant ENCODING_BYTES = 37;
    /// Most points of a record.
    uint256 public constant MAX_POINTS = 380;

    event ArchitectureRegistered(uint256 indexed id, address record);
    event BaseRegistered(uint256 indexed id, uint256 indexed architecture, address record);
    event AdapterRegistered(uint256 indexed id, uint256 indexed base, address record);

    error EncodingLength(uint256 expected, uint256 got);
    /// τ must be even, 14 to 22.
    error TileSize(uint256 logTile);
    /// A word is not below r.
    error NotCanonical();
    /// [τ]₂ is infinity, not on the curve or not in the group.
    error TauInvalid();
    error PointCount(uint256 got);
    /// A point is not on the curve, has a coordinate not below p, or is infinity where no tile can be zero.
    error PointInvalid();
    error AlreadyRegistered(uint256 id);
    error UnknownArchitecture(uint256 id);
    error UnknownBase(uint256 id);

    /// Records by id; zero if there is none.
    mapping(uint256 id => address record) public architectures;
    mapping(uint256 id => address record) public bases;
    mapping(uint256 id => address record) public adapters;

    /// @param encoding dimensions, activation and bit widths as `key.rs` writes them.
    /// @param logTile τ.
    /// @param srs digest of the SRS.
    /// @param tauG2 [τ]₂: x.c0, x.c1, y.c0, y.c1.
    /// @param tables commitments to the occupied table tiles.
    function registerArchitecture(
        bytes calldata encoding,
        uint32 logTile,
        uint256 srs,
        uint256[4] calldata tauG2,
        Point[] calldata tables
    ) external returns (uint256 id) {
        if (encoding.length != ENCODING_BYTES) {
            revert EncodingLength(ENCODING_BYTES, encoding.length);
        }
        if (logTile < 14 || logTile > 22 || logTile % 2 != 0) revert TileSize(logTile);
        if (srs >= R) revert NotCanonical();
        if (!_isInG2(tauG2)) revert TauInvalid();
        bytes memory points = _points(tables);
        _requireOnCurveOrZero(points);
        bytes memory content =
            abi.encodePacked("lorica architecture 1", encoding, logTile, srs, tauG2, uint32(tables.length), points);
        address record;
        (id, record) = _store(architectures, content);
        emit ArchitectureRegistered(id, record);
    }

    /// @param tiles commitments to the occupied base tiles, by index.
    /// @param scalesWord Poseidon word of the base's scales.
    function registerBase(uint256 architecture, Point[] calldata tiles, uint256 scalesWord)
        external
        returns (uint256 id)
    {
        if (architectures[architecture] == address(0)) revert UnknownArchitecture(architecture);
        if (scalesWord >= R) revert NotCanonical();
        address record;
        bytes memory points = _points(tiles);
        _requireOnCurve(points);
        (id, record) = _store(bases, abi.encodePacked(architecture, points, scalesWord));
        emit BaseRegistered(id, architecture, record);
    }

    /// @param tiles commitments to the adapter's tiles.
    function registerAdapter(uint256 base, Point[] calldata tiles) external returns (uint256 id) {
        if (bases[base] == address(0)) revert UnknownBase(base);
        address record;
        bytes memory points = _points(tiles);
        _requireOnCurve(points);
        (id, record) = _store(adapters, abi.encodePacked(base, points));
        emit AdapterRegistered(id, base, record);
    }

    /// Records of a batch, zero where there is none: all that a verifier needs in one call.
    function records(uint256 architecture, uint256 base, uint256[] calldata adapterIds)
        external
        view
        returns (address architectureRecord, address baseRecord, address[] memory adapterRecords)
    {
        architectureRecord = architectures[architecture];
        baseRecord = bases[base];
        adapterRecords = new address[](adapterIds.length);
        for (uint256 i = 0; i < adapterIds.length; ++i) {
            if (adapterIds[i] != 0) adapterRecords[i] = adapters[adapterIds[i]];
        }
    }

    function _store(mapping(uint256 => address) storage kind, bytes memory content)
        private
        returns (uint256 id, address record)
    {
        id = uint256(keccak256(content)) % R;
        if (kind[id] != address(0)) revert AlreadyRegistered(id);
        record = DataContract.store(content);
        kind[id] = record;
    }

    /// The points as bytes.
    function _points(Point[] calldata points) private pure returns (bytes memory content) {
        uint256 count = points.length;
        if (count == 0 || count > MAX_POINTS) revert PointCount(count);
        content = new bytes(count * 64);
        uint256 start;
        assembly ("memory-safe") {
            start := add(content, 0x20)
            calldatacopy(start, points.offset, shl(6, count))
        }
    }

    function _requireOnCurve(bytes memory points) private pure {
        uint256 start;
        assembly ("memory-safe") {
            start := add(points, 0x20)
        }
        if (!Bn254.areOnCurve(start, points.length / 64)) revert PointInvalid();
    }

    /// Infinity passes: the architecture's formulas make a table tile zero, exp's tail in small tiles for one.
    function _requireOnCurveOrZero(bytes memory points) private pure {
        uint256 point;
        assembly ("memory-safe") {
            point := add(points, 0x20)
        }
        for (uint256 end = point + points.length; point < end; point += 64) {
            if (!Bn254.isInfinity(point) && !Bn254.areOnCurve(point, 1)) revert PointInvalid();
        }
    }

    /// The pairing precompile refuses what is not in G2.
    function _isInG2(uint256[4] calldata point) private view returns (bool ok) {
        uint256[6] memory input = [uint256(1), 2, point[1], point[0], point[3], point[2]];
        assembly ("memory-safe") {
            ok := staticcall(GAS_PAIRING_1, 8, input, 0xc0, 0, 0x20)
            // The pairing of the generator with infinity is one.
            ok := and(ok, iszero(mload(0)))
        }
    }
}
