//! How good the proven attribution is, measured on the fixture: `cargo xtask attribution-study`.
//!
//! The way: rows of the fixture ([`data`]) get features by the integer model; heads are fitted again on parts of them ([`truth`],
//! [`head`]), or whole adapters were, elsewhere ([`retrained`]); scores ([`scores`]) predict what those say ([`lds`], [`against`]);
//! contributors cheat ([`gaming`], [`draws`], [`pairs`], [`dedup`]); shares tell which text was asked ([`guess`]); tables and plots say how it went
//! ([`report`], [`plot`]). Everything is a function of the fixture, the model, the seeds in the source, and the file of adapters.

#![forbid(unsafe_code)]

mod against;
mod arguments;
mod data;
mod dedup;
mod draws;
mod error;
mod gaming;
mod guess;
mod head;
mod lds;
mod pairs;
mod plot;
mod random;
mod report;
mod retrained;
mod scores;
mod steps;
mod truth;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use crate::against::Against;
use crate::arguments::{Arguments, HELP, Task};
use crate::data::{Fixture, Rows};
use crate::dedup::WHOLE_WEIGHT;
use crate::draws::{DRAWS, Draw};
use crate::error::StudyError;
use crate::gaming::{Added, Attack, Game};
use crate::head::{CLASSES, logits};
use crate::lds::{BOOTSTRAP_SEED, Estimate, Paired, Table, estimate, pearson};
use crate::random::Random;
use crate::report::{Difference, Measured, Outcome};
use crate::retrained::Expected;
use crate::scores::{Scored, by_contributor, index, predicted};
use crate::steps::Steps;
use crate::truth::{
    Retrained, Trainer, contributor_subset, large_contributors, normalised, record_subset, total_variation, true_shares,
};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("attribution-study: {error}");
            return ExitCode::from(2);
        }
    };
    let mut steps = Steps::new();
    let done = match &arguments.task {
        Task::Study { attacks } => {
            study(&arguments, *attacks, &mut steps).and_then(|outcome| write(&arguments, &outcome))
        }
        Task::Truth(file) => against(&arguments, file, &mut steps),
        Task::Questions(file) => questions(&arguments, file, &mut steps),
        Task::Draws => draw(&arguments, &mut steps),
        Task::Guesses => guess(&arguments, &mut steps),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attribution-study: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tables to stdout, and everything into the folder, if there is one.
fn write(arguments: &Arguments, outcome: &Outcome) -> Result<(), StudyError> {
    print!("{}", report::markdown(outcome));
    save(arguments, outcome)
}

/// How often shares tell a text: a table to stdout, and JSON into the folder, if there is one.
fn guess(arguments: &Arguments, steps: &mut Steps) -> Result<(), StudyError> {
    let Fixture { model, records, held_out, .. } = Fixture::load(arguments, steps)?;
    let slots = records.rows.iter().map(|row| u16::try_from(row.contributor).unwrap_or(u16::MAX)).collect();
    let features = records.features.iter().flat_map(|feature| &feature.values).copied().collect();
    let weights = vec![WHOLE_WEIGHT; records.rows.len()];
    let cells = index(features, model.hidden(), &records.labels, &weights, slots)?;
    let own = |texts, rows: &Rows| guess::guesses(texts, &cells, &rows.pooled(), &rows.answers());
    let both = [own("that are no records", &held_out), own("that are records", &records)];
    print!("{}", guess::markdown(&both));
    save_files(arguments, [("attribution-guesses.json", format!("{:#}\n", guess::json(&both)))])
}

/// Writes the questions and the adapter's answers for the script that trains adapters again.
fn questions(arguments: &Arguments, file: &Path, steps: &mut Steps) -> Result<(), StudyError> {
    let text = format!("{}\n", retrained::questions(arguments, steps)?);
    std::fs::write(file, text).map_err(|source| StudyError::File { path: file.into(), source })
}

/// How well scores predict adapters that were trained again: tables to stdout, and files into the folder, if there is one.
fn against(arguments: &Arguments, file: &Path, steps: &mut Steps) -> Result<(), StudyError> {
    let fixture = Fixture::load(arguments, steps)?;
    let models = retrained::load(file, &Expected::new(arguments, &fixture)?)?;
    let more = [("match_white_10", "match × white, r = 10, float", 10.0)];
    let scores = steps.run("scores", || scores::all(&fixture, &more))?;
    let accuracy = agreement(&fixture.held_out.answers(), &fixture.held_out.labels);
    let against = steps.run("bootstrap", || Ok(Against::new(&scores, models, accuracy, arguments.resamples)))?;
    let text = against::markdown(&against);
    print!("{text}");
    let json = format!("{:#}\n", against::json(&against));
    save_files(arguments, [("attribution-retrained.md", text), ("attribution-retrained.json", json)])
}

/// What cheating gains drawn attackers. What is there after a draw is in the folder.
fn draw(arguments: &Arguments, steps: &mut Steps) -> Result<(), StudyError> {
    let fixture = Fixture::load(arguments, steps)?;
    let added = steps.run("additions", || Added::new(&fixture))?;
    let game = Game::new(&fixture, &added);
    let able = game.able().len();
    let met = pairs::met(&fixture.records.rows, &fixture.held_out.rows, &added.texts);
    let mut done = Vec::new();
    let text = |done: &[Draw]| format!("{}\n{}", draws::markdown(done, able), pairs::markdown(&met));
    for draw in 0..DRAWS {
        let attackers = game.drawn(draw);
        let gains = steps.run("draw", || game.play(&Attack::DRAWN, &attackers, |_, _| ()))?;
        done.push(Draw { attackers, gains });
        let mut json = draws::json(&done, able);
        json["rules_on_texts"] = pairs::json(&met);
        let files = [("attribution-draws.md", text(&done)), ("attribution-draws.json", format!("{json:#}\n"))];
        save_files(arguments, files)?;
    }
    print!("{}", text(&done));
    Ok(())
}

/// Writes the study's files.
fn save(arguments: &Arguments, outcome: &Outcome) -> Result<(), StudyError> {
    let bars: Vec<(&str, Estimate, Estimate)> =
        outcome.scores.iter().map(|score| (score.name, score.records, score.contributors)).collect();
    let files = [
        ("attribution-study.md", report::markdown(outcome)),
        ("attribution-study.json", format!("{:#}\n", report::json(outcome))),
        ("attribution-lds.svg", plot::bars("LDS against retrained heads", &bars)),
        (
            "attribution-pay.svg",
            plot::dots(
                "Mean pay against leaving one contributor out",
                "true share (leave one contributor out)",
                "share by the proven integers",
                &outcome.pay,
            ),
        ),
    ];
    save_files(arguments, files)
}

/// Writes files into the folder, if there is one.
fn save_files<const N: usize>(arguments: &Arguments, files: [(&str, String); N]) -> Result<(), StudyError> {
    let Some(folder) = &arguments.output else { return Ok(()) };
    let error = |path: &Path| {
        let path = path.to_path_buf();
        |source| StudyError::File { path, source }
    };
    std::fs::create_dir_all(folder).map_err(error(folder))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(error(&path))?;
    }
    Ok(())
}

