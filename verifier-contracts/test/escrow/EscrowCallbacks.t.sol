// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {OUTPUT_CLASSIFY} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {SettlementPayments, Skip} from "../../src/SettlementPayments.sol";
import {vm} from "../Vm.sol";
import {Cheats, cheats} from "../Cheats.sol";
import {World} from "./World.sol";

/// Calls the sender's hook before, and the receiver's after, as ERC-777 does; balanceOf as told.
contract HookedToken is ERC20 {
    mapping(address => address) public hooks;
    uint256 public balanceMode;

    constructor() ERC20("Hooked", "HKD") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function register(address hook) external {
        hooks[msg.sender] = hook;
    }

    function setBalanceMode(uint256 mode) external {
        balanceMode = mode;
    }

    function balanceOf(address account) public view override returns (uint256) {
        if (balanceMode == 1) revert("paused");
        if (balanceMode == 2) {
            assembly {
                invalid()
            }
        }
        if (balanceMode == 3) return type(uint256).max;
        return super.balanceOf(account);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (hooks[from] != address(0)) Hook(payable(hooks[from])).hook();
        super._update(from, to, amount);
        if (hooks[to] != address(0)) Hook(payable(hooks[to])).hook();
    }
}

/// Tries each of the calls when it is called, and remembers what it saw.
contract Hook {
    InferenceEscrow public immutable escrow;
    bytes[] public calls;
    uint256 public succeeded;
    uint256 public tried;
    uint256 public id;
    Status public seen;
    uint256 public seenFee;
    uint256 public seenBalance;
    address public token;
    address public account;

    constructor(InferenceEscrow escrow_) {
        escrow = escrow_;
    }

    function add(bytes calldata call_) external {
        calls.push(call_);
    }

    function watch(uint256 id_, address token_, address account_) external {
        (id, token, account) = (id_, token_, account_);
    }

    function hook() public {
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok,) = address(escrow).call(calls[i]);
            ++tried;
            if (ok) ++succeeded;
        }
        Lock memory locked = escrow.lockOf(id);
        (seen, seenFee) = (locked.status, locked.fee);
        seenBalance = escrow.balances(token, account);
    }

    function onInference(uint256, uint256, uint256) external {
        hook();
    }

    receive() external payable {
        hook();
    }

    function act(bytes calldata call_) external payable {
        (bool ok,) = address(escrow).call{value: msg.value}(call_);
        require(ok, "act");
    }
}

