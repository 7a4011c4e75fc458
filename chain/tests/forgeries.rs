//! Forged settlements on an EVM: each is rejected with a reason, and for a bounded price.

use super::support;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lorica_chain::abi;
use lorica_chain::abi::bindings::VerifierRouter::{self, Point, Request};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::error::{ChainError, Refusal};
use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_verifier::protocol::keccak::{decode_point, encode_point};
use support::{ALL, CHEAP, CLASSIFY_1, CLASSIFY_3, EMBED_2, OWNER, Vector, World, intrinsic, order};

type Settlement = VerifierRouter::Settlement;

const ONE: U256 = U256::ONE;

/// Words of the proof before its scalars (13 points), the scalars, and its last two points.
const PROOF_SCALARS: std::ops::Range<usize> = 26..51;

#[test]
fn the_binding_counts() {
    let mut world = World::new(CLASSIFY_3);
    let honest = world.honest();
    let forgeries: [(&str, &dyn Fn(&mut Settlement)); 7] = [
        ("payee", &|s| s.payee = Address::repeat_byte(0xaa)),
        ("first request id", &|s| s.requests[0].id -= ONE),
        ("last request id", &|s| s.requests[2].id += ONE),
        ("fee", &|s| s.requests[1].fee += ONE),
        ("label", &|s| s.requests[1].label += ONE),
        ("input digest", &|s| s.requests[2].inputDigest += ONE),
        ("exchanged answers", &|s| {
            let (label, digest) = (s.requests[0].label, s.requests[0].outputDigest);
            (s.requests[0].label, s.requests[0].outputDigest) = (s.requests[1].label, s.requests[1].outputDigest);
            (s.requests[1].label, s.requests[1].outputDigest) = (label, digest);
        }),
    ];
    for (what, forge) in forgeries {
        let mut forged = honest.clone();
        forge(&mut forged);
        world.reject_proof(&forged, what);
    }
    world.chain.set_account(OWNER);
    world.reject_proof(&honest, "consumer");
    let mut elsewhere = World::on_chain(CLASSIFY_3, Some(1));
    elsewhere.reject_proof(&honest, "chain id");
}

/// A plain circuit has no public word for an index or shares: what a settlement says of them is proven by nothing.
#[test]
fn a_plain_circuit_attributes_nothing() {
    let mut world = World::new(CLASSIFY_3);
    let honest = world.honest();
    let claims: [(&str, &dyn Fn(&mut Settlement)); 4] = [
        ("index", &|s| s.index = ONE),
        ("index beyond r", &|s| s.index = order()),
        ("shares of nothing", &|s| s.shares = vec![U256::ZERO; 12]),
        ("shares", &|s| (s.index, s.shares) = (ONE, vec![U256::from(65_535); 12])),
    ];
    for (what, claim) in claims {
        let mut forged = honest.clone();
        claim(&mut forged);
        let revert = world.reject_cheaply(&forged, what);
        let sentence = "the settlement names an index or shares, and its circuit attributes nothing";
        assert_eq!(revert.to_string(), sentence, "{what}");
    }
}

#[test]
fn the_requests_count() {
    let mut world = World::new(CLASSIFY_3);
    let honest = world.honest();
    let mut with = |requests: Vec<Request>, what| {
        let forged = Settlement { requests, ..honest.clone() };
        world.reject_cheaply(&forged, what).to_string()
    };
    let [a, b, c]: [Request; 3] = honest.requests.clone().try_into().unwrap();
    assert_eq!(with(vec![], "none"), "the circuit takes 1 to 4 requests, got 0");
    let five = (0..5).map(|i| Request { id: U256::from(i), ..a.clone() }).collect();
    assert_eq!(with(five, "too many"), "the circuit takes 1 to 4 requests, got 5");
    let twice = Request { id: a.id, ..b.clone() };
    assert_eq!(with(vec![a.clone(), twice, c.clone()], "twice"), "request 1: its id is not above the one before");
    assert_eq!(with(vec![b.clone(), a.clone(), c.clone()], "order"), "request 1: its id is not above the one before");
    let nameless = Request { adapter: U256::ZERO, ..c.clone() };
    assert_eq!(with(vec![a.clone(), b.clone(), nameless], "none"), "request 2 classifies without an adapter");

    let fewer = Settlement { requests: vec![a.clone(), b.clone()], ..honest.clone() };
    world.reject_proof(&fewer, "one left out");
    let repeated = Request { id: c.id + ONE, ..a.clone() };
    let more = Settlement { requests: vec![a, b, c, repeated], ..honest };
    world.reject_proof(&more, "the absent one as a stated one");
}

