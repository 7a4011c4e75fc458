//! Conversions between counts and addresses that cannot lose bits: what does not fit is the largest number, and the bounds of
//! layouts refuse it.

/// A count as an address.
pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// An address as a count.
pub(crate) fn narrow(address: u64) -> usize {
    usize::try_from(address).unwrap_or(usize::MAX)
}
