//! What can be known of a repository before any of it is pulled: its listing, its config and the headers of its
//! weights. Some kilobytes are read; what they mean for a host is computed elsewhere.

use super::error::Error;
use super::gguf::{self, Choice};
use super::header::{self, Header};
use super::http::ByteRange;
use super::listing::{Listing, sum};
use super::name::Name;
use super::select::{Want, select};
use super::{Fault, Hub};
use bantam_core::sync;
use bantam_core::unit::Bytes;
use bantam_format::Need;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The first request for a head: most are shorter.
const FIRST: u64 = 128 << 10;
const MOST_CONFIG: u64 = 16 << 20;
/// Shards whose heads are read at once.
const AT_ONCE: usize = 8;
/// No head of a file is longer: the largest vocabularies take a tenth of it.
const MOST_HEAD: u64 = 256 << 20;

/// What is known of a model before any of it is pulled.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Its commit, files and page.
    pub listing: Listing,
    /// The contents of config.json, where there is one.
    pub config: Option<Vec<u8>>,
    /// The headers of the weights that a pull would bring, or in one sentence why there are none.
    pub header: Result<Header, String>,
    /// The number of parameters, counted from shapes.
    pub parameters: Result<u64, String>,
    /// Bytes of the weight files that the headers are of.
    pub weights: Bytes,
    /// Bytes of all that a pull would bring, or in one sentence why nothing can be pulled.
    pub pull: Result<Bytes, String>,
    /// The GGUF models to choose from, with their sizes.
    pub ggufs: Vec<(Choice, Bytes)>,
}

impl Hub {
    /// Reads what a repository says of itself and the heads of its weights.
    ///
    /// # Errors
    /// Where the repository cannot be listed. Weights that cannot be read are told in the answer.
    pub fn model_info(&self, name: &Name) -> Result<ModelInfo, Error> {
        self.http.guarded(|| self.model_info_of(name))
    }

