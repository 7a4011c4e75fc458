// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// Modulus of BN254's base field: coordinates lie below it.
uint256 constant P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
// Order of BN254's groups, modulus of the scalar field: words lie below it.
uint256 constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

// Gas for each call of a precompile. A failing one burns all that it is given, so none gets more than about twice its
// price (150, 6,000, at most 4,064 for modexp of one word, 45,000 + 34,000 per pair).
uint256 constant GAS_MODEXP = 8_200;
uint256 constant GAS_ADD = 600;
uint256 constant GAS_MUL = 12_000;
uint256 constant GAS_PAIRING_1 = 160_000;
uint256 constant GAS_PAIRING_2 = 230_000;

/// A point of G1, affine; infinity is (0, 0).
struct Point {
    uint256 x;
    uint256 y;
}

/// BN254's G1 in memory, where a point is x ‖ y.
///
/// A sum of terms is built in a buffer of five words: the sum (2), the term (2), its scalar (1).
library Bn254 {
    uint256 internal constant SUM_BYTES = 0xa0;

    /// Whether each of `count` points from `start` on has canonical coordinates and lies on y² = x³ + 3. Infinity does not.
    function areOnCurve(uint256 start, uint256 count) internal pure returns (bool ok) {
        assembly ("memory-safe") {
            ok := 1
            for { let end := add(start, shl(6, count)) } lt(start, end) { start := add(start, 0x40) } {
                let x := mload(start)
                let y := mload(add(start, 0x20))
                let curve := eq(mulmod(y, y, P), addmod(mulmod(mulmod(x, x, P), x, P), 3, P))
                ok := and(ok, and(curve, and(lt(x, P), lt(y, P))))
            }
        }
    }

    function isInfinity(uint256 point) internal pure returns (bool is_) {
        assembly ("memory-safe") {
            is_ := iszero(or(mload(point), mload(add(point, 0x20))))
        }
    }

    /// Whether each of `count` words from `start` on is below r.
    function areScalars(uint256 start, uint256 count) internal pure returns (bool ok) {
        assembly ("memory-safe") {
            ok := 1
            for { let end := add(start, shl(5, count)) } lt(start, end) { start := add(start, 0x20) } {
                ok := and(ok, lt(mload(start), R))
            }
        }
    }

    /// Adds scalar · point to the sum in the buffer.
    function addTerm(uint256 sum, uint256 point, uint256 scalar) internal view returns (bool ok) {
        assembly ("memory-safe") {
            let term := add(sum, 0x40)
            mcopy(term, point, 0x40)
            mstore(add(sum, 0x80), scalar)
            ok := staticcall(GAS_MUL, 7, term, 0x60, term, 0x40)
            ok := and(staticcall(GAS_ADD, 6, sum, 0x80, sum, 0x40), ok)
        }
    }

    /// Adds `count` terms, points and scalars each one after the other, to the sum in the buffer. Infinity adds nothing.
    function addTerms(uint256 sum, uint256 points, uint256 scalars, uint256 count) internal view returns (bool ok) {
        assembly ("memory-safe") {
            ok := 1
            let term := add(sum, 0x40)
            let scalar := add(sum, 0x80)
            for { let end := add(points, shl(6, count)) } lt(points, end) {
                points := add(points, 0x40)
                scalars := add(scalars, 0x20)
            } {
                let x := mload(points)
                let y := mload(add(points, 0x20))
                if or(x, y) {
                    mstore(term, x)
                    mstore(add(sum, 0x60), y)
                    mstore(scalar, mload(scalars))
                    // The right one first. A failing call burns what it is given.
                    if iszero(
                        and(
                            staticcall(GAS_ADD, 6, sum, 0x80, sum, 0x40),
                            staticcall(GAS_MUL, 7, term, 0x60, term, 0x40)
                        )
                    ) {
                        ok := 0
                        break
                    }
                }
            }
        }
    }

    /// Adds a point to the sum in the buffer.
    function addPoint(uint256 sum, uint256 point) internal view returns (bool ok) {
        assembly ("memory-safe") {
            mcopy(add(sum, 0x40), point, 0x40)
            ok := staticcall(GAS_ADD, 6, sum, 0x80, sum, 0x40)
        }
    }

    /// Replaces `count` words from `start` on by their inverses modulo r. False if one is zero. `scratch` has `count` + 6
    /// words.
    function invertAll(uint256 start, uint256 count, uint256 scratch) internal view returns (bool ok) {
        assembly ("memory-safe") {
            let size := shl(5, count)
            let product := 1
            for { let i := 0 } lt(i, size) { i := add(i, 0x20) } {
                mstore(add(scratch, i), product)
                product := mulmod(product, mload(add(start, i)), R)
            }
            // product^(r - 2)
            let buffer := add(scratch, size)
            mstore(buffer, 0x20)
            mstore(add(buffer, 0x20), 0x20)
            mstore(add(buffer, 0x40), 0x20)
            mstore(add(buffer, 0x60), product)
            mstore(add(buffer, 0x80), sub(R, 2))
            mstore(add(buffer, 0xa0), R)
            ok := and(iszero(iszero(product)), staticcall(GAS_MODEXP, 5, buffer, 0xc0, buffer, 0x20))
            let inverse := mload(buffer)
            for { let i := size } i {} {
                i := sub(i, 0x20)
                let word := mload(add(start, i))
                mstore(add(start, i), mulmod(inverse, mload(add(scratch, i)), R))
                inverse := mulmod(inverse, word, R)
            }
        }
    }
}
