//! Terms of the registry of models: what is published, how a fee is divided, what governance demands of shares.

use alloy_primitives::aliases::U24;

use crate::abi::bindings::ModelRegistry;
use crate::error::PolicyError;

/// What can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An architecture, which earns nothing.
    Architecture,
    /// A base.
    Base,
    /// An adapter.
    Adapter,
}

impl Kind {
    /// Every kind, in the order of the contract's numbers.
    pub const ALL: [Self; 3] = [Self::Architecture, Self::Base, Self::Adapter];

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Architecture => 1,
            Self::Base => 2,
            Self::Adapter => 3,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Architecture => "architecture",
            Self::Base => "base",
            Self::Adapter => "adapter",
        }
    }
}

/// Governance's bounds on the shares of new versions, in basis points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least share of a prover; governance can set 1,000 to 8,000.
    pub min_prover: u16,
    /// The least share of a base's owner; governance can set 0 to 1,000.
    pub min_base_owner: u16,
    /// The largest share of contributors; governance can set 1,000 to 10,000.
    pub max_contributors: u16,
}

impl From<Bounds> for ModelRegistry::Bounds {
    fn from(bounds: Bounds) -> Self {
        let Bounds { min_prover, min_base_owner, max_contributors } = bounds;
        Self { minProver: min_prover, minBaseOwner: min_base_owner, maxContributors: max_contributors }
    }
}

/// Shares of a fee in basis points; they add up to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The prover's share.
    pub prover: u16,
    /// The share of the owner of the adapter's line.
    pub adapter_owner: u16,
    /// The share of the owner of the base's line.
    pub base_owner: u16,
    /// The share of the contributors' pot.
    pub contributors: u16,
}

impl Shares {
    /// The shares unless others are named. Each share of a fee is rounded down; the prover also gets what rounding leaves.
    pub const DEFAULT: Self = Self { prover: 5_000, adapter_owner: 2_000, base_owner: 1_000, contributors: 2_000 };

    /// Refuses shares that do not add up to the whole fee, are outside of governance's bounds, or give the base's owner less
    /// than its base asks for of an adapter's fees.
    pub(super) fn check(self, bounds: Bounds, asked: Option<u16>) -> Result<(), String> {
        let Self { prover, adapter_owner, base_owner, contributors } = self;
        let sum: u32 = [prover, adapter_owner, base_owner, contributors].map(u32::from).iter().sum();
        let points = |what: &str, got: u16, limit: &str, bound: u16| {
            Err(format!("{what} {got} basis points of a fee, {limit} {bound} are demanded"))
        };
        if sum != 10_000 {
            return Err(format!("the shares add up to {sum} basis points, not 10000"));
        }
        if prover < bounds.min_prover {
            return points("the prover has", prover, "at least", bounds.min_prover);
        }
        if base_owner < bounds.min_base_owner {
            return points("the base's owner has", base_owner, "at least", bounds.min_base_owner);
        }
        if let Some(asked) = asked.filter(|asked| base_owner < *asked) {
            return Err(format!("the base's owner asks for at least {asked} basis points of a fee, got {base_owner}"));
        }
        if contributors > bounds.max_contributors {
            return points("the contributors have", contributors, "at most", bounds.max_contributors);
        }
        Ok(())
    }
}

/// A line's number, as the contracts write it.
pub(super) fn line_number(line: u32) -> Result<U24, PolicyError> {
    U24::try_from(line).map_err(|_| PolicyError::LineNumber { line })
}
