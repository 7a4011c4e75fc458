// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Point} from "./Bn254.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {GroupClaim} from "./GroupClaim.sol";
import {Halo2Verifier} from "./Halo2Verifier.sol";
import {IIndexRanges} from "./IIndexRanges.sol";
import {INDEX_LOG_RECORDS, INDEX_POINTS, RECORD_PARENT, Records} from "./Records.sol";
import {Opening} from "./Settlement.sol";
import {
    KEY_ARCHITECTURE,
    KEY_ATTRIBUTION,
    KEY_FIXED,
    KEY_INDEX,
    KEY_INDEX_BYTES,
    KEY_INSTANCES,
    KEY_LOG_TILE,
    KEY_OCCUPIED,
    KEY_OUTPUT_KIND,
    KEY_REQUESTS,
    KEY_TILE_BITS,
    KEY_TOKENS,
    KEY_WITNESS,
    isIndexSize
} from "./SettlementKey.sol";

/// A proof that every cell of an index is in its range. It is bound to nobody.
struct IndexSettlement {
    /// Commitments to the witness tiles, then to the mask tile.
    Point[] witness;
    Opening opening;
    /// Where tiles are combined, lowest bit of the tile index first.
    uint256[] rhoHigh;
    uint256 alpha;
    uint256 zeta;
    uint256 beta;
    uint256 z;
    uint256 constantTerm;
    /// The halo2 proof that the field part of the verifier accepts.
    bytes proof;
}

