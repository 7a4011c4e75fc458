//! The demo's chain, an EVM in memory: models are published, a request is locked, its proof is settled, and OPEN is paid.

use std::sync::Arc;
use std::time::Duration;

use lorica::amount;
use lorica::answer::printable;
use lorica::check::CheckError;
use lorica::files::{AdapterKey, BaseKey};
use lorica::input::random_word;
use lorica::settle::SettledIndex;
use lorica_chain::abi;
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::aliases::U96;
use lorica_chain::alloy_primitives::{Address, B256, Bytes, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::attribution::Pot;
use lorica_chain::contracts::lock::{Locking, lock};
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::pins;
use lorica_chain::contracts::publish::Publication;
use lorica_chain::contracts::request::{Payment, Settled};
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::contracts::token::OPEN;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, StateError};
use lorica_chain::keys::PrivateKey;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::OutputKind;
use lorica_settlement::binding::{Binding, BoundRequest};
use lorica_settlement::key::ProvingKey;
use lorica_settlement::settlement::{Settlement, make};
use lorica_verifier::protocol::key::AdapterCommitments;
use lorica_verifier::protocol::proof::{InferenceProof, shares_of};
use lorica_verifier::protocol::verify::Keys;
use serde_json::{Value, json};

use super::demo_datanet::Datanet;
use crate::error::Error;
use crate::output::{Output, phases_json, size, time};

/// The chain's id: anvil's default.
const CHAIN_ID: u64 = 31337;
/// The fee that the requester locks, in OPEN.
const FEE: u64 = 10;
/// OPEN that each party has at the start.
const PURSE: u64 = 1_000;
/// Contributors that people are shown.
const SHOWN: usize = 10;
/// Seconds from the lock to the request's deadline.
const PATIENCE: u64 = 3_600;

/// A party of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    /// The name that is printed.
    pub(crate) name: &'static str,
    /// The account on the chain.
    pub(crate) account: Address,
}

const GOVERNANCE: Party = Party { name: "governance", account: Address::repeat_byte(0x0e) };
const TREASURY: Party = Party { name: "treasury", account: Address::repeat_byte(0x7e) };
const BASE_OWNER: Party = Party { name: "base owner", account: Address::repeat_byte(0xb0) };
const ADAPTER_OWNER: Party = Party { name: "adapter owner", account: Address::repeat_byte(0xad) };
/// Their part of the fee; each of them has an account.
const CONTRIBUTORS: Party = Party { name: "contributors", account: Address::ZERO };
const PROVER: Party = Party { name: "prover", account: Address::repeat_byte(0xbe) };
const THIEF: Party = Party { name: "thief", account: Address::repeat_byte(0x66) };

/// A chain with published models and one locked request.
pub(crate) struct Stage {
    chain: EmbeddedChain,
    market: Market,
    /// Transactions and their gas, in order.
    steps: Vec<(String, u64)>,
    request: InferenceRequest,
    requester: Party,
    base_line: u32,
    adapter_line: u32,
    before: Vec<(Party, U256)>,
    key: Arc<ProvingKey>,
}

/// What a contributor was paid.
#[derive(Clone, Debug)]
pub(crate) struct Contributed {
    /// The maintainer.
    pub(crate) name: String,
    /// The account in this demo.
    pub(crate) account: Address,
    /// Of 65,535.
    pub(crate) share: u16,
    /// In the account after `claim`, in OPEN's smallest unit.
    pub(crate) paid: U256,
}

