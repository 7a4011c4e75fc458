//! How good the proven attribution is, measured on the fixture: `cargo xtask attribution-study`.
//!
//! The way: rows of the fixture ([`data`]) get features by the integer model; heads are fitted again on parts of them ([`truth`],
//! [`head`]); scores ([`scores`]) predict what those heads say ([`lds`]); contributors cheat ([`gaming`], [`dedup`]); shares tell which
//! text was asked ([`guess`]); tables and plots say how it went ([`report`], [`plot`]). Everything is a function of the fixture, the model and the seeds in the source.

#![forbid(unsafe_code)]

mod data;
mod dedup;
mod error;
mod gaming;
mod guess;
mod head;
mod lds;
mod plot;
mod random;
mod report;
mod scores;
mod truth;

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::data::{Feature, Model, Row, design, rows};
use crate::error::StudyError;
use crate::gaming::{Additions, Game};
use crate::head::{CLASSES, Design, logits};
use crate::lds::{Estimate, Table, bootstrap, estimate, lds, pearson};
use crate::random::Random;
use crate::report::{Difference, Measured, Outcome};
use crate::scores::{Parts, Scored, WHOLE_WEIGHT, by_contributor, index, predicted, proven};
use crate::truth::{
    Retrained, Trainer, contributor_subsets, large_contributors, normalised, record_subsets, total_variation,
    true_shares,
};

const HELP: &str = "\
attribution-study [options]

How well the proven scores of attribution predict what retraining does, and what cheating gains. Tables go to stdout, or with -o as
Markdown, JSON and two plots into a folder.

  --model FOLDER     the base, default: the one that `lorica model fetch minilm` puts into the cache
  --adapter FOLDER   a PEFT adapter with ten labels, default: fixtures/adapters/debian-qv-r8
  --fixtures FOLDER  rows and calibration texts, default: fixtures
  -o FOLDER          where the outcome goes
  --subsets N        random subsets per level, default 120
  --queries N        held-out questions, default 200
  --resamples N      resamples of a bootstrap, default 1000
  --draw-attackers   twelve attackers of an own draw, not those of the earlier study
  --no-attacks       leave out the table of attacks
  --guesses          only measure how often shares tell which text was asked
";

/// Seed of the choice of questions.
const QUESTION_SEED: u64 = 40_000;
/// Seed of the resamples.
const BOOTSTRAP_SEED: u64 = 50_000;

/// What the command line says.
struct Arguments {
    model: PathBuf,
    adapter: PathBuf,
    fixtures: PathBuf,
    output: Option<PathBuf>,
    subsets: usize,
    questions: usize,
    resamples: usize,
    attacks: bool,
    drawn: bool,
    guesses: bool,
}

/// The workspace: as cargo says it now, else as it was when this was built.
fn root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().map_or_else(|| ".".into(), Path::to_path_buf)
}

/// Where `lorica model fetch` puts models.
fn cache() -> Option<PathBuf> {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("LORICA_CACHE")
        .or_else(|| path("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("lorica")))
        .or_else(|| path("HOME").map(|home| home.join(".cache").join("lorica")))
}

impl Arguments {
    /// Reads the command line; `None` if it asks for help.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, StudyError> {
        let (mut model, mut adapter, mut fixtures, mut output) = (None, None, None, None);
        let (mut subsets, mut questions, mut resamples) = (120, 200, 1_000);
        let (mut attacks, mut drawn, mut guesses) = (true, false, false);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| StudyError::Arguments(format!("{word} wants a value")));
            let number = |text: String| match text.parse() {
                Ok(number) if number >= 2 => Ok(number),
                _ => Err(StudyError::Arguments(format!("{word} wants a number of at least 2"))),
            };
            match word.as_str() {
                "--model" => model = Some(PathBuf::from(value()?)),
                "--adapter" => adapter = Some(PathBuf::from(value()?)),
                "--fixtures" => fixtures = Some(PathBuf::from(value()?)),
                "-o" | "--output" => output = Some(PathBuf::from(value()?)),
                "--subsets" => subsets = number(value()?)?,
                "--queries" => questions = number(value()?)?,
                "--resamples" => resamples = number(value()?)?,
                "--no-attacks" => attacks = false,
                "--draw-attackers" => drawn = true,
                "--guesses" => guesses = true,
                "-h" | "--help" => return Ok(None),
                other => return Err(StudyError::Arguments(format!("no option is called `{other}`\n\n{HELP}"))),
            }
        }
        let fixtures = fixtures.unwrap_or_else(|| root().join("fixtures"));
        let model = match model {
            Some(model) => model,
            None => cache().ok_or(StudyError::NoCacheFolder)?.join("models").join("minilm"),
        };
        let adapter = adapter.unwrap_or_else(|| fixtures.join("adapters").join("debian-qv-r8"));
        Ok(Some(Self { model, adapter, fixtures, output, subsets, questions, resamples, attacks, drawn, guesses }))
    }
}

