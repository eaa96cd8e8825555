//! Whatever started the Python daemon starts ours, with the files that were written for it: command lines and files of the
//! deployment guide, of the Puppet module, of boot scripts and of test beds (oslo-zmq, section 10; oslo-bugs, B12).
//!
//! Files stand here as they are at a site. Only the port and the directory are given by the environment, which overrides
//! files, since a test may not have the site's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::oslo::{Host, Release};
use tests::program::Program;
use tests::site::Site;
use tests::{loopback, wire};

const LIMIT: Duration = Duration::from_secs(20);

/// As the template of the Puppet module renders it with its defaults.
const PUPPET: &str = "[DEFAULT]\n\
                      debug= False\n\
                      rpc_zmq_bind_address = *\n\
                      rpc_zmq_contexts = 1\n\
                      rpc_zmq_host = host1\n\
                      rpc_zmq_ipc_dir = /var/run/openstack\n\
                      rpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRing\n\
                      rpc_zmq_port = 9501\n\
                      ringfile = /etc/oslo/matchmaker_ring.json\n";

/// A file of the site's directory.
fn written(site: &Site, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = site.config_file().with_file_name(name);
    fs::create_dir_all(path.parent().context("a directory")?)?;
    fs::write(&path, text)?;
    Ok(path)
}

/// A shell line that has `RECEIVER` where the program is, in the environment of a test.
fn shell(site: &Site, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &line.replace("RECEIVER", &site.executable().display().to_string())]);
    placed(&mut command, site);
    command
}

/// Gives the place by the environment.
fn placed(command: &mut Command, site: &Site) {
    let port = site.endpoint();
    let port = port.rsplit(':').next().unwrap_or_default();
    command.env("OS_DEFAULT__RPC_ZMQ_PORT", port).env("OS_DEFAULT__RPC_ZMQ_IPC_DIR", site.ipc_dir());
}

/// A message through the receiver.
fn moves_a_message(site: &Site) -> anyhow::Result<()> {
    use std::io::Write;
    let message = wire::cast(b"compute.host1", b"{}");
    site.client()?.write_all(&message)?;
    wire::read_message(&mut site.consumer("compute.host1", "PULL")?)?;
    Ok(())
}

fn check(site: &Site, file: &Path) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = Command::new(site.executable());
    command.args(["check-config", "--no-environment", "--config-file"]).arg(file);
    let output = command.output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)))
        .map(|(code, told)| (code, told.into_owned()))
}

/// The job of the module: start-stop-daemon changes user and umask and becomes the program; the directory sets the group.
#[test]
fn the_puppet_modules_job_starts_it_on_the_modules_file() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let file = written(&site, "zmq_receiver.conf", PUPPET)?;
    fs::set_permissions(site.ipc_dir(), fs::Permissions::from_mode(0o2775))?;
    let user = if rustix::process::geteuid().is_root() { " --chuid root" } else { "" };
    // Of its own: start-stop-daemon starts none while another process has the same executable, as receivers of other tests do.
    let own = site.config_file().with_file_name("receiver");
    fs::copy(site.executable(), &own)?;
    let line = format!(
        "PATH=$PATH:/usr/sbin:/sbin; exec start-stop-daemon --start --umask 0002{user} --exec {} -- --config-file {}",
        own.display(),
        file.display()
    );
    let mut command = shell(&site, &line);
    command.env("OS_DEFAULT__LOG_FILE", site.log());
    let mut receiver = site.start_by(&mut command)?;
    moves_a_message(&site)?;
    let mode = fs::metadata(site.socket("compute.host1"))?.permissions().mode() & 0o777;
    ensure!(mode == 0o775, "the group may not write to a socket of mode {mode:o}");
    let log = receiver.log();
    ensure!(!log.contains(" DEBUG ") && !log.contains(" ERROR "), "{log}");
    receiver.stop()?;
    Ok(())
}

#[test]
fn the_puppet_modules_file_is_valid_in_all_its_variants() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let (code, told) = check(&site, &written(&site, "zmq_receiver.conf", PUPPET)?)?;
    ensure!(code == Some(0) && !told.contains("error: "), "{told}");
    for (from, to) in [
        ("debug= False", "debug= True"),
        ("rpc_zmq_bind_address = *", "rpc_zmq_bind_address = lo"),
        ("rpc_zmq_bind_address = *", "rpc_zmq_bind_address = 127.0.0.1"),
        ("rpc_zmq_contexts = 1", "rpc_zmq_contexts = 4"),
        // The module's own name for no limit, had it been rendered.
        ("rpc_zmq_port = 9501", "rpc_zmq_port = 9501\nrpc_zmq_topic_backlog = None"),
        ("rpc_zmq_port = 9501", "rpc_zmq_port = 9501\nrpc_zmq_topic_backlog = 2000"),
        ("rpc_zmq_host = host1", "rpc_zmq_host = host1.example.org"),
    ] {
        ensure!(PUPPET.contains(from), "{from}");
        let file = written(&site, "variant.conf", &PUPPET.replace(from, to))?;
        let (code, told) = check(&site, &file)?;
        ensure!(code == Some(0) && !told.contains("error: "), "{to}: {told}");
    }
    Ok(())
}

