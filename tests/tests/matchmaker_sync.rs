//! `matchmaker sync` and the subcommands that change something, run as their users run them, beside a real Redis and a
//! real Consul.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::binary;
use tests::consul::ConsulServer;
use tests::program::Program;
use tests::redis::RedisServer;

/// A directory with a ring, and the command.
struct Site {
    directory: TempDir,
    executable: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Site {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { directory: tempfile::tempdir()?, executable: binary::matchmaker()? })
    }

    fn ring(&self) -> PathBuf {
        self.directory.path().join("ring.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).current_dir(self.directory.path()).env_remove("MATCHMAKER");
        command
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Run> {
        let output = self.command(arguments).output()?;
        let text = |octets| String::from_utf8(octets);
        Ok(Run { code: output.status.code(), out: text(output.stdout)?, err: text(output.stderr)? })
    }

    /// What must succeed.
    fn done(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let run = self.run(arguments)?;
        ensure!(run.code == Some(0), "{arguments:?}: {run:?}");
        Ok(run.out)
    }

    fn sync(&self, from: &str, more: &[&str]) -> anyhow::Result<Run> {
        self.run(&[&["sync", "--from", from, "--to", "ring.json"], more].concat())
    }

    fn holds(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&fs::read_to_string(self.ring())?).context("the ring is no JSON")
    }
}

