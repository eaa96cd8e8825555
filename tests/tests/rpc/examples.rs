//! The examples of the tutorial, `docs/rpc.md`, do what it says.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tests::binary;
use tests::oslo::{Host, Release};
use tests::program::Program;

#[test]
fn a_service_in_rust_is_called_from_rust_and_from_python() -> anyhow::Result<()> {
    let host = Host::localhost(Release::Kilo, tests::loopback::free_port()?)?;
    let mut receiver = Program::start("receiver", &mut host.receiver(&binary::receiver()?))?;
    receiver.wait_until_listening(host.address(), LIMIT)?;
    let example = |name: &str| -> anyhow::Result<Command> {
        let mut command = Command::new(binary::example("oslo-rpc", name)?);
        command.arg(host.config_file());
        Ok(command)
    };
    let mut calculator = Program::start("calculator", &mut example("calculator")?)?;
    ensure!(calculator.next_line(LIMIT)? == "serving calculator");
    let mut python = Command::new(Release::Kilo.interpreter()?);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../rpc/examples/caller.py");
    python.args(["-B", "-W", "ignore", script]).arg(host.config_file());
    for caller in [&mut example("caller")?, &mut python] {
        let output = caller.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said == "2 + 3 = 5\n1 / 0: division by zero\n", "{output:?}");
    }
    Ok(())
}

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(15);
