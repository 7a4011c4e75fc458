// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceRequest, RequestTerms} from "../../src/InferenceRequest.sol";

library Testing {
    /// What a settler adds to a settlement of these requests.
    function terms(InferenceRequest[] memory requests) internal pure returns (RequestTerms[] memory all) {
        all = new RequestTerms[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            InferenceRequest memory request = requests[i];
            all[i] = RequestTerms({
                requester: request.requester,
                maxFee: request.maxFee,
                token: request.token,
                deadline: request.deadline,
                prover: request.prover,
                consumer: request.consumer,
                consumerGas: request.consumerGas,
                salt: request.salt
            });
        }
    }
}
