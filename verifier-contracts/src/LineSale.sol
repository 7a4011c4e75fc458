// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ModelRegistry} from "./ModelRegistry.sol";

/// Sells lines of {ModelRegistry}: the price and the line change hands in one transaction.
///
/// While a line is for sale this contract owns it. It has no function that retires, continues or withdraws, so nobody can
/// take anything from the line between a buyer's look and his payment; what it has earned and nobody has withdrawn goes with
/// it. The seller can have it back until it is sold. A buyer names the line's nonce: a line that its seller took back,
/// changed and offered anew has another one.
///
/// Nobody owns this contract, and it takes no fee. Sellers withdraw what they are owed. The zero address stands for the
/// chain's gas token. Tokens do not mix: what a token lies about its balances is lost to those who sold for it.
contract LineSale is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    struct Sale {
        /// Zero if the line is not for sale.
        address seller;
        /// In which the price is.
        address token;
        uint256 price;
    }

    event LineForSale(uint24 indexed line, address indexed seller, uint64 nonce, address token, uint256 price);
    event LineSold(
        uint24 indexed line, address indexed seller, address indexed buyer, address token, uint256 price, uint64 nonce
    );
    event LineTakenBack(uint24 indexed line, address indexed seller, uint64 nonce);
    event ProceedsWithdrawn(address indexed seller, address indexed token, address to, uint256 amount);

    error NotSeller(uint24 line, address caller);
    error PriceZero();
    error TokenNotContract(address token);
    error NotForSale(uint24 line);
    /// The line is not the one that the buyer has looked at.
    error OtherNonce(uint24 line, uint64 expected, uint64 got);
    /// The price is in another token than the buyer's.
    error OtherToken(uint24 line, address expected, address got);
    error PriceAboveMaximum(uint256 most, uint256 price);
    /// The gas token sent is not the price, or not zero where the price is in another token.
    error PaymentMismatch(uint256 expected, uint256 got);
    /// The balance did not grow by the price.
    error PaymentIncomplete(address token, uint256 price);
    error NothingToWithdraw(address token);
    /// The zero address or this contract.
    error RecipientInvalid(address to);
    error TransferFailed(address to, uint256 amount);

    /// The chain's gas token.
    address private constant NATIVE = address(0);

    ModelRegistry public immutable models;

    mapping(uint24 line => Sale) public sales;
    /// Owed to sellers, in the token's smallest unit.
    mapping(address token => mapping(address seller => uint256 amount)) public proceeds;

    constructor(ModelRegistry models_) {
        models = models_;
    }

    /// Takes a line that its owner, the caller, has offered to this contract, and puts it up for sale.
    /// @param nonce the line's, after the offer.
    /// @return forSale the line's nonce, which a buyer names.
    function sell(uint24 line, uint64 nonce, address token, uint256 price)
        external
        nonReentrant
        returns (uint64 forSale)
    {
        if (models.ownerOf(line) != msg.sender) revert NotSeller(line, msg.sender);
        if (price == 0) revert PriceZero();
        if (token != NATIVE && token.code.length == 0) revert TokenNotContract(token);
        sales[line] = Sale({seller: msg.sender, token: token, price: price});
        models.acceptLine(line, nonce);
        forSale = models.nonceOf(line);
        emit LineForSale(line, msg.sender, forSale, token, price);
    }

    /// Gives an unsold line back: its seller accepts it at the registry.
    /// @return nonce the line's, which the seller accepts it with.
    function unsell(uint24 line) external nonReentrant returns (uint64 nonce) {
        if (sales[line].seller != msg.sender) revert NotSeller(line, msg.sender);
        delete sales[line];
        models.offerLine(line, msg.sender);
        nonce = models.nonceOf(line);
        emit LineTakenBack(line, msg.sender, nonce);
    }

    /// Pays for a line: the price is owed to the seller, and the line is on offer to the caller, for good, who accepts it at
    /// the registry.
    /// @param nonce of the line that the buyer has looked at.
    /// @param token in which the buyer pays.
    /// @param most that he pays.
    /// @return offered the line's nonce, which the buyer accepts it with.
    function buy(uint24 line, uint64 nonce, address token, uint256 most)
        external
        payable
        nonReentrant
        returns (uint64 offered)
    {
        Sale memory sale = sales[line];
        if (sale.seller == address(0)) revert NotForSale(line);
        uint64 got = models.nonceOf(line);
        if (got != nonce) revert OtherNonce(line, nonce, got);
        if (sale.token != token) revert OtherToken(line, token, sale.token);
        if (sale.price > most) revert PriceAboveMaximum(most, sale.price);
        delete sales[line];
        proceeds[token][sale.seller] += sale.price;
        models.offerLine(line, msg.sender);
        offered = models.nonceOf(line);
        emit LineSold(line, sale.seller, msg.sender, token, sale.price, offered);
        _collect(token, sale.price);
    }

    /// Pays out what the caller is owed for lines that are sold.
    function withdraw(address token, address to) external nonReentrant returns (uint256 amount) {
        amount = proceeds[token][msg.sender];
        if (amount == 0) revert NothingToWithdraw(token);
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
        proceeds[token][msg.sender] = 0;
        emit ProceedsWithdrawn(msg.sender, token, to, amount);
        if (token != NATIVE) {
            IERC20(token).safeTransfer(to, amount);
            return amount;
        }
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!ok) revert TransferFailed(to, amount);
    }

    /// A token that takes a part of a transfer for itself is refused.
    function _collect(address token, uint256 price) private {
        uint256 expected = token == NATIVE ? price : 0;
        if (msg.value != expected) revert PaymentMismatch(expected, msg.value);
        if (token == NATIVE) return;
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), price);
        if (IERC20(token).balanceOf(address(this)) != before + price) revert PaymentIncomplete(token, price);
    }
}
