//! Checks proofs that a registered model, with a registered adapter, gave these outputs for these token ids.
//!
//! ```no_run
//! use lorica_verifier::{AdapterKey, BaseKey, Fr, InferenceProof, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Keys come from where base and adapter are registered: a proof speaks of the ids that these keys have.
//! let base = BaseKey::decode(&std::fs::read("base.vk")?)?;
//! let adapter = AdapterKey::decode(&std::fs::read("emotion.vk")?)?;
//! // The proof comes from anyone.
//! let proof = InferenceProof::decode(&std::fs::read("inference.proof")?)?;
//!
//! // The word that the proof must be bound to, here none.
//! let context = Fr::zero();
//! verify(&base, std::slice::from_ref(&adapter), &context, &proof)?;
//! for request in &proof.statement.requests {
//!     println!("{} tokens: {:?}", request.ids.len(), adapter.label(request.output.label().into()));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The root of the crate is for who checks. [`protocol`] has the protocol's parts, for who proves, settles or audits, and
//! [`files`] the formats of its files; both stand upon [`codec`], [`magic`] and [`keccak`]. The crate reads no file system and no clock, keeps no state, and does not panic on
//! foreign bytes.
//!
//! # What a check does not tell
//! Whether a text has these token ids: that takes the tokenizer, whose file is in [`BaseKey::tokenizer_json`], and which
//! no id covers. Whether labels have the right names: no id covers them either. Whether the keys are the ones that were
//! meant: compare [`BaseKey::id`] and [`AdapterKey::id`]. Whether the SRS is sound: [`VerifierKey::is_insecure`] knows only
//! the development one.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)
)]

use lorica_circuits::shape::OutputKind;

pub mod codec;
pub mod files;
pub mod keccak;
pub mod magic;
pub mod protocol;

pub use codec::CodecError;
pub use files::vk::{AdapterKey, BaseKey, IndexKey};
pub use lorica_circuits::bn254::Fr;
pub use protocol::group::VerifierKey;
pub use protocol::index::{IndexProof, IndexStatement};
pub use protocol::proof::{InferenceProof, Output, Share, Statement};
pub use protocol::rows::{Row, RowProof, RowStatement, RowText, RowWords};
pub use protocol::statement::RequestWords;
pub use protocol::verify::VerifyError;

/// Checks a proof against the keys of a base and of the adapters that the proof may use. Gives label and digests of input
/// and output of each request.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones, and that nobody knows the trapdoor of the base's SRS. What a
/// request says is about token ids; see the [crate's documentation](crate) for what else stays open.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify(
    base: &BaseKey,
    adapters: &[AdapterKey],
    context: &Fr,
    proof: &InferenceProof,
) -> Result<Vec<RequestWords<Fr>>, VerifyError> {
    verify_attributed(base, adapters, &[], context, proof)
}

/// [`verify`], with the keys of datanet indexes by which the proof may attribute: then each request of the index' adapter has
/// proven shares in the statement, those of the contributors with the largest ones.
///
/// # Soundness
/// As [`verify`]; the caller also vouches that the index is the one that counts for its adapter: anybody can make another.
///
/// # Errors
/// As [`verify`].
pub fn verify_attributed(
    base: &BaseKey,
    adapters: &[AdapterKey],
    indexes: &[IndexKey],
    context: &Fr,
    proof: &InferenceProof,
) -> Result<Vec<RequestWords<Fr>>, VerifyError> {
    let own: Vec<_> = adapters.iter().map(|key| key.commitments.clone()).collect();
    let indexes: Vec<_> = indexes.iter().map(|key| key.commitments.clone()).collect();
    let keys = protocol::verify::Keys { adapters: &own, indexes: &indexes };
    let outcome = protocol::verify::verify(&base.verifier_key(), &base.commitments, keys, context, proof)?;
    check_heads(base, adapters, &proof.statement)?;
    Ok(outcome.requests)
}

/// Checks that every cell of a datanet's index is in its range, that no record weighs more than one, and that rows beyond its
/// records weigh nothing.
///
/// # Soundness
/// As [`verify`]. Nothing is said of whether the cells are those of the version's records.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify_index(
    base: &BaseKey,
    adapter: &AdapterKey,
    index: &IndexKey,
    context: &Fr,
    proof: &IndexProof,
) -> Result<(), VerifyError> {
    let keys = (&base.commitments, &adapter.commitments, &index.commitments);
    protocol::index::verify_index(&base.verifier_key(), keys.0, keys.1, keys.2, context, proof).map(drop)
}

/// Checks that rows of a datanet's index are the features of texts under the index' adapter, with the labels, weights and slots
/// that are stated. Gives each row's record digest and word.
///
/// # Soundness
/// As [`verify`]. Nothing is said of whether the text is the record of that number in the datanet's version: that is a path to
/// the version's root. Rows that are not stated are not proven.
///
/// # Errors
/// [`VerifyError`] names the first check that fails.
pub fn verify_rows(
    base: &BaseKey,
    adapter: &AdapterKey,
    index: &IndexKey,
    context: &Fr,
    proof: &RowProof,
) -> Result<Vec<RowWords<Fr>>, VerifyError> {
    let keys = (&base.commitments, &adapter.commitments, &index.commitments);
    Ok(protocol::rows::verify_rows(&base.verifier_key(), keys.0, keys.1, keys.2, context, proof)?.words)
}

/// No label without a head. The protocol refuses an absent label as the winner; this says it in words.
fn check_heads(base: &BaseKey, adapters: &[AdapterKey], statement: &Statement) -> Result<(), VerifyError> {
    if statement.shape.output != OutputKind::Classify {
        return Ok(());
    }
    let headless: Vec<Fr> = adapters.iter().filter(|key| !key.has_head).map(AdapterKey::id).collect();
    for (index, request) in statement.requests.iter().enumerate() {
        let refuse = |what| Err(VerifyError::Request { request: index, what });
        if !base.has_pooler {
            return refuse("states a label, but the base cannot classify");
        }
        if headless.contains(&request.adapter) {
            return refuse("states a label, but its adapter has no head");
        }
    }
    Ok(())
}

// The tests' arithmetic is shared with other crates' tests and names this one from outside.
#[cfg(test)]
extern crate self as lorica_verifier;
#[cfg(test)]
#[path = "../tests/support/hooked.rs"]
mod hooked;
