//! Replays the corpus: what was captured, and what a search found worth keeping.

use std::{fs, path::Path};

use fuzz::TARGETS;

#[test]
fn every_target_holds_on_its_corpus() {
    for (name, target) in TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut replayed = 0;
        for file in files {
            let file = file.unwrap().path();
            let octets = fs::read(&file).unwrap();
            // Shown with the finding, else not at all.
            println!("{}", file.display());
            target(&octets);
            replayed += 1;
        }
        assert!(replayed > 0, "{}: no inputs; run cargo run -p fuzz --example seed", dir.display());
    }
}

#[test]
fn every_directory_and_every_binary_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in ["corpus", "fuzz_targets"] {
        let entries = fs::read_dir(root.join(dir)).unwrap();
        let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
        let mut names = TARGETS.map(|(name, _)| name);
        found.sort();
        names.sort_unstable();
        assert_eq!(found, names, "{dir}");
    }
}

#[test]
fn short_inputs_of_every_kind() {
    for (_, target) in TARGETS {
        target(&[]);
        for octet in 0..=u8::MAX {
            (1..8).for_each(|len| target(&vec![octet; len]));
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let mut octets = 0;
    for (name, _) in TARGETS {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)).unwrap() {
            octets += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(octets < 1_500_000, "{octets} octets; run cargo fuzz cmin TARGET");
}
