//! `adapter_model.safetensors` beside valid settings is imported into integers, or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lorica::files::BaseFile;
use lorica::import::load_adapter;
use lorica_fuzz::{Folder, seed};
use lorica_quant::integer::BaseModel;

static WORLD: LazyLock<(Folder, BaseModel)> = LazyLock::new(|| {
    let folder = Folder::new();
    let seed_of = seed("adapter_config", "small");
    let mut parts = seed_of.split(|byte| *byte == 0);
    folder.write("adapter_config.json", parts.next().expect("settings"));
    folder.write("labels.json", parts.next().expect("labels"));
    (folder, BaseFile::decode(&seed("base_model", "whole")).expect("a valid seed").model)
});

fuzz_target!(|data: &[u8]| {
    let (folder, base) = &*WORLD;
    folder.write("adapter_model.safetensors", data);
    if let Ok((_, model)) = load_adapter(folder.path(), base) {
        model.validate(&base.architecture).expect("what is imported is valid");
    }
});
