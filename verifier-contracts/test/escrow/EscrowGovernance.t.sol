// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DataContract} from "../../src/DataContract.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {ISettlementVerifier, Settlement} from "../../src/Settlement.sol";
import {KEY_OCCUPIED, KEY_OUTPUT_KIND} from "../../src/SettlementKey.sol";
import {SettlementPayments} from "../../src/SettlementPayments.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {PlainToken} from "./Mocks.sol";
import {World} from "./World.sol";

contract GullibleVerifier is ISettlementVerifier {
    function check(bytes32, address, address, Settlement calldata) external pure {}
}

contract StrictVerifier is ISettlementVerifier {
    function check(bytes32, address, address, Settlement calldata) external pure {
        revert("not proven");
    }
}

/// Same init code, any runtime code; wiped at the end of the creating transaction if the factory says so.
contract Chameleon {
    constructor() {
        Factory factory = Factory(msg.sender);
        bytes memory code = factory.runtime();
        if (factory.wipe()) {
            (bool ok,) = factory.bomb().delegatecall("");
            require(ok);
        }
        assembly {
            return(add(code, 0x20), mload(code))
        }
    }
}

contract Bomb {
    fallback() external {
        selfdestruct(payable(address(0xdead)));
    }
}

contract Factory {
    bytes public runtime;
    bool public wipe;
    address public bomb = address(new Bomb());

    function make(bytes calldata runtime_, bool wipe_) external returns (address) {
        (runtime, wipe) = (runtime_, wipe_);
        return address(new Chameleon{salt: 0}());
    }
}

/// The router's owner: makes the verifier, adds and enables the route in one transaction.
contract Governor {
    function add(
        Factory factory,
        bytes calldata runtime,
        VerifierRouter router,
        bytes32 circuit,
        address key,
        InferenceEscrow escrow
    ) external returns (address verifier, bytes32 route) {
        router.acceptOwnership();
        verifier = factory.make(runtime, true);
        route = router.add(circuit, verifier, key, 5_000_000);
        escrow.enableRoute(route);
    }
}

/// A verifier whose code is exchanged after the route was added: nothing is settled by it.
contract MutableVerifierTest is World {
    Factory private factory;
    address private chameleon;
    bytes32 private circuit;
    bytes32 private route;
    address private key;
    uint256 private constant DELEGATED_KEY = 0x7702;

    function setUp() public {
        _world();
        factory = new Factory();
        // One transaction of governance: the strict verifier is there while the router looks, and gone after it.
        Governor governor = new Governor();
        bytes memory content = new bytes(KEY_OCCUPIED);
        assembly {
            mstore(add(add(content, 0x20), KEY_OUTPUT_KIND), OUTPUT_CLASSIFY)
            mstore(add(content, 0x20), 99)
        }
        circuit = keccak256(content);
        key = DataContract.store(content);
        vm.prank(GOVERNANCE);
        router.transferOwnership(address(governor));
        (chameleon, route) = governor.add(factory, address(new StrictVerifier()).code, router, circuit, key, escrow);
    }

    function test_verifierThatComesBackWithOtherCode() public {
        assertEq(chameleon.code.length, 0, "gone after the transaction that added it");
        InferenceRequest memory request = _request(1);
        request.routes = 7;
        _lock(request);
        // Later: other code at the address of the route that is never changed.
        assertTrue(factory.make(address(new GullibleVerifier()).code, false) == chameleon, "the same address");
        Settlement memory theft = _settlement(_one(request), GOVERNANCE);
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.VerifierChanged.selector, chameleon));
        escrow.settle(route, theft, _terms(_one(request)), 0);
        _advance(1 days + 1);
        escrow.refund(request);
    }

    function test_delegatedAccountAsVerifier() public {
        address account = cheats.addr(DELEGATED_KEY);
        cheats.signAndAttachDelegation(address(new StrictVerifier()), DELEGATED_KEY);
        (bool ok,) = address(0x1111).call("");
        assertTrue(ok && account.code.length == 23, "delegated");
        bytes memory content = new bytes(KEY_OCCUPIED);
        assembly {
            mstore(add(add(content, 0x20), KEY_OUTPUT_KIND), OUTPUT_CLASSIFY)
            mstore(add(content, 0x20), 100)
        }
        bytes32 other = keccak256(content);
        address key_ = DataContract.store(content);
        address owner = router.owner();
        vm.prank(owner);
        bytes32 delegated = router.add(other, account, key_, 5_000_000);
        escrow.enableRoute(delegated);
        InferenceRequest memory request = _request(1);
        request.routes = 8;
        _lock(request);
        Settlement memory theft = _settlement(_one(request), GOVERNANCE);
        vm.expectRevert(bytes("not proven"));
        escrow.settle(delegated, theft, _terms(_one(request)), 0);
        cheats.signAndAttachDelegation(address(new GullibleVerifier()), DELEGATED_KEY);
        (ok,) = address(0x1111).call("");
        vm.expectRevert(abi.encodeWithSelector(VerifierRouter.VerifierChanged.selector, account));
        escrow.settle(delegated, theft, _terms(_one(request)), 0);
    }
}

