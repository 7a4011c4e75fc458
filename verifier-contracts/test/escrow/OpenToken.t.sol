// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {OpenToken} from "../../src/OpenToken.sol";
import {Fixture} from "../Fixture.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";

contract OpenTokenTest is Fixture {
    OpenToken private open;

    function setUp() public {
        open = OpenToken(cheats.deployCode("OpenToken.sol:OpenToken", abi.encode(address(7))));
    }

    function test_supply() public view {
        assertEq(open.totalSupply(), 1e27, "supply");
        assertEq(open.balanceOf(address(7)), 1e27, "holder");
        assertEq(open.decimals(), 18, "decimals");
    }

    /// No function mints: what looks like one does not exist.
    function test_noMint() public {
        string[4] memory names = ["mint(address,uint256)", "mint(uint256)", "owner()", "transferOwnership(address)"];
        for (uint256 i = 0; i < names.length; ++i) {
            (bool ok,) = address(open)
                .call(abi.encodePacked(bytes4(keccak256(bytes(names[i]))), abi.encode(address(this), uint256(1))));
            assertTrue(!ok, names[i]);
        }
    }

    function test_permit() public {
        uint256 key = 0x1234;
        address holder = cheats.addr(key);
        bytes32 digest = keccak256(
            abi.encodePacked(
                hex"1901",
                open.DOMAIN_SEPARATOR(),
                keccak256(
                    abi.encode(
                        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                        holder,
                        address(9),
                        uint256(5),
                        open.nonces(holder),
                        type(uint256).max
                    )
                )
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = cheats.sign(key, digest);
        open.permit(holder, address(9), 5, type(uint256).max, v, r, s);
        assertEq(open.allowance(holder, address(9)), 5, "allowance");
        assertEq(open.nonces(holder), 1, "nonce");
        vm.expectRevert();
        open.permit(holder, address(9), 5, type(uint256).max, v, r, s);
    }

    function test_votes() public {
        vm.prank(address(7));
        open.delegate(address(8));
        assertEq(open.getVotes(address(8)), 1e27, "delegated");
        vm.prank(address(7));
        open.transfer(address(9), 4);
        assertEq(open.getVotes(address(8)), 1e27 - 4, "after a transfer");
    }

    /// Votes are counted at seconds: what a block is differs between chains, and OPEN cannot be changed later.
    function test_clock() public {
        cheats.warp(1_800_000_000);
        assertEq(open.clock(), 1_800_000_000, "clock");
        assertTrue(keccak256(bytes(open.CLOCK_MODE())) == keccak256("mode=timestamp"), "mode");
        vm.prank(address(7));
        open.delegate(address(8));
        cheats.warp(1_800_000_100);
        assertEq(open.getPastVotes(address(8), 1_800_000_000), 1e27, "votes at a second");
        assertEq(open.getPastVotes(address(8), 1_799_999_999), 0, "before it");
        vm.expectRevert();
        open.getPastVotes(address(8), 1_800_000_100);
    }

    /// Whoever holds may burn his own, others what he allowed; votes and supply shrink with it.
    function test_burn() public {
        vm.prank(address(7));
        open.delegate(address(8));
        vm.prank(address(7));
        open.burn(5);
        assertEq(open.totalSupply(), 1e27 - 5, "supply");
        assertEq(open.balanceOf(address(7)), 1e27 - 5, "holder");
        assertEq(open.getVotes(address(8)), 1e27 - 5, "votes");
        vm.prank(address(9));
        vm.expectRevert();
        open.burnFrom(address(7), 1);
        vm.prank(address(7));
        open.approve(address(9), 1);
        vm.prank(address(9));
        open.burnFrom(address(7), 1);
        assertEq(open.totalSupply(), 1e27 - 6, "supply");
        assertEq(open.allowance(address(7), address(9)), 0, "used");
        vm.prank(address(9));
        vm.expectRevert();
        open.burn(1);
    }
}