/// What happened.
pub(crate) struct OnChain {
    pub(crate) phases: Vec<(String, Duration)>,
    pub(crate) steps: Vec<(String, u64)>,
    pub(crate) parts: Vec<(String, u64)>,
    pub(crate) gas: u64,
    pub(crate) calldata: usize,
    pub(crate) settlement: usize,
    pub(crate) log_rows: u32,
    pub(crate) thefts: Vec<Theft>,
    pub(crate) request: B256,
    pub(crate) terms: InferenceRequest,
    pub(crate) circuit: [u8; 32],
    pub(crate) payment: Payment,
    pub(crate) balances: Vec<Balance>,
    pub(crate) contracts: Vec<(&'static str, Address)>,
    /// By share, the largest first.
    pub(crate) contributed: Vec<Contributed>,
    /// What had nobody's name on it, and was burnt.
    pub(crate) burnt: U256,
}

/// An attempt on the money.
pub(crate) struct Theft {
    pub(crate) name: &'static str,
    /// Why it failed and what it cost; none if it succeeded, which must never happen.
    pub(crate) verdict: Option<(String, Option<u64>)>,
}

/// What a party has of OPEN.
pub(crate) struct Balance {
    pub(crate) party: Party,
    pub(crate) before: U256,
    pub(crate) after: U256,
}

fn open(amount: u64) -> U256 {
    U256::from(amount) * U256::from(OPEN)
}

impl Stage {
    /// Deploys the contracts, publishes base and adapters, the first one with its index, and locks the fee for one classification by it.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn new(
        base: &BaseKey,
        adapters: &[AdapterKey],
        datanet: &Datanet,
        ranged: &SettledIndex,
        input_digest: &Fr,
        key: Arc<ProvingKey>,
    ) -> Result<Self, Error> {
        let mut chain = EmbeddedChain::new(CHAIN_ID, GOVERNANCE.account);
        let roles = Roles {
            owner: GOVERNANCE.account,
            guardian: GOVERNANCE.account,
            treasury: TREASURY.account,
            open: OpenKind::Token { holder: GOVERNANCE.account },
        };
        let (market, steps) = Market::deploy(&mut chain, roles, Policy::default())?;
        let mut all: Vec<(String, u64)> =
            steps.iter().map(|step| (format!("deployment: {}", step.what), step.gas())).collect();
        let mut note = |who: Party, steps: Vec<Step>| {
            all.extend(steps.iter().map(|step| (format!("{}: {}", who.name, step.what), step.gas())));
        };

        let added = market.contracts.add_circuit(&mut chain, key.verifying(), CHECK_GAS)?;
        let route = added.last().map_or(B256::ZERO, |step| step.id.into());
        note(GOVERNANCE, added);
        note(GOVERNANCE, vec![market.escrow().enable_route(&mut chain, route)?]);
        let ordinal = market.escrow().ordinal(&mut chain, route)?;
        let signer = PrivateKey::parse(&hex::encode(random_word()?)).map_err(Error::from)?;
        let requester = Party { name: "requester", account: signer.account() };
        for party in [BASE_OWNER, ADAPTER_OWNER, requester] {
            market.open_token().transfer(&mut chain, party.account, open(PURSE))?;
        }

        let publication = |uri: &str, licence: &str| -> Result<Publication, Error> {
            Ok(Publication {
                line: 0,
                pot: None,
                shares: Shares::DEFAULT,
                uri: uri.into(),
                licence: licence.into(),
                salt: random_word()?,
                max_fee: open(PURSE),
            })
        };
        chain.set_account(BASE_OWNER.account);
        let terms = publication("hf:sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0")?;
        note(BASE_OWNER, market.publisher().base(&mut chain, &base.commitments, &terms)?.steps);
        chain.set_account(GOVERNANCE.account);
        note(GOVERNANCE, market.index_ranges().add_circuit(&mut chain, ranged.key.verifying())?);
        chain.set_account(ADAPTER_OWNER.account);
        let (registry, index) = (market.registry(), &datanet.key.commitments);
        for adapter in adapters {
            let (adapter, terms) = (&adapter.commitments, publication("lorica:demo-adapter", "MIT OR Apache-2.0")?);
            if adapter.id() != index.adapter {
                note(ADAPTER_OWNER, market.publisher().adapter(&mut chain, adapter, &terms)?.steps);
                continue;
            }
            // An index is registered and proven to be in range before an adapter is published with it.
            let steps = vec![
                registry.register_adapter(&mut chain, adapter)?,
                registry.register_datanet(&mut chain, &datanet.description.on_chain())?,
                registry.register_index(&mut chain, index)?,
                market.index_ranges().prove(&mut chain, &ranged.settlement)?,
            ];
            note(ADAPTER_OWNER, steps);
            note(ADAPTER_OWNER, market.publisher().attributed_adapter(&mut chain, adapter, index, &terms)?.steps);
        }
        let base_id = base.commitments.id();
        let adapter_id = adapters.first().map_or(Fr::zero(), |adapter| adapter.commitments.id());
        let line = |chain: &mut EmbeddedChain, id: &Fr| -> Result<u32, Error> {
            let line = market.models().line_of(chain, abi::word(id))?;
            Ok(line.ok_or(StateError::Unexpected { what: "a published version" }).map_err(ChainError::from)?)
        };
        let (base_line, adapter_line) = (line(&mut chain, &base_id)?, line(&mut chain, &adapter_id)?);
        let request = InferenceRequest {
            requester: requester.account,
            base: abi::word(&base_id),
            adapter: abi::word(&adapter_id),
            inputDigest: abi::word(input_digest),
            kind: OutputKind::Classify.number(),
            routes: pins::mask(ordinal),
            maxFee: open(FEE),
            minFee: open(FEE),
            rampStart: 0,
            rampTime: 0,
            token: market.open,
            deadline: chain.timestamp()? + PATIENCE,
            prover: Address::ZERO,
            acceptTime: 0,
            stake: U96::ZERO,
            consumer: Address::ZERO,
            consumerGas: 0,
            salt: random_word()?.into(),
        };
        let before = Self::wallets(&market, &mut chain, requester)?;
        // A relayer could lock it: the signature says what the requester agreed to.
        let id = market.escrow().request_id(&request);
        let signature = signer.sign_digest(id).map_err(Error::from)?.as_bytes();
        chain.set_account(requester.account);
        let locking = Locking { request: &request, fee: request.maxFee, refund_to: None, signature: &signature };
        note(requester, lock(&mut chain, market.escrow(), locking)?);
        Ok(Self { chain, market, steps: all, request, requester, base_line, adapter_line, before, key })
    }

