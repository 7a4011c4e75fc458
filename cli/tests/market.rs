//! A request from its signature to the money, with nobody at a keyboard: `lorica serve` with a broker, on a chain in memory, with
//! the proving process of its own.

#![cfg(feature = "serve")]

use super::service;
use super::support;

use std::sync::{LazyLock, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lorica_chain::embedded::serve::DevelopmentNode;
use lorica_chain::keys::PrivateKey;
use serde_json::{Value, json};
use service::{Service, http};
use support::{Lorica, Ran};

const TEXT: &str = "hello world a b";
/// Proofs and settlements on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A small world on a chain, its models published, and one circuit for classifications of up to 16 tokens.
struct Market {
    world: Lorica,
    node: String,
    /// Accounts by the byte that their keys repeat.
    prover: String,
}

static MARKET: LazyLock<Market> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let ready = move |address: String| sender.send(address).expect("a receiver");
        DevelopmentNode::new(31337).serve("127.0.0.1:0", ready)
    });
    let node = format!("http://{}", receiver.recv().expect("a node"));
    let world = Lorica::small_world();
    let account = |byte: &str| {
        world.write(&format!("{byte}.key"), byte.repeat(32));
        PrivateKey::parse(&byte.repeat(32)).expect("a key").account().to_string()
    };
    let [_, requester, prover, _, _, other] = ["a1", "a2", "a3", "a4", "a5", "a6"].map(account);
    let at = format!("--rpc {node} --contracts market.json --key-file a1.key");
    let run = |line: String| world.line(&line).expect(0);
    run(format!("chain deploy --rpc {node} --key-file a1.key -o market.json"));
    run(format!("transfer {at} --to {requester} --amount 100"));
    run(format!("transfer {at} --to {other} --amount 100"));
    run(format!("chain publish {at} --base base.vk --insecure-dev-srs"));
    run(format!("chain publish {at} --base base.vk --adapter a.vk --insecure-dev-srs"));
    let srs = "--srs dev.srs --insecure-dev-srs";
    run(format!("settlement-key --base base.vk --requests 1 --tokens 16 {srs} -o classify.vk"));
    run(format!("chain register {at} --base base.vk --settlement-key classify.vk {srs}"));
    Market { world, node, prover }
});

impl Market {
    fn line(&self, line: &str) -> Ran {
        let (command, rest) = line.split_once(" :: ").unwrap_or((line, ""));
        let at = format!("{command} --rpc {} --contracts market.json {rest} --json", self.node);
        self.world.line(&at)
    }

    fn configure(&self, file: &str, more: &str) {
        let content = format!(
            "[listen]\nkeyless_loopback = true\n[broker]\nrpc = '{}'\ncontracts = 'market.json'\n\
             settlement_keys = ['classify.vk']\nkey_file = 'a3.key'\npoll_milliseconds = 50\n{more}\n\
             [[broker.tokens]]\ntoken = 'open'\nleast_fee = '1'\nwithdraw_at = '4'\n",
            self.node
        );
        self.world.write(file, content);
    }

    /// Signs a request for the prover.
    fn sign(&self, file: &str, fee: &str) {
        let sign = format!(
            "request sign --contracts market.json --key-file a2.key --base base.vk --adapter a.vk --prover {} --max-fee {fee} -o {file}",
            self.prover
        );
        let mut arguments: Vec<&str> = sign.split_whitespace().collect();
        arguments.extend(["--text", TEXT]);
        self.world.run(arguments).expect(0);
    }

    fn remote(&self, service: &Service, arguments: &[&str]) -> Ran {
        self.world.run(["remote", "--server", &service.address, "--json"].iter().chain(arguments.iter()))
    }

    fn submit(&self, service: &Service, file: &str) -> Value {
        self.remote(service, &["submit", "--contracts", "market.json", file]).expect(0).json()
    }

