//! The command `zrpc`: calls, casts and notifications from a shell.
//!
//! Results go to standard output, all else to standard error. The exit codes are listed in `--help`.

mod cli;
mod failure;
mod site;
mod target;
mod serve;
mod decode;
mod bench;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use oslo_rpc::envelope::Style;
use oslo_rpc::json::Value;
use oslo_rpc::{Client, Notifier, Target};
use serde_json::json;
use tracing::Level;

use crate::cli::{Cli, Command, RequestArgs};
use crate::failure::Failure;
use crate::site::Site;

// One thread: a call is a matter of a few small tasks, and handing them from thread to thread costs more than they do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if cli.site.debug { Level::DEBUG } else { Level::WARN };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(false).init();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if cli.site.json {
                println!("{}", failure.json());
            } else {
                eprintln!("zrpc: {}", failure.told());
            }
            failure.code().into()
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "zrpc", &mut io::stdout());
            return Ok(());
        }
        Command::Decode { file } => {
            for message in decode::decode(file.as_deref())? {
                let text = if cli.site.json { message.to_string() } else { format!("{message:#}") };
                writeln!(io::stdout(), "{text}")?;
            }
            return Ok(());
        }
        _ => {}
    }
    let site = Site::open(&cli.site).await?;
    let transport = &site.transport;
    match &cli.command {
        Command::Call { request, timeout } => {
            let mut client = Client::new(transport).with_context(request.context.clone());
            if let Some(timeout) = timeout {
                client = client.with_timeout(*timeout);
            }
            let result: Value = client.call(&target(request), &request.method, &args(request)).await?;
            print_result(&result, cli.site.json)?;
        }
        Command::Cast { request } => {
            let client = Client::new(transport).with_context(request.context.clone());
            client.cast(&target(request), &request.method, &args(request)).await?;
        }
        Command::Fanout { request } => {
            let client = Client::new(transport).with_context(request.context.clone());
            client.fanout(&target(request), &request.method, &args(request)).await?;
        }
        Command::Notify { event_type, payload, topic, priority, publisher, v1, context } => {
            let notifier = Notifier::new(transport, publisher.as_str())
                .with_topics(topic.iter().map(String::as_str))
                .with_style(if *v1 { Style::Cast } else { Style::V2 })
                .with_context(context.clone());
            notifier.notify((*priority).into(), event_type, payload).await?;
        }
        Command::Serve { topic, server } => serve::serve(transport, topic, server.clone()).await?,
        Command::Bench(args) => bench::bench(transport, args, cli.site.json).await?,
        Command::Decode { .. } | Command::Completions { .. } => {}
    }
    site.close().await
}

fn target(request: &RequestArgs) -> Target {
    let target = target::parse(&request.target).version(request.version.as_str());
    match &request.namespace {
        Some(namespace) => target.namespace(namespace.as_str()),
        None => target,
    }
}

fn args(request: &RequestArgs) -> BTreeMap<&str, &Value> {
    request.args.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

/// A result as JSON; indented for people, in one line with `--json`. Big integers keep their digits.
fn print_result(result: &Value, json: bool) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string(&BTreeMap::from([("result", result)]))
    } else {
        serde_json::to_string_pretty(result)
    };
    let text = text.unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string());
    Ok(writeln!(io::stdout(), "{text}")?)
}
