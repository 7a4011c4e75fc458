//! Settlements: zero-knowledge proofs, for a contract, that an inference proof is accepted; and the keys that they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::bn254::Fr;
use lorica_settlement::binding::Binding;
use lorica_settlement::key::{KeyError, Powers, ProvingKey};
use lorica_settlement::settlement::{IndexSettlement, MakeError, Settlement, SettlementError, admit, make, make_index};
use lorica_settlement::statement::{CircuitShape, Subject};
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::verify::Keys;
use lorica_verifier::{IndexProof, verify_index};

use crate::files::{AdapterKey, BaseKey, FileError, IndexKey, store};
use crate::kind::Kind;
use crate::srs::{AcceptedSrs, SrsPolicyError};
use crate::steps::Steps;

/// Largest proving key: 2^22 points.
const MAX_BYTES: u64 = 300 << 20;
/// Between two looks at a key that another thread makes.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no settlement.
#[derive(Debug, thiserror::Error)]
pub enum SettlerError {
    /// The inference proof is not one that can be settled.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The settlement key could not be made or read.
    #[error("settlement key: {0}")]
    Key(#[from] KeyError),
    /// The settlement that was made does not verify: its inputs contradict each other.
    #[error(transparent)]
    OwnSettlement(#[from] SettlementError),
    /// The SRS is not the base's.
    #[error(transparent)]
    Srs(#[from] SrsPolicyError),
    /// The cache of keys.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl SettlerError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Make(
                MakeError::Binding | MakeError::Requests { .. } | MakeError::Inference(_) | MakeError::Index(_),
            ) => Kind::Rejected,
            Self::OwnSettlement(_) => Kind::Rejected,
            Self::Srs(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Cancelled(_) => Kind::Cancelled,
            Self::Make(_) | Self::Key(_) => Kind::Input,
        }
    }
}

/// A settlement, its key, and the time of each step.
#[derive(Debug)]
pub struct Settled {
    /// The settlement.
    pub settlement: Settlement,
    /// The key that it was made with.
    pub key: Arc<ProvingKey>,
    /// The steps in their order.
    pub phases: Vec<(String, Duration)>,
}

/// Makes settlements. It keeps the last key in memory, and all keys in a folder if it has one.
#[derive(Debug)]
pub struct Settler {
    srs: Arc<AcceptedSrs>,
    cache: Option<PathBuf>,
    last: Mutex<Option<(CircuitShape, Arc<ProvingKey>)>>,
}

impl Settler {
    /// A settler without a folder: each key is made again.
    #[must_use]
    pub fn new(srs: Arc<AcceptedSrs>) -> Self {
        Self { srs, cache: None, last: Mutex::new(None) }
    }

    /// Keeps keys in a folder, which is made when the first key is written.
    #[must_use]
    pub fn with_cache(self, folder: impl Into<PathBuf>) -> Self {
        Self { cache: Some(folder.into()), ..self }
    }

    /// The settlement key of an architecture and shape: the last one, or from the folder, or made now. Keys are made one at
    /// a time, however many threads ask.
    ///
    /// # Errors
    /// [`SettlerError`] if the SRS is not the shape's, the folder cannot be written, or the work was stopped while it
    /// waited for another thread.
    pub fn key(&self, of: &CircuitShape, watch: &dyn Watch) -> Result<Arc<ProvingKey>, SettlerError> {
        self.key_in(of, &mut Steps::new(watch))
    }

