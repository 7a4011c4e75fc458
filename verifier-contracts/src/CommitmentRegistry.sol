// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, GAS_PAIRING_1, Point, R} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";
import {FAMILY_ENCODER, Records} from "./Records.sol";
import {isIndexSize} from "./SettlementKey.sol";

/// Commitments to architectures' tables, base models, adapters, versions of datanets and indexes.
///
/// A record is stored as the bytes of {Records}, whose Keccak-256 modulo r is its id: in one data contract, or in a chain of
/// them if it is longer. An id is computed from what is stored, never taken from who registers. Names of kinds are tags of the
/// records, so no record is of two kinds.
contract CommitmentRegistry {
    /// Most bytes of an encoded architecture.
    uint256 public constant MAX_ENCODING_BYTES = 1_024;
    /// Most points of a record: with their calldata they fit into a transaction (EIP-7825), by {ModelRegistry} too.
    uint256 public constant MAX_POINTS = 1_024;

    /// Most records and contributors of a datanet.
    uint256 public constant MAX_RECORDS = 65_536;
    uint256 public constant MAX_CONTRIBUTORS = 1_024;

    struct Datanet {
        address record;
        uint32 records;
        uint32 contributors;
        /// What {Records-contributorsDigest} makes of their number and root.
        bytes32 contributorsDigest;
    }

    event ArchitectureRegistered(uint256 indexed id, address record);
    event BaseRegistered(uint256 indexed id, uint256 indexed architecture, address record);
    event AdapterRegistered(uint256 indexed id, uint256 indexed base, address record);
    event DatanetRegistered(uint256 indexed id, uint32 records, uint32 contributors, bytes32 contributorsRoot);
    event IndexRegistered(uint256 indexed id, uint256 indexed adapter, uint256 indexed version, address record);

    /// No byte, or too many.
    error EncodingLength(uint256 limit, uint256 got);
    /// A family that has no circuits.
    error UnknownFamily(uint8 family);
    /// τ must be even, 14 to 22.
    error TileSize(uint256 logTile);
    /// A word is not below r.
    error NotCanonical();
    /// [τ]₂ is infinity, not on the curve or not in the group.
    error TauInvalid();
    /// No point, or too many.
    error PointCount(uint256 limit, uint256 got);
    /// A point is not on the curve, has a coordinate not below p, or is infinity where no tile can be zero.
    error PointInvalid();
    error AlreadyRegistered(uint256 id);
    error UnknownArchitecture(uint256 id);
    error UnknownBase(uint256 id);
    error UnknownAdapter(uint256 id);
    error UnknownDatanet(uint256 id);
    /// No record or contributor, or too many.
    error DatanetCount(uint256 limit, uint256 got);
    /// The adapter names no version of a datanet.
    error AdapterWithoutDatanet(uint256 id);
    /// An index has room for 2^11, 2^14 or 2^16 records, and for all of its datanet's.
    error IndexSize(uint256 logRecords, uint256 records);

    /// Records by id; zero if there is none.
    mapping(uint256 id => address record) public architectures;
    mapping(uint256 id => address record) public bases;
    mapping(uint256 id => address record) public adapters;
    mapping(uint256 id => Datanet) public datanets;
    mapping(uint256 id => address record) public indexes;

    /// @param family 1 for encoders.
    /// @param encoding dimensions, activation and bit widths as `key.rs` writes them. Its meaning is the family's; here it is
    /// bytes.
    /// @param logTile τ.
    /// @param srs digest of the SRS.
    /// @param tauG2 [τ]₂: x.c0, x.c1, y.c0, y.c1.
    /// @param tables commitments to the occupied table tiles.
    function registerArchitecture(
        uint8 family,
        bytes calldata encoding,
        uint32 logTile,
        uint256 srs,
        uint256[4] calldata tauG2,
        Point[] calldata tables
    ) external returns (uint256 id) {
        if (family != FAMILY_ENCODER) revert UnknownFamily(family);
        if (encoding.length == 0 || encoding.length > MAX_ENCODING_BYTES) {
            revert EncodingLength(MAX_ENCODING_BYTES, encoding.length);
        }
        if (logTile < 14 || logTile > 22 || logTile % 2 != 0) revert TileSize(logTile);
        if (srs >= R) revert NotCanonical();
        if (!_isInG2(tauG2)) revert TauInvalid();
        _requireCount(tables.length);
        bytes memory content = Records.architecture(family, encoding, logTile, srs, tauG2, tables);
        _requireOnCurveOrZero(content, tables.length);
        address record;
        (id, record) = _store(architectures, content);
        emit ArchitectureRegistered(id, record);
    }

    /// The base is of its architecture's family.
    /// @param tiles commitments to the occupied base tiles, by index.
    /// @param scalesWord Poseidon word of the base's scales.
    function registerBase(uint256 architecture, Point[] calldata tiles, uint256 scalesWord)
        external
        returns (uint256 id)
    {
        address parent = architectures[architecture];
        if (parent == address(0)) revert UnknownArchitecture(architecture);
        if (scalesWord >= R) revert NotCanonical();
        _requireCount(tiles.length);
        bytes memory content = Records.base(Records.family(parent), architecture, scalesWord, tiles);
        _requireOnCurve(content, tiles.length);
        address record;
        (id, record) = _store(bases, content);
        emit BaseRegistered(id, architecture, record);
    }

    /// The adapter is of its base's family.
    /// @param version id of the datanet version that the adapter was trained on, zero for none. No datanet is known here: who
    /// pays by a version looks whether it exists.
    /// @param tiles commitments to the adapter's tiles.
    function registerAdapter(uint256 base, uint256 version, Point[] calldata tiles) external returns (uint256 id) {
        address parent = bases[base];
        if (parent == address(0)) revert UnknownBase(base);
        if (version >= R) revert NotCanonical();
        _requireCount(tiles.length);
        bytes memory content = Records.adapter(Records.family(parent), base, version, tiles);
        _requireOnCurve(content, tiles.length);
        address record;
        (id, record) = _store(adapters, content);
        emit AdapterRegistered(id, base, record);
    }

    /// A version of a datanet: number and root of its records, number and root of its contributors, digests of its rules,
    /// licence and standard.
    function registerDatanet(
        uint32 records_,
        bytes32 recordsRoot,
        uint32 contributors,
        bytes32 contributorsRoot,
        bytes32 rules,
        bytes32 licence,
        bytes32 standard
    ) external returns (uint256 id) {
        if (records_ == 0 || records_ > MAX_RECORDS) revert DatanetCount(MAX_RECORDS, records_);
        if (contributors == 0 || contributors > MAX_CONTRIBUTORS) {
            revert DatanetCount(MAX_CONTRIBUTORS, contributors);
        }
        bytes32 digest = Records.contributorsDigest(contributors, contributorsRoot);
        bytes memory content = Records.datanet(records_, recordsRoot, digest, rules, licence, standard);
        id = uint256(keccak256(content)) % R;
        if (datanets[id].record != address(0)) revert AlreadyRegistered(id);
        datanets[id] = Datanet({
            record: DataContract.store(content),
            records: records_,
            contributors: contributors,
            contributorsDigest: digest
        });
        emit DatanetRegistered(id, records_, contributors, contributorsRoot);
    }

    /// The index of an adapter, over all records of the datanet version that the adapter names. That its cells are in range, and
    /// are those records' features, is said by nothing here.
    /// @param logRecords log2 of the records that it has room for.
    /// @param tiles commitments to the index' tiles.
    function registerIndex(uint256 adapter, uint32 logRecords, Point[] calldata tiles) external returns (uint256 id) {
        address parent = adapters[adapter];
        if (parent == address(0)) revert UnknownAdapter(adapter);
        (, uint256 version) = Records.parents(parent);
        if (version == 0) revert AdapterWithoutDatanet(adapter);
        uint32 records_ = datanets[version].records;
        if (records_ == 0) revert UnknownDatanet(version);
        if (!isIndexSize(logRecords) || records_ > 1 << logRecords) revert IndexSize(logRecords, records_);
        _requireCount(tiles.length);
        bytes memory content = Records.index(Records.family(parent), adapter, version, logRecords, records_, tiles);
        _requireOnCurve(content, tiles.length);
        address record;
        (id, record) = _store(indexes, content);
        emit IndexRegistered(id, adapter, version, record);
    }

    /// The adapter and the datanet version of an index; zeros for what is not registered.
    function indexParents(uint256 index) external view returns (uint256 adapter, uint256 version) {
        return Records.parents(indexes[index]);
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
        uint256 start;
        assembly ("memory-safe") {
            start := add(content, 0x20)
        }
        record = DataContract.storeLong(start, content.length);
        kind[id] = record;
    }

    function _requireCount(uint256 points) private pure {
        if (points == 0 || points > MAX_POINTS) revert PointCount(MAX_POINTS, points);
    }

    /// Where the points are with which a record ends.
    function _points(bytes memory content, uint256 count) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := sub(add(add(content, 0x20), mload(content)), shl(6, count))
        }
    }

    function _requireOnCurve(bytes memory content, uint256 count) private pure {
        if (!Bn254.areOnCurve(_points(content, count), count)) revert PointInvalid();
    }

    /// Infinity passes: the architecture's formulas make a table tile zero, exp's tail in small tiles for one.
    function _requireOnCurveOrZero(bytes memory content, uint256 count) private pure {
        uint256 point = _points(content, count);
        for (uint256 end = point + 64 * count; point < end; point += 64) {
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