/// The guide has one receiver for each project, on the project's own file, with a log file that the original refused.
#[test]
fn the_guides_command_line_starts_it_on_a_services_own_file() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let nova = "[DEFAULT]\n\
                # One of a project's options by the hundred\n\
                verbose = True\n\
                debug = False\n\
                my_ip = 10.0.0.1\n\
                state_path = /var/lib/nova\n\
                lock_path = $state_path/tmp\n\
                logging_context_format_string = %(asctime)s.%(msecs)d %(levelname)s %(name)s [%(request_id)s] %(message)s\n\
                instance_usage_audit_period = hour\n\
                dhcpbridge_flagfile = /etc/nova/nova.conf\n\
                dhcpbridge_flagfile = /etc/nova/nova-dhcpbridge.conf\n\
                osapi_compute_extension = nova.api.openstack.compute.contrib.standard_extensions,\n\
                \x20   nova.api.openstack.compute.contrib.more\n\
                rpc_backend = zmq\n\
                rpc_zmq_bind_address = *\n\
                rpc_zmq_matchmaker = oslo.messaging._drivers.matchmaker_ring.MatchMakerRedis\n\
                rpc_zmq_host = host1\n\
                rpc_zmq_contexts = 1\n\
                rpc_zmq_ipc_dir = /var/run/openstack\n\
                rpc_zmq_port = 9500\n\
                rpc_thread_pool_size = 1024\n\
                rpc_cast_timeout = 30\n\
                rpc_response_timeout = 60\n\
                matchmaker_heartbeat_freq = 300\n\
                matchmaker_heartbeat_ttl = 600\n\
                control_exchange = nova\n\
                unknown_reference = $no_such_option\n\
                \n\
                [matchmaker_redis]\n\
                host = 127.0.0.1\n\
                port = 6379\n\
                password = None\n\
                \n\
                [database]\n\
                connection = mysql://nova:secret#1@10.0.0.1/nova?charset=utf8\n";
    let file = written(&site, "nova/nova.conf", nova)?;
    let line = format!("exec RECEIVER --config-file {} --log-file={}", file.display(), site.log().display());
    let mut receiver = site.start_by(&mut shell(&site, &line))?;
    moves_a_message(&site)?;
    ensure!(!receiver.log().contains("secret"), "{}", receiver.log());
    receiver.stop()?;
    let (code, told) = check(&site, &file)?;
    ensure!(code == Some(0) && !told.contains("secret"), "{told}");
    Ok(())
}

/// Boot scripts of the time put it in the background by the shell and keep its process id; others send its log to a file.
#[test]
fn a_script_that_backgrounds_it_finds_it_in_the_foreground() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let file = written(&site, "oslo-messaging-zmq-receiver.conf", PUPPET)?;
    let pid = site.config_file().with_file_name("pid");
    let line = format!(
        "umask 0002; RECEIVER --config-file={} >{} 2>&1 & echo $! >{}; wait $!",
        file.display(),
        site.log().display(),
        pid.display()
    );
    let mut script = Program::start("script", &mut shell(&site, &line))?;
    script.wait("not listening", LIMIT, |_| {
        fs::read_to_string(site.log()).is_ok_and(|log| log.contains("listening on ")).then_some(())
    })?;
    moves_a_message(&site)?;
    // The process of the script is the daemon itself.
    let id = fs::read_to_string(&pid)?;
    let name = fs::read_to_string(format!("/proc/{}/comm", id.trim()))?;
    ensure!("oslo-messaging-zmq-receiver".starts_with(name.trim()), "{name}");
    let kill = Command::new("kill").arg(id.trim()).status()?;
    ensure!(kill.success());
    let status = script.wait("running", LIMIT, |_| None::<()>).err().map(|_| script.stop(LIMIT));
    ensure!(status.context("it goes on")??.success());
    Ok(())
}

/// A test bed's file: a transport URL, a matchmaker with a port of its own, hardly anything else.
#[test]
fn a_test_beds_file_is_accepted() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let text = "[DEFAULT]\n\
                transport_url=zmq://\n\
                rpc_zmq_matchmaker=redis\n\
                rpc_zmq_ipc_dir=/var/run/openstack\n\
                [matchmaker_redis]\n\
                port=65123\n";
    let file = written(&site, "zmq.conf", text)?;
    let line = format!("exec RECEIVER --config-file {} --log-file {}", file.display(), site.log().display());
    let mut receiver = site.start_by(&mut shell(&site, &line))?;
    moves_a_message(&site)?;
    receiver.stop()?;
    Ok(())
}

/// Without `--config-file` the files of a user, or of the system, are found by their names.
#[test]
fn without_a_file_on_the_command_line_the_usual_places_are_searched() -> anyhow::Result<()> {
    let site = Site::new("")?;
    let home = site.config_file().with_file_name("home");
    for (file, text) in [
        ("home/.oslo/oslo.conf", "[DEFAULT]\nrpc_zmq_host = a\nverbose = False\n"),
        // Of one name only the first is read.
        ("home/oslo.conf", "[DEFAULT]\nrpc_zmq_host = b\n"),
        ("home/oslo-messaging-zmq-receiver.conf", "[DEFAULT]\nrpc_zmq_host = c\n"),
    ] {
        written(&site, file, text)?;
    }
    let output = Command::new(site.executable()).args(["config-show"]).env("HOME", &home).output()?;
    let told = String::from_utf8(output.stdout)?;
    ensure!(told.contains("rpc_zmq_host = c  (") && told.contains("verbose = False  ("), "{told}");
    Ok(())
}

/// One file can serve both: the original passes over what is ours.
#[test]
fn the_original_starts_on_a_file_with_our_options() -> anyhow::Result<()> {
    let host = Host::localhost(Release::Kilo, loopback::free_port()?)?;
    let mut text = fs::read_to_string(host.config_file())?;
    text += "[zmq_receiver]\nmax_topics = 100\nmemory_limit = 64 MiB\nhold_time = 3\n";
    fs::write(host.config_file(), text)?;
    for mut command in [host.original_receiver()?, host.receiver(&tests::binary::receiver()?)] {
        let mut receiver = Program::start("receiver", &mut command)?;
        receiver.wait_until_listening(host.address(), LIMIT)?;
        receiver.kill()?;
    }
    Ok(())
}
