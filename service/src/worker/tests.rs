//! A proving process that lies, and one that cannot be started.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::frames::SetUp;
use super::local::Local;
use super::*;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::thread::StoreThread;
use crate::store::{MAX_ATTEMPTS, NewJob, State, Store, now};
use crate::world::{WORLD, lease};

/// Says that it is ready, and answers every order with something that is no proof.
const LIAR: &str = r"printf '\000\000\000\002\012\000'; head -c 8 > /dev/null; sleep 0.1; printf '\000\000\000\003\032\001x'; cat > /dev/null";
/// Says that it is ready, and dies at the first order.
const MORTAL: &str = r"printf '\000\000\000\002\012\000'; head -c 8 > /dev/null";

async fn outcome(script: &str) -> (State, Option<String>, u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = SqliteStore::open(folder.path(), Access::Service).expect("a store");
    let member = lease(&[("hello world", 0, 1)]).members.remove(0);
    let id = Uuid::now_v7();
    let job = NewJob {
        id,
        tenant: "a".into(),
        request_id: id,
        body: [1; 32],
        base: crate::world::base(),
        adapter: member.adapter,
        datanet: None,
        kind: 1,
        context: [0; 32],
        deadline: None,
        token_ids: member.token_ids,
        salt: member.salt,
        answer: member.answer,
        binding: None,
        group: None,
    };
    store.submit(now(), &job, 9).expect("writable");
    let store = StoreThread::start(Box::new(store));
    let (end, ending) = watch::channel(false);
    let worker = Worker {
        source: Local {
            store: store.clone(),
            owner: "test".into(),
            models: WORLD.models.clone(),
            set_up: SetUp { bases: vec!["base".into()], ..SetUp::default() },
            wake: Arc::new(Notify::new()),
            ending: ending.clone(),
        },
        program: ChildProgram { path: "sh".into(), arguments: vec!["-c".into(), script.into()] },
        hang: Duration::from_secs(60),
        drain: Duration::from_secs(1),
        ending,
    };
    let process = worker.start().await.expect("a process");
    let working = tokio::spawn(worker.run(process));
    let read = async || store.call(move |store| store.job("a", id)).await.expect("readable").expect("there");
    let start = Instant::now();
    let job = loop {
        let job = read().await;
        let lost = job.attempts >= 2 && script == MORTAL;
        if job.state.is_terminal() || lost || start.elapsed() > Duration::from_secs(60) {
            break job;
        }
        sleep(Duration::from_millis(50)).await;
    };
    end.send_replace(true);
    timeout(Duration::from_secs(20), working).await.expect("it ends").expect("no panic");
    assert!(job.proof.is_none());
    (job.state, job.failure, job.attempts)
}

#[tokio::test]
async fn a_proof_that_does_not_hold_is_never_handed_out() {
    assert_eq!(outcome(LIAR).await, (State::Failed, Some("PROOF_REJECTED".into()), MAX_ATTEMPTS));
}

#[tokio::test]
async fn a_process_that_dies_leaves_the_job_waiting() {
    let (state, failure, attempts) = outcome(MORTAL).await;
    assert!(!state.is_terminal() && failure.is_none() && attempts >= 2, "{state:?} {failure:?} {attempts}");
}
