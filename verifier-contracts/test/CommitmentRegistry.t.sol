// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P, Point, R} from "../src/Bn254.sol";
import {CommitmentRegistry} from "../src/CommitmentRegistry.sol";
import {DataContract} from "../src/DataContract.sol";
import {Fixture} from "./Fixture.sol";
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
        assertEq(_content(c[0]).length, 32 + 64, "one tile");
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
        registry.registerAdapter(w.base, w.generator);
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
                registry.registerAdapter(w.base, tiles);
                // A table tile may be zero: that is the w.architecture's formula.
                if (i != 6) vm.expectRevert(CommitmentRegistry.PointInvalid.selector);
                registry.registerArchitecture(
                    new bytes(37), place == 0 ? 14 : place == 1 ? 16 : 18, 7, _tau(w.json), tiles
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
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.EncodingLength.selector, 37, 36));
        registry.registerArchitecture(new bytes(36), 14, 1, tau, w.generator);
        uint32[4] memory sizes = [uint32(12), 15, 24, type(uint32).max];
        for (uint256 i = 0; i < sizes.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.TileSize.selector, sizes[i]));
            registry.registerArchitecture(encoding, sizes[i], 1, tau, w.generator);
        }
        vm.expectRevert(CommitmentRegistry.NotCanonical.selector);
        registry.registerArchitecture(encoding, 14, R, tau, w.generator);
        vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
        registry.registerArchitecture(encoding, 14, 1, [uint256(0), 0, 0, 0], w.generator);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 word = tau[i];
            tau[i] = addmod(word, 1, P);
            vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
            registry.registerArchitecture(encoding, 14, 1, tau, w.generator);
            tau[i] = word + P;
            vm.expectRevert(CommitmentRegistry.TauInvalid.selector);
            registry.registerArchitecture(encoding, 14, 1, tau, w.generator);
            tau[i] = word;
        }
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, 0));
        registry.registerArchitecture(encoding, 14, 1, tau, new Point[](0));
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, 381));
        registry.registerArchitecture(encoding, 14, 1, tau, new Point[](381));
    }

    function test_scalesWordIsCanonical() public {
        World memory w = _world(true);
        vm.expectRevert(CommitmentRegistry.NotCanonical.selector);
        registry.registerBase(w.architecture, w.generator, R);
    }

    /// The largest record fits into a data contract and a transaction.
    function test_largestRecord() public {
        World memory w = _world(true);
        Point[] memory tiles = new Point[](380);
        for (uint256 i = 0; i < 380; ++i) {
            tiles[i] = Point(1, 2);
        }
        uint256 before = gasleft();
        registry.registerBase(w.architecture, tiles, 0);
        vm.snapshotValue("registry", "base, 380 points", before - gasleft());
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
        assertEq(id, uint256(keccak256(abi.encodePacked(w.architecture, points, scales))) % R, "base");
        uint256 adapter = registry.registerAdapter(id, tiles);
        assertEq(adapter, uint256(keccak256(abi.encodePacked(id, points))) % R, "adapter");
    }
}
