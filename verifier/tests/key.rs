//! Keys: what an id is bound to, and which keys are refused.

use lorica_circuits::bn254::{Curve, Field, Fr, G1Affine, G2Affine, PrimeCurveAffine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::{Activation, NormScale};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::protocol::group::{VerifierKey, combine, development_trapdoor};
use lorica_verifier::protocol::keccak::keccak_bytes;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, KeyError, write_architecture};

const MAGIC: &[u8; 8] = b"LORICAgk";

fn written(base: &BaseCommitments) -> Vec<u8> {
    let mut writer = Writer::new(MAGIC, 1);
    base.write(&mut writer);
    writer.finish()
}

fn read(bytes: &[u8]) -> Result<BaseCommitments, CodecError> {
    BaseCommitments::read(&mut Reader::new(bytes, "key", MAGIC, 1)?)
}

fn golden(bytes: &[u8]) -> (BaseCommitments, Vec<AdapterCommitments>) {
    let mut reader = Reader::new(bytes, "key", MAGIC, 1).unwrap();
    let base = BaseCommitments::read(&mut reader).unwrap();
    let adapters =
        (0..reader.count("adapters", 2, 64).unwrap()).map(|_| AdapterCommitments::read(&mut reader).unwrap()).collect();
    (base, adapters)
}

fn wide() -> (BaseCommitments, Vec<AdapterCommitments>) {
    golden(include_bytes!("golden/wide.key"))
}