    /// A request once it is in one of these states.
    fn await_state(&self, service: &Service, name: &str, wanted: &[&str]) -> Value {
        let start = Instant::now();
        loop {
            let own = self.remote(service, &["request", name]).expect(0).json();
            let state = own["state"].as_str().expect("a state").trim_start_matches("MARKET_STATE_").to_owned();
            if wanted.contains(&state.as_str()) {
                return own;
            }
            assert!(start.elapsed() < PATIENCE, "{own}\n{}", service.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// In OPEN's smallest unit: in the wallet, and owed.
    fn money(&self, of: &str) -> (String, String) {
        let own = self.line(&format!("balance :: --of {of} --token open")).expect(0).json();
        let own = &own["accounts"][0];
        let text = |name: &str| own[name].as_str().expect("an amount").to_owned();
        (text("wallet"), text("owed"))
    }
}

fn open(tenths: u64) -> String {
    format!("{tenths}00000000000000000")
}

#[test]
fn requests_are_served_unattended_and_survive_kills() {
    let market = &*MARKET;
    market.configure("broker.toml", "");
    let explained = market.world.line("serve --check --config broker.toml").expect(0).stdout;
    assert!(explained.contains("a3.key") && explained.contains("SENDS TRANSACTIONS"), "{explained}");
    let arguments = ["--config", "broker.toml", "--keyless-loopback", "--http", "127.0.0.1:0"];
    let mut service = Service::start(&market.world, "market", &arguments);
    let node = market.remote(&service, &["node"]).expect(0).json();
    assert_eq!((&node["account"], &node["closed"]), (&json!(market.prover), &json!("")));
    let requester = PrivateKey::parse(&"a2".repeat(32)).expect("a key").account().to_string();

    // Handed in before its lock, with its answer at once; nothing happens until it is locked.
    market.sign("first.json", "10");
    let first = market.submit(&service, "first.json");
    assert_eq!((&first["state"], &first["reason"]), (&json!("MARKET_STATE_WAITING"), &json!("SUBMITTED")));
    let answer =
        &market.world.run(["infer", "--base", "base.lorica", "--adapter", "a.lorica", "--text", TEXT, "--json"]);
    assert_eq!(first["label"], answer.json()["label"]);
    let again = market.submit(&service, "first.json");
    assert_eq!(again["name"], first["name"], "the same request");
    market.line("request lock :: --key-file a2.key first.json").expect(0);
    let paid =
        market.remote(&service, &["submit", "--contracts", "market.json", "--wait", "first.json"]).expect(0).json();
    assert_eq!(paid["state"], "MARKET_STATE_PAID");
    assert!(paid["accept_transaction"].is_string() && paid["settle_transaction"].is_string());
    assert_eq!((&paid["decision"]["taken"], &paid["decision"]["fee"]), (&json!(true), &json!(open(100))));
    let status = market.line("request status :: first.json").expect(0).json();
    assert_eq!((&status["status"], &status["label"]), (&json!("settled"), &json!(first["label"]["index"].to_string())));
    // Half of the fee is the prover's, and was withdrawn: it is more than 4.
    let start = Instant::now();
    while market.money(&market.prover) != (open(50), "0".into()) {
        assert!(start.elapsed() < PATIENCE, "{:?}\n{}", market.money(&market.prover), service.log());
        sleep(Duration::from_millis(100));
    }
    assert_eq!(market.money(&requester), (open(900), "0".into()));

    // Killed while it proves: the next one goes on. What is earned now is below the threshold.
    market.sign("second.json", "6");
    let second = market.submit(&service, "second.json");
    let second = second["name"].as_str().expect("a name");
    market.line("request lock :: --key-file a2.key second.json").expect(0);
    market.await_state(&service, second, &["PROVING", "SETTLING", "PAID"]);
    service.kill();
    let (store, log) = (service.store.clone(), service.log.clone());
    let service = Service::start_on(&market.world, &store, &log, &arguments);
    let own = market.await_state(&service, second, &["PAID", "REFUSED", "EXPIRED", "LOST", "DECLINED"]);
    assert_eq!(own["state"], "MARKET_STATE_PAID", "{own}");
    assert_eq!(market.money(&market.prover), (open(50), open(30)));
    assert_eq!(market.money(&requester), (open(840), "0".into()));

    // The operator sees where the money is, and what became of each request.
    let seen = |path: &str| -> Value {
        let (status, text) = http(service.http.as_deref().expect("an address"), "GET", path, &[], "");
        assert!(status == 200 && !text.contains("hello"), "{text}");
        serde_json::from_str(&text).expect("JSON")
    };
    let all = seen("/v1/overview");
    let money = &all["market"]["tokens"][0];
    let units = |name: &str| money[name]["units"].as_str().expect("an amount").to_owned();
    assert_eq!(
        [units("earned"), units("withdrawn"), units("owed"), units("accepted")],
        [open(80), open(50), open(30), "0".into()]
    );
    let states: Vec<_> = all["requests"].as_array().expect("a list").iter().map(|own| own["state"].as_str()).collect();
    assert_eq!((states, &all["breaker"]), (vec![Some("PAID"); 2], &Value::Null));
    let id = second.rsplit('/').next().expect("an id");
    let history = seen(&format!("/v1/overview/requests/{id}"));
    let ends = |name: &str, of: &str| -> Vec<_> {
        history[name]
            .as_array()
            .expect("a list")
            .iter()
            .map(|own| own[of].as_str().expect("a word").to_owned())
            .collect()
    };
    assert_eq!(
        (ends("events", "to").first(), ends("events", "to").last()),
        (Some(&"WAITING".into()), Some(&"PAID".into()))
    );
    assert!(ends("transactions", "kind").ends_with(&["ACCEPT".to_owned(), "SETTLE".to_owned()]), "{history}");
    assert_eq!((&history["decision"]["taken"], &history["max_fee"]["whole"]), (&json!(true), &json!("6")));

    // Refused early, by the reason.
    market.sign("poor.json", "0.5");
    let refused = market.remote(&service, &["submit", "--contracts", "market.json", "poor.json"]).expect(3).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("FEE_TOO_LOW")), "{refused}");
    let unknown = format!("requests/31337/{}", "0a".repeat(32));
    let refused = market.remote(&service, &["request", &unknown]).expect(3).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("REQUEST_UNKNOWN")), "{refused}");

    // Nothing of a text is in the log, nor of the key.
    let log = service.log();
    assert!(!log.contains(TEXT) && !log.contains("hello"), "a text in the log");
    assert!(!log.contains(&"a3".repeat(32)), "a key in the log");
    let request: Value = serde_json::from_slice(&market.world.read("first.json")).expect("JSON");
    let salt = request["input"]["salt"].as_str().expect("a salt").to_owned();
    assert!(!log.contains(&salt), "a salt in the log");
    // While it runs, no other program of this machine takes the account's nonces.
    let second = ["serve", "--config", "broker.toml", "--store", "elsewhere.store", "--base", "base.lorica", "--json"];
    let refused = market.world.run(second.iter().chain(support::SRS.iter())).expect(4).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("in flight")), "{refused}");
}