    fn wallets(market: &Market, chain: &mut EmbeddedChain, requester: Party) -> Result<Vec<(Party, U256)>, Error> {
        let parties = [requester, PROVER, ADAPTER_OWNER, BASE_OWNER, THIEF];
        let of =
            |party: Party| Ok((party, Amounts::of(chain, market.escrow(), market.open_token(), party.account)?.wallet));
        parties.map(of).into_iter().collect()
    }

    /// What the proof is to be bound to: the escrow, the prover as payee, the request and its fee.
    pub(crate) fn binding(&self) -> Binding {
        let id = self.market.escrow().request_id(&self.request);
        let request = BoundRequest { id: id.0, fee: self.request.maxFee.to_be_bytes() };
        Binding {
            chain_id: CHAIN_ID,
            consumer: self.market.escrow.into_array(),
            payee: PROVER.account.into_array(),
            requests: vec![request],
        }
    }

    fn note(&mut self, who: Party, what: &str, gas: u64) {
        self.steps.push((format!("{}: {what}", who.name), gas));
    }

    /// Settles the proof, has it paid, and tries to steal.
    ///
    /// # Errors
    /// [`Error`]; in particular if the contracts refuse the honest settlement.
    pub(crate) fn settle(
        mut self,
        base: &BaseKey,
        adapters: &[AdapterKey],
        datanet: &Datanet,
        proof: &InferenceProof,
        out: &Output,
    ) -> Result<OnChain, Error> {
        let commitments: Vec<AdapterCommitments> = adapters.iter().map(|key| key.commitments.clone()).collect();
        let indexes = [datanet.key.commitments.clone()];
        let keys = Keys { adapters: &commitments, indexes: &indexes };
        let own = &base.commitments;
        let binding = self.binding();
        let settled = out.step("settle", || make(&self.key, &base.verifier_key(), own, keys, &binding, proof))?;
        out.step("check off chain", || settled.check(self.key.verifying(), own, keys)).map_err(CheckError::from)?;

        let (market, requests) = (self.market, [self.request.clone()]);
        // While the fee is locked, and there is something to steal.
        let mut thefts = Vec::new();
        type Edit = fn(&mut Settlement);
        let edits: [(&str, Edit); 6] = [
            ("the proof copied, the thief as payee", |s| s.binding.payee = THIEF.account.into_array()),
            ("another label", |s| s.answers[0].words.label += Fr::one()),
            ("another output", |s| s.answers[0].words.output_digest += Fr::one()),
            ("a larger share for a contributor", |s| s.shares[0] += Fr::from(1 << 12)),
            ("no shares, and no index", |s| (s.index, s.shares) = (Fr::zero(), vec![])),
            ("one bit of the proof", |s| s.proof[1000] ^= 1),
        ];
        self.chain.set_account(THIEF.account);
        for (name, edit) in edits {
            let mut forged = settled.clone();
            edit(&mut forged);
            let verdict = market.escrow().settle(&mut self.chain, &forged, &requests, 1).map(drop);
            thefts.push(Theft::judged(name, verdict));
        }
        let early = market.escrow().refund(&mut self.chain, &self.request).map(drop);
        thefts.push(Theft::judged("a refund before the deadline", early));

        let route = market.escrow().route_for(&mut self.chain, &settled, &requests)?;
        let data = market.escrow().settle_data(route, &settled, &requests, 1)?;
        let (parts, calldata) = self.parts(&data)?;
        self.chain.set_account(PROVER.account);
        let Settled { receipt, payments, .. } =
            out.step("settle and pay on chain", || market.escrow().settle(&mut self.chain, &settled, &requests, 1))?;
        self.note(PROVER, "settle: proof checked, fee divided", receipt.gas);
        let payment = payments
            .into_iter()
            .next()
            .ok_or(StateError::Unexpected { what: "the payment" })
            .map_err(ChainError::from)?;

        self.chain.set_account(THIEF.account);
        let again = market.escrow().settle(&mut self.chain, &settled, &requests, 1).map(drop);
        thefts.push(Theft::judged("the same proof once more", again));
        self.chain.advance(PATIENCE + 1);
        let late = market.escrow().refund(&mut self.chain, &self.request).map(drop);
        thefts.push(Theft::judged("a refund of what is settled", late));
        let stolen = market
            .escrow()
            .withdraw_owner_share(&mut self.chain, self.adapter_line, market.open, THIEF.account)
            .map(drop);
        thefts.push(Theft::judged("the adapter owner's share", stolen));
        let (contributed, burnt) = self.distribute(datanet, &settled, &mut thefts, out)?;
        self.withdraw_all()?;

        let after = Self::wallets(&market, &mut self.chain, self.requester)?;
        let balances = self.before.iter().zip(&after);
        Ok(OnChain {
            phases: out.take_phases(),
            steps: self.steps,
            parts,
            gas: receipt.gas,
            calldata,
            settlement: settled.encode().len(),
            log_rows: self.key.verifying().log_rows(),
            thefts,
            request: market.escrow().request_id(&self.request),
            terms: self.request,
            circuit: settled.circuit,
            payment,
            balances: balances.map(|(&(party, before), &(_, after))| Balance { party, before, after }).collect(),
            contracts: vec![
                ("OpenToken", market.open),
                ("ModelRegistry", market.models),
                ("InferenceEscrow", market.escrow),
                ("IndexRanges", market.index_ranges),
            ],
            contributed,
            burnt,
        })
    }

