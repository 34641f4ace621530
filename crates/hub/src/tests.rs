//! Names as people type them, on a made-up machine.

use super::*;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

struct Machine {
    dir: tempfile::TempDir,
    cache: Cache,
}

const COMMIT: &str = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2";

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("temp dir");
        let cache = Cache::at(dir.path().join("hub"));
        Machine { dir, cache }
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(file);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("makes");
        std::fs::write(&path, text).expect("writes");
        path
    }

    fn model(&self, folder: &str, weights: &str) -> PathBuf {
        self.write(&format!("{folder}/config.json"), "{}");
        self.write(&format!("{folder}/model.safetensors"), weights);
        self.dir.path().join(folder)
    }

    fn find(&self, name: &str) -> Result<Found, String> {
        let bundled = ["bantam-s".to_string(), "bantam-l".to_string()];
        find(name, &bundled, &self.cache).map_err(|e| e.to_string())
    }

    fn refusal(&self, name: &str) -> String {
        let message = self.find(name).expect_err(name);
        assert!(!message.contains('\n'), "{message}");
        message
    }
}

#[test]
fn bundled_models_folders_and_files_are_found() {
    let machine = Machine::new();
    let bundled = |name: &str| Found { name: name.into(), place: Place::Bundled(name.into()), commit: None };
    assert_eq!(machine.find("bundled:bantam-s"), Ok(bundled("bantam-s")));
    assert_eq!(machine.find("bantam-l"), Ok(bundled("bantam-l")));
    let folder = machine.model("mine", "w");
    let found = machine.find(&format!("{}/", folder.display())).expect("there");
    assert_eq!((found.name.as_str(), found.place), ("mine", Place::Folder(folder.join(""))));
    let file = machine.write("some/thing.Q4_K_M.gguf", "GGUF");
    let found = machine.find(&file.display().to_string()).expect("there");
    assert_eq!((found.name.as_str(), &found.place), ("thing.Q4_K_M", &Place::Gguf(file.clone())));
    let alone = file.parent().expect("some/").display().to_string();
    assert_eq!(machine.find(&alone).map(|f| f.place), Ok(Place::Gguf(file)));
}

#[test]
fn the_folder_of_a_split_gguf_is_that_model_and_one_of_several_is_none() {
    let machine = Machine::new();
    let parts = [1, 2, 3].map(|part| machine.write(&format!("split/m-0000{part}-of-00003.gguf"), "GGUF"));
    let folder = machine.dir.path().join("split").display().to_string();
    assert_eq!(machine.find(&folder).map(|found| found.place), Ok(Place::Gguf(parts[0].clone())));
    machine.write("split/other.gguf", "GGUF");
    assert!(machine.refusal(&folder).contains("it has several GGUF files; name one of them"));
    std::fs::remove_file(machine.dir.path().join("split/other.gguf")).expect("removes");
    std::fs::remove_file(&parts[1]).expect("removes");
    assert!(machine.refusal(&folder).contains("it has several GGUF files"));
}

#[test]
fn weights_that_are_no_safetensors_are_called_by_what_they_are() {
    for (file, what) in [
        ("pytorch_model.bin", "in pytorch_model.bin, a PyTorch pickle, which can run code where it is opened"),
        ("weights.npz", "in weights.npz, an MLX file of arrays"),
        ("tf_model.h5", "in tf_model.h5, of another framework"),
    ] {
        let machine = Machine::new();
        machine.write("m/config.json", "{}");
        machine.write(&format!("m/{file}"), "");
        let said = machine.refusal(&machine.dir.path().join("m").display().to_string());
        assert!(said.contains(what) && said.contains("save_pretrained"), "{said}");
    }
}

