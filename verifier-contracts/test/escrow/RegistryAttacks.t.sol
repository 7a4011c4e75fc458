// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Bounds, Split, SplitBaseOwner, SplitBelowBase} from "../../src/ModelTerms.sol";
import {Status} from "../../src/RequestRecord.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {World} from "./World.sol";

/// Attacks on what others have built on a published version, or are about to buy. Each of them succeeded once.
contract RegistryAttacksTest is World {
    function setUp() public {
        _world();
    }

    function _lockRefused(InferenceRequest memory request, bytes memory reason) private {
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.lock(request, FEE, address(0), "");
    }

    /// The id of an architecture follows from public numbers, so anybody may publish it first. Its owner has no power by it.
    function test_firstPublisherOfAnArchitectureStopsAllBases() public {
        address[3] memory callers = [BASE_OWNER, GOVERNANCE, STRANGER];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(abi.encodeWithSelector(ModelRegistry.ArchitectureStays.selector, architecture));
            models.retire(architecture);
        }
        (uint256 id,) = _publishBase(ADAPTER_OWNER, ADAPTER_POT, 5, _split(7_000, 1_000, 1_500, 500), 0);
        models.servingTerms(id, 0);
    }

    /// An adapter of no effect, published by the requester: a way to use the base for less than its owner asks.
    function test_thinAdapterCutsTheBaseOwnerOut() public {
        vm.prank(GOVERNANCE);
        models.setBounds(Bounds(5_000, 500, 3_000));
        (base,) = _publishBase(BASE_OWNER, BASE_POT, 20, _split(7_000, 1_500, 1_000, 500), 0);
        uint16[2] memory less = [uint16(500), 999];
        for (uint256 i = 0; i < less.length; ++i) {
            _reserve(_adapterId(base, 2), requester);
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(SplitBelowBase.selector, 1_000, less[i]));
            models.publishAdapter(
                base, 0, _tiles(2), _terms(requester, _split(5_000, 5_000 - less[i], less[i], 0), 0), _noPermit()
            );
        }
        (uint256 thin,) = _publishAdapter(requester, requester, 2, _split(5_000, 4_000, 1_000, 0), 0);
        (,, uint16 baseOwner,) = models.servingTerms(base, thin);
        assertEq(baseOwner, 1_000, "what the base's owner asked for");
        // Governance's minimum holds where it is the larger one.
        vm.prank(GOVERNANCE);
        models.setBounds(Bounds(5_000, 1_000, 3_000));
        Split memory split = _split(5_000, 4_001, 999, 0);
        _reserve(_adapterId(base, 3), requester);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(SplitBaseOwner.selector, 1_000, 999));
        models.publishAdapter(base, 0, _tiles(3), _terms(requester, split, 0), _noPermit());
    }

    /// A base's owner ends the adapters on it: they have 30 days, and what is locked in them is served and paid.
    function test_baseRetiredUnderItsAdapters() public {
        vm.prank(BASE_OWNER);
        uint256 from = models.retire(base);
        assertEq(from, clock + 30 days, "notice");
        _lock(_request(1));
        _advance(from - clock - 1);
        InferenceRequest memory request = _request(2);
        uint256 id = _lock(request);
        _advance(1);
        _lockRefused(_request(3), abi.encodeWithSelector(ModelRegistry.Retired.selector, base));
        InferenceRequest memory alone = _request(4);
        alone.adapter = 0;
        alone.kind = 2;
        _lockRefused(alone, abi.encodeWithSelector(ModelRegistry.Retired.selector, base));
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "locked within the notice");
    }

    /// The seller of a line acts in the block before the buyer accepts it.
    function test_lineIsChangedBeforeItIsAccepted() public {
        uint24 line = adapterLines[0];
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, STRANGER);
        uint64 seen = models.nonceOf(line);
        uint256 before = cheats.snapshotState();
        for (uint256 act = 0; act < 3; ++act) {
            if (act == 0) {
                vm.prank(ADAPTER_OWNER);
                models.retire(adapters[0]);
            } else if (act == 1) {
                _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 2, _split(5_000, 0, 4_000, 1_000), line);
            } else {
                cheats.startPrank(ADAPTER_OWNER);
                models.offerLine(line, address(0));
                models.offerLine(line, STRANGER);
                cheats.stopPrank();
            }
            uint64 now_ = models.nonceOf(line);
            assertTrue(now_ > seen, "nonce");
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(ModelRegistry.OtherNonce.selector, line, seen, now_));
            models.acceptLine(line, seen);
            assertTrue(models.ownerOf(line) == ADAPTER_OWNER, "not passed");
            cheats.revertToState(before);
        }
        vm.prank(STRANGER);
        models.acceptLine(line, seen);
        assertTrue(models.ownerOf(line) == STRANGER, "passed");
        // A nonce that is yet to come is no blank cheque.
        vm.prank(STRANGER);
        models.offerLine(line, RELAYER);
        uint64 got = models.nonceOf(line);
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.OtherNonce.selector, line, got + 1, got));
        models.acceptLine(line, got + 1);
    }

    /// One wrong call, and no fee could ever be changed again.
    function test_ownershipIsNotGivenUp() public {
        address[2] memory callers = [GOVERNANCE, STRANGER];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(abi.encodeWithSelector(ModelRegistry.OwnershipStays.selector));
            models.renounceOwnership();
        }
        assertTrue(models.owner() == GOVERNANCE, "owner");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        models.transferOwnership(STRANGER);
        vm.prank(GOVERNANCE);
        models.transferOwnership(RELAYER);
        vm.prank(RELAYER);
        models.acceptOwnership();
        assertTrue(models.owner() == RELAYER, "handed on");
    }

    /// Votes are counted at seconds on every chain.
    function test_votesDoNotDependOnBlocks() public {
        assertTrue(keccak256(bytes(open.CLOCK_MODE())) == keccak256("mode=timestamp"), "mode");
        vm.prank(STRANGER);
        open.delegate(STRANGER);
        uint256 votes = open.getVotes(STRANGER);
        uint256 then = clock;
        _advance(10);
        assertEq(open.clock(), clock, "clock");
        vm.prank(STRANGER);
        open.transfer(RELAYER, 1 ether);
        cheats.roll(height += 7);
        _advance(1);
        assertEq(open.getPastVotes(STRANGER, then), votes, "before");
        assertEq(open.getPastVotes(STRANGER, clock - 1), votes - 1 ether, "after");
    }

    /// Everything that a lock reads of a version is in one slot, with room for the place of a datanet.
    function test_versionIsOneSlot() public {
        vm.prank(BASE_OWNER);
        uint256 from = models.retire(base);
        // Owner, offered owner, reservations and lines come before.
        uint256 slot = uint256(keccak256(abi.encode(base, uint256(4))));
        uint256 word = uint256(Storage(address(vm)).load(address(models), bytes32(slot)));
        assertEq(uint24(word), baseLine, "line");
        assertEq(uint40(word >> 96), from, "retired from");
        assertEq(word >> 200, 0, "room");
        assertEq(uint256(Storage(address(vm)).load(address(models), bytes32(slot + 1))), 0, "one slot");
    }
}

interface Storage {
    function load(address target, bytes32 slot) external view returns (bytes32 word);
}
