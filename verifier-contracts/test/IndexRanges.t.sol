// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {P, Point, R} from "../src/Bn254.sol";
import {DataContract} from "../src/DataContract.sol";
import {GroupClaim} from "../src/GroupClaim.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {IndexRanges, IndexSettlement} from "../src/IndexRanges.sol";
import {LoricaVerifier} from "../src/LoricaVerifier.sol";
import {FAMILY_ENCODER} from "../src/Records.sol";
import {Opening, Settlement} from "../src/Settlement.sol";
import {
    KEY_ARCHITECTURE,
    KEY_ATTRIBUTION,
    KEY_BASE,
    KEY_INDEX,
    KEY_INSTANCES,
    KEY_LOG_TILE,
    KEY_OUTPUT_KIND,
    KEY_REQUESTS,
    KEY_TAU_G2,
    KEY_TILE_BITS,
    KEY_TOKENS
} from "../src/SettlementKey.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";
import {cheats} from "./Cheats.sol";

contract IndexRangesTest is Fixture {
    IndexRanges private ranges;
    string private json;
    bytes32 private circuit;
    bytes private content;
    address private key;
    uint256 private index;
    IndexSettlement private settlement;

    /// An index' settlement with all that it refers to registered, and its circuit added.
    function setUp() public {
        // More than a transaction may use.
        vm.pauseGasMetering();
        _deploy();
        json = _read("index-ranges");
        circuit = vm.parseJsonBytes32(json, ".circuit");
        content = vm.parseJsonBytes(json, ".key");
        key = DataContract.store(content);
        index = vm.parseJsonUint(json, ".index");
        _registerAll();
        ranges = _ranges();
        ranges.addCircuit(circuit, key);
        Point[] memory opening = _points(vm.parseJsonUintArray(json, ".opening"));
        Point[] memory witness = _points(vm.parseJsonUintArray(json, ".witness"));
        for (uint256 i = 0; i < witness.length; ++i) {
            settlement.witness.push(witness[i]);
        }
        settlement.opening =
            Opening(opening[0], opening[1], opening[2], opening[3], opening[4], opening[5], opening[6], opening[7]);
        settlement.rhoHigh = vm.parseJsonUintArray(json, ".rhoHigh");
        settlement.alpha = vm.parseJsonUint(json, ".alpha");
        settlement.zeta = vm.parseJsonUint(json, ".zeta");
        settlement.beta = vm.parseJsonUint(json, ".beta");
        settlement.z = vm.parseJsonUint(json, ".z");
        settlement.constantTerm = vm.parseJsonUint(json, ".constantTerm");
        settlement.proof = vm.parseJsonBytes(json, ".proof");
        vm.resumeGasMetering();
    }

    function _ranges() private returns (IndexRanges) {
        bytes memory arguments = abi.encode(address(this), registry, halo2);
        return IndexRanges(cheats.deployCode("IndexRanges.sol:IndexRanges", arguments));
    }

    function _registerAll() private {
        uint256[] memory tau = vm.parseJsonUintArray(json, ".tauG2");
        uint256 architecture = registry.registerArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(json, ".encoding"),
            uint32(vm.parseJsonUint(json, ".logTile")),
            vm.parseJsonUint(json, ".srs"),
            [tau[0], tau[1], tau[2], tau[3]],
            _points(vm.parseJsonUintArray(json, ".tables"))
        );
        assertEq(architecture, vm.parseJsonUint(json, ".architecture"), "architecture id");
        uint256 base = registry.registerBase(
            architecture, _points(vm.parseJsonUintArray(json, ".tiles")), vm.parseJsonUint(json, ".scalesWord")
        );
        assertEq(base, vm.parseJsonUint(json, ".base"), "base id");
        uint256 version = registry.registerDatanet(
            uint32(vm.parseJsonUint(json, ".datanet.records")),
            vm.parseJsonBytes32(json, ".datanet.recordsRoot"),
            uint32(vm.parseJsonUint(json, ".datanet.contributors")),
            vm.parseJsonBytes32(json, ".datanet.contributorsRoot"),
            vm.parseJsonBytes32(json, ".datanet.rules"),
            vm.parseJsonBytes32(json, ".datanet.licence"),
            vm.parseJsonBytes32(json, ".datanet.standard")
        );
        assertEq(version, vm.parseJsonUint(json, ".version"), "version id");
        uint256 adapter =
            registry.registerAdapter(base, version, _points(vm.parseJsonUintArray(json, ".adapters[0].tiles")));
        assertEq(adapter, vm.parseJsonUint(json, ".adapters[0].id"), "adapter id");
        uint32 size = uint32(vm.parseJsonUint(json, ".logRecords"));
        uint256 got = registry.registerIndex(adapter, size, _points(vm.parseJsonUintArray(json, ".indexTiles")));
        assertEq(got, index, "index id");
    }

    function _call(IndexSettlement memory s) private view returns (bytes memory) {
        return abi.encodeCall(IndexRanges.prove, (circuit, index, s));
    }

    /// What calls revert with.
    function _reason(IndexRanges callee, bytes memory call) private returns (bytes4) {
        (bool ok, bytes memory reason) = address(callee).call(call);
        assertTrue(!ok, "accepted");
        return bytes4(reason);
    }

    function _expect(IndexSettlement memory s, bytes4 selector, string memory what) private {
        bytes4 got = _reason(ranges, _call(s));
        assertTrue(got == selector, string.concat(what, ": another reason"));
        assertTrue(!ranges.ranged(index), what);
    }

    function test_anIndexIsRangedOnce() public {
        assertTrue(!ranges.ranged(index), "before");
        bytes memory call = _call(settlement);
        // By anybody.
        vm.prank(address(0xb0b));
        (bool ok,, uint256 used) = Testing.measured(address(ranges), call);
        assertTrue(ok, "accepted");
        assertTrue(ranges.ranged(index), "after");
        vm.snapshotValue("index", "ranged, 20 tiles", used);
        assertTrue(_reason(ranges, call) == IndexRanges.AlreadyRanged.selector, "again");
    }

    /// The least change of every word of the call's data.
    function test_everyWordCounts() public {
        vm.pauseGasMetering();
        bytes memory data = _call(settlement);
        for (uint256 offset = 0x24; offset <= data.length; offset += 0x20) {
            for (uint256 bit = 0; bit < 2; ++bit) {
                uint256 mask = bit == 0 ? 1 : 1 << 253;
                assembly {
                    let place := add(data, offset)
                    mstore(place, xor(mload(place), mask))
                }
                (bool ok,) = address(ranges).call(data);
                assertTrue(!ok, vm.toString(offset));
                assembly {
                    let place := add(data, offset)
                    mstore(place, xor(mload(place), mask))
                }
            }
        }
        assertTrue(!ranges.ranged(index), "not yet");
        (bool accepted,) = address(ranges).call(data);
        assertTrue(accepted, "unchanged");
        vm.resumeGasMetering();
    }

    function testFuzz_flippedBit(uint256 bit) public {
        bytes memory call = _call(settlement);
        bit = 32 + bit % (call.length * 8 - 32);
        call[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        (bool ok,) = address(ranges).call(call);
        assertTrue(!ok, vm.toString(bit));
    }

    function test_wordsAreCanonical() public {
        IndexSettlement memory s = settlement;
        bytes4 reason = Halo2Verifier.InstanceNotCanonical.selector;
        s.alpha += R;
        _expect(s, reason, "alpha");
        s.alpha -= R;
        s.zeta += R;
        _expect(s, reason, "zeta");
        s.zeta -= R;
        s.beta += R;
        _expect(s, reason, "beta");
        s.beta -= R;
        s.z += R;
        _expect(s, reason, "z");
        s.z -= R;
        s.constantTerm += R;
        _expect(s, reason, "constant");
        s.constantTerm -= R;
        s.rhoHigh[0] += R;
        _expect(s, reason, "rho");
        s.rhoHigh[0] -= R;
        s.witness[0].x += P;
        _expect(s, GroupClaim.PointInvalid.selector, "a coordinate");
        s.witness[0].x -= P;
        s.witness[0] = Point(0, 0);
        _expect(s, GroupClaim.PointInvalid.selector, "infinity");
    }

    function test_lengths() public {
        IndexSettlement memory s = settlement;
        uint256[] memory rho = s.rhoHigh;
        s.rhoHigh = new uint256[](rho.length + 1);
        _expect(s, GroupClaim.RhoLength.selector, "rho");
        s.rhoHigh = rho;
        Point[] memory witness = s.witness;
        s.witness = new Point[](witness.length - 1);
        _expect(s, GroupClaim.WitnessCount.selector, "witness");
        s.witness = witness;
        s.proof = bytes.concat(s.proof, hex"00");
        _expect(s, Halo2Verifier.ProofLength.selector, "proof");
    }

    /// Witness tiles in another order, points of the opening exchanged.
    function test_exchangedPoints() public {
        IndexSettlement memory s = settlement;
        (s.witness[0], s.witness[1]) = (s.witness[1], s.witness[0]);
        _expect(s, GroupClaim.ProofInvalid.selector, "witness");
        (s.witness[0], s.witness[1]) = (s.witness[1], s.witness[0]);
        (s.opening.w, s.opening.wPrime) = (s.opening.wPrime, s.opening.w);
        _expect(s, GroupClaim.ProofInvalid.selector, "opening");
    }

    function _registerIndex(Point[] memory tiles) private returns (uint256) {
        uint256 adapter = vm.parseJsonUint(json, ".adapters[0].id");
        return registry.registerIndex(adapter, uint32(vm.parseJsonUint(json, ".logRecords")), tiles);
    }

    function _expectIndex(uint256 id, bytes4 selector, string memory what) private {
        bytes4 got = _reason(ranges, abi.encodeCall(IndexRanges.prove, (circuit, id, settlement)));
        assertTrue(got == selector, string.concat(what, ": another reason"));
        assertTrue(!ranges.ranged(id), what);
    }

    /// A settlement of one index proves no other: another commitment to the same cells, its tiles in another order, one twice, one
    /// missing, one more.
    function test_anotherIndexIsNotRanged() public {
        uint256 other = _registerIndex(_points(vm.parseJsonUintArray(json, ".otherTiles")));
        assertEq(other, vm.parseJsonUint(json, ".otherIndex"), "index id");
        _expectIndex(other, GroupClaim.ProofInvalid.selector, "another blinding");
        Point[] memory tiles = _points(vm.parseJsonUintArray(json, ".indexTiles"));
        (tiles[0], tiles[1]) = (tiles[1], tiles[0]);
        _expectIndex(_registerIndex(tiles), GroupClaim.ProofInvalid.selector, "exchanged");
        tiles[1] = tiles[0];
        _expectIndex(_registerIndex(tiles), GroupClaim.ProofInvalid.selector, "twice");
        Point[] memory fewer = new Point[](tiles.length - 1);
        Point[] memory more = new Point[](tiles.length + 1);
        for (uint256 i = 0; i < tiles.length; ++i) {
            if (i < fewer.length) fewer[i] = tiles[i];
            more[i] = tiles[i];
        }
        more[tiles.length] = tiles[0];
        _expectIndex(_registerIndex(fewer), GroupClaim.TileCount.selector, "missing");
        _expectIndex(_registerIndex(more), GroupClaim.TileCount.selector, "one more");
        _expectIndex(index + 1, IndexRanges.UnknownIndex.selector, "not registered");
        _expectIndex(0, IndexRanges.UnknownIndex.selector, "zero");
        _expectIndex(index + R, IndexRanges.UnknownIndex.selector, "the same modulo r");
    }

    /// An index under an architecture of another SRS, with the same tiles: they are commitments to other cells there.
    function test_anIndexIsOfTheCircuitsArchitecture() public {
        vm.pauseGasMetering();
        uint256[] memory tau = vm.parseJsonUintArray(json, ".tauG2");
        uint256 architecture = registry.registerArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(json, ".encoding"),
            uint32(vm.parseJsonUint(json, ".logTile")),
            vm.parseJsonUint(json, ".srs") + 1,
            [tau[0], tau[1], tau[2], tau[3]],
            _points(vm.parseJsonUintArray(json, ".tables"))
        );
        Point[] memory tiles = _points(vm.parseJsonUintArray(json, ".tiles"));
        uint256 base = registry.registerBase(architecture, tiles, vm.parseJsonUint(json, ".scalesWord"));
        tiles = _points(vm.parseJsonUintArray(json, ".adapters[0].tiles"));
        uint256 adapter = registry.registerAdapter(base, vm.parseJsonUint(json, ".version"), tiles);
        tiles = _points(vm.parseJsonUintArray(json, ".indexTiles"));
        uint256 foreign = registry.registerIndex(adapter, uint32(vm.parseJsonUint(json, ".logRecords")), tiles);
        vm.resumeGasMetering();
        _expectIndex(foreign, GroupClaim.Foreign.selector, "another architecture");
    }

    /// An index of another size under this circuit, and this index under the circuit of another size.
    function test_circuitsAreOfOneSize() public {
        uint256 adapter = vm.parseJsonUint(json, ".adapters[0].id");
        uint256 larger = registry.registerIndex(adapter, 14, _points(vm.parseJsonUintArray(json, ".indexTiles")));
        _expectIndex(larger, IndexRanges.IndexSize.selector, "a larger index");
        bytes32 own = circuit;
        circuit = vm.parseJsonBytes32(json, ".largerCircuit");
        ranges.addCircuit(circuit, DataContract.store(vm.parseJsonBytes(json, ".largerKey")));
        IndexSettlement memory s = settlement;
        bytes4 got = _reason(ranges, _call(s));
        // Its shape has more witness tiles or more tile coordinates.
        assertTrue(
            got == GroupClaim.RhoLength.selector || got == GroupClaim.WitnessCount.selector
                || got == IndexRanges.IndexSize.selector,
            "a larger circuit"
        );
        circuit = own;
        assertTrue(!ranges.ranged(index) && !ranges.ranged(larger), "neither");
    }

    /// A key of inferences is none of index proofs, and the reverse.
    function test_subjectsAreKeptApart() public {
        Case memory c = _load("settlement-classify-1");
        bytes4 got = _reason(ranges, abi.encodeCall(IndexRanges.addCircuit, (c.circuit, c.key)));
        assertTrue(got == GroupClaim.KeyFormat.selector, "inferences");
        // An inference under the index' key, whatever its settlement says.
        bytes memory call = abi.encodeCall(LoricaVerifier.check, (circuit, key, c.consumer, c.settlement));
        (bool ok, bytes memory reason) = address(verifier).staticcall(call);
        assertTrue(!ok && bytes4(reason) == GroupClaim.KeyFormat.selector, "an index' key");
        c.settlement.index = index;
        call = abi.encodeCall(LoricaVerifier.check, (circuit, key, c.consumer, c.settlement));
        (ok, reason) = address(verifier).staticcall(call);
        assertTrue(!ok && bytes4(reason) == GroupClaim.KeyFormat.selector, "an index' key that attributes");
    }

    function _contentWord(uint256 place) private view returns (uint256 word) {
        bytes memory own = content;
        assembly {
            word := mload(add(add(own, 0x20), place))
        }
    }

    function _edited(uint256 place, uint256 word) private view returns (bytes memory changed) {
        changed = content;
        assembly {
            mstore(add(add(changed, 0x20), place), word)
        }
    }

    function _addEdited(uint256 place, uint256 word) private returns (bool added, bytes32 edited) {
        bytes memory changed = _edited(place, word);
        edited = keccak256(changed);
        address stored = DataContract.store(changed);
        try ranges.addCircuit(edited, stored) {
            added = true;
        } catch {}
    }

    /// The proof under keys that say something else of its circuit: another τ, size, kind, architecture, regions.
    function test_relabelledKeys() public {
        uint256[10] memory places = [
            KEY_ARCHITECTURE,
            KEY_REQUESTS,
            KEY_TOKENS,
            KEY_OUTPUT_KIND,
            KEY_ATTRIBUTION,
            KEY_LOG_TILE,
            KEY_TILE_BITS,
            KEY_BASE,
            KEY_INDEX,
            KEY_INSTANCES
        ];
        uint256[10] memory words = [uint256(1), 1, 1, 1, 14, 16, 9, 1, 1, 30];
        bytes32 own = circuit;
        for (uint256 i = 0; i < places.length; ++i) {
            (bool added, bytes32 edited) = _addEdited(places[i], words[i]);
            if (!added) continue;
            circuit = edited;
            IndexSettlement memory s = settlement;
            (bool ok,) = address(ranges).call(_call(s));
            assertTrue(!ok, vm.toString(places[i]));
        }
        circuit = own;
        assertTrue(!ranges.ranged(index), "none");
    }

    /// Keys that say of themselves what no key of an index proof says are not even added.
    function test_keysOfNoIndexProof() public {
        uint256 tau = _contentWord(KEY_LOG_TILE);
        uint256 instances = _contentWord(KEY_INSTANCES);
        uint256[17] memory places = [
            KEY_OUTPUT_KIND,
            KEY_OUTPUT_KIND,
            KEY_OUTPUT_KIND,
            KEY_OUTPUT_KIND,
            KEY_REQUESTS,
            KEY_REQUESTS,
            KEY_TOKENS,
            KEY_TOKENS,
            KEY_LOG_TILE,
            KEY_ATTRIBUTION,
            KEY_ATTRIBUTION,
            KEY_ATTRIBUTION,
            KEY_ATTRIBUTION,
            KEY_ATTRIBUTION,
            KEY_INSTANCES,
            KEY_INSTANCES,
            KEY_TILE_BITS
        ];
        uint256[17] memory words = [
            uint256(0),
            1,
            2,
            256 + 3,
            1,
            1 << 32,
            1,
            1 << 32,
            tau + (1 << 32),
            0,
            10,
            12,
            17,
            11 + (1 << 32),
            instances + 1,
            instances - 1,
            _contentWord(KEY_TILE_BITS) + 1
        ];
        for (uint256 i = 0; i < places.length; ++i) {
            bytes memory changed = _edited(places[i], words[i]);
            bytes memory call =
                abi.encodeCall(IndexRanges.addCircuit, (keccak256(changed), DataContract.store(changed)));
            assertTrue(_reason(ranges, call) == GroupClaim.KeyFormat.selector, vm.toString(i));
        }
    }

    /// τ and [τ]₂ of the key are those of the index' architecture. The circuit knows nothing of [τ]₂: under another one, whose τ
    /// somebody knows, any points open to anything.
    function test_tauOfTheKeyIsTheArchitectures() public {
        bytes32 own = circuit;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 place = i < 4 ? KEY_TAU_G2 + 32 * i : KEY_LOG_TILE;
            (bool added, bytes32 edited) = _addEdited(place, _contentWord(place) - 1);
            assertTrue(added, "added");
            circuit = edited;
            _expect(settlement, GroupClaim.Foreign.selector, vm.toString(i));
        }
        circuit = own;
        ranges.prove(circuit, index, settlement);
        assertTrue(ranges.ranged(index), "unchanged");
    }

    /// Content that is not the circuit's.
    function test_aKeyIsItsCircuits() public {
        bytes memory changed = content;
        changed[changed.length - 1] ^= 0x01;
        ranges = _ranges();
        ranges.addCircuit(circuit, DataContract.store(changed));
        _expect(settlement, Halo2Verifier.KeyDigest.selector, "another content");
        changed = bytes.concat(content, bytes32(0));
        bytes4 got =
            _reason(ranges, abi.encodeCall(IndexRanges.addCircuit, (keccak256(changed), DataContract.store(changed))));
        assertTrue(got == GroupClaim.KeyFormat.selector, "longer");
        got = _reason(ranges, abi.encodeCall(IndexRanges.addCircuit, (bytes32(uint256(1)), address(0xdead))));
        assertTrue(got == GroupClaim.KeyFormat.selector, "no data contract");
    }

    function test_circuitsAreTheOwners() public {
        bytes32 other = bytes32(uint256(7));
        vm.prank(address(0xb0b));
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.addCircuit, (other, key)))
                == Ownable.OwnableUnauthorizedAccount.selector,
            "add"
        );
        vm.prank(address(0xb0b));
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.freezeCircuit, (circuit)))
                == Ownable.OwnableUnauthorizedAccount.selector,
            "freeze"
        );
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.addCircuit, (circuit, key)))
                == IndexRanges.CircuitExists.selector,
            "twice"
        );
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.freezeCircuit, (other))) == IndexRanges.UnknownCircuit.selector,
            "unknown"
        );
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.prove, (other, index, settlement)))
                == IndexRanges.UnknownCircuit.selector,
            "prove"
        );
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.renounceOwnership, ())) == IndexRanges.NoRenouncing.selector,
            "renounce"
        );
    }

    /// What is proven stays so; a frozen circuit proves nothing more.
    function test_frozenCircuitsProveNothing() public {
        ranges.freezeCircuit(circuit);
        _expect(settlement, IndexRanges.Frozen.selector, "frozen");
        assertTrue(
            _reason(ranges, abi.encodeCall(IndexRanges.freezeCircuit, (circuit))) == IndexRanges.Frozen.selector, "twice"
        );
        ranges = _ranges();
        ranges.addCircuit(circuit, key);
        ranges.prove(circuit, index, settlement);
        ranges.freezeCircuit(circuit);
        assertTrue(ranges.ranged(index), "for ever");
    }

    /// Behind the first hour a circuit counts seven days after it was added.
    function test_laterCircuitsWait() public {
        ranges = _ranges();
        cheats.warp(block.timestamp + 1 hours - 1);
        ranges.addCircuit(circuit, key);
        ranges.prove(circuit, index, settlement);
        assertTrue(ranges.ranged(index), "in the first hour");
        ranges = _ranges();
        cheats.warp(block.timestamp + 1 hours);
        ranges.addCircuit(circuit, key);
        _expect(settlement, IndexRanges.NotActive.selector, "at once");
        cheats.warp(block.timestamp + 7 days - 1);
        _expect(settlement, IndexRanges.NotActive.selector, "a second before");
        cheats.warp(block.timestamp + 1);
        ranges.prove(circuit, index, settlement);
        assertTrue(ranges.ranged(index), "later");
    }
}
