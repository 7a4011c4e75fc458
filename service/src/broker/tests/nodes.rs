//! A node between the broker and the chain that keeps transactions back, loses its answers, is away, or talks nonsense.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};

use lorica::chain::rpc::plan::{Fees, Version};
use lorica::chain::rpc::sending::broadcast;
use serde_json::{Value, json};

use super::*;

/// What it does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Honest,
    /// Takes transactions and lets no block have them.
    Hoards,
    /// Does what it is told, and dies before it says so.
    LosesAnswers,
    Away,
    Nonsense,
}

pub(super) struct Node {
    url: String,
    mode: Arc<Mutex<Mode>>,
}

fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn forward(to: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to.trim_start_matches("http://")).expect("the chain");
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).expect("writable");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("readable");
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    answer.split_off(at + 4)
}

impl Node {
    /// A node before the stage's, whose gas has a price.
    fn start() -> Self {
        Self::before(&STAGE)
    }

    /// A node before that of a stage.
    pub(super) fn before(stage: &'static Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mode = Arc::new(Mutex::new(Mode::Honest));
        let own = mode.clone();
        std::thread::spawn(move || {
            let mut hoard = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(body) = read(&stream) else { continue };
                let mode = *own.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(answer) = answer(mode, &stage.url, &body, &mut hoard) {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                    let head = format!("{head}content-length: {}\r\n\r\n", answer.len());
                    let _ = (&stream).write_all(&[head.as_bytes(), &answer].concat());
                }
            }
        });
        Self { url, mode }
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    pub(super) fn broker(&self, party: &Party, store: &StoreThread) -> Broker {
        let patience = Patience { attempts: 1, ..Patience::default() };
        let chain = RpcChain::connect_with(&self.url, Some(party.prover.clone()), Some(CHAIN_ID), patience);
        let (settings, key, models) = (party.settings.clone(), party.prover.clone(), WORLD.models.clone());
        Broker::new(settings, chain.expect("a chain"), key, store.clone(), models).expect("a broker")
    }
}

fn answer(mode: Mode, to: &str, body: &[u8], hoard: &mut Vec<String>) -> Option<Vec<u8>> {
    let asked: Value = serde_json::from_slice(body).expect("JSON");
    let (method, first) = (asked["method"].as_str().expect("a method"), asked["params"][0].as_str());
    let say = |result: Value| Some(json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string().into_bytes());
    match (mode, method) {
        (Mode::Away, _) => None,
        (Mode::Nonsense, _) => Some(b"<html>maintenance</html>".to_vec()),
        (Mode::Hoards, "eth_sendRawTransaction") => {
            let raw: Bytes = first.expect("a transaction").parse().expect("hexadecimal");
            let hash = Version::from_raw(raw).expect("a version").hash().to_string();
            hoard.push(hash.clone());
            say(json!(hash))
        }
        (Mode::Hoards, "eth_getTransactionByHash") if hoard.iter().any(|own| Some(own.as_str()) == first) => {
            say(json!({ "hash": first }))
        }
        (Mode::LosesAnswers, "eth_sendRawTransaction") => {
            forward(to, body);
            None
        }
        (_, "eth_maxPriorityFeePerGas") => say(json!("0x5")),
        (_, "eth_getBlockByNumber") => {
            let mut block: Value = serde_json::from_slice(&forward(to, body)).expect("JSON");
            if block["result"].is_object() {
                block["result"]["baseFeePerGas"] = json!("0x64");
            }
            Some(block.to_string().into_bytes())
        }
        _ => Some(forward(to, body)),
    }
}

/// In no block for long, it is sent with twice the fees beside itself; whichever of both a block takes, it is one transaction.
#[test]
fn what_no_block_takes_pays_more_and_either_version_counts() {
    let party = Party::with(|settings| settings.bump_after = Duration::from_millis(600));
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let node = Node::start();
    let mut broker = node.broker(&party, &store);
    node.set(Mode::Hoards);
    let sent = [Did::Signed(IntentKind::Accept), Did::Broadcast(IntentKind::Accept)];
    let done = steps(&mut broker, |did| *did == sent[1]);
    assert_eq!(done, [&[Did::Moved(MarketState::Accepting)][..], &sent].concat());
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(steps(&mut broker, |did| *did == sent[1]), sent);
    let intents = party.intents(&store, &request);
    let versions: Vec<Version> = intents[0]
        .versions
        .iter()
        .map(|raw| Version::from_raw(Bytes::copy_from_slice(raw)).expect("a version"))
        .collect();
    let [first, second] = versions.as_slice() else { panic!("{versions:?}") };
    assert!(first.is_of_same_nonce(second));
    let fees = |own: &Version| own.plan().fees();
    assert_eq!(
        (fees(first), fees(second)),
        (Fees { max_per_gas: 205, max_tip: 5 }, Fees { max_per_gas: 410, max_tip: 10 },)
    );
    // The older one is mined while the process is away.
    drop(broker);
    broadcast(party.chain(&party.prover).node(), first).expect("taken");
    node.set(Mode::Honest);
    let mut broker = node.broker(&party, &store);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &request, 3);
    assert_eq!(party.intents(&store, &request)[0].tx, Some(first.hash().0));
}

/// Whatever the node does, nothing is sent twice, and it goes on when the node does.
#[test]
fn answers_that_are_lost_or_nonsense_cost_nothing() {
    let party = Party::new();
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let node = Node::start();
    let mut broker = node.broker(&party, &store);
    let start = Instant::now();
    let (mut failed, mut idle) = (0, 0);
    while idle < 3 {
        assert!(start.elapsed() < Duration::from_secs(240), "{failed} errors");
        let before = party.row(&store, &request).sequence;
        // A step with a node that is of no use, before each with one whose answers to what is sent are lost.
        for mode in [Mode::Away, Mode::Nonsense] {
            node.set(mode);
            broker.round = None;
            failed += usize::from(broker.step().is_err());
        }
        assert_eq!(party.row(&store, &request).sequence, before, "nothing is inferred from that");
        node.set(Mode::LosesAnswers);
        broker.round = None;
        match broker.step() {
            Ok(Some(_)) => idle = 0,
            Ok(None) if prove(&store) => idle = 0,
            Ok(None) => idle += 1,
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 10, "{failed}");
    party.expect_paid(&store, &request, 3);
    assert!(party.intents(&store, &request).iter().all(|intent| intent.versions.len() == 1));
}
