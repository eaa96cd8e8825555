//! The examples: their syntax, and what they write and run, as far as a host without a cloud can show.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use tests::dist;

use crate::host;
use crate::run;

fn contrib(path: &str) -> PathBuf {
    dist::packaging().join("../contrib").join(path)
}

#[test]
fn puppet_and_ansible_read_theirs() -> anyhow::Result<()> {
    run(Command::new("puppet").args(["parser", "validate"]).arg(contrib("puppet/receiver.pp")), "puppet-agent")?;
    let mut ansible = Command::new("ansible-playbook");
    ansible.args(["--syntax-check", "--inventory", "localhost,"]).arg(contrib("ansible/receiver.yml"));
    run(&mut ansible, "ansible-core")?;
    Ok(())
}

/// What Puppet would write, with the values that it would have.
#[test]
fn the_file_that_puppet_writes_is_accepted() -> anyhow::Result<()> {
    let manifest = fs::read_to_string(contrib("puppet/receiver.pp"))?;
    let lines = manifest.lines().map(|line| line.trim().trim_end_matches(',').trim_matches(['\'', '"']));
    let lines = lines.filter(|line| *line == "[DEFAULT]" || line.contains(" = ${"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let text = [
        ("debug", "false"),
        ("bind_address", "*"),
        ("port", "9501"),
        ("ipc_dir", "/var/run/openstack"),
        ("hostname", "host1"),
    ]
    .iter()
    .fold(text, |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    ensure!(text.lines().count() == 6 && !text.contains('$'), "{text}");
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("zmq_receiver.conf");
    fs::write(&file, &text)?;
    let mut check = Command::new(dist::directory()?.join("oslo-messaging-zmq-receiver"));
    run(check.args(["check-config", "--strict", "--no-environment", "--config-file"]).arg(&file), "nothing")?;
    Ok(())
}

#[test]
fn the_boot_script_starts_reloads_and_stops() -> anyhow::Result<()> {
    let (mut host, port) = host::installed()?;
    host.bring(&contrib("sysv/oslo-messaging-zmq-receiver"), "/etc/init.d/receiver")?;
    let script = "/bin/sh /etc/init.d/receiver";
    let (code, _) = host.try_run(&format!("{script} status"))?;
    ensure!(code == 3, "status without a receiver: {code}");
    host.run(&format!("{script} start && sleep 1 && {script} status"))?;
    std::net::TcpStream::connect(("127.0.0.1", port))?;
    host.run(
        "oslo-messaging-zmq-receiver status && test \"$(stat -c '%U:%G %a' /run/oslo-zmq)\" = 'oslozmq:openstack 750'",
    )?;
    host.run(&format!("{script} start && {script} reload && {script} restart && sleep 1 && {script} status"))?;
    host.run(&format!("{script} stop"))?;
    let (code, _) = host.try_run(&format!("{script} status"))?;
    ensure!(code == 3, "status after the stop: {code}");
    // A wrong configuration is told, and nothing is started.
    let (code, said) =
        host.try_run(&format!("echo 'rpc_zmq_port = x' >>/etc/oslo/zmq_receiver.conf; {script} start"))?;
    ensure!(code != 0 && said.contains("error: [DEFAULT] rpc_zmq_port: expected a port"), "{said}");
    Ok(())
}

/// With functions of DevStack's names that do the like. systemd is not at work.
#[test]
fn the_devstack_plugin_installs_configures_and_cleans() -> anyhow::Result<()> {
    let mut host = tests::minimal::Host::new()?;
    host.bring(&dist::file(".deb")?, "/root/oslo-messaging-zmq-receiver_0.1.0_amd64.deb")?;
    host.bring(&contrib("devstack/plugin.sh"), "/root/plugin.sh")?;
    host.bring(&contrib("devstack/settings"), "/root/settings")?;
    let stubs = "enable_service() { :; }\n\
                 is_service_enabled() { [ \"$1\" = zmq-receiver ]; }\n\
                 install_package() { :; }\n\
                 systemctl() { echo \"systemctl $*\" >>/root/systemctl.log; }\n\
                 usermod() { echo \"usermod $*\" >>/root/usermod.log; }\n\
                 sudo() { \"$@\"; }\n\
                 iniset() {\n\
                 [ \"$1\" = -sudo ] && shift\n\
                 printf '[%s]\\n%s = %s\\n' \"$2\" \"$3\" \"$4\" >>\"$1\"\n\
                 }\n\
                 DEST=/root STACK_USER=stack\n\
                 . /root/settings\n";
    fs::write(host.path("/root/stubs"), stubs)?;
    for phase in ["stack pre-install", "stack install", "stack post-config"] {
        host.run(&format!("bash -ec '. /root/stubs; set -- {phase}; . /root/plugin.sh'"))?;
    }
    host.run("bash -ec '. /root/stubs; set --; . /root/plugin.sh; iniset_rpc_backend nova /root/nova.conf'")?;
    let name = host.run("hostname")?;
    let served = host.run("matchmaker --config-file /root/nova.conf hosts compute")?;
    ensure!(served.contains(&name), "{served}");
    let said = host.run("cat /root/usermod.log /root/systemctl.log")?;
    ensure!(said.contains("openstack stack") && said.contains("restart oslo-messaging-zmq-receiver"), "{said}");
    host.run("bash -ec '. /root/stubs; set -- clean; . /root/plugin.sh'")?;
    let (code, _) = host.try_run("test -e /usr/bin/oslo-messaging-zmq-receiver")?;
    ensure!(code == 1);
    Ok(())
}
