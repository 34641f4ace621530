//! What a process sets for itself: one that trains before anything else, which changes its speed (by half) and no result; one
//! that answers once its model is loaded, which changes its memory.

/// Keeps candle's elementwise operations on the thread that calls them, and freed memory in the process. Does nothing
/// where the process has more than one thread already, since it writes the environment.
///
/// Shards are the parallelism of training. candle would also split each large addition over a pool of its own, whose
/// threads spin while they wait and so take the cores from the other shards; it asks `RAYON_NUM_THREADS` once. And
/// activations of megabytes come and go in every step: left alone, glibc hands each back to the system, and every step
/// pays for fresh zeroed pages.
pub fn settle_for_training() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
    if threads != 1 {
        return;
    }
    // SAFETY: no other thread runs that could read the environment meanwhile.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    #[cfg(target_env = "gnu")]
    // SAFETY: these only set limits of the allocator. 32 MB is the most that it takes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Hands back the pages of this program's own code and constants: what a model was loaded with lies in memory from then on,
/// and is not run again. Whatever is needed again comes from the file cache. Does nothing where the system does not tell
/// which pages those are.
///
/// Only mappings of the program's file that nobody may write and of which no page was changed are touched: what the
/// loader has relocated exists nowhere else.
pub fn release_code() {
    #[cfg(target_os = "linux")]
    for mapping in untouched_code().unwrap_or_default() {
        // SAFETY: a private mapping of a file, neither writable nor changed: its pages are read again from the file.
        unsafe { libc::madvise(mapping.start as *mut libc::c_void, mapping.len(), libc::MADV_DONTNEED) };
    }
}

/// The program's own mappings of which every page is as it is in the file.
#[cfg(target_os = "linux")]
fn untouched_code() -> Option<Vec<std::ops::Range<usize>>> {
    let program = std::fs::read_link("/proc/self/exe").ok()?;
    let text = std::fs::read_to_string("/proc/self/smaps").ok()?;
    Some(unchanged(&text, program.to_str()?))
}

/// Reads the kernel's list: a line for each mapping, and below it what is in it.
#[cfg(target_os = "linux")]
fn unchanged(smaps: &str, program: &str) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut current) = (Vec::new(), None);
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            let (range, access, path) = mapping;
            current = (path == program && access.starts_with("r") && access.as_bytes().get(1) == Some(&b'-'))
                .then_some(range);
        } else if let Some(changed) = line.strip_prefix("Anonymous:")
            && let Some(range) = current.take()
            && changed.trim() == "0 kB"
        {
            found.push(range);
        }
    }
    found
}

/// "55e0a000-55e0b000 r-xp 00001000 08:01 1234    /usr/bin/x"
#[cfg(target_os = "linux")]
fn mapping(line: &str) -> Option<(std::ops::Range<usize>, &str, &str)> {
    // range, access, offset, device and inode stand before the path, which may have spaces
    let (mut fields, mut rest) = ([""; 5], line);
    for field in &mut fields {
        rest = rest.trim_start();
        let end = rest.find(' ').unwrap_or(rest.len());
        (*field, rest) = rest.split_at(end);
    }
    let (start, end) = fields[0].split_once('-')?;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let range = number(start)?..number(end)?;
    (fields[1].len() == 4).then_some((range, fields[1], rest.trim_start()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_are_as_in_the_file_are_given_back() {
        let smaps = "1000-3000 r--p 00000000 08:01 7    /opt/my bin/bantam\nRss: 8 kB\nAnonymous:             0 kB\n\
            3000-9000 r-xp 00002000 08:01 7    /opt/my bin/bantam\nAnonymous:             0 kB\n\
            9000-a000 r--p 00008000 08:01 7    /opt/my bin/bantam\nAnonymous:             4 kB\n\
            a000-b000 rw-p 00009000 08:01 7    /opt/my bin/bantam\nAnonymous:             0 kB\n\
            f000-ff00 r-xp 00000000 08:01 9    /lib/libc.so\nAnonymous:             0 kB\n";
        assert_eq!(unchanged(smaps, "/opt/my bin/bantam"), [0x1000..0x3000, 0x3000..0x9000]);
    }

    #[test]
    fn the_program_goes_on_after_its_code_was_given_back() {
        let found = untouched_code().expect("Linux tells");
        assert!(!found.is_empty());
        release_code();
        assert_eq!(untouched_code().expect("Linux tells"), found);
    }
}
