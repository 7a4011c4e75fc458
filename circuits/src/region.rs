//! Regions of the address space.

/// The id of a region.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region {
    number: u8,
    name: &'static str,
}

impl Region {
    /// A region of a program's own; numbers from 16 on belong to no program of this crate.
    #[must_use]
    pub const fn new(number: u8, name: &'static str) -> Self {
        Self { number, name }
    }
    /// The base model's weights, committed at registration.
    pub const BASE: Self = Self::new(0, "base");
    /// Lookup tables: fixed by the architecture.
    pub const TABLE: Self = Self::new(1, "table");
    /// One adapter's weights, committed at registration; one copy of the region per request.
    pub const ADAPTER: Self = Self::new(2, "adapter");
    /// The witness of one batch.
    pub const WITNESS: Self = Self::new(3, "witness");

    /// A datanet's index under one adapter: features, classes, slots, whitening; committed when the index is built.
    pub const INDEX: Self = Self::new(4, "index");

    /// The name, as errors say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl core::fmt::Debug for Region {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// How often a region stands in the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Once.
    Once,
    /// Once per request of the shape, each with the tiles of a whole region.
    PerRequest,
}

/// A region of a program, in the order of the address space. All are committed before a batch is known but the last one,
/// [`Region::WITNESS`], which is committed by each proof and holds the leaves of the lookup argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionSpec {
    /// Which.
    pub region: Region,
    /// How often.
    pub copies: Copies,
}

impl RegionSpec {
    /// A region that stands once.
    #[must_use]
    pub const fn once(region: Region) -> Self {
        Self { region, copies: Copies::Once }
    }
    /// A region that stands once per request.
    #[must_use]
    pub const fn per_request(region: Region) -> Self {
        Self { region, copies: Copies::PerRequest }
    }
}
