// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Point, R} from "../../src/Bn254.sol";
import {CommitmentRegistry} from "../../src/CommitmentRegistry.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {
    Bounds,
    BoundsInvalid,
    Kind,
    Permit,
    Split,
    SplitBaseOwner,
    SplitBelowBase,
    SplitContributors,
    SplitOfArchitecture,
    SplitProver,
    SplitSum,
    Terms
} from "../../src/ModelTerms.sol";
import {FAMILY_ENCODER, TAG_BASE} from "../../src/Records.sol";
import {Testing} from "../Testing.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {World} from "./World.sol";

contract ModelRegistryTest is World {
    function setUp() public {
        _world();
        vm.prank(GOVERNANCE);
        models.setBounds(Bounds(5_000, 500, 3_000));
    }

    function _good() private pure returns (Split memory) {
        return _split(6_000, 2_000, 1_000, 1_000);
    }

    /// Publishing an adapter of `count` tiles must fail.
    function _refused(address publisher, uint256 count, Terms memory terms, bytes memory reason) private {
        vm.prank(publisher);
        vm.expectRevert(reason);
        models.publishAdapter(base, 0, _tiles(count), terms, _noPermit());
    }

    function test_published() public view {
        (uint24 line, uint32 serial, uint32 parent, Kind kind, uint40 retiredFrom,,,,) = models.versions(adapters[0]);
        assertEq(line, 3, "line");
        assertEq(serial, 3, "serial");
        assertEq(parent, 2, "the base's serial");
        assertTrue(kind == Kind.Adapter && retiredFrom == 0, "kind");
        (address owner, Kind lineKind, uint64 nonce, address offeredTo, address pot) = models.lines(line);
        assertTrue(owner == ADAPTER_OWNER && lineKind == Kind.Adapter, "line");
        assertTrue(offeredTo == address(0) && pot == ADAPTER_POT, "line");
        assertTrue(nonce == 1 && models.nonceOf(line) == 1, "nonce");
        assertTrue(models.ownerOf(line) == ADAPTER_OWNER && models.potOf(line) == ADAPTER_POT, "line");
        (string memory uri, string memory licence) = models.metadata(adapters[0]);
        assertTrue(keccak256(bytes(uri)) == keccak256("ipfs://model"), "uri");
        assertTrue(keccak256(bytes(licence)) == keccak256("Apache-2.0"), "licence");
        assertEq(models.lineOf(adapters[0]), line, "lineOf");
        assertTrue(registry.adapters(adapters[0]) != address(0), "registered");
        (,, parent, kind,,,,,) = models.versions(base);
        assertTrue(parent == 1 && kind == Kind.Base, "the architecture's serial");
        (,, parent, kind,,,,,) = models.versions(architecture);
        assertTrue(parent == 0 && kind == Kind.Architecture, "nothing above it");
    }

    function test_fees() public {
        assertEq(models.accruedFees(), 6 ether, "accrued");
        assertEq(open.balanceOf(address(models)), 6 ether, "held");
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotTreasury.selector, address(this)));
        models.withdrawFees(address(this));
        vm.prank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotTreasury.selector, GOVERNANCE));
        models.withdrawFees(GOVERNANCE);
        vm.prank(TREASURY);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.RecipientInvalid.selector, models));
        models.withdrawFees(address(models));
        vm.prank(TREASURY);
        models.withdrawFees(address(0x77));
        assertEq(open.balanceOf(address(0x77)), 6 ether, "withdrawn");
        assertEq(models.accruedFees(), 0, "nothing left");
        // Nothing but fees: what somebody sends is not the treasury's.
        open.transfer(address(models), 5);
        vm.prank(TREASURY);
        assertEq(models.withdrawFees(address(0x77)), 0, "sent");
    }

    /// A base of 4·10^9 cells at τ = 22, and the largest record, are published in one transaction (EIP-7825): with all its
    /// calldata, 16 a byte as if none were zero.
    function test_largestBasesFitIntoATransaction() public {
        uint256[2] memory counts = [uint256(954), 1_024];
        for (uint256 i = 0; i < counts.length; ++i) {
            Point[] memory tiles = _tiles(counts[i]);
            bytes memory points = new bytes(64 * counts[i]);
            for (uint256 j = 0; j < 2 * counts[i]; ++j) {
                points[32 * j + 31] = bytes1(uint8(1 + j % 2));
            }
            bytes32 digest = keccak256(
                abi.encodePacked(TAG_BASE, FAMILY_ENCODER, uint32(counts[i]), architecture, uint256(77), points)
            );
            vm.resetGasMetering();
            _reserve(uint256(digest) % R, STRANGER);
            bytes memory call = abi.encodeCall(
                models.publishBase, (architecture, tiles, 77, _terms(STRANGER, _good(), 0), _noPermit())
            );
            vm.prank(STRANGER);
            (bool ok,, uint256 used) = Testing.measured(address(models), call);
            used += 16 * call.length + 21_000;
            vm.resetGasMetering();
            assertTrue(ok, "published");
            assertTrue(used < 16_777_216, vm.toString(used));
            string memory name = string.concat("publish a base, ", vm.toString(counts[i]), " points, as a transaction");
            vm.snapshotValue("registry", name, used);
        }
    }

    /// An adapter that names a datanet is published with a registered index of it, proven to be in range, for good.
    function test_anIndexIsPinnedOnce() public {
        (uint256 adapter, uint256 index) = _registerIndex(2);
        (uint256 other, uint256 otherIndex) = _registerIndex(3);
        _reserve(adapter, STRANGER);
        _reserve(other, STRANGER);
        Terms memory terms = _terms(STRANGER, _good(), 0);
        cheats.startPrank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.UnknownIndex.selector, 7));
        models.publishAdapter(base, 7, _tiles(2), terms, _noPermit());
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.IndexNotRanged.selector, index));
        models.publishAdapter(base, index, _tiles(2), terms, _noPermit());
        cheats.stopPrank();
        ranges.set(index, true);
        ranges.set(otherIndex, true);
        cheats.startPrank(STRANGER);
        // The index of an adapter whose version is the same.
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.IndexOfOtherAdapter.selector, otherIndex, adapter));
        models.publishAdapter(base, otherIndex, _tiles(2), terms, _noPermit());
        models.publishAdapter(base, index, _tiles(2), terms, _noPermit());
        assertEq(models.indexOf(adapter), index, "pinned");
        assertEq(models.indexOf(other), 0, "not pinned");
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.AlreadyPublished.selector, adapter));
        models.publishAdapter(base, index, _tiles(2), terms, _noPermit());
        cheats.stopPrank();
        // A second index of the adapter can be stored, and counts for nothing.
        Point[] memory tiles = _tiles(4);
        uint256 second = registry.registerIndex(adapter, 14, tiles);
        ranges.set(second, true);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.AlreadyPublished.selector, adapter));
        models.publishAdapter(base, second, _tiles(2), terms, _noPermit());
        assertEq(models.indexOf(adapter), index, "still");
    }

    /// Without an index the id that is published is that of an adapter which names no datanet: one that names one is not
    /// reserved by it.
    function test_anAdapterThatNamesADatanetNeedsItsIndex() public {
        (uint256 adapter,) = _registerIndex(2);
        _reserve(adapter, STRANGER);
        uint256 plain = _adapterId(base, 2);
        vm.prank(STRANGER);
        bytes32 commitment = keccak256(abi.encode(plain, STRANGER, bytes32("salt")));
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotReserved.selector, commitment));
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _good(), 0), _noPermit());
        assertEq(models.lineOf(adapter), 0, "not published");
    }

    /// Where no contract says which indexes are in range, none is pinned.
    function test_withoutIndexProofsNoIndexIsPinned() public {
        (, uint256 index) = _registerIndex(2);
        address closed = cheats.deployCode(
            "ModelRegistry.sol:ModelRegistry",
            abi.encode(
                GOVERNANCE,
                registry,
                open,
                address(0),
                TREASURY,
                uint64(1),
                Bounds({minProver: 5_000, minBaseOwner: 0, maxContributors: 3_000}),
                [uint256(0), 0, 0]
            )
        );
        models = ModelRegistry(closed);
        string memory json = _read("settlement-classify-1");
        (architecture,) = _publishArchitecture(json, BASE_OWNER);
        (base,) = _publishBase(BASE_OWNER, BASE_POT, 1, _good(), 0);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.IndexNotRanged.selector, index));
        models.publishAdapter(base, index, _tiles(2), _terms(STRANGER, _good(), 0), _noPermit());
    }

    function test_feeIsTaken() public {
        _reserve(_adapterId(base, 2), STRANGER);
        vm.prank(STRANGER);
        open.approve(address(models), 1 ether - 1);
        vm.prank(STRANGER);
        vm.expectRevert();
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _good(), 0), _noPermit());
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 0);
        vm.prank(STRANGER);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _good(), 0), _noPermit());
    }

    /// As much as the publisher's terms allow, and no unit more.
    function test_feeIsWithinTheTerms() public {
        _reserve(_adapterId(base, 2), STRANGER);
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 3 ether + 1);
        _refused(
            STRANGER,
            2,
            _terms(STRANGER, _good(), 0),
            abi.encodeWithSelector(ModelRegistry.DeploymentFeeAboveMaximum.selector, 3 ether, 3 ether + 1)
        );
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 3 ether);
        uint256 before = open.balanceOf(STRANGER);
        vm.prank(STRANGER);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _good(), 0), _noPermit());
        assertEq(before - open.balanceOf(STRANGER), 3 ether, "paid");
        assertEq(models.accruedFees(), 9 ether, "accrued");
    }

    function _permit(uint256 key) private view returns (Permit memory permit) {
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                cheats.addr(key),
                address(models),
                uint256(1 ether),
                open.nonces(cheats.addr(key)),
                clock
            )
        );
        permit.deadline = clock;
        (permit.v, permit.r, permit.s) =
            cheats.sign(key, keccak256(abi.encodePacked(hex"1901", open.DOMAIN_SEPARATOR(), hash)));
    }

    function test_permit() public {
        vm.prank(requester);
        open.approve(address(models), 0);
        _reserve(_adapterId(base, 2), requester);
        Permit memory permit = _permit(REQUESTER_KEY);
        vm.prank(requester);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _good(), 0), permit);
        // Used by somebody else first: its allowance serves.
        permit = _permit(REQUESTER_KEY);
        vm.prank(STRANGER);
        open.permit(requester, address(models), 1 ether, clock, permit.v, permit.r, permit.s);
        _reserve(_adapterId(base, 3), requester);
        vm.prank(requester);
        models.publishAdapter(base, 0, _tiles(3), _terms(STRANGER, _good(), 0), permit);
    }

    // Reservations

    function _commitment(uint256 id, address publisher) private pure returns (bytes32) {
        return keccak256(abi.encode(id, publisher, bytes32("salt")));
    }

    function test_reservation() public {
        uint256 id = _adapterId(base, 2);
        bytes32 commitment = _commitment(id, ADAPTER_OWNER);
        Terms memory terms = _terms(ADAPTER_POT, _good(), 0);
        _refused(ADAPTER_OWNER, 2, terms, abi.encodeWithSelector(ModelRegistry.NotReserved.selector, commitment));
        vm.prank(ADAPTER_OWNER);
        models.reserve(commitment);
        _refused(
            ADAPTER_OWNER,
            2,
            terms,
            abi.encodeWithSelector(ModelRegistry.ReservationTooYoung.selector, commitment, clock + 1)
        );
        uint256 reservedAt = clock;
        // Blocks do not count: there may be many in a second.
        cheats.roll(height += 1_000);
        _refused(
            ADAPTER_OWNER,
            2,
            terms,
            abi.encodeWithSelector(ModelRegistry.ReservationTooYoung.selector, commitment, clock + 1)
        );
        _advance(1);
        // Somebody repeats it: it keeps its age.
        vm.prank(STRANGER);
        models.reserve(commitment);
        assertEq(models.reservations(commitment), reservedAt, "age");
        terms.salt = "other";
        _refused(
            ADAPTER_OWNER,
            2,
            terms,
            abi.encodeWithSelector(
                ModelRegistry.NotReserved.selector, keccak256(abi.encode(id, ADAPTER_OWNER, bytes32("other")))
            )
        );
        terms.salt = "salt";
        vm.prank(ADAPTER_OWNER);
        models.publishAdapter(base, 0, _tiles(2), terms, _noPermit());
        _refused(ADAPTER_OWNER, 2, terms, abi.encodeWithSelector(ModelRegistry.AlreadyPublished.selector, id));
    }

    /// A thief who sees the publication, its salt too, publishes first: he has no reservation that is old enough.
    function test_frontRunning() public {
        uint256 id = _adapterId(base, 2);
        _reserve(id, ADAPTER_OWNER);
        Terms memory terms = _terms(STRANGER, _good(), 0);
        bytes32 stolen = _commitment(id, STRANGER);
        _refused(STRANGER, 2, terms, abi.encodeWithSelector(ModelRegistry.NotReserved.selector, stolen));
        vm.prank(STRANGER);
        models.reserve(stolen);
        _refused(
            STRANGER, 2, terms, abi.encodeWithSelector(ModelRegistry.ReservationTooYoung.selector, stolen, clock + 1)
        );
        // He spoils the record: the owner still publishes it.
        vm.prank(STRANGER);
        registry.registerAdapter(base, 0, _tiles(2));
        terms.pot = ADAPTER_POT;
        vm.prank(ADAPTER_OWNER);
        (uint256 got, uint24 line) = models.publishAdapter(base, 0, _tiles(2), terms, _noPermit());
        assertEq(got, id, "id");
        assertTrue(models.ownerOf(line) == ADAPTER_OWNER, "owner");
    }

    function test_publishWhatIsRegistered() public {
        string memory json = _read("settlement-classify-1");
        registry.registerBase(architecture, _tiles(1), 9);
        (uint256 id,) = _publishBase(BASE_OWNER, BASE_POT, 9, _good(), 0);
        assertEq(id, _baseId(9), "base");
        uint256[4] memory tau = _tau(json);
        uint256 registered = registry.registerArchitecture(FAMILY_ENCODER, new bytes(37), 16, 7, tau, _tiles(1));
        _reserve(registered, BASE_OWNER);
        vm.prank(BASE_OWNER);
        (id,) = models.publishArchitecture(
            FAMILY_ENCODER, new bytes(37), 16, 7, tau, _tiles(1), _terms(BASE_POT, _split(0, 0, 0, 0), 0), _noPermit()
        );
        assertEq(id, registered, "architecture");
    }

    // Terms

    function _liesAbout(bytes4 selector) private {
        cheats.mockCall(address(registry), abi.encodeWithSelector(selector), abi.encode(uint256(1)));
    }

    /// The id that was reserved is the one that is registered, or nothing is published.
    function test_idMismatch() public {
        uint256[4] memory tau = _tau(_read("settlement-classify-1"));
        uint256 state = cheats.snapshotState();
        uint256 id = registry.registerArchitecture(FAMILY_ENCODER, "another", 14, 1, tau, _tiles(1));
        cheats.revertToState(state);
        _liesAbout(CommitmentRegistry.registerArchitecture.selector);
        _liesAbout(CommitmentRegistry.registerBase.selector);
        _liesAbout(CommitmentRegistry.registerAdapter.selector);
        bytes4 mismatch = ModelRegistry.IdMismatch.selector;

        _reserve(id, STRANGER);
        Terms memory terms = _terms(STRANGER, _split(0, 0, 0, 0), 0);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(mismatch, id, 1));
        models.publishArchitecture(FAMILY_ENCODER, "another", 14, 1, tau, _tiles(1), terms, _noPermit());

        terms.split = _good();
        id = _baseId(99);
        _reserve(id, STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(mismatch, id, 1));
        models.publishBase(architecture, _tiles(1), 99, terms, _noPermit());

        id = _adapterId(base, 9);
        _reserve(id, STRANGER);
        _refused(STRANGER, 9, terms, abi.encodeWithSelector(mismatch, id, 1));
    }

    function test_splits() public {
        (base,) = _publishBase(BASE_OWNER, BASE_POT, 20, _split(7_000, 1_500, 1_000, 500), 0);
        _reserve(_adapterId(base, 2), STRANGER);
        Split[9] memory splits = [
            _split(6_000, 2_000, 1_000, 999),
            _split(6_000, 2_000, 1_000, 1_001),
            _split(0, 0, 0, 0),
            _split(65_535, 10_001, 0, 0),
            _split(4_999, 3_001, 1_000, 1_000),
            _split(6_000, 2_501, 499, 1_000),
            _split(6_000, 499, 500, 3_001),
            _split(5_000, 1_500, 500, 3_000),
            _split(9_500, 0, 500, 0)
        ];
        bytes[9] memory reasons = [
            abi.encodeWithSelector(SplitSum.selector, 9_999),
            abi.encodeWithSelector(SplitSum.selector, 10_001),
            abi.encodeWithSelector(SplitSum.selector, 0),
            abi.encodeWithSelector(SplitSum.selector, 75_536),
            abi.encodeWithSelector(SplitProver.selector, 5_000, 4_999),
            abi.encodeWithSelector(SplitBaseOwner.selector, 500, 499),
            abi.encodeWithSelector(SplitContributors.selector, 3_000, 3_001),
            bytes(""),
            bytes("")
        ];
        for (uint256 i = 0; i < 7; ++i) {
            _refused(STRANGER, 2, _terms(STRANGER, splits[i], 0), reasons[i]);
        }
        // The base asks for more than governance does.
        for (uint256 i = 7; i < 9; ++i) {
            _refused(
                STRANGER, 2, _terms(STRANGER, splits[i], 0), abi.encodeWithSelector(SplitBelowBase.selector, 1_000, 500)
            );
            _publishBase(STRANGER, STRANGER, i, splits[i], 0);
        }
        uint256 id = _baseId(3);
        _reserve(id, STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(reasons[4]);
        models.publishBase(architecture, _tiles(1), 3, _terms(STRANGER, splits[4], 0), _noPermit());
    }

    function test_architectureEarnsNothing() public {
        uint256[4] memory tau = _tau(_read("settlement-classify-1"));
        Split[4] memory splits =
            [_split(1, 0, 0, 0), _split(0, 1, 0, 0), _split(0, 0, 1, 0), _split(0, 0, 0, 1)];
        for (uint256 i = 0; i < 4; ++i) {
            Terms memory terms = _terms(STRANGER, splits[i], 0);
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(SplitOfArchitecture.selector));
            models.publishArchitecture(FAMILY_ENCODER, new bytes(37), 16, 7, tau, _tiles(1), terms, _noPermit());
        }
    }

    function test_parents() public {
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotPublished.selector, base, Kind.Architecture));
        models.publishBase(base, _tiles(1), 3, _terms(STRANGER, _good(), 0), _noPermit());
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotPublished.selector, architecture, Kind.Base));
        models.publishAdapter(architecture, 0, _tiles(1), _terms(STRANGER, _good(), 0), _noPermit());
        vm.prank(BASE_OWNER);
        models.retire(base);
        _advance(models.BASE_NOTICE());
        _refused(
            STRANGER, 2, _terms(STRANGER, _good(), 0), abi.encodeWithSelector(ModelRegistry.Retired.selector, base)
        );
    }

    function test_lines() public {
        uint24 line = adapterLines[0];
        _reserve(_adapterId(base, 2), STRANGER);
        _reserve(_adapterId(base, 2), ADAPTER_OWNER);
        _refused(
            STRANGER,
            2,
            _terms(ADAPTER_POT, _good(), line),
            abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, line, STRANGER)
        );
        _refused(
            STRANGER,
            2,
            _terms(ADAPTER_POT, _good(), 99),
            abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, 99, STRANGER)
        );
        _refused(
            ADAPTER_OWNER,
            2,
            _terms(STRANGER, _good(), line),
            abi.encodeWithSelector(ModelRegistry.OtherPot.selector, line, ADAPTER_POT, STRANGER)
        );
        _refused(
            ADAPTER_OWNER, 2, _terms(address(0), _good(), 0), abi.encodeWithSelector(ModelRegistry.PotZero.selector)
        );
        _reserve(_baseId(4), ADAPTER_OWNER);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.OtherKind.selector, line, Kind.Adapter, Kind.Base));
        models.publishBase(architecture, _tiles(1), 4, _terms(ADAPTER_POT, _good(), line), _noPermit());
        (uint256 id, uint24 same) = _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 2, _good(), line);
        assertEq(same, line, "the same line");
        assertEq(models.lineOf(id), line, "of the version");
    }

    function _accept(uint24 line, address by) private {
        uint64 nonce = models.nonceOf(line);
        vm.prank(by);
        models.acceptLine(line, nonce);
    }

    function _refusedToAccept(uint24 line, address by) private {
        uint64 nonce = models.nonceOf(line);
        vm.prank(by);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotOfferedTo.selector, line, by));
        models.acceptLine(line, nonce);
    }

    function test_transfer() public {
        uint24 line = adapterLines[0];
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, line, STRANGER));
        models.offerLine(line, STRANGER);
        _refusedToAccept(line, STRANGER);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, RELAYER);
        assertTrue(models.ownerOf(line) == ADAPTER_OWNER, "an offer alone changes nothing");
        _refusedToAccept(line, STRANGER);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, address(0));
        _refusedToAccept(line, RELAYER);
        // A line that does not exist belongs to nobody.
        vm.prank(address(0));
        models.offerLine(99, address(0));
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, RELAYER);
        _accept(line, RELAYER);
        assertTrue(models.ownerOf(line) == RELAYER, "owner");
        _refusedToAccept(line, RELAYER);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, line, ADAPTER_OWNER));
        models.retire(adapters[0]);
    }

    /// Every act of the owner is seen in the nonce, nobody else's is.
    function test_nonce() public {
        uint24 line = adapterLines[0];
        assertEq(models.nonceOf(line), 1, "a new line");
        cheats.startPrank(ADAPTER_OWNER);
        models.offerLine(line, RELAYER);
        assertEq(models.nonceOf(line), 2, "offered");
        models.offerLine(line, RELAYER);
        assertEq(models.nonceOf(line), 3, "offered again");
        models.offerLine(line, address(0));
        assertEq(models.nonceOf(line), 4, "withdrawn");
        models.retire(adapters[0]);
        assertEq(models.nonceOf(line), 5, "retired");
        cheats.stopPrank();
        _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 2, _good(), line);
        assertEq(models.nonceOf(line), 6, "continued");
        vm.prank(ADAPTER_POT);
        models.setPot(line, STRANGER);
        assertEq(models.nonceOf(line), 6, "the pot has no veto");
        _publishAdapter(STRANGER, STRANGER, 3, _good(), 0);
        assertEq(models.nonceOf(line), 6, "another line");
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, RELAYER);
        _accept(line, RELAYER);
        assertEq(models.nonceOf(line), 8, "accepted");
    }

    /// An adapter's retirement counts at once.
    function test_retire() public {
        vm.prank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, adapterLines[0], GOVERNANCE));
        models.retire(adapters[0]);
        cheats.expectEmit(true, true, true, true, address(models));
        emit ModelRegistry.VersionRetired(adapters[0], adapterLines[0], uint64(clock));
        vm.prank(ADAPTER_OWNER);
        assertEq(models.retire(adapters[0]), clock, "now");
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.Retired.selector, adapters[0]));
        models.servingTerms(base, adapters[0]);
        _advance(1);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.AlreadyRetired.selector, adapters[0], clock - 1));
        models.retire(adapters[0]);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, 0, STRANGER));
        models.retire(1234);
    }

    /// A base's counts after the notice, in this second; until then it is served, and adapters are published on it.
    function test_retireABase() public {
        uint64 from = uint64(clock + 30 days);
        cheats.expectEmit(true, true, true, true, address(models));
        emit ModelRegistry.VersionRetired(base, baseLine, from);
        vm.prank(BASE_OWNER);
        assertEq(models.retire(base), from, "from");
        (,,,, uint40 retiredFrom, uint16 proverShare,,, uint16 contributors) = models.versions(base);
        assertEq(retiredFrom, from, "kept");
        assertTrue(proverShare == 7_000 && contributors == 500, "the shares beside it");
        // Final: neither again nor earlier.
        vm.prank(BASE_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.AlreadyRetired.selector, base, from));
        models.retire(base);
        _publishAdapter(STRANGER, STRANGER, 2, _good(), 0);
        _advance(from - 1 - clock);
        models.servingTerms(base, 0);
        models.servingTerms(base, adapters[0]);
        _advance(1);
        bytes memory reason = abi.encodeWithSelector(ModelRegistry.Retired.selector, base);
        vm.expectRevert(reason);
        models.servingTerms(base, 0);
        vm.expectRevert(reason);
        models.servingTerms(base, adapters[0]);
        _refused(STRANGER, 3, _terms(STRANGER, _good(), 0), reason);
    }

    function test_pot() public {
        uint24 line = adapterLines[0];
        address[3] memory others = [ADAPTER_OWNER, GOVERNANCE, STRANGER];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotPot.selector, line, others[i]));
            models.setPot(line, others[i]);
        }
        vm.prank(ADAPTER_POT);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.PotZero.selector));
        models.setPot(line, address(0));
        vm.prank(ADAPTER_POT);
        models.setPot(line, STRANGER);
        assertTrue(models.potOf(line) == STRANGER, "pot");
    }

    // Governance

    function test_governanceOnly() public {
        bytes memory reason = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this));
        vm.expectRevert(reason);
        models.setDeploymentFee(Kind.Base, 0);
        vm.expectRevert(reason);
        models.setBounds(Bounds(5_000, 500, 3_000));
        vm.expectRevert(reason);
        models.setTreasury(address(this));
    }

    function test_governanceLimits() public {
        cheats.startPrank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.DeploymentFeeTooHigh.selector, 100_000e18, 100_000e18 + 1));
        models.setDeploymentFee(Kind.Base, 100_000e18 + 1);
        models.setDeploymentFee(Kind.Base, 100_000e18);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotKind.selector, Kind.None));
        models.setDeploymentFee(Kind.None, 1);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.TreasuryZero.selector));
        models.setTreasury(address(0));
        models.setTreasury(STRANGER);
        assertTrue(models.treasury() == STRANGER, "treasury");
        Bounds[5] memory bad = [
            Bounds(999, 500, 3_000),
            Bounds(8_001, 500, 3_000),
            Bounds(5_000, 1_001, 3_000),
            Bounds(5_000, 500, 999),
            Bounds(5_000, 500, 10_001)
        ];
        for (uint256 i = 0; i < 5; ++i) {
            vm.expectRevert(abi.encodeWithSelector(BoundsInvalid.selector, bad[i]));
            models.setBounds(bad[i]);
        }
        models.setBounds(Bounds(8_000, 1_000, 1_000));
        cheats.stopPrank();
        // Under the strictest bounds a split exists; what is published stays served.
        _publishAdapter(STRANGER, STRANGER, 2, _split(8_000, 0, 1_000, 1_000), 0);
        models.servingTerms(base, adapters[0]);
    }

    function test_constructor() public {
        bytes memory code =
            abi.encode(
                GOVERNANCE, registry, open, ranges, TREASURY, uint64(0), Bounds(5_000, 500, 3_000), [uint256(0), 0, 0]
            );
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.ReservationSecondsZero.selector));
        this.deploy(code);
    }

    function deploy(bytes calldata arguments) external {
        cheats.deployCode("ModelRegistry.sol:ModelRegistry", arguments);
    }
}
