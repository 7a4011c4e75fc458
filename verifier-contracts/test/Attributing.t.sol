// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point, R} from "../src/Bn254.sol";
import {CommitmentRegistry} from "../src/CommitmentRegistry.sol";
import {DataContract} from "../src/DataContract.sol";
import {GroupClaim} from "../src/GroupClaim.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {LoricaVerifier} from "../src/LoricaVerifier.sol";
import {OUTPUT_EMBED} from "../src/OutputKind.sol";
import {INDEX_POINTS} from "../src/Records.sol";
import {ISettlementVerifier, Request} from "../src/Settlement.sol";
import {KEY_ATTRIBUTION, KEY_INDEX, KEY_INSTANCES, KEY_OUTPUT_KIND} from "../src/SettlementKey.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {cheats} from "./Cheats.sol";
import {vm} from "./Vm.sol";

/// True settlements of batches that attribute, and what is made of them: requests 0 and 2 of three have the index' adapter, and
/// so has the absent fourth.
contract AttributingTest is Fixture {
    string private constant THREE = "settlement-attributing-3";

    function setUp() public {
        _deploy();
    }

    function _call(Case memory c) private pure returns (bytes memory) {
        return abi.encodeCall(ISettlementVerifier.check, (c.circuit, c.key, c.consumer, c.settlement));
    }

    function _accepts(bytes memory call) private view returns (bool ok) {
        (ok,) = address(verifier).staticcall(call);
    }

    function _expect(Case memory c, bytes4 selector, string memory what) private view {
        (bool ok, bytes memory reason) = address(verifier).staticcall(_call(c));
        assertTrue(!ok, what);
        assertTrue(bytes4(reason) == selector, string.concat(what, ": another reason"));
    }

    function _accept(string memory name) private {
        Case memory c = _load(name);
        (bool ok,, uint256 used) = Testing.measured(address(verifier), _call(c));
        assertTrue(ok, name);
        vm.snapshotValue("check", name, used);
    }

    function test_accepts_one() public {
        _accept("settlement-attributing-1");
    }

    function test_accepts_three() public {
        _accept(THREE);
    }

    /// A full batch, all of one index.
    function test_accepts_sixteen() public {
        _accept("settlement-attributing-16");
    }

    /// The least change of every word of the call's data.
    function test_everyWordCounts() public {
        vm.pauseGasMetering();
        Case memory c = _load(THREE);
        bytes memory data = _call(c);
        for (uint256 offset = 0x24; offset <= data.length; offset += 0x20) {
            for (uint256 bit = 0; bit < 2; ++bit) {
                uint256 mask = bit == 0 ? 1 : 1 << 253;
                assembly {
                    let place := add(data, offset)
                    mstore(place, xor(mload(place), mask))
                }
                assertTrue(!_accepts(data), vm.toString(offset));
                assembly {
                    let place := add(data, offset)
                    mstore(place, xor(mload(place), mask))
                }
            }
        }
        assertTrue(_accepts(data), "unchanged");
        vm.resumeGasMetering();
    }

    function test_wordsAreCanonical() public {
        Case memory c = _load(THREE);
        for (uint256 i = 0; i < c.settlement.shares.length; ++i) {
            c.settlement.shares[i] += R;
            _expect(c, Halo2Verifier.InstanceNotCanonical.selector, vm.toString(i));
            c.settlement.shares[i] -= R;
        }
        c.settlement.index += R;
        _expect(c, LoricaVerifier.UnknownIndex.selector, "the index");
    }

    function test_anIndexIsNeeded() public {
        Case memory c = _load(THREE);
        c.settlement.index = 0;
        _expect(c, LoricaVerifier.IndexMissing.selector, "none");
        c.settlement.index = R;
        _expect(c, LoricaVerifier.UnknownIndex.selector, "zero modulo r");
        c.settlement.index = 7;
        _expect(c, LoricaVerifier.UnknownIndex.selector, "unknown");
        // Other records that are registered.
        c.settlement.index = c.settlement.base;
        _expect(c, LoricaVerifier.UnknownIndex.selector, "the base");
        c.settlement.index = c.settlement.requests[0].adapter;
        _expect(c, LoricaVerifier.UnknownIndex.selector, "the adapter");
        c.settlement.index = vm.parseJsonUint(c.json, ".indexes[0].version");
        _expect(c, LoricaVerifier.UnknownIndex.selector, "the datanet");
    }

    function test_shareCount() public {
        Case memory c = _load(THREE);
        uint256[] memory honest = c.settlement.shares;
        uint256[5] memory lengths = [uint256(0), 4, 11, 13, 16];
        for (uint256 i = 0; i < lengths.length; ++i) {
            uint256[] memory shares = new uint256[](lengths[i]);
            for (uint256 k = 0; k < shares.length; ++k) {
                shares[k] = honest[k % 12];
            }
            c.settlement.shares = shares;
            _expect(c, LoricaVerifier.ShareCount.selector, vm.toString(lengths[i]));
        }
    }

    function test_sharesOfAnotherRequest() public {
        Case memory c = _load(THREE);
        uint256[] memory shares = c.settlement.shares;
        for (uint256 k = 0; k < 4; ++k) {
            (shares[k], shares[8 + k]) = (shares[8 + k], shares[k]);
        }
        _expect(c, GroupClaim.ProofInvalid.selector, "exchanged");
        for (uint256 k = 0; k < 4; ++k) {
            (shares[k], shares[8 + k]) = (shares[8 + k], shares[k]);
        }
        // Two words of one request.
        (shares[1], shares[2]) = (shares[2], shares[1]);
        _expect(c, GroupClaim.ProofInvalid.selector, "within a request");
    }

    /// The absent fourth request repeats the first, its shares included: stated, with these or other shares, it is another batch.
    function test_absentRequestStated() public {
        Case memory c = _load(THREE);
        Request[] memory requests = new Request[](4);
        uint256[] memory shares = new uint256[](16);
        for (uint256 i = 0; i < 4; ++i) {
            Request memory own = c.settlement.requests[i % 3];
            requests[i] =
                Request(own.id, own.fee, own.adapter, own.inputDigest, own.label, own.outputDigest);
            for (uint256 k = 0; k < 4; ++k) {
                shares[4 * i + k] = c.settlement.shares[4 * (i % 3) + k];
            }
        }
        requests[3].id = requests[2].id + 1;
        (c.settlement.requests, c.settlement.shares) = (requests, shares);
        _expect(c, GroupClaim.ProofInvalid.selector, "as the first");
        for (uint256 k = 0; k < 4; ++k) {
            shares[12 + k] = shares[4 + k];
        }
        _expect(c, GroupClaim.ProofInvalid.selector, "as the second");
    }

    /// Who attributes follows from the adapters.
    function test_attributingFollowsFromTheAdapters() public {
        Case memory c = _load(THREE);
        uint256 first = c.settlement.requests[0].adapter;
        uint256 second = c.settlement.requests[1].adapter;
        assertTrue(first != second && first == c.settlement.requests[2].adapter, "the vector's adapters");
        assertEq(vm.parseJsonUintArray(c.json, ".instances")[7], 13, "requests 0, 2 and the absent one");
        c.settlement.requests[1].adapter = first;
        _expect(c, GroupClaim.ProofInvalid.selector, "one more");
        c.settlement.requests[1].adapter = second;
        c.settlement.requests[2].adapter = second;
        _expect(c, GroupClaim.ProofInvalid.selector, "one less");
        // None attributes: the index must be of this base all the same, and then the shares are not what the proof says.
        c.settlement.requests[0].adapter = second;
        _expect(c, GroupClaim.ProofInvalid.selector, "none");
    }

    function _tiles(Case memory c) private pure returns (Point[] memory) {
        return _points(vm.parseJsonUintArray(c.json, ".indexes[0].tiles"));
    }

    /// Other registered indexes of the same adapter: tiles exchanged, one less, one more, a tile of the base.
    function test_otherIndexesOfTheAdapter() public {
        Case memory c = _load(THREE);
        uint256 adapter = c.settlement.requests[0].adapter;
        Point[] memory tiles = _tiles(c);
        assertTrue(tiles.length > 2, "tiles to exchange");
        vm.pauseGasMetering();
        for (uint256 i = 0; i + 1 < tiles.length; ++i) {
            (tiles[i], tiles[i + 1]) = (tiles[i + 1], tiles[i]);
            c.settlement.index = registry.registerIndex(adapter, 11, tiles);
            _expect(c, GroupClaim.ProofInvalid.selector, "exchanged");
            (tiles[i], tiles[i + 1]) = (tiles[i + 1], tiles[i]);
        }
        for (uint256 more = 0; more < 2; ++more) {
            Point[] memory others = new Point[](tiles.length - 1 + 2 * more);
            for (uint256 i = 0; i < others.length; ++i) {
                others[i] = tiles[i % tiles.length];
            }
            c.settlement.index = registry.registerIndex(adapter, 11, others);
            _expect(c, GroupClaim.TileCount.selector, "another number");
        }
        tiles[0] = _points(vm.parseJsonUintArray(c.json, ".tiles"))[0];
        c.settlement.index = registry.registerIndex(adapter, 11, tiles);
        _expect(c, GroupClaim.ProofInvalid.selector, "a base tile");
        // The same tiles as an index of another size.
        c.settlement.index = registry.registerIndex(adapter, 14, _tiles(c));
        _expect(c, GroupClaim.Foreign.selector, "another size");
        vm.resumeGasMetering();
    }

    /// The same tiles as an index of another adapter, of another version, of another base's adapter.
    function test_indexesOfOthers() public {
        Case memory c = _load(THREE);
        Point[] memory tiles = _tiles(c);
        uint256 version = vm.parseJsonUint(c.json, ".indexes[0].version");
        Point[] memory own = _points(vm.parseJsonUintArray(c.json, ".adapters[0].tiles"));
        own[0] = Point(1, 2);
        uint256 adapter = registry.registerAdapter(c.settlement.base, version, own);
        c.settlement.index = registry.registerIndex(adapter, 11, tiles);
        _expect(c, GroupClaim.ProofInvalid.selector, "another adapter");
        uint256 other = registry.registerDatanet(900, 0, 160, 0, 0, 0, 0);
        adapter = registry.registerAdapter(c.settlement.base, other, own);
        c.settlement.index = registry.registerIndex(adapter, 11, tiles);
        _expect(c, GroupClaim.ProofInvalid.selector, "another version");
        uint256 base = registry.registerBase(vm.parseJsonUint(c.json, ".architecture"), own, 5);
        adapter = registry.registerAdapter(base, version, own);
        c.settlement.index = registry.registerIndex(adapter, 11, tiles);
        _expect(c, GroupClaim.Foreign.selector, "another base");
    }

    /// A data contract that holds other tiles under the id.
    function test_replacedRecord() public {
        Case memory c = _load(THREE);
        address record = registry.indexes(c.settlement.index);
        bytes memory code = record.code;
        for (uint256 i = 0; i < 64; ++i) {
            (code[1 + INDEX_POINTS + i], code[1 + INDEX_POINTS + 64 + i]) =
                (code[1 + INDEX_POINTS + 64 + i], code[1 + INDEX_POINTS + i]);
        }
        vm.etch(record, code);
        _expect(c, GroupClaim.RecordCorrupt.selector, "exchanged tiles");
    }

    // Keys

    function _setKeyWord(Case memory c, uint256 offset, uint256 word) private {
        bytes memory key = vm.parseJsonBytes(c.json, ".key");
        assembly {
            mstore(add(add(key, 0x20), offset), word)
        }
        (c.circuit, c.key) = (keccak256(key), DataContract.store(key));
    }

    function _keyWord(Case memory c, uint256 offset) private pure returns (uint256 word) {
        bytes memory key = vm.parseJsonBytes(c.json, ".key");
        assembly {
            word := mload(add(add(key, 0x20), offset))
        }
    }

    /// Keys that say something else than the circuit.
    function test_relabelledKeys() public {
        Case memory c = _load(THREE);
        assertEq(_keyWord(c, KEY_ATTRIBUTION), 11, "the key's attribution");
        uint256[4] memory wrong = [uint256(1), 12, 11 + (1 << 32), 1 << 255];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _setKeyWord(c, KEY_ATTRIBUTION, wrong[i]);
            _expect(c, GroupClaim.KeyFormat.selector, "no size of an index");
        }
        // As a plain circuit it is too long.
        _setKeyWord(c, KEY_ATTRIBUTION, 0);
        _expect(c, GroupClaim.KeyFormat.selector, "plain");
        _setKeyWord(c, KEY_ATTRIBUTION, 14);
        _expect(c, GroupClaim.Foreign.selector, "a larger index");
        uint256 index = c.settlement.index;
        c.settlement.index = registry.registerIndex(c.settlement.requests[0].adapter, 14, _tiles(c));
        _expect(c, GroupClaim.ProofInvalid.selector, "with such an index");
        c.settlement.index = index;
        _setKeyWord(c, KEY_OUTPUT_KIND, OUTPUT_EMBED);
        _expect(c, GroupClaim.KeyFormat.selector, "embeddings");
        _setKeyWord(c, KEY_INDEX, _keyWord(c, KEY_INDEX) + 1);
        _expect(c, GroupClaim.ProofInvalid.selector, "the first tile");
        _setKeyWord(c, KEY_INDEX + 32, _keyWord(c, KEY_INDEX + 32) - 1);
        _expect(c, GroupClaim.TileCount.selector, "the number of tiles");
        _setKeyWord(c, KEY_INSTANCES, _keyWord(c, KEY_INSTANCES) - 1);
        _expect(c, GroupClaim.KeyFormat.selector, "the number of public words");
    }

    // Records

    function test_datanetRecords() public {
        string memory json = _read("datanet");
        uint256 id = _registerDatanet();
        (address record, uint32 records, uint32 contributors, bytes32 digest) = registry.datanets(id);
        assertEq(records, vm.parseJsonUint(json, ".count"), "records");
        assertEq(contributors, vm.parseJsonUint(json, ".contributors"), "contributors");
        assertTrue(digest == vm.parseJsonBytes32(json, ".contributorsDigest"), "the contributors' digest");
        assertEq(record.code.length, 1 + 196, "the record");
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.AlreadyRegistered.selector, id));
        registry.registerDatanet(
            records,
            vm.parseJsonBytes32(json, ".recordsRoot"),
            contributors,
            vm.parseJsonBytes32(json, ".contributorsRoot"),
            vm.parseJsonBytes32(json, ".rules"),
            vm.parseJsonBytes32(json, ".licence"),
            vm.parseJsonBytes32(json, ".standard")
        );
        uint32[2] memory counts = [uint32(0), 65_537];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.DatanetCount.selector, 65_536, counts[i]));
            registry.registerDatanet(counts[i], 0, 1, 0, 0, 0, 0);
        }
        counts[1] = 1_025;
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.DatanetCount.selector, 1_024, counts[i]));
            registry.registerDatanet(1, 0, counts[i], 0, 0, 0, 0);
        }
        registry.registerDatanet(65_536, 0, 1_024, 0, 0, 0, 0);
    }

    /// An index is of an adapter that names a registered datanet, and has room for all of its records.
    function test_indexRecords() public {
        Case memory c = _load(THREE);
        (uint256 adapter, uint256 version) = registry.indexParents(c.settlement.index);
        assertEq(adapter, c.settlement.requests[0].adapter, "adapter");
        assertEq(version, vm.parseJsonUint(c.json, ".indexes[0].version"), "version");
        (adapter, version) = registry.indexParents(7);
        assertEq(adapter | version, 0, "unknown");
        Point[] memory tiles = _tiles(c);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownAdapter.selector, 7));
        registry.registerIndex(7, 11, tiles);
        uint256 plain = c.settlement.requests[1].adapter;
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.AdapterWithoutDatanet.selector, plain));
        registry.registerIndex(plain, 11, tiles);
        uint256 nameless = registry.registerAdapter(c.settlement.base, 7, tiles);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownDatanet.selector, 7));
        registry.registerIndex(nameless, 11, tiles);
        adapter = c.settlement.requests[0].adapter;
        uint32[5] memory sizes = [uint32(0), 10, 12, 15, 17];
        for (uint256 i = 0; i < sizes.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.IndexSize.selector, sizes[i], 900));
            registry.registerIndex(adapter, sizes[i], tiles);
        }
        uint256 large = registry.registerDatanet(2_049, 0, 1, 0, 0, 0, 0);
        uint256 ofLarge = registry.registerAdapter(c.settlement.base, large, tiles);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.IndexSize.selector, 11, 2_049));
        registry.registerIndex(ofLarge, 11, tiles);
        registry.registerIndex(ofLarge, 14, tiles);
        vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.AlreadyRegistered.selector, c.settlement.index));
        registry.registerIndex(adapter, 11, tiles);
        uint256[2] memory counts = [uint256(0), 1_025];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.PointCount.selector, 1_024, counts[i]));
            registry.registerIndex(adapter, 14, new Point[](counts[i]));
        }
        Point[] memory bad = new Point[](4);
        (bad[0], bad[1], bad[2]) = (Point(1, 3), Point(0, 0), Point(1 + 2 ** 255, 2));
        for (uint256 i = 0; i < 3; ++i) {
            Point memory honest = tiles[1];
            tiles[1] = bad[i];
            vm.expectRevert(CommitmentRegistry.PointInvalid.selector);
            registry.registerIndex(adapter, 14, tiles);
            tiles[1] = honest;
        }
    }

    /// A record of any other kind, or zero plus r, in the place of a base's architecture, of an adapter's base, of an index'
    /// adapter, and of the datanet that an index' adapter names.
    function test_recordsInEachOthersPlace() public {
        vm.pauseGasMetering();
        Case memory c = _load(THREE);
        Point[] memory tiles = _tiles(c);
        uint256[6] memory ids = [
            vm.parseJsonUint(c.json, ".architecture"),
            c.settlement.base,
            c.settlement.requests[0].adapter,
            vm.parseJsonUint(c.json, ".indexes[0].version"),
            c.settlement.index,
            R
        ];
        for (uint256 i = 0; i < 6; ++i) {
            if (i != 0) {
                vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownArchitecture.selector, ids[i]));
                registry.registerBase(ids[i], tiles, 1);
            }
            if (i != 1) {
                vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownBase.selector, ids[i]));
                registry.registerAdapter(ids[i], 0, tiles);
            }
            if (i != 2) {
                vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownAdapter.selector, ids[i]));
                registry.registerIndex(ids[i], 11, tiles);
            }
            // r is no version of a datanet.
            if (i == 3 || i == 5) continue;
            uint256 misled = registry.registerAdapter(c.settlement.base, ids[i], tiles);
            vm.expectRevert(abi.encodeWithSelector(CommitmentRegistry.UnknownDatanet.selector, ids[i]));
            registry.registerIndex(misled, 11, tiles);
        }
        vm.resumeGasMetering();
    }
}
