// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IIndexRanges} from "../../src/IIndexRanges.sol";
import {IInferenceConsumer} from "../../src/IInferenceConsumer.sol";
import {ISettlementVerifier, Settlement} from "../../src/Settlement.sol";

/// Accepts what it was told is proven, for the consumer that it was proven for; or everything.
contract MockVerifier is ISettlementVerifier {
    error NotProven();

    mapping(bytes32 => bool) private _proven;
    bool public gullible;

    function prove(bytes32 circuit, address consumer, Settlement calldata settlement) external {
        _proven[keccak256(abi.encode(circuit, consumer, settlement))] = true;
    }

    function setGullible(bool gullible_) external {
        gullible = gullible_;
    }

    function check(bytes32 circuit, address, address consumer, Settlement calldata settlement) external view {
        if (!gullible && !_proven[keccak256(abi.encode(circuit, consumer, settlement))]) revert NotProven();
    }
}

/// Index proofs that somebody is said to have made.
contract TestRanges is IIndexRanges {
    mapping(uint256 index => bool) public ranged;

    function set(uint256 index, bool ranged_) external {
        ranged[index] = ranged_;
    }
}

contract PlainToken is ERC20, ERC20Permit {
    constructor() ERC20("Plain", "PLN") ERC20Permit("Plain") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// A token that misbehaves as it is told.
contract HostileToken is ERC20 {
    enum Mode {
        Honest,
        /// Keeps one unit of each transfer.
        TakesFee,
        /// Gives the receiver one unit more.
        GivesMore,
        ReturnsFalse,
        /// Moves nothing and says that it did.
        MovesNothing,
        /// Calls back during a transfer.
        Reenters,
        Reverts
    }

    Mode public mode;
    address public target;
    bytes public data;
    bool public reentered;
    bytes public reason;

    constructor() ERC20("Hostile", "HST") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    /// What a rebasing token does.
    function burn(address account, uint256 amount) external {
        _burn(account, amount);
    }

    function set(Mode mode_, address target_, bytes calldata data_) external {
        (mode, target, data) = (mode_, target_, data_);
    }

    /// Accepts any permit.
    function permit(address owner, address spender, uint256 value, uint256, uint8, bytes32, bytes32) external {
        _approve(owner, spender, value);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return _misbehave(from, to, amount, true);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return _misbehave(msg.sender, to, amount, false);
    }

    function _misbehave(address from, address to, uint256 amount, bool approved) private returns (bool) {
        if (mode == Mode.ReturnsFalse) return false;
        if (mode == Mode.MovesNothing) return true;
        if (mode == Mode.Reverts) revert("no");
        if (mode == Mode.Reenters) {
            bool ok;
            (ok, reason) = target.call(data);
            reentered = reentered || ok;
        }
        if (approved) _spendAllowance(from, msg.sender, amount);
        _transfer(from, to, amount);
        if (mode == Mode.TakesFee) _burn(to, 1);
        if (mode == Mode.GivesMore) _mint(to, 1);
        return true;
    }
}

/// Returns nothing, as some old tokens do.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Runs what it is told; a wallet whose answer is as told.
contract Puppet is IERC1271, IInferenceConsumer {
    enum Mode {
        Accept,
        Refuse,
        /// Uses all gas.
        Burn,
        /// Returns or reverts with as much data as its gas buys.
        BombReturn,
        BombRevert,
        Revert,
        /// The right word with something behind the selector, or too short.
        Dirty,
        Short,
        /// Calls back.
        Reenter
    }

    Mode public mode;
    address public target;
    bytes public data;
    bool public reentered;
    bytes public reason;
    uint256 public calls;
    uint256 public gasSeen;
    uint256 public lastLabel;
    uint256 public lastDigest;

    receive() external payable {
        if (mode == Mode.Refuse) revert("no money");
        if (mode == Mode.Burn) _burn();
        if (mode == Mode.Reenter) _reenter();
    }

    function set(Mode mode_, address target_, bytes calldata data_) external {
        (mode, target, data) = (mode_, target_, data_);
    }

    function act(address to, uint256 value, bytes calldata call_) external payable returns (bytes memory result) {
        bool ok;
        (ok, result) = to.call{value: value}(call_);
        if (!ok) {
            assembly {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        if (mode == Mode.Refuse) return 0xffffffff;
        if (mode == Mode.Revert) revert("no");
        if (mode == Mode.Burn) _burn();
        if (mode == Mode.BombReturn) _bomb(false);
        if (mode == Mode.BombRevert) _bomb(true);
        if (mode == Mode.Dirty) {
            assembly {
                mstore(0, or(shl(224, 0x1626ba7e), 1))
                return(0, 0x20)
            }
        }
        if (mode == Mode.Short) {
            assembly {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 0x04)
            }
        }
        return IERC1271.isValidSignature.selector;
    }

    function onInference(uint256, uint256 label, uint256 outputDigest) external {
        gasSeen = gasleft();
        if (mode == Mode.Refuse || mode == Mode.Revert) revert("no");
        if (mode == Mode.Burn) _burn();
        if (mode == Mode.BombReturn) _bomb(false);
        if (mode == Mode.BombRevert) _bomb(true);
        if (mode == Mode.Reenter) _reenter();
        ++calls;
        (lastLabel, lastDigest) = (label, outputDigest);
    }

    function _reenter() private {
        bool ok;
        (ok, reason) = target.call(data);
        reentered = reentered || ok;
    }

    function _burn() private pure {
        assembly {
            invalid()
        }
    }

    /// 100,000 bytes: cheap to make, dear for a caller who copies them.
    function _bomb(bool reverts) private pure {
        assembly {
            if reverts { revert(0, 100000) }
            return(0, 100000)
        }
    }
}
