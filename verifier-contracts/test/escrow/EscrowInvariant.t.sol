// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Status} from "../../src/RequestRecord.sol";
import {vm} from "../Vm.sol";
import {writeCounters} from "../Cheats.sol";
import {EscrowHandler} from "./EscrowHandler.sol";

/// Random sequences of everything that anybody can do (`FOUNDRY_PROFILE=long`: a million calls and more).
contract EscrowInvariantTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    EscrowHandler private _handler;

    function setUp() public {
        _handler = new EscrowHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(_handler);
        bytes4[] memory selectors = new bytes4[](24);
        // Locks, acceptances, settlements and withdrawals more often than the rest.
        selectors[0] = selectors[1] = selectors[2] = EscrowHandler.lock.selector;
        selectors[3] = selectors[4] = EscrowHandler.accept.selector;
        selectors[5] = EscrowHandler.acceptMany.selector;
        selectors[6] = EscrowHandler.cancel.selector;
        selectors[7] = EscrowHandler.refund.selector;
        selectors[8] = EscrowHandler.refuse.selector;
        selectors[9] = selectors[10] = selectors[11] = EscrowHandler.settle.selector;
        selectors[12] = selectors[13] = EscrowHandler.withdraw.selector;
        selectors[14] = selectors[15] = EscrowHandler.warp.selector;
        selectors[16] = EscrowHandler.govern.selector;
        selectors[17] = selectors[18] = EscrowHandler.stake.selector;
        selectors[19] = EscrowHandler.prepay.selector;
        selectors[20] = EscrowHandler.leave.selector;
        selectors[21] = selectors[22] = selectors[23] = EscrowHandler.draw.selector;
        targets[0].selectors = selectors;
    }

    /// Per escrow and token: deposits = withdrawn + owed + locked, and the escrow holds owed + locked. No request is paid or
    /// given back twice, or both; no salt twice. Stakes: deposited = withdrawn + free + held + burnable + burnt, and what is held
    /// is what the accepted requests demand.
    function invariant_money() public view {
        // What is wrong once stays wrong: every sixteenth call is looked at, and the end.
        if (_handler.calls() % 16 == 0) _check();
    }

    function _check() private view {
        address[2] memory escrows = _handler.escrows();
        for (uint256 i = 0; i < 6; ++i) {
            (address escrow, address token) = (escrows[i / 3], _handler.tokens(i % 3));
            uint256 due = _handler.owed(escrow, token) + _handler.locked(escrow, token);
            require(_handler.held(escrow, token) == due, "held is not due");
            require(
                _handler.deposits(escrow, token) == _handler.withdrawn(escrow, token) + due,
                "deposits are not accounted for"
            );
        }
        uint256[8] memory sums = _handler.stakeSums();
        require(sums[0] == sums[1] + sums[2] + sums[3] + sums[4] + sums[5], "stakes are not accounted for");
        require(sums[3] == sums[6], "held stakes are not those of accepted requests");
        require(sums[7] == sums[2] + sums[3] + sums[4], "stakes are not there");
        uint256 count = _handler.requestCount();
        for (uint256 i = 0; i < count; ++i) {
            uint256 id = _handler.idOf(i);
            (Status status,,,) = _handler.world().resultOf(id);
            uint256 paid = _handler.timesPaid(id);
            uint256 returned = _handler.timesReturned(id);
            require(paid == (status == Status.Settled ? 1 : 0), "paid once if settled");
            bool back = status == Status.Refunded || status == Status.Cancelled || status == Status.Refused;
            require(returned == (back ? 1 : 0), "given back once if not");
        }
        require(bytes(_handler.failure()).length == 0, _handler.failure());
    }

    /// Kinds of calls that a fixed sequence reaches; the counters of random ones say how often all are.
    uint256 private constant REACHED = 24;

    function _all() private view returns (bool) {
        for (uint256 i = 0; i < REACHED; ++i) {
            if (_handler.done(i) == 0) return false;
        }
        return true;
    }

    /// The handler's calls do what they are for, each kind of them.
    function test_everythingHappens() public {
        vm.pauseGasMetering();
        for (uint256 i = 0; i < 12_000 && !_all(); ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            uint256 other = uint256(keccak256(abi.encode(seed)));
            uint256 what = i % 15;
            if (what == 0 && i % 225 == 0) _handler.lock(seed, uint96(other), uint16(other >> 96));
            else if (what == 1 || what == 6) _handler.accept(seed, other);
            else if (what == 2 && i % 150 == 2) _handler.cancel(seed, other);
            else if (what == 3 && i % 90 == 3) _handler.refund(seed, other);
            else if (what == 4 && i % 45 == 4) _handler.refuse(seed, other);
            else if (what == 5 && i % 30 == 5) _handler.settle(seed, other);
            else if (what < 8) _handler.withdraw(seed, other);
            else if (what == 8 && i % 45 == 8) _handler.warp(uint16(seed));
            else if (what == 9) _handler.stake(seed, uint96(other));
            else if (what == 10) _handler.prepay(seed, uint96(other));
            else if (what == 11 && i % 210 == 11) _handler.leave(seed);
            else if (what == 12) _handler.draw(seed, other);
            else if (what == 13 && i % 60 == 13) _handler.acceptMany(seed, other);
            else if (what == 14) _handler.govern(seed);
        }
        for (uint256 i = 0; i < REACHED; ++i) {
            require(_handler.done(i) != 0, string.concat("a kind of call never does anything: ", vm.toString(i)));
        }
        _check();
        _handler.finish();
    }

    /// Nothing is stuck: at the end of each sequence every unit can be withdrawn.
    function afterInvariant() public {
        _check();
        uint256[] memory counters = new uint256[](_handler.KINDS() + 1);
        counters[0] = _handler.calls();
        for (uint256 i = 1; i < counters.length; ++i) {
            counters[i] = _handler.done(i - 1);
        }
        writeCounters("escrow", counters);
        _handler.finish();
    }
}
