// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceRequest, RequestTerms} from "../../src/InferenceRequest.sol";
import {OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {PrepaidEscrow} from "../../src/PrepaidEscrow.sol";
import {Request, Settlement} from "../../src/Settlement.sol";
import {SettlementPayments, Skip} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {HostileToken, MockVerifier, PlainToken, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// What the tests of prepaid requests have in common. All of them in one contract would not fit into a transaction.
abstract contract PrepaidWorld is World {
    function setUp() public {
        _world();
        _deployPrepaid();
    }

    function _deposit(address for_, address token, uint96 amount) internal {
        vm.prank(requester);
        prepaid.deposit{value: token == address(0) ? amount : 0}(requester, for_, token, amount);
    }

    function _left(address for_, address token) internal view returns (uint256 amount) {
        (amount,) = prepaid.deposits(requester, for_, token);
    }

    function _two(InferenceRequest memory a, InferenceRequest memory b)
        internal
        pure
        returns (InferenceRequest[] memory requests)
    {
        requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (a, b);
    }

    function _prepaidSettlement(InferenceRequest[] memory requests, address payee)
        internal
        view
        returns (Settlement memory settlement)
    {
        settlement.payee = payee;
        settlement.base = requests[0].base;
        settlement.requests = new Request[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            settlement.requests[i] = Request({
                id: prepaid.requestId(requests[i]),
                fee: requests[i].maxFee,
                adapter: requests[i].adapter,
                inputDigest: requests[i].inputDigest,
                label: 3,
                outputDigest: i + 1
            });
        }
    }

    function _signatures(InferenceRequest[] memory requests) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            signatures[i] = _sign(REQUESTER_KEY, prepaid.requestId(requests[i]));
        }
    }

    function _provePrepaid(InferenceRequest[] memory requests, address payee)
        internal
        returns (Settlement memory settlement)
    {
        settlement = _prepaidSettlement(requests, payee);
        mock.prove(circuitOf[classify], address(prepaid), settlement);
    }

    function _draw(InferenceRequest[] memory requests, address payee) internal {
        Settlement memory settlement = _provePrepaid(requests, payee);
        prepaid.settle(classify, settlement, _terms(requests), _signatures(requests), 0);
    }

    function _draw(InferenceRequest memory request, address payee) internal {
        _draw(_one(request), payee);
    }

    /// The settlement reverts for want of anything to pay.
    function _refused(InferenceRequest memory request, address payee) internal {
        Settlement memory settlement = _provePrepaid(_one(request), payee);
        bytes[] memory signatures = _signatures(_one(request));
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
    }

    /// The first of two is skipped for this reason, the second is paid.
    function _skips(
        InferenceRequest[] memory requests,
        Settlement memory settlement,
        bytes[] memory signatures,
        Skip reason
    ) internal {
        uint256 owed = prepaid.balances(address(open), settlement.payee);
        cheats.recordLogs();
        prepaid.settle(classify, settlement, _terms(requests), signatures, 1);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == SettlementPayments.RequestSkipped.selector, "skipped");
        assertEq(uint256(logs[0].topics[1]), settlement.requests[0].id, "which");
        assertEq(abi.decode(logs[0].data, (uint256)), uint256(reason), "why");
        assertTrue(prepaid.balances(address(open), settlement.payee) > owed, "the other is paid");
    }
}

