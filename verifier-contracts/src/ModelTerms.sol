// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What can be published.
enum Kind {
    None,
    Architecture,
    Base,
    Adapter
}

/// Shares of an inference's fee in basis points; their sum is 10,000.
struct Split {
    uint16 prover;
    uint16 adapterOwner;
    uint16 baseOwner;
    uint16 contributors;
}

/// What governance demands of a split, in basis points, when a version is published.
struct Bounds {
    uint16 minProver;
    uint16 minBaseOwner;
    uint16 maxContributors;
}

/// A publisher's terms.
struct Terms {
    /// The line that the version continues, which the caller must own; zero for a new line.
    uint24 line;
    /// Who may withdraw the contributors' share. A further version names its line's pot.
    address pot;
    /// All zero for an architecture, which earns nothing.
    Split split;
    /// Most that publishing may cost, in OPEN's smallest unit.
    uint256 maxFee;
    /// Where the metadata is.
    string uri;
    /// SPDX expression, or where the licence's text is.
    string licence;
    /// The reservation's salt.
    bytes32 salt;
}

/// An ERC-2612 approval by the caller of exactly the deployment fee; v = 0 if there is none.
struct Permit {
    /// Unix seconds.
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

// Basis points in a whole.
uint16 constant WHOLE = 10_000;

/// The shares do not add up to 10,000.
error SplitSum(uint256 got);
/// A share is outside governance's bounds.
error SplitProver(uint16 least, uint16 got);
error SplitBaseOwner(uint16 least, uint16 got);
error SplitContributors(uint16 most, uint16 got);
/// The base's owner asks for more of its adapters' fees.
error SplitBelowBase(uint16 least, uint16 got);
/// An architecture earns nothing.
error SplitOfArchitecture();
/// Bounds outside the constant limits.
error BoundsInvalid(Bounds bounds);

/// Constant limits of what governance may demand, and the check of a split.
library SplitBounds {
    /// A prover keeps a tenth at least, and governance cannot demand more than four fifths for it.
    uint16 internal constant LEAST_MIN_PROVER = 1_000;
    uint16 internal constant MOST_MIN_PROVER = 8_000;
    /// With the provers' most it leaves a tenth to publishers.
    uint16 internal constant MOST_MIN_BASE_OWNER = 1_000;
    /// Governance cannot forbid a share of a tenth for contributors.
    uint16 internal constant LEAST_MAX_CONTRIBUTORS = 1_000;

    function requireValid(Bounds memory bounds) internal pure {
        if (
            bounds.minProver < LEAST_MIN_PROVER || bounds.minProver > MOST_MIN_PROVER
                || bounds.minBaseOwner > MOST_MIN_BASE_OWNER || bounds.maxContributors < LEAST_MAX_CONTRIBUTORS
                || bounds.maxContributors > WHOLE
        ) revert BoundsInvalid(bounds);
    }

    function requireWithin(Split calldata split, Bounds memory bounds) internal pure {
        uint256 sum = uint256(split.prover) + split.adapterOwner + split.baseOwner + split.contributors;
        if (sum != WHOLE) revert SplitSum(sum);
        if (split.prover < bounds.minProver) revert SplitProver(bounds.minProver, split.prover);
        if (split.baseOwner < bounds.minBaseOwner) revert SplitBaseOwner(bounds.minBaseOwner, split.baseOwner);
        if (split.contributors > bounds.maxContributors) {
            revert SplitContributors(bounds.maxContributors, split.contributors);
        }
    }

    /// Else a base's owner would be cut out by an adapter of no effect.
    /// @param asked the base owner's share in the base's own split.
    function requireBaseOwner(Split calldata split, uint16 asked) internal pure {
        if (split.baseOwner < asked) revert SplitBelowBase(asked, split.baseOwner);
    }

    function requireZero(Split calldata split) internal pure {
        if (split.prover | split.adapterOwner | split.baseOwner | split.contributors != 0) {
            revert SplitOfArchitecture();
        }
    }
}
