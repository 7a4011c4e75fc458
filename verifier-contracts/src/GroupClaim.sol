// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, GAS_PAIRING_2, P, Point, R} from "./Bn254.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {DataContract} from "./DataContract.sol";
import {Halo2Verifier} from "./Halo2Verifier.sol";
import {ARCHITECTURE_POINTS, ARCHITECTURE_TAU_G2, RECORD_LENGTH, RECORD_PARENT} from "./Records.sol";
import {Opening} from "./Settlement.sol";
import {KEY_LOG_TILE, KEY_OCCUPIED, KEY_TAU_G2} from "./SettlementKey.sol";

/// The group claim that a field part leaves, evaluated from registered commitments, together with the halo2 proof that the
/// field part accepts.
///
/// Group claim (`verifier/src/protocol/group.rs`):
///   e( Σ_j eq(ρ_hi, j) tile_j + (α - ζ^b) q + ζ quot + β (z - α) g + β² h + β³ (z - α) s + β⁴ (ζz - 1)(z - α) d
///      - (z - ζ)(ζz - 1)(z - α) W + z W' + constant [1]₁, [1]₂ ) = e( quot + W', [τ]₂ )
///
/// A verifier loads key, points and records, computes its circuit's public words, has halo2's accumulators, merges both
/// equations and adds its regions' tiles, the opening and the pairing, in this order.
abstract contract GroupClaim {
    /// The key is not of this format, or of a kind of output that is withdrawn or none.
    error KeyFormat();
    error WitnessCount(uint256 expected, uint256 got);
    error RhoLength(uint256 expected, uint256 got);
    /// A point has a coordinate not below p, is not on the curve, or is infinity.
    error PointInvalid();
    error UnknownArchitecture(uint256 id);
    /// A record is of another architecture, base or adapter than the circuit and the proof; or the key's τ or [τ]₂ is not the
    /// architecture's.
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
    uint256 internal constant GAS_HALO2 = 1_000_000;
    uint256 internal constant GAS_REGISTRY = 500_000;

    /// Public words after those of the statement, besides ρ_hi: six digests of points, five scalars.
    uint256 internal constant CLOSING_WORDS = 11;

    // Places of the opening's points, after the witness: h, q, g, s, d, quot, W, W'.
    uint256 private constant OPENING_H = 0x000;
    uint256 private constant OPENING_Q = 0x040;
    uint256 private constant OPENING_S = 0x0c0;
    uint256 private constant OPENING_QUOT = 0x140;
    uint256 private constant OPENING_W = 0x180;
    uint256 private constant OPENING_W_PRIME = 0x1c0;

    // [1]₂: x.c1, x.c0, y.c1, y.c0.
    uint256 private constant G2_X1 = 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 private constant G2_X0 = 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 private constant G2_Y1 = 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b;
    uint256 private constant G2_Y0 = 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa;

    /// Intermediate results; all but lengths are places in memory.
    struct Claim {
        /// The key's content.
        uint256 key;
        uint256 keyBytes;
        /// Witness tiles and mask, then the opening's eight points.
        uint256 points;
        /// Of the witness, the mask included.
        uint256 witness;
        /// r' eq(ρ_hi, j) for every tile index j.
        uint256 eq;
        /// Buffer for the sum of all terms, as in {Bn254}.
        uint256 sum;
        /// The architecture's record from the end of its encoding on, with its length.
        uint256 architecture;
        uint256 architectureBytes;
    }

    constructor(CommitmentRegistry registry_, Halo2Verifier halo2Verifier_) {
        registry = registry_;
        halo2Verifier = halo2Verifier_;
    }

    /// Reads the key's content; its digest is halo2's business.
    function _readKey(Claim memory claim, address key) internal view {
        uint256 size = DataContract.size(key);
        if (size < KEY_OCCUPIED) revert KeyFormat();
        claim.key = _allocate(size);
        claim.keyBytes = size;
        DataContract.read(key, claim.key, size);
    }

    /// @param count of the witness, the mask included.
    function _loadPoints(Claim memory claim, uint256 count, Point[] calldata witness, Opening calldata opening)
        internal
        pure
    {
        if (witness.length != count) revert WitnessCount(count, witness.length);
        uint256 points = _allocate((count + 8) * 64);
        assembly ("memory-safe") {
            calldatacopy(points, witness.offset, shl(6, count))
            calldatacopy(add(points, shl(6, count)), opening, 0x200)
        }
        if (!Bn254.areOnCurve(points, count + 8)) revert PointInvalid();
        (claim.points, claim.witness) = (points, count);
    }

    /// Reads the architecture's record, whose τ and [τ]₂ must be the key's.
    function _loadArchitecture(Claim memory claim, uint256 id, address stored) internal view {
        if (stored == address(0)) revert UnknownArchitecture(id);
        (uint256 record, uint256 size) = _read(id, stored);
        uint256 encoding = RECORD_PARENT + (_load(record + RECORD_LENGTH) >> 224);
        (claim.architecture, claim.architectureBytes) = (record + encoding, size - encoding);
        // The pairing is checked under the key's [τ]₂, the commitments were made under the architecture's.
        uint256 tau = claim.architecture + ARCHITECTURE_TAU_G2;
        bool same = _load(tau) == _key(claim, KEY_TAU_G2 + 0x20) && _load(tau + 0x20) == _key(claim, KEY_TAU_G2)
            && _load(tau + 0x40) == _key(claim, KEY_TAU_G2 + 0x60)
            && _load(tau + 0x60) == _key(claim, KEY_TAU_G2 + 0x40);
        // Four bytes. The group claim reads ⌈τ/2⌉ only, so an odd τ would pass for the even one above it.
        same = same && _load(claim.architecture) >> 224 == _key(claim, KEY_LOG_TILE);
        if (!same) revert Foreign(id);
    }

    /// The last public words, from the n-th on: digests of the points, ρ_hi, the opening's scalars.
    /// @param scalars where α, ζ, β, z and the constant are in the calldata.
    function _closingWords(
        Claim memory claim,
        uint256[] memory words,
        uint256 n,
        uint256[] calldata rhoHigh,
        uint256 scalars
    ) internal pure {
        uint256 opening = claim.points + claim.witness * 64;
        words[n++] = _digest(claim.points, claim.witness * 64);
        words[n++] = _digest(opening + OPENING_H, 64);
        words[n++] = _digest(opening + OPENING_Q, 128);
        words[n++] = _digest(opening + OPENING_S, 128);
        words[n++] = _digest(opening + OPENING_QUOT, 64);
        words[n++] = _digest(opening + OPENING_W, 64);
        assembly ("memory-safe") {
            let target := add(add(words, 0x20), shl(5, n))
            let size := shl(5, rhoHigh.length)
            calldatacopy(target, rhoHigh.offset, size)
            calldatacopy(add(target, size), scalars, 0xa0)
        }
    }

    /// Both pairing equations become one, halo2's plus r' times the group claim: every term of the group claim has the factor
    /// r', the sum begins with halo2's left side, and both have one multiple of the generator.
    ///
    /// # Soundness
    /// Each equation is false by a point that depends on what is absorbed here alone, so neither can be chosen after r': the
    /// circuit's id is that of the key; the public words hold digests of all points of the settlement but W', its scalars, and
    /// the ids of the records; and halo2's accumulators stand for its proof. One r' for which errors cancel: 1/r.
    function _merge(Claim memory claim, bytes32 circuit, uint256[] memory words, uint256[5] memory halo2)
        internal
        pure
        returns (uint256 factor)
    {
        uint256 wPrime = claim.points + 64 * claim.witness + OPENING_W_PRIME;
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
        claim.sum = sum;
    }

    /// r' eq(ρ_hi, j) for all j; coordinate i belongs to bit i of j.
    function _tabulateEq(Claim memory claim, uint256[] calldata rhoHigh, uint256 factor) internal pure {
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
        claim.eq = table;
    }

    /// The witness tiles and the mask.
    /// @param first tile index.
    function _addWitness(Claim memory claim, uint256 first) internal view {
        _addTerms(claim, claim.points, claim.eq + 32 * first, claim.witness);
    }

    /// The occupied tiles of a region.
    /// @param region place of its first tile and number of tiles in the key.
    /// @param occupied where the map of its tiles is.
    /// @param id of the record with the points.
    function _addOccupied(
        Claim memory claim,
        uint256 region,
        uint256 occupied,
        uint256 id,
        uint256 points,
        uint256 count
    ) internal view {
        (uint256 weights, uint256 expected) = _occupiedWeights(claim, region, occupied);
        if (count != expected) revert TileCount(id, expected, count);
        _addTerms(claim, points, weights, count);
    }

    /// The occupied tiles of the tables, from the architecture's record.
    function _addTables(Claim memory claim, uint256 region, uint256 occupied, uint256 id) internal view {
        uint256 count = (claim.architectureBytes - ARCHITECTURE_POINTS) / 64;
        _addOccupied(claim, region, occupied, id, claim.architecture + ARCHITECTURE_POINTS, count);
    }

    /// eq(ρ_hi, j) of the occupied tiles of a region, one after the other: the others are zero and have no point. Tiles
    /// beyond the region are not occupied, so that one region has one map.
    function _occupiedWeights(Claim memory claim, uint256 region, uint256 occupied)
        private
        pure
        returns (uint256 weights, uint256 count)
    {
        uint256 tiles = _key(claim, region + 32);
        uint256 table = claim.eq + 32 * _key(claim, region);
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

    /// The opening's points, and the generator of both equations.
    /// @param scalars as of {_closingWords}.
    function _addOpening(Claim memory claim, uint256 scalars, uint256 factor, uint256 generatorOfHalo2) internal view {
        uint256 opening = claim.points + 64 * claim.witness;
        uint256 weights = _allocate(8 * 32);
        uint256 logTile = _key(claim, KEY_LOG_TILE);
        assembly ("memory-safe") {
            let minusAlpha := sub(R, calldataload(scalars))
            let zeta := calldataload(add(scalars, 0x20))
            let beta := calldataload(add(scalars, 0x40))
            let z := calldataload(add(scalars, 0x60))
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
        _addTerms(claim, opening, weights, 8);
        uint256 generator = _allocate(0x60);
        _store(generator, 1);
        _store(generator + 0x20, 2);
        assembly ("memory-safe") {
            let constant_ := calldataload(add(scalars, 0x80))
            mstore(add(generator, 0x40), addmod(mulmod(constant_, factor, R), generatorOfHalo2, R))
        }
        _addTerms(claim, generator, generator + 0x40, 1);
    }

    /// The pairing of both equations.
    function _pair(Claim memory claim, uint256[5] memory halo2, uint256 factor) internal view {
        uint256 opening = claim.points + 64 * claim.witness;
        uint256 left = claim.sum;
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
        uint256 tau = claim.key + KEY_TAU_G2;
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

    function _addTerms(Claim memory claim, uint256 points, uint256 weights, uint256 count) internal view {
        if (!Bn254.addTerms(claim.sum, points, weights, count)) revert PrecompileFailed();
    }

    /// A record's content, with its digest checked.
    function _read(uint256 id, address record) internal view returns (uint256 content, uint256 size) {
        (content, size) = DataContract.readLong(record);
        if (_digest(content, size) != id) revert RecordCorrupt(id);
    }

    function _key(Claim memory claim, uint256 offset) internal pure returns (uint256) {
        return _load(claim.key + offset);
    }

    /// Words of a bit map.
    function _words(uint256 tiles) internal pure returns (uint256) {
        return (tiles + 255) / 256;
    }

    function _allocate(uint256 size) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(0x40, add(start, size))
        }
    }

    function _load(uint256 place) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(place)
        }
    }

    function _store(uint256 place, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(place, word)
        }
    }

    function _digest(uint256 place, uint256 size) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mod(keccak256(place, size), R)
        }
    }
}
