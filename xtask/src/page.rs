//! `cargo xtask verifier-page`: the verifier as one HTML file that needs nothing else. `cargo xtask wasm`: the same, opened in
//! a headless Chromium with honest and forged files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::{root, run, run_with, target_folder};

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGE: &str = "lorica-verifier-wasm";
const MODULE: &str = "lorica_verifier_wasm.wasm";
/// Largest module: it is downloaded whenever the page is.
const MOST_BYTES: usize = 1_500_000;
/// Programs that may be Chromium.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
/// Where Debian keeps the compiler of `rustc-web`, the library's sources of `rust-web-src`, and the linker of `rust-web-llvm`.
const DEBIAN_COMPILER: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN_LINKER: &str = "/usr/bin/rust-lld";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "rust-web-llvm"];

/// Writes `verifier-page/index.html` into the target folder.
pub fn page() -> Option<PathBuf> {
    let module = fs::read(module()?).map_err(|error| eprintln!("xtask: {MODULE}: {error}")).ok()?;
    if module.len() > MOST_BYTES {
        eprintln!("xtask: {MODULE} has {} bytes, more than {MOST_BYTES}", module.len());
        return None;
    }
    let source = root().join("verifier-wasm/page");
    let read = |name: &str| fs::read_to_string(source.join(name)).map_err(|error| eprintln!("xtask: {name}: {error}"));
    let (page, style, script) = (read("page.html").ok()?, read("page.css").ok()?, read("page.js").ok()?);
    let html = assemble(&page, &style, &script, &module);
    let folder = target_folder().join("verifier-page");
    let path = folder.join("index.html");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, &html));
    if let Err(error) = written {
        eprintln!("xtask: {}: {error}", path.display());
        return None;
    }
    eprintln!("xtask: {} ({} bytes, of which the module {})", path.display(), html.len(), module.len());
    Some(path)
}

/// Makes the page, and opens it in Chromium. With `files`, these are the only case, and their time is measured.
pub fn test(files: &[String]) -> bool {
    let Some(page) = page() else { return false };
    let Some(chromium) = chromium() else { return false };
    let cases = target_folder().join("verifier-page/cases.json");
    let (Some(page), Some(cases)) = (page.to_str(), cases.to_str()) else { return false };
    // With the workspace's features: the tests have built the same.
    let build = ["build", "--workspace", "--release", "--locked", "--example", "cases"];
    let program = target_folder().join("release/examples/cases");
    let Some(program) = program.to_str() else { return false };
    let mut write = vec![cases];
    write.extend(files.iter().map(String::as_str));
    let pictures = format!("{page}.pictures");
    run("cargo", &build)
        && run(program, &write)
        && run("node", &["verifier-wasm/browser/run.mjs", &chromium, page, cases, &pictures])
}

/// Puts the parts into the page. Its policy lets nothing in or out but the one script and the one style, by their digests.
fn assemble(page: &str, style: &str, script: &str, module: &[u8]) -> String {
    let digest = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; script-src {} 'wasm-unsafe-eval'; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        digest(script),
        digest(style)
    );
    let parts = [
        ("{{POLICY}}", policy.as_str()),
        ("{{STYLE}}", style),
        ("{{MODULE}}", &base64(module)),
        ("{{SCRIPT}}", script),
    ];
    parts.into_iter().fold(page.to_owned(), |page, (name, part)| page.replacen(name, part, 1))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, i| group << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    text
}

/// Builds the module with the toolchain's own library for the target, where rustup has it; else with Debian's `rustc-web`,
/// which builds the library from the sources of `rust-web-src`.
fn module() -> Option<PathBuf> {
    let build = ["build", "--locked", "--profile", "page", "--package", PACKAGE, "--target", TARGET];
    let answers = |program: &str, arguments: &[&str]| {
        let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    let forced = env::var_os("LORICA_DEBIAN_WASM").is_some();
    if !forced && answers("rustup", &["target", "add", TARGET]) {
        let built = run("cargo", &build);
        return built.then(|| target_folder().join(TARGET).join("page").join(MODULE));
    }
    eprintln!("xtask: rustup has no {TARGET}; Debian's rustc-web is looked for");
    if !debian() {
        eprintln!(
            "xtask: neither `rustup target add {TARGET}` nor `apt-get install {}` works",
            DEBIAN_PACKAGES.join(" ")
        );
        return None;
    }
    // A folder of its own: another compiler's outputs.
    let folder = target_folder().join("rustc-web");
    let variables = [
        ("RUSTC", DEBIAN_COMPILER),
        // The library's sources are built by a flag that only nightly compilers take otherwise.
        ("RUSTC_BOOTSTRAP", "1"),
        ("CARGO_TARGET_DIR", folder.to_str()?),
    ];
    let library = [&build[..], &["-Zbuild-std=std,panic_abort"]].concat();
    run_with("cargo", &library, &variables).then(|| folder.join(TARGET).join("page").join(MODULE))
}

/// Installs Debian's compiler, sources and linker where they are missing.
fn debian() -> bool {
    let install =
        |packages: &[&str]| run("apt-get", &[&["install", "--yes", "--no-install-recommends"], packages].concat());
    let linker = Path::new(DEBIAN_LINKER);
    if (!Path::new(DEBIAN_SOURCES).is_dir() || !linker.is_symlink()) && !install(&DEBIAN_PACKAGES) {
        return false;
    }
    // A link to the linker of one version of LLVM, whose package has the same name.
    let version = fs::read_link(linker).ok();
    let version = version.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    linker.exists() || version.is_some_and(|package| install(&[package]))
}

/// Chromium, installed if it is missing and apt works.
fn chromium() -> Option<String> {
    let find = || {
        let works = |name: &&&str| {
            let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        CHROMIUM.iter().find(works).map(|name| (*name).to_owned())
    };
    if let Some(own) = env::var_os("CHROMIUM") {
        return own.into_string().ok();
    }
    find().or_else(|| {
        let installed =
            run("apt-get", &["update"]) && run("apt-get", &["install", "--yes", "--no-install-recommends", "chromium"]);
        let found = if installed { find() } else { None };
        if found.is_none() {
            eprintln!("xtask: Chromium is needed: install it, or name it in CHROMIUM");
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xef, 0xff]), "++//");
    }

    #[test]
    fn each_part_stands_once_in_the_page() {
        let page = fs::read_to_string(root().join("verifier-wasm/page/page.html")).expect("the page");
        for part in ["{{POLICY}}", "{{STYLE}}", "{{MODULE}}", "{{SCRIPT}}"] {
            assert_eq!(page.matches(part).count(), 1, "{part}");
        }
        let whole = assemble(&page, "style", "script", &[1, 2, 3]);
        assert!(whole.contains("<style>style</style>") && whole.contains(">AQID</script>") && !whole.contains("{{"));
        // echo -n script | openssl dgst -sha256 -binary | base64
        assert!(whole.contains("script-src 'sha256-"), "{whole}");
    }
}