#[test]
fn other_records_are_rejected() {
    let mut world = World::new(CLASSIFY_1);
    let honest = world.honest();
    let mut forged = honest.clone();
    forged.requests[0].adapter = world.vector.adapters()[1].0;
    world.reject_proof(&forged, "the other adapter");
    forged.requests[0].adapter += ONE;
    assert!(world.reject_cheaply(&forged, "no adapter").to_string().starts_with("adapter 0x"));
    forged.requests[0].adapter = honest.base;
    assert!(world.reject_cheaply(&forged, "a base").to_string().ends_with("is not registered"));
    let forged = Settlement { base: honest.base + ONE, ..honest };
    assert!(world.reject_cheaply(&forged, "no base").to_string().starts_with("base 0x"));
}

#[test]
fn unknown_and_frozen_circuits_are_rejected() {
    let mut world = World::new(EMBED_2);
    let honest = world.honest();
    let route = B256::repeat_byte(7);
    let unknown = abi::encode(&VerifierRouter::checkCall { route, settlement: honest.clone() });
    let revert = world.reject_data(unknown, CHEAP, "unknown");
    assert_eq!(revert.to_string(), format!("the router has no route {route}"));

    // A settlement for one circuit, shown to another.
    let other = Vector::read(CLASSIFY_1);
    world.chain.set_account(OWNER);
    let added = world.contracts.add_key(&mut world.chain, &other.bytes("key"), CHECK_GAS).unwrap();
    world.chain.set_account(world.vector.consumer());
    let route = added.last().unwrap().id.into();
    let call = VerifierRouter::checkCall { route, settlement: honest.clone() };
    let revert = world.reject_data(abi::encode(&call), CHEAP, "another circuit");
    assert_eq!(revert.to_string(), "the circuit takes 1 to 1 requests, got 2");

    world.chain.set_account(OWNER);
    let route = world.route;
    world.contracts.router().freeze(&mut world.chain, route).unwrap();
    world.chain.set_account(world.vector.consumer());
    let revert = world.reject_cheaply(&honest, "frozen");
    assert_eq!(revert.to_string(), format!("the route {route} is frozen for good"));
}

#[test]
fn words_are_canonical() {
    let mut world = World::new(CLASSIFY_1);
    let honest = world.honest();
    let r = order();
    let words: [fn(&mut Settlement) -> &mut U256; 9] = [
        |s| &mut s.alpha,
        |s| &mut s.zeta,
        |s| &mut s.beta,
        |s| &mut s.z,
        |s| &mut s.constantTerm,
        |s| &mut s.rhoHigh[3],
        |s| &mut s.requests[0].inputDigest,
        |s| &mut s.requests[0].label,
        |s| &mut s.requests[0].outputDigest,
    ];
    for (i, word) in words.into_iter().enumerate() {
        let mut forged = honest.clone();
        *word(&mut forged) += r;
        let revert = world.reject_cheaply(&forged, &format!("word {i}, plus r"));
        assert_eq!(revert.to_string(), "a public word is not below r");
        let mut forged = honest.clone();
        *word(&mut forged) = addmod(*word(&mut forged), r - ONE);
        world.reject_proof(&forged, &format!("word {i}, less 1"));
    }
    for at in PROOF_SCALARS {
        let mut forged = honest.clone();
        change_proof(&mut forged, at, |word| word + r);
        let revert = world.reject_cheaply(&forged, &format!("proof word {at}, plus r"));
        assert_eq!(revert.to_string(), "a scalar of the proof is not below r");
    }
}

fn addmod(a: U256, b: U256) -> U256 {
    a.add_mod(b, order())
}

