//! Quotes as messages, word for word as the prover signs them.

use lorica::chain::alloy_primitives::U256;
use lorica::chain::contracts::quote::Quote;
use lorica::circuits::shape::OutputKind;

use crate::proto;
use crate::terms::{TermsError, address, kind_message, word};

/// The message of a quote.
#[must_use]
pub fn message(quote: &Quote) -> proto::Quote {
    let word = |word: U256| word.to_be_bytes::<32>().to_vec();
    proto::Quote {
        prover: quote.prover.to_vec(),
        base: word(quote.base),
        adapter: word(quote.adapter),
        kind: kind_message(quote.kind).into(),
        tokens: quote.tokens,
        token: quote.token.to_vec(),
        consumer_gas: quote.consumerGas,
        fee: word(quote.fee),
        needed: quote.needed,
        routes: word(quote.routes),
        expires: quote.expires,
    }
}

/// The quote of a message. Who signed it is not looked at.
///
/// # Errors
/// [`TermsError`] names the field.
pub fn quote(message: &proto::Quote) -> Result<Quote, TermsError> {
    let kind = match message.kind() {
        proto::OutputKind::Classify => OutputKind::Classify,
        proto::OutputKind::Embed => OutputKind::Embed,
        _ => return Err(TermsError { field: "kind", expected: "a classification or an embedding is expected" }),
    };
    Ok(Quote {
        prover: address("prover", &message.prover)?,
        base: word("base", &message.base)?,
        adapter: word("adapter", &message.adapter)?,
        kind: kind.number(),
        tokens: message.tokens,
        token: address("token", &message.token)?,
        consumerGas: message.consumer_gas,
        fee: word("fee", &message.fee)?,
        needed: message.needed,
        routes: word("routes", &message.routes)?,
        expires: message.expires,
    })
}
