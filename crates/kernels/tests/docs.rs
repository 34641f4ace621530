//! What docs/quantized.md says of ggml's types is what the tables say.

use bantam_kernels::block;
use bantam_kernels::ggml::Type;

fn doc() -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/quantized.md");
    std::fs::read_to_string(file).expect("docs/quantized.md")
}

#[test]
fn the_types_that_are_read_and_written_stand_in_the_docs() {
    let row = |block: &'static dyn block::BlockType| {
        let ty = block.ggml_type();
        let turns = if block.takes_turns() { "yes" } else { "" };
        format!("| {ty} | {} | {} | {turns} |\n", ty.block(), ty.bits_per_weight())
    };
    let table: String = block::types().map(row).collect();
    let wanted = format!(
        "| type | weights in a block | bits a weight | errors passed on within a block |\n|---|---|---|---|\n{table}\n"
    );
    assert!(doc().contains(&wanted), "docs/quantized.md should have\n\n{wanted}");
}

#[test]
fn the_types_that_are_refused_stand_in_the_docs() {
    let names: Vec<&str> = Type::all().filter(|ty| block::of(*ty).is_none()).map(Type::name).collect();
    let wanted = format!("Refused by name: {}.", names.join(", "));
    assert!(doc().replace('\n', " ").contains(&wanted), "docs/quantized.md should have\n\n{wanted}");
}