    fn key_in(&self, of: &CircuitShape, steps: &mut Steps<'_>) -> Result<Arc<ProvingKey>, SettlerError> {
        let mut last = loop {
            steps.watch.check()?;
            match self.last.try_lock() {
                Ok(last) => break last,
                // A thread that panicked left the key of before.
                Err(TryLockError::Poisoned(poisoned)) => break PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        };
        if let Some((_, key)) = last.as_ref().filter(|(own, _)| own == of) {
            return Ok(key.clone());
        }
        // Two keys at once would take their memory twice.
        *last = None;
        let key = Arc::new(self.load_or_make(of, steps)?);
        *last = Some((of.clone(), key.clone()));
        Ok(key)
    }

    fn load_or_make(&self, of: &CircuitShape, steps: &mut Steps<'_>) -> Result<ProvingKey, SettlerError> {
        let powers = Powers { g1: self.srs.g1(), tau_g2: *self.srs.tau_g2(), digest: self.srs.digest_word() };
        let path = self.cache.as_deref().map(|folder| folder.join(name(of)));
        if let Some(path) = path.as_deref().filter(|path| path.exists()) {
            let read = steps.run("load settlement key", || {
                let bytes = store::read(path, MAX_BYTES)?;
                Ok::<_, SettlerError>(ProvingKey::decode(&bytes, of, &powers))
            })?;
            match read {
                Ok(key) => return Ok(key),
                Err(error) => tracing::warn!(%error, "the cached settlement key is unusable and is made again"),
            }
        }
        let key = steps.run("make settlement key", || Ok::<_, SettlerError>(ProvingKey::generate(of, &powers)?))?;
        if let Some(path) = &path {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(FileError::writing(folder))?;
            store::replace(path, &key.encode())?;
        }
        Ok(key)
    }

    /// Settles a batch for a binding: checks the inference proof, gets the key, makes the settlement and checks it. The watch
    /// can stop it between these steps; halo2's prover itself cannot be interrupted.
    ///
    /// # Errors
    /// [`SettlerError`]; of kind [`Kind::Rejected`] if the inference proof is not accepted or is bound to something else.
    pub fn settle<'k>(
        &self,
        base: &BaseKey,
        keys: impl Into<Keys<'k>>,
        binding: &Binding,
        proof: &InferenceProof,
        watch: &dyn Watch,
    ) -> Result<Settled, SettlerError> {
        watch.check()?;
        let (srs, commitments, keys) = (base.verifier_key(), &base.commitments, keys.into());
        // First: a key takes long to make, and a proof that will be refused should not wait for it.
        admit(&srs, commitments, keys, binding, proof)?;
        self.srs.expect_of(commitments)?;
        let mut steps = Steps::new(watch);
        let key = self.key_in(&CircuitShape::of(commitments, proof.statement.shape), &mut steps)?;
        let make = || Ok::<_, SettlerError>(make(&key, &srs, commitments, keys, binding, proof)?);
        let settlement = steps.run("settle", make)?;
        let check = || Ok::<_, SettlerError>(settlement.check(key.verifying(), commitments, keys)?);
        steps.run("self-check", check)?;
        Ok(Settled { settlement, key, phases: steps.phases })
    }

    /// Settles an index proof: checks it, gets the key, makes the settlement and checks it. It is bound to nobody.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn settle_index(
        &self,
        base: &BaseKey,
        adapter: &AdapterKey,
        index: &IndexKey,
        proof: &IndexProof,
        watch: &dyn Watch,
    ) -> Result<SettledIndex, SettlerError> {
        watch.check()?;
        // First: a key takes long to make, and a proof that will be refused should not wait for it.
        verify_index(base, adapter, index, &Fr::zero(), proof).map_err(MakeError::Index)?;
        let (srs, commitments) = (base.verifier_key(), &base.commitments);
        self.srs.expect_of(commitments)?;
        let (adapter, index) = (&adapter.commitments, &index.commitments);
        let mut steps = Steps::new(watch);
        let key = self.key_in(&CircuitShape::of_index(commitments, index.records), &mut steps)?;
        let make = || Ok::<_, SettlerError>(make_index(&key, &srs, commitments, adapter, index, proof)?);
        let settlement = steps.run("settle", make)?;
        let check = || Ok::<_, SettlerError>(settlement.check(key.verifying(), commitments, adapter, index)?);
        steps.run("self-check", check)?;
        Ok(SettledIndex { settlement, key, phases: steps.phases })
    }
}

/// A settlement of an index proof, its key, and the time of each step.
#[derive(Debug)]
pub struct SettledIndex {
    /// The settlement.
    pub settlement: IndexSettlement,
    /// The key that it was made with.
    pub key: Arc<ProvingKey>,
    /// The steps in their order.
    pub phases: Vec<(String, Duration)>,
}

/// The file of a key in the folder.
fn name(of: &CircuitShape) -> String {
    let shape = &of.shape;
    let kind = match of.subject {
        Subject::Inference => shape.output.name(),
        Subject::Index => "index",
    };
    let word = |scalar: &Fr| hex::encode(&encode_scalar(scalar)[..8]);
    format!(
        "{}-{}-{}x{}-{}-{}-{kind}.key",
        word(&of.architecture_digest),
        word(&of.srs),
        shape.requests,
        shape.tokens,
        shape.log_tile,
        shape.records
    )
}
