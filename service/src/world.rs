//! A small random model with three adapters in a folder, and a datanet of the third, for tests of what is served.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use lorica::Fr;
use lorica::datanet::{Choices, build};
use lorica::files::{AdapterFile, BaseFile, DatanetFile};
use lorica::import::{ImportSizes, import_base, load_adapter};
use lorica::prover::{Job, MinimumShape, Prover};
use lorica::registration::register_adapter;
use lorica::srs::{AcceptedSrs, Srs, SrsPolicy};
use lorica::verifier::protocol::keccak::encode_scalar;
use lorica::watch::Unwatched;
use prost::Message;
use uuid::Uuid;

use crate::config::ModelsConfig;
use crate::models::{Asked, Models, ModelsError, name};
use crate::proto;
use crate::store::{Lease, Member, Word};

#[path = "../../lora-quant/tests/float/folders.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod folders;

const TAU: u32 = 14;
/// The settlement's circuit for four requests has more rows than a tile has cells.
const LOG_SRS: u32 = 15;

pub struct World {
    pub models: Arc<Models>,
    pub prover: Prover,
    /// The third names the datanet's version.
    pub adapters: [AdapterFile; 3],
    pub datanet: DatanetFile,
    config: ModelsConfig,
    /// Kept as long as the tests run.
    _folder: tempfile::TempDir,
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let srs = Srs::dev(LOG_SRS).expect("an SRS");
    let srs = AcceptedSrs::new(srs, "the SRS of the test", TAU, SrsPolicy::DevelopmentForTests).expect("permitted");
    let texts = ["hello world", "a b ab ba", "world a hello b aa bb"].map(str::to_owned);
    let sizes = ImportSizes { r_max: 4, tau: TAU, ..ImportSizes::default() };
    let model = folders::Model::small().write();
    let base: BaseFile = import_base(model.path(), &texts, sizes, &srs, &Unwatched).expect("an import").file;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    base.store(&path("base.lorica")).expect("writable");
    let [first, second] =
        [("a", folders::Adapter::small()), ("b", folders::Adapter::with_pooler())].map(|(name, adapter)| {
            let adapter = adapter.write();
            let (_, model) = load_adapter(adapter.path(), &base.model).expect("an adapter");
            let file = register_adapter(&srs, &base.key, model).expect("a registration");
            file.store(&path(&format!("{name}.lorica"))).expect("writable");
            file
        });
    // The first adapter once more, of a datanet.
    let texts = ["hello", "world", "a b", "ab ba", "aa bb", "hello a", "world b", "ba"];
    let row = |(at, text): (usize, &&str)| {
        let label = &first.key.labels[at % 2];
        let contributor = ["Ada", "Bo"][at % 2];
        serde_json::json!({ "text": text, "label": label, "contributor": contributor }).to_string()
    };
    let rows: Vec<String> = texts.iter().enumerate().map(row).collect();
    std::fs::write(path("rows.jsonl"), rows.join("\n")).expect("writable");
    let own = BaseFile::load(&path("base.lorica")).expect("a base");
    let built = build(&path("rows.jsonl"), &srs, own, &first, &Choices::default(), &Unwatched).expect("a datanet");
    let (datanet, third) = (built.file, built.adapter.expect("an adapter under another id"));
    datanet.store(&path("d.lorica")).expect("writable");
    third.store(&path("c.lorica")).expect("writable");
    let adapters = [first, second, third];
    let config = ModelsConfig {
        bases: vec![path("base.lorica")],
        adapters: vec![path("a.lorica"), path("b.lorica"), path("c.lorica")],
        datanets: vec![path("d.lorica")],
        srs: None,
        insecure_dev_srs: true,
    };
    let strict = ModelsConfig { insecure_dev_srs: false, ..config.clone() };
    assert!(Models::load(&strict).is_err(), "the development SRS needs permission");
    let orphan = ModelsConfig { adapters: vec![path("a.lorica")], ..config.clone() };
    assert!(matches!(Models::load(&orphan), Err(ModelsError::NoAdapter(_))), "a datanet needs its adapter");
    let models = Arc::new(Models::load(&config).expect("models"));
    let prover = Prover::new(Arc::new(srs), base).expect("a prover");
    World { models, prover, adapters, datanet, config, _folder: folder }
});

/// The models without the datanet.
pub fn without_datanet() -> Models {
    Models::load(&ModelsConfig { datanets: Vec::new(), ..WORLD.config.clone() }).expect("models")
}

/// What is asked of the model under an adapter.
pub fn asked(text: &str, adapter: usize, salt: u8) -> Asked {
    let input = proto::Input { input: Some(proto::input::Input::Text(text.into())), salt: vec![salt; 31] };
    let id = encode_scalar(&WORLD.adapters[adapter].key.commitments.id());
    Asked {
        base: name("bases", &base()),
        adapter: name("adapters", &id),
        datanet: String::new(),
        input: Some(input),
        kind: 0,
    }
}

/// The same, attributed by the datanet.
pub fn attributed(asked: Asked) -> Asked {
    Asked { datanet: name("datanets", &encode_scalar(&WORLD.datanet.key.id())), ..asked }
}

pub fn base() -> Word {
    encode_scalar(&WORLD.prover.id())
}

/// A batch of such requests, as the store leases it.
pub fn lease(requests: &[(&str, usize, u8)]) -> Lease {
    lease_of(requests.iter().map(|&(text, adapter, salt)| asked(text, adapter, salt)).collect())
}

/// A batch of what is asked.
pub fn lease_of(asked: Vec<Asked>) -> Lease {
    let mut datanet = None;
    let members = asked.iter().map(|asked| {
        let executed = WORLD.models.execute(asked).expect("an answer");
        datanet = executed.datanet;
        let answer = executed.answer.encode_to_vec();
        Member { id: Uuid::now_v7(), adapter: executed.adapter, token_ids: executed.ids, salt: executed.salt, answer }
    });
    let members = members.collect();
    Lease {
        batch: Uuid::now_v7(),
        epoch: 1,
        tenant: "a".into(),
        base: base(),
        datanet,
        kind: 1,
        context: [0; 32],
        binding: None,
        members,
    }
}

/// An honest proof of a batch, bound to a context.
pub fn prove(lease: &Lease, context: Fr) -> Vec<u8> {
    let load = |file: &AdapterFile| WORLD.prover.load_adapter(file.clone()).expect("an adapter");
    let loaded = WORLD.adapters.each_ref().map(load);
    let find = |id: Option<Word>| loaded.iter().find(|own| Some(encode_scalar(&own.id())) == id);
    let job = |member: &Member| Job { ids: member.token_ids.clone(), adapter: find(member.adapter), salt: member.salt };
    let jobs: Vec<Job<'_>> = lease.members.iter().map(job).collect();
    let index = lease.datanet.map(|_| WORLD.prover.load_index(WORLD.datanet.clone()).expect("an index"));
    let least = MinimumShape::default();
    let proven = WORLD.prover.prove_attributed(&jobs, index.as_ref(), least, context, &Unwatched).expect("a proof");
    proven.proof.encode()
}
