// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {R} from "./Bn254.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {GroupClaim} from "./GroupClaim.sol";
import {Halo2Verifier} from "./Halo2Verifier.sol";
import {OUTPUT_CLASSIFY, isOutputKind} from "./OutputKind.sol";
import {INDEX_LOG_RECORDS, INDEX_POINTS, RECORD_PARENT, RECORD_POINTS, RECORD_SECOND, Records} from "./Records.sol";
import {ISettlementVerifier, Request, Settlement} from "./Settlement.sol";
import {
    KEY_ADAPTER,
    KEY_ARCHITECTURE,
    KEY_ATTRIBUTION,
    KEY_BASE,
    KEY_FIXED,
    KEY_INDEX,
    KEY_INDEX_BYTES,
    KEY_INSTANCES,
    KEY_LOG_TILE,
    KEY_OCCUPIED,
    KEY_OUTPUT_KIND,
    KEY_REQUESTS,
    KEY_TABLE,
    KEY_TILE_BITS,
    KEY_TOKENS,
    KEY_WITNESS,
    isIndexSize
} from "./SettlementKey.sol";

/// Checks settlements: the halo2 proof says that the field part of the inference proof's verifier accepts; the group
/// claim that it leaves is evaluated by {GroupClaim}, from registered commitments.
///
/// Holds no state, belongs to no one: what it says depends on its arguments, its chain and the registry only.
contract LoricaVerifier is ISettlementVerifier, GroupClaim {
    /// The settlement names an index or shares, and its circuit attributes nothing.
    error NotAttributing();
    /// A circuit that attributes needs an index.
    error IndexMissing();
    error UnknownIndex(uint256 id);
    /// Words of shares: four for each request.
    error ShareCount(uint256 expected, uint256 got);
    error RequestCount(uint256 most, uint256 got);
    /// Request ids must ascend strictly.
    error RequestOrder(uint256 request);
    /// Classification needs an adapter.
    error AdapterMissing(uint256 request);
    error UnknownBase(uint256 id);
    error UnknownAdapter(uint256 id);

    /// Public words before those of the requests: shape, layout, context, base, scales, adapters, count. Before the count, if
    /// the circuit attributes: the index, and which requests attribute.
    uint256 private constant HEAD_WORDS = 7;
    uint256 private constant INDEX_WORDS = 2;
    /// Of a request's shares.
    uint256 private constant SHARE_WORDS = 4;

    /// Place of alpha in a settlement's head: payee, base, index, three offsets, sixteen words of the opening, an offset.
    uint256 private constant SETTLEMENT_ALPHA = 0x2e0;

    // Places in a request: id, fee, adapter, then the answer: input digest, label, output digest.
    uint256 private constant REQUEST_FEE = 0x20;
    uint256 private constant REQUEST_ADAPTER = 0x40;
    uint256 private constant REQUEST_ANSWER = 0x60;
    uint256 private constant REQUEST_BYTES = 0xc0;

    /// The batch's records and requests.
    struct Batch {
        /// The base's record with its length.
        uint256 base;
        uint256 baseBytes;
        /// Place of the adapter ids of every request of the shape: absent requests have the first one's.
        uint256 adapters;
        address[] adapterRecords;
        /// log2 of the records of the circuit's index; zero if it attributes nothing, and what follows is zero.
        uint256 attribution;
        /// Bytes by which the key is longer before the witness region.
        uint256 shift;
        /// The index' record with its length.
        uint256 index;
        uint256 indexBytes;
    }

    constructor(CommitmentRegistry registry_, Halo2Verifier halo2Verifier_) GroupClaim(registry_, halo2Verifier_) {}

    /// # Soundness
    /// The caller owes trust in the circuit id (its router's business), and that `consumer` is the contract that acts on
    /// the answer: the proof is bound to it, to this chain, the payee, and the requests' ids and fees. One request id
    /// may be settled again in another batch: the consumer keeps account of them.
    ///
    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content.
    /// @inheritdoc ISettlementVerifier
    function check(bytes32 circuit, address key, address consumer, Settlement calldata settlement)
        external
        view
        override
    {
        Claim memory claim;
        Batch memory batch;
        _loadKey(claim, batch, key);
        _checkRequests(claim, batch, settlement);
        uint256 witness = KEY_WITNESS + batch.shift;
        _loadPoints(claim, _key(claim, witness + 32) + 1, settlement.witness, settlement.opening);
        _loadRecords(claim, batch, settlement);
        if (batch.attribution != 0) _loadIndex(batch, settlement.index);
        uint256[] memory words = _publicWords(claim, batch, consumer, settlement);
        uint256[5] memory halo2 = halo2Verifier.accumulate{gas: GAS_HALO2}(circuit, key, words, settlement.proof);
        uint256 factor = _merge(claim, circuit, words, halo2);

        _tabulateEq(claim, settlement.rhoHigh, factor);
        _addBase(claim, batch, settlement.base);
        uint256 tables = claim.key + KEY_OCCUPIED + batch.shift + 32 * _words(_key(claim, KEY_BASE + 32));
        _addTables(claim, KEY_TABLE, tables, _key(claim, KEY_ARCHITECTURE));
        _addAdapters(claim, batch, settlement);
        if (batch.attribution != 0) _addIndex(claim, batch, settlement.index);
        _addWitness(claim, _key(claim, witness));
        _addOpening(claim, _scalars(settlement), factor, halo2[4]);
        _pair(claim, halo2, factor);
    }

    function _loadKey(Claim memory claim, Batch memory batch, address key) private view {
        _readKey(claim, key);
        uint256 kind = _key(claim, KEY_OUTPUT_KIND);
        if (!isOutputKind(kind)) revert KeyFormat();
        uint256 attribution = _key(claim, KEY_ATTRIBUTION);
        if (attribution != 0) {
            // An embedding has no label to be attributed.
            if (!isIndexSize(attribution) || kind != OUTPUT_CLASSIFY) revert KeyFormat();
            (batch.attribution, batch.shift) = (attribution, KEY_INDEX_BYTES);
        }
        uint256 words = _words(_key(claim, KEY_BASE + 32)) + _words(_key(claim, KEY_TABLE + 32));
        if (claim.keyBytes != KEY_OCCUPIED + batch.shift + 32 * words) revert KeyFormat();
    }

    function _checkRequests(Claim memory claim, Batch memory batch, Settlement calldata settlement) private pure {
        uint256 most = _key(claim, KEY_REQUESTS);
        Request[] calldata requests = settlement.requests;
        uint256 count = requests.length;
        if (count == 0 || count > most) revert RequestCount(most, count);
        uint256 instances = HEAD_WORDS + CLOSING_WORDS + 3 * most;
        uint256 shares = settlement.shares.length;
        if (batch.attribution == 0) {
            if (settlement.index != 0 || shares != 0) revert NotAttributing();
        } else {
            if (settlement.index == 0) revert IndexMissing();
            if (shares != SHARE_WORDS * count) revert ShareCount(SHARE_WORDS * count, shares);
            instances += INDEX_WORDS + SHARE_WORDS * most;
        }
        uint256 adapters = _allocate(32 * most);
        uint256 order;
        uint256 missing;
        assembly ("memory-safe") {
            let request := requests.offset
            let target := adapters
            let previous
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                let id := calldataload(request)
                if iszero(or(gt(id, previous), or(iszero(i), order))) { order := i }
                previous := id
                let adapter := calldataload(add(request, REQUEST_ADAPTER))
                if iszero(or(adapter, missing)) { missing := add(i, 1) }
                mstore(target, adapter)
                target := add(target, 0x20)
                request := add(request, REQUEST_BYTES)
            }
            for { let end := add(adapters, shl(5, most)) } lt(target, end) { target := add(target, 0x20) } {
                mstore(target, mload(adapters))
            }
        }
        if (order != 0) revert RequestOrder(order);
        if (missing != 0 && _key(claim, KEY_OUTPUT_KIND) == OUTPUT_CLASSIFY) revert AdapterMissing(missing - 1);
        batch.adapters = adapters;
        uint256 bits = _key(claim, KEY_TILE_BITS);
        if (settlement.rhoHigh.length != bits) revert RhoLength(bits, settlement.rhoHigh.length);
        if (_key(claim, KEY_INSTANCES) != instances + bits) revert KeyFormat();
    }

    /// Finds the batch's records; reads the base's and the architecture's.
    function _loadRecords(Claim memory claim, Batch memory batch, Settlement calldata settlement) private view {
        uint256 count = settlement.requests.length;
        uint256[] memory adapters = new uint256[](count);
        uint256 from = batch.adapters;
        assembly ("memory-safe") {
            mcopy(add(adapters, 0x20), from, shl(5, count))
        }
        uint256 architecture = _key(claim, KEY_ARCHITECTURE);
        address architectureRecord;
        address baseRecord;
        (architectureRecord, baseRecord, batch.adapterRecords) =
            registry.records{gas: GAS_REGISTRY}(architecture, settlement.base, adapters);
        if (baseRecord == address(0)) revert UnknownBase(settlement.base);
        for (uint256 i = 0; i < count; ++i) {
            if (adapters[i] != 0 && batch.adapterRecords[i] == address(0)) revert UnknownAdapter(adapters[i]);
        }
        _loadArchitecture(claim, architecture, architectureRecord);
        (batch.base, batch.baseBytes) = _read(settlement.base, baseRecord);
        if (_load(batch.base + RECORD_PARENT) != architecture) revert Foreign(settlement.base);
    }

    /// Reads the record of the index, which is of the circuit's size.
    function _loadIndex(Batch memory batch, uint256 id) private view {
        address stored = registry.indexes{gas: GAS_REGISTRY}(id);
        if (stored == address(0)) revert UnknownIndex(id);
        (batch.index, batch.indexBytes) = _read(id, stored);
        if (_load(batch.index + INDEX_LOG_RECORDS) >> 224 != batch.attribution) revert Foreign(id);
    }

    /// Bit m: request m of the shape has the index' adapter.
    function _attributing(Claim memory claim, Batch memory batch, Settlement calldata settlement)
        private
        view
        returns (uint256 word)
    {
        uint256 adapter = _load(batch.index + RECORD_PARENT);
        uint256 most = _key(claim, KEY_REQUESTS);
        for (uint256 m = 0; m < most; ++m) {
            if (_load(batch.adapters + 32 * m) == adapter) word |= 1 << m;
        }
        if (word != 0) return word;
        // Where a request has it, its record says of which base it is.
        (uint256 base,) = Records.parents(registry.adapters{gas: GAS_REGISTRY}(adapter));
        if (base != settlement.base) revert Foreign(settlement.index);
    }

    /// The circuit's public words.
    function _publicWords(Claim memory claim, Batch memory batch, address consumer, Settlement calldata settlement)
        private
        view
        returns (uint256[] memory words)
    {
        Request[] calldata requests = settlement.requests;
        uint256 count = requests.length;
        words = new uint256[](_key(claim, KEY_INSTANCES));
        uint256 n = HEAD_WORDS;
        words[0] = _shapeWord(claim, batch);
        words[1] = _layoutWord(claim, batch);
        words[2] = _context(consumer, settlement.payee, requests);
        if (batch.attribution != 0) {
            words[6] = settlement.index;
            words[7] = _attributing(claim, batch, settlement);
            n += INDEX_WORDS;
        }
        words[n - 1] = count;
        n = _requestWords(words, n, _key(claim, KEY_REQUESTS), requests, settlement.shares);
        words[3] = settlement.base;
        words[4] = _load(batch.base + RECORD_SECOND);
        words[5] = _digest(batch.adapters, count * 32);
        _closingWords(claim, words, n, settlement.rhoHigh, _scalars(settlement));
    }

    /// Of each request of the shape its answer and then its shares, if there are any: from the n-th word on.
    /// @return end the word after the last.
    function _requestWords(
        uint256[] memory words,
        uint256 n,
        uint256 most,
        Request[] calldata requests,
        uint256[] calldata shares
    ) private pure returns (uint256 end) {
        uint256 count = requests.length;
        assembly ("memory-safe") {
            let request := add(requests.offset, REQUEST_ANSWER)
            let share := shares.offset
            let own := div(shl(5, shares.length), count)
            let each := add(0x60, own)
            let first := add(words, shl(5, add(n, 1)))
            let target := first
            for { let last := add(target, mul(count, each)) } lt(target, last) { target := add(target, each) } {
                calldatacopy(target, request, 0x60)
                calldatacopy(add(target, 0x60), share, own)
                request := add(request, REQUEST_BYTES)
                share := add(share, own)
            }
            // Absent requests repeat the first.
            let whole := add(first, mul(most, each))
            for {} lt(target, whole) { target := add(target, each) } { mcopy(target, first, each) }
            end := add(n, shr(5, mul(most, each)))
        }
    }

    /// Where α, ζ, β, z and the constant are in the calldata.
    function _scalars(Settlement calldata settlement) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := add(settlement, SETTLEMENT_ALPHA)
        }
    }

    /// attribution · 2^128 + kind · 2^96 + M · 2^64 + T · 2^32 + τ. The circuit has its own as a constant: under a key that names
    /// another kind or shape none of its proofs holds.
    function _shapeWord(Claim memory claim, Batch memory batch) private pure returns (uint256) {
        (uint256 kind, uint256 requests) = (_key(claim, KEY_OUTPUT_KIND), _key(claim, KEY_REQUESTS));
        (uint256 tokens, uint256 logTile) = (_key(claim, KEY_TOKENS), _key(claim, KEY_LOG_TILE));
        if ((kind | requests | tokens | logTile) >> 32 != 0) revert KeyFormat();
        return batch.attribution << 128 | kind << 96 | requests << 64 | tokens << 32 | logTile;
    }

    /// Keccak-256, modulo r, of the architecture's id and all that the key says of shape and layout, a constant of the circuit
    /// too: from the architecture's word to the regions, then the maps of occupied tiles.
    function _layoutWord(Claim memory claim, Batch memory batch) private pure returns (uint256) {
        uint256 key = claim.key;
        uint256 regions = KEY_FIXED - KEY_ARCHITECTURE + batch.shift;
        uint256 occupied = KEY_OCCUPIED + batch.shift;
        uint256 maps = claim.keyBytes - occupied;
        uint256 start = _allocate(0);
        assembly ("memory-safe") {
            mcopy(start, add(key, KEY_ARCHITECTURE), regions)
            mcopy(add(start, regions), add(key, occupied), maps)
        }
        return _digest(start, regions + maps);
    }

    /// keccak256(abi.encode(chain id, consumer, payee, request ids, fees)) mod r.
    function _context(address consumer, address payee, Request[] calldata requests)
        private
        view
        returns (uint256 context)
    {
        uint256 start = _allocate(0);
        uint256 count = requests.length;
        assembly ("memory-safe") {
            let size := shl(5, count)
            let ids := add(start, 0xa0)
            let fees := add(add(ids, 0x20), size)
            mstore(start, chainid())
            mstore(add(start, 0x20), shr(96, shl(96, consumer)))
            mstore(add(start, 0x40), shr(96, shl(96, payee)))
            mstore(add(start, 0x60), 0xa0)
            mstore(add(start, 0x80), add(0xc0, size))
            mstore(ids, count)
            mstore(fees, count)
            let request := requests.offset
            for { let end := fees } 1 {} {
                ids := add(ids, 0x20)
                fees := add(fees, 0x20)
                if eq(ids, end) { break }
                calldatacopy(ids, request, 0x20)
                calldatacopy(fees, add(request, REQUEST_FEE), 0x20)
                request := add(request, REQUEST_BYTES)
            }
            context := mod(keccak256(start, sub(fees, start)), R)
        }
    }

    function _addBase(Claim memory claim, Batch memory batch, uint256 id) private view {
        uint256 count = (batch.baseBytes - RECORD_POINTS) / 64;
        _addOccupied(claim, KEY_BASE, claim.key + KEY_OCCUPIED + batch.shift, id, batch.base + RECORD_POINTS, count);
    }

    function _addIndex(Claim memory claim, Batch memory batch, uint256 id) private view {
        uint256 tiles = _key(claim, KEY_INDEX + 32);
        if (batch.indexBytes != INDEX_POINTS + tiles * 64) {
            revert TileCount(id, tiles, (batch.indexBytes - INDEX_POINTS) / 64);
        }
        _addTerms(claim, batch.index + INDEX_POINTS, claim.eq + 32 * _key(claim, KEY_INDEX), tiles);
    }

    /// Requests with the same adapter share its terms; absent requests have the first one's adapter.
    function _addAdapters(Claim memory claim, Batch memory batch, Settlement calldata settlement) private view {
        uint256 tiles = _key(claim, KEY_ADAPTER + 32);
        uint256 ids = batch.adapters;
        uint256 end = ids + 32 * _key(claim, KEY_REQUESTS);
        uint256 table = claim.eq + 32 * _key(claim, KEY_ADAPTER);
        uint256 weights = _allocate(32 * tiles);
        uint256 count = settlement.requests.length;
        for (uint256 m = 0; m < count; ++m) {
            uint256 own = ids + 32 * m;
            uint256 id = _load(own);
            bool skip = id == 0;
            assembly ("memory-safe") {
                for { let earlier := ids } lt(earlier, own) { earlier := add(earlier, 0x20) } {
                    skip := or(skip, eq(mload(earlier), id))
                }
            }
            if (skip) continue;
            (uint256 record, uint256 size) = _read(id, batch.adapterRecords[m]);
            if (_load(record + RECORD_PARENT) != settlement.base) revert Foreign(id);
            if (size != RECORD_POINTS + tiles * 64) revert TileCount(id, tiles, (size - RECORD_POINTS) / 64);
            assembly ("memory-safe") {
                let stride := shl(5, tiles)
                for { let tile := 0 } lt(tile, stride) { tile := add(tile, 0x20) } {
                    let value := add(add(table, tile), mul(stride, m))
                    let weight := mload(value)
                    for { let later := add(own, 0x20) } lt(later, end) { later := add(later, 0x20) } {
                        value := add(value, stride)
                        if eq(mload(later), id) { weight := addmod(weight, mload(value), R) }
                    }
                    mstore(add(weights, tile), weight)
                }
            }
            _addTerms(claim, record + RECORD_POINTS, weights, tiles);
        }
    }

}
