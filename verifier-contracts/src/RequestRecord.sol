// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A request's life: None -> Locked -> (Accepted ->) one of the others, which are final.
enum Status {
    None,
    Locked,
    /// The prover has accepted: the requester cannot cancel any more.
    Accepted,
    Settled,
    /// After the deadline.
    Refunded,
    Cancelled,
    /// By the prover.
    Refused
}

/// What a locked request's payment depends on, fixed when it is locked.
struct Lock {
    Status status;
    address payer;
    /// In the token's smallest unit.
    uint96 fee;
    /// Who has accepted or is named; zero if neither.
    address prover;
    /// Only the first so many circuits, in the order of enabling, may settle it.
    uint16 circuits;
    /// The line whose contributors are paid, and whose owner has the adapter owner's share.
    uint24 line;
    /// Basis points; the prover has the rest.
    uint16 adapterOwner;
    uint16 baseOwner;
    uint16 contributors;
}

/// Two slots.
///
///   bits            0..159    160..255
///   deposit         payer     fee                     while locked
///                   output digest                     once settled
///                   0                                 once refunded
///
///   bits   0..159   160..167  168..183  184..207  208..223       224..239    240..255
///   terms  prover   status    circuits  line      adapter owner  base owner  contributors     while locked
///          payee    status    label (88 bits)                                                 once settled
///          prover   status    0                                                               once refunded
struct Record {
    uint256 deposit;
    uint256 terms;
}

/// The only reader and writer of {Record}.
library RequestRecord {
    /// A settled label is below this.
    uint256 internal constant LABEL_BOUND = 1 << 88;

    function status(Record storage record) internal view returns (Status) {
        return statusOf(record.terms);
    }

    function load(Record storage record) internal view returns (Lock memory lock) {
        uint256 terms = record.terms;
        lock.status = statusOf(terms);
        lock.prover = address(uint160(terms));
        if (!isOpen(lock.status)) return lock;
        uint256 deposit = record.deposit;
        lock.payer = payerOf(deposit);
        lock.fee = feeOf(deposit);
        lock.circuits = circuitsOf(terms);
        lock.line = lineOf(terms);
        (lock.adapterOwner, lock.baseOwner, lock.contributors) = sharesOf(terms);
    }

    function store(Record storage record, Lock memory lock) internal {
        record.deposit = uint256(uint160(lock.payer)) | uint256(lock.fee) << 160;
        record.terms = _head(lock.prover, lock.status) | uint256(lock.circuits) << 168 | uint256(lock.line) << 184
            | uint256(lock.adapterOwner) << 208 | uint256(lock.baseOwner) << 224 | uint256(lock.contributors) << 240;
    }

    function accept(Record storage record, address prover) internal {
        record.terms = record.terms >> 168 << 168 | _head(prover, Status.Accepted);
    }

    /// @param label below {LABEL_BOUND}.
    function settle(Record storage record, address payee, uint256 label, uint256 outputDigest) internal {
        record.deposit = outputDigest;
        record.terms = _head(payee, Status.Settled) | label << 168;
    }

    /// Ends a locked request; its deposit goes back.
    function close(Record storage record, Status final_) internal returns (address payer, uint96 fee) {
        uint256 deposit = record.deposit;
        (payer, fee) = (payerOf(deposit), feeOf(deposit));
        record.deposit = 0;
        record.terms = _head(address(uint160(record.terms)), final_);
    }

    /// Label and output digest of a settled request, zeros of others.
    function result(Record storage record) internal view returns (Status state, uint256 label, uint256 outputDigest) {
        uint256 terms = record.terms;
        state = statusOf(terms);
        if (state == Status.Settled) (label, outputDigest) = (terms >> 168, record.deposit);
    }

    // Fields of the words of a request that is locked

    /// The request can be paid or given back.
    function isOpen(Status state) internal pure returns (bool) {
        return state == Status.Locked || state == Status.Accepted;
    }

    function statusOf(uint256 terms) internal pure returns (Status) {
        return Status(uint8(terms >> 160));
    }

    function payerOf(uint256 deposit) internal pure returns (address) {
        return address(uint160(deposit));
    }

    function feeOf(uint256 deposit) internal pure returns (uint96) {
        return uint96(deposit >> 160);
    }

    function circuitsOf(uint256 terms) internal pure returns (uint16) {
        return uint16(terms >> 168);
    }

    function lineOf(uint256 terms) internal pure returns (uint24) {
        return uint24(terms >> 184);
    }

    function sharesOf(uint256 terms)
        internal
        pure
        returns (uint16 adapterOwner, uint16 baseOwner, uint16 contributors)
    {
        return (uint16(terms >> 208), uint16(terms >> 224), uint16(terms >> 240));
    }

    function _head(address prover, Status state) private pure returns (uint256) {
        return uint256(uint160(prover)) | uint256(state) << 160;
    }
}
