//! The whole way by commands on the real model, which `lorica model fetch minilm` has put into the cache.

use super::support;

use std::path::Path;

use support::Lorica;

fn lorica() -> Lorica {
    let cache = lorica_cli::model_fetch::cache_dir().expect("a cache folder");
    Lorica { cache, folder: tempfile::tempdir().expect("a temporary folder") }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimisation")]
fn prove_and_verify_on_the_real_model() {
    let lorica = lorica();
    let model = lorica.cache.join("models/minilm");
    let model = model.to_str().expect("a plain name");
    let import = ["model", "import", model, "--tau", "18", "--insecure-dev-srs", "--json", "-o", "base.lorica"];
    let imported = lorica.run(import).expect(0).json();
    assert!(imported["quality"]["cosine_worst"].as_f64().is_some_and(|worst| worst > 0.9999), "{imported}");
    assert!(lorica.read("base.vk").len() < 500_000);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/adapters");
    for name in ["debian-qv-r8", "debian-attn-r4"] {
        let folder = fixtures.join(name);
        let (folder, out) = (folder.to_str().expect("a plain name"), format!("{name}.lorica"));
        let import = ["adapter", "import", folder, "--base", "base.lorica", "--insecure-dev-srs", "-o", &out];
        lorica.run(import).expect(0);
    }
    let text = "Python bindings for the Simple Network Management Protocol";
    let prove = ["prove", "--base", "base.lorica", "--adapter", "debian-qv-r8.lorica", "--text", text];
    let proven =
        lorica.run(prove.into_iter().chain(["--insecure-dev-srs", "--json", "-o", "p.proof"])).expect(0).json();
    assert!(lorica.read("p.proof").len() < 40_000);

    let verify = |adapter: &str, text: &str| {
        lorica.run([
            "verify",
            "--base",
            "base.vk",
            "--adapter",
            adapter,
            "--proof",
            "p.proof",
            "--json",
            "--text",
            text,
        ])
    };
    let verified = verify("debian-qv-r8.vk", text).expect(0).json();
    assert_eq!(verified["requests"][0]["label"]["name"], "python");
    assert_eq!(verified["requests"][0]["logits"], proven["requests"][0]["logits"]);
    assert_eq!(verify("debian-qv-r8.vk", "another text").expect(1).json()["kind"], "rejected");
    assert_eq!(verify("debian-attn-r4.vk", text).expect(1).json()["kind"], "rejected");
    let other = ["verify", "--base", "base.vk", "--adapter", "debian-qv-r8.vk", "--proof", "p.proof", "--context", "1"];
    lorica.run(other).expect(1);
}

/// The fee goes where the split says, to the last unit; nobody else gains; nothing on the page is loaded from elsewhere.
#[test]
#[cfg_attr(debug_assertions, ignore = "minutes without optimisation")]
fn the_demo_pays_exactly() {
    let lorica = lorica();
    let text = "A <b>parser</b> & library for Python";
    let demo = lorica.run(["demo", "--tau", "18", "--text", text, "--report", "run.html", "--json"]).expect(0).json();
    let chain = &demo["settlement"];
    let units = |value: &serde_json::Value| value.as_str().expect("an amount").parse::<i128>().expect("a number");
    let fee = units(&chain["fee"]);
    let shares: Vec<i128> = chain["shares"].as_array().expect("shares").iter().map(|s| units(&s["amount"])).collect();
    assert_eq!((shares.len(), shares.iter().sum::<i128>()), (4, fee));
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    let balances = chain["balances"].as_array().expect("balances");
    let change = |party: &str| {
        let of = balances.iter().find(|balance| balance["party"] == party).expect("a party");
        units(&of["after"]) - units(&of["before"])
    };
    let parties = ["prover", "adapter owner", "base owner"];
    assert_eq!(parties.map(change).as_slice(), &shares[..3]);
    // The contributors' part goes to accounts of maintainers, and what is nobody's is burnt: nothing else.
    let contributors = chain["contributors"].as_array().expect("contributors");
    let paid: i128 = contributors.iter().map(|own| units(&own["paid"])).sum();
    assert_eq!(paid + units(&chain["burnt"]), shares[3]);
    assert!(contributors.len() > 3 && contributors.iter().all(|own| own["contributor"] != own["account"]));
    let listed: u64 = contributors.iter().filter_map(|own| own["share"].as_u64()).sum();
    assert!(listed > 32_768 && listed <= 65_535, "{listed}");
    assert_eq!((change("requester"), change("thief")), (-fee, 0));
    let thefts = chain["forgeries"].as_array().expect("thefts");
    assert!(thefts.len() >= 13 && thefts.iter().all(|theft| theft["rejected"] == true), "{thefts:?}");

    let page = String::from_utf8(lorica.read("run.html")).expect("UTF-8");
    assert!(page.contains("A &lt;b&gt;parser&lt;/b&gt; &amp; library") && !page.contains("<b>"));
    assert!(page.contains(chain["request"].as_str().expect("an id")));
    for elsewhere in ["http:", "https:", "src=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}
