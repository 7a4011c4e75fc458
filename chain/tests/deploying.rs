//! Who has which part at a deployment, and which token OPEN is.

use super::support;

use alloy_primitives::{Address, U256};
use lorica_chain::abi;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::terms::Kind;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError};
use support::published::{PUBLISHER, Published, TREASURY, open, refused, terms};
use support::{EMBED_2, GUARDIAN, OWNER, Vector};

#[test]
fn each_part_is_its_own_accounts() {
    let accounts = [OWNER, GUARDIAN, TREASURY, PUBLISHER];
    let names = ["owner", "guardian", "treasury", "holder"];
    let roles = |[owner, guardian, treasury, holder]: [Address; 4]| Roles {
        owner,
        guardian,
        treasury,
        open: OpenKind::Token { holder },
    };
    roles(accounts).expect_distinct().unwrap();
    for first in 0..4 {
        for second in first + 1..4 {
            let mut shared = accounts;
            shared[second] = shared[first];
            let error = roles(shared).expect_distinct().unwrap_err();
            assert!(
                matches!(error, PolicyError::SharedRole { account, parts } if account == accounts[first] && parts == [names[first], names[second]]),
                "{error}"
            );
        }
    }
    // Nobody holds a supply where there is none.
    let native = Roles { open: OpenKind::Native, ..roles(accounts) };
    native.expect_distinct().unwrap();
    assert!(Roles { treasury: OWNER, ..native }.expect_distinct().is_err());
}

/// Where OPEN is the gas token, its wrapper takes OPEN's place: publishing is paid in it.
#[test]
fn open_is_the_gas_token() {
    let mut chain = EmbeddedChain::new(31337, PUBLISHER);
    chain.fund(PUBLISHER, open(1_000));
    let roles = Roles { owner: OWNER, guardian: GUARDIAN, treasury: TREASURY, open: OpenKind::Native };
    let (market, steps) = Market::deploy(&mut chain, roles, Policy::default()).unwrap();
    assert!(steps.iter().any(|step| step.what == "WrappedOpen") && steps.iter().all(|step| step.what != "OpenToken"));
    let token = market.open_token();
    assert_eq!(token.balance(&mut chain, market.escrow).unwrap(), U256::ONE, "the escrow is never empty");
    assert!(market.escrow().token_allowed(&mut chain, market.open).unwrap());
    assert!(market.escrow().token_allowed(&mut chain, NATIVE).unwrap());
    token.wrap(&mut chain, open(300)).unwrap();
    let base = Vector::read(EMBED_2).base();
    let published = market.publisher().base(&mut chain, &base, &terms(1, "")).unwrap();
    assert_eq!(published.from, None);
    let cost: U256 =
        Kind::ALL.iter().take(2).map(|kind| market.models().publishing_fee(&mut chain, *kind).unwrap()).sum();
    assert_eq!(market.models().accrued_fees(&mut chain).unwrap(), cost);
    let left = open(300) - cost;
    assert_eq!(token.balance(&mut chain, PUBLISHER).unwrap(), left);
    token.unwrap(&mut chain, left).unwrap();
    let amounts = Amounts::of(&mut chain, market.escrow(), market.token(NATIVE), PUBLISHER).unwrap();
    assert_eq!(amounts.wallet, open(1_000) - cost - U256::ONE);
    refused(token.unwrap(&mut chain, U256::ONE), "has 0 of the token");
    assert!(market.models().line_of(&mut chain, abi::word(&base.id())).unwrap().is_some());
    // Without gas token the escrow's first unit waits for somebody else.
    let mut poor = EmbeddedChain::new(31337, PUBLISHER);
    let (market, _) = Market::deploy(&mut poor, roles, Policy::default()).unwrap();
    assert_eq!(market.open_token().balance(&mut poor, market.escrow).unwrap(), U256::ZERO);
}

/// A token of its own has no gas token behind it: nothing is sent to it.
#[test]
fn what_is_no_wrapper_wraps_nothing() {
    let mut world = Published::new();
    world.chain.fund(PUBLISHER, open(1));
    let (chain, market) = world.as_account(PUBLISHER);
    let block = chain.block_number().unwrap();
    for error in
        [market.open_token().wrap(chain, open(1)).unwrap_err(), market.open_token().unwrap(chain, open(1)).unwrap_err()]
    {
        assert!(matches!(error, ChainError::Policy(PolicyError::NotWrapped { .. })), "{error}");
    }
    assert_eq!(chain.block_number().unwrap(), block);
}