/// Deposits, and requests paid out of them.
contract PrepaidDepositTest is PrepaidWorld {
    // Payment

    function test_settle() public {
        _deposit(address(0), address(open), FEE + 1);
        InferenceRequest memory request = _request(1);
        Settlement memory settlement = _provePrepaid(_one(request), prover);
        cheats.recordLogs();
        prepaid.settle(classify, settlement, _terms(_one(request)), _signatures(_one(request)), 1);
        Cheats.Log[] memory logs = cheats.getRecordedLogs();
        assertTrue(logs[0].topics[0] == SettlementPayments.RequestSettled.selector, "event");
        assertEq(uint256(logs[0].topics[1]), settlement.requests[0].id, "event's id");
        assertTrue(logs[1].topics[0] == SettlementPayments.BatchSettled.selector, "batch event");
        assertTrue(logs[1].topics[1] == classify, "route");
        assertEq(prepaid.balances(address(open), prover), 6 ether, "prover");
        (uint256 owner, uint256 contributors) = prepaid.lineBalances(address(open), adapterLines[0]);
        assertTrue(owner == 2 ether && contributors == 1 ether, "adapter");
        (owner,) = prepaid.lineBalances(address(open), baseLine);
        assertEq(owner, 1 ether, "base");
        assertEq(_left(address(0), address(open)), 1, "left");
        assertTrue(prepaid.isPaid(requester, address(0), 1) && !prepaid.isPaid(requester, address(0), 2), "paid");
        vm.prank(prover);
        prepaid.withdraw(address(open), prover);
        vm.prank(ADAPTER_OWNER);
        prepaid.withdrawLine(adapterLines[0], address(open), ADAPTER_OWNER);
        vm.prank(ADAPTER_POT);
        prepaid.withdrawPot(adapterLines[0], address(open), ADAPTER_POT);
        vm.prank(BASE_OWNER);
        prepaid.withdrawLine(baseLine, address(open), BASE_OWNER);
        assertEq(open.balanceOf(address(prepaid)), 1, "the rest");
    }

    /// In batches of several tokens, by its gas token too.
    function test_tokens() public {
        PlainToken token = new PlainToken();
        token.mint(requester, 100 ether);
        cheats.startPrank(requester);
        token.approve(address(prepaid), 50 ether);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenNotAllowed.selector, token));
        prepaid.deposit(requester, address(0), address(token), FEE);
        cheats.stopPrank();
        vm.prank(GOVERNANCE);
        prepaid.setToken(address(token), true);
        address[3] memory kinds = [address(0), address(open), address(token)];
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            _deposit(address(0), kinds[i], FEE);
            requests[i] = _request(i);
            requests[i].token = kinds[i];
        }
        _draw(requests, prover);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(prepaid.balances(kinds[i], prover), 6 ether, "paid");
            assertEq(_left(address(0), kinds[i]), 0, "empty");
            vm.prank(prover);
            prepaid.withdraw(kinds[i], address(0xbeef));
        }
        assertEq(address(0xbeef).balance, 6 ether, "gas token");
    }

    function test_deposits() public {
        vm.prank(requester);
        vm.expectRevert(PrepaidEscrow.DepositZero.selector);
        prepaid.deposit(requester, address(0), address(open), 0);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.ValueMismatch.selector, 5, 4));
        prepaid.deposit{value: 4}(requester, address(0), address(0), 5);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.ValueMismatch.selector, 0, 4));
        prepaid.deposit{value: 4}(requester, address(0), address(open), 4);
        _deposit(address(0), address(open), 5);
        // Anyone may pay in for another.
        vm.prank(STRANGER);
        prepaid.deposit(requester, address(0), address(open), 7);
        assertEq(_left(address(0), address(open)), 12, "both");
        assertEq(_left(prover, address(open)) + _left(address(0), address(0)), 0, "elsewhere nothing");
    }

    function test_tokenThatTakesAFee() public {
        HostileToken token = new HostileToken();
        vm.prank(GOVERNANCE);
        prepaid.setToken(address(token), true);
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(prepaid), 50 ether);
        HostileToken.Mode[3] memory modes =
            [HostileToken.Mode.TakesFee, HostileToken.Mode.GivesMore, HostileToken.Mode.MovesNothing];
        for (uint256 i = 0; i < 3; ++i) {
            token.set(modes[i], address(0), "");
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.DepositMismatch.selector, token, FEE));
            prepaid.deposit(requester, address(0), address(token), FEE);
        }
        assertEq(_left(address(0), address(token)), 0, "nothing");
    }

    // Whose deposit

    /// What is deposited for one prover no other can draw on; what is open, whoever proves; neither for the other.
    function test_depositsForProvers() public {
        _deposit(prover, address(open), FEE);
        InferenceRequest memory anybody = _request(1);
        _refused(anybody, STRANGER);
        _refused(anybody, prover);
        InferenceRequest memory named = _request(2);
        named.prover = STRANGER;
        _refused(named, STRANGER);
        named.prover = prover;
        Settlement memory settlement = _provePrepaid(_one(named), STRANGER);
        bytes[] memory signatures = _signatures(_one(named));
        vm.expectRevert(
            abi.encodeWithSelector(
                SettlementPayments.NotNamedProver.selector, settlement.requests[0].id, prover, STRANGER
            )
        );
        prepaid.settle(classify, settlement, _terms(_one(named)), signatures, 0);
        _draw(named, prover);
        assertEq(prepaid.balances(address(open), prover), 6 ether, "its own");
        // The open one is no reserve of the named one.
        _deposit(address(0), address(open), FEE);
        named.salt = 3;
        _refused(named, prover);
        _draw(anybody, STRANGER);
        assertEq(prepaid.balances(address(open), STRANGER), 6 ether, "whoever proves");
    }

    /// Another's deposit pays nothing for this requester, and another token's neither.
    function test_depositsOfOthers() public {
        vm.prank(STRANGER);
        prepaid.deposit(STRANGER, address(0), address(open), FEE);
        _deposit(address(0), address(0), FEE);
        _refused(_request(1), prover);
        assertEq(address(prepaid).balance, FEE, "untouched");
    }

    // Leaving

    function test_leave() public {
        _deposit(prover, address(open), FEE);
        bytes memory reason = abi.encodeWithSelector(PrepaidEscrow.NotLeaving.selector, prover, open, 0);
        vm.prank(requester);
        vm.expectRevert(reason);
        prepaid.take(prover, address(open), requester);
        vm.prank(requester);
        prepaid.leave(prover, address(open));
        uint256 at = clock + 1 days;
        (, uint64 leavingAt) = prepaid.deposits(requester, prover, address(open));
        assertEq(leavingAt, at, "when");
        // A stranger's deposit does not keep it, nor does it begin anew.
        _advance(1 days - 1);
        vm.prank(STRANGER);
        prepaid.deposit(requester, prover, address(open), 1);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(PrepaidEscrow.NotLeaving.selector, prover, open, at));
        prepaid.take(prover, address(open), requester);
        _advance(1);
        // Others have none, and none for other provers.
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(PrepaidEscrow.NotLeaving.selector, prover, open, 0));
        prepaid.take(prover, address(open), STRANGER);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(PrepaidEscrow.NotLeaving.selector, address(0), open, 0));
        prepaid.take(address(0), address(open), requester);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RecipientInvalid.selector, prepaid));
        prepaid.take(prover, address(open), address(prepaid));
        uint256 before = open.balanceOf(requester);
        vm.prank(requester);
        assertEq(prepaid.take(prover, address(open), requester), FEE + 1, "taken");
        assertEq(open.balanceOf(requester) - before, FEE + 1, "there");
        vm.prank(requester);
        vm.expectRevert(reason);
        prepaid.take(prover, address(open), requester);
        // It begins as at first.
        _deposit(prover, address(open), 5);
        (, leavingAt) = prepaid.deposits(requester, prover, address(open));
        assertEq(leavingAt, 0, "stays");
    }

    function test_takeOfNothing() public {
        vm.prank(requester);
        prepaid.leave(prover, address(open));
        _advance(1 days);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, open));
        prepaid.take(prover, address(open), requester);
    }

    function test_stay() public {
        _deposit(prover, address(open), FEE);
        cheats.startPrank(requester);
        prepaid.leave(prover, address(open));
        cheats.stopPrank();
        vm.prank(STRANGER);
        prepaid.stay(prover, address(open));
        (, uint64 leavingAt) = prepaid.deposits(requester, prover, address(open));
        assertEq(leavingAt, clock + 1 days, "a stranger's word is nothing");
        vm.prank(requester);
        prepaid.stay(prover, address(open));
        _advance(2 days);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(PrepaidEscrow.NotLeaving.selector, prover, open, 0));
        prepaid.take(prover, address(open), requester);
    }

    /// Until the deposit is taken the requests are paid out of it.
    function test_paidWhileLeaving() public {
        _deposit(prover, address(open), FEE);
        InferenceRequest memory request = _request(1);
        (request.prover, request.deadline) = (prover, uint64(clock + 3 days));
        vm.prank(requester);
        prepaid.leave(prover, address(open));
        _advance(2 days);
        _draw(request, prover);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NothingToWithdraw.selector, open));
        prepaid.take(prover, address(open), requester);
    }
}

