// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IInferenceConsumer} from "../IInferenceConsumer.sol";
import {InferenceEscrow} from "../InferenceEscrow.sol";
import {InferenceRequest} from "../InferenceRequest.sol";
import {OUTPUT_CLASSIFY} from "../OutputKind.sol";
import {ProverStakes} from "../ProverStakes.sol";

/// Example of a contract that asks for a classification, pays for it in the chain's gas token and keeps the label.
///
/// It is its own requester, so it needs no signature, and it acts on answers to its own requests only. It treats a question
/// that nobody answers as unanswered: a contract whose money depends on the label must take that for the worst label, since a
/// prover sees the label before it decides to deliver.
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

    /// @param question the terms; requester, kind, fee, token and consumer are the contract's. Name a prover, or an
    /// `acceptTime`: an open request can be accepted by anybody, and is then held until the acceptance ends.
    function ask(InferenceRequest memory question) external payable returns (uint256 id) {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        question.requester = address(this);
        question.kind = OUTPUT_CLASSIFY;
        question.maxFee = msg.value;
        question.token = address(0);
        question.consumer = address(this);
        question.consumerGas = CONSUMER_GAS;
        id = escrow.requestId(question);
        answers[id].asked = true;
        emit Asked(id);
        escrow.lock{value: msg.value}(question, uint96(msg.value), address(0), "");
    }

    /// Takes a question back that no prover has accepted, or that the one that did has not answered in time; {withdraw}
    /// fetches the money.
    function cancel(InferenceRequest calldata question) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        escrow.cancel(question);
    }

    /// @inheritdoc IInferenceConsumer
    function onInference(uint256 requestId, uint256 label, uint256) external override {
        if (msg.sender != address(escrow)) revert NotEscrow(msg.sender);
        Answer storage answer = answers[requestId];
        if (!answer.asked) revert NotAsked(requestId);
        (answer.known, answer.label) = (true, label);
        emit Answered(requestId, label);
    }

    /// Fetches what provers lost to this contract for not answering, in OPEN.
    function withdrawStakes() external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        ProverStakes stakes = escrow.stakes();
        stakes.withdraw(owner, stakes.free(address(this)));
    }

    /// Fetches refunds of unanswered questions.
    function withdraw() external returns (uint256 amount) {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        return escrow.withdraw(address(0), owner);
    }
}
