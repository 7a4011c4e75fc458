//! Workers as the gateway meets them: honest, late, foreign, lying, and out of their minds.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::gate::{Gate, Tongue, proof, reason};
use crate::keys::Scope;
use crate::proto::FailReason;
use crate::proto::inference_service_client::InferenceServiceClient;
use crate::proto::model_service_client::ModelServiceClient;
use crate::store::State;

const TEXT: &str = "hello world";

async fn start() -> (tempfile::TempDir, Gate, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::start(&folder.path().join("store")).await;
    let key = gate.key(&[Scope::Work]).await;
    (folder, gate, key)
}

/// A batch that is there.
async fn batch(worker: &mut Tongue) -> (String, u64) {
    let lease = worker.lease(10).await.expect("no refusal").expect("work");
    (lease.name, lease.epoch)
}

#[tokio::test]
async fn a_batch_is_proven_and_repeated_reports_are_duplicates() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    assert!(worker.lease(0).await.expect("no refusal").is_none(), "nothing to do");
    let id = gate.submit(TEXT, 1).await;
    let lease = worker.lease(5).await.expect("no refusal").expect("work");
    let work = lease.prove.as_ref().expect("a batch");
    assert_eq!((work.items.len(), work.items[0].salt.as_slice()), (1, [1; 31].as_slice()));
    assert_eq!(work.kind(), proto::OutputKind::Classify);
    assert!(work.target.is_empty() && work.datanet.is_empty());
    let beat = worker.heartbeat(&lease.name, lease.epoch).await.expect("held");
    assert!(!beat.stop && !beat.drain && beat.expire_time.is_some());
    let listed = gate.shared.workers.list();
    assert_eq!((listed[0].state(), &listed[0].lease), (proto::WorkerState::Proving, &lease.name));

    let proof = proof(TEXT, 1);
    assert!(!worker.complete(&lease.name, lease.epoch, proof.clone()).await.expect("taken"));
    assert_eq!(gate.job(id).await.state, State::Proven);
    for _ in 0..2 {
        assert!(worker.complete(&lease.name, lease.epoch, proof.clone()).await.expect("a duplicate"));
    }
    // Another result of what is done, and a failure of it, change nothing.
    assert_eq!(reason(worker.complete(&lease.name, lease.epoch, vec![1]).await), "LEASE_LOST");
    assert_eq!(reason(worker.fail(&lease.name, lease.epoch, FailReason::Lost.into()).await), "LEASE_LOST");
    assert_eq!(reason(worker.heartbeat(&lease.name, lease.epoch).await), "LEASE_LOST");
    assert_eq!(gate.causes(id).await.iter().filter(|cause| *cause == "PROVEN").count(), 1);
    let listed = gate.shared.workers.list();
    assert_eq!((listed[0].state(), listed[0].completed, listed[0].failed), (proto::WorkerState::Idle, 1, 0));
}

