// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceRequest, RequestTerms} from "../src/InferenceRequest.sol";

library Testing {
    /// Gas of a call as the deployed contract uses it: the data is not copied first, as Solidity does at the price of the test's
    /// own memory.
    function measured(address to, bytes memory data) internal returns (bool ok, bytes memory result, uint256 used) {
        assembly ("memory-safe") {
            used := gas()
            ok := call(gas(), to, 0, add(data, 0x20), mload(data), 0, 0)
            used := sub(used, gas())
            result := mload(0x40)
            mstore(result, returndatasize())
            returndatacopy(add(result, 0x20), 0, returndatasize())
            mstore(0x40, and(add(add(result, returndatasize()), 0x3f), not(0x1f)))
        }
    }

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
