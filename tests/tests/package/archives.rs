//! Package, tarball and image: made from one list, and the same each time.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::program::Program;
use tests::{dist, loopback};

use crate::run;

#[test]
fn package_tarball_and_image_hold_the_same_files() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let [deb, tarball, image] = ["deb", "tarball", "image"].map(|name| work.path().join(name));
    run(Command::new("dpkg-deb").arg("--extract").arg(dist::file(".deb")?).arg(&deb), "dpkg")?;
    extract(&dist::file(".tar.gz")?, &tarball, &["--strip-components=1"])?;
    extract(&layer(&dist::file("-oci.tar")?, work.path())?, &image, &[])?;

    let installed = listing(&deb)?;
    ensure!(installed.contains_key("usr/bin/oslo-messaging-zmq-receiver") && installed.len() > 40, "{installed:?}");
    let differences = differences(&installed, &listing(&tarball)?);
    ensure!(differences.is_empty(), "{differences:#?}");
    let in_image = listing(&image)?;
    for (path, entry) in in_image.iter().filter(|(path, _)| !path.starts_with("var")) {
        ensure!(installed.get(path) == Some(entry), "{path}");
    }
    for program in ["oslo-messaging-zmq-receiver", "matchmaker", "zrpc"] {
        let path = format!("usr/bin/{program}");
        ensure!(in_image.contains_key(&path), "the image lacks {path}");
        ensure!(fs::read(deb.join(&path))? == fs::read(dist::directory()?.join(program))?, "{path}");
    }
    ensure!(in_image["var/run/openstack"].starts_with("d2775"), "{}", in_image["var/run/openstack"]);
    ensure!(!in_image.keys().any(|path| path.starts_with("etc") || path.starts_with("lib")), "{in_image:?}");
    Ok(())
}

#[test]
fn packed_again_the_octets_are_the_same() -> anyhow::Result<()> {
    let sums = dist::directory()?.join("SHA256SUMS");
    let first = fs::read_to_string(&sums)?;
    for suffix in [".deb", ".tar.gz", "-oci.tar", "sbom.cdx.json", "  zrpc"] {
        ensure!(first.lines().any(|line| line.ends_with(suffix)), "no {suffix} in:\n{first}");
    }
    dist::make()?;
    let again = fs::read_to_string(&sums)?;
    ensure!(first == again, "packed twice:\n{first}\n{again}");
    run(
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist::directory()?),
        "coreutils",
    )?;
    Ok(())
}

#[test]
fn the_image_is_one_to_other_programs_and_needs_nothing_else() -> anyhow::Result<()> {
    let archive = dist::file("-oci.tar")?;
    let inspected =
        run(Command::new("skopeo").arg("inspect").arg(format!("oci-archive:{}", archive.display())), "skopeo")?;
    let inspected: Value = serde_json::from_str(&inspected)?;
    ensure!(inspected["Architecture"] == "amd64" && inspected["Os"] == "linux", "{inspected}");
    // Copying checks every digest and size on the way.
    let work = tempfile::tempdir()?;
    let mut copy = Command::new("skopeo");
    copy.args(["--insecure-policy", "copy", "--quiet"]).arg(format!("oci-archive:{}", archive.display()));
    copy.arg(format!("dir:{}", work.path().join("copy").display()));
    run(&mut copy, "skopeo")?;

    let root = work.path().join("root");
    extract(&layer(&archive, work.path())?, &root, &[])?;
    let alone = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "chroot"]).arg(&root).arg(format!("/usr/bin/{program}"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(ENVIRONMENT);
        command
    };
    for program in ["oslo-messaging-zmq-receiver", "matchmaker", "zrpc"] {
        let version = run(alone(program).arg("--version"), "util-linux")?;
        ensure!(version.starts_with(&format!("{program} ")), "{version}");
    }
    // It serves, and its health can be asked, with nothing else there.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, loopback::free_port()?));
    let mut serve = alone("oslo-messaging-zmq-receiver");
    serve.env("OS_DEFAULT__RPC_ZMQ_PORT", address.port().to_string()).env("OS_DEFAULT__RPC_ZMQ_HOST", "host1");
    let mut receiver = Program::start("receiver", &mut serve)?;
    receiver.wait_until_listening(address, Duration::from_secs(20))?;
    run(alone("oslo-messaging-zmq-receiver").args(["health", "--ready"]), "nothing")?;
    ensure!(root.join("var/run/openstack/zmq_topic_zmq_replies.host1").exists(), "{}", receiver.transcript());
    ensure!(receiver.stop(Duration::from_secs(20))?.success(), "{}", receiver.transcript());
    Ok(())
}

