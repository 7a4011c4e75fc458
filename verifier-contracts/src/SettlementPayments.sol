// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {AttributionPot} from "./AttributionPot.sol";
import {EscrowAccounts} from "./EscrowAccounts.sol";
import {IInferenceConsumer} from "./IInferenceConsumer.sol";
import {InferenceRequest, RequestHash, RequestTerms} from "./InferenceRequest.sol";
import {WHOLE} from "./ModelTerms.sol";
import {OUTPUT_CLASSIFY, isOutputKind} from "./OutputKind.sol";
import {RequestRecord} from "./RequestRecord.sol";
import {Request, Settlement} from "./Settlement.sol";
import {KEY_OUTPUT_KIND} from "./SettlementKey.sol";
import {VerifierRouter} from "./VerifierRouter.sol";

/// Why a request of a settled batch is not paid, or of several not accepted: what others can bring about, or time, does not
/// harm its companions.
enum Skip {
    /// Not locked, or paid, refunded, cancelled or refused already; of a prepaid request: paid already.
    NotLocked,
    Expired,
    /// The proof was made for another fee than the one that is owed.
    OtherFee,
    /// Its price rises until a prover accepts it, and none has.
    NotAccepted,
    /// Another prover has accepted it, with a stake, and is not late yet; of {InferenceEscrow-acceptMany}: has accepted it.
    Taken,
    /// A prepaid request's base or adapter is not served any more.
    NotServed,
    /// The requester, a contract, does not agree to its prepaid request.
    NotSigned,
    /// The deposit for a prepaid request is smaller than its fee.
    DepositTooSmall,
    /// Of {InferenceEscrow-acceptMany}: a route was paused or frozen lately, which would excuse its prover.
    Stopped,
    /// A prepaid request gives its consumer more gas than any call has.
    ConsumerGas
}

