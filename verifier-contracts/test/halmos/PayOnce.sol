// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DataContract} from "../../src/DataContract.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Testing} from "../Testing.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {WHOLE} from "../../src/ModelTerms.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Point, Request, Settlement} from "../../src/Settlement.sol";
import {KEY_OCCUPIED, KEY_OUTPUT_KIND} from "../../src/SettlementKey.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";

/// Any split.
contract StubModels {
    uint16 private _adapterOwner;
    uint16 private _baseOwner;
    uint16 private _contributors;

    function open() external view returns (address) {
        return address(this);
    }

    function commitments() external view returns (address) {
        return address(this);
    }

    function indexOf(uint256) external pure returns (uint256) {
        return 0;
    }

    /// As OPEN: every transfer succeeds.
    function transferFrom(address, address, uint256) external pure returns (bool) {
        return true;
    }

    function setShares(uint16 adapterOwner, uint16 baseOwner, uint16 contributors) external {
        (_adapterOwner, _baseOwner, _contributors) = (adapterOwner, baseOwner, contributors);
    }

    function servingTerms(uint256, uint256) external view returns (uint24, uint16, uint16, uint16) {
        return (7, _adapterOwner, _baseOwner, _contributors);
    }

    function lineOf(uint256) external pure returns (uint24) {
        return 5;
    }
}

/// Every proof is true.
contract StubRouter {
    address private immutable _key;

    constructor(address key) {
        _key = key;
    }

    function servedKey(bytes32 route) external view returns (bytes32, address) {
        return (route, _key);
    }

    /// Any time: stakes are given back or divided.
    uint40 public lastStop;

    function setLastStop(uint40 lastStop_) external {
        lastStop = lastStop_;
    }

    function check(bytes32, Settlement calldata) external pure {}
}

