// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Bounds, Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "./Cheats.sol";
import {PlainToken, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Does one random thing per call, as anybody, sensible or not; keeps account of what should be.
contract EscrowHandler is World {
    uint256 public constant MOST_REQUESTS = 24;

    address[3] public tokens;
    address[] public accounts;
    uint24[] public lines;
    Puppet public consumer;
    InferenceRequest[] private _made;
    uint256[] private _ids;
    uint256 public calls;

    mapping(address token => uint256) public deposits;
    mapping(address token => uint256) public withdrawn;
    mapping(uint256 id => uint256) public timesPaid;
    mapping(uint256 id => uint256) public timesReturned;
    /// Calls that did something, by kind.
    uint256[10] public done;
    string public failure;

    constructor() {
        _world();
        PlainToken plain = new PlainToken();
        tokens = [address(0), address(open), address(plain)];
        vm.prank(GOVERNANCE);
        escrow.setToken(address(plain), true);
        for (uint256 i = 2; i < 4; ++i) {
            (uint256 adapter, uint24 line) =
                _publishAdapter(ADAPTER_OWNER, ADAPTER_POT, i, _split(5_000, 3_501, 777, 722), 0);
            adapters.push(adapter);
            adapterLines.push(line);
        }
        adapters.push(0);
        lines = [baseLine, adapterLines[0], adapterLines[1], adapterLines[2]];
        consumer = new Puppet();
        accounts = [requester, prover, RELAYER, STRANGER, ADAPTER_OWNER, ADAPTER_POT, BASE_OWNER, BASE_POT];
        for (uint256 i = 0; i < accounts.length; ++i) {
            cheats.deal(accounts[i], 1e30);
            plain.mint(accounts[i], 1e30);
            cheats.startPrank(accounts[i]);
            plain.approve(address(escrow), type(uint256).max);
            open.approve(address(escrow), type(uint256).max);
            cheats.stopPrank();
        }
        mock.setGullible(true);
    }

    function requestCount() external view returns (uint256) {
        return _made.length;
    }

    function idOf(uint256 index) public view returns (uint256) {
        return _ids[index];
    }

    function accountCount() external view returns (uint256) {
        return accounts.length;
    }

    function world() external view returns (InferenceEscrow) {
        return escrow;
    }

    modifier counted() {
        ++calls;
        _;
    }

    function _account(uint256 seed) private view returns (address) {
        return accounts[seed % accounts.length];
    }

    function _known(uint256 seed) private view returns (InferenceRequest memory) {
        return _made[seed % _made.length];
    }

    // Actions

    function lock(uint256 seed, uint96 fee, uint16 seconds_) external counted {
        if (_made.length == MOST_REQUESTS) return;
        InferenceRequest memory request = _request(seed);
        request.adapter = adapters[seed % 4];
        request.kind = request.adapter == 0 || seed >> 8 & 1 == 0 ? OUTPUT_EMBED : OUTPUT_CLASSIFY;
        request.token = tokens[(seed >> 16) % 3];
        request.deadline = uint64(clock + seconds_ % 2_000);
        request.maxFee = fee % 1e24 + 1;
        if (seed >> 24 & 3 == 0) request.prover = _account(seed >> 32);
        if (seed >> 40 & 3 == 0) {
            (request.consumer, request.consumerGas) = (address(consumer), uint32((seed >> 48) % 50_000));
        }
        bool relayed = seed >> 80 & 1 == 0;
        address payer = relayed ? _account(seed >> 88) : requester;
        uint96 amount = uint96(payer == requester ? 1 + request.maxFee * (seed >> 96 & 0xff) / 256 : request.maxFee);
        bytes memory signature = payer == requester ? bytes("") : _signed(request);
        uint256 value = request.token == address(0) ? amount : 0;
        uint256 before = _escrowBalance(request.token);
        uint16 trusted = payer == requester && seed >> 104 & 7 == 0 ? 1 : CIRCUITS;
        vm.prank(payer);
        try escrow.lock{value: value}(request, amount, trusted, signature) {
            deposits[request.token] += amount;
            if (_escrowBalance(request.token) != before + amount) failure = "deposit";
            _made.push(request);
            _ids.push(escrow.requestId(request));
            ++done[0];
        } catch {}
    }

    function accept(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        vm.prank(_account(by));
        try escrow.accept(_known(seed)) {
            ++done[1];
        } catch {}
    }

    function cancel(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        vm.prank(by % 2 == 0 ? requester : _account(by));
        try escrow.cancel(request) {
            ++timesReturned[escrow.requestId(request)];
            ++done[2];
        } catch {}
    }

    function refund(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        vm.prank(_account(by));
        try escrow.refund(request) {
            if (clock <= request.deadline) failure = "early refund";
            ++timesReturned[escrow.requestId(request)];
            ++done[3];
        } catch {}
    }

    function refuse(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        address refuser = escrow.lockOf(escrow.requestId(request)).prover;
        if (by % 4 == 0) refuser = _account(by);
        vm.prank(refuser);
        try escrow.refuse(request, uint8(by), "") {
            ++timesReturned[escrow.requestId(request)];
            ++done[4];
        } catch {}
    }

    /// Batches of requests in any state, repeated ones too, with true or other fees.
    function settle(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory first = _known(seed);
        uint256 count = 1 + by % 4;
        InferenceRequest[] memory batch = new InferenceRequest[](count);
        bool[] memory open_ = new bool[](count);
        for (uint256 i = 0; i < count; ++i) {
            batch[i] = i == 0 ? first : _known(seed >> 16 * i);
            // One of another kind would only make all of it fail.
            if (batch[i].kind != first.kind) batch[i] = first;
        }
        address payee = first.prover == address(0) ? _account(seed >> 128) : first.prover;
        Settlement memory settlement = _settlement(batch, payee);
        for (uint256 i = 0; i < count; ++i) {
            Status status = _status(settlement.requests[i].id);
            open_[i] = status == Status.Locked || status == Status.Accepted;
            if (seed >> 140 & 15 == i + 8) settlement.requests[i].fee += 1;
        }
        consumer.set(Puppet.Mode((seed >> 150) % 9), address(escrow), abi.encodeCall(escrow.refund, (first)));
        vm.prank(_account(by));
        try escrow.settle(_circuit(batch), settlement, _terms(batch)) {
            for (uint256 i = 0; i < count; ++i) {
                uint256 id = settlement.requests[i].id;
                bool paid = open_[i] && _status(id) == Status.Settled;
                for (uint256 j = 0; j < i; ++j) {
                    if (settlement.requests[j].id == id) paid = false;
                }
                if (!paid) continue;
                if (clock > batch[i].deadline) failure = "settled after the deadline";
                if (batch[i].prover != address(0) && batch[i].prover != payee) {
                    failure = "another than the named prover";
                }
                ++timesPaid[id];
            }
            ++done[5];
        } catch {}
    }

    function withdraw(uint256 seed, uint256 kind) external counted {
        address token = tokens[seed % 3];
        address to = address(0xbeef);
        uint256 before = token == address(0) ? to.balance : _balanceOf(token, to);
        uint24 line = lines[(seed >> 8) % 4];
        if (kind % 3 == 0) {
            vm.prank(_account(seed >> 16));
            try escrow.withdraw(token, to) {
                ++done[6];
            } catch {}
        } else {
            address by = kind % 3 == 1 ? models.ownerOf(line) : models.potOf(line);
            if (seed >> 32 & 3 == 0) by = _account(seed >> 40);
            vm.prank(by);
            if (kind % 3 == 1) {
                try escrow.withdrawLine(line, token, to) {
                    ++done[7];
                } catch {}
            } else {
                try escrow.withdrawPot(line, token, to) {
                    ++done[8];
                } catch {}
            }
        }
        withdrawn[token] += (token == address(0) ? to.balance : _balanceOf(token, to)) - before;
    }

    function warp(uint16 seconds_) external counted {
        _advance(seconds_ % 300);
        ++done[9];
    }

    /// Owners, pots and governance do what they may.
    function govern(uint256 seed) external counted {
        uint24 line = lines[seed % 4];
        uint256 what = (seed >> 8) % 6;
        if (what == 0) {
            address to = _account(seed >> 16);
            vm.prank(models.ownerOf(line));
            models.offerLine(line, to);
            uint64 nonce = models.nonceOf(line);
            vm.prank(to);
            models.acceptLine(line, nonce);
        } else if (what == 1) {
            vm.prank(models.potOf(line));
            models.setPot(line, _account(seed >> 16));
        } else if (what == 2) {
            vm.prank(GOVERNANCE);
            escrow.setToken(tokens[2], seed >> 16 & 1 == 0);
        } else if (what == 3) {
            vm.prank(GOVERNANCE);
            models.setBounds(Bounds(uint16(1_000 + (seed >> 16) % 7_001), uint16((seed >> 32) % 1_001), 2_000));
        } else if (what == 4) {
            // A version other than those that requests need, once in a while.
            if (seed >> 16 & 0xff != 0) return;
            address owner = models.ownerOf(models.lineOf(adapters[2]));
            vm.prank(owner);
            try models.retire(adapters[2]) {} catch {}
        } else {
            vm.prank(GOVERNANCE);
            models.setDeploymentFee(Kind.Adapter, seed >> 16 & 0xffff);
        }
    }

    /// The end: time passes, everybody takes what is his.
    function finish() external {
        _advance(30 days);
        for (uint256 i = 0; i < _made.length; ++i) {
            Lock memory locked = escrow.lockOf(idOf(i));
            if (locked.status == Status.Locked || locked.status == Status.Accepted) escrow.refund(_made[i]);
        }
        for (uint256 t = 0; t < 3; ++t) {
            address token = tokens[t];
            for (uint256 i = 0; i < accounts.length; ++i) {
                if (escrow.balances(token, accounts[i]) == 0) continue;
                vm.prank(accounts[i]);
                escrow.withdraw(token, address(0xbeef));
            }
            for (uint256 i = 0; i < lines.length; ++i) {
                (uint256 owner, uint256 contributors) = _lineOwed(token, lines[i]);
                if (owner != 0) {
                    vm.prank(models.ownerOf(lines[i]));
                    escrow.withdrawLine(lines[i], token, address(0xbeef));
                }
                if (contributors != 0) {
                    vm.prank(models.potOf(lines[i]));
                    escrow.withdrawPot(lines[i], token, address(0xbeef));
                }
            }
            require(_escrowBalance(token) == 0, "something is stuck");
        }
    }

    // Sums

    function held(address token) public view returns (uint256) {
        return _escrowBalance(token);
    }

    function locked(address token) public view returns (uint256 sum) {
        for (uint256 i = 0; i < _ids.length; ++i) {
            if (_made[i].token == token) sum += escrow.lockOf(_ids[i]).fee;
        }
    }

    function owed(address token) public view returns (uint256 sum) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += escrow.balances(token, accounts[i]);
        }
        for (uint256 i = 0; i < lines.length; ++i) {
            (uint256 owner, uint256 contributors) = _lineOwed(token, lines[i]);
            sum += owner + contributors;
        }
    }
}