/// Steps and their times, told on stderr.
struct Steps {
    start: Instant,
    seconds: Vec<(&'static str, f64)>,
}

impl Steps {
    fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T, StudyError>) -> Result<T, StudyError> {
        eprintln!("{:7.1} s  {name} ..", self.start.elapsed().as_secs_f64());
        let start = Instant::now();
        let result = step()?;
        self.seconds.push((name, start.elapsed().as_secs_f64()));
        Ok(result)
    }
}

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
    let done = match arguments.guesses {
        true => guess(&arguments),
        false => study(&arguments).and_then(|outcome| write(&arguments, &outcome)),
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
fn guess(arguments: &Arguments) -> Result<(), StudyError> {
    let fixtures = &arguments.fixtures;
    let model = Model::load(&arguments.model, &arguments.adapter, &fixtures.join("calibration.txt"))?;
    let (train, held_out) = (fixtures.join("debian/train.jsonl"), fixtures.join("debian/heldout.jsonl"));
    let mut names = HashMap::new();
    let read =
        |path: &Path, names: &mut HashMap<String, usize>| Rows::new(&model, path, rows(path, model.labels(), names)?);
    let (records, questions) = (read(&train, &mut names)?, read(&held_out, &mut names)?);
    let slots = records.rows.iter().map(|row| u16::try_from(row.contributor).unwrap_or(u16::MAX)).collect();
    let features = records.features.iter().flat_map(|feature| &feature.values).copied().collect();
    let weights = vec![WHOLE_WEIGHT; records.rows.len()];
    let cells = index(features, model.hidden(), &records.labels, &weights, slots)?;
    let own = |texts, rows: &Rows| guess::guesses(texts, &cells, &rows.pooled(), &rows.answers());
    let both = [own("that are no records", &questions), own("that are records", &records)];
    print!("{}", guess::markdown(&both));
    save_files(arguments, [("attribution-guesses.json", format!("{:#}\n", guess::json(&both)))])
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

/// Rows with what the model makes of them.
struct Rows {
    rows: Vec<Row>,
    features: Vec<Feature>,
    labels: Vec<usize>,
    design: Design,
    logits: Vec<[f64; CLASSES]>,
}

impl Rows {
    fn new(model: &Model, path: &Path, rows: Vec<Row>) -> Result<Self, StudyError> {
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let features = model.features(path, &texts)?;
        let labels = rows.iter().map(|row| row.label).collect();
        let design = design(&features, model.hidden());
        let logits = features.iter().map(|feature| model.logits(&feature.values)).collect();
        Ok(Self { rows, features, labels, design, logits })
    }

    fn chosen(&self, chosen: &[usize], hidden: usize) -> Self {
        let features: Vec<Feature> = chosen.iter().map(|&i| self.features[i].clone()).collect();
        Self {
            rows: chosen.iter().map(|&i| self.rows[i].clone()).collect(),
            labels: chosen.iter().map(|&i| self.labels[i]).collect(),
            design: design(&features, hidden),
            logits: chosen.iter().map(|&i| self.logits[i]).collect(),
            features,
        }
    }

    fn answers(&self) -> Vec<usize> {
        self.features.iter().map(|feature| feature.answer).collect()
    }

    fn pooled(&self) -> Vec<&[i16]> {
        self.features.iter().map(|feature| feature.values.as_slice()).collect()
    }
}

fn study(arguments: &Arguments) -> Result<Outcome, StudyError> {
    let mut steps = Steps { start: Instant::now(), seconds: Vec::new() };
    let fixtures = &arguments.fixtures;
    let model =
        steps.run("import", || Model::load(&arguments.model, &arguments.adapter, &fixtures.join("calibration.txt")))?;
    let hidden = model.hidden();
    let (train, held_out) = (fixtures.join("debian/train.jsonl"), fixtures.join("debian/heldout.jsonl"));
    let mut names = HashMap::new();
    let records = rows(&train, model.labels(), &mut names)?;
    let contributors_count = names.len();
    let mut by_name: Vec<(String, usize)> = names.clone().into_iter().collect();
    by_name.sort_unstable();
    let questions = rows(&held_out, model.labels(), &mut names)?;
    let additions = Additions::new(&records);
    let (records, held_out, junk, salad) = steps.run("features", || {
        let records = Rows::new(&model, &train, records)?;
        let questions = Rows::new(&model, &held_out, questions)?;
        let texts = |texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            if arguments.attacks { model.features(Path::new("additions"), &texts) } else { Ok(Vec::new()) }
        };
        Ok((records, questions, texts(&additions.junk)?, texts(&additions.salad)?))
    })?;
    let chosen = Random::new(QUESTION_SEED).choose(arguments.questions, held_out.rows.len());
    let questions = held_out.chosen(&chosen, hidden);
    let answers = questions.answers();
    let contributors: Vec<usize> = records.rows.iter().map(|row| row.contributor).collect();
    let large = large_contributors(&contributors);

    let mut trainer =
        steps.run("full head", || Trainer::new(&records.design, &records.labels, &questions.design, &answers))?;
    let by_record = steps.run("record subsets", || {
        trainer.retrain("on record subset", record_subsets(records.rows.len(), arguments.subsets), 0.5)
    })?;
    let by_contributor = steps.run("contributor subsets", || {
        trainer.retrain("on contributor subset", contributor_subsets(&contributors, arguments.subsets), 0.5)
    })?;
    let left_out = steps.run("leave one out", || {
        let seen = large.iter().map(|&left| contributors.iter().map(|&c| c != left).collect()).collect();
        trainer.retrain("without contributor", seen, 1.0)
    })?;

    let scores = steps.run("scores", || all_scores(&records, &contributors, &questions, &answers, hidden))?;
    let truth = true_shares(&trainer.margins(&trainer.full), &left_out.margins);
    let (measured, differences, pay) = steps.run("bootstrap", || {
        let truths = [&by_record, &by_contributor];
        Ok(measure(&scores, truths, &truth, &contributors, &large, arguments.resamples))
    })?;
    let head_answers = (0..held_out.rows.len()).map(|i| largest(&logits(&trainer.full, held_out.design.row(i))));
    let head_answers: Vec<usize> = head_answers.collect();
    let adapter_answers = held_out.answers();
    let mut outcome = Outcome {
        counts: (records.rows.len(), contributors_count, answers.len()),
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
    if arguments.attacks {
        // The attacks take the longest: what is there by now is not lost with them.
        save(arguments, &outcome)?;
        let mut pool = dedup::Pool::default();
        records.rows.iter().for_each(|row| pool.add(&row.text));
        additions.junk.iter().chain(&additions.salad).for_each(|text| pool.add(text));
        let game = Game {
            rows: &records.rows,
            features: records.features.iter().chain(&junk).chain(&salad).collect(),
            pool,
            junk: additions.junk.len(),
            logits: &records.logits,
            questions: questions.pooled(),
            answers: &answers,
            hidden,
            contributors: contributors_count,
            by_name: by_name.into_iter().map(|(_, contributor)| contributor).collect(),
            drawn: arguments.drawn,
        };
        outcome.attackers = game.sizes();
        outcome.gains = steps.run("attacks", || {
            game.play(|done, all| {
                if done % 12 == 0 {
                    eprintln!("           {done} of {all} attacks");
                }
            })
        })?;
    }
    steps.seconds.push(("all", steps.start.elapsed().as_secs_f64()));
    outcome.seconds = steps.seconds;
    Ok(outcome)
}

fn largest(z: &[f64; CLASSES]) -> usize {
    (1..CLASSES).fold(0, |best, class| if z[class] > z[best] { class } else { best })
}

fn agreement(a: &[usize], b: &[usize]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len().max(1) as f64
}

/// All scores: the proven integers first, their float second.
fn all_scores(
    records: &Rows,
    contributors: &[usize],
    questions: &Rows,
    answers: &[usize],
    hidden: usize,
) -> Result<Vec<Scored>, StudyError> {
    let slot = |&c: &usize| u16::try_from(c).unwrap_or(u16::MAX);
    let pooled = questions.pooled();
    let integers = |kept: &[usize], weights: &[u8]| {
        let features = kept.iter().flat_map(|&i| &records.features[i].values).copied().collect();
        let labels: Vec<usize> = kept.iter().map(|&i| records.labels[i]).collect();
        let slots = kept.iter().map(|&i| slot(&contributors[i])).collect();
        Ok::<_, StudyError>(proven(&index(features, hidden, &labels, weights, slots)?, &pooled, answers))
    };
    let all: Vec<usize> = (0..records.rows.len()).collect();
    let equal = integers(&all, &vec![WHOLE_WEIGHT; all.len()])?;

    let mut pool = dedup::Pool::default();
    records.rows.iter().for_each(|row| pool.add(&row.text));
    let ids: Vec<&[u32]> = records.features.iter().map(|feature| feature.ids.as_slice()).collect();
    let weights = pool.weigh(&all, &ids);
    let kept: Vec<usize> = all.iter().copied().filter(|&i| weights[i].is_some()).collect();
    eprintln!("           {} of {} rows are no duplicates", kept.len(), all.len());
    let weights: Vec<u8> = weights.into_iter().flatten().collect();
    let built: Table = integers(&kept, &weights)?
        .into_iter()
        .map(|scores| {
            let mut row = vec![0.0; all.len()];
            kept.iter().zip(scores).for_each(|(&i, score)| row[i] = score);
            row
        })
        .collect();

    let parts = Parts {
        records: &records.design,
        labels: &records.labels,
        logits: &records.logits,
        questions: &questions.design,
        question_logits: &questions.logits,
        answers,
    };
    let scored = |key, name, values| Scored { key, name, values };
    Ok(vec![
        scored("proven", "proven integers, equal weights", equal),
        scored("match_white_1", "match × white, r = 1, float", parts.white(1.0)?),
        scored("proven_built", "proven integers, as `datanet build` weighs", built),
        scored("match_white_0.3", "match × white, r = 0.3, float", parts.white(0.3)?),
        scored("match_white_3", "match × white, r = 3, float", parts.white(3.0)?),
        scored("match_identity", "match × dot product (M = I)", parts.plain()),
        scored("match_cosine", "same label × cosine", parts.cosine()),
        scored("match", "same label", parts.label()),
        scored("tracin", "last-layer TracIn, relu", parts.tracin()),
    ])
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
    let levels = truths.map(|truth| {
        let predictions: Vec<Table> = scores.iter().map(|score| predicted(&score.values, &truth.seen)).collect();
        let values: Vec<f64> = predictions.iter().map(|predicted| lds(predicted, &truth.margins)).collect();
        (values, bootstrap(&predictions, &truth.margins, resamples, BOOTSTRAP_SEED))
    });
    let at = |level: usize, k: usize| {
        let (values, resamples) = &levels[level];
        estimate(values[k], resamples.iter().map(|r| r[k]).collect())
    };
    let less = |level: usize, a: usize, b: usize| {
        let (values, resamples) = &levels[level];
        estimate(values[a] - values[b], resamples.iter().map(|r| r[a] - r[b]).collect())
    };

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
            records: at(0, k),
            contributors: at(1, k),
            variation: estimate(average(&variation), resampled.collect()),
            pay: pearson(&paid, &mean_truth),
        });
        if k == 0 {
            pay = mean_truth.iter().copied().zip(paid).collect();
        }
    }
    let difference = |k: usize| Difference {
        name: format!("{} less {}", scores[0].name, scores[k].name),
        records: less(0, 0, k),
        contributors: less(1, 0, k),
    };
    (measured, (1..scores.len()).map(difference).collect(), pay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let parse = |line: &str| Arguments::parse(line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned));
        let arguments = parse("--model m --adapter a -o out --subsets 10 --no-attacks").unwrap().unwrap();
        assert_eq!((arguments.model.to_str(), arguments.adapter.to_str()), (Some("m"), Some("a")));
        assert_eq!((arguments.subsets, arguments.questions, arguments.attacks), (10, 200, false));
        assert!(parse("--help").unwrap().is_none());
        for wrong in ["--subsets 1", "--subsets", "--queries many", "--nothing"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