fn study(arguments: &Arguments, attacks: bool, steps: &mut Steps) -> Result<Outcome, StudyError> {
    let fixture = Fixture::load(arguments, steps)?;
    let Fixture { records, held_out, questions, .. } = &fixture;
    let answers = questions.answers();
    let contributors = records.contributors();
    let large = large_contributors(&contributors);

    let mut trainer =
        steps.run("full head", || Trainer::new(&records.design, &records.labels, &questions.design, &answers))?;
    let subsets = 0..arguments.subsets as u64;
    let by_record = steps.run("record subsets", || {
        let seen = subsets.clone().map(|number| record_subset(records.rows.len(), number)).collect();
        trainer.retrain("on record subset", seen, 0.5)
    })?;
    let by_contributor = steps.run("contributor subsets", || {
        let seen = subsets.map(|number| contributor_subset(&contributors, number)).collect();
        trainer.retrain("on contributor subset", seen, 0.5)
    })?;
    let left_out = steps.run("leave one out", || {
        let seen = large.iter().map(|&left| contributors.iter().map(|&c| c != left).collect()).collect();
        trainer.retrain("without contributor", seen, 1.0)
    })?;

    let scores = steps.run("scores", || scores::all(&fixture, &[]))?;
    let truth = true_shares(&trainer.margins(&trainer.full), &left_out.margins);
    let (measured, differences, pay) = steps.run("bootstrap", || {
        let truths = [&by_record, &by_contributor];
        Ok(measure(&scores, truths, &truth, &contributors, &large, arguments.resamples))
    })?;
    let head_answers = (0..held_out.rows.len()).map(|i| largest(&logits(&trainer.full, held_out.design.row(i))));
    let head_answers: Vec<usize> = head_answers.collect();
    let adapter_answers = held_out.answers();
    let mut outcome = Outcome {
        counts: (records.rows.len(), fixture.by_name.len(), answers.len()),
        models: (by_record.seen.len(), by_contributor.seen.len(), left_out.seen.len()),
        accuracy: (
            agreement(&adapter_answers, &held_out.labels),
            agreement(&head_answers, &held_out.labels),
            agreement(&head_answers, &adapter_answers),
        ),
        convergence: trainer.convergence,
        scores: measured,
        differences,
        pay,
        attackers: Vec::new(),
        gains: Vec::new(),
        seconds: steps.seconds.clone(),
    };
    if attacks {
        // The attacks take the longest: what is there by now is not lost with them.
        save(arguments, &outcome)?;
        let added = steps.run("additions", || Added::new(&fixture))?;
        let game = Game::new(&fixture, &added);
        let attackers = game.earlier();
        outcome.gains = steps.run("attacks", || {
            game.play(&Attack::ALL, &attackers, |done, all| {
                if done % 12 == 0 {
                    eprintln!("           {done} of {all} attacks");
                }
            })
        })?;
        outcome.attackers = attackers.rows;
    }
    steps.seconds.push(("all", steps.all()));
    outcome.seconds = steps.seconds.clone();
    Ok(outcome)
}

