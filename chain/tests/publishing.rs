//! What the registry of models would not take is said before anything is paid.

use super::support;

use alloy_primitives::{Address, U256};
use lorica_chain::chain::{Chain, PATIENCE};
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::models::Models;
use lorica_chain::contracts::publish::{Publication, reservation_salt};
use lorica_chain::contracts::terms::Kind;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::contracts::{Contract, Step};
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::ChainError;
use lorica_chain::keys::PrivateKey;
use support::published::{POT, PUBLISHER, Published, TREASURY, adapter, deploy, open, refused, terms};
use support::{EMBED_2, GUARDIAN, OWNER, Vector};

const OTHER: Address = Address::repeat_byte(0x07);

/// Refused in such words, and no transaction was made.
fn unsent(world: &mut Published, account: Address, index: usize, publication: &Publication, words: &str) {
    let adapter = adapter(&Vector::read(EMBED_2), index);
    let (chain, market) = world.as_account(account);
    let block = chain.block_number().unwrap();
    let error = market.publisher().adapter(chain, &adapter, publication).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(chain.block_number().unwrap(), block, "{words}: something was sent");
}

fn published(steps: &[Step]) -> Vec<bool> {
    steps.iter().map(|step| step.receipt.is_some()).collect()
}

#[test]
fn an_own_publication_is_there_already() {
    let mut world = Published::new();
    let (base, adapter) = (world.vector.base(), adapter(&world.vector, 0));
    let (chain, market) = world.as_account(PUBLISHER);
    assert_eq!(published(&market.publisher().base(chain, &base, &terms(3, "")).unwrap().steps), [false, false]);
    assert_eq!(published(&market.publisher().adapter(chain, &adapter, &terms(3, "")).unwrap().steps), [false]);
    // Somebody else's architecture serves everybody; a base or adapter that another has published does not.
    let (chain, market) = world.as_account(OTHER);
    let error = market.publisher().base(chain, &base, &terms(4, "")).unwrap_err();
    assert!(error.to_string().contains("already, in line 2 of 0x9b9B"), "{error}");
    unsent(&mut world, OTHER, 0, &terms(4, ""), "already, in line 3 of 0x9b9B");
    let (chain, market) = world.as_account(PUBLISHER);
    let id = lorica_chain::abi::word(&adapter.id());
    market.models().retire(chain, id).unwrap();
    unsent(&mut world, PUBLISHER, 0, &terms(5, ""), "in line 3 and retired");
}

#[test]
fn a_line_is_its_owners_and_keeps_its_kind_and_pot() {
    let mut world = Published::new();
    let on = |line, pot| Publication { line, pot, ..terms(6, "") };
    unsent(&mut world, PUBLISHER, 1, &on(9, None), "there is no line 9");
    unsent(&mut world, PUBLISHER, 1, &on(2, None), "line 2 is of kind base, not adapter");
    unsent(&mut world, PUBLISHER, 1, &on(3, Some(OTHER)), "the pot of line 3 is");
    let (chain, market) = world.as_account(PUBLISHER);
    market.open_token().transfer(chain, OTHER, open(1_000)).unwrap();
    unsent(&mut world, OTHER, 1, &on(3, None), "line 3 is 0x9b9B");
    // The pot is the line's, whatever it is by now.
    let (chain, market) = world.as_account(POT);
    market.models().set_pot(chain, 3, OTHER).unwrap();
    let (vector, second) = (Vector::read(EMBED_2), 1);
    let (chain, market) = world.as_account(PUBLISHER);
    assert_eq!(market.publisher().pot_for(chain, 3, None).unwrap(), OTHER);
    let progress = market.publisher().adapter(chain, &adapter(&vector, second), &on(3, None)).unwrap();
    assert_eq!((published(&progress.steps), progress.from), (vec![true, true, true], None));
    let id = lorica_chain::abi::word(&adapter(&vector, second).id());
    assert_eq!(
        (market.models().version(chain, id).unwrap().line, market.models().line(chain, 3).unwrap().pot),
        (3, OTHER)
    );
}

