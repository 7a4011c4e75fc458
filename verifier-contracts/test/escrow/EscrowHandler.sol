// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EscrowAccounts} from "../../src/EscrowAccounts.sol";
import {InferenceEscrow} from "../../src/InferenceEscrow.sol";
import {InferenceRequest} from "../../src/InferenceRequest.sol";
import {Bounds, Kind} from "../../src/ModelTerms.sol";
import {OUTPUT_CLASSIFY, OUTPUT_EMBED} from "../../src/OutputKind.sol";
import {Lock, Status} from "../../src/RequestRecord.sol";
import {Request, Settlement} from "../../src/Settlement.sol";
import {vm} from "../Vm.sol";
import {cheats} from "../Cheats.sol";
import {PlainToken, Puppet} from "./Mocks.sol";
import {World} from "./World.sol";

/// Does one random thing per call, as anybody, sensible or not; keeps account of what should be.
contract EscrowHandler is World {
    uint256 public constant MOST_REQUESTS = 48;
    /// Prepaid requests have salts below this, so that equal ones meet.
    uint256 public constant SALTS = 300;
    uint256 public constant KINDS = 28;

    address[3] public tokens;
    address[] public accounts;
    uint24[] public lines;
    Puppet public consumer;
    InferenceRequest[] private _made;
    uint256[] private _ids;
    uint256 public calls;

    /// Of each escrow.
    mapping(address escrow => mapping(address token => uint256)) public deposits;
    mapping(address escrow => mapping(address token => uint256)) public withdrawn;
    mapping(uint256 id => uint256) public timesPaid;
    mapping(uint256 id => uint256) public timesReturned;
    /// Payments of prepaid requests, by the prover that they name and salt.
    mapping(address named => mapping(uint256 salt => uint256)) public timesDrawn;
    /// When the request's present acceptance began, and whether a route had stopped when it was taken on.
    mapping(uint256 id => uint256) private _acceptedAt;
    uint256 public stakesDeposited;
    uint256 public stakesWithdrawn;
    uint256 public stakesBurnt;
    /// Calls that did something, by kind.
    uint256[28] public done;
    string public failure;

    constructor() {
        _world();
        _deployPrepaid();
        PlainToken plain = new PlainToken();
        tokens = [address(0), address(open), address(plain)];
        cheats.startPrank(GOVERNANCE);
        escrow.setToken(address(plain), true);
        prepaid.setToken(address(plain), true);
        cheats.stopPrank();
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
            open.transfer(accounts[i], 1_000_000 ether);
            plain.mint(accounts[i], 1e30);
            cheats.startPrank(accounts[i]);
            plain.approve(address(escrow), type(uint256).max);
            open.approve(address(escrow), type(uint256).max);
            plain.approve(address(prepaid), type(uint256).max);
            open.approve(address(prepaid), type(uint256).max);
            open.approve(address(stakes), type(uint256).max);
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

    function world() external view returns (InferenceEscrow) {
        return escrow;
    }

    function escrows() public view returns (address[2] memory) {
        return [address(escrow), address(prepaid)];
    }

    modifier counted() {
        ++calls;
        _;
    }

    function _account(uint256 seed) private view returns (address) {
        return accounts[seed % accounts.length];
    }

    function _known(uint256 seed) private view returns (InferenceRequest memory) {
        // One of the last four half of the time: the older ones have ended.
        uint256 count = _made.length;
        if (seed >> 100 & 1 == 0 && count > 4) return _made[count - 1 - seed % 4];
        return _made[seed % count];
    }

    function _held(address where, address token) private view returns (uint256) {
        return token == address(0) ? where.balance : _balanceOf(token, where);
    }

    // Actions

    function _random(uint256 seed, uint96 fee, uint16 seconds_) private view returns (InferenceRequest memory request) {
        request = _request(seed);
        request.adapter = adapters[seed % 4];
        request.kind = request.adapter == 0 || seed >> 8 & 1 == 0 ? OUTPUT_EMBED : OUTPUT_CLASSIFY;
        request.token = tokens[(seed >> 16) % 3];
        request.deadline = uint64(clock + seconds_ % 2_000);
        request.maxFee = fee % 1e24 + 1;
        request.minFee = request.maxFee;
        if (seed >> 24 & 3 == 0) request.prover = _account(seed >> 32);
        if (seed >> 40 & 3 == 0) {
            (request.consumer, request.consumerGas) = (address(consumer), uint32((seed >> 48) % 50_000));
        }
        // A price that rises.
        if (seed >> 112 & 1 == 0) {
            request.minFee = request.maxFee * (seed >> 114 & 0xff) / 256;
            request.rampStart = uint64(clock + (seed >> 122 & 0xff));
            request.rampTime = uint32(seed >> 130 & 0x1ff);
        }
    }

    function lock(uint256 seed, uint96 fee, uint16 seconds_) external counted {
        if (_made.length == MOST_REQUESTS) return;
        InferenceRequest memory request = _random(seed, fee, seconds_);
        if (seed >> 140 & 1 == 0) request.acceptTime = uint32(seed >> 141 & 0xff);
        // Who is not named puts up a stake where the price rises.
        bool open_ = request.prover == address(0) && request.minFee < request.maxFee;
        if (open_ || seed >> 150 & 1 == 0) {
            request.stake = uint96(seed >> 151 & 0xffff) + 1;
            request.acceptTime += uint32(seed >> 168 & 0xff) + 1;
        }
        if (seed >> 104 & 7 == 0) request.routes = request.kind == OUTPUT_CLASSIFY ? 2 : 1;
        bool relayed = seed >> 80 & 1 == 0;
        address payer = relayed ? _account(seed >> 88) : requester;
        uint96 amount = uint96(payer == requester ? 1 + request.maxFee * (seed >> 96 & 0xff) / 256 : request.maxFee);
        bytes memory signature = payer == requester ? bytes("") : _signed(request);
        uint256 value = request.token == address(0) ? amount : 0;
        uint256 before = _escrowBalance(request.token);
        address refundTo = seed >> 170 & 3 == 0 ? _account(seed >> 172) : address(0);
        vm.prank(payer);
        try escrow.lock{value: value}(request, amount, refundTo, signature) returns (uint256 id) {
            deposits[address(escrow)][request.token] += amount;
            if (_escrowBalance(request.token) != before + amount) failure = "deposit";
            if (escrow.lockOf(id).payer != (refundTo == address(0) ? payer : refundTo)) failure = "payer";
            _made.push(request);
            _ids.push(id);
            ++done[0];
        } catch {}
    }

    /// What an acceptance changes: the price, at most once and downwards.
    function _accepted(InferenceRequest memory request, Lock memory before, address by) private {
        Lock memory after_ = escrow.lockOf(escrow.requestId(request));
        if (after_.status != Status.Accepted || after_.prover != by) failure = "accepted";
        if (after_.fee > before.fee || after_.fee == 0) failure = "price";
        if (before.status == Status.Accepted) {
            if (after_.fee != before.fee) failure = "price fixed twice";
            if (request.stake != 0 || clock <= request.deadline - before.early) failure = "accepted while it holds";
            ++done[10];
        }
        if (after_.fee != before.fee) ++done[11];
        if (request.stake != 0) ++done[12];
        _acceptedAt[escrow.requestId(request)] = clock;
    }

    /// Of a request that ended unserved, or is served late: its stake is lost unless something stopped since it was accepted.
    function _stakeEnded(InferenceRequest memory request, Lock memory before, uint256 burnable) private {
        if (request.stake == 0 || before.status != Status.Accepted) return;
        bool lost = stakes.burnable() != burnable;
        bool stopped = router.lastStop() >= _acceptedAt[escrow.requestId(request)];
        if (lost == stopped) failure = stopped ? "a stopped prover's stake is lost" : "an earlier stop excuses";
        ++done[lost ? 24 : 25];
    }

    function accept(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        if (by >> 26 & 1 == 0) request = _endingAcceptance(request);
        Lock memory before = escrow.lockOf(escrow.requestId(request));
        address who = request.prover != address(0) && by >> 8 & 3 != 0 ? request.prover : _account(by);
        // The second after an acceptance.
        if (by >> 26 & 1 == 0 && before.status == Status.Accepted && request.stake == 0) {
            uint256 until = request.deadline - before.early;
            if (before.early != 0 && clock <= until) _advance(until + 1 - clock);
        }
        // Mostly it has what is demanded.
        if (by >> 24 & 3 != 0) _putUp(who, request.stake);
        vm.prank(who);
        try escrow.accept(request) {
            _accepted(request, before, who);
            ++done[1];
        } catch {}
    }

    /// One whose acceptance, without a stake, ends before the deadline, if there is one.
    function _endingAcceptance(InferenceRequest memory otherwise) private view returns (InferenceRequest memory) {
        for (uint256 i = _made.length; i > 0; --i) {
            if (_made[i - 1].stake != 0 || _made[i - 1].acceptTime == 0) continue;
            Lock memory lock_ = escrow.lockOf(_ids[i - 1]);
            if (lock_.status == Status.Accepted && lock_.early != 0) return _made[i - 1];
        }
        return otherwise;
    }

    function _pause(uint256 seed) private {
        bytes32[] memory paused = new bytes32[](1);
        paused[0] = seed & 1 == 0 ? embed : classify;
        vm.prank(GUARDIAN);
        try router.pause(paused, uint40(1 + (seed >> 8) % 600)) {
            ++done[23];
        } catch {}
    }

    function _putUp(address who, uint256 amount) private {
        if (stakes.free(who) >= amount) return;
        vm.prank(who);
        stakes.deposit(who, amount);
        stakesDeposited += amount;
    }

    function acceptMany(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest[] memory some = new InferenceRequest[](1 + by % 3);
        for (uint256 i = 0; i < some.length; ++i) {
            some[i] = _known(seed >> 16 * i);
        }
        address who = _account(by >> 8);
        Lock[] memory before = new Lock[](some.length);
        for (uint256 i = 0; i < some.length; ++i) {
            before[i] = escrow.lockOf(escrow.requestId(some[i]));
        }
        vm.prank(who);
        try escrow.acceptMany(some) returns (uint256 count) {
            if (count != 0) ++done[13];
            for (uint256 i = 0; i < some.length; ++i) {
                uint256 id = escrow.requestId(some[i]);
                Lock memory after_ = escrow.lockOf(id);
                bool began = before[i].status != Status.Accepted || before[i].early != after_.early;
                if (after_.status == Status.Accepted && after_.prover == who && began) _acceptedAt[id] = clock;
            }
        } catch {}
    }

    function cancel(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        Lock memory before = escrow.lockOf(escrow.requestId(request));
        vm.prank(by % 2 == 0 ? requester : _account(by));
        try escrow.cancel(request) {
            if (
                before.status == Status.Accepted
                    && (request.stake != 0 || clock <= request.deadline - before.early)
            ) failure = "cancelled while an acceptance holds";
            ++timesReturned[escrow.requestId(request)];
            ++done[2];
        } catch {}
    }

    function refund(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        Lock memory before = escrow.lockOf(escrow.requestId(request));
        // Something stops after it was accepted: a route that nobody uses is frozen.
        bool staked = before.status == Status.Accepted && request.stake != 0;
        if (staked && by >> 16 & 1 == 0) _freeze(_addRoute(OUTPUT_EMBED, 1_000 + calls));
        // The second after the deadline.
        if (by >> 17 & (staked ? 1 : 7) == 0 && clock <= request.deadline) _advance(request.deadline + 1 - clock);
        uint256 burnable = stakes.burnable();
        vm.prank(_account(by));
        try escrow.refund(request) {
            if (clock <= request.deadline) failure = "early refund";
            _stakeEnded(request, before, burnable);
            ++timesReturned[escrow.requestId(request)];
            ++done[3];
        } catch {}
    }

    function refuse(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory request = _known(seed);
        uint256 id = escrow.requestId(request);
        Lock memory before = escrow.lockOf(id);
        address refuser = before.prover;
        if (by % 4 == 0) refuser = _account(by);
        uint256 burnable = stakes.burnable();
        vm.prank(refuser);
        try escrow.refuse(request, uint8(by), 0, "") {
            if (request.prover == address(0)) {
                Lock memory locked = escrow.lockOf(id);
                // Open to everybody at once.
                if (request.stake == 0 && locked.status != Status.Locked) failure = "not reopened";
                if (request.stake != 0 && request.deadline - locked.early >= clock) failure = "still exclusive";
                ++done[14];
            } else {
                _stakeEnded(request, before, burnable);
                ++timesReturned[id];
                ++done[4];
            }
        } catch {}
    }

    /// Batches of requests in any state, repeated ones too, with true or other fees.
    function settle(uint256 seed, uint256 by) external counted {
        if (_made.length == 0) return;
        InferenceRequest memory first = _known(seed);
        uint256 count = 1 + by % 4;
        InferenceRequest[] memory batch = new InferenceRequest[](count);
        Lock[] memory before = new Lock[](count);
        for (uint256 i = 0; i < count; ++i) {
            batch[i] = i == 0 ? first : _known(seed >> 16 * i);
            // One of another kind, or for another prover, would only make all of it fail.
            bool other = batch[i].kind != first.kind
                || (batch[i].prover != first.prover && batch[i].prover != address(0));
            if (other && seed >> 156 & 7 != 0) batch[i] = first;
        }
        address payee = first.prover == address(0) ? _account(seed >> 128) : first.prover;
        Settlement memory settlement = _settlement(batch, payee);
        for (uint256 i = 0; i < count; ++i) {
            before[i] = escrow.lockOf(settlement.requests[i].id);
            if (seed >> 140 & 15 == i + 8) settlement.requests[i].fee += 1;
        }
        if (seed >> 145 & 3 != 0 && before[0].status == Status.Accepted && first.prover == address(0)) {
            payee = settlement.payee = before[0].prover;
        }
        consumer.set(Puppet.Mode((seed >> 150) % 9), address(escrow), abi.encodeCall(escrow.refund, (first)));
        vm.prank(_account(by));
        try escrow.settle(_route(batch), settlement, _terms(batch), by >> 16 & 1) {
            for (uint256 i = 0; i < count; ++i) {
                _settled(batch, settlement.requests, before[i], payee, i);
            }
            ++done[5];
        } catch {}
    }

    function _settled(
        InferenceRequest[] memory batch,
        Request[] memory proven,
        Lock memory before,
        address payee,
        uint256 i
    ) private {
        uint256 id = proven[i].id;
        bool wasOpen = before.status == Status.Locked || before.status == Status.Accepted;
        bool paid = wasOpen && _status(id) == Status.Settled;
        for (uint256 j = 0; j < i; ++j) {
            if (proven[j].id == id) paid = false;
        }
        if (!paid) return;
        InferenceRequest memory request = batch[i];
        if (clock > request.deadline) failure = "settled after the deadline";
        if (request.prover != address(0) && request.prover != payee) failure = "another than the named prover";
        if (before.status == Status.Locked && (request.stake != 0 || request.minFee < request.maxFee)) {
            failure = "settled without an acceptance";
        }
        if (before.status == Status.Accepted && request.stake != 0) {
            if (clock > request.deadline - before.early) ++done[15];
            else if (payee != before.prover) failure = "another than the staked prover";
            else ++done[16];
        }
        ++timesPaid[id];
    }

    function withdraw(uint256 seed, uint256 kind) external counted {
        EscrowAccounts from = seed >> 48 & 1 == 0 ? EscrowAccounts(escrow) : EscrowAccounts(prepaid);
        address token = tokens[seed % 3];
        address to = address(0xbeef);
        uint256 before = _held(to, token);
        uint24 line = lines[(seed >> 8) % 4];
        if (kind % 3 == 0) {
            vm.prank(_account(seed >> 16));
            try from.withdraw(token, to) {
                ++done[6];
            } catch {}
        } else {
            address by = kind % 3 == 1 ? models.ownerOf(line) : models.potOf(line);
            if (seed >> 32 & 3 == 0) by = _account(seed >> 40);
            vm.prank(by);
            if (kind % 3 == 1) {
                try from.withdrawLine(line, token, to) {
                    ++done[7];
                } catch {}
            } else {
                try from.withdrawPot(line, token, to) {
                    ++done[8];
                } catch {}
            }
        }
        withdrawn[address(from)][token] += _held(to, token) - before;
    }

    // Stakes

    function stake(uint256 seed, uint96 amount) external counted {
        address by = _account(seed);
        uint256 what = seed >> 8 & 3;
        if (what < 2) {
            amount %= 1e6;
            vm.prank(by);
            stakes.deposit(_account(seed >> 16), amount);
            stakesDeposited += amount;
            ++done[17];
        } else if (what == 2) {
            uint256 free = stakes.free(by);
            uint256 part = seed >> 16 & 1 == 0 ? free : amount % 1e5;
            vm.prank(by);
            try stakes.withdraw(address(0xbeef), part) {
                if (part > free) failure = "stake withdrawn twice";
                stakesWithdrawn += part;
                ++done[18];
            } catch {}
        } else {
            uint256 supply = open.totalSupply();
            uint256 burnt = stakes.burn();
            if (supply - open.totalSupply() != burnt) failure = "burnt";
            stakesBurnt += burnt;
            if (burnt != 0) ++done[19];
        }
    }

    // Prepaid

    function prepay(uint256 seed, uint96 amount) external counted {
        address token = tokens[seed % 3];
        address named = seed >> 8 & 1 == 0 ? address(0) : _account(seed >> 16);
        amount = amount % 1e24 + 1;
        vm.prank(_account(seed >> 24));
        try prepaid.deposit{value: token == address(0) ? amount : 0}(requester, named, token, amount) {
            deposits[address(prepaid)][token] += amount;
            ++done[20];
        } catch {}
    }

    /// Deposits what the request costs at most.
    function _prepay(InferenceRequest memory request) private {
        uint96 amount = uint96(request.maxFee);
        uint256 value = request.token == address(0) ? amount : 0;
        vm.prank(RELAYER);
        try prepaid.deposit{value: value}(requester, request.prover, request.token, amount) {
            deposits[address(prepaid)][request.token] += amount;
        } catch {}
    }

    function leave(uint256 seed) external counted {
        address token = tokens[seed % 3];
        address named = seed >> 8 & 1 == 0 ? address(0) : _account(seed >> 16);
        (uint256 amount, uint64 leavingAt) = prepaid.deposits(requester, named, token);
        uint256 what = seed >> 24 & 7;
        if (what == 0) {
            vm.prank(requester);
            prepaid.stay(named, token);
        } else if (what < 5) {
            vm.prank(requester);
            prepaid.leave(named, token);
        } else {
            if (amount != 0 && leavingAt == 0 && seed >> 41 & 1 == 0) {
                vm.prank(requester);
                prepaid.leave(named, token);
                leavingAt = uint64(clock + 1 days);
            }
            if (leavingAt != 0 && leavingAt > clock && seed >> 40 & 1 == 0) _advance(leavingAt - clock);
            vm.prank(requester);
            try prepaid.take(named, token, address(0xbeef)) returns (uint256 taken) {
                if (taken != amount || leavingAt == 0 || clock < leavingAt) failure = "taken";
                withdrawn[address(prepaid)][token] += taken;
                ++done[21];
            } catch {}
        }
    }

    function draw(uint256 seed, uint256 by) external counted {
        InferenceRequest[] memory batch = new InferenceRequest[](1 + by % 4);
        bytes[] memory signatures = new bytes[](batch.length);
        Settlement memory settlement;
        settlement.payee = _account(seed >> 128);
        settlement.base = base;
        settlement.requests = new Request[](batch.length);
        bool[] memory before = new bool[](batch.length);
        for (uint256 i = 0; i < batch.length; ++i) {
            uint256 own = uint256(keccak256(abi.encode(seed, i)));
            InferenceRequest memory request = _random(own, uint96(own >> 160), uint16(own >> 200));
            // A few numbers, so that some come again.
            (request.salt, request.kind) = (own >> 180 & 15 == 0 ? own >> 184 % SALTS : (own >> 184) % SALTS, OUTPUT_EMBED);
            request.salt %= SALTS;
            if (request.prover != address(0) && own >> 220 & 15 != 0) request.prover = settlement.payee;
            batch[i] = request;
            uint256 id = prepaid.requestId(request);
            signatures[i] = _sign(own >> 230 & 7 == 0 ? PROVER_KEY : REQUESTER_KEY, id);
            settlement.requests[i] = Request(id, request.maxFee, request.adapter, request.inputDigest, 0, i);
            if (own >> 240 & 3 == 0) settlement.requests[i].fee = request.minFee;
            // Half of the time the deposit is large enough.
            if (own >> 242 & 1 == 0) _prepay(request);
            before[i] = prepaid.isPaid(requester, request.prover, request.salt);
        }
        try prepaid.settle(embed, settlement, _terms(batch), signatures, by >> 16 & 1) {
            _drawn(batch, before);
            ++done[22];
        } catch {}
    }

    function _drawn(InferenceRequest[] memory batch, bool[] memory before) private {
        for (uint256 i = 0; i < batch.length; ++i) {
            address named = batch[i].prover;
            bool paid = prepaid.isPaid(requester, named, batch[i].salt);
            if (before[i] && !paid) failure = "a payment is forgotten";
            for (uint256 j = 0; j < i; ++j) {
                // Counted already.
                if (batch[j].salt == batch[i].salt && batch[j].prover == named) paid = false;
            }
            if (!paid || before[i]) continue;
            ++done[named == address(0) ? 26 : 27];
            if (++timesDrawn[named][batch[i].salt] > 1) failure = "a salt is paid twice";
        }
    }

    // Time and governance

    function warp(uint16 seconds_) external counted {
        _advance(seconds_ % 300);
        ++done[9];
    }

    /// Owners, pots and governance do what they may.
    function govern(uint256 seed) external counted {
        uint24 line = lines[seed % 4];
        uint256 what = (seed >> 8) % 8;
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
        } else if (what == 5) {
            vm.prank(GOVERNANCE);
            models.setDeploymentFee(Kind.Adapter, seed >> 16 & 0xffff);
        } else if (what == 6) {
            _pause(seed >> 16);
        } else {
            vm.prank(GUARDIAN);
            try router.resume(seed >> 16 & 1 == 0 ? embed : classify) {} catch {}
        }
    }

    /// The end: time passes, everybody takes what is his.
    function finish() external {
        _advance(31 days);
        for (uint256 i = 0; i < _made.length; ++i) {
            Lock memory locked_ = escrow.lockOf(idOf(i));
            if (locked_.status == Status.Locked || locked_.status == Status.Accepted) escrow.refund(_made[i]);
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 free = stakes.free(accounts[i]);
            vm.prank(accounts[i]);
            stakes.withdraw(address(0xbeef), free);
        }
        stakes.burn();
        require(stakes.held() == 0 && open.balanceOf(address(stakes)) == 0, "a stake is stuck");
        for (uint256 t = 0; t < 3; ++t) {
            _takeAll(tokens[t]);
            _withdrawAll(escrow, tokens[t]);
            _withdrawAll(prepaid, tokens[t]);
        }
    }

    function _takeAll(address token) private {
        for (uint256 i = 0; i <= accounts.length; ++i) {
            address named = i == accounts.length ? address(0) : accounts[i];
            (uint256 amount,) = prepaid.deposits(requester, named, token);
            if (amount == 0) continue;
            vm.prank(requester);
            prepaid.leave(named, token);
            _advance(1 days);
            vm.prank(requester);
            prepaid.take(named, token, address(0xbeef));
        }
    }

    function _withdrawAll(EscrowAccounts from, address token) private {
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (from.balances(token, accounts[i]) == 0) continue;
            vm.prank(accounts[i]);
            from.withdraw(token, address(0xbeef));
        }
        for (uint256 i = 0; i < lines.length; ++i) {
            (uint256 owner, uint256 contributors) = from.lineBalances(token, lines[i]);
            if (owner != 0) {
                vm.prank(models.ownerOf(lines[i]));
                from.withdrawLine(lines[i], token, address(0xbeef));
            }
            if (contributors != 0) {
                vm.prank(models.potOf(lines[i]));
                from.withdrawPot(lines[i], token, address(0xbeef));
            }
        }
        require(_held(address(from), token) == 0, "something is stuck");
    }

    // Sums

    function held(address where, address token) public view returns (uint256) {
        return _held(where, token);
    }

    /// Fees of requests that are open, or prepaid deposits.
    function locked(address where, address token) public view returns (uint256 sum) {
        if (where == address(escrow)) {
            for (uint256 i = 0; i < _ids.length; ++i) {
                if (_made[i].token == token) sum += escrow.lockOf(_ids[i]).fee;
            }
            return sum;
        }
        for (uint256 i = 0; i <= accounts.length; ++i) {
            (uint256 amount,) =
                prepaid.deposits(requester, i == accounts.length ? address(0) : accounts[i], token);
            sum += amount;
        }
    }

    function owed(address where, address token) public view returns (uint256 sum) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += EscrowAccounts(where).balances(token, accounts[i]);
        }
        for (uint256 i = 0; i < lines.length; ++i) {
            (uint256 owner, uint256 contributors) = EscrowAccounts(where).lineBalances(token, lines[i]);
            sum += owner + contributors;
        }
    }

    /// Deposited, withdrawn, free, held, burnable, burnt; what accepted requests hold; OPEN that is there.
    function stakeSums() public view returns (uint256[8] memory sums) {
        (sums[0], sums[1], sums[5]) = (stakesDeposited, stakesWithdrawn, stakesBurnt);
        for (uint256 i = 0; i < accounts.length; ++i) {
            sums[2] += stakes.free(accounts[i]);
        }
        (sums[3], sums[4]) = (stakes.held(), stakes.burnable());
        for (uint256 i = 0; i < _ids.length; ++i) {
            if (escrow.lockOf(_ids[i]).status == Status.Accepted) sums[6] += _made[i].stake;
        }
        sums[7] = open.balanceOf(address(stakes));
    }
}