fn change_proof(s: &mut Settlement, at: usize, change: impl Fn(U256) -> U256) {
    let mut proof = s.proof.to_vec();
    let word = &mut proof[32 * at..32 * at + 32];
    let changed = change(U256::from_be_slice(word));
    word.copy_from_slice(&changed.to_be_bytes::<32>());
    s.proof = proof.into();
}

/// A scalar less one makes the proof false; half a point is none.
#[test]
fn every_proof_word_counts() {
    let mut world = World::new(EMBED_2);
    let honest = world.honest();
    let words = honest.proof.len() / 32;
    assert_eq!(words, PROOF_SCALARS.end + 4);
    for at in 0..words {
        let mut forged = honest.clone();
        if PROOF_SCALARS.contains(&at) {
            change_proof(&mut forged, at, |word| addmod(word, order() - ONE));
            world.reject_proof(&forged, &format!("proof word {at}"));
        } else {
            change_proof(&mut forged, at, |word| word ^ ONE);
            let revert = world.reject(&forged, &format!("proof word {at}"));
            assert!(revert.to_string().starts_with("a point"), "{at}: {revert}");
        }
    }
    let mut forged = honest.clone();
    forged.proof = [honest.proof.as_ref(), &[0]].concat().into();
    let revert = world.reject_cheaply(&forged, "a byte more");
    assert_eq!(revert.to_string(), "expected a proof of 1760 bytes, got 1761");
}

fn opening(s: &mut Settlement) -> [&mut Point; 8] {
    let o = &mut s.opening;
    [&mut o.h, &mut o.q, &mut o.g, &mut o.s, &mut o.d, &mut o.quot, &mut o.w, &mut o.wPrime]
}

/// Points replaced by others on the curve, and proof words exchanged.
#[test]
fn exchanged_parts_are_rejected() {
    let mut world = World::new(EMBED_2);
    let honest = world.honest();
    for i in 0..honest.witness.len() - 1 {
        let mut forged = honest.clone();
        forged.witness.swap(i, i + 1);
        world.reject_proof(&forged, &format!("witness {i} and the next"));
    }
    for i in 0..7 {
        let mut forged = honest.clone();
        let points = opening(&mut forged);
        let (x, y) = (points[i].x, points[i].y);
        (points[i].x, points[i].y) = (points[i + 1].x, points[i + 1].y);
        (points[i + 1].x, points[i + 1].y) = (x, y);
        world.reject_proof(&forged, &format!("opening {i} and the next"));
    }
    for at in PROOF_SCALARS.start..PROOF_SCALARS.end - 1 {
        let mut forged = honest.clone();
        let mut proof = honest.proof.to_vec();
        let (left, right) = proof.split_at_mut(32 * (at + 1));
        left[32 * at..].swap_with_slice(&mut right[..32]);
        forged.proof = proof.into();
        // Two equal evaluations may be exchanged.
        if forged.proof != honest.proof {
            world.reject_proof(&forged, &format!("proof words {at} and the next"));
        }
    }
    let mut forged = honest;
    (forged.alpha, forged.zeta) = (forged.zeta, forged.alpha);
    world.reject_proof(&forged, "alpha and zeta");
}

/// Neither W' is bound by a later challenge but the one that merges the pairings: errors in the two that would cancel in a
/// plain sum do not.
#[test]
fn errors_that_compensate_are_rejected() {
    let mut world = World::new(EMBED_2);
    let honest = world.honest();
    let words = |point: &G1Affine| {
        let bytes = encode_point(point);
        [U256::from_be_slice(&bytes[..32]), U256::from_be_slice(&bytes[32..])]
    };
    let group = world.vector.settlement().opening[7];
    // W' is a proof's last point.
    let last = honest.proof.len() / 32 - 2;
    let halo2 = honest.proof.slice(32 * last..);
    let halo2 = decode_point(&halo2.to_vec().try_into().unwrap()).unwrap();
    let (z, one) = (world.vector.settlement().outcome.z, Fr::from(1));
    for (name, factor) in [("equal", one), ("weighted by z", z), ("weighted by 1/z", z.invert().unwrap())] {
        let error = G1Affine::generator() * Fr::from(77);
        let mut forged = honest.clone();
        [forged.opening.wPrime.x, forged.opening.wPrime.y] = words(&(group + error).into());
        let [x, y] = words(&(halo2 - error * factor).into());
        change_proof(&mut forged, last, |_| x);
        change_proof(&mut forged, last + 1, |_| y);
        world.reject_proof(&forged, name);
    }
}

