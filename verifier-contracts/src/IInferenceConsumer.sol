// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A contract that is told an inference's result.
interface IInferenceConsumer {
    /// Called once by the escrow after a request that names this contract is settled and paid, with the gas that the
    /// requester signed. Reverting changes nothing for the payment. The escrow's functions that change requests,
    /// money, circuits or tokens cannot be called from here; its results can be read.
    ///
    /// Anyone can settle at any moment, also from inside a call of this contract to somebody else: a guard of its own against
    /// reentrancy would make this call fail, and it is not repeated. {InferenceEscrow-resultOf} has the answer for good.
    ///
    /// Anyone can lock a request that names any consumer: look at the request id, not only at the caller.
    ///
    /// @param label zero for embeddings.
    /// @param outputDigest Poseidon digest of salt, length and output integers.
    function onInference(uint256 requestId, uint256 label, uint256 outputDigest) external;
}
