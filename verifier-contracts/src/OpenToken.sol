// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Open} from "./Open.sol";

/// OPEN on a chain with a gas token of its own: a fixed supply that can only shrink. Nobody owns it, nobody can mint.
contract OpenToken is Open {
    /// One thousand million OPEN, in its smallest unit (18 decimals).
    uint256 public constant SUPPLY = 1e9 * 1e18;

    /// @param holder receives the whole supply.
    constructor(address holder) Open("Open", "OPEN") {
        _mint(holder, SUPPLY);
    }
}
