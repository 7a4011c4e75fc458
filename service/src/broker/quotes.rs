//! What the broker would do a request for, before there is one. A requester asks several nodes, compares, and names one.

use std::sync::PoisonError;

use lorica::chain::alloy_primitives::{Address, U256};
use lorica::chain::chain::Chain;
use lorica::chain::contracts::escrow::call_gas;
use lorica::chain::contracts::quote::Quote;
use lorica::chain::rpc::sending::usual_fees;
use lorica::circuits::shape::OutputKind;
use lorica::offer::MAX_CONSUMER_GAS;
use lorica::offer::circuits::pinned_routes;

use super::admission::{Desk, Like, chain_failed, circuit_of};
use crate::error::{Reason, Refusal};
use crate::models::Models;
use crate::store::Word;

/// How long a quote is meant.
const MEANT: u64 = 300;

/// What a quote is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The base's id.
    pub base: Word,
    /// The adapter's id, zero for none.
    pub adapter: Word,
    /// Number of the kind of output.
    pub kind: u8,
    /// Tokens of the text.
    pub tokens: u32,
    /// What is paid in.
    pub token: Address,
    /// Gas of the consumer's call.
    pub consumer_gas: u32,
}

impl Desk {
    /// The least fee and time for a request, with the signature of the account that is to be named. `accepted` requests are owed
    /// before it. What [`look`](Self::look) would refuse for what is said here is refused for the same reason.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn quote(&self, models: &Models, wanted: &Wanted, accepted: u64) -> Result<(Quote, Vec<u8>), Refusal> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = &mut *chain;
        let settings = &self.settings;
        let Wanted { base, adapter, kind, tokens, token, consumer_gas } = wanted.clone();
        let served = models.bases.get(&base);
        let served = served.ok_or_else(|| Refusal::of(Reason::BaseUnknown, "base", "no such base is served"))?;
        let most = served.key.commitments.architecture.max_tokens;
        let fits = usize::try_from(tokens).ok().filter(|tokens| (2..=most).contains(tokens));
        let fits = fits.ok_or_else(|| Refusal::field("tokens", format!("2 to {most} are expected, got {tokens}")))?;
        let named = models.adapters.get(&adapter);
        if adapter != [0; 32] && named.is_none() {
            return Err(Refusal::of(Reason::AdapterUnknown, "adapter", "no such adapter is served"));
        }
        if named.is_some_and(|own| own.base != base) {
            return Err(Refusal::of(Reason::AdapterOtherBase, "adapter", "the adapter is of another base"));
        }
        if kind == OutputKind::Classify.number() && !named.is_some_and(|own| own.key.has_head) {
            let message = "no adapter with a classification head is asked for";
            return Err(Refusal::of(Reason::OutputKindUnsupported, "kind", message));
        }
        let datanet = self.datanet(models, chain, &adapter)?;
        let like = Like { base, kind, datanet: datanet.as_ref() };
        let circuit = circuit_of(settings, models, like, 1, fits)?;
        let taken = settings.tokens.iter().find(|own| own.token == token);
        let taken = taken.ok_or_else(|| Refusal::of(Reason::TokenNotTaken, "token", "it is not taken"))?;
        if consumer_gas > settings.max_consumer_gas.min(MAX_CONSUMER_GAS) {
            let message = format!("a consumer's call has at most {} gas", settings.max_consumer_gas);
            return Err(Refusal::of(Reason::TermsUnsupported, "consumer_gas", message));
        }
        let routes =
            pinned_routes(chain, settings.market.escrow(), &settings.pins, circuit.id).map_err(chain_failed)?;
        if routes.is_zero() {
            return Err(Refusal::new(Reason::RouteUntrusted, "no route of the circuit is live"));
        }
        let price = usual_fees(chain.node()).map_err(chain_failed)?.max_per_gas;
        let callback = if consumer_gas == 0 { 0 } else { call_gas(consumer_gas) };
        let (_, cost) = settings.gas(token, price, datanet.is_some()).cost(callback);
        let now = chain.timestamp().map_err(chain_failed)?;
        let quote = Quote {
            prover: settings.payee,
            base: U256::from_be_bytes(base),
            adapter: U256::from_be_bytes(adapter),
            kind,
            tokens,
            token,
            consumerGas: consumer_gas,
            fee: taken.least_fee.max(cost.unwrap_or_default()),
            needed: settings.load_of(accepted).needed(),
            routes,
            expires: now.saturating_add(MEANT),
        };
        let failed = |_| Refusal::new(Reason::Internal, "the quote could not be signed");
        let signature = quote.sign(settings.market.escrow(), &self.key).map_err(failed)?;
        Ok((quote, signature.as_bytes().to_vec()))
    }
}
