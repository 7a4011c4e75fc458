// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {EscrowAccounts} from "./EscrowAccounts.sol";
import {IInferenceConsumer} from "./IInferenceConsumer.sol";
import {InferenceRequest, RequestHash, RequestTerms} from "./InferenceRequest.sol";
import {ModelRegistry} from "./ModelRegistry.sol";
import {WHOLE} from "./ModelTerms.sol";
import {OUTPUT_CLASSIFY, isOutputKind} from "./OutputKind.sol";
import {Lock, Record, RequestRecord, Status} from "./RequestRecord.sol";
import {Request, Settlement} from "./Settlement.sol";
import {KEY_OUTPUT_KIND} from "./SettlementKey.sol";
import {SignerCheck} from "./SignerCheck.sol";
import {VerifierRouter} from "./VerifierRouter.sol";

/// Locks a fee per request and pays it when a settlement proof checks, once.
///
/// A request's fate is in docs/contracts.md. What a payment depends on is fixed when the request is locked. The owner
/// (governance) chooses which tokens new requests may use, nothing else.
contract InferenceEscrow is EscrowAccounts, EIP712, Ownable2Step {
    using RequestHash for InferenceRequest;
    using RequestRecord for Record;

    /// Why a request of a settled batch is not paid: what others can bring about, or time, does not harm its companions.
    enum Skip {
        /// Not locked, or paid, refunded, cancelled or refused already.
        NotLocked,
        Expired,
        /// The proof was made for another fee than the locked one.
        OtherFee,
        /// The circuit is later than those that the lock names.
        LaterCircuit
    }

    /// What a batch's requests have in common, and sums that are not stored yet.
    struct Batch {
        uint256 base;
        /// The circuit's output kind and ordinal.
        uint256 kind;
        uint256 circuit;
        address payee;
        uint24 baseLine;
        address token;
        uint256 prover;
        uint256 baseOwner;
        uint256 paid;
    }

    event CircuitEnabled(bytes32 indexed circuit, uint16 ordinal);
    event TokenAllowed(address indexed token, bool allowed);
    /// Every term of the request: it can be rebuilt from here.
    event RequestLocked(
        uint256 indexed requestId,
        address indexed requester,
        address indexed payer,
        uint96 fee,
        InferenceRequest request
    );
    event RequestAccepted(uint256 indexed requestId, address indexed prover);
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
    event RequestSkipped(uint256 indexed requestId, Skip reason);
    event BatchSettled(bytes32 indexed circuit, address indexed prover, uint256 indexed base, uint256 paid);
    event ConsumerCalled(uint256 indexed requestId, address indexed consumer, bool success);
    event RequestRefunded(uint256 indexed requestId, address indexed payer, uint256 fee);
    event RequestCancelled(uint256 indexed requestId, address indexed payer, uint256 fee);
    event RequestRefused(
        uint256 indexed requestId, address indexed prover, address indexed payer, uint8 reason, uint256 fee
    );

    error UnknownCircuit(bytes32 circuit);
    error CircuitNotEnabled(bytes32 circuit);
    error CircuitAlreadyEnabled(bytes32 circuit);
    /// The circuit's kind of output is withdrawn or none.
    error CircuitKindInvalid(bytes32 circuit, uint256 kind);
    error TokenNotAllowed(address token);
    /// OPEN and the gas token are allowed for good.
    error TokenFixed(address token);
    error TokenNotContract(address token);
    /// The kind of output that is asked for is withdrawn or none.
    error KindInvalid(uint8 kind);
    /// Classification needs an adapter.
    error AdapterMissing(uint256 requestId);
    error FeeZero();
    error FeeAboveMaximum(uint256 maxFee, uint256 fee);
    /// Who locks another's request locks the signed fee, no less: a stranger cannot spoil a request with one wei.
    error FeeBelowSigned(uint256 maxFee, uint256 fee);
    error DeadlinePassed(uint256 requestId, uint64 deadline);
    error DeadlineTooFar(uint256 latest, uint64 deadline);
    error ConsumerGasTooHigh(uint32 most, uint32 got);
    error AlreadyLocked(uint256 requestId);
    /// The chain has another id than the one that the escrow was deployed on: nothing is locked or settled any more.
    error OtherChain(uint256 expected, uint256 got);
    /// Neither a count of enabled circuits nor, for another's request, the present one.
    error CircuitsMismatch(uint16 enabled, uint16 got);
    error SignatureInvalid(address signer);
    error NotLocked(uint256 requestId, Status status);
    error AlreadyAccepted(uint256 requestId, address prover);
    error NotNamedProver(uint256 requestId, address prover, address caller);
    error NotRequester(uint256 requestId, address caller);
    error DeadlineNotPassed(uint256 requestId, uint64 deadline);
    /// Nobody is named and nobody has accepted.
    error NoProver(uint256 requestId);
    error RequestCountMismatch(uint256 expected, uint256 got);
    error PayeeInvalid(address payee);
    /// These terms with the proven base, adapter, input digest and kind of output are not the request that the proof is for.
    error RequestIdMismatch(uint256 index, uint256 proven, uint256 got);
    error LabelTooLarge(uint256 requestId, uint256 label);
    /// No request of the batch can be paid.
    error NothingPayable();
    /// The transaction has too little gas for a consumer's call.
    error CallbackGas(uint256 requestId, uint256 needed);

    /// Longest time between locking and the deadline: nothing stays locked for longer.
    uint64 public constant MAX_LOCK_TIME = 30 days;
    /// Most gas of a consumer's call.
    uint32 public constant MAX_CONSUMER_GAS = 500_000;
    /// Covers what a call costs beside the gas that the callee has, with a cold address and a cold delegate.
    uint256 private constant CALL_OVERHEAD = 10_000;

    VerifierRouter public immutable router;
    /// EIP-712's domain of the chain that the escrow was deployed on.
    bytes32 private immutable _domain;
    uint256 private immutable _chain;

    mapping(uint256 requestId => Record) private _records;
    /// Order of enabling, from one; zero for a circuit that is not enabled.
    mapping(bytes32 circuit => uint16 ordinal) public circuits;
    uint16 public circuitCount;
    mapping(address token => bool allowed) private _tokens;

    constructor(address owner_, VerifierRouter router_, ModelRegistry models_)
        EscrowAccounts(models_)
        EIP712("Lorica InferenceEscrow", "1")
        Ownable(owner_)
    {
        router = router_;
        _domain = _domainSeparatorV4();
        _chain = block.chainid;
    }

    // Circuits and tokens

    /// Lets requests be locked that a circuit of the router may settle. Anyone may call it. Requests that are locked already,
    /// or whose locking names fewer circuits, do not depend on what the router's owner adds later.
    function enableCircuit(bytes32 circuit) external nonReentrant {
        if (circuits[circuit] != 0) revert CircuitAlreadyEnabled(circuit);
        address key = _key(circuit);
        if (key == address(0)) revert UnknownCircuit(circuit);
        uint256 kind = _outputKind(key);
        if (!isOutputKind(kind)) revert CircuitKindInvalid(circuit, kind);
        uint16 ordinal = ++circuitCount;
        circuits[circuit] = ordinal;
        emit CircuitEnabled(circuit, ordinal);
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

    // Locking

    /// Locks the caller's money for a request. The requester needs no signature; who locks for another locks its maxFee.
    /// @param fee in the token's smallest unit; the gas token is sent along.
    /// @param trusted how many circuits, in the order of enabling, may settle it: what is enabled while the transaction is
    /// in flight cannot. The requester may trust fewer than are enabled; who locks for another names all.
    /// @param signature of the requester over the request id.
    function lock(InferenceRequest calldata request, uint96 fee, uint16 trusted, bytes calldata signature)
        external
        payable
        nonReentrant
        returns (uint256 id)
    {
        return _lock(request, fee, trusted, signature);
    }

    /// {lock} with an ERC-2612 approval of the fee by the caller. If somebody else has used the permit already, the
    /// allowance that it gave serves.
    function lockWithPermit(
        InferenceRequest calldata request,
        uint96 fee,
        uint16 trusted,
        bytes calldata signature,
        uint256 permitDeadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint256 id) {
        if (request.token == NATIVE || !isTokenAllowed(request.token)) revert TokenNotAllowed(request.token);
        try IERC20Permit(request.token).permit(msg.sender, address(this), fee, permitDeadline, v, r, s) {} catch {}
        return _lock(request, fee, trusted, signature);
    }

    function _lock(InferenceRequest calldata request, uint96 fee, uint16 trusted, bytes calldata signature)
        private
        returns (uint256 id)
    {
        _requireOwnChain();
        id = requestId(request);
        _checkTerms(id, request, fee);
        _checkCircuits(request.requester, trusted);
        if (_records[id].status() != Status.None) revert AlreadyLocked(id);
        if (msg.sender != request.requester && !SignerCheck.hasSigned(request.requester, bytes32(id), signature)) {
            revert SignatureInvalid(request.requester);
        }
        Lock memory locked;
        locked.status = Status.Locked;
        locked.payer = msg.sender;
        locked.fee = fee;
        locked.prover = request.prover;
        locked.circuits = trusted;
        (locked.line, locked.adapterOwner, locked.baseOwner, locked.contributors) =
            models.servingTerms(request.base, request.adapter);
        _records[id].store(locked);
        emit RequestLocked(id, request.requester, msg.sender, fee, request);
        _collect(request.token, fee);
    }

    function _checkTerms(uint256 id, InferenceRequest calldata request, uint96 fee) private view {
        if (!isOutputKind(request.kind)) revert KindInvalid(request.kind);
        if (request.kind == OUTPUT_CLASSIFY && request.adapter == 0) revert AdapterMissing(id);
        if (fee == 0) revert FeeZero();
        if (fee > request.maxFee) revert FeeAboveMaximum(request.maxFee, fee);
        if (fee < request.maxFee && msg.sender != request.requester) revert FeeBelowSigned(request.maxFee, fee);
        if (!isTokenAllowed(request.token)) revert TokenNotAllowed(request.token);
        if (block.timestamp > request.deadline) revert DeadlinePassed(id, request.deadline);
        uint256 latest = block.timestamp + MAX_LOCK_TIME;
        if (request.deadline > latest) revert DeadlineTooFar(latest, request.deadline);
        if (request.consumerGas > MAX_CONSUMER_GAS) revert ConsumerGasTooHigh(MAX_CONSUMER_GAS, request.consumerGas);
    }

    function _checkCircuits(address requester, uint16 trusted) private view {
        uint16 enabled = circuitCount;
        if (trusted == enabled && trusted != 0) return;
        if (trusted == 0 || trusted > enabled || msg.sender != requester) revert CircuitsMismatch(enabled, trusted);
    }

    // Before settlement

    /// The caller takes the request on: the requester cannot cancel any more, and the caller can refuse. It does not
    /// shut others out, since it costs nothing: whoever proves first is paid, unless a prover is named.
    function accept(InferenceRequest calldata request) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        Lock memory locked = _requireLocked(id, record);
        if (locked.status == Status.Accepted) revert AlreadyAccepted(id, locked.prover);
        if (request.prover != address(0) && request.prover != msg.sender) {
            revert NotNamedProver(id, request.prover, msg.sender);
        }
        if (block.timestamp > request.deadline) revert DeadlinePassed(id, request.deadline);
        record.accept(msg.sender);
        emit RequestAccepted(id, msg.sender);
    }

    /// The requester takes back what no prover has accepted; the payer has the money back.
    function cancel(InferenceRequest calldata request) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        Lock memory locked = _requireLocked(id, record);
        if (msg.sender != request.requester) revert NotRequester(id, msg.sender);
        if (locked.status == Status.Accepted) revert AlreadyAccepted(id, locked.prover);
        (address payer, uint96 fee) = _return(record, request.token, Status.Cancelled);
        emit RequestCancelled(id, payer, fee);
    }

    /// After the deadline anyone gives the payer the money back.
    function refund(InferenceRequest calldata request) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        _requireLocked(id, record);
        if (block.timestamp <= request.deadline) revert DeadlineNotPassed(id, request.deadline);
        (address payer, uint96 fee) = _return(record, request.token, Status.Refunded);
        emit RequestRefunded(id, payer, fee);
    }

    /// The prover that has accepted or is named gives the payer the money back, by itself or by a signed Refusal that
    /// anyone may bring.
    function refuse(InferenceRequest calldata request, uint8 reason, bytes calldata signature) external nonReentrant {
        uint256 id = requestId(request);
        Record storage record = _records[id];
        address prover = _requireLocked(id, record).prover;
        if (prover == address(0)) revert NoProver(id);
        if (msg.sender != prover) {
            bytes32 digest = _typed(RequestHash.hashRefusal(id, reason));
            if (!SignerCheck.hasSigned(prover, digest, signature)) revert SignatureInvalid(prover);
        }
        (address payer, uint96 fee) = _return(record, request.token, Status.Refused);
        emit RequestRefused(id, prover, payer, reason, fee);
    }

    function _requireLocked(uint256 id, Record storage record) private view returns (Lock memory locked) {
        locked = record.load();
        if (!RequestRecord.isOpen(locked.status)) revert NotLocked(id, locked.status);
    }

    function _return(Record storage record, address token, Status final_) private returns (address payer, uint96 fee) {
        (payer, fee) = record.close(final_);
        _credit(token, payer, fee);
    }

    // Settlement

    /// Pays the requests of a proven batch, each once, and tells their consumers. The proof names the payee: who sends the
    /// transaction does not matter.
    ///
    /// Reverts for what the caller's own arguments say (terms that are not the proven ones, a false proof); skips, with an
    /// event and without payment, what time or others can bring about, so that one request cannot spoil its companions.
    /// Reverts if that leaves nothing.
    ///
    /// @param requests the signed terms that the settlement does not say, in the order of its requests.
    function settle(bytes32 circuit, Settlement calldata settlement, RequestTerms[] calldata requests)
        external
        nonReentrant
    {
        _requireOwnChain();
        if (requests.length != settlement.requests.length) {
            revert RequestCountMismatch(settlement.requests.length, requests.length);
        }
        Batch memory batch = _batch(circuit, settlement);
        uint256[] memory callbacks = new uint256[](requests.length);
        for (uint256 i = 0; i < requests.length; ++i) {
            RequestTerms calldata request = requests[i];
            Request calldata proven = settlement.requests[i];
            uint256 id = _match(batch, i, request, proven);
            if (_settleOne(batch, id, request, proven) && request.consumer != address(0)) callbacks[i] = id;
        }
        if (batch.paid == 0) revert NothingPayable();
        _storeSums(batch);
        emit BatchSettled(circuit, batch.payee, batch.base, batch.paid);
        // A view of contracts that governance chose; reverts if anything is false.
        router.check(circuit, settlement);
        for (uint256 i = 0; i < requests.length; ++i) {
            if (callbacks[i] != 0) _tellConsumer(callbacks[i], requests[i], settlement.requests[i]);
        }
    }

    function _batch(bytes32 circuit, Settlement calldata settlement) private view returns (Batch memory batch) {
        batch.circuit = circuits[circuit];
        if (batch.circuit == 0) revert CircuitNotEnabled(circuit);
        batch.kind = _outputKind(_key(circuit));
        batch.payee = settlement.payee;
        if (batch.payee == address(0) || batch.payee == address(this)) revert PayeeInvalid(batch.payee);
        batch.base = settlement.base;
        batch.baseLine = models.lineOf(batch.base);
    }

    /// The request's id, if its terms with what is proven give it.
    function _match(Batch memory batch, uint256 index, RequestTerms calldata request, Request calldata proven)
        private
        view
        returns (uint256 id)
    {
        id = _provenId(batch, request, proven);
        if (id != proven.id) revert RequestIdMismatch(index, proven.id, id);
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
    function _settleOne(Batch memory batch, uint256 id, RequestTerms calldata request, Request calldata proven)
        private
        returns (bool)
    {
        Record storage record = _records[id];
        uint256 terms = record.terms;
        if (!RequestRecord.isOpen(RequestRecord.statusOf(terms))) return _skip(id, Skip.NotLocked);
        if (block.timestamp > request.deadline) return _skip(id, Skip.Expired);
        uint256 fee = RequestRecord.feeOf(record.deposit);
        if (fee != proven.fee) return _skip(id, Skip.OtherFee);
        if (batch.circuit > RequestRecord.circuitsOf(terms)) return _skip(id, Skip.LaterCircuit);
        record.settle(batch.payee, proven.label, proven.outputDigest);
        _divide(batch, id, request.token, fee, terms, proven);
        return true;
    }

    function _divide(Batch memory batch, uint256 id, address token, uint256 fee, uint256 terms, Request calldata proven)
        private
    {
        (uint256 adapterOwner, uint256 baseOwner, uint256 contributors) = RequestRecord.sharesOf(terms);
        adapterOwner = fee * adapterOwner / WHOLE;
        baseOwner = fee * baseOwner / WHOLE;
        contributors = fee * contributors / WHOLE;
        uint256 prover = fee - adapterOwner - baseOwner - contributors;
        if (token != batch.token) {
            _storeSums(batch);
            batch.token = token;
        }
        batch.prover += prover;
        batch.baseOwner += baseOwner;
        ++batch.paid;
        _creditLine(token, RequestRecord.lineOf(terms), adapterOwner, contributors);
        emit RequestSettled(
            id, batch.payee, proven.label, proven.outputDigest, token, prover, adapterOwner, baseOwner, contributors
        );
    }

    function _skip(uint256 id, Skip reason) private returns (bool) {
        emit RequestSkipped(id, reason);
        return false;
    }

    /// Credits what a batch owes in its present token: neighbours in one token share the prover's and the base's slot.
    function _storeSums(Batch memory batch) private {
        if (batch.prover != 0) _credit(batch.token, batch.payee, batch.prover);
        _creditLine(batch.token, batch.baseLine, batch.baseOwner, 0);
        batch.prover = 0;
        batch.baseOwner = 0;
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

    function _outputKind(address key) private view returns (uint256 kind) {
        assembly ("memory-safe") {
            // The content follows the STOP.
            extcodecopy(key, 0, add(KEY_OUTPUT_KIND, 1), 0x20)
            kind := mload(0)
        }
    }

    function _key(bytes32 circuit) private view returns (address key) {
        (,,, key,) = router.routes(circuit);
    }

    function _requireOwnChain() private view {
        if (block.chainid != _chain) revert OtherChain(_chain, block.chainid);
    }

    /// The domain does not follow a chain that changes its id: what is locked there can still be given back.
    function _typed(bytes32 structHash) private view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(_domain, structHash);
    }

    // Views

    /// The EIP-712 digest of a request.
    function requestId(InferenceRequest calldata request) public view virtual returns (uint256) {
        return uint256(_typed(request.hash()));
    }

    /// Label and output digest once the status is Settled, zeros before.
    function resultOf(uint256 id) external view returns (Status status, uint256 label, uint256 outputDigest) {
        return _records[id].result();
    }

    /// What is locked; of a final request the status and the prover only.
    function lockOf(uint256 id) external view returns (Lock memory) {
        return _records[id].load();
    }
}