    /// Reads a repository's card, its README.md.
    ///
    /// # Errors
    /// Where the repository cannot be listed, or has no card.
    pub fn readme(&self, name: &Name) -> Result<String, Error> {
        self.http.guarded(|| {
            let listing = self.listing(name)?;
            let bytes = self.small(name, &listing, "README.md")?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    pub(super) fn model_info_of(&self, name: &Name) -> Result<ModelInfo, Error> {
        let listing = self.listing(name)?;
        let names: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
        let size = |files: &[String]| Bytes(sum(files.iter().filter_map(|file| listing.file(file)?.size)));
        let ggufs: Vec<(Choice, Bytes)> = gguf::choices(names.iter().copied())
            .into_iter()
            .map(|choice| (choice.clone(), size(&choice.files)))
            .collect();
        let config = match listing.file("config.json").map(|_| self.small(name, &listing, "config.json")) {
            Some(Err(Error::Cancelled)) => return Err(Error::Cancelled),
            // a gated one still has its page to show; why it cannot be read is told of its weights
            config => config.and_then(Result::ok),
        };
        let selected = select(name, &listing, &Want::default());
        let pull = match &selected {
            Ok(files) => Ok(Bytes(sum(files.iter().filter_map(|file| file.size)))),
            Err(error) => Err(error.to_string()),
        };
        let files = self.weight_files(&selected, &ggufs);
        let header = match self.headers(name, &listing, &files) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => Err(error.to_string()),
            Ok(_) if files.is_empty() => {
                Err(pull.as_ref().err().cloned().unwrap_or_else(|| "it has no weights".into()))
            }
            Ok(header) => Ok(header),
        };
        let bits = config.as_deref().and_then(bits);
        let parameters = header.as_ref().map(|header| header.parameters(bits)).map_err(Clone::clone);
        Ok(ModelInfo { parameters, header, weights: size(&files), pull, ggufs, config, listing })
    }

    /// The weights of a pull; where one GGUF of several has still to be chosen, the smallest speaks for all: they have
    /// the same shapes.
    fn weight_files(&self, selected: &Result<Vec<super::Remote>, Error>, ggufs: &[(Choice, Bytes)]) -> Vec<String> {
        match selected {
            Ok(files) => {
                let weights = files.iter().map(|file| file.path.clone());
                weights
                    .filter(|file| file.ends_with(".safetensors") || file.to_ascii_lowercase().ends_with(".gguf"))
                    .collect()
            }
            Err(Error::WhichGguf { .. }) => {
                ggufs.iter().min_by_key(|(_, size)| *size).map(|(choice, _)| choice.files.clone()).unwrap_or_default()
            }
            Err(_) => Vec::new(),
        }
    }

    fn headers(&self, name: &Name, listing: &Listing, files: &[String]) -> Result<Header, Error> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Header)>> = Mutex::new(Vec::new());
        let work = || -> Result<(), Error> {
            loop {
                let at = next.fetch_add(1, Ordering::SeqCst);
                let Some(file) = files.get(at) else { return Ok(()) };
                let header = self.header(name, listing, file)?;
                sync::lock(&done).push((at, header));
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(files.len())).map(|_| scope.spawn(work)).collect();
            let ends = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            ends.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        let mut done = sync::into_inner(done);
        done.sort_by_key(|(at, _)| *at);
        Ok(Header::join(done.into_iter().map(|(_, header)| header)))
    }

    /// The head of one file, by as many range requests as it takes: one, nearly always.
    fn header(&self, name: &Name, listing: &Listing, file: &str) -> Result<Header, Error> {
        let url = listing.url_of(&self.settings.endpoint, file);
        let parse = if file.ends_with(".safetensors") { header::safetensors } else { header::gguf };
        let mut bytes: Vec<u8> = Vec::new();
        let mut wanted = FIRST;
        loop {
            let (from, to) = (bytes.len() as u64, wanted - 1);
            let more = self.http.bytes(&url, ByteRange::Between(from, to), wanted - from);
            let more = more.map_err(|fault| self.explain(fault, name, Some(listing)))?;
            let at_end = (more.len() as u64) < wanted - from;
            bytes.extend(more);
            match parse(&bytes, file)? {
                Need::Have(header) => return Ok(header),
                Need::More(_) if at_end => {
                    return Err(Error::Header { file: file.into(), why: "it ends within its head".into() });
                }
                Need::More(needed) if needed <= wanted || needed > MOST_HEAD => {
                    let why = format!("its head claims to be {needed} bytes long, and {MOST_HEAD} are allowed");
                    return Err(Error::Header { file: file.into(), why });
                }
                // twice as much at least, so that a head in small pieces takes few requests
                Need::More(needed) => wanted = needed.max(2 * wanted),
            }
        }
    }

    fn small(&self, name: &Name, listing: &Listing, file: &str) -> Result<Vec<u8>, Error> {
        let url = listing.url_of(&self.settings.endpoint, file);
        self.http
            .bytes(&url, ByteRange::Whole, MOST_CONFIG)
            .map_err(|fault: Fault| self.explain(fault, name, Some(listing)))
    }
}

/// Bits a weight that config.json names: `quantization_config.bits`, or `num_bits` within its groups.
fn bits(config: &[u8]) -> Option<u64> {
    fn within(value: &serde_json::Value) -> Option<u64> {
        let table = value.as_object()?;
        let here = ["bits", "num_bits"].iter().find_map(|key| table.get(*key)?.as_u64());
        here.or_else(|| table.values().find_map(within))
    }
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    within(config.get("quantization_config").or_else(|| config.get("compression_config"))?)
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn the_bits_of_packed_weights_are_found_where_they_are_written() {
        assert_eq!(bits(br#"{"quantization_config": {"quant_method": "gptq", "bits": 4}}"#), Some(4));
        let grouped = br#"{"quantization_config": {"config_groups": {"group_0": {"weights": {"num_bits": 8}}}}}"#;
        assert_eq!(bits(grouped), Some(8));
        assert_eq!(bits(br#"{"bits": 4}"#), None);
        assert_eq!(bits(b"nonsense"), None);
    }
}
