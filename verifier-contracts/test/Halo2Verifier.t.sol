// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DataContract} from "../src/DataContract.sol";
import {P, R} from "../src/Bn254.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {KEY_ATTRIBUTION, KEY_FIXED, KEY_INDEX_BYTES, KEY_OCCUPIED, KEY_OMEGA} from "../src/SettlementKey.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";

contract Halo2VerifierTest is Fixture {
    struct Vector {
        bytes32 circuit;
        address key;
        bytes content;
        uint256[] instances;
        bytes proof;
    }

    uint256 private constant POINT_WORDS = 26;
    uint256 private constant SCALAR_END = 51;
    uint256 private constant WORDS = 55;

    function setUp() public {
        _deploy();
    }

    function _vector() private returns (Vector memory v) {
        string memory json = _read("halo2-toy");
        v.circuit = vm.parseJsonBytes32(json, ".circuit");
        v.content = vm.parseJsonBytes(json, ".key");
        v.key = DataContract.store(v.content);
        v.instances = vm.parseJsonUintArray(json, ".instances");
        v.proof = vm.parseJsonBytes(json, ".proof");
    }

    function _word(bytes memory data, uint256 index) private pure returns (uint256 word) {
        assembly {
            word := mload(add(add(data, 0x20), shl(5, index)))
        }
    }

    function _setWord(bytes memory data, uint256 index, uint256 word) private pure {
        assembly {
            mstore(add(add(data, 0x20), shl(5, index)), word)
        }
    }

    function _isPoint(uint256 index) private pure returns (bool) {
        return index < POINT_WORDS || index >= SCALAR_END;
    }

    /// Accepted without a revert, and e(left, [1]) = e(right, [τ]).
    function _holds(Vector memory v) private view returns (bool ok) {
        try halo2.accumulate(v.circuit, v.key, v.instances, v.proof) returns (uint256[5] memory a) {
            // The generator's multiple is the caller's.
            (bool success, bytes memory term) = address(7).staticcall(abi.encode(1, 2, a[4]));
            assertTrue(success, "multiplication");
            (success, term) = address(6).staticcall(bytes.concat(abi.encode(a[0], a[1]), term));
            assertTrue(success, "addition");
            (uint256 x, uint256 y) = abi.decode(term, (uint256, uint256));
            uint256[12] memory input = [
                x,
                y,
                0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2,
                0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed,
                0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b,
                0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa,
                a[2],
                P - a[3],
                _word(v.content, 7),
                _word(v.content, 8),
                _word(v.content, 9),
                _word(v.content, 10)
            ];
            assembly {
                success := staticcall(gas(), 8, input, 0x180, 0, 0x20)
                ok := and(success, eq(mload(0), 1))
            }
        } catch {
            ok = false;
        }
    }

    function test_accepts() public {
        Vector memory v = _vector();
        bytes memory call = abi.encodeCall(Halo2Verifier.accumulate, (v.circuit, v.key, v.instances, v.proof));
        (bool ok,, uint256 used) = Testing.measured(address(halo2), call);
        vm.snapshotValue("halo2", "25 public words", used);
        assertTrue(ok, "accumulates");
        assertTrue(_holds(v), "pairing");
    }

    /// The least change of each word of the proof.
    function test_everyProofWordCounts() public {
        Vector memory v = _vector();
        for (uint256 i = 0; i < WORDS; ++i) {
            uint256 word = _word(v.proof, i);
            _setWord(v.proof, i, addmod(word, 1, _isPoint(i) ? P : R));
            assertTrue(!_holds(v), string.concat("word ", vm.toString(i)));
            _setWord(v.proof, i, word);
        }
    }

    /// A point replaced by another one of the curve, by its negative, and by infinity.
    function test_everyProofPointCounts() public {
        Vector memory v = _vector();
        for (uint256 i = 0; i < WORDS; i += 2) {
            if (!_isPoint(i)) i = SCALAR_END;
            (uint256 x, uint256 y) = (_word(v.proof, i), _word(v.proof, i + 1));
            _setWord(v.proof, i + 1, P - y);
            assertTrue(!_holds(v), "negative");
            _setWord(v.proof, i, 1);
            _setWord(v.proof, i + 1, 2);
            assertTrue(!_holds(v), "generator");
            _setWord(v.proof, i, 0);
            _setWord(v.proof, i + 1, 0);
            _expectRejected(v, Halo2Verifier.PointInvalid.selector);
            _setWord(v.proof, i, x + P);
            _setWord(v.proof, i + 1, y);
            _expectRejected(v, Halo2Verifier.PointInvalid.selector);
            _setWord(v.proof, i, x);
            _setWord(v.proof, i + 1, y + P);
            _expectRejected(v, Halo2Verifier.PointInvalid.selector);
            _setWord(v.proof, i + 1, y);
        }
    }

    function test_scalarsAreCanonical() public {
        Vector memory v = _vector();
        for (uint256 i = POINT_WORDS; i < SCALAR_END; ++i) {
            uint256 word = _word(v.proof, i);
            _setWord(v.proof, i, word + R);
            _expectRejected(v, Halo2Verifier.ScalarNotCanonical.selector);
            _setWord(v.proof, i, word);
        }
        for (uint256 i = 0; i < v.instances.length; ++i) {
            v.instances[i] += R;
            _expectRejected(v, Halo2Verifier.InstanceNotCanonical.selector);
            v.instances[i] -= R;
        }
    }

    function test_everyPublicWordCounts() public {
        Vector memory v = _vector();
        for (uint256 i = 0; i < v.instances.length; ++i) {
            uint256 word = v.instances[i];
            v.instances[i] = addmod(word, 1, R);
            assertTrue(!_holds(v), vm.toString(i));
            v.instances[i] = word;
        }
        (v.instances[0], v.instances[1]) = (v.instances[1], v.instances[0]);
        assertTrue(!_holds(v), "swapped");
    }

    function test_exchangedScalarsAndPoints() public {
        Vector memory v = _vector();
        for (uint256 i = POINT_WORDS; i + 1 < SCALAR_END; ++i) {
            (uint256 a, uint256 b) = (_word(v.proof, i), _word(v.proof, i + 1));
            _setWord(v.proof, i, b);
            _setWord(v.proof, i + 1, a);
            assertTrue(a == b || !_holds(v), vm.toString(i));
            _setWord(v.proof, i, a);
            _setWord(v.proof, i + 1, b);
        }
        for (uint256 i = 0; i + 3 < POINT_WORDS; i += 2) {
            for (uint256 j = 0; j < 2; ++j) {
                uint256 a = _word(v.proof, i + j);
                _setWord(v.proof, i + j, _word(v.proof, i + j + 2));
                _setWord(v.proof, i + j + 2, a);
            }
            assertTrue(!_holds(v), vm.toString(i));
            for (uint256 j = 0; j < 2; ++j) {
                uint256 a = _word(v.proof, i + j);
                _setWord(v.proof, i + j, _word(v.proof, i + j + 2));
                _setWord(v.proof, i + j + 2, a);
            }
        }
    }

    function testFuzz_flippedBit(uint256 bit) public {
        Vector memory v = _vector();
        bit %= WORDS * 256;
        _setWord(v.proof, bit / 256, _word(v.proof, bit / 256) ^ (1 << (bit % 256)));
        assertTrue(!_holds(v), vm.toString(bit));
    }

    function testFuzz_randomProofIsRejectedCheaply(bytes32 seed) public {
        Vector memory v = _vector();
        for (uint256 i = 0; i < WORDS; ++i) {
            _setWord(v.proof, i, uint256(keccak256(abi.encode(seed, i))) % R);
        }
        _expectRejected(v, Halo2Verifier.PointInvalid.selector);
    }

    function test_lengths() public {
        Vector memory v = _vector();
        bytes memory proof = v.proof;
        v.proof = bytes.concat(proof, hex"00");
        _expectRejected(v, Halo2Verifier.ProofLength.selector);
        v.proof = "";
        _expectRejected(v, Halo2Verifier.ProofLength.selector);
        v.proof = proof;
        v.instances = new uint256[](v.instances.length + 1);
        _expectRejected(v, Halo2Verifier.InstanceCount.selector);
        v.instances = new uint256[](0);
        _expectRejected(v, Halo2Verifier.InstanceCount.selector);
    }

    function test_keyMustBeTheCircuits() public {
        Vector memory v = _vector();
        bytes32 circuit = v.circuit;
        address key = v.key;
        v.circuit = bytes32(uint256(circuit) ^ 1);
        _expectRejected(v, Halo2Verifier.KeyDigest.selector);
        v.circuit = circuit;
        v.key = address(0xdead);
        _expectRejected(v, Halo2Verifier.KeyFormat.selector);
        // Each word of the key: under the true id, and under the id of the changed key.
        for (uint256 i = 0; i < v.content.length / 32; ++i) {
            uint256 word = _word(v.content, i);
            _setWord(v.content, i, word ^ 1);
            vm.etch(address(0xdada), bytes.concat(hex"00", v.content));
            v.key = address(0xdada);
            v.circuit = circuit;
            _expectRejected(v, Halo2Verifier.KeyDigest.selector);
            // Words that belong to LoricaVerifier do not enter the halo2 check.
            if (i < 7 || i == 15 || (i >= 26 && i < 52)) {
                v.circuit = keccak256(v.content);
                assertTrue(!_holds(v), vm.toString(i));
            }
            _setWord(v.content, i, word);
        }
        // Another [τ]₂.
        v.key = key;
        v.circuit = circuit;
        _setWord(v.content, 7, 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2);
        _setWord(v.content, 8, 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed);
        _setWord(v.content, 9, 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b);
        _setWord(v.content, 10, 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa);
        assertTrue(!_holds(v), "another tau");
    }

    /// The content so long, with zeros behind it if it is longer, under its own id.
    function _resize(Vector memory v, uint256 length) private {
        bytes memory content = new bytes(length);
        for (uint256 i = 0; i < length && i < v.content.length; ++i) {
            content[i] = v.content[i];
        }
        (v.circuit, v.key) = (keccak256(content), DataContract.store(content));
    }

    /// Keys that end before their commitments do, which would then be what a caller's words lie there.
    function test_keysThatAreTooShort() public {
        Vector memory v = _vector();
        uint256[3] memory plain = [KEY_OCCUPIED - 1, KEY_OCCUPIED - 32, 0x20];
        for (uint256 i = 0; i < 3; ++i) {
            _resize(v, plain[i]);
            _expectRejected(v, Halo2Verifier.KeyFormat.selector);
        }
        _setWord(v.content, KEY_ATTRIBUTION / 32, 11);
        uint256[3] memory attributing = [KEY_OCCUPIED, KEY_OCCUPIED + 32, KEY_OCCUPIED + KEY_INDEX_BYTES - 1];
        for (uint256 i = 0; i < 3; ++i) {
            _resize(v, attributing[i]);
            _expectRejected(v, Halo2Verifier.KeyFormat.selector);
        }
    }

    /// A key whose generator is 1: x and ωx are one point.
    function test_nothingToInterpolate() public {
        Vector memory v = _vector();
        _setWord(v.content, KEY_OMEGA / 32, 1);
        (v.circuit, v.key) = (keccak256(v.content), DataContract.store(v.content));
        _expectRejected(v, Halo2Verifier.Degenerate.selector);
    }

    /// A key's commitment that is off the curve, each of them.
    function test_commitmentsOffTheCurve() public {
        Vector memory v = _vector();
        for (uint256 i = KEY_FIXED / 32; i < KEY_OCCUPIED / 32; i += 2) {
            uint256 word = _word(v.content, i);
            _setWord(v.content, i, word ^ 1);
            (v.circuit, v.key) = (keccak256(v.content), DataContract.store(v.content));
            bytes memory call = abi.encodeCall(Halo2Verifier.accumulate, (v.circuit, v.key, v.instances, v.proof));
            (bool ok, bytes memory reason) = address(halo2).staticcall(call);
            assertTrue(!ok && bytes4(reason) == Halo2Verifier.PrecompileFailed.selector, vm.toString(i));
            _setWord(v.content, i, word);
        }
    }

    function _expectRejected(Vector memory v, bytes4 selector) private view {
        bytes memory call = abi.encodeCall(Halo2Verifier.accumulate, (v.circuit, v.key, v.instances, v.proof));
        uint256 before = gasleft();
        (bool ok, bytes memory reason) = address(halo2).staticcall(call);
        assertTrue(before - gasleft() < 60_000, "malformed input is cheap");
        assertTrue(!ok && bytes4(reason) == selector, "rejected with its reason");
    }
}