#[test]
fn ids_are_digests_of_what_they_name() {
    let (base, adapters) = wide();
    let written = |fields: &dyn Fn(&mut Writer), points: &[G1Affine]| {
        let mut content = Writer::default();
        fields(&mut content);
        points.iter().for_each(|point| content.point(point));
        keccak_bytes(content.content())
    };
    let number = |n: usize| u32::try_from(n).unwrap();
    let architecture = |content: &mut Writer| {
        content.bytes(b"lorica architecture 2\0\0\0\0\0\0\0\0\0\0\0");
        content.u8(1);
        content.u32(45);
        write_architecture(content, &base.architecture);
        content.u32(base.log_tile);
        content.scalar(&base.srs);
        content.point_g2(&base.tau_g2);
        content.u32(number(base.tables.len()));
    };
    assert_eq!(base.architecture_digest(), written(&architecture, &base.tables));
    let of_base = |content: &mut Writer| {
        content.bytes(b"lorica base 2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        content.u8(1);
        content.u32(number(base.tiles.len()));
        content.scalar(&base.architecture_digest());
        content.scalar(&base.scales_word());
    };
    assert_eq!(base.id(), written(&of_base, &base.tiles));
    for adapter in &adapters {
        let content = |content: &mut Writer, version: Fr| {
            content.bytes(b"lorica adapter 2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
            content.u8(1);
            content.u32(number(adapter.tiles.len()));
            content.scalar(&base.id());
            content.scalar(&version);
        };
        assert_eq!(adapter.id(), written(&|c| content(c, Fr::ZERO), &adapter.tiles));
        assert_eq!((adapter.base, adapter.version), (base.id(), None));
        let named = AdapterCommitments { version: Some(Fr::from(7)), ..adapter.clone() };
        assert_eq!(named.id(), written(&|c| content(c, Fr::from(7)), &adapter.tiles));
        assert_ne!(named.id(), adapter.id());
        for adapter in [adapter.clone(), named] {
            let mut writer = Writer::new(MAGIC, 1);
            adapter.write(&mut writer);
            let bytes = writer.finish();
            assert_eq!(AdapterCommitments::read(&mut Reader::new(&bytes, "key", MAGIC, 1).unwrap()), Ok(adapter));
        }
    }
    assert_ne!(adapters[0].id(), adapters[1].id());
}

/// The three records with the same parent, second word and points: a record of one kind in another's place has another id,
/// and so has one point more that is put into the words before.
#[test]
fn records_of_two_kinds_have_two_ids() {
    let (base, adapters) = wide();
    let as_adapter = AdapterCommitments {
        base: base.architecture_digest(),
        version: Some(base.scales_word()),
        tiles: base.tiles.clone(),
    };
    assert_ne!(as_adapter.id(), base.id());
    let id = |tiles: &[G1Affine]| AdapterCommitments { tiles: tiles.to_vec(), ..adapters[0].clone() }.id();
    let tiles = &base.tiles;
    let ids = [id(&tiles[..1]), id(&tiles[..2]), id(&tiles[1..2]), id(&[])];
    for (index, own) in ids.iter().enumerate() {
        assert!(!ids[..index].contains(own) && ids[index] != base.id() && ids[index] != base.architecture_digest());
    }
}

/// Every field changes the id; those of the architecture, and the SRS, already its digest.
#[test]
fn ids_bind_every_field() {
    type Edit = fn(&mut BaseCommitments);
    let architecture: [Edit; 16] = [
        |b| b.architecture.block = 64,
        |b| b.architecture.max_tokens = 256,
        |b| b.architecture.hidden += 128,
        |b| b.architecture.layers += 1,
        |b| b.architecture.heads *= 2,
        |b| b.architecture.intermediate += 128,
        |b| b.architecture.vocab += 1,
        |b| b.architecture.r_max *= 2,
        |b| b.architecture.activation = Activation::Gelu,
        |b| b.architecture.activation = Activation::GeluNew,
        |b| b.architecture.score_bits += 1,
        |b| b.architecture.activation_bits += 1,
        |b| b.architecture.tanh_bits += 1,
        |b| b.log_tile += 2,
        |b| b.srs += Fr::ONE,
        |b| b.tau_g2 = G2Affine::generator(),
    ];
    let others: [Edit; 8] = [
        |b| b.scales.norms[1].stream ^= 1,
        |b| b.scales.norms[1].branch ^= 1,
        |b| b.scales.norms[1].root -= 1,
        |b| b.scales.norms[1].shift -= 1,
        |b| b.scales.norms[1].epsilon += 1,
        |b| b.scales.scores[1] ^= 1,
        |b| b.tiles.swap(0, 1),
        |b| b.tiles[2] = G1Affine::generator(),
    ];
    let (honest, _) = wide();
    let mut ids = vec![honest.id()];
    let mut digests = vec![honest.architecture_digest()];
    let mut tables = honest.clone();
    tables.tables.swap(0, 1);
    assert_ne!(tables.architecture_digest(), honest.architecture_digest());
    for edit in architecture {
        let mut base = honest.clone();
        edit(&mut base);
        assert!(!ids.contains(&base.id()) && !digests.contains(&base.architecture_digest()));
        assert_eq!(base.scales_word(), honest.scales_word());
        ids.push(base.id());
        digests.push(base.architecture_digest());
        assert_eq!(read(&written(&base)), Ok(base));
    }
    for edit in others {
        let mut base = honest.clone();
        edit(&mut base);
        assert!(!ids.contains(&base.id()));
        assert_eq!(base.architecture_digest(), honest.architecture_digest());
        assert_eq!(base.scales_word() == honest.scales_word(), base.scales == honest.scales);
        ids.push(base.id());
        assert_eq!(read(&written(&base)), Ok(base));
    }
}

#[test]
fn the_golden_keys_are_valid() {
    for bytes in [&include_bytes!("golden/small.key")[..], include_bytes!("golden/wide.key")] {
        let (base, adapters) = golden(bytes);
        assert_eq!(base.validate(), Ok(()));
        assert!(adapters.iter().all(|a| a.validate(&base) == Ok(())));
    }
}

#[test]
fn other_numbers_of_commitments_are_refused() {
    let (honest, adapters) = wide();
    let tiles = |what, expected, got| Err(KeyError::Tiles { what, expected, got });
    let (n, t, own) = (honest.tiles.len(), honest.tables.len(), adapters[0].tiles.len());
    let verdict = |edit: fn(&mut BaseCommitments)| {
        let mut base = honest.clone();
        edit(&mut base);
        base.validate()
    };
    assert_eq!(verdict(|b| b.tiles.truncate(b.tiles.len() - 1)), tiles("base", n, n - 1));
    assert_eq!(verdict(|b| b.tiles.push(G1Affine::generator())), tiles("base", n, n + 1));
    assert_eq!(verdict(|b| b.tables.truncate(b.tables.len() - 1)), tiles("tables", t, t - 1));
    assert_eq!(verdict(|b| b.tables.push(G1Affine::generator())), tiles("tables", t, t + 1));
    let adapter = |edit: fn(&mut AdapterCommitments)| {
        let mut adapter = adapters[0].clone();
        edit(&mut adapter);
        adapter.validate(&honest)
    };
    assert_eq!(adapter(|a| a.tiles.truncate(a.tiles.len() - 1)), tiles("adapter", own, own - 1));
    assert_eq!(adapter(|a| a.tiles.push(G1Affine::generator())), tiles("adapter", own, own + 1));
}

#[test]
fn architectures_and_scales_are_validated() {
    let (honest, adapters) = wide();
    let mut base = honest.clone();
    base.architecture.layers = 0;
    let layers = KeyError::Circuit(CircuitError::Architecture { what: "layers must be 1 to 32", got: 0 });
    assert_eq!(base.validate(), Err(layers.clone()));
    assert_eq!(adapters[0].validate(&base), Err(layers));
    let mut base = honest.clone();
    base.scales.norms[0].shift = 33;
    let shift = KeyError::Circuit(CircuitError::Scales { what: "norm shift must be 17 to 32", got: 33 });
    assert_eq!(base.validate(), Err(shift));
    let mut base = honest.clone();
    base.log_tile = 15;
    let tau = KeyError::Circuit(CircuitError::Shape { what: "tau must be even, 14 to 22", got: 15 });
    assert_eq!(base.validate(), Err(tau));
}

#[test]
fn counts_and_activations_of_a_key_are_bounded() {
    let (honest, _) = wide();
    let content = |base: &BaseCommitments| written(base)[10..].to_vec();
    let reseal = |content: &[u8]| {
        let mut writer = Writer::new(MAGIC, 1);
        writer.bytes(content);
        writer.finish()
    };
    let mut unknown = content(&honest);
    unknown[32] = 3;
    assert_eq!(read(&reseal(&unknown)), Err(CodecError::Value { what: "activation", got: 3 }));
    let norm = NormScale { stream: 0, branch: 0, root: 0, shift: 17, epsilon: 1 };
    for (norms, scores, expected) in [
        (65, 64, None),
        (66, 0, Some(CodecError::Bound { what: "norm scales", bound: 65, got: 66 })),
        (0, 65, Some(CodecError::Bound { what: "score scales", bound: 64, got: 65 })),
    ] {
        let mut base = honest.clone();
        base.scales.norms = vec![norm; norms];
        base.scales.scores = vec![3; scores];
        assert_eq!(read(&written(&base)).err(), expected);
    }
    let many = |tables: usize, tiles: usize| {
        let mut base = honest.clone();
        base.tables = vec![G1Affine::generator(); tables];
        base.tiles = vec![G1Affine::identity(); tiles];
        read(&written(&base)).err()
    };
    assert_eq!(many(64, 1 << 14), None);
    assert_eq!(many(65, 0), Some(CodecError::Bound { what: "table commitments", bound: 64, got: 65 }));
    let beyond = CodecError::Bound { what: "base commitments", bound: 1 << 14, got: (1 << 14) + 1 };
    assert_eq!(many(0, (1 << 14) + 1), Some(beyond));
}

/// The development SRS is known by both of its points; its trapdoor is a digest that anyone can compute.
#[test]
fn the_development_srs_is_known() {
    let trapdoor = development_trapdoor();
    assert_eq!(trapdoor, keccak_bytes(b"lorica insecure development SRS 1"));
    let g2 = G2Affine::generator();
    let times = |factor: Fr| (g2 * factor).to_affine();
    assert!(VerifierKey::new(g2, times(trapdoor)).is_insecure());
    assert!(!VerifierKey::new(g2, times(trapdoor + Fr::ONE)).is_insecure());
    assert!(!VerifierKey::new(times(Fr::from(2)), times(trapdoor)).is_insecure());
    assert!(!VerifierKey::new(times(Fr::from(2)), times(trapdoor.double())).is_insecure());
    let key = VerifierKey::new(times(Fr::from(2)), times(Fr::from(3)));
    assert_eq!((*key.g2(), *key.tau_g2()), (times(Fr::from(2)), times(Fr::from(3))));
    let (base, _) = wide();
    assert!(VerifierKey::new(g2, base.tau_g2).is_insecure());
}

#[test]
fn combinations_are_sums_of_multiples() {
    let point = |n: u64| (G1Affine::generator() * Fr::from(n)).to_affine();
    let terms = [(Fr::from(3), point(5)), (Fr::from(7), G1Affine::identity()), (-Fr::from(2), point(11))];
    assert_eq!(combine(terms).to_affine(), -point(7));
    assert_eq!(combine([]).to_affine(), G1Affine::identity());
    assert_eq!(combine([(Fr::ONE, G1Affine::identity())]).to_affine(), G1Affine::identity());
}
