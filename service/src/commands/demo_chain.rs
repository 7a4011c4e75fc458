//! The end of the demo: the proof is settled and checked by the contracts on an EVM in memory.

use std::time::Duration;

use lorica_contracts::abi;
use lorica_contracts::alloy_primitives::Address;
use lorica_contracts::contracts::{CHECK_GAS, Contracts};
use lorica_contracts::embedded::EmbeddedChain;
use lorica_prover::srs::Srs;
use lorica_settlement::binding::{Binding, BoundRequest};
use lorica_settlement::settlement::Settlement;
use lorica_settlement::statement::CircuitShape;
use lorica_verifier::key::AdapterCommitments;
use lorica_verifier::proof::InferenceProof;
use serde_json::{Value, json};

use crate::error::Error;
use crate::files::{AdapterKey, BaseKey};
use crate::output::{Output, phases_json, size, time};
use crate::settlement_key::cached;

/// The chain that anvil imitates too.
const CHAIN_ID: u64 = 31337;

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// One request of the demo's consumer.
#[must_use]
pub(crate) fn binding() -> Binding {
    let request = BoundRequest { id: word(1), fee: word(1_000_000_000_000_000_000) };
    Binding { chain_id: CHAIN_ID, consumer: [0xc0; 20], payee: [0xbe; 20], requests: vec![request] }
}

