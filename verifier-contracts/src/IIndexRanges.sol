// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Which indexes have been proven to hold cells in range. An index without such a proof pays nobody: its rows could be made to
/// win chosen questions.
interface IIndexRanges {
    function ranged(uint256 index) external view returns (bool);
}
