// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// What a circuit computes and a request asks for, by the number in settlement keys and signed requests.
// 0 is withdrawn: it was the embedding whose settlements could be forged.
uint8 constant OUTPUT_CLASSIFY = 1;
uint8 constant OUTPUT_EMBED = 2;

/// Whether a number is that of a kind of output, and not withdrawn.
function isOutputKind(uint256 kind) pure returns (bool) {
    return kind == OUTPUT_CLASSIFY || kind == OUTPUT_EMBED;
}