/// What happened on the chain.
pub(crate) struct OnChain {
    phases: Vec<(String, Duration)>,
    set_up: Vec<(&'static str, u64)>,
    parts: Vec<(String, u64)>,
    gas: u64,
    calldata: usize,
    settlement: usize,
    log_rows: u32,
    forgeries: Vec<(&'static str, Result<u64, (String, Option<u64>)>)>,
}

/// Settles a proof and has it checked, with forgeries.
///
/// # Errors
/// [`Error`]; in particular if the contract refuses the honest settlement.
pub(crate) fn run(
    srs: &Srs,
    base: &BaseKey,
    adapters: &[AdapterKey],
    proof: &InferenceProof,
    out: &Output,
) -> Result<OnChain, Error> {
    let commitments: Vec<AdapterCommitments> = adapters.iter().map(|key| key.commitments.clone()).collect();
    let own = &base.commitments;
    let key = cached(&CircuitShape::of(own, proof.statement.shape), srs, out)?;
    let binding = binding();
    let settled =
        out.step("settle", || Settlement::make(&key, &base.verifier_key(), own, &commitments, &binding, proof))?;
    out.step("check off chain", || settled.check(key.verifying(), own, &commitments))?;

    let owner = Address::repeat_byte(0x0e);
    let mut chain = EmbeddedChain::new(CHAIN_ID, owner);
    let mut steps = Vec::new();
    let contracts = out.step("deploy and register", || {
        let (contracts, deployed) = Contracts::deploy(&mut chain, owner)?;
        steps.extend(deployed);
        steps.extend(contracts.register_base(&mut chain, own)?);
        for adapter in &commitments {
            steps.push(contracts.register_adapter(&mut chain, adapter)?);
        }
        steps.extend(contracts.add_circuit(&mut chain, key.verifying(), CHECK_GAS)?);
        Ok::<_, Error>(contracts)
    })?;
    chain.set_account(Address::from(settled.binding.consumer));
    let receipt = out.step("check by the contract", || contracts.check(&mut chain, &settled))?;
    let data = abi::encode(&abi::check(&settled).map_err(lorica_contracts::chain::ChainError::from)?);
    let (_, profile) = chain.profile(contracts.router, data.clone())?;
    let name = |at: Address| match at {
        at if at == contracts.halo2_verifier => "halo2 verifier, own code".to_owned(),
        at if at == contracts.registry => "registry".into(),
        at if at == contracts.verifier => "verifier, own code".into(),
        at if at == contracts.router => "router".into(),
        at => match at.into_array() {
            [0, .., 0, 5] => "precompile: powers modulo".into(),
            [0, .., 0, 6] => "precompile: additions of points".into(),
            [0, .., 0, 7] => "precompile: multiples of points".into(),
            [0, .., 0, 8] => "precompile: pairing".into(),
            _ => at.to_string(),
        },
    };
    let mut parts: Vec<(String, u64)> = profile.iter().map(|part| (name(part.at), part.gas)).collect();
    let executed: u64 = parts.iter().map(|(_, gas)| gas).sum();
    parts.push(("transaction and calldata".into(), receipt.gas.saturating_sub(executed)));
    parts.sort_by_key(|(_, gas)| std::cmp::Reverse(*gas));

    let mut forgeries = Vec::new();
    type Edit = fn(&mut Settlement);
    let edits: [(&str, Edit); 4] = [
        ("another payee", |s| s.binding.payee[0] ^= 1),
        ("another label", |s| s.answers[0].words.label += lorica_circuits::bn254::Fr::one()),
        ("another adapter", |s| s.answers[0].adapter = lorica_circuits::bn254::Fr::one()),
        ("one bit of the proof", |s| s.proof[1000] ^= 1),
    ];
    for (name, edit) in edits {
        let mut forged = settled.clone();
        edit(&mut forged);
        let verdict = contracts.check(&mut chain, &forged);
        forgeries.push((name, verdict.map(|r| r.gas).map_err(|error| (error.to_string(), error.gas()))));
    }
    let set_up = steps.iter().map(|step| (step.what, step.gas())).collect();
    Ok(OnChain {
        phases: out.take_phases(),
        set_up,
        parts,
        gas: receipt.gas,
        calldata: data.len(),
        settlement: settled.encode().len(),
        log_rows: key.verifying().log_rows(),
        forgeries,
    })
}

impl OnChain {
    /// A forgery that was accepted, which must never happen.
    pub(crate) fn accepted_forgery(&self) -> Option<&'static str> {
        self.forgeries.iter().find(|(_, verdict)| verdict.is_ok()).map(|(name, _)| *name)
    }

    /// For people.
    pub(crate) fn print(&self, out: &Output) {
        out.line("-".repeat(92));
        out.line(format!(
            "settlement, {} of calldata, circuit of 2^{} rows",
            size(self.calldata as u64),
            self.log_rows
        ));
        for (name, spent) in &self.phases {
            out.line(format!("  {name:<44} {:>12}", time(*spent)));
        }
        out.line("on an EVM in memory (Osaka rules)");
        for (what, gas) in &self.set_up {
            out.line(format!("  {what:<44} {gas:>12} gas"));
        }
        out.line(format!("  {:<44} {:>12} gas", "ACCEPTED by the contract", self.gas));
        for (part, gas) in &self.parts {
            out.line(format!("    {part:<42} {gas:>12}"));
        }
        out.line("forgeries on chain");
        for (name, verdict) in &self.forgeries {
            let verdict = match verdict {
                Ok(_) => "ACCEPTED: THIS IS A BUG".to_owned(),
                Err((why, Some(gas))) => format!("REJECTED for {gas} gas: {why}"),
                Err((why, None)) => format!("REJECTED: {why}"),
            };
            out.line(format!("  {name:<36} {verdict}"));
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let gas = |entries: &[(String, u64)]| -> Value {
            entries.iter().map(|(name, gas)| json!({ "what": name, "gas": gas })).collect()
        };
        let set_up: Vec<Value> = self.set_up.iter().map(|(what, gas)| json!({ "what": what, "gas": gas })).collect();
        let forgeries: Vec<Value> = self
            .forgeries
            .iter()
            .map(|(name, verdict)| {
                let reason = verdict.as_ref().err().map(|(why, _)| why);
                json!({ "forgery": name, "rejected": verdict.is_err(), "reason": reason })
            })
            .collect();
        json!({
            "gas": self.gas, "parts": gas(&self.parts), "set_up": set_up, "calldata_bytes": self.calldata,
            "settlement_bytes": self.settlement, "log_rows": self.log_rows, "phases": phases_json(&self.phases),
            "forgeries": forgeries,
        })
    }
}
