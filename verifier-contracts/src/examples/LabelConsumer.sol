// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IInferenceConsumer} from "../IInferenceConsumer.sol";
import {InferenceEscrow} from "../InferenceEscrow.sol";
import {InferenceRequest} from "../InferenceRequest.sol";
import {OUTPUT_CLASSIFY} from "../OutputKind.sol";

/// Example of a contract that asks for a classification, pays for it in the chain's gas token and keeps the label.
///
/// It is its own requester, so it needs no signature, and it acts on answers to its own requests only.
contract LabelConsumer is IInferenceConsumer {
    struct Answer {
        bool asked;
        bool known;
        uint256 label;
    }

    event Asked(uint256 indexed requestId);
    event Answered(uint256 indexed requestId, uint256 label);

    error NotEscrow(address caller);
    error NotAsked(uint256 requestId);
    error NotOwner(address caller);

    /// Gas for {onInference}.
    uint32 public constant CONSUMER_GAS = 100_000;

    InferenceEscrow public immutable escrow;
    address public immutable owner;
    mapping(uint256 requestId => Answer) public answers;

    constructor(InferenceEscrow escrow_) {
        escrow = escrow_;
        owner = msg.sender;
    }

    /// @param base published base version.
    /// @param adapter published adapter version.
    /// @param inputDigest digest of the text, which the prover has by another way.
    /// @param trusted how many of the escrow's circuits may answer: do not read it in the same transaction.
    /// @param deadline Unix seconds.
    /// @param salt makes equal questions different.
    function ask(uint256 base, uint256 adapter, uint256 inputDigest, uint16 trusted, uint64 deadline, uint256 salt)
        external
        payable
        returns (uint256 id)
    {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        InferenceRequest memory request = InferenceRequest({
            requester: address(this),
            base: base,
            adapter: adapter,
            inputDigest: inputDigest,
            kind: OUTPUT_CLASSIFY,
            maxFee: msg.value,
            token: address(0),
            deadline: deadline,
            prover: address(0),
            consumer: address(this),
            consumerGas: CONSUMER_GAS,
            salt: salt
        });
        id = escrow.requestId(request);
        answers[id].asked = true;
        emit Asked(id);
        escrow.lock{value: msg.value}(request, uint96(msg.value), trusted, "");
    }

    /// @inheritdoc IInferenceConsumer
    function onInference(uint256 requestId, uint256 label, uint256) external override {
        if (msg.sender != address(escrow)) revert NotEscrow(msg.sender);
        Answer storage answer = answers[requestId];
        if (!answer.asked) revert NotAsked(requestId);
        (answer.known, answer.label) = (true, label);
        emit Answered(requestId, label);
    }

    /// Fetches refunds of unanswered questions.
    function withdraw() external returns (uint256 amount) {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        return escrow.withdraw(address(0), owner);
    }
}
