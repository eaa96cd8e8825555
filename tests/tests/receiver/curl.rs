//! curl, as a client of the admin endpoint.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::site::Site;

/// Status and body of the answer to a request on the site's Unix socket.
pub(crate) fn curl(site: &Site, words: &[&str], path: &str) -> anyhow::Result<(u16, String)> {
    let mut command = Command::new("curl");
    command.arg("--unix-socket").arg(site.admin_socket()).args(words).arg(format!("http://localhost{path}"));
    run(command)
}

/// The same over TCP.
pub(crate) fn curl_tcp(address: &str, words: &[&str], path: &str) -> anyhow::Result<(u16, String)> {
    let mut command = Command::new("curl");
    command.args(words).arg(format!("http://{address}{path}"));
    run(command)
}

/// An answer that is 200 and JSON.
pub(crate) fn get(site: &Site, path: &str) -> anyhow::Result<Value> {
    let (status, body) = curl(site, &[], path)?;
    ensure!(status == 200, "{path}: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}

fn run(mut command: Command) -> anyhow::Result<(u16, String)> {
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--write-out", "\n%{http_code}"]);
    let output = command.output().context("cannot start curl: apt-get install curl")?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = said.rsplit_once('\n').context("no status")?;
    Ok((status.parse()?, body.to_owned()))
}
