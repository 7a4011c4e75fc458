//! Running the binary, and a small registered world to run it on.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

#[path = "../../../lora-quant/tests/float/folders.rs"]
pub mod folders;

/// One run of the binary.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The last line of stdout as JSON.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}\n{}", self.stderr))
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// A folder in which commands run, with its own cache.
pub struct Lorica {
    pub folder: TempDir,
    pub cache: PathBuf,
}

impl Lorica {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = folder.path().join("cache");
        Self { folder, cache }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_lorica"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LORICA_CACHE", &self.cache)
            .env_remove("LORICA_SRS")
            .env_remove("LORICA_LOG")
            .output()
            .expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The arguments of a line without quoting.
    pub fn line(&self, line: &str) -> Ran {
        self.run(line.split_whitespace())
    }

    /// A random model of two small layers with tiles of 2^14 cells, two adapters with heads, one of
    /// which changes the pooler, and one without.
    pub fn small_world() -> Self {
        let lorica = Self::new();
        lorica.line("srs dev --log-size 14 -o dev.srs").expect(0);
        let model = folders::Model::small().write();
        lorica.write("calibration.txt", "hello world\na b ab ba\nworld a hello b aa bb\n");
        let import = ["model", "import", path(&model), "--tau", "14", "--r-max", "4", "--calibrate", "calibration.txt"];
        lorica.run(import.into_iter().chain(SRS).chain(["-o", "base.lorica"])).expect(0);
        let mut other = folders::Adapter::with_pooler();
        other.tensors.retain(|name, _| !name.contains("layer.1"));
        other.config["target_modules"] =
            serde_json::json!(".*(layer\\.0\\.attention\\.self\\.(query|value)|pooler\\.dense)");
        for (name, adapter) in
            [("a", folders::Adapter::small()), ("b", other), ("headless", folders::Adapter::headless())]
        {
            let folder = adapter.write();
            let out = format!("{name}.lorica");
            let import = ["adapter", "import", path(&folder), "--base", "base.lorica", "-o", &out];
            lorica.run(import.into_iter().chain(SRS)).expect(0);
        }
        lorica
    }
}

/// The SRS of the small world.
pub const SRS: [&str; 3] = ["--srs", "dev.srs", "--insecure-dev-srs"];

pub fn path(folder: &TempDir) -> &str {
    Path::to_str(folder.path()).expect("a temporary folder has a plain name")
}
