//! What other systems than Linux tell: fills in, through sysinfo, what no kernel file did.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System as Info};

use super::Card;
use bantam_core::unit::Bytes;

/// Fills in the unknown facts that sysinfo and the standard library know.
pub(super) fn fill(card: &mut Card) {
    let kinds = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::everything());
    if let Ok(info) = Info::new_with_specifics(kinds) {
        let cpus = info.cpus();
        or(&mut card.cpu.model, || {
            cpus.first().map(|cpu| cpu.brand().trim().to_string()).filter(|name| !name.is_empty())
        });
        or(&mut card.cpu.logical, || Some(cpus.len()).filter(|&n| n > 0));
        let memory = &mut card.memory;
        or(&mut memory.total, || Some(Bytes(info.total_memory())).filter(|&b| b > Bytes(0)));
        or(&mut memory.available, || Some(Bytes(info.available_memory())).filter(|&b| b > Bytes(0)));
        or(&mut memory.swap_total, || Some(Bytes(info.total_swap())));
        or(&mut memory.swap_used, || Some(Bytes(info.used_swap())));
    }
    or(&mut card.cpu.allowed, || std::thread::available_parallelism().ok().map(usize::from));
    or(&mut card.cpu.physical_cores, || Info::physical_core_count().ok());
    or(&mut card.cpu.features, detected);
    or(&mut card.system.os, || Info::long_os_version().ok());
    or(&mut card.system.kernel, || Info::kernel_version().ok());
    or(&mut card.load.average, || Info::load_average().ok().map(|load| [load.one, load.five, load.fifteen]));
}

fn or<T>(fact: &mut super::Fact<T>, other: impl FnOnce() -> Option<T>) {
    if fact.known().is_none()
        && let Some(value) = other()
    {
        *fact = super::Fact::Known(value);
    }
}

/// The instruction sets that the standard library can ask the processor for.
fn detected() -> Option<Vec<String>> {
    macro_rules! ask {
        ($macro:ident: $($name:tt as $kernel:literal),* $(,)?) => {
            [$((std::arch::$macro!($name), $kernel)),*]
        };
    }
    #[cfg(target_arch = "x86_64")]
    let answers = ask!(is_x86_feature_detected:
        "avx" as "avx", "avx2" as "avx2", "fma" as "fma", "f16c" as "f16c", "avxvnni" as "avx_vnni",
        "avx512f" as "avx512f", "avx512bw" as "avx512bw", "avx512vnni" as "avx512_vnni", "avx512bf16" as "avx512_bf16",
        "avx512fp16" as "avx512_fp16");
    #[cfg(target_arch = "aarch64")]
    let answers = ask!(is_aarch64_feature_detected:
        "neon" as "asimd", "dotprod" as "asimddp", "i8mm" as "i8mm", "fp16" as "fphp", "sve" as "sve", "sve2" as "sve2",
        "bf16" as "bf16");
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Some(answers.iter().filter(|(has, _)| *has).map(|(_, name)| name.to_string()).collect());
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    None
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    #[test]
    fn a_card_without_kernel_files_is_filled_in() {
        let mut card = Card::read(&Tree::new(&[]).roots(), None);
        assert!(card.memory.total.known().is_none() && card.cpu.features.known().is_none());
        fill(&mut card);
        assert!(card.memory.total.known().is_some_and(|total| total.0 > 64 << 20));
        assert!(card.cpu.allowed.known().is_some_and(|&n| n > 0));
        assert_eq!(card.cpu.features.known().is_some(), cfg!(any(target_arch = "x86_64", target_arch = "aarch64")));
        assert!(card.clocking.governors.known().is_none(), "what nobody tells stays unknown");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn agrees_with_the_kernel_files() {
        let here = Card::read(&super::super::Roots::default(), None);
        let Some(kernel) = here.cpu.features.known() else { return };
        for feature in detected().unwrap_or_default() {
            assert!(kernel.contains(&feature), "{feature} is not in {kernel:?}");
        }
    }
}