fn until(limit: Duration, what: &str, mut found: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    while !found()? {
        ensure!(Instant::now() < end, "after {limit:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn a_ring_follows_consul_and_refuses_what_it_should_not_believe() -> anyhow::Result<()> {
    let site = Site::new()?;
    let consul = ConsulServer::start()?;
    fs::write(site.ring(), "{'zmq_replies': ['by hand'],}".replace("by hand", "h9"))?;
    // Nothing yet: kept as it is.
    let refused = site.sync(&consul.url(), &[])?;
    ensure!(refused.code == Some(5) && refused.err.contains("refused"), "{refused:?}");
    ensure!(fs::read_to_string(site.ring())?.starts_with("{'zmq"));

    for node in ["sched1", "sched2", "sched3", "sched4"] {
        consul.register(node, "nova-scheduler", "passing", &["zmq"])?;
    }
    consul.register("cinder1.example.com", "cinder-volume", "passing", &["zmq"])?;
    consul.register("cinder2", "cinder-volume", "passing", &["zmq"])?;
    consul.register("web1", "web", "passing", &[])?;
    let from = format!("{}?tag=zmq&map=nova-scheduler=scheduler,cinder-volume", consul.url());

    let dry = site.sync(&from, &["--dry-run"])?;
    ensure!(dry.code == Some(1) && dry.out.contains("+ scheduler sched2\n"), "{dry:?}");
    ensure!(fs::read_to_string(site.ring())?.starts_with("{'zmq"), "a dry run wrote");

    let done = site.sync(&from, &["--mode", "0640", "--backup", "2", "--exec", "echo changed >> changes"])?;
    ensure!(done.code == Some(0) && done.out.contains("wrote ring.json"), "{done:?}");
    let expected = json!({
        "cinder-volume": ["cinder1", "cinder2"], "cinder-volume:cinder1": ["cinder1"],
        "cinder-volume:cinder2": ["cinder2"], "scheduler": ["sched1", "sched2", "sched3", "sched4"], "zmq_replies": ["h9"],
    });
    ensure!(site.holds()? == expected, "{}", site.holds()?);
    ensure!(fs::metadata(site.ring())?.mode() & 0o777 == 0o640);
    ensure!(fs::read_to_string(site.directory.path().join("ring.json.1"))?.starts_with("{'zmq"));
    ensure!(site.done(&["lint", "ring.json"])?.contains("no findings"));

    // Only when different.
    let inode = fs::metadata(site.ring())?.ino();
    let same = site.sync(&from, &["--exec", "echo changed >> changes"])?;
    ensure!(same == Run { code: Some(0), out: String::new(), err: String::new() }, "{same:?}");
    ensure!(fs::metadata(site.ring())?.ino() == inode, "the same was written again");
    ensure!(fs::read_to_string(site.directory.path().join("changes"))? == "changed\n");

    // Half of the catalogue gone: kept. One host gone: written.
    for node in ["sched1", "sched2", "sched3"] {
        consul.register(node, "nova-scheduler", "critical", &["zmq"])?;
    }
    let halved = site.sync(&from, &[])?;
    ensure!(halved.code == Some(5) && halved.err.contains("--max-remove"), "{halved:?}");
    ensure!(site.holds()? == expected);
    ensure!(site.sync(&from, &["--max-remove", "80%", "--dry-run"])?.code == Some(1));
    for node in ["sched2", "sched3"] {
        consul.register(node, "nova-scheduler", "passing", &["zmq"])?;
    }
    ensure!(site.sync(&from, &[])?.code == Some(0));
    ensure!(site.holds()?["scheduler"] == json!(["sched2", "sched3", "sched4"]));

    let failed = site.sync(&from, &["--exec", "exit 3", "--full-names"])?;
    ensure!(failed.code == Some(6) && failed.err.contains("exit status: 3"), "{failed:?}");
    ensure!(site.holds()?["cinder-volume"] == json!(["cinder1.example.com", "cinder2"]));
    Ok(())
}

#[test]
fn a_watched_ring_is_put_right_whatever_befalls_it() -> anyhow::Result<()> {
    let site = Site::new()?;
    let mut redis = RedisServer::start()?;
    let url = redis.url();
    fs::write(site.ring(), r#"{"mine": ["h9"]}"#)?;
    for (topic, host) in [("compute", "host1"), ("compute", "host2"), ("network", "host3"), ("compute.host1", "host1")]
    {
        site.done(&["-b", &url, "register", topic, host])?;
    }
    let arguments =
        ["sync", "--from", &url, "--to", "ring.json", "--watch", "--interval", "200ms", "--wait", "50ms:1s"];
    let mut sync = Program::start("sync", &mut site.command(&arguments))?;
    let whole = json!({ "compute": ["host1", "host2"], "network": ["host3"], "mine": ["h9"] });
    let whole_again = |what: &str| until(LIMIT, what, || Ok(site.holds().is_ok_and(|ring| ring == whole)));
    whole_again("written at first")?;

    for (what, befallen) in [
        ("garbage", "\0\u{1}not a ring"),
        ("half a file", "{\n  \"compute\": [\"host1\","),
        ("an empty object", "{}"),
        ("nothing", ""),
    ] {
        fs::write(site.ring(), befallen)?;
        whole_again(what)?;
    }
    let other = site.directory.path().join("other");
    fs::write(&other, r#"{"compute": ["host7"], "mine": ["h9"]}"#)?;
    fs::rename(&other, site.ring())?;
    whole_again("another ring by rename")?;
    fs::remove_file(site.ring())?;
    whole_again("no file")?;

    // A catalogue that is away, and one that comes back empty, change nothing.
    redis.kill()?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(site.holds()? == whole);
    redis.restart()?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(site.holds()? == whole, "an empty catalogue was believed");
    for (topic, host) in [("compute", "host1"), ("compute", "host2"), ("network", "host3"), ("network", "host4")] {
        site.done(&["-b", &url, "register", topic, host])?;
    }
    until(LIMIT, "changes are followed", || Ok(site.holds()?["network"] == json!(["host3", "host4"])))?;
    sync.stop(LIMIT)?;
    Ok(())
}

#[test]
fn backends_are_changed_compared_copied_and_drawn() -> anyhow::Result<()> {
    let site = Site::new()?;
    let redis = RedisServer::start()?;
    let (url, ring) = (redis.url(), "ring:ring.json");
    for host in ["host2", "host1", "host2"] {
        site.done(&["-b", ring, "register", "compute", host])?;
    }
    site.done(&["-b", ring, "register", "network", "host3"])?;
    site.done(&["-b", ring, "unregister", "network", "host3"])?;
    ensure!(site.holds()? == json!({ "compute": ["host2", "host1"] }), "{}", site.holds()?);

    let diff = site.run(&["diff", ring, &url])?;
    ensure!(diff.code == Some(1) && diff.out == "- compute host1\n- compute host2\n", "{diff:?}");
    site.done(&["copy", ring, &url])?;
    ensure!(redis.set("compute")? == ["compute.host1", "compute.host2"]);
    let same = site.run(&["diff", ring, &url])?;
    ensure!(same == Run { code: Some(0), out: String::new(), err: String::new() }, "{same:?}");
    let diff = site.run(&["--json", "diff", &url, "stub"])?;
    let first = json!({ "change": "removed", "topic": "compute", "host": "host1" });
    ensure!(serde_json::from_str::<Value>(&diff.out)?[0] == first, "{diff:?}");

    redis.ask(&["DEL", "compute.host2"])?;
    let topics = site.done(&["-b", &url, "topics"])?;
    ensure!(topics == "TOPIC    HOSTS  EXPIRED\ncompute  1      1\n", "{topics}");
    ensure!(site.done(&["-b", &url, "expire", "--dry-run"])? == "TOPIC    HOST\ncompute  host2\n");
    ensure!(redis.set("compute")?.len() == 2);
    ensure!(site.done(&["-b", &url, "--json", "expire"])? == "[{\"host\":\"host2\",\"topic\":\"compute\"}]\n");
    ensure!(redis.set("compute")? == ["compute.host1"]);

    let graph = site.done(&["-b", &url, "graph"])?;
    ensure!(graph.contains("t0 -> h0;"), "{graph}");
    for format in ["dot", "mermaid", "json", "svg"] {
        ensure!(site.done(&["-b", ring, "graph", "--format", format])?.contains("host2"), "{format}");
    }

    let refused = site.run(&["-b", "localhost", "register", "a", "h"])?;
    ensure!(refused.code == Some(2), "{refused:?}");
    let away = site.run(&["-b", "redis://127.0.0.1:1", "topics"])?;
    ensure!(away.code == Some(69) && away.err.contains("127.0.0.1:1"), "{away:?}");
    Ok(())
}

#[test]
fn a_kept_registration_lives_until_the_command_ends() -> anyhow::Result<()> {
    let site = Site::new()?;
    let redis = RedisServer::start()?;
    let url = redis.url();
    let mut watch = Program::start("watch", &mut site.command(&["-b", &url, "watch", "--interval", "100ms"]))?;
    let keep = ["-b", &url, "register", "compute", "host1", "--keep"];
    let mut keeper = Program::start("register", &mut site.command(&keep))?;
    ensure!(keeper.next_line(LIMIT)? == "registered compute on host1");
    ensure!(watch.next_line(LIMIT)? == "+ compute host1");
    ensure!(redis.set("compute")? == ["compute.host1"]);
    ensure!(keeper.stop(LIMIT)?.success());
    ensure!(watch.next_line(LIMIT)? == "- compute host1");
    ensure!(redis.keys()?.is_empty(), "B17: something remained");
    Ok(())
}

/// A configuration made by following the deployment guide to the letter: its class name, its password line, its ring.
#[test]
fn b12_the_guides_configuration_works_with_one_warning_each() -> anyhow::Result<()> {
    let site = Site::new()?;
    let redis = RedisServer::start()?;
    site.done(&["-b", &redis.url(), "register", "compute", "host1"])?;
    let file = |name: &str, text: String| -> anyhow::Result<PathBuf> {
        let path = site.directory.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let lines = |run: &Run| run.err.lines().map(str::to_owned).collect::<Vec<_>>();
    let shown = |path: &Path| path.display().to_string();

    let nova = file(
        "nova.conf",
        format!(
            "[DEFAULT]\nrpc_backend = zmq\n\
             rpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis\n\
             rpc_zmq_host = host1\n[matchmaker_redis]\nhost = 127.0.0.1\nport = {}\npassword = None\n",
            redis.port()
        ),
    )?;
    let run = site.run(&["--config-file", &shown(&nova), "hosts", "compute"])?;
    ensure!(run.code == Some(0) && run.out.contains("host1"), "{run:?}");
    let warned = lines(&run);
    ensure!(warned.len() == 2 && warned[0].contains("nova.conf:3") && warned[1].contains("nova.conf:8"), "{warned:?}");

    let ring = file("guide.json", "{\n'scheduler': ['host1'],\n'conductor': ['host1', 'host2']\n}\n".to_owned())?;
    let cinder = file(
        "cinder.conf",
        format!(
            "[DEFAULT]\nrpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker.MatchMakerRing\n\
             [matchmaker_ring]\nringfile = {}\n",
            shown(&ring)
        ),
    )?;
    let run = site.run(&["--config-file", &shown(&cinder), "resolve", "fanout~conductor"])?;
    ensure!(run.code == Some(0) && run.out.contains("fanout~conductor.host2"), "{run:?}");
    let warned = lines(&run);
    ensure!(
        warned.len() == 2 && warned[0].contains("cinder.conf:2") && warned[1].contains("single quotes"),
        "{warned:?}"
    );

    let wrong = file("wrong.conf", "[DEFAULT]\nrpc_zmq_matchmaker = rign\n".to_owned())?;
    let run = site.run(&["--config-file", &shown(&wrong), "topics"])?;
    ensure!(run.code == Some(78) && run.err.contains("wrong.conf:2"), "{run:?}");
    Ok(())
}

/// What works takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(20);