#[tokio::test]
async fn keys_open_their_own_calls_and_no_others() {
    let (_folder, gate, key) = start().await;
    let all = [Scope::Infer, Scope::Prove, Scope::Read, Scope::Settle];
    let refused = [
        (String::new(), "KEY_INVALID"),
        ("lrk_nonsense".into(), "KEY_INVALID"),
        (gate.key(&[]).await, "SCOPE_MISSING"),
        (gate.key(&all).await, "SCOPE_MISSING"),
        // What the command does not make, and the store does not forbid.
        (gate.key(&[Scope::Work, Scope::Read]).await, "SCOPE_MISSING"),
    ];
    for (wrong, expected) in &refused {
        assert_eq!(reason(gate.worker(wrong, "one").await.map(|_| ())), *expected, "{wrong}");
    }
    let worker = gate.worker(&key, "one").await.expect("registered");
    gate.submit(TEXT, 1).await;
    for (wrong, expected) in &refused {
        let mut other = Tongue { key: wrong.clone(), ..worker.clone() };
        let lease = "batches/01890a5d-ac96-774b-bcce-b302099a8057";
        let list = other.request(proto::ListWorkersRequest {});
        let answers = [
            reason(other.lease(0).await),
            reason(other.heartbeat(lease, 1).await),
            reason(other.complete(lease, 1, Vec::new()).await),
            reason(other.fail(lease, 1, 1).await),
            reason(other.blob(&[0; 32], 0).await),
            reason(other.leave().await),
            reason(other.client.list_workers(list).await),
        ];
        assert_eq!(answers, [*expected; 7], "the session of another key: {wrong}");
    }
    // Another key of the right scope does not know the session either.
    let mut other = Tongue { key: gate.key(&[Scope::Work]).await, ..worker.clone() };
    assert_eq!(reason(other.lease(0).await), "SESSION_UNKNOWN");

    let mut models = ModelServiceClient::connect(gate.url()).await.expect("it answers");
    let mut inference = InferenceServiceClient::connect(gate.url()).await.expect("it answers");
    assert_eq!(reason(models.list_bases(worker.request(proto::ListBasesRequest {})).await), "SCOPE_MISSING");
    let answers = [
        reason(inference.infer(worker.request(Default::default())).await),
        reason(inference.create_proof(worker.request(Default::default())).await),
        reason(inference.get_proof(worker.request(Default::default())).await),
        reason(inference.list_proofs(worker.request(Default::default())).await),
        reason(inference.watch_proof(worker.request(Default::default())).await.map(|_| ())),
        reason(inference.cancel_proof(worker.request(Default::default())).await),
        reason(inference.verify_proof(worker.request(Default::default())).await),
    ];
    assert_eq!(answers, ["SCOPE_MISSING"; 7]);
}

#[tokio::test]
async fn a_key_that_is_removed_ends_its_worker() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let id = crate::keys::Secret::parse(&key).expect("a key").id;
    gate.shared.store.call(move |store| store.remove_key(&id)).await.expect("writable");
    assert_eq!(reason(worker.lease(0).await), "KEY_INVALID");
}

#[tokio::test]
async fn a_lease_is_its_sessions_alone() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let mut other = gate.worker(&key, "two").await.expect("registered");
    let id = gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    let proof = proof(TEXT, 1);
    // Also an honest proof, of whom it was not asked.
    assert_eq!(reason(other.complete(&lease, epoch, proof.clone()).await), "LEASE_LOST");
    assert_eq!(reason(other.heartbeat(&lease, epoch).await), "LEASE_LOST");
    assert_eq!(reason(other.fail(&lease, epoch, FailReason::Work.into()).await), "LEASE_LOST");
    assert_eq!(gate.job(id).await.state, State::Proving);
    // Epochs that were not given, and a batch that never was.
    for wrong in [0, epoch + 1, u64::try_from(i64::MAX).expect("fits")] {
        assert_eq!(reason(worker.complete(&lease, wrong, proof.clone()).await), "LEASE_LOST");
        assert_eq!(reason(worker.heartbeat(&lease, wrong).await), "LEASE_LOST");
    }
    assert_eq!(reason(worker.heartbeat("batches/01890a5d-ac96-774b-bcce-b302099a8057", epoch).await), "LEASE_LOST");
    assert!(!worker.complete(&lease, epoch, proof.clone()).await.expect("taken"));
    assert_eq!(reason(other.complete(&lease, epoch, proof).await), "LEASE_LOST", "not even a duplicate");
}

#[tokio::test]
async fn a_lost_worker_is_replaced_and_comes_too_late() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let id = gate.submit(TEXT, 1).await;
    let (lease, epoch) = gate.leased_before(&worker).await;
    gate.pass(0).await;
    assert_eq!(gate.job(id).await.state, State::Queued);
    let mut other = gate.worker(&key, "two").await.expect("registered");
    let (again, later) = batch(&mut other).await;
    gate.pass(59).await;
    assert_eq!(gate.job(id).await.state, State::Proving, "a lease of a minute");
    assert!(later > epoch && again != lease);
    let proof = proof(TEXT, 1);
    assert_eq!(reason(worker.complete(&lease, epoch, proof.clone()).await), "LEASE_LOST");
    assert_eq!(reason(worker.complete(&again, later, proof.clone()).await), "LEASE_LOST");
    assert_eq!(gate.job(id).await.state, State::Proving, "what came late changed nothing");
    assert!(!other.complete(&again, later, proof).await.expect("taken"));
    assert_eq!(gate.causes(id).await.iter().filter(|cause| *cause == "PROVEN").count(), 1);
}

