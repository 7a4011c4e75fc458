//! Names of one activation function.

use lorica_circuits::families::encoder::{Architecture, columns, table_values};
use lorica_quant::import::{Activation, FloatEncoder};
use serde_json::json;

use crate::folders::Model;

/// `gelu_fast` of transformers, with its own constant for √(2/π).
fn gelu_fast(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::tanh(x * 0.797_884_560_8 * (1.0 + 0.044_715 * x * x)))
}

/// Every entry of every table that an architecture may have.
#[test]
fn gelu_fast_has_the_table_of_gelu_new() {
    for activation_bits in 4..=15u32 {
        let architecture = Architecture {
            block: 128,
            max_tokens: 128,
            hidden: 128,
            layers: 1,
            heads: 4,
            intermediate: 128,
            vocab: 8,
            activation: Activation::GeluNew,
            r_max: 1,
            score_bits: 10,
            activation_bits,
            tanh_bits: 10,
        };
        let table = table_values(columns::TABLE_ACTIVATION, &architecture).expect("a table");
        assert_eq!(table.len(), 65536);
        let scale = f64::from(1u32 << activation_bits);
        for (key, value) in (-32768..32768i32).zip(table) {
            let fast = libm::round(scale * gelu_fast(f64::from(key) / scale));
            assert_eq!(fast, value as f64, "{activation_bits} bits, key {key}");
        }
    }
}

#[test]
fn all_names_of_an_activation_are_read() {
    for (name, activation) in [
        ("gelu", Activation::Gelu),
        ("gelu_new", Activation::GeluNew),
        ("gelu_pytorch_tanh", Activation::GeluNew),
        ("gelu_fast", Activation::GeluNew),
        ("relu", Activation::Relu),
    ] {
        let mut model = Model::small();
        model.config["hidden_act"] = json!(name);
        assert_eq!(FloatEncoder::load(model.write().path()).expect("valid").config.activation, activation, "{name}");
    }
    for name in ["gelu_10", "quick_gelu", "silu", "GELU"] {
        let mut model = Model::small();
        model.config["hidden_act"] = json!(name);
        let error = FloatEncoder::load(model.write().path()).map(|_| ()).expect_err(name).to_string();
        assert!(error.contains("hidden_act") && error.contains(name), "{error}");
    }
}