/// Owner of the escrow to be, and consumer.
contract OwningConsumer {
    InferenceEscrow private immutable escrow;
    bytes32 private route;
    address private token;
    bool public enabled;
    bool public listed;

    constructor(InferenceEscrow escrow_) {
        escrow = escrow_;
    }

    function set(bytes32 route_, address token_) external {
        (route, token) = (route_, token_);
    }

    function onInference(uint256, uint256, uint256) external {
        try escrow.enableRoute(route) {
            enabled = true;
        } catch {}
        try escrow.acceptOwnership() {
            escrow.setToken(token, true);
            listed = true;
        } catch {}
    }
}

/// What owners and the chain itself can do while others act.
contract EscrowGovernanceTest is World {
    function setUp() public {
        _world();
    }

    /// A request says which routes may settle it; nobody can name one that the escrow does not know yet.
    function test_routesOfALock() public {
        InferenceRequest memory request = _request(1);
        uint256[5] memory never = [uint256(0), 4, 7, 1 << 240, type(uint256).max];
        for (uint256 i = 0; i < never.length; ++i) {
            request.routes = never[i];
            bytes memory reason = abi.encodeWithSelector(InferenceEscrow.RoutesInvalid.selector, 2, never[i]);
            bytes memory signature = _signed(request);
            vm.prank(requester);
            vm.expectRevert(reason);
            escrow.lock(request, FEE, address(0), "");
            vm.prank(RELAYER);
            vm.expectRevert(reason);
            escrow.lock(request, FEE, address(0), signature);
        }
        // Only a route of another kind: nothing could ever settle it.
        request.routes = 1;
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.NoLiveRoute.selector, 1));
        escrow.lock(request, FEE, address(0), "");
        // The requester trusts the later one of two verifiers of a circuit only, and the first cannot settle.
        (,,,, address key,,,,,) = router.routes(classify);
        bytes32 second = _addRoute(circuitOf[classify], key, 4_000_000);
        escrow.enableRoute(second);
        request.routes = 4;
        uint256 id = _lock(request);
        Settlement memory settlement = _prove(_one(request), prover);
        vm.expectRevert(abi.encodeWithSelector(SettlementPayments.RouteNotNamed.selector, id, 4, 1));
        escrow.settle(classify, settlement, _terms(_one(request)), 0);
        escrow.settle(second, settlement, _terms(_one(request)), 0);
        // Without any route nothing is locked.
        InferenceEscrow empty = InferenceEscrow(
            cheats.deployCode("InferenceEscrow.sol:InferenceEscrow", abi.encode(GOVERNANCE, router, models))
        );
        for (uint256 i = 0; i < 2; ++i) {
            request.routes = i;
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(InferenceEscrow.RoutesInvalid.selector, 0, i));
            empty.lock(request, FEE, address(0), "");
        }
    }

    /// During a consumer's call no route is enabled and no token allowed, whoever asks.
    function test_stateChangesDuringACallback() public {
        OwningConsumer consumer = new OwningConsumer(escrow);
        consumer.set(_addRoute(OUTPUT_CLASSIFY, 7), address(new PlainToken()));
        vm.prank(GOVERNANCE);
        escrow.transferOwnership(address(consumer));
        InferenceRequest memory request = _request(1);
        (request.consumer, request.consumerGas) = (address(consumer), 400_000);
        _lock(request);
        _settle(request, prover);
        assertTrue(!consumer.enabled() && escrow.liveRoutes() == ROUTES, "no route was enabled");
        assertTrue(!consumer.listed(), "no token was allowed");
        assertEq(escrow.balances(address(open), prover), 6 ether, "paid");
    }

    /// On a chain that changes its id nothing is locked or settled any more, and everything can be given back.
    function test_chainIdChange() public {
        InferenceRequest[3] memory requests = [_request(1), _request(2), _request(3)];
        for (uint256 i = 0; i < 3; ++i) {
            _lock(requests[i]);
        }
        Settlement memory settlement = _prove(_one(requests[0]), prover);
        InferenceRequest memory fresh = _request(4);
        bytes memory signature = _signed(fresh);
        vm.prank(prover);
        escrow.accept(requests[2]);
        cheats.chainId(12_345);
        bytes memory reason = abi.encodeWithSelector(SettlementPayments.OtherChain.selector, 31_337, 12_345);
        vm.expectRevert(reason);
        escrow.settle(classify, settlement, _terms(_one(requests[0])), 0);
        vm.prank(RELAYER);
        vm.expectRevert(reason);
        escrow.lock(fresh, FEE, address(0), signature);
        vm.prank(requester);
        escrow.cancel(requests[1]);
        vm.prank(prover);
        escrow.refuse(requests[2], 0, 0, "");
        _advance(2 days);
        escrow.refund(requests[0]);
        escrow.refund(requests[2]);
        vm.prank(requester);
        assertEq(escrow.withdraw(address(open), requester), 3 * uint256(FEE), "all back");
    }

    /// Governance raises the fee before a publication in flight: the publisher's maximum holds, whatever was approved.
    function test_feeRaisedBeforeAPublicationInFlight() public {
        _reserve(_adapterId(base, 2), STRANGER); // approved everything
        uint256 before = open.balanceOf(STRANGER);
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 100_000e18);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.DeploymentFeeAboveMaximum.selector, 3 ether, 100_000e18));
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _split(6_000, 2_000, 1_000, 1_000), 0), _noPermit());
        assertEq(open.balanceOf(STRANGER), before, "nothing is taken");
        vm.prank(GOVERNANCE);
        models.setDeploymentFee(Kind.Adapter, 3 ether);
        vm.prank(STRANGER);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _split(6_000, 2_000, 1_000, 1_000), 0), _noPermit());
        assertEq(open.balanceOf(STRANGER), before - 3 ether, "up to the maximum");
    }

    /// A base's owner stops all adapters on it; an architecture's owner stops nothing that is published.
    function test_retiredParents() public {
        InferenceRequest memory request = _request(1);
        _lock(request);
        vm.prank(BASE_OWNER);
        _advance(models.retire(base) - clock);
        request.deadline = uint64(clock + 1 days);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.Retired.selector, base));
        escrow.lock(request, FEE, address(0), "");
    }

    /// Whoever enables a waiting route does nothing to a relayed lock in flight: the requester signed which ones count.
    function test_enablingAgainstARelayedLock() public {
        bytes32[3] memory waiting = [_addRoute(OUTPUT_EMBED, 11), _addRoute(OUTPUT_EMBED, 12), _addRoute(OUTPUT_EMBED, 13)];
        InferenceRequest memory request = _request(1);
        bytes memory signature = _signed(request);
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(STRANGER);
            escrow.enableRoute(waiting[i]);
        }
        vm.prank(RELAYER);
        escrow.lock(request, FEE, address(0), signature);
        _settle(request, prover);
    }

    /// Counts stop instead of wrapping.
    function test_countsDoNotWrap() public {
        bytes memory panic = abi.encodeWithSignature("Panic(uint256)", 0x11);
        uint256 counts = uint256(type(uint24).max) | uint256(5) << 24 | uint256(uint160(TREASURY)) << 56;
        cheats.store(address(models), bytes32(uint256(9)), bytes32(counts));
        assertEq(models.lineCount(), type(uint24).max, "slot");
        assertTrue(models.treasury() == TREASURY && models.versionCount() == 5, "slot");
        _reserve(_adapterId(base, 2), STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(panic);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _split(6_000, 2_000, 1_000, 1_000), 0), _noPermit());
        // A line goes on.
        _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 3, _split(6_000, 2_000, 1_000, 1_000), adapterLines[0]);
        counts = uint256(7) | uint256(type(uint32).max) << 24 | uint256(uint160(TREASURY)) << 56;
        cheats.store(address(models), bytes32(uint256(9)), bytes32(counts));
        vm.prank(STRANGER);
        vm.expectRevert(panic);
        models.publishAdapter(base, 0, _tiles(2), _terms(STRANGER, _split(6_000, 2_000, 1_000, 1_000), 0), _noPermit());
    }

    /// Theoretical: a full account of a line refuses the whole batch, other tokens included.
    function test_fullModelBalance() public {
        InferenceRequest[] memory requests = new InferenceRequest[](2);
        (requests[0], requests[1]) = (_request(1), _request(2));
        requests[1].token = address(0);
        _lock(requests[0]);
        _lock(requests[1]);
        bytes32 slot = keccak256(abi.encode(adapterLines[0], keccak256(abi.encode(address(open), uint256(1)))));
        cheats.store(address(escrow), slot, bytes32(uint256(type(uint128).max)));
        (uint256 owner,) = _lineOwed(address(open), adapterLines[0]);
        assertEq(owner, type(uint128).max, "slot");
        Settlement memory settlement = _prove(requests, prover);
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 0x11));
        escrow.settle(classify, settlement, _terms(requests), 0);
        // No wrap: nothing is lost.
        _settle(requests[1], prover);
    }
}
