//! An adapter_config.json of these bytes, and the same bytes as a quantization_config: read with all their options, or
//! refused; what is read answers for a module of any name.
#![no_main]

use bantam_model::adapter::Lora;
use bantam_model::checkpoint::packed::Quantization;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(quantization) = Quantization::from_separate(bytes, "quantize_config.json") {
        assert!(!quantization.to_string().is_empty());
    }
    let Ok(lora) = Lora::from_json(bytes, "adapter_config.json") else { return };
    for module in ["model.layers.11.self_attn.q_proj", "lm_head", "layers.0.mlp.experts.3.w1", ""] {
        let _ = lora.targets.names(module, module == "lm_head");
        assert!(lora.rank_of(module) > 0);
        let _ = lora.scale_of(module);
    }
});
