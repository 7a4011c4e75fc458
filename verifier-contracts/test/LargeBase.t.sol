// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point, R} from "../src/Bn254.sol";
import {DataContract} from "../src/DataContract.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {GroupClaim} from "../src/GroupClaim.sol";
import {OUTPUT_EMBED} from "../src/OutputKind.sol";
import {FAMILY_ENCODER} from "../src/Records.sol";
import {Opening, Request, Settlement} from "../src/Settlement.sol";
import {
    KEY_ADAPTER,
    KEY_ARCHITECTURE,
    KEY_BASE,
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
} from "../src/SettlementKey.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";

/// A halo2 proof of whatever is asked: both accumulators are infinity, the factor is zero.
contract AnyHalo2 {
    fallback() external {
        assembly {
            return(0x80, 0xa0)
        }
    }
}

/// The group claim over bases whose records need several contracts. A circuit for such a base is not proven here: halo2's
/// part is left out, and the constant term is what makes the equation hold under the development SRS, whose τ is known.
contract LargeBaseTest is Fixture {
    uint256 private constant LOG_TILE = 22;
    uint256 private constant TILE_BITS = 10;
    uint256 private constant TAU = uint256(keccak256("lorica insecure development SRS 1")) % R;
    uint256 private constant ALPHA = 3;
    uint256 private constant ZETA = 5;
    uint256 private constant BETA = 7;
    uint256 private constant Z = 11;

    uint256[] private tau;
    uint256 private architecture;

    function setUp() public {
        _deploy();
        verifier = _verifier(Halo2Verifier(address(new AnyHalo2())));
        tau = vm.parseJsonUintArray(_read("settlement-classify-1"), ".tauG2");
        architecture = registry.registerArchitecture(
            FAMILY_ENCODER, "large", uint32(LOG_TILE), 1, [tau[0], tau[1], tau[2], tau[3]], _multiples(1)
        );
    }

    /// G, 2 G, 3 G, and so on.
    function _multiples(uint256 count) private view returns (Point[] memory points) {
        points = new Point[](count);
        Point memory sum = Point(1, 2);
        for (uint256 i = 0; i < count; ++i) {
            points[i] = sum;
            (bool ok, bytes memory next) = address(6).staticcall(abi.encode(sum, Point(1, 2)));
            assertTrue(ok, "addition");
            sum = abi.decode(next, (Point));
        }
    }

    function _set(bytes memory content, uint256 offset, uint256 word) private pure {
        assembly {
            mstore(add(add(content, 0x20), offset), word)
        }
    }

    /// Base, one table tile, one adapter tile, one witness tile and the mask, one after the other.
    function _key(uint256 tiles) private view returns (bytes memory content) {
        uint256 maps = (tiles + 255) / 256;
        content = new bytes(KEY_OCCUPIED + 32 * maps + 32);
        uint256[4] memory pairing = [tau[1], tau[0], tau[3], tau[2]];
        for (uint256 i = 0; i < 4; ++i) {
            _set(content, KEY_TAU_G2 + 32 * i, pairing[i]);
        }
        _set(content, KEY_ARCHITECTURE, architecture);
        _set(content, KEY_REQUESTS, 1);
        _set(content, KEY_TOKENS, 16);
        _set(content, KEY_OUTPUT_KIND, OUTPUT_EMBED);
        _set(content, KEY_LOG_TILE, LOG_TILE);
        _set(content, KEY_TILE_BITS, TILE_BITS);
        _set(content, KEY_INSTANCES, 18 + 3 + TILE_BITS);
        uint256[4] memory regions = [KEY_BASE, KEY_TABLE, KEY_ADAPTER, KEY_WITNESS];
        for (uint256 i = 0; i < 4; ++i) {
            _set(content, regions[i], i == 0 ? 0 : tiles + i - 1);
            _set(content, regions[i] + 32, i == 0 ? tiles : 1);
        }
        for (uint256 i = 0; i < maps; ++i) {
            uint256 left = tiles - 256 * i;
            _set(content, KEY_OCCUPIED + 32 * i, left >= 256 ? type(uint256).max : (1 << left) - 1);
        }
        _set(content, KEY_OCCUPIED + 32 * maps, 1);
    }

    /// eq(ρ, j), bit by bit.
    function _eq(uint256[] memory rho, uint256 j) private pure returns (uint256 product) {
        product = 1;
        for (uint256 i = 0; i < rho.length; ++i) {
            product = mulmod(product, j >> i & 1 == 1 ? rho[i] : addmod(1, R - rho[i], R), R);
        }
    }

    /// The settlement whose points are all G but the base's, which are G, 2 G, 3 G, and so on.
    function _settlement(uint256 base, uint256 tiles) private pure returns (Settlement memory s) {
        s.base = base;
        s.requests = new Request[](1);
        Point memory g = Point(1, 2);
        s.witness = new Point[](2);
        (s.witness[0], s.witness[1]) = (g, g);
        s.opening = Opening(g, g, g, g, g, g, g, g);
        (s.alpha, s.zeta, s.beta, s.z) = (ALPHA, ZETA, BETA, Z);
        s.rhoHigh = new uint256[](TILE_BITS);
        for (uint256 i = 0; i < TILE_BITS; ++i) {
            s.rhoHigh[i] = uint256(keccak256(abi.encode(i))) % R;
        }
        uint256 sum;
        for (uint256 j = 0; j < tiles; ++j) {
            sum = addmod(sum, mulmod(_eq(s.rhoHigh, j), j + 1, R), R);
        }
        // Table, witness, mask.
        sum = addmod(sum, _eq(s.rhoHigh, tiles), R);
        sum = addmod(sum, _eq(s.rhoHigh, tiles + 2), R);
        sum = addmod(sum, _eq(s.rhoHigh, tiles + 3), R);
        uint256 power = ZETA;
        for (uint256 i = 0; i < LOG_TILE / 2; ++i) {
            power = mulmod(power, power, R);
        }
        sum = addmod(sum, R - power, R);
        uint256 positive = ALPHA + ZETA + BETA * (Z - ALPHA) + BETA ** 2 + BETA ** 3 * (Z - ALPHA) + BETA ** 4
            * (ZETA * Z - 1) * (Z - ALPHA) + Z;
        sum = addmod(sum, positive, R);
        sum = addmod(sum, R - (Z - ZETA) * (ZETA * Z - 1) * (Z - ALPHA), R);
        s.constantTerm = addmod(mulmod(2, TAU, R), R - sum, R);
    }

    function _verdict(bytes memory key, Settlement memory s)
        private
        returns (bool ok, bytes memory reason, uint256 used)
    {
        address at = DataContract.store(key);
        bytes memory call = abi.encodeCall(verifier.check, (keccak256(key), at, address(this), s));
        vm.resetGasMetering();
        (ok, reason, used) = Testing.measured(address(verifier), call);
        vm.resetGasMetering();
    }

    /// At both bounds of the contracts, a base of 4·10^9 cells, and one whose tiles stand in another order.
    function test_settlesAgainstBasesOverSeveralContracts() public {
        uint256[6] memory counts = [uint256(382), 383, 384, 766, 767, 954];
        Point[] memory all = _multiples(954);
        for (uint256 i = 0; i < counts.length; ++i) {
            uint256 count = counts[i];
            vm.resetGasMetering();
            assembly {
                mstore(all, count)
            }
            uint256 base = registry.registerBase(architecture, all, 0);
            vm.resetGasMetering();
            Settlement memory s = _settlement(base, count);
            vm.resetGasMetering();
            (bool ok,, uint256 used) = _verdict(_key(count), s);
            assertTrue(ok, vm.toString(count));
            if (count == 954) vm.snapshotValue("check", "a base of 954 points, without halo2", used);

            // The last point in the place before it: both lie in the last contract, or one in each.
            (all[count - 1], all[count - 2]) = (all[count - 2], all[count - 1]);
            s.base = registry.registerBase(architecture, all, 0);
            vm.resetGasMetering();
            (all[count - 1], all[count - 2]) = (all[count - 2], all[count - 1]);
            bytes memory reason;
            (ok, reason,) = _verdict(_key(count), s);
            assertTrue(!ok && bytes4(reason) == GroupClaim.ProofInvalid.selector, "two tiles exchanged");
        }
    }

    /// The second contract of a record has other bytes, or none.
    function test_partOfARecordReplaced() public {
        uint256 base = registry.registerBase(architecture, _multiples(400), 0);
        address head = registry.bases(base);
        bytes memory code = head.code;
        address part;
        assembly {
            // 20 bytes, and the number of parts.
            part := shr(96, mload(add(add(code, 0x20), sub(mload(code), 21))))
        }
        Settlement memory s = _settlement(base, 400);
        vm.resetGasMetering();
        (bool ok, bytes memory reason,) = _verdict(_key(400), s);
        assertTrue(ok, "unchanged");
        bytes memory original = part.code;
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory changed = bytes.concat(original);
            if (i == 0) changed[original.length - 1] ^= 0x01;
            if (i == 1) changed = bytes.concat(original, hex"00");
            if (i == 2) changed = "";
            vm.etch(part, changed);
            (ok, reason,) = _verdict(_key(400), s);
            assertTrue(!ok && bytes4(reason) == GroupClaim.RecordCorrupt.selector, vm.toString(i));
        }
        vm.etch(part, original);
        // The head with another part's address, and with more parts than it has.
        for (uint256 i = 1; i <= 21; i += 20) {
            bytes memory changed = bytes.concat(code);
            changed[code.length - i] ^= 0x01;
            vm.etch(head, changed);
            (ok, reason,) = _verdict(_key(400), s);
            assertTrue(!ok && bytes4(reason) == GroupClaim.RecordCorrupt.selector, "head");
        }
    }
}
