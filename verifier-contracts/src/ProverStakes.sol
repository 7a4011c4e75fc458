// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";

/// OPEN that provers put up for requests which demand a stake. The escrow that deployed it holds a part while the prover
/// has accepted a request, and gives it back or divides it: half is burnt, half goes to whom the prover's delay has cost.
///
/// Nobody else has a power here, and the escrow has none over what it does not hold.
contract ProverStakes {
    using SafeERC20 for IERC20;

    event Deposited(address indexed prover, address indexed by, uint256 amount);
    event Withdrawn(address indexed prover, address to, uint256 amount);
    event Held(address indexed prover, uint256 amount);
    event Released(address indexed prover, uint256 amount);
    event Forfeited(address indexed to, uint256 amount, uint256 burnt);

    error NotEscrow(address caller);
    error StakeTooSmall(address prover, uint256 free, uint256 demanded);
    error RecipientInvalid(address to);

    address public immutable escrow;
    IERC20 public immutable open;

    /// What a prover can withdraw, or put up for a request, in OPEN's smallest unit.
    mapping(address prover => uint256 amount) public free;
    /// Of all provers.
    uint256 public held;
    /// Lost stakes that nobody has burnt yet.
    uint256 public burnable;

    constructor(IERC20 open_) {
        escrow = msg.sender;
        open = open_;
    }

    modifier onlyEscrow() {
        if (msg.sender != escrow) revert NotEscrow(msg.sender);
        _;
    }

    /// Takes OPEN from the caller for a prover.
    function deposit(address prover, uint256 amount) external {
        free[prover] += amount;
        emit Deposited(prover, msg.sender, amount);
        open.safeTransferFrom(msg.sender, address(this), amount);
    }

    function withdraw(address to, uint256 amount) external {
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
        _take(msg.sender, amount);
        emit Withdrawn(msg.sender, to, amount);
        open.safeTransfer(to, amount);
    }

    /// Burns what was lost. Anyone may call it.
    function burn() external returns (uint256 amount) {
        amount = burnable;
        burnable = 0;
        ERC20Burnable(address(open)).burn(amount);
    }

    /// A prover accepts a request.
    function hold(address prover, uint256 amount) external onlyEscrow {
        _take(prover, amount);
        held += amount;
        emit Held(prover, amount);
    }

    /// The prover kept its word, or could not.
    function release(address prover, uint256 amount) external onlyEscrow {
        held -= amount;
        free[prover] += amount;
        emit Released(prover, amount);
    }

    /// The prover did not keep its word. Half, rounded up, is burnt: who accepts its own request has nothing from being late.
    function forfeit(address to, uint256 amount) external onlyEscrow {
        held -= amount;
        uint256 rest = amount / 2;
        free[to] += rest;
        burnable += amount - rest;
        emit Forfeited(to, rest, amount - rest);
    }

    function _take(address prover, uint256 amount) private {
        uint256 available = free[prover];
        if (amount > available) revert StakeTooSmall(prover, available, amount);
        free[prover] = available - amount;
    }
}
