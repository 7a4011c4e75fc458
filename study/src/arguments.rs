//! The command line.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::StudyError;

/// What `--help` prints.
pub const HELP: &str = "\
attribution-study [options]

How well the proven scores of attribution predict what retraining does, and what cheating gains. Tables go to stdout, or with -o as
Markdown, JSON and plots into a folder.

  --model FOLDER     the base, default: the one that `lorica model fetch minilm` puts into the cache
  --adapter FOLDER   a PEFT adapter with ten labels, default: fixtures/adapters/debian-qv-r8
  --fixtures FOLDER  rows and calibration texts, default: fixtures
  -o FOLDER          where the outcome goes
  --subsets N        random subsets per level, default 120
  --queries N        held-out questions, default 200
  --resamples N      resamples of a bootstrap, default 1000
  --no-attacks       leave out the table of attacks

One of these does something else instead:

  --truth FILE            how well the scores predict adapters that were trained again in all layers: study/retrain/retrain.py makes
                          such a file
  --write-questions FILE  the questions and the adapter's answers, for that script
  --draw-attackers        what cheating gains nine draws of twelve attackers, the first study's not among them
  --guesses               how often shares tell which text was asked
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// Heads that are fitted again, and attacks unless they are left out.
    Study {
        /// Whether there are attacks.
        attacks: bool,
    },
    /// Adapters that were trained again.
    Truth(PathBuf),
    /// Questions for the script that trains them.
    Questions(PathBuf),
    /// Drawn attackers.
    Draws,
    /// What shares tell.
    Guesses,
}

/// What the command line says.
#[derive(Debug)]
pub struct Arguments {
    /// What is to be done.
    pub task: Task,
    /// Folder of the base.
    pub model: PathBuf,
    /// Folder of the adapter.
    pub adapter: PathBuf,
    /// Folder of the fixtures.
    pub fixtures: PathBuf,
    /// Where the outcome goes.
    pub output: Option<PathBuf>,
    /// Random subsets per level.
    pub subsets: usize,
    /// Held-out questions.
    pub questions: usize,
    /// Resamples of a bootstrap.
    pub resamples: usize,
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
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, StudyError> {
        let (mut model, mut adapter, mut fixtures, mut output) = (None, None, None, None);
        let (mut subsets, mut questions, mut resamples) = (120, 200, 1_000);
        let (mut attacks, mut tasks) = (true, Vec::new());
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
                "--truth" => tasks.push(Task::Truth(value()?.into())),
                "--write-questions" => tasks.push(Task::Questions(value()?.into())),
                "--draw-attackers" => tasks.push(Task::Draws),
                "--guesses" => tasks.push(Task::Guesses),
                "-h" | "--help" => return Ok(None),
                other => return Err(StudyError::Arguments(format!("no option is called `{other}`\n\n{HELP}"))),
            }
        }
        let task = tasks.pop().unwrap_or(Task::Study { attacks });
        if !tasks.is_empty() {
            return Err(StudyError::Arguments("one thing at a time".into()));
        }
        let fixtures = fixtures.unwrap_or_else(|| root().join("fixtures"));
        let model = match model {
            Some(model) => model,
            None => cache().ok_or(StudyError::NoCacheFolder)?.join("models").join("minilm"),
        };
        let adapter = adapter.unwrap_or_else(|| fixtures.join("adapters").join("debian-qv-r8"));
        Ok(Some(Self { task, model, adapter, fixtures, output, subsets, questions, resamples }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let parse = |line: &str| Arguments::parse(line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned));
        let arguments = parse("--model m --adapter a -o out --subsets 10 --no-attacks").unwrap().unwrap();
        assert_eq!((arguments.model.to_str(), arguments.adapter.to_str()), (Some("m"), Some("a")));
        assert_eq!((arguments.subsets, arguments.questions), (10, 200));
        assert_eq!(arguments.task, Task::Study { attacks: false });
        assert_eq!(parse("--model m --truth t").unwrap().unwrap().task, Task::Truth("t".into()));
        assert!(parse("--help").unwrap().is_none());
        for wrong in ["--subsets 1", "--subsets", "--queries many", "--nothing", "--truth", "--truth t --guesses"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
