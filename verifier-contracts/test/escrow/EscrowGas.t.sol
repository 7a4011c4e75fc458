// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "../../src/Bn254.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {ISettlementVerifier, Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "./Cheats.sol";
import {MockVerifier} from "./Mocks.sol";
import {World} from "./World.sol";

/// Uses as much gas in every check: more than the least price of a transaction with its calldata (EIP-7623).
contract BusyVerifier is ISettlementVerifier {
    function check(bytes32, address, address, Settlement calldata) external pure {
        bytes32 state;
        for (uint256 i = 0; i < 3_000; ++i) {
            state = keccak256(abi.encode(state));
        }
        if (state == 0) revert();
    }
}

/// Gas of whole transactions, refunds included: each call is one (forge's isolation).
/// forge-config: default.isolate = true
contract EscrowGasTest is World {
    /// Sixteen adapters, each of a line of its own.
    uint256[] private _lines;
    bytes32 private _busy;

    /// What is locked here was locked before: a slot that the test itself has written is cheaper to write again.
    function setUp() public {
        _world();
        vm.pauseGasMetering();
        mock = MockVerifier(address(new BusyVerifier()));
        _busy = _addRoute(OUTPUT_CLASSIFY, 9);
        escrow.enableRoute(_busy);
        // As `lorica chain deploy` leaves it: an empty balance would make the first lock dearer.
        open.transfer(address(escrow), 1);
        for (uint256 i = 0; i < 16; ++i) {
            (uint256 adapter,) =
                _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, i + 10, _split(6_000, 2_000, 1_000, 1_000), 0);
            _lines.push(adapter);
        }
        InferenceRequest[] memory different = _sixteen(true);
        InferenceRequest[] memory same = _sixteen(false);
        for (uint256 i = 0; i < 16; ++i) {
            _lock(different[i]);
            _lock(same[i]);
        }
        for (uint256 i = 1; i <= 3; ++i) {
            _lock(_random(i));
        }
        vm.resumeGasMetering();
    }

    /// Salts are random in real requests: their bytes are paid for.
    function _random(uint256 seed) private view returns (InferenceRequest memory) {
        return _request(uint256(keccak256(abi.encode(seed))));
    }

    /// Requests of one batch, each with its own adapter or all with one.
    function _sixteen(bool different) private view returns (InferenceRequest[] memory requests) {
        requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _random(i + (different ? 100 : 200));
            if (different) requests[i].adapter = _lines[i];
        }
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
        return abi.encodeCall(InferenceEscrow.lock, (request, uint96(request.maxFee), address(0), signature));
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

    /// The allowance is used up at once, so the slot is given back.
    function test_lockWithPermit() public {
        vm.prank(requester);
        open.approve(address(escrow), 0);
        for (uint256 i = 2; i < 4; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = _permit(open, REQUESTER_KEY, FEE);
            bytes memory data =
                abi.encodeCall(InferenceEscrow.lockWithPermit, (_request(i), FEE, address(0), "", clock, v, r, s));
            uint256 used = _transaction(requester, 0, data);
            string memory name = i == 2 ? "lock OPEN with the requester's first permit" : "lock OPEN with a permit";
            vm.snapshotValue("escrow", name, used);
        }
    }

    /// 16 requests; calldata of the size of a proof at tile size 2^22. The check itself is the verifier's: see check.json.
    function _settle16(InferenceRequest[] memory requests) private returns (uint256 used, uint256 check) {
        Settlement memory settlement = _settlement(requests, prover);
        settlement.witness = new Point[](9);
        settlement.rhoHigh = new uint256[](5);
        settlement.proof = new bytes(1_984);
        bytes memory data = abi.encodeCall(router.check, (_busy, settlement));
        check = _transaction(address(router), STRANGER, 0, data);
        data = abi.encodeCall(InferenceEscrow.settle, (_busy, settlement, _terms(requests), 0));
        used = _transaction(STRANGER, 0, data);
    }

    function _snapshot(string memory name, uint256 used, uint256 check) private {
        // What the escrow adds to a transaction that only checks.
        vm.snapshotValue("escrow", name, (used - check) / 16);
    }

    function test_settleDifferentAdapters() public {
        (uint256 used, uint256 check) = _settle16(_sixteen(true));
        _snapshot("settle 16 with 16 adapters, first payments, beside the check, per request", used, check);
        // 63,300 for the check of 16 different adapters at tile size 2^22 (docs/benchmarks.md).
        assertTrue((used - check) / 16 + 63_300 <= 110_000, "limit");
    }

    function test_settleOneAdapter() public {
        (uint256 used, uint256 check) = _settle16(_sixteen(false));
        _snapshot("settle 16 with one adapter, first payments, beside the check, per request", used, check);
    }

    function test_rest() public {
        InferenceRequest memory request = _random(1);
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.accept, (request)));
        vm.snapshotValue("escrow", "accept", used);
        used = _transaction(requester, 0, abi.encodeCall(InferenceEscrow.cancel, (_random(2))));
        vm.snapshotValue("escrow", "cancel, first refund of the payer", used);
    }

    function test_refuse() public {
        InferenceRequest memory request = _random(1);
        vm.prank(prover);
        escrow.accept(request);
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.refuse, (request, 1, 0, "")));
        vm.snapshotValue("escrow", "refuse, first refund of the payer", used);
    }

    function test_refund() public {
        InferenceRequest[2] memory requests = [_random(1), _random(2)];
        _advance(2 days);
        uint256 used = _transaction(STRANGER, 0, abi.encodeCall(InferenceEscrow.refund, (requests[0])));
        vm.snapshotValue("escrow", "refund, first of the payer", used);
        used = _transaction(STRANGER, 0, abi.encodeCall(InferenceEscrow.refund, (requests[1])));
        vm.snapshotValue("escrow", "refund, further", used);
        used = _transaction(requester, 0, abi.encodeCall(escrow.withdraw, (address(open), requester)));
        vm.snapshotValue("escrow", "withdraw", used);
    }
}
