//! `adapter_config.json` beside valid weights, and after a zero byte `labels.json`: imported into integers, or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica::files::BaseFile;
use lorica::import::load_adapter;
use lorica_fuzz::{Folder, seed};
use lorica_quant::integer::BaseModel;

static BASE: LazyLock<BaseModel> =
    LazyLock::new(|| BaseFile::decode(&seed("base_model", "whole")).expect("a valid seed").model);

/// One folder with a classifier, one without.
static FOLDERS: LazyLock<[Folder; 2]> = LazyLock::new(|| {
    ["small", "headless"].map(|name| {
        let folder = Folder::new();
        folder.write("adapter_model.safetensors", &seed("adapter_weights", name));
        folder
    })
});

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (config, labels) = (parts.next().unwrap_or_default(), parts.next());
    for folder in &*FOLDERS {
        folder.write("adapter_config.json", config);
        match labels {
            Some(labels) => drop(folder.write("labels.json", labels)),
            None => folder.remove("labels.json"),
        }
        if let Ok((_, model)) = load_adapter(folder.path(), &BASE) {
            model.validate(&BASE.architecture).expect("what is imported is valid");
        }
    }
});
