// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {DataContract} from "./DataContract.sol";
import {ISettlementVerifier, Request, Settlement} from "./Settlement.sol";

/// Which verifier and key serve a circuit. A route is added once and never changed; it can be frozen, for good. It holds
/// for the code that the verifier had: an address can be given other code, by CREATE2 or EIP-7702.
///
/// A consumer calls {check} from the contract that acts on the answer: the proof is bound to its address.
contract VerifierRouter is Ownable2Step {
    struct Route {
        address verifier;
        /// Most gas that a check may use.
        uint64 gasCap;
        bool frozen;
        address key;
        /// Of the verifier's code when the route was added.
        bytes32 codehash;
    }

    event RouteAdded(bytes32 indexed circuit, address verifier, address key, uint64 gasCap);
    event RouteFrozen(bytes32 indexed circuit, address by);
    /// Two accepted settlements contradict each other in these requests.
    event Contradiction(bytes32 indexed circuit, uint256 indexed base, uint256 adapter, uint256 inputDigest);
    event GuardianChanged(address indexed guardian);

    error RouteExists(bytes32 circuit);
    error UnknownCircuit(bytes32 circuit);
    error Frozen(bytes32 circuit);
    error NotContract(address verifier);
    /// The code of the verifier is another one than when the route was added, or gone.
    error VerifierChanged(address verifier);
    error GasCap(uint64 gasCap);
    /// The code at `key` is not the circuit's key.
    error KeyDigest(bytes32 circuit, address key);
    error NotGuardian(address caller);
    error NoContradiction();

    /// No check is given more: what a transaction may use (EIP-7825).
    uint64 public constant MAX_GAS_CAP = 16_777_216;

    mapping(bytes32 circuit => Route) public routes;
    /// May freeze, nothing else.
    address public guardian;

    constructor(address owner_, address guardian_) Ownable(owner_) {
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianChanged(guardian_);
    }

    /// @param circuit Keccak-256 of the key's content.
    /// @param key data contract with the content.
    function add(bytes32 circuit, address verifier, address key, uint64 gasCap) external onlyOwner {
        if (routes[circuit].verifier != address(0)) revert RouteExists(circuit);
        if (verifier.code.length == 0) revert NotContract(verifier);
        if (gasCap == 0 || gasCap > MAX_GAS_CAP) revert GasCap(gasCap);
        bytes memory content = new bytes(DataContract.size(key));
        uint256 start;
        assembly ("memory-safe") {
            start := add(content, 0x20)
        }
        DataContract.read(key, start, content.length);
        if (keccak256(content) != circuit) revert KeyDigest(circuit, key);
        routes[circuit] =
            Route({verifier: verifier, gasCap: gasCap, frozen: false, key: key, codehash: verifier.codehash});
        emit RouteAdded(circuit, verifier, key, gasCap);
    }

    /// Ends a circuit for good.
    function freeze(bytes32 circuit) external {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        _freeze(circuit);
    }

    /// Ends a circuit for good on the evidence of two accepted settlements with equal base, adapter and input digest but
    /// different outputs: one of them is false, for whoever it was made. Anyone may show them.
    function freezeByContradiction(
        bytes32 circuit,
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
        if (!sameQuestion || sameAnswer) revert NoContradiction();
        checkFor(circuit, consumerA, a);
        checkFor(circuit, consumerB, b);
        emit Contradiction(circuit, a.base, left.adapter, left.inputDigest);
        _freeze(circuit);
    }

    /// Returns if the settlement is proven for the calling contract on this chain, reverts if not.
    function check(bytes32 circuit, Settlement calldata settlement) external view {
        checkFor(circuit, msg.sender, settlement);
    }

    /// {check} for another consumer: to look, not to act on.
    function checkFor(bytes32 circuit, address consumer, Settlement calldata settlement) public view {
        Route storage route = routes[circuit];
        address verifier = route.verifier;
        if (verifier == address(0)) revert UnknownCircuit(circuit);
        if (route.frozen) revert Frozen(circuit);
        if (verifier.codehash != route.codehash) revert VerifierChanged(verifier);
        ISettlementVerifier(verifier).check{gas: route.gasCap}(circuit, route.key, consumer, settlement);
    }

    function _freeze(bytes32 circuit) private {
        Route storage route = routes[circuit];
        if (route.verifier == address(0)) revert UnknownCircuit(circuit);
        if (route.frozen) revert Frozen(circuit);
        route.frozen = true;
        emit RouteFrozen(circuit, msg.sender);
    }
}
