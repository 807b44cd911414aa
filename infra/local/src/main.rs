//! `cargo dev`: the whole service on this machine, in one command.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use local_stack::env_file;
use local_stack::ministack::{self, Ministack};
use local_stack::progress::step;
use local_stack::sample_check::{self, Row};
use local_stack::senders::SENDERS;
use local_stack::stack::Stack;
use local_stack::tools::Tools;
use local_stack::watch::{self, Watch};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs the whole service on this machine: installs the tools, starts DynamoDB and SQS (ministack) and
/// the functions (cargo lambda watch), posts signed samples, and stays until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    /// Ends after the samples; the exit status is 0 if every reply and message was as documented
    #[arg(long)]
    once: bool,
    /// Port of the functions on 127.0.0.1, in place of API Gateway
    #[arg(long, default_value_t = watch::DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Port of DynamoDB and SQS on 127.0.0.1
    #[arg(long, default_value_t = ministack::DEFAULT_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    aws_port: u16,
    /// How many instances of each function may run at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match dev(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The running programs. Dropping the value ends all of them, the functions first.
struct Service {
    watch: Watch,
    ministack: Ministack,
    stack: Stack,
}

async fn dev(arguments: &Arguments) -> Result<ExitCode> {
    let mut stop = Stop::new()?;
    let started = async {
        let mut service = start(arguments).await?;
        let rows = post_samples(&mut service).await?;
        Ok::<_, anyhow::Error>((service, rows))
    };
    let (mut service, rows) = tokio::select! {
        started = started => started?,
        code = stop.asked() => {
            step("stopped");
            return Ok(ExitCode::from(code));
        }
    };
    let wrong = rows.iter().filter(|row| !row.is_as_documented()).count();
    if wrong > 0 {
        step(format!(
            "{wrong} of {} samples differ from the documentation; the end of the functions' log:",
            rows.len()
        ));
        eprintln!("{}", service.watch.log_tail());
    }
    if arguments.once {
        return Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    explain(&service);
    tokio::select! {
        _ = stop.asked() => {
            step("stopping");
            Ok(ExitCode::SUCCESS)
        }
        failure = service.follow() => failure.map(|()| ExitCode::SUCCESS),
    }
}

async fn start(arguments: &Arguments) -> Result<Service> {
    ensure!(
        arguments.port != arguments.aws_port,
        "--port and --aws-port name the same port, {}",
        arguments.port
    );
    local_stack::port::ensure_free(arguments.port, "--port")?;
    local_stack::port::ensure_free(arguments.aws_port, "--aws-port")?;

    let tools = Tools::install().await?;
    watch::build().await?;
    step(format!("starting DynamoDB and SQS on port {}", arguments.aws_port));
    let ministack = Ministack::start(&tools, arguments.aws_port).await?;
    let stack = Stack::create(&ministack.endpoint(), "").await?;
    let environment = stack.shared_environment();
    let url = watch::url(arguments.port);
    // before the functions: cargo lambda watch restarts them when a file changes
    env_file::write(&env_file::path(), &environment, &url)?;

    step(format!("starting the functions on port {}", arguments.port));
    let options = watch::Options {
        port: arguments.port,
        concurrency: arguments.concurrency.into(),
        reload: !arguments.once,
        environment,
    };
    let watch = Watch::start(&tools, &options).await?;
    Ok(Service { watch, ministack, stack })
}

async fn post_samples(service: &mut Service) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for provider in SENDERS {
        step(format!("posting the samples of {}", provider.name));
        let url = service.watch.url();
        let queue = service.stack.queue(provider);
        let rows = tokio::select! {
            rows = sample_check::run(provider, &url, queue) => rows,
            failure = service.watch.failure() => Err(failure),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => bail!("{error:#}; the functions' log ends with\n{}", service.watch.log_tail()),
        };
        println!("\n{}", sample_check::table(&rows));
        all.extend(rows);
    }
    Ok(all)
}

fn explain(service: &Service) {
    println!("endpoint   {}", service.stack.endpoint);
    for provider in SENDERS {
        let url = service.watch.url();
        println!("url        {url}/{}", provider.name);
        println!("signs with {}", provider.credential.for_shell());
        println!("queue      {}", service.stack.queue(provider).url);
        if let Some(sample) = provider.samples.first() {
            let example =
                provider.example.replace("{url}", &url).replace("{key}", &provider.credential.for_shell());
            let example = example.replace("{path}", sample.path).replace("{file}", &provider.file(sample));
            println!("\nTry it:\n{example}");
        }
    }
    println!("More webhooks: cargo webhooks send --list. Is all in order: cargo webhooks doctor.");
    println!("The functions' log follows. Ctrl-C stops everything.\n");
}

impl Service {
    /// Shows the functions' log until cargo lambda watch or ministack ends.
    async fn follow(&mut self) -> Result<()> {
        let mut log = Follow::from_end(self.watch.log())?;
        loop {
            log.print_new()?;
            self.watch.ensure_running()?;
            self.ministack.ensure_running()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Prints what is added to a file.
struct Follow(std::fs::File);

impl Follow {
    fn from_end(path: &Path) -> Result<Self> {
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    fn print_new(&mut self) -> Result<()> {
        let mut new = Vec::new();
        self.0.read_to_end(&mut new)?;
        std::io::stdout().write_all(&new)?;
        Ok(std::io::stdout().flush()?)
    }
}

/// The signals that end this program: SIGINT (Ctrl-C) and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Handles the signals from now on.
    fn new() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for SIGINT or SIGTERM and returns the matching shell exit status (130 or 143).
    async fn asked(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments() {
        Arguments::command().debug_assert();
        let default = Arguments::parse_from(["cargo dev"]);
        assert!((default.port, default.aws_port, default.once) == (9000, 4566, false));
        let all = Arguments::parse_from(["cargo dev", "--once", "--port", "1", "--aws-port", "2"]);
        assert!((all.port, all.aws_port, all.once) == (1, 2, true));
        for wrong in [["--port", "0"], ["--port", "65536"], ["--aws-port", "x"]] {
            Arguments::try_parse_from(["cargo dev"].iter().chain(&wrong)).unwrap_err();
        }
    }
}