    /// Credits contributors by their shares, and has each of them fetch what is his.
    fn distribute(
        &mut self,
        datanet: &Datanet,
        settled: &Settlement,
        thefts: &mut Vec<Theft>,
        out: &Output,
    ) -> Result<(Vec<Contributed>, U256), Error> {
        let (market, chain) = (self.market, &mut self.chain);
        let (open, index) = (market.open, abi::word(&settled.index));
        let pot = Pot::of(chain, market.escrow())?;
        chain.set_account(THIEF.account);
        let entries = pot.undistributed(chain, index, 0)?;
        let mut larger = entries.clone();
        larger.iter_mut().for_each(|entry| entry.amount += U256::ONE);
        thefts.push(Theft::judged("more to distribute than was paid", pot.distribute(chain, index, &larger).map(drop)));
        // Anyone may distribute; who does it has nothing of it.
        let gas = out.step("distribute", || pot.distribute(chain, index, &entries))?.gas;
        let mut gas = vec![("anyone", "distribute to contributors", gas)];
        thefts.push(Theft::judged("the same distributed again", pot.distribute(chain, index, &entries).map(drop)));

        let shares = shares_of(&settled.shares).unwrap_or_default();
        let mut contributed = Vec::new();
        for own in shares.iter().filter(|own| own.share > 0) {
            let Some((account, name)) = datanet.contributor(own.slot) else { continue };
            let Some(slot) = datanet.description.slot(own.slot, None) else { continue };
            if contributed.is_empty() {
                chain.set_account(THIEF.account);
                let stolen = pot.claim(chain, &slot, open, THIEF.account).map(drop);
                thefts.push(Theft::judged("a contributor's part", stolen));
            }
            chain.set_account(account);
            let receipt = pot.claim(chain, &slot, open, account)?;
            gas.push(("a contributor", "claim", receipt.gas));
            let paid = market.open_token().balance(chain, account)?;
            contributed.push(Contributed { name, account, share: own.share, paid });
        }
        contributed.sort_by_key(|own| std::cmp::Reverse(own.share));
        let burnt = pot.burnable(chain, open)?;
        if !burnt.is_zero() {
            gas.push(("anyone", "burn what is nobody's", pot.burn(chain, open)?.gas));
        }
        // One claim stands for all: they cost about the same.
        let mut seen = false;
        for (who, what, gas) in gas {
            if what == "claim" && std::mem::replace(&mut seen, true) {
                continue;
            }
            self.steps.push((format!("{who}: {what}"), gas));
        }
        Ok((contributed, burnt))
    }

