// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, REFUSAL_TYPE_HASH} from "../../src/InferenceRequest.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Accepting, cancelling, refunding, refusing, withdrawing.
contract EscrowLifecycleTest is World {
    function setUp() public {
        _world();
    }

    function _notLocked(uint256 id, Status status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(InferenceEscrow.NotLocked.selector, id, status);
    }

    function _refusal(uint256 key, uint256 id, uint8 reason) private view returns (bytes memory) {
        return _refusal(key, id, reason, uint64(clock));
    }

    /// By the account of the key, until `expires`.
    function _refusal(uint256 key, uint256 id, uint8 reason, uint64 expires) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Lorica InferenceEscrow"),
                keccak256("2"),
                block.chainid,
                address(escrow)
            )
        );
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Refusal(uint256 requestId,address prover,uint8 reason,uint64 expires)"),
                id,
                cheats.addr(key),
                reason,
                expires
            )
        );
        return _sign(key, uint256(keccak256(abi.encodePacked(hex"1901", domain, hash))));
    }

    function test_accept() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(prover);
        escrow.accept(request);
        Lock memory locked = escrow.lockOf(id);
        assertEq(uint256(locked.status), uint256(Status.Accepted), "status");
        assertTrue(locked.prover == prover, "prover");
        assertEq(locked.fee, FEE, "the rest is untouched");
        assertEq(locked.line, adapterLines[0], "line");
        assertEq(locked.early, 0, "until the deadline");
        assertEq(locked.adapterOwner, 2_000, "shares");
        assertEq(locked.contributors, 1_000, "shares");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, prover, request.deadline));
        escrow.accept(request);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.AlreadyAccepted.selector, id, prover, request.deadline));
        escrow.cancel(request);
    }

    function test_acceptByTheNamedProverOnly() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        uint256 id = _lock(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.NotNamedProver.selector, id, prover, STRANGER));
        escrow.accept(request);
        vm.prank(prover);
        escrow.accept(request);
    }

    function test_acceptInTheLastSecond() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        _advance(1 days + 1);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.DeadlinePassed.selector, id, request.deadline));
        escrow.accept(request);
        clock -= 1;
        cheats.warp(clock);
        vm.prank(prover);
        escrow.accept(request);
    }

    /// The requester cancels, the payer has the money.
    function test_cancel() public {
        InferenceRequest memory request = _request(1);
        bytes memory signature = _signed(request);
        vm.prank(RELAYER);
        uint256 id = escrow.lock(request, FEE, address(0), signature);
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NotRequester.selector, id, RELAYER));
        escrow.cancel(request);
        vm.prank(requester);
        escrow.cancel(request);
        _assertStatus(id, Status.Cancelled, "status");
        assertEq(escrow.balances(address(open), RELAYER), FEE, "payer");
        assertEq(escrow.balances(address(open), requester), 0, "requester");
        vm.prank(requester);
        vm.expectRevert(_notLocked(id, Status.Cancelled));
        escrow.cancel(request);
    }

    function test_refund() public {
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        bytes memory early = abi.encodeWithSelector(InferenceEscrow.DeadlineNotPassed.selector, id, request.deadline);
        vm.prank(requester);
        vm.expectRevert(early);
        escrow.refund(request);
        _advance(1 days);
        vm.prank(requester);
        vm.expectRevert(early);
        escrow.refund(request);
        _advance(1);
        vm.prank(STRANGER);
        escrow.refund(request);
        _assertStatus(id, Status.Refunded, "status");
        assertEq(escrow.balances(address(open), requester), FEE, "payer");
        vm.expectRevert(_notLocked(id, Status.Refunded));
        escrow.refund(request);
    }

    function test_refundOfAnAcceptedRequest() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        vm.prank(prover);
        escrow.accept(request);
        _advance(1 days + 1);
        escrow.refund(request);
        assertEq(escrow.balances(address(open), requester), FEE, "payer");
    }

    function test_refuse() public {
        assertTrue(REFUSAL_TYPE_HASH == keccak256("Refusal(uint256 requestId,address prover,uint8 reason,uint64 expires)"),
            "type"
        );
        InferenceRequest memory request = _request(1);
        uint256 id = _lock(request);
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoProver.selector, id));
        escrow.refuse(request, 1, 0, "");
        vm.prank(prover);
        escrow.accept(request);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, prover));
        escrow.refuse(request, 1, uint64(clock), "");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RefusalExpired.selector, id, 0));
        escrow.refuse(request, 1, 0, "");
        // Nobody was named: others may serve it now.
        vm.prank(prover);
        escrow.refuse(request, 1, 0, "");
        _assertStatus(id, Status.Locked, "open again");
        assertTrue(escrow.lockOf(id).prover == address(0), "nobody's");
        assertEq(escrow.lockOf(id).fee, FEE, "the fee is still locked");
        assertEq(escrow.balances(address(open), requester), 0, "nothing back");
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoProver.selector, id));
        escrow.refuse(request, 1, 0, "");
    }

    /// The named prover's refusal is the request's end.
    function test_refuseByTheNamedProver() public {
        InferenceRequest memory request = _request(1);
        for (uint256 i = 0; i < 2; ++i) {
            request.prover = prover;
            request.salt = i;
            uint256 id = _lock(request);
            if (i == 1) {
                vm.prank(prover);
                escrow.accept(request);
            }
            vm.prank(prover);
            escrow.refuse(request, 1, 0, "");
            _assertStatus(id, Status.Refused, "status");
            assertTrue(escrow.lockOf(id).wasAccepted == (i == 1), "whether it was accepted is kept");
            assertTrue(escrow.lockOf(id).prover == prover, "by whom");
            assertEq(escrow.balances(address(open), requester), (i + 1) * FEE, "payer");
            vm.prank(prover);
            vm.expectRevert(_notLocked(id, Status.Refused));
            escrow.refuse(request, 1, 0, "");
        }
    }

    /// Who is named refuses without accepting; anyone brings the signature; it says one reason for one request.
    function test_refuseBySignature() public {
        InferenceRequest memory request = _request(1);
        request.prover = prover;
        uint256 id = _lock(request);
        request.salt = 2;
        uint256 other = _lock(request);
        bytes[3] memory bad =
            [_refusal(PROVER_KEY, id, 1), _refusal(REQUESTER_KEY, other, 1), _refusal(PROVER_KEY, other, 2)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, prover));
            escrow.refuse(request, 1, uint64(clock), bad[i]);
        }
        bytes memory good = _refusal(PROVER_KEY, other, 1);
        vm.prank(STRANGER);
        escrow.refuse(request, 1, uint64(clock), good);
        _assertStatus(other, Status.Refused, "refused");
        _assertStatus(id, Status.Locked, "the other one is not");
    }

    /// A request that was never locked has no life.
    function test_nothingWithoutALock() public {
        InferenceRequest memory request = _request(1);
        uint256 id = escrow.requestId(request);
        bytes memory reason = _notLocked(id, Status.None);
        vm.prank(prover);
        vm.expectRevert(reason);
        escrow.accept(request);
        vm.prank(requester);
        vm.expectRevert(reason);
        escrow.cancel(request);
        vm.prank(prover);
        vm.expectRevert(reason);
        escrow.refuse(request, 1, 0, "");
        _advance(2 days);
        vm.expectRevert(reason);
        escrow.refund(request);
    }

    /// A locked request under changed terms is another request: its token cannot be exchanged, nor its deadline.
    function test_otherTermsAreAnotherRequest() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        request.deadline = uint64(clock);
        uint256 id = escrow.requestId(request);
        _advance(1);
        vm.expectRevert(_notLocked(id, Status.None));
        escrow.refund(request);
        request = _request(1);
        request.deadline = uint64(clock - 1 + 1 days);
        request.token = address(0);
        id = escrow.requestId(request);
        vm.prank(requester);
        vm.expectRevert(_notLocked(id, Status.None));
        escrow.cancel(request);
    }

    // Withdrawals

    function test_withdraw() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        request.token = address(0);
        _lock(request);
        _settle(request, prover);
        request.token = address(open);
        _settle(request, prover);
        address[2] memory tokens = [address(0), address(open)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, tokens[i]));
            escrow.withdraw(tokens[i], STRANGER);
            vm.prank(prover);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RecipientInvalid.selector, address(0)));
            escrow.withdraw(tokens[i], address(0));
            vm.prank(prover);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RecipientInvalid.selector, address(escrow)));
            escrow.withdraw(tokens[i], address(escrow));
            uint256 held = _escrowBalance(tokens[i]);
            vm.prank(prover);
            assertEq(escrow.withdraw(tokens[i], address(0xbeef)), 6 ether, "prover");
            vm.prank(ADAPTER_OWNER);
            assertEq(escrow.withdrawLine(adapterLines[0], tokens[i], address(0xbeef)), 2 ether, "adapter owner");
            vm.prank(BASE_OWNER);
            assertEq(escrow.withdrawLine(baseLine, tokens[i], address(0xbeef)), 1 ether, "base owner");
            vm.prank(ADAPTER_POT);
            assertEq(escrow.withdrawPot(adapterLines[0], tokens[i], address(0xbeef)), 1 ether, "contributors");
            assertEq(held - _escrowBalance(tokens[i]), FEE, "all");
            vm.prank(prover);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, tokens[i]));
            escrow.withdraw(tokens[i], prover);
            vm.prank(ADAPTER_OWNER);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, tokens[i]));
            escrow.withdrawLine(adapterLines[0], tokens[i], ADAPTER_OWNER);
            vm.prank(ADAPTER_POT);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, tokens[i]));
            escrow.withdrawPot(adapterLines[0], tokens[i], ADAPTER_POT);
        }
        assertEq(address(0xbeef).balance, FEE, "gas token");
        assertEq(open.balanceOf(address(0xbeef)), FEE, "OPEN");
    }

    function test_othersDoNotWithdraw() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        _settle(request, prover);
        address[3] memory others = [STRANGER, BASE_OWNER, ADAPTER_POT];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotLineOwner.selector, adapterLines[0], others[i]));
            escrow.withdrawLine(adapterLines[0], address(open), others[i]);
        }
        others[2] = ADAPTER_OWNER;
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotPot.selector, adapterLines[0], others[i]));
            escrow.withdrawPot(adapterLines[0], address(open), others[i]);
        }
    }

    /// What a line has earned goes to its present owner, what contributors have earned to their present pot.
    function test_withdrawAfterATransfer() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        _settle(request, prover);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(adapterLines[0], STRANGER);
        vm.prank(STRANGER);
        models.acceptLine(adapterLines[0], 2);
        vm.prank(ADAPTER_POT);
        models.setPot(adapterLines[0], RELAYER);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotLineOwner.selector, adapterLines[0], ADAPTER_OWNER));
        escrow.withdrawLine(adapterLines[0], address(open), ADAPTER_OWNER);
        vm.prank(STRANGER);
        escrow.withdrawLine(adapterLines[0], address(open), STRANGER);
        vm.prank(ADAPTER_POT);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotPot.selector, adapterLines[0], ADAPTER_POT));
        escrow.withdrawPot(adapterLines[0], address(open), ADAPTER_POT);
        vm.prank(RELAYER);
        escrow.withdrawPot(adapterLines[0], address(open), RELAYER);
    }

    /// A receiver that fails, burns or re-enters harms itself only.
    function test_hostileReceivers() public {
        Puppet payee = new Puppet();
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        _lock(request);
        request.salt = 2;
        _lock(request);
        request.salt = 1;
        _settle(request, address(payee));
        bytes memory call_ = abi.encodeCall(escrow.withdraw, (address(0), address(payee)));
        payee.set(Puppet.Mode.Refuse, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.TransferFailed.selector, payee, 6 ether));
        payee.act(address(escrow), 0, call_);
        assertEq(escrow.balances(address(0), address(payee)), 6 ether, "still owed");
        payee.set(Puppet.Mode.Reenter, address(escrow), call_);
        payee.act(address(escrow), 0, call_);
        assertTrue(!payee.reentered(), "reentered");
        assertTrue(
            bytes4(payee.reason()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")), "stopped by the guard"
        );
        assertEq(address(payee).balance, 6 ether, "paid once");
        assertEq(address(escrow).balance, 14 ether, "the rest");
    }
}
