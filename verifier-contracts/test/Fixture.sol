// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "../src/Bn254.sol";
import {CommitmentRegistry} from "../src/CommitmentRegistry.sol";
import {DataContract} from "../src/DataContract.sol";
import {Halo2Verifier} from "../src/Halo2Verifier.sol";
import {FAMILY_ENCODER} from "../src/Records.sol";
import {LoricaVerifier} from "../src/LoricaVerifier.sol";
import {Opening, Request, Settlement} from "../src/Settlement.sol";
import {vm} from "./Vm.sol";
import {cheats} from "./Cheats.sol";

/// The contracts, and settlements from `test/vectors`.
abstract contract Fixture {
    CommitmentRegistry internal registry;
    Halo2Verifier internal halo2;
    LoricaVerifier internal verifier;
    /// The version that is registered.
    uint256 private _datanet;

    /// A vector's settlement with all that it refers to deployed and registered.
    struct Case {
        string json;
        bytes32 circuit;
        address key;
        address consumer;
        Settlement settlement;
    }

    function _deploy() internal {
        registry = CommitmentRegistry(cheats.deployCode("CommitmentRegistry.sol:CommitmentRegistry"));
        halo2 = Halo2Verifier(cheats.deployCode("Halo2Verifier.sol:Halo2Verifier"));
        verifier = _verifier(halo2);
    }

    function _verifier(Halo2Verifier halo2_) internal returns (LoricaVerifier) {
        return LoricaVerifier(cheats.deployCode("LoricaVerifier.sol:LoricaVerifier", abi.encode(registry, halo2_)));
    }

    function _read(string memory name) internal view returns (string memory) {
        return vm.readFile(string.concat("test/vectors/", name, ".json"));
    }

    function _points(uint256[] memory words) internal pure returns (Point[] memory points) {
        points = new Point[](words.length / 2);
        for (uint256 i = 0; i < points.length; ++i) {
            points[i] = Point(words[2 * i], words[2 * i + 1]);
        }
    }

    function _register(string memory json) internal {
        uint256 id = vm.parseJsonUint(json, ".architecture");
        if (registry.architectures(id) == address(0)) {
            uint256[] memory tau = vm.parseJsonUintArray(json, ".tauG2");
            uint256 got = registry.registerArchitecture(
                FAMILY_ENCODER,
                vm.parseJsonBytes(json, ".encoding"),
                uint32(vm.parseJsonUint(json, ".logTile")),
                vm.parseJsonUint(json, ".srs"),
                [tau[0], tau[1], tau[2], tau[3]],
                _points(vm.parseJsonUintArray(json, ".tables"))
            );
            assertEq(got, id, "architecture id");
        }
        uint256 base = vm.parseJsonUint(json, ".base");
        if (registry.bases(base) == address(0)) {
            uint256 got = registry.registerBase(
                id, _points(vm.parseJsonUintArray(json, ".tiles")), vm.parseJsonUint(json, ".scalesWord")
            );
            assertEq(got, base, "base id");
        }
        for (uint256 i = 0; vm.keyExistsJson(json, _adapter(i, "")); ++i) {
            uint256 adapter = vm.parseJsonUint(json, _adapter(i, ".id"));
            if (registry.adapters(adapter) != address(0)) continue;
            string memory key = _adapter(i, ".version");
            uint256 version = vm.keyExistsJson(json, key) ? vm.parseJsonUint(json, key) : 0;
            uint256 got =
                registry.registerAdapter(base, version, _points(vm.parseJsonUintArray(json, _adapter(i, ".tiles"))));
            assertEq(got, adapter, "adapter id");
        }
        if (vm.keyExistsJson(json, ".indexes[0]")) _registerIndex(json);
    }

    function _registerIndex(string memory json) private {
        uint256 id = vm.parseJsonUint(json, ".indexes[0].id");
        if (registry.indexes(id) != address(0)) return;
        assertEq(_registerDatanet(), vm.parseJsonUint(json, ".indexes[0].version"), "the index' version");
        uint256 got = registry.registerIndex(
            vm.parseJsonUint(json, ".indexes[0].adapter"),
            uint32(vm.parseJsonUint(json, ".indexes[0].logRecords")),
            _points(vm.parseJsonUintArray(json, ".indexes[0].tiles"))
        );
        assertEq(got, id, "index id");
    }

    /// The datanet version of `datanet.json`, with the id that Rust computed.
    function _registerDatanet() internal returns (uint256 id) {
        if (_datanet != 0) return _datanet;
        string memory json = _read("datanet");
        id = _datanet = vm.parseJsonUint(json, ".id");
        uint256 got = registry.registerDatanet(
            uint32(vm.parseJsonUint(json, ".count")),
            vm.parseJsonBytes32(json, ".recordsRoot"),
            uint32(vm.parseJsonUint(json, ".contributors")),
            vm.parseJsonBytes32(json, ".contributorsRoot"),
            vm.parseJsonBytes32(json, ".rules"),
            vm.parseJsonBytes32(json, ".licence"),
            vm.parseJsonBytes32(json, ".standard")
        );
        assertEq(got, id, "datanet id");
    }

    function _adapter(uint256 index, string memory field) internal pure returns (string memory) {
        return string.concat(".adapters[", vm.toString(index), "]", field);
    }

    function _load(string memory name) internal returns (Case memory c) {
        c.json = _read(name);
        _register(c.json);
        c.circuit = vm.parseJsonBytes32(c.json, ".circuit");
        c.key = DataContract.store(vm.parseJsonBytes(c.json, ".key"));
        c.consumer = address(uint160(vm.parseJsonUint(c.json, ".consumer")));
        vm.chainId(vm.parseJsonUint(c.json, ".chainId"));
        c.settlement = _settlement(c.json);
    }

    function _settlement(string memory json) internal pure returns (Settlement memory s) {
        s.payee = address(uint160(vm.parseJsonUint(json, ".payee")));
        s.base = vm.parseJsonUint(json, ".base");
        s.index = vm.parseJsonUint(json, ".index");
        s.requests = _requests(json);
        s.shares = vm.parseJsonUintArray(json, ".shares");
        s.witness = _points(vm.parseJsonUintArray(json, ".witness"));
        Point[] memory opening = _points(vm.parseJsonUintArray(json, ".opening"));
        s.opening =
            Opening(opening[0], opening[1], opening[2], opening[3], opening[4], opening[5], opening[6], opening[7]);
        s.rhoHigh = vm.parseJsonUintArray(json, ".rhoHigh");
        s.alpha = vm.parseJsonUint(json, ".alpha");
        s.zeta = vm.parseJsonUint(json, ".zeta");
        s.beta = vm.parseJsonUint(json, ".beta");
        s.z = vm.parseJsonUint(json, ".z");
        s.constantTerm = vm.parseJsonUint(json, ".constantTerm");
        s.proof = vm.parseJsonBytes(json, ".proof");
    }

    function _requests(string memory json) private pure returns (Request[] memory requests) {
        uint256[] memory ids = vm.parseJsonUintArray(json, ".requestIds");
        uint256[] memory fees = vm.parseJsonUintArray(json, ".fees");
        uint256[] memory adapters = vm.parseJsonUintArray(json, ".requestAdapters");
        uint256[] memory inputs = vm.parseJsonUintArray(json, ".inputDigests");
        uint256[] memory labels = vm.parseJsonUintArray(json, ".labels");
        uint256[] memory outputs = vm.parseJsonUintArray(json, ".outputDigests");
        requests = new Request[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            requests[i] = Request(ids[i], fees[i], adapters[i], inputs[i], labels[i], outputs[i]);
        }
    }

    function assertEq(uint256 got, uint256 expected, string memory what) internal pure {
        require(got == expected, string.concat(what, ": ", vm.toString(got), " instead of ", vm.toString(expected)));
    }

    function assertTrue(bool holds, string memory what) internal pure {
        require(holds, what);
    }
}
