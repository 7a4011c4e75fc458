// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What a requester signs (EIP-712). The request id is the digest of it under the escrow's domain, so chain and escrow
/// are part of it.
struct InferenceRequest {
    address requester;
    /// A published base version's id.
    uint256 base;
    /// A published adapter version's id; zero for none.
    uint256 adapter;
    /// Poseidon digest of salt, length and token ids.
    uint256 inputDigest;
    /// 1 classify, 2 embed; 0 is withdrawn and refused (OutputKind.sol).
    uint8 kind;
    /// Most that may be locked, in the token's smallest unit.
    uint256 maxFee;
    /// Zero for the chain's gas token.
    address token;
    /// Last second in which the request can be settled, Unix time.
    uint64 deadline;
    /// The only one who may accept and be paid; zero for anyone.
    address prover;
    /// Is called with the result; zero for none.
    address consumer;
    /// Gas for that call.
    uint32 consumerGas;
    /// Makes equal requests different.
    uint256 salt;
}

/// The terms of an {InferenceRequest} that a settlement does not say: with the proven base, adapter, input digest and kind
/// of output they are the request.
struct RequestTerms {
    address requester;
    uint256 maxFee;
    address token;
    uint64 deadline;
    address prover;
    address consumer;
    uint32 consumerGas;
    uint256 salt;
}

bytes32 constant REQUEST_TYPE_HASH = keccak256(
    "InferenceRequest(address requester,uint256 base,uint256 adapter,uint256 inputDigest,uint8 kind,uint256 maxFee,address token,uint64 deadline,address prover,address consumer,uint32 consumerGas,uint256 salt)"
);

// A prover's refusal to serve a request it was named in or has accepted. The reason is for the requester to read:
// 0 unstated, 1 text out of range, 2 text and input digest differ, 3 no capacity.
bytes32 constant REFUSAL_TYPE_HASH = keccak256("Refusal(uint256 requestId,uint8 reason)");

/// hashStruct of both types.
library RequestHash {
    function hash(InferenceRequest calldata request) internal pure returns (bytes32) {
        return keccak256(abi.encode(REQUEST_TYPE_HASH, request));
    }

    /// hashStruct of the request with these terms and what was proven.
    function hashProven(RequestTerms calldata terms, uint256 base, uint256 adapter, uint256 inputDigest, uint256 kind)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                REQUEST_TYPE_HASH,
                terms.requester,
                base,
                adapter,
                inputDigest,
                kind,
                terms.maxFee,
                terms.token,
                terms.deadline,
                terms.prover,
                terms.consumer,
                terms.consumerGas,
                terms.salt
            )
        );
    }

    function hashRefusal(uint256 requestId, uint8 reason) internal pure returns (bytes32) {
        return keccak256(abi.encode(REFUSAL_TYPE_HASH, requestId, reason));
    }
}
