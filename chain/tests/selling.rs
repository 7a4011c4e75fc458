//! A line is sold by `LineSale`: price and line change hands at once, or not at all.

use super::support;

use alloy_primitives::{Address, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::market::Market;
use lorica_chain::contracts::sale::{ForSale, Purchase};
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError, StateError};
use support::published::{PUBLISHER, Published, open, refused};

const BUYER: Address = Address::repeat_byte(0x07);
const LINE: u32 = 3;

fn purchase(market: &Market, nonce: u64, most: U256) -> Purchase {
    Purchase { line: LINE, nonce, token: market.open_token(), most }
}

/// Refused before anything is sent.
fn unsent<T: std::fmt::Debug>(
    chain: &mut EmbeddedChain,
    act: impl FnOnce(&mut EmbeddedChain) -> Result<T, ChainError>,
) -> ChainError {
    let block = chain.block_number().unwrap();
    let error = act(chain).unwrap_err();
    assert_eq!(chain.block_number().unwrap(), block, "{error}");
    error
}

#[test]
fn a_line_is_sold_for_open() {
    let mut world = Published::new();
    let adapter = world.adapter;
    let (chain, market) = world.as_account(PUBLISHER);
    let sale = market.line_sale().unwrap();
    let price = open(50);
    market.open_token().transfer(chain, BUYER, open(60)).unwrap();
    assert_eq!(sale.of(chain, LINE).unwrap(), None);
    let (steps, nonce) = sale.sell(chain, LINE, market.open_token(), price).unwrap();
    assert_eq!((steps.len(), nonce), (2, 3));
    let for_sale = ForSale { seller: PUBLISHER, token: market.open, price };
    assert_eq!(sale.of(chain, LINE).unwrap(), Some(for_sale));
    assert_eq!(market.models().line(chain, LINE).unwrap().owner, sale.contract.address);
    refused(market.models().retire(chain, adapter), "does not own line 3");

    let (chain, market) = world.as_account(BUYER);
    let error = unsent(chain, |chain| sale.buy(chain, purchase(market, nonce - 1, price)));
    assert!(matches!(error, ChainError::Policy(PolicyError::LineChanged { line: LINE, expected: 2, got: 3 })));
    let error = unsent(chain, |chain| sale.buy(chain, purchase(market, nonce, price - U256::ONE)));
    assert!(matches!(error, ChainError::Policy(PolicyError::SaleTerms { .. })), "{error}");
    let native = Purchase { token: market.token(NATIVE), ..purchase(market, nonce, price) };
    let error = unsent(chain, |chain| sale.buy(chain, native));
    assert!(matches!(error, ChainError::Policy(PolicyError::SaleTerms { .. })), "{error}");
    let error = unsent(chain, |chain| sale.buy(chain, Purchase { line: 2, ..purchase(market, 1, price) }));
    assert!(matches!(error, ChainError::State(StateError::NotForSale { line: 2 })), "{error}");
    let (sold, steps) = sale.buy(chain, purchase(market, nonce, open(60))).unwrap();
    assert_eq!((sold, steps.len()), (for_sale, 3));
    assert_eq!(market.models().line(chain, LINE).unwrap().owner, BUYER);
    assert_eq!(market.open_token().balance(chain, BUYER).unwrap(), open(10), "the price, not the most");
    assert_eq!(sale.of(chain, LINE).unwrap(), None);
    assert_eq!(sale.withdraw(chain, market.open, BUYER).unwrap(), None, "nothing is his");

    let (chain, market) = world.as_account(PUBLISHER);
    assert_eq!(sale.proceeds(chain, PUBLISHER, market.open).unwrap(), price);
    let (amount, _) = sale.withdraw(chain, market.open, PUBLISHER).unwrap().unwrap();
    assert_eq!(amount, price);
    assert_eq!(sale.withdraw(chain, market.open, PUBLISHER).unwrap(), None);
    refused(sale.unsell(chain, LINE), "neither owns line 3 nor has it for sale");
}

#[test]
fn an_unsold_line_is_taken_back() {
    let mut world = Published::new();
    let (chain, market) = world.as_account(PUBLISHER);
    let sale = market.line_sale().unwrap();
    let (_, nonce) = sale.sell(chain, LINE, market.open_token(), open(5)).unwrap();
    let (chain, _) = world.as_account(BUYER);
    refused(sale.unsell(chain, LINE), "neither owns line 3 nor has it for sale");
    let (chain, market) = world.as_account(PUBLISHER);
    assert_eq!(sale.unsell(chain, LINE).unwrap().len(), 2);
    assert_eq!(market.models().line(chain, LINE).unwrap().owner, PUBLISHER);
    // The same price again: the buyer who has looked before is not taken in.
    let (_, anew) = sale.sell(chain, LINE, market.open_token(), open(5)).unwrap();
    let (chain, market) = world.as_account(BUYER);
    let error = unsent(chain, |chain| sale.buy(chain, purchase(market, nonce, open(5))));
    assert!(
        matches!(error, ChainError::Policy(PolicyError::LineChanged { expected, got, .. }) if (expected, got) == (nonce, anew)),
        "{error}"
    );
}

/// Addresses of an earlier deployment name no such contract.
#[test]
fn contracts_without_a_sale_say_so() {
    let Published { market, .. } = Published::new();
    let mut file = market.to_json();
    assert_eq!(Market::from_json(&file), Some(market));
    file["line_sale"] = "0x12".into();
    assert_eq!(Market::from_json(&file), None, "not an address");
    file.as_object_mut().unwrap().remove("line_sale");
    let old = Market::from_json(&file).unwrap();
    assert_eq!(old, Market { line_sale: None, ..market });
    assert!(matches!(old.line_sale(), Err(StateError::NoLineSale)));
}

#[test]
fn a_line_is_sold_for_the_gas_token() {
    let mut world = Published::new();
    let (chain, market) = world.as_account(PUBLISHER);
    let (sale, native) = (market.line_sale().unwrap(), market.token(NATIVE));
    let (_, nonce) = sale.sell(chain, LINE, native, open(5)).unwrap();
    chain.fund(BUYER, open(7));
    let (chain, market) = world.as_account(BUYER);
    sale.buy(chain, Purchase { token: native, ..purchase(market, nonce, open(6)) }).unwrap();
    assert_eq!(chain.balance(BUYER).unwrap(), open(2));
    assert_eq!(market.models().line(chain, LINE).unwrap().owner, BUYER);
    let (chain, _) = world.as_account(PUBLISHER);
    let (amount, _) = sale.withdraw(chain, NATIVE, PUBLISHER).unwrap().unwrap();
    assert_eq!((amount, chain.balance(PUBLISHER).unwrap()), (open(5), open(5)));
}