#[tokio::test]
async fn a_false_proof_bans_its_worker_and_the_batch_goes_to_another() {
    let (_folder, gate, _) = start().await;
    let honest = proof(TEXT, 1);
    let foreign = proof("a b ab ba", 2);
    let flipped = |place: usize| {
        let mut bytes = honest.clone();
        bytes[place] ^= 1;
        bytes
    };
    let cases = [
        ("empty", Vec::new()),
        ("of another batch", foreign),
        ("of another salt", proof(TEXT, 2)),
        ("cut", honest[..honest.len() - 1].to_vec()),
        ("a flipped bit at its beginning", flipped(9)),
        ("a flipped bit in its middle", flipped(honest.len() / 2)),
        ("a flipped bit at its end", flipped(honest.len() - 1)),
        ("noise", vec![0xa5; 40_000]),
    ];
    for (what, bytes) in cases {
        let key = gate.key(&[Scope::Work]).await;
        let mut liar = gate.worker(&key, "liar").await.expect("registered");
        let id = gate.submit(TEXT, 1).await;
        let (lease, epoch) = batch(&mut liar).await;
        assert_eq!(reason(liar.complete(&lease, epoch, bytes).await), "WORKER_BANNED", "{what}");
        // Neither this session nor one of the same name gets anything.
        assert_eq!(reason(liar.lease(0).await), "WORKER_BANNED");
        assert_eq!(reason(liar.complete(&lease, epoch, honest.clone()).await), "WORKER_BANNED", "{what}");
        assert_eq!(reason(gate.worker(&key, "liar").await.map(|_| ())), "WORKER_BANNED");
        let mut honest_worker = gate.worker(&key, "honest").await.expect("registered");
        let job = gate.job(id).await;
        assert!(job.proof.is_none() && job.state == State::Queued, "{what}");
        let again = loop {
            if let Some(own) = honest_worker.lease(5).await.expect("no refusal") {
                break own;
            }
        };
        assert!(!honest_worker.complete(&again.name, again.epoch, honest.clone()).await.expect("taken"));
        assert_eq!(gate.job(id).await.state, State::Proven, "{what}");
    }
}

#[tokio::test]
async fn a_settlement_where_a_proof_is_wanted_is_false_and_a_key_of_liars_is_banned() {
    let (_folder, gate, key) = start().await;
    for count in 1..=3 {
        let mut liar = gate.worker(&key, &format!("liar-{count}")).await.expect("registered");
        gate.submit(TEXT, 1).await;
        let (lease, epoch) = batch(&mut liar).await;
        let result = proof(TEXT, 1);
        let message = proto::CompleteRequest {
            session: liar.session.clone(),
            lease,
            epoch,
            sha256: digest(&result).to_vec(),
            result,
            settlement_key: vec![1],
        };
        let request = liar.request(message);
        assert_eq!(reason(liar.client.complete(request).await), "WORKER_BANNED");
    }
    assert_eq!(reason(gate.worker(&key, "fresh").await.map(|_| ())), "WORKER_BANNED", "whatever it calls itself");
    let other = gate.key(&[Scope::Work]).await;
    assert!(gate.worker(&other, "fresh").await.is_ok(), "another key is another matter");
}

