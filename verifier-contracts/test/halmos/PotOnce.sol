// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AttributionPot} from "../../src/AttributionPot.sol";
import {CommitmentRegistry} from "../../src/CommitmentRegistry.sol";
import {Records, TAG_CONTRIBUTOR_ADDRESS} from "../../src/Records.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";

/// Every index is of one datanet version.
contract StubCommitments {
    uint32 private immutable _count;
    bytes32 private immutable _contributors;

    constructor(uint32 count, bytes32 contributors) {
        (_count, _contributors) = (count, contributors);
    }

    function indexParents(uint256) external pure returns (uint256, uint256) {
        return (1, 2);
    }

    function datanets(uint256) external view returns (address, uint32, uint32, bytes32) {
        return (address(this), 1, _count, _contributors);
    }
}

/// Keeps the order of its factors: it is compiled apart from who calls it.
contract Product {
    function product(uint256 first, uint256 second) external pure returns (uint256) {
        unchecked {
            return first * second;
        }
    }
}

/// An escrow that has two requests' contributors' parts for the pot, in the gas token, and the chain of their entries.
contract StubEscrow {
    AttributionPot public immutable pot;
    mapping(uint256 index => bytes32) public attributionHeads;
    mapping(address token => mapping(address account => uint256)) public balances;

    constructor(address commitments) {
        pot = new AttributionPot(CommitmentRegistry(commitments), address(0xdead));
    }

    /// As the escrow does it when it pays a request.
    function pay(uint256 index, AttributionPot.Entry memory entry) external payable {
        bytes32 head = attributionHeads[index];
        attributionHeads[index] = keccak256(
            abi.encode(
                head,
                entry.requestId,
                entry.token,
                entry.amount,
                entry.shares[0],
                entry.shares[1],
                entry.shares[2],
                entry.shares[3]
            )
        );
        balances[address(0)][address(pot)] += msg.value;
    }

    function withdraw(address token, address to) external returns (uint256 amount) {
        amount = balances[token][msg.sender];
        balances[token][msg.sender] = 0;
        (bool ok,) = to.call{value: amount}("");
        require(ok, "failed");
    }
}

