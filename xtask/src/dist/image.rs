//! An image for container engines, made without one: an OCI image layout in a tar archive (OCI image specification 1.1,
//! image-layout.md, manifest.md, config.md).
//!
//! One layer, from scratch: the programs, whose work is in them, and a directory for sockets. No shell, no libraries, no users.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::archive;
use super::files::{File, IMAGE_USER, PACKAGE, gzip};
use super::stamp::Stamp;

/// The archive, as `podman load -i` and `skopeo copy oci-archive:` read it.
pub(crate) fn archive(files: &BTreeMap<String, File>, version: &str, stamp: Stamp) -> io::Result<Vec<u8>> {
    let plain = archive::tar(files, "", stamp)?;
    let user = format!("{IMAGE_USER}:{IMAGE_USER}");
    let config = json!({
        "created": stamp.instant(),
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": user,
            // The host sees it there; the image has no other directory that its user may write to.
            "Env": ["OS_ZMQ_RECEIVER__ADMIN_SOCKET=/var/run/openstack/admin.sock"],
            "ExposedPorts": { "9501/tcp": {} },
            "Entrypoint": [format!("/usr/bin/{PACKAGE}")],
            "Volumes": { "/var/run/openstack": {} },
            "StopSignal": "SIGTERM",
            "Labels": labels(version),
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&plain)] },
        "history": [{ "created": stamp.instant(), "created_by": "cargo xtask dist" }],
    });
    let mut blobs = Blobs::default();
    let layer = blobs.add("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&plain));
    let config = blobs.add("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blobs.add(MANIFEST, manifest.to_string().into_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": format!("{PACKAGE}:{version}") });
    manifest["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    blobs.put("index.json", index.to_string().into_bytes());
    blobs.put("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string().into_bytes());
    archive::tar(&blobs.0, "", stamp)
}

fn labels(version: &str) -> Value {
    json!({
        "org.opencontainers.image.title": PACKAGE,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
    })
}

/// The files of the layout.
#[derive(Default)]
struct Blobs(BTreeMap<String, File>);

impl Blobs {
    fn put(&mut self, path: &str, octets: Vec<u8>) {
        self.0.insert(path.to_owned(), File { content: Some(octets), mode: 0o644, owner: 0, in_image: false });
    }

    /// Adds a blob. Its descriptor.
    fn add(&mut self, media_type: &str, octets: Vec<u8>) -> Value {
        let (digest, size) = (digest(&octets), octets.len());
        self.put(&format!("blobs/{}", digest.replace(':', "/")), octets);
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }
}

fn digest(octets: &[u8]) -> String {
    format!("sha256:{}", hex(octets))
}

/// The SHA-256 of `octets`, as `sha256sum` prints it.
pub(crate) fn hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