    /// Everybody fetches what the escrow owes.
    fn withdraw_all(&mut self) -> Result<(), Error> {
        let Market { open, .. } = self.market;
        let market = self.market;
        let chain = &mut self.chain;
        let mut gas = Vec::new();
        chain.set_account(PROVER.account);
        gas.push((PROVER, market.escrow().withdraw(chain, open, PROVER.account)?.gas));
        chain.set_account(ADAPTER_OWNER.account);
        gas.push((
            ADAPTER_OWNER,
            market.escrow().withdraw_owner_share(chain, self.adapter_line, open, ADAPTER_OWNER.account)?.gas,
        ));
        chain.set_account(BASE_OWNER.account);
        gas.push((
            BASE_OWNER,
            market.escrow().withdraw_owner_share(chain, self.base_line, open, BASE_OWNER.account)?.gas,
        ));
        for (party, gas) in gas {
            self.note(party, "withdraw", gas);
        }
        Ok(())
    }

    /// Gas of a settlement by part, and the bytes of its calldata.
    fn parts(&mut self, data: &Bytes) -> Result<(Vec<(String, u64)>, usize), Error> {
        let market = self.market;
        let (all, profile) = self.chain.profile(market.escrow, data.clone())?;
        let contracts = market.contracts;
        let name = |at: Address| match at {
            at if at == market.escrow => "escrow".to_owned(),
            at if at == market.models => "registry of models".into(),
            at if at == contracts.halo2_verifier => "halo2 verifier, own code".into(),
            at if at == contracts.registry => "registry of commitments".into(),
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
        parts.push(("transaction and calldata".into(), all.saturating_sub(executed)));
        parts.sort_by_key(|(_, gas)| std::cmp::Reverse(*gas));
        Ok((parts, data.len()))
    }
}

/// A share in percent.
pub(crate) fn percent(share: u16) -> f64 {
    100.0 * f64::from(share) / f64::from(u16::MAX)
}

impl Theft {
    fn judged(name: &'static str, verdict: Result<(), ChainError>) -> Self {
        Self { name, verdict: verdict.err().map(|error| (error.to_string(), error.gas())) }
    }
}

impl OnChain {
    /// A theft that succeeded, which must never happen.
    pub(crate) fn accepted_forgery(&self) -> Option<&'static str> {
        self.thefts.iter().find(|theft| theft.verdict.is_none()).map(|theft| theft.name)
    }

