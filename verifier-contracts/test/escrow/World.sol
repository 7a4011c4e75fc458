// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point, R} from "../../src/Bn254.sol";
import {CommitmentRegistry} from "../../src/CommitmentRegistry.sol";
import {DataContract} from "../../src/DataContract.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, RequestTerms} from "../../src/InferenceRequest.sol";
import {Testing} from "../Testing.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Bounds, Permit, Split, Terms} from "../../src/ModelTerms.sol";
import {OpenToken} from "../../src/OpenToken.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {FAMILY_ENCODER, TAG_ADAPTER, TAG_BASE} from "../../src/Records.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Request, Settlement} from "../../src/Settlement.sol";
import {KEY_OCCUPIED, KEY_OUTPUT_KIND} from "../../src/SettlementKey.sol";
import {PrepaidEscrow} from "../../src/PrepaidEscrow.sol";
import {ProverStakes} from "../../src/ProverStakes.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";
import {Fixture} from "../Fixture.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {MockVerifier, TestRanges} from "./Mocks.sol";

/// All contracts with a mock in the verifier's place, a base and adapters published, and actors with money.
abstract contract World is Fixture {
    uint256 internal constant REQUESTER_KEY = 0xa11ce;
    uint256 internal constant PROVER_KEY = 0xb0b;
    address internal constant GOVERNANCE = address(0x60e);
    address internal constant TREASURY = address(0x7ea);
    address internal constant BASE_OWNER = address(0xba5e);
    address internal constant BASE_POT = address(0xba50);
    address internal constant ADAPTER_OWNER = address(0xada);
    address internal constant ADAPTER_POT = address(0xad0);
    address internal constant RELAYER = address(0x4e1);
    address internal constant STRANGER = address(0x57a);
    uint96 internal constant FEE = 10 ether;
    /// Routes that are enabled at first, by their ordinals: embedding 0, classifying 1.
    uint256 internal constant ROUTES = 3;
    address internal constant GUARDIAN = address(0x6a4d);

    OpenToken internal open;
    ModelRegistry internal models;
    TestRanges internal ranges;
    VerifierRouter internal router;
    InferenceEscrow internal escrow;
    ProverStakes internal stakes;
    /// Of the tests that ask for it.
    PrepaidEscrow internal prepaid;
    MockVerifier internal mock;
    address internal requester;
    address internal prover;
    /// Routes.
    bytes32 internal embed;
    bytes32 internal classify;
    mapping(bytes32 route => bytes32) internal circuitOf;
    uint256 internal architecture;
    uint256 internal base;
    uint24 internal baseLine;
    uint256[] internal adapters;
    uint24[] internal adapterLines;
    // The compiler takes block and time for constants of a transaction.
    uint256 internal height = 100;
    uint256 internal clock = 1_800_000_000;

    function _world() internal {
        vm.pauseGasMetering();
        cheats.roll(height);
        cheats.warp(clock);
        requester = cheats.addr(REQUESTER_KEY);
        prover = cheats.addr(PROVER_KEY);
        // By artifact: a test that contained all contracts' code would not fit into a transaction.
        open = OpenToken(cheats.deployCode("OpenToken.sol:OpenToken", abi.encode(address(this))));
        registry = CommitmentRegistry(cheats.deployCode("CommitmentRegistry.sol:CommitmentRegistry"));
        ranges = new TestRanges();
        models = ModelRegistry(
            cheats.deployCode(
                "ModelRegistry.sol:ModelRegistry",
                abi.encode(
                    GOVERNANCE,
                    registry,
                    open,
                    ranges,
                    TREASURY,
                    uint64(1),
                    Bounds({minProver: 5_000, minBaseOwner: 0, maxContributors: 3_000}),
                    [uint256(3 ether), 2 ether, 1 ether]
                )
            )
        );
        router =
            VerifierRouter(
                cheats.deployCode("VerifierRouter.sol:VerifierRouter", abi.encode(GOVERNANCE, GUARDIAN, open))
            );
        escrow = InferenceEscrow(
            cheats.deployCode("InferenceEscrow.sol:InferenceEscrow", abi.encode(GOVERNANCE, router, models))
        );
        stakes = escrow.stakes();
        mock = new MockVerifier();
        embed = _addRoute(OUTPUT_EMBED, 1);
        classify = _addRoute(OUTPUT_CLASSIFY, 1);
        escrow.enableRoute(embed);
        escrow.enableRoute(classify);
        address[8] memory actors =
            [requester, prover, BASE_OWNER, ADAPTER_OWNER, RELAYER, STRANGER, GOVERNANCE, TREASURY];
        for (uint256 i = 0; i < actors.length; ++i) {
            open.transfer(actors[i], 1_000_000 ether);
            cheats.deal(actors[i], 1_000_000 ether);
            vm.prank(actors[i]);
            open.approve(address(escrow), type(uint256).max);
            vm.prank(actors[i]);
            open.approve(address(models), type(uint256).max);
            vm.prank(actors[i]);
            open.approve(address(stakes), type(uint256).max);
        }
        string memory json = _read("settlement-classify-1");
        (architecture,) = _publishArchitecture(json, BASE_OWNER);
        (base, baseLine) = _publishBase(BASE_OWNER, BASE_POT, 1, _split(7_000, 2_500, 0, 500), 0);
        (uint256 adapter, uint24 line) =
            _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 1, _split(6_000, 2_000, 1_000, 1_000), 0);
        adapters.push(adapter);
        adapterLines.push(line);
        vm.resumeGasMetering();
    }

    /// The second escrow, with the same routes by the same ordinals.
    function _deployPrepaid() internal {
        prepaid = PrepaidEscrow(
            cheats.deployCode("PrepaidEscrow.sol:PrepaidEscrow", abi.encode(GOVERNANCE, router, models))
        );
        prepaid.enableRoute(embed);
        prepaid.enableRoute(classify);
        address[5] memory actors = [requester, prover, RELAYER, STRANGER, GOVERNANCE];
        for (uint256 i = 0; i < actors.length; ++i) {
            vm.prank(actors[i]);
            open.approve(address(prepaid), type(uint256).max);
        }
    }

    /// OPEN of the prover's own, put up.
    function _stake(address by, uint256 amount) internal {
        vm.prank(by);
        stakes.deposit(by, amount);
    }

    function _accept(InferenceRequest memory request, address by) internal {
        vm.prank(by);
        escrow.accept(request);
    }

    // Routes

    function _key(uint256 kind, uint256 salt) internal returns (bytes32 circuit, address key) {
        bytes memory content = new bytes(KEY_OCCUPIED);
        assembly ("memory-safe") {
            mstore(add(add(content, 0x20), KEY_OUTPUT_KIND), kind)
            mstore(add(content, 0x20), salt)
        }
        circuit = keccak256(content);
        key = DataContract.store(content);
    }

    /// Of a circuit of its own, with the present mock. It counts at once in the router's first hour.
    function _addRoute(uint256 kind, uint256 salt) internal returns (bytes32 route) {
        (bytes32 circuit, address key) = _key(kind, salt);
        return _addRoute(circuit, key, 5_000_000);
    }

    function _addRoute(bytes32 circuit, address key, uint32 gasCap) internal returns (bytes32 route) {
        address owner = router.owner();
        vm.prank(owner);
        route = router.add(circuit, address(mock), key, gasCap);
        circuitOf[route] = circuit;
    }

    function _freeze(bytes32 route) internal {
        vm.prank(GOVERNANCE);
        router.freeze(route);
    }

    function _pause(bytes32 route, uint40 duration) internal {
        bytes32[] memory paused = new bytes32[](1);
        paused[0] = route;
        vm.prank(GUARDIAN);
        router.pause(paused, duration);
    }

    // Publishing

    function _split(uint16 p, uint16 a, uint16 b, uint16 c) internal pure returns (Split memory) {
        return Split({prover: p, adapterOwner: a, baseOwner: b, contributors: c});
    }

    function _terms(address pot, Split memory split, uint24 line) internal pure returns (Terms memory) {
        return Terms({
            line: line,
            pot: pot,
            split: split,
            maxFee: 3 ether,
            uri: "ipfs://model",
            licence: "Apache-2.0",
            salt: "salt"
        });
    }

    function _noPermit() internal pure returns (Permit memory) {}

    function _reserve(uint256 id, address publisher) internal {
        vm.prank(publisher);
        models.reserve(keccak256(abi.encode(id, publisher, bytes32("salt"))));
        cheats.warp(++clock);
    }

    function _tau(string memory json) internal pure returns (uint256[4] memory) {
        uint256[] memory tau = vm.parseJsonUintArray(json, ".tauG2");
        return [tau[0], tau[1], tau[2], tau[3]];
    }

    function _publishArchitecture(string memory json, address owner) internal returns (uint256 id, uint24 line) {
        id = vm.parseJsonUint(json, ".architecture");
        _reserve(id, owner);
        vm.prank(owner);
        uint256 got;
        (got, line) = models.publishArchitecture(
            FAMILY_ENCODER,
            vm.parseJsonBytes(json, ".encoding"),
            uint32(vm.parseJsonUint(json, ".logTile")),
            vm.parseJsonUint(json, ".srs"),
            _tau(json),
            _points(vm.parseJsonUintArray(json, ".tables")),
            _terms(owner, _split(0, 0, 0, 0), 0),
            _noPermit()
        );
        assertEq(got, id, "architecture id");
    }

    function _tiles(uint256 count) internal pure returns (Point[] memory tiles) {
        tiles = new Point[](count);
        for (uint256 i = 0; i < count; ++i) {
            tiles[i] = Point(1, 2);
        }
    }

    function _baseId(uint256 scales) internal view returns (uint256) {
        return _recordId(TAG_BASE, architecture, scales, 1);
    }

    function _adapterId(uint256 base_, uint256 count) internal pure returns (uint256) {
        return _recordId(TAG_ADAPTER, base_, 0, count);
    }

    /// Id of a record whose points are all the generator.
    function _recordId(bytes32 tag, uint256 parent, uint256 second, uint256 count) private pure returns (uint256 id) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, tag)
            // Family and number of points, in the highest five bytes.
            mstore(add(start, 32), or(shl(248, FAMILY_ENCODER), shl(216, count)))
            mstore(add(start, 37), parent)
            mstore(add(start, 69), second)
            let end := add(start, 101)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                mstore(end, 1)
                mstore(add(end, 32), 2)
                end := add(end, 64)
            }
            id := mod(keccak256(start, sub(end, start)), R)
        }
    }

    function _publishBase(address owner, address pot, uint256 scales, Split memory split, uint24 continued)
        internal
        returns (uint256 id, uint24 line)
    {
        _reserve(_baseId(scales), owner);
        vm.prank(owner);
        return models.publishBase(architecture, _tiles(1), scales, _terms(pot, split, continued), _noPermit());
    }

    function _publishAdapter(address owner, address pot, uint256 count, Split memory split, uint24 continued)
        internal
        returns (uint256 id, uint24 line)
    {
        _reserve(_adapterId(base, count), owner);
        vm.prank(owner);
        return models.publishAdapter(base, 0, _tiles(count), _terms(pot, split, continued), _noPermit());
    }

    // Requests

    function _request(uint256 salt) internal view returns (InferenceRequest memory) {
        return InferenceRequest({
            requester: requester,
            base: base,
            adapter: adapters[0],
            inputDigest: uint256(keccak256(abi.encode(salt))) % R,
            kind: OUTPUT_CLASSIFY,
            routes: ROUTES,
            maxFee: FEE,
            minFee: FEE,
            rampStart: 0,
            rampTime: 0,
            token: address(open),
            deadline: uint64(clock + 1 days),
            prover: address(0),
            acceptTime: 0,
            stake: 0,
            consumer: address(0),
            consumerGas: 0,
            salt: salt
        });
    }

    function _sign(uint256 key, uint256 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(key, bytes32(digest));
        return abi.encodePacked(r, s, v);
    }

    function _signed(InferenceRequest memory request) internal view returns (bytes memory) {
        return _sign(REQUESTER_KEY, escrow.requestId(request));
    }

    /// A permit for the escrow until now.
    function _permit(OpenToken token, uint256 key, uint256 amount)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        address holder = cheats.addr(key);
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                holder,
                address(escrow),
                amount,
                token.nonces(holder),
                clock
            )
        );
        return cheats.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
    }

    // Attribution

    /// Registers the datanet of `datanet.json`, an adapter that names it and its index, and publishes both.
    function _publishAttributed(uint256 count, Split memory split) internal returns (uint256 adapter, uint256 index) {
        (adapter, index) = _registerIndex(count);
        ranges.set(index, true);
        _reserve(adapter, ADAPTER_OWNER);
        vm.prank(ADAPTER_OWNER);
        models.publishAdapter(base, index, _tiles(count), _terms(ADAPTER_POT, split, 0), _noPermit());
    }

    /// An adapter of so many tiles that names the datanet, and an index of it.
    function _registerIndex(uint256 count) internal returns (uint256 adapter, uint256 index) {
        uint256 version = _registerDatanet();
        adapter = registry.registerAdapter(base, version, _tiles(count));
        index = registry.registerIndex(adapter, 11, _tiles(count));
    }

    /// Locks as the requester.
    function _lock(InferenceRequest memory request, uint96 fee) internal returns (uint256 id) {
        uint256 value = request.token == address(0) ? fee : 0;
        vm.prank(request.requester);
        return escrow.lock{value: value}(request, fee, address(0), "");
    }

    function _lock(InferenceRequest memory request) internal returns (uint256 id) {
        return _lock(request, uint96(request.maxFee));
    }

    // Settlements

    function _one(InferenceRequest memory request) internal pure returns (InferenceRequest[] memory requests) {
        requests = new InferenceRequest[](1);
        requests[0] = request;
    }

    function _terms(InferenceRequest[] memory requests) internal pure returns (RequestTerms[] memory) {
        return Testing.terms(requests);
    }

    /// A settlement of the requests at their locked or maximal fees; label and digest are functions of the index.
    function _settlement(InferenceRequest[] memory requests, address payee)
        internal
        view
        returns (Settlement memory settlement)
    {
        settlement.payee = payee;
        settlement.base = requests[0].base;
        settlement.requests = new Request[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            uint256 id = escrow.requestId(requests[i]);
            uint256 fee = escrow.lockOf(id).fee;
            settlement.requests[i] = Request({
                id: id,
                fee: fee == 0 ? requests[i].maxFee : fee,
                adapter: requests[i].adapter,
                inputDigest: requests[i].inputDigest,
                label: requests[i].kind == OUTPUT_CLASSIFY ? i + 3 : 0,
                outputDigest: uint256(keccak256(abi.encode(id))) % R
            });
        }
    }

    function _route(InferenceRequest[] memory requests) internal view returns (bytes32) {
        return requests[0].kind == OUTPUT_CLASSIFY ? classify : embed;
    }

    function _proven(bytes32 route, Settlement memory settlement) internal {
        mock.prove(circuitOf[route], address(escrow), settlement);
    }

    function _prove(InferenceRequest[] memory requests, address payee) internal returns (Settlement memory settlement) {
        settlement = _settlement(requests, payee);
        _proven(_route(requests), settlement);
    }

    /// Proves and settles.
    function _settle(InferenceRequest[] memory requests, address payee) internal {
        Settlement memory settlement = _prove(requests, payee);
        escrow.settle(_route(requests), settlement, _terms(requests), 0);
    }

    function _settle(InferenceRequest memory request, address payee) internal {
        _settle(_one(request), payee);
    }

    // What is seen

    function _status(uint256 id) internal view returns (Status status) {
        (status,,,) = escrow.resultOf(id);
    }

    function _assertStatus(uint256 id, Status expected, string memory what) internal view {
        assertEq(uint256(_status(id)), uint256(expected), what);
    }

    function _lineOwed(address token, uint24 line) internal view returns (uint256 owner, uint256 contributors) {
        return escrow.lineBalances(token, line);
    }

    function _escrowBalance(address token) internal view returns (uint256) {
        return token == address(0) ? address(escrow).balance : _balanceOf(token, address(escrow));
    }

    function _balanceOf(address token, address account) internal view returns (uint256) {
        (bool ok, bytes memory balance) = token.staticcall(abi.encodeCall(open.balanceOf, (account)));
        assertTrue(ok, "balanceOf");
        return abi.decode(balance, (uint256));
    }

    function _advance(uint256 seconds_) internal {
        clock += seconds_;
        cheats.warp(clock);
    }
}
