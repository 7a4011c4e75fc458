// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P, Point, R} from "../src/Bn254.sol";
import {CommitmentRegistry} from "../src/CommitmentRegistry.sol";
import {DataContract} from "../src/DataContract.sol";
import {FAMILY_ENCODER, TAG_ADAPTER, TAG_ARCHITECTURE, TAG_BASE} from "../src/Records.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";

contract CommitmentRegistryTest is Fixture {
    function setUp() public {
        _deploy();
    }

    struct World {
        string json;
        uint256 architecture;
        uint256 base;
        Point[] generator;
    }

    function _world(bool registered) private returns (World memory w) {
        w.json = _read("settlement-classify-1");
        w.architecture = vm.parseJsonUint(w.json, ".architecture");
        w.base = vm.parseJsonUint(w.json, ".base");
        w.generator = new Point[](1);
        w.generator[0] = Point(1, 2);
        if (registered) _register(w.json);
    }

    /// {Fixture._register} compares the ids with those that `lorica-verifier` computed.
    function test_idsAreThoseOfTheNativeVerifier() public {
        World memory w = _world(true);
        assertTrue(registry.architectures(w.architecture) != address(0), "architecture");
        assertTrue(registry.bases(w.base) != address(0), "base");
        uint256[] memory ids = new uint256[](3);
        ids[0] = vm.parseJsonUint(w.json, ".adapters[0].id");
        ids[2] = vm.parseJsonUint(w.json, ".adapters[1].id");
        (address a, address b, address[] memory c) = registry.records(w.architecture, w.base, ids);
        assertTrue(a == registry.architectures(w.architecture) && b == registry.bases(w.base), "records");
        assertTrue(c[0] == registry.adapters(ids[0]) && c[0] != address(0), "first adapter");
        assertTrue(c[1] == address(0) && c[2] != address(0), "absent and second adapter");
        assertEq(uint256(keccak256(_content(b))) % R, w.base, "content is the id's preimage");
        assertEq(_content(c[0]).length, 101 + 64, "one tile");
    }

    function _content(address record) private view returns (bytes memory content) {
        content = new bytes(DataContract.size(record));
        uint256 start;
        assembly {
            start := add(content, 0x20)
        }
        DataContract.read(record, start, content.length);
    }

    function test_nothingTwice() public {
        World memory w = _world(true);
        Point[] memory tiles = _points(vm.parseJsonUintArray(w.json, ".tiles"));
        uint256 scales = vm.parseJsonUint(w.json, ".scalesWord");
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.AlreadyRegistered.selector, w.base));
        registry.registerBase(w.architecture, tiles, scales);
    }

    function test_nothingUnderTheUnknown() public {
        World memory w = _world(false);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownArchitecture.selector, w.architecture));
        registry.registerBase(w.architecture, w.generator, 1);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownBase.selector, w.base));
        registry.registerAdapter(w.base, 0, w.generator);
    }

    function _badPoints() private pure returns (Point[] memory bad) {
        bad = new Point[](7);
        bad[0] = Point(1, 3); // off the curve
        bad[1] = Point(1 + P, 2); // not canonical
        bad[2] = Point(1, 2 + P);
        bad[3] = Point(P, 0);
        bad[4] = Point(0, P);
        bad[5] = Point(type(uint256).max, type(uint256).max);
        bad[6] = Point(0, 0); // infinity
    }

    function test_pointsAreChecked() public {
        World memory w = _world(true);
        Point[] memory bad = _badPoints();
        Point[] memory tiles = new Point[](3);
        for (uint256 i = 0; i < bad.length; ++i) {
            for (uint256 place = 0; place < 3; ++place) {
                tiles[0] = tiles[1] = tiles[2] = Point(1, 2);
                tiles[place] = bad[i];
                vm.expectRevert(CommitmentRegistry.PointInvalid.selector);
                registry.registerBase(w.architecture, tiles, 1);
                vm.expectRevert(CommitmentRegistry.PointInvalid.selector);
                registry.registerAdapter(w.base, 0, tiles);
                // A table tile may be zero: that is the w.architecture's formula.
                if (i != 6) vm.expectRevert(CommitmentRegistry.PointInvalid.selector);
                registry.registerArchitecture(
                    FAMILY_ENCODER, new bytes(37), place == 0 ? 14 : place == 1 ? 16 : 18, 7, _tau(w.json), tiles
                );
            }
        }
    }

    function _tau(string memory json) private pure returns (uint256[4] memory) {
        uint256[] memory tau = vm.parseJsonUintArray(json, ".tauG2");
        return [tau[0], tau[1], tau[2], tau[3]];
    }

    function test_architectureIsChecked() public {
        World memory w = _world(false);
        uint256[4] memory tau = _tau(w.json);
        bytes memory encoding = vm.parseJsonBytes(w.json, ".encoding");
        uint256[3] memory lengths = [uint256(0), 1_025, 2_000];
        for (uint256 i = 0; i < lengths.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.EncodingLength.selector, 1_024, lengths[i]));
            registry.registerArchitecture(FAMILY_ENCODER, new bytes(lengths[i]), 14, 1, tau, w.generator);
        }
        uint8[3] memory families = [0, 2, 255];
        for (uint256 i = 0; i < families.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownFamily.selector, families[i]));
            registry.registerArchitecture(families[i], encoding, 14, 1, tau, w.generator);
        }
        uint32[4] memory sizes = [uint32(12), 15, 24, type(uint32).max];
        for (uint256 i = 0; i < sizes.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.TileSize.selector, sizes[i]));
            registry.registerArchitecture(FAMILY_ENCODER, encoding, sizes[i], 1, tau, w.generator);
        }
        vm.expectRevert(CommitmentRegistry.NotCanonical.selector);
        registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, R, tau, w.generator);
        vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
        registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, 1, [uint256(0), 0, 0, 0], w.generator);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 word = tau[i];
            tau[i] = addmod(word, 1, P);
            vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
            registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, 1, tau, w.generator);
            tau[i] = word + P;
            vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
            registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, 1, tau, w.generator);
            tau[i] = word;
        }
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, 1_024, 0));
        registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, 1, tau, new Point[](0));
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, 1_024, 1_025));
        registry.registerArchitecture(FAMILY_ENCODER, encoding, 14, 1, tau, new Point[](1_025));
    }

    function test_scalesWordIsCanonical() public {
        World memory w = _world(true);
        vm.expectRevert(CommitmentRegistry.NotCanonical.selector);
        registry.registerBase(w.architecture, w.generator, R);
    }

    /// Different points, so that none can stand in another's place: G, 2 G, 3 G, and so on.
    function _many(uint256 count) private view returns (Point[] memory points) {
        points = new Point[](count);
        Point memory sum = Point(1, 2);
        for (uint256 i = 0; i < count; ++i) {
            points[i] = sum;
            (bool ok, bytes memory next) = address(6).staticcall(abi.encode(sum, Point(1, 2)));
            assertTrue(ok, "addition");
            sum = abi.decode(next, (Point));
        }
    }

    function _packed(Point[] memory points) private pure returns (bytes memory content) {
        content = new bytes(64 * points.length);
        for (uint256 i = 0; i < points.length; ++i) {
            (uint256 x, uint256 y) = (points[i].x, points[i].y);
            assembly {
                let place := add(add(content, 0x20), shl(6, i))
                mstore(place, x)
                mstore(add(place, 0x20), y)
            }
        }
    }

    function _preimage(uint256 architecture, uint256 scales, Point[] memory tiles) private pure returns (bytes memory) {
        return abi.encodePacked(TAG_BASE, FAMILY_ENCODER, uint32(tiles.length), architecture, scales, _packed(tiles));
    }

    /// What a chain of contracts holds.
    function _whole(address record) private view returns (bytes memory content) {
        (uint256 start, uint256 length) = DataContract.readLong(record);
        content = new bytes(length);
        assembly {
            mcopy(add(content, 0x20), start, length)
        }
    }

    /// Gas of a call as a transaction: what it used, its calldata at 16 a byte as if none were zero, and 21,000.
    function _transaction(uint256 used, bytes memory call) private pure returns (uint256) {
        return used + 16 * call.length + 21_000;
    }

    /// A base of 4·10^9 cells at τ = 22, and the largest record, in one transaction each.
    function test_largestRecords() public {
        World memory w = _world(true);
        uint256[3] memory counts = [uint256(380), 954, 1_024];
        for (uint256 i = 0; i < counts.length; ++i) {
            Point[] memory tiles = _many(counts[i]);
            bytes memory call = abi.encodeCall(CommitmentRegistry.registerBase, (w.architecture, tiles, 0));
            bytes32 expected = keccak256(_preimage(w.architecture, 0, tiles));
            vm.resetGasMetering();
            (bool ok, bytes memory id, uint256 used) = Testing.measured(address(registry), call);
            assertTrue(ok, "registered");
            vm.resetGasMetering();
            assertEq(abi.decode(id, (uint256)), uint256(expected) % R, "id");
            assertTrue(keccak256(_whole(registry.bases(abi.decode(id, (uint256))))) == expected, "read back");
            assertTrue(_transaction(used, call) < 16_777_216, vm.toString(_transaction(used, call)));
            string memory name = string.concat("base, ", vm.toString(counts[i]), " points");
            vm.snapshotValue("registry", name, used);
            vm.snapshotValue("registry", string.concat(name, ", as a transaction"), _transaction(used, call));
            vm.resetGasMetering();
        }
    }

    function test_recordsThatAreTooLong() public {
        World memory w = _world(true);
        uint256[3] memory counts = [uint256(1_025), 1_100, 0];
        for (uint256 i = 0; i < counts.length; ++i) {
            bytes memory reason =
                abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, registry.MAX_POINTS(), counts[i]);
            vm.expectRevert(reason);
            registry.registerBase(w.architecture, new Point[](counts[i]), 0);
            vm.expectRevert(reason);
            registry.registerAdapter(w.base, 0, new Point[](counts[i]));
        }
    }

    /// One point less than a contract holds, as many, and one more: 382 points need one contract, 383 two, 767 three.
    function test_recordsAtTheContractsBounds() public {
        World memory w = _world(true);
        uint256[8] memory counts = [uint256(381), 382, 383, 384, 765, 766, 767, 768];
        Point[] memory all = _many(768);
        for (uint256 i = 0; i < counts.length; ++i) {
            uint256 count = counts[i];
            vm.resetGasMetering();
            assembly {
                mstore(all, count)
            }
            address record = registry.bases(registry.registerBase(w.architecture, all, 7));
            vm.resetGasMetering();
            bytes memory content = _whole(record);
            assertTrue(keccak256(content) == keccak256(_preimage(w.architecture, 7, all)), vm.toString(count));
            uint256 own = DataContract.size(record);
            if (count < 383) assertEq(own, 101 + 64 * count, "one contract");
            else assertEq(own, DataContract.MAX_BYTES, "a full head");
            if (count >= 383) assertEq(uint8(record.code[24_575]), count < 767 ? 1 : 2, "parts");
        }
    }

    /// An architecture with the longest encoding and so many tables that it needs three contracts.
    function test_longArchitecture() public {
        World memory w = _world(false);
        bytes memory encoding = new bytes(1_024);
        encoding[0] = 0x01;
        encoding[1_023] = 0x02;
        Point[] memory tables = _many(800);
        uint256[4] memory tau = _tau(w.json);
        vm.resetGasMetering();
        uint256 id = registry.registerArchitecture(FAMILY_ENCODER, encoding, 22, 3, tau, tables);
        vm.resetGasMetering();
        bytes memory head = abi.encodePacked(
            TAG_ARCHITECTURE, FAMILY_ENCODER, uint32(1_024), encoding, uint32(22), uint256(3), tau, uint32(800)
        );
        bytes32 expected = keccak256(bytes.concat(head, _packed(tables)));
        assertEq(id, uint256(expected) % R, "id");
        assertTrue(keccak256(_whole(registry.architectures(id))) == expected, "read back");
    }

    /// One contract, two, three: the last length of each, and the next one.
    function test_longContentAtTheBounds() public {
        uint256[9] memory lengths = [uint256(0), 1, 24_574, 24_575, 24_576, 49_129, 49_130, 73_684, 73_685];
        uint256[9] memory parts = [uint256(0), 0, 0, 1, 1, 1, 2, 2, 3];
        for (uint256 i = 0; i < lengths.length; ++i) {
            address head = _storedLong(lengths[i], bytes32(i));
            if (parts[i] == 0) assertEq(DataContract.size(head), lengths[i], "one contract");
            else assertEq(uint8(head.code[24_575]), parts[i], vm.toString(lengths[i]));
        }
    }

    function testFuzz_longContent(uint256 length, bytes32 seed) public {
        _storedLong(length % 60_000, seed);
    }

    /// Stores so many bytes, of which no two words are equal, and reads them back.
    function _storedLong(uint256 length, bytes32 seed) private returns (address head) {
        bytes memory content = new bytes(length);
        bytes memory behind = hex"00010203040506070809";
        uint256 start;
        assembly {
            start := add(content, 0x20)
            for { let i := 0 } lt(add(i, 0x1f), length) { i := add(i, 0x20) } {
                mstore(0, seed)
                mstore(0x20, i)
                mstore(add(start, i), keccak256(0, 0x40))
            }
        }
        bytes32 expected = keccak256(content);
        vm.resetGasMetering();
        head = DataContract.storeLong(start, length);
        vm.resetGasMetering();
        assertEq(content.length, length, "the word before");
        assertTrue(keccak256(behind) == keccak256(hex"00010203040506070809"), "what stands behind");
        assertTrue(keccak256(_whole(head)) == expected, vm.toString(length));
    }

    /// The three kinds in each other's place: an id of one is none of another, with the same words and points.
    function test_recordsOfOneKindAreNoneOfAnother() public {
        World memory w = _world(true);
        uint256 scales = 5;
        uint256 base = registry.registerBase(w.architecture, w.generator, scales);
        uint256 adapter = registry.registerAdapter(base, scales, w.generator);
        assertTrue(registry.adapters(base) == address(0) && registry.architectures(base) == address(0), "base");
        assertTrue(registry.bases(adapter) == address(0) && registry.architectures(adapter) == address(0), "adapter");
        assertTrue(TAG_BASE != TAG_ADAPTER && TAG_BASE != TAG_ARCHITECTURE && TAG_ADAPTER != TAG_ARCHITECTURE, "tags");
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownArchitecture.selector, base));
        registry.registerBase(base, w.generator, scales);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownBase.selector, adapter));
        registry.registerAdapter(adapter, 0, w.generator);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownBase.selector, w.architecture));
        registry.registerAdapter(w.architecture, 0, w.generator);
        // A version is part of the id.
        assertTrue(registry.registerAdapter(base, 0, w.generator) != adapter, "version");
        vm.expectRevert(CommitmentRegistry.NotCanonical.selector);
        registry.registerAdapter(base, R, w.generator);
    }

    /// Bytes may move between an encoding and what follows it only with their number, which stands before.
    function test_encodingsDoNotRunIntoWhatFollows() public {
        World memory w = _world(false);
        uint256[4] memory tau = _tau(w.json);
        // The last four bytes read as τ = 14.
        uint256 longer = registry.registerArchitecture(FAMILY_ENCODER, hex"010000000e", 14, 1, tau, w.generator);
        uint256 shorter = registry.registerArchitecture(FAMILY_ENCODER, hex"01", 14, 1, tau, w.generator);
        assertTrue(longer != shorter, "one id");
    }

    function testFuzz_ids(uint256 scales, uint8 count) public {
        World memory w = _world(true);
        scales %= R;
        Point[] memory tiles = new Point[](uint256(count) % 20 + 1);
        bytes memory points;
        for (uint256 i = 0; i < tiles.length; ++i) {
            tiles[i] = i % 2 == 0 ? Point(1, 2) : Point(1, P - 2);
            points = abi.encodePacked(points, tiles[i].x, tiles[i].y);
        }
        uint256 id = registry.registerBase(w.architecture, tiles, scales);
        assertEq(id, uint256(keccak256(_preimage(w.architecture, scales, tiles))) % R, "base");
        uint256 adapter = registry.registerAdapter(id, scales, tiles);
        bytes memory content = abi.encodePacked(TAG_ADAPTER, FAMILY_ENCODER, uint32(tiles.length), id, scales, points);
        assertEq(adapter, uint256(keccak256(content)) % R, "adapter");
    }
}
