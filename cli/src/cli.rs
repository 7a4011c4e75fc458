//! The command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    adapter, chain, demo, govern, infer, inspect, line, model, money, prove, request, settle, settlement_key, srs,
    verify,
};
use crate::error::Error;
use crate::output::{Output, start_log};

/// Prove quantised LoRA inference of a transformer, and check the proof.
///
/// Exit codes: 0 ok, 1 proof or statement rejected, 2 usage, 3 input refused, 4 environment.
#[derive(Debug, Parser)]
#[command(name = "lorica", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print one JSON object as the last line of stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything once: fetch, import, prove, verify, and forgeries that are rejected
    Demo(demo::DemoArgs),
    /// Base models
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// LoRA adapters
    #[command(subcommand)]
    Adapter(adapter::AdapterCommand),
    /// Structured reference strings
    #[command(subcommand)]
    Srs(srs::SrsCommand),
    /// Run the integer model on a text, without a proof
    Infer(infer::InferArgs),
    /// Prove a batch of inferences
    Prove(prove::ProveArgs),
    /// Prove to a contract, in zero knowledge, that a proof is accepted
    Settle(settle::SettleArgs),
    /// Make the settlement key of an architecture and shape, and say its circuit id
    SettlementKey(settlement_key::SettlementKeyArgs),
    /// The contracts on a chain: deploy, register, publish, check
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Requests for inferences on a chain: sign, lock, prove, be paid
    #[command(subcommand)]
    Request(request::RequestCommand),
    /// Lines of published models: show, retire, hand on
    #[command(subcommand)]
    Line(line::LineCommand),
    /// What governance may set
    #[command(subcommand)]
    Govern(govern::GovernCommand),
    /// Say what an account has and is owed, on a chain
    Balance(money::BalanceArgs),
    /// Fetch what the escrow owes
    Withdraw(money::WithdrawArgs),
    /// Send tokens to another account
    Transfer(money::TransferArgs),
    /// Check a proof or a settlement; no weights and no SRS file are needed
    Verify(verify::VerifyArgs),
    /// Say what a file is
    Inspect(inspect::InspectArgs),
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    start_log();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&arguments, &error),
    };
    let out = Output::new(cli.json);
    match run(&cli.command, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Help and version are no errors; everything else is one, as JSON if that was asked for.
fn refuse_usage(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let asked = error.exit_code() == 0;
    let wants_json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    if asked || !wants_json {
        // A reader that has gone away is no error of the command.
        let _ = error.print();
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(crate::error::Kind::Usage.exit_code()) };
    }
    let message = error.render().to_string();
    let error = Error::Usage(message.trim().trim_start_matches("error: ").to_owned());
    Output::new(true).error(&error);
    ExitCode::from(error.kind().exit_code())
}

fn run(command: &Command, out: &Output) -> Result<(), Error> {
    match command {
        Command::Demo(args) => demo::run(args, out),
        Command::Model(command) => model::run(command, out),
        Command::Adapter(command) => adapter::run(command, out),
        Command::Srs(command) => srs::run(command, out),
        Command::Infer(args) => infer::run(args, out),
        Command::Prove(args) => prove::run(args, out),
        Command::Settle(args) => settle::run(args, out),
        Command::Chain(command) => chain::run(command, out),
        Command::Request(command) => request::run(command, out),
        Command::Line(command) => line::run(command, out),
        Command::Govern(command) => govern::run(command, out),
        Command::Balance(args) => money::balance(args, out),
        Command::Withdraw(args) => money::withdraw(args, out),
        Command::Transfer(args) => money::transfer(args, out),
        Command::SettlementKey(args) => settlement_key::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
    }
}
