// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point} from "./Bn254.sol";

/// One request of a batch and its answer.
struct Request {
    /// Any word; strictly ascending within a batch.
    uint256 id;
    uint256 fee;
    /// A registered adapter's id; zero for none, which a circuit for classification refuses.
    uint256 adapter;
    /// Poseidon digest of salt, length and token ids.
    uint256 inputDigest;
    /// Zero for embeddings.
    uint256 label;
    /// Poseidon digest of salt, length and output integers.
    uint256 outputDigest;
}

/// Points of the polynomial opening (docs/protocol/mercury.md).
struct Opening {
    Point h;
    Point q;
    Point g;
    Point s;
    Point d;
    Point quot;
    Point w;
    Point wPrime;
}

/// A proof that a batch of inferences was computed as stated.
struct Settlement {
    /// Who is to be paid.
    address payee;
    /// The registered base's id.
    uint256 base;
    /// The index that answers are attributed by; zero under a circuit that attributes nothing.
    uint256 index;
    /// One to as many as the circuit has.
    Request[] requests;
    /// Four words of shares for each of the requests, in their order; empty under a circuit that attributes nothing.
    uint256[] shares;
    /// Commitments to the witness tiles, then to the mask tile.
    Point[] witness;
    Opening opening;
    /// Where tiles are combined, lowest bit of the tile index first.
    uint256[] rhoHigh;
    uint256 alpha;
    uint256 zeta;
    uint256 beta;
    uint256 z;
    uint256 constantTerm;
    /// The halo2 proof that the field part of the verifier accepts.
    bytes proof;
}

interface ISettlementVerifier {
    /// Returns if the settlement is proven for this consumer on this chain, reverts if not.
    function check(bytes32 circuit, address key, address consumer, Settlement calldata settlement) external view;
}
