//! Both stores by the same contract, and what only one of them has.

mod sqlite;