/// For halmos: of a locked request, whatever two callers try one after the other, at whatever times, with every proof true,
/// the fee is credited once or not at all, to the unit.
contract PayOnceCheck {
    uint256 private constant START = 1_800_000_000;
    uint64 private constant DEADLINE = uint64(START + 1_000);
    address private constant REQUESTER = address(0xaaaa);

    InferenceEscrow private _escrow;
    StubModels private _models;
    StubRouter private _router;
    uint96 private _stake;
    uint32 private _acceptTime;

    function setUp() public {
        bytes memory content = new bytes(KEY_OCCUPIED);
        content[KEY_OUTPUT_KIND + 31] = bytes1(OUTPUT_CLASSIFY);
        _models = new StubModels();
        _router = new StubRouter(DataContract.store(content));
        _escrow = new InferenceEscrow(
            address(1), VerifierRouter(address(_router)), ModelRegistry(address(_models))
        );
        _escrow.enableRoute("route");
        cheats.warp(START);
    }

    function _request() private view returns (InferenceRequest memory request) {
        (request.stake, request.acceptTime) = (_stake, _acceptTime);
        request.requester = REQUESTER;
        (request.base, request.adapter, request.inputDigest, request.kind) = (1, 2, 3, OUTPUT_CLASSIFY);
        (request.maxFee, request.minFee, request.deadline) = (type(uint96).max, type(uint96).max, DEADLINE);
        request.routes = 1;
    }

    /// The call of a kind, with success.
    function _try(uint8 kind, address caller, address payee, uint96 fee, uint256 id) private returns (bool ok) {
        InferenceRequest[] memory requests = new InferenceRequest[](1);
        requests[0] = _request();
        bytes memory data;
        if (kind == 0) {
            Settlement memory settlement;
            settlement.payee = payee;
            settlement.base = 1;
            settlement.requests = new Request[](1);
            settlement.requests[0] = Request(id, fee, 2, 3, 4, 5);
            settlement.witness = new Point[](0);
            data = abi.encodeCall(InferenceEscrow.settle, ("route", settlement, Testing.terms(requests), 0));
        } else if (kind == 1) {
            data = abi.encodeCall(InferenceEscrow.refund, (requests[0]));
        } else if (kind == 2) {
            data = abi.encodeCall(InferenceEscrow.cancel, (requests[0]));
        } else {
            data = abi.encodeCall(InferenceEscrow.refuse, (requests[0], 1, 0, ""));
        }
        vm.prank(caller);
        (ok,) = address(_escrow).call(data);
    }

    function _model(uint24 line) private view returns (uint256) {
        (uint128 owner, uint128 contributors) = _escrow.lineBalances(address(0), line);
        return uint256(owner) + contributors;
    }

    /// What the solver is told of parts, which are a product and a quotient to it that may be anything. It is true: with shares
    /// r + s + t <= W = 10,000, floor(fr/W) + floor(fs/W) + floor(ft/W) <= f(r + s + t)/W <= f.
    function _tell(uint256 fee, uint16[3] calldata shares) private pure {
        vm.assume(uint256(shares[0]) + shares[1] + shares[2] <= WHOLE);
        unchecked {
            (uint256 one, uint256 two, uint256 three) =
                (fee * shares[0] / WHOLE, fee * shares[1] / WHOLE, fee * shares[2] / WHOLE);
            vm.assume(one <= fee && two <= fee && three <= fee);
            vm.assume(one + two + three <= fee);
        }
    }

    /// The first call is a settlement; the second, as in the checks that follow, is any.
    function check_settleFirst(
        uint96 fee,
        uint16[3] calldata shares,
        uint8 second,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        bool accepted
    ) external {
        _payOnce(fee, shares, [0, second], callers, payees, delays, accepted);
    }

    function check_refundFirst(
        uint96 fee,
        uint16[3] calldata shares,
        uint8 second,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        bool accepted
    ) external {
        _payOnce(fee, shares, [1, second], callers, payees, delays, accepted);
    }

    function check_cancelFirst(
        uint96 fee,
        uint16[3] calldata shares,
        uint8 second,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        bool accepted
    ) external {
        _payOnce(fee, shares, [2, second], callers, payees, delays, accepted);
    }

    function check_refuseFirst(
        uint96 fee,
        uint16[3] calldata shares,
        uint8 second,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        bool accepted
    ) external {
        _payOnce(fee, shares, [3, second], callers, payees, delays, accepted);
    }

    function _payOnce(
        uint96 fee,
        uint16[3] calldata shares,
        uint8[2] memory kinds,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        bool accepted
    ) private {
        vm.assume(fee != 0);
        _tell(fee, shares);
        vm.assume(kinds[1] < 4);
        vm.assume(payees[0] != REQUESTER && payees[1] != REQUESTER && payees[0] != payees[1]);
        _models.setShares(shares[0], shares[1], shares[2]);
        cheats.deal(REQUESTER, fee);
        vm.prank(REQUESTER);
        uint256 id = _escrow.lock{value: fee}(_request(), fee, address(0), "");
        if (accepted) {
            vm.prank(callers[0]);
            _escrow.accept(_request());
        }
        cheats.warp(START + delays[0]);
        bool first = _try(kinds[0], callers[0], payees[0], fee, id);
        cheats.warp(START + uint256(delays[0]) + delays[1]);
        bool second = _try(kinds[1], callers[1], payees[1], fee, id);
        // A refusal of whoever is not named opens the request again.
        first = first && kinds[0] != 3;
        second = second && kinds[1] != 3;
        assert(!(first && second));
        uint256 credited = _escrow.balances(address(0), REQUESTER) + _escrow.balances(address(0), payees[0])
            + _escrow.balances(address(0), payees[1]) + _model(5) + _model(7);
        (Status status,,,) = _escrow.resultOf(id);
        bool open = status == Status.Locked || status == Status.Accepted;
        assert(open == !(first || second));
        assert(credited == (open ? 0 : fee));
    }

    /// With a stake, whatever was stopped at whatever time: fee and stake are all there, each once, to the unit.
    function check_stakeOnce(
        uint96 fee,
        uint96 stake,
        uint8[2] calldata kinds,
        address prover,
        address[2] calldata callers,
        address[2] calldata payees,
        uint32[2] calldata delays,
        uint40 lastStop
    ) external {
        vm.assume(fee != 0 && stake != 0);
        vm.assume(kinds[0] < 4 && kinds[1] < 4);
        vm.assume(payees[0] != REQUESTER && payees[1] != REQUESTER && payees[0] != payees[1]);
        vm.assume(prover != REQUESTER && prover != payees[0] && prover != payees[1]);
        _models.setShares(2_000, 1_000, 1_000);
        (_stake, _acceptTime) = (stake, 100);
        cheats.deal(REQUESTER, fee);
        vm.prank(REQUESTER);
        uint256 id = _escrow.lock{value: fee}(_request(), fee, address(0), "");
        vm.prank(prover);
        _escrow.stakes().deposit(prover, stake);
        vm.prank(prover);
        _escrow.accept(_request());
        _router.setLastStop(lastStop);
        cheats.warp(START + delays[0]);
        bool first = _try(kinds[0], callers[0], payees[0], fee, id) && kinds[0] != 3;
        cheats.warp(START + uint256(delays[0]) + delays[1]);
        bool second = _try(kinds[1], callers[1], payees[1], fee, id) && kinds[1] != 3;
        assert(!(first && second));
        assert(_escrow.stakes().held() == (first || second ? 0 : stake));
        uint256 sum = _escrow.stakes().held() + _escrow.stakes().burnable() + _escrow.stakes().free(REQUESTER)
            + _escrow.stakes().free(prover) + _escrow.stakes().free(payees[0]) + _escrow.stakes().free(payees[1]);
        assert(sum == stake);
    }
}