/// What a prepaid request is paid for, once.
contract PrepaidEscrowTest is PrepaidWorld {
    // Once

    function test_replay() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest memory request = _request(1);
        Settlement memory settlement = _provePrepaid(_one(request), prover);
        bytes[] memory signatures = _signatures(_one(request));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        // In another batch, for another payee.
        InferenceRequest[] memory both = _two(request, _request(2));
        _skips(both, _provePrepaid(both, STRANGER), _signatures(both), Skip.NotLocked);
        assertEq(_left(address(0), address(open)), 8 * FEE, "two fees");
    }

    /// One request twice in a batch, and two requests of one salt: one is paid.
    function test_oneOfASalt() public {
        _deposit(address(0), address(open), 10 * FEE);
        _draw(_two(_request(1), _request(1)), prover);
        assertEq(_left(address(0), address(open)), 9 * FEE, "one fee");
        InferenceRequest memory a = _request(2);
        InferenceRequest memory b = _request(3);
        b.salt = 2;
        _draw(_two(a, b), prover);
        assertEq(_left(address(0), address(open)), 8 * FEE, "one fee");
        _refused(b, prover);
        // Its neighbours are others, in the same word and beyond it; so are another requester's.
        uint256[6] memory salts = [uint256(0), 127, 255, 256, 257, type(uint256).max];
        for (uint256 i = 0; i < 6; ++i) {
            assertTrue(!prepaid.isPaid(requester, address(0), salts[i]), "not yet");
            _draw(_request(salts[i]), prover);
            assertTrue(prepaid.isPaid(requester, address(0), salts[i]), "paid");
            assertTrue(!prepaid.isPaid(STRANGER, address(0), salts[i]), "not another's");
        }
        assertEq(_left(address(0), address(open)), 2 * FEE, "six fees");
        assertTrue(!prepaid.isPaid(requester, address(0), 3) && !prepaid.isPaid(requester, address(0), 258), "others");
    }

    /// The escrows' domains differ: a signature and a proof are for one of them.
    function test_replayInTheOtherEscrow() public {
        _deposit(address(0), address(open), FEE);
        InferenceRequest memory request = _request(1);
        assertTrue(prepaid.requestId(request) != escrow.requestId(request), "ids");
        // Signed and proven for the one that locks.
        _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        bytes[] memory signatures = new bytes[](1);
        signatures[0] = _signed(request);
        vm.expectRevert(
            abi.encodeWithSelector(
                SettlementPayments.RequestIdMismatch.selector, 0, settlement.requests[0].id, prepaid.requestId(request)
            )
        );
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        // With the right id: the signature is for the other domain, and so is the proof.
        Settlement memory forged = _prepaidSettlement(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, forged, _terms(_one(request)), signatures, 0);
        signatures = _signatures(_one(request));
        vm.expectRevert(MockVerifier.NotProven.selector);
        prepaid.settle(classify, forged, _terms(_one(request)), signatures, 0);
        // The reverse.
        InferenceRequest memory second = _request(2);
        Settlement memory drawn = _provePrepaid(_one(second), prover);
        vm.expectRevert(
            abi.encodeWithSelector(
                SettlementPayments.RequestIdMismatch.selector, 0, drawn.requests[0].id, escrow.requestId(second)
            )
        );
        escrow.settle(classify, drawn, _terms(_one(second)), 0);
        bytes memory signature = _sign(REQUESTER_KEY, prepaid.requestId(second));
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.SignatureInvalid.selector, requester));
        escrow.lock(second, FEE, address(0), signature);
    }

    function test_otherChain() public {
        _deposit(address(0), address(open), FEE);
        Settlement memory settlement = _provePrepaid(_one(_request(1)), prover);
        bytes[] memory signatures = _signatures(_one(_request(1)));
        cheats.chainId(12_345);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.OtherChain.selector, 31_337, 12_345));
        prepaid.settle(classify, settlement, _terms(_one(_request(1))), signatures, 0);
        // The money goes back all the same.
        vm.prank(requester);
        prepaid.leave(address(0), address(open));
        _advance(1 days);
        vm.prank(requester);
        prepaid.take(address(0), address(open), requester);
    }

    // Fees

    function test_fees() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        uint256[3] memory never = [uint256(0), uint256(FEE) + 1, type(uint256).max];
        for (uint256 i = 0; i < 3; ++i) {
            both[1].salt = 10 + i;
            Settlement memory settlement = _prepaidSettlement(both, prover);
            settlement.requests[0].fee = never[i];
            mock.prove(circuitOf[classify], address(prepaid), settlement);
            _skips(both, settlement, _signatures(both), Skip.OtherFee);
        }
        // Less than the price is the prover's own affair.
        Settlement memory cheap = _prepaidSettlement(_one(both[0]), prover);
        cheap.requests[0].fee = 10;
        mock.prove(circuitOf[classify], address(prepaid), cheap);
        prepaid.settle(classify, cheap, _terms(_one(both[0])), _signatures(_one(both[0])), 0);
        assertEq(_left(address(0), address(open)), 7 * uint256(FEE) - 10, "the fee that was proven");
    }

    /// At most the price of the moment.
    function test_ramp() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest memory request = _request(1);
        (request.minFee, request.rampStart, request.rampTime) = (FEE / 2, uint64(clock + 100), 100);
        Settlement memory settlement = _prepaidSettlement(_one(request), prover);
        settlement.requests[0].fee = FEE * 3 / 4;
        mock.prove(circuitOf[classify], address(prepaid), settlement);
        bytes[] memory signatures = _signatures(_one(request));
        _advance(149);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        _advance(1);
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        // One that falls has no price, and one beyond all money neither.
        request.salt = 2;
        request.minFee = request.maxFee + 1;
        _refused(request, prover);
        request.maxFee = 1 << 128;
        request.minFee = 0;
        settlement = _prepaidSettlement(_one(request), prover);
        settlement.requests[0].fee = 1;
        mock.prove(circuitOf[classify], address(prepaid), settlement);
        signatures = _signatures(_one(request));
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
    }

    /// The second of two is too much.
    function test_depositTooSmall() public {
        _deposit(address(0), address(open), 2 * FEE - 1);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        Settlement memory settlement = _provePrepaid(both, prover);
        bytes[] memory signatures = _signatures(both);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 1, 2));
        prepaid.settle(classify, settlement, _terms(both), signatures, 2);
        prepaid.settle(classify, settlement, _terms(both), signatures, 1);
        assertEq(_left(address(0), address(open)), FEE - 1, "one fee");
        assertTrue(prepaid.isPaid(requester, address(0), 1) && !prepaid.isPaid(requester, address(0), 2), "the first");
        // Later the second is paid by a proof of its own.
        _deposit(address(0), address(open), 1);
        _draw(both[1], prover);
        assertEq(_left(address(0), address(open)), 0, "empty");
    }

    // Terms

    function test_termsThatAreNotServed() public {
        _deposit(address(0), address(open), 10 * FEE);
        for (uint256 i = 0; i < 2; ++i) {
            InferenceRequest memory request = _request(i);
            if (i == 0) request.stake = 1;
            else request.acceptTime = 1;
            Settlement memory settlement = _provePrepaid(_one(request), prover);
            bytes[] memory signatures = _signatures(_one(request));
            vm.expectRevert(
                abi.encodeWithSelector(PrepaidEscrow.TermsNotServed.selector, settlement.requests[0].id)
            );
            prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        }
    }

    function test_expired() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        both[0].deadline = uint64(clock + 10);
        Settlement memory settlement = _provePrepaid(both, prover);
        bytes[] memory signatures = _signatures(both);
        _advance(10);
        uint256 state = cheats.snapshotState();
        prepaid.settle(classify, settlement, _terms(both), signatures, 2);
        cheats.revertToState(state);
        _advance(1);
        _skips(both, settlement, signatures, Skip.Expired);
    }

    function test_retiredAdapterIsSkipped() public {
        (uint256 adapter,) = _publishAdapter(STRANGER, RELAYER, 2, _split(6_000, 2_000, 1_000, 1_000), 0);
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        both[0].adapter = adapter;
        Settlement memory settlement = _provePrepaid(both, prover);
        vm.prank(STRANGER);
        models.retire(adapter);
        _skips(both, settlement, _signatures(both), Skip.NotServed);
        assertEq(_left(address(0), address(open)), 9 * FEE, "one fee");
    }

    function test_counts() public {
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        Settlement memory settlement = _provePrepaid(both, prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RequestCountMismatch.selector, 2, 1));
        prepaid.settle(classify, settlement, _terms(both), new bytes[](1), 0);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RequestCountMismatch.selector, 2, 1));
        prepaid.settle(classify, settlement, _terms(_one(both[0])), new bytes[](1), 0);
    }

    /// Every term of the request, changed by the settler.
    function test_everyTermCounts() public {
        _deposit(address(0), address(open), FEE);
        InferenceRequest memory request = _request(1);
        Settlement memory settlement = _provePrepaid(_one(request), prover);
        bytes[] memory signatures = _signatures(_one(request));
        for (uint256 i = 0; i < 14; ++i) {
            InferenceRequest memory other = _request(1);
            if (i == 0) other.requester = STRANGER;
            if (i == 1) other.maxFee += 1;
            if (i == 2) other.token = address(0);
            if (i == 3) other.deadline += 1;
            if (i == 4) other.prover = prover;
            if (i == 5) other.consumer = STRANGER;
            if (i == 6) other.consumerGas += 1;
            if (i == 7) other.salt += 1;
            if (i == 8) other.routes = 2;
            if (i == 9) other.minFee -= 1;
            if (i == 10) other.rampStart += 1;
            if (i == 11) other.rampTime += 1;
            if (i == 12) other.acceptTime += 1;
            if (i == 13) other.stake += 1;
            RequestTerms[] memory terms = _terms(_one(other));
            vm.expectRevert(
                abi.encodeWithSelector(
                    SettlementPayments.RequestIdMismatch.selector,
                    0,
                    settlement.requests[0].id,
                    prepaid.requestId(other)
                )
            );
            prepaid.settle(classify, settlement, terms, signatures, 0);
        }
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
    }

    /// Routes, kinds and payees as in the other escrow.
    function test_routes() public {
        _deposit(address(0), address(open), 10 * FEE);
        (,,,, address key,,,,,) = router.routes(classify);
        bytes32 later = _addRoute(circuitOf[classify], key, 4_000_000);
        InferenceRequest memory request = _request(1);
        Settlement memory settlement = _provePrepaid(_one(request), prover);
        bytes[] memory signatures = _signatures(_one(request));
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotEnabled.selector, later));
        prepaid.settle(later, settlement, _terms(_one(request)), signatures, 0);
        prepaid.enableRoute(later);
        vm.expectRevert(
            abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, settlement.requests[0].id, ROUTES, 2)
        );
        prepaid.settle(later, settlement, _terms(_one(request)), signatures, 0);
        InferenceRequest memory other = _request(1);
        other.kind = OUTPUT_EMBED;
        vm.expectRevert(
            abi.encodeWithSelector(
                SettlementPayments.RequestIdMismatch.selector, 0, settlement.requests[0].id, prepaid.requestId(other)
            )
        );
        prepaid.settle(embed, settlement, _terms(_one(request)), signatures, 0);
        address[2] memory payees = [address(0), address(prepaid)];
        for (uint256 i = 0; i < 2; ++i) {
            settlement.payee = payees[i];
            vm.expectRevert(abi.encodeWithSelector(SettlementPayments.PayeeInvalid.selector, payees[i]));
            prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        }
        // A false proof pays nothing.
        settlement.payee = STRANGER;
        vm.expectRevert(MockVerifier.NotProven.selector);
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
        assertTrue(!prepaid.isPaid(requester, address(0), 1), "nothing happened");
        settlement.payee = prover;
        _freeze(classify);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.Frozen.selector, classify));
        prepaid.settle(classify, settlement, _terms(_one(request)), signatures, 0);
    }

    // Signatures

    function test_signatures() public {
        _deposit(address(0), address(open), 20 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(REQUESTER_KEY, bytes32(prepaid.requestId(both[0])));
        bytes[] memory bad = new bytes[](6);
        bad[0] = _sign(PROVER_KEY, prepaid.requestId(both[0]));
        bad[1] = "";
        bad[2] = abi.encodePacked(r, s, v, uint8(0));
        bytes32 high = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        bad[3] = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        bad[4] = abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
        bad[5] = _sign(REQUESTER_KEY, prepaid.requestId(both[1]));
        for (uint256 i = 0; i < bad.length; ++i) {
            both[1].salt = 10 + i;
            bytes[] memory signatures = _signatures(both);
            signatures[0] = bad[i];
            _skips(both, _provePrepaid(both, prover), signatures, Skip.NotSigned);
        }
        // A signature in another form would be no second payment either: the salt is what counts.
        _draw(both[0], prover);
        _refused(both[0], prover);
        // The requester's own transaction is no signature.
        Settlement memory settlement = _provePrepaid(_one(_request(30)), prover);
        RequestTerms[] memory terms = _terms(_one(_request(30)));
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        prepaid.settle(classify, settlement, terms, new bytes[](1), 0);
    }

    /// A wallet that changes its mind is skipped, its companions are not; hostile ones too.
    function test_fickleWallet() public {
        Puppet wallet = new Puppet();
        _deposit(address(0), address(open), 20 * FEE);
        vm.prank(STRANGER);
        prepaid.deposit(address(wallet), address(0), address(open), 2 * FEE);
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        both[0].requester = address(wallet);
        Puppet.Mode[6] memory modes = [
            Puppet.Mode.Refuse,
            Puppet.Mode.Revert,
            Puppet.Mode.Burn,
            Puppet.Mode.BombReturn,
            Puppet.Mode.BombRevert,
            Puppet.Mode.Short
        ];
        for (uint256 i = 0; i < 6; ++i) {
            wallet.set(modes[i], address(0), "");
            both[1].salt = 10 + i;
            _skips(both, _provePrepaid(both, prover), _signatures(both), Skip.NotSigned);
        }
        wallet.set(Puppet.Mode.Accept, address(0), "");
        _draw(_one(both[0]), prover);
        (uint256 left,) = prepaid.deposits(address(wallet), address(0), address(open));
        assertEq(left, FEE, "paid once");
    }

    // Consumers and re-entry

    function test_consumers() public {
        _deposit(address(0), address(open), 10 * FEE);
        Puppet good = new Puppet();
        Puppet bad = new Puppet();
        bad.set(Puppet.Mode.Burn, address(0), "");
        InferenceRequest[] memory both = _two(_request(1), _request(2));
        (both[0].consumer, both[0].consumerGas) = (address(bad), 100_000);
        (both[1].consumer, both[1].consumerGas) = (address(good), 100_000);
        _draw(both, prover);
        assertTrue(good.calls() == 1 && good.lastLabel() == 3 && good.lastDigest() == 2, "told");
        assertEq(bad.calls(), 0, "failed");
        assertEq(prepaid.balances(address(open), prover), 12 ether, "both are paid");
        // One that is not paid is not told.
        _refused(both[1], prover);
        assertEq(good.calls(), 1, "once");
    }

    function test_reentrancy() public {
        _deposit(address(0), address(open), 10 * FEE);
        InferenceRequest memory request = _request(1);
        InferenceRequest memory inner = _request(2);
        Settlement memory next = _provePrepaid(_one(inner), prover);
        Puppet consumer = new Puppet();
        (request.consumer, request.consumerGas) = (address(consumer), 400_000);
        bytes[6] memory calls = [
            abi.encodeCall(
                PrepaidEscrow.settle, (classify, next, _terms(_one(inner)), _signatures(_one(inner)), 0)
            ),
            abi.encodeCall(PrepaidEscrow.deposit, (requester, address(0), address(open), 1)),
            abi.encodeCall(PrepaidEscrow.leave, (address(0), address(open))),
            abi.encodeCall(PrepaidEscrow.stay, (address(0), address(open))),
            abi.encodeCall(PrepaidEscrow.take, (address(0), address(open), address(consumer))),
            abi.encodeCall(EscrowAccounts.withdraw, (address(open), address(consumer)))
        ];
        for (uint256 i = 0; i < 6; ++i) {
            consumer.set(Puppet.Mode.Reenter, address(prepaid), calls[i]);
            request.salt = 100 + i;
            _draw(request, prover);
            assertTrue(!consumer.reentered(), "reentered");
            assertTrue(
                bytes4(consumer.reason()) == bytes4(keccak256("ReentrancyGuardReentrantCall()")), "by the guard"
            );
        }
        assertEq(_left(address(0), address(open)), 4 * FEE, "six fees");
    }

    /// Sent to a wallet that calls back: the deposit is gone already.
    function test_takeReentered() public {
        Puppet wallet = new Puppet();
        vm.prank(requester);
        prepaid.deposit{value: FEE}(address(wallet), address(0), address(0), FEE);
        _deposit(address(0), address(0), FEE);
        wallet.act(address(prepaid), 0, abi.encodeCall(PrepaidEscrow.leave, (address(0), address(0))));
        _advance(1 days);
        bytes memory call_ = abi.encodeCall(PrepaidEscrow.take, (address(0), address(0), address(wallet)));
        wallet.set(Puppet.Mode.Reenter, address(prepaid), call_);
        wallet.act(address(prepaid), 0, call_);
        assertTrue(!wallet.reentered(), "reentered");
        assertEq(address(wallet).balance, FEE, "once");
        assertEq(address(prepaid).balance, FEE, "the other's");
    }

    function test_governance() public {
        vm.prank(GOVERNANCE);
        vm.expectRevert(SettlementPayments.NoRenouncing.selector);
        prepaid.renounceOwnership();
        vm.prank(GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TokenFixed.selector, open));
        prepaid.setToken(address(open), false);
        (, string memory name, string memory version,, address at,,) = prepaid.eip712Domain();
        assertTrue(
            keccak256(bytes(name)) == keccak256("Lorica PrepaidEscrow") && keccak256(bytes(version)) == keccak256("1")
                && at == address(prepaid),
            "domain"
        );
        // Nothing is accepted without a deposit.
        (bool ok,) = address(prepaid).call{value: 0}("");
        assertTrue(!ok, "no receive");
        assertTrue(address(prepaid.router()) == address(router) && address(escrow) != address(prepaid), "parts");
    }
}
