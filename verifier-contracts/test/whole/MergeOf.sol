// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Point, R} from "../../src/Bn254.sol";
import {CommitmentRegistry} from "../../src/CommitmentRegistry.sol";
import {GroupClaim} from "../../src/GroupClaim.sol";
import {Halo2Verifier} from "../../src/Halo2Verifier.sol";

/// The factor r' by which a group claim is merged with halo2's equation: were anything of either equation chosen after it, two
/// false equations could cancel.
contract MergeOfTest is GroupClaim {
    constructor() GroupClaim(CommitmentRegistry(address(0)), Halo2Verifier(address(0))) {}

    function test_theFactorDependsOnEverything() public pure {
        uint256[] memory words = new uint256[](3);
        uint256[5] memory halo2 = [uint256(3), 4, 5, 6, 7];
        Point memory wPrime = Point(1, 2);
        uint256 factor = _factorOf("circuit", wPrime, words, halo2);
        require(factor > 1 && factor < R, "a scalar");
        require(_factorOf("circuit", wPrime, words, halo2) == factor, "the same again");
        require(_factorOf("another", wPrime, words, halo2) != factor, "circuit");
        require(_factorOf("circuit", Point(2, 2), words, halo2) != factor, "W', x");
        require(_factorOf("circuit", Point(1, 1), words, halo2) != factor, "W', y");
        for (uint256 i = 0; i < 5; ++i) {
            ++halo2[i];
            require(_factorOf("circuit", wPrime, words, halo2) != factor, "an accumulator");
            --halo2[i];
        }
        for (uint256 i = 0; i < 3; ++i) {
            ++words[i];
            require(_factorOf("circuit", wPrime, words, halo2) != factor, "a public word");
            --words[i];
        }
        require(_factorOf("circuit", wPrime, new uint256[](4), halo2) != factor, "their number");
    }

    function _factorOf(bytes32 circuit, Point memory wPrime, uint256[] memory words, uint256[5] memory halo2)
        private
        pure
        returns (uint256)
    {
        Claim memory claim;
        // No witness: W' is the last of the opening's eight points.
        claim.points = _allocate(8 * 64);
        _store(claim.points + 7 * 64, wPrime.x);
        _store(claim.points + 7 * 64 + 32, wPrime.y);
        return _merge(claim, circuit, words, halo2);
    }
}
