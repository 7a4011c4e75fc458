// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest, RequestTerms} from "../../src/InferenceRequest.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Request} from "../../src/Settlement.sol";
import {VerifierRouter} from "../../src/VerifierRouter.sol";

/// The escrow with the ids of the vectors: theirs were chosen before there was an escrow, so they are not EIP-712 digests.
/// A request's salt says which.
contract VectorEscrow is InferenceEscrow {
    constructor(VerifierRouter router_, ModelRegistry models_) InferenceEscrow(address(1), router_, models_) {}

    function requestId(InferenceRequest calldata request) public pure override returns (uint256) {
        return request.salt;
    }

    function _provenId(Batch memory, RequestTerms calldata request, Request calldata)
        internal
        pure
        override
        returns (uint256)
    {
        return request.salt;
    }
}
