// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AttributionPot} from "../../src/AttributionPot.sol";
import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {AttributionWorld} from "./AttributionWorld.sol";
import {HostileToken, PlainToken} from "./Mocks.sol";

contract AttributionTest is AttributionWorld {
    uint256 private constant LARGE = 1_024;
    bytes32 private largeContributors;

    function setUp() public {
        _attributionWorld();
    }

    // Payment

    function test_sharesArePaidOnce() public {
        _pay(_ask(1), _pair(7, 20_000, 13, 45_535));
        _pay(_ask(2), _pair(7, 65_535, 9, 0));
        assertEq(escrow.balances(address(open), address(pot)), 2 * PART, "credited to the pot");
        (, uint256 ofLine) = _lineOwed(address(open), attributedLine);
        assertEq(ofLine, 0, "nothing to the line's pot");
        assertTrue(escrow.attributionHeads(index) == heads[index][2], "the chain's head");
        _distribute(index, 0, 2);
        assertEq(_owed(7, address(open)), PART * 20_000 / 65_535 + PART, "the first");
        assertEq(_owed(13, address(open)), PART * 45_535 / 65_535, "the second");
        uint256 rest = pot.burnable(address(open));
        assertEq(_allOwed(address(open)) + rest, 2 * PART, "all of it");
        assertTrue(rest <= 2, "but for rounding");

        uint256 due = _owed(7, address(open));
        assertEq(_claim(7, address(open)), due, "claimed");
        assertEq(_balanceOf(address(open), _account(7)), due, "has it");
        bytes32[] memory path = paths[7];
        vm.prank(_account(7));
        vm.expectRevert(
            abi.encodeWithSelector(AttributionPot.NothingToClaim.selector, contributors, uint256(7), address(open))
        );
        pot.claim(uint32(CONTRIBUTORS), root, 7, path, address(open), STRANGER);
        // The neighbour in the same word of storage keeps what it has.
        assertEq(_owed(6, address(open)), 0, "the neighbour");
        assertEq(_owed(13, address(open)), PART * 45_535 / 65_535, "the other");
    }

    /// Neighbours share a word.
    function test_neighbours() public {
        _pay(_ask(1), _pair(8, 30_000, 9, 35_535));
        _distribute(index, 0, 1);
        uint256 high = _owed(9, address(open));
        assertTrue(_owed(8, address(open)) != 0 && high != 0, "both");
        _claim(8, address(open));
        assertEq(_owed(9, address(open)), high, "the high one stays");
        assertEq(_owed(8, address(open)), 0, "the low one is paid");
        _pay(_ask(2), _pair(8, 30_000, 9, 35_535));
        _distribute(index, 1, 2);
        assertEq(_owed(9, address(open)), 2 * high, "adds up");
        _claim(9, address(open));
        assertTrue(_owed(8, address(open)) != 0, "the low one stays");
    }

    function _claimFails(address by, uint256 slot, bytes32[] memory path, uint32 count, bytes32 top) private {
        vm.prank(by);
        (bool ok,) = address(pot)
            .call(abi.encodeCall(AttributionPot.claim, (count, top, slot, path, address(open), STRANGER)));
        assertTrue(!ok, "claimed");
    }

    function test_onlyTheContributorClaims() public {
        _pay(_ask(1), _pair(7, 20_000, 10, 45_535));
        _distribute(index, 0, 1);
        bytes32[] memory path = paths[7];
        uint32 count = uint32(CONTRIBUTORS);
        _claimFails(STRANGER, 7, path, count, root);
        _claimFails(_account(8), 7, path, count, root);
        _claimFails(_account(8), 7, paths[8], count, root);
        // The slot's own account with the path of another slot, as another slot, or under other contributors.
        _claimFails(_account(7), 7, paths[8], count, root);
        _claimFails(_account(7), 8, path, count, root);
        _claimFails(_account(7), 7, path, count + 1, root);
        _claimFails(_account(7), 7, new bytes32[](0), count, root);
        // A tree of the caller's own making has an account of its own, in which there is nothing.
        bytes32 word = keccak256(abi.encodePacked(bytes32("lorica contributor address 1"), STRANGER));
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(uint256(7), word))));
        _claimFails(STRANGER, 7, new bytes32[](0), count, leaf);
        // A name is held for ever.
        _claimFails(_account(10), 10, paths[10], count, root);
        vm.prank(_account(7));
        vm.expectRevert(abi.encodeWithSelector(AttributionPot.RecipientInvalid.selector, address(0)));
        pot.claim(count, root, 7, path, address(open), address(0));
        vm.prank(_account(7));
        vm.expectRevert(abi.encodeWithSelector(AttributionPot.RecipientInvalid.selector, address(pot)));
        pot.claim(count, root, 7, path, address(open), address(pot));
        assertEq(_claim(7, address(open)), PART * 20_000 / 65_535, "the contributor");
    }

    function test_aDigestIsOpened() public {
        _pay(_ask(1), _pair(13, 65_535, 14, 0));
        _distribute(index, 0, 1);
        bytes32[] memory path = paths[13];
        uint32 count = uint32(CONTRIBUTORS);
        _claimFails(_account(13), 13, path, count, root);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(AttributionPot.NotContributor.selector, uint256(13), STRANGER));
        pot.claimByHash(count, root, 13, path, salt, address(open), STRANGER);
        vm.prank(_account(13));
        vm.expectRevert(abi.encodeWithSelector(AttributionPot.NotContributor.selector, uint256(13), _account(13)));
        pot.claimByHash(count, root, 13, path, bytes32(uint256(salt) + 1), address(open), STRANGER);
        vm.prank(_account(13));
        assertEq(pot.claimByHash(count, root, 13, path, salt, address(open), RELAYER), PART, "claimed");
    }

    /// Gas token and a token that another cannot stop.
    function test_tokens() public {
        PlainToken token = new PlainToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        token.mint(requester, FEE);
        vm.prank(requester);
        token.approve(address(escrow), FEE);
        InferenceRequest memory request = _ask(1);
        request.token = address(0);
        _pay(request, _pair(7, 65_535, 9, 0));
        request = _ask(2);
        request.token = address(token);
        _pay(request, _pair(7, 0, 9, 0));
        request = _ask(3);
        _pay(request, _pair(7, 30_000, 9, 30_000));
        _distribute(index, 0, 3);
        assertEq(_owed(7, address(0)), PART, "gas token");
        assertEq(_owed(7, address(token)), 0, "shares of nothing");
        assertEq(pot.burnable(address(token)), PART, "unattributed");
        uint256 before = _account(7).balance;
        _claim(7, address(0));
        assertEq(_account(7).balance - before, PART, "gas token paid");
        pot.burn(address(token));
        assertEq(token.balanceOf(pot.DEAD()), PART, "to nobody");
        vm.expectRevert(abi.encodeWithSelector(AttributionPot.NothingToBurn.selector, address(token)));
        pot.burn(address(token));
        (bool ok,) = address(pot).call{value: 1}("");
        assertTrue(!ok, "gas token from others");
    }

    /// Entries of one call in several tokens: each token has its own parts and its own rest, in both halves of a word.
    function test_tokensInTurn() public {
        InferenceRequest memory request = _ask(1);
        request.token = address(0);
        _pay(request, _pair(8, 20_000, 9, 10_000));
        _pay(_ask(2), _pair(8, 30_000, 9, 5_000));
        request = _ask(3);
        request.token = address(0);
        _pay(request, _pair(8, 1_000, 9, 0));
        _distribute(index, 0, 3);
        uint256 low = PART * 30_000 / 65_535;
        uint256 high = PART * 5_000 / 65_535;
        assertEq(_owed(8, address(open)), low, "OPEN, the low half");
        assertEq(_owed(9, address(open)), high, "OPEN, the high half");
        assertEq(pot.burnable(address(open)), PART - low - high, "OPEN's rest");
        low = PART * 20_000 / 65_535 + PART * 1_000 / 65_535;
        high = PART * 10_000 / 65_535;
        assertEq(_owed(8, address(0)), low, "gas token, the low half");
        assertEq(_owed(9, address(0)), high, "gas token, the high half");
        assertEq(pot.burnable(address(0)), 2 * PART - low - high, "gas token's rest");
    }

    /// The tail is nobody's if nobody has a share; OPEN is burnt.
    function test_burn() public {
        _pay(_ask(1), _pair(7, 0, 9, 0));
        _distribute(index, 0, 1);
        assertEq(pot.burnable(address(open)), PART, "all");
        uint256 supply = open.totalSupply();
        vm.prank(STRANGER);
        assertEq(pot.burn(address(open)), PART, "burnt");
        assertEq(supply - open.totalSupply(), PART, "supply");
        assertEq(_potHas(address(open)), 0, "nothing is left");
    }

    /// What an entry's shares leave is nobody's, whoever else is paid in the call.
    function test_tail() public {
        _pay(_ask(1), _pair(7, 30_000, 9, 10_000));
        _pay(_ask(2), _pair(7, 0, 9, 0));
        _distribute(index, 0, 2);
        assertEq(_owed(7, address(open)), PART * 30_000 / 65_535, "the first");
        assertEq(_owed(9, address(open)), PART * 10_000 / 65_535, "the second");
        assertEq(_allOwed(address(open)) + pot.burnable(address(open)), 2 * PART, "all of it");
    }

    /// The list that the circuit publishes for these sums: the 32 largest, ties to the lower slot, and their shares.
    function _listOf(uint256[] memory sums) private pure returns (uint256[4] memory) {
        uint256 total;
        bool[] memory chosen = new bool[](sums.length);
        for (uint256 i = 0; i < sums.length; ++i) {
            total += sums[i];
        }
        for (uint256 n = 0; n < 32; ++n) {
            uint256 best = type(uint256).max;
            for (uint256 i = 0; i < sums.length; ++i) {
                if (!chosen[i] && (best == type(uint256).max || sums[i] > sums[best])) best = i;
            }
            chosen[best] = true;
        }
        uint256[] memory slots = new uint256[](32);
        uint256[] memory shares = new uint256[](32);
        uint256 place;
        for (uint256 i = 0; i < sums.length; ++i) {
            if (chosen[i]) (slots[place], shares[place++]) = (i, (sums[i] << 16) / (total + 1));
        }
        return _list(slots, shares);
    }

    /// One contributor has a fifth of all scores, the others 1/250 each: he fills as many slots as he likes, the first ones.
    function _splitInto(uint256 slots, uint256 first, bool together) private returns (uint256 earned) {
        uint256 others = 200;
        uint256[] memory sums = new uint256[](slots + others);
        for (uint256 i = 0; i < sums.length; ++i) {
            sums[i] = i < slots ? 1e12 / slots : 1e12 / 50;
        }
        uint256 from = chain[index].length;
        for (uint256 i = 0; i < 3; ++i) {
            _pay(_ask(first + i), _listOf(sums));
        }
        if (together) {
            _distribute(index, from, from + 3);
        } else {
            for (uint256 i = 3; i > 0; --i) {
                _distribute(index, from + i - 1, from + i);
            }
        }
        for (uint256 slot = 0; slot < slots; ++slot) {
            earned += pot.owed(largeContributors, slot, address(open));
        }
    }

    /// Filling the list with slots of one's own takes the others' places, but not their money. With the unattributed part divided
    /// by the shares, 32 slots would take everything: 100 % for a fifth of the scores.
    function test_aSplitNeverPays() public {
        vm.pauseGasMetering();
        uint256 version = registry.registerDatanet(900, 0, uint32(LARGE), bytes32("root"), 0, 0, 0);
        (,,, largeContributors) = registry.datanets(version);
        attributed = registry.registerAdapter(base, version, _tiles(5));
        index = registry.registerIndex(attributed, 11, _tiles(5));
        ranges.set(index, true);
        _reserve(attributed, ADAPTER_OWNER);
        vm.prank(ADAPTER_OWNER);
        models.publishAdapter(
            base, index, _tiles(5), _terms(ADAPTER_POT, _split(6_000, 2_000, 1_000, 1_000), 0), _noPermit()
        );
        uint256[5] memory slots = [uint256(1), 32, 33, 64, 256];
        uint256 unsplit;
        for (uint256 i = 0; i < slots.length; ++i) {
            uint256 state = cheats.snapshotState();
            uint256 earned = _splitInto(slots[i], 1 + 10 * i, true);
            cheats.revertToState(state);
            assertEq(_splitInto(slots[i], 1 + 10 * i, false), earned, "whatever the pieces");
            cheats.revertToState(state);
            if (i == 0) {
                unsplit = earned;
                assertTrue(earned > 3 * PART / 5 * 99 / 100 && earned <= 3 * PART / 5, "a fifth");
            }
            assertTrue(earned <= unsplit, string.concat("gains by ", vm.toString(slots[i])));
            // One unit of a share is lost to rounding in each slot.
            if (i == 1) assertTrue(earned + 3 * PART * 33 / 65_535 >= unsplit, "32 lose rounding only");
            if (i > 1) assertTrue(earned < unsplit, "more lose");
        }
    }

    // Lists that no index in range publishes

    function _whole(uint256[4] memory words) private {
        uint256 next = chain[index].length + 1;
        _pay(_ask(next), words);
        uint256 before = pot.burnable(address(open));
        _distribute(index, next - 1, next);
        assertEq(pot.burnable(address(open)) - before, PART, "all of it is unattributed");
        assertEq(_allOwed(address(open)), 0, "nobody has it");
    }

    function test_hostileLists() public {
        _whole(_pair(7, 65_535, 9, 1));
        _whole(_pair(7, 40_000, 9, 40_000));
        _whole(_pair(7, 1, 160, 1));
        _whole(_pair(7, 1, 1_023, 1));
        _whole(_pair(7, 1, 4_000, 1));
        // Out of order, twice, and a word that is longer than its entries.
        uint256[4] memory words = _pair(7, 1, 9, 1);
        (words[0], words[1]) = (words[1], words[0]);
        _whole(words);
        words = _pair(7, 1, 9, 1);
        words[0] = (words[0] >> 56 << 56) | (9 | 1 << 12) | (9 | 1 << 12) << 28;
        _whole(words);
        words = _pair(7, 1, 9, 1);
        words[0] |= 1 << 224;
        _whole(words);
        // The chain goes on, and beside a bad entry the others have all that is theirs.
        uint256 first = chain[index].length;
        _pay(_ask(first + 1), _pair(7, 30_000, 9, 20_000));
        _pay(_ask(first + 2), _pair(7, 40_000, 9, 40_000));
        _pay(_ask(first + 3), _pair(7, 10_000, 160, 1));
        _distribute(index, first, first + 3);
        assertEq(_owed(7, address(open)), PART * 30_000 / 65_535, "beside bad entries");
        assertEq(_owed(9, address(open)), PART * 20_000 / 65_535, "the other");
        _claim(7, address(open));
        uint256 next = chain[index].length + 1;
        _pay(_ask(next), _pair(7, 65_535, 9, 0));
        _distribute(index, next - 1, next);
        assertEq(_owed(7, address(open)), PART, "after them");
    }

    /// A small datanet's lists have slots that nobody has, without shares.
    function test_absentContributorsAreListed() public {
        uint256[] memory slots = new uint256[](32);
        uint256[] memory shares = new uint256[](32);
        for (uint256 i = 0; i < 32; ++i) {
            slots[i] = 150 + i;
        }
        shares[9] = 65_535;
        _pay(_ask(1), _list(slots, shares));
        _distribute(index, 0, 1);
        assertEq(_owed(159, address(open)), PART, "the last contributor");
    }

    // The chain

    function test_inPieces() public {
        for (uint256 i = 1; i <= 5; ++i) {
            _pay(_ask(i), _pair(7, 20_000 + i, 9, 45_535 - i));
        }
        // The last ones first: the walk begins at the end.
        _distribute(index, 3, 5);
        _pay(_ask(6), _pair(7, 65_535, 9, 0));
        _distribute(index, 2, 3);
        _distribute(index, 0, 2);
        // Then what came since.
        _distribute(index, 5, 6);
        assertEq(_allOwed(address(open)) + pot.burnable(address(open)), 6 * PART, "all of it");
        uint256 expected = PART;
        for (uint256 i = 1; i <= 5; ++i) {
            expected += PART * (20_000 + i) / 65_535;
        }
        assertTrue(_owed(7, address(open)) >= expected && _owed(7, address(open)) < expected + 6, "once each");
        (bool ok,) = _try(0, 6);
        assertTrue(!ok, "nothing is left");
    }

    function _try(uint256 from, uint256 to) private returns (bool ok, bytes memory reason) {
        AttributionPot.Entry[] memory entries = _entries(index, from, to);
        return _tryEntries(index, heads[index][from], entries);
    }

    function _tryEntries(uint256 index_, bytes32 before, AttributionPot.Entry[] memory entries)
        private
        returns (bool, bytes memory)
    {
        return address(pot).call(abi.encodeCall(AttributionPot.distribute, (index_, before, entries)));
    }

    function _fails(uint256 from, uint256 to, bytes4 expected, string memory what) private {
        (bool ok, bytes memory reason) = _try(from, to);
        assertTrue(!ok && bytes4(reason) == expected, what);
    }

    function test_nothingTwice() public {
        for (uint256 i = 1; i <= 4; ++i) {
            _pay(_ask(i), _pair(7, 20_000, 9, 40_000));
        }
        _distribute(index, 0, 4);
        _fails(0, 4, AttributionPot.NothingToDistribute.selector, "all again");
        _pay(_ask(5), _pair(7, 20_000, 9, 40_000));
        _fails(0, 5, AttributionPot.AlreadyDistributed.selector, "the old ones before the new one");
        _fails(3, 5, AttributionPot.AlreadyDistributed.selector, "the last old one too");
        _fails(0, 4, AttributionPot.AlreadyDistributed.selector, "the old ones alone");
        _pay(_ask(6), _pair(7, 20_000, 9, 40_000));
        _distribute(index, 5, 6);
        // In the midst of a walk too.
        _fails(5, 6, AttributionPot.OtherEntries.selector, "what this walk has had");
        _fails(0, 5, AttributionPot.AlreadyDistributed.selector, "past the end of the walk");
        _distribute(index, 4, 5);
        assertEq(_allOwed(address(open)) + pot.burnable(address(open)), 6 * PART, "once each");
    }

    function test_nothingElse() public {
        for (uint256 i = 1; i <= 3; ++i) {
            _pay(_ask(i), _pair(7, 20_000 + i, 9, 40_000));
        }
        bytes4 other = AttributionPot.OtherEntries.selector;
        _fails(0, 2, other, "without the last");
        _fails(1, 2, other, "one of the middle");
        AttributionPot.Entry[] memory entries = _entries(index, 0, 3);
        (entries[0], entries[1]) = (entries[1], entries[0]);
        _failsWith(index, entries, "in another order");
        entries = _entries(index, 0, 3);
        entries[1] = entries[0];
        _failsWith(index, entries, "one twice");
        for (uint256 field = 0; field < 7; ++field) {
            entries = _entries(index, 0, 3);
            if (field == 0) entries[1].requestId += 1;
            if (field == 1) entries[1].token = address(0);
            if (field == 2) entries[1].amount += 1;
            if (field >= 3) entries[1].shares[field - 3] ^= 1 << 12;
            _failsWith(index, entries, vm.toString(field));
        }
        entries = new AttributionPot.Entry[](0);
        _failsWith(index, entries, "nothing");
        (bool ok, bytes memory reason) = _tryEntries(index, heads[index][3], entries);
        assertTrue(!ok && bytes4(reason) == AttributionPot.NothingToDistribute.selector, "nothing, from the end");
        // Another index, published and not, has another chain.
        (, uint256 second) = _publishAttributed(3, _split(6_000, 2_000, 1_000, 1_000));
        _failsWith(second, _entries(index, 0, 3), "another index");
        _failsWith(7, _entries(index, 0, 3), "no index");
        _distribute(index, 0, 3);
    }

    function _failsWith(uint256 index_, AttributionPot.Entry[] memory entries, string memory what) private {
        (bool ok,) = _tryEntries(index_, 0, entries);
        assertTrue(!ok, what);
    }

    /// Two indexes of one datanet: each has its chain, contributors have one account.
    function test_versionsOfOneDatanet() public {
        uint256 first = attributed;
        (uint256 second, uint256 secondIndex) = _publishAttributed(3, _split(6_000, 2_000, 1_000, 1_000));
        _pay(_ask(1), _pair(7, 65_535, 9, 0));
        attributed = second;
        _pay(_ask(2), _pair(7, 65_535, 9, 0));
        attributed = first;
        _pay(_ask(3), _pair(7, 65_535, 9, 0));
        _distribute(secondIndex, 0, 1);
        assertEq(_owed(7, address(open)), PART, "of the second");
        _distribute(index, 0, 2);
        assertEq(_claim(7, address(open)), 3 * PART, "of both");
    }

    // The escrow

    function _settleWith(InferenceRequest memory request, uint256 index_, uint256 words)
        private
        returns (bool ok, bytes memory reason)
    {
        _lock(request);
        InferenceRequest[] memory requests = _one(request);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.index = index_;
        settlement.shares = new uint256[](words);
        _proven(classify, settlement);
        return address(escrow)
            .call(abi.encodeCall(escrow.settle, (classify, settlement, _terms(requests), uint256(1))));
    }

    /// Whatever the proof says: an adapter with an index is settled by that index.
    function test_aPinnedAdapterIsSettledByItsIndex() public {
        (, uint256 second) = _publishAttributed(3, _split(6_000, 2_000, 1_000, 1_000));
        // Another index of the same adapter and version, in range, which is registered and not pinned.
        uint256 unpinned = registry.registerIndex(attributed, 11, _tiles(5));
        ranges.set(unpinned, true);
        (uint256 ofAdapter, uint256 version) = registry.indexParents(unpinned);
        (, uint256 pinned) = registry.indexParents(index);
        assertTrue(unpinned != index && ofAdapter == attributed && version == pinned, "an index of the adapter");
        uint256[4] memory others = [uint256(0), second, 7, unpinned];
        for (uint256 i = 0; i < 4; ++i) {
            (bool ok, bytes memory reason) = _settleWith(_ask(i + 1), others[i], others[i] == 0 ? 0 : 4);
            assertTrue(!ok && bytes4(reason) == SettlementPayments.OtherIndex.selector, vm.toString(i));
        }
        (bool fine,) = _settleWith(_ask(5), index, 4);
        assertTrue(fine, "by its own");
    }

    /// In a batch that attributes, an adapter without an index pays the pot of its line, and has no entry.
    function test_othersFillTheBatch() public {
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        (requests[0], requests[1], requests[2]) = (_ask(1), _request(2), _ask(3));
        for (uint256 i = 0; i < 3; ++i) {
            _lock(requests[i]);
        }
        // The first is gone before the batch is settled.
        vm.prank(requester);
        escrow.cancel(requests[0]);
        Settlement memory settlement = _settlement(requests, prover);
        for (uint256 i = 0; i < 3; ++i) {
            settlement.requests[i].fee = FEE;
        }
        settlement.index = index;
        settlement.shares = new uint256[](12);
        _copy(_pair(7, 65_535, 9, 0), settlement.shares, 0);
        _copy(_pair(11, 65_535, 12, 0), settlement.shares, 1);
        _copy(_pair(15, 65_535, 16, 0), settlement.shares, 2);
        _proven(classify, settlement);
        escrow.settle(classify, settlement, _terms(requests), 2);
        (, uint256 ofLine) = _lineOwed(address(open), adapterLines[0]);
        assertEq(ofLine, PART, "the other's line");
        assertEq(escrow.balances(address(open), address(pot)), PART, "one entry's");
        _note(
            index,
            AttributionPot.Entry(settlement.requests[2].id, address(open), PART, _pair(15, 65_535, 16, 0))
        );
        _distribute(index, 0, 1);
        assertEq(_owed(15, address(open)), PART, "the third request's");
    }

    /// A skipped request between two that are paid: each entry has its own request's shares, as the events say.
    function test_entriesAreTheEvents() public {
        InferenceRequest[] memory requests = new InferenceRequest[](4);
        (requests[0], requests[1], requests[2], requests[3]) = (_ask(1), _ask(2), _request(3), _ask(4));
        for (uint256 i = 0; i < 4; ++i) {
            _lock(requests[i]);
        }
        vm.prank(requester);
        escrow.cancel(requests[1]);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.requests[1].fee = FEE;
        settlement.index = index;
        settlement.shares = new uint256[](16);
        for (uint256 k = 0; k < 16; ++k) {
            settlement.shares[k] = 1_000 + k;
        }
        _proven(classify, settlement);
        cheats.recordLogs();
        escrow.settle(classify, settlement, _terms(requests), 3);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        uint256 found;
        bytes32 head;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != SettlementPayments.Attributed.selector) continue;
            uint256 request = found == 0 ? 0 : 3;
            assertTrue(logs[i].topics[1] == bytes32(index) && logs[i].data.length == 256, "an entry");
            uint256[8] memory words = abi.decode(logs[i].data, (uint256[8]));
            assertTrue(words[0] == uint256(head), "the head before it");
            assertEq(words[1], settlement.requests[request].id, "request");
            assertEq(words[2], uint160(address(open)), "token");
            assertEq(words[3], PART, "amount");
            for (uint256 k = 0; k < 4; ++k) {
                assertEq(words[4 + k], settlement.shares[4 * request + k], "words");
            }
            head = keccak256(logs[i].data);
            ++found;
        }
        assertEq(found, 2, "entries");
        assertTrue(escrow.attributionHeads(index) == head, "the end of the chain");
        assertEq(escrow.balances(address(open), address(pot)), 2 * PART, "the pot's");
    }

    /// Requests of one batch in two tokens: each has its own part.
    function test_twoTokensInABatch() public {
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (_ask(1), _ask(2));
        requests[0].token = address(0);
        requests[1].maxFee = requests[1].minFee = FEE / 2;
        _lock(requests[0]);
        _lock(requests[1]);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.index = index;
        settlement.shares = new uint256[](8);
        _proven(classify, settlement);
        escrow.settle(classify, settlement, _terms(requests), 2);
        assertEq(escrow.balances(address(0), address(pot)), PART, "gas token");
        assertEq(escrow.balances(address(open), address(pot)), PART / 2, "OPEN");
        assertEq(escrow.balances(address(open), prover), FEE * 3 / 10, "the prover's");
    }

    /// A fee of which nothing is the contributors' has no entry: nobody makes a chain long for nothing.
    function test_noEntryOfNothing() public {
        InferenceRequest memory request = _ask(1);
        (request.maxFee, request.minFee) = (9, 9);
        _pay(request, _pair(7, 65_535, 9, 0));
        assertTrue(escrow.attributionHeads(index) == 0, "no entry");
        (, uint256 ofLine) = _lineOwed(address(open), attributedLine);
        assertEq(ofLine, 0, "nothing to the line's pot");
    }

    /// A batch whose proof is false leaves no entry.
    function test_aFalseProofLeavesNothing() public {
        InferenceRequest[] memory requests = _one(_ask(1));
        _lock(requests[0]);
        Settlement memory settlement = _settlement(requests, prover);
        settlement.index = index;
        settlement.shares = new uint256[](4);
        _proven(classify, settlement);
        settlement.shares[0] = 65_535 << 12;
        (bool ok,) = address(escrow)
            .call(abi.encodeCall(escrow.settle, (classify, settlement, _terms(requests), uint256(1))));
        assertTrue(!ok && escrow.attributionHeads(index) == 0, "other shares than the proven ones");
        assertEq(escrow.balances(address(open), address(pot)), 0, "no money");
    }

    /// The other escrow has a pot and chains of its own.
    function test_prepaid() public {
        _deployPrepaid();
        AttributionPot second = prepaid.attributionPot();
        assertTrue(address(second) != address(pot) && address(second.escrow()) == address(prepaid), "its own");
        vm.prank(requester);
        prepaid.deposit(requester, address(0), address(open), 2 * FEE);
        InferenceRequest[] memory requests = _one(_ask(1));
        uint256 id = prepaid.requestId(requests[0]);
        Settlement memory settlement = _settlement(requests, prover);
        (settlement.requests[0].id, settlement.requests[0].fee) = (id, FEE);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = _sign(REQUESTER_KEY, id);
        mock.prove(circuitOf[classify], address(prepaid), settlement);
        (bool ok, bytes memory reason) = address(prepaid)
            .call(abi.encodeCall(prepaid.settle, (classify, settlement, _terms(requests), signatures, uint256(1))));
        assertTrue(!ok && bytes4(reason) == SettlementPayments.OtherIndex.selector, "a plain settlement");
        settlement.index = index;
        settlement.shares = new uint256[](4);
        _copy(_pair(7, 65_535, 9, 0), settlement.shares, 0);
        mock.prove(circuitOf[classify], address(prepaid), settlement);
        prepaid.settle(classify, settlement, _terms(requests), signatures, 1);
        AttributionPot.Entry[] memory entries = new AttributionPot.Entry[](1);
        entries[0] = AttributionPot.Entry(id, address(open), PART, _pair(7, 65_535, 9, 0));
        (ok,) = _tryEntries(index, 0, entries);
        assertTrue(!ok, "another escrow's chain");
        second.distribute(index, 0, entries);
        assertEq(second.owed(contributors, 7, address(open)), PART, "owed there");
        assertEq(_owed(7, address(open)), 0, "and not here");
        bytes32[] memory path = paths[7];
        vm.prank(_account(7));
        assertEq(second.claim(uint32(CONTRIBUTORS), root, 7, path, address(open), RELAYER), PART, "claimed");
    }

    /// Neither the line's pot nor its owner can have what is the contributors', whoever they are.
    function test_noPotOfALineCanMoveIt() public {
        _pay(_ask(1), _pair(7, 65_535, 9, 0));
        vm.prank(ADAPTER_POT);
        models.setPot(attributedLine, STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, address(open)));
        escrow.withdrawPot(attributedLine, address(open), STRANGER);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(attributedLine, RELAYER);
        uint64 nonce = models.nonceOf(attributedLine);
        vm.prank(RELAYER);
        models.acceptLine(attributedLine, nonce);
        vm.prank(RELAYER);
        models.retire(attributed);
        // Claiming what is not the caller's account in the escrow.
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, address(open)));
        escrow.withdraw(address(open), STRANGER);
        _distribute(index, 0, 1);
        assertEq(_claim(7, address(open)), PART, "all of it");
    }

    /// A token that calls back, or fails, stops neither the chain nor other tokens, and gets nothing twice.
    function test_hostileToken() public {
        HostileToken token = new HostileToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        token.mint(requester, 10 * FEE);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest memory request = _ask(1);
        request.token = address(token);
        _pay(request, _pair(7, 65_535, 9, 0));
        _pay(_ask(2), _pair(7, 65_535, 9, 0));
        bytes32[] memory path = paths[7];
        bytes memory again = abi.encodeCall(
            AttributionPot.claim, (uint32(CONTRIBUTORS), root, uint256(7), path, address(token), address(token))
        );
        token.set(HostileToken.Mode.Reenters, address(pot), again);
        _distribute(index, 0, 2);
        vm.prank(_account(7));
        (bool ok,) = address(pot).call(again);
        ok;
        assertTrue(_balanceOf(address(token), address(token)) <= PART, "once at most");
        assertEq(_claim(7, address(open)), PART, "OPEN");
        token.set(HostileToken.Mode.Honest, address(0), "");
        if (_owed(7, address(token)) != 0) _claim(7, address(token));
        assertEq(_owed(7, address(token)), 0, "paid");
        assertEq(_potHas(address(token)), 0, "no more than there was");
    }

    // Contradictions

    function _answer(uint256 index_, uint256[4] memory words, uint256 label) private returns (Settlement memory s) {
        InferenceRequest[] memory requests = _one(_ask(1));
        s = _settlement(requests, prover);
        s.index = index_;
        if (index_ != 0) {
            s.shares = new uint256[](4);
            _copy(words, s.shares, 0);
        }
        s.requests[0].label = label;
        mock.prove(circuitOf[classify], address(escrow), s);
    }

    function _contradict(Settlement memory a, Settlement memory b) private returns (bool ok) {
        return _contradict(a, 0, b, 0);
    }

    function _contradict(Settlement memory a, uint256 placeA, Settlement memory b, uint256 placeB)
        private
        returns (bool ok)
    {
        (ok,) = address(router)
            .call(
                abi.encodeCall(
                    VerifierRouter.freezeByContradiction,
                    (classify, address(escrow), a, placeA, address(escrow), b, placeB)
                )
            );
    }

    /// Equal shares are demanded of equal indexes only.
    function test_contradictions() public {
        uint256[4] memory words = _pair(7, 1, 9, 2);
        Settlement memory own = _answer(index, words, 3);
        assertTrue(!_contradict(own, own), "itself");
        assertTrue(!_contradict(own, _answer(index + 1, _pair(7, 1, 9, 3), 3)), "another index");
        assertTrue(!_contradict(own, _answer(0, words, 3)), "without attribution");
        assertTrue(!router.isFrozen(classify), "not frozen");
        uint256 state = cheats.snapshotState();
        for (uint256 k = 0; k < 4; ++k) {
            uint256[4] memory other = _pair(7, 1, 9, 2);
            other[k] ^= 1 << 12;
            assertTrue(_contradict(own, _answer(index, other, 3)), "other shares by the same index");
            cheats.revertToState(state);
        }
        assertTrue(_contradict(own, _answer(index + 1, words, 4)), "another label, whatever the index");
    }

    /// One question at different places of two batches: its own shares are compared, not its neighbour's.
    function test_contradictionsAtOtherPlaces() public {
        uint256[4] memory words = _pair(7, 1, 9, 2);
        Settlement memory own = _answer(index, words, 4);
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (_ask(2), _ask(1));
        Settlement memory second = _settlement(requests, prover);
        second.index = index;
        second.shares = new uint256[](8);
        _copy(_pair(7, 3, 9, 4), second.shares, 0);
        _copy(words, second.shares, 1);
        second.requests[1].label = 4;
        mock.prove(circuitOf[classify], address(escrow), second);
        assertTrue(!_contradict(own, 0, second, 1), "equal shares, the second's");
        assertTrue(!_contradict(second, 1, own, 0), "equal shares, the first's");
        // The neighbour has the shares that the question had elsewhere.
        _copy(words, second.shares, 0);
        _copy(_pair(7, 3, 9, 4), second.shares, 1);
        mock.prove(circuitOf[classify], address(escrow), second);
        uint256 state = cheats.snapshotState();
        assertTrue(_contradict(own, 0, second, 1), "other shares, the second's");
        cheats.revertToState(state);
        assertTrue(_contradict(second, 1, own, 0), "other shares, the first's");
    }
}
