// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A request's life: None -> Locked -> (Accepted ->) one of the others, which are final.
enum Status {
    None,
    Locked,
    /// A prover has accepted: the requester cannot cancel while the acceptance holds.
    Accepted,
    Settled,
    /// After the deadline.
    Refunded,
    Cancelled,
    /// By the named prover.
    Refused
}

/// What a locked request's payment depends on, fixed when it is locked.
struct Lock {
    Status status;
    /// Who has the money back if nobody serves the request.
    address payer;
    /// In the token's smallest unit.
    uint96 fee;
    /// Who has accepted or is named; zero if neither.
    address prover;
    /// Of an accepted request: by how many seconds the acceptance ends before the deadline.
    uint24 early;
    /// The line whose contributors are paid, and whose owner has the adapter owner's share.
    uint24 line;
    /// Basis points; the prover has the rest.
    uint16 adapterOwner;
    uint16 baseOwner;
    uint16 contributors;
    /// Of a request that ended unserved: a prover had accepted it.
    bool wasAccepted;
}

/// Two slots.
///
///   bits            0..159    160..255
///   deposit         payer     fee                     while locked
///                   output digest                     once settled
///                   0                                 once refunded
///
///   bits   0..159   160..167  168..191  192..205       206..219    220..233      234..255
///   terms  prover   status    line      adapter owner  base owner  contributors  early     while locked
///          payee    status    168..175 route's ordinal, 176..255 label                     once settled
///          prover   status    168 accepted                                                 once refunded
struct Record {
    uint256 deposit;
    uint256 terms;
}

/// The only reader and writer of {Record}.
library RequestRecord {
    /// A settled label is below this.
    uint256 internal constant LABEL_BOUND = 1 << 80;
    /// `early` is below this: longer than any lock.
    uint256 internal constant EARLY_BOUND = 1 << 22;

    uint256 private constant SHARE = (1 << 14) - 1;

    function status(Record storage record) internal view returns (Status) {
        return statusOf(record.terms);
    }

    function load(Record storage record) internal view returns (Lock memory lock) {
        uint256 terms = record.terms;
        lock.status = statusOf(terms);
        lock.prover = proverOf(terms);
        if (!isOpen(lock.status)) {
            if (lock.status != Status.Settled) lock.wasAccepted = terms >> 168 & 1 == 1;
            return lock;
        }
        uint256 deposit = record.deposit;
        lock.payer = payerOf(deposit);
        lock.fee = feeOf(deposit);
        lock.early = uint24(terms >> 234);
        lock.line = lineOf(terms);
        (lock.adapterOwner, lock.baseOwner, lock.contributors) = sharesOf(terms);
    }

    function store(Record storage record, Lock memory lock) internal {
        record.deposit = uint256(uint160(lock.payer)) | uint256(lock.fee) << 160;
        record.terms = _head(lock.prover, lock.status) | uint256(lock.line) << 168 | uint256(lock.adapterOwner) << 192
            | uint256(lock.baseOwner) << 206 | uint256(lock.contributors) << 220;
    }

    /// @param early below {EARLY_BOUND}.
    function accept(Record storage record, address prover, uint256 early) internal {
        record.terms = record.terms << 22 >> 190 << 168 | _head(prover, Status.Accepted) | early << 234;
    }

    /// The request is as if nobody had accepted it.
    function reopen(Record storage record) internal {
        record.terms = record.terms << 22 >> 190 << 168 | _head(address(0), Status.Locked);
    }

    function setFee(Record storage record, uint256 fee) internal {
        record.deposit = uint256(uint160(record.deposit)) | fee << 160;
    }

    /// @param label below {LABEL_BOUND}.
    function settle(Record storage record, address payee, uint256 ordinal, uint256 label, uint256 outputDigest)
        internal
    {
        record.deposit = outputDigest;
        record.terms = _head(payee, Status.Settled) | ordinal << 168 | label << 176;
    }

    /// Ends a locked request; its deposit goes back.
    function close(Record storage record, Status final_) internal returns (address payer, uint96 fee) {
        uint256 deposit = record.deposit;
        uint256 terms = record.terms;
        (payer, fee) = (payerOf(deposit), feeOf(deposit));
        record.deposit = 0;
        uint256 accepted = statusOf(terms) == Status.Accepted ? 1 : 0;
        record.terms = _head(proverOf(terms), final_) | accepted << 168;
    }

    /// Route's ordinal, label and output digest of a settled request, zeros of others.
    function result(Record storage record)
        internal
        view
        returns (Status state, uint256 ordinal, uint256 label, uint256 outputDigest)
    {
        uint256 terms = record.terms;
        state = statusOf(terms);
        if (state == Status.Settled) {
            (ordinal, label, outputDigest) = (uint8(terms >> 168), terms >> 176, record.deposit);
        }
    }

    // Fields of the words of a request that is locked

    /// The request can be paid or given back.
    function isOpen(Status state) internal pure returns (bool) {
        return state == Status.Locked || state == Status.Accepted;
    }

    function statusOf(uint256 terms) internal pure returns (Status) {
        return Status(uint8(terms >> 160));
    }

    function proverOf(uint256 terms) internal pure returns (address) {
        return address(uint160(terms));
    }

    function payerOf(uint256 deposit) internal pure returns (address) {
        return address(uint160(deposit));
    }

    function feeOf(uint256 deposit) internal pure returns (uint96) {
        return uint96(deposit >> 160);
    }

    function lineOf(uint256 terms) internal pure returns (uint24) {
        return uint24(terms >> 168);
    }

    function earlyOf(uint256 terms) internal pure returns (uint256) {
        return terms >> 234;
    }

    function sharesOf(uint256 terms)
        internal
        pure
        returns (uint16 adapterOwner, uint16 baseOwner, uint16 contributors)
    {
        return (uint16(terms >> 192 & SHARE), uint16(terms >> 206 & SHARE), uint16(terms >> 220 & SHARE));
    }

    function _head(address prover, Status state) private pure returns (uint256) {
        return uint256(uint160(prover)) | uint256(state) << 160;
    }
}
