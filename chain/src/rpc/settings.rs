//! Patience with a node and with a chain.

use std::path::PathBuf;
use std::time::Duration;

/// The most that a transaction's gas may cost unless settings say otherwise, in wei: one whole gas token.
const MAX_GAS_COST: u128 = 1_000_000_000_000_000_000;

/// Patience with a node and with a chain.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Blocks from a transaction's own to the latest, both counted, before it is done. If none is said, 3, and 1 on the
    /// chains of development nodes (31337, 1337).
    pub confirmations: Option<u64>,
    /// The longest time to wait for one answer.
    pub request_time: Duration,
    /// How often a node that is out of reach, overloaded or broken is asked.
    pub attempts: u32,
    /// Pause before the second attempt; each further one is twice as long, unless the node says how long.
    pub backoff: Duration,
    /// Pause after the first look for a receipt; later ones grow to two seconds.
    pub poll: Duration,
    /// How long a transaction may be in no block before it is sent with twice the fees.
    pub replace_after: Duration,
    /// How often a transaction is sent with higher fees.
    pub replacements: u32,
    /// How long to wait without a new confirmation before giving up.
    pub inclusion_time: Duration,
    /// The most that a transaction's gas may cost, in wei. The node names the price.
    pub max_gas_cost: u128,
    /// Folder of the locks that keep programs from taking one nonce. All programs that send from an account must have the
    /// same; without one nothing is sent.
    pub locks: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            confirmations: None,
            request_time: Duration::from_secs(30),
            attempts: 5,
            backoff: Duration::from_millis(200),
            poll: Duration::from_millis(100),
            replace_after: Duration::from_secs(60),
            replacements: 3,
            inclusion_time: Duration::from_secs(300),
            max_gas_cost: MAX_GAS_COST,
            locks: None,
        }
    }
}
