//! Models as exact integers.