fn largest(z: &[f64; CLASSES]) -> usize {
    (1..CLASSES).fold(0, |best, class| if z[class] > z[best] { class } else { best })
}

fn agreement(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

/// What was measured of all scores, the differences from the proven integers, and true share and pay of each contributor that was
/// left out.
fn measure(
    scores: &[Scored],
    truths: [&Retrained; 2],
    true_shares: &Table,
    contributors: &[usize],
    large: &[usize],
    resamples: usize,
) -> (Vec<Measured>, Vec<Difference>, Vec<(f64, f64)>) {
    let [by_record, by_whole] = truths.map(|truth| {
        let predictions: Vec<Table> = scores.iter().map(|score| predicted(&score.values, &truth.seen)).collect();
        Paired::new(&predictions, &truth.margins, resamples)
    });

    let mean = |shares: &Table| -> Vec<f64> {
        (0..large.len()).map(|c| shares.iter().map(|s| s[c]).sum::<f64>() / shares.len() as f64).collect()
    };
    let mean_truth = mean(true_shares);
    let mut pay = Vec::new();
    let mut measured = Vec::with_capacity(scores.len());
    for (k, score) in scores.iter().enumerate() {
        let sums = by_contributor(&score.values, contributors);
        let shares: Table = sums.iter().map(|sums| normalised(large.iter().map(|&c| sums[c]).collect())).collect();
        let variation: Vec<f64> = shares.iter().zip(true_shares).map(|(a, b)| total_variation(a, b)).collect();
        let average = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let resampled = (0..resamples).map(|index| {
            let mut random = Random::new(BOOTSTRAP_SEED + 1_000_000 + index as u64);
            let chosen: Vec<f64> = variation.iter().map(|_| variation[random.below(variation.len())]).collect();
            average(&chosen)
        });
        let paid = mean(&shares);
        measured.push(Measured {
            key: score.key,
            name: score.name,
            records: by_record.of(k),
            contributors: by_whole.of(k),
            variation: estimate(average(&variation), resampled.collect()),
            pay: pearson(&paid, &mean_truth),
        });
        if k == 0 {
            pay = mean_truth.iter().copied().zip(paid).collect();
        }
    }
    let difference = |k: usize| Difference {
        name: format!("{} less {}", scores[0].name, scores[k].name),
        records: by_record.less(0, k),
        contributors: by_whole.less(0, k),
    };
    (measured, (1..scores.len()).map(difference).collect(), pay)
}