/// Two nodes compete: a requester asks both, without a text, names the cheaper one, and it serves the request for what it said.
#[test]
fn the_cheaper_of_two_nodes_is_named_and_paid() {
    let market = &*MARKET;
    let start = |name: &str, key: &str, fee: &str| {
        let file = format!("{name}.toml");
        market.configure(&file, "");
        let content = String::from_utf8(market.world.read(&file)).expect("text");
        let content = content.replace("'a3.key'", &format!("'{key}.key'"));
        market.world.write(&file, content.replace("least_fee = '1'", &format!("least_fee = '{fee}'")));
        Service::start(&market.world, name, &["--config", &file, "--keyless-loopback"])
    };
    let (dear, cheap) = (start("dear", "a4", "3"), start("cheap", "a5", "2"));
    let nodes = format!("# nodes\n{}\nhttp://127.0.0.1:9 # nobody\n\n{}\n", dear.address, cheap.address);
    market.world.write("nodes.txt", nodes);
    let models = market.remote(&cheap, &["models"]).expect(0).json();
    let adapter = models["adapters"][0]["name"].as_str().expect("an adapter").to_owned();
    let ask = ["quote", "--contracts", "market.json", "--adapter", &adapter, "--tokens", "16"];
    let told = market.remote(&dear, &[&ask[..], &["--nodes", "nodes.txt"]].concat()).expect(0).json();
    let fees: Vec<&Value> = told["quotes"].as_array().expect("quotes").iter().map(|own| &own["fee"]).collect();
    assert_eq!(fees, [&json!(open(20)), &json!(open(30))]);
    assert_eq!(told["refused"][0]["node"], "http://127.0.0.1:9");
    let best = &told["quotes"][0];
    assert_eq!(best["node"], json!(cheap.address));
    let prover = best["prover"].as_str().expect("a prover");
    let account = PrivateKey::parse(&"a5".repeat(32)).expect("a key").account().to_string();
    assert!(account.eq_ignore_ascii_case(prover));
    // Without a list it is the one of --server.
    let only = market.remote(&dear, &ask).expect(0).json();
    assert_eq!(only["quotes"][0]["fee"], json!(open(30)));
    let refused = market.remote(&dear, &[&ask[..5], &["--tokens", "99"]].concat()).expect(3).json();
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|text| text.contains("FIELD_INVALID") || text.contains("CIRCUIT_UNKNOWN")),
        "{refused}"
    );

    let sign = format!(
        "request sign --contracts market.json --key-file a6.key --base base.vk --adapter a.vk --prover {prover} --max-fee 2 -o routed.json"
    );
    let mut arguments: Vec<&str> = sign.split_whitespace().collect();
    arguments.extend(["--text", TEXT]);
    market.world.run(arguments).expect(0);
    let elsewhere = market.remote(&dear, &["submit", "--contracts", "market.json", "routed.json"]).expect(3).json();
    assert!(elsewhere["message"].as_str().is_some_and(|text| text.contains("PROVER_OTHER")), "{elsewhere}");
    market.line("request lock :: --key-file a6.key routed.json").expect(0);
    let submit = ["submit", "--contracts", "market.json", "--wait", "routed.json"];
    assert_eq!(market.remote(&cheap, &submit).expect(0).json()["state"], "MARKET_STATE_PAID");
    assert_eq!(market.money(prover), ("0".into(), open(10)));
}

