// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P, Point, R} from "../src/Bn254.sol";
import {DataContract} from "../src/DataContract.sol";
import {GroupClaim} from "../src/GroupClaim.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {LoricaVerifier} from "../src/LoricaVerifier.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../src/OutputKind.sol";
import {FAMILY_ENCODER} from "../src/Records.sol";
import {ISettlementVerifier, Request} from "../src/Settlement.sol";
import {
    KEY_ARCHITECTURE,
    KEY_ATTRIBUTION,
    KEY_BASE,
    KEY_FIXED,
    KEY_INSTANCES,
    KEY_LOG_ROWS,
    KEY_LOG_TILE,
    KEY_OCCUPIED,
    KEY_OMEGA_LAST,
    KEY_OUTPUT_KIND,
    KEY_REQUESTS,
    KEY_ROWS_INVERSE,
    KEY_TABLE,
    KEY_TOKENS
} from "../src/SettlementKey.sol";
import {Fixture} from "./Fixture.sol";
import {Testing} from "./Testing.sol";
import {vm} from "./Vm.sol";

contract LoricaVerifierTest is Fixture {
    function setUp() public {
        _deploy();
    }

    function _call(Case memory c) private pure returns (bytes memory) {
        return abi.encodeCall(ISettlementVerifier.check, (c.circuit, c.key, c.consumer, c.settlement));
    }

    function _accepts(bytes memory call) private view returns (bool ok) {
        (ok,) = address(verifier).staticcall(call);
    }

    function _expectRejected(Case memory c, bytes4 selector, string memory what) private view {
        (bool ok, bytes memory reason) = address(verifier).staticcall(_call(c));
        assertTrue(!ok, what);
        assertTrue(bytes4(reason) == selector, string.concat(what, ": another reason"));
    }

    /// Rejected for under 60,000 gas.
    function _expectCheap(Case memory c, bytes4 selector, string memory what) private view {
        bytes memory call = _call(c);
        uint256 before = gasleft();
        (bool ok, bytes memory reason) = address(verifier).staticcall(call);
        uint256 used = before - gasleft();
        assertTrue(!ok, what);
        assertTrue(bytes4(reason) == selector, string.concat(what, ": another reason"));
        assertTrue(used < 60_000, string.concat(what, ": dear, ", vm.toString(used)));
    }

    function _accept(string memory name) private {
        Case memory c = _load(name);
        bytes memory call = _call(c);
        (bool ok,, uint256 used) = Testing.measured(address(verifier), call);
        assertTrue(ok, name);
        vm.snapshotValue("check", name, used);
    }

    function test_accepts_oneLabel() public {
        _accept("settlement-classify-1");
    }

    /// Two requests share an adapter, a fourth one is absent.
    function test_accepts_threeLabels() public {
        _accept("settlement-classify-3");
    }

    function test_accepts_sixteen() public {
        _accept("settlement-classify-16");
    }

    /// One without an adapter.
    function test_accepts_twoEmbeddings() public {
        _accept("settlement-embed-2");
    }

    /// One without an adapter, and an absent one.
    function test_accepts_threeEmbeddings() public {
        _accept("settlement-embed-3");
    }

    /// Where a call's data says where shares lie, which are none: an empty list is the same wherever it lies. Selector, four
    /// words, then payee, base, index and the requests' place.
    uint256 private constant SHARES_OFFSET = 4 + 32 * 8;

    /// The least change of every word of the call's data: circuit, key, consumer, every public word, every point and
    /// scalar, every offset and length.
    function test_everyWordCounts() public {
        vm.pauseGasMetering();
        Case memory c = _load("settlement-classify-3");
        bytes memory data = _call(c);
        for (uint256 offset = 0x24; offset <= data.length; offset += 0x20) {
            if (offset == SHARES_OFFSET + 0x20) continue;
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

    function testFuzz_flippedBit(uint256 bit) public {
        Case memory c = _load("settlement-embed-2");
        bytes memory call = _call(c);
        bit = 32 + bit % (call.length * 8 - 32);
        if (bit / 8 >= SHARES_OFFSET && bit / 8 < SHARES_OFFSET + 32) return;
        call[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        assertTrue(!_accepts(call), vm.toString(bit));
    }

    /// Words of the settlement that are the same modulo r.
    function test_wordsAreCanonical() public {
        Case memory c = _load("settlement-classify-1");
        bytes4 reason = Halo2Verifier.InstanceNotCanonical.selector;
        c.settlement.alpha += R;
        _expectCheap(c, reason, "alpha");
        c.settlement.alpha -= R;
        c.settlement.zeta += R;
        _expectCheap(c, reason, "zeta");
        c.settlement.zeta -= R;
        c.settlement.beta += R;
        _expectCheap(c, reason, "beta");
        c.settlement.beta -= R;
        c.settlement.z += R;
        _expectCheap(c, reason, "z");
        c.settlement.z -= R;
        c.settlement.constantTerm += R;
        _expectCheap(c, reason, "constant");
        c.settlement.constantTerm -= R;
        c.settlement.rhoHigh[2] += R;
        _expectCheap(c, reason, "rho");
        c.settlement.rhoHigh[2] -= R;
        Request memory request = c.settlement.requests[0];
        request.label += R;
        _expectCheap(c, reason, "label");
        request.label -= R;
        request.inputDigest += R;
        _expectCheap(c, reason, "input digest");
        request.inputDigest -= R;
        request.outputDigest += R;
        _expectCheap(c, reason, "output digest");
        request.outputDigest -= R;
        request.adapter += R;
        _expectCheap(c, LoricaVerifier.UnknownAdapter.selector, "adapter");
        request.adapter -= R;
        c.settlement.base += R;
        _expectCheap(c, LoricaVerifier.UnknownBase.selector, "base");
        c.settlement.base -= R;
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    function test_pointsAreCanonical() public {
        Case memory c = _load("settlement-classify-1");
        for (uint256 i = 0; i < c.settlement.witness.length + 8; ++i) {
            Point memory point = _point(c, i);
            (uint256 x, uint256 y) = (point.x, point.y);
            for (uint256 kind = 0; kind < 4; ++kind) {
                if (kind == 0) point.x = x + P;
                if (kind == 1) point.y = y + P;
                if (kind == 2) point.y = addmod(y, 1, P);
                if (kind == 3) (point.x, point.y) = (0, 0);
                _expectCheap(c, GroupClaim.PointInvalid.selector, vm.toString(i));
                (point.x, point.y) = (x, y);
            }
        }
    }

    function _point(Case memory c, uint256 i) private pure returns (Point memory) {
        uint256 witness = c.settlement.witness.length;
        if (i < witness) return c.settlement.witness[i];
        Point[8] memory opening = [
            c.settlement.opening.h,
            c.settlement.opening.q,
            c.settlement.opening.g,
            c.settlement.opening.s,
            c.settlement.opening.d,
            c.settlement.opening.quot,
            c.settlement.opening.w,
            c.settlement.opening.wPrime
        ];
        return opening[i - witness];
    }

    /// Every point replaced by its negative: on the curve, so the proof is what fails.
    function test_everyPointCounts() public {
        vm.pauseGasMetering();
        Case memory c = _load("settlement-classify-1");
        for (uint256 i = 0; i < c.settlement.witness.length + 8; ++i) {
            Point memory point = _point(c, i);
            point.y = P - point.y;
            _expectRejected(c, GroupClaim.ProofInvalid.selector, vm.toString(i));
            point.y = P - point.y;
        }
        (c.settlement.witness[0], c.settlement.witness[1]) = (c.settlement.witness[1], c.settlement.witness[0]);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "order of points");
        vm.resumeGasMetering();
    }

    function test_binding() public {
        Case memory c = _load("settlement-embed-2");
        bytes4 reason = GroupClaim.ProofInvalid.selector;
        vm.chainId(1);
        _expectRejected(c, reason, "chain");
        vm.chainId(31337);
        c.consumer = address(this);
        _expectRejected(c, reason, "consumer");
        c.consumer = address(uint160(vm.parseJsonUint(c.json, ".consumer")));
        c.settlement.payee = address(this);
        _expectRejected(c, reason, "payee");
        c.settlement.payee = address(uint160(vm.parseJsonUint(c.json, ".payee")));
        c.settlement.requests[1].id += 1;
        _expectRejected(c, reason, "request id");
        c.settlement.requests[1].id -= 1;
        c.settlement.requests[0].fee += 1;
        _expectRejected(c, reason, "fee");
        c.settlement.requests[0].fee -= 1;
        c.settlement.requests[1].label += 1;
        _expectRejected(c, reason, "label");
        c.settlement.requests[1].label -= 1;
        (c.settlement.requests[0].outputDigest, c.settlement.requests[1].outputDigest) =
        (c.settlement.requests[1].outputDigest, c.settlement.requests[0].outputDigest);
        _expectRejected(c, reason, "outputs exchanged");
    }

    function test_anotherAdapter() public {
        Case memory c = _load("settlement-classify-1");
        c.settlement.requests[0].adapter = vm.parseJsonUint(c.json, ".adapters[1].id");
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "the other adapter");
        c.settlement.requests[0].adapter = 0;
        _expectCheap(c, LoricaVerifier.AdapterMissing.selector, "classification without adapter");
        c.settlement.requests[0].adapter = c.settlement.base;
        _expectCheap(c, LoricaVerifier.UnknownAdapter.selector, "a base as adapter");
        Case memory e = _load("settlement-embed-2");
        e.settlement.requests[0].adapter = vm.parseJsonUint(c.json, ".adapters[1].id");
        _expectRejected(e, GroupClaim.ProofInvalid.selector, "an adapter where there was none");
    }

    /// Another base of the same architecture, with an adapter of its own.
    function test_anotherBase() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory tiles = _points(vm.parseJsonUintArray(c.json, ".tiles"));
        uint256 architecture = vm.parseJsonUint(c.json, ".architecture");
        uint256 scales = vm.parseJsonUint(c.json, ".scalesWord");
        (tiles[0], tiles[1]) = (tiles[1], tiles[0]);
        uint256 base = registry.registerBase(architecture, tiles, scales);
        uint256 adapter =
            registry.registerAdapter(base, 0, _points(vm.parseJsonUintArray(c.json, ".adapters[0].tiles")));
        uint256 trueBase = c.settlement.base;
        uint256 trueAdapter = c.settlement.requests[0].adapter;
        c.settlement.base = base;
        _expectRejected(c, GroupClaim.Foreign.selector, "adapter of the first base");
        c.settlement.requests[0].adapter = adapter;
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "both of the second base");
        c.settlement.base = trueBase;
        _expectRejected(c, GroupClaim.Foreign.selector, "adapter of the second base");
        // Too few tiles.
        assembly {
            mstore(tiles, 3)
        }
        c.settlement.base = registry.registerBase(architecture, tiles, scales);
        c.settlement.requests[0].adapter = trueAdapter;
        _expectRejected(c, GroupClaim.TileCount.selector, "three tiles");
    }

    /// The points and the first of them once more.
    function _oneMore(Point[] memory points) private pure returns (Point[] memory more) {
        more = new Point[](points.length + 1);
        for (uint256 i = 0; i < more.length; ++i) {
            more[i] = points[i % points.length];
        }
    }

    /// Registers an architecture with the vector's encoding, and base and first adapter under it.
    function _registerUnder(Case memory c, uint256 srs, Point[] memory tables) private returns (uint256 architecture) {
        uint256[] memory tau = vm.parseJsonUintArray(c.json, ".tauG2");
        architecture = registry.registerArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(c.json, ".encoding"),
            uint32(vm.parseJsonUint(c.json, ".logTile")),
            srs,
            [tau[0], tau[1], tau[2], tau[3]],
            tables
        );
        _baseUnder(c, architecture);
    }

    /// Registers the vector's base and first adapter again, under an architecture, and settles for these.
    function _baseUnder(Case memory c, uint256 architecture) private {
        c.settlement.base = registry.registerBase(
            architecture, _points(vm.parseJsonUintArray(c.json, ".tiles")), vm.parseJsonUint(c.json, ".scalesWord")
        );
        c.settlement.requests[0].adapter = registry.registerAdapter(
            c.settlement.base, 0, _points(vm.parseJsonUintArray(c.json, ".adapters[0].tiles"))
        );
    }

    /// The same tiles, but under another architecture than the circuit's; only its SRS digest differs.
    function test_baseOfAnotherArchitecture() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory tables = _points(vm.parseJsonUintArray(c.json, ".tables"));
        _registerUnder(c, addmod(vm.parseJsonUint(c.json, ".srs"), 1, R), tables);
        _expectCheap(c, GroupClaim.Foreign.selector, "another architecture");
    }

    /// A circuit for an architecture that has one table more than the circuit's layout.
    function test_tableTileCount() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory tables = _oneMore(_points(vm.parseJsonUintArray(c.json, ".tables")));
        uint256 architecture = _registerUnder(c, vm.parseJsonUint(c.json, ".srs"), tables);
        _setKeyWord(c, KEY_ARCHITECTURE, architecture);
        _expectRejected(c, GroupClaim.TileCount.selector, "one table more");
    }

    /// An adapter of the right base with one tile more than the circuit's layout.
    function test_adapterTileCount() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory tiles = _oneMore(_points(vm.parseJsonUintArray(c.json, ".adapters[0].tiles")));
        c.settlement.requests[0].adapter = registry.registerAdapter(c.settlement.base, 0, tiles);
        _expectRejected(c, GroupClaim.TileCount.selector, "one tile more");
    }

    function test_requests() public {
        Case memory c = _load("settlement-classify-3");
        Request[] memory requests = c.settlement.requests;
        (uint256 a, uint256 b) = (requests[0].id, requests[1].id);
        requests[1].id = a;
        _expectCheap(c, LoricaVerifier.RequestOrder.selector, "one id twice");
        requests[0].id = b;
        requests[1].id = a;
        _expectCheap(c, LoricaVerifier.RequestOrder.selector, "falling ids");
        requests[0].id = a;
        requests[1].id = b;
        c.settlement.requests = new Request[](0);
        _expectCheap(c, LoricaVerifier.RequestCount.selector, "none");
        c.settlement.requests = new Request[](5);
        _expectCheap(c, LoricaVerifier.RequestCount.selector, "too many");
        c.settlement.requests = new Request[](2);
        (c.settlement.requests[0], c.settlement.requests[1]) = (requests[0], requests[1]);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "one less");
    }

    /// The absent fourth request as a stated one, with the words that the circuit has in its place: the first one's. Context,
    /// adapters' word and count tell them apart.
    function test_absentRequestStated() public {
        Case memory c = _load("settlement-classify-3");
        Request[] memory requests = new Request[](4);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = c.settlement.requests[i];
        }
        Request memory first = requests[0];
        uint256 id = requests[2].id + 1;
        requests[3] = Request(id, first.fee, first.adapter, first.inputDigest, first.label, first.outputDigest);
        c.settlement.requests = requests;
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "with the first one's fee");
        requests[3].fee = 0;
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "for nothing");
    }

    function test_lengths() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory witness = c.settlement.witness;
        c.settlement.witness = new Point[](witness.length + 1);
        _expectCheap(c, GroupClaim.WitnessCount.selector, "one point more");
        c.settlement.witness = new Point[](0);
        _expectCheap(c, GroupClaim.WitnessCount.selector, "no point");
        c.settlement.witness = witness;
        uint256[] memory rhoHigh = c.settlement.rhoHigh;
        c.settlement.rhoHigh = new uint256[](rhoHigh.length + 1);
        _expectCheap(c, GroupClaim.RhoLength.selector, "one coordinate more");
        c.settlement.rhoHigh = rhoHigh;
        c.settlement.proof = bytes.concat(c.settlement.proof, hex"00");
        _expectCheap(c, Halo2Verifier.ProofLength.selector, "one byte more");
    }

    /// The key under another circuit's id, another shape's key, and no key.
    function test_key() public {
        Case memory c = _load("settlement-embed-2");
        Case memory other = _load("settlement-classify-1");
        c.circuit = other.circuit;
        _expectCheap(c, Halo2Verifier.KeyDigest.selector, "another circuit's id");
        c.key = other.key;
        _expectCheap(c, LoricaVerifier.RequestCount.selector, "another circuit");
        c.key = address(0xdead);
        _expectCheap(c, GroupClaim.KeyFormat.selector, "no key");
        c.key = address(this);
        _expectCheap(c, GroupClaim.KeyFormat.selector, "a contract");
    }

    /// A word of the vector's key.
    function _keyWord(Case memory c, uint256 offset) private pure returns (uint256 word) {
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        assembly {
            word := mload(add(add(content, 0x20), offset))
        }
    }

    /// Exchanges two words of the vector's key.
    function _setKeyWords(Case memory c, uint256[2] memory offsets, uint256[2] memory words) private {
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        for (uint256 i = 0; i < 2; ++i) {
            (uint256 offset, uint256 word) = (offsets[i], words[i]);
            assembly {
                mstore(add(add(content, 0x20), offset), word)
            }
        }
        c.circuit = keccak256(content);
        c.key = DataContract.store(content);
    }

    /// Exchanges a word of the vector's key.
    function _setKeyWord(Case memory c, uint256 offset, uint256 word) private {
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        assembly {
            mstore(add(add(content, 0x20), offset), word)
        }
        c.circuit = keccak256(content);
        c.key = DataContract.store(content);
    }

    /// A kind that is withdrawn, or none, is refused before anything is looked at.
    function test_outputKind() public {
        Case memory c = _load("settlement-classify-1");
        uint256[4] memory refused = [uint256(0), 3, 256 + OUTPUT_CLASSIFY, type(uint256).max];
        for (uint256 i = 0; i < refused.length; ++i) {
            _setKeyWord(c, KEY_OUTPUT_KIND, refused[i]);
            _expectCheap(c, GroupClaim.KeyFormat.selector, vm.toString(refused[i]));
        }
    }

    /// An honest proof under its key, of which the kind, M, T or τ is another: the forgery that ended kind 0 could be
    /// brought back by a key that called it kind 2. The circuit's own words of shape and layout are constants.
    function test_relabelledKeys() public {
        Case memory c = _load("settlement-classify-3");
        bytes4 reason = GroupClaim.ProofInvalid.selector;
        _setKeyWord(c, KEY_OUTPUT_KIND, OUTPUT_EMBED);
        _expectRejected(c, reason, "kind");
        _setKeyWord(c, KEY_TOKENS, 2 * _keyWord(c, KEY_TOKENS));
        _expectRejected(c, reason, "T");
        uint256 requests = _keyWord(c, KEY_REQUESTS);
        uint256 instances = _keyWord(c, KEY_INSTANCES);
        for (uint256 m = requests - 1; m <= requests + 1; m += 2) {
            _setKeyWords(c, [KEY_REQUESTS, KEY_INSTANCES], [m, instances + 3 * m - 3 * requests]);
            _expectRejected(c, reason, "M");
        }
        // A word that runs into the next one of the shape word.
        _setKeyWords(c, [KEY_REQUESTS, KEY_TOKENS], [requests, _keyWord(c, KEY_TOKENS) + (1 << 32)]);
        _expectRejected(c, GroupClaim.KeyFormat.selector, "T beyond 32 bits");
        _setKeyWord(c, KEY_TOKENS, _keyWord(c, KEY_TOKENS));
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// τ + 2 in the key, and an architecture with that τ and the same commitments: points of that base, adapters of that base.
    function test_relabelledTau() public {
        Case memory c = _load("settlement-classify-1");
        uint256 logTile = _keyWord(c, KEY_LOG_TILE);
        uint256[] memory tau = vm.parseJsonUintArray(c.json, ".tauG2");
        uint256 architecture = registry.registerArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(c.json, ".encoding"),
            uint32(logTile + 2),
            vm.parseJsonUint(c.json, ".srs"),
            [tau[0], tau[1], tau[2], tau[3]],
            _points(vm.parseJsonUintArray(c.json, ".tables"))
        );
        _baseUnder(c, architecture);
        _setKeyWords(c, [KEY_LOG_TILE, KEY_ARCHITECTURE], [logTile + 2, architecture]);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "tau");
    }

    /// The circuit under an architecture with other tables, whose lookups would allow anything.
    function test_relabelledArchitecture() public {
        Case memory c = _load("settlement-classify-1");
        Point[] memory tables = _points(vm.parseJsonUintArray(c.json, ".tables"));
        tables[0].y = P - tables[0].y;
        uint256 architecture = _registerUnder(c, vm.parseJsonUint(c.json, ".srs"), tables);
        _setKeyWord(c, KEY_ARCHITECTURE, architecture);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "architecture");
    }

    /// A layout that says the same of all that the group claim reads.
    function test_relabelledLayout() public {
        Case memory c = _load("settlement-classify-1");
        uint256[2] memory regions = [KEY_TABLE, KEY_BASE];
        for (uint256 i = 0; i < 2; ++i) {
            // One tile more at the region's end, which is not occupied: the group claim is the same.
            _setKeyWord(c, regions[i] + 32, _keyWord(c, regions[i] + 32) + 1);
            _expectRejected(c, GroupClaim.ProofInvalid.selector, "tiles");
        }
    }

    /// 1 / rows, ω and ω^-6 plus r.
    function test_keysAreCanonical() public {
        Case memory c = _load("settlement-classify-1");
        for (uint256 offset = KEY_ROWS_INVERSE; offset <= KEY_OMEGA_LAST; offset += 32) {
            _setKeyWord(c, offset, _keyWord(c, offset) + R);
            _expectCheap(c, Halo2Verifier.KeyFormat.selector, vm.toString(offset));
        }
    }

    /// Keys of the first version, whose circuit has no word of its shape, and of the second, which say nothing of attribution.
    function test_keysOfEarlierVersions() public {
        Case memory c = _load("settlement-classify-1");
        _setKeyWord(c, 0, uint256(bytes32("lorica settlement key 1")));
        _expectCheap(c, Halo2Verifier.KeyFormat.selector, "the first");
        _setKeyWord(c, 0, uint256(bytes32("lorica settlement key 2")));
        _expectCheap(c, Halo2Verifier.KeyFormat.selector, "the second");
    }

    /// A key that says it attributes, of a circuit that does not: by a size that no index has, or by one.
    function test_relabelledAttribution() public {
        Case memory c = _load("settlement-classify-1");
        uint256[] memory instances = vm.parseJsonUintArray(c.json, ".instances");
        uint256[8] memory words = [uint256(1), 2, 10, 12, 17, 1 << 32, 11 + (1 << 32), 1 << 255];
        for (uint256 i = 0; i < words.length; ++i) {
            _setKeyWord(c, KEY_ATTRIBUTION, words[i]);
            _expectCheap(c, GroupClaim.KeyFormat.selector, vm.toString(words[i]));
            bytes memory call =
                abi.encodeCall(Halo2Verifier.accumulate, (c.circuit, c.key, instances, c.settlement.proof));
            (bool ok, bytes memory got) = address(halo2).staticcall(call);
            assertTrue(!ok && bytes4(got) == Halo2Verifier.KeyFormat.selector, "halo2");
        }
        uint256[3] memory sizes = [uint256(11), 14, 16];
        for (uint256 i = 0; i < sizes.length; ++i) {
            _setKeyWord(c, KEY_ATTRIBUTION, sizes[i]);
            // It is too short by the index region.
            _expectCheap(c, GroupClaim.KeyFormat.selector, vm.toString(sizes[i]));
        }
    }

    /// A plain circuit has no public word for an index or shares: what a settlement says of them is proven by nothing.
    function test_plainCircuitsAttributeNothing() public {
        Case memory c = _load("settlement-classify-3");
        bytes4 reason = LoricaVerifier.NotAttributing.selector;
        c.settlement.index = 1;
        _expectCheap(c, reason, "an index");
        c.settlement.index = R;
        _expectCheap(c, reason, "an index that is zero modulo r");
        c.settlement.index = 0;
        c.settlement.shares = new uint256[](1);
        _expectCheap(c, reason, "a word");
        c.settlement.shares = new uint256[](12);
        _expectCheap(c, reason, "shares of nothing");
        c.settlement.shares[0] = 65_535 << 8;
        c.settlement.index = 7;
        _expectCheap(c, reason, "an index and shares");
        c.settlement.index = 0;
        c.settlement.shares = new uint256[](0);
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// The same circuit with the same proof under another id: whoever found a word that nothing reads could bring back a frozen
    /// circuit. Each word of shape and layout is one more.
    function test_noCircuitHasASecondId() public {
        Case memory c = _load("settlement-classify-1");
        (bytes32 circuit, address key) = (c.circuit, c.key);
        for (uint256 offset = KEY_ARCHITECTURE; offset < KEY_FIXED; offset += 32) {
            _setKeyWord(c, offset, _keyWord(c, offset) + 1);
            assertTrue(c.circuit != circuit, "another id");
            assertTrue(!_accepts(_call(c)), vm.toString(offset));
        }
        // T: no contract reads it but for the words of shape and layout.
        _setKeyWord(c, KEY_TOKENS, _keyWord(c, KEY_TOKENS) + 1);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "T");
        (c.circuit, c.key) = (circuit, key);
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// Every bit of every word that is a number or a map.
    function test_everyBitOfSmallWordsOfTheKeyCounts() public {
        Case memory c = _load("settlement-classify-1");
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        for (uint256 offset = KEY_LOG_ROWS; offset < content.length; offset += 32) {
            // Field elements, points and digests: above, and in what follows.
            if (offset > KEY_LOG_ROWS && offset < KEY_INSTANCES) continue;
            if (offset > KEY_INSTANCES && offset < KEY_REQUESTS) continue;
            if (offset >= KEY_FIXED && offset < KEY_OCCUPIED) continue;
            for (uint256 bit = 0; bit < 256; ++bit) {
                assembly {
                    let place := add(add(content, 0x20), offset)
                    mstore(place, xor(mload(place), shl(bit, 1)))
                }
                c.circuit = keccak256(content);
                vm.etch(c.key, bytes.concat(hex"00", content));
                (bool ok,) = address(verifier).staticcall{gas: 2_000_000}(_call(c));
                assertTrue(!ok, string.concat(vm.toString(offset), ", bit ", vm.toString(bit)));
                assembly {
                    let place := add(add(content, 0x20), offset)
                    mstore(place, xor(mload(place), shl(bit, 1)))
                }
                vm.resetGasMetering();
            }
        }
        c.circuit = keccak256(content);
        vm.etch(c.key, bytes.concat(hex"00", content));
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// A key whose number of public words is not its shape's.
    function test_instanceCountOfTheKey() public {
        Case memory c = _load("settlement-classify-1");
        uint256 count = vm.parseJsonUintArray(c.json, ".instances").length;
        _setKeyWord(c, KEY_INSTANCES, count + 1);
        _expectCheap(c, GroupClaim.KeyFormat.selector, "one more");
        _setKeyWord(c, KEY_INSTANCES, count - 1);
        _expectCheap(c, GroupClaim.KeyFormat.selector, "one less");
        _setKeyWord(c, KEY_INSTANCES, count);
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// Pairing under another [τ]₂ than the registered architecture's.
    function test_anotherTau() public {
        Case memory c = _load("settlement-embed-2");
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        for (uint256 word = 7; word < 11; ++word) {
            assembly {
                let place := add(add(content, 0x20), shl(5, word))
                mstore(place, xor(mload(place), 1))
            }
            c.circuit = keccak256(content);
            c.key = DataContract.store(content);
            _expectCheap(c, GroupClaim.Foreign.selector, vm.toString(word));
        }
    }

    /// A map with a bit of a tile that the region does not have says nothing else than without it, under another id.
    function test_occupiedBitsBeyondTheTiles() public {
        Case memory c = _load("settlement-classify-1");
        uint256[2] memory regions = [KEY_BASE, KEY_TABLE];
        for (uint256 i = 0; i < 2; ++i) {
            uint256 place = KEY_OCCUPIED + 32 * i;
            uint256 map = _keyWord(c, place);
            uint256 tiles = _keyWord(c, regions[i] + 32);
            _setKeyWord(c, place, map | 1 << tiles);
            _expectRejected(c, GroupClaim.KeyFormat.selector, "the first tile beyond");
            _setKeyWord(c, place, map | 1 << 255);
            _expectRejected(c, GroupClaim.KeyFormat.selector, "the last bit");
            _setKeyWord(c, place, map);
            assertTrue(_accepts(_call(c)), "unchanged");
        }
    }

    /// 13 has the half of 14 rounded up, which is all that the group claim reads.
    function test_tauOfTheKeyIsTheArchitectures() public {
        Case memory c = _load("settlement-classify-1");
        uint256 tau = _keyWord(c, KEY_LOG_TILE);
        bytes memory reason = abi.encodeWithSelector(GroupClaim.Foreign.selector, _keyWord(c, KEY_ARCHITECTURE));
        uint256[4] memory others = [tau - 1, tau + 2, tau + (1 << 32), tau + (1 << 255)];
        for (uint256 i = 0; i < others.length; ++i) {
            _setKeyWord(c, KEY_LOG_TILE, others[i]);
            vm.expectRevert(reason);
            verifier.check(c.circuit, c.key, c.consumer, c.settlement);
        }
        _setKeyWord(c, KEY_LOG_TILE, tau);
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// Changes of every word of the key, under the id that it then has. The second one makes 2 of the kind 1, and 13 of τ.
    function test_everyWordOfTheKeyCounts() public {
        Case memory c = _load("settlement-classify-3");
        bytes memory content = vm.parseJsonBytes(c.json, ".key");
        for (uint256 offset = 0; offset < content.length; offset += 32) {
            uint256 word = _keyWord(c, offset);
            uint256[6] memory changes = [word ^ 1, word ^ 3, word ^ 4, word ^ 1 << 255, word + R, word];
            for (uint256 i = 0; i < changes.length; ++i) {
                uint256 changed = changes[i];
                assembly {
                    mstore(add(add(content, 0x20), offset), changed)
                }
                c.circuit = keccak256(content);
                vm.etch(c.key, bytes.concat(hex"00", content));
                // Not without a limit: log2 of the rows is a number of rounds.
                (bool ok,) = address(verifier).staticcall{gas: 2_000_000}(_call(c));
                assertTrue(ok == (changed == word), string.concat(vm.toString(offset), ": ", vm.toString(changed)));
                // All calls together take more than a transaction may.
                vm.resetGasMetering();
            }
        }
    }

    /// A registered record whose code was replaced.
    function test_replacedRecord() public {
        Case memory c = _load("settlement-classify-1");
        address[3] memory records = [
            registry.architectures(vm.parseJsonUint(c.json, ".architecture")),
            registry.bases(c.settlement.base),
            registry.adapters(c.settlement.requests[0].adapter)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory code = records[i].code;
            bytes memory changed = bytes.concat(code);
            changed[changed.length - 1] ^= 0x01;
            vm.etch(records[i], changed);
            _expectRejected(c, GroupClaim.RecordCorrupt.selector, vm.toString(i));
            vm.etch(records[i], "");
            _expectRejected(c, GroupClaim.RecordCorrupt.selector, vm.toString(i));
            vm.etch(records[i], code);
        }
        assertTrue(_accepts(_call(c)), "unchanged");
    }

    /// The bytes of the call cut anywhere: rejected, cheaply.
    function testFuzz_truncated(uint256 length) public {
        Case memory c = _load("settlement-embed-2");
        bytes memory data = _call(c);
        length %= data.length;
        assembly {
            mstore(data, length)
        }
        uint256 before = gasleft();
        assertTrue(!_accepts(data), vm.toString(length));
        assertTrue(before - gasleft() < 60_000, "dear");
    }

    /// Both pairing equations wrong by opposite amounts. Everybody knows the development SRS's τ, so W' of either proof,
    /// which no transcript absorbs, can be moved until the equations' plain sum holds; with r' it does not.
    function test_compensatingErrors() public {
        Case memory c = _load("settlement-classify-1");
        uint256 tau = uint256(keccak256("lorica insecure development SRS 1")) % R;
        // halo2's W' and the generator's sum: the last two words of the proof.
        bytes memory proof = c.settlement.proof;
        uint256 x;
        uint256 y;
        assembly {
            x := mload(add(proof, 0x6c0))
            y := mload(add(proof, 0x6e0))
        }
        Point memory moved = _add(Point(x, y), Point(1, 2));
        (x, y) = (moved.x, moved.y);
        assembly {
            mstore(add(proof, 0x6c0), x)
            mstore(add(proof, 0x6e0), y)
        }
        uint256[5] memory a = halo2.accumulate(c.circuit, c.key, vm.parseJsonUintArray(c.json, ".instances"), proof);
        // left + factor [1] - τ right; zero for an honest proof
        Point memory left = _add(Point(a[0], a[1]), _mul(Point(1, 2), a[4]));
        Point memory wrong = _add(left, _mul(Point(a[2], a[3]), R - tau));
        assertTrue(wrong.y != 0, "halo2's equation is wrong");
        // Mercury's W' + Δ changes its equation by (z - τ) Δ.
        uint256 factor = addmod(c.settlement.z, R - tau, R);
        Point memory delta = _mul(wrong, R - _inverse(factor));
        Point memory back = _add(_mul(delta, factor), wrong);
        assertTrue(back.x == 0 && back.y == 0, "opposite amounts");
        c.settlement.opening.wPrime = _add(c.settlement.opening.wPrime, delta);
        _expectRejected(c, GroupClaim.ProofInvalid.selector, "compensating errors");
    }

    function _add(Point memory a, Point memory b) private view returns (Point memory) {
        (bool ok, bytes memory sum) = address(6).staticcall(abi.encode(a, b));
        assertTrue(ok, "addition");
        return abi.decode(sum, (Point));
    }

    function _mul(Point memory a, uint256 scalar) private view returns (Point memory) {
        (bool ok, bytes memory product) = address(7).staticcall(abi.encode(a, scalar));
        assertTrue(ok, "multiplication");
        return abi.decode(product, (Point));
    }

    function _inverse(uint256 word) private view returns (uint256) {
        (bool ok, bytes memory inverse) = address(5).staticcall(abi.encode(32, 32, 32, word, R - 2, R));
        assertTrue(ok, "inverse");
        return abi.decode(inverse, (uint256));
    }

    /// Any bytes.
    function testFuzz_garbage(bytes calldata data) public view {
        uint256 before = gasleft();
        assertTrue(!_accepts(abi.encodePacked(ISettlementVerifier.check.selector, data)), "garbage");
        assertTrue(before - gasleft() < 60_000, "dear");
    }
}
