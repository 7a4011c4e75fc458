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
    /// Which of the escrow's routes may settle it: bit i stands for the route of ordinal i.
    uint256 routes;
    /// Most that may be paid, in the token's smallest unit.
    uint256 maxFee;
    /// The price before `rampStart`; with `maxFee` a constant price.
    uint256 minFee;
    /// Unix second from which the price rises, in `rampTime` seconds, from `minFee` to `maxFee`.
    uint64 rampStart;
    uint32 rampTime;
    /// Zero for the chain's gas token.
    address token;
    /// Last second in which the request can be settled, Unix time.
    uint64 deadline;
    /// The only one who may accept and be paid; zero for anyone.
    address prover;
    /// Seconds for which an acceptance holds; zero for until the deadline.
    uint32 acceptTime;
    /// What a prover puts up when it accepts, in OPEN's smallest unit. With a stake the acceptance shuts others out while it
    /// holds.
    uint96 stake;
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
    uint256 routes;
    uint256 maxFee;
    uint256 minFee;
    uint64 rampStart;
    uint32 rampTime;
    address token;
    uint64 deadline;
    address prover;
    uint32 acceptTime;
    uint96 stake;
    address consumer;
    uint32 consumerGas;
    uint256 salt;
}

bytes32 constant REQUEST_TYPE_HASH = keccak256(
    "InferenceRequest(address requester,uint256 base,uint256 adapter,uint256 inputDigest,uint8 kind,uint256 routes,uint256 maxFee,uint256 minFee,uint64 rampStart,uint32 rampTime,address token,uint64 deadline,address prover,uint32 acceptTime,uint96 stake,address consumer,uint32 consumerGas,uint256 salt)"
);

// A prover's refusal to serve a request it was named in or has accepted, good until `expires` (Unix time, inclusive). The
// reason is for the requester to read: 0 unstated, 1 text out of range, 2 text and input digest differ, 3 no capacity.
bytes32 constant REFUSAL_TYPE_HASH =
    keccak256("Refusal(uint256 requestId,address prover,uint8 reason,uint64 expires)");

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
        InferenceRequest memory request;
        request.requester = terms.requester;
        request.base = base;
        request.adapter = adapter;
        request.inputDigest = inputDigest;
        request.kind = uint8(kind);
        request.routes = terms.routes;
        request.maxFee = terms.maxFee;
        request.minFee = terms.minFee;
        request.rampStart = terms.rampStart;
        request.rampTime = terms.rampTime;
        request.token = terms.token;
        request.deadline = terms.deadline;
        request.prover = terms.prover;
        request.acceptTime = terms.acceptTime;
        request.stake = terms.stake;
        request.consumer = terms.consumer;
        request.consumerGas = terms.consumerGas;
        request.salt = terms.salt;
        return keccak256(abi.encode(REQUEST_TYPE_HASH, request));
    }

    function hashRefusal(uint256 requestId, address prover, uint8 reason, uint64 expires)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(REFUSAL_TYPE_HASH, requestId, prover, reason, expires));
    }
}

/// The price of a request over time.
library RequestPrice {
    /// @param minFee at most maxFee.
    function at(uint256 maxFee, uint256 minFee, uint64 rampStart, uint32 rampTime, uint256 time)
        internal
        pure
        returns (uint256)
    {
        if (time >= uint256(rampStart) + rampTime) return maxFee;
        if (time <= rampStart) return minFee;
        // Fees are below 2^96.
        return minFee + (maxFee - minFee) * (time - rampStart) / rampTime;
    }
}
