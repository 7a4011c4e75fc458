//! `lorica settle`: a zero-knowledge proof, for a contract, that an inference proof is accepted.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use lorica::amount::Amount;
use lorica::binding;
use lorica::check::CheckError;
use lorica::files::{
    MAX_PROOF_BYTES, SETTLEMENT_KEY_MAGIC, SETTLEMENT_MAGIC, read_adapter_key, read_base_key, read_index_key, store,
};
use lorica::offer::{Policy, bind};
use lorica::signed_request::SignedRequest;
use lorica_chain::alloy_primitives::Address;
use lorica_settlement::binding::Binding;
use lorica_settlement::settlement::admit;
use lorica_verifier::protocol::key::{AdapterCommitments, IndexCommitments};
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::verify::Keys;
use serde_json::json;

use super::settlement_key::settler;
use super::verify_settlement::{answers, index_json};
use super::{shape_json, shape_text, short, word};
use crate::error::Error;
use crate::node::{MarketArgs, NodeArgs, parse_account, parse_url};
use crate::output::{Output, peak_memory, phases_json, size, time};
use crate::srs_args::SrsArgs;

/// Arguments of `settle`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("bound to").required(true).args(["binding", "requests"]))]
pub struct SettleArgs {
    /// Key of the base (.vk; a .lorica file will do)
    #[arg(long, value_name = "FILE")]
    pub base: PathBuf,
    /// Keys of the adapters that the proof uses (.vk; .lorica files will do)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub adapter: Vec<PathBuf>,
    /// Keys of the datanets by whose records the proof attributes (.vk; .lorica files will do)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub datanet: Vec<PathBuf>,
    /// The inference proof, as `lorica prove` wrote it with the same --binding
    #[arg(long, value_name = "FILE")]
    pub proof: PathBuf,
    /// Binding file, as `lorica request bind` writes it: chain, contract, payee, request ids and fees
    #[arg(long, value_name = "FILE")]
    pub binding: Option<PathBuf>,
    /// Instead of --binding: files of locked requests, whose fees are looked up on the chain
    #[arg(long, value_name = "FILE", num_args = 1.., requires_all = ["rpc", "contracts", "payee"])]
    pub requests: Vec<PathBuf>,
    /// For --requests: JSON-RPC address of a node of the chain
    #[arg(long, value_name = "URL", env = "LORICA_RPC", value_parser = parse_url)]
    pub rpc: Option<String>,
    /// For --requests: file with the contracts' addresses, as `lorica chain deploy` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_CONTRACTS")]
    pub contracts: Option<PathBuf>,
    /// For --requests: account that is to be paid, the one that the proof is bound to
    #[arg(long, value_name = "ADDRESS", value_parser = parse_account)]
    pub payee: Option<Address>,
    /// File to write the settlement to; its settlement key is written beside it, with the ending .vk
    #[arg(short, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    /// The SRS that the base was imported with.
    pub srs: SrsArgs,
}

/// The binding, from its file or from the chain.
fn read_binding(args: &SettleArgs) -> Result<Binding, Error> {
    match (&args.binding, &args.rpc, &args.contracts, args.payee) {
        (Some(path), ..) => Ok(binding::read(path)?),
        (None, Some(rpc), Some(contracts), Some(payee)) => {
            let node = NodeArgs { rpc: rpc.clone(), confirmations: None, max_gas_cost: Amount::NONE };
            let market = MarketArgs { node, contracts: contracts.clone() };
            let (market, mut chain) = market.connect(None)?;
            let requests = SignedRequest::read_all(&args.requests, &market, &mut chain)?;
            let policy = Policy { payee, ..Policy::default() };
            Ok(bind(&policy, &market, &mut chain, &requests)?)
        }
        _ => Err(Error::Usage("--requests needs --rpc, --contracts and --payee".into())),
    }
}

/// Runs it.
///
/// # Errors
/// [`Error`]; of kind [`crate::error::Kind::Rejected`] if the inference proof is not accepted.
pub fn run(args: &SettleArgs, out: &Output) -> Result<(), Error> {
    let key_file = store::expect_writable_with_key(&args.out, SETTLEMENT_MAGIC, SETTLEMENT_KEY_MAGIC)?;
    let binding = read_binding(args)?;
    let base = read_base_key(&args.base)?;
    let mut adapters: Vec<AdapterCommitments> = Vec::new();
    for path in &args.adapter {
        adapters.push(read_adapter_key(path, &base)?.commitments);
    }
    let mut datanets = Vec::new();
    for path in &args.datanet {
        let (key, description) = read_index_key(path)?;
        datanets.push((key, description.contributors));
    }
    let indexes: Vec<IndexCommitments> = datanets.iter().map(|(key, _)| key.commitments.clone()).collect();
    let keys = Keys { adapters: &adapters, indexes: &indexes };
    let bytes = store::read(&args.proof, MAX_PROOF_BYTES)?;
    let proof = InferenceProof::decode(&bytes).map_err(CheckError::MalformedProof)?;
    let base_key = &base.commitments;
    // First: a key takes long to make, and a proof that will be refused should not wait for it.
    admit(&base.verifier_key(), base_key, keys, &binding, &proof)?;
    let srs = args.srs.load(base_key.log_tile, out)?;
    let settler = settler(srs)?;
    let settled = settler.settle(&base, keys, &binding, &proof, &out.steps())?;
    out.add_phases(settled.phases);
    let (made, key) = (settled.settlement, settled.key);
    let of = key.verifying().circuit_shape();
    let encoded = made.encode();
    store::write(&args.out, &encoded)?;
    store::write(&key_file, &key.verifying().encode())?;

    let phases = out.take_phases();
    let circuit = format!("0x{}", hex::encode(made.circuit));
    out.line(format!("{}: {}, key {}", args.out.display(), size(encoded.len() as u64), key_file.display()));
    out.line(format!("  circuit {circuit}"));
    out.line(format!("  base {}, {}", short(&made.base), shape_text(&of.shape)));
    let requests = answers(&made, &datanets, Some(out));
    for (name, spent) in &phases {
        out.line(format!("  {name:<28} {}", time(*spent)));
    }
    out.finish(
        "lorica.settle/1",
        json!({
            "settlement": { "file": args.out, "bytes": encoded.len() }, "key": key_file, "circuit": circuit,
            "log_rows": key.verifying().log_rows(), "base": word(&made.base), "shape": shape_json(&of.shape), "index": index_json(&made),
            "binding": binding::to_json(&binding), "context": word(&binding.context()), "requests": requests,
            "insecure_srs": base.verifier_key().is_insecure(), "phases": phases_json(&phases),
            "peak_memory_bytes": peak_memory(),
        }),
    );
    Ok(())
}
