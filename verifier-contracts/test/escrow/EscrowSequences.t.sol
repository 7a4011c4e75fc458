// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, RequestTerms} from "../../src/InferenceRequest.sol";
import {Bounds} from "../../src/ModelTerms.sol";
import {OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {PlainToken, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Two settlements, or one twice, in one transaction.
contract Bundle {
    function twice(InferenceEscrow escrow, bytes32 route, Settlement calldata s, RequestTerms[] calldata t)
        external
        returns (bool again, bytes memory reason)
    {
        escrow.settle(route, s, t, 0);
        (again, reason) = address(escrow).call(abi.encodeCall(InferenceEscrow.settle, (route, s, t, 0)));
    }

    function all(address[] calldata to, bytes[] calldata data, uint256[] calldata value) external payable {
        for (uint256 i = 0; i < to.length; ++i) {
            (bool ok, bytes memory reason) = to[i].call{value: value[i]}(data[i]);
            if (!ok) {
                assembly {
                    revert(add(reason, 0x20), mload(reason))
                }
            }
        }
    }

    receive() external payable {}
}

/// WETH's way: no permit, everything unknown is a deposit.
contract WrappedToken is ERC20 {
    constructor() ERC20("Wrapped", "W") {}

    function deposit() public payable {
        _mint(msg.sender, msg.value);
    }

    fallback() external payable {
        deposit();
    }
}

/// Burns exactly what it is given.
contract BurningConsumer {
    fallback() external {
        assembly {
            invalid()
        }
    }
}

contract Bomber {
    constructor(address target) payable {
        selfdestruct(payable(target));
    }
}

/// Sequences that are odd but allowed, and strange addresses in every role.
contract EscrowSequencesTest is World {
    function setUp() public {
        _world();
    }

    function _list(address token) private {
        vm.prank(GOVERNANCE);
        escrow.setToken(token, true);
    }

    function _revertsWith(bytes4 selector, address by, bytes memory data) private {
        vm.prank(by);
        (bool ok, bytes memory reason) = address(escrow).call(data);
        assertTrue(!ok && bytes4(reason) == selector, "selector");
    }

    /// The same settlement twice in a transaction; lock, accept, refuse, withdraw, lock again in one.
    function test_oneTransaction() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        Bundle bundle = new Bundle();
        Settlement memory s = _prove(_one(request), prover);
        (bool again, bytes memory reason) = bundle.twice(escrow, classify, s, _terms(_one(request)));
        assertTrue(!again && bytes4(reason) == SettlementPayments.TooFewPayable.selector, "once");
        assertEq(escrow.balances(address(open), prover), 6 ether, "once");
        // Requester, payer, prover and payee are one contract, in one transaction.
        request = _request(2);
        request.requester = address(bundle);
        request.token = address(0);
        request.maxFee = 1 ether;
        request.minFee = request.maxFee;
        request.prover = address(bundle);
        uint256 id = escrow.requestId(request);
        Settlement memory own = _settlement(_one(request), address(bundle));
        _proven(classify, own);
        address[] memory to = new address[](4);
        bytes[] memory data = new bytes[](4);
        uint256[] memory value = new uint256[](4);
        to[0] = to[1] = to[2] = to[3] = address(escrow);
        data[0] = abi.encodeCall(InferenceEscrow.lock, (request, 1 ether, address(0), ""));
        data[1] = abi.encodeCall(InferenceEscrow.accept, (request));
        data[2] = abi.encodeCall(InferenceEscrow.settle, (classify, own, _terms(_one(request)), 0));
        data[3] = abi.encodeCall(escrow.withdraw, (address(0), address(bundle)));
        value[0] = 1 ether;
        bundle.all{value: 1 ether}(to, data, value);
        assertEq(address(bundle).balance, 0.6 ether, "its share");
        _assertStatus(id, Status.Settled, "settled");
        // The same with a refusal, and everything after it fails.
        request.salt = 3;
        request.maxFee = 0.6 ether;
        request.minFee = request.maxFee;
        id = escrow.requestId(request);
        own = _settlement(_one(request), address(bundle));
        _proven(classify, own);
        data[0] = abi.encodeCall(InferenceEscrow.lock, (request, 0.6 ether, address(0), ""));
        data[1] = abi.encodeCall(InferenceEscrow.accept, (request));
        data[2] = abi.encodeCall(InferenceEscrow.refuse, (request, 0, 0, ""));
        value[0] = 0.6 ether;
        bundle.all(to, data, value);
        assertEq(address(bundle).balance, 0.6 ether, "all back");
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(classify, own, _terms(_one(request)), 0);
    }

    /// Consumers at every strange address, with no gas and with all: the money is the same and nothing is called with effect.
    function test_strangeConsumers() public {
        address[2] memory refused = [address(escrow), address(open)];
        for (uint256 i = 0; i < 2; ++i) {
            InferenceRequest memory request = _request(i);
            request.consumer = refused[i];
            // OPEN whatever the fee's token.
            if (i == 1) request.token = address(0);
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.ConsumerInvalid.selector, refused[i]));
            escrow.lock(request, FEE, address(0), "");
        }
        address[13] memory consumers = [
            address(escrow.stakes()),
            address(router),
            address(models),
            address(registry),
            address(mock),
            address(1),
            address(4),
            address(5),
            address(8),
            address(0x100),
            requester,
            prover,
            address(this)
        ];
        uint256 allowance = open.allowance(address(escrow), address(this));
        for (uint256 i = 0; i < consumers.length; ++i) {
            InferenceRequest memory request = _request(i + 100);
            request.consumer = consumers[i];
            request.consumerGas = i % 2 == 0 ? 500_000 : 0;
            uint256 id = _lock(request);
            uint256 held = open.balanceOf(address(escrow));
            uint256 owed = escrow.balances(address(open), prover);
            _settle(request, prover);
            _assertStatus(id, Status.Settled, vm.toString(i));
            assertEq(escrow.balances(address(open), prover), owed + 6 ether, vm.toString(i));
            assertEq(open.balanceOf(address(escrow)), held, vm.toString(i));
        }
        assertEq(open.allowance(address(escrow), address(this)), allowance, "no allowance of the escrow");
        assertTrue(escrow.owner() == GOVERNANCE && escrow.liveRoutes() == ROUTES, "nothing changed");
    }

    /// Payees at strange addresses are credited, each for itself.
    function test_strangePayees() public {
        address[7] memory payees =
            [address(models), address(open), address(router), address(1), requester, ADAPTER_POT, GOVERNANCE];
        for (uint256 i = 0; i < payees.length; ++i) {
            InferenceRequest memory request = _request(i + 100);
            request.prover = payees[i];
            _lock(request);
            _settle(request, payees[i]);
            assertEq(escrow.balances(address(open), payees[i]), 6 ether, vm.toString(i));
        }
        // Named, but never a payee: only the way back is open.
        InferenceRequest memory own = _request(1);
        own.prover = address(escrow);
        _lock(own);
        Settlement memory s = _settlement(_one(own), address(escrow));
        mock.setGullible(true);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.PayeeInvalid.selector, escrow));
        escrow.settle(classify, s, _terms(_one(own)), 0);
        _advance(2 days);
        escrow.refund(own);
    }

    /// Nobody signs for the contracts themselves, nor for a precompile.
    function test_strangeRequesters() public {
        address[8] memory requesters = [
            address(escrow),
            address(models),
            address(open),
            address(router),
            address(mock),
            address(4),
            address(0x100),
            address(0xdead)
        ];
        for (uint256 i = 0; i < requesters.length; ++i) {
            InferenceRequest memory request = _request(i);
            request.requester = requesters[i];
            _revertsWith(
                SettlementPayments.SignatureInvalid.selector,
                RELAYER,
                abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), new bytes(65)))
            );
        }
    }

    /// One account in every role.
    function test_oneAccountInEveryRole() public {
        cheats.startPrank(ADAPTER_OWNER);
        models.offerLine(adapterLines[0], requester);
        cheats.stopPrank();
        vm.prank(requester);
        models.acceptLine(adapterLines[0], 2);
        vm.prank(BASE_OWNER);
        models.offerLine(baseLine, requester);
        vm.prank(requester);
        models.acceptLine(baseLine, 2);
        vm.prank(ADAPTER_POT);
        models.setPot(adapterLines[0], requester);
        InferenceRequest memory request = _request(1);
        (request.prover, request.consumer) = (requester, requester);
        request.maxFee = 9_999;
        request.minFee = request.maxFee;
        uint256 before = open.balanceOf(requester);
        _lock(request);
        vm.prank(requester);
        escrow.accept(request);
        _settle(request, requester);
        cheats.startPrank(requester);
        uint256 sum = escrow.withdraw(address(open), requester);
        sum += escrow.withdrawLine(adapterLines[0], address(open), requester);
        sum += escrow.withdrawLine(baseLine, address(open), requester);
        sum += escrow.withdrawPot(adapterLines[0], address(open), requester);
        cheats.stopPrank();
        assertEq(sum, 9_999, "all of it");
        assertEq(open.balanceOf(requester), before, "as before");
        assertEq(open.balanceOf(address(escrow)), 0, "nothing left");
    }

    /// The least and the greatest fee, sixteen in a batch.
    function test_extremeFees() public {
        PlainToken token = new PlainToken();
        _list(address(token));
        token.mint(requester, type(uint256).max / 2);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest[] memory requests = new InferenceRequest[](16);
        uint256 total;
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _request(i);
            requests[i].token = address(token);
            requests[i].maxFee = i % 4 == 0 ? 1 : type(uint96).max;
            requests[i].minFee = requests[i].maxFee;
            total += requests[i].maxFee;
            _lock(requests[i]);
        }
        _settle(requests, prover);
        (uint256 owner, uint256 contributors) = _lineOwed(address(token), adapterLines[0]);
        (uint256 baseOwner,) = _lineOwed(address(token), baseLine);
        uint256 toProver = escrow.balances(address(token), prover);
        assertEq(owner + contributors + baseOwner + toProver, total, "sum");
        assertEq(owner, 12 * (uint256(type(uint96).max) * 2_000 / 10_000), "owner");
        vm.prank(prover);
        escrow.withdraw(address(token), prover);
        vm.prank(ADAPTER_OWNER);
        escrow.withdrawLine(adapterLines[0], address(token), ADAPTER_OWNER);
        vm.prank(BASE_OWNER);
        escrow.withdrawLine(baseLine, address(token), BASE_OWNER);
        vm.prank(ADAPTER_POT);
        escrow.withdrawPot(adapterLines[0], address(token), ADAPTER_POT);
        assertEq(token.balanceOf(address(escrow)), 0, "nothing left");
        // Above: a signature of more than 2^96 - 1 can be locked by the requester only, for less.
        InferenceRequest memory request = _request(50);
        request.token = address(token);
        request.maxFee = uint256(type(uint96).max) + 1;
        request.minFee = request.maxFee;
        _revertsWith(
            InferenceEscrow.FeeBelowSigned.selector,
            RELAYER,
            abi.encodeCall(InferenceEscrow.lock, (request, type(uint96).max, address(0), _signed(request)))
        );
        vm.prank(requester);
        escrow.lock(request, type(uint96).max, address(0), "");
    }

    /// The most extreme splits that the constant limits allow.
    function test_extremeShares() public {
        vm.prank(GOVERNANCE);
        models.setBounds(Bounds(1_000, 0, 10_000));
        (uint256 a,) = _publishAdapter(STRANGER, RELAYER, 2, _split(10_000, 0, 0, 0), 0);
        (uint256 b, uint24 lineB) = _publishAdapter(STRANGER, RELAYER, 3, _split(1_000, 9_000, 0, 0), 0);
        (uint256 c, uint24 lineC) = _publishAdapter(STRANGER, RELAYER, 4, _split(1_000, 0, 0, 9_000), 0);
        (uint256 d,) = _publishAdapter(STRANGER, RELAYER, 5, _split(1_000, 0, 9_000, 0), 0);
        InferenceRequest[] memory requests = new InferenceRequest[](4);
        uint256[4] memory own = [a, b, c, d];
        for (uint256 i = 0; i < 4; ++i) {
            requests[i] = _request(i);
            requests[i].adapter = own[i];
            _lock(requests[i]);
        }
        _settle(requests, prover);
        assertEq(escrow.balances(address(open), prover), 13 ether, "prover");
        (uint256 owner, uint256 contributors) = _lineOwed(address(open), lineB);
        assertTrue(owner == 9 ether && contributors == 0, "owner");
        (owner, contributors) = _lineOwed(address(open), lineC);
        assertTrue(owner == 0 && contributors == 9 ether, "contributors");
        (owner, contributors) = _lineOwed(address(open), baseLine);
        assertTrue(owner == 9 ether && contributors == 0, "base");
        // A base alone whose shares other than the prover's are the most.
        (uint256 base2, uint24 line2) = _publishBase(BASE_OWNER, BASE_POT, 2, _split(1_000, 4_500, 4_500, 0), 0);
        InferenceRequest memory alone = _request(9);
        (alone.base, alone.adapter, alone.kind) = (base2, 0, OUTPUT_EMBED);
        _lock(alone);
        _settle(alone, STRANGER);
        (owner,) = _lineOwed(address(open), line2);
        assertEq(owner, 9 ether, "both shares");
    }

    /// Sixteen consumers that burn the most, in one transaction of the chain's limit.
    function test_sixteenBurningConsumers() public {
        BurningConsumer consumer = new BurningConsumer();
        InferenceRequest[] memory requests = new InferenceRequest[](16);
        for (uint256 i = 0; i < 16; ++i) {
            requests[i] = _request(i);
            (requests[i].consumer, requests[i].consumerGas) = (address(consumer), 500_000);
            _lock(requests[i]);
        }
        Settlement memory s = _prove(requests, prover);
        bytes memory data = abi.encodeCall(InferenceEscrow.settle, (classify, s, _terms(requests), 0));
        // What is left of 2^24 after calldata, 21,000 and a check of two million.
        uint256 before = gasleft();
        (bool ok,) = address(escrow).call{gas: 16_777_216 - 2_500_000}(data);
        assertTrue(ok, "settled");
        assertTrue(before - gasleft() < 9_500_000, "gas");
        assertEq(escrow.balances(address(open), prover), 96 ether, "paid");
    }

    /// Accounts with delegated code (EIP-7702) as requester, payee, payer and consumer.
    function test_delegatedAccounts() public {
        Puppet code = new Puppet();
        cheats.signAndAttachDelegation(address(code), REQUESTER_KEY);
        (bool ok,) = address(0x1111).call("");
        assertTrue(ok && requester.code.length == 23, "delegated");
        cheats.signAndAttachDelegation(address(code), PROVER_KEY);
        (ok,) = address(0x1111).call("");
        assertTrue(prover.code.length == 23, "delegated");
        // The wallet's code refuses, the key's signature counts all the same.
        Puppet(payable(requester)).set(Puppet.Mode.Refuse, address(0), "");
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        (request.consumer, request.consumerGas, request.prover) = (prover, 100_000, prover);
        bytes memory signature = _signed(request);
        vm.prank(RELAYER);
        escrow.lock{value: FEE}(request, FEE, address(0), signature);
        request.salt = 2;
        _revertsWith(
            SettlementPayments.SignatureInvalid.selector,
            RELAYER,
            abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), signature))
        );
        // The requester pays itself as ever.
        _lock(request);
        request.salt = 1;
        _settle(request, prover);
        assertEq(Puppet(payable(prover)).calls(), 1, "the delegated account's code is the consumer");
        assertTrue(Puppet(payable(prover)).gasSeen() > 99_000, "with its gas");
        Puppet(payable(prover)).set(Puppet.Mode.Refuse, address(0), "");
        vm.prank(prover);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.TransferFailed.selector, prover, 6 ether));
        escrow.withdraw(address(0), prover);
        vm.prank(prover);
        escrow.withdraw(address(0), address(0xbeef));
        assertEq(address(0xbeef).balance, 6 ether, "elsewhere");
    }

    /// A wallet's answer counts when it is asked: later ones change nothing.
    function test_fickleWallet() public {
        Puppet wallet = new Puppet();
        InferenceRequest memory request = _request(1);
        request.requester = address(wallet);
        request.prover = address(wallet);
        vm.prank(RELAYER);
        uint256 id = escrow.lock(request, FEE, address(0), "x");
        wallet.set(Puppet.Mode.Refuse, address(0), "");
        _revertsWith(
            SettlementPayments.SignatureInvalid.selector,
            STRANGER,
            abi.encodeCall(InferenceEscrow.refuse, (request, 1, uint64(clock), "x"))
        );
        // It changes its mind: now it does refuse, as prover, for any reason that somebody names.
        wallet.set(Puppet.Mode.Accept, address(0), "");
        vm.prank(STRANGER);
        escrow.refuse(request, 9, uint64(clock), "x");
        _assertStatus(id, Status.Refused, "refused");
        assertEq(escrow.balances(address(open), RELAYER), FEE, "the payer's");
        _revertsWith(
            InferenceEscrow.AlreadyLocked.selector,
            RELAYER,
            abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), "x"))
        );
    }

    /// An allowance that somebody gave the escrow is for his own locks only.
    function test_allowancesOfOthers() public {
        WrappedToken token = new WrappedToken();
        _list(address(token));
        vm.prank(requester);
        token.deposit{value: 100 ether}();
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        InferenceRequest memory request = _request(1);
        request.token = address(token);
        bytes memory signature = _signed(request);
        // The permit goes to the fallback and says nothing.
        vm.prank(STRANGER);
        (bool ok,) = address(escrow)
            .call(
                abi.encodeCall(InferenceEscrow.lockWithPermit, (request, FEE, address(0), signature, clock, 27, "", ""))
            );
        assertTrue(!ok, "the stranger has no money");
        assertEq(token.balanceOf(requester), 100 ether, "the requester's is untouched");
        // His own allowance serves, and the failed permit is no obstacle.
        vm.prank(requester);
        escrow.lockWithPermit(request, FEE, address(0), "", clock, 27, "", "");
        assertEq(token.balanceOf(address(escrow)), FEE, "held");
        // Another's permit is used up by nobody: the permit is always the caller's.
        vm.prank(STRANGER);
        open.approve(address(escrow), 0);
        request = _request(2);
        (uint8 v, bytes32 r, bytes32 s) = _permit(open, REQUESTER_KEY, FEE);
        signature = _signed(request);
        vm.prank(STRANGER);
        (ok,) = address(escrow)
            .call(abi.encodeCall(InferenceEscrow.lockWithPermit, (request, FEE, address(0), signature, clock, v, r, s)));
        assertTrue(!ok, "another's permit");
        // Gas token does not get in this way.
        cheats.deal(address(this), 1 ether);
        (ok,) = address(escrow).call{value: 1}(
            abi.encodeCall(InferenceEscrow.lockWithPermit, (request, FEE, address(0), signature, clock, v, r, s))
        );
        assertTrue(!ok, "not payable");
    }

    /// Gas token by force and tokens by mistake change no account.
    function test_forcedMoney() public {
        InferenceRequest memory request = _request(1);
        request.token = address(0);
        _lock(request);
        cheats.deal(address(this), 5 ether);
        new Bomber{value: 5 ether}(address(escrow));
        open.transfer(address(escrow), 3 ether);
        assertEq(address(escrow).balance, FEE + 5 ether, "forced");
        request.salt = 2;
        _lock(request);
        request.token = address(open);
        _lock(request);
        request = _request(1);
        request.token = address(0);
        _settle(request, prover);
        vm.prank(prover);
        assertEq(escrow.withdraw(address(0), prover), 6 ether, "no more than owed");
        assertEq(address(escrow).balance, 2 * uint256(FEE) + 5 ether - 6 ether, "the rest");
    }
}

