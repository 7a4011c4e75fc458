// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LineSale} from "../../src/LineSale.sol";
import {vm} from "../Vm.sol";
import {cheats, writeCounters} from "../Cheats.sol";
import {PlainToken} from "./Mocks.sol";
import {World} from "./World.sol";

/// Offers, sells, buys and takes back lines in any order, as anybody; keeps account of whose each line is.
contract LineSaleHandler is World {
    LineSale private sale;
    address[3] public tokens;
    address[] private accounts;
    uint24[] public lines;
    /// Who has the line, or will have it when he likes: a seller until somebody pays, then the buyer.
    mapping(uint24 line => address) public entitled;
    mapping(address token => uint256) public paid;
    mapping(address token => uint256) public withdrawn;
    uint256 public calls;
    /// Sales, ones taken back, purchases, lines accepted, withdrawals, acts of owners, refused calls.
    uint256[7] private done;

    constructor() {
        _world();
        sale = LineSale(cheats.deployCode("LineSale.sol:LineSale", abi.encode(models)));
        PlainToken plain = new PlainToken();
        tokens = [address(0), address(open), address(plain)];
        (, uint24 second) = _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, 2, _split(6_000, 2_000, 1_000, 1_000), 0);
        lines = [baseLine, adapterLines[0], second];
        (entitled[lines[0]], entitled[lines[1]], entitled[second]) = (BASE_OWNER, ADAPTER_OWNER, ADAPTER_OWNER);
        accounts = [BASE_OWNER, ADAPTER_OWNER, STRANGER, RELAYER];
        for (uint256 i = 0; i < accounts.length; ++i) {
            plain.mint(accounts[i], 1e30);
            cheats.startPrank(accounts[i]);
            open.approve(address(sale), type(uint256).max);
            plain.approve(address(sale), type(uint256).max);
            cheats.stopPrank();
        }
    }

    modifier counted() {
        vm.pauseGasMetering();
        ++calls;
        _;
        vm.resumeGasMetering();
    }

    function counters() external view returns (uint256[] memory all) {
        all = new uint256[](8);
        all[0] = calls;
        for (uint256 i = 0; i < 7; ++i) {
            all[i + 1] = done[i];
        }
    }

    /// The line's, or, once in a while, anybody.
    function _someone(uint24 line, uint256 seed) private view returns (address) {
        return seed % 4 == 0 ? accounts[seed / 4 % 4] : entitled[line];
    }

    /// A line, mostly one that its owner has (0), that is for sale (1), or that is on offer to whose it is (2), if there is one.
    function _line(uint256 seed, uint256 state) private view returns (uint24 line) {
        for (uint256 i = 0; i < 3; ++i) {
            line = lines[(seed % 3 + i) % 3];
            (address seller,,) = sale.sales(line);
            (,,, address offeredTo,) = models.lines(line);
            uint256 is_ = seller != address(0) ? 1 : offeredTo == entitled[line] ? 2 : 0;
            if (seed >> 56 & 7 == 0 || is_ == state) return line;
        }
    }

    function sell(uint256 seed, uint96 price) external counted {
        uint24 line = _line(seed, 0);
        address by = _someone(line, seed >> 8);
        vm.prank(by);
        try models.offerLine(line, address(sale)) {} catch {}
        uint64 nonce = models.nonceOf(line);
        if (seed >> 16 & 7 == 0) ++nonce;
        vm.prank(by);
        try sale.sell(line, nonce, tokens[(seed >> 24) % 3], price % 1e20) {
            require(by == entitled[line] && price % 1e20 != 0, "sold by a stranger, or for nothing");
            ++done[0];
        } catch {
            ++done[6];
        }
    }

    function unsell(uint256 seed) external counted {
        uint24 line = _line(seed, 1);
        address by = _someone(line, seed >> 8);
        vm.prank(by);
        try sale.unsell(line) {
            require(by == entitled[line], "taken back by a stranger");
            ++done[1];
        } catch {
            ++done[6];
        }
    }

    function buy(uint256 seed, uint96 most) external counted {
        uint24 line = _line(seed, 1);
        (address seller, address token, uint256 price) = sale.sales(line);
        uint64 nonce = models.nonceOf(line);
        if (seed >> 8 & 7 == 0) nonce -= 1;
        address wanted = seed >> 16 & 7 == 0 ? tokens[(seed >> 24) % 3] : token;
        uint256 limit = seed >> 32 & 7 == 0 ? most % 1e20 : price;
        uint256 value = wanted == address(0) ? (seed >> 40 & 7 == 0 ? most % 1e20 : price) : 0;
        address by = accounts[(seed >> 48) % 4];
        vm.prank(by);
        try sale.buy{value: value}(line, nonce, wanted, limit) {
            require(seller != address(0) && wanted == token && price <= limit, "bought otherwise than agreed");
            require(nonce == models.nonceOf(line) - 1, "another line than was looked at");
            entitled[line] = by;
            paid[token] += price;
            ++done[2];
        } catch {
            ++done[6];
        }
    }

    function accept(uint256 seed) external counted {
        uint24 line = _line(seed, 2);
        address by = _someone(line, seed >> 8);
        uint64 nonce = models.nonceOf(line);
        address before = models.ownerOf(line);
        vm.prank(by);
        try models.acceptLine(line, nonce) {
            require(by == entitled[line] || before == entitled[line], "accepted by a stranger");
            entitled[line] = by;
            ++done[3];
        } catch {
            ++done[6];
        }
    }

    function withdraw(uint256 seed) external counted {
        address token = tokens[seed % 3];
        address by = accounts[seed / 3 % 4];
        uint256 amount = sale.proceeds(token, by);
        vm.prank(by);
        try sale.withdraw(token, address(0xbeef)) returns (uint256 got) {
            require(got == amount && amount != 0, "other than owed");
            withdrawn[token] += got;
            ++done[4];
        } catch {
            ++done[6];
        }
    }

    /// Owners do what changes a line, and strangers try.
    function act(uint256 seed) external counted {
        uint24 line = _line(seed, 0);
        address by = _someone(line, seed >> 8);
        bool own = models.ownerOf(line) == by;
        bool ok;
        vm.prank(by);
        if (seed >> 16 & 1 == 0) {
            address to = accounts[(seed >> 24) % 4];
            try models.offerLine(line, to) {
                ok = true;
            } catch {}
        } else {
            try models.retire(line == lines[0] ? base : line == lines[1] ? adapters[0] : _adapterId(base, 2)) {
                ok = true;
            } catch {}
        }
        require(!ok || own, "a line changed by who has it not");
        ++done[ok ? 5 : 6];
    }

    /// The contract has what it owes; each line is its entitled owner's, or for sale by him, or on offer to him.
    function check() public view {
        for (uint256 t = 0; t < 3; ++t) {
            address token = tokens[t];
            uint256 owed;
            for (uint256 i = 0; i < accounts.length; ++i) {
                owed += sale.proceeds(token, accounts[i]);
            }
            uint256 has = token == address(0) ? address(sale).balance : _balanceOf(token, address(sale));
            assertEq(has, owed, "what is owed is there");
            assertEq(owed + withdrawn[token], paid[token], "every price once");
        }
        for (uint256 i = 0; i < lines.length; ++i) {
            address own = entitled[lines[i]];
            if (models.ownerOf(lines[i]) == own) continue;
            assertTrue(models.ownerOf(lines[i]) == address(sale), "with the sale");
            (address seller,,) = sale.sales(lines[i]);
            (,,, address offeredTo,) = models.lines(lines[i]);
            assertTrue(seller == own || (seller == address(0) && offeredTo == own), "a line is lost");
        }
    }

    /// The end: everybody has his line and his money.
    function finish() external {
        for (uint256 i = 0; i < lines.length; ++i) {
            address own = entitled[lines[i]];
            (address seller,,) = sale.sales(lines[i]);
            if (seller != address(0)) {
                vm.prank(own);
                sale.unsell(lines[i]);
            }
            if (models.ownerOf(lines[i]) != own) {
                uint64 nonce = models.nonceOf(lines[i]);
                vm.prank(own);
                models.acceptLine(lines[i], nonce);
            }
            assertTrue(models.ownerOf(lines[i]) == own, "a line is stuck");
        }
        for (uint256 t = 0; t < 3; ++t) {
            for (uint256 i = 0; i < accounts.length; ++i) {
                if (sale.proceeds(tokens[t], accounts[i]) == 0) continue;
                vm.prank(accounts[i]);
                withdrawn[tokens[t]] += sale.withdraw(tokens[t], address(0xbeef));
            }
        }
        check();
    }
}

contract LineSaleInvariantTest {
    LineSaleHandler private handler;

    function setUp() public {
        vm.pauseGasMetering();
        handler = new LineSaleHandler();
        vm.resumeGasMetering();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0].addr = address(handler);
        bytes4[] memory selectors = new bytes4[](10);
        // Sales and purchases more often than the rest.
        selectors[0] = selectors[1] = selectors[2] = LineSaleHandler.sell.selector;
        selectors[3] = selectors[4] = LineSaleHandler.buy.selector;
        selectors[5] = selectors[6] = LineSaleHandler.accept.selector;
        selectors[7] = LineSaleHandler.unsell.selector;
        selectors[8] = LineSaleHandler.withdraw.selector;
        selectors[9] = LineSaleHandler.act.selector;
        targets[0].selectors = selectors;
    }

    /// forge-config: long.invariant.runs = 3200
    function invariant_linesAndPrices() public view {
        handler.check();
    }

    function afterInvariant() public {
        writeCounters("sale", handler.counters());
        handler.finish();
    }
}
