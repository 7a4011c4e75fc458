// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Status} from "../../src/RequestRecord.sol";
import {vm} from "../Vm.sol";
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
        bytes4[] memory selectors = new bytes4[](14);
        // Locks, settlements and withdrawals more often than the rest.
        selectors[0] = selectors[1] = selectors[2] = EscrowHandler.lock.selector;
        selectors[3] = EscrowHandler.accept.selector;
        selectors[4] = EscrowHandler.cancel.selector;
        selectors[5] = EscrowHandler.refund.selector;
        selectors[6] = EscrowHandler.refuse.selector;
        selectors[7] = selectors[8] = selectors[9] = EscrowHandler.settle.selector;
        selectors[10] = selectors[11] = EscrowHandler.withdraw.selector;
        selectors[12] = EscrowHandler.warp.selector;
        selectors[13] = EscrowHandler.govern.selector;
        targets[0].selectors = selectors;
    }

    /// Per token: deposits = withdrawn + owed + locked, and the escrow holds owed + locked. No request is paid or given
    /// back twice, or both.
    function invariant_money() public view {
        // What is wrong once stays wrong: every sixteenth call is looked at, and the end.
        if (_handler.calls() % 16 == 0) _check();
    }

    function _check() private view {
        for (uint256 t = 0; t < 3; ++t) {
            address token = _handler.tokens(t);
            uint256 due = _handler.owed(token) + _handler.locked(token);
            require(_handler.held(token) == due, "held is not due");
            require(_handler.deposits(token) == _handler.withdrawn(token) + due, "deposits are not accounted for");
        }
        uint256 count = _handler.requestCount();
        for (uint256 i = 0; i < count; ++i) {
            uint256 id = _handler.idOf(i);
            (Status status,,) = _handler.world().resultOf(id);
            uint256 paid = _handler.timesPaid(id);
            uint256 returned = _handler.timesReturned(id);
            require(paid == (status == Status.Settled ? 1 : 0), "paid once if settled");
            bool back = status == Status.Refunded || status == Status.Cancelled || status == Status.Refused;
            require(returned == (back ? 1 : 0), "given back once if not");
        }
        require(bytes(_handler.failure()).length == 0, _handler.failure());
    }

    /// The handler's calls do what they are for, each kind of them.
    function test_everythingHappens() public {
        vm.pauseGasMetering();
        uint256 seed;
        for (uint256 i = 0; i < 600; ++i) {
            seed = uint256(keccak256(abi.encode(i)));
            uint256 other = uint256(keccak256(abi.encode(seed)));
            uint256 what = i % 10;
            if (what == 0 && i % 20 == 0) _handler.lock(seed, uint96(other), uint16(other >> 96));
            else if (what == 1) _handler.accept(seed, other);
            else if (what == 2 && i % 50 == 2) _handler.cancel(seed, other);
            else if (what == 3) _handler.refund(seed, other);
            else if (what == 4 && i % 50 == 4) _handler.refuse(seed, other);
            else if (what == 5) _handler.settle(seed, other);
            else if (what < 9) _handler.withdraw(seed, other);
            else if (i % 30 == 9) _handler.warp(uint16(seed));
        }
        for (uint256 i = 0; i < 10; ++i) {
            require(_handler.done(i) != 0, "a kind of call never does anything");
        }
        _check();
        _handler.finish();
    }

    /// Nothing is stuck: at the end of each sequence every unit can be withdrawn.
    function afterInvariant() public {
        _check();
        _handler.finish();
    }
}
