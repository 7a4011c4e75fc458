// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, REQUEST_TYPE_HASH} from "../../src/InferenceRequest.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Kind} from "../../src/ModelTerms.sol";
import {OpenToken} from "../../src/OpenToken.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {HostileToken, PlainToken, Puppet, SilentToken} from "./Mocks.sol";
import {World} from "./World.sol";

/// Locking: terms, tokens, signatures.
contract EscrowLockTest is World {
    function setUp() public {
        _world();
    }

    function _expect(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    function _relay(InferenceRequest memory request, uint96 fee, bytes memory signature) private returns (uint256) {
        vm.prank(RELAYER);
        return escrow.lock(request, fee, address(0), signature);
    }

    function _refused(InferenceRequest memory request, uint96 fee, bytes memory reason) private {
        vm.prank(request.requester);
        vm.expectRevert(reason);
        escrow.lock(request, fee, address(0), "");
    }

    /// The id is the EIP-712 digest, recomputed here from the standard.
    function test_requestId() public {
        InferenceRequest memory r = _request(1);
        uint256 id = _idOn(31_337, r);
        assertEq(escrow.requestId(r), id, "id");
        // A chain that changes its id keeps those of the requests.
        cheats.chainId(77);
        assertEq(escrow.requestId(r), id, "chain");
    }

    /// The id under the escrow's domain on a chain, from the standard.
    function _idOn(uint256 chain, InferenceRequest memory r) private view returns (uint256) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Lorica InferenceEscrow"),
                keccak256("2"),
                chain,
                address(escrow)
            )
        );
        bytes memory fields = abi.encodePacked(
            abi.encode(r.requester, r.base, r.adapter, r.inputDigest, uint256(r.kind), r.routes, r.maxFee),
            abi.encode(r.minFee, uint256(r.rampStart), uint256(r.rampTime), r.token, uint256(r.deadline), r.prover),
            abi.encode(uint256(r.acceptTime), uint256(r.stake), r.consumer, uint256(r.consumerGas), r.salt)
        );
        bytes32 type_ = keccak256(
            "InferenceRequest(address requester,uint256 base,uint256 adapter,uint256 inputDigest,uint8 kind,uint256 routes,uint256 maxFee,uint256 minFee,uint64 rampStart,uint32 rampTime,address token,uint64 deadline,address prover,uint32 acceptTime,uint96 stake,address consumer,uint32 consumerGas,uint256 salt)"
        );
        assertTrue(type_ == REQUEST_TYPE_HASH, "type");
        return uint256(keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encodePacked(type_, fields)))));
    }

    /// Each field changes the id.
    function test_everyFieldIsInTheId() public view {
        InferenceRequest memory r = _request(1);
        bytes memory encoded = abi.encode(r);
        uint256 id = escrow.requestId(r);
        for (uint256 word = 0; word < 18; ++word) {
            bytes memory changed = bytes.concat(encoded);
            changed[32 * word + 31] ^= 0x01;
            assertTrue(escrow.requestId(abi.decode(changed, (InferenceRequest))) != id, vm.toString(word));
        }
    }

    function test_lock() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        uint256 expected = escrow.requestId(request);
        uint256 before = open.balanceOf(requester);
        cheats.recordLogs();
        uint256 id = _lock(request, FEE - 1);
        assertEq(id, expected, "id");
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].emitter == address(escrow), "emitter");
        assertTrue(logs[0].topics[0] == InferenceEscrow.RequestLocked.selector, "event");
        assertEq(uint256(logs[0].topics[1]), id, "event's id");
        (uint96 fee, InferenceRequest memory seen) = abi.decode(logs[0].data, (uint96, InferenceRequest));
        assertEq(fee, FEE - 1, "event's fee");
        assertEq(escrow.requestId(seen), id, "request from the event");
        assertEq(open.balanceOf(requester), before - FEE + 1, "paid");
        assertEq(open.balanceOf(address(escrow)), FEE - 1, "held");
        Lock memory locked = escrow.lockOf(id);
        assertEq(uint256(locked.status), uint256(Status.Locked), "status");
        assertTrue(locked.payer == requester && locked.prover == prover, "parties");
        assertEq(locked.fee, FEE - 1, "fee");
        assertEq(locked.line, adapterLines[0], "line");
        assertEq(locked.adapterOwner, 2_000, "adapter owner");
        assertEq(locked.baseOwner, 1_000, "base owner");
        assertEq(locked.contributors, 1_000, "contributors");
        (,, uint256 label, uint256 outputDigest) = escrow.resultOf(id);
        assertEq(label | outputDigest, 0, "no result");
    }

    function test_lockAlone() public {
        InferenceRequest memory request = _request(1);
        request.kind = OUTPUT_EMBED;
        request.adapter = 0;
        Lock memory locked = escrow.lockOf(_lock(request));
        assertEq(locked.line, baseLine, "line");
        assertEq(locked.adapterOwner, 0, "adapter owner");
        assertEq(locked.baseOwner, 2_500, "base owner has both shares");
        assertEq(locked.contributors, 500, "contributors");
    }

    function test_kind() public {
        InferenceRequest memory request = _request(1);
        // The withdrawn embedding, and the first that is no kind.
        for (uint8 kind = 0; kind < 4; kind += 3) {
            request.kind = kind;
            _refused(request, FEE, abi.encodeWithSelector(InferenceEscrow.KindInvalid.selector, kind));
        }
        request.kind = OUTPUT_CLASSIFY;
        request.adapter = 0;
        _refused(
            request, FEE, abi.encodeWithSelector(InferenceEscrow.AdapterMissing.selector, escrow.requestId(request))
        );
    }

    function test_fee() public {
        InferenceRequest memory request = _request(1);
        _refused(request, 0, abi.encodeWithSelector(InferenceEscrow.FeeZero.selector));
        _refused(request, FEE + 1, abi.encodeWithSelector(InferenceEscrow.FeeAboveMaximum.selector, FEE, FEE + 1));
        _lock(request, 1);
    }

    /// A stranger who sees a signed request cannot spoil it with a fee that no prover takes.
    function test_relayerLocksTheSignedFee() public {
        InferenceRequest memory request = _request(1);
        bytes memory signature = _signed(request);
        vm.prank(STRANGER);
        _expect(abi.encodeWithSelector(InferenceEscrow.FeeBelowSigned.selector, FEE, 1));
        escrow.lock(request, 1, address(0), signature);
        vm.prank(RELAYER);
        _expect(abi.encodeWithSelector(InferenceEscrow.FeeAboveMaximum.selector, FEE, FEE + 1));
        escrow.lock(request, FEE + 1, address(0), signature);
        uint256 id = _relay(request, FEE, signature);
        assertTrue(escrow.lockOf(id).payer == RELAYER, "payer");
    }

    function test_deadline() public {
        InferenceRequest memory request = _request(1);
        request.deadline = uint64(clock - 1);
        _refused(
            request,
            FEE,
            abi.encodeWithSelector(InferenceEscrow.DeadlinePassed.selector, escrow.requestId(request), request.deadline)
        );
        request.deadline = uint64(clock + 30 days + 1);
        _refused(
            request,
            FEE,
            abi.encodeWithSelector(InferenceEscrow.DeadlineTooFar.selector, clock + 30 days, request.deadline)
        );
        request.deadline = type(uint64).max;
        _refused(
            request,
            FEE,
            abi.encodeWithSelector(InferenceEscrow.DeadlineTooFar.selector, clock + 30 days, request.deadline)
        );
        request.deadline = uint64(clock + 30 days);
        _lock(request);
        request.deadline = uint64(clock);
        _lock(request);
    }

    function test_consumerGas() public {
        InferenceRequest memory request = _request(1);
        request.consumerGas = 500_001;
        _refused(request, FEE, abi.encodeWithSelector(InferenceEscrow.ConsumerGasTooHigh.selector, 500_000, 500_001));
        request.consumerGas = 500_000;
        _lock(request);
    }

    function test_onceOnly() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        bytes memory reason = abi.encodeWithSelector(InferenceEscrow.AlreadyLocked.selector, id);
        _refused(request, FEE, reason);
        vm.prank(requester);
        escrow.cancel(request);
        _refused(request, FEE, reason);
    }

    function test_versions() public {
        InferenceRequest memory request = _request(1);
        request.base = 5;
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.NotPublished.selector, 5, Kind.Base));
        request.base = adapters[0];
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.NotPublished.selector, adapters[0], Kind.Base));
        request.base = architecture;
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.NotPublished.selector, architecture, Kind.Base));
        request = _request(1);
        request.adapter = 6;
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.NotPublished.selector, 6, Kind.Adapter));
        request.adapter = base;
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.NotPublished.selector, base, Kind.Adapter));
        (uint256 other,) = _publishBase(BASE_OWNER, BASE_POT, 2, _split(7_000, 1_000, 1_500, 500), 0);
        request = _request(1);
        request.base = other;
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.AdapterOfOtherBase.selector, adapters[0], other));
    }

    function test_retired() public {
        InferenceRequest memory request = _request(1);
        vm.prank(ADAPTER_OWNER);
        models.retire(adapters[0]);
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.Retired.selector, adapters[0]));
        request.kind = OUTPUT_EMBED;
        request.adapter = 0;
        _lock(request);
        vm.prank(BASE_OWNER);
        models.retire(base);
        request.salt = 2;
        _lock(request);
        _advance(models.BASE_NOTICE());
        request.salt = 3;
        request.deadline = uint64(clock + 1 days);
        _refused(request, FEE, abi.encodeWithSelector(ModelRegistry.Retired.selector, base));
    }

    // Tokens

    function test_gasToken() public {
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        bytes memory reason = abi.encodeWithSelector(EscrowAccounts.ValueMismatch.selector, FEE, FEE - 1);
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.lock{value: FEE - 1}(request, FEE, address(0), "");
        reason = abi.encodeWithSelector(EscrowAccounts.ValueMismatch.selector, FEE, FEE + 1);
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.lock{value: FEE + 1}(request, FEE, address(0), "");
        _lock(request);
        assertEq(address(escrow).balance, FEE, "held");
        request.token = address(open);
        reason = abi.encodeWithSelector(EscrowAccounts.ValueMismatch.selector, 0, 1);
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.lock{value: 1}(request, FEE, address(0), "");
        // Nothing is accepted without a request.
        (bool ok,) = address(escrow).call{value: 0}("");
        assertTrue(!ok, "no receive");
    }

    function test_allowList() public {
        PlainToken token = new PlainToken();
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest memory request = _request(1);
        request.token = address(token);
        bytes memory reason = abi.encodeWithSelector(SettlementPayments.TokenNotAllowed.selector, token);
        _refused(request, FEE, reason);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        escrow.setToken(address(token), true);
        cheats.startPrank(GOVERNANCE);
        escrow.setToken(address(token), true);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenFixed.selector, address(0)));
        escrow.setToken(address(0), false);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenFixed.selector, address(open)));
        escrow.setToken(address(open), false);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenNotContract.selector, STRANGER));
        escrow.setToken(STRANGER, true);
        cheats.stopPrank();
        uint256 id = _lock(request);
        // Disallowing changes nothing for what is locked.
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), false);
        request.salt = 2;
        _refused(request, FEE, reason);
        request.salt = 1;
        _settle(request, prover);
        _assertStatus(id, Status.Settled, "settled");
        vm.prank(prover);
        escrow.withdraw(address(token), prover);
        assertEq(token.balanceOf(prover), 6 ether, "withdrawn");
    }

    function test_silentToken() public {
        SilentToken token = new SilentToken();
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(escrow), FEE);
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        InferenceRequest memory request = _request(1);
        request.token = address(token);
        _lock(request);
        vm.prank(requester);
        escrow.cancel(request);
        vm.prank(requester);
        escrow.withdraw(address(token), STRANGER);
        assertEq(token.balanceOf(STRANGER), FEE, "withdrawn");
    }

    function test_permit() public {
        OpenToken token = open;
        vm.prank(requester);
        token.approve(address(escrow), 0);
        InferenceRequest memory request = _request(1);
        (uint8 v, bytes32 r, bytes32 s) = _permit(token, REQUESTER_KEY, FEE);
        vm.prank(requester);
        uint256 id = escrow.lockWithPermit(request, FEE, address(0), "", clock, v, r, s);
        _assertStatus(id, Status.Locked, "locked");
        // Somebody sees the permit and uses it first: the allowance serves.
        request.salt = 2;
        (v, r, s) = _permit(token, REQUESTER_KEY, FEE);
        vm.prank(STRANGER);
        token.permit(requester, address(escrow), FEE, clock, v, r, s);
        vm.prank(requester);
        id = escrow.lockWithPermit(request, FEE, address(0), "", clock, v, r, s);
        _assertStatus(id, Status.Locked, "locked after a front-run permit");
        // No allowance, no lock.
        request.salt = 3;
        vm.prank(requester);
        vm.expectRevert();
        escrow.lockWithPermit(request, FEE, address(0), "", clock, v, r, s);
        request.token = address(0);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenNotAllowed.selector, address(0)));
        escrow.lockWithPermit(request, FEE, address(0), "", clock, v, r, s);
        request.token = STRANGER;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenNotAllowed.selector, STRANGER));
        escrow.lockWithPermit(request, FEE, address(0), "", clock, v, r, s);
    }

    function _hostile(HostileToken.Mode mode) private returns (HostileToken token, InferenceRequest memory request) {
        token = new HostileToken();
        token.mint(requester, 100 ether);
        token.mint(address(escrow), 5 ether);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        token.set(mode, address(0), "");
        request = _request(1);
        request.token = address(token);
    }

    function test_tokensThatDoNotDeliverTheFee() public {
        HostileToken.Mode[3] memory modes =
            [HostileToken.Mode.TakesFee, HostileToken.Mode.GivesMore, HostileToken.Mode.MovesNothing];
        for (uint256 i = 0; i < 3; ++i) {
            (HostileToken token, InferenceRequest memory request) = _hostile(modes[i]);
            _refused(request, FEE, abi.encodeWithSelector(EscrowAccounts.DepositMismatch.selector, token, FEE));
        }
        (HostileToken other, InferenceRequest memory failing) = _hostile(HostileToken.Mode.ReturnsFalse);
        vm.prank(requester);
        vm.expectRevert();
        escrow.lock(failing, FEE, address(0), "");
        other.set(HostileToken.Mode.Reverts, address(0), "");
        vm.prank(requester);
        vm.expectRevert();
        escrow.lock(failing, FEE, address(0), "");
    }

    /// Within the transfer of one lock the token makes another: both would count one deposit.
    function test_reentrantToken() public {
        (HostileToken token, InferenceRequest memory request) = _hostile(HostileToken.Mode.Reenters);
        InferenceRequest memory inner = _request(2);
        inner.token = address(token);
        inner.requester = address(token);
        token.mint(address(token), FEE);
        token.permit(address(token), address(escrow), FEE, 0, 0, 0, 0);
        token.set(
            HostileToken.Mode.Reenters,
            address(escrow),
            abi.encodeCall(InferenceEscrow.lock, (inner, FEE, address(0), ""))
        );
        _lock(request);
        assertTrue(!token.reentered(), "reentered");
        assertTrue(
            bytes4(token.reason()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")), "stopped by the guard"
        );
    }

    // Signatures

    function test_signatures() public {
        InferenceRequest memory request = _request(1);
        bytes memory good = _signed(request);
        bytes memory reason = abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, requester);
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(REQUESTER_KEY, bytes32(escrow.requestId(request)));
        bytes[] memory bad = new bytes[](8);
        bad[0] = _sign(PROVER_KEY, escrow.requestId(request));
        bad[1] = "";
        bad[2] = bytes.concat(good, hex"00");
        // The same signature with the high s, and in the compact form.
        bytes32 high = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        bad[3] = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        bad[4] = abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
        bad[5] = abi.encodePacked(r, s, v - 27);
        bad[6] = new bytes(65);
        request.salt = 2;
        bad[7] = _signed(request);
        request.salt = 1;
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(RELAYER);
            vm.expectRevert(reason);
            escrow.lock(request, FEE, address(0), bad[i]);
        }
        _relay(request, FEE, good);
    }

    /// A signature for another escrow or another chain is none here.
    function test_signatureForAnotherDomain() public {
        InferenceRequest memory request = _request(1);
        bytes memory signature = _sign(REQUESTER_KEY, _idOn(5, request));
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, requester));
        escrow.lock(request, FEE, address(0), signature);
    }

    function test_zeroRequester() public {
        InferenceRequest memory request = _request(1);
        request.requester = address(0);
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, address(0)));
        escrow.lock(request, FEE, address(0), new bytes(65));
    }

    function test_wallets() public {
        Puppet wallet = new Puppet();
        InferenceRequest memory request = _request(1);
        request.requester = address(wallet);
        Puppet.Mode[7] memory modes = [
            Puppet.Mode.Refuse,
            Puppet.Mode.Revert,
            Puppet.Mode.Burn,
            Puppet.Mode.BombReturn,
            Puppet.Mode.BombRevert,
            Puppet.Mode.Dirty,
            Puppet.Mode.Short
        ];
        for (uint256 i = 0; i < modes.length; ++i) {
            wallet.set(modes[i], address(0), "");
            bytes memory call_ = abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), "any"));
            vm.prank(RELAYER);
            uint256 before = gasleft();
            (bool ok, bytes memory reason) = address(escrow).call(call_);
            uint256 used = before - gasleft();
            assertTrue(!ok, "refused");
            assertTrue(
                keccak256(reason)
                    == keccak256(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, wallet)),
                vm.toString(i)
            );
            assertTrue(used < 260_000, "gas");
        }
        wallet.set(Puppet.Mode.Accept, address(0), "");
        _assertStatus(_relay(request, FEE, "any"), Status.Locked, "accepted");
    }

    /// An account with delegated code (EIP-7702) still signs with its key.
    function test_delegatedAccount() public {
        vm.etch(requester, type(SilentToken).runtimeCode);
        InferenceRequest memory request = _request(1);
        _relay(request, FEE, _signed(request));
    }
}
