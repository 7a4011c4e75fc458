// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AttributionPot} from "../../src/AttributionPot.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {vm} from "../Vm.sol";
import {writeCounters} from "../Cheats.sol";
import {AttributionWorld} from "./AttributionWorld.sol";

/// Acts on the pot in any order.
contract AttributionHandler is AttributionWorld {
    /// Entries of the index that are distributed, by their places; and the amounts that were paid out and burnt, by token.
    mapping(uint256 place => bool) public distributed;
    mapping(address token => uint256) public claimed;
    mapping(address token => uint256) public burnt;
    /// What each slot must be owed or have had.
    mapping(address token => mapping(uint256 slot => uint256)) public due;
    mapping(address token => mapping(uint256 slot => uint256)) public had;
    uint256 private salts;
    /// Of the present walk: it goes from `low` down to `done`; `end` is where it began.
    uint256 private done;
    uint256 private low;
    uint256 private end;

    /// Calls; payments, of those with shares that no index publishes; distributions, of those the last pieces of a walk; refused
    /// forgeries; claims; burns.
    uint256 private calls;
    uint256 private paid;
    uint256 private hostile;
    uint256 private pieces;
    uint256 private walks;
    uint256 private forged;
    uint256 private claims;
    uint256 private burns;

    uint256[5] private slotsOfTests = [uint256(7), 8, 9, 10, 159];

    constructor() {
        _attributionWorld();
    }

    function _token(uint256 seed) private view returns (address) {
        return seed % 3 == 0 ? address(0) : address(open);
    }

    /// Shares that an index may publish, and others.
    function pay(uint256 seed, uint16 a, uint16 b, uint16 c) external {
        vm.pauseGasMetering();
        _advance(0);
        uint256[] memory slots = new uint256[](3);
        uint256[] memory shares = new uint256[](3);
        slots[0] = 7 + seed % 2;
        (slots[1], slots[2]) = (9 + seed / 2 % 2, seed % 7 == 0 ? 160 : 159);
        (shares[0], shares[1], shares[2]) = (a, b, c);
        if (seed % 5 != 0) {
            uint256 sum = uint256(a) + b + c + 1;
            for (uint256 i = 0; i < 3; ++i) {
                shares[i] = shares[i] * 65_535 / sum;
            }
        }
        uint256[4] memory words = _list(slots, shares);
        InferenceRequest memory request = _ask(++salts);
        request.token = _token(seed >> 8);
        (request.maxFee, request.minFee) = (1 + seed % FEE, 1 + seed % FEE);
        uint256 amount = request.maxFee / 10;
        _pay(request, words);
        ++calls;
        if (amount == 0) return;
        ++paid;
        bool divisible = shares[0] + shares[1] + shares[2] <= 65_535 && (slots[2] == 159 || shares[2] == 0);
        if (!divisible) ++hostile;
        for (uint256 i = 0; divisible && i < 3; ++i) {
            if (slots[i] < 160) due[request.token][slots[i]] += amount * shares[i] / 65_535;
        }
        vm.resumeGasMetering();
    }

    function distribute(uint256 seed) external {
        vm.pauseGasMetering();
        ++calls;
        if (low == done) {
            low = end = chain[index].length;
            if (low == done) return;
        }
        uint256 count = 1 + seed % (low - done);
        _distribute(index, low - count, low);
        for (uint256 i = low - count; i < low; ++i) {
            require(!distributed[i], "twice");
            distributed[i] = true;
        }
        ++pieces;
        low -= count;
        if (low == done) {
            low = done = end;
            ++walks;
        }
        vm.resumeGasMetering();
    }

    /// Any entries from any place on: nothing but the walk's next piece is taken.
    function forge(uint256 from, uint256 to) external {
        vm.pauseGasMetering();
        ++calls;
        uint256 length = chain[index].length;
        if (length == 0) return;
        from %= length;
        to = from + 1 + to % (length - from);
        bool next = low == done ? to == length && from >= done && length != done : to == low && from >= done;
        if (next) return;
        AttributionPot.Entry[] memory entries = _entries(index, from, to);
        (bool ok,) =
            address(pot).call(abi.encodeCall(AttributionPot.distribute, (index, heads[index][from], entries)));
        require(!ok, "distributed out of turn");
        ++forged;
        vm.resumeGasMetering();
    }

    function claim(uint256 seed) external {
        vm.pauseGasMetering();
        ++calls;
        uint256 slot = slotsOfTests[seed % 5];
        if (slot != 10) _take(slot, _token(seed >> 8));
        vm.resumeGasMetering();
    }

    function _take(uint256 slot, address token) private {
        uint256 amount = _owed(slot, token);
        if (amount == 0) return;
        require(_claim(slot, token) == amount, "what is owed");
        claimed[token] += amount;
        had[token][slot] += amount;
        ++claims;
    }

    function burn(uint256 seed) external {
        vm.pauseGasMetering();
        ++calls;
        address token = _token(seed);
        if (pot.burnable(token) == 0) return;
        burnt[token] += pot.burn(token);
        ++burns;
        vm.resumeGasMetering();
    }

    /// What is wrong once stays wrong: every sixteenth call is looked at, and the end.
    function glance() external {
        if (calls % 16 == 0) this.check();
    }

    function counters() external view returns (uint256[] memory all) {
        all = new uint256[](8);
        (all[0], all[1], all[2], all[3]) = (calls, paid, hostile, pieces);
        (all[4], all[5], all[6], all[7]) = (walks, forged, claims, burns);
    }

    /// The end: what waits is distributed, everybody takes what is his, and what is left is owed to whom no test can speak for.
    function finish() external {
        vm.pauseGasMetering();
        while (done != chain[index].length) {
            this.distribute(0);
        }
        address[2] memory tokens = [address(0), address(open)];
        for (uint256 t = 0; t < 2; ++t) {
            for (uint256 i = 0; i < 5; ++i) {
                if (slotsOfTests[i] != 10) _take(slotsOfTests[i], tokens[t]);
            }
            if (pot.burnable(tokens[t]) != 0) burnt[tokens[t]] += pot.burn(tokens[t]);
            assertEq(_potHas(tokens[t]), _owed(10, tokens[t]), "only a name's share is left");
        }
        this.check();
        vm.resumeGasMetering();
    }

    /// Money in = owed + claimed + unattributed + burnt + what waits in the chain; and no slot has had more than its parts.
    function check() external {
        vm.pauseGasMetering();
        address[2] memory tokens = [address(0), address(open)];
        for (uint256 t = 0; t < 2; ++t) {
            address token = tokens[t];
            uint256 all;
            uint256 waiting;
            for (uint256 i = 0; i < chain[index].length; ++i) {
                AttributionPot.Entry storage entry = chain[index][i];
                if (entry.token != token) continue;
                all += entry.amount;
                if (!distributed[i]) waiting += entry.amount;
            }
            uint256 owed = _allOwed(token);
            assertEq(owed + claimed[token] + pot.burnable(token) + burnt[token] + waiting, all, "every unit once");
            assertEq(_potHas(token), owed + pot.burnable(token) + waiting, "the pot can pay");
            if (waiting != 0) continue;
            for (uint256 i = 0; i < 5; ++i) {
                uint256 slot = slotsOfTests[i];
                assertEq(_owed(slot, token) + had[token][slot], due[token][slot], "each slot its parts");
            }
        }
        vm.resumeGasMetering();
    }
}

contract AttributionInvariantTest {
    AttributionHandler private handler;

    function setUp() public {
        vm.pauseGasMetering();
        handler = new AttributionHandler();
        vm.resumeGasMetering();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        bytes4[] memory selectors = new bytes4[](8);
        // Payments more often than the rest.
        selectors[0] = selectors[1] = selectors[2] = AttributionHandler.pay.selector;
        selectors[3] = selectors[4] = AttributionHandler.distribute.selector;
        selectors[5] = AttributionHandler.forge.selector;
        selectors[6] = AttributionHandler.claim.selector;
        selectors[7] = AttributionHandler.burn.selector;
        targets[0].selectors = selectors;
    }

    /// forge-config: long.invariant.runs = 1100
    function invariant_everyUnitOnce() public {
        handler.glance();
    }

    function afterInvariant() public {
        handler.check();
        writeCounters("attribution", handler.counters());
        handler.finish();
    }
}
