// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Point, R} from "./Bn254.sol";
import {CommitmentRegistry} from "./CommitmentRegistry.sol";
import {Bounds, Kind, Permit, Split, SplitBounds, Terms} from "./ModelTerms.sol";
import {IIndexRanges} from "./IIndexRanges.sol";
import {Open} from "./Open.sol";
import {Records} from "./Records.sol";

/// Who owns which model, and how its fees are divided.
///
/// A model is a line of versions; a version is a record of {CommitmentRegistry}, known by the same id. Its split never
/// changes. Before publishing, the id is reserved by a commitment that hides it: who sees a record in a pending
/// transaction and publishes it as his own has no reservation that is old enough.
///
/// The owner (governance) sets the fee for publishing, the bounds of new splits and the treasury. It cannot touch models.
/// It can hand its part on, but not give it up: without it no fee and no bound could ever be changed.
contract ModelRegistry is Ownable2Step {
    using SafeERC20 for Open;

    struct Line {
        address owner;
        Kind kind;
        /// Rises with each act of the owner (a version published or retired, an offer made or withdrawn) and with each change
        /// of owner. Who accepts the line names it. The pot's acts do not count: they would be a veto.
        uint64 nonce;
        /// Who may accept the line; zero if it is not on offer.
        address offeredTo;
        address pot;
    }

    /// One slot, of which 56 bits are free.
    struct Version {
        uint24 line;
        /// Position among all versions, from one.
        uint32 serial;
        /// Serial of the architecture or base that the version stands on; zero for an architecture.
        uint32 parent;
        Kind kind;
        /// The second from which it is retired; zero if it is not, and will not be.
        uint40 retiredFrom;
        /// Shares as in {Split}.
        uint16 prover;
        uint16 adapterOwner;
        uint16 baseOwner;
        uint16 contributors;
    }

    struct Metadata {
        string uri;
        string licence;
    }

    event Reserved(bytes32 indexed commitment, address by);
    event LineCreated(uint24 indexed line, Kind indexed kind, address indexed owner, address pot);
    event VersionPublished(
        uint256 indexed id,
        uint24 indexed line,
        Kind indexed kind,
        uint256 parent,
        Split split,
        string uri,
        string licence
    );
    /// The adapter's contributors are paid by the index, for good.
    event IndexPinned(uint256 indexed adapter, uint256 indexed index, uint256 indexed datanet);
    /// @param from the second from which it counts.
    event VersionRetired(uint256 indexed id, uint24 indexed line, uint64 from);
    event LineOffered(uint24 indexed line, address indexed owner, address indexed to);
    event LineTransferred(uint24 indexed line, address indexed from, address indexed to);
    event PotChanged(uint24 indexed line, address indexed from, address indexed to);
    event DeploymentFeeChanged(Kind indexed kind, uint256 fee);
    event BoundsChanged(Bounds bounds);
    event TreasuryChanged(address indexed treasury);
    event FeesWithdrawn(address indexed treasury, address indexed to, uint256 amount);

    error ReservationSecondsZero();
    /// No reservation of this commitment.
    error NotReserved(bytes32 commitment);
    /// The reservation is too young: publish in the second `earliest` or later.
    error ReservationTooYoung(bytes32 commitment, uint256 earliest);
    error AlreadyPublished(uint256 id);
    /// There is no version of this kind with this id.
    error NotPublished(uint256 id, Kind kind);
    error Retired(uint256 id);
    /// Its retirement was announced before, and is final.
    error AlreadyRetired(uint256 id, uint64 from);
    /// Architectures cannot be retired: other owners' bases stand on them.
    error ArchitectureStays(uint256 id);
    /// The adapter was made for another base.
    error AdapterOfOtherBase(uint256 adapter, uint256 base);
    /// No index is registered by this id.
    error UnknownIndex(uint256 index);
    /// Nobody has proven that the cells of the index are in range.
    error IndexNotRanged(uint256 index);
    /// The index holds the features of another adapter.
    error IndexOfOtherAdapter(uint256 index, uint256 adapter);
    /// CommitmentRegistry computed another id.
    error IdMismatch(uint256 expected, uint256 got);
    error NotLineOwner(uint24 line, address caller);
    error NotOfferedTo(uint24 line, address caller);
    /// The line has changed since the caller looked at it.
    error OtherNonce(uint24 line, uint64 expected, uint64 got);
    error NotPot(uint24 line, address caller);
    /// A further version is of the line's kind.
    error OtherKind(uint24 line, Kind expected, Kind got);
    /// A further version names the line's pot.
    error OtherPot(uint24 line, address expected, address got);
    error PotZero();
    error NotKind(Kind kind);
    /// Publishing costs more than the publisher's terms allow.
    error DeploymentFeeAboveMaximum(uint256 most, uint256 fee);
    error DeploymentFeeTooHigh(uint256 most, uint256 got);
    error TreasuryZero();
    error NotTreasury(address caller);
    /// The registry has no way to pay out what it would receive.
    error RecipientInvalid(address to);
    /// Ownership is handed on, never given up.
    error OwnershipStays();

    /// Highest fee for publishing, in OPEN's smallest unit: 100,000 OPEN.
    uint256 public constant MAX_DEPLOYMENT_FEE = 100_000e18;

    /// Between the announcement that a base is retired and its effect: adapters' owners have so long to move.
    uint64 public constant BASE_NOTICE = 30 days;

    CommitmentRegistry public immutable commitments;
    Open public immutable open;
    /// Which indexes adapters may be published with; none if it is zero.
    IIndexRanges public immutable indexRanges;
    /// Seconds between reserving and publishing, at least one. A thief wins only by holding back a seen publication for so
    /// long: it must be longer than a transaction can be kept from the chain (forced inclusion takes about 24 hours on
    /// Arbitrum, up to 12 on the OP stack).
    uint64 public immutable reservationSeconds;

    /// Second of the first reservation by commitment.
    mapping(bytes32 commitment => uint256 second) public reservations;
    mapping(uint24 line => Line) public lines;
    mapping(uint256 id => Version) public versions;
    mapping(uint256 id => Metadata) public metadata;
    /// By which index an adapter's contributors are paid; zero for an adapter that names no datanet. Written once.
    mapping(uint256 adapter => uint256 index) public indexOf;
    /// In OPEN's smallest unit.
    mapping(Kind kind => uint256 fee) public deploymentFees;
    Bounds public bounds;
    uint24 public lineCount;
    uint32 public versionCount;
    address public treasury;
    /// Fees that the treasury has not withdrawn yet.
    uint256 public accruedFees;

    /// @param fees for an architecture, a base and an adapter, in OPEN's smallest unit.
    constructor(
        address owner_,
        CommitmentRegistry commitments_,
        Open open_,
        IIndexRanges indexRanges_,
        address treasury_,
        uint64 reservationSeconds_,
        Bounds memory bounds_,
        uint256[3] memory fees
    ) Ownable(owner_) {
        if (reservationSeconds_ == 0) revert ReservationSecondsZero();
        commitments = commitments_;
        open = open_;
        indexRanges = indexRanges_;
        reservationSeconds = reservationSeconds_;
        _setTreasury(treasury_);
        _setBounds(bounds_);
        _setDeploymentFee(Kind.Architecture, fees[0]);
        _setDeploymentFee(Kind.Base, fees[1]);
        _setDeploymentFee(Kind.Adapter, fees[2]);
    }

    // Publishing

    /// First step of publishing. Reserving again changes nothing: a copied reservation serves its author.
    /// @param commitment keccak256(abi.encode(id, publisher, salt)) with (uint256, address, bytes32).
    function reserve(bytes32 commitment) external {
        if (reservations[commitment] != 0) return;
        reservations[commitment] = block.timestamp;
        emit Reserved(commitment, msg.sender);
    }

    /// Arguments as {CommitmentRegistry-registerArchitecture}.
    function publishArchitecture(
        uint8 family,
        bytes calldata encoding,
        uint32 logTile,
        uint256 srs,
        uint256[4] calldata tauG2,
        Point[] calldata tables,
        Terms calldata terms,
        Permit calldata permit
    ) external returns (uint256 id, uint24 line) {
        id = _id(Records.architecture(family, encoding, logTile, srs, tauG2, tables));
        if (commitments.architectures(id) == address(0)) {
            _requireId(id, commitments.registerArchitecture(family, encoding, logTile, srs, tauG2, tables));
        }
        SplitBounds.requireZero(terms.split);
        line = _publish(Kind.Architecture, id, 0, 0, terms, permit);
    }

    /// Arguments as {CommitmentRegistry-registerBase}; the architecture is published.
    function publishBase(
        uint256 architecture,
        Point[] calldata tiles,
        uint256 scalesWord,
        Terms calldata terms,
        Permit calldata permit
    ) external returns (uint256 id, uint24 line) {
        uint32 parent = _published(architecture, Kind.Architecture).serial;
        uint8 family = Records.family(commitments.architectures(architecture));
        id = _id(Records.base(family, architecture, scalesWord, tiles));
        if (commitments.bases(id) == address(0)) {
            _requireId(id, commitments.registerBase(architecture, tiles, scalesWord));
        }
        SplitBounds.requireWithin(terms.split, bounds);
        line = _publish(Kind.Base, id, architecture, parent, terms, permit);
    }

    /// Arguments as {CommitmentRegistry-registerAdapter}; the base is published and not retired, and its owner has at least the
    /// base owner's share that it asked for when it published the base. An adapter that names a version of a datanet is
    /// published with its index, of which that version is: its contributors are paid by it, for good.
    /// @param index zero for an adapter that names no version.
    function publishAdapter(
        uint256 base,
        uint256 index,
        Point[] calldata tiles,
        Terms calldata terms,
        Permit calldata permit
    ) external returns (uint256 id, uint24 line) {
        Version memory parent = _served(base, Kind.Base);
        uint256 version = _datanetOf(index);
        id = _id(Records.adapter(Records.family(commitments.bases(base)), base, version, tiles));
        if (commitments.adapters(id) == address(0)) {
            _requireId(id, commitments.registerAdapter(base, version, tiles));
        }
        SplitBounds.requireWithin(terms.split, bounds);
        SplitBounds.requireBaseOwner(terms.split, parent.baseOwner);
        if (index != 0) _pin(id, index, version);
        line = _publish(Kind.Adapter, id, base, parent.serial, terms, permit);
    }

    /// The datanet version of an index that may be published.
    function _datanetOf(uint256 index) private view returns (uint256 version) {
        if (index == 0) return 0;
        (, version) = commitments.indexParents(index);
        if (version == 0) revert UnknownIndex(index);
        if (address(indexRanges) == address(0) || !indexRanges.ranged(index)) revert IndexNotRanged(index);
    }

    /// No adapter is published twice, so this is written once.
    function _pin(uint256 adapter, uint256 index, uint256 version) private {
        (uint256 own,) = commitments.indexParents(index);
        if (own != adapter) revert IndexOfOtherAdapter(index, adapter);
        indexOf[adapter] = index;
        emit IndexPinned(adapter, index, version);
    }

    function _publish(
        Kind kind,
        uint256 id,
        uint256 parentId,
        uint32 parent,
        Terms calldata terms,
        Permit calldata permit
    ) private returns (uint24 line) {
        if (versions[id].serial != 0) revert AlreadyPublished(id);
        _requireReserved(keccak256(abi.encode(id, msg.sender, terms.salt)));
        line = terms.line == 0 ? _create(kind, terms.pot) : _continue(kind, terms);
        versions[id] = Version({
            line: line,
            serial: ++versionCount,
            parent: parent,
            kind: kind,
            retiredFrom: 0,
            prover: terms.split.prover,
            adapterOwner: terms.split.adapterOwner,
            baseOwner: terms.split.baseOwner,
            contributors: terms.split.contributors
        });
        metadata[id] = Metadata({uri: terms.uri, licence: terms.licence});
        emit VersionPublished(id, line, kind, parentId, terms.split, terms.uri, terms.licence);
        _takeFee(deploymentFees[kind], terms.maxFee, permit);
    }

    function _requireReserved(bytes32 commitment) private view {
        uint256 reservedAt = reservations[commitment];
        if (reservedAt == 0) revert NotReserved(commitment);
        uint256 earliest = reservedAt + reservationSeconds;
        if (block.timestamp < earliest) revert ReservationTooYoung(commitment, earliest);
    }

    function _create(Kind kind, address pot) private returns (uint24 line) {
        if (pot == address(0)) revert PotZero();
        line = ++lineCount;
        lines[line] = Line({owner: msg.sender, kind: kind, nonce: 1, offeredTo: address(0), pot: pot});
        emit LineCreated(line, kind, msg.sender, pot);
    }

    function _continue(Kind kind, Terms calldata terms) private returns (uint24 line) {
        line = terms.line;
        Line storage held = lines[line];
        _requireOwner(line, held.owner);
        if (held.kind != kind) revert OtherKind(line, held.kind, kind);
        if (held.pot != terms.pot) revert OtherPot(line, held.pot, terms.pot);
        ++held.nonce;
    }

    /// A permit that somebody else has used already is no obstacle: the allowance is what counts.
    function _takeFee(uint256 fee, uint256 most, Permit calldata permit) private {
        if (fee > most) revert DeploymentFeeAboveMaximum(most, fee);
        if (fee == 0) return;
        if (permit.v != 0) {
            try open.permit(msg.sender, address(this), fee, permit.deadline, permit.v, permit.r, permit.s) {} catch {}
        }
        accruedFees += fee;
        open.safeTransferFrom(msg.sender, address(this), fee);
    }

    function _requireId(uint256 expected, uint256 got) private pure {
        if (got != expected) revert IdMismatch(expected, got);
    }

    /// The id as {CommitmentRegistry} computes it.
    function _id(bytes memory record) private pure returns (uint256) {
        return uint256(keccak256(record)) % R;
    }

    // Models

    /// Announces that a version is retired, for good. From then on no request is locked for it, and no adapter published on
    /// it; locked requests are served and paid as ever. An adapter is retired at once, a base after {BASE_NOTICE}: until then
    /// nothing changes for it and its adapters. An architecture is never retired.
    /// @return from the second from which it counts.
    function retire(uint256 id) external returns (uint64 from) {
        Version storage version = versions[id];
        if (version.kind == Kind.Architecture) revert ArchitectureStays(id);
        uint24 line = version.line;
        Line storage held = lines[line];
        _requireOwner(line, held.owner);
        if (version.retiredFrom != 0) revert AlreadyRetired(id, version.retiredFrom);
        from = uint64(block.timestamp);
        if (version.kind == Kind.Base) from += BASE_NOTICE;
        version.retiredFrom = uint40(from);
        ++held.nonce;
        emit VersionRetired(id, line, from);
    }

    /// First step of a transfer; zero withdraws the offer. What the line has earned and its owner has not withdrawn goes
    /// with it.
    function offerLine(uint24 line, address to) external {
        Line storage held = lines[line];
        _requireOwner(line, held.owner);
        held.offeredTo = to;
        ++held.nonce;
        emit LineOffered(line, msg.sender, to);
    }

    /// Second step. What the owner withdraws before it is not seen in the nonce: buy by {LineSale}.
    /// @param nonce the line's when the caller looked at it.
    function acceptLine(uint24 line, uint64 nonce) external {
        Line storage held = lines[line];
        if (held.offeredTo != msg.sender) revert NotOfferedTo(line, msg.sender);
        if (held.nonce != nonce) revert OtherNonce(line, nonce, held.nonce);
        emit LineTransferred(line, held.owner, msg.sender);
        held.owner = msg.sender;
        held.offeredTo = address(0);
        held.nonce = nonce + 1;
    }

    /// Contributors alone change their pot: neither the line's owner nor governance can.
    function setPot(uint24 line, address pot) external {
        Line storage held = lines[line];
        if (held.pot != msg.sender) revert NotPot(line, msg.sender);
        if (pot == address(0)) revert PotZero();
        held.pot = pot;
        emit PotChanged(line, msg.sender, pot);
    }

    function _requireOwner(uint24 line, address owner_) private view {
        if (owner_ != msg.sender) revert NotLineOwner(line, msg.sender);
    }

    // What the escrow asks

    /// Terms under which a base is served with an adapter, or, with adapter 0, alone; reverts if it is not served.
    /// Alone the base's own split holds and its owner has the adapter owner's share too.
    /// @return line whose contributors are paid, and whose owner has the adapter owner's share.
    function servingTerms(uint256 base, uint256 adapter)
        external
        view
        returns (uint24 line, uint16 adapterOwner, uint16 baseOwner, uint16 contributors)
    {
        Version memory version = _served(base, Kind.Base);
        if (adapter == 0) {
            return (version.line, 0, version.baseOwner + version.adapterOwner, version.contributors);
        }
        uint32 serial = version.serial;
        version = _served(adapter, Kind.Adapter);
        if (version.parent != serial) revert AdapterOfOtherBase(adapter, base);
        return (version.line, version.adapterOwner, version.baseOwner, version.contributors);
    }

    /// The line of a version; zero for what is not published.
    function lineOf(uint256 id) external view returns (uint24) {
        return versions[id].line;
    }

    function ownerOf(uint24 line) external view returns (address) {
        return lines[line].owner;
    }

    function potOf(uint24 line) external view returns (address) {
        return lines[line].pot;
    }

    function nonceOf(uint24 line) external view returns (uint64) {
        return lines[line].nonce;
    }

    function _published(uint256 id, Kind kind) private view returns (Version memory version) {
        version = versions[id];
        if (version.kind != kind) revert NotPublished(id, kind);
    }

    function _served(uint256 id, Kind kind) private view returns (Version memory version) {
        version = _published(id, kind);
        if (version.retiredFrom != 0 && block.timestamp >= version.retiredFrom) revert Retired(id);
    }

    // Governance

    function setDeploymentFee(Kind kind, uint256 fee) external onlyOwner {
        _setDeploymentFee(kind, fee);
    }

    /// Holds for what is published from now on.
    function setBounds(Bounds calldata bounds_) external onlyOwner {
        _setBounds(bounds_);
    }

    function setTreasury(address treasury_) external onlyOwner {
        _setTreasury(treasury_);
    }

    function renounceOwnership() public pure override {
        revert OwnershipStays();
    }

    function withdrawFees(address to) external returns (uint256 amount) {
        if (msg.sender != treasury) revert NotTreasury(msg.sender);
        if (to == address(this)) revert RecipientInvalid(to);
        amount = accruedFees;
        accruedFees = 0;
        emit FeesWithdrawn(msg.sender, to, amount);
        open.safeTransfer(to, amount);
    }

    function _setDeploymentFee(Kind kind, uint256 fee) private {
        if (kind == Kind.None) revert NotKind(kind);
        if (fee > MAX_DEPLOYMENT_FEE) revert DeploymentFeeTooHigh(MAX_DEPLOYMENT_FEE, fee);
        deploymentFees[kind] = fee;
        emit DeploymentFeeChanged(kind, fee);
    }

    function _setBounds(Bounds memory bounds_) private {
        SplitBounds.requireValid(bounds_);
        bounds = bounds_;
        emit BoundsChanged(bounds_);
    }

    function _setTreasury(address treasury_) private {
        if (treasury_ == address(0)) revert TreasuryZero();
        treasury = treasury_;
        emit TreasuryChanged(treasury_);
    }
}