/// Which indexes are in range: every cell is, no record weighs more than one, and rows beyond the records weigh nothing
/// (docs/protocol/index-proof.md). Anybody brings the proof, once per index; what is proven stays so.
///
/// The owner says which circuits prove it, as the router's owner does for inferences. A circuit is added once and never
/// changed; it counts after a delay, and is frozen for good.
contract IndexRanges is IIndexRanges, GroupClaim, Ownable2Step {
    struct Circuit {
        /// The key's content.
        address key;
        /// First second in which it proves anything.
        uint40 activeFrom;
        bool frozen;
    }

    event CircuitAdded(bytes32 indexed circuit, address key, uint40 activeFrom);
    event CircuitFrozen(bytes32 indexed circuit);
    event IndexRanged(uint256 indexed index, bytes32 indexed circuit);

    error CircuitExists(bytes32 circuit);
    error UnknownCircuit(bytes32 circuit);
    error Frozen(bytes32 circuit);
    error NotActive(bytes32 circuit, uint40 activeFrom);
    error UnknownIndex(uint256 index);
    error AlreadyRanged(uint256 index);
    /// The circuit is for indexes of another size.
    error IndexSize(uint256 expected, uint256 got);
    error NoRenouncing();

    /// From adding a circuit to its first proof: whoever trusts this contract can leave before.
    uint40 public constant CIRCUIT_DELAY = 7 days;
    /// A circuit that is added so soon after the deployment counts at once: nobody trusts it yet.
    uint40 public constant BOOTSTRAP = 1 hours;

    /// The number that keys of index proofs have in place of a kind of output.
    uint256 private constant INDEX_KIND = 3;
    /// Public words before those of the opening: shape, layout, context, index, count.
    uint256 private constant HEAD_WORDS = 5;
    /// Place of alpha in a settlement's head: an offset, sixteen words of the opening, an offset.
    uint256 private constant SETTLEMENT_ALPHA = 0x240;

    uint40 private immutable _bootstrapEnd;

    mapping(bytes32 circuit => Circuit) public circuits;
    /// @inheritdoc IIndexRanges
    mapping(uint256 index => bool) public override ranged;

    constructor(address owner_, CommitmentRegistry registry_, Halo2Verifier halo2Verifier_)
        GroupClaim(registry_, halo2Verifier_)
        Ownable(owner_)
    {
        _bootstrapEnd = uint40(block.timestamp) + BOOTSTRAP;
    }

    /// Without an owner no circuit could be frozen.
    function renounceOwnership() public pure override {
        revert NoRenouncing();
    }

    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content. It is of index proofs; its digest is halo2's business, at each proof.
    function addCircuit(bytes32 circuit, address key) external onlyOwner {
        if (circuits[circuit].key != address(0)) revert CircuitExists(circuit);
        Claim memory claim;
        _loadKey(claim, key);
        uint40 activeFrom = uint40(block.timestamp);
        if (activeFrom >= _bootstrapEnd) activeFrom += CIRCUIT_DELAY;
        circuits[circuit] = Circuit({key: key, activeFrom: activeFrom, frozen: false});
        emit CircuitAdded(circuit, key, activeFrom);
    }

    /// Ends a circuit for good. Indexes that it has proven stay ranged: what pays by them can be stopped where it is paid.
    function freezeCircuit(bytes32 circuit) external onlyOwner {
        Circuit storage own = circuits[circuit];
        if (own.key == address(0)) revert UnknownCircuit(circuit);
        if (own.frozen) revert Frozen(circuit);
        own.frozen = true;
        emit CircuitFrozen(circuit);
    }

    /// Notes that an index is in range, if the settlement proves it.
    ///
    /// # Soundness
    /// The index' id is the digest of its record, whose points are the tiles of the group claim, and is a public word, as is its
    /// number of records. Its adapter's base is of the circuit's architecture, which holds dimensions, τ and [τ]₂. The circuit has
    /// shape and layout as constants: under a key that says otherwise none of its proofs holds.
    function prove(bytes32 circuit, uint256 index, IndexSettlement calldata settlement) external {
        if (ranged[index]) revert AlreadyRanged(index);
        Circuit memory own = circuits[circuit];
        if (own.key == address(0)) revert UnknownCircuit(circuit);
        if (own.frozen) revert Frozen(circuit);
        if (block.timestamp < own.activeFrom) revert NotActive(circuit, own.activeFrom);
        _check(circuit, own.key, index, settlement);
        ranged[index] = true;
        emit IndexRanged(index, circuit);
    }

    function _check(bytes32 circuit, address key, uint256 index, IndexSettlement calldata settlement) private view {
        Claim memory claim;
        _loadKey(claim, key);
        uint256 bits = _key(claim, KEY_TILE_BITS);
        if (settlement.rhoHigh.length != bits) revert RhoLength(bits, settlement.rhoHigh.length);
        uint256 witness = KEY_WITNESS + KEY_INDEX_BYTES;
        _loadPoints(claim, _key(claim, witness + 32) + 1, settlement.witness, settlement.opening);
        (uint256 record, uint256 tiles) = _loadIndex(claim, index);

        uint256 scalars = _scalars(settlement);
        uint256[] memory words = new uint256[](HEAD_WORDS + CLOSING_WORDS + bits);
        words[0] = _key(claim, KEY_ATTRIBUTION) << 128 | INDEX_KIND << 96 | _key(claim, KEY_LOG_TILE);
        words[1] = _digest(claim.key + KEY_ARCHITECTURE, KEY_FIXED + KEY_INDEX_BYTES - KEY_ARCHITECTURE);
        // No context: that an index is in range is true for everybody.
        words[3] = index;
        words[4] = _load(record + INDEX_LOG_RECORDS + 4) >> 224;
        _closingWords(claim, words, HEAD_WORDS, settlement.rhoHigh, scalars);
        uint256[5] memory halo2 = halo2Verifier.accumulate{gas: GAS_HALO2}(circuit, key, words, settlement.proof);
        uint256 factor = _merge(claim, circuit, words, halo2);

        _tabulateEq(claim, settlement.rhoHigh, factor);
        _addTerms(claim, record + INDEX_POINTS, claim.eq + 32 * _key(claim, KEY_INDEX), tiles);
        _addWitness(claim, _key(claim, witness));
        _addOpening(claim, scalars, factor, halo2[4]);
        _pair(claim, halo2, factor);
    }

    /// Reads a key, which is one of index proofs: no requests, no tokens, no maps behind it.
    function _loadKey(Claim memory claim, address key) private view {
        _readKey(claim, key);
        if (claim.keyBytes != KEY_OCCUPIED + KEY_INDEX_BYTES) revert KeyFormat();
        uint256 none = _key(claim, KEY_REQUESTS) | _key(claim, KEY_TOKENS) | _key(claim, KEY_LOG_TILE) >> 32;
        if (_key(claim, KEY_OUTPUT_KIND) != INDEX_KIND || none != 0) revert KeyFormat();
        if (!isIndexSize(_key(claim, KEY_ATTRIBUTION))) revert KeyFormat();
        if (_key(claim, KEY_INSTANCES) != HEAD_WORDS + CLOSING_WORDS + _key(claim, KEY_TILE_BITS)) revert KeyFormat();
    }

    /// Reads the record of an index of the circuit's architecture and size, and the architecture's.
    function _loadIndex(Claim memory claim, uint256 index) private view returns (uint256 record, uint256 tiles) {
        address stored = registry.indexes(index);
        if (stored == address(0)) revert UnknownIndex(index);
        uint256 size;
        (record, size) = _read(index, stored);
        (uint256 base,) = Records.parents(registry.adapters(_load(record + RECORD_PARENT)));
        (uint256 architecture,) = Records.parents(registry.bases(base));
        if (architecture != _key(claim, KEY_ARCHITECTURE)) revert Foreign(index);
        _loadArchitecture(claim, architecture, registry.architectures(architecture));
        uint256 logRecords = _load(record + INDEX_LOG_RECORDS) >> 224;
        if (logRecords != _key(claim, KEY_ATTRIBUTION)) revert IndexSize(_key(claim, KEY_ATTRIBUTION), logRecords);
        tiles = _key(claim, KEY_INDEX + 32);
        uint256 got = (size - INDEX_POINTS) / 64;
        if (got != tiles) revert TileCount(index, tiles, got);
    }

    /// Where α, ζ, β, z and the constant are in the calldata.
    function _scalars(IndexSettlement calldata settlement) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := add(settlement, SETTLEMENT_ALPHA)
        }
    }
}
