// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ModelRegistry} from "./ModelRegistry.sol";

/// Money that an escrow owes, per token; whoever is owed withdraws it. The zero address stands for the chain's gas token.
///
/// Tokens do not mix: what one of them lies about its balances is lost to its own holders only.
abstract contract EscrowAccounts is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// One slot, both in the token's smallest unit.
    struct LineBalance {
        uint128 owner;
        uint128 contributors;
    }

    event Withdrawn(address indexed account, address indexed token, address to, uint256 amount);
    event LineWithdrawn(
        uint24 indexed line, address indexed token, address indexed owner, address to, uint256 amount
    );
    event PotWithdrawn(uint24 indexed line, address indexed token, address indexed pot, address to, uint256 amount);

    error NothingToWithdraw(address token);
    error NotLineOwner(uint24 line, address caller);
    error NotPot(uint24 line, address caller);
    /// The zero address or the escrow.
    error RecipientInvalid(address to);
    /// The gas token sent is not the fee of a request in it, or not zero for another.
    error ValueMismatch(uint256 expected, uint256 got);
    /// The escrow's balance did not grow by the fee.
    error DepositMismatch(address token, uint256 fee);
    error TransferFailed(address to, uint256 amount);

    /// The chain's gas token.
    address internal constant NATIVE = address(0);

    ModelRegistry public immutable models;
    address public immutable open;

    /// Owed to provers, and to payers of requests that were not served or cost less than was locked.
    mapping(address token => mapping(address account => uint256 amount)) public balances;
    /// Owed to lines' owners and contributors.
    mapping(address token => mapping(uint24 line => LineBalance)) public lineBalances;

    constructor(ModelRegistry models_) {
        models = models_;
        open = address(models_.open());
    }

    /// Pays out what the caller is owed.
    function withdraw(address token, address to) external nonReentrant returns (uint256 amount) {
        amount = balances[token][msg.sender];
        balances[token][msg.sender] = 0;
        emit Withdrawn(msg.sender, token, to, amount);
        _pay(token, to, amount);
    }

    /// Pays out what a line's owner is owed, to its present owner.
    function withdrawLine(uint24 line, address token, address to) external nonReentrant returns (uint256 amount) {
        if (models.ownerOf(line) != msg.sender) revert NotLineOwner(line, msg.sender);
        LineBalance storage balance = lineBalances[token][line];
        amount = balance.owner;
        balance.owner = 0;
        emit LineWithdrawn(line, token, msg.sender, to, amount);
        _pay(token, to, amount);
    }

    /// Pays out what a line's contributors are owed, to their pot.
    function withdrawPot(uint24 line, address token, address to) external nonReentrant returns (uint256 amount) {
        if (models.potOf(line) != msg.sender) revert NotPot(line, msg.sender);
        LineBalance storage balance = lineBalances[token][line];
        amount = balance.contributors;
        balance.contributors = 0;
        emit PotWithdrawn(line, token, msg.sender, to, amount);
        _pay(token, to, amount);
    }

    function _credit(address token, address account, uint256 amount) internal {
        balances[token][account] += amount;
    }

    function _creditLine(address token, uint24 line, uint256 owner, uint256 contributors) internal {
        if (owner | contributors == 0) return;
        // Terms are sums of a batch's fees, each below 2^96; the sums are checked. One load and one store.
        LineBalance memory balance = lineBalances[token][line];
        balance.owner += uint128(owner);
        balance.contributors += uint128(contributors);
        lineBalances[token][line] = balance;
    }

    /// Takes `fee` from the caller. A token that takes a part of a transfer for itself is refused.
    function _collect(address token, uint256 fee) internal {
        uint256 expected = token == NATIVE ? fee : 0;
        if (msg.value != expected) revert ValueMismatch(expected, msg.value);
        if (token == NATIVE) return;
        // OPEN is known to move what it says.
        if (token == open) return IERC20(token).safeTransferFrom(msg.sender, address(this), fee);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), fee);
        if (IERC20(token).balanceOf(address(this)) != before + fee) revert DepositMismatch(token, fee);
    }

    function _pay(address token, address to, uint256 amount) internal {
        if (amount == 0) revert NothingToWithdraw(token);
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
        if (token != NATIVE) return IERC20(token).safeTransfer(to, amount);
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!ok) revert TransferFailed(to, amount);
    }
}