#[test]
fn shares_fee_and_base_are_looked_at_first() {
    let mut world = Published::new();
    let shares = |prover, adapter_owner, base_owner, contributors| Publication {
        shares: Shares { prover, adapter_owner, base_owner, contributors },
        ..terms(7, "")
    };
    for (publication, words) in [
        (shares(5_000, 2_000, 1_000, 1_999), "add up to 9999"),
        (shares(u16::MAX, u16::MAX, u16::MAX, u16::MAX), "add up to 262140"),
        (shares(2_999, 5_001, 1_000, 1_000), "at least 3000"),
        (shares(5_000, 4_000, 199, 801), "at least 200"),
        (shares(5_000, 2_000, 999, 2_001), "the base's owner asks for at least 1000 basis points of a fee, got 999"),
        (shares(3_000, 999, 1_000, 5_001), "at most 5000"),
        (Publication { max_fee: open(10) - U256::from(1), ..terms(7, "") }, "more than the 9.99"),
    ] {
        unsent(&mut world, PUBLISHER, 1, &publication, words);
    }
    let (chain, market) = world.as_account(PUBLISHER);
    market.open_token().transfer(chain, OTHER, open(10) - U256::from(1)).unwrap();
    unsent(&mut world, OTHER, 1, &terms(8, ""), "costs 10.0");
    let base = world.base;
    let (chain, market) = world.as_account(PUBLISHER);
    let (from, _) = market.models().retire(chain, base).unwrap();
    chain.advance_to(from);
    unsent(&mut world, PUBLISHER, 1, &terms(9, ""), "its base 0x");
    // What the bounds are now counts: the registry says the same.
    let (chain, market) = world.as_account(OWNER);
    assert_eq!(market.models().publishing_fee(chain, Kind::Adapter).unwrap(), open(10));
    let error: Result<(), ChainError> = market.models().retire(chain, base).map(drop);
    assert!(error.is_ok(), "retired already");
    refused(market.models().accept(chain, 2, 2), "is not offered to");
}

/// A reservation of a day: the first call reserves base and architecture, and the same call a day later publishes both.
#[test]
fn a_reservation_is_awaited_by_coming_back() {
    let mut chain = EmbeddedChain::new(31337, OWNER);
    let open = OpenKind::Token { holder: PUBLISHER };
    let roles = Roles { owner: OWNER, guardian: GUARDIAN, treasury: TREASURY, open };
    let day = 86_400;
    let policy = Policy { reservation_seconds: day, ..Policy::default() };
    let (market, _) = Market::deploy(&mut chain, roles, policy).unwrap();
    assert_eq!(market.models().reservation_seconds(&mut chain).unwrap(), day);
    chain.set_account(PUBLISHER);
    let base = Vector::read(EMBED_2).base();
    let publish = |chain: &mut EmbeddedChain, salt| market.publisher().base(chain, &base, &terms(salt, "")).unwrap();
    let began = chain.timestamp().unwrap();
    let first = publish(&mut chain, 1);
    let what: Vec<&str> = first.steps.iter().map(|step| step.what).collect();
    assert_eq!((what, first.from), (vec!["reservation", "reservation"], Some(began + day)));
    // Too early: nothing is sent.
    chain.advance(day - PATIENCE - 1);
    let block = chain.block_number().unwrap();
    let early = publish(&mut chain, 1);
    assert_eq!((early.steps.len(), early.from), (0, Some(began + day)));
    assert_eq!(chain.block_number().unwrap(), block);
    chain.advance(PATIENCE + 1);
    // Another salt is another reservation, with an age of its own.
    assert_eq!(publish(&mut chain, 2).from, Some(began + 2 * day));
    let last = publish(&mut chain, 1);
    let what: Vec<&str> = last.steps.iter().map(|step| step.what).collect();
    assert_eq!((what, last.from), (vec!["approval", "architecture", "approval", "base"], None));
    assert_eq!(published(&publish(&mut chain, 1).steps), [false, false]);
}

/// The salt is found again without a note, and is another one for another account, id, registry or chain.
#[test]
fn a_salt_is_its_accounts_and_its_ids() {
    let (_, market) = deploy();
    let models = market.models();
    let key = |byte: &str| PrivateKey::parse(&byte.repeat(32)).unwrap();
    let salt = |byte: &str, models, id: u64| reservation_salt(&key(byte), models, U256::from(id)).unwrap();
    let elsewhere = |chain_id, address| Models(Contract { chain_id, address });
    let one = salt("a1", models, 1);
    assert_eq!(one, salt("a1", models, 1));
    let at = models.address();
    for other in [
        salt("a2", models, 1),
        salt("a1", models, 2),
        salt("a1", elsewhere(1, at), 1),
        salt("a1", elsewhere(31337, OTHER), 1),
    ] {
        assert_ne!(one, other);
    }
}