#[tokio::test]
async fn hostile_messages_are_refused_by_name() {
    let (_folder, gate, key) = start().await;
    let mut worker = Tongue::new(&gate, &key).await;
    let good = || proto::RegisterRequest {
        worker: "one".into(),
        version: crate::worker::remote::VERSION.into(),
        protocol: crate::worker::remote::PROTOCOL,
        session: Vec::new(),
    };
    let name = |worker: &str| proto::RegisterRequest { worker: worker.into(), ..good() };
    let long = "n".repeat(64);
    for (message, expected) in [
        (name(""), "FIELD_INVALID"),
        (name(&long), "FIELD_INVALID"),
        (name("a b"), "FIELD_INVALID"),
        (name("é"), "FIELD_INVALID"),
        (name("a\nb"), "FIELD_INVALID"),
        (proto::RegisterRequest { session: vec![1; 31], ..good() }, "FIELD_INVALID"),
        (proto::RegisterRequest { session: vec![1; 33], ..good() }, "FIELD_INVALID"),
        (proto::RegisterRequest { protocol: 0, ..good() }, "VERSION_OTHER"),
        (proto::RegisterRequest { protocol: u32::MAX, ..good() }, "VERSION_OTHER"),
        (proto::RegisterRequest { version: "9.9.9".into(), ..good() }, "VERSION_OTHER"),
        (proto::RegisterRequest { version: "x".repeat(100_000), ..good() }, "VERSION_OTHER"),
    ] {
        let request = worker.request(message);
        let answer = worker.client.register(request).await;
        assert!(answer.as_ref().err().is_none_or(|status| status.message().len() < 300), "no echo of what is long");
        assert_eq!(reason(answer), expected);
    }
    for session in [Vec::new(), vec![1; 31], vec![1; 100_000]] {
        worker.session = session;
        assert_eq!(reason(worker.lease(0).await), "FIELD_INVALID");
    }
    worker.session = vec![7; 32];
    assert_eq!(reason(worker.lease(0).await), "SESSION_UNKNOWN");
    worker.session = worker.register("one", Vec::new()).await.expect("registered").session;

    gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    let uppercase = lease.to_uppercase();
    let bare = lease.trim_start_matches("batches/").to_owned();
    for wrong in ["", "batches/", "batches/1", "proofs/1", &uppercase, &bare, &"b".repeat(100_000)] {
        assert_eq!(reason(worker.heartbeat(wrong, epoch).await), "FIELD_INVALID", "{wrong}");
        assert_eq!(reason(worker.complete(wrong, epoch, Vec::new()).await), "FIELD_INVALID", "{wrong}");
        assert_eq!(reason(worker.fail(wrong, epoch, 1).await), "FIELD_INVALID", "{wrong}");
    }
    for wrong in [u64::MAX, 1 << 63] {
        assert_eq!(reason(worker.heartbeat(&lease, wrong).await), "FIELD_INVALID");
        assert_eq!(reason(worker.complete(&lease, wrong, Vec::new()).await), "FIELD_INVALID");
        assert_eq!(reason(worker.fail(&lease, wrong, 1).await), "FIELD_INVALID");
    }
    for wrong in [0, 6, -1, i32::MAX] {
        assert_eq!(reason(worker.fail(&lease, epoch, wrong).await), "FIELD_INVALID");
    }
    for (seconds, nanos) in [(-1, 0), (i64::MIN, 0), (0, i32::MIN)] {
        let wait = Some(prost_types::Duration { seconds, nanos });
        let mut other = gate.worker(&key, "other").await.expect("registered");
        let request = other.request(proto::LeaseRequest { session: other.session.clone(), wait });
        assert_eq!(reason(other.client.lease(request).await), "FIELD_INVALID");
    }
    // Damaged on its way, and no lie; larger than any message.
    let complete = |sha256: Vec<u8>, result: Vec<u8>| proto::CompleteRequest {
        session: worker.session.clone(),
        lease: lease.clone(),
        epoch,
        result,
        sha256,
        settlement_key: Vec::new(),
    };
    let (mut client, requests) = (
        worker.client.clone(),
        [
            (complete(vec![0; 32], vec![1]), "FIELD_INVALID"),
            (complete(vec![0; 31], vec![1]), "FIELD_INVALID"),
            (complete(digest(&vec![1; 2 << 20]).to_vec(), vec![1; 2 << 20]), "OutOfRange"),
        ],
    );
    for (message, expected) in requests {
        assert_eq!(reason(client.complete(worker.request(message)).await), expected);
    }
    // None of it cost the worker its batch.
    assert!(!worker.heartbeat(&lease, epoch).await.expect("held").stop);
    assert!(!worker.complete(&lease, epoch, proof(TEXT, 1)).await.expect("taken"));
}

