// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "../../src/Bn254.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "./Cheats.sol";
import {World} from "./World.sol";

/// Gas of whole transactions, refunds included: each call is one (forge's isolation).
/// forge-config: default.isolate = true
contract EscrowGasTest is World {
    function setUp() public {
        _world();
        // As `lorica chain deploy` leaves it: an empty balance would make the first lock dearer.
        open.transfer(address(escrow), 1);
    }

    function _transaction(address sender, uint256 value, bytes memory data) private returns (uint256 used) {
        return _transaction(address(escrow), sender, value, data);
    }

    function _transaction(address to, address sender, uint256 value, bytes memory data) private returns (uint256 used) {
        vm.prank(sender);
        (bool ok,) = to.call{value: value}(data);
        used = cheats.lastCallGas().gasTotalUsed;
        assertTrue(ok, "transaction");
    }

    function _lockData(InferenceRequest memory request, bytes memory signature) private pure returns (bytes memory) {
        return abi.encodeCall(InferenceEscrow.lock, (request, uint96(request.maxFee), CIRCUITS, signature));
    }

    /// Locks for a request that names a prover and a consumer, with a random salt, after an approval of so much.
    function _lockOf(string memory name, bool own, uint256 approval) private returns (uint256 used) {
        InferenceRequest memory request = _request(uint256(keccak256(bytes(name))));
        (request.prover, request.consumer, request.consumerGas) = (prover, address(mock), 100_000);
        address payer = own ? requester : RELAYER;
        vm.prank(payer);
        open.approve(address(escrow), approval);
        used = _transaction(payer, 0, _lockData(request, own ? bytes("") : _signed(request)));
        vm.snapshotValue("escrow", string.concat("lock OPEN, by ", name), used);
    }

    function test_lock() public {
        uint256 all = type(uint256).max;
        uint256 most = _lockOf("the requester, unlimited approval", true, all);
        most = _max(most, _lockOf("the requester, approval used up", true, FEE));
        most = _max(most, _lockOf("the requester, larger approval", true, 2 * FEE));
        most = _max(most, _lockOf("a relayer with the signature, unlimited approval", false, all));
        most = _max(most, _lockOf("a relayer with the signature, approval used up", false, FEE));
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        uint256 used = _transaction(RELAYER, FEE, _lockData(request, _signed(request)));
        vm.snapshotValue("escrow", "lock the gas token, by a relayer with the signature", used);
        assertTrue(_max(most, used) <= 120_000, "limit");
        // Beyond the limit.
        _lockOf("a relayer with the signature, larger approval", false, 2 * FEE);
        vm.prank(RELAYER);
        open.delegate(RELAYER);
        cheats.roll(++height);
        _lockOf("a relayer with delegated votes, unlimited approval", false, all);
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }

    function test_lockIntoAnEmptyEscrow() public {
        vm.prank(address(escrow));
        open.transfer(STRANGER, 1);
        _lockOf("the requester, into an escrow that holds none", true, type(uint256).max);
    }

    /// The allowance is used up at once, so the slot is given back.
    function test_lockWithPermit() public {
        _lock(_request(1));
        vm.prank(requester);
        open.approve(address(escrow), 0);
        for (uint256 i = 2; i < 4; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = _permit(open, REQUESTER_KEY, FEE);
            bytes memory data =
                abi.encodeCall(InferenceEscrow.lockWithPermit, (_request(i), FEE, CIRCUITS, "", clock, v, r, s));
            uint256 used = _transaction(requester, 0, data);
            string memory name = i == 2 ? "lock OPEN with the requester's first permit" : "lock OPEN with a permit";
            vm.snapshotValue("escrow", name, used);
        }
    }

    /// 16 requests; calldata of the size of a proof at tile size 2^22. The check itself is the verifier's: see check.json.
    function _settle16(bool different) private returns (uint256 used, uint256 check) {
        if (different) {
            for (uint256 i = 2; i <= 16; ++i) {
                (uint256 adapter, uint24 model) =
                    _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, i, _split(6_000, 2_000, 1_000, 1_000), 0);
                adapters.push(adapter);
                adapterModels.push(model);
            }
        }
        InferenceRequest[] memory requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _request(i);
            if (different) requests[i].adapter = adapters[i];
            _lock(requests[i]);
        }
        Settlement memory settlement = _settlement(requests, prover);
        settlement.witness = new Point[](9);
        settlement.rhoHigh = new uint256[](5);
        settlement.proof = new bytes(1_984);
        mock.setGullible(true);
        bytes memory data = abi.encodeCall(router.check, (classify, settlement));
        check = _transaction(address(router), STRANGER, 0, data);
        data = abi.encodeCall(InferenceEscrow.settle, (classify, settlement, _terms(requests)));
        used = _transaction(STRANGER, 0, data);
    }

    function _snapshot(string memory name, uint256 used, uint256 check) private {
        // What the escrow adds to a transaction that only checks.
        vm.snapshotValue("escrow", name, (used - check) / 16);
    }

    function test_settleDifferentAdapters() public {
        (uint256 used, uint256 check) = _settle16(true);
        _snapshot("settle 16 with 16 adapters, first payments, beside the check, per request", used, check);
        // 63,200 for the check of 16 different adapters at tile size 2^22 (docs/benchmarks.md).
        assertTrue((used - check) / 16 + 63_200 <= 110_000, "limit");
    }

    function test_settleOneAdapter() public {
        (uint256 used, uint256 check) = _settle16(false);
        _snapshot("settle 16 with one adapter, first payments, beside the check, per request", used, check);
    }

    function test_rest() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.accept, (request)));
        vm.snapshotValue("escrow", "accept", used);
        used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.refuse, (request, 1, "")));
        vm.snapshotValue("escrow", "refuse, first refund of the payer", used);
        request.salt = 2;
        _lock(request);
        used = _transaction(requester, 0, abi.encodeCall(InferenceEscrow.cancel, (request)));
        vm.snapshotValue("escrow", "cancel", used);
        request.salt = 3;
        _lock(request);
        _advance(2 days);
        used = _transaction(STRANGER, 0, abi.encodeCall(InferenceEscrow.refund, (request)));
        vm.snapshotValue("escrow", "refund", used);
        used = _transaction(requester, 0, abi.encodeCall(escrow.withdraw, (address(open), requester)));
        vm.snapshotValue("escrow", "withdraw", used);
    }
}