/// For halmos: an index' chain of two entries of any amounts, with any shares of two contributors. Whatever callers try, in
/// whatever order, an entry credits a slot once or not at all, and no more is paid than was credited.
contract PotOnceCheck {
    uint256 private constant INDEX = 5;
    uint256 private constant WHOLE_SHARE = 65_535;
    address private constant FIRST = address(0xa1);
    address private constant SECOND = address(0xb2);

    AttributionPot private _pot;
    Product private _product;
    StubEscrow private _escrow;
    bytes32 private _contributors;
    bytes32 private _root;
    bytes32[2] private _leaves;
    AttributionPot.Entry[2] private _entries;
    bytes32[3] private _heads;

    function setUp() public {
        _leaves = [_leaf(0, FIRST), _leaf(1, SECOND)];
        (bytes32 low, bytes32 high) =
            _leaves[0] < _leaves[1] ? (_leaves[0], _leaves[1]) : (_leaves[1], _leaves[0]);
        _root = keccak256(abi.encode(low, high));
        _contributors = Records.contributorsDigest(2, _root);
        _escrow = new StubEscrow(address(new StubCommitments(2, _contributors)));
        _pot = _escrow.pot();
        _product = new Product();
    }

    function _leaf(uint256 slot, address account) private pure returns (bytes32) {
        bytes32 word = keccak256(abi.encodePacked(TAG_CONTRIBUTOR_ADDRESS, account));
        return keccak256(bytes.concat(keccak256(abi.encode(slot, word))));
    }

    /// Slots 0 and 1 with these shares; the list is filled with the slots that follow, without shares.
    function _words(uint16 first, uint16 second) private pure returns (uint256[4] memory words) {
        for (uint256 i = 0; i < 32; ++i) {
            words[i / 8] |= i << (28 * (i % 8));
        }
        words[0] |= uint256(first) << 12 | uint256(second) << 40;
    }

    /// What the solver is told of parts, which are a product and a quotient to it that may be anything. It is true: of an amount
    /// a < 2^96 and shares s, t with s + t <= W = 65,535, floor(as/W) + floor(at/W) <= a(s + t)/W <= a. Without it halmos asks again
    /// with true products for every sum that might overflow, and no solver answers.
    ///
    /// Nor does it know that factors may be exchanged, as the compiler does.
    function _tell(uint256 amount, uint256 first, uint256 second) private view {
        vm.assume(_product.product(amount, first) == _product.product(first, amount));
        vm.assume(_product.product(amount, second) == _product.product(second, amount));
        (uint256 one, uint256 other) = (_share(amount, first), _share(amount, second));
        vm.assume(one <= amount && other <= amount);
        unchecked {
            vm.assume(first + second > WHOLE_SHARE || one + other <= amount);
        }
    }

    function _share(uint256 amount, uint256 share) private pure returns (uint256) {
        unchecked {
            return amount * share / WHOLE_SHARE;
        }
    }

    function _chain(uint96[2] memory amounts, uint16[4] memory shares) private {
        cheats.deal(address(this), uint256(amounts[0]) + amounts[1]);
        for (uint256 i = 0; i < 2; ++i) {
            _tell(amounts[i], shares[2 * i], shares[2 * i + 1]);
            _entries[i] = AttributionPot.Entry(i + 1, address(0), amounts[i], _words(shares[2 * i], shares[2 * i + 1]));
            _escrow.pay{value: amounts[i]}(INDEX, _entries[i]);
            _heads[i + 1] = _escrow.attributionHeads(INDEX);
        }
    }

    /// Distributes entries `from` to `to`, said to begin at `before`.
    function _try(uint256 from, uint256 to, bytes32 before) private returns (bool ok) {
        AttributionPot.Entry[] memory entries = new AttributionPot.Entry[](to - from);
        for (uint256 i = from; i < to; ++i) {
            entries[i - from] = _entries[i];
        }
        (ok,) = address(_pot).call(abi.encodeCall(AttributionPot.distribute, (INDEX, before, entries)));
    }

    /// What slot 0 or 1 has of an entry.
    function _part(uint256 entry, uint256 slot, uint16[4] memory shares) private view returns (uint256) {
        if (uint256(shares[2 * entry]) + shares[2 * entry + 1] > WHOLE_SHARE) return 0;
        return _share(_entries[entry].amount, shares[2 * entry + slot]);
    }

    /// Three tries of any of the three pieces, each from a place that the caller chooses; any amounts, and shares that are a whole
    /// of the first entry and next to nothing of the second. (Any shares: {check_creditOfAnyShares}. Both at once are too many
    /// paths: 729 choices of pieces and places, and up to 64 for the shares.)
    function check_creditOnce(uint96[2] calldata amounts, uint8[3] calldata pieces, uint8[3] calldata places) external {
        _creditOnce(amounts, [uint16(40_000), 25_535, 0, 1], pieces, places, 3);
    }

    /// The same in two tries.
    function check_creditOnceOfTwo(uint96[2] calldata amounts, uint8[3] calldata pieces, uint8[3] calldata places)
        external
    {
        _creditOnce(amounts, [uint16(40_000), 25_535, 0, 1], pieces, places, 2);
    }

    /// Any shares, of which those of more than a whole credit nothing: both entries in one call, and again.
    function check_creditOfAnyShares(uint96[2] calldata amounts, uint16[4] calldata shares) external {
        _chain(amounts, shares);
        assert(_try(0, 2, 0));
        assert(!_try(0, 2, 0));
        for (uint256 slot = 0; slot < 2; ++slot) {
            uint256 due = _part(0, slot, shares) + _part(1, slot, shares);
            assert(_pot.owed(_contributors, slot, address(0)) == due);
        }
    }

    function _creditOnce(
        uint96[2] memory amounts,
        uint16[4] memory shares,
        uint8[3] memory pieces,
        uint8[3] memory places,
        uint256 tries
    ) private {
        _chain(amounts, shares);
        uint256[2] memory times;
        for (uint256 i = 0; i < tries; ++i) {
            vm.assume(pieces[i] < 3 && places[i] < 3);
            uint256 from = pieces[i] == 1 ? 1 : 0;
            uint256 to = pieces[i] == 0 ? 1 : 2;
            bytes32 before = places[i] == 0 ? _heads[0] : places[i] == 1 ? _heads[1] : _heads[2];
            if (!_try(from, to, before)) continue;
            for (uint256 k = from; k < to; ++k) {
                ++times[k];
            }
        }
        assert(times[0] <= 1 && times[1] <= 1);
        for (uint256 slot = 0; slot < 2; ++slot) {
            uint256 due = times[0] * _part(0, slot, shares) + times[1] * _part(1, slot, shares);
            assert(_pot.owed(_contributors, slot, address(0)) == due);
        }
    }

    /// An entry that the chain has not, at any place, is not distributed.
    function check_nothingElse(
        uint96[2] calldata amounts,
        uint16[4] calldata shares,
        bytes32 before,
        uint256 id,
        address token,
        uint256 amount,
        uint256[4] calldata words
    ) external {
        _chain(amounts, shares);
        AttributionPot.Entry[] memory entries = new AttributionPot.Entry[](1);
        entries[0] = AttributionPot.Entry(id, token, amount, words);
        bytes32 head = keccak256(abi.encode(before, id, token, amount, words[0], words[1], words[2], words[3]));
        vm.assume(head != _heads[2]);
        (bool ok,) = address(_pot).call(abi.encodeCall(AttributionPot.distribute, (INDEX, before, entries)));
        assert(!ok);
    }

    /// Of what is credited, each slot's part is paid once, to who has the slot; with what is burnt it is all. Two
    /// claims by anybody; any amounts; of shares a whole and next to nothing.
    function check_claims(
        uint96[2] calldata amounts,
        address[2] calldata callers,
        uint256[2] calldata slots,
        bytes32[2] calldata siblings,
        bool burning
    ) external {
        _chain(amounts, [uint16(40_000), 25_535, 0, 1]);
        assert(_try(0, 2, 0));
        uint256[2] memory credited;
        for (uint256 slot = 0; slot < 2; ++slot) {
            credited[slot] = _pot.owed(_contributors, slot, address(0));
        }
        uint256[2] memory paid;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32[] memory path = new bytes32[](1);
            path[0] = siblings[i];
            vm.prank(callers[i]);
            (bool ok, bytes memory result) = address(_pot).call(
                abi.encodeCall(
                    AttributionPot.claim, (2, _root, slots[i], path, address(0), address(uint160(0xc000 + i)))
                )
            );
            if (!ok) continue;
            assert(slots[i] < 2);
            assert(callers[i] == (slots[i] == 0 ? FIRST : SECOND));
            // halmos has no symbolic places in memory.
            if (slots[i] == 0) paid[0] += abi.decode(result, (uint256));
            else paid[1] += abi.decode(result, (uint256));
        }
        if (burning && _pot.burnable(address(0)) != 0) _pot.burn(address(0));
        for (uint256 slot = 0; slot < 2; ++slot) {
            assert(paid[slot] == 0 || paid[slot] == credited[slot]);
            assert(_pot.owed(_contributors, slot, address(0)) == credited[slot] - paid[slot]);
        }
        uint256 sent = address(0xc000).balance + address(0xc001).balance;
        assert(sent == paid[0] + paid[1]);
    }
}
