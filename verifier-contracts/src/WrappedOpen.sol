// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Open} from "./Open.sol";

/// OPEN as a token, on a chain whose gas token is OPEN: minted one to one for deposited gas token, and redeemed one to one.
/// It takes {OpenToken}'s place there for publishing fees, stakes and votes. Nobody owns it.
///
/// Whoever burns wrapped OPEN gives the right to its backing up: the backing stays here for ever, as does gas token that is
/// forced in, and no account on the chain can have it. So burning wrapped OPEN takes OPEN out of use, though the chain still
/// counts it in this contract's balance; {outOfUse} says how much.
contract WrappedOpen is Open {
    event Deposited(address indexed from, address indexed to, uint256 amount);
    event Withdrawn(address indexed from, address indexed to, uint256 amount);

    /// The zero address or this contract.
    error RecipientInvalid(address to);
    /// The receiver does not take the gas token.
    error TransferFailed(address to, uint256 amount);

    constructor() Open("Wrapped Open", "WOPEN") {}

    /// Gas token that is sent without a call is deposited for the sender.
    receive() external payable {
        _deposit(msg.sender);
    }

    function deposit() external payable {
        _deposit(msg.sender);
    }

    /// The sender pays, `account` has the tokens.
    function depositFor(address account) external payable {
        _deposit(account);
    }

    function withdraw(uint256 amount) external {
        _withdraw(msg.sender, amount);
    }

    /// The sender's tokens end, `to` has the gas token.
    function withdrawTo(address to, uint256 amount) external {
        _withdraw(to, amount);
    }

    /// Gas token that nothing here gives a right to: what was burnt, and what was forced in.
    function outOfUse() external view returns (uint256) {
        return address(this).balance - totalSupply();
    }

    function _deposit(address account) private {
        _mint(account, msg.value);
        emit Deposited(msg.sender, account, msg.value);
    }

    /// The tokens end before the gas token leaves: who calls back finds nothing to take twice.
    function _withdraw(address to, uint256 amount) private {
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
        _burn(msg.sender, amount);
        emit Withdrawn(msg.sender, to, amount);
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!ok) revert TransferFailed(to, amount);
    }

    /// What were sent to this contract nobody could send on.
    function _update(address from, address to, uint256 amount) internal override {
        if (to == address(this)) revert ERC20InvalidReceiver(to);
        super._update(from, to, amount);
    }
}
