// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {DataContract} from "./DataContract.sol";
import {ISettlementVerifier, Request, Settlement} from "./Settlement.sol";

/// Which verifier checks a circuit. A circuit may have several routes, one per verifier: if a verifier is found broken its
/// route is frozen and the circuit goes on by another. A route is added once and never changed; it can be paused for a
/// while, and frozen for good. It holds for the code that the verifier had: an address can be given other code, by
/// CREATE2 or EIP-7702.
///
/// A consumer calls {check} from the contract that acts on the answer: the proof is bound to its address.
contract VerifierRouter is Ownable2Step {
    using SafeERC20 for IERC20;

    struct Route {
        address verifier;
        /// Most gas that a check may use.
        uint32 gasCap;
        /// First second in which it checks anything.
        uint40 activeFrom;
        bool frozen;
        address key;
        /// The last pause: from its first second to the one after its last.
        uint40 pausedFrom;
        uint40 pausedUntil;
        /// Keccak-256 of the key's content.
        bytes32 circuit;
        /// Of the verifier's code when the route was added.
        bytes32 codehash;
        /// Seconds of all pauses before the last.
        uint64 pausedBefore;
    }

    event RouteAdded(
        bytes32 indexed route,
        bytes32 indexed circuit,
        address verifier,
        address key,
        uint32 gasCap,
        uint40 activeFrom
    );
    event RoutePaused(bytes32 indexed route, uint40 until);
    event RouteResumed(bytes32 indexed route, address by);
    event RouteFrozen(bytes32 indexed route, bytes32 indexed circuit, address by);
    /// Two accepted settlements contradict each other in these requests.
    event Contradiction(bytes32 indexed route, uint256 indexed base, uint256 adapter, uint256 inputDigest);
    event GuardianChanged(address indexed guardian);
    event BountyChanged(uint256 amount);
    event BountyPaid(bytes32 indexed circuit, address indexed to, uint256 amount);

    error RouteExists(bytes32 route);
    error UnknownRoute(bytes32 route);
    error Frozen(bytes32 route);
    error Paused(bytes32 route, uint40 until);
    error NotActive(bytes32 route, uint40 activeFrom);
    error NotPaused(bytes32 route);
    error NotContract(address verifier);
    /// The code of the verifier is another one than when the route was added, or gone.
    error VerifierChanged(address verifier);
    error GasCap(uint32 gasCap);
    /// The code at `key` is not the circuit's key.
    error KeyDigest(bytes32 circuit, address key);
    error NotGuardian(address caller);
    /// A pause takes between one second and {MAX_PAUSE}.
    error PauseInvalid(uint40 most, uint40 got);
    /// A route is paused once per {PAUSE_INTERVAL}.
    error PausedLately(bytes32 route, uint40 earliest);
    error NoContradiction();
    error NoRenouncing();

    /// No check is given more: what a transaction may use (EIP-7825).
    uint32 public constant MAX_GAS_CAP = 16_777_216;
    /// From adding a route to its first check: whoever trusts the router can leave before.
    uint40 public constant ROUTE_DELAY = 7 days;
    /// A route that is added so soon after the router's deployment counts at once: nobody trusts it yet.
    uint40 public constant BOOTSTRAP = 1 hours;
    uint40 public constant MAX_PAUSE = 7 days;
    /// From the beginning of a pause to the earliest beginning of the route's next one.
    uint40 public constant PAUSE_INTERVAL = 30 days;

    /// OPEN: bounties are paid in what this contract holds of it.
    IERC20 public immutable open;
    uint40 private immutable _bootstrapEnd;

    mapping(bytes32 route => Route) public routes;
    mapping(bytes32 circuit => bytes32[]) private _routesOf;
    /// May pause, nothing else.
    address public guardian;
    /// When a route was last paused or frozen. Who took something on before may be late because of that; who took it on
    /// since knew of it.
    uint40 public lastStop;
    /// For the first contradiction of a circuit, in OPEN's smallest unit.
    uint256 public bounty;
    mapping(bytes32 circuit => bool) public bountyPaid;

    constructor(address owner_, address guardian_, IERC20 open_) Ownable(owner_) {
        open = open_;
        _bootstrapEnd = uint40(block.timestamp) + BOOTSTRAP;
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    // Governance

    /// Without an owner no circuit could be repaired.
    function renounceOwnership() public pure override {
        revert NoRenouncing();
    }

    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// @param amount in OPEN's smallest unit; paid from what this contract holds, as far as that goes.
    function setBounty(uint256 amount) external onlyOwner {
        bounty = amount;
        emit BountyChanged(amount);
    }

    /// Takes back what was put here for bounties.
    function withdrawBounty(address to, uint256 amount) external onlyOwner {
        open.safeTransfer(to, amount);
    }

    /// A route counts {ROUTE_DELAY} after it was added. The same verifier, code and cap cannot be added twice for a circuit.
    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content.
    function add(bytes32 circuit, address verifier, address key, uint32 gasCap)
        external
        onlyOwner
        returns (bytes32 route)
    {
        if (verifier.code.length == 0) revert NotContract(verifier);
        if (gasCap == 0 || gasCap > MAX_GAS_CAP) revert GasCap(gasCap);
        bytes32 codehash = verifier.codehash;
        route = routeId(circuit, verifier, codehash, gasCap);
        if (routes[route].verifier != address(0)) revert RouteExists(route);
        _requireKey(circuit, key);
        uint40 activeFrom = uint40(block.timestamp);
        if (activeFrom >= _bootstrapEnd) activeFrom += ROUTE_DELAY;
        Route storage added = routes[route];
        added.verifier = verifier;
        added.gasCap = gasCap;
        added.activeFrom = activeFrom;
        added.key = key;
        added.circuit = circuit;
        added.codehash = codehash;
        _routesOf[circuit].push(route);
        emit RouteAdded(route, circuit, verifier, key, gasCap, activeFrom);
    }

    /// Ends a route for good.
    function freeze(bytes32 route) external onlyOwner {
        _freeze(route);
    }

    function _requireKey(bytes32 circuit, address key) private view {
        bytes memory content = new bytes(DataContract.size(key));
        uint256 start;
        assembly ("memory-safe") {
            start := add(content, 0x20)
        }
        DataContract.read(key, start, content.length);
        if (keccak256(content) != circuit) revert KeyDigest(circuit, key);
    }

    // Pauses

    /// The guardian stops routes for at most {MAX_PAUSE}: long enough for governance to freeze them or to add others.
    function pause(bytes32[] calldata paused, uint40 duration) external {
        if (msg.sender != guardian) revert NotGuardian(msg.sender);
        if (duration == 0 || duration > MAX_PAUSE) revert PauseInvalid(MAX_PAUSE, duration);
        uint40 present = uint40(block.timestamp);
        uint40 until = present + duration;
        for (uint256 i = 0; i < paused.length; ++i) {
            Route storage route = _known(paused[i]);
            if (route.frozen) revert Frozen(paused[i]);
            uint40 from = route.pausedFrom;
            if (from != 0 && present < from + PAUSE_INTERVAL) revert PausedLately(paused[i], from + PAUSE_INTERVAL);
            route.pausedBefore += route.pausedUntil - from;
            (route.pausedFrom, route.pausedUntil) = (present, until);
            emit RoutePaused(paused[i], until);
        }
        if (paused.length != 0) lastStop = present;
    }

    /// Guardian or owner end a pause early.
    function resume(bytes32 route) external {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        Route storage paused = _known(route);
        if (block.timestamp >= paused.pausedUntil) revert NotPaused(route);
        paused.pausedUntil = uint40(block.timestamp);
        emit RouteResumed(route, msg.sender);
    }

    /// Seconds for which the route has been paused in all, the present pause included: clocks that stand still during a
    /// pause go by this.
    function pausedTotal(bytes32 route) external view returns (uint256) {
        Route storage paused = _known(route);
        uint256 end = block.timestamp < paused.pausedUntil ? block.timestamp : paused.pausedUntil;
        return paused.pausedBefore + end - paused.pausedFrom;
    }

    // Contradictions

    /// Ends a route for good on the evidence of two accepted settlements with equal base, adapter and input digest but
    /// different outputs, or, attributed by one index, different shares: one of them is false, for whoever it was made. By
    /// another index shares are others. Anyone may show them, also while the route is paused or does not count yet.
    ///
    /// The first contradiction of a circuit earns the bounty if both settlements have the same payee, who is bound in both
    /// proofs: who copies them earns it for their maker.
    function freezeByContradiction(
        bytes32 route,
        address consumerA,
        Settlement calldata a,
        uint256 indexA,
        address consumerB,
        Settlement calldata b,
        uint256 indexB
    ) external {
        Request calldata left = a.requests[indexA];
        Request calldata right = b.requests[indexB];
        bool sameQuestion = a.base == b.base && left.adapter == right.adapter && left.inputDigest == right.inputDigest;
        bool sameAnswer = left.label == right.label && left.outputDigest == right.outputDigest;
        if (sameAnswer && a.index != 0 && a.index == b.index) {
            for (uint256 i = 0; i < 4; ++i) {
                sameAnswer = sameAnswer && a.shares[4 * indexA + i] == b.shares[4 * indexB + i];
            }
        }
        if (!sameQuestion || sameAnswer) revert NoContradiction();
        Route storage frozen = _known(route);
        _verify(route, frozen, consumerA, a);
        _verify(route, frozen, consumerB, b);
        emit Contradiction(route, a.base, left.adapter, left.inputDigest);
        _freeze(route);
        if (a.payee == b.payee) _payBounty(frozen.circuit, a.payee);
    }

    function _payBounty(bytes32 circuit, address to) private {
        uint256 amount = bounty;
        // Nothing here may keep a route from being frozen.
        if (amount == 0 || bountyPaid[circuit] || to == address(0) || address(open).code.length == 0) return;
        uint256 held = open.balanceOf(address(this));
        if (amount > held) amount = held;
        if (amount == 0) return;
        bountyPaid[circuit] = true;
        emit BountyPaid(circuit, to, amount);
        open.safeTransfer(to, amount);
    }

    // Checking

    /// Returns if the settlement is proven for the calling contract on this chain, reverts if not.
    function check(bytes32 route, Settlement calldata settlement) external view {
        checkFor(route, msg.sender, settlement);
    }

    /// {check} for another consumer: to look, not to act on.
    function checkFor(bytes32 route, address consumer, Settlement calldata settlement) public view {
        Route storage checked = _known(route);
        if (block.timestamp < checked.activeFrom) revert NotActive(route, checked.activeFrom);
        if (block.timestamp < checked.pausedUntil) revert Paused(route, checked.pausedUntil);
        _verify(route, checked, consumer, settlement);
    }

    function _verify(bytes32 route, Route storage checked, address consumer, Settlement calldata settlement)
        private
        view
    {
        if (checked.frozen) revert Frozen(route);
        address verifier = checked.verifier;
        if (verifier.codehash != checked.codehash) revert VerifierChanged(verifier);
        ISettlementVerifier(verifier).check{gas: checked.gasCap}(checked.circuit, checked.key, consumer, settlement);
    }

    function _freeze(bytes32 route) private {
        Route storage frozen = _known(route);
        if (frozen.frozen) revert Frozen(route);
        frozen.frozen = true;
        lastStop = uint40(block.timestamp);
        emit RouteFrozen(route, frozen.circuit, msg.sender);
    }

    function _known(bytes32 route) private view returns (Route storage known) {
        known = routes[route];
        if (known.verifier == address(0)) revert UnknownRoute(route);
    }

    // Views

    /// A route's id says what it trusts: circuit, verifier, the verifier's code and the gas cap.
    function routeId(bytes32 circuit, address verifier, bytes32 codehash, uint32 gasCap)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(circuit, verifier, codehash, gasCap));
    }

    /// All routes of a circuit, in the order in which they were added.
    function routesOf(bytes32 circuit) external view returns (bytes32[] memory) {
        return _routesOf[circuit];
    }

    /// The route checks settlements now.
    function isLive(bytes32 route) external view returns (bool) {
        Route storage live = routes[route];
        return live.verifier != address(0) && !live.frozen && block.timestamp >= live.activeFrom
            && block.timestamp >= live.pausedUntil;
    }

    /// Circuit and key of a route that counts: not frozen, and its delay is over. Reverts for others.
    function servedKey(bytes32 route) external view returns (bytes32 circuit, address key) {
        Route storage served = _known(route);
        if (served.frozen) revert Frozen(route);
        if (block.timestamp < served.activeFrom) revert NotActive(route, served.activeFrom);
        return (served.circuit, served.key);
    }

    /// Frozen for good; false for what is not known.
    function isFrozen(bytes32 route) external view returns (bool) {
        return routes[route].frozen;
    }
}