#[test]
fn an_index_does_not_count_beside_a_whole_file() {
    let machine = Machine::new();
    let folder = machine.model("m", "w");
    let index = machine.write("m/model.safetensors.index.json", r#"{"weight_map": {"a": "absent.safetensors"}}"#);
    assert!(machine.find(&folder.display().to_string()).is_ok());
    std::fs::rename(folder.join("model.safetensors"), folder.join("other.safetensors")).expect("renames");
    let said = machine.refusal(&folder.display().to_string());
    assert!(index.is_file() && said.contains("absent.safetensors is not there"), "{said}");
}

#[test]
fn a_downloaded_model_is_found_by_name_and_revision() {
    let machine = Machine::new();
    let folder = format!("hub/models--Org--Small-1.5/snapshots/{COMMIT}");
    let snapshot = machine.model(&folder, "w");
    machine.write("hub/models--Org--Small-1.5/refs/main", COMMIT);
    for name in ["Org/Small-1.5", "Org/Small-1.5@main", &format!("Org/Small-1.5@{COMMIT}")] {
        let found = machine.find(name).expect(name);
        let commit = Some(COMMIT.to_owned());
        assert_eq!(found, Found { name: name.into(), place: Place::Folder(snapshot.clone()), commit });
    }
    let message = machine.refusal("Org/Small-1.5@v2");
    assert!(message.contains("no revision v2") && message.contains("main") && message.contains(COMMIT), "{message}");
    machine.refusal("Org/Small-1.5@../../../mine");
    assert!(machine.refusal("Org/Other").contains("(Org/Small-1.5); give a path, or get it with `bantam pull"));
}

#[test]
fn what_is_no_model_is_said_in_one_sentence_with_what_there_is() {
    let machine = Machine::new();
    assert!(machine.refusal("bundled:bantam-xl").contains("there are bantam-s, bantam-l"));
    let nothing = machine.refusal("nothing");
    assert!(nothing.contains("bundled ones (bantam-s, bantam-l)"));
    assert!(nothing.contains("`bantam search nothing`") && !nothing.contains("bantam pull"), "{nothing}");
    assert!(!machine.refusal("no such thing").contains("bantam pull"));
    let text = machine.write("notes.txt", "hello");
    assert!(machine.refusal(&text.display().to_string()).contains("a model is a .gguf file or a folder"));
    let empty = machine.write("empty/readme.md", "hello");
    let empty = empty.parent().expect("empty/").display().to_string();
    assert!(machine.refusal(&empty).contains("no config.json"));
    let pickled = machine.write("pickled/config.json", "{}");
    let pickled = pickled.parent().expect("pickled/").display().to_string();
    assert!(machine.refusal(&pickled).contains("no .safetensors"));
    machine.write("many/a.gguf", "");
    let many = machine.write("many/b.gguf", "");
    let many = many.parent().expect("many/").display().to_string();
    assert!(machine.refusal(&many).contains("name one of them (a.gguf, b.gguf)"));
}

#[test]
fn the_digest_is_of_contents_not_of_names_and_places() {
    let machine = Machine::new();
    let of = |folder: &PathBuf| digest_of_folder(folder).expect("reads");
    let (a, b, c) = (machine.model("a", "w"), machine.model("b", "w"), machine.model("c", "x"));
    assert_eq!(of(&a), of(&b));
    assert_ne!(of(&a), of(&c));
    machine.write("b/README.md", "changes nothing");
    assert_eq!(of(&a), of(&b));
    machine.write("b/tokenizer.json", "{}");
    assert_ne!(of(&a), of(&b));
    machine.write("c/1_Pooling/config.json", "{}");
    let before = of(&c);
    machine.write("c/modules.json", "[]");
    let pooled = of(&c);
    machine.write("c/1_Pooling/config.json", "{\"pooling_mode\": \"cls\"}");
    assert!(before != pooled && pooled != of(&c), "how a text is pooled is part of the model");
}

#[test]
fn a_blob_of_the_cache_is_held_to_its_name() {
    let machine = Machine::new();
    let folder = machine.model("hub/models--a--b/snapshots/x", "w");
    let before = digest_of_folder(&folder).expect("reads");
    let hash: String = Sha256::digest(b"w").iter().map(|b| format!("{b:02x}")).collect();
    let blob = machine.write(&format!("hub/models--a--b/blobs/{hash}"), "w");
    std::fs::remove_file(folder.join("model.safetensors")).expect("removes");
    let target = format!("../../blobs/{hash}");
    std::os::unix::fs::symlink(target, folder.join("model.safetensors")).expect("links");
    assert_eq!(digest_of_folder(&folder).expect("reads"), before);
    // as long as it was, and another
    std::fs::write(&blob, "v").expect("writes");
    let rotten = digest_of_folder(&folder).expect_err("refused").to_string();
    assert!(rotten.contains("has rotted") && rotten.contains("`bantam pull a/b`"), "{rotten}");
}

#[test]
fn the_cache_is_where_huggingface_hub_puts_it() {
    let at = |variables: &[(&str, &str)]| {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Cache::from(find).folder().to_path_buf()
    };
    let home = ("HOME", "/h");
    assert_eq!(at(&[home]), Path::new("/h/.cache/huggingface/hub"));
    assert_eq!(at(&[home, ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
    assert_eq!(at(&[home, ("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")]), Path::new("/f/hub"));
    assert_eq!(at(&[home, ("HF_HOME", "~/hfx")]), Path::new("/h/hfx/hub"));
    assert_eq!(at(&[home, ("XDG_CACHE_HOME", "${HOME}/x")]), Path::new("/h/x/huggingface/hub"));
    assert_eq!(at(&[home, ("HF_HUB_CACHE", "$HOME/c")]), Path::new("/h/c"));
    assert_eq!(at(&[home, ("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")]), Path::new("/c"));
}
