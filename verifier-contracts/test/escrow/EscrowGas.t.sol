// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "../../src/Bn254.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {PrepaidEscrow} from "../../src/PrepaidEscrow.sol";
import {ISettlementVerifier, Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
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
        _lock(_named());
        for (uint256 i = 0; i < 16; ++i) {
            _lock(_staked(300 + i));
        }
        _stake(prover, 100 ether);
        _deployPrepaid();
        prepaid.enableRoute(_busy);
        vm.prank(requester);
        prepaid.deposit(requester, address(0), address(open), 1_000 * FEE);
        vm.resumeGasMetering();
    }

    /// Salts are random in real requests: their bytes are paid for.
    function _random(uint256 seed) private view returns (InferenceRequest memory request) {
        request = _request(uint256(keccak256(abi.encode(seed))));
        // The busy route is the third.
        request.routes = 7;
    }

    function _named() private view returns (InferenceRequest memory request) {
        request = _random(4);
        request.prover = prover;
    }

    /// With a stake and a price that rises.
    function _staked(uint256 seed) private view returns (InferenceRequest memory request) {
        request = _random(seed);
        (request.acceptTime, request.stake) = (1 hours, 1 ether);
        (request.minFee, request.rampStart, request.rampTime) = (FEE / 2, uint64(clock), 1_000);
    }

    /// As _random, for the escrow of deposits, with consecutive salts.
    function _numbered(uint256 salt) private view returns (InferenceRequest memory request) {
        request = _random(salt);
        request.salt = salt;
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
        InferenceRequest memory request = _random(uint256(keccak256(bytes(name))));
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
        // 120,000 before requests had six more terms (routes, ramp, time and stake of an acceptance): they are calldata, hashed,
        // and in the event, which has the payer as a topic besides.
        assertTrue(_max(most, used) <= 125_000, "limit");
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
                abi.encodeCall(InferenceEscrow.lockWithPermit, (_random(900 + i), FEE, address(0), "", clock, v, r, s));
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
        // 110,000 before: six more terms of each request are calldata and hashed, and the route is looked up.
        // 114,000 before: the index of each adapter is asked for, a fresh slot of the registry of models for each.
        assertTrue((used - check) / 16 + 63_300 <= 118_000, "limit");
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

    /// The first acceptance of all: the sum of held stakes is a fresh slot, and the payer has no balance yet.
    function test_stakes() public {
        InferenceRequest memory request = _staked(300);
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.accept, (request)));
        vm.snapshotValue("escrow", "accept with a stake and a price that rises, first", used);
        used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.accept, (_staked(301))));
        vm.snapshotValue("escrow", "accept with a stake and a price that rises, further", used);
        _advance(1 days + 1);
        used = _transaction(STRANGER, 0, abi.encodeCall(InferenceEscrow.refund, (request)));
        vm.snapshotValue("escrow", "refund that loses a stake, first", used);
        used = _transaction(address(stakes), STRANGER, 0, abi.encodeCall(stakes.burn, ()));
        vm.snapshotValue("escrow", "burn lost stakes", used);
    }

    function _sixteenStaked() private view returns (InferenceRequest[] memory requests) {
        requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _staked(300 + i);
        }
    }

    function test_acceptMany() public {
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.acceptMany, (_sixteen(false))));
        vm.snapshotValue("escrow", "accept 16, per request", used / 16);
        used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.acceptMany, (_sixteenStaked())));
        vm.snapshotValue("escrow", "accept 16 with stakes and prices that rise, per request", used / 16);
    }

    function test_settleStaked() public {
        InferenceRequest[] memory requests = _sixteenStaked();
        vm.prank(prover);
        escrow.acceptMany(requests);
        (uint256 used, uint256 check) = _settle16(requests);
        _snapshot("settle 16 with one adapter and stakes, first payments, beside the check, per request", used, check);
        assertTrue((used - check) / 16 + 63_300 <= 110_000, "limit");
    }

    /// Deposits instead of locks: all that a request costs on the chain is in this transaction.
    function test_settlePrepaid() public {
        for (uint256 i = 0; i < 2; ++i) {
            InferenceRequest[] memory requests = new InferenceRequest[](16);
            bytes[] memory signatures = new bytes[](16);
            Settlement memory settlement;
            for (uint256 j = 0; j < 16; ++j) {
                requests[j] = _numbered(16 * i + j);
                signatures[j] = _sign(REQUESTER_KEY, prepaid.requestId(requests[j]));
            }
            settlement = _settlement(requests, prover);
            for (uint256 j = 0; j < 16; ++j) {
                settlement.requests[j].id = prepaid.requestId(requests[j]);
            }
            settlement.witness = new Point[](9);
            settlement.rhoHigh = new uint256[](5);
            settlement.proof = new bytes(1_984);
            uint256 check =
                _transaction(address(router), STRANGER, 0, abi.encodeCall(router.check, (_busy, settlement)));
            bytes memory data = abi.encodeCall(
                PrepaidEscrow.settle, (_busy, settlement, _terms(requests), signatures, 16)
            );
            uint256 used = _transaction(address(prepaid), STRANGER, 0, data);
            string memory name = i == 0
                ? "settle 16 prepaid with one adapter, first payments, beside the check, per request"
                : "settle 16 prepaid with one adapter, further, beside the check, per request";
            vm.snapshotValue("escrow", name, (used - check) / 16);
        }
    }

    function test_deposit() public {
        bytes memory data = abi.encodeCall(PrepaidEscrow.deposit, (requester, prover, address(open), FEE));
        uint256 used = _transaction(address(prepaid), requester, 0, data);
        vm.snapshotValue("escrow", "deposit OPEN for a prover, first", used);
        used = _transaction(address(prepaid), requester, 0, data);
        vm.snapshotValue("escrow", "deposit OPEN for a prover, further", used);
    }

    function test_refuse() public {
        InferenceRequest memory request = _random(1);
        vm.prank(prover);
        escrow.accept(request);
        uint256 used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.refuse, (request, 1, 0, "")));
        vm.snapshotValue("escrow", "refuse an open request, which reopens", used);
        used = _transaction(prover, 0, abi.encodeCall(InferenceEscrow.refuse, (_named(), 1, 0, "")));
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
