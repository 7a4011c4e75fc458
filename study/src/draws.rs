//! What cheating gains attackers that are drawn several times ([`gaming`](crate::gaming)).

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::gaming::{ADDED, Attack, Attackers, Gains, median, worst};
use crate::report::{OF_EARLIER, rounded};

/// How often attackers are drawn.
pub const DRAWS: u64 = 9;

/// A draw and its gains.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Who attacked.
    pub attackers: Attackers,
    /// By attack.
    pub gains: Vec<Gains>,
}

/// What an attacker would gain if rows that it adds earned as its own do.
fn fair(rows: usize) -> f64 {
    (rows + ADDED) as f64 / rows as f64
}

/// Gains of one attack in one kind of index, by draw.
fn by_draw(draws: &[Draw], attack: Attack, built: bool) -> Vec<Vec<f64>> {
    let own = |draw: &Draw| {
        let gains = draw.gains.iter().find(|gains| gains.attack == attack);
        gains.map_or_else(Vec::new, |gains| if built { gains.built.clone() } else { gains.plain.clone() })
    };
    draws.iter().map(own).collect()
}

/// Gain of each contributor, the mean over the draws that have it.
fn by_attacker(draws: &[Draw], gains: &[Vec<f64>]) -> Vec<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (draw, gains) in draws.iter().zip(gains) {
        for (&attacker, gain) in draw.attackers.contributors.iter().zip(gains) {
            let (sum, count) = sums.entry(attacker).or_default();
            *sum += gain;
            *count += 1.0;
        }
    }
    sums.into_values().map(|(sum, count)| sum / count).collect()
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

const INDEXES: [(&str, bool); 2] = [("equal weights", false), ("as built", true)];

/// Tables for people.
pub fn markdown(draws: &[Draw], able: usize) -> String {
    let mut text = String::new();
    let rows: BTreeMap<usize, usize> = draws
        .iter()
        .flat_map(|draw| draw.attackers.contributors.iter().copied().zip(draw.attackers.rows.iter().copied()))
        .collect();
    let rows: Vec<usize> = rows.into_values().collect();
    let floats: Vec<f64> = rows.iter().map(|&rows| rows as f64).collect();
    let fairs: Vec<f64> = rows.iter().map(|&rows| fair(rows)).collect();
    let _ = writeln!(
        text,
        "{} draws of {} out of {able} contributors, {} of whom attack at least once. They have {} to {} rows, {} in the median. Twenty more \
         rows, if each earned what theirs do, would gain {:.2} in the median.\n",
        draws.len(),
        draws.first().map_or(0, |draw| draw.attackers.rows.len()),
        rows.len(),
        least(&floats),
        worst(&floats),
        median(&floats),
        median(&fairs)
    );
    let numbers: Vec<String> = (1..=draws.len()).map(|draw| draw.to_string()).collect();
    let _ = writeln!(text, "| gain, median | index | {} | all attackers | range |", numbers.join(" | "));
    let _ = writeln!(text, "|---|---|{}---|---|", "---|".repeat(draws.len()));
    for attack in Attack::DRAWN {
        for (name, built) in INDEXES {
            let gains = by_draw(draws, attack, built);
            let medians: Vec<String> = gains.iter().map(|gains| format!("{:.2}", median(gains))).collect();
            let (own, all) = (by_attacker(draws, &gains), gains.concat());
            let _ = writeln!(
                text,
                "| {} | {name} | {} | {:.2} | {:.2} to {:.2} |",
                attack.name(),
                medians.join(" | "),
                median(&own),
                least(&all),
                worst(&all)
            );
        }
    }
    let _ = writeln!(
        text,
        "\n| limit | index | bound | draws within | attackers within | over what as many honest rows would gain, median (range) |\n\
         |---|---|---|---|---|---|"
    );
    for attack in Attack::DRAWN {
        for (name, built) in INDEXES {
            let gains = by_draw(draws, attack, built);
            let all = gains.concat();
            let earlier = if attack == Attack::Salad { Attack::Junk.earlier() } else { attack.earlier() };
            let most = OF_EARLIER * earlier.unwrap_or(f64::NAN);
            let within = gains.iter().filter(|gains| median(gains) <= most).count();
            let own = by_attacker(draws, &gains);
            let (few, many) = (own.iter().filter(|&&gain| gain <= most).count(), own.len());
            let over = if matches!(attack, Attack::Junk | Attack::Salad) {
                let fairs = draws.iter().flat_map(|draw| &draw.attackers.rows).map(|&rows| fair(rows));
                let over: Vec<f64> = all.iter().zip(fairs).map(|(gain, fair)| gain / fair).collect();
                format!("{:.2} ({:.2} to {:.2})", median(&over), least(&over), worst(&over))
            } else {
                String::new()
            };
            let count = gains.len();
            let _ = writeln!(
                text,
                "| {} | {name} | {most:.3} | {within} of {count} | {few} of {many} | {over} |",
                attack.name()
            );
        }
    }
    text
}

/// The same for programs.
pub fn json(draws: &[Draw], able: usize) -> Value {
    let list = |values: &[f64]| values.iter().map(|&v| rounded(v)).collect::<Vec<_>>();
    let gains =
        |g: &Gains| json!({ "attack": g.attack.key(), "equal_weights": list(&g.plain), "as_built": list(&g.built) });
    let draw = |draw: &Draw| {
        json!({
            "attackers": draw.attackers.contributors,
            "rows": draw.attackers.rows,
            "attacks": draw.gains.iter().map(gains).collect::<Vec<_>>(),
        })
    };
    json!({ "contributors": able, "draws": draws.iter().map(draw).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaming::SEED;

    fn draw(contributors: [usize; 2], rows: [usize; 2], junk: [f64; 2]) -> Draw {
        let gains = |attack: Attack| {
            let plain = if attack == Attack::Junk { junk.to_vec() } else { vec![1.0; 2] };
            Gains { attack, built: plain.iter().map(|gain| gain / 2.0).collect(), plain }
        };
        Draw {
            attackers: Attackers { contributors: contributors.into(), rows: rows.into(), seed: SEED },
            gains: Attack::DRAWN.map(gains).to_vec(),
        }
    }

    #[test]
    fn an_attacker_that_is_drawn_twice_counts_once() {
        let draws = [draw([4, 7], [5, 20], [2.0, 3.0]), draw([9, 4], [10, 5], [1.0, 6.0])];
        let gains = by_draw(&draws, Attack::Junk, false);
        assert_eq!(gains, [vec![2.0, 3.0], vec![1.0, 6.0]]);
        assert_eq!(by_attacker(&draws, &gains), [4.0, 3.0, 1.0]);
        let text = markdown(&draws, 30);
        assert!(text.contains("| equal weights | 2.50 | 3.50 | 3.00 | 1.00 to 6.00 |"), "{text}");
        assert!(text.contains("| equal weights | 2.310 | 0 of 2 | 1 of 3 | 0.80 (0.33 to 1.50) |"), "{text}");
        assert!(text.contains("| as built | 2.310 | 2 of 2 | 3 of 3 |"), "{text}");
    }
}
