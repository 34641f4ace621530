//! What the targets share: a file with the bytes of one try, in memory and gone afterwards.

use std::path::{Path, PathBuf};

/// A folder of this process with one file in it.
pub struct Scratch {
    file: PathBuf,
}

impl Scratch {
    /// Writes the file; each process has a place of its own, in memory where there is `/dev/shm`.
    pub fn file(name: &str, bytes: &[u8]) -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = base.join(format!("bantam-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a scratch folder can be made");
        let file = folder.join(name);
        std::fs::write(&file, bytes).expect("a scratch file can be written");
        Self { file }
    }

    /// Makes the file so long, with zeros that take no memory.
    pub fn extend(&self, len: u64) {
        let file = std::fs::File::options().write(true).open(&self.file).expect("the scratch file is there");
        file.set_len(len).expect("a scratch file can be made longer");
    }

    pub fn path(&self) -> &Path {
        &self.file
    }

    pub fn folder(&self) -> &Path {
        self.file.parent().expect("the file is in a folder")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.folder());
    }
}
