//! Names as addresses: what people copy out of a browser, `https://huggingface.co/ORG/NAME/tree/main`, and the short ones of
//! other programs, `hf.co/ORG/NAME:Q4_K_M`.

use super::Error;
use super::name::{MAIN, Name, RepoKind, escapes, is_revision, usable};

/// The hub's hosts. That of HF_ENDPOINT is one, too.
const HOSTS: [&str; 3] = ["huggingface.co", "www.huggingface.co", "hf.co"];
/// Between a repository and a revision of it.
const PAGES: [&str; 6] = ["tree", "blob", "resolve", "raw", "commit", "commits"];

/// The part of an address behind the hub's host; None where the text is no address of a hub.
pub(super) fn path_of(text: &str) -> Option<&str> {
    let own = std::env::var("HF_ENDPOINT").unwrap_or_default();
    path_at(text, &[&HOSTS[..], &[host(&own)]].concat())
}

fn path_at<'a>(text: &'a str, hosts: &[&str]) -> Option<&'a str> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("hf://") {
        return Some(path);
    }
    let (at, path) = without_scheme(text).split_once('/')?;
    hosts.iter().any(|host| !host.is_empty() && host.eq_ignore_ascii_case(at)).then_some(path)
}

fn without_scheme(text: &str) -> &str {
    let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    ["https://", "http://"].into_iter().find(|s| scheme(s)).map_or(text, |s| &text[s.len()..])
}

/// Without the user before an @ and the path behind.
fn host(endpoint: &str) -> &str {
    let authority = without_scheme(endpoint).split('/').next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Reads ORG/NAME, NAME, and either with /tree/REVISION or /blob/REVISION/FILE behind; a GGUF file is the one that is meant.
///
/// # Errors
/// Where `wrong` words what is not right.
pub(super) fn name(kind: RepoKind, path: &str, wrong: &dyn Fn(&str) -> Error) -> Result<Name, Error> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (parts.first().copied(), kind) {
        (Some("datasets"), RepoKind::Dataset) | (Some("models"), RepoKind::Model) => drop(parts.remove(0)),
        (Some("datasets"), _) => return Err(wrong("it is the address of a dataset, and a model is asked for")),
        (Some("spaces"), _) => return Err(wrong("it is the address of a space, and a model is asked for")),
        _ => {}
    }
    let page = parts.iter().skip(1).position(|part| PAGES.contains(part)).map(|at| at + 1);
    let id = parts[..page.unwrap_or(parts.len()).min(2)].join("/");
    let mut name = Name::typed(kind, &id, wrong)?;
    let Some(behind) = page.and_then(|at| parts.get(at + 1..)) else { return Ok(name) };
    // refs/pr/7, written with slashes
    let parts_of_revision = if behind.first() == Some(&"refs") { 3 } else { 1 };
    let (revision, file) = behind.split_at(parts_of_revision.min(behind.len()));
    let revision = decoded(&revision.join("/"));
    let file = decoded(&file.join("/"));
    if !revision.is_empty() && !is_revision(&revision) {
        return Err(wrong("a revision is a branch, a tag or a commit hash"));
    }
    name.revision = if revision.is_empty() { MAIN.into() } else { revision };
    if file.to_ascii_lowercase().ends_with(".gguf") && !escapes(&file) && usable(&file).is_ok() {
        name.quant = Some(file);
    }
    Ok(name)
}

/// Percent-encoding undone; what is no text then stays as it was.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = digits.filter(|_| byte == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_pages_and_files_name_their_repository() {
        for (address, name) in [
            ("https://huggingface.co/org/small", "org/small"),
            ("https://huggingface.co/org/small/", "org/small"),
            ("HTTPS://HuggingFace.co/org/small?library=transformers#usage", "org/small"),
            ("huggingface.co/org/small/tree/main", "org/small"),
            ("https://huggingface.co/org/small/tree/v1.0/sub/folder", "org/small@v1.0"),
            ("https://huggingface.co/org/small/tree/refs%2Fpr%2F7", "org/small@refs/pr/7"),
            ("https://huggingface.co/org/small/tree/refs/pr/7", "org/small@refs/pr/7"),
            ("https://huggingface.co/org/small/blob/main/config.json", "org/small"),
            ("https://huggingface.co/org/small/blob/main/m-Q4_K_M.gguf", "org/small:m-Q4_K_M.gguf"),
            ("https://huggingface.co/org/small/resolve/main/BF16/m%20x.gguf?download=true", "org/small:BF16/m x.gguf"),
            ("hf.co/org/small:Q4_K_M", "org/small:Q4_K_M"),
            ("https://hf.co/gpt2/tree/main", "gpt2"),
            ("hf://org/small@v1.0", "org/small@v1.0"),
        ] {
            assert_eq!(Name::parse(address).expect(address).to_string(), name, "{address}");
        }
        let path = path_at("http://127.0.0.1:9/org/small", &[host("http://me:pw@127.0.0.1:9/")]);
        assert_eq!(path, Some("org/small"));
    }

    #[test]
    fn other_addresses_are_no_models() {
        for (address, why) in [
            ("https://huggingface.co/datasets/org/data", "address of a dataset"),
            ("https://huggingface.co/spaces/org/demo", "address of a space"),
            ("https://huggingface.co/", "ORG and NAME"),
            ("https://example.com/org/small", "no address of a model on the hub"),
            ("https://huggingface.co/org/small/tree/..%2F..%2Fx", "a revision is"),
        ] {
            let message = Name::parse(address).expect_err(address).to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
