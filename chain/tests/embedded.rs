//! The chain in memory: wei, time and logs.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use lorica_chain::chain::{Blocks, Chain};
use lorica_chain::embedded::{EmbeddedChain, GENESIS_TIME};
use lorica_chain::error::{ChainError, StateError, TransactionError};

const OWNER: Address = Address::repeat_byte(0x0e);
const OTHER: Address = Address::repeat_byte(0x07);

/// Answers every call with the block's time, and logs the call's value under topic 42 and its first word; reverts if that
/// word is zero.
const CLOCK: [u8; 33] = hex!(
    // MSTORE(0, CALLVALUE); if CALLDATALOAD(0) == 0 { REVERT } (after the log); LOG2(0, 32, 42, CALLDATALOAD(0))
    "34600052" "600035" "602a" "60206000" "a2"
    // JUMPI(0x17, CALLDATALOAD(0)); REVERT(0, 0)
    "600035" "6017" "57" "5f5f" "fd"
    // JUMPDEST; RETURN(TIMESTAMP)
    "5b" "42600052" "60206000f3"
);

fn deploy(chain: &mut EmbeddedChain) -> Address {
    // CODECOPY(0, 12, 33); RETURN(0, 33)
    let code = [&hex!("6021600c60003960216000f3")[..], &CLOCK].concat();
    chain.send(None, code.into()).unwrap().created.unwrap()
}

fn word(number: u64) -> Bytes {
    U256::from(number).to_be_bytes_vec().into()
}

#[test]
fn wei_moves() {
    let mut chain = EmbeddedChain::new(1, OWNER);
    let refused = chain.send_value(Some(OTHER), Bytes::new(), U256::from(3)).unwrap_err();
    assert!(matches!(refused, ChainError::Transaction(TransactionError::NotTaken { .. })), "{refused}");
    assert_eq!(chain.block_number().unwrap(), 0, "what is not taken is in no block");
    chain.fund(OWNER, U256::from(4));
    chain.fund(OWNER, U256::from(6));
    chain.send_value(Some(OTHER), Bytes::new(), U256::from(3)).unwrap();
    assert_eq!((chain.balance(OWNER).unwrap(), chain.balance(OTHER).unwrap()), (U256::from(7), U256::from(3)));
    let clock = deploy(&mut chain);
    chain.fund(clock, U256::from(1));
    assert_eq!(chain.code(clock).unwrap().to_vec(), CLOCK, "funds do not change an account's code");
    chain.call_value(clock, word(1), U256::from(7)).unwrap();
    assert!(chain.estimate_value(clock, word(1), U256::from(7)).unwrap() > 21_000);
    assert!(chain.call_value(clock, word(1), U256::from(8)).is_err(), "more than there is");
    assert_eq!(chain.balance(OWNER).unwrap(), U256::from(7), "a call moves nothing");
    assert!(chain.send_value(Some(clock), word(0), U256::from(7)).unwrap_err().is_refusal());
    assert_eq!(chain.balance(OWNER).unwrap(), U256::from(7), "nor does what is refused");
    chain.send_value(Some(clock), word(1), U256::from(7)).unwrap();
    assert_eq!((chain.balance(OWNER).unwrap(), chain.balance(clock).unwrap()), (U256::ZERO, U256::from(8)));
}

#[test]
fn time_is_the_callers() {
    let mut chain = EmbeddedChain::new(1, OWNER);
    let clock = deploy(&mut chain);
    let now = |chain: &mut EmbeddedChain| U256::from_be_slice(&chain.call(clock, word(1)).unwrap());
    assert_eq!(now(&mut chain), U256::from(GENESIS_TIME));
    let block = chain.block_number().unwrap();
    chain.advance(90);
    assert_eq!(chain.block_number().unwrap(), block + 1);
    assert_eq!(chain.timestamp().unwrap(), GENESIS_TIME + 90);
    assert_eq!(now(&mut chain), U256::from(GENESIS_TIME + 90));
}

#[test]
fn logs_are_those_of_what_succeeded() {
    let mut chain = EmbeddedChain::new(1, OWNER);
    let (clock, twin) = (deploy(&mut chain), deploy(&mut chain));
    chain.fund(OWNER, U256::from(100));
    let first = chain.send_value(Some(clock), word(1), U256::from(5)).unwrap();
    assert_eq!((first.block, chain.block_number().unwrap()), (3, 3));
    let topics = [B256::from(U256::from(42)), B256::from(U256::from(1))];
    assert_eq!((first.logs[0].address, first.logs[0].topics()), (clock, &topics[..]));
    assert_eq!(first.logs[0].data.data, word(5));
    assert!(chain.send(Some(clock), word(0)).is_err());
    chain.send(Some(twin), word(1)).unwrap();
    chain.call(clock, word(3)).unwrap();
    chain.send(Some(clock), word(2)).unwrap();
    let blocks = |chain: &mut EmbeddedChain, from, topics: &[Option<B256>]| -> Vec<u64> {
        chain.logs(Blocks::From(from), clock, topics).unwrap().iter().map(|log| log.block).collect()
    };
    assert_eq!(blocks(&mut chain, 0, &[]), [3, 6]);
    assert_eq!(blocks(&mut chain, 4, &[]), [6]);
    assert_eq!(blocks(&mut chain, 0, &[Some(topics[0])]), [3, 6]);
    assert_eq!(blocks(&mut chain, 0, &[None, Some(topics[1])]), [3]);
    assert_eq!(blocks(&mut chain, 0, &[Some(topics[1])]), [0; 0]);
    assert_eq!(blocks(&mut chain, 0, &[None, None, None]), [0; 0], "more topics than the log has");
    let all = chain.logs(Blocks::From(0), clock, &[]).unwrap();
    assert_eq!((&all[0].log, all[0].block_hash), (&first.logs[0], first.block_hash));
    let mut of =
        |blocks: Blocks| -> Vec<u64> { chain.logs(blocks, clock, &[]).unwrap().iter().map(|log| log.block).collect() };
    assert_eq!(of(Blocks::Between(3, 6)), [3, 6]);
    assert_eq!(of(Blocks::Between(4, 5)), [0; 0]);
    assert_eq!(of(Blocks::Between(0, 3)), [3]);
    assert_eq!(of(Blocks::At(first.block_hash.unwrap())), [3]);
    let hash = B256::repeat_byte(1);
    let unknown = chain.logs(Blocks::At(hash), clock, &[]).unwrap_err();
    assert!(matches!(unknown, ChainError::State(StateError::NoBlock { hash: of }) if of == hash), "{unknown}");
}