#[test]
fn a_service_without_a_broker_says_so_and_wrong_configurations_do_not_start() {
    let market = &*MARKET;
    let service = Service::start(&market.world, "absent", &["--keyless-loopback"]);
    market.sign("absent.json", "10");
    for call in [&["node"][..], &["submit", "--contracts", "market.json", "absent.json"]] {
        let refused = market.remote(&service, call).expect(3).json();
        assert!(refused["message"].as_str().is_some_and(|text| text.contains("MARKET_ABSENT")), "{refused}");
    }
    drop(service);
    let models = ["--base", "base.lorica", "--adapter", "a.lorica", "--store", "wrong.store", "--json"];
    for (more, from, to, named) in [
        ("", "'classify.vk'", "'base.vk'", "base.vk"),
        ("", "'market.json'", "'base.vk'", "base.vk"),
        ("", "token = 'open'", "token = 'gold'", "tokens.token"),
        ("withdraw_to = '0x12'", "", "", "withdraw_to"),
        ("max_gas_cost = 'much'", "", "", "max_gas_cost"),
        ("", "key_file = 'a3.key'", "", "LORICA_PRIVATE_KEY"),
    ] {
        market.configure("wrong.toml", more);
        let content = String::from_utf8(market.world.read("wrong.toml")).expect("text");
        market.world.write("wrong.toml", if from.is_empty() { content } else { content.replace(from, to) });
        let arguments = ["serve", "--config", "wrong.toml"].iter().chain(models.iter()).chain(support::SRS.iter());
        let refused = market.world.run(arguments).expect(3).json();
        assert!(refused["message"].as_str().is_some_and(|text| text.contains(named)), "{named}: {refused}");
    }
}
