// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, GAS_PAIRING_2, P, Point, R} from "./Bn254.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {DataContract} from "./DataContract.sol";
import {Halo2Verifier} from "./Halo2Verifier.sol";
import {OUTPUT_CLASSIFY, isOutputKind} from "./OutputKind.sol";
import {
    ARCHITECTURE_POINTS,
    ARCHITECTURE_TAU_G2,
    RECORD_LENGTH,
    RECORD_PARENT,
    RECORD_POINTS,
    RECORD_SECOND
} from "./Records.sol";
import {ISettlementVerifier, Opening, Request, Settlement} from "./Settlement.sol";
import {
    AttributionReserved,
    KEY_ADAPTER,
    KEY_ARCHITECTURE,
    KEY_ATTRIBUTION,
    KEY_BASE,
    KEY_FIXED,
    KEY_INSTANCES,
    KEY_LOG_TILE,
    KEY_OCCUPIED,
    KEY_OUTPUT_KIND,
    KEY_REQUESTS,
    KEY_TABLE,
    KEY_TAU_G2,
    KEY_TILE_BITS,
    KEY_TOKENS,
    KEY_WITNESS
} from "./SettlementKey.sol";

/// Checks settlements: the halo2 proof says that the field part of the inference proof's verifier accepts; the group
/// claim that it leaves is evaluated here, from registered commitments.
///
/// Group claim (`verifier/src/protocol/group.rs`):
///   e( Σ_j eq(ρ_hi, j) tile_j + (α - ζ^b) q + ζ quot + β (z - α) g + β² h + β³ (z - α) s + β⁴ (ζz - 1)(z - α) d
///      - (z - ζ)(ζz - 1)(z - α) W + z W' + constant [1]₁, [1]₂ ) = e( quot + W', [τ]₂ )
///
/// Holds no state, belongs to no one: what it says depends on its arguments, its chain and the registry only.
contract LoricaVerifier is ISettlementVerifier {
    /// The key is not of this format, or of a kind of output that is withdrawn or none.
    error KeyFormat();
    /// The settlement names an index or shares, and its circuit attributes nothing.
    error NotAttributing();
    error RequestCount(uint256 most, uint256 got);
    /// Request ids must ascend strictly.
    error RequestOrder(uint256 request);
    /// Classification needs an adapter.
    error AdapterMissing(uint256 request);
    error WitnessCount(uint256 expected, uint256 got);
    error RhoLength(uint256 expected, uint256 got);
    /// A point has a coordinate not below p, is not on the curve, or is infinity.
    error PointInvalid();
    error UnknownArchitecture(uint256 id);
    error UnknownBase(uint256 id);
    error UnknownAdapter(uint256 id);
    /// The base is of another architecture, or the adapter of another base, than the circuit and the batch; or the key's
    /// τ or [τ]₂ is not the architecture's.
    error Foreign(uint256 id);
    /// A data contract does not hold what its id says.
    error RecordCorrupt(uint256 id);
    error TileCount(uint256 id, uint256 expected, uint256 got);
    error PrecompileFailed();
    /// The pairing equation is false: halo2 proof or group claim.
    error ProofInvalid();

    CommitmentRegistry public immutable registry;
    Halo2Verifier public immutable halo2Verifier;

    /// Gas for the halo2 check and for the registry's answer.
    uint256 private constant GAS_HALO2 = 1_000_000;
    uint256 private constant GAS_REGISTRY = 500_000;

    /// Public words before those of the requests: shape, layout, context, base, scales, adapters, count.
    uint256 private constant HEAD_WORDS = 7;

    // Places of the opening's points, after the witness: h, q, g, s, d, quot, W, W'.
    uint256 private constant OPENING_H = 0x000;
    uint256 private constant OPENING_Q = 0x040;
    uint256 private constant OPENING_S = 0x0c0;
    uint256 private constant OPENING_QUOT = 0x140;
    uint256 private constant OPENING_W = 0x180;
    uint256 private constant OPENING_W_PRIME = 0x1c0;

    /// Place of alpha in a settlement's head: payee, base, index, three offsets, sixteen words of the opening, an offset.
    uint256 private constant SETTLEMENT_ALPHA = 0x2e0;

    // Places in a request: id, fee, adapter, then the answer: input digest, label, output digest.
    uint256 private constant REQUEST_FEE = 0x20;
    uint256 private constant REQUEST_ADAPTER = 0x40;
    uint256 private constant REQUEST_ANSWER = 0x60;
    uint256 private constant REQUEST_BYTES = 0xc0;

    // [1]₂: x.c1, x.c0, y.c1, y.c0.
    uint256 private constant G2_X1 = 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 private constant G2_X0 = 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 private constant G2_Y1 = 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b;
    uint256 private constant G2_Y0 = 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa;

    /// Intermediate results; all but lengths and `adapterRecords` are places in memory.
    struct State {
        /// The key's content.
        uint256 key;
        uint256 keyBytes;
        /// Witness tiles and mask, then the opening's eight points.
        uint256 points;
        /// r' eq(ρ_hi, j) for every tile index j.
        uint256 eq;
        /// Buffer for the sum of all terms, as in {Bn254}.
        uint256 sum;
        /// The architecture's record from the end of its encoding on, and the base's record, with their lengths.
        uint256 architecture;
        uint256 architectureBytes;
        uint256 base;
        uint256 baseBytes;
        /// Adapter of every request of the shape: absent requests have the first one's.
        uint256 adapters;
        address[] adapterRecords;
    }

    constructor(CommitmentRegistry registry_, Halo2Verifier halo2Verifier_) {
        registry = registry_;
        halo2Verifier = halo2Verifier_;
    }

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
        State memory state;
        _loadKey(state, key);
        _checkRequests(state, settlement);
        _loadPoints(state, settlement);
        _loadRecords(state, settlement);
        uint256[] memory words = _publicWords(state, consumer, settlement);
        uint256[5] memory halo2 = halo2Verifier.accumulate{gas: GAS_HALO2}(circuit, key, words, settlement.proof);
        uint256 factor = _merge(state, circuit, words, halo2);

        _tabulateEq(state, settlement.rhoHigh, factor);
        _addBase(state, settlement.base);
        _addTables(state);
        _addAdapters(state, settlement);
        _addWitness(state);
        _addOpening(state, settlement, factor, halo2[4]);
        _pair(state, halo2, factor);
    }

    function _loadKey(State memory state, address key) private view {
        uint256 size = DataContract.size(key);
        if (size < KEY_OCCUPIED) revert KeyFormat();
        state.key = _allocate(size);
        state.keyBytes = size;
        DataContract.read(key, state.key, size);
        uint256 words = _words(_key(state, KEY_BASE + 32)) + _words(_key(state, KEY_TABLE + 32));
        if (size != KEY_OCCUPIED + 32 * words) revert KeyFormat();
        if (!isOutputKind(_key(state, KEY_OUTPUT_KIND))) revert KeyFormat();
        uint256 attribution = _key(state, KEY_ATTRIBUTION);
        if (attribution == 1) revert AttributionReserved();
        if (attribution != 0) revert KeyFormat();
    }

    function _checkRequests(State memory state, Settlement calldata settlement) private pure {
        if (settlement.index != 0 || settlement.shares.length != 0) revert NotAttributing();
        uint256 most = _key(state, KEY_REQUESTS);
        Request[] calldata requests = settlement.requests;
        uint256 count = requests.length;
        if (count == 0 || count > most) revert RequestCount(most, count);
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
        if (missing != 0 && _key(state, KEY_OUTPUT_KIND) == OUTPUT_CLASSIFY) revert AdapterMissing(missing - 1);
        state.adapters = adapters;
        uint256 bits = _key(state, KEY_TILE_BITS);
        if (settlement.rhoHigh.length != bits) revert RhoLength(bits, settlement.rhoHigh.length);
        if (_key(state, KEY_INSTANCES) != HEAD_WORDS + 11 + 3 * most + bits) revert KeyFormat();
    }

    function _loadPoints(State memory state, Settlement calldata settlement) private pure {
        uint256 count = _key(state, KEY_WITNESS + 32) + 1;
        Point[] calldata witness = settlement.witness;
        if (witness.length != count) revert WitnessCount(count, witness.length);
        uint256 points = _allocate((count + 8) * 64);
        Opening calldata opening = settlement.opening;
        assembly ("memory-safe") {
            calldatacopy(points, witness.offset, shl(6, count))
            calldatacopy(add(points, shl(6, count)), opening, 0x200)
        }
        if (!Bn254.areOnCurve(points, count + 8)) revert PointInvalid();
        state.points = points;
    }

    /// Finds the batch's records; reads the base's and the architecture's.
    function _loadRecords(State memory state, Settlement calldata settlement) private view {
        uint256 count = settlement.requests.length;
        uint256[] memory adapters = new uint256[](count);
        uint256 from = state.adapters;
        assembly ("memory-safe") {
            mcopy(add(adapters, 0x20), from, shl(5, count))
        }
        uint256 architecture = _key(state, KEY_ARCHITECTURE);
        address architectureRecord;
        address baseRecord;
        (architectureRecord, baseRecord, state.adapterRecords) =
            registry.records{gas: GAS_REGISTRY}(architecture, settlement.base, adapters);
        if (architectureRecord == address(0)) revert UnknownArchitecture(architecture);
        if (baseRecord == address(0)) revert UnknownBase(settlement.base);
        for (uint256 i = 0; i < count; ++i) {
            if (adapters[i] != 0 && state.adapterRecords[i] == address(0)) revert UnknownAdapter(adapters[i]);
        }
        (uint256 record, uint256 size) = _read(architecture, architectureRecord);
        uint256 encoding = RECORD_PARENT + (_load(record + RECORD_LENGTH) >> 224);
        (state.architecture, state.architectureBytes) = (record + encoding, size - encoding);
        (state.base, state.baseBytes) = _read(settlement.base, baseRecord);
        if (_load(state.base + RECORD_PARENT) != architecture) revert Foreign(settlement.base);
        // The pairing is checked under the key's [τ]₂, the commitments were made under the architecture's.
        uint256 tau = state.architecture + ARCHITECTURE_TAU_G2;
        bool same = _load(tau) == _key(state, KEY_TAU_G2 + 0x20) && _load(tau + 0x20) == _key(state, KEY_TAU_G2)
            && _load(tau + 0x40) == _key(state, KEY_TAU_G2 + 0x60)
            && _load(tau + 0x60) == _key(state, KEY_TAU_G2 + 0x40);
        // Four bytes. The group claim reads ⌈τ/2⌉ only, so an odd τ would pass for the even one above it.
        same = same && _load(state.architecture) >> 224 == _key(state, KEY_LOG_TILE);
        if (!same) revert Foreign(architecture);
    }

    /// The circuit's public words.
    function _publicWords(State memory state, address consumer, Settlement calldata settlement)
        private
        view
        returns (uint256[] memory words)
    {
        Request[] calldata requests = settlement.requests;
        uint256 count = requests.length;
        words = new uint256[](_key(state, KEY_INSTANCES));
        uint256 n = HEAD_WORDS + 3 * _key(state, KEY_REQUESTS);
        words[0] = _shapeWord(state);
        words[1] = _layoutWord(state);
        words[2] = _context(consumer, settlement.payee, requests);
        assembly ("memory-safe") {
            let request := add(requests.offset, REQUEST_ANSWER)
            let first := add(words, shl(5, add(HEAD_WORDS, 1)))
            let target := first
            for { let end := add(target, mul(count, 0x60)) } lt(target, end) { target := add(target, 0x60) } {
                calldatacopy(target, request, 0x60)
                request := add(request, REQUEST_BYTES)
            }
            // Absent requests repeat the first.
            let end := add(add(words, 0x20), shl(5, n))
            for {} lt(target, end) { target := add(target, 0x60) } { mcopy(target, first, 0x60) }
        }
        words[3] = settlement.base;
        words[4] = _load(state.base + RECORD_SECOND);
        words[5] = _digest(state.adapters, count * 32);
        words[6] = count;
        uint256 witness = _key(state, KEY_WITNESS + 32) + 1;
        uint256 opening = state.points + witness * 64;
        words[n++] = _digest(state.points, witness * 64);
        words[n++] = _digest(opening + OPENING_H, 64);
        words[n++] = _digest(opening + OPENING_Q, 128);
        words[n++] = _digest(opening + OPENING_S, 128);
        words[n++] = _digest(opening + OPENING_QUOT, 64);
        words[n++] = _digest(opening + OPENING_W, 64);
        uint256[] calldata rhoHigh = settlement.rhoHigh;
        assembly ("memory-safe") {
            let target := add(add(words, 0x20), shl(5, n))
            let size := shl(5, rhoHigh.length)
            calldatacopy(target, rhoHigh.offset, size)
            // alpha, zeta, beta, z, the constant
            calldatacopy(add(target, size), add(settlement, SETTLEMENT_ALPHA), 0xa0)
        }
    }

    /// kind · 2^96 + M · 2^64 + T · 2^32 + τ. The circuit has its own as a constant: under a key that names another kind or
    /// shape none of its proofs holds.
    function _shapeWord(State memory state) private pure returns (uint256) {
        (uint256 kind, uint256 requests) = (_key(state, KEY_OUTPUT_KIND), _key(state, KEY_REQUESTS));
        (uint256 tokens, uint256 logTile) = (_key(state, KEY_TOKENS), _key(state, KEY_LOG_TILE));
        if ((kind | requests | tokens | logTile) >> 32 != 0) revert KeyFormat();
        return kind << 96 | requests << 64 | tokens << 32 | logTile;
    }

    /// Keccak-256, modulo r, of the architecture's id and all that the key says of shape and layout, a constant of the circuit
    /// too: from the architecture's word to the regions, then the maps of occupied tiles.
    function _layoutWord(State memory state) private pure returns (uint256) {
        uint256 key = state.key;
        uint256 maps = state.keyBytes - KEY_OCCUPIED;
        uint256 start = _allocate(0);
        assembly ("memory-safe") {
            mcopy(start, add(key, KEY_ARCHITECTURE), sub(KEY_FIXED, KEY_ARCHITECTURE))
            mcopy(add(start, sub(KEY_FIXED, KEY_ARCHITECTURE)), add(key, KEY_OCCUPIED), maps)
        }
        return _digest(start, KEY_FIXED - KEY_ARCHITECTURE + maps);
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

    /// Both pairing equations become one, halo2's plus r' times the group claim: every term of the group claim has the factor
    /// r', the sum begins with halo2's left side, and both have one multiple of the generator.
    ///
    /// # Soundness
    /// Each equation is false by a point that depends on what is absorbed here alone, so neither can be chosen after r': the
    /// circuit's id is that of the key; the public words hold digests of all points of the settlement but W', its scalars, and
    /// the ids of the records; and halo2's accumulators stand for its proof. One r' for which errors cancel: 1/r.
    function _merge(State memory state, bytes32 circuit, uint256[] memory words, uint256[5] memory halo2)
        private
        pure
        returns (uint256 factor)
    {
        uint256 wPrime = state.points + 64 * (_key(state, KEY_WITNESS + 32) + 1) + OPENING_W_PRIME;
        uint256 sum = _allocate(Bn254.SUM_BYTES);
        uint256 start = _allocate(0);
        assembly ("memory-safe") {
            mcopy(sum, halo2, 0x40)
            mstore(start, circuit)
            mcopy(add(start, 0x20), wPrime, 0x40)
            mcopy(add(start, 0x60), halo2, 0xa0)
            let size := shl(5, mload(words))
            mcopy(add(start, 0x100), add(words, 0x20), size)
            factor := mod(keccak256(start, add(size, 0x100)), R)
        }
        state.sum = sum;
    }

    /// r' eq(ρ_hi, j) for all j; coordinate i belongs to bit i of j.
    function _tabulateEq(State memory state, uint256[] calldata rhoHigh, uint256 factor) private pure {
        uint256 bits = rhoHigh.length;
        uint256 table = _allocate(32 << bits);
        assembly ("memory-safe") {
            mstore(table, factor)
            let size := 0x20
            for { let i := 0 } lt(i, bits) { i := add(i, 1) } {
                let minusRho := sub(R, calldataload(add(rhoHigh.offset, shl(5, i))))
                let end := add(table, size)
                for { let low := table } lt(low, end) { low := add(low, 0x20) } {
                    let value := mload(low)
                    let minusHigh := mulmod(value, minusRho, R)
                    mstore(add(low, size), sub(R, minusHigh))
                    mstore(low, addmod(value, minusHigh, R))
                }
                size := shl(1, size)
            }
        }
        state.eq = table;
    }

    function _addBase(State memory state, uint256 id) private view {
        uint256 got = (state.baseBytes - RECORD_POINTS) / 64;
        (uint256 weights, uint256 expected) = _occupiedWeights(state, KEY_BASE, state.key + KEY_OCCUPIED);
        if (got != expected) revert TileCount(id, expected, got);
        _addTerms(state, state.base + RECORD_POINTS, weights, got);
    }

    function _addTables(State memory state) private view {
        uint256 got = (state.architectureBytes - ARCHITECTURE_POINTS) / 64;
        uint256 occupied = state.key + KEY_OCCUPIED + 32 * _words(_key(state, KEY_BASE + 32));
        (uint256 weights, uint256 expected) = _occupiedWeights(state, KEY_TABLE, occupied);
        if (got != expected) revert TileCount(_key(state, KEY_ARCHITECTURE), expected, got);
        _addTerms(state, state.architecture + ARCHITECTURE_POINTS, weights, got);
    }

    /// eq(ρ_hi, j) of the occupied tiles of a region, one after the other: the others are zero and have no point. Tiles
    /// beyond the region are not occupied, so that one region has one map.
    function _occupiedWeights(State memory state, uint256 region, uint256 occupied)
        private
        pure
        returns (uint256 weights, uint256 count)
    {
        uint256 tiles = _key(state, region + 32);
        uint256 table = state.eq + 32 * _key(state, region);
        weights = _allocate(32 * tiles);
        uint256 map;
        assembly ("memory-safe") {
            let target := weights
            for { let tile := 0 } lt(tile, tiles) { tile := add(tile, 1) } {
                if iszero(and(tile, 0xff)) { map := mload(add(occupied, shr(3, tile))) }
                if and(map, 1) {
                    mstore(target, mload(add(table, shl(5, tile))))
                    target := add(target, 0x20)
                }
                map := shr(1, map)
            }
            count := shr(5, sub(target, weights))
        }
        // What is left of the last word.
        if (map != 0) revert KeyFormat();
    }

    /// Requests with the same adapter share its terms; absent requests have the first one's adapter.
    function _addAdapters(State memory state, Settlement calldata settlement) private view {
        uint256 tiles = _key(state, KEY_ADAPTER + 32);
        uint256 ids = state.adapters;
        uint256 end = ids + 32 * _key(state, KEY_REQUESTS);
        uint256 table = state.eq + 32 * _key(state, KEY_ADAPTER);
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
            (uint256 record, uint256 size) = _read(id, state.adapterRecords[m]);
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
            _addTerms(state, record + RECORD_POINTS, weights, tiles);
        }
    }

    function _addWitness(State memory state) private view {
        uint256 count = _key(state, KEY_WITNESS + 32) + 1;
        _addTerms(state, state.points, state.eq + 32 * _key(state, KEY_WITNESS), count);
    }

    /// The opening's points, and the generator of both equations.
    function _addOpening(State memory state, Settlement calldata settlement, uint256 factor, uint256 generatorOfHalo2)
        private
        view
    {
        uint256 opening = state.points + 64 * (_key(state, KEY_WITNESS + 32) + 1);
        uint256 weights = _allocate(8 * 32);
        uint256 logTile = _key(state, KEY_LOG_TILE);
        assembly ("memory-safe") {
            let words := add(settlement, SETTLEMENT_ALPHA)
            let minusAlpha := sub(R, calldataload(words))
            let zeta := calldataload(add(words, 0x20))
            let beta := calldataload(add(words, 0x40))
            let z := calldataload(add(words, 0x60))
            // ζ^b, b = 2^⌈τ/2⌉
            let power := zeta
            for { let i := shr(1, add(logTile, 1)) } i { i := sub(i, 1) } { power := mulmod(power, power, R) }
            let offAlpha := addmod(z, minusAlpha, R)
            let both := mulmod(addmod(mulmod(zeta, z, R), sub(R, 1), R), offAlpha, R)
            let square := mulmod(beta, beta, R)
            // Each with the factor r'.
            let weight := mulmod(mulmod(beta, offAlpha, R), factor, R)
            let scaled := mulmod(square, factor, R)
            mstore(weights, scaled) // h
            mstore(add(weights, 0x20), mulmod(sub(R, addmod(minusAlpha, power, R)), factor, R)) // q
            mstore(add(weights, 0x40), weight) // g
            mstore(add(weights, 0x60), mulmod(square, weight, R)) // s
            mstore(add(weights, 0x80), mulmod(mulmod(square, scaled, R), both, R)) // d
            mstore(add(weights, 0xa0), mulmod(zeta, factor, R)) // quot
            both := mulmod(both, factor, R)
            mstore(add(weights, 0xc0), mulmod(addmod(zeta, sub(R, z), R), both, R)) // W
            mstore(add(weights, 0xe0), mulmod(z, factor, R)) // W'
        }
        _addTerms(state, opening, weights, 8);
        uint256 generator = _allocate(0x60);
        _store(generator, 1);
        _store(generator + 0x20, 2);
        _store(generator + 0x40, addmod(mulmod(settlement.constantTerm, factor, R), generatorOfHalo2, R));
        _addTerms(state, generator, generator + 0x40, 1);
    }

    /// The pairing of both equations.
    function _pair(State memory state, uint256[5] memory halo2, uint256 factor) private view {
        uint256 opening = state.points + 64 * (_key(state, KEY_WITNESS + 32) + 1);
        uint256 left = state.sum;
        // quot + W', then halo2's right side and r' times that
        uint256 claimed = _allocate(Bn254.SUM_BYTES);
        uint256 right = _allocate(Bn254.SUM_BYTES);
        bool ok;
        assembly ("memory-safe") {
            mcopy(claimed, add(opening, OPENING_QUOT), 0x40)
            mcopy(right, add(halo2, 0x40), 0x40)
        }
        ok = Bn254.addPoint(claimed, opening + OPENING_W_PRIME);
        ok = Bn254.addTerm(right, claimed, factor) && ok;
        if (!ok) revert PrecompileFailed();
        uint256 input = _allocate(0x180);
        uint256 tau = state.key + KEY_TAU_G2;
        bool one;
        assembly ("memory-safe") {
            mcopy(input, left, 0x40)
            mstore(add(input, 0x40), G2_X1)
            mstore(add(input, 0x60), G2_X0)
            mstore(add(input, 0x80), G2_Y1)
            mstore(add(input, 0xa0), G2_Y0)
            // -right: y = 0 is infinity's only
            let y := mload(add(right, 0x20))
            mstore(add(input, 0xc0), mload(right))
            mstore(add(input, 0xe0), mod(sub(P, y), P))
            mcopy(add(input, 0x100), tau, 0x80)
            ok := staticcall(GAS_PAIRING_2, 8, input, 0x180, input, 0x20)
            one := eq(mload(input), 1)
        }
        if (!ok) revert PrecompileFailed();
        if (!one) revert ProofInvalid();
    }

    function _addTerms(State memory state, uint256 points, uint256 weights, uint256 count) private view {
        if (!Bn254.addTerms(state.sum, points, weights, count)) revert PrecompileFailed();
    }

    /// A record's content, with its digest checked.
    function _read(uint256 id, address record) private view returns (uint256 content, uint256 size) {
        (content, size) = DataContract.readLong(record);
        if (_digest(content, size) != id) revert RecordCorrupt(id);
    }

    function _key(State memory state, uint256 offset) private pure returns (uint256) {
        return _load(state.key + offset);
    }

    /// Words of a bit map.
    function _words(uint256 tiles) private pure returns (uint256) {
        return (tiles + 255) / 256;
    }

    function _allocate(uint256 size) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(0x40, add(start, size))
        }
    }

    function _load(uint256 place) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(place)
        }
    }

    function _store(uint256 place, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(place, word)
        }
    }

    function _digest(uint256 place, uint256 size) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mod(keccak256(place, size), R)
        }
    }
}
