// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bn254, P, R} from "./Bn254.sol";
import {DataContract} from "./DataContract.sol";
import {
    KEY_LOG_ROWS,
    KEY_ROWS_INVERSE,
    KEY_OMEGA,
    KEY_OMEGA_LAST,
    KEY_INSTANCES,
    KEY_TRANSCRIPT,
    KEY_FIXED,
    KEY_OCCUPIED,
    KEY_MAGIC,
    KEY_MAGIC_VALUE
} from "./SettlementKey.sol";

/// Verifies halo2 proofs (KZG over BN254, SHPLONK of Boneh, Drake, Fisch, Gabizon, eprint 2020/081) of the settlement
/// circuit's gate set, for any key, up to the pairing.
///
/// Five advice columns a to e, eleven fixed ones, one column of public words, permutation sets {a, b, c, d} and
/// {e, public words}, quotient in five pieces. Transcript: Keccak-256 over 32-byte words, as snark-verifier's.
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

    uint256 internal constant PROOF_BYTES = 0x7c0;

    // The proof, in the transcript's order. Points:
    uint256 private constant A = 0x000; // a, b, c, d, e
    uint256 private constant D = 0x0c0;
    uint256 private constant E = 0x100;
    uint256 private constant Z_0 = 0x140; // permutation products
    uint256 private constant Z_1 = 0x180;
    uint256 private constant RANDOM = 0x1c0;
    uint256 private constant QUOTIENT = 0x200; // five pieces
    // Scalars: a, b, c, d, e at x; a, b, c, e at ωx
    uint256 private constant A_EVAL = 0x340;
    uint256 private constant D_EVAL = 0x3a0;
    uint256 private constant E_EVAL = 0x3c0;
    uint256 private constant A_NEXT = 0x3e0;
    uint256 private constant B_NEXT = 0x400;
    uint256 private constant C_NEXT = 0x420;
    uint256 private constant E_NEXT = 0x440;
    uint256 private constant FIXED_EVAL = 0x460; // eleven
    uint256 private constant RANDOM_EVAL = 0x5c0;
    uint256 private constant SIGMA_EVAL = 0x5e0; // six
    uint256 private constant Z_0_EVAL = 0x6a0;
    uint256 private constant Z_0_NEXT = 0x6c0;
    uint256 private constant Z_0_LAST = 0x6e0;
    uint256 private constant Z_1_EVAL = 0x700;
    uint256 private constant Z_1_NEXT = 0x720;
    // Points of the opening.
    uint256 private constant W = 0x740;
    uint256 private constant W_PRIME = 0x780;

    // Challenges, in the order in which they are drawn (theta is not used).
    uint256 private constant BETA = 0x7c0;
    uint256 private constant GAMMA = 0x7e0;
    uint256 private constant Y = 0x800;
    uint256 private constant X = 0x820;
    uint256 private constant NU = 0x840; // SHPLONK's y: batches within a set of points
    uint256 private constant V = 0x860; // batches the sets
    uint256 private constant U = 0x880; // where the batch is opened

    uint256 private constant X_TO_N = 0x8a0;
    uint256 private constant L_0 = 0x8c0;
    uint256 private constant L_LAST = 0x8e0;
    uint256 private constant L_BLIND = 0x900;
    uint256 private constant INSTANCE_EVAL = 0x920;
    uint256 private constant QUOTIENT_EVAL = 0x940;

    // Inverted together; then room for that.
    uint256 private constant INV_LAST = 0x960; // x - ω^-6
    uint256 private constant INV_BLIND = 0x980; // Π (x - ω^-i), i = 1..5
    uint256 private constant INV_0 = 0x9a0; // x - 1
    uint256 private constant INV_INSTANCES = 0x9c0; // Π (x - ω^i) over the public words
    uint256 private constant INV_VANISHING = 0x9e0; // x^n - 1
    uint256 private constant INV_U = 0xa00; // u - ω^-6 x
    uint256 private constant INV_NEXT = 0xa20; // x - ωx
    uint256 private constant INV_X_LAST = 0xa40; // x - ω^-6 x
    uint256 private constant INV_NEXT_LAST = 0xa60; // ωx - ω^-6 x
    uint256 private constant INV_COUNT = 9;
    uint256 private constant SCRATCH = 0xa80; // 15 words

    uint256 private constant SUM = 0xc60; // five words
    uint256 private constant GENERATOR = 0xd00;
    uint256 private constant KEY = 0xd40;

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

    /// The accumulators of a proof: it holds if e(left, [1]₂) = e(right, [τ]₂).
    ///
    /// # Soundness
    /// The caller owes that pairing, with the [τ]₂ of the key, and trust in the circuit id.
    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content.
    /// @param instances public words.
    /// @param proof 1,984 bytes in the order of halo2's transcript.
    /// @return accumulators left.x, left.y, right.x, right.y.
    function accumulate(bytes32 circuit, address key, uint256[] calldata instances, bytes calldata proof)
        external
        view
        returns (uint256[4] memory accumulators)
    {
        if (proof.length != PROOF_BYTES) revert ProofLength(PROOF_BYTES, proof.length);
        uint256 m;
        uint256 keyBytes = DataContract.size(key);
        if (keyBytes < KEY_OCCUPIED) revert KeyFormat();
        uint256 transcript;
        assembly ("memory-safe") {
            m := mload(0x40)
            transcript := add(add(m, KEY), keyBytes)
            // The transcript's longest message: key digest, public words, five points; or a digest and 32 scalars.
            mstore(0x40, add(transcript, add(shl(5, instances.length), 0x460)))
            calldatacopy(m, proof.offset, PROOF_BYTES)
        }
        DataContract.read(key, m + KEY, keyBytes);
        bytes32 digest;
        bytes32 magic;
        uint256 expected;
        assembly ("memory-safe") {
            digest := keccak256(add(m, KEY), keyBytes)
            magic := mload(add(add(m, KEY), KEY_MAGIC))
            expected := mload(add(add(m, KEY), KEY_INSTANCES))
        }
        if (digest != circuit) revert KeyDigest();
        if (magic != KEY_MAGIC_VALUE) revert KeyFormat();
        // 1 / rows, ω, ω^-6: plus r they would be the same circuit under another id.
        if (!Bn254.areScalars(m + KEY + KEY_ROWS_INVERSE, 3)) revert KeyFormat();
        if (instances.length != expected) revert InstanceCount(expected, instances.length);
        if (!Bn254.areScalars(m + A_EVAL, 32)) revert ScalarNotCanonical();
        if (!Bn254.areOnCurve(m + A, 13) || !Bn254.areOnCurve(m + W, 2)) revert PointInvalid();

        _drawChallenges(m, transcript, instances);
        // The public words now stand in memory after the transcript's first word, where the key's digest was.
        if (!Bn254.areScalars(transcript + 0x20, expected)) revert InstanceNotCanonical();
        _evaluatePublic(m, transcript + 0x20, expected);
        _evaluateQuotient(m);
        if (!_open(m)) revert PrecompileFailed();
        assembly ("memory-safe") {
            mcopy(accumulators, add(m, SUM), 0x40)
            mcopy(add(accumulators, 0x40), add(m, W_PRIME), 0x40)
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
            mcopy(add(at, 0x20), add(m, Z_0), 0xc0) // both products and the random polynomial
            digest := draw(at, 0xe0, add(m, Y))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, QUOTIENT), 0x140)
            digest := draw(at, 0x160, add(m, X))
            mstore(at, digest)
            mcopy(add(at, 0x20), add(m, A_EVAL), 0x400)
            digest := draw(at, 0x420, add(m, NU))
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

            let next := mulmod(x, omega, R)
            last := mulmod(x, last, R)
            mstore(add(m, INV_U), addmod(mload(add(m, U)), sub(R, last), R))
            mstore(add(m, INV_NEXT), addmod(x, sub(R, next), R))
            mstore(add(m, INV_X_LAST), addmod(x, sub(R, last), R))
            mstore(add(m, INV_NEXT_LAST), addmod(next, sub(R, last), R))
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

    /// v (qp e + q1 a b + q2 c d + qa a + qb b + qc c + qd d + k - e'), and v (v - 1)(t² - t) for t = a, b, c, d.
    function _arithmeticGates(uint256 m) private pure returns (uint256 h) {
        assembly ("memory-safe") {
            let fixed_ := add(m, FIXED_EVAL)
            let a := mload(add(m, A_EVAL))
            let b := mload(add(m, add(A_EVAL, 0x20)))
            let c := mload(add(m, add(A_EVAL, 0x40)))
            let d := mload(add(m, D_EVAL))
            h := mulmod(mload(add(fixed_, 0x60)), mload(add(m, E_EVAL)), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0x80)), mulmod(a, b, R), R), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0xa0)), mulmod(c, d, R), R), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0xc0)), a, R), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0xe0)), b, R), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0x100)), c, R), R)
            h := addmod(h, mulmod(mload(add(fixed_, 0x120)), d, R), R)
            h := addmod(h, mload(add(fixed_, 0x140)), R)
            h := addmod(h, sub(R, mload(add(m, E_NEXT))), R)
            let v := mload(fixed_)
            h := mulmod(v, h, R)
            let y := mload(add(m, Y))
            v := mulmod(v, addmod(v, sub(R, 1), R), R)
            for { let t := add(m, A_EVAL) } lt(t, add(m, E_EVAL)) { t := add(t, 0x20) } {
                let value := mload(t)
                value := mulmod(value, addmod(value, sub(R, 1), R), R)
                h := addmod(mulmod(h, y, R), mulmod(v, value, R), R)
            }
        }
    }

    /// A full round: s_full (M (s + r)^5 - s'). Three partial rounds in one row: s_part times differences of the first
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
                let selector := mload(add(m, add(FIXED_EVAL, 0x20)))
                let s, t, u :=
                    mix(
                        power5(addmod(mload(add(m, A_EVAL)), mload(add(m, add(FIXED_EVAL, 0xc0))), R)),
                        power5(addmod(mload(add(m, add(A_EVAL, 0x20))), mload(add(m, add(FIXED_EVAL, 0xe0))), R)),
                        power5(addmod(mload(add(m, add(A_EVAL, 0x40))), mload(add(m, add(FIXED_EVAL, 0x100))), R))
                    )
                h := fold(h, y, selector, s, mload(add(m, A_NEXT)))
                h := fold(h, y, selector, t, mload(add(m, B_NEXT)))
                h := fold(h, y, selector, u, mload(add(m, C_NEXT)))
            }
            {
                let selector := mload(add(m, add(FIXED_EVAL, 0x40)))
                let s, t, u :=
                    mix(
                        power5(addmod(mload(add(m, A_EVAL)), mload(add(m, add(FIXED_EVAL, 0xc0))), R)),
                        mload(add(m, add(A_EVAL, 0x20))),
                        mload(add(m, add(A_EVAL, 0x40)))
                    )
                h := fold(h, y, selector, s, mload(add(m, D_EVAL)))
                s := power5(addmod(mload(add(m, D_EVAL)), mload(add(m, add(FIXED_EVAL, 0xe0))), R))
                s, t, u := mix(s, t, u)
                h := fold(h, y, selector, s, mload(add(m, E_EVAL)))
                s := power5(addmod(mload(add(m, E_EVAL)), mload(add(m, add(FIXED_EVAL, 0x100))), R))
                s, t, u := mix(s, t, u)
                h := fold(h, y, selector, s, mload(add(m, A_NEXT)))
                h := fold(h, y, selector, t, mload(add(m, B_NEXT)))
                h := fold(h, y, selector, u, mload(add(m, C_NEXT)))
            }
        }
    }

    /// l_0 (1 - z0); l_last (z1² - z1); l_0 (z1 - z0(ω^-6 x)); and for both sets
    /// (1 - l_last - l_blind) (z(ωx) Π (t + β σ + γ) - z Π (t + δ^i β x + γ)).
    function _permutation(uint256 m, uint256 start) private pure returns (uint256 h) {
        assembly ("memory-safe") {
            h := start
            let y := mload(add(m, Y))
            let z0 := mload(add(m, Z_0_EVAL))
            let z1 := mload(add(m, Z_1_EVAL))
            let l0 := mload(add(m, L_0))
            let lLast := mload(add(m, L_LAST))
            h := addmod(mulmod(h, y, R), mulmod(l0, addmod(1, sub(R, z0), R), R), R)
            h := addmod(mulmod(h, y, R), mulmod(lLast, mulmod(z1, addmod(z1, sub(R, 1), R), R), R), R)
            h := addmod(mulmod(h, y, R), mulmod(l0, addmod(z1, sub(R, mload(add(m, Z_0_LAST))), R), R), R)
            let active := addmod(1, sub(R, addmod(lLast, mload(add(m, L_BLIND)), R)), R)

            let beta := mload(add(m, BETA))
            let gamma := mload(add(m, GAMMA))
            let coset := mulmod(beta, mload(add(m, X)), R)
            let left := mload(add(m, Z_0_NEXT))
            let right := z0
            for { let i := 0 } lt(i, 0x80) { i := add(i, 0x20) } {
                let value := addmod(mload(add(add(m, A_EVAL), i)), gamma, R)
                left := mulmod(left, addmod(value, mulmod(beta, mload(add(add(m, SIGMA_EVAL), i)), R), R), R)
                right := mulmod(right, addmod(value, coset, R), R)
                coset := mulmod(coset, DELTA, R)
            }
            h := addmod(mulmod(h, y, R), mulmod(active, addmod(left, sub(R, right), R), R), R)

            let value := addmod(mload(add(m, E_EVAL)), gamma, R)
            left := mulmod(
                mload(add(m, Z_1_NEXT)),
                addmod(value, mulmod(beta, mload(add(m, add(SIGMA_EVAL, 0x80))), R), R),
                R
            )
            right := mulmod(z1, addmod(value, coset, R), R)
            coset := mulmod(coset, DELTA, R)
            value := addmod(mload(add(m, INSTANCE_EVAL)), gamma, R)
            left := mulmod(left, addmod(value, mulmod(beta, mload(add(m, add(SIGMA_EVAL, 0xa0))), R), R), R)
            right := mulmod(right, addmod(value, coset, R), R)
            h := addmod(mulmod(h, y, R), mulmod(active, addmod(left, sub(R, right), R), R), R)
        }
    }

    /// SHPLONK. Three sets of points, in the order in which their polynomials are first opened; ν batches within a set:
    ///   {x, ωx}:         a, b, c, e, z1
    ///   {x}:             d, fixed columns, σ, quotient, random polynomial
    ///   {x, ωx, ω^-6 x}: z0
    /// right side of the pairing = W', left side =
    ///   Σ_sets v^i Z_i(u) / Z_0(u) (Σ ν^j (C_j - r_j(u) [1])) - (u - x)(u - ωx) W + u W'
    /// with Z_i the vanishing polynomial of the points that are not in the set.
    function _open(uint256 m) private view returns (bool ok) {
        uint256 sum = m + SUM;
        uint256 nu;
        uint256 offX;
        uint256 offNext;
        uint256 claimed; // Σ of all r_j(u), weighted
        assembly ("memory-safe") {
            nu := mload(add(m, NU))
            let x := mload(add(m, X))
            let u := mload(add(m, U))
            offX := addmod(u, sub(R, x), R)
            offNext := addmod(u, sub(R, mulmod(x, mload(add(add(m, KEY), KEY_OMEGA)), R)), R)
            mcopy(sum, add(m, A), 0x40)

            // {x, ωx}: (r(x) (u - ωx) - r(ωx) (u - x)) / (x - ωx)
            let atX := mload(add(m, Z_1_EVAL))
            let atNext := mload(add(m, Z_1_NEXT))
            atX := addmod(mulmod(atX, nu, R), mload(add(m, E_EVAL)), R)
            atNext := addmod(mulmod(atNext, nu, R), mload(add(m, E_NEXT)), R)
            for { let i := 0x60 } i {} {
                i := sub(i, 0x20)
                atX := addmod(mulmod(atX, nu, R), mload(add(add(m, A_EVAL), i)), R)
                atNext := addmod(mulmod(atNext, nu, R), mload(add(add(m, A_NEXT), i)), R)
            }
            claimed := addmod(mulmod(atX, offNext, R), sub(R, mulmod(atNext, offX, R)), R)
            claimed := mulmod(claimed, mload(add(m, INV_NEXT)), R)
        }
        uint256 weight = nu;
        ok = Bn254.addTerm(sum, m + A + 0x40, weight);
        weight = mulmod(weight, nu, R);
        ok = Bn254.addTerm(sum, m + A + 0x80, weight) && ok;
        weight = mulmod(weight, nu, R);
        ok = Bn254.addTerm(sum, m + E, weight) && ok;
        weight = mulmod(weight, nu, R);
        ok = Bn254.addTerm(sum, m + Z_1, weight) && ok;
        if (!ok) return false;

        // {x}: v (u - ωx)
        uint256 v;
        assembly ("memory-safe") {
            v := mload(add(m, V))
            weight := mulmod(v, offNext, R)
            claimed := addmod(claimed, mulmod(weight, mload(add(m, D_EVAL)), R), R)
        }
        ok = Bn254.addTerm(sum, m + D, weight);
        // Eleven fixed columns and six σ: their commitments lie together, between their values lies the random one's.
        for (uint256 i = 0; i < 17; ++i) {
            assembly ("memory-safe") {
                weight := mulmod(weight, nu, R)
                let value := mload(add(add(m, FIXED_EVAL), shl(5, add(i, gt(i, 10)))))
                claimed := addmod(claimed, mulmod(weight, value, R), R)
            }
            ok = Bn254.addTerm(sum, m + KEY + KEY_FIXED + (i << 6), weight) && ok;
        }
        if (!ok) return false;
        uint256 power;
        uint256 xn;
        assembly ("memory-safe") {
            weight := mulmod(weight, nu, R)
            claimed := addmod(claimed, mulmod(weight, mload(add(m, QUOTIENT_EVAL)), R), R)
            power := weight
            xn := mload(add(m, X_TO_N))
        }
        for (uint256 i = 0; i < 5; ++i) {
            ok = Bn254.addTerm(sum, m + QUOTIENT + (i << 6), power) && ok;
            power = mulmod(power, xn, R);
        }
        assembly ("memory-safe") {
            weight := mulmod(weight, nu, R)
            claimed := addmod(claimed, mulmod(weight, mload(add(m, RANDOM_EVAL)), R), R)
        }
        ok = Bn254.addTerm(sum, m + RANDOM, weight) && ok;

        // {x, ωx, ω^-6 x}: v² / (u - ω^-6 x)
        uint256 minusZero;
        uint256 u;
        assembly ("memory-safe") {
            u := mload(add(m, U))
            let inverseU := mload(add(m, INV_U))
            let inverseNext := mload(add(m, INV_NEXT))
            let inverseLast := mload(add(m, INV_X_LAST))
            let inverseNextLast := mload(add(m, INV_NEXT_LAST))
            weight := mulmod(mulmod(v, v, R), inverseU, R)
            let both := mulmod(offX, offNext, R)
            minusZero := sub(R, both)
            let last := mulmod(mload(add(m, X)), mload(add(add(m, KEY), KEY_OMEGA_LAST)), R)
            let offLast := addmod(u, sub(R, last), R)
            let value :=
                mulmod(
                    mload(add(m, Z_0_EVAL)),
                    mulmod(mulmod(offNext, offLast, R), mulmod(inverseNext, inverseLast, R), R),
                    R
                )
            let atNext :=
                mulmod(
                    mload(add(m, Z_0_NEXT)),
                    mulmod(mulmod(offX, offLast, R), mulmod(inverseNext, inverseNextLast, R), R),
                    R
                )
            value := addmod(value, sub(R, atNext), R)
            let atLast := mulmod(mload(add(m, Z_0_LAST)), mulmod(both, mulmod(inverseLast, inverseNextLast, R), R), R)
            value := addmod(value, atLast, R)
            claimed := addmod(claimed, mulmod(weight, value, R), R)
            mstore(add(m, GENERATOR), 1)
            mstore(add(m, add(GENERATOR, 0x20)), 2)
        }
        ok = Bn254.addTerm(sum, m + Z_0, weight) && ok;
        ok = Bn254.addTerm(sum, m + GENERATOR, R - claimed) && ok;
        ok = Bn254.addTerm(sum, m + W, minusZero) && ok;
        ok = Bn254.addTerm(sum, m + W_PRIME, u) && ok;
    }
}