#[tokio::test]
async fn files_come_in_pieces_by_their_digest() {
    let (_folder, gate, key) = start().await;
    let mut worker = Tongue::new(&gate, &key).await;
    let answer = worker.register("one", Vec::new()).await.expect("registered");
    worker.session = answer.session;
    let names: BTreeSet<&str> = answer.files.iter().filter_map(|file| file.name.split('/').next()).collect();
    assert_eq!((answer.files.len(), names), (5, BTreeSet::from(["adapters", "bases", "datanets"])));
    for file in &answer.files {
        let content = file.content.as_ref().expect("a content");
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < content.bytes {
            let piece = worker.blob(&content.sha256, bytes.len() as u64).await.expect("a piece");
            assert!(!piece.is_empty() && piece.len() as u64 <= super::super::catalog::PIECE);
            bytes.extend(piece);
        }
        assert_eq!((bytes.len() as u64, digest(&bytes).to_vec()), (content.bytes, content.sha256.clone()));
        // From anywhere.
        let tail = worker.blob(&content.sha256, content.bytes - 1).await.expect("a byte");
        assert_eq!(tail, bytes[bytes.len() - 1..]);
        for beyond in [content.bytes, content.bytes + 1, u64::MAX] {
            assert_eq!(reason(worker.blob(&content.sha256, beyond).await), "FIELD_INVALID");
        }
    }
    // Contents of the store are no files for workers.
    let id = gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    worker.complete(&lease, epoch, proof(TEXT, 1)).await.expect("taken");
    let stored = gate.job(id).await.proof.expect("a proof");
    assert_eq!(reason(worker.blob(&stored, 0).await), "BLOB_UNKNOWN");
    for wrong in [Vec::new(), vec![0; 31], vec![0; 33]] {
        assert_eq!(reason(worker.blob(&wrong, 0).await), "FIELD_INVALID");
    }
}

#[tokio::test]
async fn two_workers_never_get_the_same_batch() {
    let (_folder, gate, key) = start().await;
    let mut ids = BTreeSet::new();
    for salt in 0..12 {
        ids.insert(gate.submit(TEXT, salt).await);
    }
    let mut working = Vec::new();
    for number in 0..4 {
        let mut worker = gate.worker(&key, &format!("w{number}")).await.expect("registered");
        working.push(tokio::spawn(async move {
            let mut got = Vec::new();
            while let Some(own) = worker.lease(1).await.expect("no refusal") {
                let items = own.prove.as_ref().expect("a batch").items.len();
                got.push((own.name.clone(), own.epoch, items));
                // Another poll before this one is done would give it up.
                sleep(Duration::from_millis(20)).await;
                worker.fail(&own.name, own.epoch, FailReason::HandedBack.into()).await.expect("taken");
                let mut again = worker.clone();
                again.register("again", worker.session.clone()).await.expect("registered");
                if got.len() >= 3 {
                    break;
                }
            }
            got
        }));
    }
    let mut all = Vec::new();
    for own in working {
        all.extend(own.await.expect("no panic"));
    }
    let names: BTreeSet<&String> = all.iter().map(|(name, ..)| name).collect();
    let epochs: BTreeSet<u64> = all.iter().map(|(_, epoch, _)| *epoch).collect();
    assert!(all.len() >= 4, "{all:?}");
    assert_eq!((names.len(), epochs.len()), (all.len(), all.len()), "each batch is somebody's alone");
    for id in ids {
        let job = gate.job(id).await;
        assert_eq!((job.state, job.attempts), (State::Queued, 0), "handing back costs nothing");
    }
}

