//! Both stores by the same contract, and what only one of them has.

#[cfg(unix)]
mod cluster;
#[cfg(unix)]
mod measure;
#[cfg(unix)]
mod postgres;
#[cfg(unix)]
mod several;
mod sqlite;

use super::{Store, market_suite, overview_suite, suite};

/// All that a store must do, each part in a fresh one.
fn contract(with: impl Fn(&dyn Fn(&mut dyn Store))) {
    with(&suite::request_ids);
    with(&suite::batches_do_not_mix);
    with(&suite::tenants_take_turns);
    with(&suite::poison_is_cut_out);
    with(&suite::retention);
    with(&suite::keys);
    with(&suite::pages);
    with(&suite::claims);
    with(&market_suite::requests_are_once);
    with(&market_suite::money_is_moved_once);
    with(&market_suite::groups_go_together);
    with(&market_suite::requests_move_together);
    with(&market_suite::blocks_are_taken_back);
    with(&market_suite::requests_are_wiped);
    with(&overview_suite::operators_see_all_tenants);
    with(&overview_suite::operators_see_what_became_of_a_request);
}
