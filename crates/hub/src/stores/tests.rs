//! Stores of other programs, made up in a folder.

use super::*;
use std::fs;

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { dir: tempfile::tempdir().expect("a folder") };
        for folder in ["ollama/blobs", "ollama/manifests", "studio"] {
            fs::create_dir_all(machine.dir.path().join(folder)).expect("makes");
        }
        machine
    }

    fn stores(&self) -> Stores {
        Stores::at(self.dir.path().join("ollama"), self.dir.path().join("studio"))
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("makes");
        fs::write(&path, text).expect("writes");
        path
    }

    fn manifest(&self, name: &str, layers: &str) {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
            "config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:0","size":1}},
            "layers":[{layers}]}}"#
        );
        self.write(&format!("ollama/manifests/{name}"), &text);
    }

    /// A model of this text under a name; where its blob is.
    fn model(&self, name: &str, hash: char, text: &str) -> PathBuf {
        let hash = hash.to_string().repeat(64);
        let licence = layer("application/vnd.ollama.image.license", &"e".repeat(64), 3);
        self.manifest(name, &format!("{},{licence}", layer(ollama_model(), &hash, text.len())));
        self.write(&format!("ollama/blobs/sha256-{hash}"), text)
    }

    fn refusal(&self, name: &str) -> String {
        let why = self.stores().find(name).expect_err(name).to_string();
        assert!(!why.contains('\n'), "{why}");
        why
    }
}

fn ollama_model() -> &'static str {
    "application/vnd.ollama.image.model"
}

fn layer(kind: &str, hash: &str, size: usize) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"sha256:{hash}","size":{size}}}"#)
}

fn place(machine: &Machine, name: &str) -> (String, Place) {
    let found = machine.stores().find(name).expect(name).expect("a keeper's name");
    (found.name, found.place)
}

#[test]
fn a_model_of_ollamas_is_its_blob_whatever_of_the_name_goes_without_saying() {
    let machine = Machine::new();
    let small = machine.model("registry.ollama.ai/library/llama3.2/1b", 'a', "GGUF small");
    let latest = machine.model("registry.ollama.ai/library/llama3.2/latest", 'b', "GGUF latest");
    let mine = machine.model("registry.ollama.ai/me/tuned/v2", 'c', "GGUF");
    let hub = machine.model("hf.co/bartowski/Llama-3.2-1B-GGUF/Q4_K_M", 'd', "GGUF");
    for (typed, name, blob) in [
        ("ollama:llama3.2:1b", "ollama:llama3.2:1b", &small),
        ("ollama:llama3.2", "ollama:llama3.2:latest", &latest),
        ("ollama:library/llama3.2:1b", "ollama:llama3.2:1b", &small),
        ("ollama:registry.ollama.ai/library/llama3.2:1b", "ollama:llama3.2:1b", &small),
        ("ollama:me/tuned:v2", "ollama:me/tuned:v2", &mine),
        ("ollama:hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M", "ollama:hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M", &hub),
    ] {
        assert_eq!(place(&machine, typed), (name.into(), Place::Gguf(blob.clone())), "{typed}");
    }
    assert_eq!(machine.stores().find("llama3.2:1b").expect("no keeper"), None);
    let names: Vec<String> = machine.stores().kept().into_iter().map(|stored| stored.name).collect();
    let all = ["hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M", "llama3.2:1b", "llama3.2:latest", "me/tuned:v2"];
    assert_eq!(names, all.map(|name| format!("ollama:{name}")));
}

#[test]
fn what_is_broken_in_ollamas_store_is_one_sentence_and_listed_all_the_same() {
    let machine = Machine::new();
    let of = |name: &str| format!("registry.ollama.ai/library/{name}/latest");
    fs::remove_file(machine.model(&of("gone"), 'a', "GGUF")).expect("removed");
    fs::write(machine.model(&of("half"), 'b', "GGUF whole"), "GGUF").expect("written");
    machine.write(&format!("ollama/manifests/{}", of("text")), "not json");
    machine.manifest(&of("none"), &layer("application/vnd.ollama.image.license", &"e".repeat(64), 3));
    machine.manifest(
        &of("outside"),
        r#"{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:../../x","size":1}"#,
    );
    machine.manifest(&of("lora"), &layer("application/vnd.ollama.image.adapter", &"e".repeat(64), 3));
    machine.manifest(&of("mlx"), &layer("application/vnd.ollama.image.tensor", &"e".repeat(64), 3));
    for (name, why) in [
        ("gone", "its blob sha256-aaaaaaaaaaaa is not there; `ollama pull gone:latest` fetches it again"),
        ("half", "its blob has 4 B of 10 B"),
        ("text", "its manifest is none (expected"),
        ("none", "its manifest names no model"),
        ("outside", "names a blob 'sha256:../../x', and sha256: with 64 digits belongs there"),
        ("lora", "a model with an adapter"),
        ("mlx", "single tensors"),
    ] {
        let told = machine.refusal(&format!("ollama:{name}"));
        assert!(told.contains(why) && told.starts_with(&format!("ollama:{name}:latest: ")), "{told}");
    }
    let kept = machine.stores().kept();
    assert!(kept.len() == 7 && kept.iter().all(|stored| stored.place.is_err()), "{kept:?}");
}

