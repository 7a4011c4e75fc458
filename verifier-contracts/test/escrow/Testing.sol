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
                routes: request.routes,
                maxFee: request.maxFee,
                minFee: request.minFee,
                rampStart: request.rampStart,
                rampTime: request.rampTime,
                token: request.token,
                deadline: request.deadline,
                prover: request.prover,
                acceptTime: request.acceptTime,
                stake: request.stake,
                consumer: request.consumer,
                consumerGas: request.consumerGas,
                salt: request.salt
            });
        }
    }
}
