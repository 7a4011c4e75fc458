//! anvil, and what only a development node can be told.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lorica_chain::keys::PrivateKey;
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::settings::Settings;
use serde_json::{Value, json};

/// The first account of every development node.
pub const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A development node that ends with the test.
pub struct Anvil {
    child: Child,
    pub url: String,
}

impl Anvil {
    /// The program itself: npm's wrapper would outlive it or be outlived.
    fn program() -> Option<PathBuf> {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/node_modules/@foundry-rs");
        let mut packages = std::fs::read_dir(packages).ok()?.flatten();
        packages.find_map(|package| Some(package.path().join("bin/anvil")).filter(|program| program.is_file()))
    }

    pub fn start(arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let child = Command::new(Self::program().expect("anvil: npm install in verifier-contracts"))
            .args(["--port", &port.to_string(), "--hardfork", "osaka", "--silent"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil runs");
        let node = Self { child, url: format!("http://127.0.0.1:{port}") };
        let start = Instant::now();
        while let Err(error) = RpcChain::connect(&node.url, None, None) {
            assert!(start.elapsed() < Duration::from_secs(60), "{error}");
            thread::sleep(Duration::from_millis(100));
        }
        node
    }

    /// Asks it anything.
    pub fn ask(&self, method: &str, parameters: &Value) -> Value {
        ask(&self.url, method, parameters)
    }

    pub fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", &json!([format!("{blocks:#x}")]));
    }

    /// Transactions in the pool.
    pub fn pending(&self) -> Vec<Value> {
        let block = self.ask("eth_getBlockByNumber", &json!(["pending", false]));
        block["transactions"].as_array().expect("a list").clone()
    }

    pub fn connect(&self, settings: Settings) -> RpcChain {
        RpcChain::connect_with(&self.url, Some(PrivateKey::parse(KEY).expect("a key")), Some(31337), settings)
            .expect("a chain")
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn ask(url: &str, method: &str, parameters: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
    let mut response = ureq::post(url).content_type("application/json").send(body).expect("an answer");
    let text = response.body_mut().read_to_string().expect("a body");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert!(answer["error"].is_null(), "{method}: {text}");
    answer["result"].clone()
}

/// Waits until it is so.
pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}