#[test]
fn the_bill_of_materials_names_each_crate_with_its_licence() -> anyhow::Result<()> {
    let bill: Value = serde_json::from_str(&fs::read_to_string(dist::directory()?.join("sbom.cdx.json"))?)?;
    ensure!(bill["bomFormat"] == "CycloneDX" && bill["specVersion"] == "1.5", "{bill}");
    let components = bill["components"].as_array().context("no components")?;
    let names: Vec<&str> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    for name in ["tokio", "bytes", "zmtp", "oslo-messaging-zmq-receiver", "redis"] {
        ensure!(names.contains(&name), "no {name} in {names:?}");
    }
    // What only tests and developers use is not shipped.
    for name in ["proptest", "cargo_metadata", "tempfile-fast", "cc"] {
        ensure!(!names.contains(&name), "{name}");
    }
    let references: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
    for component in components {
        let licence = component["licenses"][0]["expression"].as_str().unwrap_or_default();
        ensure!(!licence.is_empty() && licence != "NOASSERTION", "{component}");
    }
    for entry in bill["dependencies"].as_array().context("no dependencies")? {
        let on = entry["dependsOn"].as_array().context("dependsOn")?;
        ensure!(on.iter().all(|other| references.contains(&other)), "{entry}");
    }
    Ok(())
}

/// The image's one layer, after each blob was compared with its name.
fn layer(archive: &Path, work: &Path) -> anyhow::Result<std::path::PathBuf> {
    let layout = work.join("layout");
    if !layout.exists() {
        extract(archive, &layout, &[])?;
    }
    let json = |path: &Path| anyhow::Ok(serde_json::from_str::<Value>(&fs::read_to_string(path)?)?);
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().context("no digest")?;
        let path = layout.join("blobs").join(digest.replace(':', "/"));
        let octets = fs::read(&path)?;
        ensure!(digest == format!("sha256:{}", hex(&octets)) && descriptor["size"] == octets.len(), "{descriptor}");
        Ok(path)
    };
    let index = json(&layout.join("index.json"))?;
    let manifest = json(&blob(&index["manifests"][0])?)?;
    let config = json(&blob(&manifest["config"])?)?;
    ensure!(config["config"]["User"] == "64530:64530", "{config}");
    ensure!(config["config"]["Entrypoint"][0] == "/usr/bin/oslo-messaging-zmq-receiver", "{config}");
    let (name, value) = ENVIRONMENT[0];
    ensure!(config["config"]["Env"][0] == format!("{name}={value}"), "{config}");
    blob(&manifest["layers"][0])
}

/// Of the image.
const ENVIRONMENT: [(&str, &str); 1] = [("OS_ZMQ_RECEIVER__ADMIN_SOCKET", "/var/run/openstack/admin.sock")];

fn extract(archive: &Path, directory: &Path, options: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(directory);
    // Modes as they are in the archive, whoever runs the tests; owners need root.
    run(tar.args(["--same-permissions", "--no-same-owner"]).args(options), "tar")?;
    Ok(())
}

/// Every path below a directory: kind, mode, and what is in it.
fn listing(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut find = Command::new("find");
    find.arg(root).args(["-mindepth", "1", "-printf", "%P\\t%y%m\\n"]);
    let mut listing = BTreeMap::new();
    for line in run(&mut find, "findutils")?.lines() {
        let (path, kind) = line.split_once('\t').context("a path and a mode")?;
        let file = root.join(path);
        let content = if file.is_file() { hex(&fs::read(file)?) } else { String::new() };
        listing.insert(path.to_owned(), format!("{kind} {content}"));
    }
    Ok(listing)
}

fn differences(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let paths = one.keys().chain(other.keys());
    let differ = paths.filter(|path| one.get(*path) != other.get(*path));
    differ.map(|path| (path.clone(), format!("{:?}, {:?}", one.get(path), other.get(path)))).collect()
}

fn hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}
