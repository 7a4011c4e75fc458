//! The command line.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    adapter, attribute, chain, contributors, datanet, demo, govern, infer, inspect, line, model, money, prepaid, prove,
    request, settle, settlement_key, srs, stake, verify,
};
#[cfg(feature = "serve")]
use crate::commands::{api_key, remote, serve, worker};
use crate::error::Error;
use crate::output::{Output, start_log};

/// Prove that a registered transformer and LoRA adapter gave an answer, check such proofs, and have them paid on a chain
///
/// From a model to a proof: `model import`, `adapter import`, `prove`, `verify`. From a proof to a payment: `chain deploy`,
/// `chain publish`, `chain register`, `request sign`, `request lock`, `request accept`, `request bind`, `prove`, `settle`,
/// `request settle`, `withdraw`. The project's docs/quickstart.md runs all of them, and
/// docs/glossary.md says what each word means.
///
/// Exit codes: 0 done, 1 a proof, a settlement or a transaction was rejected, 2 the command line is wrong, 3 an input was
/// refused, 4 the environment failed (disk, network, node, missing program).
#[derive(Debug, Parser)]
#[command(name = "lorica", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print the result as one JSON object, the last line of stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// The command to run
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything once on this machine: import, prove, verify, settle, pay, and forgeries that are rejected
    ///
    /// Fetches the model all-MiniLM-L6-v2 with pip if it is not cached (84 MB), imports it and two adapters, publishes them on a
    /// chain in memory, locks a fee, proves one answer, settles it and pays. It uses the development SRS, so its proofs
    /// convince nobody.
    Demo(demo::DemoArgs),
    /// Base models: fetch, import, check
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// LoRA adapters: import
    #[command(subcommand)]
    Adapter(adapter::AdapterCommand),
    /// Datanets, collections of labelled texts by many contributors: build one with its index, check one, show one, prove that an index is in range
    #[command(subcommand)]
    Datanet(datanet::DatanetCommand),
    /// Explain an answer by a datanet, without a proof: the contributors with their shares, and the records that shaped it
    Attribute(attribute::AttributeArgs),
    /// Structured reference strings (SRS), the public parameters of commitments: make one for tests, import a ceremony's
    #[command(subcommand)]
    Srs(srs::SrsCommand),
    /// Run the integer model on a text and print the answer, without a proof
    ///
    /// The answer is a label if the adapter has a classification head, and an embedding otherwise.
    Infer(infer::InferArgs),
    /// Run the integer model on one text or a batch of up to 16, and write a proof of the answers
    ///
    /// All requests of a batch have the same base and the same kind of output. The proof shows token ids and salts: it is not
    /// zero-knowledge. Give it only to those who may read the texts. A proof that is to be settled on a chain needs --binding,
    /// and a shape (--slots, --tokens, --embed) for which the chain has a circuit.
    Prove(prove::ProveArgs),
    /// Make a settlement out of an inference proof: a zero-knowledge proof that a contract can check
    ///
    /// The settlement hides the texts. It holds for one chain, contract, payee, and list of request ids and fees, the ones that
    /// the inference proof was bound to. This command sends nothing: `lorica request settle` hands the settlement to the escrow.
    /// The first settlement of a shape makes its key, which is cached.
    Settle(settle::SettleArgs),
    /// Make the settlement key of an architecture and a shape, and print its circuit id
    ///
    /// With one SRS the key comes out the same for every model of the architecture and for everybody who makes it. So anyone can
    /// make it again and compare its circuit id with the one that a chain trusts. A key file from a stranger may hold a circuit
    /// that accepts anything.
    SettlementKey(settlement_key::SettlementKeyArgs),
    /// The contracts on a chain: deploy them, publish models, register circuits, check a settlement, pause and freeze routes
    #[command(subcommand)]
    Chain(chain::ChainCommand),
    /// Paid requests on a chain: sign one, lock its fee, accept it, bind a proof to it, be paid; or end it without a proof
    #[command(subcommand)]
    Request(request::RequestCommand),
    /// Prepaid requests: deposit money once, and provers are paid from it for requests that were only signed
    #[command(subcommand)]
    Prepaid(prepaid::PrepaidCommand),
    /// A prover's stake in OPEN, which requests can demand of who accepts them: show, deposit, withdraw
    #[command(subcommand)]
    Stake(stake::StakeCommand),
    /// Lines of published models: show, retire a version, hand on, sell (a line is a published model with all its versions)
    #[command(subcommand)]
    Line(line::LineCommand),
    /// Contributors of datanets: credit them for paid answers, show what they are owed, withdraw it, burn what belongs to nobody
    #[command(subcommand)]
    Contributors(contributors::ContributorsCommand),
    /// Settings that governance may change: show and set fees, bounds of shares, treasury, tokens, owners
    #[command(subcommand)]
    Govern(govern::GovernCommand),
    /// Print what an account has, and what the escrow owes to it and to the owners of models
    ///
    /// Names OPEN and the chain's gas token, or the one token of --token.
    Balance(money::BalanceArgs),
    /// Withdraw what the escrow owes to the account
    ///
    /// The escrow never pays out by itself. Without --model this withdraws what the account is owed as a prover or as a payer.
    /// With --model it withdraws the share of the owner of that model's line, and with --pot the contributors' share.
    Withdraw(money::WithdrawArgs),
    /// Send tokens to another account
    Transfer(money::TransferArgs),
    /// Wrap the gas token as OPEN, on a chain whose gas token is OPEN
    ///
    /// Publishing fees are paid in wrapped OPEN there. One unit of the gas token gives one unit of wrapped OPEN.
    Wrap(money::WrapArgs),
    /// Unwrap OPEN into the gas token, on a chain whose gas token is OPEN
    Unwrap(money::WrapArgs),
    /// Check a proof or a settlement with key files alone: no weights and no SRS file are needed
    ///
    /// Compare the base id and the adapter ids that it prints with the registered ones: the check trusts the key files. Exits
    /// with 1 if the proof is rejected, or is about another text, request or context than the given one.
    Verify(verify::VerifyArgs),
    /// Print what a Lorica file is and what it holds; nothing is checked against a chain
    Inspect(inspect::InspectArgs),
    /// Run the service: answers by gRPC at once, their proofs as soon as they are made, and no job lost
    ///
    /// One process with a SQLite database and a proving process of its own; nothing else is needed. It ends in order when it is
    /// told to (SIGTERM): the batch in progress is finished or handed back.
    #[cfg(feature = "serve")]
    Serve(serve::ServeArgs),
    /// Prove for a service on another machine: takes batches, proves them, hands the proofs in
    ///
    /// Fetches the models that the service serves, and needs the SRS that they were imported with, a key with the scope `work`
    /// (`lorica api-key add --scopes work`), and no other access to the service's machine. It sees the texts that it proves. The
    /// service checks every proof; whoever returns a false one gets nothing more. A result is kept in the worker's folder until the
    /// service has answered. It ends in order when it is told to (SIGTERM): the batch in progress is finished or handed back.
    ///
    /// Exit codes: 0 told to end, 1 the service found a proof of this worker false, 3 the key, the SRS, the models or the version
    /// were refused, 4 the service was not there at the start, the disk is full, or the proving process cannot be started.
    #[cfg(feature = "serve")]
    Worker(worker::WorkerArgs),
    /// API keys of the service: make one for a tenant, list them, remove one
    #[cfg(feature = "serve")]
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Ask a service: answers, proofs, checks, models
    #[cfg(feature = "serve")]
    Remote(remote::RemoteArgs),
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    start_log();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // The service starts itself as this; it is no command of people, so no help and no suggestion knows it.
    #[cfg(feature = "serve")]
    if arguments.get(1..).is_some_and(|rest| rest == [serve::PROVING_PROCESS]) {
        return lorica_service::run_child();
    }
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
        Command::Datanet(command) => datanet::run(command, out),
        Command::Contributors(command) => contributors::run(command, out),
        Command::Attribute(args) => attribute::run(args, out),
        Command::Srs(command) => srs::run(command, out),
        Command::Infer(args) => infer::run(args, out),
        Command::Prove(args) => prove::run(args, out),
        Command::Settle(args) => settle::run(args, out),
        Command::Chain(command) => chain::run(command, out),
        Command::Request(command) => request::run(command, out),
        Command::Prepaid(command) => prepaid::run(command, out),
        Command::Stake(command) => stake::run(command, out),
        Command::Line(command) => line::run(command, out),
        Command::Govern(command) => govern::run(command, out),
        Command::Balance(args) => money::balance(args, out),
        Command::Withdraw(args) => money::withdraw(args, out),
        Command::Transfer(args) => money::transfer(args, out),
        Command::Wrap(args) => money::wrap(args, out),
        Command::Unwrap(args) => money::unwrap(args, out),
        Command::SettlementKey(args) => settlement_key::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(args, out),
        #[cfg(feature = "serve")]
        Command::Worker(args) => worker::run(args, out),
        #[cfg(feature = "serve")]
        Command::ApiKey(command) => api_key::run(command, out),
        #[cfg(feature = "serve")]
        Command::Remote(args) => remote::run(args, out),
    }
}
