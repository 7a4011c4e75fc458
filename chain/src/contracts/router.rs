//! The router (`VerifierRouter`), which consumers call: routes from each circuit to its verifiers and key.

use std::ops::Range;

use alloy_primitives::aliases::U40;
use alloy_primitives::ruint::UintTryFrom;
use alloy_primitives::{Address, B256, U256};
use lorica_circuits::shape::{OutputKind, RECORDS};
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::Settlement;

use super::{Contract, Step, create};
use crate::abi;
use crate::abi::bindings::VerifierRouter;
use crate::chain::{Chain, Receipt};
use crate::error::{ChainError, PolicyError, StateError};

/// Most gas that a route gives to a check: the largest batch needs less than 2 million, the largest base 6.6 million more.
pub const CHECK_GAS: u32 = 12_000_000;

/// Place of the kind of output in a key's content (`SettlementKey.sol`).
const KEY_OUTPUT_KIND: Range<usize> = 0x1c0..0x1e0;
/// Place of log2 of the records of the index by which the circuit attributes: zero if it attributes nothing.
const KEY_ATTRIBUTION: Range<usize> = 0x1e0..0x200;

/// By which verifier a circuit's settlements are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its id: [`abi::route_id`].
    pub id: B256,
    /// The circuit.
    pub circuit: B256,
    /// The verifier.
    pub verifier: Address,
    /// Of the verifier's code when the route was added.
    pub code_hash: B256,
    /// Data contract of the key.
    pub key: Address,
    /// Most gas of a check.
    pub gas_cap: u32,
    /// First second in which it checks anything, Unix time.
    pub active_from: u64,
    /// Until which second it is, or was last, paused, Unix time; zero if it never was.
    pub paused_until: u64,
    /// Whether it has ended: a frozen route settles nothing any more.
    pub frozen: bool,
}

impl Route {
    /// Whether it checks settlements at the chain's time `now`.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        !self.frozen && now >= self.active_from && now >= self.paused_until
    }
}

/// The router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router(pub Contract);

/// That a circuit's key is for a kind of output that is offered.
fn expect_offered(circuit: B256, content: &[u8]) -> Result<(), ChainError> {
    let word = content.get(KEY_OUTPUT_KIND).map(U256::from_be_slice);
    let number = word.and_then(|word| u8::try_from(word).ok());
    let number = number.ok_or(StateError::Unexpected { what: "the kind of output of a settlement key" })?;
    let attribution = content.get(KEY_ATTRIBUTION).map(U256::from_be_slice);
    let offered =
        |log: U256| log.is_zero() || RECORDS.iter().any(|records| log == U256::from(records.trailing_zeros()));
    if !attribution.is_some_and(offered) {
        return Err(StateError::Unexpected {
            what: "the size of index by which a settlement key's circuit attributes",
        }
        .into());
    }
    match OutputKind::from_number(number) {
        Ok(_) => Ok(()),
        Err(source) => Err(PolicyError::OutputKind { what: "circuit", id: circuit, source }.into()),
    }
}

impl Router {
    /// Its address.
    #[must_use]
    pub fn address(self) -> Address {
        self.0.address
    }

