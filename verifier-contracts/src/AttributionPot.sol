// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {Records, TAG_CONTRIBUTOR_ADDRESS, TAG_CONTRIBUTOR_HASH} from "./Records.sol";

/// What the pot asks of the escrow that it belongs to.
interface IAttributingEscrow {
    /// Of the chain of entries of an index.
    function attributionHeads(uint256 index) external view returns (bytes32);
    function balances(address token, address account) external view returns (uint256);
    function withdraw(address token, address to) external returns (uint256 amount);
}

/// The contributors' part of paid requests whose answers are attributed by an index: whose records they rest on is paid, by the
/// proven shares.
///
/// The escrow credits the money to this contract and keeps a hash chain of entries for each index, one for each request that it
/// pays. Anyone replays entries here, which credits contributors by slot; a contributor shows that the slot is his and
/// withdraws. The money of an index never was in the account of a line, so no owner and no pot of a line can move it.
///
/// A chain is walked from its end backwards, so each step is checked when it is made: a chain of any length is distributed in
/// pieces, and none of it can be left out, repeated or exchanged.
contract AttributionPot is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// One request's.
    struct Entry {
        uint256 requestId;
        address token;
        /// The contributors' part of the fee, in the token's smallest unit.
        uint256 amount;
        /// 8 entries of 28 bits in each, from the lowest: slot (12), share of 65,535 (16).
        uint256[4] shares;
    }

    struct Chain {
        /// Everything up to here is distributed.
        bytes32 done;
        /// Where the chain ended when the present walk began; zero between walks.
        bytes32 target;
        /// Everything from here to the target is distributed.
        bytes32 cursor;
    }

    /// Entries in one token, one after the other.
    struct Run {
        bytes32 digest;
        address token;
        uint256 credited;
        uint256 unattributed;
        /// By slot.
        uint256[] amounts;
    }

    event Distributed(uint256 indexed index, address indexed token, uint256 credited, uint256 unattributed);
    event Claimed(
        bytes32 indexed contributors, uint256 indexed slot, address indexed account, address token, address to, uint256 amount
    );
    event Burnt(address indexed token, uint256 amount);

    /// No entries, or all entries of the index are distributed.
    error NothingToDistribute(uint256 index);
    /// The entries do not end where the walk stands.
    error OtherEntries(bytes32 expected, bytes32 got);
    /// The entries reach back to some that are distributed.
    error AlreadyDistributed(uint256 entry);
    /// The account does not have the slot.
    error NotContributor(uint256 slot, address account);
    error NothingToClaim(bytes32 contributors, uint256 slot, address token);
    error NothingToBurn(address token);
    error NotEscrow(address caller);
    error RecipientInvalid(address to);
    error TransferFailed(address to, uint256 amount);
    /// More than an account can hold.
    error AmountTooLarge(uint256 amount);

    /// A whole in shares.
    uint256 private constant WHOLE_SHARE = 65_535;
    // Places in an entry.
    uint256 private constant ENTRY_AMOUNT = 0x40;
    uint256 private constant ENTRY_SHARES = 0x60;
    uint256 private constant ENTRY_BYTES = 0xe0;
    /// Where what cannot be burnt goes.
    address public constant DEAD = address(0xdEaD);
    /// The chain's gas token.
    address private constant NATIVE = address(0);

    IAttributingEscrow public immutable escrow;
    CommitmentRegistry public immutable commitments;
    address public immutable open;

    mapping(uint256 index => Chain) public chains;
    /// Two slots' amounts in one word, the even one low: versions with equal contributors have one account.
    mapping(bytes32 contributors => mapping(address token => mapping(uint256 pair => uint256))) private _owed;
    /// Unattributed, and not burnt yet.
    mapping(address token => uint256 amount) public burnable;

    /// The escrow deploys it.
    constructor(CommitmentRegistry commitments_, address open_) {
        escrow = IAttributingEscrow(msg.sender);
        commitments = commitments_;
        open = open_;
    }

    /// Gas token comes from the escrow only.
    receive() external payable {
        if (msg.sender != address(escrow)) revert NotEscrow(msg.sender);
    }

    // Distribution

    /// Credits contributors by entries of an index: all that are not distributed, or, of a long chain, its last ones, and in
    /// further calls those before. Anyone may call it. Calls no token, so none can stop it.
    ///
    /// An entry whose shares are not what an index in range can publish credits nobody: all of it is unattributed, as is what
    /// an entry's shares leave of 65,535. What is unattributed is burnt. Divided among those who have shares, it would pay a
    /// contributor for filling the list with slots of his own; so nobody gains by a split, and it does not matter who distributes
    /// in which pieces.
    ///
    /// @param before the chain's head before the first of the entries.
    /// @param entries in the order in which they were paid.
    function distribute(uint256 index, bytes32 before, Entry[] calldata entries) external nonReentrant {
        _walk(index, before, entries);
        Run memory run;
        (, uint256 version) = commitments.indexParents(index);
        uint256 contributors;
        (,, contributors, run.digest) = commitments.datanets(version);
        run.amounts = new uint256[](contributors);
        run.token = entries[0].token;
        for (uint256 i = 0; i < entries.length; ++i) {
            Entry calldata entry = entries[i];
            if (entry.token != run.token) {
                _store(index, run);
                run.token = entry.token;
            }
            uint256 credited = _divide(run, entry);
            run.credited += credited;
            run.unattributed += entry.amount - credited;
        }
        _store(index, run);
    }

    /// Moves the walk back over the entries.
    function _walk(uint256 index, bytes32 before, Entry[] calldata entries) private {
        Chain storage chain = chains[index];
        bytes32 done = chain.done;
        bytes32 target = chain.target;
        bytes32 cursor = target;
        if (target == 0) {
            target = cursor = escrow.attributionHeads(index);
            if (target == done) revert NothingToDistribute(index);
        } else {
            cursor = chain.cursor;
        }
        if (entries.length == 0) revert NothingToDistribute(index);
        bytes32 head = before;
        uint256 known;
        assembly ("memory-safe") {
            // The head, then the entry as it stands in the calldata.
            let message := mload(0x40)
            mstore(message, before)
            let entry := entries.offset
            for { let i := 0 } lt(i, entries.length) { i := add(i, 1) } {
                calldatacopy(add(message, 0x20), entry, ENTRY_BYTES)
                head := keccak256(message, add(ENTRY_BYTES, 0x20))
                if eq(head, done) {
                    known := add(i, 1)
                    break
                }
                mstore(message, head)
                entry := add(entry, ENTRY_BYTES)
            }
        }
        if (known != 0) revert AlreadyDistributed(known - 1);
        if (head != cursor) revert OtherEntries(cursor, head);
        if (before == done) {
            chain.done = target;
            if (chain.target != 0) (chain.target, chain.cursor) = (0, 0);
        } else {
            (chain.target, chain.cursor) = (target, before);
        }
    }

    /// Adds the entry's parts, each rounded down; none if slots do not ascend, one with a share is not the version's, or shares add
    /// up to more than a whole.
    ///
    /// The amount is the escrow's, below 2^96.
    function _divide(Run memory run, Entry calldata entry) private pure returns (uint256 credited) {
        uint256[] memory amounts = run.amounts;
        assembly ("memory-safe") {
            let count := mload(amounts)
            let amount := calldataload(add(entry, ENTRY_AMOUNT))
            let from := add(entry, ENTRY_SHARES)
            let bad := 0
            let next := 0
            let sum := 0
            for { let at := from } lt(at, add(from, 0x80)) { at := add(at, 0x20) } {
                let word := calldataload(at)
                bad := or(bad, shr(224, word))
                for { let end := 224 } end { end := sub(end, 28) } {
                    let slot := and(word, 0xfff)
                    bad := or(bad, lt(slot, next))
                    next := add(slot, 1)
                    word := shr(12, word)
                    let share := and(word, 0xffff)
                    word := shr(16, word)
                    // Absent contributors are listed too, if there are fewer than 32.
                    if share {
                        sum := add(sum, share)
                        switch lt(slot, count)
                        case 0 { bad := 1 }
                        default {
                            let part := div(mul(amount, share), WHOLE_SHARE)
                            let place := add(amounts, shl(5, next))
                            mstore(place, add(mload(place), part))
                            credited := add(credited, part)
                        }
                    }
                }
            }
            if or(bad, gt(sum, WHOLE_SHARE)) {
                // What was added is taken back.
                credited := 0
                for { let at := from } lt(at, add(from, 0x80)) { at := add(at, 0x20) } {
                    let word := calldataload(at)
                    for { let end := 224 } end { end := sub(end, 28) } {
                        let slot := and(word, 0xfff)
                        if lt(slot, count) {
                            let part := div(mul(amount, and(shr(12, word), 0xffff)), WHOLE_SHARE)
                            let place := add(add(amounts, 0x20), shl(5, slot))
                            mstore(place, sub(mload(place), part))
                        }
                        word := shr(28, word)
                    }
                }
            }
        }
    }

    /// Credits a run and leaves it empty.
    function _store(uint256 index, Run memory run) private {
        (uint256 credited, uint256 unattributed) = (run.credited, run.unattributed);
        uint256[] memory amounts = run.amounts;
        mapping(uint256 pair => uint256) storage owed_ = _owed[run.digest][run.token];
        for (uint256 slot = 0; credited != 0 && slot < amounts.length; slot += 2) {
            uint256 low = amounts[slot];
            uint256 high = slot + 1 < amounts.length ? amounts[slot + 1] : 0;
            if (low | high == 0) continue;
            amounts[slot] = 0;
            if (slot + 1 < amounts.length) amounts[slot + 1] = 0;
            uint256 word = owed_[slot / 2];
            owed_[slot / 2] = _half((word & type(uint128).max) + low) | _half((word >> 128) + high) << 128;
        }
        if (unattributed != 0) burnable[run.token] += unattributed;
        emit Distributed(index, run.token, credited, unattributed);
        (run.credited, run.unattributed) = (0, 0);
    }

    function _half(uint256 amount) private pure returns (uint256) {
        if (amount > type(uint128).max) revert AmountTooLarge(amount);
        return amount;
    }

    // Payment

    /// What a slot of these contributors is owed. Slots of names, and of digests that nobody opens, are held for ever.
    function owed(bytes32 contributors, uint256 slot, address token) public view returns (uint256) {
        return _owed[contributors][token][slot / 2] >> (slot % 2 * 128) & type(uint128).max;
    }

    /// Pays out what the caller's slot is owed, where the contributor is the caller's address.
    /// @param count of the contributors.
    /// @param root of their tree.
    /// @param path from the slot's leaf to the root.
    function claim(uint32 count, bytes32 root, uint256 slot, bytes32[] calldata path, address token, address to)
        external
        nonReentrant
        returns (uint256 amount)
    {
        bytes32 word = keccak256(abi.encodePacked(TAG_CONTRIBUTOR_ADDRESS, msg.sender));
        return _claim(Records.contributorsDigest(count, root), root, slot, word, path, token, to);
    }

    /// {claim} where the contributor is keccak256(abi.encode(caller, salt)).
    function claimByHash(
        uint32 count,
        bytes32 root,
        uint256 slot,
        bytes32[] calldata path,
        bytes32 salt,
        address token,
        address to
    ) external nonReentrant returns (uint256 amount) {
        bytes32 hash = keccak256(abi.encode(msg.sender, salt));
        bytes32 word = keccak256(abi.encodePacked(TAG_CONTRIBUTOR_HASH, hash));
        return _claim(Records.contributorsDigest(count, root), root, slot, word, path, token, to);
    }

    function _claim(
        bytes32 contributors,
        bytes32 root,
        uint256 slot,
        bytes32 word,
        bytes32[] calldata path,
        address token,
        address to
    ) private returns (uint256 amount) {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(slot, word))));
        if (!MerkleProof.verifyCalldata(path, root, leaf)) revert NotContributor(slot, msg.sender);
        amount = owed(contributors, slot, token);
        if (amount == 0) revert NothingToClaim(contributors, slot, token);
        if (to == address(0) || to == address(this)) revert RecipientInvalid(to);
        _owed[contributors][token][slot / 2] -= amount << (slot % 2 * 128);
        emit Claimed(contributors, slot, msg.sender, token, to, amount);
        _pull(token);
        _pay(token, to, amount);
    }

    /// Burns what is unattributed; what cannot be burnt goes where nobody is. Anyone may call it.
    function burn(address token) external nonReentrant returns (uint256 amount) {
        amount = burnable[token];
        if (amount == 0) revert NothingToBurn(token);
        burnable[token] = 0;
        emit Burnt(token, amount);
        _pull(token);
        if (token == open) ERC20Burnable(token).burn(amount);
        else _pay(token, DEAD, amount);
    }

    /// Takes what the escrow has for this contract.
    function _pull(address token) private {
        if (escrow.balances(token, address(this)) != 0) escrow.withdraw(token, address(this));
    }

    function _pay(address token, address to, uint256 amount) private {
        if (token != NATIVE) return IERC20(token).safeTransfer(to, amount);
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!ok) revert TransferFailed(to, amount);
    }
}
