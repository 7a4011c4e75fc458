// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {ModelRegistry} from "../../src/ModelRegistry.sol";
import {Bounds} from "../../src/ModelTerms.sol";
import {WrappedOpen} from "../../src/WrappedOpen.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

contract WrappedOpenTest is World {
    WrappedOpen private wrapped;

    function setUp() public {
        _world();
        wrapped = WrappedOpen(payable(cheats.deployCode("WrappedOpen.sol:WrappedOpen")));
        cheats.deal(STRANGER, 100 ether);
    }

    function _deposit(address account, uint256 amount) private {
        vm.prank(account);
        wrapped.deposit{value: amount}();
    }

    function test_oneToOne() public {
        assertEq(wrapped.totalSupply(), 0, "nothing at first");
        cheats.expectEmit(true, true, true, true, address(wrapped));
        emit WrappedOpen.Deposited(STRANGER, STRANGER, 10 ether);
        _deposit(STRANGER, 10 ether);
        vm.prank(STRANGER);
        wrapped.depositFor{value: 5 ether}(RELAYER);
        vm.prank(STRANGER);
        (bool ok,) = address(wrapped).call{value: 1 ether}("");
        assertTrue(ok, "sent");
        assertEq(wrapped.balanceOf(STRANGER), 11 ether, "his");
        assertEq(wrapped.balanceOf(RELAYER), 5 ether, "for another");
        assertEq(wrapped.totalSupply(), 16 ether, "supply");
        assertEq(address(wrapped).balance, 16 ether, "backing");
        vm.prank(STRANGER);
        wrapped.withdraw(4 ether);
        assertEq(STRANGER.balance, 88 ether, "back");
        uint256 before = PROVER_ACCOUNT.balance;
        cheats.expectEmit(true, true, true, true, address(wrapped));
        emit WrappedOpen.Withdrawn(STRANGER, PROVER_ACCOUNT, 7 ether);
        vm.prank(STRANGER);
        wrapped.withdrawTo(PROVER_ACCOUNT, 7 ether);
        assertEq(PROVER_ACCOUNT.balance - before, 7 ether, "to another");
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, STRANGER, 0, 1));
        wrapped.withdraw(1);
        assertEq(address(wrapped).balance, 5 ether, "the relayer's");
        assertEq(wrapped.outOfUse(), 0, "all is backed");
    }

    address private constant PROVER_ACCOUNT = address(0x9999);

    /// What is burnt can never be redeemed, by nobody.
    function test_burn() public {
        _deposit(STRANGER, 10 ether);
        _deposit(RELAYER, 3 ether);
        vm.prank(STRANGER);
        wrapped.burn(4 ether);
        assertEq(wrapped.totalSupply(), 9 ether, "supply");
        assertEq(wrapped.outOfUse(), 4 ether, "stays for ever");
        vm.prank(STRANGER);
        wrapped.withdraw(6 ether);
        vm.prank(RELAYER);
        wrapped.withdraw(3 ether);
        assertEq(wrapped.totalSupply(), 0, "all redeemed");
        assertEq(address(wrapped).balance, 4 ether, "and this is left");
        vm.prank(STRANGER);
        vm.expectRevert();
        wrapped.withdraw(1);
    }

    /// Whatever comes in any order: the backing never falls below the supply.
    function testFuzz_backed(uint8[32] calldata acts) public {
        uint256 burnt;
        for (uint256 i = 0; i < acts.length; ++i) {
            uint256 amount = (uint256(acts[i]) >> 2) * 0.1 ether;
            uint256 holds = wrapped.balanceOf(STRANGER);
            uint256 act = acts[i] % 4;
            if (act < 2) {
                cheats.deal(STRANGER, amount);
                _deposit(STRANGER, amount);
            } else {
                if (amount > holds) amount = holds;
                vm.prank(STRANGER);
                if (act == 2) wrapped.withdraw(amount);
                else wrapped.burn(amount);
                if (act == 3) burnt += amount;
            }
            assertEq(address(wrapped).balance, wrapped.totalSupply() + burnt, "backing");
            assertEq(wrapped.outOfUse(), burnt, "out of use");
        }
    }

    function test_recipients() public {
        _deposit(STRANGER, 10 ether);
        address[2] memory bad = [address(0), address(wrapped)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(STRANGER);
            vm.expectRevert(abi.encodeWithSelector(WrappedOpen.RecipientInvalid.selector, bad[i]));
            wrapped.withdrawTo(bad[i], 1 ether);
        }
        bytes memory reason = abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(wrapped));
        vm.prank(STRANGER);
        vm.expectRevert(reason);
        wrapped.transfer(address(wrapped), 1 ether);
        vm.prank(STRANGER);
        vm.expectRevert(reason);
        wrapped.depositFor{value: 1 ether}(address(wrapped));
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        wrapped.depositFor{value: 1 ether}(address(0));
    }

    /// A receiver that refuses, and one that calls back for more.
    function test_hostileReceiver() public {
        Puppet puppet = new Puppet();
        vm.prank(STRANGER);
        wrapped.depositFor{value: 10 ether}(address(puppet));
        _deposit(STRANGER, 20 ether);
        puppet.set(Puppet.Mode.Refuse, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(WrappedOpen.TransferFailed.selector, address(puppet), 10 ether));
        puppet.act(address(wrapped), 0, abi.encodeCall(wrapped.withdraw, (10 ether)));
        assertEq(wrapped.balanceOf(address(puppet)), 10 ether, "kept");
        puppet.set(Puppet.Mode.Reenter, address(wrapped), abi.encodeCall(wrapped.withdraw, (10 ether)));
        puppet.act(address(wrapped), 0, abi.encodeCall(wrapped.withdraw, (10 ether)));
        assertTrue(!puppet.reentered(), "there is nothing to take twice");
        assertEq(address(puppet).balance, 10 ether, "its own");
        assertEq(address(wrapped).balance, 20 ether, "the others'");
    }

    function test_votesAndPermits() public {
        _deposit(STRANGER, 10 ether);
        vm.prank(STRANGER);
        wrapped.delegate(RELAYER);
        assertEq(wrapped.getVotes(RELAYER), 10 ether, "votes");
        vm.prank(STRANGER);
        wrapped.withdraw(4 ether);
        assertEq(wrapped.getVotes(RELAYER), 6 ether, "after a withdrawal");
        uint256 then = clock;
        _advance(10);
        vm.prank(STRANGER);
        wrapped.burn(1 ether);
        assertEq(wrapped.getPastVotes(RELAYER, then), 6 ether, "at a second");
        assertEq(wrapped.getVotes(RELAYER), 5 ether, "after burning");
        assertTrue(keccak256(bytes(wrapped.CLOCK_MODE())) == keccak256("mode=timestamp"), "mode");
        bytes32 hash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                requester,
                RELAYER,
                uint256(5),
                wrapped.nonces(requester),
                clock
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            cheats.sign(REQUESTER_KEY, keccak256(abi.encodePacked(hex"1901", wrapped.DOMAIN_SEPARATOR(), hash)));
        wrapped.permit(requester, RELAYER, 5, clock, v, r, s);
        assertEq(wrapped.allowance(requester, RELAYER), 5, "allowance");
    }

    /// Nobody owns it, and nothing is minted without a deposit.
    function test_noOwner() public {
        string[4] memory names = ["mint(address,uint256)", "mint(uint256)", "owner()", "transferOwnership(address)"];
        for (uint256 i = 0; i < names.length; ++i) {
            (bool ok,) = address(wrapped)
                .call(abi.encodePacked(bytes4(keccak256(bytes(names[i]))), abi.encode(address(this), uint256(1))));
            assertTrue(!ok, names[i]);
        }
    }

    /// It takes OPEN's place: publishing is paid in it, and an escrow on it takes both it and the gas token.
    function test_inThePlaceOfOpen() public {
        models = ModelRegistry(
            cheats.deployCode(
                "ModelRegistry.sol:ModelRegistry",
                abi.encode(
                    GOVERNANCE,
                    registry,
                    wrapped,
                    address(0),
                    TREASURY,
                    uint64(1),
                    Bounds({minProver: 5_000, minBaseOwner: 500, maxContributors: 3_000}),
                    [uint256(3 ether), 2 ether, 1 ether]
                )
            )
        );
        _deposit(STRANGER, 3 ether);
        vm.prank(STRANGER);
        wrapped.approve(address(models), 3 ether);
        _publishArchitecture(_read("settlement-classify-1"), STRANGER);
        assertEq(wrapped.balanceOf(address(models)), 3 ether, "fee");
        vm.prank(TREASURY);
        models.withdrawFees(TREASURY);
        uint256 before = TREASURY.balance;
        vm.prank(TREASURY);
        wrapped.withdraw(3 ether);
        assertEq(TREASURY.balance - before, 3 ether, "as gas token");
        escrow = InferenceEscrow(
            cheats.deployCode("InferenceEscrow.sol:InferenceEscrow", abi.encode(GOVERNANCE, router, models))
        );
        assertTrue(escrow.open() == address(wrapped), "OPEN");
    }
}