    /// A route by its id, none if there is none.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn route(self, chain: &mut impl Chain, id: B256) -> Result<Option<Route>, ChainError> {
        let found = self.0.view(chain, "a route", &VerifierRouter::routesCall { route: id })?;
        let route = Route {
            id,
            circuit: found.circuit,
            verifier: found.verifier,
            code_hash: found.codehash,
            key: found.key,
            gas_cap: found.gasCap,
            active_from: found.activeFrom.to(),
            paused_until: found.pausedUntil.to(),
            frozen: found.frozen,
        };
        Ok((!route.verifier.is_zero()).then_some(route))
    }

    /// All routes of a circuit, in the order in which they were added.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn routes_of(self, chain: &mut impl Chain, circuit: B256) -> Result<Vec<Route>, ChainError> {
        let ids = self.0.view(chain, "a circuit's routes", &VerifierRouter::routesOfCall { circuit })?;
        let routes: Result<Vec<_>, _> = ids.into_iter().map(|id| self.route(chain, id)).collect();
        Ok(routes?.into_iter().flatten().collect())
    }

    /// The route by which a circuit's settlements are checked now: the newest that is live, else the newest of all, so that
    /// the contract can say what is wrong with it.
    ///
    /// # Errors
    /// [`StateError::NoRoute`] if there is none.
    pub fn serving_route(self, chain: &mut impl Chain, circuit: B256) -> Result<Route, ChainError> {
        let now = chain.timestamp()?;
        let routes = self.routes_of(chain, circuit)?;
        let live = routes.iter().rev().find(|route| route.is_live(now));
        let route = live.or(routes.last()).copied();
        route.ok_or_else(|| StateError::NoRoute { circuit }.into())
    }

    /// Who may pause routes.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn guardian(self, chain: &mut impl Chain) -> Result<Address, ChainError> {
        self.0.view(chain, "the guardian", &VerifierRouter::guardianCall {})
    }

    /// That a route's circuit is for a kind of output that is offered: contracts of an earlier version take withdrawn ones.
    ///
    /// # Errors
    /// [`PolicyError::OutputKind`] says what is wrong with the circuit.
    pub fn expect_route_offered(self, chain: &mut impl Chain, route: &Route) -> Result<(), ChainError> {
        let code = chain.code(route.key)?;
        // The content follows the STOP.
        expect_offered(route.circuit, code.get(1..).unwrap_or_default())
    }

    /// Routes a circuit to a verifier: stores its key, unless another route of the circuit has stored it, and adds the route,
    /// unless there is this very one. The account must own the router. A check has `gas_cap` gas at most, [`CHECK_GAS`] as a
    /// rule. The last step is the route's, and its id the route's id.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_circuit(
        self,
        chain: &mut impl Chain,
        verifier: Address,
        key: &VerifyingKey,
        gas_cap: u32,
    ) -> Result<Vec<Step>, ChainError> {
        self.add_key(chain, verifier, &key.content(), gas_cap)
    }

    /// [`add_circuit`](Self::add_circuit) by the content of its key.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn add_key(
        self,
        chain: &mut impl Chain,
        verifier: Address,
        content: &[u8],
        gas_cap: u32,
    ) -> Result<Vec<Step>, ChainError> {
        self.0.expect_chain(chain)?;
        let circuit = abi::circuit_id(content);
        expect_offered(circuit, content)?;
        let route = abi::route_id(circuit, verifier, &chain.code(verifier)?, gas_cap);
        let mut steps = Vec::new();
        let mut known = self.routes_of(chain, circuit)?;
        if known.iter().any(|known| known.id == route) {
            steps.push(Step { what: "route", id: route.into(), receipt: None });
            return Ok(steps);
        }
        let key = match known.pop() {
            Some(known) => known.key,
            None => create(chain, &mut steps, "settlement key", abi::data_contract(content)?)?,
        };
        let receipt = self.0.send(chain, &VerifierRouter::addCall { circuit, verifier, key, gasCap: gas_cap })?;
        steps.push(Step { what: "route", id: route.into(), receipt: Some(receipt) });
        Ok(steps)
    }

    /// Freezes a route for good. The account must own the router.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn freeze(self, chain: &mut impl Chain, route: B256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &VerifierRouter::freezeCall { route })
    }

    /// Stops routes for so many seconds. The account must be the guardian.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn pause(self, chain: &mut impl Chain, routes: &[B256], seconds: u64) -> Result<Receipt, ChainError> {
        // What is too long for the ABI is too long for the contract.
        let duration = U40::uint_try_from(seconds).unwrap_or(U40::MAX);
        self.0.send(chain, &VerifierRouter::pauseCall { paused: routes.to_vec(), duration })
    }

    /// Ends a route's pause early. The account must be guardian or owner.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn resume(self, chain: &mut impl Chain, route: B256) -> Result<Receipt, ChainError> {
        self.0.send(chain, &VerifierRouter::resumeCall { route })
    }

    /// Names the guardian. The account must own the router.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn set_guardian(self, chain: &mut impl Chain, guardian: Address) -> Result<Receipt, ChainError> {
        self.0.send(chain, &VerifierRouter::setGuardianCall { guardian_: guardian })
    }

    /// Checks a settlement in a transaction of its consumer, which must be the account, by the circuit's serving route.
    ///
    /// # Soundness
    /// That this succeeds says that the circuit of the settlement, on registered commitments, accepts. The caller vouches
    /// that circuit, base and adapters are those that it means.
    ///
    /// # Errors
    /// [`ChainError::Refused`] if the contracts refuse; what was made for another chain or consumer, or by a withdrawn
    /// circuit, is refused here.
    pub fn check(self, chain: &mut impl Chain, settlement: &Settlement) -> Result<Receipt, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        let (bound, got) = (Address::from(settlement.binding.consumer), chain.account());
        if bound != got {
            return Err(PolicyError::ForeignConsumer { bound, got }.into());
        }
        let route = self.serving_route(chain, settlement.circuit.into())?;
        self.expect_route_offered(chain, &route)?;
        self.0.send(chain, &abi::check(route.id, settlement)?)
    }

    /// Checks a settlement for its consumer without a transaction, whoever the account is; tells the gas that one would
    /// use.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for the consumer.
    pub fn simulate_check(self, chain: &mut impl Chain, settlement: &Settlement) -> Result<u64, ChainError> {
        self.expect_bound_here(chain, settlement)?;
        let route = self.serving_route(chain, settlement.circuit.into())?;
        self.expect_route_offered(chain, &route)?;
        let data = abi::encode(&abi::check_for(route.id, settlement)?);
        chain.call(self.address(), data.clone())?;
        chain.estimate(self.address(), data)
    }

    fn expect_bound_here(self, chain: &impl Chain, settlement: &Settlement) -> Result<(), PolicyError> {
        self.0.expect_chain(chain)?;
        let (expected, got) = (settlement.binding.chain_id, self.0.chain_id);
        if expected == got { Ok(()) } else { Err(PolicyError::ForeignChain { expected, got }) }
    }
}