/// The least and a high bit of every word of the call: ids, offsets, lengths, points and scalars alike. The one exception says
/// the same settlement in other bytes: an offset to other zeros is an empty list of shares too.
#[test]
fn every_word_of_the_call_counts() {
    // Behind the selector, route and the settlement's offset, payee, base, index and the offset of the requests.
    const SHARES_OFFSET: usize = 4 + 32 * 6;
    let mut world = World::new(CLASSIFY_3);
    let data = world.calldata(&world.honest()).to_vec();
    for at in (4..data.len()).step_by(32) {
        for (byte, bit) in [(31, 1), (0, 0x20)] {
            let mut forged = data.clone();
            forged[at + byte] ^= bit;
            let what = format!("byte {}", at + byte);
            if VerifierRouter::checkCall::abi_decode_validate(&forged).is_ok_and(|call| call.abi_encode() == data) {
                assert_eq!(at, SHARES_OFFSET, "{what}");
                continue;
            }
            world.reject_data(forged.into(), u64::from(CHECK_GAS), &what);
        }
    }
    assert!(world.show(data.into()).is_ok());
}

/// A fixed sequence of pseudo-random numbers (splitmix64).
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

#[test]
fn random_flips_are_rejected() {
    let mut sequence = Sequence(4);
    for (name, flips) in ALL.into_iter().zip([80, 60, 60]) {
        let mut world = World::new(name);
        let data = world.calldata(&world.honest()).to_vec();
        let mut dearest = 0;
        for _ in 0..flips {
            let bit = 32 + sequence.below(8 * (data.len() - 4));
            let mut forged = data.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let cost = intrinsic(&forged);
            match world.show(forged.into()) {
                Err(ChainError::Refused(Refusal::Reverted { gas: Some(gas), .. })) => {
                    dearest = dearest.max(gas.saturating_sub(cost))
                }
                other => panic!("{name}, bit {bit}: {other:?}"),
            }
        }
        println!("{name}: the dearest of {flips} rejected flips used {dearest} gas beyond its calldata");
        assert!(dearest < 1_000_000);
    }
}

/// Calldata cut short anywhere, and calls of nothing.
#[test]
fn cut_calldata_is_rejected_cheaply() {
    let mut world = World::new(EMBED_2);
    let data = world.calldata(&world.honest());
    let mut sequence = Sequence(5);
    for _ in 0..40 {
        let end = sequence.below(data.len());
        world.reject_data(data.slice(..end), CHEAP, &format!("cut at {end}"));
    }
    world.reject_data(Bytes::new(), CHEAP, "nothing");
}

/// Too little gas never counts as acceptance, whatever runs out.
#[test]
fn too_little_gas_is_no_acceptance() {
    let mut world = World::new(EMBED_2);
    let honest = world.honest();
    let data = world.calldata(&honest);
    let needed = world.show(data.clone()).unwrap();
    for part in 1..40 {
        world.chain.set_gas_limit(needed * part / 40);
        assert!(world.show(data.clone()).is_err(), "with {part}/40 of the gas");
    }
    // A route with a cap of its own.
    let World { mut chain, contracts, vector, .. } = World::new(EMBED_2);
    let mut content = vector.bytes("key").to_vec();
    content[32 * 13 + 31] ^= 1;
    chain.set_account(OWNER);
    let added = contracts.add_key(&mut chain, &content, 200_000).unwrap();
    chain.set_account(vector.consumer());
    let route = added.last().unwrap().id.into();
    let call = abi::encode(&VerifierRouter::checkCall { route, settlement: honest });
    let most = intrinsic(&call) + 200_000 + CHEAP;
    match chain.send(Some(contracts.router), call) {
        Err(ChainError::Refused(Refusal::Reverted { gas: Some(gas), .. })) => assert!(gas < most, "{gas}"),
        other => panic!("{other:?}"),
    }
}