#[tokio::test]
async fn a_poll_wakes_when_there_is_work_and_one_that_is_dropped_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // It never looks for itself.
    let never = |workers: &mut Workers| workers.look = Duration::from_secs(3_600);
    let gate = Gate::start_at(folder.path(), ([127, 0, 0, 1], 0).into(), never).await;
    let key = gate.key(&[Scope::Work]).await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let mut polling = worker.clone();
    let poll = tokio::spawn(async move { polling.lease(50).await });
    sleep(Duration::from_millis(300)).await;
    let id = gate.submit(TEXT, 1).await;
    let lease = timeout(Duration::from_secs(20), poll).await.expect("it is woken");
    let lease = lease.expect("no panic").expect("no refusal").expect("work");

    // The answer was lost: whoever asks again has given it up, and it is not lost for a minute.
    assert!(worker.lease(0).await.expect("no refusal").is_none(), "it waits as after any loss");
    assert_eq!(gate.job(id).await.state, State::Queued);
    assert_eq!(reason(worker.heartbeat(&lease.name, lease.epoch).await), "LEASE_LOST");
    sleep(Duration::from_secs(3)).await;
    let lease = worker.lease(0).await.expect("no refusal").expect("work");
    worker.complete(&lease.name, lease.epoch, proof(TEXT, 1)).await.expect("taken");

    // A client that goes while it waits, and one that asks twice at once: the last one gets it.
    let mut gone = worker.clone();
    assert!(timeout(Duration::from_millis(200), gone.lease(50)).await.is_err());
    let mut older = worker.clone();
    let old = tokio::spawn(async move { older.lease(3).await });
    sleep(Duration::from_millis(200)).await;
    let mut newer = worker.clone();
    let new = tokio::spawn(async move { newer.lease(20).await });
    sleep(Duration::from_millis(200)).await;
    gate.submit(TEXT, 2).await;
    assert!(old.await.expect("no panic").expect("no refusal").is_none());
    assert!(new.await.expect("no panic").expect("no refusal").is_some());
}

#[tokio::test]
async fn failures_are_counted_as_what_they_are_and_let_others_try_first() {
    let (_folder, gate, key) = start().await;
    let id = gate.submit(TEXT, 1).await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let (lease, epoch) = batch(&mut worker).await;
    // One worker's word that it never works does not end the job.
    worker.fail(&lease, epoch, FailReason::Always.into()).await.expect("taken");
    assert_eq!(gate.job(id).await.state, State::Queued);
    assert_eq!(gate.shared.workers.list()[0].state(), proto::WorkerState::Resting);
    let mut other = gate.worker(&key, "two").await.expect("registered");
    let since = std::time::Instant::now();
    let mut resting = worker.clone();
    let poll = tokio::spawn(async move { resting.lease(4).await });
    let got = other.lease(10).await.expect("no refusal").expect("work");
    assert!(since.elapsed() < Duration::from_secs(3), "the other one gets it first");
    other.complete(&got.name, got.epoch, proof(TEXT, 1)).await.expect("taken");
    assert!(poll.await.expect("no panic").expect("no refusal").is_none());

    // Handed back, it is not counted, and whoever ends gets nothing more.
    let id = gate.submit(TEXT, 3).await;
    let (lease, epoch) = batch(&mut other).await;
    other.fail(&lease, epoch, FailReason::HandedBack.into()).await.expect("taken");
    assert_eq!((gate.job(id).await.state, gate.job(id).await.attempts), (State::Queued, 0));
    assert!(other.lease(1).await.expect("no refusal").is_none());
    let session = other.session.clone();
    other.register("two", session).await.expect("registered");
    assert!(other.lease(5).await.expect("no refusal").is_some(), "it is back");
}

#[tokio::test]
async fn whoever_leaves_leaves_its_batch_to_others() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let id = gate.submit(TEXT, 1).await;
    // Also one that it never heard of, since its answer was lost.
    let (lease, epoch) = batch(&mut worker).await;
    let mut foreign = Tongue { session: vec![9; 32], ..worker.clone() };
    assert_eq!(reason(foreign.leave().await), "SESSION_UNKNOWN");
    worker.leave().await.expect("heard");
    let job = gate.job(id).await;
    assert_eq!((job.state, job.attempts), (State::Queued, 0), "it costs nothing");
    assert_eq!(gate.shared.workers.list()[0].state(), proto::WorkerState::Ending);
    assert_eq!(reason(worker.complete(&lease, epoch, proof(TEXT, 1)).await), "LEASE_LOST");
    assert!(worker.lease(1).await.expect("no refusal").is_none());
    worker.leave().await.expect("heard again");

    // A poll that hangs when its worker leaves gets nothing.
    let mut other = gate.worker(&key, "two").await.expect("registered");
    let (lease, epoch) = batch(&mut other).await;
    assert!(!other.complete(&lease, epoch, proof(TEXT, 1)).await.expect("taken"));
    let mut polling = other.clone();
    let poll = tokio::spawn(async move { polling.lease(3).await });
    sleep(Duration::from_millis(200)).await;
    other.leave().await.expect("heard");
    let id = gate.submit(TEXT, 2).await;
    assert!(poll.await.expect("no panic").expect("no refusal").is_none());
    assert_eq!(gate.job(id).await.state, State::Queued);
}