#[test]
fn a_name_that_is_not_kept_is_told_with_those_that_are() {
    let machine = Machine::new();
    machine.model("registry.ollama.ai/library/qwen3/0.6b", 'a', "GGUF");
    let told = machine.refusal("ollama:qwen3:0.6");
    assert!(told.contains("ollama:qwen3:0.6b") && told.contains("Ollama keeps no model 'ollama:qwen3:0.6'"), "{told}");
    for typed in ["ollama:../../etc/passwd", "ollama:", "ollama:a/b/c/d", "ollama:x:..", "lmstudio:../x", "lmstudio:a"]
    {
        assert!(machine.refusal(typed).contains("keeps no model"), "{typed}");
    }
    let none = Stores::default().find("ollama:x").expect_err("no store").to_string();
    assert!(none.contains("no store of Ollama's is here") && none.contains("OLLAMA_MODELS"), "{none}");
}

#[test]
fn a_file_of_lm_studios_is_named_by_publisher_repository_and_file() {
    let machine = Machine::new();
    let q4 = machine.write("studio/lmstudio-community/Tiny-GGUF/Tiny-Q4_K_M.gguf", "GGUF");
    machine.write("studio/lmstudio-community/Tiny-GGUF/mmproj-Tiny-F16.gguf", "GGUF");
    machine.write("studio/lmstudio-community/Tiny-GGUF/README.md", "x");
    let first = machine.write("studio/big/Split/Split-00001-of-00002.gguf", "GGUF");
    machine.write("studio/big/Split/Split-00002-of-00002.gguf", "GGUFGGUF");
    machine.write("studio/mlx/Folder/config.json", "{}");
    machine.write("studio/mlx/Folder/model.safetensors", "weights");
    machine.write("studio/.internal/x/y.gguf", "GGUF");
    let kept = machine.stores().kept();
    let listed: Vec<(&str, u64)> = kept.iter().map(|stored| (stored.name.as_str(), stored.bytes.0)).collect();
    assert_eq!(
        listed,
        [
            ("lmstudio:big/Split/Split-00001-of-00002.gguf", 12),
            ("lmstudio:lmstudio-community/Tiny-GGUF/Tiny-Q4_K_M.gguf", 4),
            ("lmstudio:mlx/Folder", 9),
        ]
    );
    for stored in kept {
        let found = place(&machine, &stored.name);
        assert_eq!(found, (stored.name, stored.place.expect("whole")));
    }
    assert_eq!(place(&machine, "lmstudio:big/Split").1, Place::Gguf(first));
    let one = "lmstudio:lmstudio-community/Tiny-GGUF/Tiny-Q4_K_M.gguf";
    assert_eq!(place(&machine, one), (one.into(), Place::Gguf(q4)));
}

#[test]
fn folders_are_where_the_programs_put_them_and_only_those_that_are_there() {
    let machine = Machine::new();
    let home = machine.dir.path().to_path_buf();
    let studio = machine.write(".lmstudio/models/a/b/c.gguf", "GGUF");
    let at = |ollama: Option<&str>| {
        Stores::from(|name| match name {
            "HOME" => Some(home.clone().into()),
            "OLLAMA_MODELS" => ollama.map(|folder| home.join(folder).into()),
            _ => None,
        })
    };
    assert_eq!(at(Some("ollama")).ollama, [home.join("ollama")]);
    assert_eq!(at(Some("absent")).ollama, Vec::<PathBuf>::new());
    assert_eq!(at(None).lm_studio, [home.join(".lmstudio/models")]);
    assert!(studio.starts_with(&at(None).lm_studio[0]));
}
