// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {LineSale} from "../../src/LineSale.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {HostileToken, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// The adapter's owner sells its line to a stranger.
contract LineSaleTest is World {
    uint256 private constant PRICE = 50 ether;
    address private constant NATIVE = address(0);

    LineSale private sale;
    uint24 private line;

    function setUp() public {
        _world();
        sale = LineSale(cheats.deployCode("LineSale.sol:LineSale", abi.encode(models)));
        line = adapterLines[0];
        address[3] memory buyers = [STRANGER, RELAYER, requester];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(buyers[i]);
            open.approve(address(sale), type(uint256).max);
        }
    }

    /// Offers and sells; the nonce is that of the line that is for sale.
    function _sell(address token, uint256 price) private returns (uint64 nonce) {
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, address(sale));
        nonce = models.nonceOf(line);
        vm.prank(ADAPTER_OWNER);
        return sale.sell(line, nonce, token, price);
    }

    function _buy(address buyer, uint64 nonce) private returns (uint64 offered) {
        vm.prank(buyer);
        return sale.buy(line, nonce, address(open), PRICE);
    }

    function _unsell() private {
        vm.prank(ADAPTER_OWNER);
        uint64 nonce = sale.unsell(line);
        vm.prank(ADAPTER_OWNER);
        models.acceptLine(line, nonce);
    }

    /// The line earns an adapter owner's share of 2 OPEN.
    function _earn() private {
        InferenceRequest memory request = _request(1);
        _lock(request);
        _settle(request, prover);
    }

    function _open(address account) private view returns (uint256) {
        return open.balanceOf(account);
    }

    function test_sale() public {
        _earn();
        uint64 nonce = models.nonceOf(line);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, address(sale));
        cheats.expectEmit(true, true, true, true, address(sale));
        emit LineSale.LineForSale(line, ADAPTER_OWNER, nonce + 2, address(open), PRICE);
        vm.prank(ADAPTER_OWNER);
        assertEq(sale.sell(line, nonce + 1, address(open), PRICE), nonce + 2, "nonce");
        (address seller, address token, uint256 price) = sale.sales(line);
        assertTrue(seller == ADAPTER_OWNER && token == address(open) && price == PRICE, "sale");
        assertTrue(models.ownerOf(line) == address(sale), "held");
        uint256 before = _open(STRANGER);
        cheats.expectEmit(true, true, true, true, address(sale));
        emit LineSale.LineSold(line, ADAPTER_OWNER, STRANGER, address(open), PRICE, nonce + 3);
        vm.prank(STRANGER);
        // He would have paid more.
        uint64 offered = sale.buy(line, nonce + 2, address(open), PRICE + 1);
        assertEq(before - _open(STRANGER), PRICE, "paid");
        vm.prank(STRANGER);
        models.acceptLine(line, offered);
        assertTrue(models.ownerOf(line) == STRANGER, "owner");
        (seller,,) = sale.sales(line);
        assertTrue(seller == address(0), "over");
        before = _open(ADAPTER_OWNER);
        cheats.expectEmit(true, true, true, true, address(sale));
        emit LineSale.ProceedsWithdrawn(ADAPTER_OWNER, address(open), ADAPTER_OWNER, PRICE);
        vm.prank(ADAPTER_OWNER);
        assertEq(sale.withdraw(address(open), ADAPTER_OWNER), PRICE, "proceeds");
        assertEq(_open(ADAPTER_OWNER) - before, PRICE, "received");
        assertEq(_open(address(sale)), 0, "nothing left");
        vm.prank(STRANGER);
        assertEq(escrow.withdrawLine(line, address(open), STRANGER), 2 ether, "what it has earned goes with it");
        // Sold on by the same contract.
        vm.prank(STRANGER);
        models.offerLine(line, address(sale));
        nonce = models.nonceOf(line);
        vm.prank(STRANGER);
        nonce = sale.sell(line, nonce, address(open), PRICE);
        offered = _buy(RELAYER, nonce);
        vm.prank(RELAYER);
        models.acceptLine(line, offered);
        assertEq(sale.proceeds(address(open), STRANGER), PRICE, "the second sale's");
        assertEq(sale.proceeds(address(open), ADAPTER_OWNER), 0, "not the first seller's");
    }

    function test_saleForTheGasToken() public {
        uint64 nonce = _sell(NATIVE, PRICE);
        uint256[3] memory wrong = [PRICE - 1, PRICE + 1, 0];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(LineSale.PaymentMismatch.selector, PRICE, wrong[i]));
            sale.buy{value: wrong[i]}(line, nonce, NATIVE, PRICE);
        }
        vm.prank(STRANGER);
        sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        uint256 before = RELAYER.balance;
        vm.prank(ADAPTER_OWNER);
        sale.withdraw(NATIVE, RELAYER);
        assertEq(RELAYER.balance - before, PRICE, "received");
        assertEq(address(sale).balance, 0, "nothing left");
    }

    /// Gas token that is sent along to a sale in another token would be lost.
    function test_valueWithATokenSale() public {
        uint64 nonce = _sell(address(open), PRICE);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.PaymentMismatch.selector, 0, 1));
        sale.buy{value: 1}(line, nonce, address(open), PRICE);
    }

    function test_whoMaySell() public {
        uint64 nonce = models.nonceOf(line);
        // Not offered to the contract.
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotOfferedTo.selector, line, address(sale)));
        sale.sell(line, nonce, NATIVE, PRICE);
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, address(sale));
        // Somebody else comes first, with himself as the seller.
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, STRANGER));
        sale.sell(line, nonce + 1, NATIVE, 1);
        cheats.startPrank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.OtherNonce.selector, line, nonce, nonce + 1));
        sale.sell(line, nonce, NATIVE, PRICE);
        vm.expectRevert(abi.encodeWithSelector(LineSale.PriceZero.selector));
        sale.sell(line, nonce + 1, NATIVE, 0);
        vm.expectRevert(abi.encodeWithSelector(LineSale.TokenNotContract.selector, STRANGER));
        sale.sell(line, nonce + 1, STRANGER, PRICE);
        sale.sell(line, nonce + 1, NATIVE, PRICE);
        // It is the contract's now: not put up for sale a second time.
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, ADAPTER_OWNER));
        sale.sell(line, nonce + 2, NATIVE, 1);
        cheats.stopPrank();
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, STRANGER));
        sale.unsell(line);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotForSale.selector, baseLine));
        sale.buy(baseLine, 1, NATIVE, PRICE);
    }

    /// While the line is for sale nobody takes anything out of it.
    function test_nothingIsTakenWhileForSale() public {
        _earn();
        _sell(address(open), PRICE);
        address[3] memory callers = [ADAPTER_OWNER, GOVERNANCE, STRANGER];
        _reserve(_adapterId(base, 2), ADAPTER_OWNER);
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory reason = abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, line, callers[i]);
            vm.prank(callers[i]);
            vm.expectRevert(reason);
            models.retire(adapters[0]);
            vm.prank(callers[i]);
            vm.expectRevert(reason);
            models.offerLine(line, callers[i]);
            vm.prank(callers[i]);
            vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.NotLineOwner.selector, line, callers[i]));
            escrow.withdrawLine(line, address(open), callers[i]);
        }
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotLineOwner.selector, line, ADAPTER_OWNER));
        models.publishAdapter(
            base, 0, _tiles(2), _terms(ADAPTER_POT, _split(5_000, 0, 4_000, 1_000), line), _noPermit()
        );
    }

    /// The seller sees the purchase coming, takes the line back, empties it and offers it anew at the same price.
    function test_emptiedInFrontOfTheBuyer() public {
        _earn();
        uint64 seen = _sell(address(open), PRICE);
        _unsell();
        cheats.startPrank(ADAPTER_OWNER);
        escrow.withdrawLine(line, address(open), ADAPTER_OWNER);
        models.retire(adapters[0]);
        cheats.stopPrank();
        uint64 anew = _sell(address(open), PRICE);
        uint256 before = _open(STRANGER);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.OtherNonce.selector, line, seen, anew));
        sale.buy(line, seen, address(open), PRICE);
        assertEq(_open(STRANGER), before, "not paid");
    }

    /// Where only money is withdrawn, the registry's nonce still moves: taking back and offering anew are acts.
    function test_withdrawnInFrontOfTheBuyer() public {
        _earn();
        uint64 seen = _sell(address(open), PRICE);
        _unsell();
        vm.prank(ADAPTER_OWNER);
        escrow.withdrawLine(line, address(open), ADAPTER_OWNER);
        uint64 anew = _sell(address(open), PRICE);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.OtherNonce.selector, line, seen, anew));
        sale.buy(line, seen, address(open), PRICE);
    }

    /// A chain that takes blocks back can give the same nonce to a dearer sale: the buyer's maximum and token hold.
    function test_dearerSaleOfTheSameNonce() public {
        uint256 before = cheats.snapshotState();
        uint64 seen = _sell(address(open), PRICE);
        cheats.revertToState(before);
        assertEq(_sell(address(open), PRICE + 1), seen, "the same nonce");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.PriceAboveMaximum.selector, PRICE, PRICE + 1));
        sale.buy(line, seen, address(open), PRICE);
        cheats.revertToState(before);
        assertEq(_sell(address(escrow), PRICE), seen, "the same nonce");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.OtherToken.selector, line, address(open), address(escrow)));
        sale.buy(line, seen, address(open), PRICE);
    }

    function test_twoBuyers() public {
        uint64 nonce = _sell(NATIVE, PRICE);
        vm.prank(STRANGER);
        uint64 offered = sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        uint256 before = RELAYER.balance;
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotForSale.selector, line));
        sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        assertEq(RELAYER.balance, before, "the second keeps his money");
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotOfferedTo.selector, line, RELAYER));
        models.acceptLine(line, offered);
        assertEq(sale.proceeds(NATIVE, ADAPTER_OWNER), PRICE, "one price");
    }

    function test_unsellAgainstAPendingPurchase() public {
        uint64 nonce = _sell(NATIVE, PRICE);
        uint256 before = cheats.snapshotState();
        // Taken back first: the buyer keeps his money.
        cheats.expectEmit(true, true, true, true, address(sale));
        emit LineSale.LineTakenBack(line, ADAPTER_OWNER, nonce + 1);
        _unsell();
        assertTrue(models.ownerOf(line) == ADAPTER_OWNER, "back");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotForSale.selector, line));
        sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        cheats.revertToState(before);
        // Bought first: the seller has the price, not the line.
        vm.prank(STRANGER);
        uint64 offered = sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, ADAPTER_OWNER));
        sale.unsell(line);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(ModelRegistry.NotOfferedTo.selector, line, ADAPTER_OWNER));
        models.acceptLine(line, offered);
    }

    /// Between taking back and accepting the line is the contract's, but not for sale.
    function test_takenBackAndNotAccepted() public {
        uint64 nonce = _sell(NATIVE, PRICE);
        vm.prank(ADAPTER_OWNER);
        uint64 back = sale.unsell(line);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotForSale.selector, line));
        sale.buy{value: PRICE}(line, nonce, NATIVE, PRICE);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, ADAPTER_OWNER));
        sale.unsell(line);
        _advance(365 days);
        vm.prank(ADAPTER_OWNER);
        models.acceptLine(line, back);
        assertTrue(models.ownerOf(line) == ADAPTER_OWNER, "back");
    }

    /// The seller is paid, the line waits for its buyer, and earns for him.
    function test_buyerNeverAccepts() public {
        uint64 offered = _buy(STRANGER, _sell(address(open), PRICE));
        vm.prank(ADAPTER_OWNER);
        sale.withdraw(address(open), ADAPTER_OWNER);
        _advance(365 days);
        _earn();
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotSeller.selector, line, ADAPTER_OWNER));
        sale.sell(line, offered, NATIVE, 1);
        vm.prank(RELAYER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NotForSale.selector, line));
        sale.buy(line, offered, address(open), PRICE);
        vm.prank(STRANGER);
        models.acceptLine(line, offered);
        vm.prank(STRANGER);
        assertEq(escrow.withdrawLine(line, address(open), STRANGER), 2 ether, "earned while it waited");
    }

    function test_withdraw() public {
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NothingToWithdraw.selector, address(open)));
        sale.withdraw(address(open), ADAPTER_OWNER);
        _buy(STRANGER, _sell(address(open), PRICE));
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NothingToWithdraw.selector, NATIVE));
        sale.withdraw(NATIVE, ADAPTER_OWNER);
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NothingToWithdraw.selector, address(open)));
        sale.withdraw(address(open), STRANGER);
        address[2] memory bad = [address(0), address(sale)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(ADAPTER_OWNER);
            vm.expectRevert(abi.encodeWithSelector(LineSale.RecipientInvalid.selector, bad[i]));
            sale.withdraw(address(open), bad[i]);
        }
        vm.prank(ADAPTER_OWNER);
        sale.withdraw(address(open), ADAPTER_OWNER);
        vm.prank(ADAPTER_OWNER);
        vm.expectRevert(abi.encodeWithSelector(LineSale.NothingToWithdraw.selector, address(open)));
        sale.withdraw(address(open), ADAPTER_OWNER);
    }

    /// A token that does not deliver the price buys nothing.
    function test_tokensThatDoNotDeliverThePrice() public {
        HostileToken token = new HostileToken();
        token.mint(STRANGER, 2 * PRICE);
        vm.prank(STRANGER);
        token.approve(address(sale), type(uint256).max);
        uint64 nonce = _sell(address(token), PRICE);
        HostileToken.Mode[5] memory modes = [
            HostileToken.Mode.TakesFee,
            HostileToken.Mode.GivesMore,
            HostileToken.Mode.MovesNothing,
            HostileToken.Mode.ReturnsFalse,
            HostileToken.Mode.Reverts
        ];
        for (uint256 i = 0; i < modes.length; ++i) {
            token.set(modes[i], address(0), "");
            vm.prank(STRANGER);
            if (i < 3) {
                vm.expectRevert(abi.encodeWithSelector(LineSale.PaymentIncomplete.selector, address(token), PRICE));
            } else {
                vm.expectRevert();
            }
            sale.buy(line, nonce, address(token), PRICE);
            assertEq(sale.proceeds(address(token), ADAPTER_OWNER), 0, "nothing owed");
            assertEq(models.nonceOf(line), nonce, "still for sale");
        }
        token.set(HostileToken.Mode.Honest, address(0), "");
        vm.prank(STRANGER);
        sale.buy(line, nonce, address(token), PRICE);
    }

    /// A token that calls back while it is paid with finds every function shut.
    function test_reentrantToken() public {
        HostileToken token = new HostileToken();
        token.mint(STRANGER, PRICE);
        vm.prank(STRANGER);
        token.approve(address(sale), type(uint256).max);
        uint64 nonce = _sell(address(token), PRICE);
        bytes[4] memory calls = [
            abi.encodeCall(sale.buy, (line, nonce + 1, address(token), PRICE)),
            abi.encodeCall(sale.sell, (line, nonce + 1, address(token), PRICE)),
            abi.encodeCall(sale.unsell, (line)),
            abi.encodeCall(sale.withdraw, (address(token), address(token)))
        ];
        uint256 before = cheats.snapshotState();
        for (uint256 i = 0; i < calls.length; ++i) {
            token.set(HostileToken.Mode.Reenters, address(sale), calls[i]);
            vm.prank(STRANGER);
            sale.buy(line, nonce, address(token), PRICE);
            assertTrue(!token.reentered(), "shut");
            assertTrue(
                bytes4(token.reason()) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "reason"
            );
            cheats.revertToState(before);
        }
    }

    /// A seller who refuses the gas token, or calls back when he is paid.
    function test_hostileSeller() public {
        Puppet seller = new Puppet();
        vm.prank(ADAPTER_OWNER);
        models.offerLine(line, address(seller));
        seller.act(address(models), 0, abi.encodeCall(models.acceptLine, (line, 2)));
        seller.act(address(models), 0, abi.encodeCall(models.offerLine, (line, address(sale))));
        seller.act(address(sale), 0, abi.encodeCall(sale.sell, (line, 4, NATIVE, PRICE)));
        seller.set(Puppet.Mode.Refuse, address(0), "");
        vm.prank(STRANGER);
        sale.buy{value: PRICE}(line, 5, NATIVE, PRICE);
        vm.expectRevert(abi.encodeWithSelector(LineSale.TransferFailed.selector, address(seller), PRICE));
        seller.act(address(sale), 0, abi.encodeCall(sale.withdraw, (NATIVE, address(seller))));
        assertEq(sale.proceeds(NATIVE, address(seller)), PRICE, "still owed");
        // Somebody else's money lies there too.
        cheats.deal(address(sale), 2 * PRICE);
        seller.set(Puppet.Mode.Reenter, address(sale), abi.encodeCall(sale.withdraw, (NATIVE, address(seller))));
        seller.act(address(sale), 0, abi.encodeCall(sale.withdraw, (NATIVE, address(seller))));
        assertTrue(!seller.reentered(), "once");
        assertEq(address(seller).balance, PRICE, "its own");
        assertEq(address(sale).balance, PRICE, "the others'");
    }
}