#[tokio::test]
async fn nobody_holds_a_batch_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = |workers: &mut Workers| workers.longest = Duration::from_millis(200);
    let gate = Gate::start_at(folder.path(), ([127, 0, 0, 1], 0).into(), short).await;
    let key = gate.key(&[Scope::Work]).await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let id = gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    assert!(!worker.heartbeat(&lease, epoch).await.expect("held").stop);
    sleep(Duration::from_millis(300)).await;
    assert!(worker.heartbeat(&lease, epoch).await.expect("an answer").stop);
    assert_eq!(gate.job(id).await.state, State::Queued);
    assert_eq!(reason(worker.complete(&lease, epoch, proof(TEXT, 1)).await), "LEASE_LOST");
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_is_stopped() {
    let (_folder, gate, key) = start().await;
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let id = gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    gate.shared.store.call(move |store| store.cancel(now(), "a", id)).await.expect("writable");
    assert!(worker.heartbeat(&lease, epoch).await.expect("an answer").stop);
    assert_eq!(reason(worker.complete(&lease, epoch, proof(TEXT, 1)).await), "LEASE_LOST");
    assert_eq!(gate.job(id).await.state, State::Cancelled);
    // It was no lie.
    assert!(worker.lease(0).await.expect("no refusal").is_none());
}

#[tokio::test]
async fn a_lease_outlives_the_service_and_is_its_sessions_alone_then_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::start(folder.path()).await;
    let (address, key) = (gate.address, gate.key(&[Scope::Work]).await);
    let mut worker = gate.worker(&key, "one").await.expect("registered");
    let other = gate.worker(&key, "two").await.expect("registered");
    let first = gate.submit(TEXT, 1).await;
    let (lease, epoch) = batch(&mut worker).await;
    let second = gate.submit("a b ab ba", 2).await;
    gate.kill();

    let gate = Gate::start_at(folder.path(), address, |_| {}).await;
    assert_eq!(gate.job(first).await.state, State::Proving, "whoever proves it is still there");
    assert_eq!(gate.job(second).await.state, State::Queued);
    let (session, foreign) = (worker.session.clone(), other.session.clone());
    let mut worker = Tongue { session: session.clone(), ..Tongue::new(&gate, &key).await };
    let mut other = Tongue { session: foreign.clone(), ..worker.clone() };
    assert_eq!(reason(worker.heartbeat(&lease, epoch).await), "SESSION_UNKNOWN");
    assert_eq!(reason(worker.complete(&lease, epoch, proof(TEXT, 1)).await), "SESSION_UNKNOWN");
    worker.register("one", session.clone()).await.expect("registered");
    other.register("two", foreign).await.expect("registered");
    assert_eq!(reason(other.complete(&lease, epoch, proof(TEXT, 1)).await), "LEASE_LOST");
    // The same session under another key is another one.
    let another = gate.key(&[Scope::Work]).await;
    let mut thief = Tongue { key: another, ..worker.clone() };
    thief.register("one", session).await.expect("registered");
    assert_eq!(reason(thief.complete(&lease, epoch, proof(TEXT, 1)).await), "LEASE_LOST");
    assert!(!worker.heartbeat(&lease, epoch).await.expect("held").stop);
    // False it is refused also now; then it is another worker's.
    assert!(!worker.complete(&lease, epoch, proof(TEXT, 1)).await.expect("taken"));
    assert_eq!(gate.job(first).await.state, State::Proven);
    // Unclaimed, it would have ended a minute after the start.
    let (unclaimed, epoch) = batch(&mut other).await;
    gate.pass(61).await;
    assert_eq!(gate.job(second).await.state, State::Queued);
    assert_eq!(reason(other.complete(&unclaimed, epoch, proof("a b ab ba", 2)).await), "LEASE_LOST");
}
