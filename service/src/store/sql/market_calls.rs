//! The store's methods for the market.

use lorica::input::Salt;
use uuid::Uuid;

use super::driver::Driver;
use super::{SqlStore, intents, jobs, market};
use crate::store::market::{
    Account, Advance, Block, Breaker, Entry, Intent, IntentEnd, MarketEvent, MarketRequest, MarketState, MarketStore,
    NewIntent, NewRequest,
};
use crate::store::{Millis, State, StoreError, Submitted, Word};

impl<D: Driver> MarketStore for SqlStore<D> {
    fn take_over(&mut self, now: Millis) -> Result<i64, StoreError> {
        self.write(now, market::take_over)
    }

    fn admit(&mut self, now: Millis, request: &NewRequest, max_open: u32) -> Result<Submitted, StoreError> {
        self.write(now, |change| market::admit(change, request, max_open))
    }

    fn request(&mut self, tenant: &str, digest: &Word) -> Result<Option<MarketRequest>, StoreError> {
        market::get(&mut self.look(), tenant, digest)
    }

    fn owner(&mut self, digest: &Word) -> Result<Option<String>, StoreError> {
        market::owner(&mut self.look(), digest)
    }

    fn open_requests(&mut self) -> Result<Vec<MarketRequest>, StoreError> {
        market::open(&mut self.look())
    }

    fn request_now(&mut self, id: Uuid) -> Result<Option<MarketRequest>, StoreError> {
        market::by_id(&mut self.look(), id)
    }

    fn request_input(&mut self, id: Uuid) -> Result<Option<(Vec<u32>, Salt)>, StoreError> {
        market::input(&mut self.look(), id)
    }

    fn request_events(&mut self, tenant: &str, digest: &Word, after: u64) -> Result<Vec<MarketEvent>, StoreError> {
        market::events(&mut self.look(), tenant, digest, after)
    }

    fn advance(&mut self, now: Millis, epoch: i64, advance: &Advance) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::advance(change, advance)
        })
    }

    fn advance_all(&mut self, now: Millis, epoch: i64, advances: &[Advance]) -> Result<(), StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::advance_all(change, advances)
        })
    }

    fn companions(&mut self, job: Uuid) -> Result<Vec<(Uuid, State)>, StoreError> {
        jobs::companions(&mut self.look(), job)
    }

    fn intend(&mut self, now: Millis, epoch: i64, intent: &NewIntent) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            intents::intend(change, intent)
        })
    }

    fn intents_in_flight(&mut self, chain: u64, account: &Account) -> Result<Vec<Intent>, StoreError> {
        self.read(|sql| intents::in_flight(sql, chain, account))
    }

    fn intents_of(&mut self, request: Uuid) -> Result<Vec<Intent>, StoreError> {
        self.read(|sql| intents::of_request(sql, request))
    }

    fn next_nonce(&mut self, chain: u64, account: &Account) -> Result<Option<u64>, StoreError> {
        intents::next_nonce(&mut self.look(), chain, account)
    }

    fn sign(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        nonce: u64,
        version: (&Word, &[u8]),
    ) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            intents::sign(change, intent, nonce, version)
        })
    }

    fn finish(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        end: &IntentEnd,
        advances: &[Advance],
    ) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            let ended = intents::finish(change, intent, end)?;
            if ended {
                market::advance_all(change, advances)?;
            }
            Ok(ended)
        })
    }

    fn blocks_seen(&mut self, chain: u64, from: u64) -> Result<Vec<Block>, StoreError> {
        market::blocks_seen(&mut self.look(), chain, from)
    }

    fn take_back(&mut self, now: Millis, epoch: i64, chain: u64, block: &Block) -> Result<usize, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::take_back(change, chain, block)
        })
    }

    fn ledger(&mut self, chain: u64, account: &Account) -> Result<Vec<Entry>, StoreError> {
        intents::ledger(&mut self.look(), chain, account)
    }

    fn set_breaker(&mut self, now: Millis, epoch: i64, breaker: &Breaker) -> Result<(), StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::set_breaker(change, breaker)
        })
    }

    fn breaker(&mut self) -> Result<Option<(String, Millis)>, StoreError> {
        market::breaker(&mut self.look())
    }

    fn request_counts(&mut self) -> Result<Vec<(MarketState, u64)>, StoreError> {
        market::counts(&mut self.look())
    }
}
