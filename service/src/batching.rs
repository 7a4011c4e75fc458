//! How many jobs a batch takes.
//!
//! A batch is padded to 1, 2, 4, 8 or 16 requests, and a padded place costs as much as a used one. So a batch takes the number
//! of what waits that costs least per request, and never waits for more: under load companions gather by themselves.

/// Tokens of a batch, padding included: what a worker of 4 GB bears.
pub const TOKEN_BUDGET: usize = 512;

/// The size for `limits.len()` jobs that wait: `limits[i]` is the largest batch that job i may be in, `class` the padded
/// length of a text.
#[must_use]
pub fn size(limits: &[usize], class: usize) -> usize {
    let most = (TOKEN_BUDGET / class.max(1)).clamp(1, 16);
    // The most urgent job's own limit binds it; others join while theirs permit.
    let mut size = 0;
    let mut least = most;
    for &limit in limits {
        least = least.min(limit.max(1));
        if size >= least {
            break;
        }
        size += 1;
    }
    filled(size)
}

/// The part of `waiting` that fills its padding well: 5 jobs cost what 8 do, so 4 go first.
fn filled(waiting: usize) -> usize {
    match waiting {
        5 => 4,
        9..=13 => 8,
        other => other.min(16),
    }
}

/// What a batch costs in shares of a worker's time: places, padded, times tokens.
#[must_use]
pub fn cost(jobs: usize, class: usize) -> i64 {
    i64::try_from(jobs.next_power_of_two().saturating_mul(class).saturating_mul(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fill_their_padding() {
        let of = |waiting: usize| size(&vec![16; waiting], 32);
        let sizes: Vec<usize> = (0..=16).map(of).collect();
        assert_eq!(sizes, [0, 1, 2, 3, 4, 4, 6, 7, 8, 8, 8, 8, 8, 8, 14, 15, 16]);
    }

    #[test]
    fn long_texts_make_small_batches() {
        let of = |class| size(&[16; 16], class);
        assert_eq!([16, 32, 64, 128, 256].map(of), [16, 16, 8, 4, 2]);
        assert_eq!(of(4096), 1);
    }

    /// A job that failed in company is in smaller company next, whoever else waits.
    #[test]
    fn limits_bind_the_batch() {
        assert_eq!(size(&[1, 16, 16], 32), 1);
        assert_eq!(size(&[16, 16, 1, 16], 32), 2);
        assert_eq!(size(&[4; 9], 32), 4);
        assert_eq!(size(&[0], 32), 1);
    }
}