    /// Shares of the fee: who, how much.
    pub(crate) fn shares(&self) -> [(Party, U256); 4] {
        let payment = &self.payment;
        [
            (PROVER, payment.prover_share),
            (ADAPTER_OWNER, payment.adapter_owner_share),
            (BASE_OWNER, payment.base_owner_share),
            (CONTRIBUTORS, payment.contributors_share),
        ]
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
            out.line(format!("  {name:<52} {:>12}", time(*spent)));
        }
        out.line("on an EVM in memory (Osaka rules)");
        for (what, gas) in &self.steps {
            out.line(format!("  {what:<52} {gas:>12} gas"));
        }
        out.line(format!("the settlement's {} gas by part", self.gas));
        for (part, gas) in &self.parts {
            out.line(format!("  {part:<52} {gas:>12}"));
        }
        out.line(format!("request {}: {} OPEN divided", self.request, amount::show(self.terms.maxFee)));
        out.line(format!("  {:<24} {:>20} {:>20} {:>16}", "OPEN", "before", "after", "change"));
        for Balance { party, before, after } in &self.balances {
            let change = if after >= before {
                format!("+{}", amount::show(after - before))
            } else {
                format!("-{}", amount::show(before - after))
            };
            let (before, after) = (amount::show(*before), amount::show(*after));
            out.line(format!("  {:<24} {before:>20} {after:>20} {change:>16}", party.name));
        }
        out.line("contributors, paid by their proven shares of the answer");
        for own in self.contributed.iter().take(SHOWN) {
            let (part, paid) = (percent(own.share), amount::show(own.paid));
            out.line(format!("  {:<44} {part:>6.1} % {paid:>28} OPEN", printable(&own.name)));
        }
        if let Some(more) = self.contributed.len().checked_sub(SHOWN + 1) {
            let paid = self.contributed.iter().skip(SHOWN).fold(U256::ZERO, |sum, own| sum + own.paid);
            out.line(format!("  {:<44} {:>6}   {:>28} OPEN", format!("{} more", more + 1), "", amount::show(paid)));
        }
        out.line(format!("  {:<44} {:>6}   {:>28} OPEN", "burnt: nobody's", "", amount::show(self.burnt)));
        out.line("thefts");
        for theft in &self.thefts {
            let verdict = match &theft.verdict {
                None => "SUCCEEDED: THIS IS A BUG".to_owned(),
                Some((why, Some(gas))) => format!("REJECTED for {gas} gas: {why}"),
                Some((why, None)) => format!("REJECTED: {why}"),
            };
            out.line(format!("  {:<38} {verdict}", theft.name));
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let gas = |entries: &[(String, u64)]| -> Value {
            entries.iter().map(|(name, gas)| json!({ "what": name, "gas": gas })).collect()
        };
        let thefts: Vec<Value> = self
            .thefts
            .iter()
            .map(|theft| {
                let reason = theft.verdict.as_ref().map(|(why, _)| why);
                json!({ "forgery": theft.name, "rejected": theft.verdict.is_some(), "reason": reason })
            })
            .collect();
        let balances: Vec<Value> = self
            .balances
            .iter()
            .map(|Balance { party, before, after }| {
                json!({
                    "party": party.name, "account": party.account.to_string(),
                    "before": before.to_string(), "after": after.to_string(),
                })
            })
            .collect();
        let contributors: Vec<Value> = self
            .contributed
            .iter()
            .map(|own| {
                json!({
                    "contributor": own.name, "account": own.account.to_string(), "share": own.share,
                    "paid": own.paid.to_string(),
                })
            })
            .collect();
        let shares: Vec<Value> = self
            .shares()
            .iter()
            .map(|(party, share)| json!({ "party": party.name, "amount": share.to_string() }))
            .collect();
        json!({
            "gas": self.gas, "parts": gas(&self.parts), "steps": gas(&self.steps), "calldata_bytes": self.calldata,
            "settlement_bytes": self.settlement, "log_rows": self.log_rows, "phases": phases_json(&self.phases),
            "request": self.request.to_string(), "fee": self.terms.maxFee.to_string(), "shares": shares,
            "circuit": format!("0x{}", hex::encode(self.circuit)), "balances": balances, "forgeries": thefts,
            "contributors": contributors, "burnt": self.burnt.to_string(),
        })
    }
}
