// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, P, R} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";
import {
    FIXED_COLUMNS,
    KEY_ATTRIBUTION,
    KEY_INDEX_BYTES,
    KEY_LOG_ROWS,
    KEY_ROWS_INVERSE,
    KEY_OMEGA,
    KEY_OMEGA_LAST,
    KEY_INSTANCES,
    KEY_TRANSCRIPT,
    KEY_FIXED,
    KEY_OCCUPIED,
    KEY_MAGIC,
    KEY_MAGIC_VALUE,
    PERMUTED_COLUMNS,
    isIndexSize
} from "./SettlementKey.sol";

/// Verifies halo2 proofs (KZG over BN254, SHPLONK of Boneh, Drake, Fisch, Gabizon, eprint 2020/081) of the settlement
/// circuit's gate set, for any key, up to the pairing.
///
/// Five advice columns a to e, eight fixed ones, one column of public words, one permutation product over a to e, quotient
/// in six pieces. Transcript: Keccak-256 over 32-byte words, as snark-verifier's.
///
/// Everything is held in one buffer in memory, at these byte offsets.
contract Halo2Verifier {
    /// The code at `key` is not the circuit's key.
    error KeyDigest();
    /// The key is not of this format.
    error KeyFormat();
    error InstanceCount(uint256 expected, uint256 got);
    error ProofLength(uint256 expected, uint256 got);
    /// A public word is not below r.
    error InstanceNotCanonical();
    /// A scalar of the proof is not below r.
    error ScalarNotCanonical();
    /// A point of the proof has a coordinate not below p, is not on the curve, or is infinity.
    error PointInvalid();
    /// A challenge fell on a point without interpolation (probability below 2^-240).
    error Degenerate();
    error PrecompileFailed();

    uint256 internal constant PROOF_BYTES = 0x6e0;

    // The proof, in the transcript's order. Points:
    uint256 private constant A = 0x000; // a, b, c, d, e
    uint256 private constant Z = 0x140; // permutation product
    uint256 private constant RANDOM = 0x180;
    uint256 private constant QUOTIENT = 0x1c0; // six pieces
    uint256 private constant POINTS = 13;
    // Scalars: a, b, c, d, e at x; a, b, c, e at ωx
    uint256 private constant A_EVAL = 0x340;
    uint256 private constant D_EVAL = 0x3a0;
    uint256 private constant E_EVAL = 0x3c0;
    uint256 private constant A_NEXT = 0x3e0;
    uint256 private constant B_NEXT = 0x400;
    uint256 private constant C_NEXT = 0x420;
    uint256 private constant E_NEXT = 0x440;
    uint256 private constant FIXED_EVAL = 0x460; // v, s, q1, q2, qa, qb, qc, qd
    uint256 private constant S_EVAL = 0x480;
    uint256 private constant Q1_EVAL = 0x4a0;
    uint256 private constant Q2_EVAL = 0x4c0;
    uint256 private constant QA_EVAL = 0x4e0;
    uint256 private constant QB_EVAL = 0x500;
    uint256 private constant QC_EVAL = 0x520;
    uint256 private constant QD_EVAL = 0x540;
    uint256 private constant RANDOM_EVAL = 0x560;
    uint256 private constant SIGMA_EVAL = 0x580; // five
    uint256 private constant Z_EVAL = 0x620;
    uint256 private constant Z_NEXT = 0x640;
    uint256 private constant SCALARS = 25;
    // Points of the opening.
    uint256 private constant W = 0x660;
    uint256 private constant W_PRIME = 0x6a0;

    // Challenges, in the order in which they are drawn (theta is not used).
    uint256 private constant BETA = 0x6e0;
    uint256 private constant GAMMA = 0x700;
    uint256 private constant Y = 0x720;
    uint256 private constant X = 0x740;
    uint256 private constant NU = 0x760; // SHPLONK's y: batches within a set of points
    uint256 private constant V = 0x780; // batches the sets
    uint256 private constant U = 0x7a0; // where the batch is opened

    uint256 private constant X_TO_N = 0x7c0;
    uint256 private constant L_0 = 0x7e0;
    uint256 private constant L_LAST = 0x800;
    uint256 private constant L_BLIND = 0x820;
    uint256 private constant INSTANCE_EVAL = 0x840;
    uint256 private constant QUOTIENT_EVAL = 0x860;

    // Inverted together; then room for that.
    uint256 private constant INV_LAST = 0x880; // x - ω^-6
    uint256 private constant INV_BLIND = 0x8a0; // Π (x - ω^-i), i = 1..5
    uint256 private constant INV_0 = 0x8c0; // x - 1
    uint256 private constant INV_INSTANCES = 0x8e0; // Π (x - ω^i) over the public words
    uint256 private constant INV_VANISHING = 0x900; // x^n - 1
    uint256 private constant INV_NEXT = 0x920; // x - ωx
    uint256 private constant INV_COUNT = 6;
    uint256 private constant SCRATCH = 0x940; // 12 words

    uint256 private constant SUM = 0xac0; // five words
    uint256 private constant WEIGHTS = 0xb60; // 13 words: of the proof's points, then of the key's
    uint256 private constant KEY = 0xd00;

    /// δ of halo2: generates the cosets that tell the permuted columns apart.
    uint256 private constant DELTA = 0x09226b6e22c6f0ca64ec26aad4c86e715b5f898e5e963f25870e56bbe533e9a2;
    // Poseidon's matrix, row by row (circuits/src/poseidon).
    uint256 private constant M_00 = 0x109b7f411ba0e4c9b2b70caf5c36a7b194be7c11ad24378bfedb68592ba8118b;
    uint256 private constant M_01 = 0x16ed41e13bb9c0c66ae119424fddbcbc9314dc9fdbdeea55d6c64543dc4903e0;
    uint256 private constant M_02 = 0x2b90bba00fca0589f617e7dcbfe82e0df706ab640ceb247b791a93b74e36736d;
    uint256 private constant M_10 = 0x2969f27eed31a480b9c36c764379dbca2cc8fdd1415c3dded62940bcde0bd771;
    uint256 private constant M_11 = 0x2e2419f9ec02ec394c9871c832963dc1b89d743c8c7b964029b2311687b1fe23;
    uint256 private constant M_12 = 0x101071f0032379b697315876690f053d148d4e109f5fb065c8aacc55a0f89bfa;
    uint256 private constant M_20 = 0x143021ec686a3f330d5f9e654638065ce6cd79e28c5b3753326244ee65a1b1a7;
    uint256 private constant M_21 = 0x176cc029695ad02582a70eff08a6fd99d057e12e58e7d7b6b16cdfabc8ee2911;
    uint256 private constant M_22 = 0x19a3fc0a56702bf417ba7fee3802593fa644470307043f7773279cd71d25d5e0;

    /// The accumulators of a proof: it holds if e(left + factor · [1]₁, [1]₂) = e(right, [τ]₂). The caller may have other
    /// multiples of the generator, so that this one is left to it.
    ///
    /// # Soundness
    /// The caller owes that pairing, with the [τ]₂ of the key, and trust in the circuit id.
    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content.
    /// @param instances public words.
    /// @param proof 1,760 bytes in the order of halo2's transcript.
    /// @return accumulators left.x, left.y, right.x, right.y, factor.
    function accumulate(bytes32 circuit, address key, uint256[] calldata instances, bytes calldata proof)
        external
        view
        returns (uint256[5] memory accumulators)
    {
        if (proof.length != PROOF_BYTES) revert ProofLength(PROOF_BYTES, proof.length);
        uint256 m;
        uint256 keyBytes = DataContract.size(key);
        if (keyBytes < KEY_OCCUPIED) revert KeyFormat();
        uint256 transcript;
        assembly ("memory-safe") {
            m := mload(0x40)
            transcript := add(add(m, KEY), keyBytes)
            // The transcript's longest message: key digest, public words, five points; or a digest and 25 scalars.
            mstore(0x40, add(transcript, add(shl(5, instances.length), 0x360)))
            calldatacopy(m, proof.offset, PROOF_BYTES)
        }
        DataContract.read(key, m + KEY, keyBytes);
        bytes32 digest;
        bytes32 magic;
        uint256 attribution;
        uint256 expected;
        assembly ("memory-safe") {
            digest := keccak256(add(m, KEY), keyBytes)
            magic := mload(add(add(m, KEY), KEY_MAGIC))
            attribution := mload(add(add(m, KEY), KEY_ATTRIBUTION))
            expected := mload(add(add(m, KEY), KEY_INSTANCES))
        }
        if (digest != circuit) revert KeyDigest();
        if (magic != KEY_MAGIC_VALUE) revert KeyFormat();
        if (attribution != 0 && !isIndexSize(attribution)) revert KeyFormat();
        // The index region's words stand before the commitments.
        uint256 shift = attribution == 0 ? 0 : KEY_INDEX_BYTES;
        if (keyBytes < KEY_OCCUPIED + shift) revert KeyFormat();
        // 1 / rows, ω, ω^-6: plus r they would be the same circuit under another id.
        if (!Bn254.areScalars(m + KEY + KEY_ROWS_INVERSE, 3)) revert KeyFormat();
        if (instances.length != expected) revert InstanceCount(expected, instances.length);
        if (!Bn254.areScalars(m + A_EVAL, SCALARS)) revert ScalarNotCanonical();
        if (!Bn254.areOnCurve(m + A, POINTS) || !Bn254.areOnCurve(m + W, 2)) revert PointInvalid();

        _drawChallenges(m, transcript, instances);
        // The public words now stand in memory after the transcript's first word, where the key's digest was.
        if (!Bn254.areScalars(transcript + 0x20, expected)) revert InstanceNotCanonical();
        _evaluatePublic(m, transcript + 0x20, expected);
        _evaluateQuotient(m);
        uint256 claimed = _weigh(m);
        if (!_open(m, m + KEY + KEY_FIXED + shift)) revert PrecompileFailed();
        assembly ("memory-safe") {
            mcopy(accumulators, add(m, SUM), 0x40)
            mcopy(add(accumulators, 0x40), add(m, W_PRIME), 0x40)
            mstore(add(accumulators, 0x80), mod(sub(R, claimed), R))
        }
    }

    /// Fiat–Shamir: a challenge is the Keccak-256 of the last digest and all words since, modulo r; a digest alone is
    /// followed by the byte 1.
    function _drawChallenges(uint256 m, uint256 transcript, uint256[] calldata instances) private pure {
        assembly ("memory-safe") {
            // Message after the digest in `at`'s first word.
            function draw(at, size, target) -> digest {
                digest := keccak256(at, size)
                mstore(target, mod(digest, R))
            }
            // The public words stay where they are: later messages are put behind them, each after its digest.
            let words := shl(5, instances.length)
            mstore(transcript, mload(add(add(m, KEY), KEY_TRANSCRIPT)))
            calldatacopy(add(transcript, 0x20), instances.offset, words)
            let at := add(add(transcript, 0x20), words)
            mcopy(at, m, 0x140)
            let digest := keccak256(transcript, add(words, 0x160)) // theta: not used
            mstore(at, digest)
            mstore8(add(at, 0x20), 1)
            digest := draw(at, 0x21, add(m, BETA))
            mstore(at, digest)
            digest := draw(at, 0x21, add(m, GAMMA))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, Z), 0x80) // the product and the random polynomial
            digest := draw(at, 0xa0, add(m, Y))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, QUOTIENT), 0x180)
            digest := draw(at, 0x1a0, add(m, X))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, A_EVAL), 0x320)
            digest := draw(at, 0x340, add(m, NU))
            mstore(at, digest)
            mstore8(add(at, 0x20), 1)
            digest := draw(at, 0x21, add(m, V))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, W), 0x40)
            digest := draw(at, 0x60, add(m, U))
        }
    }

    /// x^n, the Lagrange polynomials and the column of public words at x, and all inverses.
    ///
    /// l_i(x) = ω^i (x^n - 1) / (n (x - ω^i)); a sum of them is kept as one fraction.
    function _evaluatePublic(uint256 m, uint256 instances, uint256 count) private view {
        uint256 blindNumerator;
        uint256 instanceNumerator;
        assembly ("memory-safe") {
            let x := mload(add(m, X))
            let xn := x
            for { let i := mload(add(add(m, KEY), KEY_LOG_ROWS)) } i { i := sub(i, 1) } { xn := mulmod(xn, xn, R) }
            mstore(add(m, X_TO_N), xn)
            mstore(add(m, INV_VANISHING), addmod(xn, sub(R, 1), R))

            let omega := mload(add(add(m, KEY), KEY_OMEGA))
            let last := mload(add(add(m, KEY), KEY_OMEGA_LAST))
            mstore(add(m, INV_LAST), addmod(x, sub(R, last), R))
            let row := last
            let denominator := 1
            for { let i := 0 } lt(i, 5) { i := add(i, 1) } {
                row := mulmod(row, omega, R)
                let difference := addmod(x, sub(R, row), R)
                blindNumerator := addmod(mulmod(blindNumerator, difference, R), mulmod(row, denominator, R), R)
                denominator := mulmod(denominator, difference, R)
            }
            mstore(add(m, INV_BLIND), denominator)
            mstore(add(m, INV_0), addmod(x, sub(R, 1), R))

            row := 1
            denominator := 1
            for { let end := add(instances, shl(5, count)) } lt(instances, end) { instances := add(instances, 0x20) } {
                let difference := addmod(x, sub(R, row), R)
                instanceNumerator := addmod(
                    mulmod(instanceNumerator, difference, R),
                    mulmod(mulmod(mload(instances), row, R), denominator, R),
                    R
                )
                denominator := mulmod(denominator, difference, R)
                row := mulmod(row, omega, R)
            }
            mstore(add(m, INV_INSTANCES), denominator)

            mstore(add(m, INV_NEXT), addmod(x, sub(R, mulmod(x, omega, R)), R))
        }
        uint256 vanishing;
        assembly ("memory-safe") {
            vanishing := mload(add(m, INV_VANISHING))
        }
        if (!Bn254.invertAll(m + INV_LAST, INV_COUNT, m + SCRATCH)) revert Degenerate();
        assembly ("memory-safe") {
            let factor := mulmod(vanishing, mload(add(add(m, KEY), KEY_ROWS_INVERSE)), R)
            let last := mload(add(add(m, KEY), KEY_OMEGA_LAST))
            mstore(add(m, L_LAST), mulmod(factor, mulmod(last, mload(add(m, INV_LAST)), R), R))
            mstore(add(m, L_BLIND), mulmod(factor, mulmod(blindNumerator, mload(add(m, INV_BLIND)), R), R))
            mstore(add(m, L_0), mulmod(factor, mload(add(m, INV_0)), R))
            mstore(add(m, INSTANCE_EVAL), mulmod(factor, mulmod(instanceNumerator, mload(add(m, INV_INSTANCES)), R), R))
        }
    }

    /// What the quotient must be at x: all constraints batched by y, divided by x^n - 1.
    function _evaluateQuotient(uint256 m) private pure {
        uint256 h = _arithmeticGates(m);
        h = _poseidonGates(m, h);
        h = _permutation(m, h);
        assembly ("memory-safe") {
            mstore(add(m, QUOTIENT_EVAL), mulmod(h, mload(add(m, INV_VANISHING)), R))
        }
    }

    /// 6 v² (q1 a b + q2 c d + qa a + qb b + qc c + qd d + p - e') - v (v - 1) (v - 2) e with the public word p, and
    /// v (v² - 1) (t² - t) for t = a, b, c, d.
    function _arithmeticGates(uint256 m) private pure returns (uint256 h) {
        assembly ("memory-safe") {
            let a := mload(add(m, A_EVAL))
            let b := mload(add(m, add(A_EVAL, 0x20)))
            let c := mload(add(m, add(A_EVAL, 0x40)))
            let d := mload(add(m, D_EVAL))
            h := mulmod(mload(add(m, Q1_EVAL)), mulmod(a, b, R), R)
            h := addmod(h, mulmod(mload(add(m, Q2_EVAL)), mulmod(c, d, R), R), R)
            h := addmod(h, mulmod(mload(add(m, QA_EVAL)), a, R), R)
            h := addmod(h, mulmod(mload(add(m, QB_EVAL)), b, R), R)
            h := addmod(h, mulmod(mload(add(m, QC_EVAL)), c, R), R)
            h := addmod(h, mulmod(mload(add(m, QD_EVAL)), d, R), R)
            h := addmod(h, mload(add(m, INSTANCE_EVAL)), R)
            h := addmod(h, sub(R, mload(add(m, E_NEXT))), R)
            let v := mload(add(m, FIXED_EVAL))
            let square := mulmod(v, v, R)
            h := mulmod(mulmod(square, h, R), 6, R)
            let positive := mulmod(addmod(square, sub(R, v), R), addmod(v, sub(R, 2), R), R)
            h := addmod(h, sub(R, mulmod(positive, mload(add(m, E_EVAL)), R)), R)
            let y := mload(add(m, Y))
            v := mulmod(v, addmod(square, sub(R, 1), R), R)
            for { let t := add(m, A_EVAL) } lt(t, add(m, E_EVAL)) { t := add(t, 0x20) } {
                let value := mload(t)
                value := mulmod(value, addmod(value, sub(R, 1), R), R)
                h := addmod(mulmod(h, y, R), mulmod(v, value, R), R)
            }
        }
    }

    /// A full round: s (2 - s) (M (s + r)^5 - s'). Three partial rounds in one row: s (s - 1) times differences of the first
    /// element after each of the first two to d and e, and of the state after the third to the next row.
    function _poseidonGates(uint256 m, uint256 start) private pure returns (uint256 h) {
        assembly ("memory-safe") {
            function power5(t) -> result {
                let square := mulmod(t, t, R)
                result := mulmod(mulmod(square, square, R), t, R)
            }
            function mix(s, t, u) -> s_, t_, u_ {
                s_ := addmod(addmod(mulmod(M_00, s, R), mulmod(M_01, t, R), R), mulmod(M_02, u, R), R)
                t_ := addmod(addmod(mulmod(M_10, s, R), mulmod(M_11, t, R), R), mulmod(M_12, u, R), R)
                u_ := addmod(addmod(mulmod(M_20, s, R), mulmod(M_21, t, R), R), mulmod(M_22, u, R), R)
            }
            // selector (value - expected), batched
            function fold(sum, y, selector, value, expected) -> result {
                result := addmod(mulmod(sum, y, R), mulmod(selector, addmod(value, sub(R, expected), R), R), R)
            }
            h := start
            let y := mload(add(m, Y))
            {
                let selector := mload(add(m, S_EVAL))
                selector := mulmod(selector, addmod(2, sub(R, selector), R), R)
                let s, t, u :=
                    mix(
                        power5(addmod(mload(add(m, A_EVAL)), mload(add(m, QA_EVAL)), R)),
                        power5(addmod(mload(add(m, add(A_EVAL, 0x20))), mload(add(m, QB_EVAL)), R)),
                        power5(addmod(mload(add(m, add(A_EVAL, 0x40))), mload(add(m, QC_EVAL)), R))
                    )
                h := fold(h, y, selector, s, mload(add(m, A_NEXT)))
                h := fold(h, y, selector, t, mload(add(m, B_NEXT)))
                h := fold(h, y, selector, u, mload(add(m, C_NEXT)))
            }
            {
                let selector := mload(add(m, S_EVAL))
                selector := mulmod(selector, addmod(selector, sub(R, 1), R), R)
                let s, t, u :=
                    mix(
                        power5(addmod(mload(add(m, A_EVAL)), mload(add(m, QA_EVAL)), R)),
                        mload(add(m, add(A_EVAL, 0x20))),
                        mload(add(m, add(A_EVAL, 0x40)))
                    )
                h := fold(h, y, selector, s, mload(add(m, D_EVAL)))
                s := power5(addmod(mload(add(m, D_EVAL)), mload(add(m, QB_EVAL)), R))
                s, t, u := mix(s, t, u)
                h := fold(h, y, selector, s, mload(add(m, E_EVAL)))
                s := power5(addmod(mload(add(m, E_EVAL)), mload(add(m, QC_EVAL)), R))
                s, t, u := mix(s, t, u)
                h := fold(h, y, selector, s, mload(add(m, A_NEXT)))
                h := fold(h, y, selector, t, mload(add(m, B_NEXT)))
                h := fold(h, y, selector, u, mload(add(m, C_NEXT)))
            }
        }
    }

    /// l_0 (1 - z); l_last (z² - z); (1 - l_last - l_blind) (z(ωx) Π (t + β σ + γ) - z Π (t + δ^i β x + γ)).
    function _permutation(uint256 m, uint256 start) private pure returns (uint256 h) {
        assembly ("memory-safe") {
            h := start
            let y := mload(add(m, Y))
            let right := mload(add(m, Z_EVAL))
            let lLast := mload(add(m, L_LAST))
            h := addmod(mulmod(h, y, R), mulmod(mload(add(m, L_0)), addmod(1, sub(R, right), R), R), R)
            h := addmod(mulmod(h, y, R), mulmod(lLast, mulmod(right, addmod(right, sub(R, 1), R), R), R), R)

            let beta := mload(add(m, BETA))
            let gamma := mload(add(m, GAMMA))
            let coset := mulmod(beta, mload(add(m, X)), R)
            let left := mload(add(m, Z_NEXT))
            for { let i := 0 } lt(i, 0xa0) { i := add(i, 0x20) } {
                let value := addmod(mload(add(add(m, A_EVAL), i)), gamma, R)
                left := mulmod(left, addmod(value, mulmod(beta, mload(add(add(m, SIGMA_EVAL), i)), R), R), R)
                right := mulmod(right, addmod(value, coset, R), R)
                coset := mulmod(coset, DELTA, R)
            }
            let active := addmod(1, sub(R, addmod(lLast, mload(add(m, L_BLIND)), R)), R)
            h := addmod(mulmod(h, y, R), mulmod(active, addmod(left, sub(R, right), R), R), R)
        }
    }

    /// SHPLONK. Two sets of points, in the order in which their polynomials are first opened; ν batches within a set:
    ///   {x, ωx}:  a, b, c, e, z
    ///   {x}:      d, fixed columns, σ, quotient, random polynomial
    /// right side of the pairing = W', left side =
    ///   Σ_sets v^i Z_i(u) (Σ ν^j (C_j - r_j(u) [1])) - (u - x)(u - ωx) W + u W'
    /// with Z_i the vanishing polynomial of the points that are not in the set.
    ///
    /// Writes the weights of b, c, d, e, z, the random polynomial and the quotient's pieces, and adds up all r_j(u), weighted.
    function _weigh(uint256 m) private pure returns (uint256 claimed) {
        assembly ("memory-safe") {
            let nu := mload(add(m, NU))
            let x := mload(add(m, X))
            let u := mload(add(m, U))
            let offX := addmod(u, sub(R, x), R)
            let offNext := addmod(u, sub(R, mulmod(x, mload(add(add(m, KEY), KEY_OMEGA)), R)), R)

            // {x, ωx}: (r(x) (u - ωx) - r(ωx) (u - x)) / (x - ωx)
            let atX := addmod(mulmod(mload(add(m, Z_EVAL)), nu, R), mload(add(m, E_EVAL)), R)
            let atNext := addmod(mulmod(mload(add(m, Z_NEXT)), nu, R), mload(add(m, E_NEXT)), R)
            for { let i := 0x60 } i {} {
                i := sub(i, 0x20)
                atX := addmod(mulmod(atX, nu, R), mload(add(add(m, A_EVAL), i)), R)
                atNext := addmod(mulmod(atNext, nu, R), mload(add(add(m, A_NEXT), i)), R)
            }
            claimed := addmod(mulmod(atX, offNext, R), sub(R, mulmod(atNext, offX, R)), R)
            claimed := mulmod(claimed, mload(add(m, INV_NEXT)), R)
            let weights := add(m, WEIGHTS)
            let weight := mulmod(nu, nu, R)
            mstore(weights, nu) // b
            mstore(add(weights, 0x20), weight) // c
            weight := mulmod(weight, nu, R)
            mstore(add(weights, 0x60), weight) // e
            mstore(add(weights, 0x80), mulmod(weight, nu, R)) // z

            // {x}: v (u - ωx), Horner from the random polynomial down to d
            let value := addmod(mulmod(mload(add(m, RANDOM_EVAL)), nu, R), mload(add(m, QUOTIENT_EVAL)), R)
            for { let at := add(m, Z_EVAL) } gt(at, add(m, SIGMA_EVAL)) {} {
                at := sub(at, 0x20)
                value := addmod(mulmod(value, nu, R), mload(at), R)
            }
            for { let at := add(m, RANDOM_EVAL) } gt(at, add(m, FIXED_EVAL)) {} {
                at := sub(at, 0x20)
                value := addmod(mulmod(value, nu, R), mload(at), R)
            }
            value := addmod(mulmod(value, nu, R), mload(add(m, D_EVAL)), R)
            weight := mulmod(mload(add(m, V)), offNext, R)
            claimed := addmod(claimed, mulmod(weight, value, R), R)
            mstore(add(weights, 0x40), weight) // d
            // ν^14: after eight fixed columns and five σ
            let power := mulmod(nu, nu, R)
            power := mulmod(mulmod(power, power, R), mulmod(power, nu, R), R)
            weight := mulmod(weight, mulmod(power, power, R), R)
            mstore(add(weights, 0xa0), mulmod(weight, nu, R)) // the random polynomial
            let xn := mload(add(m, X_TO_N))
            for { let at := add(weights, 0xc0) } lt(at, add(weights, 0x180)) { at := add(at, 0x20) } {
                mstore(at, weight) // a piece
                weight := mulmod(weight, xn, R)
            }
        }
    }

    /// The left side but for the generator's multiple.
    function _open(uint256 m, uint256 commitments) private view returns (bool ok) {
        uint256 sum = m + SUM;
        uint256 weights = m + WEIGHTS;
        assembly ("memory-safe") {
            mcopy(sum, add(m, A), 0x40)
        }
        ok = Bn254.addTerms(sum, m + A + 0x40, weights, POINTS - 1);
        assembly ("memory-safe") {
            // The key's, after d.
            let nu := mload(add(m, NU))
            let weight := mload(add(weights, 0x40))
            for { let at := weights } lt(at, add(weights, 0x1a0)) { at := add(at, 0x20) } {
                weight := mulmod(weight, nu, R)
                mstore(at, weight)
            }
        }
        ok = ok && Bn254.addTerms(sum, commitments, weights, FIXED_COLUMNS + PERMUTED_COLUMNS);
        assembly ("memory-safe") {
            let x := mload(add(m, X))
            let u := mload(add(m, U))
            let next := mulmod(x, mload(add(add(m, KEY), KEY_OMEGA)), R)
            mstore(weights, sub(R, mulmod(addmod(u, sub(R, x), R), addmod(u, sub(R, next), R), R)))
            mstore(add(weights, 0x20), u)
        }
        ok = ok && Bn254.addTerms(sum, m + W, weights, 2);
    }
}