/// What both escrows have in common: routes that requests may name, tokens, and how the fees of a proven batch are divided.
abstract contract SettlementPayments is EscrowAccounts, EIP712, Ownable2Step {
    using RequestHash for InferenceRequest;

    /// A route that requests can name.
    struct Enabled {
        uint8 ordinal;
        uint8 kind;
        bool enabled;
    }

    /// What a batch's requests have in common, and sums that are not stored yet.
    struct Batch {
        uint256 base;
        /// The route's output kind and ordinal.
        uint256 kind;
        uint256 ordinal;
        address payee;
        uint24 baseLine;
        address token;
        uint256 prover;
        uint256 baseOwner;
        uint256 paid;
        /// The index by which the batch attributes, the end of its chain of entries, and what they are worth in the token.
        uint256 index;
        bytes32 head;
        uint256 attributed;
        /// Place of the present request's shares in the calldata.
        uint256 shares;
        /// The last request's adapter and the index that is pinned to it.
        uint256 adapter;
        uint256 pinned;
    }

    /// How one fee is divided.
    struct Division {
        uint24 line;
        uint256 adapterOwner;
        uint256 baseOwner;
        uint256 contributors;
    }

    event RouteEnabled(bytes32 indexed route, bytes32 indexed circuit, uint8 ordinal, uint256 kind);
    /// Frozen for good: no request can be settled by it any more.
    event RouteDropped(bytes32 indexed route, uint8 ordinal);
    event TokenAllowed(address indexed token, bool allowed);
    event RequestSettled(
        uint256 indexed requestId,
        address indexed prover,
        uint256 label,
        uint256 outputDigest,
        address token,
        uint256 proverShare,
        uint256 adapterOwnerShare,
        uint256 baseOwnerShare,
        uint256 contributorsShare
    );
    /// A request's contributors are paid by its shares: the entry that follows `before` in the index' chain.
    event Attributed(
        uint256 indexed index, bytes32 before, uint256 requestId, address token, uint256 amount, uint256[4] shares
    );
    event RequestSkipped(uint256 indexed requestId, Skip reason);
    event BatchSettled(bytes32 indexed route, address indexed prover, uint256 indexed base, uint256 paid);
    event ConsumerCalled(uint256 indexed requestId, address indexed consumer, bool success);

    error RouteNotEnabled(bytes32 route);
    error RouteAlreadyEnabled(bytes32 route);
    error RouteNotFrozen(bytes32 route);
    error TooManyRoutes(uint256 most);
    /// The circuit's kind of output is withdrawn or none.
    error RouteKindInvalid(bytes32 route, uint256 kind);
    error TokenNotAllowed(address token);
    /// OPEN and the gas token are allowed for good.
    error TokenFixed(address token);
    error TokenNotContract(address token);
    /// The chain has another id than the one that the escrow was deployed on: nothing is locked or settled any more.
    error OtherChain(uint256 expected, uint256 got);
    error SignatureInvalid(address signer);
    error NotNamedProver(uint256 requestId, address prover, address caller);
    error RequestCountMismatch(uint256 expected, uint256 got);
    error PayeeInvalid(address payee);
    /// These terms with the proven base, adapter, input digest and kind of output are not the request that the proof is for.
    error RequestIdMismatch(uint256 index, uint256 proven, uint256 got);
    /// The requester does not trust the route.
    error RouteNotNamed(uint256 requestId, uint256 routes, uint256 ordinal);
    /// The adapter's contributors are paid by this index, and the proof attributes by another one or by none.
    error OtherIndex(uint256 requestId, uint256 pinned, uint256 got);
    error LabelTooLarge(uint256 requestId, uint256 label);
    /// Others, or time, have left fewer requests of the batch to pay than the sender wants, or none.
    error TooFewPayable(uint256 paid, uint256 least);
    /// The transaction has too little gas for a consumer's call.
    error CallbackGas(uint256 requestId, uint256 needed);
    error NoRenouncing();

    // Places in a {Batch}.
    uint256 private constant BATCH_HEAD = 0x140;
    uint256 private constant BATCH_SHARES = 0x180;

    /// Most routes that an escrow can ever know: a request names them by bits of a word.
    uint256 public constant MAX_ROUTES = 240;
    /// Most gas of a consumer's call.
    uint32 public constant MAX_CONSUMER_GAS = 500_000;
    /// Covers what a call costs beside the gas that the callee has, with a cold address and a cold delegate.
    uint256 private constant CALL_OVERHEAD = 10_000;

    VerifierRouter public immutable router;
    /// Where contributors are paid by shares.
    AttributionPot public immutable attributionPot;
    /// EIP-712's domain of the chain that the escrow was deployed on.
    bytes32 private immutable _domain;
    uint256 private immutable _chain;

    /// Routes by ordinal.
    bytes32[] private _routes;
    mapping(bytes32 route => Enabled) public enabled;
    /// Bit i: the route of ordinal i classifies and is not known to be frozen.
    uint240 private _liveClassify;
    uint16 internal _routeCount;
    /// The same of routes that embed.
    uint240 private _liveEmbed;
    mapping(address token => bool allowed) private _tokens;
    /// Ends of the chains of entries, by which {AttributionPot} credits contributors.
    mapping(uint256 index => bytes32) public attributionHeads;

    constructor(VerifierRouter router_) {
        router = router_;
        attributionPot = new AttributionPot(models.commitments(), open);
        _domain = _domainSeparatorV4();
        _chain = block.chainid;
    }

    // Governance

    function renounceOwnership() public pure override {
        revert NoRenouncing();
    }

    /// Allows or disallows a token for new requests; locked and owed amounts stay what they are. A token whose balances
    /// change by themselves must never be allowed: its holders here would share the loss or lose the gain.
    function setToken(address token, bool allowed) external onlyOwner nonReentrant {
        if (token == NATIVE || token == open) revert TokenFixed(token);
        if (allowed && token.code.length == 0) revert TokenNotContract(token);
        _tokens[token] = allowed;
        emit TokenAllowed(token, allowed);
    }

    function isTokenAllowed(address token) public view returns (bool) {
        return token == NATIVE || token == open || _tokens[token];
    }

    // Routes

    /// Lets requests name a route of the router. Anyone may call it. No request depends on it that does not name it: what a
    /// requester signed before says nothing about this route.
    function enableRoute(bytes32 route) external nonReentrant {
        if (enabled[route].enabled) revert RouteAlreadyEnabled(route);
        (bytes32 circuit, address key) = router.servedKey(route);
        uint256 kind = _outputKind(key);
        if (!isOutputKind(kind)) revert RouteKindInvalid(route, kind);
        uint16 ordinal = _routeCount;
        if (ordinal == MAX_ROUTES) revert TooManyRoutes(MAX_ROUTES);
        _routeCount = ordinal + 1;
        _setLive(kind, _liveOf(kind) | 1 << ordinal);
        _routes.push(route);
        enabled[route] = Enabled({ordinal: uint8(ordinal), kind: uint8(kind), enabled: true});
        emit RouteEnabled(route, circuit, uint8(ordinal), kind);
    }

    /// Takes notice of a frozen route: requests that trust no other can be cancelled, and none is locked any more. Anyone
    /// may call it.
    function dropRoute(bytes32 route) external nonReentrant {
        Enabled memory dropped = enabled[route];
        if (!dropped.enabled) revert RouteNotEnabled(route);
        if (!router.isFrozen(route)) revert RouteNotFrozen(route);
        _setLive(dropped.kind, _liveOf(dropped.kind) & ~(uint256(1) << dropped.ordinal));
        emit RouteDropped(route, dropped.ordinal);
    }

    /// Routes in the order of their ordinals.
    function routes() external view returns (bytes32[] memory) {
        return _routes;
    }

    /// Bit i: the route of ordinal i is not known to be frozen.
    function liveRoutes() external view returns (uint256) {
        return _liveClassify | _liveEmbed;
    }

    /// {liveRoutes} of one kind of output: no other can settle a request of that kind.
    function _liveOf(uint256 kind) internal view returns (uint256) {
        return kind == OUTPUT_CLASSIFY ? _liveClassify : _liveEmbed;
    }

    function _setLive(uint256 kind, uint256 live) private {
        if (kind == OUTPUT_CLASSIFY) _liveClassify = uint240(live);
        else _liveEmbed = uint240(live);
    }

    function _routeOf(uint256 ordinal) internal view returns (bytes32) {
        return _routes[ordinal];
    }

    function _outputKind(address key) private view returns (uint256 kind) {
        assembly ("memory-safe") {
            // The content follows the STOP.
            extcodecopy(key, 0, add(KEY_OUTPUT_KIND, 1), 0x20)
            kind := mload(0)
        }
    }

    // A proven batch

    function _batch(bytes32 route, Settlement calldata settlement, uint256 terms)
        internal
        view
        returns (Batch memory batch)
    {
        _requireOwnChain();
        if (terms != settlement.requests.length) revert RequestCountMismatch(settlement.requests.length, terms);
        Enabled memory known = enabled[route];
        if (!known.enabled) revert RouteNotEnabled(route);
        (batch.ordinal, batch.kind) = (known.ordinal, known.kind);
        batch.payee = settlement.payee;
        if (batch.payee == address(0) || batch.payee == address(this)) revert PayeeInvalid(batch.payee);
        batch.base = settlement.base;
        batch.baseLine = models.lineOf(batch.base);
        uint256 index = settlement.index;
        if (index == 0) return batch;
        batch.index = index;
        batch.head = attributionHeads[index];
        uint256[] calldata shares = settlement.shares;
        assembly ("memory-safe") {
            // Before the first request's. That there are four words for each is the verifier's to check.
            mstore(add(batch, BATCH_SHARES), sub(shares.offset, 0x80))
        }
    }

    /// The request's id, if its terms with what is proven give it and the requester trusts the route.
    function _match(Batch memory batch, uint256 index, RequestTerms calldata request, Request calldata proven)
        internal
        view
        returns (uint256 id)
    {
        batch.shares += 0x80;
        id = _provenId(batch, request, proven);
        if (id != proven.id) revert RequestIdMismatch(index, proven.id, id);
        if (request.routes >> batch.ordinal & 1 == 0) revert RouteNotNamed(id, request.routes, batch.ordinal);
        if (request.prover != address(0) && request.prover != batch.payee) {
            revert NotNamedProver(id, request.prover, batch.payee);
        }
        if (proven.label >= RequestRecord.LABEL_BOUND) revert LabelTooLarge(id, proven.label);
    }

    function _provenId(Batch memory batch, RequestTerms calldata request, Request calldata proven)
        internal
        view
        virtual
        returns (uint256)
    {
        return uint256(
            _typed(RequestHash.hashProven(request, batch.base, proven.adapter, proven.inputDigest, batch.kind))
        );
    }

    /// Divides one request's fee; rounding leaves up to three of the smallest unit to the prover.
    /// @param shares line and basis points.
    function _divide(
        Batch memory batch,
        uint256 id,
        address token,
        uint256 fee,
        Division memory shares,
        Request calldata proven
    ) internal {
        uint256 adapterOwner = fee * shares.adapterOwner / WHOLE;
        uint256 baseOwner = fee * shares.baseOwner / WHOLE;
        uint256 contributors = fee * shares.contributors / WHOLE;
        uint256 prover = fee - adapterOwner - baseOwner - contributors;
        if (token != batch.token) {
            _storeSums(batch);
            batch.token = token;
        }
        batch.prover += prover;
        batch.baseOwner += baseOwner;
        ++batch.paid;
        bool attributed = _attribute(batch, id, token, contributors, proven.adapter);
        _creditLine(token, shares.line, adapterOwner, attributed ? 0 : contributors);
        emit RequestSettled(
            id, batch.payee, proven.label, proven.outputDigest, token, prover, adapterOwner, baseOwner, contributors
        );
    }

    /// The contributors' part of a request whose adapter has an index goes by its shares.
    ///
    /// # Soundness
    /// The pinned index is of the adapter, so a request that has both attributes; that the words are its shares is for the
    /// proof, which is checked when everything is stored.
    function _attribute(Batch memory batch, uint256 id, address token, uint256 amount, uint256 adapter)
        private
        returns (bool)
    {
        if (adapter != batch.adapter) (batch.adapter, batch.pinned) = (adapter, models.indexOf(adapter));
        uint256 index = batch.pinned;
        if (index == 0) return false;
        if (index != batch.index) revert OtherIndex(id, index, batch.index);
        if (amount == 0) return true;
        batch.attributed += amount;
        bytes32 topic = Attributed.selector;
        assembly ("memory-safe") {
            let entry := mload(0x40)
            mstore(entry, mload(add(batch, BATCH_HEAD)))
            mstore(add(entry, 0x20), id)
            mstore(add(entry, 0x40), token)
            mstore(add(entry, 0x60), amount)
            calldatacopy(add(entry, 0x80), mload(add(batch, BATCH_SHARES)), 0x80)
            log2(entry, 0x100, topic, index)
            mstore(add(batch, BATCH_HEAD), keccak256(entry, 0x100))
        }
        return true;
    }

    function _skip(uint256 id, Skip reason) internal returns (bool) {
        emit RequestSkipped(id, reason);
        return false;
    }

    /// Credits what a batch owes in its present token: neighbours in one token share the prover's and the base's slot.
    function _storeSums(Batch memory batch) private {
        if (batch.prover != 0) _credit(batch.token, batch.payee, batch.prover);
        if (batch.attributed != 0) {
            _credit(batch.token, address(attributionPot), batch.attributed);
            batch.attributed = 0;
        }
        _creditLine(batch.token, batch.baseLine, batch.baseOwner, 0);
        batch.prover = 0;
        batch.baseOwner = 0;
    }

    /// Everything is stored; now the proof is checked and the consumers are told.
    /// @param callbacks ids of the paid requests that have a consumer, zeros in the other places.
    function _finish(
        Batch memory batch,
        bytes32 route,
        Settlement calldata settlement,
        RequestTerms[] calldata requests,
        uint256[] memory callbacks,
        uint256 least
    ) internal {
        if (batch.paid == 0 || batch.paid < least) revert TooFewPayable(batch.paid, least);
        _storeSums(batch);
        if (batch.index != 0) attributionHeads[batch.index] = batch.head;
        emit BatchSettled(route, batch.payee, batch.base, batch.paid);
        // A view of contracts that governance chose; reverts if anything is false.
        router.check(route, settlement);
        for (uint256 i = 0; i < requests.length; ++i) {
            if (callbacks[i] != 0) _tellConsumer(callbacks[i], requests[i], settlement.requests[i]);
        }
    }

    /// A failing consumer, or none at the address, changes nothing. What it returns is not copied.
    function _tellConsumer(uint256 id, RequestTerms calldata request, Request calldata proven) private {
        bytes memory data = abi.encodeCall(IInferenceConsumer.onInference, (id, proven.label, proven.outputDigest));
        address consumer = request.consumer;
        uint256 limit = request.consumerGas;
        // A callee has at most 63/64 of what is left (EIP-150): with less the settler could starve it.
        uint256 needed = limit + limit / 63 + 1 + CALL_OVERHEAD;
        if (gasleft() < needed) revert CallbackGas(id, needed);
        bool success;
        assembly ("memory-safe") {
            success := call(limit, consumer, 0, add(data, 0x20), mload(data), 0, 0)
        }
        emit ConsumerCalled(id, consumer, success);
    }

    function _requireOwnChain() internal view {
        if (block.chainid != _chain) revert OtherChain(_chain, block.chainid);
    }

    /// The domain does not follow a chain that changes its id: what is locked there can still be given back.
    function _typed(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_domain, structHash);
    }

    /// The EIP-712 digest of a request.
    function requestId(InferenceRequest calldata request) public view virtual returns (uint256) {
        return uint256(_typed(request.hash()));
    }
}