/// Callbacks of tokens, receivers and consumers; what can be read meanwhile; tokens that fail at the worst moment.
contract EscrowCallbacksTest is World {
    HookedToken private token;
    Hook private hook;

    function setUp() public {
        _world();
        token = new HookedToken();
        vm.prank(GOVERNANCE);
        escrow.setToken(address(token), true);
        hook = new Hook(escrow);
        token.mint(address(hook), 100 ether);
        token.mint(requester, 100 ether);
        vm.prank(requester);
        token.approve(address(escrow), type(uint256).max);
        vm.prank(address(hook));
        token.approve(address(escrow), type(uint256).max);
    }

    /// Everything that a callback could want to do.
    function _armed(address withdrawn) private returns (uint256 count) {
        InferenceRequest memory other = _request(77);
        other.requester = address(hook);
        other.token = address(token);
        vm.prank(address(hook));
        escrow.lock(other, FEE, address(0), "");
        InferenceRequest memory fresh = _request(78);
        fresh.requester = address(hook);
        fresh.token = address(token);
        Settlement memory s = _prove(_one(other), address(hook));
        hook.add(abi.encodeCall(InferenceEscrow.lock, (fresh, FEE, address(0), "")));
        hook.add(abi.encodeCall(InferenceEscrow.lockWithPermit, (fresh, FEE, address(0), "", 0, 0, 0, 0)));
        hook.add(abi.encodeCall(InferenceEscrow.accept, (other)));
        hook.add(abi.encodeCall(InferenceEscrow.cancel, (other)));
        hook.add(abi.encodeCall(InferenceEscrow.refuse, (other, 0, 0, "")));
        hook.add(abi.encodeCall(InferenceEscrow.settle, (classify, s, _terms(_one(other)), 0)));
        hook.add(abi.encodeCall(escrow.withdraw, (withdrawn, address(hook))));
        hook.add(abi.encodeCall(escrow.withdrawLine, (adapterLines[0], withdrawn, address(hook))));
        hook.add(abi.encodeCall(escrow.withdrawPot, (adapterLines[0], withdrawn, address(hook))));
        return 9;
    }

    /// ERC-777's hook of the sender while locking: nothing can be called; the lock reads as locked already.
    function test_senderHookWhileLocking() public {
        uint256 count = _armed(address(token));
        vm.prank(address(hook));
        token.register(address(hook));
        InferenceRequest memory request = _request(1);
        request.token = address(token);
        request.requester = address(hook);
        uint256 id = escrow.requestId(request);
        hook.watch(id, address(token), address(hook));
        vm.prank(address(hook));
        escrow.lock(request, FEE, address(0), "");
        assertEq(hook.tried(), count, "tried");
        assertEq(hook.succeeded(), 0, "nothing worked");
        assertTrue(hook.seen() == Status.Locked && hook.seenFee() == FEE, "reads as it will be");
    }

    /// The receiver's hook while withdrawing: the account is empty already.
    function test_receiverHookWhileWithdrawing() public {
        InferenceRequest[2] memory requests = [_request(1), _request(2)];
        requests[0].token = address(token);
        requests[1].token = address(0);
        for (uint256 i = 0; i < 2; ++i) {
            _lock(requests[i]);
            _settle(requests[i], address(hook));
        }
        uint256 count = _armed(address(token));
        vm.prank(address(hook));
        token.register(address(hook));
        hook.watch(escrow.requestId(requests[0]), address(token), address(hook));
        hook.act(abi.encodeCall(escrow.withdraw, (address(token), address(hook))));
        assertEq(hook.tried(), count, "tried");
        assertEq(hook.seenBalance(), 0, "empty");
        hook.watch(escrow.requestId(requests[1]), address(0), address(hook));
        hook.act(abi.encodeCall(escrow.withdraw, (address(0), address(hook))));
        assertEq(hook.tried(), 2 * count, "tried");
        assertEq(hook.seenBalance(), 0, "empty");
        assertEq(hook.succeeded(), 0, "nothing worked");
        assertEq(address(hook).balance, 6 ether, "paid once");
    }

    /// The first consumer of a batch: all of the batch is settled and credited, nothing can be called.
    function test_consumerInTheMiddleOfABatch() public {
        uint256 count = _armed(address(token));
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            if (i == 2) requests[i].token = address(0);
            _lock(requests[i]);
        }
        // The one with the callback comes first.
        InferenceRequest memory first = _request(9);
        (first.consumer, first.consumerGas) = (address(hook), 500_000);
        _lock(first);
        requests[1] = requests[0];
        requests[0] = first;
        hook.watch(escrow.requestId(requests[2]), address(0), prover);
        _settle(requests, prover);
        assertEq(hook.tried(), count, "tried");
        assertEq(hook.succeeded(), 0, "nothing worked");
        assertTrue(hook.seen() == Status.Settled, "the last one is settled");
        assertEq(hook.seenBalance(), 6 ether, "and credited");
    }

    /// The token is paused, or its balanceOf fails, burns or lies: no lock; what is locked ends; other tokens go on.
    function test_balanceOfFails() public {
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            if (i != 1) requests[i].token = address(token);
            _lock(requests[i]);
        }
        for (uint256 mode = 1; mode < 4; ++mode) {
            token.setBalanceMode(mode);
            InferenceRequest memory request = _request(10 + mode);
            request.token = address(token);
            vm.prank(requester);
            (bool ok,) =
                address(escrow).call{gas: 3_000_000}(abi.encodeCall(InferenceEscrow.lock, (request, FEE, address(0), "")));
            assertTrue(!ok, "refused");
            _assertStatus(escrow.requestId(request), Status.None, "nothing");
        }
        vm.prank(requester);
        escrow.cancel(requests[2]);
        requests[2] = _request(2);
        _lock(requests[2]);
        _settle(requests, prover);
        assertEq(escrow.balances(address(open), prover), 12 ether, "others");
        // Withdrawals do not ask for balances.
        vm.prank(prover);
        escrow.withdraw(address(token), prover);
        vm.prank(requester);
        escrow.withdraw(address(token), requester);
    }

    /// Between settlement and withdrawal lines and pots pass on, versions are retired: each share is its present holder's, once.
    function test_linesPassOn() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        request.salt = 2;
        _lock(request);
        uint24 line = adapterLines[0];
        _settle(request, prover);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, STRANGER);
        vm.prank(ADAPTER_OWNER);
        assertEq(escrow.withdrawLine(line, address(open), ADAPTER_OWNER), 2 ether, "withdrawn under an offer");
        vm.prank(ADAPTER_OWNER);
        models.retire(adapters[0]);
        vm.prank(STRANGER);
        models.acceptLine(line, 3);
        vm.prank(ADAPTER_POT);
        models.setPot(line, STRANGER);
        vm.prank(STRANGER);
        models.setPot(line, RELAYER);
        request.salt = 1;
        _settle(request, prover);
        address[2] memory former = [ADAPTER_OWNER, ADAPTER_POT];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(former[i]);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotLineOwner.selector, line, former[i]));
            escrow.withdrawLine(line, address(open), former[i]);
            vm.prank(former[i]);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotPot.selector, line, former[i]));
            escrow.withdrawPot(line, address(open), former[i]);
        }
        vm.prank(STRANGER);
        assertEq(escrow.withdrawLine(line, address(open), STRANGER), 2 ether, "the second request's");
        vm.prank(RELAYER);
        assertEq(escrow.withdrawPot(line, address(open), RELAYER), 2 ether, "both");
        // The new owner offers it back; the former offer is no way in twice.
        vm.prank(STRANGER);
        models.offerLine(line, ADAPTER_OWNER);
        vm.prank(ADAPTER_OWNER);
        models.acceptLine(line, 5);
        vm.prank(STRANGER);
        vm.expectRevert();
        models.acceptLine(line, 6);
    }

    /// The second of the deadline and the next, for every function.
    function test_everyFunctionAtTheDeadline() public {
        InferenceRequest[6] memory requests;
        for (uint256 i = 0; i < 6; ++i) {
            requests[i] = _request(i);
            if (i > 2) requests[i].prover = prover;
            _lock(requests[i]);
        }
        _advance(1 days);
        vm.prank(prover);
        escrow.accept(requests[0]);
        vm.prank(requester);
        escrow.cancel(requests[1]);
        vm.prank(prover);
        escrow.refuse(requests[3], 0, 0, "");
        _advance(1);
        // Late: cancel and the named prover's refusal still give the payer the money back; accept and settle are over, and
        // so is the acceptance of who was not named.
        vm.prank(requester);
        escrow.cancel(requests[2]);
        vm.prank(prover);
        escrow.refuse(requests[5], 0, 0, "");
        vm.prank(prover);
        (bool late,) = address(escrow).call(abi.encodeCall(InferenceEscrow.refuse, (requests[0], 0, 0, "")));
        assertTrue(!late, "late refusal");
        escrow.refund(requests[0]);
        vm.prank(prover);
        (bool ok,) = address(escrow).call(abi.encodeCall(InferenceEscrow.accept, (requests[4])));
        assertTrue(!ok, "late accept");
        Settlement memory s = _prove(_one(requests[4]), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.TooFewPayable.selector, 0, 0));
        escrow.settle(classify, s, _terms(_one(requests[4])), 0);
        escrow.refund(requests[4]);
        assertEq(escrow.balances(address(open), requester), 6 * uint256(FEE), "all back, each once");
    }

    /// A route that one request of a batch does not name takes nothing from it: the batch is refused as a whole, and a named
    /// route settles the request.
    function test_routeThatOneDoesNotName() public {
        bytes32 third = _addRoute(OUTPUT_CLASSIFY, 3);
        escrow.enableRoute(third);
        InferenceRequest[] memory requests = new InferenceRequest[](3);
        for (uint256 i = 0; i < 3; ++i) {
            requests[i] = _request(i);
            if (i != 1) requests[i].routes = 7;
            _lock(requests[i]);
        }
        vm.prank(prover);
        escrow.accept(requests[1]);
        uint256 id = escrow.requestId(requests[1]);
        Settlement memory s = _settlement(requests, prover);
        _proven(third, s);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, ROUTES, 2));
        escrow.settle(third, s, _terms(requests), 0);
        _assertStatus(id, Status.Accepted, "untouched");
        InferenceRequest[] memory others = new InferenceRequest[](2);
        (others[0], others[1]) = (requests[0], requests[2]);
        s = _settlement(others, prover);
        _proven(third, s);
        escrow.settle(third, s, _terms(others), 2);
        assertEq(escrow.balances(address(open), prover), 12 ether, "the others are paid");
        _settle(requests[1], prover);
        assertEq(escrow.balances(address(open), prover), 18 ether, "by a route that it names");
    }
}
